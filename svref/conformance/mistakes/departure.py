"""The first step at which a wrong candidate departs from the right loss, in the order of computation.

The candidate's steps come from one of three places. The best are the steps that it returns by name. Next are those
of the loss that it was found to compute. If there is neither, only its outputs are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import BoolArray, FloatArray
from svref.conformance.candidates.call import GRADIENTS, STAGES
from svref.conformance.mistakes.explanations import Explanation
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.trial import Trial
from svref.judging import condition
from svref.judging.figures import figures
from svref.judging.formats import format_of
from svref.reference import Step

ORDER = (*STAGES, "loss", *GRADIENTS["cosine"], *GRADIENTS["head"])


@dataclass(frozen=True)
class Departure:
    """The first number that is not what it should be.

    Parameters
    ----------
    stage : str
        One of `ORDER`: "cosines", "margin_cosine", "mask", "relative_logits", "loss" or a gradient.
    case : str
        The case's id.
    index : tuple of int
        The element.
    target_cosine : float
        c_y of the row; NaN in gradients by weights, which have no row.
    got, expected : float
        The number that the candidate returned, or that the loss it was found to compute has there; and the right one.
    """

    stage: str
    case: str
    index: tuple[int, ...]
    target_cosine: float
    got: float
    expected: float


def first_departure(trials: Sequence[Trial], explanations: Sequence[Explanation]) -> Departure | None:
    """Return the earliest departure of all failing cases; None if nothing fails."""
    complete = bool(explanations) and explanations[0].diagnosis.complete
    hypothesis = explanations[0].hypothesis if complete else None
    departures = [_departure(trial, hypothesis) for trial in trials if trial.failed]
    return min((d for d in departures if d is not None), key=lambda d: ORDER.index(d.stage), default=None)


def _departure(trial: Trial, hypothesis: Hypothesis | None) -> Departure | None:
    """Return the first departure of one case."""
    right = trial.step()
    returned, expected, widths = _returned_stages(trial, hypothesis), _stages(right), _widths(right, trial)
    for name in STAGES:
        if name in returned:
            got, exact = returned[name].astype(np.float64), expected[name].astype(np.float64)
            wrong = _wrong(got, exact, widths[name])
            if wrong.any():
                return _departure_at(name, trial, right, wrong, got, exact)
    for quantity in trial.judgement.quantities:
        if quantity.wrong.any():
            return _departure_at(quantity.name, trial, right, quantity.wrong, quantity.got, quantity.expected)
    return None


def _returned_stages(trial: Trial, hypothesis: Hypothesis | None) -> dict[str, NDArray[Any]]:
    """Return the candidate's steps, or those of the loss that it was found to compute; {} if there are neither."""
    returned = {} if trial.answer is None else trial.answer.stages
    loss = None if hypothesis is None else hypothesis.computation.loss(trial)
    if returned or loss is None:
        return {name: np.asarray(values) for name, values in returned.items()}
    return _stages(trial.step(loss))


def _departure_at(
    name: str, trial: Trial, right: Step, wrong: BoolArray, got: FloatArray, expected: FloatArray
) -> Departure:
    """Return the departure at the first wrong element of a step or an output."""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    has_row = bool(index) and name != "grad_weights"
    cosine = float(right.angle.cosine[index[0]]) if has_row else float("nan")
    return Departure(name, trial.id, index, cosine, float(got[index]), float(expected[index]))


def _stages(step: Step) -> dict[str, NDArray[Any]]:
    """Return the steps of a loss by the names of `STAGES`."""
    return {
        "cosines": step.cosines,
        "margin_cosine": step.margin_cosine,
        "mask": step.mask,
        "relative_logits": step.relative_logits,
    }


def _widths(step: Step, trial: Trial) -> dict[str, FloatArray]:
    """Return how far rounding may carry each step of the loss.

    A mask may differ where rounding decides it, and in the label's column, which no loss reads. The relative logits
    are compared in the other elements.
    """
    u = 8 * format_of(trial.compute).unit_roundoff
    fs = figures(step.margin, step.angle, u / 8).value
    near, _ = condition.undecided(step, trial.compute)
    reach = np.sqrt(trial.arrays[0].shape[-1]) if trial.level == "head" else 0.0
    widest = step.s * step.emphasis.t * (2 + np.abs(step.margin_cosine) + fs)
    unread = np.zeros_like(step.cosines, dtype=np.float64)
    unread[step.own] = np.inf
    return {
        "cosines": np.full(step.cosines.shape, u * (1 + reach)),
        "margin_cosine": u * (1 + reach + fs),
        "mask": np.where(near, 1.0, 0.5) + unread,
        "relative_logits": np.where(near, np.inf, (u * (1 + reach) * widest)[:, None]) + unread,
    }


def _wrong(got: FloatArray, expected: FloatArray, width: FloatArray) -> BoolArray:
    """Return where a number is farther from the right one than its width; NaN is wrong, equal infinities are right."""
    with np.errstate(invalid="ignore"):
        return np.asarray(~((np.abs(got - expected) <= width) | (got == expected)))
