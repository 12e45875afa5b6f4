"""What a candidate with autograd returns: losses, their sum or mean, logits, or several results that hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from svref.conformance.candidates.arrays import check_finished
from svref.conformance.candidates.call import STAGES, Call, CandidateError, ForeignError, hint_of

LOSSES, LOGITS = "losses", "logits"
NAMES = ("loss", "losses", "logits", "logit", "output", "outputs", "scores", "prediction", "predictions", "pred")


@dataclass(frozen=True)
class Returned:
    """The losses that a candidate returned, or those of its logits.

    Parameters
    ----------
    losses : tensor, shape (B,) or ()
        The losses, or their sum or mean.
    stages : mapping of str to tensor
        The steps of the loss that were returned by name.
    remarks : tuple of str
        How they were read, where that is not plain.
    """

    losses: Any
    stages: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def losses_of(result: Any, tensor: type[Any], call: Call, cross_entropy: Callable[[Any], Any]) -> Returned:
    """Return the losses that a candidate with autograd returned, as a tensor.

    Parameters
    ----------
    result : object
        What it returned: a tensor, or a tuple, dict, named tuple or dataclass that holds one.
    tensor : type
        The framework's tensors.
    call : Call
        The question.
    cross_entropy : callable
        Returns the losses (B,) of logits (B, C).
    """
    chosen, stages, remarks = _chosen(result, tensor, call)
    if not isinstance(chosen, tensor):
        raise ForeignError(f"the candidate must return a tensor of losses; got {type(chosen).__name__}.")
    kind = _kind(chosen, call)
    if kind is None:
        rows, shape = len(call.labels), tuple(chosen.shape)
        raise CandidateError(
            f"the candidate must return per-sample losses of shape (B,) = ({rows},), their sum or mean, "
            f"or logits of shape (B, C) = ({rows}, {_classes(call)}); got shape {shape}.{hint_of(shape, rows)}"
        )
    if kind is LOGITS:
        remarks = (*remarks, "returns logits, which are judged through the cross entropy")
        chosen = cross_entropy(chosen)
    return Returned(chosen, stages, remarks)


def _chosen(result: Any, tensor: type[Any], call: Call) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """Return the result that is judged, the steps of the loss beside it, and a remark if there were others."""
    named = _named(result)
    if named is not None:
        check_finished(named)
        name = next((n for n in NAMES if isinstance(named.get(n), tensor)), None)
        if name is None:
            raise CandidateError(
                f'a candidate that returns a dict must have "loss" or "logits" in it; got {", ".join(map(str, named))}.'
            )
        return named[name], {n: named[n] for n in STAGES if n in named}, ()
    if not isinstance(result, tuple):
        return result, {}, ()
    at = next((i for i, one in enumerate(result) if isinstance(one, tensor) and _kind(one, call)), None)
    if at is None:
        return result, {}, ()
    remark = f"returns {len(result)} results, of which number {at + 1} is judged"
    return result[at], {}, (remark,) if len(result) > 1 else ()


def _named(result: Any) -> Mapping[str, Any] | None:
    """Return the fields of a dict, a named tuple or a dataclass; None for anything else."""
    if isinstance(result, Mapping):
        return result
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        return dict(result._asdict())
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    return None


def _kind(values: Any, call: Call) -> str | None:
    """Return what a tensor can be by its shape: losses or logits; None for neither."""
    shape = tuple(values.shape)
    if shape in ((len(call.labels),), ()):
        return LOSSES
    return LOGITS if shape == (len(call.labels), _classes(call)) else None


def _classes(call: Call) -> int:
    """Return the number of classes of a question."""
    return call.arrays[-1].shape[1 if call.level == "cosine" else 0]


def picked(result: Any, which: Any) -> Any:
    """Return the one of several results that the user has named by its place or its name."""
    named = _named(result)
    try:
        return named[which] if named is not None else result[which]
    except (KeyError, IndexError, TypeError) as error:
        kind = ", ".join(map(str, named)) if named is not None else type(result).__name__
        raise CandidateError(
            f"--map return={which}: the candidate returns no such result; it returns {kind}."
        ) from error
