"""Numbers that are rounded on the way: inputs, labels, operands, logits, sums, losses, and parts of the gradient.

Which of them is a mistake depends on the precision that was declared: logits of bfloat16 are right under autocast, and
wrong where float32 was promised.
"""

from __future__ import annotations

import functools

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations.kinds import changed_head, changed_inputs, changed_logits, changed_result
from svref.deviations.logits import (
    Logits,
    Own,
    Result,
    cross_entropy,
    from_logits,
    right_logits,
    right_result,
    with_derivative,
)
from svref.deviations.normalisation import by_length
from svref.deviations.which import always
from svref.formats import rounded_to
from svref.loss import SVXSoftmax
from svref.reference import Step

LEAST = 2.0**-12  # a 32nd of the spacing of bfloat16 at 1: smaller probabilities are left out
_half = functools.partial(rounded_to, name="bfloat16")
_tf32 = functools.partial(rounded_to, name="tf32")

# ---- all of it, and the inputs ---------------------------------------------------------------------------------


@changed_result(
    "c := float32(c)",
    "comratvlad/sv_softmax:src/custom_losses.py",
    "alibaba/EasyRec, softmax_loss_with_negative_mining.py",
    "cavalleria/cavaface:head/metrics.py",
)
def precision_downcast_float32(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """A cast to a narrower format loses digits on the way.

    Near a boundary or a tie the mask may also decide otherwise.
    """
    losses, gradient = right_result(loss, c.astype(np.float32), y, g)
    return losses.astype(np.float64), gradient.astype(np.float64)


@changed_inputs("c := float32(c), or x := float32(x) and w := float32(w); the rest in float64")
def inputs_cast_to_float32(values: FloatArray) -> FloatArray:
    """The inputs lose digits in a cast, and what follows keeps all of its own.

    Near a boundary or a tie the mask may also decide otherwise.
    """
    return rounded_to(values, "float32")


@changed_inputs("c := float16(c), or x := float16(x) and w := float16(w); the rest in the format asked for")
def inputs_cast_to_float16(values: FloatArray) -> FloatArray:
    """As inputs-cast-to-float32, with 11 significant bits: losses are wrong by up to s/4096."""
    return rounded_to(values, "float16")


@changed_inputs("c := bfloat16(c), or x := bfloat16(x) and w := bfloat16(w); the rest in the format asked for")
def inputs_cast_to_bfloat16(values: FloatArray) -> FloatArray:
    """As inputs-cast-to-float32, with 8 significant bits: losses are wrong by up to s/512."""
    return rounded_to(values, "bfloat16")


# ---- the labels ------------------------------------------------------------------------------------------------


@changed_result("y := float16(y)", "THUFutureLab/gluon-face#28")
def labels_in_float16(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Odd labels above 2,048 become those of another class: 2,049 becomes 2,048, and 2,051 becomes 2,052."""
    return right_result(loss, c, _rounded_labels(y, c.shape[1], "float16"), g)


@changed_result("y := bfloat16(y)", "a common slip")
def labels_in_bfloat16(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """The same from 256 on: 257 becomes 256."""
    return right_result(loss, c, _rounded_labels(y, c.shape[1], "bfloat16"), g)


def _rounded_labels(y: IntArray, classes: int, form: str) -> IntArray:
    """Return labels rounded to a format; one beyond the last class becomes the last."""
    return np.minimum(rounded_to(y.astype(np.float64), form), classes - 1).astype(y.dtype)


# ---- the product -----------------------------------------------------------------------------------------------


@changed_head("c = tf32(x̂)·tf32(ŵ), and likewise in both products of the gradient", "triton-lang/triton#1671")
def tf32_product(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The operands of the products keep 11 of their 24 significant bits, as tensor cores do unless told not to.

    Cosines are wrong by up to 2^-11, losses by s times that.
    """
    (x_unit, x_back), (w_unit, w_back) = by_length(x), by_length(w)
    losses, by_cosines = right_result(loss, np.clip(_tf32(x_unit) @ _tf32(w_unit).T, -1, 1), y, g)
    by = _tf32(np.where(np.isfinite(by_cosines), by_cosines, 0.0))
    return losses, x_back(by @ _tf32(w_unit)), w_back(by.T @ _tf32(x_unit))


# ---- the logits ------------------------------------------------------------------------------------------------


@changed_result("z := bfloat16(z)", "Modalities/modalities#464", "PaddlePaddle/Paddle#74254")
def logits_stored_narrow(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Logits are stored with 8 significant bits between two kernels: between 32 and 64 they are 0.25 apart."""
    return from_logits(right_logits, lambda z, own: cross_entropy(_half(z), own))(loss, c, y, g)


@changed_logits("z_k := bfloat16(s c_k), then the margin and log h", applies=always)
def scale_before_cast(step: Step) -> Logits:
    """Cosines are scaled before they are cast, so that a spacing of 2^-8 becomes one of s 2^-8."""
    z, slope = right_logits(step)
    return Logits(z - step.s * step.cosines + _half(step.s * step.cosines), slope)


# ---- the results -----------------------------------------------------------------------------------------------


@changed_result("L := bfloat16(L), its gradient right", "Modalities/modalities#464")
def loss_rounded_to_format(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses have 8 significant bits: near 36 they move in steps of 0.25."""
    losses, gradient = right_result(loss, c, y, g)
    return _half(losses), gradient


@changed_result("∂L/∂z_y = bfloat16(p_y) - 1", "linkedin/Liger-Kernel#1268")
def target_gradient_rounded_early(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """p_y is rounded before 1 is subtracted: the target is pulled by 20 % too much or too little at p_y = 0.99.

    From p_y = 0.999 on it is not pulled at all. The loss is right.
    """

    def by_z(z: FloatArray, own: Own) -> FloatArray:
        losses, by = cross_entropy(z, own)
        by[own] = _half(np.exp(-losses)) - 1
        return by

    return with_derivative(by_z)(loss, c, y, g)


@changed_result("∂L/∂z_k := 0 where p_k < 2^-12", "apple/ml-cross-entropy, unless the exact form is asked for")
def gradient_filtered(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Negatives of a small probability are not pushed away. The loss is right."""

    def by_z(z: FloatArray, own: Own) -> FloatArray:
        by = cross_entropy(z, own)[1]
        return np.where(np.abs(by) < LEAST, 0.0, by)

    return with_derivative(by_z)(loss, c, y, g)


# ---- the softmax -----------------------------------------------------------------------------------------------


@changed_result("Σ_k e^{z_k} added up in bfloat16, one after another")
def softmax_accumulated_narrow(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """The sum of the exponentials has 8 significant bits: it stops growing once a term is below 1/256 of it."""
    return from_logits(right_logits, _entropy_of_narrow_sum)(loss, c, y, g)


def _entropy_of_narrow_sum(z: FloatArray, own: Own) -> Result:
    """Return the cross entropy log Σ - z_y, and p - 1 at the label, with a sum in bfloat16."""
    peak = z.max(axis=1, keepdims=True)
    e = np.exp(z - peak)
    total: FloatArray = np.zeros(len(z))
    for column in e.T:
        total = _half(total + column)
    by_z = e / total[:, None]
    by_z[own] -= 1
    return np.log(total) + peak[:, 0] - z[own], by_z
