"""What the commands share: a bar on a terminal, text that survives a closed pipe, one way to fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, track

USAGE, DAMAGED = 2, 3
Item = TypeVar("Item")


def progress(items: Sequence[Item]) -> Iterator[Item]:
    """Show a bar on a terminal, nothing in a pipe."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, "judging", console=console, transient=True)
    else:
        yield from items


@contextmanager
def bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what takes the number done and the total, and shows them on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with Progress(console=console, transient=True) as shown:
        task = shown.add_task(text)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def errors() -> Iterator[None]:
    """Turn damaged vectors into exit code 3, and what cannot be done into 2."""
    from svref.conformance.candidates.call import CandidateError
    from svref.golden import VectorsError

    try:
        yield
    except VectorsError as error:
        fail(str(error), DAMAGED)
    except (CandidateError, ValueError, ImportError, OSError) as error:
        fail(str(error))


def say(text: str) -> None:
    """Print; a reader that has left (`| head`) changes nothing about the verdict."""
    try:
        typer.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Say what is wrong on the error stream, and exit."""
    typer.echo(f"svref: {message}", err=True)
    raise typer.Exit(code)
