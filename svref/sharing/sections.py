"""The sections of a report's page: the verdict, where and by how much it departs, the mistake, one row, versions."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from svref.conformance import Report
from svref.conformance.checking.outcome import in_tolerances
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS
from svref.explain.document import inlined, scrolled
from svref.explain.page import sections
from svref.loss import SVXSoftmax
from svref.plots import judged, svg
from svref.sharing.points import departing, errors_of, failing, negatives_of

MOST_FAILURES = 10
WEIGHTS = "grad_weights"  # the one output that has a row for each class
EDGES = "Errors below 1e-4 tolerances are drawn at the left edge, infinite ones and NaN at the right edge."


def verdict(report: Report) -> Iterator[str]:
    """Yield the verdict, the name of the mistake with its formula and effect, and the numbers that it rests on."""
    yield f'<p class="verdict">{escape(report.verdict)}</p>'
    for found in [d for d in report.diagnosis if d.complete][:1]:
        yield f"<p><code>{escape(found.formula)}</code></p><p>{escape(found.effect)}</p>"
        yield f'<p class="soft">It explains {found.matched} of {found.failing} failing cases.</p>'
    for finding in report.findings[:MOST_FAILURES]:
        yield f"<p><b>{escape(finding.name)}</b>: {escape(finding.text)}</p>"
    for mishap in report.mishaps[:1]:
        yield f"<p>No answer in {len(report.mishaps)} cases. The first: {escape(mishap.message)}</p>"
    yield from _counts(report)
    if report.evidence:
        yield f"<p>{report.evidence.exposed} of {report.evidence.total} known mistakes would have failed.</p>"


def _counts(report: Report) -> Iterator[str]:
    """Yield the table of the counts, for each dtype and output."""
    rows = [
        f'<tr><th scope="row">{dtype}, {count.quantity}</th><td>{count.passed:,}</td><td>{count.failed:,}</td>'
        f"<td>{count.vacuous:,}</td><td>{in_tolerances(count.worst)}</td></tr>"
        for dtype, one in report.of.items()
        for count in one.counts
    ]
    if rows:
        heads = ("dtype and output", "right", "wrong", "vacuous", "worst error / tolerance")
        yield scrolled("Elements that were judged", heads, rows)
    stages = [
        f'<tr><th scope="row">{row.name}</th><td>{row.right:,}</td><td>{row.wrong:,}</td><td>{row.state}</td></tr>'
        for row in report.stages
    ]
    if stages:
        yield scrolled("Stages of the loss", ("stage", "right", "wrong", "verdict"), stages)


def places(report: Report) -> Iterator[str]:
    """Yield the picture of the judged negatives, and that of the errors."""
    points = negatives_of(report.trials)
    if not len(points.wrong):
        return
    wrong = int(points.wrong.sum())
    alt = f"{len(points.wrong)} negatives over the cosine of their target and their own; {wrong} of them are wrong."
    yield f"<section><h2>Where it departs</h2><p>{escape(_where(points.wrong, points.target, report))}</p>"
    yield _figure(svg(judged.where(*points)), alt, "where-")
    yield "</section>"
    errors = [judged.Strip(entry.case, entry.output, entry.errors) for entry in errors_of(report)]
    cases = len({entry.case for entry in errors})
    alt = f"The largest errors of {cases} cases along a logarithmic axis, in units of the tolerance. {_beyond(report)}"
    yield f"<section><h2>By how much, case by case</h2><p>{escape(_beyond(report))} {EDGES}</p>"
    yield _figure(svg(judged.strips(errors)), alt, "errors-")
    yield "</section>"


def _where(wrong: np.ndarray, target: np.ndarray, report: Report) -> str:
    """Return a sentence on the targets' cosines at which something is wrong."""
    if not wrong.any():
        elsewhere = sum(count.failed for count in report.counts if count.quantity == WEIGHTS)
        alone = f" What is wrong is {WEIGHTS} alone, in {elsewhere:,} elements; it has a row for each class."
        return f"All {len(wrong):,} negatives are judged right.{alone if elsewhere else ''}"
    low, high = target[wrong].min(), target[wrong].max()
    found = f"{int(wrong.sum()):,} of {len(wrong):,} negatives are in a row, or have a derivative, that is wrong"
    return f"{found}; the cosines of their targets lie from {low:.3g} to {high:.3g}."


def _beyond(report: Report) -> str:
    """Return a sentence on the cases beyond the tolerance."""
    cases = len(list(failing(report.trials)))
    return f"{cases} of {len(report.trials)} cases have an element beyond its tolerance."


def _figure(picture: str, alt: str, prefix: str) -> str:
    return f"<figure>{inlined(picture, alt, prefix)}</figure>"


