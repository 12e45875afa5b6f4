"""Questions about a loss, which say whether a mistake can be made in it: `applies` of a deviation is one of them.

A deviation that does not apply to a loss gives the right results for it, and is no explanation of a failure. A new
question is one function here, from an SVXSoftmax to bool; tests/test_deviations.py then compares `applies` with what
the deviation computes, for losses with every part switched on and off.
"""

from __future__ import annotations

import numpy as np

from svref.loss import SVXSoftmax
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Angle,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)

POLES = Angle.from_cosine([1.0, -1.0])


def always(loss: SVXSoftmax) -> bool:
    """Return True: the mistake can be made in every loss."""
    return True


def emphasises(loss: SVXSoftmax) -> bool:
    """Return whether support vectors are emphasised, t > 1."""
    return loss.emphasis.t > 1


def emphasises_adaptively(loss: SVXSoftmax) -> bool:
    """Return whether support vectors are emphasised, more so the larger their cosine."""
    return emphasises(loss) and loss.emphasis.form == "adaptive"


def has_margin(loss: SVXSoftmax) -> bool:
    """Return whether the margin changes some cosine: f is not c everywhere."""
    return not is_neutral(loss.margin)


def masks_by_margin(loss: SVXSoftmax) -> bool:
    """Return whether support vectors are emphasised, and found by comparing with another number than c_y."""
    return emphasises(loss) and not is_neutral(loss.emphasis.boundary or loss.margin)


def has_pole(loss: SVXSoftmax) -> bool:
    """Return whether df/dc is infinite at c = 1 or c = -1."""
    return loss.margin.angular and bool(np.isinf(loss.margin.by_cosine(POLES)).any())


def needs_sine(loss: SVXSoftmax) -> bool:
    """Return whether code computes f by the sine of the angle."""
    margin = loss.margin
    margin = margin.margin if isinstance(margin, EasyMargin) else margin
    return isinstance(margin, AdditiveAngle | Combined) and margin.angular


def adds_angle(loss: SVXSoftmax) -> bool:
    """Return whether the margin adds an angle above 0, and nothing else."""
    return isinstance(loss.margin, AdditiveAngle) and loss.margin.m > 0


def has_additive_part(loss: SVXSoftmax) -> bool:
    """Return whether the margin adds to the angle or takes from the cosine, so that its sign can be wrong."""
    parameters = as_combined(loss.margin)
    return parameters is not None and parameters[1:] != (0, 0)


def is_neutral(margin: Margin) -> bool:
    """Return whether f = c for every cosine."""
    match margin:
        case EasyMargin() | StraightThrough():
            return is_neutral(margin.margin)
        case Combined():
            return as_combined(margin) == (1, 0, 0)
        case AdditiveCosine() | AdditiveAngle():
            return margin.m == 0
        case MultiplicativeAngle():
            return margin.m == 1
    return isinstance(margin, NoMargin)


def as_combined(margin: Margin) -> tuple[float, float, float] | None:
    """Return (m1, m2, m3) of a margin that is f = cos(m1 θ + m2) - m3 at all angles; None for other margins."""
    match margin:
        case AdditiveCosine(m):
            return 1.0, 0.0, m
        case AdditiveAngle(m, "raw"):
            return 1.0, m, 0.0
        case Combined(m1, m2, m3):
            return m1, m2, m3
    return None


def needs_no_angle(loss: SVXSoftmax) -> bool:
    """Return whether the loss takes numbers beyond ±1; where it needs an angle, all code clips them."""
    return not loss.angular
