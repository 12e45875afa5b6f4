"""From recipes to files: the bytes of a pack, the same on every machine; and from files to what they should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby

from svref.checks import Progress
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, encoded, tensor
from svref.golden.files.pack import FORMAT, blaming, common, index
from svref.golden.making.packs import Pack
from svref.golden.making.power import power
from svref.golden.making.recipes import Recipe
from svref.golden.making.records import record
from svref.golden.notes import NOTES
from svref.golden.vectors import Vector, Vectors


def build(pack: Pack, progress: Progress | None = None) -> dict[str, bytes]:
    """Return every file of a pack by its path."""
    recipes = list(pack.recipes())
    files = common(pack.name)
    done = 0
    for (variant, group), some in groupby(recipes, lambda r: (r.variant, r.group)):
        cases = []
        for recipe in some:
            cases.append(case(recipe))
            done += 1
            if progress is not None:
                progress(done, len(recipes))
        files[f"groups/{variant}/{group}.json"] = encoded(_group(pack, variant, group, cases))
    return {**files, **index(pack.name, pack.version, pack.purpose, files, len(recipes))}


def case(recipe: Recipe) -> dict[str, Json]:
    """Return a case with its power: the record is read back as a user reads it, and every deviation run on it."""
    made = record(recipe)
    if made["result"] == "error":
        return made
    return {**made, "power": power(Vector.of(recipe.variant, recipe.group, made, _notes(recipe.flags)))}


def id_of(recipe: Recipe) -> str:
    """Return the id of the case of a recipe, without computing it."""
    inputs = {name: tensor(values) for name, values in recipe.inputs.items()}
    own = canonical.identity(recipe.variant, recipe.parameters, inputs)
    return canonical.case_id(recipe.variant, recipe.group, own)


def _group(pack: Pack, variant: str, group: str, cases: list[dict[str, Json]]) -> dict[str, Json]:
    notes = _notes(sorted({flag for case in cases for flag in case["flags"]}))
    return {"format": FORMAT, "pack": pack.name, "variant": variant, "group": group, "notes": notes, "cases": cases}


def _notes(flags: Iterable[str]) -> dict[str, Json]:
    return {flag: NOTES[flag]._asdict() for flag in flags}


def differences(vectors: Vectors, progress: Progress | None = None) -> Iterator[tuple[Vector, set[str]]]:
    """Yield the cases that are not, to the last bit, what this svref makes of their inputs, and which keys differ."""
    for i, vector in enumerate(vectors):
        with blaming(f"{vectors.root / vector.file}, case {vector.id}"):
            again = json.loads(encoded(case(_recipe(vector))))
        keys = {key for key in again | vector.case if again.get(key) != vector.case.get(key)}
        if keys:
            yield vector, keys
        if progress is not None:
            progress(i + 1, len(vectors))


def _recipe(vector: Vector) -> Recipe:
    inputs = {name: values.tolist() for name, values in vector.inputs.items()}
    return Recipe(vector.variant, vector.group, vector.parameters, vector.flags, inputs)
