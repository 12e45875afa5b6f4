"""One guess at what a wrong candidate computes: what would then be right, and how far rounding may carry that.

Where the guess is another loss, svref's own conditions say how far; elsewhere they are estimated from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.trial import Trial
from svref.deviations import Deviation
from svref.judging import condition
from svref.judging.condition import SLACK
from svref.judging.expected import expect
from svref.judging.formats import format_of
from svref.judging.judge import Expected, ExpectedOutput, judge
from svref.loss import SVXSoftmax

Change = Callable[[Trial], SVXSoftmax]


@dataclass(frozen=True)
class Hypothesis:
    """One guess at what is computed.

    Parameters
    ----------
    name, formula, effect : str
        As those of a `Deviation`.
    seen : tuple of str
        Where it was seen in public.
    expects : callable
        Takes a trial and returns what would be right if the guess were; None where it says nothing.
    loss : callable or None
        Takes a trial and returns the loss that is computed, where it is one.
    fits : bool
        Whether an element of each case tells its size, so that another must agree.
    base : Hypothesis or None
        What this one loses numbers of; it must matter by itself.
    shows : callable
        Takes all failing trials; False if together they do not look like it, as one alone may.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    expects: Callable[[Trial], Expected | None] = field(repr=False)
    loss: Change | None = field(repr=False, default=None)
    fits: bool = False
    base: Hypothesis | None = field(repr=False, default=None)
    shows: Callable[[Sequence[Trial]], bool] = field(repr=False, default=lambda trials: True)

    def explains(self, trial: Trial) -> bool:
        """Return whether a failing case is what the hypothesis says, and not also what is right."""
        if not self._may_explain(trial):
            return False
        expected = self.expects(trial)
        return expected is not None and not trial.against(expected).wrong and _predicts_failure(trial, expected)

    def may_tell(self, trials: Sequence[Trial]) -> bool:
        """Return whether there are more wrong elements than sizes to fit, and all together look like it."""
        wrong = sum(int(q.wrong.sum()) for trial in trials for q in trial.judgement.quantities)
        return (wrong > len(trials) or not self.fits) and self.shows(trials)

    def matters(self, trials: Sequence[Trial]) -> bool:
        """Return whether the check would find anything wrong in some of the cases."""
        expected = ((trial, self.expects(trial)) for trial in trials)
        return any(reference is not None and _predicts_failure(trial, reference) for trial, reference in expected)

    def contradicted(self, trial: Trial) -> bool:
        """Return whether a passing case is not what the hypothesis says."""
        expected = self.expects(trial)
        return expected is not None and trial.against(expected).wrong

    def _may_explain(self, trial: Trial) -> bool:
        """Return False where the losses alone refute another loss: cheap, before its conditions are computed."""
        if self.loss is None or trial.level == "head" or trial.factor is not None:
            return True
        loss = made(self.loss, trial)
        if loss is None:
            return False
        step = loss.forward(trial.arrays[0], trial.labels)
        near, reach = condition.undecided(step, trial.compute)
        got = trial.outputs["loss"]
        either = near.any(axis=1) | (reach >= 0) | ((self.base is not None) & ~np.isfinite(got))
        room = _relative(trial, step.loss) * (1 + step.loss) + trial.right.ways[0][0].tolerance
        return bool((either | (np.abs(got - step.loss) <= room)).all())


def _predicts_failure(trial: Trial, expected: Expected) -> bool:
    """Return whether the check would reject what a hypothesis expects: a guess that it accepts explains nothing."""
    expected = expected if trial.factor is None else expected.reduced(trial.factor)
    ways = [{r.name: _typical(r, trial) for r in way if r.name in trial.outputs} for way in expected.ways]
    return any(judge(trial.right, outputs).wrong for outputs in ways) or _widens(trial, expected)


def _typical(right: ExpectedOutput, trial: Trial) -> FloatArray:
    """Return what a candidate would return, NaN where it may lose a number."""
    with np.errstate(over="ignore", under="ignore"):
        return np.where(right.fragile, np.nan, right.value).astype(trial.right.dtype)


def _widens(trial: Trial, expected: Expected) -> bool:
    """Return whether what is expected is what is right, in fewer digits."""
    pairs = zip(expected.ways[0], trial.right.ways[0], strict=True)
    return any(bool((wide.tolerance > 16 * right.tolerance).all()) for wide, right in pairs)


def of_deviation(deviation: Deviation) -> Hypothesis:
    """Return the hypothesis of one entry of the registry."""
    if deviation.change is not None:
        return of_change(deviation.name, deviation, change_of(deviation))
    return of_run(deviation, lambda trial: trial.loss)


def change_of(deviation: Deviation) -> Change:
    """Return what a deviation makes of the loss; the same loss if it is none that another loss describes."""
    change = deviation.change
    return lambda trial: trial.loss if change is None else change(trial.loss)


def of_change(name: str, about: Deviation, change: Change) -> Hypothesis:
    """Return the hypothesis that another loss is computed, rightly."""
    return Hypothesis(name, about.formula, about.effect, about.seen, lambda trial: of_loss(trial, change), change)


