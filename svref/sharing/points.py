"""The judged numbers of a report as arrays: where each negative lies, whether it is wrong, and the errors by case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance import Report
from svref.conformance.mistakes.departure import Departure
from svref.conformance.trial import Trial

MOST_NEGATIVES = 4000  # of all cases together, those that are drawn; every wrong one is among them
MOST_CASES = 60  # the worst


class Negatives(NamedTuple):
    """The negatives of all cases: c_y of the row, c_k, and whether something is wrong there; arrays of shape (N,)."""

    target: FloatArray
    cosine: FloatArray
    wrong: BoolArray


def negatives_of(trials: Sequence[Trial]) -> Negatives:
    """Return the negatives of all cases.

    A negative counts as wrong if its own derivative is wrong, or its row's loss, or the row's derivative by c_y or by
    the embedding. Of many negatives, the right ones are thinned out evenly.
    """
    found = [_negatives_in(trial) for trial in trials]
    if not found:
        return Negatives(np.zeros(0), np.zeros(0), np.zeros(0, bool))
    together = Negatives(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    right = np.flatnonzero(~together.wrong)
    kept = np.sort(np.concatenate([np.flatnonzero(together.wrong), right[:: len(right) // MOST_NEGATIVES + 1]]))
    return Negatives(*(part[kept] for part in together))


def _negatives_in(trial: Trial) -> Negatives:
    """Return the negatives of one case."""
    step = trial.step()
    shape, rows = step.cosines.shape, np.arange(len(trial.labels))
    wrong = np.zeros(shape, bool)
    for quantity in trial.judgement.quantities:
        found: BoolArray = quantity.wrong
        if quantity.name == "grad_cosines":
            wrong |= found | np.take_along_axis(found, trial.labels[:, None], axis=1)
        elif not found.ndim:  # the candidate returns a sum or a mean
            wrong |= found
        elif quantity.name != "grad_weights":
            wrong |= found.reshape(len(rows), -1).any(axis=1, keepdims=True)
    other = np.ones(shape, bool)
    other[rows, trial.labels] = False
    target = np.broadcast_to(step.cosines[rows, trial.labels][:, None], shape)
    return Negatives(target[other].astype(np.float64), step.cosines[other].astype(np.float64), wrong[other])


class Errors(NamedTuple):
    """The errors of one output in one case, in units of the tolerance."""

    case: str
    output: str
    errors: FloatArray


def errors_of(report: Report) -> list[Errors]:
    """Return the errors of every case and output, in the order of the cases; of many cases, the worst sixty."""
    prefix = f"{report.header['loss']}-"
    found = [
        Errors(trial.id.removeprefix(prefix), q.name, q.error[q.judged])
        for trial in report.trials
        for q in trial.judgement.quantities
    ]
    worst = {entry.case: 0.0 for entry in found}
    for entry in found:
        worst[entry.case] = max(worst[entry.case], float(entry.errors.max(initial=0.0)))
    shown = set(sorted(worst, key=lambda case: -worst[case])[:MOST_CASES])
    return [entry for entry in found if entry.case in shown]


def departing(report: Report) -> tuple[Trial, int] | None:
    """Return the case of the first departure and the row of it; None if the report has none, or no such case."""
    departure = report.departure
    trial = next((t for t in report.trials if departure is not None and t.id == departure.case), None)
    if departure is None or trial is None:
        return None
    return trial, _row_of(departure, trial)


def _row_of(departure: Departure, trial: Trial) -> int:
    """Return the row of a departure; where it has none, as in a gradient by weights, the row with the largest loss."""
    if departure.index and departure.stage != "grad_weights":
        return departure.index[0]
    return int(np.argmax(trial.step().loss))


def failing(trials: Sequence[Trial]) -> Iterator[Trial]:
    """Yield the cases with a wrong element."""
    return (trial for trial in trials if trial.failed)
