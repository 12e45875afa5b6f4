"""The negatives: whether their logits are s c_k without emphasis, what decides the mask, and what h is.

What is asked: one negative is swept beside some targets, over levels on both sides of every boundary that a mask may
have. What is read off: its lift z_k/s - c_k (`sweep`). What is concluded: the levels without a lift show the logits
and the mask (`mask`); the size of the lift at the other levels shows the form of h.
"""

from __future__ import annotations

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import mask, probes
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.mask import MASK, TIES
from svref.conformance.diagnosing.probes import SAME, Subject
from svref.conformance.diagnosing.sweep import LIFTED, Sweep, deviation_sweep, farthest_lift, ideal_sweep, sweep
from svref.deviations import which
from svref.margins import Angle

TARGETS = np.array([-0.2017, 0.2011, 0.4523, 0.6189, 0.8013, 0.9297, 0.9803])  # where usual margins have -1 < f < 1
BESIDE = 0.012  # cosine units: how far from f and from c_y a sweep looks at both sides of them
NEAR = 1e-4  # cosine units: decisions this close to a boundary are not compared, as rounding may take them either way
INSIDE = 0.98  # |f| should be less. Below -1 every negative is a support vector, the ones at -1 included

LOGITS, H = "logits of the negatives", "h"
WRONG_LOGITS = ("margin-on-all-classes", "negatives-zeroed", "negatives-filtered", "logits-are-angles")
WRONG_H = ("t-offset", "fixed-for-adaptive", "adaptive-for-fixed", "s-missing-in-h", "h-on-scaled-logits")


def ask(subject: Subject, base: str | None) -> list[Finding]:
    """Return the findings about the negatives.

    `base` is the name that `target.ask` gives the candidate's f: that of a deviation, "" for the paper's f, or None for
    an unknown f. The candidate is compared with what that deviation or the paper computes. For an unknown f it is
    compared with the paper's mask and h around the f that was measured.
    """
    reference = subject if base is None else subject.computing(base)
    f, error = probes.measured_f(reference, TARGETS)
    usable = np.abs(f) < INSIDE
    if not usable.any() and subject.loss.emphasis.growth_slope:
        usable = f < INSIDE  # all are support vectors, with the same h = 1 at -1 as negatives that are none
    usable &= (error < LIFTED * SAME) | (base is not None)  # an error of f moves every lift, and must not look like one
    targets, f = TARGETS[usable], f[usable]
    if not len(targets):
        asked = (LOGITS, MASK, TIES, H) if which.emphasises(subject.loss) else (LOGITS,)
        return [unanswered(question, "f is -1 or less, or unknown, beside every target tried") for question in asked]
    levels = _levels(subject, targets, f)
    got = sweep(subject, targets, levels, f)
    right = ideal_sweep(got, subject, f, error[usable]) if base is None else sweep(reference, targets, levels, f)
    return _conclusions(subject, base, got, right, f)


def _levels(subject: Subject, targets: FloatArray, f: FloatArray) -> FloatArray:
    """Return levels (T, K) over the whole range, and on both sides of each boundary that known code has."""
    paper_f = subject.loss.margin.value(Angle.from_cosine(targets))
    around = [bound + side for bound in (f, targets) for side in (-BESIDE, BESIDE)]
    special = np.stack([*around, (f + targets) / 2, (paper_f + targets) / 2], axis=1)
    even = np.linspace(-0.9613, 0.9851, probes.BATCH - 1 - special.shape[1])  # one batch a target, with its row at -1
    levels = np.concatenate([np.broadcast_to(even, (len(targets), len(even))), special], axis=1)
    return np.sort(np.clip(levels, -0.97, 0.99), axis=1)


def _conclusions(subject: Subject, base: str | None, got: Sweep, right: Sweep, f: FloatArray) -> list[Finding]:
    """Return the findings that two sweeps give: the candidate's, and that of the reference with the same f (T,)."""
    near = (np.abs(got.levels - f[:, None]) < NEAR) | (np.abs(got.levels - got.targets[:, None]) < NEAR)
    logits = _logits(subject, f, got, right, near)
    if not which.emphasises(subject.loss):
        return [logits]
    if logits.agrees is not True:
        return [logits, *(unanswered(question, "the logits differ already") for question in (MASK, TIES, H))]
    form = _form_of_h(subject, got, right, near)
    decided_by = mask.boundary(subject, base, got, right, near, f)
    is_right = base == "" and decided_by.agrees is True and form.agrees is True
    return [logits, decided_by, mask.ties(subject, is_right), form]


def _logits(subject: Subject, f: FloatArray, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return whether negatives that are no support vectors have the logit s c_k."""
    evidence = farthest_lift(got, right, ~near)
    if got.lift.equals(right.lift, ~near):
        return Finding(LOGITS, "s c_k", evidence, True)
    for name in subject.applicable(WRONG_LOGITS):
        if got.lift.equals(sweep(subject.computing(name), got.targets, got.levels, f).lift, ~near):
            return known_deviation(LOGITS, name, evidence)
    if not (got.lift.usable & ~near).any():
        return unanswered(LOGITS, evidence)
    # A wrong mask or a wrong h may be all that differs. Then some levels have s c_k, or every clear one is lifted.
    unlifted = got.lift.usable & ~got.lifted
    if which.emphasises(subject.loss) and (unlifted.any() or got.lifted[got.clear].all()):
        return Finding(LOGITS, "s c_k", f"s c_k at {unlifted.sum()} levels; the others are lifted, see {H}", True)
    return Finding(LOGITS, "not s c_k", evidence, False)


# ---- h ---------------------------------------------------------------------------------------------------------


def _form_of_h(subject: Subject, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return what h is, from the levels that both the candidate and the reference lift.

    The mask may differ from the reference's; that is a question of its own.
    """
    adaptive = subject.loss.emphasis.form == "adaptive"
    clear = got.clear & ~near
    if not (right.lifted & clear).any():
        return unanswered(H, "no support vector whose lift could be measured")
    evidence = farthest_lift(got, right, right.lifted & ~near)
    if not (got.lifted & clear).any():
        return known_deviation(H, "t-ignored", evidence)
    if got.lift.equals(right.lift, got.lifted & right.lifted & ~near):
        return Finding(H, f"log h_k = {'s (t-1)(c_k + 1) I_k' if adaptive else 's (t-1) I_k'}", evidence, True)
    for name in subject.applicable(WRONG_H):
        other = deviation_sweep(subject, name, got)
        if got.lift.equals(other.lift, got.lifted & other.lifted & ~near):
            return known_deviation(H, name, evidence)
    return Finding(H, _h_with_other_t(got, got.lifted & clear), evidence, False)


def _h_with_other_t(got: Sweep, where: BoolArray) -> str:
    """Return the adaptive or the fixed h with the t that makes it fit all lifts `where`, if one does."""
    lift, c = got.lift.value[where], got.levels[where]
    for form, t_less_one in (("s (t-1)(c_k + 1) I_k", lift / (c + 1)), ("s (t-1) I_k", lift)):
        if np.ptp(t_less_one) < 1e-3:  # t to three decimals; usual ones have one or two
            return f"log h_k = {form}, t = {1 + np.median(t_less_one):.6g}"
    return "no known form"
