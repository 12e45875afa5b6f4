"""The heart, for itself: the head it ends with, the dtype it returns, and what holds at the edges."""

from __future__ import annotations

import numpy as np
import pytest

import svref
from svref import reference

RNG = np.random.default_rng(21)
X, W, LABELS = RNG.normal(size=(5, 6)), RNG.normal(size=(8, 6)), np.array([0, 7, 3, 3, 5])


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_the_plain_head_is_the_head_at_angles_well_inside(name: str) -> None:
    loss = svref.VARIANTS[name].factory(s=8.0)
    step = reference.forward(loss, reference.cosines_of(X, W), LABELS)
    by_x, by_w = reference.through_cosines(reference.backward(step, np.ones(5)).cosines, X, W)
    value, gradients = svref.head.value_and_grad(loss, X, W, LABELS, reduction="none")
    np.testing.assert_allclose(step.loss, value, rtol=1e-13, atol=0)
    np.testing.assert_allclose(by_x, gradients.embeddings, rtol=0, atol=1e-13 * np.abs(by_x).max())
    np.testing.assert_allclose(by_w, gradients.weights, rtol=0, atol=1e-13 * np.abs(by_w).max())


def test_the_way_back_through_a_head_is_the_derivative_of_its_cosines() -> None:
    direction, h = RNG.normal(size=X.shape), 1e-6
    by_cosines = RNG.normal(size=(5, 8))
    ahead, behind = (reference.cosines_of(X + sign * h * direction, W) for sign in (1, -1))
    along = np.sum(reference.through_cosines(by_cosines, X, W)[0] * direction)
    np.testing.assert_allclose(along, np.sum(by_cosines * (ahead - behind)) / (2 * h), rtol=1e-8)


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_a_float32_step_is_the_float64_step_of_the_same_numbers_rounded_once(name: str) -> None:
    loss, cosines = svref.VARIANTS[name].factory(), RNG.uniform(-0.9, 0.9, (5, 8)).astype(np.float32)
    narrow, wide = loss.forward(cosines, LABELS), loss.forward(cosines.astype(np.float64), LABELS)
    for quantity in ("target_cosine", "margin_cosine", "log_h", "relative_logits", "log_odds_against", "loss"):
        assert getattr(narrow, quantity).dtype == np.float32
        np.testing.assert_array_equal(getattr(narrow, quantity), getattr(wide, quantity).astype(np.float32))
    np.testing.assert_array_equal(narrow.mask, wide.mask)
    np.testing.assert_array_equal(loss.backward(narrow).cosines, loss.backward(wide).cosines.astype(np.float32))


def test_one_class_has_loss_zero_and_gradients_zero() -> None:
    step = svref.sv_arc_softmax().forward(np.array([[0.5], [1.0]]), [0, 0])
    gradients = svref.sv_arc_softmax().backward(step)
    for zero in (step.loss, gradients.cosines, gradients.s, gradients.t, gradients.margin["m"]):
        assert not zero.any()
        assert not np.signbit(zero).any()


def test_decisions_that_are_turned_over_change_the_mask_and_nothing_at_the_label() -> None:
    loss, cosines = svref.sv_am_softmax(s=4.0), RNG.uniform(-0.9, 0.9, (5, 8))
    step = loss.forward(cosines, LABELS)
    other = reference.forward(loss, cosines, LABELS, flipped=np.ones((5, 8), dtype=bool))
    own = np.eye(8, dtype=bool)[LABELS]
    np.testing.assert_array_equal(other.mask, ~step.mask & ~own)
