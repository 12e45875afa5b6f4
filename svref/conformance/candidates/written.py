"""Numbers as a file of answers writes them: decimal, or hexadecimal and exact, on the grid of their format."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray
from svref.conformance.candidates.planned import HALVES
from svref.formats import rounded_to

NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # JSON has no such numbers, so they are written as texts
_HEX = re.compile(r"([+-]?)0x([0-9a-f]+)(?:\.([0-9a-f]*))?(?:p([+-]?[0-9]{1,5}))?", re.IGNORECASE | re.ASCII)


def is_number(value: Any) -> TypeGuard[float | str]:
    """Return whether a value of JSON is a number: a real one, one of `NOT_FINITE`, or a text such as "0x1.8p-3"."""
    if isinstance(value, str):
        return value in NOT_FINITE or _HEX.fullmatch(value) is not None
    return isinstance(value, float)


def numbers_of(values: list[float | str]) -> FloatArray:
    """Return numbers in float64; a hexadecimal one that float64 does not hold is rounded."""
    return np.array([_from_text(v) if isinstance(v, str) else v for v in values], dtype=np.float64)


def _from_text(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return np.inf if text[0] != "-" else -np.inf


def off_grid(values: list[float | str], dtype: str) -> tuple[int, float] | None:
    """Return the place of the first number that its format does not hold, and the nearest one that it does.

    A hexadecimal number must be one of the format. Decimal ones are rounded to float64 and float32, as programs print
    them with few digits; in a half format nine digits must lead to a number of that format.
    """
    numbers = numbers_of(values)
    is_exact = np.array([isinstance(v, str) for v in values], bool)
    near = rounded_to(rounded_to(numbers, "float32") if dtype in HALVES else numbers, dtype)
    right = near == np.where(is_exact, numbers, rounded_to(numbers, "float32"))
    if dtype not in HALVES:
        right |= ~is_exact
    wrong = np.flatnonzero(~(right | np.isnan(numbers)) | ~_are_exact(values))
    return (int(wrong[0]), float(near[wrong[0]])) if len(wrong) else None


def _are_exact(values: list[float | str]) -> NDArray[np.bool_]:
    """Return where a number is decimal, or float64 holds the hexadecimal one."""
    return np.array([not isinstance(v, str) or _is_exact(v) for v in values], bool)


def _is_exact(text: str) -> bool:
    """Return whether float64 holds a hexadecimal number; so do the texts of `NOT_FINITE`."""
    found = _HEX.fullmatch(text)
    if found is None:
        return True
    sign, whole, part, power = found.groups("")
    mantissa, exponent = int(whole + part, 16), int(power or 0) - 4 * len(part)
    value = _from_text(text)
    if mantissa == 0 or not np.isfinite(value):
        return mantissa == 0
    top, bottom = value.as_integer_ratio()
    size, over = (-mantissa if sign == "-" else mantissa), max(exponent, 0)
    return bool(top << max(-exponent, 0) == (size << over) * bottom)
