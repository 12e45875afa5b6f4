"""A report as a person reads it on one screen."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from svref.conformance.candidates.guard import Mishap

if TYPE_CHECKING:
    from svref.conformance.checking.report import Count, Report
    from svref.conformance.mistakes.departure import Departure
    from svref.conformance.mistakes.explanations import Diagnosis

MOST_SHOWN = 3  # mishaps and findings


def lines_of(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    yield from (_headline(report), "")
    yield from map(_count_line, report.counts)
    yield from _remarks(report)
    yield ""
    yield from _verdict(report)
    yield from _details(report)
    if report.reproduce:
        yield f"reproduce         {report.reproduce}"


def told(got: float, expected: float) -> str:
    """Return what came back and what should have, in enough digits to tell them apart."""
    few = [f"{value:.9g}" for value in (got, expected)]
    got_text, expected_text = few if few[0] != few[1] else (repr(float(value)) for value in (got, expected))
    return f"{got_text}, but should be {expected_text}"


def units(error: float) -> str:
    """Return an error in units of the tolerance, for people."""
    if not math.isfinite(error):
        return "infinitely many units"
    return f"{error:,.3g}" if error < 1000 else f"{error:,.0f}" if error < 1e9 else f"{error:.1e}"


def _headline(report: Report) -> str:
    h = report.header
    vectors = f"vectors {h['vectors']} (sha256 {h['digest'][:8]})" if "vectors" in h else ""
    loss = f"{h['loss']} as {h['dialect']}" if h.get("dialect") else h["loss"]
    dtype = h["dtype"] if h["compute"] == h["dtype"] else f"{h['dtype']} computed in {h['compute']}"
    cases = f"{h['cases']} case{'' if h['cases'] == 1 else 's'}"
    parts = [f"svref {h['svref']}", vectors, h["candidate"], loss, h.get("framework", ""), dtype, cases]
    return " · ".join(part for part in parts if part)


def _count_line(count: Count) -> str:
    return (
        f"  {count.quantity:<16}{count.passed:6,d} passed {count.failed:6,d} failed {count.vacuous:6,d} vacuous"
        f"     worst {units(count.worst)} of tolerance"
    )


def _remarks(report: Report) -> Iterator[str]:
    for count in report.counts:
        kinds = ", ".join(f"{number} {kind}" for kind, number in count.undefined.items())
        if kinds:
            total = sum(count.undefined.values())
            which = f"{total:6d} entries of {count.quantity} at poles, or rounded to one"
            yield f"  not judged      {which}, a policy: {kinds}"
    silent = [c.quantity for c in report.counts if not c.passed and not c.failed]
    yield from (f"  no element of {name} says anything: its tolerance reaches its value" for name in silent)
    refusals = [m for m in report.mishaps if m.kind == "unsupported"]
    if refusals:
        yield f"  unsupported     {len(refusals):6d} cases: {refusals[0].message}"
    yield from (f"  unsupported            no answer has {name}" for name in report.missing)
    yield from (f"  unsupported     {number:6d} cases without {name}" for name, number in report.lacking.items())
    if report.undecided:
        took = f", {report.branches} rows took another branch" if report.branches else ""
        yield f"  either way      {report.undecided:6d} decisions within rounding of their boundary{took}"
    if report.skipped:
        yield f"  skipped         {report.skipped:6d} rows whose decisions rounding may turn over"
    if report.header.get("left_out"):
        h = report.header
        yield f"  left out        {h['left_out']:6d} cases whose inputs {h['dtype']} does not hold"
    if report.invalid:
        yield f"  invalid inputs  {report.refused:6d} of {report.invalid} refused"
    yield from (f"  remark          {number:6d} cases: the candidate {text}" for text, number in report.remarks.items())


def _verdict(report: Report) -> Iterator[str]:
    verdict = report.verdict
    if verdict.startswith("FAIL"):
        yield from _failing(report)
    elif verdict == "VACUOUS":
        yield "VACUOUS  no element says anything: all are vacuous, at poles or skipped"
    elif verdict == "UNSUPPORTED":
        yield f"UNSUPPORTED  {'no case was answered' if not report.counts else 'an output is missing in every answer'}"
    elif verdict == "ERROR" and report.blind:
        yield f"ERROR  the check cannot see this candidate: it passed with {', '.join(report.blind)}"
    elif verdict == "ERROR":
        broken = [m for m in report.mishaps if m.kind != "unsupported"]
        yield f"ERROR  no answer in {len(broken)} of {report.header['cases']} cases"
    else:
        yield verdict


def _failing(report: Report) -> Iterator[str]:
    cases = len({f.case for f in report.failures})
    complete = [d for d in report.diagnosis if d.complete]
    if not complete and report.explanation:
        yield f"FAIL  is  {report.explanation}        {cases} of {report.header['cases']} cases fail"
        return
    if not complete:
        yield f"FAIL  in {cases} of {report.header['cases']} cases; no known deviation explains them all"
        yield from map(_closest, report.diagnosis)
        return
    first = complete[0]
    yield f"FAIL  is  {first.name}        {first.matched} of {first.failing} failing cases, the paper explains 0"
    yield from _explanation(first)
    yield from (f"      or  {d.name}" for d in complete[1:4])


def _closest(diagnosis: Diagnosis) -> str:
    against = f", but contradicts {diagnosis.contradicted} passing ones" if diagnosis.contradicted else ""
    return f"      closest: {diagnosis.name}, {diagnosis.matched} of {diagnosis.failing} failing cases{against}"


def _explanation(diagnosis: Diagnosis) -> Iterator[str]:
    yield f"      {diagnosis.formula}; seen in {diagnosis.seen[0]}"
    yield from (f"      {line}" for line in textwrap.wrap(diagnosis.effect, 114))
    if diagnosis.dialects:
        yield f"      if you meant to follow that code:  --dialect {diagnosis.dialects[0]}"


def _details(report: Report) -> Iterator[str]:
    broken = [m for m in report.mishaps if m.kind != "unsupported"]
    if broken or report.findings or report.failures:
        yield ""
    yield from (f"no answer         {_mishap(m)}" for m in broken[:MOST_SHOWN])
    if len(broken) > MOST_SHOWN:
        yield f"                  and {len(broken) - MOST_SHOWN} more"
    yield from (f"{f.name:<17} {f.case}: {f.text}" for f in report.findings[:MOST_SHOWN])
    if report.departure is not None:
        yield from _departure(report.departure)
    worst = {f.quantity: f for f in reversed(report.failures)}
    for count in report.counts:
        if count.quantity in worst:
            failure = worst[count.quantity]
            yield f"worst             {failure.case}\n  {failure}"


def _mishap(mishap: Mishap) -> str:
    return str(mishap).replace("\n", "\n                ")


def _departure(departure: Departure) -> Iterator[str]:
    place = f"[{', '.join(map(str, departure.index))}]" if departure.index else ""
    row = f" row {departure.index[0]}" if not math.isnan(departure.target_cosine) else ""
    cosine = f"    cos θ_y = {departure.target_cosine:.6g}" if row else ""
    yield f"first departure   {departure.stage}   {departure.case}{row}{cosine}"
    yield f"  {departure.stage}{place} = {told(departure.got, departure.expected)}"
