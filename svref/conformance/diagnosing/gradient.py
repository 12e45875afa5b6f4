"""The gradient: whether it is that of the candidate's own losses, and what it is at the ends of the range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.probes import BATCH, CLASSES, Answer, Finding, Rows, Subject, named
from svref.margins import Angle

GRADIENT, POLES, NEGATIVE_ENDS = "the gradient", "the gradient at c_y = ±1", "the gradient at c_k = ±1, k ≠ y"
LOSS_AT_POLES = "the loss at c_y = ±1"
TARGETS = np.array([0.7613, 0.4523, 0.2011, -0.3017, -0.5521, -0.6519])  # BATCH / (2 CLASSES) of them
STEP = {"float64": 2.0**-17, "float32": 2.0**-9}  # a power of two, far above the spacing of the numbers
RELATIVE = {"float64": 1e-4, "float32": 0.05}  # of the row's largest difference: the third derivative's share
CLEAR = 0.06  # cosine units: farther than the steepest f moves in a step
NEXT_TO_END = 2.0**-12
STEEP = 1e3  # of a df/dc that is infinite
AT_POLES = ("clip-halves-at-ends", "clamp-kills-gradient", "last-piece-off-by-one", "slope-one-at-poles")
OF_RATIO = {0.5: "clip-halves-at-ends", 0.0: "clamp-kills-gradient"}


def gradient(subject: Subject) -> Finding:
    """Return how the gradient differs from central differences of the same losses."""
    rows = _rows(subject)
    answer = subject.ask(rows)
    if not answer.graded:
        return Finding(GRADIENT, "none", answer.said or "the candidate returns none", None)
    difference, noise = _differences(subject, rows)
    if not (np.isfinite(difference) & (noise < 0.1 * np.abs(difference))).any():
        return Finding(GRADIENT, "cannot be told", "no loss has digits enough for a difference", None)
    margin = noise + RELATIVE[subject.digits] * np.nan_to_num(np.abs(difference)).max(axis=1, keepdims=True)
    evidence = _farthest(rows, answer.gradient, difference)
    for name, factor in _mistakes(subject, rows, answer, difference):
        off = np.abs(answer.gradient - factor * difference)
        if (off <= np.abs(factor) * margin)[np.isfinite(difference)].all():
            right = Finding(GRADIENT, "that of the candidate's own losses", evidence, True)
            return named(GRADIENT, name, evidence) if name else right
    return Finding(GRADIENT, "not that of the candidate's own losses", evidence, False)


def _rows(subject: Subject) -> Rows:
    """Return rows with a gradient in every column, and no negative so close to a boundary that a step crosses it."""
    c = np.random.default_rng(5).uniform(-0.8, 0.8, (len(TARGETS), CLASSES - 1))
    for boundary in (subject.loss.margin.value(Angle.from_cosine(TARGETS)), TARGETS):
        c = np.where(np.abs(c - boundary[:, None]) < CLEAR, boundary[:, None] + 2 * CLEAR, c)
    return probes.rows(TARGETS, c)


def _differences(subject: Subject, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return the central differences of the losses by each cosine, and the noise that rounding puts in them."""
    step, count = STEP[subject.digits], len(rows.labels)
    moves = np.concatenate([np.eye(CLASSES), -np.eye(CLASSES)]) * step
    shifted = Rows(np.concatenate([rows.cosines + move for move in moves]), np.tile(rows.labels, 2 * CLASSES))
    high, low = subject.ask(shifted).losses.reshape(2, CLASSES, count)
    seen = subject.known(shifted).cosines.reshape(2, CLASSES, count, CLASSES)
    width = np.einsum("kbk->bk", seen[0] - seen[1])
    noise = 2 * subject.tolerance(rows)[:, None] / width
    capped = np.maximum(high, low) > -np.log(subject.eps) - 3
    return np.where(capped, np.nan, high - low).T / width, noise


def _own(rows: Rows) -> BoolArray:
    return np.asarray(np.arange(CLASSES) == rows.labels[:, None])


