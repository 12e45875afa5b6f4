"""The cotangent: whether each row's gradient is multiplied by its own g_b.

A framework passes to a loss's backward how much each row counts. Code that is asked with g = 1 alone may ignore it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray, IntArray
from svref.conformance.diagnosing.behaviour import ordinary_rows
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import Rows, Subject
from svref.judging import condition

Weighted = Callable[
    [FloatArray, IntArray, FloatArray], NDArray[Any] | None
]  # cosines, labels, g: the gradient by cosines

COTANGENT = "the cotangent"
NOISE = 64.0  # times u s t: the absolute error of a gradient whose cotangent is about 1
CLOSE = {"float64": 1e-6, "float32": 1e-2, "float16": 0.1, "bfloat16": 0.1}  # relative to a row's largest entry


def ask(subject: Subject, weighted: Weighted) -> list[Finding]:
    """Return the finding on the cotangent; none for a candidate that takes no cotangent."""
    rows = subject.as_given(ordinary_rows())
    g = np.resize([1.5, -0.5, 2.0, 0.25, 0.0], len(rows.labels))
    alone = subject.ask(rows)
    try:
        got = weighted(rows.cosines.astype(subject.dtype), rows.labels.copy(), g)
    except Exception as error:
        return [unanswered(COTANGENT, f"{type(error).__name__}: {error}")]
    if got is None or not alone.has_gradient:
        return []
    return [_finding(subject, rows, g, alone.gradient, np.asarray(got, dtype=np.float64), alone.losses)]


def _finding(
    subject: Subject, rows: Rows, g: FloatArray, alone: FloatArray, got: FloatArray, losses: FloatArray
) -> Finding:
    """Return the finding on a gradient with unequal g, from that with g = 1."""
    evidence = f"with g = {g[0]:g} dL/dc_y is {_ratio(rows, got, alone):.6g} times that with g = 1"
    power = float(len(g)) ** -subject.batch_power
    got = got / power
    right = g[:, None] * alone
    if _is_close(subject, got, right, alone):
        return Finding(COTANGENT, "multiplies the gradient of its row", evidence, True)
    if _is_close(subject, got, alone, alone):
        return known_deviation(COTANGENT, "ignored-cotangent", evidence)
    answers = {
        "the one-hot is subtracted after it: g_b p_k - [k = y]": _one_hot_after(rows, g, alone, losses),
        "its mean multiplies every row": g.mean() * alone,
        "its sum multiplies every row": g.sum() * alone,
        "that of row 0 multiplies every row": g[0] * alone,
        "its square multiplies the gradient": g[:, None] ** 2 * alone,
        "its absolute value multiplies the gradient": np.abs(g)[:, None] * alone,
    }
    for answer, wrong in answers.items():
        if _is_close(subject, got, wrong, alone):
            return Finding(COTANGENT, answer, evidence, False)
    return Finding(COTANGENT, "row b's gradient is not g_b times that with g = 1", evidence, False)


def _is_close(subject: Subject, got: FloatArray, wanted: FloatArray, alone: FloatArray) -> bool:
    """Return whether two gradients are one to rounding, in the rows whose gradient is known.

    Textbook code subtracts p_y from 1, with an absolute error of about u, which s t multiplies. In confident rows that
    error is larger than the gradient.
    """
    size = np.abs(alone).max(axis=1, keepdims=True) + np.abs(wanted).max(axis=1, keepdims=True)
    known = np.isfinite(alone).all(axis=1)
    off, close = np.abs(got - wanted)[known], CLOSE["float32" if subject.grid else subject.precision]
    noise = NOISE * condition.unit_roundoff(subject.dtype) * subject.loss.s * subject.loss.emphasis.t
    return bool((off <= close * size[known] + noise).all())


def _one_hot_after(rows: Rows, g: FloatArray, alone: FloatArray, losses: FloatArray) -> FloatArray:
    """Return the gradient whose one-hot is not multiplied: dL/dc_y with g = 1 is s f' (p_y - 1), here s f' (g p_y - 1).

    With q = 1 - p_y = 1 - e^-L, s f' is that with g = 1, over -q.
    """
    own = np.arange(len(g)), rows.labels
    wrong = g[:, None] * alone
    wrong[own] += (1 - g) * alone[own] / -np.expm1(-losses)
    return wrong


def _ratio(rows: Rows, got: FloatArray, alone: FloatArray) -> float:
    """Return by what the gradient of the first target is multiplied."""
    first = 0, rows.labels[0]
    return float(got[first] / alone[first])
