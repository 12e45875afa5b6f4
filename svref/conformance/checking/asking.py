"""One question to a candidate: the batch, what is right for it, and the judged answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from svref.conformance.candidates.guard import Guard, Mishap, Unfinished
from svref.conformance.trial import Trial
from svref.deviations.dialects import Dialect
from svref.golden.expected import expect_vector
from svref.golden.vectors import Vector
from svref.judging.expected import expect_once
from svref.judging.judge import Expected, judge
from svref.judging.precision import precision_of
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

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
    precision : str
        The format that it computes in, which the tolerances are for.
    dialect : Dialect or None
        The public code whose loss is right; None is the paper.
    can_be_asked : bool
        Whether it can be asked more than the cases, as a function can; files hold the answers to the cases alone.
    ignores : bool
        Whether it takes ``ignore_index``.
    fixed : mapping
        Parameters that have one value in all questions, as the paper counts them; the others are those of the case.
    lacks : tuple of str
        Parameters of the variant that the candidate does not take; it is called without them.
    """

    guard: Guard
    level: Level | None
    dtype: np.dtype[Any]
    precision: str
    dialect: Dialect | None = None
    can_be_asked: bool = True
    ignores: bool = False
    fixed: Mapping[str, float] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()

    def question(self, vector: Vector) -> Question:
        """Return the question of a case of a pack; the golden numbers are right, or svref's own for a dialect."""
        names = ("cosines",) if vector.level == "cosine" else ("embeddings", "weights")
        with np.errstate(over="ignore", under="ignore"):
            arrays = tuple(vector.inputs[name].astype(self.dtype) for name in names)
        given = as_numbers(vector.parameters, vector.variant)
        g = precision_of(self.precision).loss_scale * vector.inputs["cotangent"]
        call = Call(vector.id, arrays, vector.labels, g, given)
        question = self.question_of(call, vector.variant, vector.group)
        if self.dialect is None and vector.expected:  # a case at other parameters may have come without right values
            question = replace(question, right=lambda: expect_vector(vector, self.dtype, self.precision))
        return question

    def question_again(self, trial: Trial, parameters: Mapping[str, float] | None = None) -> Question:
        """Return the question of a case that was answered, once more, or with other parameters."""
        given = trial.parameters if parameters is None else parameters
        call = Call(trial.id, tuple(trial.inputs), trial.labels, trial.cotangent, given)
        return self.question_of(call, trial.variant, trial.group)

    def question_of(self, call: Call, variant: str, group: str) -> Question:
        """Return the question of any inputs; parameters are as the paper counts them, svref's own numbers are right."""
        given = {**call.parameters, **self.fixed}
        counted = given if self.dialect is None else self.dialect.parameters(variant, given)
        call = replace(call, parameters={name: v for name, v in counted.items() if name not in self.lacks})

        def loss() -> SVXSoftmax:
            return VARIANTS[variant].factory(**given) if self.dialect is None else self.dialect.loss(variant, **given)

        def right() -> Expected:
            return expect_once(loss(), call.arrays, call.labels, call.cotangent, self.precision)

        return Question(call, variant, group, given, loss, right)


def as_numbers(parameters: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """Return parameters with a float for each real one: files write m = 0.0 as 0, and code may ask for the type."""
    usual = VARIANTS[variant].parameters
    is_real = {name: type(value) is int and type(usual.get(name)) is float for name, value in parameters.items()}
    return {name: float(value) if is_real[name] else value for name, value in parameters.items()}


@dataclass(frozen=True, eq=False)
class Question:
    """One batch that a candidate is asked.

    Parameters
    ----------
    call : Call
        What the candidate is called with.
    variant, group : str
        The variant; and the group of the case, or "variations".
    parameters : mapping
        The parameters as the paper counts them; those of the call are as a dialect counts them.
    loss, right : callable
        Return the loss that is right, and its outputs. Inputs that must raise have neither.
    """

    call: Call
    variant: str
    group: str
    parameters: Mapping[str, float]
    loss: Callable[[], SVXSoftmax] = field(repr=False)
    right: Callable[[], Expected] = field(repr=False)


def asked(plan: Plan, question: Question, reduction: str) -> Trial | Mishap:
    """Ask a question, and return the judged answer, or why there is none."""
    call = question.call
    answer = plan.guard(call)
    factor = FACTORS[reduction](len(call.labels))
    try:
        if isinstance(answer, Unfinished):
            check_stages(answer.stages, call)
        if isinstance(answer, Mishap):
            return answer
        check_outputs(outputs_of(answer, call), call, factor)
        check_stages(answer.stages, call)
        outputs = _outputs(plan, call, answer, factor)
    except CandidateError as error:
        return Mishap(call.id, "unusable", str(error))
    expected = question.right() if factor is None else question.right().reduced(factor)
    arrays = tuple(a.astype(np.float64) for a in call.arrays)
    return Trial(
        call.id, question.group, question.variant, question.loss(), question.parameters, arrays, call.labels,
        call.cotangent, plan.precision, outputs, answer, judge(expected, outputs), factor,
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


def reduction_of(plan: Plan, vectors: Sequence[Vector]) -> str:
    """Return the reduction of a candidate: "none", or "sum" or "mean", whichever its scalar is nearer to.

    Cases of several rows are asked first, since the sum of one row is its mean.
    """
    several_rows_first = sorted(vectors, key=lambda vector: len(vector.labels) == 1)
    for vector in several_rows_first[:MOST_ASKED]:
        call = plan.question(vector).call
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
