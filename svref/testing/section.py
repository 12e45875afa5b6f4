"""What is told at the end of a run: which mistake each candidate makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from svref._version import __version__
from svref.conformance.checking.report import Report
from svref.conformance.checking.summary import lines_on_verdict
from svref.testing.found import Found


class Named(Protocol):
    """What is judged: a `Suite`, or what was `Found` of one."""

    @property
    def candidate(self) -> str:
        """The name of the candidate."""

    @property
    def loss(self) -> str:
        """The name of the variant."""

    @property
    def vectors(self) -> str:
        """The pack, its version and its digest."""

    @property
    def framework(self) -> str:
        """The framework with its version."""


def header(judged: Sequence[Named]) -> str:
    """Return the line on what is judged, in which frameworks, and by which vectors."""
    frameworks = ", ".join(dict.fromkeys(one.framework for one in judged))
    vectors = ", ".join(dict.fromkeys(one.vectors for one in judged))
    candidates = ", ".join(dict.fromkeys(f"{one.candidate} ({one.loss})" for one in judged))
    return f"svref {__version__} · {frameworks} · vectors {vectors} · judged: {candidates}"


def lines(founds: Sequence[tuple[Found, Report]]) -> Iterator[str]:
    """Yield a paragraph for each candidate and dtype; less, if nothing is wrong, or the same as in the dtype before."""
    told = ""
    for found, report in founds:
        yield f"{found.test or found.origin} · {found.candidate} · {found.loss} · {found.dtype}: {_counted(found)}"
        if found.expected and not found.verdicts["failed"]:
            yield f"  known: {found.expected}"
        elif is_wrong(report) or (found.verdicts["failed"] and not report.ok):
            name = f"{found.test} {found.candidate} {found.loss} {report.explanation}"
            said = list(lines_on_verdict(report))
            yield from (f"  {line}" for line in (said[:1] if report.explanation and told == name else said))
            told = name


def is_wrong(report: Report) -> bool:
    """Return whether something is wrong; that little was judged is no mistake where only some tests ran."""
    broken = any(mishap.kind != "unsupported" for mishap in report.mishaps)
    return bool(report.failures or report.findings or report.blind) or broken


def mistake(found: Found, report: Report) -> str:
    """Return the verdict on a candidate for reports that machines read: "right", or what is wrong.

    Where no test failed or passed, nothing was judged, and nothing is right.
    """
    if is_wrong(report) or (found.verdicts["failed"] and not report.ok):
        return report.verdict
    if not found.verdicts["passed"]:
        return "nothing was judged"
    if found.verdicts["failed"]:
        return f"right, though {found.expected} is expected" if found.expected else "FAIL"
    return "right"


def _counted(found: Found) -> str:
    """Return how many cases passed and failed, and how many invalid inputs were refused."""
    words = {"passed": "passed", "failed": "failed", "known": "failed as expected", "skipped": "skipped"}
    counted = ", ".join(f"{n} {words[verdict]}" for verdict, n in found.verdicts.items() if n)
    refused, invalid = found.result.refused, found.result.invalid
    return f"{counted}; {refused} of {invalid} invalid inputs refused" if invalid else counted
