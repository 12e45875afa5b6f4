"""Golden vectors: inputs and correctly rounded outputs that a test suite in any language can rely on.

`load` reads a pack, `make` writes packs, `verify` proves one again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svref.golden.commands import export, lint, make, verify
    from svref.golden.files.pack import VectorsError
    from svref.golden.vectors import Vector, Vectors, find, load

__all__ = ["Vector", "Vectors", "VectorsError", "export", "find", "lint", "load", "make", "verify"]

_HEAVY = {
    **dict.fromkeys(("export", "lint", "make", "verify"), "commands"),
    **dict.fromkeys(("Vector", "Vectors", "find", "load"), "vectors"),
    "VectorsError": "files.pack",
}


def __getattr__(name: str) -> Any:
    """Load what needs an extra on first use."""
    if name not in _HEAVY:
        raise AttributeError(f"module 'svref.golden' has no attribute {name!r}")
    return getattr(importlib.import_module(f"svref.golden.{_HEAVY[name]}"), name)
