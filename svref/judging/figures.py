"""How far rounding may carry each margin: the figures that tolerances are made of.

Three questions are asked of a margin. `figures`: how large are the errors of f and of its derivatives, in units of
the unit roundoff u, in the formulations people write? `branch_gap`: how far is the cosine from a switch at which f may
jump? `is_exact`: does every formulation get f without any rounding? The answers describe other people's code, not
svref's own, so they stand here and not in the margins. Section 7.3 of docs/explanation/rounding.md derives them. As
there, f_s is the error of f, F' that of df/dc, F_m that of df/dm, and 1/σ is `inverse_sine`.

A margin of your own needs ``figures.register``. If f has a switch, or is exact for numbers of few digits, it needs
``branch_gap.register`` or ``is_exact.register`` as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.formats import format_of
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Angle,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)


@dataclass(frozen=True, eq=False)
class Figures:
    """How far rounding may carry a margin, in units of the unit roundoff u (docs/explanation/rounding.md, 7.3).

    Parameters
    ----------
    value : array, shape (B,)
        f_s, the error of f.
    by_cosine : array, shape (B,)
        F', the error of df/dc.
    by_parameter : dict of arrays, shape (B,)
        F_m, the error of df/dm, by parameter name.
    """

    value: FloatArray
    by_cosine: FloatArray
    by_parameter: dict[str, FloatArray] = field(default_factory=dict)


# ---- the errors of f and its derivatives -------------------------------------------------------------------------


@singledispatch
def figures(margin: Margin, angle: Angle, u: float) -> Figures:
    """Return the figures of a margin for a computation with the unit roundoff `u`."""
    raise TypeError(_unknown("figures", margin))


@figures.register
def _(margin: NoMargin, angle: Angle, u: float) -> Figures:
    """f_s = F' = 1."""
    one = np.ones_like(angle.cosine)
    return Figures(one, one)


@figures.register
def _(margin: AdditiveCosine, angle: Angle, u: float) -> Figures:
    """f_s = F' = F_m = 1."""
    one = np.ones_like(angle.cosine)
    return Figures(one, one, {"m": one})


@figures.register
def _(margin: AdditiveAngle, angle: Angle, u: float) -> Figures:
    """f_s = 1 + 1/σ, and m more for the linear tail: the textbook form takes σ from the cosine, with an error of 1/σ.

    The last 1 of F' and the last 1 + m of F_m cover the tails.
    """
    c, inverse, m = np.abs(angle.cosine), inverse_sine(angle, u), margin.m
    cos_m, sin_m = abs(math.cos(m)), math.sin(m)
    return Figures(
        value=1 + inverse + (m if margin.tail == "linear" else 0.0),
        by_cosine=(cos_m + c * sin_m * inverse) * (1 + inverse**2) + 1,
        by_parameter={"m": c * sin_m + (angle.sine + inverse) * cos_m + 1 + m},
    )


@figures.register
def _(margin: MultiplicativeAngle, angle: Angle, u: float) -> Figures:
    """f_s = 1 + 4m, F' = 1 + (λ + 4m²(1 + 1/σ²))/(1 + λ): the textbook form goes through acos."""
    m, lam = margin.m, margin.annealing
    slope = 4 * m**2 * (1 + inverse_sine(angle, u) ** 2)
    return Figures(np.full_like(angle.cosine, 1 + 4 * m), (lam + slope) / (1 + lam) + 1)


