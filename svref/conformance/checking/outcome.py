"""What a check found, as data: counts, wrong elements, the name of the mistake, and the verdict on all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking.controls import STATE, CallFinding
from svref.conformance.diagnosing.reading import Reading
from svref.conformance.mistakes.departure import Departure
from svref.conformance.mistakes.explanations import Diagnosis
from svref.conformance.trial import Trial

LEAST_SHARE = 0.9  # of the elements that say something: with fewer of them judged, there is no verdict PASS


@dataclass(frozen=True)
class Failure:
    """One wrong element of an output.

    Parameters
    ----------
    case : str
        The case's id; empty for plain arrays.
    loss : str
        The right loss with its parameters, as one would type it.
    quantity : {"loss", "grad_cosines", "grad_embeddings", "grad_weights"}
        Which output.
    index : tuple of int
        The element.
    got, expected : float
        The candidate's value and the right one.
    error : float
        Their distance in units of the tolerance; infinite for NaN, infinity and a wrong dtype.
    gap : float
        The least |c_k - f| of the row's negatives. Where it is large, no rounding of a mask decision excuses the error.
    note : str
        What is wrong with the whole output, for example its dtype; "" if nothing is.
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
        element = f"{self.quantity}{bracketed(self.index)} = {but_should_be(self.got, self.expected)}   [{self.loss}]"
        distance = f"error {in_tolerances(self.error)} the tolerance; nearest mask decision {self.gap:.3g} away"
        return f"{element}\n  {self.note or distance}"


@dataclass(frozen=True)
class Count:
    """How many elements of one output are right and wrong, over all cases.

    Parameters
    ----------
    quantity : str
        Which output.
    passed, failed : int
        Right elements, without the vacuous ones; and wrong elements.
    vacuous : int
        Elements within a tolerance that is as large as their right value: anything near 0 would pass there.
    undefined : mapping of str to int
        At poles the gradient is undefined and not judged. How many elements there are infinite, zero, finite, NaN.
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
class StageRow:
    """What was found of one stage that a candidate offers, over all cases.

    Parameters
    ----------
    name : str
        The stage, such as "mask".
    state : {"right", "wrong", "after", "blank"}
        Right in all cases; the first wrong one; wrong too, but after the first; left blank, or not reached.
    right, wrong : int
        How many elements are right and say something, and how many are wrong.
    mistake, formula : str
        Of the first wrong stage: what is written there by mistake, if it is known.
    place, title, hint : str
        What the function of that name in the candidate's file says: its line, its title, its hint.
    """

    name: str
    state: Literal["right", "wrong", "after", "blank"]
    right: int
    wrong: int
    mistake: str = ""
    formula: str = ""
    place: str = ""
    title: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Variations:
    """What a candidate did with batches unlike the cases.

    Parameters
    ----------
    seed, asked, passed, failed : int
        Which batches they were, how many, and how many are right and wrong.
    declined : mapping of str to int
        What the candidate refuses, such as "uint8 labels: raised IndexError", and in how many batches.
    reason : str
        Why none was asked; "" if some were.
    """

    seed: int
    asked: int
    passed: int = 0
    failed: int = 0
    declined: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Unshown:
    """Which known mistakes plain arrays could not have shown, whatever code made them.

    Parameters
    ----------
    groups : mapping of str to str
        Each such mistake, and the group of the core pack whose cases show it; "" if none does.
    known : int
        How many mistakes were tried: those that can be made in the loss, and that other data show.
    variant : str
        The variant to which the cases of these groups belong; "" if the loss is of no variant.
    rows, of : int
        On how many of the rows they were tried. Large batches would take too long.
    """

    groups: Mapping[str, str]
    known: int
    variant: str
    rows: int
    of: int


@dataclass(frozen=True)
class Evidence:
    """What the cases would have shown.

    Parameters
    ----------
    exposed : int
        How many of the known deviations that code of this loss can have show in some case that was answered.
    unexposed : tuple of str
        Those that show in none: a candidate may have them and pass the cases.
    """

    exposed: int
    unexposed: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many known deviations code of this loss can have."""
        return self.exposed + len(self.unexposed)


