"""The head on a Dask cluster: class weights as a dask array in chunks of classes, its gradient as another.

Every chunk is a shard. The shards exchange what `svref.head.shards` lists: the targets' cosines, the masses
(peak, total), and the parts of the gradient by the embeddings. Dask runs them on the threads of this process, or on
the cluster whose client is active. A chunk that is lost with its worker is computed again.

Needs the extra ``dask``: ``pip install 'svref[dask]'``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import FloatArray, IntArray
from svref.engine import kernels, threads, tiles
from svref.head import HeadGradients
from svref.head.shards import Shard, by_embeddings, within
from svref.loss import SVXSoftmax, check_loss
from svref.margins import Angle

try:
    import dask.array as da
    from dask import delayed
except ImportError as error:
    raise ImportError("svref.distributed needs Dask: pip install 'svref[dask]'") from error


def value_and_grad(
    loss: SVXSoftmax,
    embeddings: ArrayLike,
    weights: da.Array,
    labels: ArrayLike,
    *,
    reduction: str = "mean",
    ignore_index: int | None = None,
) -> tuple[da.Array, HeadGradients]:
    """Return the loss of a classification head and its gradients, lazily, chunk by chunk of its classes.

    Equals
        `svref.head.value_and_grad`, but for the rounding of sums over other chunks.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss on cosines.
    embeddings : array_like of float32 or float64, shape (B, D)
        x; every worker gets them.
    weights : dask array of the same dtype, shape (C, D)
        w, in chunks of classes; they never are in one place. Persist them, or the gradient reads them three times.
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    reduction : {"mean", "sum", "none"}
        What becomes of the B losses.
    ignore_index : int, optional
        Rows with this label have loss 0 and do not count.

    Returns
    -------
    value : dask array, of no axes, or of shape (B,) for ``reduction="none"``
    gradients : HeadGradients
        Dask arrays; that by the weights has their chunks. Compute all in one call, ``dask.compute(value,
        gradients.embeddings, gradients.weights)``: they share most of the work.

    Raises
    ------
    ValueError, TypeError
        For bad embeddings, labels or shapes at once; for weights that are not finite or rows that are zero when their
        chunk is computed.

    Examples
    --------
    >>> import dask, dask.array as da, numpy as np, svref
    >>> from svref import distributed
    >>> rng = np.random.default_rng(0)
    >>> x, w = rng.normal(size=(4, 8)), da.from_array(rng.normal(size=(30, 8)), chunks=(10, 8))
    >>> value, gradients = distributed.value_and_grad(svref.sv_arc_softmax(), x, w, [3, 14, 15, 9])
    >>> value, by_weights = dask.compute(value, gradients.weights)
    >>> print(f"{value:.3f}", by_weights.shape)
    87.047 (30, 8)
    """
    check_loss(loss)
    _check(weights)
    x = checks.real_array("embeddings", embeddings, 2)
    checks.check_rows("embeddings", x)
    checks.check_pair(x, weights)
    y, counted = checks.class_indices(labels, len(x), weights.shape[0], ignore_index)
    g = checks.reduction_cotangent(reduction, counted, len(y))
    w = weights.rechunk({1: -1})
    chunks = _Chunks(loss, delayed(x, pure=True), w, delayed(y, pure=True))
    targets = delayed(_checked)(loss, _fold(operator.add, chunks.each(_targets)), x.dtype)
    mass = _fold(kernels.merge, chunks.each(_mass, targets))
    parts = chunks.each(_gradients, targets, mass, g)
    value = delayed(tiles.reduced)(delayed(kernels.log_odds_against)(mass), counted, g, reduction, x.dtype)
    by_x = delayed(by_embeddings)(x, _fold(operator.add, [part[0] for part in parts]))
    by_w = [da.from_delayed(part[1], (k, x.shape[1]), x.dtype) for part, k in zip(parts, w.chunks[0], strict=True)]
    shape = (len(x),) if reduction == "none" else ()
    gradients = HeadGradients(da.from_delayed(by_x, x.shape, x.dtype), da.concatenate(by_w))
    return da.from_delayed(value, shape, x.dtype), gradients


class _Chunks:
    """The chunks of the class weights, each with the first of its classes."""

    def __init__(self, loss: SVXSoftmax, x: Any, weights: da.Array, labels: Any) -> None:
        self.loss, self.x, self.labels = loss, x, labels
        self.weights = weights.to_delayed().ravel()
        self.starts = [0, *np.cumsum(weights.chunks[0][:-1]).tolist()]

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return what `function` returns for the shard of each chunk."""
        return [
            delayed(function)(self.loss, self.x, w, self.labels, start, *args)
            for w, start in zip(self.weights, self.starts, strict=True)
        ]


def _check(weights: object) -> None:
    if not isinstance(weights, da.Array):
        raise TypeError(f"weights must be a dask array; got {type(weights).__name__}. See svref.head for NumPy arrays.")
    if weights.ndim != 2 or np.isnan(weights.shape).any():
        raise ValueError(
            f"weights must have 2 axes, (C, D), and known chunks; got shape {weights.shape}. "
            "Chunks become known with weights.compute_chunk_sizes()."
        )


def _shard(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, start: int) -> Shard:
    try:
        return Shard.of(loss, x, w, within(y, slice(start, start + len(w))))
    except ValueError as error:
        raise ValueError(f"in the chunk of weights that begins at class {start}: {error}") from error


def _targets(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, start: int) -> FloatArray:
    return _shard(loss, x, w, y, start).targets()


def _checked(loss: SVXSoftmax, targets: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
    loss.check_logits(1.0, Angle(*targets), dtype)
    return targets


def _mass(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, start: int, targets: FloatArray) -> kernels.Mass:
    with threads.one_blas_thread_each():
        return _shard(loss, x, w, y, start).negatives(targets).mass


def _gradients(
    loss: SVXSoftmax,
    x: FloatArray,
    w: FloatArray,
    y: IntArray,
    start: int,
    targets: FloatArray,
    mass: kernels.Mass,
    g: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    with threads.one_blas_thread_each():
        by_x, by_w = _shard(loss, x, w, y, start).gradients(targets, mass, g)
        return by_x.astype(np.float64), by_w


def _fold(function: Callable[..., Any], values: list[Any]) -> Any:
    """Return the values folded two and two, in order, so that no worker needs many of them at once."""
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        values = [delayed(function)(a, b) for a, b in pairs] + values[len(values) // 2 * 2 :]
    return values[0]
