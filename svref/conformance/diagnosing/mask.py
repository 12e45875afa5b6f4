"""I: which boundary decides the mask, and whether a tie with it is a support vector.

The pattern of lifted levels in a sweep says which kind of boundary it is: f, the plain cosine c_y, or another known
one. Levels are too far apart to tell f from a boundary a little beside f. So the step between the last level that is
not lifted and the first that is gets bisected, down to the digits that f itself has, and is compared with f.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import SAME, Subject
from svref.conformance.diagnosing.sweep import CLEAR, Sweep, deviation_sweep, sweep
from svref.judging import condition
from svref.judging.figures import is_exact
from svref.margins import Angle

MASK, TIES = "the mask is decided by", "a tie c_k = f"
BOUNDARIES = ("mask-on-plain-cosine", "nonpositive-always-hard")
UNEASED_BOUNDARIES = {  # a boundary that only a candidate with such an easy margin has
    "easy-margin-above-0": "mask-on-uneased-margin",
    "easy-margin-above-m": "mask-on-uneased-margin-above-m",
}
EXTRA = {"float64": 1e-9, "float32": SAME}  # cosine units: what rounding of z_k adds to the error of f at a step
PARTS = np.arange(1, 6) / 6  # five levels inside a bracket: with one row at -1, seven targets make 42 rows, one batch
ROUNDS = 24  # each makes the bracket 6 times narrower, and 6^24 is more than the 2^53 steps that float64 has
BESIDE_TIE = 2 * SAME  # cosine units: a boundary farther than this from f is found without looking at the tie


class _Steps(NamedTuple):
    """Where the candidate's mask turns on beside each target, and the f it is compared with; arrays (T,).

    at : c_k of the step; NaN where no level is lifted, or all are
    f : the candidate's f
    error : a step that is no farther than this from a boundary counts as being at that boundary
    """

    at: FloatArray
    f: FloatArray
    error: FloatArray


def boundary(subject: Subject, base: str | None, got: Sweep, right: Sweep, near: BoolArray, f: FloatArray) -> Finding:
    """Return which boundary decides the mask: the one that has both the pattern and the steps of the candidate.

    `base` is the name that `target.ask` gives the candidate's f: that of a deviation, "" for the paper's f, or None for
    an unknown one. `right` is the sweep of what that deviation, or the paper, computes. `near` marks the levels too
    close to a boundary to count.
    """
    compared = got.clear & ~near
    if not (got.lifted & compared).any():
        return Finding(MASK, "no negative is a support vector", "no logit is lifted at any level", None)
    steps = _Steps(_step_levels(subject, got, f), *_own_f(subject, base, got.targets, f))
    evidence = _evidence(got, compared, steps.at)
    meant = f if base is None else _step_levels(subject.computing(base), right, f)
    is_at_f = 0 in (_distance(steps, steps.f), _distance(steps, meant))
    if _same_pattern(got, right, compared) and is_at_f:
        return Finding(MASK, "f: I_k = [c_k > f]", evidence, True)
    name = _known_boundary(subject, base, got, compared, steps, f)
    if name:
        return known_deviation(MASK, name, evidence)
    return Finding(MASK, _unknown_boundary(subject, got, compared, steps), evidence, False)


def _known_boundary(
    subject: Subject, base: str | None, got: Sweep, compared: BoolArray, steps: _Steps, f: FloatArray
) -> str:
    """Return the deviation whose boundary the candidate has, or ""."""
    uneased = [UNEASED_BOUNDARIES[base]] if base in UNEASED_BOUNDARIES else []
    for name in subject.applicable([*BOUNDARIES, *uneased]):
        other = deviation_sweep(subject, name, got)
        if not _same_pattern(got, other, compared):
            continue
        if _distance(steps, _step_levels(subject.computing(name), other, f)) == 0:
            return name
    return ""


def _unknown_boundary(subject: Subject, got: Sweep, compared: BoolArray, steps: _Steps) -> str:
    """Return a boundary without a name as one at some distance from f, f_m or c_y, if it is one."""
    rising = all((np.diff(row[ok].astype(int)) >= 0).all() for row, ok in zip(got.lifted, compared, strict=True))
    if not rising:
        return "no boundary: larger c_k turn it off"
    uneased = subject.loss.margin.value(Angle.from_cosine(got.targets))
    for symbol, bounds in (("f", steps.f), ("f_m(c_y)", uneased), ("c_y", got.targets)):
        distance = _distance(steps, bounds)
        if distance is not None and np.isfinite(steps.at).any():
            return f"I_k = [c_k > {_plus(symbol, distance)}]"
    return "no known boundary"


def _same_pattern(got: Sweep, other: Sweep, compared: BoolArray) -> bool:
    """Return whether two sweeps lift the same levels, among those that are clear in both."""
    both = compared & other.clear
    return bool((got.lifted == other.lifted)[both].all())


def _distance(steps: _Steps, bounds: FloatArray) -> float | None:
    """Return how far above its bound (T,) every step lies, 0 within the errors; None if it is not one distance."""
    known = np.isfinite(steps.at) & np.isfinite(bounds)
    off, error = (steps.at - bounds)[known], steps.error[known]
    if (np.abs(off) <= error).all():
        return 0.0
    best = int(np.argmin(error))
    return float(off[best]) if (np.abs(off - off[best]) <= error + error[best]).all() else None


def _own_f(subject: Subject, base: str | None, targets: FloatArray, f: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the candidate's own f where it is measured closely, else `f`; and how far off a step at f may come out.

    The candidate's own f is needed because its mask turns on there. With m in float32, for example, its f lies a little
    beside the right one. Then its steps do too, and the boundary is still f.
    """
    own, extra = probes.measured_f(subject, targets), EXTRA[subject.digits]
    extra += condition.unit_roundoff(subject.grid) if subject.grid else 0.0
    is_close = np.isfinite(own.value) & (own.error + extra < SAME)
    error = np.where(is_close, own.error + extra, SAME if base is not None else SAME + own.error)
    return np.where(is_close, own.value, f), error + probes.rounding_of_f(subject, targets)


