"""From a user's function, or files, to losses and gradients: one way to call each framework.

arrays       NumPy and array API namespaces, whose functions return their gradients
frameworks   PyTorch, JAX, TensorFlow, whose autograd gives the gradient
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
    Call,
    CandidateError,
    ForeignError,
    Function,
    Level,
    UnsupportedError,
)
from svref.conformance.candidates.contained import first_line, quietly
from svref.conformance.candidates.frameworks import JaxAdapter, TensorFlowAdapter, TorchAdapter
from svref.conformance.candidates.guard import HungError, frames_of, within

ARRAY_API = "array-api:"
_MADE: Mapping[str, Callable[[Function, str], Adapter]] = {
    "numpy": lambda function, device: ArrayAdapter(function),
    "torch": TorchAdapter,
    "jax": lambda function, device: JaxAdapter(function),
    "tensorflow": lambda function, device: TensorFlowAdapter(function),
    "tf.function": lambda function, device: TensorFlowAdapter(function, compiled=True),
}
FRAMEWORKS = (*_MADE, f"{ARRAY_API}<module>")
_FOUND_OUT = tuple(name for name in _MADE if name != "tf.function")  # eager TensorFlow runs the same code
GRADED, UNGRADED, RAISED = 0, 1, 6
_RANKS: tuple[tuple[type[BaseException], int], ...] = (
    (HungError, 2),
    (ForeignError, 4),  # it ran, but may be of any framework
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
) -> Adapter:
    """Return the adapter of a candidate for a framework; None finds it out."""
    framework = framework or detect(function, level, parameters, device, dtype, timeout)
    if framework not in _MADE and not framework.startswith(ARRAY_API):
        raise CandidateError(f"framework must be one of {', '.join(FRAMEWORKS)}; got {framework!r}.")
    if device != "cpu" and framework != "torch":
        raise CandidateError(f"device is for PyTorch candidates; {framework} puts its arrays where it is set up to.")
    if framework.startswith(ARRAY_API):
        return ArrayAdapter(function, framework.removeprefix(ARRAY_API))
    return _MADE[framework](function, device)


def detect(
    function: Function,
    level: Level,
    parameters: Mapping[str, float],
    device: str = "cpu",
    dtype: DTypeLike = np.float64,
    timeout: float | None = None,
) -> str:
    """Return the framework a candidate is written in: the one whose arrays it takes best, be it two rows or one.

    JAX and TensorFlow functions take NumPy's arrays too; but what they return by name has no gradients. Where no
    framework gets losses with gradients, the one that came nearest is returned, so that each case says what is wrong.
    """
    calls, found = _probes(level, parameters, dtype), dict[str, tuple[int, str]]()
    for name in _FOUND_OUT:
        if name == "numpy" or name in sys.modules:  # one that a candidate uses is imported when it is called, at last
            found[name] = _best(_MADE[name](function, device), calls, timeout)
            if found[name][0] == GRADED:
                return name
    best = min(found, key=lambda name: (found[name][0], name == "numpy"))
    if found[best][0] < RAISED or len(found) == 1:
        return best
    reasons = "; ".join(f"with {name} arrays {said}" for name, (_, said) in reversed(found.items()))
    raise CandidateError(f"the candidate fails {reasons}. Name its framework with framework= or --framework.")


def _best(made: Adapter, calls: tuple[Call, Call], timeout: float | None) -> tuple[int, str]:
    """Return how far a candidate gets with the first of the questions on which it does not raise."""
    said = _tried(made, calls[0], timeout)
    if said[0] < RAISED:
        return said
    return min(said, _tried(made, calls[1], timeout), key=lambda one: one[0])


def _tried(made: Adapter, call: Call, timeout: float | None) -> tuple[int, str]:
    """Return how far a candidate gets with the arrays of a framework, 0 is best, and what it said."""
    try:
        with quietly():
            answer = within(timeout, made, call)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        rank = next(rank for kind, rank in _RANKS if isinstance(error, kind))
        where = [frame.split(": ")[0] for frame in frames_of(error)[-1:]]
        return rank, " at ".join([f"{type(error).__name__}: {first_line(error)}", *where])
    return (GRADED if any(gradient is not None for gradient in answer.gradients) else UNGRADED), ""


def _probes(level: Level, parameters: Mapping[str, float], dtype: DTypeLike) -> tuple[Call, Call]:
    """Return questions about two rows, as code that normalises over the batch refuses one; and about one alone."""
    cosines = [np.array([[0.5, 0.25, -0.5], [-0.25, 0.125, 0.75]])]
    rows = [np.array([[0.5, 0.25], [-0.25, 0.75]]), np.eye(3, 2) + 0.25]
    arrays = tuple(a.astype(dtype) for a in (cosines if level == "cosine" else rows))
    two = Call("", arrays, np.array([0, 2]), np.ones(2), parameters)
    return two, two.rows(slice(0, 1))
