"""Families of the emphasis: how much a support vector is emphasised, and what else is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import which
from svref.deviations.families.kind import family
from svref.deviations.logits import (
    CosineRun,
    Logits,
    Result,
    cross_entropy,
    emphasised,
    forward_of,
    from_logits,
    margin_logits,
    right_logits,
)
from svref.loss import SVXSoftmax
from svref.reference import Step, times_df


def _lifted(log_h: Callable[[Step, FloatArray], FloatArray], rise: Callable[[Step], float]) -> CosineRun:
    """Return the computation with another log h of support vectors, and another dlog h/dc."""

    def logits(step: Step) -> Logits:
        z, slope = margin_logits(step)
        return Logits(z + log_h(step, step.cosines) * step.mask, slope + rise(step) * step.mask)

    return from_logits(logits)


@family("t := {size}", between=(-5, 20))
def other_t(size: float) -> CosineRun:
    """The strength of the emphasis is another number than t."""
    return _lifted(
        lambda step, c: step.s * (size - 1) * step.emphasis.growth(c),
        lambda step: step.s * (size - 1) * step.emphasis.growth_slope,
    )


@family("log h_k = s (t-1)(1 - c_k) I_k", applies=which.emphasises)
def h_falls(size: float) -> CosineRun:
    """The emphasis falls with the negative's cosine."""
    return _lifted(
        lambda step, c: step.s * (step.emphasis.t - 1) * (1 - c), lambda step: -step.s * (step.emphasis.t - 1)
    )


@family("h_k = 1 + (t-1)(c_k + 1) I_k", applies=which.emphasises)
def h_without_exponential(size: float) -> CosineRun:
    """The emphasis is not an exponential."""

    def logits(step: Step) -> Logits:
        (z, slope), rise = margin_logits(step), (step.emphasis.t - 1) * step.mask
        h = 1 + rise * (step.cosines + 1)
        return Logits(z + np.log(h), slope + rise / h)

    return from_logits(logits)


@family("z_k = s c_k (a + c_k) for support vectors, a = {size}", applies=which.emphasises, between=(-5, 20))
def h_of_curricular(size: float) -> CosineRun:
    """Support vectors are multiplied by a number and their cosine, as in CurricularFace."""

    def logits(step: Step) -> Logits:
        z, slope = margin_logits(step)
        c = step.cosines
        return Logits(
            np.where(step.mask, step.s * c * (size + c), z), np.where(step.mask, step.s * (size + 2 * c), slope)
        )

    return from_logits(logits)


def _h_of_distance(through_f: bool) -> CosineRun:
    """Return the computation with log h_k = s (t-1)(c_k - f) I_k; its gradient goes through f too, or not."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = forward_of(loss, c, y)
        z, slope = margin_logits(step)
        rise = loss.s * (loss.emphasis.t - 1) * step.mask
        losses, by_z = cross_entropy(z + rise * (c - step.f[:, None]), step.own)
        by_f = by_z[step.own] * loss.s - through_f * np.sum(by_z * rise, axis=1)
        gradient = by_z * (slope + rise) * g[:, None]
        gradient[step.own] = times_df(by_f * g, loss.margin.by_cosine(step.angle), by_f * g == 0)
        return losses, gradient

    return run


@family("log h_k = s (t-1)(c_k - f) I_k", applies=which.emphasises)
def h_of_distance(size: float) -> CosineRun:
    """A support vector is emphasised by how far it exceeds f."""
    return _h_of_distance(through_f=True)


@family("log h_k = s (t-1)(c_k - f) I_k, f a constant in it", applies=which.emphasises)
def h_of_distance_detached(size: float) -> CosineRun:
    """A support vector is emphasised by how far it exceeds f, and the gradient does not go through that f."""
    return _h_of_distance(through_f=False)


@family("log h_k = s (t-1)(c_k + a) I_k, a = {size}", applies=which.emphasises, between=(-5, 5))
def h_with_another_offset(size: float) -> CosineRun:
    """The emphasis of a support vector has another number in place of 1."""
    return _lifted(
        lambda step, c: step.s * (step.emphasis.t - 1) * (c + size), lambda step: step.s * (step.emphasis.t - 1)
    )


@family("log h_k = a (c_k + 1) I_k, a = {size}", applies=which.emphasises, between=(-500, 500))
def h_with_another_factor(size: float) -> CosineRun:
    """The emphasis of a support vector has another factor in place of s (t-1)."""
    return _lifted(lambda step, c: size * (c + 1), lambda step: size)


@family("log h_k = a I_k, a = {size}", applies=which.emphasises, between=(-500, 500))
def h_is_a_constant(size: float) -> CosineRun:
    """Each support vector is emphasised by the same number, which is not s (t-1)."""
    return _lifted(lambda step, c: np.full_like(c, size), lambda step: 0.0)


@family("z_y = s (t f + t - 1)", applies=which.emphasises_adaptively)
def label_emphasised_after_margin(size: float) -> CosineRun:
    """The target is emphasised after its margin, like a support vector."""
    return _target_lifted(lambda step, f: step.s * (step.emphasis.t - 1) * (f + 1), lambda step: step.emphasis.t)


@family("z_y = s f + s (t-1)", applies=lambda loss: which.emphasises(loss) and loss.emphasis.form == "fixed")
def label_emphasised_after_margin_fixed(size: float) -> CosineRun:
    """The target is emphasised after its margin, like a support vector."""
    return _target_lifted(lambda step, f: step.s * (step.emphasis.t - 1) + 0 * f, lambda step: 1.0)


@family("z_y = s f + s (t-1)(c_y + 1) in all rows", applies=which.emphasises_adaptively)
def label_emphasised_always(size: float) -> CosineRun:
    """The target is emphasised like a support vector in every row."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z[step.own] += step.s * (step.emphasis.t - 1) * (step.target_cosine + 1)
        slope[step.own] += step.s * (step.emphasis.t - 1)
        return Logits(z, slope)

    return from_logits(logits)


