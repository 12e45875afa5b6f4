"""Which mistakes a case exposes: every deviation is run on it and judged as a candidate would be.

Power is computed, never claimed. A case has power against a deviation if some element of the wrong result misses the
right one by more than its tolerance. The power is firm if that holds for an element whose tolerance is below its own
magnitude; an element with a larger tolerance is vacuous, for the number 0 would pass there too.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import DEVIATIONS, Deviation
from svref.golden.expected import INPUTS, OUTPUTS, expect_vector
from svref.golden.making.beyond import BEYOND, beyond, is_beyond_all
from svref.golden.vectors import Vector, Vectors
from svref.judging.judge import Expected, ExpectedOutput, Outputs, judge
from svref.judging.precision import PRECISIONS, WIDE
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

_LEVELS = ("cosine", "head")


def power(vector: Vector) -> dict[str, dict[str, list[str]]]:
    """Return, by precision, the names of the deviations a case exposes: "firm", or only in "vacuous" elements.

    These are the precisions whose inputs can hold those of the case.
    """
    wrong_outputs = _wrong_outputs(vector)
    return {
        name: _exposed(expect_vector(vector, "float64", plan), wrong_outputs)
        for name, plan in PRECISIONS.items()
        if plan.inputs(vector.level) in vector.dtypes
    }


@np.errstate(all="ignore")  # wrong code overflows and divides by zero; that is its result
def _wrong_outputs(vector: Vector) -> dict[str, Outputs]:
    """Return, by deviation, what the wrong code makes of a case: of each that can be run on it and changes its loss."""
    loss, y, g = vector.loss, vector.labels, vector.inputs["cotangent"]
    arrays = [vector.inputs[name] for name in INPUTS[vector.level]]
    return {
        name: outputs_of(deviation, loss, arrays, y, g)
        for name, deviation in DEVIATIONS.items()
        if deviation.applies(loss) and (vector.level == "head" or deviation.on_cosines is not None)
    }


def outputs_of(
    deviation: Deviation, loss: SVXSoftmax, arrays: Sequence[FloatArray], labels: IntArray, g: FloatArray
) -> Outputs:
    """Return the outputs of a deviation by their names, from valid float64 cosines, or embeddings and weights.

    The computation is called without the checks of `Deviation.run`.
    """
    if len(arrays) == 2:
        return dict(zip(OUTPUTS["head"], deviation.on_head(loss, arrays[0], arrays[1], labels, g), strict=True))
    if deviation.on_cosines is None:
        raise TypeError(f"{deviation.name} acts on embeddings and weights, not on cosines.")
    return dict(zip(OUTPUTS["cosine"], deviation.on_cosines(loss, arrays[0], labels, g), strict=True))


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
        return np.tile(array, (count, *(1,) * (array.ndim - 1))) if array.ndim else array

    def repeated(output: ExpectedOutput) -> ExpectedOutput:
        arrays = (output.value, output.rest, output.tolerance, output.policy, output.fragile)
        return ExpectedOutput(output.name, *(tiled(np.asarray(array)) for array in arrays))

    return replace(
        expected,
        ways=tuple(tuple(map(repeated, way)) for way in expected.ways),
        gap=tiled(expected.gap), undecided=tiled(expected.undecided), judged=tiled(expected.judged),
    )  # fmt: skip


def matrix(vectors: Vectors, level: str | None = None) -> dict[str, dict[str, int]]:
    """Return, by deviation and precision, how many cases of a pack, or those of a level, expose it firmly."""
    counts = Counter(pair for v in vectors if level in (None, v.level) for pair in _firm(v))
    return {name: {precision: counts[precision, name] for precision in PRECISIONS} for name in DEVIATIONS}


def table(vectors: Vectors) -> Iterator[str]:
    """Yield the lines of `matrix` as a table: cases of cosines and of heads by precision, and why there are none."""
    of_all, of_heads = matrix(vectors, "cosine"), matrix(vectors, "head")
    yield f"{'deviation':<36}{''.join(f'{_short(name):>10}' for name in PRECISIONS)}   cosines+heads by precision"
    for name in DEVIATIONS:
        pairs = [(of_all[name][precision], of_heads[name][precision]) for precision in PRECISIONS]
        numbers = "".join(f"{f'{cosines}+{heads}':>10}" for cosines, heads in pairs)
        missing = [precision for precision, counts in zip(PRECISIONS, pairs, strict=True) if not sum(counts)]
        why = "; ".join(dict.fromkeys(_why_not(name, precision) for precision in missing))
        yield f"{name:<36}{numbers}{'   ' + why if why else ''}"


def _short(precision: str) -> str:
    """Return the name of a precision in at most nine characters."""
    return precision.replace("autocast-", "ac-").replace("fused-", "f-").replace("bfloat", "bf").replace("float", "f")


def _why_not(name: str, precision: str) -> str:
    """Return why no case exposes a deviation at a precision, with the precision's name."""
    reasons = dict.fromkeys(b.why for b in BEYOND if name in b.names and precision in b.precisions)
    return f"{_short(precision)}: {', '.join(reasons)}"


def unexposed(vectors: Vectors) -> list[str]:
    """Return a sentence for each deviation that a pack does not expose, where it could.

    Of the cases of a variant, one of cosines must expose those that can be made on cosines and apply to it, and one of
    a head must expose all that apply to it, at every precision.
    """
    applying = _applying(vectors)
    known = [pair for pair in itertools.product(DEVIATIONS, WIDE) if not is_beyond_all(*pair)]
    everywhere = [f"{name} is exposed by no case in {dtype}" for name, dtype in known if name not in applying]
    firm = {(v.level, v.variant, name, precision) for v in vectors for precision, name in _firm(v)}
    return everywhere + [
        f"{name} is exposed by no {level} case of {variant} {'in' if precision in WIDE else 'at'} {precision}"
        for name, precision, level in itertools.product(applying, PRECISIONS, _LEVELS)
        for variant in applying[name]
        if can_be_exposed(level, VARIANTS[variant].factory(), name, precision)
        and (level, variant, name, precision) not in firm
    ]


def _applying(vectors: Vectors) -> dict[str, list[str]]:
    """Return, by deviation, the variants to which it applies at the parameters of some case."""
    losses: dict[str, set[SVXSoftmax]] = defaultdict(set)
    for vector in vectors:
        if vector.result != "error":
            losses[vector.variant].add(vector.loss)
    found = {
        name: [variant for variant, of_variant in losses.items() if any(map(deviation.applies, of_variant))]
        for name, deviation in DEVIATIONS.items()
    }
    return {name: variants for name, variants in found.items() if variants}


def can_be_exposed(level: str, loss: SVXSoftmax, name: str, precision: str) -> bool:
    """Return whether cases of a level, of losses with such a margin, can expose a deviation at a precision."""
    is_made = level == "head" or DEVIATIONS[name].on_cosines is not None
    return is_made and not beyond(level, loss, name, precision)


def _firm(vector: Vector) -> Iterator[tuple[str, str]]:
    """Yield the formats, and the names of the deviations that a case exposes firmly in them."""
    for dtype, exposed in vector.case.get("power", {}).items():
        yield from ((dtype, name) for name in exposed["firm"])
