r"""f(m, θ_y), the target's cosine after the margin, and its derivatives: one class a margin.

Each margin is four short methods side by side, its value f and df/dc, df/dθ, df/dm, and a flag, whether it needs an
angle. The margins of the papers come first: none, additive cosine (AM), additive angle (Arc), multiplicative angle (A),
combined. Two wrappers around a margin follow: the easy margin and the straight-through gradient of public code.
Equations 4 and 22 to 35 of docs/explanation/derivation.md.

A margin works on B targets at once and returns float64 arrays (B,). It knows both df/dc and df/dθ. df/dc is what the
gradient by the cosines needs, but it may be infinite at c = ±1. df/dθ = -σ df/dc is finite everywhere, which the head
uses.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import integer_parameter, one_of, real_parameter

Tail = Literal["raw", "linear", "plain", "reflect"]
TAILS: tuple[Tail, ...] = ("raw", "linear", "plain", "reflect")


@dataclass(frozen=True, eq=False)
class Angle:
    r"""The target's angle, by its cosine and its sine.

    .. math:: c = \cos\theta, \qquad \sigma = \sin\theta = \sqrt{(1 - c)(1 + c)}

    Both are kept because a rounded cosine does not know the sine near c = ±1: cos(1e-9) is 1 in float64. From cosines
    the sine is computed (equation 4); the head measures it on the two vectors.

    Parameters
    ----------
    cosine : array of float64, shape (B,)
        :math:`\cos\theta`; outside [-1, 1] only for margins that are not angular, and the sine is then NaN.
    sine : array of float64, shape (B,)
        :math:`\sin\theta \ge 0`.
    reach : array of float64, shape (B,), optional
        For judges. A row whose cosine is within `reach` of a switch of f (a tail, an easy margin) takes the opposite
        side of it: rounding may carry such a cosine over the switch, so that both sides are right.
    """

    cosine: FloatArray
    sine: FloatArray
    reach: FloatArray | None = None

    @classmethod
    def from_cosine(cls, cosine: ArrayLike, reach: FloatArray | None = None) -> Angle:
        """Return the angles of cosines, float64 (equation 4); (1 - c)(1 + c) keeps the digits that 1 - c*c cancels."""
        c = np.asarray(cosine, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            return cls(c, np.sqrt((1 - c) * (1 + c)), reach)

    @property
    def theta(self) -> FloatArray:
        """The angle θ in radians, in [0, π], accurate at both ends."""
        return np.arctan2(self.sine, self.cosine)

    def cos_plus(self, m: float) -> FloatArray:
        """Return cos(θ + m) = c cos m - σ sin m (equation 24); at m = 0 the cosine itself."""
        return self.cosine if m == 0 else self.cosine * np.cos(m) - self.sine * np.sin(m)

    def sin_plus(self, m: float) -> FloatArray:
        """Return sin(θ + m) = σ cos m + c sin m (equation 24); at m = 0 the sine itself."""
        return self.sine if m == 0 else self.sine * np.cos(m) + self.cosine * np.sin(m)

    def decide(self, condition: BoolArray, distance: FloatArray) -> BoolArray:
        """Return `condition`, inverted where the cosine's `distance` to the switch is within reach."""
        return condition if self.reach is None else condition ^ (distance <= self.reach)


