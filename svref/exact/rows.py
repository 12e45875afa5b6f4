"""One row in balls: who is a support vector, how much each class weighs, and every output with its gradient.

With d_k = c_k - f + (t - 1)(c_k + 1) I_k for the negatives and d_y = 0, everything is a mean over the classes with
weights exp(s d_k). The classes are counted from the greatest d; the G of them that reach it exactly have weight 1, the
others add up to R. Then p = 1/(G + R) of each in the group is 1/G less a rest, and so are the other outputs: their
limits, where nothing but the group counts, and what remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from flint import arb

from svref.exact.balls import ONE, ZERO, Ball, Cosine, UndecidedError, ball
from svref.exact.margins import Held, Point, held
from svref.exact.rounding import Number, Split
from svref.loss import SVXSoftmax

TIGHT = arb(2) ** -64


@dataclass(frozen=True)
class Row:
    """Every output of one row at the current precision, the gradients times the row's cotangent."""

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
        """The distance of the nearest mask decision."""
        return reduce(arb.min, self.gaps)


@dataclass(frozen=True)
class Decided:
    """The decisions of a row: the margin with its branches held, the mask, c_k - f with exact zeros, and distances."""

    margin: Held
    mask: list[bool]
    over: list[Ball]
    gaps: list[Ball]
    branch_gap: Ball


def evaluate(loss: SVXSoftmax, cosines: Sequence[Cosine], label: int, g: Ball, flipped: Sequence[int] = ()) -> Row:
    """Return a row, with the mask decisions `flipped` turned over; raise UndecidedError where one needs more bits."""
    at = Point.of(cosines[label])
    balls = [at.cosine if k == label else c.ball for k, c in enumerate(cosines)]
    decided = _decided(loss, cosines, balls, label, at)
    for k in flipped:
        decided.mask[k] = not decided.mask[k]
    s, rise = ball(loss.s), _rises(loss, balls, decided.mask)
    d = _relative(loss, label, decided, rise)
    return _Weighed(cosines, d, decided.mask, s, label).row(loss, label, decided, rise, g)


def _decided(loss: SVXSoftmax, cosines: Sequence[Cosine], balls: list[Ball], label: int, at: Point) -> Decided:
    margin = held(loss.margin, at)
    boundary = loss.emphasis.boundary
    decider = margin if boundary is None else held(boundary, at)
    over = [c - decider.value for c in balls]
    sides = _sides(over, cosines, label, decider, at)
    if sides.count(None) > 1:  # the label's is always
        open_ = [None if side is None else side > 0 for side in sides]
        raise UndecidedError([*open_[:label], False, *open_[label + 1 :]])
    mask = [side == 1 for side in sides]
    gaps = [arb.pos_inf() if side is None else abs(x) if side else ZERO for side, x in zip(sides, over, strict=True)]
    switches = [h.switch for h in (margin, decider) if h.switch is not None]
    branch_gap = arb.pos_inf() if not switches else switches[0].min(switches[-1])
    if boundary is not None:
        over = [c - margin.value for c in balls]
        sides = _sides(over, cosines, label, margin, at)
    over = [ZERO if side == 0 else x for side, x in zip(sides, over, strict=True)]
    return Decided(margin, mask, over, gaps, branch_gap)


def _sides(over: list[Ball], cosines: Sequence[Cosine], label: int, decider: Held, at: Point) -> list[int | None]:
    """Return the sign of what each cosine exceeds a boundary by, 0 for a proven tie, None if open and for the label."""
    signs = [1 if x > ZERO else -1 if x < ZERO else None for x in over]
    signs[label] = None
    for k, sign in enumerate(signs):
        if sign is None and k != label:
            signs[k] = _side(over[k], cosines[k], decider, at)
    return signs


def _side(over: Ball, cosine: Cosine, decider: Held, at: Point) -> int | None:
    """Return 0 for a proven tie, None if it is open.

    The exact arithmetic of a tie is tried where the ball has shrunk so far that nothing else is likely.
    """
    if over == 0:
        return 0
    if not (decider.lines and over.rad() < TIGHT):
        return None
    target, root = at.root(), cosine.root()
    return 0 if all(root.is_on(line(target), target) for line in decider.lines) else None


def _rises(loss: SVXSoftmax, balls: list[Ball], mask: list[bool]) -> list[Ball]:
    """Return dlog h_k/dt / s: c_k + 1 (adaptive) or 1 (fixed) of the support vectors, 0 of the others."""
    adaptive = loss.emphasis.form == "adaptive"
    return [(c + 1 if adaptive else ONE) if above else ZERO for c, above in zip(balls, mask, strict=True)]


