"""The errors of the reference, the engine and the head against `svref.exact`, in units of u times the condition scale.

python tests/accuracy.py            prints the table of docs/explanation/accuracy.md
python tests/accuracy.py --write    writes it there
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rows import CORNERS, MORE_MARGINS, REGIMES, batch

from svref import VARIANTS, SupportVectors, SVXSoftmax, exact, head
from svref.exact import Certified
from svref.head.geometry import directions
from svref.head.shards import Shard
from svref.judging import condition

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "accuracy.md"
LARGE_T = 100.0
SCALES = (1e-6, 1e-3, 1.0, 64.0, 1e6)
STRENGTHS = (1.0, 1.2, 1e3)
MANY = 100_000  # classes
ANGLES = (1e-15, 1e-9, 1e-4, 0.5, 3.0)
OUTPUTS = ("loss", "loss, engine", "dc", "dc, engine", "ds", "dt", "dm", "loss of a head", "dx", "dw")


def errors(loss: SVXSoftmax, cosines: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the worst |error| / (u K) of each output; the undecided are the caller's to avoid."""
    step = loss.forward(cosines, labels)
    grads = loss.backward(step)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")  # by the engine
    truth = exact.evaluate(loss, cosines, labels)
    assert step.mask.tolist() == truth.mask.tolist()
    assert not truth.unresolved
    scales = condition.scales(loss.forward(cosines.astype(np.float64), labels), cosines.dtype)
    pairs = {
        "loss": (step.loss, truth.loss, scales.loss),
        "dc": (grads.cosines, truth.cosines, scales.cosines),
        "loss, engine": (value, truth.loss, scales.loss),
        "dc, engine": (gradient, truth.cosines, scales.cosines),
        "ds": (grads.s, truth.s, scales.s),
        "dt": (grads.t, truth.t, scales.t),
        **{f"d{n}": (d, truth.margin[n], scales.margin[n]) for n, d in grads.margin.items()},
    }
    return {name: worst(*pair, loss) for name, pair in pairs.items()}


def head_errors(loss: SVXSoftmax, x: np.ndarray, w: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the worst |error| / (u K) of the head's loss and of both gradients."""
    value, grads = head.value_and_grad(loss, x, w, labels, reduction="none")
    truth = exact.evaluate_head(loss, x, w, labels)
    by_loss, by_vectors = head_scales(loss, x, w, labels)
    return {
        "loss of a head": worst(value, truth.loss, by_loss, loss),
        "dx": worst(grads.embeddings, truth.embeddings, by_vectors.embeddings, loss),
        "dw": worst(grads.weights, truth.weights, by_vectors.weights, loss),
    }


def head_scales(
    loss: SVXSoftmax, x: np.ndarray, w: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, head.HeadGradients]:
    """Return the condition scales of the losses and of both gradients of their sum."""
    wide, classes = x.astype(np.float64), w.astype(np.float64)
    step = Shard.of(loss, wide, classes, labels).step()
    return condition.head_scales(step, directions(wide), directions(classes), np.ones(len(x)), x.dtype)


def worst(got: np.ndarray, truth: Certified, scale: np.ndarray, loss: SVXSoftmax) -> float:
    """Return the largest error beyond underflow, in units of u K."""
    floor = 4 * max(1.0, loss.s * loss.emphasis.t) * float(np.finfo(got.dtype).smallest_normal)
    with np.errstate(under="ignore"):
        beyond = np.maximum(np.abs((got.astype(np.float64) - truth.hi) - truth.lo) - floor, 0)
        assert np.isfinite(beyond).all()
        unit = condition.unit_roundoff(got.dtype) * scale
        return float(np.max(np.divide(beyond, unit, out=np.zeros_like(beyond), where=beyond > 0)))


def measure(loss: SVXSoftmax, regime: str, dtype: str) -> dict[str, float]:
    """Return `errors` in one regime."""
    with np.errstate(under="ignore"):
        return errors(loss, *batch(regime, loss.margin, dtype))


def many_classes(dtype: str, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of `MANY` cosines: at a small scale the loss is then far larger than the logits."""
    cosines = np.random.default_rng(5).uniform(-0.9, 0.9, (rows, MANY)).astype(dtype)
    return cosines, np.arange(rows)


def head_batch(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings at several angles to their class weights, the weights, and the labels."""
    rng = np.random.default_rng(3)
    w = rng.normal(size=(7, 16))
    labels = np.arange(len(ANGLES))
    sideways = rng.normal(size=(len(ANGLES), 16))
    units = w[labels] / np.linalg.norm(w[labels], axis=1)[:, None]
    sideways -= (sideways * units).sum(axis=1)[:, None] * units
    sideways /= np.linalg.norm(sideways, axis=1)[:, None]
    x = 3 * (np.cos(ANGLES)[:, None] * units + np.sin(ANGLES)[:, None] * sideways)
    return x.astype(dtype), w.astype(dtype), labels


def losses() -> Iterator[tuple[str, SVXSoftmax]]:
    """Yield every variant, and the tails and wrappers, at the scales and strengths of the table."""
    entries = {name: entry.factory() for name, entry in VARIANTS.items()}
    others = MORE_MARGINS | CORNERS
    entries |= {name: SVXSoftmax(margin, SupportVectors(1.2)) for name, margin in others.items()}
    for name, loss in entries.items():
        for s in SCALES:
            for t in STRENGTHS if loss.emphasis.t > 1 else (1.0,):
                yield name, replace(loss, s=s, emphasis=replace(loss.emphasis, t=t))


def regimes(dtype: str) -> list[str]:
    """Return the regimes that exist in `dtype`: 1 - 2^-50 is 1 in float32."""
    return [name for name in REGIMES if dtype == "float64" or name != "very-near-pole"]


def table(dtype: str) -> Iterator[str]:
    """Yield the lines of the table: the worst error of each output, by loss."""
    top: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, loss in losses():
        cells = [measure(loss, regime, dtype) for regime in regimes(dtype)]
        cells += [head_errors(loss, *head_batch(dtype))] if loss.emphasis.t < LARGE_T else []
        for output, error in ((o, e) for cell in cells for o, e in cell.items()):
            column = "dm" if re.fullmatch(r"dm\d?", output) else output
            top[name][column] = max(top[name][column], error)
    yield f"| loss | {' | '.join(OUTPUTS)} |"
    yield "|---" * (len(OUTPUTS) + 1) + "|"
    for name, cells_of in top.items():
        yield f"| {name} | " + " | ".join(f"{cells_of[c]:.2f}" if c in cells_of else "" for c in OUTPUTS) + " |"


def main() -> None:
    """Print the tables, or write them into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for dtype in ("float64", "float32"):
        lines = "\n".join(table(dtype))
        print(f"{dtype}\n{lines}", flush=True)
        text = re.sub(
            rf"(<!-- table:{dtype} -->\n\n).*?(\n\n<!-- /table -->)", rf"\g<1>{lines}\g<2>", text, flags=re.DOTALL
        )
    if "--write" in sys.argv:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
