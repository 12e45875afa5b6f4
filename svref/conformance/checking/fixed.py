"""Parameters that a wrong candidate takes and ignores, and the fixed values of them at which it is right.

It is asked a case again with another value of one parameter. Where the losses stay the same though the right ones do
not, the parameter is ignored. The value inside is then fitted to the losses, and proven on all answers of the check.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.conformance.checking.asking import Plan, asked
from svref.conformance.checking.controls import CallFinding
from svref.conformance.checking.reproduce import with_options
from svref.conformance.solving import REFUSED, least_squares
from svref.conformance.trial import Trial
from svref.formats import format_of
from svref.judging.expected import expect
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

Values = dict[str, float]
ENOUGH = 3  # cases in which a parameter must change nothing, of different groups
SHOWS = 0.01  # a right loss must change by this share of itself, or the case says nothing about a parameter
SAME = 16  # units in the last place by which two answers to the same question may differ
LEAST = 1e-30  # a smaller loss says nothing to a fit: float32 may have rounded it to 0
MOST_ROWS, MOST_BATCHES = 64, 4  # that a fit looks at
MOST_STARTS = 8
MOST_DIGITS = 6  # values are tried with 1, 2, ... digits, since people write round ones
GRID: Mapping[str, tuple[float, ...]] = {  # where a fit begins
    "s": (0.25, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 30.0, 40.0, 64.0, 90.0, 128.0, 256.0, 1024.0),
    "m": (0.0, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2),
    "m1": (0.8, 1.0, 1.2, 1.5),
    "m2": (0.0, 0.2, 0.4, 0.6),
    "m3": (0.0, 0.1, 0.2, 0.35),
    "t": (1.0, 1.1, 1.2, 1.5, 2.0, 4.0),
}
NEUTRAL = ("t-ignored", "margin-ignored")  # a parameter that is switched off, beside another that has one value
_OF_NUMBER = re.compile(r"(other-scale|cosine-margin|f-shifted|angle-margin|other-t|other-m[123])\(-?[\d.e-]+\)$")
PIECES = tuple(range(1, 9))  # of A-Softmax, whose m is a whole number


def finding_on_fixed(plan: Plan, trials: Sequence[Trial], reduction: str) -> CallFinding | None:
    """Return the finding that a wrong candidate ignores parameters, with the values they have inside; None if not.

    Parameters
    ----------
    plan : Plan
        How the candidate is asked.
    trials : sequence of Trial
        The judged answers of all cases.
    reduction : {"none", "sum", "mean"}
        What the candidate returns.
    """
    if not trials or not trials[0].parameters:
        return None
    asked_for = [name for name in VARIANTS[trials[0].variant].parameters if name not in (*plan.fixed, *plan.lacks)]
    shown = {name: case for name in asked_for if (case := _case_that_ignores(plan, trials, reduction, name))}
    if not shown:
        return None
    names, case = tuple(shown), next(iter(shown.values()))
    what = f"the candidate does not depend on {_and(names)}"
    values = _values_inside(plan, trials, names)
    if values is None:
        return CallFinding(f"{'-and-'.join(names)}-ignored", case, f"{what}, and is right at no value that was tried")
    at = _and([f"{name} = {value:.6g}" for name, value in values.items()])
    text = f"{what}: fixed at {at}? All answers are right there: use {' '.join(with_options(values))}"
    return CallFinding(f"{'-and-'.join(names)}-fixed", case, text, explains=True, values=values)


def is_slip_of_value(name: str) -> bool:
    """Return whether a known mistake is a parameter that has one value whatever it is given."""
    parts = [part for part in name.split(" with ") if part not in NEUTRAL]
    return bool(parts) and all(
        part.endswith(("-is-its-default", "-is-1")) or part == "all-are-defaults" or _OF_NUMBER.match(part)
        for part in parts
    )


def _and(words: Sequence[str]) -> str:
    """Return words as a list in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# ---- is a parameter ignored? ------------------------------------------------------------------------------------


def _case_that_ignores(plan: Plan, trials: Sequence[Trial], reduction: str, name: str) -> str:
    """Return the id of the first case that shows that a parameter is ignored; "" if it is not, or no case tells."""
    shown_by: dict[str, str] = {}
    for trial in trials:
        if len(shown_by) == ENOUGH:
            break
        parameters = {**trial.parameters, name: _other(name, trial.parameters[name])}
        if trial.group not in shown_by and _changes(plan, trial, parameters):
            if not _same_losses(plan, trial, reduction, parameters):
                return ""
            shown_by[trial.group] = trial.id
    return next(iter(shown_by.values()), "")


def _other(name: str, value: float) -> float:
    """Return another value of a parameter, far from the one it has."""
    if isinstance(value, int):
        return value + 1 if value < PIECES[-1] else 1
    return {"s": value / 2, "t": value + 0.5}.get(name, value + 0.25 if value < 1 else value / 2)


def _changes(plan: Plan, trial: Trial, parameters: Values) -> bool:
    """Return whether the right losses of a case change with other parameters."""
    before, after = (_right_losses(trial, loss) for loss in (trial.loss, _loss(plan, trial, parameters)))
    return bool((np.abs(after - before) > SHOWS * np.maximum(np.abs(before), LEAST)).any())


def _right_losses(trial: Trial, loss: SVXSoftmax) -> FloatArray:
    """Return the losses that are right for a loss in a case."""
    return expect(loss, trial.inputs, trial.labels, trial.cotangent, trial.precision).ways[0][0].value


