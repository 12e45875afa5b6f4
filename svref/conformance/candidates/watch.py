"""Who is told what a candidate is asked: the process that supervises a command, so that it knows where a run ended.

A candidate may end the process that judges it, in native code for example. The command `svref check` therefore runs in
a child process. Before and after each call of the candidate, the child leaves a note of where it is.
"""

from __future__ import annotations

from collections.abc import Callable

_watchers: list[Callable[[str], object]] = []


def watched_by(watcher: Callable[[str], object]) -> None:
    """Have a function told, from now on, what the candidate is asked, such as "in case sv-am-softmax-basic-1"."""
    _watchers.append(watcher)


def tell(place: str) -> None:
    """Tell all watchers where the run is; nothing happens where nobody watches."""
    for watcher in _watchers:
        watcher(place)
