r"""From embeddings and class weights to the loss, and back.

    cosines       c_bk = <x_b, w_k> / (|x_b| |w_k|)
    loss          that of the cosines, with each target's sine measured on its two vectors
    gradients     dL/dx_b = Σ_k dL/dc_bk (ŵ_k - c_bk x̂_b)/|x_b|,  dL/dw_k likewise

The target's own term is written as dL/dθ times a unit tangent (equation 38). The cosine of two almost parallel
vectors no longer knows their angle: 1 - cos(1e-9) is 0 in float64. Only these B pairs need more than the working
precision; see `svref.head.geometry`. The classes pass in chunks, and each chunk is a shard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import FloatArray, IntArray
from svref.checks import Progress, real_parameter
from svref.engine import kernels, threads, tiles
from svref.head.geometry import directions, measure_pairs
from svref.head.shards import Kept, Shard, by_embeddings, within
from svref.loss import SVXSoftmax, check_loss
from svref.margins import Angle

CHUNK_BYTES = 5 * 2**19  # of a chunk's weights or cosines: smaller ones cost threads more waiting than they save


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


@np.errstate(under="ignore")
def value_and_grad(
    loss: SVXSoftmax,
    embeddings: ArrayLike,
    weights: ArrayLike,
    labels: ArrayLike,
    *,
    reduction: str = "mean",
    ignore_index: int | None = None,
    out: FloatArray | None = None,
    memory: int = 2**28,
    progress: Progress | None = None,
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
    out : array of the same dtype, shape (C, D), optional
        Where the gradient by the weights is written; it may be a memory map. From the start of the work until it is
        complete some of its rows are NaN, also after an interrupt or an error.
    memory : int, default 2**28
        Bytes that may be spent to keep one number per cosine, B C of them, between the passes over the classes. If
        they do not fit, the cosines are computed twice: four matrix products in place of three.
    progress : callable, optional
        Called with the number of classes done and their total, which counts both passes, after every chunk; once at a
        time, from whichever thread it was. What it raises ends the work.

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
        zero, the labels are wrong, or `out` cannot take the gradient. All but the values of `weights` are checked
        before any work, those in the first pass, before any gradient is written.

    Notes
    -----
    The classes pass in chunks that fit a cache; nothing else of the size of the weights is allocated, so `weights` may
    be a memory map larger than the memory. With threadpoolctl installed the chunks run side by side, each on one BLAS
    thread, and the bits do not depend on the number of threads. The matrix products sum in an order of their own, so
    the last bits of a row depend on the shape of the batch.

    Examples
    --------
    >>> import numpy as np, svref
    >>> value, gradients = svref.head.value_and_grad(
    ...     svref.sv_am_softmax(s=4.0, m=0.25), np.array([[3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 2.0]]), [1]
    ... )
    >>> print(f"{value:.4f}", gradients.embeddings.round(4))
    1.6851 [[ 0.8133 -0.61  ]]
    """
    check_loss(loss)
    x, w = checks.real_array("embeddings", embeddings, 2), checks.real_array("weights", weights, 2)
    checks.check_pair(x, w)
    y, counted = checks.class_indices(labels, len(x), len(w), ignore_index)
    g = checks.reduction_cotangent(reduction, counted, len(y))
    gradient = checks.output_array("out", out, w.shape, w.dtype, x, w)
    budget = real_parameter("memory", memory, 0.0)
    checks.check_progress(progress)
    checks.check_rows("embeddings", x)
    if not directions(w[y]).complete:
        checks.check_rows("weights", w)
    with threads.one_blas_thread_each() as workers:
        stream = _Stream(loss, x, w, y, progress, workers)
        loss.check_logits(1.0, Angle(*stream.targets), x.dtype)
        stream.mark(gradient)
        mass, kept = stream.negatives(keep=budget >= x.itemsize * len(x) * len(w))
        by_x = stream.gradients(mass, kept, g, gradient)
        value = tiles.reduced(kernels.log_odds_against(mass), counted, g, reduction, x.dtype)
        return value, HeadGradients(by_embeddings(x, by_x), gradient)


class _Stream:
    """The classes of a head in chunks, each a shard, and the two passes over them."""

    def __init__(
        self,
        loss: SVXSoftmax,
        x: FloatArray,
        w: FloatArray,
        y: IntArray,
        progress: Progress | None,
        workers: int,
    ) -> None:
        largest = max(1, CHUNK_BYTES // (w.itemsize * max(x.shape)))
        self.chunks = threads.even(len(w), min(largest, max(256, len(w) // 4)))
        self.loss, self.x, self.w, self.y = loss, x, w, y
        self.rows, self.pairs = directions(x), measure_pairs(x, w[y])
        self.targets = self.pairs.rounded_cosines_and_sines(x.dtype)
        self.progress, self.workers, self.done = progress, workers, 0

    def shard(self, i: int) -> Shard:
        """Return chunk i."""
        part = self.chunks[i]
        positions = within(self.y, part)
        return Shard(self.loss, self.x, self.w[part], positions, self.rows, self.pairs.select(positions >= 0))

    def mark(self, out: FloatArray) -> None:
        """Begin every chunk of the output with a row of NaN, which is written last."""
        for part in self.chunks:
            out[part.start] = np.nan

    def negatives(self, keep: bool) -> tuple[kernels.Mass, list[Kept | None]]:
        """Return the mass of all negatives, and what each chunk keeps for its gradients."""
        masses: list[kernels.Mass] = []
        kept: list[Kept | None] = []

        def consume(result: Kept) -> None:
            masses.append(result.mass)
            kept.append(result if keep else None)
            self._report(len(masses) - 1)

        room = np.empty(len(self.y) * len(self.w) if keep else 0, self.w.dtype)

        def task(i: int) -> Kept:
            return self.shard(i).negatives(self.targets, self._part(room, i) if keep else None)

        try:
            self._run(task, consume)
        except ValueError:
            checks.check_rows("weights", self.w)
            raise
        return reduce(kernels.merge, masses), kept

    def gradients(self, mass: kernels.Mass, kept: list[Kept | None], g: FloatArray, out: FloatArray) -> FloatArray:
        """Write dL/dw to `out`, and return dL/dx̂, float64."""
        total = np.zeros(self.x.shape)
        done = iter(range(len(self.chunks)))

        def task(i: int) -> FloatArray:
            return self.shard(i).gradients(self.targets, mass, g, kept[i], out[self.chunks[i]])[0]

        def consume(by_x: FloatArray) -> None:
            np.add(total, by_x, out=total)
            self._report(next(done))

        self._run(task, consume)
        return total

    def _part(self, room: FloatArray, i: int) -> FloatArray:
        """Return the memory for the cosines of chunk i."""
        rows, part = len(self.y), self.chunks[i]
        return room[rows * part.start : rows * part.stop].reshape(rows, -1)

    def _run(self, task: Callable[[int], Any], consume: Callable[[Any], object]) -> None:
        threads.run(task, len(self.chunks), consume, self.workers)

    def _report(self, i: int) -> None:
        self.done += self.chunks[i].stop - self.chunks[i].start
        if self.progress is not None:
            self.progress(self.done, 2 * len(self.w))
