"""The stages of the loss that a candidate offers, one by one: which are right, and which is the first wrong one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from svref.conformance.candidates.guard import Mishap, Unfinished
from svref.conformance.checking.asking import Plan, Question
from svref.conformance.checking.controls import CallFinding
from svref.conformance.checking.notes import Note
from svref.conformance.checking.outcome import Outcome, StageRow, bracketed, but_should_be
from svref.conformance.mistakes.departure import ORDER, Departure
from svref.conformance.mistakes.explanations import Diagnosis
from svref.conformance.mistakes.slips import Slip, slip_of
from svref.conformance.mistakes.stages import LOSS, Compared, compared
from svref.conformance.trial import Trial, step_on

Found = TypeVar("Found", bound=Outcome)
WRONG_STAGE = "wrong-stage"  # the finding that a stage is wrong, though no output shows it


def stages_in(plan: Plan, question: Question, found: Trial | Mishap) -> list[Compared]:
    """Return the stages that a candidate offers in one case, beside the right ones; [] if it offers none."""
    stages = found.stages if isinstance(found, Unfinished) else _of_trial(found) if isinstance(found, Trial) else {}
    if not stages:
        return []
    call = question.call
    step = step_on(question.loss(), call.arrays, call.labels)
    return [compared(call.id, step, plan.precision, call.level, call.arrays[0].shape[-1], stages)]


def _of_trial(trial: Trial) -> dict[str, np.ndarray]:
    """Return the stages of an answer; the losses are one of them, if they were not reduced."""
    stages = {} if trial.answer is None else dict(trial.answer.stages)
    return {**stages, LOSS: trial.outputs[LOSS]} if stages and trial.factor is None else stages


def with_stages(
    report: Found, cases: Sequence[Compared], mishaps: Sequence[Mishap], notes: Mapping[str, Note]
) -> Found:
    """Return a report with the stages of a candidate that offers some.

    A stage that is wrong though no output is, as in a candidate that is unfinished, is a finding. A stage that is blank
    in any case is blank: rows with a single class may have it all the same.
    """
    blank = {name for mishap in mishaps if isinstance(mishap, Unfinished) for name in mishap.blank}
    names = [name for name in ORDER if name in blank or any(name in case.got for case in cases)]
    first = next((name for name in names if name not in blank and any(map(case_with(name), cases))), "")
    slip = slip_of(first, cases) if first else None
    report = replace(report, diagnosis=led_by(slip, report.diagnosis))
    rows = []
    for name in names:
        row = StageRow(name, "blank", 0, 0, place=notes.get(name, Note()).place, title=notes.get(name, Note()).title)
        row = row if name in blank else _counted(row, cases)
        rows.append(_first_wrong(row, slip, report, notes.get(name, Note()).hint) if name == first else row)
    report = replace(report, stages=tuple(rows))
    return _with_departure(report, first, next(filter(case_with(first), cases))) if first else report


def case_with(stage: str) -> Callable[[Compared], bool]:
    """Return a function that says whether a stage is wrong in a case."""
    return lambda case: stage in case.got and bool(case.wrong(stage).any())


def led_by(slip: Slip | None, diagnosis: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Return the mistakes that explain the outputs; the slip in the first wrong stage leads, under one name."""
    complete = {one.name: one for one in diagnosis if one.complete}
    known = [name for name in slip.names if name in complete] if slip else []
    rest = tuple(one for one in diagnosis if one.name not in known)
    return (*(complete[name] for name in known[:1]), *rest)


def _counted(row: StageRow, cases: Sequence[Compared]) -> StageRow:
    """Return the row of a stage with how many elements are right and wrong."""
    cases = [case for case in cases if row.name in case.got]
    wrong = sum(int(case.wrong(row.name).sum()) for case in cases)
    right = sum(int((case.says(row.name) & ~case.wrong(row.name)).sum()) for case in cases)
    return replace(row, state="after" if wrong else "right", right=right, wrong=wrong)


def _first_wrong(row: StageRow, slip: Slip | None, report: Outcome, hint: str) -> StageRow:
    """Return the row of the first wrong stage: with its mistake, called as in the diagnosis, and with the hint."""
    row = replace(row, state="wrong", hint=hint)
    if slip is None:
        return row
    leads = next((one.name for one in report.diagnosis[:1] if one.complete and one.name in slip.names), slip.name)
    return replace(row, mistake=leads, formula=slip.formula)


def _with_departure(report: Found, stage: str, case: Compared) -> Found:
    """Return a report whose first departure is the first wrong stage; a finding if no output is wrong."""
    index = tuple(int(i) for i in np.argwhere(case.wrong(stage))[0])
    got, right = float(case.got[stage][index]), float(case.right[stage][index])
    departure = Departure(stage, case.case, index, float(case.step.angle.cosine[index[0]]), got, right)
    row = next(row for row in report.stages if row.name == stage)
    text = f"{stage}{bracketed(index)} = {but_should_be(got, right)}"
    finding = CallFinding(row.mistake or WRONG_STAGE, case.case, text, row.formula)
    findings = report.findings if report.failures else (*report.findings, finding)
    return replace(report, departure=departure, findings=findings)
