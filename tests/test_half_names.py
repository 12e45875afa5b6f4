"""Mistakes in half precision have their own names: what would fit any numbers within wide tolerances explains nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

from svref import VARIANTS, check
from svref.conformance.mistakes.guesses import singles
from svref.deviations import DEVIATIONS
from svref.formats import format_of, numpy_dtype
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
    near = {h.name for h in singles(VARIANTS["sv-arc-softmax"]) if h.distance(failing) <= 0.5}
    within = {h.name for h in singles(VARIANTS["sv-arc-softmax"]) if all(h.explains(t) for t in failing)}
    assert len(within) > 5
    assert "slope-of-h-lost" in near & within
    assert len(near & within) < len(within) / 2


@pytest.mark.parametrize("precision", ["autocast-bfloat16", "bfloat16", "autocast-float16", "fused-bfloat16"])
@pytest.mark.parametrize("variant", ["sv-am-softmax", "sv-arc-softmax"])
def test_batches_of_half_formats_leave_few_decisions_open(precision: str, variant: str) -> None:
    for level in ("cosine", "head"):
        plan, said = PRECISIONS[precision], []
        digits = format_of(plan.inputs(level)).digits
        for batch in batches(variant, 0, 8, level == "head", digits, (), usual=True, decided=True):
            arrays = [a.astype(float) for a in batch.arrays]
            loss = VARIANTS[variant].factory(**batch.parameters)
            right = expect(loss, arrays, batch.target_classes.astype(int), batch.cotangent, plan)
            said += [right.judged.mean()] * (batch.classes > 200)
        assert min(said) == 1  # of 270 classes and more; none at all were judged where negatives lay around f