def made(change: Change, trial: Trial) -> SVXSoftmax | None:
    """Return the other loss; None where it does not take the parameters."""
    try:
        return change(trial)
    except (ValueError, TypeError):
        return None


def of_loss(trial: Trial, change: Change, compute: str | None = None) -> Expected | None:
    """Return what is right for another loss, in a format; None where it is the loss that was asked for."""
    loss = made(change, trial)
    if loss is None or (loss == trial.loss and compute is None):
        return None
    arrays = [a.astype(trial.right.dtype) for a in trial.arrays]
    return expect(loss, arrays, trial.labels, trial.cotangent, compute or trial.compute)


def of_run(deviation: Deviation, change: Change) -> Hypothesis:
    """Return the hypothesis of a deviation that no loss describes, on top of a changed loss."""

    def expects(trial: Trial) -> Expected | None:
        loss = made(change, trial)
        if loss is None or not _reaches(deviation, trial, loss):
            return None
        return _around(trial, _run(deviation, trial, loss))

    return Hypothesis(deviation.name, deviation.formula, deviation.effect, deviation.seen, expects)


def losing_too(hypothesis: Hypothesis, overflow: Deviation) -> Hypothesis:
    """Return a hypothesis whose numbers are lost wherever those of another deviation are not finite."""
    change = hypothesis.loss or (lambda trial: trial.loss)

    def expects(trial: Trial) -> Expected | None:
        expected, loss = hypothesis.expects(trial) or trial.plain, made(change, trial)
        if loss is None or not _reaches(overflow, trial, loss):
            return expected
        values = _run(overflow, trial, loss)
        ways = [tuple(map(partial(_lost_where, trial), way, values)) for way in expected.ways]
        return replace(expected, ways=tuple(ways))

    return replace(hypothesis, **told(hypothesis, overflow), expects=expects, base=hypothesis)


def told(first: Hypothesis | Deviation, second: Deviation) -> dict[str, Any]:
    """Return what a hypothesis of both says of itself."""
    return {
        "name": f"{first.name} with {second.name}",
        "formula": f"{first.formula}; {second.formula}",
        "effect": f"{first.effect} {second.effect}",
        "seen": tuple(dict.fromkeys(first.seen + second.seen)),
    }


def _lost_where(trial: Trial, right: ExpectedOutput, values: FloatArray) -> ExpectedOutput:
    """Return what is right, but for numbers that were lost where other values are not finite."""
    where = ~np.isfinite(values)
    return replace(right, fragile=right.fragile | where, policy=right.policy | (where & _gone(trial, right.name)))


def _gone(trial: Trial, name: str) -> BoolArray | np.bool_:
    """Return where an output is no number any more; a number over infinity is 0."""
    values = trial.outputs.get(name)
    return np.True_ if values is None else ~np.isfinite(values) | (values == 0)


def _reaches(deviation: Deviation, trial: Trial, loss: SVXSoftmax) -> bool:
    """Return whether a deviation can do anything in a trial."""
    return deviation.applies(loss) and not (trial.level == "cosine" and deviation.level == "head")


def _run(deviation: Deviation, trial: Trial, loss: SVXSoftmax) -> tuple[FloatArray, ...]:
    run: Any = deviation.run if trial.level == "cosine" else deviation.run_head
    values: tuple[FloatArray, ...] = run(loss, *trial.arrays, trial.labels, trial.cotangent)
    return values


def _around(trial: Trial, values: tuple[FloatArray, ...]) -> Expected:
    """Return a reference of wrong values, with errors as large as logits of this size can have.

    Where a value is not finite the output must be lost as well.
    """
    relative = _relative(trial, values[0])
    way = []
    for right, value in zip(trial.unweighted, values, strict=True):
        finite = np.isfinite(value)
        lost = ~finite & _gone(trial, right.name)
        wider = 4 * right.tolerance + relative * np.where(finite, np.abs(value), 0) + relative * (right.name == "loss")
        made = replace(right, value=value, rest=np.zeros_like(value), tolerance=wider, policy=right.policy | lost)
        way.append(made)
    return replace(trial.plain, ways=(tuple(way),))


def _relative(trial: Trial, losses: FloatArray) -> float:
    """Return how far rounding carries a number made of logits as large as a loss of this size can have."""
    u = format_of(trial.compute).unit_roundoff
    return SLACK * u * (1 + trial.right.classes / 128) * (1 + _largest_logit(trial.loss, losses))


def _largest_logit(loss: SVXSoftmax, losses: FloatArray) -> float:
    """Return a bound on |z|, or the largest loss, which no softmax has without a logit of its size."""
    m = getattr(loss.margin, "m", 1.0)
    f = 2 * m if isinstance(m, int) else 2.0
    finite = np.abs(losses[np.isfinite(losses)])
    return float(loss.s * (2 * loss.emphasis.t + f) + finite.max(initial=0.0))
