"""The stages on slices that fit a cache, on all threads: what `SVXSoftmax.value_and_grad` runs.

A tile is a band of rows by a slice of classes. In each tile stage 2 leaves slope_k exp(r_k - P); once the tiles of a
row are there, their masses are merged, and stage 3 multiplies each tile by one number a row, while it is still in a
cache. How the work is cut depends on the shape alone, so the bits do not depend on the threads.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.emphasis import SupportVectors
from svref.engine import kernels, threads
from svref.margins import Angle, Margin


class Parts(NamedTuple):
    """The parts of a loss, as `SVXSoftmax` holds them."""

    margin: Margin
    emphasis: SupportVectors
    s: float


@np.errstate(under="ignore")
def log_odds(parts: Parts, cosines: FloatArray, labels: IntArray) -> FloatArray:
    """Return a of each row (equation 11), float64."""
    targets = kernels.target(parts.margin, parts.emphasis, _angle(cosines, labels), cosines.dtype)
    bands, _ = threads.cut(cosines.shape, cosines.itemsize)
    a = np.empty(len(labels))

    def band(i: int) -> None:
        rows = bands[i]
        masses = _masses(parts, cosines[rows], labels[rows], targets.of(rows))
        a[rows] = kernels.log_odds_against(reduce(kernels.merge, masses))

    threads.run(band, len(bands))
    return a


@np.errstate(under="ignore")
def value_and_gradient(
    parts: Parts, cosines: FloatArray, labels: IntArray, g: FloatArray, out: FloatArray
) -> FloatArray:
    """Return a of each row, float64, and write dL/dc (equations 17 and 18) for the cotangents g to `out`."""
    angle = _angle(cosines, labels)
    targets = kernels.target(parts.margin, parts.emphasis, angle, cosines.dtype)
    a = np.empty(len(labels))
    bands, _ = threads.cut(cosines.shape, cosines.itemsize)

    def band(i: int) -> None:
        rows = bands[i]
        a[rows] = _band(parts, cosines[rows], labels[rows], targets.of(rows), g[rows], out[rows])

    threads.run(band, len(bands))
    pull = -parts.s * kernels.target_error(a) * g
    dead = (g == 0) | (a == -np.inf)
    by_target = kernels.target_gradient(pull, parts.margin.by_cosine(angle), dead).astype(out.dtype)
    out[np.arange(len(labels)), labels] = by_target + 0  # no negative zero
    return a


def _band(
    parts: Parts, cosines: FloatArray, labels: IntArray, targets: kernels.Target, g: FloatArray, out: FloatArray
) -> FloatArray:
    """Run stages 2 and 3 on some rows; return their a."""
    masses = _masses(parts, cosines, labels, targets, out)
    mass = reduce(kernels.merge, masses)
    a = kernels.log_odds_against(mass)
    pull = parts.s * kernels.target_error(a) * g
    _, slices = threads.cut(cosines.shape, cosines.itemsize)

    def tile(i: int) -> None:
        kernels.multiply_rows(out[:, slices[i]], pull * kernels.share(masses[i], mass))

    threads.run(tile, len(slices))
    return a


def _masses(
    parts: Parts, cosines: FloatArray, labels: IntArray, targets: kernels.Target, out: FloatArray | None = None
) -> list[kernels.Mass]:
    """Return the mass of each slice of classes of some rows, in class order, and leave `negatives` in `out`."""
    _, slices = threads.cut(cosines.shape, cosines.itemsize)
    masses: list[kernels.Mass] = []

    def tile(i: int) -> kernels.Mass:
        own = kernels.own_entries(labels, slices[i])
        c = cosines[:, slices[i]]
        into = threads.scratch("weights", c.shape, c.dtype) if out is None else out[:, slices[i]]
        return negatives(parts, c, targets, own, into)

    threads.run(tile, len(slices), masses.append)
    return masses


def negatives(
    parts: Parts, cosines: FloatArray, target: kernels.Target, own: kernels.Own, out: FloatArray
) -> kernels.Mass:
    """Return the mass of a slice, and leave slope_k exp(r_k - P) of its negatives in `out`, 0 at the label."""
    r = kernels.gaps(cosines, target, own, out)
    top = r.max(axis=1, initial=-np.inf)
    support = None
    if parts.emphasis.t > 1 and (top >= target.contest).any():
        mask = kernels.support_mask(cosines, target, own, threads.scratch("mask", cosines.shape, np.bool_))
        support = kernels.support(cosines, mask, parts.emphasis)
        kernels.raise_(r, cosines, support, parts.emphasis)
        top = r.max(axis=1)
    r *= parts.s
    weights, mass = kernels.weights(r, parts.s * top)
    if support is not None:
        kernels.steepen(weights, support, parts.emphasis)
    return mass


def extremes(array: FloatArray) -> tuple[float, float]:
    """Return the smallest and the largest entry, NaN if there is one, reading the memory once."""
    bands, slices = threads.cut(array.shape, array.itemsize)
    lows, highs = np.empty((2, len(bands), len(slices)))

    def band(i: int) -> None:
        for j, part in enumerate(slices):
            block = array[bands[i], part]
            lows[i, j], highs[i, j] = block.min(), block.max()

    threads.run(band, len(bands))
    return float(lows.min()), float(highs.max())


def reduced(a: FloatArray, counted: BoolArray | None, weights: FloatArray, reduction: str, dtype: np.dtype[Any]) -> Any:
    """Return what `reduction` makes of the losses of rows with log-odds a, in `dtype`; 0 for ignored rows."""
    with np.errstate(under="ignore"):
        losses = kernels.loss(a) if counted is None else np.where(counted, kernels.loss(a), 0.0)
        return losses.astype(dtype) if reduction == "none" else dtype.type(np.sum(losses * weights))


def _angle(cosines: FloatArray, labels: IntArray) -> Angle:
    return Angle.from_cosine(cosines[np.arange(len(labels)), labels])
