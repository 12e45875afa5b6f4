"""Blocks: the loss and the gradient of the plain pass, the same bits on any number of threads."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from rows import MARGINS

import svref
from svref import SupportVectors, SVXSoftmax
from svref.engine import kernels, threads, tiles
from svref.judging import condition
from svref.margins import Angle
from svref.reference import sigmoid

RNG = np.random.default_rng(11)
LABELS = np.array([0, 36, 17, 3, 3, 20, 8])
COSINES = RNG.uniform(-1, 1, (7, 37))
COSINES[4:, :] = RNG.uniform(-0.6, 0.2, (3, 37))  # few support vectors, or none
COSINES[4:, 3] = COSINES[[5, 6], [20, 8]] = 0.95


@pytest.fixture(params=[2**21, 400, 64], ids=["one block", "bands", "slices"])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(threads, "ALONE_BYTES", request.param)
    monkeypatch.setattr(threads, "SMALL_BYTES", 2**20 if request.param > 1000 else 0)
    return request.param


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", svref.VARIANTS)
def test_blocks_stay_within_four_units_of_the_plain_pass(name: str, dtype: str, block_bytes: int) -> None:
    loss, cosines = svref.VARIANTS[name].factory(s=48.0), COSINES.astype(dtype)
    step = loss.forward(cosines, LABELS)
    value, gradient = loss.value_and_grad(cosines, LABELS, reduction="none")
    scales = condition.scales(loss.forward(cosines.astype(np.float64), LABELS), dtype)
    unit = 4 * condition.unit_roundoff(dtype)
    floor = 4 * 48 * loss.emphasis.t * float(np.finfo(dtype).smallest_normal)
    plain = loss.backward(step).cosines
    assert value.dtype == gradient.dtype == np.dtype(dtype)
    assert (np.abs(value.astype("f8") - step.loss) <= unit * scales.loss + floor).all()
    assert (np.abs(gradient.astype("f8") - plain) <= unit * scales.cosines + floor).all()
    np.testing.assert_array_equal(loss.value(cosines, LABELS, reduction="none"), value)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_bits_do_not_depend_on_the_threads(dtype: str, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    loss, cosines = svref.sv_arc_softmax(), COSINES.astype(dtype)
    results = []
    for workers in (1, 2, 3, 7):
        monkeypatch.setattr(threads, "available", lambda workers=workers: workers)
        results.append(loss.value_and_grad(cosines, LABELS, reduction="none"))
    for value, gradient in results[1:]:
        np.testing.assert_array_equal(value, results[0][0])
        np.testing.assert_array_equal(gradient, results[0][1])


@pytest.mark.parametrize("form", ["adaptive", "fixed"])
@pytest.mark.parametrize("margin", MARGINS)
def test_few_support_vectors_and_many_are_treated_alike(
    margin: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = SVXSoftmax(MARGINS[margin], SupportVectors(1.25, form), s=16.0)
    monkeypatch.setattr(kernels, "SPARSE", 0)
    sparse = loss.value_and_grad(COSINES, LABELS, reduction="none")
    monkeypatch.setattr(kernels, "SPARSE", 10**9)
    dense = loss.value_and_grad(COSINES, LABELS, reduction="none")
    np.testing.assert_array_equal(sparse[0], dense[0])
    np.testing.assert_array_equal(sparse[1], dense[1])


def test_slices_far_apart_keep_the_small_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slice holds the mass, e^60; the other's gradients are e^-40 of it, and no row's number fits float32."""
    cosines = np.full((1, 20), -0.6, np.float32)
    cosines[0, 0], cosines[0, 5] = -0.9, 0.1
    loss, truth = svref.softmax(s=64.0), svref.softmax(s=64.0).value_and_grad(cosines.astype("f8"), [0])[1]
    monkeypatch.setattr(threads, "BLOCK_BYTES", 40)
    monkeypatch.setattr(threads, "ALONE_BYTES", 40)
    _, gradient = loss.value_and_grad(cosines, [0])
    np.testing.assert_allclose(gradient, truth, rtol=1e-4)
    tiny = loss.backward(loss.forward(cosines, [0]), [1e-16]).cosines
    np.testing.assert_allclose(tiny, 1e-16 * truth, rtol=1e-4)


