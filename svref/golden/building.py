"""From recipes to files: the bytes of a pack, the same on every machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby

from svref.golden.canonical import Json, encoded
from svref.golden.flags import NOTES
from svref.golden.packs import Pack
from svref.golden.power import power
from svref.golden.recipes import Recipe
from svref.golden.records import record
from svref.golden.tree import FORMAT, index, schema_of
from svref.golden.vectors import Vector, Vectors
from svref.inputs import Progress

SCHEMAS = ("manifest", "group", "errata", "answers", "report")


def build(pack: Pack, progress: Progress | None = None) -> dict[str, bytes]:
    """Return every file of a pack by its path."""
    recipes = list(pack.recipes())
    files = {f"schema/{name}.schema.json": encoded(schema_of(name)) for name in SCHEMAS}
    done = 0
    for (variant, group), some in groupby(recipes, lambda r: (r.variant, r.group)):
        cases = []
        for recipe in some:
            cases.append(case(recipe))
            done += 1
            if progress is not None:
                progress(done, len(recipes))
        files[f"groups/{variant}/{group}.json"] = encoded(_group(pack, variant, group, cases))
    files["errata.json"] = encoded({"format": FORMAT, "pack": pack.name, "withdrawn": []})
    return {**files, **index(pack.name, pack.version, pack.purpose, files, len(recipes))}


def case(recipe: Recipe) -> dict[str, Json]:
    """Return a case with its power: the record is read back as a user reads it, and every deviation run on it."""
    made = record(recipe)
    if made["result"] == "error":
        return made
    return {**made, "power": power(Vector.of(recipe.variant, recipe.group, made, _notes(recipe.flags)))}


def _group(pack: Pack, variant: str, group: str, cases: list[dict[str, Json]]) -> dict[str, Json]:
    notes = _notes(sorted({flag for case in cases for flag in case["flags"]}))
    return {"format": FORMAT, "pack": pack.name, "variant": variant, "group": group, "notes": notes, "cases": cases}


def _notes(flags: Iterable[str]) -> dict[str, Json]:
    return {flag: NOTES[flag]._asdict() for flag in flags}


def wrong_certificates(vectors: Vectors, progress: Progress | None = None) -> list[str]:
    """Return the ids of the cases that are not what `svref.exact` makes of their inputs, to the last bit."""
    wrong = []
    for i, vector in enumerate(vectors):
        if json.loads(encoded(case(_recipe(vector)))) != vector.case:
            wrong.append(vector.id)
        if progress is not None:
            progress(i + 1, len(vectors))
    return wrong


def _recipe(vector: Vector) -> Recipe:
    inputs = {name: values.tolist() for name, values in vector.inputs.items()}
    return Recipe(vector.variant, vector.group, vector.parameters, vector.flags, inputs)
