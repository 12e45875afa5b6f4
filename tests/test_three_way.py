"""The same numbers three ways, element by element: the reference to read, the engine for speed, the proven values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from accuracy import PAGE, regimes
from rows import MARGINS, MORE_MARGINS, batch

from svref import VARIANTS, SupportVectors, SVXSoftmax, exact, reference
from svref.judging import condition
from svref.margins import AdditiveAngle, EasyMargin, NoMargin, StraightThrough

BAR = 4.0  # units of u K, half of what a candidate is allowed
DTYPES = ("float64", "float32")
MARGINS_TOO = {
    **MARGINS,
    **MORE_MARGINS,
    "easy-arc-linear": EasyMargin(AdditiveAngle(0.5, tail="linear"), above=-0.95),
    "straight-through": StraightThrough(AdditiveAngle(0.5)),
}
LOSSES: dict[str, SVXSoftmax] = {
    **{name: entry.factory() for name, entry in VARIANTS.items()},
    **{name: SVXSoftmax(m, SupportVectors(1.2), s=16.0) for name, m in MARGINS_TOO.items()},
    **{f"fixed {name}": SVXSoftmax(m, SupportVectors(1.2, "fixed"), s=16.0) for name, m in MARGINS_TOO.items()},
    "boundary of none": SVXSoftmax(AdditiveAngle(0.5), SupportVectors(1.2, boundary=NoMargin()), s=16.0),
    "strong": SVXSoftmax(AdditiveAngle(0.5), SupportVectors(100.0), s=64.0),
}


@dataclass
class Output:
    """One output: by the reference, by the engine (None where it has none), proven; and its condition scale."""

    name: str
    read: np.ndarray
    fast: np.ndarray | None
    proven: exact.Certified
    scale: np.ndarray


def outputs(loss: SVXSoftmax, regime: str, dtype: str) -> Iterator[Output]:
    cosines, labels = batch(regime, loss.margin, dtype)
    step = reference.forward(loss, cosines, labels)
    by, truth = reference.backward(step, np.ones(len(labels))), exact.evaluate(loss, cosines, labels)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    np.testing.assert_array_equal(step.mask, truth.mask)
    scales = condition.scales(reference.forward(loss, cosines.astype(np.float64), labels), dtype)
    yield Output("loss", step.loss, value, truth.loss, scales.loss)
    yield Output("dc", by.cosines, gradient, truth.cosines, scales.cosines)
    yield Output("ds", by.s, None, truth.s, scales.s)
    yield Output("dt", by.t, None, truth.t, scales.t)
    for name, derivative in by.margin.items():
        yield Output(f"d{name}", derivative, None, truth.margin[name], scales.margin[name])


def units(got: np.ndarray, hi: np.ndarray, lo: np.ndarray, allowed: np.ndarray) -> float:
    """Return the largest |got - (hi + lo)| in units of what is allowed."""
    with np.errstate(under="ignore"):
        return float((np.abs((got.astype(np.float64) - hi) - lo) / allowed).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_reference_engine_and_proven_values_agree_in_every_element(name: str, dtype: str) -> None:
    loss = LOSSES[name]
    tiny = 4 * max(1.0, loss.s * loss.emphasis.t) * float(np.finfo(dtype).smallest_normal)
    for regime in regimes(dtype):
        for output in outputs(loss, regime, dtype):
            allowed = BAR * condition.unit_roundoff(dtype) * output.scale + tiny
            proven = output.proven.hi, output.proven.lo
            assert output.read.dtype == np.dtype(dtype)
            assert units(output.read, *proven, allowed) <= 1, (regime, output.name)
            if output.fast is not None:
                assert units(output.fast, *proven, allowed) <= 1, (regime, output.name)
                assert units(output.fast, output.read.astype(np.float64), 0 * proven[1], allowed) <= 1


def ulps(got: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return by how many float32 numbers `got` is off."""
    return np.abs(got.astype(np.float64) - right.astype(np.float64)) / np.spacing(np.abs(right)).astype(np.float64)


def last_digits(name: str) -> tuple[Counter[str], list[str]]:
    """Count the float32 elements of a loss that are the rounded proven number, next to it, or farther off."""
    found: Counter[str] = Counter()
    farther = []
    for regime in regimes("float32"):
        for output in outputs(LOSSES[name], regime, "float32"):
            off = ulps(output.read, output.proven.rounded("float32"))
            found.update(equal=int((off == 0).sum()), next=int((off == 1).sum()), farther=int((off > 1).sum()))
            farther += [f"{name}, {regime}: {output.name}, {float(o):.0f} ulp" for o in off[off > 1]]
    return found, farther


def test_the_float32_reference_is_right_to_the_last_bit_nearly_everywhere() -> None:
    found: Counter[str] = Counter()
    farther: list[str] = []
    for name in LOSSES:
        counts, names = last_digits(name)
        found.update(counts)
        farther += names
    total = sum(found.values())
    assert found["equal"] >= 0.999 * total  # measured: all of them
    assert not farther
    assert f"{total:,} float32 numbers" in PAGE.read_text(encoding="utf-8")
