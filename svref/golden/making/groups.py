"""The groups of the core pack: for each kind of mistake, rows that show it.

Every number has at most eight significant bits, parameters included, so that it is exact in float64, float32, float16
and bfloat16. Only the inputs of the group `digits` have more, since a cast to a narrower format changes no others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from svref.golden.making.coarse import coarse
from svref.golden.making.heads import head
from svref.golden.making.recipes import (
    DYADIC,
    GRID,
    OTHER,
    Draw,
    Matrix,
    Parameters,
    Recipe,
    cotangent,
    of_rows,
    parameters,
)
from svref.loss import SVXSoftmax
from svref.margins import Angle, MultiplicativeAngle
from svref.variants import Variant

Group = Callable[[Variant, str], Iterator[Recipe]]


def drawn(flag: str, targets: tuple[int, int], negatives: tuple[int, int], scales: tuple[float, ...]) -> Group:
    """Return a group of drawn rows, at several scales and two sets of parameters.

    `targets` and `negatives` are the first and the last of the integers to draw from, in units of 1/128.
    """

    def group(entry: Variant, name: str) -> Iterator[Recipe]:
        for s, (values, pieces) in itertools.product(scales, ((DYADIC, 4), (OTHER, 3))):
            p = parameters(entry, values, s, pieces)
            draw = Draw(f"{entry.name}/{name}/{s:g}/{pieces}")
            rows = [draw.row(5, *negatives) for _ in range(4)]
            yield of_rows(entry, name, p, (flag,), draw.row(4, *targets), rows)

    return group


def tie(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield rows with a negative exactly at the boundary, above all others.

    A variant without t has no boundary, and one whose f is transcendental reaches no number exactly: no rows there.
    """
    for s, pieces in ((4.0, 2), (32.0, 4)):
        p = parameters(entry, DYADIC, s, pieces)
        loss = entry.factory(**p)
        targets = [c for c in _targets() if _on_grid(c, loss)][:4]
        if targets and entry.parameters.keys() >= {"t"}:
            negatives = [[-0.75, boundary(loss, c), -0.5] for c in targets]
            if len(targets) < 3:  # the zero among the cotangents is the third row's, and every case must have it
                targets, negatives = [*targets, 0.25], [*negatives, [-0.75, 0.125, -0.5]]
            flag = "AlgebraicTie" if loss.angular else "ExactTie"
            yield of_rows(entry, name, p, (flag,), targets, negatives)


