"""Outputs compared with what is right, element by element, in units of the tolerance.

Shape, dtype, NaN and infinity are compared before values. An element passes only if its error is known to be within
its tolerance, so a NaN never passes. Where a decision (a support vector, a tail) lies within rounding of its boundary,
both sides are right. There are then several ways to be right, and each row is judged by the one that fits all of its
outputs best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.formats import format_of

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ExpectedOutput:
    """What one output should be.

    Parameters
    ----------
    name : {"loss", "grad_cosines", "grad_embeddings", "grad_weights"}
        Which output.
    value, rest : arrays of float64
        The right number is value + rest: `rest` is the part that float64 cannot hold, or 0 where it is not known.
    tolerance : array of float64
        The largest error of a right candidate.
    policy : array of bool
        Where the gradient is undefined (a pole). Infinity, NaN and 0 are accepted there: which one is a policy.
    fragile : array of bool
        Where rounding may carry the target's cosine to a pole. Infinity and NaN are accepted there.
    """

    name: str
    value: FloatArray
    rest: FloatArray
    tolerance: FloatArray
    policy: BoolArray
    fragile: BoolArray | np.bool_ = np.False_


Way = tuple[ExpectedOutput, ...]


@dataclass(frozen=True, eq=False)
class Expected:
    """What is right for one batch.

    Parameters
    ----------
    dtype : dtype
        Of the outputs, which is that of the inputs.
    ways : tuple of tuples of ExpectedOutput
        All outputs with the decisions as they are; then, for each other way to take the undecided ones, all again.
    gap : array, shape (B,)
        Distance of the row's nearest mask decision.
    undecided : array of int, shape (B,)
        Decisions within rounding of their boundary.
    judged : array of bool, shape (B,)
        False in rows that are ignored or have more undecided decisions than there are ways.
    loss_dtype : dtype, optional
        Of the losses; None is that of the other outputs.
    """

    dtype: np.dtype[Any]
    ways: tuple[Way, ...]
    gap: FloatArray
    undecided: IntArray
    judged: BoolArray
    loss_dtype: np.dtype[Any] | None = None

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Return the dtype of an output."""
        return self.loss_dtype or self.dtype if name == "loss" else self.dtype

    def note_on(self, name: str, dtype: np.dtype[Any]) -> str:
        """Return what is wrong with the dtype that an output came in; "" if it is right."""
        right = self.dtype_of(name)
        if dtype.newbyteorder("=") == right:
            return ""
        reason = f"{right} was given" if right == self.dtype else f"the plan has {right} for the {name}"
        return f"returned in {dtype} where {reason}"

    @property
    def classes(self) -> int:
        """C, the number of classes."""
        last = self.ways[0][-1].value
        return last.shape[0] if self.ways[0][-1].name == "grad_weights" else last.shape[-1]

    def reduced(self, factor: float) -> Expected:
        """Return what is expected of a scalar, factor Σ_b L_b; its tolerance is infinite if a row has two ways."""
        loss = self.ways[0][0]
        rounding = len(self.gap) * format_of(self.dtype_of("loss")).unit_roundoff * np.abs(loss.value)
        known = self.judged.all() and len(self.ways) == 1
        tolerance = factor * (loss.tolerance + rounding).sum() if known else np.inf
        value, rest = (np.asarray(factor * part.sum()) for part in (loss.value, loss.rest))
        scalar = ExpectedOutput(loss.name, value, rest, np.asarray(tolerance), np.asarray(loss.policy.any()))
        return replace(self, ways=tuple((scalar, *way[1:]) for way in self.ways))


@dataclass(frozen=True, eq=False)
class Quantity:
    """One output, element by element.

    Parameters
    ----------
    name : str
        Which output, as in `ExpectedOutput`.
    got, expected, error : arrays of one shape
        The candidate's value, the right one, and the distance in units of the tolerance (inf for NaN).
    judged : array of bool
        False where the value is not judged: gradients at poles, where a policy decides, and skipped rows.
    vacuous : array of bool
        Where the tolerance is as large as the expected value, so that a pass proves nothing.
    policy : array of bool
        Where the value is at a pole and not judged.
    note : str
        What else is wrong with the output.
    """

    name: str
    got: FloatArray
    expected: FloatArray
    error: FloatArray
    judged: BoolArray
    vacuous: BoolArray
    policy: BoolArray
    note: str = ""

    @property
    def policies(self) -> dict[str, int]:
        """The candidate's policy at poles: how many entries are infinite, NaN, zero, finite."""
        at_pole = self.got[self.policy]
        kinds = {"infinite": np.isinf(at_pole), "NaN": np.isnan(at_pole), "zero": at_pole == 0}
        finite = np.isfinite(at_pole) & (at_pole != 0)
        return {name: int(where.sum()) for name, where in {**kinds, "finite": finite}.items() if where.any()}

    @property
    def wrong(self) -> BoolArray:
        """Where the value is judged and not within its tolerance."""
        return self.judged & ~(self.error <= 1)

    @property
    def passed(self) -> BoolArray:
        """Where the value is judged, within its tolerance, and not vacuous."""
        return self.judged & (self.error <= 1) & ~self.vacuous


