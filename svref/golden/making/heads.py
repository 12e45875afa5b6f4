"""The group of heads of the core pack: embeddings and weights that show the mistakes of a head, and those of its loss.

A mistake in the loss shows through a head too, but only where the head's inputs lead to the rows that it needs. So
there are few cases, and each has much in it: lengths that differ, fewer and more classes than rows and dimensions,
repeated labels, classes without a row, negatives and targets on and beside their embedding, ties, large and neutral
parameters. `svref golden lint` finds the mistakes that no head of a variant shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from svref.deviations.which import has_margin
from svref.golden.making.recipes import DYADIC, OTHER, Draw, Matrix, Parameters, Recipe, cotangent, parameters
from svref.margins import AdditiveCosine, MultiplicativeAngle
from svref.variants import Variant

UNIT = [[sign / 2 for sign in signs] for signs in itertools.product((1, -1), repeat=4)]  # vectors of length 1
# Three times this row has the same direction. In float64 and float32 the product of the two unit vectors rounds to a
# number above 1, in whichever order it is added up.
ABOVE_ONE = [23 / 128, -8 / 128, 1 / 128, -8 / 128]


class Vectors(NamedTuple):
    """The inputs of a head, and the flags that say why there is such a case."""

    flags: tuple[str, ...]
    embeddings: Matrix
    weights: Matrix
    labels: list[int]

    def recipe(self, entry: Variant, group: str, p: Parameters) -> Recipe:
        """Return the recipe of a case with these inputs."""
        inputs = {"embeddings": self.embeddings, "weights": self.weights, "labels": self.labels}
        return Recipe(entry.name, group, p, self.flags, {**inputs, "cotangent": cotangent(len(self.labels))})


def head(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield heads: of exact cosines, of each kind of length and angle, then those for the mistakes of a loss."""
    p = parameters(entry, DYADIC, 8.0, 3)  # with two pieces the boundary of A-Softmax would equal some exact cosines
    draw = Draw(f"{entry.name}/{name}")
    drawn = [draw.row(4, -96, 96) for _ in range(8)]
    # The last case has a class twice. Without a margin it is no label: a tie that rounding decides would be the mask's.
    double = [1, 2, 1] if has_margin(entry.factory()) else [0, 0, 0]
    for vectors in (*_of_each_angle(drawn), _with_a_class_twice(double), *_at_poles(drawn)):
        yield vectors.recipe(entry, name, p)
    yield from _of_other_sizes(entry, name)
    yield from _at_other_parameters(entry, name)
    yield from _at_boundaries(entry, name)


# ---- lengths and angles ----------------------------------------------------------------------------------------


def _of_each_angle(drawn: Matrix) -> Iterator[Vectors]:
    """Yield exact, scaled, parallel, mirrored, near-parallel, far and tiny rows, from eight drawn ones."""
    yield Vectors(("ExactCosines",), [UNIT[k] for k in (0, 3, 6, 9)], [UNIT[k] for k in (1, 3, 10, 9, 4)], [0, 1, 2, 3])
    yield Vectors(("ScaledRows",), _scaled(drawn[:3], 4), _scaled(drawn[3:], 0.25), [0, 4, 2])
    opposite = [-2 * v for v in UNIT[5]]
    classes = [UNIT[0], opposite, UNIT[6], UNIT[9]]
    yield Vectors(("ParallelRows", "MirroredRows"), [UNIT[0], UNIT[5], drawn[0]], classes, [0, 1, 2])
    near_axes = [[1.0, 0.0, 0.0, 2.0**-12], [0.0, 1.0, 2.0**-7, 0.0], [0.5, 0.25, 0.75, -0.125]]
    axes = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.0]]
    yield Vectors(("NearParallelRows",), near_axes, axes, [0, 1, 2])
    far = [[-0.5, -0.5, -0.5, -0.25], [-0.5, 0.5, -0.5, 0.375], drawn[0]]  # the first two have cosines -0.971, -0.993
    yield Vectors(("FarRows",), [UNIT[0], UNIT[5], drawn[1]], far, [0, 1, 2])
    yield Vectors(("TinyRows",), drawn[:3], _scaled(drawn[3:], 2.0**-12), [1, 3, 4])


def _with_a_class_twice(labels: list[int]) -> Vectors:
    """Return equal rows and equal classes."""
    double = [2 * v for v in UNIT[1]]
    flags = ("RepeatedLabels", "DuplicatedRows", "ClassWithoutRow")
    return Vectors(flags, [UNIT[0], UNIT[3], UNIT[0]], [UNIT[8], double, double], labels)


