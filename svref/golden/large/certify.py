"""The certified numbers of a large recipe: each cosine of a row is computed once, however many classes have it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.checks import Progress
from svref.exact.counted import CountedRow, evaluate_counted
from svref.formats import STORED
from svref.golden.files import canonical
from svref.golden.files.pack import VectorsError
from svref.golden.large.case import OUTPUTS, SCALES, LargeCase
from svref.golden.large.recipe import GRID, LargeRecipe
from svref.judging import condition


def certify(recipe: LargeRecipe, progress: Progress | None = None) -> LargeCase:
    """Return the case of a recipe; raise a VectorsError if a number cannot be settled."""
    shape = (recipe.rows, recipe.projections, recipe.tabled)
    truth = evaluate_counted(recipe.loss, recipe.grid, _counted(recipe), shape, progress=progress)
    if truth.unresolved:
        raise VectorsError(f"{recipe.id}: {len(truth.unresolved)} numbers not settled, first {truth.unresolved[0]}.")
    outputs = {name: getattr(truth, name) for name in OUTPUTS}
    expected, rest = {name: x.hi for name, x in outputs.items()}, {name: x.lo for name, x in outputs.items()}
    scales, decisive = _scales_and_decisive_rows(recipe)
    return LargeCase(recipe.id, recipe, recipe.digests(), expected, rest, scales, decisive)


def _counted(recipe: LargeRecipe) -> Iterator[CountedRow]:
    """Yield, for every row, how many negatives have each cosine of the grid, and the sum of their signs."""
    signs, values = recipe.signs, len(recipe.grid)
    for b, label in enumerate(recipe.labels.tolist()):
        at = recipe.numerators(b) - recipe.span.first
        at[label] = values  # the label is counted in a place of its own, which is cut off
        signed = [np.bincount(at, row, values + 1)[:-1].astype(np.int64) for row in signs]
        yield CountedRow(
            target=float(recipe.targets[b]) / GRID,
            cotangent=float(recipe.cotangent[b]),
            counts=np.bincount(at, minlength=values + 1)[:-1],
            signed=np.array(signed),
            own=signs[:, label].astype(np.int64),
        )


def _scales_and_decisive_rows(recipe: LargeRecipe) -> tuple[dict[str, FloatArray], dict[str, BoolArray]]:
    """Return the condition scales, rounded up, and which rows are decisive in each format."""
    scales: dict[str, FloatArray] = {name: np.empty(recipe.rows) for name in SCALES}
    decisive: dict[str, BoolArray] = {name: np.empty(recipe.rows, bool) for name in STORED}
    for rows in recipe.blocks():
        step = recipe.loss.forward(recipe.cosines(rows=rows), recipe.labels[rows])
        found = condition.scales(step, np.float64)
        target = found.cosines[np.arange(len(step.labels)), step.labels]
        for name, values in zip(SCALES, (found.loss, target, found.cosines.sum(axis=1)), strict=True):
            scales[name][rows] = canonical.rounded_up(values)
        for name, rows_decided in decisive.items():
            near, reach = condition.undecided(step, name)
            rows_decided[rows] = ~near.any(axis=1) & (reach < 0)
    return scales, decisive
