"""What a PASS rests on: which known mistakes the cases would have shown, and which they could not show."""

from __future__ import annotations

from collections.abc import Sequence

from svref.conformance.checking.asking import Plan
from svref.conformance.checking.outcome import Evidence
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS
from svref.golden.making.beyond import is_beyond_all
from svref.golden.vectors import Vector
from svref.loss import SVXSoftmax


def evidence_of(plan: Plan, vectors: Sequence[Vector], trials: Sequence[Trial]) -> Evidence | None:
    """Return which deviations of the loss the answered cases expose; None where that is not known.

    The vectors hold it, by precision, for the paper's loss with all outputs. A deviation counts as exposed if some
    element of a case would be wrong by more than its tolerance, and this tolerance is below the element's own size.
    """
    answered = {trial.id for trial in trials if len(trial.outputs) == len(trial.expected.ways[0])}
    judged = [v for v in vectors if v.id in answered]
    if plan.dialect is not None or not judged or not all(plan.precision in v.case.get("power", {}) for v in judged):
        return None
    known = {name for v in judged for name in _applying(v.loss, v.level == "head", plan.precision)}
    exposed = {name for v in judged for name in v.case["power"][plan.precision]["firm"]}
    return Evidence(len(known & exposed), tuple(sorted(known - exposed)))


def _applying(loss: SVXSoftmax, is_head: bool, precision: str) -> list[str]:
    """Return the names of the deviations that code of a loss can have, and that are wrong in a format."""
    return [
        name
        for name, deviation in DEVIATIONS.items()
        if (is_head or deviation.on_cosines is not None)
        and not is_beyond_all(name, precision)
        and deviation.applies(loss)
    ]
