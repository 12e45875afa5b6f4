"""How large a mistake is: its size in one case, solved for, and the law that this size follows in all of them.

A family has a computation for each size. One element of a case that depends on the size most says which size it is;
all others must agree. That size is then a number, as 0.1, or a multiple of what a code has at hand, as m/s. The other
cases, with other parameters, tell these laws apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.mistakes.computations import (
    Change,
    OtherLoss,
    WrongComputation,
    remembered,
    unchanged,
)
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.mistakes.tolerances import estimated_tolerances
from svref.conformance.numbers import plain_numbers
from svref.conformance.solving import Fit, Size, agrees, linear, solved
from svref.conformance.trial import Trial
from svref.deviations import Deviation
from svref.deviations.families import Family, Law, constant
from svref.deviations.families.laws import OF_T, QUANTITIES, multiple
from svref.loss import SVXSoftmax

GRID = 28  # sizes that are tried, before one is solved for
MOST_ERROR = 1e-3  # relative: a size that is known less well follows no law but a plain number


class Sized(NamedTuple):
    """A deviation of a family, with the family's name and the rank of its size, as a `Hypothesis` has them."""

    deviation: Deviation
    family: str = ""
    rank: int = 0


def deviations_of(
    family: Family, failing: Sequence[Trial], names: Collection[str] = (), change: Change = unchanged
) -> Iterator[Sized]:
    """Yield a family with each size and law that fits the failing case with most evidence.

    Parameters
    ----------
    family : Family
        The mistake.
    failing : sequence of Trial
        The cases that fail.
    names : collection of str
        The outputs that the size is fitted to; empty for those that the family changes.
    change : callable
        Takes a trial and returns the loss that is computed with the mistake.
    """
    if not family.has_size:
        yield Sized(family.following(constant(1.0)))
        return
    seen = set[str]()
    for law in (*family.tried, *_fitted_laws(family, failing, names, change)):
        if law.text not in seen:
            seen.add(law.text)
            yield Sized(family.following(law), family.name, 0 if law.is_number else 1 + law.is_multiple)


def hypotheses_of(family: Family, failing: Sequence[Trial], names: Collection[str] = ()) -> Iterator[Hypothesis]:
    """Yield the hypotheses that a candidate makes the mistake of a family on top of the right loss."""
    for d, name, rank in deviations_of(family, failing, names):
        yield Hypothesis(d.name, d.formula, d.effect, (), computation_of(d), name, rank)


def computation_of(deviation: Deviation, change: Change = unchanged) -> OtherLoss | WrongComputation:
    """Return what a deviation computes on top of a changed loss; where it is another loss itself, that loss."""
    then = deviation.change
    if then is None:
        return WrongComputation(deviation, change, only_decided=True)
    return OtherLoss(lambda trial: then(change(trial)))


def _fitted_laws(family: Family, failing: Sequence[Trial], names: Collection[str], change: Change) -> Iterator[Law]:
    """Yield the laws of the sizes that fit one case."""
    trial = _clearest_case(family, failing, names)
    if family.between is None or trial is None:
        return
    try:
        loss = change(trial)
    except (ValueError, TypeError):
        return
    if family.applies(loss):
        for size in _sizes(family, trial, loss, names):
            yield from _laws(size, trial, loss)


def _is_fitted_to(name: str, family: Family, names: Collection[str]) -> bool:
    """Return whether the size of a family is fitted to an output."""
    return name in names if names else (name == "loss") == (family.shows == "loss")


def _clearest_case(family: Family, failing: Sequence[Trial], names: Collection[str]) -> Trial | None:
    """Return the failing case with most evidence of a size: many elements, wrong by many times their tolerance."""

    def evidence(trial: Trial) -> float:
        return sum(_evidence(trial, name) for name in trial.outputs if _is_fitted_to(name, family, names))

    best = max(failing, key=evidence, default=None)
    return best if best is not None and evidence(best) else None


@remembered
def _evidence(trial: Trial, name: str) -> float:
    """Return the evidence in one output: the sum of the logarithms of the errors of its wrong elements."""
    chosen = [q for q in trial.judgement.quantities if q.name == name]
    return sum(float(np.log10(1 + np.minimum(q.error[q.wrong], 1e12)).sum()) for q in chosen)


# ---- the laws that a size may follow --------------------------------------------------------------------------------


def _laws(size: Size, trial: Trial, loss: SVXSoftmax) -> Iterator[Law]:
    """Yield the plain numbers near a size, the multiples of quantities that it may be, and the measured number."""
    yield from (constant(number.value, number.text) for number in plain_numbers(size.value, size.error))
    if size.error <= MOST_ERROR * abs(size.value):
        # A quantity itself is plainer than a multiple of another one.
        yield from sorted(_multiples(size, trial, loss), key=lambda law: law.is_multiple)
    yield constant(size.value)


def _multiples(size: Size, trial: Trial, loss: SVXSoftmax) -> Iterator[Law]:
    """Yield the laws that a size is a simple number times a quantity of the case."""
    for name, quantity in QUANTITIES.items():
        try:
            unit = quantity(loss, len(trial.labels), trial.expected.classes)
        except ValueError:
            continue
        is_usable = name != "1" and (loss.emphasis.t != 1 or name not in OF_T)
        if is_usable and np.isfinite(unit) and unit != 0:
            found = plain_numbers(size.value / unit, size.error / abs(unit))
            yield from (multiple(number.value, number.text, name) for number in found[:1] if number.is_simple)


# ---- solving for the size -------------------------------------------------------------------------------------------


def _sizes(family: Family, trial: Trial, loss: SVXSoftmax, names: Collection[str]) -> list[Size]:
    """Return the sizes with which the family gives all outputs of a case that it changes."""
    fit = _fit(family, trial, loss, names)
    if fit is None or family.between is None:
        return []
    with np.errstate(all="ignore"):
        found = linear(fit) if family.linear else solved(fit, family.spread(GRID))
        low, high = family.between
        return [size for size in found if low <= size.value <= high and agrees(fit, size)]


def _fit(family: Family, trial: Trial, loss: SVXSoftmax, wanted: Collection[str]) -> Fit | None:
    """Return the vector of the outputs that a family changes; None if the case has none, or no such level."""
    names = [name for name in trial.outputs if _is_fitted_to(name, family, wanted)]
    if not names or (trial.level == "cosine" and family.on_cosines is None):
        return None
    order = ["loss", *(o.name for o in trial.expected_of_rows.ways[0][1:])]
    got = np.concatenate([np.ravel(np.asarray(trial.outputs[name], np.float64)) for name in names])
    arrays = trial.arrays

    def at(size: float) -> FloatArray:
        of_size: Any = family.on_cosines if trial.level == "cosine" else family.on_head
        try:
            results = dict(zip(order, of_size(size)(loss, *arrays, trial.labels, trial.cotangent), strict=True))
        except ValueError:
            return np.full(got.shape, np.nan)
        if trial.factor is not None:
            results["loss"] = np.asarray(trial.factor * results["loss"].sum())
        return np.concatenate([np.ravel(results[name]) for name in names])

    return Fit(at, got, estimated_tolerances(trial, names))
