"""The kernels on tiles that fit a cache, on all threads: what `SVXSoftmax.value` and `value_and_grad` run.

A band is some rows, a tile the part of a band in one slice of classes. In each tile the exponentials of the negatives,
times their slopes, are written where the gradient will stand. Once all tiles of a band are there, their masses are
merged, and each tile is multiplied by one number a row, while it is still in a cache. The bits do not depend on the
number of threads: how the classes are cut depends on their number alone, and no row depends on those in its band.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.engine import kernels, threads
from svref.margins import Angle
from svref.reference import Loss, finite_or_zero, sigmoid, softplus, times_df

Result = TypeVar("Result")


@np.errstate(under="ignore", over="ignore")  # an overflow of exp is seen in the sum
def log_odds(loss: Loss, cosines: FloatArray, labels: IntArray, extremes: tuple[float, float]) -> FloatArray:
    """Return a of each row (equation 11), float64; `extremes` are the smallest and the largest cosine."""
    target = kernels.target(loss, _angle(cosines, labels), cosines.dtype, extremes)
    bands, workers = threads.bands(cosines.shape, cosines.itemsize)
    a = np.empty(len(labels))

    def band(i: int) -> None:
        rows = bands[i]
        parts = _negatives(loss, cosines[rows], labels[rows], target.of(rows))
        a[rows] = kernels.log_odds_against(_mass(parts))

    threads.run(band, len(bands), most=workers)
    return a


@np.errstate(under="ignore", over="ignore")  # at a steep margin a true gradient may be beyond float32
def value_and_gradient(
    loss: Loss, cosines: FloatArray, labels: IntArray, extremes: tuple[float, float], g: FloatArray, out: FloatArray
) -> FloatArray:
    """Return a of each row, float64, and write dL/dc (equations 17 and 18) for the cotangents g to `out`."""
    angle = _angle(cosines, labels)
    target = kernels.target(loss, angle, cosines.dtype, extremes)
    a = np.empty(len(labels))
    bands, workers = threads.bands(cosines.shape, cosines.itemsize)

    def band(i: int) -> None:
        rows = bands[i]
        a[rows] = _band(loss, cosines[rows], labels[rows], target.of(rows), g[rows], out[rows])

    threads.run(band, len(bands), most=workers)
    pull, dead = -loss.s * sigmoid(a) * g, (g == 0) | (a == -np.inf)
    by_target = times_df(pull, loss.margin.by_cosine(angle), dead).astype(out.dtype)
    out[np.arange(len(labels)), labels] = by_target + 0  # no negative zero
    return a


def _band(
    loss: Loss, cosines: FloatArray, labels: IntArray, target: kernels.Target, g: FloatArray, out: FloatArray
) -> FloatArray:
    """Write the negatives' gradient of some rows to `out`; return their a."""
    parts = _negatives(loss, cosines, labels, target, out)
    mass = _mass(parts)
    a = kernels.log_odds_against(mass)
    pull = loss.s * sigmoid(a) * g
    _each(lambda i: multiply(parts[i], pull, mass), len(parts))
    return a


def _negatives(
    loss: Loss, cosines: FloatArray, labels: IntArray, target: kernels.Target, out: FloatArray | None = None
) -> list[kernels.Negatives]:
    """Return the negatives of some rows in each slice of classes, in class order; their exponentials are in `out`."""
    slices = threads.slices(cosines.shape[1], cosines.itemsize)
    rows = np.arange(len(labels))

    def tile(i: int) -> kernels.Negatives:
        c = cosines[:, slices[i]]
        into = threads.scratch("exponentials", c.shape, c.dtype) if out is None else out[:, slices[i]]
        own = kernels.label_entries(labels, slices[i]) if len(slices) > 1 else kernels.LabelEntries(rows, labels)
        return negatives(loss, c, target, own, into)

    return _each(tile, len(slices))


def _each(task: Callable[[int], Result], count: int) -> list[Result]:
    """Return the results of all tasks, which are run side by side; a single one is run without more ado."""
    if count == 1:
        return [task(0)]
    results: list[Result] = []
    threads.run(task, count, results.append)
    return results


def _mass(parts: Sequence[kernels.Negatives]) -> kernels.Mass:
    """Return the mass of all slices of a row."""
    return reduce(kernels.merge, (part.mass for part in parts))


def negatives(
    loss: Loss, cosines: FloatArray, target: kernels.Target, own: kernels.LabelEntries, out: FloatArray
) -> kernels.Negatives:
    """Return the mass of a slice, and write slope_k e^{r_k - P} of its negatives to `out`, 0 at the label."""
    r = kernels.gaps(cosines, target, out)
    support = kernels.support_vectors(r, cosines, target, own, loss.emphasis)
    _scale(loss, r, cosines, support)
    peak = np.zeros(len(cosines)) if target.is_bounded else np.maximum(_largest(r, own) - kernels.HIGHEST, 0.0)
    total = kernels.exponentials(r, peak, target.low, own)
    lost = kernels.has_lost(total, out.dtype)
    if lost.any():
        _scale(loss, kernels.gaps(cosines, target, out), cosines, support)
        peak = np.where(lost, _largest(r, own), peak)
        total = kernels.exponentials(r, peak, target.low, own)
    if support is not None:
        kernels.multiply_by_slope(out, support, loss.emphasis)
    return kernels.Negatives(out, kernels.Mass(peak + target.offset, total), target.low - finite_or_zero(peak))


def _scale(loss: Loss, gaps: FloatArray, cosines: FloatArray, support: kernels.Support | None) -> None:
    """Turn gaps into r_k - offset, in place."""
    if support is not None:
        kernels.add_emphasis(gaps, cosines, support, loss.emphasis)
    gaps *= loss.s


def _largest(r: FloatArray, own: kernels.LabelEntries) -> FloatArray:
    """Return the largest r_k of each row, float64; -inf without negatives."""
    r[own] = -np.inf
    return r.max(axis=1, initial=-np.inf).astype(np.float64)


def multiply(part: kernels.Negatives, pull: FloatArray, mass: kernels.Mass) -> None:
    """Turn slope_k e^{r_k - P} of a slice into pull slope_k e^{r_k - a} (equation 17), in place."""
    kernels.multiply_rows(part.exponentials, kernels.share_factor(part.mass, mass).times(pull), part.low)


def extremes(array: FloatArray) -> tuple[float, float]:
    """Return the smallest and the largest entry, NaN if there is one; the memory of a large array is read once."""
    if array.nbytes <= threads.ALONE_BYTES:
        return float(array.min()), float(array.max())
    bands, workers = threads.bands(array.shape, array.itemsize)
    slices = threads.slices(array.shape[1], array.itemsize)
    lows, highs = np.empty((2, len(bands), len(slices)))

    def band(i: int) -> None:
        for j, part in enumerate(slices):
            block = array[bands[i], part]
            lows[i, j], highs[i, j] = block.min(), block.max()

    threads.run(band, len(bands), most=workers)
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
