"""From balls to floats: a number is settled once every point of its ball rounds to the same floats (Ziv's test).

Each number is rounded twice: hi is the float64 next to it, and lo the float64 next to what hi leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from flint import arb, ctx
from numpy.typing import DTypeLike, NDArray

from svref.arrays import BoolArray, FloatArray
from svref.exact.balls import ZERO, Ball
from svref.formats import FORMATS, Format, format_of

WIDE = 5000  # bits in which every sum here is exact: 2^1024 and 2^-2148, the smallest float64 squared, are 3,172 apart
LEAST = -1075  # the exponent of half the smallest float64: every float64 and midpoint is a multiple of 2^LEAST
EXACT = -1.0  # stands for the bound of a number that is one float; other bounds are not negative
UNPROVEN = 2  # stands for the sign of a remainder below half the smallest float64 whose sign is not known


class LimitAndRest(NamedTuple):
    """A number as the sum of a limit, in which only the dominant classes count, and the rest.

    When one class dominates, a probability is 1 - 1e-3000 and a loss s d + 1e-3000. No ball of affordable precision
    tells such a number from its limit. But the rest is a ball of its own, so its sign is known. Where the limit is a
    midpoint of two floats, and exact, that sign decides to which of them the number rounds.
    """

    limit: Ball
    rest: Ball

    def times(self, factor: Ball) -> LimitAndRest:
        """Return the product with a ball."""
        return LimitAndRest(self.limit * factor, self.rest * factor)


Number: TypeAlias = Any  # a Ball or a LimitAndRest


@dataclass(frozen=True)
class Unresolved:
    """A number, or a decision of the mask, that the largest precision did not settle.

    Parameters
    ----------
    output : str
        The name of the output, for example "loss".
    index : tuple of int
        Where in the output it is.
    candidates : tuple of two floats
        The float64 next to either end of its ball: the true value lies between them, or next to one of them.
    bits : int
        The precision that did not suffice.
    """

    output: str
    index: tuple[int, ...]
    candidates: tuple[float, float]
    bits: int


@dataclass(frozen=True, eq=False)
class Certified:
    """An array of real numbers, each rounded twice: it is hi + lo + at most half a unit in the last place of lo.

    Parameters
    ----------
    hi : array of float64
        The float64 next to each number, ties to even; NaN where unresolved.
    lo : array of float64
        The float64 next to the difference of the number and `hi`.
    remainder : array of int8
        The sign of that difference: -1, 0 or 1; 2 where it is below half the smallest float64, with an unknown sign.
    """

    hi: FloatArray
    lo: FloatArray
    remainder: NDArray[np.int8]

    def rounded(self, dtype: DTypeLike) -> NDArray[Any]:
        """Return the numbers as if rounded once, from the true value, to a format: to the nearest, ties to even.

        Rounding `hi` a second time would be wrong where it is a midpoint of the narrower format; there the sign of
        the remainder decides. Subnormal numbers keep fewer digits. A number beyond the largest one becomes an infinity,
        and in float8_e4m3fn, which has none, the largest number.

        Parameters
        ----------
        dtype : dtype or str
            A dtype, or the name of a format: one of `svref.formats.FORMATS`.

        Returns
        -------
        array
            Of that dtype for float64, float32 and float16. The numbers of the other formats come as float64, which
            holds them all: NumPy has no dtype for them, and what comes back must not depend on what is installed.

        Raises
        ------
        TypeError
            If there is no such format.
        ArithmeticError
            If the sign of a remainder that must decide is not known.
        """
        name = _format_name(dtype)
        if name == "float64":
            return self.hi.copy()
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            numbers = self._nearest(name, format_of(name))
            return numbers.astype(name if name in ("float32", "float16") else np.float64)

    def _nearest(self, name: str, form: Format) -> FloatArray:
        """Return the number of a format narrower than float64 next to each, in float64.

        The spacing of the format at a number is 2^e, so hi / 2^e lies between two integers, and all this is exact.
        """
        e = np.maximum(np.frexp(self.hi)[1], form.lowest + 1) - form.digits
        multiple = np.ldexp(self.hi, -e)
        below = np.floor(multiple)
        middle = multiple - below == 0.5
        if (middle & (self.remainder == UNPROVEN)).any():
            raise ArithmeticError(f"entry {np.argwhere(middle)[0].tolist()} may lie on a midpoint of {name}.")
        up = np.where(self.remainder == 0, below % 2 == 1, self.remainder > 0)
        near = np.ldexp(below + np.where(middle, up, multiple - below > 0.5), e)
        beyond = np.copysign(np.inf if form.has_infinity else form.largest, self.hi)
        return np.where(np.isinf(self.hi) | (np.abs(near) > form.largest), beyond, near) + 0.0


def _format_name(dtype: DTypeLike) -> str:
    """Return the name of the format that a dtype, or a name, stands for."""
    try:
        name = dtype if isinstance(dtype, str) and dtype in FORMATS else np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in FORMATS:
        raise TypeError(f"numbers can be rounded to {', '.join(FORMATS)}; got {name}.")
    return name


class PendingOutput:
    """One output whose numbers are settled row by row, each with as many bits as it needs.

    Arrays hi, lo, remainder and is_settled have shape (rows, columns); `columns` is None for one number a row.
    """

    def __init__(self, name: str, rows: int, columns: int | None) -> None:
        self.name, self.columns = name, columns
        self.hi, self.lo = np.full((2, rows, columns or 1), np.nan)
        self.remainder = np.zeros(self.hi.shape, np.int8)
        self.is_settled: BoolArray = np.zeros(self.hi.shape, bool)
        self.unresolved: list[Unresolved] = []

    def fill(self, row: int, numbers: Sequence[Number]) -> bool:
        """Settle what the current precision settles of a row, from its numbers; return whether all are settled."""
        self._fill_ordinary(row, numbers)
        for k in self._open(row):
            rounded = settle(numbers[k])
            if rounded is not None:
                self.hi[row, k], self.lo[row, k], self.remainder[row, k] = rounded
                self.is_settled[row, k] = True
        return bool(self.is_settled[row].all())

    def give_up(self, row: int, numbers: Sequence[Number] | None) -> None:
        """Record each number of a row that is not settled; `numbers` is None if they depend on an open decision."""
        for k in self._open(row):
            index = (row,) if self.columns is None else (row, k)
            between = (-np.inf, np.inf) if numbers is None else _ends(numbers[k])
            self.unresolved.append(Unresolved(self.name, index, between, ctx.prec))

    def certified(self) -> Certified:
        """Return the output, NaN where it is not settled."""
        at = (slice(None), 0 if self.columns is None else slice(None))
        return Certified(self.hi[at], self.lo[at], self.remainder[at])

    def _open(self, row: int) -> list[int]:
        """Return the columns of a row that are not settled."""
        return [int(k) for k in np.flatnonzero(~self.is_settled[row])]

    def _fill_ordinary(self, row: int, numbers: Sequence[Number]) -> None:
        """Settle most numbers of a row at once, as one at a time is slow: those that are far from any midpoint.

        What hi + lo leaves must be below half a unit in the last place of lo, a quarter if lo is a power of two. What
        hi leaves must be below half a unit of hi. `settle` has the others, and those with |lo| below 1e-290, where
        units stop shrinking with the numbers.
        """
        columns = np.array(self._open(row), dtype=np.intp)
        parts = np.array([_two_floats(as_ball(numbers[k])) for k in columns.tolist()]).reshape(-1, 3)
        hi, lo, bound = parts.T
        with np.errstate(invalid="ignore", under="ignore"):
            lo_is_right = bound < np.spacing(np.abs(lo)) / np.where(_is_power_of_two(lo), 4, 2)
            hi_is_right = (np.abs(lo) + 2 * bound < np.spacing(np.abs(hi)) / 2) & ~_is_power_of_two(hi)
            sure = (lo_is_right & hi_is_right & (np.abs(lo) > 1e-290)) | (bound == EXACT)
        at = columns[sure]
        self.hi[row, at], self.lo[row, at] = hi[sure], lo[sure]
        self.remainder[row, at] = np.sign(lo[sure])
        self.is_settled[row, at] = True


def settle(number: Number) -> tuple[float, float, int] | None:
    """Return hi, lo and the sign of the remainder, or None if the ball does not determine all three."""
    limit, rest = _limit_and_rest(number)
    if not (limit.is_finite() and rest.is_finite()):
        infinity = float(rest)
        return (infinity, 0.0, 0) if np.isinf(infinity) else None
    hi = nearest(limit, rest)
    if hi is None or np.isinf(hi):
        return None if hi is None else (hi, 0.0, -1 if hi > 0 else 1)  # a finite number beyond the largest float64
    with ctx.workprec(ctx.prec + WIDE):
        left = limit - arb(hi)
    if limit == 0 or not left.is_exact():
        left, rest = ZERO, limit + rest - arb(hi)
    lo = nearest(left, rest)
    return None if lo is None else (hi, lo, _sign(lo, left + rest))


def nearest(limit: Ball, rest: Ball) -> float | None:
    """Return the float64 next to limit + rest, ties to even; None if their balls contain more. `limit` is exact."""
    rest = _enlarged(limit, rest)
    with ctx.workprec(ctx.prec if limit == 0 else ctx.prec + WIDE):
        low, high = float((limit + rest.lower()).lower()), float((limit + rest.upper()).upper())
    return low + 0.0 if low == high else None


def as_ball(number: Number) -> Ball:
    """Return a number as one ball."""
    return number.limit + number.rest if isinstance(number, LimitAndRest) else number


def _ends(number: Number) -> tuple[float, float]:
    """Return the floats next to both ends of a number's ball."""
    ball = as_ball(number)
    return float(ball.lower()), float(ball.upper())


