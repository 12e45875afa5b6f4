"""The conventions of the loss, one by one."""

from __future__ import annotations

import numpy as np
import pytest

import svref
from svref import AdditiveAngle, SupportVectors, SVXSoftmax

RNG = np.random.default_rng(21)
COSINES, LABELS = RNG.uniform(-0.9, 0.9, (5, 7)), np.array([0, 6, 3, 3, 1])
LOSS = svref.sv_arc_softmax(s=16.0)


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_a_tie_is_not_a_support_vector(name: str) -> None:
    loss = svref.VARIANTS[name].factory()
    f = loss.forward([[0.9375, 0.0, 0.0]], [0]).margin_cosine[0]
    row = [[0.9375, f, np.nextafter(f, 2)]]
    assert loss.forward(row, [0]).mask.tolist() == [[False, False, True]]


def test_a_float32_mask_is_decided_on_f_itself() -> None:
    c = np.array([[0.7, 0.0]], dtype=np.float32)
    loss = svref.sv_am_softmax(s=4.0, m=0.35)
    f = float(c[0, 0]) - 0.35
    for k in range(-2, 3):
        c[0, 1] = np.float32(f) + k * np.spacing(np.float32(f))
        assert loss.forward(c, [0]).mask[0, 1] == (float(c[0, 1]) > f)


def test_a_single_class_has_loss_zero_and_no_gradient() -> None:
    for name, entry in svref.VARIANTS.items():
        loss = entry.factory()
        step = loss.forward([[1.0], [-1.0], [0.3]], [0, 0, 0])
        grads = loss.backward(step)
        assert not step.loss.any(), name
        assert (step.probabilities == 1).all(), name
        for values in (grads.cosines, grads.s, grads.t, *grads.margin.values()):
            assert not values.any(), name


@pytest.mark.parametrize(("c_y", "sign"), [(1.0, -1), (-1.0, 1)])
@pytest.mark.parametrize("s", [1.0, 1e4])
def test_arc_at_a_pole_has_the_signed_infinity_also_where_q_underflows(c_y: float, sign: int, s: float) -> None:
    loss = svref.arc_softmax(s=s)
    row = [[c_y, -0.99, -0.98]]
    step = loss.forward(row, [0])
    assert np.isfinite(step.loss).all()
    assert loss.backward(step).cosines[0, 0] == sign * np.inf
    assert loss.backward(step, [-2.0]).cosines[0, 0] == -sign * np.inf
    assert loss.backward(step, [0.0]).cosines[0, 0] == 0


def test_nothing_is_clipped_silently() -> None:
    with pytest.raises(ValueError, match=r"np\.clip"):
        LOSS.value([[np.nextafter(1, 2), 0.0]], [0])


def test_a_boundary_with_an_angle_needs_cosines_too() -> None:
    loss = SVXSoftmax(emphasis=SupportVectors(1.2, boundary=AdditiveAngle(0.5)))
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
        loss.value([[2.0, 0.0]], [0])


def test_reductions_are_of_the_row_losses() -> None:
    rows = LOSS.value(COSINES, LABELS, reduction="none")
    np.testing.assert_allclose(LOSS.value(COSINES, LABELS, reduction="sum"), rows.sum(), rtol=1e-15)
    np.testing.assert_allclose(LOSS.value(COSINES, LABELS), rows.mean(), rtol=1e-15)
    by_sum = LOSS.value_and_grad(COSINES, LABELS, reduction="sum")[1]
    np.testing.assert_array_equal(LOSS.value_and_grad(COSINES, LABELS, reduction="none")[1], by_sum)
    np.testing.assert_allclose(LOSS.value_and_grad(COSINES, LABELS)[1], by_sum / 5, rtol=4e-16)


