"""The gradient: whether it is that of the candidate's own losses, and what it is at cosines of ±1.

The gradient is compared with central differences of the candidate's own losses, not with the paper's gradient. So a
wrong loss whose gradient belongs to it is no wrong gradient. At ±1 there are no differences: there the gradient is
compared with the paper's, or with what it is next to ±1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import BATCH, CLASSES, Response, Rows, Subject
from svref.margins import Angle

GRADIENT, POLES, NEGATIVE_ENDS = "the gradient", "the gradient at c_y = ±1", "the gradient at c_k = ±1, k ≠ y"
LOSS_AT_POLES = "the loss at c_y = ±1"

# Differences.
TARGETS = np.array([0.7613, 0.4523, 0.2011, -0.3017, -0.5521, -0.6519])  # six, so that 8 moves of each are one batch
STEP = {"float64": 2.0**-17, "float32": 2.0**-9}  # so far above the spacing of the numbers that losses keep digits
RELATIVE = {"float64": 1e-4, "float32": 0.05}  # of a row's largest difference: the error by the third derivative
FROM_BOUNDARY = 0.06  # cosine units: no negative is closer to f or c_y. In a step A-Softmax's f moves 0.009 at most

# The ends of the range.
NEXT_TO_END = 2.0**-12  # cosine units: how far inside ±1 a negative's gradient counts as the ordinary one
INFINITE = 1e3  # a df/dc from here on counts as infinite: code that keeps a square root above 0 returns such a number
WIDEST_CLAMP = 0.06  # cosine units: how far from ±1 the end of a clamp is looked for
SLOPES_AT_POLES = ("clip-halves-at-ends", "clamp-kills-gradient", "last-piece-off-by-one", "slope-one-at-poles")
NAME_OF_RATIO = {0.5: "clip-halves-at-ends", 0.0: "clamp-kills-gradient"}


# ---- the gradient against differences of the losses ------------------------------------------------------------


def gradient(subject: Subject) -> Finding:
    """Return the finding on the gradient: whether it is that of the candidate's own losses, or has a known mistake."""
    rows = _rows(subject)
    response = subject.ask(rows)
    if not response.has_gradient:
        return Finding(GRADIENT, "none", response.error or "the candidate returns none", None)
    difference, noise = _differences(subject, rows)
    if not (np.isfinite(difference) & (noise < 0.1 * np.abs(difference))).any():
        return unanswered(GRADIENT, "rounding hides every difference of losses")
    allowed = noise + RELATIVE[subject.precision] * np.nan_to_num(np.abs(difference)).max(axis=1, keepdims=True)
    evidence = _farthest(rows, response.gradient, difference)
    for name, factor in _mistakes(subject, rows, response, difference):
        off = np.abs(response.gradient - factor * difference)
        if (off <= np.abs(factor) * allowed)[np.isfinite(difference)].all():
            right = Finding(GRADIENT, "that of the candidate's own losses", evidence, True)
            return known_deviation(GRADIENT, name, evidence) if name else right
    return Finding(GRADIENT, "not that of the candidate's own losses", evidence, False)


def _rows(subject: Subject) -> Rows:
    """Return rows with a gradient in every column, whose mask no difference changes."""
    c = np.random.default_rng(5).uniform(-0.8, 0.8, (len(TARGETS), CLASSES - 1))
    for boundary in (subject.loss.margin.value(Angle.from_cosine(TARGETS)), TARGETS):
        beside = boundary[:, None] + 2 * FROM_BOUNDARY
        c = np.where(np.abs(c - boundary[:, None]) < FROM_BOUNDARY, beside, c)
    return probes.rows_of(TARGETS, c)


