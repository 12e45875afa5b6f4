"""A form: a formula for the losses of rows, with the sizes in it that a fit may choose.

Forms are made from the paper's own parts, so that each of them changes one thing: `of_logits` has those that change a
logit, `of_losses` those that change what is made of the logits. `fitting` finds the sizes.
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
After = Callable[[FloatArray, Own, Sizes], FloatArray]  # of logits (B, C), the label's entries and sizes: losses (B,)


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

    def logits(
        self, f: FloatArray | None = None, mask: BoolArray | None = None, h: Sizes | None = None, s: float | None = None
    ) -> FloatArray:
        """Return the logits (B, C), with other numbers in place of the paper's where they are given."""
        scale, used = self.loss.s if s is None else s, self.f if f is None else f
        z = self.c
        if self.has_h:
            a, b = h or self.h
            z = z + (a * z + b) * (self.mask(used) if mask is None else mask)
        z = scale * z
        z[self.own] = scale * used
        return z


def cross_entropy(z: FloatArray, own: Own, sizes: Sizes = ()) -> FloatArray:
    """Return -log softmax(z)_y, (B,), with all digits where it is close to 0."""
    r = z - z[own][:, None]
    r[own] = -np.inf
    return softplus(log_sum_exp(r))


def papers_logits(parts: Parts, sizes: Sizes = ()) -> FloatArray:
    """Return the paper's logits."""
    return parts.logits()


@dataclass(frozen=True, eq=False)
class Form:
    """A formula for losses.

    Parameters
    ----------
    says : tuple of (question, answer)
        The questions it answers in another way than the paper; an answer holds {0}, {1} for the sizes.
    starts : tuple of sizes
        Where fits begin; ((),) for a form without sizes.
    logits : callable
        Of parts and sizes, the logits (B, C).
    after : callable
        Of logits, the label's entries and sizes, the losses (B,).
    whole : callable or None
        Of parts, the losses, for a form that has no logits of its own: `logits` and `after` are then not used.
    positive : bool
        Whether the sizes are positive numbers of unknown order: a fit then looks for their logarithms.
    has_switch : bool
        Whether the first size is a cosine of the target at which f switches: a fit then tries every place for it.
    logs : tuple of bool
        `positive` for each size by itself; () stands for the same for all.
    any_classes : bool
        Whether it says what the losses are for another number of classes.
    is_of_ends : bool
        Whether it differs from the paper at c_y = ±1 alone, where a gradient of 0 tells more.
    is_common : bool
        Whether it is looked for beside another form as well.
    deviation : str
        Its name in `svref.deviations.DEVIATIONS`, "" if it has none.
    """

    says: tuple[tuple[str, str], ...]
    starts: tuple[Sizes, ...] = ((),)
    logits: Callable[[Parts, Sizes], FloatArray] = papers_logits
    after: After = cross_entropy
    whole: Callable[[Parts], FloatArray] | None = None
    positive: bool = False
    has_switch: bool = False
    any_classes: bool = True
    logs: tuple[bool, ...] = ()
    is_of_ends: bool = False
    is_common: bool = False
    deviation: str = ""

    @property
    def count(self) -> int:
        """How many sizes it has."""
        return len(self.starts[0]) + self.has_switch

    @property
    def are_logs(self) -> tuple[bool, ...]:
        """For each size, whether a fit looks for its logarithm."""
        return self.logs or (self.positive,) * self.count

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions it answers."""
        return tuple(question for question, _ in self.says)

    def losses(self, parts: Parts, sizes: Sizes) -> FloatArray:
        """Return the losses (B,) of rows."""
        if self.whole is not None:
            return self.whole(parts)
        return self.after(self.logits(parts, sizes), parts.own, sizes)

    def followed_by(self, other: Form) -> Form:
        """Return the form with this one's logits, and what the other makes of logits."""
        first = self.count
        return Form(
            says=self.says + tuple((question, _renumbered(text, first)) for question, text in other.says),
            starts=tuple(a + b for a in self.starts[:2] for b in other.starts[:1]),
            logits=lambda parts, sizes: self.logits(parts, sizes[:first]),
            after=lambda z, own, sizes: other.after(z, own, sizes[first:]),
            any_classes=self.any_classes and other.any_classes,
            logs=self.are_logs + other.are_logs,
        )


def _renumbered(text: str, first: int) -> str:
    """Return an answer whose sizes {0}, {1} are called {first}, {first + 1}."""
    for i in (2, 1, 0):
        text = text.replace(f"{{{i}}}", f"{{{i + first}}}")
    return text
