"""The textbook's form of the loss and the relative one, computed in a format with every operation rounded to it.

Both are right on paper. The textbook takes log Σ e^{z_k} - z_y and p_y - 1; the relative form, which is svref's, takes
log(1 + e^a) and q. Here they are the objects to be measured, so they are written out; f and log h come from the step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import FloatArray
from svref.formats import rounded_to
from svref.loss import SVXSoftmax
from svref.reference import Step

ROUNDINGS: dict[str, Callable[[FloatArray], FloatArray]] = {
    name: functools.partial(rounded_to, name=name) for name in ("float64", "float32", "bfloat16")
}


class Result(NamedTuple):
    """Losses (B,) and their gradient by the cosines (B, C), in float64 with the digits of the format."""

    loss: FloatArray
    gradient: FloatArray


@np.errstate(under="ignore")
def textbook(loss: SVXSoftmax, cosines: ArrayLike, labels: ArrayLike, name: str) -> Result:
    """Return log Σ e^{z_k} - z_y and s (p - onehot) dz/dc, every operation rounded to the format of that name."""
    rounded, step = ROUNDINGS[name], loss.forward(np.asarray(cosines, np.float64), labels)
    z = rounded(rounded(loss.s * step.cosines) + rounded(step.log_h))
    z[step.own] = rounded(loss.s * rounded(step.f))
    peak = z.max(axis=1)
    e = rounded(np.exp(rounded(z - peak[:, None])))
    total = _sum(e, rounded)
    losses = rounded(rounded(rounded(np.log(total)) + peak) - z[step.own])
    p = rounded(e / total[:, None])
    p[step.own] = rounded(p[step.own] - 1)
    return Result(losses, rounded(p * _slopes(step, rounded)))


@np.errstate(under="ignore")
def relative(loss: SVXSoftmax, cosines: ArrayLike, labels: ArrayLike, name: str) -> Result:
    """Return log(1 + e^a) and s q share slope, every operation rounded to the format of that name."""
    rounded, step = ROUNDINGS[name], loss.forward(np.asarray(cosines, np.float64), labels)
    r = rounded(rounded(loss.s * rounded(step.cosines - rounded(step.f)[:, None])) + rounded(step.log_h))
    r[step.own] = -np.inf
    peak = r.max(axis=1)
    e = rounded(np.exp(rounded(r - peak[:, None])))
    total = _sum(e, rounded)
    a = rounded(peak + rounded(np.log(total)))
    small = rounded(np.exp(-np.abs(a)))
    losses = rounded(np.maximum(a, 0) + rounded(np.log1p(small)))
    q = rounded(np.where(a > 0, 1.0, small) / rounded(1 + small))
    by_logits = rounded(q[:, None] * rounded(e / total[:, None]))
    by_logits[step.own] = -q
    return Result(losses, rounded(by_logits * _slopes(step, rounded)))


def _sum(terms: FloatArray, rounded: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Return the sum of each row, one term after the other."""
    total = terms[:, 0]
    for k in range(1, terms.shape[1]):
        total = rounded(total + terms[:, k])
    return total


def _slopes(step: Step, rounded: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Return dz_k/dc_k: s slope_k, and s df/dc in the label's column."""
    slopes = step.s * step.emphasis.slope(step.mask)
    slopes[step.own] = step.s * step.margin.by_cosine(step.angle)
    return rounded(slopes)
