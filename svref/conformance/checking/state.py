"""How much hidden state changes the answers, so that a mistake beside it can be told from it.

State alone spoils the first answers by about as much as it changes them from one call to the next. What is farther
off is another mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.arrays import outputs_for_cotangent
from svref.conformance.candidates.call import Call
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.checking.controls import ask_once
from svref.conformance.trial import Trial

ROOM = 4.0  # times the change from one call to the next: how far state may have carried a first answer


def lenient(guard: Guard, calls: Mapping[str, Call], trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials judged with room for what state does: those that still fail have another mistake.

    Every case is asked once more. The room of a case is a multiple of the largest change in it, but at least that of
    the median case relative to the size of its answers, since a random change may be small by chance.
    """
    changes = {trial.id: _changes(guard, calls[trial.id], trial) for trial in trials}
    usual = {
        name: _usual_share(trials, changes, name) for name in {name for found in changes.values() for name in found}
    }

    def room(trial: Trial) -> dict[str, float]:
        found = changes[trial.id]
        return {name: ROOM * max(change, usual[name] * _size(trial, name)) for name, change in found.items()}

    return [trial.with_room(room(trial)) for trial in trials]


def _usual_share(trials: Sequence[Trial], changes: Mapping[str, Mapping[str, float]], name: str) -> float:
    """Return by which share of its largest number an output changes in the median case."""
    sizes = {trial.id: _size(trial, name) for trial in trials if name in changes[trial.id]}
    return float(np.median([changes[case][name] / size for case, size in sizes.items() if size] or [0.0]))


def _changes(guard: Guard, call: Call, trial: Trial) -> dict[str, float]:
    """Return, by output, the largest change of a finite number from the first answer to another one."""
    answer = ask_once(guard, call, trial.factor)
    if isinstance(answer, Mishap):
        return {}
    after = outputs_for_cotangent(answer, call, trial.factor)
    return {name: _largest(after[name], values) for name, values in trial.outputs.items() if name in after}


def _largest(after: NDArray[Any], before: NDArray[Any]) -> float:
    """Return the largest finite difference of two arrays; 0 if there is none."""
    with np.errstate(invalid="ignore"):
        change = np.abs(np.asarray(after, np.float64) - np.asarray(before, np.float64))
    return float(change[np.isfinite(change)].max(initial=0.0))


def _size(trial: Trial, name: str) -> float:
    """Return the size of the largest finite number of an output."""
    return _largest(np.zeros(()), trial.outputs[name])
