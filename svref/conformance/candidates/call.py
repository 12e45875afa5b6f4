"""One call of a candidate: the question, the answer, the errors, and how every framework is called.

A candidate is an implementation that a user wants to have judged: a Python function, or files of answers. The check
asks it one `Call` after another, through an `Adapter` for its framework, and gets an `Answer` each time. The last
functions here say whether an answer holds numbers of the right shapes, before anybody asks whether they are right.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.layouts import OF_NUMPY
from svref.golden.making.batches import PLAIN
from svref.judging.judge import Outputs

Function = Callable[..., Any]
Level = Literal["cosine", "head"]
GRADIENTS: Mapping[Level, tuple[str, ...]] = {
    "cosine": ("grad_cosines",),
    "head": ("grad_embeddings", "grad_weights"),
}
# The stages of a loss that a candidate may return by name, in the order of computation.
FORWARD = ("cosines", "margin_cosine", "mask", "log_h", "relative_logits", "log_odds_against")
BACKWARD = (
    "q", "probabilities", "margin_slope", "grad_negatives", "grad_target", "grad_s", "grad_t",
    "grad_m", "grad_m1", "grad_m2", "grad_m3",
)  # fmt: skip
STAGES = (*FORWARD, *BACKWARD)
OF_CLASSES = ("cosines", "mask", "log_h", "relative_logits", "probabilities", "grad_negatives")  # of shape (B, C)
BLANK = ...  # what a candidate returns in place of a stage, or of an output, that is not written yet


class CandidateError(Exception):
    """The candidate cannot be judged: it is missing, has the wrong signature, raises, or returns no numbers."""


class ForeignError(CandidateError):
    """The candidate ran, but what it returned is not of the framework whose tensors it was given."""


class UnsupportedError(Exception):
    """The candidate says that it cannot compute this case. Such a case is counted, and is not a pass."""


class UnfinishedError(UnsupportedError):
    """The candidate has left stages or outputs blank; the `stages` are those that it has, the losses among them."""

    def __init__(self, blank: Sequence[str], stages: Outputs) -> None:
        more = f" and {len(blank) - 1} more" if len(blank) > 1 else ""
        super().__init__(f"unfinished: {blank[0]}{more} left blank")
        self.blank, self.stages = tuple(blank), stages


class RefusedError(Exception):
    """A file of answers says that the program which wrote it raised an error in this case."""


# ---- question and answer ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Call:
    """One question to a candidate.

    Parameters
    ----------
    id : str
        The id of the case; "" where the question is no case of a pack.
    arrays : tuple of arrays
        Cosines (B, C); or embeddings (B, D) and weights (C, D). In the dtype of the check.
    labels : array of int, shape (B,)
        The target classes.
    cotangent : array of float64, shape (B,)
        g, the factor of each row's loss: the gradient that is asked for is that of Σ g_b L_b.
    parameters : mapping
        The keyword arguments of the candidate: s, m, t and their like.
    layout : str
        How the arrays and the labels lie in memory, a key of `layouts.OF_NUMPY`.
    """

    id: str
    arrays: tuple[FloatArray, ...] = field(repr=False)
    labels: IntArray = field(repr=False)
    cotangent: FloatArray = field(repr=False)
    parameters: Mapping[str, Any]
    layout: str = PLAIN

    @property
    def level(self) -> Level:
        """Where the computation begins: "cosine", or "head" for embeddings and weights."""
        return "cosine" if len(self.arrays) == 1 else "head"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the arrays."""
        return self.arrays[0].dtype

    def rows(self, rows: slice | IntArray) -> Call:
        """Return the same question about some of the rows alone."""
        first, *rest = self.arrays
        return replace(self, arrays=(first[rows], *rest), labels=self.labels[rows], cotangent=self.cotangent[rows])

    def copies(self) -> tuple[list[FloatArray], IntArray]:
        """Return copies of the arrays and of the labels, laid out as asked, which the candidate may write into."""
        laid_out = OF_NUMPY[self.layout]
        return [laid_out(a) for a in self.arrays], laid_out(self.labels)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a candidate returned.

    Parameters
    ----------
    losses : array, shape (B,), or () for a candidate that returns a sum or a mean
        The losses.
    gradients : tuple of arrays or None
        By each of the arrays of the call: the gradient of Σ g_b L_b, or of the sum or mean. None where there is none.
    applied : array, shape (B,), or None
        The g that these gradients were computed with; None where the losses came as a sum or a mean.
    stages : mapping of str to array
        The steps of the loss that the candidate returned by name: see `STAGES`.
    remarks : tuple of str
        What else the candidate does, such as "writes into its inputs".
    """

    losses: NDArray[Any]
    gradients: tuple[NDArray[Any] | None, ...]
    applied: FloatArray | None
    stages: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Adapter(Protocol):
    """Calls candidates of one framework."""

    layouts: ClassVar[tuple[str, ...]]  # the ways in memory that its arrays can be laid out in

    @property
    def description(self) -> str:
        """The framework with its version, and the device where there is a choice."""

    def run(self, call: Call) -> Answer:
        """Return the candidate's answer to a call; raise a CandidateError if there is nothing to judge in it."""


