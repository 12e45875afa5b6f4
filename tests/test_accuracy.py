"""The NumPy path against certified values, in units of u times the condition scale, and beyond it."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from accuracy import LARGE_T, SCALES, STRENGTHS, errors, head_batch, head_errors, many_classes, measure, regimes
from pairing import in_turn
from rows import CORNERS, MARGINS, MORE_MARGINS, batch, spec_of

from svref import VARIANTS, SupportVectors, SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, MultiplicativeAngle, NoMargin

BAR = 4.0
CONVERGED = [NoMargin(), AdditiveCosine(0.35), AdditiveAngle(0.5), MultiplicativeAngle(2)]
CELLS = [(dtype, regime) for dtype in ("float64", "float32") for regime in regimes(dtype)]


@pytest.mark.parametrize("s", [1.0, 16.0, 64.0])
@pytest.mark.parametrize(("dtype", "regime"), CELLS)
@pytest.mark.parametrize("margin", [*MARGINS, *MORE_MARGINS])
def test_errors_stay_below_4_u_times_the_condition_scale(margin: str, dtype: str, regime: str, s: float) -> None:
    loss = SVXSoftmax({**MARGINS, **MORE_MARGINS}[margin], SupportVectors(1.2), s=s)
    assert max(measure(loss, regime, dtype).values()) <= BAR


@pytest.mark.parametrize(("dtype", "regime"), CELLS)
@pytest.mark.parametrize("name", VARIANTS)
def test_so_do_those_of_every_variant_at_its_defaults(name: str, dtype: str, regime: str) -> None:
    assert max(measure(VARIANTS[name].factory(), regime, dtype).values()) <= BAR


@pytest.mark.parametrize("s", [4.0, 64.0])
@pytest.mark.parametrize(("dtype", "regime"), CELLS)
@pytest.mark.parametrize("margin", MARGINS)
def test_so_do_those_of_an_emphasis_of_100(margin: str, dtype: str, regime: str, s: float) -> None:
    assert max(measure(SVXSoftmax(MARGINS[margin], SupportVectors(LARGE_T), s=s), regime, dtype).values()) <= BAR


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("s", [4.0, 64.0])
@pytest.mark.parametrize("margin", [*MARGINS, *MORE_MARGINS])
def test_so_do_those_of_a_head_at_every_angle(margin: str, s: float, dtype: str) -> None:
    loss = SVXSoftmax({**MARGINS, **MORE_MARGINS}[margin], SupportVectors(1.2), s=s)
    assert max(head_errors(loss, *head_batch(dtype)).values()) <= BAR


@pytest.mark.parametrize(("margin", "s", "dtype"), in_turn(CORNERS, SCALES))
def test_so_do_those_of_every_margin_at_the_ends_of_its_parameters(margin: str, s: float, dtype: str) -> None:
    for t in STRENGTHS:
        loss = SVXSoftmax(CORNERS[margin], SupportVectors(t), s=s)
        cells = [measure(loss, regime, dtype) for regime in ("hard", "near-pole", "converged")]
        assert max(max(cell.values()) for cell in cells) <= BAR


@pytest.mark.parametrize(("margin", "s", "dtype"), in_turn(CORNERS, [1e-6, 1.0, 64.0]))
def test_so_do_those_of_its_head(margin: str, s: float, dtype: str) -> None:
    loss = SVXSoftmax(CORNERS[margin], SupportVectors(1.2), s=s)
    assert max(head_errors(loss, *head_batch(dtype)).values()) <= BAR


@pytest.mark.parametrize(("s", "dtype"), in_turn([1e-6, 1e-3, 0.1]))
def test_so_do_those_of_a_hundred_thousand_classes_at_a_small_scale(s: float, dtype: str) -> None:
    loss = SVXSoftmax(AdditiveAngle(0.5), SupportVectors(1.2), s=s)
    assert max(errors(loss, *many_classes(dtype)).values()) <= BAR


@pytest.mark.parametrize("form", ["adaptive", "fixed"])
@pytest.mark.parametrize("boundary", [None, NoMargin(), AdditiveCosine(0.25), AdditiveAngle(0.75)])
def test_so_do_those_of_other_forms_and_boundaries_of_the_emphasis(form: str, boundary: object) -> None:
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
