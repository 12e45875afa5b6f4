"""Plain arrays are judged: of heads, reduced, with rows that do not count; and what they could not show is said."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

import svref
from svref import check_values
from svref.conformance import CandidateError, Report
from svref.conformance.checking import unshown
from svref.deviations import DEVIATIONS
from svref.golden.files.checks import validate

RNG = np.random.default_rng(15)
LOSS = svref.sv_arc_softmax(s=16.0, m=0.5, t=1.25)
X, W, Y = RNG.normal(size=(5, 6)), RNG.normal(size=(8, 6)), np.array([3, 0, 3, 7, 1])
SCALARS = ("sum", "mean")


def head(dtype: str = "float64", **options: object) -> tuple:
    """Right losses and gradients of the head above."""
    value, gradients = svref.head.value_and_grad(LOSS, X.astype(dtype), W.astype(dtype), Y, **options)
    return value, (gradients.embeddings, gradients.weights)


# ---- heads and scalars ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", ["none", *SCALARS])
def test_a_right_head_passes_by_all_its_outputs(reduction: str, dtype: str) -> None:
    value, gradients = head(dtype, reduction=reduction)
    report = check_values(LOSS, (X.astype(dtype), W.astype(dtype)), Y, value, gradients, reduction=reduction)
    report.raise_if_wrong()
    assert [count.quantity for count in report.counts] == ["loss", "grad_embeddings", "grad_weights"]
    assert report.counts[0].passed == (5 if reduction == "none" else 1)
    assert sum(count.passed for count in report.counts[1:]) == X.size + W.size


@pytest.mark.parametrize("reduction", ["none", *SCALARS])
@pytest.mark.parametrize(("side", "element"), [(0, (4, 2)), (1, (7, 5))])
def test_one_wrong_element_of_a_gradient_fails_and_is_named(side: int, element: tuple, reduction: str) -> None:
    value, gradients = head(reduction=reduction)
    gradients[side][element] *= 1 + 1e-9
    failures = check_values(LOSS, (X, W), Y, value, gradients, reduction=reduction).failures
    assert [(f.quantity, f.index) for f in failures] == [(("grad_embeddings", "grad_weights")[side], element)]


@pytest.mark.parametrize("reduction", SCALARS)
def test_a_wrong_scalar_fails(reduction: str) -> None:
    value, gradients = head(reduction=reduction)
    assert check_values(LOSS, (X, W), Y, value * (1 + 1e-9), gradients, reduction=reduction).failures[0].index == ()
    other = SCALARS[reduction == "sum"]
    assert not check_values(LOSS, (X, W), Y, value, gradients, reduction=other).ok


@pytest.mark.parametrize("reduction", SCALARS)
def test_a_scalar_of_cosines_is_judged_with_its_own_gradient(reduction: str) -> None:
    cosines = RNG.uniform(-1, 1, (4, 7))
    value, gradient = LOSS.value_and_grad(cosines, [0, 1, 1, 6], reduction=reduction)
    check_values(LOSS, cosines, [0, 1, 1, 6], value, gradient, reduction=reduction).raise_if_wrong()
    wrong = LOSS.value_and_grad(cosines, [0, 1, 1, 6], reduction=SCALARS[reduction == "sum"])[1]
    assert not check_values(LOSS, cosines, [0, 1, 1, 6], value, wrong, reduction=reduction).ok


def test_gradients_come_as_a_pair_or_as_svref_returns_them_and_one_may_lack() -> None:
    value, gradients = svref.head.value_and_grad(LOSS, X, W, Y, reduction="none")
    check_values(LOSS, (X, W), Y, value, gradients).raise_if_wrong()
    check_values(LOSS, [X, W], Y, value, [gradients.embeddings, None]).raise_if_wrong()
    alone = check_values(LOSS, (X, W), Y, value, (None, gradients.weights))
    assert [count.quantity for count in alone.counts] == ["loss", "grad_weights"]
    assert [count.quantity for count in check_values(LOSS, (X, W), Y, value).counts] == ["loss"]


def test_a_head_takes_a_cotangent() -> None:
    g = np.array([0.5, -1.0, 0.0, 2.0, 3.0])
    value, _ = head(reduction="none")
    rows = [svref.head.value_and_grad(LOSS, X[b : b + 1], W, Y[b : b + 1], reduction="sum")[1] for b in range(5)]
    gradients = (
        np.concatenate([g[b] * row.embeddings for b, row in enumerate(rows)]),
        sum(g[b] * row.weights for b, row in enumerate(rows)),
    )
    check_values(LOSS, (X, W), Y, value, gradients, cotangent=g).raise_if_wrong()
    assert not check_values(LOSS, (X, W), Y, value, gradients).ok


# ---- rows that do not count -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", *SCALARS])
def test_rows_of_a_head_that_do_not_count_are_left_out_and_the_others_keep_their_numbers(reduction: str) -> None:
    labels = [-100, *Y[1:]]
    options = {"reduction": reduction, "ignore_index": -100}
    value, gradients = svref.head.value_and_grad(LOSS, X, W, labels, **options)
    check_values(LOSS, (X, W), labels, value, gradients, **options).raise_if_wrong()
    gradients.embeddings[3, 1] += 1
    report = check_values(LOSS, (X, W), labels, value, gradients, **options)
    assert [f.index for f in report.failures] == [(3, 1)]
    assert report.departure is not None
    assert report.departure.index == (3, 1)


def test_a_batch_without_a_row_that_counts_says_nothing() -> None:
    zeros = (np.zeros_like(X), np.zeros_like(W))
    assert check_values(LOSS, (X, W), [-1] * 5, np.zeros(5), zeros, ignore_index=-1).verdict == "VACUOUS"


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "error", "message"),
    [
        (lambda: check_values(LOSS, (X, W[:, :4]), Y, np.zeros(5)), ValueError, "must share D"),
        (lambda: check_values(LOSS, (X, W.astype("float32")), Y, np.zeros(5)), TypeError, "must share one dtype"),
        (lambda: check_values(LOSS, (X * 0, W), Y, np.zeros(5)), ValueError, "embeddings must have no zero row"),
        (lambda: check_values(LOSS, (X, W), Y + 1, np.zeros(5)), ValueError, "class indices below C = 8"),
        (lambda: check_values(LOSS, (X, W), Y, np.zeros(5), np.zeros((5, 6))), TypeError, "gradient must be a pair"),
        (lambda: check_values(LOSS, (X, W), Y, np.zeros(5), (W, X)), CandidateError, "grad_embeddings must have shape"),
        (lambda: check_values(LOSS, (X, W), Y, 0.0), CandidateError, r"loss must have shape \(5,\); got shape \(\)"),
        (lambda: check_values(LOSS, (X, W), Y, np.zeros(5), reduction="sum"), CandidateError, r"must have shape \(\)"),
        (lambda: check_values(LOSS, (X, W), Y, 0.0, reduction="max"), ValueError, "reduction must be one of"),
        (lambda: check_values(LOSS, (X, W), Y, 0.0, reduction="mean", cotangent=[1.0] * 5), ValueError, "takes none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_must_hold(judge: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        judge()


# ---- what the data could not show -----------------------------------------------------------------------------------


def with_a_mistake(name: str, cosines: np.ndarray, labels: np.ndarray, loss: svref.SVXSoftmax) -> Report:
    losses, gradient = DEVIATIONS[name].run(loss, cosines, labels)
    return check_values(loss, cosines, labels, losses, gradient)


def test_a_mistake_is_listed_exactly_if_code_with_it_passes() -> None:
    for loss in (LOSS, svref.sv_am_softmax(s=8.0, m=0.25, t=1.5), svref.a_softmax(s=4.0, m=2), svref.softmax(s=1.0)):
        cosines, labels = RNG.uniform(-0.9, 0.9, (4, 6)), np.array([0, 5, 5, 2])
        value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
        found = check_values(loss, cosines, labels, value, gradient).unshown
        assert found is not None
        tried = list(unshown._possible(trial(loss, cosines, labels)))
        assert found.known == len(tried) > 15
        for name in tried:
            assert with_a_mistake(name, cosines, labels, loss).ok is (name in found.groups), name


def trial(loss: svref.SVXSoftmax, cosines: np.ndarray, labels: np.ndarray) -> object:
    class Case:
        level, precision = "cosine", "float64"

    Case.loss = loss
    return Case


def test_easy_rows_are_said_not_to_show_a_mask_on_the_plain_cosine_and_the_group_that_shows_it() -> None:
    cosines = np.array([[0.9, -0.2, 0.1], [-0.1, 0.8, 0.0]])
    value, gradient = LOSS.value_and_grad(cosines, [0, 1], reduction="none")
    report = check_values(LOSS, cosines, [0, 1], value, gradient)
    assert report.ok
    group = report.unshown.groups["mask-on-plain-cosine"]
    shown = [v.id for v in svref.golden.load() if (v.variant, v.group) == ("sv-arc-softmax", group)
             and "mask-on-plain-cosine" in v.case["power"]["float64"]["firm"]]  # fmt: skip
    assert shown
    assert "these data could not show " in str(report)
    assert "mask-on-plain-cosine" in str(report)
    assert f"{group} " in str(report)
    assert "svref golden list --variant sv-arc-softmax --group GROUP" in str(report)
    content = json.loads(report.to_json())
    validate("report", content, "report")
    assert content["unshown"]["groups"]["mask-on-plain-cosine"] == group


def test_a_head_says_what_its_vectors_could_not_show() -> None:
    report = check_values(LOSS, (X, W), Y, *head(reduction="none"))
    assert set(report.unshown.groups.values()) == {"head"}
    assert "weights-not-normalised" not in report.unshown.groups
    unit = (X / np.linalg.norm(X, axis=1, keepdims=True), W / np.linalg.norm(W, axis=1, keepdims=True))
    value, gradients = svref.head.value_and_grad(LOSS, *unit, Y, reduction="none")
    found = check_values(LOSS, unit, Y, value).unshown.groups
    assert {"weights-not-normalised", "embeddings-not-normalised", "radial-gradient-kept"} <= found.keys()
    assert "radial-gradient-kept" not in check_values(LOSS, unit, Y, value, gradients).unshown.groups


def test_without_a_gradient_no_mistake_in_it_is_shown() -> None:
    cosines = RNG.uniform(-0.9, 0.9, (4, 6))
    report = check_values(LOSS, cosines, [0, 1, 2, 3], LOSS.value(cosines, [0, 1, 2, 3], reduction="none"))
    assert {"gradient-sign-flipped", "straight-through-angle", "slope-of-h-lost"} <= report.unshown.groups.keys()


def test_a_failure_needs_no_list_and_a_loss_of_no_variant_has_groups_of_any() -> None:
    cosines = RNG.uniform(-0.9, 0.9, (4, 6))
    assert check_values(LOSS, cosines, [0] * 4, np.zeros(4)).unshown is None
    own = svref.SVXSoftmax(svref.EasyMargin(svref.AdditiveCosine(0.25)), svref.SupportVectors(1.5), s=8.0)
    report = check_values(own, cosines, [0] * 4, *own.value_and_grad(cosines, [0] * 4, reduction="none"))
    assert report.unshown.variant == ""
    assert "svref golden list --group GROUP" in str(report)


def test_a_large_batch_is_tried_on_its_first_rows_and_a_huge_one_not_at_all() -> None:
    loss = svref.am_softmax(s=16.0)
    cosines = RNG.uniform(-1, 1, (64, 20_000)).astype(np.float32)
    labels = RNG.integers(0, 20_000, 64)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    start = time.monotonic()
    report = check_values(loss, cosines, labels, value, gradient)
    assert time.monotonic() - start < 60
    assert 2 <= report.unshown.rows < 64 == report.unshown.of
    assert f"tried on the first {report.unshown.rows} of 64 rows; more would take too long" in str(report)
    assert "margin-ignored" not in report.unshown.groups
    total = check_values(loss, cosines, labels, value.sum(dtype=np.float64).astype("float32"), reduction="sum")
    assert total.unshown.rows == 0
    assert "no known mistake was tried: 64 rows of this size would take too long" in str(total)
