"""The run of a matrix: every candidate is asked by `svref check` in a process of its own.

So the verdicts are those of the command, and a candidate that cannot be loaded, hangs or ends its process is a cell.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from svref._version import __version__
from svref.conformance.candidates.loading import is_answers
from svref.sharing.asked import Asked, read
from svref.sharing.cells import NOT_ASKED, NOT_LOADED, Cell, Matrix, Row

Telling = Callable[[int, int, str], object]
COMMAND = "from svref.cli import main; main()"
PATIENCE = 5.0  # seconds until a process that was asked to end is killed
LIMIT = 3600.0  # seconds of a row: native code that hangs may hold Python's lock, so that no other limit is heeded


def matrix(path: str | os.PathLike[str], progress: Telling | None = None, date: str | None = None) -> Matrix:
    """Judge every candidate that a TOML file names.

    Parameters
    ----------
    path : path
        The file, as `read` takes it.
    progress : callable, optional
        Called before each row, and at the end, with how many rows are done, how many there are, and the name of the
        next one.
    date : str, optional
        The date of the run; None is today's, in UTC.

    Returns
    -------
    Matrix
        One row for each candidate and loss. If the run is interrupted by Ctrl-C, the rows that are left are NOT-ASKED.

    Raises
    ------
    OSError, ValueError
        As `read`.
    """
    plan, rows = read(path), list[Row]()
    interrupted = False
    tell = progress or (lambda done, total, name: None)
    try:
        for i, asked in enumerate(plan.rows):
            tell(i, len(plan.rows), asked.name)
            rows.append(_row(asked))
        tell(len(plan.rows), len(plan.rows), "")
    except KeyboardInterrupt:
        interrupted = True
    left = [Row(a, tuple(Cell(d, NOT_ASKED) for d in a.dtypes), _versions(a)) for a in plan.rows[len(rows) :]]
    date = datetime.now(UTC).date().isoformat() if date is None else date
    return Matrix(plan.title, date, _environment(), (*rows, *left), interrupted)


def _environment() -> dict[str, str]:
    """Return the versions of what every candidate runs in."""
    system = f"{platform.system()} {platform.machine()}"
    return {"svref": __version__, "Python": platform.python_version(), "NumPy": np.__version__, "system": system}


def _versions(asked: Asked) -> dict[str, str]:
    """Return the versions of the packages of a row; "not installed" for one that is not there."""
    found = {}
    for name in asked.packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _row(asked: Asked) -> Row:
    """Return the row of one candidate."""
    started, command = time.perf_counter(), shlex.join(["svref", *asked.words])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        code, errors = _run([*asked.words, "--report", str(file)])
        report = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    row = Row(asked, (), _versions(asked), time.perf_counter() - started, command=command, code=code)
    if report is None:
        verdict = "ERROR" if code not in (2, 3) else NOT_LOADED
        message = errors or f"svref check ended with exit code {code} and no report"
        return replace(row, cells=tuple(Cell(dtype, verdict, message=message) for dtype in asked.dtypes))
    header, cells = report["header"], _cells(report, asked)
    return replace(row, cells=cells, digest=header.get("digest", ""), vectors=header.get("vectors", ""))


def _run(words: list[str]) -> tuple[int, str]:
    """Return the exit code of a command, and the last line of its errors."""
    command = [sys.executable, "-P", "-c", COMMAND, *words]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment
    ) as child:
        try:
            errors = child.communicate(timeout=LIMIT)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            _end(child)
            errors = f"svref: no verdict within {LIMIT:g} s"
        except KeyboardInterrupt:
            _end(child)
            raise
    said = [line.removeprefix("svref: ") for line in errors.splitlines() if line.startswith("svref: ")]
    return child.returncode, said[-1] if said else ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and kill it if it does not."""
    child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()


def _cells(report: dict[str, Any], asked: Asked) -> tuple[Cell, ...]:
    """Return the cells of a report, in the order of the dtypes that were asked for."""
    reports = {report["header"]["dtype"]: report, **report.get("also", {})}
    if not reports.keys() & set(asked.dtypes):  # the candidate ended the process
        reports = dict.fromkeys(asked.dtypes, report)
    reasons = report.get("not_judged", {})
    return tuple(
        _cell(dtype, reports[dtype]) if dtype in reports else Cell(dtype, "UNSUPPORTED", message=reasons.get(dtype, ""))
        for dtype in asked.dtypes
        if dtype in reports or not is_answers(asked.candidate)
    )


def _cell(dtype: str, report: dict[str, Any]) -> Cell:
    """Return the cell of one dtype."""
    verdict = report["verdict"]
    mistake = verdict.partition("(")[2].removesuffix(")")
    formula = next((d["formula"] for d in report["diagnosis"] if d["name"] == mistake), "")
    counts = report["counts"]
    worst = max((count["worst"] for count in counts), key=lambda value: float(value), default=0.0)
    mishap = next((m["message"] for m in report["mishaps"]), "") if verdict in ("ERROR", "UNSUPPORTED") else ""
    right, wrong = (sum(count[name] for count in counts) for name in ("passed", "failed"))
    return Cell(dtype, verdict, mistake, formula, right, wrong, worst, mishap)
