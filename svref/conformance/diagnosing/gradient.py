"""The gradient: whether it is that of the candidate's own losses.

The gradient is compared with central differences of the candidate's own losses, not with the paper's gradient. So a
wrong loss whose gradient belongs to it is no wrong gradient. How far such a difference is from a gradient, because the
loss bends within the step, is measured on the paper's loss, where both are known. At ±1 there are no differences: see
`ends`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.backward import HALF, rounded_probabilities, slip_of
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import BATCH, CLASSES, Response, Rows, Subject
from svref.judging import condition
from svref.loss import SVXSoftmax
from svref.margins import Angle

GRADIENT = "the gradient"

TARGETS = np.array([0.7613, 0.4523, 0.2011, -0.3017, -0.5521, -0.6519])  # six, so that 8 moves of each are one batch
STEP = {"float64": 2.0**-17, "float32": 2.0**-9}  # so far above the spacing of the numbers that losses keep digits
TURN = {"float64": 2.0**-9, "float32": 2.0**-2}  # a step moves no logit by more, and no m θ: a loss bends little there
BEND = 4  # times what the paper's loss bends within a step: another loss may bend more, but not by much
RELATIVE = {"float64": 1e-4, "float32": 0.05}  # of a row's largest difference: the error by the third derivative
FROM_BOUNDARY = 0.06  # cosine units: no negative is closer to f or c_y. In a step A-Softmax's f moves 0.009 at most
SPREAD = 16.0  # s t times the width of the negatives' range: farther apart, the largest alone would have a gradient


# ---- the gradient against differences of the losses ------------------------------------------------------------


def gradient(subject: Subject, is_papers: bool = True) -> Finding:
    """Return the finding on the gradient: whether it is that of the candidate's own losses, or has a known mistake.

    How much a loss bends is measured on the paper's; of losses that are known to be others, `is_papers` is False, on
    the candidate's own.
    """
    if subject.precision in HALF:
        return unanswered(GRADIENT, f"rounding to {subject.precision} hides every difference of losses")
    rows, step = _rows(subject), _step(subject.loss, subject.digits)
    response = subject.ask(rows)
    if not response.has_gradient:
        return Finding(GRADIENT, "none", response.error or "the candidate returns none", None)
    difference, noise = _differences(subject, rows, step)
    bend = _bend(subject, rows, step) if is_papers else _own_bend(subject, rows, step, difference)
    noise += bend + _tolerance(subject, rows)
    if not (np.isfinite(difference) & (noise < 0.1 * np.abs(difference))).any():
        return unanswered(GRADIENT, "rounding hides every difference of losses")
    allowed = noise + RELATIVE[subject.digits] * np.nan_to_num(np.abs(difference)).max(axis=1, keepdims=True)
    evidence = _farthest(rows, response.gradient, difference)
    rounded = rounded_probabilities(subject, rows, response)
    if rounded:
        return Finding(GRADIENT, rounded, evidence, False)
    for name, factor in _mistakes(subject, rows, response, difference):
        off = np.abs(response.gradient - factor * difference)
        if (off <= np.abs(factor) * allowed)[np.isfinite(difference)].all():
            right = Finding(GRADIENT, "that of the candidate's own losses", evidence, True)
            return known_deviation(GRADIENT, name, evidence) if name else right
    answer = slip_of(subject, rows, response, difference, allowed)
    return Finding(GRADIENT, answer or "not that of the candidate's own losses", evidence, False)


def _rows(subject: Subject) -> Rows:
    """Return rows with a gradient in every column, whose mask no difference changes.

    The negatives spread over the whole range at usual scales, and around f at larger ones: the logits of negatives far
    below f, or far below another negative, leave no trace in a loss.
    """
    loss = subject.loss
    width = min(1.0, SPREAD / (loss.s * loss.emphasis.t))
    f = loss.margin.value(Angle.from_cosine(TARGETS))
    c = np.random.default_rng(5).uniform(-0.8, 0.8, (len(TARGETS), CLASSES - 1))
    c = width * c + (1 - width) * np.clip(f, -0.9, 0.9)[:, None]
    # Rounding moves f, so a negative must be farther from it than that, or the mask flips within a difference.
    apart = np.maximum(FROM_BOUNDARY * width, 4 * probes.rounding_of_f(subject, TARGETS))[:, None]
    for boundary in (f, TARGETS):
        c = np.where(np.abs(c - boundary[:, None]) < apart, boundary[:, None] + 2 * apart, c)
    return probes.rows_of(TARGETS, c)


def _step(loss: SVXSoftmax, precision: str) -> float:
    """Return by how much a cosine is moved: less at a large s t, or at a large multiple of the angle."""
    fastest = max(loss.s * loss.emphasis.t, probes.multiple_of_angle(loss))
    return min(STEP[precision], TURN[precision] / fastest)


def _bend(subject: Subject, rows: Rows, step: float) -> FloatArray:
    """Return how far a difference of losses may be from the gradient because the loss bends within a step, (B, C)."""
    paper = subject.computing("")
    gradient = paper.ask(rows).gradient
    return BEND * np.nan_to_num(np.abs(_differences(paper, rows, step)[0] - gradient), nan=np.inf)


def _own_bend(subject: Subject, rows: Rows, step: float, difference: FloatArray) -> FloatArray:
    """Return how far a difference may be from the gradient: what a step twice as long changes, (B, C)."""
    return BEND * np.nan_to_num(np.abs(_differences(subject, rows, 2 * step)[0] - difference), nan=np.inf)


def _tolerance(subject: Subject, rows: Rows) -> FloatArray:
    """Return how far rounding may move each entry of the gradient itself, (B, C)."""
    loss, precision = subject.loss, subject.precision
    scale = condition.scales(loss.forward(*subject.as_given(rows)), precision).cosines
    return condition.tolerance(scale, CLASSES, loss.s, loss.emphasis.t, precision)


def _differences(subject: Subject, rows: Rows, step: float) -> tuple[FloatArray, FloatArray]:
    """Return the central difference of each row's loss by each cosine, and the noise that rounding puts in it; (B, C).

    A difference is NaN where a loss is within 3 of a cap at -log ε, as the cap bends it there.
    """
    count = len(rows.labels)
    moves = np.concatenate([np.eye(CLASSES), -np.eye(CLASSES)]) * step
    moved = Rows(np.concatenate([rows.cosines + move for move in moves]), np.tile(rows.labels, 2 * CLASSES))
    high, low = subject.ask(moved).losses.reshape(2, CLASSES, count)
    cosines = subject.as_given(moved).cosines.reshape(2, CLASSES, count, CLASSES)
    width = np.einsum("kbk->bk", cosines[0] - cosines[1])
    noise = 2 * subject.tolerance(moved).reshape(2, CLASSES, count).max(axis=0).T / width
    capped = np.maximum(high, low) > -np.log(subject.eps) - 3
    return np.where(capped, np.nan, high - low).T / width, noise


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
    is_own, s, t, one = probes.own(rows), subject.loss.s, subject.loss.emphasis.t, np.ones(difference.shape)
    minus_q = np.expm1(-response.losses)[:, None]
    ratio = response.gradient / difference
    is_nearer = np.abs(ratio * t - 1) < np.abs(ratio - 1)
    yield "", one
    yield "straight-through-angle", np.where(is_own, s * minus_q / difference, 1)
    yield "slope-of-h-lost", np.where(~is_own & is_nearer, 1 / t, 1)
    yield "negatives-detached", np.where(is_own, one, 0)
    yield "target-detached", np.where(is_own, 0, one)
    yield "one-hot-not-subtracted", np.where(is_own, 1 + 1 / minus_q, 1)
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
