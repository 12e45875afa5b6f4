"""Mistakes in the head: on the way from embeddings and weights to cosines, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import normalisation, target, which
from svref.deviations.kinds import changed_head
from svref.deviations.logits import right_result
from svref.deviations.normalisation import HeadRun, head_around
from svref.loss import SVXSoftmax

NORM_EPS = 1e-7

HeadResult = tuple[FloatArray, FloatArray, FloatArray]


@changed_head(
    "c_k = <x̂, w_k>",
    "cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py",
    "ZhaoJ9014/face.evoLVe:paddle/head/metrics.py",
)
def weights_not_normalised(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The length of each weight scales the logit of its class, and the gradient by w is not orthogonal to w."""
    return head_around(right_result, of_weights=normalisation.unchanged)(loss, x, w, y, g)


@changed_head("c_k = <x, ŵ_k>", "cavalleria/cavaface:head/metrics.py")
def embeddings_not_normalised(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The code leaves normalising to its caller. Without it, cosines are |x| times too large."""
    return head_around(right_result, of_embeddings=normalisation.unchanged)(loss, x, w, y, g)


@changed_head(
    "c_k = clip(<x, ŵ_k>, -1, 1), ∂c/∂c = 0 beyond",
    "xiaoboCASIA/SV-X-Softmax:fc_layers.py",
    "tiandunx/SV-X-Softmax:svfc.py",
    "TreB1eN/InsightFace_Pytorch:model.py",
    applies=which.needs_no_angle,
)
def embeddings_not_normalised_clipped(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """As embeddings-not-normalised, and products beyond ±1 are clipped, so that they have no gradient."""
    return head_around(right_result, of_embeddings=normalisation.unchanged, clipped=True)(loss, x, w, y, g)


@changed_head("ŵ_kd = w_kd / sqrt(Σ_j w_jd²)", "ZhaoJ9014/face.evoLVe:paddle/head/metrics.py")
def wrong_axis_normalised(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The weights are normalised over the classes, one coordinate at a time, so that c_k is no cosine."""
    return head_around(right_result, of_weights=normalisation.by_column)(loss, x, w, y, g)


@changed_head(
    "x̂ = x/(|x| + 1e-7), ŵ_k = w_k/(|w_k| + 1e-7)",
    "xiaojieli0903/Lipreading_using_TCN:lipreading/losses/combine_margin_loss.py",
)
def eps_in_norm(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """Cosines are too small by the shares ε/|w| and ε/|x|.

    For short vectors that is much; for others it shows in float64 alone.
    """
    return with_norm_eps(NORM_EPS)(loss, x, w, y, g)


def with_norm_eps(eps: float, under_root: bool = False) -> HeadRun:
    """Return the head that adds ε to the lengths it divides by, or to their squares if `under_root`."""
    with_eps = normalisation.by_length_plus(eps, under_root)
    return head_around(right_result, with_eps, with_eps)


@changed_head("∂L/∂x = Σ_k g_k ŵ_k/|x|, ∂L/∂w_k = Σ_b g_bk x̂_b/|w_k|")
def radial_gradient_kept(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The lengths are constants in the backward pass.

    Gradients by x and w have parts along x and w, where none should be.
    """
    constant = normalisation.by_constant_length
    return head_around(right_result, constant, constant)(loss, x, w, y, g)


@changed_head(
    "z_k = |x| c_k + log h_k, z_y = |x| f",
    "wy1iu/sphereface",
    "clcarwin/sphereface_pytorch",
    "KevinMusgrave/pytorch-metric-learning",
)
def s_is_the_norm(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The embedding's length takes the place of s, as in the A-Softmax paper: the gradient by x has a part along x."""
    s, by_s = normalisation.lengths(x)[:, 0], np.empty(len(x))

    def scaled(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
        losses, gradient = np.empty(len(c)), np.empty_like(c)
        for b in range(len(c)):
            row, of_length = slice(b, b + 1), replace(loss, s=s[b])
            step = of_length.forward(c[row], y[row])
            gradients = of_length.backward(step, g[row])
            losses[row], gradient[row], by_s[row] = step.loss, gradients.cosines, gradients.s
        return losses, gradient

    losses, by_x, by_w = head_around(scaled)(loss, x, w, y, g)
    return losses, by_x + by_s[:, None] * x / s[:, None], by_w


@changed_head(
    "∂L/∂w from df/dc = 1, ∂L/∂x right",
    "wy1iu/sphereface, margin_inner_product_layer.cpp",
    applies=target.straight_through_angle.applies,
)
def weight_gradient_without_margin(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """A hand-written backward leaves the margin's slope df/dc out of the gradient by the weights."""
    losses, by_x, _ = head_around(right_result)(loss, x, w, y, g)
    return losses, by_x, target.straight_through_angle.on_head(loss, x, w, y, g)[2]


@changed_head("∂L/∂w = 0", "jonasgrebe/pt-femb-face-embeddings#3")
def weights_detached(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The gradient does not reach the weights: they are detached, or copied into a new parameter in each call.

    They keep their initial values in training.
    """
    losses, by_x, by_w = head_around(right_result)(loss, x, w, y, g)
    return losses, by_x, np.zeros_like(by_w)


@changed_head("∂L/∂x = 0")
def embeddings_detached(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The gradient does not reach the embeddings, so that the network before the head learns nothing."""
    losses, by_x, by_w = head_around(right_result)(loss, x, w, y, g)
    return losses, np.zeros_like(by_x), by_w
