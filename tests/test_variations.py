"""Batches unlike the cases: code that is wrong under one condition is found, and the condition is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulations import HEADS, candidate
from pairing import in_turn
from test_heads_checked import head_of
from textbook import sv_am

from svref.conformance import Report, check
from svref.golden.making.batches import batches
from svref.variants import VARIANTS

NAME = "sv-am-softmax"
Condition = Callable[..., bool]  # of the inputs and parameters of a call


def wrong_if(condition: Condition) -> Callable[..., Any]:
    """Return a right candidate whose losses are too large by a tenth under a condition."""

    def spoiled(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> Any:
        losses, gradient = candidate(NAME, "acos", "log_sum_exp")(cosines, labels, cotangent=cotangent, **p)
        return losses * cosines.dtype.type(1.1 if condition(cosines, labels, **p) else 1), gradient

    return spoiled


def raises_if(condition: Condition, error: Exception) -> Callable[..., Any]:
    def refusing(cosines: np.ndarray, labels: np.ndarray, **p: Any) -> Any:
        if condition(cosines, labels, **p):
            raise error
        return candidate(NAME, "acos", "log_sum_exp")(cosines, labels, **p)

    return refusing


def name_of(report: Report) -> str:
    assert [f.name for f in report.findings] == [report.verdict.removeprefix("FAIL-AS(").removesuffix(")")], report
    return report.findings[0].name


CONDITIONS: dict[str, Condition] = {
    "wrong for int32 labels": lambda c, y, **p: y.dtype == np.int32,
    "wrong for uint8 labels": lambda c, y, **p: y.dtype == np.uint8,
    "wrong for non-contiguous inputs (column by column)": lambda c, y, **p: c.flags.f_contiguous and min(c.shape) > 1,
    "wrong for non-contiguous inputs (every second column of a wider array)": (
        lambda c, y, **p: c.strides[1] == 2 * c.itemsize
    ),
    "wrong for non-contiguous inputs (rows inside longer rows)": (
        lambda c, y, **p: c.strides[1] == c.itemsize and c.strides[0] > c.shape[1] * c.itemsize
    ),
    "wrong for read-only inputs": lambda c, y, **p: not c.flags.writeable,
    "wrong from C = 1,025 on": lambda c, y, **p: c.shape[1] > 1024,
    "wrong from B = 9 on": lambda c, y, **p: len(y) > 8,
    "wrong for B = 2": lambda c, y, **p: len(y) == 2,
    "wrong for C = 7": lambda c, y, **p: c.shape[1] == 7,
    "wrong for labels above 127": lambda c, y, **p: bool((y > 127).any()),
    "wrong for labels above 2,048": lambda c, y, **p: bool((y > 2048).any()),
    "wrong for s above 65": lambda c, y, *, s, **p: 65 < s < 200,  # cases have 64 and 1024
    "wrong for m below 0.2": lambda c, y, *, m, **p: 0 < m < 0.2,
    "wrong for t above 9.5": lambda c, y, *, t, **p: t > 9.5,
}


@pytest.mark.parametrize(("name", "dtype"), in_turn(CONDITIONS))
def test_the_condition_under_which_code_is_wrong_is_named(name: str, dtype: str) -> None:
    report = check(wrong_if(CONDITIONS[name]), NAME, dtype=dtype)
    assert name_of(report) == name
    assert report.variations is not None
    assert report.variations.failed > 0


def test_a_backward_that_forgets_or_casts_the_cotangent_is_named() -> None:
    right = candidate(NAME, "acos", "log_sum_exp")

    def casts(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> Any:
        return right(cosines, labels, cotangent=cotangent.astype(np.float16).astype(cotangent.dtype), **p)

    def only_weighted(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> Any:
        losses, gradient = right(cosines, labels, cotangent=cotangent, **p)
        return losses, gradient * (2 if len(cotangent) > 1 and (cotangent == 1).all() else 1)

    assert name_of(check(casts, NAME, dtype="float64")) == "wrong for cotangents of many digits"
    assert name_of(check(only_weighted, NAME, dtype="float32")) == "wrong for cotangents that are all 1"


def test_a_state_that_spoils_every_call_from_some_on_is_hidden_state() -> None:
    calls: list[int] = []

    def later(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        calls.append(1)
        losses, gradient = candidate(NAME, "acos", "log_sum_exp")(cosines, labels, **p)
        return losses + (len(calls) > 60), gradient

    assert check(later, NAME, dtype="float64").verdict == "FAIL-AS(hidden-state)"


def test_an_instance_that_has_forward_alone_is_a_candidate() -> None:
    class Loss:
        def forward(self, cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
            return sv_am(cosines, labels, s=s, m=m, t=t)

    check(Loss(), NAME).raise_if_wrong()


def test_two_conditions_at_once_are_both_named() -> None:
    report = check(wrong_if(lambda c, y, **p: y.dtype == np.uint8 and c.shape[1] > 128), NAME, dtype="float64")
    assert name_of(report) == "wrong for uint8 labels from C = 129 on"


def test_an_overflow_of_the_labels_own_dtype_is_found() -> None:
    def flat_index(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        rows, width = np.arange(len(labels)).astype(labels.dtype), np.array(cosines.shape[1]).astype(labels.dtype)
        picked = cosines.ravel()[rows * width + labels]
        losses, gradient = sv_am(cosines, labels, **p)
        return losses + picked - cosines[np.arange(len(labels)), labels], gradient

    assert "wrong for uint8 labels" in check(flat_index, NAME, dtype="float32").verdict


@pytest.mark.parametrize(("seed", "head", "dtype"), in_turn(range(3), HEADS))
def test_right_heads_pass_every_seed(seed: int, head: str, dtype: str) -> None:
    report = check(head_of(NAME, HEADS[head]), NAME, dtype=dtype, seed=seed)
    report.raise_if_wrong()
    assert report.variations is not None
    assert (report.variations.seed, report.variations.passed) == (seed, 24)


@pytest.mark.parametrize(("name", "dtype"), in_turn(VARIANTS))
def test_right_code_passes_other_seeds(name: str, dtype: str) -> None:
    seed = 1 + (dtype == "float32")
    check(candidate(name, "acos", "sum_of_others"), name, seed=seed, dtype=dtype).raise_if_wrong()


def test_a_head_whose_scatter_forgets_repeats_is_found_though_it_takes_no_cotangent() -> None:
    right = head_of(NAME, HEADS["head_by_units"])

    def last_row_wins(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        losses, dx, dw = right(embeddings, weights, labels, **p)
        last = {int(y): b for b, y in enumerate(labels)}
        kept = np.array([last[int(y)] == b for b, y in enumerate(labels)])
        for b in np.flatnonzero(~kept):
            dw[labels[b]] -= right(embeddings[b : b + 1], weights, labels[b : b + 1], **p)[2][labels[b]]
        return losses, dx, dw

    report = check(last_row_wins, NAME, dtype="float64")
    assert report.verdict.startswith("FAIL-AS(")
    assert "repeated labels" in str(report)


def test_a_refused_dtype_is_counted_and_the_batch_asked_again() -> None:
    report = check(
        raises_if(lambda c, y, **p: y.dtype == np.uint8, IndexError("labels must be int64")), NAME, dtype="float32"
    )
    assert report.verdict == "PASS"
    assert report.variations is not None
    assert report.variations.passed == report.variations.asked
    ((what, number),) = report.variations.declined.items()
    assert what == "uint8 labels: raised IndexError: labels must be int64"
    assert f"  declined        {number:6d} variations: {what}" in str(report)


def test_code_that_raises_for_larger_batches_has_no_answer_from_there_on() -> None:
    report = check(raises_if(lambda c, y, **p: len(y) > 8, RuntimeError("out of shared memory")), NAME, dtype="float64")
    assert report.verdict == "ERROR"
    assert report.mishaps[0].message.startswith("no answer from B = 9 on: raised RuntimeError: out of shared memory")


def test_a_variation_is_repeated_by_its_id() -> None:
    wrong = wrong_if(CONDITIONS["wrong for int32 labels"])
    found = check(wrong, NAME, seed=3, dtype="float64").findings[0]
    assert found.case.startswith("sv-am-softmax-variation-3-")
    again = check(wrong, NAME, case=found.case, dtype="float64")
    assert again.verdict.startswith("FAIL")
    assert {f.case for f in again.failures} == {found.case}
    assert check(sv_am, NAME, case=found.case).verdict == "PASS"


def test_variations_can_be_left_out_and_are_checked() -> None:
    wrong = wrong_if(CONDITIONS["wrong for int32 labels"])
    report = check(wrong, NAME, variations=0)
    assert report.verdict == "PASS"
    assert report.variations is None
    for bad in (-1, 2.5, 10**6):
        with pytest.raises(ValueError, match="variations must be an integer from 0 to 10000"):
            check(wrong, NAME, variations=bad)


@pytest.mark.usefixtures("undiagnosed")
def test_code_that_fails_cases_is_not_asked_more() -> None:
    report = check(lambda c, y, **p: (np.zeros(len(y)), np.zeros_like(c)), NAME)
    assert report.variations is not None
    assert report.variations.reason == "the candidate must pass the cases first"


def test_a_seed_fixes_every_number() -> None:
    one, two, other = (list(batches(NAME, seed, 24, False, 53, ("plain",), False)) for seed in (5, 5, 6))
    assert one == two != other
    for batch, again in zip(one, two, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(batch.arrays, again.arrays, strict=True))
    # bits of SHAKE-256: the same on every machine and in every version of NumPy
    assert [float(v).hex() for v in one[0].arrays[0][0, :2]] == FIRST


FIRST = ["0x1.b7392d1aba7ecp-3", "0x1.7d1ad3447e1b4p-3"]


@pytest.mark.parametrize("is_head", [False, True])
def test_the_batches_of_a_seed_have_what_batches_have(is_head: bool) -> None:
    made = list(batches("sv-a-softmax", 0, 24, is_head, 24, ("plain", "strided"), False))
    assert {b.labels for b in made} == {"int64", "int32", "uint8"}
    assert {b.layout for b in made} == {"plain", "strided"}
    assert {b.parameters["m"] for b in made} == {1, 2, 3, 4}
    assert {1.0} < {b.parameters["t"] for b in made}
    assert any(b.rows == 2 and b.classes == 7 for b in made)
    assert any(b.classes > 2050 for b in made)
    for b in made:
        labels = b.target_classes
        assert labels.dtype == b.labels
        assert labels.min() >= 0
        assert labels.max() == b.highest - 1 < b.classes
        assert all(np.array_equal(a, a.astype(np.float32)) for a in b.arrays)
        assert is_head or np.abs(b.arrays[0]).max() <= 1
