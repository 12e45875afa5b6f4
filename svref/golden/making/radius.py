"""By how much inputs may change without turning a decision over: proven by arithmetic of balls of that radius."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flint import arb

from svref.arrays import FloatArray, IntArray
from svref.exact.balls import Ball, Root, UndecidedError, ball, precision
from svref.exact.cosines import FIRST_BITS
from svref.exact.margins import Point, margin_in_balls
from svref.loss import SVXSoftmax

CosinesWithin = Callable[[float], Sequence[Ball]]  # the cosines that a row may have within a radius


def cosine_radius(loss: SVXSoftmax, cosines: FloatArray, labels: IntArray) -> list[float]:
    """Return, row by row, by how much all cosines may change at once; no change may take an angle's cosine beyond 1."""

    def around(row: list[float]) -> CosinesWithin:
        def within(radius: float) -> list[Ball]:
            if loss.angular and any(abs(c) + radius > 1 for c in row):
                raise UndecidedError  # beyond 1 there is no angle
            return [_wide(c, radius) for c in row]

        return within

    return [_largest(loss, around(row), int(y)) for row, y in zip(cosines.tolist(), labels, strict=True)]


def head_radius(loss: SVXSoftmax, embeddings: FloatArray, weights: FloatArray, labels: IntArray) -> list[float]:
    """Return, row by row, by how much all numbers of the embedding and of the weights may change at once."""

    def around(row: list[float]) -> CosinesWithin:
        def within(radius: float) -> list[Ball]:
            x = [_wide(v, radius) for v in row]
            return [_cosine(x, [_wide(v, radius) for v in w]) for w in weights.tolist()]

        return within

    return [_largest(loss, around(row), int(y)) for row, y in zip(embeddings.tolist(), labels, strict=True)]


def _largest(loss: SVXSoftmax, around: CosinesWithin, label: int) -> float:
    """Return the largest power of two within which all decisions hold; 0 where there is none down to 2^-60."""
    with precision(FIRST_BITS):
        return next((2.0**e for e in range(-3, -61, -1) if _holds(loss, around, 2.0**e, label)), 0.0)


def _holds(loss: SVXSoftmax, around: CosinesWithin, radius: float, label: int) -> bool:
    """Return whether all decisions are the same within a radius, by one evaluation in balls of that radius.

    The answer is False where the target may reach a pole: an angular margin has no slope beyond it.
    """
    try:
        cosines = around(radius)
        c = cosines[label]
        if loss.angular and not abs(c) < 1:
            return False
        at = Point(c, ((1 - c) * (1 + c)).nonnegative_part().sqrt(), lambda: Root(0, 2))
        boundary = margin_in_balls(loss.emphasis.boundary or loss.margin, at).value
        margin_in_balls(loss.margin, at)
    except UndecidedError:
        return False
    return all(x > boundary or x < boundary for k, x in enumerate(cosines) if k != label)


def _wide(value: float, radius: float) -> Ball:
    """Return the ball of all numbers within a radius of `value`."""
    return ball(value) + arb(0, radius)


def _cosine(x: Sequence[Ball], w: Sequence[Ball]) -> Ball:
    """Return the cosine between two vectors of balls; NaN, for which no comparison holds, if one may be zero."""
    dot = sum((a * b for a, b in zip(x, w, strict=True)), arb(0))
    lengths = (sum((a * a for a in x), arb(0)) * sum((b * b for b in w), arb(0))).sqrt()
    return dot / lengths
