"""Every file of a folder of vendored packs, as bytes: the packs, what explains them, and the metadata of packages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from svref._version import __version__
from svref.golden.files import canonical
from svref.golden.files.canonical import file_digest
from svref.golden.files.pack import MANIFEST, SUMS, PackFiles
from svref.golden.files.reading import shortened
from svref.golden.vendoring import cargo, go, npm
from svref.golden.vendoring.lock import ATTRIBUTES, LOCK, Lock, LockedPack

KINDS: Mapping[str, ModuleType] = {"npm": npm, "cargo": cargo, "go": go}
LICENSE = Path(__file__).with_name("LICENSE")
FOLDER = re.compile(r"[a-z][a-z0-9-]{0,30}")  # names of packs that can stand beside the other files
# Names that stand there already, also where capitals do not count; and those that Windows keeps for devices.
TAKEN = re.compile(r"src|license|sha256sums|con|prn|aux|nul|com[0-9]|lpt[0-9]")

_README = """\
# Golden vectors of the SV-X-Softmax losses

{packs}

Inputs of the losses and what comes out, correctly rounded, as JSON that any language can read. svref wrote this folder,
and no other file may be in it: `svref golden vendor` replaces, adds and removes files here.

    svref golden vendor DIR           # brings this folder, DIR, up to the packs of the installed svref
    svref golden vendor --check DIR   # exit code 1 if it is damaged, stale or withdrawn
    sha256sum -c SHA256SUMS           # the bytes alone, without svref; run it in this folder

`svref-vectors.lock` has the versions of the packs and the SHA-256 of every file. The licence is in LICENSE.
"""


def contents(packs: Sequence[PackFiles], packages: Mapping[str, str]) -> tuple[Lock, dict[str, bytes]]:
    """Return the lock of a folder of vendored packs, and the bytes of every file of it by its path.

    Parameters
    ----------
    packs : sequence of PackFiles
        The packs, with different names.
    packages : mapping of str
        The names of packages by their kind; those with a name "" get the usual one.

    Raises
    ------
    ValueError
        If two packs have one name, a pack has a name that no folder here may have, or a package cannot be made.
    """
    _check_packs(packs)
    names = _package_names(packs, packages)
    about = "\n".join(f"- `{p.name}` {p.manifest['version']}: {p.manifest['purpose']}" for p in packs)
    files = {
        ATTRIBUTES: b"* -text\n", "LICENSE": LICENSE.read_bytes(), "README.md": _README.format(packs=about).encode()
    }  # fmt: skip
    beside = [*files, LOCK, SUMS]
    for pack in packs:
        files |= {f"{pack.name}/{path}": data for path, data in _whole(pack).items()}
    for kind, name in names.items():
        files |= KINDS[kind].files(packs[0], name, beside)
    digests = {path: file_digest(data) for path, data in files.items()}
    locked = tuple(LockedPack(p.name, p.manifest["version"], p.digest, p.manifest["cases"]) for p in packs)
    lock = Lock(__version__, locked, names, digests)
    sums = canonical.sums({**digests, LOCK: file_digest(lock.encoded())})
    return lock, {**files, SUMS: sums, LOCK: lock.encoded()}


def _whole(pack: PackFiles) -> dict[str, bytes]:
    """Return all files of a pack, the manifest and SHA256SUMS among them."""
    digests = {**pack.manifest["files"], MANIFEST: pack.digest}
    return {**pack.files, MANIFEST: pack.manifest_bytes, SUMS: canonical.sums(digests)}


def _check_packs(packs: Sequence[PackFiles]) -> None:
    """Raise unless every pack can have a folder of its own."""
    names = [pack.name for pack in packs]
    for name in names:
        if not FOLDER.fullmatch(name) or TAKEN.fullmatch(name):
            raise ValueError(
                "the name of a pack becomes that of a folder: up to 31 letters from a to z, digits and '-', and none "
                f"of src, license, sha256sums and the devices of Windows; got {shortened(name)!r}."
            )
        if names.count(name) > 1:
            raise ValueError(f"packs must have different names; got {name} {names.count(name)} times.")


def _package_names(packs: Sequence[PackFiles], packages: Mapping[str, str]) -> dict[str, str]:
    """Return the names of packages by their kind; raise unless there is one pack and each kind can have its name."""
    if packages and len(packs) != 1:
        raise ValueError(
            f"a package holds one pack, whose version is its own; got {', '.join(pack.name for pack in packs)}. "
            "Vendor each pack into a folder of its own."
        )
    names = {}
    for kind, given in packages.items():
        if kind not in KINDS:
            raise ValueError(f"package must be one of {', '.join(KINDS)}; got {shortened(kind)!r}.")
        names[kind] = given or KINDS[kind].default_name(packs[0])
        if not KINDS[kind].NAME.fullmatch(names[kind]):
            raise ValueError(
                f"{kind} takes no package of the name {shortened(names[kind])!r}: use letters, '-' and digits."
            )
    return names
