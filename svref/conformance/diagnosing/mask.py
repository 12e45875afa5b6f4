"""I: what decides the mask. Its pattern over a sweep tells the kind of boundary, a bisection where that lies.

The pattern alone would take a boundary for f that is a little beside it. So the step between the last level off and
the first one on is halved until it is known to the digits that f has, and compared with f itself.
"""

from __future__ import annotations

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.probes import LOOSE, Finding, Subject, named
from svref.conformance.diagnosing.sweep import CLEAR, Sweep, applying, named_sweep, sweep
from svref.judging.figures import is_exact
from svref.margins import Angle

MASK, TIES = "the mask is decided by", "a tie c_k = f"
OF_MASK = ("mask-on-plain-cosine", "nonpositive-always-hard")
UNEASED = {
    "easy-margin-above-0": "mask-on-uneased-margin",
    "easy-margin-above-m": "mask-on-uneased-margin-above-m",
}
FINE = {"float64": 1e-9, "float32": LOOSE}  # cosine units, beside an f that is as well known
PARTS = np.arange(1, 6) / 6  # of a bracket, in each round: seven targets beside six levels each are one batch
ROUNDS = 24
BESIDE_TIE = 2 * LOOSE  # cosine units: a boundary farther from f is found without a tie


def boundary(subject: Subject, base: str | None, got: Sweep, right: Sweep, near: BoolArray, f: FloatArray) -> Finding:
    """Return which boundary decides the mask: the one whose pattern and whose step are the candidate's."""
    seen = got.sharp & ~near
    if not (got.on & seen).any():
        return Finding(MASK, "no negative is a support vector", "no logit is lifted at any level", None)
    steps = _steps(subject, got, f)
    own, error = _own_f(subject, base, got.targets, f)
    evidence = _evidence(got, seen, steps)
    meant = f if base is None else _steps(subject.like(base), right, f)
    if _same_pattern(got, right, seen) and 0 in (_shift(steps, own, error), _shift(steps, meant, error)):
        return Finding(MASK, "f: I_k = [c_k > f]", evidence, True)
    for name in applying(subject, (*OF_MASK, UNEASED.get(base or "", OF_MASK[0]))):
        other = named_sweep(subject, name, got)
        if _same_pattern(got, other, seen) and _shift(steps, _steps(subject.like(name), other, f), error) == 0:
            return named(MASK, name, evidence)
    rising = all((np.diff(row[ok].astype(int)) >= 0).all() for row, ok in zip(got.on, seen, strict=True))
    told = _shifted(subject, steps, f, error, got.targets) if rising else "no boundary: larger c_k turn it off"
    return Finding(MASK, told, evidence, False)


def _same_pattern(got: Sweep, other: Sweep, seen: BoolArray) -> bool:
    both = seen & other.sharp
    return bool((got.on == other.on)[both].all())


