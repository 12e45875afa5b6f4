"""The certified loss and gradients of embeddings and class weights.

Each vector is scaled by a power of two to integers. Dot products, squared lengths and what the gradients are made of
are then exact, and rounding begins with the cosines.
"""

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
from svref.exact.balls import ZERO, Ball, Integer, UndecidedError, VectorCosine, ball, integers, precision
from svref.exact.cosines import FIRST_BITS, MOST_BITS, open_mask, precisions
from svref.exact.rounding import Certified, LimitAndRest, Number, PendingOutput, Unresolved
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
        The gradients of Σ cotangent_b L_b. A pair that is exactly parallel or opposite adds 0 to both.
    gaps : Certified, shape (B, C)
        Distance of each mask decision, as in `Truth`.
    gap, branch_gap : Certified, shape (B,)
        Distances of the nearest decisions, as in `Truth`.
    bits : int
        The number of bits that settled the last number.
    unresolved : tuple of Unresolved
        The numbers and decisions that `most_bits` did not settle.
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

    The dot products, squared lengths and numerators above are integers and exact, so that nothing is lost where two
    vectors are near-parallel.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss on cosines.
    embeddings : array_like of float32 or float64, shape (B, D)
        x, of any length but zero.
    weights : array_like of the same dtype, shape (C, D)
        w, of any length but zero.
    labels, cotangent, most_bits, progress
        As for `svref.exact.evaluate`; `progress` counts the rows of x, then those of w, anew for each precision.

    Returns
    -------
    HeadTruth

    Raises
    ------
    ValueError, TypeError
        As `svref.head.value_and_grad`, before anything is computed.

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
    most = integer_parameter("most_bits", most_bits, FIRST_BITS, 2**24)
    checks.check_progress(progress)
    head = _Head(loss, _IntegerVectors(x), _IntegerVectors(w), y, g, progress)
    loss.check_logits(1.0, head.angle(), x.dtype)
    return head.settle(most)


