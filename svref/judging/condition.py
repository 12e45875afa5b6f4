r"""How far rounding may carry each output: the condition scales K, and the tolerance made of them.

A candidate is right in an element if

    |error| <= (8 u K (1 + C/128) + 4 max(1, s t) tiny) |cotangent|

with u the unit roundoff and tiny the smallest normal number of the dtype it computes in. K is the first-order
error, in units of u, of the formulations people write: rounded logits, a shifted softmax, the sine taken from the
cosine, p_y - 1 (equations 40 to 44). There is no rtol and no atol to choose.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from svref import step as passes
from svref.arrays import BoolArray, FloatArray
from svref.engine import kernels
from svref.head import HeadGradients
from svref.head.geometry import Directions
from svref.judging.formats import format_of
from svref.margins.base import few_digits
from svref.step import Step

SLACK = 8.0
UNDECIDED = 4.0
MOST_UNDECIDED = 3  # decisions of a row that are tried either way


@dataclass(frozen=True, eq=False)
class Scales:
    """The condition scale of each output of a step, float64, in the shape of the output."""

    loss: FloatArray
    cosines: FloatArray
    s: FloatArray
    t: FloatArray
    margin: dict[str, FloatArray] = field(default_factory=dict)


def unit_roundoff(dtype: DTypeLike) -> float:
    """Return u, half the spacing of the numbers next to 1."""
    return format_of(dtype).unit_roundoff


@np.errstate(under="ignore")
def scales(step: Step, dtype: DTypeLike) -> Scales:
    """Return the condition scales of a float64 `step` for a candidate that computes in `dtype` (equation 41)."""
    gradient = passes.cosine_gradient(step, np.ones(len(step.labels)))
    figures = step.margin.figures(step.angle, unit_roundoff(dtype))
    f, a = step.target.f, step.log_odds
    z = step.s * step.cosines + step.log_h
    z[step.own] = step.s * f[step.own.rows]
    zs = np.abs(z).max(axis=1) + step.s * figures.value
    q = kernels.target_error(a)
    target = 1 + np.maximum(q, kernels.target_error(-a)) * zs
    by_cosines = np.abs(gradient) * (1 + zs)[:, None]
    by_cosines[step.own] = (step.s * figures.by_cosine * target)[step.own.rows]
    logit_gradient = _by_logits(step)
    by_t = step.s * step.emphasis.raised(step.cosines, step.mask)
    return Scales(
        loss=1 + zs,
        cosines=by_cosines,
        s=(1 + zs) * np.abs(logit_gradient * z / step.s).sum(axis=1) + np.abs(f) + q * figures.value,
        t=(1 + zs) * (step.probabilities * np.abs(by_t)).sum(axis=1),
        margin={name: step.s * figure * target for name, figure in figures.by_parameter.items()},
    )


@np.errstate(under="ignore")
def head_scales(
    step: Step, rows: Directions, classes: Directions, g: FloatArray, dtype: DTypeLike
) -> tuple[FloatArray, HeadGradients]:
    r"""Return the condition scales of the losses and of both gradients at head level (equations 43 and 44).

    Every cosine carries an error of :math:`\sqrt D` units; it moves the loss by dL/dc and dL/dc by its own
    derivatives, and all of it is carried through both projections. The gradients are those of Σ g_b L_b.
    """
    at = scales(step, dtype)
    reach = np.sqrt(rows.unit.shape[1])
    gradient, second = _cosine_sensitivities(step, dtype)
    loss = at.loss + reach * gradient.sum(axis=1)
    per_entry = np.abs(g)[:, None] * (at.cosines + reach * (second + gradient))
    return loss, HeadGradients(_carried(per_entry, rows, classes), _carried(per_entry.T, classes, rows))


def tolerance(scale: FloatArray, classes: int, s: float, t: float, dtype: DTypeLike) -> FloatArray:
    """Return the largest error of a right candidate, for a cotangent of one (equation 40)."""
    tiny = format_of(dtype).tiny
    return SLACK * unit_roundoff(dtype) * scale * (1 + classes / 128) + 4 * max(1.0, s * t) * tiny


@np.errstate(under="ignore")
def undecided(step: Step, dtype: DTypeLike, dimensions: int = 0) -> tuple[BoolArray, FloatArray]:
    """Return which mask decisions (B, C) rounding in `dtype` may take either way, and its reach at branches (B,).

    The band is 4 u (1 + fs) max(1, |c_k|, |f|) wide, with f what decides the mask (equation 42). It is empty where
    all numbers have so few digits that no formulation rounds them, so that a dyadic tie is decided. The reach is
    negative in rows whose branches are decided. Without an emphasis no decision of the mask matters.

    At head level every cosine carries √D units more, `dimensions` being D, and f what its slope makes of them.
    """
    u, spread = unit_roundoff(dtype), np.sqrt(dimensions)
    decider = step.emphasis.boundary or step.margin
    b = step.boundary
    carried = spread * (1 + np.minimum(np.abs(decider.by_cosine(step.angle)), u**-0.5))
    width = UNDECIDED * u * (1 + decider.figures(step.angle, u).value + carried)
    near = np.abs(step.cosines - b[:, None]) <= width[:, None] * np.maximum(
        1, np.maximum(np.abs(step.cosines), np.abs(b)[:, None])
    )
    near &= ~(few_digits(step.cosines, dtype) & decider.is_exact(step.angle, dtype)[:, None])
    near[step.own] = False
    near &= step.emphasis.t > 1
    reach = UNDECIDED * u * (1 + spread + step.margin.figures(step.angle, u).value)
    gap = np.minimum(step.margin.branch_gap(step.angle), decider.branch_gap(step.angle))
    return near, np.where(gap <= reach, reach, -1.0)


def rounds_to_pole(step: Step, dtype: DTypeLike, dimensions: int) -> BoolArray:
    """Return the rows of a head whose target's cosine may come out as ±1 in `dtype`, without being it.

    1 - |c| is within what rounding does to a cosine of D products, and df/dc, a number, may come out infinite.
    """
    within = UNDECIDED * unit_roundoff(dtype) * (1 + np.sqrt(dimensions))
    sine = step.angle.sine
    return np.asarray(step.margin.angular & (sine > 0) & (sine**2 <= 2 * within))


def _by_logits(step: Step) -> FloatArray:
    """Return dL/dz: p_k, and -q at the label."""
    by_logits = step.probabilities.copy()
    by_logits[step.own] = -passes.target_error(step)[step.own.rows]
    return by_logits


def _cosine_sensitivities(step: Step, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
    """Return |dL/dc|, and how far it moves if every cosine of the row moves by 1, to first order.

    With slopes ζ_k = |dz_k/dc_k|, p_k moves by at most p_k (ζ_k + Σ p_j ζ_j), since dp_k/dz_j = p_k (δ_kj - p_j);
    q by p_y Σ_{j≠y} p_j (ζ_j + ζ_y); df/dc by F'. Slopes at a pole are capped at u^-1/2, where the working
    precision cannot tell it from its neighbours.
    """
    u, q, own = unit_roundoff(dtype), passes.target_error(step), step.own
    slope = step.s * (np.zeros(step.mask.shape) + step.emphasis.slope(step.emphasis.lift(step.mask, np.float64)))
    target = step.s * np.minimum(np.abs(step.margin.by_cosine(step.angle)), u**-0.5)
    slope[own] = target[own.rows]
    mean = (step.probabilities * slope).sum(axis=1)
    gradient = np.abs(_by_logits(step)) * slope
    second = gradient * (slope + mean[:, None])
    p_y = 1 - q
    moved = target * p_y * (mean - p_y * target + q * target)
    bent = step.s * q * step.margin.figures(step.angle, u).by_cosine
    second[own] = (moved + bent)[own.rows]
    return gradient, second


def _carried(per_entry: FloatArray, rows: Directions, others: Directions) -> FloatArray:
    """Return the scales of Σ_k G_k (ô_k - c_k r̂)/|r| from those of the G_k."""
    carried = per_entry @ np.abs(others.unit) + per_entry.sum(axis=1)[:, None] * np.abs(rows.unit)
    return np.ldexp(carried / rows.length[:, None], -rows.exponent[:, None])
