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
        for values in result:
            refuse_masked(values)
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
        losses = self.function(leaf.clone(), torch.tensor(labels), **parameters)  # a clone may be written into
        if not isinstance(losses, torch.Tensor):
            raise CandidateError(f"a PyTorch candidate must return a tensor of losses; got {type(losses).__name__}.")
        if losses.shape != (len(labels),):
            raise CandidateError(
                f"a PyTorch candidate must return per-sample losses of shape (B,) = ({len(labels)},); "
                f'got shape {tuple(losses.shape)}. Use reduction="none".'
            )
        if losses.requires_grad:
            losses.backward(torch.tensor(cotangent, dtype=losses.dtype))
        if leaf.grad is None:
            raise CandidateError("the losses do not depend on the cosines: autograd has no gradient.")
        return Outputs(losses.detach().numpy(), leaf.grad.numpy(), cotangent)


def load(path: str) -> Callable[..., Any]:
    """Return the function at "path/file.py:name" or "package.module:name"."""
    place, _, name = path.rpartition(":")
    if not place:
        place, name = path, ""
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    except (Exception, SystemExit) as error:
        raise CandidateError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None) if name else None
    if not callable(function):
        offered = ", ".join(n for n, v in vars(module).items() if inspect.isfunction(v)) or "none"
        missing = f"{place} has no function {name!r}" if name else "a candidate is path/file.py:name"
        raise CandidateError(f"{missing}; the functions of {place} are: {offered}.")
    return function


def adapter(function: Callable[..., Any], framework: str | None, parameters: Mapping[str, float]) -> Adapter:
    """Return the adapter of a candidate, after checking that it takes the variant's parameters."""
    _check_signature(function, parameters)
    framework = framework or detect(function, parameters)
    if framework not in ADAPTERS:
        raise CandidateError(f"framework must be one of {', '.join(ADAPTERS)}; got {framework!r}.")
    return ADAPTERS[framework](function)


def detect(function: Callable[..., Any], parameters: Mapping[str, float]) -> str:
    """Return the framework a candidate is written in: the one whose arrays it takes on a row of its own."""
    said = {}
    for name, kind in ADAPTERS.items():
        if name != "numpy" and name not in sys.modules:
            continue  # a candidate that uses a framework has imported it, at the latest when it was called
        try:
            with np.errstate(under="ignore"):
                kind(function).run(np.array([[0.5, 0.25, -0.5]]), np.array([0]), np.ones(1), parameters)
        except (Exception, SystemExit) as error:
            said[name] = f"{type(error).__name__}: {error}"
        else:
            return name
    if list(said) == ["numpy"]:
        return "numpy"  # judging it says the same, with the case
    reasons = "; ".join(f"with {name} arrays {reason}" for name, reason in said.items())
    raise CandidateError(f"the candidate fails {reasons}. Name its framework with framework= or --framework.")


def refuse_masked(values: object) -> None:
    """Raise a CandidateError for a masked array: what it hides could not be judged."""
    if isinstance(values, np.ma.MaskedArray):
        raise CandidateError("outputs must be plain arrays; got a masked array, which hides what it masks.")


ADAPTERS: Mapping[str, Callable[[Callable[..., Any]], Adapter]] = {"numpy": NumpyAdapter, "torch": TorchAdapter}


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise CandidateError("this candidate needs PyTorch: pip install 'svref[torch]'.") from error


def _module(name: str) -> Any:
    """Import a module by its dotted name, also from the current folder, as `python -m` does."""
    _search_first(Path.cwd())
    return importlib.import_module(name)


def _module_of_file(path: Path) -> Any:
    """Import a file, whose neighbours it may import, then and later."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    name = f"svref_candidate_{path.stem}"  # not the stem alone, which may be that of a library
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    _search_first(path.parent.resolve())
    sys.modules[name] = module  # dataclasses and pickles look their module up
    spec.loader.exec_module(module)
    return module


def _search_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _check_signature(function: Callable[..., Any], parameters: Mapping[str, float]) -> None:
    if inspect.isclass(function):
        raise CandidateError(
            f"{function.__name__} is a class; a candidate is an instance of it, or a function around one: "
            f"def loss(cosines, labels, *, {', '.join(parameters)}): ..."
        )
    names = _signature(function)
    first = [name for name, kind in names.items() if kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)]
    if first[:2] == ["embeddings", "weights"]:
        raise CandidateError(
            "a candidate takes (cosines, labels, ...); heads on (embeddings, weights) are not judged yet."
        )
    missing = [name for name in parameters if name not in _keywords(function) and "**" not in _keywords(function)]
    if missing:
        wanted = ", ".join(f"{name}={value:g}" for name, value in parameters.items())
        raise CandidateError(
            f"the candidate takes no keyword {', '.join(missing)}; it is called f(cosines, labels, {wanted})."
        )


def _signature(function: Callable[..., Any]) -> dict[str, inspect._ParameterKind]:
    try:
        parameters = inspect.signature(getattr(function, "forward", function)).parameters
    except (TypeError, ValueError) as error:
        raise CandidateError(f"a candidate must be a function whose signature can be read; {error}") from error
    return {name: parameter.kind for name, parameter in parameters.items()}


def _keywords(function: Callable[..., Any]) -> set[str]:
    """Return the names a function takes as keywords; "**" if it takes any."""
    kinds = _signature(function)
    named = {name for name, kind in kinds.items() if kind in (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY)}
    return named | ({"**"} if any(kind is kind.VAR_KEYWORD for kind in kinds.values()) else set())