@family("I_y = [0 > f], log h_k = s (t-1)(c_k + 1) I_k", applies=which.emphasises_adaptively)
def zeroed_label_in_mask(size: float) -> CosineRun:
    """The label's column is multiplied by 0 before the mask is taken, so that the target is emphasised where f < 0."""
    return from_logits(lambda step: emphasised(margin_logits(step), step, _with_zeroed_label(step)))


@family("I_y = [0 > f], log h_k = (t-1)(s c_k + 1) I_k", applies=which.emphasises_adaptively)
def zeroed_label_in_mask_of_scaled(size: float) -> CosineRun:
    """The label's column is multiplied by 0 before the mask is taken, and the emphasis is that of scaled logits."""
    return _of_scaled(_with_zeroed_label)


@family("I_y = [c_y > f], log h_k = (t-1)(s c_k + 1) I_k", applies=which.emphasises_adaptively)
def label_in_mask_of_scaled(size: float) -> CosineRun:
    """The target is emphasised like a support vector, and the emphasis is that of scaled logits."""
    return _of_scaled(lambda step: step.cosines > step.boundary[:, None])


def _with_zeroed_label(step: Step) -> BoolArray:
    """Return the mask with [0 > f] in the label's column."""
    mask = step.mask.copy()
    mask[step.own] = step.boundary < 0
    return mask


def _of_scaled(mask_of: Callable[[Step], BoolArray]) -> CosineRun:
    """Return the computation that emphasises logits which are scaled already, by a mask."""

    def logits(step: Step) -> Logits:
        mask = mask_of(step)
        z, slope = emphasised(margin_logits(step), step, mask)
        return Logits(z - (step.s - 1) * (step.emphasis.t - 1) * mask, slope)

    return from_logits(logits)


@family("z_y = s (t f + t - 1) where c_y > f", applies=which.emphasises_adaptively)
def label_emphasised_after_margin_where_above(size: float) -> CosineRun:
    """The target is emphasised after its margin, where its cosine exceeds f."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        f, t, above = step.margin.value(step.angle), step.emphasis.t, step.target_cosine > step.boundary
        z[step.own] += np.where(above, step.s * (t - 1) * (f + 1), 0.0)
        slope[step.own] *= np.where(above, t, 1.0)
        return Logits(z, slope)

    return from_logits(logits)


def _target_lifted(lift: Callable[[Step, FloatArray], FloatArray], factor: Callable[[Step], float]) -> CosineRun:
    """Return the computation with a lifted target logit, whose slope is multiplied by a factor."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        f = step.margin.value(step.angle)
        z[step.own] += lift(step, f)
        slope[step.own] *= factor(step)
        return Logits(z, slope)

    return from_logits(logits)
