"""Gradients that are NaN or infinite at the poles of an angular margin: accepted there, and told.

At a pole cos θ_y is ±1: embedding and weight are parallel. The gradient is undefined there, so no value is judged. But
a NaN spreads through an optimiser to all weights, and an infinity soon becomes one. So the line of the verdict says
how many there are, and with `finite` they are findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from svref.conformance.checking.controls import CallFinding
from svref.conformance.trial import Trial

NAME = "gradient-not-finite"
PAGE = "docs/how-to/get-rid-of-nan.md"
PLACES = {"grad_cosines": "where cos θ_y = ±1"}
VECTORS = "where embedding and weight are parallel"  # the place for the other outputs, which are those of a head

Policies = Mapping[str, int]  # of the elements at poles that are not judged, how many are "NaN", "infinite" and so on


def not_finite(undefined: Iterable[tuple[str, Policies]]) -> str:
    """Return how many gradients are NaN or infinite at poles, and where; "" if none is.

    Parameters
    ----------
    undefined : iterable of (str, mapping)
        The name of an output, and what its elements at poles are.
    """
    found: dict[str, dict[str, int]] = {}
    for output, policies in undefined:
        kinds = found.setdefault(PLACES.get(output, VECTORS), {"NaN": 0, "infinite": 0})
        for kind in kinds:
            kinds[kind] += policies.get(kind, 0)
    return " and ".join(_sentence(place, kinds) for place, kinds in found.items() if any(kinds.values()))


def _sentence(place: str, kinds: Mapping[str, int]) -> str:
    """Return "16 gradients are NaN" and the place."""
    number, kind = sum(kinds.values()), " or ".join(kind for kind, count in kinds.items() if count)
    return f"{number:,d} gradient{' is' if number == 1 else 's are'} {kind} {place}"


def findings(trials: Sequence[Trial]) -> Iterator[CallFinding]:
    """Yield a finding for each case in which a gradient is NaN or infinite at a pole."""
    for trial in trials:
        text = not_finite((quantity.name, quantity.policies) for quantity in trial.judgement.quantities)
        if text:
            yield CallFinding(NAME, trial.id, text)
