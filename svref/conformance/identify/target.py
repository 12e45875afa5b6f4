"""The target: f, its tail and easy margin, and whether the label's own column is emphasised.

f is read off each target beside negatives at -1. The known deviations are read in the same way, the paper's loss
first among them, and the first whose readings are the candidate's, within the errors of both, gives f its name.
"""

from __future__ import annotations

import numpy as np

from svref.conformance.identify import probes
from svref.conformance.identify.probes import LOOSE, Finding, Reading, Subject, named
from svref.deviations import DEVIATIONS, which
from svref.inputs import BoolArray, FloatArray
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, Combined, MultiplicativeAngle

TARGETS = (0.9297, 0.8613, 0.8013, 0.6189, 0.5511, 0.4523, 0.2011, 0.1019, -0.1013, -0.3017, -0.5521, -0.7019)
FAR_TARGETS = (-0.8011, -0.9007, -0.9503, -0.9901)

F, TAIL, EASY, LABEL = "f", "f beyond θ + m = π", "easy margin", "the label's column of the mask"
OF_TARGET = {
    "margin-ignored": F,
    "margin-in-degrees": F,
    "sign-of-margin-flipped": F,
    "easy-margin-above-0": EASY,
    "easy-margin-above-m": EASY,
    "tail-raw": TAIL,
    "tail-linear": TAIL,
    "tail-plain": TAIL,
    "tail-reflect": TAIL,
    "cos-m-theta-without-psi": F,
    "annealing-left-on": F,
    "label-in-mask": LABEL,
    "margin-on-all-classes": F,
    "logits-are-angles": F,
}


def ask(subject: Subject) -> tuple[list[Finding], str | None]:
    """Return the findings about f, and the deviation that f is: "" for the paper, None for an unknown one."""
    loss, c = subject.loss, _targets(subject.loss)
    got, right = (probes.read_targets(each, c) for each in (subject, subject.like("")))
    applying = ("", *(name for name in OF_TARGET if DEVIATIONS[name].applies(loss)))
    matches = (n for n in applying if _same_f(loss, c, got, probes.read_targets(subject.like(n), c)))
    base = next(matches, None) if got.resolved.any() else None
    asked = {F: True, TAIL: _angle(loss) > 0, EASY: which.has_margin(loss), LABEL: which.masks_by_margin(loss)}
    regions = {TAIL: c < -np.cos(_angle(loss)), EASY: c <= 0}
    findings = []
    for question in (question for question, is_asked in asked.items() if is_asked):
        region = regions.get(question, c < 2)
        evidence = _f_evidence(c, got, right, region)
        if question == F and base is None:
            findings.append(_unknown_f(loss, c[got.resolved], got.value[got.resolved], evidence))
        else:
            findings.append(_answer(loss, question, base, evidence, bool((got.resolved & region).any())))
    return findings, base


def _answer(loss: SVXSoftmax, question: str, base: str | None, evidence: str, seen: bool) -> Finding:
    """Return the answer to one question about an f that is the deviation `base`."""
    if base and OF_TARGET[base] == question:
        return named(question, base, evidence)
    if seen and base is not None and (base == "" or OF_TARGET[base] != F):
        return Finding(question, _formula(loss, question), evidence, True)
    return Finding(question, "f differs everywhere" if seen else "no loss there has digits", evidence, None)


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


def _unknown_f(loss: SVXSoftmax, c: FloatArray, f: FloatArray, evidence: str) -> Finding:
    """Return what one parameter would have to be for f to be what it is, or that no known formula fits."""
    if not len(f):
        return Finding(F, "cannot be told", "no loss has digits: all are NaN, or lost in rounding", None)
    for formula, name, solved in _solved(loss, c, f):
        kept = solved[np.isfinite(solved)]
        if len(kept) > 1 and np.ptp(kept) < 1e-3 * max(1.0, abs(float(kept.mean()))):
            return Finding(F, f"{formula} with {name} = {np.median(kept):.6g}", evidence, False)
    samples = ", ".join(f"f({x:.4g}) = {v:.4f}" for x, v in list(zip(c, f, strict=True))[::4])
    return Finding(F, "no known formula", samples, False)


def _solved(loss: SVXSoftmax, c: FloatArray, f: FloatArray) -> list[tuple[str, str, FloatArray]]:
    """Return formulas with one parameter, its name, and what it is at each target."""
    turned = np.where(c > 0, np.arccos(f) - np.arccos(c), np.nan)  # below 0, θ + m may be beyond π
    formulas = [("c_y - m", "m", c - f), ("cos(θ + m)", "m", turned)]
    if isinstance(loss.margin, MultiplicativeAngle):
        psi = loss.margin.value(Angle.from_cosine(c))
        formulas.append(("(λ c_y + ψ)/(1 + λ)", "λ", (psi - f) / (f - c)))
    return formulas


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
