"""What a wrong candidate may be computing, from the simple to the combined.

singles   every known deviation, the slips of a variant's parameters, and mistakes of some size
pairs     another loss, computed with another mistake
losing    any of these, and numbers that overflow or a slope that is infinite beside
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from svref.conformance.mistakes.hypothesis import (
    Change,
    Hypothesis,
    change_of,
    losing_too,
    of_change,
    of_deviation,
    of_run,
    told,
)
from svref.conformance.mistakes.sizes import ANNEALED, ANY_SHARE, DOWNCAST, annealed, clamps_in_float32, fitted, narrow
from svref.conformance.mistakes.slips import slips
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS, Deviation
from svref.loss import SVXSoftmax
from svref.variants import Variant

LOSING = (  # what loses numbers in some rows, and leaves the others alone; float64 first, which float32 refutes
    "sine-of-whole-row",
    "no-max-subtraction-float64",
    "no-max-subtraction",
    "no-max-subtraction-quotient-float64",
    "no-max-subtraction-quotient",
)


def singles(entry: Variant | None) -> Iterator[Hypothesis]:
    """Yield every known deviation, the slips of a variant's parameters, and mistakes of some size."""
    yield from (of_deviation(d) for d in DEVIATIONS.values() if not d.name.startswith(DOWNCAST))
    yield from () if entry is None else slips(entry)
    yield from fitted()


def pairs() -> Iterator[Hypothesis]:
    """Yield another loss computed with another mistake, the digits of float32 among them."""
    changes = [d for d in DEVIATIONS.values() if d.change is not None]
    for first, second in itertools.combinations(sorted(changes, key=lambda d: d.name), 2):
        yield replace(of_change(first.name, first, _both(first, second)), **told(first, second))
    runs = [d for d in DEVIATIONS.values() if d.change is None and not d.name.startswith(DOWNCAST)]
    annealing = replace(DEVIATIONS["annealing-left-on"], name=ANNEALED, formula=ANY_SHARE)
    for first, change in [*((d, change_of(d)) for d in changes), (annealing, annealed)]:
        for second in (*runs, *clamps_in_float32()):
            yield replace(of_run(second, change), **told(first, second))
    yield from narrowed()


def narrowed() -> Iterator[Hypothesis]:
    """Yield another loss, computed in the digits of float32."""
    digits = DEVIATIONS[f"{DOWNCAST}-float32"]
    for first in DEVIATIONS.values():
        if first.change is not None:
            yield replace(narrow("float32", change_of(first)), **told(first, digits))


def losing(hypotheses: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """Yield hypotheses with numbers that are lost besides, to an overflow or to an infinite slope."""
    for hypothesis in hypotheses:
        if hypothesis.name not in LOSING:
            yield from (losing_too(hypothesis, DEVIATIONS[name]) for name in LOSING)


def _both(first: Deviation, second: Deviation) -> Change:
    def change(trial: Trial) -> SVXSoftmax:
        loss = change_of(first)(trial)
        return loss if second.change is None else second.change(loss)

    return change
