"""What `svref diagnose` says first of a candidate that fails a check without a name, for the screen of the check."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from svref.conformance.candidates.call import Level
from svref.conformance.candidates.guard import Guard
from svref.conformance.diagnosing import vectors
from svref.conformance.diagnosing.asker import Asker
from svref.conformance.diagnosing.diagnose import findings_of, usual_parameters
from svref.conformance.diagnosing.findings import Finding
from svref.variants import Variant

COMPILED = ("jax", "tensorflow", "tf.")  # frameworks that compile each shape anew, which takes too long here


@dataclass(frozen=True)
class Reading:
    """What a candidate computes at the first step that departs from the paper.

    Parameters
    ----------
    question : str
        The part of the loss; "" if nothing is read.
    answer : str
        What is computed there, in a few words or a formula.
    evidence : str
        The numbers that the answer rests on.
    more : int
        How many other parts depart.
    command : str
        The command that shows all of them; "" for a candidate that has no path.
    """

    question: str
    answer: str
    evidence: str
    more: int
    command: str


def reading_of(
    guard: Guard,
    entry: Variant,
    level: Level | None,
    dtype: np.dtype[Any],
    parameters: Mapping[str, float] | None = None,
    candidate: object = None,
) -> Reading | None:
    """Return the first departure that `diagnose` finds, and the command that shows all; None if it finds none.

    It takes a second or two, and it raises nothing, whatever the candidate does.

    Parameters
    ----------
    guard : Guard
        Calls the candidate.
    entry : Variant
        What it is meant to be.
    level : {"cosine", "head"} or None
        What it takes; None, for files of answers, is not asked.
    dtype : numpy.dtype
        The dtype of its inputs.
    parameters : mapping, optional
        Its parameters; those left out are the usual ones of `diagnose`.
    candidate : str or object
        What the user typed, for the command.
    """
    if level is None:
        return None
    command = _command(candidate, entry, dtype, parameters or {})
    try:
        if guard.adapter.description.lower().startswith(COMPILED):
            return Reading("", "", "", 0, command)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asker = Asker(guard, entry, dtype, is_head=level == "head")
            findings = _findings(asker, usual_parameters(entry, parameters or {}))
    except Exception:
        return Reading("", "", "", 0, command)
    return _first(findings, command)


def _findings(asker: Asker, parameters: dict[str, float]) -> tuple[Finding, ...]:
    """Return the findings; of a head that departs by itself, those about the head alone, which take less time."""
    if asker.is_head:
        of_head = vectors.questions(asker.head(parameters))
        if any(finding.agrees is False for finding in of_head):
            return tuple(of_head)
    return findings_of(asker, parameters, pairs=False, scales=())


def _first(findings: tuple[Finding, ...], command: str) -> Reading | None:
    """Return the first finding that departs; one without a formula only if there is no other."""
    departing = [finding for finding in findings if finding.agrees is False]
    if not departing:
        return None
    known = [finding for finding in departing if not finding.answer.startswith(("no known", "not "))]
    first = (known or departing)[0]
    return Reading(first.question, first.answer, first.evidence, len(departing) - 1, command)


def _command(candidate: object, entry: Variant, dtype: np.dtype[Any], parameters: Mapping[str, float]) -> str:
    """Return the command; "" for a function that has no path."""
    if not isinstance(candidate, str):
        return ""
    words = ["svref", "diagnose", candidate, "--loss", entry.name]
    words += [] if dtype == np.float64 else ["--dtype", dtype.name]
    for name, value in parameters.items():
        words += ["--with", f"{name}={value:g}"]
    return shlex.join(words)
