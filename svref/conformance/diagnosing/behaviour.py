"""What can be asked of any loss: batches, memory, scale and caps, and what it does beyond the range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import BATCH, CLASSES, SAME, Rows, Subject
from svref.margins import Angle

SCALE, BATCHES, STATE = "the scale s", "size of the batch", "state between calls"
ROW_ORDER, CLASS_ORDER = "order of the rows", "order of the classes"
CAP, OVERFLOW, BEYOND = "cap of the loss", "overflow", "c_y one ulp above 1"
SLACK = {"float64": 1e-9, "float32": 1e-4}  # relative: two calls of the same code may differ by this much
KNOWN_CAPS = {"probability-clipped": 16.12, "eps-in-log": 20.72, "loss-capped": 69.08}  # -log 1e-7, 1e-9 and 1e-30
LARGEST_CAP = 690.0  # e^-L of larger losses has few digits in float64, as the smallest normal number is e^-708
LARGEST_LOGIT = {"float64": 709.0, "float32": 88.0}  # exp of a larger one is infinite
DEEPEST = {"float64": 20.0, "float32": 6.0}  # a logit that is this far below the target's still moves the loss
UNCERTAIN = 0.5  # relative, or absolute below 1: a slope that is known no better tells no scale from another
SMALL_LOGIT = 80.0  # up to here a sum of four exp, and its inverse, are ordinary numbers in float32 too


def ordinary_rows() -> Rows:
    """Return a batch of cosines drawn from (-0.9, 0.9)."""
    rng = np.random.default_rng(48)
    return probes.rows_of(rng.uniform(-0.9, 0.9, BATCH), rng.uniform(-0.9, 0.9, (BATCH, CLASSES - 1)))


def ordinary_losses(subject: Subject) -> FloatArray:
    """Return the candidate's losses of the ordinary rows, (48,)."""
    return subject.ask(ordinary_rows()).losses


def _noise(subject: Subject, losses: FloatArray) -> FloatArray:
    """Return by how much the losses of the first ordinary rows may differ between two calls of right code, (B,)."""
    rows = ordinary_rows()
    rounding = subject.tolerance(Rows(rows.cosines[: len(losses)], rows.labels[: len(losses)]))
    return SLACK[subject.digits] * (1 + np.abs(losses)) + 2 * rounding


def _is_same(subject: Subject, losses: FloatArray, others: FloatArray) -> bool:
    """Return whether two calls gave the same losses of ordinary rows up to rounding; NaN beside NaN is the same."""
    same = (losses == others) | (np.isnan(losses) & np.isnan(others))
    return bool((same | (np.abs(losses - others) <= _noise(subject, others))).all())


def why_no_losses(subject: Subject) -> str:
    """Return what the candidate raises on the ordinary rows, or that it has no finite loss there."""
    return subject.ask(ordinary_rows()).error or "no loss is finite"


# ---- what later measurements rest on: each function returns its finding, and the subject with what was learned ---


def batch(subject: Subject) -> tuple[Finding, Subject]:
    """Return the finding on the size of the batch, and the subject with the power of it that was found.

    The question is whether a row's loss is the same alone and in a batch. If the candidate takes a mean in place of a
    sum, or the reverse, the subject undoes that for all later questions.
    """
    rows, together = ordinary_rows(), ordinary_losses(subject)[:4]
    first = Rows(rows.cosines[:4], rows.labels[:4])
    alone = subject.ask(first, size=1).losses
    evidence = f"L = {together[0]:.6g} in a batch of {BATCH}, {alone[0]:.6g} alone"
    if not np.isfinite([together, alone]).all():
        return unanswered(BATCHES, subject.ask(first, size=1).error or evidence), subject
    if _is_same(subject, together, alone):
        return Finding(BATCHES, "does not matter", evidence, True), subject
    for power, name in ((1, "mean-for-sum"), (-1, "sum-for-mean")):
        if _is_same(subject, together * float(BATCH) ** power, alone):
            return known_deviation(BATCHES, name, evidence), replace(subject, batch_power=power)
    return Finding(BATCHES, "changes a row's loss", evidence, False), subject


