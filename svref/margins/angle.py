"""The point on the unit circle that a margin acts on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Angle:
    r"""The target's angle, by its cosine and its sine.

    .. math:: c = \cos\theta, \qquad \sigma = \sin\theta = \sqrt{(1 - c)(1 + c)}

    Both are kept because neither determines the other well: near a pole the sine has no correct digit left in a
    rounded cosine. From cosines the sine is computed (equation 4); the head measures it on the vectors.

    Parameters
    ----------
    cosine : array of float64, shape (B,)
        :math:`\cos\theta`; outside [-1, 1] only for margins that are not angular, and the sine is then NaN.
    sine : array of float64, shape (B,)
        :math:`\sin\theta \ge 0`.
    reach : array of float64, shape (B,), optional
        Branch decisions (a tail, an easy margin) whose switch lies within `reach` of the cosine are taken the
        other way. Judges use it: a decision closer to its boundary than rounding is compared with both branches.
    """

    cosine: FloatArray
    sine: FloatArray
    reach: FloatArray | None = None

    @classmethod
    def from_cosine(cls, cosine: ArrayLike, reach: FloatArray | None = None) -> Angle:
        """Return the angles of cosines, in float64: (1-c)(1+c) keeps the digits that 1 - c*c cancels."""
        c = np.asarray(cosine, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            return cls(c, np.sqrt((1 - c) * (1 + c)), reach)

    @property
    def theta(self) -> FloatArray:
        """The angle in radians, in [0, π], accurate at both poles."""
        return np.arctan2(self.sine, self.cosine)

    def plus(self, m: float) -> tuple[FloatArray, FloatArray]:
        """Return cos(θ + m) and sin(θ + m); at m = 0 exactly the cosine and the sine."""
        if m == 0:
            return self.cosine, self.sine
        cos_m, sin_m = np.cos(m), np.sin(m)
        return self.cosine * cos_m - self.sine * sin_m, self.sine * cos_m + self.cosine * sin_m

    def decide(self, condition: BoolArray, distance: FloatArray) -> BoolArray:
        """Return a branch decision, turned over where its switch, `distance` away, is within reach."""
        return condition if self.reach is None else condition ^ (distance <= self.reach)
