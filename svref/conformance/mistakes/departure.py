"""Where a wrong candidate departs first, in the order in which a loss is computed.

Three sources, the best first: quantities on the way that the candidate returns by name; those of the loss that the
diagnosis says it computes; and the outputs themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import BoolArray, FloatArray
from svref.conformance.candidates.call import GRADIENTS, STAGES
from svref.conformance.mistakes.explanations import Diagnosis
from svref.conformance.trial import Trial
from svref.judging import condition
from svref.judging.figures import figures
from svref.judging.formats import format_of
from svref.reference import Step

ORDER = (*STAGES, "loss", *GRADIENTS["cosine"], *GRADIENTS["head"])
Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Departure:
    """The first quantity that is not what it should be.

    Parameters
    ----------
    stage : str
        "cosines", "margin_cosine", "mask", "relative_logits", "loss" or a gradient.
    case : str
        The case's id.
    index : tuple of int
        The element.
    target_cosine : float
        The row's c_y; NaN in gradients by weights, which have no row.
    got, expected : float
        The value, of the candidate or of the loss it was found to compute, and the right one.
    """

    stage: str
    case: str
    index: tuple[int, ...]
    target_cosine: float
    got: float
    expected: float


def first_departure(trials: Sequence[Trial], diagnosis: Sequence[Diagnosis]) -> Departure | None:
    """Return where the failing cases depart first; None if nothing fails."""
    found = [d for t in trials if t.failed for d in [_departure(t, diagnosis)] if d is not None]
    return min(found, key=lambda d: ORDER.index(d.stage), default=None)


def _departure(trial: Trial, diagnosis: Sequence[Diagnosis]) -> Departure | None:
    step = trial.step()
    returned = {} if trial.answer is None else dict(trial.answer.stages)
    found = diagnosis[0].hypothesis if diagnosis and diagnosis[0].complete else None
    if not returned and found is not None and found.loss is not None:
        returned = _on_the_way(trial.step(found.loss(trial)))
    right, widths = _on_the_way(step), _widths(step, trial)
    for name in STAGES:
        if name in returned:
            wrong = _wrong(np.asarray(returned[name], np.float64), right[name].astype(np.float64), widths[name])
            if wrong.any():
                return _at(name, trial, step, wrong, returned[name], right[name])
    return _of_outputs(trial, step)


def _of_outputs(trial: Trial, step: Step) -> Departure | None:
    for quantity in trial.judgement.quantities:
        if quantity.wrong.any():
            return _at(quantity.name, trial, step, quantity.wrong, quantity.got, quantity.expected)
    return None


def _at(name: str, trial: Trial, step: Step, wrong: BoolArray, got: NDArray[Any], expected: NDArray[Any]) -> Departure:
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    of_row = index and name != "grad_weights"
    cosine = float(step.angle.cosine[index[0]]) if of_row else float("nan")
    return Departure(name, trial.id, index, cosine, float(got[index]), float(expected[index]))


def _on_the_way(step: Step) -> dict[str, NDArray[Any]]:
    """Return the quantities of a step by the names of `STAGES`."""
    return {
        "cosines": step.cosines,
        "margin_cosine": step.margin_cosine,
        "mask": step.mask,
        "relative_logits": step.relative_logits,
    }


def _widths(step: Step, trial: Trial) -> dict[str, FloatArray]:
    """Return how far rounding may carry each quantity on the way; a mask may differ where it is undecided."""
    u = 8 * format_of(trial.compute).unit_roundoff
    fs = figures(step.margin, step.angle, u / 8).value
    near, _ = condition.undecided(step, trial.compute)
    reach = np.sqrt(trial.arrays[0].shape[-1]) if trial.level == "head" else 0.0
    widest = step.s * step.emphasis.t * (2 + np.abs(step.margin_cosine) + fs)
    own = np.zeros_like(step.cosines, dtype=np.float64)
    own[step.own] = np.inf  # a label's column may hold anything
    return {
        "cosines": np.full(step.cosines.shape, u * (1 + reach)),
        "margin_cosine": u * (1 + reach + fs),
        "mask": np.where(near, 1.0, 0.5) + own,
        "relative_logits": np.where(near, np.inf, (u * (1 + reach) * widest)[:, None]) + own,
    }


def _wrong(got: FloatArray, right: FloatArray, width: FloatArray) -> BoolArray:
    with np.errstate(invalid="ignore"):
        return np.asarray(~((np.abs(got - right) <= width) | (got == right)))
