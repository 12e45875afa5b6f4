"""The stages of a loss by name: what is right there, how far rounding may carry it, and what a candidate has there.

The first half of the stages leads from the cosines to the loss, the second half from the loss to the gradients. Those
of the second half are of one row's loss L_b, without a cotangent. At head level only the first half is compared up to
the relative logits, since the errors of the cosines go into all that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import BoolArray, FloatArray
from svref.conformance.candidates.call import Level
from svref.formats import format_of
from svref.judging import condition
from svref.judging.figures import figures
from svref.judging.narrow import finite
from svref.judging.precision import precision_of
from svref.reference import Gradients, Step, backward, sigmoid

LOSS = "loss"  # a stage among the others for a candidate that is unfinished, and an output


@dataclass(frozen=True, eq=False)
class Compared:
    """The stages that a candidate offers in one case, beside the right ones.

    Parameters
    ----------
    case : str
        The case's id.
    step : Step
        The right loss, stage by stage.
    unit_roundoff : float
        That of the format that the candidate computes in.
    got, right, width : mapping of str to array of float64
        By stage: the candidate's values, the right ones, and how far rounding may carry them; an infinite width where
        they are not compared.
    """

    case: str
    step: Step = field(repr=False)
    unit_roundoff: float
    got: Mapping[str, FloatArray] = field(repr=False)
    right: Mapping[str, FloatArray] = field(repr=False)
    width: Mapping[str, FloatArray] = field(repr=False)

    def wrong(self, stage: str) -> BoolArray:
        """Return where a stage is wrong."""
        return beyond(self.got[stage], self.right[stage], self.width[stage])

    def says(self, stage: str) -> BoolArray:
        """Return where a stage is compared, and rounding does not carry it as far as its own size."""
        right, width = self.right[stage], self.width[stage]
        return np.asarray((width < np.abs(right)) | ((right == 0) & np.isfinite(width)))


def compared(
    case: str, step: Step, precision: str, level: Level, D: int, stages: Mapping[str, NDArray[Any]]
) -> Compared:
    """Return the stages that a candidate has beside the right ones; those that are not compared are left out.

    Parameters
    ----------
    case : str
        The case's id.
    step : Step
        The right loss on the inputs of the case.
    precision : str
        The format that the candidate computes in.
    level : {"cosine", "head"}
        What the candidate takes.
    D : int
        The number of dimensions at head level.
    stages : mapping of str to array
        The candidate's, by their names in `STAGES`; also "loss".
    """
    right, width = values_of(step), widths_of(step, precision, level, D)
    got = {name: np.asarray(values, np.float64) for name, values in stages.items() if name in width and name in right}
    exact = {name: np.asarray(right[name], np.float64) for name in got}
    u = format_of(precision_of(precision).narrowest(level)).unit_roundoff
    return Compared(case, step, u, got, exact, {name: width[name] for name in got})


def beyond(got: FloatArray, right: FloatArray, width: FloatArray) -> BoolArray:
    """Return where a number is farther from the right one than its width; NaN is wrong, equal infinities are right."""
    with np.errstate(invalid="ignore"):
        return np.asarray(~((np.abs(got - right) <= width) | (got == right) | (width == np.inf)))


# ---- what is right ----------------------------------------------------------------------------------------------


def forward_of(step: Step) -> dict[str, NDArray[Any]]:
    """Return the stages that a loss is told by, up to the relative logits."""
    return {
        "cosines": step.cosines,
        "margin_cosine": step.margin_cosine,
        "mask": step.mask,
        "relative_logits": step.relative_logits,
    }


def values_of(step: Step) -> dict[str, NDArray[Any]]:
    """Return the right stages of a loss by their names."""
    by = backward(step, np.ones(len(step.labels)))
    return {
        **forward_of(step),
        "log_h": step.log_h,
        "log_odds_against": step.log_odds_against,
        LOSS: step.loss,
        "q": sigmoid(step.a),
        "probabilities": step.probabilities,
        "margin_slope": step.margin.by_cosine(step.angle),
        "grad_negatives": by.cosines,
        "grad_target": by.cosines[step.own],
        **_by_parameters(by),
    }


def _by_parameters(by: Gradients) -> dict[str, FloatArray]:
    """Return the derivatives by s, t and the margin's parameters."""
    return {"grad_s": by.s, "grad_t": by.t, **{f"grad_{name}": d for name, d in by.margin.items()}}


