"""Work spread over threads: as many as the user's limits allow, on one pool, with results taken in order.

NumPy and BLAS release the interpreter's lock while they compute, so threads work on shared arrays without copies.
What a task computes never depends on the number of threads; they only decide which thread computes it.
"""

from __future__ import annotations

import contextvars
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")

HUGE = 2**22  # bytes from which NumPy asks for huge pages; their first use costs a fraction of that of small pages
KEPT_BYTES = 2**26  # scratch memory that all threads together keep from one run to the next
BLOCK_BYTES = 2**21  # of a block, where several threads work: each may wait for the interpreter's lock at every call
ALONE_BYTES = 2**19  # of a block, where one thread works: it waits for nobody, and the block stays in a nearer cache
SMALL_BYTES = 2**20  # of an array that one thread has done before a second one wakes up

_limiting = threading.Lock()


def bands(shape: tuple[int, ...], itemsize: int) -> tuple[list[slice], int]:
    """Return bands of rows that fit a cache, and how many threads shall work on them: one on a small array.

    No row's bits depend on its band.
    """
    rows, columns = shape
    total = rows * columns * itemsize
    workers = available() if total > SMALL_BYTES else 1
    block = ALONE_BYTES if workers == 1 else min(BLOCK_BYTES, max(ALONE_BYTES, total // workers))
    return even(rows, max(1, block // (itemsize * columns))), workers


def slices(columns: int, itemsize: int) -> list[slice]:
    """Return slices of columns that fit a cache; they decide the last bits, and depend on their number alone."""
    return even(columns, max(1, BLOCK_BYTES // itemsize))


def even(length: int, largest: int) -> list[slice]:
    """Return the fewest slices of range(length) that are no longer than `largest`, of about equal lengths."""
    count = -(-length // largest)
    edges = [length * i // max(1, count) for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def available() -> int:
    """Return how many threads to use: the processors this process may run on, within the user's limits.

    OMP_NUM_THREADS counts, and where threadpoolctl is installed the limit of BLAS, however it was set: by
    OPENBLAS_NUM_THREADS and its kin, or by ``threadpoolctl.threadpool_limits``.
    """
    limits = [_processors(), _from_environment("OMP_NUM_THREADS"), *(blas.num_threads for blas in _blas())]
    return max(1, min(limit for limit in limits if limit))


def run(
    task: Callable[[int], Result],
    count: int,
    consume: Callable[[Result], Any] = lambda result: None,
    most: int | None = None,
) -> None:
    """Run ``task(i)`` for i in range(count) on all threads, and ``consume`` the results one at a time, in order of i.

    `most` is the largest number of threads to use; None is `available()`.

    The caller's thread works too, so a single task, or a single thread, never waits for a pool. The first error
    stops the remaining tasks and is raised here, and so is an interrupt; no task is running any more by then.
    """
    if count == 1:
        with _working():
            consume(task(0))
        return
    job = _Job(task, count, consume)
    others = min(available() if most is None else most, count) - 1
    helpers: list[Future[None]] = []
    try:
        with suppress(RuntimeError):  # at the interpreter's end no thread starts any more
            helpers.extend(_executor().submit(contextvars.copy_context().run, job.work) for _ in range(others))
        job.work()
    finally:
        job.stopped = True
        for helper in helpers:
            if not helper.cancel():
                helper.exception()
    if job.error is not None:
        raise job.error


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of unset memory, which this thread gets again when it next asks for `name`.

    Fresh memory costs more than a pass over it, so memory that every block needs is kept while `run` works, and a
    little of it from one run to the next. Outside `run` the array is a new one.
    """
    if not _thread.depth:
        return np.empty(shape, dtype)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if name not in _thread.buffers or len(_thread.buffers[name]) < size:
        _thread.buffers[name] = np.empty(max(size, HUGE) if size >= HUGE // 8 else size, np.uint8)
    return _thread.buffers[name][:size].view(dtype).reshape(shape)


class _Thread(threading.local):
    """What each thread has of its own: its scratch memory, and how many nested runs it is in."""

    def __init__(self) -> None:
        self.depth = 0
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_thread = _Thread()


@contextmanager
def _working() -> Iterator[None]:
    """Give this thread scratch memory; free it after the outermost run if it is more than may be kept."""
    _thread.depth += 1
    try:
        yield
    finally:
        _thread.depth -= 1
        if _thread.depth == 0 and sum(map(len, _thread.buffers.values())) > KEPT_BYTES // _processors():
            _thread.buffers = {}


@contextmanager
def one_blas_thread_each() -> Iterator[int]:
    """Limit BLAS to one thread per call, and yield how many calls may run side by side.

    Yields 1 if BLAS cannot be limited, because threadpoolctl is not installed or BLAS ignores it; BLAS then uses its
    own threads. Yields 1 as well while another thread is inside: the limit holds for the whole process, and the
    thread that set it must be the one to take it back.
    """
    controller, count = _controller(), available()
    if controller is None or not _limiting.acquire(blocking=False):
        yield 1
        return
    try:
        with controller.limit(limits=1, user_api="blas"):
            yield count if {blas.num_threads for blas in _blas()} == {1} else 1
    finally:
        _limiting.release()


class _Job:
    """The tasks of one `run`: a lock guards which is next, and the order in which results are consumed."""

    def __init__(self, task: Callable[[int], Any], count: int, consume: Callable[[Any], Any]) -> None:
        self.task, self.consume = task, consume
        self.pending: Iterator[int] = iter(range(count))
        self.ready: dict[int, Any] = {}
        self.next = 0
        self.lock = threading.Lock()
        self.stopped = False
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            with _working():
                self._work()
        except BaseException as error:
            self.stopped = True
            if threading.current_thread() is threading.main_thread():
                raise
            self.error = self.error or error

    def _work(self) -> None:
        while (i := self._hand_out()) is not None:
            self._take_in(i, self.task(i))

    def _hand_out(self) -> int | None:
        with self.lock:
            return None if self.stopped else next(self.pending, None)

    def _take_in(self, i: int, result: Any) -> None:
        with self.lock:
            self.ready[i] = result
            while self.next in self.ready:
                self.consume(self.ready.pop(self.next))
                self.next += 1


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, _processors() - 1), thread_name_prefix="svref")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _from_environment(name: str) -> int | None:
    """Return the first of a list such as "4,2"; None if there is no positive integer."""
    first = os.environ.get(name, "").split(",")[0].strip()
    return int(first) if first.isdigit() else None


@cache
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def _blas() -> list[Any]:
    controller = _controller()
    return [] if controller is None else controller.select(user_api="blas").lib_controllers


def _after_fork() -> None:
    """Forget the pool and the lock in a forked child: the threads are not there, and the lock may never be released."""
    global _limiting
    _executor.cache_clear()
    _limiting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
