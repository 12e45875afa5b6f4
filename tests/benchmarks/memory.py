"""Peak memory: each contestant in a process of its own, watched from outside.

What is counted is anonymous memory (RssAnon of /proc/PID/status: neither files nor memory maps of files), sampled every
millisecond during one call, less what the process held when the inputs were there, less the gradients it returns. A
small problem runs first, so that libraries, threads and compilers are loaded before the count; a first call of the
measured problem compiles and is not watched. The head from memory maps takes long: there the first call is watched.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cases, contestants
from benchmarks.cases import Case
from benchmarks.contestants import LEAN, OURS, PEERS
from benchmarks.measure import without_paths

MIB = 2**20
INTERVAL = 0.001
PATIENCE = 300.0  # seconds for each of a child's three steps
TESTS = Path(__file__).parents[1]


def unavailable() -> str | None:
    """Return why memory cannot be measured here."""
    return None if Path("/proc/self/status").exists() else "peak memory is measured on Linux only"


def plans(quick: bool) -> list[tuple[Case, bool, list[str]]]:
    """Return the cases, whether their weights and gradient are memory maps, and who is measured."""
    everybody = [*OURS, *PEERS]
    ordinary = [(case, False, everybody) for case in cases.memory(quick)]
    return [*ordinary, (cases.stream(quick), True, [LEAN, "svref", *PEERS])]


@contextmanager
def maps(case: Case) -> Iterator[list[str]]:
    """Yield the files of a problem's embeddings, weights, labels and gradient by the weights."""
    with tempfile.TemporaryDirectory(prefix="svref-benchmark-") as folder:
        problem = case.problem()
        paths = [str(Path(folder) / f"{name}.npy") for name in ("embeddings", "weights", "labels", "gradient")]
        for path, array in zip(paths, (*problem.arrays, problem.labels), strict=False):
            np.save(path, array)
        np.lib.format.open_memmap(paths[3], "w+", problem.arrays[1].dtype, problem.arrays[1].shape).flush()
        yield paths


def measure(case: Case, files: list[str] | None, name: str) -> dict[str, Any]:
    """Return the peak of one contestant beyond inputs and outputs, in bytes, or why there is none."""
    if hint := contestants.missing(name):
        return {"not_installed": hint}
    with tempfile.TemporaryFile() as errors:
        plan = json.dumps({"case": vars(case), "files": files, "name": name})
        command = [sys.executable, "-m", "benchmarks.probe", plan]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, cwd=TESTS, stdin=pipe, stdout=pipe, stderr=errors, text=True)
        try:
            return watch(child, warm=files is None)
        except TimeoutError as error:
            return {"failed": str(error)}
        except (EOFError, BrokenPipeError):
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            return {"failed": without_paths(ending(child.wait(PATIENCE), said))}
        finally:
            child.kill()
            child.communicate()


def ending(status: int, said: str) -> str:
    """Return why a child ended early: the signal that ended it, or the last thing it said."""
    if status < 0:
        return f"ended by signal {-status}"
    return next(iter(said.strip().splitlines()[::-1]), f"ended with status {status}")


def watch(child: subprocess.Popen[str], warm: bool) -> dict[str, Any]:
    """Return what a call, the second if `warm`, takes beyond what the child held before the first."""
    _, _, before = step(child)
    if warm:
        step(child)
    said, peak, _ = step(child)
    return {"peak_bytes": peak - before - said["returned"], "before_bytes": before, "call_s": said["seconds"]}


def step(child: subprocess.Popen[str]) -> tuple[dict[str, Any], int, int]:
    """Let the child go on; return what it says at the end of its step, its peak until then, and what it holds then."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    peak, deadline = anonymous(child.pid), time.monotonic() + PATIENCE
    while not select.select([child.stdout], [], [], INTERVAL)[0]:
        peak = max(peak, anonymous(child.pid))
        if time.monotonic() > deadline:
            raise TimeoutError(f"no result within {PATIENCE:.0f} s")
    line = child.stdout.readline()
    if not line:
        raise EOFError
    held = anonymous(child.pid)
    return json.loads(line), max(peak, held), held


def anonymous(pid: int) -> int:
    """Return the anonymous memory that a process holds, in bytes; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("RssAnon:")), 0)
