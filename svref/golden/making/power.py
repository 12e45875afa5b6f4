"""Which mistakes a case exposes: every deviation is run on it and judged as a candidate would be.

Power is computed, never claimed. A case has power against a deviation if some element of the wrong result misses the
right one by more than its tolerance, and firm power if one does whose tolerance is below its own magnitude.
"""

from __future__ import annotations

from svref.arrays import FloatArray
from svref.deviations import DEVIATIONS, Deviation
from svref.golden.expected import OUTPUTS, expect_vector
from svref.golden.vectors import Vector, Vectors
from svref.judging.formats import FORMATS
from svref.judging.judge import Outputs, judge

JUDGED = ("float64", "float32")  # in which every deviation must be exposed; in half precision few elements say much
BEYOND = {  # what no case of numbers can expose, and why
    ("precision-downcast-float32", "float32"): "computing in float32 is right there",
    ("slope-one-at-poles", "float64"): "a finite slope at a pole is a policy, and judged as one",
    ("slope-one-at-poles", "float32"): "a finite slope at a pole is a policy, and judged as one",
    ("tail-raw", "float64"): "no variant has another tail, only dialects do",
    ("tail-raw", "float32"): "no variant has another tail, only dialects do",
}


def power(vector: Vector) -> dict[str, dict[str, list[str]]]:
    """Return, by format, the deviations a case exposes: "firm", or only in "vacuous" elements."""
    found = {}
    for dtype, exposed in _kills(vector).items():
        firm = [name for name, (_, firmly) in exposed.items() if firmly]
        vacuous = [name for name, (wrong, firmly) in exposed.items() if wrong and not firmly]
        found[dtype] = {"firm": firm, "vacuous": vacuous}
    return found


def matrix(vectors: Vectors) -> dict[str, dict[str, int]]:
    """Return how many cases expose each deviation firmly, by format."""
    firm = [(dtype, set(c["firm"])) for v in vectors for dtype, c in v.case.get("power", {}).items()]
    return {name: {d: sum(d == dtype and name in c for dtype, c in firm) for d in FORMATS} for name in DEVIATIONS}


def unexposed(vectors: Vectors) -> list[str]:
    """Return a sentence for each deviation that no case of the pack exposes at a dtype where it could be."""
    return [
        f"{name} is exposed by no case in {dtype}"
        for name, counts in matrix(vectors).items()
        for dtype in JUDGED
        if counts[dtype] == 0 and (name, dtype) not in BEYOND
    ]


def _kills(vector: Vector) -> dict[str, dict[str, tuple[bool, bool]]]:
    """Return by format and deviation whether an element is exposed, and whether one is firmly."""
    references = {dtype: expect_vector(vector, "float64", dtype) for dtype in vector.dtypes}
    found: dict[str, dict[str, tuple[bool, bool]]] = {dtype: {} for dtype in references}
    for name, deviation in DEVIATIONS.items():
        outputs = outputs_of(deviation, vector)
        if outputs is not None:
            for dtype, right in references.items():
                quantities = judge(right, outputs).quantities
                wrong = [(q.wrong.any(), (q.wrong & ~q.vacuous).any()) for q in quantities]
                found[dtype][name] = any(w for w, _ in wrong), any(firm for _, firm in wrong)
    return found


def outputs_of(deviation: Deviation, vector: Vector) -> Outputs | None:
    """Return what the wrong code makes of a case, by the names of the outputs; None where it does nothing."""
    loss, inputs = vector.loss, vector.inputs
    if not deviation.applies(loss) or (vector.level == "cosine" and deviation.level == "head"):
        return None
    results: tuple[FloatArray, ...]
    if vector.level == "cosine":
        results = deviation.run(loss, inputs["cosines"], inputs["labels"], inputs["cotangent"])
    else:
        x, w = inputs["embeddings"], inputs["weights"]
        results = deviation.run_head(loss, x, w, inputs["labels"], inputs["cotangent"])
    return dict(zip(OUTPUTS[vector.level], results, strict=True))
