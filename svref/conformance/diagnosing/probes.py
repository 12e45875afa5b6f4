r"""Asking a candidate: rows whose losses can be turned back into its parts, and how exactly they can.

A loss L says nothing but the odds against the target, :math:`O = e^L - 1 = \sum_{k \ne y} e^{r_k}` with
:math:`r_k = z_k - z_y`. Rows of C = 4 with all negatives at -1, or all but one, make single terms of it:

    O(-1, -1, -1) = 3 e^{r(-1)}                 hence f = -1 - log(O/3)/s, as adaptive h is 1 at c_k = -1 whatever I is
    O(c_k, -1, -1) = e^{r(c_k)} + 2 e^{r(-1)}   hence log h_k/s = (r(c_k) - s (c_k - f))/s

Nothing of it presumes a form of f, I or h. The error of O is the tolerance of L times e^L, so each reading knows
its own error, and one that a converged loss in float32 leaves without digits is no evidence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import DEVIATIONS
from svref.judging import condition
from svref.loss import SVXSoftmax
from svref.margins import AdditiveCosine, NoMargin

Run = Callable[[FloatArray, IntArray], tuple[NDArray[Any], NDArray[Any] | None]]

CLASSES = 4
BATCH = 48  # one shape for almost all calls, as some frameworks compile for each; and no usual s, t or C
LOOSE = 1e-5  # cosine units: what tells formulas apart; digits are another question
COARSE = 0.05  # cosine units: a reading with a larger error is none


@dataclass(frozen=True)
class Finding:
    """One answer about a candidate.

    Parameters
    ----------
    question : str
        What was asked.
    answer : str
        What the candidate does, in a few words or a formula.
    evidence : str
        The numbers it rests on.
    agrees : bool or None
        Whether the paper's loss does the same; None where the outputs cannot tell.
    deviation : str
        Its name in `svref.deviations.DEVIATIONS`, if it is one of them.
    """

    question: str
    answer: str
    evidence: str
    agrees: bool | None
    deviation: str = ""


def named(question: str, deviation: str, evidence: str) -> Finding:
    """Return the finding that a candidate is a known deviation."""
    return Finding(question, DEVIATIONS[deviation].formula, evidence, False, deviation)


class Answer(NamedTuple):
    """What a candidate returned, in float64, NaN where nothing; whether with a gradient; what it said if it raised."""

    losses: FloatArray
    gradient: FloatArray
    graded: bool
    said: str


class Rows(NamedTuple):
    """Cosines (B, C) and labels (B,)."""

    cosines: FloatArray
    labels: IntArray


class Reading(NamedTuple):
    """Values in cosine units, and the error that rounding may have caused in each."""

    value: FloatArray
    error: FloatArray

    @property
    def resolved(self) -> BoolArray:
        """Where the value is known well enough to tell formulas apart."""
        return np.asarray(np.isfinite(self.value) & (self.error < COARSE))

    def equals(self, other: Reading, where: BoolArray | bool = True) -> bool | None:
        """Return whether two readings are one wherever this one is resolved; None if it is nowhere."""
        seen = self.resolved & where
        same = np.abs(self.value - other.value) <= self.error + np.nan_to_num(other.error) + LOOSE
        return bool(same[seen].all()) if seen.any() else None


@dataclass(frozen=True, eq=False)
class Subject:
    """A candidate under examination, with what is known of it so far.

    Parameters
    ----------
    run : callable
        The candidate.
    loss : SVXSoftmax
        What it is meant to compute, at the scale that it is known to have.
    dtype : numpy.dtype
        What it is given.
    digits : str
        The format whose rounding its losses carry.
    averaged : int
        1 if its outputs are divided by the size of the batch, -1 if they are multiplied; `ask` undoes it.
    eps : float
        What is added to p_y in the log, or replaces a smaller one: losses near -log ε say little of their row.
    floor : float
        How far above -1 a cosine of -1 is clamped.
    """

    run: Run
    loss: SVXSoftmax
    dtype: np.dtype[Any]
    digits: str
    averaged: int = 0
    eps: float = 0.0
    floor: float = 0.0

    @property
    def through_angle(self) -> bool:
        """Whether code may take an angle of its cosines, so that they must lie in [-1, 1]."""
        return not isinstance(self.loss.margin, NoMargin | AdditiveCosine)

    def ask(self, rows: Rows, size: int = BATCH) -> Answer:
        """Return the outputs for some rows, in batches of `size`, the last one filled up with its last row."""
        n, short = len(rows.labels), -len(rows.labels) % size
        index = np.minimum(np.arange(n + short), n - 1)
        c, y = rows.cosines[index].astype(self.dtype), rows.labels[index]
        parts = [self._call(c[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]
        losses, gradients, graded, said = zip(*parts, strict=True)
        by_row, by_entry = np.concatenate(losses)[:n], np.concatenate(gradients)[:n]
        return Answer(by_row, by_entry, all(graded), next(filter(None, said), ""))

    def _call(self, cosines: FloatArray, labels: IntArray) -> Answer:
        """Call the candidate once; whatever goes wrong is what it says."""
        nothing, factor = np.full(cosines.shape, np.nan), float(len(labels)) ** self.averaged
        try:
            warnings.simplefilter("ignore")
            losses, gradient = self.run(cosines.copy(), labels.copy())
            by_row = np.asarray(losses, dtype=np.float64).reshape(labels.shape) * factor
            by_entry = nothing if gradient is None else np.asarray(gradient, dtype=np.float64) * factor
        except (Exception, SystemExit) as error:
            return Answer(nothing[:, 0], nothing, False, f"{type(error).__name__}: {error}")
        return Answer(by_row, by_entry.reshape(cosines.shape), gradient is not None, "")

    def known(self, rows: Rows) -> Rows:
        """Return rows as the candidate sees them, in float64."""
        return Rows(rows.cosines.astype(self.dtype).astype(np.float64), rows.labels)

    def like(self, deviation: str) -> Subject:
        """Return, as another subject, what the named deviation makes of the same loss; "" is the paper."""

        def run(cosines: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
            c = cosines.astype(np.float64)
            if deviation:
                return DEVIATIONS[deviation].run(self.loss, c, labels)
            return self.loss.value_and_grad(c, labels, reduction="none")

        return replace(self, run=run, digits="float64", averaged=0, eps=0.0, floor=0.0)

    def tolerance(self, rows: Rows) -> FloatArray:
        """Return how far rounding may carry each loss."""
        scale = condition.scales(self.loss.forward(*self.known(rows)), self.digits).loss
        return condition.tolerance(scale, CLASSES, self.loss.s, self.loss.emphasis.t, self.digits)

    def odds(self, rows: Rows) -> Reading:
        """Return the odds against each target, and their errors: dO = e^L dL, and ε moves e^-L by itself."""
        losses = self.ask(rows).losses
        size = np.exp(losses)
        of_eps = 4 * self.eps * (size + np.exp(self.loss.s))  # the other ε, in the sum, is beside e^-s at least
        return Reading(np.expm1(losses), (self.tolerance(rows) + of_eps) * size)


def rows(targets: ArrayLike, negatives: ArrayLike) -> Rows:
    """Return rows of these targets and negatives, (B,) and (B, C - 1), with labels that go round."""
    c, others = np.asarray(targets, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    labels = np.arange(len(c)) % CLASSES
    cosines = np.empty((len(c), CLASSES))
    own = np.arange(CLASSES) == labels[:, None]
    cosines[own], cosines[~own] = c, np.broadcast_to(others, (len(c), CLASSES - 1)).ravel()
    return Rows(cosines, labels)


def read_targets(subject: Subject, targets: FloatArray) -> Reading:
    """Return f at each target, relative to negatives at -1."""
    odds, error = subject.odds(rows(targets, np.full((len(targets), CLASSES - 1), -1.0)))
    return Reading(subject.floor - 1 - np.log(odds / (CLASSES - 1)) / subject.loss.s, error / odds / subject.loss.s)


def read_negatives(subject: Subject, targets: FloatArray, levels: FloatArray, f: FloatArray) -> Reading:
    """Return z_k/s - c_k, (T, K), of one negative at each of the levels (T, K) beside each of the targets (T,)."""
    count, s = levels.shape[1] + 1, subject.loss.s
    active = np.concatenate([np.full((len(targets), 1), -1.0), levels], axis=1)
    others = np.full((active.size, CLASSES - 1), -1.0)
    others[:, 0] = active.ravel()
    odds, error = (part.reshape(-1, count) for part in subject.odds(rows(np.repeat(targets, count), others)))
    share = (CLASSES - 2) / (CLASSES - 1)
    one, its_error = odds[:, 1:] - share * odds[:, :1], error[:, 1:] + share * error[:, :1]
    seen = subject.known(Rows(levels, np.zeros(len(levels), dtype=np.intp))).cosines
    return Reading(np.log(one) / s - (seen - f[:, None]), its_error / one / s)
