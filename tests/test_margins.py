"""Every margin: value and derivatives, its special points, and the conventions there."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from svref.judging.figures import figures, steepness, widest
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Angle,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)

GRID = np.linspace(-0.98, 0.98, 57) + 0.0037  # off every kink
ANGULAR: list[Margin] = [
    AdditiveAngle(0.5),
    AdditiveAngle(2.5),
    *(AdditiveAngle(0.5, tail) for tail in ("linear", "plain", "reflect")),
    *(MultiplicativeAngle(m) for m in (1, 2, 3, 4, 7)),
    MultiplicativeAngle(4, annealing=5.0),
    Combined(1.0, 0.3, 0.2),
    Combined(1.35, 0.0, 0.0),
    Combined(2.0, 0.0, 0.1),
    EasyMargin(AdditiveAngle(0.5)),
]
ALL = [NoMargin(), AdditiveCosine(0.35), *ANGULAR, EasyMargin(AdditiveCosine(0.35), above=0.35)]


def textbook(margin: Margin, theta: np.ndarray) -> np.ndarray:
    """F written once more, from the angle."""
    c = np.cos(theta)
    match margin:
        case NoMargin():
            return c
        case AdditiveCosine(m):
            return c - m
        case AdditiveAngle(m, tail):
            raw = np.cos(theta + m)
            beyond = {"raw": raw, "linear": c - m * np.sin(m), "plain": c, "reflect": -2 - raw}[tail]
            return np.where(theta + m > np.pi, beyond, raw)
        case MultiplicativeAngle(m, annealing):
            k = np.minimum(np.floor(m * theta / np.pi), m - 1)
            return (annealing * c + (-1) ** k * np.cos(m * theta) - 2 * k) / (1 + annealing)
        case Combined(m1, m2, m3):
            return np.cos(m1 * theta + m2) - m3
        case EasyMargin(inner, above):
            return np.where(c > above, textbook(inner, theta), c)
    raise AssertionError(margin)


@pytest.mark.parametrize("margin", ALL, ids=repr)
def test_the_value_is_the_textbooks(margin: Margin) -> None:
    np.testing.assert_allclose(margin.value(Angle.from_cosine(GRID)), textbook(margin, np.arccos(GRID)), atol=4e-15)


@pytest.mark.parametrize("margin", ALL, ids=repr)
def test_both_derivatives_are_central_differences(margin: Margin) -> None:
    theta, h = np.arccos(GRID), 1e-6
    by_angle = (textbook(margin, theta + h) - textbook(margin, theta - h)) / (2 * h)
    smooth = np.abs(by_angle) < 100  # a jump within the difference shows as a steep one
    angle = Angle.from_cosine(GRID)
    np.testing.assert_allclose(margin.by_angle(angle)[smooth], by_angle[smooth], rtol=0, atol=2e-8)
    by_cosine = -by_angle / angle.sine
    np.testing.assert_allclose(margin.by_cosine(angle)[smooth], by_cosine[smooth], rtol=0, atol=2e-7)


@pytest.mark.parametrize("tail", ["raw", "linear", "plain", "reflect"])
def test_the_derivative_by_m_is_a_central_difference(tail: str) -> None:
    m, h, theta = 0.5, 1e-6, np.arccos(GRID)
    beyond = (textbook(AdditiveAngle(m + h, tail), theta) - textbook(AdditiveAngle(m - h, tail), theta)) / (2 * h)
    ours = AdditiveAngle(m, tail).by_parameter(Angle.from_cosine(GRID))["m"]
    np.testing.assert_allclose(ours, beyond, rtol=0, atol=2e-9)


@pytest.mark.parametrize("name", ["m1", "m2", "m3"])
def test_the_derivatives_of_combined_are_central_differences(name: str) -> None:
    at, h, theta = {"m1": 1.35, "m2": 0.3, "m3": 0.2}, 1e-6, np.arccos(GRID)
    up, down = (Combined(**{**at, name: at[name] + d}) for d in (h, -h))
    difference = (textbook(up, theta) - textbook(down, theta)) / (2 * h)
    ours = Combined(**at).by_parameter(Angle.from_cosine(GRID))[name]
    np.testing.assert_allclose(ours, difference, rtol=0, atol=1e-8)


def test_arc_is_finite_at_the_poles_and_its_slope_is_the_signed_infinity() -> None:
    angle, arc = Angle.from_cosine([1.0, -1.0]), AdditiveAngle(0.5)
    np.testing.assert_allclose(arc.value(angle), [math.cos(0.5), -math.cos(0.5)], rtol=2e-16)
    assert arc.by_cosine(angle).tolist() == [math.inf, -math.inf]
    np.testing.assert_allclose(arc.by_angle(angle), [-math.sin(0.5), math.sin(0.5)], rtol=2e-16)


@pytest.mark.parametrize(("tail", "slope"), [("linear", 1.0), ("plain", 1.0), ("reflect", math.inf)])
def test_tails_have_their_own_slope_at_minus_one(tail: str, slope: float) -> None:
    assert AdditiveAngle(0.5, tail).by_cosine(Angle.from_cosine(-1.0)) == slope


def test_a_tiny_margin_still_reaches_its_tail_at_minus_one() -> None:
    assert AdditiveAngle(1e-9, tail="plain").value(Angle.from_cosine(-1.0)) == -1.0
    assert AdditiveAngle(1e-9, tail="plain").by_cosine(Angle.from_cosine(-1.0)) == 1.0


def test_tails_jump_by_what_the_formulas_say() -> None:
    m = 0.5
    below, above = (Angle.from_cosine(-math.cos(m) + d) for d in (-1e-12, 1e-12))
    for tail, jump in (("linear", 1 - math.cos(m) - m * math.sin(m)), ("plain", 1 - math.cos(m)), ("reflect", 0.0)):
        margin = AdditiveAngle(m, tail)
        np.testing.assert_allclose(margin.value(below) - margin.value(above), jump, atol=1e-11)


@pytest.mark.parametrize("m", [2, 3, 4, 7])
def test_the_slope_of_a_softmax_is_m_squared_at_both_poles(m: int) -> None:
    assert MultiplicativeAngle(m).by_cosine(Angle.from_cosine([1.0, -1.0])).tolist() == [m**2, m**2]


def test_a_softmax_at_pi_belongs_to_the_last_piece() -> None:
    margin = MultiplicativeAngle(4)
    near = Angle.from_cosine([-1.0, np.nextafter(-1.0, 0)])
    np.testing.assert_allclose(margin.value(near), [-7.0, -7.0], rtol=1e-15)
    assert (margin.by_cosine(near) > 0).all()


@pytest.mark.parametrize("m", [2, 3, 4, 7])
def test_a_softmax_is_continuously_differentiable_at_its_kinks(m: int) -> None:
    kinks = np.cos(np.arange(1, m) * np.pi / m)
    margin = MultiplicativeAngle(m)
    for quantity in (margin.value, margin.by_cosine):
        left, right = (quantity(Angle.from_cosine(kinks + d)) for d in (-1e-9, 1e-9))
        np.testing.assert_allclose(left, right, atol=1e-6)


@pytest.mark.parametrize(
    ("margin", "at_one", "at_minus_one"),
    [
        (Combined(1.0, 0.3, 0.2), math.inf, -math.inf),
        (Combined(2.0, 0.0, 0.1), 4.0, -4.0),
        (Combined(3.0, 0.0, 0.0), 9.0, 9.0),
        (Combined(1.35, 0.0, 0.0), 1.35**2, -math.inf),
        (Combined(1.0, 0.0, 0.2), 1.0, 1.0),
    ],
)
def test_the_slope_of_combined_has_its_limits_at_the_poles(
    margin: Combined, at_one: float, at_minus_one: float
) -> None:
    assert margin.by_cosine(Angle.from_cosine([1.0, -1.0])).tolist() == [at_one, at_minus_one]
    if math.isfinite(at_one):
        np.testing.assert_allclose(margin.by_cosine(Angle.from_cosine(1 - 1e-12)), at_one, rtol=1e-4)


@pytest.mark.parametrize(
    ("margin", "plain"),
    [
        (AdditiveCosine(0.0), NoMargin()),
        (AdditiveAngle(0.0), NoMargin()),
        (AdditiveAngle(0.0, tail="linear"), NoMargin()),
        (MultiplicativeAngle(1), NoMargin()),
        (MultiplicativeAngle(1, annealing=3.0), NoMargin()),
        (Combined(), NoMargin()),
        (Combined(1.0, 0.0, 0.35), AdditiveCosine(0.35)),
        (EasyMargin(AdditiveCosine(0.35), above=-2.0), AdditiveCosine(0.35)),
        (EasyMargin(AdditiveCosine(0.35), above=2.0), NoMargin()),
    ],
)
def test_limits_are_identities_to_the_last_bit_poles_and_logits_included(margin: Margin, plain: Margin) -> None:
    angle = Angle.from_cosine([-1.0, -0.3, 0.0, 0.7, 1.0])
    for quantity in ("value", "by_cosine"):
        np.testing.assert_array_equal(getattr(margin, quantity)(angle), getattr(plain, quantity)(angle))


def test_the_angular_parameters_of_combined_do_not_act_where_c_is_no_cosine() -> None:
    by = Combined(1.0, 0.0, 0.25).by_parameter(Angle.from_cosine([2.0, 0.5]))
    assert (by["m1"][0], by["m2"][0], by["m3"][0]) == (0.0, 0.0, -1.0)
    assert by["m2"][1] == -np.sqrt(0.75)


def test_combined_at_m1_of_1_is_arc_minus_m3() -> None:
    angle = Angle.from_cosine(GRID)
    np.testing.assert_array_equal(Combined(1.0, 0.5, 0.0).value(angle), AdditiveAngle(0.5).value(angle))


def test_straight_through_keeps_the_value_and_has_slope_one() -> None:
    angle, arc = Angle.from_cosine([-1.0, 0.2, 1.0]), AdditiveAngle(0.5)
    np.testing.assert_array_equal(StraightThrough(arc).value(angle), arc.value(angle))
    assert StraightThrough(arc).by_cosine(angle).tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_array_equal(StraightThrough(arc).by_angle(angle), -angle.sine)


def test_an_easy_margin_is_off_at_its_threshold_and_has_no_derivative_by_m_there() -> None:
    easy = EasyMargin(AdditiveCosine(0.25), above=0.5)
    angle = Angle.from_cosine([0.5, np.nextafter(0.5, 1)])
    np.testing.assert_array_equal(easy.value(angle), [0.5, np.nextafter(0.5, 1) - 0.25])
    assert easy.by_parameter(angle)["m"].tolist() == [0.0, -1.0]


def test_the_other_side_of_a_branch_can_be_asked_for() -> None:
    tail = AdditiveAngle(0.5, tail="linear")
    c = np.array([-0.9, 0.3])
    turned = tail.value(Angle.from_cosine(c, reach=np.array([np.inf, np.inf])))
    theta = np.arccos(c)
    np.testing.assert_allclose(turned, [np.cos(theta[0] + 0.5), c[1] - 0.5 * math.sin(0.5)], rtol=1e-15)


def test_only_decisions_within_reach_are_taken_the_other_way() -> None:
    both = EasyMargin(AdditiveAngle(0.5, tail="plain"), above=-0.875)  # the tail begins at -0.87758
    c = np.array([-0.876])  # here the easy margin is off, and were it on, the tail would not have begun
    none, easy, tail_too = (both.value(Angle.from_cosine(c, reach=np.array([d]))) for d in (-1.0, 0.0012, 0.003))
    assert none == c
    np.testing.assert_allclose(easy, np.cos(np.arccos(c) + 0.5))
    assert tail_too == c


def test_the_angle_is_accurate_at_both_poles() -> None:
    distance = 2.0 ** -np.arange(2, 53)
    for sign in (1, -1):
        theta = Angle.from_cosine(sign * (1 - distance)).theta
        small = theta if sign == 1 else np.pi - theta
        tolerance = 4e-16 if sign == 1 else 4e-16 * np.pi / small
        exact = 2 * np.arcsin(np.sqrt(distance / 2))
        assert (np.abs(small - exact) <= tolerance * exact).all()


@pytest.mark.parametrize("margin", ALL, ids=repr)
def test_a_margin_is_frozen_comparable_and_its_repr_makes_it_again(margin: Margin) -> None:
    again = eval(repr(margin))  # noqa: S307
    assert again == margin
    assert hash(again) == hash(margin)


@pytest.mark.parametrize("margin", [*ALL, StraightThrough(AdditiveAngle(0.5))], ids=repr)
def test_figures_are_positive_finite_and_one_per_parameter(margin: Margin) -> None:
    angle = Angle.from_cosine([-1.0, -0.5, 0.0, 0.5, 1.0])
    found = figures(margin, angle, 2.0**-53)
    assert set(found.by_parameter) == set(margin.by_parameter(angle))
    for figure in (found.value, found.by_cosine, *found.by_parameter.values()):
        assert figure.shape == (5,)
        assert np.isfinite(figure).all()
        assert (figure > 0).all()


@pytest.mark.parametrize("wrap", [lambda easy: easy, lambda easy: EasyMargin(easy, above=-2.0)])
@pytest.mark.parametrize("inside", [Combined(m1=1e-6), Combined(m1=0.1), MultiplicativeAngle(4), AdditiveAngle(0.5)])
def test_a_row_of_an_easy_margin_has_the_figures_of_its_own_side(inside: Margin, wrap: Callable[..., Margin]) -> None:
    angle, u = Angle.from_cosine([-0.3, 0.3]), 2.0**-53
    found, of_inside = figures(wrap(EasyMargin(inside)), angle, u), figures(inside, angle, u)
    assert (found.value[0], found.by_cosine[0]) == (1, 1)  # off: the plain cosine
    assert (found.value[1], found.by_cosine[1]) == (of_inside.value[1], of_inside.by_cosine[1])
    assert (widest(EasyMargin(inside), angle, u) >= np.maximum(of_inside.value, 1)).all()


def test_steepness_is_the_slope_of_the_value_also_where_the_backward_pass_has_another() -> None:
    angle, u, a = Angle.from_cosine([-0.3, 0.31]), 2.0**-53, MultiplicativeAngle(31)
    true = np.abs(a.by_cosine(angle))
    np.testing.assert_allclose(steepness(StraightThrough(a), angle, u), true, rtol=1e-9)
    np.testing.assert_allclose(steepness(EasyMargin(StraightThrough(a)), angle, u), [1, true[1]], rtol=1e-9)
