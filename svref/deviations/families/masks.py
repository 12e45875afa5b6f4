"""Families of the mask: which negatives are emphasised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.deviations import which
from svref.deviations.families.kind import Family, constant, family
from svref.deviations.families.laws import multiple
from svref.deviations.logits import (
    CosineRun,
    Logits,
    emphasised,
    from_logits,
    is_own,
    margin_logits,
    without_labels,
)
from svref.margins import Angle
from svref.reference import Step

MASKS: tuple[tuple[str, str, Callable[[Step], BoolArray]], ...] = (
    ("inverted", "I_k = [c_k < f]", lambda step: step.cosines < step.boundary[:, None]),
    ("of-all", "I_k = 1 for all k ≠ y", lambda step: np.ones(step.cosines.shape, dtype=bool)),
    ("above-0", "I_k = [c_k > 0]", lambda step: step.cosines > 0),
    ("above-m", "I_k = [c_k > m]", lambda step: step.cosines > getattr(step.margin, "m", 0.0)),
    ("inverted-plain", "I_k = [c_k < c_y]", lambda step: step.cosines < step.target_cosine[:, None]),
    ("by-magnitude", "I_k = [|c_k| > f]", lambda step: np.abs(step.cosines) > step.boundary[:, None]),
    ("on-margin-of-negatives", "I_k = [f_m(c_k) > c_y]", lambda step: _f_of_all(step) > step.target_cosine[:, None]),
    ("on-both-margins", "I_k = [f_m(c_k) > f]", lambda step: _f_of_all(step) > step.boundary[:, None]),
    ("on-scaled-cosines", "I_k = [s c_k > f]", lambda step: step.s * step.cosines > step.boundary[:, None]),
    ("on-scaled-f", "I_k = [c_k > s f]", lambda step: step.cosines > step.s * step.boundary[:, None]),
    ("of-the-hardest", "I_k = [c_k > f] for the largest c_k alone", lambda step: step.mask & top(step, 1)),
    ("of-the-hardest-and-equals", "I_k = [c_k > f] for the largest c_k", lambda step: step.mask & _largest(step)),
    ("by-mean-of-the-batch", "I_k = [c_k > mean_b f_b]", lambda step: step.cosines > step.boundary.mean()),
    ("of-rows-that-fail", "I_k = 1 for all k ≠ y where some c_k > f", lambda step: _in_rows_with_some(step.mask)),
)  # fmt: skip


def _f_of_all(step: Step) -> FloatArray:
    return np.asarray(step.margin.value(Angle.from_cosine(step.cosines)))


def _in_rows_with_some(mask: BoolArray) -> BoolArray:
    """Return True in all entries of the rows in which some entry is True."""
    return np.repeat(mask.any(axis=1, keepdims=True), mask.shape[1], axis=1)


def has_label(step: Step) -> BoolArray:
    """Return which classes are the label of some row, (B, C)."""
    return np.broadcast_to(np.isin(np.arange(step.cosines.shape[1]), step.labels), step.cosines.shape).copy()


def top(step: Step, count: int, last_of_equals: bool = False) -> BoolArray:
    """Return which negatives are among the largest of their row."""
    c = step.cosines.astype(np.float64).copy()
    c[step.own] = -np.inf
    order = np.argsort(-c, axis=1, kind="stable")[:, :count]
    if last_of_equals:
        order = c.shape[1] - 1 - np.argsort(-c[:, ::-1], axis=1, kind="stable")[:, :count]
    top = np.zeros(c.shape, dtype=bool)
    np.put_along_axis(top, order, True, axis=1)
    return without_labels(step, top)


def _largest(step: Step) -> BoolArray:
    """Return which negatives are as large as the largest of their row."""
    c = np.where(is_own(step.cosines, step.labels), -np.inf, step.cosines)
    return without_labels(step, c == c.max(axis=1, keepdims=True))


def _masked(mask: Callable[[Step], BoolArray]) -> Callable[[float], CosineRun]:
    """Return the computation with another mask."""

    def logits(step: Step) -> Logits:
        return emphasised(margin_logits(step), step, without_labels(step, mask(step)))

    return lambda size: from_logits(logits)


def _mask_families() -> Iterator[Family]:
    """Yield each wrong mask."""
    for name, formula, mask in MASKS:
        about = family(formula, applies=which.emphasises)(_masked(mask))
        yield replace(about, name=f"mask-{name}", effect="Other negatives than the support vectors are emphasised.")


MASK = tuple(_mask_families())


@family(
    "I_k = [c_k > c_y - a], a = {size}", applies=which.emphasises,
    tried=[multiple(1, "1", "m"), multiple(-1, "-1", "m"), multiple(2, "2", "m"), multiple(1, "1", "m3"),
           multiple(1, "1", "m2"), multiple(0.5, "0.5", "m"),
           *(constant(a) for a in (0.1, 0.2, 0.3, 0.35, 0.4, 0.5, -0.1, -0.2))],
)  # fmt: skip
def mask_by_cosine_margin(size: float) -> CosineRun:
    """The mask compares with the target's cosine less a number, whatever the margin is."""
    return _masked(lambda step: step.cosines > (step.target_cosine - size)[:, None])(size)


@family(
    "I_k = [c_k > f + a], a = {size}", applies=which.emphasises,
    tried=[multiple(1, "1", "m"), multiple(-1, "-1", "m"),
           *(constant(a) for a in (0.01, 0.05, 0.1, 0.2, 0.5, -0.05, -0.1))],
)  # fmt: skip
def mask_moved(size: float) -> CosineRun:
    """The mask compares with f and a number besides."""
    return _masked(lambda step: step.cosines > (step.boundary + size)[:, None])(size)


@family(
    "I_k = [c_k > cos(θ_y + a)], a = {size}", applies=which.emphasises,
    tried=[multiple(1, "1", "m"), multiple(0.5, "0.5", "m"), multiple(2, "2", "m"), multiple(1, "1", "m2"),
           multiple(1, "1", "m3"), *(constant(a) for a in (0.1, 0.2, 0.3, 0.35, 0.4, 0.5))],
)  # fmt: skip
def mask_by_angle_margin(size: float) -> CosineRun:
    """The mask compares with the cosine of the target's angle and a number, whatever the margin is."""
    return _masked(lambda step: step.cosines > np.cos(step.angle.theta + size)[:, None])(size)


@family(
    "I_k = [c_k > a c_y], a = {size}", applies=which.emphasises,
    tried=[constant(a) for a in (0.5, 0.9, 0.8, 0.7, 0.6, 0.75, 0.95, 1.1, 1.2, 1.5, 2.0)],
)  # fmt: skip
def mask_by_part_of_target(size: float) -> CosineRun:
    """The mask compares with a part of the target's cosine."""
    return _masked(lambda step: step.cosines > (size * step.target_cosine)[:, None])(size)
