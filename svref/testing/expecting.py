"""Known failures: which mistake is expected, until when, and whether it is still there.

A known failure is strict. It names the mistake, so that another mistake beside it is not hidden. Once the candidate is
right, or the date has passed, it is an error.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from svref.conformance.checking.report import Report
from svref.testing.naming import check_mistake


@dataclass(frozen=True)
class Expectation:
    """A known failure.

    Parameters
    ----------
    mistake : str
        The name of the mistake, as a report gives it.
    reason : str
        Why it is not mended yet: an issue, for example.
    until : date or None
        The last day on which the failure is accepted.
    place : str
        Where it was written, for messages.
    """

    mistake: str
    reason: str = ""
    until: datetime.date | None = None
    place: str = "expect="

    @property
    def text(self) -> str:
        """The mistake with the reason."""
        return f"{self.mistake}: {self.reason}" if self.reason else self.mistake

    def complaint(self, report: Report) -> str:
        """Return a sentence that says why the failure is not the one that is expected, and what to do; "" if it is."""
        if self.until is not None and today() > self.until:
            return f"expected until {self.until} ({self.text}): mend it, or set a later day in {self.place}"
        if report.ok:
            return f"no case fails any more, though {self.mistake} is expected: remove it from {self.place}"
        if not names_of(report):
            found = "no known mistake explains the failures" if report.failures else f"the verdict is {report.verdict}"
            return f"{self.mistake} is expected in {self.place}, but {found}"
        if self.mistake not in names_of(report):
            found = " or ".join(names_of(report))
            return f"{self.mistake} is expected in {self.place}, but the mistake is {found}: mend it, or name that one"
        return ""


def expectation(mistake: object, reason: object, until: object, place: str) -> Expectation:
    """Return a known failure; raise a ValueError or a TypeError unless its mistake is known and its day is one."""
    if not isinstance(mistake, str) or not isinstance(reason, str):
        raise TypeError(f"{place}: mistake and reason must be text; got {mistake!r} and {reason!r}.")
    try:
        check_mistake(mistake)
        return Expectation(mistake, reason, day(until), place)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


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


def names_of(report: Report) -> tuple[str, ...]:
    """Return the names of what explains every failure of a report, the best first."""
    complete = [diagnosis.name for diagnosis in report.diagnosis if diagnosis.complete]
    findings = [finding.name for finding in report.explaining_findings]
    return tuple(name for name in dict.fromkeys([report.explanation, *complete, *findings]) if name)
