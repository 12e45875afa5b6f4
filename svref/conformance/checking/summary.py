"""The outcome of a check as text for one screen."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterator

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking import poles
from svref.conformance.checking.controls import ACCEPTED, CallFinding
from svref.conformance.checking.outcome import (
    LEAST_SHARE,
    Count,
    Outcome,
    StageRow,
    Unshown,
    bracketed,
    but_should_be,
    in_tolerances,
)
from svref.conformance.diagnosing.reading import Reading
from svref.conformance.mistakes.departure import Departure
from svref.conformance.mistakes.explanations import Diagnosis

MOST_SHOWN = 3  # mishaps, and findings
MOST_NAMED = 3  # deviations that no case exposes
LEFT_OPEN = "docs/reference/report.md#what-a-pass-does-not-say"


def lines_of(outcome: Outcome) -> Iterator[str]:
    """Yield the lines: what was judged, the counts and remarks, the verdict, then the details of failures."""
    yield _headline(outcome)
    if outcome.header.get("taken"):
        yield f"taken  {outcome.header['taken']}"
    yield ""
    yield from map(_count_line, outcome.counts)
    yield from _stages(outcome)
    yield from _share(outcome)
    yield from _variations(outcome)
    yield from _remarks(outcome)
    yield from _evidence(outcome)
    yield from _other_dtypes(outcome)
    yield ""
    yield from _verdict(outcome)
    yield from _details(outcome)
    if outcome.reproduce:
        yield f"reproduce         {outcome.reproduce}"


def lines_on_verdict(outcome: Outcome) -> Iterator[str]:
    """Yield the lines on the verdict alone: which mistake it is, where it shows first, and how to see it again."""
    yield from _verdict(outcome)
    if outcome.departure is not None:
        yield from _departure(outcome.departure)
    if outcome.reproduce:
        yield f"reproduce         {outcome.reproduce}"


def _headline(outcome: Outcome) -> str:
    """Return what was judged, by which vectors, in which framework and dtype."""
    h = outcome.header
    vectors = f"vectors {h['vectors']} (sha256 {h['digest'][:8]})" if "vectors" in h else ""
    loss = f"{h['loss']} as {h['dialect']}" if h.get("dialect") else h["loss"]
    dtype = h["dtype"] if h["precision"] == h["dtype"] else f"{h['dtype']} at {h['precision']}"
    cases = f"{h['cases']} case{'' if h['cases'] == 1 else 's'}"
    parts = [f"svref {h['svref']}", vectors, h["candidate"], loss, h.get("framework", ""), dtype, cases]
    return " · ".join(part for part in parts if part)


def _count_line(count: Count) -> str:
    """Return how many elements of an output passed and failed."""
    return (
        f"  {count.quantity:<16}{count.passed:6,d} passed {count.failed:6,d} failed {count.vacuous:6,d} vacuous"
        f"     worst {in_tolerances(count.worst)} the tolerance"
    )


def _stages(outcome: Outcome) -> Iterator[str]:
    """Yield a line for each stage that the candidate offers."""
    says = {"right": "", "wrong": "    the first wrong stage", "after": "    after it", "blank": ""}
    if outcome.stages:
        yield "  stages of the loss"
    for row in outcome.stages:
        counts = f"{row.right:6,d} right  {row.wrong:6,d} wrong" if row.state != "blank" else f"{'blank':>12}"
        yield f"    {row.name:<18}{counts}{says[row.state]}"


def _share(outcome: Outcome) -> Iterator[str]:
    """Yield how many of the elements that say something were judged; plain arrays have no others."""
    if "vectors" in outcome.header and outcome.counts:
        total = outcome.judged + outcome.unjudged
        yield f"  judged          {outcome.judged:6,d} of {total:,} elements that say something, {outcome.share:.0%}"
    if outcome.is_narrow and outcome.counts:
        vacuous = sum(count.vacuous for count in outcome.counts)
        share = vacuous / max(vacuous + outcome.judged, 1)
        yield f"  vacuous         {vacuous:6,d} elements say nothing at this precision, {share:.0%}"
    yield from (
        f"  vacuous                no element of {name} says anything at this precision" for name in outcome.silent
    )


def _variations(outcome: Outcome) -> Iterator[str]:
    """Yield how many batches unlike the cases are right and wrong, and which the candidate declines."""
    found = outcome.variations
    if found is None:
        return
    if found.reason:
        yield f"  variations      not asked: {found.reason}"
        return
    yield f"  variations      {found.passed:6,d} passed {found.failed:6,d} failed                     seed {found.seed}"
    yield from (f"  declined        {number:6,d} variations: {what}" for what, number in found.declined.items())


def _other_dtypes(outcome: Outcome) -> Iterator[str]:
    """Yield what was found in the other dtypes of the same run, a line each, and why one was not judged."""
    for dtype, other in outcome.also.items():
        name = f" is {other.explanation}" if other.explanation else ""
        e, verdict = other.evidence if other.ok else None, other.verdict.split("(")[0].removesuffix("-AS")
        would = f"; {e.exposed} of {e.total} known mistakes" if e else ""
        yield f"  {dtype + ' too':<16}{verdict:>6}{name}: {_numbers_of(other)}{would}"
    for of in (outcome, *outcome.also.values()):
        if of.half_precision and (of.header["dtype"] == "float32" or not outcome.also):
            yield f"  half precision  {of.half_precision}"
    yield from (f"  {dtype:<16}   not judged: {reason}" for dtype, reason in outcome.not_judged.items())


def _numbers_of(other: Outcome) -> str:
    """Return how many elements passed and failed in another dtype; where there are no outputs to judge, why."""
    if other.counts:
        vacuous = sum(count.vacuous for count in other.counts)
        counts = f"{other.judged - other.failed:,} passed, {other.failed:,} failed, {vacuous:,} vacuous"
        return f"{counts}; worst {in_tolerances(max(count.worst for count in other.counts))} the tolerance"
    if other.first_wrong:
        return f"in the stage {other.first_wrong.name}"
    broken = sum(mishap.kind != "unsupported" for mishap in other.mishaps)
    return f"no answer in {broken} of {other.header['cases']} cases" if broken else reason_for_unsupported(other)


def _fixed(outcome: Outcome) -> Iterator[str]:
    """Yield the parameters that are fixed, where the right values come from, and how many cases were set aside."""
    h = outcome.header
    if h.get("fixed"):
        values = ", ".join(f"{name} = {value:g}" for name, value in h["fixed"].items())
        svref = "svref's own: pip install 'svref[exact]' certifies them" if not h.get("dialect") else "svref's own"
        source = "certified here" if h["certified"] else svref
        aside = f"; {h['set_aside']} cases set aside, which ask the same as others or for other values"
        yield f"  fixed           {values}; right values {source}{aside if h['set_aside'] else ''}"


def _remarks(outcome: Outcome) -> Iterator[str]:
    """Yield what the counts do not say: what was not judged, and why."""
    yield from _fixed(outcome)
    yield from _remarks_on_counts(outcome)
    unsupported = [m for m in outcome.mishaps if m.kind == "unsupported"]
    if unsupported:
        yield f"  unsupported     {len(unsupported):6d} cases: {unsupported[0].message}"
    yield from (f"  unsupported            no answer has {name}" for name in outcome.missing)
    yield from (f"  unsupported     {number:6d} cases without {name}" for name, number in outcome.lacking.items())
    if outcome.undecided:
        took = f", {outcome.branches} rows took another branch" if outcome.branches else ""
        yield f"  either way      {outcome.undecided:6d} decisions within rounding of their boundary{took}"
    if outcome.skipped:
        yield f"  skipped         {outcome.skipped:6d} rows whose decisions rounding may turn over"
    if outcome.header.get("left_out"):
        h = outcome.header
        yield f"  left out        {h['left_out']:6d} cases whose inputs {h['dtype']} does not hold"
    yield from (f"  beyond          {text}" for text in outcome.header.get("beyond", ()))
    if outcome.invalid:
        counts = "" if outcome.refused == outcome.invalid or _counts_invalid(outcome) else " (does not count)"
        yield f"  invalid inputs  {outcome.refused:6d} of {outcome.invalid} refused{counts}"
    yield from (
        f"  remark          {number:6d} cases: the candidate {text}" for text, number in outcome.remarks.items()
    )
    if outcome.unshown is not None:
        yield from _unshown(outcome.unshown)


def _counts_invalid(outcome: Outcome) -> bool:
    """Return whether inputs that must raise and did not are findings, as with --strict."""
    return any(finding.name == ACCEPTED for finding in outcome.findings)


def _unshown(found: Unshown) -> Iterator[str]:
    """Yield the known mistakes that plain arrays could not have shown, and the cases of core that show them."""
    if not found.rows:
        yield f"  not shown       no known mistake was tried: {found.of:,} rows of this size would take too long"
        return
    if found.groups:
        names = f"{len(found.groups)} of {found.known} known mistakes: {', '.join(found.groups)}"
        first, *more = textwrap.wrap(f"these data could not show {names}", 102, break_on_hyphens=False)
        yield f"  not shown       {first}"
        yield from (f"                  {line}" for line in more)
        numbers = Counter(group for group in found.groups.values() if group)
        option = f" --variant {found.variant}" if found.variant else ""
        by_group = ", ".join(f"{group} {number}" for group, number in numbers.most_common())
        yield f"                  cases that show them, by group: {by_group}; svref golden list{option} --group GROUP"
    if found.rows < found.of:
        yield f"                  tried on the first {found.rows:,} of {found.of:,} rows; more would take too long"


def _remarks_on_counts(outcome: Outcome) -> Iterator[str]:
    """Yield the outputs with elements at poles, and those in which all elements are vacuous."""
    for count in outcome.counts:
        kinds = ", ".join(f"{number} {kind}" for kind, number in count.undefined.items())
        if kinds:
            total = sum(count.undefined.values())
            which = f"{total:6d} entries of {count.quantity} at poles, or rounded to one"
            yield f"  not judged      {which}, where it is undefined: {kinds}"
    vacuous = [c.quantity for c in outcome.counts if not c.passed and not c.failed]
    yield from (f"  no element of {name} says anything: its tolerance reaches its value" for name in vacuous)


def _verdict(outcome: Outcome) -> Iterator[str]:
    """Yield the line of the verdict with its reason; for failures, the lines that explain them."""
    verdict = outcome.verdict
    if verdict.startswith("FAIL"):
        yield from _failing(outcome)
    elif verdict == "VACUOUS":
        yield "VACUOUS  no element says anything: all are vacuous, at poles or skipped"
    elif verdict == "UNSUPPORTED":
        yield f"UNSUPPORTED  {reason_for_unsupported(outcome)}"
    elif verdict == "ERROR" and outcome.blind:
        controls = ", ".join(outcome.blind)
        yield f"ERROR  the check cannot see mistakes of this candidate: outputs spoiled on purpose passed, {controls}"
    elif verdict == "ERROR":
        broken = [m for m in outcome.mishaps if m.kind != "unsupported"]
        yield f"ERROR  no answer in {len(broken)} of {outcome.header['cases']} cases"
    else:
        yield from _passing(outcome)


def _passing(outcome: Outcome) -> Iterator[str]:
    """Yield the verdict, and where the gradient is NaN or infinite although it passes."""
    text = poles.not_finite((count.quantity, count.undefined) for count in outcome.counts)
    yield f"{outcome.verdict}, but {text}: training breaks there" if text else outcome.verdict
    if text:
        option = "; --finite makes it a FAIL" if "vectors" in outcome.header else ""  # plain arrays have no options
        yield f"      why, and what to write instead: {poles.PAGE}{option}"


def _evidence(outcome: Outcome) -> Iterator[str]:
    """Yield what a PASS rests on: how many known mistakes would have failed, and which would not."""
    if outcome.ok and outcome.evidence:
        unshown = outcome.evidence.unexposed
        more = f" and {len(unshown) - MOST_NAMED} more" if len(unshown) > MOST_NAMED else ""
        names = f"; not {', '.join(unshown[:MOST_NAMED])}{more}" if unshown else ""
        yield f"  known mistakes  {outcome.evidence.exposed:6d} of {outcome.evidence.total} would have failed{names}"
        yield f"  left open       by a PASS: {LEFT_OPEN}"


def reason_for_unsupported(outcome: Outcome) -> str:
    """Return why too little was judged for a verdict."""
    if outcome.next_blank:
        return f"the candidate is unfinished: {outcome.next_blank.name} is next"
    if not outcome.counts:
        return "no case was answered"
    if outcome.missing:
        return "an output is missing in every answer; --partial accepts that"
    return f"{outcome.share:.0%} of the elements were judged, where {LEAST_SHARE:.0%} must be; --partial accepts less"


def _failing(outcome: Outcome) -> Iterator[str]:
    """Yield which mistake or finding explains all failures; if none does, say so, and yield the closest mistake."""
    cases = len({f.case for f in outcome.failures})
    complete = [d for d in outcome.diagnosis if d.complete]
    if not complete and outcome.explanation:
        yield f"FAIL  is  {outcome.explanation}        {_failing_number(outcome, cases)}"
        yield from (f"      {line}" for f in outcome.explaining_findings[:1] for line in _said(f))
        return
    first = outcome.first_wrong
    if not complete and first and first.mistake:
        yield f"FAIL  in {cases} of {outcome.header['cases']} cases; the stage {first.name} is  {first.mistake}"
        return
    if not complete:
        yield f"FAIL  in {cases} of {outcome.header['cases']} cases; no known deviation explains them all"
        yield from map(_closest, outcome.diagnosis)
        yield from _reading(outcome.reading)
        return
    best = complete[0]
    yield f"FAIL  is  {outcome.explanation}        explains {best.matched} of {best.failing} failing cases"
    yield from _explanation(best)
    yield from (f"      or  {d.name}: {d.formula}" for d in complete[1:4])
    if len(complete) > 1:
        yield "      Each of these gives all the answers, so that nothing asked tells them apart."


def _said(finding: CallFinding) -> list[str]:
    """Return, for values that are fixed inside, the sentence that says which and what to type."""
    return textwrap.wrap(finding.text, 114) if finding.values else []


def _failing_number(outcome: Outcome, cases: int) -> str:
    """Return how many cases fail; if none does, how many variations, or how many cases show a finding."""
    if not cases and outcome.first_wrong:
        return f"in the stage {outcome.first_wrong.name}"
    if not cases and outcome.variations and outcome.variations.failed:
        return f"{outcome.variations.failed} of {outcome.variations.asked} variations fail"
    if not cases:
        shown = len({finding.case for finding in outcome.findings})
        return f"shown in {shown} of {outcome.header['cases']} cases"
    return f"{cases} of {outcome.header['cases']} cases fail"


def _closest(diagnosis: Diagnosis) -> str:
    """Return the mistake that explains most failures, though not all."""
    against = f", but contradicts {diagnosis.contradicted} passing ones" if diagnosis.contradicted else ""
    return f"      closest: {diagnosis.name}, {diagnosis.matched} of {diagnosis.failing} failing cases{against}"


def _reading(reading: Reading | None) -> Iterator[str]:
    """Yield what `svref diagnose` finds first, and the command that shows all of it."""
    if reading is None:
        return
    if reading.question:
        more = f" (and {reading.more} more)" if reading.more else ""
        yield f"      diagnose reads: {reading.question}: {reading.answer}{more}"
    if reading.command:
        yield f"      what it computes:  {reading.command}"


def _explanation(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield a mistake's formula, where it was seen, what it does, and whose code makes it on purpose."""
    where = next((f"; seen in {place}" for place in diagnosis.seen if "/" in place.split(" ")[0]), "")
    yield from textwrap.wrap(f"{diagnosis.formula}{where}", 120, initial_indent="      ", subsequent_indent="      ")
    yield from (f"      {line}" for line in textwrap.wrap(diagnosis.effect, 114))
    if diagnosis.dialects:
        yield f"      if you meant to follow that code:  --dialect {diagnosis.dialects[0]}"


