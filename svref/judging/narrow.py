r"""What stages narrower than the softmax add to a tolerance: each its own sensitivity times its own unit roundoff.

    tolerance = equation 40 with the u of the softmax + 8 Σ_stage (u_stage - u)_+ K_stage        (equation 45)

The stages are the operands of the product and stored cosines (`condition.product_error`), the logits with the margin
and the emphasis, the losses, and the gradients. A target's gradient is judged on the scale of q = 1 - p_y: only the
softmax forms p_y - 1. Logits that every formulation gets without rounding add nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.formats import format_of, holds
from svref.head import HeadGradients
from svref.head.geometry import Directions
from svref.judging import condition
from svref.judging.condition import SLACK, by_logits, carried, cosine_sensitivities, excess, unit_roundoff
from svref.judging.figures import figures, steepness
from svref.judging.precision import Precision, precision_of
from svref.margins import Combined, Margin
from svref.reference import Step, backward, sigmoid


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How far errors of one unit in every logit move the outputs, to first order.

    Parameters
    ----------
    loss : array, shape (B,)
        The losses.
    cosines : array, shape (B, C)
        The gradient by the cosines, for a cotangent of one.
    """

    loss: FloatArray
    cosines: FloatArray


@np.errstate(under="ignore", over="ignore")
def allowed(step: Step, g: FloatArray, precision: Precision | DTypeLike) -> tuple[FloatArray, FloatArray]:
    """Return the tolerances of the losses (B,), and of the gradient by the cosines (B, C) for the cotangents g."""
    plan, size = precision_of(precision), np.abs(g)[:, None]
    at, args = condition.scales(step, plan), (step.cosines.shape[1], step.s, step.emphasis.t, plan)
    loss, gradient = condition.tolerance(at.loss, *args), condition.tolerance(at.cosines, *args, size)
    if plan.is_uniform:
        return loss, gradient
    narrow, logits = of_logits(step, plan), excess(plan.logits, plan.softmax)
    stored = excess(plan.gradient, plan.softmax) * finite(np.abs(backward(step, g).cosines))
    return (  # (45)
        loss + SLACK * logits * narrow.loss + _stored_losses(step, plan),
        gradient + SLACK * (logits * narrow.cosines * size + stored) + _lost_gradient(step, g, plan),
    )


@np.errstate(under="ignore", over="ignore")
def allowed_at_head(
    step: Step, rows: Directions, classes: Directions, g: FloatArray, precision: Precision | DTypeLike
) -> tuple[FloatArray, HeadGradients]:
    """Return the tolerances of the losses of a head, and of both gradients of Σ g_b L_b."""
    plan = precision_of(precision)
    loss, by = condition.head_scales(step, rows, classes, g, plan)
    args = (len(classes.unit), step.s, step.emphasis.t, plan)
    loss = condition.tolerance(loss, *args)
    by = HeadGradients(condition.tolerance(by.embeddings, *args), condition.tolerance(by.weights, *args))
    if plan.is_uniform:
        return loss, by
    at_loss, per_entry = _added_at_head(step, plan, condition.exact_rows(step, rows, classes, plan))
    more = carried(SLACK * np.abs(g)[:, None] * per_entry + _lost_gradient(step, g, plan), rows, classes)
    counts = (g != 0)[:, None]
    return loss + SLACK * at_loss + _stored_losses(step, plan), HeadGradients(
        by.embeddings + more.embeddings + _lost_vectors(rows, plan) * counts,
        by.weights + more.weights + _lost_vectors(classes, plan) * counts.any(),
    )


