"""The run of a check: every case is asked and judged; then the candidate is called again, with more questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.checks import Progress
from svref.conformance.candidates.arrays import outputs_for_cotangent
from svref.conformance.candidates.call import (
    Answer,
    Call,
    CandidateError,
    Level,
    check_outputs,
    check_stages,
    is_real,
    outputs_of,
)
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.checking.controls import CallFinding, ask_again, ask_with_ignored_row, unnoticed_controls
from svref.conformance.trial import Trial
from svref.deviations.dialects import Dialect
from svref.golden.expected import expect_vector
from svref.golden.vectors import Vector
from svref.judging.expected import expect
from svref.judging.judge import Expected, judge
from svref.loss import SVXSoftmax

MOST_ASKED = 3  # cases that are asked for the reduction; a candidate may fail in the first ones
FACTORS: dict[str, Callable[[int], float | None]] = {  # by reduction: the factor of Σ L_b, from the number of rows
    "none": lambda rows: None,
    "sum": lambda rows: 1.0,
    "mean": lambda rows: 1 / rows,
}


@dataclass(frozen=True)
class Plan:
    """How a candidate is asked and judged.

    Parameters
    ----------
    guard : Guard
        Calls the candidate.
    level : {"cosine", "head"} or None
        What the candidate takes; None for files of answers, which may answer both.
    dtype : dtype
        The dtype of its inputs and outputs.
    compute : str
        The format that it computes in, which the tolerances are for.
    dialect : Dialect or None
        The public code whose loss is right; None is the paper.
    can_be_asked : bool
        Whether it can be asked more than the cases, as a function can; files hold the answers to the cases alone.
    ignores : bool
        Whether it takes ``ignore_index``.
    """

    guard: Guard
    level: Level | None
    dtype: np.dtype[Any]
    compute: str
    dialect: Dialect | None = None
    can_be_asked: bool = True
    ignores: bool = False

    def call(self, vector: Vector) -> Call:
        """Return the question of a case."""
        names = ("cosines",) if vector.level == "cosine" else ("embeddings", "weights")
        with np.errstate(over="ignore", under="ignore"):
            arrays = tuple(vector.inputs[name].astype(self.dtype) for name in names)
        parameters = vector.parameters
        if self.dialect is not None:
            parameters = self.dialect.parameters(vector.variant, parameters)
        return Call(vector.id, arrays, vector.labels, vector.inputs["cotangent"], parameters)

    def loss(self, vector: Vector) -> SVXSoftmax:
        """Return the loss that is right in a case."""
        if self.dialect is None:
            return vector.loss
        return self.dialect.loss(vector.variant, **vector.parameters)

    def expected(self, vector: Vector) -> Expected:
        """Return what is right in a case: the golden numbers, or svref's own for a dialect, which has none."""
        if self.dialect is None:
            return expect_vector(vector, self.dtype, self.compute)
        call = self.call(vector)
        return expect(self.loss(vector), call.arrays, call.labels, call.cotangent, self.compute)


@dataclass
class Run:
    """What a run found.

    Parameters
    ----------
    trials : list of Trial
        The cases that were answered.
    mishaps : list of Mishap
        The calls without an answer.
    findings : list of CallFinding
        What was wrong when the candidate was called again, after all cases.
    blind : list of str
        The negative controls that passed.
    refused, invalid : int
        How many of the inputs that must raise did raise, and how many there are.
    accepted : list of str
        The ids of those that did not raise.
    remarks : dict of str to int
        What else the candidate does, and in how many cases.
    """

    trials: list[Trial] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    findings: list[CallFinding] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    refused: int = 0
    invalid: int = 0
    accepted: list[str] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)


def run(plan: Plan, vectors: Sequence[Vector], reduction: str | None, progress: Progress | None = None) -> Run:
    """Ask and judge every case, then call the candidate again, then test the judgement with spoiled outputs."""
    result = Run()
    numeric = [v for v in vectors if v.result != "error"]
    reduction = reduction or _reduction(plan, numeric)
    for i, vector in enumerate(vectors):
        if vector.result == "error":
            _try_invalid(plan, vector, result)
        else:
            _try(plan, vector, reduction, result)
        if progress is not None:
            progress(i + 1, len(vectors))
    if plan.can_be_asked and result.trials:
        _call_again(plan, {v.id: plan.call(v) for v in numeric}, result)
    result.blind += unnoticed_controls(result.trials)
    return result


