"""A large case in its two files: what is said of it in JSON, and its tensors by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.formats import FORMATS
from svref.golden import canonical
from svref.golden.canonical import Json
from svref.golden.large.case import OUTPUTS, SCALES, LargeCase
from svref.golden.large.recipe import LargeRecipe
from svref.golden.tree import VectorsError
from svref.inputs import FloatArray


def described(case: LargeCase) -> dict[str, Json]:
    """Return what large.json says of a case."""
    decisive = {name: canonical.bits([rows.tolist()])[0] for name, rows in case.decisive.items()}
    return {"id": case.id, "recipe": case.recipe.to_json(), "digests": dict(case.digests), "decisive": decisive}


def tensors(case: LargeCase) -> dict[str, FloatArray]:
    """Return the tensors of a case by their names in the file."""
    parts = (("", case.expected), (".lo", case.rest), (".scale", case.scales))
    return {f"{case.id}/{name}{suffix}": x for suffix, arrays in parts for name, x in arrays.items()}


def read_case(root: Path, made: Mapping[str, Any], stored: Mapping[str, NDArray[Any]]) -> LargeCase:
    """Return a case as it was read; raise unless its recipe, its id and its tensors belong together."""
    where = f"{root / 'large.json'}, case {made['id']}"
    try:
        recipe = LargeRecipe.from_json(made["recipe"])
    except ValueError as error:
        raise VectorsError(f"{where}: {error}") from error
    if recipe.id != made["id"]:
        raise VectorsError(f"{where}: the recipe was changed; its id is {recipe.id}. Get the pack again.")
    decisive = {name: np.array([bit == "1" for bit in made["decisive"][name]]) for name in FORMATS}
    if {len(rows) for rows in decisive.values()} != {recipe.rows}:
        raise VectorsError(f"{where}: decisive has not one digit for each of {recipe.rows} rows.")
    shapes = {
        "loss": (recipe.rows,), "target": (recipe.rows,),
        "projections": (recipe.rows, recipe.projections), "values": (recipe.tabled, len(recipe.grid)),
    }  # fmt: skip
    parts: dict[str, dict[str, FloatArray]] = {"": {}, ".lo": {}, ".scale": {}}
    for suffix, arrays in parts.items():
        for name in SCALES if suffix == ".scale" else OUTPUTS:
            shape = shapes[name][:1] if suffix == ".scale" else shapes[name]
            arrays[name] = _tensor(root, f"{made['id']}/{name}{suffix}", shape, stored)
    return LargeCase(made["id"], recipe, made["digests"], parts[""], parts[".lo"], parts[".scale"], decisive)


def _tensor(root: Path, name: str, shape: tuple[int, ...], stored: Mapping[str, NDArray[Any]]) -> FloatArray:
    array = stored.get(name)
    if array is None or array.dtype != np.float64 or array.shape != shape:
        found = "nothing" if array is None else f"{array.dtype}, shape {array.shape}"
        raise VectorsError(f"{root / 'large.safetensors'}: {name} must be float64, of shape {shape}; found {found}.")
    return array
