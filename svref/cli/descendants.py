"""Processes that a candidate starts end with the run, on Linux.

A process whose parent ends is given to the first process of the system, and lives on. `adopts_orphans` makes this
process take them instead, and ends them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # from <sys/prctl.h>
MOST_ROUNDS = 100  # each round ends the processes whose parents the round before has ended


def _prctl(option: int, value: int) -> None:
    """Call prctl, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have the system kill this process if its parent ends, also where the parent is killed itself."""
    _prctl(PR_SET_PDEATHSIG, int(getattr(signal, "SIGKILL", signal.SIGTERM)))
    if os.getppid() != parent:  # it has ended before the call
        os._exit(1)


@contextmanager
def adopts_orphans() -> Iterator[None]:
    """Take the processes that a child leaves behind, and end them. Children from before, and the child, are spared.

    The child must have been waited for at the end.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = set(_children())
    try:
        yield
    finally:
        for _ in range(MOST_ROUNDS):
            orphans = [pid for pid in _children() if pid not in before]
            if not orphans:
                break
            _end(orphans)
        _prctl(PR_SET_CHILD_SUBREAPER, 0)


def _children() -> list[int]:
    """Return the children of this process, as far as the system says."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _end(pids: list[int]) -> None:
    """Kill processes, and wait for their end."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, 0)
