"""Families of the gradient alone: the losses are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import which
from svref.deviations.families.kind import Family, constant, family
from svref.deviations.families.pairs import angle_parts, passes_pi, sum_of_angles
from svref.deviations.logits import CosineRun, Result, cross_entropy, forward_of, is_own, right_logits, right_result
from svref.loss import SVXSoftmax
from svref.reference import Step, times_df

ByCosines = Callable[[SVXSoftmax, FloatArray, IntArray, FloatArray, FloatArray], FloatArray]


def with_gradient(change: ByCosines) -> CosineRun:
    """Return the right losses with a changed gradient; `change` takes loss, c, y, g and the right gradient."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return losses, change(loss, c, y, g, gradient)

    return run


# ---- factors ----------------------------------------------------------------------------------------------------


@family("∂L/∂c := a ∂L/∂c, a = {size}", between=(-1e6, 1e6), linear=True, shows="gradient")
def gradient_scaled(size: float) -> CosineRun:
    """The gradient is multiplied by a factor; losses are right."""
    return with_gradient(lambda loss, c, y, g, gradient: size * gradient)


@family("∂L/∂c_y := a ∂L/∂c_y, a = {size}", between=(-1e6, 1e6), linear=True, shows="gradient")
def target_gradient_scaled(size: float) -> CosineRun:
    """The target's gradient is multiplied by a factor."""
    return with_gradient(lambda loss, c, y, g, gradient: np.where(is_own(c, y), size * gradient, gradient))


@family("∂L/∂c_k := a ∂L/∂c_k, k ≠ y, a = {size}", between=(-1e6, 1e6), linear=True, shows="gradient")
def negatives_gradient_scaled(size: float) -> CosineRun:
    """The negatives' gradients are multiplied by a factor."""
    return with_gradient(lambda loss, c, y, g, gradient: np.where(is_own(c, y), gradient, size * gradient))


@family("∂L/∂c_k := a ∂L/∂c_k for support vectors, a = {size}", applies=which.emphasises, between=(-1e3, 1e3),
        linear=True, shows="gradient")  # fmt: skip
def support_vectors_gradient_scaled(size: float) -> CosineRun:
    """The gradients of support vectors are multiplied by a factor."""
    return with_gradient(
        lambda loss, c, y, g, gradient: np.where(forward_of(loss, c, y).mask, size * gradient, gradient)
    )


@family("∂L/∂c := clip(∂L/∂c, -a, a), a = {size}", between=(1e-6, 1e4), shows="gradient")
def gradient_clipped(size: float) -> CosineRun:
    """Each entry of the gradient is clipped."""
    return with_gradient(lambda loss, c, y, g, gradient: np.clip(gradient, -size, size))


@family("∂L/∂c := ∂L/∂c min(1, a/|∂L/∂c|) for each row, a = {size}", between=(1e-6, 1e4), shows="gradient")
def gradient_of_rows_clipped(size: float) -> CosineRun:
    """The gradient of each row is clipped by its length."""
    return with_gradient(lambda loss, c, y, g, gradient: shortened(gradient, size, 1))


@family("∂L/∂c := ∂L/∂c min(1, a/|∂L/∂c|) for the whole batch, a = {size}", between=(1e-6, 1e4), shows="gradient")
def gradient_of_batch_clipped(size: float) -> CosineRun:
    """The gradient of the batch is clipped by its length."""
    return with_gradient(lambda loss, c, y, g, gradient: shortened(gradient, size, None))


def shortened(gradient: FloatArray, longest: float, axis: int | None) -> FloatArray:
    """Return a gradient whose rows, or which as a whole, is no longer than a number; infinite entries do not count."""
    finite = np.where(np.isfinite(gradient), gradient, 0.0)
    length = np.sqrt(np.sum(finite * finite, axis=axis, keepdims=True))
    return np.asarray(gradient * np.minimum(1.0, longest / np.where(length == 0, 1.0, length)))


@family("∂L/∂c := g (∂L_b/∂c + a), a = {size}", between=(-1e3, 1e3), linear=True, shows="gradient")
def gradient_shifted(size: float) -> CosineRun:
    """A number is added to each entry of the gradient, before the cotangent multiplies it."""
    return with_gradient(lambda loss, c, y, g, gradient: gradient + size * g[:, None])


@family("∂L/∂c := ∂L/∂c + a, a = {size}", between=(-1e3, 1e3), linear=True, shows="gradient")
def gradient_shifted_at_last(size: float) -> CosineRun:
    """A number is added to each entry of the gradient, whatever the cotangent is."""
    return with_gradient(lambda loss, c, y, g, gradient: gradient + size)


@family("∂L/∂c_k := 0 where p_k < a, k ≠ y, a = {size}", shows="gradient",
        tried=[*(constant(float(f"1e-{e}")) for e in range(1, 9)),
               *(constant(2.0**-e, f"2^-{e}") for e in (8, 12, 13, 16, 20))])  # fmt: skip
