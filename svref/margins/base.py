"""What every margin answers, and nothing implemented: a margin is abstract here or final elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.judging.formats import format_of
from svref.margins.angle import Angle


@dataclass(frozen=True, eq=False)
class Figures:
    """How far rounding may carry a margin, in units of the unit roundoff u (equation 41).

    Parameters
    ----------
    value : array, shape (B,)
        fs: error of f.
    by_cosine : array, shape (B,)
        F': error of df/dc.
    by_parameter : dict of arrays, shape (B,)
        F_m: error of df/dm, by parameter name.
    """

    value: FloatArray
    by_cosine: FloatArray
    by_parameter: dict[str, FloatArray] = field(default_factory=dict)


class Margin(ABC):
    """The margin function f(m, θ_y): the target's cosine after the margin, and its derivatives.

    All methods take an `Angle` of B targets and return float64 arrays (B,). A margin knows both derivatives,
    because each is regular where the other is not: df/dθ is finite everywhere, df/dc has poles.
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
        """Return df/dc; where it has a pole, the signed infinity."""

    @abstractmethod
    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ = -σ df/dc, finite everywhere."""

    @abstractmethod
    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm by parameter name; empty where there is no real parameter."""

    @abstractmethod
    def figures(self, angle: Angle, u: float) -> Figures:
        """Return the condition figures for a computation with unit roundoff `u`."""

    @abstractmethod
    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return the distance of c to the nearest switch at which f may jump; infinite without one."""

    @abstractmethod
    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return whether f is made of numbers of few digits in `dtype`, so that every formulation gets it exactly."""


def inverse_sine(angle: Angle, u: float) -> FloatArray:
    """Return 1/σ, not above u^-1/2: no formulation is asked to resolve a smaller sine from a cosine.

    At c = ±1 it is 0: every formulation finds σ = 0 there, and nothing is magnified.
    """
    return np.where(angle.sine == 0, 0.0, 1 / np.fmax(angle.sine, np.sqrt(u)))


def few_digits(values: FloatArray | float, dtype: DTypeLike) -> BoolArray:
    """Return where `values` have at most half the digits of `dtype` on either side of the binary point.

    Sums and scaled copies of such numbers are exact in any order, so that a tie between them is one for everybody.
    """
    half = 2.0 ** ((format_of(dtype).digits - 1) // 2)
    scaled = np.asarray(values, dtype=np.float64) * half
    return np.asarray((scaled == np.rint(scaled)) & (np.abs(scaled) < half**2))


def nowhere(angle: Angle) -> FloatArray:
    """Return an infinite distance for every row: there is no switch."""
    return np.full(angle.cosine.shape, np.inf)
