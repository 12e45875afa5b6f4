"""svref: the reference implementation of the SV-X-Softmax losses, with hand-derived gradients.

Shapes everywhere: B samples, C classes, D the size of an embedding. Cosines are (B, C), labels (B,), embeddings
(B, D), weights (C, D). Angles are in radians. `t` is the SV paper's, 1 is off.

>>> import numpy as np, svref
>>> loss = svref.sv_arc_softmax(s=64.0, m=0.5, t=1.2)
>>> value, gradient = loss.value_and_grad(np.array([[0.8, 0.1, -0.2]]), np.array([0]))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from svref import head
from svref._version import __version__
from svref.emphasis import SupportVectors
from svref.head import shards
from svref.loss import SVXSoftmax
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Combined,
    EasyMargin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)
from svref.reference import Gradients, Step
from svref.variants import (
    VARIANTS,
    a_softmax,
    am_softmax,
    arc_softmax,
    combined_softmax,
    mv_am_softmax,
    mv_arc_softmax,
    softmax,
    sv_a_softmax,
    sv_am_softmax,
    sv_arc_softmax,
    sv_combined_softmax,
    sv_softmax,
)

if TYPE_CHECKING:
    from svref import deviations, exact, golden, plots, strategies
    from svref.conformance import check, check_values, diagnose
    from svref.deviations import dialects

__all__ = [
    "VARIANTS",
    "AdditiveAngle",
    "AdditiveCosine",
    "Combined",
    "EasyMargin",
    "Gradients",
    "MultiplicativeAngle",
    "NoMargin",
    "SVXSoftmax",
    "Step",
    "StraightThrough",
    "SupportVectors",
    "__version__",
    "a_softmax",
    "am_softmax",
    "arc_softmax",
    "check",
    "check_values",
    "combined_softmax",
    "deviations",
    "diagnose",
    "dialects",
    "exact",
    "golden",
    "head",
    "mv_am_softmax",
    "mv_arc_softmax",
    "plots",
    "shards",
    "softmax",
    "strategies",
    "sv_a_softmax",
    "sv_am_softmax",
    "sv_arc_softmax",
    "sv_combined_softmax",
    "sv_softmax",
]

_HEAVY = {
    **dict.fromkeys(("check", "check_values", "diagnose"), "svref.conformance"),
    **{room: f"svref.{room}" for room in ("deviations", "dialects", "exact", "golden", "plots", "strategies")},
}


def __getattr__(name: str) -> Any:
    """Load the heavier rooms on first use."""
    if name not in _HEAVY:
        raise AttributeError(f"module 'svref' has no attribute {name!r}")
    room = importlib.import_module(_HEAVY[name])
    return room if _HEAVY[name] == f"svref.{name}" else getattr(room, name)
