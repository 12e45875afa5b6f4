"""A measured number as somebody wrote it: 0.1 for 0.10000000003, 1/3 for 0.33333."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

ERRORS = 8.0  # a number counts as the plainer one if it is no farther than so many times its own error
SMALLEST = 2.0**-44  # relative: solving for a size does not do better
UNITS = (("π", math.pi), ("log 2", math.log(2)), ("√2", math.sqrt(2)), ("√3", math.sqrt(3)))


class Number(NamedTuple):
    """A number and its text; it is simple if it has one or two digits, or is a small fraction."""

    value: float
    text: str
    is_simple: bool = False


def plain_numbers(value: float, error: float) -> list[Number]:
    """Return the plain numbers within the error of a measured one, the plainest first."""
    room = max(ERRORS * error, SMALLEST * abs(value))
    found: dict[float, Number] = {}
    for number in _near(value):
        if abs(number.value - value) <= room:
            found.setdefault(number.value, number)
    return list(found.values())


def _near(value: float) -> Iterator[Number]:
    """Yield plain numbers near a value, the plainest first."""
    yield Number(0.0, "0")
    if value == 0 or not math.isfinite(value):
        return
    yield from (_decimal(value, digits)._replace(is_simple=True) for digits in (1, 2))
    yield from (number._replace(is_simple=True) for number in _fraction(value, 4))
    yield from (Number(1 / d.value, f"1/{d.text}", True) for d in (_decimal(1 / value, digits) for digits in (1, 2)))
    power = round(math.log2(abs(value)))
    yield Number(math.copysign(2.0**power, value), f"{'-' if value < 0 else ''}2^{power}")
    for name, unit in UNITS:
        ratio = Fraction(value / unit).limit_denominator(12)
        if ratio:
            yield Number(float(ratio) * unit, _times(ratio, name))
    yield from (_decimal(value, digits) for digits in (3, 4))
    yield from _fraction(value, 12)


def _decimal(value: float, digits: int) -> Number:
    number = float(f"{value:.{digits}g}")
    return Number(number, f"{number:g}")


def _fraction(value: float, most: int) -> Iterator[Number]:
    """Yield the nearest fraction with a small denominator, of numbers below 100."""
    fraction = Fraction(value).limit_denominator(most) if abs(value) < 100 else Fraction(0)
    if fraction:
        yield Number(float(fraction), str(fraction))


def _times(ratio: Fraction, name: str) -> str:
    """Return a fraction times a named number as text: "π/2", "-3 π"."""
    top = {1: "", -1: "-"}.get(ratio.numerator, f"{ratio.numerator} ")
    return f"{top}{name}{'' if ratio.denominator == 1 else f'/{ratio.denominator}'}"
