"""From a user's function to losses and a gradient: NumPy and PyTorch candidates behind one call."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from svref.inputs import FloatArray, IntArray

FRAMEWORKS = ("numpy", "torch")


class CandidateError(Exception):
    """The candidate cannot be judged: it is missing, has the wrong signature, or raises."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a candidate returned: per-sample losses, and the gradient of Σ cotangent_b L_b by the cosines."""

    losses: NDArray[Any]
    gradient: NDArray[Any]
    cotangent: FloatArray


class Adapter(Protocol):
    """How a framework is called: arrays in, `Outputs` out."""

    @property
    def description(self) -> str:
        """The framework and its version."""

    def run(
        self, cosines: FloatArray, labels: IntArray, cotangent: FloatArray, parameters: Mapping[str, float]
    ) -> Outputs:
        """Return the losses and the gradient for cosines (B, C) of the dtype to compute in."""


@dataclass(frozen=True)
class NumpyAdapter:
    """A function that returns (losses, gradient) as arrays; with `cotangent=` if it takes that."""

    function: Callable[..., Any]
    description: str = f"numpy {np.__version__}"

    def run(
        self, cosines: FloatArray, labels: IntArray, cotangent: FloatArray, parameters: Mapping[str, float]
    ) -> Outputs:
        """Call the function on copies, so that it cannot change what it is judged by."""
        takes_cotangent = "cotangent" in _keywords(self.function)
        g = cotangent if takes_cotangent else np.ones_like(cotangent)
        extra = {"cotangent": g.astype(cosines.dtype)} if takes_cotangent else {}
        result = self.function(cosines.copy(), labels.copy(), **parameters, **extra)
        if not isinstance(result, tuple) or len(result) != 2:
            raise CandidateError(
                "a NumPy candidate must return the tuple (losses (B,), gradient (B, C)); "
                f"got {type(result).__name__}. For autograd return a framework's tensor instead."
            )
        return Outputs(np.asarray(result[0]), np.asarray(result[1]), g)


@dataclass(frozen=True)
class TorchAdapter:
    """A function that returns per-sample losses as a tensor; autograd gives the gradient."""

    function: Callable[..., Any]

    @property
    def description(self) -> str:
        """The framework and its version."""
        return f"torch {_torch().__version__}"

    def run(
        self, cosines: FloatArray, labels: IntArray, cotangent: FloatArray, parameters: Mapping[str, float]
    ) -> Outputs:
        """Call the function on a leaf tensor and pull the cotangent back through it."""
        torch = _torch()
        leaf = torch.tensor(cosines, requires_grad=True)
        losses = self.function(leaf, torch.tensor(labels), **parameters)
        if not isinstance(losses, torch.Tensor) or losses.shape != (len(labels),):
            got = f"shape {tuple(losses.shape)}" if isinstance(losses, torch.Tensor) else type(losses).__name__
            raise CandidateError(
                f"a PyTorch candidate must return per-sample losses of shape (B,) = ({len(labels)},); got {got}. "
                'Use reduction="none".'
            )
        losses.backward(torch.tensor(cotangent, dtype=losses.dtype))
        if leaf.grad is None:
            raise CandidateError("the losses do not depend on the cosines: autograd returned no gradient.")
        return Outputs(losses.detach().numpy(), leaf.grad.numpy(), cotangent)


def load(path: str) -> Callable[..., Any]:
    """Return the function at "path/file.py:name" or "package.module:name"."""
    place, _, name = path.rpartition(":")
    if not place or not name:
        raise CandidateError(f"a candidate is path/file.py:name or package.module:name; got {path!r}.")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:
        raise CandidateError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        offered = ", ".join(n for n, v in vars(module).items() if inspect.isfunction(v)) or "none"
        raise CandidateError(f"{place} has no function {name!r}; its functions are: {offered}.")
    return function


def adapter(function: Callable[..., Any], framework: str | None, parameters: Mapping[str, float]) -> Adapter:
    """Return the adapter of a candidate, after checking that it takes the variant's parameters."""
    _check_signature(function, parameters)
    framework = framework or detect(function)
    if framework not in FRAMEWORKS:
        raise CandidateError(f"framework must be one of {', '.join(FRAMEWORKS)}; got {framework!r}.")
    return TorchAdapter(function) if framework == "torch" else NumpyAdapter(function)


def detect(function: Callable[..., Any]) -> str:
    """Return "torch" for a torch module, or a function whose own module uses torch; else "numpy"."""
    torch = sys.modules.get("torch")
    if torch is None:
        return "numpy"
    if isinstance(function, torch.nn.Module):
        return "torch"
    names = getattr(inspect.unwrap(function), "__globals__", {})
    uses_torch = any(
        getattr(value, "__name__", getattr(value, "__module__", "")).split(".")[0] == "torch"
        for value in names.values()
        if isinstance(getattr(value, "__name__", ""), str) and isinstance(getattr(value, "__module__", ""), str)
    )
    return "torch" if uses_torch else "numpy"


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise CandidateError("this candidate needs PyTorch: pip install 'svref[torch]'.") from error


def _module_of_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _check_signature(function: Callable[..., Any], parameters: Mapping[str, float]) -> None:
    keywords = _keywords(function)
    missing = [name for name in parameters if name not in keywords and "**" not in keywords]
    if missing:
        wanted = ", ".join(f"{name}={value:g}" for name, value in parameters.items())
        raise CandidateError(
            f"the candidate takes no keyword {', '.join(missing)}; it is called f(cosines, labels, {wanted})."
        )


def _keywords(function: Callable[..., Any]) -> set[str]:
    """Return the names a function takes as keywords; "**" if it takes any."""
    target = getattr(function, "forward", function)
    kinds = {name: p.kind for name, p in inspect.signature(target).parameters.items()}
    named = {name for name, kind in kinds.items() if kind in (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY)}
    return named | ({"**"} if any(kind is kind.VAR_KEYWORD for kind in kinds.values()) else set())
