"""The loss as textbooks write it, from logits z_k and their slopes dz_k/dc_k, so that one part of it can be wrong.

plain        z_k = s c_k,  z_y = s f                          slope s, and s df/dc for the target
emphasised   z_k + s (t - 1)(c_k + 1) I_k                     slope of h added
entropy      L = -log softmax(z)_y                            dL/dz_k = p_k, dL/dz_y = -q
gradient     dL/dc_k = dL/dz_k dz_k/dc_k
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.loss import SVXSoftmax
from svref.reference import Step, finite_or_zero, log_sum_exp, sigmoid, softplus, through_pole


class Logits(NamedTuple):
    """Logits z_k, the target's z_y among them, and dz_k/dc_k, both (B, C)."""

    z: FloatArray
    slope: FloatArray


Own = tuple[IntArray, IntArray]  # the label's entries (b, y_b)
Result = tuple[FloatArray, FloatArray]
CosineRun = Callable[[SVXSoftmax, FloatArray, IntArray, FloatArray], Result]
ToLogits = Callable[[Step], Logits]
Entropy = Callable[[FloatArray, Own], Result]


def right(loss: SVXSoftmax, cosines: FloatArray, labels: IntArray, cotangent: FloatArray) -> Result:
    """Return the losses and the gradient of Σ cotangent_b L_b as svref computes them."""
    step = loss.forward(cosines, labels)
    return step.loss, loss.backward(step, cotangent).cosines


def plain(step: Step, f: FloatArray | None = None, slope: FloatArray | None = None) -> Logits:
    """Return the logits without emphasis; `f` and `slope` replace the margin's value and df/dc."""
    z, slopes = step.s * step.cosines, np.full_like(step.cosines, step.s)
    z[step.own] = step.s * (step.margin.value(step.angle) if f is None else f)
    slopes[step.own] = step.s * (step.margin.by_cosine(step.angle) if slope is None else slope)
    return Logits(z, slopes)


def emphasised(logits: Logits, step: Step, mask: BoolArray | None = None, scale: float | None = None) -> Logits:
    """Return the logits plus log h; `mask` replaces I, and `scale` the s inside h."""
    s, used = step.s if scale is None else scale, step.mask if mask is None else mask
    log_h, rise = step.emphasis.log_h(step.cosines, used, s), s * (step.emphasis.slope(used) - 1)
    return Logits(logits.z + log_h, logits.slope + rise)


def right_logits(step: Step) -> Logits:
    """Return the paper's logits."""
    return emphasised(plain(step), step)


def but_labels(step: Step, mask: BoolArray) -> BoolArray:
    """Return a mask without the label columns."""
    mask[step.own] = False
    return mask


def cross_entropy(z: FloatArray, own: Own) -> Result:
    """Return -log softmax(z)_y and its derivatives by z, relative to the target, so that nothing cancels."""
    r = z - z[own][:, None]
    r[own] = -np.inf
    a = log_sum_exp(r)
    by_z = sigmoid(a)[:, None] * np.exp(r - finite_or_zero(a)[:, None])
    by_z[own] = -sigmoid(a)
    return softplus(a), by_z


def from_logits(logits: ToLogits, entropy: Entropy = cross_entropy) -> CosineRun:
    """Return the computation of these logits and this entropy."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = loss.forward(c, y)
        z, slope = logits(step)
        losses, by_z = entropy(z, step.own)
        dead = (g == 0)[:, None] | (c.shape[1] == 1)
        return losses, through_pole(by_z * g[:, None], slope, dead) + 0.0

    return run
