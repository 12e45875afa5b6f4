r"""The loss in three stages, forward beside backward, as pure functions on a slice of the classes.

    1 target      f from the target's angle                       B numbers, float64 whatever the cosines are
    2 negatives   r_k = s (c_k - f) + log h_k, their (peak, total)   a reduction over classes
    3 gradient    p_k = q exp(r_k - a)                            a map over classes

A slice is any run of columns of the cosines. `own` names the entries of the slice that are the rows' own label
columns. Row vectors (B,) are float64 throughout, arrays (B, K) keep the dtype of the cosines; so a float32 mask
is decided on f itself, not on a rounded f. Equation numbers are those of docs/explanation/derivation.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from svref.emphasis import SupportVectors
from svref.inputs import BoolArray, FloatArray, IntArray
from svref.margins import Angle, Margin


class Own(NamedTuple):
    """The entries of a slice that lie in their row's label column: rows and columns, as an index."""

    rows: IntArray
    columns: IntArray


class Mass(NamedTuple):
    """The negatives' mass Σ exp(r_k) = total · exp(peak) of a slice, per row; (-inf, 0) of an empty one."""

    peak: FloatArray
    total: FloatArray


def own_entries(labels: IntArray, start: int, stop: int) -> Own:
    """Return where the label columns lie in the slice of classes [start, stop)."""
    rows = np.flatnonzero((labels >= start) & (labels < stop))
    return Own(rows, labels[rows] - start)


# ---- 1 target: f and what decides the mask ---------------------------------------------------------------------


def boundary(margin: Margin, emphasis: SupportVectors, angle: Angle) -> FloatArray:
    """Return what a negative must exceed to be a support vector: f, or the value of another margin."""
    return (emphasis.boundary or margin).value(angle)


def target_gradient(pull: FloatArray, derivative: FloatArray, dead: BoolArray) -> FloatArray:
    """Return dL/dx = -s q df/dx for a quantity x of the target alone, from pull = -s q g (equations 18, 21).

    At a pole of df/dx the result is the signed infinity also where q underflows; it is zero only in `dead` rows:
    a cotangent of zero, or no negatives at all.
    """
    pole = np.isinf(derivative)
    finite = pull * np.where(pole, 0.0, derivative)
    return np.where(dead, 0.0, np.where(pole, np.copysign(1.0, pull) * derivative, finite))


# ---- 2 negatives: mask, relative logits, and their reduction ---------------------------------------------------


def support_mask(cosines: FloatArray, boundary: FloatArray, own: Own) -> BoolArray:
    """Return I_k = [c_k > f] (equation 5): strictly, compared in float64, and never in the label's column."""
    mask = cosines > boundary[:, None]
    mask[own] = False
    return mask


def relative_logits(
    cosines: FloatArray, margin_cosine: FloatArray, mask: BoolArray, own: Own, emphasis: SupportVectors, s: float
) -> FloatArray:
    """Return r_k = s (c_k - f) + log h_k (equation 10); the label's column holds -inf, outside every sum."""
    difference = cosines - margin_cosine.astype(cosines.dtype)[:, None]
    r = s * difference + emphasis.log_h(cosines, mask, s)
    r[own] = -np.inf
    return r


def mass(r: FloatArray) -> Mass:
    """Return the (peak, total) of a slice of relative logits (equation 11)."""
    peak = r.max(axis=1, initial=-np.inf)
    total = np.exp(r - finite_or_zero(peak)[:, None]).sum(axis=1, dtype=np.float64)
    return Mass(peak.astype(np.float64), total)


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


def share(r: FloatArray, a: FloatArray) -> FloatArray:
    """Return exp(r_k - a) = p_k / q (equation 16): each negative's share of the error; 0 at the label."""
    return np.exp(r - finite_or_zero(a).astype(r.dtype)[:, None])


def cosine_gradient(share: FloatArray, weight: FloatArray, mask: BoolArray, emphasis: SupportVectors) -> FloatArray:
    """Return dL/dc_k = s p_k slope_k of the negatives (equation 17), from weight = s q g; 0 at the label."""
    slope = emphasis.slope(mask).astype(share.dtype, copy=False)
    return share * weight.astype(share.dtype)[:, None] * slope


def scale_sums(share: FloatArray, r: FloatArray, own: Own) -> FloatArray:
    """Return Σ share_k r_k, which q g / s turns into dL/ds (equation 19)."""
    r = r.copy()
    r[own] = 0
    return np.sum(share * r, axis=1, dtype=np.float64)


def emphasis_sums(share: FloatArray, by_t: FloatArray) -> FloatArray:
    """Return Σ share_k dlog h_k/dt, which q g turns into dL/dt (equation 20)."""
    return np.sum(share * by_t, axis=1, dtype=np.float64)


def finite_or_zero(values: FloatArray) -> FloatArray:
    """Return `values` with -inf replaced by 0, so that exp(-inf - (-inf)) is exp(-inf) = 0."""
    return np.where(np.isneginf(values), values.dtype.type(0), values)
