"""A head whose classes lie in different places: what each place computes, and what the places exchange.

    each shard    targets()                   cosine and sine of each embedding with its class; 0 for classes elsewhere
    all           their sum
    each shard    negatives(targets)          the exponentials of its negatives, and their mass (peak, total)
    all           kernels.merge of the masses, in class order
    each shard    gradients(targets, mass)    dL/dw of its classes, and its part of dL/dx̂
    all           the sum of the parts, which `by_embeddings` turns into dL/dx

`svref.head.streaming` runs the chunks of a large head as shards in one process, `svref.head.distributed` on a Dask
cluster. A model-parallel implementation can be checked rank by rank against the same calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import BoolArray, FloatArray, IntArray
from svref.engine import kernels, threads, tiles
from svref.head.geometry import (
    Classes,
    Directions,
    Pairs,
    classes,
    directions,
    divide_by_length,
    measure_pairs,
    pair_cosines,
    remove_radial,
    scaled,
)
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.reference import Step, forward, sigmoid, times_df

# Exponents of the largest s t |g|: between them probabilities, lengths and the sum over a batch have room in the dtype.
# Below the first, g is scaled up: what it takes from a probability of e^-500, a short row of weights may give back.
ROOM = {"float32": (-40, 100), "float64": (-40, 900)}
FOLDED = (2.0**-80, 2.0**80)  # numbers of rows that may multiply the embeddings in place of the exponentials

STRONG = 2.0**10  # t beyond which exponentials times slope and scale could overflow float32 before the row's number

Kept = kernels.Negatives


@dataclass(frozen=True, eq=False)
class Shard:
    """Some classes of a classification head, as one process holds them.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss on cosines.
    embeddings : array of float32 or float64, shape (B, D)
        x, all of the batch; no row is zero.
    weights : array of the same dtype, shape (K, D)
        w of the classes of this shard; no row is zero.
    labels : array of intp, shape (B,)
        Which row of `weights` is the class of each embedding; -1 if that class is elsewhere. See `positions`.
    rows : Directions
        The directions of the embeddings; `Shard.of` finds them.
    pairs : Pairs
        The angles and tangents of the embeddings whose class is in this shard, in order; `Shard.of` measures them.
    """

    loss: SVXSoftmax
    embeddings: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    rows: Directions = field(repr=False)
    pairs: Pairs = field(repr=False)

    @classmethod
    @np.errstate(under="ignore")
    def of(cls, loss: SVXSoftmax, embeddings: ArrayLike, weights: ArrayLike, labels: ArrayLike) -> Shard:
        """Return a shard of valid arrays.

        Raises
        ------
        ValueError, TypeError
            If an array is not finite, real and two-dimensional, D or the dtypes differ, a row is zero, or a label is
            neither a row of `weights` nor -1.
        """
        x, w = checks.real_array("embeddings", embeddings, 2), checks.real_array("weights", weights, 2)
        checks.check_pair(x, w)
        checks.class_indices(labels, len(x), len(w), ignore_index=-1)
        checks.check_rows("embeddings", x)
        checks.check_rows("weights", w)
        y = np.asarray(labels, dtype=np.intp)
        here = y >= 0
        return cls(loss, x, w, y, directions(x), measure_pairs(x[here], w[y[here]]))

    def targets(self) -> FloatArray:
        """Return the cosine and the sine of each embedding with its class, (2, B), and 0 where that is elsewhere."""
        targets = np.zeros((2, len(self.labels)))
        targets[:, self._here] = self.pairs.rounded_cosines_and_sines(self.embeddings.dtype)
        return targets

    def step(self, flipped: BoolArray | None = None) -> Step:
        """Return the forward pass of a shard that holds every class; `flipped` is that of `svref.reference.forward`."""
        targets = self.targets()
        return forward(self.loss, self.cosines(targets), self.labels, angle=Angle(*targets), flipped=flipped)

    @np.errstate(under="ignore")
    def cosines(self, targets: FloatArray) -> FloatArray:
        """Return the cosines (B, K), within [-1, 1]; `targets` is the sum of what all shards returned."""
        return self._cosines(targets, self._classes())[0].copy()

    @np.errstate(under="ignore", over="ignore")
    def negatives(self, targets: FloatArray, out: FloatArray | None = None) -> Kept:
        """Write the exponentials of the negatives to `out` (B, K), and return them with their mass, which is merged."""
        classes = self._classes()
        if not classes.complete:
            checks.check_rows("weights", self.weights)
        room = np.empty((len(self.labels), len(self.weights)), self.weights.dtype) if out is None else out
        return self._negatives(targets, classes, room)

    @np.errstate(under="ignore", over="ignore")
    def gradients(
        self,
        targets: FloatArray,
        mass: kernels.Mass,
        g: FloatArray,
        kept: Kept | None = None,
        out: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return this shard's part of dL/dx̂ (B, D), and dL/dw (K, D) of its classes.

        The part is float64: the lengths, which divide the sum of the parts, may bring it into the range of float32.
        Numbers beyond their dtype are signed infinities.

        Parameters
        ----------
        targets : array, shape (2, B)
            The sum of all shards' targets.
        mass : kernels.Mass
            The mass of all shards' negatives.
        g : array of float64, shape (B,)
            The cotangent of each row's loss.
        kept : Kept, optional
            What `negatives` returned; this call overwrites it. None computes it again, which costs a matrix product
            and saves B K numbers of memory.
        out : array, shape (K, D), optional
            Where dL/dw is written, the first row last.
        """
        classes = self._classes()
        shape = len(self.labels), len(self.weights)
        kept = kept or self._negatives(targets, classes, threads.scratch("exponentials", shape, self.weights.dtype))
        power = self._common_power(g)
        pull = self.loss.s * sigmoid(kernels.log_odds_against(mass)) * np.ldexp(g, -power)
        by_x, by_w = self._products(kept, pull, mass, classes)
        remove_radial(by_w, classes.vectors, classes.scale)
        if self._here.size:
            self._add_targets(by_x, by_w, classes, -pull, Angle(*targets), (g == 0) | (mass.total == 0))
        classes = classes._replace(exponent=classes.exponent - power)
        by_w = divide_by_length(by_w, classes, np.empty_like(by_w) if out is None else out)
        return np.ldexp(by_x, power), by_w

    def _products(
        self, kept: Kept, pull: FloatArray, mass: kernels.Mass, classes: Classes
    ) -> tuple[FloatArray, FloatArray]:
        """Return Σ_k G_bk ŵ_k (B, D), float64, and Σ_b G_bk x̂_b (K, D), times the scale if the classes have one.

        G_bk = number_b slope_k e^{r_k - P}. The number multiplies (B, D) arrays, which are smaller than those of the
        exponentials, unless it is an extreme one.
        """
        factor, by_cosines, low = kernels.share_factor(kept.mass, mass).times(pull), kept.exponentials, kept.low
        if self.loss.emphasis.t > STRONG:
            kernels.multiply_rows(by_cosines, factor, low)
            factor, low = kernels.Factor(np.ones(len(low)), np.ones(len(low))), np.full(len(low), -np.inf)
        if classes.scale is not None:
            power, low = _room(low, classes.scale)
            by_cosines *= np.ldexp(classes.scale, -power)
            factor = factor.times(np.ldexp(1.0, power))
        number = factor.number
        if not _is_ordinary(factor):
            kernels.multiply_rows(by_cosines, factor, low)
            number = np.ones(len(number))
        by_x = (by_cosines @ classes.vectors).astype(np.float64) * number[:, None]
        by_w = threads.scratch("by_weights", self.weights.shape, self.weights.dtype)
        weighted = (self.rows.unit * number[:, None]).astype(self.weights.dtype)
        return by_x, np.matmul(by_cosines.T, weighted, out=by_w)

    @cached_property
    def _here(self) -> IntArray:
        return np.flatnonzero(self.labels >= 0)

    @property
    def _own(self) -> kernels.LabelEntries:
        return kernels.LabelEntries(self._here, self.labels[self._here])

    def _common_power(self, g: FloatArray) -> int:
        """Return the exponent of the power of two that g is divided by: 0 unless the largest s t |g| is out of `ROOM`.

        All rows share it, because a class collects the gradients of many rows. It is no larger than it must be, because
        rows with a much smaller g must stay in range too.
        """
        largest = float(np.abs(g).max(initial=0))
        exponent = math.frexp(largest)[1] + math.frexp(self.loss.s * self.loss.emphasis.t)[1]
        low, high = ROOM[self.weights.dtype.name]
        return exponent - min(max(exponent, low), high) if largest > 0 else 0

    def _classes(self) -> Classes:
        return classes(self.weights, len(self.embeddings))

    def _negatives(self, targets: FloatArray, classes: Classes, out: FloatArray) -> Kept:
        c, extremes = self._cosines(targets, classes)
        target = kernels.target(self.loss, Angle(*targets), c.dtype, extremes)
        return tiles.negatives(self.loss, c, target, self._own, out)

    def _cosines(self, targets: FloatArray, classes: Classes) -> tuple[FloatArray, tuple[float, float]]:
        """Return the cosines (B, K), and numbers that none is below and none above."""
        shape = len(self.labels), len(self.weights)
        c = np.matmul(self.rows.unit, classes.vectors.T, out=threads.scratch("cosines", shape, self.weights.dtype))
        if classes.scale is not None:
            c *= classes.scale
        low, high = float(c.min()), float(c.max())
        if low < -1 or high > 1:
            np.clip(c, -1, 1, out=c)
        target = targets[0].astype(c.dtype)
        c[self._own] = target[self._here]
        width = 4 * float(np.finfo(c.dtype).eps) * np.sqrt(self.embeddings.shape[1])
        self._measure_ties(c, target, targets, width)
        return c, (low - width, high + width)

    def _measure_ties(self, c: FloatArray, target: FloatArray, targets: FloatArray, width: float) -> None:
        """Measure the cosines within `width` of a target, which may tie with it, as the targets are measured.

        A class with the weights of the target must tie with it exactly. That takes one way of computing both cosines,
        and only where the boundary is the target's cosine itself, so that a tie decides the mask.
        """
        loss = self.loss
        boundary = kernels.rounded_down((loss.emphasis.boundary or loss.margin).value(Angle(*targets)), c.dtype)
        level = np.flatnonzero(boundary == target)
        near, k = np.nonzero(np.abs(c[level] - target[level, None]) <= width)
        for part in threads.even(len(k), 4096):
            b = level[near[part]]
            x, w = (scaled(v.astype(np.float64))[0] for v in (self.embeddings[b], self.weights[k[part]]))
            c[b, k[part]] = pair_cosines(x, w, c.dtype)[0]

    def _add_targets(
        self,
        by_x: FloatArray,
        by_w: FloatArray,
        classes: Classes,
        pull: FloatArray,
        angle: Angle,
        dead: BoolArray,
    ) -> None:
        """Add the targets' own terms, -dL/dθ times the unit tangents (equation 38), to what `_products` returned."""
        by_angle = times_df(pull, self.loss.margin.by_angle(angle), dead)[self._here, None]
        by_x[self._here] -= by_angle * self.pairs.at_embedding
        labels, which = np.unique(self.labels[self._here], return_inverse=True)
        towards = np.zeros((len(labels), by_w.shape[1]))
        np.add.at(towards, which, by_angle * self.pairs.at_weight)
        by_w[labels] -= towards if classes.scale is None else towards * classes.scale[labels, None]


