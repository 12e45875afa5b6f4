"""Directions, lengths and angles of vectors, accurate also where two of them are near-parallel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.engine import threads
from svref.margins import Angle

SQUARES = {"float32": (2.0**-80, 2.0**80), "float64": (2.0**-800, 2.0**800)}  # squared lengths that lost nothing

_SPLITTER = 2.0**27 + 1


class Directions(NamedTuple):
    """Rows as unit vectors and lengths: rows = unit · length · 2^exponent."""

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

    def at_working_precision(self, dtype: DTypeLike) -> FloatArray:
        """Return the cosines, as `dtype` holds them, and the sines, float64, (2, B)."""
        return np.stack([self.angle.cosine.astype(dtype).astype(np.float64), self.angle.sine])

    def of(self, rows: BoolArray) -> Pairs:
        """Return some of the pairs."""
        angle = Angle(self.angle.cosine[rows], self.angle.sine[rows])
        return Pairs(angle, self.at_embedding[rows], self.at_weight[rows])


@np.errstate(invalid="ignore", over="ignore", under="ignore")
def directions(rows: FloatArray, out: FloatArray | None = None) -> Directions:
    """Return each row's direction, in `out`, and its length; the length is NaN for a row without a direction.

    A row so long or short that its squares overflow or underflow is scaled by a power of two first.
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


def pair_cosines(x: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the cosine and the sine of each row of x with the same row of w, float64; both must be `scaled`.

    Where the two are almost parallel or opposite, the cosine is taken from the sine, which has more correct digits.
    """
    return _cosines(x, w, tangent(x, w)[1])


def measure_pairs(embeddings: FloatArray, weights: FloatArray) -> Pairs:
    """Return the angle of each row of `embeddings` with the same row of `weights`, and both tangents."""
    if not len(embeddings):
        return Pairs(Angle(*np.empty((2, 0))), *np.empty((2, *embeddings.shape)))
    x, w = scaled(embeddings.astype(np.float64))[0], scaled(weights.astype(np.float64))[0]
    at_x, sine = tangent(x, w)
    at_w, _ = tangent(w, x)
    return Pairs(Angle(*_cosines(x, w, sine)), at_x, at_w)


def _cosines(x: FloatArray, w: FloatArray, sine: FloatArray) -> tuple[FloatArray, FloatArray]:
    x_norm, w_norm = (np.sqrt(row_dot(v, v)) for v in (x, w))
    cosine = np.clip(row_dot(x, w) / (x_norm * w_norm), -1, 1)
    from_sine = np.copysign(np.sqrt((1 - sine) * (1 + sine)), cosine)
    return np.where(sine < np.sqrt(0.5), from_sine, cosine), sine


def tangent(x: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the unit tangent at x towards w, 0 where they are parallel, and the sine of their angle.

    The part of w orthogonal to x is wanted, and w minus its part along x would cancel. w - (w_j/x_j) x, with j the
    largest component of x, has the same orthogonal part and is at most 1 + √D times as long as it, so that projecting
    this vector loses nothing at any angle (equation 39).
    """
    rows = np.arange(len(x))
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
    """Return each row times a power of two, so that its largest entry lies in [0.5, 1), and the exponent taken out."""
    exponent = np.frexp(np.abs(rows).max(axis=1))[1]
    return np.ldexp(rows, -exponent[:, None]), exponent


def remove_radial(by_unit: FloatArray, rows: Directions) -> FloatArray:
    """Remove from a gradient by directions, in place, the part along each row, and return it (equation 37).

    That part would change the length of the row, which the cosine does not depend on.
    """
    radial = threads.scratch("radial", by_unit.shape, by_unit.dtype)
    by_unit -= np.multiply(row_dot(by_unit, rows.unit)[:, None], rows.unit, out=radial)
    return by_unit


def divide_by_length(tangential: FloatArray, rows: Directions, out: FloatArray | None = None) -> FloatArray:
    """Return the gradient by the rows from that by their directions: divided by the lengths, without a negative zero.

    The first row is written last, so that a caller who marked it with NaN can tell whether all others were written.
    """
    out = tangential if out is None else out
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


def cross(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Return a b - c d, correct to a few roundings of the result however much of it cancels; exactly 0 if equal."""
    (first_high, first_low), (second_high, second_low) = two_product(a, b), two_product(c, d)
    high, carry = two_sum(first_high, -second_high)
    low, rest = two_sum(first_low, -second_low)
    middle, last = two_sum(carry, low)
    total, error = two_sum(high, middle)
    return total + (error + (last + rest))


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a as a sum of two floats of at most 26 bits each."""
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high
