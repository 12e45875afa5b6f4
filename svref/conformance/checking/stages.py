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
from svref.conformance.mistakes.slips import slip_of
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
    return [compared(call.id, step, plan.compute, call.level, call.arrays[0].shape[-1], stages)]


def _of_trial(trial: Trial) -> dict[str, np.ndarray]:
    """Return the stages of an answer; the losses are one of them, if they were not reduced."""
    stages = {} if trial.answer is None else dict(trial.answer.stages)
    return {**stages, LOSS: trial.outputs[LOSS]} if stages and trial.factor is None else stages


def with_stages(
    report: Found, cases: Sequence[Compared], mishaps: Sequence[Mishap], notes: Mapping[str, Note]
) -> Found:
    """Return a report with the stages of a candidate that offers some.

    A stage that is wrong though no output is, as in a candidate that is unfinished, is a finding.
    """
    blank = {name for mishap in mishaps if isinstance(mishap, Unfinished) for name in mishap.blank}
    names = [name for name in ORDER if name in blank or any(name in case.got for case in cases)]
    first = next((name for name in names if any(map(case_with(name), cases))), "")
    rows = tuple(_row(name, name == first, cases, notes.get(name, Note())) for name in names)
    report = replace(report, stages=rows)
    return _with_departure(report, first, next(filter(case_with(first), cases))) if first else report


def case_with(stage: str) -> Callable[[Compared], bool]:
    """Return a function that says whether a stage is wrong in a case."""
    return lambda case: stage in case.got and bool(case.wrong(stage).any())


def _row(name: str, is_first: bool, cases: Sequence[Compared], note: Note) -> StageRow:
    """Return what was found of one stage; of the first wrong one also which known mistake it is, and the hint."""
    cases = [case for case in cases if name in case.got]
    wrong = sum(int(case.wrong(name).sum()) for case in cases)
    right = sum(int((case.says(name) & ~case.wrong(name)).sum()) for case in cases)
    row = StageRow(name, "right", right, wrong, place=note.place, title=note.title)
    if not is_first:
        return replace(row, state="blank" if not cases else "after" if wrong else "right")
    slip = slip_of(name, cases)
    mistake, formula = (slip.name, slip.formula) if slip else ("", "")
    return replace(row, state="wrong", mistake=mistake, formula=formula, hint=note.hint)


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