def test_ignored_rows_have_no_loss_no_gradient_and_do_not_count() -> None:
    labels = np.array([0, -100, 3, -100, 1])
    kept = labels >= 0
    value, gradient = LOSS.value_and_grad(COSINES, labels, ignore_index=-100)
    expected, expected_gradient = LOSS.value_and_grad(COSINES[kept], labels[kept])
    np.testing.assert_allclose(value, expected, rtol=1e-15)
    np.testing.assert_array_equal(gradient[kept], expected_gradient)
    assert not gradient[~kept].any()
    assert not LOSS.value(COSINES, labels, ignore_index=-100, reduction="none")[~kept].any()
    step = LOSS.forward(COSINES, labels, ignore_index=-100)
    grads = LOSS.backward(step)
    for values in (grads.s, grads.t, grads.margin["m"]):
        assert not values[~kept].any()


def test_an_ignored_row_at_a_pole_has_no_gradient_either() -> None:
    gradient = LOSS.value_and_grad([[1.0, 0.2], [0.5, 0.2]], [7, 0], ignore_index=7)[1]
    assert not gradient[0].any()


def test_ignore_index_may_be_a_class() -> None:
    assert LOSS.value(COSINES, LABELS, ignore_index=3, reduction="none")[2:4].tolist() == [0.0, 0.0]


def test_a_sum_over_no_rows_is_zero() -> None:
    assert LOSS.value(COSINES, [9] * 5, ignore_index=9, reduction="sum") == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_cosines_is_kept_everywhere(dtype: type) -> None:
    c = COSINES.astype(dtype)
    step = LOSS.forward(c, LABELS)
    grads = LOSS.backward(step, np.ones(5))
    value, gradient = LOSS.value_and_grad(c, LABELS)
    outputs = [value, gradient, LOSS.value(c, LABELS, reduction="none"), step.target_cosine, step.margin_cosine, step.log_h,
               step.relative_logits, step.log_odds_against, step.loss, step.probabilities,
               grads.cosines, grads.s, grads.t, grads.margin["m"]]  # fmt: skip
    assert {np.asarray(values).dtype for values in outputs} == {np.dtype(dtype)}


def test_rows_do_not_influence_each_other() -> None:
    extreme = np.vstack([COSINES, [[-1.0, 1, 1, 1, 1, 1, 1]]])
    gradient = LOSS.value_and_grad(extreme, [*LABELS, 1], reduction="sum")[1]
    np.testing.assert_array_equal(gradient[:5], LOSS.value_and_grad(COSINES, LABELS, reduction="sum")[1])


def test_the_step_holds_every_quantity_of_the_derivation() -> None:
    step = LOSS.forward(COSINES, LABELS)
    rows = np.arange(5)
    np.testing.assert_array_equal(step.target_cosine, COSINES[rows, LABELS])
    np.testing.assert_allclose(step.margin_cosine, np.cos(np.arccos(step.target_cosine) + 0.5), atol=1e-15)
    np.testing.assert_allclose(step.log_h, 16 * (1.2 - 1) * (COSINES + 1) * step.mask, rtol=1e-15)
    r = 16 * (COSINES - step.margin_cosine[:, None]) + step.log_h
    r[rows, LABELS] = -np.inf
    np.testing.assert_allclose(step.relative_logits, r, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(step.log_odds_against, np.log(np.exp(r).sum(axis=1)), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(step.probabilities.sum(axis=1), 1, rtol=1e-13)


def test_the_fixed_form_adds_the_same_to_every_support_vector() -> None:
    step = svref.mv_am_softmax(s=32.0, t=1.25).forward(COSINES, LABELS)
    assert set(np.unique(step.log_h)) == {0.0, 8.0}


def test_a_loss_is_frozen_comparable_and_its_repr_makes_it_again() -> None:
    for entry in svref.VARIANTS.values():
        loss = entry.factory()
        again = eval(repr(loss), vars(svref).copy())  # noqa: S307
        assert again == loss
        assert hash(again) == hash(loss)


def test_the_composed_loss_is_the_factorys() -> None:
    assert svref.sv_arc_softmax(s=64.0, m=0.5, t=1.2) == SVXSoftmax(AdditiveAngle(0.5), SupportVectors(1.2), s=64.0)
