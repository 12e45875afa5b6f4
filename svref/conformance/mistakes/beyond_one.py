"""Cosines that rounding carries beyond 1, and an arccos of them that is NaN: a mistake that only some rows show.

In which rows x̂·ŵ exceeds 1 depends on the order in which the products are added, on the machine even. So this is no
entry of the registry, which computes what wrong code returns. The hypothesis says where numbers may be lost, and that
all others are right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from svref.arrays import BoolArray
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.trial import Trial
from svref.judging import condition
from svref.judging.judge import Expected, ExpectedOutput, rows_where
from svref.judging.precision import precision_of
from svref.loss import SVXSoftmax

SEEN = ("PaddlePaddle/Paddle, margin_cross_entropy", "cavalleria/cavaface:head/metrics.py")


@dataclass(frozen=True)
class ArccosBeyondOne:
    """A right head, but for rows in which a cosine may round beyond ±1, and whose loss is NaN."""

    def expected(self, trial: Trial) -> Expected | None:
        """Return the right outputs, with those rows' numbers lost, and all weights' gradients if there is one.

        The sum over rows carries a NaN to every weight. None if the case has no such row.
        """
        lost = self._lost(trial)
        if not lost.any():
            return None
        right = trial.expected_of_rows
        return replace(right, ways=tuple(tuple(_without(output, lost) for output in way) for way in right.ways))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return None: which numbers are lost is a matter of rounding, and no SVXSoftmax describes it."""
        return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether every loss is a number: the mistake then explains no failure."""
        return not may_be_lost and bool(np.isfinite(trial.outputs["loss"]).all())

    def supported(self, failing: object) -> bool:
        """Return True: a loss that is NaN nowhere but next to a pole is evidence by itself."""
        return True

    def _lost(self, trial: Trial) -> BoolArray:
        """Return the rows of which a cosine may round beyond ±1, and whose loss, or the scalar's, is NaN.

        It need not be the target's: code that takes the arccos of the whole row loses the row to any other.
        """
        if trial.level == "cosine" or not trial.loss.angular:
            return np.zeros(len(trial.labels), dtype=bool)
        plan, dimensions = precision_of(trial.precision), trial.arrays[0].shape[1]
        u = condition.unit_roundoff(plan.logits)
        reach = condition.UNDECIDED * (u + condition.cosine_error(plan, dimensions))
        near = (1 - np.abs(trial.step().cosines) <= reach).any(axis=1)
        return np.asarray(near & np.isnan(trial.outputs["loss"]))


def _without(output: ExpectedOutput, lost: BoolArray) -> ExpectedOutput:
    """Return an output of which the numbers of lost rows are NaN; of the weights' gradient, all numbers may be."""
    if output.name == "grad_weights":
        return replace(output, fragile=np.ones(output.value.shape, dtype=bool))
    where = rows_where(lost, output.value)
    if output.name == "loss":  # it is NaN in these rows, and in a scalar that adds them up
        return replace(output, policy=output.policy | where, fragile=where)
    return replace(output, fragile=output.fragile | where)


def beyond_one() -> Hypothesis:
    """Return the hypothesis."""
    return Hypothesis(
        name="acos-beyond-one",
        formula="θ_y = arccos c_y, or sin θ_y = sqrt(1 - c_y²), with no clamp where x̂·ŵ rounds beyond ±1",
        effect="Where embedding and weight are parallel, the rounded product exceeds 1 in some rows. The angle is NaN "
        "there, and so are the row's loss and gradient, and the gradient by every weight.",
        seen=SEEN,
        computation=ArccosBeyondOne(),
    )
