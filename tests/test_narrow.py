"""What narrow stages add to a tolerance: the sensitivities against certified differences, and right code within it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import halves
import numpy as np
import pytest

import svref
from svref import exact
from svref.formats import rounded_to
from svref.judging import condition, narrow
from svref.judging.figures import figures
from svref.judging.precision import PRECISIONS, precision_of
from svref.reference import Step

STEP = 2.0**-30  # of a difference: the first order holds, and certified numbers have digits enough
FIRST_ORDER = 1 + 1e-4
LOGITS = precision_of("float64,logits=bfloat16")
U = 2.0**-8


# ---- sensitivities against certified differences -----------------------------------------------------------------


@cache
def steps() -> list[Step]:
    """Rows of every variant, scale and kind, but those next to a pole, where the formulas cap the slope of f.

    A decision of the mask within reach of the perturbations is left out too.
    """
    found = []
    for batch in halves.batches(144):
        cosines = rounded_to(batch.cosines, "bfloat16")
        step = batch.loss.forward(cosines, batch.labels)
        gap = np.abs(step.cosines - step.boundary[:, None])
        gap[step.own] = 1
        kept = (step.angle.sine > 2 * U**0.5) & (gap.min(axis=1) > 1e-6) & (np.abs(cosines).max(axis=1) < 1)
        found.append(batch.loss.forward(cosines[kept], batch.labels[kept]))
    return [step for step in found if len(step.labels)]


def patterns(step: Step) -> Iterator[np.ndarray]:
    """Yield signs (B, C): for each class the worst for its p, for the target that of the loss, and random ones."""
    for k in range(halves.CLASSES):
        signs = -np.ones(step.cosines.shape)
        signs[:, k] = 1
        signs[step.own] = np.where(step.labels == k, 1, -1)
        yield signs
    signs = np.ones(step.cosines.shape)
    signs[step.own] = -1
    yield signs
    rng = np.random.default_rng(0)
    for _ in range(3):
        yield rng.choice([-1.0, 1.0], step.cosines.shape)


def difference(a: exact.Certified, b: exact.Certified) -> np.ndarray:
    return np.abs((a.hi - b.hi) + (a.lo - b.lo))


def logits_and_units(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """The logits, and by how many units each may be off, as the docstring of `narrow` says."""
    z = step.s * step.cosines + step.log_h
    z[step.own] = step.s * step.f
    strong = step.s * step.emphasis.t * np.abs(step.emphasis.growth(step.cosines))
    units = step.s * np.abs(step.cosines) + step.mask * (strong + 1)
    units[step.own] = step.s * (np.abs(step.f) + figures(step.margin, step.angle, U).value)
    return z, units


def moved_by_logits(step: Step, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far logits off by `size` units move the losses and the gradient by the cosines, at the worst."""
    z, units = logits_and_units(step)
    plain, slope = svref.softmax(s=1.0), step.s * step.emphasis.slope(step.mask)
    slope[step.own] = step.s * np.abs(step.margin.by_cosine(step.angle))
    here = exact.evaluate(plain, z, step.labels)
    loss, gradient = np.zeros(len(z)), np.zeros(z.shape)
    for signs in patterns(step):
        there = exact.evaluate(plain, z + size * signs * units, step.labels)
        loss = np.maximum(loss, difference(there.loss, here.loss) / size)
        gradient = np.maximum(gradient, slope * difference(there.probabilities, here.probabilities) / size)
    return loss, gradient


def rounded_slope(step: Step) -> np.ndarray:
    """Return s q F': what the rounding of df/dc moves the target's gradient by, (B,); F' is tested with the other figures."""
    return step.s * condition.sigmoid(step.a) * figures(step.margin, step.angle, U).by_cosine


def lost(step: Step) -> np.ndarray:
    """The rows in which logits off by more than 1 make every probability right."""
    return U * logits_and_units(step)[1].max(axis=1) > condition.LOST


def test_errors_of_the_logits_move_loss_and_gradient_as_far_as_the_sensitivity_and_no_further() -> None:
    for step in steps():
        loss, gradient = moved_by_logits(step, STEP)
        gradient[step.own] += rounded_slope(step)
        k, known = narrow.of_logits(step, LOGITS, exact=False), ~lost(step)
        assert (loss <= FIRST_ORDER * k.loss).all()
        assert (gradient <= FIRST_ORDER * k.cosines).all()
        np.testing.assert_allclose(loss[known], k.loss[known], rtol=1e-4)
        mine = tuple(index[known] for index in step.own)
        np.testing.assert_allclose(gradient[mine], k.cosines[mine], rtol=1e-4)
        spread = known[:, None] & (step.probabilities < 0.5)  # of p next to 1, code that keeps log Σ is off by p δ
        assert (gradient[spread] >= 0.3 * k.cosines[spread]).all()


