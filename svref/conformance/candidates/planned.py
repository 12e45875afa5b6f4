"""What a plan of rounding sets in a framework while a candidate is called, and sets back: autocast, products, policies.

A plan such as autocast-bfloat16 has half operands of the product and float32 vectors. A framework rounds the operands
itself, where it is told so: PyTorch under autocast, JAX by the precision of its products, Keras by its dtype policy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from svref.judging.precision import Precision

HALVES = ("float16", "bfloat16")
_OF_JAX = {"tf32": "tensorfloat32", "bfloat16": "bfloat16"}  # the names of its precisions; it has none for float16


def rounded_operands(plan: Precision | None) -> str:
    """Return the format that a framework has to round float32 operands to; "" if the candidate rounds by itself."""
    return plan.product if plan is not None and plan.vectors == "float32" != plan.product else ""


def autocast(torch: Any, plan: Precision | None, device: str) -> AbstractContextManager[Any]:
    """Return PyTorch's autocast where a plan has half operands of float32 vectors; else a context that does nothing."""
    half = rounded_operands(plan)
    kind = device.split(":")[0]
    return torch.autocast(kind, dtype=getattr(torch, half)) if half in HALVES else nullcontext()


@contextmanager
def tf32_products(torch: Any, plan: Precision | None) -> Iterator[None]:
    """Let PyTorch round the operands of products to TF32 where a plan does; on a device that has no TF32 it does not.

    The backward pass multiplies so, too.
    """
    if rounded_operands(plan) != "tf32":
        yield
        return
    before = older, places = product_precision(torch)
    set_product_precision(torch, (older and "high", dict.fromkeys(places, "tf32")))
    try:
        yield
    finally:
        set_product_precision(torch, before)


def jax_products(jax: Any, plan: Precision | None) -> AbstractContextManager[Any]:
    """Return a context in which JAX rounds the operands of products as a plan does, on devices that can."""
    name = _OF_JAX.get(rounded_operands(plan))
    return jax.default_matmul_precision(name) if name else nullcontext()


@contextmanager
def keras_policy(plan: Precision | None) -> Iterator[None]:
    """Let the layers of Keras that are made meanwhile compute in mixed precision, where a plan is that of autocast."""
    half, keras = rounded_operands(plan), sys.modules.get("keras")
    if half not in HALVES or keras is None:
        yield
        return
    policies = keras.mixed_precision
    before = policies.dtype_policy()
    policies.set_dtype_policy(f"mixed_{half}")
    try:
        yield
    finally:
        policies.set_dtype_policy(before)


# ---- how PyTorch multiplies float32 matrices ------------------------------------------------------------------------


def product_precision(torch: Any) -> tuple[str | None, dict[str, str]]:
    """Return how PyTorch multiplies: by its older setting, None where that cannot be read; and for each of its places.

    It refuses to tell the older setting once somebody has used the newer ones.
    """
    places = {name: place.fp32_precision for name, place in _places(torch).items()}
    try:
        return torch.get_float32_matmul_precision(), places
    except RuntimeError:
        return None, places


def set_product_precision(torch: Any, value: tuple[str | None, dict[str, str]]) -> None:
    """Set what `product_precision` returned."""
    older, places = value
    if older is not None:
        torch.set_float32_matmul_precision(older)
    for name, place in _places(torch).items():
        place.fp32_precision = places[name]


def _places(torch: Any) -> dict[str, Any]:
    """Return the places where PyTorch has a precision of products; they are missing in older versions."""
    backends = torch.backends
    found = {"cuda": backends.cuda.matmul, "mkldnn": getattr(backends.mkldnn, "matmul", None)}
    return {name: place for name, place in found.items() if _has_precision(place)}


def _has_precision(place: Any) -> bool:
    """Return whether a place has the newer setting; a place of PyTorch raises for a name that it does not know."""
    try:
        return isinstance(place.fp32_precision, str)
    except (AttributeError, RuntimeError):
        return False
