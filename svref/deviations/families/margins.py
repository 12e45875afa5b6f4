"""Families of other margins: f of another size, of another variant, or by another formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.deviations import which
from svref.deviations.families.kind import Family, constant, family, loss_family
from svref.deviations.families.laws import multiple
from svref.deviations.families.pairs import (
    Pair,
    ToPair,
    angle_of_any_size,
    angle_parts,
    is_combined,
    lost_at_poles,
    margin_of_step,
    right_pair,
    sine_of,
    with_target,
    with_target_alone,
)
from svref.deviations.logits import (
    CosineRun,
    Logits,
    emphasised,
    from_logits,
)
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, Angle, Combined, Margin, MultiplicativeAngle, Tail
from svref.reference import Step

# ---- another margin ---------------------------------------------------------------------------------------------


def _of_margin(margin: Margin) -> ToPair:
    return lambda step: (margin.value(step.angle), margin.by_cosine(step.angle))


@family("f = c_y - m', m' = {size}", between=(-8, 8))
def cosine_margin(size: float) -> CosineRun:
    """The margin is taken from the cosine, and has another size, or is another variant's."""
    return with_target(lambda step: (step.target_cosine - size, np.ones(len(step.f))))


def _angle_margin(tail: Tail) -> Callable[[float], CosineRun]:
    """Return the function that makes an additive angle of a size, with a tail, the margin."""

    def of_size(size: float) -> CosineRun:
        if tail == "raw":
            return with_target(_of_margin(Combined(1.0, size, 0.0)) if 0 <= size < math.pi else angle_of_any_size(size))
        return with_target(_of_margin(AdditiveAngle(size, tail)))

    return of_size


def _angle_families() -> Iterator[Family]:
    """Yield the additive angle of any size, with each tail."""
    for tail, end in (("raw", 8.0), ("linear", 3.1), ("plain", 3.1), ("reflect", 3.1)):
        beyond = "" if tail == "raw" else f", with the tail {tail!r} beyond θ + m' = π"
        about = family(f"f = cos(θ + m'){beyond}, m' = {{size}}", between=(1e-3, end))(_angle_margin(tail))  # type: ignore[arg-type]
        name = "angle-margin" if tail == "raw" else f"angle-margin-with-{tail}-tail"
        effect = "The margin is added to the angle, and has another size or tail, or is another variant's."
        yield replace(about, name=name, effect=effect)


angle_margin, angle_margin_linear, angle_margin_plain, angle_margin_reflect = _angle_families()


@loss_family("f = cos(m' θ), m' = {size}", between=(0.05, 8))
def angle_multiplied(loss: SVXSoftmax, size: float) -> SVXSoftmax:
    """The angle is multiplied, without the pieces of A-Softmax."""
    return replace(loss, margin=Combined(size, 0.0, 0.0))


@loss_family("f = ψ(θ) of m' = {size} pieces", tried=[multiple(1, "1", "m"), *(constant(k) for k in (2, 3, 4, 5))])
def other_pieces(loss: SVXSoftmax, size: float) -> SVXSoftmax:
    """The margin is A-Softmax's ψ with another number of pieces, or in place of another margin."""
    return replace(loss, margin=MultiplicativeAngle(round(size)))


def _combined(part: str) -> Callable[[SVXSoftmax, float], SVXSoftmax]:
    """Return the function that gives a combined margin another m1, m2 or m3."""

    def change(loss: SVXSoftmax, size: float) -> SVXSoftmax:
        margin = loss.margin
        return replace(loss, margin=replace(margin, **{part: size})) if isinstance(margin, Combined) else loss

    return change


def _combined_families() -> Iterator[Family]:
    """Yield the combined margin with one of its cosine parts of another size."""
    for part, between in (("m1", (0.05, 8.0)), ("m3", (0.0, 8.0))):
        about = loss_family(f"{part} := {{size}}", applies=is_combined, between=between)(_combined(part))
        yield replace(about, name=f"other-{part}", effect="One part of the combined margin has another size.")


other_m1, other_m3 = _combined_families()


