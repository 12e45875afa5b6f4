"""What does a candidate compute? Asked of a user's function, without vectors; the answers as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svref._version import __version__
from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import Answer, Call, CandidateError, check_dtypes, check_outputs, outputs_of
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.candidates.loading import candidate_name, dtype_of, guarded, is_answers, variant_of
from svref.conformance.diagnosing.behaviour import ordinary_rows
from svref.conformance.diagnosing.identify import Finding, Run, identify
from svref.variants import Variant

ASKED = {"s": 8.0, "t": 1.25}  # a scale at which losses keep their digits, and a strength that is exact
STEEP = 64.0  # where caps and overflow show
DYADIC_MARGINS = ("am-softmax", "sv-am-softmax", "mv-am-softmax")


@dataclass(frozen=True)
class Identification:
    """What a candidate was found to compute.

    Parameters
    ----------
    header : mapping
        Versions, candidate, loss, framework, dtype, and the parameters it was called with.
    findings : tuple of Finding
        Question by question: what it does, the evidence, whether the paper does the same.
    """

    header: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def departures(self) -> tuple[Finding, ...]:
        """What the paper does otherwise."""
        return tuple(f for f in self.findings if f.agrees is False)

    @property
    def ok(self) -> bool:
        """Whether nothing departs from the paper. Golden vectors say more: see `check`."""
        return not self.departures

    def __str__(self) -> str:
        head = " · ".join(value for value in self.header.values() if value)
        width = max(len(f.question) for f in self.findings)
        marks = {True: " ", False: "!", None: "?"}
        lines = []
        for f in self.findings:
            lines.append(f"{marks[f.agrees]} {f.question:<{width}}  {f.answer}")
            if f.agrees is False:
                name = f"{f.deviation}: " if f.deviation else ""
                lines.append(f"  {'':<{width}}    {name}{f.evidence}")
        found = len(self.departures)
        verdict = f"{found} departure{'s' if found > 1 else ''} from the paper, marked !" if found else "as the paper"
        open_ = sum(f.agrees is None for f in self.findings)
        told = f"; {open_} question{'s' if open_ > 1 else ''} that outputs do not answer, marked ?" if open_ else ""
        return "\n".join([head, "", *lines, "", verdict + told])


def diagnose(
    candidate: Callable[..., Any] | str,
    loss: str,
    *,
    dtype: DTypeLike = "float64",
    framework: str | None = None,
    device: str = "cpu",
    timeout: float | None = None,
    parameters: Mapping[str, float] | None = None,
) -> Identification:
    """Say what a candidate computes, from its outputs alone.

    Losses of chosen rows are turned back into the margin function, the mask's boundary, the form of the emphasis; the
    gradient is compared with differences of the candidate's own loss; calls are repeated, permuted and split.

    Parameters
    ----------
    candidate, loss, dtype, framework, device, timeout
        As `check` takes them; the candidate is one of cosines.
    parameters : mapping, optional
        Keyword arguments in place of the usual ones: the variant's defaults with s = 8 and t = 1.25.

    Returns
    -------
    Identification
        ``.findings``, ``.departures``, ``str()``.

    Raises
    ------
    ValueError
        If the variant, a parameter or the dtype is unknown.
    CandidateError
        If the candidate cannot be found or called, is one of embeddings and weights, or has no losses of ordinary
        rows: it raises, hangs, or returns what is no losses and gradient of the dtype it was given, or NaN alone.
    """
    entry, kind = variant_of(loss), dtype_of(dtype)
    asked = _parameters(entry, parameters or {})
    if is_answers(candidate):
        raise CandidateError("svref diagnose asks a function; answers from files are for svref check.")
    guard, level, _ = guarded(candidate, entry, framework, device, kind, timeout)
    if level != "cosine":
        raise CandidateError("svref diagnose asks candidates on (cosines, labels); give it the loss inside the head.")
    _check_usable(_run(guard, asked), kind)
    findings = identify(_run(guard, asked), entry.factory(**asked), kind)
    steep = {**asked, "s": STEEP}
    of_steep = {f.question: f for f in identify(_run(guard, steep), entry.factory(**steep), kind)}
    merged = tuple(of_steep.get(f.question, f) if f.agrees is None else f for f in findings)
    header = {
        "svref": f"svref {__version__}", "candidate": candidate_name(candidate), "loss": entry.name,
        "framework": guard.adapter.description, "dtype": kind.name,
        "parameters": ", ".join(f"{name}={value:g}" for name, value in asked.items()),
    }  # fmt: skip
    return Identification(header, merged)


def _parameters(entry: Variant, given: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters that a candidate is called with; a ValueError names those that the variant has."""
    for name in given:
        if name not in entry.parameters:
            raise ValueError(f"parameters of {entry.name} are {', '.join(entry.parameters)}; got {name}.")
    usual = {name: ASKED.get(name, default) for name, default in entry.parameters.items()}
    usual |= {"m": 0.25} if entry.name in DYADIC_MARGINS else {}
    asked = {**usual, **given}
    entry.factory(**asked)  # says which values they may have
    return asked


def _check_usable(run: Run, kind: np.dtype[Any]) -> None:
    """Raise a CandidateError if a candidate has no losses of ordinary rows, neither together nor one alone."""
    cosines, labels = ordinary_rows()
    c = cosines.astype(kind)
    said = [_refusal(run, c[:count], labels[:count]) for count in (len(labels), 1)]
    if all(said):
        raise CandidateError(f"svref diagnose needs losses of ordinary rows, and there are none: {said[0]}")


def _refusal(run: Run, cosines: FloatArray, labels: IntArray) -> str:
    """Return why there are no losses; "" if there are."""
    try:
        losses, _ = run(cosines, labels)
    except CandidateError as error:
        return str(error)
    return "" if np.isfinite(losses).any() else f"all {len(losses)} are NaN or infinite."


def _run(guard: Guard, parameters: Mapping[str, float]) -> Run:
    """Return the candidate with its parameters bound; one that reduces is asked row by row."""

    def answer(cosines: FloatArray, labels: IntArray) -> Answer:
        call = Call("", (cosines,), labels, np.ones(len(labels)), parameters)
        found = guard(call)
        if isinstance(found, Mishap):
            raise CandidateError(found.message)
        outputs = outputs_of(found, call)
        check_outputs(outputs, call, None if found.losses.ndim else 1.0)
        check_dtypes(outputs, call)
        return found

    def run(cosines: FloatArray, labels: IntArray) -> tuple[NDArray[Any], NDArray[Any] | None]:
        whole = answer(cosines, labels)
        if whole.losses.ndim:
            return whole.losses, whole.gradients[0]
        rows = [answer(cosines[b : b + 1], labels[b : b + 1]) for b in range(len(labels))]
        gradients = [g for g in (row.gradients[0] for row in rows) if g is not None]
        together = np.concatenate(gradients) if len(gradients) == len(rows) else None
        return np.array([row.losses.reshape(()) for row in rows]), together

    return run