def test_beyond_the_first_order_the_factor_8_suffices() -> None:
    for step in steps():
        loss, gradient = moved_by_logits(step, U)
        gradient[step.own] += rounded_slope(step)
        k, known = narrow.of_logits(step, LOGITS, exact=False), ~lost(step)
        assert (loss <= condition.SLACK * k.loss)[known].all()
        assert (gradient <= condition.SLACK * k.cosines)[known].all()


def test_errors_of_the_cosines_move_loss_and_gradient_no_further_than_their_sensitivities() -> None:
    for step in steps():
        gradient, second = condition.cosine_sensitivities(step, STEP, STEP)  # a small u, as u makes a slope steeper
        loss, moved = moved_by_cosines(step)
        assert (loss <= FIRST_ORDER * gradient.sum(axis=1)).all()
        np.testing.assert_allclose(loss, gradient.sum(axis=1), rtol=1e-3)
        assert (moved <= FIRST_ORDER * second).all()
        others = step.probabilities < 0.5
        others[step.own] = False
        assert (moved[others] >= 0.3 * second[others]).all()


def moved_by_cosines(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return how far cosines off by `STEP` move the losses and the gradient by the cosines, at the worst, per unit."""
    loss = svref.SVXSoftmax(step.margin, step.emphasis, s=step.s)
    here = exact.evaluate(loss, step.cosines, step.labels)
    falls = np.sign(here.cosines.hi)  # the worst for the loss
    by_loss, by_cosines = np.zeros(len(step.labels)), np.zeros(step.cosines.shape)
    for signs in (falls, *patterns(step)):
        there = exact.evaluate(loss, step.cosines + STEP * signs, step.labels)
        by_loss = np.maximum(by_loss, difference(there.loss, here.loss) / STEP)
        by_cosines = np.maximum(by_cosines, difference(there.cosines, here.cosines) / STEP)
    return by_loss, by_cosines


# ---- right code --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PRECISIONS)
def test_right_code_stays_within_the_tolerance_of_every_preset(plan: str) -> None:
    for output, found in halves.measure(plan, 576).items():
        assert found.worst.error <= 0.6, (output, found.worst)
        assert found.worst.error >= 0.05, "too loose"


@pytest.mark.parametrize("plan", PRECISIONS)
def test_so_does_right_code_behind_a_head(plan: str) -> None:
    for output, found in halves.measure_head(plan, 288, seed=1).items():
        assert found.worst.error <= 0.6, (output, found.worst)


STAGES = {
    "logits": ("loss", "grad_cosines"),
    "softmax": ("loss", "grad_cosines"),
    "loss": ("loss",),
    "gradient": ("grad_cosines",),
    "vectors": ("grad_embeddings", "grad_weights"),
    "product": ("loss", "grad_embeddings", "grad_weights"),
    "cosines": ("loss", "grad_embeddings", "grad_weights"),
}  # the outputs that a stage alone moves


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_alone_is_narrow_comes_near_the_tolerance_and_stays_within_it(stage: str) -> None:
    measure = halves.measure_head if stage in halves.HEAD_STAGES else halves.measure
    found = measure(f"float64,{stage}=bfloat16", 288)
    for output in STAGES[stage]:
        assert 0.02 <= found[output].worst.error <= 0.6, (output, found[output].worst)


@pytest.mark.parametrize(
    "plan", ["autocast-float16", "float64,gradient=float16", "float64,gradient=float32", "float32,loss=float16"]
)
def test_numbers_too_small_for_the_format_they_are_stored_in_may_be_lost(plan: str) -> None:
    for found in (halves.measure(plan, 288, seed=3), halves.measure_head(plan, 288, seed=3)):
        for output, of in found.items():
            assert of.worst.error <= 0.6, (output, of.worst)


@pytest.mark.parametrize("length", [1.0, 1024.0])
def test_a_small_cotangent_may_lose_gradients_by_vectors_in_float16(length: float) -> None:
    rng, plan = np.random.default_rng(0), precision_of("autocast-float16")
    w = rng.normal(size=(8, 16))
    x = length * (4 * w[:6] + rng.normal(size=(6, 16)))
    x, w = (rounded_to(v, "float16") for v in (x, w))
    batch = halves.Batch("softmax", svref.softmax(s=16.0), np.zeros((6, 8)), np.arange(6), np.full(6, 2.0**-12))
    outputs = halves.run_head("log_softmax", plan, batch, x, w)
    for got, right in zip(outputs, halves.expected(batch, (x, w), plan).ways[0], strict=True):
        assert (np.abs(got - right.value) <= 0.6 * right.tolerance).all(), right.name


def test_a_target_at_a_pole_has_tolerances_without_a_nan() -> None:
    step = svref.sv_arc_softmax(s=16.0).forward([[1.0, 0.25, -0.5]], [0])
    for plan in PRECISIONS:
        for tolerance in narrow.allowed(step, np.ones(1), plan):
            assert not np.isnan(tolerance).any(), plan
