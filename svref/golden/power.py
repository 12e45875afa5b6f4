"""Which mistakes a case exposes: every deviation is run on it and judged as a candidate would be.

Power is computed, never claimed. A case has power against a deviation if some element of the wrong result misses the
right one by more than its tolerance, and firm power if one does whose tolerance is below its own magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svref import condition
from svref.deviations import DEVIATIONS, Deviation
from svref.golden.vectors import Vector, Vectors
from svref.inputs import BoolArray, FloatArray

DTYPES = ("float64", "float32")
BEYOND = {  # what no case of numbers can expose, and why
    ("precision-downcast-float32", "float32"): "computing in float32 is right there",
    ("slope-one-at-poles", "float64"): "a finite slope at a pole is a policy, and judged as one",
    ("slope-one-at-poles", "float32"): "a finite slope at a pole is a policy, and judged as one",
    ("tail-raw", "float64"): "no variant has another tail, only dialects do",
    ("tail-raw", "float32"): "no variant has another tail, only dialects do",
}


def power(vector: Vector) -> dict[str, dict[str, list[str]]]:
    """Return, by dtype, the deviations a case exposes: "firm", or only in "vacuous" elements."""
    found = {}
    for dtype, exposed in _kills(vector).items():
        firm = [name for name, elements in exposed.items() if elements[:, 1].any()]
        vacuous = [name for name, elements in exposed.items() if elements[:, 0].any() and name not in firm]
        found[dtype] = {"firm": firm, "vacuous": vacuous}
    return found


def matrix(vectors: Vectors) -> dict[str, dict[str, int]]:
    """Return how many cases expose each deviation firmly, by dtype."""
    cases = [v.case["power"] for v in vectors if "power" in v.case]
    return {name: {d: sum(name in c[d]["firm"] for c in cases) for d in DTYPES} for name in DEVIATIONS}


def unexposed(vectors: Vectors) -> list[str]:
    """Return a sentence for each deviation that no case of the pack exposes at a dtype where it could be."""
    return [
        f"{name} is exposed by no case in {dtype}"
        for name, counts in matrix(vectors).items()
        for dtype, count in counts.items()
        if count == 0 and (name, dtype) not in BEYOND
    ]


def _kills(vector: Vector) -> dict[str, dict[str, BoolArray]]:
    """Return by dtype and deviation which elements are exposed, and which of them firmly: (elements, 2)."""
    found: dict[str, dict[str, BoolArray]] = {dtype: {} for dtype in DTYPES}
    tolerances = {dtype: list(_tolerances(vector, dtype)) for dtype in DTYPES}
    for name, deviation in DEVIATIONS.items():
        results = _run(deviation, vector)
        if results is None:
            continue
        for dtype in DTYPES:
            pairs = zip(results, tolerances[dtype], strict=True)
            found[dtype][name] = np.concatenate([_exposed(got, *judged) for got, judged in pairs])
    return found


def _run(deviation: Deviation, vector: Vector) -> tuple[FloatArray, ...] | None:
    """Return what the wrong code makes of a case, in the order of `_tolerances`; None where it does nothing."""
    loss, inputs = vector.loss, vector.inputs
    if not deviation.applies(loss) or (vector.level == "cosine" and deviation.level == "head"):
        return None
    if vector.level == "cosine":
        return deviation.run(loss, inputs["cosines"], inputs["labels"], inputs["cotangent"])
    return deviation.run_head(loss, inputs["embeddings"], inputs["weights"], inputs["labels"], inputs["cotangent"])


def _tolerances(vector: Vector, dtype: str) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the expected values of each output and their tolerances."""
    names = ("loss", "cosines") if vector.level == "cosine" else ("loss", "embeddings", "weights")
    s, t, classes = vector.parameters["s"], vector.parameters.get("t", 1.0), vector.mask.shape[1]
    weight = np.abs(vector.inputs["cotangent"])[:, None] if vector.level == "cosine" else 1.0
    for name in names:
        tolerance = condition.tolerance(vector.scales[name], classes, s, t, dtype)
        yield vector.expected[name], tolerance * (1.0 if name == "loss" else weight)


def _exposed(got: FloatArray, expected: FloatArray, tolerance: FloatArray) -> BoolArray:
    judged = np.isfinite(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = judged & ~(np.abs(got - np.where(judged, expected, 0.0)) <= tolerance)
    return np.stack([wrong.ravel(), (wrong & (tolerance < np.abs(expected))).ravel()], axis=1)
