"""What can be asked of any loss: its digits, its batches, its memory, its scale, its caps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.probes import BATCH, CLASSES, Finding, Rows, Subject, named
from svref.margins import Angle

SCALE, BATCHES, STATE = "the scale s", "size of the batch", "state between calls"
CAP, OVERFLOW, BEYOND, DIGITS = "cap of the loss", "overflow", "c_y one ulp above 1", "digits"
BELOW_FLOAT32 = 2.0**-38  # added to a cosine, it is lost where it passes float32
KNOWN_CAPS = {"probability-clipped": 16.12, "eps-in-log": 20.72, "loss-capped": 69.08}
LARGEST_LOGIT = {"float64": 709.0, "float32": 88.0}  # of which exp is finite
SMALL_LOGIT = 80.0  # of which a sum of exp, and its inverse, are finite in float32


def ordinary_rows(shift: float = 0.0) -> Rows:
    """Return a batch of targets and negatives of all kinds."""
    rng = np.random.default_rng(48)
    targets, negatives = rng.uniform(-0.9, 0.9, BATCH), rng.uniform(-0.9, 0.9, (BATCH, CLASSES - 1))
    return probes.rows(targets - shift, negatives + shift)


def ordinary(subject: Subject) -> FloatArray:
    """Return the losses of an ordinary batch."""
    return subject.ask(ordinary_rows()).losses


def _same(subject: Subject, one: FloatArray, other: FloatArray) -> bool:
    """Return whether two runs of the same rows gave the same, up to rounding; NaN beside NaN is the same."""
    slack = 1e-9 if subject.digits == "float64" else 1e-4
    return bool(np.allclose(one, other, rtol=slack, atol=slack, equal_nan=True))


# ---- what the other questions rest on: each returns the subject as it is then known -----------------------------


def precision(subject: Subject) -> tuple[tuple[Finding, ...], Subject]:
    """Return whether a float64 candidate sees what float32 would lose; nothing for a float32 one."""
    if subject.dtype == np.float32:
        return (), subject
    one, other = subject.ask(ordinary_rows()).losses, subject.ask(ordinary_rows(BELOW_FLOAT32)).losses
    finite = np.isfinite(one) & np.isfinite(other)
    moved = int((one != other)[finite].sum())
    evidence = f"{moved} of {finite.sum()} losses move if cosines move by {BELOW_FLOAT32:.0e}"
    if not finite.any():
        return (Finding(DIGITS, "cannot be told", _why_not(subject), None),), subject
    if moved == 0:
        return (named(DIGITS, "precision-downcast-float32", evidence),), replace(subject, digits="float32")
    return (Finding(DIGITS, "float64 throughout", evidence, True),), subject


def _why_not(subject: Subject) -> str:
    return subject.ask(ordinary_rows()).said or "no loss is finite"


def batch(subject: Subject) -> tuple[Finding, Subject]:
    """Return whether a row's loss is the same alone and in a batch; other questions are asked without a mean or sum."""
    rows, together = ordinary_rows(), ordinary(subject)[:4]
    some = Rows(rows.cosines[:4], rows.labels[:4])
    alone = subject.ask(some, size=1).losses
    evidence = f"L = {together[0]:.6g} in a batch of {BATCH}, {alone[0]:.6g} alone"
    if not np.isfinite([together, alone]).all():
        return Finding(BATCHES, "cannot be told", subject.ask(some, size=1).said or evidence, None), subject
    if _same(subject, together, alone):
        return Finding(BATCHES, "does not matter", evidence, True), subject
    for averaged, name in ((1, "mean-for-sum"), (-1, "sum-for-mean")):
        if _same(subject, together * float(BATCH) ** averaged, alone):
            return named(BATCHES, name, evidence), replace(subject, averaged=averaged)
    return Finding(BATCHES, "changes a row's loss", evidence, False), subject


