"""Mistakes of precision that public code has had, rebuilt: right code with one thing changed.

`Fused` is AM-Softmax by a textbook, float32 between its inputs and its gradient. Its methods say where it rounds; a
mistake overrides one of them. An instance is a candidate:

    svref.check(FilteredGradient(), "am-softmax", precision="fused-bfloat16")
"""

import ml_dtypes
import numpy as np

BFLOAT16, FLOAT16, FLOAT32 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16), np.dtype(np.float32)


class Fused:
    """Right as a fused kernel: the gradient has the dtype of the cosines, all else is float32."""

    logits_in = FLOAT32
    softmax_in = FLOAT32

    def __call__(self, cosines, labels, *, s, m, cotangent):
        """Return the losses, and the gradient of Σ cotangent_b L_b by the cosines."""
        own, number = (np.arange(len(labels)), self.labels(labels)), self.logits_in.type
        z = cosines.astype(self.logits_in)
        z[own] -= number(m)
        z = self.stored(number(s) * z).astype(self.softmax_in)
        losses, by_logits = self.cross_entropy(z, own)
        by_logits = (by_logits * cotangent[:, None]).astype(cosines.dtype)
        return losses, self.gradient(by_logits * cosines.dtype.type(s))

    def cross_entropy(self, z, own):
        """Return log Σ e^z - z_y, and p less 1 at the label."""
        peak = self.peak(z)
        e = np.exp(z - peak)
        total = self.total(e)
        return self.losses(np.log(total) + peak[:, 0] - z[own]), self.by_logits(e / total[:, None], own)

    def product(self, a, b):
        """Return the product of two matrices."""
        return a @ b

    def labels(self, labels):
        """Return the labels as they are used."""
        return labels

    def stored(self, z):
        """Return the logits as they are kept."""
        return z

    def peak(self, z):
        """Return what is subtracted from the logits before the exponential."""
        return z.max(axis=1, keepdims=True)

    def total(self, e):
        """Return the sum of the exponentials."""
        return e.sum(axis=1, dtype=FLOAT32).astype(e.dtype)

    def losses(self, losses):
        """Return the losses as they are returned."""
        return losses

    def by_logits(self, p, own):
        """Return the gradient by the logits."""
        p[own] -= p.dtype.type(1)
        return p

    def gradient(self, by_cosines):
        """Return the gradient as it is returned."""
        return by_cosines


class Autocast(Fused):
    """Right under autocast-bfloat16: the logits are bfloat16."""

    logits_in = BFLOAT16


class AllFloat16(Fused):
    """Right in float16: every result is rounded, sums are added up in float32."""

    logits_in = softmax_in = FLOAT16


class TargetRoundedEarly(Autocast):
    """p is written into a bfloat16 buffer, and then 1 is subtracted."""

    def by_logits(self, p, own):
        """Round p, then subtract 1."""
        return super().by_logits(p.astype(BFLOAT16), own)


class FilteredGradient(Fused):
    """Classes with a probability below 2^-12 are left out of the gradient."""

    def by_logits(self, p, own):
        """Return 0 where the gradient is small."""
        by_logits = super().by_logits(p, own)
        return np.where(np.abs(by_logits) < 2.0**-12, p.dtype.type(0), by_logits)


class StoredNarrow(Fused):
    """The logits pass through bfloat16 between two kernels."""

    def stored(self, z):
        """Round the logits."""
        return z.astype(BFLOAT16)


class LossRounded(Autocast):
    """The losses pass through bfloat16 before they are returned."""

    def losses(self, losses):
        """Round the losses, and return them in float32."""
        return losses.astype(BFLOAT16).astype(FLOAT32)


class SumInBfloat16(Autocast):
    """The exponentials are added up in bfloat16, one after another."""

    def total(self, e):
        """Round the sum after each term."""
        total = np.zeros(len(e), BFLOAT16)
        for column in e.astype(BFLOAT16).T:
            total = total + column
        return total.astype(FLOAT32)


class LabelAsFloat16(Autocast):
    """Labels pass through float16, which holds no odd number above 2048."""

    def labels(self, labels):
        """Round the labels."""
        return labels.astype(FLOAT16).astype(np.int64)


class NoMaximum(AllFloat16):
    """No maximum is taken out: in float16 e^z is infinite from z = 11.1 on."""

    def peak(self, z):
        """Return 0."""
        return np.zeros((len(z), 1), FLOAT16)


class SignFlipped(Autocast):
    """The gradient points the other way."""

    def gradient(self, by_cosines):
        """Turn the gradient around."""
        return -by_cosines


class GradientTooLarge(Autocast):
    """The gradient is 1.5 times too large."""

    def gradient(self, by_cosines):
        """Return 1.5 times the gradient."""
        return by_cosines * by_cosines.dtype.type(1.5)


class WithoutSlope(Fused):
    """Arc-Softmax, whose margin has the slope 1 in place of sin(θ + m)/sin θ."""

    def __call__(self, cosines, labels, *, s, m, cotangent):
        """Return the losses, and the gradient by the cosines."""
        own = (np.arange(len(labels)), labels)
        z = cosines.astype(FLOAT32)
        z[own] = np.cos(np.arccos(z[own]) + FLOAT32.type(m))
        losses, by_logits = self.cross_entropy(FLOAT32.type(s) * z, own)
        return losses, (by_logits * cotangent[:, None] * FLOAT32.type(s)).astype(cosines.dtype)


class Tf32Product(Fused):
    """A head whose products have operands of 11 bits, as tensor cores take them unless told not to."""

    def __call__(self, embeddings, weights, labels, *, s, m, cotangent):
        """Return the losses, and the gradients by the embeddings and the weights."""
        x, x_back = normalised(embeddings)
        w, w_back = normalised(weights)
        cosines = np.clip(self.product(x, w.T), -1, 1)
        losses, by = super().__call__(cosines, labels, s=s, m=m, cotangent=cotangent)
        return losses, x_back(self.product(by, w)), w_back(self.product(by.T, x))

    def product(self, a, b):
        """Round both matrices to TF32 first."""
        return tf32(a) @ tf32(b)


def tf32(values):
    """Return float32 numbers rounded to 11 significant bits."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(mantissa * 2**11), exponent - 11).astype(FLOAT32)


def normalised(vectors):
    """Return vectors of length 1, and how a gradient by them becomes one by the vectors given."""
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    unit = vectors / length
    return unit, lambda by: (by - (by * unit).sum(axis=1, keepdims=True) * unit) / length