def _evidence(got: Sweep, compared: BoolArray, steps: FloatArray) -> str:
    """Return, as a sentence, where the mask turns on beside the first four targets where that is known."""
    found = []
    for c_y, lifted, ok, step in zip(got.targets, got.lifted, compared, steps, strict=True):
        if np.isfinite(step):
            found.append(f"c_y = {c_y:.4g}: from c_k = {step:.6g} on")
        elif ok.any() and np.ptp(lifted[ok].astype(int)) == 0:
            found.append(f"c_y = {c_y:.4g}: I_k = {int(lifted[ok][0])} for all c_k")
    return "; ".join(found[:4]) or "no step between two levels"


def _plus(symbol: str, distance: float) -> str:
    return f"{symbol} {'+' if distance > 0 else '-'} {abs(distance):.3g}" if distance else symbol


# ---- where the mask turns on -----------------------------------------------------------------------------------


def _step_levels(subject: Subject, got: Sweep, f: FloatArray) -> FloatArray:
    """Return the c_k at which the mask turns on beside each target (T,); NaN where it is on or off at all levels."""
    steps = np.full(len(got.targets), np.nan)
    brackets = [_bracket(*row) for row in zip(got.levels, got.lifted, got.clear, strict=True)]
    found = [i for i, bracket in enumerate(brackets) if bracket]
    if found:
        low, high = np.array([brackets[i] for i in found]).T
        steps[found] = _bisected(subject, got.targets[found], low, high, f[found])
    return steps


def _bracket(levels: FloatArray, lifted: BoolArray, clear: BoolArray) -> tuple[float, float] | None:
    """Return the last two neighbouring clear levels of which the lower is not lifted and the upper is; None if none."""
    levels, lifted = levels[clear], lifted[clear]
    rises = np.flatnonzero(~lifted[:-1] & lifted[1:])
    return (float(levels[rises[-1]]), float(levels[rises[-1] + 1])) if len(rises) else None


def _bisected(subject: Subject, c: FloatArray, low: FloatArray, high: FloatArray, f: FloatArray) -> FloatArray:
    """Return where the mask turns on between levels `low`, not lifted, and `high`, lifted, beside targets c; all (T,).

    A step is NaN where a measurement on the way is not clear. It is NaN too where the last lift is small: a lift that
    grows out of the noise has no step there.
    """
    lost = np.zeros(len(c), dtype=bool)
    for _ in range(ROUNDS):
        levels = low[:, None] + (high - low)[:, None] * PARTS
        levels = levels.astype(subject.dtype).astype(np.float64)
        inner = sweep(subject, c, levels, f)
        lost |= ~inner.clear.all(axis=1)
        low = np.where(inner.lifted, low[:, None], levels).max(axis=1)
        high = np.where(inner.lifted & (levels > low[:, None]), levels, high[:, None]).min(axis=1)
        if (high - low).max() <= 4 * np.finfo(subject.dtype).eps:
            break
    lost |= (inner.lifted & (np.abs(inner.lift.value) < CLEAR * (inner.lift.error + SAME))).any(axis=1)
    return np.where(lost, np.nan, (low + high) / 2)


# ---- ties ------------------------------------------------------------------------------------------------------


def ties(subject: Subject, is_right: bool) -> Finding:
    """Return the finding on ties: whether c_k = f is a support vector.

    It is asked at c_y = 0.5, and answered only if f is a number there that no code rounds.

    `is_right` says whether f, the mask and h are the paper's; a tie says nothing if they are not.
    """
    if subject.grid:
        return unanswered(TIES, f"cosines are rounded to {subject.grid} before the mask")
    margin, c = subject.loss.emphasis.boundary or subject.loss.margin, np.array([0.5])
    angle = Angle.from_cosine(c)
    exact = bool(is_exact(margin, angle, subject.dtype)[0])
    if exact and abs(margin.value(angle)[0]) > 1:
        return unanswered(TIES, f"no cosine is f = {margin.value(angle)[0]:g}: choose a smaller m, such as 0.25")
    if not exact or not is_right:
        why = "f, the mask or h differs already" if exact else "f has no exact value: choose a dyadic m, such as 0.25"
        return unanswered(TIES, why)
    f, level = subject.loss.margin.value(angle), margin.value(angle)
    side = 4 * np.finfo(subject.precision).eps
    got = sweep(subject, c, level[:, None] + np.array([[-side, 0.0, side]]), f)
    evidence = f"z_k/s - c_k = {got.lift.value[0, 1]:.4f} at c_k = f = {level[0]:g}, c_y = 0.5"
    if not got.clear.all():
        return unanswered(TIES, evidence)
    below, at, above = got.lifted[0]
    if below or not above:
        return _beside_tie(subject, c, level, f, evidence)
    return known_deviation(TIES, "non-strict-mask", evidence) if at else Finding(TIES, "I_k = 0", evidence, True)


def _beside_tie(subject: Subject, c: FloatArray, level: FloatArray, f: FloatArray, evidence: str) -> Finding:
    """Return the finding on a mask that turns on beside the tie, but too close to it for `boundary` to notice."""
    step = _bisected(subject, c, level - BESIDE_TIE, level + BESIDE_TIE, f)
    if not np.isfinite(step).all():
        return unanswered(TIES, evidence)
    return Finding(TIES, f"none: I_k = [c_k > {_plus('f', float(step[0] - level[0]))}]", evidence, False)
