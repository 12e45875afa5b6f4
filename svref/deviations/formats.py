"""The roundings of wrong computations: to a narrower format, and kept in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable

from svref.arrays import FloatArray
from svref.formats import rounded_to

Rounding = Callable[[FloatArray], FloatArray]
FORMATS: tuple[tuple[str, Rounding], ...] = tuple(
    (name, functools.partial(rounded_to, name=name)) for name in ("bfloat16", "float16", "float32")
)