class Margin(ABC):
    """The margin function f(m, θ_y): the target's cosine after the margin, and its derivatives.

    The methods take an `Angle` of B targets and return float64 arrays (B,). A margin of your own is a frozen dataclass
    with these four and `angular`. To judge implementations of it, register its rounding errors in
    `svref.judging.figures`.
    """

    @property
    @abstractmethod
    def angular(self) -> bool:
        """Whether the margin needs an angle, hence cosines in [-1, 1]."""

    @abstractmethod
    def value(self, angle: Angle) -> FloatArray:
        """Return f."""

    @abstractmethod
    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc, with the signed infinity where it is infinite."""

    @abstractmethod
    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -σ df/dc, or its limit where df/dc is infinite: finite everywhere."""

    @abstractmethod
    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm by the name of each parameter m, m1, m2, m3; empty without one."""


# ---- margins in cosine units: equations 22 and 23 ----------------------------------------------------------------


@dataclass(frozen=True)
class NoMargin(Margin):
    r"""No margin: the plain cosine (Softmax, SV-Softmax).

    .. math:: f(\theta) = \cos\theta = c

    Domain
        Any finite cosine, also logits beyond [-1, 1].
    Equals
        `AdditiveCosine`, `AdditiveAngle` at ``m = 0``; `MultiplicativeAngle` at ``m = 1``.

    References
    ----------
        Wang et al., Support Vector Guided Softmax Loss for Face Recognition, arXiv:1812.11317.
    """

    angular = False  # any finite cosine has a value

    def value(self, angle: Angle) -> FloatArray:
        """Return f = c (equation 22)."""
        return angle.cosine

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = 1."""
        return np.ones_like(angle.cosine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -σ."""
        return -angle.sine

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return nothing: there is no parameter."""
        return {}


@dataclass(frozen=True)
class AdditiveCosine(Margin):
    r"""Additive cosine margin (AM-Softmax, CosFace).

    .. math:: f(m, \theta) = \cos\theta - m = c - m

    Domain
        Any finite cosine, also logits beyond [-1, 1].

    Parameters
    ----------
    m : float
        Margin in cosine units, at least 0. The float64 value counts, not the decimal it was typed as.

    Raises
    ------
    ValueError, TypeError
        If `m` is negative, not finite or not a real number.

    Equals
        `NoMargin` at ``m = 0``.

    References
    ----------
        Wang et al., Additive Margin Softmax for Face Verification, arXiv:1801.05599;
        Wang et al., CosFace, CVPR 2018.
    """

    m: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "m", real_parameter("m", self.m, 0.0))

    angular = False  # any finite cosine has a value

    def value(self, angle: Angle) -> FloatArray:
        """Return f = c - m (equation 23)."""
        return angle.cosine - self.m

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = 1."""
        return np.ones_like(angle.cosine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -σ."""
        return -angle.sine

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm = -1."""
        return {"m": -np.ones_like(angle.cosine)}


# ---- the additive angle, and what it becomes beyond θ + m = π: equations 24 to 27 --------------------------------


@dataclass(frozen=True)
class AdditiveAngle(Margin):
    r"""Additive angular margin (Arc-Softmax, ArcFace).

    .. math:: f(m, \theta) = \cos(\theta + m) = c \cos m - \sigma \sin m, \qquad c = \cos\theta,\ \sigma = \sin\theta

    Domain
        :math:`c \in [-1, 1]`. For m > 0, :math:`df/dc` is :math:`+\infty` at c = 1. At c = -1 it is :math:`-\infty`
        for the tail "raw", 1 for "linear" and "plain", :math:`+\infty` for "reflect". :math:`df/d\theta` is finite
        everywhere.

    Parameters
    ----------
    m : float
        Margin in radians, :math:`0 \le m < \pi`. The float64 value counts, not the decimal it was typed as.
    tail : {"raw", "linear", "plain", "reflect"}
        What f is where :math:`\theta + m > \pi`: "raw", the paper's formula, turns back up; "linear" is
        :math:`c - m \sin m`; "plain" is :math:`c`; "reflect" is :math:`-2 - \cos(\theta + m)`, the smooth one.

    Raises
    ------
    ValueError, TypeError
        If `m` lies outside [0, π) or `tail` is unknown.

    Equals
        `NoMargin` at ``m = 0``; `Combined` at ``m1 = 1, m2 = m, m3 = 0``.

    References
    ----------
        Deng et al., ArcFace, CVPR 2019, section 3.1. The "linear" tail stands in code only (`th`, `mm`).
    """

    m: float
    tail: Tail = "raw"

    def __post_init__(self) -> None:
        object.__setattr__(self, "m", real_parameter("m", self.m, 0.0, math.pi))
        one_of("tail", self.tail, TAILS)

    angular = True  # also at m = 0, where f is the cosine itself: df/dm needs the angle

    def value(self, angle: Angle) -> FloatArray:
        """Return f = cos(θ + m); where θ + m > π, linear: c - m sin m, plain: c, reflect: -2 - cos(θ + m)."""
        c, m, f = angle.cosine, self.m, angle.cos_plus(self.m)
        return self._with_tail(angle, f, linear=c - m * np.sin(m), plain=c, reflect=-2 - f)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = cos m + c sin m/σ (equation 26); where θ + m > π, linear, plain: 1, reflect: its opposite."""
        with np.errstate(divide="ignore"):  # at σ = 0 the signed infinity, which is the limit
            steep = np.cos(self.m) + angle.cosine * np.sin(self.m) / angle.sine if self.m else np.ones_like(angle.sine)
        return self._with_tail(angle, steep, linear=1.0, plain=1.0, reflect=-steep)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -sin(θ + m) (equation 25); where θ + m > π, linear, plain: -σ, reflect: sin(θ + m)."""
        sine = angle.sin_plus(self.m)
        return self._with_tail(angle, -sine, linear=-angle.sine, plain=-angle.sine, reflect=sine)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm = -sin(θ + m); where θ + m > π, linear: -(sin m + m cos m), plain: 0, reflect: sin(θ + m)."""
        m, sine = self.m, angle.sin_plus(self.m)
        return {"m": self._with_tail(angle, -sine, linear=-(np.sin(m) + m * np.cos(m)), plain=0.0, reflect=sine)}

    def _with_tail(self, angle: Angle, paper: FloatArray, **beyond: FloatArray | float) -> FloatArray:
        """Return the paper's formula where θ + m <= π, and the one named by `tail` beyond (equation 27)."""
        if self.tail == "raw":
            return paper
        # sin(θ + m) < 0 is θ + m > π. Unlike c < -cos m, it is right for a small m next to θ = π.
        is_beyond = angle.decide(angle.sin_plus(self.m) < 0, np.abs(angle.cosine + math.cos(self.m)))
        return np.where(is_beyond, beyond[self.tail], paper)


