"""A candidate as it is asked: called through its guard, with parameters bound, on cosines or as a head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import Answer, Call, CandidateError
from svref.conformance.candidates.guard import Guard, Mishap, usable_answer
from svref.conformance.diagnosing import heads, vectors
from svref.conformance.diagnosing.cotangent import Weighted
from svref.conformance.diagnosing.findings import Finding
from svref.conformance.diagnosing.identify import Others, identify
from svref.conformance.diagnosing.probes import BoundCandidate
from svref.variants import Variant

CHANGES: Mapping[str, Callable[[float], float]] = {
    "s": lambda s: 0.75 * s,
    "t": lambda t: 2 * t - 1,
    "m1": lambda m1: m1 + 0.5,
}


@dataclass(frozen=True, eq=False)
class Asker:
    """A candidate, and how it is asked.

    Parameters
    ----------
    guard : Guard
        Calls the candidate.
    entry : Variant
        What it is meant to be.
    kind : numpy.dtype
        The dtype of its inputs.
    is_head : bool
        Whether it takes embeddings and weights.
    of_unit_length : bool
        Whether a head is given vectors of the length 1, as it does not normalise them.
    by_weights : bool
        Whether a head's gradient by the cosines is read off that by the weights; else off that by the embeddings.
    """

    guard: Guard
    entry: Variant
    kind: np.dtype[Any]
    is_head: bool = False
    of_unit_length: bool = False
    by_weights: bool = True

    def bound(self, parameters: Mapping[str, float]) -> BoundCandidate:
        """Return the candidate as a function of cosines and labels."""
        if self.is_head:
            return heads.on_cosines(self.guard, parameters, self.of_unit_length, self.by_weights)
        return on_cosines(self.guard, parameters)

    def head(self, parameters: Mapping[str, float]) -> vectors.Head:
        """Return the candidate as a head with a batch of vectors."""

        def ask(x: FloatArray, w: FloatArray, y: IntArray) -> heads.HeadAnswer:
            return heads.ask_head(self.guard, parameters, x, w, y)

        return vectors.head_of(ask, self.entry.factory(**parameters), self.kind)

    def identified(self, parameters: Mapping[str, float], pairs: bool = True) -> tuple[Finding, ...]:
        """Return the findings about the loss with some parameters; others tell what its sizes depend on."""
        elsewhere = [(self.bound(other), self.entry.factory(**other)) for other in self._others(parameters)]
        weighted = None if self.is_head else _weighted(self.guard, parameters)
        others = Others(elsewhere, weighted, pairs, self.is_head)
        return identify(self.bound(parameters), self.entry.factory(**parameters), self.kind, others)

    def _others(self, parameters: Mapping[str, float]) -> Iterator[dict[str, float]]:
        """Yield the parameters with one of them changed, each in turn.

        A margin is halved, and what t exceeds 1 by is doubled: numbers that no format rounds stay such numbers.
        """
        for name, value in parameters.items():
            other = {**parameters, name: CHANGES.get(name, _halved)(value)}
            try:
                self.entry.factory(**other)
            except (TypeError, ValueError):  # this variant does not take such a number
                continue
            if other != dict(parameters):
                yield other


def _halved(m: float) -> float:
    """Return half of a margin; of one that is a whole number, a neighbour."""
    if isinstance(m, int):
        return m - 1 if m > 2 else m + 1
    return m / 2


def on_cosines(guard: Guard, parameters: Mapping[str, float]) -> BoundCandidate:
    """Return the candidate as a function of cosines and labels; one that reduces its losses is asked row by row."""

    def answer(cosines: FloatArray, labels: IntArray) -> Answer:
        return usable_answer(guard, Call("", (cosines,), labels, np.ones(len(labels)), parameters))

    def candidate(cosines: FloatArray, labels: IntArray) -> tuple[NDArray[Any], NDArray[Any] | None]:
        whole = answer(cosines, labels)
        if whole.losses.ndim:
            return whole.losses, whole.gradients[0]
        rows = [answer(cosines[b : b + 1], labels[b : b + 1]) for b in range(len(labels))]
        gradients = [g for g in (row.gradients[0] for row in rows) if g is not None]
        gradient = np.concatenate(gradients) if len(gradients) == len(rows) else None
        return np.array([row.losses.reshape(()) for row in rows]), gradient

    return candidate


def _weighted(guard: Guard, parameters: Mapping[str, float]) -> Weighted:
    """Return the candidate as a function of cosines, labels and a cotangent, for the gradient alone."""

    def gradient(cosines: FloatArray, labels: IntArray, cotangent: FloatArray) -> NDArray[Any] | None:
        found = guard(Call("", (cosines,), labels, cotangent, parameters))
        if isinstance(found, Mishap):
            raise CandidateError(found.message)
        takes_it = found.applied is not None and np.array_equal(found.applied, cotangent)
        return found.gradients[0] if takes_it else None

    return gradient
