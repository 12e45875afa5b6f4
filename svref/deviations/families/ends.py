"""Families of code that keeps the sine or the angle from its ends, where slopes are infinite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import which
from svref.deviations.families.kind import Family, constant, family
from svref.deviations.families.pairs import (
    Pair,
    angle_parts,
    passes_pi,
    right_pair,
    sum_of_angles,
    with_target,
)
from svref.deviations.logits import CosineRun, Result, is_own, right_result
from svref.loss import SVXSoftmax
from svref.margins import Angle, Margin
from svref.reference import Step

EDGES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-16)


# ---- the sine and the angle, kept from their ends -----------------------------------------------------------------

Sine = Callable[[FloatArray, FloatArray, float], Pair]  # of c, 1 - c² and the size: σ and dσ/dc

with np.errstate(all="ignore"):
    SINES: tuple[tuple[str, Sine], ...] = (
        ("sqrt(max(1 - c_y², ε))", lambda c, r, e: _flat(c, np.sqrt(np.maximum(r, e)), r < e)),
        ("sqrt(1 - c_y² + ε)", lambda c, r, e: _flat(c, np.sqrt(r + e), r < -1)),
        ("sqrt(1 - c_y²) + ε", lambda c, r, e: (np.sqrt(r) + e, -c / np.sqrt(r))),
        (
            "sqrt(clip(1 - c_y², ε, 1 - ε))",
            lambda c, r, e: _flat(c, np.sqrt(np.clip(r, e, 1 - e)), (r < e) | (r > 1 - e)),
        ),
    )


def _flat(c: FloatArray, sine: FloatArray, clipped: BoolArray) -> Pair:
    """Return a sine and its derivative by c, which is 0 where the sine is clipped."""
    return sine, np.where(clipped, 0.0, -c / sine)


def _with_sine(sine: Sine) -> Callable[[float], CosineRun]:
    """Return the function of ε: f = c_y cos m - σ sin m with another σ; a tail stays as it is."""

    def of_size(size: float) -> CosineRun:
        def pair(step: Step) -> Pair:
            c, (_, m, m3) = step.target_cosine.astype(np.float64), angle_parts(step.margin)
            sigma, rise = sine(c, (1 - c) * (1 + c), size)
            f = c * math.cos(m) - sigma * math.sin(m) - m3
            slope = math.cos(m) - rise * math.sin(m)
            beyond = (c < -math.cos(m)) & (getattr(step.margin, "tail", "raw") != "raw")
            right = right_pair(step)
            return np.where(beyond, right[0], f), np.where(beyond, right[1], slope)

        return with_target(pair)

    return of_size


def needs_plain_sine(loss: SVXSoftmax) -> bool:
    """Return whether code may compute f as c cos m - sqrt(1 - c²) sin m."""
    return which.needs_sine(loss) and angle_parts(loss.margin)[0] == 1 and angle_parts(loss.margin)[1] > 0


def _sine_families() -> Iterator[Family]:
    """Yield each way to keep the sine from 0, in any size."""
    for number, (text, sine) in enumerate(SINES):
        about = family(
            f"f = c_y cos m - σ sin m, σ = {text}, ε = {{size}}", applies=needs_plain_sine,
            between=(1e-17, 0.3), tried=[constant(e) for e in EDGES],
        )(_with_sine(sine))  # fmt: skip
        effect = "The sine is kept from 0, so that gradients stay finite at the poles, and f is wrong next to them."
        yield replace(about, name=f"sine-kept-from-0-{'abcd'[number]}", effect=effect)


SINE_KEPT = tuple(_sine_families())


def _at_angle(step: Step, theta: FloatArray, moves: FloatArray | float) -> Pair:
    """Return f and df/dc of a changed angle, whose derivative by the right angle is `moves`."""
    angle = Angle.from_cosine(np.cos(theta))
    slope = step.margin.by_cosine(angle)
    with np.errstate(all="ignore"):
        by_c = np.where(moves == 0, 0.0, slope * moves * np.sin(theta) / step.angle.sine)
    return step.margin.value(angle), by_c


@family("θ := min(θ, {size})", between=(0.02, 3.14))
def angle_kept_below(size: float) -> CosineRun:
    """The target's angle is clipped from above, so that far targets have no gradient."""

    def pair(step: Step) -> Pair:
        theta, right = step.angle.theta, right_pair(step)
        kept = _at_angle(step, np.minimum(theta, size), 0.0)
        return np.where(theta > size, kept[0], right[0]), np.where(theta > size, 0.0, right[1])

    return with_target(pair)


