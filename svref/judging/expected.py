"""What is right for any inputs: svref in float64, with every undecided decision taken both ways.

Golden vectors bring certified values. This is for inputs that no vector has, and for dialects. The errors of svref's
own float64 are less than half of what a candidate is allowed.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.head.geometry import directions
from svref.head.shards import Shard, by_embeddings
from svref.judging import condition, narrow
from svref.judging.judge import Expected, ExpectedOutput, Way, rows_where
from svref.judging.precision import Precision, precision_of
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.reference import Step, backward, forward


def expect(
    loss: SVXSoftmax,
    arrays: Sequence[FloatArray],
    labels: IntArray,
    g: FloatArray,
    precision: Precision | DTypeLike,
    counted: BoolArray | None = None,
) -> Expected:
    """Return what is right for cosines, or for embeddings and weights, in their dtype.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    arrays : sequence of arrays
        (cosines,) or (embeddings, weights).
    labels, g : arrays, shape (B,)
        The target classes; the cotangents.
    precision : Precision, str or dtype
        Where the candidate rounds: what `precision_of` takes.
    counted : array of bool, shape (B,), optional
        The rows of cosines to judge.
    """
    plan = precision_of(precision)
    if len(arrays) == 1:
        return _of_cosines(loss, arrays[0], labels, g, plan, counted)
    embeddings, weights = arrays
    return _of_head(loss, embeddings, weights, labels, g, plan)


@dataclass(frozen=True)
class _Given:
    """What `expect` is given. Two are equal if the loss, the precision and all numbers are."""

    loss: SVXSoftmax
    precision: str
    digest: bytes
    arrays: tuple[NDArray[Any], ...] = field(compare=False)


def expect_once(
    loss: SVXSoftmax, arrays: Sequence[FloatArray], labels: IntArray, g: FloatArray, precision: str
) -> Expected:
    """Return what `expect` returns, in arrays that cannot be written to.

    The last results are kept: every check of a variant asks the same batches.

    Parameters
    ----------
    loss : SVXSoftmax
        A loss that equals another one only if both compute the same, as those of the variants and dialects do.
    arrays, labels, g, precision
        As those of `expect`.
    """
    given = tuple(map(np.ascontiguousarray, (*arrays, labels, g)))
    digest = hashlib.sha256()
    for array in given:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return _kept(_Given(loss, precision, digest.digest(), given))


@functools.lru_cache(maxsize=96)
def _kept(given: _Given) -> Expected:
    *arrays, labels, g = given.arrays
    expected = expect(given.loss, arrays, labels, g, given.precision)
    for output in itertools.chain.from_iterable(expected.ways):
        for part in (output.value, output.rest, output.tolerance, output.policy):
            part.flags.writeable = False
    return expected


def certify(
    expected: Expected, loss: SVXSoftmax, arrays: Sequence[FloatArray], labels: IntArray, g: FloatArray
) -> Expected:
    """Return what is right with certified numbers in place of svref's own; it needs python-flint.

    Tolerances stay. Where a decision may go either way, only the first way, as exact numbers decide, is certified.
    """
    from svref import exact  # the core does not need python-flint

    arrays = [np.asarray(a, np.float64) for a in arrays]
    if len(arrays) == 1:
        of_cosines = exact.evaluate(loss, arrays[0], labels, g)
        truths = [of_cosines.loss, of_cosines.cosines]
    else:
        of_head = exact.evaluate_head(loss, arrays[0], arrays[1], labels, g)
        truths = [of_head.loss, of_head.embeddings, of_head.weights]
    first = tuple(
        replace(output, value=truth.hi, rest=truth.lo) for output, truth in zip(expected.ways[0], truths, strict=True)
    )
    return replace(expected, ways=(first, *expected.ways[1:]))


def _of_cosines(
    loss: SVXSoftmax,
    cosines: FloatArray,
    labels: IntArray,
    g: FloatArray,
    plan: Precision,
    counted: BoolArray | None,
) -> Expected:
    """Return what is right for cosines; rows with more than three undecided decisions are not judged."""
    c = cosines.astype(np.float64)
    step = _step(loss, c, labels)
    near, reach = condition.undecided(step, plan)
    undecided = near.sum(axis=1) + (reach >= 0)
    counted = ~narrow.overflows(step, plan) & (True if counted is None else counted)
    judged = counted & (undecided <= condition.MOST_UNDECIDED)
    ways = [
        way_of(_step(loss, c, labels, flipped, np.where(other, reach, -1.0)), g, plan)
        for flipped, other in _alternatives(near, reach >= 0, ~judged)
    ]
    undecided = np.where(counted, undecided, 0).astype(np.intp)
    loss_dtype = plan.loss_dtype("cosine", cosines.dtype)
    return Expected(cosines.dtype, tuple(ways), _gap(step), undecided, judged, loss_dtype)


def _of_head(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, labels: IntArray, g: FloatArray, plan: Precision
) -> Expected:
    """Return what is right for vectors; rows with an undecided decision are not judged."""
    shard = Shard.of(loss, x.astype(np.float64), w.astype(np.float64), labels)
    step = shard.step()
    near, reach = condition.undecided_at_head(shard, step, plan)
    undecided = near.sum(axis=1) + (reach >= 0)
    way, judged = _head_way(shard, step, g, plan), (undecided == 0) & ~narrow.overflows(step, plan)
    loss_dtype = plan.loss_dtype("head", x.dtype)
    return Expected(x.dtype, (way,), _gap(step), undecided.astype(np.intp), judged, loss_dtype)


def _head_way(shard: Shard, step: Step, g: FloatArray, plan: Precision) -> Way:
    x, w = shard.embeddings, shard.weights
    of_head = (step, directions(x), directions(w), g, plan)
    allowed, by = narrow.allowed_at_head(*of_head)
    by_x, by_w = _head_gradients(shard, g)
    rows, classes = narrow.overflows_backward_at_head(*of_head)
    lost_x = narrow.is_beyond(by_x, plan) | rows_where(rows, by_x)
    lost_w = narrow.is_beyond(by_w, plan) | rows_where(classes, by_w)
    pole, fragile = _at_pole(step), condition.rounds_to_pole(step, plan, x.shape[1])
    nowhere = np.zeros(len(x), dtype=bool)
    return (
        _right("loss", step.loss, allowed, nowhere),
        ExpectedOutput(
            "grad_embeddings", by_x, np.zeros_like(by_x), by.embeddings,
            rows_where(pole, by_x), rows_where(fragile, by_x) | lost_x,
        ),
        ExpectedOutput(
            "grad_weights", by_w, np.zeros_like(by_w), by.weights,
            rows_where(pole, by_w, step.labels),
            rows_where(fragile, by_w, step.labels) | lost_w,
        ),
    )  # fmt: skip


def _head_gradients(shard: Shard, g: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the gradients of Σ g_b L_b by embeddings and weights."""
    targets = shard.targets()
    kept = shard.negatives(targets)
    by_unit, by_w = shard.gradients(targets, kept.mass, g, kept)
    return by_embeddings(shard.embeddings, by_unit), by_w


