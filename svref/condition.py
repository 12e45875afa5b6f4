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

from svref import stages
from svref import step as passes
from svref.head import Directions, HeadGradients
from svref.inputs import BoolArray, FloatArray
from svref.step import Step

SLACK = 8.0
UNDECIDED = 4.0


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
    return float(np.finfo(dtype).eps) / 2


def scales(step: Step, dtype: DTypeLike) -> Scales:
    """Return the condition scales of a float64 `step` for a candidate that computes in `dtype` (equation 41)."""
    gradients = passes.gradients(step, np.ones(len(step.labels)))
    figures = step.margin.figures(step.angle, unit_roundoff(dtype))
    f, a = step.rows
    z = step.s * step.cosines + step.log_h
    z[step.own] = step.s * f[step.own.rows]
    zs = np.abs(z).max(axis=1) + step.s * figures.value
    pq_zs = 1 + stages.target_error(a) * stages.target_error(-a) * zs
    by_cosines = np.abs(gradients.cosines) * (1 + zs)[:, None]
    by_cosines[step.own] = (step.s * figures.by_cosine * pq_zs)[step.own.rows]
    logit_gradient = _by_logits(step)
    return Scales(
        loss=1 + zs,
        cosines=by_cosines,
        s=(1 + zs) * np.abs(logit_gradient * z / step.s).sum(axis=1) + np.abs(f),
        t=(1 + zs) * np.abs(gradients.t),
        margin={name: step.s * figure * pq_zs for name, figure in figures.by_parameter.items()},
    )


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
    tiny = float(np.finfo(dtype).smallest_normal)
    return SLACK * unit_roundoff(dtype) * scale * (1 + classes / 128) + 4 * max(1.0, s * t) * tiny


def undecided(step: Step, dtype: DTypeLike) -> tuple[BoolArray, BoolArray]:
    """Return which mask decisions (B, C) and branch decisions (B,) rounding in `dtype` may take either way.

    The band is 4 u (1 + fs) max(1, |c_k|, |f|) wide (equation 42); it is empty where the boundary costs no
    rounding in `dtype`, so that an exact tie is decided.
    """
    u = unit_roundoff(dtype)
    decider = step.emphasis.boundary or step.margin
    b = decider.value(step.angle)
    reach = UNDECIDED * u * (1 + decider.figures(step.angle, u).value)
    magnitude = np.maximum(1, np.maximum(np.abs(step.cosines), np.abs(b)[:, None]))
    near = np.abs(step.cosines - b[:, None]) <= reach[:, None] * magnitude
    near &= ~decider.is_exact(step.angle, dtype)[:, None]
    near[step.own] = False
    branch_reach = UNDECIDED * u * (1 + step.margin.figures(step.angle, u).value)
    return near, step.margin.branch_gap(step.angle) <= branch_reach


def _by_logits(step: Step) -> FloatArray:
    """Return dL/dz: p_k, and -q at the label."""
    by_logits = step.probabilities.copy()
    by_logits[step.own] = -stages.target_error(step.rows[1])[step.own.rows]
    return by_logits


def _cosine_sensitivities(step: Step, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
    """Return |dL/dc|, and how far it moves if every cosine of the row moves by 1, to first order.

    dp_k moves by p_k (own slope + mean slope), since dp_k/dz_j = p_k (δ_kj - p_j); df/dc by at most F'. Slopes at
    a pole are capped where the working precision cannot tell it from its neighbours, at u^-1/2.
    """
    figures = step.margin.figures(step.angle, unit_roundoff(dtype))
    slope = step.s * step.emphasis.slope(step.mask)
    target_slope = np.minimum(np.abs(step.margin.by_cosine(step.angle)), unit_roundoff(dtype) ** -0.5)
    slope[step.own] = (step.s * target_slope)[step.own.rows]
    mean_slope = (step.probabilities * slope).sum(axis=1)[:, None]
    gradient = np.abs(_by_logits(step)) * slope
    second = gradient * (slope + mean_slope)
    second[step.own] += (step.s * stages.target_error(step.rows[1]) * figures.by_cosine)[step.own.rows]
    return gradient, second


def _carried(per_entry: FloatArray, rows: Directions, others: Directions) -> FloatArray:
    """Return the scales of Σ_k G_k (ô_k - c_k r̂)/|r| from those of the G_k."""
    carried = per_entry @ np.abs(others.unit) + per_entry.sum(axis=1)[:, None] * np.abs(rows.unit)
    return np.ldexp(carried / rows.length[:, None], -rows.exponent[:, None])
