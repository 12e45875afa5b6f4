"""How packs come into a folder of somebody's repository, and what may be in the way.

The folder is svref's alone: whatever else is in it stays as it is, and nothing is written. Every file is written under
a temporary name and renamed. A lock file comes first, which names the new packs and lists the files of before and of
after; the final one comes last. So wherever a run is interrupted, every file is listed, and the next run goes on.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from svref.golden.files.checks import check_schemas
from svref.golden.files.pack import (
    DEFAULT,
    MANIFEST,
    SUMS,
    Directory,
    PackFiles,
    VectorsError,
    errors_as_damage,
    pack_root,
    read_limited,
    read_pack,
    shipped,
    unlisted,
)
from svref.golden.files.reading import shortened
from svref.golden.files.temporary import left_over, remove, temporary_names
from svref.golden.files.writing import errors_as_not_written, write_file
from svref.golden.vendoring.contents import contents
from svref.golden.vendoring.lock import LOCK, Lock, read_lock

LAST = (SUMS, LOCK)
GIT = ".git"  # a package can be a repository of its own


@dataclass(frozen=True)
class Vendored:
    """What a run wrote.

    Parameters
    ----------
    directory : path
        The folder, as it was given.
    lock : Lock
        What its lock file says now.
    written, removed : tuple of str
        The paths of the files that were new or changed, and of those that no longer belong there.
    """

    directory: Directory
    lock: Lock
    written: tuple[str, ...]
    removed: tuple[str, ...]

    def json(self) -> dict[str, object]:
        """Return the same for a program."""
        return {
            "schema": "svref-vendored/1", "directory": str(self.directory), "svref": self.lock.svref,
            "packs": [vars(pack) for pack in self.lock.packs], "packages": dict(self.lock.packages),
            "written": list(self.written), "removed": list(self.removed),
        }  # fmt: skip

    def __str__(self) -> str:
        files = "file" if len(self.written) == 1 else "files"
        counted = f"{len(self.written)} {files} written, {len(self.removed)} removed"
        packages = "".join(f"{kind} package {name}\n" for kind, name in self.lock.packages.items())
        return "".join(f"{pack}\n" for pack in self.lock.packs) + f"{packages}{counted} in {self.directory}\n"


def vendor(
    directory: Directory, packs: Sequence[str] | None = None, packages: Mapping[str, str] | None = None
) -> Vendored:
    """Write packs into a folder, with their licence, sums and lock file, or bring such a folder up to date.

    Parameters
    ----------
    directory : path
        A folder that is new, empty, or was written by this function. It and those above it are made.
    packs : sequence of str, optional
        Names of packs that ship, or directories of packs. If left out, those that the folder has, or core.
    packages : mapping of str, optional
        By "npm", "cargo" and "go", the names of packages to write the metadata for; "" is the usual name. If left out,
        those that the folder has.

    Raises
    ------
    ValueError
        If the folder holds a file that svref did not write, or a pack or a package is unknown. Nothing is written.
    VectorsError
        If a pack or the lock file is damaged. Nothing is written.
    OSError
        If a file cannot be written.
    """
    _check_is_folder(directory)
    place = Path(os.path.realpath(directory))
    old = read_lock(place)
    chosen = [_pack_of(word) for word in _words(old, packs)]
    if old is not None and packs is None:
        _check_not_older(old, chosen)
    lock, files = contents(chosen, (old.packages if old else {}) if packages is None else packages)
    listed = {*old.files, *LAST} if old else set()
    _check_alone(place, listed, files)
    with errors_as_not_written(directory):
        _clear_left_over(place, {*listed, *files})
        written, removed = _bring(place, listed, files, _both(old, lock))
    return Vendored(directory, lock, tuple(written), tuple(removed))


# ---- which packs -----------------------------------------------------------------------------------------------


def _words(old: Lock | None, packs: Sequence[str] | None) -> list[str]:
    """Return the words that name the packs, each once."""
    if packs is not None:
        return list(dict.fromkeys(packs))
    names = [pack.name for pack in old.packs] if old else [DEFAULT]
    for name in names:
        if name not in shipped():
            raise ValueError(
                f"the pack {name} does not ship with svref, so say where it is: make it with svref golden make, and "
                "name every pack of the folder with --pack."
            )
    return names


def _pack_of(word: str) -> PackFiles:
    """Return the pack that a word names, read whole; one from elsewhere is also held against the schemas."""
    pack = read_pack(pack_root(pack=word))
    if word not in shipped():
        check_schemas(pack)
    return pack


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared."""
    return tuple(map(int, version.split(".")))


