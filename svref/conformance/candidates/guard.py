"""One call of a candidate, which may raise, hang or print a lot, and never ends the run."""

from __future__ import annotations

import contextvars
import ctypes
import sysconfig
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from svref.conformance.candidates.call import Adapter, Answer, Call, CandidateError, RefusedError, UnsupportedError
from svref.conformance.candidates.contained import Counter, first_line, quietly

PACKAGE = Path(__file__).parents[2]
LIBRARIES = (
    Path(sysconfig.get_path("stdlib")),
    Path(sysconfig.get_path("purelib")),
    Path(sysconfig.get_path("platlib")),
)
FRAMES = 3  # of a traceback: the last ones in the candidate's own files

Kind = Literal["raised", "hung", "unusable", "unsupported"]


class HungError(Exception):
    """There was no answer in time."""


@dataclass(frozen=True)
class Mishap:
    """Why a case has no answer.

    Parameters
    ----------
    case : str
        The case's id.
    kind : {"raised", "hung", "unusable", "unsupported"}
        An exception; no answer in time; an answer that holds no losses or gradients; a refusal.
    message : str
        What happened.
    trace : tuple of str
        "file:line in function" of the candidate's own frames, the last ones.
    """

    case: str
    kind: Kind
    message: str
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.case}: {self.message}" + "".join(f"\n    {frame}" for frame in self.trace)


@dataclass
class Guard:
    """Calls an adapter, and counts what it printed.

    Parameters
    ----------
    adapter : Adapter
        What is called.
    timeout : float or None
        Seconds until a call counts as hung. Its thread is told to stop, and left behind if it does not.
    printed : int
        Characters that were printed so far.
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
        except KeyboardInterrupt:  # the user's
            raise
        except BaseException as error:  # whatever it is, the other cases are asked
            return self._mishap(call, error)
        finally:
            self.printed += counter.characters

    def _mishap(self, call: Call, error: BaseException) -> Mishap:
        """Return what an exception says of the candidate."""
        told, name = first_line(error), type(error).__name__
        match error:
            case HungError():
                return Mishap(call.id, "hung", told)
            case UnsupportedError() | NotImplementedError():
                return Mishap(call.id, "unsupported", told or name)
            case RefusedError():
                return Mishap(call.id, "raised", told)
            case CandidateError():
                return Mishap(call.id, "unusable", told)
        said = f"raised {name}: {told} (called with arrays of {self._description})"
        return Mishap(call.id, "raised", said, frames_of(error))

    @property
    def _description(self) -> str:
        try:
            return self.adapter.description
        except CandidateError:
            return "its framework"


def within(timeout: float | None, adapter: Adapter, call: Call) -> Answer:
    """Return the answer to a call, or raise a HungError after so many seconds; None waits for it."""
    if timeout is None:
        return adapter.run(call)
    box: list[Any] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            box.append(context.run(adapter.run, call))
        except BaseException as error:
            box.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(timeout)
    if not box:
        _stop(worker)
        raise HungError(f"no answer within {timeout:g} s")
    if isinstance(box[0], BaseException):
        raise box[0]
    return box[0]


class _Stopped(SystemExit):
    """What a thread is stopped with: an exit, which is silent."""


def _stop(worker: threading.Thread) -> None:
    """Ask a thread to stop: one that runs Python does at its next step, one that is in C when it comes back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(_Stopped))


def frames_of(error: BaseException) -> tuple[str, ...]:
    """Return the last frames in the candidate's own code: neither svref's nor a library's, if there are."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if PACKAGE not in Path(f.filename).parents]
    own = [f for f in frames if not _of_library(f.filename)] or frames
    return tuple(f"{f.filename}:{f.lineno} in {f.name}: {f.line}" for f in own[-FRAMES:])


def _of_library(filename: str) -> bool:
    return filename.startswith("<frozen") or any(folder in Path(filename).parents for folder in LIBRARIES)
