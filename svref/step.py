"""One pass of the three stages over valid arrays: every quantity by its name, and the way back.

`SVXSoftmax` checks what users pass and calls these functions; so does the head, with angles it measured itself,
and so do judges, with decisions turned over that lie within rounding of their boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.emphasis import SupportVectors
from svref.engine import kernels
from svref.margins import Angle, Margin


@dataclass(frozen=True, eq=False)
class Step:
    """One forward pass; `SVXSoftmax.backward` takes it back.

    All public quantities have the dtype of the cosines; the rows behind them are float64. `cosines` is the
    caller's array, not a copy: leave it alone until the backward pass is done.

    Parameters
    ----------
    margin, emphasis, s : Margin, SupportVectors, float
        The parts of the loss that made the step.
    cosines : array, shape (B, C)
        As given.
    labels : array of intp, shape (B,)
        Class indices; 0 in ignored rows.
    counted : array of bool, shape (B,), or None
        The rows that count; None is all of them.
    angle : Angle
        The targets' cosines and sines, float64.
    mask : array of bool, shape (B, C)
        I, the support vectors.
    relative_logits : array, shape (B, C)
        r, with -inf in the label's column.
    weights : array, shape (B, C)
        exp(r - P), the exponentials behind every probability and gradient.
    target : kernels.Target
        f and the boundary of the support vectors, as stage 2 takes them.
    mass : kernels.Mass
        (P, T) of each row, float64.
    """

    margin: Margin
    emphasis: SupportVectors
    s: float
    cosines: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    counted: BoolArray | None = field(repr=False)
    angle: Angle = field(repr=False)
    mask: BoolArray = field(repr=False)
    relative_logits: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    target: kernels.Target = field(repr=False)
    mass: kernels.Mass = field(repr=False)

    @property
    def target_cosine(self) -> FloatArray:
        """The target's cosine, c_y, shape (B,)."""
        return self.in_dtype(self.angle.cosine)

    @property
    def margin_cosine(self) -> FloatArray:
        """The target's cosine after the margin, f, shape (B,)."""
        return self.in_dtype(self.target.f)

    @property
    def boundary(self) -> FloatArray:
        """What a negative must exceed to be a support vector, rounded down to the dtype of the cosines, shape (B,)."""
        return self.target.boundary

    @cached_property
    def log_h(self) -> FloatArray:
        """The logarithm of the emphasis, log h, shape (B, C); 0 in the label's column."""
        log_h = self.s * self.emphasis.raised(self.cosines, self.emphasis.lift(self.mask, self.cosines.dtype))
        return np.where(self.mask, log_h, self.cosines.dtype.type(0))

    @property
    def log_odds_against(self) -> FloatArray:
        """The log-odds against the target, a, shape (B,); -inf where C = 1."""
        return self.in_dtype(self.log_odds)

    @cached_property
    def log_odds(self) -> FloatArray:
        """The log-odds a before they are rounded to the dtype of the cosines, float64, shape (B,)."""
        return kernels.log_odds_against(self.mass)

    @property
    def loss(self) -> FloatArray:
        """The losses, L = log(1 + exp a), shape (B,); 0 in ignored rows."""
        return self.in_dtype(losses(self))

    @cached_property
    def probabilities(self) -> FloatArray:
        """The probabilities, p, shape (B, C), with 1/(1 + exp a) in the label's column."""
        with np.errstate(under="ignore"):
            p = _negatives(self, target_error(self))
            p[self.own] = self.in_dtype(kernels.target_error(-self.log_odds))[self.own.rows]
        return p

    @property
    def own(self) -> kernels.Own:
        """The entries in the label columns, as an index."""
        return kernels.own_entries(self.labels, slice(0, self.cosines.shape[1]))

    def in_dtype(self, rows: FloatArray) -> FloatArray:
        """Return `rows` in the dtype of the cosines, without a negative zero."""
        with np.errstate(under="ignore"):
            return np.asarray(rows.astype(self.cosines.dtype) + self.cosines.dtype.type(0))


@dataclass(frozen=True, eq=False)
class Gradients:
    """The backward pass of one step, in the dtype of the cosines.

    Parameters
    ----------
    cosines : array, shape (B, C)
        dL/dc.
    s, t : array, shape (B,)
        Each row's derivative by the scale, and by the strength of the emphasis.
    margin : dict of arrays, shape (B,)
        Each row's derivative by each real parameter of the margin; empty for none and A.
    """

    cosines: FloatArray
    s: FloatArray
    t: FloatArray
    margin: dict[str, FloatArray]


