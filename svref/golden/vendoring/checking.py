"""Whether a folder of vendored packs is damaged, stale or withdrawn, and what to do about it.

damaged      a file is not what the lock file says, or not what the pack of that version is
stale        a newer version of a pack ships with this svref
withdrawn    the pack, or a case of it, was found to be wrong after it had been published
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svref._version import __version__
from svref.golden.files.canonical import Json, file_digest, sums
from svref.golden.files.pack import (
    LARGE,
    MANIFEST,
    SHIPPED,
    SUMS,
    Directory,
    VectorsError,
    parse_json,
    read_limited,
    read_pack,
    shipped,
)
from svref.golden.vendoring.lock import LOCK, RESTORE, Lock, LockedPack, read_lock
from svref.golden.vendoring.withdrawn import Withdrawal, read_withdrawn
from svref.golden.vendoring.writing import LAST, numbers, others_in

MOST_SHOWN = 12  # findings on the screen; the JSON has all


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a folder of vendored packs.

    Parameters
    ----------
    kind : {"damaged", "stale", "withdrawn"}
        Which of the three.
    what : str
        The path of a file in the folder, or a pack with its version.
    why : str
        What is wrong with it.
    todo : str
        What to do about it.
    expected, got : str, optional
        SHA-256 of a file: what it must be, and what it is; `got` is None if there is no such file.
    """

    kind: str
    what: str
    why: str
    todo: str
    expected: str | None = None
    got: str | None = None

    def __str__(self) -> str:
        digests = ""
        if self.expected is not None:
            got = "no file" if self.got is None else f"sha256 {self.got}"
            digests = f"           expected sha256 {self.expected}\n           got      {got}\n"
        return f"{self.kind:<9}  {self.what}: {self.why}\n{digests}"


