"""The ball twin of each margin: f, its derivatives and its switches, each branch decided for certain.

Nothing here is shared with `svref.margins` but the names of the parameters. A new margin registers its twin with
``@held.register``; a test names the margin that has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import TypeAlias

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

Line: TypeAlias = Callable[[Root], tuple[Rational, Rational]]


@dataclass(frozen=True)
class Held:
    """A margin at one target, its branches decided and held.

    `line` returns the rationals (p, q) of f = p + q c; None where f is transcendental, so that it ties with no cosine.
    `switch` is the distance of c to the nearest switch at which f may jump, None without one. `by_cosine` is an
    infinity at a pole.
    """

    value: Ball
    by_cosine: Ball
    by_parameter: dict[str, Ball] = field(default_factory=dict)
    line: Line | None = None
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
    return Held(at.cosine, ONE, line=_straight(0.0))


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

    def line(cosine: Root) -> tuple[Rational, Rational]:
        p, q = _chebyshev_line(cosine, m)
        share = fraction(margin.annealing)
        return (signs[0] * p - 2 * pieces[0]) / (1 + share), (share + signs[0] * q) / (1 + share)

    return Held(value, slope, line=line)


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
            p, q = _chebyshev_line(cosine, int(margin.m1))
            return p - fraction(margin.m3), q

        return Held(t - m3, m1 * u, {**by_angle, "m3": -ONE}, line)
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


def _straight(offset: float) -> Line:
    """Return the line of f = offset + c."""
    return lambda cosine: (fraction(offset), fmpq(1))


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
            return [j - 1, j]
    return [m - 1]


def _hull(balls: list[Ball]) -> Ball:
    return balls[0] if len(balls) == 1 else balls[0].union(balls[1])


def _chebyshev(c: Ball, m: int) -> tuple[Ball, Ball]:
    """Return T_m(c) and U_{m-1}(c), both by X_{n+1} = 2c X_n - X_{n-1}."""
    t, t_next, u, u_next = ONE, c, ZERO, ONE
    for _ in range(m):
        t, t_next = t_next, 2 * c * t_next - t
        u, u_next = u_next, 2 * c * u_next - u
    return t, u


def _chebyshev_line(cosine: Root, m: int) -> tuple[Rational, Rational]:
    """Return the rationals (p, q) of T_m(c) = p + q c: one of them is 0, as T_m is even or odd."""
    before, now = (fmpq(1), fmpq(0)), (fmpq(0), fmpq(1))
    for _ in range(m):
        before, now = now, (2 * now[1] * cosine.square - before[0], 2 * now[0] - before[1])
    return before
