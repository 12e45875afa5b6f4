"""The floating-point formats an implementation may compute in, also those NumPy does not have."""

from __future__ import annotations

import importlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray


class Format(NamedTuple):
    """A binary format by its digits and its range.

    Parameters
    ----------
    digits : int
        Significant bits, the hidden one included.
    lowest : int
        The exponent of the smallest normal number.
    largest : float
        The largest number.
    has_infinity : bool
        Whether a number beyond the largest one becomes an infinity; in float8_e4m3fn it becomes the largest one.
    is_flushed : bool
        Whether processors may replace a number below the smallest normal one by 0.
    """

    digits: int
    lowest: int
    largest: float
    has_infinity: bool = True
    is_flushed: bool = True

    @property
    def unit_roundoff(self) -> float:
        """u, half the spacing of the numbers next to 1."""
        return 2.0**-self.digits

    @property
    def tiny(self) -> float:
        """The smallest normal number."""
        return 2.0**self.lowest

    @property
    def least(self) -> float:
        """The size below which a number may be lost: `tiny` where that is flushed, else the smallest number of all."""
        return self.tiny if self.is_flushed else math.ldexp(1.0, self.lowest - self.digits + 1)

    @property
    def top(self) -> int:
        """The exponent of the largest number."""
        return math.frexp(self.largest)[1] - 1


def _ieee(digits: int, lowest: int, is_flushed: bool = True) -> Format:
    """Return a format in which the largest exponent is 1 - `lowest`, and all numbers with it are finite."""
    return Format(digits, lowest, math.ldexp(1 - 2.0**-digits, 2 - lowest), is_flushed=is_flushed)


FORMATS = {
    "float64": _ieee(53, -1022),
    "float32": _ieee(24, -126),
    "tf32": _ieee(11, -126),  # what tensor cores make of a float32 operand
    "float16": _ieee(11, -14, is_flushed=False),
    "bfloat16": _ieee(8, -126),
    "float8_e4m3fn": Format(4, -6, 448.0, has_infinity=False, is_flushed=False),
    "float8_e5m2": _ieee(3, -14, is_flushed=False),
}
STORED = ("float64", "float32", "float16", "bfloat16")  # the formats of arrays and of stored logits, widest first


def format_of(dtype: DTypeLike) -> Format:
    """Return the format of a dtype, or of a name such as "bfloat16"."""
    return FORMATS[dtype if isinstance(dtype, str) else np.dtype(dtype).name]


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's dtype of a format; bfloat16 and the float8 formats are those of ml_dtypes.

    Raises
    ------
    ImportError
        If ml_dtypes is needed and not installed.
    """
    if name in ("float64", "float32", "float16"):
        return np.dtype(name)
    try:
        return np.dtype(getattr(importlib.import_module("ml_dtypes"), name))
    except ImportError as error:
        raise ImportError(f"NumPy has no {name}, it needs ml_dtypes: pip install 'svref[half]'.") from error


def holds(values: FloatArray, name: str) -> BoolArray:
    """Return where the digits of a format suffice for a number; its range is left out of account.

    NaN is held by no format, infinities by all.
    """
    mantissa = np.frexp(values)[0] * 2.0 ** format_of(name).digits
    return np.asarray(mantissa == np.rint(mantissa))


def rounded_to(values: FloatArray, name: str) -> FloatArray:
    """Return numbers rounded to a format, and kept in float64: to the nearest, and to even at a tie.

    Numbers below the smallest normal one keep fewer digits. A number beyond the largest one, after rounding, becomes an
    infinity; in a format without infinities it becomes the largest number. Each value is rounded once.
    """
    form, values = format_of(name), np.asarray(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(values)[1] - 1, form.lowest)
        unit = np.ldexp(1.0, exponent - form.digits + 1)
        result = np.where(np.isfinite(values), np.rint(values / unit) * unit, values)
        beyond = np.copysign(np.inf if form.has_infinity else form.largest, result)
        return np.where(np.abs(result) > form.largest, beyond, result) if name != "float64" else values.copy()


def are_of(values: FloatArray, name: str) -> BoolArray:
    """Return where a number is one of a format: its digits and its range suffice. Zero is, NaN and infinity are not.

    Subnormal numbers are numbers of the format. They have fewer digits: all are whole multiples of the smallest one.
    """
    return np.asarray(np.isfinite(values) & (rounded_to(values, name) == values))
