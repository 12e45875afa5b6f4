"""One row in balls: its mask, the weight of each class, and from these every output and gradient.

With d_k = c_k - f + (t - 1)(c_k + 1) I_k for the negatives and d_y = 0 (or t - 1 without c_k + 1, if h is fixed), the
probabilities are p_k = w_k / Σ w_j with the weights w_k = exp(s (d_k - d_top)), where d_top is the greatest d. The G
classes with d_k = d_top are the dominant group: they have weight 1, and all other weights add up to R. Each output is
computed as its limit, in which only the group counts, and the rest: p in the group is 1/(G + R), with the limit 1/G
and the rest -R/(G (G + R)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from flint import arb

from svref.exact.balls import ONE, ZERO, Ball, Cosine, UndecidedError, ball
from svref.exact.margins import MarginBalls, Point, margin_in_balls
from svref.exact.rounding import LimitAndRest, Number
from svref.loss import SVXSoftmax

TIGHT = arb(2) ** -64  # a ball with a smaller radius that still contains 0 is most likely a tie; see `_tie`


@dataclass(frozen=True)
class Row:
    """Every output of one row at the current precision, as in `Truth`; gradients are times the row's cotangent."""

    mask: list[bool]
    gaps: list[Ball]
    branch_gap: Ball
    loss: Number
    probabilities: list[Number]
    cosines: list[Number]
    s: Number
    t: Number
    margin: dict[str, Number]

    @property
    def gap(self) -> Ball:
        """The distance of the nearest mask decision from its boundary."""
        return reduce(arb.min, self.gaps)


@dataclass(frozen=True)
class Decisions:
    """All decisions of a row, and what they are based on.

    Parameters
    ----------
    margin : MarginBalls
        The margin at the target.
    mask : list of bool
        Whether each class is a support vector; False at the label.
    above_f : list of Ball
        c_k - f of each class, exactly 0 for a proven tie.
    gaps : list of Ball
        |c_k - boundary| of each mask decision; infinite at the label.
    branch_gap : Ball
        The distance of c_y to the nearest switch of a tail or an easy margin; infinite without one.
    """

    margin: MarginBalls
    mask: list[bool]
    above_f: list[Ball]
    gaps: list[Ball]
    branch_gap: Ball


def evaluate(loss: SVXSoftmax, cosines: Sequence[Cosine], label: int, g: Ball, flipped: Sequence[int] = ()) -> Row:
    """Return every output of a row, with the mask decisions at the columns `flipped` reversed.

    Raises an UndecidedError where the precision leaves a decision open.
    """
    at = Point.of(cosines[label])
    balls = [at.cosine if k == label else c.ball for k, c in enumerate(cosines)]
    decisions = _decisions(loss, cosines, balls, label, at)
    for k in flipped:
        decisions.mask[k] = not decisions.mask[k]
    by_t = _lift_by_t(loss, balls, decisions.mask)
    d = _relative_logits(loss, label, decisions, by_t)
    return _ClassWeights(cosines, d, decisions.mask, ball(loss.s), label).row(loss, label, decisions, by_t, g)


def _decisions(loss: SVXSoftmax, cosines: Sequence[Cosine], balls: list[Ball], label: int, at: Point) -> Decisions:
    """Return the decisions of a row; raise an UndecidedError with the mask where one is open."""
    margin = margin_in_balls(loss.margin, at)
    boundary = loss.emphasis.boundary
    decider = margin if boundary is None else margin_in_balls(boundary, at)
    above = [c - decider.value for c in balls]
    signs = _signs(above, cosines, label, decider, at)
    if signs.count(None) > 1:  # that of the label is always None
        open_ = [None if sign is None else sign > 0 for sign in signs]
        raise UndecidedError([*open_[:label], False, *open_[label + 1 :]])
    mask = [sign == 1 for sign in signs]
    gaps = [arb.pos_inf() if sign is None else abs(x) if sign else ZERO for sign, x in zip(signs, above, strict=True)]
    branch_gaps = [m.branch_gap for m in (margin, decider) if m.branch_gap is not None]
    branch_gap = arb.pos_inf() if not branch_gaps else branch_gaps[0].min(branch_gaps[-1])
    if boundary is not None:
        above = [c - margin.value for c in balls]
        signs = _signs(above, cosines, label, margin, at)
    above_f = [ZERO if sign == 0 else x for sign, x in zip(signs, above, strict=True)]
    return Decisions(margin, mask, above_f, gaps, branch_gap)


def _signs(
    above: list[Ball], cosines: Sequence[Cosine], label: int, decider: MarginBalls, at: Point
) -> list[int | None]:
    """Return the sign of c_k - boundary for each class, 0 for a proven tie; None where it is open, and at the label."""
    signs = [1 if x > ZERO else -1 if x < ZERO else None for x in above]
    signs[label] = None
    for k, sign in enumerate(signs):
        if sign is None and k != label:
            signs[k] = _tie(above[k], cosines[k], decider, at)
    return signs


def _tie(above: Ball, cosine: Cosine, decider: MarginBalls, at: Point) -> int | None:
    """Return 0 if a cosine is proven to equal the boundary, None if that is open.

    The proof in exact arithmetic is slow. So it is tried only once the ball around 0 is smaller than 2^-64.
    """
    if above == 0:
        return 0
    if not (decider.lines and above.rad() < TIGHT):
        return None
    target, root = at.root(), cosine.root()
    return 0 if all(root.is_on(line(target), target) for line in decider.lines) else None


