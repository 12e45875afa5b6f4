"""Families of the places where one formula of f gives way to another: easy margins and tails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.deviations import which
from svref.deviations.families.kind import Family, family
from svref.deviations.families.laws import THRESHOLDS
from svref.deviations.families.pairs import (
    Pair,
    ToPair,
    angle_parts,
    margin_of_step,
    passes_pi,
    right_pair,
    sine_of,
    sum_of_angles,
    with_target,
)
from svref.deviations.logits import (
    CosineRun,
)
from svref.loss import SVXSoftmax
from svref.reference import Step

# ---- where one formula gives way to another ----------------------------------------------------------------------

ELSE: tuple[tuple[str, Callable[[FloatArray, float], FloatArray], float], ...] = (
    ("c_y", lambda c, m: c, 1.0),
    ("c_y - m sin m", lambda c, m: c - m * math.sin(m), 1.0),
    ("c_y - m", lambda c, m: c - m, 1.0),
    ("-1", lambda c, m: np.full_like(c, -1.0), 0.0),
)


def has_m(loss: SVXSoftmax) -> bool:
    """Return whether there is a margin."""
    return which.has_margin(loss)


SIDES: tuple[tuple[str, str, Callable[[FloatArray, float], BoolArray]], ...] = (
    ("above", ">", lambda c, at: c > at),
    ("from", ">=", lambda c, at: c >= at),
    ("below", "<", lambda c, at: c < at),
    ("up-to", "<=", lambda c, at: c <= at),
)


def _switched(
    inside: Callable[[FloatArray, float], BoolArray], beyond: Callable[[FloatArray, float], FloatArray], slope: float
) -> Callable[[float], CosineRun]:
    """Return the function of a threshold: f_m holds on one side of it; elsewhere f is `beyond`."""

    def of_size(size: float) -> CosineRun:
        def pair(step: Step) -> Pair:
            (f, slopes), c = right_pair(step), step.target_cosine
            where = inside(c, size)
            return np.where(where, f, beyond(c, margin_of_step(step))), np.where(where, slopes, slope)

        return with_target(pair)

    return of_size


def _switched_families() -> Iterator[Family]:
    """Yield f_m on one side of a threshold, and each other formula on the other side."""
    for text, beyond, slope in ELSE:
        for side, word, inside in SIDES:
            about = family(f"f = f_m(c_y) where c_y {word} {{size}}, else {text}", applies=has_m, tried=THRESHOLDS)(
                _switched(inside, beyond, slope)
            )
            name = f"margin-{side}-a-threshold-else-{text.replace(' ', '')}"
            yield replace(about, name=name, effect="The margin holds on one side of a threshold alone.")


SWITCHED = tuple(_switched_families())


@family("f = c_y - a where θ + m > π, a = {size}", applies=passes_pi, between=(-3, 200))
def tail_shifted(size: float) -> CosineRun:
    """Where the margin carries the angle beyond π, f is the cosine less another number."""
    return with_target(_with_tail(lambda step: step.target_cosine - size, lambda step: 1.0))


@family("f = {size} where θ + m > π", applies=passes_pi, between=(-200, 3))
def tail_constant(size: float) -> CosineRun:
    """Where the margin carries the angle beyond π, f is a number, so that these targets have no gradient."""
    return with_target(_with_tail(lambda step: np.full(len(step.f), size), lambda step: 0.0))


@family("f = -1 - m3 where m1 θ + m2 > π", applies=passes_pi)
def tail_of_sum_clipped(size: float) -> CosineRun:
    """The sum of the angles is clipped to π, so that targets beyond have no gradient."""
    return with_target(
        _with_tail(lambda step: np.full(len(step.f), -1 - angle_parts(step.margin)[2]), lambda step: 0.0)
    )


@family("f = -1 - (θ + m - π) where θ + m > π", applies=passes_pi)
def tail_straight_in_angle(size: float) -> CosineRun:
    """Where the margin carries the angle beyond π, f goes on in a straight line of the angle."""
    return with_target(
        _with_tail(
            lambda step: math.pi - 1 - sum_of_angles(step), lambda step: angle_parts(step.margin)[0] / sine_of(step)
        )
    )


@family("f = -2 - f_m where m1 θ + m2 > π", applies=passes_pi)
def tail_of_sum_reflected(size: float) -> CosineRun:
    """Where the margin carries the angle beyond π, f goes on falling."""
    return with_target(
        _with_tail(
            lambda step: -2 - right_pair(step)[0] - 2 * angle_parts(step.margin)[2], lambda step: -right_pair(step)[1]
        )
    )


def _with_tail(tail: Callable[[Step], FloatArray], slope: Callable[[Step], FloatArray | float]) -> ToPair:
    """Return f with another formula where the sum of the angles passes π."""

    def pair(step: Step) -> Pair:
        f, slopes = right_pair(step)
        beyond = sum_of_angles(step) > math.pi
        return np.where(beyond, tail(step), f), np.where(beyond, slope(step), slopes)

    return pair