@dataclass(frozen=True)
class Checked:
    """What a check of a folder found.

    Parameters
    ----------
    directory : path
        The folder, as it was given.
    lock : Lock or None
        What its lock file says; None if that cannot be read.
    findings : tuple of Finding
        What is wrong; none if the folder is whole.
    """

    directory: Directory
    lock: Lock | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the folder is whole."""
        return not self.findings

    def json(self) -> dict[str, object]:
        """Return the same for a program."""
        return {
            "schema": "svref-vendor-check/1", "ok": self.ok, "directory": str(self.directory), "svref": __version__,
            "packs": [vars(pack) for pack in self.lock.packs] if self.lock else [],
            "findings": [vars(finding) for finding in self.findings],
        }  # fmt: skip

    def __str__(self) -> str:
        if self.lock is not None and self.ok:
            packs = ", ".join(map(str, self.lock.packs))
            return f"whole: {packs}, {len(self.lock.files) + len(LAST)} files\n"
        more = len(self.findings) - MOST_SHOWN
        shown = "".join(map(str, self.findings[:MOST_SHOWN])) + (f"and {more} more\n" if more > 0 else "")
        return shown + "".join(f"{todo}\n" for todo in dict.fromkeys(finding.todo for finding in self.findings))


def check_vendored(directory: Directory, errata: Directory | None = None) -> Checked:
    """Check a folder that `vendor` wrote; nothing is changed.

    Parameters
    ----------
    directory : path
        The folder.
    errata : path, optional
        A list of withdrawn packs and cases, in place of the one that ships with svref.

    Raises
    ------
    ValueError
        If there is no such folder, it has no lock file, or the list is none.
    OSError
        If the list cannot be read.
    """
    withdrawals, place = read_withdrawn(errata), Path(os.path.realpath(directory))
    if not os.path.lexists(place / LOCK):
        raise ValueError(
            f"{directory} holds no {LOCK}, so svref golden vendor did not write it. "
            f"Give the folder of vendored packs, or write one: {_command(directory)}"
        )
    try:
        lock = read_lock(place)
        assert lock is not None  # noqa: S101  # it was there
    except VectorsError as error:
        why = str(error).removesuffix(f". {RESTORE}")
        return Checked(directory, None, (Finding("damaged", LOCK, why, RESTORE),))
    command = f"{_command(directory)}{_options(lock)}"
    findings = list(_damaged(place, lock, command)) or list(_other_packs(place, lock, command))
    findings += [*_stale(lock, command), *_withdrawn(lock, withdrawals, command)]
    return Checked(directory, lock, tuple(findings))


def _command(directory: Directory) -> str:
    """Return the command that writes the folder, for a shell."""
    return shlex.join(["svref", "golden", "vendor", os.fspath(directory)])


def _options(lock: Lock) -> str:
    """Return the options that an update needs: none, but if a pack does not ship, where each of them is."""
    if all(pack.name in shipped() for pack in lock.packs):
        return ""
    return "".join(f" --pack {p.name if p.name in shipped() else f'DIRECTORY/{p.name}'}" for p in lock.packs)


# ---- damaged ---------------------------------------------------------------------------------------------------


def _damaged(place: Path, lock: Lock, command: str) -> Iterator[Finding]:
    """Yield what differs from the lock file: a file of other bytes, a missing one, one that is not listed."""
    again = f"Write it again: {command}"
    listed = {**lock.files, SUMS: file_digest(sums({**lock.files, LOCK: file_digest(read_limited(place / LOCK))}))}
    for name, digest in sorted(listed.items()):
        try:
            data = read_limited(place / name)
        except VectorsError as error:
            yield Finding("damaged", name, _unreadable(place / name, error), again, digest)
            continue
        if file_digest(data) != digest:
            yield Finding("damaged", name, _change_of(data, digest), again, digest, file_digest(data))
    for name in others_in(place, {*listed, LOCK}):
        yield Finding("damaged", name, f"{LOCK} does not list it", "Move it out of the folder.")


def _unreadable(path: Path, error: VectorsError) -> str:
    """Return in words why a file cannot be read."""
    if not os.path.lexists(path):
        return "it is missing"
    return str(error).removeprefix(str(path)).removesuffix(" Get the pack again.").lstrip(": ").rstrip(".")


def _change_of(data: bytes, digest: str) -> str:
    """Return in words how the bytes of a file differ from what they must be."""
    if file_digest(data.replace(b"\r\n", b"\n")) == digest:
        return "only its line ends were changed, as Git does without the .gitattributes of this folder"
    return "its bytes were changed"


def _other_packs(place: Path, lock: Lock, command: str) -> Iterator[Finding]:
    """Yield the packs that are not what the lock file calls them, though every file is as it says."""
    todo = f"Somebody changed files and lock file alike. Write them again: {command}"
    for locked in lock.packs:
        try:
            pack = read_pack(place / locked.name)
        except VectorsError as error:
            yield Finding("damaged", locked.name, str(error), todo)
            continue
        found = LockedPack(pack.name, pack.manifest["version"], pack.digest, pack.manifest["cases"])
        if found != locked:
            yield Finding("damaged", locked.name, f"it is {found}, and {LOCK} says {locked}", todo)
        ours = _shipped_manifest(locked.name)
        if ours is not None and ours["version"] == locked.version:
            yield from _unlike(locked, pack.manifest["files"], ours["files"], todo)


def _unlike(locked: LockedPack, files: Mapping[str, str], ours: Mapping[str, str], todo: str) -> Iterator[Finding]:
    """Yield the files of a pack that differ from those of the same version that ships with svref."""
    for name in sorted(files.keys() | ours.keys()):
        if files.get(name) != ours.get(name):
            why = f"it is not the file of {locked.name} {locked.version} that ships with svref"
            yield Finding("damaged", f"{locked.name}/{name}", why, todo, ours.get(name), files.get(name))


# ---- stale and withdrawn ---------------------------------------------------------------------------------------


def _stale(lock: Lock, command: str) -> Iterator[Finding]:
    """Yield the packs of which this svref has a newer version."""
    for pack in lock.packs:
        newest = _newest(pack.name)
        if newest is not None and numbers(newest) > numbers(pack.version):
            yield Finding(
                "stale", f"{pack.name} {pack.version}", f"svref {__version__} has {newest}", f"Update: {command}"
            )


def _withdrawn(lock: Lock, withdrawals: Sequence[Withdrawal], command: str) -> Iterator[Finding]:
    """Yield the packs, or cases of them, that are on the list."""
    for pack in lock.packs:
        for entry in withdrawals:
            if entry.pack == pack.name and pack.version in entry.versions:
                cases = f"{', '.join(entry.ids)} of " if entry.ids else ""
                yield Finding("withdrawn", f"{cases}{pack.name} {pack.version}", entry.reason, _instead(entry, command))


def _instead(entry: Withdrawal, command: str) -> str:
    """Return what to do about a withdrawal: an update helps if this svref has a version that is not withdrawn."""
    newest = _newest(entry.pack)
    if newest is not None and newest not in entry.versions:
        return f"Do not rely on it. Update to {newest}: {command}"
    return f"Do not rely on it. Get a newer svref, pip install -U svref, and then update: {command}"


def _newest(name: str) -> str | None:
    """Return the version of a pack that this svref ships or makes; None of a pack that it does not know."""
    from svref.golden.making.packs import PACKS

    ours = _shipped_manifest(name)
    if ours is not None:
        return str(ours["version"])
    if name == LARGE:
        try:
            from svref.golden.large.pack import VERSION
        except ImportError:  # it needs an extra
            return None
        return VERSION
    return PACKS[name].version if name in PACKS else None


def _shipped_manifest(name: str) -> Mapping[str, Json] | None:
    """Return the manifest of a pack that ships with svref; None of any other."""
    if name not in shipped():
        return None
    path = SHIPPED / name / MANIFEST
    return dict(parse_json(read_limited(path), path))
