r"""The formulas of `svref.reference` on a slice of the classes, in place.

    f                                                          `target`
    I_k = [c_k > f], and where it holds                        `support_vectors`
    r_k = s (c_k - f) + log h_k                                `gaps`, `add_emphasis`
    Σ e^{r_k}, over a slice                                    `exponentials`; slices are joined by `merge`
    dL/dc_k = (s q g) slope_k e^{r_k - a}                      `multiply_by_slope`, `share_factor`, `multiply_rows`

A slice is a run of columns of the cosines, (B, K). What is fast here and therefore looks different:

- The sum over classes is kept as two numbers per row, the mass (P, T) with Σ e^{r_k} = T e^P. slope_k e^{r_k - P} is
  stored, and the gradient multiplies it by one number per row, so each negative costs one exponential.
- P is 0 in nearly all rows, and no row needs a look at its largest r_k: the largest cosine of all says that none can
  overflow. If one might, P is what the largest r_k of a row exceeds `HIGHEST` by. If a sum T is too small, P is that
  r_k itself. So P depends on the row alone.
- No number below the normal ones is made, because processors take many times as long for those. An e^{r_k} below
  e^LOWEST is 0, and so is a gradient that would not be normal.
- Support vectors are treated one by one if they are few.
- Arrays (B, K) keep the dtype of the cosines, float32 or float64. f is computed in float64 and rounded down to it. So a
  float32 mask is decided as in float64. What the rounding takes from r_k is added to P. The masses are float64.

Functions with `out` write there, and allocate where it is None. Others use the scratch memory of their thread, which
the next slice overwrites. The equations are those of
docs/explanation/derivation.md; sections 2 to 4 of docs/explanation/rounding.md say why they are computed so.
"""

from __future__ import annotations

from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.emphasis import SupportVectors
from svref.engine import threads
from svref.margins import Angle
from svref.reference import Loss, finite_or_zero

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
TINY = {FLOAT32: 2.0**-126, FLOAT64: 2.0**-1022}  # the smallest normal number
LOWEST = {FLOAT32: -87.33, FLOAT64: -708.39}  # e^LOWEST is a little above it
HIGHEST = 64.0  # of the r_k - P of a row: e^64, its sum over all classes and its inverse are far inside float32
LEAST = {FLOAT32: 2.0**-100, FLOAT64: 2.0**-900}  # of T: what is lost below e^LOWEST is nothing beside it
SMALL = {FLOAT32: 2.0**-100, FLOAT64: 0.0}  # a row's number below it is multiplied in two steps
FAR = -500.0  # of the logarithm of a factor: below, it is kept as a product of `STEP` and a number nearer to 1
STEP = 2.0**-600
SPARSE = 48  # support vectors are treated one by one if they are fewer than one entry in this many
RUN = 1024  # numbers that are added in the dtype of the cosines; sums of runs are float64


class LabelEntries(NamedTuple):
    """The entries of a slice that lie in their row's label column: rows and columns, as an index."""

    rows: IntArray
    columns: IntArray


class Target(NamedTuple):
    """What the negatives of each row are compared with, and what is known of their r_k beforehand.

    Parameters
    ----------
    base : array in the dtype of the cosines, (B,)
        f, rounded down: a number of that dtype exceeds it if and only if it exceeds the float64 f.
    boundary : array of the same kind, or None
        What support vectors exceed, where that is not f.
    offset : array of float64, (B,)
        s (base - f): r_k = s (c_k - base) + log h_k + offset. Slices are computed without it, and it is added to P.
    low : array of float64, (B,)
        No r_k - offset is below it.
    is_bounded : bool
        Whether none is above `HIGHEST`.
    """

    base: FloatArray
    boundary: FloatArray | None
    offset: FloatArray
    low: FloatArray
    is_bounded: bool

    def of(self, rows: slice) -> Target:
        """Return the entries of some rows."""
        boundary = None if self.boundary is None else self.boundary[rows]
        return Target(self.base[rows], boundary, self.offset[rows], self.low[rows], self.is_bounded)


class Support(NamedTuple):
    """The support vectors of a slice: where they are, and (t - 1) I_k there.

    If they are few: the index (rows, columns) and the number t - 1. If many: all entries, `...`, and the array
    (t - 1) I.
    """

    entries: tuple[IntArray, ...] | EllipsisType
    lift: FloatArray | float


class Mass(NamedTuple):
    """The sum Σ e^{r_k} = total · e^peak over a slice's negatives, per row, float64; (-inf, 0) of no negatives."""

    peak: FloatArray
    total: FloatArray