def _check_not_older(old: Lock, chosen: Sequence[PackFiles]) -> None:
    """Raise if an update that names no packs would take one back to an older version."""
    for before, pack in zip(old.packs, chosen, strict=True):
        if numbers(pack.manifest["version"]) < numbers(before.version):
            raise ValueError(
                f"the folder has {before.name} {before.version}, and this svref has {pack.manifest['version']}, "
                "which is older. Get the newest svref; or name the packs with --pack to go back."
            )


# ---- what is in the way ----------------------------------------------------------------------------------------


def _check_is_folder(directory: Directory) -> None:
    """Raise unless the path is a folder or can become one."""
    if not os.fspath(directory):
        raise ValueError("the folder for the packs must have a name; got ''.")
    path = Path(directory)
    there = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), path)
    if os.path.lexists(there) and not there.is_dir():
        raise ValueError(f"{directory} cannot be a folder: {there} is there, and is none. Give another place.")


def others_in(place: Path, own: Collection[str]) -> list[str]:
    """Return the paths in a folder that are none of `own`.

    Not counted are what Git keeps in a repository's folder, and the temporary files that a killed run left.
    """
    if not place.is_dir():
        return []
    with errors_as_damage(place):
        found = unlisted(place, list(own))
    left = {path.relative_to(place).as_posix() for name in own for path in temporary_names(place / name, "tmp")}
    manifest = [MANIFEST] if os.path.lexists(place / MANIFEST) else []  # `unlisted` takes it for the pack's own
    return [name for name in sorted(found + manifest) if name not in left and name != GIT]


def _check_alone(place: Path, listed: Collection[str], files: Mapping[str, bytes]) -> None:
    """Raise if the folder holds anything that is not listed in its lock file and not exactly what will be there."""
    others = others_in(place, {*listed, *files})
    others += [n for n in files if n not in listed and os.path.lexists(place / n) and not _has(place / n, files[n])]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise ValueError(
            f"{place} must be new, empty, or a folder that svref golden vendor wrote, and holds {shortened(others[0])}"
            f"{more}, which svref did not write. Nothing was written. Give another folder, or move that out of it."
        )


def _has(path: Path, data: bytes) -> bool:
    """Return whether there is a regular file of exactly these bytes."""
    try:
        return read_limited(path) == data
    except VectorsError:
        return False


# ---- writing ---------------------------------------------------------------------------------------------------


def _both(old: Lock | None, new: Lock) -> Lock:
    """Return the lock of the time between: it names the new packs, and lists the files of the old ones too."""
    return new if old is None else replace(new, files={**old.files, **new.files})


def _bring(
    place: Path, listed: Collection[str], files: Mapping[str, bytes], meanwhile: Lock
) -> tuple[list[str], list[str]]:
    """Write what is new or changed, and remove what no longer belongs there; return both lists. The lock comes last."""
    changed = sorted((name for name in files if not _has(place / name, files[name])), key=lambda n: (_rank(n), n))
    gone = sorted(set(listed) - set(files))
    if (changed or gone) and not _has(place / LOCK, meanwhile.encoded()):
        _write(place / LOCK, meanwhile.encoded())
    for name in changed:
        if _rank(name) == 0:
            _write(place / name, files[name])
    for name in gone:
        _remove(place, name)
    for name in changed:
        if _rank(name) > 0:
            _write(place / name, files[name])
    return sorted(changed), gone


def _rank(name: str) -> int:
    """Return when a file is written: 0 before others are removed, 1 and 2 after that."""
    return LAST.index(name) + 1 if name in LAST else 0


def _write(path: Path, data: bytes) -> None:
    """Write a file, and make the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, data)


def _remove(place: Path, name: str) -> None:
    """Remove a file, and the folders above it that are empty then."""
    (place / name).unlink(missing_ok=True)
    for above in PurePosixPath(name).parents[:-1]:
        with suppress(OSError):  # it holds other files
            (place / above).rmdir()


def _clear_left_over(place: Path, names: Collection[str]) -> None:
    """Remove the temporary files that a killed run left."""
    for name in names:
        for path in temporary_names(place / name, "tmp"):
            with left_over(path) as gone:
                if gone:
                    remove(path)
