"""Right stages are not called wrong: at poles and switches, with a reduced loss, and what nobody knows is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from svref.conformance import check


def steps_of(cosines: np.ndarray, labels: np.ndarray, s: float, f: np.ndarray, slope: np.ndarray) -> dict:
    """Return the stages of a loss without an emphasis, as its textbook would have them."""
    rows = np.arange(len(labels))
    r = s * (cosines - f[:, None])
    r[rows, labels] = -np.inf
    a = np.logaddexp.reduce(r, axis=1)
    q = np.exp(a - np.logaddexp(0, a))
    gradient = s * np.exp(r - np.logaddexp(0, a)[:, None])
    gradient[rows, labels] = target = -s * q * slope
    found = {"margin_cosine": f, "margin_slope": slope, "relative_logits": r, "log_odds_against": a, "q": q}
    found |= {"loss": np.logaddexp(0, a), "grad_target": target, "grad_cosines": gradient}
    return {name: values.astype(cosines.dtype) for name, values in found.items()}


@np.errstate(all="ignore")
def sphere(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> dict:
    theta = np.arccos(cosines[np.arange(len(labels)), labels])
    k = np.minimum(np.floor(m * theta / np.pi), m - 1)
    slope = (-1) ** k * m * np.sin(m * theta) / np.sin(theta)  # 0/0 at θ = 0
    return steps_of(cosines, labels, s, (-1) ** k * np.cos(m * theta) - 2 * k, slope)


def test_a_slope_that_is_nan_at_a_pole_is_a_policy_as_the_gradient_is() -> None:
    report = check(sphere, "a-softmax", dtype="float64")
    assert report.verdict == "PASS", str(report)


M = float(np.arccos(0.609375))


@np.errstate(all="ignore")
def beside_the_switch(cosines: np.ndarray, labels: np.ndarray, *, s: float) -> dict:
    c = cosines[np.arange(len(labels)), labels]
    sine = np.sqrt((1 - c) * (1 + c))
    before = c > np.cos(np.pi - M)  # a target is at the switch, where rounding decides
    f = np.where(before, c * np.cos(M) - sine * np.sin(M), c - M * np.sin(M))
    return steps_of(cosines, labels, s, f, np.where(before, np.cos(M) + c * np.sin(M) / sine, 1))


def test_stages_at_the_switch_of_a_tail_may_go_either_way_as_outputs_may() -> None:
    report = check(beside_the_switch, "arc-softmax", dialect="openvino", parameters={"m": M}, dtype="float64")
    assert report.verdict.startswith("PASS"), str(report)


def test_a_mean_beside_a_blank_is_no_stage() -> None:
    def unfinished(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> dict:
        f = cosines[np.arange(len(labels)), labels] - m
        found = steps_of(cosines, labels, s, f, np.ones(len(labels)))
        return {**found, "loss": cosines.dtype.type(found["loss"].mean()), "grad_cosines": ...}

    report = check(unfinished, "am-softmax", dtype="float64", reduction="mean")
    assert report.verdict == "UNSUPPORTED"
    assert {row.name for row in report.stages if row.state == "blank"} == {"grad_cosines"}
    assert {row.state for row in report.stages} == {"right", "blank"}


@pytest.mark.parametrize("value", [np.nan, -np.inf, 7.0])
def test_the_label_s_column_of_the_cosines_is_not_compared(value: float) -> None:
    def marked(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> dict:
        rows, c = np.arange(len(labels)), cosines.copy()
        found = steps_of(cosines, labels, s, cosines[rows, labels] - m, np.ones(len(labels)))
        c[rows, labels] = value
        return {**found, "cosines": c, 1: "a key of another kind", "foo": ...}

    assert check(marked, "am-softmax", dtype="float64", variations=0).verdict == "PASS"
