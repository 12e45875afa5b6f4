"""The head: accurate at every angle between an embedding and its class weight."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from accuracy import head_errors
from rows import MARGINS, spec_of

import svref
import svref.exact
from svref import SupportVectors, SVXSoftmax, head

ANGLES = [1e-15, 1e-12, 1e-9, 1e-6, 1e-4, 1e-2]
NORMWISE = 1e-12  # the bar is 1e-10


def normwise(got: np.ndarray, truth: list) -> float:
    """Return the largest error of a row over the norm of the whole gradient, computed in mpmath."""
    error = oracle.absolute_error(got, truth)
    return float(np.linalg.norm(error) / np.linalg.norm(oracle.to_float(truth)))


def pairs_at(angle: float, opposite: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings at an angle of their class weights; nothing is normalised, nothing lies along an axis."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 5)) * [[0.01], [1.0], [40.0]]
    across = rng.normal(size=(3, 5))
    across -= (across * x).sum(axis=1, keepdims=True) / (x * x).sum(axis=1, keepdims=True) * x
    across *= np.linalg.norm(x, axis=1, keepdims=True) / np.linalg.norm(across, axis=1, keepdims=True)
    w = np.vstack([(x + np.tan(angle) * across) * (-1 if opposite else 1), rng.normal(size=(2, 5))])
    return x, w * 3, np.array([0, 1, 2])


@pytest.mark.parametrize("opposite", [False, True], ids=["parallel", "opposite"])
@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("margin", MARGINS)
def test_near_parallel_rows_keep_both_gradients(margin: str, angle: float, opposite: bool) -> None:
    loss = SVXSoftmax(MARGINS[margin], SupportVectors(1.2), s=16.0)
    x, w, labels = pairs_at(angle, opposite)
    value, grads = head.value_and_grad(loss, x, w, labels, reduction="none")
    truth = oracle.evaluate_head(spec_of(loss), x, w, labels)
    assert oracle.relative_error(value, truth.loss).max() <= 1e-12
    assert normwise(grads.embeddings, truth.embeddings) <= NORMWISE
    assert normwise(grads.weights, truth.weights) <= NORMWISE


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["parallel", "opposite"])
@pytest.mark.parametrize("margin", MARGINS)
def test_exactly_parallel_targets_contribute_the_least_norm_subgradient(margin: str, sign: float) -> None:
    loss = SVXSoftmax(MARGINS[margin], SupportVectors(1.2), s=4.0)
    x = np.array([[3.0, 4.0, 1.0], [1.0, -2.0, 2.0]])
    w = np.vstack([sign * 0.5 * x[0], sign * 8 * x[1], [[0.3, 1.0, -2.0]]])
    value, grads = head.value_and_grad(loss, x, w, [0, 1], reduction="none")
    truth = oracle.evaluate_head(spec_of(loss), x, w, [0, 1])
    assert np.isfinite(grads.embeddings).all()
    assert oracle.relative_error(value, truth.loss).max() <= 1e-13
    assert normwise(grads.embeddings, truth.embeddings) <= NORMWISE
    assert normwise(grads.weights, truth.weights) <= NORMWISE


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1.0, 1e150, 1e300])
def test_lengths_do_not_matter_to_the_loss_and_divide_the_gradient(scale: float) -> None:
    loss = svref.sv_arc_softmax(s=16.0)
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(3, 6)), rng.normal(size=(5, 6))
    exponent = np.frexp(scale)[1]
    value, grads = head.value_and_grad(loss, x, w, [0, 1, 2])
    with np.errstate(over="ignore"):
        longer_value, longer = head.value_and_grad(loss, np.ldexp(x, exponent), w, [0, 1, 2])
    assert longer_value == value
    np.testing.assert_array_equal(longer.weights, grads.weights)
    np.testing.assert_array_equal(longer.embeddings, np.ldexp(grads.embeddings, -exponent))


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_the_head_is_the_loss_on_its_cosines(name: str) -> None:
    loss = svref.VARIANTS[name].factory()
    rng = np.random.default_rng(6)
    x, w, labels = rng.normal(size=(4, 7)), rng.normal(size=(6, 7)), np.array([5, 0, 2, 2])
    c = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T
    np.testing.assert_allclose(
        head.value_and_grad(loss, x, w, labels, reduction="none")[0], loss.value(c, labels, reduction="none"),
        rtol=1e-12, atol=1e-14,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["sv-softmax", "sv-am-softmax", "sv-arc-softmax", "sv-a-softmax", "mv-arc-softmax"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ordinary_rows_are_the_oracles(name: str, dtype: str) -> None:
    loss = svref.VARIANTS[name].factory(s=16.0)
    rng = np.random.default_rng(8)
    x, w, labels = rng.normal(size=(3, 6)).astype(dtype), rng.normal(size=(5, 6)).astype(dtype), np.array([4, 0, 0])
    g = np.array([1.0, 1.0, 1.0]) / 3
    value, grads = head.value_and_grad(loss, x, w, labels)
    truth = oracle.evaluate_head(spec_of(loss), x, w, labels, cotangent=g)
    u = float(np.finfo(dtype).eps) / 2
    assert grads.embeddings.dtype == grads.weights.dtype == np.dtype(dtype)
    assert abs(value - np.mean(oracle.to_float(truth.loss))) <= 64 * u * 16
    assert normwise(grads.embeddings, truth.embeddings) <= 64 * 16 * u
    assert normwise(grads.weights, truth.weights) <= 64 * 16 * u


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [3, 40], ids=["fewer rows than components", "more"])
@pytest.mark.parametrize("length", [2.0**-11, 1.0, 2.0**12])
@pytest.mark.parametrize("target", [-0.9, 0.0, 0.999], ids=["far targets", "untrained", "converged"])
def test_batches_and_weights_of_any_size_are_right(target: float, length: float, rows: int, dtype: str) -> None:
    rng = np.random.default_rng(9)
    w, labels = rng.normal(size=(9, 16)) * rng.uniform(0.2, 2, (9, 1)), np.arange(rows) % 9
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    side = rng.normal(size=(rows, 16))
    side -= (side * unit[labels]).sum(axis=1, keepdims=True) * unit[labels]
    x = target * unit[labels] + np.sqrt(1 - target**2) * side / np.linalg.norm(side, axis=1, keepdims=True)
    x[:, 0] *= 2.0**-40  # a component whose product with a small number of a row must not lose digits
    errors = head_errors(svref.sv_am_softmax(s=64.0), x.astype(dtype), (length * w).astype(dtype), labels)
    assert max(errors.values()) <= 4


@pytest.mark.parametrize("s", [1350.0, 1400.0, 1440.0])
def test_a_class_far_below_those_of_another_chunk_keeps_its_gradient(s: float) -> None:
    angles = np.full(300, np.arccos(-0.9))  # two chunks; the largest negative is in the first one
    angles[[0, 1, 299]] = np.arccos([-0.5, 0.5, 0.008])
    w, x = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([[1.0, 0.0]])
    loss = svref.am_softmax(s=s, m=0.0)
    _, grads = head.value_and_grad(loss, x, w, [0], reduction="none")
    truth = svref.exact.evaluate_head(loss, x, w, [0]).weights.hi[299]
    assert 0 < abs(truth[0]) < 1e-280  # below the range of float64 before it is multiplied by an e^r of up to e^64
    np.testing.assert_allclose(grads.weights[299], truth, rtol=1e-12)


def test_near_parallel_float32_rows_are_finite_and_right() -> None:
    loss = svref.sv_arc_softmax(s=8.0)
    x = np.array([[1.0, 0, 0], [0, 2.0, 0]], dtype=np.float32)
    w = np.array([[1.0, 1e-12, 0], [1e-7, 3.0, 0], [0.5, 0.25, 1.0]], dtype=np.float32)
    _, grads = head.value_and_grad(loss, x, w, [0, 1], reduction="sum")
    truth = oracle.evaluate_head(spec_of(loss), x, w, [0, 1])
    assert normwise(grads.embeddings, truth.embeddings) <= 64 * 2.0**-24
    assert normwise(grads.weights, truth.weights) <= 64 * 2.0**-24


def test_ignored_rows_do_not_count_in_the_head() -> None:
    loss = svref.sv_am_softmax(s=16.0)
    rng = np.random.default_rng(9)
    x, w = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    value, grads = head.value_and_grad(loss, x, w, [2, -1, 3], ignore_index=-1)
    kept_value, kept = head.value_and_grad(loss, x[[0, 2]], w, [2, 3])
    np.testing.assert_allclose(value, kept_value, rtol=1e-15)
    assert (grads.embeddings[1] == 0).all()
    np.testing.assert_allclose(grads.embeddings[[0, 2]], kept.embeddings, rtol=1e-12)
    np.testing.assert_allclose(grads.weights, kept.weights, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5])
def test_a_class_with_the_weights_of_the_target_ties_with_it(angle: float, dtype: str) -> None:
    loss = svref.sv_softmax(s=64.0, t=1.2)
    rng = np.random.default_rng(10)
    for _ in range(50):
        x = rng.normal(size=(1, 8)).astype(dtype)
        w = (1.7 * x + angle * rng.normal(size=(1, 8))).astype(dtype)
        value, _ = head.value_and_grad(loss, x, np.vstack([w, w, -w]), [0])
        np.testing.assert_allclose(value, np.log(2), rtol=1e-4)


def test_a_single_class_has_no_gradient() -> None:
    value, grads = head.value_and_grad(svref.sv_arc_softmax(), np.array([[1.0, 2.0]]), np.array([[2.0, -1.0]]), [0])
    assert value == 0
    assert not grads.embeddings.any()
    assert not grads.weights.any()


def test_inputs_are_not_modified() -> None:
    x, w = np.ones((2, 3)), np.eye(3)
    x.flags.writeable = w.flags.writeable = False
    head.value_and_grad(svref.sv_arc_softmax(), x, w, [0, 1])


def test_textbook_autograd_loses_the_near_parallel_gradient(torch) -> None:
    loss = svref.arc_softmax(s=16.0, m=0.5)
    x, w, labels = pairs_at(1e-9)
    leaf = torch.tensor(x, requires_grad=True)
    unit = torch.nn.functional.normalize(leaf), torch.nn.functional.normalize(torch.tensor(w))
    cosines = unit[0] @ unit[1].T
    target = torch.cos(torch.acos(cosines.diagonal()[:3]) + 0.5)
    logits = cosines.scatter(1, torch.tensor(labels)[:, None], target[:, None])
    torch.nn.functional.cross_entropy(16 * logits, torch.tensor(labels), reduction="sum").backward()
    truth = oracle.evaluate_head(spec_of(loss), x, w, labels)
    _, ours = head.value_and_grad(loss, x, w, labels, reduction="sum")
    theirs = np.where(np.isfinite(leaf.grad.numpy()), leaf.grad.numpy(), 0.0)
    assert normwise(theirs, truth.embeddings) > 0.1
    assert normwise(ours.embeddings, truth.embeddings) <= NORMWISE
