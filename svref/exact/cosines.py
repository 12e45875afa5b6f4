"""The certified loss and gradients of cosines, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import BoolArray, IntArray
from svref.checks import Progress, integer_parameter
from svref.exact import rows
from svref.exact.balls import FloatCosine, UndecidedError, ball, precision
from svref.exact.rounding import Certified, Number, PendingOutput, Unresolved
from svref.loss import SVXSoftmax, check_loss
from svref.margins import Angle

FIRST_BITS = 160  # hi and lo take 106; with 128 bits, most rows of 500 classes would need a second try
MOST_BITS = 2**14  # a hundred times as many: what is open then is most likely a tie, which no precision settles


@dataclass(frozen=True, eq=False)
class Truth:
    """Every output of a loss and its gradients, certified.

    Parameters
    ----------
    mask : array of bool, shape (B, C)
        I, the support vectors, decided exactly; False where `unresolved` lists the decision as open.
    loss, s, t : Certified, shape (B,)
        The losses; and each row's derivative by the scale s and by the strength t of the emphasis.
    probabilities, cosines : Certified, shape (B, C)
        p; and the gradient by the cosines, a signed infinity where df/dc is one.
    margin : dict of Certified, shape (B,)
        Each row's derivative by each real parameter of the margin.
    gaps : Certified, shape (B, C)
        Distance of each mask decision, |c_k - boundary|; infinite in the label's column.
    gap : Certified, shape (B,)
        Distance of the nearest of them; infinite where C = 1.
    branch_gap : Certified, shape (B,)
        Distance of the target's cosine to the nearest switch of a tail or an easy margin; infinite without one.
    bits : array of int, shape (B,)
        The number of bits that settled the row.
    unresolved : tuple of Unresolved
        The numbers and decisions that `most_bits` did not settle.
    """

    mask: BoolArray
    loss: Certified
    probabilities: Certified
    cosines: Certified
    s: Certified
    t: Certified
    gaps: Certified
    gap: Certified
    branch_gap: Certified
    margin: dict[str, Certified] = field(default_factory=dict)
    bits: IntArray = field(repr=False, default_factory=lambda: np.zeros(0, np.intp))
    unresolved: tuple[Unresolved, ...] = ()


def evaluate(
    loss: SVXSoftmax,
    cosines: ArrayLike,
    labels: ArrayLike,
    cotangent: ArrayLike | None = None,
    *,
    flipped: ArrayLike | None = None,
    most_bits: int = MOST_BITS,
    progress: Progress | None = None,
) -> Truth:
    r"""Return the loss of cosines and all its gradients, correctly rounded.

    .. math:: L = \log \sum_k e^{s d_k}, \qquad d_y = 0, \qquad d_k = c_k - f + (t - 1)(c_k + 1) [c_k > f]

    Inputs and parameters are taken as the exact numbers that their floats are. Each row is computed in balls with 160
    bits, then with twice as many, until every ball rounds to one float64 (Ziv's strategy).

    Parameters
    ----------
    loss : SVXSoftmax
        With any margin that is registered in `svref.exact.margins`, as all of svref's are.
    cosines : array_like of float32 or float64, shape (B, C)
        Cosines; for angular margins in [-1, 1].
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    cotangent : array_like of real numbers, shape (B,), optional
        dL/dL_b: what the gradients of row b are multiplied by, exactly; None is a vector of ones.
    flipped : array_like of bool, shape (B, C), optional
        Mask decisions to reverse, for the values that are right on the other side of a boundary.
    most_bits : int, default 16384
        The largest precision that is tried. What it does not settle is NaN, and listed in `unresolved`.
    progress : callable, optional
        Called after every row with the number of rows done and their total. An exception that it raises ends the work.

    Returns
    -------
    Truth
        Gradients are those of Σ cotangent_b L_b.

    Raises
    ------
    ValueError, TypeError
        As `SVXSoftmax.value`, before anything is computed.

    Notes
    -----
    The mask compares exact numbers. Where c_k may equal the boundary, rational arithmetic decides; or the fact that
    cos(θ + m) is transcendental for every rational m but 0, so that it equals no cosine. A number close to a midpoint
    of two floats, such as a loss of s d + 1e-3000, is rounded by the sign of its distance from the midpoint. Two cases
    may stay unresolved: a cosine that equals the boundary of `Combined` with m2 = 0 and an m1 that is no integer, and
    a number that is a midpoint without having it as its limit.

    Examples
    --------
    >>> import svref.exact
    >>> truth = svref.exact.evaluate(svref.sv_am_softmax(s=4.0, m=0.25, t=1.25), [[0.5, 0.375, -0.5]], [0])
    >>> print(truth.mask, truth.loss.hi, truth.loss.lo, truth.gap.hi)
    [[False  True False]] [2.02427314] [-4.66177055e-17] [0.125]
    """
    check_loss(loss)
    c, y, _ = loss.checked(cosines, labels, None)
    g = checks.row_cotangent(cotangent, len(y))
    columns = _flipped_columns(flipped, c.shape, y)
    most = integer_parameter("most_bits", most_bits, FIRST_BITS, 2**24)
    checks.check_progress(progress)
    pending = _PendingTruth(loss, *c.shape)
    for b in range(len(c)):
        pending.settle(b, [FloatCosine(ball(x)) for x in c[b]], int(y[b]), g[b], columns[b], most)
        if progress is not None:
            progress(b + 1, len(c))
    return pending.truth()


def precisions(most_bits: int) -> Iterator[int]:
    """Yield the numbers of bits to try: 160, each twice the one before, and `most_bits` last."""
    bits = FIRST_BITS
    while bits < most_bits:
        yield bits
        bits *= 2
    yield most_bits


def open_mask(mask: Sequence[bool | None], row: int, bits: int) -> tuple[list[bool], list[Unresolved]]:
    """Return a row's mask, False where it is open, and a record of each open decision.

    `mask` is that of an `UndecidedError`: None where it is open, and empty if a branch of the margin is, which leaves
    the whole row open and makes one record.
    """
    open_ = [k for k, above in enumerate(mask) if above is None]
    records = [Unresolved("mask", (row, k), (0.0, 1.0), bits) for k in open_]
    return [bool(above) for above in mask] or [False], records or [Unresolved("mask", (row,), (0.0, 1.0), bits)]


def _flipped_columns(flipped: ArrayLike | None, shape: tuple[int, ...], labels: IntArray) -> list[list[int]]:
    """Return, row by row, the columns whose mask decision is reversed; raise a ValueError for a wrong `flipped`."""
    if flipped is None:
        return [[] for _ in labels]
    array = np.asarray(flipped)
    if array.dtype != bool or array.shape != shape:
        raise ValueError(f"flipped must be bool, of shape (B, C) = {shape}; got {array.dtype}, shape {array.shape}.")
    if array[np.arange(len(labels)), labels].any():
        raise ValueError("flipped must be False in the label's column, where there is nothing to decide.")
    return [[int(k) for k in np.flatnonzero(row)] for row in array]


class _PendingTruth:
    """All outputs of a batch, of which more and more are settled."""

    def __init__(self, loss: SVXSoftmax, rows: int, classes: int) -> None:
        self.loss = loss
        self.mask: BoolArray = np.zeros((rows, classes), bool)
        self.bits: IntArray = np.zeros(rows, np.intp)
        self.open: list[Unresolved] = []
        names = loss.margin.by_parameter(Angle.from_cosine([0.0]))
        self.rows = [PendingOutput(name, rows, None) for name in ("loss", "s", "t", "gap", "branch_gap", *names)]
        self.entries = [PendingOutput(name, rows, classes) for name in ("probabilities", "cosines", "gaps")]

    def settle(self, b: int, cosines: list[FloatCosine], label: int, g: float, flipped: list[int], most: int) -> None:
        """Settle row b with as many bits as it needs, and at most `most`; record what that leaves open."""
        numbers: list[list[Number]] | None = None
        for bits in precisions(most):
            with precision(bits):
                self.bits[b] = bits
                try:
                    row = rows.evaluate(self.loss, cosines, label, ball(g), flipped)
                except UndecidedError as error:
                    undecided = error.mask
                    continue
                self.mask[b] = row.mask
                numbers = self._numbers(row)
                are_settled = [output.fill(b, x) for output, x in zip(self._all, numbers, strict=True)]
                if all(are_settled):
                    return
        with precision(most):
            for i, output in enumerate(self._all):
                output.give_up(b, None if numbers is None else numbers[i])
        if numbers is None:
            self.mask[b], open_ = open_mask(undecided, b, most)
            self.open += open_

    @property
    def _all(self) -> list[PendingOutput]:
        return [*self.rows, *self.entries]

    def _numbers(self, row: rows.Row) -> list[list[Number]]:
        """Return the numbers of a row in the order of the outputs."""
        single = [row.loss, row.s, row.t, row.gap, row.branch_gap, *row.margin.values()]
        return [*([x] for x in single), row.probabilities, row.cosines, row.gaps]

    def truth(self) -> Truth:
        """Return all outputs, with what is not settled."""
        outputs: dict[str, Any] = {output.name: output.certified() for output in self.entries + self.rows[:5]}
        margin = {output.name: output.certified() for output in self.rows[5:]}
        unresolved = (*self.open, *(u for output in self._all for u in output.unresolved))
        return Truth(mask=self.mask, margin=margin, bits=self.bits, unresolved=unresolved, **outputs)
