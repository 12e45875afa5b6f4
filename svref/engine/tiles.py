"""The kernels on tiles that fit a cache, on all threads: what `SVXSoftmax.value` and `value_and_grad` run.

A band is some rows, a tile the part of a band in one slice of classes. In each tile the exponentials of the negatives,
times their slopes, are written where the gradient will stand. Once all tiles of a band are there, their masses are
merged, and each tile is multiplied by one number a row, while it is still in a cache. How the work is cut depends on
the shape alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.engine import kernels, threads
from svref.margins import Angle
from svref.reference import Loss, sigmoid, softplus, times_df


@np.errstate(under="ignore")
def log_odds(loss: Loss, cosines: FloatArray, labels: IntArray) -> FloatArray:
    """Return a of each row (equation 11), float64."""
    targets = kernels.target(loss, _angle(cosines, labels), cosines.dtype)
    bands, _ = threads.cut(cosines.shape, cosines.itemsize)
    a = np.empty(len(labels))

    def band(i: int) -> None:
        rows = bands[i]
        masses = _masses(loss, cosines[rows], labels[rows], targets.of(rows))
        a[rows] = kernels.log_odds_against(reduce(kernels.merge, masses))

    threads.run(band, len(bands))
    return a


@np.errstate(under="ignore", over="ignore")  # at a steep margin a true gradient may be beyond float32
def value_and_gradient(loss: Loss, cosines: FloatArray, labels: IntArray, g: FloatArray, out: FloatArray) -> FloatArray:
    """Return a of each row, float64, and write dL/dc (equations 17 and 18) for the cotangents g to `out`."""
    angle = _angle(cosines, labels)
    targets = kernels.target(loss, angle, cosines.dtype)
    a = np.empty(len(labels))
    bands, _ = threads.cut(cosines.shape, cosines.itemsize)

    def band(i: int) -> None:
        rows = bands[i]
        a[rows] = _band(loss, cosines[rows], labels[rows], targets.of(rows), g[rows], out[rows])

    threads.run(band, len(bands))
    pull, dead = -loss.s * sigmoid(a) * g, (g == 0) | (a == -np.inf)
    by_target = times_df(pull, loss.margin.by_cosine(angle), dead).astype(out.dtype)
    out[np.arange(len(labels)), labels] = by_target + 0  # no negative zero
    return a


def _band(
    loss: Loss, cosines: FloatArray, labels: IntArray, targets: kernels.Target, g: FloatArray, out: FloatArray
) -> FloatArray:
    """Write the negatives' gradient of some rows to `out`; return their a."""
    masses = _masses(loss, cosines, labels, targets, out)
    mass = reduce(kernels.merge, masses)
    a = kernels.log_odds_against(mass)
    pull = loss.s * sigmoid(a) * g
    _, slices = threads.cut(cosines.shape, cosines.itemsize)

    def tile(i: int) -> None:
        kernels.multiply_rows(out[:, slices[i]], pull * kernels.share_factor(masses[i], mass))

    threads.run(tile, len(slices))
    return a


def _masses(
    loss: Loss, cosines: FloatArray, labels: IntArray, targets: kernels.Target, out: FloatArray | None = None
) -> list[kernels.Mass]:
    """Return the mass of each slice of classes of some rows, in class order; `out` takes what `negatives` writes."""
    _, slices = threads.cut(cosines.shape, cosines.itemsize)
    masses: list[kernels.Mass] = []

    def tile(i: int) -> kernels.Mass:
        own = kernels.label_entries(labels, slices[i])
        c = cosines[:, slices[i]]
        into = threads.scratch("exponentials", c.shape, c.dtype) if out is None else out[:, slices[i]]
        return negatives(loss, c, targets, own, into)

    threads.run(tile, len(slices), masses.append)
    return masses


def negatives(
    loss: Loss, cosines: FloatArray, target: kernels.Target, own: kernels.LabelEntries, out: FloatArray
) -> kernels.Mass:
    """Return the mass of a slice, and write slope_k e^{r_k - P} of its negatives to `out`, 0 at the label."""
    r = kernels.gaps(cosines, target, own, out)
    largest = r.max(axis=1, initial=-np.inf)
    support = None
    if loss.emphasis.t > 1 and (largest >= target.least_gap).any():
        mask = kernels.support_mask(cosines, target, own, threads.scratch("mask", cosines.shape, np.bool_))
        support = kernels.support_vectors(cosines, mask, loss.emphasis)
        kernels.add_emphasis(r, cosines, support, loss.emphasis)
        largest = r.max(axis=1)
    r *= loss.s
    exponentials, mass = kernels.exponentials(r, loss.s * largest)
    if support is not None:
        kernels.multiply_by_slope(exponentials, support, loss.emphasis)
    return mass


def extremes(array: FloatArray) -> tuple[float, float]:
    """Return the smallest and the largest entry, NaN if there is one, reading the memory once on all threads."""
    bands, slices = threads.cut(array.shape, array.itemsize)
    lows, highs = np.empty((2, len(bands), len(slices)))

    def band(i: int) -> None:
        for j, part in enumerate(slices):
            block = array[bands[i], part]
            lows[i, j], highs[i, j] = block.min(), block.max()

    threads.run(band, len(bands))
    return float(lows.min()), float(highs.max())


def reduced(a: FloatArray, counted: BoolArray | None, g: FloatArray, reduction: str, dtype: np.dtype[Any]) -> Any:
    """Return what `reduction` makes of the losses of rows with log-odds a, in `dtype`; 0 for ignored rows.

    g, (B,), is how much each row's loss counts in the sum or the mean.
    """
    with np.errstate(under="ignore", over="ignore"):
        losses = softplus(a) if counted is None else np.where(counted, softplus(a), 0.0)
        return losses.astype(dtype) if reduction == "none" else dtype.type(np.sum(losses * g))


def _angle(cosines: FloatArray, labels: IntArray) -> Angle:
    return Angle.from_cosine(cosines[np.arange(len(labels)), labels])
