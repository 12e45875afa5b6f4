"""What makes a pack fit to be published, beyond its digests: canonical files, those it must have, and no others.

`verify` asks for all of it; reading does not, so that a pack of an older or newer svref can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from svref.golden.files import canonical
from svref.golden.files.canonical import Json, encoded
from svref.golden.files.pack import LARGE, MANIFEST, Tree, VectorsError, blaming, check_schemas, common, parsed
from svref.golden.notes import NOTES
from svref.golden.vectors import Vector

CASES = {True: re.compile(r"large\.json|large\.safetensors"), False: re.compile(r"groups/[^/]+/[^/]+\.json")}


def check(tree: Tree, ids: Sequence[str]) -> None:
    """Raise unless a pack, of whichever kind, is as `make` would have written it around cases of these ids."""
    check_schemas(tree)
    _check_files(tree)
    _check_canonical(tree)
    _check_errata(tree, ids)


def check_cases(tree: Tree, cases: Sequence[Vector]) -> None:
    """Raise unless ids are those of the content, and notes those that svref has on exactly the flags of a group."""
    for vector in cases:
        own = canonical.identity(vector.variant, vector.case["parameters"], vector.case["inputs"])
        expected = canonical.case_id(vector.variant, vector.group, own)
        with blaming(f"{tree.root / vector.file}, case {vector.id}"):
            if vector.id != expected:
                raise ValueError(f"the id must be that of the content, {expected}.")
            if len(set(vector.flags)) < len(vector.flags):
                raise ValueError(f"flags must differ; got {', '.join(vector.flags)}.")
    for name, group in tree.groups():
        _check_notes(tree.root / name, group)


def check_complete(root: Path, ids: Collection[str], recipes: Iterable[str]) -> None:
    """Raise unless a pack has the cases of its recipes and no others."""
    known = set(recipes)
    for name in sorted(known.difference(ids)):
        raise VectorsError(f"{root}: the case {name} of its recipes was dropped. Get the pack again.")
    for name in sorted(set(ids) - known):
        raise VectorsError(
            f"{root}: the case {name} is of none of its recipes. Give a pack of your own another version."
        )


def _check_notes(where: Path, group: Json) -> None:
    flags = {flag for case in group["cases"] for flag in case["flags"]}
    own = {flag: NOTES[flag]._asdict() for flag in flags & NOTES.keys()}
    wrong = sorted(flag for flag in own | group["notes"] if own.get(flag) != group["notes"].get(flag))
    if wrong:
        raise VectorsError(
            f"{where}: the notes must be those of this svref on the flags of the cases, but the one on "
            f"{wrong[0]!r} is not. Make the pack again."
        )


def _check_canonical(tree: Tree) -> None:
    """Raise unless every JSON file is the one way to write what it says."""
    for name, data in {MANIFEST: tree.sealed, **tree.files}.items():
        if name.endswith(".json"):
            with blaming(tree.root / name):
                if encoded(parsed(data, tree.root / name)) != data:
                    raise ValueError("a file must be RFC 8785 JSON and a line feed; it says the same in other bytes.")


def _check_files(tree: Tree) -> None:
    """Raise unless there are the files that every pack has, as svref has them, and besides them cases of its kind."""
    large = tree.manifest["pack"] == LARGE
    required = common(tree.manifest["pack"])
    for name in sorted(required.keys() - tree.files.keys()):
        raise VectorsError(f"{tree.root / name} must be part of every pack, and is not. Make the pack again.")
    for name in sorted(tree.files.keys() - required.keys()):
        if not CASES[large].fullmatch(name):
            raise VectorsError(f"{tree.root / name} must not be part of a pack of this kind. Make the pack again.")
    for name, data in required.items():
        if name.startswith("schema/") and tree.files[name] != data:
            raise VectorsError(f"{tree.root / name} is not the schema of this svref. Make the pack again.")


def _check_errata(tree: Tree, ids: Collection[str]) -> None:
    """Raise unless the list of withdrawn ids is of this pack, names each once, and none that is still there."""
    errata, where = tree.json("errata.json"), tree.root / "errata.json"
    withdrawn = [entry["id"] for entry in errata["withdrawn"]]
    if errata["pack"] != tree.manifest["pack"]:
        raise VectorsError(f"{where} is of the pack {errata['pack']!r}. Get the pack again.")
    for i, name in enumerate(withdrawn):
        if name in ids or name in withdrawn[:i]:
            what = "is still in the pack" if name in ids else "is listed twice"
            raise VectorsError(f"{where}: the withdrawn case {name} {what}. Get the pack again.")
