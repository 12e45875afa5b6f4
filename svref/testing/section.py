"""What is told at the end of a run: which mistake each candidate makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from svref._version import __version__
from svref.conformance.checking.report import Report
from svref.conformance.checking.summary import lines_on_verdict
from svref.testing.found import Found


def header(candidates: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return the lines on what is judged and by which vectors, from the candidate, the loss and the vectors of each."""
    if not candidates:
        return []
    vectors = ", ".join(dict.fromkeys(vectors for *_, vectors in candidates))
    judged = ", ".join(dict.fromkeys(f"{candidate} ({loss})" for candidate, loss, _ in candidates))
    return [f"svref {__version__} · numpy {np.__version__} · vectors {vectors} · judged: {judged}"]


def lines(founds: Sequence[tuple[Found, Report]]) -> Iterator[str]:
    """Yield a paragraph for each candidate and dtype; less, if nothing is wrong, or the same as in the dtype before."""
    told = ""
    for found, report in founds:
        yield f"{found.test or found.candidate} · {found.candidate} · {found.loss} · {found.dtype}: {_counted(found)}"
        if found.expected and not found.verdicts["failed"]:
            yield f"  known: {found.expected}"
        elif is_wrong(report):
            name = f"{found.test} {found.candidate} {found.loss} {report.explanation}"
            said = list(lines_on_verdict(report))
            yield from (f"  {line}" for line in (said[:1] if report.explanation and told == name else said))
            told = name


def is_wrong(report: Report) -> bool:
    """Return whether something is wrong; that little was judged is no mistake, as in a run of some cases."""
    broken = any(mishap.kind != "unsupported" for mishap in report.mishaps)
    return bool(report.failures or report.findings or report.blind) or broken


def mistake(found: Found, report: Report) -> str:
    """Return the verdict on a candidate for reports that machines read: "right", or what is wrong."""
    return report.verdict if is_wrong(report) else "right"


def _counted(found: Found) -> str:
    """Return how many cases passed and failed."""
    words = {"passed": "passed", "failed": "failed", "known": "failed as expected", "skipped": "skipped"}
    return ", ".join(f"{n} {words[verdict]}" for verdict, n in found.verdicts.items() if n)
