"""The testers are tested on every run; what a single call cannot show is found by calling again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from formulations import HEADS, candidate
from textbook import sv_am

import svref
from svref import golden
from svref.conformance import Report, check
from svref.conformance.checking import asking, controls
from svref.judging.judge import judge

NAME = "sv-am-softmax"


def test_three_controls_spoil_the_candidates_own_outputs_and_fail() -> None:
    assert len(controls.CONTROLS) == 3
    assert check(sv_am, NAME, dtype="float64").blind == ()


@pytest.mark.parametrize("control", controls.CONTROLS)
def test_a_control_that_passes_makes_the_run_an_error(control: str) -> None:
    harmless = {**controls.CONTROLS, control: lambda got, expected, size: got}
    with mock.patch.object(controls, "CONTROLS", harmless):
        report = check(sv_am, NAME, dtype="float64")
    named = tuple(f"{control} in {output}" for output in ("loss", "grad_cosines"))
    assert (report.verdict, report.blind, report.ok) == ("ERROR", named, False)
    assert f"see mistakes of this candidate: outputs spoiled on purpose passed, {control} in loss" in str(report)
    with pytest.raises(AssertionError, match="cannot see mistakes of this candidate"):
        report.raise_if_wrong()


def test_a_judge_that_lets_everything_pass_is_an_error_and_not_a_pass() -> None:
    def lenient(reference: Any, outputs: Any) -> Any:
        return judge(reference, {name: _right(reference, name) for name in outputs})

    with mock.patch.object(asking, "judge", lenient), mock.patch("svref.conformance.trial.judge", lenient):
        report = check(sv_am, NAME, dtype="float64")
    assert report.verdict == "ERROR"
    assert {name.split(" in ")[0] for name in report.blind} == set(controls.CONTROLS)


def test_a_judge_that_is_blind_to_one_output_is_found_though_the_others_are_seen() -> None:
    def blind_to_gradients(reference: Any, outputs: Any) -> Any:
        return judge(reference, {n: v if n == "loss" else _right(reference, n) for n, v in outputs.items()})

    with mock.patch("svref.conformance.trial.judge", blind_to_gradients):
        report = check(sv_am, NAME, dtype="float64")
    assert report.verdict == "ERROR"
    assert report.blind == tuple(f"{control} in grad_cosines" for control in controls.CONTROLS)


def test_an_output_that_is_right_by_zeros_alone_has_no_opposite_and_is_not_spoiled() -> None:
    cases = [v for v in golden.load() if v.variant == "am-softmax" and v.level == "cosine"]
    one_class = next(v.id for v in cases if v.inputs["cosines"].shape[1] == 1)
    report = check(
        lambda cosines, labels, *, s, m: (cosines[:, 0] * 0, cosines * 0), "am-softmax", case=one_class, dtype="float64"
    )
    assert (report.verdict, report.blind) == ("PASS", ())


def _right(reference: Any, name: str) -> np.ndarray:
    return next(r.value for r in reference.ways[0] if r.name == name).astype(reference.dtype)


@pytest.mark.usefixtures("undiagnosed")
def test_a_candidate_that_is_wrong_everywhere_needs_no_control() -> None:
    report = check(lambda cosines, labels, **p: (cosines[:, 0] * 0 - 1, cosines * 0 - 1), NAME, dtype="float64")
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


def test_a_repeated_call_without_an_answer_in_time_is_an_error_and_no_finding() -> None:
    cases = len([v for v in golden.load() if v.variant == NAME and v.level == "cosine"])
    calls: list[int] = []

    def slow_when_asked_again(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        calls.append(1)
        time.sleep(0.3 * (len(calls) == cases + 10))
        return sv_am(cosines, labels, **p)

    def slow_at_one_row(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        time.sleep(0.3 * (len(labels) == 1))
        return sv_am(cosines, labels, **p)

    for slow, told in ((slow_when_asked_again, "the second call"), (slow_at_one_row, " alone")):
        report = check(slow, NAME, timeout=0.1, framework="numpy", reduction="none", dtype="float64")
        assert (report.verdict, report.findings) == ("ERROR", ())
        assert report.mishaps[-1].kind == "hung"
        assert f"{told}: no answer within 0.1 s" in report.mishaps[-1].message


@pytest.mark.parametrize("refuses", [lambda loss: loss.squeeze(), lambda loss: 1 / (len(loss) - 1) * 0 + loss])
def test_a_row_that_cannot_be_asked_alone_is_no_influence_of_other_rows(refuses: Callable[..., Any]) -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        losses, gradient = sv_am(cosines, labels, **p)
        return refuses(losses), gradient

    report = check(candidate, NAME, framework="numpy", dtype="float64")
    assert (report.verdict, report.findings) == ("ERROR", ())
    assert " alone" in report.mishaps[-1].message


def test_a_row_alone_that_raises_is_told_with_the_line_of_the_candidate() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        if len(labels) == 1:
            raise ValueError("one row")
        return sv_am(cosines, labels, **p)

    mishap = check(candidate, NAME, framework="numpy", dtype="float64").mishaps[-1]
    assert mishap.kind == "raised"
    assert 'raise ValueError("one row")' in mishap.trace[-1]


def test_state_is_reproduced_by_all_cases_since_one_alone_may_not_show_it(tmp_path: Path) -> None:
    path = tmp_path / "stateful.py"
    path.write_text(
        "import numpy as np\nimport svref\ncalls = []\n\n"
        "def f(cosines, labels, **p):\n"
        "    calls.append(1)\n"
        "    losses, gradient = svref.sv_am_softmax(**p).value_and_grad(cosines, labels, reduction='none')\n"
        "    return losses * (2 if len(calls) > 60 else 1), gradient\n"
    )
    report = check(f"{path}:f", NAME, dtype="float64")
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert report.reproduce == f"svref check {path}:f --loss {NAME} --dtype float64"


def test_annealing_that_counts_its_calls_is_hidden_state() -> None:
    report = check(counted(lambda calls, rows: 1 + 1e-3 / (1 + calls)), NAME, dtype="float64")
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert "FAIL  is  hidden-state" in str(report)
    finding = report.findings[0]
    assert finding.name == "hidden-state"
    assert finding.text.startswith("the second call gives loss[0] = ")
    assert f"{'hidden-state':<17} {finding.case}: {finding.text}" in str(report)


def test_an_element_that_is_right_the_first_time_alone_is_found() -> None:
    many = len(check(sv_am, NAME, dtype="float64").cases)
    report = check(counted(lambda calls, rows: 1.0 if calls < many + 10 else 2.0), NAME, dtype="float64")
    assert not report.failures
    assert report.verdict == "FAIL-AS(hidden-state)"


def test_every_case_is_asked_again_not_only_the_first_of_a_group() -> None:
    last = [v for v in golden.load() if v.variant == NAME and v.group == "basic" and v.level == "cosine"][-1]
    seen: list[int] = []

    def tires(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        losses, gradient = sv_am(cosines, labels, **p)
        if np.array_equal(cosines, last.inputs["cosines"]) and p == last.parameters:
            seen.append(1)
        return losses * (2 if len(seen) == 2 else 1), gradient

    report = check(tires, NAME, reduction="none", dtype="float64")
    assert (report.verdict, report.findings[0].case) == ("FAIL-AS(hidden-state)", last.id)


@pytest.mark.parametrize("junk", [None, "x", 1j, [[1, 2], [3]]], ids=str)
def test_a_second_call_that_gives_no_numbers_is_a_finding_and_no_crash(junk: Any) -> None:
    calls: dict[bytes, int] = {}

    def wears_out(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        key = cosines.tobytes() + bytes(str(p), "ascii")
        calls[key] = calls.get(key, 0) + 1
        losses, gradient = sv_am(cosines, labels, **p)
        return (losses if calls[key] == 1 else junk), gradient

    report = check(wears_out, NAME, framework="numpy", reduction="none", dtype="float64")
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert report.findings[0].text.startswith("the second call ")


def test_a_mean_that_leaks_into_the_rows_is_found_by_one_row_alone() -> None:
    def centred(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        losses, gradient = sv_am(cosines, labels, **p)
        return losses + (1.0 if len(labels) == 1 else 0.0), gradient

    report = check(centred, NAME, case=_case_of_rows(), dtype="float64")
    assert not report.failures
    assert report.verdict == "FAIL-AS(rows-influence-each-other)"
    assert " alone gives loss[" in report.findings[0].text


def _case_of_rows() -> str:
    return next(case for case in check(sv_am, NAME, dtype="float64").cases if "basic" in case)


def test_a_candidate_that_can_only_be_called_once_is_found() -> None:
    seen: set[bytes] = set()

    def once(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        key = cosines.tobytes() + bytes(str(p), "ascii")
        if key in seen:
            raise RuntimeError("the graph was freed")
        seen.add(key)
        return sv_am(cosines, labels, **p)

    report = check(once, NAME, framework="numpy", reduction="none", dtype="float64")
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert "the second call raised RuntimeError: the graph was freed" in report.findings[0].text


def test_a_pure_candidate_has_no_findings() -> None:
    assert check(sv_am, NAME, dtype="float64").findings == ()


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
    check(ignoring(lambda *_: None), NAME, dtype="float64").raise_if_wrong()


def of_ignored(spoil: Callable[..., None]) -> Report:
    report = check(ignoring(spoil), NAME, dtype="float64")
    assert report.verdict == "FAIL-AS(ignored-rows-counted)"
    return report


def test_ignored_rows_with_a_loss_a_gradient_or_an_effect_on_others_are_named() -> None:
    def loss(losses: np.ndarray, gradient: np.ndarray, ignored: np.ndarray) -> None:
        losses[ignored] = 1

    def slope(losses: np.ndarray, gradient: np.ndarray, ignored: np.ndarray) -> None:
        gradient[ignored] = 1

    def others(losses: np.ndarray, gradient: np.ndarray, ignored: np.ndarray) -> None:
        losses[~ignored] *= 1 + ignored.any()

    assert "the loss of a row with the ignored label is 1, but should be 0" in of_ignored(loss).findings[0].text
    assert "the gradient of a row with the ignored label is not 0" in of_ignored(slope).findings[0].text
    assert "a batch with an ignored row gives loss[" in of_ignored(others).findings[0].text


# ---- inputs that must raise -----------------------------------------------------------------------------------------


def test_invalid_inputs_are_counted_and_judged_where_that_is_asked_for() -> None:
    lax = check(sv_am, NAME, dtype="float64")
    assert lax.ok
    assert 0 < lax.refused < lax.invalid == 7
    strict = check(sv_am, NAME, strict=True, dtype="float64")
    assert strict.verdict == "FAIL-AS(invalid-input-accepted)"
    assert len(strict.findings) == strict.invalid - strict.refused
    assert "the input is invalid and must raise" in str(strict)


INVALID = next(v.id for v in golden.load() if v.variant == NAME and v.level == "cosine" and v.result == "error")


@pytest.mark.parametrize("junk", [None, 3.0, "x", (None, None), [], {"losses": 0}], ids=str)
def test_junk_is_no_refusal(junk: Any) -> None:
    def careless(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        try:
            svref.sv_am_softmax(**p).value(cosines, labels)
        except (ValueError, TypeError):
            return junk
        return sv_am(cosines, labels, **p)

    asked = {"dtype": "float64", "variations": 0}
    report = check(careless, NAME, **asked)
    assert (report.invalid, report.refused) == (7, 0)
    assert check(careless, NAME, strict=True, **asked).verdict == "FAIL-AS(invalid-input-accepted)"


def test_an_exception_is_a_refusal() -> None:
    def careful(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        svref.sv_am_softmax(**p).value(cosines, labels)
        return sv_am(cosines, labels, **p)

    report = check(careful, NAME, strict=True, dtype="float64")
    assert (report.verdict, report.invalid, report.refused) == ("PASS", 7, 7)


def test_an_invalid_input_that_is_named_is_judged_alone() -> None:
    for strict in (False, True):
        report = check(
            lambda cosines, labels, **p: (cosines[:, 0], cosines), NAME, case=INVALID, strict=strict, dtype="float64"
        )
        assert (report.verdict, report.invalid) == ("FAIL-AS(invalid-input-accepted)", 1)


def test_invalid_inputs_are_left_unasked_on_request() -> None:
    labels_seen: list[int] = []

    def native(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        labels_seen.extend(labels.astype(int) - cosines.shape[1])
        return sv_am(cosines, labels, **p)

    report = check(native, NAME, invalid=False, dtype="float64")
    assert (report.verdict, report.invalid, report.refused) == ("PASS", 0, 0)
    assert max(labels_seen) < 0
    with pytest.raises(ValueError, match="strict judges the inputs that must raise, but invalid=False leaves them out"):
        check(native, NAME, invalid=False, strict=True)
    with pytest.raises(ValueError, match="has no case"):
        check(native, NAME, invalid=False, case=INVALID)


def test_a_row_that_alone_rounds_to_a_pole_shows_no_influence() -> None:
    arc = candidate("arc-softmax", "acos", "log_sum_exp")
    alone: list[float] = []

    def head(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        def on_cosines(c: np.ndarray) -> Any:  # BLAS sums a single row in another order
            if len(labels) == 1:
                alone.append(float(c.max()))
                return arc(np.where(c > 1 - 2.0**-20, np.float32(1), c), labels, **p)
            return arc(np.minimum(c, np.float32(1 - 2.0**-24)), labels, **p)

        return HEADS["head_by_units"](embeddings, weights, on_cosines)

    near_parallel = next(v.id for v in golden.load() if v.variant == "arc-softmax" and "NearParallelRows" in v.flags)
    report = check(head, "arc-softmax", dtype="float32", case=near_parallel)
    assert report.findings == (), report
    assert max(alone) > 1 - 2.0**-20, "no row was near enough to a pole"


def test_outputs_are_copied_so_that_reused_buffers_hide_no_state() -> None:
    buffers: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def reuses(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        key = cosines.tobytes() + bytes(str(p), "ascii")
        again = key in buffers
        losses, gradient = sv_am(cosines, labels, **p)
        kept = buffers.setdefault(key, (losses.copy(), gradient.copy()))
        kept[0][...], kept[1][...] = losses + 7 * again, gradient
        return kept

    assert check(reuses, NAME, framework="numpy", dtype="float64").verdict == "FAIL-AS(hidden-state)"
