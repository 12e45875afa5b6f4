r"""From embeddings and class weights to the loss, and back.

    cosines       c_bk = <x_b, w_k> / (|x_b| |w_k|)
    loss          the three stages, with each target's sine measured on its two vectors
    gradients     dL/dx_b = Σ_k dL/dc_bk (ŵ_k - c_bk x̂_b)/|x_b|,  dL/dw_k likewise

The target's own term has the form dL/dθ times a unit tangent (equation 38), because its cosine no longer knows
the angle when the two vectors are near-parallel: 1 - cos(1e-9) is 0 in float64. Only these B pairs need more than
the working precision; see `target_pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from svref import inputs
from svref import step as passes
from svref.inputs import FloatArray, IntArray
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.step import Step
from svref.twofold import cross

NEAR_PARALLEL = 2.0**-12  # a sine below which the angle says more than a rounded cosine


@dataclass(frozen=True, eq=False)
class HeadGradients:
    """The gradients of the loss by what a classification head holds, in its dtype.

    Parameters
    ----------
    embeddings : array, shape (B, D)
        dL/dx, orthogonal to each embedding.
    weights : array, shape (C, D)
        dL/dw, orthogonal to each class weight.
    """

    embeddings: FloatArray
    weights: FloatArray


class Directions(NamedTuple):
    """Rows as unit vectors and lengths: rows = unit · length · 2^exponent."""

    unit: FloatArray
    length: FloatArray
    exponent: IntArray


class Pairs(NamedTuple):
    """The B targets: each angle, and the unit tangents at x̂ towards ŵ and at ŵ towards x̂, float64."""

    angle: Angle
    at_embedding: FloatArray
    at_weight: FloatArray


def value_and_grad(
    loss: SVXSoftmax,
    embeddings: ArrayLike,
    weights: ArrayLike,
    labels: ArrayLike,
    *,
    reduction: str = "mean",
    ignore_index: int | None = None,
) -> tuple[Any, HeadGradients]:
    r"""Return the loss of a classification head and its gradients by the unnormalised vectors.

    .. math:: c_{bk} = \frac{\langle x_b, w_k \rangle}{|x_b| |w_k|}, \qquad
              \frac{\partial L}{\partial x_b} = \frac{1}{|x_b|} \sum_k \frac{\partial L}{\partial c_{bk}}
              (\hat w_k - c_{bk} \hat x_b)

    Parameters
    ----------
    loss : SVXSoftmax
        The loss on cosines.
    embeddings : array_like of float32 or float64, shape (B, D)
        x, of any length but zero.
    weights : array_like of the same dtype, shape (C, D)
        w, of any length but zero.
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    reduction : {"mean", "sum", "none"}
        What becomes of the B losses; the gradients are those of it, for "none" of the sum.
    ignore_index : int, optional
        Rows with this label have loss 0 and do not count.

    Returns
    -------
    value : scalar, or array of shape (B,) for ``reduction="none"``
    gradients : HeadGradients
        Where a target is exactly parallel or opposite to its embedding, the target's own term is 0, the least-norm
        subgradient of a cone.

    Raises
    ------
    ValueError, TypeError
        If `loss` is no loss, an array is not finite, real and two-dimensional, D or the dtypes differ, a row is
        zero, or the labels are wrong; before any work is done.

    Notes
    -----
    The matrix products sum in an order of their own, so the last bits of a row depend on the shape of the batch.

    Examples
    --------
    >>> import numpy as np, svref
    >>> value, gradients = svref.head.value_and_grad(
    ...     svref.sv_am_softmax(s=4.0, m=0.25), np.array([[3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 2.0]]), [1]
    ... )
    >>> print(f"{value:.4f}", gradients.embeddings.round(4))
    1.6851 [[ 0.8133 -0.61  ]]
    """
    if not isinstance(loss, SVXSoftmax):
        raise TypeError(f"loss must be an SVXSoftmax, such as svref.sv_arc_softmax(); got {loss!r}.")
    x, w = inputs.real_array("embeddings", embeddings, 2), inputs.real_array("weights", weights, 2)
    inputs.check_pair(x, w)
    y, counted = inputs.class_indices(labels, len(x), len(w), ignore_index)
    row_weights = inputs.reduction_weights(reduction, counted, len(y))
    inputs.check_nonzero_rows("embeddings", x)
    inputs.check_nonzero_rows("weights", w)
    with np.errstate(under="ignore"):
        rows, classes, pairs = directions(x), directions(w), target_pairs(x, w[y])
        c, pairs = cosines(rows, classes, pairs, y)
        loss.check_logits(1.0, loss.margin.value(pairs.angle), x.dtype)
        step = passes.forward(loss.margin, loss.emphasis, loss.s, c, y, counted, angle=pairs.angle)
        return passes.reduced(step, row_weights, reduction), _backward(step, row_weights, rows, classes, pairs)


def directions(rows: FloatArray) -> Directions:
    """Return each row's direction and length, without overflow: rows are scaled by a power of two first."""
    scaled, exponent = _scaled(rows)
    length = np.sqrt(_row_dot(scaled, scaled))
    return Directions(scaled / length[:, None], length, exponent)


