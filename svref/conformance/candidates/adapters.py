"""Which framework a candidate is written in, and the adapter that calls it.

arrays       NumPy and array API namespaces: the candidate returns its gradients itself
frameworks   PyTorch, JAX, TensorFlow: autograd computes the gradients
answers      files that a program in any language wrote
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import DTypeLike

from svref.conformance.candidates.answers import AnswersAdapter
from svref.conformance.candidates.arrays import ArrayAdapter
from svref.conformance.candidates.call import (
    Adapter,
    Answer,
    Call,
    CandidateError,
    ForeignError,
    Function,
    Level,
    UnsupportedError,
    is_real,
)
from svref.conformance.candidates.frameworks import JaxAdapter, TensorFlowAdapter, TorchAdapter
from svref.conformance.candidates.guard import HungError, first_line, frames_of, within
from svref.conformance.candidates.planned import HALVES
from svref.conformance.candidates.process import quietly
from svref.judging.precision import Precision

ARRAY_API = "array-api:"
_ADAPTERS: Mapping[str, Callable[[Function, str, Precision | None], Adapter]] = {
    "numpy": lambda function, device, plan: ArrayAdapter(function, plan=plan),
    "torch": TorchAdapter,
    "jax": lambda function, device, plan: JaxAdapter(function, plan),
    "tensorflow": lambda function, device, plan: TensorFlowAdapter(function, plan=plan),
    "tf.function": lambda function, device, plan: TensorFlowAdapter(function, compiled=True, plan=plan),
}
FRAMEWORKS = (*_ADAPTERS, f"{ARRAY_API}<module>")
_DETECTED = tuple(name for name in _ADAPTERS if name != "tf.function")  # eager TensorFlow runs the same code

# How well a call went, best first: losses with gradients, losses alone, then the exceptions.
GRADIENTS_FOUND, NO_GRADIENTS, RAISED = 0, 1, 6
_RANKS: tuple[tuple[type[BaseException], int], ...] = (
    (HungError, 2),
    (ForeignError, 4),  # behind CandidateError: the function ran, but says nothing about its framework
    (CandidateError, 3),
    (UnsupportedError, 5),
    (NotImplementedError, 5),
    (BaseException, RAISED),
)

__all__ = ["FRAMEWORKS", "AnswersAdapter", "adapter", "detect"]


def adapter(
    function: Function,
    framework: str | None,
    level: Level,
    parameters: Mapping[str, float],
    device: str,
    dtype: DTypeLike = np.float64,
    timeout: float | None = None,
    plan: Precision | None = None,
) -> Adapter:
    """Return the adapter that calls a candidate.

    Parameters
    ----------
    function : callable
        The candidate.
    framework : str or None
        One of `FRAMEWORKS`; None finds it out, see `detect`.
    level : {"cosine", "head"}
        What the candidate takes.
    parameters : mapping
        The parameters of the variant, for the calls that find out the framework.
    device : str
        Where a PyTorch candidate runs; "cpu" for all others.
    dtype : dtype
        The dtype of the check.
    timeout : float or None
        Seconds until a call counts as hung.
    plan : Precision or None
        Where the candidate rounds; None is the dtype throughout.

    Raises
    ------
    CandidateError
        If the framework is unknown, a device is given to one without that choice, or the candidate fails in every
        framework.
    """
    if framework is None:
        framework = detect(function, level, parameters, device, dtype, timeout, plan)
    if framework not in _ADAPTERS and not framework.startswith(ARRAY_API):
        raise CandidateError(f"framework must be one of {', '.join(FRAMEWORKS)}; got {framework!r}.")
    if device != "cpu" and framework != "torch":
        raise CandidateError(f"device is for PyTorch candidates; {framework} puts its arrays where it is set up to.")
    if framework.startswith(ARRAY_API):
        return ArrayAdapter(function, framework.removeprefix(ARRAY_API), plan)
    return _ADAPTERS[framework](function, device, plan)


def detect(
    function: Function,
    level: Level,
    parameters: Mapping[str, float],
    device: str = "cpu",
    dtype: DTypeLike = np.float64,
    timeout: float | None = None,
    plan: Precision | None = None,
) -> str:
    """Return the framework that a candidate is written in: it is called in one after another.

    The first one in which it returns losses with gradients is taken. If there is none, the one that came nearest is
    taken, so that the report says case by case what is wrong. NumPy comes first, and last among equals: JAX and
    TensorFlow functions run on NumPy arrays too, but do not return gradients then.

    Frameworks that are not imported are left out. The NumPy call comes first, so that a candidate that imports its
    framework inside the function has done so by then.
    """
    calls, outcomes = _probes(level, parameters, dtype), dict[str, tuple[int, str]]()
    for name in _DETECTED:
        if name == "numpy" or name in sys.modules:
            outcomes[name] = _best_outcome(_ADAPTERS[name](function, device, plan), calls, timeout)
            if outcomes[name][0] == GRADIENTS_FOUND:
                return name
    best = min(outcomes, key=lambda name: (outcomes[name][0], name == "numpy"))
    if outcomes[best][0] < RAISED or len(outcomes) == 1:
        return best
    reasons = "; ".join(f"with {name} arrays {error}" for name, (_, error) in reversed(outcomes.items()))
    raise CandidateError(
        f"the candidate fails {reasons}. Name its framework with framework= or --framework{_or_widen(dtype)}."
    )


def _or_widen(dtype: DTypeLike) -> str:
    """Return what else to do where the inputs are half; "" where they are not."""
    name = np.dtype(dtype).name
    return f"; if it takes no {name}, give it such numbers in float32: --dtype float32" if name in HALVES else ""


def _best_outcome(adapter: Adapter, calls: tuple[Call, Call], timeout: float | None) -> tuple[int, str]:
    """Return the outcome of the first call; of the better one of the two, if the first raises."""
    outcome = _outcome(adapter, calls[0], timeout)
    if outcome[0] < RAISED:
        return outcome
    return min(outcome, _outcome(adapter, calls[1], timeout), key=lambda pair: pair[0])


def _outcome(adapter: Adapter, call: Call, timeout: float | None) -> tuple[int, str]:
    """Return how well a call went, 0 is best, and the candidate's error message with its place, if it raised."""
    try:
        with quietly("while the framework of the candidate is found out"):
            answer = within(timeout, adapter, call)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        rank = next(rank for kind, rank in _RANKS if isinstance(error, kind))
        where = [frame.split(": ")[0] for frame in frames_of(error)[-1:]]
        return rank, " at ".join([f"{type(error).__name__}: {first_line(error)}", *where])
    found = any(g is not None for g in answer.gradients) and not _is_logits(answer, call)
    return (GRADIENTS_FOUND if found else NO_GRADIENTS), ""