def of_logits(step: Step, plan: Precision, exact: BoolArray | bool = True) -> Sensitivity:
    r"""Return the sensitivity to errors of δ_k units in the logits, and of F' units in the slope (equation 46).

    .. math:: K_L = \sum_{k \ne y} p_k \delta_k + q \delta_y, \qquad
              K_{c_k} = s\, \mathrm{slope}_k\, p_k (\delta_k + \sum_j p_j \delta_j), \qquad
              K_{c_y} = s |f'| p_y (\sum_{j \ne y} p_j \delta_j + q \delta_y) + s q F'
    """
    u, q, p_y = unit_roundoff(plan.logits), sigmoid(step.a), sigmoid(-step.a)
    errors, off = figures(step.margin, step.angle, u), _logit_errors(step, plan, np.asarray(exact))
    lost = u * off.max(axis=1) > condition.LOST
    moved, own = by_logits(step, lost), off[step.own]
    others = moved * off
    others[step.own] = 0
    mean = others.sum(axis=1)
    steep = np.minimum(np.abs(step.margin.by_cosine(step.angle)), u**-0.5)
    by_cosines = step.s * moved * step.emphasis.slope(step.mask) * (off + (mean + p_y * own)[:, None])
    p_y, q = np.where(lost, 1, p_y), np.where(lost, 1, q)
    by_cosines[step.own] = step.s * (steep * p_y * (mean + q * own) + q * errors.by_cosine)
    return Sensitivity(mean + q * own, by_cosines)


def overflows(step: Step, precision: Precision | DTypeLike) -> BoolArray:
    """Return the rows whose logits come near the largest number of a narrow format, or exceed it: not judged."""
    plan = precision_of(precision)
    if plan.is_uniform:
        return np.zeros(len(step.labels), bool)
    z = np.maximum(np.abs(step.s * step.cosines + step.log_h), step.s * np.abs(step.cosines))
    z[step.own] = np.maximum(step.s * np.abs(step.f), z[step.own])
    return np.asarray(np.maximum(z.max(axis=1), step.s) > format_of(plan.logits).largest / 2)


def is_beyond(gradient: FloatArray, precision: Precision | DTypeLike) -> BoolArray:
    """Return where a gradient comes near the largest number of its narrow format: infinity and NaN are right there."""
    plan = precision_of(precision)
    if plan.is_uniform:
        return np.zeros(gradient.shape, bool)
    return np.asarray(np.abs(gradient) > format_of(plan.gradient).largest / 2)


def overflows_backward(step: Step, g: FloatArray, precision: Precision | DTypeLike) -> BoolArray:
    """Return where the gradient by the cosines (B, C) is beyond its format, also before df/dc makes it smaller."""
    return is_beyond(_sizes_backward(step, g), precision)


def overflows_backward_at_head(
    step: Step, rows: Directions, classes: Directions, g: FloatArray, precision: Precision | DTypeLike
) -> tuple[BoolArray, BoolArray]:
    """Return the embeddings (B,) and the weights (C,) whose gradient is beyond its format on the way.

    A gradient by a unit vector is a sum over classes or rows, before its part along the vector is taken out, and before
    or after it is divided by the length.
    """
    sizes = _sizes_backward(step, g)
    of_rows, of_classes = (np.ldexp(1 / v.length, -v.exponent) for v in (rows, classes))
    by_x, by_w = sizes.sum(axis=1) * np.maximum(1, of_rows), sizes.sum(axis=0) * np.maximum(1, of_classes)
    return is_beyond(by_x, precision), is_beyond(by_w, precision)


def _sizes_backward(step: Step, g: FloatArray) -> FloatArray:
    """Return the size of the gradient by the cosines (B, C), of the target also without df/dc."""
    sizes = finite(np.abs(backward(step, g).cosines))
    sizes[step.own] = np.maximum(sizes[step.own], step.s * sigmoid(step.a) * np.abs(g))
    return sizes


def _logit_errors(step: Step, plan: Precision, exact: BoolArray) -> FloatArray:
    """Return δ (B, C): by how many units of u the logits may be off; 0 where no formulation rounds.

    At a head that is so in `exact` rows only, whose cosines are exact.

    A negative's z_k is off by s |c_k|; if it is a support vector, also by what s t (c_k + 1) - s is, which some code
    forms, and by the rounding of h_k. The target's is off by its size and s f_s.
    """
    u, c = unit_roundoff(plan.logits), np.abs(step.cosines)
    emphasised = step.s * step.emphasis.t * np.abs(step.emphasis.growth(step.cosines)) + 1
    off = step.s * c + emphasised * step.mask
    own = step.s * (np.abs(step.f) + figures(step.margin, step.angle, u).value)
    off = np.where(_negatives_are_exact(step, plan.logits) & exact[..., None], 1.0 * step.mask, off)
    off[step.own] = np.where(_target_is_exact(step, plan.logits) & exact, 0.0, own)
    return off


