"""Where on the axis of the target's cosine something changes: poles, tails, kinks and thresholds, one function a kind.

They are float64 numbers next to the place, and the strategies round them to a format and step aside from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from svref.margins import AdditiveAngle, Angle, Combined, EasyMargin, Margin, MultiplicativeAngle, StraightThrough

MOST_KINKS = 8  # of A-Softmax with a large m, those next to c = 1 and c = -1


def boundary(margin: Margin, cosine: float) -> float:
    """Return f at one cosine, as float64 computes it."""
    return float(margin.value(Angle.from_cosine([cosine]))[0])


def places(margin: Margin) -> Mapping[str, tuple[float, ...]]:
    """Return the places of a margin by their kind; kinds that it does not have are left out."""
    found = {"pole": (1.0, -1.0), "tail": tails(margin), "kink": kinks(margin), "threshold": thresholds(margin)}
    return {kind: at for kind, at in found.items() if at}


def tails(margin: Margin) -> tuple[float, ...]:
    """Return the cosines inside (-1, 1) at which the angle with its margin, θ + m or m1 θ + m2, is π."""
    match margin:
        case AdditiveAngle(m, _):
            return (-math.cos(m),) if m > 0 else ()
        case Combined(m1, m2, _):
            theta = (math.pi - m2) / m1
            return (math.cos(theta),) if theta < math.pi else ()
        case EasyMargin(inside, _) | StraightThrough(inside):
            return tails(inside)
    return ()


def kinks(margin: Margin) -> tuple[float, ...]:
    """Return the cosines cos(jπ/m), 0 < j < m, at which two pieces of A-Softmax meet."""
    match margin:
        case MultiplicativeAngle(m, _):
            ends = [math.cos(j * math.pi / m) for j in range(1, m)]
            return tuple(ends if m <= MOST_KINKS else ends[: MOST_KINKS // 2] + ends[-MOST_KINKS // 2 :])
        case EasyMargin(inside, _) | StraightThrough(inside):
            return kinks(inside)
    return ()


def thresholds(margin: Margin) -> tuple[float, ...]:
    """Return the thresholds of easy margins that are cosines."""
    match margin:
        case EasyMargin(inside, above):
            return ((above,) if -1 <= above <= 1 else ()) + thresholds(inside)
        case StraightThrough(inside):
            return thresholds(inside)
    return ()
