"""The thread pool: in order, complete, interruptible, within the user's limits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl

from svref.engine import threads


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_are_taken_in_order_whoever_computes_them(workers: int) -> None:
    taken: list[int] = []

    def task(i: int) -> int:
        time.sleep(0.002 * ((i * 7) % 3))
        return i

    threads.run(task, 20, taken.append, workers)
    assert taken == list(range(20))


def test_the_first_error_stops_the_rest_and_is_raised() -> None:
    started: list[int] = []

    def task(i: int) -> None:
        started.append(i)
        time.sleep(0.001)
        if i == 3:
            raise ValueError("the fourth")

    with pytest.raises(ValueError, match="the fourth"):
        threads.run(task, 1000, most=2)
    assert len(started) < 20


def test_an_interrupt_leaves_no_task_running() -> None:
    running = []

    def task(i: int) -> None:
        running.append(i)
        if threading.current_thread() is threading.main_thread() and i > 3:
            raise KeyboardInterrupt
        time.sleep(0.002)
        running.remove(i)

    with pytest.raises(KeyboardInterrupt):
        threads.run(task, 1000, most=2)
    assert len(running) == 1, "only the interrupted one"


def test_a_run_inside_a_run_ends() -> None:
    total: list[int] = []

    def outer(i: int) -> int:
        inner: list[int] = []
        threads.run(lambda j: i * j, 4, inner.append, 3)
        return sum(inner)

    threads.run(outer, 6, total.append, 3)
    assert total == [6 * i for i in range(6)]


def test_threads_keep_to_the_limits_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_processors", lambda: 8)
    monkeypatch.setattr(threads, "_blas", list)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads.available() == 8
    for text, expected in (("3", 3), ("4,2", 4), ("0", 8), ("many", 8), ("", 8), ("64", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert threads.available() == expected
    monkeypatch.undo()
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert threads.available() == 1


def blas_threads() -> set[int]:
    """Return the limits of NumPy's BLAS; others, such as that of SciPy, may come and go."""
    libraries = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return {library["num_threads"] for library in libraries if "numpy" in library["filepath"]}


def test_the_limit_of_blas_is_taken_back_by_the_one_who_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # a Dask cluster in this process sets it
    before = blas_threads()
    with threads.one_blas_thread_each() as outer:
        with threads.one_blas_thread_each() as inner:
            assert (inner, outer) == (1, max(before))
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_without_threadpoolctl_blas_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_controller", lambda: None)
    before = blas_threads()
    with threads.one_blas_thread_each() as callers:
        assert blas_threads() == before
    assert callers == 1
    assert threads._blas() == []


def test_blas_gets_its_threads_back_whoever_leaves_last() -> None:
    before, first_in, may_leave = blas_threads(), threading.Event(), threading.Event()

    def other() -> None:
        with threads.one_blas_thread_each():
            first_in.set()
            may_leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    first_in.wait(10)
    with threads.one_blas_thread_each() as callers:
        assert callers == 1
        may_leave.set()
        thread.join()
    assert blas_threads() == before


def test_work_goes_on_where_no_thread_can_be_started() -> None:
    script = (
        "import atexit; from svref.engine import threads\n"
        "atexit.register(lambda: threads.run(lambda i: i, 8, print, 3))\n"
        "threads.run(lambda i: i, 2, most=2)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == [str(i) for i in range(8)]
    assert result.stderr == ""


def test_scratch_memory_is_used_again_within_a_run_and_never_outside() -> None:
    assert not np.shares_memory(threads.scratch("a", (4,), np.float64), threads.scratch("a", (4,), np.float64))
    first = {}

    def task(i: int) -> None:
        array = threads.scratch("a", (3, 4), np.float32)
        assert array.shape == (3, 4)
        assert np.shares_memory(array, first.setdefault(threading.get_ident(), array))
        assert not np.shares_memory(array, threads.scratch("b", (3, 4), np.float32))

    threads.run(task, 20, most=2)


def test_little_scratch_memory_is_kept_from_run_to_run_and_much_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_processors", lambda: 2)
    monkeypatch.setattr(threads, "KEPT_BYTES", 2000)
    monkeypatch.setattr(threads._thread, "buffers", {})
    threads.run(lambda i: threads.scratch("little", (1000,), np.uint8), 1)
    assert list(threads._thread.buffers) == ["little"]
    threads.run(lambda i: threads.scratch("much", (1,), np.uint8), 1)
    assert threads._thread.buffers == {}


@pytest.mark.parametrize(("shape", "itemsize"), [((1, 1), 8), ((3, 10), 4), ((5, 2**22), 8), ((2**20, 3), 4)])
def test_cuts_cover_everything_once_and_fit(shape: tuple[int, int], itemsize: int) -> None:
    (bands, _), slices = threads.bands(shape, itemsize), threads.slices(shape[1], itemsize)
    for parts, length in ((bands, shape[0]), (slices, shape[1])):
        assert [i for part in parts for i in (part.start, part.stop)][1:-1:2] == [p.start for p in parts[1:]]
        assert (parts[0].start, parts[-1].stop) == (0, length)
    largest = max((b.stop - b.start) * (s.stop - s.start) for b in bands for s in slices)
    assert largest * itemsize <= threads.BLOCK_BYTES


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on this platform")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    script = (
        "import os, sys; from svref.engine import threads; out = []\n"
        "threads.run(lambda i: i, 8, out.append, 3)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    threads.run(lambda i: i, 8, out.append, 3)\n"
        "    os._exit(len(out))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=60, check=False)
    assert result.returncode == 16
