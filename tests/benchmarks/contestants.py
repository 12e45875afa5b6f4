"""Who is measured: svref, the peers and the floors, each as a call that is complete when it returns."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.cases import Problem, S, loss
from svref import head
from svref.engine import threads

Outcome = tuple[float, list[NDArray[Any]]]


class Contestant(NamedTuple):
    """A call, and what turns its raw result into the loss and the gradients by each array; None for a floor."""

    run: Callable[[], Any]
    read: Callable[[Any], Outcome] | None


class Peer(NamedTuple):
    """A framework's way to compute the loss: the module it needs, the extra that installs it, and how to set it up."""

    module: str
    extra: str
    setup: Callable[[Problem], peers.Calls]

    @property
    def installed(self) -> bool:
        """Whether the module can be imported."""
        return importlib.util.find_spec(self.module) is not None


PEERS = {
    "torch eager": Peer("torch", "torch", peers.torch_eager),
    "torch.compile": Peer("torch", "torch", peers.torch_compile),
    "JAX jit": Peer("jax", "jax", peers.jax_jit),
    "TensorFlow XLA": Peer("tensorflow", "tensorflow", peers.tensorflow_xla),
}
OURS = ("svref", "svref, fresh")
LEAN = "svref, memory=0"  # a head that computes the cosines twice rather than keep them
FLOORS = {"cosine": "np.exp", "head": "three products"}


def names(level: str) -> list[str]:
    """Return all contestants of a level, in the order of the tables."""
    return [*OURS, *PEERS, FLOORS[level]]


def missing(name: str) -> str | None:
    """Return what to say of a peer that is not installed."""
    if name not in PEERS or PEERS[name].installed:
        return None
    return f"not installed (pip install 'svref[{PEERS[name].extra}]')"


def enter(name: str, problem: Problem) -> Contestant:
    """Return a contestant, ready to run on the problem."""
    if name in PEERS:
        return Contestant(*PEERS[name].setup(problem))
    if name == "np.exp":
        return Contestant(bare_exp(problem), None)
    if name == "three products":
        return Contestant(bare_products(problem), None)
    return svref_call(name, problem)


def svref_call(name: str, problem: Problem) -> Contestant:
    """Return svref: with out= that is used again, with a fresh gradient each time, or with little memory."""
    arrays, labels = problem.arrays, problem.labels
    options: dict[str, Any] = {} if name == "svref, fresh" else {"out": problem.out}
    if name != "svref, fresh" and problem.out is None:
        options["out"] = np.empty_like(arrays[-1])
    if name == LEAN:
        options["memory"] = 0
    function = loss()
    if len(arrays) == 1:
        return Contestant(
            lambda: function.value_and_grad(arrays[0], labels, **options), lambda r: (float(r[0]), [r[1]])
        )
    x, w = arrays
    return Contestant(
        lambda: head.value_and_grad(function, x, w, labels, **options),
        lambda r: (float(r[0]), [r[1].embeddings, r[1].weights]),
    )


def bare_exp(problem: Problem) -> Callable[[], None]:
    """Return np.exp over the scaled gaps s (c - f), in the blocks and on the threads of svref, and nothing else."""
    c = problem.arrays[0]
    r = c - c[np.arange(len(c)), problem.labels][:, None]
    r *= S
    out = np.empty_like(c)
    bands, workers = threads.bands(c.shape, c.itemsize)

    def band(i: int) -> None:
        rows, into = r[bands[i]], out[bands[i]]
        slices = threads.slices(rows.shape[1], rows.itemsize)
        threads.run(lambda k: np.exp(rows[:, slices[k]], out=into[:, slices[k]]), len(slices))

    return lambda: threads.run(band, len(bands), most=workers)


def bare_products(problem: Problem) -> Callable[[], None]:
    """Return the matrix products that a head cannot do without, into memory that is used again."""
    x, w = problem.arrays
    c, by_x, by_w = np.empty((len(x), len(w)), x.dtype), np.empty_like(x), np.empty_like(w)

    def run() -> None:
        np.matmul(x, w.T, out=c)
        np.matmul(c, w, out=by_x)
        np.matmul(c.T, x, out=by_w)

    return run