def _own_f(subject: Subject, base: str | None, targets: FloatArray, f: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return f, the candidate's own where that has digits, and how far from it a boundary may be found.

    Constants of float32 move the candidate's f from the right one, and its mask with it: that is no other boundary.
    """
    own, fine = probes.read_targets(subject, targets), FINE[subject.digits]
    exact = np.isfinite(own.value) & (own.error + fine < LOOSE)
    error = np.where(exact, own.error + fine, LOOSE if base is not None else LOOSE + own.error)
    return np.where(exact, own.value, f), error


def _evidence(got: Sweep, seen: BoolArray, steps: FloatArray) -> str:
    """Return where the mask turns on, beside some targets."""
    said = []
    for c_y, on, ok, step in zip(got.targets, got.on, seen, steps, strict=True):
        if np.isfinite(step):
            said.append(f"c_y = {c_y:.4g}: from c_k = {step:.6g} on")
        elif ok.any() and np.ptp(on[ok].astype(int)) == 0:
            said.append(f"c_y = {c_y:.4g}: I_k = {int(on[ok][0])} for all c_k")
    return "; ".join(said[:4]) or "no step between two levels"


# ---- where it turns on -----------------------------------------------------------------------------------------


def _steps(subject: Subject, got: Sweep, f: FloatArray) -> FloatArray:
    """Return where the mask turns on beside each target, NaN where no level is off or none is on."""
    steps = np.full(len(got.targets), np.nan)
    brackets = [_bracket(*row) for row in zip(got.levels, got.on, got.sharp, strict=True)]
    some = [i for i, bracket in enumerate(brackets) if bracket]
    if some:
        low, high = np.array([brackets[i] for i in some]).T
        steps[some] = _bisect(subject, got.targets[some], low, high, f[some])
    return steps


def _bracket(levels: FloatArray, on: BoolArray, sharp: BoolArray) -> tuple[float, float] | None:
    """Return the last level that is off and the next, which is on."""
    levels, on = levels[sharp], on[sharp]
    rises = np.flatnonzero(~on[:-1] & on[1:])
    return (float(levels[rises[-1]]), float(levels[rises[-1] + 1])) if len(rises) else None


def _bisect(subject: Subject, c: FloatArray, low: FloatArray, high: FloatArray, f: FloatArray) -> FloatArray:
    """Return the step between levels off and levels on, NaN where a logit has no digits, or grows out of its noise."""
    lost = np.zeros(len(c), dtype=bool)
    for _ in range(ROUNDS):
        levels = low[:, None] + (high - low)[:, None] * PARTS
        levels = levels.astype(subject.dtype).astype(np.float64)
        inner = sweep(subject, c, levels, f)
        lost |= ~inner.sharp.all(axis=1)
        low = np.where(inner.on, low[:, None], levels).max(axis=1)
        high = np.where(inner.on & (levels > low[:, None]), levels, high[:, None]).min(axis=1)
        if (high - low).max() <= 4 * np.finfo(subject.dtype).eps:
            break
    lost |= (inner.on & (np.abs(inner.lifted.value) < CLEAR * (inner.lifted.error + LOOSE))).any(axis=1)
    return np.where(lost, np.nan, (low + high) / 2)


def _shift(steps: FloatArray, bounds: FloatArray, error: FloatArray) -> float | None:
    """Return by how much all steps are beside their bounds, 0 within the errors; None if not all by the same."""
    seen = np.isfinite(steps) & np.isfinite(bounds)
    off, error = (steps - bounds)[seen], error[seen]
    if (np.abs(off) <= error).all():
        return 0.0
    best = int(np.argmin(error))
    return float(off[best]) if (np.abs(off - off[best]) <= error + error[best]).all() else None


def _shifted(subject: Subject, steps: FloatArray, f: FloatArray, error: FloatArray, targets: FloatArray) -> str:
    """Return the boundary as one beside f, f_m or c_y, if it is one."""
    full = subject.loss.margin.value(Angle.from_cosine(targets))
    for symbol, bounds in (("f", f), ("f_m(c_y)", full), ("c_y", targets)):
        shift = _shift(steps, bounds, error)
        if shift is not None and np.isfinite(steps).any():
            return f"I_k = [c_k > {_plus(symbol, shift)}]"
    return "no known boundary"


def _plus(symbol: str, shift: float) -> str:
    return f"{symbol} {'+' if shift > 0 else '-'} {abs(shift):.3g}" if shift else symbol


# ---- ties ------------------------------------------------------------------------------------------------------


def ties(subject: Subject, is_right: bool) -> Finding:
    """Return whether c_k = f is a support vector, where every formulation has that tie exactly."""
    margin, c = subject.loss.emphasis.boundary or subject.loss.margin, np.array([0.5])
    angle = Angle.from_cosine(c)
    exact = bool(is_exact(margin, angle, subject.dtype)[0])
    if not exact or not is_right:
        why = "f, the mask or h differs already" if exact else "f has no exact value: choose a dyadic m, such as 0.25"
        return Finding(TIES, "cannot be told", why, None)
    f, level = subject.loss.margin.value(angle), margin.value(angle)
    side = 4 * np.finfo(subject.digits).eps
    got = sweep(subject, c, level[:, None] + np.array([[-side, 0.0, side]]), f)
    evidence = f"z_k/s - c_k = {got.lifted.value[0, 1]:.4f} at c_k = f = {level[0]:g}, c_y = 0.5"
    if not got.sharp.all():
        return Finding(TIES, "cannot be told", evidence, None)
    below, at, above = got.on[0]
    if below or not above:
        return _beside_tie(subject, c, level, f, evidence)
    return named(TIES, "non-strict-mask", evidence) if at else Finding(TIES, "I_k = 0", evidence, True)


def _beside_tie(subject: Subject, c: FloatArray, level: FloatArray, f: FloatArray, evidence: str) -> Finding:
    """Return where the mask turns on if not at the tie: beside it, nearer than other targets can tell."""
    step = _bisect(subject, c, level - BESIDE_TIE, level + BESIDE_TIE, f)
    if not np.isfinite(step).all():
        return Finding(TIES, "cannot be told", evidence, None)
    return Finding(TIES, f"none: I_k = [c_k > {_plus('f', float(step[0] - level[0]))}]", evidence, False)
