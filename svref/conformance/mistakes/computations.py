"""What a wrong candidate may compute by mistake, and what its outputs would then be: six kinds of `Computation`.

OtherLoss           another loss, computed rightly: a margin ignored, a parameter taken for another
WrongComputation    a deviation that no loss describes: a gradient that is lost, an ε in a logarithm
FittedSize          a mistake whose size nobody knows; one row of each case says how large it is
LostNumbers         any of these, and numbers that are lost besides: to an overflow, or to an infinite slope
NarrowerFormat      a loss computed in fewer digits than asked for
Apart               each output computed with a mistake of its own

Each returns, for a case, the outputs that it would lead to, with tolerances. For another loss the tolerances are
svref's own. For a wrong computation there is no error analysis; they are estimated from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.mistakes.tolerances import (
    estimated,
    losses_differ,
    lost_at_poles,
    lost_where,
    relative_error,
    with_estimated_tolerance,
)
from svref.conformance.trial import Trial
from svref.deviations import Deviation
from svref.deviations.logits import forget_passes
from svref.formats import format_of, holds
from svref.judging.expected import expect
from svref.judging.judge import Expected
from svref.judging.precision import precision_of
from svref.loss import SVXSoftmax

Change = Callable[[Trial], SVXSoftmax]  # returns the loss that is computed in a case; the same one if nothing changes
# Digits between those of the 16-bit formats, 11 in float16 and 8 in bfloat16, and the 24 of float32. The tolerances of
# a 16-bit format excuse nearly any number, so a candidate counts as computing in one only if its losses are numbers of
# that format.
MOST_OF_16_BITS = 20
ROUNDED = 1 / 64  # of a format's tolerance: rounding to the format causes a larger error than this somewhere
SHOWN = 0.5  # at least this share of the numbers that a format cannot hold is wrong if a candidate computes in it
# Results that each `remembered` function keeps. Nearly every hypothesis is refuted by the first failing case, so many
# hypotheses in a row ask about that one case, and several of them for the same result.
REMEMBERED = 256


class Computation(Protocol):
    """What a candidate computes by mistake."""

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs this mistake would give, with tolerances; None if it changes nothing in this case.

        There is one loss per row, also for a candidate that returns one scalar; `Trial.against` adds the rows up.
        """

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the other SVXSoftmax that is computed rightly; None if no SVXSoftmax describes the mistake."""

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return True if this mistake cannot explain a failing case, as far as its losses alone show.

        This is cheap, so it is asked before `expected`. False proves nothing. With `may_be_lost`, losses of the
        candidate that are not finite do not count against the mistake.
        """

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether the failing cases together are enough evidence, once each of them is explained by itself."""


_Function = TypeVar("_Function", bound=Callable[..., Any])
_caches: list[Any] = []


def remembered(function: _Function) -> _Function:
    """Return the function with a memory of its last results, because several hypotheses ask for the same ones.

    `forget_results` empties the memory.
    """
    _caches.append(lru_cache(maxsize=REMEMBERED)(function))
    return _caches[-1]


def forget_results() -> None:
    """Forget all remembered results, which would keep the cases of a check in memory."""
    for cache in _caches:
        cache.cache_clear()
    forget_passes()


@remembered
def expected_of(computation: Computation, trial: Trial) -> Expected | None:
    """Return `computation.expected(trial)`, and remember it.

    Every computation is also the base of five hypotheses of lost numbers, one per name in `guesses.LOSING`, and each
    of them asks for this again.
    """
    return computation.expected(trial)


@remembered
def expected_of_loss(loss: SVXSoftmax, trial: Trial, precision: str) -> Expected:
    """Return what is right for another loss in a format; remembered, because many changes lead to the same loss."""
    return expect(loss, trial.inputs, trial.labels, trial.cotangent, precision)


@remembered
def outputs_of_deviation(deviation: Deviation, loss: SVXSoftmax, trial: Trial) -> tuple[FloatArray, ...] | None:
    """Return the losses and gradients that a deviation makes of a loss in a case.

    None if the deviation does not apply to the loss, or if it needs vectors and the case has cosines. The result is
    remembered, because many pairs of mistakes lead to the same loss and the same deviation.
    """
    if not deviation.applies(loss) or (trial.level == "cosine" and deviation.level == "head"):
        return None
    try:
        values: tuple[FloatArray, ...] = deviation.on_valid(loss, trial.arrays, trial.labels, trial.cotangent)
    except ValueError:  # a size that the parameters of this case do not allow
        return None
    return values


# ---- the six kinds ---------------------------------------------------------------------------------------------


def unchanged(trial: Trial) -> SVXSoftmax:
    """Return the right loss of a case: the `change` of a mistake that leaves the loss as it is."""
    return trial.loss


@dataclass(frozen=True)
class OtherLoss:
    """Another loss, computed rightly.

    Parameters
    ----------
    change : callable
        Takes a trial and returns the loss that is computed.
    """

    change: Change

    def expected(self, trial: Trial) -> Expected | None:
        """Return what is right for the other loss.

        None if the other loss refuses the parameters of the case, or if it is the right loss.
        """
        loss = self.loss(trial)
        if loss is None or loss == trial.loss or _needs_other_cosines(loss, trial):
            return None
        return lost_at_poles(trial, expected_of_loss(loss, trial, trial.precision))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the other loss; None if it refuses the parameters of the case."""
        try:
            return self.change(trial)
        except (ValueError, TypeError):
            return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether a row's loss is farther from that of the other loss than rounding can carry it.

        True also if the other loss refuses the parameters, or is the right loss: it then explains no failure. Only
        with `may_be_lost` may the right loss explain one, by its lost numbers.
        """
        loss = self.loss(trial)
        if loss is None or (loss == trial.loss and not may_be_lost) or _needs_other_cosines(loss, trial):
            return True
        return losses_differ(trial, loss, trial.precision, may_be_lost)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return True: outputs within the tolerances of another loss are evidence by themselves."""
        return True


