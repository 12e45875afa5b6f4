"""What a wrong candidate may compute by mistake, and what its outputs would then be: five kinds of `Computation`.

OtherLoss           another loss, computed rightly: a margin ignored, a parameter taken for another
WrongComputation    a deviation that no loss describes: a gradient that is lost, an ε in a logarithm
FittedSize          a mistake whose size nobody knows; one row of each case says how large it is
LostNumbers         any of these, and numbers that are lost besides: to an overflow, or to an infinite slope
NarrowerFormat      a loss computed in fewer digits than asked for

Each returns, for a case, the outputs that it would lead to, with tolerances. For another loss the tolerances are
svref's own. For a wrong computation there is no error analysis; they are estimated from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.trial import Trial
from svref.deviations import Deviation
from svref.judging import condition
from svref.judging.condition import SLACK
from svref.judging.expected import expect
from svref.judging.formats import format_of, holds
from svref.judging.judge import Expected, ExpectedOutput
from svref.loss import SVXSoftmax

Change = Callable[[Trial], SVXSoftmax]  # returns the loss that is computed in a case; the same one if nothing changes
HALF = 20  # digits. Tolerances of formats below excuse nearly any number, so the losses must be numbers of the format
ROUNDED = 1 / 64  # of the tolerance: rounding causes a larger error somewhere; if no error is, digits are not the cause
SHOWN = 0.5  # share of the numbers that the narrower format cannot hold and that are wrong; if fewer, it is no format
REMEMBERED = 256  # results that are kept for other hypotheses: as many as one case is asked of in a row


class Computation(Protocol):
    """What a candidate computes by mistake."""

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs in a case, for losses (B,); None where the mistake changes nothing there."""

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the loss that is computed rightly in place of the right one; None where the mistake is no loss."""

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return True if the losses alone show that a failing case is not explained: cheap, and asked first.

        `may_be_lost` allows losses that are not finite.
        """

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether all failing cases together are evidence enough, once each is explained by itself."""


_Function = TypeVar("_Function", bound=Callable[..., Any])
_caches: list[Any] = []


def remembered(function: _Function) -> _Function:
    """Keep the last results of a function of a trial, for other hypotheses that ask the same."""
    _caches.append(lru_cache(maxsize=REMEMBERED)(function))
    return _caches[-1]


def forget_results() -> None:
    """Forget all remembered results, which would keep the cases of a check in memory."""
    for cache in _caches:
        cache.cache_clear()


@remembered
def expected_of(computation: Computation, trial: Trial) -> Expected | None:
    """Return `computation.expected(trial)`, which five `LostNumbers` ask of each computation."""
    return computation.expected(trial)


@remembered
def expected_of_loss(loss: SVXSoftmax, trial: Trial, compute: str) -> Expected:
    """Return what is right for another loss in a format; many changes lead to the same loss."""
    return expect(loss, trial.inputs, trial.labels, trial.cotangent, compute)


@remembered
def values_of(deviation: Deviation, loss: SVXSoftmax, trial: Trial) -> tuple[FloatArray, ...] | None:
    """Return the outputs of a deviation, with a loss, in a case; None where the deviation changes nothing.

    Many pairs of mistakes lead to the same loss and the same deviation.
    """
    if not deviation.applies(loss) or (trial.level == "cosine" and deviation.level == "head"):
        return None
    run: Any = deviation.run if trial.level == "cosine" else deviation.run_head
    values: tuple[FloatArray, ...] = run(loss, *trial.arrays, trial.labels, trial.cotangent)
    return values


# ---- the five kinds ---------------------------------------------------------------------------------------------


def unchanged(trial: Trial) -> SVXSoftmax:
    """Return the right loss of a case: the change that changes nothing."""
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
        """Return what is right for the other loss; None where it is the loss that was asked for."""
        loss = self.loss(trial)
        if loss is None or loss == trial.loss:
            return None
        return expected_of_loss(loss, trial, trial.compute)

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the other loss; None where it does not take these parameters."""
        try:
            return self.change(trial)
        except (ValueError, TypeError):
            return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether a row's loss is far from that of the other loss."""
        loss = self.loss(trial)
        if loss is None or (loss == trial.loss and not may_be_lost):
            return True
        return _losses_differ(trial, loss, trial.compute, may_be_lost)

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
    """

    deviation: Deviation
    change: Change = unchanged

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs of the deviation with estimated tolerances; None where it changes nothing."""
        loss = OtherLoss(self.change).loss(trial)
        values = None if loss is None else values_of(self.deviation, loss, trial)
        return None if values is None else _with_estimated_tolerance(trial, values)

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return None: the mistake is no loss."""
        return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return False: the losses of a deviation cost as much as its gradient."""
        return False

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return True: outputs within the estimated tolerances are evidence by themselves."""
        return True


@dataclass(frozen=True)
class FittedSize:
    """A mistake of unknown size. One row of each case says how large it is; the other rows must agree.

    Parameters
    ----------
    fit : callable
        Takes a trial and returns the computation with the size that fits one row; None where no size does.
    wider : float
        The tolerances are multiplied by this, as the row that says the size has an error of its own.
    """

    fit: Callable[[Trial], Computation | None]
    wider: float = 1.0

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs of the mistake with the size that fits, in wider tolerances."""
        fitted = self.fit(trial)
        expected = None if fitted is None else fitted.expected(trial)
        if expected is None:
            return None
        ways = [tuple(replace(o, tolerance=self.wider * o.tolerance) for o in way) for way in expected.ways]
        return replace(expected, ways=tuple(ways))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the loss with the size that fits, if the mistake is a loss."""
        fitted = self.fit(trial)
        return None if fitted is None else fitted.loss(trial)

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether the losses refute the mistake with the size that fits one row."""
        fitted = self.fit(trial)
        return fitted is not None and fitted.refuted_by_losses(trial, may_be_lost)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether more elements are wrong than sizes were fitted, one a case: a single one always fits."""
        wrong = sum(int(q.wrong.sum()) for trial in failing for q in trial.judgement.quantities)
        return wrong > len(failing)


@dataclass(frozen=True)
class LostNumbers:
    """Another mistake, and numbers that are lost wherever a deviation's are not finite.

    Parameters
    ----------
    base : Computation
        The other mistake. It must explain something by itself, else the lost numbers alone are the mistake.
    overflow : Deviation
        Where its values are not finite, the candidate may lose its numbers too.
    """

    base: Computation
    overflow: Deviation

    def expected(self, trial: Trial) -> Expected | None:
        """Return the outputs of the other mistake, which may be lost where the overflow's values are."""
        expected = expected_of(self.base, trial) or trial.expected_of_rows
        values = values_of(self.overflow, self.base.loss(trial) or trial.loss, trial)
        if values is None:
            return expected
        ways = [
            tuple(_lost_where(trial, output, ~np.isfinite(v)) for output, v in zip(way, values, strict=True))
            for way in expected.ways
        ]
        return replace(expected, ways=tuple(ways))

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return the loss of the other mistake, if it is a loss."""
        return self.base.loss(trial)

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether the losses that were not lost refute the other mistake."""
        return self.base.refuted_by_losses(trial, may_be_lost=True)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether there is evidence for the other mistake, and it would fail some case by itself."""
        if not self.base.supported(failing):
            return False
        expected = ((trial, expected_of(self.base, trial)) for trial in failing)
        return any(reference is not None and trial.would_fail(reference) for trial, reference in expected)


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
        """Return what is right in the narrower format; None where the outputs do not look like that format."""
        if not self._is_narrower(trial):
            return None
        if self._is_coarse and not holds(trial.outputs["loss"], self.format).all():
            return trial.expected_of_rows
        loss = OtherLoss(self.change).loss(trial)
        if loss is None:
            return None
        if not self._is_coarse and not self._digits_show(trial, expected_of_loss(loss, trial, trial.compute)):
            return None
        return expected_of_loss(loss, trial, self.format)

    def loss(self, trial: Trial) -> SVXSoftmax | None:
        """Return None: the digits are the mistake, whatever the loss."""
        return None

    def refuted_by_losses(self, trial: Trial, may_be_lost: bool = False) -> bool:
        """Return whether a row's loss is farther from the right one than rounding in the narrower format carries it."""
        loss = OtherLoss(self.change).loss(trial)
        if may_be_lost or loss is None or self._is_coarse or not self._is_narrower(trial):
            return False
        return _losses_differ(trial, loss, self.format, may_be_lost)

    def supported(self, failing: Sequence[Trial]) -> bool:
        """Return whether all wrong numbers are numbers of the format, or an error is as large as rounding makes one."""
        wrong = [q.got[q.wrong] for trial in failing for q in trial.judgement.quantities]
        if all(holds(values, self.format).all() for values in wrong):
            return True
        losses = [(trial, OtherLoss(self.change).loss(trial)) for trial in failing]
        return any(self._is_rounded(trial, loss) for trial, loss in losses if loss is not None)

    @property
    def _is_coarse(self) -> bool:
        return format_of(self.format).digits < HALF

    def _is_narrower(self, trial: Trial) -> bool:
        return format_of(self.format).digits < format_of(trial.compute).digits

    def _is_rounded(self, trial: Trial, loss: SVXSoftmax) -> bool:
        """Return whether an error in a case is as large as rounding makes one somewhere."""
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