@dataclass(frozen=True)
class Outcome:
    """What a check found: all that a `Report` holds.

    Parameters
    ----------
    header : mapping
        Versions, vectors and their digest, candidate, loss, dialect, framework, dtype, number of cases.
    counts : tuple of Count
        One for each output.
    failures : tuple of Failure
        Every wrong element, worst first.
    diagnosis : tuple of Diagnosis
        The known mistakes that explain all failures, best first; or the one that explains most; or none.
    departure : Departure or None
        The first step of the loss that is wrong, in the order of computation.
    findings : tuple of CallFinding
        What was wrong when the candidate was called again: hidden state, rows that influence each other, ignored rows
        that count; with `strict` also invalid inputs that were accepted; with `finite`, NaN and infinity at poles.
    mishaps : tuple of Mishap
        Cases without an answer: the candidate raised, hung, declined, or returned no numbers.
    blind : tuple of str
        Negative controls that passed, each as "control in output": outputs spoiled on purpose and not found wrong.
    undecided, branches, skipped : int
        Decisions within rounding of their boundary; rows that took the other branch than exact numbers would; rows
        with too many such decisions, which are not judged.
    missing : tuple of str
        Outputs that no answer has.
    lacking : mapping of str to int
        Outputs that some answers do not have, and in how many cases; these cases are unsupported.
    refused, invalid : int
        How many of the inputs that must raise did raise, and how many there are.
    remarks : mapping of str to int
        What else the candidate does, and in how many cases.
    unjudged : int
        Elements that would have said something, in cases and outputs that came with no answer.
    variations : Variations or None
        What the candidate did with batches unlike the cases; None where that was not asked for.
    unshown : Unshown or None
        Of plain arrays that are right: the known mistakes that they could not have shown.
    evidence : Evidence or None
        Which known deviations the cases would have shown; None where that is not known.
    half_precision : str
        A sentence on half precision that was seen inside the candidate; "" if none was.
    partial : bool
        Whether a share of judged elements below `LEAST_SHARE`, or a missing output, is accepted.
    cases : mapping of str to str
        The verdict of each case.
    reproduce : str
        The command that judges the worst case alone, or the call of `svref.check` where no path leads to the
        candidate; "" where nothing fails, and for plain arrays.
    also : mapping of str to Outcome
        By dtype: what was found in the other dtypes that were judged in the same run. None of them is worse.
    not_judged : mapping of str to str
        By dtype: why it was not judged, though it was asked for.
    stages : tuple of StageRow
        The stages that the candidate offers, in the order of computation; empty if it offers none.
    reading : Reading or None
        What `diagnose` finds first in a candidate whose failures no known mistake explains; None where it is not asked.
    trials : tuple of Trial
        The cases that were answered, with every judged number. They are not part of the JSON, and not compared.
    """

    header: Mapping[str, Any]
    counts: tuple[Count, ...]
    failures: tuple[Failure, ...]
    diagnosis: tuple[Diagnosis, ...] = ()
    departure: Departure | None = None
    findings: tuple[CallFinding, ...] = ()
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
    unjudged: int = 0
    variations: Variations | None = None
    unshown: Unshown | None = None
    evidence: Evidence | None = None
    half_precision: str = ""
    partial: bool = False
    cases: Mapping[str, str] = field(default_factory=dict)
    reproduce: str = ""
    also: Mapping[str, Outcome] = field(default_factory=dict)
    not_judged: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[StageRow, ...] = ()
    reading: Reading | None = None
    trials: tuple[Trial, ...] = field(default=(), repr=False, compare=False)

    @property
    def verdict(self) -> str:
        """PASS, PASS-BRANCH, FAIL, FAIL-AS(deviation), VACUOUS, UNSUPPORTED or ERROR."""
        if self.failures or self.findings:
            return f"FAIL-AS({self.explanation})" if self.explanation else "FAIL"
        if any(mishap.kind != "unsupported" for mishap in self.mishaps):
            return "ERROR"
        if not self.counts and not self.mishaps and self.invalid:
            return "PASS"  # only inputs that must raise were asked
        if not self.counts or (not self.partial and self.missing):
            return "UNSUPPORTED"
        if not any(count.passed for count in self.counts) or (self.silent and not self.partial):
            return "VACUOUS"
        if self.share < LEAST_SHARE and not self.partial:
            return "UNSUPPORTED"
        if self.blind:
            return "ERROR"
        return "PASS-BRANCH" if self.branches else "PASS"

    @property
    def is_narrow(self) -> bool:
        """Whether the candidate was judged by a precision with narrow stages, under which much may say nothing."""
        return self.header.get("precision", "float64") not in ("float64", "float32", "float64 and float32")

    @property
    def silent(self) -> tuple[str, ...]:
        """The outputs of which no element says anything at this precision: they cannot pass."""
        return tuple(c.quantity for c in self.counts if self.is_narrow and c.vacuous and not c.passed + c.failed)

    @property
    def first_wrong(self) -> StageRow | None:
        """The first stage that is wrong; None if none is, or none is offered."""
        return next((row for row in self.stages if row.state == "wrong"), None)

    @property
    def next_blank(self) -> StageRow | None:
        """The first stage that is left blank; None if none is."""
        return next((row for row in self.stages if row.state == "blank"), None)

    @property
    def judged(self) -> int:
        """How many elements said something: those that passed or failed, without the vacuous ones."""
        return sum(count.passed + count.failed for count in self.counts)

    @property
    def failed(self) -> int:
        """How many elements are wrong."""
        return sum(count.failed for count in self.counts)

    @property
    def share(self) -> float:
        """Which share of the elements that say something was judged; the others came with no answer."""
        return self.judged / (self.judged + self.unjudged) if self.judged + self.unjudged else 1.0

    @property
    def explanation(self) -> str:
        """The name of the mistake or the finding that explains every failure; "" if none does.

        A mistake that a candidate with hidden state makes besides is named with it.
        """
        complete = [d.name for d in self.diagnosis if d.complete]
        if complete and self.failures and any(f.name == STATE for f in self.findings):
            return f"{complete[0]} with {STATE}"
        return (complete or [f.name for f in self.explaining_findings] or [""])[0]

    @property
    def explained(self) -> bool:
        """Whether a formula is known that gives every output of the candidate in all cases, within tolerance.

        It is that of a mistake by name, of a family of mistakes with a fitted size, or the right one at fixed values. A
        feature of the inputs at which the candidate is wrong is no formula. False where nothing is wrong.
        """
        if self.failures:
            return any(d.complete for d in self.diagnosis) or any(f.values for f in self.explaining_findings)
        return bool(self.findings) and all(finding.formula for finding in self.findings)

    @property
    def explaining_findings(self) -> list[CallFinding]:
        """The findings that explain what is wrong: all if no element is wrong, else those that explain every one."""
        return [f for f in self.findings if not self.failures or f.explains]

    @property
    def ok(self) -> bool:
        """Whether something was judged and nothing is wrong: PASS or PASS-BRANCH."""
        return self.verdict in ("PASS", "PASS-BRANCH")


# ---- numbers as the report writes them --------------------------------------------------------------------------


def bracketed(index: tuple[int, ...]) -> str:
    """Return an index as "[1, 2]"; "" for a scalar."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def but_should_be(got: float, expected: float) -> str:
    """Return "got, but should be expected", in enough digits that the two numbers look different."""
    few = [f"{value:.9g}" for value in (got, expected)]
    got_text, expected_text = few if few[0] != few[1] else (repr(float(value)) for value in (got, expected))
    return f"{got_text}, but should be {expected_text}"


def in_tolerances(error: float) -> str:
    """Return an error in units of the tolerance, in three digits, as "0.131 times"."""
    if not math.isfinite(error):
        return "infinitely many times"
    number = f"{error:,.3g}" if error < 1000 else f"{error:,.0f}" if error < 1e9 else f"{error:.1e}"
    return f"{number} times"
