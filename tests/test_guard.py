"""Candidates that misbehave: what each did is reported, and the run goes on with the other cases."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textbook import sv_am

from svref.conformance import Report, check

NAME = "sv-am-softmax"
Candidate = Callable[..., Any]


def at_a_large_scale(misbehave: Callable[..., Any]) -> Candidate:
    """A right candidate that at s = 32 does something else first, and returns that where it is not None."""

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        right = sv_am(cosines, labels, s=s, m=m, t=t)
        made = misbehave(cosines, labels, *right) if s == 32 else None
        return right if made is None else made

    return candidate


def judged(misbehave: Callable[..., Any], **options: Any) -> Report:
    report = check(at_a_large_scale(misbehave), NAME, framework="numpy", **options)
    others = [verdict for case, verdict in report.cases.items() if case not in broken(report)]
    assert others, "no case but the misbehaving ones was judged"
    assert set(others) <= {"PASS", "VACUOUS"}
    return report


def broken(report: Report) -> set[str]:
    return {m.case for m in report.mishaps} | {f.case for f in report.failures}


def raises(*_: Any) -> None:
    def inner(left: int) -> None:
        if left:
            inner(left - 1)
        raise RuntimeError("no kernel\nand forty lines of a dump")

    inner(6)


def test_a_candidate_that_raises_is_reported_with_the_end_of_its_own_traceback() -> None:
    report = judged(raises)
    mishap = report.mishaps[0]
    assert report.verdict == "ERROR"
    assert {m.kind for m in report.mishaps} == {"raised"}
    assert mishap.message.startswith("raised RuntimeError: no kernel (called with arrays of numpy ")
    assert len(mishap.trace) == 3
    assert all(str(Path(__file__)) in frame for frame in mishap.trace)
    assert mishap.trace[-1].endswith('raise RuntimeError("no kernel\\nand forty lines of a dump")')
    assert f"ERROR  no answer in {len(report.mishaps)} of 34 cases" in str(report)


def test_an_error_inside_a_library_is_traced_to_the_candidates_own_line() -> None:
    report = judged(lambda cosines, labels, *_: np.reshape(cosines, (-1, 1000)))
    assert "reshape" in report.mishaps[0].trace[-1]
    assert all("site-packages" not in frame for frame in report.mishaps[0].trace)


def spins(*_: Any) -> None:
    while True:
        pass


@pytest.mark.parametrize("hangs", [spins, lambda *_: time.sleep(2)], ids=["in Python", "in C"])
def test_a_candidate_that_hangs_is_given_up_after_the_timeout(hangs: Callable[..., Any]) -> None:
    report = judged(hangs, timeout=0.05)
    assert report.verdict == "ERROR"
    assert {(m.kind, m.message) for m in report.mishaps} == {("hung", "no answer within 0.05 s")}


def test_a_thread_that_hung_in_python_is_stopped() -> None:
    at: list[float] = []

    def ticks(*_: Any) -> None:
        while True:
            at.append(time.monotonic())

    judged(ticks, timeout=0.05)
    count = len(at)
    time.sleep(0.1)
    assert len(at) == count


@pytest.mark.parametrize("leaves", [lambda *_: sys.exit(0), lambda *_: exit(3)], ids=["sys.exit", "exit"])
def test_a_candidate_that_exits_is_reported_and_does_not_end_the_run(leaves: Callable[..., Any]) -> None:
    report = judged(leaves)
    assert report.verdict == "ERROR"
    assert report.mishaps[0].message.startswith("raised SystemExit: ")


def test_nan_is_wrong_however_wide_the_tolerance() -> None:
    report = judged(lambda cosines, labels, losses, gradient: (losses * np.nan, gradient))
    assert report.verdict == "FAIL"
    assert {f.quantity for f in report.failures} == {"loss"}
    assert np.isinf(report.failures[0].error)
    assert "loss[0] = nan, but should be" in str(report)


def test_another_dtype_is_wrong_and_named() -> None:
    report = judged(lambda cosines, labels, losses, gradient: (losses, gradient.astype(np.float32)))
    assert report.verdict == "FAIL"
    assert "returned in float32 where float64 was given" in str(report)


SHAPES = {
    "loss must have shape": lambda cosines, labels, losses, gradient: (losses[:, None], gradient),
    "grad_cosines must have shape": lambda cosines, labels, losses, gradient: (losses, gradient[:, 1:]),
    "must return the tuple (losses, grad_cosines); got list": lambda *_: [],
    "loss must be real numbers; got dtype <U1": lambda cosines, labels, losses, gradient: (
        np.full(len(labels), "a"),
        gradient,
    ),
    "loss must be real numbers; got dtype object": lambda cosines, labels, losses, gradient: (
        np.array([None] * len(labels)),
        gradient,
    ),
    "loss must be real numbers; got dtype bool": lambda cosines, labels, losses, gradient: (losses > 0, gradient),
    "outputs must be plain arrays; got a masked array": lambda cosines, labels, losses, gradient: (
        np.ma.masked_array(losses, mask=True),
        gradient,
    ),
}


@pytest.mark.parametrize("message", SHAPES)
def test_what_is_no_losses_and_gradient_is_told_case_by_case(message: str) -> None:
    report = judged(SHAPES[message])
    assert report.verdict == "ERROR"
    assert {m.kind for m in report.mishaps} == {"unusable"}
    assert message in report.mishaps[0].message


def test_what_is_printed_is_kept_from_the_screen_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    def chatters(*_: Any) -> None:
        print("x" * 1000)
        print("y" * 1000, file=sys.stderr)
        warnings.warn("loud", stacklevel=1)

    report = judged(chatters)
    assert report.ok
    assert capfd.readouterr() == ("", "")
    (remark,) = report.remarks
    assert remark.startswith("prints (")
    assert int(remark[8:].split(" ")[0].replace(",", "")) >= 2000


def test_inputs_that_are_written_into_are_remarked_and_judged_by_their_own_copies() -> None:
    def writes_into(which: int) -> Candidate:
        def candidate(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> Any:
            right = sv_am(cosines, labels, **parameters)
            np.subtract((cosines, labels)[which], 1, out=(cosines, labels)[which])
            return right

        return candidate

    for which in (0, 1):
        report = check(writes_into(which), NAME)
        assert report.ok
        assert report.remarks == {"writes into its inputs": 27}
        assert "27 cases: the candidate writes into its inputs" in str(report)


def test_the_world_is_as_it_was_after_a_candidate_has_changed_it(tmp_path: Path) -> None:
    def meddles(*_: Any) -> None:
        np.seterr(all="raise")
        warnings.simplefilter("error")
        sys.stdout.write("")

    before = np.geterr(), list(warnings.filters), os.getcwd(), sys.stdout
    assert judged(meddles).ok
    assert (np.geterr(), list(warnings.filters), os.getcwd(), sys.stdout) == before


def test_what_a_candidate_says_it_cannot_do_is_counted_and_is_no_pass_of_that_case() -> None:
    def declines(*_: Any) -> None:
        raise NotImplementedError("s = 32 overflows here")

    report = judged(declines)
    assert report.verdict == "PASS"
    assert {m.kind for m in report.mishaps} == {"unsupported"}
    assert [report.cases[m.case] for m in report.mishaps] == ["UNSUPPORTED"] * len(report.mishaps)
    assert f"unsupported     {len(report.mishaps):6d} cases: s = 32 overflows here" in str(report)


def test_a_candidate_that_can_do_nothing_is_unsupported() -> None:
    def declines(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        raise NotImplementedError

    report = check(declines, NAME, framework="numpy")
    assert report.verdict == "UNSUPPORTED"
    assert "UNSUPPORTED  no case was answered" in str(report)


def test_losses_without_a_gradient_are_judged_and_unsupported() -> None:
    report = check(lambda cosines, labels, **p: (sv_am(cosines, labels, **p)[0], None), NAME)
    assert (report.verdict, report.missing) == ("UNSUPPORTED", ("grad_cosines",))
    assert report.counts[0].passed > 0
    assert "no answer has grad_cosines" in str(report)


def test_a_detached_torch_loss_is_told_so(torch: Any) -> None:
    def detached(cosines: Any, labels: Any, *, s: float, m: float) -> Any:
        z = s * cosines.detach()
        z[torch.arange(len(labels)), labels] -= s * m
        return torch.nn.functional.cross_entropy(z, labels, reduction="none")

    report = check(detached, "am-softmax", framework="torch")
    assert report.verdict == "ERROR"
    assert "autograd has no gradient; the losses are detached" in report.mishaps[0].message
