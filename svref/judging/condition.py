r"""How far rounding may carry each output: the condition scales K, and the tolerance made from them.

A candidate is right in an element if

    |error| <= 8 u K (1 + C/128) |cotangent| + 4 max(1, s t) tiny max(1, |cotangent|)

with u the unit roundoff and tiny the smallest normal number of the dtype it computes in. K is the first-order
error, in units of u, of the formulations people write: rounded logits, a shifted softmax, the sine taken from the
cosine, p_y - 1 (equations 40 to 44 of docs/explanation/rounding.md). There is no rtol and no atol to choose.

Where a plan has several formats, u is that of the softmax here. `narrow` has what narrower stages add.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.formats import format_of, holds
from svref.head import HeadGradients
from svref.head.geometry import Directions, directions
from svref.head.shards import Shard
from svref.judging.figures import branch_gap, few_digits, figures, is_exact, steepness, widest
from svref.judging.precision import Precision, precision_of
from svref.reference import Step, sigmoid

SLACK = 8.0  # constants that a first-order error in units of u leaves out
LARGEST = 2.0**1022  # of z_s, so that 1 + z_s is finite; the tolerance excuses anything there
LOST = 0.5  # how far a rounding may move a logit: where it may be farther, the first order says nothing of p
BEYOND = 8.0  # how far the cosines' errors must move a logit for the first order to say nothing of a probability
UNDECIDED = 4.0  # half the width, in units of u, of the band around a boundary in which rounding decides
MOST_UNDECIDED = 3  # decisions of a row that are tried either way: 2^3 ways of being right


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


@np.errstate(under="ignore", over="ignore")
def scales(step: Step, precision: Precision | DTypeLike) -> Scales:
    """Return the condition scales of a float64 `step`, in units of the softmax's u (equation 41)."""
    u = unit_roundoff(precision_of(precision).softmax)
    errors = figures(step.margin, step.angle, u)
    z = step.s * step.cosines + step.log_h
    z[step.own] = step.s * step.f
    zs = np.maximum(np.abs(z).max(axis=1) + step.s * errors.value, step.loss)  # L > z_s: many classes, small logits
    zs = np.minimum(zs, LARGEST)
    moved = by_logits(step, lost=u * zs > LOST)
    q, p_y = sigmoid(step.a), sigmoid(-step.a)
    target = 1 + np.maximum(q, p_y) * zs
    by_cosines = step.s * moved * step.emphasis.slope(step.mask) * (1 + zs)[:, None]
    by_cosines[step.own] = step.s * errors.by_cosine * target
    by_t = step.emphasis.log_h_by_t(step.cosines, step.mask, step.s)
    return Scales(
        loss=1 + zs,
        cosines=by_cosines,
        s=(1 + zs) * (moved * np.abs(z / step.s)).sum(axis=1) + np.abs(step.f) + q * errors.value,
        t=(1 + zs) * (moved * np.abs(by_t)).sum(axis=1),
        margin={name: step.s * error * target for name, error in errors.by_parameter.items()},
    )


@np.errstate(under="ignore", over="ignore")
def head_scales(
    step: Step, rows: Directions, classes: Directions, g: FloatArray, precision: Precision | DTypeLike
) -> tuple[FloatArray, HeadGradients]:
    r"""Return the condition scales of the losses and of both gradients at head level (equations 43 and 44).

    Every cosine carries an error of :math:`\sqrt D` units; it moves the loss by dL/dc and dL/dc by its own
    derivatives, and all of it is carried through both projections. The gradients are those of Σ g_b L_b.
    """
    plan = precision_of(precision)
    at, u = scales(step, plan), unit_roundoff(plan.softmax)
    reach = float(np.sqrt(rows.unit.shape[1])) * (unit_roundoff(plan.accumulator) / u)
    gradient, second = cosine_sensitivities(step, u, u * reach)
    loss = at.loss + reach * gradient.sum(axis=1)  # (43)
    per_entry = np.abs(g)[:, None] * (at.cosines + reach * (second + gradient))  # (44)
    return loss, carried(per_entry, rows, classes)


