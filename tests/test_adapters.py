"""Right code passes in every framework, eager and compiled, and a planted mistake keeps its name in each."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from formulations import FORMULATIONS, candidate

from svref import golden
from svref.conformance import CandidateError, check
from svref.conformance.candidates.adapters import detect

LOSSES = ["sv-am-softmax", "sv-arc-softmax", "sv-a-softmax", "mv-am-softmax"]
DTYPES = ["float64", "float32"]
HARD = {v.variant: v.id for v in golden.load(pack="paper") if v.group == "hard" and v.parameters["s"] == 30}
PARAMETERS = {"s": 30.0, "m": 0.35, "t": 1.2}
Loss = Callable[..., Any]


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


def spread(*ways: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return every variant in every dtype, with every form and way at least once."""
    pairs = list(itertools.product(LOSSES, DTYPES))
    return [(*pair, *way) for pair, way in zip(pairs, itertools.cycle(ways), strict=False)]


def lifted(name: str, c: Any, t: float) -> Any:
    """Return the negatives with their emphasis, divided by s."""
    return c + (t - 1) if name.startswith("mv-") else t * c + (t - 1)


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def torch_margin(torch: Any, name: str, c: Any, m: float) -> Any:
    if "am-" in name:
        return c - m
    theta = torch.acos(c)
    if "arc" in name:
        return torch.cos(theta + m)
    k = torch.floor(m * theta / np.pi).clamp(max=m - 1).detach()
    return (-1.0) ** k * torch.cos(m * theta) - 2 * k


def torch_logits(torch: Any, name: str, c: Any, y: Any, p: dict[str, float]) -> Any:
    own = y[:, None]
    f = torch_margin(torch, name, c.gather(1, own), p["m"])
    return p["s"] * torch.where(c > f, lifted(name, c, p["t"]), c).scatter(1, own, f)


def torch_by_cross_entropy(torch: Any, name: str) -> Loss:
    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        return torch.nn.functional.cross_entropy(
            torch_logits(torch, name, cosines, labels, p), labels, reduction="none"
        )

    return loss


def torch_by_one_hot(torch: Any, name: str) -> Loss:
    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        hot = torch.nn.functional.one_hot(labels, cosines.shape[1]).to(cosines.dtype)
        return -(hot * torch_logits(torch, name, cosines, labels, p).log_softmax(dim=1)).sum(dim=1)

    return loss


def torch_by_rows(torch: Any, name: str) -> Loss:
    """A loop over the samples, each against the target: log(1 + Σ exp(z_k - z_y)) in place of a log-softmax."""

    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        z = torch_logits(torch, name, cosines, labels, p)
        others = [torch.cat([row[:y], row[y + 1 :]]) - row[y] for row, y in zip(z, labels, strict=True)]
        return torch.stack([torch.logsumexp(torch.cat([r, r.new_zeros(1)]), dim=0) for r in others])

    return loss


TORCH = [torch_by_cross_entropy, torch_by_one_hot, torch_by_rows]


@pytest.mark.parametrize(("name", "dtype", "form"), spread(*((form,) for form in TORCH)))
def test_no_right_torch_formulation_is_rejected(torch: Any, name: str, dtype: str, form: Loss) -> None:
    report = check(form(torch, name), name, dtype=dtype)
    report.raise_if_wrong()
    assert report.header["framework"] == f"torch {torch.__version__.split('+')[0]} cpu"


# --- JAX -------------------------------------------------------------------------------------------------------------


def jax_margin(jax: Any, name: str, c: Any, m: float) -> Any:
    jnp = jax.numpy
    if "am-" in name:
        return c - m
    theta = jnp.arccos(c)
    if "arc" in name:
        return jnp.cos(theta + m)
    k = jax.lax.stop_gradient(jnp.minimum(jnp.floor(m * theta / np.pi), m - 1))
    return (1 - 2 * (k % 2)) * jnp.cos(m * theta) - 2 * k


def jax_logits(jax: Any, name: str, c: Any, y: Any, p: dict[str, float]) -> Any:
    rows = jax.numpy.arange(len(y))
    f = jax_margin(jax, name, c[rows, y], p["m"])
    z = jax.numpy.where(c > f[:, None], lifted(name, c, p["t"]), c)
    return p["s"] * z.at[rows, y].set(f)


