r"""The loss in three stages, forward beside backward, as pure functions on a slice of the classes.

    1 target      f from the target's angle                       B numbers, float64 whatever the cosines are
    2 negatives   r_k = s (c_k - f) + log h_k, their (peak, total)   a reduction over classes
    3 gradient    p_k = q exp(r_k - a)                            a map over classes

A slice is any run of columns of the cosines. `own` names the entries of the slice that are the rows' own label
columns. Arrays (B, K) keep the dtype of the cosines, and so do f and the boundary where they meet them; what is
computed of a row is float64. The boundary is rounded down, so that a float32 mask is decided as in float64. Each
negative costs one exponential: stage 2 leaves it behind, counted from the slice's P, and stage 3 multiplies.
Functions with `out` write there, and allocate where it is None. Equation numbers are those of
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
from svref.margins import Angle, Margin

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
WINDOW = {FLOAT32: (-64.0, 64.0), FLOAT64: (-512.0, 0.0)}  # exponents whose exp is far from over- and underflow
SMALL = {FLOAT32: 2.0**-100, FLOAT64: 0.0}  # numbers of a row below it are multiplied in two steps
SPARSE = 16  # support vectors are treated one by one if they are fewer than one entry in this many


class Own(NamedTuple):
    """The entries of a slice that lie in their row's label column: rows and columns, as an index."""

    rows: IntArray
    columns: IntArray


class Target(NamedTuple):
    """What stage 2 needs to know of the targets, in the dtype of the cosines, (B,).

    `boundary` is rounded down: a number of that dtype exceeds it if and only if it exceeds the float64 boundary.
    `contest` is the least c_k - f, as rounded, of a support vector.
    """

    f: FloatArray
    boundary: FloatArray
    contest: FloatArray

    def of(self, rows: slice) -> Target:
        """Return the targets of some rows."""
        return Target(self.f[rows], self.boundary[rows], self.contest[rows])


class Support(NamedTuple):
    """The support vectors of a slice: one by one with their lift t - 1, or all entries with the lift (t - 1) I."""

    entries: tuple[IntArray, ...] | EllipsisType
    lift: FloatArray | float


class Mass(NamedTuple):
    """The negatives' mass Σ exp(r_k) = total · exp(peak) of a slice, per row; (-inf, 0) of an empty one."""

    peak: FloatArray
    total: FloatArray


def own_entries(labels: IntArray, classes: slice) -> Own:
    """Return where the label columns lie in the slice of `classes`."""
    rows = np.flatnonzero((labels >= classes.start) & (labels < classes.stop))
    return Own(rows, labels[rows] - classes.start)


# ---- 1 target: f and what decides the mask ---------------------------------------------------------------------


def target(margin: Margin, emphasis: SupportVectors, angle: Angle, dtype: DTypeLike) -> Target:
    """Return f, and the boundary of the support vectors: f, or the value of another margin.

    Rounding keeps order: where c_k exceeds the boundary, the rounded c_k - f is at least the rounded boundary - f.
    """
    value = margin.value(angle)
    decider = value if emphasis.boundary is None else emphasis.boundary.value(angle)
    f, boundary = value.astype(dtype), rounded_down(decider, dtype)
    return Target(f, boundary, boundary - f)


def target_gradient(pull: FloatArray, derivative: FloatArray, dead: BoolArray) -> FloatArray:
    """Return dL/dx = -s q df/dx for a quantity x of the target alone, from pull = -s q g (equations 18, 21).

    At a pole of df/dx the result is the signed infinity also where q underflows; it is zero only in `dead` rows:
    a cotangent of zero, or no negatives at all.
    """
    pole = np.isinf(derivative)
    finite = pull * np.where(pole, 0.0, derivative)
    return np.where(dead, 0.0, np.where(pole, np.copysign(1.0, pull) * derivative, finite))


# ---- 2 negatives: mask, relative logits, and their reduction ---------------------------------------------------


def gaps(cosines: FloatArray, target: Target, own: Own, out: FloatArray | None = None) -> FloatArray:
    """Return c_k - f, with -inf in the label's column, which keeps it outside every sum."""
    out = np.subtract(cosines, target.f[:, None], out=out)
    out[own] = -np.inf
    return out


def support_mask(cosines: FloatArray, target: Target, own: Own, out: BoolArray | None = None) -> BoolArray:
    """Return I_k = [c_k > f] (equation 5): strictly, as in float64, and never in the label's column."""
    mask = np.greater(cosines, target.boundary[:, None], out=out)
    mask[own] = False
    return mask


