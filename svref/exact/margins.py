"""Each margin in balls: f and its derivatives at one target, with every branch proven to be the right one.

Nothing is shared with `svref.margins` but the names of the parameters. A new margin is registered here with
``@margin_in_balls.register``; a test fails for a margin that is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Any, TypeAlias

from flint import arb, fmpq

from svref.exact.balls import ONE, ZERO, Ball, Cosine, Rational, Root, UndecidedError, ball, fraction
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)

MOST_PIECES = 4096  # above this m1, the exact fractions that decide a tie have millions of digits

Line: TypeAlias = Callable[[Root], tuple[Rational, Rational]]  # the target's cosine to (p, q) with f = p + q c


@dataclass(frozen=True)
class MarginBalls:
    """A margin at one target c, at the current precision, with all of its branches decided.

    Parameters
    ----------
    value : Ball
        f.
    by_cosine : Ball
        df/dc; an infinity where it has one at c = ±1.
    by_parameter : dict of Ball
        df by each real parameter.
    lines : tuple of callable
        For each piece that f may be on, a function that takes c and returns the rationals (p, q) of f = p + q c. They
        decide whether a cosine equals f. There are none where f is transcendental, so that no cosine does.
    branch_gap : Ball or None
        The distance of c to where the nearest tail or easy margin begins; None for a margin without one.
    """

    value: Ball
    by_cosine: Ball
    by_parameter: dict[str, Ball] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    branch_gap: Ball | None = None


@dataclass(frozen=True)
class Point:
    """A target: its cosine and sine as balls of the current precision, and a function that returns the exact cosine."""

    cosine: Ball
    sine: Ball
    root: Callable[[], Root]

    @classmethod
    def of(cls, cosine: Cosine) -> Point:
        """Return the point of a cosine."""
        return cls(cosine.ball, cosine.sine, cosine.root)


@singledispatch
def margin_in_balls(margin: Margin, at: Point) -> MarginBalls:
    """Return a margin at a target; raise UndecidedError where the precision leaves a branch open."""
    raise TypeError(f"{type(margin).__name__} has no form in balls; register one in svref/exact/margins.py.")


@margin_in_balls.register
def _(margin: NoMargin, at: Point) -> MarginBalls:
    return MarginBalls(at.cosine, ONE, lines=_straight(0.0))


@margin_in_balls.register
def _(margin: AdditiveCosine, at: Point) -> MarginBalls:
    return MarginBalls(at.cosine - ball(margin.m), ONE, {"m": -ONE}, _straight(-margin.m))


@margin_in_balls.register
def _(margin: AdditiveAngle, at: Point) -> MarginBalls:
    if margin.m == 0:
        plain = MarginBalls(at.cosine, ONE, {"m": -at.sine}, _straight(0.0))
        return plain if margin.tail == "raw" else replace(plain, branch_gap=at.cosine + 1)
    m = ball(margin.m)
    sin_m, cos_m = m.sin_cos()
    cos_phi, sin_phi = at.cosine * cos_m - at.sine * sin_m, at.sine * cos_m + at.cosine * sin_m
    raw = MarginBalls(cos_phi, _over_sine(sin_phi, at, at.cosine), {"m": -sin_phi})
    if margin.tail == "raw":
        return raw
    to_tail = at.cosine + cos_m  # never 0: the cosine of a rational m is transcendental, and c is algebraic
    if not (to_tail > 0 or to_tail < 0):
        raise UndecidedError
    if to_tail > 0:
        return replace(raw, branch_gap=to_tail)
    tails = {
        "linear": MarginBalls(at.cosine - m * sin_m, ONE, {"m": -(sin_m + m * cos_m)}),
        "plain": MarginBalls(at.cosine, ONE, {"m": ZERO}, _straight(0.0)),
        "reflect": MarginBalls(-2 - cos_phi, -raw.by_cosine, {"m": sin_phi}),
    }
    return replace(tails[margin.tail], branch_gap=-to_tail)


@margin_in_balls.register
def _(margin: MultiplicativeAngle, at: Point) -> MarginBalls:
    m, lam = margin.m, ball(margin.annealing)
    t, u = _chebyshev(at.cosine, m)
    pieces = _pieces(at.cosine, m)
    signs = [1 - 2 * (k % 2) for k in pieces]
    value = _hull([(lam * at.cosine + sign * t - 2 * k) / (1 + lam) for k, sign in zip(pieces, signs, strict=True)])
    slope = _hull([(lam + sign * m * u) / (1 + lam) for sign in signs])

    def line(k: int) -> Line:
        share, sign = fraction(margin.annealing), 1 - 2 * (k % 2)

        def of(cosine: Root) -> tuple[Rational, Rational]:
            t = _chebyshev(Affine.of(cosine), m)[0]
            return (sign * t.p - 2 * k) / (1 + share), (share + sign * t.q) / (1 + share)

        return of

    return MarginBalls(value, slope, lines=tuple(line(k) for k in pieces))


@margin_in_balls.register
def _(margin: Combined, at: Point) -> MarginBalls:
    m1, m2, m3 = ball(margin.m1), ball(margin.m2), ball(margin.m3)
    if margin.m2 == 0 and margin.m1.is_integer():
        t, u = _chebyshev(at.cosine, int(margin.m1))
        by_angle = {"m1": ZERO, "m2": ZERO}
        if at.sine.is_finite():  # beyond [-1, 1] there is no angle to differentiate by
            sine = at.sine * u
            by_angle = {"m1": -arb.atan2(at.sine, at.cosine) * sine, "m2": -sine}

        def line(cosine: Root) -> tuple[Rational, Rational]:
            t = _chebyshev(Affine.of(cosine), int(margin.m1))[0]
            return t.p - fraction(margin.m3), t.q

        return MarginBalls(t - m3, m1 * u, {**by_angle, "m3": -ONE}, (line,) if margin.m1 <= MOST_PIECES else ())
    theta = arb.atan2(at.sine, at.cosine)
    sin_phi, cos_phi = (m1 * theta + m2).sin_cos()
    smooth = at.sine == 0 and at.cosine > 0 and margin.m2 == 0
    slope = m1 * m1 if smooth else _over_sine(m1 * sin_phi, at, sin_phi)
    return MarginBalls(cos_phi - m3, slope, {"m1": -theta * sin_phi, "m2": -sin_phi, "m3": -ONE})


@margin_in_balls.register
def _(margin: EasyMargin, at: Point) -> MarginBalls:
    inner, above = margin_in_balls(margin.margin, at), ball(margin.above)
    distance = at.cosine - above
    if not (distance > 0 or distance < 0):
        if at.root() != Root.of(fraction(margin.above)):
            raise UndecidedError
        distance = ZERO
    gap = abs(distance) if inner.branch_gap is None else abs(distance).min(inner.branch_gap)
    if distance > 0:
        return replace(inner, branch_gap=gap)
    return MarginBalls(at.cosine, ONE, dict.fromkeys(inner.by_parameter, ZERO), _straight(0.0), gap)


@margin_in_balls.register
def _(margin: StraightThrough, at: Point) -> MarginBalls:
    return replace(margin_in_balls(margin.margin, at), by_cosine=ONE)


def _straight(offset: float) -> tuple[Line, ...]:
    """Return the only line of f = offset + c."""
    return (lambda cosine: (fraction(offset), fmpq(1)),)


def _over_sine(numerator: Ball, at: Point, sign: Ball) -> Ball:
    """Return numerator/σ; at a pole, where σ = 0, the infinity with the sign of `sign`."""
    if not at.sine == 0:  # noqa: SIM201, for balls x != y is not the opposite of x == y
        return numerator / at.sine
    if not (sign > 0 or sign < 0):
        raise UndecidedError
    return arb.pos_inf() if sign > 0 else arb.neg_inf()


def _pieces(cosine: Ball, m: int) -> list[int]:
    """Return the piece k that c is on: the number of kinks cos(jπ/m), j = 1 to m - 1, that are above c.

    Two pieces are returned where c may be on the kink between them. There both have the same value and slope, so the
    hull of the two is right, and shrinks with more bits.
    """
    for j in range(1, m):
        kink = arb.cos_pi_fmpq(fmpq(j, m))
        if cosine > kink:
            return [j - 1]
        if not (cosine < kink or cosine == kink):
            if j + 1 < m and not cosine > arb.cos_pi_fmpq(fmpq(j + 1, m)):
                raise UndecidedError
            return [j - 1, j]
    return [m - 1]


def _hull(balls: list[Ball]) -> Ball:
    """Return the smallest ball around one or two balls."""
    return balls[0] if len(balls) == 1 else balls[0].union(balls[1])


def _chebyshev(c: Any, m: int) -> tuple[Any, Any]:
    """Return T_m(c) = cos(mθ) and U_{m-1}(c) = sin(mθ)/sin θ, of a ball or an `Affine`.

    n is doubled for each binary digit of m. That loses 2 log2(m) bits, where steps from n to n + 1 would lose more.

    T_2n = 2 T_n² - 1, U_{2n-1} = 2 T_n U_{n-1}; T_{n+1} = c T_n - (1 - c²) U_{n-1}, U_n = T_n + c U_{n-1}.
    """
    t, u = c * 0 + 1, c * 0
    for bit in bin(m)[2:]:
        t, u = t * t * 2 - 1, t * u * 2
        if bit == "1":
            t, u = c * t - (1 - c) * (1 + c) * u, t + c * u
    return t, u


@dataclass(frozen=True)
class Affine:
    """p + q c, for rational p and q and a c whose square is rational; their sums and products have this form, too."""

    p: Rational
    q: Rational
    square: Rational

    @classmethod
    def of(cls, cosine: Root) -> Affine:
        """Return c itself."""
        return cls(fmpq(0), fmpq(1), cosine.square)

    def __add__(self, other: Affine | int) -> Affine:
        p, q = (other.p, other.q) if isinstance(other, Affine) else (other, 0)
        return Affine(self.p + p, self.q + q, self.square)

    def __mul__(self, other: Affine | int) -> Affine:
        if not isinstance(other, Affine):
            return Affine(self.p * other, self.q * other, self.square)
        return Affine(
            self.p * other.p + self.q * other.q * self.square, self.p * other.q + self.q * other.p, self.square
        )

    def __sub__(self, other: Affine | int) -> Affine:
        return self + other * -1

    def __rsub__(self, other: int) -> Affine:
        return self * -1 + other

    __radd__ = __add__
