"""The cosines ±1: the loss and the gradient of a target there, the gradient of a negative, and clamps.

There are no differences of losses at ±1. So the gradient is compared with the paper's there. For a negative, what is
compared is the gradient at ±1 in parts of the gradient next to it. Rows are chosen so that the class in question has a
share of the softmax: at large scales, classes far below the largest have none, and their gradient is rounded to 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import BATCH, CLASSES, Response, Rows, Subject
from svref.judging import condition
from svref.margins import Angle

LOSS_AT_POLES, POLES = "the loss at c_y = ±1", "the gradient at c_y = ±1"
NEGATIVE_ENDS = "the gradient at c_k = ±1, k ≠ y"

NEXT_TO_END = 2.0**-12  # cosine units: how far inside ±1 a negative's gradient counts as the ordinary one
SMALL_SCALE = 16.0  # s t: up to here classes over the whole range of cosines have a share of the softmax
KNOWN = 0.002  # relative: a slope or a share that is known no better is not compared; 1 % and 2 % are told apart
INFINITE = 1e3  # a df/dc from here on counts as infinite: code that keeps a square root above 0 returns such a number
WIDEST_CLAMP = 0.06  # cosine units: how far from ±1 the end of a clamp is looked for
SLOPES_AT_POLES = ("clip-halves-at-ends", "clamp-kills-gradient", "last-piece-off-by-one", "slope-one-at-poles")
NAME_OF_RATIO = {0.5: "clip-halves-at-ends", 0.0: "clamp-kills-gradient"}


# ---- the target at ±1 ------------------------------------------------------------------------------------------


def ask(subject: Subject, is_right: bool) -> tuple[Finding, ...]:
    """Return the findings at cosines of ±1: the loss and the gradient of a target there, the gradient of a negative.

    `is_right` says whether f and the gradient are the paper's elsewhere. If not, the target's gradient at ±1 is not
    judged.
    """
    poles = _pole_rows(subject, 1.0)
    response = subject.ask(poles, size=1)
    finite = bool(np.isfinite(response.losses).all())
    answer = "it raises" if response.error else "finite" if finite else "not finite"
    evidence = response.error or f"L = {response.losses[0]:.6g} at 1, {response.losses[1]:.6g} at -1"
    loss = Finding(LOSS_AT_POLES, answer, evidence, finite)
    return loss, _at_poles(subject, poles, response, is_right), _negative_ends(subject)


def of_another_loss(finding: Finding) -> Finding:
    """Return a finding about a loss that is not the paper's: where its gradient has another limit, nobody is wrong."""
    if finding.question == LOSS_AT_POLES or finding.agrees is not False or finding.deviation:
        return finding
    return unanswered(finding.question, "the loss differs already")


def _pole_rows(subject: Subject, at: float) -> Rows:
    """Return a row with the target at `at`, and one with it at -`at`, beside a negative at 1 or at most 1/s below.

    No f exceeds 1. So that negative keeps q = 1 - p_y, of which the target's gradient is a multiple, above 1/4.
    """
    return probes.rows_of([at, -at], [[max(0.9, 1 - 1 / subject.loss.s), 0.5, 0.125]] * 2)


def _at_poles(subject: Subject, poles: Rows, response: Response, is_right: bool) -> Finding:
    """Return the finding on the gradient of a target at ±1.

    Where df/dc_y is infinite there, right code may return an infinity, NaN, 0, or a finite number, as code does that
    leaves the square root out where it is 0. Which of them is not judged.
    """
    got, right = _slope(subject, poles), _slope(subject.computing(""), poles)
    evidence = f"df/dc_y = {got[0]:.6g} at 1, {got[1]:.6g} at -1; paper: {right[0]:.6g}, {right[1]:.6g}"
    if not is_right or response.error:
        return unanswered(POLES, response.error or "f or the gradient differs already")
    if np.isnan(right).any():
        return unanswered(POLES, "rounding hides q = 1 - p_y there")
    if _is_close(got, right).all():
        return Finding(POLES, "the limit", evidence, True)
    if _may_be_right(subject, got, right):
        return _clamp_beside_poles(subject) or Finding(POLES, "not the limit, but right code may do so", evidence, None)
    for name in SLOPES_AT_POLES:
        if _is_close(got, _slope(subject.computing(name), poles)).all():
            is_clamp = name == "clamp-kills-gradient"
            return _clamp_of_poles(subject, evidence) if is_clamp else known_deviation(POLES, name, evidence)
    if (_is_close(got, right) | np.isinf(right) & np.isfinite(got)).all():
        return Finding(POLES, "finite, where the limit is not; right code may do so", evidence, None)
    return Finding(POLES, "not the limit", evidence, False)


