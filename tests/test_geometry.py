"""Exact sums and products of floats, against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from svref.head.geometry import difference_of_products, two_product, two_sum

FLOATS = st.floats(-1, 1).filter(lambda v: v == 0 or abs(v) > 1e-100)


@given(FLOATS, FLOATS)
def test_a_sum_is_exactly_its_two_parts(a: float, b: float) -> None:
    high, low = two_sum(np.float64(a), np.float64(b))
    assert Fraction(float(high)) + Fraction(float(low)) == Fraction(a) + Fraction(b)


@given(FLOATS, FLOATS)
def test_a_product_is_exactly_its_two_parts(a: float, b: float) -> None:
    high, low = two_product(np.float64(a), np.float64(b))
    assert Fraction(float(high)) + Fraction(float(low)) == Fraction(a) * Fraction(b)


@given(FLOATS, FLOATS, FLOATS, FLOATS, st.integers(-3, 3))
def test_a_cross_product_has_its_digits_however_much_cancels(a: float, b: float, c: float, d: float, ulps: int) -> None:
    near = a * b / d + ulps * np.spacing(a * b / d) if d and abs(a * b) < abs(d) else c
    assume(min(abs(a * b), abs(near * d)) > 1e-200)
    exact = Fraction(a) * Fraction(b) - Fraction(float(near)) * Fraction(d)
    got = Fraction(float(difference_of_products(*map(np.float64, (a, b, near, d)))))
    assert abs(got - exact) <= abs(exact) * Fraction(1, 2**50)


def test_equal_products_cancel_to_exactly_zero() -> None:
    assert difference_of_products(np.float64(0.3), np.float64(0.7), np.float64(0.7), np.float64(0.3)) == 0