def cosines(rows: Directions, classes: Directions, pairs: Pairs, labels: IntArray) -> tuple[FloatArray, Pairs]:
    """Return the cosines (B, C), within [-1, 1], and the pairs with the cosines they have there.

    Near-parallel targets have the cosine of their measured angle, the others the product's. A class whose product
    is the target's gets the target's cosine: the two tie, as equal weights must.
    """
    c = np.clip(rows.unit @ classes.unit.T, -1, 1)
    product = c[np.arange(len(labels)), labels]
    near = pairs.angle.sine < NEAR_PARALLEL
    target = np.where(near, pairs.angle.cosine, product).astype(c.dtype)
    c[near] = np.where(c[near] == product[near, None], target[near, None], c[near])
    return c, pairs._replace(angle=Angle(target.astype(np.float64), pairs.angle.sine))


def target_pairs(embeddings: FloatArray, target_weights: FloatArray) -> Pairs:
    """Return the angle of each row of `embeddings` with the same row of `target_weights`, and both tangents.

    Near-parallel or near-opposite, the cosine is taken from the sine, which then says more.
    """
    x, w = _scaled(embeddings.astype(np.float64))[0], _scaled(target_weights.astype(np.float64))[0]
    at_x, sine = _tangent(x, w)
    at_w, _ = _tangent(w, x)
    x_norm, w_norm = (np.sqrt(_row_dot(v, v)) for v in (x, w))
    cosine = np.clip(_row_dot(x, w) / (x_norm * w_norm), -1, 1)
    from_sine = np.copysign(np.sqrt((1 - sine) * (1 + sine)), cosine)
    return Pairs(Angle(np.where(sine < np.sqrt(0.5), from_sine, cosine), sine), at_x, at_w)


def _tangent(x: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the unit tangent at x towards w, 0 where they are parallel, and the sine of their angle.

    w - (w_j/x_j) x = cross/x_j, with j the largest component of x, has the same part orthogonal to x as w, and is
    at most 1 + √D times as long; so projecting it loses nothing, at any angle (equation 39).
    """
    rows = np.arange(len(x))
    j = np.argmax(np.abs(x), axis=1)
    x_j, w_j = x[rows, j][:, None], w[rows, j][:, None]
    difference, exponent = _scaled(cross(w, x_j, x, w_j))
    along = _row_dot(x, difference) / _row_dot(x, x)
    orthogonal = (difference - along[:, None] * x) * np.sign(x_j)
    length = np.sqrt(_row_dot(orthogonal, orthogonal))
    sine = np.ldexp(length / (np.abs(x_j[:, 0]) * np.sqrt(_row_dot(w, w))), exponent)
    return orthogonal / np.where(length == 0, 1, length)[:, None], np.minimum(sine, 1)


def _row_dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the inner product of each row of a with the same row of b."""
    return np.einsum("ij,ij->i", a, b)


def _scaled(rows: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return each row times a power of two, so that its largest entry lies in [0.5, 1), and the exponent taken out."""
    exponent = np.frexp(np.abs(rows).max(axis=1))[1]
    return np.ldexp(rows, -exponent[:, None]), exponent


def _backward(step: Step, g: FloatArray, rows: Directions, classes: Directions, pairs: Pairs) -> HeadGradients:
    """Pull dL/dc back through both normalisations (equations 36 and 37), the targets through their angles (38)."""
    by_cosines = passes.negatives_gradient(step, g)
    by_angle = passes.target_gradient(step, g, step.margin.by_angle(pairs.angle))
    by_unit_x = by_cosines @ classes.unit
    by_unit_w = by_cosines.T @ rows.unit
    # dθ/dx = -tangent/|x|, so the targets' terms are -dL/dθ times the unit tangents
    pull = -by_angle[:, None]
    towards_w = np.zeros(classes.unit.shape)
    np.add.at(towards_w, step.labels, pull * pairs.at_weight)
    return HeadGradients(
        _unnormalised(by_unit_x, rows, pull * pairs.at_embedding), _unnormalised(by_unit_w, classes, towards_w)
    )


def _unnormalised(by_unit: FloatArray, rows: Directions, tangential: FloatArray) -> FloatArray:
    """Return the gradient by rows from that by their directions: without its radial part, over their length."""
    radial = _row_dot(by_unit, rows.unit)[:, None]
    tangent = by_unit - radial * rows.unit + tangential.astype(by_unit.dtype)
    return np.ldexp(tangent / rows.length[:, None], -rows.exponent[:, None]) + by_unit.dtype.type(0)
