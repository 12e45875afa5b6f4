r"""The formulas of `svref.reference` on a slice of the classes, in place.

    f                                                          `target`
    r_k = s (c_k - f) + log h_k                                `gaps`, `support_mask`, `add_emphasis`
    Σ e^{r_k}, over a slice                                    `exponentials`; slices are joined by `merge`
    dL/dc_k = (s q g) slope_k e^{r_k - a}                      `multiply_by_slope`, `share_factor`, `multiply_rows`

A slice is a run of columns of the cosines, (B, K). What is fast here and therefore looks different:

- The sum over classes is kept as two numbers per row, the mass (P, T) with Σ e^{r_k} = T e^P. slope_k e^{r_k - P} is
  stored, and the gradient multiplies it by one number per row, so each negative costs one exponential.
- P is 0, and no row needs a shift, while the largest r_k of a row lies in a window in which exp is safe: in float64 if
  every negative is below the target, in float32 for nearly all rows.
- Support vectors are looked for only in slices that can have one. If they are few, they are treated one by one.
- Arrays (B, K) keep the dtype of the cosines, float32 or float64. f is computed in float64 and then rounded to it; the
  masses are float64. A float32 mask is still decided as in float64, because the boundary is rounded down.

Functions with `out` write there, and allocate where it is None. Others use the scratch memory of their thread, which
the next slice overwrites. The equations are those of
docs/explanation/derivation.md.
"""

from __future__ import annotations

from types import EllipsisType
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.emphasis import SupportVectors
from svref.engine import threads
from svref.margins import Angle
from svref.reference import Loss, finite_or_zero

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
WINDOW = {FLOAT32: (-64.0, 64.0), FLOAT64: (-512.0, 0.0)}  # of the largest r_k: far from overflow and underflow of exp
EXACT = {FLOAT32: 2.0**23, FLOAT64: 2.0**52}  # below it numbers are no more than 1/2 apart, so P is where it should be
SMALL = {FLOAT32: 2.0**-100, FLOAT64: 0.0}  # a row's number below it is multiplied in two steps
SPARSE = 16  # support vectors are treated one by one if they are fewer than one entry in this many


class LabelEntries(NamedTuple):
    """The entries of a slice that lie in their row's label column: rows and columns, as an index."""

    rows: IntArray
    columns: IntArray


class Target(NamedTuple):
    """What the negatives are compared with, in the dtype of the cosines, (B,).

    `boundary` is rounded down: a number of that dtype exceeds it if and only if it exceeds the float64 boundary.
    `least_gap` is boundary - f. If every c_k - f of a slice is below it, the slice has no support vector, and skips the
    mask.
    """

    f: FloatArray
    boundary: FloatArray
    least_gap: FloatArray

    def of(self, rows: slice) -> Target:
        """Return the entries of some rows."""
        return Target(self.f[rows], self.boundary[rows], self.least_gap[rows])


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


def label_entries(labels: IntArray, classes: slice) -> LabelEntries:
    """Return where the label columns lie in the slice of `classes`."""
    rows = np.flatnonzero((labels >= classes.start) & (labels < classes.stop))
    return LabelEntries(rows, labels[rows] - classes.start)


def target(loss: Loss, angle: Angle, dtype: DTypeLike) -> Target:
    """Return f of each row (equation 3), and the boundary of the support vectors (equation 5).

    Rounding keeps order: if c_k exceeds the boundary, the rounded c_k - f is at least the rounded boundary - f. So the
    largest rounded c_k - f of a slice says whether it can have a support vector.
    """
    value, other = loss.margin.value(angle), loss.emphasis.boundary
    f, boundary = value.astype(dtype), rounded_down(value if other is None else other.value(angle), dtype)
    return Target(f, boundary, boundary - f)


# ---- the negatives: mask, relative logits, and their sum ----------------------------------------------------------


def gaps(cosines: FloatArray, target: Target, own: LabelEntries, out: FloatArray | None = None) -> FloatArray:
    """Return c_k - f, with -inf in the label's column, which keeps it outside every sum."""
    out = np.subtract(cosines, target.f[:, None], out=out)
    out[own] = -np.inf
    return out