# ---- the multiplicative angle: equations 28 to 31 ----------------------------------------------------------------


@dataclass(frozen=True)
class MultiplicativeAngle(Margin):
    r"""Multiplicative angular margin (A-Softmax, SphereFace).

    .. math:: f = \frac{\lambda c + \psi}{1 + \lambda}, \qquad \psi = (-1)^k \cos(m\theta) - 2k = (-1)^k T_m(c) - 2k,
              \qquad \theta \in \left[\tfrac{k\pi}{m}, \tfrac{(k+1)\pi}{m}\right]

    Domain
        :math:`c \in [-1, 1]`; continuously differentiable in c, also where two pieces meet and at both ends:
        :math:`\psi'(\pm 1) = m^2`. At :math:`\theta = \pi` the last piece, k = m - 1, holds.

    Parameters
    ----------
    m : int
        Multiple of the angle, from 1 to 1000.
    annealing : float
        λ, at least 0: how much of the plain cosine is mixed in. 0 is the paper's margin. To change λ over a training,
        make a new margin for each value; there is no derivative by it.

    Raises
    ------
    ValueError, TypeError
        If `m` is not an integer from 1 to 1000 or `annealing` is negative.

    Equals
        `NoMargin` at ``m = 1``, and in the limit of a large `annealing`.

    References
    ----------
        Liu et al., SphereFace, CVPR 2017, section 3.2.
    """

    m: int
    annealing: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "m", integer_parameter("m", self.m, 1, 1000))
        object.__setattr__(self, "annealing", real_parameter("annealing", self.annealing, 0.0))

    angular = True  # also at m = 1, where f is the cosine itself

    def value(self, angle: Angle) -> FloatArray:
        """Return f = (λ c + ψ)/(1 + λ), ψ = (-1)^k T_m(c) - 2k."""
        sign, k = self._piece(angle)
        psi = sign * chebyshev(angle.cosine, self.m)[0] - 2 * k  # (28)
        return (self.annealing * angle.cosine + psi) / (1 + self.annealing)  # (31)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = (λ + ψ')/(1 + λ), ψ' = (-1)^k m U_{m-1}(c)."""
        sign, _ = self._piece(angle)
        slope = sign * self.m * chebyshev(angle.cosine, self.m)[1]  # (30)
        return (self.annealing + slope) / (1 + self.annealing)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -σ df/dc."""
        return -angle.sine * self.by_cosine(angle)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return nothing: m is an integer."""
        return {}

    def _piece(self, angle: Angle) -> tuple[FloatArray, FloatArray]:
        """Return (-1)^k and the piece k: how many ends of pieces cos(jπ/m), 0 < j < m, are at or above c."""
        k = np.zeros_like(angle.cosine)
        for j in range(1, self.m):
            k += angle.cosine <= math.cos(j * math.pi / self.m)
        return 1 - 2 * (k % 2), k


