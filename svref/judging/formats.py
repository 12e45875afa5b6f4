"""The floating-point formats an implementation may compute in, also those NumPy does not have."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


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


FORMATS = {
    "float64": Format(53, -1022),
    "float32": Format(24, -126),
    "float16": Format(11, -14),
    "bfloat16": Format(8, -126),
}


def format_of(dtype: DTypeLike) -> Format:
    """Return the format of a dtype, or of a name such as "bfloat16"."""
    return FORMATS[dtype if isinstance(dtype, str) else np.dtype(dtype).name]


def holds(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Return, element by element, whether a format holds these numbers exactly.

    It does if they have no more digits than the format, and are not below its smallest normal number. Zeros and
    numbers that are not finite are held by every format.
    """
    numbers = np.asarray(values, dtype=np.float64)
    ordinary = np.isfinite(numbers) & (numbers != 0)
    mantissa, _ = np.frexp(np.where(ordinary, numbers, 1.0))
    digits = np.ldexp(mantissa, format_of(name).digits)
    return ~ordinary | ((digits == np.rint(digits)) & (np.abs(numbers) >= format_of(name).tiny))
