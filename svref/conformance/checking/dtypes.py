"""A candidate judged in several dtypes: one report of all, which is that of the worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking.report import Report

# The worst first. A dtype in which no element says anything counts only if it is so in all of them.
WORST_FIRST = ("FAIL", "ERROR", "UNSUPPORTED", "PASS-BRANCH", "PASS", "VACUOUS")
REFUSAL = "raised TypeError"  # how the message of a mishap begins if the candidate refuses what it was given


def together(reports: Mapping[str, Report], left_out: Mapping[str, str]) -> Report:
    """Return the report of the dtype with the worst verdict, which holds those of the others.

    Parameters
    ----------
    reports : mapping of str to Report
        By dtype. A dtype that the candidate refuses is left out, unless it refuses all of them.
    left_out : mapping of str to str
        Why a dtype was not judged at all.
    """
    refusals = {dtype: reason for dtype, report in reports.items() if (reason := _refusal(report))}
    refusals = refusals if len(refusals) < len(reports) else {}
    judged = {dtype: report for dtype, report in reports.items() if dtype not in refusals}
    worst = min(judged, key=lambda dtype: WORST_FIRST.index(judged[dtype].verdict.split("(")[0].removesuffix("-AS")))
    others = {dtype: report for dtype, report in judged.items() if dtype != worst}
    return replace(judged[worst], also=others, not_judged={**left_out, **refusals})


def _refusal(report: Report) -> str:
    """Return how a candidate refuses a dtype: every call raises a TypeError or says so; "" if one does not."""
    return "" if report.counts or report.findings else refusal_of(report.mishaps)


def refusal_of(mishaps: Sequence[Mishap]) -> str:
    """Return how a candidate refuses what it is given, if that is what all mishaps say; "" if it is not."""
    refused = all(m.kind == "unsupported" or m.message.startswith(REFUSAL) for m in mishaps)
    return mishaps[0].message.split(" (called")[0] if mishaps and refused else ""
