"""The cases: named, seeded inputs for every variant, one regime each.

A regime is where a loss is easy to get right or wrong: converged rows, ties, each side of each kink, poles. The
inputs follow from the variant's own margin, so that the decisions land where they are meant to. Every case has a
cotangent that is signed, uneven and zero in one row, so that ignoring it cannot pass.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from svref.inputs import FloatArray, IntArray
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.variants import VARIANTS, Variant

SCALES = (4.0, 32.0, 64.0)
NOTEBOOK_LOGITS = ((2.0, 3.0, 1.0, -1.0), (-1.0, 2.1, 2.0, 6.0), (-2.0, 3.0, 4.0, -2.1))
NOTEBOOK_LABELS = (1, 2, 0)
CLASSES = 10
_COTANGENTS = (1.0, -0.5, 2.0, 0.0, -1.25, 0.75)
_DYADIC = {"m": 0.375, "m2": 0.25, "m3": 0.125, "t": 1.25}
# other values than the defaults, one set a regime, so that a parameter that is ignored shows
_VARIED = {
    "hard": {"m": 0.2, "m1": 1.35, "m2": 0.5, "m3": 0.35, "t": 2.0},
    "mixed": {"m": 0.6, "m1": 2.0, "m2": 0.1, "m3": 0.1, "t": 1.1},
    "tie": _DYADIC,
}
_VARIED_PIECES = {"hard": 3, "mixed": 2}


@dataclass(frozen=True, eq=False)
class Case:
    """One batch of inputs for one loss.

    Parameters
    ----------
    id : str
        "<variant>/<regime>-s<scale>".
    variant : str
        The name in `VARIANTS`.
    parameters : mapping
        The keyword arguments of the variant's factory, and of a candidate.
    purpose : str
        Why the case exists.
    cosines, labels, cotangent : arrays of shape (B, C), (B,), (B,)
        The inputs, float64; a judge rounds the cosines to its dtype first.
    """

    id: str
    variant: str
    parameters: Mapping[str, float]
    purpose: str
    cosines: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    cotangent: FloatArray = field(repr=False)

    @property
    def loss(self) -> SVXSoftmax:
        """The loss the case is about."""
        return VARIANTS[self.variant].factory(**self.parameters)


Rows = tuple[FloatArray, FloatArray]
Regime = Callable[[np.random.Generator, SVXSoftmax], Rows]


def easy(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Rows that are right by a wide margin, as late in training."""
    return rng.uniform(0.6, 0.95, 6), np.clip(rng.normal(0.0, 0.15, (6, CLASSES - 1)), -1, 1)


