"""The certified loss of embeddings and class weights, from exact integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from flint import arb, arb_mat, ctx, fmpz_mat
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import BoolArray, FloatArray, IntArray
from svref.checks import Progress, integer_parameter
from svref.exact import rows
from svref.exact.balls import ZERO, Ball, Between, Integer, UndecidedError, ball, integers, precision
from svref.exact.cosines import FIRST_BITS, MOST_BITS, partial, precisions
from svref.exact.rounding import Certified, Number, Sheet, Split, Unresolved
from svref.loss import SVXSoftmax, check_loss
from svref.margins import Angle


@dataclass(frozen=True, eq=False)
class HeadTruth:
    """The loss of a classification head and its gradients, certified.

    Parameters
    ----------
    mask : array of bool, shape (B, C)
        I, the support vectors, decided exactly; False where `unresolved` lists the decision as open.
    loss : Certified, shape (B,)
        The losses.
    embeddings, weights : Certified, shape (B, D) and (C, D)
        The gradients of Σ cotangent_b L_b; a pair that is exactly parallel or opposite adds 0 to both.
    gaps : Certified, shape (B, C)
        Distance of each mask decision, as that of `Truth`.
    gap, branch_gap : Certified, shape (B,)
        Distances of the nearest decisions, as those of `Truth`.
    bits : int
        The largest precision that was needed.
    unresolved : tuple of Unresolved
        What `most_bits` did not settle.
    """

    mask: BoolArray
    loss: Certified
    embeddings: Certified
    weights: Certified
    gaps: Certified
    gap: Certified
    branch_gap: Certified
    bits: int = FIRST_BITS
    unresolved: tuple[Unresolved, ...] = field(default=())


def evaluate_head(
    loss: SVXSoftmax,
    embeddings: ArrayLike,
    weights: ArrayLike,
    labels: ArrayLike,
    cotangent: ArrayLike | None = None,
    *,
    most_bits: int = MOST_BITS,
    progress: Progress | None = None,
) -> HeadTruth:
    r"""Return the loss of a head and its gradients by the unnormalised vectors, correctly rounded.

    .. math:: \frac{\partial L}{\partial x_b} = \sum_k \frac{\partial L}{\partial c_{bk}}
              \frac{|x_b|^2 w_k - \langle x_b, w_k \rangle x_b}{|x_b|^3 |w_k|}

    Rows are scaled to integers, so dot products, squared lengths and the numerators above are exact, and nothing is
    lost where two vectors are near-parallel.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss on cosines.
    embeddings : array_like of float32 or float64, shape (B, D)
        x, of any length but zero.
    weights : array_like of the same dtype, shape (C, D)
        w, of any length but zero.
    labels, cotangent, most_bits, progress
        As `svref.exact.evaluate` takes them; `progress` counts the rows of x, then those of w, for each precision.

    Returns
    -------
    HeadTruth

    Raises
    ------
    ValueError, TypeError
        As `svref.head.value_and_grad`, before any work.

    Examples
    --------
    >>> import svref.exact
    >>> loss = svref.sv_am_softmax(s=4.0, m=0.25)
    >>> truth = svref.exact.evaluate_head(loss, [[3.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]], [1])
    >>> print(truth.loss.hi, truth.embeddings.hi)
    [1.68509174] [[ 0.81326926 -0.60995195]]
    """
    check_loss(loss)
    x, w = checks.real_array("embeddings", embeddings, 2), checks.real_array("weights", weights, 2)
    checks.check_pair(x, w)
    y, _ = checks.class_indices(labels, len(x), len(w), None)
    checks.check_rows("embeddings", x)
    checks.check_rows("weights", w)
    g = checks.row_cotangent(cotangent, len(y))
    limit = integer_parameter("most_bits", most_bits, FIRST_BITS, 2**24)
    checks.check_progress(progress)
    made = _Head(loss, _Vectors(x), _Vectors(w), y, g, progress)
    loss.check_logits(1.0, made.angle(), x.dtype)
    return made.settle(limit)


class _Vectors:
    """Rows as integers: the matrix, the exponent of each row's scale, and the squared lengths."""

    def __init__(self, array: FloatArray) -> None:
        scaled = [integers(row) for row in array.tolist()]
        self.rows = [row for row, _ in scaled]
        self.exponents = [e for _, e in scaled]
        self.matrix = fmpz_mat(self.rows)
        self.squares: list[Integer] = [sum(v * v for v in row) for row in self.rows]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.rows[0])

    def tangents(self, i: int, others: _Vectors, dots: Sequence[Integer]) -> fmpz_mat:
        """Return |v|² o - <v, o> v of row v = i and every other row o, exactly."""
        outer = fmpz_mat([[dot] for dot in dots]) * fmpz_mat([self.rows[i]])
        return others.matrix * self.squares[i] - outer

    def gradient(self, i: int, tangents: fmpz_mat, pulls: Sequence[Number]) -> list[Number]:
        """Return Σ pull tangent / |v|², by the row as it was before it was scaled."""
        scale = arb(2) ** self.exponents[i] / arb(self.squares[i])
        rest = arb_mat([[p.rest if isinstance(p, Split) else p for p in pulls]]) * arb_mat(tangents)
        limits = [p.limit if isinstance(p, Split) else ZERO for p in pulls]
        if all(limit == 0 for limit in limits):
            return [x * scale for x in rest.entries()]
        limit = arb_mat([limits]) * arb_mat(tangents)
        return [Split(a * scale, b * scale) for a, b in zip(limit.entries(), rest.entries(), strict=True)]


