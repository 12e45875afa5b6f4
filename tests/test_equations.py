"""Equations of the derivation that no other test proves as they stand there: each side computed in its own way.

The pages lead from each equation to its test, see tests/test_derivation.py.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

import svref
from svref import reference
from svref.head.geometry import tangent
from svref.margins import Angle, chebyshev
from svref.variants import VARIANTS

RNG = np.random.default_rng(17)
COSINES, LABELS = RNG.uniform(-0.9, 0.9, (4, 6)), np.array([0, 3, 5, 2])
MASK = COSINES > 0.1
FORMS = [svref.SupportVectors(1.3), svref.SupportVectors(1.3, form="fixed")]
form = pytest.mark.parametrize("emphasis", FORMS, ids=lambda e: e.form)


def test_a_cosine_is_that_of_the_angle_between_the_two_vectors() -> None:
    x, w = RNG.uniform(0, np.pi, 4), RNG.uniform(0, np.pi, 6)
    rows, classes = (np.stack([np.cos(a), np.sin(a)], axis=1) for a in (x, w))
    c = reference.cosines_of(3 * rows, 0.2 * classes)
    np.testing.assert_allclose(c, np.cos(x[:, None] - w), rtol=0, atol=4e-16)


@form
def test_the_emphasis_is_zero_at_minus_one_and_off_the_mask(emphasis: svref.SupportVectors) -> None:
    c, on = np.array([[-1.0, 0.0, 1.0]]), np.array([[True, True, True]])
    growth = [0.0, 1.0, 2.0] if emphasis.form == "adaptive" else [1.0, 1.0, 1.0]
    np.testing.assert_allclose(emphasis.log_h(c, on, 4.0)[0], 4.0 * 0.3 * np.array(growth), rtol=1e-15, atol=0)
    assert not emphasis.log_h(c, ~on, 4.0).any()


@form
def test_the_slope_is_the_derivative_of_the_emphasised_cosine(emphasis: svref.SupportVectors) -> None:
    c = COSINES + 1e-30j
    derivative = (c + emphasis.log_h(c, MASK, 4.0) / 4.0).imag / 1e-30
    np.testing.assert_allclose(emphasis.slope(MASK), derivative, rtol=1e-15, atol=0)


@form
def test_log_h_is_linear_in_t(emphasis: svref.SupportVectors) -> None:
    at_two = svref.SupportVectors(2.0, emphasis.form).log_h(COSINES, MASK, 4.0)
    np.testing.assert_array_equal(emphasis.log_h_by_t(COSINES, MASK, 4.0), at_two)  # log h is 0 at t = 1


def paper(loss: svref.SVXSoftmax, step: reference.Step, b: int) -> mpf:
    """Return e^{s f} over e^{s f} + Σ h_k e^{s c_k}, from f and the mask of a step."""
    s, t = mpf(loss.s), mpf(loss.emphasis.t)
    target, negatives = mp.exp(s * mpf(step.f[b])), mpf(0)
    for k, c in enumerate(map(mpf, step.cosines[b].tolist())):
        if k != step.labels[b]:
            growth = c + 1 if loss.emphasis.form == "adaptive" else 1
            h = mp.exp(s * (t - 1) * growth) if step.mask[b, k] else 1
            negatives += h * mp.exp(s * c)
    return target / (target + negatives)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_loss_is_that_of_the_paper_in_fifty_digits(name: str) -> None:
    loss = VARIANTS[name].factory(s=8.0)
    step = loss.forward(COSINES, LABELS)
    with mpmath.workdps(50):
        expected = [float(-mp.log(paper(loss, step, b))) for b in range(4)]
    np.testing.assert_allclose(step.loss, expected, rtol=2e-14, atol=0)


def test_the_loss_is_minus_the_log_of_the_labels_probability() -> None:
    step = svref.sv_arc_softmax(s=8.0).forward(COSINES, LABELS)
    np.testing.assert_allclose(step.loss, -np.log(step.probabilities[step.own]), rtol=1e-13, atol=0)
    odds = np.exp(step.r).sum(axis=1)
    np.testing.assert_allclose(step.loss, np.log1p(odds), rtol=1e-13, atol=0)
    np.testing.assert_allclose(np.exp(step.a), odds, rtol=1e-13, atol=0)


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_the_recurrence_gives_the_chebyshev_polynomials(n: int) -> None:
    c = np.array([-1.0, -0.75, 0.0, 0.3, 1.0])
    cos, sin_over_sine = chebyshev(c, n)
    with mpmath.workdps(30):
        first = [float(mpmath.chebyt(n, mpf(v))) for v in c]
        second = [float(mpmath.chebyu(n - 1, mpf(v))) for v in c]
    np.testing.assert_allclose(cos, first, rtol=0, atol=4e-16 * n)
    np.testing.assert_allclose(sin_over_sine, second, rtol=0, atol=4e-16 * n**2)


def test_annealing_mixes_value_and_slopes_alike() -> None:
    plain, mixed = svref.MultiplicativeAngle(3), svref.MultiplicativeAngle(3, annealing=5.0)
    angle = Angle.from_cosine(np.linspace(-1, 1, 9))
    for quantity, of_cosine in (("value", angle.cosine), ("by_cosine", 1.0), ("by_angle", -angle.sine)):
        psi, f = getattr(plain, quantity)(angle), getattr(mixed, quantity)(angle)
        np.testing.assert_allclose(6 * f, 5 * of_cosine + psi, rtol=1e-15, atol=4e-15)


def test_a_cosine_turns_a_vector_and_does_not_stretch_it() -> None:
    x, w = RNG.normal(size=5), RNG.normal(size=5)

    def cosine(v: np.ndarray) -> complex:
        return (v @ w) / np.sqrt(v @ v) / np.sqrt(w @ w)  # analytic in v, for the complex step

    expected = [cosine(x + 1e-30j * e).imag / 1e-30 for e in np.eye(5)]
    unit, length = reference.unit_rows(np.stack([x, w]))
    ours = reference.through_unit_rows(unit[1:], unit[:1], length[:1])[0]  # dc/dx̂ is ŵ
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-15)
    assert abs(ours @ x) < 1e-15


@pytest.mark.parametrize("angle", [1e-12, 1e-3, 1.0, np.pi - 1e-9])
def test_the_vector_that_is_projected_is_short_and_has_the_same_orthogonal_part(angle: float) -> None:
    x, aside = RNG.normal(size=(2, 5))
    w = np.cos(angle) * x + np.sin(angle) * aside
    with mpmath.workdps(60):
        exact_x, exact_w = (np.array([mpf(c) for c in v], dtype=object) for v in (x, w))
        j = int(np.argmax(np.abs(x)))
        v = exact_w - exact_w[j] / exact_x[j] * exact_x
        w_off, v_off = (u - (u @ exact_x) / (exact_x @ exact_x) * exact_x for u in (exact_w, v))
        lengths = [mp.sqrt(u @ u) for u in (v, v_off, exact_w)]
        assert max(abs(w_off - v_off)) < mpf(10) ** -50
        assert lengths[0] <= (1 + mp.sqrt(5)) * lengths[1]
        sine, towards = float(lengths[1] / lengths[2]), [float(c / lengths[1]) for c in w_off]
    tau, sigma = tangent(x[None], w[None], np.float64)
    np.testing.assert_allclose(sigma[0], sine, rtol=4e-15, atol=0)
    np.testing.assert_allclose(tau[0], towards, rtol=0, atol=4e-15)
