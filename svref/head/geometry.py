"""Directions, lengths and angles of vectors, accurate also where two of them are near-parallel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.engine import threads
from svref.margins import Angle

# Squared lengths in this range are accurate: no square overflowed, and one that underflowed is too small to count.
SQUARES = {"float32": (2.0**-80, 2.0**80), "float64": (2.0**-800, 2.0**800)}

MODERATE = (2.0**-20, 2.0**20)  # squared lengths of weights that need not be made unit vectors

_SPLITTER = 2.0**27 + 1


class Directions(NamedTuple):
    """Rows as unit vectors and lengths: rows = unit · length · 2^exponent.

    The length of a row is length · 2^exponent. In a row without a direction `length` is NaN or infinite.
    """

    unit: FloatArray
    length: FloatArray
    exponent: IntArray

    @property
    def complete(self) -> bool:
        """Whether every row has a direction: none is zero, none holds a NaN or an infinity."""
        return bool(np.isfinite(self.length).all())


class Pairs(NamedTuple):
    """Pairs of vectors: each angle, and the unit tangents at x̂ towards ŵ and at ŵ towards x̂, float64."""

    angle: Angle
    at_embedding: FloatArray
    at_weight: FloatArray

    def rounded_cosines_and_sines(self, dtype: DTypeLike) -> FloatArray:
        """Return the cosines, rounded to `dtype`, and the sines, which are not rounded; both float64, (2, B)."""
        return np.stack([self.angle.cosine.astype(dtype).astype(np.float64), self.angle.sine])

    def select(self, rows: BoolArray) -> Pairs:
        """Return the pairs where `rows` is True."""
        angle = Angle(self.angle.cosine[rows], self.angle.sine[rows])
        return Pairs(angle, self.at_embedding[rows], self.at_weight[rows])


@np.errstate(invalid="ignore", over="ignore", under="ignore")
def directions(rows: FloatArray, out: FloatArray | None = None) -> Directions:
    """Return each row's direction, written to `out` if that is given, and its length.

    The length of a row is length · 2^exponent. The exponent is 0 except for rows so long or short that their squares
    overflow or underflow; these are first scaled by a power of two. A row without a direction has a `length` that is
    NaN, if it is zero or holds a NaN, or infinite, if it holds an infinity.
    """
    square, exponent = row_dot(rows, rows), np.zeros(len(rows), dtype=np.intp)
    low, high = SQUARES[rows.dtype.name]
    extreme = np.flatnonzero(~((square >= low) & (square <= high)))
    if extreme.size:
        rows = rows.copy()
        rows[extreme], exponent[extreme] = scaled(rows[extreme])
        square[extreme] = row_dot(rows[extreme], rows[extreme])
        square[extreme[~(square[extreme] > 0)]] = np.nan
    length = np.sqrt(square)
    return Directions(np.divide(rows, length[:, None], out=out), length, exponent)


class Classes(NamedTuple):
    """Class weights as they enter the matrix products: ŵ_k = vectors_k · scale_k, and |w_k| = length_k · 2^exponent_k.

    Either the vectors are the weights, and `scale`, in their dtype, is 1/|w_k|; then `length` is 1, since whoever
    multiplies by the scale has divided by the length. Or they are unit vectors, and `scale` is None.
    """

    vectors: FloatArray
    scale: FloatArray | None
    length: FloatArray
    exponent: IntArray

    @property
    def complete(self) -> bool:
        """Whether every row has a direction: none is zero, none holds a NaN or an infinity."""
        return bool(np.isfinite(self.length).all())


def classes(weights: FloatArray, embeddings: int) -> Classes:
    """Return the rows of `weights` for products with so many embeddings.

    Scaling the (B, K) products costs less than scaling the (K, D) weights if B <= D. Weights of extreme lengths are
    made unit vectors first.
    """
    if embeddings <= weights.shape[1]:
        square = row_dot(weights, weights)
        if square.min() >= MODERATE[0] and square.max() <= MODERATE[1]:
            ones, zeros = np.ones(len(weights)), np.zeros(len(weights), dtype=np.intp)
            return Classes(weights, 1 / np.sqrt(square), ones, zeros)
    unit = directions(weights, threads.scratch("unit", weights.shape, weights.dtype))
    return Classes(unit.unit, None, unit.length, unit.exponent)


def pair_cosines(x: FloatArray, w: FloatArray, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
    """Return the cosine and the sine of each row of x with the same row of w, float64.

    The rows must be `scaled`; otherwise `difference_of_products` may overflow. `dtype` is that of `tangent`.
    """
    return _cosines(x, w, tangent(x, w, dtype)[1])


def measure_pairs(embeddings: FloatArray, weights: FloatArray) -> Pairs:
    """Return the angle of each row of `embeddings` with the same row of `weights`, and both tangents."""
    if not len(embeddings):
        return Pairs(Angle(*np.empty((2, 0))), *np.empty((2, *embeddings.shape)))
    x, w = scaled(embeddings.astype(np.float64))[0], scaled(weights.astype(np.float64))[0]
    at_x, sine = tangent(x, w, embeddings.dtype)
    at_w, _ = tangent(w, x, embeddings.dtype)
    return Pairs(Angle(*_cosines(x, w, sine)), at_x, at_w)


def _cosines(x: FloatArray, w: FloatArray, sine: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the cosine of each row of x with the same row of w, and the sine as given.

    Below 45° from parallel or opposite, the cosine is computed from the sine, which there has more correct digits.
    """
    x_norm, w_norm = (np.sqrt(row_dot(v, v)) for v in (x, w))
    cosine = np.clip(row_dot(x, w) / (x_norm * w_norm), -1, 1)
    from_sine = np.copysign(np.sqrt((1 - sine) * (1 + sine)), cosine)
    return np.where(sine < np.sqrt(0.5), from_sine, cosine), sine


