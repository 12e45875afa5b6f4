"""The NumPy path against the mpmath oracle, in units of u times the condition scale, and beyond it."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from accuracy import errors, measure
from rows import MARGINS, MORE_MARGINS, REGIMES, batch, spec_of

from svref import SupportVectors, SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, MultiplicativeAngle, NoMargin

BAR = 4.0
CONVERGED = [NoMargin(), AdditiveCosine(0.35), AdditiveAngle(0.5), MultiplicativeAngle(2)]
FLOAT32_REGIMES = [name for name in REGIMES if name != "very-near-pole"]  # 1 - 2^-50 is 1 in float32


@pytest.mark.parametrize("s", [1.0, 16.0, 64.0])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("margin", MARGINS)
def test_float64_errors_stay_below_4_u_times_the_condition_scale(margin: str, regime: str, s: float) -> None:
    assert max(measure(MARGINS[margin], s, 1.2, regime, "float64").values()) <= BAR


@pytest.mark.parametrize("s", [1.0, 16.0, 64.0])
@pytest.mark.parametrize("regime", FLOAT32_REGIMES)
@pytest.mark.parametrize("margin", MARGINS)
def test_float32_errors_stay_below_4_u_times_the_condition_scale(margin: str, regime: str, s: float) -> None:
    assert max(measure(MARGINS[margin], s, 1.2, regime, "float32").values()) <= BAR


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("regime", ["hard", "near-boundary"])
@pytest.mark.parametrize("margin", MORE_MARGINS)
def test_tails_wrappers_and_combined_stay_below_it_too(margin: str, regime: str, dtype: str) -> None:
    assert max(measure(MORE_MARGINS[margin], 16.0, 1.2, regime, dtype).values()) <= BAR


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("margin", ["none", "arc"])
def test_an_emphasis_of_100_stays_below_it_too(margin: str, dtype: str) -> None:
    assert max(measure(MARGINS[margin], 4.0, 100.0, "hard", dtype).values()) <= BAR


@pytest.mark.parametrize("form", ["adaptive", "fixed"])
@pytest.mark.parametrize("boundary", [None, NoMargin(), AdditiveCosine(0.25), AdditiveAngle(0.75)])
def test_forms_and_boundaries_of_the_emphasis_are_the_oracles(form: str, boundary: object) -> None:
    loss = SVXSoftmax(AdditiveAngle(0.5), SupportVectors(1.2, form, boundary), s=8.0)
    assert max(errors(loss, *batch("near-boundary", loss.margin, "float64")).values()) <= BAR
    assert max(errors(loss, *batch("hard", loss.margin, "float64")).values()) <= BAR


@pytest.mark.parametrize("margin", CONVERGED, ids=repr)
def test_a_converged_sample_keeps_thirteen_digits_of_everything(margin: object) -> None:
    loss = SVXSoftmax(margin, SupportVectors(1.2), s=64.0)
    rng = np.random.default_rng(1)
    cosines, labels = rng.uniform(-0.95, -0.05, (6, 8)), np.arange(6)
    cosines[np.arange(6), labels] = rng.uniform(0.95, 0.9999, 6)
    cosines[:3] = np.where(np.eye(8, dtype=bool)[:3], cosines[:3], np.minimum(cosines[:3], -0.6))
    step = loss.forward(cosines, labels)
    grads, truth = loss.backward(step), oracle.evaluate(spec_of(loss), cosines, labels)
    assert step.loss.min() < 1e-27
    pairs = [(step.loss, truth.loss), (step.probabilities, truth.probabilities), (grads.cosines, truth.cosines)]
    pairs += [(grads.s, truth.s), (grads.t, truth.t), *((d, truth.margin[n]) for n, d in grads.margin.items())]
    assert max(oracle.relative_error(got, true).max() for got, true in pairs) <= 1e-13


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_long_row_of_classes_loses_nothing(dtype: str) -> None:
    rng = np.random.default_rng(2)
    cosines = rng.uniform(-0.4, 0.4, (1, 20_000)).astype(dtype)
    cosines[0, 7] = 0.75
    loss = SVXSoftmax(AdditiveCosine(0.35), SupportVectors(1.2), s=32.0)
    truth = oracle.evaluate(spec_of(loss), cosines, [7], gradients=False)
    u = float(np.finfo(dtype).eps) / 2
    zs = 32.0 * (1.2 * 0.4 + 0.2) + 32.0
    assert oracle.absolute_error(loss.value(cosines, [7], reduction="none"), truth.loss)[0] <= BAR * u * (1 + zs)
