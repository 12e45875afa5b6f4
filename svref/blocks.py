"""The stages on slices that fit a cache, on all threads: what `SVXSoftmax.value_and_grad` runs.

A tile is a band of rows by a slice of classes. In each tile stage 2 leaves slope_k exp(r_k - P); once the tiles of a
row are there, their masses are merged, and stage 3 multiplies each tile by one number a row, while it is still in a
cache. How the work is cut depends on the shape alone, so the bits do not depend on the threads.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from svref import pool, stages
from svref.emphasis import SupportVectors
from svref.inputs import BoolArray, FloatArray, IntArray
from svref.margins import Angle, Margin


class Parts(NamedTuple):
    """The parts of a loss, as `SVXSoftmax` holds them."""

    margin: Margin
    emphasis: SupportVectors
    s: float


@np.errstate(under="ignore")
def log_odds(parts: Parts, cosines: FloatArray, labels: IntArray) -> FloatArray:
    """Return a of each row (equation 11), float64."""
    targets = stages.target(parts.margin, parts.emphasis, _angle(cosines, labels), cosines.dtype)
    bands, _ = pool.cut(cosines.shape, cosines.itemsize)
    a = np.empty(len(labels))

    def band(i: int) -> None:
        rows = bands[i]
        masses = _masses(parts, cosines[rows], labels[rows], targets.of(rows))
        a[rows] = stages.log_odds_against(reduce(stages.merge, masses))

    pool.run(band, len(bands))
    return a


@np.errstate(under="ignore")
def value_and_gradient(
    parts: Parts, cosines: FloatArray, labels: IntArray, g: FloatArray, out: FloatArray
) -> FloatArray:
    """Return a of each row, float64, and write dL/dc (equations 17 and 18) for the cotangents g to `out`."""
    angle = _angle(cosines, labels)
    targets = stages.target(parts.margin, parts.emphasis, angle, cosines.dtype)
    a = np.empty(len(labels))
    bands, _ = pool.cut(cosines.shape, cosines.itemsize)

    def band(i: int) -> None:
        rows = bands[i]
        a[rows] = _band(parts, cosines[rows], labels[rows], targets.of(rows), g[rows], out[rows])

    pool.run(band, len(bands))
    pull = -parts.s * stages.target_error(a) * g
    dead = (g == 0) | (a == -np.inf)
    by_target = stages.target_gradient(pull, parts.margin.by_cosine(angle), dead).astype(out.dtype)
    out[np.arange(len(labels)), labels] = by_target + 0  # no negative zero
    return a


def _band(
    parts: Parts, cosines: FloatArray, labels: IntArray, targets: stages.Target, g: FloatArray, out: FloatArray
) -> FloatArray:
    """Run stages 2 and 3 on some rows; return their a."""
    masses = _masses(parts, cosines, labels, targets, out)
    mass = reduce(stages.merge, masses)
    a = stages.log_odds_against(mass)
    pull = parts.s * stages.target_error(a) * g
    _, slices = pool.cut(cosines.shape, cosines.itemsize)

    def tile(i: int) -> None:
        stages.multiply_rows(out[:, slices[i]], pull * stages.share(masses[i], mass))

    pool.run(tile, len(slices))
    return a


def _masses(
    parts: Parts, cosines: FloatArray, labels: IntArray, targets: stages.Target, out: FloatArray | None = None
) -> list[stages.Mass]:
    """Return the mass of each slice of classes of some rows, in class order, and leave `negatives` in `out`."""
    _, slices = pool.cut(cosines.shape, cosines.itemsize)
    masses: list[stages.Mass] = []

    def tile(i: int) -> stages.Mass:
        own = stages.own_entries(labels, slices[i])
        c = cosines[:, slices[i]]
        into = pool.scratch("weights", c.shape, c.dtype) if out is None else out[:, slices[i]]
        return negatives(parts, c, targets, own, into)

    pool.run(tile, len(slices), masses.append)
    return masses


def negatives(
    parts: Parts, cosines: FloatArray, target: stages.Target, own: stages.Own, out: FloatArray
) -> stages.Mass:
    """Return the mass of a slice, and leave slope_k exp(r_k - P) of its negatives in `out`, 0 at the label."""
    r = stages.gaps(cosines, target, own, out)
    top = r.max(axis=1, initial=-np.inf)
    support = None
    if parts.emphasis.t > 1 and (top >= target.contest).any():
        mask = stages.support_mask(cosines, target, own, pool.scratch("mask", cosines.shape, np.bool_))
        support = stages.support(cosines, mask, parts.emphasis)
        stages.raise_(r, cosines, support, parts.emphasis)
        top = r.max(axis=1)
    r *= parts.s
    weights, mass = stages.weights(r, parts.s * top)
    if support is not None:
        stages.steepen(weights, support, parts.emphasis)
    return mass


def reduced(a: FloatArray, counted: BoolArray | None, weights: FloatArray, reduction: str, dtype: np.dtype[Any]) -> Any:
    """Return what `reduction` makes of the losses of rows with log-odds a, in `dtype`; 0 for ignored rows."""
    with np.errstate(under="ignore"):
        losses = stages.loss(a) if counted is None else np.where(counted, stages.loss(a), 0.0)
        return losses.astype(dtype) if reduction == "none" else dtype.type(np.sum(losses * weights))


def _angle(cosines: FloatArray, labels: IntArray) -> Angle:
    return Angle.from_cosine(cosines[np.arange(len(labels)), labels])
