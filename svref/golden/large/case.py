"""A large case, and the judgement of a candidate: losses, targets, projections, and the first rows element by element.

No file holds the gradient itself. The files hold its products with sign vectors, and its value at each cosine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.formats import STORED
from svref.golden.large.recipe import LargeRecipe
from svref.judging import condition
from svref.loss import SVXSoftmax

Arrays = Mapping[str, FloatArray]
OUTPUTS = ("loss", "target", "projections", "values")
SCALES = OUTPUTS[:3]


class RowReading(NamedTuple):
    """The numbers of one kind in one row, compared with the certified ones.

    Parameters
    ----------
    what : {"loss", "target", "projections", "elements"}
        Which output.
    row, column : int
        Where the largest error is; the column of a projection is its number.
    numbers, wrong, vacuous : int
        How many there are; how many are not within their tolerance; and how many are, but have a tolerance that
        reaches their magnitude.
    error : float
        The largest error in units of its tolerance; infinite for NaN.
    got, expected : float
        The number with that error, and the certified one.
    """

    what: str
    row: int
    column: int
    numbers: int
    wrong: int
    vacuous: int
    error: float
    got: float
    expected: float

    def __str__(self) -> str:
        names = {"loss": f"loss[{self.row}]", "projections": f"projection {self.column} of gradient[{self.row}]"}
        name = names.get(self.what, f"gradient[{self.row}, {self.column}]")
        more = f", the worst of {self.wrong:,}" if self.wrong > 1 else ""
        error = f"error {self.error:.2g} times the tolerance{more}"
        return f"{name} = {self.got:.9g}, but should be {self.expected:.9g}: {error}"


@dataclass(frozen=True, eq=False)
class LargeResult:
    """What `LargeCase.judge` found.

    Parameters
    ----------
    case_id, dtype : str
        The case, and the format the candidate computed in.
    readings : tuple of RowReading
        Each kind of output in each row that was judged.
    skipped : tuple of int
        Rows in which rounding in this format may turn a decision over; they are not judged.
    """

    case_id: str
    dtype: str
    readings: tuple[RowReading, ...] = field(repr=False)
    skipped: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all that was judged is right, and not all of it vacuous."""
        return any(r.numbers > r.vacuous for r in self.readings) and not self.failures

    @property
    def worst(self) -> float:
        """The largest error in units of its tolerance."""
        return max((r.error for r in self.readings), default=0.0)

    @property
    def failures(self) -> tuple[RowReading, ...]:
        """The readings with a wrong number, the largest error first."""
        return tuple(sorted((r for r in self.readings if r.wrong), key=lambda r: -r.error))

    @property
    def wrong_rows(self) -> tuple[int, ...]:
        """The rows in which something is wrong."""
        return tuple(sorted({r.row for r in self.failures}))

    def __str__(self) -> str:
        lines = [f"{self.case_id} · {self.dtype} · {len(self.skipped)} rows skipped"]
        for what in ("loss", "target", "projections", "elements"):
            some = [r for r in self.readings if r.what == what]
            numbers, wrong, vacuous = (sum(getattr(r, n) for r in some) for n in ("numbers", "wrong", "vacuous"))
            worst = max((r.error for r in some), default=0.0)
            passed = numbers - wrong - vacuous
            lines.append(
                f"  {what:<12}{passed:>9,} passed {wrong:>9,} failed {vacuous:>9,} vacuous   worst {worst:.2g}"
            )
        return "\n".join([*lines, "PASS" if self.ok else "FAIL", *(f"  {r}" for r in self.failures[:4])])


