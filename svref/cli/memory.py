"""A limit on the memory of a run, as the option --memory takes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from svref.cli.tools import fail

Memory = Annotated[str | None, typer.Option(help="How much more memory it may take, such as 4G; no limit if left out.")]
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def bytes_of(size: str | None) -> int | None:
    """Return the bytes of a size such as "4G"; None for None; end with exit code 2 if it is not written so."""
    if size is None:
        return None
    found = SIZE.fullmatch(size.strip())
    number = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if number < 1:
        fail(f"--memory takes a size above 0 with a unit, such as 512M or 4G; got {size!r}")
    return number


@contextmanager
def memory_limited(limit: int | None) -> Iterator[None]:
    """Let the address space of this process grow by some bytes at most; None leaves it as it is.

    Memory that a candidate asks for beyond that is refused: Python and NumPy raise a MemoryError, and other code may
    end the process.
    """
    if limit is None:
        yield
        return
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        fail("--memory needs a system that says how much address space a process has; leave it out here")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + limit
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
