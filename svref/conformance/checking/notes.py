"""What a candidate's own file says about its stages: a function named as a stage has a line, a title and a hint."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svref.conformance.candidates.call import STAGES

LOSSES = "losses"  # the function of the stage "loss", whose name the candidate itself often has
HINT = "Hint: "  # how the paragraph of a docstring begins that is shown if the stage is the first wrong one


@dataclass(frozen=True)
class Note:
    """What a function named as a stage says of it.

    Parameters
    ----------
    place : str
        File and line of the function.
    title : str
        The first line of its docstring.
    hint : str
        The paragraph of its docstring that begins with "Hint: ", without that word.
    """

    place: str = ""
    title: str = ""
    hint: str = ""


def notes_of(candidate: Callable[..., Any] | str, loaded: Any) -> dict[str, Note]:
    """Return the notes on the stages, by name, from the module of a candidate; {} where it has no such functions.

    Parameters
    ----------
    candidate : callable or str
        As it was given. The part of a text before the colon is the file that places name.
    loaded : callable
        The function, class or instance that it stands for.
    """
    module = sys.modules.get(getattr(loaded, "__module__", None) or type(loaded).__module__)
    typed = candidate.rpartition(":")[0] if isinstance(candidate, str) else ""
    found: Mapping[str, Any] = {name: getattr(module, name, None) for name in (*STAGES, LOSSES)}
    notes = {name: _note(function, typed) for name, function in found.items() if inspect.isfunction(function)}
    return {"loss" if name == LOSSES else name: note for name, note in notes.items()}


def _note(function: Callable[..., Any], typed: str) -> Note:
    """Return the note of one function."""
    code, text = inspect.unwrap(function).__code__, inspect.getdoc(function) or ""
    file = typed if typed.endswith(".py") else Path(code.co_filename).name
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    hint = next((p.removeprefix(HINT) for p in paragraphs if p.startswith(HINT)), "")
    return Note(f"{file}:{code.co_firstlineno}", paragraphs[0], hint)