def tangent(x: FloatArray, w: FloatArray, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
    """Return the unit tangent at each row of x towards the same row of w, and the sine of their angle.

    The tangent is 0 where the two are parallel or opposite. The rows must be `scaled`; otherwise the products may
    overflow. `dtype` is the one that the numbers had before they became float64.

    The tangent has the direction of the part of w orthogonal to x. Subtracting from w its part along x would cancel
    most digits if the two are nearly parallel. So the code forms w x_j - x w_j, with j the component of x that is
    largest in magnitude. This is x_j times w - (w_j/x_j) x, a vector with the same orthogonal part. It is at most
    1 + √D times as long as that part, so its own orthogonal part keeps its digits at any angle (equation 39
    of docs/explanation/rounding.md).
    """
    rows = np.arange(len(x))
    cross = difference_of_exact_products if dtype == np.float32 else difference_of_products
    j = np.argmax(np.abs(x), axis=1)
    x_j, w_j = x[rows, j][:, None], w[rows, j][:, None]
    difference, exponent = scaled(cross(w, x_j, x, w_j))
    along = row_dot(x, difference) / row_dot(x, x)
    orthogonal = (difference - along[:, None] * x) * np.sign(x_j)
    length = np.sqrt(row_dot(orthogonal, orthogonal))
    sine = np.ldexp(length / (np.abs(x_j[:, 0]) * np.sqrt(row_dot(w, w))), exponent)
    return orthogonal / np.where(length == 0, 1, length)[:, None], np.minimum(sine, 1)


def row_dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the inner product of each row of a with the same row of b."""
    return np.einsum("ij,ij->i", a, b)


def scaled(rows: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return each row divided by a power of two, and the exponent of that power.

    The entry that is largest in magnitude then lies between 0.5 and 1 in magnitude. Rows of zeros stay zeros.
    """
    exponent = np.frexp(np.abs(rows).max(axis=1))[1]
    return np.ldexp(rows, -exponent[:, None]), exponent


def remove_radial(by_unit: FloatArray, vectors: FloatArray, scale: FloatArray | None = None) -> FloatArray:
    """Subtract from each row of a gradient, in place, its component along the direction of that row (equation 37).

    The directions are vectors · scale, or the vectors where there is no scale.

    That component would change the length of the row, which the cosine does not depend on. Return the changed
    gradient, `by_unit` itself.
    """
    along = row_dot(by_unit, vectors)
    if scale is not None:
        along *= scale * scale
    radial = threads.scratch("radial", by_unit.shape, by_unit.dtype)
    by_unit -= np.multiply(along[:, None], vectors, out=radial)
    return by_unit


def divide_by_length(tangential: FloatArray, rows: Directions | Classes, out: FloatArray | None = None) -> FloatArray:
    """Return the gradient by the rows from that by their directions: divided by the lengths, without a negative zero.

    The result is written to `out`, or to `tangential` if there is no `out`. `tangential` is overwritten in any case.
    The first row is written last, so that a caller who marked it with NaN can tell whether all others were written.
    """
    out = tangential if out is None else out
    if (rows.length != 1).any():
        tangential /= rows.length[:, None]
    if rows.exponent.any():
        np.ldexp(tangential, -rows.exponent[:, None], out=tangential)
    np.add(tangential[1:], 0, out=out[1:])
    np.add(tangential[:1], 0, out=out[:1])
    return out


# ---- twice the working precision: a b - c d, which cancels between near-parallel vectors -----------------------


def two_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (h, l) with h = fl(a + b) and h + l = a + b exactly."""
    h = a + b
    part = h - a
    return h, (a - (h - part)) + (b - part)


def two_product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (h, l) with h = fl(a b) and h + l = a b exactly, for float64 |a|, |b| < 2^480 with products > 2^-960."""
    h = a * b
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    return h, ((a_high * b_high - h) + a_high * b_low + a_low * b_high) + a_low * b_low


def difference_of_products(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Return ab - cd to within a few roundings of the result, however much cancels; exactly 0 if ab = cd."""
    (first_high, first_low), (second_high, second_low) = two_product(a, b), two_product(c, d)
    high, carry = two_sum(first_high, -second_high)
    low, rest = two_sum(first_low, -second_low)
    middle, last = two_sum(carry, low)
    total, error = two_sum(high, middle)
    return total + (error + (last + rest))


def difference_of_exact_products(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Return ab - cd, rounded once, of numbers that float32 holds: their products are exact in float64."""
    return a * b - c * d


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a as a sum of two floats of at most 26 bits each."""
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high