def _call_again(plan: Plan, calls: dict[str, Call], result: Run) -> None:
    """Call the candidate again, and add the findings and mishaps to the result."""
    surprises = ask_again(plan.guard, calls, result.trials)
    if plan.ignores:
        several_rows = (trial for trial in result.trials if len(trial.labels) > 1)
        trial = next(several_rows, result.trials[0])  # an ignored row should have others beside it
        surprises += ask_with_ignored_row(plan.guard, calls[trial.id], trial)
    result.findings += [one for one in surprises if isinstance(one, CallFinding)]
    result.mishaps += [one for one in surprises if isinstance(one, Mishap)]


def _try(plan: Plan, vector: Vector, reduction: str, result: Run) -> None:
    """Ask and judge one case, and add the trial or the mishap to the result."""
    call = plan.call(vector)
    answer = plan.guard(call)
    if isinstance(answer, Mishap):
        result.mishaps.append(answer)
        return
    factor = FACTORS[reduction](len(call.labels))
    try:
        check_outputs(outputs_of(answer, call), call, factor)
        check_stages(answer.stages, call)
        outputs = _outputs(plan, call, answer, factor)
    except CandidateError as error:
        result.mishaps.append(Mishap(vector.id, "unusable", str(error)))
        return
    for remark in answer.remarks:
        result.remarks[remark] = result.remarks.get(remark, 0) + 1
    result.trials.append(_trial(plan, vector, call, answer, outputs, factor))


def _trial(
    plan: Plan, vector: Vector, call: Call, answer: Answer, outputs: dict[str, NDArray[Any]], factor: float | None
) -> Trial:
    """Return the judged case."""
    expected = plan.expected(vector)
    expected = expected if factor is None else expected.reduced(factor)
    arrays = tuple(a.astype(np.float64) for a in call.arrays)
    return Trial(
        vector.id, vector.group, vector.variant, plan.loss(vector), vector.parameters, arrays, call.labels,
        call.cotangent, plan.compute, outputs, answer, judge(expected, outputs), factor,
    )  # fmt: skip


def _outputs(plan: Plan, call: Call, answer: Answer, factor: float | None) -> dict[str, NDArray[Any]]:
    """Return the outputs for the cotangent that was asked for.

    A candidate that does not take the cotangent returns a gradient by weights for another one. It is then asked row by
    row, and the gradients of the rows are added up with the right factors.
    """
    outputs = outputs_for_cotangent(answer, call, factor)
    if call.level == "head" and "grad_weights" not in outputs and answer.gradients[1] is not None and plan.can_be_asked:
        total = np.zeros(answer.gradients[1].shape)
        for b, g in enumerate(call.cotangent):
            row = plan.guard(call.rows(slice(b, b + 1)))
            gradient = None if isinstance(row, Mishap) else row.gradients[1]
            if gradient is None or gradient.shape != total.shape or not is_real(gradient.dtype):
                return outputs
            total += g * np.asarray(gradient, np.float64) if g else 0.0
        outputs["grad_weights"] = total.astype(answer.gradients[1].dtype)
    return outputs


def _reduction(plan: Plan, vectors: Sequence[Vector]) -> str:
    """Return the reduction of a candidate: "none", or "sum" or "mean", whichever its scalar is nearer to.

    Cases of several rows are asked first, since the sum of one row is its mean.
    """
    several_rows_first = sorted(vectors, key=lambda vector: len(vector.labels) == 1)
    for vector in several_rows_first[:MOST_ASKED]:
        call = plan.call(vector)
        answer = plan.guard(call)
        if isinstance(answer, Mishap):
            continue
        if answer.losses.ndim != 0:
            return "none"
        together = _scalar(answer)
        alone = [_scalar(plan.guard(call.rows(slice(b, b + 1)))) for b in range(len(call.labels))]
        losses = [loss for loss in alone if loss is not None]
        if together is not None and len(losses) == len(alone):
            total, mean = sum(losses), sum(losses) / len(losses)
            return "sum" if abs(together - total) < abs(together - mean) else "mean"
    return "none"


def _scalar(answer: Answer | Mishap) -> float | None:
    """Return the single loss of an answer; None if there is none, or several, or it is no real number."""
    if isinstance(answer, Mishap) or answer.losses.size != 1 or not is_real(answer.losses.dtype):
        return None
    return float(answer.losses.reshape(()))


def _try_invalid(plan: Plan, vector: Vector, result: Run) -> None:
    """Ask a case that must raise an exception, and count whether it did.

    Any other outcome counts as accepted: numbers, other objects, no answer in time. Only "unsupported" does not count.
    """
    result.invalid += 1
    answer = plan.guard(plan.call(vector))
    kind = answer.kind if isinstance(answer, Mishap) else ""
    if kind == "raised":
        result.refused += 1
    elif kind != "unsupported":
        result.accepted.append(vector.id)
