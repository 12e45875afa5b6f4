"""The group `coarse` of the core pack: rows that show mistakes in formats of few digits, as bfloat16 with its eight.

Scales are small, margins large against the grid, and classes few, so that rounding moves no logit far. Cosines are
multiples of 1/8, and unit vectors have components that are, so that products and sums are exact in every format.
"""

from __future__ import annotations

from collections.abc import Iterator

from svref.golden.making.recipes import Draw, Parameters, Recipe, cotangent, of_rows, parameters
from svref.variants import Variant

NARROW = {"m": 0.5, "m1": 1.0, "m2": 0.5, "m3": 0.25, "t": 1.5}
WIDE = {"m": 1.0, "m1": 1.5, "m2": 0.5, "m3": 0.5, "t": 2.0}
EIGHTHS = ((6, 4, 2, 2, 2), (7, 3, 2, 1, 1), (5, 5, 3, 2, 1), (4, 4, 4, 4, 0), (6, 5, 1, 1, 1))  # squares add up to 64
TARGETS = (-2, 5, -4, 6, 1, -6)  # in eighths: f' is far from 1 for a large margin


def coarse(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield cosines at small scales, learnt rows with small logits, then heads of exact unit vectors."""
    learnt = {**NARROW, "m": 0.25, "m2": 0.25}
    for values, s, pieces in ((NARROW, 1.0, 3), (WIDE, 2.0, 2), (WIDE, 0.25, 1)):
        yield _drawn(entry, name, parameters(entry, values, s, pieces), 8)
    yield _drawn(entry, name, parameters(entry, NARROW, 5.5, 2), 128)  # s c has more digits than bfloat16
    for s in (4.0, 8.0):
        yield _learnt(entry, name, parameters(entry, learnt, s, 1))
    for values, s, pieces in ((NARROW, 1.0, 3), (WIDE, 0.5, 3), (NARROW, 4.0, 3), (NARROW, 5.375, 3)):
        yield _head(entry, name, parameters(entry, values, s, pieces), TARGETS, ())
    yield _head(entry, name, parameters(entry, learnt, 8.0, 1), (7, 6, 7, 5, 6, 7), ("LearntRows",))


def _drawn(entry: Variant, name: str, p: Parameters, grid: int) -> Recipe:
    """Return rows of multiples of 1/`grid`, with negatives on both sides of the boundary."""
    draw = Draw(f"{entry.name}/{name}/{sorted(p.items())}")
    negatives = [[draw.integer(-6 * grid // 8, 7 * grid // 8) / grid for _ in range(3)] for _ in TARGETS]
    return of_rows(entry, name, p, ("FewDigits",), [k / 8 for k in TARGETS], negatives)


def _learnt(entry: Variant, name: str, p: Parameters) -> Recipe:
    """Return rows whose q is below the unit roundoff of bfloat16, and whose logits are exact where f is c - m."""
    negatives = [[-0.875, -0.75], [-0.75, -0.875], [-0.625, -0.75], [-0.5, -0.875]]
    return of_rows(entry, name, p, ("FewDigits", "LearntRows"), [0.875, 0.75, 0.875, 0.875], negatives)


def _head(entry: Variant, name: str, p: Parameters, targets: tuple[int, ...], flags: tuple[str, ...]) -> Recipe:
    """Return a head whose classes lie on the axes, each label twice, one class without a row, lengths powers of two.

    Learnt rows have no positive component but the target's.
    """
    draw = Draw(f"{entry.name}/{name}/head/{sorted(p.items())}")
    labels = [0, 1, 2, 1, 0, 2]
    x = [_row(draw, y, target, bool(flags)) for y, target in zip(labels, targets, strict=True)]
    w = [[length * (k == d) for d in range(5)] for k, length in enumerate((2.0, 0.5, 1.0, 4.0))]
    inputs = {"embeddings": x, "weights": w, "labels": labels, "cotangent": cotangent(len(labels))}
    return Recipe(entry.name, name, p, ("FewDigits", *flags, "RepeatedLabels", "ClassWithoutRow"), inputs)


def _row(draw: Draw, label: int, target: int, is_learnt: bool) -> list[float]:
    """Return a row of length 1, 2 or 1/2 whose unit vector has |target|/8 at the label, with the target's sign."""
    rest = list(next(v for v in EIGHTHS if abs(target) in v))
    rest.remove(abs(target))
    order = [rest.pop(draw.integer(0, len(rest) - 1)) for _ in range(4)]
    signed = [-k if is_learnt else k * (1 - 2 * draw.integer(0, 1)) for k in order]
    signed.insert(label, target)
    length = 2.0 ** draw.integer(-1, 1)
    return [length * k / 8 for k in signed]
