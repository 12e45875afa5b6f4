"""A run in a child process, so that a candidate which ends the process does not end the command without a verdict.

Native code may call exit(0), abort, or write where it must not. No Python code runs after that. `run_in_child`
therefore forks: the child goes on and judges the candidate, the parent waits. The child leaves notes of where it is in
shared memory, and at the end its exit code. If it ends without that code, the parent says where, and how.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from svref.cli.descendants import adopts_orphans, die_with_parent
from svref.cli.output import Output
from svref.conformance.candidates import watch

FORKS = hasattr(os, "fork") and sys.platform != "darwin"  # libraries of macOS may crash in a process that was forked
CHANNEL = "SVREF_CHANNEL"  # the variable that names the shared file, where a new process is started in place of a fork
SIZE, TEXT_AT = 4096, 8  # bytes of the shared memory, and where its text begins
FORWARDED_AFTER = 0.2  # seconds until the child gets an interrupt that the terminal has not sent to it already
KILLED_AFTER = 3.0  # seconds until a child that does not react to a signal is killed
INTERRUPTED = 130


class Channel:
    """What the child tells the parent: where the run is, and at last the exit code."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def note(self, place: str) -> None:
        """Note where the run is."""
        text = place.encode(errors="replace")[: SIZE - TEXT_AT]
        self._memory[TEXT_AT:] = text.ljust(SIZE - TEXT_AT, b"\0")

    def finish(self, code: int) -> None:
        """Note that the run has come to its end, with this exit code."""
        self._memory[:2] = bytes([1, code % 256])

    @property
    def place(self) -> str:
        """Where the run is."""
        return self._memory[TEXT_AT:].rstrip(b"\0").decode(errors="replace")

    @property
    def code(self) -> int | None:
        """The exit code; None if the run has not come to its end."""
        finished, code = self._memory[:2]
        return code if finished else None


@dataclass(frozen=True)
class Ending:
    """How a child ended that gave no verdict.

    Parameters
    ----------
    place : str
        Where the run was, such as "in case sv-am-softmax-basic-63c71e68".
    status : int
        The exit code of the child; a signal that ended it, as a negative number.
    """

    place: str
    status: int

    @property
    def case(self) -> str:
        """The id of the case; "" if there was none."""
        return self.place.removeprefix("in case ") if self.place.startswith("in case ") else ""

    def __str__(self) -> str:
        return f"ended {self._how} {self.place or 'before the candidate was imported'}"

    @property
    def _how(self) -> str:
        if self.status >= 0:
            return f"with exit code {self.status}"
        names = {number.value: number.name for number in signal.Signals}
        return f"by signal {-self.status} ({names.get(-self.status, 'unknown')})"


class Child(Protocol):
    """A child process, as `subprocess.Popen` has it."""

    def wait(self) -> int:
        """Wait for its end; return its exit code, or the negative number of the signal that ended it."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal."""


_channel: Channel | None = None  # the child's end


def run_in_child(say_ended: Callable[[Ending], object]) -> int | None:
    """Return None in a child process, which is to do the work, and in the parent the exit code once it has ended.

    `say_ended` reports an ending without a verdict; the exit code is then 2. The child must call `leave` at the end. In
    a program that has put other streams in place of `Output`, as tests do, this process does the work without a child.
    """
    global _channel
    if CHANNEL in os.environ:
        _begin(Channel(_mapped(os.environ.pop(CHANNEL))))
        return None
    if not isinstance(sys.stdout, Output):
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    with _started() as (child, channel):
        if child is None:
            _begin(channel)
            return None
        return _wait(child, channel, say_ended)


def leave(code: int) -> None:
    """End the child with an exit code; nothing happens in a process that is no child.

    Functions that libraries have registered for the exit are called. The interpreter is not taken down beyond that:
    threads of a candidate that hangs would keep it from ending.
    """
    if _channel is None:
        return
    _channel.finish(code)
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


# ---- the child --------------------------------------------------------------------------------------------------


def _begin(channel: Channel) -> None:
    """Make this process the child."""
    global _channel
    _channel = channel
    watch.watched_by(channel.note)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _InterruptedOnce())


class _InterruptedOnce:
    """Raises a KeyboardInterrupt for the first interrupt alone; the terminal and the parent may both send one."""

    interrupted = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take an interrupt."""
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt


class _Forked:
    """A child that was forked."""

    def __init__(self, pid: int) -> None:
        self.pid, self.has_ended = pid, False

    def wait(self) -> int:
        """Wait for its end."""
        status = os.waitpid(self.pid, 0)[1]
        self.has_ended = True  # from now on its number may be that of another process
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, if it is still there."""
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):  # it may end between the two lines
                os.kill(self.pid, sig)


@contextmanager
def _started() -> Iterator[tuple[Child | None, Channel]]:
    """Start a child; yield it and its channel in the parent, and None in place of it in the child."""
    if FORKS:
        channel, parent = Channel(mmap.mmap(-1, SIZE)), os.getpid()
        pid = os.fork()
        if not pid:
            die_with_parent(parent)
        yield (_Forked(pid) if pid else None), channel
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder, "channel")
        file.write_bytes(bytes(SIZE))
        command = [sys.executable, "-P", "-c", "from svref.cli import main; main()", *sys.argv[1:]]
        yield subprocess.Popen(command, env={**os.environ, CHANNEL: str(file)}), Channel(_mapped(str(file)))  # noqa: S603


def _mapped(path: str) -> mmap.mmap:
    """Return the memory of a shared file."""
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), SIZE)


# ---- the parent -------------------------------------------------------------------------------------------------


def _wait(child: Child, channel: Channel, say_ended: Callable[[Ending], object]) -> int:
    """Wait for the child's end, and return the exit code of the command."""
    with adopts_orphans(), _signals_passed_on(child) as received:
        status = child.wait()
    deadly = [number for number in received if number != signal.SIGINT]
    if deadly:
        _die_by(deadly[0])
    if channel.code is not None:
        return channel.code
    if received:
        return INTERRUPTED
    say_ended(Ending(channel.place, status))
    return 2


@contextmanager
def _signals_passed_on(child: Child) -> Iterator[list[int]]:
    """Pass on signals that ask this process to end; yield the list of those that came. A deaf child is killed."""
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        if not received:
            _later(FORWARDED_AFTER if number == signal.SIGINT else 0.0, child, number)
            _later(KILLED_AFTER, child, getattr(signal, "SIGKILL", signal.SIGTERM))
        received.append(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] not in (signal.SIG_IGN, None)]
    for number in heard:
        signal.signal(number, pass_on)
    try:
        yield received
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _later(seconds: float, child: Child, number: int) -> None:
    """Send a signal to the child after a while."""
    timer = threading.Timer(seconds, child.send_signal, [number])
    timer.daemon = True
    timer.start()


def _die_by(number: int) -> NoReturn:
    """End this process by the signal that asked for it, as if it had not been caught."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    sys.exit(128 + number)
