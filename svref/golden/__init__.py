"""Golden vectors: inputs and correctly rounded outputs that a test suite in any language can rely on.

`load` reads a pack, `make` writes packs, `verify` proves one again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from svref.golden.cases import Case, case, cases_of

if TYPE_CHECKING:
    from svref.golden.commands import export, lint, make, verify
    from svref.golden.tree import VectorsError
    from svref.golden.vectors import Vector, Vectors, load

__all__ = ["Case", "Vector", "Vectors", "VectorsError", "case", "cases_of", "export", "lint", "load", "make", "verify"]

_HEAVY = {
    "export": "commands",
    "lint": "commands",
    "make": "commands",
    "verify": "commands",
    "VectorsError": "tree",
} | dict.fromkeys(("Vector", "Vectors", "load"), "vectors")


def __getattr__(name: str) -> Any:
    """Load what needs an extra on first use."""
    if name not in _HEAVY:
        raise AttributeError(f"module 'svref.golden' has no attribute {name!r}")
    return getattr(importlib.import_module(f"svref.golden.{_HEAVY[name]}"), name)