# ---- how far rounding may carry it ------------------------------------------------------------------------------


def widths_of(step: Step, precision: str, level: Level, D: int = 0) -> dict[str, FloatArray]:
    """Return how far rounding may carry each stage of the loss; infinity where a stage is not compared.

    Of a plan with several formats, the narrowest counts for all stages.

    q and p have widths relative to themselves: every form but the difference 1 - p_y keeps their digits where the loss
    is nearly 0, and p is q times a share. The other widths behind the logits are those of the outputs.

    A mask may differ where rounding decides it, and f beside a switch. What follows from such a decision is not
    compared there, and neither is the label's column, which no loss reads.
    """
    precision = precision_of(precision).narrowest(level)
    u = 8 * format_of(precision).unit_roundoff
    fs = figures(step.margin, step.angle, u / 8).value
    near, undecided = condition.undecided(step, precision)
    switch = undecided >= 0
    near = near | switch[:, None]
    reach = np.sqrt(D) if level == "head" else 0.0
    widest = step.s * step.emphasis.t * (2 + np.abs(step.margin_cosine) + fs)
    unread = np.zeros_like(step.cosines, dtype=np.float64)
    unread[step.own] = np.inf
    of_logits = np.where(near, np.inf, (u * (1 + reach) * widest)[:, None]) + unread
    forward = {
        "cosines": u * (1 + reach) + unread,
        "margin_cosine": u * (1 + reach + fs) + np.where(switch, np.inf, 0.0),
        "mask": np.where(near, 1.0, 0.5) + unread,
        "log_h": of_logits,
        "relative_logits": of_logits,
    }
    if level == "head":
        return forward
    return forward | _widths_behind_the_logits(step, precision, np.asarray(near.any(axis=1)), unread, u * widest)


def _widths_behind_the_logits(
    step: Step, precision: str, unsure: BoolArray, unread: FloatArray, of_logits: FloatArray
) -> dict[str, FloatArray]:
    """Return the widths from the log-odds on; rows with a decision that rounding may turn over are not compared."""
    at, C = condition.scales(step, precision), step.cosines.shape[1]
    row = np.where(unsure, np.inf, 0.0)
    u = 8 * format_of(precision).unit_roundoff

    def allowed(scale: FloatArray) -> FloatArray:
        width = condition.tolerance(scale, C, step.s, step.emphasis.t, precision)
        return np.asarray(width + (row[:, None] if scale.ndim == 2 else row))

    slope = figures(step.margin, step.angle, u / 8).by_cosine
    slope = np.where(step.margin.angular & (step.angle.sine == 0) | unsure, np.inf, slope)  # a pole is a policy
    of_a = (of_logits + u * (np.abs(finite(step.a)) + np.log(C))) * (1 + C / 128)
    of_q = sigmoid(-step.a) * of_a  # relative, since dq/da = q p_y; a softmax of rounded logits has at.loss besides
    return {
        "log_odds_against": row + of_a,
        LOSS: allowed(at.loss),
        "q": allowed(sigmoid(step.a) * at.loss) + sigmoid(step.a) * of_q,
        "probabilities": allowed(step.probabilities * at.loss[:, None]) + step.probabilities * of_q[:, None] + unread,
        "margin_slope": u * slope,
        "grad_negatives": allowed(at.cosines) + unread,
        "grad_target": allowed(at.cosines[step.own]) + np.where(np.isinf(slope), np.inf, 0.0),
        "grad_s": allowed(at.s),
        "grad_t": allowed(at.t),
        **{f"grad_{name}": allowed(scale) for name, scale in at.margin.items()},
    }
