"""How svref writes a file: whole or not at all, and only a regular file is ever replaced.

A regular file is written under a temporary name beside it, which is then renamed over it. A link is followed, so that
it stays a link. A device, a FIFO or an open descriptor such as /dev/stdout is written into: renamed over, it would be
gone.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from svref.golden.files.reading import flag, shortened
from svref.golden.files.temporary import left_over, remove, temporary_file, temporary_names

_LINKS = 40  # as many as Linux follows
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/(?P<process>\d+)(?:/task/\d+)?/fd)/(?P<number>\d{1,9})")


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file.

    Parameters
    ----------
    path : path
        A new file or one to be replaced, which keeps its permissions; a link to one; or a device, a FIFO, or an open
        descriptor such as /dev/stdout and /dev/fd/3.
    data : bytes
        The whole content.

    Raises
    ------
    ValueError
        If the path is "", a folder, in no existing folder, or a link to nothing.
    OSError
        If it cannot be written; the message says why. A regular file that was there is then unchanged.
    """
    check_place(path, "writing")
    number = _descriptor(path)
    with errors_as_not_written(path):
        if number is not None:
            with suppress(ValueError, OSError):  # what was printed before must come first
                sys.stdout.flush()
            _write_into(os.dup(number), data)
        elif _is_special(path):
            _write_into(os.open(path, os.O_WRONLY | flag("O_NOCTTY")), data)
        else:
            _replace(Path(os.path.realpath(path)), data)


def check_place(path: str | os.PathLike[str], what: str) -> None:
    """Raise a ValueError unless a file could be written at a path; `what` begins the message.

    What is written takes minutes to make, so this is asked before.
    """
    name = os.fspath(path)
    if not name or os.path.isdir(name) or not os.path.isdir(os.path.dirname(name) or "."):
        raise ValueError(f"{what} needs a file in an existing folder; got {shortened(name) or repr(name)}")
    try:
        is_there = os.path.exists(name) or bool(os.lstat(name))
    except FileNotFoundError:
        is_there = False
    except OSError as error:
        raise ValueError(f"{what} needs a file; {shortened(name)} cannot be one: {error.strerror}.") from error
    if is_there and not os.path.exists(name):
        raise ValueError(
            f"{what} needs a file, but {name} is a link to {os.path.realpath(name)}, which is not there. "
            "Remove the link, or make that file."
        )
    folder = os.path.dirname(os.path.realpath(name))
    if _descriptor(name) is None and not _is_special(name) and not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{what} needs a folder that may be written to, and {folder} may not.")


def _is_special(path: str | os.PathLike[str]) -> bool:
    """Return whether something is there that is no regular file: a device, a FIFO, a socket."""
    return os.path.exists(path) and not os.path.isfile(path)


@contextmanager
def errors_as_not_written(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError in the `with` block into one of its kind that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise type(error)(f"{os.fspath(path)} cannot be written: {why}. Mend that, or give another place.") from error


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the descriptor that a path such as /dev/stdout or /dev/fd/3 means; None of other paths.

    Opened by its path, a descriptor that leads to a file would be written from the file's beginning.
    """
    at = os.fspath(path)
    for _ in range(_LINKS):
        folder, name = os.path.split(at)
        at = os.path.join(os.path.realpath(folder or "."), name)
        match = _DESCRIPTOR.fullmatch(at)
        if match and match["process"] in (None, str(os.getpid())):
            return int(match["number"])
        if not os.path.islink(at):
            return None
        at = os.path.join(os.path.dirname(at), os.readlink(at))
    return None


def _write_into(descriptor: int, data: bytes) -> None:
    """Write into an open descriptor, and close it."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _replace(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or not there.

    What writers that were killed have left beside it is removed first.
    """
    for name in temporary_names(path, "tmp"):
        with left_over(name) as gone:
            if gone:
                remove(name)
    with temporary_file(path) as (name, descriptor):
        _write_into(os.dup(descriptor), data)
        _take_permissions(name, path)
        name.replace(path)


def _take_permissions(name: Path, path: Path) -> None:
    """Give a file the permissions, and where that is allowed the owner, of the file that it replaces."""
    with suppress(FileNotFoundError):
        found = path.stat()
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(name, found.st_uid, found.st_gid)
        name.chmod(stat.S_IMODE(found.st_mode))
