"""Gradients against differentiation that knows nothing of them: complex step, and SciPy's finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import svref
from svref.margins import Angle
from svref.variants import VARIANTS

STEP = 1e-30
RNG = np.random.default_rng(5)
COSINES = RNG.uniform(-0.9, 0.9, (5, 6))
LABELS = np.array([0, 3, 5, 1, 2])
SCALES = (4.0, 32.0, 64.0)


def naive_losses(name: str, c: np.ndarray, mask: np.ndarray, p: dict[str, complex]) -> np.ndarray:
    """log(1 + Σ exp r) written out once more, analytic in every argument; the mask is given."""
    rows = np.arange(len(LABELS))
    y = c[rows, LABELS]
    f = naive_margin(name, y, p)[:, None]
    growth = p.get("t", 1.0) - 1
    h = growth * (1.0 if name.startswith("mv-") else c + 1) * mask
    terms = np.exp(p["s"] * (c - f + h))
    terms[rows, LABELS] = 0
    return np.log(1 + terms.sum(axis=1))


def naive_margin(name: str, y: np.ndarray, p: dict[str, complex]) -> np.ndarray:
    """F written with acos; the pieces of A-Softmax are taken from the real part."""
    theta = np.arccos(y)
    if "combined" in name:
        return np.cos(p["m1"] * theta + p["m2"]) - p["m3"]
    if "-arc-" in f"-{name}":
        return np.cos(theta + p["m"])
    if "-am-" in f"-{name}":
        return y - p["m"]
    if "-a-" in f"-{name}":
        k = np.minimum(np.floor(p["m"] * theta.real / np.pi), p["m"] - 1)
        return (-1) ** k * np.cos(p["m"] * theta) - 2 * k
    return y


def complex_step(function: Callable[[complex], np.ndarray], at: complex) -> np.ndarray:
    return function(at + 1j * STEP).imag / STEP


@pytest.mark.parametrize("s", SCALES)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_cosine_gradient_is_the_complex_step_of_the_naive_forward(name: str, s: float) -> None:
    loss = VARIANTS[name].factory(s=s)
    step = loss.forward(COSINES, LABELS)
    gradient = loss.backward(step).cosines
    parameters = {**VARIANTS[name].parameters, "s": s}
    for k in range(COSINES.shape[1]):
        moved = COSINES.astype(complex)
        moved[:, k] += 1j * STEP
        expected = naive_losses(name, moved, step.mask, parameters).imag / STEP
        np.testing.assert_allclose(gradient[:, k], expected, rtol=2e-11 if "a-softmax" in name else 2e-12, atol=0)


@pytest.mark.parametrize("s", SCALES)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_gradient_is_the_complex_step_of_the_naive_forward(name: str, s: float) -> None:
    loss = VARIANTS[name].factory(s=s)
    step = loss.forward(COSINES, LABELS)
    grads = loss.backward(step)
    parameters = {**VARIANTS[name].parameters, "s": s}
    ours = {"s": grads.s, "t": grads.t, **grads.margin}
    for parameter in parameters:
        if parameter == "m" and isinstance(parameters["m"], int):
            continue
        expected = complex_step(
            lambda value, p=parameter: naive_losses(name, COSINES + 0j, step.mask, {**parameters, p: value}),
            parameters[parameter],
        )
        np.testing.assert_allclose(ours[parameter], expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_are_scipys_finite_differences_on_mid_range_points(name: str) -> None:
    loss = VARIANTS[name].factory(s=4.0)
    gradient = loss.value_and_grad(COSINES, LABELS, reduction="sum")[1]
    step = loss.forward(COSINES, LABELS)
    distance = np.abs(COSINES - step.margin_cosine[:, None])
    distance[np.arange(len(LABELS)), LABELS] = np.inf
    assert distance.min() > 1e-6, "a decision must not flip within the difference"

    def value(flat: np.ndarray) -> float:
        return float(loss.value(flat.reshape(COSINES.shape), LABELS, reduction="sum"))

    h, steepest = 1e-7, 16 if "a-softmax" in name.removeprefix("sv-") else 2
    differences = approx_fprime(COSINES.ravel(), value, h).reshape(COSINES.shape)
    # forward differences are off by h/2 |L''| <= h (s max|f'|)²/2, and by the rounding of L over h
    np.testing.assert_allclose(gradient, differences, rtol=0, atol=h * (4 * steepest) ** 2 + 1e-8 * step.loss.sum())


@pytest.mark.parametrize(
    "margin", [svref.AdditiveAngle(0.5), svref.MultiplicativeAngle(3), svref.Combined(1.35, 0.1, 0.05)]
)
def test_the_slope_by_the_angle_is_minus_sine_times_that_by_the_cosine(margin: svref.margins.Margin) -> None:
    angle = Angle.from_cosine(np.linspace(-0.99, 0.99, 41))
    np.testing.assert_allclose(margin.by_angle(angle), -angle.sine * margin.by_cosine(angle), rtol=1e-13, atol=1e-15)


def test_a_cotangent_scales_each_row_and_only_it() -> None:
    loss = svref.sv_arc_softmax(s=8.0)
    step = loss.forward(COSINES, LABELS)
    g = np.array([1.0, -0.5, 2.0, 0.0, -4.0])
    ones, scaled = loss.backward(step), loss.backward(step, g)
    np.testing.assert_array_equal(scaled.cosines, g[:, None] * ones.cosines + 0.0)
    for mine, base in [(scaled.s, ones.s), (scaled.t, ones.t), (scaled.margin["m"], ones.margin["m"])]:
        np.testing.assert_array_equal(mine, g * base + 0.0)
