"""The way from vectors to cosines and back, in parts, so that a deviation can normalise wrongly.

This file is no reference: the right head stands at the end of svref/reference.py, and for every angle in svref/head.
The normalisation n of the embeddings and that of the weights are arguments of `head_around`. Each is a function that
returns n(v) together with its way back:

    forward    x̂ = n(x),  ŵ = n(w),  c = <x̂, ŵ>
    backward   dL/dx̂_b = Σ_k g_bk ŵ_k,  dL/dŵ_k = Σ_b g_bk x̂_b,  then back through n

`by_length` is the right one: n(v) = v/|v|, and back (g - <g, v̂> v̂)/|v|. The others are mistakes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations.logits import CosineRun
from svref.head.geometry import row_dot
from svref.loss import SVXSoftmax
from svref.reference import through_unit_rows, unit_rows

Backward = Callable[[FloatArray], FloatArray]  # from the gradient by n(v) to that by v
Normaliser = Callable[[FloatArray], tuple[FloatArray, Backward]]
HeadRun = Callable[
    [SVXSoftmax, FloatArray, FloatArray, IntArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]
]
ROUNDING = 2.0**-40  # products of unit vectors exceed 1 by less; what exceeds it by more was clipped
TINY = 1e-12  # frameworks divide by this where a length is 0


def lengths(rows: FloatArray) -> FloatArray:
    """Return the length of each row, (rows, 1)."""
    return np.asarray(np.sqrt(row_dot(rows, rows))[:, None])


def by_length(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/|v| and its way back: the right normalisation."""
    unit, length = unit_rows(rows)
    return unit, lambda g: through_unit_rows(g, unit, length)


def by_constant_length(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/|v| and a way back that takes |v| for a constant."""
    length = lengths(rows)
    return rows / length, lambda g: g / length


def by_length_plus(eps: float, under_root: bool = False) -> Normaliser:
    """Return the normalisation v/(|v| + ε), or v/sqrt(|v|² + ε) if `under_root`."""

    def normaliser(rows: FloatArray) -> tuple[FloatArray, Backward]:
        length = lengths(rows)
        unit, longer = rows / length, np.sqrt(length**2 + eps) if under_root else length + eps
        share = length / longer * (length / longer if under_root else 1)
        return rows / longer, lambda g: (g - row_dot(g, unit)[:, None] * unit * share) / longer

    return normaliser


def by_column(rows: FloatArray, least: float = TINY) -> tuple[FloatArray, Backward]:
    """Return each column over its own length, which is `least` or more: vectors are rows, so this is the wrong axis."""
    length = np.maximum(np.sqrt(np.sum(rows * rows, axis=0)), least)
    unit = rows / length
    return unit, lambda g: (g - np.sum(g * unit, axis=0) * unit) / length


def unchanged(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v itself: normalising was forgotten."""
    return rows, lambda g: g


def head_around(
    run: CosineRun, of_embeddings: Normaliser = by_length, of_weights: Normaliser = by_length, clipped: bool = False
) -> HeadRun:
    """Return the computation from vectors that takes cosines, runs `run` on them, and goes back to the vectors.

    If `clipped`, or if the loss needs an angle, products beyond [-1, 1] are clipped and have no gradient. At a target
    with c_y = ±1 the slope may be infinite, and the tangent it is multiplied by is 0; the product counts as 0.
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