@dataclass(frozen=True)
class WrongComputation:
    """A deviation that no loss describes, on top of the right loss or of another.

    Parameters
    ----------
    deviation : Deviation
        The wrong computation.
    change : callable
        Takes a trial and returns the loss that is computed wrongly.
    only_decided : bool
        Whether rows with a decision within rounding of its boundary are not judged: code may take it either way.
    wider : float
        How many times the estimated tolerances are taken.
    """

    deviation: Deviation
    change: Change = unchanged
    only_decided: bool = False
    wider: float = 1.0

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs of the deviation with estimated tolerances.

        None if the loss refuses the parameters of the case, or if neither the deviation nor the change shows there:
        where the deviation cannot be made, as one of the emphasis at t = 1, the change is all there is.
        """
        below = OtherLoss(self.change)
        loss = below.loss(trial)
        values = None if loss is None else outputs_of_deviation(self.deviation, loss, trial)
        if values is None:
            return below.expected(trial)
        expected = with_estimated_tolerance(trial, values, self.wider)
        return replace(expected, judged=expected.judged & (expected.undecided == 0)) if self.only_decided else expected

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return None: no SVXSoftmax describes the deviation, whichever loss `change` returns below it."""
        return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether a loss is farther from that of the deviation than the estimated tolerance.

        False where the losses are not those of rows, or if they may be lost.
        """
        if trial.factor is not None or may_be_lost:
            return False
        loss = OtherLoss(self.change).loss(trial)
        values = None if loss is None else outputs_of_deviation(self.deviation, loss, trial)
        if values is None:
            return False
        got, right = trial.outputs["loss"], trial.expected_of_unit_cotangents[0]
        room = self.wider * estimated(right, values[0], relative_error(trial, values[0], trial.precision))
        finite = np.isfinite(values[0])
        undecided = self.only_decided & (trial.expected_of_rows.undecided > 0)
        off = finite & ~(np.abs(got - np.where(finite, values[0], 0.0)) <= room) & ~right.policy
        return bool((off & ~undecided).any())

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return True: outputs within the estimated tolerances are evidence by themselves."""
        return True


