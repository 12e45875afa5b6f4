"""Families of what follows the logits: the softmax, the logarithm, and what losses are multiplied by."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import which
from svref.deviations.families.kind import constant, family
from svref.deviations.logits import (
    CosineRun,
    Entropy,
    Logits,
    Own,
    Result,
    cross_entropy,
    forward_of,
    from_logits,
    right_logits,
    right_result,
)
from svref.loss import SVXSoftmax
from svref.reference import Step, finite_or_zero, sigmoid, softplus, times_df

SIZES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-30)

# ---- the cross entropy -----------------------------------------------------------------------------------------


@family("L = -Σ_k y_k log p_k, y = (1 - ε) onehot + ε/C, ε = {size}", between=(1e-5, 0.999), linear=True)
def labels_smoothed(size: float) -> CosineRun:
    """Label smoothing is on: part of the loss pulls the embedding to every class."""
    return from_logits(right_logits, lambda z, own: _soft(z, own, size, of_negatives=False))


@family("L = -Σ_k y_k log p_k, y_y = 1 - ε, y_k = ε/(C - 1), ε = {size}", between=(1e-5, 0.999), linear=True)
def labels_smoothed_over_negatives(size: float) -> CosineRun:
    """Label smoothing is on, and shares ε among the negatives alone."""
    return from_logits(right_logits, lambda z, own: _soft(z, own, size, of_negatives=True))


def _soft(z: FloatArray, own: Own, eps: float, of_negatives: bool) -> Result:
    """Return the cross entropy with smoothed labels, and its derivatives by z."""
    losses, by_z = cross_entropy(z, own)
    classes = z.shape[1]
    if of_negatives and classes == 1:
        return losses, by_z
    share = eps / (classes - of_negatives)
    weight = eps * classes / (classes - of_negatives)  # y = (1 - weight) onehot + share
    relative = np.sum(z[own][:, None] - z, axis=1)  # Σ_k (-log p_k) = C L + Σ_k (z_y - z_k)
    p = by_z.copy()
    p[own] += 1
    gradient = (1 - weight) * by_z + share * (classes * p - 1)
    return losses + share * relative, gradient


@family("L := (1 - p_y)^γ L, γ = {size}", between=(0.05, 6.0), tried=[constant(g) for g in (0.5, 1, 2, 3, 5)])
def focal_weight(size: float) -> CosineRun:
    """A focal weight is on: rows that are nearly right hardly count."""

    def entropy(z: FloatArray, own: Own) -> Result:
        losses, by_z = cross_entropy(z, own)
        q, p = -by_z[own], np.exp(-losses)
        inner = q**size + size * q ** (size - 1) * p * losses
        return q**size * losses, by_z * inner[:, None]

    return from_logits(right_logits, entropy)


@family("L := (1 - p_y)^γ L with a constant weight, γ = {size}", between=(0.05, 6.0))
def focal_weight_detached(size: float) -> CosineRun:
    """A focal weight is on, and the backward pass takes it for a constant."""

    def entropy(z: FloatArray, own: Own) -> Result:
        losses, by_z = cross_entropy(z, own)
        weight = (-by_z[own]) ** size
        return weight * losses, by_z * weight[:, None]

    return from_logits(right_logits, entropy)


@family("z := softmax(z) before the cross entropy")
def softmax_twice(size: float) -> CosineRun:
    """The head ends with a softmax, and the cross entropy takes another: losses lie within 1 of log C."""
    return from_logits(right_logits, _second_softmax)


def _second_softmax(z: FloatArray, own: Own) -> Result:
    losses, by_z = cross_entropy(z, own)
    p = by_z.copy()
    p[own] = np.exp(-losses)
    again, by_p = cross_entropy(p, own)
    return again, p * (by_p - np.sum(p * by_p, axis=1, keepdims=True))


Counted = Callable[[SVXSoftmax, Step], tuple[FloatArray, FloatArray]]  # log of what stands for e^{z_y}, and its slope


def _denominator(counted: Counted, lone: float = -1.0) -> CosineRun:
    """Return L = log(X + Σ_k≠y e^z_k) - z_y, where X stands for the target; `lone` is ∂L/∂z_y where C = 1 and X = 0."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = forward_of(loss, c, y)
        z, slope = right_logits(step)
        z_y, (x, by_x) = z[step.own], counted(loss, step)
        r = z.copy()
        r[step.own] = x
        peak = finite_or_zero(r.max(axis=1))
        total = peak + np.log(np.exp(r - peak[:, None]).sum(axis=1))
        share = np.exp(r - finite_or_zero(total)[:, None])
        gradient = times_df(share * g[:, None], slope, (share == 0) | (g == 0)[:, None])
        by_target = times_df(np.full(len(g), -1.0) * g, slope[step.own], g == 0)
        gradient[step.own] = share[step.own] * by_x * g + by_target
        gradient[np.isinf(total)] *= -lone
        return total - z_y, gradient

    return run


