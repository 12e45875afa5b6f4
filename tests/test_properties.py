"""Laws that hold for every loss and every input (Hypothesis)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax

import svref
from svref import AdditiveAngle, AdditiveCosine, Combined, MultiplicativeAngle, NoMargin, SupportVectors, SVXSoftmax
from svref.variants import VARIANTS

MARGINS = st.one_of(
    st.just(NoMargin()),
    st.floats(0, 1).map(AdditiveCosine),
    st.floats(0, 3).map(AdditiveAngle),
    st.builds(AdditiveAngle, st.floats(0, 3), st.sampled_from(["linear", "plain", "reflect"])),
    st.builds(MultiplicativeAngle, st.integers(1, 6), st.sampled_from([0.0, 5.0])),
    st.builds(Combined, st.floats(0.5, 3), st.floats(0, 1), st.floats(0, 0.5)),
)
EMPHASES = st.builds(SupportVectors, st.floats(1, 3), st.sampled_from(["adaptive", "fixed"]))
LOSSES = st.builds(SVXSoftmax, MARGINS, EMPHASES, st.floats(0.5, 64))


@st.composite
def batches(draw: st.DrawFn, classes: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = draw(st.integers(1, 5)), classes or draw(st.integers(1, 9))
    cosines = draw(arrays(np.float64, (rows, columns), elements=st.floats(-1, 1)))
    return cosines, draw(arrays(np.int64, rows, elements=st.integers(0, columns - 1)))


@given(LOSSES, batches())
def test_the_label_column_is_never_masked(loss: SVXSoftmax, batch: tuple) -> None:
    step = loss.forward(*batch)
    rows = np.arange(len(step.labels))
    assert not step.mask[rows, step.labels].any()
    assert (step.log_h[rows, step.labels] == 0).all()


@given(LOSSES, batches())
def test_a_tie_is_not_a_support_vector_and_anything_above_is(loss: SVXSoftmax, batch: tuple) -> None:
    step = loss.forward(*batch)
    expected = step.cosines > step.margin_cosine[:, None]
    expected[np.arange(len(step.labels)), step.labels] = False
    np.testing.assert_array_equal(step.mask, expected)


@given(MARGINS, st.floats(0.5, 64), batches())
def test_t_equal_one_is_scipy_log_softmax(margin: svref.margins.Margin, s: float, batch: tuple) -> None:
    loss = SVXSoftmax(margin, SupportVectors(1.0), s=s)
    step = loss.forward(*batch)
    rows = np.arange(len(step.labels))
    logits = s * step.cosines
    logits[rows, step.labels] = s * step.margin_cosine
    expected = log_softmax(logits, axis=1)
    zs = np.abs(logits).max(axis=1) + s
    assert (np.abs(step.loss + expected[rows, step.labels]) <= 8 * 2.0**-53 * (1 + zs)).all()
    with np.errstate(under="ignore"):
        assert (np.abs(step.probabilities - np.exp(expected)) <= 8 * 2.0**-53 * (1 + zs)[:, None]).all()


@pytest.mark.parametrize("name", VARIANTS)
@given(batch=batches(), data=st.data())
def test_limits_are_identities(name: str, batch: tuple, data: st.DataObject) -> None:
    entry = VARIANTS[name]
    for limit in entry.limits:
        other = VARIANTS[limit.equals]
        shared = {k: v for k, v in entry.parameters.items() if k in other.parameters and k not in limit.at}
        mine = entry.factory(**{**entry.parameters, **limit.at})
        theirs = other.factory(**{**other.parameters, **shared, **limit.also})
        a, b = mine.forward(*batch), theirs.forward(*batch)
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(mine.backward(a).cosines, theirs.backward(b).cosines, rtol=1e-12, atol=1e-300)


@given(LOSSES, batches(classes=6), st.permutations(range(6)))
def test_a_permutation_of_classes_permutes_the_gradient(loss: SVXSoftmax, batch: tuple, order: list[int]) -> None:
    cosines, labels = batch
    order = np.array(order)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    moved, moved_gradient = loss.value_and_grad(cosines[:, order], np.argsort(order)[labels], reduction="none")
    np.testing.assert_allclose(moved, value, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(moved_gradient, gradient[:, order], rtol=1e-12, atol=1e-300)


@given(LOSSES, batches())
def test_a_batch_is_its_rows_one_by_one(loss: SVXSoftmax, batch: tuple) -> None:
    cosines, labels = batch
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    for b in range(len(labels)):
        alone, alone_gradient = loss.value_and_grad(cosines[b : b + 1], labels[b : b + 1], reduction="none")
        np.testing.assert_array_equal(alone, value[b : b + 1])
        np.testing.assert_array_equal(alone_gradient, gradient[b : b + 1])


@given(LOSSES, batches())
def test_the_loss_is_not_negative_and_the_negatives_sum_to_the_error(loss: SVXSoftmax, batch: tuple) -> None:
    step = loss.forward(*batch)
    assert (step.loss >= 0).all()
    p = step.probabilities
    own = np.arange(len(step.labels)), step.labels
    q = p.sum(axis=1, where=np.arange(p.shape[1]) != step.labels[:, None])
    np.testing.assert_allclose(q, -np.expm1(-step.loss), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(p[own] + q, 1, rtol=1e-12)


@given(MARGINS, st.floats(0.5, 64), batches(), st.floats(1, 3), st.floats(0, 2))
def test_the_loss_does_not_decrease_in_t(margin: object, s: float, batch: tuple, t: float, more: float) -> None:
    low, high = (SVXSoftmax(margin, SupportVectors(v), s=s).value(*batch, reduction="none") for v in (t, t + more))
    assert (high >= low * (1 - 1e-13)).all()


@pytest.mark.parametrize("family", ["cosine", "reflect"])
@given(s=st.floats(0.5, 64), t=st.floats(1, 2), batch=batches(), m=st.floats(0, 1), more=st.floats(0, 1))
def test_the_loss_does_not_decrease_in_m(family: str, s: float, t: float, batch: tuple, m: float, more: float) -> None:
    kinds = {"cosine": AdditiveCosine, "reflect": lambda m: AdditiveAngle(m, tail="reflect")}
    losses = [
        SVXSoftmax(kinds[family](v), SupportVectors(t), s=s).value(*batch, reduction="none") for v in (m, m + more)
    ]
    assert (losses[1] >= losses[0] * (1 - 1e-12) - 1e-14 * s).all()


@given(st.floats(0.5, 64), batches(), st.floats(0, 1.5), st.floats(0, 1.5))
def test_raw_arc_does_not_decrease_in_m_up_to_pi(s: float, batch: tuple, m: float, more: float) -> None:
    cosines, labels = batch
    theta = np.arccos(cosines[np.arange(len(labels)), labels])
    assume((theta + m + more <= np.pi).all())
    losses = [SVXSoftmax(AdditiveAngle(v), s=s).value(*batch, reduction="none") for v in (m, m + more)]
    assert (losses[1] >= losses[0] * (1 - 1e-12) - 1e-14 * s).all()


@given(LOSSES, batches(), st.sampled_from([np.float32, np.float64]))
def test_nothing_returned_is_a_negative_zero(loss: SVXSoftmax, batch: tuple, dtype: type) -> None:
    cosines, labels = batch[0].astype(dtype), batch[1]
    step = loss.forward(cosines, labels)
    for g in (np.ones(len(labels)), -np.ones(len(labels)), np.zeros(len(labels))):
        grads = loss.backward(step, g)
        for values in (step.loss, grads.cosines, grads.s, grads.t, *grads.margin.values()):
            assert values.dtype == dtype
            assert not (np.signbit(values) & (values == 0)).any()
            assert not np.isnan(values).any()


UNITS = st.integers(1, 9).flatmap(
    lambda d: arrays(np.float64, (4, d), elements=st.floats(-2, 2).map(lambda v: round(v, 3)))
)


@given(LOSSES, UNITS, st.integers(0, 2**32 - 1))
def test_head_gradients_are_orthogonal_to_what_was_normalised(loss: SVXSoftmax, x: np.ndarray, seed: int) -> None:
    assume((np.abs(x).max(axis=1) > 1e-2).all())
    w = np.random.default_rng(seed).normal(size=(5, x.shape[1]))
    _, grads = svref.head.value_and_grad(loss, x, w, [0, 1, 2, 3])
    for rows, by_rows in ((x, grads.embeddings), (w, grads.weights)):
        radial = np.abs((rows * by_rows).sum(axis=1))
        size = np.linalg.norm(rows, axis=1) * np.linalg.norm(by_rows, axis=1)
        assert (radial <= 1e-9 * size + 1e-11 * loss.s * loss.emphasis.t).all()
