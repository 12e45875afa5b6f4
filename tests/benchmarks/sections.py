"""The parts of a run, in their order. Each is a generator that stops after every row, so that what is there is saved."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any, NamedTuple

from benchmarks import allocator, cases, contestants, measure, memory, scaling
from benchmarks.bars import described
from benchmarks.report import fitted, milliseconds, peak, standing

Results = dict[str, Any]


class Choice(NamedTuple):
    """What the user asked for."""

    quick: bool
    peers: list[str]

    @property
    def effort(self) -> measure.Effort:
        """How much time a row gets."""
        return measure.QUICK if self.quick else measure.FULL

    def of(self, names: list[str]) -> list[str]:
        """Return the names without the peers that were not asked for."""
        return [name for name in names if name in self.peers or name not in contestants.PEERS]


def say(line: str) -> None:
    """Print a line of progress now."""
    print(line, flush=True)


def note(results: Results, line: str) -> None:
    """Say what is not measured, and keep it for the report."""
    say(line)
    results["notes"].append(line)


def rows(level: str, results: Results, choice: Choice) -> Iterator[None]:
    """Measure the table of a level."""
    if level == "head" and find_spec("threadpoolctl") is None:
        note(
            results,
            "threadpoolctl is not installed: svref's chunks do not run side by side (pip install 'svref[fast]')",
        )
    for case in cases.rows(level, choice.quick):
        yield from one_row(case, results, choice)


def one_row(case: cases.Case, results: Results, choice: Choice) -> Iterator[None]:
    """Measure one row."""
    row = measure.row(case, choice.of(contestants.names(case.level)), choice.effort)
    gc.collect()
    results["rows"].append(row)
    found = "; ".join(f"{name} {standing(s)}" for name, s in row["contestants"].items())
    ratio = row["ratio"].get("svref")
    beside = f"; {row['fastest_peer']} / svref {ratio:.2f}" if ratio else ""
    say(f"{row['level']} {described(row)}, ms: {found}{beside}")
    yield


def kept(results: Results, choice: Choice) -> Iterator[None]:
    """Measure the row that the section on allocators repeats under other settings."""
    yield from one_row(cases.kept_allocator(choice.quick), results, choice)


def allocators(results: Results, choice: Choice) -> Iterator[None]:
    """Measure one row under each setting of the C library's allocator."""
    if reason := allocator.unavailable():
        note(results, f"allocator: {reason}")
        return
    absent = {name: {"not_installed": hint} for name in choice.peers if (hint := contestants.missing(name))}
    present = [name for name in choice.peers if name not in absent]
    options = ["--peers", *present, *(["--quick"] if choice.quick else [])]
    for setting in list(allocator.SETTINGS)[: 1 if choice.quick else None]:
        row = allocator.measure(setting, options)
        results["allocator"].append(row)
        found = row.setdefault("contestants", {})
        found |= absent
        say(f"allocator, {setting}: {row.get('failed') or '; '.join(f'{n} {standing(s)}' for n, s in found.items())}")
        yield


def sweeps(results: Results, choice: Choice) -> Iterator[None]:
    """Measure how time grows."""
    for sweep in scaling.sweeps(choice.quick):
        found = scaling.measure(sweep, choice.effort._replace(seconds=choice.effort.seconds / 2))
        gc.collect()
        results["scaling"].append(found)
        times = ", ".join(milliseconds(t) for t in found["median_s"]["svref"])
        say(f"scaling, {found['level']} with {found['vary']}, ms: {times}; {fitted(found)}")
        yield


def peaks(results: Results, choice: Choice) -> Iterator[None]:
    """Measure peak memory."""
    if reason := memory.unavailable():
        note(results, f"memory: {reason}")
        return
    for case, mapped, names in memory.plans(choice.quick):
        row: dict[str, Any] = {**case.facts(), "mapped": mapped, "contestants": {}}
        results["memory"].append(row)
        with memory.maps(case) if mapped else nullcontext() as files:
            for name in choice.of(names):
                found = row["contestants"][name] = memory.measure(case, files, name)
                maps = ", memory maps" if mapped else ""
                say(f"memory, MiB, {row['level']} {row['size']}{maps}: {name} {peak(found)}")
                yield


RUNNERS = {
    "cosine": lambda results, choice: rows("cosine", results, choice),
    "head": lambda results, choice: rows("head", results, choice),
    "allocator": allocators,
    "scaling": sweeps,
    "memory": peaks,
}
