"""A pack on disk: where it is, what it holds, and how it is read whole and written whole.

<pack>/manifest.json                        version, and the SHA-256 of every file
<pack>/SHA256SUMS                           the same for ``sha256sum -c``
<pack>/groups/<variant>/<group>.json        the cases, and a note on each of their flags
<pack>/errata.json                          ids of cases that were withdrawn, and why
<pack>/schema/*.schema.json                 the JSON Schemas of all these files

The pack `large` has large.json and large.safetensors in place of groups.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from svref._version import __version__
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, encoded, file_digest

FORMAT, FAMILY = "svref-vectors/1", "svref-vectors/"
LARGE = "large"  # the one pack whose cases are recipes and tensors
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"  # a file cannot hold its own digest, so the manifest lists neither
SCHEMAS = ("answers", "errata", "group", "large", "manifest", "report")
SHIPPED = Path(__file__).parents[1] / "vectors"  # the folder of the packs that ship with svref
DEFAULT = "core"
Directory = str | os.PathLike[str]


class VectorsError(Exception):
    """Vectors that are damaged or unknown, or files in the way of a pack; the message names file and case."""


# ---- where a pack is -------------------------------------------------------------------------------------------


def shipped() -> list[str]:
    """Return the names of the packs that ship with svref."""
    return sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())


def pack_root(directory: Directory | None = None, pack: str | None = None) -> Path:
    """Return the folder of a pack: `directory`, or that of the shipped pack named `pack`, by default core.

    Raises
    ------
    ValueError
        If both are given, the directory is "", or no pack of that name ships.
    VectorsError
        If an interrupted `write_pack` has moved the pack away.
    """
    if directory is None:
        name = DEFAULT if pack is None else pack
        if name not in shipped():
            raise ValueError(f"the packs that ship are {', '.join(shipped())}; got {name!r}. Give others by directory.")
        return SHIPPED / name
    if pack is not None:
        raise ValueError(f"give a directory or the name of a pack that ships, not both; got {directory} and {pack!r}.")
    if not os.fspath(directory):
        raise ValueError("the directory of a pack must have a name; got ''.")
    _check_not_moved(Path(directory))
    return Path(directory)


def root_of_name_or_directory(pack: str) -> Path:
    """Return the folder of a pack that is given by its name, if it ships, or else by its directory."""
    root = pack_root(pack=pack) if pack in shipped() else pack_root(pack)
    if not root.is_dir():
        raise ValueError(f"the pack must be one of {', '.join(shipped())}, or a directory; got {pack!r}.")
    return root


def is_large(root: Path) -> bool:
    """Return whether the manifest of a pack says that its cases are large ones."""
    manifest = _read_manifest(root)
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

    Raises
    ------
    VectorsError
        If a file is missing, was changed, or is not listed in the manifest.
    """
    manifest = _read_manifest(root)
    listed = sorted(manifest["files"])
    for name in (*listed, SUMS):
        if not _is_file(root / name):
            raise VectorsError(f"{root / name} must be there as a regular file, and is missing. Get the pack again.")
    for name in _unlisted(root, listed):
        raise VectorsError(f"{root / name} is not listed in the manifest. Remove it, or make the pack again.")
    pack = PackFiles(root, manifest, (root / MANIFEST).read_bytes(), {n: (root / n).read_bytes() for n in listed})
    for name, data in pack.files.items():
        if file_digest(data) != manifest["files"][name]:
            raise VectorsError(f"{root / name} was changed: its SHA-256 is not the manifest's. Get the pack again.")
    if (root / SUMS).read_bytes() != _sums(manifest["files"], pack.manifest_bytes):
        raise VectorsError(f"{root / SUMS} does not say what the manifest says. Get the pack again.")
    return pack


def _read_manifest(root: Path) -> dict[str, Any]:
    """Return the manifest of a pack; raise unless it is one, and of this format."""
    path = root / MANIFEST
    if not path.is_file():
        raise VectorsError(f"{root} is no pack of vectors: it has no manifest.json.")
    manifest = parse_json(path.read_bytes(), path)
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        raise VectorsError(f"{path} is of format {form!r}; this svref reads {FORMAT!r}. Get a matching svref.")
    texts = [manifest.get(key) for key in ("pack", "version", "purpose")]
    files = manifest.get("files")
    if not (isinstance(files, dict) and all(isinstance(text, str) for text in [*texts, *files.values()])):
        raise VectorsError(f"{path} does not follow the manifest schema. Get the pack again.")
    return dict(manifest)


