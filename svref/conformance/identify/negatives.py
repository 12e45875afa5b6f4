"""The negatives: their logits without emphasis, what decides the mask, how ties count, the form of h.

One negative is swept beside some targets, at levels that lie on both sides of every boundary a mask may have. What
its logit has more than s c_k is 0 where I_k = 0 and log h_k where I_k = 1: the levels where it is 0 show the mask,
its size at the others the form of h.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from svref.conformance.identify import probes
from svref.conformance.identify.probes import LOOSE, Finding, Reading, Subject, named
from svref.deviations import DEVIATIONS, which
from svref.inputs import BoolArray, FloatArray
from svref.margins import Angle

TARGETS = np.array([-0.2017, 0.2011, 0.4523, 0.6189, 0.8013, 0.9297, 0.9803])
BESIDE = 0.012  # cosine units: how close to a boundary a sweep looks at both of its sides
NEAR = 1e-4  # cosine units: a decision as close as that is nobody's

LOGITS, MASK, TIES, H = "logits of the negatives", "the mask is decided by", "a tie c_k = f", "h"
OF_LOGITS = ("margin-on-all-classes", "negatives-zeroed", "negatives-filtered", "logits-are-angles")
OF_MASK = ("mask-on-plain-cosine", "nonpositive-always-hard")
UNEASED = {
    "easy-margin-above-0": "mask-on-uneased-margin",
    "easy-margin-above-m": "mask-on-uneased-margin-above-m",
}
OF_H = ("t-ignored", "t-offset", "fixed-for-adaptive", "adaptive-for-fixed", "s-missing-in-h", "h-on-scaled-logits")


class Sweep(NamedTuple):
    """Targets (T,), levels (T, K) of a negative beside each, and by how much its logit exceeds s c_k, over s."""

    targets: FloatArray
    levels: FloatArray
    lifted: Reading
    on: BoolArray
    sharp: BoolArray


def ask(subject: Subject, base: str | None) -> list[Finding]:
    """Return the findings about the negatives of a candidate whose f is the deviation `base`, "" for the paper's."""
    reference = subject if base is None else subject.like(base)
    f = probes.read_targets(reference, TARGETS).value
    inside = np.abs(f) < 0.98  # below -1 all are support vectors, also those that the readings rest on
    targets, f = TARGETS[inside], f[inside]
    if not len(targets):
        return [Finding(LOGITS, "cannot be told", "f is -1 or less beside every target tried", None)]
    levels = _levels(subject, targets, f)
    got = _sweep(subject, targets, levels, f)
    right = _ideal(got, _lifts(subject, levels), f) if base is None else _sweep(reference, targets, levels, f)
    near = (np.abs(levels - f[:, None]) < NEAR) | (np.abs(levels - targets[:, None]) < NEAR)
    logits = _logits(subject, f, got, right, near)
    if not which.emphasises(subject.loss):
        return [logits]
    if logits.agrees is not True:
        return [logits, *(Finding(q, "cannot be told", "the logits differ already", None) for q in (MASK, TIES, H))]
    form = _form(subject, got, right, near)
    mask = _mask(subject, base, got, right, near)
    return [logits, mask, _ties(subject, base == "" and mask.agrees is form.agrees is True), form]


def _levels(subject: Subject, targets: FloatArray, f: FloatArray) -> FloatArray:
    """Return levels over the whole range, and on both sides of the boundaries that code has."""
    own = subject.loss.margin.value(Angle.from_cosine(targets))
    around = [bound + side for bound in (f, targets) for side in (-BESIDE, BESIDE)]
    special = np.stack([*around, (f + targets) / 2, (own + targets) / 2], axis=1)
    even = np.linspace(-0.9613, 0.9851, probes.BATCH - 1 - special.shape[1])
    levels = np.concatenate([np.broadcast_to(even, (len(targets), len(even))), special], axis=1)
    return np.sort(np.clip(levels, -0.97, 0.99), axis=1)


def _sweep(subject: Subject, targets: FloatArray, levels: FloatArray, f: FloatArray) -> Sweep:
    lifted = probes.read_negatives(subject, targets, levels, f)
    on = np.abs(lifted.value) > 4 * (lifted.error + LOOSE)
    return Sweep(targets, levels, lifted, on, lifted.resolved & (4 * lifted.error < _lifts(subject, levels)))


def _lifts(subject: Subject, levels: FloatArray) -> FloatArray:
    """Return log h/s of a support vector at each level."""
    emphasis = subject.loss.emphasis
    return emphasis.raised(levels, np.full_like(levels, emphasis.t - 1))


def _ideal(got: Sweep, lifts: FloatArray, f: FloatArray) -> Sweep:
    """Return the paper's sweep beside an f that no known loss has."""
    on = got.levels > f[:, None]
    return Sweep(got.targets, got.levels, Reading(on * lifts, np.zeros_like(lifts)), on, np.ones_like(on))


def _named_sweep(subject: Subject, name: str, like: Sweep) -> Sweep:
    """Return the sweep of a deviation, relative to its own f."""
    other = subject.like(name)
    return _sweep(other, like.targets, like.levels, probes.read_targets(other, like.targets).value)


def _applying(subject: Subject, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if DEVIATIONS[name].applies(subject.loss)]


