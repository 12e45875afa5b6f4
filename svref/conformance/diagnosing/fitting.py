"""Which sizes of a form give the losses that a candidate returned, if any do.

A fit is a nonlinear least-squares problem, begun at each of the form's starts. It holds only if every loss then differs
by no more than rounding explains; a fit that is close is none. A size is printed with as few digits as still give every
loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing.forms import Form, Parts, Sizes
from svref.conformance.diagnosing.probes import BATCH, Rows
from svref.conformance.solving import REFUSED, Fit, least_squares, solved

NONE = 1e-13  # a size below is 0, if 0 gives every loss too
FEW, NEAREST = 6, 3  # starts at each of which a fit begins; if there are more, it begins at so many
NARROWINGS = 4  # each finds the switch of f between targets 49 times closer together


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be fitted: the losses (B,) of rows, and by how much right code may differ from them (B,).

    `ask` returns the candidate's losses of other rows.
    """

    parts: Parts
    losses: FloatArray
    allowed: FloatArray
    ask: Callable[[Rows], FloatArray]

    def computed(self, form: Form, sizes: Sizes) -> FloatArray:
        """Return the form's losses, (B,); NaN with sizes that it cannot have."""
        try:
            return form.losses(self.parts, sizes)
        except (ValueError, OverflowError, ZeroDivisionError):
            return np.full(len(self.losses), np.nan)

    def misfit(self, form: Form, sizes: Sizes) -> FloatArray:
        """Return by how many times what is allowed the form's losses differ, (B,); `REFUSED` where it has none."""
        off = (self.computed(form, sizes) - self.losses) / self.allowed
        return np.where(np.isfinite(off), off, REFUSED)

    def distance(self, form: Form, sizes: Sizes) -> float:
        """Return how far the form's losses are off, by the sum of the logarithms: no row outweighs all others."""
        return float(np.log1p(np.abs(self.misfit(form, sizes))).sum())

    def holds(self, form: Form, sizes: Sizes) -> bool:
        """Return whether the form gives every loss."""
        return bool((np.abs(self.misfit(form, sizes)) <= 1).all())


def fit(form: Form, target: Target, near: Sizes | None = None) -> Sizes | None:
    """Return the sizes with which a form gives every loss of a target, None if there are none.

    `near` are sizes to begin at before the form's own starts.
    """
    for start in _starts(form, target, near):
        sizes = _refined(form, target, start) if len(start) > form.has_switch else start
        if target.holds(form, sizes):
            return _with_switch(form, target, sizes) if form.has_switch else _short(form, target, sizes)
    return None


def _starts(form: Form, target: Target, near: Sizes | None) -> Iterator[Sizes]:
    """Yield the sizes at which fits begin."""
    if near is not None:
        yield near
    if form.has_switch:
        yield from ((place, *rest) for rest in form.starts for place in _places(form, target, rest))
    elif form.count == 1 and len(form.starts) > FEW:
        at = Fit(lambda size: target.computed(form, (size,)), target.losses, target.allowed)
        yield from ((size.value,) for size in solved(at, np.ravel(form.starts)))
    elif len(form.starts) > FEW:
        yield from sorted(form.starts, key=lambda start: target.distance(form, start))[:NEAREST]
    else:
        yield from form.starts


def _places(form: Form, target: Target, rest: Sizes) -> Iterator[float]:
    """Yield the lowest place that a switch may have: all targets above it have the loss that a form has there."""
    c = target.parts.angle.cosine
    wrong = c[np.abs(target.misfit(form, (-2.0, *rest))) > 1]
    if wrong.size and wrong.max() < c.max():
        yield float(wrong.max() + c[c > wrong.max()].min()) / 2


def _refined(form: Form, target: Target, start: Sizes) -> Sizes:
    """Return the sizes that a least-squares fit from `start` ends at; the switch of a form that has one stays."""
    fixed = start[:1] if form.has_switch else ()
    free, are_logs = np.array(start[len(fixed) :]), np.array(form.are_logs[len(fixed) :])

    def sizes(x: FloatArray) -> Sizes:
        return (*fixed, *(float(v) for v in np.where(are_logs, np.exp(x), x)))

    x = np.where(are_logs, np.log(np.maximum(free, 1e-300)), free)
    return sizes(least_squares(lambda x: target.misfit(form, sizes(x)), x))


def _short(form: Form, target: Target, sizes: Sizes) -> Sizes:
    """Return the sizes with as few digits as still give every loss."""
    nearly_none = tuple(0.0 if abs(size) < NONE else size for size in sizes)
    for digits in range(1, 17):
        short = tuple(float(f"{size:.{digits}g}") for size in nearly_none)
        if target.holds(form, short):
            return short
    return sizes


# ---- where f switches ------------------------------------------------------------------------------------------


def _with_switch(form: Form, target: Target, sizes: Sizes) -> Sizes:
    """Return the sizes with the place of the switch: rows between the two targets beside it are asked, again and again.

    The place is written with as few digits as a number between the last two targets has.
    """
    _, *rest = _short(form, target, sizes)
    low, high = _beside(target.parts.angle.cosine, sizes[0])
    row = int(np.argmin(np.abs(target.parts.angle.cosine - high)))
    others = target.parts.rows.cosines[row], target.parts.rows.labels[row]
    for _ in range(NARROWINGS):
        c = np.linspace(low, high, BATCH + 2)[1:-1]
        is_above = _is_above(form, target, rest, c, others)
        first = int(np.argmax(is_above)) if is_above.any() else BATCH
        low, high = (c[first - 1] if first else low), (c[first] if first < BATCH else high)
    return (_shortest_between(low, high), *rest)


def _beside(c: FloatArray, place: float) -> tuple[float, float]:
    """Return the numbers of c next to a place."""
    return float(c[c < place].max()), float(c[c > place].min())


def _is_above(
    form: Form, target: Target, rest: list[float], c: FloatArray, others: tuple[FloatArray, np.intp]
) -> BoolArray:
    """Return for each target c, beside the negatives of one row, whether it lies above the switch."""
    cosines, labels = np.tile(others[0], (len(c), 1)), np.full(len(c), others[1], dtype=np.intp)
    cosines[:, others[1]] = c
    rows = Rows(cosines, labels)
    losses, parts = target.ask(rows), Parts(target.parts.loss, rows)
    above, below = (np.abs(form.losses(parts, (place, *rest)) - losses) for place in (-2.0, 2.0))
    return np.asarray(above < below)


def _shortest_between(low: float, high: float) -> float:
    """Return the number with the fewest digits between two."""
    middle = (low + high) / 2
    for digits in range(1, 17):
        short = float(f"{middle:.{digits}g}")
        if low <= short <= high:
            return short
    return middle
