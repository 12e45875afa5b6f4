"""The object users hold: a margin, an emphasis and a scale make a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref import checks, reference
from svref.arrays import BoolArray, FloatArray, IntArray
from svref.checks import real_parameter
from svref.emphasis import SupportVectors
from svref.engine import tiles
from svref.margins import Angle, Margin, NoMargin
from svref.reference import Gradients, Step


def check_loss(loss: object) -> None:
    """Raise a TypeError unless `loss` is an SVXSoftmax."""
    if not isinstance(loss, SVXSoftmax):
        raise TypeError(f"loss must be an SVXSoftmax, such as svref.sv_arc_softmax(); got {loss!r}.")


@dataclass(frozen=True)
class SVXSoftmax:
    r"""The SV-X-Softmax loss of a margin, an emphasis and a scale, with its hand-derived gradient.

    .. math:: L = -\log \frac{e^{s f}}{e^{s f} + \sum_{k \ne y} h_k e^{s c_k}} = \log(1 + e^a), \qquad
              a = \log \sum_{k \ne y} e^{s (c_k - f) + \log h_k}

    Parameters
    ----------
    margin : Margin
        f, the target's cosine after the margin; the default is none.
    emphasis : SupportVectors
        h, the emphasis of the negatives above f; the default, t = 1, is none.
    s : float
        Scale of the logits, above 0.

    Raises
    ------
    ValueError, TypeError
        If a part is of the wrong kind or out of range.

    Equals
        The softmax cross entropy of ``s * cosines`` for `NoMargin` and ``t = 1``.

    References
    ----------
        Wang et al., Support Vector Guided Softmax Loss for Face Recognition, arXiv:1812.11317. It is equation 9 of
        docs/explanation/derivation.md, and all of equations 1 to 21 together.

    Examples
    --------
    >>> import numpy as np
    >>> from svref import SVXSoftmax, AdditiveCosine, SupportVectors
    >>> loss = SVXSoftmax(AdditiveCosine(0.25), SupportVectors(1.25), s=4.0)
    >>> value, gradient = loss.value_and_grad(np.array([[0.5, 0.375, -0.5]]), np.array([0]))
    >>> print(f"{value:.4f}", gradient.round(4))
    2.0243 [[-3.4716  4.3067  0.0263]]
    """

    margin: Margin = NoMargin()
    emphasis: SupportVectors = SupportVectors()
    s: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.margin, Margin):
            raise TypeError(f"margin must be a margin object such as AdditiveAngle(0.5); got {self.margin!r}.")
        if not isinstance(self.emphasis, SupportVectors):
            raise TypeError(f"emphasis must be a SupportVectors object; got {self.emphasis!r}.")
        object.__setattr__(self, "s", real_parameter("s", self.s, 0.0, open_low=True))

    @property
    def angular(self) -> bool:
        """Whether the cosines must lie in [-1, 1]."""
        boundary = self.emphasis.boundary
        return self.margin.angular or (boundary is not None and boundary.angular)

    def value(
        self, cosines: ArrayLike, labels: ArrayLike, *, reduction: str = "mean", ignore_index: int | None = None
    ) -> Any:
        """Return the loss.

        Parameters
        ----------
        cosines : array_like of float32 or float64, shape (B, C)
            Cosines; for angular margins in [-1, 1].
        labels : array_like, shape (B,) of integers, or one-hot (B, C)
            The target classes.
        reduction : {"mean", "sum", "none"}
            What becomes of the B losses; "mean" is over the rows that count.
        ignore_index : int, optional
            Rows with this label have loss 0 and do not count.

        Returns
        -------
        scalar, or array of shape (B,) for ``reduction="none"``
            In the dtype of the cosines.

        Raises
        ------
        ValueError, TypeError
            Before any work is done, for cosines that are not finite, real, two-dimensional or in range, labels
            that are not class indices or one-hot, and a mean over no rows.
        """
        c, y, counted, extremes = self._checked(cosines, labels, ignore_index)
        g = checks.reduction_cotangent(reduction, counted, len(y))
        return tiles.reduced(tiles.log_odds(self, c, y, extremes), counted, g, reduction, c.dtype)

    def value_and_grad(
        self,
        cosines: ArrayLike,
        labels: ArrayLike,
        *,
        reduction: str = "mean",
        ignore_index: int | None = None,
        out: FloatArray | None = None,
    ) -> tuple[Any, FloatArray]:
        """Return the loss and its gradient by the cosines, on all threads, in blocks that fit a cache.

        Parameters, errors: as `value`, and

        out : array of the dtype of the cosines, shape (B, C), optional
            Where the gradient is written: C order, writeable, no memory of the inputs. Given one that is used again
            and again, a large batch saves the time that fresh memory costs. None allocates it.

        Returns
        -------
        value : scalar, or array of shape (B,) for ``reduction="none"``
        gradient : array, shape (B, C)
            Of what `reduction` returns; for "none", of the sum. In the dtype of the cosines. At a pole of df/dc
            the target's entry is a signed infinity.
        """
        c, y, counted, extremes = self._checked(cosines, labels, ignore_index)
        g = checks.reduction_cotangent(reduction, counted, len(y))
        gradient = checks.output_array("out", out, c.shape, c.dtype, c)
        a = tiles.value_and_gradient(self, c, y, extremes, g, gradient)
        return tiles.reduced(a, counted, g, reduction, c.dtype), gradient

    def forward(self, cosines: ArrayLike, labels: ArrayLike, *, ignore_index: int | None = None) -> Step:
        """Return every quantity of the forward pass, by its name. Parameters, errors: as `value`."""
        return reference.forward(self, *self.checked(cosines, labels, ignore_index))

    def backward(self, step: Step, cotangent: ArrayLike | None = None) -> Gradients:
        """Return the gradients of Σ cotangent_b L_b by the cosines, and each row's by s, t and margin parameters.

        Parameters
        ----------
        step : Step
            What `forward` of this loss returned.
        cotangent : array_like of real numbers, shape (B,), optional
            dL/d(loss of each row); None is a vector of ones.

        Returns
        -------
        Gradients
            In the dtype of the cosines. At a pole of df/dc the target's entry is a signed infinity.

        Raises
        ------
        TypeError, ValueError
            If the step is none or another loss's, or the cotangent has a wrong shape or is not finite.
        """
        if not isinstance(step, Step):
            raise TypeError(f"step must be what forward returned; got {type(step).__name__}.")
        if (step.margin, step.emphasis, step.s) != (self.margin, self.emphasis, self.s):
            made_by = SVXSoftmax(step.margin, step.emphasis, step.s)
            raise ValueError(f"step must come from forward of this loss, {self!r}; it was made by {made_by!r}.")
        g = checks.row_cotangent(cotangent, len(step.labels))
        return reference.backward(step, g if step.counted is None else g * step.counted)

    def checked(
        self, cosines: ArrayLike, labels: ArrayLike, ignore_index: int | None
    ) -> tuple[FloatArray, IntArray, BoolArray | None]:
        """Return valid cosines, labels as indices, and which rows count; raise what `value` raises."""
        return self._checked(cosines, labels, ignore_index)[:3]

    def _checked(
        self, cosines: ArrayLike, labels: ArrayLike, ignore_index: int | None
    ) -> tuple[FloatArray, IntArray, BoolArray | None, tuple[float, float]]:
        """Return what `checked` does, and the smallest and the largest cosine."""
        c = checks.real_array("cosines", cosines, 2)
        low, high = checks.check_finite("cosines", c, tiles.extremes(c))
        y, counted = checks.class_indices(labels, len(c), c.shape[1], ignore_index)
        if self.angular:
            checks.check_cosine_range(c, low, high)
        angle = Angle.from_cosine(c[np.arange(len(y)), y])
        self.check_logits(1.0 if self.angular else max(-low, high), angle, c.dtype)
        return c, y, counted, (low, high)

    def check_logits(self, largest: float, angle: Angle, dtype: np.dtype[Any]) -> None:
        """Raise a ValueError if logits of cosines up to `largest` and of these targets may overflow `dtype`."""
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            values = [self.margin.value(angle)]
            if self.emphasis.boundary is not None:
                values.append(self.emphasis.boundary.value(angle))
        highest = max(largest, *(float(np.abs(value).max()) for value in values))
        checks.check_logits(highest, self.s, self.emphasis.t, dtype)