def _details(outcome: Outcome) -> Iterator[str]:
    """Yield the first mishaps and findings, the first departure, and the worst element of each output."""
    broken = [m for m in outcome.mishaps if m.kind != "unsupported"]
    if broken or outcome.findings or outcome.failures or outcome.next_blank:
        yield ""
    told = list({m.trace or m.message: m for m in reversed(broken)}.values())[::-1]  # the first of those alike
    yield from (f"no answer         {_mishap(m)}" for m in told[:MOST_SHOWN])
    if len(broken) > min(len(told), MOST_SHOWN):
        yield f"                  and {len(broken) - min(len(told), MOST_SHOWN)} more{' like it' * (len(told) == 1)}"
    shown = [f for f in outcome.findings if not f.values and not _is_departure(f, outcome)][:MOST_SHOWN]
    yield from (f"{f.name:<17} {f.case}: {f.text}" for f in shown)
    if outcome.departure is not None:
        yield from _departure(outcome.departure)
    if outcome.first_wrong is not None:
        yield from _of_stage(outcome.first_wrong)
    elif outcome.next_blank is not None:
        row = outcome.next_blank
        yield f"next              {row.name}   {row.place}".rstrip()
        yield from (f"  {title}" for title in filter(None, [row.title]))
    worst = {f.quantity: f for f in reversed(outcome.failures)}
    for count in outcome.counts:
        if count.quantity in worst:
            failure = worst[count.quantity]
            yield f"worst             {failure.case}\n  {failure}"


