"""Numbers that may leave the range of float64 on the way: large logits, huge and tiny cotangents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import svref
from svref import SupportVectors, SVXSoftmax, exact
from svref.head.shards import by_embeddings
from svref.judging import condition
from svref.margins import AdditiveAngle, AdditiveCosine, Combined, Margin, MultiplicativeAngle, NoMargin
from svref.shards import Shard

MARGINS = [NoMargin(), AdditiveCosine(0.35), AdditiveAngle(0.5), MultiplicativeAngle(4), Combined(1.35, 0.1, 0.05)]
U, TINY = 2.0**-53, 2.0**-1022
COTANGENTS = {"float64": [1e307, -1e306, 1e200, 1e-300, -1e-310], "float32": [1e38, -1e40, 1e300, 1e-40, 1e-300]}


def exponents(dtype: type, t: float) -> np.ndarray:
    """Return exponents of s, from ordinary ones to the last that is accepted."""
    last = np.log2(float(np.finfo(dtype).max)) - 3 - np.log2(t) - 3
    near = np.arange(20, 70, 0.5)
    return np.concatenate([near[near < last], np.linspace(70, last, 8) if last > 70 else [last]])


@pytest.mark.parametrize("form", ["adaptive", "fixed"])
@pytest.mark.parametrize("t", [1.0, 1e3, 2.0**32])
@pytest.mark.parametrize("margin", [NoMargin(), AdditiveAngle(0.5), MultiplicativeAngle(4)], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_engine_is_right_up_to_the_largest_logits(dtype: type, margin: Margin, t: float, form: str) -> None:
    rng, u = np.random.default_rng(3), float(np.finfo(dtype).eps) / 2
    for e in exponents(dtype, t):
        loss = SVXSoftmax(margin, SupportVectors(t, form), s=float(2.0**e))
        cosines, labels = rng.uniform(-0.99, 0.99, (16, 5)).astype(dtype), rng.integers(0, 5, 16)
        cosines[:3, 1] = cosines[:3, 2]
        value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
        step = loss.forward(cosines.astype(np.float64), labels)
        scales = condition.scales(step, dtype)
        right = loss.backward(step).cosines
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all()
        assert (np.abs(value - step.loss) <= 4 * u * scales.loss).all()
        assert (np.abs(gradient.astype(np.float64) - right) <= 4 * u * scales.cosines + 4 * loss.s * t * u * u).all()


@pytest.mark.parametrize("rows", [np.array([[0.0, 2.0**30 + 128]]), np.array([[0.0, -(2.0**30) - 128]])])
def test_a_logit_that_float32_rounds_by_64_overflows_nothing(rows: np.ndarray) -> None:
    value, gradient = svref.softmax(s=1.0).value_and_grad(rows.astype(np.float32), [0])
    larger = max(rows[0, 1], 0.0)
    assert value == np.float32(larger)
    np.testing.assert_array_equal(gradient, [[-1.0, 1.0]] if larger else [[0.0, 0.0]])


def test_the_emphasis_must_be_finite_before_a_small_scale_multiplies_it() -> None:
    loss = svref.sv_softmax(s=1e-6, t=1e3)
    with pytest.raises(
        ValueError, match=r"8 t max\(1, \|c\|, \|f\|\) must stay below 3.4e\+38 also where s is below 1"
    ):
        loss.value(np.array([[0.0, 1e36]], np.float32), [0])
    assert np.isfinite(loss.value(np.array([[0.0, 1e34]], np.float32), [0]))


@pytest.mark.parametrize("s", [1.0, 64.0, 1e6])
@pytest.mark.parametrize("margin", MARGINS, ids=repr)
@pytest.mark.parametrize("dtype", COTANGENTS)
def test_a_gradient_is_finite_where_its_true_value_is(dtype: str, margin: Margin, s: float) -> None:
    loss, g = SVXSoftmax(margin, SupportVectors(1.2), s=s), np.array(COTANGENTS[dtype])
    cosines = np.random.default_rng(4).uniform(-0.9, 0.9, (5, 4)).astype(dtype)
    cosines[2:, 0] = 0.99
    labels = np.array([0, 1, 0, 0, 2])
    step = loss.forward(cosines, labels)
    got, truth = loss.backward(step, g), exact.evaluate(loss, cosines, labels, g)
    scales = condition.scales(step, np.float64)
    found = [(got.cosines, truth.cosines, scales.cosines), (got.s, truth.s, scales.s), (got.t, truth.t, scales.t)]
    found += [(d, truth.margin[n], scales.margin[n]) for n, d in got.margin.items()]
    for mine, true, scale in found:
        compare(mine, true.hi, g.reshape(-1, *[1] * (mine.ndim - 1)), scale, lost=4 * TINY * max(1.0, s * 1.2))


def compare(mine: np.ndarray, true: np.ndarray, g: np.ndarray, scale: np.ndarray, lost: float) -> None:
    """Require errors within (4 u K + lost) |g| in float64, one rounding to the dtype, and infinities exactly beyond it.

    `lost` is what a probability loses that underflows, as every tolerance has it.
    """
    info = np.finfo(mine.dtype)
    beyond, normal = np.abs(true) > float(info.max), np.abs(true) > float(info.smallest_normal)
    np.testing.assert_array_equal(mine[beyond], np.sign(true[beyond]) * np.inf)
    assert (np.abs(mine[~normal]) <= float(info.smallest_normal)).all()
    inside = normal & ~beyond
    once = float(info.eps) / 2 if mine.dtype == np.float32 else 0.0
    with np.errstate(over="ignore"):  # 4 u K |g| may be beyond float64
        allowed = (4 * U * scale + lost) * np.abs(g)
    error = np.abs(mine[inside].astype(np.float64) - true[inside])
    assert (error <= allowed[inside] + once * np.abs(true[inside])).all()


@pytest.mark.parametrize("length", [1.0, 1e6])
@pytest.mark.parametrize(
    ("dtype", "huge"),
    [("float32", 1e36), ("float32", 1e30), ("float32", 1e-30), ("float64", 1e305), ("float64", 1e-290)],
)
def test_gradients_of_a_head_are_those_of_its_unit_cotangent_times_it(dtype: str, huge: float, length: float) -> None:
    rng, y = np.random.default_rng(6), np.array([0, 1, 2, 3])
    x, w = ((length * rng.normal(size=(k, 8))).astype(dtype) for k in (4, 6))
    shard = Shard.of(svref.sv_arc_softmax(s=64.0), x, w, y)
    targets, unit = shard.targets(), np.ones(4)
    mass = shard.negatives(targets).mass
    ones, times = (shard.gradients(targets, mass, g) for g in (unit, huge * unit))
    rtol = 1e-3 if dtype == "float32" else 1e-12  # a component of a sum may cancel
    for one, many in (
        (ones[1], times[1]),
        (by_embeddings(x, ones[0].astype(np.float64)), by_embeddings(x, times[0].astype(np.float64))),
    ):
        expected = np.ldexp(one.astype(np.float64) * np.frexp(huge)[0], np.frexp(huge)[1])
        assert np.isfinite(many).all()
        np.testing.assert_allclose(many, expected, rtol=rtol, atol=rtol * np.abs(expected).max() * 1e-4)


@pytest.mark.parametrize(("dtype", "huge", "one"), [("float32", 1e37, 1e-5), ("float64", 1e305, 1e-100)])
def test_a_huge_cotangent_leaves_the_rows_beside_it_their_digits(dtype: str, huge: float, one: float) -> None:
    rng = np.random.default_rng(8)
    x, w = (rng.normal(size=(k, 8)).astype(dtype) for k in (2, 6))
    shard = Shard.of(svref.sv_arc_softmax(s=64.0), x, w, [0, 1])
    targets = shard.targets()
    mass = shard.negatives(targets).mass
    beside, alone = (
        by_embeddings(x, shard.gradients(targets, mass, g)[0])[1] for g in np.array([[huge, one], [0.0, one]])
    )
    np.testing.assert_allclose(beside, alone, rtol=0, atol=64 * np.finfo(dtype).eps * np.abs(alone).max())
    assert np.abs(alone).max() > 0


@pytest.mark.parametrize("power", [-900, -1, 1, 900])
@pytest.mark.parametrize("margin", MARGINS, ids=repr)
def test_a_power_of_two_in_the_cotangent_changes_no_digit_of_a_gradient(margin: Margin, power: int) -> None:
    rng, loss = np.random.default_rng(9), SVXSoftmax(margin, SupportVectors(1.2), s=8.0)
    step, g = loss.forward(rng.uniform(-0.9, 0.9, (6, 9)), np.arange(6)), rng.normal(size=6)
    one, other = loss.backward(step, g), loss.backward(step, np.ldexp(g, power))
    pairs = [(one.cosines, other.cosines), (one.s, other.s), (one.t, other.t)]
    for before, after in pairs + [(one.margin[name], other.margin[name]) for name in one.margin]:
        np.testing.assert_array_equal(after, np.ldexp(before, power))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("t", [1.0, 1.2, 1e3])
@pytest.mark.parametrize("factory", [svref.sv_softmax, svref.sv_arc_softmax, svref.sv_a_softmax])
def test_losses_are_finite_to_the_edge_of_the_accepted_scales(
    factory: Callable[..., SVXSoftmax], t: float, dtype: type
) -> None:
    accepted = 0
    for share in (0.999, 0.5, 0.2, 0.11, 0.03, 1e-3, 1e-10):
        loss = factory(s=float(np.finfo(dtype).max) / 8 / t * share, t=t)
        cosines = np.random.default_rng(0).uniform(-1, 1, (40, 5)).astype(dtype)
        labels = np.arange(40) % 5
        try:
            values, gradient = loss.value_and_grad(cosines, labels, reduction="none")
        except ValueError:  # an f beyond 1 in size leaves less room for s
            continue
        accepted += 1
        assert np.isfinite(values).all()
        assert not np.isnan(gradient).any()
    assert accepted >= 4
