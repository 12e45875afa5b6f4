"""Candidates that compute their gradients themselves: NumPy, and any namespace of the array API standard."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray
from svref.conformance.candidates.call import (
    BLANK,
    GRADIENTS,
    STAGES,
    Answer,
    Call,
    CandidateError,
    Function,
    Level,
    UnfinishedError,
    names,
)
from svref.conformance.candidates.layouts import OF_NUMPY
from svref.formats import numpy_dtype
from svref.judging.precision import Precision


@dataclass(frozen=True)
class ArrayAdapter:
    """Calls a function that returns the losses and their gradients as arrays.

    The function is given ``cotangent=`` if its signature names it. Otherwise its gradients are those of Σ L_b, and
    `outputs_for_cotangent` multiplies their rows.

    Parameters
    ----------
    function : callable
        Returns (losses, gradient), or (losses, gradient by embeddings, gradient by weights), or a dict of these, which
        may hold steps of the loss too. A function that returns a sum or a mean returns the gradients of that. A
        gradient may be None: it is then counted as unsupported.
    namespace : str
        The module whose arrays the function takes, "numpy" for example.
    plan : Precision, optional
        Where the candidate rounds; None is the dtype of the arrays throughout.
    """

    layouts: ClassVar[tuple[str, ...]] = tuple(OF_NUMPY)
    function: Function
    namespace: str = "numpy"
    plan: Precision | None = None

    @property
    def description(self) -> str:
        """The namespace and its version."""
        return f"{self.namespace} {getattr(self._module, '__version__', '')}".strip()

    def run(self, call: Call) -> Answer:
        """Call the function on copies: the check needs the arrays again, to see what the function wrote into them."""
        xp, (arrays, labels) = self._module, call.copies()
        takes_cotangent = names(self.function, "cotangent")
        g = call.cotangent if takes_cotangent else np.ones_like(call.cotangent)
        given = [xp.asarray(a) for a in (*arrays, labels)]
        of_losses = call.dtype if self.plan is None else self.plan.loss_dtype(call.level, call.dtype)
        extra = {"cotangent": xp.asarray(OF_NUMPY[call.layout](g.astype(of_losses)))} if takes_cotangent else {}
        result = self.function(*given, **call.parameters, **extra)
        remarks = remarks_on_writes(call, given)
        losses, gradients, stages = parts_of(result, call.level)
        losses, gradients = to_numpy(losses), tuple(None if v is None else to_numpy(v) for v in gradients)
        return Answer(losses, gradients, g if losses.ndim else None, stages, remarks)

    @property
    def _module(self) -> Any:
        try:
            return importlib.import_module(self.namespace)
        except ImportError as error:
            raise CandidateError(f"there is no module {self.namespace!r} whose arrays a candidate takes.") from error


def remarks_on_writes(call: Call, given: Sequence[Any]) -> tuple[str, ...]:
    """Return a remark if the candidate has written into the arrays or the labels that it was given."""
    pairs = zip((*call.arrays, call.labels), map(to_numpy, given), strict=True)
    written = any(not np.array_equal(before, after) for before, after in pairs)
    return ("writes into its inputs",) if written else ()


def parts_of(result: Any, level: Level) -> tuple[Any, tuple[Any, ...], dict[str, NDArray[Any]]]:
    """Return the losses, the gradients and the steps of the loss that a candidate without autograd returned."""
    wanted = GRADIENTS[level]
    if isinstance(result, Mapping):
        losses, stages = losses_and_stages(result)
        return losses, tuple(result.get(name) for name in wanted), {name: to_numpy(v) for name, v in stages.items()}
    if isinstance(result, tuple) and len(result) == 2 and level == "head" and isinstance(result[1], tuple):
        result = (result[0], *result[1])
    if not isinstance(result, tuple) or len(result) != 1 + len(wanted):
        what = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise CandidateError(
            f"a candidate without autograd must return the tuple (losses, {', '.join(wanted)}); got {what}. "
            "For autograd return a framework's tensor instead."
        )
    return result[0], result[1:], {}


def losses_and_stages(result: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the losses and the steps of the loss, arrays of any framework, of a candidate that returns a dict."""
    check_finished(result)
    if "loss" not in result:
        names = ", ".join(map(str, result))
        raise CandidateError(f'a candidate that returns a dict must have "loss" in it; got {names}.')
    return result["loss"], {name: result[name] for name in STAGES if name in result}


def check_finished(result: Mapping[str, Any]) -> None:
    """Raise an UnfinishedError if a candidate that returns a dict has left something in it blank."""
    known = (*STAGES, "loss", *(name for names in GRADIENTS.values() for name in names))
    blank = [name for name, values in result.items() if values is BLANK and name in known]
    if blank:
        filled = {name: to_numpy(result[name]) for name in (*STAGES, "loss") if result.get(name, BLANK) is not BLANK}
        raise UnfinishedError(blank, {name: v for name, v in filled.items() if name != "loss" or v.ndim})


def to_numpy(values: Any) -> NDArray[Any]:
    """Return a copy of an array of any framework as a NumPy array.

    A copy, since a candidate may write its next answer into the same memory.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise CandidateError("outputs must be plain arrays; got a masked array, which hides what it masks.")
    if hasattr(values, "detach"):
        values = _without_bfloat16(values.detach().cpu())
    if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
        return np.from_dlpack(values).copy()
    try:
        return np.array(values)
    except (TypeError, ValueError) as error:
        raise CandidateError(f"outputs must be arrays of numbers; got a {type(values).__name__}: {error}") from error


def _without_bfloat16(tensor: Any) -> Any:
    """Return a tensor of PyTorch; one of bfloat16, which PyTorch does not give to NumPy, as an array of ml_dtypes."""
    if str(tensor.dtype) != "torch.bfloat16":
        return tensor
    try:
        wanted = numpy_dtype("bfloat16")
    except ImportError as error:
        raise CandidateError(f"an output is a tensor of bfloat16. {error}") from error
    return tensor.contiguous().view(sys.modules["torch"].int16).numpy().view(wanted)


def outputs_for_cotangent(answer: Answer, call: Call, factor: float | None = None) -> dict[str, NDArray[Any]]:
    """Return the outputs by name, with gradients for the g that was asked for.

    Each row of the gradients by cosines and by embeddings belongs to one sample, so that another g only multiplies
    it. The gradient by weights adds up the samples: it is left out unless the candidate applied the right g. `factor`
    is None for losses (B,), and a number for a candidate that returns factor Σ L_b as a scalar.
    """
    outputs = {"loss": answer.losses}
    applied = np.full(len(call.labels), factor or 1.0) if answer.applied is None else answer.applied
    same = np.array_equal(applied, call.cotangent)
    for name, gradient in zip(GRADIENTS[call.level], answer.gradients, strict=True):
        if gradient is not None and (same or name != "grad_weights"):
            outputs[name] = gradient if same else _rescaled(gradient, call.cotangent, applied)
    return outputs


def _rescaled(gradient: NDArray[Any], wanted: FloatArray, applied: FloatArray) -> NDArray[Any]:
    """Return the rows times wanted/applied. Where 0 is wanted the row is 0, even if it is not finite."""
    with np.errstate(all="ignore"):
        factor = (wanted / applied)[:, None]
        rescaled = np.where(factor == 0, 0, gradient * factor)
    return rescaled.astype(gradient.dtype)
