"""The head in chunks: the same gradients from any chunks, threads and memory; nothing half-written looks whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import svref
from svref import head
from svref.engine import threads
from svref.head import streaming

RNG = np.random.default_rng(21)
LABELS = np.array([0, 900, 901, 899, 42, 42])
X = RNG.normal(size=(6, 24))
W = RNG.normal(size=(901 + 1, 24))
W[LABELS] += 3 * X
LOSS = svref.sv_arc_softmax(s=32.0, m=0.5, t=1.2)
CHUNK = 24 * 8 * 64  # bytes of 64 classes


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", CHUNK)


def assert_same_bits(first: tuple, second: tuple) -> None:
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1].embeddings, second[1].embeddings)
    np.testing.assert_array_equal(first[1].weights, second[1].weights)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", svref.VARIANTS)
def test_chunks_give_the_whole(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, x, w = svref.VARIANTS[name].factory(s=24.0), X.astype(dtype), W.astype(dtype)
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 2**30)
    value, whole = head.value_and_grad(loss, x, w, LABELS, reduction="none")
    monkeypatch.setattr(streaming, "CHUNK_BYTES", CHUNK)
    in_chunks, parts = head.value_and_grad(loss, x, w, LABELS, reduction="none")
    u = float(np.finfo(dtype).eps) / 2
    np.testing.assert_allclose(in_chunks, value, rtol=200 * u)
    for got, true in ((parts.embeddings, whole.embeddings), (parts.weights, whole.weights)):
        np.testing.assert_allclose(got, true, rtol=0, atol=400 * u * np.abs(true).max())


def test_the_bits_depend_neither_on_threads_nor_on_memory(monkeypatch: pytest.MonkeyPatch, small_chunks: None) -> None:
    results = []
    for workers in (1, 2, 5):
        monkeypatch.setattr(threads, "available", lambda workers=workers: workers)
        results += [head.value_and_grad(LOSS, X, W, LABELS, memory=memory) for memory in (0, 2**30)]
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_memory_maps_go_in_and_out(tmp_path: Path, small_chunks: None) -> None:
    stored = np.lib.format.open_memmap(tmp_path / "w.npy", "w+", W.dtype, W.shape)
    stored[:] = W
    stored.flush()
    weights = np.load(tmp_path / "w.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "gradient.npy", "w+", W.dtype, W.shape)
    value, gradients = head.value_and_grad(LOSS, X, weights, LABELS, out=out)
    assert gradients.weights is out
    assert_same_bits((value, gradients), head.value_and_grad(LOSS, X, W, LABELS))
    np.testing.assert_array_equal(np.load(tmp_path / "gradient.npy"), out)
    read_only = np.load(tmp_path / "gradient.npy", mmap_mode="r")
    with pytest.raises(
        ValueError, match=r"out must be writeable; got a read-only array\. Open the memory map with mode 'r\+'"
    ):
        head.value_and_grad(LOSS, X, weights, LABELS, out=read_only)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        head.value_and_grad(LOSS, X, out, LABELS, out=out)


def test_progress_counts_the_classes_of_both_passes(small_chunks: None) -> None:
    seen: list[tuple[int, int]] = []
    head.value_and_grad(LOSS, X, W, LABELS, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 20
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (2 * len(W), 2 * len(W))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_leaves_nothing_that_looks_whole(
    workers: int, monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    monkeypatch.setattr(threads, "available", lambda: workers)
    out, true = np.zeros_like(W), head.value_and_grad(LOSS, X, W, LABELS)[1].weights

    def interrupt(done: int, total: int) -> None:
        if done > 0.75 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        head.value_and_grad(LOSS, X, W, LABELS, out=out, progress=interrupt)
    chunks = threads.even(len(W), 64)
    complete = [not np.isnan(out[part.start]).any() for part in chunks]
    for part, whole in zip(chunks, complete, strict=True):
        assert np.array_equal(out[part], true[part]) == whole, "a chunk that is not complete begins with NaN"
    assert any(complete)
    if threads == 1:  # other threads may have finished what was handed out
        assert not all(complete)


def test_a_step_made_while_a_head_works_keeps_its_mask(small_chunks: None) -> None:
    cosines = RNG.uniform(-1, 1, (2, 3, 40))
    steps = []
    head.value_and_grad(
        LOSS,
        X,
        W,
        LABELS,
        progress=lambda done, total: steps.append(LOSS.forward(cosines[int(done == total)], [0, 1, 2])),
    )
    np.testing.assert_array_equal(steps[0].mask, LOSS.forward(cosines[0], [0, 1, 2]).mask)


def assert_marked(out: np.ndarray) -> None:
    """Every chunk begins with NaN, and nothing else was written."""
    starts = [part.start for part in threads.even(len(W), 64)]
    assert np.flatnonzero(np.isnan(out).all(axis=1)).tolist() == starts
    assert not np.delete(out, starts, axis=0).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"memory": -1}, ValueError, r"memory must be at least 0 and finite; got memory=-1\."),
        ({"memory": "1 GiB"}, TypeError, r"memory must be a real number; got memory='1 GiB' \(str\)\."),
        ({"progress": True}, TypeError, r"progress must be a function of two integers, done and total; got True\."),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        head.value_and_grad(LOSS, X, W, LABELS, **options)


def test_an_interrupt_before_the_gradient_leaves_the_output_marked(small_chunks: None) -> None:
    out = np.zeros_like(W)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        head.value_and_grad(LOSS, X, W, LABELS, out=out, progress=interrupt)
    assert_marked(out)


@pytest.mark.parametrize(
    ("row", "value", "message"),
    [
        (500, np.nan, r"weights must be finite; got weights\[500, 2\] = nan \(1 of 21648 entries\)"),
        (500, np.inf, r"weights must be finite; got weights\[500, 2\] = inf"),
        (42, -np.inf, r"weights must be finite; got weights\[42, 2\] = -inf"),
        (500, 0.0, r"weights must have no zero row: .*; got weights\[500\] = 0 \(1 of 902 rows\)"),
        (42, 0.0, r"weights must have no zero row: .*; got weights\[42\] = 0"),
    ],
)
def test_a_bad_chunk_is_found_before_any_gradient_is_written(
    row: int, value: float, message: str, small_chunks: None
) -> None:
    w, out = W.copy(), np.zeros_like(W)
    w[row, 2 if value else slice(None)] = value
    with pytest.raises(ValueError, match=message), np.errstate(invalid="ignore"):
        head.value_and_grad(LOSS, X, w, LABELS, out=out)
    if row != 42:  # the classes of the labels are checked before anything else
        assert_marked(out)


STREAM = """
import sys, threading, time
import numpy as np, svref
path, classes = sys.argv[1], int(sys.argv[2])
x = np.random.default_rng(0).standard_normal((256, 128), dtype=np.float32)
w = np.load(path + "/w.npy", mmap_mode="r")
out = np.load(path + "/gradient.npy", mmap_mode="r+")
labels = np.random.default_rng(1).integers(0, classes, 256)
anonymous = lambda: int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1]) * 1024
svref.head.value_and_grad(svref.sv_arc_softmax(), x[:2], x[2:9], [0, 1])
before, peak, over = anonymous(), 0, threading.Event()
def watch():
    global peak
    while not over.wait(0.002):
        peak = max(peak, anonymous())
watcher = threading.Thread(target=watch)
watcher.start()
svref.head.value_and_grad(svref.sv_arc_softmax(), x, w, labels, out=out, memory=2**24)
over.set()
watcher.join()
print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc on this platform")
def test_memory_stays_small_however_many_classes_there_are(tmp_path: Path) -> None:
    classes = 60_000
    for name in ("w", "gradient"):
        array = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (classes, 128))
        array[:] = RNG.standard_normal(array.shape, dtype=np.float32)
        array.flush()
    command = [sys.executable, "-c", STREAM, str(tmp_path), str(classes)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert int(result.stdout) < 128 * 2**20, "cosines alone would take 61 MB, weights and gradient 31 MB each"
    gradient = np.load(tmp_path / "gradient.npy")
    assert np.isfinite(gradient).all()