def _is_ordinary(factor: kernels.Factor) -> bool:
    """Return whether no factor is so small or large that it must multiply the exponentials themselves."""
    size = np.abs(factor.number)
    return bool((((size == 0) | (size > FOLDED[0])) & (size < FOLDED[1]) & (factor.step == 1)).all())


def _room(low: FloatArray, scale: FloatArray) -> tuple[int, FloatArray]:
    """Return the power of two that exponentials times a scale are divided by, and a low below their logarithms.

    They stay normal numbers, and what multiplies them comes nearer to 1: the number of a row is small where its
    exponentials are large. No exponential but 0 is below e^low.
    """
    tiny = kernels.TINY[scale.dtype]
    least = np.maximum(low, kernels.LOWEST[scale.dtype]) + math.log(float(scale.min())) - 1e-3
    power = min(math.floor((float(least.min()) - math.log(tiny)) / math.log(2)), 64)
    return power, least - power * math.log(2)


def positions(labels: ArrayLike, classes: Sequence[int] | IntArray) -> IntArray:
    """Return where each label's class stands among the `classes` that a shard holds; -1 if it is not there.

    Parameters
    ----------
    labels : array_like of integers, shape (B,)
        Class indices.
    classes : sequence of distinct integers, length K
        The classes of the shard's rows, in their order: a range, or the sample that PartialFC and its kind drew.

    Raises
    ------
    TypeError, ValueError
        If labels or classes are not integers, or a class occurs twice.

    Examples
    --------
    >>> from svref.shards import positions
    >>> positions([7, 2, 5], range(4, 8)), positions([7, 2, 5], [5, 9, 7])
    (array([ 3, -1,  1]), array([ 2, -1,  0]))
    """
    shard, y = np.asarray(classes), np.asarray(labels)
    if shard.size == 0:
        return np.full(y.shape, -1, dtype=np.intp)
    for name, array in (("classes", shard), ("labels", y)):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise TypeError(f"{name} must be integers, one axis; got dtype {array.dtype} and shape {array.shape}.")
    order = np.argsort(shard, kind="stable")
    again = np.flatnonzero(np.diff(shard[order]) == 0)
    if again.size:
        raise ValueError(f"classes must be distinct: a shard holds a class once; got {shard[order[again[0]]]} twice.")
    at = np.minimum(np.searchsorted(shard, y, sorter=order), len(shard) - 1)
    return np.where(shard[order[at]] == y, order[at], -1)


def within(labels: IntArray, classes: slice) -> IntArray:
    """Return `positions` for a run of classes, without a search."""
    return np.where((labels >= classes.start) & (labels < classes.stop), labels - classes.start, -1)


@np.errstate(under="ignore", over="ignore", invalid="ignore")
def by_embeddings(embeddings: FloatArray, by_unit: FloatArray) -> FloatArray:
    """Return dL/dx (B, D), in the dtype of the embeddings, from the sum of all shards' parts of dL/dx̂."""
    rows, (by_unit, power) = directions(embeddings), scaled(by_unit)  # dL/dx may have room where dL/dx̂ has none
    rows = rows._replace(exponent=rows.exponent - power)
    return divide_by_length(remove_radial(by_unit.astype(embeddings.dtype), rows.unit), rows)
