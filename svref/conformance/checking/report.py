"""What a check found: a verdict, counts, the worst elements, the name of the mistake, and how to see it again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking.controls import Finding
from svref.conformance.checking.summary import lines_of, told, units
from svref.conformance.mistakes.departure import Departure
from svref.conformance.mistakes.explanations import Diagnosis

SCHEMA = "svref-report/1"


@dataclass(frozen=True)
class Failure:
    """One element that is not within its tolerance.

    Parameters
    ----------
    case : str
        The case's id; empty for plain arrays.
    loss : str
        The loss, as one would type it.
    quantity : {"loss", "grad_cosines", "grad_embeddings", "grad_weights"}
        Which output.
    index : tuple of int
        The element.
    got, expected : float
        The candidate's value and the right one.
    error : float
        The distance in units of the tolerance; infinite for NaN, infinity and a wrong dtype.
    gap : float
        Distance of the row's nearest mask decision; far from rounding, so no excuse.
    note : str
        What else is wrong with it, for example its dtype.
    """

    case: str
    loss: str
    quantity: str
    index: tuple[int, ...]
    got: float
    expected: float
    error: float
    gap: float
    note: str = ""

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        distance = f"error {units(self.error)} of tolerance; nearest mask decision {self.gap:.3g} away"
        return f"{self.quantity}{place} = {told(self.got, self.expected)}   [{self.loss}]\n  {self.note or distance}"


@dataclass(frozen=True)
class Count:
    """How the elements of one output fared.

    Parameters
    ----------
    quantity : str
        Which output.
    passed, failed : int
        Elements judged right and wrong; a vacuous pass is not counted as passed.
    vacuous : int
        Elements within a tolerance as large as their value.
    undefined : mapping of str to int
        What the gradient is at poles, a matter of policy: how many entries are infinite (the limit), zero, finite,
        NaN.
    worst : float
        The largest error, in units of the tolerance.
    """

    quantity: str
    passed: int
    failed: int
    vacuous: int
    undefined: Mapping[str, int]
    worst: float


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Parameters
    ----------
    header : mapping
        Versions, vectors and their digest, candidate, loss, dialect, framework, dtype, number of cases.
    counts : tuple of Count
        One an output.
    failures : tuple of Failure
        Every wrong element, worst first.
    diagnosis : tuple of Diagnosis
        The deviations that explain all failures, best first; or one that explains some; or none.
    departure : Departure or None
        The first quantity that is wrong, in the order in which a loss is computed.
    findings : tuple of Finding
        What calling again showed: hidden state, rows that influence each other, ignored rows that count.
    mishaps : tuple of Mishap
        Cases without an answer: the candidate raised, hung, refused, or answered with no numbers.
    blind : tuple of str
        Outputs spoiled on purpose that were not found wrong; then no verdict means anything.
    undecided, branches, skipped : int
        Decisions within rounding of their boundary; rows that took another branch than the exact one; rows with too
        many such decisions, not judged.
    missing : tuple of str
        Outputs that no answer has.
    lacking : mapping of str to int
        Outputs that some answers lack, and in how many cases; these are unsupported.
    refused, invalid : int
        How many inputs that must raise did, and of how many.
    remarks : mapping of str to int
        What else the candidate does, and in how many cases.
    cases : mapping of str to str
        The verdict of each case.
    reproduce : str
        The command that shows the worst failure alone; "" where there is none.
    """

    header: Mapping[str, Any]
    counts: tuple[Count, ...]
    failures: tuple[Failure, ...]
    diagnosis: tuple[Diagnosis, ...] = ()
    departure: Departure | None = None
    findings: tuple[Finding, ...] = ()
    mishaps: tuple[Mishap, ...] = ()
    blind: tuple[str, ...] = ()
    undecided: int = 0
    branches: int = 0
    skipped: int = 0
    missing: tuple[str, ...] = ()
    lacking: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    invalid: int = 0
    remarks: Mapping[str, int] = field(default_factory=dict)
    cases: Mapping[str, str] = field(default_factory=dict)
    reproduce: str = ""

    @property
    def verdict(self) -> str:
        """PASS, PASS-BRANCH, FAIL, FAIL-AS(deviation), VACUOUS, UNSUPPORTED or ERROR."""
        if self.failures or self.findings:
            return f"FAIL-AS({self.explanation})" if self.explanation else "FAIL"
        if any(mishap.kind != "unsupported" for mishap in self.mishaps):
            return "ERROR"
        if not self.counts and not self.mishaps and self.invalid:
            return "PASS"  # nothing was asked but what must raise
        if self.missing or not self.counts:
            return "UNSUPPORTED"
        if not any(count.passed for count in self.counts):
            return "VACUOUS"
        if self.blind:
            return "ERROR"
        return "PASS-BRANCH" if self.branches else "PASS"

    @property
    def explanation(self) -> str:
        """The name of what explains every failure; "" where nothing does."""
        complete = [d.name for d in self.diagnosis if d.complete]
        return (complete or self._found or [""])[0]

    @property
    def _found(self) -> list[str]:
        """The findings that may explain: where elements fail, only that the candidate remembers its calls."""
        return [f.name for f in self.findings if not self.failures or f.name == "hidden-state"]

    @property
    def ok(self) -> bool:
        """Whether something was judged, and nothing was wrong."""
        return self.verdict in ("PASS", "PASS-BRANCH")

    def raise_if_wrong(self) -> None:
        """Raise an AssertionError with the report's text unless it is `ok`, for use in tests."""
        if not self.ok:
            raise AssertionError(f"\n{self}")

    def to_json(self) -> str:
        """Return the report as JSON text; infinities are the strings "Infinity" and "-Infinity", NaN is "NaN"."""
        told = replace(self, diagnosis=tuple(replace(d, hypothesis=None) for d in self.diagnosis))
        content = {"schema": SCHEMA, "verdict": self.verdict, "ok": self.ok, **asdict(told)}
        for diagnosis in content["diagnosis"]:
            del diagnosis["hypothesis"]
        return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the JSON to a temporary file beside `path`, then rename it, so that it is whole or absent."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(self.to_json(), encoding="utf-8")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def __str__(self) -> str:
        return "\n".join(lines_of(self))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
