"""Known failures: which mistake is expected, until when, and whether it is still there.

A known failure is strict. It names the mistake, so that another mistake beside it is not hidden. Once the candidate is
right, or the date has passed, it is an error.

A report names mistakes in two ways. One mistake explains all wrong elements; where several names do, any of them may be
expected. Findings, such as hidden state, are mistakes beside it, and each must be expected by its own name. The names
of several mistakes are joined by "with".
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from svref.conformance.checking.controls import ROWS, STATE, CallFinding
from svref.conformance.checking.report import Report
from svref.testing.naming import check_mistake, parts_of


@dataclass(frozen=True)
class Expectation:
    """A known failure.

    Parameters
    ----------
    mistake : str
        The name of the mistake, as a report gives it; the names of several are joined by "with".
    reason : str
        Why it is not mended yet: an issue, for example.
    until : date or None
        The last day on which the failure is accepted.
    places : tuple of str
        Where it was written, for messages.
    """

    mistake: str
    reason: str = ""
    until: datetime.date | None = None
    places: tuple[str, ...] = ("expect=",)

    @property
    def place(self) -> str:
        """Where it was written, in words."""
        return " and ".join(self.places)

    @property
    def text(self) -> str:
        """The mistake with the reason."""
        return f"{self.mistake}: {self.reason}" if self.reason else self.mistake

    def names(self, mistake: str) -> bool:
        """Return whether a mistake is one of those that are expected."""
        return parts_of(mistake) <= parts_of(self.mistake)

    def explains(self, report: Report) -> bool:
        """Return whether what is expected explains every wrong element of a report."""
        return any(map(self.names, explaining(report)))

    def expects(self, finding: str, report: Report) -> bool:
        """Return whether a finding of a report is expected, or is what hidden state does that is expected."""
        told = any(one.name == finding for one in findings_of(report))
        return self.names(finding) if told or finding != ROWS else self.names(STATE)

    def complaint(self, report: Report) -> str:
        """Return a sentence that says why the failure is not the one that is expected, and what to do; "" if it is."""
        if self.until is not None and today() > self.until:
            return f"expected until {self.until} ({self.text}): mend it, or set a later day in {self.place}"
        if report.ok:
            return f"no test fails any more, though {self.mistake} is expected: remove it from {self.place}"
        names = list(names_of(report))
        if not names:
            found = "no known mistake explains the failures" if report.failures else f"the verdict is {report.verdict}"
            return f"{self.mistake} is expected in {self.place}, but {found}"
        if parts_of(self.mistake) not in map(parts_of, names):
            found = " or ".join(names)
            return f"{self.mistake} is expected in {self.place}, but the mistake is {found}: mend it, or name that one"
        return ""


def expectation(mistake: object, reason: object, until: object, place: str) -> Expectation:
    """Return a known failure; raise a ValueError or a TypeError unless its mistake is known and its day is one."""
    if not isinstance(mistake, str) or not isinstance(reason, str):
        raise TypeError(f"{place}: mistake and reason must be text; got {mistake!r} and {reason!r}.")
    try:
        check_mistake(mistake)
        return Expectation(mistake, reason, day(until), (place,))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def joined(several: Sequence[Expectation]) -> Expectation | None:
    """Return the known failures of one candidate as one, which expects all of them; None if there is none."""
    if not several:
        return None
    mistakes = dict.fromkeys(one.mistake for one in several)
    reasons = dict.fromkeys(one.reason for one in several if one.reason)
    days = [one.until for one in several if one.until is not None]
    places = tuple(place for one in several for place in one.places)
    return Expectation(" with ".join(mistakes), "; ".join(reasons), min(days, default=None), places)


def day(until: object) -> datetime.date | None:
    """Return a day given as a date, as "2027-01-31", or as None."""
    if isinstance(until, datetime.datetime):
        return until.date()
    if until is None or isinstance(until, datetime.date):
        return until
    try:
        return datetime.date.fromisoformat(str(until))
    except ValueError:
        raise ValueError(f"until must be a day such as 2027-01-31; got {until!r}.") from None


def today() -> datetime.date:
    """Return the day on this machine's calendar."""
    return datetime.datetime.now().astimezone().date()


def explaining(report: Report) -> list[str]:
    """Return the names of what explains every wrong element, the best first; none if no element is wrong."""
    if not report.failures:
        return []
    complete = [diagnosis.name for diagnosis in report.diagnosis if diagnosis.complete]
    findings = [finding.name for finding in report.explaining_findings]
    return [name for name in dict.fromkeys([report.explanation, *complete, *findings]) if name]


def findings_of(report: Report) -> list[CallFinding]:
    """Return the findings; a row alone that differs is left out where any second call differs, by hidden state."""
    has_state = any(finding.name == STATE for finding in report.findings)
    return [finding for finding in report.findings if not (has_state and finding.name == ROWS)]


def names_of(report: Report) -> Iterator[str]:
    """Yield the names of all that is wrong: each mistake that explains the wrong elements, with the findings beside it.

    Yield nothing if wrong elements are explained by nothing.
    """
    beside = list(dict.fromkeys(f.name for f in findings_of(report) if not (report.failures and f.explains)))
    for name in explaining(report) if report.failures else [""]:
        others = [one for one in beside if not (name and parts_of(one) <= parts_of(name))]
        if name or others:
            yield " with ".join(filter(None, [name, *others]))
