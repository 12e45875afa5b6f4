"""The mistakes of docs/examples/half_public.py, judged by svref, and by the tolerances of public tests.

python tests/public_halves.py            prints the tables of docs/explanation/half-precision.md
python tests/public_halves.py --write    writes them there

The rows of a public test are drawn as that test draws its own, with its sizes where 64 rows say the same as thousands.
The right values are those of a textbook in float64, at the inputs after they were rounded to their format.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import svref
from svref.formats import numpy_dtype
from svref.judging.precision import PRECISIONS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "half-precision.md"
sys.path.append(str(ROOT / "docs" / "examples"))

from half_public import (  # noqa: E402
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    AllFloat16,
    Autocast,
    FilteredGradient,
    Fused,
    GradientTooLarge,
    LabelAsFloat16,
    LossRounded,
    NoMaximum,
    SignFlipped,
    StoredNarrow,
    SumInBfloat16,
    TargetRoundedEarly,
    Tf32Product,
    WithoutSlope,
)

LARGE, LONG = 32_000, 8_192  # classes of a language model, and rows over which its tests take the mean


class Case(NamedTuple):
    """A candidate, what is wrong with it, where that was seen, and how svref is asked."""

    what: str
    seen: str
    candidate: Fused
    precision: str
    loss: str = "am-softmax"

    @property
    def form(self) -> np.dtype:
        """The format of the inputs."""
        return numpy_dtype(PRECISIONS[self.precision].gradient)

    @property
    def right(self) -> Fused:
        """Right code of the same precision: what a test that compares with the framework compares with."""
        eager = {FLOAT32: Fused, FLOAT16: AllFloat16, BFLOAT16: Autocast}
        return eager[self.form]()


LIGER, MODALITIES = "[Liger-Kernel #1268](https://github.com/linkedin/Liger-Kernel/issues/1268)", "[modalities #464](https://github.com/Modalities/modalities/issues/464)"  # fmt: skip
CASES = (
    Case("nothing, under autocast", "", Autocast(), "autocast-bfloat16"),
    Case("nothing, in a fused kernel", "", Fused(), "fused-bfloat16"),
    Case("p_y rounded before 1 is subtracted", LIGER, TargetRoundedEarly(), "autocast-bfloat16"),
    Case("gradient 0 where p < 2^-12", "[ml-cross-entropy](https://github.com/apple/ml-cross-entropy)", FilteredGradient(), "fused-bfloat16"),
    Case("logits stored in bfloat16 on the way", MODALITIES, StoredNarrow(), "fused-bfloat16"),
    Case("losses rounded to bfloat16", MODALITIES, LossRounded(), "autocast-bfloat16"),
    Case("sum of exponentials in bfloat16", "[Paddle #74070](https://github.com/PaddlePaddle/Paddle/pull/74070), in float16", SumInBfloat16(), "autocast-bfloat16"),
    Case("products in TF32", "[triton #1671](https://github.com/triton-lang/triton/issues/1671)", Tf32Product(), "float32"),
    Case("labels as float16", "[gluon-face #28](https://github.com/THUFutureLab/gluon-face/issues/28)", LabelAsFloat16(), "autocast-bfloat16"),
    Case("no maximum taken out, in float16", "[gluon-face #28](https://github.com/THUFutureLab/gluon-face/issues/28)", NoMaximum(), "float16"),
    Case("gradient with the wrong sign", "", SignFlipped(), "autocast-bfloat16"),
    Case("gradient 1.5 times too large", "", GradientTooLarge(), "autocast-bfloat16"),
    Case("slope of the arc margin lost", "[insightface #2309](https://github.com/deepinsight/insightface/issues/2309)", WithoutSlope(), "fused-bfloat16", "arc-softmax"),
)  # fmt: skip


# ---- what public tests accept ---------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """Rows of a test: vectors, or cosines or logits; labels, the parameters, and what each row counts."""

    x: np.ndarray
    w: np.ndarray | None
    labels: np.ndarray
    s: float
    m: float
    weight: float


class Outcome(NamedTuple):
    """The losses, and the gradients of their weighted sum: by the logits, or by both sides of the product."""

    losses: np.ndarray
    gradients: tuple[np.ndarray, ...]


class Test(NamedTuple):
    """A public test: its name, whose it is, its tolerance in words, its rows, and whether it accepts an outcome.

    The last takes the format, the outcome, the right one, and that of the framework in the same format.
    """

    name: str
    whose: str
    tolerance: str
    rows: Callable[[np.random.Generator], Rows]
    accepts: Callable[[str, Outcome, Outcome, Outcome], bool]
    formats: tuple[str, ...] = ("bfloat16", "float16", "float32")

    def asks(self, case: Case) -> bool:
        """Return whether it has a tolerance for the format of a case, and a product or an angle where that has one."""
        has_all = case.loss == "am-softmax" or self.name == "Paddle"
        has_all &= not isinstance(case.candidate, Tf32Product) or self.name in ("sum", "CCE")
        return has_all and case.form.name in self.formats


def of_paddle(rng: np.random.Generator) -> Rows:
    """Return 5 rows of 37 cosines of uniform vectors, s = 2."""
    x, w = rng.uniform(-0.99, 0.99, (5, 41)), rng.uniform(-0.99, 0.99, (37, 41))
    x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, w))
    return Rows(x @ w.T, None, rng.integers(0, 37, 5), 2.0, 0.35, 1 / 5)


def of_liger(rng: np.random.Generator) -> Rows:
    """Return normal logits of 32,000 classes, 64 rows of a mean over 8,192."""
    return Rows(rng.normal(size=(64, LARGE)), None, rng.integers(0, LARGE, 64), 1.0, 0.0, 1 / LONG)


def of_liger_fused(rng: np.random.Generator) -> Rows:
    """Return 141 normal rows of 31 numbers, uniform weights of 123 classes."""
    return Rows(rng.normal(size=(141, 31)), rng.uniform(size=(123, 31)), rng.integers(0, 123, 141), 1.0, 0.0, 1.0)


def of_apple(rng: np.random.Generator) -> Rows:
    """Return a mean over 256 normal rows, half of which are also weights of the 512 classes."""
    x, w = rng.normal(size=(256, 128)) / np.sqrt(128), rng.normal(size=(512, 128))
    w[:128] = x[:128]
    return Rows(x, w, rng.integers(0, 512, 256), 1.0, 0.0, 1 / 256)


def of_flash(rng: np.random.Generator) -> Rows:
    """Return a mean over 64 rows of normal logits of 4,096 classes."""
    return Rows(rng.normal(size=(64, 4096)), None, rng.integers(0, 4096, 64), 1.0, 0.0, 1 / 64)


def within(got: np.ndarray, right: np.ndarray, atol: float, rtol: float) -> bool:
    return bool((np.abs(got - right) <= atol + rtol * np.abs(right)).all())


def paddle_accepts(form: str, got: Outcome, right: Outcome, eager: Outcome) -> bool:
    """Return whether losses are off by at most 5e-2, and gradients by 60 %; in float32 5 %.

    A gradient below 1e-2, in float16 and float32 below 1e-3, may be off by 0.6 or 0.05 of 1.
    """
    atol, share = (1e-5, 5e-2) if form == "float32" else (5e-2, 0.6)
    size = np.abs(right.gradients[0])
    size = np.where(size < (1e-2 if form == "bfloat16" else 1e-3), 1.0, size)
    return within(got.losses, right.losses, atol, 0) and bool(
        (np.abs(got.gradients[0] - right.gradients[0]) <= share * size).all()
    )


def close(tolerances: dict[str, tuple[float, float]]) -> Callable[[str, Outcome, Outcome, Outcome], bool]:
    """Return a test by atol and rtol of the reduced loss and the gradients; by format."""

    def accepts(form: str, got: Outcome, right: Outcome, eager: Outcome) -> bool:
        pairs = [(got.losses.sum(), right.losses.sum()), *zip(got.gradients, right.gradients, strict=True)]
        return all(within(a, b, *tolerances[form]) for a, b in pairs)

    return accepts


def apple_accepts(form: str, got: Outcome, right: Outcome, eager: Outcome) -> bool:
    """Return whether the errors of the gradients exceed those of the framework by no more than a number."""
    tol = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 1e-2}[form]
    trios = zip(got.gradients, right.gradients, eager.gradients, strict=True)
    return all(bool((np.abs(a - b) <= np.abs(c - b) + tol).all()) for a, b, c in trios)


def twice_accepts(form: str, got: Outcome, right: Outcome, eager: Outcome) -> bool:
    """Return whether the largest error is at most twice that of the framework."""
    trios = zip((got.losses, *got.gradients), (right.losses, *right.gradients), (eager.losses, *eager.gradients), strict=True)  # fmt: skip
    return all(bool(np.abs(a - b).max() <= 2 * np.abs(c - b).max()) for a, b, c in trios)


LIGER_CE = {"bfloat16": (1e-8, 5e-2), "float32": (1e-8, 1e-6)}
LIGER_SUM = {"bfloat16": (5.0, 50.0), "float32": (1e-3, 5e-2)}
TESTS = (
    Test("Paddle", "PaddlePaddle, margin_cross_entropy", "loss 5e-2, gradient 60 %; in float32 1e-5, 5 %", of_paddle, paddle_accepts),
    Test("Liger", "Liger-Kernel, cross entropy", "atol 1e-8, rtol 5e-2; in float32 1e-6", of_liger, close(LIGER_CE), tuple(LIGER_CE)),
    Test("sum", "Liger-Kernel, fused linear cross entropy, a sum", "atol 5, rtol 50; in float32 1e-3, 5e-2", of_liger_fused, close(LIGER_SUM), tuple(LIGER_SUM)),
    Test("CCE", "ml-cross-entropy, gradients", "error of PyTorch + 1e-2; in float16 1e-3, in float32 1e-5", of_apple, apple_accepts),
    Test("2 ×", "the rule of FlashAttention's tests", "twice the largest error of PyTorch", of_flash, twice_accepts),
)  # fmt: skip


@np.errstate(all="ignore")
def outcome(candidate: Fused, rows: Rows, form: np.dtype) -> Outcome:
    """Return what a candidate computes of rows, with inputs in a format."""
    x, cotangent = rows.x.astype(form), np.full(len(rows.labels), rows.weight, FLOAT32)
    w = None if rows.w is None else rows.w.astype(form)
    wide = [None if v is None else v.astype(FLOAT32) for v in (x, w)]
    z = x if w is None else candidate.product(wide[0], wide[1].T).astype(candidate.logits_in)
    run = Fused.__call__ if isinstance(candidate, Tf32Product) else type(candidate).__call__
    losses, by = run(candidate, z, rows.labels, s=rows.s, m=rows.m, cotangent=cotangent)
    if w is not None:
        by = by.astype(form).astype(FLOAT32)
        return Outcome(rows.weight * losses.astype(float), (candidate.product(by, wide[1]), candidate.product(by.T, wide[0])))  # fmt: skip
    return Outcome(rows.weight * losses.astype(float), (by.astype(float),))


def truth(rows: Rows, form: np.dtype, is_arc: bool) -> Outcome:
    """Return the same in float64, at the inputs of the format."""
    x, w = (None if v is None else v.astype(form).astype(float) for v in (rows.x, rows.w))
    z, own = (x.copy() if w is None else x @ w.T), (np.arange(len(rows.labels)), rows.labels)
    angle = np.arccos(z[own]) if is_arc else None
    z[own] = np.cos(angle + rows.m) if is_arc else z[own] - rows.m
    z = rows.s * z
    e = np.exp(z - z.max(axis=1, keepdims=True))
    losses = np.log(e.sum(axis=1)) + z.max(axis=1) - z[own]
    by = e / e.sum(axis=1, keepdims=True)
    by[own] -= 1
    by *= rows.s * rows.weight
    if is_arc:
        by[own] *= np.sin(angle + rows.m) / np.sin(angle)
    return Outcome(rows.weight * losses, (by,) if w is None else (by @ w, by.T @ x))


def accepted(case: Case, test: Test) -> str:
    """Return whether a public test accepts a candidate; where it cannot ask it "-"."""
    if not test.asks(case):
        return "-"
    rows, is_arc = test.rows(np.random.default_rng(0)), case.loss == "arc-softmax"
    rows = rows._replace(m=0.5) if is_arc else rows
    right, eager = truth(rows, case.form, is_arc), outcome(case.right, rows, case.form)
    got = outcome(case.candidate, rows, case.form)
    return "passes" if test.accepts(case.form.name, got, right, eager) else "fails"


# ---- the table ------------------------------------------------------------------------------------------------------


def verdict(case: Case) -> str:
    """Return the verdict of svref, with the mistake's name."""
    asked = {"dtype": "float32"} if case.precision == "float32" else {"precision": case.precision}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return svref.check(case.candidate, case.loss, **asked).verdict