def jax_by_log_softmax(jax: Any, name: str) -> Loss:
    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        z = jax_logits(jax, name, cosines, labels, p)
        return -jax.nn.log_softmax(z)[jax.numpy.arange(len(labels)), labels]

    return loss


def jax_by_softplus(jax: Any, name: str) -> Loss:
    """Relative to the target: softplus of the log-sum-exp of the others."""
    jnp = jax.numpy

    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        z, rows = jax_logits(jax, name, cosines, labels, p), jnp.arange(len(labels))
        r = z - z[rows, labels][:, None]
        return jax.nn.softplus(jax.nn.logsumexp(r.at[rows, labels].set(-jnp.inf), axis=1))

    return loss


def jax_by_vmap(jax: Any, name: str) -> Loss:
    """One sample at a time, mapped over the batch."""

    def one(row: Any, label: Any, p: dict[str, float]) -> Any:
        z = jax_logits(jax, name, row[None], label[None], p)[0]
        return jax.nn.logsumexp(z) - z[label]

    return lambda cosines, labels, **p: jax.vmap(one, (0, 0, None))(cosines, labels, p)


JAX = [jax_by_log_softmax, jax_by_softplus, jax_by_vmap]


@pytest.mark.parametrize(("name", "dtype", "form", "how"), spread((JAX[0], "plain"), *((form, "jit") for form in JAX)))
def test_no_right_jax_formulation_is_rejected(jax: Any, name: str, dtype: str, form: Loss, how: str) -> None:
    function = jax.jit(form(jax, name)) if how == "jit" else form(jax, name)
    report = check(function, name, dtype=dtype, pack="paper", case=HARD[name], framework="jax")
    report.raise_if_wrong()
    assert report.header["framework"] == f"jax {jax.__version__} cpu"


# --- TensorFlow ------------------------------------------------------------------------------------------------------


def tf_margin(tf: Any, name: str, c: Any, m: float) -> Any:
    if "am-" in name:
        return c - m
    theta = tf.acos(c)
    if "arc" in name:
        return tf.cos(theta + m)
    k = tf.stop_gradient(tf.minimum(tf.floor(m * theta / np.pi), m - 1))
    return (1 - 2 * (k % 2)) * tf.cos(m * theta) - 2 * k


def tf_logits(tf: Any, name: str, c: Any, y: Any, p: dict[str, float]) -> Any:
    f = tf_margin(tf, name, tf.gather(c, y, batch_dims=1)[:, None], p["m"])
    hot = tf.one_hot(y, tf.shape(c)[1], on_value=True, off_value=False)
    return p["s"] * tf.where(hot, f, tf.where(c > f, lifted(name, c, p["t"]), c))


def tf_by_cross_entropy(tf: Any, name: str) -> Loss:
    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        z = tf_logits(tf, name, cosines, labels, p)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=z)

    return loss


def tf_by_logsumexp(tf: Any, name: str) -> Loss:
    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        z = tf_logits(tf, name, cosines, labels, p)
        return tf.reduce_logsumexp(z, axis=1) - tf.gather(z, labels, batch_dims=1)

    return loss


TF = [tf_by_cross_entropy, tf_by_logsumexp]


@pytest.mark.parametrize(
    ("name", "dtype", "form", "framework"), spread(*itertools.product(TF, ["tensorflow", "tf.function"]))
)
def test_no_right_tensorflow_formulation_is_rejected(
    tensorflow: Any, name: str, dtype: str, form: Loss, framework: str
) -> None:
    report = check(form(tensorflow, name), name, dtype=dtype, pack="paper", case=HARD[name], framework=framework)
    report.raise_if_wrong()
    how = "eager" if framework == "tensorflow" else framework
    assert report.header["framework"] == f"tensorflow {tensorflow.__version__} {how}"


# --- NumPy and array namespaces --------------------------------------------------------------------------------------


