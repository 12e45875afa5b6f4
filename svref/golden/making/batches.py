"""Batches as trainings have them: their features, and their inputs, which follow from the features and a seed alone.

The cases of the core pack are small: few rows and classes, numbers of few digits, int64 labels, arrays that lie row by
row. These batches are not. Their numbers are bits of SHAKE-256, the same on every machine and in every version of
NumPy. A check asks them of a candidate that is right in all cases; a pack holds some for programs that answer files.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.arrays import FloatArray
from svref.golden.making.recipes import DYADIC, parameters
from svref.variants import VARIANTS

PLAIN = "plain"  # in memory row by row, without gaps: how every case of a pack is asked
FEW_DIGITS = 8  # significant bits of every number of the core pack
FLOAT32_DIGITS = 24
UINT8_CLASSES = 256
MOST_PARAMETERS = 8  # of a variant
# B, C and D of the eight shapes of a seed, as (least, most). In the fourth B = C = D, so that a transposed matrix fits.
# The fifth has more than 65,536 entries; the last has labels above 2048, which float16 does not hold.
SHAPES = (
    ((2, 2), (7, 7), (3, 3)),
    ((5, 16), (9, 40), (129, 160)),
    ((17, 64), (7, 7), (513, 600)),
    ((9, 24), (0, 0), (0, 0)),
    ((260, 300), (253, 290), (64, 64)),
    ((131, 300), (3, 12), (8, 8)),
    ((2, 4), (1025, 1500), (10, 20)),
    ((2, 3), (2051, 4200), (4, 4)),
)
LABELS = ("int64", "int32", "int64", "uint8")
PATTERNS = ("drawn", "drawn", "equal")
COTANGENTS = ("drawn", "drawn", "ones")
LARGEST_NEGATIVE = 0.4  # of the cosines of a decided batch
DECIDED_DIMENSIONS = 64  # of heads with 16 times as many classes and more, where negatives come near any target
SMALL_SCALES = (1.0, 2.0, 1.0, 4.0)  # of decided batches: at 16 a head of bfloat16 has no gradient that can be judged
SMALL = {"rows": 3, "classes": 5, "dimensions": 4, "highest": 5}  # a batch as small as the packs'


@dataclass(frozen=True)
class Batch:
    """What a batch is like.

    Parameters
    ----------
    name : str
        From which the numbers are made: the variant, the seed and the number of the variation.
    rows, classes, dimensions : int
        B, C and D; D is 0 for cosines.
    highest : int
        Labels lie below this, and one of them next below.
    pattern : {"distinct", "drawn", "equal"}
        Labels that differ as far as B and `highest` allow, that are drawn, or that are all the same.
    labels : {"int64", "int32", "uint8"}
        The dtype of the labels.
    cotangents : {"drawn", "few", "ones"}
        g between -2 and 2, with all digits of float32 or with few, or 1 for every row, as in the sum of the losses.
    layout : str
        How arrays lie in memory: `PLAIN`, or a name that the asker knows.
    digits : int
        How many significant bits the inputs have.
    parameters : mapping
        The parameters of the variant, as the paper counts them.
    decided : bool
        Whether targets lie far from the negatives, so that few decisions of the mask are within rounding in a format of
        few digits.
    """

    name: str
    rows: int
    classes: int
    dimensions: int
    highest: int
    pattern: str
    labels: str
    cotangents: str
    layout: str
    digits: int
    parameters: Mapping[str, float]
    decided: bool = False

    @property
    def target_classes(self) -> NDArray[Any]:
        """The labels, shape (B,)."""
        last = self.highest - 1
        if self.pattern == "equal":
            chosen = np.full(self.rows, last)
        elif self.pattern == "distinct":
            chosen = last - np.arange(self.rows) % self.highest
        else:
            chosen = np.floor(self._uniform("labels", self.rows) * self.highest).astype(np.int64)
            chosen[0] = last
        return chosen.astype(self.labels)

    @property
    def arrays(self) -> tuple[FloatArray, ...]:
        """Cosines (B, C); or embeddings (B, D) and weights (C, D)."""
        arrays = self._vectors() if self.dimensions else (self._cosines(),)
        return tuple(_rounded(array, self.digits) for array in arrays)

    @property
    def cotangent(self) -> FloatArray:
        """g, shape (B,), none of them 0."""
        if self.cotangents == "ones":
            return np.ones(self.rows)
        g = 4 * self._uniform("cotangent", self.rows) - 2
        return _rounded(np.where(g == 0, 1.0, g), FEW_DIGITS if self.cotangents == "few" else FLOAT32_DIGITS)

    def _cosines(self) -> FloatArray:
        """Return cosines: negatives around 0, and targets from -0.3 to 0.95, or beyond the negatives on both sides."""
        u = self._uniform("cosines", 2 * self.rows * self.classes).reshape(2, self.rows, self.classes)
        cosines = (LARGEST_NEGATIVE if self.decided else 0.9) * (u.sum(axis=0) - 1)
        of_targets = self._uniform("targets", self.rows)
        targets = self._apart(0.9 + 0.08 * of_targets, -0.98 + 0.2 * of_targets)
        cosines[np.arange(self.rows), self.target_classes] = targets if self.decided else 1.25 * of_targets - 0.3
        return cosines

    def _apart(self, learnt: FloatArray | float, hard: FloatArray | float) -> FloatArray:
        """Return one of two numbers for each row: every second row is learnt, the others are hard."""
        return np.where(np.arange(self.rows) % 2 == 0, learnt, hard)

    def _vectors(self) -> tuple[FloatArray, FloatArray]:
        """Return embeddings and weights; an embedding lies nearer to the weights of its class than to others.

        In a decided batch every second one points away from it.
        """
        weights = 2 * self._uniform("weights", self.classes * self.dimensions).reshape(self.classes, -1) - 1
        noise = 2 * self._uniform("embeddings", self.rows * self.dimensions).reshape(self.rows, -1) - 1
        share = self._apart(3.0, -2.0)[:, None] if self.decided else 0.7
        embeddings = share * weights[self.target_classes] + noise
        return self._lengths("embeddings", 10) * embeddings, self._lengths("weights", 5) * weights

    def _lengths(self, what: str, most: int) -> FloatArray:
        """Return a factor for each row, shape (N, 1): between 2^-most and 2^most.

        At most 2 in decided batches: float16 holds the sum of squares of 600 components only if they are small.
        """
        most = 1 if self.decided else most
        rows = self.rows if what == "embeddings" else self.classes
        return np.exp2(most * (2 * self._uniform(f"lengths of {what}", rows)[:, None] - 1))

    def _uniform(self, what: str, size: int) -> FloatArray:
        return uniform(f"{self.name}/{what}", size)


def batches(
    variant: str,
    seed: int,
    number: int,
    is_head: bool,
    digits: int,
    layouts: Sequence[str],
    usual: bool,
    decided: bool = False,
) -> Iterator[Batch]:
    """Yield the batches of a seed.

    Parameters
    ----------
    variant : str
        The name in `VARIANTS`.
    seed, number : int
        Which batches, and how many.
    is_head : bool
        Whether the candidate takes embeddings and weights.
    digits : int
        How many significant bits the inputs may have, so that they are exact in the format of the computation.
    layouts : sequence of str
        The layouts that the candidate's framework knows.
    usual : bool
        Whether the parameters are those of the core pack, and the cotangents of few digits: every format holds them.
    decided : bool
        Whether targets lie far from the negatives, and most scales are small, for formats of few digits.
    """
    shapes = list(_shapes(f"{variant}/{seed}"))
    for i in range(number):
        around = i + i // len(shapes)  # so that a shape meets another dtype and layout each time it comes up
        rows, classes, dimensions = shapes[i % len(shapes)]
        labels = LABELS[around % len(LABELS)]
        if decided and classes > 16 * dimensions:
            dimensions = DECIDED_DIMENSIONS
        plain = Batch(
            f"{variant}/{seed}/{i}", rows, classes, dimensions if is_head else 0, classes,
            PATTERNS[around % len(PATTERNS)], labels, COTANGENTS[(i // 2) % len(COTANGENTS)],
            layouts[(around // 2) % len(layouts)] if layouts else PLAIN, digits, usual_parameters(variant),
            decided,
        )  # fmt: skip
        few = replace(plain, cotangents="few" if plain.cotangents == "drawn" else plain.cotangents)
        batch = few if usual else replace(plain, parameters=_parameters(variant, plain.name, around))
        if decided:
            s = SMALL_SCALES[(around // 2) % len(SMALL_SCALES)]
            batch = replace(batch, parameters={**batch.parameters, "s": s})
        yield _with_uint8(batch) if labels == "uint8" else batch


def _rounded(values: FloatArray, digits: int) -> FloatArray:
    """Return numbers rounded to some significant bits."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(fractions, digits)), exponents - digits)


