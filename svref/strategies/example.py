"""What the strategies draw: inputs of a loss, how far each row is from a decision, and what is right there.

An example prints as Python that makes it again, so that a failing one can be kept with ``@hypothesis.example``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from hypothesis import reject
from numpy.typing import ArrayLike

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.formats import are_of
from svref.head.shards import Shard
from svref.judging import condition
from svref.judging.expected import expect
from svref.judging.figures import branch_gap
from svref.judging.judge import Quantity, judge
from svref.loss import SVXSoftmax, check_loss
from svref.reference import Step
from svref.strategies.losses import name_of
from svref.strategies.numbers import format_named
from svref.strategies.outputs import check_parts, output_array


@dataclass(frozen=True, eq=False, repr=False)
class Inputs:
    """What examples of cosines and of heads have in common; `Example` and `HeadExample` are the two."""

    loss: SVXSoftmax
    labels: IntArray
    cotangent: FloatArray
    dtype: str
    at: Sequence[str]
    named: str | None

    @property
    def inputs(self) -> tuple[FloatArray, ...]:
        """The arrays that the loss is a function of."""
        raise NotImplementedError

    @property
    def gradients(self) -> tuple[str, ...]:
        """The names of the gradients by these arrays."""
        raise NotImplementedError

    @property
    def dimensions(self) -> int:
        """D, whose √D units every cosine may be off by; 0 for cosines that are given."""
        raise NotImplementedError

    @cached_property
    def step(self) -> Step:
        """The forward pass in float64 of these inputs."""
        raise NotImplementedError

    @cached_property
    def variant(self) -> str | None:
        """The name of the loss in `svref.VARIANTS`; None if it has none there, as with an easy margin."""
        named = None if self.named else name_of(self.loss)
        return self.named if named is None else named[0]

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The keyword arguments of the variant's factory: s, and its margins and t; empty if the loss has no name."""
        named = None if self.variant is None else name_of(self.loss, self.variant)
        return {} if named is None else named[1]

    @cached_property
    def distance(self) -> FloatArray:
        """How far each row is from its nearest decision, (B,).

        Of the mask that is the distance of a negative from f, unless t = 1; of a switch of f (a tail, an easy margin)
        that of the target's cosine. It is infinite in rows without a decision. It is computed in float64, and as right
        as f is there: to a few 2^-53, at a pole to 2^-27. `svref.exact.evaluate` proves every digit.
        """
        step, margin = self.step, self.loss.emphasis.boundary or self.loss.margin
        gaps = np.abs(step.cosines - step.boundary[:, None])
        gaps[step.own] = np.inf
        mask = gaps.min(axis=1) if self.loss.emphasis.t > 1 else np.full(len(gaps), np.inf)
        switch = np.minimum(branch_gap(self.loss.margin, step.angle), branch_gap(margin, step.angle))
        return np.minimum(mask, switch)

    @cached_property
    def undecided(self) -> BoolArray:
        """Which rows have a decision that rounding in `dtype` may take either way, (B,).

        In these rows right implementations differ from each other: `svref.judging.condition.undecided` (equation 42 of
        docs/explanation/rounding.md). A tie of numbers with few digits is decided, because nobody rounds them.
        """
        near, reach = condition.undecided(self.step, self.dtype, self.dimensions)
        at_switch = near.any(axis=1) | (reach >= 0)
        if not self.dimensions:
            return at_switch
        return at_switch | condition.rounds_to_pole(self.step, self.dtype, self.dimensions)

    @property
    def at_pole(self) -> BoolArray:
        """Which rows have their target's cosine at ±1 under an angular margin, (B,): the gradient there is a policy."""
        return np.asarray((self.step.angle.sine == 0) & self.loss.angular)

    def decided(self) -> Self:
        """Return the example without its undecided rows; with none left, Hypothesis draws another one.

        Call it in tests that compare with numbers of your own. `check` needs it not: it takes both decisions as right.
        """
        keep = np.flatnonzero(~self.undecided)
        if not keep.size:
            reject()
        return self if len(keep) == len(self.labels) else self._rows(keep)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the example as Hypothesis prints: by its own repr, and not field by field."""
        printer.text(repr(self))

    def _rows(self, keep: IntArray) -> Self:
        """Return the example with some of its rows."""
        raise NotImplementedError

    def _of_rows(self, keep: IntArray) -> dict[str, Any]:
        """Return what some rows have besides cosines or vectors, as arguments."""
        at = [self.at[b] for b in keep]
        rows = {"labels": self.labels[keep], "cotangent": self.cotangent[keep], "at": at}
        return {**rows, "dtype": self.dtype, "variant": self.named}

    def check(self, losses: ArrayLike, *gradients: ArrayLike | None) -> None:
        """Raise an AssertionError unless losses and gradients are right, element by element, as `svref check` judges.

        Parameters
        ----------
        losses : array_like, shape (B,)
            One loss a row, in the dtype of the inputs.
        *gradients : array_like, optional
            The gradients of Σ cotangent_b L_b: by the cosines, or by embeddings and weights. None leaves one out.

        Raises
        ------
        AssertionError
            That names the worst element, what it should be, and the error in units of the tolerance.
        ValueError
            If an array has a wrong shape, there are more gradients than the example has, or the losses are a whole
            answer: give its parts one by one.
        """
        names, parts = ("loss", *self.gradients), (losses, *gradients)
        check_parts(names, parts)
        named = zip(names, parts, strict=False)
        outputs = {name: output_array(name, values, self.dtype) for name, values in named if values is not None}
        expected = expect(self.loss, self.inputs, self.labels, self.cotangent, self.dtype)
        for right in expected.ways[0]:
            if right.name in outputs and outputs[right.name].shape != right.value.shape:
                raise ValueError(f"{right.name} must have shape {right.value.shape}; got {outputs[right.name].shape}.")
        wrong = [q for q in judge(expected, outputs).quantities if q.wrong.any()]
        if wrong:
            raise AssertionError("\n".join(map(_said, wrong)))


@dataclass(frozen=True, eq=False, repr=False)
class Example(Inputs):
    """Rows of cosines, and the loss they are for.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    cosines : array_like, shape (B, C)
        Numbers that `dtype` holds exactly. They are kept in float64 or float32, the narrowest of the two.
    labels : array_like of int, shape (B,)
        The target classes.
    cotangent : array_like, shape (B,), optional
        The derivative of the final number by each loss; ones if left out.
    dtype : {"float64", "float32", "float16", "bfloat16"}
        The format that the numbers are exact in, and in which the code under test computes.
    at : sequence of str, shape (B,), optional
        What each row was drawn at: "plain", "tie", "tie+1" for one ulp above.
    variant : str, optional
        The name of the loss in `svref.VARIANTS`. If left out, the first that the loss equals; None if it equals none.

    Raises
    ------
    ValueError, TypeError
        If the inputs are not valid for the loss, or a number is none of `dtype`.

    Examples
    --------
    >>> import svref
    >>> from svref.strategies import Example
    >>> rows = Example(svref.sv_am_softmax(s=4.0, m=0.25, t=2.0), [[0.5, 0.25, -1.0], [0.5, 0.0, 0.3]], [0, 0])
    >>> rows.distance.tolist(), rows.undecided
    ([0.0, 0.04999999999999999], array([False, False]))
    >>> rows.check(*rows.loss.value_and_grad(rows.cosines, rows.labels, reduction="none"))
    """

    cosines: FloatArray

    def __init__(
        self,
        loss: SVXSoftmax,
        cosines: ArrayLike,
        labels: ArrayLike,
        cotangent: ArrayLike | None = None,
        *,
        dtype: str = "float64",
        at: Sequence[str] = (),
        variant: str | None = None,
    ) -> None:
        named = checked_name(loss, variant)
        c = exact_array("cosines", cosines, dtype)
        _, y, _ = loss.checked(c, labels, None)
        set_fields(self, cosines=c, labels=y, **given(loss, len(y), cotangent, dtype, at, named))

    @property
    def inputs(self) -> tuple[FloatArray, ...]:
        """(cosines,)."""
        return (self.cosines,)

    @property
    def gradients(self) -> tuple[str, ...]:
        """("grad_cosines",)."""
        return ("grad_cosines",)

    @property
    def dimensions(self) -> int:
        """0: the cosines are given, and so without an error."""
        return 0

    @cached_property
    def step(self) -> Step:
        """The forward pass in float64."""
        return self.loss.forward(self.cosines.astype(np.float64), self.labels)

    def __repr__(self) -> str:
        return literal(self, ("cosines", self.cosines))

    def _rows(self, keep: IntArray) -> Self:
        return type(self)(self.loss, self.cosines[keep], **self._of_rows(keep))


@dataclass(frozen=True, eq=False, repr=False)
class HeadExample(Inputs):
    """Embeddings and weights, and the loss of their cosines.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    embeddings, weights : array_like, shape (B, D) and (C, D)
        Vectors of any length but 0, of numbers that `dtype` holds exactly.
    labels, cotangent, dtype, at, variant
        As of `Example`.

    Raises
    ------
    ValueError, TypeError
        If the inputs are not valid, or a number is none of `dtype`.
    """

    embeddings: FloatArray
    weights: FloatArray

    def __init__(
        self,
        loss: SVXSoftmax,
        embeddings: ArrayLike,
        weights: ArrayLike,
        labels: ArrayLike,
        cotangent: ArrayLike | None = None,
        *,
        dtype: str = "float64",
        at: Sequence[str] = (),
        variant: str | None = None,
    ) -> None:
        named = checked_name(loss, variant)
        x, w = exact_array("embeddings", embeddings, dtype), exact_array("weights", weights, dtype)
        y = np.asarray(labels, dtype=np.intp)
        set_fields(self, embeddings=x, weights=w, labels=y, **given(loss, len(y), cotangent, dtype, at, named))
        self.step  # noqa: B018  # its checks are those of a head

    @property
    def inputs(self) -> tuple[FloatArray, ...]:
        """(embeddings, weights)."""
        return self.embeddings, self.weights

    @property
    def gradients(self) -> tuple[str, ...]:
        """("grad_embeddings", "grad_weights")."""
        return "grad_embeddings", "grad_weights"

    @property
    def dimensions(self) -> int:
        """D, the numbers in an embedding."""
        return int(self.embeddings.shape[1])

    @cached_property
    def step(self) -> Step:
        """The forward pass in float64, with the targets' angles measured on the vectors."""
        x, w = (a.astype(np.float64) for a in self.inputs)
        return Shard.of(self.loss, x, w, self.labels).step()

    def __repr__(self) -> str:
        return literal(self, ("embeddings", self.embeddings), ("weights", self.weights))

    def _rows(self, keep: IntArray) -> Self:
        return type(self)(self.loss, self.embeddings[keep], self.weights, **self._of_rows(keep))


