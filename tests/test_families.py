"""Families of mistakes: each is what its formula says, and a candidate that makes it is told its size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import svref
import svref.deviations.normalisation
from svref.conformance import check
from svref.conformance.mistakes.numbers import plain_numbers
from svref.deviations.families import FAMILIES, Family, Law, constant
from svref.deviations.families.laws import QUANTITIES, multiple
from svref.deviations.logits import right_result
from svref.variants import VARIANTS

LOSSES = {
    "am-softmax": svref.am_softmax(s=8.0, m=0.3),
    "arc-softmax": svref.arc_softmax(s=8.0, m=0.5),
    "a-softmax": svref.a_softmax(s=8.0, m=3),
    "combined-softmax": svref.combined_softmax(s=8.0),
    "sv-am-softmax": svref.sv_am_softmax(s=8.0, m=0.3, t=1.25),
    "sv-arc-softmax": svref.sv_arc_softmax(s=8.0, m=0.5, t=1.25),
    "mv-am-softmax": svref.mv_am_softmax(s=8.0, m=0.3, t=1.25),
}
RNG = np.random.default_rng(7)
COSINES = RNG.uniform(-0.97, 0.97, (24, 6))
LABELS = RNG.integers(0, 6, 24)
COTANGENT = RNG.uniform(0.5, 2.0, 24) * np.where(np.arange(24) % 3, 1, -1)
EMBEDDINGS, WEIGHTS = RNG.normal(size=(9, 4)), RNG.normal(size=(6, 4))
# The gradient of these is not the derivative of the losses, as their formulas say.
APART = (
    "detached",
    "rounded",
    "cast",
    "loss-scaled",
    "loss-shifted",
    "loss-of-the-batch",
    "kept-above",
    "kept-between",
)


def size_of(family: Family) -> Law:
    """Return a size of a family that changes something."""
    if family.between is None:
        return family.tried[-1] if family.tried else constant(1.0)
    low, high = family.between
    return constant(float(np.clip(2.0 if "at-least" in family.name else 0.37, low, high)))


def computed(family: Family, loss: svref.SVXSoftmax, law: Law) -> Any:
    """Return the outputs of a family on the cosines; None where it cannot be made in the loss."""
    deviation = family.following(law)
    if family.on_cosines is None or not deviation.applies(loss):
        return None
    try:
        return deviation.run(loss, COSINES, LABELS, COTANGENT)
    except ValueError:
        return None


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_changes_outputs_of_some_loss(name: str) -> None:
    family = FAMILIES[name]
    deviation, changed = family.following(size_of(family)), False
    assert deviation.formula
    assert "{" not in deviation.formula
    assert deviation.effect.endswith(".")
    for loss in LOSSES.values():
        try:
            got = deviation.run_head(loss, EMBEDDINGS, WEIGHTS, LABELS[:9], COTANGENT[:9])
        except ValueError:
            continue
        right = svref.deviations.normalisation.head_around(right_result)(
            loss, EMBEDDINGS, WEIGHTS, LABELS[:9], COTANGENT[:9]
        )
        changed |= any(not np.allclose(a, b, rtol=1e-9, atol=0) for a, b in zip(got, right, strict=True))
        of_cosines = computed(family, loss, size_of(family))
        if of_cosines is not None:
            pairs = zip(of_cosines, right_result(loss, COSINES, LABELS, COTANGENT), strict=True)
            changed |= any(not np.allclose(a, b, rtol=1e-9, atol=0) for a, b in pairs)
    # The last two change a number of few digits, or one next to a pole: the inputs here have neither.
    assert changed or "logarithm" in name or "label-is" in name or "kept" in name


WHOLE = [n for n, f in FAMILIES.items() if f.shows == "loss" and f.on_cosines and not any(word in n for word in APART)]


@pytest.mark.parametrize("name", WHOLE)
def test_the_gradient_is_the_derivative_of_the_losses(name: str) -> None:
    family = FAMILIES[name]
    for loss in LOSSES.values():
        law = size_of(family)
        found = computed(family, loss, law)
        if found is None:
            continue
        run, step = family.following(law).run, 1e-6
        direction = RNG.uniform(-1, 1, COSINES.shape)
        # Rows whose mask, pieces or thresholds change within the step have no derivative there.
        up, down = (run(loss, COSINES + side * step * direction, LABELS, COTANGENT)[0] for side in (1, -1))
        wide = [run(loss, COSINES + side * 2 * step * direction, LABELS, COTANGENT)[0] for side in (1, -1)]
        slope, wider = (up - down) / (2 * step), (wide[0] - wide[1]) / (4 * step)
        smooth = np.abs(slope - wider) <= 1e-5 * (1 + np.abs(slope))
        along = np.sum(found[1] / COTANGENT[:, None] * direction, axis=1)
        assert smooth.mean() > 0.7
        np.testing.assert_allclose(along[smooth], slope[smooth], rtol=2e-6, atol=2e-7)
