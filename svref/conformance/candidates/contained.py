"""What code that is not svref's may do to the process it runs in, kept in or undone."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np


class Counter(io.RawIOBase):
    """Where what is printed is forgotten but for its length."""

    characters = 0

    def writable(self) -> bool:
        """Return that one may write to it."""
        return True

    def write(self, data: Any) -> int:
        """Count the characters of some bytes."""
        self.characters += len(str(data, "utf-8", "replace"))
        return memoryview(data).nbytes


class ExitedError(SystemExit):
    """The code called os._exit, which would have ended svref as if all were right."""


@contextmanager
def quietly() -> Iterator[Counter]:
    """Keep what is printed from the screen, exits from the process, and the caller's filters and folder as they are."""
    counter = Counter()
    sink = io.TextIOWrapper(counter, "utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
    with (
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        contextlib.chdir(os.curdir),
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        _exits_raised(),
    ):
        warnings.simplefilter("ignore")
        yield counter


@contextmanager
def _exits_raised() -> Iterator[None]:
    """Make os._exit an exception in this process; those that it forks may leave by it."""
    real, process = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() != process:
            real(status)
        raise ExitedError(f"os._exit({status})")

    os._exit = leave
    try:
        yield
    finally:
        os._exit = real


def first_line(error: BaseException) -> str:
    """Return what an error says, but for a dump that follows."""
    try:
        text = str(error).strip()
    except Exception:
        return "(its message raises, too)"
    return (text.splitlines() or [""])[0][:300]
