"""The run of a check: every case asked and judged, invalid inputs tried, the candidate called again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.arrays import aligned
from svref.conformance.candidates.call import Answer, Call, CandidateError, Level
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.candidates.outputs import check_outputs, check_stages, is_real, returned
from svref.conformance.checking.controls import Finding, blind, counts_ignored, remembers
from svref.conformance.trial import Trial
from svref.deviations.dialects import Dialect
from svref.golden.expected import expect_vector
from svref.golden.vectors import Vector
from svref.judging.expected import expect
from svref.judging.judge import Expected, judge

MOST_ASKED = 3  # cases that may go wrong while it is found out what a candidate returns
Progress = Callable[[Sequence[Vector]], Iterable[Vector]]
FACTORS: dict[str, Callable[[int], float | None]] = {
    "none": lambda rows: None,
    "sum": lambda rows: 1.0,
    "mean": lambda rows: 1 / rows,
}


@dataclass(frozen=True)
class Plan:
    """How a candidate is judged.

    Parameters
    ----------
    guard : Guard
        Calls it.
    level : {"cosine", "head"} or None
        What it takes; None for answers, which may be to both.
    dtype : dtype
        Of its inputs and outputs.
    compute : str
        The format it computes in, which tolerances are for.
    dialect : Dialect or None
        Whose loss is right; None is the paper.
    live : bool
        Whether it can be asked anything but the cases.
    ignores : bool
        Whether it takes ``ignore_index``.
    """

    guard: Guard
    level: Level | None
    dtype: np.dtype[Any]
    compute: str
    dialect: Dialect | None = None
    live: bool = True
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

    def reference(self, vector: Vector) -> Expected:
        """Return what is right."""
        if self.dialect is None:
            return expect_vector(vector, self.dtype, self.compute)
        call = self.call(vector)
        loss = self.dialect.loss(vector.variant, **vector.parameters)
        return expect(loss, call.arrays, call.labels, call.cotangent, self.compute)


@dataclass
class Run:
    """What a run found.

    Parameters
    ----------
    trials : list of Trial
        The cases that were answered.
    mishaps : list of Mishap
        The cases that were not.
    findings : list of Finding
        What calling again showed.
    blind : list of str
        The controls that nothing shows to be wrong.
    refused, invalid : int
        How many inputs that must raise did, and of how many.
    accepted : list of str
        The ids of those that did not.
    remarks : dict of str to int
        What else the candidate does, and in how many cases.
    """

    trials: list[Trial] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    refused: int = 0
    invalid: int = 0
    accepted: list[str] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)


def run(plan: Plan, vectors: Sequence[Vector], reduction: str | None, progress: Progress) -> Run:
    """Ask and judge every case, then what no case asks."""
    found = Run()
    numeric = [v for v in vectors if v.result != "error"]
    reduction = reduction or _reduction(plan, numeric)
    for vector in progress(vectors):
        if vector.result == "error":
            _try_invalid(plan, vector, found)
        else:
            _try(plan, vector, reduction, found)
    if plan.live and found.trials:
        calls = {v.id: plan.call(v) for v in numeric}
        seen = remembers(plan.guard, calls, found.trials)
        if plan.ignores:
            trial = max(found.trials, key=lambda trial: len(trial.labels) > 1)  # the first with another row
            seen += counts_ignored(plan.guard, calls[trial.id], trial)
        found.findings += [one for one in seen if isinstance(one, Finding)]
        found.mishaps += [one for one in seen if isinstance(one, Mishap)]
    found.blind += blind(found.trials) if found.trials else []
    return found


def _try(plan: Plan, vector: Vector, reduction: str, found: Run) -> None:
    call = plan.call(vector)
    answer = plan.guard(call)
    try:
        if isinstance(answer, Mishap):
            found.mishaps.append(answer)
            return
        factor = FACTORS[reduction](len(call.labels))
        check_outputs(returned(answer, call), call, factor)
        check_stages(answer.stages, call)
        outputs = _outputs(plan, call, answer, factor)
    except CandidateError as error:
        found.mishaps.append(Mishap(vector.id, "unusable", str(error)))
        return
    for remark in answer.remarks:
        found.remarks[remark] = found.remarks.get(remark, 0) + 1
    found.trials.append(_trial(plan, vector, call, answer, outputs, factor))


def _trial(
    plan: Plan, vector: Vector, call: Call, answer: Answer, outputs: dict[str, NDArray[Any]], factor: float | None
) -> Trial:
    right = plan.reference(vector)
    right = right if factor is None else right.reduced(factor)
    loss = vector.loss if plan.dialect is None else plan.dialect.loss(vector.variant, **vector.parameters)
    arrays = tuple(a.astype(np.float64) for a in call.arrays)
    return Trial(
        vector.id, vector.group, loss, vector.parameters, arrays, call.labels, call.cotangent, plan.compute,
        outputs, answer, judge(right, outputs), factor,
    )  # fmt: skip


def _outputs(plan: Plan, call: Call, answer: Answer, factor: float | None) -> dict[str, NDArray[Any]]:
    """Return the outputs for the cotangent that was asked for.

    A gradient by weights that cannot take it is made of those of each row alone.
    """
    outputs = aligned(answer, call, factor)
    if call.level == "head" and "grad_weights" not in outputs and answer.gradients[1] is not None and plan.live:
        total = np.zeros(answer.gradients[1].shape)
        for b, weight in enumerate(call.cotangent):
            one = plan.guard(call.rows(slice(b, b + 1)))
            gradient = None if isinstance(one, Mishap) else one.gradients[1]
            if gradient is None or gradient.shape != total.shape or not is_real(gradient.dtype):
                return outputs
            total += weight * np.asarray(gradient, np.float64) if weight else 0.0
        outputs["grad_weights"] = total.astype(answer.gradients[1].dtype)
    return outputs


def _reduction(plan: Plan, vectors: Sequence[Vector]) -> str:
    """Return what a candidate returns: no scalar, or one that is nearer to the sum of its rows, or to their mean."""
    of_many = sorted(vectors, key=lambda vector: len(vector.labels) == 1)  # a row's sum is its mean
    for vector in of_many[:MOST_ASKED]:
        call = plan.call(vector)
        whole = plan.guard(call)
        if isinstance(whole, Mishap):
            continue
        if whole.losses.ndim != 0:
            return "none"
        together, alone = (
            _scalar(whole),
            [_scalar(plan.guard(call.rows(slice(b, b + 1)))) for b in range(len(call.labels))],
        )
        losses = [loss for loss in alone if loss is not None]
        if together is not None and len(losses) == len(alone):
            total, mean = sum(losses), sum(losses) / len(losses)
            return "sum" if abs(together - total) < abs(together - mean) else "mean"
    return "none"


def _scalar(answer: Answer | Mishap) -> float | None:
    """Return the loss of an answer that has a single one, if it is a number."""
    if isinstance(answer, Mishap) or answer.losses.size != 1 or not is_real(answer.losses.dtype):
        return None
    return float(answer.losses.reshape(()))


def _try_invalid(plan: Plan, vector: Vector, found: Run) -> None:
    """Ask what must raise; whatever else comes back, or nothing, is no refusal."""
    found.invalid += 1
    answer = plan.guard(plan.call(vector))
    kind = answer.kind if isinstance(answer, Mishap) else ""
    if kind == "raised":
        found.refused += 1
    elif kind != "unsupported":
        found.accepted.append(vector.id)
