"""How far the outputs of a wrong computation may be off by rounding, and where they may be lost.

A wrong computation has no condition scale of its own. So its tolerances are estimated from above, from those of the
right outputs and from the largest logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.trial import Trial
from svref.judging import condition
from svref.judging.condition import SLACK, excess, unit_roundoff
from svref.judging.judge import Expected, ExpectedOutput
from svref.judging.narrow import is_beyond, overflows
from svref.judging.precision import precision_of
from svref.loss import SVXSoftmax


def losses_differ(trial: Trial, loss: SVXSoftmax, precision: str, may_be_lost: bool) -> bool:
    """Return whether a row's loss is farther from that of another loss than rounding may carry it.

    Rows next to a decision of the mask or of a tail are left out: they may be right in two ways. So are rows whose
    logits are too large for a narrow format. Heads and scalars are not compared.
    """
    if trial.level == "head" or trial.factor is not None:
        return False
    step = loss.forward(trial.arrays[0], trial.labels)
    near, reach = condition.undecided(step, precision)
    got = trial.outputs["loss"]
    allowed = near.any(axis=1) | (reach >= 0) | (may_be_lost & ~np.isfinite(got)) | overflows(step, precision)
    room = relative_error(trial, step.loss, precision) * (1 + step.loss) + trial.expected.ways[0][0].tolerance
    return not (allowed | (np.abs(got - step.loss) <= room)).all()


def with_estimated_tolerance(trial: Trial, values: tuple[FloatArray, ...], wider: float) -> Expected:
    """Return the outputs of a wrong computation as a reference, with tolerances that are estimated from above.

    The tolerance is 4 T + e |value| for a gradient, and 4 T + e (|value| + 1) for a loss. T is the tolerance of the
    right output, and e is `relative_error`. Where a value is not finite, or a gradient too large for a narrow format,
    the candidate's may be infinite, NaN or 0. A 0 is a number divided by infinity.
    """
    relative = relative_error(trial, values[0], trial.precision)
    outputs = []
    for right, value in zip(trial.expected_of_unit_cotangents, values, strict=True):
        too_large = is_beyond(value, trial.precision) & (right.name != "loss")  # the gradient's format
        lost = (~np.isfinite(value) | too_large) & _is_lost(trial, right.name)
        outputs.append(
            replace(
                right, value=value, rest=np.zeros_like(value), policy=right.policy | lost,
                tolerance=wider * estimated(right, value, relative),
            )
        )  # fmt: skip
    return replace(trial.expected_of_rows, ways=(tuple(outputs),))


def estimated(right: ExpectedOutput, value: FloatArray, relative: float) -> FloatArray:
    """Return the tolerance 4 T + e |value|, with |value| + 1 for losses; `relative` is e."""
    size = np.where(np.isfinite(value), np.abs(value), 0) + (right.name == "loss")
    return 4 * right.tolerance + relative * size


def estimated_tolerances(trial: Trial, names: Sequence[str]) -> FloatArray:
    """Return these tolerances of the candidate's own outputs of some names, one after another, as one vector.

    A scalar has the sum of the tolerances of its rows.
    """
    losses = np.asarray(trial.outputs["loss"], np.float64)
    relative = relative_error(trial, np.ravel(losses), trial.precision)
    parts = []
    for right in trial.expected_of_unit_cotangents:
        if right.name in names:
            value = np.asarray(trial.outputs[right.name], np.float64)
            room = estimated(right, np.broadcast_to(value, right.value.shape), relative)
            parts.append(np.ravel(room if value.shape == right.value.shape else room.sum()))
    return np.concatenate(parts)


def lost_at_poles(trial: Trial, expected: Expected) -> Expected:
    """Return what another loss gives, where numbers may be lost at the poles of the right one.

    Code that computes the right margin, and then loses it, has the infinite slope of that margin all the same.
    """
    poles = [output.policy | output.fragile for output in trial.expected_of_rows.ways[0]]
    if not any(pole.any() for pole in poles):
        return expected
    ways = [tuple(lost_where(trial, o, pole) for o, pole in zip(way, poles, strict=True)) for way in expected.ways]
    return replace(expected, ways=tuple(ways))


def lost_where(trial: Trial, output: ExpectedOutput, where: BoolArray) -> ExpectedOutput:
    """Return an output that may be lost in the elements `where`: there infinity, NaN and 0 are accepted unjudged."""
    policy = output.policy | (where & _is_lost(trial, output.name))
    return replace(output, fragile=output.fragile | where, policy=policy)


def _is_lost(trial: Trial, name: str) -> BoolArray | np.bool_:
    """Return where the candidate's output is infinite, NaN, or 0, as a number divided by infinity is.

    True if the candidate does not return that output.
    """
    values = trial.outputs.get(name)
    return np.True_ if values is None else ~np.isfinite(values) | (values == 0)


def relative_error(trial: Trial, losses: FloatArray, precision: str) -> float:
    """Return the relative error of outputs made of logits z: 8 u (1 + C/128) (1 + max |z|), and what a plan adds.

    max |z| is estimated from the losses. The 8 is `condition.SLACK`, as in the tolerance of a right output.
    """
    plan, largest = precision_of(precision), _largest_logit(trial.loss, losses)
    u, sums = (unit_roundoff(form) for form in (plan.softmax, plan.accumulator))
    narrow = excess(plan.logits, plan.softmax) * largest + excess(plan.gradient, plan.softmax)
    product = condition.product_error(plan) * largest if trial.level == "head" else 0.0
    return SLACK * ((u + sums * (trial.expected.classes / 128)) * (1 + largest) + narrow + product)


def _largest_logit(loss: SVXSoftmax, losses: FloatArray) -> float:
    """Return a bound of |z|: s (2 t + F) + max |L|, with F a bound of |f|.

    The first part bounds the logits of the right loss. A wrong loss of size |L| needs a logit of that size. F is 2 m
    for A-Softmax, whose ψ goes down to 1 - 2 m, and 2 for other margins.
    """
    m = getattr(loss.margin, "m", 1.0)
    most_f = 2 * m if isinstance(m, int) else 2.0
    finite = np.abs(losses[np.isfinite(losses)])
    return float(loss.s * (2 * loss.emphasis.t + most_f) + finite.max(initial=0.0))
