"""A pack on disk, read back only if every byte is as it was and nothing else is there.

<pack>/manifest.json                        version, and the SHA-256 of every file
<pack>/SHA256SUMS                           the same for ``sha256sum -c``
<pack>/groups/<variant>/<group>.json        the cases, their notes; the pack `large` has large.json, large.safetensors
<pack>/errata.json                          ids that were withdrawn, and why
<pack>/schema/*.schema.json                 what all of these look like
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from svref._version import __version__
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, encoded, file_digest

FORMAT, FAMILY = "svref-vectors/1", "svref-vectors/"
LARGE = "large"  # the one pack whose cases are recipes and tensors
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"  # a file cannot hold its own digest, so these are not listed
SCHEMAS = ("answers", "errata", "group", "large", "manifest", "report")


class VectorsError(Exception):
    """Vectors that are damaged, unknown, or in the way; the message names the file and the case."""


@dataclass(frozen=True)
class Tree:
    """The files of a pack, each with the SHA-256 that the manifest says.

    Parameters
    ----------
    root : Path
        Its directory.
    manifest : dict
        What manifest.json says.
    sealed : bytes
        The manifest as it is on disk; its digest is that of every byte.
    files : mapping of bytes
        The other files by their paths.
    """

    root: Path
    manifest: dict[str, Any]
    sealed: bytes = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)

    def json(self, name: str) -> Json:
        """Return what a JSON file says."""
        return parsed(self.files[name], self.root / name)

    def groups(self) -> Iterator[tuple[str, Json]]:
        """Yield the path and the content of every group."""
        yield from ((name, self.json(name)) for name in self.files if name.startswith("groups/"))


def index(name: str, version: str, purpose: str, files: Mapping[str, bytes], cases: int) -> dict[str, bytes]:
    """Return the manifest of a pack's files, and the sums."""
    digests = {path: file_digest(data) for path, data in files.items()}
    manifest = {
        "format": FORMAT, "pack": name, "version": version, "purpose": purpose,
        "generator": f"svref {__version__}", "cases": cases, "files": digests,
    }  # fmt: skip
    made = encoded(manifest)
    return {MANIFEST: made, SUMS: _sums(digests, made)}


def common(name: str) -> dict[str, bytes]:
    """Return what every new pack holds besides its cases: the schemas, and a list of withdrawn ids that is empty."""
    schemas = {f"schema/{schema}.schema.json": encoded(schema_of(schema)) for schema in SCHEMAS}
    return {**schemas, "errata.json": encoded({"format": FORMAT, "pack": name, "withdrawn": []})}


def read(root: Path) -> Tree:
    """Return the files of a pack; raise unless every one is there, listed and whole, and nothing else is there."""
    manifest = manifest_of(root)
    listed = sorted(manifest["files"])
    for name in (*listed, SUMS):
        if not _is_file(root / name):
            raise VectorsError(f"{root / name} must be there as a regular file, and is missing. Get the pack again.")
    for name in strangers(root, listed):
        raise VectorsError(f"{root / name} is not listed in the manifest. Remove it, or make the pack again.")
    sealed, files = (root / MANIFEST).read_bytes(), {name: (root / name).read_bytes() for name in listed}
    for name, data in files.items():
        if file_digest(data) != manifest["files"][name]:
            raise VectorsError(f"{root / name} was changed: its SHA-256 is not the manifest's. Get the pack again.")
    if (root / SUMS).read_bytes() != _sums(manifest["files"], sealed):
        raise VectorsError(f"{root / SUMS} does not say what the manifest says. Get the pack again.")
    return Tree(root, manifest, sealed, files)


def strangers(root: Path, listed: Collection[str]) -> list[str]:
    """Return what a pack's directory holds besides its files, each a regular one, and the folders on their way."""
    own = {*listed, MANIFEST, SUMS}
    above = {parent.as_posix() for name in own for parent in PurePosixPath(name).parents}
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    return sorted(n for n, p in found.items() if not (_is_file(p) if n in own else n in above and _is_folder(p)))


def manifest_of(root: Path) -> dict[str, Any]:
    """Return the manifest of a pack; raise unless it is one of this format."""
    path = root / MANIFEST
    if not path.is_file():
        raise VectorsError(f"{root} is no pack of vectors: it has no manifest.json.")
    manifest = parsed(path.read_bytes(), path)
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        raise VectorsError(f"{path} is of format {form!r}; this svref reads {FORMAT!r}. Get a matching svref.")
    texts = [manifest.get(key) for key in ("pack", "version", "purpose")]
    files = manifest.get("files")
    if not (isinstance(files, dict) and all(isinstance(text, str) for text in [*texts, *files.values()])):
        raise VectorsError(f"{path} does not follow the manifest schema. Get the pack again.")
    return dict(manifest)


def parsed(data: bytes, where: str | Path) -> Json:
    """Return what JSON says; a VectorsError names the file that is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VectorsError(f"{where} is not JSON: {error}. Get the pack again.") from error


@contextmanager
def blaming(where: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong while a damaged file is taken apart into a VectorsError that names it."""
    try:
        yield
    except ValueError as error:
        raise VectorsError(f"{where}: {str(error).rstrip('.')}. Get the pack again.") from error
    except (TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise VectorsError(f"{where} cannot be read: {type(error).__name__}, {error}. Get the pack again.") from error


def check_count(tree: Tree, cases: int) -> None:
    """Raise unless a pack has as many cases as its manifest says."""
    said = tree.manifest.get("cases")
    if said != cases:
        raise VectorsError(f"{tree.root / MANIFEST} must count {cases} cases, but says {said}. Get the pack again.")


def check_schemas(tree: Tree) -> None:
    """Raise unless the manifest and every JSON file of a pack are what their schemas say."""
    validate("manifest", tree.manifest, str(tree.root / MANIFEST))
    for name in tree.files:
        kind = "group" if name.startswith("groups/") else name.removesuffix(".json")
        if kind in SCHEMAS:
            validate(kind, tree.json(name), str(tree.root / name))


def validate(schema: str, content: Json, name: str) -> None:
    """Raise unless `content` is what its schema says."""
    try:
        import jsonschema  # the packs that ship are read without it
    except ImportError as error:
        raise ImportError("checking a schema needs jsonschema: pip install 'svref[golden]'") from error
    validator = jsonschema.Draft202012Validator(schema_of(schema))
    first = jsonschema.exceptions.best_match(validator.iter_errors(content))
    if first is not None:
        why = shortened(first.message)  # which may quote all of what is wrong
        raise VectorsError(f"{name} does not follow the {schema} schema at {shortened(first.json_path)}: {why}")


def shortened(text: str, most: int = 200) -> str:
    """Return a text, without its middle if it is long."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2 - 5) :]}"


def schema_of(name: str) -> Json:
    """Return a schema that ships with svref."""
    return json.loads(resources.files("svref.golden").joinpath("schemas", f"{name}.schema.json").read_bytes())


def _sums(digests: Mapping[str, str], manifest: bytes) -> bytes:
    return canonical.sums({**digests, MANIFEST: file_digest(manifest)})


def _is_file(path: Path) -> bool:
    """Return whether there is a regular file; a link is none."""
    return not path.is_symlink() and path.is_file()


def _is_folder(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir()