def support(cosines: FloatArray, mask: BoolArray, emphasis: SupportVectors) -> Support:
    """Return the support vectors one by one where they are few, as a factor for all entries where they are many."""
    if SPARSE * np.count_nonzero(mask) < mask.size:
        return Support(np.divmod(np.flatnonzero(mask), mask.shape[1]), emphasis.t - 1)
    return Support(..., emphasis.lift(mask, cosines.dtype, threads.scratch("lift", mask.shape, cosines.dtype)))


def raise_(gaps: FloatArray, cosines: FloatArray, support: Support, emphasis: SupportVectors) -> None:
    """Add log h / s (equation 6) to the gaps of the support vectors, in place."""
    entries, lift = support
    if entries is ...:
        gaps += emphasis.raised(cosines, lift, threads.scratch("raised", gaps.shape, gaps.dtype))
    else:
        gaps[entries] += emphasis.raised(cosines[entries], lift)


def steepen(weights: FloatArray, support: Support, emphasis: SupportVectors) -> None:
    """Multiply by slope_k (equation 7) the entries of the support vectors, in place."""
    entries, lift = support
    if entries is ...:
        weights *= emphasis.slope(lift, threads.scratch("raised", weights.shape, weights.dtype))
    else:
        weights[entries] *= weights.dtype.type(emphasis.slope(lift))


def weights(r: FloatArray, peak: FloatArray) -> tuple[FloatArray, Mass]:
    """Turn r_k into exp(r_k - P), in place, and return it with the mass (P, T) of each row (equation 11).

    `peak` is the largest r_k of each row. P is how far it lies outside the window within which exp neither overflows
    nor underflows; so most rows have P = 0 and need no shift.
    """
    low, high = WINDOW[r.dtype]
    shift = np.zeros(len(peak), r.dtype)
    if not (peak.min(initial=0) >= low and peak.max(initial=0) <= high):
        shift = finite_or_zero(peak - np.clip(peak, low, high))
        r -= shift[:, None]
    np.exp(r, out=r)
    return r, Mass(np.where(peak == -np.inf, peak, shift).astype(np.float64), r.sum(axis=1).astype(np.float64))


def merge(first: Mass, second: Mass) -> Mass:
    """Return the mass of two slices together (equation 12), first before second."""
    peak = np.maximum(first.peak, second.peak)
    shift = finite_or_zero(peak)
    return Mass(peak, first.total * np.exp(first.peak - shift) + second.total * np.exp(second.peak - shift))


def log_odds_against(mass: Mass) -> FloatArray:
    """Return a = log Σ exp(r_k), the log-odds against the target (equation 11); -inf without negatives."""
    with np.errstate(divide="ignore"):
        return mass.peak + np.log(mass.total)


def loss(a: FloatArray) -> FloatArray:
    """Return L = log(1 + exp a) as max(a, 0) + log1p(exp(-abs a)) (equation 14), which never cancels."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


# ---- 3 gradient: a map over classes ----------------------------------------------------------------------------


def target_error(a: FloatArray) -> FloatArray:
    """Return q = exp a / (1 + exp a) = 1 - p_y (equation 15), written for each sign of a."""
    e = np.exp(-np.abs(a))
    return np.where(a > 0, 1.0, e) / (1 + e)


def share(slice_mass: Mass, mass: Mass) -> FloatArray:
    """Return what turns a slice's exp(r_k - P) into the share exp(r_k - a) = p_k / q (equation 16), 0 without any."""
    some = mass.total > 0
    relative = np.exp(slice_mass.peak - finite_or_zero(mass.peak))
    return np.divide(relative, mass.total, out=np.zeros(len(some)), where=some)


def multiply_rows(weights: FloatArray, numbers: FloatArray) -> None:
    """Multiply each row of `weights` by its float64 number, in place, also by one that its dtype cannot hold.

    exp(r_k - P) may be as large as the window allows, and the number as small, while their product is ordinary. The
    first of two steps is by a number nearer to 1, so it underflows only where the product does.
    """
    small = np.abs(numbers) < SMALL[weights.dtype]
    if small.any():
        first = np.where(small, SMALL[weights.dtype], 1.0)
        weights *= first.astype(weights.dtype)[:, None]
        numbers = numbers / first
    weights *= numbers.astype(weights.dtype)[:, None]


def rounded_down(values: FloatArray, dtype: DTypeLike) -> FloatArray:
    """Return the largest numbers of `dtype` not above `values`: a number of `dtype` exceeds both or neither."""
    nearest = values.astype(dtype)
    return np.where(nearest > values, np.nextafter(nearest, -np.inf, dtype=dtype), nearest)


def finite_or_zero(values: FloatArray) -> FloatArray:
    """Return `values` with -inf replaced by 0, so that exp(-inf - (-inf)) is exp(-inf) = 0."""
    return np.where(values == -np.inf, values.dtype.type(0), values)
