"""The target: f, its tail beyond θ + m = π, an easy margin, and whether the label's own column is emphasised.

What is asked: targets in every region of f, each beside negatives at -1. What is read off: f there. What is concluded:
the paper's loss and the known deviations are measured in the same way, and the first whose f is the candidate's,
within the errors of both, gives f its name. An f without a name is tried as a known formula with another parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.conformance.diagnosing import negatives, probes
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import SAME, Measurement, Subject
from svref.deviations import which
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, Combined, MultiplicativeAngle

# Four digits that are no round numbers, so that none of these lies on a kink of a margin.
TARGETS = (0.9297, 0.8613, 0.8013, 0.6189, 0.5511, 0.4523, 0.2011, 0.1019, -0.1013, -0.3017, -0.5521, -0.7019)
FAR_TARGETS = (-0.8011, -0.9007, -0.9503, -0.9901)  # beyond θ + m = π for usual m
FROM_SWITCH = 1e-3  # cosine units: no target is closer to where an easy margin or a tail begins
ONE_VALUE = 1e-3  # a parameter that varies by less over the targets is one; usual margins have two decimals

F, TAIL, EASY, LABEL = "f", "f beyond θ + m = π", "easy margin", "the label's column of the mask"
QUESTION_OF = {  # the deviations that change f, in the order in which they are tried, and the question each answers
    "margin-ignored": F,
    "margin-in-degrees": F,
    "sign-of-margin-flipped": F,
    "easy-margin-above-0": EASY,
    "easy-margin-above-m": EASY,
    "tail-raw": TAIL,
    "tail-linear": TAIL,
    "tail-plain": TAIL,
    "tail-reflect": TAIL,
    "tail-parallel": TAIL,
    "tail-clipped": TAIL,
    "cos-m-theta-without-psi": F,
    "annealing-left-on": F,
    "label-in-mask": LABEL,
    "margin-on-all-classes": F,
    "logits-are-angles": F,
}


class _MeasuredF(NamedTuple):
    """f at each of the targets (T,): the candidate's and the paper's, measured in the same way."""

    loss: SVXSoftmax
    targets: FloatArray
    candidate: Measurement
    paper: Measurement

    @property
    def beyond(self) -> BoolArray:
        """Where θ + m > π."""
        return _is_beyond(self.loss, self.targets)

    def evidence(self, region: BoolArray) -> str:
        """Return, as a sentence, the f in a region that is farthest from the paper's."""
        measured = self.candidate.usable & region
        if not measured.any():
            return "no target whose f could be measured"
        f, paper = self.candidate.value, self.paper.value
        i = int(np.argmax(np.where(measured, np.abs(f - paper), -1)))
        where = f"(the farthest of {measured.sum()} targets)"
        return f"f({self.targets[i]:.4g}) = {f[i]:.4f}; paper: {paper[i]:.4f} {where}"

    def samples(self, index: IntArray) -> str:
        """Return f at some of the targets, each beside the paper's."""
        values = (self.targets[index], self.candidate.value[index], self.paper.value[index])
        return "; ".join(f"f({c:.4g}) = {f:.4f}, paper: {right:.4f}" for c, f, right in zip(*values, strict=True))


def ask(subject: Subject) -> tuple[list[Finding], str | None]:
    """Return the findings about f, and the name of the deviation that the candidate's f is.

    The name is "" for the paper's f, and None for an f that is neither the paper's nor a known deviation's. If the f is
    the paper's except on the tail, the name is "" all the same, as long as none of `negatives.TARGETS` lies on the
    tail: the questions about negatives, which take the name, then meet the paper's f only.
    """
    loss, targets = subject.loss, _targets(subject.loss)
    candidate, paper = (probes.measured_f(each, targets) for each in (subject, subject.computing("")))
    f = _MeasuredF(loss, targets, candidate, paper)
    base = _known_f(subject, f)
    if base is None and _only_tail_differs(f):
        return _findings_of_unknown_tail(f), None if _is_beyond(loss, negatives.TARGETS).any() else ""
    return _findings(f, base), base


# ---- what is asked ---------------------------------------------------------------------------------------------


def _targets(loss: SVXSoftmax) -> FloatArray:
    """Return targets in every region of f: above and below the easy margins' thresholds, 0 and m, and on the tail."""
    m = getattr(loss.margin, "m", 0.0)
    angle, above = _added_angle(loss), m if isinstance(loss.margin, AdditiveCosine | AdditiveAngle) else 0.0
    c = np.array([*TARGETS, *FAR_TARGETS, min(above / 2, 0.9), (-1 - np.cos(angle)) / 2])
    switches = np.array([0.0, above, -np.cos(angle)])
    return c[(np.abs(c[:, None] - switches) > FROM_SWITCH).all(axis=1) & (np.abs(c) < 0.9999)]


