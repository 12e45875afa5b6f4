"""The sizes at which a computation gives what was measured.

One size is solved for element by element: the element that depends on it most says which size it is, and all others
must agree. So an element that jumps, as one beside the boundary of a mask does, leads no other one astray. Several
sizes are those at which all misfits are smallest in squares, by Levenberg and Marquardt's method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray

ROUNDS = 30  # steps of a fit; one that converges needs ten
SLOW = 0.9  # a step that leaves more of the squares than this is slow
PATIENCE = 3  # slow steps after which a fit is given up
REFUSED = 1e15  # the misfit where a formula has no number, or refuses the point
MOST_STEPS, CLOSE = 30, 2.0**-50  # of solving, and how close the two ends of a bracket are at last, relatively
EXACT = 2.0**-10  # in parts of the room: an element as near as that has its size
AGREE = 0.8  # of the elements must lie between those of two neighbouring sizes, or the family is not fitted there
ELEMENTS = 3  # that a size is solved for, one after another


class Size(NamedTuple):
    """A size that fits one case, and how far rounding may have moved it."""

    value: float
    error: float


class Fit(NamedTuple):
    """What is computed with a size, as one vector: `at` takes the size; `got` and `room` are what was measured."""

    at: Callable[[float], FloatArray]
    got: FloatArray
    room: FloatArray


def linear(fit: Fit) -> Iterator[Size]:
    """Yield the one size of a family whose outputs are linear in it."""
    at_0, at_1 = fit.at(0.0), fit.at(1.0)
    slope = at_1 - at_0
    weight = np.where(np.isfinite(slope) & np.isfinite(fit.got), np.abs(slope) / fit.room, 0.0)
    e = int(np.argmax(weight))
    if weight[e] > 0:
        yield Size(float((fit.got[e] - at_0[e]) / slope[e]), float(fit.room[e] / abs(slope[e])))


def solved(fit: Fit, sizes: FloatArray) -> Iterator[Size]:
    """Yield the sizes at which the elements that depend on it most are those of the candidate."""
    table = np.stack([fit.at(size) for size in sizes])
    finite = np.isfinite(table) & np.isfinite(fit.got)
    for j in range(len(sizes) - 1):
        moves = finite[j] & finite[j + 1] & (np.abs(table[j + 1] - table[j]) > fit.room)
        if not moves.any() or not _is_between(fit, table[j], table[j + 1], moves):
            continue
        change = np.where(moves, np.abs(table[j + 1] - table[j]) / fit.room, 0.0)
        for e in np.argsort(-change)[:ELEMENTS]:
            size = _between(fit, int(e), sizes[j], sizes[j + 1])
            if size is not None and agrees(fit, size):
                yield size
                break


def _is_between(fit: Fit, one: FloatArray, other: FloatArray, moves: BoolArray) -> bool:
    """Return whether most elements that move between two sizes are the candidate's somewhere between."""
    low, high = np.minimum(one, other) - fit.room, np.maximum(one, other) + fit.room
    slack = 0.1 * np.abs(other - one)
    inside = (fit.got >= low - slack) & (fit.got <= high + slack)
    return bool(inside[moves].mean() >= AGREE)


def _between(fit: Fit, e: int, low: float, high: float) -> Size | None:
    """Return the size between two others at which one element is the candidate's, by the Illinois method."""
    off_low, off_high = (float(fit.at(end)[e] - fit.got[e]) for end in (low, high))
    if off_low * off_high > 0:
        return min((_near(fit, e, end) for end in (low, high)), key=lambda size: size.error)
    kept = 0  # the side of the end that the last step kept: a side that is kept twice counts half
    for _ in range(MOST_STEPS):
        if abs(high - low) <= CLOSE * max(abs(low), abs(high)) or off_high == off_low:
            break
        secant = high - off_high * (high - low) / (off_high - off_low)
        middle = secant if min(low, high) < secant < max(low, high) else (low + high) / 2
        off = float(fit.at(middle)[e] - fit.got[e])
        if abs(off) <= EXACT * fit.room[e]:
            low = high = middle
        elif (off > 0) == (off_low > 0):
            low, off_low, off_high, kept = middle, off, off_high / (1 + (kept > 0)), 1
        else:
            high, off_high, off_low, kept = middle, off, off_low / (1 + (kept < 0)), -1
    return _near(fit, e, (low + high) / 2)


def _near(fit: Fit, e: int, size: float) -> Size:
    """Return a size with its error, from how fast the element moves there."""
    step = max(abs(size), 1e-12) * 1e-4
    slope = abs(fit.at(size + step)[e] - fit.at(size - step)[e]) / (2 * step)
    return Size(size, float(fit.room[e] / slope) if slope > 0 else float("inf"))


def agrees(fit: Fit, size: Size) -> bool:
    """Return whether all finite elements are the candidate's at a size, which has an error of its own."""
    at, finite = fit.at(size.value), np.isfinite(fit.got)
    step = min(size.error, 1e-3 * abs(size.value)) or 1e-15
    moved = np.abs(fit.at(size.value + step) - at)
    close = np.abs(at - fit.got) <= fit.room + np.where(np.isfinite(moved), 4 * moved, np.inf)
    return bool((close | ~finite | ~np.isfinite(at)).all())


# ---- several sizes ---------------------------------------------------------------------------------------------


def least_squares(misfit: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Return where a vector of misfits is smallest in squares near x."""
    r, damping, slow = misfit(x), 1e-3, 0
    slopes = _slopes(misfit, x, r)
    for _ in range(ROUNDS):
        step = _step(slopes, r, damping)
        trial = misfit(x + step)
        if (trial @ trial) < r @ r:
            slow = slow + 1 if trial @ trial > SLOW * (r @ r) else 0
            x, r, damping = x + step, trial, damping / 10
            slopes = _slopes(misfit, x, r)
        else:
            slow, damping = slow + 1, damping * 10
        if slow >= PATIENCE or (np.abs(step) <= 1e-15 * (1e-9 + np.abs(x))).all():
            break
    return x


def _slopes(misfit: Callable[[FloatArray], FloatArray], x: FloatArray, r: FloatArray) -> FloatArray:
    """Return the derivatives of the misfits r at x, by differences."""
    moves = 1e-7 * np.maximum(np.abs(x), 1e-2)
    return np.stack([(misfit(x + move) - r) / step for move, step in zip(np.diag(moves), moves, strict=True)], axis=1)


def _step(slopes: FloatArray, r: FloatArray, damping: float) -> FloatArray:
    """Return the damped step towards smaller squares."""
    square = slopes.T @ slopes
    square[np.diag_indices_from(square)] *= 1 + damping
    try:
        return -np.linalg.solve(square + 1e-300 * np.eye(slopes.shape[1]), slopes.T @ r)
    except np.linalg.LinAlgError:
        return np.zeros(slopes.shape[1])