def _at_pole(step: Step) -> BoolArray:
    return np.asarray((step.angle.sine == 0) & step.margin.angular)


def _step(
    loss: SVXSoftmax,
    c: FloatArray,
    labels: IntArray,
    flipped: BoolArray | None = None,
    reach: FloatArray | None = None,
) -> Step:
    angle = Angle.from_cosine(c[np.arange(len(labels)), labels], reach)
    return forward(loss, c, labels, angle=angle, flipped=flipped)


@np.errstate(under="ignore")
def way_of(step: Step, g: FloatArray, precision: Precision | DTypeLike) -> Way:
    """Return the outputs of a step on cosines, with the tolerances of a plan."""
    plan = precision_of(precision)
    allowed, by_cosines = narrow.allowed(step, g, plan)
    pole = np.zeros(step.cosines.shape, dtype=bool)
    pole[step.own] = _at_pole(step)
    nowhere, gradient = np.zeros(len(step.labels), dtype=bool), backward(step, g).cosines
    right = _right("grad_cosines", gradient, by_cosines, pole)
    return _right("loss", step.loss, allowed, nowhere), replace(right, fragile=narrow.overflows_backward(step, g, plan))


def _right(name: str, value: FloatArray, tolerance: FloatArray, policy: BoolArray) -> ExpectedOutput:
    return ExpectedOutput(name, value, np.zeros_like(value), tolerance, policy)


def _gap(step: Step) -> FloatArray:
    own = np.zeros(step.cosines.shape, dtype=bool)
    own[step.own] = True
    return np.where(own, np.inf, np.abs(step.cosines - step.boundary[:, None])).min(axis=1)


def _alternatives(
    near_mask: BoolArray, near_branch: BoolArray, skipped: BoolArray
) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield every way to take the undecided decisions, as flips of the mask and rows on the branch's other side.

    Way j turns over the i-th undecided decision of each row if bit i of j is set. Rows are independent, so the at most
    2^3 ways serve all rows of the batch at once.
    """
    near = np.concatenate([near_mask, near_branch[:, None]], axis=1) & ~skipped[:, None]
    order = np.where(near, np.cumsum(near, axis=1) - 1, -1)
    most = int(near.sum(axis=1).max(initial=0))
    for bits in itertools.product((False, True), repeat=most):
        turned = near & np.isin(order, np.flatnonzero(bits))
        yield turned[:, :-1], turned[:, -1]
