"""The lock file of vendored packs: which packs were written, by which svref, and the SHA-256 of every file.

It is JSON in svref-vectors.lock, one file a line, so that a change of it reads well in a review.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from svref.golden.files.canonical import Json
from svref.golden.files.checks import validate
from svref.golden.files.pack import MOST_LETTERS, NAME, VectorsError, parse_json, read_limited
from svref.golden.files.reading import shortened

LOCK, ATTRIBUTES = "svref-vectors.lock", ".gitattributes"
FORMAT = "svref-vectors-lock/1"
RESTORE = f"Take {LOCK} from the history of your repository, or move its folder away and vendor again."
ERRATA = "svref/golden/errata.json of the newest svref; svref golden vendor --check reads it"


@dataclass(frozen=True)
class LockedPack:
    """A pack as it was written.

    Parameters
    ----------
    name, version : str
        Of its manifest.
    digest : str
        SHA-256 of its manifest, which holds the digest of every other file.
    cases : int
        How many it has.
    """

    name: str
    version: str
    digest: str
    cases: int

    def __str__(self) -> str:
        return f"{self.name} {self.version} (sha256 {self.digest[:8]})"


@dataclass(frozen=True)
class Lock:
    """What a lock file says.

    Parameters
    ----------
    svref : str
        The version of svref that wrote the folder.
    packs : tuple of LockedPack
        The packs, each in the folder of its name.
    packages : mapping of str
        The names under which the folder can be published, by "npm", "cargo" and "go".
    files : mapping of str
        SHA-256 of every file by its path, but for the lock file and SHA256SUMS, which lists the lock file too.
    """

    svref: str
    packs: tuple[LockedPack, ...]
    packages: Mapping[str, str]
    files: Mapping[str, str] = field(repr=False)

    def encoded(self) -> bytes:
        """Return the bytes of the lock file."""
        packs = [vars(pack) | {"errata": f"{pack.name}/errata.json"} for pack in self.packs]
        content = {
            "format": FORMAT, "svref": self.svref, "packs": packs, "packages": dict(self.packages),
            "errata": ERRATA, "files": dict(sorted(self.files.items())),
        }  # fmt: skip
        return json.dumps(content, indent=1).encode() + b"\n"


def read_lock(directory: Path) -> Lock | None:
    """Return what the lock file in a folder says; None if there is none.

    Raises
    ------
    VectorsError
        If it is of another format, or names a file outside the folder, or is no lock file.
    """
    path = directory / LOCK
    if not os.path.lexists(path):
        return None
    try:
        return _lock_of(parse_json(read_limited(path), path), path)
    except VectorsError as error:
        why = str(error).replace(" Get the pack again.", "").rstrip(".")
        raise VectorsError(f"{why}. {RESTORE}") from error


def _lock_of(content: Json, path: Path) -> Lock:
    """Return what the content of a lock file says; raise a VectorsError if it is none."""
    form = content.get("format") if isinstance(content, dict) else None
    if form != FORMAT:
        raise VectorsError(f"{path} is of format {shortened(repr(form))}; this svref reads {FORMAT!r}")
    validate("lock", content, str(path))
    for name in content["files"]:
        if name != ATTRIBUTES and (len(name) > MOST_LETTERS or not NAME.fullmatch(name)):
            raise VectorsError(f"{path} lists {shortened(ascii(name))}, which is no name that svref writes")
    packs = tuple(LockedPack(p["name"], p["version"], p["digest"], p["cases"]) for p in content["packs"])
    return Lock(content["svref"], packs, content["packages"], content["files"])
