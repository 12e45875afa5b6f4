"""What the commands share: a progress bar, printing, errors, and exit codes."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich import progress
from rich.console import Console

from svref.checks import Progress
from svref.cli.output import width_of_screen, wrapped

USAGE, DAMAGED = 2, 3  # exit codes: wrong options, or a candidate that cannot be judged; damaged vectors
ASSIGNED_NOTHING = re.compile(r"--[\w-]+=\s*")


@contextmanager
def bar(text: str) -> Iterator[Progress | None]:
    """Yield a function of done and total that shows a bar on a terminal; None if the output is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with progress.Progress(console=console, transient=True) as shown:
        task = shown.add_task(text)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def errors() -> Iterator[None]:
    """Exit with 3 if vectors are damaged, and with 2 if the user's input is wrong, after printing the error."""
    from svref.conformance.candidates.call import CandidateError
    from svref.golden import VectorsError

    try:
        yield
    except VectorsError as error:
        fail(str(error), DAMAGED)
    except (CandidateError, ValueError, ImportError, OSError) as error:
        fail(str(error))
    except MemoryError:
        fail("the memory ran out. What the candidate keeps from call to call counts too; give --memory more.")


def say(text: str) -> None:
    """Print a text at once, wrapped to the terminal; `Output` sees to it that this cannot fail."""
    sys.stdout.write(wrapped(text, width_of_screen()))
    sys.stdout.flush()


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Print what is wrong on the error stream, and exit with a code."""
    sys.stderr.write(f"svref: {message}\n")
    raise typer.Exit(code)


def name_and_value(word: str) -> tuple[str, float]:
    """Return the name and the number in "name=value"; end with exit code 2 if it is not written so."""
    name, _, text = word.partition("=")
    try:
        value = int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        value = math.nan
    if not name or not math.isfinite(value):
        fail(f"--with takes name=value with a decimal number, such as m=0.35; got {word!r}")
    return name, value


def refuse_empty(words: Sequence[str]) -> None:
    """End with exit code 2 if an option of the command line has an empty value, as from a variable that is not set.

    No option has a use for one: an empty path is the current folder, and an empty name would count as left out. The
    same holds for the arguments of `svref golden`; those of the other commands have messages of their own.
    """
    for before, word in zip(["", *words], words, strict=False):
        if ASSIGNED_NOTHING.fullmatch(word):
            fail(f"{word.rstrip('= ')} needs a value; got an empty one. Leave the option out, or give the value.")
        if not word.strip() and before.startswith("--"):
            fail(f"{before} needs a value; got {word!r}. Leave the option out, or give the value.")
        if not word.strip() and words[0] == "golden":
            fail(f"an argument of svref golden is empty; got {word!r}. Type . for the current folder.")
