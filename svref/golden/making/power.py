"""Which mistakes a case exposes: every deviation is run on it and judged as a candidate would be.

Power is computed, never claimed. A case has power against a deviation if some element of the wrong result misses the
right one by more than its tolerance. The power is firm if that holds for an element whose tolerance is below its own
magnitude; an element with a larger tolerance is vacuous, for the number 0 would pass there too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import BoolArray
from svref.deviations import DEVIATIONS
from svref.golden.expected import OUTPUTS, expect_vector
from svref.golden.vectors import Vector, Vectors
from svref.judging.formats import FORMATS
from svref.judging.judge import Expected, ExpectedOutput, Outputs, judge

JUDGED = ("float64", "float32")  # in which every deviation must be exposed; in half precision few elements say much
BEYOND = {  # what no case of numbers can expose, and why
    ("precision-downcast-float32", "float32"): "computing in float32 is right there",
    ("inputs-cast-to-float32", "float32"): "inputs of float32 are not changed by it",
    ("pieces-of-3-1416", "float32"): "between π and 3.1416, rounding to float32 may turn the slope as well",
    ("slope-one-at-poles", "float64"): "a finite slope at a pole is a policy, and judged as one",
    ("slope-one-at-poles", "float32"): "a finite slope at a pole is a policy, and judged as one",
    ("tail-raw", "float64"): "no variant has another tail, only dialects do",
    ("tail-raw", "float32"): "no variant has another tail, only dialects do",
}


def power(vector: Vector) -> dict[str, dict[str, list[str]]]:
    """Return, by format, the names of the deviations a case exposes: "firm", or only in "vacuous" elements."""
    wrong_outputs = _wrong_outputs(vector)
    return {dtype: _exposed(expect_vector(vector, "float64", dtype), wrong_outputs) for dtype in vector.dtypes}


@np.errstate(all="ignore")  # wrong code overflows and divides by zero; that is its result
def _wrong_outputs(vector: Vector) -> dict[str, Outputs]:
    """Return, by deviation, what the wrong code makes of a case: of each that can be run on it and changes its loss.

    The computations are called without the checks of `Deviation.run`, since the inputs of a case are valid.
    """
    loss, found = vector.loss, dict[str, Outputs]()
    y, g = vector.labels, vector.inputs["cotangent"]
    for name, deviation in DEVIATIONS.items():
        if not deviation.applies(loss):
            continue
        if vector.level == "head":
            x, w = vector.inputs["embeddings"], vector.inputs["weights"]
            found[name] = dict(zip(OUTPUTS["head"], deviation.on_head(loss, x, w, y, g), strict=True))
        elif deviation.on_cosines is not None:
            results = deviation.on_cosines(loss, vector.inputs["cosines"], y, g)
            found[name] = dict(zip(OUTPUTS["cosine"], results, strict=True))
    return found


def _exposed(expected: Expected, wrong_outputs: Mapping[str, Outputs]) -> dict[str, list[str]]:
    """Return the names of the deviations whose outputs are judged wrong: firmly, or only in vacuous elements.

    All are judged at once, as one batch in which the rows of each stand below those of the one before. Rows are judged
    one by one, so the verdicts are the same, and come in a tenth of the time.
    """
    count = len(wrong_outputs)
    batch = {
        output.name: np.concatenate([outputs[output.name] for outputs in wrong_outputs.values()])
        for output in expected.ways[0]
    }
    quantities = judge(_repeated(expected, count), batch).quantities
    wrong = _any_of_each([q.wrong for q in quantities], count)
    firm = _any_of_each([q.wrong & ~q.vacuous for q in quantities], count)

    def names(exposed: BoolArray) -> list[str]:
        return [name for name, is_exposed in zip(wrong_outputs, exposed, strict=True) if is_exposed]

    return {"firm": names(firm), "vacuous": names(wrong & ~firm)}


def _any_of_each(elements: Sequence[BoolArray], count: int) -> BoolArray:
    """Return, for each of the `count` results in a batch, whether any element of its outputs is True."""
    return np.any([array.reshape(count, -1).any(axis=1) for array in elements], axis=0)


def _repeated(expected: Expected, count: int) -> Expected:
    """Return what is right for a batch that holds the same rows `count` times."""

    def tiled(array: NDArray[Any]) -> NDArray[Any]:
        return np.tile(array, (count, *(1,) * (array.ndim - 1)))

    def repeated(output: ExpectedOutput) -> ExpectedOutput:
        arrays = (output.value, output.rest, output.tolerance, output.policy, output.fragile)
        return ExpectedOutput(output.name, *(tiled(np.asarray(array)) for array in arrays))

    return replace(
        expected,
        ways=tuple(tuple(map(repeated, way)) for way in expected.ways),
        gap=tiled(expected.gap), undecided=tiled(expected.undecided), judged=tiled(expected.judged),
    )  # fmt: skip


def matrix(vectors: Vectors) -> dict[str, dict[str, int]]:
    """Return, by deviation and format, how many cases of a pack expose it firmly."""
    firm = [(dtype, set(exposed["firm"])) for v in vectors for dtype, exposed in v.case.get("power", {}).items()]
    return {
        name: {dtype: sum(name in names for of, names in firm if of == dtype) for dtype in FORMATS}
        for name in DEVIATIONS
    }


def unexposed(vectors: Vectors) -> list[str]:
    """Return a sentence for each deviation that no case of the pack exposes at a dtype where it could be."""
    return [
        f"{name} is exposed by no case in {dtype}"
        for name, counts in matrix(vectors).items()
        for dtype in JUDGED
        if counts[dtype] == 0 and (name, dtype) not in BEYOND
    ]