def _at_poles(drawn: Matrix) -> Iterator[Vectors]:
    """Yield negatives on and beside their embedding, and parallel rows whose product rounds to more than 1."""
    rows = [_times(2, UNIT[0]), [1.0, 0.0, 0.0, 2.0**-12], drawn[0]]
    classes = [_times(4, UNIT[0]), _times(-2, UNIT[0]), UNIT[3], drawn[4], [1.0, 0.0, 0.0, 0.0]]
    yield Vectors(("NegativeAtPole",), rows, classes, [2, 3, 0])
    parallel = [_times(3, ABOVE_ONE), _times(-3, ABOVE_ONE), drawn[5], drawn[6]]
    yield Vectors(("ProductAboveOne",), [ABOVE_ONE, ABOVE_ONE, drawn[1]], parallel, [0, 2, 3])


# ---- sizes -----------------------------------------------------------------------------------------------------


def _of_other_sizes(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield more rows than classes in three dimensions, and more classes than rows in six."""
    draw = Draw(f"{entry.name}/{name}/sizes")
    x = [_times(factor, draw.row(3, -96, 96)) for factor in (1, 4, 0.25, 2, 0.5, 8)]
    w = [_times(factor, draw.row(3, -96, 96)) for factor in (2, 0.5, 1, 4)]
    flags = ("SeveralLengths", "RepeatedLabels", "ClassWithoutRow")
    yield Vectors(flags, x, w, [3, 0, 3, 1, 0, 3]).recipe(entry, name, parameters(entry, OTHER, 32.0, 4))
    x = [_times(factor, draw.row(6, -96, 96)) for factor in (2, 1, 0.5)]
    w = [_times(factor, draw.row(6, -96, 96)) for factor in (1, 4, 0.25, 2, 0.5, 1, 2, 8, 1)]
    yield Vectors(flags, x, w, [8, 0, 0]).recipe(entry, name, parameters(entry, DYADIC, 16.0))


# ---- parameters ------------------------------------------------------------------------------------------------


def _at_other_parameters(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield a huge scale with a hard row, a margin of 0, and t = 1 beside a margin."""
    draw = Draw(f"{entry.name}/{name}/parameters")
    rows, drawn = [_times(factor, draw.row(4, -96, 96)) for factor in (8, 2, 4)], draw.row(4, -96, 96)
    least = min(rows[0], key=abs)
    beside = [-v if v == least else v for v in rows[0]]  # opposite to it is the first row's class: a large loss
    classes = [_times(0.5, beside), _times(-2, beside), _times(0.5, drawn), draw.row(4, -96, 96), draw.row(4, -96, 96)]
    neutral = {"m": 0.0, "m1": 1.0, "m2": 0.0, "m3": 0.0, "t": 1.25}
    sets = [("ExtremeScale", parameters(entry, DYADIC, 1024.0)), ("NeutralMargin", parameters(entry, neutral, 2.75, 1))]
    if "t" in entry.parameters:
        sets.append(("NoEmphasis", parameters(entry, {**DYADIC, "t": 1.0}, 4.0)))
    for flag, p in sets:
        yield Vectors((flag,), rows, classes, [1, 3, 2]).recipe(entry, name, p)


# ---- boundaries ------------------------------------------------------------------------------------------------


def _at_boundaries(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield ties that no rounding decides, where f is the cosine less m; and targets beside the pieces of A-Softmax.

    The rows of the ties have lengths that are powers of two, and numbers of three bits, so that everybody's cosines are
    exact.
    """
    margin = entry.factory().margin
    if isinstance(margin, AdditiveCosine) and "t" in entry.parameters:
        axes = [[2.0 * (k == d) for d in range(5)] for k in range(5)]
        ties = [
            [0.625, 0.625, 0.375, 0.25, 0.125],
            [-0.625, 0.25, 0.375, 0.625, 0.125],
            [0.875, 0.375, -0.25, 0.125, 0.125],
        ]
        yield Vectors(("ExactTie",), ties, axes, [0, 3, 3]).recipe(entry, name, parameters(entry, DYADIC, 4.0))
    if isinstance(margin, MultiplicativeAngle):
        rows = [[2.0**-11, 0.75, -0.25, 0.5], [-5 * 2.0**-21, 0.75, 0.25, -0.5], [-181 / 256, 0.5, 0.5, 2.0**-9]]
        classes = [[2.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.125, -0.5], [-0.25, 0.5, 0.5, 0.25]]
        yield Vectors(("BesidePiece",), rows, classes, [0, 0, 0]).recipe(entry, name, parameters(entry, DYADIC, 8.0))


def _scaled(rows: Matrix, factor: float) -> Matrix:
    return [_times(factor, row) for row in rows]


def _times(factor: float, row: list[float]) -> list[float]:
    return [factor * v for v in row]
