"""A gradient that is not that of the candidate's own losses: what it is instead, with the size of the mistake.

Every guess is a gradient made from the differences of the losses: times a factor, clipped, by the angle, of rounded
probabilities; or the gradient of another loss. The first that gives every entry is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.probes import Response, Rows, Subject
from svref.deviations import DEVIATIONS

DIGITS_OF_SIZES = 3  # differences know a factor to four digits
HALF = ("bfloat16", "float16")
ONE_NUMBER = 1e-6  # relative: what dividing a float32 by a slope may change
LEAST_DIFFERENT = 8  # shares that must be different: a few may be numbers of a half format by chance


class Slip(NamedTuple):
    """A mistake in a gradient: in words, and the gradient (B, C) that it makes."""

    answer: str
    gradient: FloatArray


def slip_of(subject: Subject, rows: Rows, response: Response, difference: FloatArray, allowed: FloatArray) -> str:
    """Return in words what a gradient is that is not the difference of the losses; "" if nothing known gives it.

    `allowed` is by how much an entry may differ from its difference, (B, C).
    """
    got, known = response.gradient, np.isfinite(difference)
    for slip in _slips(subject, rows, got, difference):
        size = np.maximum(np.abs(slip.gradient), np.abs(difference)) / np.maximum(np.abs(difference), 1e-30)
        limit = allowed * np.clip(size, 1, 1e6)
        if (np.abs(got - slip.gradient) <= limit)[known].all():
            return slip.answer
    return _factors_of_rows(got, difference, allowed)


def _slips(subject: Subject, rows: Rows, got: FloatArray, difference: FloatArray) -> Iterator[Slip]:
    """Yield the mistakes that are tried: those of a factor, a clip, the angle, another loss."""
    own = probes.own(rows)
    for where, name in ((np.ones_like(own), "the gradient"), (own, "dL/dc_y"), (~own, "dL/dc_k, k ≠ y,")):
        factor = _factor(got, difference, where)
        if factor is not None:
            yield Slip(f"{name} is {factor:g} times the derivative", np.where(where, factor * difference, difference))
    yield from _clips(got, difference)
    yield from _by_angle(rows, difference, own)
    yield from _of_other_losses(subject, rows)


def _factor(got: FloatArray, difference: FloatArray, where: BoolArray) -> float | None:
    """Return by what a gradient is a multiple of the differences, to three digits; None if it is none."""
    ratio = (got / difference)[where & np.isfinite(difference) & (np.abs(difference) > 1e-3 * np.nanmax(difference))]
    middle = float(np.median(ratio)) if len(ratio) else np.nan
    return float(f"{middle:.{DIGITS_OF_SIZES}g}") if np.isfinite(middle) else None


def _clips(got: FloatArray, difference: FloatArray) -> Iterator[Slip]:
    """Yield gradients that are clipped: each entry at a size, or each row's length."""
    size = float(f"{np.nanmax(np.abs(got)):.6g}")
    yield Slip(f"each entry is clipped to ±{size:g}", np.clip(difference, -size, size))
    length = np.sqrt((difference**2).sum(axis=1, keepdims=True))
    most = float(f"{np.nanmax(np.sqrt((got**2).sum(axis=1))):.6g}")
    yield Slip(f"each row is clipped to a length of {most:g}", difference * np.minimum(1, most / length))


def _by_angle(rows: Rows, difference: FloatArray, own: BoolArray) -> Iterator[Slip]:
    """Yield gradients by the angle in place of the cosine: dc/dθ = -sin θ is not divided out."""
    sine = np.sqrt(1 - rows.cosines**2)
    yield Slip("dL/dθ_y in place of dL/dc_y: times -sin θ_y", np.where(own, -sine * difference, difference))
    yield Slip("dL/dθ_k in place of dL/dc_k in every column: times -sin θ_k", -sine * difference)
    yield Slip("dL/dc_y is -dL/dθ_y: times sin θ_y", np.where(own, sine * difference, difference))
    yield Slip("dL/dc_y is divided by sin θ_y", np.where(own, difference / sine, difference))


def _of_other_losses(subject: Subject, rows: Rows) -> Iterator[Slip]:
    """Yield the gradient of the paper's loss, and those of known wrong losses."""
    yield Slip("that of the paper's loss, and the losses are others", subject.computing("").ask(rows).gradient)
    for name in subject.applicable(DEVIATIONS):
        if DEVIATIONS[name].level == "cosine" and DEVIATIONS[name].change is not None:
            wrong = subject.computing(name).ask(rows).gradient
            yield Slip(f"that of another loss, with {DEVIATIONS[name].formula}", wrong)


def rounded_probabilities(subject: Subject, rows: Rows, response: Response) -> str:
    """Return that p is rounded to a half format before the one-hot is subtracted, if it is.

    Then dL/dc_k over its slope is a number of that format in every entry, which happens to no other code.
    """
    step = subject.loss.forward(rows.cosines, rows.labels)
    slope, own = step.s * step.emphasis.slope(step.mask), probes.own(rows)
    p = (response.gradient / slope)[~own]
    if not np.isfinite(p).all() or len(np.unique(probes.rounded(p, "bfloat16"))) < LEAST_DIFFERENT:
        return ""
    for name in HALF:
        is_held = np.abs(p - probes.rounded(p, name)) <= ONE_NUMBER * np.abs(p)
        if is_held.all():
            return f"p_k is rounded to {name} before 1 is subtracted at the label"
    return ""


def _factors_of_rows(got: FloatArray, difference: FloatArray, allowed: FloatArray) -> str:
    """Return that each row has a factor of its own, if it has."""
    clear = np.isfinite(difference) & (allowed < 0.05 * np.abs(difference))
    if not clear.any(axis=1).all():
        return ""
    ratio = np.where(clear, got / difference, np.nan)
    factor = np.nanmedian(ratio, axis=1, keepdims=True)
    off = np.abs(got - factor * difference) <= np.maximum(1, np.abs(factor)) * allowed
    if not off[np.isfinite(difference)].all():
        return ""
    return f"each row's gradient has a factor of its own, from {factor.min():.3g} to {factor.max():.3g}"
