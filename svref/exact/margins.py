"""The ball twin of each margin: f, its derivatives and its switches, each branch decided for certain.

Nothing here is shared with `svref.margins` but the names of the parameters. A new margin registers its twin with
``@held.register``; a test names the margin that has none.
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

MOST_PIECES = 4096  # beyond them the exact fractions of a tie have millions of digits

Line: TypeAlias = Callable[[Root], tuple[Rational, Rational]]


@dataclass(frozen=True)
class Held:
    """A margin at one target, its branches decided and held.

    Each of `lines` returns the rationals (p, q) of f = p + q c, for each piece that may hold; there are none where f is
    transcendental, so that it ties with no cosine. `switch` is the distance of c to the nearest tail or easy margin,
    None without one. `by_cosine` is an infinity at a pole.
    """

    value: Ball
    by_cosine: Ball
    by_parameter: dict[str, Ball] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    switch: Ball | None = None


@dataclass(frozen=True)
class Point:
    """A target at the current precision: its cosine, its sine, and the exact number behind them."""

    cosine: Ball
    sine: Ball
    root: Callable[[], Root]

    @classmethod
    def of(cls, cosine: Cosine) -> Point:
        """Return the point of a cosine."""
        return cls(cosine.ball, cosine.sine, cosine.root)


@singledispatch
def held(margin: Margin, at: Point) -> Held:
    """Return `margin` at a point; raise UndecidedError where a branch needs more bits."""
    raise TypeError(f"{type(margin).__name__} has no ball twin; register one in svref/exact/margins.py.")


@held.register
def _(margin: NoMargin, at: Point) -> Held:
    return Held(at.cosine, ONE, lines=_straight(0.0))


@held.register
def _(margin: AdditiveCosine, at: Point) -> Held:
    return Held(at.cosine - ball(margin.m), ONE, {"m": -ONE}, _straight(-margin.m))


@held.register
def _(margin: AdditiveAngle, at: Point) -> Held:
    if margin.m == 0:
        near = Held(at.cosine, ONE, {"m": -at.sine}, _straight(0.0))
        return near if margin.tail == "raw" else replace(near, switch=at.cosine + 1)
    m = ball(margin.m)
    sin_m, cos_m = m.sin_cos()
    cos_phi, sin_phi = at.cosine * cos_m - at.sine * sin_m, at.sine * cos_m + at.cosine * sin_m
    raw = Held(cos_phi, _over_sine(sin_phi, at, at.cosine), {"m": -sin_phi})
    if margin.tail == "raw":
        return raw
    over = at.cosine + cos_m  # never 0, for the cosine of an algebraic m is transcendental
    if not (over > 0 or over < 0):
        raise UndecidedError
    if over > 0:
        return replace(raw, switch=over)
    tails = {
        "linear": Held(at.cosine - m * sin_m, ONE, {"m": -(sin_m + m * cos_m)}),
        "plain": Held(at.cosine, ONE, {"m": ZERO}, _straight(0.0)),
        "reflect": Held(-2 - cos_phi, -raw.by_cosine, {"m": sin_phi}),
    }
    return replace(tails[margin.tail], switch=-over)


@held.register
def _(margin: MultiplicativeAngle, at: Point) -> Held:
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

    return Held(value, slope, lines=tuple(line(k) for k in pieces))


@held.register
def _(margin: Combined, at: Point) -> Held:
    m1, m2, m3 = ball(margin.m1), ball(margin.m2), ball(margin.m3)
    if margin.m2 == 0 and margin.m1.is_integer():
        t, u = _chebyshev(at.cosine, int(margin.m1))
        by_angle = {"m1": ZERO, "m2": ZERO}
        if at.sine.is_finite():  # beyond a cosine there is no angle to differentiate by
            sine = at.sine * u
            by_angle = {"m1": -arb.atan2(at.sine, at.cosine) * sine, "m2": -sine}

        def line(cosine: Root) -> tuple[Rational, Rational]:
            t = _chebyshev(Affine.of(cosine), int(margin.m1))[0]
            return t.p - fraction(margin.m3), t.q

        return Held(t - m3, m1 * u, {**by_angle, "m3": -ONE}, (line,) if margin.m1 <= MOST_PIECES else ())
    theta = arb.atan2(at.sine, at.cosine)
    sin_phi, cos_phi = (m1 * theta + m2).sin_cos()
    smooth = at.sine == 0 and at.cosine > 0 and margin.m2 == 0
    slope = m1 * m1 if smooth else _over_sine(m1 * sin_phi, at, sin_phi)
    return Held(cos_phi - m3, slope, {"m1": -theta * sin_phi, "m2": -sin_phi, "m3": -ONE})


@held.register
def _(margin: EasyMargin, at: Point) -> Held:
    inner, above = held(margin.margin, at), ball(margin.above)
    distance = at.cosine - above
    on_it = not (distance > 0 or distance < 0)
    if on_it:
        if at.root() != Root.of(fraction(margin.above)):
            raise UndecidedError
        distance = ZERO
    switch = abs(distance) if inner.switch is None else abs(distance).min(inner.switch)
    if distance > 0:
        return replace(inner, switch=switch)
    return Held(at.cosine, ONE, dict.fromkeys(inner.by_parameter, ZERO), _straight(0.0), switch)


@held.register
def _(margin: StraightThrough, at: Point) -> Held:
    return replace(held(margin.margin, at), by_cosine=ONE)


def _straight(offset: float) -> tuple[Line, ...]:
    """Return the line of f = offset + c."""
    return (lambda cosine: (fraction(offset), fmpq(1)),)


def _over_sine(numerator: Ball, at: Point, sign: Ball) -> Ball:
    """Return numerator/σ; at a pole the infinity of `sign`."""
    if not at.sine == 0:  # noqa: SIM201, for balls x != y is not the opposite of x == y
        return numerator / at.sine
    if not (sign > 0 or sign < 0):
        raise UndecidedError
    return arb.pos_inf() if sign > 0 else arb.neg_inf()


def _pieces(cosine: Ball, m: int) -> list[int]:
    """Return k, the number of kinks cos(jπ/m) that c has passed, or two of them where c may be on a kink.

    There both pieces agree in value and in slope, so their hull is as good as either and shrinks with more bits.
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
    return balls[0] if len(balls) == 1 else balls[0].union(balls[1])


def _chebyshev(c: Any, m: int) -> tuple[Any, Any]:
    """Return T_m(c) and U_{m-1}(c) of a ball or of a line, by doubling: it loses 2 log2(m) bits.

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
    """p + q c for rational p and q and a c whose square is rational: a number that is closed under + and times."""

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
