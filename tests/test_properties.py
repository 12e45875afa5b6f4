"""Laws that hold for every loss and every input: property tests on the strategies of `svref.strategies`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

import svref
from svref import AdditiveAngle, AdditiveCosine, SupportVectors
from svref.strategies import Example, HeadExample, examples, heads, losses
from svref.variants import VARIANTS

U = 2.0**-53


def values(loss: svref.SVXSoftmax, example: Example) -> np.ndarray:
    return loss.value(example.cosines, example.labels, reduction="none")


def with_margin(example: Example, margin: svref.margins.Margin) -> np.ndarray:
    return values(replace(example.loss, margin=margin), example)


@given(examples())
def test_the_label_column_is_never_masked(example: Example) -> None:
    step = example.step
    assert not step.mask[step.own].any()
    assert (step.log_h[step.own] == 0).all()


@given(examples())
def test_a_tie_is_not_a_support_vector_and_anything_above_is(example: Example) -> None:
    step = example.step
    expected = step.cosines > step.margin_cosine[:, None]
    expected[step.own] = False
    np.testing.assert_array_equal(step.mask, expected)


@given(examples())
def test_t_equal_one_is_scipy_log_softmax(example: Example) -> None:
    loss = replace(example.loss, emphasis=SupportVectors(1.0))
    step = loss.forward(example.cosines, example.labels)
    logits = loss.s * step.cosines
    logits[step.own] = loss.s * step.margin_cosine
    expected = log_softmax(logits, axis=1)
    zs = np.abs(logits).max(axis=1) + loss.s
    assert (np.abs(step.loss + expected[step.own]) <= 8 * U * (1 + zs)).all()
    with np.errstate(under="ignore"):
        assert (np.abs(step.probabilities - np.exp(expected)) <= 8 * U * (1 + zs)[:, None]).all()


@pytest.mark.parametrize("name", [name for name, entry in VARIANTS.items() if entry.limits])
@given(data=st.data())
def test_limits_are_identities(name: str, data: st.DataObject) -> None:
    entry = VARIANTS[name]
    limit = data.draw(st.sampled_from(entry.limits))
    other = VARIANTS[limit.equals]
    shared = {k: v for k, v in entry.parameters.items() if k in other.parameters and k not in limit.at}
    mine = entry.factory(**{**entry.parameters, **limit.at})
    theirs = other.factory(**{**other.parameters, **shared, **limit.also})
    example = data.draw(examples(mine))
    step = theirs.forward(example.cosines, example.labels)
    example.check(step.loss, theirs.backward(step).cosines)


@given(examples(classes=5), st.permutations(range(5)))
def test_a_permutation_of_classes_permutes_the_gradient(example: Example, order: list[int]) -> None:
    loss, cosines, labels = example.loss, example.cosines, example.labels
    order = np.array([*order, *range(5, cosines.shape[1])])  # a class that is there twice comes last
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    moved, moved_gradient = loss.value_and_grad(cosines[:, order], np.argsort(order)[labels], reduction="none")
    np.testing.assert_allclose(moved, value, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(moved_gradient, gradient[:, order], rtol=1e-12, atol=1e-300)


@given(examples())
def test_a_batch_is_its_rows_one_by_one(example: Example) -> None:
    loss, cosines, labels = example.loss, example.cosines, example.labels
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    for b in range(len(labels)):
        alone, alone_gradient = loss.value_and_grad(cosines[b : b + 1], labels[b : b + 1], reduction="none")
        np.testing.assert_array_equal(alone, value[b : b + 1])
        np.testing.assert_array_equal(alone_gradient, gradient[b : b + 1])


@given(examples())
def test_the_loss_is_not_negative_and_the_negatives_sum_to_the_error(example: Example) -> None:
    step = example.step
    assert (step.loss >= 0).all()
    p = step.probabilities
    q = p.sum(axis=1, where=np.arange(p.shape[1]) != step.labels[:, None])
    np.testing.assert_allclose(q, -np.expm1(-step.loss), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(p[step.own] + q, 1, rtol=1e-12)


@given(examples(), st.floats(0, 2))
def test_the_loss_does_not_decrease_in_t(example: Example, more: float) -> None:
    stronger = replace(example.loss.emphasis, t=example.loss.emphasis.t + more)
    low, high = (values(loss, example) for loss in (example.loss, replace(example.loss, emphasis=stronger)))
    assert (high >= low * (1 - 1e-12)).all()


FAMILIES = {"cosine": AdditiveCosine, "reflect": lambda m: AdditiveAngle(m, tail="reflect"), "raw": AdditiveAngle}


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data(), m=st.integers(0, 8).map(lambda n: n / 8), more=st.floats(0, 1))
def test_the_loss_does_not_decrease_in_m(family: str, data: st.DataObject, m: float, more: float) -> None:
    kind = FAMILIES[family]
    example = data.draw(examples(losses(st.just(kind(m)))))
    if family == "raw":  # beyond θ + m = π the paper's formula turns back up
        assume((example.step.angle.theta + m + more <= np.pi).all())
    low, high = with_margin(example, kind(m)), with_margin(example, kind(m + more))
    assert (high >= low * (1 - 1e-12) - 1e-14 * example.loss.s).all()


@given(st.sampled_from(["float32", "float64"]).flatmap(lambda dtype: examples(dtype=dtype, subnormal=True)))
def test_nothing_returned_is_a_negative_zero(example: Example) -> None:
    step = example.loss.forward(example.cosines, example.labels)
    for g in (np.ones(len(step.labels)), -np.ones(len(step.labels)), np.zeros(len(step.labels))):
        grads = example.loss.backward(step, g)
        for returned in (step.loss, grads.cosines, grads.s, grads.t, *grads.margin.values()):
            assert returned.dtype == example.dtype
            assert not (np.signbit(returned) & (returned == 0)).any()
            assert not np.isnan(returned).any()


@given(heads())
def test_head_gradients_are_orthogonal_to_what_was_normalised(example: HeadExample) -> None:
    loss, x, w = example.loss, example.embeddings, example.weights
    _, grads = svref.head.value_and_grad(loss, x, w, example.labels)
    for rows, by_rows in ((x, grads.embeddings), (w, grads.weights)):
        radial = np.abs((rows * by_rows).sum(axis=1))
        size = np.linalg.norm(rows, axis=1) * np.linalg.norm(by_rows, axis=1)
        assert (radial <= 1e-9 * size + 1e-11 * loss.s * loss.emphasis.t).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=30)
@given(data=st.data())
def test_reference_and_head_are_right_wherever_the_strategies_look(dtype: str, data: st.DataObject) -> None:
    example, head = data.draw(examples(dtype=dtype, cotangent=True)), data.draw(heads(dtype=dtype))
    step = example.loss.forward(example.cosines, example.labels)
    example.check(step.loss, example.loss.backward(step, example.cotangent).cosines)
    value, gradients = svref.head.value_and_grad(head.loss, *head.inputs, head.labels, reduction="none")
    head.check(value, gradients.embeddings, gradients.weights)
