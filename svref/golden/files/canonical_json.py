"""JSON in the one form that RFC 8785 gives a content, so that its bytes, and their digest, depend on nothing else.

No spaces; keys in the order of their UTF-16 code units; numbers as ECMAScript writes them, with the fewest digits that
read back as the same float64: 1, 0.25, 1e-7, 1e+21. The tests hold it against the package rfc8785.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LARGEST_WHOLE = 2**53 - 1  # a parser that reads numbers as float64 holds all whole numbers up to here
PLAIN = range(-5, 22)  # digits before the point, less zeros behind it, of a number that is written without an exponent


def dumps(value: Any) -> bytes:
    """Return the canonical JSON of a content of dicts, lists, tuples, strings, numbers, bools and None.

    Raises
    ------
    ValueError
        If a number is NaN, infinite, or an int beyond 2^53 - 1; or if a string has no UTF-8.
    TypeError
        If something is of another type, or a key is no string.
    """
    return _text(value).encode("utf-8")


def _text(value: Any) -> str:
    """Return the canonical JSON of a value as text."""
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() if abs(value) > LARGEST_WHOLE:
            raise ValueError(f"whole numbers must be at most 2^53 - 1 in magnitude; got {value}.")
        case int():
            return int.__repr__(value)
        case float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(_text, value))}]"
        case Mapping():
            keys = sorted(value, key=_utf_16)
            return f"{{{','.join(f'{_text(key)}:{_text(value[key])}' for key in keys)}}}"
    raise TypeError(f"a content of JSON must be of dicts, lists, strings and numbers; got {type(value).__name__}.")


def _utf_16(key: Any) -> bytes:
    """Return the code units of a key, by which keys are sorted."""
    if not isinstance(key, str):
        raise TypeError(f"a key of JSON must be a string; got {key!r}.")
    return key.encode("utf-16-be")


def _number(value: float) -> str:
    """Return a float64 as ECMAScript writes it: without an exponent from 1e-6 up to below 1e21."""
    if not math.isfinite(value):
        raise ValueError(f"JSON has no {value}.")
    if value == 0:
        return "0"
    _, numbers, exponent = Decimal(float.__repr__(abs(value))).normalize().as_tuple()
    digits, before = "".join(map(str, numbers)), len(numbers) + int(exponent)
    sign = "-" if value < 0 else ""
    if before not in PLAIN:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{before - 1:+d}"
    if before <= 0:
        return f"{sign}0.{'0' * -before}{digits}"
    whole, fraction = digits[:before].ljust(before, "0"), digits[before:]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