def _right_counted(loss: SVXSoftmax, step: Step, factor: float) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of `factor` e^z_y, and its slope."""
    z, slope = right_logits(step)
    with np.errstate(divide="ignore"):
        return z[step.own] + np.log(factor), slope[step.own]


@family("L = log Σ_k≠y e^z_k - z_y")
def target_left_out(size: float) -> CosineRun:
    """The target is not in the denominator: losses fall below 0, and pull for ever."""
    return _denominator(lambda loss, step: _right_counted(loss, step, 0.0))


@family("L = log Σ_k≠y e^z_k - z_y, and no gradient where C = 1")
def target_left_out_and_lost_alone(size: float) -> CosineRun:
    """The target is not in the denominator; where there is no other class, nothing is left."""
    return _denominator(lambda loss, step: _right_counted(loss, step, 0.0), lone=np.nan)


@family("L = log(a e^z_y + Σ_k≠y e^z_k) - z_y, a = {size}", between=(1e-3, 1e3), tried=[constant(2.0)])
def target_counted(size: float) -> CosineRun:
    """The target counts several times in the denominator, or in part."""
    return _denominator(lambda loss, step: _right_counted(loss, step, size))


@family("L = log(e^z_y + a Σ_k≠y e^z_k) - z_y, a = {size}", between=(1e-4, 1e4))
def negatives_counted(size: float) -> CosineRun:
    """The sum over the negatives has a factor, as a mean in place of the sum has."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z += math.log(size)
        z[step.own] -= math.log(size)
        return Logits(z, slope)

    return from_logits(logits)


@family("L = Σ_k≠y log(1 + e^(z_k - z_y))")
def pairwise(size: float) -> CosineRun:
    """Each negative has a loss of its own, in place of one for all."""

    def entropy(z: FloatArray, own: Own) -> Result:
        r = z - z[own][:, None]
        r[own] = -np.inf
        by_z = sigmoid(r)
        by_z[own] = -by_z.sum(axis=1)
        return softplus(r).sum(axis=1), by_z

    return from_logits(right_logits, entropy)


@family("L = log(e^(s f) + e^(s c_y) + Σ_k≠y e^z_k) - s f")
def plain_target_stays(size: float) -> CosineRun:
    """The target stands in the denominator twice: with its margin, and without it."""

    def counted(loss: SVXSoftmax, step: Step) -> tuple[FloatArray, FloatArray]:
        (z, slope), plain = _right_counted(loss, step, 1.0), loss.s * step.target_cosine
        both = np.logaddexp(z, plain)
        return both, slope * np.exp(z - both) + loss.s * np.exp(plain - both)

    return _denominator(counted)


@family("L = log(e^(s c_y) + Σ_k≠y e^z_k) - s f", applies=which.has_margin)
def plain_target_in_denominator(size: float) -> CosineRun:
    """The margin is missing in the denominator."""

    def counted(loss: SVXSoftmax, step: Step) -> tuple[FloatArray, FloatArray]:
        return loss.s * step.target_cosine, np.full(len(step.f), loss.s)

    return _denominator(counted)


@family("L = log(1 + e^-z_y) + Σ_k≠y log(1 + e^z_k)")
def binary(size: float) -> CosineRun:
    """Each class has a binary cross entropy of its own."""

    def entropy(z: FloatArray, own: Own) -> Result:
        signed = z.copy()
        signed[own] *= -1
        by_z = sigmoid(signed)
        by_z[own] *= -1
        return softplus(signed).sum(axis=1), by_z

    return _with_lone_targets(entropy)


@family("L := min(L, a), no gradient beyond, a = {size}", between=(0.05, 200))
def loss_kept_below(size: float) -> CosineRun:
    """Losses are capped, and rows beyond have no gradient."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return np.minimum(losses, size), np.where((losses > size)[:, None], 0.0, gradient)

    return run


@family("L := min(L, a), its gradient right, a = {size}", between=(0.05, 200))
def loss_alone_kept_below(size: float) -> CosineRun:
    """Losses are capped; gradients are not."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return np.minimum(losses, size), gradient

    return run


@family("L = log(1 + Σ_k≠y e^z_k) - z_y")
def one_in_denominator(size: float) -> CosineRun:
    """The target's term in the denominator is 1, as if its logit were 0."""
    return _denominator(lambda loss, step: (np.zeros(len(step.f)), np.zeros(len(step.f))))


@family("L = log(1 + Σ_k≠y e^z_k)")
def one_for_target(size: float) -> CosineRun:
    """The target's logit is 0, in the numerator too."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z[step.own], slope[step.own] = 0.0, 0.0
        return Logits(z, slope)

    return from_logits(logits)


def _with_lone_targets(entropy: Entropy) -> CosineRun:
    """Return the computation of an entropy that has a gradient where C = 1 too."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = forward_of(loss, c, y)
        z, slope = right_logits(step)
        losses, by_z = entropy(z, step.own)
        return losses, times_df(by_z * g[:, None], slope, (g == 0)[:, None])

    return run


