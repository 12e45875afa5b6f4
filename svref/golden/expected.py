"""What a vector says is right, for a candidate of some format: values, tolerances, and every accepted branch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.golden.vectors import Vector
from svref.judging import condition
from svref.judging.judge import Expected, ExpectedOutput, Way, rows_where

OUTPUTS = {  # name of an output, and what the file calls it
    "cosine": {"loss": "loss", "grad_cosines": "cosines"},
    "head": {"loss": "loss", "grad_embeddings": "embeddings", "grad_weights": "weights"},
}


def expect_vector(vector: Vector, dtype: DTypeLike, compute: str | None = None) -> Expected:
    """Return what is right for outputs of `dtype`, computed in the format `compute`, the same if left out.

    Rows whose decisions the format may turn over are judged if the file has their other branches.
    """
    compute = compute or np.dtype(dtype).name
    decisive = np.array([bit == "1" for bit in vector.case["decisive"][compute]])
    branches: dict[int, list[Json]] = defaultdict(list)
    for branch in vector.case["branches"]:
        if branch["dtype"] == compute:
            branches[branch["row"]].append(branch)
    first = tuple(_right(vector, name, compute) for name in OUTPUTS[vector.level])
    ways = [first] + [
        _otherwise(vector, first, {b: some[j] for b, some in branches.items() if j < len(some)}, compute)
        for j in range(max(map(len, branches.values()), default=0))
    ]
    undecided = np.array([len(branches[b]).bit_length() for b in range(len(decisive))], dtype=np.intp)
    gaps = canonical.array(vector.case["expected"]["gaps"]).min(axis=1)
    return Expected(np.dtype(dtype), tuple(ways), gaps, undecided, decisive | (undecided > 0))


def _right(vector: Vector, name: str, compute: str) -> ExpectedOutput:
    key = OUTPUTS[vector.level][name]
    value, tolerance = vector.expected[key], _tolerance(vector, vector.scales[key], compute)
    if name == "grad_cosines":
        tolerance = tolerance * np.abs(vector.inputs["cotangent"])[:, None]
    fragile = _entries(vector, name, vector.case.get("rounds_to_pole", {}).get(compute, ""), value)
    return ExpectedOutput(
        name, value, vector.rest[key], tolerance, _entries(vector, name, vector.case["poles"], value), fragile
    )


def _tolerance(vector: Vector, scale: Any, compute: str) -> Any:
    p = vector.parameters
    return condition.tolerance(scale, vector.mask.shape[1], p["s"], p.get("t", 1.0), compute)


def _entries(vector: Vector, name: str, rows: str, like: Any) -> BoolArray:
    """Return what of an output the rows marked 1 make a policy: the target's entry; in heads both its rows."""
    samples, labels = np.flatnonzero([bit == "1" for bit in rows]), vector.labels
    if name == "grad_cosines":
        where = np.zeros(like.shape, dtype=bool)
        where[samples, labels[samples]] = True
        return where
    marked = samples if name != "loss" else samples[:0]
    return rows_where(marked, like, labels if name == "grad_weights" else None)


def _otherwise(vector: Vector, first: Way, rows: Mapping[int, Json], compute: str) -> Way:
    """Return a way with some rows on another branch."""
    return tuple(_row_replaced(vector, right, rows, compute) for right in first)


def _row_replaced(vector: Vector, right: ExpectedOutput, rows: Mapping[int, Json], compute: str) -> ExpectedOutput:
    key = OUTPUTS[vector.level][right.name]
    value, rest, tolerance = right.value.copy(), right.rest.copy(), right.tolerance.copy()
    for b, branch in rows.items():
        certified = branch["expected"][key]
        value[b], rest[b] = canonical.array(certified), canonical.array(certified, "lo")
        weight = abs(vector.inputs["cotangent"][b]) if right.name == "grad_cosines" else 1.0
        tolerance[b] = _tolerance(vector, canonical.array(branch["scales"][key]), compute) * weight
    return replace(right, value=value, rest=rest, tolerance=tolerance)
