"""Margins in cosine units: none, and the additive cosine margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import real_parameter
from svref.margins.angle import Angle
from svref.margins.base import Figures, Margin, few_digits, nowhere


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

    @property
    def angular(self) -> bool:
        """False: any finite cosine has a value."""
        return False

    def value(self, angle: Angle) -> FloatArray:
        """Return f = c."""
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

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return fs = F' = 1."""
        one = np.ones_like(angle.cosine)
        return Figures(one, one)

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return infinity: f has no switch."""
        return nowhere(angle)

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return where c has few digits."""
        return few_digits(angle.cosine, dtype)


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

    @property
    def angular(self) -> bool:
        """False: any finite cosine has a value."""
        return False

    def value(self, angle: Angle) -> FloatArray:
        """Return f = c - m."""
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

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return fs = F' = F_m = 1."""
        one = np.ones_like(angle.cosine)
        return Figures(one, one, {"m": one})

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return infinity: f has no switch."""
        return nowhere(angle)

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return where c and m have few digits."""
        return few_digits(angle.cosine, dtype) & few_digits(self.m, dtype)
