"""Forms that no family has, and that change what is made of the logits: powers, sums, an ε in the logarithm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing.behaviour import CAP
from svref.conformance.diagnosing.forms import Form, Parts, Sizes, cross_entropy
from svref.conformance.diagnosing.of_families import SOFTMAX
from svref.reference import log_sum_exp, softplus

RIGHT = "log Σ e^{z_k} - z_y"
EPSILONS = ((1e-2,), (1e-5,), (1e-8,), (1e-12,), (1e-30,))


def _of_loss(function: Callable[[FloatArray, Sizes], FloatArray]) -> Callable[[Parts, Sizes], FloatArray]:
    """Return the losses that are a function of the paper's, and of sizes."""
    return lambda parts, v: function(cross_entropy(parts.logits(), parts.own), v)


def _binary(parts: Parts, v: Sizes) -> FloatArray:
    """Return the sum of one binary cross entropy a class, times a size."""
    signed = parts.logits()
    signed[parts.own] *= -1
    return v[0] * softplus(signed).sum(axis=1)


def _less_entropy(parts: Parts, v: Sizes) -> FloatArray:
    """Return the loss less a multiple of the entropy of the softmax."""
    z = parts.logits()
    log_p = z - log_sum_exp(z)[:, None]
    return cross_entropy(z, parts.own) + v[0] * (np.exp(log_p) * log_p).sum(axis=1)


def _said(answer: str, question: str = SOFTMAX) -> tuple[tuple[str, str], ...]:
    return ((question, answer),)


FORMS_OF_LOSSES = (
    Form(_said("L := L^a, a = {0}"), _of_loss(lambda losses, v: losses ** v[0]), ((2.0,), (0.5,))),
    Form(
        _said("L := L + a (1 - p_y), a = {0}"), _of_loss(lambda losses, v: losses - v[0] * np.expm1(-losses)), ((1.0,),)
    ),
    Form(
        _said("L = (1 - p_y^a)/a, a = {0}"),
        _of_loss(lambda losses, v: -np.expm1(-v[0] * losses) / v[0]),
        ((0.7,), (0.1,)),
    ),
    Form(_said("L less a times the entropy of the softmax, a = {0}"), _less_entropy, ((0.1,), (1.0,))),
    Form(_said("a Σ_k of binary cross entropies, a = {0}"), _binary, ((1.0,), (0.1,))),
    Form(
        _said("L = -log(p_y + ε), ε = {0}", CAP),
        _of_loss(lambda losses, v: -np.log(np.exp(-losses) + v[0])),
        EPSILONS,
        positive=True,
        deviation="eps-in-log",
    ),
    Form(
        _said("L := a (1 - p_y)^γ L, γ = {0}, a = {1}"),
        _of_loss(lambda losses, v: v[1] * (-np.expm1(-losses)) ** v[0] * losses),
        ((2.0, 1.0), (0.5, 1.0)),
    ),
)