def near(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield rows with a negative just above and one just below the boundary, as near as eight bits allow.

    Numbers of eight bits are densest near 0, so the second case has targets whose boundary is close to 0.
    """
    p = parameters(entry, DYADIC, 16.0, 2)
    loss = entry.factory(**p)

    def distance(c: float) -> tuple[float, float]:
        """Return how far the boundary is from the grid, in units of 1/128, and c; a boundary on the grid comes last."""
        off = boundary(loss, c) * GRID % 1
        return min(off, 1 - off) or 1.0, c

    on_grid = sorted((c for c in _targets() if abs(boundary(loss, c)) < 0.9), key=distance)[:4]
    to_zero = sorted((c for c in _fine_targets() if boundary(loss, c) != 0), key=lambda c: abs(boundary(loss, c)))[:4]
    for targets, around in ((on_grid, _on_either_side), (to_zero, _eight_bits_either_side)):
        negatives = [[*around(boundary(loss, c)), -0.5] for c in targets]
        yield of_rows(entry, name, p, ("NearBoundary",), targets, negatives)
    yield from _beside_zero(entry, name, p)
    if isinstance(loss.margin, MultiplicativeAngle):
        yield _beside_pieces(entry, name)


def _beside_pieces(entry: Variant, name: str) -> Recipe:
    """Return rows whose target lies between an end of a piece of A-Softmax, and that end by another π.

    With m = 4 the second piece ends at c = 0. By 3.14 it ends at 0.000796, and by 3.1416 at -0.00000367. The last
    target is beside the end of the third piece.
    """
    targets = [207 * 2.0**-18, -235 * 2.0**-26, 0.25, -181 / 256]
    rows = [[0.5, -0.25], [0.125, 0.375], [-0.5, 0.75], [-0.25, 0.25]]
    return of_rows(entry, name, parameters(entry, DYADIC, 8.0), ("BesidePiece",), targets, rows)


def _beside_zero(entry: Variant, name: str, p: Parameters) -> Iterator[Recipe]:
    """Yield rows whose boundary is 0, with negatives 2^-30 and 2^-45 beside it.

    Only beside 0 is a number so near to a boundary a number of eight bits: a power of two.
    """
    loss = entry.factory(**p)
    target = p.get("m", 0.0)
    if "t" in p and not loss.angular and boundary(loss, target) == 0:
        negatives = [[sign * 2.0**-e, -0.75, -0.5] for e in (30, 45) for sign in (1, -1)]
        yield of_rows(entry, name, p, ("BesideBoundary",), [target] * 4, negatives)


def _on_either_side(f: float) -> tuple[float, float]:
    """Return the numbers of the grid around f, f itself among them if it is one."""
    below = float(np.floor(f * GRID))
    return below / GRID, (below + 1) / GRID


def _eight_bits_either_side(f: float) -> tuple[float, float]:
    """Return the numbers of eight bits next to f, below and above."""
    unit = 2.0 ** (np.frexp(f)[1] - 8)
    return float(np.ceil(f / unit) - 1) * unit, float(np.floor(f / unit) + 1) * unit


def pole(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield targets at c = ±1, and rows with a negative there."""
    p = parameters(entry, DYADIC, 8.0, 3)
    rows, edge = [[0.25, -0.5, 0.75], [0.5, -0.25, -0.75], [0.125, 0.375, -0.625]], (2 * GRID - 1) / (2 * GRID)
    yield of_rows(entry, name, p, ("TargetAtPole",), [1.0, -1.0, 0.5], rows)
    beside = [[1.0, -1.0, 0.125], [-1.0, -0.5, -0.125], [0.75, 1.0, -0.375]]
    yield of_rows(entry, name, p, ("NegativeAtPole",), [0.625, 0.25, -0.25], beside)
    yield of_rows(entry, name, p, ("TargetNearPole",), [edge, -edge, 0.5], rows)


def extreme(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield a huge and a tiny scale, a strong emphasis, cosines far below the grid, one class, and two."""
    tiny, targets = 2.0**-14, [0.5, 0.96875, -0.25]  # the smallest normal number of float16
    rows = [[tiny, -tiny, 0.0, 0.75], [-0.75, -0.875, tiny, -1.0], [0.25, -tiny, -0.5, 0.5]]
    for s, t in ((1024.0, 1.25), (0.125, 1.25), (16.0, 8.0)):
        p = parameters(entry, {**DYADIC, "t": t}, s)
        yield of_rows(entry, name, p, ("ExtremeScale",), targets, rows)
    p = parameters(entry, DYADIC, 32.0)
    yield of_rows(entry, name, p, ("OneClass",), targets, [[], [], []])
    yield of_rows(entry, name, p, ("TwoClasses",), targets, [[0.625], [0.125], [-0.5]])


def label(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield one class for all rows, the first and the last class, equal cosines, and labels, rows and classes twice."""
    p = parameters(entry, DYADIC, 8.0)
    draw = Draw(f"{entry.name}/{name}")
    cosines = [draw.row(4, -96, 112) for _ in range(4)]
    for flag, labels in (("OneLabel", [2] * 4), ("FirstAndLastLabel", [0, 3, 0, 3])):
        yield Recipe(entry.name, name, p, (flag,), {"cosines": cosines, "labels": labels, "cotangent": cotangent(4)})
    level = [[c] * 4 for c in (0.5, 0.0, -0.75, 1 - 1 / GRID)]
    yield Recipe(
        entry.name, name, p, ("EqualCosines",), {"cosines": level, "labels": [0, 1, 2, 3], "cotangent": cotangent(4)}
    )

    one, other = draw.row(2, -96, 96), draw.row(2, -96, 96)
    twice = [[*row, row[1]] for row in (one, other, one)]
    inputs = {"cosines": twice, "labels": [1, 2, 1], "cotangent": cotangent(3)}
    yield Recipe(entry.name, name, p, ("RepeatedLabels", "DuplicatedRows", "ClassWithoutRow"), inputs)


def parameter(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield parameters at the ends of their ranges, where many are neutral, between 1 and 1.2 for t, and above 8.

    m = 201/64 is the largest number of eight bits below π. s is 1 or no integer.
    """
    largest = 201 / 64 if entry.factory().angular else 2.0
    neutral = {"m": 0.0, "m1": 1.0, "m2": 0.0, "m3": 0.0, "t": 1.0625}
    far = {"m": largest, "m1": 2.0, "m2": 201 / 64, "m3": 2.0, "t": 1.0}
    sets = [("NeutralMargin", parameters(entry, neutral, 2.75, 1)), ("MarginAtEnd", parameters(entry, far, 1.0, 1000))]
    if "t" in entry.parameters:
        sets.append(("StrongEmphasis", parameters(entry, {**DYADIC, "t": 9.0}, 0.6875)))
    for flag, p in sets:
        yield of_rows(entry, name, p, (flag,), [0.25, -0.375, 0.625], [[0.5], [0.25], [-0.125]])


def digits(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield cosines and heads of 20 and of 45 bits; the rows of the first head all have one label.

    The numbers lie nearly half-way between two numbers of float16, those of 45 bits between two of float32 too, and far
    from the next number of bfloat16. So every cast changes them by nearly as much as it may. Most targets are low, for
    the loss of a confident row has few digits in float32.
    """
    p, draw = parameters(entry, DYADIC, 8.0, 3), Draw(f"{entry.name}/{name}")
    shorter = 2.0**-10 + 2.0**-11 + 2.0**-12 - 2.0**-20
    longer = shorter + 2.0**-25 - 2.0**-45
    for beyond in (shorter, longer):
        targets = [sign * c for sign, c in zip((-1, 1, -1), draw.between(3, beyond), strict=True)]
        yield of_rows(entry, name, p, ("ManyDigits",), targets, [draw.between(1, beyond) for _ in range(3)])
    for beyond, flags, labels in ((shorter, ("OneLabel",), [1, 1, 1]), (longer, (), [1, 0, 1])):
        x = [[v, 0.5] for v in draw.between(3, beyond)]
        w = [[v, second] for v, second in zip(draw.between(2, beyond), (0.5, -0.75), strict=True)]
        inputs = {"embeddings": x, "weights": w, "labels": labels, "cotangent": cotangent(3)}
        yield Recipe(entry.name, name, p, ("ManyDigits", *flags), inputs)


def error(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield inputs that must raise."""
    good = parameters(entry, DYADIC, 8.0)
    rest = [[0.125, 0.75, 0.0], [0.25, -0.75, 0.5]]
    cosines, labels = [[0.5, 0.25, -0.5], *rest], [0, 2, 1]
    bad: list[tuple[str, dict[str, float], Matrix, list[int]]] = [
        ("LabelTooLarge", {}, cosines, [0, 3, 1]),
        ("LabelNegative", {}, cosines, [0, -1, 1]),
        ("NotFinite", {}, [[0.5, float("nan"), -0.5], [0.125, float("inf"), 0.0], rest[1]], labels),
        ("ScaleNotPositive", {"s": 0.0}, cosines, labels),
        ("TooFewLabels", {}, cosines, [0, 2]),
    ]
    bad += [("StrengthBelowOne", {"t": 0.25}, cosines, labels)] if "t" in good else []
    bad += [("MarginNegative", {"m": -1.0}, cosines, labels)] if "m" in good else []
    bad += [("BeyondPole", {}, [[1.5, 0.25, -0.5], *rest], labels)] if entry.factory(**good).angular else []
    for flag, changed, c, y in bad:
        yield Recipe(
            entry.name, name, {**good, **changed}, (flag,), {"cosines": c, "labels": y, "cotangent": cotangent(3)}
        )


CORE: Mapping[str, Group] = {
    "basic": drawn("Basic", (32, 112), (-96, 96), (4.0, 32.0)),
    "hard": drawn("Hard", (-96, 32), (-32, 120), (4.0, 32.0)),
    "confident": drawn("Confident", (122, 127), (-122, -64), (16.0, 64.0)),
    "tie": tie,
    "near": near,
    "pole": pole,
    "extreme": extreme,
    "label": label,
    "parameter": parameter,
    "digits": digits,
    "coarse": coarse,
    "head": head,
    "error": error,
}


def boundary(loss: SVXSoftmax, c: float) -> float:
    """Return f(c) as float64 computes it, which is near enough to choose inputs by."""
    return float(loss.margin.value(Angle.from_cosine([c]))[0])


def _targets() -> list[float]:
    """Return every second multiple of 1/128 from 126/128 down to 34/128."""
    return [k / GRID for k in range(GRID - 2, GRID // 4, -2)]


def _fine_targets() -> list[float]:
    """Return numbers of eight bits on finer grids, between 33/512 and 253/256."""
    return [k / 512 for k in range(33, 256)] + [k / 256 for k in range(128, 254)]


def _on_grid(c: float, loss: SVXSoftmax) -> bool:
    """Return whether f(c) is a number of eight bits and a cosine; never for a transcendental f."""
    algebraic = not loss.angular or isinstance(loss.margin, MultiplicativeAngle)
    f = boundary(loss, c)
    return algebraic and abs(f) <= 1 and f != 0 and (f * 2.0**14).is_integer() and _significand_bits(f) <= 8


def _significand_bits(value: float) -> int:
    """Return how many significant bits a number has: 1 for a power of two."""
    numerator = abs(value.as_integer_ratio()[0])
    return numerator.bit_length() - ((numerator & -numerator).bit_length() - 1)
