"""Families of the target: f in other sizes, other margins, and where one formula of f gives way to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import which
from svref.deviations.families.kind import Family, constant, family, loss_family
from svref.deviations.families.laws import THRESHOLDS, multiple
from svref.deviations.formats import to_bfloat16
from svref.deviations.logits import (
    CosineRun,
    Logits,
    Result,
    emphasised,
    from_logits,
    margin_logits,
    right_logits,
    right_result,
)
from svref.deviations.target import logits_with_another_margin
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, Combined, Margin, MultiplicativeAngle, Tail
from svref.reference import Step

Pair = tuple[FloatArray, FloatArray]  # f and df/dc of each row
ToPair = Callable[[Step], Pair]
EDGES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-16)


def with_target(pair: ToPair) -> CosineRun:
    """Return the computation with another f and df/dc; the mask compares with that f."""
    return from_logits(lambda step: logits_with_another_margin(step, *pair(step)))


def with_target_alone(pair: ToPair) -> CosineRun:
    """Return the computation with another f and df/dc; the mask compares with the right f."""
    return from_logits(lambda step: emphasised(margin_logits(step, *pair(step)), step))


def right_pair(step: Step) -> Pair:
    """Return the paper's f and df/dc."""
    return step.margin.value(step.angle), step.margin.by_cosine(step.angle)


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
            return with_target(
                _of_margin(Combined(1.0, size, 0.0)) if 0 <= size < math.pi else _angle_of_any_size(size)
            )
        return with_target(_of_margin(AdditiveAngle(size, tail)))

    return of_size


def _angle_of_any_size(size: float) -> ToPair:
    def pair(step: Step) -> Pair:
        theta = step.angle.theta + size
        return np.cos(theta), np.sin(theta) / step.angle.sine

    return pair


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


def _is_combined(loss: SVXSoftmax) -> bool:
    return isinstance(loss.margin, Combined)


def _combined_families() -> Iterator[Family]:
    """Yield the combined margin with one of its parts of another size."""
    for part, between in (("m1", (0.05, 8.0)), ("m2", (0.0, 3.1)), ("m3", (0.0, 8.0))):
        about = loss_family(f"{part} := {{size}}", applies=_is_combined, between=between)(_combined(part))
        yield replace(about, name=f"other-{part}", effect="One part of the combined margin has another size.")


other_m1, other_m2, other_m3 = _combined_families()


@family("f = f_m(c_y) - a, a = {size}", between=(-8, 8))
def f_shifted(size: float) -> CosineRun:
    """A number is taken from the target's cosine after the margin; a bias of the target does this too."""

    def pair(step: Step) -> Pair:
        f, slope = right_pair(step)
        return f - size, slope

    return with_target(pair)


@family("z_y = s f_m(c_y) - a, a = {size}; the mask compares with f_m", applies=which.emphasises, between=(-600, 600))
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


# ---- where one formula gives way to another ----------------------------------------------------------------------

ELSE: tuple[tuple[str, Callable[[FloatArray, float], FloatArray], float], ...] = (
    ("c_y", lambda c, m: c, 1.0),
    ("c_y - m sin m", lambda c, m: c - m * math.sin(m), 1.0),
    ("c_y - m", lambda c, m: c - m, 1.0),
    ("-1", lambda c, m: np.full_like(c, -1.0), 0.0),
)


def has_m(loss: SVXSoftmax) -> bool:
    """Return whether the margin is one additive m."""
    return isinstance(loss.margin, AdditiveAngle | AdditiveCosine) and which.has_margin(loss)


def _switched(
    above: bool, beyond: Callable[[FloatArray, float], FloatArray], slope: float
) -> Callable[[float], CosineRun]:
    """Return the function of a threshold: f_m holds above it, or not above it; elsewhere f is `beyond`."""

    def of_size(size: float) -> CosineRun:
        def pair(step: Step) -> Pair:
            (f, slopes), c = right_pair(step), step.target_cosine
            inside = c > size if above else c <= size
            return np.where(inside, f, beyond(c, margin_of_step(step))), np.where(inside, slopes, slope)

        return with_target(pair)

    return of_size


def margin_of_step(step: Step) -> float:
    """Return m of the margin of a step."""
    return float(getattr(step.margin, "m", 0.0))


def _switched_families() -> Iterator[Family]:
    """Yield f_m on one side of a threshold, and each other formula on the other side."""
    for text, beyond, slope in ELSE:
        for above, word in ((True, ">"), (False, "<=")):
            about = family(f"f = f_m(c_y) where c_y {word} {{size}}, else {text}", applies=has_m, tried=THRESHOLDS)(
                _switched(above, beyond, slope)
            )
            name = f"margin-{'above' if above else 'below'}-a-threshold-else-{text.replace(' ', '')}"
            yield replace(about, name=name, effect="The margin holds on one side of a threshold alone.")


SWITCHED = tuple(_switched_families())


@family("f = c_y - a where θ + m > π, a = {size}", applies=which.adds_angle, between=(-3, 200))
def tail_shifted(size: float) -> CosineRun:
    """Beyond θ + m = π, f is the cosine less another number."""
    return with_target(_with_tail(lambda c: c - size, 1.0))