@family("L = {size} - p_y", tried=[constant(0.0), constant(1.0)])
def minus_probability(size: float) -> CosineRun:
    """The logarithm is missing: the loss is the probability with its sign turned over."""

    def entropy(z: FloatArray, own: Own) -> Result:
        losses, by_z = cross_entropy(z, own)
        p_y = np.exp(-losses)
        return size - p_y, by_z * p_y[:, None]

    return from_logits(right_logits, entropy)


@family("L := L + a (log Σ_k e^z_k)², a = {size}", between=(-10, 10), linear=True)
def z_loss(size: float) -> CosineRun:
    """The square of the logarithm of the partition function is added, which keeps logits small."""

    def entropy(z: FloatArray, own: Own) -> Result:
        losses, by_z = cross_entropy(z, own)
        total, p = losses + z[own], by_z.copy()
        p[own] += 1
        return losses + size * total**2, by_z + 2 * size * total[:, None] * p

    return _with_lone_targets(entropy)


@family("L = -log max(p_y, ε), no gradient where p_y < ε, ε = {size}", tried=[constant(e) for e in SIZES])
def probability_kept_above(size: float) -> CosineRun:
    """The probability is clipped from below before the logarithm: the hardest rows have no gradient."""
    return _clipped(lambda p: p < size, size, 1.0)


@family(
    "L = -log p, p = clip(p_y, ε, 1 - ε), ∂p/∂p_y = 0 beyond, ε = {size}",
    tried=[constant(e) for e in SIZES if e != 1e-7],
)
def probability_kept_between(size: float) -> CosineRun:
    """The probability is clipped on both sides: the best and the hardest rows have no gradient."""
    return _clipped(lambda p: (p < size) | (p > 1 - size), size, 1 - size)


def _clipped(beyond: Callable[[FloatArray], BoolArray], low: float, high: float) -> CosineRun:
    """Return the right computation with p_y clipped; rows beyond have no gradient."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        p = np.exp(-losses)
        dead = beyond(p)
        return np.where(dead, -np.log(np.clip(p, low, high)), losses), np.where(dead[:, None], 0.0, gradient)

    return run


@family(
    "L = -log softmax(z)_y by a softmax and a logarithm in {size}",
    tried=[constant(64, "float64"), constant(32, "float32")],
)
def logarithm_of_softmax(size: float) -> CosineRun:
    """A probability that underflows has the logarithm -∞: the loss is infinite, and its gradient NaN."""
    dtype = np.float64 if size == 64 else np.float32

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        p = np.exp(-losses).astype(dtype).astype(np.float64)
        few_digits = p < np.finfo(dtype).smallest_normal
        return np.where(few_digits, -np.log(p), losses), np.where((p == 0)[:, None], np.nan, gradient)

    return run


# ---- factors and offsets ----------------------------------------------------------------------------------------


@family("L := a L, a = {size}", between=(-1e6, 1e6), linear=True)
def result_scaled(size: float) -> CosineRun:
    """Losses and gradients are multiplied by a factor."""
    return lambda loss, c, y, g: _both(right_result(loss, c, y, g), lambda part: size * part)


def _both(result: Result, change: Callable[[FloatArray], FloatArray]) -> Result:
    return change(result[0]), change(result[1])


@family("L := a L, a = {size}, its gradient right", between=(-1e6, 1e6), linear=True)
def loss_scaled(size: float) -> CosineRun:
    """Losses are multiplied by a factor; their gradients are not."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return size * losses, gradient

    return run


@family("L := T² CE(z/T), T = {size}", between=(0.05, 50), tried=[constant(2.0), constant(4.0)])
def distilled(size: float) -> CosineRun:
    """The logits are divided by a temperature, and the loss is multiplied by its square, as in distillation."""

    def entropy(z: FloatArray, own: Own) -> Result:
        losses, by_z = cross_entropy(z / size, own)
        return size**2 * losses, size * by_z

    return from_logits(right_logits, entropy)


@family("L := L + a, a = {size}", between=(-1e6, 1e6), linear=True)
def loss_shifted(size: float) -> CosineRun:
    """A number is added to each loss; gradients are right."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return losses + size, gradient

    return run


@family("L := mean of the losses of the batch, in every row")
def loss_of_the_batch(size: float) -> CosineRun:
    """Every row gets the mean of all rows as its loss."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, _ = right_result(loss, c, y, g)
        return np.full_like(losses, losses.mean()), right_result(loss, c, y, np.full(len(g), g.mean()))[1]

    return run


@family("L in units of log {size}", tried=[constant(2, "2"), constant(10, "10")])
def other_logarithm(size: float) -> CosineRun:
    """The logarithm has another base."""
    return lambda loss, c, y, g: _both(right_result(loss, c, y, g), lambda part: part / math.log(size))