def _slope(subject: Subject, rows: Rows) -> FloatArray:
    """Return df/dc_y of each row. As dL/dc_y = -s q df/dc_y with q = 1 - e^-L, the negatives do not matter.

    It is NaN where rounding of the paper's loss moves q by more than `KNOWN`: there nothing is known of anybody's.
    """
    response = subject.ask(rows, size=1)
    slope = response.gradient[probes.own(rows)] / (subject.loss.s * np.expm1(-response.losses))
    return np.where(_is_known(subject, rows), slope, np.nan)


def _is_known(subject: Subject, rows: Rows) -> BoolArray:
    """Return where rounding of the loss moves q by no more than `KNOWN` of it, (B,)."""
    step = subject.loss.forward(*subject.as_given(rows))
    z = step.s * step.cosines + step.log_h
    z[step.own] = step.s * step.f
    # An error of f moves the gradient and the loss together. Only the rounding of logits and of the loss counts.
    moved = condition.SLACK * condition.unit_roundoff(subject.dtype) * (1 + np.abs(z).max(axis=1))
    return np.asarray(moved <= KNOWN * np.expm1(step.loss))


def _is_close(got: FloatArray, other: FloatArray) -> BoolArray:
    """Return where two slopes are the same to 1%, and both 0 or the same infinity where one is."""
    return np.isclose(got, other, rtol=0.01, atol=0)


def _may_be_right(subject: Subject, got: FloatArray, right: FloatArray) -> bool:
    """Return whether all slopes that differ are what right code makes of a division by 0 in acos or a square root.

    That is NaN, 0 or an infinity, but not the opposite infinity. Where the right slope is infinite, a large number
    counts as well, because some code keeps the square root above 0.
    """
    usual = ~np.isfinite(got) | (got == 0) | (np.abs(got) > INFINITE) & np.isinf(right)
    opposite = (got == -right) & _has_sign(subject)
    return subject.through_angle and bool((_is_close(got, right) | usual & ~opposite).all())


def _has_sign(subject: Subject) -> BoolArray:
    """Return where the infinite slope at 1, and at -1, has a sign that rounding of the angle cannot turn round, (2,).

    The slope is a multiple of sin φ/σ, with φ the angle after the margin. Where sin φ is as small as rounding of φ, for
    example at m next to π, its sign is an accident. df/dθ is sin φ times the multiple of the angle.
    """
    multiple = probes.multiple_of_angle(subject.loss)
    sine = subject.loss.margin.by_angle(Angle.from_cosine(np.array([1.0, -1.0]))) / multiple
    rounding = condition.SLACK * condition.unit_roundoff(subject.dtype) * 4 * (1 + multiple)
    return np.asarray(np.abs(sine) > rounding)


def _one_ulp_inside(subject: Subject) -> float:
    """Return the largest number below 1 that the candidate can be given."""
    return float(np.nextafter(subject.dtype.type(1), subject.dtype.type(0)))


# ---- clamps ----------------------------------------------------------------------------------------------------


def _clamp_beside_poles(subject: Subject) -> Finding | None:
    """Return the finding on a clamp if the slope is 0 one ulp inside ±1 too; None if it is not.

    At ±1 itself right code may return 0. One ulp inside there is no division by 0, so a slope of 0 shows a clamp.
    """
    rows = _pole_rows(subject, _one_ulp_inside(subject))
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
        rows = _beside(subject, end, column, np.geomspace(low, high, BATCH))
        is_zero = subject.ask(rows).gradient[:, column] == 0
        last = int(np.flatnonzero(is_zero).max(initial=0))
        if not is_zero[last] or last == BATCH - 1:
            return 0.0
        low, high = np.abs(end - subject.as_given(rows).cosines[last : last + 2, column])
    return float(high)


def _beside(subject: Subject, end: float, column: int, distances: FloatArray) -> Rows:
    """Return rows of label 0 with the target (column 0) or a negative (1) at each of the distances from `end`."""
    is_small = subject.loss.s * subject.loss.emphasis.t <= SMALL_SCALE
    if column == 1 and not is_small:
        others = _row_beside(subject, end)
    else:
        others = np.array([0.5 * end, 0.25 if is_small else 1.0, 0.125, 0.0])
    c = np.tile(others, (len(distances), 1))
    c[:, column] = end * (1 - distances)
    return Rows(c, np.zeros(len(distances), dtype=np.intp))


def _row_beside(subject: Subject, end: float) -> FloatArray:
    """Return a row of label 0 in which a negative at `end`, in column 1, has a share of the softmax at a large s t.

    The others are as close to it as their logits need, and so is f: above the negatives if they are at -1, so that none
    of them is a support vector, and below them at 1, so that all are.
    """
    loss = subject.loss
    width = min(0.4, 4 / (loss.s * loss.emphasis.t))
    targets = np.concatenate([np.linspace(-0.999, 0.999, 4001), 1 - np.geomspace(1e-6, 1e-3, 200)])
    targets = np.concatenate([targets, -targets])
    f = loss.margin.value(Angle.from_cosine(targets))
    target = targets[int(np.argmin(np.abs(f - end * (1 - 1.5 * width))))]
    return np.array([target, end, end * (1 - 0.75 * width), end * (1 - 1.25 * width)])


