"""The three margins at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import real_parameter
from svref.margins.angle import Angle
from svref.margins.base import Figures, Margin, inverse_sine, nowhere


@dataclass(frozen=True)
class Combined(Margin):
    r"""Combined margin: multiplicative, additive angular and additive cosine at once.

    .. math:: f = \cos\varphi - m_3, \qquad \varphi = m_1 \theta + m_2

    Domain
        :math:`c \in [-1, 1]`; any finite cosine where :math:`m_1 = 1, m_2 = 0`. Beyond :math:`\varphi = \pi` the
        formula is kept as it is, so f turns back up. :math:`df/dc = m_1 \sin\varphi / \sigma` is a signed infinity
        at :math:`c = \pm 1` unless :math:`\sin\varphi = 0` there; then it is :math:`m_1^2` at c = 1 and
        :math:`(-1)^{m_1 + 1} m_1^2` at c = -1.

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
        return self._phi(angle)[0] - self.m3

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc = m1 sin φ / σ, its limit where σ = 0."""
        if not self.angular:
            return np.ones_like(angle.cosine)
        pole = angle.sine == 0
        sine = np.where(pole, 1.0, angle.sine)
        return np.where(pole, self._limit(angle.cosine), self.m1 * self._phi(angle)[1] / sine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -m1 sin φ."""
        return -self.m1 * self._phi(angle)[1]

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm1 = -θ sin φ, df/dm2 = -sin φ, df/dm3 = -1; the first two 0 where c is no cosine."""
        exists = np.abs(angle.cosine) <= 1
        sine = np.where(exists, self._phi(angle)[1], 0.0)
        theta = np.where(exists, angle.theta, 0.0)
        return {"m1": -theta * sine, "m2": -sine, "m3": -np.ones_like(sine)}

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return the figures of the form through acos: an error in θ of 1 + 1/σ, magnified m1 times."""
        one = np.ones_like(angle.cosine)
        inverse, sin_phi = (inverse_sine(angle, u), np.abs(self._phi(angle)[1])) if self.angular else (one, one)
        phi_error = 1 + self.m1 * (1 + inverse)
        slope = self.m1 * (self.m1 + sin_phi * inverse) * (1 + inverse**2)
        by_parameter = {"m1": math.pi * phi_error, "m2": phi_error, "m3": one}
        return Figures(phi_error + self.m3, slope, by_parameter)

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return infinity: f has no switch."""
        return nowhere(angle)

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return False: also where no angle is needed, the form through acos rounds."""
        return np.zeros(angle.cosine.shape, dtype=bool)

    def _phi(self, angle: Angle) -> tuple[FloatArray, FloatArray]:
        """Return cos φ and sin φ; at m1 = 1 by the addition theorem, which needs no angle."""
        if self.m1 == 1:
            return angle.plus(self.m2)
        phi = self.m1 * angle.theta + self.m2
        return np.cos(phi), np.sin(phi)

    def _limit(self, cosine: FloatArray) -> FloatArray:
        """Return df/dc at σ = 0: finite where sin φ vanishes with σ, else the signed infinity (equation 33)."""
        at_zero = self.m1**2 if self.m2 == 0 else math.inf
        turns = math.fmod(self.m1, 2)  # exact, so that the sign of sin(m1 π + m2) is right for the smallest m2
        if self.m2 == 0 and turns in (0, 1):
            at_pi = self.m1**2 * (1 if turns else -1)
        else:
            sine = math.sin(turns * math.pi + self.m2) if turns not in (0, 1) else (1 - 2 * turns) * self.m2
            at_pi = math.copysign(math.inf, sine)
        return np.where(cosine > 0, at_zero, at_pi)
