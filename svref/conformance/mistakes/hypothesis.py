"""A hypothesis: a known mistake that a wrong candidate may make, tried on the cases of a check."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.mistakes.computations import Computation, LostNumbers, NarrowerFormat, expected_of
from svref.conformance.trial import Trial


@dataclass(frozen=True)
class Hypothesis:
    """A guess at the mistake of a candidate.

    Parameters
    ----------
    name, formula, effect : str
        As those of a `Deviation`.
    seen : tuple of str
        Where the mistake was seen in public.
    computation : Computation
        What the candidate computes if the guess is right.
    family : str
        The family of the mistake, where it has a size; else "".
    rank : int
        How plain the size is: 0 for a number, 1 for a quantity such as m, 2 for a multiple of one.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    computation: Computation = field(repr=False)
    family: str = ""
    rank: int = 0

    def explains(self, trial: Trial) -> bool:
        """Return whether the outputs of a failing case are what the hypothesis expects.

        A hypothesis whose own outputs would pass the check explains nothing.
        """
        if self.computation.refuted_by_losses(trial):
            return False
        expected = expected_of(self.computation, trial)
        if expected is None or trial.against(expected).wrong:
            return False
        # Other tolerances are estimated from above: where they are wide, they say nothing of a narrower format.
        return trial.would_fail(expected, by_digits=_is_narrow(self.computation))

    def distance(self, failing: Sequence[Trial]) -> float:
        """Return the median error of the wrong elements by the hypothesis, as a share of that by the right values.

        Under a plan of few digits, tolerances may be so wide that any number lies within them; that is no evidence.
        Elements that came back infinite, NaN, or at a pole are not counted. NaN if none is left, and for a narrower
        format, which expects the right numbers with fewer of their digits; infinite if nothing but a dtype is wrong.
        """
        if _is_narrow(self.computation):
            return math.nan
        if not any(trial.against(trial.expected_of_rows).wrong for trial in failing):
            return math.inf
        shares = np.concatenate([part for trial in failing for part in self._distances(trial)])
        return float(np.median(shares)) if len(shares) else math.nan

    def _distances(self, trial: Trial) -> Iterator[FloatArray]:
        """Yield, for each output of a case, the errors of its wrong elements divided by those from the right values."""
        expected = expected_of(self.computation, trial) or trial.expected_of_rows
        judged = (trial.against(reference).quantities for reference in (expected, trial.expected_of_rows))
        for own, right in zip(*judged, strict=True):  # which ignores the dtype; a wrong one makes all wrong
            counted = right.wrong & own.judged & np.isfinite(own.got) & np.isfinite(own.expected)
            got, wrong = own.got[counted], right.expected[counted]
            with np.errstate(over="ignore", invalid="ignore"):
                yield np.abs(got - own.expected[counted]) / np.abs(got - wrong)

    def error(self, trial: Trial) -> float:
        """Return the largest error of the outputs of a case, by what the hypothesis expects, in tolerances."""
        expected = expected_of(self.computation, trial) or trial.expected_of_rows
        quantities = trial.against(expected).quantities
        return max(float(np.where(q.judged, q.error, 0.0).max(initial=0.0)) for q in quantities)

    def matches(self, trial: Trial, name: str) -> bool:
        """Return whether one output of a case is what the hypothesis expects; or the right one."""
        expected = expected_of(self.computation, trial) or trial.expected_of_rows
        return not trial.against(expected, {name}).wrong

    def contradicted(self, trial: Trial) -> bool:
        """Return whether the outputs of a passing case are not what the hypothesis expects."""
        expected = expected_of(self.computation, trial)
        return expected is not None and trial.against(expected).wrong


def _is_narrow(computation: Computation) -> bool:
    """Return whether a computation is one in a narrower format, also if it loses numbers besides."""
    base = computation.base if isinstance(computation, LostNumbers) else computation
    return isinstance(base, NarrowerFormat)
