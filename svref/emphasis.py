"""Which negatives are support vectors, and by how much each is emphasised: h, forward beside backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from svref.arrays import BoolArray, FloatArray
from svref.checks import emphasis_parameter, one_of
from svref.margins import Margin

Form = Literal["adaptive", "fixed"]


@dataclass(frozen=True)
class SupportVectors:
    r"""The emphasis h of the negatives that beat the target's margin.

    .. math:: I_k = [c_k > f], \qquad
              h_k = e^{s (t - 1)(c_k + 1) I_k} \text{ (adaptive)}, \qquad h_k = e^{s (t - 1) I_k} \text{ (fixed)}

    The mask :math:`I_k` is held constant in every derivative; a tie :math:`c_k = f` is not a support vector, and
    neither is the target.

    Parameters
    ----------
    t : float
        Strength, at least 1; 1 switches the emphasis off. It is always the SV paper's t: the MV-Softmax paper and
        the code after it call t - 1 their t.
    form : {"adaptive", "fixed"}
        "adaptive" grows with the negative's cosine (SV-Softmax, and MV-Softmax's adaptive variant); "fixed" adds
        the same to each support vector's logit (MV-Softmax's fixed variant).
    boundary : Margin, optional
        The margin whose value decides the mask; None is the loss's own f. `NoMargin` is the plain cosine of the
        target, ``AdditiveCosine(m)`` inside an easy margin is the un-eased boundary of some public code.

    Raises
    ------
    ValueError, TypeError
        If `t` is below 1 or not finite, `form` unknown, or `boundary` not a margin.

    Equals
        No emphasis at ``t = 1``.

    References
    ----------
        Wang et al., Support Vector Guided Softmax Loss, arXiv:1812.11317; Wang et al., Mis-classified Vector
        Guided Softmax Loss, AAAI 2020, arXiv:1912.00833.
    """

    t: float = 1.0
    form: Form = "adaptive"
    boundary: Margin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "t", emphasis_parameter(self.t))
        one_of("form", self.form, ("adaptive", "fixed"))
        if self.boundary is not None and not isinstance(self.boundary, Margin):
            raise TypeError(f"boundary must be a margin object or None; got {self.boundary!r}.")

    def lift(self, mask: BoolArray, dtype: DTypeLike, out: FloatArray | None = None) -> FloatArray:
        """Return (t - 1) I, what every function below is made of."""
        return np.multiply(mask, self.t - 1, out=out, dtype=dtype)

    def raised(
        self, cosines: FloatArray, lift: FloatArray | BoolArray | float, out: FloatArray | None = None
    ) -> FloatArray:
        """Return log h / s (equation 6), by which the emphasis raises a cosine; for lift = I, its derivative by t."""
        raised = np.add(cosines, 1, out=out)
        if self.form == "fixed":
            raised[...] = 1
        raised *= lift
        return raised

    def slope(self, lift: FloatArray | float, out: FloatArray | None = None) -> FloatArray:
        """Return d(c_k + log h_k / s)/dc_k (equation 7): 1 + (t - 1) is t, as t - 1 has no more digits than t."""
        return np.add(lift if self.form == "adaptive" else np.zeros_like(lift), 1, out=out)
