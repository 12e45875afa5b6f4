"""The condition scales dominate the error of right formulations, and the tolerance rejects none of them."""

from __future__ import annotations

import accuracy
import formulations
import numpy as np
import oracle
import pytest
import scipy.optimize
from pairing import in_turn
from rows import MARGINS, MORE_MARGINS, batch, spec_of

import svref
from svref import SupportVectors, SVXSoftmax, exact
from svref.conformance import check, check_values
from svref.head.geometry import directions
from svref.head.shards import Shard
from svref.judging import condition
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, NoMargin
from svref.variants import VARIANTS

NAMES = ["softmax", "sv-am-softmax", "sv-arc-softmax", "sv-a-softmax", "sv-combined-softmax", "mv-arc-softmax"]
REGIMES = ["easy", "hard", "converged", "near-pole", "underflowing"]
DOMINATED = 4.0  # the worst of a formulation in units of u K: measured 2.2; the tolerance allows 8


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", NAMES)
def test_the_scales_dominate_the_error_of_every_formulation(name: str, regime: str, dtype: str) -> None:
    assert max(formulation_errors(name, regime, dtype).values()) <= DOMINATED


@pytest.mark.parametrize("classes", [17, 1000])
@pytest.mark.parametrize("s", [1e-6, 1e-3, 0.1])
def test_a_loss_that_exceeds_all_logits_is_known_no_better_than_to_its_own_last_bit(s: float, classes: int) -> None:
    step = svref.sv_arc_softmax(s=s).forward(
        np.random.default_rng(1).uniform(-0.9, 0.9, (8, classes)), np.zeros(8, int)
    )
    scales = condition.scales(step, np.float64)
    assert (scales.loss >= 1 + step.loss).all()
    step = svref.sv_arc_softmax(s=64.0).forward(step.cosines, np.zeros(8, int))
    largest = np.abs(64 * step.cosines + step.log_h).max(axis=1)
    assert (condition.scales(step, np.float64).loss <= 1 + 2 * largest + 64 * 4).all()  # power is not given away


def test_where_logits_are_off_by_more_than_1_every_probability_is_right() -> None:
    cosines = np.array([[0.5, 0.25, 0.125], [0.5, 0.5, -1.0]])
    step = SVXSoftmax(s=2.0**30).forward(cosines, [0, 0])
    narrow, wide = (condition.scales(step, dtype).cosines for dtype in (np.float32, np.float64))
    assert (2.0**-24 * narrow >= 2.0**30).all()
    assert wide[0, 2] == 0  # float64 knows that this class has no share


def formulation_errors(name: str, regime: str, dtype: str) -> dict[tuple[str, str], float]:
    """Return the worst |error| / (u K) of each formulation, beyond underflow."""
    parameters = {**VARIANTS[name].parameters, "s": 32.0}
    loss = VARIANTS[name].factory(**parameters)
    cosines, labels = batch(regime, loss.margin, dtype)
    truth = exact.evaluate(loss, cosines, labels)
    scales = condition.scales(loss.forward(cosines.astype(np.float64), labels), dtype)
    worst = {}
    for margin, form in formulations.FORMULATIONS:
        losses, gradient = formulations.candidate(name, margin, form)(cosines, labels, **parameters)
        pairs = ((losses, truth.loss, scales.loss), (gradient, truth.cosines, scales.cosines))
        worst[margin, form] = max(accuracy.worst(*pair, loss) for pair in pairs)
    return worst


@pytest.mark.parametrize(("name", "formulation", "dtype"), in_turn(VARIANTS, formulations.FORMULATIONS))
def test_no_right_formulation_is_rejected(name: str, formulation: tuple[str, str], dtype: str) -> None:
    margin, form = formulation
    report = check(formulations.candidate(name, margin, form), name, dtype=dtype, framework="numpy")
    report.raise_if_wrong()
    assert report.skipped == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["am", "arc", "a", "arc-wide", "arc-linear", "a-2", "combined", "combined-multiple"])
def test_the_scale_of_the_gradient_by_s_dominates_where_f_vanishes(name: str, dtype: str) -> None:
    margin = (MARGINS | MORE_MARGINS)[name]
    root = scipy.optimize.brentq(lambda c: float(margin.value(Angle.from_cosine(c))), -1, 1, xtol=1e-16)
    cosines = np.array([[root, 1e-12, 2e-12, -1e-12], [root - 1e-7, 1e-9, -3e-9, 1e-9]], dtype=dtype)
    loss = SVXSoftmax(margin, SupportVectors(1.0), s=16.0)
    assert accuracy.errors(loss, cosines, np.array([0, 0]))["ds"] <= DOMINATED