def scale(subject: Subject) -> tuple[Finding, Subject]:
    """Return by how much z_k grows with c_k below f, and the subject with the scale that it has."""
    s, (target, levels) = subject.loss.s, _below_f(subject)
    # Whatever f is, it moves all readings alike: only their slope counts. z_k/s - c_k has the slope s'/s - 1.
    got = probes.read_negatives(subject, target, levels, np.zeros(1))
    seen = got.resolved[0]
    if seen.sum() < 3:
        return Finding(SCALE, "cannot be told", "no loss with digits below f", None), subject
    c, error = levels[0, seen], got.error[0, seen] + probes.LOOSE
    z = got.value[0, seen] + c
    factor, start = np.polyfit(c, z, 1)
    evidence = f"z_k grows by {factor * s:.6g} c_k over c_k = {c.min():.2f} to {c.max():.2f}"
    if abs(factor) < 10 * error.max() / np.ptp(c):
        return Finding(SCALE, "cannot be told", "z_k does not grow with c_k", None), subject
    slope = subject.loss.emphasis.t if subject.loss.emphasis.form == "adaptive" else 1.0  # if the mask is on below f
    if min(abs(factor - 1), abs(factor - slope)) < 10 * error.max() / np.ptp(c):
        return Finding(SCALE, f"s = {s:g}", evidence, True), subject
    if factor <= 0 or (np.abs(z - factor * c - start) > error).any():
        return Finding(SCALE, "cannot be told", "z_k is no multiple of c_k", None), subject
    return _other_scale(float(factor), s, evidence), replace(subject, loss=replace(subject.loss, s=float(factor * s)))


def _below_f(subject: Subject) -> tuple[FloatArray, FloatArray]:
    """Return a target whose f is near 0.35, and levels below it: no support vectors, and above 0 mostly."""
    targets = np.linspace(-0.95, 0.9995, 400)
    f = subject.loss.margin.value(Angle.from_cosine(targets))
    nearest = [int(np.argmin(np.abs(f - 0.35)))]
    return targets[nearest], np.maximum(f[nearest][:, None] - 0.015 * np.arange(1, 21), -0.9)


def _other_scale(factor: float, s: float, evidence: str) -> Finding:
    if abs(factor / s - 1) < 1e-3:
        return named(SCALE, "s-twice", evidence)
    not_applied = abs(factor * s - 1) < 1e-3
    return Finding(SCALE, "not applied" if not_applied else f"acts as s = {factor * s:.6g}", evidence, False)


# ---- large losses ----------------------------------------------------------------------------------------------


def cap(subject: Subject) -> tuple[Finding, Subject]:
    """Return whether odds add up, and the subject with the ε that spoils them."""
    for largest in (1.0, 16.0)[: 1 if subject.through_angle else 2]:
        rows = _large(largest)
        losses = subject.ask(rows).losses
        evidence = f"L = {losses[1]:.6g} beside one negative at {largest:g}, {losses[2]:.6g} beside three"
        ending = _ending(losses, 4 * subject.tolerance(rows))
        if np.isfinite(ending):
            return _capped(ending, evidence), replace(subject, eps=float(np.exp(-ending)))
    reached = losses[2] > max(KNOWN_CAPS.values())
    answer = "none" if reached else "none below the largest loss" if np.isfinite(losses[2]) else "cannot be told"
    return Finding(CAP, answer, evidence, True if reached and np.isfinite(losses[2]) else None), subject


def _ending(losses: FloatArray, tolerance: FloatArray) -> float:
    """Return where losses end, -log ε; NaN where they do not or it cannot be told.

    Three equal negatives have three times the odds of one: O(x,x,x) = 3 O(x,-1,-1) - 2 O(-1,-1,-1). If e^-L is
    P = p + ε and O = 1/p - 1, then ε = (3 P3 - P1)/2 - (1 + O(-1,-1,-1)) P1 P3; beyond the cap, P1 = P3 = ε.
    """
    none, one, three, lower = losses
    if abs(three - one) <= tolerance.max():
        return np.nan if lower > three + tolerance.max() else float(three)  # there the negatives carry nothing
    p1, p3 = np.exp(-one), np.exp(-three)
    eps = (3 * p3 - p1) / 2 - np.exp(none) * p1 * p3
    return float(-np.log(eps)) if eps > tolerance.max() * (p1 + p3) else np.nan


def _large(largest: float) -> Rows:
    """Return a low target beside none, one and three large negatives, and a lower one."""
    low, three = -0.95 * largest, [largest] * 3
    return probes.rows([low, low, low, -largest], [[-1.0, -1.0, -1.0], [largest, -1.0, -1.0], three, three])


