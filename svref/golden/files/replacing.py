"""How a pack comes to its place: as a whole, whoever else makes it, reads it or is killed meanwhile.

The new files are written into a folder with a temporary name beside the pack. Then the two folders change places, on
Linux in one step: there is the old pack or the new one at every moment. Other systems need two steps. If a kill comes
in between, the next `make` renames the old folder back, and until then reading says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from svref.golden.files.pack import FAMILY, MANIFEST, VectorsError, parse_json, read_limited, unlisted, which_folder
from svref.golden.files.reading import shortened
from svref.golden.files.temporary import left_over, remove, temporary_folder, temporary_name, temporary_names
from svref.golden.files.writing import errors_as_not_written

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_TRIES = 1000  # each lost try means that another writer put a whole pack there


def write_pack(directory: Path, files: Mapping[str, bytes], name: str) -> None:
    """Write the files of the pack of that name; an older one, also behind a link, is replaced as a whole.

    Any number of threads and processes may do this at once: the pack of the last one stays.
    """
    directory = Path(os.path.realpath(directory))
    check_replaceable(directory, name)
    with errors_as_not_written(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(directory) as new:
            for path, data in files.items():
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                (new / path).write_bytes(data)
            if directory.is_dir():
                new.chmod(stat.S_IMODE(directory.stat().st_mode))
            _put(new, directory)


def _put(new: Path, directory: Path) -> None:
    """Let a folder take the place `directory`; a folder that is there is moved away, and removed later."""
    for _ in range(_TRIES):
        if exchange(new, directory):
            return
        old = temporary_name(directory, "old")
        try:
            with suppress(FileNotFoundError):  # there is none, or another writer has just moved it away
                directory.rename(old)
            new.rename(directory)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise  # otherwise another writer was faster: its pack is replaced in turn
        finally:
            with left_over(old, own=True) as is_there:
                if is_there:
                    _put_back(old, directory)
                    remove(old)
    raise OSError("other processes replace it again and again")


def exchange(new: Path, directory: Path) -> bool:
    """Let two folders change places in one step; return whether that was done.

    It is not where there is no folder yet, and where the system or the file system cannot do it.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    return rename is not None and rename(_HERE, os.fsencode(new), _HERE, os.fsencode(directory), _EXCHANGE) == 0


def _put_back(old: Path, directory: Path) -> None:
    """Rename a pack that was moved away back to its place, unless there is another one."""
    if old.is_dir() and not os.path.lexists(directory):
        with suppress(OSError):  # another writer was faster
            old.rename(directory)


# ---- what is in the way ----------------------------------------------------------------------------------------


def check_replaceable(directory: Path, name: str) -> None:
    """Raise unless `directory` can be written, and is free or holds only the pack of that name, whole or damaged.

    What an interrupted `write_pack` left there is cleared away first.
    """
    _check_no_link_to_nothing(directory)
    directory = Path(os.path.realpath(directory))
    _check_writable(directory)
    _clear_left_over(directory)
    if os.path.lexists(directory) and not directory.is_dir():
        raise VectorsError(f"{directory} must be a directory, or not exist yet, but is a file; nothing was written.")
    others = _other_files_of_one(directory, name)
    if others:
        raise VectorsError(
            f"{directory} must be new, empty, or a pack {name!r} to be replaced, but holds other files, "
            f"first {shortened(others[0])}; nothing was written."
        )


def _check_no_link_to_nothing(directory: Path) -> None:
    """Raise if a folder or one above it is a link that leads nowhere: the user must decide where it should lead."""
    for place in (directory, *directory.parents):
        if place.is_symlink() and not os.path.exists(place):
            raise ValueError(
                f"{directory} cannot be made: {place} is a link to {os.path.realpath(place)}, which is not there. "
                "Remove the link, or make that folder."
            )


def _check_writable(directory: Path) -> None:
    """Raise unless a pack can be put there. Making one takes minutes, so this is asked before."""
    above = next((parent for parent in directory.parents if os.path.exists(parent)), directory)
    if not above.is_dir():
        raise ValueError(f"{directory} cannot be made: {above} must be a folder, and is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{directory} cannot be made: {above} must be a folder that may be written to, and is not.")


def _other_files_of_one(directory: Path, name: str) -> list[str]:
    """Return `_other_files`, looked at again for as long as another writer replaces the folder meanwhile."""
    while True:
        before = which_folder(directory)
        others = _other_files(directory, name)
        if not others or (before is not None and which_folder(directory) == before):
            return others


def _other_files(directory: Path, name: str) -> list[str]:
    """Return what is there besides the files of the pack of that name; everything if it is no such pack."""
    try:
        manifest = parse_json(read_limited(directory / MANIFEST), MANIFEST)
        if manifest["format"].startswith(FAMILY) and manifest["pack"] == name:
            return unlisted(directory, list(manifest["files"]))
    except (OSError, VectorsError, LookupError, TypeError, AttributeError):
        pass  # a file that cannot be read as a manifest makes no pack
    with suppress(FileNotFoundError):
        return sorted(path.name for path in directory.iterdir())
    return []


def _clear_left_over(directory: Path) -> None:
    """Put back the pack that a killed `write_pack` had moved away, and remove what else it left beside it."""
    for path in temporary_names(directory, "old", "new"):
        with left_over(path) as gone:
            if gone:
                if path.suffix == ".old":
                    _put_back(path, directory)
                remove(path)
