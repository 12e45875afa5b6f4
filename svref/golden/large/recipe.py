"""Large inputs as recipes of integers, which any language can make again: a 64-bit hash of a counter, and ranges.

docs/how-to/large-vectors.md spells the recipe out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svref.arrays import FloatArray, IntArray
from svref.engine import threads
from svref.golden.files import canonical
from svref.golden.files.canonical import Json
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

GRID = 256  # multiples of 1/256 in [-1, 1] are exact in every format, bfloat16 too
BAND = 2**18  # entries at a time: few enough to stay in cache
MOST_SIGNS = 2**27  # projections x classes: their signs are in memory at once, 1 GiB of them
LABELS, TARGETS, COSINES, SIGNS = range(4)  # the streams of a case
GOLDEN, FIRST, SECOND = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def splitmix64(seed: int, counter: Words) -> Words:
    """Return the outputs number `counter`, from 0, of the generator splitmix64 started with `seed`."""
    x = (counter + np.uint64(1)) * GOLDEN + np.array(seed, np.uint64)
    for factor, shift in ((FIRST, 30), (SECOND, 27)):
        x ^= x >> np.uint64(shift)
        x *= factor
    return x ^ (x >> np.uint64(31))


def below(words: Words, n: int) -> Integers:
    """Return whole numbers below n from the upper 32 bits."""
    return (((words >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def below_by_low_bits(words: Words, n: int) -> Integers:
    """Return whole numbers below n from the lower 32 bits."""
    return below(words << np.uint64(32), n)


class Range(NamedTuple):
    """Whole numbers from first to last, in units of 1/256."""

    first: int
    last: int

    def draw(self, words: Words) -> Integers:
        """Return a number of the range for each random word."""
        return self.first + below(words, self.last - self.first + 1)


class Regime(NamedTuple):
    """Where a row has its target, nearly all of its negatives, and the few negatives that stand out."""

    name: str
    target: Range
    crowd: Range
    peaks: Range


CROWD = Range(-64, 64)
REGIMES = (
    Regime("easy", Range(192, 248), CROWD, Range(48, 80)),
    Regime("mixed", Range(96, 192), CROWD, Range(0, 160)),
    Regime("hard", Range(-48, 96), CROWD, Range(64, 224)),
    Regime("opposed", Range(-248, -112), CROWD, Range(64, 240)),
)
COTANGENT = (1.0, -0.5, 2.0, 0.75, 0.0, -1.25, 1.5)  # seven, so that each of the four regimes has rows with each


@dataclass(frozen=True)
class LargeRecipe:
    """The inputs of one large case, before anything is computed.

    Parameters
    ----------
    variant : str
        The name in `VARIANTS`.
    parameters : mapping
        The keyword arguments of the variant's factory.
    rows, classes : int
        B, and C of at least 2; P x C may be at most 2^27, for a P of 4 some 33 million classes.
    seed : int
        The seed of the hash.
    peaks : int, default 12
        How many negatives of a row stand out, on average.
    projections, tabled : int, default 4 and 8
        P, the number of sign vectors; T, the number of first rows whose gradient is given value by value.
    regimes : tuple of Regime
        Row b is of number b modulo their number.
    cotangents : tuple of float
        Row b has number b modulo their number.
    """

    variant: str
    parameters: Mapping[str, float]
    rows: int
    classes: int
    seed: int
    peaks: int = 12
    projections: int = 4
    tabled: int = 8
    regimes: tuple[Regime, ...] = REGIMES
    cotangents: tuple[float, ...] = COTANGENT

    def __post_init__(self) -> None:
        limits = {"rows": (1, 2**31), "classes": (2, 2**31), "seed": (0, 2**53 - 1), "peaks": (0, 2**31),
                  "projections": (1, 64), "tabled": (0, self.rows)}  # fmt: skip
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}; got {getattr(self, name)}.")
        if self.projections * self.classes > MOST_SIGNS:
            raise ValueError(
                f"projections x classes must be at most {MOST_SIGNS:,}; got {self.projections} x {self.classes}."
            )
        if self.variant not in VARIANTS:
            raise ValueError(f"there is no variant {self.variant!r}; there are {', '.join(VARIANTS)}.")
        for regime in self.regimes:
            for part, least in (("target", 1 - GRID), ("crowd", -GRID), ("peaks", -GRID)):
                first, last = getattr(regime, part)
                if not least <= first <= last <= -least:
                    raise ValueError(f"{part} of {regime.name} must ascend within ±{-least}; got {first} to {last}.")

    @property
    def loss(self) -> SVXSoftmax:
        """The loss the case is about."""
        return VARIANTS[self.variant].factory(**self.parameters)

    @property
    def group(self) -> str:
        """The shape, rows x classes."""
        return f"{self.rows}x{self.classes}"

    @property
    def id(self) -> str:
        """The variant, the shape, and eight digits of the recipe's digest."""
        return canonical.case_id(self.variant, self.group, self.to_json())

    @property
    def span(self) -> Range:
        """The first and the last value that a negative may have."""
        ranges = [r for regime in self.regimes for r in (regime.crowd, regime.peaks)]
        return Range(min(r.first for r in ranges), max(r.last for r in ranges))

    @property
    def grid(self) -> FloatArray:
        """The cosines that a negative may have, ascending."""
        return np.arange(self.span.first, self.span.last + 1) / GRID

    @cached_property
    def labels(self) -> IntArray:
        """The target classes, shape (B,)."""
        return below(self._words(LABELS, 0, self.rows), self.classes).astype(np.intp)

    @cached_property
    def targets(self) -> Integers:
        """The targets' cosines times 256, shape (B,)."""
        words = self._words(TARGETS, 0, self.rows)
        targets = np.empty(self.rows, np.int64)
        for i, regime in enumerate(self.regimes):
            targets[i :: len(self.regimes)] = regime.target.draw(words[i :: len(self.regimes)])
        return targets

    @cached_property
    def cotangent(self) -> FloatArray:
        """The cotangent of each row, by which its gradient is multiplied, shape (B,)."""
        return np.resize(np.array(self.cotangents, np.float64), self.rows)

    @cached_property
    def signs(self) -> FloatArray:
        """R, the sign vectors, shape (P, C)."""
        words = self._words(SIGNS, 0, self.classes)
        bits = words >> np.arange(self.projections, dtype=np.uint64)[:, None] & np.uint64(1)
        return 1.0 - 2.0 * bits.astype(np.float64)

    def numerators(self, b: int) -> Integers:
        """Return the cosines of row b times 256, shape (C,)."""
        regime = self.regimes[b % len(self.regimes)]
        numerators = np.empty(self.classes, np.int64)
        for at in threads.even(self.classes, BAND):
            words = self._words(COSINES, b * self.classes + at.start, at.stop - at.start)
            stands_out = below_by_low_bits(words, self.classes) < self.peaks
            numerators[at] = regime.crowd.draw(words)
            numerators[at][stands_out] = regime.peaks.draw(words[stands_out])
        numerators[self.labels[b]] = self.targets[b]
        return numerators

    def cosines(self, dtype: DTypeLike = np.float64, rows: slice = slice(None)) -> FloatArray:
        """Return the cosines of some rows; they are exact in every format."""
        numbers = range(self.rows)[rows]
        cosines = np.empty((len(numbers), self.classes), dtype)

        def fill(i: int) -> None:
            cosines[i] = self.numerators(numbers[i]) / GRID

        threads.run(fill, len(numbers))
        return cosines

    def blocks(self) -> Iterator[slice]:
        """Yield rows in blocks of some megabytes."""
        yield from threads.even(self.rows, max(1, 2 * BAND // self.classes))

    def digests(self) -> dict[str, str]:
        """Return SHA-256 of the little-endian float64 bytes of every input, row by row."""
        whole = {"labels": self.labels, "cotangent": self.cotangent, "signs": self.signs}
        cosines = hashlib.sha256()
        for rows in self.blocks():
            cosines.update(_bytes(self.cosines(rows=rows)))
        return {name: hashlib.sha256(_bytes(x)).hexdigest() for name, x in whole.items()} | {
            "cosines": cosines.hexdigest()
        }

    def to_json(self) -> dict[str, Json]:
        """Return the recipe as the file holds it."""
        regimes = [{name: x if name == "name" else list(x) for name, x in r._asdict().items()} for r in self.regimes]
        single = ("variant", "rows", "classes", "seed", "peaks", "projections", "tabled")
        return {
            **{name: getattr(self, name) for name in single},
            "parameters": dict(self.parameters),
            "regimes": regimes,
            "cotangents": list(self.cotangents),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LargeRecipe:
        """Return a recipe as the file holds it."""
        regimes = tuple(
            Regime(r["name"], Range(*r["target"]), Range(*r["crowd"]), Range(*r["peaks"])) for r in content["regimes"]
        )
        return cls(**{**content, "regimes": regimes, "cotangents": tuple(content["cotangents"])})

    def _words(self, stream: int, first: int, count: int) -> Words:
        """Return `count` outputs of a stream; its seed is output `stream` of the generator seeded by the case."""
        key = int(splitmix64(self.seed, np.array([stream], np.uint64))[0])
        return splitmix64(key, np.arange(first, first + count, dtype=np.uint64))


def _bytes(values: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()
