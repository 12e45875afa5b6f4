"""Heads on embeddings and weights, losses that are reduced, and quantities on the way, as the check sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulations import HEADS, candidate

from svref import golden
from svref.conformance import CandidateError, Report, check

SV_AM = candidate("sv-am-softmax", "acos", "log_sum_exp")
HEAD = next(v.id for v in golden.load() if v.variant == "sv-am-softmax" and v.level == "head")
ARRAYS = tuple[np.ndarray, ...]


def head_of(name: str, head: Callable[..., ARRAYS]) -> Callable[..., ARRAYS]:
    """Return a head on a variant's textbook, with the gradients of the sum of the losses."""

    def on_vectors(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> ARRAYS:
        return head(embeddings, weights, lambda cosines: candidate(name, "acos", "log_sum_exp")(cosines, labels, **p))

    return on_vectors


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["sv-am-softmax", "mv-am-softmax", "sv-softmax"])
def test_no_right_head_is_rejected(name: str, head: str, dtype: str) -> None:
    report = check(head_of(name, HEADS[head]), name, dtype=dtype)
    report.raise_if_wrong()
    assert [count.quantity for count in report.counts] == ["loss", "grad_embeddings", "grad_weights"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", HEADS)
def test_a_head_may_take_the_cotangent(head: str, dtype: str) -> None:
    calls = []

    def on_vectors(
        embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, cotangent: Any, **p: float
    ) -> ARRAYS:
        calls.append(len(labels))
        return HEADS[head](embeddings, weights, lambda c: SV_AM(c, labels, cotangent=cotangent, **p))

    check(on_vectors, "sv-am-softmax", dtype=dtype).raise_if_wrong()
    assert calls.count(1) < len(calls) / 2, "rows are asked alone only of a head that cannot weigh them"


def test_a_head_may_return_its_gradients_as_a_pair() -> None:
    def on_vectors(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple[Any, ...]:
        losses, by_x, by_w = head_of("sv-am-softmax", HEADS["head_by_units"])(embeddings, weights, labels, **p)
        return losses, (by_x, by_w)

    check(on_vectors, "sv-am-softmax", dtype="float64").raise_if_wrong()


# --- PyTorch heads ---------------------------------------------------------------------------------------------------


def sv_am_of(torch: Any, cosines: Any, labels: Any, p: dict[str, float], reduction: str = "none") -> Any:
    own = labels[:, None]
    f = cosines.gather(1, own) - p["m"]
    logits = torch.where(cosines > f, p["t"] * cosines + p["t"] - 1, cosines).scatter(1, own, f)
    return torch.nn.functional.cross_entropy(p["s"] * logits, labels, reduction=reduction)


def torch_head(
    torch: Any, x_axis: int | None = 1, w_axis: int | None = 1, reduction: str = "none"
) -> Callable[..., Any]:
    """Return a head that normalises along these axes; None leaves the vectors as they are."""

    def unit(vectors: Any, axis: int | None) -> Any:
        return vectors if axis is None else torch.nn.functional.normalize(vectors, dim=axis)

    def head(embeddings: Any, weights: Any, labels: Any, **p: float) -> Any:
        cosines = unit(embeddings, x_axis) @ unit(weights, w_axis).T
        return sv_am_of(torch, cosines, labels, p, reduction)

    return head


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_torch_head_with_its_own_normalisation_is_right(torch: Any, dtype: str) -> None:
    check(torch_head(torch), "sv-am-softmax", dtype=dtype).raise_if_wrong()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_module_that_owns_its_weights_is_judged_through_three_lines(torch: Any, dtype: str) -> None:
    class Head(torch.nn.Module):
        def __init__(self, features: int, classes: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(classes, features))

        def forward(self, embeddings: Any, labels: Any, s: float, m: float, t: float) -> Any:
            return torch_head(torch)(embeddings, self.weight, labels, s=s, m=m, t=t)

    def head(embeddings, weights, labels, *, s, m, t):
        module = Head(weights.shape[1], weights.shape[0])
        return torch.func.functional_call(module, {"weight": weights}, (embeddings, labels, s, m, t))

    report = check(head, "sv-am-softmax", dtype=dtype)
    report.raise_if_wrong()
    assert {count.quantity for count in report.counts} == {"loss", "grad_embeddings", "grad_weights"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("axes", "deviation"),
    [
        ((1, None), "weights-not-normalised"),
        ((None, 1), "embeddings-not-normalised"),
        ((1, 0), "wrong-axis-normalised"),
    ],
)
def test_a_wrong_normalisation_is_named(torch: Any, axes: tuple[Any, Any], deviation: str, dtype: str) -> None:
    report = check(torch_head(torch, *axes), "sv-am-softmax", dtype=dtype)
    assert report.verdict == f"FAIL-AS({deviation})"
    assert f"FAIL  is  {deviation} " in str(report)


def test_a_head_that_keeps_the_radial_part_is_named(torch: Any) -> None:
    def head(embeddings: Any, weights: Any, labels: Any, **p: float) -> Any:
        x, w = (v / v.norm(dim=1, keepdim=True).detach() for v in (embeddings, weights))
        return sv_am_of(torch, x @ w.T, labels, p)

    assert check(head, "sv-am-softmax", dtype="float64").verdict == "FAIL-AS(radial-gradient-kept)"


def test_a_head_that_returns_no_gradient_by_its_weights_is_unsupported() -> None:
    def on_vectors(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple[Any, ...]:
        losses, by_x, _ = head_of("sv-am-softmax", HEADS["head_by_units"])(embeddings, weights, labels, **p)
        return losses, by_x, None

    report = check(on_vectors, "sv-am-softmax", dtype="float64")
    assert report.verdict == "UNSUPPORTED"
    assert report.missing == ("grad_weights",)
    assert "  unsupported            no answer has grad_weights" in str(report)


# --- losses that are reduced -----------------------------------------------------------------------------------------


def reduced(torch: Any, reduction: str) -> Callable[..., Any]:
    return lambda cosines, labels, **p: sv_am_of(torch, cosines, labels, p, reduction)


@pytest.mark.parametrize("declared", [None, "same"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_reduced_loss_is_right_declared_or_found_out(
    torch: Any, reduction: str, declared: str | None, dtype: str
) -> None:
    report = check(reduced(torch, reduction), "sv-am-softmax", dtype=dtype, reduction=declared and reduction)
    report.raise_if_wrong()


@pytest.mark.parametrize(
    ("declared", "returned", "deviation"),
    [("mean", "sum", "sum-for-mean"), ("sum", "mean", "mean-for-sum")],
)
def test_another_reduction_than_the_declared_one_is_named(
    torch: Any, declared: str, returned: str, deviation: str
) -> None:
    report = check(reduced(torch, returned), "sv-am-softmax", reduction=declared, dtype="float64")
    assert report.verdict == f"FAIL-AS({deviation})"


def test_a_mistake_in_a_reduced_loss_keeps_its_name(torch: Any) -> None:
    def on_plain_cosine(cosines: Any, labels: Any, **p: float) -> Any:
        own = labels[:, None]
        plain = cosines.gather(1, own)
        logits = torch.where(cosines > plain, p["t"] * cosines + p["t"] - 1, cosines).scatter(1, own, plain - p["m"])
        return torch.nn.functional.cross_entropy(p["s"] * logits, labels)

    assert check(on_plain_cosine, "sv-am-softmax", dtype="float64").verdict == "FAIL-AS(mask-on-plain-cosine)"


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_head_with_a_reduced_loss_is_right(torch: Any, reduction: str) -> None:
    report = check(torch_head(torch, reduction=reduction), "sv-am-softmax", dtype="float64")
    report.raise_if_wrong()
    assert report.counts[2].passed > 0


REDUCED = {"sum": np.sum, "mean": np.mean}


def by_numpy(reduction: str, of: str | None = None, named: bool = False) -> Callable[..., Any]:
    """A NumPy candidate that reduces its losses, with the gradient of the same scalar or of another."""

    def candidate(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        losses, gradient = SV_AM(cosines, labels, **p)
        gradient = gradient / len(labels) if (of or reduction) == "mean" else gradient
        loss = REDUCED[reduction](losses)
        return {"loss": loss, "grad_cosines": gradient} if named else (loss, gradient)

    return candidate


@pytest.mark.parametrize("named", [False, True], ids=["tuple", "dict"])
@pytest.mark.parametrize("declared", [False, True], ids=["found out", "declared"])
@pytest.mark.parametrize("reduction", REDUCED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_gradient_beside_a_scalar_is_the_scalar_s(reduction: str, dtype: str, declared: bool, named: bool) -> None:
    right = by_numpy(reduction, named=named)
    check(right, "sv-am-softmax", dtype=dtype, reduction=reduction if declared else None).raise_if_wrong()


@pytest.mark.parametrize(("reduction", "of"), [("mean", "sum"), ("sum", "mean")])
def test_a_scalar_with_the_gradient_of_another_is_wrong(reduction: str, of: str) -> None:
    report = check(by_numpy(reduction, of), "sv-am-softmax", dtype="float64")
    assert report.verdict.startswith("FAIL")
    assert {f.quantity for f in report.failures} == {"grad_cosines"}


@pytest.mark.parametrize("reduction", REDUCED)
def test_a_numpy_head_with_a_reduced_loss_is_right(reduction: str) -> None:
    def head(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> ARRAYS:
        losses, *gradients = head_of("sv-am-softmax", HEADS["head_by_units"])(embeddings, weights, labels, **p)
        return REDUCED[reduction](losses), *(g / (len(labels) if reduction == "mean" else 1) for g in gradients)

    report = check(head, "sv-am-softmax", dtype="float64")
    report.raise_if_wrong()
    assert report.counts[2].passed > 0


def test_a_column_of_losses_is_told_to_drop_its_axis(torch: Any) -> None:
    report = check(lambda c, y, **p: sv_am_of(torch, c, y, p)[:, None], "sv-am-softmax")
    assert report.verdict == "ERROR"
    assert report.mishaps[0].message.endswith("got shape (4, 1). Drop the last axis.")


def test_a_scalar_declared_as_rows_is_told_so(torch: Any) -> None:
    report = check(reduced(torch, "mean"), "sv-am-softmax", reduction="none")
    assert report.verdict == "ERROR"
    assert report.mishaps[0].message == "loss must have shape (4,); got shape (). Return them before any mean or sum."


def test_the_reduction_is_found_out_where_the_first_case_raises(torch: Any) -> None:
    def fragile(cosines: Any, labels: Any, **p: float) -> Any:
        if p["s"] == 4 and p["t"] == 1.25:
            raise RuntimeError("not with these")
        return reduced(torch, "mean")(cosines, labels, **p)

    report = check(fragile, "sv-am-softmax", framework="torch", dtype="float64")
    assert {m.message.split(" (")[0] for m in report.mishaps} == {"raised RuntimeError: not with these"}
    assert not report.failures
    assert list(report.cases.values()).count("PASS") > 15


# --- quantities on the way -------------------------------------------------------------------------------------------


def staged(wrong: str) -> Callable[..., dict[str, np.ndarray]]:
    """Return SV-AM on vectors that goes wrong in one stage, and returns all."""

    def head(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> dict:
        stages: dict[str, np.ndarray] = {}

        def on_cosines(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            stages.update(sv_am_stages(c * (1.001 if wrong == "cosines" else 1), labels, s, m, t, wrong))
            p = np.exp(stages["relative_logits"] - stages["loss"][:, None])
            g = s * p * np.where(stages["mask"], t, 1)
            g[np.arange(len(labels)), labels] = -s * p.sum(axis=1)
            return stages["loss"] * (1.001 if wrong == "loss" else 1), g

        with np.errstate(under="ignore"):
            loss, by_x, by_w = HEADS["head_by_units"](embeddings, weights, on_cosines)
        return {**stages, "loss": loss, "grad_embeddings": by_x, "grad_weights": by_w}

    return head


def sv_am_stages(c: np.ndarray, y: np.ndarray, s: float, m: float, t: float, wrong: str) -> dict[str, np.ndarray]:
    own = np.arange(len(y)), y
    f = c[own] - (2 * m if wrong == "margin_cosine" else m)
    mask = c > (c[own] if wrong == "mask" else f)[:, None]
    mask[own] = False
    lift = s * (t - 1) * (c + 1) / (s if wrong == "relative_logits" else 1)
    r = s * (c - f[:, None]) + lift * mask
    r[own] = -np.inf
    return {
        "cosines": c,
        "margin_cosine": f,
        "mask": mask,
        "relative_logits": r,
        "loss": np.logaddexp(0, np.logaddexp.reduce(r, axis=1)),
    }


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize("stage", ["cosines", "margin_cosine", "mask", "relative_logits", "loss"])
def test_the_first_departure_is_the_stage_that_goes_wrong(stage: str) -> None:
    report = check(staged(stage), "sv-am-softmax", dtype="float64")
    assert report.verdict.startswith("FAIL")
    assert report.departure is not None
    assert report.departure.stage == stage
    assert f"first departure   {stage}   sv-am-softmax-" in str(report)


def test_right_stages_depart_nowhere() -> None:
    report = check(staged(""), "sv-am-softmax", dtype="float64")
    report.raise_if_wrong()
    assert report.departure is None


def test_a_stage_of_another_shape_is_told() -> None:
    def column(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> dict[str, np.ndarray]:
        found = staged("loss")(embeddings, weights, labels, **p)
        return {**found, "margin_cosine": found["margin_cosine"][:, None]}

    report, rows = check(column, "sv-am-softmax", case=HEAD), len(golden.find(HEAD).labels)
    assert report.mishaps[0].message == f"margin_cosine must be numbers of shape ({rows},); got float64 of ({rows}, 1)."


def test_a_dict_without_a_loss_is_told(torch: Any) -> None:
    report = check(lambda c, y, **p: {"cosines": c}, "sv-am-softmax", framework="torch")
    assert (
        report.mishaps[0].message == 'a candidate that returns a dict must have "loss" or "logits" in it; got cosines.'
    )


def test_stages_that_autograd_passed_through_are_read(torch: Any) -> None:
    def doubled(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> dict[str, Any]:
        loss = sv_am_of(torch, cosines, labels, {"s": s, "m": 2 * m, "t": t})
        return {"loss": loss, "margin_cosine": cosines.gather(1, labels[:, None])[:, 0] - 2 * m}

    report: Report = check(doubled, "sv-am-softmax", dtype="float64")
    assert report.departure is not None
    assert report.departure.stage == "margin_cosine"


def test_a_head_of_a_variant_it_cannot_be_called_for_is_told_how(torch: Any) -> None:
    def head(embeddings: Any, weights: Any, labels: Any, *, s: float) -> None: ...

    with pytest.raises(CandidateError, match=r"it is called f\(embeddings, weights, labels, s=30, m=0.35, t=1.2\)"):
        check(head, "sv-am-softmax")
