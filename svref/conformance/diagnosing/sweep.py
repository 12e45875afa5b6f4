"""One negative swept beside some targets: by how much its logit exceeds s c_k, hence where the mask is on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.probes import LOOSE, Reading, Subject
from svref.deviations import DEVIATIONS

CLEAR = 8  # times the noise of a reading: a lift as large is told from none, and none from it


class Sweep(NamedTuple):
    """Targets (T,), levels (T, K) of a negative beside each, and by how much its logit exceeds s c_k, over s."""

    targets: FloatArray
    levels: FloatArray
    lifted: Reading
    on: BoolArray
    sharp: BoolArray


def sweep(subject: Subject, targets: FloatArray, levels: FloatArray, f: FloatArray) -> Sweep:
    """Return what one negative at each of the levels (T, K) does beside each of the targets (T,) with these f."""
    lifted = probes.read_negatives(subject, targets, levels, f)
    on = np.abs(lifted.value) > CLEAR / 2 * (lifted.error + LOOSE)
    return Sweep(
        targets, levels, lifted, on, lifted.resolved & (CLEAR * (lifted.error + LOOSE) < lifts(subject, levels))
    )


def lifts(subject: Subject, levels: FloatArray) -> FloatArray:
    """Return log h/s of a support vector at each level."""
    emphasis = subject.loss.emphasis
    return (emphasis.t - 1) * emphasis.growth(levels)


def ideal(got: Sweep, lifts: FloatArray, f: FloatArray, error: FloatArray) -> Sweep:
    """Return the paper's sweep beside an f that no known loss has, known up to an error."""
    on = got.levels > f[:, None]
    return Sweep(
        got.targets, got.levels, Reading(on * lifts, np.broadcast_to(error[:, None], lifts.shape)), on, np.ones_like(on)
    )


def named_sweep(subject: Subject, name: str, like: Sweep) -> Sweep:
    """Return the sweep of a deviation, relative to its own f."""
    other = subject.like(name)
    return sweep(other, like.targets, like.levels, probes.read_targets(other, like.targets).value)


def applying(subject: Subject, names: tuple[str, ...]) -> list[str]:
    """Return those of the deviations that change this loss."""
    return [name for name in names if DEVIATIONS[name].applies(subject.loss)]


def farthest(got: Sweep, right: Sweep, where: BoolArray) -> str:
    """Return the reading that is farthest from the reference's."""
    seen = got.lifted.resolved & where
    if not seen.any():
        return "no negative with a reading"
    off = np.abs(got.lifted.value - right.lifted.value)
    i, k = np.unravel_index(int(np.argmax(np.where(seen, off, -1))), off.shape)
    value, expected = got.lifted.value[i, k], right.lifted.value[i, k]
    c_y, c_k = got.targets[i], got.levels[i, k]
    return f"z_k/s - c_k = {value:.4f} at c_k = {c_k:.4g}, c_y = {c_y:.4g}; paper: {expected:.4f}"