def questions(loss: SVXSoftmax) -> list[str]:
    """Return the questions that have a meaning for a loss."""
    asked = {F: True, TAIL: _added_angle(loss) > 0, EASY: which.has_margin(loss), LABEL: which.masks_by_margin(loss)}
    return [question for question, has_meaning in asked.items() if has_meaning]


def _added_angle(loss: SVXSoftmax) -> float:
    """Return the angle that the margin adds, 0 for a margin that adds none."""
    return loss.margin.m if isinstance(loss.margin, AdditiveAngle) else 0.0


def _is_beyond(loss: SVXSoftmax, c: FloatArray) -> BoolArray:
    """Return where θ + m > π."""
    return np.asarray(c < -np.cos(_added_angle(loss)))


# ---- what is read off: which known f it is ---------------------------------------------------------------------


def _known_f(subject: Subject, f: _MeasuredF) -> str | None:
    """Return the first deviation whose f is the candidate's, "" for the paper's; None if there is none."""
    if not f.candidate.usable.any():
        return None
    names = ("", *subject.applicable(QUESTION_OF))
    return next((n for n in names if _is_same_f(f, probes.measured_f(subject.computing(n), f.targets))), None)


def _is_same_f(f: _MeasuredF, other: Measurement) -> bool:
    """Return whether the candidate's f is that of a known computation; their h may differ.

    f is measured beside negatives at -1. Where f < -1, these are support vectors. If the two h differ at c_k = -1, all
    f measured there differ by one number, the difference of the two log h/s. Any one number up to 2 is allowed. For a
    margin with a tail, a wrong tail may be off by one number too. There only the numbers that known wrong forms of h
    cause are allowed, those of `_lifts_at_minus_one`.
    """
    if f.candidate.equals(other):
        return True
    low = f.candidate.usable & (f.loss.margin.value(Angle.from_cosine(f.targets)) < -1)
    if not (which.emphasises(f.loss) and low.any()):
        return False
    off = (f.candidate.value - other.value)[low]
    for lift in _lifts_at_minus_one(f.loss) if _added_angle(f.loss) else [float(np.clip(off[0], -2, 2))]:
        if (np.abs(off - lift) <= f.candidate.error[low] + SAME).all():
            return f.candidate.equals(other, ~low) is True
    return False


def _lifts_at_minus_one(loss: SVXSoftmax) -> list[float]:
    """Return by how much known wrong forms of h make f come out too large where negatives at -1 are support vectors.

    In this order: adaptive or no h in place of fixed; fixed in place of adaptive; t + 1 for t; s missing in h.
    """
    t = loss.emphasis.t
    return [t - 1, 1 - t, -1, (t - 1) * (1 - 1 / loss.s)]


def _only_tail_differs(f: _MeasuredF) -> bool:
    """Return whether f is the paper's where θ + m <= π, and measured beyond, where it is then another."""
    has_tail = _added_angle(f.loss) > 0
    return has_tail and f.candidate.equals(f.paper, ~f.beyond) is True and bool((f.candidate.usable & f.beyond).any())


# ---- what is concluded -----------------------------------------------------------------------------------------


def _findings(f: _MeasuredF, base: str | None) -> list[Finding]:
    """Return the answer to each question about f; `base` is the name that `ask` returns for it."""
    regions, everywhere = {TAIL: f.beyond, EASY: f.targets <= 0}, np.ones(len(f.targets), dtype=bool)
    findings = []
    for question in questions(f.loss):
        region = regions.get(question, everywhere)
        if question == F and base is None:
            findings.append(_unknown_f(f, f.evidence(region)))
        else:
            is_measured = bool((f.candidate.usable & region).any())
            findings.append(_answer(f.loss, question, base, f.evidence(region), is_measured))
    return findings


def _answer(loss: SVXSoftmax, question: str, base: str | None, evidence: str, is_measured: bool) -> Finding:
    """Return the answer to one question; `is_measured` says whether f is known anywhere in the question's region."""
    if base and QUESTION_OF[base] == question:
        return known_deviation(question, base, evidence)
    if is_measured and base is not None and (base == "" or QUESTION_OF[base] != F):
        return Finding(question, papers_formula(loss, question), evidence, True)
    return Finding(question, "f differs already" if is_measured else "rounding hides f there", evidence, None)


