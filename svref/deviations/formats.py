"""Numbers rounded to a narrower format, and kept in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import FloatArray

Rounding = Callable[[FloatArray], FloatArray]


def to_bfloat16(values: FloatArray) -> FloatArray:
    """Return values rounded to bfloat16: the upper half of a float32, to the nearest, and to even at a tie."""
    # NumPy has no bfloat16.
    bits = values.astype(np.float32).view(np.uint32)
    to_nearest = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    rounded = (bits + to_nearest & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
    return np.where(np.isfinite(values), rounded, values)


def to_float16(values: FloatArray) -> FloatArray:
    """Return values rounded to float16."""
    return values.astype(np.float16).astype(np.float64)


def to_float32(values: FloatArray) -> FloatArray:
    """Return values rounded to float32."""
    return values.astype(np.float32).astype(np.float64)


FORMATS: tuple[tuple[str, Rounding], ...] = (
    ("bfloat16", to_bfloat16),
    ("float16", to_float16),
    ("float32", to_float32),
)