# ---- what the kinds share ---------------------------------------------------------------------------------------


def _losses_differ(trial: Trial, loss: SVXSoftmax, compute: str, may_be_lost: bool) -> bool:
    """Return whether a row's loss is farther from that of another loss than rounding may carry it.

    Rows next to a decision of the mask or of a tail are left out: they may be right in two ways. Heads and scalars are
    not compared.
    """
    if trial.level == "head" or trial.factor is not None:
        return False
    step = loss.forward(trial.arrays[0], trial.labels)
    near, reach = condition.undecided(step, compute)
    got = trial.outputs["loss"]
    allowed = near.any(axis=1) | (reach >= 0) | (may_be_lost & ~np.isfinite(got))
    room = _relative_error(trial, step.loss, compute) * (1 + step.loss) + trial.expected.ways[0][0].tolerance
    return not (allowed | (np.abs(got - step.loss) <= room)).all()


def _with_estimated_tolerance(trial: Trial, values: tuple[FloatArray, ...]) -> Expected:
    """Return wrong values as a reference. Its tolerances are errors of logits as large as such losses must have.

    Where a value is not finite, the output must not be a number either; or be 0, as a number over infinity is.
    """
    relative = _relative_error(trial, values[0], trial.compute)
    outputs = []
    for right, value in zip(trial.expected_of_unit_cotangents, values, strict=True):
        finite = np.isfinite(value)
        size = np.where(finite, np.abs(value), 0) + (right.name == "loss")
        lost = ~finite & _is_lost(trial, right.name)
        outputs.append(
            replace(
                right, value=value, rest=np.zeros_like(value), tolerance=4 * right.tolerance + relative * size,
                policy=right.policy | lost,
            )
        )  # fmt: skip
    return replace(trial.expected_of_rows, ways=(tuple(outputs),))