def papers_formula(loss: SVXSoftmax, question: str) -> str:
    """Return what the paper's loss does, in its symbols."""
    if question in (EASY, LABEL):
        return {EASY: "none: the margin is there for all c_y", LABEL: "never a support vector"}[question]
    match loss.margin:
        case AdditiveCosine():
            return "c_y - m"
        case AdditiveAngle(_, tail):
            return "cos(θ + m)" if question == F or tail == "raw" else f"the tail asked for, {tail}"
        case MultiplicativeAngle():
            return "ψ(θ)"
        case Combined():
            return "cos(m1 θ + m2) - m3"
    return "c_y" if not which.has_margin(loss) else "the margin asked for"


# ---- an f that no known deviation has --------------------------------------------------------------------------


class _OneParameter(NamedTuple):
    """A formula of f with one parameter, and what it must be for the formula to give f at each target (T,).

    `meant` is the value it has in the paper's loss, NaN if that loss has another formula.
    """

    formula: str
    name: str
    solved: FloatArray
    meant: float


def _unknown_f(f: _MeasuredF, evidence: str) -> Finding:
    """Return the formula and the parameter with which it gives f at all targets, or that there is none."""
    measured = np.flatnonzero(f.candidate.usable)
    if not len(measured):
        return unanswered(F, "every loss is NaN, or rounding hides f")
    for fit in _fits(f.loss, f.targets[measured], f.candidate.value[measured]):
        known = fit.solved[np.isfinite(fit.solved)]
        is_one = len(known) > 1 and np.ptp(known) < ONE_VALUE * max(1.0, abs(float(known.mean())))
        # If the parameter has the value that was meant, it is not what is wrong: f departs at other targets, for which
        # the parameter could not be solved.
        if is_one and not abs(np.median(known) - fit.meant) < ONE_VALUE:
            return Finding(F, f"f = {fit.formula}, {fit.name} = {np.median(known):.6g}", evidence, False)
    return Finding(F, "no known formula", f.samples(measured[::4]), False)


def _fits(loss: SVXSoftmax, c: FloatArray, f: FloatArray) -> Iterator[_OneParameter]:
    """Yield each formula with one parameter, solved for that parameter at targets c with these f."""
    m = getattr(loss.margin, "m", np.nan)
    yield _OneParameter("c_y - m'", "m'", c - f, m if isinstance(loss.margin, AdditiveCosine) else np.nan)
    angle = np.where(c > 0, np.arccos(f) - np.arccos(c), np.nan)  # for c <= 0, θ + m may pass π
    yield _OneParameter("cos(θ + m')", "m'", angle, m if isinstance(loss.margin, AdditiveAngle) else np.nan)
    if isinstance(loss.margin, MultiplicativeAngle):
        psi = loss.margin.value(Angle.from_cosine(c))
        yield _OneParameter("(λ c_y + ψ)/(1 + λ)", "λ", (psi - f) / (f - c), loss.margin.annealing)


def _findings_of_unknown_tail(f: _MeasuredF) -> list[Finding]:
    """Return the findings about an f that is the paper's but for its tail, which no known deviation has."""
    tail = np.flatnonzero(f.candidate.usable & f.beyond)
    lift = f.loss.emphasis.t - 1 if f.loss.emphasis.form == "fixed" else 0.0  # of the negatives at -1, where f < -1
    value = f.candidate.value.copy()
    value[tail] = np.where(value[tail] + lift < -1, value[tail] + lift, value[tail])
    corrected = f._replace(candidate=f.candidate._replace(value=value))
    ends = tail[np.argsort(f.targets[tail])[[-1, 0]]]
    regions = {F: ~f.beyond, EASY: ~f.beyond & (f.targets <= 0), LABEL: ~f.beyond}
    findings = []
    for question in questions(f.loss):
        if question == TAIL:
            formula = _tail_formula(f.targets[tail], value[tail])
            findings.append(Finding(TAIL, formula, corrected.samples(ends), False))
        else:
            evidence = f.evidence(regions[question])
            findings.append(Finding(question, papers_formula(f.loss, question), evidence, True))
    return findings


def _tail_formula(c: FloatArray, f: FloatArray) -> str:
    """Return a tail as a constant, or as c_y less a constant, if it is either at all targets c."""
    if np.ptp(f) < ONE_VALUE:
        return f"f = {np.median(f):.4g} where θ + m > π"
    if np.ptp(c - f) < ONE_VALUE:
        return f"f = c_y - {np.median(c - f):.4g} where θ + m > π"
    return "no known formula"
