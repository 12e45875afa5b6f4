"""What a family is: one mistake in any size, and the law that says how large it is.

A deviation is one computation. A family is a computation for each size: labels smoothed by any ε, losses multiplied by
any factor. The size of a wrong candidate may be a number, as 0.1, or follow the parameters, as m/s. `Law` is either.
A family with a law is a `Deviation` like any other.

    @family("L = (1 - ε) L + ε/C Σ_k -log p_k, ε = {size}", between=(1e-4, 1), neutral=0)
    def labels_smoothed(size):          takes the size, returns the computation on cosines

`between` are the sizes among which the fitted one is looked for. A family without it has no size, or only `tried` ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import which
from svref.deviations.kinds import Applies, Deviation
from svref.deviations.logits import CosineRun, Result, right_result
from svref.deviations.normalisation import HeadRun, head_around
from svref.loss import SVXSoftmax

Shows = Literal["loss", "gradient"]


@dataclass(frozen=True)
class Law:
    """How large a mistake is: a number, or a formula of the parameters and of the shape.

    Parameters
    ----------
    text : str
        As it is printed: "0.1", "m/s", "cos m".
    of : callable
        Takes the loss, B and C; returns the size. It raises a ValueError where the loss has no such parameter.
    of_shape : bool
        Whether it depends on B or C.
    is_number : bool
        Whether it is a number.
    is_multiple : bool
        Whether it is a quantity times another number than 1.
    """

    text: str
    of: Callable[[SVXSoftmax, int, int], float] = field(repr=False)
    of_shape: bool = False
    is_number: bool = False
    is_multiple: bool = False


def constant(size: float, text: str = "") -> Law:
    """Return the law that a size is a number."""
    return Law(text or _shortest(size), lambda loss, rows, classes: size, is_number=True)


def _shortest(size: float) -> str:
    """Return a number in 6 digits, or in as many more as it takes that it is not taken for a plainer one."""
    texts = [f"{size:.{digits}g}" for digits in (6, 9, 12, 17)]
    return next(text for text in texts if len(text) > 4 or float(text) == size)


@dataclass(frozen=True, eq=False)
class Family:
    """One mistake in any size.

    Parameters
    ----------
    name : str
        Lower case, with hyphens.
    formula : str
        What it computes, with {size} where the size stands.
    effect : str
        What it does, in one or two sentences.
    on_cosines : callable or None
        Takes a size and returns the computation on cosines; None where the mistake is in the head.
    on_head : callable
        Takes a size and returns the computation on embeddings and weights.
    applies : callable
        Takes an SVXSoftmax; returns whether the mistake can be made in it.
    between : tuple of float or None
        The smallest and the largest size that is looked for; None where no size is fitted.
    linear : bool
        Whether the outputs are linear in the size, so that two of them give all.
    tried : sequence of Law
        Sizes that are tried as they are.
    shows : {"loss", "gradient"}
        Which outputs the size is fitted to. Where it is "gradient", the losses are right.
    change : callable or None
        Takes an SVXSoftmax and a size, and returns the loss that is computed; None if that is no SVXSoftmax.
    """

    name: str
    formula: str
    effect: str
    on_cosines: Callable[[float], CosineRun] | None = field(repr=False)
    on_head: Callable[[float], HeadRun] = field(repr=False)
    applies: Applies = field(default=which.always, repr=False)
    between: tuple[float, float] | None = None
    linear: bool = False
    tried: Sequence[Law] = ()
    shows: Shows = "loss"
    change: Callable[[SVXSoftmax, float], SVXSoftmax] | None = field(default=None, repr=False)

    @property
    def has_size(self) -> bool:
        """Whether the mistake has a size."""
        return self.between is not None or bool(self.tried)

    def spread(self, count: int) -> FloatArray:
        """Return sizes of every order in the range: from end to end where both have one sign, else around 0."""
        low, high = self.between or (0.0, 0.0)
        if low > 0:
            return np.geomspace(low, high, count)
        half = np.geomspace(high * 1e-5 if low else high * 1e-4, high, count // 2)
        return np.concatenate([-half[::-1] * (-low / high), [0.0], half]) if low else np.concatenate([[0.0], half])

    def following(self, law: Law) -> Deviation:
        """Return the deviation whose size follows a law; its name and its formula say which."""
        on_cosines, on_head, change = self.on_cosines, self.on_head, self.change

        def of_cosines(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> Result:
            if on_cosines is None:
                raise TypeError(f"{self.name} acts on embeddings and weights, not on cosines.")
            return on_cosines(law.of(loss, *c.shape))(loss, c, y, g)

        def of_head(
            loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray
        ) -> tuple[FloatArray, FloatArray, FloatArray]:
            return on_head(law.of(loss, len(x), len(w)))(loss, x, w, y, g)

        return Deviation(
            name=f"{self.name}({law.text})" if self.has_size else self.name,
            formula=self.formula.format(size=law.text),
            effect=self.effect,
            seen=(),
            applies=self.applies,
            on_cosines=None if on_cosines is None else of_cosines,
            on_head=of_head,
            change=None if change is None or law.of_shape else lambda loss: change(loss, law.of(loss, 0, 0)),
        )


OfSize = Callable[[float], CosineRun]
Change = Callable[[SVXSoftmax, float], SVXSoftmax]
HeadOfSize = Callable[[float], HeadRun]


class Options(TypedDict, total=False):
    """What a decorator may be given besides the formula; `Family` says what each means."""

    applies: Applies
    between: tuple[float, float]
    linear: bool
    tried: Sequence[Law]
    shows: Shows


def family(formula: str, **options: Unpack[Options]) -> Callable[[OfSize], Family]:
    """Return a decorator for a function that takes a size and returns the computation on cosines."""
    return lambda function: _family(
        function, formula, options, on_cosines=function, on_head=lambda size: head_around(function(size))
    )


def head_family(formula: str, **options: Unpack[Options]) -> Callable[[HeadOfSize], Family]:
    """Return a decorator for a function that takes a size and returns the computation on embeddings and weights."""
    return lambda function: _family(function, formula, options, on_cosines=None, on_head=function)


def loss_family(formula: str, **options: Unpack[Options]) -> Callable[[Change], Family]:
    """Return a decorator for a function that takes a loss and a size and returns another loss."""

    def make(change: Change) -> Family:
        def of_size(size: float) -> CosineRun:
            return lambda loss, c, y, g: right_result(change(loss, size), c, y, g)

        made = _family(
            change, formula, options, on_cosines=of_size, on_head=lambda size: head_around(of_size(size))
        )  # fmt: skip
        return replace(made, change=change)

    return make


def _family(
    function: Callable[..., Any], formula: str, options: Options, on_cosines: OfSize | None, on_head: HeadOfSize
) -> Family:
    """Return the family of a decorated function: named after it, with hyphens; its docstring is the effect."""
    effect = " ".join((inspect.getdoc(function) or "").split())
    name = function.__name__.replace("_", "-")
    return Family(name, formula, effect, on_cosines, on_head, **options)
