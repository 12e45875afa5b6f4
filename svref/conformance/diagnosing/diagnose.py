"""`svref diagnose`: what does a user's function compute? Asked without vectors, answered as a table of findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref._version import __version__
from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import CandidateError
from svref.conformance.candidates.loading import candidate_name, dtype_of, guarded, is_answers, variant_of
from svref.conformance.candidates.process import untouched
from svref.conformance.diagnosing import vectors
from svref.conformance.diagnosing.asker import Asker
from svref.conformance.diagnosing.behaviour import OVERFLOW, SCALE, ordinary_rows
from svref.conformance.diagnosing.findings import NOT_ANSWERED, Finding
from svref.conformance.diagnosing.gradient import GRADIENT
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
        As `check` takes them; the candidate takes cosines, or embeddings and weights.
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
        If the candidate cannot be found or called, or has no losses of ordinary rows to read: it raises or hangs
        there, or what it returns are no losses and gradient of the dtype it was given, or all losses are NaN.
    """
    entry, kind = variant_of(loss), dtype_of(dtype)
    keywords = usual_parameters(entry, parameters or {})
    if is_answers(candidate):
        raise CandidateError("svref diagnose asks a function; answers from files are for svref check.")
    guard, level, _ = guarded(candidate, entry, framework, device, kind, timeout)
    asker = Asker(guard, entry, kind, is_head=level == "head")
    if not asker.is_head:
        _check_usable(asker.bound(keywords), kind)
    header = {
        "svref": f"svref {__version__}", "candidate": candidate_name(candidate), "loss": entry.name,
        "framework": guard.adapter.description, "dtype": kind.name,
        "parameters": ", ".join(f"{name}={value:g}" for name, value in keywords.items()),
    }  # fmt: skip
    return Identification(header, findings_of(asker, keywords))


def findings_of(
    asker: Asker, parameters: dict[str, float], pairs: bool = True, scales: tuple[float, ...] = OTHER_SCALES
) -> tuple[Finding, ...]:
    """Return the findings with some parameters; those of a head begin with the head itself.

    The loss inside a head is asked for if the losses depend on products of the vectors alone. What stays open about a
    loss of cosines is asked at the other `scales`; a head is asked one row a call, and so at the given s alone.
    """
    if not asker.is_head:
        return _of_losses(asker, parameters, pairs, scales)
    of_head = vectors.questions(asker.head(parameters))
    if not vectors.is_readable(of_head):
        return tuple(of_head)
    by_x, by_w = vectors.right_gradients(of_head)
    inside = replace(asker, of_unit_length=not vectors.normalises(of_head), by_weights=by_w)
    of_losses = _of_losses(inside, parameters, pairs, scales=())
    if not (by_x or by_w):
        of_losses = tuple(f for f in of_losses if f.question != GRADIENT)
    return (*of_head, *of_losses)


def _of_losses(
    asker: Asker, parameters: dict[str, float], pairs: bool, scales: tuple[float, ...]
) -> tuple[Finding, ...]:
    """Return the findings about the loss; a question they leave open is answered at another scale, if it can be.

    The evidence then says at which s. If nothing answers a question, its evidence is what the given s had to say.
    """
    findings = asker.identified(parameters, pairs)
    for s in scales:
        if s == parameters["s"] or not any(_is_open(f) for f in findings):
            continue
        again = asker.identified({**parameters, "s": s}, pairs)
        answers = {
            f.question: replace(f, evidence=f"{f.evidence} (at s = {s:g})") for f in again if f.agrees is not None
        }
        findings = tuple(answers.get(f.question, f) if _is_open(f) else f for f in findings)
    return findings


def _is_open(finding: Finding) -> bool:
    """Return whether another scale may answer what a finding leaves open."""
    is_of_another = finding.evidence.endswith("already")
    return finding.agrees is None and not is_of_another and finding.question != OVERFLOW


def usual_parameters(entry: Variant, given: Mapping[str, float]) -> dict[str, float]:
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
