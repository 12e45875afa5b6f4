"""What is right on a vector, for a candidate of some format: values, tolerances, and every branch that is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.golden.vectors import Vector
from svref.judging import condition
from svref.judging.expected import expect
from svref.judging.judge import Expected, ExpectedOutput, rows_where
from svref.judging.precision import Precision, precision_of

INPUTS = {"cosine": ("cosines",), "head": ("embeddings", "weights")}
OUTPUTS = {  # by level: the name of an output, and its name in the file
    "cosine": {"loss": "loss", "grad_cosines": "cosines"},
    "head": {"loss": "loss", "grad_embeddings": "embeddings", "grad_weights": "weights"},
}


def expect_vector(vector: Vector, dtype: DTypeLike, precision: Precision | DTypeLike | None = None) -> Expected:
    """Return what is right on a vector.

    Parameters
    ----------
    vector : Vector
        Any but one whose inputs must raise.
    dtype : dtype
        Of the candidate's outputs.
    precision : Precision, str or dtype, optional
        Where the candidate rounds, "autocast-bfloat16" for example; None is `dtype` throughout.

    Returns
    -------
    Expected
        Rows whose decisions rounding in the format may turn over are judged if the file has their other branches. The
        first way has every row as certified. Way number j has, in rows that have so many, the j-th other branch.
    """
    plan = precision_of(dtype if precision is None else precision)
    if not plan.is_uniform:
        return _of_several_formats(vector, np.dtype(dtype), plan)
    precision, branches = plan.logits, _branches(vector, plan)
    certified = tuple(_certified_output(vector, name, precision) for name in OUTPUTS[vector.level])
    ways = [certified]
    for j in range(max(map(len, branches.values()), default=0)):
        rows = {b: of_row[j] for b, of_row in branches.items() if j < len(of_row)}
        ways.append(tuple(_with_branches(vector, output, rows, precision) for output in certified))
    decisive = canonical.bools(vector.case["decisive"][precision])
    # n undecided decisions have 2^n - 1 other branches, a number of n binary digits.
    undecided = np.array([len(branches[b]).bit_length() for b in range(len(decisive))], dtype=np.intp)
    gaps = canonical.array(vector.case["expected"]["gaps"]).min(axis=1)
    return Expected(np.dtype(dtype), tuple(ways), gaps, undecided, decisive | (undecided > 0))


def _branches(vector: Vector, plan: Precision) -> dict[int, list[Json]]:
    """Return, by row, the other branches of the format in which a plan decides the mask."""
    branches: dict[int, list[Json]] = defaultdict(list)
    for branch in vector.case["branches"]:
        if branch["dtype"] == plan.logits:
            branches[branch["row"]].append(branch)
    return branches


def _of_several_formats(vector: Vector, dtype: np.dtype[Any], plan: Precision) -> Expected:
    """Return what is right where stages have formats of their own.

    Tolerances and undecided decisions are svref's for the plan. Values are certified, those of other branches where the
    file has them.
    """
    arrays = [vector.inputs[name].astype(dtype) for name in INPUTS[vector.level]]
    found = expect(vector.loss, arrays, vector.labels, plan.loss_scale * vector.inputs["cotangent"], plan)
    branches, most = _branches(vector, plan), len(found.ways).bit_length() - 1
    ways = [
        tuple(_certified_way(vector, output, found, branches, (i, most), plan.loss_scale) for output in way)
        for i, way in enumerate(found.ways)
    ]
    return replace(found, ways=tuple(ways))


def _certified_way(
    vector: Vector,
    output: ExpectedOutput,
    found: Expected,
    branches: Mapping[int, list[Json]],
    way: tuple[int, int],
    loss_scale: float,
) -> ExpectedOutput:
    """Return an output in one way with certified numbers: of each row, those of the branch that it takes there.

    The binary digits of the way's number, as many as the second number says, say which undecided decisions are turned
    over, the first decision first. A row with fewer decisions takes the first digits. Rows whose branches are not in
    the file keep svref's numbers. The loss scale multiplies gradients.
    """
    key, factor = OUTPUTS[vector.level][output.name], 1.0 if output.name == "loss" else loss_scale
    value, rest, (i, most) = output.value.copy(), output.rest.copy(), way
    if vector.level == "head":
        return replace(output, value=factor * vector.expected[key], rest=factor * vector.rest[key])
    for b, undecided in enumerate(found.undecided):
        turned = i >> (most - undecided) if found.judged[b] else 0
        if turned == 0:
            value[b], rest[b] = factor * vector.expected[key][b], factor * vector.rest[key][b]
        elif len(branches[b]) == 2**undecided - 1:
            certified = branches[b][turned - 1]["expected"][key]
            value[b], rest[b] = (factor * canonical.array(certified, part) for part in ("data", "lo"))
    return replace(output, value=value, rest=rest)


def _certified_output(vector: Vector, name: str, precision: str) -> ExpectedOutput:
    """Return what one output should be, with every decision as certified."""
    key = OUTPUTS[vector.level][name]
    g = vector.inputs["cotangent"][:, None] if name == "grad_cosines" else 1.0
    value, tolerance = vector.expected[key], _tolerance(vector, vector.scales[key], precision, g)
    poles = vector.case["poles"]
    near_poles = vector.case.get("rounds_to_pole", {}).get(precision, "")
    policy, fragile = (_target_entries(vector, name, canonical.bools(rows), value) for rows in (poles, near_poles))
    return ExpectedOutput(name, value, vector.rest[key], tolerance, policy, fragile)


def _tolerance(vector: Vector, scale: FloatArray, precision: str, cotangent: FloatArray | float) -> FloatArray:
    """Return the tolerance of an output from its condition scale for a cotangent of one, and the cotangent."""
    p = vector.parameters
    return condition.tolerance(scale, vector.mask.shape[1], p["s"], p.get("t", 1.0), precision, cotangent)


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
    vector: Vector, output: ExpectedOutput, branches: Mapping[int, Json], precision: str
) -> ExpectedOutput:
    """Return an output with value, rest and tolerance of some rows as their other branches have them."""
    key = OUTPUTS[vector.level][output.name]
    value, rest, tolerance = output.value.copy(), output.rest.copy(), output.tolerance.copy()
    for b, branch in branches.items():
        certified = branch["expected"][key]
        value[b], rest[b] = canonical.array(certified), canonical.array(certified, "lo")
        g = vector.inputs["cotangent"][b] if output.name == "grad_cosines" else 1.0
        tolerance[b] = _tolerance(vector, canonical.array(branch["scales"][key]), precision, g)
    return replace(output, value=value, rest=rest, tolerance=tolerance)