@family("m2 := {size}", applies=is_combined, between=(-8, 8))
def other_m2(size: float) -> CosineRun:
    """The angle of the combined margin has another size."""

    def pair(step: Step) -> Pair:
        m1, _, m3 = angle_parts(step.margin)
        phi = m1 * step.angle.theta + size
        return np.cos(phi) - m3, m1 * np.sin(phi) / step.angle.sine

    return with_target(pair)


@family("f = f_m(c_y) - a, a = {size}", between=(-8, 8))
def f_shifted(size: float) -> CosineRun:
    """A number is taken from the target's cosine after the margin; a bias of the target does this too."""

    def pair(step: Step) -> Pair:
        f, slope = right_pair(step)
        return f - size, slope

    return with_target(pair)


@family("z_y = s f_m(c_y) - a, a = {size}; the mask compares with f_m", between=(-600, 600))
def target_logit_shifted(size: float) -> CosineRun:
    """A number is taken from the target's logit after the mask was decided."""

    def pair(step: Step) -> Pair:
        f, slope = right_pair(step)
        return f - size / step.s, slope

    return with_target_alone(pair)


@family("z_y = s c_y, the margin only in the mask", applies=which.masks_by_margin)
def margin_only_in_mask(size: float) -> CosineRun:
    """The margin decides which negatives are support vectors, and is missing in the target's logit."""
    return with_target_alone(lambda step: (step.target_cosine, np.ones(len(step.f))))


# ---- other formulas of f ------------------------------------------------------------------------------------------


SHAPES: tuple[tuple[str, str, Callable[[Step], Pair]], ...] = (  # φ(c) and dφ/dc
    ("sine", "sin θ", lambda step: (sine_of(step), -step.target_cosine / sine_of(step))),
    ("cosine", "c_y", lambda step: (step.target_cosine, np.ones(len(step.f)))),
    ("rest", "(1 - c_y)", lambda step: (1 - step.target_cosine, -np.ones(len(step.f)))),
    ("height", "(1 + c_y)", lambda step: (1 + step.target_cosine, np.ones(len(step.f)))),
    ("angle", "θ", lambda step: (step.angle.theta, -1 / sine_of(step))),
    ("square", "c_y²", lambda step: (step.target_cosine**2, 2 * step.target_cosine)),
    ("size", "|c_y|", lambda step: (np.abs(step.target_cosine), np.sign(step.target_cosine))),
)


def _shape_families() -> Iterator[Family]:
    """Yield f = c_y less a multiple of each function of the target."""
    for name, text, shape in SHAPES:

        def of_size(size: float, shape: Callable[[Step], Pair] = shape) -> CosineRun:
            def pair(step: Step) -> Pair:
                value, slope = shape(step)
                return step.target_cosine - size * value, 1 - size * slope

            return with_target(pair)

        about = family(f"f = c_y - a {text}, a = {{size}}", between=(-8, 8))(of_size)
        yield replace(
            about, name=f"margin-times-{name}", effect="The margin is multiplied by a function of the target."
        )


TIMES_A_SHAPE = tuple(_shape_families())


@family("f = cos(m1 θ) - a, a = {size}", applies=is_combined, between=(-8, 8))
def shift_without_m2(size: float) -> CosineRun:
    """m2 is not added to the angle."""

    def pair(step: Step) -> Pair:
        margin = Combined(angle_parts(step.margin)[0], 0.0, 0.0)
        return margin.value(step.angle) - size, margin.by_cosine(step.angle)

    return with_target(pair)


@family("f = f_m(f_m(c_y))", applies=which.has_margin)
def margin_twice(size: float) -> CosineRun:
    """The margin is applied twice."""

    def pair(step: Step) -> Pair:
        f, slope = right_pair(step)
        kept = np.clip(f, -1, 1) if step.margin.angular else f
        again = Angle.from_cosine(kept)
        return step.margin.value(again), np.where(kept == f, step.margin.by_cosine(again) * slope, 0.0)

    return with_target(pair)


