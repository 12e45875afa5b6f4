"""A form: a formula for the losses of rows, with the sizes in it that a fit may choose.

`of_families` makes them from the families of known mistakes. Those that no family has are made from the paper's own
parts, so that each of them changes one thing: `of_logits` has those that change a logit, `of_losses` those that change
what is made of the logits. `fitting` finds the sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.conformance.diagnosing.probes import Rows
from svref.deviations import which
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.reference import log_sum_exp, softplus

Sizes = tuple[float, ...]
Own = tuple[IntArray, IntArray]


@dataclass(frozen=True, eq=False)
class Parts:
    """What the paper computes of some rows on the way to the logits."""

    loss: SVXSoftmax
    rows: Rows

    @property
    def c(self) -> FloatArray:
        """The cosines, (B, C)."""
        return self.rows.cosines

    @cached_property
    def own(self) -> Own:
        """The label's entries, as an index into arrays (B, C)."""
        return np.arange(len(self.rows.labels)), self.rows.labels

    @cached_property
    def ones(self) -> FloatArray:
        """A cotangent, (B,)."""
        return np.ones(len(self.rows.labels))

    @cached_property
    def is_own(self) -> BoolArray:
        """Where the label's column is, (B, C)."""
        mask = np.zeros(self.c.shape, dtype=bool)
        mask[self.own] = True
        return mask

    @cached_property
    def angle(self) -> Angle:
        """The angle of each target."""
        return Angle.from_cosine(self.c[self.own])

    @cached_property
    def f(self) -> FloatArray:
        """The target's cosine after the margin, (B,)."""
        return self.loss.margin.value(self.angle)

    @property
    def has_h(self) -> bool:
        """Whether support vectors are emphasised."""
        return which.emphasises(self.loss)

    @property
    def h(self) -> Sizes:
        """A and b in log h_k = s (a c_k + b) I_k."""
        rise = self.loss.emphasis.t - 1
        return (rise * self.loss.emphasis.growth_slope, rise)

    def mask(self, f: FloatArray) -> BoolArray:
        """Return the support vectors beside an f (B,), (B, C)."""
        boundary = self.loss.emphasis.boundary
        bound = f if boundary is None else boundary.value(self.angle)
        return np.asarray((self.c > bound[:, None]) & ~self.is_own)

    def logits(self, f: FloatArray | None = None, h: Sizes | None = None, s: float | None = None) -> FloatArray:
        """Return the logits (B, C), with other numbers in place of the paper's where they are given."""
        scale, used = self.loss.s if s is None else s, self.f if f is None else f
        z = self.c
        if self.has_h:
            a, b = h or self.h
            z = z + (a * z + b) * self.mask(used)
        z = scale * z
        z[self.own] = scale * used
        return z


def cross_entropy(z: FloatArray, own: Own) -> FloatArray:
    """Return -log softmax(z)_y, (B,), with all digits where it is close to 0."""
    r = z - z[own][:, None]
    r[own] = -np.inf
    return softplus(log_sum_exp(r))


Losses = Callable[[Parts, Sizes], FloatArray]  # of rows and sizes, (B,)


@dataclass(frozen=True, eq=False)
class Form:
    """A formula for losses.

    Parameters
    ----------
    says : tuple of (question, answer)
        The questions it answers in another way than the paper; an answer holds {0}, {1} for the sizes.
    losses : callable
        Of parts and sizes, the losses (B,) of rows.
    starts : tuple of sizes
        Where fits begin; ((),) for a form without sizes.
    positive : bool
        Whether the sizes are positive numbers of unknown order: a fit then looks for their logarithms.
    has_switch : bool
        Whether the first size is a cosine of the target at which f switches; a fit reads it from the losses.
    logs : tuple of bool
        `positive` for each size by itself; () stands for the same for all.
    any_classes : bool
        Whether it says what the losses are for another number of classes.
    is_of_ends : bool
        Whether it differs from the paper at c_y = ±1 alone, where a gradient of 0 tells more.
    change : callable or None
        Of the paper's loss and sizes, the loss that has these losses, for a form that is looked for before a second.
    is_second : bool
        Whether it is looked for after a change of the loss too.
    deviation : str
        Its name in `svref.deviations.DEVIATIONS`, "" if it has none.
    """

    says: tuple[tuple[str, str], ...]
    losses: Losses
    starts: tuple[Sizes, ...] = ((),)
    positive: bool = False
    has_switch: bool = False
    any_classes: bool = True
    logs: tuple[bool, ...] = ()
    is_of_ends: bool = False
    change: Callable[[SVXSoftmax, Sizes], SVXSoftmax] | None = None
    is_second: bool = False
    deviation: str = ""

    @property
    def count(self) -> int:
        """How many sizes it has."""
        return len(self.starts[0]) + self.has_switch

    @property
    def are_logs(self) -> tuple[bool, ...]:
        """For each size, whether a fit looks for its logarithm."""
        return self.logs or (self.positive,) * self.count

    def followed_by(self, other: Form) -> Form:
        """Return the form that makes of this one's loss what the other makes of the paper's."""
        first = self.count
        change = self.change or (lambda loss, v: loss)
        return Form(
            self.says + tuple((question, _renumbered(text, first)) for question, text in other.says),
            lambda parts, v: other.losses(Parts(change(parts.loss, v[:first]), parts.rows), v[first:]),
            tuple(a + b for a in self.starts for b in other.starts[len(other.starts) // 2 :][:1]),
            logs=self.are_logs + other.are_logs,
        )


def of_logits(
    question: str, answer: str, starts: tuple[Sizes, ...], logits: Callable[[Parts, Sizes], FloatArray]
) -> Form:
    """Return the form with other logits (B, C), a function of parts and sizes."""
    return Form(((question, answer),), lambda parts, v: cross_entropy(logits(parts, v), parts.own), starts)


def _renumbered(text: str, first: int) -> str:
    """Return an answer whose sizes {0}, {1} are called {first}, {first + 1}."""
    for i in (2, 1, 0):
        text = text.replace(f"{{{i}}}", f"{{{i + first}}}")
    return text
