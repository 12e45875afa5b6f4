"""The group `coarse` of the core pack: rows that show mistakes in formats of few digits, as bfloat16 with its eight.

Scales are small, margins large against the grid, and classes few, so that rounding moves no logit far. Cosines are
multiples of 1/8, and unit vectors have components that are, so that products and sums are exact in every format. Where
a margin has no angle, or is off, f is exact too, and formats of 11 digits can be told from those of 8.
"""

from __future__ import annotations

from collections.abc import Iterator

from svref.golden.making.recipes import Draw, Parameters, Recipe, cotangent, of_rows, parameters
from svref.variants import Variant

NARROW = {"m": 0.5, "m1": 1.0, "m2": 0.5, "m3": 0.25, "t": 1.5}
WIDE = {"m": 1.0, "m1": 1.5, "m2": 0.5, "m3": 0.5, "t": 2.0}
SLIGHT = {"m": 0.125, "m1": 1.0, "m2": 0.125, "m3": 0.0, "t": 1.0}
PLAIN = {"m": 0.25, "m1": 1.0, "m2": 0.0, "m3": 0.25, "t": 1.0}  # no angle is added, and nothing emphasised
FAR = {"m": 2.0, "m1": 1.0, "m2": 1.0, "m3": 0.0, "t": 1.0}  # most targets lie in the tail
STEEP = {"m": 1.0, "m1": 2.0, "m2": 0.0, "m3": 0.3125, "t": 8.0}  # no negative equals cos 2θ - m3
STRONG = {"m": 0.5, "m1": 1.0, "m2": 0.0, "m3": 0.0625, "t": 8.0}

COSINES = (  # the parameters, s, and the pieces of A-Softmax
    (NARROW, 1.0, 3),
    (WIDE, 2.0, 2),
    (PLAIN, 0.125, 1),
    (STRONG, 0.125, 1),
    (STEEP, 0.25, 3),
    (PLAIN, 5.375, 1),  # s has six digits, so that s c has more than bfloat16
)
HEADS = (  # t > 1 with several pieces alone: emphasised A-Softmax of one piece has f = c_y, and so ties
    (SLIGHT, 5.375, 1),
    (PLAIN, 0.125, 1),
    (PLAIN, 5.375, 1),
    (STRONG, 0.25, 3),
    (WIDE, 0.5, 3),
)
SCALED = ((STEEP, 0.25, 2),)  # at 90° A-Softmax of two pieces has a kink, so that no row points along an axis
SHORT = ((STRONG, 16.0, 3), (FAR, 0.25, 2))
LEARNT = ((SLIGHT, 7.75, 1),)
# With one piece: q is 2^-10 at the first with a margin, and 2^-9 at the second where f is c.
TWO_CLASSES = ((SLIGHT, 8.0), (PLAIN, 6.25))
# The number that the drawn rows depend on: 0, or the first with which every mistake shows.
DRAWN = {"mv-am-softmax": 2, "sv-combined-softmax": 13, "a-softmax": 19, "sv-a-softmax": 19}

EIGHTHS = (  # squares add up to 64
    (8, 0, 0, 0, 0), (6, 4, 2, 2, 2), (7, 3, 2, 1, 1), (5, 5, 3, 2, 1), (4, 4, 4, 4, 0), (6, 5, 1, 1, 1),
)  # fmt: skip
TARGETS = (-2, 5, -4, 6, 1, -6)  # in eighths: f' is far from 1 for a large margin
NEGATIVE_AT_POLE = 0  # the target of a row that points along another axis
LEARNT_TARGETS = (7, 6, 7, 5, 6, 7)
SHORT_LENGTH = 2.0**-18  # above 1e-6, the least length that TensorFlow normalises by