@dataclass(frozen=True)
class FittedSize:
    """A mistake of unknown size. The size is fitted to one row of each case, and the other rows must agree with it.

    Parameters
    ----------
    fit : callable
        Takes a trial and returns the computation with the size that fits one row; None if no size does.
    wider : float
        The tolerances are multiplied by this, because the row that the size is fitted to has an error of its own.
    """

    fit: Callable[[Trial], Computation | None]
    wider: float = 1.0

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs of the mistake with the size that fits, with wider tolerances; None if no size fits."""
        fitted = self.fit(trial)
        expected = None if fitted is None else fitted.expected(trial)
        if expected is None:
            return None
        ways = [tuple(replace(o, tolerance=self.wider * o.tolerance) for o in way) for way in expected.ways]
        return replace(expected, ways=tuple(ways))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the loss with the size that fits; None if no size fits, or if no SVXSoftmax describes the mistake."""
        fitted = self.fit(trial)
        return None if fitted is None else fitted.loss(trial)

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether the losses refute the mistake with the size that fits one row.

        False if no size fits; `expected` is then None, and the case is not explained.
        """
        fitted = self.fit(trial)
        return fitted is not None and fitted.refuted_by_losses(trial, may_be_lost)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether there are more wrong elements than failing cases.

        Each case has a size of its own, fitted to one of its rows. So a single wrong element per case always fits, and
        proves nothing.
        """
        wrong = sum(int(q.wrong.sum()) for trial in failing for q in trial.judgement.quantities)
        return wrong > len(failing)


@dataclass(frozen=True)
class LostNumbers:
    """Another mistake, and besides it numbers that are lost wherever those of a second deviation are not finite.

    Parameters
    ----------
    base : Computation
        The other mistake. A candidate with this mistake alone must fail at least one case; otherwise the lost numbers
        alone are the mistake.
    overflow : Deviation
        The second deviation. Where its outputs are not finite, the candidate may lose its numbers too.
    """

    base: Computation
    overflow: Deviation

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs of the other mistake; those where the overflow's are not finite may be lost.

        In a case in which the other mistake changes nothing, they are the right outputs.
        """
        expected = expected_of(self.base, trial) or trial.expected_of_rows
        values = outputs_of_deviation(self.overflow, self.base.loss(trial) or trial.loss, trial)
        if values is None:
            return expected
        ways = [
            tuple(lost_where(trial, output, ~np.isfinite(v)) for output, v in zip(way, values, strict=True))
            for way in expected.ways
        ]
        return replace(expected, ways=tuple(ways))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the loss of the other mistake; None if no SVXSoftmax describes it."""
        return self.base.loss(trial)

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether the finite losses refute the other mistake; those that are not finite may be lost."""
        return self.base.refuted_by_losses(trial, may_be_lost=True)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether there is enough evidence for the other mistake, and it alone would fail one of these cases.

        If it would fail none, the lost numbers alone are the mistake.
        """
        if not self.base.supported(failing):
            return False
        expected = ((trial, expected_of(self.base, trial)) for trial in failing)
        return any(reference is not None and trial.would_fail(reference) for trial, reference in expected)