def _enlarged(limit: Ball, rest: Ball) -> Ball:
    """Return `rest`, or in place of a tiny one a larger number with which limit + rest rounds to the same float.

    A tiny rest could not be added to the limit exactly. The limit, all floats and all midpoints of floats are multiples
    of some 2^b. So no float and no midpoint lies between the limit and limit + rest if |rest| < 2^b. Any two such rests
    of one sign round to the same float, and 2^(b-1) stands for all those that are smaller.
    """
    if limit == 0 or not (rest > 0 or rest < 0):
        return rest
    b = min(int(limit.man_exp()[1]), LEAST)
    small = arb(2) ** (b - 1)
    if abs(rest) < small:
        return small if rest > 0 else -small
    return rest


def _limit_and_rest(number: Number) -> tuple[Ball, Ball]:
    """Return the limit and the rest of a number; a limit that is not exact is added to the rest, and is 0."""
    if not isinstance(number, LimitAndRest):
        return ZERO, number
    return (number.limit, number.rest) if number.limit.is_exact() else (ZERO, number.limit + number.rest)


def _is_power_of_two(numbers: FloatArray) -> BoolArray:
    """Return where numbers are ± a power of two: their neighbour towards zero is half as far as the other."""
    return np.asarray(np.abs(np.frexp(numbers)[0]) == 0.5)


def _two_floats(x: Ball) -> tuple[float, float, float]:
    """Return floats hi and lo and a bound of |x - hi - lo|; the bound is EXACT if x is the float hi."""
    hi = float(x)
    rest = x - hi
    if rest == ZERO:
        return hi + 0.0, 0.0, EXACT
    lo = float(rest)
    return hi, lo, float((rest - lo).abs_upper())


def _sign(lo: float, remainder: Ball) -> int:
    """Return the sign of a remainder that rounds to lo; UNPROVEN if lo is 0 and the ball contains both signs."""
    if lo != 0:
        return 1 if lo > 0 else -1
    if remainder == 0:
        return 0
    return 1 if remainder > 0 else -1 if remainder < 0 else UNPROVEN
