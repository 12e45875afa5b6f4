"""What one process found of a candidate, as data that another process makes a report of.

pytest-xdist runs the cases of a candidate in several processes. Each sends what it found to the one that reports.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from svref.conformance.candidates.guard import Mishap
from svref.conformance.candidates.process import untouched
from svref.conformance.checking.controls import STATE, CallFinding
from svref.conformance.checking.judged import with_fixed_values
from svref.conformance.checking.report import Report, report_of
from svref.conformance.checking.run import Run
from svref.conformance.checking.stages import with_stages
from svref.conformance.checking.stepwise import once
from svref.conformance.mistakes.stages import Compared
from svref.conformance.trial import Trial
from svref.testing.suite import Suite
from svref.variants import VARIANTS


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of a candidate in one dtype.

    Parameters
    ----------
    key, test, origin, candidate, loss, dtype, vectors : str
        As in `Suite`.
    header : dict
        The header of a report.
    command, command_at_values : str
        What repeats the check; and what repeats it at the values that the candidate has inside, if it ignores some.
    has_entry : bool
        Whether the slips of the variant's parameters may explain failures: not for a dialect.
    options : dict
        What `report_of` is asked for besides.
    result : Run
        The answers and what else was found.
    besides : list of CallFinding or Mishap
        Why batches unlike the cases fail.
    order : list of str
        The ids of all cases in the order of a check, which decides between equal errors.
    expected : str
        The mistake that is known, if one is.
    verdicts : dict of str to int
        How many cases passed, failed, failed as known, and were skipped.
    """

    key: str
    test: str
    origin: str
    candidate: str
    loss: str
    dtype: str
    vectors: str
    header: dict[str, Any]
    command: str
    command_at_values: str
    has_entry: bool
    options: dict[str, Any]
    result: Run
    besides: list[CallFinding | Mishap]
    order: list[str]
    expected: str
    verdicts: dict[str, int]

    @property
    def framework(self) -> str:
        """The framework of the candidate with its version."""
        return str(self.header["framework"])

    def report(self) -> Report:
        """Return the report; its diagnosis is that of `svref check` on the answers that are there."""
        result, entry = self.result, VARIANTS[self.loss] if self.has_entry else None
        if not any(trial.failed for trial in result.trials):
            result = replace(
                result,
                findings=[*result.findings, *(one for one in self.besides if isinstance(one, CallFinding))],
                mishaps=[*result.mishaps, *(one for one in self.besides if isinstance(one, Mishap))],
            )
        report = report_of(result, self.header, self.command, entry, **self.options)
        report = with_fixed_values(report, result, lambda values: self.command_at_values)
        return with_stages(report, result.stages, result.mishaps, {})


def found_of(suite: Suite, verdicts: dict[str, int]) -> Found:
    """Return what this process found of a candidate; a wrong one is asked more, so that its mistake can be told."""
    steps = suite.steps
    with untouched():
        result, besides = steps.finished(), steps.why_variations_fail()
    check, options = steps.check, steps.check.options
    values = result.fixed.values if result.fixed else {}
    return Found(
        suite.key, suite.test, suite.origin, suite.candidate, suite.loss, suite.dtype, suite.vectors,
        check.header(steps.plan, len(steps.numeric) + len(steps.invalid), steps.cases), suite.command(),
        options.command(check.subject, suite.loss, suite.dtype, values), steps.plan.dialect is None,
        {"strict": steps.is_strict, "printed": steps.plan.guard.printed, "partial": options.partial,
         "finite": options.finite},
        result, besides, [*steps.numeric, *steps.wanted],
        suite.expectation.mistake if suite.expectation else "", verdicts,
    )  # fmt: skip


def packed(found: Sequence[Found]) -> bytes:
    """Return what was found as bytes, for the process that reports."""
    return pickle.dumps(list(found))


def unpacked(data: bytes) -> list[Found]:
    """Return what another process of this run found."""
    return list(pickle.loads(data))  # noqa: S301  (the bytes come from a process that this run started)


def together(founds: Iterable[Found]) -> list[Found]:
    """Return what several processes found as one each for a candidate and a dtype, in the order of the first."""
    by_key: dict[str, list[Found]] = {}
    for found in founds:
        by_key.setdefault(found.key, []).append(found)
    return [_merged(several) for several in by_key.values()]


def _merged(several: list[Found]) -> Found:
    """Return what several processes found of the same candidate as one."""
    results = [found.result for found in several]
    asked = _asked(results, several[0].order)
    values = [found for found in several if found.result.fixed is not None]
    fixed = values[0].result.fixed if values else None
    return replace(
        several[0],
        command_at_values=(values or several)[0].command_at_values,
        result=Run(
            trials=[next((trial for trial in answers if trial.failed), answers[0]) for answers in asked],
            mishaps=once(mishap for result in results for mishap in result.mishaps),
            findings=_findings(results, asked),
            blind=once(control for result in results for control in result.blind),
            refused=sum(result.refused for result in results),
            invalid=sum(result.invalid for result in results),
            accepted=once(case for result in results for case in result.accepted),
            probes=next((result.probes for result in results if result.probes), []),
            fixed=fixed if all(found.result.fixed == fixed for found in values) else None,
            lenient=max((result.lenient for result in results), key=len),
            reduction=results[0].reduction,
            unjudged=max(result.unjudged for result in results),
            stages=_stages(results),
        ),
        besides=once(one for found in several for one in found.besides),
        verdicts={verdict: sum(found.verdicts[verdict] for found in several) for verdict in several[0].verdicts},
    )


def _asked(results: Sequence[Run], order: Sequence[str]) -> list[list[Trial]]:
    """Return the answers to each case, in the order of a check; several processes may have asked it."""
    by_id: dict[str, list[Trial]] = {}
    for trial in (trial for result in results for trial in result.trials):
        by_id.setdefault(trial.id, []).append(trial)
    return [by_id[case] for case in order if case in by_id]


def _findings(results: Sequence[Run], asked: Sequence[Sequence[Trial]]) -> list[CallFinding]:
    """Return what was found beside the cases, each once; and that a case is right in one process and not in another."""
    found = once(finding for result in results for finding in result.findings)
    case = next((answers[0].id for answers in asked if len({trial.failed for trial in answers}) > 1), "")
    if case and not any(finding.name == STATE for finding in found):
        found.append(CallFinding(STATE, case, "the answer is right in one process of this run, and wrong in another"))
    return found


def _stages(results: Sequence[Run]) -> list[Compared]:
    """Return the stages that were compared, each case once."""
    return list({case.case: case for result in results for case in result.stages}.values())
