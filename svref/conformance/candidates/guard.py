"""A call that cannot end the run, whatever the candidate does: raise, hang, exit, or print a lot.

The first part contains what foreign code does to the process it runs in: its prints, its exits, the settings that it
changes. The second part calls a candidate, with a time limit if there is one, and turns what went wrong into a
`Mishap`.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import io
import os
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from svref.conformance.candidates.call import Adapter, Answer, Call, CandidateError, RefusedError, UnsupportedError

PACKAGE = Path(__file__).parents[2]
LIBRARIES = (
    Path(sysconfig.get_path("stdlib")),
    Path(sysconfig.get_path("purelib")),
    Path(sysconfig.get_path("platlib")),
)
MOST_FRAMES = 3  # the last lines of the candidate's own code that a mishap shows
LONGEST_MESSAGE = 300  # characters of a candidate's error message; some frameworks print whole graphs

Kind = Literal["raised", "hung", "unusable", "unsupported"]


# ---- what foreign code does to the process ----------------------------------------------------------------------


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
def quietly() -> Iterator[Counter]:
    """Keep prints from the screen and exits from the process; restore the warning filters and the current folder.

    Yields the stream that counts what is printed.
    """
    counter = Counter()
    sink = io.TextIOWrapper(counter, "utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
    with (
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        contextlib.chdir(os.curdir),
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        _exits_raise(),
    ):
        warnings.simplefilter("ignore")
        yield counter


@contextmanager
def _exits_raise() -> Iterator[None]:
    """Make os._exit raise an ExitedError in this process. Processes that the code forks may leave by it."""
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


# ---- one guarded call -------------------------------------------------------------------------------------------


class HungError(Exception):
    """The candidate gave no answer within the time limit."""


@dataclass(frozen=True)
class Mishap:
    """Why a case has no answer.

    Parameters
    ----------
    case : str
        The case's id.
    kind : {"raised", "hung", "unusable", "unsupported"}
        The candidate raised an exception; gave no answer in time; returned no losses and gradients; or said that it
        cannot compute this case.
    message : str
        What happened.
    trace : tuple of str
        "file:line in function" of the last lines of the candidate's own code.
    """

    case: str
    kind: Kind
    message: str
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.case}: {self.message}" + "".join(f"\n    {frame}" for frame in self.trace)


@dataclass
class Guard:
    """Calls a candidate so that nothing it does ends the run.

    Parameters
    ----------
    adapter : Adapter
        Calls the candidate.
    timeout : float or None
        Seconds until a call counts as hung. Its thread is asked to stop, and is abandoned if it does not.
    printed : int
        The number of characters that the candidate has printed so far.
    """

    adapter: Adapter
    timeout: float | None = None
    printed: int = field(default=0, init=False)

    def __call__(self, call: Call) -> Answer | Mishap:
        """Return the answer to a call, or why there is none."""
        counter = Counter()
        try:
            with quietly() as counter:
                return within(self.timeout, self.adapter, call)
        except KeyboardInterrupt:  # this one is the user's, who wants to stop the whole run
            raise
        except BaseException as error:  # anything else is the candidate's, and the next case must be asked
            return self._mishap(call, error)
        finally:
            self.printed += counter.characters

    def _mishap(self, call: Call, error: BaseException) -> Mishap:
        """Return the mishap that an exception stands for."""
        message, name = first_line(error), type(error).__name__
        match error:
            case HungError():
                return Mishap(call.id, "hung", message)
            case UnsupportedError() | NotImplementedError():
                return Mishap(call.id, "unsupported", message or name)
            case RefusedError():
                return Mishap(call.id, "raised", message)
            case CandidateError():
                return Mishap(call.id, "unusable", message)
        raised = f"raised {name}: {message} (called with arrays of {self._framework})"
        return Mishap(call.id, "raised", raised, frames_of(error))

    @property
    def _framework(self) -> str:
        """The framework of the adapter, for a message; it may be missing, which must not raise again here."""
        try:
            return self.adapter.description
        except CandidateError:
            return "its framework"


def within(timeout: float | None, adapter: Adapter, call: Call) -> Answer:
    """Return the answer to a call, or raise a HungError after `timeout` seconds; None waits for ever."""
    if timeout is None:
        return adapter.run(call)
    results: list[Any] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            results.append(context.run(adapter.run, call))
        except BaseException as error:
            results.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(timeout)
    if not results:
        _stop(worker)
        raise HungError(f"no answer within {timeout:g} s")
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


class _Stopped(SystemExit):
    """Stops a thread; Python prints no traceback for a SystemExit in a thread."""


def _stop(worker: threading.Thread) -> None:
    """Ask a thread to stop. Python code stops at its next step, C code when it returns to Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(_Stopped))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; frameworks print dumps below it."""
    try:
        text = str(error).strip()
    except Exception:
        return "(its message raises, too)"
    return (text.splitlines() or [""])[0][:LONGEST_MESSAGE]


def frames_of(error: BaseException) -> tuple[str, ...]:
    """Return the last lines of the candidate's own code in a traceback; of a library, if there are no others."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if PACKAGE not in Path(f.filename).parents]
    own = [f for f in frames if not _is_library(f.filename)] or frames
    return tuple(f"{f.filename}:{f.lineno} in {f.name}: {f.line}" for f in own[-MOST_FRAMES:])


def _is_library(filename: str) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    return filename.startswith("<frozen") or any(folder in Path(filename).parents for folder in LIBRARIES)
