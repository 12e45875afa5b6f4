"""The stages on slices: a reduction that merges, and a map that does not care where it is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import svref
from svref.engine import kernels, tiles
from svref.margins import Angle
from svref.reference import sigmoid, softplus, times_df

RNG = np.random.default_rng(7)
COSINES = RNG.uniform(-0.9, 0.9, (6, 20))
LABELS = np.array([0, 4, 5, 12, 19, 7])
EMPTY = kernels.Mass(np.full(3, -np.inf), np.zeros(3))


def mass_of(r: np.ndarray) -> kernels.Mass:
    nothing = np.empty(0, dtype=np.intp)
    peak = r.max(axis=1)
    total = kernels.exponentials(r.copy(), peak, r.min(axis=1), kernels.LabelEntries(nothing, nothing))
    return kernels.Mass(peak, total)


def sharded(loss: svref.SVXSoftmax, cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient from class shards that share only the target cosines and (peak, total)."""
    edges = [0, *cuts, COSINES.shape[1]]
    angle = Angle.from_cosine(COSINES[np.arange(len(LABELS)), LABELS])
    target = kernels.target(loss, angle, COSINES.dtype, (float(COSINES.min()), float(COSINES.max())))
    mass = kernels.Mass(np.full(len(LABELS), -np.inf), np.zeros(len(LABELS)))
    shards = []
    for start, stop in itertools.pairwise(edges):
        own, weights = kernels.label_entries(LABELS, slice(start, stop)), np.empty((len(LABELS), stop - start))
        part = tiles.negatives(loss, COSINES[:, start:stop], target, own, weights)
        mass = kernels.merge(mass, part.mass)
        shards.append((own, weights, part))
    a = kernels.log_odds_against(mass)
    pull = loss.s * sigmoid(a)
    gradient = []
    for own, weights, part in shards:
        tiles.multiply(part, pull, mass)
        weights[own] = times_df(-pull, loss.margin.by_cosine(angle), np.isneginf(a))[own.rows]
        gradient.append(weights)
    return softplus(a), np.concatenate(gradient, axis=1)


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
    losses, gradient = sharded(loss, cuts)
    zs = loss.s * 3 * loss.emphasis.t
    np.testing.assert_allclose(losses, step.loss, rtol=4 * zs * 2.0**-53, atol=0)
    np.testing.assert_allclose(gradient, whole.cosines, rtol=4 * zs * 2.0**-53, atol=0)


def test_an_empty_slice_is_minus_infinity_and_zero() -> None:
    mass = mass_of(np.full((3, 2), -np.inf))
    assert np.isneginf(mass.peak).all()
    assert (mass.total == 0).all()
    assert np.isneginf(kernels.log_odds_against(mass)).all()
    assert np.isneginf(kernels.log_odds_against(kernels.merge(mass, EMPTY))).all()


def test_merging_with_an_empty_slice_changes_nothing() -> None:
    mass = mass_of(RNG.normal(size=(3, 5)))
    for merged in (kernels.merge(mass, EMPTY), kernels.merge(EMPTY, mass)):
        np.testing.assert_array_equal(merged.peak, mass.peak)
        np.testing.assert_array_equal(merged.total, mass.total)


def test_merging_is_associative_to_rounding() -> None:
    a, b, c = (mass_of(RNG.normal(size=(4, 9)) * 300) for _ in range(3))
    left = kernels.log_odds_against(kernels.merge(kernels.merge(a, b), c))
    right = kernels.log_odds_against(kernels.merge(a, kernels.merge(b, c)))
    np.testing.assert_allclose(left, right, rtol=4e-16, atol=0)


@pytest.mark.parametrize("a", [-800.0, -64.0, -1e-9, 0.0, 1e-9, 64.0, 800.0, -np.inf, np.inf])
def test_loss_and_errors_are_right_for_every_log_odds(a: float) -> None:
    x = np.array([a])
    expected = {np.inf: np.inf, -np.inf: 0.0}.get(a, np.logaddexp(0, a))
    np.testing.assert_allclose(softplus(x), expected, rtol=4e-16, atol=0)
    np.testing.assert_allclose(sigmoid(x) + sigmoid(-x), 1, rtol=4e-16)
    if a <= 0:
        np.testing.assert_allclose(sigmoid(x), np.exp(a) / (1 + np.exp(a)), rtol=4e-16, atol=0)