# Every variant in every formulation: test_condition.py.
@pytest.mark.parametrize(("name", "dtype", "margin", "loss"), spread(*FORMULATIONS))
def test_no_right_numpy_formulation_is_rejected(name: str, dtype: str, margin: str, loss: str) -> None:
    check(candidate(name, margin, loss), name, dtype=dtype).raise_if_wrong()


def namespace(xp: Any, name: str) -> Loss:
    """A formulation in any namespace of the standard, with its gradient by hand."""

    def loss(cosines: Any, labels: Any, *, cotangent: Any, **p: float) -> tuple[Any, Any]:
        hot = xp.arange(cosines.shape[1])[None, :] == labels[:, None]
        zero = xp.zeros_like(cosines)
        target = xp.sum(xp.where(hot, cosines, zero), axis=1, keepdims=True) - p["m"]
        lift, hard = lifted(name, cosines, p["t"]), cosines > target
        z = p["s"] * xp.where(hot, target, xp.where(hard, lift, cosines))
        highest = getattr(xp, "amax", None) or xp.max  # torch.max with an axis returns a pair
        z = z - highest(z, axis=1, keepdims=True)
        e = xp.exp(z)
        total = xp.sum(e, axis=1, keepdims=True)
        losses = xp.log(total)[:, 0] - xp.sum(xp.where(hot, z, zero), axis=1)
        steep = zero + (1.0 if name.startswith("mv-") else p["t"])
        slope = xp.where(hot, zero + 1.0, xp.where(hard, steep, zero + 1.0))
        gradient = p["s"] * slope * (e / total - xp.where(hot, zero + 1.0, zero))
        return losses, gradient * cotangent[:, None]

    return loss


@pytest.mark.framework
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("module", ["array_api_strict", "torch", "numpy"])
@pytest.mark.parametrize("name", ["sv-am-softmax", "mv-am-softmax"])
def test_a_candidate_of_an_array_namespace_is_right(request: Any, module: str, name: str, dtype: str) -> None:
    xp = np if module == "numpy" else request.getfixturevalue({"array_api_strict": "strict"}.get(module, module))
    report = check(namespace(xp, name), name, dtype=dtype, framework=f"array-api:{module}")
    report.raise_if_wrong()
    assert report.header["framework"] == f"{module} {xp.__version__}"


def test_a_candidate_that_asks_its_arrays_for_their_namespace_needs_no_name() -> None:
    def loss(cosines: Any, labels: Any, *, cotangent: Any, s: float, m: float, t: float) -> tuple[Any, Any]:
        return namespace(cosines.__array_namespace__(), "sv-am-softmax")(
            cosines, labels, cotangent=cotangent, s=s, m=m, t=t
        )

    check(loss, "sv-am-softmax").raise_if_wrong()


# --- which framework it is -------------------------------------------------------------------------------------------


def test_the_framework_is_found_out_where_all_are_loaded(torch: Any, jax: Any, tensorflow: Any) -> None:
    name = "sv-arc-softmax"
    for function, framework in (
        (torch_by_cross_entropy(torch, name), "torch"),
        (jax_by_log_softmax(jax, name), "jax"),
        (jax.jit(jax_by_softplus(jax, name)), "jax"),
        (tf_by_cross_entropy(tensorflow, name), "tensorflow"),
        (tensorflow.function(tf_by_logsumexp(tensorflow, name)), "tensorflow"),
        (candidate(name, "acos", "log_sum_exp"), "numpy"),
    ):
        dtype = np.float32 if framework == "torch" else np.float64
        assert detect(function, "cosine", PARAMETERS, dtype=dtype) == framework


def test_a_candidate_that_returns_its_losses_by_name_is_not_taken_for_numpy(jax: Any, tensorflow: Any) -> None:
    def by_jax(cosines: Any, labels: Any, **p: float) -> dict[str, Any]:
        return {"loss": jax_by_log_softmax(jax, "sv-am-softmax")(cosines, labels, **p)}

    def by_tensorflow(cosines: Any, labels: Any, **p: float) -> dict[str, Any]:
        return {"loss": tf_by_logsumexp(tensorflow, "sv-am-softmax")(cosines, labels, **p)}

    assert detect(by_jax, "cosine", PARAMETERS) == "jax"
    assert detect(by_tensorflow, "cosine", PARAMETERS) == "tensorflow"


