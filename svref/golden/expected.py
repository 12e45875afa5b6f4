"""What is right on a vector, for a candidate of some format: values, tolerances, and every branch that is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.golden.vectors import Vector
from svref.judging import condition
from svref.judging.judge import Expected, ExpectedOutput, rows_where

OUTPUTS = {  # by level: the name of an output, and its name in the file
    "cosine": {"loss": "loss", "grad_cosines": "cosines"},
    "head": {"loss": "loss", "grad_embeddings": "embeddings", "grad_weights": "weights"},
}


def expect_vector(vector: Vector, dtype: DTypeLike, compute: str | None = None) -> Expected:
    """Return what is right on a vector.

    Parameters
    ----------
    vector : Vector
        Any but one whose inputs must raise.
    dtype : dtype
        Of the candidate's outputs.
    compute : str, optional
        The format that the candidate computes in, "bfloat16" for example; None is `dtype`.

    Returns
    -------
    Expected
        Rows whose decisions rounding in the format may turn over are judged if the file has their other branches. The
        first way has every row as certified. Way number j has, in rows that have so many, the j-th other branch.
    """
    compute = compute or np.dtype(dtype).name
    branches: dict[int, list[Json]] = defaultdict(list)
    for branch in vector.case["branches"]:
        if branch["dtype"] == compute:
            branches[branch["row"]].append(branch)
    certified = tuple(_certified_output(vector, name, compute) for name in OUTPUTS[vector.level])
    ways = [certified]
    for j in range(max(map(len, branches.values()), default=0)):
        rows = {b: of_row[j] for b, of_row in branches.items() if j < len(of_row)}
        ways.append(tuple(_with_branches(vector, output, rows, compute) for output in certified))
    decisive = canonical.bools(vector.case["decisive"][compute])
    # n undecided decisions have 2^n - 1 other branches, a number of n binary digits.
    undecided = np.array([len(branches[b]).bit_length() for b in range(len(decisive))], dtype=np.intp)
    gaps = canonical.array(vector.case["expected"]["gaps"]).min(axis=1)
    return Expected(np.dtype(dtype), tuple(ways), gaps, undecided, decisive | (undecided > 0))


def _certified_output(vector: Vector, name: str, compute: str) -> ExpectedOutput:
    """Return what one output should be, with every decision as certified."""
    key = OUTPUTS[vector.level][name]
    value, tolerance = vector.expected[key], _tolerance(vector, vector.scales[key], compute)
    if name == "grad_cosines":
        tolerance = tolerance * np.abs(vector.inputs["cotangent"])[:, None]
    poles = vector.case["poles"]
    near_poles = vector.case.get("rounds_to_pole", {}).get(compute, "")
    policy, fragile = (_target_entries(vector, name, canonical.bools(rows), value) for rows in (poles, near_poles))
    return ExpectedOutput(name, value, vector.rest[key], tolerance, policy, fragile)


def _tolerance(vector: Vector, scale: FloatArray, compute: str) -> FloatArray:
    """Return the tolerance of an output from its condition scale, for a cotangent of one."""
    p = vector.parameters
    return condition.tolerance(scale, vector.mask.shape[1], p["s"], p.get("t", 1.0), compute)


def _target_entries(vector: Vector, name: str, rows: BoolArray, like: FloatArray) -> BoolArray:
    """Return where an output, shaped like `like`, depends on df/dc_y of the rows that are True in `rows`.

    In the gradient by cosines that is the target's entry. In the gradient by embeddings it is the row of the embedding,
    and in the gradient by weights the row of its class. The loss depends on it nowhere.
    """
    samples, labels = np.flatnonzero(rows), vector.labels
    if name == "grad_cosines":
        where = np.zeros(like.shape, dtype=bool)
        where[samples, labels[samples]] = True
        return where
    samples = samples if name != "loss" else samples[:0]
    return rows_where(samples, like, labels if name == "grad_weights" else None)


def _with_branches(
    vector: Vector, output: ExpectedOutput, branches: Mapping[int, Json], compute: str
) -> ExpectedOutput:
    """Return an output with value, rest and tolerance of some rows as their other branches have them."""
    key = OUTPUTS[vector.level][output.name]
    value, rest, tolerance = output.value.copy(), output.rest.copy(), output.tolerance.copy()
    for b, branch in branches.items():
        certified = branch["expected"][key]
        value[b], rest[b] = canonical.array(certified), canonical.array(certified, "lo")
        factor = abs(vector.inputs["cotangent"][b]) if output.name == "grad_cosines" else 1.0
        tolerance[b] = _tolerance(vector, canonical.array(branch["scales"][key]), compute) * factor
    return replace(output, value=value, rest=rest, tolerance=tolerance)
