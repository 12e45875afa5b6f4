"""From a run to its report: counts, failures, the mistake, the first departure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from svref.conformance.candidates.call import GRADIENTS
from svref.conformance.checking.controls import Finding
from svref.conformance.checking.report import Count, Failure, Report
from svref.conformance.checking.run import Run
from svref.conformance.mistakes.departure import first_departure
from svref.conformance.mistakes.explanations import explanations
from svref.conformance.trial import Trial
from svref.judging.judge import Quantity
from svref.variants import Variant


def report_of(
    run: Run, header: Mapping[str, Any], command: str, entry: Variant | None, strict: bool = False, printed: int = 0
) -> Report:
    """Return the report of a run; `entry` is the variant, whose parameters may have slipped."""
    failures = _worst_first(failure for trial in run.trials for failure in _failures(trial))
    diagnosis = explanations(run.trials, entry)
    findings = run.findings + [_accepted(case) for case in run.accepted if strict]
    missing, lacking = _absent(run.trials if header.get("vectors") else ())
    shown = [f.case for f in failures] + ["" if f.name == "hidden-state" else f.case for f in findings]
    return Report(
        header=dict(header),
        counts=tuple(_counts(run.trials)),
        failures=tuple(failures),
        diagnosis=diagnosis,
        departure=first_departure(run.trials, diagnosis),
        findings=tuple(findings),
        mishaps=tuple(run.mishaps),
        blind=tuple(run.blind),
        undecided=int(sum(t.right.undecided[t.right.judged].sum() for t in run.trials)),
        branches=int(sum((t.judgement.branch > 0).sum() for t in run.trials if not t.failed)),
        skipped=int(sum((~t.right.judged & _counted(t)).sum() for t in run.trials)),
        missing=missing,
        lacking=lacking,
        refused=run.refused,
        invalid=run.invalid,
        remarks={**run.remarks, **({f"prints ({printed:,} characters)": len(run.trials)} if printed else {})},
        cases=_verdicts(run),
        reproduce=_reproduce(command, shown),
    )


def _reproduce(command: str, cases: Sequence[str]) -> str:
    """Return the command that shows the first of the cases; the case "" takes the calls of all others."""
    if not command or not cases:
        return ""
    return f"{command} --case {cases[0]}" if cases[0] else command


def _worst_first(failures: Iterable[Failure]) -> list[Failure]:
    """Return failures by their error; those that are as wrong stay in the order of the cases."""
    return sorted(failures, key=lambda failure: -float(f"{failure.error:.3g}"))


def _accepted(case: str) -> Finding:
    return Finding("invalid-input-accepted", case, "the input is invalid and must raise")


def _counted(trial: Trial) -> Any:
    return trial.right.undecided > 0


def _failures(trial: Trial) -> Iterable[Failure]:
    arguments = ", ".join(f"{name}={value:g}" for name, value in trial.parameters.items())
    variant = trial.id.removesuffix(f"-{trial.group}-{trial.id[-8:]}")
    typed = f"{variant.replace('-', '_')}({arguments})" if trial.id else repr(trial.loss)
    for quantity in trial.judgement.quantities:
        for where in np.argwhere(quantity.wrong):
            index = tuple(int(i) for i in where)
            got, expected, error = (float(a[index]) for a in (quantity.got, quantity.expected, quantity.error))
            rows = index and quantity.name != "grad_weights"
            gap = float(trial.right.gap[index[0]] if rows else trial.right.gap.min())
            yield Failure(trial.id, typed, quantity.name, index, got, expected, error, gap, quantity.note)


def _counts(trials: Sequence[Trial]) -> Iterable[Count]:
    names = dict.fromkeys(q.name for trial in trials for q in trial.judgement.quantities)
    for name in names:
        yield _count(name, [q for t in trials for q in t.judgement.quantities if q.name == name])


def _count(name: str, quantities: list[Quantity]) -> Count:
    return Count(
        quantity=name,
        passed=int(sum(q.passed.sum() for q in quantities)),
        failed=int(sum(q.wrong.sum() for q in quantities)),
        vacuous=int(sum((q.judged & ~q.wrong & q.vacuous).sum() for q in quantities)),
        undefined=dict(sum((Counter(q.policies) for q in quantities), Counter())),
        worst=max(float(np.where(q.judged, q.error, 0.0).max(initial=0.0)) for q in quantities),
    )


def _absent(trials: Sequence[Trial]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the outputs that no answer has; and those that some lack, with how many do."""
    asked = Counter(name for trial in trials for name in ("loss", *GRADIENTS[trial.level]))
    lacking = Counter(name for trial in trials for name in _lacks(trial))
    missing = tuple(name for name, number in lacking.items() if number == asked[name])
    return missing, {name: number for name, number in lacking.items() if name not in missing}


def _lacks(trial: Trial) -> list[str]:
    """Return the outputs that an answer has not."""
    return [name for name in ("loss", *GRADIENTS[trial.level]) if name not in trial.outputs]


def _verdicts(run: Run) -> dict[str, str]:
    """Return the verdict of each case."""
    verdicts = {m.case: "UNSUPPORTED" if m.kind == "unsupported" else "ERROR" for m in run.mishaps}
    return {**verdicts, **{trial.id: _verdict(trial) for trial in run.trials if trial.id}}


def _verdict(trial: Trial) -> str:
    if trial.failed:
        return "FAIL"
    if _lacks(trial):
        return "UNSUPPORTED"
    if not any(q.passed.any() for q in trial.judgement.quantities):
        return "VACUOUS"
    return "PASS-BRANCH" if (trial.judgement.branch > 0).any() else "PASS"