def test_a_candidate_for_float32_alone_is_found_out_in_float32(torch: Any) -> None:
    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        if cosines.dtype != torch.float32:
            raise TypeError("float32 alone")
        return torch_by_cross_entropy(torch, "sv-am-softmax")(cosines, labels, **p)

    check(loss, "sv-am-softmax", dtype="float32", pack="paper").raise_if_wrong()
    with pytest.raises(CandidateError, match=r"with torch arrays TypeError: float32 alone.*--framework"):
        check(loss, "sv-am-softmax", dtype="float64", pack="paper")


def test_a_framework_that_only_the_answer_fails_in_is_chosen_so_that_cases_say_so(
    torch: Any, jax: Any, tensorflow: Any
) -> None:
    name = "sv-am-softmax"
    right, by_jax, by_tf = (
        torch_by_one_hot(torch, name),
        jax_by_log_softmax(jax, name),
        tf_by_logsumexp(tensorflow, name),
    )
    numpy_s = candidate(name, "acos", "log_softmax")
    for function, framework, message in (
        (lambda c, y, **p: right(c, y, **p).detach(), "torch", "the losses are detached"),
        (lambda c, y, **p: right(c, y, **p)[:, None], "torch", "Drop the last axis."),
        (lambda c, y, **p: right(c, y, **p).sum().item(), "torch", "must return a tensor of losses; got float"),
        (lambda c, y, **p: by_jax(c, y, **p)[:, None], "jax", "Drop the last axis."),
        (lambda c, y, **p: by_tf(c, y, **p)[:, None], "tensorflow", "Drop the last axis."),
        (lambda c, y, **p: list(numpy_s(c, y, **p)), "numpy", "must return the tuple (losses, grad_cosines); got list"),
        (lambda c, y, **p: None, "numpy", "must return the tuple (losses, grad_cosines); got NoneType"),
    ):
        report = check(function, name, pack="paper", case=HARD[name])
        assert report.verdict == "ERROR"
        assert report.header["framework"].startswith(framework)
        assert message in report.mishaps[0].message


def test_a_candidate_that_hangs_everywhere_is_not_taken_for_numpy(torch: Any) -> None:
    def hangs(cosines: Any, labels: Any, **p: float) -> Any:
        while True:
            pass

    assert detect(hangs, "cosine", PARAMETERS, timeout=0.02) != "numpy"