@dataclass(frozen=True, eq=False)
class LargeCase:
    """One large case: a recipe of its inputs, and what is certified of the outputs.

    Parameters
    ----------
    id : str
        Variant, shape, and eight hex digits of the recipe's digest; it never changes its meaning.
    recipe : LargeRecipe
        What the inputs are made from.
    digests : mapping
        SHA-256 of the little-endian float64 bytes of the regenerated cosines, labels, cotangent and signs.
    expected, rest : mapping of arrays
        "loss" (B,), "target" (B,), "projections" (B, P), "values" (T, V). The exact number is expected + rest:
        `expected` is the float64 next to it, and `rest` the float64 next to what that leaves.
    scales : mapping of arrays
        Condition scales for a cotangent of one, each (B,): "loss", "target", "projections".
    decisive : mapping of arrays
        For each format, the rows (B,) all of whose decisions its rounding cannot turn over.
    """

    id: str
    recipe: LargeRecipe
    digests: Mapping[str, str] = field(repr=False)
    expected: Arrays = field(repr=False)
    rest: Arrays = field(repr=False)
    scales: Arrays = field(repr=False)
    decisive: Mapping[str, BoolArray] = field(repr=False)

    @property
    def variant(self) -> str:
        """The name in `VARIANTS`."""
        return self.recipe.variant

    @property
    def group(self) -> str:
        """The shape, as in the id."""
        return self.recipe.group

    @property
    def loss(self) -> SVXSoftmax:
        """The loss the case is about."""
        return self.recipe.loss

    @property
    def labels(self) -> IntArray:
        """The target classes, shape (B,)."""
        return self.recipe.labels

    @property
    def cotangent(self) -> FloatArray:
        """What each row's gradient is multiplied by, shape (B,)."""
        return self.recipe.cotangent

    def cosines(self, dtype: DTypeLike = np.float64, rows: slice = slice(None)) -> FloatArray:
        """Return the cosines of some rows, made from the recipe; they are exact in every format."""
        return self.recipe.cosines(dtype, rows)

    def judge(
        self, losses: ArrayLike, gradient: ArrayLike, rows: slice = slice(None), dtype: str | None = None
    ) -> LargeResult:
        """Compare losses and gradient with the certified ones.

        Parameters
        ----------
        losses : array_like, shape (B,)
            One loss for each row, not multiplied by its cotangent.
        gradient : array_like of floats, shape (B, C)
            dL/dcosines of Σ cotangent_b L_b.
        rows : slice
            Which rows these are; the default is all.
        dtype : {"float64", "float32", "float16", "bfloat16"}, optional
            The format that the candidate computed in; None is the dtype of the gradient.

        Returns
        -------
        LargeResult

        Raises
        ------
        ValueError, TypeError
            If a shape is another, or the format is unknown.
        """
        numbers = range(self.recipe.rows)[rows]
        by_row, by_cosines = np.asarray(losses), np.asarray(gradient)
        for name, array, shape in (
            ("losses", by_row, (len(numbers),)), ("gradient", by_cosines, (len(numbers), self.recipe.classes)),
        ):  # fmt: skip
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}; got {array.shape}.")
        form = by_cosines.dtype.name if dtype is None else dtype
        if form not in STORED:
            raise TypeError(f"the gradient must be of one of {', '.join(STORED)}; got {form}.")
        judged = self.decisive[form]
        readings = [r for i, b in enumerate(numbers) if judged[b] for r in self._row(b, by_row[i], by_cosines[i], form)]
        return LargeResult(self.id, form, tuple(readings), tuple(b for b in numbers if not judged[b]))

    def _row(self, b: int, loss: float, gradient: NDArray[np.floating], dtype: str) -> Iterator[RowReading]:
        """Yield every reading of row b."""
        by_class, g, label = np.asarray(gradient, np.float64), abs(float(self.cotangent[b])), int(self.labels[b])
        tolerance = {name: self._tolerance(scale[b], dtype, g) for name, scale in self.scales.items() if name != "loss"}
        tolerance["loss"] = self._tolerance(self.scales["loss"][b], dtype, 1.0)
        tolerance["projections"] += (self.recipe.classes - 1) * self._tolerance(np.zeros(()), dtype, g)
        with np.errstate(invalid="ignore", over="ignore"):
            along = self.recipe.signs @ by_class
        for name, got in (("loss", np.array([loss])), ("target", by_class[[label]]), ("projections", along)):
            hi, lo = (np.atleast_1d(part[name][b]) for part in (self.expected, self.rest))
            columns = np.array([label]) if name == "target" else np.arange(len(got))
            yield _reading(name, b, columns, got, hi, lo, tolerance[name])
        if b < self.recipe.tabled:
            yield self._elements(b, by_class, g, label, dtype)

    def _elements(self, b: int, by_class: FloatArray, g: float, label: int, dtype: str) -> RowReading:
        """Return every negative of row b against the value at its cosine; its scale is |value| times the loss's."""
        columns = np.delete(np.arange(self.recipe.classes), label)
        at = self.recipe.numerators(b)[columns] - self.recipe.span.first
        hi, lo = self.expected["values"][b], self.rest["values"][b]
        tolerance = self._tolerance(np.abs(hi) / (g or 1.0) * self.scales["loss"][b], dtype, g)
        return _reading("elements", b, columns, by_class[columns], hi[at], lo[at], tolerance[at])

    def _tolerance(self, scale: FloatArray, dtype: str, g: float) -> FloatArray:
        """Return the tolerance from a condition scale for a cotangent of one, and the cotangent."""
        return condition.tolerance(scale, self.recipe.classes, self.loss.s, self.loss.emphasis.t, dtype, g)


def _reading(
    what: str, row: int, columns: IntArray, got: FloatArray, hi: FloatArray, lo: FloatArray, tolerance: FloatArray
) -> RowReading:
    """Count what is wrong, and return the number with the largest error; that of NaN and of infinities is infinite."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        distance = np.abs(np.asarray(got, np.float64) - hi - lo)
        error = np.where(distance == 0, 0.0, distance / tolerance)
    error = np.where(np.isfinite(got), error, np.inf)
    exact = (np.asarray(got) == 0) & (hi == 0)
    wrong, vacuous = ~(error <= 1), (tolerance >= np.abs(hi)) & (tolerance > 0) & ~exact
    k = int(np.argmax(error))
    counts = len(columns), int(wrong.sum()), int((vacuous & ~wrong).sum())
    return RowReading(what, row, int(columns[k]), *counts, float(error[k]), float(got[k]), float(hi[k]))
