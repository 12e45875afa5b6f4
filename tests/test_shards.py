"""A head whose classes are held by several processes, which tell each other three things only."""

from __future__ import annotations

import multiprocessing
from functools import reduce
from multiprocessing.connection import Connection

import numpy as np
import pytest

import svref
from svref.engine import kernels
from svref.head import shards
from svref.head.shards import Shard
from svref.reference import softplus

RNG = np.random.default_rng(31)
CLASSES = 90
X = RNG.normal(size=(8, 12))
W = RNG.normal(size=(CLASSES, 12))
LABELS = np.array([0, 29, 30, 31, 89, 60, 60, 4])
W[LABELS] += 2 * X
G = np.full(8, 1 / 8)
RANGES = [range(30), range(30, 31), range(31, 90)]


def rank(pipe: Connection, loss: svref.SVXSoftmax, weights: np.ndarray, labels: np.ndarray) -> None:
    """Be one process of a model-parallel head: three lines, and three messages each way."""
    shard = Shard.of(loss, X, weights, labels)
    pipe.send(shard.targets())
    targets = pipe.recv()
    kept = shard.negatives(targets)
    pipe.send(kept.mass)
    mass = pipe.recv()
    pipe.send(shard.gradients(targets, mass, G, kept))


@pytest.mark.parametrize("name", ["sv-softmax", "sv-arc-softmax"])
def test_processes_that_exchange_three_things_are_the_head(name: str) -> None:
    loss, context = svref.VARIANTS[name].factory(s=24.0), multiprocessing.get_context("spawn")
    pipes, ranks = zip(*(context.Pipe() for _ in RANGES), strict=True)
    processes = [
        context.Process(target=rank, args=(pipe, loss, W[list(held)], shards.positions(LABELS, held)))
        for pipe, held in zip(ranks, RANGES, strict=True)
    ]
    for process in processes:
        process.start()
    targets = sum(pipe.recv() for pipe in pipes)
    for pipe in pipes:
        pipe.send(targets)
    mass = reduce(kernels.merge, [pipe.recv() for pipe in pipes])
    for pipe in pipes:
        pipe.send(mass)
    parts = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
        process.close()
    assert_the_head(loss, W, LABELS, mass, parts)


def assert_the_head(loss: svref.SVXSoftmax, w: np.ndarray, labels: np.ndarray, mass: kernels.Mass, parts: list) -> None:
    value, whole = svref.head.value_and_grad(loss, X, w, labels)
    by_x = shards.by_embeddings(X, sum(part[0] for part in parts))
    by_w = np.concatenate([part[1] for part in parts])
    np.testing.assert_allclose(softplus(kernels.log_odds_against(mass)).mean(), value, rtol=1e-14)
    np.testing.assert_allclose(by_x, whole.embeddings, rtol=0, atol=1e-14 * np.abs(whole.embeddings).max())
    np.testing.assert_allclose(by_w, whole.weights, rtol=0, atol=1e-14 * np.abs(whole.weights).max())


def test_sampled_classes_are_the_head_of_the_sample() -> None:
    """PartialFC: each shard keeps the classes of the batch and a sample of its others, in an order of its own."""
    loss = svref.sv_am_softmax(s=24.0)
    samples = []
    for held in RANGES:
        positive = np.intersect1d(LABELS, held)
        others = np.setdiff1d(held, positive)
        samples.append(RNG.permutation(np.concatenate([positive, RNG.choice(others, len(others) // 3, replace=False)])))
    parts = [Shard.of(loss, X, W[sample], shards.positions(LABELS, sample)) for sample in samples if len(sample)]
    targets = sum(part.targets() for part in parts)
    kept = [part.negatives(targets) for part in parts]
    mass = reduce(kernels.merge, [part.mass for part in kept])
    results = [part.gradients(targets, mass, G, mine) for part, mine in zip(parts, kept, strict=True)]
    sample = np.concatenate(samples)
    assert_the_head(loss, W[sample], shards.positions(LABELS, sample), mass, results)


def test_a_shard_shows_its_cosines() -> None:
    held = range(20, 70)
    shard = Shard.of(svref.sv_arc_softmax(), X, W[20:70], shards.positions(LABELS, held))
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (X, W)]
    whole = unit[0] @ unit[1].T
    targets = np.stack([whole[np.arange(8), LABELS], np.zeros(8)])
    np.testing.assert_allclose(shard.cosines(targets), whole[:, 20:70], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("weights", "labels", "error", "message"),
    [
        (W[:3, :5], np.zeros(8, int), ValueError, r"embeddings \(B, D\) and weights \(C, D\) must share D"),
        (W[:3].astype("f4"), np.zeros(8, int), TypeError, "embeddings and weights must share one dtype"),
        (W[:3], np.full(8, 3), ValueError, r"labels must be class indices below C = 3; got labels\[0\] = 3"),
        (0 * W[:3], np.zeros(8, int), ValueError, "weights must have no zero row"),
    ],
)
def test_a_shard_of_bad_arrays_is_refused(weights: np.ndarray, labels: np.ndarray, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Shard.of(svref.sv_softmax(), X, weights, labels)


def test_a_class_is_held_once() -> None:
    with pytest.raises(ValueError, match="classes must be distinct: a shard holds a class once; got 7 twice"):
        shards.positions([1, 2], [7, 3, 7])


def test_a_small_cotangent_scales_the_gradients_and_loses_nothing() -> None:
    """The weights of the last class are so short that its gradient is a normal number, though its share is e^-462."""
    angles, power = np.array([2.875, 1.0, 3.125]), -415  # 2^-415 is about 1e-125
    x, w = np.array([[1.0, 0.0]]), np.stack([np.cos(angles), np.sin(angles)], axis=1)
    w[2] *= 2.0**-200
    held, loss = (range(2), range(2, 3)), svref.softmax(s=300.0)
    parts = [Shard.of(loss, x, w[list(classes)], shards.positions([0], classes)) for classes in held]
    targets = sum(part.targets() for part in parts)
    mass = reduce(kernels.merge, [part.negatives(targets).mass for part in parts])
    one, small = (parts[1].gradients(targets, mass, np.array([g]))[1] for g in (1.0, 2.0**power))
    assert (np.abs(small) > 1e-270).all()
    np.testing.assert_array_equal(small, np.ldexp(one, power))
