"""Mistakes in half precision have their own names: what would fit any numbers within wide tolerances explains nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

from svref import VARIANTS, check
from svref.conformance.mistakes.explanations import FAR, _closest
from svref.conformance.mistakes.guesses import singles
from svref.deviations import DEVIATIONS
from svref.formats import format_of, numpy_dtype, rounded_to
from svref.golden.making.batches import batches
from svref.judging.expected import expect
from svref.judging.precision import PRECISIONS

PLANTED = (
    ("slope-of-h-lost", "sv-arc-softmax", "head", "autocast-bfloat16"),
    ("margin-on-ties", "sv-arc-softmax", "head", "autocast-bfloat16"),
    ("radial-gradient-kept", "sv-arc-softmax", "head", "bfloat16"),
    ("loss-capped", "sv-am-softmax", "head", "bfloat16"),
    ("grad-w-overwritten", "sv-arc-softmax", "head", "bfloat16"),
    ("nonpositive-always-hard", "sv-arc-softmax", "head", "float16"),
    ("wrong-axis-normalised", "sv-am-softmax", "head", "float16"),  # gradients beyond the largest float16
    ("s-twice", "sv-am-softmax", "cosine", "float16"),  # logits beyond it
    ("one-hot-not-subtracted", "sv-arc-softmax", "cosine", "bfloat16"),  # infinite with the wrong sign at a pole
    ("softmax-accumulated-narrow", "sv-arc-softmax", "cosine", "autocast-bfloat16"),
)
MOST_NAMES = 2  # some mistakes are one on few rows, as a gradient overwritten and one averaged


def planted(name: str, variant: str, level: str, precision: str) -> Callable[..., tuple]:
    """Return a candidate that makes a mistake in float64 and returns it in the dtypes of a plan."""
    plan, factory, deviation = PRECISIONS[precision], VARIANTS[variant].factory, DEVIATIONS[name]
    inputs = ("cosines",) if level == "cosine" else ("embeddings", "weights")

    def candidate(*arguments: np.ndarray, cotangent: np.ndarray, **p: float) -> tuple:
        *arrays, labels = arguments
        with np.errstate(all="ignore"):
            wide = [a.astype(float) for a in arrays]
            losses, *gradients = deviation.on_valid(factory(**p), wide, labels, np.asarray(cotangent, float))
            narrow = [g.astype(a.dtype) for g, a in zip(gradients, arrays, strict=True)]
            return (losses.astype(numpy_dtype(plan.loss)), *narrow)

    kinds = inspect.Parameter
    first = [kinds(n, kinds.POSITIONAL_OR_KEYWORD) for n in (*inputs, "labels")]
    named = [kinds(n, kinds.KEYWORD_ONLY) for n in (*VARIANTS[variant].parameters, "cotangent")]
    candidate.__signature__ = inspect.Signature(first + named)
    return candidate


@pytest.mark.parametrize(("name", "variant", "level", "precision"), PLANTED)
def test_a_mistake_in_half_has_its_name_and_hardly_another(name: str, variant: str, level: str, precision: str) -> None:
    report = check(planted(name, variant, level, precision), variant, precision=precision, variations=0, invalid=False)
    names = [d.name for d in report.diagnosis if d.complete]
    assert name in names
    assert len(names) <= MOST_NAMES, names


def test_what_lies_no_nearer_than_the_right_values_explains_nothing() -> None:
    """Under bfloat16 at s = 16 the tolerances of a head's gradients are wide enough for nearly any number."""
    report = check(planted("slope-of-h-lost", "sv-arc-softmax", "head", "autocast-bfloat16"), "sv-arc-softmax",
                   precision="autocast-bfloat16", variations=0, invalid=False)  # fmt: skip
    failing = [trial for trial in report.trials if trial.failed]
    near = {h.name for h in singles(VARIANTS["sv-arc-softmax"]) if h.distance(failing) <= FAR}
    within = {h.name for h in singles(VARIANTS["sv-arc-softmax"]) if all(h.explains(t) for t in failing)}
    assert len(within) > 5
    assert "slope-of-h-lost" in near & within
    assert len(near & within) < len(within) / 2

    far = [h for h in singles(VARIANTS["sv-arc-softmax"]) if h.name in within - near]
    passing = [trial for trial in report.trials if not trial.failed]
    assert _closest(far, failing, passing, VARIANTS["sv-arc-softmax"]) == ()


def test_a_wrong_dtype_alone_is_no_other_mistake() -> None:
    right = VARIANTS["sv-am-softmax"].factory

    def in_half(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        losses, gradient = right(**p).value_and_grad(cosines.astype(float), labels, reduction="none")
        return losses.astype(cosines.dtype), (gradient * cotangent[:, None]).astype(cosines.dtype)

    report = check(in_half, "sv-am-softmax", precision="autocast-bfloat16", variations=0, invalid=False)
    assert [d.name for d in report.diagnosis if d.complete] in ([], ["loss-rounded-to-format"])


def test_combined_without_an_angle_may_go_through_one() -> None:
    """Code for all m1 and m2 takes acos and cos in bfloat16 also where m1 = 1 and m2 = 0."""
    loss = VARIANTS["combined-softmax"].factory(m1=1.0, m2=0.0, m3=0.25, s=5.375)
    cosines, labels, g = np.array([[0.625, -0.75, -0.25, 0.75]]), np.array([0]), np.ones(1)
    angle = rounded_to(np.arccos(cosines[0, 0]), "bfloat16")
    f = rounded_to(rounded_to(np.cos(angle), "bfloat16") - 0.25, "bfloat16")
    z = rounded_to(loss.s * np.array([f, *cosines[0, 1:]]), "bfloat16")
    losses = np.array([np.log(np.exp(z).sum()) - z[0]])
    right = expect(loss, [cosines], labels, g, PRECISIONS["autocast-bfloat16"]).ways[0][0]
    assert np.abs(losses - right.value) <= right.tolerance


def test_infinity_is_right_where_a_step_of_the_backward_overflows() -> None:
    """At a loss scale of 1,024 the target's gradient is beyond float16 before it is multiplied by a small df/dc."""
    loss = VARIANTS["arc-softmax"].factory(s=64.0, m=0.5)
    cosines, labels, g = np.array([[-0.875, 0.5, 0.25]]), np.array([0]), np.array([1024.0 * 2])
    right = expect(loss, [cosines], labels, g, PRECISIONS["autocast-float16"]).ways[0][1]
    assert np.abs(right.value[0, 0]) < 65504
    assert right.fragile[0, 0]


@pytest.mark.parametrize("precision", ["autocast-bfloat16", "bfloat16", "autocast-float16", "fused-bfloat16"])
@pytest.mark.parametrize("variant", ["sv-am-softmax", "sv-arc-softmax"])
def test_batches_of_half_formats_leave_no_decision_open(precision: str, variant: str) -> None:
    for level in ("cosine", "head"):
        plan, said = PRECISIONS[precision], []
        digits = format_of(plan.inputs(level)).digits
        for batch in batches(variant, 0, 8, level == "head", digits, (), usual=True, decided=True):
            arrays = [a.astype(float) for a in batch.arrays]
            loss = VARIANTS[variant].factory(**batch.parameters)
            right = expect(loss, arrays, batch.target_classes.astype(int), batch.cotangent, plan)
            said += [right.judged.mean()] * (batch.classes > 200)
        assert min(said) == 1  # of more than 200 classes; none at all were judged where negatives lay around f
