"""From what a user typed to a candidate that can be called: found, imported, its signature read, guarded.

Here too are the words that `check` and `diagnose` share: the variant's name, the dtype, the candidate's name.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref.conformance.candidates import adapters, answers
from svref.conformance.candidates.arguments import given_of
from svref.conformance.candidates.call import CandidateError, Function, Level, names, signature_of
from svref.conformance.candidates.guard import Guard, first_line, in_time
from svref.conformance.candidates.process import quietly
from svref.conformance.candidates.reading import read
from svref.formats import numpy_dtype
from svref.judging.precision import PRECISIONS, Precision
from svref.variants import VARIANTS, Variant, spelt

FORMS = "path/file.py:name, package.module:name, or a folder or file.json of answers"
IMPORT_LIMIT = 120.0  # seconds; libraries that are installed on a slow disk take half a minute
MOST_LISTED = 20  # .py files that an error names
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
OPTIONAL = ("cotangent", "ignore_index")  # the check passes these only to a candidate whose signature names them


class MissingKeywordsError(CandidateError):
    """The candidate does not take some parameters of the variant, which are `missing`."""

    def __init__(self, message: str, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


def guarded(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kind: np.dtype[Any] | None,
    timeout: float | None,
    fixed: Mapping[str, float] | None = None,
    mapping: Mapping[str, Any] | Sequence[str] | None = None,
    plan: Precision | None = None,
) -> tuple[Guard, Level | None, bool]:
    """Return a guard that calls the candidate, the candidate's level, and whether it takes ``ignore_index``.

    The level is None for files of answers, which may answer cases of both levels. Parameters that are `fixed` need not
    be taken by the candidate. `mapping` says what the arguments of the candidate mean where their names do not: see
    `arguments.given_of`. `plan` says where it rounds; None is `kind` throughout. A `kind`
    of None is that of the plan's inputs.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds; got {timeout:g}.")
    if is_answers(candidate):
        return Guard(answers.read(Path(str(candidate)))), None, False
    found = callable_of(load(candidate, timeout) if isinstance(candidate, str) else candidate)
    reading = read(found, entry, given_of(mapping))
    function = reading.function
    parameters = {**entry.parameters, **(fixed or {})}
    unasked = [name for name in lacking(function, parameters) if name in (fixed or {})]
    parameters = {name: value for name, value in parameters.items() if name not in unasked}
    level = level_of(function, parameters, reading.hint)
    named, kind = framework or reading.framework, kind or input_dtype(plan, level)
    adapter = adapters.adapter(function, named, level, parameters, device, kind, timeout, plan)
    return Guard(adapter, timeout, reading.taken), level, names(function, "ignore_index")


def callable_of(found: Any) -> Any:
    """Return what is called: the method `forward` of an instance that has no other way to be called."""
    return found if callable(found) else getattr(found, "forward", found)


def is_answers(candidate: Callable[..., Any] | str) -> bool:
    """Return whether a candidate is a folder or a file of answers."""
    if not isinstance(candidate, str) or not candidate:  # Path("") would be the current folder
        return False
    return Path(candidate).is_dir() or candidate.endswith(".json")


def candidate_name(candidate: Callable[..., Any] | str) -> str:
    """Return the name of a candidate in a report: its path as typed, or the name of the function or its class."""
    return candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)


def variant_of(loss: object) -> Variant:
    """Return the variant of a name; raise a ValueError that lists the names."""
    name = spelt(loss)
    if name not in VARIANTS:
        raise ValueError(f"loss must be one of {', '.join(VARIANTS)}; got {loss!r}.")
    return VARIANTS[name]