def _is_departure(finding: CallFinding, outcome: Outcome) -> bool:
    """Return whether a finding is that of the first wrong stage, which the first departure shows."""
    first, departure = outcome.first_wrong, outcome.departure
    return first is not None and departure is not None and finding.text.startswith(f"{departure.stage}[")


def _of_stage(row: StageRow) -> Iterator[str]:
    """Yield what is known of the first wrong stage: the mistake, its place in the candidate's file, the hint."""
    is_known = f"is    {row.mistake}: {row.formula}" if row.mistake else ""
    at = f"at    {_place(row)}" if row.place else ""
    hint = f"hint  {row.hint}" if row.hint else ""
    for line in filter(None, (is_known, at, hint)):
        yield from textwrap.wrap(line, 118, initial_indent="  ", subsequent_indent=" " * 8)


def _place(row: StageRow) -> str:
    """Return the place of a stage in the candidate's file, and the title that it has there."""
    return "   ".join(part for part in (row.place, row.title) if part)


def _mishap(mishap: Mishap) -> str:
    """Return a mishap, with the lines of its trace indented."""
    return str(mishap).replace("\n", "\n                ")


def _departure(departure: Departure) -> Iterator[str]:
    """Yield the first departure: its step, case and row, then the two numbers."""
    row = f" row {departure.index[0]}" if not math.isnan(departure.target_cosine) else ""
    cosine = f"    cos θ_y = {departure.target_cosine:.6g}" if row else ""
    yield f"first departure   {departure.stage}   {departure.case}{row}{cosine}"
    yield f"  {departure.stage}{bracketed(departure.index)} = {but_should_be(departure.got, departure.expected)}"
