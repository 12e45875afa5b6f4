"""The cases of a pack at other parameters: for code whose s, m or t are fixed inside.

A case keeps its inputs and its id. What it should give is certified anew where python-flint is installed; otherwise the
case comes without right values, and whoever judges by it takes svref's own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.golden.making.groups import boundary
from svref.golden.making.recipes import Recipe, dtypes_of
from svref.golden.notes import NOTES
from svref.golden.vectors import Vector
from svref.loss import SVXSoftmax

AT_BOUNDARY = frozenset({"ExactTie", "AlgebraicTie", "NearBoundary", "BesideBoundary", "NextToBoundary"})
REACH = 1 / 32  # a negative of these cases that is so near to the boundary stands for it, and moves with it


def can_certify() -> bool:
    """Return whether right values can be certified here: python-flint is installed."""
    return importlib.util.find_spec("flint") is not None


def at_parameters(
    vectors: Sequence[Vector], fixed: Mapping[str, float], certified: bool = True
) -> tuple[list[Vector], int]:
    """Return cases with some parameters fixed, and how many are left out.

    Left out are cases that would repeat another one, and cases about an invalid value of a parameter that is fixed. In
    cases about the mask's boundary the negatives at the boundary move with it, since a margin that is fixed moves it.

    Parameters
    ----------
    vectors : sequence of Vector
        Cases of one variant.
    fixed : mapping
        Parameters by name, with values that the variant may have. The other parameters stay those of the case.
    certified : bool, default True
        Whether the right values are certified. They need python-flint. Without them `expected` is empty.

    Returns
    -------
    cases : list of Vector
        The cases that are left, with their ids.
    left_out : int
        How many are not.
    """
    cases: dict[str, Vector] = {}
    for vector in vectors:
        if vector.result == "error" and not _is_still_invalid(vector, fixed):
            continue
        parameters = {**vector.parameters, **fixed}
        inputs = vector.inputs if vector.result == "error" else _moved(vector, parameters)
        same = repr((sorted(parameters.items()), [(name, a.tolist()) for name, a in inputs.items()]))
        changed = replace(vector, parameters=parameters, inputs=inputs)
        cases.setdefault(same, changed if vector.result == "error" else _with_right_values(changed, certified))
    return list(cases.values()), len(vectors) - len(cases)


def _is_still_invalid(vector: Vector, fixed: Mapping[str, float]) -> bool:
    """Return whether inputs that must raise must do so with fixed parameters: not if one of these was what is wrong."""
    try:
        return vector.loss is not None
    except (ValueError, TypeError):
        return not any(_is_mended_by(vector, name, value) for name, value in fixed.items())


def _is_mended_by(vector: Vector, name: str, value: float) -> bool:
    """Return whether another value of one parameter makes the parameters of a case valid."""
    try:
        return replace(vector, parameters={**vector.parameters, name: value}).loss is not None
    except (ValueError, TypeError):
        return False


def _moved(vector: Vector, parameters: Mapping[str, float]) -> Mapping[str, FloatArray]:
    """Return the inputs of a case, with the negatives at the boundary at that of other parameters."""
    before, after = vector.loss, replace(vector, parameters=parameters).loss
    if vector.level == "head" or before.margin == after.margin or not AT_BOUNDARY & set(vector.flags):
        return vector.inputs
    cosines = _at_boundary_of(after, before, vector.inputs["cosines"], vector.labels)
    narrow = np.float32 if "float32" in vector.dtypes else np.float64
    return {**vector.inputs, "cosines": cosines.astype(narrow).astype(np.float64)}


def _at_boundary_of(after: SVXSoftmax, before: SVXSoftmax, cosines: FloatArray, labels: IntArray) -> FloatArray:
    """Return cosines whose negatives next to f of one loss lie as far from f of another; f must be a cosine."""
    moved = cosines.copy()
    for row, label in zip(moved, labels, strict=True):
        old, new = (boundary(loss, float(row[label])) for loss in (before, after))
        near = (np.abs(row - old) <= REACH) & (np.arange(len(row)) != label)
        there = new + (row - old)
        row[:] = np.where(near & (np.abs(there) <= 1), there, row)
    return moved


def _with_right_values(vector: Vector, certified: bool) -> Vector:
    """Return a case with the values that are right at its parameters; with none, if they are not to be certified."""
    recipe = Recipe(vector.variant, vector.group, vector.parameters, vector.flags, vector.inputs)
    if not certified or not NOTES.keys() >= set(vector.flags):  # a pack of somebody else may have flags of its own
        return replace(vector, dtypes=tuple(dtypes_of(recipe)), expected={}, rest={}, case={})
    from svref.golden.making.records import make_case  # it needs python-flint

    notes = {flag: NOTES[flag]._asdict() for flag in vector.flags}
    made = Vector.from_json(vector.variant, vector.group, make_case(recipe), notes)
    return replace(made, id=vector.id, case={**made.case, "id": vector.id})
