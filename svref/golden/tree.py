"""A pack on disk: made whole or not at all, read back only if every byte is as it was.

<pack>/manifest.json                        version, schema, and the SHA-256 of every file
<pack>/SHA256SUMS                           the same for ``sha256sum -c``
<pack>/groups/<variant>/<group>.json        the cases, their notes
<pack>/errata.json                          ids that were withdrawn, and why
<pack>/schema/*.schema.json                 what all of these look like
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from svref._version import __version__
from svref.golden import canonical
from svref.golden.canonical import Json, encoded, file_digest

FORMAT = "svref-vectors/1"
OF_A_PACK = re.compile(
    r"(manifest|errata|large)\.json|large\.safetensors|SHA256SUMS|groups/[^/]+/[^/]+\.json|schema/[a-z]+\.schema\.json"
)
NOT_LISTED = ("manifest.json", "SHA256SUMS")  # a file cannot hold its own digest


class VectorsError(Exception):
    """Vectors that are damaged, unknown, or in the way; the message names the file and the case."""


def index(name: str, version: str, purpose: str, files: Mapping[str, bytes], cases: int) -> dict[str, bytes]:
    """Return the manifest of a pack's files, and the sums."""
    digests = {path: file_digest(data) for path, data in files.items()}
    manifest = {
        "format": FORMAT, "pack": name, "version": version, "purpose": purpose,
        "generator": f"svref {__version__}", "cases": cases, "files": digests,
    }  # fmt: skip
    made = encoded(manifest)
    return {"manifest.json": made, "SHA256SUMS": canonical.sums({**digests, "manifest.json": file_digest(made)})}


def check_free(directory: Path) -> None:
    """Raise unless there is nothing, or a pack, whole or damaged, which may be replaced."""
    if directory.exists() and (directory.is_file() or any(directory.iterdir())) and not _is_pack(directory):
        raise VectorsError(f"{directory} holds other files; nothing was written. Choose an empty or a new directory.")


def write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a pack's files where there is nothing, or an older tree of a pack, which is replaced as a whole."""
    check_free(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = directory.with_name(f".{directory.name}.{os.getpid()}.new")
    old = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    try:
        for name, data in files.items():
            canonical.write(fresh / name, data)
        if directory.exists():
            directory.replace(old)
        fresh.replace(directory)
    finally:
        if old.exists() and not directory.exists():
            old.replace(directory)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def read(directory: Path) -> tuple[dict[str, Json], dict[str, bytes]]:
    """Return the manifest and the files of a pack; raise unless every one is there, listed, and whole."""
    manifest = _manifest(directory)
    found = {p.relative_to(directory).as_posix(): p for p in sorted(directory.rglob("*")) if p.is_file()}
    listed = set(manifest["files"])
    for name in sorted(listed - set(found)):
        raise VectorsError(f"{directory / name} is listed in the manifest and missing. Get the pack again.")
    for name in sorted(set(found) - listed - set(NOT_LISTED)):
        raise VectorsError(f"{directory / name} is not listed in the manifest. Remove it, or make the pack again.")
    files = {name: found[name].read_bytes() for name in sorted(listed)}
    for name, data in files.items():
        if file_digest(data) != manifest["files"][name]:
            raise VectorsError(
                f"{directory / name} was changed: its SHA-256 is not the manifest's. Get the pack again."
            )
    return manifest, files


def groups(files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield the path and the content of every group."""
    for name, data in files.items():
        if name.startswith("groups/"):
            yield name, json.loads(data)


def check_schemas(manifest: Json, files: Mapping[str, bytes]) -> None:
    """Raise unless the manifest and every file of a pack are what their schemas say."""
    validate("manifest", manifest, "manifest.json")
    for name, data in files.items():
        kind = "group" if name.startswith("groups/") else name.removesuffix(".json")
        if not name.startswith("schema/"):
            validate(kind, json.loads(data), name)


def validate(schema: str, content: Json, name: str) -> None:
    """Raise unless `content` is what its schema says."""
    try:
        import jsonschema  # the packs that ship are read without it
    except ImportError as error:
        raise ImportError("checking a schema needs jsonschema: pip install 'svref[golden]'") from error
    validator = jsonschema.Draft202012Validator(schema_of(schema))
    first = jsonschema.exceptions.best_match(validator.iter_errors(content))
    if first is not None:
        raise VectorsError(f"{name} does not follow the {schema} schema at {first.json_path}: {first.message}")


def _manifest(directory: Path) -> dict[str, Any]:
    path = directory / "manifest.json"
    if not path.is_file():
        raise VectorsError(f"{directory} is no pack of vectors: it has no manifest.json.")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise VectorsError(f"{path} is not JSON: {error}. Get the pack again.") from error
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if form != FORMAT:
        raise VectorsError(f"{path} is of format {form!r}; this svref reads {FORMAT!r}. Get a matching svref.")
    if not (isinstance(manifest.get("files"), dict) and {"pack", "version", "purpose"} <= manifest.keys()):
        raise VectorsError(f"{path} does not follow the manifest schema. Get the pack again.")
    return dict(manifest)


def _is_pack(directory: Path) -> bool:
    """Return whether a directory holds what a pack holds, whole or damaged, and nothing else."""
    files = [p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()]
    return "manifest.json" in files and all(OF_A_PACK.fullmatch(name) for name in files)


def schema_of(name: str) -> Json:
    """Return a schema that ships with svref."""
    return json.loads(resources.files("svref.golden").joinpath("schemas", f"{name}.schema.json").read_bytes())