@dataclass(frozen=True)
class Apart:
    """Each output computed with a mistake of its own, or rightly.

    Parameters
    ----------
    parts : tuple of (str, Computation or None)
        The mistake of each output; None where the output is right.
    """

    parts: tuple[tuple[str, Computation | None], ...]

    def expected(self, trial: Trial) -> Expected | None:
        """Return each output as its own mistake gives it."""
        right = trial.expected_of_rows
        of = {name: (expected_of(c, trial) if c else None) or right for name, c in self.parts}
        number = max(len(e.ways) for e in of.values())
        ways = [
            tuple(
                next(o for o in e.ways[min(i, len(e.ways) - 1)] if o.name == output.name)
                for output in right.ways[0]
                for e in (of.get(output.name, right),)
            )
            for i in range(number)
        ]
        return replace(right, ways=tuple(ways))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return None: no SVXSoftmax describes outputs that do not belong together."""
        return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return False: the parts were tried before."""
        return False

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether there is enough evidence for each part."""
        return all(c.supported(failing) for _, c in self.parts if c is not None)


@dataclass(frozen=True)
class NarrowerFormat:
    """A loss computed rightly, but in a format of fewer digits than was asked for.

    Parameters
    ----------
    format : str
        The name of the format, a key of `FORMATS`.
    change : callable
        Takes a trial and returns the loss that is computed; the right one unless there is another mistake.
    """

    format: str
    change: Change = unchanged

    def expected(self, trial: Trial) -> Expected | None:
        """Return what is right in the narrower format; None if the outputs do not look like that format.

        For a 16-bit format, whose tolerances excuse nearly any number, every loss must be a number of the format. If
        one is not, the right outputs are returned in place of None. They neither explain a failing case nor contradict
        a passing one.
        """
        if not self._is_narrower(trial):
            return None
        if self._is_16_bit and not holds(trial.outputs["loss"], self.format).all():
            return trial.expected_of_rows
        loss = OtherLoss(self.change).loss(trial)
        if loss is None:
            return None
        if not self._is_16_bit and not self._digits_show(trial, expected_of_loss(loss, trial, trial.precision)):
            return None
        return expected_of_loss(loss, trial, self.format)

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return None: the missing digits are the mistake, and no SVXSoftmax describes them."""
        return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether a row's loss is farther from that of the changed loss than the narrower format can carry it.

        Always False for a 16-bit format, which carries a loss too far to refute anything; for a format that is not
        narrower; if the changed loss refuses the parameters; and if losses may be lost.
        """
        loss = OtherLoss(self.change).loss(trial)
        if may_be_lost or loss is None or self._is_16_bit or not self._is_narrower(trial):
            return False
        return losses_differ(trial, loss, self.format, may_be_lost)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether the wrong numbers show rounding to the format.

        Either all of them are numbers of the format, or somewhere an error is above 1/64 of the format's tolerance.
        """
        wrong = [q.got[q.wrong] for trial in failing for q in trial.judgement.quantities]
        if all(holds(values, self.format).all() for values in wrong):
            return True
        losses = [(trial, OtherLoss(self.change).loss(trial)) for trial in failing]
        return any(self._is_rounded(trial, loss) for trial, loss in losses if loss is not None)

    @property
    def _is_16_bit(self) -> bool:
        return format_of(self.format).digits < MOST_OF_16_BITS

    def _is_narrower(self, trial: Trial) -> bool:
        narrowest = precision_of(trial.precision).narrowest(trial.level)
        return format_of(self.format).digits < format_of(narrowest).digits

    def _is_rounded(self, trial: Trial, loss: SVXSoftmax) -> bool:
        """Return whether some error in a case is above 1/64 of the format's tolerance, as rounding makes it."""
        quantities = trial.against(expected_of_loss(loss, trial, self.format)).quantities
        return any(float(q.error[q.judged].max(initial=0.0)) > ROUNDED for q in quantities)

    def _digits_show(self, trial: Trial, in_full: Expected) -> bool:
        """Return whether the outputs have the digits of the format.

        Either all outputs with a wrong element hold nothing but numbers of the format, or most of the expected numbers
        that the format cannot hold are wrong.
        """
        quantities = trial.against(in_full).quantities
        if all(holds(q.got, self.format).all() for q in quantities if q.wrong.any()):
            return True
        not_held = [(q, q.judged & ~q.vacuous & ~holds(q.expected, self.format)) for q in quantities]
        return sum(int((q.wrong & at).sum()) for q, at in not_held) >= SHOWN * sum(int(at.sum()) for _, at in not_held)


def _needs_other_cosines(loss: SVXSoftmax, trial: Trial) -> bool:
    """Return whether a loss needs angles, and the case has cosines beyond ±1, which have none."""
    return loss.angular and trial.level == "cosine" and bool((np.abs(trial.arrays[0]) > 1).any())