def test_the_framework_of_code_that_needs_two_rows_is_found_out() -> None:
    def over_the_batch(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Any:
        if len(labels) < 2:
            raise ValueError("expected more than 1 value per channel")
        return np.zeros(len(labels)), np.zeros_like(cosines)

    assert detect(over_the_batch, "cosine", PARAMETERS) == "numpy"


@pytest.mark.framework
def test_a_scalar_of_an_array_namespace_has_its_own_gradient(strict: Any) -> None:
    def mean(cosines: Any, labels: Any, **p: float) -> tuple[Any, Any]:
        losses, gradient = namespace(strict, "sv-am-softmax")(
            cosines, labels, cotangent=strict.ones_like(cosines[:, 0]), **p
        )
        return strict.mean(losses), gradient / labels.shape[0]

    for dtype in DTYPES:
        check(mean, "sv-am-softmax", dtype=dtype, framework="array-api:array_api_strict").raise_if_wrong()


def test_a_decorated_tensorflow_candidate_is_right(tensorflow: Any) -> None:
    @tensorflow.function
    def sv_am(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        return tf_by_cross_entropy(tensorflow, "sv-am-softmax")(cosines, labels, s=s, m=m, t=t)

    report = check(sv_am, "sv-am-softmax", pack="paper", case=HARD["sv-am-softmax"])
    report.raise_if_wrong()
    assert report.header["framework"].startswith("tensorflow ")


def test_finding_the_framework_out_prints_nothing_and_raises_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(cosines: Any, labels: Any, **p: float) -> tuple[Any, Any]:
        print("loud")
        warnings.warn("loud", stacklevel=2)
        return candidate("sv-am-softmax", "acos", "log_softmax")(cosines, labels, **p)

    assert detect(loud, "cosine", PARAMETERS) == "numpy"
    assert capsys.readouterr().out == ""


def test_a_device_is_for_torch_alone() -> None:
    right = candidate("sv-am-softmax", "acos", "log_softmax")
    for framework in ("numpy", "jax", "tensorflow", "tf.function", "array-api:numpy"):
        with pytest.raises(CandidateError, match=rf"device is for PyTorch candidates; {framework} puts its arrays"):
            check(right, "sv-am-softmax", framework=framework, device="cuda")


def test_a_torch_device_that_is_not_there_is_an_error_that_names_it(torch: Any) -> None:
    report = check(torch_by_one_hot(torch, "am-softmax"), "am-softmax", framework="torch", device="meta")
    assert report.verdict == "ERROR"
    assert "meta" in report.header["framework"]


@pytest.mark.parametrize(("framework", "extra"), [("torch", "torch"), ("jax", "jax"), ("tf.function", "tensorflow")])
def test_a_framework_that_is_not_installed_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, framework: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(CandidateError, match=rf"needs {extra}: pip install 'svref\[{extra}\]'"):
        check(lambda cosines, labels, **p: cosines, "sv-am-softmax", framework=framework)


def test_an_array_namespace_that_is_not_there_is_named() -> None:
    with pytest.raises(CandidateError, match="there is no module 'no_such_arrays' whose arrays a candidate takes"):
        check(lambda cosines, labels, **p: cosines, "sv-am-softmax", framework="array-api:no_such_arrays")


# --- mistakes keep their names ---------------------------------------------------------------------------------------


def test_a_planted_mistake_is_named_in_every_framework(torch: Any, jax: Any, tensorflow: Any, strict: Any) -> None:
    name = "sv-am-softmax"
    for make, module, framework in (
        (torch_by_one_hot, torch, "torch"),
        (jax_by_vmap, jax, "jax"),
        (tf_by_logsumexp, tensorflow, "tensorflow"),
        (namespace, strict, "array-api:array_api_strict"),
    ):
        report = check(off_by_one(make(module, name)), name, pack="paper", case=HARD[name], framework=framework)
        assert report.verdict == "FAIL-AS(t-offset)", framework


def off_by_one(right: Loss) -> Loss:
    """Return a candidate that takes the t of the MV papers, and is given that of the SV paper."""
    if "cotangent" in right.__code__.co_varnames:
        return lambda cosines, labels, *, cotangent, t, **p: right(cosines, labels, cotangent=cotangent, t=t + 1, **p)
    return lambda cosines, labels, *, t, **p: right(cosines, labels, t=t + 1, **p)


def test_stages_that_a_compiled_candidate_returns_are_read(jax: Any) -> None:
    def loss(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> dict[str, Any]:
        f = cosines[jax.numpy.arange(len(labels)), labels] - 2 * m
        p = {"s": s, "m": 2 * m, "t": t}
        return {"loss": jax_by_log_softmax(jax, "sv-am-softmax")(cosines, labels, **p), "margin_cosine": f}

    report = check(jax.jit(loss), "sv-am-softmax", pack="paper", case=HARD["sv-am-softmax"])
    assert report.departure is not None
    assert report.departure.stage == "margin_cosine"
    assert report.departure.expected - report.departure.got == pytest.approx(0.35)


def test_a_tensor_of_bfloat16_is_told(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch_by_cross_entropy(torch, "sv-am-softmax")
    options = {"pack": "paper", "framework": "torch", "dtype": "float64", "case": HARD["sv-am-softmax"]}
    report = check(lambda c, y, **p: right(c, y, **p).bfloat16(), "sv-am-softmax", **options)
    assert report.failures[0].note == "returned in bfloat16 where float64 was given"
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    report = check(lambda c, y, **p: right(c, y, **p).bfloat16(), "sv-am-softmax", **options)
    assert "an output is a tensor of bfloat16. NumPy has no bfloat16, it needs ml_dtypes" in report.mishaps[0].message
