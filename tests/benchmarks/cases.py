"""What is measured: shapes, dtypes, masks, and the arrays that go with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import svref

S, M, T = 64.0, 0.35, 1.2
SPREAD = 128  # the cosines of the negatives are those of random directions in so many dimensions
JITTER = {"dense": 0.02, "sparse": 0.05}  # standard deviation of the targets' cosines


def loss() -> svref.SVXSoftmax:
    """Return the loss that everybody computes."""
    return svref.sv_am_softmax(s=S, m=M, t=T)


class Problem(NamedTuple):
    """Arrays to differentiate by (the cosines; or embeddings and weights), labels, and where svref may write."""

    arrays: tuple[NDArray[Any], ...]
    labels: NDArray[np.int64]
    out: NDArray[Any] | None = None


@dataclass(frozen=True)
class Case:
    """One row of a table: a level, a shape, a dtype and a kind of mask."""

    level: str
    B: int
    C: int
    D: int = SPREAD
    dtype: str = "float32"
    mask: str = "sparse"

    @property
    def size(self) -> str:
        """The shape, as tables print it."""
        sizes = (self.B, self.C) if self.level == "cosine" else (self.B, self.D, self.C)
        return " x ".join(f"{n:,}" for n in sizes)

    @property
    def name(self) -> str:
        """What identifies the case."""
        return f"{self.level} {self.size} {self.dtype} {self.mask}"

    def facts(self) -> dict[str, Any]:
        """Return what JSON says of the case."""
        sizes = {"B": self.B, "C": self.C} | ({"D": self.D} if self.level == "head" else {})
        return {"level": self.level, "size": self.size, **sizes, "dtype": self.dtype, "mask": self.mask}

    @property
    def target(self) -> float:
        """The mean cosine of a target.

        Dense: its f = c - m is 0, so half of the negatives exceed it. Sparse, as in training: f is where the target's
        probability is about one half, log C + s²/2D = s f, which few negatives exceed.
        """
        f = 0.0 if self.mask == "dense" else (math.log(self.C) + S * S / (2 * self.D)) / S
        return min(f + M, 0.95)

    def problem(self) -> Problem:
        """Return the arrays; the same case gives the same ones."""
        rng = np.random.default_rng([self.B, self.C, self.D])
        labels = rng.integers(0, self.C, self.B)
        targets = np.clip(self.target + JITTER[self.mask] * rng.standard_normal(self.B), -0.99, 0.99)
        if self.level == "cosine":
            return Problem((self._cosines(rng, labels, targets),), labels)
        weights = rng.standard_normal((self.C, self.D), dtype=np.dtype(self.dtype).type)
        return Problem((embeddings(rng, weights[labels], targets), weights), labels)

    def _cosines(
        self, rng: np.random.Generator, labels: NDArray[np.int64], targets: NDArray[np.float64]
    ) -> NDArray[Any]:
        c = rng.standard_normal((self.B, self.C), dtype=np.dtype(self.dtype).type)
        c *= 1 / math.sqrt(self.D)
        np.clip(c, -1, 1, out=c)
        c[np.arange(self.B), labels] = targets
        return c


def embeddings(rng: np.random.Generator, own: NDArray[Any], targets: NDArray[np.float64]) -> NDArray[Any]:
    """Return embeddings whose cosines with their `own` class weights are `targets`, in otherwise random directions."""
    w = own / np.linalg.norm(own, axis=1, keepdims=True)
    across = rng.standard_normal(own.shape)
    across -= np.sum(across * w, axis=1, keepdims=True) * w
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    cosine = targets[:, None]
    return (math.sqrt(own.shape[1]) * (cosine * w + np.sqrt(1 - cosine * cosine) * across)).astype(own.dtype)


def support_share(problem: Problem) -> float:
    """Return which share of the negatives are support vectors."""
    rows, y = np.arange(len(problem.labels)), problem.labels
    c = problem.arrays[0]
    if len(problem.arrays) == 2:
        x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in problem.arrays)
        c = x @ w.T
    return float(np.count_nonzero(c > c[rows, y][:, None] - M) / (c.size - len(y)))


SIZES = {  # B, C, D
    ("cosine", False): [(128, 1_000, 128), (512, 10_000, 128), (256, 93_431, 128), (64, 1_000_000, 128)],
    ("cosine", True): [(8, 50, 128), (4, 200, 128)],
    ("head", False): [(128, 10_000, 128), (256, 93_431, 512)],
    ("head", True): [(8, 50, 8)],
}


def rows(level: str, quick: bool) -> list[Case]:
    """Return the rows of a level's table; what is compiled for a shape and dtype serves two rows in turn.

    The largest head has sparse masks only: the mask hardly changes the time of a head, and its rows take long.
    """
    cases = [
        Case(level, samples, classes, dimensions, dtype, mask)
        for samples, classes, dimensions in SIZES[level, quick]
        for dtype in ("float32", "float64")
        for mask in ("dense", "sparse")
    ]
    return [case for case in cases if not (case.D == 512 and case.mask == "dense")]


def kept_allocator(quick: bool) -> Case:
    """Return the case that is measured again under other settings of the C library's allocator."""
    return next(case for case in rows("cosine", quick)[::-1] if case.dtype == "float32" and case.C < 10**6)


def memory(quick: bool) -> list[Case]:
    """Return the cases whose memory is measured."""
    if quick:
        return [Case("cosine", 8, 5_000), Case("head", 8, 5_000, 8)]
    return [Case("cosine", 256, 93_431), Case("head", 256, 93_431, 512)]


def stream(quick: bool) -> Case:
    """Return the head whose weights and gradient are memory maps."""
    return Case("head", 8, 20_000, 8) if quick else Case("head", 256, 1_000_000, 128)
