"""Deviations of the head: on the way from embeddings and weights to cosines, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import normalisation as by
from svref.deviations import which
from svref.deviations.kinds import changed_head
from svref.deviations.logits import right
from svref.deviations.normalisation import HeadRun, through
from svref.deviations.target import straight_through_angle
from svref.loss import SVXSoftmax

NORM_EPS = 1e-7

HeadResult = tuple[FloatArray, FloatArray, FloatArray]


@changed_head(
    "c_k = <x̂, w_k>",
    "cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py",
    "ZhaoJ9014/face.evoLVe:paddle/head/metrics.py",
)
def weights_not_normalised(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """Each class has a scale of its own, and the gradient by w is not orthogonal to w."""
    return through(right, of_weights=by.as_it_is)(loss, x, w, y, g)


@changed_head("c_k = <x, ŵ_k>", "cavalleria/cavaface:head/metrics.py")
def embeddings_not_normalised(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """Code that leaves normalising to its caller: cosines are |x| times too large."""
    return through(right, of_embeddings=by.as_it_is)(loss, x, w, y, g)


@changed_head(
    "c_k = clip(<x, ŵ_k>, -1, 1), ∂c/∂c = 0 beyond",
    "xiaoboCASIA/SV-X-Softmax:fc_layers.py",
    "tiandunx/SV-X-Softmax:svfc.py",
    "TreB1eN/InsightFace_Pytorch:model.py",
    applies=which.without_angle,
)
def embeddings_not_normalised_clipped(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """As embeddings-not-normalised, and what is clipped to a cosine is a constant without gradient."""
    return through(right, of_embeddings=by.as_it_is, clipped=True)(loss, x, w, y, g)


@changed_head("ŵ_kd = w_kd / sqrt(Σ_j w_jd²)", "ZhaoJ9014/face.evoLVe:paddle/head/metrics.py")
def wrong_axis_normalised(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The weights are normalised over the classes, a coordinate at a time, so that c_k is no cosine."""
    return through(right, of_weights=by.by_column)(loss, x, w, y, g)


@changed_head(
    "x̂ = x/(|x| + 1e-7), ŵ_k = w_k/(|w_k| + 1e-7)",
    "xiaojieli0903/Lipreading_using_TCN:lipreading/losses/combine_margin_loss.py",
)
def eps_in_norm(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """Cosines are too small by shares ε/|w| and ε/|x|: much for short vectors, and no digits of float64 beyond ε."""
    return with_norm_eps(NORM_EPS)(loss, x, w, y, g)


def with_norm_eps(eps: float, under_root: bool = False) -> HeadRun:
    """Return the head that adds ε to the lengths it divides by, or to their squares."""
    longer = by.by_length_plus(eps, under_root)
    return through(right, longer, longer)


@changed_head("∂L/∂x = Σ_k g_k ŵ_k/|x|, ∂L/∂w_k = Σ_b g_bk x̂_b/|w_k|")
def radial_gradient_kept(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The lengths are constants in the backward pass: <x, ∂L/∂x> and <w, ∂L/∂w> are not 0."""
    return through(right, by.by_constant_length, by.by_constant_length)(loss, x, w, y, g)


@changed_head(
    "z_k = |x| c_k + log h_k, z_y = |x| f",
    "wy1iu/sphereface",
    "clcarwin/sphereface_pytorch",
    "KevinMusgrave/pytorch-metric-learning",
)
def s_is_the_norm(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """The embedding's length takes the place of s, as in the A-Softmax paper: the gradient by x has a radial part."""
    s, by_s = by.lengths(x)[:, 0], np.empty(len(x))

    def scaled(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
        losses, gradient = np.empty(len(c)), np.empty_like(c)
        for b in range(len(c)):
            row, of_length = slice(b, b + 1), replace(loss, s=s[b])
            step = of_length.forward(c[row], y[row])
            gradients = of_length.backward(step, g[row])
            losses[row], gradient[row], by_s[row] = step.loss, gradients.cosines, gradients.s
        return losses, gradient

    losses, by_x, by_w = through(scaled)(loss, x, w, y, g)
    return losses, by_x + by_s[:, None] * x / s[:, None], by_w


@changed_head(
    "∂L/∂w from df/dc = 1, ∂L/∂x right",
    "wy1iu/sphereface, margin_inner_product_layer.cpp",
    applies=straight_through_angle.applies,
)
def weight_gradient_without_margin(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """A hand-written backward leaves the margin's slope out of the gradient by the weights."""
    losses, by_x, _ = through(right)(loss, x, w, y, g)
    return losses, by_x, straight_through_angle.on_head(loss, x, w, y, g)[2]
