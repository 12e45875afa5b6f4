"""Whether a pack's cases can be computed with: their shapes fit, labels are classes, nothing occurs twice.

What a damaged file says is told before it goes wrong somewhere else. Whether numbers are right is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from svref.arrays import FloatArray
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.golden.files.pack import Tree, VectorsError, blaming, check_count
from svref.variants import VARIANTS

if TYPE_CHECKING:
    from svref.golden.vectors import Vector

AXES = {"cosines": "BC", "gaps": "BC", "embeddings": "BD", "weights": "CD"}  # all others have one number a row
Measured = tuple[str, Json, Json]  # what it is, the size it must have, the size it has


def check(tree: Tree, cases: Sequence[Vector]) -> None:
    """Raise unless cases are counted, every group is in its place, every case fits together, and ids differ."""
    check_count(tree, len(cases))
    for name, group in tree.groups():
        with blaming(tree.root / name):
            _check_group(tree, name, group)
    seen: set[str] = set()
    for vector in cases:
        if vector.id in seen:
            raise VectorsError(f"{tree.root / vector.file}: the id {vector.id} occurs twice. Get the pack again.")
        seen.add(vector.id)
        with blaming(f"{tree.root / vector.file}, case {vector.id}"):
            _check_case(vector)


def check_whole(name: str, values: FloatArray) -> None:
    """Raise unless all numbers are whole."""
    wrong = values[~(np.isfinite(values) & (values == np.rint(values)))]
    if wrong.size:
        raise ValueError(f"{name} must be whole numbers; got {wrong[0]:g}.")


def _check_group(tree: Tree, name: str, group: Json) -> None:
    place, pack = f"groups/{group['variant']}/{group['group']}.json", tree.manifest["pack"]
    if place != name:
        raise VectorsError(f"{tree.root / name} says that it is {place}. Get the pack again.")
    if group["pack"] != pack:
        raise VectorsError(f"{tree.root / name} is of the pack {group['pack']!r}, not of {pack!r}. Get the pack again.")


def _check_case(vector: Vector) -> None:
    """Raise a ValueError that says what must hold."""
    if vector.variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {vector.variant!r}.")
    known, given = VARIANTS[vector.variant].parameters.keys(), vector.parameters.keys()
    if known != given:
        raise ValueError(f"parameters must be {', '.join(known)}; got {', '.join(given)}.")
    if (vector.level == "head") != ("weights" in vector.inputs):
        raise ValueError(f"level {vector.level} must have the inputs of that level; got {', '.join(vector.inputs)}.")
    if canonical.content_digest(vector.case) != vector.case["digest"]:
        raise ValueError("the numbers were changed; their digest is another.")
    if vector.result != "error":
        _ = vector.loss  # raises where a parameter is out of range
        _check_sizes(vector, _sizes(vector))


def _sizes(vector: Vector) -> dict[str, int]:
    """Return B, C and, in heads, D; raise unless labels are classes."""
    wide, labels = vector.inputs["weights" if vector.level == "head" else "cosines"], vector.inputs["labels"]
    if wide.ndim != 2:
        raise ValueError(f"the inputs must have two axes; got shape {wide.shape}.")
    classes, dimensions = wide.shape if vector.level == "head" else (wide.shape[1], 0)
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise ValueError(f"labels must be class indices below C = {classes}; got {outside[0]}.")
    return {"B": labels.size, "C": classes, "D": dimensions}


def _check_sizes(vector: Vector, sizes: Mapping[str, int]) -> None:
    for what, wanted, got in _measured(vector.case, sizes):
        if got != wanted:
            raise ValueError(f"{what} must be of size {wanted}; got {got}.")


def _measured(case: Mapping[str, Json], sizes: Mapping[str, int]) -> Iterator[Measured]:
    """Yield every tensor, mask and row of digits of a case with the size it must have and the one it has."""
    rows, classes = sizes["B"], sizes["C"]
    for part in ("inputs", "expected", "scales"):
        yield from _shapes(part, case[part], sizes, first=0)
    yield "expected.mask", [classes] * rows, [len(row) for row in case["expected"]["mask"]]
    by_row = [("poles", case["poles"]), ("radius", case["radius"])]
    for name in ("decisive", "rounds_to_pole"):
        by_row += [(f"{name}.{dtype}", found) for dtype, found in case.get(name, {}).items()]
    yield from ((name, rows, len(found)) for name, found in by_row)
    for i, branch in enumerate(case["branches"]):
        if branch["row"] >= rows:
            raise ValueError(f"branches[{i}].row must be below B = {rows}; got {branch['row']}.")
        yield f"branches[{i}].mask", classes, len(branch["mask"])
        for part in ("expected", "scales"):
            yield from _shapes(f"branches[{i}].{part}", branch[part], sizes, first=1)


def _shapes(part: str, tensors: Mapping[str, Json], sizes: Mapping[str, int], first: int) -> Iterator[Measured]:
    """Yield the shapes of tensors without their first axes; one of a branch has no rows."""
    for name, made in tensors.items():
        if isinstance(made, dict):
            wanted = [sizes[axis] for axis in AXES.get(name, "B")[first:]]
            for numbers in ("data", "lo"):
                if numbers in made:
                    yield f"{part}.{name}.{numbers}", wanted, list(canonical.array(made, numbers).shape)
