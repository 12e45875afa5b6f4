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

from svref import golden
from svref.conformance import CandidateError, Report, check, diagnose

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
    assert f"ERROR  no answer in {len(report.mishaps)} of {report.header['cases']} cases" in str(report)


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


def test_the_timeout_counts_while_the_framework_is_found_out() -> None:
    def waits(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        time.sleep(30)

    case = next(v.id for v in golden.load() if v.variant == NAME and v.level == "cosine")
    before = time.monotonic()
    report = check(waits, NAME, timeout=0.05, case=case)
    assert time.monotonic() - before < 15
    assert (report.verdict, report.mishaps[0].kind) == ("ERROR", "hung")
    with pytest.raises(CandidateError, match=r"no losses|there are none: no answer within 0\.05 s"):
        diagnose(waits, NAME, timeout=0.05)


def test_a_thread_that_hung_in_python_is_stopped() -> None:
    at: list[float] = []

    def ticks(*_: Any) -> None:
        while True:
            at.append(time.monotonic())

    judged(ticks, timeout=0.05)
    count = len(at)
    time.sleep(0.1)
    assert len(at) == count


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def silent(*_: Any) -> None:
    raise SilentError


def generator_exit(*_: Any) -> None:
    raise GeneratorExit("done")


class Own(BaseException):
    pass


def own(*_: Any) -> None:
    raise Own("of its own kind")


@pytest.mark.parametrize("timeout", [None, 10.0])
@pytest.mark.parametrize(
    ("leaves", "said"),
    [
        (lambda *_: sys.exit(0), "raised SystemExit: 0"),
        (lambda *_: exit(3), "raised SystemExit: 3"),
        (lambda *_: os._exit(0), "raised ExitedError: os._exit(0)"),
        (silent, "raised SilentError: (its message raises, too)"),
        (generator_exit, "raised GeneratorExit: done"),
        (own, "raised Own: of its own kind"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_candidate_that_leaves_is_reported_and_does_not_end_the_run(
    leaves: Callable[..., Any], said: str, timeout: float | None
) -> None:
    report = judged(leaves, timeout=timeout)
    assert report.verdict == "ERROR"
    assert report.mishaps[0].kind == "raised"
    assert report.mishaps[0].message.startswith(said)


def test_os_exit_is_the_real_one_again_after_a_call_and_in_a_forked_child() -> None:
    real = os._exit

    def forks(*_: Any) -> None:
        child = os.fork() if hasattr(os, "fork") else 0
        if child == 0 and hasattr(os, "fork"):
            os._exit(7)
        assert not child or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    assert judged(forks).ok
    assert os._exit is real


def test_an_interrupt_is_the_users_and_ends_the_run() -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    for timeout in (None, 10.0):
        with pytest.raises(KeyboardInterrupt):
            judged(interrupted, timeout=timeout)


def test_nan_is_wrong_however_wide_the_tolerance() -> None:
    report = judged(lambda cosines, labels, losses, gradient: (losses * np.nan, gradient))
    assert report.verdict == "FAIL"
    assert {f.quantity for f in report.failures} == {"loss"}
    assert np.isinf(report.failures[0].error)
    assert "loss[0] = nan, but should be" in str(report)


def test_another_dtype_is_wrong_and_named() -> None:
    report = judged(lambda cosines, labels, losses, gradient: (losses, gradient.astype(np.float32)))
    assert report.verdict == "FAIL-AS(precision-downcast-float32)"
    assert "returned in float32 where float64 was given" in str(report)


SHAPES = {
    "loss must have shape": lambda cosines, labels, losses, gradient: (losses[:, None], gradient),
    "grad_cosines must have shape": lambda cosines, labels, losses, gradient: (losses, gradient[:, 1:]),
    "must return the tuple (losses, grad_cosines); got list": lambda *_: [],
    "must return the tuple (losses, grad_cosines); got a tuple of 3": lambda *_: (1.0, 2.0, 3.0),
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


LOSSES = [
    (lambda gradient: (None, gradient), "loss must be real numbers; got dtype object."),
    (lambda gradient: (1j, gradient), "loss must be real numbers; got dtype complex128."),
    (lambda gradient: ("x", gradient), "loss must be real numbers; got dtype <U1."),
    (lambda gradient: (True, gradient), "loss must be real numbers; got dtype bool."),
    (lambda gradient: {"loss": None, "grad_cosines": gradient}, "loss must be real numbers; got dtype object."),
    (lambda gradient: ([[1.0, 2.0], [3.0]], gradient), "outputs must be arrays of numbers; got a list: "),
]


@pytest.mark.parametrize(("returned", "message"), LOSSES)
def test_a_loss_that_is_no_number_is_told_in_every_case(returned: Callable[..., Any], message: str) -> None:
    report = check(lambda cosines, labels, *, s, m, t: returned(cosines), NAME, dtype="float64")
    assert report.verdict == "ERROR"
    assert {m.kind for m in report.mishaps} == {"unusable"}
    assert all(m.message.startswith(message) for m in report.mishaps)


def test_a_column_of_losses_is_told_to_drop_its_axis_and_a_mean_of_rows_that_it_is_one() -> None:
    column = judged(lambda cosines, labels, losses, gradient: (losses[:, None], gradient))
    assert column.mishaps[0].message.endswith("got shape (4, 1). Drop the last axis.")
    less = judged(lambda cosines, labels, losses, gradient: (losses[:1], gradient))
    assert less.mishaps[0].message.endswith("got shape (1,). Return them before any mean or sum.")
    more = judged(lambda cosines, labels, losses, gradient: (np.repeat(losses, 2), gradient))
    assert more.mishaps[0].message.endswith("got shape (8,).")


def test_what_is_printed_is_kept_from_the_screen_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    def chatters(*_: Any) -> None:
        print("x" * 1000)
        print("y" * 1000, file=sys.stderr)
        sys.stdout.buffer.write("θ".encode() * 1000)
        warnings.warn("loud", stacklevel=1)

    report = judged(chatters)
    assert report.ok
    assert capfd.readouterr() == ("", "")
    (remark,) = report.remarks
    assert remark.startswith("prints (")
    assert int(remark[8:].split(" ")[0].replace(",", "")) % 3002 == 0


def test_inputs_that_are_written_into_are_remarked_and_judged_by_their_own_copies() -> None:
    def writes_into(which: int) -> Candidate:
        def candidate(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> Any:
            right = sv_am(cosines, labels, **parameters)
            np.subtract((cosines, labels)[which], 1, out=(cosines, labels)[which])
            return right

        return candidate

    for which in (0, 1):
        report = check(writes_into(which), NAME, dtype="float64")
        assert report.ok
        assert report.remarks == {"writes into its inputs": len(report.cases)}
        assert f"{len(report.cases)} cases: the candidate writes into its inputs" in str(report)


def test_the_world_is_as_it_was_after_a_candidate_has_changed_it(tmp_path: Path) -> None:
    def meddles(*_: Any) -> None:
        np.seterr(all="raise")
        warnings.simplefilter("error")
        os.chdir(tmp_path)
        sys.stdout.close()
        sys.stdout = sys.__stdout__

    def world() -> tuple[Any, ...]:
        return np.geterr(), list(warnings.filters), os.getcwd(), sys.stdout, os._exit

    before = world()
    assert judged(meddles).ok
    assert world() == before


def test_what_a_torch_candidate_sets_is_set_back(torch: Any) -> None:
    def sets(cosines: Any, labels: Any, *, s: float, m: float) -> Any:
        z = s * torch.where(torch.nn.functional.one_hot(labels, cosines.shape[1]) == 1, cosines - m, cosines)
        losses = torch.nn.functional.cross_entropy(z, labels, reduction="none")
        torch.set_default_dtype(torch.float16)
        torch.set_grad_enabled(False)
        return losses

    try:
        check(sets, "am-softmax", dtype="float64").raise_if_wrong()
        assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)


def test_what_an_import_prints_and_where_it_goes_is_kept_from_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loud_candidate.py").write_text(
        "import os, sys, textbook\nprint('noise'); sys.stderr.write('noise'); os.chdir('/')\nf = textbook.sv_am\n",
        encoding="utf-8",
    )
    before = os.getcwd()
    assert check(f"{tmp_path / 'loud_candidate.py'}:f", NAME, dtype="float64").ok
    assert os.getcwd() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("line", ["os._exit(0)", "raise GeneratorExit", "raise SilentError", "raise SystemExit(0)"])
def test_an_import_that_ends_is_told(line: str, tmp_path: Path) -> None:
    path = tmp_path / "ending_candidate.py"
    path.write_text(f"import os\nfrom test_guard import SilentError\n{line}\n", encoding="utf-8")
    with pytest.raises(CandidateError, match=r"ending_candidate\.py cannot be imported: \w+: "):
        check(f"{path}:f", NAME)


def test_what_a_candidate_says_it_cannot_do_is_counted_and_is_no_pass_of_that_case() -> None:
    def declines(*_: Any) -> None:
        raise NotImplementedError("s = 32 overflows here")

    report = judged(declines)
    assert (report.verdict, report.partial) == ("UNSUPPORTED", False)
    assert "of the elements were judged, where 90% must be; --partial accepts less" in str(report)
    report = judged(declines, partial=True)
    assert report.verdict == "PASS"
    assert {m.kind for m in report.mishaps} == {"unsupported"}
    assert [report.cases[m.case] for m in report.mishaps] == ["UNSUPPORTED"] * len(report.mishaps)
    assert f"unsupported     {len(report.mishaps):6d} cases: s = 32 overflows here" in str(report)


def test_a_candidate_that_can_do_nothing_is_unsupported() -> None:
    def declines(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        raise NotImplementedError

    report = check(declines, NAME, framework="numpy", dtype="float64")
    assert report.verdict == "UNSUPPORTED"
    assert "UNSUPPORTED  no case was answered" in str(report)


def test_losses_without_a_gradient_are_judged_and_unsupported() -> None:
    report = check(lambda cosines, labels, **p: (sv_am(cosines, labels, **p)[0], None), NAME, dtype="float64")
    assert (report.verdict, report.missing) == ("UNSUPPORTED", ("grad_cosines",))
    assert report.counts[0].passed > 0
    assert "no answer has grad_cosines" in str(report)


def test_a_detached_torch_loss_is_told_so(torch: Any) -> None:
    def detached(cosines: Any, labels: Any, *, s: float, m: float) -> Any:
        z = s * cosines.detach()
        z[torch.arange(len(labels)), labels] -= s * m
        return torch.nn.functional.cross_entropy(z, labels, reduction="none")

    for framework in ("torch", None):
        report = check(detached, "am-softmax", framework=framework, dtype="float64")
        assert report.verdict == "ERROR"
        assert "autograd has no gradient; the losses are detached" in report.mishaps[0].message