@family(
    "θ := clip(θ, ε, π - ε), ε = {size}", between=(1e-9, 0.5),
    tried=[constant(e) for e in EDGES],
)  # fmt: skip
def angle_kept_from_ends(size: float) -> CosineRun:
    """The target's angle is kept from 0 and π, so that gradients stay finite, and f is wrong next to the poles."""

    def pair(step: Step) -> Pair:
        theta, right = step.angle.theta, right_pair(step)
        clipped = (theta < size) | (theta > math.pi - size)
        kept = _at_angle(step, np.clip(theta, size, math.pi - size), 0.0)
        return np.where(clipped, kept[0], right[0]), np.where(clipped, 0.0, right[1])

    return with_target(pair)


@family("m1 θ + m2 := min(m1 θ + m2, π - ε), ε = {size}", applies=passes_pi, between=(1e-9, 1.0))
def sum_of_angles_kept_below(size: float) -> CosineRun:
    """The sum of the angles is clipped from above, so that targets beyond have no gradient."""

    def pair(step: Step) -> Pair:
        right, beyond = right_pair(step), sum_of_angles(step) > math.pi - size
        end = -math.cos(size) - angle_parts(step.margin)[2]
        return np.where(beyond, end, right[0]), np.where(beyond, 0.0, right[1])

    return with_target(pair)


@family("c_y := (1 - ε) c_y, ε = {size}", between=(1e-12, 0.5))
def target_shrunk(size: float) -> CosineRun:
    """The target's cosine is multiplied by a number below 1 before its angle is taken."""

    def pair(step: Step) -> Pair:
        angle = Angle.from_cosine((1 - size) * step.target_cosine)
        return step.margin.value(angle), (1 - size) * step.margin.by_cosine(angle)

    return with_target(pair)


@family("c_y := max(c_y, {size})", between=(-0.999, 0.999), tried=[constant(0.0)])
def target_kept_above(size: float) -> CosineRun:
    """The target's cosine is clipped from below, so that far targets have no gradient."""
    return _kept_above(size, of_target=True)


@family("c_y := max(c_y, 0), without a gradient at 0")
def target_rectified(size: float) -> CosineRun:
    """The target's cosine passes a rectifier, so that targets of 0 and below have no gradient."""
    return _kept_above(float(np.nextafter(0, 1)), of_target=True)


@family("c := max(c, 0), without a gradient at 0")
def cosines_rectified(size: float) -> CosineRun:
    """All cosines pass a rectifier, so that those of 0 and below have no gradient."""
    return _kept_above(float(np.nextafter(0, 1)), of_target=False)


@family("c := max(c, {size})", between=(-0.999, 0.999), tried=[constant(0.0)])
def cosines_kept_above(size: float) -> CosineRun:
    """All cosines are clipped from below, so that those below have no gradient."""
    return _kept_above(size, of_target=False)


def _kept_above(size: float, of_target: bool) -> CosineRun:
    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        clipped = (c < size) & (is_own(c, y) | (not of_target))
        losses, gradient = right_result(loss, np.where(clipped, size, c), y, g)
        return losses, np.where(clipped, 0.0, gradient)

    return run


@family("θ = sqrt(1 - c_y) (1.5707288 - 0.2121144 c_y + 0.074261 c_y² - 0.0187293 c_y³), π less that of -c_y below 0")
def angle_by_polynomial(size: float) -> CosineRun:
    """The arc cosine is a polynomial that is right to 7e-5."""

    def pair(step: Step) -> Pair:
        c = step.target_cosine
        x, root = np.abs(c), np.sqrt(1 - np.abs(c))
        poly = 1.5707288 + x * (-0.2121144 + x * (0.0742610 - 0.0187293 * x))
        rise = -0.2121144 + x * (2 * 0.0742610 - 3 * 0.0187293 * x)
        theta = np.where(c < 0, math.pi - root * poly, root * poly)
        by_c = root * rise - poly / (2 * root)
        value, slope = step.margin.value(Angle.from_cosine(np.cos(theta))), _slope_by_angle(step.margin, theta)
        return value, slope * by_c

    return with_target(pair)


def _slope_by_angle(margin: Margin, theta: FloatArray) -> FloatArray:
    """Return df/dθ of a margin."""
    angle = Angle.from_cosine(np.cos(theta))
    return np.asarray(-margin.by_cosine(angle) * np.sin(theta))


@family("c := (1 - ε) c, ε = {size}", between=(1e-12, 0.5))
def cosines_shrunk(size: float) -> CosineRun:
    """All cosines are multiplied by a number below 1."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, (1 - size) * c, y, g)
        return losses, (1 - size) * gradient

    return run