def _unlisted(root: Path, listed: Collection[str]) -> list[str]:
    """Return the paths in a pack's folder that are neither its own regular files nor the folders that hold these."""
    own = {*listed, MANIFEST, SUMS}
    folders = {parent.as_posix() for name in own for parent in PurePosixPath(name).parents}
    there = {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    return sorted(n for n, p in there.items() if not (_is_file(p) if n in own else n in folders and _is_folder(p)))


def parse_json(data: bytes, where: str | Path) -> Json:
    """Return the content of JSON; raise a VectorsError that names the file `where` if the bytes are no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VectorsError(f"{where} is not JSON: {error}. Get the pack again.") from error


@contextmanager
def errors_as_damage(where: str | Path) -> Iterator[None]:
    """Turn every error in the `with` block into a VectorsError that names `where`, the file and the case.

    Code that takes a damaged file apart may raise anything; users should read which file is damaged.
    """
    try:
        yield
    except ValueError as error:
        raise VectorsError(f"{where}: {str(error).rstrip('.')}. Get the pack again.") from error
    except (TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise VectorsError(f"{where} cannot be read: {type(error).__name__}, {error}. Get the pack again.") from error


def schema_of(name: str) -> Json:
    """Return a JSON Schema that ships with svref, by its name in `SCHEMAS`."""
    return json.loads(resources.files("svref.golden").joinpath("schemas", f"{name}.schema.json").read_bytes())


def _is_file(path: Path) -> bool:
    """Return whether there is a regular file; a link to one does not count."""
    return not path.is_symlink() and path.is_file()


def _is_folder(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir()


# ---- written whole ---------------------------------------------------------------------------------------------


def common_files(name: str) -> dict[str, bytes]:
    """Return what every pack holds besides its cases: the schemas, and an empty list of withdrawn ids."""
    schemas = {f"schema/{schema}.schema.json": encoded(schema_of(schema)) for schema in SCHEMAS}
    return {**schemas, "errata.json": encoded({"format": FORMAT, "pack": name, "withdrawn": []})}


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


def write_pack(directory: Path, files: Mapping[str, bytes], name: str) -> None:
    """Write the files of the pack of that name; an older one, also behind a link, is replaced as a whole.

    The new files are written into a folder beside it. The old folder is renamed, then the new one, and a kill in
    between loses nothing: the next `write_pack` renames the old folder back.
    """
    directory = directory.resolve()
    check_replaceable(directory, name)
    directory.parent.mkdir(parents=True, exist_ok=True)
    new, old = (directory.with_name(f".{directory.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        for path, data in files.items():
            write_file(new / path, data)
        if directory.exists():
            directory.replace(old)
        new.replace(directory)
    finally:
        if old.exists() and not directory.exists():
            old.replace(directory)
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_replaceable(directory: Path, name: str) -> None:
    """Raise unless `directory` can be written, and is free or holds only the pack of that name, whole or damaged.

    What an interrupted `write_pack` left there is cleared away first.
    """
    directory = directory.resolve()
    _check_writable(directory)
    _clear_interrupted_write(directory)
    if directory.exists() and not directory.is_dir():
        raise VectorsError(f"{directory} must be a directory, or not exist yet, but is a file; nothing was written.")
    others = _other_files(directory, name) if directory.exists() else []
    if others:
        raise VectorsError(
            f"{directory} must be new, empty, or a pack {name!r} to be replaced, but holds other files, "
            f"first {others[0]}; nothing was written."
        )


def _check_writable(directory: Path) -> None:
    """Raise unless a pack can be put there. Making one takes minutes, so this is asked before."""
    above = next((parent for parent in directory.parents if parent.exists()), directory)
    if not above.is_dir():
        raise ValueError(f"{directory} cannot be made: {above} must be a folder, and is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{directory} cannot be made: {above} must be a folder that may be written to, and is not.")


def _other_files(directory: Path, name: str) -> list[str]:
    """Return what is there besides the files of the pack of that name; everything if that pack is not there."""
    try:
        manifest = parse_json((directory / MANIFEST).read_bytes(), MANIFEST)
        if manifest["format"].startswith(FAMILY) and manifest["pack"] == name:
            return _unlisted(directory, list(manifest["files"]))
    except (OSError, VectorsError, LookupError, TypeError, AttributeError):
        pass  # a file that cannot be read as a manifest makes no pack
    return sorted(path.name for path in directory.iterdir())


def _clear_interrupted_write(directory: Path) -> None:
    """Put back the pack that a killed `write_pack` had moved away, and remove what else it left beside it."""
    with suppress(OSError):  # a folder that may not be listed or changed stays as it is
        for path, pid, end in _temporary_folders(directory):
            if not _is_running(pid):
                if end == "old" and not directory.exists():
                    path.replace(directory)
                else:
                    shutil.rmtree(path, ignore_errors=True)


def _check_not_moved(directory: Path) -> None:
    """Raise if a `write_pack` has moved the pack away and not replaced it.

    Reading changes nothing on disk: that `write_pack` may still run, perhaps on another machine.
    """
    directory, moved = directory.resolve(), None
    if not directory.exists():
        with suppress(OSError):  # in a folder that may not be listed nothing is found
            moved = next((path for path, _, end in _temporary_folders(directory) if end == "old"), None)
    if moved is not None:
        raise VectorsError(
            f"{directory} is not there: an interrupted or unfinished make moved it to {moved.name}. Run make again."
        )


def _temporary_folders(directory: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield each folder that a `write_pack` has beside a pack, its process number, and "new" or "old"."""
    form = re.compile(rf"\.{re.escape(directory.name)}\.(\d+)\.(new|old)")
    for path in sorted(directory.parent.iterdir()):
        match = form.fullmatch(path.name)
        if match:
            yield path, int(match[1]), match[2]


def _is_running(pid: int) -> bool:
    """Return whether another process of that number runs, and so may still be writing."""
    if pid == os.getpid() or os.name == "nt":  # Windows has no signal that only asks
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
