"""The additive angular margin, and what it becomes beyond θ + m = π."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import one_of, real_parameter
from svref.margins.angle import Angle
from svref.margins.base import Figures, Margin, inverse_sine, nowhere

Tail = Literal["raw", "linear", "plain", "reflect"]


@dataclass(frozen=True)
class _Piece:
    """One formula for f and its derivatives, as functions of (angle, m)."""

    value: Callable[[Angle, float], FloatArray]
    by_angle: Callable[[Angle, float], FloatArray]
    by_cosine: Callable[[Angle, float], FloatArray]
    by_m: Callable[[Angle, float], FloatArray]


def _raw_by_cosine(angle: Angle, m: float) -> FloatArray:
    """Return cos m + c sin m / σ (equation 26): the signed infinity at σ = 0, and 1 at m = 0."""
    if m == 0:
        return np.ones_like(angle.cosine)
    with np.errstate(divide="ignore"):
        return np.cos(m) + angle.cosine * np.sin(m) / angle.sine


_TAILS: dict[str, _Piece] = {
    "raw": _Piece(
        value=lambda a, m: a.plus(m)[0],
        by_angle=lambda a, m: -a.plus(m)[1],
        by_cosine=_raw_by_cosine,
        by_m=lambda a, m: -a.plus(m)[1],
    ),
    "linear": _Piece(
        value=lambda a, m: a.cosine - m * np.sin(m),
        by_angle=lambda a, m: -a.sine,
        by_cosine=lambda a, m: np.ones_like(a.cosine),
        by_m=lambda a, m: np.full_like(a.cosine, -(np.sin(m) + m * np.cos(m))),
    ),
    "plain": _Piece(
        value=lambda a, m: a.cosine,
        by_angle=lambda a, m: -a.sine,
        by_cosine=lambda a, m: np.ones_like(a.cosine),
        by_m=lambda a, m: np.zeros_like(a.cosine),
    ),
    "reflect": _Piece(
        value=lambda a, m: -2 - a.plus(m)[0],
        by_angle=lambda a, m: a.plus(m)[1],
        by_cosine=lambda a, m: -_raw_by_cosine(a, m),
        by_m=lambda a, m: a.plus(m)[1],
    ),
}


@dataclass(frozen=True)
class AdditiveAngle(Margin):
    r"""Additive angular margin (Arc-Softmax, ArcFace).

    .. math:: f(m, \theta) = \cos(\theta + m) = c \cos m - \sigma \sin m, \qquad c = \cos\theta,\ \sigma = \sin\theta

    Domain
        :math:`c \in [-1, 1]`. Smooth inside; :math:`df/dc \to \pm\infty` at :math:`c = \pm 1`, while
        :math:`df/d\theta = -\sin(\theta + m)` is finite everywhere.

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
        one_of("tail", self.tail, tuple(_TAILS))

    @property
    def angular(self) -> bool:
        """True: f and df/dm need an angle, also where m = 0 makes f the cosine itself."""
        return True

    def value(self, angle: Angle) -> FloatArray:
        """Return f = cos(θ + m), or its tail."""
        return self._pieced(angle, lambda piece: piece.value)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = sin(θ + m)/σ, or the tail's."""
        return self._pieced(angle, lambda piece: piece.by_cosine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -sin(θ + m), or the tail's."""
        return self._pieced(angle, lambda piece: piece.by_angle)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm = -sin(θ + m), or the tail's."""
        return {"m": self._pieced(angle, lambda piece: piece.by_m)}

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return the figures of the textbook form, which takes σ from the cosine; 1 + m more covers the tails."""
        c, inverse, m = np.abs(angle.cosine), inverse_sine(angle, u), self.m
        cos_m, sin_m = abs(math.cos(m)), math.sin(m)
        return Figures(
            value=1 + inverse + (m if self.tail == "linear" else 0.0),
            by_cosine=(cos_m + c * sin_m * inverse) * (1 + inverse**2) + 1,
            by_parameter={"m": c * sin_m + (angle.sine + inverse) * cos_m + 1 + m},
        )

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return the distance of c to -cos m, or infinity for the raw tail, which has no switch."""
        return nowhere(angle) if self.tail == "raw" else np.abs(angle.cosine + math.cos(self.m))

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return False: cos(θ + m) is transcendental, and at m = 0 the form through acos still rounds."""
        return np.zeros(angle.cosine.shape, dtype=bool)

    def _pieced(self, angle: Angle, quantity: Callable[[_Piece], Callable[[Angle, float], FloatArray]]) -> FloatArray:
        near = quantity(_TAILS["raw"])(angle, self.m)
        if self.tail == "raw":
            return near
        # sin(θ + m) < 0 is θ + m > π; unlike c < -cos m it still sees a small m next to θ = π
        beyond = angle.decide(angle.plus(self.m)[1] < 0, self.branch_gap(angle))
        return np.where(beyond, quantity(_TAILS[self.tail])(angle, self.m), near)
