"""One call of a candidate, which may raise, hang or print a lot, and never ends the run."""

from __future__ import annotations

import contextvars
import ctypes
import io
import threading
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from svref.conformance.candidate import Adapter, Answer, Call, CandidateError, UnsupportedError

PACKAGE = str(Path(__file__).parent.parent)
FRAMES = 3  # of a traceback: the last ones in the candidate's own files

Kind = Literal["raised", "hung", "unusable", "unsupported"]


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
        sink = _Counted()
        try:
            with redirect_stdout(sink), redirect_stderr(sink), np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # like the error state, the caller's filter is not the candidate's
                return self._timed(call)
        except TimeoutError as error:
            return Mishap(call.id, "hung", str(error))
        except (UnsupportedError, NotImplementedError) as error:
            return Mishap(call.id, "unsupported", str(error) or type(error).__name__)
        except CandidateError as error:
            return Mishap(call.id, "unusable", str(error))
        except (Exception, SystemExit) as error:
            said = f"raised {type(error).__name__}: {_first_line(error)} (called with arrays of {self._description})"
            return Mishap(call.id, "raised", said, _trace(error))
        finally:
            self.printed += sink.count

    @property
    def _description(self) -> str:
        try:
            return self.adapter.description
        except CandidateError:
            return "its framework"

    def _timed(self, call: Call) -> Answer:
        if self.timeout is None:
            return self.adapter.run(call)
        box: list[Any] = []
        context = contextvars.copy_context()

        def work() -> None:
            try:
                box.append(context.run(self.adapter.run, call))
            except BaseException as error:
                box.append(error)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(self.timeout)
        if not box:
            _stop(worker)
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]


class _Counted(io.TextIOBase):
    """What is printed, forgotten but for its length."""

    count = 0

    def write(self, text: str) -> int:
        """Count the characters."""
        self.count += len(text)
        return len(text)


class _Stopped(SystemExit):
    """What a thread is stopped with: an exit, which is silent."""


def _stop(worker: threading.Thread) -> None:
    """Ask a thread to stop: one that runs Python does at its next step, one that is in C when it comes back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(_Stopped))


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return (text.splitlines() or [""])[0][:300]


def _trace(error: BaseException) -> tuple[str, ...]:
    """Return the last frames in the candidate's own code: neither svref's nor an installed library's, if there are."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(PACKAGE)]
    own = [f for f in frames if "site-packages" not in f.filename] or frames
    return tuple(f"{f.filename}:{f.lineno} in {f.name}: {f.line}" for f in own[-FRAMES:])
