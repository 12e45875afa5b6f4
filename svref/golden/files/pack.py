"""A pack on disk: where it is, what it holds, and how it is read whole.

<pack>/manifest.json                        version, and the SHA-256 of every file
<pack>/SHA256SUMS                           the same for ``sha256sum -c``
<pack>/groups/<variant>/<group>.json        the cases, and a note on each of their flags
<pack>/power.json                           the known deviations that each case exposes
<pack>/errata.json                          ids of cases that were withdrawn, and why
<pack>/schema/*.schema.json                 the JSON Schemas of all these files

The pack `large` has large.json and large.safetensors in place of groups and power.json.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from svref._version import __version__
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, encoded, file_digest
from svref.golden.files.reading import exact_whole, finite, read_regular, shortened, strict_json
from svref.golden.files.schema import IN_PACKS, schema_of
from svref.golden.files.temporary import temporary_names

FORMAT, FAMILY = "svref-vectors/1", "svref-vectors/"
LARGE = "large"  # the one pack whose cases are recipes and tensors
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"  # a file cannot hold its own digest, so the manifest lists neither
SHIPPED = Path(__file__).parents[1] / "vectors"  # the folder of the packs that ship with svref
DEFAULT = "core"
# Names that every file system holds, and that mean the same on each: no "..", no letter that has two forms in Unicode.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
MOST_LETTERS = 200  # of such a name
MOST_OF_MESSAGE = 400  # characters of what a file says, when it is quoted
MOST_OF_PACK = 256 * 2**20  # bytes of all files; the largest pack, core, has 2 MB
Directory = str | os.PathLike[str]


class VectorsError(Exception):
    """Vectors that are damaged or unknown, or files in the way of a pack; the message names file and case."""


# ---- where a pack is -------------------------------------------------------------------------------------------


def shipped() -> list[str]:
    """Return the names of the packs that ship with svref."""
    return sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())


def pack_root(directory: Directory | None = None, pack: str | None = None) -> Path:
    """Return the folder of a pack: `directory`, or the one that the word `pack` names, by default core.

    Every command names a pack by such a word: the name of a pack that ships, or else a directory.

    Raises
    ------
    ValueError
        If both are given, one is "", or `pack` is neither the name of a pack that ships nor a directory.
    VectorsError
        If an interrupted `write_pack` has moved the pack away.
    """
    if directory is None:
        return _root_of_word(DEFAULT if pack is None else pack)
    if pack is not None:
        raise ValueError(f"give a directory or the name of a pack, not both; got {directory} and {pack!r}.")
    if not os.fspath(directory):
        raise ValueError("the directory of a pack must have a name; got ''.")
    _check_not_moved(Path(os.path.realpath(directory)))
    return Path(directory)


def pack_roots(directory: Directory | None = None, pack: str | None = None) -> list[Path]:
    """Return the folder of a pack, as `pack_root` does, or the folders of all packs in a folder of packs."""
    root = pack_root(directory, pack)
    return _packs_in(root) or [root]


def _root_of_word(pack: str) -> Path:
    """Return the folder of a pack that is given by its name, if it ships, or else by its directory."""
    if pack in shipped():
        return SHIPPED / pack
    if pack:
        _check_not_moved(Path(os.path.realpath(pack)))
    if not os.path.isdir(pack):
        raise ValueError(f"pack must be one of {', '.join(shipped())}, or a directory; got {shortened(pack)!r}.")
    return Path(pack)


def _packs_in(root: Path) -> list[Path]:
    """Return the folders in a folder that have a manifest, sorted; none if the folder itself has one."""
    if os.path.lexists(root / MANIFEST) or not os.path.isdir(root):
        return []
    with errors_as_damage(root):
        return sorted(folder for folder in root.iterdir() if os.path.lexists(folder / MANIFEST))


def _check_not_moved(directory: Path) -> None:
    """Raise if a `write_pack` has moved the pack away and not replaced it.

    Reading changes nothing on disk: that `write_pack` may still run, perhaps on another machine.
    """
    moved = [] if os.path.exists(directory) else temporary_names(directory, "old")
    if moved:
        raise VectorsError(
            f"{directory} is not there: an interrupted or unfinished make moved it to {moved[0].name}. Run make again."
        )


def is_large(root: Path) -> bool:
    """Return whether the manifest of a pack says that its cases are large ones."""
    return _says_large(_read_manifest(root)[1])


def _says_large(manifest: Mapping[str, Json]) -> bool:
    return manifest["pack"] == LARGE or "large.json" in manifest["files"]


# ---- read whole ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackFiles:
    """The files of a pack as they were read; each has the SHA-256 that the manifest says.

    Parameters
    ----------
    root : Path
        The pack's folder.
    manifest : dict
        The content of manifest.json.
    manifest_bytes : bytes
        The manifest as it is on disk.
    files : mapping of bytes
        The other files, but for SHA256SUMS, by their paths in the pack.
    """

    root: Path
    manifest: dict[str, Any]
    manifest_bytes: bytes = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def name(self) -> str:
        """The pack's name."""
        return str(self.manifest["pack"])

    @property
    def has_large_cases(self) -> bool:
        """Whether its manifest says that its cases are large ones."""
        return _says_large(self.manifest)

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds the digest of every other file."""
        return file_digest(self.manifest_bytes)

    def json(self, name: str) -> Json:
        """Return the content of a JSON file, which is parsed once; do not change it."""
        if name not in self._parsed:
            self._parsed[name] = parse_json(self.files[name], self.root / name)
        return self._parsed[name]

    @cached_property
    def _parsed(self) -> dict[str, Json]:
        return {}

    def groups(self) -> Iterator[tuple[str, Json]]:
        """Yield the path and the content of every group file."""
        yield from ((name, self.json(name)) for name in self.files if name.startswith("groups/"))


def read_pack(root: Path) -> PackFiles:
    """Return the files of a pack.

    Names, kinds and sizes are checked before any of the files is opened. If a `make` replaces the pack meanwhile, it is
    read again.

    Raises
    ------
    VectorsError
        If a file is missing, is no regular file, was changed, is larger than packs may have, or is not listed in the
        manifest; or if the manifest lists a name that packs may not have.
    """
    while True:
        before = which_folder(root)
        try:
            return _read_once(root)
        except VectorsError:
            if which_folder(root) == before:
                raise


def which_folder(path: Path) -> tuple[int, int, int] | None:
    """Return what tells one folder from another that takes its place, or if it was moved and put back; None if none is.

    Numbers of folders are used again. The time of the last change also tells: a folder that is renamed gets a new one.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _read_once(root: Path) -> PackFiles:
    """Return the files of a pack; raise as `read_pack`, and also if the pack is replaced meanwhile."""
    manifest_bytes, manifest = _read_manifest(root)
    _check_names(root, manifest["files"])
    with errors_as_damage(root):
        _check_there(root, sorted(manifest["files"]))
    pack = PackFiles(root, manifest, manifest_bytes, {n: read_limited(root / n) for n in sorted(manifest["files"])})
    for name, data in pack.files.items():
        if file_digest(data) != manifest["files"][name]:
            raise VectorsError(f"{root / name} was changed: its SHA-256 is not the manifest's. Get the pack again.")
    if read_limited(root / SUMS) != _sums(manifest["files"], manifest_bytes):
        raise VectorsError(f"{root / SUMS} does not say what the manifest says. Get the pack again.")
    return pack