def test_no_gradient_is_a_negative_zero() -> None:
    _, gradient = svref.sv_am_softmax(s=64.0, m=0.1).value_and_grad(np.array([[1, -1]], np.float32), [0])
    assert not np.signbit(gradient).any()


def test_users_of_several_threads_get_their_own_results() -> None:
    loss, results = svref.sv_arc_softmax(), {}

    def work(i: int) -> None:
        results[i] = [loss.value_and_grad(COSINES[i : i + 2], LABELS[i : i + 2])[1] for _ in range(20)]

    users = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for i, gradients in results.items():
        true = loss.value_and_grad(COSINES[i : i + 2], LABELS[i : i + 2])[1]
        assert all(np.array_equal(gradient, true) for gradient in gradients)


def test_rows_do_not_influence_each_other(block_bytes: int) -> None:
    loss = svref.sv_am_softmax(s=64.0)
    whole = loss.value_and_grad(COSINES, LABELS, reduction="none")
    alone = [loss.value_and_grad(COSINES[i : i + 1], LABELS[i : i + 1], reduction="none") for i in range(len(LABELS))]
    np.testing.assert_allclose(whole[0], np.concatenate([value for value, _ in alone]), rtol=1e-14)
    np.testing.assert_allclose(whole[1], np.concatenate([gradient for _, gradient in alone]), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["many support vectors", "few", "converged"])
def test_a_million_classes_lose_nothing(kind: str, dtype: str) -> None:
    """The truth is the paper's formula in extended precision, whose sum is exact to far below float64."""
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double is no wider than double")
    target = {"many support vectors": 0.35, "few": 0.65, "converged": 0.99}[kind]
    cosines = np.clip(RNG.normal(0, 0.09, (2, 1_000_000)), -1, 1).astype(dtype)
    labels = np.array([5, 999_999])
    cosines[[0, 1], labels] = target
    loss = svref.sv_am_softmax(s=64.0, m=0.35, t=1.2)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    true_value, true_gradient = in_extended_precision(cosines, labels, 64.0, 0.35, 1.2)
    zs = 64 * np.abs(cosines).max() * 1.2 + 64 * 0.2 + 2 * 64
    u = condition.unit_roundoff(dtype)
    floor = 4 * 64 * 1.2 * float(np.finfo(dtype).smallest_normal)
    assert (np.abs(value - true_value) <= 4 * u * (1 + zs)).all()
    assert (np.abs(gradient - true_gradient) <= 4 * u * (1 + zs) * np.abs(true_gradient) + floor).all()


def in_extended_precision(c: np.ndarray, labels: np.ndarray, s: float, m: float, t: float) -> tuple:
    c, own = c.astype(np.longdouble), (np.arange(len(labels)), labels)
    f = (c[own] - np.longdouble(m))[:, None]
    mask = c > f
    mask[own] = False
    e = np.exp(s * (c - f) + s * (np.longdouble(t) - 1) * (c + 1) * mask)
    e[own] = 0
    total = e.sum(axis=1, keepdims=True)
    gradient = s * e / (1 + total) * np.where(mask, np.longdouble(t), 1)
    gradient[own] = -s * (total / (1 + total))[:, 0]
    return np.log1p(total)[:, 0], gradient


