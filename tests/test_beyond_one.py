"""NaN where embedding and weight are parallel, and x̂·ŵ rounds above 1, is told by its name and by no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pairing import in_turn

from svref import golden, head
from svref.conformance import check
from svref.variants import VARIANTS

NAME = "acos-beyond-one"
ANGULAR = [name for name, variant in VARIANTS.items() if variant.factory().angular]


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pack `head`, which has pairs that are parallel or nearly so, of vectors of full digits."""
    folder = tmp_path_factory.mktemp("packs")
    golden.make(folder, ["head"])
    return str(folder / "head")


def losing(name: str, rows: Callable[[np.ndarray], np.ndarray], reduction: str = "none", factor: float = 1.0) -> object:
    """A head that is right but for a factor, and NaN in some rows, chosen by their largest cosines."""

    def candidate(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **parameters: float) -> tuple:
        loss = VARIANTS[name].factory(**parameters)
        values, gradients = head.value_and_grad(loss, embeddings, weights, labels, reduction="none")
        by_x, by_w = gradients.embeddings.copy(), gradients.weights.copy()
        x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (embeddings, weights))
        lost = rows(np.abs(x.astype(float) @ w.astype(float).T).max(axis=1))
        values[lost], by_x[lost] = np.nan, np.nan
        if lost.any():
            by_w[:] = np.nan
        values = (factor * values).astype(embeddings.dtype)
        return (values.sum() if reduction == "sum" else values), by_x, by_w

    return candidate


def first_parallel(cosines: np.ndarray) -> np.ndarray:
    """The row whose cosine is nearest to ±1, if it is within a rounding error of it."""
    return (cosines == cosines.max()) & (cosines > 1 - 1e-15)


@pytest.mark.parametrize(("name", "dtype"), in_turn(ANGULAR))
def test_a_row_that_is_nan_where_its_cosine_rounds_beyond_one_is_named(name: str, dtype: str, heads: str) -> None:
    report = check(losing(name, first_parallel), name, pack=heads, dtype=dtype)
    assert report.verdict == f"FAIL-AS({NAME})"
    assert report.diagnosis[0].matched == report.diagnosis[0].failing > 0


def test_a_sum_that_is_nan_is_named_as_well(heads: str) -> None:
    report = check(
        losing("arc-softmax", first_parallel, "sum"), "arc-softmax", pack=heads, reduction="sum", dtype="float64"
    )
    assert report.verdict == f"FAIL-AS({NAME})"


WRONG = {
    "NaN in a row that is parallel to nothing": losing("arc-softmax", lambda c: c < 0.999),
    "NaN in every row": losing("arc-softmax", lambda c: c <= 2),
    "other rows are wrong besides": losing("arc-softmax", first_parallel, factor=1.5),
    "a sum that is wrong": losing("arc-softmax", lambda c: c > 2, factor=1.5),
}


@pytest.mark.usefixtures("singles_alone")
@pytest.mark.parametrize("candidate", WRONG.values(), ids=WRONG)
def test_what_is_lost_or_wrong_elsewhere_is_not_named_so(candidate: object, heads: str) -> None:
    report = check(candidate, "arc-softmax", pack=heads, dtype="float64")
    assert report.failures
    assert NAME not in report.verdict


@pytest.mark.usefixtures("singles_alone")
def test_a_loss_without_an_angle_is_not_named_so(heads: str) -> None:
    report = check(losing("am-softmax", first_parallel), "am-softmax", pack=heads, dtype="float64")
    assert report.failures
    assert NAME not in report.verdict


def test_code_that_does_not_clamp_before_acos_is_named_where_its_products_exceed_one(
    torch: object, heads: str, tmp_path: Path
) -> None:
    candidate = tmp_path / "unclamped.py"
    candidate.write_text(UNCLAMPED, encoding="utf-8")
    reports = [check(f"{candidate}:head", "sv-combined-softmax", pack=heads, dtype=d) for d in ("float64", "float32")]
    failed = [report for report in reports if report.failures]
    assert all(report.verdict == f"FAIL-AS({NAME})" for report in failed)
    if not failed:  # no product of these vectors exceeds one on this machine
        assert all("gradients are NaN" in str(report) for report in reports)


UNCLAMPED = """
import torch
import torch.nn.functional as F

def head(embeddings, weights, labels, *, s, m1, m2, m3, t):
    c, rows = F.normalize(embeddings) @ F.normalize(weights).T, torch.arange(len(labels))
    f = torch.cos(m1 * torch.acos(c[rows, labels]) + m2) - m3
    own = F.one_hot(labels, c.shape[1]).bool()
    z = s * torch.where(own, f[:, None], torch.where(c > f[:, None], t * c + t - 1, c))
    return F.cross_entropy(z, labels, reduction="none")
"""