def forward(
    margin: Margin,
    emphasis: SupportVectors,
    s: float,
    cosines: FloatArray,
    labels: IntArray,
    counted: BoolArray | None = None,
    *,
    angle: Angle | None = None,
    flipped: BoolArray | None = None,
) -> Step:
    """Run stages 1 and 2; `angle` replaces that of the cosines, `flipped` turns mask decisions over."""
    own = kernels.own_entries(labels, slice(0, cosines.shape[1]))
    with np.errstate(under="ignore"):
        angle = angle or Angle.from_cosine(cosines[own])
        target = kernels.target(margin, emphasis, angle, cosines.dtype)
        mask = kernels.support_mask(cosines, target, own)
        if flipped is not None:
            mask ^= flipped
        r = kernels.gaps(cosines, target, own)
        kernels.raise_(r, cosines, kernels.support(cosines, mask, emphasis), emphasis)
        r *= s
        weights, mass = kernels.weights(r.copy(), r.max(axis=1))
    return Step(margin, emphasis, s, cosines, labels, counted, angle, mask, r, weights, target, mass)


def losses(step: Step) -> FloatArray:
    """Return the losses in float64, 0 in ignored rows."""
    with np.errstate(under="ignore"):
        losses = kernels.loss(step.log_odds)
    return losses if step.counted is None else np.where(step.counted, losses, 0.0)


def cosine_gradient(step: Step, g: FloatArray) -> FloatArray:
    """Return dL/dc (equations 17 and 18) for the cotangents g of the rows."""
    gradient = negatives_gradient(step, g)
    with np.errstate(under="ignore"):
        slope = step.margin.by_cosine(step.angle)
    gradient[step.own] = target_gradient(step, g, slope)[step.own.rows]
    return gradient


def negatives_gradient(step: Step, g: FloatArray) -> FloatArray:
    """Return dL/dc_k of the negatives (equation 17), 0 in the label's column, without a negative zero."""
    with np.errstate(under="ignore"):
        gradient = _negatives(step, step.s * target_error(step) * g)
        kernels.steepen(gradient, kernels.support(step.cosines, step.mask, step.emphasis), step.emphasis)
    gradient += 0.0
    return gradient


def target_gradient(step: Step, g: FloatArray, derivative: FloatArray) -> FloatArray:
    """Return dL/dx of the target (equations 18, 21 and 38) from df/dx, in the dtype of the cosines."""
    dead = (g == 0) | (step.mass.total == 0)
    with np.errstate(under="ignore"):
        return step.in_dtype(kernels.target_gradient(-step.s * target_error(step) * g, derivative, dead))


def gradients(step: Step, g: FloatArray) -> Gradients:
    """Return all gradients of Σ g_b L_b."""
    with np.errstate(under="ignore"):
        by_margin = step.margin.by_parameter(step.angle)
    return Gradients(
        cosines=cosine_gradient(step, g),
        s=scale_gradient(step, g),
        t=emphasis_gradient(step, g),
        margin={name: target_gradient(step, g, derivative) for name, derivative in by_margin.items()},
    )


def scale_gradient(step: Step, g: FloatArray) -> FloatArray:
    """Return each row's dL/ds = Σ p_k r_k / s (equation 19)."""
    return _row_gradient(step, g / step.s, kernels.finite_or_zero(step.relative_logits))


def emphasis_gradient(step: Step, g: FloatArray) -> FloatArray:
    """Return each row's dL/dt = Σ p_k dlog h_k/dt (equation 20)."""
    return _row_gradient(step, g, step.s * step.emphasis.raised(step.cosines, step.mask))


def _row_gradient(step: Step, g: FloatArray, derivative: FloatArray) -> FloatArray:
    """Return each row's Σ p_k dr_k/dx g, from shares, which do not underflow where p does."""
    with np.errstate(under="ignore"):
        shares = _negatives(step, np.ones(len(g)))
        return step.in_dtype(np.sum(shares * derivative, axis=1, dtype=np.float64) * target_error(step) * g)


def target_error(step: Step) -> FloatArray:
    """Return q = 1 - p_y (equation 15) in float64."""
    with np.errstate(under="ignore"):
        return kernels.target_error(step.log_odds)


def _negatives(step: Step, rows: FloatArray) -> FloatArray:
    """Return each negative's share exp(r_k - a) of `rows`, 0 in the label's column."""
    negatives = step.weights.copy()
    kernels.multiply_rows(negatives, rows * kernels.share(step.mass, step.mass))
    return negatives
