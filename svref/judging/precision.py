"""Where an implementation rounds: a number format for each stage of the loss, declared before it is judged."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref.formats import FORMATS, STORED, format_of, numpy_dtype


@dataclass(frozen=True)
class Precision:
    """A plan of rounding: the format of each stage, from the vectors to the gradient.

    Parameters
    ----------
    name : str
        The name of the plan, as `--precision` takes it.
    vectors : str
        The format of embeddings and weights, and of the gradients by them.
    product : str
        The format that the operands of the product x̂·ŵ are rounded to.
    accumulator : str
        The format in which sums are added up: the product, and the sum of the exponentials.
    cosines : str
        The format in which a head stores its cosines.
    logits : str
        The format of the margin, the emphasis, the decisions of the mask, and the logits.
    softmax : str
        The format from the logits to the losses, and to the gradient by the logits.
    loss : str
        The format of the losses.
    gradient : str
        The format of the gradient by the logits, and of the gradients that are made from it. Cosines that are given,
        and not made by a head, come in this format.
    loss_scale : float
        A power of two that multiplies the losses before the backward pass, so that small gradients do not vanish in
        float16. All gradients are larger by it, and judged so.
    """

    name: str
    vectors: str
    product: str
    accumulator: str
    cosines: str
    logits: str
    softmax: str
    loss: str
    gradient: str
    loss_scale: float = 1.0

    @property
    def stages(self) -> dict[str, str]:
        """The format of each stage by the stage's name."""
        return {stage: getattr(self, stage) for stage in STAGES}

    @property
    def is_uniform(self) -> bool:
        """Whether all stages have one format, so that there is one unit roundoff."""
        return len(set(self.stages.values())) == 1

    def narrowest(self, level: str = "cosine") -> str:
        """Return the format of fewest digits that a number passes through from the inputs to the outputs."""
        of_head = (self.vectors, self.product, self.cosines) if level == "head" else ()
        passed = (self.logits, self.softmax, self.loss, self.gradient, *of_head)
        return min(passed, key=lambda name: format_of(name).digits)

    def inputs(self, level: str) -> str:
        """Return the format that the inputs lie in, at the level "cosine" or "head"."""
        return self.gradient if level == "cosine" else self.vectors

    def loss_dtype(self, level: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of the losses, for inputs of a dtype: that of the plan, or the inputs' if they are wider."""
        return numpy_dtype(self.loss) if dtype.name == self.inputs(level) else dtype


WIDE = ("float64", "float32")  # the plans that need no declaration
STAGES = tuple(field.name for field in fields(Precision) if field.name not in ("name", "loss_scale"))


def _of_one(name: str) -> Precision:
    """Return the plan in which all stages have one format."""
    formats: dict[str, Any] = dict.fromkeys(STAGES, name)
    return Precision(name, **formats)


def _autocast(half: str) -> Precision:
    """Return what autocast does: operands, cosines and logits half, the sums and the cross entropy float32."""
    plan = replace(_of_one("float32"), name=f"autocast-{half}", product=half)
    return replace(plan, cosines=half, logits=half, gradient=half)


def _half(half: str) -> Precision:
    """Return what half tensors do: every result is rounded, and sums are added up in float32."""
    return replace(_of_one(half), accumulator="float32")


def _fused(half: str) -> Precision:
    """Return what a kernel does that never stores the logits: half operands and gradients, float32 between them."""
    plan = replace(_of_one("float32"), name=f"fused-{half}", product=half)
    return replace(plan, vectors=half, gradient=half)


PRECISIONS: Mapping[str, Precision] = {
    plan.name: plan
    for plan in (
        _of_one("float64"),
        _of_one("float32"),
        replace(_of_one("float32"), name="tf32", product="tf32"),
        _autocast("bfloat16"),
        _autocast("float16"),
        _half("bfloat16"),
        _half("float16"),
        _fused("bfloat16"),
    )
}


@functools.lru_cache(maxsize=256)
def _by_name(name: str) -> Precision:
    """Return the plan of a name: a preset, or a preset with the formats of some stages changed after it."""
    first, *changes = [part.strip() for part in name.split(",")]
    if first not in PRECISIONS:
        near = _near(first, PRECISIONS)
        raise ValueError(f"a precision must be one of {', '.join(PRECISIONS)}; got {first!r}{near}.")
    changed = dict(_change(change) for change in changes)
    words = (first, *(f"{key}={f'{value:g}' if key == 'loss_scale' else value}" for key, value in changed.items()))
    plan = replace(PRECISIONS[first], name=",".join(words), **changed)
    if format_of(plan.accumulator).digits < format_of(plan.softmax).digits:
        raise ValueError(
            f"the accumulator of a precision must not be narrower than the softmax, {plan.softmax}; got "
            f"{plan.accumulator}. Sums that are added up narrow are a mistake with a name, softmax-accumulated-narrow."
        )
    return plan


def _change(text: str) -> tuple[str, Any]:
    """Return the stage and the format of a change such as "logits=float32", or the loss scale."""
    stage, _, form = (part.strip() for part in text.partition("="))
    if stage == "loss_scale":
        return stage, _loss_scale(form)
    if stage not in STAGES:
        near, stages = _near(stage, (*STAGES, "loss_scale")), ", ".join(STAGES)
        raise ValueError(
            f"a precision has the stages {stages}, as in logits=float32, and loss_scale; got {text!r}{near}."
        )
    allowed = tuple(FORMATS) if stage == "product" else STORED
    if form not in allowed:
        near = _near(form, allowed)
        raise ValueError(f"the format of {stage} must be one of {', '.join(allowed)}; got {form!r}{near}.")
    return stage, form


def _loss_scale(text: str) -> float:
    """Return a loss scale; raise a ValueError unless it is a power of two from 1 to 2^24."""
    if not text.isdigit() or int(text).bit_count() != 1 or int(text) > 2**24:
        raise ValueError(f"loss_scale must be a power of two from 1 to {2**24}, as in loss_scale=1024; got {text!r}.")
    return float(text)


def _near(name: str, known: Iterable[str]) -> str:
    """Return "; the nearest is ..." for a name that is unknown; "" if none is near."""
    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; the nearest is {near[0]!r}" if near else ""


def precision_of(plan: Precision | DTypeLike) -> Precision:
    """Return a plan by its name, such as "autocast-bfloat16" or "float32"; that of a dtype is the format throughout.

    Parameters
    ----------
    plan : Precision, str or dtype
        A plan; the name of a preset, one of `PRECISIONS`; or a preset with stages changed, as in
        "fused-bfloat16,product=float8_e4m3fn", or with a loss scale, "autocast-float16,loss_scale=1024".

    Raises
    ------
    ValueError
        If there is no such preset, stage or format, or the accumulator is narrower than the softmax.
    """
    if isinstance(plan, Precision):
        return plan
    return _by_name(plan if isinstance(plan, str) else np.dtype(plan).name)
