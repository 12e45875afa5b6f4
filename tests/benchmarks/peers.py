"""The peers: the textbook loss, as a careful user of each framework writes it, value and gradient.

Each logit is s c, or s (t c + t - 1) for a support vector; the target's is s (c - m). The framework's own stable cross
entropy or logsumexp does the rest, and its own automatic differentiation gives the gradient. At head level the cosines
are the product of the normalised arrays. Frameworks are imported when a peer is set up, and keep what they compile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import M, Problem, S, T
from svref.engine import threads

Calls = tuple[Callable[[], Any], Callable[[Any], tuple[float, list[NDArray[Any]]]]]


# ---- PyTorch -----------------------------------------------------------------------------------------------------


@cache
def _torch() -> Any:
    import torch

    torch.set_num_threads(threads.available())
    torch._dynamo.config.recompile_limit = 64  # one for each shape and dtype; beyond the limit it would fall to eager
    return torch


@cache
def _torch_loss(head: bool) -> Callable[..., Any]:
    torch = _torch()
    normalize, cross_entropy = torch.nn.functional.normalize, torch.nn.functional.cross_entropy

    def of_cosines(labels: Any, c: Any) -> Any:
        f = c.gather(1, labels[:, None]) - M
        logits = torch.where(c > f, S * (T * c + (T - 1)), S * c)
        return cross_entropy(logits.scatter(1, labels[:, None], S * f), labels)

    def of_vectors(labels: Any, x: Any, w: Any) -> Any:
        return of_cosines(labels, normalize(x) @ normalize(w).T)

    return of_vectors if head else of_cosines


@cache
def _torch_compiled(head: bool) -> Callable[..., Any]:
    return _torch().compile(_torch_loss(head), dynamic=False)


def _torch_calls(function: Callable[..., Any], problem: Problem) -> Calls:
    torch = _torch()
    labels = torch.from_numpy(problem.labels)
    arrays = [torch.from_numpy(v).requires_grad_() for v in problem.arrays]

    def run() -> Any:
        value = function(labels, *arrays)
        return value.item(), torch.autograd.grad(value, arrays)

    return run, lambda raw: (raw[0], [v.numpy() for v in raw[1]])


def torch_eager(problem: Problem) -> Calls:
    """Return PyTorch as it comes."""
    return _torch_calls(_torch_loss(len(problem.arrays) == 2), problem)


def torch_compile(problem: Problem) -> Calls:
    """Return what torch.compile makes of it, for this very shape."""
    return _torch_calls(_torch_compiled(len(problem.arrays) == 2), problem)


# ---- JAX ---------------------------------------------------------------------------------------------------------


@cache
def _jax() -> Any:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


@cache
def _jax_gradient(head: bool) -> Callable[..., Any]:
    jax, jnp = _jax(), _jax().numpy

    def of_cosines(labels: Any, c: Any) -> Any:
        rows = jnp.arange(len(labels))
        f = c[rows, labels] - M
        logits = jnp.where(c > f[:, None], S * (T * c + (T - 1)), S * c).at[rows, labels].set(S * f)
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - S * f)

    def unit(v: Any) -> Any:
        return v / jnp.linalg.norm(v, axis=1, keepdims=True)

    def of_vectors(labels: Any, x: Any, w: Any) -> Any:
        return of_cosines(labels, unit(x) @ unit(w).T)

    return jax.jit(jax.value_and_grad(of_vectors if head else of_cosines, argnums=(1, 2) if head else (1,)))


def jax_jit(problem: Problem) -> Calls:
    """Return the jitted value_and_grad."""
    jax = _jax()
    labels, *arrays = (jax.numpy.asarray(v) for v in (problem.labels, *problem.arrays))
    function = _jax_gradient(len(arrays) == 2)

    def run() -> Any:
        return jax.block_until_ready(function(labels, *arrays))

    return run, lambda raw: (float(raw[0]), [np.asarray(v) for v in raw[1]])


# ---- TensorFlow --------------------------------------------------------------------------------------------------


@cache
def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads.available())
    return tf


@cache
def _tensorflow_gradient(head: bool) -> Callable[..., Any]:
    tf = _tensorflow()

    def of_cosines(labels: Any, c: Any) -> Any:
        own = tf.stack([tf.range(labels.shape[0], dtype=labels.dtype), labels], axis=1)
        f = tf.gather_nd(c, own) - M
        logits = tf.tensor_scatter_nd_update(tf.where(c > f[:, None], S * (T * c + (T - 1)), S * c), own, S * f)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def of_vectors(labels: Any, x: Any, w: Any) -> Any:
        unit = [tf.math.l2_normalize(v, axis=1) for v in (x, w)]
        return of_cosines(labels, tf.matmul(*unit, transpose_b=True))

    @tf.function(jit_compile=True)
    def gradient(labels: Any, *arrays: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            value = (of_vectors if head else of_cosines)(labels, *arrays)
        return value, tape.gradient(value, arrays)

    return gradient


def tensorflow_xla(problem: Problem) -> Calls:
    """Return tf.function with jit_compile=True: in every case tried it was faster than without."""
    tf = _tensorflow()
    labels, *arrays = (tf.constant(v) for v in (problem.labels, *problem.arrays))
    function = _tensorflow_gradient(len(arrays) == 2)

    def run() -> Any:
        value, gradients = function(labels, *arrays)
        return value.numpy(), gradients

    return run, lambda raw: (float(raw[0]), [v.numpy() for v in raw[1]])
