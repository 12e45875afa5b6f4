"""Mistakes after the logits: the scale, the softmax, the reduction over the batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations.kinds import Applies, changed_loss, changed_result
from svref.deviations.logits import (
    CosineRun,
    Entropy,
    Own,
    Result,
    cross_entropy,
    forward_of,
    from_logits,
    right_logits,
    right_result,
)
from svref.loss import SVXSoftmax

EPS = 1e-9
FLOOR = 1e-30
OVERFLOW = {"float16": 11.08, "float32": 88.7, "float64": 709.7}  # exp of a larger number is infinite
UNDERFLOW = {"float32": -103.9, "float64": -745.1}  # exp of a smaller one is 0

# ---- the logits and their softmax ------------------------------------------------------------------------------


@changed_loss("z_k = s (s c_k + log h_k), z_y = s (s f)")
def s_twice(loss: SVXSoftmax) -> SVXSoftmax:
    """The head scales its logits, and the loss scales them again.

    The softmax saturates, and losses of hard rows are about s times too large.
    """
    return replace(loss, s=loss.s * loss.s)


@changed_result(
    "L = -log(e^{z_y}/(Σ_k e^{z_k} + ε) + ε), ε = 1e-9", "comratvlad/sv_softmax:src/custom_losses.py (sv_softmax)"
)
def eps_in_log(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses never exceed 20.72, and the hardest rows have no gradient."""
    return from_logits(right_logits, _entropy_with_eps)(loss, c, y, g)


def _entropy_with_eps(z: FloatArray, own: Own) -> Result:
    """Return -log(p_y + ε) with p_k = exp z_k/(S + ε), and its derivatives by z."""
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True) + EPS
    p_y = p[own]
    share = p_y / (p_y + EPS)
    by_z = share[:, None] * p
    by_z[own] = -share * (1 - p_y)
    return -np.log(p_y + EPS), by_z


def _may_overflow(dtype: str) -> Applies:
    """Return a function that tells of a loss whether its logits may be so large that exp overflows in a dtype.

    It is always True of a loss without angles, since its cosines, and with them its logits, have no bound.
    """
    return lambda loss: not loss.angular or _largest_logit(loss) > OVERFLOW[dtype]