def _relative(loss: SVXSoftmax, label: int, decided: Decided, rise: list[Ball]) -> list[Ball]:
    """Return d_k, an exact 0 for the label and for whatever equals f."""
    lift = ball(loss.emphasis.t) - 1
    triples = zip(decided.over, decided.mask, rise, strict=True)
    d = [over + lift * r if above else over for over, above, r in triples]
    d[label] = ZERO
    return d


class _Weighed:
    """The classes of a row by their weights exp(s (d_k - d_top)): those of the group G, exactly 1, and the others.

    Any class may be the top; the one that is greatest as a float serves best.
    """

    def __init__(self, cosines: Sequence[Cosine], d: list[Ball], mask: list[bool], s: Ball, label: int) -> None:
        self.d, self.s = d, s
        near = [float(x) for x in d]
        top = near.index(max(near))
        level = [k for k, x in enumerate(near) if x == near[top]]
        alike = [k for k in level if label not in (k, top) and mask[k] == mask[top]]  # the label's d is not c - f
        root = cosines[top].root() if len(alike) > 1 else None
        self.group = {k for k in level if k == top or d[k] == d[top] or (k in alike and cosines[k].root() == root)}
        self.top, self.size = d[top], arb(len(self.group))
        self.below = [ZERO if k in self.group else x - self.top for k, x in enumerate(d)]
        others = [k for k in range(len(d)) if k not in self.group]
        weights = {k: (s * self.below[k]).exp() for k in others}
        self.rest = sum(weights.values(), ZERO)
        self.inverse = 1 / (self.size + self.rest)
        self.shares = {k: w * self.inverse for k, w in weights.items()}

    def row(self, loss: SVXSoftmax, label: int, decided: Decided, rise: list[Ball], g: Ball) -> Row:
        """Return every output."""
        mask, s, t = decided.mask, self.s, ball(loss.emphasis.t)
        steep = t if loss.emphasis.form == "adaptive" else ONE
        error = self.target_error(label)
        plain = g * s
        raised = plain * steep
        slopes = [raised if above else plain for above in mask]
        p = self.probabilities()
        by_cosines = [_times(x, slope) for x, slope in zip(p, slopes, strict=True)]
        by_cosines[label] = self._by_target(error, decided.margin.by_cosine, g)
        return Row(
            mask, decided.gaps, decided.branch_gap, self.loss(label), p, by_cosines,
            s=self.by_scale().times(g),
            t=self.mean(rise).times(g * s),
            margin={name: error.times(-g * s * d) for name, d in decided.margin.by_parameter.items()},
        )  # fmt: skip

    def probabilities(self) -> list[Number]:
        """Return p_k: w_k/(G + R) outside the group, 1/G - R/(G (G + R)) in it."""
        of_group = Split(1 / self.size, -self.rest * self.inverse / self.size)
        return [self.shares.get(k, of_group) for k in range(len(self.d))]

    def loss(self, label: int) -> Number:
        """Return L = s d_top + log(G + R)."""
        if len(self.group) > 1:
            return self.s * self.top + (self.size + self.rest).log()
        return Split(ZERO if label in self.group else self.s * self.top, self.rest.log1p())

    def target_error(self, label: int) -> Split:
        """Return q = 1 - p_y: (G - 1)/G and a rest if the target is in the group, else 1 less its share."""
        if label not in self.group:
            return Split(ONE, -self.shares[label])
        return Split((self.size - 1) / self.size, self.rest * self.inverse / self.size)

    def by_scale(self) -> Split:
        """Return dL/ds = Σ p_k d_k = d_top + Σ p_k (d_k - d_top)."""
        return Split(self.top, sum((p * self.below[k] for k, p in self.shares.items()), ZERO))

    def mean(self, values: list[Ball]) -> Split:
        """Return Σ p_k v_k: the mean over the group, and what the others change of it."""
        of_group = sum((values[k] for k in self.group), ZERO) / self.size
        others = sum((p * values[k] for k, p in self.shares.items() if values[k] is not ZERO), ZERO)
        return Split(of_group, others - self.rest * self.inverse * of_group)

    def _by_target(self, error: Split, slope: Ball, g: Ball) -> Number:
        """Return dL/dc_y = -s q f'; at a pole its infinity, 0 only if nothing pulls."""
        if slope.is_finite():
            return error.times(-g * self.s * slope)
        dead = g == 0 or len(self.d) == 1
        return ZERO if dead else -g * slope


def _times(number: Number, factor: Ball) -> Number:
    return number.times(factor) if isinstance(number, Split) else number * factor
