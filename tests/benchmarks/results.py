"""What a run has found so far, as a dictionary that is valid JSON, and the files it is written to."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.cases import M, S, T

FORMAT = "svref-benchmark/1"


def started(quick: bool, peers: list[str]) -> dict[str, Any]:
    """Return the results of a run that has measured nothing yet."""
    return {
        "format": FORMAT,
        "complete": False,
        "quick": quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": 0.0,
        "loss": f"sv_am_softmax(s={S:g}, m={M:g}, t={T:g})",
        "machine": machine.facts(),
        "peers": peers,
        "sections": [],
        "rows": [],
        "allocator": [],
        "scaling": [],
        "memory": [],
        "notes": [],
        "bars": [],
    }


def load(path: Path) -> dict[str, Any]:
    """Return the results that a run has written."""
    results = json.loads(path.read_text(encoding="utf-8"))
    if results.get("format") != FORMAT:
        sys.exit(f"benchmarks: {path.name} must be of format {FORMAT}; got {results.get('format')!r}.")
    return results


def write(path: Path, content: str) -> None:
    """Write a file, which is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(content, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save(results: dict[str, Any], folder: Path) -> Path:
    """Write the results as JSON, and return where."""
    path = folder / "results.json"
    write(path, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path
