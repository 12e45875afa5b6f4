"""`svref.exact` against the mpmath oracle, last bit by last bit. Run it for the count over all variants and regimes.

python tests/certified.py            all variants and regimes
python tests/certified.py --packs    every expected value of the golden packs that ship
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import oracle
from mpmath import mp, mpf  # type: ignore[import-untyped]
from rows import MARGINS, MORE_MARGINS, REGIMES, batch, spec_of

from svref import SupportVectors, SVXSoftmax, exact, golden
from svref.exact import Certified


def differences(certified: Certified, truth: Any) -> tuple[int, int]:
    """Return how many numbers were compared, and how many are not correctly rounded, in `hi` or in `lo`.

    A slope that does not exist (nan) must be an infinity; those are not counted.
    """
    values = np.asarray(truth, dtype=object)
    assert values.shape == certified.hi.shape
    compared = wrong = 0
    for value, hi, lo, sign in zip(
        values.flat, *(a.flat for a in (certified.hi, certified.lo, certified.remainder)), strict=True
    ):
        if mp.isnan(value):
            assert np.isinf(hi)
            continue
        compared += 1
        wrong += (hi, lo, sign) != _rounded(value)
    return compared, wrong


def _rounded(value: mpf) -> tuple[float, float, int]:
    hi = oracle.to_float([value])[0]
    rest = mp.fsub(value, mpf(hi), exact=True)
    return hi, oracle.to_float([rest])[0], int(mp.sign(rest))


def count(pairs: Iterable[tuple[Certified, Any]]) -> np.ndarray:
    """Return `differences` added up."""
    return np.sum([differences(*pair) for pair in pairs], axis=0)


def cosine_level(loss: SVXSoftmax, cosines: Any, labels: Any, cotangent: Any = None) -> np.ndarray:
    """Return how many numbers were compared, and how many differ."""
    got = exact.evaluate(loss, cosines, labels, cotangent)
    assert not got.unresolved
    found = _against(got, oracle.evaluate(spec_of(loss), cosines, labels, cotangent=cotangent))
    if found[1]:
        with sharper():
            found = _against(got, oracle.evaluate(spec_of(loss), cosines, labels, cotangent=cotangent))
    return found


def _against(got: exact.Truth, truth: oracle.Truth) -> np.ndarray:
    assert got.mask.tolist() == truth.mask
    pairs = [(getattr(got, name), getattr(truth, name)) for name in ("loss", "probabilities", "cosines", "s", "t")]
    return count([*pairs, *((d, truth.margin[name]) for name, d in got.margin.items())])


@contextmanager
def sharper() -> Iterator[None]:
    """Let the oracle take steps that are 10^-440 as long, for slopes such as -s f' (1 - 1e-200) or an exact s/4."""
    precision = oracle._precision

    def finer(*args: Any) -> tuple[int, mpf]:
        digits, step = precision(*args)
        return digits + 1400, step * mpf(10) ** -440

    with mock.patch.object(oracle, "_precision", finer):
        yield


def head_level(loss: SVXSoftmax, x: Any, w: Any, labels: Any, cotangent: Any = None) -> np.ndarray:
    """Return how many numbers were compared, and how many differ."""
    got = exact.evaluate_head(loss, x, w, labels, cotangent)
    truth = oracle.evaluate_head(spec_of(loss), x, w, labels, cotangent=cotangent)
    assert not got.unresolved
    return count((getattr(got, n), getattr(truth, n)) for n in ("loss", "embeddings", "weights"))


def of_vector(v: golden.Vector) -> np.ndarray:
    """Return how many expected values of a golden vector were compared, and how many differ."""
    truth = _oracle_of(v)
    assert v.level == "head" or v.mask.tolist() == truth.mask
    names = ["loss", "s", "t"] if v.level == "cosine" else ["loss", "embeddings", "weights"]
    if v.level == "cosine" and not ("1" in v.case["poles"] and np.isfinite(v.expected["cosines"]).all()):
        names.append("cosines")  # no difference reaches a finite slope at a pole, from both sides
    pairs = [(v.expected[n], v.rest[n], getattr(truth, n)) for n in names]
    pairs += [(v.expected[n], v.rest[n], truth.margin[n[7:]]) for n in v.expected if n.startswith("margin.")]
    return count((Certified(hi, lo, _sign(hi, lo, true)), true) for hi, lo, true in pairs)


def _oracle_of(v: golden.Vector) -> Any:
    arrays = [v.inputs[n] for n in (("cosines",) if v.level == "cosine" else ("embeddings", "weights"))]
    evaluate = oracle.evaluate if v.level == "cosine" else oracle.evaluate_head
    return evaluate(spec_of(v.loss), *arrays, v.labels, cotangent=v.inputs["cotangent"])


def _sign(hi: np.ndarray, lo: np.ndarray, truth: Any) -> np.ndarray:
    """Return the sign of the remainder, which the files do not hold: that of lo, or the truth's own; 0 at a pole."""
    signs = [np.sign(rest) for rest in lo.flat]
    for i, (h, value) in enumerate(zip(hi.flat, np.asarray(truth, dtype=object).flat, strict=True)):
        if signs[i] == 0 and np.isfinite(h):
            signs[i] = mp.sign(mp.fsub(value, mpf(h), exact=True))
    return np.array([int(sign) for sign in signs], np.int8).reshape(hi.shape)


def packs() -> None:
    """Print, pack by pack, how many expected values were compared and how many differ."""
    for name in ("seed", "core", "paper"):
        found = np.zeros(2, int)
        for v in golden.load(pack=name):
            if v.result != "error":
                compared = of_vector(v)
                if compared[1]:
                    with sharper():
                        compared = of_vector(v)
                if compared[1]:
                    print(v.id, compared, flush=True)
                found += compared
        print(f"{name:<18} {found[0]:>7,} numbers, {found[1]} differ", flush=True)


def table() -> None:
    """Print, margin by margin, how many numbers were compared and how many differ."""
    total = np.zeros(2, int)
    for name, margin in {**MARGINS, **MORE_MARGINS}.items():
        found = np.zeros(2, int)
        for s, t in ((1.0, 1.2), (64.0, 1.0), (64.0, 1.2), (4.0, 100.0)):
            for dtype in ("float64", "float32"):
                for regime in set(REGIMES) - ({"very-near-pole"} if dtype == "float32" else set()):
                    loss = SVXSoftmax(margin, SupportVectors(t), s=s)
                    found += cosine_level(loss, *batch(regime, margin, dtype))
        rng = np.random.default_rng(0)
        for s, dtype in ((4.0, "float64"), (64.0, "float32")):
            loss = SVXSoftmax(margin, SupportVectors(1.2), s=s)
            x, w = rng.normal(size=(4, 6)).astype(dtype), rng.normal(size=(5, 6)).astype(dtype)
            found += head_level(loss, x, w, [0, 3, 4, 4], [1.0, -0.5, 0.25, 0.0])
        total += found
        print(f"{name:<18} {found[0]:>7,} numbers, {found[1]} differ", flush=True)
    print(f"{'all':<18} {total[0]:>7,} numbers, {total[1]} differ")


if __name__ == "__main__":
    sys.exit(packs() if "--packs" in sys.argv else table())