def head_batch(regime: str, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unnormalised embeddings and weights whose cosines are those of a regime."""
    rng = np.random.default_rng([11, *regime.encode()])
    x, w = rng.normal(size=(3, 6)), rng.normal(size=(5, 6))
    labels = np.array([0, 1, 2])
    pull = {"easy": 2.0, "hard": -0.5, "converged": 12.0, "near-pole": 300.0, "underflowing": 30.0}[regime]
    w[labels] += pull * x
    if regime == "underflowing":
        w[3:] -= 4 * x[:2]
    return (3 * x).astype(dtype), (0.25 * w).astype(dtype), labels


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ["sv-softmax", "sv-am-softmax", "sv-arc-softmax"])
def test_the_head_scales_dominate_the_error_of_every_formulation_and_none_is_rejected(
    name: str, regime: str, dtype: str
) -> None:
    parameters = {**VARIANTS[name].parameters, "s": 32.0}
    loss = VARIANTS[name].factory(**parameters)
    x, w, labels = head_batch(regime, dtype)
    truth = oracle.evaluate_head(spec_of(loss), x, w, labels)
    scales = head_scales(loss, x, w, labels, dtype)
    for margin, form in formulations.FORMULATIONS:
        on_cosines = formulations.candidate(name, margin, form)
        for way in formulations.HEADS.values():
            results = way(x, w, lambda c, f=on_cosines: f(np.clip(c, -1, 1), labels, **parameters))
            for got, true, scale in zip(results, (truth.loss, truth.embeddings, truth.weights), scales, strict=True):
                error = oracle.absolute_error(got, true)
                bound = condition.tolerance(scale, 5, loss.s, loss.emphasis.t, dtype)
                assert (error <= DOMINATED / 8 * bound).all(), (margin, form, way.__name__, (error / bound).max())


def head_scales(loss, x: np.ndarray, w: np.ndarray, labels: np.ndarray, dtype: str) -> tuple[np.ndarray, ...]:
    x64, w64 = x.astype(np.float64), w.astype(np.float64)
    step = Shard.of(loss, x64, w64, labels).step()
    losses, by = condition.head_scales(step, directions(x64), directions(w64), np.ones(len(labels)), dtype)
    return losses, by.embeddings, by.weights


def test_the_tolerance_is_the_formula_of_the_design() -> None:
    tolerance = condition.tolerance(np.array([2.0]), 64, 32.0, 1.25, "float32")
    tiny = np.finfo(np.float32).smallest_normal
    assert tolerance == 8 * 2.0**-24 * 2 * 1.5 + 4 * 40 * tiny
    for g in (0.5, -3.0):
        with_g = condition.tolerance(np.array([2.0]), 64, 32.0, 1.25, "float32", g)
        assert with_g == 8 * 2.0**-24 * 2 * 1.5 * abs(g) + 4 * 40 * tiny * max(1, abs(g))


def test_a_probability_that_is_flushed_after_the_cotangent_and_before_s_is_right() -> None:
    """XLA computes s (g p) in float32, and loses g p = 0.25 * 3e-38 where the product is below the normal numbers."""
    loss = VARIANTS["softmax"].factory(s=64.0)
    cosines, labels, g = np.float32([[0.5, 0.5 - 86.5 / 64, 0.5]]), np.array([0]), np.array([0.25])
    right = loss.backward(loss.forward(cosines.astype(float), labels), g).cosines
    assert np.finfo(np.float32).smallest_normal > right[0, 1] / 64 > 0
    flushed = right * (np.abs(right / 64) >= np.finfo(np.float32).smallest_normal)
    losses = loss.forward(cosines.astype(float), labels).loss
    report = check_values(loss, cosines, labels, losses.astype(np.float32), flushed.astype(np.float32), cotangent=g)
    assert report.ok


def test_a_dyadic_tie_is_decided_and_a_rounded_one_is_not() -> None:
    dyadic = VARIANTS["sv-am-softmax"].factory(s=4.0, m=0.375, t=1.25)
    rounded = VARIANTS["sv-am-softmax"].factory(s=4.0, m=0.35, t=1.25)
    for loss, expected in ((dyadic, False), (rounded, True)):
        f = 0.75 - loss.margin.m
        step = loss.forward([[0.75, f, -0.5]], [0])
        assert condition.undecided(step, "float64")[0].tolist() == [[False, expected, False]]


def test_the_band_is_four_units_times_what_the_margin_adds() -> None:
    u = 2.0**-53
    loss = VARIANTS["sv-arc-softmax"].factory()
    f = loss.margin.value(Angle.from_cosine(0.9))
    band = 4 * u * (1 + 1 + 1 / np.sqrt(0.19))
    for offset, near in ((0.5 * band, True), (2 * band, False), (-0.5 * band, True), (-2 * band, False)):
        step = loss.forward([[0.9, f + offset, -0.5]], [0])
        assert condition.undecided(step, "float64")[0][0, 1] == near


def test_a_branch_next_to_its_switch_is_undecided() -> None:
    loss = VARIANTS["arc-softmax"].factory()
    tail = type(loss)(AdditiveAngle(0.5, tail="linear"), loss.emphasis, loss.s)
    at = -np.cos(0.5)
    for margin_loss, expected in ((loss, [False, False]), (tail, [True, False])):
        step = margin_loss.forward([[at, 0.1], [at + 1e-6, 0.1]], [0, 0])
        assert (condition.undecided(step, "float64")[1] >= 0).tolist() == expected


@pytest.mark.parametrize("margin", [NoMargin(), AdditiveCosine(0.35)])
def test_logits_have_scales_too(margin: object) -> None:
    loss = type(VARIANTS["softmax"].factory())(margin, s=1.0)
    step = loss.forward([[6.0, -3.0, 2.0]], [0])
    assert np.isfinite(condition.scales(step, "float64").cosines).all()
