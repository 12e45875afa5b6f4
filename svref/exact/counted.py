"""The certified loss of rows in which few distinct cosines occur many times: each is computed once, and counted.

A row of 85,000 classes on a grid holds some hundred distinct cosines. `rows.evaluate` takes each of them once and
returns probabilities p' and a loss L' of that short row. With n_v classes of each cosine, every weight exp(s d_v)
counts n_v times, so that

    E = Σ (n_v - 1) p'_v,    L = L' + log(1 + E),    p_v = p'_v/(1 + E),    q = (q' + E)/(1 + E)

where no term is negative and nothing cancels. The gradients scale with p_v, and the target's with q.
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
from svref.exact.balls import ZERO, Ball, Given, UndecidedError, ball, precision
from svref.exact.cosines import MOST_BITS, precisions
from svref.exact.rounding import Certified, Number, Sheet, Split, Unresolved
from svref.loss import SVXSoftmax


@dataclass(frozen=True, eq=False)
class CountedRow:
    """One row: the target's cosine, and how often the negatives take each value of the grid.

    Parameters
    ----------
    target, cotangent : float
        c_y, strictly within (-1, 1) for angular margins; and what the gradients are multiplied by.
    counts : array of int, shape (V,)
        n_v: how many negatives have the v-th value of the grid; at least one is not 0.
    signed : array of int, shape (P, V)
        Σ R_pk over those negatives, for each of P vectors R of whole numbers.
    own : array of int, shape (P,)
        R_py, the label's entries of these vectors.
    """

    target: float
    cotangent: float
    counts: NDArray[np.int64]
    signed: NDArray[np.int64]
    own: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CountedTruth:
    """What is certified of counted rows; the gradients are those of Σ cotangent_b L_b.

    Parameters
    ----------
    loss, target : Certified, shape (B,)
        The losses; and the gradient by each target's cosine.
    projections : Certified, shape (B, P)
        Σ_k R_pk dL/dc_bk over all classes, the label among them.
    values : Certified, shape (T, V)
        The gradient by any one negative of the v-th value, of the first T rows; 0 where there is none.
    bits : array of int, shape (B,)
        The precision that settled the row.
    unresolved : tuple of Unresolved
        What `most_bits` did not settle.
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
    """Return losses and projected gradients of counted rows, correctly rounded.

    Parameters
    ----------
    loss : SVXSoftmax
        Of any margin that has a ball twin.
    grid : array of float64, shape (V,)
        The distinct cosines.
    counted : iterable of CountedRow
        The rows, one by one, so that they need not all be in memory.
    shape : tuple of int
        B, the number of rows; P, of vectors; T, of rows whose gradient is given value by value.
    most_bits : int, default 16384
        The largest precision; what it does not settle is NaN, and listed in `unresolved`.
    progress : callable, optional
        Called after every row with the number of rows done and their total. What it raises ends the work.

    Returns
    -------
    CountedTruth
    """
    sheets = _Sheets(loss, grid, shape)
    for b, row in enumerate(counted):
        sheets.settle(b, row, most_bits)
        if progress is not None:
            progress(b + 1, shape[0])
    return sheets.truth()


class _Sheets:
    """All outputs of counted rows while they are being settled."""

    def __init__(self, loss: SVXSoftmax, grid: FloatArray, shape: tuple[int, int, int]) -> None:
        self.loss, self.grid, self.tabled = loss, grid.tolist(), shape[2]
        self.bits: IntArray = np.zeros(shape[0], np.intp)
        columns = {"loss": None, "target": None, "projections": shape[1]}
        self.every = [Sheet(name, shape[0], width) for name, width in columns.items()]
        self.values = Sheet("values", shape[2], len(grid))

    def settle(self, b: int, row: CountedRow, limit: int) -> None:
        """Settle row b with as many bits as it needs."""
        sheets = [*self.every, self.values] if b < self.tabled else self.every
        numbers: list[list[Number]] | None = None
        for bits in precisions(limit):
            self.bits[b] = bits
            with precision(bits):
                try:
                    numbers = self._numbers(row)
                except UndecidedError:
                    continue
                done = [sheet.fill(b, x) for sheet, x in zip(sheets, numbers, strict=False)]
                if all(done):
                    return
        with precision(limit):
            for i, sheet in enumerate(sheets):
                sheet.give_up(b, None if numbers is None else numbers[i])

    def _numbers(self, row: CountedRow) -> list[list[Number]]:
        """Return the loss, the target's gradient, the projections and the gradient by value, each as a list."""
        present = [int(v) for v in np.flatnonzero(row.counts)]
        cosines = [Given(ball(c)) for c in (row.target, *(self.grid[v] for v in present))]
        short = rows.evaluate(self.loss, cosines, 0, ball(row.cotangent))
        p = [_whole(x) for x in short.probabilities[1:]]
        extra = _dot(row.counts[present] - 1, p)
        by_target = _whole(short.cosines[0]) * (1 + extra / sum(p, ZERO)) / (1 + extra)
        by_value = [_whole(x) / (1 + extra) for x in short.cosines[1:]]
        along = [
            _dot(signed[present], by_value) + int(own) * by_target
            for signed, own in zip(row.signed, row.own, strict=True)
        ]
        table = [ZERO] * len(self.grid)
        for v, x in zip(present, by_value, strict=True):
            table[v] = x
        return [[_whole(short.loss) + extra.log1p()], [by_target], along, table]

    def truth(self) -> CountedTruth:
        """Return what was settled."""
        sheets = [*self.every, self.values]
        outputs: dict[str, Any] = {sheet.name: sheet.certified() for sheet in sheets}
        unresolved = tuple(u for sheet in sheets for u in sheet.unresolved)
        return CountedTruth(**outputs, bits=self.bits, unresolved=unresolved)


def _whole(number: Number) -> Ball:
    """Return a number as one ball."""
    return number.limit + number.rest if isinstance(number, Split) else number


def _dot(integers: NDArray[np.int64], balls: list[Ball]) -> Ball:
    """Return Σ n_v x_v."""
    return sum((x * n for n, x in zip(integers.tolist(), balls, strict=True) if n), ZERO)
