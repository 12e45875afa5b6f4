"""Textbook code in the dtype of its inputs, and mistakes planted in it, for tests of the strategies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from svref.strategies import Example

Array = np.ndarray
Result = tuple[Array, Array]


def finished(c: Array, y: Array, f: Array, slope: Array, s: float, t: float, above: Any, shift: bool) -> Result:
    """From f and df/dc to the losses and their gradient: logits, log-sum-exp, softmax minus one-hot."""
    rows, number = np.arange(len(y)), c.dtype.type
    support = above(c, f[:, None])
    support[rows, y] = False
    z = number(s) * np.where(support, number(t) * c + number(t - 1), c)
    z[rows, y] = number(s) * f
    peak = z.max(axis=1, keepdims=True) if shift else np.zeros((len(y), 1), c.dtype)
    e = np.exp(z - peak)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    p[rows, y] -= 1
    by_logits = number(s) * np.where(support, number(t), number(1))
    by_logits[rows, y] = number(s) * slope
    return (peak + np.log(total))[:, 0] - z[rows, y], p * by_logits


def additive(c: Array, y: Array, s: float, t: float, m: float, above: Any = np.greater, shift: bool = True) -> Result:
    """SV-AM-Softmax."""
    target = c[np.arange(len(y)), y]
    return finished(c, y, target - c.dtype.type(m), np.ones_like(target), s, t, above, shift)


def angular(
    c: Array, y: Array, s: float, t: float, m: float, threshold: Callable[[float], float] | None = None
) -> Result:
    """SV-Arc-Softmax; with a threshold, f is the plain cosine below it."""
    target = c[np.arange(len(y)), y]
    sine = np.sqrt((1 - target) * (1 + target))
    cos_m, sin_m = c.dtype.type(np.cos(m)), c.dtype.type(np.sin(m))
    f = target * cos_m - sine * sin_m if m else target
    slope = cos_m + target * sin_m / sine if m else np.ones_like(target)
    beyond = target < (-2 if threshold is None else threshold(-np.cos(m)))
    f, slope = np.where(beyond, target, f), np.where(beyond, c.dtype.type(1), slope)
    return finished(c, y, f, slope, s, t, np.greater, True)


def pieces(c: Array, y: Array, s: float, t: float, m: int, at_pole: float | None = None) -> Result:
    """SV-A-Softmax, through the angle; `at_pole` is put in place of the slope m² at c = ±1."""
    target = c[np.arange(len(y)), y].astype(np.float64)
    theta, sine = np.arccos(target), np.sqrt((1 - target) * (1 + target))
    k = np.minimum(np.floor(m * theta / np.pi), m - 1)
    sign = (-1.0) ** k
    slope = np.where(sine == 0, m**2 if at_pole is None else at_pole, sign * m * np.sin(m * theta) / sine)
    f = sign * np.cos(m * theta) - 2 * k
    return finished(c, y, f.astype(c.dtype), slope.astype(c.dtype), s, t, np.greater, True)


def asked(code: Callable[..., Result], **mistake: Any) -> Callable[[Example], Result]:
    """Return code as a function of an example, whose loss holds the parameters."""

    def ask(example: Example) -> Result:
        loss = example.loss
        with np.errstate(all="ignore"):
            return code(example.cosines, example.labels, loss.s, loss.emphasis.t, loss.margin.m, **mistake)

    return ask


def wrong(ask: Callable[[Example], Result]) -> Callable[[Example], bool]:
    """Return whether code is wrong on an example."""

    def is_wrong(example: Example) -> bool:
        try:
            example.check(*ask(example))
        except AssertionError:
            return True
        return False

    return is_wrong