@dataclass(frozen=True, eq=False)
class Judgement:
    """One batch judged.

    Parameters
    ----------
    quantities : tuple of Quantity
        One for each output that there was.
    expected : Expected
        What it was compared with.
    branch : array of int, shape (B,)
        By which way the row was judged, 0 for the first.
    """

    quantities: tuple[Quantity, ...]
    expected: Expected
    branch: IntArray

    @property
    def wrong(self) -> bool:
        """Whether an element is wrong."""
        return any(q.wrong.any() for q in self.quantities)


def rows_where(samples: BoolArray | IntArray, like: FloatArray, labels: IntArray | None = None) -> BoolArray:
    """Return True in the rows of some samples, or of their classes, in an array of the shape of `like`."""
    where = np.zeros(like.shape, dtype=bool)
    where[samples if labels is None else labels[samples]] = True
    return where


def judge(expected: Expected, outputs: Outputs) -> Judgement:
    """Compare the outputs that there are with what is expected."""
    ways = [
        [_quantity(right, outputs[right.name], expected) for right in way if right.name in outputs]
        for way in expected.ways
    ]
    best = _best(ways, len(expected.gap))
    quantities = [_by_rows([way[i] for way in ways], best, expected.judged) for i in range(len(ways[0]))]
    return Judgement(tuple(quantities), expected, best)


def _quantity(right: ExpectedOutput, got: NDArray[Any], of: Expected) -> Quantity:
    """Return the errors in units of the tolerance; a wrong dtype is wrong in every element.

    At a pole, right code that goes through acos returns infinity, NaN or zero, and all three are accepted. A finite
    slope is accepted where the limit is infinite, and judged where the limit is finite. An infinity of the opposite
    sign is wrong.
    """
    values, expected = np.asarray(got, dtype=np.float64), right.value
    infinite = np.isinf(expected)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        distance = np.abs((values - np.where(infinite, 0.0, expected)) - right.rest)
        error = np.where(distance == 0, 0.0, distance / right.tolerance)
    note = of.note_on(right.name, got.dtype)
    error = np.where(np.isfinite(values) & (not note), error, np.inf)
    finite = np.isfinite(values) & (values != 0)
    pole = right.policy | (right.fragile & ~np.isfinite(values))
    wrong_at_pole = pole & np.where(infinite, values == -expected, finite)
    exact = (values == 0) & (expected == 0)
    vacuous = (right.tolerance >= np.abs(expected)) & (right.tolerance > 0) & ~pole & ~exact
    return Quantity(right.name, values, expected, error, ~pole | wrong_at_pole, vacuous, pole & ~wrong_at_pole, note)


def _best(ways: Sequence[Sequence[Quantity]], rows: int) -> IntArray:
    """Return, row by row, the way whose worst element over all outputs is best."""
    if len(ways) == 1:
        return np.zeros(rows, dtype=np.intp)
    return np.argmin([np.max([_row_worst(q, rows) for q in way], axis=0) for way in ways], axis=0)


def _row_worst(quantity: Quantity, rows: int) -> FloatArray:
    """Return the worst error of each row; 0 in outputs that have no rows."""
    error = np.where(quantity.judged, quantity.error, 0.0)
    if not _has_rows(quantity, rows):
        return np.zeros(rows)
    return error if error.ndim == 1 else error.max(axis=1, initial=0.0)


def _has_rows(quantity: Quantity, rows: int) -> bool:
    """Return whether an output has one entry, or one row of entries, for each sample."""
    return quantity.got.shape[:1] == (rows,) and quantity.name != "grad_weights"


def _by_rows(ways: Sequence[Quantity], best: IntArray, judged: BoolArray) -> Quantity:
    """Return an output with each row taken from its way, and judged only in the rows that are.

    Weights have no rows of samples: they are judged if all samples are.
    """
    first = ways[0]
    if not _has_rows(first, len(best)):
        keep: Any = judged.all()
        return replace(first, judged=first.judged & keep, policy=first.policy & keep)
    keep = judged if first.got.ndim == 1 else judged[:, None]
    if len(ways) == 1:
        return replace(first, judged=first.judged & keep, policy=first.policy & keep)
    rows = np.arange(len(best))

    def chosen(attribute: str) -> NDArray[Any]:
        return np.asarray(np.stack([getattr(way, attribute) for way in ways])[best, rows])

    return replace(
        first, expected=chosen("expected"), error=chosen("error"), vacuous=chosen("vacuous"),
        judged=chosen("judged") & keep, policy=chosen("policy") & keep,
    )  # fmt: skip