@changed_result(
    "L = log Σ_k e^{z_k} - z_y in float32, no maximum taken out",
    "cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py",
    "comratvlad/sv_softmax:src/custom_losses.py",
    applies=_may_overflow("float32"),
)
def no_max_subtraction(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """The loss is infinite and the gradient NaN once a logit exceeds 88.7, as hard logits at s = 64 do."""
    return from_logits(right_logits, _entropy_without_maximum("float32"))(loss, c, y, g)


@changed_result("L = log Σ_k e^{z_k} - z_y in float64, no maximum taken out", applies=_may_overflow("float64"))
def no_max_subtraction_float64(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """As no-max-subtraction, but float64 overflows only above 709.7. Logits reach that at scales of several hundred."""
    return from_logits(right_logits, _entropy_without_maximum("float64"))(loss, c, y, g)


@changed_result(
    "L = log Σ_k e^{z_k} - z_y in float16, no maximum taken out",
    "THUFutureLab/gluon-face#28",
    applies=_may_overflow("float16"),
)
def no_max_subtraction_float16(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """As no-max-subtraction, but float16 overflows above 11.08 already, so that s must stay below 11."""
    return from_logits(right_logits, _entropy_without_maximum("float16"))(loss, c, y, g)


def _largest_logit(loss: SVXSoftmax) -> float:
    """Return the largest logit of a loss on cosines: z_k of a support vector at c_k = 1."""
    t = loss.emphasis.t
    return loss.s * (t if loss.emphasis.form == "fixed" else 2 * t - 1)


def _entropy_without_maximum(dtype: str) -> Entropy:
    """Return the cross entropy log Σ exp z - z_y, infinite where exp overflows in a dtype, or its sum is 0 in it."""

    def entropy(z: FloatArray, own: Own) -> Result:
        e = np.where(np.isinf(np.exp(z.astype(dtype))), np.inf, np.exp(z))
        total = e.sum(axis=1)
        total[total.astype(dtype) == 0] = 0.0
        by_z = e / total[:, None]
        by_z[own] -= 1
        return np.log(total) - z[own], by_z

    return entropy


@changed_result(
    "L = -log(e^{z_y}/Σ_k e^{z_k}) in float32, no maximum taken out",
    "4uiiurz1/keras-arcface, by a softmax before the loss",
    applies=_may_overflow("float32"),
)
def no_max_subtraction_quotient(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """As no-max-subtraction, and the loss is also infinite where the probability underflows: at losses above 103.9."""
    return _quotient_without_maximum("float32", loss, c, y, g)


@changed_result(
    "L = -log(e^{z_y}/Σ_k e^{z_k}) in float64, no maximum taken out",
    "cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py",
    applies=_may_overflow("float64"),
)
def no_max_subtraction_quotient_float64(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """As no-max-subtraction-quotient, in float64.

    It overflows at logits above 709.7 and underflows at losses above 745.
    """
    return _quotient_without_maximum("float64", loss, c, y, g)


def _quotient_without_maximum(dtype: str, loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Return the right result, but infinite losses and NaN gradients in rows that a dtype cannot hold.

    These are rows where e^{z_k} overflows, or where e^{z_y} or e^{z_y}/Σ_k e^{z_k} underflows.
    """
    step = forward_of(loss, c, y)
    z, (losses, gradient) = right_logits(step).z, right_result(loss, c, y, g)
    lost = (z.max(axis=1) > OVERFLOW[dtype]) | (z[step.own] < UNDERFLOW[dtype]) | (losses > -UNDERFLOW[dtype])
    return np.where(lost, np.inf, losses), np.where(lost[:, None], np.nan, gradient)


@changed_result(
    "L = -log p, p = clip(p_y, 1e-7, 1 - 1e-7), ∂p/∂p_y = 0 beyond",
    "4uiiurz1/keras-arcface, by Keras' cross entropy of probabilities",
)
def probability_clipped(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses lie between 1e-7 and 16.1. Rows beyond, which are the best and the hardest, have no gradient."""
    losses, gradient = right_result(loss, c, y, g)
    p = np.exp(-losses)
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    return -np.log(clipped), np.where((clipped == p)[:, None], gradient, 0.0)


@changed_result("L = -log(p_y + ε), ε = 1e-9, ∂L/∂c right")
def eps_in_loss_alone(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses never exceed 20.72. The gradient is written by hand and is right."""
    step = forward_of(loss, c, y)
    return -np.log(step.probabilities[step.own] + EPS), loss.backward(step, g).cosines


def with_eps(eps: float) -> CosineRun:
    """Return the computation of L = -log(softmax(z)_y + ε) and of the gradient of that L."""

    def entropy(z: FloatArray, own: Own) -> Result:
        losses, by_z = cross_entropy(z, own)
        p_y = np.exp(-losses)
        return -np.log(p_y + eps), by_z * (p_y / (p_y + eps))[:, None]

    return from_logits(right_logits, entropy)


@changed_result("L = min(L, -log 1e-30)", "deepinsight/insightface:arcface_torch (DistCrossEntropy)")
def loss_capped(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses never exceed 69.08, because the log is taken of max(p_y, 1e-30). The gradient is right."""
    losses, gradient = right_result(loss, c, y, g)
    return np.minimum(losses, -np.log(FLOOR)), gradient


# ---- the reduction ---------------------------------------------------------------------------------------------


@changed_result("L_b / B", "most heads return the mean")
def mean_for_sum(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses and gradients are divided by the size of the batch: they are B times too small."""
    losses, gradient = right_result(loss, c, y, g)
    return losses / len(y), gradient / len(y)


@changed_result("B L_b", "tosfaq/deep-object-reid:torchreid/losses/am_softmax.py, a sum over nonzero losses")
def sum_for_mean(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """The sum is returned where the mean was asked for: losses and gradients are B times too large."""
    losses, gradient = right_result(loss, c, y, g)
    return losses * len(y), gradient * len(y)