def hard(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Rows that are wrong: many support vectors, large losses."""
    return rng.uniform(-0.7, 0.3, 6), rng.uniform(-0.2, 0.95, (6, CLASSES - 1))


def mixed(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Cosines from the whole range, target and negatives alike."""
    return rng.uniform(-0.95, 0.95, 6), rng.uniform(-0.95, 0.95, (6, CLASSES - 1))


def converged(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Rows whose loss is far below the unit roundoff at a large scale."""
    return rng.uniform(0.97, 0.999, 6), rng.uniform(-0.95, -0.5, (6, CLASSES - 1))


def edge(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Negatives on either side of the boundary, far enough for every dtype to decide."""
    targets = _targets_with_reachable_boundary(rng, loss, 6)
    offsets = rng.choice([-1, 1], (6, CLASSES - 1)) * 2.0 ** rng.uniform(-15, -5, (6, CLASSES - 1))
    return targets, np.clip(_boundary(loss, targets)[:, None] + offsets, -1, 1)


def tie(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """A negative exactly at the boundary, and above all others: it is not a support vector."""
    targets = np.array([0.5, 0.625, 0.75, 0.875, 0.9375, 0.96875])
    return targets, _one_negative_at(_boundary(loss, targets), rng)


def near_tie(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """A negative within a few units of rounding of the boundary: either decision is right."""
    targets = _targets_with_reachable_boundary(rng, loss, 6)
    ulps = np.array([-3, -2, -1, 1, 2, 3])
    boundary = _boundary(loss, targets)
    return targets, _one_negative_at(boundary + ulps * np.spacing(boundary), rng)


def kink(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Targets on either side of every cosine at which some code switches formula."""
    switches = _switches(loss)
    targets = np.array([p + d for p in switches for d in (-(2.0**-7), 2.0**-7) if abs(p + d) < 1])
    return targets, rng.uniform(-0.9, 0.6, (len(targets), CLASSES - 1))


def pole(rng: np.random.Generator, loss: SVXSoftmax) -> Rows:
    """Targets at and next to the ends of the range; the last two rows have a negative there instead."""
    targets = np.array([1.0, -1.0, 1 - 2.0**-14, -1 + 2.0**-14, 0.25, 0.5])
    negatives = rng.uniform(-0.9, 0.9, (6, CLASSES - 1))
    negatives[4, 0], negatives[5, 0] = 1.0, -1.0
    return targets, negatives


REGIMES: Mapping[str, Regime] = {
    regime.__name__.replace("_", "-"): regime
    for regime in (easy, hard, mixed, converged, edge, tie, near_tie, kink, pole)
}


def cases_of(variant: str) -> Iterator[Case]:
    """Yield the cases a candidate is judged on: the notebook's as cosines, and every regime at every scale."""
    entry = VARIANTS[variant]
    yield _notebook(entry)
    for name, regime in REGIMES.items():
        for s in SCALES:
            yield _seeded(entry, name, regime, s)


def case(case_id: str) -> Case:
    """Return the case of that id; a ValueError names those there are.

    The id of a golden vector that ships is found too. Beside those a candidate is judged on there is the notebook's
    with its own logits, up to 6: code for face recognition may clamp to cosines, and is not wrong for it.
    """
    variant, slash, _ = case_id.partition("/")
    if not slash:
        return _of_pack(case_id)
    if variant not in VARIANTS:
        raise ValueError(f"a case is <variant>/<regime>, such as sv-softmax/notebook; got {case_id!r}.")
    known = {entry.id: entry for entry in cases_of(variant)}
    if not VARIANTS[variant].factory().angular:
        logits = _notebook(VARIANTS[variant], logits=True)
        known[logits.id] = logits
    if case_id not in known:
        raise ValueError(f"no case {case_id!r}; there are {', '.join(known)}.")
    return known[case_id]


def _of_pack(case_id: str) -> Case:
    """Return the case of that id in the packs that ship, which need their extra to be read."""
    from svref.golden.vectors import load

    for pack in ("core", "seed"):
        vectors = load(pack=pack)
        for v in vectors:
            if v.id == case_id and v.level == "cosine" and v.result != "error":
                purpose = " ".join(vectors.notes[flag]["tests"] for flag in v.flags)
                labels: IntArray = v.inputs["labels"].astype(np.intp)
                return Case(v.id, v.variant, v.parameters, purpose, v.inputs["cosines"], labels, v.inputs["cotangent"])
    raise ValueError(
        f"a case is <variant>/<regime>, such as sv-softmax/notebook, or the id of a golden vector of cosines, "
        f"as `svref golden list` shows them; got {case_id!r}."
    )


def _notebook(entry: Variant, logits: bool = False) -> Case:
    """The rows of the SV-Softmax notebook: its logits, or their eighths, which are cosines."""
    name, purpose = "notebook", "The rows of the SV-Softmax notebook, divided by 8 to be cosines."
    if logits:
        name, purpose = "notebook-logits", "The rows of the SV-Softmax notebook."
    values = np.array(NOTEBOOK_LOGITS) / (1 if logits else 8)
    parameters = {**entry.parameters, "s": 1.0}
    return Case(f"{entry.name}/{name}", entry.name, parameters, purpose, values, np.array(NOTEBOOK_LABELS), np.ones(3))


def _seeded(entry: Variant, name: str, regime: Regime, s: float) -> Case:
    parameters = {**_parameters(entry, name), "s": s}
    case_id = f"{entry.name}/{name}-s{s:g}"
    rng = np.random.default_rng(zlib.crc32(case_id.encode()))
    targets, negatives = regime(rng, entry.factory(**parameters))
    labels = rng.integers(0, CLASSES, len(targets))
    cosines = np.array([np.insert(row, y, c) for row, y, c in zip(negatives, labels, targets, strict=True)])
    cotangent = np.resize(_COTANGENTS, len(targets))
    return Case(case_id, entry.name, parameters, (regime.__doc__ or "").strip(), cosines, labels, cotangent)


def _parameters(entry: Variant, regime: str) -> dict[str, float]:
    varied, pieces = _VARIED.get(regime, {}), _VARIED_PIECES.get(regime)
    return {
        name: (pieces or default) if isinstance(default, int) else varied.get(name, default)
        for name, default in entry.parameters.items()
    }


def _boundary(loss: SVXSoftmax, targets: FloatArray) -> FloatArray:
    return loss.margin.value(Angle.from_cosine(targets))


def _targets_with_reachable_boundary(rng: np.random.Generator, loss: SVXSoftmax, count: int) -> FloatArray:
    """Draw target cosines whose f is itself a cosine, so that negatives can lie on both sides of it."""
    grid = rng.permutation(np.linspace(0.3, 0.995, 512))
    return grid[np.abs(_boundary(loss, grid)) < 0.9][:count]


def _one_negative_at(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return negatives far below `values`, but for one that is there (-1 where that is no cosine)."""
    negatives = np.round(rng.uniform(-1, -0.5, (len(values), CLASSES - 1)), 2)
    negatives[:, 3] = np.where(np.abs(values) <= 1, values, -1.0)
    return negatives


def _switches(loss: SVXSoftmax) -> list[float]:
    """Return the cosines at which public code switches formula: easy margins at 0 and m, tails, pieces of A."""
    m = getattr(loss.margin, "m", getattr(loss.margin, "m2", 0.0))
    if isinstance(m, int):
        return [0.0] + [math.cos(j * math.pi / m) for j in range(1, m)]
    return [0.0, m, -math.cos(m)]
