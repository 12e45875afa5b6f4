"""Families of the scale on one side alone, of the margin in another column, and of other labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import which
from svref.deviations.families.kind import Family, family, loss_family
from svref.deviations.logits import (
    CosineRun,
    Logits,
    Own,
    Result,
    cross_entropy,
    emphasised,
    from_logits,
    is_own,
    right_logits,
    right_result,
)
from svref.formats import rounded_to
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.reference import Step

# ---- the scale on one side, and the margin in another column -------------------------------------------------------


@loss_family("s := {size}", between=(1e-3, 1e5))
def other_scale(loss: SVXSoftmax, size: float) -> SVXSoftmax:
    """The scale is another number than s."""
    return replace(loss, s=size)


@family("z_y = a f, z_k = s c_k + log h_k, a = {size}", between=(-1e4, 1e4))
def target_scaled_alone(size: float) -> CosineRun:
    """The target's logit has another scale than those of the negatives."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z[step.own] *= size / step.s
        slope[step.own] *= size / step.s
        return Logits(z, slope)

    return from_logits(logits)


@family("z_k = a (c_k + log h_k / s), z_y = s f, a = {size}", between=(1e-3, 1e4))
def negatives_scaled_alone(size: float) -> CosineRun:
    """The negatives' logits have another scale than the target's."""

    def logits(step: Step) -> Logits:
        right, factor = right_logits(step), np.full_like(step.cosines, size / step.s)
        factor[step.own] = 1.0
        return Logits(right.z * factor, right.slope * factor)

    return from_logits(logits)


COLUMNS: tuple[tuple[str, Callable[[Step], BoolArray]], ...] = (
    ("y + 1", lambda step: is_own(step.cosines, (step.labels + 1) % step.cosines.shape[1])),
    ("y - 1", lambda step: is_own(step.cosines, (step.labels - 1) % step.cosines.shape[1])),
    ("0", lambda step: is_own(step.cosines, np.zeros_like(step.labels))),
    ("argmax c", lambda step: is_own(step.cosines, step.cosines.argmax(axis=1))),
    ("argmin c", lambda step: is_own(step.cosines, step.cosines.argmin(axis=1))),
    (
        "the labels of the batch",
        lambda step: np.isin(np.broadcast_to(np.arange(step.cosines.shape[1]), step.cosines.shape), step.labels),
    ),
)


def _margin_in(columns: Callable[[Step], BoolArray]) -> Callable[[float], CosineRun]:
    """Return the computation that applies the margin to other columns; the cross entropy has the right label."""

    def logits(step: Step) -> Logits:
        where = columns(step)
        angles = Angle.from_cosine(step.cosines)
        z = np.where(where, step.margin.value(angles), step.cosines)
        slope = np.where(where, step.margin.by_cosine(angles), 1.0)
        return emphasised(Logits(step.s * z, step.s * slope), step)

    return lambda size: from_logits(logits)


def _column_families() -> Iterator[Family]:
    """Yield the margin in each wrong column."""
    for text, columns in COLUMNS:
        about = family(f"the margin is applied to column {text}", applies=which.has_margin)(_margin_in(columns))
        name = f"margin-in-column-{text.replace(' ', '-')}"
        yield replace(about, name=name, effect="Another column than the label's has the margin.")


MARGIN_IN = tuple(_column_families())


LABELS: tuple[tuple[str, Callable[[IntArray, int], IntArray]], ...] = (
    ("y + 1", lambda y, classes: (y + 1) % classes),
    ("y - 1", lambda y, classes: (y - 1) % classes),
    ("0", lambda y, classes: np.zeros_like(y)),
    ("C - 1 - y", lambda y, classes: classes - 1 - y),
    ("max(y - 1, 0)", lambda y, classes: np.maximum(y - 1, 0)),
    ("min(y + 1, C - 1)", lambda y, classes: np.minimum(y + 1, classes - 1)),
    ("that of the row before", lambda y, classes: np.roll(y, 1)),
    ("that of the row after", lambda y, classes: np.roll(y, -1)),
    ("those of the batch in reverse order", lambda y, classes: y[::-1].copy()),
    ("float16(y)", lambda y, classes: np.minimum(y.astype(np.float16).astype(np.intp), classes - 1)),
    (
        "bfloat16(y)",
        lambda y, classes: np.minimum(rounded_to(y.astype(np.float64), "bfloat16").astype(np.intp), classes - 1),
    ),
    ("y mod 256", lambda y, classes: y % 256),
)


def _of_label(change: Callable[[IntArray, int], IntArray]) -> CosineRun:
    """Return the loss of another label; where that has an infinite slope, at c = ±1, the gradient is lost."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        other = change(y, c.shape[1])
        losses, gradient = right_result(loss, c, other, g)
        pole = (np.abs(c) == 1) & is_own(c, other) & loss.margin.angular
        return losses, np.where(pole, np.nan, gradient)

    return run


def _label_families() -> Iterator[Family]:
    """Yield the loss of each wrong label."""
    for text, change in LABELS:

        def of_size(size: float, change: Callable[[IntArray, int], IntArray] = change) -> CosineRun:
            return _of_label(change)

        about = family(f"y := {text}")(of_size)
        yield replace(about, name=f"label-is-{text.replace(' ', '')}", effect="The loss is that of another class.")


LABEL_IS = tuple(_label_families())


def _entropy_of(change: Callable[[IntArray, int], IntArray]) -> CosineRun:
    """Return the logits of the label, and the cross entropy of another one."""

    def entropy(z: FloatArray, own: Own) -> Result:
        return cross_entropy(z, (own[0], change(own[1], z.shape[1])))

    return from_logits(right_logits, entropy)


@family("the margin at y, the cross entropy of y + 1")
def cross_entropy_of_next_label(size: float) -> CosineRun:
    """The margin is at the label, and the cross entropy is that of the class after it."""
    return _entropy_of(lambda y, classes: (y + 1) % classes)


@family("the margin at y, the cross entropy of y - 1")
def cross_entropy_of_label_before(size: float) -> CosineRun:
    """The margin is at the label, and the cross entropy is that of the class before it."""
    return _entropy_of(lambda y, classes: (y - 1) % classes)
