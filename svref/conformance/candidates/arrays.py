"""Candidates that return their gradients: NumPy, and any namespace of the array API standard."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray
from svref.conformance.candidates.call import GRADIENTS, STAGES, Answer, Call, CandidateError, Function, Level, names


@dataclass(frozen=True)
class ArrayAdapter:
    """A function that returns the losses and their gradients as arrays; with ``cotangent=`` if it names that.

    Parameters
    ----------
    function : callable
        Returns (losses, gradient), or (losses, gradient by embeddings, gradient by weights), or a dict of these and
        of quantities on the way. The gradients of a scalar are its own. A gradient that is None is unsupported.
    namespace : str
        The module whose arrays it takes, "numpy" for example.
    """

    function: Function
    namespace: str = "numpy"

    @property
    def description(self) -> str:
        """The namespace and its version."""
        return f"{self.namespace} {getattr(self._module, '__version__', '')}".strip()

    def run(self, call: Call) -> Answer:
        """Call the function on copies, so that it cannot change what it is judged by."""
        xp, (arrays, labels) = self._module, call.copies()
        g = call.cotangent if names(self.function, "cotangent") else np.ones_like(call.cotangent)
        given = [xp.asarray(a) for a in (*arrays, labels)]
        extra = {"cotangent": xp.asarray(g.astype(call.dtype))} if names(self.function, "cotangent") else {}
        result = self.function(*given, **call.parameters, **extra)
        remarks = touched(call, given)
        returned, by, stages = parted(result, call.level)
        losses, gradients = plain(returned), tuple(None if v is None else plain(v) for v in by)
        return Answer(losses, gradients, g if losses.ndim else None, stages, remarks)

    @property
    def _module(self) -> Any:
        try:
            return importlib.import_module(self.namespace)
        except ImportError as error:
            raise CandidateError(f"there is no module {self.namespace!r} whose arrays a candidate takes.") from error


def touched(call: Call, given: Sequence[Any]) -> tuple[str, ...]:
    """Return a remark if the arrays and the labels that the candidate was given are not as they were."""
    pairs = zip((*call.arrays, call.labels), map(plain, given), strict=True)
    written = any(not np.array_equal(before, after) for before, after in pairs)
    return ("writes into its inputs",) if written else ()


def parted(result: Any, level: Level) -> tuple[Any, tuple[Any, ...], dict[str, NDArray[Any]]]:
    """Return the losses, the gradients and the stages of what a candidate with gradients returned."""
    wanted = GRADIENTS[level]
    if isinstance(result, Mapping):
        losses, stages = of_mapping(result)
        return losses, tuple(result.get(name) for name in wanted), {name: plain(v) for name, v in stages.items()}
    if isinstance(result, tuple) and len(result) == 2 and level == "head" and isinstance(result[1], tuple):
        result = (result[0], *result[1])
    if not isinstance(result, tuple) or len(result) != 1 + len(wanted):
        what = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise CandidateError(
            f"a candidate without autograd must return the tuple (losses, {', '.join(wanted)}); got {what}. "
            "For autograd return a framework's tensor instead."
        )
    return result[0], result[1:], {}


def of_mapping(result: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the losses and the stages, arrays of any framework, of a candidate that returns them by name."""
    if "loss" not in result:
        raise CandidateError(f'a candidate that returns a dict must have "loss" in it; got {", ".join(result)}.')
    return result["loss"], {name: result[name] for name in STAGES if name in result}


def plain(values: Any) -> NDArray[Any]:
    """Return an array of any framework as NumPy has it."""
    if isinstance(values, np.ma.MaskedArray):
        raise CandidateError("outputs must be plain arrays; got a masked array, which hides what it masks.")
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            raise CandidateError("NumPy has no bfloat16; return outputs in the dtype of the inputs.")
    if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
        return np.from_dlpack(values)
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise CandidateError(f"outputs must be arrays of numbers; got a {type(values).__name__}: {error}") from error


def aligned(answer: Answer, call: Call, factor: float | None = None) -> dict[str, NDArray[Any]]:
    """Return the outputs by name, gradients by cosines and embeddings for the cotangent that was asked for.

    Their rows are those of the samples, so that another cotangent is a factor of each row; the gradient by weights
    adds the samples up, and is only there for the cotangent that was applied. `factor` is that of a reduced loss.
    """
    outputs = {"loss": answer.losses}
    applied = np.full(len(call.labels), factor or 1.0) if answer.weights is None else answer.weights
    same = np.array_equal(applied, call.cotangent)
    for name, gradient in zip(GRADIENTS[call.level], answer.gradients, strict=True):
        if gradient is not None and (same or name != "grad_weights"):
            outputs[name] = gradient if same else _weighted(gradient, call.cotangent, applied)
    return outputs


def _weighted(gradient: NDArray[Any], wanted: FloatArray, applied: FloatArray) -> NDArray[Any]:
    """Return rows times wanted / applied, and 0 where nothing is wanted, also of what is not finite."""
    with np.errstate(all="ignore"):
        factor = (wanted / applied)[:, None]
        weighted = np.where(factor == 0, 0, gradient * factor)
    return weighted.astype(gradient.dtype)