@figures.register
def _(margin: Combined, angle: Angle, u: float) -> Figures:
    """φ = m1 θ + m2 has the error E = max(1, φ) + m1 (1 + 1/σ): one rounding, and m1 times that of θ from acos.

    sin φ has the error E too, also where it is near 0. So f' = m1 sin φ/σ is off by m1 E/σ, and by the relative error
    1 + 1/σ² of 1/σ. At m1 = 1, m2 = 0 no angle is needed, f = c - m3 and f' = 1.
    """
    one = np.ones_like(angle.cosine)
    if not margin.angular:
        return Figures(3 + margin.m3 * one, 4 * one, {"m1": 3 * math.pi * one, "m2": 3 * one, "m3": one})
    inverse, sin_phi, m1 = inverse_sine(angle, u), np.abs(margin.sin_phi(angle)), margin.m1
    phi_error = np.maximum(1, m1 * angle.theta + margin.m2) + m1 * (1 + inverse)
    slope = m1 * (m1 + phi_error * inverse + sin_phi * inverse * (1 + inverse**2))
    return Figures(phi_error + margin.m3, slope, {"m1": math.pi * phi_error, "m2": phi_error, "m3": one})


@figures.register
def _(margin: EasyMargin, angle: Angle, u: float) -> Figures:
    """The figures of the margin inside where it applies; elsewhere f_s = F' = 1, those of the plain cosine.

    Within rounding of the threshold both sides are right, and each is judged by the figures of its own side. F_m is
    that of the margin inside on both: where the margin is off, df/dm is 0 without any error.
    """
    inside, applies = figures(margin.margin, angle, u), margin.applies(angle)
    value, slope = np.where(applies, inside.value, 1.0), np.where(applies, inside.by_cosine, 1.0)
    return Figures(value, slope, inside.by_parameter)


@figures.register
def _(margin: StraightThrough, angle: Angle, u: float) -> Figures:
    """The figures of the margin inside, with F' = 1."""
    inside = figures(margin.margin, angle, u)
    return Figures(inside.value, np.ones_like(inside.value), inside.by_parameter)


def inverse_sine(angle: Angle, u: float) -> FloatArray:
    """Return 1/σ, but at most u^-1/2: no formulation gets a sine below u^1/2 from a rounded cosine.

    At c = ±1 it is 0, because every formulation finds σ = 0 there and no error is magnified.
    """
    return np.where(angle.sine == 0, 0.0, 1 / np.fmax(angle.sine, np.sqrt(u)))


def widest(margin: Margin, angle: Angle, u: float) -> FloatArray:
    """Return f_s, (B,), with each easy margin taken either way: the larger of the two sides.

    It is for bands around a switch, where rounding decides which side holds.
    """
    match margin:
        case EasyMargin(inside, _):
            return np.maximum(widest(inside, angle, u), 1)
        case StraightThrough(inside):
            return widest(inside, angle, u)
    return figures(margin, angle, u).value


@singledispatch
def steepness(margin: Margin, angle: Angle, u: float) -> FloatArray:
    """Return what an error of the cosine does to f, |df/dc|, (B,), but at most u^-1/2.

    The cap is for a pole, where the working precision cannot tell it from its neighbours.
    """
    return np.minimum(np.abs(margin.by_cosine(angle)), u**-0.5)


@steepness.register
def _(margin: MultiplicativeAngle, angle: Angle, u: float) -> FloatArray:
    """(λ + |ψ'|)/(1 + λ), with no cap: it is at most m²."""
    m, lam = margin.m, margin.annealing
    slope = np.abs((1 + lam) * margin.by_cosine(angle) - lam)
    return (lam + np.minimum(slope + _curved(m, angle, u), m**2)) / (1 + lam)


@steepness.register
def _(margin: Combined, angle: Angle, u: float) -> FloatArray:
    """|df/dc|, but at most m1 u^-1/2: φ turns m1 times as fast as θ."""
    slope = np.abs(margin.by_cosine(angle)) + (_curved(margin.m1, angle, u) if margin.angular else 0.0)
    return np.minimum(slope, max(1.0, margin.m1) * u**-0.5)


@steepness.register
def _(margin: EasyMargin, angle: Angle, u: float) -> FloatArray:
    """That of the margin inside where it applies, else 1."""
    return np.where(margin.applies(angle), steepness(margin.margin, angle, u), 1.0)


@steepness.register
def _(margin: StraightThrough, angle: Angle, u: float) -> FloatArray:
    """That of the margin inside: the slope 1 of the backward pass is not that of the value."""
    return steepness(margin.margin, angle, u)


