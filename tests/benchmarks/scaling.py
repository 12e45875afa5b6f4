"""How time grows with B, C, D and threads: all points of a sweep take turns, and a curve is fitted to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from benchmarks import contestants
from benchmarks.cases import Case
from benchmarks.contestants import FLOORS
from benchmarks.measure import Effort, interleaved, statistics
from svref.engine import threads


class Sweep(NamedTuple):
    """The values that one of B, C, D or the number of threads takes, and the case around it."""

    case: Case
    vary: str
    values: tuple[int, ...]

    @property
    def names(self) -> tuple[str, str]:
        """Who is measured."""
        return "svref", FLOORS[self.case.level]


def sweeps(quick: bool) -> list[Sweep]:
    """Return what is swept: three decades of C, and one of B and of D at 10,000 classes."""
    scale = 100 if quick else 1
    classes = tuple(n // scale for n in (1_000, 3_162, 10_000, 31_623, 100_000, 316_228, 1_000_000))
    batch = Case("cosine", 128 // (16 if quick else 1), 10_000 // scale)
    head = Case("head", batch.B, batch.C)
    large = (Case("cosine", batch.B, 500), head) if quick else (Case("cosine", 256, 93_431), Case("head", 256, 93_431))
    samples = (32, 64, 128, 256, 512, 1024) if not quick else (2, 4, 8)
    return [
        *(Sweep(case, "C", classes) for case in (batch, head)),
        *(Sweep(case, "B", samples) for case in (batch, head)),
        Sweep(head, "D", (64, 128, 256, 512, 1024) if not quick else (4, 8, 16)),
        *(Sweep(case, "threads", thread_counts()) for case in large if may_limit(case)),
    ]


def thread_counts() -> tuple[int, ...]:
    """Return the powers of two up to the number of threads that svref uses here, and that number."""
    most = threads.available()
    return tuple(sorted({2**i for i in range(most.bit_length())} | {most}))


def may_limit(case: Case) -> bool:
    """Return whether the threads can be limited in this process: those of BLAS need threadpoolctl."""
    return case.level == "cosine" or find_spec("threadpoolctl") is not None


def measure(sweep: Sweep, effort: Effort) -> dict[str, Any]:
    """Return the times of a sweep and the curve through those of svref."""
    runs = {(name, value): call for value in sweep.values for name, call in calls(sweep, value)}
    times = {key: statistics(values)["median_s"] for key, values in interleaved(runs, effort).items()}
    found = {name: [times[name, value] for value in sweep.values] for name in sweep.names}
    facts = {k: v for k, v in sweep.case.facts().items() if k not in (sweep.vary, "size")}
    result = {**facts, "vary": sweep.vary, "values": list(sweep.values), "median_s": found}
    return result | {"fit": fit(sweep.vary, sweep.values, found["svref"])}


def calls(sweep: Sweep, value: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the contestants at one value, each called once."""
    case = sweep.case if sweep.vary == "threads" else Case(**{**vars(sweep.case), sweep.vary: value})
    problem = case.problem()
    for name in sweep.names:
        run = contestants.enter(name, problem).run
        run = on_threads(value, run) if sweep.vary == "threads" else run
        run()
        yield name, run


def on_threads(count: int, run: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call, limited to so many threads."""

    def limited() -> None:
        with thread_limit(count):
            run()

    return limited


@contextmanager
def thread_limit(count: int) -> Iterator[None]:
    """Let svref, and BLAS where threadpoolctl is installed, use at most `count` threads."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        with blas_limit(count):
            yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def blas_limit(count: int) -> Iterator[None]:
    """Limit BLAS where threadpoolctl is installed."""
    controller = _controller()
    with nullcontext() if controller is None else controller.limit(limits=count, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    """Return threadpoolctl's view of the libraries, which takes milliseconds to find; None without it."""
    if find_spec("threadpoolctl") is None:
        return None
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def fit(vary: str, values: tuple[int, ...], times: list[float]) -> dict[str, float] | None:
    """Return the exponent of C, or a and b of a + b n with the largest relative residual; None for threads.

    The line is the one of least relative squares, so that small sizes count as much as large ones.
    """
    n, t = np.array(values, float), np.array(times)
    if vary == "threads":
        return None
    if vary == "C":
        return {"exponent": float(np.polyfit(np.log(n), np.log(t), 1)[0])}
    slope, offset = np.polyfit(n, t, 1, w=1 / t)
    return {"a": float(offset), "b": float(slope), "residual": float(np.max(np.abs((offset + slope * n) / t - 1)))}
