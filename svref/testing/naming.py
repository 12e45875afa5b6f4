"""The names that a user may give, and the nearest one to a name that is unknown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import cache

from svref.conformance.checking import poles
from svref.conformance.checking.controls import ACCEPTED, IGNORED, ROWS, STATE
from svref.conformance.checking.stages import WRONG_STAGE
from svref.conformance.mistakes.guesses import singles
from svref.conformance.mistakes.slips import SLIPS
from svref.deviations import DEVIATIONS
from svref.deviations.families import FAMILIES
from svref.variants import VARIANTS

FINDINGS = (STATE, ROWS, IGNORED, ACCEPTED, poles.NAME, WRONG_STAGE)
DTYPES = ("float64", "float32")
_WITHIN = re.compile(r"\([^()]*\)| in (float32|\w+ alone)$")  # a size; "in float32"; "in grad_cosines alone"
_OF_FIXED = re.compile(r"(s|m|m1|m2|m3|t)(-and-(s|m|m1|m2|m3|t))*-(fixed|ignored)$")


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Raise a ValueError that says the nearest name, unless the name is known."""
    names = list(known)
    if name not in names:
        raise ValueError(f"there is no {what} {name!r}{nearest(name, names)}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" for the nearest of some names, without its last mark; "" if none is near."""
    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; the nearest one is {near[0]!r}" if near else ""


def parts_of(name: str) -> frozenset[str]:
    """Return the names of the mistakes in a name such as "t-offset with eps-in-log"."""
    return frozenset(name.split(" with "))


def check_mistake(name: str) -> None:
    """Raise a ValueError unless a name is that of a mistake, as a report gives it, or of several joined by "with"."""
    for part in sorted(parts_of(name)):
        base = _WITHIN.sub("", part).strip()
        if not _OF_FIXED.match(base) and not base.startswith("wrong "):
            check_name("mistake", base, mistakes())


@cache
def mistakes() -> tuple[str, ...]:
    """Return the names of all known mistakes, without their sizes."""
    return tuple(dict.fromkeys(_mistakes()))


def _mistakes() -> Iterator[str]:
    yield from DEVIATIONS
    yield from FAMILIES
    yield from FINDINGS
    yield from (slip.name for slip in SLIPS)
    for entry in VARIANTS.values():
        yield from (_WITHIN.sub("", h.name).strip() for h in singles(entry))
