"""The target: f, its tail and easy margin, and whether the label's own column is emphasised.

f is read off each target beside negatives at -1. The known deviations are read in the same way, the paper's loss
first among them, and the first whose readings are the candidate's, within the errors of both, gives f its name.
"""

from __future__ import annotations

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import negatives, probes
from svref.conformance.diagnosing.probes import LOOSE, Finding, Reading, Subject, named
from svref.deviations import DEVIATIONS, which
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, Combined, MultiplicativeAngle

TARGETS = (0.9297, 0.8613, 0.8013, 0.6189, 0.5511, 0.4523, 0.2011, 0.1019, -0.1013, -0.3017, -0.5521, -0.7019)
FAR_TARGETS = (-0.8011, -0.9007, -0.9503, -0.9901)

F, TAIL, EASY, LABEL = "f", "f beyond θ + m = π", "easy margin", "the label's column of the mask"
OF_TARGET = {  # each is tried, in this order
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


def ask(subject: Subject) -> tuple[list[Finding], str | None]:
    """Return the findings about f, and the deviation that f is: "" for the paper, None for an unknown one.

    A tail that is unknown alone leaves the paper's f beside all targets of the questions about negatives.
    """
    loss, c = subject.loss, _targets(subject.loss)
    got, right = (probes.read_targets(each, c) for each in (subject, subject.like("")))
    applying = ("", *(name for name in OF_TARGET if DEVIATIONS[name].applies(loss)))
    matches = (n for n in applying if _same_f(loss, c, got, probes.read_targets(subject.like(n), c)))
    base = next(matches, None) if got.resolved.any() else None
    if base is None and _is_unknown_tail(loss, c, got, right):
        return _with_unknown_tail(loss, c, got, right), None if _beyond(loss, negatives.TARGETS).any() else ""
    asked = {F: True, TAIL: _angle(loss) > 0, EASY: which.has_margin(loss), LABEL: which.masks_by_margin(loss)}
    regions = {TAIL: _beyond(loss, c), EASY: c <= 0}
    findings = []
    for question in (question for question, is_asked in asked.items() if is_asked):
        region = regions.get(question, c < 2)
        evidence = _f_evidence(c, got, right, region)
        if question == F and base is None:
            seen = got.resolved
            findings.append(_unknown_f(loss, c[seen], got.value[seen], right.value[seen], evidence))
        else:
            findings.append(_answer(loss, question, base, evidence, bool((got.resolved & region).any())))
    return findings, base


def _answer(loss: SVXSoftmax, question: str, base: str | None, evidence: str, seen: bool) -> Finding:
    """Return the answer to one question about an f that is the deviation `base`."""
    if base and OF_TARGET[base] == question:
        return named(question, base, evidence)
    if seen and base is not None and (base == "" or OF_TARGET[base] != F):
        return Finding(question, _formula(loss, question), evidence, True)
    return Finding(question, "f differs already" if seen else "no loss there has digits", evidence, None)


def _targets(loss: SVXSoftmax) -> FloatArray:
    """Return targets in every region of f, none next to a switch."""
    m = getattr(loss.margin, "m", 0.0)
    angle, above = _angle(loss), m if isinstance(loss.margin, AdditiveCosine | AdditiveAngle) else 0.0
    c = np.array([*TARGETS, *FAR_TARGETS, min(above / 2, 0.9), (-1 - np.cos(angle)) / 2])
    switches = np.array([0.0, above, -np.cos(angle)])
    return c[(np.abs(c[:, None] - switches) > 1e-3).all(axis=1) & (np.abs(c) < 0.9999)]


def _angle(loss: SVXSoftmax) -> float:
    """Return the angle that the margin adds."""
    return loss.margin.m if isinstance(loss.margin, AdditiveAngle) else 0.0


def _beyond(loss: SVXSoftmax, c: FloatArray) -> BoolArray:
    """Return where θ + m > π."""
    return np.asarray(c < -np.cos(_angle(loss)))


def _same_f(loss: SVXSoftmax, c: FloatArray, got: Reading, hypothesis: Reading) -> bool:
    """Return whether two readings of f are one.

    Where f < -1 the negatives at -1 are support vectors, and an h that is not 1 there moves the readings by log h/s,
    all by the same. Beside a tail, which may also do that, only by what known forms of h amount to.
    """
    if got.equals(hypothesis):
        return True
    low = got.resolved & (loss.margin.value(Angle.from_cosine(c)) < -1)
    if not (which.emphasises(loss) and low.any()):
        return False
    off, t = (got.value - hypothesis.value)[low], loss.emphasis.t
    known = (t - 1, 1 - t, -1, (t - 1) * (1 - 1 / loss.s))
    for lift in known if _angle(loss) else (float(np.clip(off[0], -2, 2)),):
        if (np.abs(off - lift) <= got.error[low] + LOOSE).all():
            return got.equals(hypothesis, ~low) is True
    return False


def _f_evidence(c: FloatArray, got: Reading, right: Reading, region: BoolArray) -> str:
    """Return the reading in a region that is farthest from the paper's."""
    seen = got.resolved & region
    if not seen.any():
        return "no target with a reading"
    i = int(np.argmax(np.where(seen, np.abs(got.value - right.value), -1)))
    return f"f({c[i]:.4g}) = {got.value[i]:.4f}; paper: {right.value[i]:.4f} (the farthest of {seen.sum()} targets)"


def _unknown_f(loss: SVXSoftmax, c: FloatArray, f: FloatArray, right: FloatArray, evidence: str) -> Finding:
    """Return what one parameter would have to be for f to be what it is, or that no known formula fits."""
    if not len(f):
        return Finding(F, "cannot be told", "no loss has digits: all are NaN, or lost in rounding", None)
    for formula, name, solved, meant in _solved(loss, c, f):
        kept = solved[np.isfinite(solved)]
        same = len(kept) > 1 and np.ptp(kept) < 1e-3 * max(1.0, abs(float(kept.mean())))
        if same and not abs(np.median(kept) - meant) < 1e-3:  # that one is no departure, wherever the departure is
            return Finding(F, f"{formula} with {name} = {np.median(kept):.6g}", evidence, False)
    return Finding(F, "no known formula", _samples(c[::4], f[::4], right[::4]), False)


def _samples(c: FloatArray, f: FloatArray, right: FloatArray) -> str:
    """Return f at some targets, beside the paper's."""
    return "; ".join(f"f({x:.4g}) = {v:.4f}, paper: {w:.4f}" for x, v, w in zip(c, f, right, strict=True))


def _solved(loss: SVXSoftmax, c: FloatArray, f: FloatArray) -> list[tuple[str, str, FloatArray, float]]:
    """Return formulas with one parameter, its name, what it is at each target, and what it is meant to be, or NaN."""
    turned, m = np.where(c > 0, np.arccos(f) - np.arccos(c), np.nan), getattr(loss.margin, "m", np.nan)
    by_cosine, by_angle = (m if isinstance(loss.margin, kind) else np.nan for kind in (AdditiveCosine, AdditiveAngle))
    formulas = [("c_y - m", "m", c - f, by_cosine), ("cos(θ + m)", "m", turned, by_angle)]  # below 0, θ + m may pass π
    if isinstance(loss.margin, MultiplicativeAngle):
        psi = loss.margin.value(Angle.from_cosine(c))
        formulas.append(("(λ c_y + ψ)/(1 + λ)", "λ", (psi - f) / (f - c), loss.margin.annealing))
    return formulas


# ---- a tail that no known loss has -----------------------------------------------------------------------------


def _is_unknown_tail(loss: SVXSoftmax, c: FloatArray, got: Reading, right: Reading) -> bool:
    """Return whether f is the paper's where θ + m <= π, and that alone."""
    beyond = _beyond(loss, c)
    return _angle(loss) > 0 and got.equals(right, ~beyond) is True and bool((got.resolved & beyond).any())


def _with_unknown_tail(loss: SVXSoftmax, c: FloatArray, got: Reading, right: Reading) -> list[Finding]:
    """Return the findings about an f that is the paper's but for its tail."""
    beyond = got.resolved & _beyond(loss, c)
    far, order = c[beyond], np.argsort(c[beyond])[[-1, 0]]
    lift = loss.emphasis.t - 1 if loss.emphasis.form == "fixed" else 0.0  # of the negatives at -1, if f is below
    f = got.value[beyond]
    f = np.where(f + lift < -1, f + lift, f)
    region = np.asarray(~_beyond(loss, c))
    findings = [
        Finding(F, _formula(loss, F), _f_evidence(c, got, right, region), True),
        Finding(TAIL, _tail(far, f), _samples(far[order], f[order], right.value[beyond][order]), False),
        Finding(EASY, _formula(loss, EASY), _f_evidence(c, got, right, region & (c <= 0)), True),
    ]
    label = Finding(LABEL, _formula(loss, LABEL), _f_evidence(c, got, right, region), True)
    return [*findings, label] if which.masks_by_margin(loss) else findings


def _tail(c: FloatArray, f: FloatArray) -> str:
    """Return the tail as a constant, or as one below c_y, if it is either."""
    if np.ptp(f) < 1e-3:
        return f"f = {np.median(f):.4g} where θ + m > π"
    if np.ptp(c - f) < 1e-3:
        return f"f = c_y - {np.median(c - f):.4g} where θ + m > π"
    return "no known formula"


def _formula(loss: SVXSoftmax, question: str) -> str:
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