def _loss(plan: Plan, trial: Trial, parameters: Mapping[str, float]) -> SVXSoftmax:
    """Return the loss that is right at some parameters: the paper's, or a dialect's."""
    if plan.dialect is not None:
        return plan.dialect.loss(trial.variant, **parameters)
    return VARIANTS[trial.variant].factory(**parameters)


def _same_losses(plan: Plan, trial: Trial, reduction: str, parameters: Values) -> bool:
    """Return whether the candidate gives the same losses at other parameters."""
    again = asked(plan, plan.question_again(trial, parameters), reduction)
    if not isinstance(again, Trial):
        return False
    before, after = (np.asarray(t.outputs["loss"], np.float64) for t in (trial, again))
    room = SAME * 2 * format_of(trial.expected.dtype_of("loss")).unit_roundoff * np.abs(before)
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(after - before) <= room) | (after == before) | np.isnan(before) & np.isnan(after)).all())


# ---- which value does it have? ----------------------------------------------------------------------------------


def _values_inside(plan: Plan, trials: Sequence[Trial], names: tuple[str, ...]) -> Values | None:
    """Return the values of ignored parameters at which every answer is right, as round as can be; None if none are."""
    fit = _Fit(plan, tuple(_pooled(trials, names)), names)
    for start in fit.starts():
        found = least_squares(fit.distance, np.array(start))
        for digits in (*range(1, MOST_DIGITS + 1), 17):
            values = {name: _rounded(value, digits) for name, value in zip(names, found, strict=True)}
            if fit.accepts(values) and all(_is_right(plan, trial, values) for trial in trials):
                return values
    return None


def _rounded(value: float, digits: int) -> float:
    """Return a number rounded to some decimal digits."""
    return float(f"{value:.{digits}g}")


def _is_right(plan: Plan, trial: Trial, values: Values) -> bool:
    """Return whether the recorded answer to a case is right with other values of some parameters."""
    loss = _loss(plan, trial, {**trial.parameters, **values})
    return not trial.against(expect(loss, trial.inputs, trial.labels, trial.cotangent, trial.precision)).wrong


@dataclass(frozen=True, eq=False)
class _Batch:
    """Rows of several cases that share a number of classes, and the parameters that are not ignored."""

    trial: Trial
    cosines: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    losses: FloatArray = field(repr=False)


def _pooled(trials: Sequence[Trial], names: tuple[str, ...]) -> Iterator[_Batch]:
    """Yield the batches that a fit looks at: the largest ones, with at most so many rows.

    A scalar of several rows is left out, since a fit compares row by row.
    """
    by_kind: dict[object, list[Trial]] = {}
    for trial in trials:
        if trial.factor is None or len(trial.labels) == 1:
            others = tuple(sorted((k, v) for k, v in trial.parameters.items() if k not in names))
            by_kind.setdefault((trial.expected.classes, others), []).append(trial)
    largest = sorted(by_kind.values(), key=lambda some: -sum(len(t.labels) for t in some))
    for some in largest[:MOST_BATCHES]:
        cosines = np.concatenate([trial.step().cosines for trial in some])[:MOST_ROWS]
        labels = np.concatenate([trial.labels for trial in some])[:MOST_ROWS]
        losses = np.concatenate([np.atleast_1d(np.asarray(t.outputs["loss"], np.float64)) for t in some])[:MOST_ROWS]
        usable = np.isfinite(losses) & (losses > LEAST)
        if usable.any():
            yield _Batch(some[0], cosines[usable], labels[usable], losses[usable])


@dataclass(frozen=True, eq=False)
class _Fit:
    """Fits the values of ignored parameters to losses.

    Parameters
    ----------
    plan : Plan
        Which loss is right.
    batches : tuple of _Batch
        The losses.
    names : tuple of str
        The parameters.
    """

    plan: Plan
    batches: tuple[_Batch, ...]
    names: tuple[str, ...]

    def distance(self, values: FloatArray) -> FloatArray:
        """Return log L - log(loss of the candidate), row by row; `REFUSED` for values that the variant refuses."""
        rows = []
        for batch in self.batches:
            parameters = {**batch.trial.parameters, **dict(zip(self.names, values.tolist(), strict=True))}
            try:
                loss = _loss(self.plan, batch.trial, self._typed(parameters))
            except (ValueError, TypeError):
                return np.full(sum(len(b.losses) for b in self.batches), REFUSED)
            right = loss.forward(batch.cosines, batch.labels).loss
            rows.append(np.log(np.maximum(right, LEAST)) - np.log(batch.losses))
        return np.concatenate(rows)

    def _typed(self, parameters: Values) -> Values:
        """Return parameters with whole numbers where the variant has them."""
        defaults = VARIANTS[self.batches[0].trial.variant].parameters
        return {k: round(v) if isinstance(defaults[k], int) else v for k, v in parameters.items()}

    def starts(self) -> list[tuple[float, ...]]:
        """Return the points of the grid that are nearest."""
        if not self.batches:
            return []
        defaults = VARIANTS[self.batches[0].trial.variant].parameters
        axes = [PIECES if isinstance(defaults[name], int) else GRID[name] for name in self.names]
        points = [tuple(map(float, point)) for point in itertools.product(*axes)]
        return sorted(points, key=lambda point: float(np.abs(self.distance(np.array(point))).mean()))[:MOST_STARTS]

    def accepts(self, values: Values) -> bool:
        """Return whether values are near enough that judging all answers by them is worth the time."""
        distance = np.abs(self.distance(np.array([values[name] for name in self.names])))
        return bool((distance < 1e-2).mean() > 0.5)
