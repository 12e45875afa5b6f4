"""One batch held against the reference: each element in units of its tolerance, each near decision both ways.

Shape, dtype, NaN and infinity are compared before values. An error counts as right only if it is known to be
within its tolerance, so a NaN never passes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svref import condition
from svref import step as passes
from svref.conformance.adapters import CandidateError, Outputs
from svref.inputs import BoolArray, FloatArray, IntArray
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.step import Step

MOST_UNDECIDED = 3


@dataclass(frozen=True, eq=False)
class Quantity:
    """One output, element by element.

    Parameters
    ----------
    name : {"loss", "gradient"}
        Which output.
    got, expected, error : arrays of one shape
        The candidate's value, the reference's, and the distance in units of the tolerance (inf for NaN).
    judged : array of bool
        False where the value is not judged: gradients at poles, which are a matter of policy, and skipped rows.
    vacuous : array of bool
        Where the tolerance reaches the expected magnitude, so that a pass says nothing.
    policy : array of bool
        Where the value is at a pole and not judged.
    note : str
        What else is wrong with the output.
    """

    name: str
    got: NDArray[np.float64]
    expected: FloatArray
    error: FloatArray
    judged: BoolArray
    vacuous: BoolArray
    policy: BoolArray
    note: str = ""

    @property
    def policies(self) -> dict[str, int]:
        """What the candidate does at poles: how many entries are infinite, NaN, zero, finite."""
        at_pole = self.got[self.policy]
        kinds = {"infinite": np.isinf(at_pole), "NaN": np.isnan(at_pole), "zero": at_pole == 0}
        finite = np.isfinite(at_pole) & (at_pole != 0)
        return {name: int(where.sum()) for name, where in {**kinds, "finite": finite}.items() if where.any()}

    @property
    def wrong(self) -> BoolArray:
        """Where the value is judged and not within its tolerance."""
        return self.judged & ~(self.error <= 1)


@dataclass(frozen=True, eq=False)
class Judgement:
    """One batch judged.

    Parameters
    ----------
    quantities : tuple of Quantity
        The losses, and the gradient where there was one.
    gap : array, shape (B,)
        Distance of the row's nearest mask decision.
    undecided : array of int, shape (B,)
        Decisions of a judged row closer to their boundary than rounding reaches, compared both ways.
    skipped : array of bool, shape (B,)
        Rows with more undecided decisions than are tried; not judged.
    """

    quantities: tuple[Quantity, ...]
    gap: FloatArray
    undecided: IntArray
    skipped: BoolArray


def judge(
    loss: SVXSoftmax,
    cosines: FloatArray,
    labels: IntArray,
    outputs: Outputs,
    has_gradient: bool = True,
    counted: BoolArray | None = None,
) -> Judgement:
    """Judge what a candidate made of `cosines`, in their dtype, against the reference in float64.

    Rows outside `counted` are not judged.
    """
    dtype = cosines.dtype
    step = _reference(loss, cosines, labels)
    near_mask, reach = condition.undecided(step, dtype)
    count = near_mask.sum(axis=1) + (reach >= 0)
    counted = np.ones(len(labels), dtype=bool) if counted is None else counted
    skipped = (count > MOST_UNDECIDED) & counted
    judged = counted & ~skipped
    ways = [
        _compare(_reference(loss, cosines, labels, flipped, np.where(other, reach, -1.0)), outputs, dtype, has_gradient)
        for flipped, other in _alternatives(near_mask, reach >= 0, ~judged)
    ]
    own = np.zeros(cosines.shape, dtype=bool)
    own[step.own] = True
    gap = np.where(own, np.inf, np.abs(step.cosines - step.boundary[:, None])).min(axis=1)
    return Judgement(_best_way(ways, judged), gap, np.where(judged, count, 0).astype(np.intp), skipped)


def _reference(
    loss: SVXSoftmax,
    cosines: FloatArray,
    labels: IntArray,
    flipped: BoolArray | None = None,
    reach: FloatArray | None = None,
) -> Step:
    c = cosines.astype(np.float64)
    angle = Angle.from_cosine(c[np.arange(len(labels)), labels], reach)
    return passes.forward(loss.margin, loss.emphasis, loss.s, c, labels, angle=angle, flipped=flipped)


def check_outputs(outputs: Outputs, cosines: FloatArray) -> None:
    """Raise a CandidateError unless the outputs are numbers of the shapes of per-sample losses and their gradient."""
    for name, values in (("losses", outputs.losses), ("the gradient", outputs.gradient)):
        if values.dtype.kind not in "fiu":
            raise CandidateError(f"{name} must be real numbers; got dtype {values.dtype}.")
    rows = cosines.shape[:1]
    if outputs.losses.shape != rows:
        raise CandidateError(
            f"losses must be per sample, of shape (B,) = {rows}; got shape {outputs.losses.shape}. "
            "Return them before any mean or sum."
        )
    if outputs.gradient.shape != cosines.shape:
        raise CandidateError(
            f"the gradient must have the shape of the cosines, {cosines.shape}; got shape {outputs.gradient.shape}."
        )


def _alternatives(
    near_mask: BoolArray, near_branch: BoolArray, skipped: BoolArray
) -> list[tuple[BoolArray, BoolArray]]:
    """Return every way to take the undecided decisions, as flips of the mask and rows on the branch's other side.

    Way j takes the i-th undecided decision of a row over where bit i of j is set; rows are independent, so at
    most 2^3 ways serve the whole batch.
    """
    near = np.concatenate([near_mask, near_branch[:, None]], axis=1) & ~skipped[:, None]
    order = np.where(near, np.cumsum(near, axis=1) - 1, -1)
    most = int(near.sum(axis=1).max(initial=0))
    ways = []
    for bits in itertools.product((False, True), repeat=most):
        turned = near & np.isin(order, np.flatnonzero(bits))
        ways.append((turned[:, :-1], turned[:, -1]))
    return ways


@np.errstate(under="ignore")
def _compare(step: Step, outputs: Outputs, dtype: np.dtype[np.floating], has_gradient: bool) -> list[Quantity]:
    scales = condition.scales(step, dtype)
    args = (step.cosines.shape[1], step.s, step.emphasis.t, dtype)
    pole = np.zeros(step.cosines.shape, dtype=bool)
    pole[step.own] = (step.angle.sine == 0)[step.own.rows] & step.margin.angular
    nowhere = np.zeros(len(step.labels), dtype=bool)
    tolerance = condition.tolerance(scales.loss, *args)
    quantities = [_quantity("loss", outputs.losses, step.loss, tolerance, nowhere, dtype)]
    if has_gradient:
        g = outputs.cotangent
        expected = passes.cosine_gradient(step, g)
        tolerance = condition.tolerance(scales.cosines, *args) * np.abs(g)[:, None]
        quantities.append(_quantity("gradient", outputs.gradient, expected, tolerance, pole, dtype))
    return quantities


def _quantity(
    name: str,
    got: NDArray[np.generic],
    expected: FloatArray,
    tolerance: FloatArray,
    pole: BoolArray,
    dtype: np.dtype[np.floating],
) -> Quantity:
    """Return the errors in units of the tolerance; a wrong dtype is wrong in every element.

    At a pole infinity, NaN and zero are what right code through acos returns; a finite slope is a policy where the
    limit is infinite, and judged where it is finite. An infinity of the other sign than the limit's is wrong.
    """
    values = np.asarray(got, dtype=np.float64)
    infinite = np.isinf(expected)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        distance = np.abs(values - np.where(infinite, 0.0, expected))
        error = np.where(distance == 0, 0.0, distance / tolerance)
    right_dtype = got.dtype.newbyteorder("=") == dtype
    error = np.where(np.isfinite(values) & right_dtype, error, np.inf)
    finite = np.isfinite(values) & (values != 0)
    wrong_at_pole = np.where(infinite, values == -expected, finite)
    exact = (values == 0) & (expected == 0)
    vacuous = (tolerance >= np.abs(expected)) & (tolerance > 0) & ~pole & ~exact
    note = "" if right_dtype else f"returned in {got.dtype} for cosines in {dtype}"
    return Quantity(name, values, expected, error, ~pole | wrong_at_pole, vacuous, pole & ~wrong_at_pole, note)


def _best_way(ways: list[list[Quantity]], rows_judged: BoolArray) -> tuple[Quantity, ...]:
    """Return, row by row, the way whose worst element over all outputs is best."""
    worst = np.array([np.max([_row_worst(q) for q in way], axis=0) for way in ways])
    best = np.argmin(worst, axis=0)
    rows = np.arange(len(best))

    def chosen(index: int, attribute: str) -> NDArray[np.float64]:
        return np.stack([getattr(way[index], attribute) for way in ways])[best, rows]

    quantities = []
    for index, first in enumerate(ways[0]):
        keep = rows_judged if first.got.ndim == 1 else rows_judged[:, None]
        judged = chosen(index, "judged").astype(bool) & keep
        quantities.append(
            Quantity(
                name=first.name,
                got=first.got,
                expected=chosen(index, "expected"),
                error=chosen(index, "error"),
                judged=judged,
                vacuous=chosen(index, "vacuous").astype(bool),
                policy=chosen(index, "policy").astype(bool) & keep,
                note=first.note,
            )
        )
    return tuple(quantities)


def _row_worst(quantity: Quantity) -> FloatArray:
    error = np.where(quantity.judged, quantity.error, 0.0)
    return error if error.ndim == 1 else error.max(axis=1)
