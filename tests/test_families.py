"""Families of mistakes: each is what its formula says, and a candidate that makes it is told its size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import svref
import svref.deviations.normalisation
from svref.conformance import check
from svref.conformance.numbers import plain_numbers
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
    "loss-alone-kept",
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


# ---- a candidate that makes a mistake of a family is told so ----------------------------------------------------------


def candidate_of(family: str, law: Law, variant: str) -> Any:
    """Return a candidate that computes a variant with a mistake, in float64 inside."""
    deviation, entry = FAMILIES[family].following(law), VARIANTS[variant]

    def of_cosines(cosines: Any, labels: Any, *, cotangent: Any, **given: float) -> Any:
        losses, gradient = deviation.run(entry.factory(**given), cosines, labels, cotangent)
        return losses.astype(cosines.dtype), gradient.astype(cosines.dtype)

    def of_vectors(embeddings: Any, weights: Any, labels: Any, *, cotangent: Any, **given: float) -> Any:
        outputs = deviation.run_head(entry.factory(**given), embeddings, weights, labels, cotangent)
        return tuple(output.astype(embeddings.dtype) for output in outputs)

    return of_cosines if FAMILIES[family].on_cosines else of_vectors


TOLD = [
    ("labels-smoothed", constant(0.07), "am-softmax"),
    ("focal-weight", constant(1.7), "arc-softmax"),
    ("cosine-margin", multiple(1.0, "1", "m/s"), "sv-am-softmax"),
    ("angle-margin", multiple(2.0, "2", "m"), "arc-softmax"),
    ("result-scaled", multiple(1.0, "1", "1/C"), "am-softmax"),
    ("loss-shifted", multiple(1.0, "1", "log C"), "sv-arc-softmax"),
    ("other-scale", multiple(1.0, "1", "√s"), "combined-softmax"),
    ("other-t", multiple(1.0, "1", "t²"), "sv-am-softmax"),
    ("h-is-a-constant", multiple(1.0, "1", "log t"), "sv-softmax"),
    ("sine-kept-from-0-b", constant(3e-5), "arc-softmax"),
    ("angle-kept-below", constant(2.5), "a-softmax"),
    ("tail-constant", constant(-1.4), "sv-arc-softmax"),
    ("margin-on-1-hardest", constant(0.13), "am-softmax"),
    ("gradient-clipped", constant(0.55), "am-softmax"),
    ("target-gradient-scaled", constant(0.5), "arc-softmax"),
    ("gradient-by-weights-scaled", multiple(1.0, "1", "1/s"), "am-softmax"),
    ("gradients-of-rows-clipped", constant(0.35), "am-softmax"),
    ("length-plus-ε-of-weights", constant(0.02), "am-softmax"),
]


@pytest.mark.parametrize(("family", "law", "variant"), TOLD, ids=[f"{f}-{law.text}-{v}" for f, law, v in TOLD])
def test_the_size_of_a_mistake_is_told(family: str, law: Law, variant: str) -> None:
    dtype = ("float64", "float32")[len(family) % 2]  # each family once: a check takes seconds
    report = check(candidate_of(family, law, variant), variant, dtype=dtype)
    assert report.explained
    assert report.diagnosis[0].name == FAMILIES[family].following(law).name
    assert report.diagnosis[0].formula in str(report).replace("\n      ", " ")


def test_each_output_may_have_a_mistake_of_its_own() -> None:
    def half_and_ignored(cosines: Any, labels: Any, *, s: float, m: float, cotangent: Any) -> Any:
        losses = svref.am_softmax(s=s, m=m).value(cosines, labels, reduction="none") / 2
        plain = svref.softmax(s=s)
        return losses, plain.backward(plain.forward(cosines, labels), cotangent).cosines

    report = check(half_and_ignored, "am-softmax")
    assert report.diagnosis[0].name == "result-scaled(0.5) in loss alone with margin-ignored in grad_cosines alone"


def test_a_size_on_top_of_another_loss_is_told() -> None:
    smoothed = FAMILIES["labels-smoothed"].following(constant(0.3))

    def plain_and_smoothed(cosines: Any, labels: Any, *, s: float, m: float, cotangent: Any) -> Any:
        return smoothed.run(svref.softmax(s=s), cosines, labels, cotangent)

    report = check(plain_and_smoothed, "am-softmax", dtype="float64")
    assert report.explained
    assert report.diagnosis[0].name == "margin-ignored with labels-smoothed(0.3)"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.10000000003, 1e-10, "0.1"),
        (0.3333333331, 1e-9, "1/3"),
        (0.69314718, 1e-8, "log 2"),
        (1.5707963, 1e-7, "π/2"),
        (0.0078125, 1e-12, "2^-7"),
        (-3e-15, 1e-14, "0"),
        (64.0, 1e-9, "64"),
    ],
)
def test_a_measured_number_is_read_as_somebody_wrote_it(value: float, error: float, text: str) -> None:
    assert plain_numbers(value, error)[0].text == text


def test_a_number_that_is_not_plain_has_no_plain_reading() -> None:
    assert plain_numbers(0.123456789, 1e-10) == []


def test_every_quantity_says_where_it_has_no_meaning() -> None:
    for name, quantity in QUANTITIES.items():
        values = []
        for loss in LOSSES.values():
            try:
                values.append(quantity(loss, 5, 7))
            except ValueError:
                continue
        assert values, name
        assert np.isfinite(values).all(), name
