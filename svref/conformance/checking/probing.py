"""Batches that a wrong candidate is asked besides the cases, so that its mistake can be told from its neighbours.

The cases are chosen to show that something is wrong. Their targets lie at a few cosines, so that a threshold at 0.1 and
one at 0.12 may look the same there, as may m and sin m. The targets of a probe are spread from -1 to 1, close to both
ends too, and each probe has parameters and a shape of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.checking.variations.trying import Asker
from svref.conformance.trial import Trial
from svref.golden.making.batches import PLAIN, Batch, rounded, uniform
from svref.variants import VARIANTS

DIGITS = 24  # significant bits of the inputs, which float32 holds
DIMENSIONS = 5
SHAPES = ((96, 7), (81, 5), (64, 4))  # B and C
VALUES: tuple[Mapping[str, float], ...] = (
    {"s": 6.5, "m": 0.29, "m1": 1.1, "m2": 0.21, "m3": 0.17, "t": 1.15, "pieces": 3},
    {"s": 13.25, "m": 0.47, "m1": 0.93, "m2": 0.37, "m3": 0.11, "t": 1.4, "pieces": 2},
    {"s": 29.5, "m": 0.61, "m1": 1.2, "m2": 0.13, "m3": 0.23, "t": 1.3, "pieces": 4},
)
NEAR_ENDS = (10, 14, 18, 22)  # targets at ±(1 - 2^-k)


@dataclass(frozen=True)
class Probe(Batch):
    """A batch whose targets are spread from -1 to 1."""

    @property
    def arrays(self) -> tuple[FloatArray, ...]:
        """Cosines (B, C); or embeddings (B, D) and weights (C, D)."""
        arrays = self._vectors_at() if self.dimensions else (self._cosines_at(),)
        return tuple(np.asarray(a.astype(np.float32), np.float64) for a in arrays)

    @property
    def targets(self) -> FloatArray:
        """The targets' cosines, (B,)."""
        inner = self.rows - 2 * len(NEAR_ENDS)
        spread = 1.98 * (np.arange(inner) + uniform(f"{self.name}/targets", inner)) / inner - 0.99
        ends = 1 - np.exp2(-np.array(NEAR_ENDS, dtype=np.float64))
        return np.concatenate([spread, ends, -ends])

    def _cosines_at(self) -> FloatArray:
        """Return cosines: negatives from -0.98 to 0.98, and the targets."""
        u = uniform(f"{self.name}/negatives", self.rows * self.classes).reshape(self.rows, -1)
        cosines = 0.98 * (2 * u - 1)
        cosines[np.arange(self.rows), self.target_classes] = self.targets
        return cosines

    def _vectors_at(self) -> tuple[FloatArray, FloatArray]:
        """Return weights, and embeddings at the targets' cosines from the weights of their classes."""
        w = 2 * uniform(f"{self.name}/weights", self.classes * DIMENSIONS).reshape(self.classes, -1) - 1
        away = 2 * uniform(f"{self.name}/away", self.rows * DIMENSIONS).reshape(self.rows, -1) - 1
        own = _unit(w)[self.target_classes]
        away = _unit(away - np.sum(away * own, axis=1, keepdims=True) * own)
        c = self.targets[:, None]
        return self._lengths("embeddings", 2) * (c * own + np.sqrt(1 - c * c) * away), w


def _unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.sqrt(np.sum(rows * rows, axis=1, keepdims=True)))


def probes(variant: str, is_head: bool) -> list[Probe]:
    """Return the probes of a variant, on cosines or on vectors."""
    return [
        Probe(
            f"{variant}/probe/{i}", rows, classes, DIMENSIONS if is_head else 0, classes, "drawn", "int64", "drawn",
            PLAIN, DIGITS, _parameters(variant, VALUES[i]),
        )
        for i, (rows, classes) in enumerate(SHAPES)
    ]  # fmt: skip


def _parameters(variant: str, values: Mapping[str, float]) -> dict[str, float]:
    """Return the values of the parameters that a variant has; a whole m counts pieces."""
    defaults = VARIANTS[variant].parameters
    return {
        name: int(values["pieces"]) if isinstance(default, int) else rounded(values[name], DIGITS)
        for name, default in defaults.items()
    }


def probed(asker: Asker) -> list[Trial]:
    """Return the judged answers to the probes; those that have none are left out."""
    answers = [asker.ask(probe, probe.name) for probe in probes(asker.variant, asker.plan.level == "head")]
    return [answer for answer in answers if isinstance(answer, Trial)]
