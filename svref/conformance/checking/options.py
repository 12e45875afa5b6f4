"""What a user typed, turned into what a check needs, or into a message that says what there is."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref.conformance.candidates import adapters, answers
from svref.conformance.candidates.call import Level, level_of, load, names
from svref.conformance.candidates.guard import Guard
from svref.conformance.checking.run import Plan
from svref.golden.files.pack import shipped
from svref.golden.vectors import Vector, Vectors
from svref.golden.vectors import load as load_vectors
from svref.judging.formats import FORMATS, format_of
from svref.variants import VARIANTS, Variant

_TAKES: dict[Level | None, str] = {"cosine": "cosines", "head": "embeddings and weights", None: "anything"}


def guarded(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kind: Any,
    timeout: float | None,
) -> tuple[Guard, Level | None, bool]:
    """Return what calls the candidate, its level, and whether it takes ``ignore_index``."""
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds; got {timeout:g}.")
    if is_answers(candidate):
        return Guard(answers.read(Path(str(candidate)))), None, False
    function = load(candidate) if isinstance(candidate, str) else candidate
    level = level_of(function, entry.parameters)
    made = adapters.adapter(function, framework, level, entry.parameters, device, kind, timeout)
    return Guard(made, timeout), level, names(function, "ignore_index")


def is_answers(candidate: Callable[..., Any] | str) -> bool:
    """Return whether a candidate is a directory or a file of answers."""
    if not isinstance(candidate, str) or not candidate:  # "" is the current folder to a path
        return False
    return Path(candidate).is_dir() or candidate.endswith(".json")


def cases_of(
    vectors: Vectors, entry: Variant, plan: Plan, case: str | None, invalid: bool = True
) -> tuple[list[Vector], int]:
    """Return the cases to judge, and how many are left out because the dtype does not hold their inputs.

    Those whose inputs must raise are among them if `invalid`, beside others or where one is asked for by its name.
    """
    known = [v for v in vectors if v.variant == entry.name and plan.level in (None, v.level)]
    if plan.dialect is not None or not invalid:
        known = [v for v in known if v.result != "error"]
    if case is not None:
        known = [v for v in known if v.id == case]
    cases = [v for v in known if plan.dtype.name in v.dtypes]
    if not any(v.result != "error" or case for v in cases):
        what = f"no case {case!r} of" if case else "no cases of"
        raise ValueError(
            f"pack {vectors.name} has {what} {entry.name} for a candidate on {_TAKES[plan.level]} in {plan.dtype}; "
            f"see svref golden list --variant {entry.name}."
        )
    return cases, len(known) - len(cases)


def command_of(candidate: Callable[..., Any] | str, loss: str, options: dict[str, str | float | bool | None]) -> str:
    """Return the command that does the same; "" for a function that has no path. True is an option without a value."""
    if not isinstance(candidate, str):
        return ""
    defaults = {"pack": "core", "device": "cpu"}
    words = ["svref", "check", candidate, "--loss", loss]
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name}"] * value
        elif value not in (None, defaults.get(name)):
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def candidate_name(candidate: Callable[..., Any] | str) -> str:
    """Return what a candidate is called."""
    return candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)


def variant_of(loss: object) -> Variant:
    """Return the entry of a variant's name; a ValueError lists them."""
    name = str(loss).replace("_", "-")
    if name not in VARIANTS:
        raise ValueError(f"loss must be one of {', '.join(VARIANTS)}; got {loss!r}.")
    return VARIANTS[name]


def dtype_of(dtype: DTypeLike) -> np.dtype[Any]:
    """Return one of the two dtypes; a ValueError names them."""
    known: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name not in known:
        raise ValueError(f"dtype must be float32 or float64; got {name}.")
    return known[name]


def compute_of(name: str | None, kind: np.dtype[Any]) -> str:
    """Return the format that is computed in, no wider than the dtype of the outputs; a ValueError lists them."""
    if name is None:
        return kind.name
    if name not in FORMATS:
        raise ValueError(f"compute must be one of {', '.join(FORMATS)}; got {name!r}.")
    if format_of(name).digits > format_of(kind.name).digits:
        raise ValueError(f"compute must be no wider than dtype, {kind.name}: outputs do not hold it; got {name}.")
    return name


def pack_of(pack: str) -> Vectors:
    """Return a pack that ships by its name, or the one in a directory."""
    if pack in shipped():
        return load_vectors(pack=pack)
    if not Path(pack).is_dir():
        known = ", ".join(shipped())
        raise ValueError(f"pack must be one of {known}, or a directory with a manifest.json; got {pack!r}.")
    return load_vectors(pack)