@family("k = min(floor(m θ/π), {size})", applies=lambda loss: isinstance(loss.margin, MultiplicativeAngle),
        tried=[constant(k) for k in (2, 1, 0)])  # fmt: skip
def fewer_pieces(size: float) -> CosineRun:
    """The last pieces of A-Softmax are missing."""

    def pair(step: Step) -> Pair:
        m = margin_of_step(step)
        whole = np.clip(np.floor(m * step.angle.theta / math.pi), 0, m - 1)
        k, (f, slope) = np.minimum(whole, size), right_pair(step)
        sign = (1 - 2 * (k % 2)) * (1 - 2 * (whole % 2))
        return sign * (f + 2 * whole) - 2 * k, sign * slope

    return with_target(pair)


ROWS: tuple[tuple[str, str, Callable[[Step], BoolArray]], ...] = (
    ("right", "c_y > c_k for all k", lambda step: _others(step) < step.target_cosine),
    ("right-or-tied", "c_y >= c_k for all k", lambda step: _others(step) <= step.target_cosine),
    ("right-by-argmax", "argmax c = y", lambda step: step.cosines.argmax(axis=1) == step.labels),
    ("wrong-by-argmax", "argmax c is not y", lambda step: step.cosines.argmax(axis=1) != step.labels),
    ("wrong", "c_y < c_k for some k", lambda step: _others(step) > step.target_cosine),
    ("right-by-the-margin", "f_m(c_y) > c_k for all k", lambda step: _others(step) < right_pair(step)[0]),
    ("wrong-by-the-margin", "f_m(c_y) < c_k for some k", lambda step: _others(step) > right_pair(step)[0]),
)


def _others(step: Step) -> FloatArray:
    """Return the largest negative of each row."""
    c = step.cosines.astype(np.float64).copy()
    c[step.own] = -np.inf
    return np.asarray(c.max(axis=1))


def _row_families() -> Iterator[Family]:
    """Yield the margin in rows that are right, or in rows that are wrong, alone."""
    for name, formula, rows in ROWS:

        def pair(step: Step, rows: Callable[[Step], BoolArray] = rows) -> Pair:
            (f, slope), where = right_pair(step), rows(step)
            return np.where(where, f, step.target_cosine), np.where(where, slope, 1.0)

        about = family(f"f = f_m(c_y) where {formula}, else c_y", applies=which.has_margin)(
            lambda size, pair=pair: with_target(pair)  # type: ignore[misc]
        )
        yield replace(about, name=f"margin-in-rows-that-are-{name}", effect="Only some rows have the margin.")


IN_ROWS = tuple(_row_families())


def _with_negatives(f: Callable[[Step, float], Pair]) -> Callable[[float], CosineRun]:
    """Return the function of a: z_k = s cos(θ_k - a), and the target as `f` says."""

    def of_size(size: float) -> CosineRun:
        def logits(step: Step) -> Logits:
            angles = Angle.from_cosine(step.cosines)
            z, slope = step.s * np.cos(angles.theta - size), step.s * np.sin(angles.theta - size) / angles.sine
            value, by_c = f(step, size)
            z[step.own], slope[step.own] = step.s * value, step.s * by_c
            return emphasised(Logits(z, slope), step)

        return lost_at_poles(from_logits(logits))

    return of_size


def _negatives_families() -> Iterator[Family]:
    """Yield a margin in the angles of the negatives, with a target that has none, the same, or its own."""
    for name, formula, f in (
        ("alone", "f = c_y", lambda step, size: (step.target_cosine, np.ones(len(step.f)))),
        ("and-of-target", "f = cos(θ + a)", lambda step, size: angle_of_any_size(size)(step)),
        ("besides", "f = f_m(c_y)", lambda step, size: right_pair(step)),
    ):
        about = family(f"z_k = s cos(θ_k - a), {formula}, a = {{size}}", between=(-3, 3),
                       applies=lambda loss: loss.margin.angular)(_with_negatives(f))  # fmt: skip
        yield replace(
            about, name=f"angle-margin-of-negatives-{name}", effect="The negatives have a margin in the angle."
        )


OF_NEGATIVES = tuple(_negatives_families())