def gradient_filtered(size: float) -> CosineRun:
    """Negatives with a small probability have no gradient."""

    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        step = forward_of(loss, c, y)
        return np.where((step.probabilities < size) & ~is_own(c, y), 0.0, gradient)

    return with_gradient(change)


# ---- the derivative by something else ------------------------------------------------------------------------------


@family("∂L/∂c_y := ∂L/∂θ_y = -sin θ_y ∂L/∂c_y", shows="gradient")
def target_gradient_by_angle(size: float) -> CosineRun:
    """The target's gradient is that by its angle."""
    return _times_sine(-1.0, of_target=True)


@family("∂L/∂c := ∂L/∂θ = -sin θ ∂L/∂c", shows="gradient")
def gradient_by_angle(size: float) -> CosineRun:
    """The gradient is that by the angles."""
    return _times_sine(-1.0, of_target=False)


@family("∂L/∂c_y := sin θ_y ∂L/∂c_y", shows="gradient")
def target_gradient_times_sine(size: float) -> CosineRun:
    """The slope of the margin lacks its division by sin θ: sin(θ + m) in place of sin(θ + m)/sin θ."""
    return _times_sine(1.0, of_target=True)


@family("∂L/∂c_y := -∂L/∂c_y", shows="gradient")
def target_gradient_negated(size: float) -> CosineRun:
    """The target's gradient has the wrong sign."""
    return with_gradient(lambda loss, c, y, g, gradient: np.where(is_own(c, y), -gradient, gradient))


def _times_sine(sign: float, of_target: bool) -> CosineRun:
    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        step = forward_of(loss, c, y)
        sine = np.sqrt((1 - c) * (1 + c)) if loss.angular else np.sqrt(np.abs((1 - c) * (1 + c)))
        times = gradient * sign * sine
        # At a pole df/dc is infinite, and sin θ df/dc is finite: the limit is that of the angle's own derivative.
        times[step.own] = sign * _by_theta(loss, step, g)
        return np.where(is_own(c, y), times, gradient) if of_target else times

    return with_gradient(change)


SLOPES: tuple[tuple[str, str, Callable[[Step], FloatArray]], ...] = (
    ("upside-down", "sin θ/sin(θ + m)", lambda step: step.angle.sine / np.sin(sum_of_angles(step))),
    ("of-cosine", "cos(θ + m)/sin θ", lambda step: np.cos(sum_of_angles(step)) / step.angle.sine),
    ("of-m-alone", "sin m/sin θ", lambda step: np.sin(angle_parts(step.margin)[1]) / step.angle.sine),
    ("of-cos-m-alone", "cos m", lambda step: np.full(len(step.f), np.cos(angle_parts(step.margin)[1]))),
    ("of-wrong-sign", "cos m - c_y sin m/sin θ", lambda step: _of_wrong_sign(step)),
)  # fmt: skip


def _of_wrong_sign(step: Step) -> FloatArray:
    """Return cos m - c sin m/sin θ; the slope of cos(θ + m) has a + there."""
    m = angle_parts(step.margin)[1]
    return np.asarray(np.cos(m) - step.target_cosine * np.sin(m) / step.angle.sine)


def _of_slope(slope: Callable[[Step], FloatArray]) -> Callable[[float], CosineRun]:
    """Return the right losses, and the gradient with another df/dc."""

    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        step, changed = forward_of(loss, c, y), gradient.copy()
        q = -cross_entropy(right_logits(step).z, step.own)[1][step.own]
        changed[step.own] = times_df(-loss.s * q * g, slope(step), q * g == 0)
        return changed

    return lambda size: with_gradient(change)


def _slope_families() -> Iterator[Family]:
    """Yield each wrong slope of a margin that adds an angle."""
    for name, formula, slope in SLOPES:
        about = family(f"df/dc := {formula}", applies=passes_pi, shows="gradient")(_of_slope(slope))
        yield replace(about, name=f"slope-{name}", effect="The margin's slope is another formula; losses are right.")


SLOPE_IS = tuple(_slope_families())


@family("dz_k/dc_k := s t for all k ≠ y", applies=which.emphasises_adaptively, shows="gradient")
def slope_of_emphasis_for_all(size: float) -> CosineRun:
    """All negatives have the slope that support vectors have."""

    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        others = ~is_own(c, y) & ~forward_of(loss, c, y).mask
        return np.where(others, loss.emphasis.t * gradient, gradient)

    return with_gradient(change)


@family("∂L/∂c_k, k ≠ y, without the cotangent", shows="gradient")
def cotangent_of_target_alone(size: float) -> CosineRun:
    """The cotangent multiplies the target's gradient alone."""
    return _with_ones(of_target=False)


