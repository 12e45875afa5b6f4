"""Families of the negatives: which of them count, and what is added to their logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray
from svref.deviations.families.kind import Family, family
from svref.deviations.families.laws import multiple
from svref.deviations.families.masks import has_label, top
from svref.deviations.logits import (
    CosineRun,
    Logits,
    from_logits,
    is_own,
    margin_logits,
    right_logits,
    without_labels,
)
from svref.reference import Step


def _margin_ontop(count: int, last_of_equals: bool) -> Callable[[float], CosineRun]:
    """Return the function of a size that is added to the largest negatives' cosines."""

    def of_size(size: float) -> CosineRun:
        def logits(step: Step) -> Logits:
            z, slope = right_logits(step)
            return Logits(z + step.s * size * top(step, count, last_of_equals), slope)

        return from_logits(logits)

    return of_size


def _top_families() -> Iterator[Family]:
    """Yield a margin on the hardest negatives, for each usual number of them, the first or the last of equal ones."""
    for last in (False, True):
        for count in (1, 2, 3, 5):
            formula = f"c_k := c_k + a for the {count} largest c_k, k ≠ y, a = {{size}}"
            about = family(formula, between=(-2, 2))(_margin_ontop(count, last))
            name = f"margin-on-{count}-hardest{'-last-of-equals' if last else ''}"
            yield replace(about, name=name, effect="The hardest negatives have a margin of their own.")


MARGIN_ON_TOP = tuple(_top_families())


@family("c_k := c_k + a where c_k > f, k ≠ y, a = {size}", between=(-2, 2))
def margin_on_negatives_above_f(size: float) -> CosineRun:
    """Negatives above f have a margin of their own."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        return Logits(z + step.s * size * step.mask, slope)

    return from_logits(logits)


def _raised_families() -> Iterator[Family]:
    """Yield a margin on the negatives above each usual threshold."""
    for at in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):

        def of_size(size: float, at: float = at) -> CosineRun:
            def logits(step: Step) -> Logits:
                z, slope = right_logits(step)
                return Logits(z + step.s * size * without_labels(step, step.cosines > at), slope)

            return from_logits(logits)

        about = family(f"c_k := c_k + a where c_k > {at:g}, k ≠ y, a = {{size}}", between=(-2, 2))(of_size)
        yield replace(
            about, name=f"margin-on-negatives-above-{at:g}", effect="Some negatives have a margin of their own."
        )


MARGIN_ABOVE = tuple(_raised_families())


KEPT: tuple[tuple[str, str, Callable[[Step], BoolArray]], ...] = (
    ("hardest", "the largest c_k alone", lambda step: top(step, 1)),
    ("2-hardest", "the 2 largest c_k alone", lambda step: top(step, 2)),
    ("3-hardest", "the 3 largest c_k alone", lambda step: top(step, 3)),
    ("support-vectors", "support vectors alone, c_k > f", lambda step: step.cosines > step.boundary[:, None]),
    ("easy", "no support vectors, c_k <= f", lambda step: step.cosines <= step.boundary[:, None]),
    ("positive", "c_k > 0", lambda step: step.cosines > 0),
    ("classes-of-the-batch", "labels of the batch", lambda step: has_label(step)),
    ("classes-not-in-the-batch", "no labels of the batch", lambda step: ~has_label(step)),
)  # fmt: skip


def _kept_families() -> Iterator[Family]:
    """Yield the loss over some of the negatives; the others are left out, or have the logit 0."""
    for name, formula, kept in KEPT:
        for out, words in ((-np.inf, "left out of the sum"), (0.0, "z_k = 0")):

            def logits(step: Step, kept: Callable[[Step], BoolArray] = kept, out: float = out) -> Logits:
                z, slope = right_logits(step)
                gone = without_labels(step, ~kept(step))
                return Logits(np.where(gone, out, z), np.where(gone, 0.0, slope))

            about = family(f"only negatives with {formula} count; {words} for the others")(
                lambda size, logits=logits: from_logits(logits)  # type: ignore[misc]
            )
            suffix = "" if out else "-others-0"
            yield replace(about, name=f"negatives-only-{name}{suffix}", effect="Some negatives do not count.")


NEGATIVES_KEPT = tuple(_kept_families())


@family("z_k := z_k + a k for class k, a = {size}", between=(-10, 10))
def bias_of_classes(size: float) -> CosineRun:
    """Each class has a bias besides its cosine."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        return Logits(z + size * np.arange(z.shape[1]), slope)

    return from_logits(logits)


@family("z_0 := z_0 + a, a = {size}", between=(-100, 100))
def bias_of_first_class(size: float) -> CosineRun:
    """The first class has a bias."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z[:, 0] += size
        return Logits(z, slope)

    return from_logits(logits)


@family("z := a tanh(z/a), a = {size}", between=(0.5, 1e3))
def logits_bent(size: float) -> CosineRun:
    """Logits are bent so that none exceeds a number."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        bent = np.tanh(z / size)
        return Logits(size * bent, slope * (1 - bent**2))

    return from_logits(logits)


@family("z := clip(z, -a, a), ∂z/∂z = 0 beyond, a = {size}", between=(0.5, 1e3), tried=[multiple(1, "1", "s")])
def logits_clipped(size: float) -> CosineRun:
    """Logits are clipped, and those beyond have no gradient."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        return Logits(np.clip(z, -size, size), np.where(np.abs(z) > size, 0.0, slope))

    return from_logits(logits)


@family("c_k := -c_k, k ≠ y")
def negatives_negated(size: float) -> CosineRun:
    """The negatives' cosines have the wrong sign."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        sign = np.where(is_own(z, step.labels), 1.0, -1.0)
        return Logits(sign * z, sign * slope)

    return from_logits(logits)


@family("c_k := |c_k|, k ≠ y")
def negatives_by_magnitude(size: float) -> CosineRun:
    """The negatives' cosines lose their sign."""

    def logits(step: Step) -> Logits:
        z, slope = margin_logits(step)
        sign = np.where(is_own(z, step.labels), 1.0, np.where(step.cosines < 0, -1.0, 1.0))
        return Logits(sign * z, sign * slope)

    return from_logits(logits)
