"""The packs: what each is for, its version, and the groups of recipes its cases are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from svref.deviations.which import has_margin
from svref.golden.making.batches import FLOAT32_DIGITS, SHAPES, Batch, batches
from svref.golden.making.groups import CORE, Group
from svref.golden.making.recipes import GRID, Draw, Recipe, cotangent, of_rows
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS, Variant

NOTEBOOK_LOGITS = [[2.0, 3.0, 1.0, -1.0], [-1.0, 2.1, 2.0, 6.0], [-2.0, 3.0, 4.0, -2.1]]
NOTEBOOK_LABELS = [1, 2, 0]
PAPER_SCALES = (30.0, 64.0)
MOST_NUMBERS = 2_500  # of a matrix of the pack of batches, beside 2 rows or 2 dimensions


@dataclass(frozen=True)
class Pack:
    """A set of vectors with a version of its own.

    Parameters
    ----------
    name, version : str
        A patch changes notes, scales or power alone, a minor version adds cases, a major one changes what is expected.
    purpose : str
        What it is for.
    groups : mapping
        By the name of a group, a function of a variant and that name that yields the recipes.
    """

    name: str
    version: str
    purpose: str
    groups: Mapping[str, Group]

    def recipes(self) -> Iterator[Recipe]:
        """Yield the recipes, variant by variant."""
        for entry in VARIANTS.values():
            for name, group in self.groups.items():
                yield from group(entry, name)


def notebook(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield the notebook's rows, which are logits: only for losses that take them."""
    if not entry.factory().angular:
        rows = {"cosines": NOTEBOOK_LOGITS, "labels": NOTEBOOK_LABELS, "cotangent": cotangent(3)}
        yield Recipe(entry.name, name, {**entry.parameters, "s": 1.0}, ("Notebook",), rows)


def paper(targets: tuple[int, int], negatives: tuple[int, int]) -> Group:
    """Return a group of drawn rows at the papers' parameters, which no binary format holds exactly.

    `targets` and `negatives` are the first and the last of the integers to draw from, in units of 1/128.
    """

    def group(entry: Variant, name: str) -> Iterator[Recipe]:
        for s in PAPER_SCALES:
            draw = Draw(f"paper/{entry.name}/{name}/{s:g}")
            rows = [draw.row(7, *negatives) for _ in range(4)]
            flags = ("PaperParameters",)
            yield of_rows(entry, name, {**entry.parameters, "s": s}, flags, draw.row(4, *targets), rows)

    return group


def next_to_boundary(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield rows with a dominant negative as near to the boundary as float64 and float32 have numbers."""
    if has_margin(entry.factory()):  # without one, ties are exact for everybody
        for dtype in ("float64", "float32"):
            yield from _beside_boundary(entry, name, "NextToBoundary", 0.0, dtype)


def beside_boundary(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield rows with a dominant negative beside the boundary: by 2^-15 in float32, by 2^-30 and 2^-45 in float64."""
    for exponent, dtype in ((15, "float32"), (30, "float64"), (45, "float64")):
        for sign in (1, -1):
            yield from _beside_boundary(entry, name, "BesideBoundary", sign * 2.0**-exponent, dtype)


def _beside_boundary(entry: Variant, name: str, flag: str, offset: float, dtype: str) -> Iterator[Recipe]:
    """Yield rows with a dominant negative at the boundary + `offset`, rounded to `dtype`; none for losses without t."""
    if "t" in entry.parameters:
        p = {**entry.parameters, "s": PAPER_SCALES[-1]}
        targets = [c / GRID for c in (125, 122, 119, 116)]
        dominant = [_boundary(entry.factory(**p), c) + offset for c in targets]
        negatives = [[-0.75, float(np.array(c).astype(dtype)), -0.5] for c in dominant]
        yield of_rows(entry, name, p, (flag,), targets, negatives)


def _boundary(loss: SVXSoftmax, cosine: float) -> float:
    """Return the float64 next to f(c), from balls: that of the margin's code may differ between machines."""
    from svref.exact.balls import FloatCosine, ball, precision  # packs that are there are read without python-flint
    from svref.exact.cosines import FIRST_BITS
    from svref.exact.margins import Point, margin_in_balls

    with precision(FIRST_BITS):
        return float(margin_in_balls(loss.margin, Point.of(FloatCosine(ball(cosine)))).value)


def wide(entry: Variant, name: str) -> Iterator[Recipe]:
    """Yield heads of 16 and 64 dimensions, a near-parallel, a mirrored and a scaled row among them."""
    for dimensions in (16, 64):
        draw = Draw(f"head/{entry.name}/{dimensions}")
        w = [draw.row(dimensions, -GRID, GRID) for _ in range(12)]
        x = [draw.row(dimensions, -GRID, GRID), _beside(w[3]), [-v for v in w[5]], [8 * v for v in _beside(w[7])]]
        inputs = {"embeddings": x, "weights": w, "labels": [1, 3, 5, 7], "cotangent": cotangent(4)}
        yield Recipe(entry.name, name, dict(entry.parameters), ("Wide",), inputs)


def _beside(row: list[float]) -> list[float]:
    """Return a row that differs from another by 2^-20 in its first number, exactly in float32."""
    return [row[0] + 2.0**-20, *row[1:]]


def batches_of(is_head: bool) -> Group:
    """Return a group of one batch of each shape, of numbers that float32 holds, for programs that answer files."""

    def group(entry: Variant, name: str) -> Iterator[Recipe]:
        for drawn in batches(entry.name, 0, len(SHAPES), is_head, FLOAT32_DIGITS, (), False):
            batch = _smaller(drawn)
            names = ("embeddings", "weights") if is_head else ("cosines",)
            inputs = {name: array.tolist() for name, array in zip(names, batch.arrays, strict=True)}
            inputs |= {"labels": batch.target_classes.tolist(), "cotangent": batch.cotangent.tolist()}
            yield Recipe(entry.name, name, batch.parameters, ("Batch",), inputs)

    return group


def _smaller(batch: Batch) -> Batch:
    """Return a batch with so few rows, or dimensions, that its file has at most some thousand numbers."""
    rows = min(batch.rows, max(2, MOST_NUMBERS // batch.classes))
    return replace(batch, rows=rows, dimensions=min(batch.dimensions, max(2, MOST_NUMBERS // batch.classes)))


_PACKS = (
    Pack("seed", "1.0.5", "The rows of the notebook that started the project.", {"notebook": notebook}),
    Pack(
        "core",
        "1.4.0",
        "Dyadic numbers, most of them exact in float64, float32, float16 and bfloat16, parameters included.",
        CORE,
    ),
    Pack(
        "paper",
        "1.0.5",
        "The papers' parameters, and negatives next to the boundary, for float64 and float32.",
        {
            "easy": paper((72, 120), (-64, 64)),
            "hard": paper((-96, 48), (-64, 120)),
            "either": next_to_boundary,
            "narrow": beside_boundary,
        },
    ),
    Pack(
        "batches",
        "1.0.4",
        "Batches as trainings have them: up to 300 rows and 4,200 classes, numbers of all digits of float32.",
        {"cosines": batches_of(is_head=False), "heads": batches_of(is_head=True)},
    ),
    Pack("head", "1.0.4", "Embeddings and weights of up to 64 dimensions.", {"wide": wide}),
)
PACKS: Mapping[str, Pack] = {pack.name: pack for pack in _PACKS}