def mistake(report: Report) -> Iterator[str]:
    """Yield the mistake's curves over the paper's; a sentence where it has none."""
    entry = DEVIATIONS.get(report.explanation)
    if entry is None:
        return
    yield f"<section><h2>The mistake over the paper's curve</h2><p><code>{escape(entry.formula)}</code></p>"
    loss = next((t.loss for t in failing(report.trials) if _shows(entry.name, t.loss)), None)
    if loss is None:
        yield "<p>It does not show in a row with negatives at 60° and 150°, whatever the angle of the target.</p>"
    else:
        alt = f"The loss and its derivative by c_y over the angle to the target: the paper's, and {entry.name}."
        yield f'<p class="soft">{escape(_typed(report, loss))}; negatives at 60° and 150°.</p>'
        yield _figure(svg(judged.mistake_curves(entry, loss)), alt, "mistake-")
    yield "</section>"


def _shows(name: str, loss: SVXSoftmax) -> bool:
    return judged.differs(DEVIATIONS[name], loss)


def _typed(report: Report, loss: SVXSoftmax) -> str:
    """Return a loss as one would type it."""
    trial = next(t for t in report.trials if t.loss is loss)
    given = ", ".join(f"{name} = {value:g}" for name, value in trial.parameters.items())
    return f"{report.header['loss']} with {given}" if given else str(report.header["loss"])


def first_departure(report: Report) -> Iterator[str]:
    """Yield the row of the first departure, step by step, as the right loss computes it."""
    found, departure = departing(report), report.departure
    if found is None or departure is None:
        return
    trial, row = found
    index = f"[{', '.join(map(str, departure.index))}]" if departure.index else ""
    yield "<section><h2>The first departure, step by step</h2>"
    yield f"<p>Case {escape(trial.id)}, row {row}: <b>{escape(departure.stage)}{index}</b> is "
    yield f"{departure.got:.9g}, but should be {departure.expected:.9g}. Below is what is right.</p>"
    yield f'<p class="soft">{escape(_row(trial, row))}</p>'
    yield from sections(trial.step(), row, dict(trial.parameters) or {"s": trial.loss.s}, "h3")
    yield "</section>"


def _row(trial: Trial, row: int) -> str:
    """Return the parameters and the label of a row."""
    given = "".join(f"{name} = {value:g}, " for name, value in trial.parameters.items())
    return f"{given}label y = {trial.labels[row]}, {trial.step().cosines.shape[1]} classes"


def worst(report: Report) -> Iterator[str]:
    """Yield the table of the worst elements."""
    if not report.failures:
        return
    rows = [
        f'<tr><th scope="row">{escape(f.case)}</th><td>{f.quantity}[{", ".join(map(str, f.index))}]</td>'
        f"<td>{f.got:.9g}</td><td>{f.expected:.9g}</td><td>{in_tolerances(f.error)}</td></tr>"
        for f in report.failures[:MOST_FAILURES]
    ]
    caption = f"The worst {len(rows)} of {len(report.failures):,} wrong elements"
    yield f"<section><h2>The worst elements</h2>{scrolled(caption, WORST, rows)}</section>"


WORST = ("case", "element", "got", "right", "error / tolerance")


def environment(report: Report, command: str, date: str) -> Iterator[str]:
    """Yield what ran: the command, the date, versions, dtypes, the vectors and their digest."""
    facts = dict(_facts(report.header, date))
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value)
    yield f"<section><h2>The environment</h2><dl>{rows}</dl>"
    for title, line in (("The check", command), ("The worst case alone", report.reproduce)):
        if line:
            yield f'<h3>{title}</h3><pre tabindex="0">{escape(line)}</pre>'
    yield "</section>"


def _facts(header: Mapping[str, Any], date: str) -> Iterator[tuple[str, str]]:
    """Yield names and values."""
    yield "date", date
    yield "candidate", header["candidate"]
    yield "taken", header.get("taken", "")
    yield "loss", f"{header['loss']} as {header['dialect']}" if header.get("dialect") else header["loss"]
    yield "fixed", ", ".join(f"{name} = {value:g}" for name, value in header.get("fixed", {}).items())
    computed = "" if header["precision"] == header["dtype"] else f" at {header['precision']}"
    yield "dtype of the pictures", f"{header['dtype']}{computed}"
    yield "framework", header.get("framework", "")
    yield "svref", header["svref"]
    yield "vectors", header.get("vectors", "")
    yield "digest", f"sha256 {header['digest']}" if header.get("digest") else ""
    yield "Python", f"{platform.python_version()}, NumPy {np.__version__}, {platform.system()} {platform.machine()}"


def lead(report: Report) -> Sequence[str]:
    """Return the title of the page and the sentence below it."""
    header = report.header
    what = f"{escape(str(header['candidate']))} as {escape(str(header['loss']))}"
    dtypes = " and ".join(report.of) or escape(str(header["dtype"]))
    vectors = f", by the vectors {escape(str(header['vectors']))}" if header.get("vectors") else ""
    plan = f" at {header['precision']}" if report.is_narrow and header["precision"] != header["dtype"] else ""
    return (
        f"<h1>{what}</h1>",
        f'<p class="soft">Judged by svref in {dtypes}{plan}{vectors}, {header["cases"]} cases.</p>',
    )
