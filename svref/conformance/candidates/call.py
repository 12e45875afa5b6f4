"""What a candidate is: where it is found, what it is asked, what it answers."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.contained import first_line, quietly

Function = Callable[..., Any]
Level = Literal["cosine", "head"]
FORMS = "path/file.py:name, package.module:name, or a folder or file.json of answers"
MOST_LISTED = 12
GRADIENTS: Mapping[Level, tuple[str, ...]] = {
    "cosine": ("grad_cosines",),
    "head": ("grad_embeddings", "grad_weights"),
}


class CandidateError(Exception):
    """The candidate cannot be judged: it is missing, has the wrong signature, raises, or answers with no numbers."""


class ForeignError(CandidateError):
    """What came back is not of the framework whose tensors went in."""


class UnsupportedError(Exception):
    """The candidate says that it cannot do this; it is counted, and is not a pass."""


class RefusedError(Exception):
    """The program that wrote an answer raised an error there."""


@dataclass(frozen=True, eq=False)
class Call:
    """One question.

    Parameters
    ----------
    id : str
        The case's.
    arrays : tuple of arrays
        Cosines (B, C); or embeddings (B, D) and weights (C, D). In the dtype of the check.
    labels, cotangent : arrays, shape (B,)
        The target classes; and dL/d(loss of each row), float64.
    parameters : mapping
        The keyword arguments.
    """

    id: str
    arrays: tuple[FloatArray, ...] = field(repr=False)
    labels: IntArray = field(repr=False)
    cotangent: FloatArray = field(repr=False)
    parameters: Mapping[str, Any]

    @property
    def level(self) -> Level:
        """Where the case begins: "cosine" or "head"."""
        return "cosine" if len(self.arrays) == 1 else "head"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the arrays."""
        return self.arrays[0].dtype

    def rows(self, rows: slice | IntArray) -> Call:
        """Return the question about some rows alone."""
        first, *rest = self.arrays
        return Call(self.id, (first[rows], *rest), self.labels[rows], self.cotangent[rows], self.parameters)

    def copies(self) -> tuple[list[FloatArray], IntArray]:
        """Return the arrays and the labels for the candidate to keep."""
        return [a.copy() for a in self.arrays], self.labels.copy()


@dataclass(frozen=True, eq=False)
class Answer:
    """What a candidate returned.

    Parameters
    ----------
    losses : array, shape (B,), or () for a candidate that reduces
        The losses.
    gradients : tuple of arrays or None
        By each of the arrays of the call, of Σ weight_b L_b, or of the reduced loss; None where there is none.
    weights : array, shape (B,), or None
        The cotangent that was applied; None where the loss was reduced.
    stages : mapping of str to array
        Quantities on the way, where the candidate returns them: see `STAGES`.
    remarks : tuple of str
        What else the candidate does: "writes into its inputs".
    """

    losses: NDArray[Any]
    gradients: tuple[NDArray[Any] | None, ...]
    weights: FloatArray | None
    stages: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Adapter(Protocol):
    """How a framework is called."""

    @property
    def description(self) -> str:
        """The framework, its version, the device."""

    def run(self, call: Call) -> Answer:
        """Return what the candidate makes of a call; raise a CandidateError if that is nothing to be judged."""


OWNER = "A module that owns its weights is called through torch.func.functional_call, as docs/how-to/check.md shows."
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
BY_NAME = ("cotangent", "ignore_index")  # what is given besides, to whom names it
STAGES = ("cosines", "margin_cosine", "mask", "relative_logits")


def load(path: str) -> Function:
    """Return the function at "path/file.py:name" or "package.module:name"; what its import prints is lost."""
    place, _, name = path.rpartition(":")
    if not place:
        place, name = path, ""
    if not place:
        raise CandidateError(f"a candidate is {FORMS}; got {path!r}.")
    try:
        with quietly():
            module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        hint = "" if place.endswith(".py") else f"; a candidate is {FORMS}"
        said = f"{type(error).__name__}: {first_line(error)}"
        raise CandidateError(f"{place} cannot be imported: {said}{hint}.") from error
    function = getattr(module, name, None) if name else None
    if not callable(function):
        raise CandidateError(_no_function(place, name, module))
    return function


