"""Numbers that a format holds exactly: few digits first, and the neighbours of a number counted one by one.

The numbers of a format have an order. `ordinal` counts them from 0 up, so the neighbour of a number by n ulps is n
counts away, across powers of two and across 0. It works for the formats that NumPy lacks, such as bfloat16, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svref.formats import FORMATS, STORED, Format

COARSE, FINE = 8, 128  # the grids of the numbers that come first: multiples of 1/8, then of 1/128
NEAREST = 4  # neighbours up to that many ulps away are drawn one by one, farther ones by powers of two

Number = TypeVar("Number", int, float)


def format_named(name: str) -> Format:
    """Return a format by its name; raise a ValueError that lists the names there are."""
    if name not in STORED:
        raise ValueError(f"dtype must be one of {', '.join(STORED)}; got {name!r}.")
    return FORMATS[name]


def ordinal(x: float, format_: Format) -> int:
    """Return how many numbers of the format lie between 0 and x, with x's sign; x is rounded to the format first."""
    digits, lowest = format_.digits, format_.lowest
    size = abs(x)
    binade = (
        max(math.frexp(size)[1] - 1, lowest) if x else lowest
    )  # 2^binade <= |x|; subnormal numbers have the spacing of the lowest
    units = round(math.ldexp(size, digits - 1 - binade))
    return int(math.copysign(1, x)) * (units + (binade - lowest) * 2 ** (digits - 1))


def number(count: int, format_: Format) -> float:
    """Return the number of the format whose ordinal is `count`."""
    digits, lowest = format_.digits, format_.lowest
    binade = max(abs(count) // 2 ** (digits - 1) - 1, 0)
    units = abs(count) - binade * 2 ** (digits - 1)
    return math.copysign(math.ldexp(units, binade + lowest + 1 - digits), count)


def rounded(x: float, format_: Format) -> float:
    """Return the number of the format that is nearest to x."""
    return number(ordinal(x, format_), format_)


def beside(x: float, ulps: int, format_: Format, subnormal: bool = True) -> float:
    """Return the number that is `ulps` numbers of the format above the one nearest to x.

    Without `subnormal`, the numbers between 0 and the smallest normal one are left out of the count, and a number
    among them becomes 0.
    """
    left_out = 2 ** (format_.digits - 1) - 1
    count = ordinal(x, format_)
    if not subnormal:
        count = _toward_zero(count, left_out)
    count += ulps
    return number(count if subnormal else _away_from_zero(count, left_out), format_) + 0.0


def _toward_zero(count: int, left_out: int) -> int:
    """Return the count without the `left_out` numbers on either side of 0."""
    return max(count - left_out, 0) if count > 0 else min(count + left_out, 0)


def _away_from_zero(count: int, left_out: int) -> int:
    """Return the count with the `left_out` numbers on either side of 0."""
    return count + left_out if count > 0 else count - left_out if count else 0


# ---- strategies --------------------------------------------------------------------------------------------------


def cosines(dtype: str = "float64") -> SearchStrategy[float]:
    """Return a strategy for numbers in [-1, 1] that a format holds exactly.

    Parameters
    ----------
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The format.

    Returns
    -------
    SearchStrategy of float
        Multiples of 1/8, of 1/128, and of the unit roundoff u, which use all digits of the format. They shrink in this
        order, and towards 0.

    Raises
    ------
    ValueError
        For another format.

    Examples
    --------
    >>> import hypothesis
    >>> from svref import strategies
    >>> hypothesis.find(strategies.cosines("bfloat16"), lambda c: c < -0.3)
    -0.5
    """
    return st.one_of(grid(COARSE), grid(FINE), grid(2 ** format_named(dtype).digits))


def grid(parts: int) -> SearchStrategy[float]:
    """Return a strategy for the multiples of 1/parts in [-1, 1], for a power of two; it shrinks towards few digits."""
    return st.integers(-parts, parts).map(lambda n: math.copysign(1, n) if abs(n) == parts else few_digits_first(n))


def few_digits_first(n: int) -> float:
    """Return the n-th number of (-1, 1) by how many binary digits it has: 0, 1/2, 1/4, 3/4, 1/8, 5/8; -n is -c.

    It is the number whose digits behind the point are those of |n| in reverse order.
    """
    digits = f"{abs(n):b}"[::-1]
    return math.copysign(math.ldexp(int(digits, 2), -len(digits)), n) + 0.0


def one_of_numbers(numbers: Sequence[Number]) -> SearchStrategy[Number]:
    """Return a strategy for numbers that may repeat, to be drawn more often; it shrinks towards the first.

    It is `sampled_from`, but does not print the whole list.
    """
    return st.integers(0, len(numbers) - 1).map(lambda i: numbers[i])


def tiny(dtype: str = "float64", subnormal: bool = False) -> SearchStrategy[float]:
    """Return a strategy for powers of two of both signs, down to the smallest normal number of a format.

    Parameters
    ----------
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The format.
    subnormal : bool, default False
        Whether there are subnormal numbers too. Hardware that flushes them to zero takes them for 0.

    Returns
    -------
    SearchStrategy of float
    """
    form = format_named(dtype)
    digits, lowest = form.digits, form.lowest
    normal = st.integers(1, -lowest).map(lambda k: math.ldexp(1.0, -k))
    below = st.integers(1, 2 ** (digits - 1) - 1).map(lambda n: math.ldexp(n, lowest + 1 - digits))
    return st.tuples(st.one_of(normal, below) if subnormal else normal, st.sampled_from((1, -1))).map(math.prod)


def distances(dtype: str = "float64") -> SearchStrategy[int]:
    """Return a strategy for distances in ulps: 0, a few to either side, and powers of two.

    Parameters
    ----------
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The format. The farthest distance is 2^-12 of the number, in bfloat16 2^-4.

    Returns
    -------
    SearchStrategy of int
        They shrink towards 0.
    """
    far = [sign * 2**k for k in range(3, max(format_named(dtype).digits - 12, 4) + 1) for sign in (1, -1)]
    near = [sign * n for n in range(1, NEAREST + 1) for sign in (1, -1)]
    return one_of_numbers([0] * len(far) + near * math.ceil(len(far) / 16) + far)


def cotangents(dtype: str = "float64") -> SearchStrategy[float]:
    """Return a strategy for cotangents: numbers of both signs, 0, and sizes that differ.

    Parameters
    ----------
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The format that holds them.

    Returns
    -------
    SearchStrategy of float
        They shrink towards 1: quarters from -2 to 2, then powers of two.
    """
    least = max(format_named(dtype).lowest, -32) // 2
    return st.one_of(st.just(1.0), grid(COARSE).map(lambda v: 2 * v), st.integers(least, -least).map(lambda k: 2.0**k))


def labels(classes: int) -> SearchStrategy[int]:
    """Return a strategy for labels, from 0 to classes - 1.

    Parameters
    ----------
    classes : int
        C.

    Returns
    -------
    SearchStrategy of int
    """
    return st.integers(0, classes - 1)