def tolerance(
    scale: FloatArray,
    classes: int,
    s: float,
    t: float,
    precision: Precision | DTypeLike,
    cotangent: FloatArray | float = 1.0,
) -> FloatArray:
    """Return the largest error of a right candidate (equation 40).

    The sums over the classes have the accumulator's u. A number below the smallest normal one may be lost before or
    after the cotangent multiplies it; so its loss counts for a cotangent of at least 1, also where that is 0.
    """
    plan = precision_of(precision)
    u, least = unit_roundoff(plan.softmax), format_of(plan.softmax).least
    sums = unit_roundoff(plan.accumulator) / u * (classes / 128)
    size = np.abs(cotangent)
    return SLACK * u * scale * (1 + sums) * size + 4 * max(1.0, s * t) * least * np.maximum(1.0, size)


@np.errstate(under="ignore")
def undecided(
    step: Step, precision: Precision | DTypeLike, dimensions: int = 0, exact: BoolArray | None = None
) -> tuple[BoolArray, FloatArray]:
    """Return which mask decisions (B, C) rounding may take either way, and its reach at branches (B,).

    A decision is undecided if c_k is within 4 u (1 + fs) max(1, |c_k|, |f|) of the boundary f (equation 42), with the
    u of the logits. A tie of numbers with few digits is decided all the same, because no formulation rounds them.
    Without an emphasis the mask does not matter, and none is undecided. The reach is how far around c_y a switch of f
    (a tail, an easy margin) may go either way; it is negative in rows without such a switch.

    At head level, D = `dimensions`, every cosine has the error of `cosine_error` besides, and f that error times its
    slope. Narrow operands count in rows that are not `exact`.
    """
    plan = precision_of(precision)
    u, moved = unit_roundoff(plan.logits), cosine_error(plan, dimensions, exact)
    decider = step.emphasis.boundary or step.margin
    b = step.boundary
    carried = moved / u * (1 + steepness(decider, step.angle, u))
    width = UNDECIDED * u * (1 + widest(decider, step.angle, u) + carried)
    near = np.abs(step.cosines - b[:, None]) <= width[:, None] * np.maximum(
        1, np.maximum(np.abs(step.cosines), np.abs(b)[:, None])
    )
    held = few_digits(step.cosines, plan.logits) & is_exact(decider, step.angle, plan.logits)[:, None]
    if dimensions and product_error(plan):  # a cosine of few digits may come from operands of many
        held &= False if exact is None else exact[:, None]
    near &= ~held
    near[step.own] = False
    near &= step.emphasis.t > 1
    reach = UNDECIDED * u * (1 + moved / u + widest(step.margin, step.angle, u))
    gap = np.minimum(branch_gap(step.margin, step.angle), branch_gap(decider, step.angle))
    return near, np.where(gap <= reach, reach, -1.0)


def undecided_at_head(shard: Shard, step: Step, precision: Precision | DTypeLike) -> tuple[BoolArray, FloatArray]:
    """Return `undecided` for the embeddings and weights of a head, whose `step` it is."""
    plan, x, w = precision_of(precision), directions(shard.embeddings), directions(shard.weights)
    return undecided(step, plan, x.unit.shape[1], exact_rows(step, x, w, plan))


def rounds_to_pole(step: Step, precision: Precision | DTypeLike, dimensions: int) -> BoolArray:
    """Return the rows of a head whose target's cosine may come out as ±1, without being it.

    There 1 - |c| is within the rounding error of a sum of D products, so that df/dc, which is finite, may come out
    infinite.
    """
    plan = precision_of(precision)
    within = UNDECIDED * (unit_roundoff(plan.logits) + cosine_error(plan, dimensions)[0])
    sine = step.angle.sine
    return np.asarray(step.margin.angular & (sine > 0) & (sine**2 <= 2 * within))


def cosine_error(plan: Precision, dimensions: int, exact: BoolArray | None = None) -> FloatArray:
    """Return how far a head's rounding may carry the cosines of a row, (B,) or (1,).

    That is √D u of the accumulator, and `product_error` in rows that are not `exact`.
    """
    narrow = product_error(plan) if dimensions else 0.0
    return np.sqrt(dimensions) * unit_roundoff(plan.accumulator) + np.where(
        np.zeros(1, bool) if exact is None else exact, 0.0, narrow
    )


