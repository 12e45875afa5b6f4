"""Which negatives are support vectors, and by how much each is emphasised: four formulas.

    mask         I_k = [c_k > f]                   held constant in the backward pass
    log_h        log h_k = s (t - 1)(c_k + 1) I_k
    slope        d(c_k + log h_k / s)/dc_k = 1 + (t - 1) I_k
    log_h_by_t   dlog h_k/dt = s (c_k + 1) I_k

The fixed form of the MV-Softmax paper has 1 in place of c_k + 1, and so the slope 1. `growth` is that factor of log h,
c_k + 1 or 1. Equations 5 to 8 of docs/explanation/derivation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.checks import emphasis_parameter, one_of
from svref.margins import Margin

Form = Literal["adaptive", "fixed"]


@dataclass(frozen=True)
class SupportVectors:
    r"""The emphasis h of the support vectors: the negatives whose cosine exceeds f.

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
        The margin whose value decides the mask; None is the loss's own f. `NoMargin()` compares with the plain cosine
        of the target. If the loss's margin is ``EasyMargin(AdditiveCosine(m))``, ``AdditiveCosine(m)`` compares with
        c - m in every row, as some public code does.

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

    def mask(self, cosines: FloatArray, boundary: FloatArray) -> BoolArray:
        """Return I_k = [c_k > boundary], strictly (equation 5); the caller clears the label's column."""
        return np.greater(cosines, boundary[:, None])

    def log_h(self, cosines: FloatArray, mask: BoolArray, s: float) -> FloatArray:
        """Return log h_k = s (t - 1)(c_k + 1) I_k, in the fixed form s (t - 1) I_k (equation 6)."""
        return s * (self.t - 1) * self.growth(cosines) * mask

    def slope(self, mask: BoolArray) -> FloatArray:
        """Return d(c_k + log h_k / s)/dc_k = 1 + (t - 1) I_k, in the fixed form 1 (equation 7)."""
        return 1 + (self.t - 1) * self.growth_slope * mask

    def log_h_by_t(self, cosines: FloatArray, mask: BoolArray, s: float) -> FloatArray:
        """Return dlog h_k/dt = s (c_k + 1) I_k, in the fixed form s I_k (equation 8)."""
        return s * self.growth(cosines) * mask

    def growth(self, cosines: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the factor of log h_k that depends on c_k: c_k + 1, in the fixed form 1. Written to `out` if given."""
        growth = np.add(cosines, 1, out=out)
        if self.form == "fixed":
            growth[...] = 1
        return growth

    @property
    def growth_slope(self) -> float:
        """The derivative of `growth` by the cosine: 1, in the fixed form 0."""
        return 1.0 if self.form == "adaptive" else 0.0
