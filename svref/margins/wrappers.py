"""Margins around a margin: what public code does to f, as composition."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import real_parameter
from svref.margins.angle import Angle
from svref.margins.base import Figures, Margin, few_digits


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
        `margin` for ``above < -1``, `NoMargin` for ``above >= 1``.

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
        """Return f where the margin applies, else c."""
        return np.where(self._applies(angle), self.margin.value(angle), angle.cosine)

    def by_cosine(self, angle: Angle) -> FloatArray:
        """Return df/dc where the margin applies, else 1."""
        return np.where(self._applies(angle), self.margin.by_cosine(angle), 1.0)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return df/dθ where the margin applies, else -σ."""
        return np.where(self._applies(angle), self.margin.by_angle(angle), -angle.sine)

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm where the margin applies, else 0."""
        applies = self._applies(angle)
        return {name: np.where(applies, d, 0.0) for name, d in self.margin.by_parameter(angle).items()}

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return those of `margin`, which cover the plain cosine too."""
        return self.margin.figures(angle, u)

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return the distance of c to `above`, or to a switch of `margin` where that is nearer."""
        return np.minimum(np.abs(angle.cosine - self.above), self.margin.branch_gap(angle))

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return where c has few digits if the margin does not apply, else what `margin` says."""
        plain = ~self._applies(angle) & few_digits(angle.cosine, dtype)
        return plain | (self._applies(angle) & self.margin.is_exact(angle, dtype))

    def _applies(self, angle: Angle) -> BoolArray:
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
        """Return 1 in place of df/dc."""
        return np.ones_like(angle.cosine)

    def by_angle(self, angle: Angle) -> FloatArray:
        """Return -σ in place of df/dθ."""
        return -angle.sine

    def by_parameter(self, angle: Angle) -> dict[str, FloatArray]:
        """Return df/dm."""
        return self.margin.by_parameter(angle)

    def figures(self, angle: Angle, u: float) -> Figures:
        """Return those of `margin`, with F' = 1."""
        inner = self.margin.figures(angle, u)
        return Figures(inner.value, np.ones_like(inner.value), inner.by_parameter)

    def branch_gap(self, angle: Angle) -> FloatArray:
        """Return that of `margin`."""
        return self.margin.branch_gap(angle)

    def is_exact(self, angle: Angle, dtype: DTypeLike) -> BoolArray:
        """Return what `margin` says."""
        return self.margin.is_exact(angle, dtype)


def _check_margin(margin: object) -> None:
    if not isinstance(margin, Margin):
        raise TypeError(f"margin must be a margin object such as AdditiveAngle(0.5); got {margin!r}.")