def clamp_of_negatives(subject: Subject) -> Subject:
    """Return the subject with the cosine that a negative at -1 is clamped to; all later measurements need that cosine.

    A gradient of 0 next to -1 suggests a clamp. It is one if the loss with negatives at -1 is the same as with
    negatives half the width above -1, and another with negatives twice the width above it.
    """
    width = _clamp_width(subject, 1, -1.0)
    levels = np.array([0, width / 2, 2 * width]) - 1
    rows = probes.rows_of([-0.5] * 3, np.repeat(levels[:, None], CLASSES - 1, axis=1))
    at_end, inside, beyond = subject.ask(rows).losses
    right = subject.papers_losses(rows)
    is_seen = abs(right[1] - right[0]) > 2 * subject.tolerance(rows).max()  # without a clamp, the losses differ
    return replace(subject, lowest=width - 1) if is_seen and at_end == inside != beyond else subject


# ---- a negative at ±1 ------------------------------------------------------------------------------------------


def _negative_ends(subject: Subject) -> Finding:
    """Return the finding on the gradient of a negative at ±1: as next to ±1, or a share of that, or NaN."""
    rows, column = _rows_at_ends(subject)
    response, paper = subject.ask(rows, size=1), subject.computing("").ask(rows, size=1)
    if not np.isfinite(response.gradient[[1, 3]]).all():
        return unanswered(NEGATIVE_ENDS, response.error or "there is no finite gradient next to ±1")
    at, near = response.gradient[np.arange(4), column].reshape(2, 2).T
    inside = np.abs(subject.as_given(rows).cosines[1, column[1]])
    evidence = f"dL/dc_k = {at[0]:.6g} at 1, {near[0]:.6g} at {inside:.6g}"
    if np.isnan(response.gradient).any():
        return known_deviation(NEGATIVE_ENDS, "sine-of-whole-row", evidence)
    if (near == 0).any():
        return unanswered(NEGATIVE_ENDS, "the gradient next to ±1 is 0")
    right_at, right_near = paper.gradient[np.arange(4), column].reshape(2, 2).T
    if not _ends_are_known(subject, rows, right_at / right_near):
        return unanswered(NEGATIVE_ENDS, "at this s and t the softmax leaves too little of a negative at ±1")
    return _share_at_ends(subject, at / near / (right_at / right_near), evidence)


def _rows_at_ends(subject: Subject) -> tuple[Rows, IntArray]:
    """Return four rows with a negative at 1, next to 1, at -1 and next to -1, and the column (4,) of that negative."""
    st = subject.loss.s * subject.loss.emphasis.t
    inside = 1 - min(NEXT_TO_END, 1 / (4 * st))
    levels = np.array([1.0, inside, -1.0, -inside])
    column = np.array([1, 0, 0, 0])  # where the first negative stands beside the labels 0 to 3
    if st <= SMALL_SCALE:
        others = np.stack([np.full(4, 0.25), np.full(4, -0.25)], axis=1)
        return probes.rows_of(np.full(4, 0.9), np.column_stack([levels, others])), column
    rows = np.stack([_row_beside(subject, end) for end in (1.0, 1.0, -1.0, -1.0)])
    return probes.rows_of(rows[:, 0], np.column_stack([levels, rows[:, 2:]])), column


def _ends_are_known(subject: Subject, rows: Rows, ratio: FloatArray) -> bool:
    """Return whether right code gets the same shares of the negative at ±1 and next to it, in these rows.

    `ratio` is the paper's gradient at 1, and at -1, over that next to it. Rounding must move no logit by more than 1 %,
    and the negative must be a support vector in both places or in none.
    """
    rounding = subject.tolerance(rows).max()
    return bool(rounding < 0.01 and ((ratio > 0.5) & (ratio < 2)).all())


def _share_at_ends(subject: Subject, ratio: FloatArray, evidence: str) -> Finding:
    """Return the finding for a gradient that is `ratio` times, at 1 and at -1, what it is there in the paper's loss."""
    for share, name in NAME_OF_RATIO.items():
        if np.allclose(ratio, share, atol=0.02):
            found = known_deviation(NEGATIVE_ENDS, name, evidence)
            is_clamp = share == 0
            return replace(found, answer=_clamp_formula("c", _clamp_width(subject, 1))) if is_clamp else found
    right = bool(np.allclose(ratio, 1, atol=0.02))
    return Finding(NEGATIVE_ENDS, "the limit" if right else "not the limit", evidence, right)
