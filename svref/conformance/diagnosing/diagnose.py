"""`svref diagnose`: what does a user's function compute? Asked without vectors, answered as a table of findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svref._version import __version__
from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import Answer, Call, CandidateError, check_dtypes, check_outputs, outputs_of
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.candidates.loading import candidate_name, dtype_of, guarded, is_answers, variant_of
from svref.conformance.candidates.process import untouched
from svref.conformance.diagnosing.behaviour import SCALE, ordinary_rows
from svref.conformance.diagnosing.cotangent import Weighted
from svref.conformance.diagnosing.findings import NOT_ANSWERED, Finding
from svref.conformance.diagnosing.gradient import GRADIENT
from svref.conformance.diagnosing.identify import Others, identify
from svref.conformance.diagnosing.mask import MASK
from svref.conformance.diagnosing.negatives import LOGITS, H
from svref.conformance.diagnosing.probes import BoundCandidate
from svref.conformance.diagnosing.target import F
from svref.variants import Variant

USUAL = {"s": 8.0, "t": 1.25}  # at s = 8 rounding hides few losses, and no format rounds 1.25
OTHER_SCALES = (8.0, 64.0)  # what stays open is asked here: losses have digits at 8, and are large enough to cap at 64
OF_THE_LOSS = (SCALE, F, LOGITS, MASK, H, GRADIENT)  # a candidate of whom all these are open is not called right
DYADIC_MARGINS = ("am-softmax", "sv-am-softmax", "mv-am-softmax")  # asked with m = 0.25, which no format rounds


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
        """The findings in which the candidate departs from the paper."""
        return tuple(f for f in self.findings if f.agrees is False)

    @property
    def ok(self) -> bool:
        """Whether no finding departs from the paper, and some finding says what the loss is.

        That is no proof: `check` tests more, with golden vectors.
        """
        return not self.departures and self.tells_the_loss

    @property
    def tells_the_loss(self) -> bool:
        """Whether a question about the loss itself is answered: one about s, f, the negatives or the gradient."""
        return any(f.agrees is not None for f in self.findings if f.question in OF_THE_LOSS)

    def __str__(self) -> str:
        """Return the header, the findings, and a last line that counts departures and open questions.

        A finding has one line; a departure has a second one, with its evidence.
        """
        head = " · ".join(value for value in self.header.values() if value)
        width = max(len(f.question) for f in self.findings)
        marks = {True: " ", False: "!", None: "?"}
        lines = []
        for f in self.findings:
            because = f", because {f.evidence}" if f.answer == NOT_ANSWERED else ""
            lines.append(f"{marks[f.agrees]} {f.question:<{width}}  {f.answer}{because}")
            if f.agrees is False:
                name = f"{f.deviation}: " if f.deviation else ""
                lines.append(f"  {'':<{width}}    {name}{f.evidence}")
        return "\n".join([head, "", *lines, "", self._summary()])

    def _summary(self) -> str:
        """Return how many findings depart from the paper, and how many questions are open."""
        found, unknown = len(self.departures), sum(f.agrees is None for f in self.findings)
        as_the_paper = (
            "as the paper" if self.tells_the_loss else "nothing about the loss could be told, not even as right"
        )
        verdict = f"{found} departure{'s' if found > 1 else ''} from the paper, marked !" if found else as_the_paper
        plural = "s" if unknown > 1 else ""
        return verdict + (f"; {unknown} question{plural} that outputs do not answer, marked ?" if unknown else "")


@untouched()
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

    Losses of chosen rows are turned back into the margin function, the boundary of the mask and the form of the
    emphasis. The gradient is compared with differences of the candidate's own losses. Calls are repeated, permuted
    and split.

    Parameters
    ----------
    candidate, loss, dtype, framework, device, timeout
        As `check` takes them; the candidate takes cosines, not embeddings and weights.
    parameters : mapping, optional
        Keyword arguments for the candidate. Those left out are the variant's defaults, but s = 8, t = 1.25 and for the
        AM variants m = 0.25.

    Returns
    -------
    Identification
        ``.findings``, ``.departures``, ``str()``.

    Raises
    ------
    ValueError
        If the variant, a parameter or the dtype is unknown.
    CandidateError
        If the candidate cannot be found or called, takes embeddings and weights, or has no losses of ordinary rows
        to read: it raises or hangs there, or what it returns are no losses and gradient of the dtype it was given, or
        all losses are NaN.
    """
    entry, kind = variant_of(loss), dtype_of(dtype)
    keywords = _parameters(entry, parameters or {})
    if is_answers(candidate):
        raise CandidateError("svref diagnose asks a function; answers from files are for svref check.")
    guard, level, _ = guarded(candidate, entry, framework, device, kind, timeout)
    if level != "cosine":
        raise CandidateError("svref diagnose asks candidates on (cosines, labels); give it the loss inside the head.")
    _check_usable(_bound(guard, keywords), kind)
    header = {
        "svref": f"svref {__version__}", "candidate": candidate_name(candidate), "loss": entry.name,
        "framework": guard.adapter.description, "dtype": kind.name,
        "parameters": ", ".join(f"{name}={value:g}" for name, value in keywords.items()),
    }  # fmt: skip
    return Identification(header, _findings(guard, entry, keywords, kind))