# ---- made, checked and written --------------------------------------------------------------------------------------


def given(
    loss: SVXSoftmax, rows: int, cotangent: ArrayLike | None, dtype: str, at: Sequence[str], variant: str | None
) -> dict[str, Any]:
    """Return the fields that both kinds of examples have; rows without a cotangent get 1, and without a mark none."""
    g = np.ones(rows) if cotangent is None else exact_array("cotangent", cotangent, dtype).astype(np.float64)
    if g.shape != (rows,):
        raise ValueError(f"cotangent must have one number a row, shape ({rows},); got shape {g.shape}.")
    return {"loss": loss, "cotangent": g, "dtype": dtype, "at": tuple(at) or ("",) * rows, "named": variant}


def set_fields(example: Inputs, **values: Any) -> None:
    """Set the fields of an example that is being made; afterwards it is frozen."""
    for name, value in values.items():
        object.__setattr__(example, name, value)


def checked_name(loss: SVXSoftmax, variant: str | None) -> str | None:
    """Return the name of a variant as the registry has it, however it was typed; None if none was given.

    Raises unless `loss` is a loss, and one that the variant of that name has.
    """
    check_loss(loss)
    if variant is None:
        return None
    named = name_of(loss, variant)
    if named is None:
        raise ValueError(f"variant must be the one that made the loss, or left out; got {variant!r} for {loss!r}.")
    return named[0]


