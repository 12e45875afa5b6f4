"""The certified loss of rows in which few distinct cosines occur many times: each is computed once, and counted.

A row of 85,000 classes on a grid has some hundred distinct cosines. `rows.evaluate` is given each of them once, and
returns the probabilities p' and the loss L' of that short row. With n_v classes at each cosine, every weight
exp(s d_v) counts n_v times:

    E = Σ (n_v - 1) p'_v,    L = L' + log(1 + E),    p_v = p'_v/(1 + E),    q = (q' + E)/(1 + E)

No term is negative, so nothing cancels. The gradient by a negative is proportional to p_v, that by the target to q.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray, IntArray
from svref.checks import Progress
from svref.exact import rows
from svref.exact.balls import ZERO, Ball, FloatCosine, UndecidedError, ball, precision
from svref.exact.cosines import MOST_BITS, precisions
from svref.exact.rounding import Certified, Number, PendingOutput, Unresolved, as_ball
from svref.loss import SVXSoftmax


@dataclass(frozen=True, eq=False)
class CountedRow:
    """One row: the target's cosine, and how many negatives have each of the V cosines of a grid.

    Parameters
    ----------
    target, cotangent : float
        c_y, strictly within (-1, 1) for angular margins; and what the row's gradients are multiplied by.
    counts : array of int, shape (V,)
        n_v: how many negatives have the v-th cosine of the grid; at least one is not 0.
    signed : array of int, shape (P, V)
        Σ R_pk over the negatives k with that cosine, for each of P vectors R of integers, such as ±1, by which the
        gradient is projected.
    own : array of int, shape (P,)
        R_py: the entry of each of these vectors at the label.
    """

    target: float
    cotangent: float
    counts: NDArray[np.int64]
    signed: NDArray[np.int64]
    own: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CountedTruth:
    """The certified outputs of counted rows. The gradients are those of Σ cotangent_b L_b.

    Parameters
    ----------
    loss, target : Certified, shape (B,)
        The losses; and the gradient by each target's cosine.
    projections : Certified, shape (B, P)
        Σ_k R_pk dL/dc_bk over all classes, the label among them.
    values : Certified, shape (T, V)
        The gradient by any one negative with the v-th cosine, for the first T rows; 0 where there is none.
    bits : array of int, shape (B,)
        The number of bits that settled the row.
    unresolved : tuple of Unresolved
        The numbers that `most_bits` did not settle.
    """

    loss: Certified
    target: Certified
    projections: Certified
    values: Certified
    bits: IntArray
    unresolved: tuple[Unresolved, ...]


def evaluate_counted(
    loss: SVXSoftmax,
    grid: FloatArray,
    counted: Iterable[CountedRow],
    shape: tuple[int, int, int],
    *,
    most_bits: int = MOST_BITS,
    progress: Progress | None = None,
) -> CountedTruth:
    """Return the losses and the projected gradients of counted rows, correctly rounded.

    Parameters
    ----------
    loss : SVXSoftmax
        With any margin that is registered in `svref.exact.margins`.
    grid : array of float64, shape (V,)
        The distinct cosines.
    counted : iterable of CountedRow
        The rows, taken one by one, so that they need not all be in memory.
    shape : tuple of int
        (B, P, T): the number of rows, of vectors R, and of rows whose gradient is returned cosine by cosine.
    most_bits : int, default 16384
        The largest precision that is tried. What it does not settle is NaN, and listed in `unresolved`.
    progress : callable, optional
        Called after every row with the number of rows done and their total. An exception that it raises ends the work.

    Returns
    -------
    CountedTruth
    """
    pending = _PendingCountedTruth(loss, grid, shape)
    for b, row in enumerate(counted):
        pending.settle(b, row, most_bits)
        if progress is not None:
            progress(b + 1, shape[0])
    return pending.truth()


class _PendingCountedTruth:
    """All outputs of counted rows, of which more and more are settled."""

    def __init__(self, loss: SVXSoftmax, grid: FloatArray, shape: tuple[int, int, int]) -> None:
        self.loss, self.grid, self.tabled = loss, grid.tolist(), shape[2]
        self.bits: IntArray = np.zeros(shape[0], np.intp)
        columns = {"loss": None, "target": None, "projections": shape[1]}
        self.of_all_rows = [PendingOutput(name, shape[0], width) for name, width in columns.items()]
        self.values = PendingOutput("values", shape[2], len(grid))

    def settle(self, b: int, row: CountedRow, most: int) -> None:
        """Settle row b with as many bits as it needs, and at most `most`; record what that leaves open."""
        outputs = [*self.of_all_rows, self.values] if b < self.tabled else self.of_all_rows
        numbers: list[list[Number]] | None = None
        for bits in precisions(most):
            self.bits[b] = bits
            with precision(bits):
                try:
                    numbers = self._numbers(row)
                except UndecidedError:
                    continue
                are_settled = [output.fill(b, x) for output, x in zip(outputs, numbers, strict=False)]
                if all(are_settled):
                    return
        with precision(most):
            for i, output in enumerate(outputs):
                output.give_up(b, None if numbers is None else numbers[i])

    def _numbers(self, row: CountedRow) -> list[list[Number]]:
        """Return the loss, the target's gradient, the projections, and the gradient by each cosine, each as a list."""
        present = [int(v) for v in np.flatnonzero(row.counts)]
        cosines = [FloatCosine(ball(c)) for c in (row.target, *(self.grid[v] for v in present))]
        short = rows.evaluate(self.loss, cosines, 0, ball(row.cotangent))
        p = [as_ball(x) for x in short.probabilities[1:]]
        extra = _dot(row.counts[present] - 1, p)
        by_target = as_ball(short.cosines[0]) * (1 + extra / sum(p, ZERO)) / (1 + extra)
        by_value = [as_ball(x) / (1 + extra) for x in short.cosines[1:]]
        projections = [
            _dot(signed[present], by_value) + int(own) * by_target
            for signed, own in zip(row.signed, row.own, strict=True)
        ]
        table = [ZERO] * len(self.grid)
        for v, x in zip(present, by_value, strict=True):
            table[v] = x
        return [[as_ball(short.loss) + extra.log1p()], [by_target], projections, table]

    def truth(self) -> CountedTruth:
        """Return all outputs, with what is not settled."""
        pending = [*self.of_all_rows, self.values]
        outputs: dict[str, Any] = {output.name: output.certified() for output in pending}
        unresolved = tuple(u for output in pending for u in output.unresolved)
        return CountedTruth(**outputs, bits=self.bits, unresolved=unresolved)


def _dot(integers: NDArray[np.int64], balls: list[Ball]) -> Ball:
    """Return Σ n_v x_v, of integers and balls."""
    return sum((x * n for n, x in zip(integers.tolist(), balls, strict=True) if n), ZERO)