def dtype_of(dtype: DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64 as a NumPy dtype; raise a ValueError for any other."""
    known: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name not in known:
        hint = f"; half precision is a plan: precision={name!r}" if name in PRECISIONS else ""
        raise ValueError(f"dtype must be float32 or float64; got {name}{hint}.")
    return known[name]


def input_dtype(plan: Precision | None, level: Level) -> np.dtype[Any]:
    """Return the dtype of the inputs of a plan at a level; raise a CandidateError if it needs a missing package."""
    if plan is None:
        return np.dtype(np.float64)
    try:
        kind = numpy_dtype(plan.inputs(level))
        plan.loss_dtype(level, kind)  # its package may be missing, too
    except ImportError as error:
        raise CandidateError(f"--precision {plan.name}: {error}") from error
    return kind


# ---- importing a function ---------------------------------------------------------------------------------------


def load(path: str, timeout: float | None = None) -> Function:
    """Return the function at "path/file.py:name" or "package.module:name"; nothing that its import prints is shown.

    With a `timeout` of calls, an import also has a limit: `IMPORT_LIMIT`, or the timeout if that is longer.
    """
    place, _, name = path.rpartition(":")
    if not place:
        place, name = path, ""
    if not place:
        raise CandidateError(f"a candidate is {FORMS}; got {path!r}.")
    try:
        with quietly("while the candidate is imported"):
            limit = None if timeout is None else max(timeout, IMPORT_LIMIT)
            module = in_time(limit, lambda: _module_at(place), "it has not ended")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        hint = "" if place.endswith(".py") else f"; a candidate is {FORMS}"
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise CandidateError(f"{place} cannot be imported: {reason}{hint}.") from error
    function = callable_of(getattr(module, name, None) if name else None)
    if not callable(function):
        raise CandidateError(_no_function(place, name, module))
    return function


def _no_function(place: str, name: str, module: Any) -> str:
    """Return the error message for a module that has no function of that name: it lists the functions there are."""
    found = getattr(module, name, None) if name else None
    functions = ", ".join(n for n, v in vars(module).items() if inspect.isfunction(v)) or "none"
    missing = f"{place} has no function {name!r}" if name else "a candidate is path/file.py:name"
    what = f", it has {name} = {found!r:.60}" if found is not None else ""
    return f"{missing}{what}; the functions of {place} are: {functions}."


def _module_at(place: str) -> Any:
    """Import a file, or a module by its name."""
    return _module_of_file(Path(place)) if place.endswith(".py") else _module(place)


def _module(name: str) -> Any:
    """Import a module by its dotted name, also from the current folder, as `python -m` does."""
    _search_first(Path.cwd())
    return importlib.import_module(name)


def _module_of_file(path: Path) -> Any:
    """Import a file. It may import its neighbours and what lies in the current folder, at once and later."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; {_files_beside(path)}")
    name = f"svref_candidate_{path.stem}"  # a file may be called torch.py; its stem alone would hide the library
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    _search_first(Path.cwd())
    _search_first(path.parent.resolve())
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    spec.loader.exec_module(module)
    return module


def _files_beside(path: Path) -> str:
    """Return a sentence that lists the Python files in the folder where a file is missing."""
    folder = path.parent.resolve()
    if not folder.is_dir():
        return f"there is no folder {path.parent}"
    files = sorted(file.name for file in folder.glob("*.py"))
    more = f" and {len(files) - MOST_LISTED} more" if len(files) > MOST_LISTED else ""
    return f"the .py files of {folder} are: {', '.join(files[:MOST_LISTED]) or 'none'}{more}"


def _search_first(folder: Path) -> None:
    """Put a folder at the head of the places where Python looks for modules."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


# ---- reading a signature ----------------------------------------------------------------------------------------


def level_of(function: Function, parameters: Mapping[str, float], hint: str = "") -> Level:
    """Return "head" if the first two parameters are called embeddings and weights, else "cosine".

    Raises a CandidateError if the function cannot be called with the parameters of the variant as keywords. `hint` is
    what to do about that.
    """
    level: Level = "head" if _positional(function)[:2] == ["embeddings", "weights"] else "cosine"
    missing = [name for name in parameters if not _takes(function, name)]
    arrays = [name for name in _required(function) if name not in (*parameters, *OPTIONAL)]
    if level == "cosine" and len(arrays) > 2 and not missing:
        raise CandidateError(
            f"a candidate on vectors must name its first arguments embeddings and weights; got {', '.join(arrays)}."
        )
    if missing:
        raise MissingKeywordsError(f"{_missing_keywords(level, missing, parameters)}{hint}", missing)
    return level


def _missing_keywords(level: Level, missing: list[str], parameters: Mapping[str, float]) -> str:
    """Return the error message for a function that lacks keywords: it shows how the function would be called."""
    wanted = ", ".join(f"{name}={value:g}" for name, value in parameters.items())
    arrays = "embeddings, weights" if level == "head" else "cosines"
    return f"the candidate takes no keyword {', '.join(missing)}; it is called f({arrays}, labels, {wanted})."


def lacking(function: Function | None, names: Iterable[str]) -> tuple[str, ...]:
    """Return which keywords a function does not take; none without a function, as for files of answers."""
    if function is None or inspect.isclass(function):
        return ()
    return tuple(name for name in names if not _takes(function, name))


def _takes(function: Function, keyword: str) -> bool:
    """Return whether a function takes a keyword, by name or by ``**``."""
    parameters = signature_of(function)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = keyword in parameters and parameters[keyword].kind in by_name
    return named or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def _positional(function: Function) -> list[str]:
    """Return the names of the positional parameters."""
    return [name for name, parameter in signature_of(function).items() if parameter.kind in POSITIONAL]


def _required(function: Function) -> list[str]:
    """Return the names of the positional parameters that have no default."""
    parameters = signature_of(function)
    return [name for name in _positional(function) if parameters[name].default is inspect.Parameter.empty]
