"""Mistakes in the gradient alone: backward passes written by hand, and clamps, which take gradients away."""

from __future__ import annotations

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations.kinds import changed_result
from svref.deviations.logits import CosineRun, Result, forward_of, is_own, right_logits, right_result
from svref.loss import SVXSoftmax
from svref.reference import times_df

CLAMP = 1 - 1e-7


@changed_result("∂L/∂c := -∂L/∂c")
def gradient_sign_flipped(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """A hand-written backward returns onehot - p in place of p - onehot: training climbs the loss."""
    losses, gradient = right_result(loss, c, y, g)
    return losses, -gradient


@changed_result("∂L/∂z_y = p_y in place of p_y - 1")
def one_hot_not_subtracted(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """A hand-written backward returns p in place of p - onehot: the target is pushed away like a negative."""
    losses, gradient = right_result(loss, c, y, g)
    step, by_z = forward_of(loss, c, y), g * np.exp(-losses)
    gradient[step.own] = times_df(by_z, right_logits(step).slope[step.own], by_z == 0)
    return losses, gradient


@changed_result("∂L/∂c_y = 0")
def target_detached(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """The target is a constant in the backward pass: embeddings are never pulled to their class."""
    losses, gradient = right_result(loss, c, y, g)
    return losses, np.where(is_own(c, y), 0.0, gradient)


@changed_result("∂L/∂c_k = 0, k ≠ y")
def negatives_detached(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """The negatives are constants in the backward pass: their classes are never pushed away."""
    losses, gradient = right_result(loss, c, y, g)
    return losses, np.where(is_own(c, y), gradient, 0.0)


@changed_result("∂L/∂c_k = p_k t^I_k, ∂L/∂c_y = -q f'", applies=lambda loss: loss.s != 1)
def s_lost_in_gradient(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """A hand-written backward returns the derivative by s c, not by c: gradients are s times too small."""
    losses, gradient = right_result(loss, c, y, g)
    return losses, gradient / loss.s


@changed_result("∂L/∂c / B, L_b right")
def gradient_of_the_mean(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Losses are those of the rows, but the gradient is that of their mean: it is B times too small."""
    losses, gradient = right_result(loss, c, y, g)
    return losses, gradient / len(y)


@changed_result("∂ Σ_b L_b/∂c in place of ∂ Σ_b g_b L_b/∂c")
def ignored_cotangent(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """A hand-written backward ignores the gradient of what follows the loss.

    It is wrong as soon as rows are weighted.
    """
    return right_result(loss, c, y, np.ones(len(y)))


@changed_result("c := clip(c, -1 + 1e-7, 1 - 1e-7), ∂c/∂c = 0 beyond", "speechbrain/speechbrain, AdditiveAngularMargin")
def clamp_kills_gradient(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Cosines beyond the clamp have the gradient 0. At c_y = ±1 the target's logit moves too, by s sin m sqrt(2 ε)."""
    return clamped(CLAMP, of_target=False)(loss, c, y, g)


@changed_result(
    "c_y := clip(c_y, -1 + 1e-7, 1 - 1e-7), ∂c_y/∂c_y = 0 beyond",
    "cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py",
    "4uiiurz1/keras-arcface:metrics.py",
)
def clamp_of_target_kills_gradient(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """As clamp-kills-gradient, but only the target is clamped: negatives at ±1 are right."""
    return clamped(CLAMP, of_target=True)(loss, c, y, g)


def clamped(edge: float, of_target: bool) -> CosineRun:
    """Return the computation that clips cosines, or only the target's, to ±edge; clipped ones have no gradient."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        touched = is_own(c, y) if of_target else np.ones(c.shape, dtype=bool)
        clipped = np.where(touched, np.clip(c, -edge, edge), c)
        losses, gradient = right_result(loss, clipped, y, g)
        return losses, np.where(clipped == c, gradient, 0.0)

    return run


@changed_result("c := clip(c, -1, 1), ∂c/∂c = 1/2 at ±1, 0 beyond", "jax.numpy.clip, in any head that uses it")
def clip_halves_at_ends(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
    """Cosines at ±1 have half their gradient, because JAX splits the gradient of a tie in min and max."""
    losses, gradient = right_result(loss, np.clip(c, -1, 1), y, g)
    halved = np.where(np.abs(c) == 1, gradient / 2, gradient)
    return losses, np.where(np.abs(c) > 1, 0.0, halved)