def _capped(ending: float, evidence: str) -> Finding:
    for name, known in KNOWN_CAPS.items():
        if abs(ending - known) < 0.5:
            return named(CAP, name, f"{evidence}: no loss exceeds {ending:.2f}")
    return Finding(CAP, f"L ends at {ending:.4g}", evidence, False)


def overflow(subject: Subject) -> Finding:
    """Return whether the loss is finite at the largest logits that the domain allows."""
    loss, largest = subject.loss, np.array([1.0] if subject.through_angle else [1.0, 4.0, 16.0, 128.0])
    rows = probes.rows(-largest, np.repeat(largest[:, None], CLASSES - 1, axis=1))
    answer, logits = subject.ask(rows), loss.s * (loss.emphasis.t * largest + loss.emphasis.t - 1)
    bad = ~np.isfinite(answer.losses)
    if answer.said:
        return Finding(OVERFLOW, "cannot be told", answer.said, None)
    if bad.any():
        loss_there, z = answer.losses[bad][0], logits[bad][0]
        if z < SMALL_LOGIT:
            return Finding(OVERFLOW, "not finite where nothing overflows", f"L = {loss_there} at z_k = {z:.4g}", False)
        name = "no-max-subtraction-float64" if z > LARGEST_LOGIT["float64"] else "no-max-subtraction"
        return named(OVERFLOW, name, f"L = {loss_there} at z_k = {z:.4g}")
    reached = logits[-1] > LARGEST_LOGIT[subject.dtype.name]
    told = "finite" if reached else "finite, but this s reaches no overflow"
    return Finding(OVERFLOW, told, f"L = {answer.losses[-1]:.4g} at z_k = {logits[-1]:.4g}", True if reached else None)


def beyond_one(subject: Subject) -> Finding:
    """Return what becomes of a rounded cosine above 1: no angle has it, so that the paper says nothing."""
    above = float(np.nextafter(subject.dtype.type(1), subject.dtype.type(2)))
    answer = subject.ask(probes.rows([above], [[0.5, 0.25, -0.25]]), size=1)
    loss, gradient = answer.losses[0], answer.gradient[0, 0]
    evidence = answer.said or f"L = {loss:.6g}, dL/dc_y = {gradient:.6g}"
    told = "it raises" if answer.said else "finite" if np.isfinite(loss) else "the loss is not finite"
    agrees = None if subject.through_angle or answer.said else bool(np.isfinite(loss))
    return Finding(BEYOND, told, evidence, agrees)


# ---- order and memory ------------------------------------------------------------------------------------------


def order(subject: Subject) -> tuple[Finding, Finding]:
    """Return whether the order of the rows and the order of the classes matter."""
    rows, before = ordinary_rows(), ordinary(subject)
    turned = subject.ask(Rows(rows.cosines[::-1], rows.labels[::-1])).losses[::-1]
    columns = np.array([2, 0, 3, 1])
    moved = subject.ask(Rows(rows.cosines[:, columns], np.argsort(columns)[rows.labels])).losses
    return _order(subject, "order of the rows", before, turned), _order(subject, "order of the classes", before, moved)


def _order(subject: Subject, question: str, before: FloatArray, after: FloatArray) -> Finding:
    if not np.isfinite(before).any():
        return Finding(question, "cannot be told", _why_not(subject), None)
    off = np.nan_to_num(np.abs(before - after), nan=np.inf, posinf=np.inf)
    off[np.isnan(before) & np.isnan(after)] = 0
    worst = int(np.argmax(off))
    same, evidence = _same(subject, before, after), f"L = {before[worst]:.6g} before, {after[worst]:.6g} after"
    return Finding(question, "does not matter" if same else "changes losses", evidence, same)


def state(subject: Subject, before: FloatArray) -> Finding:
    """Return whether an ordinary batch has the losses it had at the start, before all other calls."""
    after = ordinary(subject)
    if not np.isfinite(before).any():
        return Finding(STATE, "cannot be told", _why_not(subject), None)
    same, evidence = _same(subject, before, after), f"L = {before[0]:.6g} at first, {after[0]:.6g} after other calls"
    return Finding(STATE, "none" if same else "a call changes later ones", evidence, same)
