"""A measured number as somebody wrote it: 0.1 for 0.10000000003, 1/3 for 0.33333."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

MOST_DENOMINATOR = 12
MOST_DIGITS = 4
ERRORS = 8.0  # a number counts as the plainer one if it is no farther than so many times its own error
SMALLEST = 2.0**-44  # relative: solving for a size does not do better


def plain(value: float, error: float) -> tuple[float, str] | None:
    """Return the plainest number within the error of a measured one, and its text; None if none is."""
    room = max(ERRORS * error, SMALLEST * abs(value))
    found = [(number, text) for number, text in _plain_numbers(value) if abs(number - value) <= room]
    return found[0] if found else None


def exact(value: float, error: float) -> tuple[float, str]:
    """Return the plainest number within the error, or else the measured one with the digits that it has."""
    return plain(value, error) or (value, f"{value:.6g}")


def _plain_numbers(value: float) -> Iterator[tuple[float, str]]:
    """Yield plain numbers near a value, the plainest first."""
    if value == 0 or not math.isfinite(value):
        yield value, f"{value:g}"
        return
    for digits in range(1, MOST_DIGITS + 1):
        text = f"{value:.{digits}g}"
        yield float(text), f"{float(text):g}"
    fraction = Fraction(value).limit_denominator(MOST_DENOMINATOR)
    if fraction and abs(fraction) < 100:
        yield float(fraction), str(fraction)
    power = round(math.log2(abs(value)))
    yield math.copysign(2.0**power, value), f"{'-' if value < 0 else ''}2^{power}"
    for name, unit in (("π", math.pi), ("log 2", math.log(2)), ("√2", math.sqrt(2)), ("√3", math.sqrt(3))):
        ratio = Fraction(value / unit).limit_denominator(MOST_DENOMINATOR)
        if ratio:
            yield float(ratio) * unit, _times(ratio, name)


def _times(ratio: Fraction, name: str) -> str:
    """Return a fraction times a named number as text: "π/2", "-3 π"."""
    top = {1: "", -1: "-"}.get(ratio.numerator, f"{ratio.numerator} ")
    return f"{top}{name}{'' if ratio.denominator == 1 else f'/{ratio.denominator}'}"
