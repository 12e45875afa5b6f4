"""Candidates of frameworks with autograd: PyTorch, JAX, TensorFlow.

A candidate takes tensors and returns losses (B,), or their sum or mean. The framework computes the gradient. It is
imported only when a candidate needs it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.candidates.arrays import remarks_on_writes, to_numpy
from svref.conformance.candidates.call import Answer, Call, CandidateError, Function
from svref.conformance.candidates.layouts import OF_TORCH
from svref.conformance.candidates.planned import autocast, jax_products, keras_policy, tf32_products
from svref.conformance.candidates.returned import Returned, losses_of
from svref.golden.making.batches import PLAIN
from svref.judging.precision import Precision

NO_GRADIENT = "the losses do not depend on the inputs: autograd has no gradient"


@dataclass(frozen=True)
class TorchAdapter:
    """Calls a PyTorch function, and lets autograd compute the gradient.

    Parameters
    ----------
    function : callable
        The candidate.
    device : str
        Where its tensors are put, such as "cuda".
    plan : Precision, optional
        Where the candidate rounds; None is the dtype of the tensors throughout. The function runs under autocast where
        the plan is that of autocast. The backward pass runs outside, as PyTorch wants it.
    """

    layouts: ClassVar[tuple[str, ...]] = tuple(OF_TORCH)
    function: Function
    device: str = "cpu"
    plan: Precision | None = None

    @property
    def description(self) -> str:
        """The framework, its version, the device."""
        return f"torch {framework('torch').__version__.split('+')[0]} {self.device}"

    def run(self, call: Call) -> Answer:
        """Call the function on clones: autograd refuses code that writes into the leaves themselves."""
        torch, laid_out = framework("torch"), OF_TORCH[call.layout]
        leaves = [_leaf(torch, a, self.device) for a in call.arrays]
        labels = torch.tensor(call.labels, device=self.device)
        with tf32_products(torch, self.plan):
            with _settings_restored(torch):
                given = [*map(laid_out, leaves), laid_out(labels)]
                with autocast(torch, self.plan, self.device):
                    result = self.function(*given, **call.parameters)
                    returned = losses_of(result, torch.Tensor, call, lambda z: _torch_cross_entropy(torch, z, labels))
            gradients = self._gradients(torch, returned.losses, leaves, call)
        return answer_of(returned, gradients, call, remarks_on_writes(call, given))

    def _gradients(self, torch: Any, losses: Any, leaves: list[Any], call: Call) -> Any:
        """Return the gradients by the leaves, for the cotangent of the call."""
        if not losses.requires_grad:
            raise CandidateError(f"{NO_GRADIENT}; the losses are detached.")
        cotangent = torch.as_tensor(g_of(losses, call), dtype=losses.dtype, device=losses.device).reshape(losses.shape)
        as_autograd = _as_autograd(cotangent, OF_TORCH[call.layout])
        return torch.autograd.grad(losses, leaves, as_autograd, allow_unused=True)


@dataclass(frozen=True)
class JaxAdapter:
    """Calls a JAX function through `jax.vjp`, with 64-bit numbers enabled if the check is in float64.

    A function that is compiled by `jax.jit` is compiled once for each shape, together with its gradient.

    Parameters
    ----------
    function : callable
        The candidate.
    plan : Precision, optional
        Where the candidate rounds; None is the dtype of the arrays throughout.
    """

    layouts: ClassVar[tuple[str, ...]] = (PLAIN,)  # its arrays have no strides
    function: Function
    plan: Precision | None = None

    @property
    def description(self) -> str:
        """The framework, its version, the platform."""
        jax = framework("jax")
        return f"jax {jax.__version__} {jax.default_backend()}"

    def run(self, call: Call) -> Answer:
        """Call the function, and let `jax.vjp` compute the gradient."""
        jax = framework("jax")
        with jax.enable_x64(call.dtype == np.float64), jax_products(jax, self.plan):
            arrays, labels = [jax.numpy.asarray(a) for a in call.arrays], jax.numpy.asarray(call.labels)
            losses, gradients, stages = self._pulled(arrays, labels, jax.numpy.asarray(call.cotangent), call.parameters)
            return answer_of(Returned(losses, stages, self._remarks[call.arrays[0].shape]), gradients, call)

    def _pulled(self, arrays: Any, labels: Any, g: Any, parameters: Mapping[str, Any]) -> Any:
        """Return the losses, their gradients and the steps of the loss; from one compiled function, if that works.

        It does not where a parameter must be a number of Python.
        """
        if hasattr(self.function, "lower"):  # it is compiled by jax.jit
            with suppress(Exception):
                return self._compiled(arrays, labels, g, _as_floats(parameters))
        return self._forward_and_back(arrays, labels, g, parameters)

    @cached_property
    def _compiled(self) -> Function:
        """The function together with its gradient, compiled once for each shape."""
        return framework("jax").jit(self._forward_and_back)

    @cached_property
    def _remarks(self) -> dict[Any, tuple[str, ...]]:
        """How what the function returned was read, by the shape of its input: compiled code does not say it again."""
        return {}

    def _forward_and_back(self, arrays: Any, labels: Any, g: Any, parameters: Mapping[str, Any]) -> Any:
        """Return the losses, their gradients and the steps of the loss."""
        jax, call = framework("jax"), Call("", tuple(arrays), labels, g, parameters)

        def forward(*given: Any) -> Any:
            result = self.function(*given, labels, **parameters)
            returned = losses_of(result, jax.Array, call, lambda z: _jax_cross_entropy(jax, z, labels))
            self._remarks[call.arrays[0].shape] = returned.remarks
            return returned.losses, returned.stages

        losses, pull, stages = jax.vjp(forward, *arrays, has_aux=True)
        cotangent = (g if losses.ndim == 1 else jax.numpy.ones(())).astype(losses.dtype)
        return losses, pull(cotangent), stages


@dataclass(frozen=True)
class TensorFlowAdapter:
    """Calls a TensorFlow function under a gradient tape.

    Parameters
    ----------
    function : callable
        The candidate.
    compiled : bool
        Whether it is compiled by `tf.function` first; otherwise it runs eagerly.
    plan : Precision, optional
        Where the candidate rounds; None is the dtype of the tensors throughout. Layers of Keras that are made in a call
        have the mixed policy where the plan is that of autocast.
    """

    layouts: ClassVar[tuple[str, ...]] = (PLAIN,)
    function: Function
    compiled: bool = False
    plan: Precision | None = None

    @property
    def description(self) -> str:
        """The framework, its version, and whether it is compiled."""
        return f"tensorflow {framework('tensorflow').__version__} {'tf.function' if self.compiled else 'eager'}"

    def run(self, call: Call) -> Answer:
        """Call the function under a tape."""
        tf = framework("tensorflow")
        arrays, labels = [tf.constant(a) for a in call.arrays], tf.constant(call.labels)
        with keras_policy(self.plan), tf.GradientTape() as tape:
            tape.watch(arrays)
            result = self._called(*arrays, labels, **call.parameters)
            returned = losses_of(
                result, tf.Tensor, call, lambda z: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z)
            )
            losses = returned.losses
        cotangent = tf.reshape(tf.constant(g_of(losses, call), losses.dtype), losses.shape)
        gradients = tape.gradient(losses, arrays, output_gradients=cotangent)
        dense = [None if v is None else tf.convert_to_tensor(v) for v in gradients]  # tf.gather's are sparse
        return answer_of(returned, dense, call)

    @cached_property
    def _called(self) -> Function:
        """The function that is called; compiled once, so that cases of one shape share a graph."""
        return framework("tensorflow").function(self.function) if self.compiled else self.function


def _as_floats(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as floats: a compiled function would be compiled again for s = 64 after s = 64.0."""
    return {name: value if name == "ignore_index" else float(value) for name, value in parameters.items()}


