"""Which losses a deviation touches at all: what there is to get wrong in them."""

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

ENDS = Angle.from_cosine([1.0, -1.0])


def every(loss: SVXSoftmax) -> bool:
    """Return True: there is no loss without."""
    return True


def emphasises(loss: SVXSoftmax) -> bool:
    """Return whether there is an emphasis."""
    return loss.emphasis.t > 1


def emphasises_adaptively(loss: SVXSoftmax) -> bool:
    """Return whether there is an emphasis that grows with the negative's cosine."""
    return emphasises(loss) and loss.emphasis.form == "adaptive"


def has_margin(loss: SVXSoftmax) -> bool:
    """Return whether f is not simply c."""
    return not is_neutral(loss.margin)


def masks_by_margin(loss: SVXSoftmax) -> bool:
    """Return whether there is an emphasis whose mask is not decided by the plain cosine."""
    return emphasises(loss) and not is_neutral(loss.emphasis.boundary or loss.margin)


def has_pole(loss: SVXSoftmax) -> bool:
    """Return whether df/dc is infinite at an end of the range."""
    return loss.margin.angular and bool(np.isinf(loss.margin.by_cosine(ENDS)).any())


def takes_sine(loss: SVXSoftmax) -> bool:
    """Return whether code needs the sine of an angle."""
    margin = loss.margin
    margin = margin.margin if isinstance(margin, EasyMargin) else margin
    return isinstance(margin, AdditiveAngle | Combined) and margin.angular


def adds_angle(loss: SVXSoftmax) -> bool:
    """Return whether the margin is an additive angle above 0."""
    return isinstance(loss.margin, AdditiveAngle) and loss.margin.m > 0


def has_sign(loss: SVXSoftmax) -> bool:
    """Return whether something is added to the angle or taken from the cosine."""
    parameters = united(loss.margin)
    return parameters is not None and parameters[1:] != (0, 0)


def is_neutral(margin: Margin) -> bool:
    """Return whether the margin leaves every cosine as it is."""
    match margin:
        case EasyMargin() | StraightThrough():
            return is_neutral(margin.margin)
        case Combined():
            return united(margin) == (1, 0, 0)
        case AdditiveCosine() | AdditiveAngle():
            return margin.m == 0
        case MultiplicativeAngle():
            return margin.m == 1
    return isinstance(margin, NoMargin)


def united(margin: Margin) -> tuple[float, float, float] | None:
    """Return (m1, m2, m3) of a margin that is f = cos(m1 θ + m2) - m3 everywhere, or None."""
    match margin:
        case AdditiveCosine(m):
            return 1.0, 0.0, m
        case AdditiveAngle(m, "raw"):
            return 1.0, m, 0.0
        case Combined(m1, m2, m3):
            return m1, m2, m3
    return None


def without_angle(loss: SVXSoftmax) -> bool:
    """Return whether the loss takes numbers that are no cosines; where it needs an angle, all code clips."""
    return not loss.angular
