"""Right code passes in every framework, eager and compiled, and a planted mistake keeps its name in each."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulations import FORMULATIONS, candidate

from svref.conformance import check

LOSSES = ["sv-am-softmax", "sv-arc-softmax", "sv-a-softmax", "mv-am-softmax"]
DTYPES = ["float64", "float32"]
PARAMETERS = {"s": 30.0, "m": 0.35, "t": 1.2}
Loss = Callable[..., Any]


def installed(name: str, title: str) -> Any:
    """Return a framework, or skip; its import may warn, which is none of svref's business."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        if os.environ.get("SVREF_REQUIRE_FRAMEWORKS") == "1":
            raise
        pytest.skip(f"{title} is not installed")


@pytest.fixture
def jax() -> Any:
    """JAX, or a counted skip; SVREF_REQUIRE_FRAMEWORKS=1 makes its absence a failure."""
    return installed("jax", "JAX")


@pytest.fixture
def tensorflow() -> Any:
    """TensorFlow, or a counted skip; SVREF_REQUIRE_FRAMEWORKS=1 makes its absence a failure."""
    return installed("tensorflow", "TensorFlow")


@pytest.fixture
def strict() -> Any:
    """The strict namespace of the array API, or a counted skip."""
    return installed("array_api_strict", "array-api-strict")


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


def torch_compiled(torch: Any, name: str) -> Loss:
    compiled = torch.compile(torch_logits, backend="eager", dynamic=True)

    def loss(cosines: Any, labels: Any, **p: float) -> Any:
        z = compiled(torch, name, cosines, labels, p)
        return torch.logsumexp(z, dim=1) - z.gather(1, labels[:, None])[:, 0]

    return loss


TORCH = [torch_by_cross_entropy, torch_by_one_hot, torch_by_rows]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", TORCH)
@pytest.mark.parametrize("name", LOSSES)
def test_no_right_torch_formulation_is_rejected(torch: Any, name: str, form: Loss, dtype: str) -> None:
    check(form(torch, name), name, dtype=dtype).raise_if_wrong()


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("form", JAX)
@pytest.mark.parametrize("name", LOSSES)
def test_no_right_jax_formulation_is_rejected(jax: Any, name: str, form: Loss, compiled: bool, dtype: str) -> None:
    function = form(jax, name)
    check(jax.jit(function) if compiled else function, name, dtype=dtype).raise_if_wrong()


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("framework", [None, "tf.function"])
@pytest.mark.parametrize("form", TF)
@pytest.mark.parametrize("name", LOSSES)
def test_no_right_tensorflow_formulation_is_rejected(
    tensorflow: Any, name: str, form: Loss, framework: str | None, dtype: str
) -> None:
    check(form(tensorflow, name), name, dtype=dtype, framework=framework).raise_if_wrong()


# --- NumPy and array namespaces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("margin", "loss"), FORMULATIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_no_right_numpy_formulation_is_rejected(name: str, margin: str, loss: str, dtype: str) -> None:
    check(candidate(name, margin, loss), name, dtype=dtype).raise_if_wrong()