def _leaf(torch: Any, array: FloatArray, device: str) -> Any:
    """Return an array as a tensor that has a gradient; NumPy's bfloat16, which PyTorch does not take, bit by bit."""
    if array.dtype.name != "bfloat16":
        return torch.tensor(array, device=device, requires_grad=True)
    bits = torch.tensor(np.ascontiguousarray(array).view(np.int16))
    return bits.view(torch.bfloat16).to(device).requires_grad_()


def _as_autograd(cotangent: Any, laid_out: Callable[[Any], Any]) -> Any:
    """Return a cotangent in the memory that autograd would give it: one number for all rows, where all are equal.

    The backward of a sum returns such a tensor, whose stride is 0.
    """
    if cotangent.ndim == 0:
        return cotangent
    is_one = bool((cotangent == cotangent[0]).all())
    return cotangent[:1].expand(cotangent.shape) if is_one else laid_out(cotangent)


@contextmanager
def _settings_restored(torch: Any) -> Iterator[None]:
    """Switch gradients on; afterwards restore that switch and the default dtype, which a candidate may change."""
    dtype = torch.get_default_dtype()
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


def framework(name: str) -> Any:
    """Import a framework, or raise a CandidateError that says what to install."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CandidateError(f"this candidate needs {name}: pip install 'svref[{name}]'.") from error


def _torch_cross_entropy(torch: Any, logits: Any, labels: Any) -> Any:
    """Return the losses (B,) of logits (B, C)."""
    return torch.nn.functional.cross_entropy(logits, labels.long(), reduction="none")


def _jax_cross_entropy(jax: Any, logits: Any, labels: Any) -> Any:
    """Return the losses (B,) of logits (B, C)."""
    own = jax.numpy.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - own


def g_of(losses: Any, call: Call) -> FloatArray:
    """Return the factors of the losses in the sum that is differentiated: the cotangent, or 1 for a scalar."""
    return call.cotangent if len(losses.shape) == 1 else np.ones(())


def answer_of(returned: Returned, gradients: Any, call: Call, remarks: tuple[str, ...] = ()) -> Answer:
    """Return the tensors of a framework as an answer of NumPy arrays.

    Where autograd has a gradient by one array and None by another, nothing reaches the other: that gradient is 0.
    """
    if all(v is None for v in gradients):
        raise CandidateError(f"{NO_GRADIENT}.")
    found = tuple(np.zeros_like(a) if v is None else to_numpy(v) for a, v in zip(call.arrays, gradients, strict=True))
    applied = call.cotangent if len(returned.losses.shape) == 1 else None
    stages = {name: to_numpy(v) for name, v in returned.stages.items()}
    return Answer(to_numpy(returned.losses), found, applied, stages, (*returned.remarks, *remarks))