def support_mask(cosines: FloatArray, target: Target, own: LabelEntries, out: BoolArray | None = None) -> BoolArray:
    """Return I_k = [c_k > f] (equation 5): strictly, as in float64, and never in the label's column."""
    mask = np.greater(cosines, target.boundary[:, None], out=out)
    mask[own] = False
    return mask


def support_vectors(cosines: FloatArray, mask: BoolArray, emphasis: SupportVectors) -> Support:
    """Return the support vectors: their index if they are few, a factor for all entries if they are many."""
    if SPARSE * np.count_nonzero(mask) < mask.size:
        return Support(np.divmod(np.flatnonzero(mask), mask.shape[1]), emphasis.t - 1)
    lift = threads.scratch("lift", mask.shape, cosines.dtype)
    return Support(..., np.multiply(mask, emphasis.t - 1, out=lift, dtype=cosines.dtype))


def add_emphasis(gaps: FloatArray, cosines: FloatArray, support: Support, emphasis: SupportVectors) -> None:
    """Add log h_k / s = (t - 1) I_k growth(c_k) (equation 6) to the gaps c_k - f, in place; s multiplies both later."""
    entries, lift = support
    if entries is ...:
        growth = emphasis.growth(cosines, threads.scratch("growth", gaps.shape, gaps.dtype))
        growth *= lift
        gaps += growth
    else:
        gaps[entries] += emphasis.growth(cosines[entries]) * lift


def multiply_by_slope(values: FloatArray, support: Support, emphasis: SupportVectors) -> None:
    """Multiply by slope_k = 1 + (t - 1) I_k growth' (equation 7), in place; in the fixed form it is 1."""
    entries, lift = support
    if emphasis.growth_slope == 0:
        return
    if entries is ...:
        values *= np.add(lift, 1, out=threads.scratch("growth", values.shape, values.dtype))
    else:
        values[entries] *= values.dtype.type(1 + lift)


def exponentials(r: FloatArray, largest: FloatArray) -> tuple[FloatArray, Mass]:
    """Turn r_k into e^{r_k - P}, in place, and return it with the mass (P, T) of each row (equation 11).

    `largest` is the largest r_k of each row. P is how far, and to which side, it lies outside `WINDOW`. The float64
    window ends at 0; that of float32 ends at 64, because its small e^{r_k} underflow sooner. From `EXACT` on P is
    `largest` itself: largest - 64 would be rounded, by 64 at 2^30, and the exponential of what is left could overflow.
    """
    low, high = WINDOW[r.dtype]
    shift = np.zeros(len(largest), r.dtype)
    if not (largest.min(initial=0) >= low and largest.max(initial=0) <= high):
        inside = np.where(np.abs(largest) < EXACT[r.dtype], np.clip(largest, low, high), r.dtype.type(0))
        shift = finite_or_zero(largest - inside)
        r -= shift[:, None]
    np.exp(r, out=r)
    return r, Mass(np.where(largest == -np.inf, largest, shift).astype(np.float64), r.sum(axis=1).astype(np.float64))


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


def share_factor(slice_mass: Mass, mass: Mass) -> FloatArray:
    """Return the number per row that turns a slice's e^{r_k - P} into shares e^{r_k - a} = p_k / q (equation 16).

    It is 0 in rows without negatives.
    """
    some = mass.total > 0
    relative = np.exp(slice_mass.peak - finite_or_zero(mass.peak))
    return np.divide(relative, mass.total, out=np.zeros(len(some)), where=some)


def multiply_rows(values: FloatArray, numbers: FloatArray) -> None:
    """Multiply each row of `values` by its float64 number, in place, even by a number too small for their dtype.

    In float32 e^{r_k - P} may be as large as e^64, and the number below the smallest float32, while their product is
    ordinary. Then it is multiplied in two steps, the first by a number nearer to 1.
    """
    small = np.abs(numbers) < SMALL[values.dtype]
    if small.any():
        first = np.where(small, SMALL[values.dtype], 1.0)
        values *= first.astype(values.dtype)[:, None]
        numbers = numbers / first
    values *= numbers.astype(values.dtype)[:, None]


def rounded_down(values: FloatArray, dtype: DTypeLike) -> FloatArray:
    """Return the largest numbers of `dtype` not above `values`: any x of `dtype` exceeds both of them, or neither."""
    nearest = values.astype(dtype)
    return np.where(nearest > values, np.nextafter(nearest, -np.inf, dtype=dtype), nearest)