def test_the_gradient_goes_where_it_is_wanted_and_nothing_large_is_copied() -> None:
    cosines = RNG.uniform(-1, 1, (8, 2**19))
    out, before = np.empty_like(cosines), cosines.copy()
    loss = svref.sv_softmax()
    tracemalloc.start()
    _, gradient = loss.value_and_grad(cosines, np.arange(8), out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gradient is out
    assert peak < cosines.nbytes
    np.testing.assert_array_equal(cosines, before)
    np.testing.assert_array_equal(out, loss.value_and_grad(cosines, np.arange(8))[1])


READ_ONLY = np.empty((7, 37))
READ_ONLY.flags.writeable = False
WRONG_OUTPUTS = {
    "shape": (
        np.empty((7, 36)),
        ValueError,
        r"out must have shape \(7, 37\) and dtype float64, .*; got shape \(7, 36\)",
    ),
    "dtype": (np.empty((7, 37), np.float32), ValueError, r"got shape \(7, 37\) and dtype float32\. Allocate it with"),
    "order": (np.empty((37, 7)).T, ValueError, r"out must be aligned and in C order; got strides"),
    "read-only": (READ_ONLY, ValueError, r"out must be writeable; got a read-only array\."),
    "overlap": (COSINES, ValueError, r"out must not overlap an input"),
    "type": ([[0.0] * 37] * 7, TypeError, r"out must be a plain NumPy array or a memory map; got list\."),
}


@pytest.mark.parametrize("wrong", WRONG_OUTPUTS)
def test_an_output_that_cannot_take_the_gradient_is_refused(wrong: str) -> None:
    out, error, message = WRONG_OUTPUTS[wrong]
    with pytest.raises(error, match=message):
        svref.sv_softmax().value_and_grad(COSINES, LABELS, out=out)


def test_bad_cosines_leave_the_output_alone() -> None:
    bad, out = COSINES.copy(), np.zeros_like(COSINES)
    bad[6, 36] = np.inf
    with pytest.raises(ValueError, match=r"cosines must be finite; got cosines\[6, 36\] = inf"):
        svref.sv_softmax().value_and_grad(bad, LABELS, out=out)
    assert not out.any()


# ---- the end of the range -----------------------------------------------------------------------------------------


def hard_rows(kind: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose smallest probabilities lie far below the numbers of their dtype."""
    rng = np.random.default_rng(16)
    cosines, labels = rng.uniform(-1, 1, (24, 700)), rng.integers(0, 700, 24)
    targets = {"dense": 0.35, "sparse": 0.98, "lost": -0.9, "mixed": rng.uniform(-0.9, 1, 24)}[kind]
    cosines[np.arange(24), labels] = targets
    return cosines.astype(dtype), labels


@pytest.mark.parametrize("s", [64.0, 512.0])
@pytest.mark.parametrize("kind", ["dense", "sparse", "lost", "mixed"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_subnormal_number_is_made_and_what_is_normal_is_right(dtype: str, kind: str, s: float) -> None:
    loss, (cosines, labels) = svref.sv_am_softmax(s=s, m=0.35, t=1.2), hard_rows(kind, dtype)
    own = kernels.LabelEntries(np.arange(24), labels)
    angle = Angle.from_cosine(cosines[own])
    target = kernels.target(loss, angle, cosines.dtype, (float(cosines.min()), float(cosines.max())))
    gradient = np.empty_like(cosines)
    with np.errstate(under="raise", over="ignore"):  # NumPy tells of every number that it rounds to a subnormal one
        part = tiles.negatives(loss, cosines, target, own, gradient)
        tiles.multiply(part, np.ones(24), part.mass)
    tiny = float(np.finfo(dtype).smallest_normal)
    assert ((gradient == 0) | (gradient >= tiny)).all()
    with np.errstate(under="ignore"):
        step = loss.forward(cosines.astype("f8"), labels)
        shares = np.exp(step.r - step.a[:, None]) * loss.emphasis.slope(step.mask)
    scales = condition.scales(step, dtype).cosines / (s * sigmoid(step.a)[:, None])
    allowed = 4 * condition.unit_roundoff(dtype) * scales + 2 * loss.emphasis.t * tiny
    assert (np.abs(gradient - shares) <= allowed).all()


def test_a_row_has_the_same_bits_whatever_rows_are_beside_it() -> None:
    loss, (cosines, labels) = svref.sv_am_softmax(s=64.0), hard_rows("mixed", "float32")
    whole = loss.value_and_grad(cosines, labels, reduction="none")
    for b in range(len(labels)):
        alone = loss.value_and_grad(cosines[b : b + 1], labels[b : b + 1], reduction="none")
        np.testing.assert_array_equal(alone[0], whole[0][b : b + 1])
        np.testing.assert_array_equal(alone[1], whole[1][b : b + 1])
