"""One negative swept over many levels beside some targets: where its logit is lifted, and by how much.

The lift, z_k/s - c_k, is 0 where I_k = 0 and log h_k/s where I_k = 1. A level is called lifted if its lift stands out
of the noise of the measurement, which is its error and the 1e-5 below which formulas count as one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing import probes
from svref.conformance.diagnosing.probes import SAME, Measurement, Subject

LIFTED = 4  # times the noise: a larger lift is one. It lies half-way between no lift and the smallest clear one
CLEAR = 8  # times the noise: where a support vector has a larger lift, being lifted cannot be mistaken


class Sweep(NamedTuple):
    """What one negative does at each of the levels beside each of the targets.

    targets : (T,) cosines; levels : (T, K) cosines of the negative; lift : z_k/s - c_k, (T, K)
    lifted : (T, K), where the lift stands out of its noise, so that I_k = 1
    clear : (T, K), where a support vector would have a lift far above the noise, so that `lifted` can be trusted
    """

    targets: FloatArray
    levels: FloatArray
    lift: Measurement
    lifted: BoolArray
    clear: BoolArray


def sweep(subject: Subject, targets: FloatArray, levels: FloatArray, f: FloatArray) -> Sweep:
    """Return what one negative does at each of the levels (T, K) beside each of the targets (T,), where f is `f`."""
    lift = probes.measured_lift(subject, targets, levels, f)
    noise = lift.error + SAME
    clear = lift.usable & (CLEAR * noise < paper_lift(subject, levels))
    return Sweep(targets, levels, lift, np.abs(lift.value) > LIFTED * noise, clear)


def deviation_sweep(subject: Subject, name: str, like: Sweep) -> Sweep:
    """Return the same sweep of a deviation, its lifts measured from the deviation's own f."""
    other = subject.computing(name)
    return sweep(other, like.targets, like.levels, probes.measured_f(other, like.targets).value)


def ideal_sweep(like: Sweep, subject: Subject, f: FloatArray, error: FloatArray) -> Sweep:
    """Return the sweep that the paper's mask and h have beside an f (T,) that is known up to an error (T,)."""
    lifted = like.levels > f[:, None]
    lifts = lifted * paper_lift(subject, like.levels)
    lift = Measurement(lifts, np.broadcast_to(error[:, None], lifts.shape))
    return Sweep(like.targets, like.levels, lift, lifted, np.ones_like(lifted))


def paper_lift(subject: Subject, levels: FloatArray) -> FloatArray:
    """Return log h_k/s of a support vector at each of the levels."""
    emphasis = subject.loss.emphasis
    return (emphasis.t - 1) * emphasis.growth(levels)


def farthest_lift(got: Sweep, right: Sweep, where: BoolArray) -> str:
    """Return, as a sentence, the lift that is farthest from the reference's, among the levels `where`."""
    measured = got.lift.usable & where
    if not measured.any():
        return "no negative whose logit could be measured"
    off = np.abs(got.lift.value - right.lift.value)
    i, k = np.unravel_index(int(np.argmax(np.where(measured, off, -1))), off.shape)
    value, expected = got.lift.value[i, k], right.lift.value[i, k]
    return (
        f"z_k/s - c_k = {value:.4f} at c_k = {got.levels[i, k]:.4g}, c_y = {got.targets[i]:.4g}; paper: {expected:.4f}"
    )
