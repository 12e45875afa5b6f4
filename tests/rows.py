"""Rows for accuracy tests, and how a loss of svref reads as a Spec of the oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from oracle import Spec

from svref import SVXSoftmax
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Angle,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)

MARGINS: dict[str, Margin] = {
    "none": NoMargin(),
    "am": AdditiveCosine(0.35),
    "arc": AdditiveAngle(0.5),
    "a": MultiplicativeAngle(4),
}
MORE_MARGINS: dict[str, Margin] = {
    "arc-wide": AdditiveAngle(2.5),
    "arc-linear": AdditiveAngle(0.5, tail="linear"),
    "arc-plain": AdditiveAngle(0.5, tail="plain"),
    "arc-reflect": AdditiveAngle(0.5, tail="reflect"),
    "a-2": MultiplicativeAngle(2),
    "a-3-annealed": MultiplicativeAngle(3, annealing=5.0),
    "combined": Combined(1.0, 0.3, 0.2),
    "combined-multiple": Combined(1.35, 0.1, 0.05),
    "easy-am": EasyMargin(AdditiveCosine(0.35)),
    "easy-arc": EasyMargin(AdditiveAngle(0.5), above=0.25),
}
CORNERS: dict[str, Margin] = {
    "am-30": AdditiveCosine(30.0),
    "arc-tiny": AdditiveAngle(1e-6),
    "arc-3.14": AdditiveAngle(3.14),
    "arc-2.5-linear": AdditiveAngle(2.5, tail="linear"),
    "a-1000": MultiplicativeAngle(1000),
    "a-31-annealed": MultiplicativeAngle(31, annealing=1e3),
    "combined-slow": Combined(1e-6, 3.1),
    "combined-fast": Combined(30.0, 3.14, 5.0),
    "easy-combined-slow": EasyMargin(Combined(1e-6, 3.1), above=0.1),
    "easy-a-31": EasyMargin(MultiplicativeAngle(31), above=0.1),
    "straight-arc": StraightThrough(AdditiveAngle(0.5)),
    "straight-a-50": StraightThrough(MultiplicativeAngle(50)),
    "straight-easy-arc": StraightThrough(EasyMargin(AdditiveAngle(2.5, tail="linear"), above=0.3)),
    "easy-straight-a-31": EasyMargin(StraightThrough(MultiplicativeAngle(31)), above=-0.2),
}  # every kind of margin and wrapper at the ends of its parameters
CLASSES = 8


def spec_of(loss: SVXSoftmax) -> Spec:
    """Return the oracle's description of a loss."""
    boundary = loss.emphasis.boundary
    return Spec(
        **_margin_fields(loss.margin),
        s=loss.s,
        t=loss.emphasis.t,
        form=loss.emphasis.form,
        boundary=None if boundary is None else Spec(**_margin_fields(boundary)),
    )


def _margin_fields(margin: Margin) -> dict[str, object]:
    match margin:
        case NoMargin():
            return {"margin": "none"}
        case AdditiveCosine(m):
            return {"margin": "am", "m": m}
        case AdditiveAngle(m, tail):
            return {"margin": "arc", "m": m, "tail": tail}
        case MultiplicativeAngle(m, annealing):
            return {"margin": "a", "m": m, "annealing": annealing}
        case Combined(m1, m2, m3):
            return {"margin": "combined", "m1": m1, "m2": m2, "m3": m3}
        case EasyMargin(inner, above):
            return {**_margin_fields(inner), "easy_above": above}
    raise AssertionError(f"no oracle for {margin!r}")


def easy(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.6, 0.95, 4), rng.uniform(-0.3, 0.3, (4, CLASSES - 1))


def hard(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-0.8, 0.3, 4), rng.uniform(-0.3, 0.95, (4, CLASSES - 1))


def converged(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.97, 0.9999, 4), rng.uniform(-0.95, -0.3, (4, CLASSES - 1))


def near_boundary(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    targets = rng.uniform(0.93, 0.99, 4)
    f = margin.value(Angle.from_cosine(targets))[:, None]
    offsets = rng.choice([-1, 1], (4, CLASSES - 1)) * 2.0 ** rng.integers(-18, -6, (4, CLASSES - 1))
    return targets, np.clip(f + offsets, -1, 1)


def near_pole(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    distance = 2.0 ** -np.array([20, 14, 20, 14])
    return np.array([1, 1, -1, -1]) * (1 - distance), rng.uniform(-0.9, 0.9, (4, CLASSES - 1))


def very_near_pole(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    distance = 2.0 ** -np.array([50, 40, 50, 40])
    return np.array([1, 1, -1, -1]) * (1 - distance), rng.uniform(-0.9, 0.9, (4, CLASSES - 1))


def underflowing(rng: np.random.Generator, margin: Margin) -> tuple[np.ndarray, np.ndarray]:
    targets, negatives = np.full(4, 0.999), rng.uniform(-1, -0.9, (4, CLASSES - 1))
    negatives[:, 0] = [0.9, 0.5, -0.2, -0.9]
    return targets, negatives


REGIMES: dict[str, Callable[[np.random.Generator, Margin], tuple[np.ndarray, np.ndarray]]] = {
    f.__name__.replace("_", "-"): f
    for f in (easy, hard, converged, near_boundary, near_pole, very_near_pole, underflowing)
}


def batch(regime: str, margin: Margin, dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines (4, C) of `dtype` and labels of a regime."""
    rng = np.random.default_rng([seed, *regime.encode()])
    targets, negatives = REGIMES[regime](rng, margin)
    labels = rng.integers(0, CLASSES, len(targets))
    rows = [np.insert(row, y, c) for row, y, c in zip(negatives, labels, targets, strict=True)]
    return np.array(rows).astype(dtype), labels
