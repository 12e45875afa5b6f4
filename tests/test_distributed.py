"""The head on Dask: on threads, on two worker processes, and on a worker that dies in mid-run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster

import svref
from svref.head import distributed

LOSS = svref.sv_arc_softmax(s=32.0, m=0.5, t=1.2)
RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 16))
W = RNG.normal(size=(200, 16))
LABELS = np.array([0, 49, 50, 199, 120, 120])
W[LABELS] += 2 * X


def assert_equal_to_the_head(results: tuple, **options: object) -> None:
    value, by_embeddings, by_weights = results
    expected, gradients = svref.head.value_and_grad(LOSS, X, W, LABELS, **options)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    for got, true in ((by_embeddings, gradients.embeddings), (by_weights, gradients.weights)):
        np.testing.assert_allclose(got, true, rtol=0, atol=1e-13 * np.abs(true).max())


def computed(weights: da.Array, **options: object) -> tuple:
    value, gradients = distributed.value_and_grad(LOSS, X, weights, LABELS, **options)
    assert gradients.weights.chunks[0] == weights.chunks[0]
    return dask.compute(value, gradients.embeddings, gradients.weights)


@pytest.mark.parametrize("chunks", [50, 200, 33, (1, 49, 150)], ids=str)
def test_dask_on_threads_is_the_head(chunks: object) -> None:
    assert_equal_to_the_head(computed(da.from_array(W, chunks=(chunks, 16))))


@pytest.mark.parametrize("options", [{"reduction": "none"}, {"reduction": "sum", "ignore_index": 120}], ids=str)
def test_dask_takes_the_options_of_the_head(options: dict[str, object]) -> None:
    assert_equal_to_the_head(computed(da.from_array(W, chunks=(64, 8)).rechunk((64, 16)), **options), **options)


def test_float32_stays_float32_on_dask() -> None:
    value, gradients = distributed.value_and_grad(
        LOSS, X.astype("f4"), da.from_array(W.astype("f4"), chunks=(70, 16)), LABELS
    )
    results = dask.compute(value, gradients.embeddings, gradients.weights)
    assert all(result.dtype == np.float32 for result in results)
    assert (value.dtype, gradients.embeddings.dtype, gradients.weights.dtype) == (np.float32,) * 3


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Two worker processes of one thread each, with a directory of their own."""
    with (
        dask.config.set({"temporary-directory": str(tmp_path), "distributed.worker.memory.spill": False}),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_two_worker_processes_are_the_head(client: Client) -> None:
    weights = da.from_array(W, chunks=(40, 16)).persist()
    assert_equal_to_the_head(computed(weights))
    assert all(client.has_what().values()), "both workers held something"


def kill_once(chunk: np.ndarray, marker: str) -> np.ndarray:
    """Kill the worker that computes the chunk first."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return chunk
    os._exit(1)


def test_a_worker_that_dies_in_mid_run_changes_nothing(client: Client, tmp_path: Path) -> None:
    parts = [da.from_array(W[:120], chunks=(40, 16)), da.from_array(W[120:], chunks=(80, 16))]
    marker = tmp_path / "killed"
    parts[1] = parts[1].map_blocks(kill_once, str(marker), dtype=W.dtype, meta=np.empty((0, 0)))
    before = set(client.scheduler_info()["workers"])
    assert_equal_to_the_head(computed(da.concatenate(parts)))
    assert marker.exists()
    assert set(client.scheduler_info()["workers"]) != before


def test_bad_input_is_refused_before_anything_is_computed() -> None:
    weights = da.from_array(W, chunks=(50, 16))
    with pytest.raises(
        TypeError, match=r"weights must be a dask array; got ndarray\. See svref\.head for NumPy arrays\."
    ):
        distributed.value_and_grad(LOSS, X, W, LABELS)
    with pytest.raises(TypeError, match=r"loss must be an SVXSoftmax, such as svref\.sv_arc_softmax\(\); got 'arc'\."):
        distributed.value_and_grad("arc", X, weights, LABELS)
    with pytest.raises(
        ValueError, match=r"weights must have 2 axes, \(C, D\), and known chunks; got shape \(nan, 16\)"
    ):
        distributed.value_and_grad(LOSS, X, weights[weights[:, 0] > -9], LABELS)
    with pytest.raises(ValueError, match=r"weights must have 2 axes, \(C, D\), and known chunks; got shape \(200,\)"):
        distributed.value_and_grad(LOSS, X, weights[:, 0], LABELS)
    with pytest.raises(ValueError, match=r"embeddings \(B, D\) and weights \(C, D\) must share D"):
        distributed.value_and_grad(LOSS, X[:, :4], weights, LABELS)
    with pytest.raises(ValueError, match=r"labels must be class indices below C = 200; got labels\[0\] = 200"):
        distributed.value_and_grad(LOSS, X, weights, LABELS + 200)


def test_a_bad_chunk_is_refused_when_it_is_computed() -> None:
    bad = W.copy()
    bad[60, 3] = np.nan
    value, _ = distributed.value_and_grad(LOSS, X, da.from_array(bad, chunks=(50, 16)), LABELS)
    with pytest.raises(
        ValueError,
        match=r"in the chunk of weights that begins at class 50: weights must be finite; got weights\[10, 3\] = nan",
    ):
        value.compute(scheduler="synchronous")