def cap(subject: Subject) -> tuple[Finding, Subject]:
    """Return the finding on a cap of the loss, and the subject with the ε that causes it.

    It is asked with negatives at 1. Losses that may take cosines beyond [-1, 1] are also asked with negatives at 16,
    which lead to larger losses.
    """
    for largest in (1.0,) if subject.through_angle else (1.0, 16.0):
        rows = _rows_of_large_losses(largest)
        losses, noise = subject.ask(rows).losses, 4 * subject.tolerance(rows)
        evidence = f"L = {losses[1]:.6g} beside one negative at {largest:g}, {losses[2]:.6g} beside three"
        ending = _largest_loss(losses, noise)
        right = subject.papers_losses(rows)
        is_seen = abs(right[2] - right[1]) > 2 * noise.max()  # one negative and three differ, unless there is a cap
        if np.isfinite(ending) and is_seen and not _is_exceeded(subject, ending, noise.max()):
            return _cap_finding(ending, evidence), replace(subject, eps=float(np.exp(-ending)))
    reached = losses[2] > max(KNOWN_CAPS.values())
    if not np.isfinite(losses[2]):
        return unanswered(CAP, evidence), subject
    answer = "none" if reached else "none below the largest loss"
    return Finding(CAP, answer, evidence, True if reached else None), subject


def _is_exceeded(subject: Subject, ending: float, noise: float) -> bool:
    """Return whether some loss is larger than what is taken for the largest one, so that nothing is capped there."""
    largest = (1.0,) if subject.through_angle else (1.0, 4.0, 16.0)
    losses = np.concatenate([subject.ask(_rows_of_large_losses(each)).losses for each in largest])
    return bool((losses > ending + noise + 1e-6 * ending).any())


def _rows_of_large_losses(largest: float) -> Rows:
    """Return a low target beside none, one and three large negatives, and a lower one beside three."""
    low, three = -0.95 * largest, [largest] * 3
    return probes.rows_of([low, low, low, -largest], [[-1.0, -1.0, -1.0], [largest, -1.0, -1.0], three, three])


def _largest_loss(losses: FloatArray, tolerance: FloatArray) -> float:
    """Return -log ε, the largest loss that there can be, from those of `_rows_of_large_losses`; NaN if there is none.

    Odds add up, so three equal negatives have O3 = 3 O1 - 2 O0, with O1 those of one of them and O0 those of none. If
    an ε is added to p, then e^-L is P = p + ε, and O = 1/p - 1 gives ε = (3 P3 - P1)/2 - (1 + O0) P1 P3. If ε replaces
    a smaller p, then P1 = P3 = ε.
    """
    none, one, three, lower = losses
    if abs(three - one) <= tolerance.max():
        # A lower target has another loss: then nothing is capped, but the negatives carry nothing.
        return np.nan if abs(lower - three) > tolerance.max() else float(three)
    if max(one, three) > LARGEST_CAP:
        return np.nan
    p1, p3 = np.exp(-one), np.exp(-three)
    eps = (3 * p3 - p1) / 2 - np.exp(none) * p1 * p3
    return float(-np.log(eps)) if eps > tolerance.max() * (p1 + p3) else np.nan


def _cap_finding(ending: float, evidence: str) -> Finding:
    """Return the finding that no loss exceeds `ending`: a known cap, or another."""
    for name, known in KNOWN_CAPS.items():
        if abs(ending - known) < 0.5:
            return known_deviation(CAP, name, f"{evidence}: no loss exceeds {ending:.2f}")
    return Finding(CAP, f"L ends at {ending:.4g}", evidence, False)