def _mistakes(subject: Subject, rows: Rows, answer: Answer, difference: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield by name what each mistake makes of the right gradient: a factor for each entry; first none."""
    own, s, t, one = _own(rows), subject.loss.s, subject.loss.emphasis.t, np.ones(difference.shape)
    ratio = answer.gradient / difference
    without_slope = -s * -np.expm1(-answer.losses)[:, None] / difference
    yield "", one
    yield "straight-through-angle", np.where(own, without_slope, 1)
    yield "slope-of-h-lost", np.where(~own & (np.abs(ratio * t - 1) < np.abs(ratio - 1)), 1 / t, 1)
    yield "negatives-detached", np.where(own, one, 0)
    yield "target-detached", np.where(own, 0, one)
    yield "one-hot-not-subtracted", np.where(own, 1 + 1 / np.expm1(-answer.losses)[:, None], 1)
    yield "gradient-sign-flipped", -one
    yield "s-lost-in-gradient", one / s
    yield "gradient-of-the-mean", one / BATCH


def _farthest(rows: Rows, got: FloatArray, difference: FloatArray) -> str:
    """Return the entry that is farthest from its difference."""
    off = np.nan_to_num(np.abs(got - difference), nan=np.inf)
    off[~np.isfinite(difference)] = -1
    b, k = np.unravel_index(int(np.argmax(off)), off.shape)
    name = "dL/dc_y" if k == rows.labels[b] else "dL/dc_k"
    return f"{name} = {got[b, k]:.6g}, by differences {difference[b, k]:.6g}, at c_y = {TARGETS[b]:.4g}"


# ---- the ends of the range -------------------------------------------------------------------------------------


def ends(subject: Subject, is_right: bool) -> tuple[Finding, ...]:
    """Return the findings at cosines of ±1; that about the target's gradient needs a right f and a right gradient."""
    poles = probes.rows([1.0, -1.0], [[0.9, 0.5, 0.125]] * 2)
    answer = subject.ask(poles, size=1)
    c_y = f"L = {answer.losses[0]:.6g} at 1, {answer.losses[1]:.6g} at -1"
    finite = bool(np.isfinite(answer.losses).all())
    told = "it raises" if answer.said else "finite" if finite else "not finite"
    loss = Finding(LOSS_AT_POLES, told, answer.said or c_y, finite)
    return loss, _at_poles(subject, poles, answer, is_right), _negative_ends(subject)


def _at_poles(subject: Subject, poles: Rows, answer: Answer, is_right: bool) -> Finding:
    """Return what df/dc_y is where it may be infinite: there infinity, NaN and 0 are what right code returns."""
    got, right = _slope(subject, poles), _slope(subject.like(""), poles)
    evidence = f"df/dc_y = {got[0]:.6g} at 1, {got[1]:.6g} at -1; paper: {right[0]:.6g}, {right[1]:.6g}"
    if not is_right or answer.said:
        return Finding(POLES, "cannot be told", answer.said or "f or the gradient differs already", None)
    if _alike(got, right):
        return Finding(POLES, "the limit", evidence, True)
    if _is_policy(subject, got, right):
        return _beside_poles(subject) or Finding(POLES, "a policy", evidence, None)
    for name in AT_POLES:
        if _alike(got, _slope(subject.like(name), poles)):
            return _clamp(subject, evidence) if name == "clamp-kills-gradient" else named(POLES, name, evidence)
    return Finding(POLES, "not the limit", evidence, False)


def _beside_poles(subject: Subject) -> Finding | None:
    """Return that the slope is 0 one ulp inside the range too, where a clamp ends and no policy does."""
    inside = float(np.nextafter(subject.dtype.type(1), subject.dtype.type(0)))
    rows = probes.rows([inside, -inside], [[0.9, 0.5, 0.125]] * 2)
    got, right = _slope(subject, rows) + 0.0, _slope(subject.like(""), rows)
    if not ((got == 0) & (right != 0)).any():
        return None
    evidence = f"df/dc_y = {got[0]:.6g} one ulp below 1, {got[1]:.6g} above -1; paper: {right[0]:.6g}, {right[1]:.6g}"
    return _clamp(subject, evidence)


def _clamp(subject: Subject, evidence: str) -> Finding:
    """Return which clamp it is: of the target alone if a negative at 1 keeps its gradient."""
    of_target = _negative_ends(subject).agrees
    name, c = ("clamp-of-target-kills-gradient", "c_y") if of_target else ("clamp-kills-gradient", "c")
    return Finding(POLES, _clamped(c, _reach(subject, 0)), evidence, False, name)


def _clamped(c: str, reach: float) -> str:
    """Return the formula of a clamp with the reach that it has; the registry's has that of the code it was seen in."""
    return f"{c} := clip({c}, -1 + ε, 1 - ε), ∂{c}/∂{c} = 0 beyond, ε = {reach:.2g}"


def _reach(subject: Subject, column: int, end: float = 1.0) -> float:
    """Return how far from ±1 the gradient is 0: that of the target (column 0) or of a negative (1); 0 for nowhere."""
    low, high = float(np.finfo(subject.dtype).epsneg), CLEAR
    for _ in range(3):
        rows = _beside(end, column, np.geomspace(low, high, BATCH))
        off = subject.ask(rows).gradient[:, column] == 0
        last = int(np.flatnonzero(off).max(initial=0))
        if not off[last] or last == BATCH - 1:
            return 0.0
        low, high = np.abs(end - subject.known(rows).cosines[last : last + 2, column])
    return float(high)


def _beside(end: float, column: int, distances: FloatArray) -> Rows:
    """Return rows with the target, or the first negative, at some distances from ±1."""
    c = np.tile([0.5 * end, 0.25, 0.125, 0.0], (len(distances), 1))
    c[:, column] = end * (1 - distances)
    return Rows(c, np.zeros(len(distances), dtype=np.intp))


def rest(subject: Subject) -> Subject:
    """Return the subject with the cosine that a negative at -1 is clamped to, which all readings rest on."""
    reach = _reach(subject, 1, -1.0)
    levels = np.array([0, reach / 2, 2 * reach]) - 1
    at, inside, beyond = subject.ask(probes.rows([-0.5] * 3, np.repeat(levels[:, None], CLASSES - 1, axis=1))).losses
    return replace(subject, floor=reach) if at == inside != beyond else subject


def _slope(subject: Subject, rows: Rows) -> FloatArray:
    """Return df/dc_y = -(dL/dc_y)/(s q), whatever the negatives are."""
    answer = subject.ask(rows, size=1)
    return answer.gradient[_own(rows)] / (subject.loss.s * np.expm1(-answer.losses))


def _alike(got: FloatArray, other: FloatArray) -> bool:
    return bool(_close(got, other).all())


def _close(got: FloatArray, other: FloatArray) -> BoolArray:
    return np.isclose(got, other, rtol=0.01, atol=0)


def _is_policy(subject: Subject, got: FloatArray, right: FloatArray) -> bool:
    """Return whether all that differs is what right code through acos or a square root makes of a division by 0.

    That is NaN, 0 or an infinity, but not the opposite one, or where a square root is kept above 0 a steep slope.
    """
    usual = ~np.isfinite(got) | (got == 0) | (np.abs(got) > STEEP) & np.isinf(right)
    return subject.through_angle and bool((_close(got, right) | usual & (got != -right)).all())


def _negative_ends(subject: Subject) -> Finding:
    """Return what a negative's gradient is at ±1, in units of what it is next to ±1."""
    inside = 1 - NEXT_TO_END
    levels = np.array([1.0, inside, -1.0, -inside])
    rows = probes.rows(np.full(4, 0.9), np.stack([levels, np.full(4, 0.25), np.full(4, -0.25)], axis=1))
    answer, first = subject.ask(rows, size=1), np.array([1, 0, 0, 0])
    if not np.isfinite(answer.gradient[[1, 3]]).all():
        return Finding(NEGATIVE_ENDS, "cannot be told", answer.said or "there is no gradient", None)
    entries = answer.gradient[np.arange(4), first]
    at, near = entries[[0, 2]], entries[[1, 3]]
    evidence = f"dL/dc_k = {at[0]:.6g} at 1, {near[0]:.6g} at {inside:.6g}"
    if np.isnan(answer.gradient).any():
        return named(NEGATIVE_ENDS, "sine-of-whole-row", evidence)
    if (near == 0).any():
        return Finding(NEGATIVE_ENDS, "cannot be told", "there is no gradient next to it", None)
    ratio = at / near
    for value, name in OF_RATIO.items():
        if np.allclose(ratio, value, atol=0.02):
            found = named(NEGATIVE_ENDS, name, evidence)
            return replace(found, answer=_clamped("c", _reach(subject, 1))) if value == 0 else found
    right = np.allclose(ratio, 1, atol=0.02)
    return Finding(NEGATIVE_ENDS, "the limit" if right else "not the limit", evidence, bool(right))