def exact_array(name: str, values: ArrayLike, dtype: str) -> FloatArray:
    """Return numbers in float64, or in float32 for a narrower format; raise a ValueError if the format has not all."""
    array = np.asarray(values, dtype=np.float64)
    format_named(dtype)
    if not (held := are_of(array, dtype)).all():
        raise ValueError(f"{name} must be numbers of {dtype}; got {array[~held][0]!r}. Round them first.")
    return array if dtype == "float64" else array.astype(np.float32)


def literal(example: Inputs, *arrays: tuple[str, FloatArray]) -> str:
    """Return Python that makes an example again; the names in it are those of ``import svref``."""
    lines = [loss_literal(example)]
    lines += [f"{name}={array.astype(np.float64).tolist()}" for name, array in arrays]
    lines.append(f"labels={example.labels.tolist()}")
    if (example.cotangent != 1).any():
        lines.append(f"cotangent={example.cotangent.tolist()}")
    lines.append(f"dtype={example.dtype!r}")
    if any(example.at):
        lines.append(f"at={list(example.at)}")
    if example.named and example.named != (name_of(example.loss) or ("",))[0]:
        lines.append(f"variant={example.named!r}")
    return f"svref.strategies.{type(example).__name__}(" + "".join(f"\n    {line}," for line in lines) + "\n)"


def loss_literal(example: Inputs) -> str:
    """Return Python that makes the loss of an example: by its factory if it has one, else by its parts."""
    if example.variant is None:
        return _part(example.loss)
    parameters = ", ".join(f"{key}={value!r}" for key, value in example.parameters.items())
    return f"svref.{example.variant.replace('-', '_')}({parameters})"


def _part(value: Any) -> str:
    """Return Python that makes a loss, a margin, an emphasis or a number, with the package before the name."""
    if not dataclasses.is_dataclass(value):
        return repr(value)
    parts = (f"{f.name}={_part(getattr(value, f.name))}" for f in dataclasses.fields(value))
    return f"svref.{type(value).__name__}({', '.join(parts)})"


def _said(quantity: Quantity) -> str:
    """Return a line about the worst element of an output."""
    error = np.where(quantity.wrong, quantity.error, -1.0)
    at = np.unravel_index(int(np.argmax(error)), error.shape)
    where = ", ".join(str(int(i)) for i in at)
    size = "it is not finite" if np.isinf(error[at]) else f"error {error[at]:,.3g} times the tolerance"
    note = quantity.note or size
    return f"{quantity.name}[{where}] = {quantity.got[at]:.9g}, but should be {quantity.expected[at]:.9g}   ({note})"
