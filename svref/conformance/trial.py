"""One case of a check: what was asked, what is right, what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import Answer, Level
from svref.head.shards import Shard
from svref.judging.expected import expect
from svref.judging.judge import Expected, Judgement, Outputs, Way, judge
from svref.loss import SVXSoftmax
from svref.reference import Step


@dataclass(frozen=True, eq=False)
class Trial:
    """One batch that was answered and judged.

    Parameters
    ----------
    id, group : str
        The case and its group; empty for plain arrays.
    loss : SVXSoftmax
        The loss that is right.
    parameters : mapping
        The keyword arguments of the variant's factory; empty for plain arrays.
    arrays : tuple of arrays
        Cosines, or embeddings and weights; float64, exact in the dtype of the check.
    labels, cotangent : arrays, shape (B,)
        The target classes and dL/d(loss of each row).
    compute : str
        The format that tolerances are for.
    outputs : mapping
        What came back, by the names of the outputs.
    answer : Answer or None
        As it came from the adapter; None for plain arrays.
    judgement : Judgement
        The outputs against what is right.
    factor : float or None
        What a candidate that reduces multiplies Σ L_b by; None for per-sample losses.
    """

    id: str
    group: str
    loss: SVXSoftmax
    parameters: Mapping[str, float]
    arrays: tuple[FloatArray, ...] = field(repr=False)
    labels: IntArray = field(repr=False)
    cotangent: FloatArray = field(repr=False)
    compute: str
    outputs: Outputs = field(repr=False)
    answer: Answer | None = field(repr=False)
    judgement: Judgement = field(repr=False)
    factor: float | None = None

    @property
    def level(self) -> Level:
        """Where the case begins."""
        return "cosine" if len(self.arrays) == 1 else "head"

    @property
    def right(self) -> Expected:
        """What is right."""
        return self.judgement.expected

    @cached_property
    def plain(self) -> Expected:
        """What is right for per-sample losses, as `expect` has it."""
        arrays = [a.astype(self.right.dtype) for a in self.arrays]
        return expect(self.loss, arrays, self.labels, self.cotangent, self.compute)

    @cached_property
    def unweighted(self) -> Way:
        """What is right for cotangents of at least one, which tolerances of wrong values are made of."""
        g = np.fmax(1.0, np.abs(self.cotangent))
        arrays = [a.astype(self.right.dtype) for a in self.arrays]
        return expect(self.loss, arrays, self.labels, g, self.compute).ways[0]

    def step(self, loss: SVXSoftmax | None = None) -> Step:
        """Return the stages of the loss that is right, or of another, on what was asked."""
        loss = loss or self.loss
        if self.level == "cosine":
            return loss.forward(self.arrays[0], self.labels)
        embeddings, weights = self.arrays
        return Shard.of(loss, embeddings, weights, self.labels).step()

    def against_own(self) -> Judgement:
        """Hold the outputs against what is right once more, after they were replaced."""
        return judge(self.right, self.outputs)

    def against(self, other: Expected) -> Judgement:
        """Hold the outputs, whatever their dtype, against another reference, given for per-sample losses."""
        outputs = {name: np.asarray(values, self.right.dtype) for name, values in self.outputs.items()}
        return judge(other if self.factor is None else other.reduced(self.factor), outputs)

    @property
    def failed(self) -> bool:
        """Whether an element is wrong."""
        return self.judgement.wrong