def product_error(plan: Precision) -> float:
    """Return how far narrow operands of the product, and storing a cosine narrow, carry it more.

    Σ |x̂_d ŵ_d| is at most 1, so operands off by u of themselves move the sum by 2 u; a cosine is at most 1, too.
    """
    return excess(plan.product, plan.accumulator) + excess(plan.cosines, plan.softmax)


def exact_rows(step: Step, rows: Directions, classes: Directions, plan: Precision) -> BoolArray:
    """Return the rows of a head whose cosines no formulation rounds in narrow operands, (B,).

    The unit vectors and the cosines are numbers of the narrow formats, and the lengths powers of two.
    """
    x, w = (_is_held(directions, plan.product) for directions in (rows, classes))
    return np.asarray(x & w.all() & holds(step.cosines, plan.cosines).all(axis=1))


def _is_held(directions: Directions, form: str) -> BoolArray:
    """Return where a format holds a unit vector, and the length is a power of two, so that dividing by it is exact."""
    return np.asarray(holds(directions.unit, form).all(axis=1) & (np.frexp(directions.length)[0] == 0.5))


def excess(form: str, over: str) -> float:
    """Return by how much the unit roundoff of a format exceeds that of another; 0 if it does not."""
    return max(0.0, unit_roundoff(form) - unit_roundoff(over))


def by_logits(step: Step, lost: BoolArray) -> FloatArray:
    """Return |dL/dz|: p_k, and q at the label; 1 in rows that are `lost`.

    There u z_s exceeds 1/2. Two or three roundings may then move a logit by more than 1, and every p_k in [0, 1] may be
    right.
    """
    moved = step.probabilities.copy()
    moved[step.own] = sigmoid(step.a)
    moved[lost] = 1.0
    return moved


def cosine_sensitivities(step: Step, u: float, error: float) -> tuple[FloatArray, FloatArray]:
    """Return |dL/dc|, and to first order how far it moves if every cosine of the row moves by 1 (equation 43).

    With slopes ζ_k = |dz_k/dc_k|, p_k moves by at most p_k (ζ_k + Σ p_j ζ_j), since dp_k/dz_j = p_k (δ_kj - p_j);
    q by p_y Σ_{j≠y} p_j (ζ_j + ζ_y); df/dc by F'. `steepness` caps the slopes at a pole. A straight-through margin
    multiplies by the slope 1, but its z_y moves with the true slope of f: ζ_y is the larger of the two.

    Where cosines off by `error` move a logit by more than `BEYOND`, every p_k in [0, 1] may be right.
    """
    q, p_y = sigmoid(step.a), sigmoid(-step.a)
    slope, steep = step.s * step.emphasis.slope(step.mask), steepness(step.margin, step.angle, u)
    factor = step.s * np.minimum(np.abs(step.margin.by_cosine(step.angle)), np.maximum(steep, u**-0.5))
    slope[step.own] = target = np.maximum(factor, step.s * steep)
    steepest = slope.max(axis=1)
    lost = error * steepest > BEYOND
    of_others = step.probabilities * slope
    of_others[step.own] = 0  # not subtracted from the sum: where p_y is nearly 1, nothing right would be left
    others = of_others.sum(axis=1)
    gradient = by_logits(step, lost) * slope
    second = gradient * (slope + np.where(lost, steepest, others + p_y * target)[:, None])
    bent = step.s * q * figures(step.margin, step.angle, u).by_cosine
    second[step.own] = factor * np.where(lost, steepest, p_y * (others + q * target)) + bent
    return gradient, second


def carried(per_entry: FloatArray, rows: Directions, classes: Directions) -> HeadGradients:
    """Return the scales of both gradients of a head from those of the entries of dL/dc (equation 44)."""
    return HeadGradients(_carried(per_entry, rows, classes), _carried(per_entry.T, classes, rows))


def _carried(per_entry: FloatArray, rows: Directions, others: Directions) -> FloatArray:
    """Return the scales of Σ_k G_k (ô_k - c_k r̂)/|r| from those of the G_k."""
    carried = per_entry @ np.abs(others.unit) + per_entry.sum(axis=1)[:, None] * np.abs(rows.unit)
    return np.ldexp(carried / rows.length[:, None], -rows.exponent[:, None])