# ---- the signature of a candidate -------------------------------------------------------------------------------


def signature_of(function: Function) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function; of the method `forward` of an object that has one."""
    called = function if inspect.isroutine(function) else getattr(function, "forward", function)
    try:
        return inspect.signature(called).parameters
    except (TypeError, ValueError) as error:
        raise CandidateError(f"a candidate must be a function whose signature can be read; {error}") from error


def names(function: Function, parameter: str) -> bool:
    """Return whether the signature of a function names a parameter; ``**`` does not count."""
    return parameter in signature_of(function)


# ---- does an answer hold numbers of the right shapes? -----------------------------------------------------------


def outputs_of(answer: Answer, call: Call) -> Outputs:
    """Return the losses and the gradients of an answer by their names, as they came."""
    named = zip(("loss", *GRADIENTS[call.level]), (answer.losses, *answer.gradients), strict=True)
    return {name: values for name, values in named if values is not None}


def check_outputs(outputs: Outputs, call: Call, factor: float | None) -> None:
    """Raise a CandidateError unless the outputs are real numbers of the right shapes.

    `factor` is None for losses (B,), and a number for a candidate that returns factor Σ L_b as a scalar.
    """
    shapes = dict(zip(GRADIENTS[call.level], (a.shape for a in call.arrays), strict=True))
    of_losses = call.labels.shape if factor is None else ()
    for name, values in outputs.items():
        wanted = of_losses if name == "loss" else shapes[name]
        if not is_real(values.dtype):
            raise CandidateError(f"{name} must be real numbers; got dtype {values.dtype}.")
        if values.shape != wanted:
            hint = hint_of(values.shape, len(call.labels)) if name == "loss" and factor is None else ""
            raise CandidateError(f"{name} must have shape {wanted}; got shape {values.shape}.{hint}")


def check_dtypes(outputs: Outputs, call: Call) -> None:
    """Raise a CandidateError unless the outputs have the dtype of the inputs."""
    for name, values in outputs.items():
        if values.dtype.newbyteorder("=") != call.dtype:
            raise CandidateError(f"{name} must have the dtype of the inputs, {call.dtype}; got {values.dtype}.")


def check_stages(stages: Outputs, call: Call) -> None:
    """Raise a CandidateError unless the steps that a candidate returned by name are numbers of the right shapes."""
    rows, classes = len(call.labels), call.arrays[-1].shape[1 if call.level == "cosine" else 0]
    for name, values in stages.items():
        wanted = (rows, classes) if name in OF_CLASSES else (rows,)
        if values.shape != wanted or not (is_real(values.dtype) or values.dtype.kind == "b"):
            raise CandidateError(f"{name} must be numbers of shape {wanted}; got {values.dtype} of {values.shape}.")


def is_real(dtype: np.dtype) -> bool:
    """Return whether a dtype is one of real numbers; bfloat16 has no kind in NumPy and is known by its name."""
    return dtype.kind in "fiu" or dtype.name == "bfloat16"


def hint_of(shape: tuple[int, ...], rows: int) -> str:
    """Return the sentence that says what to do about losses of another shape than (rows,)."""
    if shape == (rows, 1):
        return " Drop the last axis."
    return " Return them before any mean or sum." if shape == () or np.prod(shape) < rows else ""
