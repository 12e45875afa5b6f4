"""Heads: embeddings and weights are chosen so that the cosines of a row are those that a question asks for.

With orthonormal e_0, e_1, ... the vectors of one row are

    x = |x| e_0,    w_k = |w_k| (c_k e_0 + sqrt(1 - c_k²) e_{k+1})

so that every row of cosines in [-1, 1] can be asked, one row a call. The gradient by c_k is read off the gradient by
w_k, which is dL/dc_k (x̂ - c_k ŵ_k)/|w_k|.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import Call, CandidateError
from svref.conformance.candidates.guard import Guard, usable_answer
from svref.conformance.diagnosing.probes import BoundCandidate

LENGTHS = (0.5, 2.0, 4.0, 1.0)  # of the weights, again and again: powers of 2, which round no cosine
LENGTH = 2.0  # of the embedding


class HeadAnswer(NamedTuple):
    """What a head returned: losses (B,), and the gradients by embeddings and weights, None where there are none."""

    losses: NDArray[Any]
    by_embeddings: NDArray[Any] | None
    by_weights: NDArray[Any] | None


def ask_head(
    guard: Guard,
    parameters: Mapping[str, float],
    x: FloatArray,
    w: FloatArray,
    y: IntArray,
    g: FloatArray | None = None,
) -> HeadAnswer:
    """Return a head's answer, with losses of a shape (B,); one that reduces them is asked with single rows only.

    Raises a CandidateError if there is none.
    """
    found = usable_answer(guard, Call("", (x, w), y, np.ones(len(y)) if g is None else g, parameters))
    if not found.losses.ndim and len(y) > 1:
        raise CandidateError("a head that reduces its losses is asked with single rows")
    return HeadAnswer(found.losses.reshape(-1), *found.gradients)


def on_cosines(
    guard: Guard, parameters: Mapping[str, float], of_unit_length: bool, by_weights: bool = True
) -> BoundCandidate:
    """Return a head as a function of cosines and labels; its vectors have the length 1 if it does not normalise.

    The gradient is read off that by the weights, or if not `by_weights` off that by the embeddings.
    """

    def candidate(cosines: FloatArray, labels: IntArray) -> tuple[NDArray[Any], NDArray[Any] | None]:
        rows = [_row(guard, parameters, c, y, of_unit_length, by_weights) for c, y in zip(cosines, labels, strict=True)]
        gradients = [gradient for _, gradient in rows if gradient is not None]
        losses = np.array([loss for loss, _ in rows], dtype=cosines.dtype)
        return losses, np.stack(gradients) if len(gradients) == len(rows) else None

    return candidate


def _row(
    guard: Guard, parameters: Mapping[str, float], c: FloatArray, y: int, of_unit_length: bool, by_weights: bool
) -> tuple[float, FloatArray | None]:
    """Return the loss of one row of cosines, and its gradient by them."""
    classes, kind = len(c), c.dtype
    exact = c.astype(np.float64)
    sine = np.sqrt((1 - exact) * (1 + exact))
    lengths = np.ones(classes) if of_unit_length else np.resize(LENGTHS, classes)
    length = 1.0 if of_unit_length else LENGTH
    w, x = np.zeros((classes, classes + 1)), np.zeros((1, classes + 1))
    x[0, 0], w[:, 0], w[np.arange(classes), np.arange(1, classes + 1)] = length, exact, sine
    w *= lengths[:, None]
    answer = ask_head(guard, parameters, x.astype(kind), w.astype(kind), np.array([y]))
    return float(answer.losses[0]), _gradient(answer, exact, sine, lengths, length, by_weights)


def _gradient(
    answer: HeadAnswer, c: FloatArray, sine: FloatArray, lengths: FloatArray, length: float, by_weights: bool
) -> FloatArray | None:
    """Return the gradient by the cosines, from that by the weights or from that by the embedding."""
    by_w, by_x = answer.by_weights, answer.by_embeddings
    with np.errstate(all="ignore"):
        if by_weights and by_w is not None:
            along = sine * by_w[:, 0] - c * by_w[np.arange(len(c)), np.arange(1, len(c) + 1)]
            return np.asarray(lengths * along / sine, dtype=np.float64)
        return None if by_x is None else np.asarray(length * by_x[0, 1:] / sine, dtype=np.float64)
