"""A large case in its two files: what is said of it in JSON, and its tensors by their names."""

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
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.golden.files.pack import VectorsError, errors_as_damage
from svref.golden.large.case import OUTPUTS, SCALES, LargeCase
from svref.golden.large.recipe import LargeRecipe
from svref.judging.formats import FORMATS

FILES = CASES, TENSORS = "large.json", "large.safetensors"


def described(case: LargeCase) -> dict[str, Json]:
    """Return what large.json says of a case."""
    decisive = {name: canonical.bits(rows) for name, rows in case.decisive.items()}
    return {"id": case.id, "recipe": case.recipe.to_json(), "digests": dict(case.digests), "decisive": decisive}


def tensors(case: LargeCase) -> dict[str, FloatArray]:
    """Return the tensors of a case by their names in the file."""
    parts = (("", case.expected), (".lo", case.rest), (".scale", case.scales))
    return {f"{case.id}/{name}{suffix}": x for suffix, arrays in parts for name, x in arrays.items()}


def read_tensors(root: Path, data: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file; raise unless it holds nothing else, and no negative zero."""
    where = root / TENSORS
    try:
        found = safetensors.load(data)
    except SafetensorError as error:
        raise VectorsError(f"{where} is no safetensors file: {error}. Get the pack again.") from error
    if "__metadata__" in json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]]):
        raise VectorsError(f"{where} must hold tensors alone, but has metadata. Get the pack again.")
    for name, numbers in found.items():
        if np.any(np.signbit(numbers) & (numbers == 0)):
            raise VectorsError(f"{where}: {name} must have no negative zero. Get the pack again.")
    return found


def check_names(root: Path, cases: Sequence[LargeCase], stored: Mapping[str, NDArray[Any]]) -> None:
    """Raise unless no case occurs twice, and no tensor is of none of them."""
    ids = [case.id for case in cases]
    for i, name in enumerate(ids):
        if name in ids[:i]:
            raise VectorsError(f"{root / CASES}: the id {name} occurs twice. Get the pack again.")
    own = {name for case in cases for name in tensors(case)}
    for name in sorted(stored.keys() - own):
        raise VectorsError(f"{root / TENSORS}: {name} is of no case. Get the pack again.")


def read_case(root: Path, made: Mapping[str, Any], stored: Mapping[str, NDArray[Any]]) -> LargeCase:
    """Return a case as it was read; raise unless its recipe, its id and its tensors belong together."""
    where = f"{root / CASES}, case {made['id']}"
    with errors_as_damage(where):
        recipe = LargeRecipe.from_json(made["recipe"])
        _ = recipe.loss  # raises where a parameter is unknown or out of range
    if recipe.id != made["id"]:
        raise VectorsError(f"{where}: the recipe was changed; its id is {recipe.id}. Get the pack again.")
    decisive = {name: canonical.bools(made["decisive"][name]) for name in FORMATS}
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
        raise VectorsError(f"{root / TENSORS}: {name} must be float64, of shape {shape}; found {found}.")
    return array
