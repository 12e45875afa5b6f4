"""What a deviation is, and the four ways to write one: a changed loss, logits, result or head."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import FloatArray, IntArray
from svref.deviations import which
from svref.deviations.logits import CosineRun, ToLogits, from_logits, right
from svref.deviations.normalisation import HeadRun, through
from svref.loss import SVXSoftmax, check_loss

Applies = Callable[[SVXSoftmax], bool]
ChangedLoss = Callable[[SVXSoftmax], SVXSoftmax]


@dataclass(frozen=True)
class Deviation:
    """One known departure from the paper, as a computation.

    Parameters
    ----------
    name : str
        In kebab case.
    formula : str
        What it computes, in the symbols of the documentation.
    effect : str
        What it does to the loss and to the gradient.
    seen : tuple of str
        Where: "owner/repository:path", or a plain sentence.
    applies : callable
        Takes an SVXSoftmax; False where there is nothing in it to get wrong so. It is then computed rightly.
    on_cosines : callable or None
        The computation on valid float64 cosines; None where the mistake is in the head.
    on_head : callable
        The computation on valid float64 embeddings and weights.
    change : callable or None
        Takes an SVXSoftmax and returns the loss that is computed in its place, where the mistake is another loss.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    applies: Applies = field(repr=False)
    on_cosines: CosineRun | None = field(repr=False)
    on_head: HeadRun = field(repr=False)
    change: ChangedLoss | None = field(repr=False, default=None)

    @property
    def level(self) -> Literal["cosine", "head"]:
        """Where the mistake is: "cosine", or "head", on the way from vectors to cosines."""
        return "head" if self.on_cosines is None else "cosine"

    def run(
        self, loss: SVXSoftmax, cosines: ArrayLike, labels: ArrayLike, cotangent: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the losses (B,) and the gradient (B, C) that the wrong code returns, float64.

        Parameters
        ----------
        loss : SVXSoftmax
            The loss the code was meant to compute.
        cosines : array_like, shape (B, C)
            As for `SVXSoftmax.value`.
        labels : array_like, shape (B,) of integers, or one-hot (B, C)
            The target classes.
        cotangent : array_like, shape (B,), optional
            The gradient is that of Σ cotangent_b L_b; None is a vector of ones.

        Returns
        -------
        losses : array of float64, shape (B,)
        gradient : array of float64, shape (B, C)

        Raises
        ------
        TypeError, ValueError
            If the mistake is in the head, or an input is wrong.
        """
        check_loss(loss)
        if self.on_cosines is None:
            raise TypeError(f"{self.name} acts on embeddings and weights, not on cosines; call run_head.")
        c, y, _ = loss.checked(np.asarray(cosines, dtype=np.float64), labels, None)
        with np.errstate(all="ignore"):  # wrong code overflows and divides by zero; that is its result
            run = self.on_cosines if self.applies(loss) else right
            return run(loss, c, y, checks.row_cotangent(cotangent, len(y)))

    def run_head(
        self,
        loss: SVXSoftmax,
        embeddings: ArrayLike,
        weights: ArrayLike,
        labels: ArrayLike,
        cotangent: ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the losses (B,) and the gradients by embeddings (B, D) and weights (C, D), float64.

        Parameters, errors: as `run`, and

        embeddings, weights : array_like, shape (B, D), (C, D)
            As for `svref.head.value_and_grad`.
        """
        check_loss(loss)
        x = checks.real_array("embeddings", np.asarray(embeddings, dtype=np.float64), 2)
        w = checks.real_array("weights", np.asarray(weights, dtype=np.float64), 2)
        checks.check_pair(x, w)
        checks.check_rows("embeddings", x)
        checks.check_rows("weights", w)
        y, _ = checks.class_indices(labels, len(x), len(w), None)
        with np.errstate(all="ignore"):
            run = self.on_head if self.applies(loss) else through(right)
            return run(loss, x, w, y, checks.row_cotangent(cotangent, len(y)))


def changed_loss(formula: str, *seen: str) -> Callable[[ChangedLoss], Deviation]:
    """Make a deviation of a function that returns another loss, or the same where nothing changes."""

    def make(change: ChangedLoss) -> Deviation:
        def differs(loss: SVXSoftmax) -> bool:
            return change(loss) != loss

        def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
            return right(change(loss), c, y, g)

        return replace(_entry(change, formula, seen, differs, run, through(run)), change=change)

    return make


def changed_logits(formula: str, *seen: str, applies: Applies) -> Callable[[ToLogits], Deviation]:
    """Make a deviation of a function that returns the logits of a step, and their slopes."""

    def make(logits: ToLogits) -> Deviation:
        run = from_logits(logits)
        return _entry(logits, formula, seen, applies, run, through(run))

    return make


def changed_result(formula: str, *seen: str, applies: Applies = which.every) -> Callable[[CosineRun], Deviation]:
    """Make a deviation of a whole computation on cosines."""
    return lambda run: _entry(run, formula, seen, applies, run, through(run))


def changed_head(formula: str, *seen: str, applies: Applies = which.every) -> Callable[[HeadRun], Deviation]:
    """Make a deviation of a whole computation on embeddings and weights."""
    return lambda run: _entry(run, formula, seen, applies, None, run)


def _entry(
    written: Callable[..., Any],
    formula: str,
    seen: tuple[str, ...],
    applies: Applies,
    on_cosines: CosineRun | None,
    on_head: HeadRun,
) -> Deviation:
    """Return the entry of a function: its name is the name, its docstring the effect."""
    name, effect = written.__name__.replace("_", "-"), " ".join((inspect.getdoc(written) or "").split())
    return Deviation(name, formula, effect, seen or ("a common slip",), applies, on_cosines, on_head)
