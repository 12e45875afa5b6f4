"""Forms that change what is made of the logits: smoothed labels, focal weights, a second softmax, a factor, a cap."""

from __future__ import annotations

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing.behaviour import CAP
from svref.conformance.diagnosing.forms import Form, Own, Sizes, cross_entropy
from svref.reference import log_sum_exp, softplus

SOFTMAX = "the loss of the logits"
RIGHT = "log Σ e^{z_k} - z_y"
SMOOTHING = "label smoothing: (1-ε) L +"
CLIPPED = "p_y := clip(p_y, ε, 1 - ε), ε = {0}"

FACTORS = ((0.1,), (1.0,), (10.0,))
EPSILONS = ((1e-2,), (1e-5,), (1e-8,), (1e-12,), (1e-30,))


def _scaled(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return v[0] * cross_entropy(z, own)


def _moved(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return cross_entropy(z, own) + v[0]


def _smoothed(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    """Return the cross entropy against 1 - ε + ε/C for the label and ε/C for each other class."""
    return (1 - v[0]) * cross_entropy(z, own) + v[0] * (log_sum_exp(z) - z.mean(axis=1))


def _smoothed_others(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    """Return the cross entropy against 1 - ε for the label and ε/(C - 1) for each other class."""
    others = (z.sum(axis=1) - z[own]) / (z.shape[1] - 1)
    return (1 - v[0]) * cross_entropy(z, own) + v[0] * (log_sum_exp(z) - others)


def _focal(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    losses = cross_entropy(z, own)
    return (-np.expm1(-losses)) ** v[0] * losses


def _weighted_focal(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return v[1] * _focal(z, own, v)


def _softmax(z: FloatArray) -> FloatArray:
    return np.exp(z - log_sum_exp(z)[:, None])


def _twice(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return cross_entropy(_softmax(z), own)


def _without_target(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    others = z.copy()
    others[own] = -np.inf
    return log_sum_exp(others) - z[own]


def _with_eps(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return -np.log(np.exp(-cross_entropy(z, own)) + v[0])


def _clipped(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    """Return the loss of a probability that is kept between ε and 1 - ε."""
    return -np.log(np.clip(np.exp(-cross_entropy(z, own)), v[0], 1 - v[0]))


def _raised(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return -np.log(np.maximum(np.exp(-cross_entropy(z, own)), v[0]))


def _power(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return cross_entropy(z, own) ** v[0]


def _poly(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    losses = cross_entropy(z, own)
    return losses - v[0] * np.expm1(-losses)


def _generalised(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return -np.expm1(-v[0] * cross_entropy(z, own)) / v[0]


def _one_less_p(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    return -np.expm1(-cross_entropy(z, own))


def _binary(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    """Return the sum of one binary cross entropy a class, times a size."""
    signed = z.copy()
    signed[own] *= -1
    return v[0] * softplus(signed).sum(axis=1)


def _less_entropy(z: FloatArray, own: Own, v: Sizes) -> FloatArray:
    """Return the loss less a multiple of the entropy of the softmax."""
    p, log_p = _softmax(z), z - log_sum_exp(z)[:, None]
    return cross_entropy(z, own) + v[0] * (p * log_p).sum(axis=1)


def _said(answer: str, question: str = SOFTMAX) -> tuple[tuple[str, str], ...]:
    return ((question, answer),)


FORMS_OF_LOSSES = (
    Form(_said("softmax twice: log Σ e^{p_k} - p_y"), after=_twice, is_common=True),
    Form(_said("log Σ_{k≠y} e^{z_k} - z_y: the target is left out of the sum"), after=_without_target, is_common=True),
    Form(_said("1 - p_y, without a logarithm"), after=_one_less_p),
    Form(_said("a L with a = {0}"), FACTORS, after=_scaled, is_common=True, positive=True),
    Form(_said("L + b with b = {0}"), ((0.0,),), after=_moved, is_common=True),
    Form(
        _said("label smoothing: (1-ε) L + ε/C Σ_k (-log p_k), ε = {0}"),
        ((0.1,), (0.5,)),
        after=_smoothed,
        is_common=True,
    ),
    Form(
        _said(f"{SMOOTHING} ε/(C-1) Σ_{{k≠y}} (-log p_k), ε = {{0}}"),
        ((0.1,), (0.5,)),
        after=_smoothed_others,
    ),
    Form(_said("focal: (1 - p_y)^γ L, γ = {0}"), ((2.0,), (0.5,), (5.0,)), after=_focal, is_common=True),
    Form(_said("L^a with a = {0}"), ((2.0,), (0.5,)), after=_power),
    Form(_said("L + a (1 - p_y) with a = {0}"), ((1.0,),), after=_poly),
    Form(_said("(1 - p_y^a)/a with a = {0}"), ((0.7,), (0.1,)), after=_generalised),
    Form(_said("L less a times the entropy of the softmax, a = {0}"), ((0.1,), (1.0,)), after=_less_entropy),
    Form(_said("a Σ_k of binary cross entropies, a = {0}"), ((1.0,), (0.1,)), after=_binary),
    Form(_said("L = -log(p_y + ε), ε = {0}", CAP), EPSILONS, positive=True, after=_with_eps, deviation="eps-in-log"),
    Form(_said("L = -log max(p_y, ε), ε = {0}", CAP), EPSILONS, positive=True, after=_raised, deviation="loss-capped"),
    Form(
        _said("p_y := clip(p_y, ε, 1 - ε), ε = {0}", CAP),
        EPSILONS,
        positive=True,
        after=_clipped,
        deviation="probability-clipped",
    ),
    Form(_said("focal: a (1 - p_y)^γ L, γ = {0}, a = {1}"), ((2.0, 1.0), (0.5, 1.0)), after=_weighted_focal),
)
