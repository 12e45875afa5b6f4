"""A large case in the two files of its pack: an entry of large.json, and tensors by their names."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy as safetensors
from numpy.typing import NDArray
from safetensors import SafetensorError

from svref.arrays import FloatArray
from svref.formats import STORED
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.golden.files.pack import VectorsError, errors_as_damage
from svref.golden.large.case import OUTPUTS, SCALES, LargeCase
from svref.golden.large.recipe import LargeRecipe

FILES = CASES, TENSORS = "large.json", "large.safetensors"


def json_entry(case: LargeCase) -> dict[str, Json]:
    """Return the entry of a case in large.json: its recipe, the digests of its inputs, and its decisive rows."""
    decisive = {name: canonical.bits(rows) for name, rows in case.decisive.items()}
    return {"id": case.id, "recipe": case.recipe.to_json(), "digests": dict(case.digests), "decisive": decisive}


def tensors(case: LargeCase) -> dict[str, FloatArray]:
    """Return the tensors of a case by their names in large.safetensors."""
    parts = (("", case.expected), (".lo", case.rest), (".scale", case.scales))
    return {f"{case.id}/{name}{suffix}": x for suffix, arrays in parts for name, x in arrays.items()}


def read_tensors(root: Path, data: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of large.safetensors; raise if it holds metadata or a negative zero."""
    file = root / TENSORS
    try:
        tensors = safetensors.load(data)
    except SafetensorError as error:
        raise VectorsError(f"{file} is no safetensors file: {error}. Get the pack again.") from error
    if "__metadata__" in json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]]):
        raise VectorsError(f"{file} must hold tensors alone, but has metadata. Get the pack again.")
    for name, numbers in tensors.items():
        if np.any(np.signbit(numbers) & (numbers == 0)):
            raise VectorsError(f"{file}: {name} must have no negative zero. Get the pack again.")
    return tensors


def check_names(root: Path, cases: Sequence[LargeCase], stored: Mapping[str, NDArray[Any]]) -> None:
    """Raise if a case occurs twice, or a tensor belongs to none of the cases."""
    ids = [case.id for case in cases]
    for i, name in enumerate(ids):
        if name in ids[:i]:
            raise VectorsError(f"{root / CASES}: the id {name} occurs twice. Get the pack again.")
    own = {name for case in cases for name in tensors(case)}
    for name in sorted(stored.keys() - own):
        raise VectorsError(f"{root / TENSORS}: {name} is of no case. Get the pack again.")


def read_case(root: Path, entry: Mapping[str, Any], stored: Mapping[str, NDArray[Any]]) -> LargeCase:
    """Return the case of an entry; raise unless its recipe, its id and its tensors belong together."""
    where = f"{root / CASES}, case {entry['id']}"
    with errors_as_damage(where):
        recipe = LargeRecipe.from_json(entry["recipe"])
        _ = recipe.loss  # raises where a parameter is unknown or out of range
    if recipe.id != entry["id"]:
        raise VectorsError(f"{where}: the recipe was changed; its id is {recipe.id}. Get the pack again.")
    decisive = {name: canonical.bools(entry["decisive"][name]) for name in STORED}
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
            arrays[name] = _tensor(root, f"{entry['id']}/{name}{suffix}", shape, stored)
    return LargeCase(entry["id"], recipe, entry["digests"], parts[""], parts[".lo"], parts[".scale"], decisive)


def _tensor(root: Path, name: str, shape: tuple[int, ...], stored: Mapping[str, NDArray[Any]]) -> FloatArray:
    array = stored.get(name)
    if array is None or array.dtype != np.float64 or array.shape != shape:
        found = "nothing" if array is None else f"{array.dtype}, shape {array.shape}"
        raise VectorsError(f"{root / TENSORS}: {name} must be float64, of shape {shape}; found {found}.")
    return array