class _IntegerVectors:
    """The rows of a matrix as integers, with the exponent each was scaled by, and their squared lengths."""

    def __init__(self, array: FloatArray) -> None:
        scaled = [integers(row) for row in array.tolist()]
        self.rows = [row for row, _ in scaled]
        self.exponents = [e for _, e in scaled]
        self.matrix = fmpz_mat(self.rows)
        self.squares: list[Integer] = [sum(v * v for v in row) for row in self.rows]

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of columns."""
        return len(self.rows), len(self.rows[0])

    def tangents(self, i: int, others: _IntegerVectors, dots: Sequence[Integer]) -> fmpz_mat:
        """Return |v|² o - <v, o> v of row v = i and every row o of the others, given <v, o>: exact integers."""
        outer = fmpz_mat([[dot] for dot in dots]) * fmpz_mat([self.rows[i]])
        return others.matrix * self.squares[i] - outer

    def gradient(self, i: int, tangents: fmpz_mat, factors: Sequence[Number]) -> list[Number]:
        """Return the gradient by row i before scaling: Σ factor tangent / |v|², each factor a dL/dc / (|v||o|)."""
        scale = arb(2) ** self.exponents[i] / arb(self.squares[i])
        rest = arb_mat([[x.rest if isinstance(x, LimitAndRest) else x for x in factors]]) * arb_mat(tangents)
        limits = [x.limit if isinstance(x, LimitAndRest) else ZERO for x in factors]
        if all(limit == 0 for limit in limits):
            return [x * scale for x in rest.entries()]
        limit = arb_mat([limits]) * arb_mat(tangents)
        return [LimitAndRest(a * scale, b * scale) for a, b in zip(limit.entries(), rest.entries(), strict=True)]


class _Head:
    """A head, of whose outputs more and more are settled.

    A weight's gradient has a term of every row, so all rows are computed with the same number of bits.
    """

    def __init__(
        self,
        loss: SVXSoftmax,
        x: _IntegerVectors,
        w: _IntegerVectors,
        y: IntArray,
        g: FloatArray,
        progress: Progress | None,
    ) -> None:
        self.loss, self.x, self.w, self.y, self.g, self.progress = loss, x, w, y, g, progress
        dots = (x.matrix * w.matrix.transpose()).tolist()
        self.cosines = [
            [VectorCosine(dot, xx * ww) for dot, ww in zip(row, w.squares, strict=True)]
            for row, xx in zip(dots, x.squares, strict=True)
        ]
        (b, d), c = x.shape, w.shape[0]
        self.mask: BoolArray = np.zeros((b, c), bool)
        self.singles = [PendingOutput(name, b, None) for name in ("loss", "gap", "branch_gap")]
        self.gaps = PendingOutput("gaps", b, c)
        self.by_x, self.by_w = PendingOutput("embeddings", b, d), PendingOutput("weights", c, d)
        self.factors: list[list[Number] | None] = [None] * b  # of each row, dL/dc_k / (|x||w_k|), once it is decided
        self.open: list[list[Unresolved]] = [[] for _ in range(b)]

    def angle(self) -> Angle:
        """Return the targets' angles in float64, which the check of the logits takes."""
        with precision(FIRST_BITS):
            targets = [self.cosines[b][int(y)] for b, y in enumerate(self.y)]
            return Angle(np.array([float(c.ball) for c in targets]), np.array([float(c.sine) for c in targets]))

    def settle(self, most: int) -> HeadTruth:
        """Settle every output, with as many bits as the last number needs, and at most `most`."""
        for bits in precisions(most):
            with precision(bits):
                if self._settle_more():
                    break
        else:
            with precision(most):
                self._give_up()
        loss, gap, branch_gap = (output.certified() for output in self.singles)
        by_x, by_w, gaps = (output.certified() for output in (self.by_x, self.by_w, self.gaps))
        unresolved = tuple(u for some in (*self.open, *(o.unresolved for o in self._all)) for u in some)
        return HeadTruth(self.mask, loss, by_x, by_w, gaps, gap, branch_gap, bits, unresolved)

    @property
    def _all(self) -> list[PendingOutput]:
        return [*self.singles, self.gaps, self.by_x, self.by_w]

    def _settle_more(self) -> bool:
        """Compute everything at the current precision; return whether all is settled then."""
        all_settled, (b, _), c = True, self.x.shape, len(self.w.rows)
        for i in range(b):
            all_settled &= self._settle_row(i)
            self._report(i + 1)
        if any(factors is None for factors in self.factors):
            return False
        for k in range(c):
            if not self.by_w.is_settled[k].all():
                all_settled &= self.by_w.fill(k, self._by_weight(k))
            self._report(b + k + 1)
        return all_settled

    def _settle_row(self, i: int) -> bool:
        """Settle what this precision settles of row i, and keep its factors; return whether all of it is settled."""
        try:
            row = rows.evaluate(self.loss, self.cosines[i], int(self.y[i]), ball(self.g[i]))
        except UndecidedError as error:
            self.mask[i], self.open[i] = open_mask(error.mask, i, ctx.prec)
            return False
        self.mask[i], self.open[i] = row.mask, []
        singles = [[row.loss], [row.gap], [row.branch_gap]]
        are_settled = [output.fill(i, x) for output, x in zip(self.singles, singles, strict=True)]
        are_settled.append(self.gaps.fill(i, row.gaps))
        factors = self.factors[i] = [_factor(*pair) for pair in zip(row.cosines, self.cosines[i], strict=True)]
        if not self.by_x.is_settled[i].all():
            tangents = self.x.tangents(i, self.w, [c.dot for c in self.cosines[i]])
            are_settled.append(self.by_x.fill(i, self.x.gradient(i, tangents, factors)))
        return all(are_settled)

    def _by_weight(self, k: int) -> list[Number]:
        """Return the gradient by weight k, from the factors of every row."""
        tangents = self.w.tangents(k, self.x, [row[k].dot for row in self.cosines])
        return self.w.gradient(k, tangents, [factors[k] for factors in self.factors if factors is not None])

    def _report(self, done: int) -> None:
        """Tell the caller how many rows of x and of w are done."""
        if self.progress is not None:
            self.progress(done, len(self.x.rows) + len(self.w.rows))

    def _give_up(self) -> None:
        """Record each number that is not settled."""
        for output in self._all:
            for i in range(len(output.hi)):
                output.give_up(i, None)


def _factor(by_cosine: Number, cosine: VectorCosine) -> Number:
    """Return dL/dc / (|x||w|); 0 for a parallel pair, whose tangent is 0 while dL/dc may be infinite."""
    if cosine.is_parallel:
        return ZERO
    lengths: Ball = cosine.product_of_lengths
    if isinstance(by_cosine, LimitAndRest):
        return LimitAndRest(by_cosine.limit / lengths, by_cosine.rest / lengths)
    return by_cosine / lengths
