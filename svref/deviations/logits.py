"""The loss in four parts, so that a deviation can get one of them wrong and leave the others right.

This file is no reference: the right formulas are read in svref/reference.py. It takes the same loss apart into logits
z_k with their slopes dz_k/dc_k and a softmax cross entropy over them, because mistakes are made in these parts. A
deviation replaces one and passes the others on:

    margin_logits    z_k = s c_k,  z_y = s f                  slope s, and s df/dc for the target
    emphasised       z_k + log h_k                            slope of log h_k added
    cross_entropy    L = -log softmax(z)_y                    dL/dz_k = p_k, dL/dz_y = -q
    from_logits      dL/dc_k = g dL/dz_k dz_k/dc_k            cotangent g

`right_logits` are the paper's logits, and `right_result` is what svref itself computes. A new deviation of the logits
is a function from a forward pass to `Logits`, under `kinds.changed_logits`, in target.py or negatives.py; one of the
softmax gives `from_logits` another entropy, in results.py. tests/test_deviations.py compares the results with the
formula written out, and the gradient with the derivative of the losses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.loss import SVXSoftmax
from svref.reference import Step, backward, finite_or_zero, forward, log_sum_exp, sigmoid, softplus, times_df


class Logits(NamedTuple):
    """The logits z_k, with z_y in the label's column, and their slopes dz_k/dc_k; both have the shape (B, C)."""

    z: FloatArray
    slope: FloatArray


MOST_REMEMBERED = 20_000  # cosines of a forward pass that is remembered

Own = tuple[IntArray, IntArray]  # the label's entries (b, y_b)
Result = tuple[FloatArray, FloatArray]  # losses (B,), gradient (B, C)
CosineRun = Callable[[SVXSoftmax, FloatArray, IntArray, FloatArray], Result]  # of loss, cosines, labels, cotangent
ToLogits = Callable[[Step], Logits]
Entropy = Callable[[FloatArray, Own], Result]  # of logits and where the targets are; the gradient is by z


def is_own(values: FloatArray, labels: IntArray) -> BoolArray:
    """Return which entries of an array (B, C) are those of the labels."""
    return np.asarray(np.arange(values.shape[1]) == labels[:, None])


def forward_of(loss: SVXSoftmax, cosines: FloatArray, labels: IntArray) -> Step:
    """Return the forward pass of the right loss, in arrays that cannot be written to.

    The search for the mistake of a candidate runs hundreds of deviations on one case, and each begins here. So the last
    passes are remembered, where the cosines are few.
    """
    if cosines.size > MOST_REMEMBERED:
        return forward(loss, cosines, labels)
    return _forward_of(loss, cosines.dtype.str, cosines.shape[1], cosines.tobytes(), labels.astype(np.intp).tobytes())


def right_result(loss: SVXSoftmax, cosines: FloatArray, labels: IntArray, cotangent: FloatArray) -> Result:
    """Return the losses and the gradient of Σ cotangent_b L_b as svref computes them."""
    step = forward_of(loss, cosines, labels)
    if cosines.size > MOST_REMEMBERED:
        return step.loss, backward(step, cotangent).cosines
    losses, gradient = _result_of(step, cotangent.astype(np.float64).tobytes())
    return losses.copy(), gradient.copy()


@lru_cache(maxsize=64)
def _forward_of(loss: SVXSoftmax, dtype: str, classes: int, cosines: bytes, labels: bytes) -> Step:
    """Return the forward pass of arrays that are given as bytes."""
    step = forward(loss, np.frombuffer(cosines, dtype).reshape(-1, classes), np.frombuffer(labels, np.intp))
    for array in (step.f, step.boundary, step.mask, step.r, step.a, step.angle.cosine, step.angle.sine):
        array.flags.writeable = False
    return step


@lru_cache(maxsize=64)
def _result_of(step: Step, cotangent: bytes) -> Result:
    """Return the losses and the gradient of a forward pass."""
    return step.loss, backward(step, np.frombuffer(cotangent)).cosines


def forget_passes() -> None:
    """Forget the remembered passes, which would keep the cases of a search in memory."""
    _forward_of.cache_clear()
    _result_of.cache_clear()


def margin_logits(step: Step, f: FloatArray | None = None, slope: FloatArray | None = None) -> Logits:
    """Return the logits of the margin, without emphasis; `f` and `slope` replace the margin's value and df/dc."""
    z, slopes = step.s * step.cosines, np.full_like(step.cosines, step.s)
    z[step.own] = step.s * (step.margin.value(step.angle) if f is None else f)
    slopes[step.own] = step.s * (step.margin.by_cosine(step.angle) if slope is None else slope)
    return Logits(z, slopes)


def emphasised(logits: Logits, step: Step, mask: BoolArray | None = None, scale: float | None = None) -> Logits:
    """Return the logits plus log h; `mask` replaces I, and `scale` replaces the s in log h = s (t - 1)(c + 1)."""
    s, used = step.s if scale is None else scale, step.mask if mask is None else mask
    log_h, rise = step.emphasis.log_h(step.cosines, used, s), s * (step.emphasis.slope(used) - 1)
    return Logits(logits.z + log_h, logits.slope + rise)


def right_logits(step: Step) -> Logits:
    """Return the paper's logits."""
    return emphasised(margin_logits(step), step)


def without_labels(step: Step, mask: BoolArray) -> BoolArray:
    """Return the mask with False in the label columns; it is changed in place."""
    mask[step.own] = False
    return mask


def cross_entropy(z: FloatArray, own: Own) -> Result:
    """Return -log softmax(z)_y and its derivatives by z.

    Logits are taken relative to the target's, so that losses and derivatives near 0 keep all their digits.
    """
    r = z - z[own][:, None]
    r[own] = -np.inf
    a = log_sum_exp(r)
    by_z = sigmoid(a)[:, None] * np.exp(r - finite_or_zero(a)[:, None])
    by_z[own] = -sigmoid(a)
    return softplus(a), by_z


def from_logits(logits: ToLogits, entropy: Entropy = cross_entropy) -> CosineRun:
    """Return the computation of losses and gradient by a function for the logits and one for the cross entropy."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = forward_of(loss, c, y)
        z, slope = logits(step)
        losses, by_z = entropy(z, step.own)
        dead = ((g == 0)[:, None] | (c.shape[1] == 1)) & np.isfinite(by_z)  # 0 times NaN is NaN
        return losses, times_df(by_z * g[:, None], slope, dead) + 0.0

    return run


def with_derivative(derivative: Callable[[FloatArray, Own], FloatArray]) -> CosineRun:
    """Return the computation of the right losses, and of the gradient with another dL/dz."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = forward_of(loss, c, y)
        z, slope = right_logits(step)
        by_z = derivative(z, step.own) * g[:, None]
        return right_result(loss, c, y, g)[0], times_df(by_z, slope, by_z == 0)

    return run