def lines() -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| what is wrong | svref | {' | '.join(test.name for test in TESTS)} |"
    yield "|---" * (2 + len(TESTS)) + "|"
    yield from map(line, CASES)


def line(case: Case) -> str:
    """Return the line of one case."""
    cells = [accepted(case, test) for test in TESTS]
    found = re.sub(r"FAIL-AS\((.*)\)", r"FAIL `\1`", verdict(case))
    what = f"{case.what}: {case.seen}" if case.seen else case.what
    return f"| {what} | {found}, {case.precision} | {' | '.join(cells)} |"


def lines_on_tests() -> Iterator[str]:
    """Yield the lines of the table of public tests."""
    yield "| column | test of | its tolerance | its rows |"
    yield "|---|---|---|---|"
    yield from (f"| {test.name} | {test.whose} | {test.tolerance} | {test.rows.__doc__[7:-1]} |" for test in TESTS)


def main() -> None:
    """Print the tables, or write them into their page."""
    for name, lines_of in (("public", lines), ("tests", lines_on_tests)):
        table, text = "\n".join(lines_of()), PAGE.read_text(encoding="utf-8")
        print(table)
        if "--write" in sys.argv:
            shown = re.findall(rf"<!-- table:{name} -->\n\n(.*?)\n\n<!-- /table -->", text, re.DOTALL)[0]
            PAGE.write_text(text.replace(f"{name} -->\n\n{shown}", f"{name} -->\n\n{table}"), encoding="utf-8")


if __name__ == "__main__":
    main()