def scale(subject: Subject) -> tuple[Finding, Subject]:
    """Return the finding on the scale, and the subject with the s that was found.

    s is the slope of z_k by c_k at levels below f, where negatives are no support vectors.
    """
    s, (target, levels) = subject.loss.s, _levels_below_f(subject)
    # f is not known here and taken as 0. This adds one number to all values, so their slope is right all the same: if
    # the scale is s', the slope of z_k/s - c_k is s'/s - 1.
    lift = probes.measured_lift(subject, target, levels, np.zeros(1))
    usable = lift.usable[0]
    if usable.sum() < 3 or np.ptp(levels[0, usable]) == 0:
        return unanswered(SCALE, "rounding hides the losses below f"), subject
    c, error = levels[0, usable], lift.error[0, usable] + SAME
    z = lift.value[0, usable] + c
    factor, start = np.polyfit(c, z, 1)
    evidence = f"z_k grows by {factor * s:.6g} c_k over c_k = {c.min():.2f} to {c.max():.2f}"
    uncertainty = 10 * error.max() / np.ptp(c)
    if not uncertainty < UNCERTAIN * max(1.0, abs(factor)):
        return unanswered(SCALE, "rounding hides how much z_k grows with c_k"), subject
    if abs(factor) < uncertainty:
        return unanswered(SCALE, "z_k does not grow with c_k"), subject
    if _is_meant_slope(subject, factor, uncertainty):
        return Finding(SCALE, f"s = {s:g}", evidence, True), subject
    if factor <= 0 or (np.abs(z - factor * c - start) > error).any():
        return unanswered(SCALE, "z_k is no multiple of c_k"), subject
    return _other_scale(float(factor), s, evidence), replace(subject, loss=replace(subject.loss, s=float(factor * s)))


def _levels_below_f(subject: Subject) -> tuple[FloatArray, FloatArray]:
    """Return a target (1,) whose f is near 0.35, and levels (1, 20) below f, which are no support vectors.

    f = 0.35 leaves room for levels that are mostly above 0, where a filter of negatives changes nothing. The levels are
    closer at large scales, as the loss beside a negative far below f has no digits.
    """
    targets = np.linspace(-0.95, 0.9995, 400)
    f = subject.loss.margin.value(Angle.from_cosine(targets))
    nearest = [int(np.argmin(np.abs(f - 0.35)))]
    step = min(0.015, DEEPEST[subject.digits] / (20 * subject.loss.s))
    return targets[nearest], np.maximum(f[nearest][:, None] - step * np.arange(1, 21), -0.9)


def _is_meant_slope(subject: Subject, factor: float, uncertainty: float) -> bool:
    """Return whether z_k/s has the slope 1 by c_k, or t, so that the scale is s.

    The slope is t if h is adaptive and a wrong mask makes support vectors of negatives below f. That is no mistake in
    the scale.
    """
    emphasis = subject.loss.emphasis
    lifted = emphasis.t if emphasis.form == "adaptive" else 1.0
    return bool(min(abs(factor - 1), abs(factor - lifted)) < uncertainty)


def _other_scale(factor: float, s: float, evidence: str) -> Finding:
    """Return the finding that the scale is `factor` times s: s applied twice, or not at all, or another number."""
    if abs(factor / s - 1) < 1e-3:
        return known_deviation(SCALE, "s-twice", evidence)
    not_applied = abs(factor * s - 1) < 1e-3
    return Finding(SCALE, "not applied" if not_applied else f"s := {factor * s:.6g}", evidence, False)


# ---- beyond the ordinary range ---------------------------------------------------------------------------------


def overflow(subject: Subject) -> Finding:
    """Return the finding on overflow: whether the loss is finite at the largest logits that valid cosines lead to."""
    loss, largest = subject.loss, np.array([1.0] if subject.through_angle else [1.0, 4.0, 16.0, 128.0])
    rows = probes.rows_of(-largest, np.repeat(largest[:, None], CLASSES - 1, axis=1))
    response, logits = subject.ask(rows), loss.s * (loss.emphasis.t * largest + loss.emphasis.t - 1)
    bad = ~np.isfinite(response.losses)
    if response.error:
        return unanswered(OVERFLOW, response.error)
    if bad.any():
        return _overflow_finding(response.losses[bad][0], logits[bad][0])
    reached = logits[-1] > LARGEST_LOGIT[subject.dtype.name]
    answer = "finite" if reached else "finite, but this s reaches no overflow"
    evidence = f"L = {response.losses[-1]:.4g} at z_k = {logits[-1]:.4g}"
    return Finding(OVERFLOW, answer, evidence, True if reached else None)


