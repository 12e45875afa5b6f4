"""What is measured: shapes, dtypes, how far a head is trained, and the arrays that go with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import svref

S, M, T = 64.0, 0.35, 1.2
SPREAD = 512  # the cosines of the negatives are those of random directions in so many dimensions
JITTER = {"half-trained": 0.05, "converged": 0.03, "uniform": 0.02}  # standard deviation of the targets' cosines


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
    """One row of a table: a level, a shape, a dtype, and how far the head is trained."""

    level: str
    B: int
    C: int
    D: int = SPREAD
    dtype: str = "float32"
    state: str = "half-trained"

    @property
    def size(self) -> str:
        """The shape, as tables print it."""
        sizes = (self.B, self.C) if self.level == "cosine" else (self.B, self.D, self.C)
        return " x ".join(f"{n:,}" for n in sizes)

    @property
    def name(self) -> str:
        """What identifies the case."""
        return f"{self.level} {self.size} {self.dtype} {self.state}"

    def facts(self) -> dict[str, Any]:
        """Return what JSON says of the case."""
        sizes = {"B": self.B, "C": self.C} | ({"D": self.D} if self.level == "head" else {})
        return {"level": self.level, "size": self.size, **sizes, "dtype": self.dtype, "state": self.state}

    @property
    def target(self) -> float:
        """The mean cosine of a target.

        Untrained: that of any random direction, 0, so that nearly all negatives are support vectors. Half-trained: f is
        where the target's probability is about one half, log C + s²/2D = s f, and few negatives exceed it. Converged:
        0.85, and none does. Uniform cosines, which exist in three dimensions, are drawn to stress the ends of the range:
        f is 0, and half of them exceed it.
        """
        if self.state == "half-trained":
            return min((math.log(self.C) + S * S / (2 * self.D)) / S + M, 0.95)
        return {"untrained": 0.0, "converged": 0.85, "uniform": M}[self.state]

    def problem(self) -> Problem:
        """Return the arrays; the same case gives the same ones."""
        rng = np.random.default_rng([self.B, self.C, self.D])
        labels = rng.integers(0, self.C, self.B)
        targets = np.clip(self.target + self._jitter * rng.standard_normal(self.B), -0.99, 0.99)
        if self.level == "cosine":
            return Problem((self._cosines(rng, labels, targets),), labels)
        weights = rng.standard_normal((self.C, self.D), dtype=np.dtype(self.dtype).type)
        return Problem((embeddings(rng, weights[labels], targets), weights), labels)

    @property
    def _jitter(self) -> float:
        """The standard deviation of the targets' cosines."""
        return JITTER.get(self.state, 1 / math.sqrt(self.D))

    def _cosines(
        self, rng: np.random.Generator, labels: NDArray[np.int64], targets: NDArray[np.float64]
    ) -> NDArray[Any]:
        if self.state == "uniform":
            c = rng.random((self.B, self.C), dtype=np.dtype(self.dtype).type)
            c *= 2
            c -= 1
        else:
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
    exceeding = np.count_nonzero(c > c[rows, y][:, None] - M) - len(y)  # a target exceeds its own f
    return float(exceeding / (c.size - len(y)))


SIZES = {  # B, C, D
    ("cosine", False): [(128, 1_000, SPREAD), (512, 10_000, SPREAD), (256, 93_431, SPREAD), (64, 1_000_000, SPREAD)],
    ("cosine", True): [(8, 50, SPREAD), (4, 200, SPREAD)],
    ("head", False): [(128, 10_000, 128), (256, 93_431, 512)],
    ("head", True): [(8, 50, 8)],
}
STATES = {"cosine": ("untrained", "half-trained", "converged", "uniform"), "head": ("untrained", "half-trained")}


def rows(level: str, quick: bool) -> list[Case]:
    """Return the rows of a level's table; what is compiled for a shape and dtype serves several rows in turn.

    The largest shape of a level is measured half-trained only, because its rows take long.
    """
    sizes = SIZES[level, quick]
    return [
        Case(level, samples, classes, dimensions, dtype, state)
        for samples, classes, dimensions in sizes
        for dtype in ("float32", "float64")
        for state in (STATES[level] if quick or (samples, classes, dimensions) != sizes[-1] else ("half-trained",))
    ]


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
