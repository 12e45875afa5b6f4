"""The report: from a run to the data, and from the data to JSON and to a screen."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np

from svref.conformance.candidates.call import GRADIENTS
from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking import poles
from svref.conformance.checking.controls import ACCEPTED, STATE, CallFinding
from svref.conformance.checking.outcome import Count, Failure, Outcome
from svref.conformance.checking.reproduce import with_case
from svref.conformance.checking.run import Run
from svref.conformance.checking.state import ROOM
from svref.conformance.checking.summary import lines_of
from svref.conformance.mistakes.departure import first_departure
from svref.conformance.mistakes.explanations import Explanation, explanations
from svref.conformance.trial import Trial
from svref.golden.files.writing import write_file
from svref.judging.judge import Quantity
from svref.judging.precision import WIDE
from svref.variants import Variant

SCHEMA = "svref-report/1"


@dataclass(frozen=True)
class Report(Outcome):
    """The outcome of a check, with its JSON and its text. Its attributes are those of `Outcome`.

    ``report.ok`` and ``report.verdict`` say whether the candidate is right; ``str(report)`` is the screen that the
    command prints. Where several dtypes were judged, the report is that of the dtype with the worst verdict, the first
    one among equals, and ``report.of["float32"]`` is that of one of them.
    """

    def raise_if_wrong(self) -> None:
        """Raise an AssertionError with the report's text unless the report is `ok`, for use in tests.

        pytest shows the line of the test and the report, and in its last line the verdict.
        """
        __tracebackhide__ = True  # pytest leaves this frame out
        if not self.ok:
            raise AssertionError(f"{self.verdict}\n\n{self}")

    @property
    def of(self) -> dict[str, Report]:
        """The report of each dtype that was judged, by its name, float64 first."""
        alone = replace(self, also={}, not_judged={})
        found = {str(self.header["dtype"]): alone, **{dtype: cast(Report, other) for dtype, other in self.also.items()}}
        return dict(sorted(found.items(), reverse=True))

    def to_json(self) -> str:
        """Return the report as JSON text; infinities are the strings "Infinity" and "-Infinity", NaN is "NaN"."""
        return json.dumps(_for_json(self._content()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def _content(self) -> dict[str, Any]:
        """Return what the JSON holds; the reports of other dtypes are whole reports in it."""
        content = {
            "schema": SCHEMA, "verdict": self.verdict, "ok": self.ok, "explained": self.explained,
            "judged": self.judged, "share": self.share, **asdict(replace(self, also={}, trials=())),
        }  # fmt: skip
        content["also"] = {dtype: cast(Report, other)._content() for dtype, other in self.also.items()}
        del content["trials"]
        return {key: value for key, value in content.items() if value or key not in ("also", "not_judged")}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON: whole or not at all over a file, and into a device, a FIFO or an open descriptor.

        Raises
        ------
        ValueError
            If the path is "", a folder, in no existing folder, or a link to nothing.
        OSError
            If it cannot be written; a file that was there is then unchanged.
        """
        # A lone surrogate in the name of a case has no UTF-8; written as an escape, it is the same text in JSON.
        write_file(path, self.to_json().encode("utf-8", "backslashreplace"))

    def __str__(self) -> str:
        return "\n".join(lines_of(self))


def _for_json(value: Any) -> Any:
    """Return a value with lists for tuples, and with strings for numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _for_json(entry) for key, entry in value.items()}
    return [_for_json(entry) for entry in value] if isinstance(value, (list, tuple)) else value


# ---- from a run to a report -------------------------------------------------------------------------------------


def report_of(
    run: Run,
    header: Mapping[str, Any],
    command: str,
    entry: Variant | None,
    strict: bool = False,
    printed: int = 0,
    partial: bool = False,
    finite: bool = False,
    only_single: bool = False,
) -> Report:
    """Return the report of a run.

    Parameters
    ----------
    run : Run
        What was found.
    header : mapping
        The `header` of the report: versions, candidate, loss, dtype and so on.
    command : str
        The command or the call that repeats the check; "" where there is none.
    entry : Variant or None
        The variant, for the mistakes that are made with its parameters.
    strict : bool
        Whether accepted inputs that must raise are findings.
    printed : int
        The number of characters that the candidate printed.
    partial : bool
        Whether a small share of judged elements is accepted.
    finite : bool
        Whether gradients that are NaN or infinite at poles are findings.
    only_single : bool
        Whether only single mistakes are tried on failures.
    """
    failures = worst_first(failure for trial in run.trials for failure in failures_in(trial))
    explained = _explained(run, failures, entry, only_single)
    findings = _findings(run, strict, finite)
    missing, lacking = _absent(run.trials if header.get("vectors") else ())
    return Report(
        header=dict(header),
        counts=tuple(_counts(run.trials)),
        failures=tuple(failures),
        diagnosis=tuple(explanation.diagnosis for explanation in explained),
        departure=first_departure(run.trials, explained),
        findings=findings,
        mishaps=tuple(Mishap(m.case, m.kind, m.message, m.trace) for m in run.mishaps),
        blind=tuple(run.blind),
        **_decisions(run.trials),
        **_as_found(run),
        missing=missing,
        lacking=lacking,
        remarks={**run.remarks, **({f"prints ({printed:,} characters)": len(run.trials)} if printed else {})},
        partial=partial,
        cases=_verdicts(run),
        reproduce=_reproduce(command, failures, findings),
    )


def _explained(
    run: Run, failures: Sequence[Failure], entry: Variant | None, only_single: bool
) -> tuple[Explanation, ...]:
    """Return the mistakes that explain the failures.

    None is looked for at a narrow precision if outputs are wrong by their dtype alone: that is no mistake in numbers.
    """
    is_narrow = bool(run.trials) and run.trials[0].precision not in WIDE
    if is_narrow and failures and all(failure.note for failure in failures):
        return ()
    return explanations(run.lenient or run.trials, entry, run.probes, only_single or run.has_fixed_values)


def _on_state(finding: CallFinding, run: Run) -> CallFinding:
    """Return a finding of hidden state that says whether the cases that fail do so by the state alone."""
    if finding.name != STATE or not run.lenient:
        return finding
    besides = sum(trial.failed for trial in run.lenient)
    if not besides:
        return replace(finding, explains=True)
    cases = f"{besides} case{' fails' if besides == 1 else 's fail'}"
    return replace(finding, text=f"{finding.text}; {cases} by more than {ROOM:g} times what the state changes")


def _decisions(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return how many decisions are undecided, how many rows took the other branch, and how many were skipped."""
    expected = [trial.expected for trial in trials]
    return {
        "undecided": int(sum(e.undecided[e.judged].sum() for e in expected)),
        "branches": int(sum((t.judgement.branch > 0).sum() for t in trials if not t.failed)),
        "skipped": int(sum((~e.judged & (e.undecided > 0)).sum() for e in expected)),
    }