def _no_function(place: str, name: str, module: Any) -> str:
    """Return what a module has in place of a function of that name."""
    found = getattr(module, name, None) if name else None
    offered = ", ".join(n for n, v in vars(module).items() if inspect.isfunction(v)) or "none"
    missing = f"{place} has no function {name!r}" if name else "a candidate is path/file.py:name"
    what = f", it has {name} = {found!r:.60}" if found is not None else ""
    return f"{missing}{what}; the functions of {place} are: {offered}."


def level_of(function: Function, parameters: Mapping[str, float]) -> Level:
    """Return the level of a candidate by its signature, after checking that it takes the variant's parameters."""
    if inspect.isclass(function):
        raise CandidateError(
            f"{function.__name__} is a class; a candidate is an instance of it, or a function around one: "
            f"def loss(cosines, labels, *, {', '.join(parameters)}): ..."
        )
    level: Level = "head" if _positional(function)[:2] == ["embeddings", "weights"] else "cosine"
    missing = [name for name in parameters if not takes(function, name)]
    arrays = [name for name in _required(function) if name not in (*parameters, *BY_NAME)]
    if level == "cosine" and len(arrays) > 2 and not missing:
        raise CandidateError(
            f"a candidate on vectors must name its first arguments embeddings and weights; got {', '.join(arrays)}."
        )
    if missing:
        wanted = ", ".join(f"{name}={value:g}" for name, value in parameters.items())
        taken = "embeddings, weights" if level == "head" else "cosines"
        owner = "" if inspect.isroutine(function) else f" {OWNER}"
        raise CandidateError(
            f"the candidate takes no keyword {', '.join(missing)}; it is called f({taken}, labels, {wanted}).{owner}"
        )
    return level


def takes(function: Function, keyword: str) -> bool:
    """Return whether a function takes a keyword, by name or by ``**``."""
    kinds = _signature(function)
    named = kinds.get(keyword)
    return named in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY) or any(
        kind is kind.VAR_KEYWORD for kind in kinds.values()
    )


def names(function: Function, keyword: str) -> bool:
    """Return whether a function names a keyword in its signature."""
    return keyword in _signature(function)


def _positional(function: Function) -> list[str]:
    return [name for name, kind in _signature(function).items() if kind in POSITIONAL]


def _required(function: Function) -> list[str]:
    """Return the positional arguments that have no default."""
    return [n for n, p in _parameters(function).items() if p.kind in POSITIONAL and p.default is p.empty]


def _signature(function: Function) -> dict[str, inspect._ParameterKind]:
    return {name: parameter.kind for name, parameter in _parameters(function).items()}


def _parameters(function: Function) -> Mapping[str, inspect.Parameter]:
    called = function if inspect.isroutine(function) else getattr(function, "forward", function)
    try:
        return inspect.signature(called).parameters
    except (TypeError, ValueError) as error:
        raise CandidateError(f"a candidate must be a function whose signature can be read; {error}") from error


def _module(name: str) -> Any:
    """Import a module by its dotted name, also from the current folder, as `python -m` does."""
    _search_first(Path.cwd())
    return importlib.import_module(name)


def _module_of_file(path: Path) -> Any:
    """Import a file, whose neighbours it may import, then and later."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; {_files_beside(path)}")
    name = f"svref_candidate_{path.stem}"  # not the stem alone, which may be that of a library
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    _search_first(path.parent.resolve())
    sys.modules[name] = module  # dataclasses and pickles look their module up
    spec.loader.exec_module(module)
    return module


def _files_beside(path: Path) -> str:
    """Return which Python files there are in the folder of one that is missing."""
    folder = path.parent.resolve()
    if not folder.is_dir():
        return f"there is no folder {path.parent}"
    files = sorted(file.name for file in folder.glob("*.py"))
    more = f" and {len(files) - MOST_LISTED} more" if len(files) > MOST_LISTED else ""
    return f"the .py files of {folder} are: {', '.join(files[:MOST_LISTED]) or 'none'}{more}"


def _search_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
