"""The numbers at which misfits are smallest in squares.

This is Levenberg and Marquardt's method, for one to three numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svref.arrays import FloatArray

ROUNDS = 30  # steps of a fit; one that converges needs ten
SLOW = 0.9  # a step that leaves more of the squares than this is slow
PATIENCE = 3  # slow steps after which a fit is given up
REFUSED = 1e9  # the misfit where a formula has no number, or refuses the point


def least_squares(misfit: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
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
