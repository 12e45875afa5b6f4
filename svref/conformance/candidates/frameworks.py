"""Candidates of frameworks with autograd: PyTorch, JAX, TensorFlow; none is imported unless a candidate needs it.

Each takes tensors, returns per-sample losses (B,) or their sum or mean, and the framework gives the gradient.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.candidates.arrays import of_mapping, plain, touched
from svref.conformance.candidates.call import Answer, Call, CandidateError, ForeignError, Function
from svref.conformance.candidates.outputs import hint_of

NO_GRADIENT = "the losses do not depend on the inputs: autograd has no gradient"


@dataclass(frozen=True)
class TorchAdapter:
    """PyTorch: leaves go in, and the cotangent is pulled back through what comes out."""

    function: Function
    device: str = "cpu"

    @property
    def description(self) -> str:
        """The framework, its version, the device."""
        return f"torch {framework('torch').__version__.split('+')[0]} {self.device}"

    def run(self, call: Call) -> Answer:
        """Call the function on clones, into which code that works in place may write."""
        torch = framework("torch")
        with _own_settings(torch):
            leaves = [torch.tensor(a, device=self.device, requires_grad=True) for a in call.arrays]
            labels = torch.tensor(call.labels, device=self.device)
            given = [*(leaf.clone() for leaf in leaves), labels]
            losses, stages = losses_of(self.function(*given, **call.parameters), torch.Tensor, call)
        if not losses.requires_grad:
            raise CandidateError(f"{NO_GRADIENT}; the losses are detached.")
        cotangent = torch.as_tensor(weights_of(losses, call), dtype=losses.dtype, device=losses.device)
        gradients = torch.autograd.grad(losses, leaves, cotangent.reshape(losses.shape), allow_unused=True)
        return answer(losses, gradients, call, stages, touched(call, given))


@dataclass(frozen=True)
class JaxAdapter:
    """JAX: the vector-Jacobian product; with 64-bit numbers where the check is in float64."""

    function: Function

    @property
    def description(self) -> str:
        """The framework, its version, the platform."""
        jax = framework("jax")
        return f"jax {jax.__version__} {jax.default_backend()}"

    def run(self, call: Call) -> Answer:
        """Call the function through `jax.vjp`."""
        jax = framework("jax")
        with jax.enable_x64(call.dtype == np.float64):
            arrays, labels = [jax.numpy.asarray(a) for a in call.arrays], jax.numpy.asarray(call.labels)

            def forward(*given: Any) -> Any:
                return losses_of(self.function(*given, labels, **call.parameters), jax.Array, call)

            losses, pull, stages = jax.vjp(forward, *arrays, has_aux=True)
            cotangent = jax.numpy.asarray(weights_of(losses, call), losses.dtype).reshape(losses.shape)
            return answer(losses, pull(cotangent), call, stages)


@dataclass(frozen=True)
class TensorFlowAdapter:
    """TensorFlow: a gradient tape, eagerly or through `tf.function`."""

    function: Function
    compiled: bool = False

    @property
    def description(self) -> str:
        """The framework, its version, how it runs."""
        return f"tensorflow {framework('tensorflow').__version__} {'tf.function' if self.compiled else 'eager'}"

    def run(self, call: Call) -> Answer:
        """Call the function under a tape."""
        tf = framework("tensorflow")
        arrays, labels = [tf.constant(a) for a in call.arrays], tf.constant(call.labels)
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            losses, stages = losses_of(self._called(*arrays, labels, **call.parameters), tf.Tensor, call)
        cotangent = tf.reshape(tf.constant(weights_of(losses, call), losses.dtype), losses.shape)
        found = tape.gradient(losses, arrays, output_gradients=cotangent)
        return answer(losses, [None if v is None else tf.convert_to_tensor(v) for v in found], call, stages)

    @cached_property
    def _called(self) -> Function:
        """What is called; compiled once, so that cases of one shape share a graph."""
        return framework("tensorflow").function(self.function) if self.compiled else self.function


@contextmanager
def _own_settings(torch: Any) -> Iterator[None]:
    """Begin with gradients on, and end with the default dtype and the mode of gradients that there were."""
    dtype = torch.get_default_dtype()
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


def framework(name: str) -> Any:
    """Import a framework, or say what to install."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CandidateError(f"this candidate needs {name}: pip install 'svref[{name}]'.") from error


def losses_of(result: Any, tensor: type, call: Call) -> tuple[Any, dict[str, Any]]:
    """Return the losses and the stages of what a candidate returned."""
    stages: dict[str, Any] = {}
    if isinstance(result, Mapping):
        result, stages = of_mapping(result)
    if not isinstance(result, tensor):
        raise ForeignError(f"the candidate must return a tensor of losses; got {type(result).__name__}.")
    shape = tuple(getattr(result, "shape", ()))
    if shape not in ((len(call.labels),), ()):
        raise CandidateError(
            f"the candidate must return per-sample losses of shape (B,) = ({len(call.labels)},), or their sum or mean; "
            f"got shape {shape}.{hint_of(shape, len(call.labels))}"
        )
    return result, stages


def weights_of(losses: Any, call: Call) -> FloatArray:
    """Return what the losses are weighted by: the cotangent, or 1 for a scalar."""
    return call.cotangent if len(losses.shape) == 1 else np.ones(())


def answer(losses: Any, gradients: Any, call: Call, stages: Mapping[str, Any], remarks: tuple[str, ...] = ()) -> Answer:
    """Return an answer as NumPy has it."""
    if gradients[0] is None:
        raise CandidateError(f"{NO_GRADIENT}.")
    found = tuple(None if v is None else plain(v) for v in gradients)
    told = {name: plain(values) for name, values in stages.items()}
    return Answer(plain(losses), found, call.cotangent if len(losses.shape) == 1 else None, told, remarks)