def coarse(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield cosines at small scales, learnt rows with small logits, then heads of exact unit vectors.

    Two sets may be the same for a variant that lacks what they differ in; their numbers are drawn apart all the same.
    """
    for i, (values, s, pieces) in enumerate(COSINES):
        # Code through acos has 0/0 where the slope is 1 at a pole.
        pole = (8,) if values is STEEP else ()
        yield _drawn(entry, name, parameters(entry, values, s, pieces), i, pole)
    yield _hard(entry, name, parameters(entry, PLAIN, 8.0, 1))
    for values, s in ((NARROW, 4.0), (PLAIN, 5.375)):
        yield _learnt(entry, name, parameters(entry, values, s, 1))
    for kind, cases, targets, unit in (
        ("NegativeAtPole", HEADS, (*TARGETS, NEGATIVE_AT_POLE), 1.0),
        ("ScaledRows", SCALED, TARGETS, 1.0),
        ("TinyRows", SHORT, TARGETS, SHORT_LENGTH),
        ("LearntRows", LEARNT, LEARNT_TARGETS, 1.0),
    ):
        for i, (values, s, pieces) in enumerate(cases):
            yield _head(entry, name, parameters(entry, values, s, pieces), i, targets, unit, kind)
    for values, s in TWO_CLASSES:
        yield _two_classes(entry, name, parameters(entry, values, s, 1))


def _drawn(entry: Variant, name: str, p: Parameters, i: int, pole: tuple[int, ...]) -> Recipe:
    """Return rows of multiples of 1/8, with negatives on both sides of the boundary.

    In one row a negative has a small probability beside larger ones; the last may have its target at a pole.
    """
    draw = _numbers(entry, name, str(i))
    targets = [k / 8 for k in (*TARGETS, 5, *pole)]
    negatives = [[draw.integer(-6, 7) / 8 for _ in range(3)] for _ in targets]
    negatives[6] = [-0.75, -0.25, 0.75]
    return of_rows(entry, name, p, ("FewDigits", *(("TargetAtPole",) if pole else ())), targets, negatives)


def _hard(entry: Variant, name: str, p: Parameters) -> Recipe:
    """Return rows of negatives with nine digits, which bfloat16 rounds and float16 does not, far above the target."""
    draw = _numbers(entry, name, "hard")
    negatives = [[draw.integer(256, 512) / 512 for _ in range(3)] for _ in range(4)]
    return of_rows(entry, name, p, ("FewDigits", "NineDigits"), [-0.875, -0.5, -0.75, -0.25], negatives)


def _learnt(entry: Variant, name: str, p: Parameters) -> Recipe:
    """Return rows whose q is below the unit roundoff of bfloat16, and whose logits are exact where f is c - m."""
    negatives = [[-0.875, -0.75], [-0.75, -0.875], [-0.625, -0.75], [-0.5, -0.875]]
    return of_rows(entry, name, p, ("FewDigits", "LearntRows"), [0.875, 0.75, 0.875, 0.875], negatives)


def _head(entry: Variant, name: str, p: Parameters, i: int, targets: tuple[int, ...], unit: float, kind: str) -> Recipe:
    """Return a head whose classes lie on the axes, most labels twice, two classes without a row, lengths powers of two.

    The first class without a row is no negative with a large cosine. Learnt rows have no positive component but
    the target's. Rows are about as long as `unit`.
    """
    draw = _numbers(entry, f"{name}/{kind}/{i}", "head")
    labels = [0, 1, 2, 1, 0, 2, 1][: len(targets)]
    x = [_row(draw, y, target, kind == "LearntRows", unit) for y, target in zip(labels, targets, strict=True)]
    w = [[length * (k == d) for d in range(5)] for k, length in enumerate((2.0, 0.5, 1.0, 4.0, 0.25))]
    g = cotangent(len(labels))
    if kind == "LearntRows":
        g = [abs(v) for v in g[:-1]] + [-0.25]  # so that the rows' parts of the gradient of class 3 add up
    inputs = {"embeddings": x, "weights": w, "labels": labels, "cotangent": g}
    return Recipe(entry.name, name, p, ("FewDigits", kind, "RepeatedLabels", "ClassWithoutRow"), inputs)


def _numbers(entry: Variant, name: str, rows: str) -> Draw:
    """Return what the numbers of some rows are drawn from."""
    return Draw(f"{entry.name}/{name}/{DRAWN.get(entry.name, 0)}/{rows}")


def _two_classes(entry: Variant, name: str, p: Parameters) -> Recipe:
    """Return rows with the target at 90° and the negative at 180°: q is small, and f near 0."""
    x = [[-1.0, 0.0], [0.0, -2.0], [-0.5, 0.0], [0.0, -1.0]]
    inputs = {"embeddings": x, "weights": [[2.0, 0.0], [0.0, 0.5]], "labels": [1, 0, 1, 0], "cotangent": cotangent(4)}
    return Recipe(entry.name, name, p, ("FewDigits", "LearntRows", "TwoClasses"), inputs)


def _row(draw: Draw, label: int, target: int, is_learnt: bool, unit: float) -> list[float]:
    """Return a row of 1, 2 or 1/2 units whose direction has target/8 at the label; the others are drawn.

    In learnt rows the class 3 is so far that its probability is below 2^-12.
    """
    rest = list(next(v for v in EIGHTHS if abs(target) in v))
    rest.remove(abs(target))
    last = rest.pop(rest.index(max(rest)) if is_learnt else draw.integer(0, 3))
    order = [rest.pop(draw.integer(0, len(rest) - 1)) for _ in range(3)]
    signed = [-k if is_learnt else k * (1 - 2 * draw.integer(0, 1)) for k in order]
    signed.insert(label, target)
    signed.insert(3, -last)
    length = unit * 2.0 ** draw.integer(-1, 1)
    return [length * k / 8 for k in signed]