def _logits(subject: Subject, f: FloatArray, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return whether negatives that are no support vectors have the logit s c_k."""
    evidence = _farthest(got, right, ~near)
    if got.lifted.equals(right.lifted, ~near):
        return Finding(LOGITS, "s c_k", evidence, True)
    for name in _applying(subject, OF_LOGITS):
        if got.lifted.equals(_sweep(subject.like(name), got.targets, got.levels, f).lifted, ~near):
            return named(LOGITS, name, evidence)
    if not (got.lifted.resolved & ~near).any():
        return Finding(LOGITS, "cannot be told", evidence, None)
    off = got.lifted.resolved & ~got.on
    if which.emphasises(subject.loss) and (off.any() or got.on[got.sharp].all()):
        return Finding(LOGITS, "s c_k", f"s c_k at {off.sum()} levels; the others are lifted, see {H}", True)
    return Finding(LOGITS, "not s c_k", evidence, False)


def _farthest(got: Sweep, right: Sweep, where: BoolArray) -> str:
    """Return the reading that is farthest from the reference's."""
    seen = got.lifted.resolved & where
    if not seen.any():
        return "no negative with a reading"
    off = np.abs(got.lifted.value - right.lifted.value)
    i, k = np.unravel_index(int(np.argmax(np.where(seen, off, -1))), off.shape)
    value, expected = got.lifted.value[i, k], right.lifted.value[i, k]
    c_y, c_k = got.targets[i], got.levels[i, k]
    return f"z_k/s - c_k = {value:.4f} at c_k = {c_k:.4g}, c_y = {c_y:.4g}; paper: {expected:.4f}"


# ---- I: the mask -----------------------------------------------------------------------------------------------


def _mask(subject: Subject, base: str | None, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return which boundary decides the mask: the one whose pattern of support vectors is the candidate's."""
    seen = got.sharp & ~near
    if not (got.on & seen).any():
        return Finding(MASK, "no negative is a support vector", "no logit is lifted at any level", None)
    evidence = _steps(got, seen)
    if _same_pattern(got, right, seen):
        return Finding(MASK, "f: I_k = [c_k > f]", evidence, True)
    for name in _applying(subject, (*OF_MASK, UNEASED.get(base or "", OF_MASK[0]))):
        if _same_pattern(got, _named_sweep(subject, name, got), seen):
            return named(MASK, name, evidence)
    rising = all((np.diff(row[ok].astype(int)) >= 0).all() for row, ok in zip(got.on, seen, strict=True))
    return Finding(MASK, "no known boundary" if rising else "no boundary: larger c_k turn it off", evidence, False)


def _same_pattern(got: Sweep, other: Sweep, seen: BoolArray) -> bool:
    both = seen & other.sharp
    return bool((got.on == other.on)[both].all())


def _steps(got: Sweep, seen: BoolArray) -> str:
    """Return between which levels the mask turns on, beside some targets."""
    said = []
    for c_y, levels, on, ok in zip(got.targets, got.levels, got.on, seen, strict=True):
        levels, on = levels[ok], on[ok]
        switch = np.flatnonzero(on[1:] != on[:-1])
        if len(switch):
            said.append(f"c_y = {c_y:.4g}: from c_k = {levels[switch[0]]:.4g} to {levels[switch[0] + 1]:.4g}")
        elif len(on):
            said.append(f"c_y = {c_y:.4g}: I_k = {int(on[0])} for all c_k")
    return "; ".join(said[:4])


def _ties(subject: Subject, is_right: bool) -> Finding:
    """Return whether c_k = f is a support vector, where every formulation has that tie exactly."""
    margin, c = subject.loss.emphasis.boundary or subject.loss.margin, np.array([0.5])
    angle = Angle.from_cosine(c)
    exact = bool(margin.is_exact(angle, subject.dtype)[0])
    if not exact or not is_right:
        why = "f, the mask or h differs already" if exact else "f has no exact value: choose a dyadic m, such as 0.25"
        return Finding(TIES, "cannot be told", why, None)
    f, level = subject.loss.margin.value(angle), margin.value(angle)
    got = _sweep(subject, c, level[:, None], f)
    evidence = f"z_k/s - c_k = {got.lifted.value[0, 0]:.4f} at c_k = f = {level[0]:g}, c_y = 0.5"
    if not got.sharp.all():
        return Finding(TIES, "cannot be told", evidence, None)
    return named(TIES, "non-strict-mask", evidence) if got.on.all() else Finding(TIES, "I_k = 0", evidence, True)


# ---- h ---------------------------------------------------------------------------------------------------------


def _form(subject: Subject, got: Sweep, right: Sweep, near: BoolArray) -> Finding:
    """Return what support vectors are lifted by, where the candidate and the hypothesis both lift."""
    emphasis = subject.loss.emphasis
    formula = "log h_k = s (t-1)(c_k + 1) I_k" if emphasis.form == "adaptive" else "log h_k = s (t-1) I_k"
    seen = got.sharp & ~near
    if not (right.on & seen).any():
        return Finding(H, "cannot be told", "no support vector with a reading", None)
    evidence = _farthest(got, right, right.on & ~near)
    if not (got.on & seen).any():
        return named(H, "t-ignored", evidence)
    if got.lifted.equals(right.lifted, got.on & right.on & ~near):
        return Finding(H, formula, evidence, True)
    for name in _applying(subject, OF_H[1:]):
        other = _named_sweep(subject, name, got)
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