def _overflow_finding(loss: float, z: float) -> Finding:
    """Return the finding that the loss is not finite where the largest logit is z."""
    evidence = f"L = {loss} at z_k = {z:.4g}"
    if z < SMALL_LOGIT:
        return Finding(OVERFLOW, "not finite where nothing overflows", evidence, False)
    name = "no-max-subtraction-float64" if z > LARGEST_LOGIT["float64"] else "no-max-subtraction"
    return known_deviation(OVERFLOW, name, evidence)


def beyond_one(subject: Subject) -> Finding:
    """Return the finding on a target one ulp above 1, to which rounding may carry a cosine.

    A loss that is not finite there is a departure, except for margins that take the angle of c_y: those are not judged.
    """
    above = float(np.nextafter(subject.dtype.type(1), subject.dtype.type(2)))
    response = subject.ask(probes.rows_of([above], [[0.5, 0.25, -0.25]]), size=1)
    loss, gradient = response.losses[0], response.gradient[0, 0]
    evidence = response.error or f"L = {loss:.6g}, dL/dc_y = {gradient:.6g}"
    answer = "it raises" if response.error else "finite" if np.isfinite(loss) else "the loss is not finite"
    agrees = None if subject.through_angle or response.error else bool(np.isfinite(loss))
    return Finding(BEYOND, answer, evidence, agrees)


# ---- order and memory ------------------------------------------------------------------------------------------


def order(subject: Subject) -> tuple[Finding, Finding]:
    """Return the findings on the order of the rows and on that of the classes: whether losses depend on them."""
    rows, before = ordinary_rows(), ordinary_losses(subject)
    reversed_ = subject.ask(Rows(rows.cosines[::-1], rows.labels[::-1])).losses[::-1]
    columns = np.array([2, 0, 3, 1])
    permuted = subject.ask(Rows(rows.cosines[:, columns], np.argsort(columns)[rows.labels])).losses
    return _order_finding(subject, ROW_ORDER, before, reversed_), _order_finding(subject, CLASS_ORDER, before, permuted)


def _order_finding(subject: Subject, question: str, before: FloatArray, after: FloatArray) -> Finding:
    """Return the finding on an order, from the losses (48,) of the same rows before and after it was changed."""
    if not np.isfinite(before).any():
        return unanswered(question, why_no_losses(subject))
    off = np.nan_to_num(np.abs(before - after), nan=np.inf, posinf=np.inf)
    off[np.isnan(before) & np.isnan(after)] = 0
    worst = int(np.argmax(off))
    same, evidence = _is_same(subject, before, after), f"L = {before[worst]:.6g} before, {after[worst]:.6g} after"
    if same and np.nanmax(before) - np.nanmin(before) <= _noise(subject, before).max():
        return unanswered(question, "the losses of all rows are the same to rounding")
    return Finding(question, "does not matter" if same else "changes losses", evidence, same)


def state(subject: Subject, at_first: FloatArray) -> Finding:
    """Return the finding on state between calls.

    The question is whether the ordinary rows still have the losses (48,) that they had `at_first`, before all other
    calls.
    """
    after = ordinary_losses(subject)
    if not np.isfinite(at_first).any():
        return unanswered(STATE, why_no_losses(subject))
    same, evidence = (
        _is_same(subject, at_first, after),
        f"L = {at_first[0]:.6g} at first, {after[0]:.6g} after other calls",
    )
    return Finding(STATE, "none" if same else "a call changes later ones", evidence, same)
