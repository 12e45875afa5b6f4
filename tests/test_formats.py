"""Every number of the narrow formats and every midpoint between two, rounded by `formats` and by `exact`."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from conftest import installed
from hypothesis import given
from hypothesis import strategies as st

import svref
from svref import exact
from svref.exact.rounding import UNPROVEN, Certified
from svref.formats import FORMATS, rounded_to

ALL_BUT_FLOAT64 = sorted(set(FORMATS) - {"float64"})


def of_bits(bits: np.ndarray, shift: int, kind: str) -> np.ndarray:
    return (bits << shift).astype(f"u{kind[1:]}").view(kind).astype(np.float64)


def e4m3fn(bits: np.ndarray) -> np.ndarray:
    exponent, fraction = bits >> 3, bits & 7
    return np.where(exponent == 0, fraction * 2.0**-9, (8 + fraction) * 2.0 ** (exponent - 10.0))


NUMBERS = {  # all finite numbers that are not negative, in ascending order: entry i has the bits i, and even is even
    "bfloat16": of_bits(np.arange(0x7F80), 16, "f4"),
    "float16": of_bits(np.arange(0x7C00), 0, "f2"),
    "tf32": of_bits(np.arange(0x7F800000 >> 13), 13, "f4"),
    "float8_e5m2": of_bits(np.arange(0x7C), 8, "f2"),
    "float8_e4m3fn": e4m3fn(np.arange(0x7F)),
}
IEEE = {"float32": (24, -126, 127), "tf32": (11, -126, 127), "bfloat16": (8, -126, 127), "float16": (11, -14, 15)}
DIGITS_AND_EXPONENTS = {**IEEE, "float8_e5m2": (3, -14, 15), "float8_e4m3fn": (4, -6, 8)}


def nearest(x: Fraction, name: str) -> float:
    """The number of a format next to x, ties to even, by whole numbers only."""
    digits, lowest, top = DIGITS_AND_EXPONENTS[name]
    exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()
    exponent -= abs(x) < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, lowest) - digits + 1)
    number, largest = round(x / unit) * unit, 448 if name == "float8_e4m3fn" else (2 - Fraction(2, 2**digits)) * 2**top
    if abs(number) <= largest:
        return float(number)
    return math.copysign(448 if name == "float8_e4m3fn" else math.inf, x)


def certified(hi: np.ndarray, signs: np.ndarray) -> Certified:
    return Certified(hi, np.zeros_like(hi), signs.astype(np.int8))


def midpoints(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of a format but the largest, the next ones, and the midpoints."""
    numbers = NUMBERS[name]
    return numbers[:-1], numbers[1:], (numbers[:-1] + numbers[1:]) / 2


def even(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(below)) % 2 == 0, below, above)


# ---- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NUMBERS)
def test_the_largest_and_the_smallest_number_are_those_of_the_bits(name: str) -> None:
    form, numbers = FORMATS[name], NUMBERS[name]
    assert form.largest == numbers[-1]
    assert form.unit_roundoff == (numbers[numbers > 1][0] - 1) / 2
    assert math.ldexp(1.0, form.lowest - form.digits + 1) == numbers[1]
    assert form.tiny == numbers[2 ** (form.digits - 1)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_of_a_format_and_every_midpoint_is_rounded_to_the_right_one(name: str, sign: float) -> None:
    below, above, middle = midpoints(name)
    for values, expected in (
        (NUMBERS[name], NUMBERS[name]),
        (middle, even(below, above)),
        (np.nextafter(middle, np.inf), above),
        (np.nextafter(middle, 0), below),
    ):
        rounded = rounded_to(sign * values, name)
        np.testing.assert_array_equal(rounded, sign * expected)
        np.testing.assert_array_equal(np.signbit(rounded), sign < 0)


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - {"tf32"}))
def test_the_right_numbers_are_those_of_ml_dtypes(name: str) -> None:
    dtype = np.dtype(getattr(installed("ml_dtypes", "ml_dtypes"), name, name))
    bits = np.arange(len(NUMBERS[name])).astype(f"u{dtype.itemsize}")
    np.testing.assert_array_equal(bits.view(dtype).astype(np.float64), NUMBERS[name])
    middle = midpoints(name)[2]
    near = (middle[:, None] * np.array([1, 1 + 2.0**-20, 1 - 2.0**-20])).astype(np.float32)  # it rounds float64 twice
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(rounded_to(near, name), near.astype(dtype).astype(np.float64))


@pytest.mark.parametrize("name", ALL_BUT_FLOAT64)
def test_beyond_the_largest_number_is_infinity_and_in_float8_e4m3fn_the_largest_number(name: str) -> None:
    largest = FORMATS[name].largest
    half = math.ldexp(1.0, FORMATS[name].top - FORMATS[name].digits)  # half the spacing at the largest number
    middle = largest + half
    beyond = math.inf if FORMATS[name].has_infinity else largest
    values = np.array([np.nextafter(middle, 0), middle, np.nextafter(middle, np.inf), 1e308, np.inf])
    expected = [largest, beyond, beyond, beyond, beyond]
    assert rounded_to(values, name).tolist() == expected
    assert rounded_to(-values, name).tolist() == [-x for x in expected]
    assert np.isnan(rounded_to(np.array([np.nan]), name)).all()


