"""The text of a failure: short, with the reason of the case and the command that shows it again."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import numpy as np

from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking.outcome import Failure, bracketed, but_should_be, in_tolerances
from svref.conformance.checking.report import failures_in, worst_first
from svref.conformance.mistakes.explanations import explanations
from svref.conformance.trial import Trial
from svref.golden.vectors import Vector
from svref.testing.suite import Suite

MOST_NAMED = 3  # mistakes that one case alone may show
WIDTH = 110
STATEFUL = "it keeps state between calls, so that the tests that ran before, in the same process, change this one"


def text_of_trial(suite: Suite, trial: Trial, vector: Vector | None, mistakes: tuple[str, ...], again: str = "") -> str:
    """Return what is wrong with the answer to a case; `again` is how it differs when the case is asked once more."""
    state = [f"  {again}", f"  {STATEFUL}"] if again else []
    lines = [*_element(trial), *state, *reason(suite, vector), *_mistakes(mistakes), suite.command(trial.id)]
    return "\n".join(lines)


def text_of_mishap(suite: Suite, mishap: Mishap, vector: Vector | None) -> str:
    """Return why a case has no answer."""
    frames = [f"  {frame}" for frame in mishap.trace]
    return "\n".join([f"no answer: {mishap.message}", *frames, *reason(suite, vector), suite.command(mishap.case)])


def _element(trial: Trial) -> Iterator[str]:
    """Yield the worst wrong element, and how many more there are."""
    failures = worst_first(failures_in(trial))
    worst = failures[0]
    where = f"{worst.quantity}{bracketed(worst.index)}"
    yield f"{where} = {but_should_be(worst.got, worst.expected)}   [{worst.loss}]"
    within = f"error {in_tolerances(worst.error)} the tolerance, which is {_tolerance(trial, worst):.3g}"
    yield f"  {worst.note or within}"
    if len(failures) > 1:
        yield f"  {len(failures) - 1} more element{' is' if len(failures) == 2 else 's are'} wrong in this case"


def _tolerance(trial: Trial, failure: Failure) -> float:
    """Return the tolerance of an element, in the branch by which it was judged."""
    ways, rows = trial.expected.ways, trial.judgement.branch
    has_rows = bool(failure.index) and failure.quantity != "grad_weights"
    way = ways[int(rows[failure.index[0]])] if has_rows else ways[int(np.max(rows, initial=0))]
    output = next(output for output in way if output.name == failure.quantity)
    return float(output.tolerance[failure.index])


def reason(suite: Suite, vector: Vector | None) -> Iterator[str]:
    """Yield what the case tests, and what failing it means."""
    if vector is None:
        return
    notes = suite.steps.check.vectors.notes
    yield from _wrapped("tests: ", vector.purpose)
    yield from _wrapped("failing means: ", " ".join(notes[flag]["failing"] for flag in vector.flags))


def _wrapped(title: str, text: str) -> list[str]:
    return textwrap.wrap(f"{title}{text}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def _mistakes(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the mistakes that give the answers of this case; too many say nothing."""
    if 0 < len(names) <= MOST_NAMED:
        yield f"  this case alone is explained by: {', '.join(names)}"


def mistakes_in(suite: Suite, trial: Trial) -> tuple[str, ...]:
    """Return the names of the single mistakes that give the answer to one case."""
    entry = suite.steps.check.entry if suite.steps.plan.dialect is None else None
    found = explanations([trial], entry, only_single=True)
    return tuple(one.diagnosis.name for one in found if one.diagnosis.complete)
