"""The error of svref against the oracle, in units of u times the condition scale. Run it for the table.

python tests/accuracy.py
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import oracle
from rows import MARGINS, MORE_MARGINS, REGIMES, batch, spec_of

from svref import SupportVectors, SVXSoftmax, condition
from svref.margins import Margin

LARGE_T = 100.0


def errors(loss: SVXSoftmax, cosines: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the worst |error| / (u K) of each output; the undecided are the caller's to avoid."""
    step = loss.forward(cosines, labels)
    grads = loss.backward(step)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")  # in blocks
    truth = oracle.evaluate(spec_of(loss), cosines, labels)
    assert step.mask.tolist() == truth.mask
    scales = condition.scales(loss.forward(cosines.astype(np.float64), labels), cosines.dtype)
    pairs = {
        "loss": (step.loss, truth.loss, scales.loss),
        "dc": (grads.cosines, truth.cosines, scales.cosines),
        "loss, blocks": (value, truth.loss, scales.loss),
        "dc, blocks": (gradient, truth.cosines, scales.cosines),
        "ds": (grads.s, truth.s, scales.s),
        "dt": (grads.t, truth.t, scales.t),
        **{f"d{n}": (d, truth.margin[n], scales.margin[n]) for n, d in grads.margin.items()},
    }
    return {name: worst(*pair, loss, cosines.dtype) for name, pair in pairs.items()}


def worst(got: np.ndarray, truth: object, scale: np.ndarray, loss: SVXSoftmax, dtype: np.dtype) -> float:
    """Return the largest error beyond underflow, in units of u K."""
    floor = 4 * max(1.0, loss.s * loss.emphasis.t) * float(np.finfo(dtype).smallest_normal)
    beyond = np.maximum(oracle.absolute_error(got, truth) - floor, 0)
    assert np.isfinite(beyond).all()
    unit = condition.unit_roundoff(dtype) * scale
    return float(np.max(np.divide(beyond, unit, out=np.zeros_like(beyond), where=beyond > 0)))


def measure(margin: Margin, s: float, t: float, regime: str, dtype: str) -> dict[str, float]:
    """Return `errors` of one cell of the table."""
    with np.errstate(under="ignore"):
        return errors(SVXSoftmax(margin, SupportVectors(t), s=s), *batch(regime, margin, dtype))


def table() -> None:
    """Print the worst error by margin, dtype and output over scales, regimes and t in {1, 1.2, 100}."""
    for dtype in ("float64", "float32"):
        for name, margin in {**MARGINS, **MORE_MARGINS}.items():
            top: dict[str, float] = defaultdict(float)
            for s in (1.0, 16.0, 64.0):
                for t in (1.0, 1.2, LARGE_T):
                    for regime in REGIMES:
                        if dtype == "float32" and regime == "very-near-pole":
                            continue
                        for output, error in measure(margin, s, t, regime, dtype).items():
                            top[output] = max(top[output], error)
            cells = "  ".join(f"{output} {error:5.2f}" for output, error in top.items())
            print(f"{dtype}  {name:<18} {cells}", flush=True)


if __name__ == "__main__":
    sys.exit(table())
