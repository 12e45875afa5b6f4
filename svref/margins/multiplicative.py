"""The multiplicative angular margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import integer_parameter, real_parameter
from svref.margins.angle import Angle
from svref.margins.base import Figures, Margin, inverse_sine, nowhere


@dataclass(frozen=True)
class MultiplicativeAngle(Margin):
    r"""Multiplicative angular margin (A-Softmax, SphereFace).

    .. math:: f = \frac{\lambda c + \psi}{1 + \lambda}, \qquad \psi = (-1)^k \cos(m\theta) - 2k = (-1)^k T_m(c) - 2k,
              \qquad \theta \in \left[\tfrac{k\pi}{m}, \tfrac{(k+1)\pi}{m}\right]

    Domain
        :math:`c \in [-1, 1]`; continuously differentiable in c, the kinks and both poles included:
        :math:`\psi'(\pm 1) = m^2`. At :math:`\theta = \pi` the last piece, k = m - 1, holds.

    Parameters
    ----------
    m : int
        Multiple of the angle, from 1 to 1000.
    annealing : float
        λ, at least 0: how much of the plain cosine is mixed in. 0 is the paper's margin; a training schedule
        belongs outside.

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

    @property
    def angular(self) -> bool:
        """True: the margin is about an angle, also where m = 1 makes f the cosine itself."""
        return True

    def value(self, angle: Angle) -> FloatArray:
        """Return f = (λ c + ψ)/(1 + λ)."""
        k = self._piece(angle)
        psi = (1 - 2 * (k % 2)) * _chebyshev(angle.cosine, self.m)[0] - 2 * k
        return (self.annealing * angle.cosine + psi) / (1 + self.annealing)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = (λ + ψ')/(1 + λ), ψ' = (-1)^k m U_{m-1}(c)."""
        k = self._piece(angle)
        psi_slope = (1 - 2 * (k % 2)) * self.m * _chebyshev(angle.cosine, self.m)[1]
        return (self.annealing + psi_slope) / (1 + self.annealing)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -σ df/dc."""
        return -angle.sine * self.by_cosine(angle)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return nothing: m is an integer."""
        return {}

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return fs = 1 + 4m, F' = 1 + (λ + 4m²(1 + 1/σ²))/(1 + λ): the textbook form goes through acos."""
        m, lam = self.m, self.annealing
        slope = 4 * m**2 * (1 + inverse_sine(angle, u) ** 2)
        return Figures(np.full_like(angle.cosine, 1 + 4 * m), (lam + slope) / (1 + lam) + 1)

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return infinity: at the kinks both pieces agree in value and slope."""
        return nowhere(angle)

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return False: ψ may be a number of few digits, yet the form through acos rounds it."""
        return np.zeros(angle.cosine.shape, dtype=bool)

    def _piece(self, angle: Angle) -> FloatArray:
        """Return k, the number of kinks cos(jπ/m), 0 < j < m, that c has passed; m - 1 at θ = π."""
        kinks = [math.cos(j * math.pi / self.m) for j in range(1, self.m)]
        passed = [angle.cosine <= kink for kink in kinks]
        return np.sum(passed, axis=0, dtype=np.float64) if passed else np.zeros_like(angle.cosine)


def _chebyshev(c: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
    """Return T_m(c) and U_{m-1}(c) by T_n = c T_{n-1} - σ² U_{n-2}, U_{n-1} = T_{n-1} + c U_{n-2}; no acos."""
    first, second = c, np.ones_like(c)
    sine_squared = (1 - c) * (1 + c)
    for _ in range(m - 1):
        first, second = c * first - sine_squared * second, first + c * second
    return first, second
