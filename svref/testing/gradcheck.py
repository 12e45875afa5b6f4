r"""Points and steps at which finite differences are valid, since no decision flips within the step.

Finite differences compare the loss on both sides of a point. Where the mask or the margin decides otherwise on one
side, the loss jumps, and the difference says nothing about a gradient. A point is certified here by distances: to the
mask's boundary, to the switches of the margin, and to the poles. Let every cosine move by at most ρ. The target's σ
then stays above a least one, and with a bound T of |df/dθ| the boundary β moves by at most

.. math:: |\Delta\beta| \le K \rho, \qquad K = \max(1, T) / \sigma_{\min}

so that no decision c_k > β flips while (1 + K) ρ < |c_k - β|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.checks import real_parameter
from svref.golden.vectors import Vector, find, load
from svref.head.shards import Shard
from svref.judging.figures import branch_gap
from svref.loss import SVXSoftmax
from svref.margins import Angle, Combined, EasyMargin, Margin, MultiplicativeAngle, StraightThrough
from svref.variants import VARIANTS, spelt

STEPS = 8  # how many steps an input may move: jax.test_util.check_grads draws its directions from a normal distribution
WANTED = 2.0**-20  # the step of torch.autograd.gradcheck is 1e-6
LEAST = 2.0**-27  # with a smaller step a difference of two float64 losses has too few digits
APART = 1 / 64  # how far a cosine that is too near to a decision is moved
INSIDE = 1 - 1 / 32  # how near to a pole a target is left, where the margin is one of the angle
BEND = 1.1  # arcsin(r) is at most so many times r for r up to 1/2
MOST_SHIFTS = 12  # of a target, to either side
MOST_TRIED = 32  # directions in which a row of a head is moved


@dataclass(frozen=True, eq=False)
class GradcheckPoint:
    """A point and a step at which finite differences are valid.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    arrays : tuple of arrays
        Cosines (B, C); or embeddings (B, D) and weights (C, D). float64.
    labels : array of int, shape (B,)
        The target classes.
    step : float
        The largest step, the `eps` of torch.autograd.gradcheck and of jax.test_util.check_grads.
    distance : float
        How far every input may move, all at once, before a decision flips: at least eight steps.
    moved : int
        In how many rows the inputs are not those of the case, because they were too near to a decision.
    """

    loss: SVXSoftmax
    arrays: tuple[FloatArray, ...] = field(repr=False)
    labels: IntArray = field(repr=False)
    step: float
    distance: float
    moved: int


def gradcheck_point(
    loss: SVXSoftmax | str, case: str | Vector | None = None, *, step: float = WANTED
) -> GradcheckPoint:
    """Return a point and a step that flip no decision, so that gradcheck and check_grads are valid there.

    No support vector is gained or lost within the step, and no tail, piece or easy margin is entered or left; no
    target reaches a pole. Rows that are too near to one of these are moved away from it.

    Parameters
    ----------
    loss : SVXSoftmax or str
        The loss; or the name of a variant, at the parameters of the case.
    case : str or Vector, optional
        The case whose inputs are taken, or its id; None is the first ordinary one of the variant on cosines.
    step : float, default 2**-20
        The step that is wanted, about 1e-6. The step of the point is smaller where a decision is nearer.

    Returns
    -------
    GradcheckPoint

    Raises
    ------
    ValueError
        If the case is unknown or about inputs that must raise, the margin is straight-through, whose backward pass is
        no derivative, or no step of at least 2**-27 is valid.
    TypeError
        If the loss is neither, or its margin is none of svref's.

    Examples
    --------
    >>> import svref.testing
    >>> point = svref.testing.gradcheck_point("sv-am-softmax")
    >>> point.step, point.distance > 8 * point.step, point.arrays[0].shape
    (9.5367431640625e-07, True, (4, 6))
    """
    vector = _vector_of(loss, case)
    real_parameter("step", step, LEAST, 1.0)
    right = vector.loss if isinstance(loss, str) else loss
    if not isinstance(right, SVXSoftmax):
        raise TypeError(f"loss must be an SVXSoftmax or the name of a variant; got {loss!r}.")
    names = ("cosines",) if vector.level == "cosine" else ("embeddings", "weights")
    arrays = tuple(np.array(vector.inputs[name], np.float64) for name in names)
    apart, moved = _moved(right, arrays, vector.labels, STEPS * step)
    distance = float(_distances(right, apart, vector.labels).min())
    certified = min(step, distance / STEPS)
    if certified < LEAST:
        raise ValueError(f"no step is valid at {vector.id}: a decision is {distance:.2g} away; take another case.")
    return GradcheckPoint(right, apart, vector.labels, certified, distance, moved)


def _vector_of(loss: SVXSoftmax | str, case: str | Vector | None) -> Vector:
    """Return the case; raise a ValueError unless it has numbers, and is one of the variant."""
    name = spelt(loss) if isinstance(loss, str) else ""
    if name and name not in VARIANTS:
        raise ValueError(f"loss must be one of {', '.join(VARIANTS)}; got {loss!r}.")
    if case is None:
        variant = name or "softmax"
        return next(v for v in load() if (v.variant, v.group, v.level) == (variant, "basic", "cosine"))
    vector = find(case) if isinstance(case, str) else case
    if vector.result == "error":
        raise ValueError(f"the inputs of {vector.id} must raise, so that there is no gradient to check.")
    if name and name != vector.variant:
        raise ValueError(f"{vector.id} is a case of {vector.variant}, not of {name}.")
    return vector


# ---- distances ---------------------------------------------------------------------------------------------------


def _distances(loss: SVXSoftmax, arrays: tuple[FloatArray, ...], labels: IntArray) -> FloatArray:
    """Return, row by row, how far every input may move before a decision of the row flips."""
    if len(arrays) == 1:
        return _of_cosines(loss, arrays[0], labels)
    x, w = arrays
    row = _of_cosines(loss, Shard.of(loss, x, w, labels).step().cosines, labels)
    lengths, others = (np.linalg.norm(v, axis=1) for v in (x, w))
    turned = BEND * math.sqrt(x.shape[1]) * (1 / lengths + 1 / others.min())  # what a cosine moves, for each unit
    return np.minimum(row / turned, np.minimum(lengths, others.min()) / (2 * math.sqrt(x.shape[1])))


def _of_cosines(loss: SVXSoftmax, cosines: FloatArray, labels: IntArray) -> FloatArray:
    """Return, row by row, how far every cosine may move before a decision of the row flips."""
    step = loss.forward(cosines, labels)
    decider = loss.emphasis.boundary or loss.margin
    angle, reach = step.angle, np.full(len(labels), np.inf)
    for margin in (loss.margin, decider):
        reach = np.minimum(reach, np.minimum(branch_gap(margin, angle), _piece_gap(margin, angle)))
    if loss.margin.angular or decider.angular:
        reach = np.minimum(reach, (1 - np.abs(angle.cosine)) / 2)
        reach = np.minimum(reach, _room(cosines))
    if loss.emphasis.t > 1:
        gap = np.abs(cosines - step.boundary[:, None])
        gap[step.own] = np.inf
        reach = np.minimum(reach, gap.min(axis=1) / (1 + _slope(decider, angle)))
    return np.asarray(np.minimum(reach, 1.0) * (1 - 2.0**-20))  # rounding of these distances is far less


def _room(cosines: FloatArray) -> FloatArray:
    """Return how far the cosines of a row are from ±1, beyond which an angle has no cosine."""
    return np.asarray((1 - np.abs(cosines)).min(axis=1))


def _slope(decider: Margin, angle: Angle) -> FloatArray:
    """Return K, the most that β moves for each unit that the cosines move, half of the way to the pole included."""
    if not decider.angular:
        return np.ones_like(angle.cosine)
    nearest = (1 + np.abs(angle.cosine)) / 2  # the cosine half of the way to the pole
    sine = np.sqrt(np.maximum((1 - nearest) * (1 + nearest), np.finfo(np.float64).tiny))
    return np.asarray(max(1.0, turning(decider)) / sine)


@singledispatch
def turning(margin: Margin) -> float:
    """Return T, a bound of |df/dθ| at all angles: 1 for f = cos(θ + m) with each of its tails, and for f = c - m."""
    if type(margin).__module__ != Margin.__module__:
        raise TypeError(f"svref knows no bound of df/dθ of {type(margin).__name__}; register it: turning.register.")
    return 1.0


@turning.register
def _(margin: MultiplicativeAngle) -> float:
    """M: f is made of pieces of cos(m θ); annealing brings it nearer to c."""
    return float(margin.m)


@turning.register
def _(margin: Combined) -> float:
    """m1: f = cos(m1 θ + m2) - m3."""
    return float(margin.m1)


@turning.register
def _(margin: EasyMargin) -> float:
    """That of the margin inside, or of the plain cosine."""
    return max(1.0, turning(margin.margin))


@turning.register
def _(margin: StraightThrough) -> float:
    """None: the backward pass is no derivative."""
    raise ValueError(
        "the backward pass of a straight-through margin is no derivative, so that no difference equals it."
    )


def _piece_gap(margin: Margin, angle: Angle) -> FloatArray:
    """Return the distance of c_y to the nearest end of a piece of A-Softmax, where the second derivative jumps."""
    if isinstance(margin, EasyMargin):
        return _piece_gap(margin.margin, angle)
    if not isinstance(margin, MultiplicativeAngle) or margin.m < 2:
        return np.full(angle.cosine.shape, np.inf)
    ends = np.cos(np.arange(1, margin.m) * np.pi / margin.m)
    return np.asarray(np.abs(angle.cosine[:, None] - ends).min(axis=1))


# ---- away from decisions -----------------------------------------------------------------------------------------


def _moved(
    loss: SVXSoftmax, arrays: tuple[FloatArray, ...], labels: IntArray, wanted: float
) -> tuple[tuple[FloatArray, ...], int]:
    """Return the inputs with every row that is nearer to a decision than wanted moved away, and how many these are."""
    turning(loss.margin)
    near = _distances(loss, arrays, labels) <= wanted
    first, *rest = arrays
    if rest:
        return (_embeddings_apart(loss, first, rest[0], labels, wanted), rest[0]), int(near.sum())
    apart = first.copy()
    for b in np.flatnonzero(near):
        apart[b] = _row_apart(loss, first[b : b + 1], labels[b : b + 1], wanted)[0]
    return (apart,), int(near.sum())


def _row_apart(loss: SVXSoftmax, row: FloatArray, label: IntArray, wanted: float) -> FloatArray:
    """Return one row of cosines, (1, C), with its target moved from poles and switches, then its negatives from β.

    The target is moved to either side by more and more, until no decision is near; else the best place counts.
    """
    inside = np.clip(row, -INSIDE, INSIDE) if loss.margin.angular else row
    best, far = inside, 0.0
    for shift in (side * n * APART for n in range(MOST_SHIFTS) for side in (1, -1)):
        tried = inside.copy()
        tried[0, label] = np.clip(tried[0, label] + shift, -INSIDE, INSIDE) if shift else tried[0, label]
        tried = _negatives_apart(loss, tried, label)
        distance = float(_of_cosines(loss, tried, label)[0])
        if distance > far:
            best, far = tried, distance
        if far > wanted:
            break
    return best


def _negatives_apart(loss: SVXSoftmax, cosines: FloatArray, labels: IntArray) -> FloatArray:
    """Return cosines whose negatives are at least `APART` away from β, on the side where they were if there is room."""
    step = loss.forward(cosines, labels)
    boundary = np.broadcast_to(step.boundary[:, None], cosines.shape)
    near = np.abs(cosines - boundary) < APART
    near[step.own] = False
    above = (cosines > boundary) & (boundary + APART < INSIDE) | (boundary - APART < -INSIDE)
    return np.where(near, np.where(above, boundary + APART, boundary - APART), cosines)


def _embeddings_apart(
    loss: SVXSoftmax, embeddings: FloatArray, weights: FloatArray, labels: IntArray, wanted: float
) -> FloatArray:
    """Return embeddings whose near rows are turned, in the first of some directions that brings them far enough."""
    apart = embeddings.copy()
    best = _distances(loss, (apart, weights), labels)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    for i in range(MOST_TRIED):
        direction = np.cos(np.arange(embeddings.shape[1]) * (2 * i + 1) + np.arange(len(labels))[:, None])
        tried = np.where((best <= wanted)[:, None], embeddings + lengths * direction * (i + 2) * APART, apart)
        found = _distances(loss, (tried, weights), labels)
        apart[found > best], best = tried[found > best], np.maximum(best, found)
    return apart
