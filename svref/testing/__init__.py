"""svref in the test suite of whoever has an implementation: one test a case, and points where gradcheck is valid.

decorating   `cases`, the decorator for pytest, and `load_cases` for unittest and all else
case         one test: a piece of a check in one dtype, and `check`, which raises an AssertionError
pieces       what each kind of piece asks, and what came of it
suite        the pieces of a candidate in one dtype, which share what was asked and found
failing      the text of a failure: short, with the reason of the case and the command that shows it again
expecting    known failures: which mistake is expected, until when, and whether it is still there
configured   the known failures in the file pyproject.toml
naming       the names that a user may give, and the nearest one to a name that is unknown
found        what one process found, as data that another process makes a report of
section      what is told at the end of a run: which mistake each candidate makes
plugin       the plugin of pytest: ids and mistakes in its reports, the header, and the section at the end
gradcheck    points and steps at which finite differences are valid, since no decision flips within the step
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svref.testing.case import Case
    from svref.testing.decorating import cases, load_cases
    from svref.testing.gradcheck import GradcheckPoint, gradcheck_point

__all__ = ["Case", "GradcheckPoint", "cases", "gradcheck_point", "load_cases"]

_PLACES = {  # pytest loads the plugin in every run of everybody, so that the rest is loaded on first use
    "Case": "case",
    "cases": "decorating",
    "load_cases": "decorating",
    "GradcheckPoint": "gradcheck",
    "gradcheck_point": "gradcheck",
}


def __getattr__(name: str) -> Any:
    """Load the names on first use."""
    if name not in _PLACES:
        raise AttributeError(f"module 'svref.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"svref.testing.{_PLACES[name]}"), name)