def _lost_where(trial: Trial, output: ExpectedOutput, where: BoolArray) -> ExpectedOutput:
    """Return an output that may be lost in some elements: there it may be infinite or NaN, and 0 is not judged."""
    policy = output.policy | (where & _is_lost(trial, output.name))
    return replace(output, fragile=output.fragile | where, policy=policy)


def _is_lost(trial: Trial, name: str) -> BoolArray | np.bool_:
    """Return where the candidate's output is not finite, or 0, as a number over infinity is."""
    values = trial.outputs.get(name)
    return np.True_ if values is None else ~np.isfinite(values) | (values == 0)


def _relative_error(trial: Trial, losses: FloatArray, compute: str) -> float:
    """Return the relative error of numbers made of logits as large as such losses must have."""
    u = format_of(compute).unit_roundoff
    return SLACK * u * (1 + trial.expected.classes / 128) * (1 + _largest_logit(trial.loss, losses))


def _largest_logit(loss: SVXSoftmax, losses: FloatArray) -> float:
    """Return a bound of |z|: that of the right loss, plus the largest loss, which needs a logit of its size."""
    m = getattr(loss.margin, "m", 1.0)
    f = 2 * m if isinstance(m, int) else 2.0
    finite = np.abs(losses[np.isfinite(losses)])
    return float(loss.s * (2 * loss.emphasis.t + f) + finite.max(initial=0.0))
