"""A check in pieces that can be asked one by one, in any order: for test suites, which show each piece as a test.

The pieces are those of `run`: the cases, the inputs that must raise, the calls that are made again, the spoiled
outputs, and the batches unlike the cases. A piece that needs the answers to cases asks those that were not asked yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking import run as whole
from svref.conformance.checking.asking import Plan, asked, reduction_of
from svref.conformance.checking.controls import (
    STATE,
    CallFinding,
    ask_cases_again,
    ask_rows_alone,
    ask_with_ignored_row,
    unnoticed_controls,
)
from svref.conformance.checking.dtypes import refusal_of
from svref.conformance.checking.fixed import finding_on_fixed
from svref.conformance.checking.judged import Cases, Check
from svref.conformance.checking.probing import probed
from svref.conformance.checking.report import Report
from svref.conformance.checking.run import Run
from svref.conformance.checking.state import lenient
from svref.conformance.checking.variations.trying import Asker, findings_on, id_of, is_wrong, one_variation
from svref.conformance.trial import Trial
from svref.golden.making.batches import Batch
from svref.golden.vectors import Vector


@dataclass(eq=False)
class Stepwise:
    """A check of a candidate in one dtype, piece by piece.

    Parameters
    ----------
    check : Check
        The check.
    kind : dtype
        The dtype.
    cases : Cases
        The cases of the check.
    result : Run
        What was found so far.
    """

    check: Check
    kind: np.dtype[Any]
    cases: Cases
    result: Run = field(default_factory=Run)
    _answers: dict[str, Trial | Mishap] = field(default_factory=dict)
    _invalid: dict[str, Run] = field(default_factory=dict)
    _wanted: dict[str, Trial | Mishap] = field(default_factory=dict)
    _failing: dict[str, Batch] = field(default_factory=dict)
    _hung: dict[str, Mishap] = field(default_factory=dict)
    _why: dict[tuple[str, ...], list[CallFinding | Mishap]] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """How the candidate is asked and judged."""
        return self.check.plan_in(self.kind)

    @cached_property
    def numeric(self) -> dict[str, Vector]:
        """The cases that have right values, by id."""
        return {v.id: v for v in self.cases.held_by(self.kind) if v.result != "error"}

    @cached_property
    def invalid(self) -> dict[str, Vector]:
        """The cases whose inputs must raise, by id."""
        return {v.id: v for v in self.cases.held_by(self.kind) if v.result == "error"}

    @cached_property
    def variations(self) -> dict[str, tuple[int, int]]:
        """The batches unlike the cases, by id: the seed and the number of each."""
        seed, variant = self.check.options.seed, self.check.entry.name
        wanted = self.cases.variations or [(seed, i) for i in range(self.check.number_of_variations())]
        return {id_of(variant, *pair): pair for pair in wanted} if self.plan.can_be_asked else {}

    @cached_property
    def wanted(self) -> list[str]:
        """The ids of the variations that were asked for by id; they are judged as cases are."""
        return list(self.variations) if self.cases.variations else []

    @property
    def is_strict(self) -> bool:
        """Whether inputs that must raise are judged too: where they are the only ones that were asked for."""
        return self.check.options.strict or not (self.cases.alone or self.numeric)

    @cached_property
    def reduction(self) -> str:
        """What the candidate returns: "none", "sum" or "mean"."""
        self.result.reduction = self.check.options.reduction or reduction_of(self.plan, list(self.numeric.values()))
        return self.result.reduction

    @cached_property
    def _asker(self) -> Asker:
        first = next((self.ask(case) for case in self.numeric), None)
        takes = isinstance(first, Trial) and whole.take_any_cotangent([first])
        return Asker(self.plan, self.check.entry.name, self.reduction, takes)

    # ---- the pieces -------------------------------------------------------------------------------------------------

    def ask(self, case: str) -> Trial | Mishap:
        """Return the judged answer to a case, or why there is none; it is asked once."""
        if case not in self._answers:
            question = self.plan.question(self.numeric[case])
            self._answers[case] = asked(self.plan, question, self.reduction)
            if not self.cases.alone:
                whole.enter_case(self.plan, question, self._answers[case], self.result)
        return self._answers[case]

    def accepts(self, case: str) -> bool:
        """Return whether inputs that must raise do not."""
        found = self._tried(case)
        self.result.invalid += found.invalid
        self.result.refused += found.refused
        self.result.accepted += found.accepted
        return bool(found.accepted)

    def _tried(self, case: str) -> Run:
        """Return what came of inputs that must raise; they are asked once."""
        if case not in self._invalid:
            self._invalid[case] = Run()
            whole.try_invalid(self.plan, self.invalid[case], self._invalid[case])
        return self._invalid[case]

    def ask_again(self) -> list[CallFinding | Mishap]:
        """Return what differs when every case is asked once more."""
        found = ask_cases_again(self.plan.guard, self._calls, self._all_trials())
        trials = self.result.trials
        if any(trial.failed for trial in trials) and any(getattr(one, "name", "") == STATE for one in found):
            self.result.lenient = lenient(self.plan.guard, self._calls, trials)
        return self._added(found)

    def ask_alone(self) -> list[CallFinding | Mishap]:
        """Return what differs when one row of each group's first case is asked alone."""
        return self._added(ask_rows_alone(self.plan.guard, self._calls, self._all_trials()))

    def ask_with_ignored(self) -> list[CallFinding | Mishap]:
        """Return what is wrong when a row has the label that is ignored."""
        trials = self._all_trials()
        trial = next((t for t in trials if len(t.labels) > 1), trials[0] if trials else None)
        if trial is None:
            return []
        return self._added(ask_with_ignored_row(self.plan.guard, self._calls[trial.id], trial))

    def difference_when_asked_again(self, case: str) -> str:
        """Return how the answer to a case differs when the case is asked once more; "" if it does not."""
        trial = self.ask(case)
        if isinstance(trial, Mishap) or not self.plan.can_be_asked:
            return ""
        found = ask_cases_again(self.plan.guard, self._calls, [trial])
        return next((one.text for one in found if isinstance(one, CallFinding)), "")

    def unnoticed(self) -> list[str]:
        """Return the spoiled outputs that the judgement does not find."""
        self.result.blind = unnoticed_controls([one for one in self._judged() if isinstance(one, Trial)])
        return self.result.blind

    def ask_variation(self, name: str) -> Trial | Mishap:
        """Return the judged answer to a batch unlike the cases; one that was asked for by id is asked once."""
        if name in self._wanted:
            return self._wanted[name]
        batch, answer = one_variation(self._asker, *self.variations[name])
        if name in self.wanted:
            self._wanted[name] = answer
            whole.enter(answer, self.result)
        elif isinstance(answer, Mishap) and answer.kind == "hung":
            self._hung[name] = answer
        elif is_wrong(answer):
            self._failing[name] = batch
        return answer

    def reason_against_variations(self) -> str:
        """Return why a variation would say nothing; "" if it says something.

        It is asked if all cases are right, so that they are asked first. Variations that were asked for by id are
        judged whatever the cases say.
        """
        if self.wanted:
            return ""
        self._all_trials()
        return whole.reason_against_variations(self.plan, self.result)

    # ---- all of it --------------------------------------------------------------------------------------------------

    def refusal(self) -> str:
        """Return how the candidate refuses the dtype in every case; "" if it does not."""
        for case in self.numeric:
            answer = self.ask(case)
            if isinstance(answer, Trial) or not refusal_of([answer]):
                return ""
        return refusal_of([answer for answer in self._answers.values() if isinstance(answer, Mishap)])

    def fails(self) -> bool:
        """Return whether a case is wrong, or has no answer although the candidate does not decline it."""
        return any(a.failed if isinstance(a, Trial) else a.kind != "unsupported" for a in self._judged())

    def cases_alone(self) -> Report:
        """Return the report of all cases, without what was found besides: whether enough was judged."""
        judged = self._judged()
        trials = [answer for answer in judged if isinstance(answer, Trial)]
        mishaps = [answer for answer in judged if isinstance(answer, Mishap)]
        self.result.unjudged = self._unjudged()
        return self.reported(Run(trials, mishaps, unjudged=self.result.unjudged, stages=self.result.stages))

    def _unjudged(self) -> int:
        """Return how many elements would have said something, but came with no answer."""
        cases = [] if self.cases.alone else list(self.numeric.values())
        return whole.unjudged_in(self.plan, cases, self._all_trials())

    def everything(self) -> Report:
        """Return the report after all pieces have been asked: which mistake it is."""
        self._judged()
        if self.plan.can_be_asked and not self.cases.alone:
            self.ask_again()
            self.ask_alone()
            if self.plan.ignores:
                self.ask_with_ignored()
        if not self.reason_against_variations():
            for name in self.variations:
                self.ask_variation(name)
        result = self.finished()
        whole.add(self.why_variations_fail(), result)
        result.accepted = [case for case in self.invalid if self._tried(case).accepted] if self.is_strict else []
        result.blind, result.unjudged = self.unnoticed(), self._unjudged()
        return self.reported(result)

    def finished(self) -> Run:
        """Return what was found, with what a wrong candidate answers besides, so that its mistake can be told."""
        result = replace(self.result, findings=once(self.result.findings), mishaps=once(self.result.mishaps))
        if not self.cases.alone and whole.is_worth_probing(self.plan, result):
            result.probes = probed(self._asker)
            result.fixed = finding_on_fixed(self.plan, result.trials, self.reduction)
        return result

    def why_variations_fail(self) -> list[CallFinding | Mishap]:
        """Return why batches unlike the cases fail, where all cases are right: a feature of them, or a mistake.

        A batch that hangs is among them. It is not asked more, since each call would hang.
        """
        if any(trial.failed for trial in self.result.trials):
            return []
        failing = tuple(sorted(self._failing, key=self.variations.__getitem__))
        if failing not in self._why:
            batches = [(name, self._failing[name]) for name in failing]
            self._why[failing] = list(findings_on(self._asker, batches, self.result.trials))
        return [*self._hung.values(), *self._why[failing]]

    def reported(self, result: Run) -> Report:
        """Return the report of a run."""
        return self.check.reported(result, self.plan, self.cases, self.is_strict)

    def _all_trials(self) -> Sequence[Trial]:
        """Return the judged answers to all cases, in their order."""
        answers = [self.ask(case) for case in self.numeric]
        return [answer for answer in answers if isinstance(answer, Trial)]

    def _judged(self) -> list[Trial | Mishap]:
        """Return the answers to all cases, and to the variations that were asked for by id."""
        cases = [] if self.cases.alone else [self.ask(case) for case in self.numeric]
        return [*cases, *(self.ask_variation(name) for name in self.wanted)]

    @cached_property
    def _calls(self) -> dict[str, Any]:
        return {case: self.plan.question(vector).call for case, vector in self.numeric.items()}

    def _added(self, found: list[CallFinding | Mishap]) -> list[CallFinding | Mishap]:
        """Return what was found, after it was added to the result."""
        whole.add(found, self.result)
        return found


def stepwise(check: Check) -> list[Stepwise]:
    """Return a check piece by piece, one for each dtype; raise a ValueError if there are no cases."""
    cases = check.cases()
    return [Stepwise(check, kind, cases) for kind in check.kinds(cases, {})]


def once(found: Iterable[Any]) -> list[Any]:
    """Return findings, mishaps or names, each once, in their order; a piece that was asked twice finds them twice."""
    kept: list[Any] = []
    for one in found:
        if one not in kept:
            kept.append(one)
    return kept