def _findings(guard: Guard, entry: Variant, parameters: dict[str, float], kind: np.dtype[Any]) -> tuple[Finding, ...]:
    """Return the findings with some parameters; a question they leave open is answered at s = 8 or 64, if it can be.

    The evidence then says at which s. If nothing answers a question, its evidence is what the given s had to say.
    """
    findings = _identified(guard, entry, parameters, kind)
    for s in OTHER_SCALES:
        if s == parameters["s"] or not any(_is_open(f) for f in findings):
            continue
        again = _identified(guard, entry, {**parameters, "s": s}, kind)
        answers = {
            f.question: replace(f, evidence=f"{f.evidence} (at s = {s:g})") for f in again if f.agrees is not None
        }
        findings = tuple(answers.get(f.question, f) if f.agrees is None else f for f in findings)
    return findings


def _is_open(finding: Finding) -> bool:
    """Return whether another scale may answer what a finding leaves open."""
    return finding.agrees is None and not finding.evidence.endswith("already")


def _identified(guard: Guard, entry: Variant, parameters: Mapping[str, float], kind: np.dtype[Any]) -> tuple[Finding, ...]:
    """Return the findings with some parameters, one way and the other."""
    others = Others(
        [(_bound(guard, other), entry.factory(**other)) for other in _other_parameters(entry, parameters)],
        _weighted(guard, parameters),
    )
    return identify(_bound(guard, parameters), entry.factory(**parameters), kind, others)


def _other_parameters(entry: Variant, parameters: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Yield the parameters with one of them changed, each in turn.

    A margin is halved, and so is what t exceeds 1 by doubled: numbers that no format rounds stay such numbers.
    """
    changes = {"s": lambda s: 0.75 * s, "t": lambda t: 2 * t - 1, "m1": lambda m1: m1 + 0.5}
    for name, value in parameters.items():
        by_half = (lambda m: m - 1 if m > 2 else m + 1) if isinstance(value, int) else (lambda m: m / 2)
        other = {**parameters, name: changes.get(name, by_half)(value)}
        try:
            entry.factory(**other)
        except (TypeError, ValueError):  # this variant does not take such a number
            continue
        if other != dict(parameters):
            yield other


def _weighted(guard: Guard, parameters: Mapping[str, float]) -> Weighted:
    """Return the candidate as a function of cosines, labels and a cotangent, for the gradient alone."""

    def gradient(cosines: FloatArray, labels: IntArray, cotangent: FloatArray) -> NDArray[Any] | None:
        found = guard(Call("", (cosines,), labels, cotangent, parameters))
        if isinstance(found, Mishap):
            raise CandidateError(found.message)
        takes_it = found.applied is not None and np.array_equal(found.applied, cotangent)
        return found.gradients[0] if takes_it else None

    return gradient


def _parameters(entry: Variant, given: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters that a candidate is called with: those given, and the usual ones for the rest.

    Raises a ValueError for a parameter that the variant does not have, or a value that it may not have.
    """
    for name in given:
        if name not in entry.parameters:
            raise ValueError(f"parameters of {entry.name} are {', '.join(entry.parameters)}; got {name}.")
    usual = {name: USUAL.get(name, default) for name, default in entry.parameters.items()}
    usual |= {"m": 0.25} if entry.name in DYADIC_MARGINS else {}
    parameters = {**usual, **given}
    entry.factory(**parameters)  # raises for values that they may not have
    return parameters


def _check_usable(candidate: BoundCandidate, kind: np.dtype[Any]) -> None:
    """Raise a CandidateError if a candidate has no losses of ordinary rows, neither in a batch nor of one row alone."""
    cosines, labels = ordinary_rows()
    c = cosines.astype(kind)
    reasons = [_why_unusable(candidate, c[:count], labels[:count]) for count in (len(labels), 1)]
    if all(reasons):
        raise CandidateError(f"svref diagnose needs losses of ordinary rows, and there are none: {reasons[0]}")


def _why_unusable(candidate: BoundCandidate, cosines: FloatArray, labels: IntArray) -> str:
    """Return why a candidate has no losses of these rows; "" if it has."""
    try:
        losses, _ = candidate(cosines, labels)
    except CandidateError as error:
        return str(error)
    return "" if np.isfinite(losses).any() else f"all {len(losses)} are NaN or infinite."


def _bound(guard: Guard, parameters: Mapping[str, float]) -> BoundCandidate:
    """Return the candidate as a function of cosines and labels; one that reduces its losses is asked row by row."""

    def answer(cosines: FloatArray, labels: IntArray) -> Answer:
        call = Call("", (cosines,), labels, np.ones(len(labels)), parameters)
        found = guard(call)
        if isinstance(found, Mishap):
            raise CandidateError(found.message)
        outputs = outputs_of(found, call)
        check_outputs(outputs, call, None if found.losses.ndim else 1.0)
        check_dtypes(outputs, call)
        return found

    def candidate(cosines: FloatArray, labels: IntArray) -> tuple[NDArray[Any], NDArray[Any] | None]:
        whole = answer(cosines, labels)
        if whole.losses.ndim:
            return whole.losses, whole.gradients[0]
        rows = [answer(cosines[b : b + 1], labels[b : b + 1]) for b in range(len(labels))]
        gradients = [g for g in (row.gradients[0] for row in rows) if g is not None]
        gradient = np.concatenate(gradients) if len(gradients) == len(rows) else None
        return np.array([row.losses.reshape(()) for row in rows]), gradient

    return candidate