class _Head:
    """A head while its outputs are being settled."""

    def __init__(
        self, loss: SVXSoftmax, x: _Vectors, w: _Vectors, y: IntArray, g: FloatArray, progress: Progress | None
    ) -> None:
        self.loss, self.x, self.w, self.y, self.g, self.progress = loss, x, w, y, g, progress
        dots = (x.matrix * w.matrix.transpose()).tolist()
        self.cosines = [
            [Between(dot, xx * ww) for dot, ww in zip(row, w.squares, strict=True)]
            for row, xx in zip(dots, x.squares, strict=True)
        ]
        (b, d), c = x.shape, w.shape[0]
        self.mask: BoolArray = np.zeros((b, c), bool)
        self.singles = [Sheet(name, b, None) for name in ("loss", "gap", "branch_gap")]
        self.gaps = Sheet("gaps", b, c)
        self.by_x, self.by_w = Sheet("embeddings", b, d), Sheet("weights", c, d)
        self.latest: list[list[Number] | None] = [None] * b
        self.open: list[list[Unresolved]] = [[] for _ in range(b)]

    def angle(self) -> Angle:
        """Return the targets' angles in float64, for checks."""
        with precision(FIRST_BITS):
            targets = [self.cosines[b][int(y)] for b, y in enumerate(self.y)]
            return Angle(np.array([float(c.ball) for c in targets]), np.array([float(c.sine) for c in targets]))

    def settle(self, limit: int) -> HeadTruth:
        """Settle every output, all with as many bits as the hardest needs."""
        for bits in precisions(limit):
            with precision(bits):
                if self._pass():
                    break
        else:
            with precision(limit):
                self._give_up()
        loss, gap, branch_gap = (sheet.certified() for sheet in self.singles)
        by_x, by_w, gaps = (sheet.certified() for sheet in (self.by_x, self.by_w, self.gaps))
        unresolved = tuple(u for some in (*self.open, *(s.unresolved for s in self._all)) for u in some)
        return HeadTruth(self.mask, loss, by_x, by_w, gaps, gap, branch_gap, bits, unresolved)

    @property
    def _all(self) -> list[Sheet]:
        return [*self.singles, self.gaps, self.by_x, self.by_w]

    def _pass(self) -> bool:
        """Compute all at the current precision; return whether that settled everything."""
        complete, (b, _), c = True, self.x.shape, len(self.w.rows)
        for i in range(b):
            complete &= self._row(i)
            self._report(i + 1)
        if any(pulls is None for pulls in self.latest):
            return False
        for k in range(c):
            if not self.by_w.done[k].all():
                complete &= self.by_w.fill(k, self._by_weight(k))
            self._report(b + k + 1)
        return complete

    def _row(self, i: int) -> bool:
        """Settle what row i settles, and leave its pulls, dL/dc / (|x| |w|)."""
        try:
            row = rows.evaluate(self.loss, self.cosines[i], int(self.y[i]), ball(self.g[i]))
        except UndecidedError as error:
            self.mask[i], self.open[i] = partial(error.mask, i, ctx.prec)
            return False
        self.mask[i], self.open[i] = row.mask, []
        singles = [[row.loss], [row.gap], [row.branch_gap]]
        done = [sheet.fill(i, x) for sheet, x in zip(self.singles, singles, strict=True)]
        done.append(self.gaps.fill(i, row.gaps))
        pulls = self.latest[i] = [_pull(*pair) for pair in zip(row.cosines, self.cosines[i], strict=True)]
        if not self.by_x.done[i].all():
            tangents = self.x.tangents(i, self.w, [c.dot for c in self.cosines[i]])
            done.append(self.by_x.fill(i, self.x.gradient(i, tangents, pulls)))
        return all(done)

    def _by_weight(self, k: int) -> list[Number]:
        """Return dL/dw_k."""
        tangents = self.w.tangents(k, self.x, [row[k].dot for row in self.cosines])
        return self.w.gradient(k, tangents, [pulls[k] for pulls in self.latest if pulls is not None])

    def _report(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, len(self.x.rows) + len(self.w.rows))

    def _give_up(self) -> None:
        for sheet in self._all:
            for i in range(len(sheet.hi)):
                sheet.give_up(i, None)


def _pull(by_cosine: Number, cosine: Between) -> Number:
    """Return dL/dc / (|x| |w|), and 0 of a parallel pair, whose tangents are zero."""
    if cosine.is_parallel:
        return ZERO
    lengths: Ball = cosine.lengths
    if isinstance(by_cosine, Split):
        return Split(by_cosine.limit / lengths, by_cosine.rest / lengths)
    return by_cosine / lengths
