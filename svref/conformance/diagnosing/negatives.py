"""The negatives: their logits without emphasis, what decides the mask, how ties count, the form of h.

One negative is swept beside some targets, at levels that lie on both sides of every boundary a mask may have. What
its logit has more than s c_k is 0 where I_k = 0 and log h_k where I_k = 1: the levels where it is 0 show the mask,
its size at the others the form of h.
"""

from __future__ import annotations

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import mask, probes
from svref.conformance.diagnosing.mask import MASK, TIES
from svref.conformance.diagnosing.probes import LOOSE, Finding, Subject, named
from svref.conformance.diagnosing.sweep import (
    CLEAR,
    Sweep,
    applying,
    farthest,
    ideal,
    lifts,
    named_sweep,
    sweep,
)
from svref.deviations import which
from svref.margins import Angle

TARGETS = np.array([-0.2017, 0.2011, 0.4523, 0.6189, 0.8013, 0.9297, 0.9803])
BESIDE = 0.012  # cosine units: how close to a boundary a sweep looks at both of its sides
NEAR = 1e-4  # cosine units: a decision as close as that is nobody's

LOGITS, H = "logits of the negatives", "h"
OF_LOGITS = ("margin-on-all-classes", "negatives-zeroed", "negatives-filtered", "logits-are-angles")
OF_H = ("t-ignored", "t-offset", "fixed-for-adaptive", "adaptive-for-fixed", "s-missing-in-h", "h-on-scaled-logits")


def ask(subject: Subject, base: str | None) -> list[Finding]:
    """Return the findings about the negatives of a candidate whose f is the deviation `base`, "" for the paper's."""
    reference = subject if base is None else subject.like(base)
    f, error = probes.read_targets(reference, TARGETS)
    inside = np.abs(f) < 0.98  # below -1 all are support vectors, also those that the readings rest on
    inside &= (error < CLEAR / 2 * LOOSE) | (base is not None)  # a lift is told from 0 by no less
    targets, f = TARGETS[inside], f[inside]
    if not len(targets):
        return [Finding(LOGITS, "cannot be told", "f is -1 or less, or unknown, beside every target tried", None)]
    levels = _levels(subject, targets, f)
    got = sweep(subject, targets, levels, f)
    known = base is not None
    right = sweep(reference, targets, levels, f) if known else ideal(got, lifts(subject, levels), f, error[inside])
    near = (np.abs(levels - f[:, None]) < NEAR) | (np.abs(levels - targets[:, None]) < NEAR)
    logits = _logits(subject, f, got, right, near)
    if not which.emphasises(subject.loss):
        return [logits]
    if logits.agrees is not True:
        return [logits, *(Finding(q, "cannot be told", "the logits differ already", None) for q in (MASK, TIES, H))]
    form = _form(subject, got, right, near)
    decided = mask.boundary(subject, base, got, right, near, f)
    return [logits, decided, mask.ties(subject, base == "" and decided.agrees is form.agrees is True), form]


def _levels(subject: Subject, targets: FloatArray, f: FloatArray) -> FloatArray:
    """Return levels over the whole range, and on both sides of the boundaries that code has."""
    own = subject.loss.margin.value(Angle.from_cosine(targets))
    around = [bound + side for bound in (f, targets) for side in (-BESIDE, BESIDE)]
    special = np.stack([*around, (f + targets) / 2, (own + targets) / 2], axis=1)
    even = np.linspace(-0.9613, 0.9851, probes.BATCH - 1 - special.shape[1])
    levels = np.concatenate([np.broadcast_to(even, (len(targets), len(even))), special], axis=1)
    return np.sort(np.clip(levels, -0.97, 0.99), axis=1)


def _logits(subject: Subject, f: FloatArray, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return whether negatives that are no support vectors have the logit s c_k."""
    evidence = farthest(got, right, ~near)
    if got.lifted.equals(right.lifted, ~near):
        return Finding(LOGITS, "s c_k", evidence, True)
    for name in applying(subject, OF_LOGITS):
        if got.lifted.equals(sweep(subject.like(name), got.targets, got.levels, f).lifted, ~near):
            return named(LOGITS, name, evidence)
    if not (got.lifted.resolved & ~near).any():
        return Finding(LOGITS, "cannot be told", evidence, None)
    off = got.lifted.resolved & ~got.on
    if which.emphasises(subject.loss) and (off.any() or got.on[got.sharp].all()):
        return Finding(LOGITS, "s c_k", f"s c_k at {off.sum()} levels; the others are lifted, see {H}", True)
    return Finding(LOGITS, "not s c_k", evidence, False)


# ---- h ---------------------------------------------------------------------------------------------------------


def _form(subject: Subject, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return what support vectors are lifted by, where the candidate and the hypothesis both lift."""
    emphasis = subject.loss.emphasis
    formula = "log h_k = s (t-1)(c_k + 1) I_k" if emphasis.form == "adaptive" else "log h_k = s (t-1) I_k"
    seen = got.sharp & ~near
    if not (right.on & seen).any():
        return Finding(H, "cannot be told", "no support vector with a reading", None)
    evidence = farthest(got, right, right.on & ~near)
    if not (got.on & seen).any():
        return named(H, "t-ignored", evidence)
    if got.lifted.equals(right.lifted, got.on & right.on & ~near):
        return Finding(H, formula, evidence, True)
    for name in applying(subject, OF_H[1:]):
        other = named_sweep(subject, name, got)
        if got.lifted.equals(other.lifted, got.on & other.on & ~near):
            return named(H, name, evidence)
    return Finding(H, _acting(got, got.on & seen), evidence, False)


def _acting(got: Sweep, where: BoolArray) -> str:
    """Return the t that an adaptive or a fixed h would have, if the lifts are of one of these forms."""
    lift, c = got.lifted.value[where], got.levels[where]
    for form, strength in (("s (t-1)(c_k + 1) I_k", lift / (c + 1)), ("s (t-1) I_k", lift)):
        if np.ptp(strength) < 1e-3:
            return f"log h_k = {form} with t = {1 + np.median(strength):.6g}"
    return "no known form"
