"""What a candidate returned, before it is judged: numbers of the shapes they must have, or a sentence that says so."""

from __future__ import annotations

import numpy as np

from svref.conformance.candidates.call import GRADIENTS, Answer, Call, CandidateError
from svref.judging.judge import Outputs


def returned(answer: Answer, call: Call) -> Outputs:
    """Return the outputs that an answer has, by name, as they came."""
    named = zip(("loss", *GRADIENTS[call.level]), (answer.losses, *answer.gradients), strict=True)
    return {name: values for name, values in named if values is not None}


def check_outputs(outputs: Outputs, call: Call, factor: float | None) -> None:
    """Raise a CandidateError unless the outputs are numbers of the shapes they must have; `factor` of a scalar loss."""
    shapes = dict(zip(GRADIENTS[call.level], (a.shape for a in call.arrays), strict=True))
    rows = call.labels.shape if factor is None else ()
    for name, values in outputs.items():
        wanted = rows if name == "loss" else shapes[name]
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
    """Raise a CandidateError unless the quantities on the way have the shapes they must have."""
    rows, classes = len(call.labels), call.arrays[-1].shape[1 if call.level == "cosine" else 0]
    for name, values in stages.items():
        wanted = (rows,) if name == "margin_cosine" else (rows, classes)
        if values.shape != wanted or values.dtype.kind not in "fiub":
            raise CandidateError(f"{name} must be numbers of shape {wanted}; got {values.dtype} of {values.shape}.")


def is_real(dtype: np.dtype) -> bool:
    """Return whether a dtype is one of real numbers; NumPy knows bfloat16 by its name alone."""
    return dtype.kind in "fiu" or dtype.name == "bfloat16"


def hint_of(shape: tuple[int, ...], rows: int) -> str:
    """Return what to do about losses of another shape than (rows,)."""
    if shape == (rows, 1):
        return " Drop the last axis."
    return " Return them before any mean or sum." if shape == () or np.prod(shape) < rows else ""
