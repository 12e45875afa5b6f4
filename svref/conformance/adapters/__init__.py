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

from svref.conformance.adapters.answers import AnswersAdapter
from svref.conformance.adapters.arrays import ArrayAdapter
from svref.conformance.adapters.frameworks import JaxAdapter, TensorFlowAdapter, TorchAdapter
from svref.conformance.candidate import Adapter, Call, CandidateError, Function, Level
from svref.conformance.guard import HungError, first_line, quietly, within

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
    """Return the framework a candidate is written in: the one whose arrays it takes on a row of its own.

    Those of JAX and TensorFlow take NumPy's too; but what they return by name has no gradients.
    """
    call, said, second = _probe(level, parameters, dtype), {}, []
    for name in _FOUND_OUT:
        if name != "numpy" and name not in sys.modules:
            continue  # a candidate that uses a framework has imported it, at the latest when it was called
        try:
            with quietly():
                answer = within(timeout, _MADE[name](function, device), call)
        except HungError:
            second.append(name)
        except (Exception, SystemExit) as error:
            said[name] = f"{type(error).__name__}: {first_line(error)}"
        else:
            if any(gradient is not None for gradient in answer.gradients):
                return name
            second.insert(0, name)
    if second or list(said) == ["numpy"]:
        return (second or ["numpy"])[0]  # judging it says the same, with the case
    reasons = "; ".join(f"with {name} arrays {said[name]}" for name in reversed(said))  # numpy's says least
    raise CandidateError(f"the candidate fails {reasons}. Name its framework with framework= or --framework.")


def _probe(level: Level, parameters: Mapping[str, float], dtype: DTypeLike) -> Call:
    """Return a question about one row."""
    cosines, rows = [np.array([[0.5, 0.25, -0.5]])], [np.array([[0.5, 0.25]]), np.eye(3, 2) + 0.25]
    arrays = tuple(a.astype(dtype) for a in (cosines if level == "cosine" else rows))
    return Call("", arrays, np.array([0]), np.ones(1), parameters)