def rounded(value: float, digits: int) -> float:
    """Return a number rounded to some significant bits."""
    return float(_rounded(np.array(value), digits))


def usual_parameters(variant: str) -> dict[str, float]:
    """Return the first set of parameters of the core pack, at s = 16."""
    return parameters(VARIANTS[variant], DYADIC, 16.0, 3)


def _with_uint8(batch: Batch) -> Batch:
    """Return a batch with uint8 labels, all below 256; an all-equal batch has label 255 or the last class."""
    return replace(batch, highest=min(batch.classes, UINT8_CLASSES))


def _shapes(name: str) -> Iterator[tuple[int, int, int]]:
    """Yield B, C and D of the shapes of a seed, drawn between their bounds; C or D of 0 are as large as B."""
    for i, bounds in enumerate(SHAPES):
        drawn = [
            low + int(u * (high - low + 1))
            for (low, high), u in zip(bounds, uniform(f"{name}/{i}", 3).tolist(), strict=False)
        ]
        yield drawn[0], drawn[1] or drawn[0], drawn[2] or drawn[0]


def _parameters(variant: str, name: str, number: int) -> dict[str, float]:
    """Return parameters as trainings have them: of full digits, neutral ones, weak and strong emphases among them."""
    draws, drawn = iter(uniform(f"{name}/parameters", MOST_PARAMETERS).tolist()), dict[str, float]()
    for parameter, default in VARIANTS[variant].parameters.items():
        u = next(draws)
        drawn[parameter] = 1 + int(4 * u) if isinstance(default, int) else _value(parameter, u, number)
    return drawn


def _value(parameter: str, u: float, number: int) -> float:
    """Return a value of a parameter from a number u between 0 and 1; each fifth or so is neutral."""
    match parameter:
        case "s":
            return 1.0 if number % 7 == 3 else math.exp(u * math.log(100))
        case "t":
            return (1 + 0.2 * u, 1 + 2 * u, 1.0, 8 + 8 * u)[number % 4]
        case "m1":
            return 1.0 if number % 5 == 2 else 0.9 + 0.6 * u
        case _:
            return 0.0 if number % 5 == 1 else {"m": 0.8, "m2": 0.5, "m3": 0.3}[parameter] * u


@functools.lru_cache(maxsize=256)  # every check of a variant asks the same batches
def uniform(name: str, size: int) -> FloatArray:
    """Return numbers in [0, 1), multiples of 2^-53, which follow from a name; the array is read-only."""
    bits = hashlib.shake_256(name.encode()).digest(8 * size)
    drawn = (np.frombuffer(bits, ">u8") >> 11).astype(np.float64) * 2.0**-53
    drawn.flags.writeable = False
    return drawn
