"""The line `reproduce`: a command for the shell, or a call of svref.check for a function that no path leads to.

A function of a module has a path: path/file.py:name, or package.module:name inside a package. A function that was made
inside another one, a lambda, or an instance has none, and is called from Python as before.
"""

from __future__ import annotations

import inspect
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svref.conformance.candidates.loading import candidate_name

Options = Mapping[str, Any]

CALL = "svref.check("
DEFAULTS = {"pack": "core", "device": "cpu", "seed": 0}


def command_of(
    candidate: Callable[..., Any] | str, loss: str, options: Options, fixed: Mapping[str, float] | None = None
) -> str:
    """Return the command, or the call in Python, that repeats the check.

    Of the options, True is one without a value, and a list is one that is given several times; False, None, an empty
    list and defaults are left out. `fixed` are the parameters of options --with.
    """
    given = {name: v for name, v in options.items() if v not in (None, False, []) and v != DEFAULTS.get(name)}
    path = candidate if isinstance(candidate, str) else path_of(candidate)
    if not path:
        return _call(candidate_name(candidate), loss, {**given, **({"parameters": dict(fixed)} if fixed else {})})
    words = ["svref", "check", path, "--loss", loss]
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name}"] if one is True else [f"--{name}", _text(one)]
    return shlex.join([*words, *with_options(fixed or {})])


def with_options(parameters: Mapping[str, float]) -> list[str]:
    """Return parameters as the words of a command: --with s=32."""
    shortest = {name: repr(value).removesuffix(".0") for name, value in parameters.items()}
    return [word for name, value in shortest.items() for word in ("--with", f"{name}={value}")]


def with_case(command: str, case: str) -> str:
    """Return the command, or the call in Python, that repeats one case of a check alone."""
    if command.startswith(CALL):
        return f"{command[:-1]}, case={case!r})"
    return f"{command} --case {case}"


def path_of(candidate: Callable[..., Any]) -> str:
    """Return the path by which the command finds a function or a class, from the current folder; "" if it has none."""
    name = getattr(candidate, "__qualname__", "")
    module = sys.modules.get(getattr(candidate, "__module__", None) or "")
    is_named = inspect.isfunction(candidate) or inspect.isclass(candidate)
    if not is_named or not name.isidentifier() or getattr(module, name, None) is not candidate:
        return ""
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return ""
    return f"{module.__name__ if '.' in module.__name__ else _from_here(Path(file))}:{name}"


def _from_here(file: Path) -> str:
    """Return the path of a file, from the current folder if it is in there."""
    here = Path(os.path.realpath(os.curdir))
    file = Path(os.path.realpath(file))
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _call(name: str, loss: str, options: Options) -> str:
    """Return the call of svref.check; the option --no-invalid is invalid=False there, and --map A=B a mapping."""
    words: dict[str, Any] = {word: value for word, value in options.items() if word != "no-invalid"}
    if isinstance(words.get("map"), list):
        words["map"] = dict(pair.split("=", 1) for pair in words["map"])
    words |= {"invalid": False} if "no-invalid" in options else {}
    keywords = [f"{word}={value!r}" for word, value in words.items()]
    return f"{CALL}{', '.join([name if name.isidentifier() else 'candidate', repr(loss), *keywords])})"


def _text(value: object) -> str:
    """Return the value of an option as one types it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
