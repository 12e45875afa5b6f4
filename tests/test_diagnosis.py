"""Which mistake is it: every known one is found by its name, pairs and slips too, and nothing right is accused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from pairing import in_turn
from test_conformance import named

import svref
from svref import golden
from svref.conformance import Report, check, check_values
from svref.conformance.mistakes.guesses import pairs, singles
from svref.deviations import DEVIATIONS
from svref.deviations.dialects import DIALECTS, Dialect
from svref.golden.making.beyond import is_beyond_all

CORE = [v for v in golden.load() if v.result != "error"]
DTYPES = ("float64", "float32")
SHOWN = {name: [dtype for dtype in DTYPES if not is_beyond_all(name, dtype)] for name in DEVIATIONS}
PLANTED = [(name, dtypes[i % len(dtypes)]) for i, (name, dtypes) in enumerate(SHOWN.items()) if dtypes]  # in turn


def planted(name: str, variant: str, level: str | None = None) -> Callable[..., tuple]:
    """A candidate that makes the named mistake: of cosines, or of a head; None is the level of the mistake."""
    deviation, factory = DEVIATIONS[name], svref.VARIANTS[variant].factory

    def on_cosines(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        results = deviation.run(factory(**p), cosines.astype(float), labels, cotangent)
        return tuple(r.astype(cosines.dtype) for r in results)

    def on_head(
        embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float
    ) -> tuple:
        results = deviation.run_head(factory(**p), embeddings.astype(float), weights.astype(float), labels, cotangent)
        return tuple(r.astype(embeddings.dtype) for r in results)

    return on_cosines if (level or deviation.level) == "cosine" else on_head


def exposing(name: str, dtype: str) -> str:
    """The last variant some case of which exposes the mistake firmly: those with an emphasis come late."""
    level = DEVIATIONS[name].level
    return [v.variant for v in CORE if v.level == level and name in v.case["power"].get(dtype, {"firm": ()})["firm"]][
        -1
    ]


@pytest.mark.parametrize(("name", "dtype"), PLANTED)
def test_every_known_mistake_is_found_by_its_name(name: str, dtype: str) -> None:
    report = check(planted(name, exposing(name, dtype)), exposing(name, dtype), dtype=dtype)
    assert report.verdict.startswith("FAIL-AS(")
    assert name in [d.name for d in report.diagnosis]
    assert all(d.complete and d.matched == d.failing for d in report.diagnosis)


def changed(
    change: Callable[[svref.SVXSoftmax], svref.SVXSoftmax], name: str = "sv-am-softmax"
) -> Callable[..., tuple]:
    """A candidate that computes another loss, rightly."""

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        loss = change(svref.VARIANTS[name].factory(**p))
        step = loss.forward(cosines, labels)
        return step.loss, loss.backward(step, cotangent).cosines

    return candidate


def names_of(report: Report) -> list[str]:
    return [d.name for d in report.diagnosis if d.complete]


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_mistakes_at_once_are_found_as_a_pair(dtype: str) -> None:
    offset, eased = DEVIATIONS["t-offset"].change, DEVIATIONS["easy-margin-above-0"].change
    report = check(changed(lambda loss: offset(eased(loss))), "sv-am-softmax", dtype=dtype)
    assert report.verdict == "FAIL-AS(easy-margin-above-0 with t-offset)"

    def backward_too(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        loss = eased(svref.sv_am_softmax(**p))
        results = DEVIATIONS["slope-of-h-lost"].run(loss, cosines.astype(float), labels, cotangent)
        return tuple(r.astype(cosines.dtype) for r in results)

    assert "easy-margin-above-0 with slope-of-h-lost" in names_of(check(backward_too, "sv-am-softmax", dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_that_are_lost_or_taken_for_one_another_are_named(dtype: str) -> None:
    def slipped(**change: str) -> Callable[..., tuple]:
        def candidate(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
            loss = svref.sv_combined_softmax(**{**p, **{to: p[of] for to, of in change.items()}})
            step = loss.forward(cosines, labels)
            return step.loss, loss.backward(step, cotangent).cosines

        return candidate

    assert names_of(check(slipped(m2="m3", m3="m2"), "sv-combined-softmax", dtype=dtype)) == ["m2-and-m3-swapped"]


@pytest.mark.parametrize("eps", [1e-5, 1e-8, 1e-12])
def test_an_epsilon_in_the_log_is_named_with_its_size(eps: float) -> None:
    from svref.deviations.results import with_eps

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        return with_eps(eps)(svref.sv_am_softmax(**p), cosines, labels, cotangent)

    assert names_of(check(candidate, "sv-am-softmax", dtype="float64"))[0] == f"eps-in-log({eps:g})"


def test_computing_in_half_precision_is_named() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        own = np.arange(len(labels)), labels
        z = (p["s"] * cosines).astype(np.float16)
        z[own] -= np.float16(p["s"] * p["m"])
        shifted = z - z.max(axis=1, keepdims=True)
        e = np.exp(shifted)
        share = e / e.sum(axis=1, keepdims=True)
        losses = np.log(e.sum(axis=1)) - shifted[own]
        share[own] -= 1
        gradient = p["s"] * share * cotangent[:, None]
        return losses.astype(cosines.dtype), gradient.astype(cosines.dtype)

    assert "precision-downcast-float16" in names_of(check(candidate, "am-softmax", dtype="float32"))


def test_public_code_that_computes_it_is_told() -> None:
    report = check(planted("mask-on-uneased-margin", "sv-am-softmax"), "sv-am-softmax", dtype="float32")
    assert "xiaobocasia" in report.diagnosis[0].dialects
    assert "if you meant to follow that code:  --dialect xiaobocasia" in str(report)


PORTS = [(d, v) for d in DIALECTS for v in DIALECTS[d].losses]


@pytest.mark.parametrize(("of", "dtype"), in_turn(PORTS))
def test_a_port_of_public_code_is_right_by_its_dialect(of: tuple[str, str], dtype: str) -> None:
    name, variant = of
    dialect = DIALECTS[name]

    def port(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **told: float) -> tuple:
        loss = dialect.loss(variant, **as_the_paper_counts(dialect, variant, told))
        step = loss.forward(cosines, labels)
        return step.loss, loss.backward(step, cotangent).cosines

    check(port, variant, dialect=name, framework="numpy", dtype=dtype).raise_if_wrong()


def as_the_paper_counts(dialect: Dialect, variant: str, told: dict[str, float]) -> dict[str, float]:
    """The parameters that a dialect counts as `told`: the code may count t from 0, or m in degrees."""
    guesses = [dict(told), {**told, "t": told.get("t", 0) + 1}, {**told, "m": math.radians(told.get("m", 0))}]
    fitting = [p for p in guesses if p.keys() == told.keys() and _close(dialect.parameters(variant, p), told)]
    return fitting[0]


def _close(some: dict[str, float], others: dict[str, float]) -> bool:
    return all(math.isclose(some[name], others[name], rel_tol=1e-14) for name in others)


def test_a_mistake_in_a_port_is_named_too() -> None:
    dialect = DIALECTS["facex-zoo"]

    def port(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        return DEVIATIONS["mean-for-sum"].run(dialect.loss("sv-am-softmax", **p), cosines, labels, cotangent)

    assert names_of(check(port, "sv-am-softmax", dialect="facex-zoo", framework="numpy", dtype="float64")) == [
        "mean-for-sum"
    ]


def test_what_nobody_knows_is_not_given_a_name() -> None:
    faster = changed(lambda loss: svref.SVXSoftmax(loss.margin, loss.emphasis, s=1.01 * loss.s))
    report = check(faster, "sv-am-softmax", dtype="float64")
    assert report.verdict == "FAIL"
    assert names_of(report) == []
    assert "no known deviation explains them all" in str(report)


def test_a_mistake_in_some_rows_alone_is_not_called_a_known_one() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        right = changed(lambda loss: loss)(cosines, labels, cotangent=cotangent, **p)
        wrong = planted("t-offset", "sv-am-softmax")(cosines, labels, cotangent=cotangent, **p)
        return tuple(np.concatenate([w[:1], r[1:]]) for w, r in zip(wrong, right, strict=True))

    report = check(candidate, "sv-am-softmax", dtype="float32")
    assert report.verdict == "FAIL"
    assert not any(d.complete for d in report.diagnosis)


def test_the_first_departure_is_the_stage_of_the_mistake() -> None:
    stages = {
        "margin-ignored": "margin_cosine", "easy-margin-above-0": "margin_cosine", "mask-on-plain-cosine": "mask",
        "t-offset": "relative_logits", "fixed-for-adaptive": "relative_logits", "eps-in-log": "loss",
        "negatives-detached": "grad_cosines", "slope-of-h-lost": "grad_cosines",
    }  # fmt: skip
    for name, stage in stages.items():
        assert check(planted(name, "sv-am-softmax"), "sv-am-softmax", dtype="float64").departure.stage == stage, name
    head = planted("radial-gradient-kept", "sv-am-softmax")
    assert check(head, "sv-am-softmax", dtype="float64").departure.stage == "grad_embeddings"


def test_plain_arrays_are_diagnosed_too() -> None:
    loss = svref.sv_am_softmax(s=8.0, m=0.375, t=1.25)
    cosines, labels = np.array([[0.25, 0.5, -0.5], [0.75, 0.5, 0.25]]), [0, 0]
    wrong = DEVIATIONS["t-offset"].run(loss, cosines, labels)
    report = check_values(loss, cosines, labels, *wrong)
    assert report.verdict == "FAIL-AS(t-offset)"


def test_public_code_given_the_papers_t_is_told_its_dialect() -> None:
    def official(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        loss = DIALECTS["xiaobocasia"].loss("sv-am-softmax", **{**p, "t": p["t"] + 1})  # it takes t - 1
        step = loss.forward(cosines, labels)
        return step.loss, loss.backward(step, cotangent).cosines

    report = check(official, "sv-am-softmax", dtype="float32")
    assert report.verdict == "FAIL-AS(mask-on-uneased-margin with t-offset)"
    assert "--dialect xiaobocasia" in str(report)
    check(official, "sv-am-softmax", dialect="xiaobocasia", dtype="float64").raise_if_wrong()


def test_names_of_hypotheses_are_unique() -> None:
    known = [h.name for h in singles(svref.VARIANTS["sv-combined-softmax"])]
    assert len(set(known)) == len(known)
    of_pairs = [h.name for h in pairs()]
    assert len(set(of_pairs)) == len(of_pairs)


@pytest.mark.parametrize(
    ("mutant", "verdict"), [("half as much again", "FAIL-AS(gradient-scaled(1.5))"), ("one NaN", "FAIL")]
)
def test_what_no_list_holds_is_a_family_with_a_size_or_has_no_name(mutant: str, verdict: str) -> None:
    assert check(named(mutant), "sv-am-softmax", framework="numpy", dtype="float64").verdict == verdict