def _as_found(run: Run) -> dict[str, Any]:
    """Return what a report takes from a run as it is."""
    return {
        "refused": run.refused, "invalid": run.invalid, "unjudged": run.unjudged, "variations": run.variations,
        "trials": tuple(run.trials),
    }  # fmt: skip


def _reproduce(command: str, failures: Sequence[Failure], findings: Sequence[CallFinding]) -> str:
    """Return the command for the worst failure, else for the first finding.

    Hidden state may need the calls of all other cases before it shows, so that the command then has no --case.
    """
    cases = [f.case for f in failures] + ["" if f.name == "hidden-state" else f.case for f in findings]
    if not command or not cases:
        return ""
    return with_case(command, cases[0]) if cases[0] else command


def worst_first(failures: Iterable[Failure]) -> list[Failure]:
    """Return failures by their error in three digits; equal ones stay in the order of the cases."""
    return sorted(failures, key=lambda failure: -float(f"{failure.error:.3g}"))


def _findings(run: Run, strict: bool, finite: bool) -> tuple[CallFinding, ...]:
    """Return what is wrong besides the elements, with what `strict` and `finite` add."""
    found = [_on_state(finding, run) for finding in run.findings]
    accepted = [_accepted(case) for case in run.accepted if strict]
    return (*found, *accepted, *(poles.findings(run.trials) if finite else ()))


def _accepted(case: str) -> CallFinding:
    """Return the finding that inputs which must raise did not."""
    return CallFinding(ACCEPTED, case, "the input is invalid and must raise")


def failures_in(trial: Trial) -> Iterator[Failure]:
    """Yield the wrong elements of a case."""
    arguments = ", ".join(f"{name}={value:g}" for name, value in trial.parameters.items())
    loss = f"{trial.variant.replace('-', '_')}({arguments})" if trial.variant else repr(trial.loss)
    gaps = trial.expected.gap
    for quantity in trial.judgement.quantities:
        for where in np.argwhere(quantity.wrong):
            index = tuple(int(i) for i in where)
            got, expected, error = (float(a[index]) for a in (quantity.got, quantity.expected, quantity.error))
            has_row = bool(index) and quantity.name != "grad_weights"
            gap = float(gaps[index[0]] if has_row else gaps.min())
            yield Failure(trial.id, loss, quantity.name, index, got, expected, error, gap, quantity.note)


def _counts(trials: Sequence[Trial]) -> Iterator[Count]:
    """Yield the counts of each output."""
    names = dict.fromkeys(q.name for trial in trials for q in trial.judgement.quantities)
    for name in names:
        yield _count(name, [q for t in trials for q in t.judgement.quantities if q.name == name])


def _count(name: str, quantities: list[Quantity]) -> Count:
    """Return the counts of one output over all cases."""
    return Count(
        quantity=name,
        passed=int(sum(q.passed.sum() for q in quantities)),
        failed=int(sum(q.wrong.sum() for q in quantities)),
        vacuous=int(sum((q.judged & ~q.wrong & q.vacuous).sum() for q in quantities)),
        undefined=dict(sum((Counter(q.policies) for q in quantities), Counter())),
        worst=max(float(np.where(q.judged, q.error, 0.0).max(initial=0.0)) for q in quantities),
    )


def _absent(trials: Sequence[Trial]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the outputs that no answer has; and those that some do not have, with the number of these answers."""
    asked = Counter(name for trial in trials for name in ("loss", *GRADIENTS[trial.level]))
    lacking = Counter(name for trial in trials for name in _absent_in(trial))
    missing = tuple(name for name, number in lacking.items() if number == asked[name])
    return missing, {name: number for name, number in lacking.items() if name not in missing}


def _absent_in(trial: Trial) -> list[str]:
    """Return the outputs that an answer does not have."""
    return [name for name in ("loss", *GRADIENTS[trial.level]) if name not in trial.outputs]


def _verdicts(run: Run) -> dict[str, str]:
    """Return the verdict on each case by its id."""
    verdicts = {m.case: "UNSUPPORTED" if m.kind == "unsupported" else "ERROR" for m in run.mishaps}
    return {**verdicts, **{trial.id: _verdict(trial) for trial in run.trials if trial.id}}


def _verdict(trial: Trial) -> str:
    """Return the verdict on an answered case."""
    if trial.failed:
        return "FAIL"
    if _absent_in(trial):
        return "UNSUPPORTED"
    if not any(q.passed.any() for q in trial.judgement.quantities):
        return "VACUOUS"
    return "PASS-BRANCH" if (trial.judgement.branch > 0).any() else "PASS"
