"""The testers tested: outputs spoiled on purpose must fail, and a candidate must not remember its calls.

Three controls are made of the candidate's own outputs on every run. If one of them passes, the check is blind to
this candidate, and its verdict would mean nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.arrays import aligned
from svref.conformance.candidates.call import Answer, Call, CandidateError
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.candidates.outputs import check_outputs, returned
from svref.conformance.trial import Trial
from svref.judging.judge import Outputs, Quantity

SILENT = ("hung", "unsupported")  # mishaps that say nothing of what the answer would have been
Spoil = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Finding:
    """What calling the candidate again, or with fewer rows, showed.

    Parameters
    ----------
    name : str
        "hidden-state", "rows-influence-each-other" or "ignored-rows-counted".
    case : str
        Where first.
    text : str
        What differs.
    """

    name: str
    case: str
    text: str


def blind(trials: Sequence[Trial]) -> list[str]:
    """Return the controls that no case shows to be wrong, output by output that passes where it says something."""
    right = [trial for trial in trials if not trial.failed]
    outputs = dict.fromkeys(
        q.name for trial in right for q in trial.judgement.quantities if _firm(q).max(initial=0.0) > 0
    )
    return [
        f"{control} in {name}"
        for control, spoil in CONTROLS.items()
        for name in outputs
        if not any(_seen(trial, name, spoil) for trial in right)
    ]


def _seen(trial: Trial, name: str, spoil: Spoil) -> bool:
    """Return whether an output of that name fails once it is spoiled."""
    for quantity in trial.judgement.quantities:
        if quantity.name == name and _firm(quantity).any():
            spoiled = {**trial.outputs, name: _spoiled(trial, quantity, spoil)}
            return replace(trial, outputs=spoiled).against_own().wrong
    return False


def _firm(quantity: Quantity) -> NDArray[Any]:
    """Return how large each element that passed must be; 0 where it says nothing, or is 0 and has no opposite."""
    return np.where(quantity.passed, np.abs(quantity.expected), 0.0)


def _spoiled(trial: Trial, quantity: Quantity, spoil: Spoil) -> NDArray[Any]:
    """Return an output with the element changed that is most certain to say something."""
    values, firm = np.array(trial.outputs[quantity.name]), _firm(quantity)
    at = np.unravel_index(int(np.argmax(firm)), firm.shape)
    values[at] = spoil(values[at], quantity.expected[at], firm[at])
    return values


CONTROLS: Mapping[str, Spoil] = {
    "an element turned to its opposite": lambda got, expected, size: -got,
    "an element that is 0": lambda got, expected, size: got * 0,
    "an element that is NaN": lambda got, expected, size: got * np.nan,
}


def remembers(guard: Guard, calls: Mapping[str, Call], trials: Sequence[Trial]) -> list[Finding | Mishap]:
    """Return what shows when every case is asked again, and the first of each group row by row.

    A call without an answer in time says nothing of what it would have answered.
    """
    asked = (("hidden-state", _again, trials), ("rows-influence-each-other", _alone, _first_of_groups(trials)))
    found: list[Finding | Mishap] = []
    for name, check, some in asked:
        answers = ((trial.id, check(guard, calls[trial.id], trial)) for trial in some)
        found += itertools.islice((_finding(name, case, said) for case, said in answers if said), 1)
    return found


def _finding(name: str, case: str, said: str | Mishap) -> Finding | Mishap:
    return said if isinstance(said, Mishap) else Finding(name, case, said)


def _first_of_groups(trials: Sequence[Trial]) -> list[Trial]:
    return list({trial.group: trial for trial in reversed(trials)}.values())[::-1]


def _again(guard: Guard, call: Call, trial: Trial) -> str | Mishap:
    """Return how the same call differs from the first time, beyond rounding; "" if it does not."""
    what, answer = "the second call", _asked(guard, call, trial.factor)
    if isinstance(answer, Mishap):
        return _shown(answer, what)
    return _differs(trial, aligned(answer, call, trial.factor), what)


def _alone(guard: Guard, call: Call, trial: Trial) -> str | Mishap:
    """Return how a row alone differs from the row in its batch; "" if it does not."""
    b = int(np.argmax(np.abs(call.cotangent)))
    reduced = trial.factor is not None  # of one row, to its own loss
    what, row, factor = f"row {b} alone", call.rows(slice(b, b + 1)), 1.0 if reduced else None
    answer = _asked(guard, row, factor)
    if isinstance(answer, Mishap):  # what cannot be asked alone shows no influence of other rows
        return _told(answer, what)
    outputs = aligned(answer, row, factor)
    of_batch = ("grad_weights", "loss") if reduced else ("grad_weights",)
    whole = {name: np.array(trial.outputs[name]) for name in outputs if name in trial.outputs and name not in of_batch}
    for name, values in whole.items():
        values[b] = outputs[name][0]
    return _differs(trial, whole, what)


def _asked(guard: Guard, call: Call, factor: float | None) -> Answer | Mishap:
    """Return the answer to another call, or why there is none that can be used."""
    answer = guard(call)
    if isinstance(answer, Mishap):
        return answer
    try:
        check_outputs(returned(answer, call), call, factor)
    except CandidateError as error:
        return Mishap(call.id, "unusable", f"is not answered: {error}")
    return answer


def _shown(mishap: Mishap, what: str) -> str | Mishap:
    """Return what a call that was answered before is found to do, or the mishap that shows nothing about it."""
    told = _told(mishap, what)
    return told if mishap.kind in SILENT else told.message


def _told(mishap: Mishap, what: str) -> Mishap:
    return replace(mishap, message=f"{what}{':' if mishap.kind in SILENT else ''} {mishap.message}")


def _differs(trial: Trial, outputs: Outputs, what: str) -> str:
    """Return the first element that differs by more than its tolerance from what came before."""
    for right in trial.right.ways[0]:
        if right.name in outputs and right.name in trial.outputs:
            before, after = (np.asarray(o[right.name], np.float64) for o in (trial.outputs, outputs))
            with np.errstate(invalid="ignore"):
                same = (np.abs(after - before) <= 2 * right.tolerance) | (after == before)
            same |= np.isnan(before) & np.isnan(after) | right.policy
            if not same.all():
                at = tuple(int(i) for i in np.argwhere(~same)[0])
                place = f"[{', '.join(map(str, at))}]" if at else ""
                return f"{what} gives {right.name}{place} = {after[at]:.9g}, where it was {before[at]:.9g}"
    return ""


def counts_ignored(guard: Guard, call: Call, trial: Trial, ignore_index: int = -100) -> list[Finding | Mishap]:
    """Return whether a row with the ignored label counts: its loss and gradient must be 0, the others as before."""
    labels = call.labels.copy()
    labels[0] = ignore_index
    asked = Call(call.id, call.arrays, labels, call.cotangent, {**call.parameters, "ignore_index": ignore_index})
    what, answer = f"with ignore_index={ignore_index} it", _asked(guard, asked, trial.factor)
    said = _shown(answer, what) if isinstance(answer, Mishap) else _counted(answer, asked, trial)
    refused = isinstance(answer, Mishap) and answer.kind == "unsupported"
    return [_finding("ignored-rows-counted", call.id, said)] if said and not refused else []


def _counted(answer: Answer, call: Call, trial: Trial) -> str:
    gradient = answer.gradients[0]
    if gradient is not None and np.any(gradient[0] != 0):
        return "the gradient of a row with the ignored label is not 0"
    if trial.factor is not None:
        return ""  # a mean over fewer rows is another
    if answer.losses[0] != 0:
        return f"the loss of a row with the ignored label is {answer.losses[0]:.9g}, should be 0, as its gradient"
    others = {name: np.array(values) for name, values in aligned(answer, call).items() if name != "grad_weights"}
    for name, values in others.items():
        values[0] = trial.outputs[name][0]
    return _differs(trial, others, "a batch with an ignored row")
