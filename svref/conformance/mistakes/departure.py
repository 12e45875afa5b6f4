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
from svref.conformance.candidates.call import BACKWARD, FORWARD, GRADIENTS, STAGES
from svref.conformance.mistakes.explanations import Explanation
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.mistakes.stages import LOSS, compared, forward_of
from svref.conformance.trial import Trial
from svref.reference import Step

ORDER = (*FORWARD, LOSS, *BACKWARD, *GRADIENTS["cosine"], *GRADIENTS["head"])


@dataclass(frozen=True)
class Departure:
    """The first number that is not what it should be.

    Parameters
    ----------
    stage : str
        One of `ORDER`: "cosines", "margin_cosine", "mask", "relative_logits", "loss", "q", or a gradient.
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
    D = trial.arrays[0].shape[-1]
    stages = compared(trial.id, right, trial.precision, trial.level, D, _returned_stages(trial, hypothesis))
    outputs = {quantity.name: quantity for quantity in trial.judgement.quantities}
    for name in ORDER:
        if name in stages.got and name not in outputs and stages.wrong(name).any():
            return _departure_at(name, trial, right, stages.wrong(name), stages.got[name], stages.right[name])
        if name in outputs and outputs[name].wrong.any():
            quantity = outputs[name]
            return _departure_at(name, trial, right, quantity.wrong, quantity.got, quantity.expected)
    return None


def _returned_stages(trial: Trial, hypothesis: Hypothesis | None) -> dict[str, NDArray[Any]]:
    """Return the candidate's stages, or those of the loss that it was found to compute; {} if there are neither."""
    returned = {} if trial.answer is None else trial.answer.stages
    loss = None if hypothesis is None else hypothesis.computation.loss(trial)
    if returned or loss is None:
        return {name: np.asarray(values) for name, values in returned.items() if name in STAGES}
    return forward_of(trial.step(loss))


def _departure_at(
    name: str, trial: Trial, right: Step, wrong: BoolArray, got: FloatArray, expected: FloatArray
) -> Departure:
    """Return the departure at the first wrong element of a step or an output."""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    has_row = bool(index) and name != "grad_weights"
    cosine = float(right.angle.cosine[index[0]]) if has_row else float("nan")
    return Departure(name, trial.id, index, cosine, float(got[index]), float(expected[index]))
