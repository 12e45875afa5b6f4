"""Which sizes of a form give the losses that a candidate returned, if any do.

A fit is a nonlinear least-squares problem of one to three numbers (Levenberg and Marquardt's method), begun at each of
the form's starts. It holds only if every loss then differs by no more than rounding explains; a fit that is close is
none. A size is printed with as few digits as still give every loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing.forms import Form, Parts, Sizes
from svref.conformance.diagnosing.probes import BATCH, Rows

ROUNDS = 30  # steps of a fit; one that converges needs ten
SLOW = 0.9  # a step that leaves more of the squares than this is slow
NONE = 1e-13  # a size below is 0, if 0 gives every loss too
NARROWINGS = 4  # each finds the switch of f between targets 49 times closer together
PATIENCE = 3  # slow steps after which a fit is given up


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be fitted: the losses (B,) of rows, and by how much right code may differ from them (B,).

    `ask` returns the candidate's losses of other rows.
    """

    parts: Parts
    losses: FloatArray
    allowed: FloatArray
    ask: Callable[[Rows], FloatArray]

    def misfit(self, form: Form, sizes: Sizes) -> FloatArray:
        """Return by how many times what is allowed the form's losses differ, (B,); 1e9 where it has none."""
        try:
            off = (form.losses(self.parts, sizes) - self.losses) / self.allowed
        except (ValueError, OverflowError, ZeroDivisionError):  # sizes that the form cannot have
            return np.full(len(self.losses), 1e9)
        return np.where(np.isfinite(off), off, 1e9)

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
    if not form.has_switch:
        yield from form.starts
        return
    c = np.unique(target.parts.angle.cosine)
    middles = (c[1:] + c[:-1]) / 2
    for switch in middles:
        yield from ((float(switch), *rest) for rest in form.starts)


def _refined(form: Form, target: Target, start: Sizes) -> Sizes:
    """Return the sizes that a least-squares fit from `start` ends at; the switch of a form that has one stays."""
    fixed = start[:1] if form.has_switch else ()
    free, are_logs = np.array(start[len(fixed) :]), np.array(form.are_logs[len(fixed) :])

    def sizes(x: FloatArray) -> Sizes:
        return (*fixed, *(float(v) for v in np.where(are_logs, np.exp(x), x)))

    x = np.where(are_logs, np.log(np.maximum(free, 1e-300)), free)
    return sizes(_least_squares(lambda x: target.misfit(form, sizes(x)), x))


def _least_squares(misfit: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Return where a vector of misfits is smallest in squares near x."""
    r, damping, slow = misfit(x), 1e-3, 0
    for _ in range(ROUNDS):
        step = _step(misfit, x, r, damping)
        trial = misfit(x + step)
        if (trial @ trial) < r @ r:
            slow = slow + 1 if trial @ trial > SLOW * (r @ r) else 0
            x, r, damping = x + step, trial, damping / 10
        else:
            slow, damping = slow + 1, damping * 10
        if slow >= PATIENCE or (np.abs(step) <= 1e-15 * (1e-9 + np.abs(x))).all():
            break
    return x


def _step(misfit: Callable[[FloatArray], FloatArray], x: FloatArray, r: FloatArray, damping: float) -> FloatArray:
    """Return the damped step from x towards smaller squares."""
    moves = 1e-7 * np.maximum(np.abs(x), 1e-2)
    slopes = np.stack([(misfit(x + move) - r) / step for move, step in zip(np.diag(moves), moves, strict=True)], axis=1)
    square = slopes.T @ slopes
    square[np.diag_indices_from(square)] *= 1 + damping
    try:
        return -np.linalg.solve(square + 1e-300 * np.eye(len(x)), slopes.T @ r)
    except np.linalg.LinAlgError:
        return np.zeros_like(x)


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