def _differences(subject: Subject, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return the central difference of each row's loss by each cosine, and the noise that rounding puts in it; (B, C).

    A difference is NaN where a loss is within 3 of a cap at -log ε, as the cap bends it there.
    """
    step, count = STEP[subject.precision], len(rows.labels)
    moves = np.concatenate([np.eye(CLASSES), -np.eye(CLASSES)]) * step
    moved = Rows(np.concatenate([rows.cosines + move for move in moves]), np.tile(rows.labels, 2 * CLASSES))
    high, low = subject.ask(moved).losses.reshape(2, CLASSES, count)
    cosines = subject.as_given(moved).cosines.reshape(2, CLASSES, count, CLASSES)
    width = np.einsum("kbk->bk", cosines[0] - cosines[1])
    noise = 2 * subject.tolerance(rows)[:, None] / width
    capped = np.maximum(high, low) > -np.log(subject.eps) - 3
    return np.where(capped, np.nan, high - low).T / width, noise


def _own(rows: Rows) -> BoolArray:
    """Return where the label's column is, (B, C)."""
    return np.asarray(np.arange(CLASSES) == rows.labels[:, None])


def _mistakes(
    subject: Subject, rows: Rows, response: Response, difference: FloatArray
) -> Iterator[tuple[str, FloatArray]]:
    """Yield known mistakes in a gradient by name, each with the factor (B, C) by which it multiplies the right one.

    The first name is "", which is no mistake, with a factor of one.

    At the label, with q = 1 - e^-L = 1 - p_y:

    - the straight-through slope of 1 makes the gradient -s q, whatever f' is;
    - without the one-hot subtracted, -s q f' becomes s p_y f': a factor of -p_y/q = 1 - 1/q.

    At a support vector, the lost slope of h divides by t. Which negatives are support vectors is not asked here: an
    entry counts as one if that brings it nearer to its difference.
    """
    own, s, t, one = _own(rows), subject.loss.s, subject.loss.emphasis.t, np.ones(difference.shape)
    minus_q = np.expm1(-response.losses)[:, None]
    ratio = response.gradient / difference
    is_nearer = np.abs(ratio * t - 1) < np.abs(ratio - 1)
    yield "", one
    yield "straight-through-angle", np.where(own, s * minus_q / difference, 1)
    yield "slope-of-h-lost", np.where(~own & is_nearer, 1 / t, 1)
    yield "negatives-detached", np.where(own, one, 0)
    yield "target-detached", np.where(own, 0, one)
    yield "one-hot-not-subtracted", np.where(own, 1 + 1 / minus_q, 1)
    yield "gradient-sign-flipped", -one
    yield "s-lost-in-gradient", one / s
    yield "gradient-of-the-mean", one / BATCH


def _farthest(rows: Rows, got: FloatArray, difference: FloatArray) -> str:
    """Return, as a sentence, the entry of the gradient that is farthest from its difference."""
    off = np.nan_to_num(np.abs(got - difference), nan=np.inf)
    off[~np.isfinite(difference)] = -1
    b, k = np.unravel_index(int(np.argmax(off)), off.shape)
    name = "dL/dc_y" if k == rows.labels[b] else "dL/dc_k"
    return f"{name} = {got[b, k]:.6g}, by differences {difference[b, k]:.6g}, at c_y = {TARGETS[b]:.4g}"


# ---- the target at ±1 ------------------------------------------------------------------------------------------


def ends(subject: Subject, is_right: bool) -> tuple[Finding, ...]:
    """Return the findings at cosines of ±1: the loss and the gradient of a target there, the gradient of a negative.

    `is_right` says whether f and the gradient are the paper's elsewhere. If not, the target's gradient at ±1 is not
    judged.
    """
    poles = probes.rows_of([1.0, -1.0], [[0.9, 0.5, 0.125]] * 2)
    response = subject.ask(poles, size=1)
    finite = bool(np.isfinite(response.losses).all())
    answer = "it raises" if response.error else "finite" if finite else "not finite"
    evidence = response.error or f"L = {response.losses[0]:.6g} at 1, {response.losses[1]:.6g} at -1"
    loss = Finding(LOSS_AT_POLES, answer, evidence, finite)
    return loss, _at_poles(subject, poles, response, is_right), _negative_ends(subject)


def _at_poles(subject: Subject, poles: Rows, response: Response, is_right: bool) -> Finding:
    """Return the finding on the gradient of a target at ±1.

    Where df/dc_y is infinite there, right code may return an infinity, NaN or 0. Which of them is not judged.
    """
    got, right = _slope(subject, poles), _slope(subject.computing(""), poles)
    evidence = f"df/dc_y = {got[0]:.6g} at 1, {got[1]:.6g} at -1; paper: {right[0]:.6g}, {right[1]:.6g}"
    if not is_right or response.error:
        return unanswered(POLES, response.error or "f or the gradient differs already")
    if _is_close(got, right).all():
        return Finding(POLES, "the limit", evidence, True)
    if _may_be_right(subject, got, right):
        return _clamp_beside_poles(subject) or Finding(POLES, "not the limit, but right code may do so", evidence, None)
    for name in SLOPES_AT_POLES:
        if _is_close(got, _slope(subject.computing(name), poles)).all():
            is_clamp = name == "clamp-kills-gradient"
            return _clamp_of_poles(subject, evidence) if is_clamp else known_deviation(POLES, name, evidence)
    return Finding(POLES, "not the limit", evidence, False)


def _slope(subject: Subject, rows: Rows) -> FloatArray:
    """Return df/dc_y of each row. As dL/dc_y = -s q df/dc_y with q = 1 - e^-L, the negatives do not matter."""
    response = subject.ask(rows, size=1)
    return response.gradient[_own(rows)] / (subject.loss.s * np.expm1(-response.losses))


def _is_close(got: FloatArray, other: FloatArray) -> BoolArray:
    """Return where two slopes are the same to 1%, and both 0 or the same infinity where one is."""
    return np.isclose(got, other, rtol=0.01, atol=0)


def _may_be_right(subject: Subject, got: FloatArray, right: FloatArray) -> bool:
    """Return whether all slopes that differ are what right code makes of a division by 0 in acos or a square root.

    That is NaN, 0 or an infinity, but not the opposite infinity. Where the right slope is infinite, a large number
    counts as well, because some code keeps the square root above 0.
    """
    usual = ~np.isfinite(got) | (got == 0) | (np.abs(got) > INFINITE) & np.isinf(right)
    return subject.through_angle and bool((_is_close(got, right) | usual & (got != -right)).all())


# ---- clamps ----------------------------------------------------------------------------------------------------


def _clamp_beside_poles(subject: Subject) -> Finding | None:
    """Return the finding on a clamp if the slope is 0 one ulp inside ±1 too; None if it is not.

    At ±1 itself right code may return 0. One ulp inside there is no division by 0, so a slope of 0 shows a clamp.
    """
    inside = float(np.nextafter(subject.dtype.type(1), subject.dtype.type(0)))
    rows = probes.rows_of([inside, -inside], [[0.9, 0.5, 0.125]] * 2)
    got, right = _slope(subject, rows) + 0.0, _slope(subject.computing(""), rows)
    if not ((got == 0) & (right != 0)).any():
        return None
    evidence = f"df/dc_y = {got[0]:.6g} one ulp below 1, {got[1]:.6g} above -1; paper: {right[0]:.6g}, {right[1]:.6g}"
    return _clamp_of_poles(subject, evidence)


def _clamp_of_poles(subject: Subject, evidence: str) -> Finding:
    """Return which clamp makes the target's gradient 0: one of the target alone if a negative at 1 keeps its own."""
    of_target = _negative_ends(subject).agrees
    name, c = ("clamp-of-target-kills-gradient", "c_y") if of_target else ("clamp-kills-gradient", "c")
    return Finding(POLES, _clamp_formula(c, _clamp_width(subject, 0)), evidence, False, name)


def _clamp_formula(c: str, width: float) -> str:
    """Return the formula of a clamp with the ε that it has; the registry's has that of the code it was seen in."""
    return f"{c} := clip({c}, -1 + ε, 1 - ε), ∂{c}/∂{c} = 0 beyond, ε = {width:.2g}"


def _clamp_width(subject: Subject, column: int, end: float = 1.0) -> float:
    """Return up to which distance from `end`, 1 or -1, the gradient by a cosine is 0.

    The cosine is the target's if `column` is 0, a negative's if it is 1. The distance is 0 if the gradient is 0 at none
    of the distances tried, or at all of them. The first round tries 48 distances from one ulp to 0.06. Each of two
    more rounds tries 48 between the last distance with a gradient of 0 and the one after it. That finds the width to
    one part in 2,000.
    """
    low, high = float(np.finfo(subject.dtype).epsneg), WIDEST_CLAMP
    for _ in range(3):
        rows = _beside(end, column, np.geomspace(low, high, BATCH))
        is_zero = subject.ask(rows).gradient[:, column] == 0
        last = int(np.flatnonzero(is_zero).max(initial=0))
        if not is_zero[last] or last == BATCH - 1:
            return 0.0
        low, high = np.abs(end - subject.as_given(rows).cosines[last : last + 2, column])
    return float(high)


def _beside(end: float, column: int, distances: FloatArray) -> Rows:
    """Return rows of label 0 with the target (column 0) or a negative (1) at each of the distances from `end`."""
    c = np.tile([0.5 * end, 0.25, 0.125, 0.0], (len(distances), 1))
    c[:, column] = end * (1 - distances)
    return Rows(c, np.zeros(len(distances), dtype=np.intp))


def clamp_of_negatives(subject: Subject) -> Subject:
    """Return the subject with the cosine that a negative at -1 is clamped to; all later measurements need that cosine.

    A gradient of 0 next to -1 suggests a clamp. It is one if the loss with negatives at -1 is the same as with
    negatives half the width above -1, and another with negatives twice the width above it.
    """
    width = _clamp_width(subject, 1, -1.0)
    levels = np.array([0, width / 2, 2 * width]) - 1
    rows = probes.rows_of([-0.5] * 3, np.repeat(levels[:, None], CLASSES - 1, axis=1))
    at_end, inside, beyond = subject.ask(rows).losses
    return replace(subject, lowest=width - 1) if at_end == inside != beyond else subject


# ---- a negative at ±1 ------------------------------------------------------------------------------------------


def _negative_ends(subject: Subject) -> Finding:
    """Return the finding on the gradient of a negative at ±1: as next to ±1, or a share of that, or NaN."""
    inside = 1 - NEXT_TO_END
    levels = np.array([1.0, inside, -1.0, -inside])
    rows = probes.rows_of(np.full(4, 0.9), np.stack([levels, np.full(4, 0.25), np.full(4, -0.25)], axis=1))
    response, column = subject.ask(rows, size=1), np.array([1, 0, 0, 0])  # where the level is beside labels 0 to 3
    if not np.isfinite(response.gradient[[1, 3]]).all():
        return unanswered(NEGATIVE_ENDS, response.error or "there is no finite gradient next to ±1")
    by_level = response.gradient[np.arange(4), column]
    at, near = by_level[[0, 2]], by_level[[1, 3]]
    evidence = f"dL/dc_k = {at[0]:.6g} at 1, {near[0]:.6g} at {inside:.6g}"
    if np.isnan(response.gradient).any():
        return known_deviation(NEGATIVE_ENDS, "sine-of-whole-row", evidence)
    if (near == 0).any():
        return unanswered(NEGATIVE_ENDS, "the gradient next to ±1 is 0")
    return _share_at_ends(subject, at / near, evidence)


def _share_at_ends(subject: Subject, ratio: FloatArray, evidence: str) -> Finding:
    """Return the finding for a gradient that is `ratio` times, at 1 and at -1, what it is next to them."""
    for share, name in NAME_OF_RATIO.items():
        if np.allclose(ratio, share, atol=0.02):
            found = known_deviation(NEGATIVE_ENDS, name, evidence)
            is_clamp = share == 0
            return replace(found, answer=_clamp_formula("c", _clamp_width(subject, 1))) if is_clamp else found
    right = bool(np.allclose(ratio, 1, atol=0.02))
    return Finding(NEGATIVE_ENDS, "the limit" if right else "not the limit", evidence, right)
