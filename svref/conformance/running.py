"""The run of a check: every case asked and judged, invalid inputs tried, the candidate called again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance import reference
from svref.conformance.adapters.arrays import aligned
from svref.conformance.candidate import GRADIENTS, Answer, Call, CandidateError, Level
from svref.conformance.controls import Finding, blind, counts_ignored, remembers
from svref.conformance.guard import Guard, Mishap
from svref.conformance.trial import Trial
from svref.dialects import Dialect
from svref.golden.reference import reference as of_vector
from svref.golden.vectors import Vector
from svref.judge import Reference, judge

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

    def reference(self, vector: Vector) -> Reference:
        """Return what is right."""
        if self.dialect is None:
            return of_vector(vector, self.dtype, self.compute)
        call = self.call(vector)
        loss = self.dialect.loss(vector.variant, **vector.parameters)
        return reference.of(loss, call.arrays, call.labels, call.cotangent, self.compute)


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
        found.findings += remembers(plan.guard, calls, found.trials)
        if plan.ignores:
            trial = max(found.trials, key=lambda trial: len(trial.labels) > 1)  # the first with another row
            found.findings += counts_ignored(plan.guard, calls[trial.id], trial)
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
        returned = zip(("loss", *GRADIENTS[call.level]), (answer.losses, *answer.gradients), strict=True)
        check_outputs({name: values for name, values in returned if values is not None}, call, factor)
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
            if isinstance(one, Mishap) or one.gradients[1] is None or one.gradients[1].shape != total.shape:
                return outputs
            total += weight * np.asarray(one.gradients[1], np.float64) if weight else 0.0
        outputs["grad_weights"] = total.astype(answer.gradients[1].dtype)
    return outputs


def check_outputs(outputs: dict[str, NDArray[Any]], call: Call, factor: float | None) -> None:
    """Raise a CandidateError unless the outputs are numbers of the shapes they must have."""
    shapes = dict(zip(GRADIENTS[call.level], (a.shape for a in call.arrays), strict=True))
    rows = call.labels.shape if factor is None else ()
    for name, values in outputs.items():
        wanted = rows if name == "loss" else shapes[name]
        if values.dtype.kind not in "fiu" and values.dtype.name != "bfloat16":
            raise CandidateError(f"{name} must be real numbers; got dtype {values.dtype}.")
        if values.shape != wanted:
            hint = " Return them before any mean or sum." if name == "loss" and factor is None else ""
            raise CandidateError(f"{name} must have shape {wanted}; got shape {values.shape}.{hint}")


def check_stages(stages: Mapping[str, NDArray[Any]], call: Call) -> None:
    """Raise a CandidateError unless the quantities on the way have the shapes they must have."""
    rows, classes = len(call.labels), call.arrays[-1].shape[1 if call.level == "cosine" else 0]
    for name, values in stages.items():
        wanted = (rows,) if name == "margin_cosine" else (rows, classes)
        if values.shape != wanted or values.dtype.kind not in "fiub":
            raise CandidateError(f"{name} must be numbers of shape {wanted}; got {values.dtype} of {values.shape}.")


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
        alone = [plan.guard(call.rows(slice(b, b + 1))) for b in range(len(call.labels))]
        losses = [float(a.losses) for a in alone if not isinstance(a, Mishap)]
        if len(losses) == len(alone):
            total, mean = sum(losses), sum(losses) / len(losses)
            return "sum" if abs(float(whole.losses) - total) < abs(float(whole.losses) - mean) else "mean"
    return "none"


def _try_invalid(plan: Plan, vector: Vector, found: Run) -> None:
    """Ask what must raise; what the candidate computes instead is not judged."""
    found.invalid += 1
    answer = plan.guard(plan.call(vector))
    if isinstance(answer, Mishap) and answer.kind in ("raised", "unusable"):
        found.refused += 1
    elif not isinstance(answer, Mishap):
        found.accepted.append(vector.id)
