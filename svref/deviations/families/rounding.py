"""Families of numbers that are rounded on the way: where, and to which format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations.families.backward import with_gradient
from svref.deviations.families.kind import Family, family
from svref.deviations.formats import FORMATS, Rounding
from svref.deviations.logits import (
    CosineRun,
    Own,
    Result,
    cross_entropy,
    forward_of,
    from_logits,
    is_own,
    right_logits,
    right_result,
    with_derivative,
)
from svref.loss import SVXSoftmax
from svref.reference import times_df


def _logits_rounded(rounded: Rounding) -> CosineRun:
    return from_logits(right_logits, lambda z, own: cross_entropy(rounded(z), own))


def _logits_cast(rounded: Rounding) -> CosineRun:
    """Return the computation of rounded logits, whose gradient is rounded on its way back through the cast."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        step = forward_of(loss, c, y)
        z, slope = right_logits(step)
        losses, by_z = cross_entropy(rounded(z), step.own)
        by_z = rounded(by_z * g[:, None])
        return losses, times_df(by_z, slope, by_z == 0)

    return run


def _probabilities_rounded(rounded: Rounding, of_target: bool) -> CosineRun:
    """Return the computation whose gradient rounds p before the one-hot label is subtracted from it."""

    def by_z(z: FloatArray, own: Own) -> FloatArray:
        losses, exact = cross_entropy(z, own)
        p_y = rounded(np.exp(-losses))
        by = exact.copy() if of_target else rounded(exact)
        by[own] = p_y - 1
        return by

    return with_derivative(by_z)


def _derivatives_rounded(rounded: Rounding) -> CosineRun:
    return with_derivative(lambda z, own: rounded(cross_entropy(z, own)[1]))


def _gradient_rounded(rounded: Rounding) -> CosineRun:
    return with_gradient(lambda loss, c, y, g, gradient: rounded(gradient))


def _losses_rounded(rounded: Rounding) -> CosineRun:
    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return rounded(losses), gradient

    return run


def _results_rounded(rounded: Rounding) -> CosineRun:
    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, c, y, g)
        return rounded(losses), rounded(gradient)

    return run


def _target_rounded(rounded: Rounding) -> CosineRun:
    """Return the computation whose target cosine is rounded before the margin, which the gradient passes by."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        return right_result(loss, np.where(is_own(c, y), rounded(c), c), y, g)

    return run


def _inputs_rounded_with_gradient(rounded: Rounding) -> CosineRun:
    """Return the computation with rounded cosines and a gradient rounded on its way back through the cast."""

    def run(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
        losses, gradient = right_result(loss, rounded(c), y, g)
        return losses, rounded(gradient)

    return run


PLACES: tuple[tuple[str, str, Callable[[Rounding], CosineRun], bool], ...] = (
    ("cosines-cast", "c := {}(c), and the gradient is rounded on its way back", _inputs_rounded_with_gradient, False),
    ("target-cast", "c_y := {}(c_y)", _target_rounded, False),
    ("logits-rounded", "z := {}(z)", _logits_rounded, False),
    ("logits-cast", "z := {}(z), and the gradient is rounded on its way back", _logits_cast, False),
    ("losses-rounded", "L := {}(L), its gradient right", _losses_rounded, False),
    ("results-rounded", "L := {0}(L), ∂L/∂c := {0}(∂L/∂c)", _results_rounded, False),
    ("p-of-target-rounded", "∂L/∂z_y = {}(p_y) - 1", lambda r: _probabilities_rounded(r, of_target=True), True),
    ("p-rounded", "∂L/∂z = {}(p) - onehot", lambda r: _probabilities_rounded(r, of_target=False), True),
    ("derivative-by-logits-rounded", "∂L/∂z = {}(p - onehot)", _derivatives_rounded, True),
    ("gradient-rounded", "∂L/∂c := {}(∂L/∂c)", _gradient_rounded, True),
)  # fmt: skip


KNOWN = ("logits-rounded", "losses-rounded", "p-of-target-rounded")  # in bfloat16 these are deviations by name


def _rounding_families() -> Iterator[Family]:
    """Yield each place with each format."""
    for name, formula, at_place, of_gradient in PLACES:
        for title, rounded in FORMATS:
            if title == "bfloat16" and name in KNOWN:
                continue

            def of_size(
                size: float, at: Callable[[Rounding], CosineRun] = at_place, rounded: Rounding = rounded
            ) -> CosineRun:
                return at(rounded)

            about = family(formula.format(title), shows="gradient" if of_gradient else "loss")(of_size)
            effect = f"Numbers are rounded to {title} on the way, and lose digits."
            yield replace(about, name=f"{name}-to-{title}", effect=effect)


ROUNDED = tuple(_rounding_families())