@family("∂L/∂c_y without the cotangent", shows="gradient")
def cotangent_of_negatives_alone(size: float) -> CosineRun:
    """The cotangent multiplies the negatives' gradients alone."""
    return _with_ones(of_target=True)


def _with_ones(of_target: bool) -> CosineRun:
    """Return the gradient with ones for the cotangents of the target, or of the negatives."""

    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        of_ones = right_result(loss, c, y, np.ones(len(y)))[1]
        return np.where(is_own(c, y) == of_target, of_ones, gradient)

    return with_gradient(change)


def _by_theta(loss: SVXSoftmax, step: Step, g: FloatArray) -> FloatArray:
    """Return sin θ ∂L/∂c_y, which is finite at the poles too."""
    slope, sine = loss.margin.by_cosine(step.angle), step.angle.sine
    m1, m2, _ = which.as_combined(loss.margin) or (0.0, 0.0, 0.0)
    at_pole = m1 * np.sin(m1 * step.angle.theta + m2)
    q = -cross_entropy(right_logits(step).z, step.own)[1][step.own]
    return np.asarray(-loss.s * q * g * np.where(np.isfinite(slope), slope * sine, at_pole))


@family("dz/dc := s for all, the slopes of margin and emphasis lost", shows="gradient")
def slopes_lost(size: float) -> CosineRun:
    """Margin and emphasis are constants in the backward pass."""

    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        step = forward_of(loss, c, y)
        return loss.s * g[:, None] * cross_entropy(right_logits(step).z, step.own)[1]

    return with_gradient(change)


@family("∂L/∂c := ∂L/∂z", shows="gradient")
def gradient_by_logits(size: float) -> CosineRun:
    """The gradient is that by the logits, p - onehot."""

    def change(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        step = forward_of(loss, c, y)
        return g[:, None] * cross_entropy(right_logits(step).z, step.own)[1]

    return with_gradient(change)


# ---- the cotangent --------------------------------------------------------------------------------------------------

COTANGENTS: tuple[tuple[str, Callable[[FloatArray], FloatArray]], ...] = (
    ("g²", lambda g: g * g),
    ("mean(g)", lambda g: np.full_like(g, g.mean())),
    ("sum(g)", lambda g: np.full_like(g, g.sum())),
    ("g_1", lambda g: np.full_like(g, g[0])),
    ("|g|", np.abs),
    ("g / B", lambda g: g / len(g)),
    ("1 / B", lambda g: np.full_like(g, 1 / len(g))),
    ("g / Σ g", lambda g: g / g.sum()),
    ("the g of the row before", lambda g: np.roll(g, 1)),
    ("the g of the row after", lambda g: np.roll(g, -1)),
    ("g in reverse order", lambda g: g[::-1]),
)


def _cotangent_families() -> Iterator[Family]:
    """Yield each wrong use of the cotangent."""
    for text, change in COTANGENTS:

        def of_size(size: float, change: Callable[[FloatArray], FloatArray] = change) -> CosineRun:
            return lambda loss, c, y, g: right_result(loss, c, y, change(g))

        about = family(f"g := {text} in the gradient", shows="gradient")(of_size)
        yield replace(about, name=f"cotangent-is-{text.replace(' ', '-')}", effect="The cotangent is used wrongly.")


COTANGENT_IS = tuple(_cotangent_families())


def _of_parts(
    change: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]],
) -> Callable[[float], CosineRun]:
    """Return the gradient with other factors of p and of the one-hot; `change` takes p and g (B, 1), returns both."""

    def by_cosines(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray, gradient: FloatArray) -> FloatArray:
        step = forward_of(loss, c, y)
        z, slope = right_logits(step)
        losses, by_z = cross_entropy(z, step.own)
        p = by_z.copy()
        p[step.own] = np.exp(-losses)
        times_p, one = change(p, g[:, None])
        by = times_p - one * is_own(c, y)
        return times_df(by, slope, by == 0)

    return lambda size: with_gradient(by_cosines)


PARTS: tuple[tuple[str, str, Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]], ...] = (
    ("one-hot-after-cotangent", "∂L/∂z = g p - onehot", lambda p, g: (g * p, np.ones_like(g))),
    ("cotangent-of-one-hot-alone", "∂L/∂z = p - g onehot", lambda p, g: (p, g)),
    ("one-hot-of-the-mean", "∂L/∂z = g (p - onehot/B)", lambda p, g: (g * p, g / len(g))),
    ("one-hot-twice", "∂L/∂z = g (p - 2 onehot)", lambda p, g: (g * p, 2 * g)),
)


def _part_families() -> Iterator[Family]:
    """Yield each wrong way to put p, the one-hot label and the cotangent together."""
    for name, formula, change in PARTS:
        yield replace(
            family(formula, shows="gradient")(_of_parts(change)), name=name,
            effect="A hand-written backward pass puts p, the label and the cotangent together wrongly.",
        )  # fmt: skip


PARTS_WRONG = tuple(_part_families())
