"""Tools of the families of the target: f and df/dc of each row, and the angles that they are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import which
from svref.deviations.logits import (
    CosineRun,
    Result,
    emphasised,
    from_logits,
    margin_logits,
)
from svref.deviations.target import logits_with_another_margin
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, Combined, Margin
from svref.reference import Step

Pair = tuple[FloatArray, FloatArray]  # f and df/dc of each row
ToPair = Callable[[Step], Pair]


def with_target(pair: ToPair) -> CosineRun:
    """Return the computation with another f and df/dc; the mask compares with that f."""
    return from_logits(lambda step: logits_with_another_margin(step, *pair(step)))


def with_target_alone(pair: ToPair) -> CosineRun:
    """Return the computation with another f and df/dc; the mask compares with the right f."""
    return from_logits(lambda step: emphasised(margin_logits(step, *pair(step)), step))


def right_pair(step: Step) -> Pair:
    """Return the paper's f and df/dc."""
    return step.margin.value(step.angle), step.margin.by_cosine(step.angle)


def margin_of_step(step: Step) -> float:
    """Return m of the margin of a step."""
    return float(getattr(step.margin, "m", 0.0))


def angle_parts(margin: Margin) -> tuple[float, float, float]:
    """Return (m1, m2, m3) of a margin that adds an angle."""
    if isinstance(margin, AdditiveAngle):
        return 1.0, margin.m, 0.0
    return which.as_combined(margin) or (1.0, 0.0, 0.0)


def sum_of_angles(step: Step) -> FloatArray:
    """Return m1 θ + m2."""
    m1, m2, _ = angle_parts(step.margin)
    return np.asarray(m1 * step.angle.theta + m2)


def sine_of(step: Step) -> FloatArray:
    """Return sin θ_y."""
    return step.angle.sine


def passes_pi(loss: SVXSoftmax) -> bool:
    """Return whether the margin adds an angle, so that the sum of angles may pass π."""
    return loss.margin.angular and angle_parts(loss.margin)[1] > 0


def angle_of_any_size(size: float) -> ToPair:
    """Return the function that gives f = cos(θ + size) and df/dc, for sizes that no margin of svref has."""

    def pair(step: Step) -> Pair:
        theta = step.angle.theta + size
        return np.cos(theta), np.sin(theta) / step.angle.sine

    return pair


def is_combined(loss: SVXSoftmax) -> bool:
    """Return whether the margin has the parts m1, m2 and m3."""
    return isinstance(loss.margin, Combined)


def lost_at_poles(run: CosineRun) -> CosineRun:
    """Return the computation with NaN for the gradients at c = ±1, where the slope of an angle is infinite."""

    def lost(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = run(loss, c, y, g)
        return losses, np.where(np.abs(c) == 1, np.nan, gradient)

    return lost
