"""What foreign code does to the process it runs in, and how it is kept from it: its prints, its exits, what it changes.

`untouched` is for a whole run, `quietly` for one piece of foreign code in it: an import, or a call.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from svref.conformance.candidates import names, watch
from svref.conformance.candidates.call import CandidateError
from svref.conformance.candidates.known_settings import OF_CALLS, OF_RUNS
from svref.conformance.candidates.settings import kept, kept_with_imports

LEFT_BY_FORK = 70  # the exit code of a process that a candidate forked and let run on into svref


class Counter(io.RawIOBase):
    """A stream that forgets what is printed to it and counts the characters."""

    characters = 0

    def writable(self) -> bool:
        """Return True: the stream takes text."""
        return True

    def write(self, data: Any) -> int:
        """Add the characters of some UTF-8 bytes to the count."""
        self.characters += len(str(data, "utf-8", "replace"))
        return memoryview(data).nbytes


class ExitedError(SystemExit):
    """The code called os._exit. Without this error it would have ended svref with the code's own exit status."""


@contextmanager
def untouched() -> Iterator[None]:
    """Leave the process as it was before a run, whatever the candidate did to its settings and to libraries.

    Raises
    ------
    CandidateError
        If the code of a function that svref computes with was changed in place; what was judged then means nothing.
    """
    with kept_with_imports(OF_RUNS), warnings.catch_warnings():
        try:
            with names.watched() as found:
                yield
        except Exception:  # it may come from the changed function
            _refuse(found.late)
            raise
        _refuse(found.late)


def _refuse(changed: list[str]) -> None:
    """Raise a CandidateError if names were changed that only the end of a run showed."""
    if changed:
        raise CandidateError(f"the candidate changes {', '.join(changed)}, which svref judges it with.")


@contextmanager
def quietly(place: str) -> Iterator[Counter]:
    """Keep prints from the screen and exits from the process; set back what svref computes with.

    `place` says where the run is, such as "in case sv-am-softmax-basic-1", to whoever watches it. Yields the stream
    that counts what is printed.
    """
    counter = Counter()
    sink = io.TextIOWrapper(counter, "utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
    watch.tell(place)
    with (
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        kept(OF_CALLS),
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        _exits_raise(),
        _names_set_back(),
    ):
        warnings.simplefilter("ignore")
        yield counter
    watch.tell(f"after {place.removeprefix('in ')}")


@contextmanager
def _names_set_back() -> Iterator[None]:
    """Set back the names that svref computes with at the end."""
    try:
        yield
    finally:
        names.set_back()


@contextmanager
def _exits_raise() -> Iterator[None]:
    """Make os._exit raise an ExitedError in this process. Processes that the code forks may leave by it.

    One that the code forks and does not end comes back here. It must not judge the candidate a second time.
    """
    system, process = sys.modules[os.name], os.getpid()  # the module posix or nt, from which os has the function
    real = os._exit

    def leave(status: int) -> NoReturn:
        if os.getpid() != process:
            real(status)
        raise ExitedError(f"os._exit({status})")

    os._exit = system._exit = leave  # type: ignore[attr-defined]
    try:
        yield
    finally:
        os._exit = system._exit = real  # type: ignore[attr-defined]
        if os.getpid() != process:
            real(LEFT_BY_FORK)
