"""A pack is written whole or not at all, and takes the place of nothing but itself."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from svref.golden.files import canonical
from svref.golden.files.pack import FAMILY, MANIFEST, VectorsError, parsed, strangers


def check_free(directory: Path, name: str) -> None:
    """Raise unless there is nothing, or the pack of that name alone, whole or damaged, and it may be replaced."""
    directory = directory.resolve()
    _check_writable(directory)
    recover(directory)
    if directory.exists() and not directory.is_dir():
        raise VectorsError(f"{directory} must be a directory, or nothing yet, and is a file; nothing was written.")
    others = _others(directory, name) if directory.exists() else []
    if others:
        raise VectorsError(
            f"{directory} must be new, empty, or a pack {name!r} to be replaced, but holds other files, "
            f"first {others[0]}; nothing was written."
        )


def _check_writable(directory: Path) -> None:
    """Raise unless a pack can be put there: making one takes minutes, and ends with a rename beside it."""
    above = next((parent for parent in directory.parents if parent.exists()), directory)
    if not above.is_dir():
        raise ValueError(f"{directory} cannot be made: {above} must be a folder, and is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{directory} cannot be made: {above} must be a folder that may be written to, and is not.")


def _others(directory: Path, name: str) -> list[str]:
    """Return what there is besides the files of the pack of that name; everything if there is no such pack."""
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
    with contextlib.suppress(OSError):  # where nothing may be listed or written, nothing is recovered
        for path, pid, end in _beside(directory):
            if not _runs(pid):
                if end == "old" and not directory.exists():
                    path.replace(directory)
                else:
                    shutil.rmtree(path, ignore_errors=True)


def check_not_moved(directory: Path) -> None:
    """Raise if a `write` has moved the pack away and not replaced it.

    Readers change nothing: whether that `write` still runs, on another machine perhaps, they cannot know.
    """
    directory, moved = directory.resolve(), None
    if not directory.exists():
        with contextlib.suppress(OSError):  # where nothing may be listed, nothing is found
            moved = next((path for path, _, end in _beside(directory) if end == "old"), None)
    if moved is not None:
        raise VectorsError(
            f"{directory} is not there: a make was interrupted, or is not done, that had moved it to {moved.name}. "
            f"Run make again."
        )


def _beside(directory: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield what a `write` has beside a pack, with the number of its process and the ending."""
    form = re.compile(rf"\.{re.escape(directory.name)}\.(\d+)\.(new|old)")
    for path in sorted(directory.parent.iterdir()):
        found = form.fullmatch(path.name)
        if found:
            yield path, int(found[1]), found[2]


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