def _is_logits(answer: Answer, call: Call) -> bool:
    """Return whether what was taken for the gradient are the logits of the losses.

    Functions of JAX and TensorFlow that return (losses, logits) run on NumPy arrays as well.
    """
    z, losses = answer.gradients[0], answer.losses
    if call.level != "cosine" or z is None or z.shape != call.arrays[0].shape or not is_real(z.dtype):
        return False
    if not is_real(losses.dtype):
        return False
    near = 2e-2 if losses.dtype.name in HALVES else 1e-3
    z, losses = z.astype(np.float64), losses.astype(np.float64)
    with np.errstate(all="ignore"):
        own = np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)) + z.max(axis=1)
        own = own - z[np.arange(len(z)), call.labels]
        return any(np.allclose(losses, right, rtol=near) for right in (own, own.sum(), own.mean()))


def _probes(level: Level, parameters: Mapping[str, float], dtype: DTypeLike) -> tuple[Call, Call]:
    """Return a call of two rows and a call of one: code that normalises over the batch refuses a single row."""
    cosines = [np.array([[0.5, 0.25, -0.5], [-0.25, 0.125, 0.75]])]
    vectors = [np.array([[0.5, 0.25], [-0.25, 0.75]]), np.eye(3, 2) + 0.25]
    arrays = tuple(a.astype(dtype) for a in (cosines if level == "cosine" else vectors))
    two_rows = Call("", arrays, np.array([0, 2]), np.ones(2), parameters)
    return two_rows, two_rows.rows(slice(0, 1))
