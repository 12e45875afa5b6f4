"""A report as one HTML page, to send to the author of the code: no network, no script, light, dark and printed."""

from __future__ import annotations

from datetime import UTC, datetime

from svref.conformance import Report
from svref.explain.document import document
from svref.sharing import sections


def page(report: Report, *, command: str = "", date: str | None = None) -> str:
    """Return a report as one HTML page that needs no other file.

    Parameters
    ----------
    report : Report
        What `svref.check` or `svref.check_values` returned.
    command : str, optional
        The command that made it, to be shown.
    date : str, optional
        The date to be shown; None is today's, in UTC.

    Returns
    -------
    str
        The verdict with its evidence; the judged negatives over (c_y, c_k); the errors case by case, in units of the
        tolerance; the mistake's curves over the paper's, where it has curves; the first departure step by step; the
        worst elements; versions, command and digest. Of several dtypes, the pictures show the one with the worst
        verdict.

    Raises
    ------
    ImportError
        Without matplotlib, which is in the extra `plot`.

    Examples
    --------
    >>> import svref
    >>> from svref.sharing import page
    >>> report = svref.check("docs/examples/easy_margin.py:sv_am", "sv-am-softmax", dtype="float64")
    >>> print(page(report).splitlines()[1])
    <html lang="en">
    """
    date = datetime.now(UTC).date().isoformat() if date is None else date
    parts = [
        *sections.lead(report),
        *sections.verdict(report),
        *sections.places(report),
        *sections.mistake(report),
        *sections.first_departure(report),
        *sections.worst(report),
        *sections.environment(report, command, date),
    ]
    return document(f"{report.verdict}: {report.header['candidate']}, {report.header['loss']}", parts)
