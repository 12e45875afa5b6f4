"""One pass of the three stages over valid arrays: every quantity by its name, and the way back.

`SVXSoftmax` checks what users pass and calls these functions; so does the head, with angles it measured itself,
and so do judges, with decisions turned over that lie within rounding of their boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from svref import stages
from svref.emphasis import SupportVectors
from svref.inputs import BoolArray, FloatArray, IntArray
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
    rows : tuple of two float64 arrays, shape (B,)
        f and a before they are rounded to the dtype of the cosines.
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
    rows: tuple[FloatArray, FloatArray] = field(repr=False)

    @property
    def target_cosine(self) -> FloatArray:
        """The target's cosine, c_y, shape (B,)."""
        return self.in_dtype(self.angle.cosine)

    @property
    def margin_cosine(self) -> FloatArray:
        """The target's cosine after the margin, f, shape (B,)."""
        return self.in_dtype(self.rows[0])

    @property
    def boundary(self) -> FloatArray:
        """What a negative must exceed to be a support vector, float64, shape (B,)."""
        return stages.boundary(self.margin, self.emphasis, self.angle)

    @cached_property
    def log_h(self) -> FloatArray:
        """The logarithm of the emphasis, log h, shape (B, C); 0 in the label's column."""
        return self.emphasis.log_h(self.cosines, self.mask, self.s)

    @property
    def log_odds_against(self) -> FloatArray:
        """The log-odds against the target, a, shape (B,); -inf where C = 1."""
        return self.in_dtype(self.rows[1])

    @property
    def loss(self) -> FloatArray:
        """The losses, L = log(1 + exp a), shape (B,); 0 in ignored rows."""
        return self.in_dtype(losses(self))

    @cached_property
    def probabilities(self) -> FloatArray:
        """The probabilities, p, shape (B, C), with 1/(1 + exp a) in the label's column."""
        with np.errstate(under="ignore"):
            p = _share(self) * self.in_dtype(target_error(self))[:, None]
            p[self.own] = self.in_dtype(stages.target_error(-self.rows[1]))[self.own.rows]
        return p

    @property
    def own(self) -> stages.Own:
        """The entries in the label columns, as an index."""
        return stages.own_entries(self.labels, 0, self.cosines.shape[1])

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
    own = stages.own_entries(labels, 0, cosines.shape[1])
    with np.errstate(under="ignore"):
        angle = angle or Angle.from_cosine(cosines[own])
        f = margin.value(angle)
        mask = stages.support_mask(cosines, stages.boundary(margin, emphasis, angle), own)
        if flipped is not None:
            mask ^= flipped
        r = stages.relative_logits(cosines, f, mask, own, emphasis, s)
        a = stages.log_odds_against(stages.mass(r))
    return Step(margin, emphasis, s, cosines, labels, counted, angle, mask, r, (f, a))


def losses(step: Step) -> FloatArray:
    """Return the losses in float64, 0 in ignored rows."""
    with np.errstate(under="ignore"):
        losses = stages.loss(step.rows[1])
    return losses if step.counted is None else np.where(step.counted, losses, 0.0)


def reduced(step: Step, weights: FloatArray, reduction: str) -> Any:
    """Return what `reduction` makes of the losses, in the dtype of the cosines."""
    if reduction == "none":
        return step.loss
    with np.errstate(under="ignore"):
        return step.cosines.dtype.type(np.sum(losses(step) * weights))


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
        weight = step.s * target_error(step) * g
        gradient = stages.cosine_gradient(_share(step), weight, step.mask, step.emphasis)
    gradient += 0.0
    return gradient


def target_gradient(step: Step, g: FloatArray, derivative: FloatArray) -> FloatArray:
    """Return dL/dx of the target (equations 18, 21 and 38) from df/dx, in the dtype of the cosines."""
    dead = (g == 0) | np.isneginf(step.rows[1])
    with np.errstate(under="ignore"):
        return step.in_dtype(stages.target_gradient(-step.s * target_error(step) * g, derivative, dead))


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
    with np.errstate(under="ignore"):
        sums = stages.scale_sums(_share(step), step.relative_logits, step.own)
        return step.in_dtype(sums * target_error(step) * g / step.s)


def emphasis_gradient(step: Step, g: FloatArray) -> FloatArray:
    """Return each row's dL/dt = Σ p_k dlog h_k/dt (equation 20)."""
    with np.errstate(under="ignore"):
        by_t = step.emphasis.by_t(step.cosines, step.mask, step.s)
        return step.in_dtype(stages.emphasis_sums(_share(step), by_t) * target_error(step) * g)


def target_error(step: Step) -> FloatArray:
    """Return q = 1 - p_y (equation 15) in float64."""
    with np.errstate(under="ignore"):
        return stages.target_error(step.rows[1])


def _share(step: Step) -> FloatArray:
    return stages.share(step.relative_logits, step.rows[1])
