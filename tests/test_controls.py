"""The testers are tested on every run; what a single call cannot show is found by calling again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from textbook import sv_am

from svref.conformance import Report, check, controls, running
from svref.judge import judge

NAME = "sv-am-softmax"


def test_three_controls_spoil_the_candidates_own_outputs_and_fail() -> None:
    assert len(controls.CONTROLS) == 3
    assert check(sv_am, NAME).blind == ()


@pytest.mark.parametrize("control", controls.CONTROLS)
def test_a_control_that_passes_makes_the_run_an_error(control: str) -> None:
    harmless = {**controls.CONTROLS, control: lambda got, expected, size: got}
    with mock.patch.object(controls, "CONTROLS", harmless):
        report = check(sv_am, NAME)
    assert (report.verdict, report.blind, report.ok) == ("ERROR", (control,), False)
    assert f"ERROR  the check cannot see this candidate: it passed with {control}" in str(report)
    with pytest.raises(AssertionError, match="cannot see this candidate"):
        report.raise_if_wrong()


def test_a_judge_that_lets_everything_pass_is_an_error_and_not_a_pass() -> None:
    def lenient(reference: Any, outputs: Any) -> Any:
        return judge(reference, {name: _right(reference, name) for name in outputs})

    with mock.patch.object(running, "judge", lenient), mock.patch("svref.conformance.trial.judge", lenient):
        report = check(sv_am, NAME)
    assert report.verdict == "ERROR"
    assert set(report.blind) == set(controls.CONTROLS)


def _right(reference: Any, name: str) -> np.ndarray:
    return next(r.value for r in reference.ways[0] if r.name == name).astype(reference.dtype)


def test_a_candidate_that_is_wrong_everywhere_needs_no_control() -> None:
    report = check(lambda cosines, labels, **p: (cosines[:, 0] * 0 - 1, cosines * 0 - 1), NAME)
    assert report.verdict == "FAIL"


# ---- hidden state: the second call, and a row alone ------------------------------------------------------------------


def counted(change: Callable[[int, int], float]) -> Callable[..., Any]:
    """A right candidate whose losses are multiplied by `change(calls before, rows)`."""
    calls: list[int] = []

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        losses, gradient = sv_am(cosines, labels, s=s, m=m, t=t)
        calls.append(len(labels))
        return losses * change(len(calls) - 1, len(labels)), gradient

    return candidate


def test_annealing_that_counts_its_calls_is_hidden_state() -> None:
    report = check(counted(lambda calls, rows: 1 + 1e-3 / (1 + calls)), NAME)
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert "FAIL  is  hidden-state" in str(report)
    finding = report.findings[0]
    assert finding.name == "hidden-state"
    assert finding.text.startswith("the second call gives loss[0] = ")
    assert f"{'hidden-state':<17} {finding.case}: {finding.text}" in str(report)


def test_an_element_that_is_right_the_first_time_alone_is_found() -> None:
    many = len(check(sv_am, NAME).cases)
    report = check(counted(lambda calls, rows: 1.0 if calls < many + 10 else 2.0), NAME)
    assert not report.failures
    assert report.verdict == "FAIL-AS(hidden-state)"


def test_a_mean_that_leaks_into_the_rows_is_found_by_one_row_alone() -> None:
    def centred(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        losses, gradient = sv_am(cosines, labels, **p)
        return losses + (1.0 if len(labels) == 1 else 0.0), gradient

    report = check(centred, NAME, case=_case_of_rows())
    assert not report.failures
    assert report.verdict == "FAIL-AS(rows-influence-each-other)"
    assert " alone gives loss[" in report.findings[0].text


def _case_of_rows() -> str:
    return next(case for case in check(sv_am, NAME).cases if "basic" in case)


def test_a_candidate_that_can_only_be_called_once_is_found() -> None:
    seen: set[bytes] = set()

    def once(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        key = cosines.tobytes() + bytes(str(p), "ascii")
        if key in seen:
            raise RuntimeError("the graph was freed")
        seen.add(key)
        return sv_am(cosines, labels, **p)

    report = check(once, NAME, framework="numpy", reduction="none")
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert "the second call raised RuntimeError: the graph was freed" in report.findings[0].text


def test_a_pure_candidate_has_no_findings() -> None:
    assert check(sv_am, NAME).findings == ()


# ---- ignored rows ---------------------------------------------------------------------------------------------------


def ignoring(spoil: Callable[..., None]) -> Callable[..., Any]:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, ignore_index: int = -100, **p: float) -> Any:
        ignored = labels == ignore_index
        losses, gradient = sv_am(cosines, np.where(ignored, 0, labels), **p)
        losses[ignored], gradient[ignored] = 0, 0
        spoil(losses, gradient, ignored)
        return losses, gradient

    return candidate


def test_ignored_rows_that_are_left_out_are_right() -> None:
    check(ignoring(lambda *_: None), NAME).raise_if_wrong()


def of_ignored(spoil: Callable[..., None]) -> Report:
    report = check(ignoring(spoil), NAME)
    assert report.verdict == "FAIL-AS(ignored-rows-counted)"
    return report


def test_ignored_rows_with_a_loss_a_gradient_or_an_effect_on_others_are_named() -> None:
    def loss(losses: np.ndarray, gradient: np.ndarray, ignored: np.ndarray) -> None:
        losses[ignored] = 1

    def slope(losses: np.ndarray, gradient: np.ndarray, ignored: np.ndarray) -> None:
        gradient[ignored] = 1

    def others(losses: np.ndarray, gradient: np.ndarray, ignored: np.ndarray) -> None:
        losses[~ignored] *= 1 + ignored.any()

    assert "the loss of a row with the ignored label is 1, should be 0" in of_ignored(loss).findings[0].text
    assert "the gradient of a row with the ignored label is not 0" in of_ignored(slope).findings[0].text
    assert "a batch with an ignored row gives loss[" in of_ignored(others).findings[0].text


# ---- inputs that must raise -----------------------------------------------------------------------------------------


def test_invalid_inputs_are_counted_and_judged_where_that_is_asked_for() -> None:
    lax = check(sv_am, NAME)
    assert lax.ok
    assert 0 < lax.refused < lax.invalid == 7
    strict = check(sv_am, NAME, strict=True)
    assert strict.verdict == "FAIL-AS(invalid-input-accepted)"
    assert len(strict.findings) == strict.invalid - strict.refused
    assert "the input is invalid and must raise" in str(strict)
