"""What the commands share: paths, a progress bar, printing into a pipe that may be closed, and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from rich import progress
from rich.console import Console

from svref.checks import Progress

USAGE, DAMAGED = 2, 3  # exit codes: wrong options, or a candidate that cannot be judged; damaged vectors


def a_path(text: str) -> Path:
    """Return the path that a user typed; exit with 2 if it is empty, since Path("") would be the current folder."""
    if not text:
        fail("a path must have a name; got ''. Type . for the current folder.")
    return Path(text)


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


def say(text: str) -> None:
    """Print a text. If the reader has left, as in `svref check ... | head`, the exit code stays that of the verdict."""
    # A path or an id may hold bytes that are no text; they are printed as escapes.
    text = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding or "utf-8")
    try:
        typer.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Print what is wrong on the error stream, and exit with a code."""
    typer.echo(f"svref: {message}", err=True)
    raise typer.Exit(code)
