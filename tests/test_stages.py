"""The stages on slices: a reduction that merges, and a map that does not care where it is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import svref
from svref import stages
from svref.margins import Angle

RNG = np.random.default_rng(7)
COSINES = RNG.uniform(-0.9, 0.9, (6, 20))
LABELS = np.array([0, 4, 5, 12, 19, 7])


def sharded(loss: svref.SVXSoftmax, cuts: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Losses and gradients from class shards that share only the target cosines and (peak, total)."""
    edges = [0, *cuts, COSINES.shape[1]]
    angle = Angle.from_cosine(COSINES[np.arange(len(LABELS)), LABELS])
    f, boundary = loss.margin.value(angle), stages.boundary(loss.margin, loss.emphasis, angle)
    total = stages.Mass(np.full(len(LABELS), -np.inf), np.zeros(len(LABELS)))
    shards = []
    for start, stop in itertools.pairwise(edges):
        c, own = COSINES[:, start:stop], stages.own_entries(LABELS, start, stop)
        mask = stages.support_mask(c, boundary, own)
        r = stages.relative_logits(c, f, mask, own, loss.emphasis, loss.s)
        total = stages.merge(total, stages.mass(r))
        shards.append((c, own, mask, r))
    a = stages.log_odds_against(total)
    q = stages.target_error(a)
    gradient, by_s, by_t = [], 0.0, 0.0
    for c, own, mask, r in shards:
        share = stages.share(r, a)
        part = stages.cosine_gradient(share, loss.s * q, mask, loss.emphasis)
        target = stages.target_gradient(-loss.s * q, loss.margin.by_cosine(angle), np.isneginf(a))
        part[own] = target[own.rows]
        gradient.append(part)
        by_s = by_s + stages.scale_sums(share, r, own) * q / loss.s
        by_t = by_t + stages.emphasis_sums(share, loss.emphasis.by_t(c, mask, loss.s)) * q
    return stages.loss(a), np.concatenate(gradient, axis=1), by_s, by_t


@pytest.fixture(autouse=True)
def _underflow_is_normal():
    with np.errstate(under="ignore"):
        yield


@pytest.mark.parametrize("name", svref.VARIANTS)
@pytest.mark.parametrize("cuts", [[10], [1, 2, 3], [5, 5, 12], list(range(1, 20)), []], ids=str)
def test_shards_of_classes_give_the_whole(name: str, cuts: list[int]) -> None:
    loss = svref.VARIANTS[name].factory()
    step = loss.forward(COSINES, LABELS)
    whole = loss.backward(step)
    losses, gradient, by_s, by_t = sharded(loss, cuts)
    zs = loss.s * 3 * loss.emphasis.t
    np.testing.assert_allclose(losses, step.loss, rtol=4 * zs * 2.0**-53, atol=0)
    np.testing.assert_allclose(gradient, whole.cosines, rtol=4 * zs * 2.0**-53, atol=0)
    np.testing.assert_allclose(by_s, whole.s, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(by_t, whole.t, rtol=4 * zs * 2.0**-53, atol=0)


def test_an_empty_slice_is_minus_infinity_and_zero() -> None:
    mass = stages.mass(np.empty((3, 0)))
    assert np.isneginf(mass.peak).all()
    assert (mass.total == 0).all()
    assert np.isneginf(stages.log_odds_against(mass)).all()


def test_merging_with_an_empty_slice_changes_nothing() -> None:
    mass = stages.mass(RNG.normal(size=(3, 5)))
    empty = stages.mass(np.empty((3, 0)))
    for merged in (stages.merge(mass, empty), stages.merge(empty, mass)):
        np.testing.assert_array_equal(merged.peak, mass.peak)
        np.testing.assert_array_equal(merged.total, mass.total)


def test_merging_is_associative_to_rounding() -> None:
    a, b, c = (stages.mass(RNG.normal(size=(4, 9)) * 300) for _ in range(3))
    left = stages.log_odds_against(stages.merge(stages.merge(a, b), c))
    right = stages.log_odds_against(stages.merge(a, stages.merge(b, c)))
    np.testing.assert_allclose(left, right, rtol=4e-16, atol=0)


@pytest.mark.parametrize("a", [-800.0, -64.0, -1e-9, 0.0, 1e-9, 64.0, 800.0, -np.inf, np.inf])
def test_loss_and_errors_are_right_for_every_log_odds(a: float) -> None:
    x = np.array([a])
    expected = {np.inf: np.inf, -np.inf: 0.0}.get(a, np.logaddexp(0, a))
    np.testing.assert_allclose(stages.loss(x), expected, rtol=4e-16, atol=0)
    np.testing.assert_allclose(stages.target_error(x) + stages.target_error(-x), 1, rtol=4e-16)
    if a <= 0:
        np.testing.assert_allclose(stages.target_error(x), np.exp(a) / (1 + np.exp(a)), rtol=4e-16, atol=0)
