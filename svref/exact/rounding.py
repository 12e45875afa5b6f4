"""From balls to floats that are right for certain: Ziv's test, near midpoints, and what could not be settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from flint import arb, ctx
from numpy.typing import DTypeLike, NDArray

from svref.arrays import BoolArray, FloatArray
from svref.exact.balls import ZERO, Ball

WIDE = 5000  # more bits than there are between the largest float64 and the square of the smallest
LEAST = -1075  # the exponent of half the smallest float64
EXACT = -1.0  # in place of a bound
UNPROVEN = 2  # a remainder below half the smallest float64, of unknown sign


class Split(NamedTuple):
    """A number as limit + rest. Where the limit is exact, the sign of the rest decides even at a midpoint of floats.

    When one class dominates, a probability is 1 - 1e-3000 and a loss s d + 1e-3000: no affordable ball tells them
    from the limit, but the rest is known by itself.
    """

    limit: Ball
    rest: Ball

    def times(self, factor: Ball) -> Split:
        """Return the product with a ball."""
        return Split(self.limit * factor, self.rest * factor)


Number: TypeAlias = Any  # a Ball or a Split


@dataclass(frozen=True)
class Unresolved:
    """An entry that the largest precision did not settle.

    Parameters
    ----------
    output : str
        Which output, "loss" for example.
    index : tuple of int
        Which entry.
    candidates : tuple of two floats
        The true value lies between them, or next to one of them.
    bits : int
        The precision that did not suffice.
    """

    output: str
    index: tuple[int, ...]
    candidates: tuple[float, float]
    bits: int


@dataclass(frozen=True, eq=False)
class Certified:
    """An array of real numbers, each rounded correctly twice: number = hi + lo + less than half the last place of lo.

    Parameters
    ----------
    hi : array of float64
        The float64 next to each number, ties to even; NaN where unresolved.
    lo : array of float64
        The float64 next to what `hi` leaves.
    remainder : array of int8
        The sign of what `hi` leaves: -1, 0, 1; 2 where it is less than half the smallest float64 and unproven.
    """

    hi: FloatArray
    lo: FloatArray
    remainder: NDArray[np.int8]

    def rounded(self, dtype: DTypeLike) -> NDArray[Any]:
        """Return the numbers rounded once to float64, float32 or float16, ties to even.

        Rounding `hi` again would err where it lies on a midpoint of the narrower format; there the remainder decides.

        Raises
        ------
        ArithmeticError
            If the sign of a remainder that must decide is not proven.
        """
        name = np.dtype(dtype).name
        if name not in ("float64", "float32", "float16"):
            raise TypeError(f"numbers can be rounded to float64, float32 or float16; got {name}.")
        if name == "float64":
            return self.hi.copy()
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            near = self.hi.astype(dtype)
            away = np.nextafter(near, np.where(self.hi > near, np.inf, -np.inf).astype(dtype))
            middle = (self.hi != near) & (_finite(near) / 2 + _finite(away) / 2 == self.hi)
        if (middle & (self.remainder == UNPROVEN)).any():
            raise ArithmeticError(f"entry {np.argwhere(middle)[0].tolist()} may lie on a midpoint of {name}.")
        up = np.where(self.remainder > 0, np.maximum(near, away), np.minimum(near, away))
        return np.where(middle & (self.remainder != 0), up, near) + near.dtype.type(0)


def _finite(numbers: NDArray[Any]) -> FloatArray:
    """Return numbers of a narrow format as float64, with the power of two that overflow begins at for infinity."""
    beyond = 2.0 ** np.finfo(numbers.dtype).maxexp
    return np.clip(numbers.astype(np.float64), -beyond, beyond)


class Sheet:
    """The entries of an output while they are being settled, row by row, with as many bits as each needs."""

    def __init__(self, name: str, rows: int, columns: int | None) -> None:
        self.name, self.columns = name, columns
        self.hi, self.lo = np.full((2, rows, columns or 1), np.nan)
        self.remainder = np.zeros(self.hi.shape, np.int8)
        self.done: BoolArray = np.zeros(self.hi.shape, bool)
        self.unresolved: list[Unresolved] = []

    def fill(self, row: int, numbers: Sequence[Number]) -> bool:
        """Settle what these numbers settle, and return whether the row is complete."""
        self._fill_ordinary(row, numbers)
        for k in self._open(row):
            settled = settle(numbers[k])
            if settled is not None:
                self.hi[row, k], self.lo[row, k], self.remainder[row, k] = settled
                self.done[row, k] = True
        return bool(self.done[row].all())

    def give_up(self, row: int, numbers: Sequence[Number] | None) -> None:
        """Record what is not settled, with both candidates; None where not even a decision is."""
        for k in self._open(row):
            index = (row,) if self.columns is None else (row, k)
            between = (-np.inf, np.inf) if numbers is None else candidates(numbers[k])
            self.unresolved.append(Unresolved(self.name, index, between, ctx.prec))

    def certified(self) -> Certified:
        """Return the output."""
        at = (slice(None), 0 if self.columns is None else slice(None))
        return Certified(self.hi[at], self.lo[at], self.remainder[at])

    def _open(self, row: int) -> list[int]:
        """Return the columns that are not settled."""
        return [int(k) for k in np.flatnonzero(~self.done[row])]

    def _fill_ordinary(self, row: int, numbers: Sequence[Number]) -> None:
        """Settle the many ordinary entries by one test: |number - hi - lo| is far below the last place of lo."""
        columns = np.array(self._open(row), dtype=np.intp)
        parts = np.array([_parts(_whole(numbers[k])) for k in columns.tolist()]).reshape(-1, 3)
        hi, lo, bound = parts.T
        with np.errstate(invalid="ignore", under="ignore"):
            tail = bound < np.spacing(np.abs(lo)) / np.where(_is_power_of_two(lo), 4, 2)
            head = (np.abs(lo) + 2 * bound < np.spacing(np.abs(hi)) / 2) & ~_is_power_of_two(hi)
            sure = (tail & head & (np.abs(lo) > 1e-290)) | (bound == EXACT)
        at = columns[sure]
        self.hi[row, at], self.lo[row, at] = hi[sure], lo[sure]
        self.remainder[row, at] = np.sign(lo[sure])
        self.done[row, at] = True


def settle(number: Number) -> tuple[float, float, int] | None:
    """Return hi, lo and the sign of the remainder, or None if the ball does not tell."""
    limit, rest = _parted(number)
    if not (limit.is_finite() and rest.is_finite()):
        infinity = float(rest)
        return (infinity, 0.0, 0) if np.isinf(infinity) else None
    hi = nearest(limit, rest)
    if hi is None or np.isinf(hi):
        return None if hi is None else (hi, 0.0, -1 if hi > 0 else 1)  # a finite number that no float64 holds
    with ctx.workprec(ctx.prec + WIDE):
        left = limit - arb(hi)
    if limit == 0 or not left.is_exact():
        left, rest = ZERO, limit + rest - arb(hi)
    lo = nearest(left, rest)
    return None if lo is None else (hi, lo, _sign(lo, left + rest))


def nearest(limit: Ball, rest: Ball) -> float | None:
    """Return the float64 next to limit + rest, ties to even, or None if the balls do not tell; `limit` is exact."""
    rest = _tamed(limit, rest)
    with ctx.workprec(ctx.prec if limit == 0 else ctx.prec + WIDE):
        low, high = float((limit + rest.lower()).lower()), float((limit + rest.upper()).upper())
    return low + 0.0 if low == high else None


def candidates(number: Number) -> tuple[float, float]:
    """Return the floats next to both ends of a ball."""
    whole = _whole(number)
    return float(whole.lower()), float(whole.upper())


def _tamed(limit: Ball, rest: Ball) -> Ball:
    """Return `rest`, or a number of its sign where it is too small for its size to matter beside `limit`.

    The limit and all midpoints of floats are multiples of 2^b; within 2^b of the limit there is no other of them.
    """
    if limit == 0 or not (rest > 0 or rest < 0):
        return rest
    b = min(int(limit.man_exp()[1]), LEAST)
    small = arb(2) ** (b - 1)
    if abs(rest) < small:
        return small if rest > 0 else -small
    return rest


def _parted(number: Number) -> tuple[Ball, Ball]:
    """Return the limit and the rest of a number, with a limit of 0 unless it is exact."""
    if not isinstance(number, Split):
        return ZERO, number
    return (number.limit, number.rest) if number.limit.is_exact() else (ZERO, number.limit + number.rest)


def _whole(number: Number) -> Ball:
    """Return a number as one ball."""
    return number.limit + number.rest if isinstance(number, Split) else number


def _is_power_of_two(numbers: FloatArray) -> BoolArray:
    """Return where numbers have a nearer neighbour towards zero than away from it."""
    return np.asarray(np.abs(np.frexp(numbers)[0]) == 0.5)


def _parts(x: Ball) -> tuple[float, float, float]:
    """Return floats hi and lo and a bound on |x - hi - lo|; EXACT if x is the float hi."""
    hi = float(x)
    rest = x - hi
    if rest == ZERO:
        return hi + 0.0, 0.0, EXACT
    lo = float(rest)
    return hi, lo, float((rest - lo).abs_upper())


def _sign(lo: float, remainder: Ball) -> int:
    if lo != 0:
        return 1 if lo > 0 else -1
    if remainder == 0:
        return 0
    return 1 if remainder > 0 else -1 if remainder < 0 else UNPROVEN
