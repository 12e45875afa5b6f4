"""What a deviation is, and the five decorators that make one of a function.

The decorated function is the mistake. Its name, with hyphens, is the deviation's name; its docstring is the effect
that a report shows to users, one or two plain sentences; the decorator takes the formula and where it was seen.

    @changed_loss("f = c_y")
    def margin_ignored(loss):                         takes the paper's loss, returns the code's loss
    @changed_logits("I_k = [c_k >= f]", applies=...)
    def non_strict_mask(step):                        takes a forward pass, returns the code's logits and their slopes
    @changed_result("L_b / B", applies=...)
    def mean_for_sum(loss, c, y, g):                  takes valid inputs, returns the code's losses and gradient
    @changed_inputs("c := float16(c)")
    def inputs_cast_to_float16(values):               takes cosines, embeddings or weights, returns what the code reads
    @changed_head("c_k = <x, ŵ_k>", applies=...)
    def embeddings_not_normalised(loss, x, w, y, g):  takes valid vectors, returns the code's losses and both gradients

`applies` says for which losses the mistake can be made (see `which`); a changed loss knows that by itself.
tests/test_deviations.py fails if an entry is incomplete, or changes nothing where it applies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref.arrays import FloatArray, IntArray
from svref.deviations import which
from svref.deviations.logits import CosineRun, ToLogits, from_logits, right_result
from svref.deviations.normalisation import HeadRun, head_around
from svref.loss import SVXSoftmax, check_loss

Applies = Callable[[SVXSoftmax], bool]
ChangedLoss = Callable[[SVXSoftmax], SVXSoftmax]
ChangedInputs = Callable[[FloatArray], FloatArray]

_RIGHT = right_result, head_around(right_result)


@dataclass(frozen=True)
class Deviation:
    """One known departure from the paper, as a computation.

    Parameters
    ----------
    name : str
        Lower case, with hyphens.
    formula : str
        What it computes, in the symbols of the documentation.
    effect : str
        What it does to the loss and to the gradient, in one or two sentences.
    seen : tuple of str
        Where: "owner/repository:path", or a plain sentence.
    applies : callable
        Takes an SVXSoftmax; returns whether the mistake can be made in it. If not, results are the right ones.
    on_cosines : callable or None
        The computation on valid float64 cosines; None where the mistake is in the head.
    on_head : callable
        The computation on valid float64 embeddings and weights.
    change : callable or None
        Takes an SVXSoftmax and returns the loss that the code computes in its place. None if that is no SVXSoftmax.
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
        """Where the mistake is: "head" on the way from vectors to cosines, "cosine" after it."""
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
        result: tuple[FloatArray, FloatArray] = self.on_valid(loss, [c], y, checks.row_cotangent(cotangent, len(y)))
        return result

    def run_head(
        self,
        loss: SVXSoftmax,
        embeddings: ArrayLike,
        weights: ArrayLike,
        labels: ArrayLike,
        cotangent: ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the losses (B,) and the gradients by embeddings (B, D) and weights (C, D) of the wrong code, float64.

        Parameters
        ----------
        loss, labels, cotangent
            As for `run`.
        embeddings : array_like, shape (B, D)
            As for `svref.head.value_and_grad`.
        weights : array_like, shape (C, D)
            As for `svref.head.value_and_grad`.

        Returns
        -------
        losses : array of float64, shape (B,)
        by_embeddings : array of float64, shape (B, D)
        by_weights : array of float64, shape (C, D)

        Raises
        ------
        TypeError, ValueError
            If an input is wrong.
        """
        check_loss(loss)
        x = checks.real_array("embeddings", np.asarray(embeddings, dtype=np.float64), 2)
        w = checks.real_array("weights", np.asarray(weights, dtype=np.float64), 2)
        checks.check_pair(x, w)
        checks.check_rows("embeddings", x)
        checks.check_rows("weights", w)
        y, _ = checks.class_indices(labels, len(x), len(w), None)
        result: tuple[FloatArray, FloatArray, FloatArray] = self.on_valid(
            loss, [x, w], y, checks.row_cotangent(cotangent, len(y))
        )
        return result

    def on_valid(self, loss: SVXSoftmax, arrays: Sequence[FloatArray], y: IntArray, g: FloatArray) -> Any:
        """Return what `run` returns for [cosines], or `run_head` for [embeddings, weights], which are not checked."""
        of_cosines, of_head = (self.on_cosines, self.on_head) if self.applies(loss) else _RIGHT
        run: Any = of_cosines if len(arrays) == 1 else of_head
        with np.errstate(all="ignore"):  # wrong code overflows and divides by zero; that is its result
            return run(loss, *arrays, y, g)


def changed_loss(formula: str, *seen: str) -> Callable[[ChangedLoss], Deviation]:
    """Return a decorator for a function that takes a loss and returns another.

    It returns an equal loss where the mistake cannot be made; the deviation does not apply there.
    """

    def make(change: ChangedLoss) -> Deviation:
        def differs(loss: SVXSoftmax) -> bool:
            return change(loss) != loss

        def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
            return right_result(change(loss), c, y, g)

        return replace(_deviation(change, formula, seen, differs, run, head_around(run)), change=change)

    return make


def changed_logits(formula: str, *seen: str, applies: Applies) -> Callable[[ToLogits], Deviation]:
    """Return a decorator for a function that takes a forward pass and returns logits and their slopes."""

    def make(logits: ToLogits) -> Deviation:
        run = from_logits(logits)
        return _deviation(logits, formula, seen, applies, run, head_around(run))

    return make


def changed_result(formula: str, *seen: str, applies: Applies = which.always) -> Callable[[CosineRun], Deviation]:
    """Return a decorator for a function that takes cosines and returns losses and the gradient."""
    return lambda run: _deviation(run, formula, seen, applies, run, head_around(run))


def changed_inputs(formula: str, *seen: str) -> Callable[[ChangedInputs], Deviation]:
    """Return a decorator for a function that takes cosines, embeddings or weights and returns what the code reads.

    What is computed of them is right, and the change counts as 1 in the gradient.
    """

    def make(change: ChangedInputs) -> Deviation:
        def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
            return right_result(loss, change(c), y, g)

        def head(
            loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            return head_around(right_result)(loss, change(x), change(w), y, g)

        return _deviation(change, formula, seen, which.always, run, head)

    return make


def changed_head(formula: str, *seen: str, applies: Applies = which.always) -> Callable[[HeadRun], Deviation]:
    """Return a decorator for a function that takes embeddings and weights and returns losses and both gradients."""
    return lambda run: _deviation(run, formula, seen, applies, None, run)


def _deviation(
    function: Callable[..., Any],
    formula: str,
    seen: tuple[str, ...],
    applies: Applies,
    on_cosines: CosineRun | None,
    on_head: HeadRun,
) -> Deviation:
    """Return the deviation of a decorated function, named after it; the effect is its docstring on one line."""
    name, effect = function.__name__.replace("_", "-"), " ".join((inspect.getdoc(function) or "").split())
    return Deviation(name, formula, effect, seen or ("a common slip",), applies, on_cosines, on_head)