def read_limited(path: Path) -> bytes:
    """Return the bytes of a regular file of a pack; raise a VectorsError if it is something else, or too large."""
    with errors_as_damage(path):
        return read_regular(path)


def _read_manifest(root: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the manifest of a pack as bytes and as content; raise unless it is one, and of this format."""
    path = root / MANIFEST
    if not os.path.lexists(path):
        raise VectorsError(
            f"{shortened(str(root))} is no pack of vectors: it has no manifest.json.{_packs_instead(root)}"
        )
    data = read_limited(path)
    manifest = parse_json(data, path)
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        found = shortened(repr(form))
        raise VectorsError(f"{path} is of format {found}; this svref reads {FORMAT!r}. Get a matching svref.")
    texts = [manifest.get(key) for key in ("pack", "version", "purpose")]
    files, is_counted = manifest.get("files"), type(manifest.get("cases")) is int
    if not (isinstance(files, dict) and is_counted and all(map(_is_line, [*texts, *files.values()]))):
        raise VectorsError(f"{path} does not follow the manifest schema. Get the pack again.")
    return data, dict(manifest)


def _packs_instead(root: Path) -> str:
    """Return a sentence that names the packs in a folder of packs; "" if it holds none."""
    names = [str(folder) for folder in _packs_in(root)]
    return f" Give one of the packs in it: {shortened(', '.join(names), MOST_OF_MESSAGE)}." if names else ""


def _is_line(text: Json) -> bool:
    """Return whether a value is a text that can be printed on one line."""
    return isinstance(text, str) and text.isprintable()


def _check_names(root: Path, listed: Collection[str]) -> None:
    """Raise unless every name in a manifest is one that files of packs may have; none of them leads out of the pack."""
    for name in listed:
        if len(name) > MOST_LETTERS or not NAME.fullmatch(name):
            raise VectorsError(
                f"{root / MANIFEST} lists {shortened(ascii(name))}. The name of a file must be of letters from a to z, "
                f"digits, '-', '_' and '.', in folders apart by '/', of at most {MOST_LETTERS} letters in all, and no "
                "part may begin with a '.'. Get the pack again."
            )


def _check_there(root: Path, listed: Collection[str]) -> None:
    """Raise unless a pack's folder holds exactly the regular files that are listed, of no more bytes than it may."""
    for name in (*listed, SUMS):
        if not _is_file(root / name):
            raise VectorsError(f"{root / name} must be there as a regular file, and is missing. Get the pack again.")
    for name in unlisted(root, listed):
        where = shortened(str(root / name))
        raise VectorsError(f"{where} is not listed in the manifest. Remove it, or make the pack again.")
    sizes = {name: (root / name).stat().st_size for name in (*listed, SUMS)}
    if sum(sizes.values()) > MOST_OF_PACK:
        largest = max(sizes, key=sizes.__getitem__)
        raise VectorsError(
            f"{root} may have at most {MOST_OF_PACK:,} bytes, and has {sum(sizes.values()):,}, "
            f"the most in {largest}. Get the pack again."
        )


def unlisted(root: Path, listed: Collection[str]) -> list[str]:
    """Return the paths in a pack's folder that are neither its own regular files nor the folders that hold these.

    A folder that holds none of the pack's files is not looked into.
    """
    own = {*listed, MANIFEST, SUMS}
    folders = {parent.as_posix() for name in own for parent in PurePosixPath(name).parents}
    others, waiting = [], [""]
    while waiting:
        above = waiting.pop()
        for entry in os.scandir(root / above):
            name = above + entry.name
            if name in folders and entry.is_dir(follow_symlinks=False):
                waiting.append(f"{name}/")
            elif name not in own or not entry.is_file(follow_symlinks=False):
                others.append(name)
    return sorted(others)


def parse_json(data: bytes, where: str | Path) -> Json:
    """Return the content of JSON; raise a VectorsError that names the file `where` if the bytes are no JSON."""
    try:
        return strict_json(data, exact_whole, finite)
    except ValueError as error:
        raise VectorsError(f"{where} is not JSON: {str(error).rstrip('.')}. Get the pack again.") from error


@contextmanager
def errors_as_damage(where: str | Path) -> Iterator[None]:
    """Turn every error in the `with` block into a VectorsError that names `where`, the file and the case.

    Code that takes a damaged file apart may raise anything; users should read which file is damaged.
    """
    try:
        yield
    except ValueError as error:
        why = shortened(str(error), MOST_OF_MESSAGE).rstrip(".")
        raise VectorsError(f"{where}: {why}. Get the pack again.") from error
    except OSError as error:
        raise VectorsError(f"{where} cannot be read: {error.strerror}. Get the pack again.") from error
    except (TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        why = f"{type(error).__name__}, {shortened(str(error))}"
        raise VectorsError(f"{where} cannot be read: {why}. Get the pack again.") from error


def _is_file(path: Path) -> bool:
    """Return whether there is a regular file; a link to one does not count."""
    return not path.is_symlink() and path.is_file()


# ---- what every pack holds --------------------------------------------------------------------------------------


def heading(name: str) -> dict[str, Json]:
    """Return what the files of a pack of that name begin with."""
    return {"format": FORMAT, "pack": name}


def common_files(name: str) -> dict[str, bytes]:
    """Return what every pack holds besides its cases: the schemas, and an empty list of withdrawn ids."""
    schemas = {f"schema/{schema}.schema.json": encoded(schema_of(schema)) for schema in IN_PACKS}
    return {**schemas, "errata.json": encoded({**heading(name), "withdrawn": []})}


def with_manifest(name: str, version: str, purpose: str, files: Mapping[str, bytes], cases: int) -> dict[str, bytes]:
    """Return the files of a pack with the manifest and SHA256SUMS that list them."""
    digests = {path: file_digest(data) for path, data in files.items()}
    manifest = {
        "format": FORMAT, "pack": name, "version": version, "purpose": purpose,
        "generator": f"svref {__version__}", "cases": cases, "files": digests,
    }  # fmt: skip
    data = encoded(manifest)
    return {**files, MANIFEST: data, SUMS: _sums(digests, data)}


def _sums(digests: Mapping[str, str], manifest: bytes) -> bytes:
    return canonical.sums({**digests, MANIFEST: file_digest(manifest)})
