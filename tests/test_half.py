"""Candidates in half precision: how each framework is asked, what comes back, and which plans and inputs are refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import run

from svref import VARIANTS, check
from svref.conformance import CandidateError
from svref.conformance.candidates.arrays import ArrayAdapter, to_numpy
from svref.conformance.candidates.call import Call
from svref.conformance.candidates.frameworks import TorchAdapter
from svref.conformance.candidates.halves import sentence_on_halves
from svref.conformance.candidates.planned import product_precision, set_product_precision
from svref.conformance.candidates.process import quietly
from svref.conformance.candidates.written import off_grid
from svref.formats import numpy_dtype
from svref.golden import load
from svref.judging.precision import precision_of

NAME = "sv-am-softmax"
HALVES = ("bfloat16", "float16")
Candidate = Callable[..., Any]
QUICK: dict[str, Any] = {"variations": 2, "invalid": False}
FEW = [v.id for v in load() if v.variant == NAME and v.level == "cosine" and "float16" in v.dtypes and v.expected][:6]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Batches of four rows are not worth waking threads for, which costs PyTorch most of its time."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    yield
    if torch:
        torch.set_num_threads(threads)


def with_softmax_in(softmax: Any, early: bool = False, loss: Any = None) -> Candidate:
    """Return code that stores its logits in the dtype of the cosines, and goes on in another; `early` is a mistake."""

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float, cotangent: Any) -> Any:
        dt, rows = cosines.dtype.type, np.arange(len(labels))
        wide = dt if softmax is None else softmax
        f = cosines[rows, labels] - dt(m)
        mask = cosines > f[:, None]
        mask[rows, labels] = False
        z = np.where(mask, dt(t) * cosines + dt(t - 1), cosines)
        z[rows, labels] = f
        z = (dt(s) * z).astype(wide)
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.astype(np.float32).sum(axis=1, keepdims=True).astype(wide)
        losses = np.log(total[:, 0]) - z[rows, labels]
        p = (e / total).astype(dt if early else wide)
        p[rows, labels] -= p.dtype.type(1)
        p = p * cotangent[:, None].astype(p.dtype)
        return losses.astype(loss or wide), (p.astype(dt) * np.where(mask, dt(t), dt(1)) * dt(s)).astype(dt)

    return candidate


# ---- NumPy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(("plan", "softmax"), [("autocast-", np.float32), ("", None)])
def test_right_code_on_half_arrays_of_numpy_passes(half: str, plan: str, softmax: Any) -> None:
    report = check(with_softmax_in(softmax), NAME, precision=plan + half, **QUICK)
    assert (report.ok, report.header["dtype"], report.header["precision"]) == (True, half, plan + half), str(report)
    assert report.variations is not None
    assert report.variations.failed == 0


@pytest.mark.parametrize("half", HALVES)
def test_code_on_float32_arrays_of_such_numbers_passes_too(half: str) -> None:
    report = check(with_softmax_in(np.float32), NAME, precision=f"autocast-{half}", dtype="float32", **QUICK)
    assert (report.ok, report.header["dtype"]) == (True, "float32"), str(report)


def test_a_target_gradient_that_is_rounded_early_fails() -> None:
    report = check(with_softmax_in(np.float32, early=True), NAME, precision="autocast-bfloat16", **QUICK)
    assert report.verdict.startswith("FAIL")
    assert {f.quantity for f in report.failures} == {"grad_cosines"}


def test_losses_in_half_fail_under_autocast_and_the_note_names_the_plan() -> None:
    wrong = with_softmax_in(np.float32, loss=np.float16)
    report = check(wrong, NAME, precision="autocast-float16", **QUICK)
    assert report.verdict.startswith("FAIL")
    assert report.failures[0].note == "returned in float16 where the plan has float32 for the loss"


def test_the_cotangent_comes_in_the_dtype_of_the_losses() -> None:
    given: dict[str, str] = {}

    def candidate(cosines: Any, labels: Any, *, cotangent: Any) -> Any:
        given[str(cosines.dtype)] = str(cotangent.dtype)
        return np.zeros(len(labels)), cosines

    for plan in ("autocast-bfloat16", "bfloat16"):
        arrays = (np.eye(3).astype(numpy_dtype("bfloat16")),)
        call = Call("", arrays, np.arange(3), np.ones(3), {})
        ArrayAdapter(candidate, plan=precision_of(plan)).run(call)
        assert given.pop("bfloat16") == {"autocast-bfloat16": "float32", "bfloat16": "bfloat16"}[plan]


def test_arrays_that_are_written_into_are_told_in_bfloat16_too() -> None:
    right = with_softmax_in(None)

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float, cotangent: Any) -> Any:
        result = right(cosines, labels, s=s, m=m, t=t, cotangent=cotangent)
        cosines *= 2
        return result

    report = check(candidate, NAME, precision="bfloat16", variations=0, invalid=False)
    assert list(report.remarks) == ["writes into its inputs"]


def test_code_that_takes_no_half_arrays_is_told_what_to_do() -> None:
    right = with_softmax_in(None)

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float, cotangent: Any) -> Any:
        if cosines.dtype not in (np.float32, np.float64):
            raise TypeError(f"cosines must be float32 or float64; got {cosines.dtype}")
        return right(cosines, labels, s=s, m=m, t=t, cotangent=cotangent)

    report = check(candidate, NAME, precision="bfloat16", framework="numpy", variations=0)
    assert report.verdict == "ERROR"
    told = "no case with inputs of bfloat16; for code that takes float32 and rounds inside use --precision bfloat16 --dtype float32"
    assert told in " ".join(str(report).split())


def test_losses_that_are_numbers_of_a_format_name_its_plan() -> None:
    right = with_softmax_in(None)

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float, cotangent: Any) -> Any:
        losses, gradient = right(cosines, labels, s=s, m=m, t=t, cotangent=cotangent)
        return losses.astype(np.float16).astype(np.float32), gradient

    report = check(candidate, NAME, dtype="float32", variations=0)
    assert "float16; --precision float16 --dtype float32 judges by where it rounds" in report.half_precision


# ---- bad input ---------------------------------------------------------------------------------------------------

REFUSED = {
    "autocast-bf16": r"got 'autocast-bf16'; the nearest is 'autocast-bfloat16'\.",
    "fused-bfloat16,logit=float32": r"has the stages vectors, .*; got 'logit=float32'; the nearest is 'logits'\.",
    "float32,logits=bfloat": r"the format of logits must be one of float64, .*; got 'bfloat'; the nearest is 'bfloat16'\.",
    "float32,logits=float8_e5m2": r"the format of logits must be one of float64, float32, float16, bfloat16; got",
}


@pytest.mark.parametrize("plan", REFUSED)
def test_an_unknown_plan_is_refused_with_the_nearest_name(plan: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[plan]):
        check(with_softmax_in(None), NAME, precision=plan)


def test_a_plan_wider_than_the_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the inputs of --precision float64 are float64, which float32 does not hold"):
        check(with_softmax_in(None), NAME, precision="float64", dtype="float32")


def test_a_half_dtype_is_refused_with_its_plan() -> None:
    with pytest.raises(ValueError, match=r"float32 or float64; got bfloat16; half precision is a plan: precision='bf"):
        check(with_softmax_in(None), NAME, dtype="bfloat16")


def test_a_missing_ml_dtypes_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(CandidateError, match=r"^--precision bfloat16: .* ml_dtypes: pip install 'svref\[half\]'\.$"):
        check(with_softmax_in(None), NAME, precision="bfloat16")
    assert check(with_softmax_in(np.float32), NAME, precision="autocast-bfloat16", dtype="float32", **QUICK).ok


def test_the_command_ends_with_2_for_a_plan_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "c.py"
    file.write_text("def f(cosines, labels, *, s, m, t):\n    return cosines[:, 0], cosines\n")
    ended = run("check", f"{file}:f", "--loss", NAME, "--precision", "autocast-bf16")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "the nearest is 'autocast-bfloat16'." in ended.stderr


# ---- files of answers --------------------------------------------------------------------------------------------


def answers(half: str, softmax: Any, write: Callable[[float], Any], loss: str | None = None) -> dict[str, Any]:
    """Return the answers of a program in half precision to the cases on cosines."""
    candidate, found = with_softmax_in(softmax), {}
    dtype = numpy_dtype(half)
    with np.errstate(all="ignore"):
        for v in load():
            if v.variant == NAME and v.level == "cosine" and v.result != "error":
                arrays = v.inputs["cosines"].astype(dtype), v.labels
                outputs = candidate(*arrays, **v.parameters, cotangent=v.inputs["cotangent"])
                named = zip(("loss", "grad_cosines"), outputs, strict=True)
                found[v.id] = {key: [write(float(x)) for x in values.ravel()] for key, values in named}
    head = {"format": "svref-answers/1", "pack": "core", "version": load().version, "producer": "a test", "dtype": half}
    return head | ({"loss_dtype": loss} if loss else {}) | {"answers": found}


def as_hex(number: float) -> str:
    """Return a number as C prints it with %a."""
    return number.hex() if np.isfinite(number) else {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(number)]


def as_decimal(number: float) -> Any:
    """Return a number as C prints it with %.9g."""
    return float(f"{number:.9g}") if np.isfinite(number) else as_hex(number)


def judged(folder: Path, content: dict[str, Any], **options: Any) -> Any:
    (folder / "answers.json").write_text(json.dumps(content))
    return check(str(folder), NAME, **options)


@pytest.mark.parametrize(("half", "write"), [("bfloat16", as_hex), ("float16", as_decimal)])
def test_answers_in_a_half_format_are_judged_by_a_plan(tmp_path: Path, half: str, write: Any) -> None:
    report = judged(tmp_path, answers(half, None, write), precision=half)
    assert (report.ok, report.header["dtype"]) == (True, half), str(report)
    mixed = answers(half, np.float32, write, "float32")
    assert judged(tmp_path, mixed, precision=f"autocast-{half}").ok
    with pytest.raises(
        CandidateError, match=rf"the answers are {half}: say where the program rounds by --precision, one"
    ):
        judged(tmp_path, mixed)


def test_a_number_that_is_none_of_the_format_is_named(tmp_path: Path) -> None:
    content = answers("bfloat16", None, as_hex)
    case = next(iter(content["answers"]))
    content["answers"][case]["loss"][1] = 0.1
    told = (
        rf"answer of {case} must have numbers of bfloat16 in 'loss'; got 0\.1 at 1, nearest is 0\.10009765625; losses"
    )
    with pytest.raises(CandidateError, match=told):
        judged(tmp_path, content, precision="bfloat16")


def test_answers_of_another_half_format_than_the_plan_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CandidateError, match=r"the answers are bfloat16, and the inputs of --precision float16 are float16"
    ):
        judged(tmp_path, answers("bfloat16", None, as_hex), precision="float16")


GRID = [  # a number as it is written, the dtype, and whether it is one of that dtype
    ("0x1.8p-3", "float16", True), ("0x1.801p-3", "float16", False), ("0x1p-24", "float16", True),
    ("0x1p-25", "float16", False), ("0x1p+16", "float16", False), (65504.0, "float16", True), (65520.0, "float16", False),
    (0.0999755859, "float16", True), (0.1, "float16", False), ("0x1.01p0", "bfloat16", False), ("-0x1.02P0", "bfloat16", True),
    (0.1, "float32", True), ("0x1.000002p0", "float32", True), ("0x1.000001p0", "float32", False),
    ("0x1.0000000000001p0", "float64", True), ("0x1.00000000000001p0", "float64", False), ("NaN", "bfloat16", True),
    ("-Infinity", "float16", True), ("0x0p0", "float16", True), ("0x1p9999", "float64", False), ("0x1p-9999", "float64", False),
]  # fmt: skip


@pytest.mark.parametrize(("number", "dtype", "is_held"), GRID)
def test_a_written_number_is_one_of_its_format_or_not(number: float | str, dtype: str, is_held: bool) -> None:
    assert (off_grid([1.0, number], dtype) is None) == is_held


# ---- PyTorch -----------------------------------------------------------------------------------------------------


def of_torch(torch: Any, upcast: bool = False, sum_in_half: bool = False) -> Candidate:
    """Return a function of cosines; `sum_in_half` is a mistake under autocast."""

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        cosines = cosines.float() if upcast else cosines
        own = torch.nn.functional.one_hot(labels.long(), cosines.shape[1]).bool()
        f = cosines.gather(1, labels.long()[:, None]) - m
        z = s * torch.where(own, f, torch.where(cosines > f, t * cosines + (t - 1), cosines))
        if sum_in_half:
            return torch.logsumexp(z, 1) - z.gather(1, labels.long()[:, None])[:, 0]
        return torch.nn.functional.cross_entropy(z, labels.long(), reduction="none")

    return candidate


def head_of_torch(torch: Any) -> Candidate:
    """Return a function of vectors."""
    unit = torch.nn.functional.normalize

    def candidate(embeddings: Any, weights: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        return of_torch(torch)(torch.nn.functional.linear(unit(embeddings), unit(weights)), labels, s=s, m=m, t=t)

    return candidate


TORCH = [("cosine", plan) for plan in ("bfloat16", "float16", "fused-bfloat16")]
TORCH += [("head", plan) for plan in ("autocast-bfloat16", "autocast-float16", "tf32")]


@pytest.mark.parametrize(("level", "plan"), TORCH)
def test_right_code_of_torch_passes_under_every_plan(torch: Any, level: str, plan: str) -> None:
    right = of_torch(torch, upcast="fused" in plan) if level == "cosine" else head_of_torch(torch)
    report = check(right, NAME, precision=plan, **QUICK)
    assert (report.ok, report.header["dtype"]) == (True, precision_of(plan).inputs(level)), str(report)


def test_half_tensors_are_exactly_the_numbers_of_the_question(torch: Any) -> None:
    bits = np.arange(2**16).astype(np.uint16)
    for half in HALVES:
        numbers = bits.view(numpy_dtype(half)).reshape(256, 256)
        seen: list[Any] = []

        def candidate(cosines: Any, labels: Any, seen: list[Any] = seen) -> Any:
            seen.append(to_numpy(cosines))
            return (0 * cosines).sum(1)

        with quietly("in a test"):
            answer = TorchAdapter(candidate).run(Call("", (numbers,), np.zeros(256, int), np.ones(256), {}))
        assert (seen[0].view(np.uint16) == numbers.view(np.uint16)).all()
        assert answer.losses.dtype == numbers.dtype


def test_a_softmax_in_half_fails_under_autocast(torch: Any) -> None:
    half = "bfloat16"
    report = check(of_torch(torch, sum_in_half=True), NAME, precision=f"autocast-{half}", **QUICK)
    assert report.failures[0].note == f"returned in {half} where the plan has float32 for the loss"
    assert check(of_torch(torch, sum_in_half=True), NAME, precision=half, **QUICK).ok


def test_a_target_gradient_rounded_early_in_torch_fails(torch: Any) -> None:
    class Early(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Any, labels: Any) -> Any:
            p = torch.softmax(z.float(), 1)
            ctx.save_for_backward(p.to(z.dtype), labels)
            return -torch.log(p.gather(1, labels[:, None])[:, 0])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            p, labels = ctx.saved_tensors
            return (p - torch.nn.functional.one_hot(labels, p.shape[1])) * g[:, None].to(p.dtype), None

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        own = torch.nn.functional.one_hot(labels, cosines.shape[1]).bool()
        f = cosines.gather(1, labels[:, None]) - m
        return Early.apply(s * torch.where(own, f, torch.where(cosines > f, t * cosines + (t - 1), cosines)), labels)

    report = check(candidate, NAME, precision="autocast-bfloat16", framework="torch", **QUICK)
    assert {f.quantity for f in report.failures} >= {"grad_cosines"}


@pytest.mark.parametrize(
    ("plan", "own"), [("autocast-bfloat16", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16")]
)
@pytest.mark.parametrize("level", ["cosine", "head"])
def test_a_module_has_its_own_parameters_in_the_dtype_of_training(torch: Any, plan: str, own: str, level: str) -> None:
    seen: set[str] = set()

    class Head(torch.nn.Module):
        def __init__(
            self, in_features: int = 4, out_features: int = 3, s: float = 64.0, m: float = 0.35, t: float = 1.2
        ):
            super().__init__()
            self.s, self.m, self.t = s, m, t
            self.bias = torch.nn.Parameter(torch.zeros(1))
            if level == "head":
                self.weight = torch.nn.Parameter(torch.randn(out_features, in_features))

        def forward(self, inputs: Any, labels: Any) -> Any:
            seen.add(str(self.bias.dtype).removeprefix("torch."))
            names = {"s": self.s, "m": self.m, "t": self.t}
            return (head_of_torch(torch)(inputs, self.weight, labels, **names) if level == "head"
                    else of_torch(torch)(inputs, labels, **names))  # fmt: skip

    assert check(Head, NAME, precision=plan, **QUICK).ok
    assert seen - {"float32"} == {own} - {"float32"}


def test_settings_of_torch_are_as_before_whatever_a_candidate_does(torch: Any) -> None:
    def state() -> Any:
        kinds = ("cpu", "cuda")
        return [(torch.is_autocast_enabled(k), torch.get_autocast_dtype(k)) for k in kinds], product_precision(torch)

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        torch.set_float32_matmul_precision("medium")
        for kind in ("cpu", "cuda"):
            torch.set_autocast_enabled(kind, True)
            torch.set_autocast_dtype(kind, torch.float16 if kind == "cpu" else torch.bfloat16)
        raise RuntimeError("why")

    before = state()
    for plan in ("tf32", "autocast-bfloat16", "float16"):
        check(candidate, NAME, precision=plan, framework="torch", variations=0)
        assert state() == before


def test_products_are_in_tf32_forward_and_backward_under_its_plan_alone(torch: Any) -> None:
    seen: set[tuple[str, Any]] = set()

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        seen.add(("forward", product_precision(torch)[0]))
        cosines.register_hook(lambda g: seen.add(("backward", product_precision(torch)[0])))
        return of_torch(torch)(cosines, labels, s=s, m=m, t=t)

    for plan, name in (("tf32", "high"), ("float32", "highest")):
        seen.clear()
        check(candidate, NAME, precision=plan, framework="torch", variations=0)
        assert seen == {("forward", name), ("backward", name)}


def test_the_newer_setting_of_products_is_set_back_too(torch: Any) -> None:
    place = torch.backends.cuda.matmul
    before = product_precision(torch)
    try:
        place.fp32_precision = "tf32"
        check(of_torch(torch), NAME, precision="tf32", variations=0)
        assert place.fp32_precision == "tf32"
    finally:
        set_product_precision(torch, before)
    assert product_precision(torch) == before


def test_what_is_seen_in_torch_names_the_plan(torch: Any) -> None:
    def under_autocast(*arrays: Any, **parameters: float) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return head_of_torch(torch)(*arrays, **parameters)

    def by_hand(*arrays: Any, **parameters: float) -> Any:
        return head_of_torch(torch)(*(a.half() if a.is_floating_point() else a for a in arrays), **parameters).float()

    vectors = np.eye(3, dtype=np.float32)
    call = Call("", (vectors, vectors), np.arange(3), np.ones(3), VARIANTS[NAME].parameters)
    for head, option in (
        (under_autocast, "--precision autocast-bfloat16 judges"),
        (by_hand, "--precision float16 --dtype float32 judges"),
    ):
        assert option in sentence_on_halves(TorchAdapter(head), call, [], None)


# ---- JAX and TensorFlow ------------------------------------------------------------------------------------------


def of_jax(jax: Any, wide: Any = None) -> Candidate:
    """Return a compiled function of cosines, whose softmax is in another dtype."""
    np_ = jax.numpy

    def candidate(cosines: Any, labels: Any, s: float, m: float, t: float) -> Any:
        own = np_.arange(cosines.shape[1])[None] == labels[:, None]
        s, m, t = (np_.asarray(v, cosines.dtype) for v in (s, m, t))
        f = np_.take_along_axis(cosines, labels[:, None], 1) - m
        z = s * np_.where(own, f, np_.where(cosines > f, t * cosines + (t - 1), cosines))
        z = z if wide is None else z.astype(wide)
        return jax.nn.logsumexp(z, axis=1) - np_.take_along_axis(z, labels[:, None], 1)[:, 0]

    return jax.jit(candidate)


@pytest.mark.parametrize(("plan", "wide"), [("autocast-bfloat16", "float32"), ("float16", None)])
def test_right_code_of_jax_passes_and_losses_in_half_fail(jax: Any, plan: str, wide: str | None) -> None:
    report = check(of_jax(jax, wide), NAME, precision=plan, framework="jax", case=FEW)
    assert (report.ok, report.header["dtype"]) == (True, precision_of(plan).gradient), str(report)
    wrong = check(of_jax(jax, None if wide else "float32"), NAME, precision=plan, framework="jax", case=FEW)
    assert {f.note for f in wrong.failures if f.quantity == "loss"} & {
        "returned in bfloat16 where the plan has float32 for the loss", "returned in float32 where float16 was given",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "name"), [("tf32", "tensorfloat32"), ("autocast-bfloat16", "bfloat16"), ("float32", None)]
)
def test_products_of_jax_are_rounded_as_the_plan_says(jax: Any, plan: str, name: str | None) -> None:
    seen = set()

    def candidate(embeddings: Any, weights: Any, labels: Any) -> Any:
        seen.add(jax.config.jax_default_matmul_precision)
        return (embeddings @ weights.T).sum(1)

    from svref.conformance.candidates.frameworks import JaxAdapter

    arrays = (np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    JaxAdapter(candidate, precision_of(plan)).run(Call("", arrays, np.arange(3), np.ones(3), {}))
    assert seen == {name}
    assert jax.config.jax_default_matmul_precision is None


def of_tensorflow(tf: Any, wide: str | None = None) -> Candidate:
    """Return a function of cosines, whose cross entropy is in another dtype."""

    def candidate(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        own = tf.one_hot(labels, cosines.shape[1], on_value=True, off_value=False)
        f = tf.gather(cosines, labels[:, None], batch_dims=1) - m
        z = s * tf.where(own, f, tf.where(cosines > f, t * cosines + t - 1, cosines))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(z, wide or z.dtype))

    return candidate


FRAMEWORKS = ("tensorflow", "tf.function")


@pytest.mark.parametrize(
    ("plan", "wide", "framework"),
    [
        ("autocast-bfloat16", "float32", "tensorflow"),
        ("float16", None, "tensorflow"),
        ("bfloat16", None, "tf.function"),
    ],
)
def test_right_code_of_tensorflow_passes(tensorflow: Any, plan: str, wide: str | None, framework: str) -> None:
    options = {"precision": plan, "framework": framework, "case": FEW}
    report = check(of_tensorflow(tensorflow, wide), NAME, **options)
    assert (report.ok, report.header["dtype"]) == (True, precision_of(plan).gradient), str(report)


def test_losses_in_half_fail_in_tensorflow_too(tensorflow: Any) -> None:
    options = {"precision": "autocast-bfloat16", "framework": "tensorflow", "case": FEW}
    report = check(of_tensorflow(tensorflow), NAME, **options)
    assert report.failures[0].note == "returned in bfloat16 where the plan has float32 for the loss"


def test_layers_of_keras_compute_in_mixed_precision_under_autocast(tensorflow: Any) -> None:
    keras, unit, seen = tensorflow.keras, tensorflow.math.l2_normalize, set()

    class Head(keras.layers.Layer):
        def call(self, x: Any, w: Any) -> Any:
            seen.add((self.compute_dtype, x.dtype.name))
            return unit(x, 1) @ tensorflow.transpose(unit(w, 1))

    def head(embeddings: Any, weights: Any, labels: Any, **parameters: float) -> Any:
        return of_tensorflow(tensorflow, "float32")(Head()(embeddings, weights), labels, **parameters)

    before = keras.mixed_precision.dtype_policy()
    report = check(head, NAME, precision="autocast-bfloat16", framework="tensorflow", variations=0, invalid=False)
    assert (report.ok, seen) == (True, {("bfloat16", "bfloat16")}), str(report)
    assert keras.mixed_precision.dtype_policy() == before