@family("f = {size} where θ + m > π", applies=which.adds_angle, between=(-200, 3))
def tail_constant(size: float) -> CosineRun:
    """Beyond θ + m = π, f is a number, so that these targets have no gradient."""
    return with_target(_with_tail(lambda c: np.full_like(c, size), 0.0))


def _with_tail(tail: Callable[[FloatArray], FloatArray], slope: float) -> ToPair:
    def pair(step: Step) -> Pair:
        (f, slopes), c = right_pair(step), step.target_cosine
        beyond = c < -math.cos(margin_of_step(step))
        return np.where(beyond, tail(c), f), np.where(beyond, slope, slopes)

    return pair


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
            c, (_, m, m3) = step.target_cosine.astype(np.float64), _angle_parts(step.margin)
            sigma, rise = sine(c, (1 - c) * (1 + c), size)
            f = c * math.cos(m) - sigma * math.sin(m) - m3
            slope = math.cos(m) - rise * math.sin(m)
            beyond = (c < -math.cos(m)) & (getattr(step.margin, "tail", "raw") != "raw")
            right = right_pair(step)
            return np.where(beyond, right[0], f), np.where(beyond, right[1], slope)

        return with_target(pair)

    return of_size


def _angle_parts(margin: Margin) -> tuple[float, float, float]:
    """Return (m1, m2, m3) of a margin that adds an angle."""
    if isinstance(margin, AdditiveAngle):
        return 1.0, margin.m, 0.0
    return which.as_combined(margin) or (1.0, 0.0, 0.0)


def needs_plain_sine(loss: SVXSoftmax) -> bool:
    """Return whether code may compute f as c cos m - sqrt(1 - c²) sin m."""
    return which.needs_sine(loss) and _angle_parts(loss.margin)[0] == 1 and _angle_parts(loss.margin)[1] > 0


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


@family("θ := min(θ, {size})", applies=lambda loss: loss.margin.angular, between=(0.02, 3.14))
def angle_kept_below(size: float) -> CosineRun:
    """The target's angle is clipped from above, so that far targets have no gradient."""

    def pair(step: Step) -> Pair:
        theta, right = step.angle.theta, right_pair(step)
        kept = _at_angle(step, np.minimum(theta, size), 0.0)
        return np.where(theta > size, kept[0], right[0]), np.where(theta > size, 0.0, right[1])

    return with_target(pair)


@family(
    "θ := clip(θ, ε, π - ε), ε = {size}", applies=lambda loss: loss.margin.angular, between=(1e-9, 0.5),
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


@family("f = cos(min(θ + m, π - ε)), ε = {size}", applies=which.adds_angle, between=(1e-9, 1.0))
def sum_of_angles_kept_below(size: float) -> CosineRun:
    """θ + m is clipped from above, so that targets beyond have no gradient."""

    def pair(step: Step) -> Pair:
        right, beyond = right_pair(step), step.angle.theta + margin_of_step(step) > math.pi - size
        return np.where(beyond, -math.cos(size), right[0]), np.where(beyond, 0.0, right[1])

    return with_target(pair)


@family("c_y := (1 - ε) c_y, ε = {size}", applies=lambda loss: loss.margin.angular, between=(1e-12, 0.5))
def target_shrunk(size: float) -> CosineRun:
    """The target's cosine is multiplied by a number below 1 before its angle is taken."""

    def pair(step: Step) -> Pair:
        angle = Angle.from_cosine((1 - size) * step.target_cosine)
        return step.margin.value(angle), (1 - size) * step.margin.by_cosine(angle)

    return with_target(pair)


@family("c := (1 - ε) c, ε = {size}", between=(1e-12, 0.5))
def cosines_shrunk(size: float) -> CosineRun:
    """All cosines are multiplied by a number below 1."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, (1 - size) * c, y, g)
        return losses, (1 - size) * gradient

    return run


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
    ("y + 1", lambda step: _column(step, (step.labels + 1) % step.cosines.shape[1])),
    ("y - 1", lambda step: _column(step, (step.labels - 1) % step.cosines.shape[1])),
    ("0", lambda step: _column(step, np.zeros_like(step.labels))),
    ("argmax c", lambda step: _column(step, step.cosines.argmax(axis=1))),
    (
        "the labels of the batch",
        lambda step: np.isin(np.broadcast_to(np.arange(step.cosines.shape[1]), step.cosines.shape), step.labels),
    ),
)


def _column(step: Step, index: IntArray) -> BoolArray:
    return np.asarray(np.arange(step.cosines.shape[1]) == index[:, None])


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
    ("float16(y)", lambda y, classes: np.minimum(y.astype(np.float16).astype(np.intp), classes - 1)),
    ("bfloat16(y)", lambda y, classes: np.minimum(to_bfloat16(y.astype(np.float64)).astype(np.intp), classes - 1)),
    ("y mod 256", lambda y, classes: y % 256),
)


def _label_families() -> Iterator[Family]:
    """Yield the loss of each wrong label."""
    for text, change in LABELS:

        def of_size(size: float, change: Callable[[IntArray, int], IntArray] = change) -> CosineRun:
            return lambda loss, c, y, g: right_result(loss, c, change(y, c.shape[1]), g)

        about = family(f"y := {text}")(of_size)
        yield replace(about, name=f"label-is-{text.replace(' ', '')}", effect="The loss is that of another class.")


LABEL_IS = tuple(_label_families())
