"""The check tested on every run: spoiled outputs must fail, and a second call must give what the first gave.

Three controls spoil one element of the candidate's own outputs. If the judgement on a spoiled output is not "wrong",
the check cannot see this candidate's mistakes, and its verdict means nothing.

Then the candidate is called again: every case once more, one row alone, and a batch with an ignored row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.arrays import outputs_for_cotangent
from svref.conformance.candidates.call import Answer, Call, CandidateError, check_outputs, outputs_of
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.trial import Trial
from svref.judging.judge import Expected, ExpectedOutput, Outputs, Quantity, rows_where

ROWS, IGNORED, ACCEPTED = "rows-influence-each-other", "ignored-rows-counted", "invalid-input-accepted"
STATE = "hidden-state"  # the finding that a candidate answers the same question in two ways
NO_EVIDENCE = ("hung", "unsupported")  # such mishaps do not show what the answer would have been
Spoil = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]]  # takes got, expected and |expected|


@dataclass(frozen=True)
class CallFinding:
    """What is wrong with a candidate besides its elements, which mostly a second call shows.

    Parameters
    ----------
    name : str
        "hidden-state", "rows-influence-each-other", "ignored-rows-counted", "invalid-input-accepted",
        "gradient-not-finite", or "s-fixed" and "s-ignored" for parameters that change nothing.
    case : str
        The id of the first case that shows it.
    text : str
        What differs, in a sentence.
    formula : str
        What the candidate computes, where a known mistake explains the finding; else "".
    explains : bool
        Whether it explains every wrong element of the check.
    values : mapping
        The fixed values that the candidate has inside, where that is the finding.
    """

    name: str
    case: str
    text: str
    formula: str = ""
    explains: bool = False
    values: Mapping[str, float] = field(default_factory=dict)


# ---- spoiled outputs --------------------------------------------------------------------------------------------

CONTROLS: Mapping[str, Spoil] = {
    "an element turned to its opposite": lambda got, expected, size: -got,
    "an element that is 0": lambda got, expected, size: got * 0,
    "an element that is NaN": lambda got, expected, size: got * np.nan,
}


def unnoticed_controls(trials: Sequence[Trial]) -> list[str]:
    """Return the controls that pass though they should fail, each as "control in output".

    A control fails, as it should, if there is a case in which the spoiled output is judged wrong. The element that is
    spoiled is one that passed and is neither vacuous nor expected to be 0; an output without one is left out.
    """
    right = [trial for trial in trials if not trial.failed]
    quantities = [q for trial in right for q in trial.judgement.quantities]
    outputs = dict.fromkeys(q.name for q in quantities if _spoilable(q).max(initial=0.0) > 0)
    return [
        f"{control} in {name}"
        for control, spoil in CONTROLS.items()
        for name in outputs
        if not any(_fails_if_spoiled(trial, name, spoil) for trial in right)
    ]


def _fails_if_spoiled(trial: Trial, name: str, spoil: Spoil) -> bool:
    """Return whether a case fails once its output of that name is spoiled."""
    for quantity in trial.judgement.quantities:
        if quantity.name == name and _spoilable(quantity).any():
            return trial.judged_with({**trial.outputs, name: _spoiled(trial, quantity, spoil)}).wrong
    return False


def _spoilable(quantity: Quantity) -> NDArray[Any]:
    """Return |expected| of each element that passed and is not vacuous, else 0. An expected 0 has no opposite."""
    return np.where(quantity.passed, np.abs(quantity.expected), 0.0)


def _spoiled(trial: Trial, quantity: Quantity, spoil: Spoil) -> NDArray[Any]:
    """Return an output of a case with its largest spoilable element spoiled."""
    values, sizes = np.array(trial.outputs[quantity.name]), _spoilable(quantity)
    at = np.unravel_index(int(np.argmax(sizes)), sizes.shape)
    values[at] = spoil(values[at], quantity.expected[at], sizes[at])
    return values


# ---- called again -----------------------------------------------------------------------------------------------


def ask_again(guard: Guard, calls: Mapping[str, Call], trials: Sequence[Trial]) -> list[CallFinding | Mishap]:
    """Ask every case again, then one row alone of the first case of each group; return the first surprise of each.

    A surprise is a difference from the first answer, or a mishap that shows nothing about the answer, as when a call
    hangs or is declined.
    """
    return [*ask_cases_again(guard, calls, trials), *ask_rows_alone(guard, calls, trials)]


def ask_cases_again(guard: Guard, calls: Mapping[str, Call], trials: Sequence[Trial]) -> list[CallFinding | Mishap]:
    """Ask every case again; return the first surprise."""
    results = ((trial.id, _again(guard, calls[trial.id], trial)) for trial in trials)
    return list(itertools.islice((_surprise(STATE, case, result) for case, result in results if result), 1))


def ask_rows_alone(guard: Guard, calls: Mapping[str, Call], trials: Sequence[Trial]) -> list[CallFinding | Mishap]:
    """Ask one row alone of the first case of each group; return the first surprise."""
    results = ((trial.id, _row_alone(guard, calls[trial.id], trial)) for trial in _first_of_groups(trials))
    return list(itertools.islice((_surprise(ROWS, case, result) for case, result in results if result), 1))


def _surprise(name: str, case: str, result: str | Mishap) -> CallFinding | Mishap:
    """Return a mishap as it is, and a difference as a finding."""
    return result if isinstance(result, Mishap) else CallFinding(name, case, result)


def _first_of_groups(trials: Sequence[Trial]) -> list[Trial]:
    """Return the first case of each group."""
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(trial.group, trial)
    return list(first.values())


def _again(guard: Guard, call: Call, trial: Trial) -> str | Mishap:
    """Return how a second answer differs from the first, beyond rounding; "" if it does not."""
    what, answer = "the second call", ask_once(guard, call, trial.factor)
    if isinstance(answer, Mishap):
        return _as_difference(answer, what)
    return _difference(trial, outputs_for_cotangent(answer, call, trial.factor), what)


def _row_alone(guard: Guard, call: Call, trial: Trial) -> str | Mishap:
    """Return how a row alone differs from the same row in its batch; "" if it does not.

    A scalar of one row is that row's loss, and cannot be compared with the scalar of the batch. Frameworks that compile
    each shape anew get a batch of that row alone, as often as the case has rows.
    """
    b = int(np.argmax(np.abs(call.cotangent)))
    reduced = trial.factor is not None
    compiles = len(guard.adapter.layouts) == 1 and not reduced
    row = call.rows(np.full(len(call.labels), b) if compiles else slice(b, b + 1))
    what, factor = f"row {b} alone", 1.0 if reduced else None
    answer = ask_once(guard, row, factor)
    if isinstance(answer, Mishap):  # no answer to a row alone shows no influence of other rows
        return _prefixed(answer, what)
    outputs = outputs_for_cotangent(answer, row, factor)
    of_batch = ("grad_weights", "loss") if reduced else ("grad_weights",)
    whole = {name: np.array(trial.outputs[name]) for name in outputs if name in trial.outputs and name not in of_batch}
    for name, values in whole.items():
        values[b] = outputs[name][0]
    return _difference(trial, whole, what)


def ask_with_ignored_row(
    guard: Guard, call: Call, trial: Trial, ignore_index: int = -100
) -> list[CallFinding | Mishap]:
    """Ask a case with row 0 ignored; return what is wrong: its loss and gradient must be 0, other rows the same."""
    labels = call.labels.copy()
    labels[0] = ignore_index
    asked = Call(call.id, call.arrays, labels, call.cotangent, {**call.parameters, "ignore_index": ignore_index})
    what, answer = f"with ignore_index={ignore_index} it", ask_once(guard, asked, trial.factor)
    if isinstance(answer, Mishap) and answer.kind == "unsupported":
        return []
    result = _as_difference(answer, what) if isinstance(answer, Mishap) else _counted(answer, asked, trial)
    return [_surprise(IGNORED, call.id, result)] if result else []


def _counted(answer: Answer, call: Call, trial: Trial) -> str:
    """Return a sentence that says how the ignored row counts in an answer; "" if it does not."""
    gradient = answer.gradients[0]
    if gradient is not None and np.any(gradient[0] != 0):
        return "the gradient of a row with the ignored label is not 0"
    if trial.factor is not None:
        return ""  # the mean over fewer rows is another number
    if answer.losses[0] != 0:
        return (
            f"the loss of a row with the ignored label is {answer.losses[0]:.9g}, but should be 0, as its gradient is"
        )
    others = {
        name: np.array(values) for name, values in outputs_for_cotangent(answer, call).items() if name != "grad_weights"
    }
    for name, values in others.items():
        values[0] = trial.outputs[name][0]
    return _difference(trial, others, "a batch with an ignored row")


def ask_once(guard: Guard, call: Call, factor: float | None) -> Answer | Mishap:
    """Return the answer to another call, or why there is none that can be used."""
    answer = guard(call)
    if isinstance(answer, Mishap):
        return answer
    try:
        check_outputs(outputs_of(answer, call), call, factor)
    except CandidateError as error:
        return Mishap(call.id, "unusable", f"is not answered: {error}")
    return answer


def _as_difference(mishap: Mishap, what: str) -> str | Mishap:
    """Return, for a call that was answered before, the mishap's message as the difference.

    A mishap of `NO_EVIDENCE` stays a mishap.
    """
    prefixed = _prefixed(mishap, what)
    return prefixed if mishap.kind in NO_EVIDENCE else prefixed.message


def _prefixed(mishap: Mishap, what: str) -> Mishap:
    """Return a mishap whose message says which call it was."""
    return replace(mishap, message=f"{what}{':' if mishap.kind in NO_EVIDENCE else ''} {mishap.message}")


def _difference(trial: Trial, outputs: Outputs, what: str) -> str:
    """Return a sentence on the first element that differs from the case's outputs by more than two tolerances.

    Two right answers may differ where the judgement lets either pass: at poles, where rounding may reach a pole, and in
    rows with undecided decisions. BLAS rounds a product of one row in another order than that of a batch.
    """
    for right in trial.expected.ways[0]:
        if right.name in outputs and right.name in trial.outputs:
            before, after = (np.asarray(o[right.name], np.float64) for o in (trial.outputs, outputs))
            with np.errstate(invalid="ignore"):
                same = (np.abs(after - before) <= 2 * right.tolerance) | (after == before)
            same |= np.isnan(before) & np.isnan(after) | right.policy | _either_way(trial.expected, right)
            same |= right.fragile & ~(np.isfinite(before) & np.isfinite(after))
            if not same.all():
                at = tuple(int(i) for i in np.argwhere(~same)[0])
                place = f"[{', '.join(map(str, at))}]" if at else ""
                return f"{what} gives {right.name}{place} = {after[at]:.9g}, where it was {before[at]:.9g}"
    return ""


def _either_way(expected: Expected, output: ExpectedOutput) -> NDArray[np.bool_]:
    """Return the elements that undecided decisions change: those of their rows; all weights, if there are any."""
    undecided = expected.undecided > 0
    if output.name == "grad_weights" or output.value.shape[:1] != undecided.shape:
        return np.full(output.value.shape, undecided.any())
    return rows_where(undecided, output.value)
