"""What a case is made from: parameters and inputs, most of them multiples of 1/128, exact in every format.

They are not drawn from a random generator, whose numbers may change between versions and languages. Integers come
from SHA-256 of a name and a counter.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.formats import STORED, are_of, format_of
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS, Variant

Parameters = Mapping[str, float]
Matrix = list[list[float]]

GRID = 128  # cosines are multiples of 1/128
COTANGENT = (1.5, -0.5, 0.0, 2.0, -1.25, 0.75, -0.25, 1.0)
DYADIC = {"m": 0.375, "m1": 1.0, "m2": 0.25, "m3": 0.125, "t": 1.25}
OTHER = {"m": 0.625, "m1": 1.5, "m2": 0.5, "m3": 0.0625, "t": 2.0}  # code that ignores a parameter fails on one set


@dataclass(frozen=True)
class Recipe:
    """The inputs of one case, before anything is computed.

    Parameters
    ----------
    variant, group : str
        The name in `VARIANTS`; the group within it.
    parameters : mapping
        The keyword arguments of the variant's factory.
    flags : tuple of str
        Why the case exists; each is explained in `svref.golden.notes`.
    inputs : mapping
        "cosines" (B, C), or "embeddings" (B, D) and "weights" (C, D); "labels" (B,) and "cotangent" (B,).
    """

    variant: str
    group: str
    parameters: Parameters
    flags: tuple[str, ...]
    inputs: Mapping[str, Any] = field(repr=False)

    @property
    def level(self) -> str:
        """Where the case begins: "cosine" or "head"."""
        return "head" if "weights" in self.inputs else "cosine"

    @property
    def loss(self) -> SVXSoftmax:
        """The loss the case is about; raises for a case that must."""
        return VARIANTS[self.variant].factory(**self.parameters)

    @property
    def labels(self) -> IntArray:
        """The target classes, shape (B,)."""
        return np.array(self.inputs["labels"], dtype=np.intp)

    def array(self, name: str) -> FloatArray:
        """Return an input by its name."""
        return np.array(self.inputs[name], dtype=np.float64)


def dtypes_of(recipe: Recipe) -> list[str]:
    """Return the names of the formats that hold every finite input exactly.

    Their digits suffice for each number, and its size is between the format's smallest normal number and its largest.
    """
    numbers = np.concatenate([recipe.array(name).ravel() for name in recipe.inputs])
    numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
    return [name for name in STORED if (are_of(numbers, name) & (np.abs(numbers) >= format_of(name).tiny)).all()]


class Draw:
    """Integers that depend on a name alone: number i is made of SHA-256 of "<name>/<i>"."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def integer(self, low: int, high: int) -> int:
        """Return the next integer, from low to high."""
        self.count += 1
        digest = hashlib.sha256(f"{self.name}/{self.count}".encode()).digest()
        return low + int.from_bytes(digest[:8], "big") % (high - low + 1)

    def row(self, length: int, low: int, high: int) -> list[float]:
        """Return the next integers from low to high, as multiples of 1/128."""
        return [self.integer(low, high) / GRID for _ in range(length)]

    def between(self, length: int, beyond: float) -> list[float]:
        """Return numbers that lie `beyond` a multiple of 1/128 between 1/2 and 15/16."""
        return [number + beyond for number in self.row(length, GRID // 2, GRID - 8)]


def parameters(entry: Variant, values: Parameters, s: float, pieces: int = 4) -> dict[str, float]:
    """Return the parameters of a variant: s, `pieces` for the whole m of A-Softmax, and the others from `values`."""
    named = {
        name: pieces if isinstance(default, int) else values.get(name, default)
        for name, default in entry.parameters.items()
    }
    return {**named, "s": s}


def of_rows(
    entry: Variant, group: str, p: Parameters, flags: tuple[str, ...], targets: list[float], negatives: Matrix
) -> Recipe:
    """Return a recipe of cosines from targets and negatives, row by row; labels are drawn, and the target put there."""
    draw = Draw(f"labels/{entry.name}/{group}/{sorted(p.items())}")
    labels = [draw.integer(0, len(row)) for row in negatives]
    cosines = [[*row[:y], c, *row[y:]] for row, y, c in zip(negatives, labels, targets, strict=True)]
    return Recipe(
        entry.name, group, p, flags, {"cosines": cosines, "labels": labels, "cotangent": cotangent(len(labels))}
    )


def cotangent(rows: int) -> list[float]:
    """Return a cotangent for each row: of both signs, all different, with a zero in the third row."""
    return list(itertools.islice(itertools.cycle(COTANGENT), rows))
