"""The way from vectors to cosines and back, with a normalisation for each of the two, so that one can be wrong.

forward    x̂ = n(x),  ŵ = n(w),  c = <x̂, ŵ>
backward   dL/dx̂_b = Σ_k g_bk ŵ_k,  dL/dŵ_k = Σ_b g_bk x̂_b,  then back through n
           for n(v) = v/|v|: (g - <g, v̂> v̂)/|v|, which for x is Σ_k g_bk (ŵ_k - c_bk x̂_b)/|x_b|
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations.logits import CosineRun
from svref.head.geometry import row_dot
from svref.loss import SVXSoftmax

Backward = Callable[[FloatArray], FloatArray]
Normaliser = Callable[[FloatArray], tuple[FloatArray, Backward]]
HeadRun = Callable[
    [SVXSoftmax, FloatArray, FloatArray, IntArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]
]
ROUNDING = 2.0**-40  # a cosine of unit vectors may exceed 1 by less
TINY = 1e-12  # what frameworks divide by where a length is 0


def lengths(rows: FloatArray) -> FloatArray:
    """Return the length of each row, (rows, 1)."""
    return np.asarray(np.sqrt(row_dot(rows, rows))[:, None])


def by_length(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/|v|: what is right."""
    length = lengths(rows)
    unit = rows / length
    return unit, lambda g: (g - row_dot(g, unit)[:, None] * unit) / length


def by_constant_length(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/|v| with |v| a constant in the backward pass."""
    length = lengths(rows)
    return rows / length, lambda g: g / length


def by_length_plus(eps: float, under_root: bool = False) -> Normaliser:
    """Return v/(|v| + ε), or v/sqrt(|v|² + ε)."""

    def normaliser(rows: FloatArray) -> tuple[FloatArray, Backward]:
        length = lengths(rows)
        unit, longer = rows / length, np.sqrt(length**2 + eps) if under_root else length + eps
        share = length / longer * (length / longer if under_root else 1)
        return rows / longer, lambda g: (g - row_dot(g, unit)[:, None] * unit * share) / longer

    return normaliser


def by_column(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return each coordinate over its length across the rows: the wrong axis."""
    length = np.maximum(np.sqrt(np.sum(rows * rows, axis=0)), TINY)
    unit = rows / length
    return unit, lambda g: (g - np.sum(g * unit, axis=0) * unit) / length


def as_it_is(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v itself."""
    return rows, lambda g: g


def through(
    run: CosineRun, of_embeddings: Normaliser = by_length, of_weights: Normaliser = by_length, clipped: bool = False
) -> HeadRun:
    """Return the head around a computation on cosines.

    If `clipped`, and where an angle is needed, products beyond [-1, 1] are clipped and carry no gradient. A target
    at a pole has an infinite slope and a zero tangent: its term is 0, the least-norm subgradient.
    """

    def head(
        loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        (x_unit, back_x), (w_unit, back_w) = of_embeddings(x), of_weights(w)
        products = x_unit @ w_unit.T
        c = np.clip(products, -1, 1) if clipped or loss.angular else products
        losses, by_cosines = run(loss, c, y, g)
        lost = (np.abs(products - c) > ROUNDING) | np.isinf(by_cosines)
        by_cosines = np.where(lost, 0.0, by_cosines)
        return losses, back_x(by_cosines @ w_unit), back_w(by_cosines.T @ x_unit)

    return head