def _curved(m: float, angle: Angle, u: float) -> FloatArray:
    """Return how much steeper cos(m θ) may be at an angle as rounded: where m is large, sin(m θ) has no digits there.

    θ has errors of up to 32 u/σ, that of a dot product of 1024 components, so sin(m θ) one of 32 m u/σ, and the slope
    m sin(m θ)/σ moves by m/σ times that.
    """
    inverse = inverse_sine(angle, u)
    return m * inverse * np.minimum(1.0, 32 * m * u * inverse)


# ---- the distance to a switch ------------------------------------------------------------------------------------


@singledispatch
def branch_gap(margin: Margin, angle: Angle) -> FloatArray:
    """Return the distance of c to the nearest switch at which f may jump, (B,); infinite without one.

    Where two pieces of ψ meet is no switch: they agree there in value and slope.
    """
    return np.full(angle.cosine.shape, np.inf)


@branch_gap.register
def _(margin: AdditiveAngle, angle: Angle) -> FloatArray:
    """The distance to c = -cos m, which is θ + m = π; the raw tail has no switch."""
    distance = np.abs(angle.cosine + math.cos(margin.m))
    return np.full_like(distance, np.inf) if margin.tail == "raw" else distance


@branch_gap.register
def _(margin: EasyMargin, angle: Angle) -> FloatArray:
    """The distance to the threshold, or to a switch of the margin inside if that is nearer, even where it is off."""
    return np.minimum(np.abs(angle.cosine - margin.above), branch_gap(margin.margin, angle))


@branch_gap.register
def _(margin: StraightThrough, angle: Angle) -> FloatArray:
    """The distance to a switch of the margin inside."""
    return branch_gap(margin.margin, angle)


# ---- values without any rounding ---------------------------------------------------------------------------------


@singledispatch
def is_exact(margin: Margin, angle: Angle, dtype: DTypeLike) -> BoolArray:
    """Return where f and what it is computed from fit in half the digits of `dtype`, so that no formulation rounds.

    False for margins of an angle: also where their f is the cosine itself, the form through acos rounds.
    """
    return np.zeros(angle.cosine.shape, dtype=bool)


@is_exact.register
def _(margin: NoMargin, angle: Angle, dtype: DTypeLike) -> BoolArray:
    """True where c has few digits."""
    return few_digits(angle.cosine, dtype)


@is_exact.register
def _(margin: AdditiveCosine, angle: Angle, dtype: DTypeLike) -> BoolArray:
    """True where c and m have few digits, so that f = c - m is exact."""
    return few_digits(angle.cosine, dtype) & few_digits(margin.m, dtype)


@is_exact.register
def _(margin: EasyMargin, angle: Angle, dtype: DTypeLike) -> BoolArray:
    """True where the margin is off and c has few digits, or where it applies and is exact."""
    applies = margin.applies(angle)
    return np.where(applies, is_exact(margin.margin, angle, dtype), few_digits(angle.cosine, dtype))


@is_exact.register
def _(margin: StraightThrough, angle: Angle, dtype: DTypeLike) -> BoolArray:
    """True where the margin inside is exact."""
    return is_exact(margin.margin, angle, dtype)


def few_digits(values: FloatArray | float, dtype: DTypeLike) -> BoolArray:
    """Return where `values` have at most half the binary digits of `dtype` on either side of the binary point.

    Sums and scaled copies of such numbers are exact in any order, so all implementations agree on whether c_k = f.
    """
    half = 2.0 ** ((format_of(dtype).digits - 1) // 2)
    scaled = np.asarray(values, dtype=np.float64) * half
    return np.asarray((scaled == np.rint(scaled)) & (np.abs(scaled) < half**2))


def _unknown(name: str, margin: object) -> str:
    """Return the message about a margin for which nothing is registered."""
    return (
        f"svref knows no rounding {name} of {type(margin).__name__}, so results of it cannot be judged. "
        f"Register them: @svref.judging.figures.{name}.register."
    )
