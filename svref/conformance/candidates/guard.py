"""A call that cannot end the run, whatever the candidate does: raise, hang, exit, or print a lot.

A candidate is called with a time limit if there is one, and what went wrong becomes a `Mishap`.
"""

from __future__ import annotations

import contextvars
import ctypes
import sysconfig
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from svref.conformance.candidates import names
from svref.conformance.candidates.call import (
    Adapter,
    Answer,
    Call,
    CandidateError,
    RefusedError,
    UnfinishedError,
    UnsupportedError,
    check_dtypes,
    check_outputs,
    outputs_of,
)
from svref.conformance.candidates.process import Counter, quietly
from svref.judging.judge import Outputs

PACKAGE = Path(__file__).parents[2]
LIBRARIES = (
    Path(sysconfig.get_path("stdlib")),
    Path(sysconfig.get_path("purelib")),
    Path(sysconfig.get_path("platlib")),
)
MOST_FRAMES = 3  # the last lines of the candidate's own code that a mishap shows
LONGEST_MESSAGE = 500  # characters of a candidate's error message; some frameworks print whole graphs

MOST_NAMES = 3  # changed names that a mishap lists

T = TypeVar("T")

Kind = Literal["raised", "hung", "unusable", "unsupported", "patched", "ended"]


class HungError(Exception):
    """The candidate gave no answer within the time limit."""


@dataclass(frozen=True)
class Mishap:
    """Why a case has no answer.

    Parameters
    ----------
    case : str
        The case's id.
    kind : {"raised", "hung", "unusable", "unsupported", "patched", "ended"}
        The candidate raised an exception; gave no answer in time; returned no losses and gradients; said that it
        cannot compute this case; changed functions of svref, which judge it; or ended the process.
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


@dataclass(frozen=True)
class Unfinished(Mishap):
    """A case in which the candidate has left stages of the loss blank.

    Parameters
    ----------
    blank : tuple of str
        What it has left blank.
    stages : mapping of str to array
        The stages that it has; also its losses, if they are there.
    """

    blank: tuple[str, ...] = ()
    stages: Outputs = field(default_factory=dict, repr=False, compare=False)


@dataclass
class Guard:
    """Calls a candidate so that nothing it does ends the run.

    Parameters
    ----------
    adapter : Adapter
        Calls the candidate.
    timeout : float or None
        Seconds until a call counts as hung. Its thread is asked to stop, and is abandoned if it does not.
    taken : str
        What the candidate's arguments were taken for; "" if they have the usual names.
    printed : int
        The number of characters that the candidate has printed so far.
    """

    adapter: Adapter
    timeout: float | None = None
    taken: str = ""
    printed: int = field(default=0, init=False)

    def __call__(self, call: Call) -> Answer | Mishap:
        """Return the answer to a call, or why there is none."""
        counter = Counter()
        try:
            with quietly(f"in case {call.id}" if call.id else "in a question of svref") as counter:
                result: Answer | Mishap = within(self.timeout, self.adapter, call)
        except KeyboardInterrupt:  # this one is the user's, who wants to stop the whole run
            raise
        except BaseException as error:  # anything else is the candidate's, and the next case must be asked
            result = self._mishap(call, error)
        self.printed += counter.characters
        return _with_changes(result, call)

    def _mishap(self, call: Call, error: BaseException) -> Mishap:
        """Return the mishap that an exception stands for."""
        message, name = first_line(error), type(error).__name__
        match error:
            case HungError():
                return Mishap(call.id, "hung", message)
            case UnfinishedError():
                return Unfinished(call.id, "unsupported", message, (), error.blank, error.stages)
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


def _with_changes(result: Answer | Mishap, call: Call) -> Answer | Mishap:
    """Return an answer with remarks on the names that the candidate has changed in this run, so far.

    If they are names of svref, no answer of this run can be trusted, and a mishap is returned.
    """
    changed = names.changed()
    own = names.of_svref(changed)
    if own:
        more = f" and {len(own) - MOST_NAMES} more" if len(own) > MOST_NAMES else ""
        return Mishap(call.id, "patched", f"changes {', '.join(own[:MOST_NAMES])}{more}, which judges it")
    if not changed or isinstance(result, Mishap):
        return result
    return replace(result, remarks=(*result.remarks, *(f"changes {name}, which was set back" for name in changed)))


def usable_answer(guard: Guard, call: Call) -> Answer:
    """Return an answer that holds numbers of the right shapes and dtypes; raise a CandidateError if there is none."""
    found = guard(call)
    if isinstance(found, Mishap):
        raise CandidateError(found.message)
    outputs = outputs_of(found, call)
    check_outputs(outputs, call, None if found.losses.ndim else 1.0)
    check_dtypes(outputs, call)
    return found


def within(timeout: float | None, adapter: Adapter, call: Call) -> Answer:
    """Return the answer to a call, or raise a HungError after `timeout` seconds; None waits for ever."""
    return in_time(timeout, lambda: adapter.run(call), "no answer")


def in_time(timeout: float | None, work: Callable[[], T], lacking: str) -> T:
    """Return what `work` returns, or raise a HungError after `timeout` seconds, which says what is lacking then."""
    if timeout is None:
        return work()
    results, errors = list[T](), list[BaseException]()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append(context.run(work))
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(timeout)
    if errors:
        raise errors[0]
    if not results:
        _stop(worker)
        raise HungError(f"{lacking} within {timeout:g} s")
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