def _lift_by_t(loss: SVXSoftmax, balls: list[Ball], mask: list[bool]) -> list[Ball]:
    """Return dlog h_k/dt / s: c_k + 1 (adaptive) or 1 (fixed) for support vectors, 0 for the other classes."""
    adaptive = loss.emphasis.form == "adaptive"
    return [(c + 1 if adaptive else ONE) if in_mask else ZERO for c, in_mask in zip(balls, mask, strict=True)]


def _relative_logits(loss: SVXSoftmax, label: int, decisions: Decisions, by_t: list[Ball]) -> list[Ball]:
    """Return d_k, the logits relative to the target's, divided by s: exactly 0 for the label and for a c_k = f."""
    t_less_one = ball(loss.emphasis.t) - 1
    triples = zip(decisions.above_f, decisions.mask, by_t, strict=True)
    d = [above + t_less_one * lift if in_mask else above for above, in_mask, lift in triples]
    d[label] = ZERO
    return d


class _ClassWeights:
    """The weights w_k = exp(s (d_k - d_top)) of a row's classes.

    The top is a class whose d, as a float, is greatest. Any class would do, as the softmax does not depend on the
    choice; but with this one no weight is large. The dominant group is made of the classes whose d is proven equal to
    the top's. Their weights are exactly 1, and G is their number. R is the sum of the other weights.
    """

    def __init__(self, cosines: Sequence[Cosine], d: list[Ball], mask: list[bool], s: Ball, label: int) -> None:
        self.d, self.s = d, s
        floats = [float(x) for x in d]
        top = floats.index(max(floats))
        greatest = [k for k, x in enumerate(floats) if x == floats[top]]
        # Negatives with the same mask have the same d if they have the same cosine. The label's d is no function of it.
        comparable = [k for k in greatest if label not in (k, top) and mask[k] == mask[top]]
        root = cosines[top].root() if len(comparable) > 1 else None
        self.group = {
            k for k in greatest if k == top or d[k] == d[top] or (k in comparable and cosines[k].root() == root)
        }
        self.top, self.size = d[top], arb(len(self.group))
        self.below = [ZERO if k in self.group else x - self.top for k, x in enumerate(d)]
        others = [k for k in range(len(d)) if k not in self.group]
        weights = {k: (s * self.below[k]).exp() for k in others}
        self.rest = sum(weights.values(), ZERO)
        self.inverse = 1 / (self.size + self.rest)
        self.shares = {k: w * self.inverse for k, w in weights.items()}

    def row(self, loss: SVXSoftmax, label: int, decisions: Decisions, by_t: list[Ball], g: Ball) -> Row:
        """Return every output. With adaptive h, dL/dc_k is s p_k, and t times that at a support vector."""
        adaptive, q = loss.emphasis.form == "adaptive", self.target_error(label)
        plain = g * self.s
        steep = plain * (ball(loss.emphasis.t) if adaptive else ONE)
        slopes = [steep if in_mask else plain for in_mask in decisions.mask]
        p = self.probabilities()
        by_cosines = [_times(x, slope) for x, slope in zip(p, slopes, strict=True)]
        by_cosines[label] = self._by_target(q, decisions.margin.by_cosine, g)
        return Row(
            decisions.mask, decisions.gaps, decisions.branch_gap, self.loss(label), p, by_cosines,
            s=self.by_scale().times(g),
            t=self.mean(by_t).times(plain),
            margin={name: q.times(-g * self.s * by_m) for name, by_m in decisions.margin.by_parameter.items()},
        )  # fmt: skip

    def probabilities(self) -> list[Number]:
        """Return p_k: w_k/(G + R) outside the group; in it 1/G - R/(G (G + R))."""
        of_group = LimitAndRest(1 / self.size, -self.rest * self.inverse / self.size)
        return [self.shares.get(k, of_group) for k in range(len(self.d))]

    def loss(self, label: int) -> Number:
        """Return L = s d_top + log(G + R)."""
        if len(self.group) > 1:
            return self.s * self.top + (self.size + self.rest).log()
        return LimitAndRest(ZERO if label in self.group else self.s * self.top, self.rest.log1p())

    def target_error(self, label: int) -> LimitAndRest:
        """Return q = 1 - p_y: (G - 1)/G + R/(G (G + R)) if the label is in the group, else 1 - w_y/(G + R)."""
        if label not in self.group:
            return LimitAndRest(ONE, -self.shares[label])
        return LimitAndRest((self.size - 1) / self.size, self.rest * self.inverse / self.size)

    def by_scale(self) -> LimitAndRest:
        """Return dL/ds = Σ p_k d_k = d_top + Σ p_k (d_k - d_top)."""
        return LimitAndRest(self.top, sum((p * self.below[k] for k, p in self.shares.items()), ZERO))

    def mean(self, values: list[Ball]) -> LimitAndRest:
        """Return Σ p_k v_k: its limit is the mean over the group; the rest is what the other classes change."""
        of_group = sum((values[k] for k in self.group), ZERO) / self.size
        others = sum((p * values[k] for k, p in self.shares.items() if values[k] is not ZERO), ZERO)
        return LimitAndRest(of_group, others - self.rest * self.inverse * of_group)

    def _by_target(self, q: LimitAndRest, slope: Ball, g: Ball) -> Number:
        """Return dL/dc_y = -s q f'; where f' is infinite, that infinity, but 0 if g = 0 or if C = 1, so that q = 0."""
        if slope.is_finite():
            return q.times(-g * self.s * slope)
        is_zero = g == 0 or len(self.d) == 1
        return ZERO if is_zero else -g * slope


def _times(number: Number, factor: Ball) -> Number:
    """Return a number times a ball."""
    return number.times(factor) if isinstance(number, LimitAndRest) else number * factor