class Factor(NamedTuple):
    """What multiplies the values of each row, float64: number · step; the step is 1 in nearly all rows, or `STEP`."""

    number: FloatArray
    step: FloatArray

    def times(self, numbers: FloatArray) -> Factor:
        """Return the factor times one number a row."""
        return Factor(self.number * numbers, self.step)


class Negatives(NamedTuple):
    """The negatives of a slice: slope_k e^{r_k - P} of each, (B, K), their mass (P, T), and a low below all r_k - P."""

    exponentials: FloatArray
    mass: Mass
    low: FloatArray


def label_entries(labels: IntArray, classes: slice) -> LabelEntries:
    """Return where the label columns lie in the slice of `classes`."""
    rows = np.flatnonzero((labels >= classes.start) & (labels < classes.stop))
    return LabelEntries(rows, labels[rows] - classes.start)


def target(loss: Loss, angle: Angle, dtype: np.dtype[Any], extremes: tuple[float, float]) -> Target:
    """Return f of each row (equation 3), the boundary of the support vectors (equation 5), and the range of r_k.

    `extremes` are the smallest and the largest cosine.
    """
    f, other = loss.margin.value(angle), loss.emphasis.boundary
    base = rounded_down(f, dtype)
    exact = base.astype(np.float64)
    least, most = _lifts(loss.emphasis, extremes)
    return Target(
        base,
        None if other is None else rounded_down(other.value(angle), dtype),
        offset=loss.s * (exact - f),
        low=loss.s * (extremes[0] + least - exact),
        is_bounded=bool(loss.s * (extremes[1] + most - exact.min()) <= HIGHEST),
    )


def _lifts(emphasis: SupportVectors, extremes: tuple[float, float]) -> tuple[float, float]:
    """Return the smallest and the largest log h_k / s of cosines between two."""
    low, high = ((emphasis.t - 1) * emphasis.growth(np.array(extremes))).tolist()
    return min(0.0, low), max(0.0, high)


# ---- the negatives: mask, relative logits, and their sum ----------------------------------------------------------


def gaps(cosines: FloatArray, target: Target, out: FloatArray) -> FloatArray:
    """Return c_k - base, which is above 0 where c_k > f."""
    return np.subtract(cosines, target.base[:, None], out=out)


def support_vectors(
    gaps: FloatArray, cosines: FloatArray, target: Target, own: LabelEntries, emphasis: SupportVectors
) -> Support | None:
    """Return the support vectors, I_k = [c_k > f] (equation 5): strictly, as in float64, and never the label.

    An index if they are few, a factor for all entries if they are many, None if there are none.
    """
    if emphasis.t == 1:
        return None
    mask = threads.scratch("mask", cosines.shape, np.bool_)
    if target.boundary is None:
        np.greater(gaps, 0, out=mask)
    else:
        np.greater(cosines, target.boundary[:, None], out=mask)
    mask[own] = False
    count = np.count_nonzero(mask)
    if SPARSE * count < mask.size:
        return Support(np.divmod(_where(mask.ravel()), mask.shape[1]), emphasis.t - 1) if count else None
    lift = threads.scratch("lift", mask.shape, cosines.dtype)
    return Support(..., np.multiply(mask, emphasis.t - 1, out=lift, dtype=cosines.dtype))


def _where(mask: BoolArray) -> IntArray:
    """Return where a mask holds that is False nearly everywhere: eight entries are looked at as one number."""
    whole = len(mask) - len(mask) % 8
    words = np.flatnonzero(mask[:whole].view(np.uint64))
    near = (8 * words[:, None] + np.arange(8)).ravel()
    return np.concatenate([near[mask[near]], whole + np.flatnonzero(mask[whole:])])


def add_emphasis(gaps: FloatArray, cosines: FloatArray, support: Support, emphasis: SupportVectors) -> None:
    """Add log h_k / s = (t - 1) I_k growth(c_k) (equation 6) to the gaps, in place; s multiplies both later."""
    entries, lift = support
    if entries is ...:
        growth = emphasis.growth(cosines, threads.scratch("growth", gaps.shape, gaps.dtype))
        growth *= lift
        gaps += growth
    else:
        c = cosines[entries]
        gaps[entries] += emphasis.growth(c) * c.dtype.type(lift)


def multiply_by_slope(values: FloatArray, support: Support, emphasis: SupportVectors) -> None:
    """Multiply by slope_k = 1 + (t - 1) I_k growth' (equation 7), in place; in the fixed form it is 1.

    The factor of all entries is overwritten.
    """
    entries, lift = support
    if emphasis.growth_slope == 0:
        return
    if isinstance(lift, np.ndarray):
        lift += 1
        values *= lift
    else:
        values[entries] *= values.dtype.type(1 + lift)


