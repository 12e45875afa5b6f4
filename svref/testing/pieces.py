"""What each kind of piece asks, and what came of it.

A run of all pieces passes if `svref check` says PASS, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking import poles
from svref.conformance.checking.controls import ACCEPTED, STATE, CallFinding
from svref.conformance.checking.summary import reason_for_unsupported
from svref.testing.failing import STATEFUL, mistakes_in, text_of_mishap, text_of_trial
from svref.testing.suite import Suite

Verdict = Literal["passed", "failed", "known", "skipped"]
FAIL_FIRST = "the cases fail, and say more"
NOTHING = "no element says anything"


@dataclass(frozen=True)
class Result:
    """What came of a piece.

    Parameters
    ----------
    verdict : {"passed", "failed", "known", "skipped"}
        "known" is a failure that is expected; "skipped" a piece that says nothing.
    text : str
        Why it failed or says nothing.
    mistakes : tuple of str
        The mistakes that explain it.
    """

    verdict: Verdict
    text: str = ""
    mistakes: tuple[str, ...] = ()


PASSED = Result("passed")
Piece = Callable[[Suite, str], Result]


def case(suite: Suite, name: str) -> Result:
    """Ask one case."""
    answer, vector = suite.steps.ask(name), suite.steps.numeric[name]
    if isinstance(answer, Mishap):
        if answer.kind == "unsupported" or suite.refusal:
            return Result("skipped", suite.refusal or answer.message)
        return _failed(suite, text_of_mishap(suite, answer, vector))
    if answer.failed:
        is_known = suite.is_known()
        names = () if is_known else mistakes_in(suite, answer)
        again = "" if is_known else suite.steps.difference_when_asked_again(name)
        return _failed(suite, text_of_trial(suite, answer, vector, names, again), names, is_known)
    if suite.steps.check.options.finite:
        return _of_findings(suite, list(poles.findings([answer])))
    return PASSED


def invalid(suite: Suite, name: str) -> Result:
    """Ask inputs that must raise; to accept them is wrong only in a strict check."""
    if suite.steps.accepts(name) and suite.steps.is_strict:
        text = f"the input is invalid and must raise: {suite.steps.invalid[name].purpose}\n{suite.command(name)}"
        return _failed(suite, text, (ACCEPTED,), suite.expects(ACCEPTED))
    return PASSED


def second_calls(suite: Suite, name: str) -> Result:
    """Ask every case again."""
    return _of_findings(suite, suite.steps.ask_again())


def rows_alone(suite: Suite, name: str) -> Result:
    """Ask single rows alone."""
    return _of_findings(suite, suite.steps.ask_alone())


def ignored_rows(suite: Suite, name: str) -> Result:
    """Ask a batch with an ignored row."""
    return _of_findings(suite, suite.steps.ask_with_ignored())


def controls(suite: Suite, name: str) -> Result:
    """Spoil outputs on purpose, which must be found wrong."""
    if blind := suite.steps.unnoticed():
        text = f"svref cannot see mistakes of this candidate: outputs spoiled on purpose passed, {', '.join(blind)}"
        return _failed(suite, f"{text}\n{suite.command()}")
    return PASSED


def enough_judged(suite: Suite, name: str) -> Result:
    """Ask whether enough elements were judged for a verdict."""
    if suite.refusal:
        return Result("skipped", suite.refusal)
    if suite.steps.fails():
        return Result("skipped", FAIL_FIRST)
    report = suite.steps.cases_alone()
    if report.verdict == "VACUOUS" and any(other.steps.cases_alone().judged for other in suite.siblings):
        return Result("skipped", "no element says anything in this dtype")
    if report.verdict in ("VACUOUS", "UNSUPPORTED"):
        text = NOTHING if report.verdict == "VACUOUS" else reason_for_unsupported(report)
        return _failed(suite, f"{report.verdict}: {text}\n{suite.command()}")
    if report.findings:  # a stage that the candidate offers is wrong, though no output shows it
        return _of_findings(suite, list(report.findings))
    return PASSED


def variation(suite: Suite, name: str) -> Result:
    """Ask a batch unlike the cases."""
    if suite.refusal:
        return Result("skipped", suite.refusal)
    if reason := suite.steps.reason_against_variations():
        return Result("skipped", reason)
    answer = suite.steps.ask_variation(name)
    if isinstance(answer, Mishap):
        if answer.kind == "unsupported":
            return Result("skipped", answer.message)
        return _failed(suite, text_of_mishap(suite, answer, None))
    if answer.failed:
        return _failed(suite, text_of_trial(suite, answer, None, ()), (), suite.is_known_in_variations())
    return PASSED if any(q.passed.any() for q in answer.judgement.quantities) else Result("skipped", NOTHING)


def known_failure(suite: Suite, name: str) -> Result:
    """Ask whether the failure that is known is there, and no other."""
    if suite.expectation is None:
        return PASSED
    if suite.refusal:
        return Result("skipped", suite.refusal)
    complaint = suite.expectation.complaint(suite.diagnosed)
    return Result("failed", f"{complaint}\n{suite.command()}") if complaint else PASSED


def _of_findings(suite: Suite, found: Sequence[CallFinding | Mishap]) -> Result:
    """Return what came of a piece that finds something else than wrong elements; the first that is not expected."""
    results = [_of_finding(suite, one) for one in found if isinstance(one, CallFinding) or one.kind != "unsupported"]
    return next((one for one in results if one.verdict == "failed"), next(iter(results), PASSED))


def _of_finding(suite: Suite, one: CallFinding | Mishap) -> Result:
    """Return the failure that a finding, or a call without an answer, is."""
    if isinstance(one, Mishap):
        return _failed(suite, text_of_mishap(suite, one, None))
    more = f"\n  {STATEFUL}" if one.name == STATE else ""
    text = f"{one.name}: {one.text}{more}\n{suite.command(one.case)}"
    return _failed(suite, text, (one.name,), suite.expects(one.name))


def _failed(suite: Suite, text: str, mistakes: tuple[str, ...] = (), is_known: bool = False) -> Result:
    """Return a failure; `is_known` if all that is wrong there is expected."""
    if suite.expectation is None:
        return Result("failed", text, mistakes)
    if is_known:
        return Result("known", suite.expectation.text, (suite.expectation.mistake,))
    return Result("failed", f"{text}\nanother failure than the expected one, {suite.expectation.mistake}", mistakes)


def pieces_of(suite: Suite) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces of a suite with their names, in the order of a check."""
    steps = suite.steps
    if not steps.cases.alone:
        yield from ((name, case) for name in steps.numeric)
        yield from ((name, invalid) for name in steps.invalid)
        yield from _called_again(suite)
    yield from ((name, variation) for name in steps.wanted)
    if steps.numeric:
        yield "controls", controls
        yield "enough-judged", enough_judged
    yield from ((name, variation) for name in steps.variations if name not in steps.wanted)
    if suite.expectation is not None:
        yield "known-failure", known_failure


def _called_again(suite: Suite) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces that call the candidate again, after all cases."""
    if suite.steps.numeric and suite.steps.plan.can_be_asked:
        yield "second-calls", second_calls
        yield "rows-alone", rows_alone
        if suite.steps.plan.ignores:
            yield "ignored-rows", ignored_rows