def _negatives_are_exact(step: Step, form: str) -> BoolArray:
    """Return where a format holds c_k and z_k, also less those of the target or of the largest, and the emphasis."""
    if _is_combined(step.margin):
        return np.zeros(step.cosines.shape, bool)
    c, s, t, f = step.cosines, step.s, step.emphasis.t, step.f[:, None]
    z = s * c + step.log_h
    z[step.own] = s * step.f
    plain = [c, s * c, c - f, s * (c - f), z, z - s * f, z - z.max(axis=1, keepdims=True)]
    emphasised = [t * c, t * c + t, t * c + (t - 1), c + 1, t * (c + 1), (t - 1) * (c + 1)]
    emphasised += [s * (t - 1) * (c + 1), s * (t * c + (t - 1))]
    adaptive = [s * t * c, s * t * (c + 1)]
    emphasised += adaptive if step.emphasis.growth_slope else [c + t, c + (t - 1), s * (c + (t - 1))]
    all_held = np.logical_and.reduce([holds(v, form) for v in emphasised])
    return np.logical_and.reduce([holds(v, form) for v in plain]) & (all_held | ~step.mask)


def _target_is_exact(step: Step, form: str) -> BoolArray:
    """Return where f is the cosine less a number, and a format holds both, f, and s times each."""
    c, f, s = step.cosines[step.own], step.f, step.s
    if step.margin.angular or _is_combined(step.margin):
        return np.zeros(len(c), bool)
    return np.logical_and.reduce([holds(v, form) for v in (c, f, c - f, s * c, s * f, s * (c - f))])


def _is_combined(margin: Margin) -> bool:
    """Return whether a margin is the combined one, whose code goes through an angle also at m1 = 1, m2 = 0."""
    return isinstance(getattr(margin, "margin", margin), Combined)


def _stored_losses(step: Step, plan: Precision) -> FloatArray:
    """Return by how much losses stored narrow are off: by rounding, and where the format is short of small numbers."""
    return SLACK * excess(plan.loss, plan.softmax) * step.loss + 4 * format_of(plan.loss).least


def _lost_gradient(step: Step, g: FloatArray, plan: Precision) -> FloatArray:
    """Return how much of the gradient by the cosines (B, C) may be lost where its format is short of small numbers.

    What is lost of the gradient by the logits is multiplied by s, and by t or df/dc. It is stored before or after the
    cotangent multiplies it; so the loss counts for a cotangent of at least 1. A loss scale is in g, and comes before.
    """
    factor = np.full(step.cosines.shape, max(1.0, step.s * step.emphasis.t))
    steep = step.s * steepness(step.margin, step.angle, unit_roundoff(plan.logits))
    factor[step.own] = np.maximum(factor[step.own], steep)
    size = np.abs(g)[:, None]
    return 4 * format_of(plan.gradient).least * factor * np.maximum(1, size / plan.loss_scale) * (size > 0)


def _lost_vectors(rows: Directions, plan: Precision) -> FloatArray:
    """Return how much of the gradient by each vector (B, 1) may be lost: stored, and before it is divided by |v|."""
    by_unit = np.ldexp(format_of(plan.gradient).least / rows.length, -rows.exponent)[:, None]
    return np.asarray(4 * (format_of(plan.vectors).least + by_unit))


def _added_at_head(step: Step, plan: Precision, exact: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return what narrow stages add to the losses (B,), and to the entries of dL/dc (B, C), for a cotangent of one."""
    error, u = condition.product_error(plan), max(unit_roundoff(plan.product), unit_roundoff(plan.logits))
    gradient, second = cosine_sensitivities(step, u, error)
    narrow, logits = of_logits(step, plan, exact), excess(plan.logits, plan.softmax)
    moved = np.where(exact, 0.0, error)
    loss = moved * gradient.sum(axis=1) + logits * narrow.loss
    returned = max(excess(plan.gradient, plan.softmax), excess(plan.vectors, plan.softmax))
    stored = max(returned, excess(plan.product, plan.accumulator))
    return loss, logits * narrow.cosines + moved[:, None] * (second + gradient) + stored * gradient


def finite(values: FloatArray) -> FloatArray:
    """Return `values` with 0 in place of what is not finite, as a gradient at a pole, which is not judged."""
    return np.where(np.isfinite(values), values, 0.0)