def exponentials(r: FloatArray, peak: FloatArray, low: FloatArray, own: LabelEntries) -> FloatArray:
    """Turn r_k into e^{r_k - P}, in place, 0 at the label; return their sum T of each row (equation 11).

    `peak` is P of each row, -inf where there is no negative, and `low` is below each of its r_k.
    """
    shift, lowest, kept = finite_or_zero(peak), LOWEST[r.dtype], None
    if shift.any():
        r -= shift.astype(r.dtype)[:, None]
    if (low - shift < lowest).any():
        kept = np.greater_equal(r, lowest, out=threads.scratch("mask", r.shape, np.bool_))
        np.maximum(r, r.dtype.type(lowest), out=r)
    r[own] = -np.inf
    np.exp(r, out=r)
    if kept is not None:
        r *= kept
    return row_sums(r)


def has_lost(total: FloatArray, dtype: np.dtype[Any]) -> BoolArray:
    """Return which of the sums T of rows are so small that something has been lost, or overflowed."""
    return ~((total >= LEAST[dtype]) & (total < np.inf))


def row_sums(values: FloatArray) -> FloatArray:
    """Return the sum of each row, float64: runs of `RUN` numbers in the dtype of `values`, then the sum of the runs."""
    rows, columns = values.shape
    whole = columns // RUN
    rest = np.einsum("bi->b", values[:, whole * RUN :]).astype(np.float64)
    if whole == 0:
        return rest
    down, right = values.strides
    runs = as_strided(values, (rows, whole, RUN), (down, RUN * right, right), writeable=False)
    return np.einsum("bij->bi", runs).sum(axis=1, dtype=np.float64) + rest


def merge(first: Mass, second: Mass) -> Mass:
    """Return the mass of two slices together (equation 12); the order decides the last bit."""
    peak = np.maximum(first.peak, second.peak)
    shift = finite_or_zero(peak)
    return Mass(peak, first.total * np.exp(first.peak - shift) + second.total * np.exp(second.peak - shift))


def log_odds_against(mass: Mass) -> FloatArray:
    """Return a = log Σ e^{r_k}, the log-odds against the target (equation 11); -inf without negatives."""
    with np.errstate(divide="ignore"):
        return mass.peak + np.log(mass.total)


# ---- the gradient: one number a row multiplies the exponentials ---------------------------------------------------


def share_factor(slice_mass: Mass, mass: Mass) -> Factor:
    """Return the factor per row that turns a slice's e^{r_k - P} into shares e^{r_k - a} = p_k / q (equation 16).

    It is 0 in rows without negatives. The peak of a slice may lie so far below that of all slices that the factor is
    below the range of float64, while its product with an e^{r_k - P} of up to e^64 is not.
    """
    some = mass.total > 0
    below = slice_mass.peak - finite_or_zero(mass.peak)
    step = np.where(below < FAR, STEP, 1.0)
    relative = np.exp(below - np.log(step))
    return Factor(np.divide(relative, mass.total, out=np.zeros(len(some)), where=some), step)


def multiply_rows(values: FloatArray, factor: Factor, low: FloatArray) -> None:
    """Multiply each row of `values` by its factor, in place; products that would not be normal are 0.

    e^{r_k - P} may be as large as e^64, and the factor below the smallest number of the dtype, while their product is
    ordinary. Then it is multiplied in two steps, the first by a number nearer to 1. No value of a row but 0 is below
    e^low.
    """
    number, step = factor
    size = np.abs(number)
    with np.errstate(divide="ignore", over="ignore"):
        cut = (1 + 2.0**-20) * TINY[values.dtype] / size / step
    if (cut > np.exp(np.maximum(low, LOWEST[values.dtype]))).any():
        kept = threads.scratch("mask", values.shape, np.bool_)
        values *= np.greater_equal(values, cut.astype(values.dtype)[:, None], out=kept)
    small = (size * step < SMALL[values.dtype]) & (step == 1)
    step = np.where(small, SMALL[values.dtype], step)
    if (step != 1).any():
        values *= step.astype(values.dtype)[:, None]
        number = np.where(small, number / np.where(small, step, 1.0), number)
    values *= number.astype(values.dtype)[:, None]


def rounded_down(values: FloatArray, dtype: DTypeLike) -> FloatArray:
    """Return the largest numbers of `dtype` not above `values`: any x of `dtype` exceeds both of them, or neither."""
    nearest = values.astype(dtype)
    return np.where(nearest > values, np.nextafter(nearest, -np.inf, dtype=dtype), nearest)
