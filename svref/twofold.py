"""Differences of products in twice the working precision: what near-parallel vectors need.

A product of two floats is the sum of two floats, and so is their sum (Dekker 1971, Knuth); here that is used for
the one expression that cancels between near-parallel vectors, a b - c d.
"""

from __future__ import annotations

from svref.inputs import FloatArray

_SPLITTER = 2.0**27 + 1


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
