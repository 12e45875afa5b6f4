"""From a candidate and options to a report: the cases are chosen, asked and judged, in one dtype or in several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from svref._version import __version__
from svref.checks import Progress
from svref.conformance.candidates.answers import AnswersAdapter
from svref.conformance.candidates.arguments import words_of_map
from svref.conformance.candidates.call import GRADIENTS, Level
from svref.conformance.candidates.halves import sentence_on_halves, sentence_on_refusal
from svref.conformance.checking.asking import Plan
from svref.conformance.checking.dtypes import together
from svref.conformance.checking.evidence import evidence_of
from svref.conformance.checking.fixed import is_slip_of_value
from svref.conformance.checking.plans import sentence_on_plan
from svref.conformance.checking.report import Report, report_of
from svref.conformance.checking.reproduce import command_of
from svref.conformance.checking.run import Run, run, run_variations
from svref.conformance.checking.stages import with_stages
from svref.conformance.checking.subject import Subject, holds_format
from svref.conformance.checking.variations.trying import numbers_of, usual_number
from svref.conformance.diagnosing.reading import reading_of
from svref.conformance.trial import Trial
from svref.deviations.dialects import Dialect
from svref.deviations.dialects import dialect as dialect_of
from svref.formats import format_of
from svref.golden.making.fixed import at_parameters, can_certify
from svref.golden.vectors import Vector, Vectors
from svref.judging.precision import WIDE, precision_of
from svref.variants import Variant

_TAKES: dict[Level | None, str] = {"cosine": "cosines", "head": "embeddings and weights", None: "anything"}


@dataclass(frozen=True)
class Options:
    """How a check was asked for: the arguments of `svref.check` beside the candidate, the loss and the dtype."""

    pack: str = "core"
    precision: str | None = None
    framework: str | None = None
    device: str = "cpu"
    reduction: str | None = None
    dialect: str | None = None
    map: Mapping[str, Any] | Sequence[str] | None = None
    cases: tuple[str, ...] = ()
    timeout: float | None = None
    strict: bool = False
    invalid: bool = True
    partial: bool = False
    finite: bool = False
    variations: int | None = None
    seed: int = 0

    def command(self, subject: Subject, loss: str, dtype: str, values: Mapping[str, float]) -> str:
        """Return the command, or the call in Python, that repeats the check at the fixed values and at others."""
        usual = self.precision is not None and subject.is_usual(dtype, precision_of(self.precision))
        return command_of(subject.candidate, loss, self._by_name(None if usual else dtype), {**subject.fixed, **values})

    def _by_name(self, dtype: str | None) -> dict[str, Any]:
        """Return the options by their names on the command line."""
        return {
            "pack": self.pack, "dtype": dtype, "precision": self.precision, "framework": self.framework,
            "device": self.device, "reduction": self.reduction, "dialect": self.dialect, "map": words_of_map(self.map),
            "timeout": self.timeout,
            "strict": self.strict, "no-invalid": not self.invalid, "partial": self.partial,
            "finite": self.finite, "variations": self.variations, "seed": self.seed,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cases:
    """The cases of a check.

    Parameters
    ----------
    of_pack : sequence of Vector
        Those to ask; where single variations are wanted alone, those that say how the candidate has to be read.
    variations : sequence of (int, int)
        Single variations that are wanted, by seed and number.
    alone : bool
        Whether only the variations are judged.
    set_aside : int
        How many are not asked, because parameters are fixed.
    """

    of_pack: Sequence[Vector]
    variations: Sequence[tuple[int, int]]
    alone: bool
    set_aside: int

    def held_by(self, kind: np.dtype[Any], precision: str | None = None) -> list[Vector]:
        """Return the cases whose inputs a dtype holds, and the format of the inputs of a plan."""
        plan = precision_of(kind if precision is None else precision)
        held = [v for v in self.of_pack if {kind.name, plan.inputs(v.level)} <= {*v.dtypes}]
        return [v for v in held if holds_format(kind.name, plan.inputs(v.level))]


@dataclass(frozen=True, eq=False)
class Check:
    """One check: the candidate, the variant, the vectors, and how it was asked for."""

    subject: Subject
    entry: Variant
    vectors: Vectors
    options: Options

    def report(self, progress: Progress) -> Report:
        """Judge the candidate in each dtype; return the report of the worst, which holds the others."""
        cases, reports, left_out = self.cases(), dict[str, Report](), dict[str, str]()
        kinds = self.kinds(cases, left_out)
        number = self.number_of_variations()
        sizes = [len(cases.held_by(kind, self.options.precision)) + number for kind in kinds]
        for i, kind in enumerate(kinds):

            def tell(done: int, total: int, before: int = sum(sizes[:i])) -> None:
                progress(before + done, sum(sizes))

            is_unexplained = any(report.failures and not report.explained for report in reports.values())
            reports[kind.name] = self._report_in(kind, cases, number, tell, is_unexplained)
        return together(reports, left_out)

    def kinds(self, cases: Cases, left_out: dict[str, str]) -> list[np.dtype[Any]]:
        """Return the dtypes in which there are cases; raise a ValueError if there is none. `left_out` says why not."""
        kinds = [kind for kind in self.subject.kinds if self._says_anything(cases, kind, left_out)]
        if not kinds:
            raise ValueError(next(iter(left_out.values())))
        return kinds

    @cached_property
    def dialect(self) -> Dialect | None:
        """The public code whose loss is right; None is the paper."""
        return dialect_of(self.options.dialect) if self.options.dialect else None

    def number_of_variations(self) -> int:
        """Return how many variations are asked; none where single cases are wanted."""
        wanted = 0 if self.options.cases else self.options.variations
        return usual_number(self.subject.adapter) if wanted is None else wanted

    def cases(self) -> Cases:
        """Return the cases of the variant and the level, at the fixed parameters; only those that are wanted."""
        of_variations = {id_: numbers_of(id_, self.entry.name) for id_ in self.options.cases}
        variations = [found for found in of_variations.values() if found and self.subject.can_be_asked]
        wanted = [id_ for id_, found in of_variations.items() if not (found and self.subject.can_be_asked)]
        known = [v for v in self.vectors if v.variant == self.entry.name and self.subject.level in (None, v.level)]
        if self.dialect is not None or not self.options.invalid:
            known = [v for v in known if v.result != "error"]
        for id_ in wanted:
            if id_ not in {v.id for v in known}:
                raise ValueError(self._no_case(f"no case {id_!r} of"))
        chosen = [v for v in known if not wanted or v.id in wanted]
        moved, set_aside = chosen, 0
        if self.subject.fixed:
            moved, set_aside = at_parameters(chosen, self.subject.fixed, can_certify() and self.dialect is None)
        return Cases(moved, variations, bool(variations) and not wanted, set_aside)

    def _says_anything(self, cases: Cases, kind: np.dtype[Any], left_out: dict[str, str]) -> bool:
        """Return whether there are cases in a dtype; if not, say so in `left_out`.

        Inputs that must raise are judged alone only where they are asked for by their ids.
        """
        held = cases.held_by(kind, self.options.precision)
        if any(v.result != "error" or self.options.cases for v in held):
            return True
        which = f"no case {self.options.cases[0]!r} of" if self.options.cases else "no cases of"
        left_out[kind.name] = self._no_case(which, f" in {kind}")
        return False

    def _no_case(self, what: str, where: str = "") -> str:
        """Return the error message for a case that is not there."""
        takes = _TAKES[self.subject.level]
        return (
            f"pack {self.vectors.name} has {what} {self.entry.name} for a candidate on {takes}{where}; "
            f"see svref golden list --variant {self.entry.name}."
        )

    def plan_in(self, kind: np.dtype[Any]) -> Plan:
        """Return how the candidate is asked and judged in a dtype."""
        subject = self.subject
        precision = precision_in(self.options.precision, kind, subject.level)
        return Plan(
            subject.guard(), subject.level, kind, precision, self.dialect, subject.can_be_asked, subject.ignores,
            subject.fixed, subject.lacks,
        )  # fmt: skip

    def _report_in(
        self, kind: np.dtype[Any], cases: Cases, number: int, progress: Progress, only_single: bool = False
    ) -> Report:
        """Return the report of a candidate in one dtype.

        `only_single`: what no search explains in one dtype is not searched for again in the other, which takes seconds.
        """
        plan, held, options = self.plan_in(kind), cases.held_by(kind, self.options.precision), self.options
        result = Run() if cases.alone else run(plan, held, options.reduction, progress, options.seed, number)
        if cases.variations:
            run_variations(plan, held, options.reduction, cases.variations, result)
        if isinstance(self.subject.adapter, AnswersAdapter):
            result.remarks |= self.subject.adapter.remarks(self.vectors)
        strict = options.strict or (not cases.alone and all(vector.result == "error" for vector in held))
        report = self.reported(result, plan, cases, strict, only_single)
        evidence = None if cases.alone else evidence_of(plan, held, result.trials)
        report = replace(report, evidence=evidence, half_precision=self._half_precision(plan, result, report))
        return self._with_reading(report, plan)

    def reported(
        self, result: Run, plan: Plan, cases: Cases, strict: bool = False, only_single: bool = False
    ) -> Report:
        """Return the report of a run, without what the candidate has to be asked for."""
        options, kind = self.options, plan.dtype
        command = functools.partial(options.command, self.subject, self.entry.name, kind.name)
        number = len(cases.variations) if cases.alone else len(cases.held_by(kind, self.options.precision))
        report = report_of(
            result, self.header(plan, number, cases), command({}), self.entry, strict, plan.guard.printed,
            options.partial, options.finite, only_single,
        )  # fmt: skip
        report = with_fixed_values(report, result, command)
        if lost := _rows_beyond(plan.precision, result.trials):
            report = replace(report, header={**report.header, "beyond": [lost]})
        return with_stages(report, result.stages, result.mishaps, self.subject.notes)

    def _with_reading(self, report: Report, plan: Plan) -> Report:
        """Return the report; one of failures that nothing explains says what `diagnose` finds first."""
        hangs = any(mishap.kind in ("hung", "ended", "patched") for mishap in report.mishaps)
        usual = plan.can_be_asked and plan.dialect is None and plan.precision in WIDE and not plan.fixed
        if not report.failures or report.explained or hangs or not usual:
            return report
        subject = self.subject
        return replace(
            report, reading=reading_of(plan.guard, self.entry, plan.level, plan.dtype, candidate=subject.candidate)
        )

    def _half_precision(self, plan: Plan, result: Run, report: Report) -> str:
        """Return a sentence on half precision inside the candidate, where it was not said that it computes so.

        Where it was said, and the candidate takes no such inputs, the sentence says what else to do.
        """
        if not result.trials and plan.can_be_asked:
            return sentence_on_refusal(plan.dtype.name, plan.precision, result.mishaps)
        seen = ""
        if plan.can_be_asked and plan.precision in WIDE:
            question = plan.question_again(result.trials[0])
            losses = [trial.outputs["loss"] for trial in result.trials]
            seen = sentence_on_halves(self.subject.adapter, question.call, losses, self.subject.first.timeout)
        return seen or (sentence_on_plan(result.trials) if report.failures and not report.explained else "")

    def header(self, plan: Plan, asked: int, cases: Cases) -> dict[str, Any]:
        """Return the header of the report: what is judged, by which vectors, and in how many cases."""
        left_out = 0 if cases.alone else len(cases.of_pack) - len(cases.held_by(plan.dtype, self.options.precision))
        header = {
            "svref": __version__, "vectors": f"{self.vectors.name} {self.vectors.version}",
            "digest": self.vectors.digest, "candidate": self.subject.name, "loss": self.entry.name,
            "dialect": plan.dialect.name if plan.dialect else "", "framework": plan.guard.adapter.description,
            "dtype": plan.dtype.name, "precision": plan.precision, "cases": asked, "left_out": left_out,
        }  # fmt: skip
        if plan.guard.taken:
            header["taken"] = plan.guard.taken
        if self.options.cases:
            header["chosen"] = list(self.options.cases)
        if self.subject.fixed:
            certified = self.dialect is None and can_certify()
            header |= {"fixed": self.subject.fixed, "set_aside": cases.set_aside, "certified": certified}
        return header


def _rows_beyond(precision: str, trials: Sequence[Trial]) -> str:
    """Return how many rows are not judged because a narrow format does not hold their logits; "" if none."""
    form = precision_of(precision).logits
    rows = sum(int((~t.expected.judged & (t.expected.undecided == 0)).sum()) for t in trials)
    if not rows or form in WIDE:
        return ""
    return f"{rows:6d} rows whose logits come near {format_of(form).largest:.6g}, the largest number of {form}"


def with_fixed_values(report: Report, result: Run, command: Callable[[Mapping[str, float]], str]) -> Report:
    """Return a report of failures that nothing but slips of parameters explains, with the values fixed inside, if any.

    The command that repeats the check then has these values.
    """
    named = [d.name for d in report.diagnosis if d.complete]
    finding = result.fixed
    if finding is None or (named and not any(map(is_slip_of_value, named))):
        return report
    again = command(finding.values) if finding.values else report.reproduce
    return replace(report, findings=(finding, *report.findings), reproduce=again)


def precision_in(name: str | None, kind: np.dtype[Any], level: Level | None) -> str:
    """Return the plan that the candidate is judged by; raise a ValueError if it is unknown or wider than the dtype."""
    plan = precision_of(kind if name is None else name)
    inputs = plan.inputs(level or "cosine")
    if not any(holds_format(kind.name, plan.inputs(each)) for each in (GRADIENTS if level is None else (level,))):
        raise ValueError(
            f"the inputs of --precision {plan.name} are {inputs}, which {kind.name} does not hold; "
            f"use --dtype {inputs}, or a plan of {kind.name}."
        )
    return plan.name
