"""Times: contestants that agree with svref take turns, in a new order each round, until each has had its time."""

from __future__ import annotations

import gc
import math
import re
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from benchmarks import contestants
from benchmarks.cases import Case, Problem, support_share
from benchmarks.contestants import FLOORS, OURS, PEERS, Outcome

Key = TypeVar("Key", bound=Hashable)

TOLERANCE = {"float32": 1e-3, "float64": 1e-8}  # of a loss, and of the norm of a gradient


class Effort(NamedTuple):
    """How much time a contestant gets for one row, and how few and how many calls that may be."""

    seconds: float
    least: int = 3
    most: int = 200
    turn: float = 0.02  # calls shorter than this are repeated, the first untimed, so that caches and threads settle


FULL, QUICK = Effort(1.0), Effort(0.01, least=2, most=5, turn=0.0)


def row(case: Case, names: list[str], effort: Effort) -> dict[str, Any]:
    """Return one row of a table: what came of each contestant, and svref beside the fastest peer and the floor."""
    problem = case.problem()
    expected = reference(problem)
    standings: dict[str, dict[str, Any]] = {}
    runs: dict[str, Callable[[], Any]] = {}
    for name in names:
        standings[name] = admit(name, problem, expected, runs, is_strict=case.state != "converged")
    del expected
    for name, times in interleaved(runs, effort).items():
        standings[name] |= statistics(times)
    result = {**case.facts(), "support_share": support_share(problem), "contestants": standings}
    return result | compared(case.level, standings)


def reference(problem: Problem) -> Outcome:
    """Return svref's loss and gradients."""
    contestant = contestants.enter("svref, fresh", problem)
    assert contestant.read is not None
    return contestant.read(contestant.run())


def admit(
    name: str, problem: Problem, expected: Outcome, runs: dict[str, Callable[[], Any]], is_strict: bool = True
) -> dict[str, Any]:
    """Add a contestant's call to `runs` if its first result is right; return what there is to say of it.

    The textbook form has no digits of a converged loss. There it is timed all the same, and its error is kept.
    """
    if hint := contestants.missing(name):
        return {"not_installed": hint}
    start = time.perf_counter()
    try:
        contestant = contestants.enter(name, problem)
        result = contestant.run()
        said: dict[str, Any] = {"first_s": time.perf_counter() - start}
        found = errors(contestant.read(result), expected) if contestant.read is not None else {}
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "")
        return {"failed": without_paths(f"{type(error).__name__}: {first}")}
    said |= {key: error if math.isfinite(error) else None for key, error in found.items()}
    worst = float(np.max(list(found.values()), initial=0.0))
    if is_strict and not worst <= TOLERANCE[problem.arrays[0].dtype.name]:
        return said | {"wrong": f"its result differs from svref's by {worst:.1g}"}
    runs[name] = contestant.run
    return said


def without_paths(text: str) -> str:
    """Return a message without the paths of this machine, and not too long for a page."""
    return re.sub(r"(/[\w.+-]+){2,}", "PATH", text)[:200]


def errors(got: Outcome, expected: Outcome) -> dict[str, float]:
    """Return the relative error of the loss, and the largest of a gradient in norm."""
    relative = [float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(got[1], expected[1], strict=True)]
    shapes = [a.shape == b.shape and a.dtype == b.dtype for a, b in zip(got[1], expected[1], strict=True)]
    return {
        "loss_error": abs(got[0] - expected[0]) / abs(expected[0]),
        "gradient_error": float(np.max(relative)) if all(shapes) else math.inf,
    }


def interleaved(runs: Mapping[Key, Callable[[], Any]], effort: Effort) -> dict[Key, list[float]]:
    """Return the times of each call; who has had its time drops out, and the others go on."""
    rng = np.random.default_rng(0)
    times: dict[Key, list[float]] = {key: [] for key in runs}
    spent = dict.fromkeys(runs, 0.0)

    def waits(key: Key) -> bool:
        count = len(times[key])
        return count < effort.least or (count < effort.most and spent[key] < effort.seconds)

    gc.collect()
    while waiting := [key for key in runs if waits(key)]:
        for i in rng.permutation(len(waiting)):
            key = waiting[i]
            start = time.perf_counter()
            times[key] += turn(runs[key], effort.turn, settle=bool(times[key]) and times[key][-1] < effort.turn)
            spent[key] += time.perf_counter() - start
    return times


def turn(run: Callable[[], Any], seconds: float, settle: bool) -> list[float]:
    """Return the times of as many calls, one at least, as fill the turn."""
    if settle:
        run()
    times: list[float] = []
    while not times or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def statistics(times: list[float]) -> dict[str, Any]:
    """Return the median, the quartiles and the number of the calls."""
    low, median, high = np.quantile(times, [0.25, 0.5, 0.75]).tolist()
    return {"median_s": median, "quartiles_s": [low, high], "calls": len(times)}


def compared(level: str, standings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the fastest peer and the floor, each over svref's time; None where there is none."""
    medians = {name: s["median_s"] for name, s in standings.items() if "median_s" in s}
    fastest = min((name for name in medians if name in PEERS), key=medians.__getitem__, default=None)
    found: dict[str, Any] = {"fastest_peer": fastest, "ratio": {}, "floor_share": {}}
    for name in OURS:
        if name in medians:
            found["ratio"][name] = medians[fastest] / medians[name] if fastest else None
            found["floor_share"][name] = medians[FLOORS[level]] / medians[name]
    return found
