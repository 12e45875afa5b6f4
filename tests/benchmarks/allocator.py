"""One row again, in a process of its own, under other settings of the GNU C library's allocator.

By default freed arrays go back to the system, and a framework that allocates afresh pays for every page again at the
next call. A user may tell the C library to keep memory, or to ask for huge pages; this measures what it is worth.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.measure import without_paths

SETTINGS = {
    "memory is kept": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592",
    "huge pages": "glibc.malloc.hugetlb=1",
}


def unavailable() -> str | None:
    """Return why the settings cannot be tried here."""
    return None if platform.libc_ver()[0] == "glibc" else "the allocator's settings are those of the GNU C library"


def measure(setting: str, arguments: list[str]) -> dict[str, Any]:
    """Return the row that the command finds under a setting, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="svref-benchmark-") as folder:
        command = [sys.executable, str(Path(__file__).parent), "--only", "kept", "--out", folder, *arguments]
        environment = {**os.environ, "GLIBC_TUNABLES": SETTINGS[setting]}
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        path = Path(folder) / "results.json"
        rows = results.load(path)["rows"] if path.exists() else []
    if not rows:
        last = next(iter(done.stderr.strip().splitlines()[::-1]), "")
        return {"setting": setting, "failed": without_paths(last) or f"ended with status {done.returncode}"}
    return {"setting": setting, "tunables": SETTINGS[setting], **rows[0]}
