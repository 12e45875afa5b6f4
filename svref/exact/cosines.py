"""The certified loss of cosines."""

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
from svref.exact.balls import Given, UndecidedError, ball, precision
from svref.exact.rounding import Certified, Number, Sheet, Unresolved
from svref.loss import SVXSoftmax, check_loss
from svref.margins import Angle

FIRST_BITS = 160  # two floats take 106; with 128 most rows of 500 classes need a second try
MOST_BITS = 2**14


@dataclass(frozen=True, eq=False)
class Truth:
    """Every output of a loss, certified.

    Parameters
    ----------
    mask : array of bool, shape (B, C)
        I, the support vectors, decided exactly; False where `unresolved` lists the decision as open.
    loss, s, t : Certified, shape (B,)
        The losses; and each row's derivative by the scale and by the strength of the emphasis.
    probabilities, cosines : Certified, shape (B, C)
        p; and the gradient by the cosines, at a pole of df/dc a signed infinity.
    margin : dict of Certified, shape (B,)
        Each row's derivative by each real parameter of the margin.
    gaps : Certified, shape (B, C)
        Distance of each mask decision, |c_k - boundary|; infinite in the label's column.
    gap : Certified, shape (B,)
        Distance of the nearest of them; infinite where C = 1.
    branch_gap : Certified, shape (B,)
        Distance of the target's cosine to the nearest switch of a tail or an easy margin; infinite without one.
    bits : array of int, shape (B,)
        The precision that settled the row.
    unresolved : tuple of Unresolved
        What `most_bits` did not settle.
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

    Inputs and parameters count as the exact numbers that their floats are. Each output is computed in balls, with 160
    bits, then twice as many, until every ball rounds to one float64 (Ziv's strategy).

    Parameters
    ----------
    loss : SVXSoftmax
        Of any margin that has a ball twin, which are all of svref's.
    cosines : array_like of float32 or float64, shape (B, C)
        Cosines; for angular margins in [-1, 1].
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    cotangent : array_like of real numbers, shape (B,), optional
        What each row's gradients are multiplied by, exactly; None is a vector of ones.
    flipped : array_like of bool, shape (B, C), optional
        Mask decisions to turn over, for what is right on the other side of a boundary.
    most_bits : int, default 16384
        The largest precision; what it does not settle is NaN, and listed in `unresolved`.
    progress : callable, optional
        Called after every row with the number of rows done and their total. What it raises ends the work.

    Returns
    -------
    Truth
        Gradients are those of Σ cotangent_b L_b.

    Raises
    ------
    ValueError, TypeError
        As `SVXSoftmax.value`, before any work.

    Notes
    -----
    The mask compares exact numbers; where c_k may equal the boundary, rational arithmetic decides, or the fact that
    cos(θ + m) of an algebraic m is transcendental. A number close to a midpoint of two floats, such as a loss of
    s d + 1e-3000, is decided by the sign of what it exceeds the midpoint by. Two cases are left to `most_bits`: a
    cosine that equals the boundary of `Combined` with m2 = 0 and a broken m1, and a midpoint without known limit.

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
    turned = _turned(flipped, c.shape, y)
    limit = integer_parameter("most_bits", most_bits, FIRST_BITS, 2**24)
    checks.check_progress(progress)
    sheets = _Sheets(loss, *c.shape)
    for b in range(len(c)):
        sheets.settle(b, [Given(ball(x)) for x in c[b]], int(y[b]), g[b], turned[b], limit)
        if progress is not None:
            progress(b + 1, len(c))
    return sheets.truth()


def precisions(limit: int) -> Iterator[int]:
    """Yield the precisions to try, each twice the one before, the last is `limit`."""
    bits = FIRST_BITS
    while bits < limit:
        yield bits
        bits *= 2
    yield limit


def partial(mask: Sequence[bool | None], row: int, bits: int) -> tuple[list[bool], list[Unresolved]]:
    """Return a row's mask, False where it is open, and a record of each decision that is; all if not one is known."""
    open_ = [k for k, above in enumerate(mask) if above is None]
    records = [Unresolved("mask", (row, k), (0.0, 1.0), bits) for k in open_]
    return [bool(above) for above in mask] or [False], records or [Unresolved("mask", (row,), (0.0, 1.0), bits)]


def _turned(flipped: ArrayLike | None, shape: tuple[int, ...], labels: IntArray) -> list[list[int]]:
    """Return the columns to turn over, row by row."""
    if flipped is None:
        return [[] for _ in labels]
    array = np.asarray(flipped)
    if array.dtype != bool or array.shape != shape:
        raise ValueError(f"flipped must be bool, of shape (B, C) = {shape}; got {array.dtype}, shape {array.shape}.")
    if array[np.arange(len(labels)), labels].any():
        raise ValueError("flipped must be False in the label's column, where there is nothing to decide.")
    return [[int(k) for k in np.flatnonzero(row)] for row in array]


class _Sheets:
    """All outputs of a batch while they are being settled."""

    def __init__(self, loss: SVXSoftmax, rows: int, classes: int) -> None:
        self.loss = loss
        self.mask: BoolArray = np.zeros((rows, classes), bool)
        self.bits: IntArray = np.zeros(rows, np.intp)
        self.open: list[Unresolved] = []
        names = loss.margin.by_parameter(Angle.from_cosine([0.0]))
        self.rows = [Sheet(name, rows, None) for name in ("loss", "s", "t", "gap", "branch_gap", *names)]
        self.entries = [Sheet(name, rows, classes) for name in ("probabilities", "cosines", "gaps")]

    def settle(self, b: int, cosines: list[Given], label: int, g: float, flipped: list[int], limit: int) -> None:
        """Settle row b with as many bits as it needs."""
        numbers: list[list[Number]] | None = None
        for bits in precisions(limit):
            with precision(bits):
                self.bits[b] = bits
                try:
                    row = rows.evaluate(self.loss, cosines, label, ball(g), flipped)
                except UndecidedError as error:
                    undecided = error.mask
                    continue
                self.mask[b] = row.mask
                numbers = self._numbers(row)
                done = [sheet.fill(b, x) for sheet, x in zip(self._all, numbers, strict=True)]
                if all(done):
                    return
        with precision(limit):
            for i, sheet in enumerate(self._all):
                sheet.give_up(b, None if numbers is None else numbers[i])
        if numbers is None:
            self.mask[b], open_ = partial(undecided, b, limit)
            self.open += open_

    @property
    def _all(self) -> list[Sheet]:
        return [*self.rows, *self.entries]

    def _numbers(self, row: rows.Row) -> list[list[Number]]:
        """Return the numbers of a row in the order of the sheets."""
        single = [row.loss, row.s, row.t, row.gap, row.branch_gap, *row.margin.values()]
        return [*([x] for x in single), row.probabilities, row.cosines, row.gaps]

    def truth(self) -> Truth:
        """Return what was settled."""
        outputs: dict[str, Any] = {sheet.name: sheet.certified() for sheet in self.entries + self.rows[:5]}
        margin = {sheet.name: sheet.certified() for sheet in self.rows[5:]}
        unresolved = (*self.open, *(u for sheet in self._all for u in sheet.unresolved))
        return Truth(mask=self.mask, margin=margin, bits=self.bits, unresolved=unresolved, **outputs)
