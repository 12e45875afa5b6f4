"""The floating-point formats an implementation may compute in, also those NumPy does not have."""

from __future__ import annotations

import math
from typing import NamedTuple

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
    """

    digits: int
    lowest: int

    @property
    def unit_roundoff(self) -> float:
        """u, half the spacing of the numbers next to 1."""
        return 2.0**-self.digits

    @property
    def tiny(self) -> float:
        """The smallest normal number."""
        return 2.0**self.lowest

    @property
    def largest(self) -> float:
        """The largest number."""
        return math.ldexp(1 - self.unit_roundoff, 2 - self.lowest)


FORMATS = {
    "float64": Format(53, -1022),
    "float32": Format(24, -126),
    "float16": Format(11, -14),
    "bfloat16": Format(8, -126),
}


def format_of(dtype: DTypeLike) -> Format:
    """Return the format of a dtype, or of a name such as "bfloat16"."""
    return FORMATS[dtype if isinstance(dtype, str) else np.dtype(dtype).name]


def holds(values: FloatArray, name: str) -> BoolArray:
    """Return where the digits of a format suffice for a number; its range is left out of account.

    NaN is held by no format, infinities by all.
    """
    mantissa = np.frexp(values)[0] * 2.0 ** format_of(name).digits
    return np.asarray(mantissa == np.rint(mantissa))


def are_of(values: FloatArray, name: str) -> BoolArray:
    """Return where a number is one of a format: its digits and its range suffice. Zero is, NaN and infinity are not.

    Subnormal numbers are numbers of the format. They have fewer digits: all are whole multiples of the smallest one.
    """
    format_, size = format_of(name), np.abs(values)
    small = size < format_.tiny
    multiple = np.ldexp(np.where(small, size, 0.0), format_.digits - 1 - format_.lowest)
    return np.asarray(np.where(small, multiple == np.rint(multiple), holds(values, name) & (size <= format_.largest)))
