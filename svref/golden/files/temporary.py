"""Names that a file or a folder has until it is whole.

Its writer locks it for as long as the name is temporary. The lock ends with the process, also when that is killed. So
whatever has such a name and is not locked is left over, and the next writer removes it. Process numbers could not tell:
threads share one, and another container or machine may use the same.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from svref.golden.files.reading import flag

HAS_LOCKS = importlib.util.find_spec("fcntl") is not None  # Windows has not; there nothing is taken for left over
_DIGITS = 12  # so many that two writers do not draw the same, and that nobody else gives such a name
_LONGEST = 50  # characters of a name that its temporary name repeats: file systems allow 255 bytes


def temporary_name(path: Path, end: str) -> Path:
    """Return a new name beside `path`: hidden, with the name of `path` in it, and with an ending."""
    return path.with_name(f".{path.name[:_LONGEST]}.{secrets.randbelow(10**_DIGITS):0{_DIGITS}}.{end}")


def temporary_names(path: Path, *ends: str) -> list[Path]:
    """Return what has a temporary name beside `path` with one of these endings; [] if the folder cannot be listed."""
    form = re.compile(rf"\.{re.escape(path.name[:_LONGEST])}\.\d{{{_DIGITS}}}\.({'|'.join(ends)})")
    with suppress(OSError):
        return sorted(path.with_name(name) for name in os.listdir(path.parent) if form.fullmatch(name))
    return []


@contextmanager
def temporary_file(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield the temporary name of a new file beside `path`, and its descriptor; afterwards, remove what is there."""
    name, descriptor = _locked(path, "tmp", _new_file)
    try:
        yield name, descriptor
    finally:
        remove(name)
        os.close(descriptor)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield the temporary name of a new folder beside `path`; afterwards, remove what is there."""
    name, descriptor = _locked(path, "new", _new_folder)
    try:
        yield name
    finally:
        remove(name)
        os.close(descriptor)


def _locked(path: Path, end: str, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make something under a temporary name, and lock it; return the name and the descriptor that holds the lock.

    Before it is locked, another writer may take it for left over and remove it. Then it is made again.
    """
    while True:
        name = temporary_name(path, end)
        descriptor = make(name)
        _lock(descriptor)
        with suppress(FileNotFoundError):
            if not HAS_LOCKS or os.path.samestat(os.fstat(descriptor), os.lstat(name)):
                return name, descriptor
        os.close(descriptor)


def _new_file(name: Path) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flag("O_BINARY"), 0o666)


def _new_folder(name: Path) -> int:
    """Make a folder, and return a descriptor that it can be locked by."""
    while True:
        name.mkdir()
        with suppress(FileNotFoundError):  # another writer took it for left over
            return os.open(name if HAS_LOCKS else os.devnull, os.O_RDONLY)


def _lock(descriptor: int) -> None:
    """Lock a file or a folder; where the file system has no locks, do nothing."""
    if HAS_LOCKS:
        import fcntl

        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def left_over(name: Path, own: bool = False) -> Iterator[bool]:
    """Yield whether what has a temporary name is there and left over; it is locked meanwhile, so that one removes it.

    What this writer itself has put there, `own`, is left over for it. It waits for another that is removing it.
    """
    descriptor = -1
    try:
        descriptor = os.open(name if HAS_LOCKS else os.devnull, os.O_RDONLY | flag("O_NOFOLLOW") | flag("O_NONBLOCK"))
        if own:
            _lock(descriptor)
        is_free = own or _lock_at_once(descriptor)
        gone = is_free and (not HAS_LOCKS or os.path.samestat(os.fstat(descriptor), os.lstat(name)))
    except OSError:  # removed, not ours to read, or on a file system without locks
        gone = False
    try:
        yield gone
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _lock_at_once(descriptor: int) -> bool:
    """Lock a file or a folder and return True, unless there are no locks; raise an OSError if another writer has it."""
    if HAS_LOCKS:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return HAS_LOCKS


def remove(name: Path) -> None:
    """Remove a file or a folder, if it is there; of a folder also the parts that may not be written to."""
    if not name.is_dir() or name.is_symlink():
        with suppress(OSError):
            name.unlink()
        return
    for folder, _, _ in os.walk(name):
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
    shutil.rmtree(name, ignore_errors=True)
