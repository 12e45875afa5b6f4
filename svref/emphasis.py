"""Which negatives are support vectors, and by how much each is emphasised: h, forward beside backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from svref.inputs import BoolArray, FloatArray, emphasis_parameter, one_of
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

    def log_h(self, cosines: FloatArray, mask: BoolArray, s: float) -> FloatArray:
        """Return log h (equation 6), 0 where the mask is False."""
        return np.where(mask, (self.t - 1) * self.by_t(cosines, mask, s), cosines.dtype.type(0))

    def slope(self, mask: BoolArray) -> FloatArray:
        """Return d(c_k + log h_k / s)/dc_k, which is exactly t or 1 (equation 7)."""
        return np.where(mask, self.t if self.form == "adaptive" else 1.0, 1.0)

    def by_t(self, cosines: FloatArray, mask: BoolArray, s: float) -> FloatArray:
        """Return d log h / dt (equation 8), 0 where the mask is False."""
        by_t = s * (cosines + 1) if self.form == "adaptive" else np.full_like(cosines, s)
        return np.where(mask, by_t, cosines.dtype.type(0))