def chebyshev(c: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
    """Return T_m(c) = cos mθ and U_{m-1}(c) = sin mθ/sin θ, without an angle (equation 29).

    T_n = c T_{n-1} - σ² U_{n-2} and U_{n-1} = T_{n-1} + c U_{n-2}. Each step turns the pair by θ, so rounding errors of
    the steps add up and are not magnified.
    """
    cos, sin_over_sine = c, np.ones_like(c)
    sine_squared = (1 - c) * (1 + c)
    for _ in range(m - 1):
        cos, sin_over_sine = c * cos - sine_squared * sin_over_sine, cos + c * sin_over_sine
    return cos, sin_over_sine


# ---- all three at once: equations 32 and 33 ----------------------------------------------------------------------


@dataclass(frozen=True)
class Combined(Margin):
    r"""Combined margin: multiplicative, additive angular and additive cosine at once.

    .. math:: f = \cos\varphi - m_3, \qquad \varphi = m_1 \theta + m_2

    Domain
        :math:`c \in [-1, 1]`; any finite cosine where :math:`m_1 = 1, m_2 = 0`. Beyond :math:`\varphi = \pi` the
        formula is kept as it is, so f turns back up. :math:`df/dc = m_1 \sin\varphi / \sigma` is a signed infinity
        at :math:`c = \pm 1`, but for two limits: :math:`m_1^2` at c = 1 if :math:`m_2 = 0`, and
        :math:`(-1)^{m_1 + 1} m_1^2` at c = -1 if :math:`m_2 = 0` and :math:`m_1` is an integer.

    Parameters
    ----------
    m1 : float
        Multiple of the angle, above 0; 1 is neutral.
    m2 : float
        Addition to the angle in radians, :math:`0 \le m_2 < \pi`; 0 is neutral.
    m3 : float
        Subtraction from the cosine, at least 0; 0 is neutral.

    Raises
    ------
    ValueError, TypeError
        If a parameter lies outside its range.

    Equals
        `NoMargin` at (1, 0, 0), `AdditiveCosine` at (1, 0, m), `AdditiveAngle` at (1, m, 0).

    References
    ----------
        Deng et al., ArcFace, CVPR 2019, section 3.1, the united framework.
    """

    m1: float = 1.0
    m2: float = 0.0
    m3: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "m1", real_parameter("m1", self.m1, 0.0, open_low=True))
        object.__setattr__(self, "m2", real_parameter("m2", self.m2, 0.0, math.pi))
        object.__setattr__(self, "m3", real_parameter("m3", self.m3, 0.0))

    @property
    def angular(self) -> bool:
        """True unless m1 = 1 and m2 = 0."""
        return self.m1 != 1 or self.m2 != 0

    def value(self, angle: Angle) -> FloatArray:
        """Return f = cos φ - m3."""
        return self.cos_phi(angle) - self.m3

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = m1 sin φ / σ (equation 32), its limit where σ = 0; 1 at m1 = 1, m2 = 0."""
        if not self.angular:
            return np.ones_like(angle.cosine)
        at_end = angle.sine == 0
        sine = np.where(at_end, 1.0, angle.sine)
        return np.where(at_end, self._limit(angle.cosine), self.m1 * self.sin_phi(angle) / sine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -m1 sin φ."""
        return -self.m1 * self.sin_phi(angle)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm1 = -θ sin φ, df/dm2 = -sin φ, df/dm3 = -1; the first two are 0 where abs c > 1."""
        exists = np.abs(angle.cosine) <= 1
        sine, theta = np.where(exists, self.sin_phi(angle), 0.0), np.where(exists, angle.theta, 0.0)
        return {"m1": -theta * sine, "m2": -sine, "m3": -np.ones_like(sine)}

    def cos_phi(self, angle: Angle) -> FloatArray:
        """Return cos φ; at m1 = 1 by the addition theorem, which needs no angle."""
        return angle.cos_plus(self.m2) if self.m1 == 1 else np.cos(self.m1 * angle.theta + self.m2)

    def sin_phi(self, angle: Angle) -> FloatArray:
        """Return sin φ; at m1 = 1 by the addition theorem, which needs no angle."""
        return angle.sin_plus(self.m2) if self.m1 == 1 else np.sin(self.m1 * angle.theta + self.m2)

    def _limit(self, cosine: FloatArray) -> FloatArray:
        """Return df/dc at σ = 0: finite where sin φ vanishes with σ, else the signed infinity (equation 33)."""
        at_zero = self.m1**2 if self.m2 == 0 else math.inf
        turns = math.fmod(self.m1, 2)  # m1 π less whole turns of 2π; exact, so the sign is right for a tiny m2 too
        if self.m2 == 0 and turns in (0, 1):
            at_pi = self.m1**2 * (1 if turns else -1)
        else:
            sine = math.sin(turns * math.pi + self.m2) if turns not in (0, 1) else (1 - 2 * turns) * self.m2
            at_pi = math.copysign(math.inf, sine)
        return np.where(cosine > 0, at_zero, at_pi)


# ---- around a margin: equations 34 and 35 ------------------------------------------------------------------------


@dataclass(frozen=True)
class EasyMargin(Margin):
    r"""Easy margin: the margin only where the target's cosine is above a threshold.

    .. math:: f_{easy} = f \text{ where } c > above, \qquad f_{easy} = c \text{ elsewhere, where } df_{easy}/dm = 0

    Domain
        That of `margin`. f jumps at c = above.

    Parameters
    ----------
    margin : Margin
        The margin f to apply.
    above : float
        The threshold in cosine units, 0 in most code, m in some.

    Raises
    ------
    ValueError, TypeError
        If `margin` is not a margin or `above` not a real number.

    Equals
        For cosines in [-1, 1]: `margin` for ``above < -1``, `NoMargin` for ``above >= 1``.

    References
    ----------
        None: it stands in public code only, for example as the default of the official SV-X-Softmax release.
    """

    margin: Margin
    above: float = 0.0

    def __post_init__(self) -> None:
        _check_margin(self.margin)
        object.__setattr__(self, "above", real_parameter("above", self.above, -math.inf, open_low=True))

    @property
    def angular(self) -> bool:
        """Whether `margin` is."""
        return self.margin.angular

    def value(self, angle: Angle) -> FloatArray:
        """Return f where the margin applies, else c (equation 34)."""
        return np.where(self.applies(angle), self.margin.value(angle), angle.cosine)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc where the margin applies, else 1."""
        return np.where(self.applies(angle), self.margin.by_cosine(angle), 1.0)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ where the margin applies, else -σ."""
        return np.where(self.applies(angle), self.margin.by_angle(angle), -angle.sine)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm where the margin applies, else 0."""
        applies = self.applies(angle)
        return {name: np.where(applies, d, 0.0) for name, d in self.margin.by_parameter(angle).items()}

    def applies(self, angle: Angle) -> BoolArray:
        """Return where the margin applies: c > above."""
        return angle.decide(angle.cosine > self.above, np.abs(angle.cosine - self.above))


