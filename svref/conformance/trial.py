"""One case of a check: what the candidate was asked, what is right, and what came back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import Answer, Level
from svref.head.shards import Shard
from svref.judging.expected import expect
from svref.judging.judge import Expected, ExpectedOutput, Judgement, Outputs, Way, judge
from svref.loss import SVXSoftmax
from svref.reference import Step

FEWER_DIGITS = 16.0  # tolerances at least so many times as wide can only be those of a narrower format


@dataclass(frozen=True, eq=False)
class Trial:
    """One batch of inputs with the candidate's outputs and the judgement on them.

    Parameters
    ----------
    id, group, variant : str
        The case, its group and its variant; empty for plain arrays.
    loss : SVXSoftmax
        The loss that the candidate should compute.
    parameters : mapping
        The keyword arguments of the variant's factory; empty for plain arrays.
    arrays : tuple of arrays of float64
        Cosines (B, C); or embeddings (B, D) and weights (C, D). The dtype of the check holds them exactly.
    labels : array of int, shape (B,)
        The target classes.
    cotangent : array of float64, shape (B,)
        g, the factor of each row's loss in the gradient.
    precision : str
        The format that the candidate computes in, which the tolerances are for.
    outputs : mapping of str to array
        What came back, by the names of the outputs.
    answer : Answer or None
        What the adapter returned; None for plain arrays.
    judgement : Judgement
        The outputs compared with what is right.
    factor : float or None
        For a candidate that returns a scalar, factor Σ L_b: that factor. None for losses (B,).
    room : mapping of str to float
        By output: how much wider than right every tolerance is, because hidden state changes the answers so far.
    """

    id: str
    group: str
    variant: str
    loss: SVXSoftmax
    parameters: Mapping[str, float]
    arrays: tuple[FloatArray, ...] = field(repr=False)
    labels: IntArray = field(repr=False)
    cotangent: FloatArray = field(repr=False)
    precision: str
    outputs: Outputs = field(repr=False)
    answer: Answer | None = field(repr=False)
    judgement: Judgement = field(repr=False)
    factor: float | None = None
    room: Mapping[str, float] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """Where the computation begins: "cosine", or "head" for embeddings and weights."""
        return "cosine" if len(self.arrays) == 1 else "head"

    @property
    def failed(self) -> bool:
        """Whether an element of the outputs is wrong."""
        return self.judgement.wrong

    @property
    def expected(self) -> Expected:
        """What is right, as the outputs were judged: a golden vector's numbers where there is one."""
        return self.judgement.expected

    @cached_property
    def expected_of_rows(self) -> Expected:
        """What is right for losses (B,), as svref computes it; also where the candidate returns a scalar."""
        return expect(self.loss, self.inputs, self.labels, self.cotangent, self.precision)

    @cached_property
    def expected_of_unit_cotangents(self) -> Way:
        """What is right where each |g| is at least 1.

        The tolerance of a wrong computation is estimated from these: it may not use the g that it was given, so that
        a row with g = 0 needs a tolerance too.
        """
        g = np.fmax(1.0, np.abs(self.cotangent))
        return expect(self.loss, self.inputs, self.labels, g, self.precision).ways[0]

    @property
    def inputs(self) -> list[FloatArray]:
        """The arrays in the dtype of the check."""
        return [a.astype(self.expected.dtype) for a in self.arrays]

    def step(self, loss: SVXSoftmax | None = None) -> Step:
        """Return the steps of the right loss, or of another, on the inputs."""
        return step_on(loss or self.loss, self.arrays, self.labels)

    def judged_with(self, outputs: Outputs) -> Judgement:
        """Return the judgement on other outputs in place of the candidate's."""
        return judge(self.expected, outputs)

    def judged_by(self, expected: Expected) -> Trial:
        """Return the trial judged by another reference, one for losses (B,), which is reduced where it must be."""
        return replace(self, judgement=judge(self._as_returned(expected), self.outputs))

    def computed_in(self, precision: str) -> Trial:
        """Return the trial judged with the tolerances of another format."""
        other = replace(self, precision=precision)
        return other.judged_by(other.expected_of_rows)

    def against(self, other: Expected, names: Collection[str] | None = None) -> Judgement:
        """Return the judgement on the outputs, or on those of some names, by another reference, whatever their dtype.

        The reference is one for losses (B,). It is reduced where the candidate returns a scalar.
        """
        chosen = self.outputs if names is None else {n: v for n, v in self.outputs.items() if n in names}
        outputs = {name: np.asarray(values, self.expected.dtype_of(name)) for name, values in chosen.items()}
        return judge(_widened(self._as_returned(other), self.room), outputs)

    def with_room(self, room: Mapping[str, float]) -> Trial:
        """Return the trial judged with wider tolerances, by output, here and by every other reference."""
        return replace(self, room=room, judgement=judge(_widened(self.expected, room), self.outputs))

    def would_fail(self, other: Expected, by_digits: bool = True) -> bool:
        """Return whether a candidate that computes another reference exactly would fail this case.

        `by_digits`: a reference that is right, but with the wide tolerances of a format of fewer digits, fails too.
        """
        other = self._as_returned(other)
        ways = [{o.name: self._typical(o) for o in way if o.name in self.outputs} for way in other.ways]
        return any(self.judged_with(o).wrong for o in ways) or (by_digits and self._has_fewer_digits(other))

    def _as_returned(self, other: Expected) -> Expected:
        """Return a reference for losses (B,) as one for what the candidate returns: these, or a scalar."""
        return other if self.factor is None else other.reduced(self.factor)

    def _typical(self, output: ExpectedOutput) -> FloatArray:
        """Return an output as a candidate would return it: NaN where the number may be lost, and is."""
        got = self.outputs[output.name]
        lost = (output.fragile | output.policy) & ~np.isfinite(got) & (got != output.value)
        with np.errstate(over="ignore", under="ignore"):
            typical = np.where(lost, np.nan, output.value)
            return typical.astype(self.expected.dtype_of(output.name))

    def _has_fewer_digits(self, other: Expected) -> bool:
        """Return whether all tolerances of an output are far wider than the right ones."""
        pairs = zip(other.ways[0], self.expected.ways[0], strict=True)
        return any(bool((wide.tolerance > FEWER_DIGITS * right.tolerance).all()) for wide, right in pairs)


def step_on(loss: SVXSoftmax, arrays: Sequence[FloatArray], labels: IntArray) -> Step:
    """Return the steps of a loss on cosines, or on embeddings and weights, in float64."""
    first, *weights = (a.astype(np.float64) for a in arrays)
    return Shard.of(loss, first, weights[0], labels).step() if weights else loss.forward(first, labels)


def _widened(expected: Expected, room: Mapping[str, float]) -> Expected:
    """Return what is right with the tolerances of some outputs wider by a number."""
    if not room:
        return expected
    ways = [tuple(replace(o, tolerance=o.tolerance + room.get(o.name, 0.0)) for o in way) for way in expected.ways]
    return replace(expected, ways=tuple(ways))
