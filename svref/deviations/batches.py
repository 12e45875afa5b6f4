"""Mistakes with batches: rows that share a class, classes without a row, negatives that equal the target.

They are right on a batch in which each row has a class of its own, and in which no two cosines of a row are equal.
Batches of training are not like that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import which
from svref.deviations.kinds import changed_head, changed_logits
from svref.deviations.logits import Logits, Result, is_own, right_logits, right_result, without_labels
from svref.deviations.normalisation import HeadRun, head_around
from svref.loss import SVXSoftmax
from svref.reference import Step

HeadResult = tuple[FloatArray, FloatArray, FloatArray]

# ---- the logits ------------------------------------------------------------------------------------------------


@changed_logits("z_k = s f where c_k = c_y, k ≠ y", applies=which.has_margin)
def margin_on_ties(step: Step) -> Logits:
    """The label's column is found by its value, so that negatives equal to c_y have the margin as well."""
    ties, (z, slope) = _ties(step), right_logits(step)
    own = step.own
    return Logits(np.where(ties, z[own][:, None], z), np.where(ties, slope[own][:, None], slope))


@changed_logits("z_k = -∞ where c_k = c_y, k ≠ y", applies=which.always)
def ties_left_out(step: Step) -> Logits:
    """The label's column is left out of the sum by its value, and with it every negative that equals c_y."""
    ties, (z, slope) = _ties(step), right_logits(step)
    return Logits(np.where(ties, -np.inf, z), np.where(ties, 0.0, slope))


def _ties(step: Step) -> BoolArray:
    """Return which negatives equal their row's target."""
    return without_labels(step, step.cosines == step.target_cosine[:, None])


# ---- the gradient by the weights -------------------------------------------------------------------------------


@changed_head(
    "∂L/∂ŵ_k without the target terms of all rows of class k but the last",
    "a += on an index of rows, in NumPy or PyTorch",
)
def last_row_of_a_class_counts(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """`grad_w[labels] += ...` does not add up rows of the same label, so that only the last of them pulls its class."""
    return _with_weight_gradient(lambda by_c, y: np.where(is_own(by_c, y) & ~_last(y)[:, None], 0.0, by_c))(
        loss, x, w, y, g
    )


@changed_head("∂L/∂ŵ_y = the last row's term alone, the terms of the negatives lost", "a = on an index of rows")
def grad_w_overwritten(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """`grad_w[labels] = ...` replaces what the other rows have added to the gradient of these classes."""

    def last_term_alone(by_cosines: FloatArray, y: IntArray) -> FloatArray:
        kept = is_own(by_cosines, y) & _last(y)[:, None]
        return np.where(~kept & _has_row(by_cosines, y), 0.0, by_cosines)

    return _with_weight_gradient(last_term_alone)(loss, x, w, y, g)


@changed_head("∂L/∂ŵ_k with the mean of the target terms of class k for their sum")
def target_terms_averaged_over_class(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """The rows of a class pull it as one row would: a class with n rows is pulled n times too weakly."""

    def averaged(by_cosines: FloatArray, y: IntArray) -> FloatArray:
        return np.where(is_own(by_cosines, y), by_cosines / _rows_of(by_cosines, y)[y][:, None], by_cosines)

    return _with_weight_gradient(averaged)(loss, x, w, y, g)


@changed_head("∂L/∂w_k / n_k, n_k the rows of class k")
def grad_w_averaged_over_class(
    loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
) -> HeadResult:
    """The whole gradient of a class is divided by the number of its rows, as updates of centers are."""

    def averaged(by_cosines: FloatArray, y: IntArray) -> FloatArray:
        return by_cosines / np.maximum(_rows_of(by_cosines, y), 1)

    return _with_weight_gradient(averaged)(loss, x, w, y, g)


@changed_head("∂L/∂w_k = 0 for k not in {y_1, ..., y_B}")
def absent_classes_frozen(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
    """Only the classes of the batch are updated, so that the other negatives are never pushed away."""
    return _with_weight_gradient(lambda by_c, y: np.where(_has_row(by_c, y), by_c, 0.0))(loss, x, w, y, g)


def _with_weight_gradient(change: Callable[[FloatArray, IntArray], FloatArray]) -> HeadRun:
    """Return the right head, but the gradient by the weights goes back from a changed gradient by the cosines.

    `change` takes the gradient by the cosines (B, C) and the labels, and returns the changed gradient.
    """

    def changed(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, by_cosines = right_result(loss, c, y, g)
        return losses, change(by_cosines, y)

    def run(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
        losses, by_x, _ = head_around(right_result)(loss, x, w, y, g)
        return losses, by_x, head_around(changed)(loss, x, w, y, g)[2]

    return run


def _rows_of(by_cosines: FloatArray, y: IntArray) -> IntArray:
    """Return how many rows each class has, (C,)."""
    return np.bincount(y, minlength=by_cosines.shape[1])


def _has_row(by_cosines: FloatArray, y: IntArray) -> BoolArray:
    """Return which classes are the label of some row, (C,)."""
    return np.asarray(_rows_of(by_cosines, y) > 0)


def _last(y: IntArray) -> BoolArray:
    """Return which rows are the last of their class, (B,)."""
    return np.array([label not in y[b + 1 :] for b, label in enumerate(y)], dtype=bool)