@given(st.sampled_from(ALL_BUT_FLOAT64), st.floats(allow_nan=False, allow_infinity=False) | st.floats(-600, 600))
def test_any_number_is_rounded_as_by_fractions(name: str, x: float) -> None:
    assert rounded_to(np.array([x]), name).tolist() == [nearest(Fraction(x), name)]


# ---- certified numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", NUMBERS)
def test_the_sign_of_the_remainder_decides_at_every_midpoint(name: str, sign: int) -> None:
    below, above, middle = midpoints(name)
    ones = np.ones(len(middle))
    for remainder, expected in ((0, even(below, above)), (1, above), (-1, below)):
        rounded = certified(sign * middle, sign * remainder * ones).rounded(name)
        np.testing.assert_array_equal(rounded.astype(np.float64), sign * expected)
        assert not np.signbit(rounded[rounded == 0]).any()


@pytest.mark.parametrize("name", NUMBERS)
def test_no_remainder_moves_a_number_of_the_format_or_one_beside_a_midpoint(name: str) -> None:
    below, above, middle = midpoints(name)
    pairs = [(NUMBERS[name], NUMBERS[name]), (np.nextafter(middle, np.inf), above), (np.nextafter(middle, 0), below)]
    for remainder in (-1, 0, 1, UNPROVEN):
        for values, expected in pairs:
            got = certified(values, np.full(len(values), remainder)).rounded(name)
            np.testing.assert_array_equal(got.astype(np.float64), expected)


@pytest.mark.parametrize("name", ALL_BUT_FLOAT64)
def test_the_end_of_a_range_is_decided_by_the_remainder_too(name: str) -> None:
    form = FORMATS[name]
    middle = form.largest + math.ldexp(1.0, form.top - form.digits)
    beyond = math.inf if form.has_infinity else form.largest
    got = certified(np.array([middle] * 3 + [1e308, math.inf]), np.array([-1, 0, 1, 0, -1])).rounded(name)
    assert got.tolist() == [form.largest, beyond, beyond, beyond, beyond]
    assert certified(np.array([-middle] * 2), np.array([1, -1])).rounded(name).tolist() == [-form.largest, -beyond]


@pytest.mark.parametrize("name", ALL_BUT_FLOAT64)
def test_a_midpoint_whose_remainder_has_no_known_sign_is_refused(name: str) -> None:
    middle = 1 + FORMATS[name].unit_roundoff
    with pytest.raises(ArithmeticError, match=rf"entry \[1\] may lie on a midpoint of {name}\."):
        certified(np.array([1.0, middle]), np.array([UNPROVEN, UNPROVEN])).rounded(name)


@given(
    st.sampled_from(ALL_BUT_FLOAT64), st.floats(-600, 600) | st.floats(-1e300, 1e300), st.sampled_from([-0.25, 0, 0.25])
)
def test_a_certified_number_is_rounded_once_as_by_fractions(name: str, x: float, rest: float) -> None:
    lo = rest * np.spacing(abs(x))
    got = Certified(np.array([x]), np.array([lo]), np.array([np.sign(lo)], np.int8)).rounded(name)
    assert got.tolist() == [nearest(Fraction(x) + Fraction(float(lo)), name)]


@pytest.mark.parametrize("name", ALL_BUT_FLOAT64)
def test_the_outputs_of_a_loss_are_rounded_once(name: str) -> None:
    c = np.random.default_rng(0).integers(-64, 64, (4, 5)) / 64
    truth = exact.evaluate(svref.sv_arc_softmax(s=32.0, m=0.5, t=1.25), c, [0, 1, 2, 3])
    for output in (truth.loss, truth.cosines, truth.probabilities, truth.s):
        true = [Fraction(hi) + Fraction(lo) for hi, lo in zip(output.hi.flat, output.lo.flat, strict=True)]
        assert output.rounded(name).ravel().tolist() == [nearest(x, name) for x in true]


def test_a_format_that_numpy_has_comes_in_its_dtype_and_another_in_float64() -> None:
    third = certified(np.array([1 / 3]), np.array([1]))
    assert [third.rounded(name).dtype.name for name in FORMATS] == [
        name if name in ("float64", "float32", "float16") else "float64" for name in FORMATS
    ]
    assert third.rounded(np.float16).dtype == np.float16
    for wrong, shown in (("int32", "int32"), ("bfloat", "'bfloat'")):
        with pytest.raises(TypeError, match=rf"rounded to float64, float32, tf32, .*; got {shown}\."):
            third.rounded(wrong)
