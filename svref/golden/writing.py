"""A pack is written whole or not at all, and takes the place of nothing but itself."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from svref.golden import canonical
from svref.golden.tree import FAMILY, MANIFEST, VectorsError, parsed, strangers


def check_free(directory: Path, name: str) -> None:
    """Raise unless there is nothing, or the pack of that name alone, whole or damaged, which may be replaced."""
    directory = directory.resolve()
    recover(directory)
    others = _others(directory, name) if directory.exists() else []
    if others:
        raise VectorsError(
            f"{directory} must be new, empty, or a pack {name!r} to be replaced, but holds other files, "
            f"first {others[0]}; nothing was written."
        )


def _others(directory: Path, name: str) -> list[str]:
    """Return what there is besides the files of the pack of that name; everything if there is no such pack."""
    if not directory.is_dir():
        return [directory.name]
    try:
        manifest = parsed((directory / MANIFEST).read_bytes(), MANIFEST)
        if manifest["format"].startswith(FAMILY) and manifest["pack"] == name:
            return strangers(directory, list(manifest["files"]))
    except (OSError, VectorsError, LookupError, TypeError, AttributeError):
        pass  # a manifest that says nothing makes no pack
    return sorted(path.name for path in directory.iterdir())


def write(directory: Path, files: Mapping[str, bytes], name: str) -> None:
    """Write the files of the pack of that name; an older one, also behind a link, is replaced as a whole."""
    directory = directory.resolve()
    check_free(directory, name)
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (directory.with_name(f".{directory.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        for path, data in files.items():
            canonical.write(fresh / path, data)
        if directory.exists():
            directory.replace(old)
        fresh.replace(directory)
    finally:
        if old.exists() and not directory.exists():
            old.replace(directory)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def recover(directory: Path) -> None:
    """Put back the pack that a killed `write` had moved away, and remove what else it left beside it."""
    directory = directory.resolve()
    form = re.compile(rf"\.{re.escape(directory.name)}\.(\d+)\.(new|old)")
    with contextlib.suppress(OSError):  # where nothing may be listed or written, nothing is recovered
        for path in sorted(directory.parent.iterdir()):
            left = form.fullmatch(path.name)
            if left and not _runs(int(left[1])):
                if left[2] == "old" and not directory.exists():
                    path.replace(directory)
                else:
                    shutil.rmtree(path, ignore_errors=True)


def _runs(pid: int) -> bool:
    """Return whether another process with that number is there, which may still be writing."""
    if pid == os.getpid() or os.name == "nt":  # Windows has no signal that only asks
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