@dataclass(frozen=True)
class StraightThrough(Margin):
    r"""Straight-through margin: the value of f, but the slope of the plain cosine.

    .. math:: f_{st} = f, \qquad df_{st}/dc := 1, \qquad df_{st}/d\theta := -\sigma

    Its backward is deliberately not the derivative of its forward; `df/dm` is that of `margin`.

    Domain
        That of `margin`.

    Parameters
    ----------
    margin : Margin
        The margin whose value is kept.

    Raises
    ------
    TypeError
        If `margin` is not a margin.

    Equals
        `margin` itself for `NoMargin` and `AdditiveCosine`.

    References
    ----------
        None: it stands in public code that applies acos and cos in place without gradient.
    """

    margin: Margin

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    @property
    def angular(self) -> bool:
        """Whether `margin` is."""
        return self.margin.angular

    def value(self, angle: Angle) -> FloatArray:
        """Return f, unchanged."""
        return self.margin.value(angle)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return 1 in place of df/dc (equation 35)."""
        return np.ones_like(angle.cosine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return -σ in place of df/dθ."""
        return -angle.sine

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm."""
        return self.margin.by_parameter(angle)


def _check_margin(margin: object) -> None:
    """Raise a TypeError unless `margin` is a margin."""
    if not isinstance(margin, Margin):
        raise TypeError(f"margin must be a margin object such as AdditiveAngle(0.5); got {margin!r}.")
