"""How large a mistake is: its size in one case, solved for, and the law that this size follows in all of them.

A family has a computation for each size. One element of a case that depends on the size most says which size it is;
all others must agree. That size is then a number, as 0.1, or a multiple of what a code has at hand, as m/s. The other
cases, with other parameters, tell these laws apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.mistakes.computations import (
    Change,
    OtherLoss,
    WrongComputation,
    estimated_tolerances,
    remembered,
    unchanged,
)
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.numbers import plain_numbers
from svref.conformance.trial import Trial
from svref.deviations import Deviation
from svref.deviations.families import Family, Law, constant
from svref.deviations.families.laws import OF_T, QUANTITIES, multiple
from svref.loss import SVXSoftmax

GRID = 28  # sizes that are tried, before one is solved for
MOST_STEPS, CLOSE = 60, 2.0**-50  # of solving, and how close the two ends of a bracket are at last, relatively
AGREE = 0.8  # of the elements must lie between those of two neighbouring sizes, or the family is not fitted there
ELEMENTS = 3  # that a size is solved for, one after another
MOST_ERROR = 1e-3  # relative: a size that is known less well follows no law but a plain number


class Size(NamedTuple):
    """A size that fits one case, and how far rounding may have moved it."""

    value: float
    error: float


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


class _Fit(NamedTuple):
    """What a family computes in a case, as one vector: `at` takes a size; `got` and `room` are the candidate's."""

    at: Callable[[float], FloatArray]
    got: FloatArray
    room: FloatArray


def _sizes(family: Family, trial: Trial, loss: SVXSoftmax, names: Collection[str]) -> list[Size]:
    """Return the sizes with which the family gives all outputs of a case that it changes."""
    fit = _fit(family, trial, loss, names)
    if fit is None or family.between is None:
        return []
    with np.errstate(all="ignore"):
        found = _linear(fit) if family.linear else _solved(fit, *family.between)
        low, high = family.between
        return [size for size in found if low <= size.value <= high and _agrees(fit, size)]


def _fit(family: Family, trial: Trial, loss: SVXSoftmax, wanted: Collection[str]) -> _Fit | None:
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

    return _Fit(at, got, estimated_tolerances(trial, names))


def _linear(fit: _Fit) -> Iterator[Size]:
    """Yield the one size of a family whose outputs are linear in it."""
    at_0, at_1 = fit.at(0.0), fit.at(1.0)
    slope = at_1 - at_0
    weight = np.where(np.isfinite(slope) & np.isfinite(fit.got), np.abs(slope) / fit.room, 0.0)
    e = int(np.argmax(weight))
    if weight[e] > 0:
        yield Size(float((fit.got[e] - at_0[e]) / slope[e]), float(fit.room[e] / abs(slope[e])))


def _solved(fit: _Fit, low: float, high: float) -> Iterator[Size]:
    """Yield the sizes at which the elements that depend on it most are those of the candidate."""
    sizes = _grid(low, high)
    table = np.stack([fit.at(size) for size in sizes])
    usable = np.isfinite(table).all(axis=0) & np.isfinite(fit.got)
    for j in range(len(sizes) - 1):
        moves = usable & (np.abs(table[j + 1] - table[j]) > fit.room)
        if not moves.any() or not _is_between(fit, table[j], table[j + 1], moves):
            continue
        change = np.where(moves, np.abs(table[j + 1] - table[j]) / fit.room, 0.0)
        for e in np.argsort(-change)[:ELEMENTS]:
            size = _between(fit, int(e), sizes[j], sizes[j + 1])
            if size is not None and _agrees(fit, size):
                yield size
                break


def _grid(low: float, high: float) -> FloatArray:
    """Return sizes from `low` to `high`: in equal steps of the logarithm where both have one sign, else around 0."""
    if low > 0:
        return np.geomspace(low, high, GRID)
    half = np.geomspace(high * 1e-5 if low else high * 1e-4, high, GRID // 2)
    return np.concatenate([-half[::-1] * (-low / high), [0.0], half]) if low else np.concatenate([[0.0], half])


def _is_between(fit: _Fit, one: FloatArray, other: FloatArray, moves: BoolArray) -> bool:
    """Return whether most elements that move between two sizes are the candidate's somewhere between."""
    low, high = np.minimum(one, other) - fit.room, np.maximum(one, other) + fit.room
    slack = 0.1 * np.abs(other - one)
    inside = (fit.got >= low - slack) & (fit.got <= high + slack)
    return bool(inside[moves].mean() >= AGREE)


def _between(fit: _Fit, e: int, low: float, high: float) -> Size | None:
    """Return the size between two others at which one element is the candidate's, by secants kept inside a bracket."""
    off_low, off_high = (float(fit.at(end)[e] - fit.got[e]) for end in (low, high))
    if off_low * off_high > 0:
        return min((_near(fit, e, end) for end in (low, high)), key=lambda size: size.error)
    for step in range(MOST_STEPS):
        if abs(high - low) <= CLOSE * max(abs(low), abs(high)) or off_high == off_low:
            break
        secant = high - off_high * (high - low) / (off_high - off_low)
        inside = min(low, high) < secant < max(low, high) and step % 3 < 2  # every third step halves the bracket
        middle = secant if inside else (low + high) / 2
        off = float(fit.at(middle)[e] - fit.got[e])
        if off == 0:
            low = high = middle
        elif (off > 0) == (off_low > 0):
            low, off_low = middle, off
        else:
            high, off_high = middle, off
    return _near(fit, e, (low + high) / 2)


def _near(fit: _Fit, e: int, size: float) -> Size:
    """Return a size with its error, from how fast the element moves there."""
    step = max(abs(size), 1e-12) * 1e-4
    slope = abs(fit.at(size + step)[e] - fit.at(size - step)[e]) / (2 * step)
    return Size(size, float(fit.room[e] / slope) if slope > 0 else float("inf"))


def _agrees(fit: _Fit, size: Size) -> bool:
    """Return whether all finite elements are the candidate's at a size, which has an error of its own."""
    at, finite = fit.at(size.value), np.isfinite(fit.got)
    step = min(size.error, 1e-3 * abs(size.value)) or 1e-15
    moved = np.abs(fit.at(size.value + step) - at)
    close = np.abs(at - fit.got) <= fit.room + np.where(np.isfinite(moved), 4 * moved, np.inf)
    return bool((close | ~finite | ~np.isfinite(at)).all())
