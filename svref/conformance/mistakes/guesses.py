"""Every hypothesis that is tried, from the simple to the combined.

singles   every known deviation; the slips of a variant's parameters; mistakes of some size
families  every family of mistakes, in the sizes that fit
pairs     another loss, computed with a second mistake
apart     each output with a mistake of its own
losing    any of these, and numbers that are lost besides to an overflow or to an infinite slope
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from svref.conformance.mistakes.beyond_one import beyond_one
from svref.conformance.mistakes.computations import (
    Apart,
    Change,
    Computation,
    LostNumbers,
    NarrowerFormat,
    OtherLoss,
    WrongComputation,
    unchanged,
)
from svref.conformance.mistakes.fitting import computation_of, deviations_of, hypotheses_of
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.mistakes.sizes import ANNEALING, DOWNCAST, annealed, clamps_in_float32, sized
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS, Deviation
from svref.deviations.families import AROUND_LOGITS, FAMILIES, NEAR_POLES
from svref.loss import SVXSoftmax
from svref.variants import Variant

LOSING = (  # deviations that lose numbers in some rows; float64 first, as float32 loses all that float64 does and more
    "sine-of-whole-row",
    "no-max-subtraction-float64",
    "no-max-subtraction",
    "no-max-subtraction-quotient-float64",
    "no-max-subtraction-quotient",
)
NEUTRAL = {"m1": 1.0, "m2": 0.0, "m3": 0.0}  # values that switch a parameter off; for other margins that is a deviation
WIDER_AT_POLES = 8.0  # times the tolerance
QUICK = ("other-scale", "other-t", "focal-weight")  # families that are tried on other losses, besides linear ones

Parameters = dict[str, float]


def singles(entry: Variant | None) -> Iterator[Hypothesis]:
    """Yield every known deviation, the slips of a variant's parameters, and mistakes of some size."""
    yield from (_single(d) for d in DEVIATIONS.values() if not d.name.startswith(DOWNCAST))
    yield from () if entry is None else slips(entry)
    yield from sized()
    yield beyond_one()


def roughly() -> Iterator[Hypothesis]:
    """Yield every deviation that is another loss, computed in some other way than svref's, with larger errors."""
    for d in DEVIATIONS.values():
        if d.change is not None:
            yield replace(_single(d), computation=WrongComputation(d))


def families(failing: Sequence[Trial]) -> Iterator[Hypothesis]:
    """Yield every family of mistakes in the sizes that fit a failing case.

    Families of the gradient alone leave the losses right.
    """
    losses_are_right = not any(_is_wrong(trial, "loss") for trial in failing)
    for family in FAMILIES.values():
        if family.shows == "loss" or losses_are_right:
            yield from hypotheses_of(family, failing)


def near_poles(failing: Sequence[Trial]) -> Iterator[Hypothesis]:
    """Yield the families of angles kept from their ends with wide tolerances: rounding there moves a slope far."""
    for family in NEAR_POLES.values():
        for h in hypotheses_of(family, failing):
            if isinstance(h.computation, WrongComputation):
                yield replace(h, computation=replace(h.computation, wider=WIDER_AT_POLES))


def families_of_other_losses(entry: Variant | None, failing: Sequence[Trial]) -> Iterator[Hypothesis]:
    """Yield another loss, computed with a mistake of a family whose size is quickly found."""
    others = [_single(d) for d in DEVIATIONS.values() if d.change is not None]
    second_ones = [f for f in AROUND_LOGITS.values() if f.linear or not f.has_size] + [FAMILIES[name] for name in QUICK]
    for first in (*(slips(entry) if entry else ()), *others):
        change = first.computation.change if isinstance(first.computation, OtherLoss) else unchanged
        has_other_losses = first.computation.refuted_by_losses(failing[0])
        for family in second_ones:
            if not (has_other_losses and family.shows == "gradient"):
                for second, name, rank in deviations_of(family, failing, change=change):
                    combined = _combined(first, second, computation_of(second, change))
                    yield replace(combined, family=name and f"{first.name} with {name}", rank=rank)


def apart(entry: Variant | None, failing: Sequence[Trial], passing: Sequence[Trial]) -> Iterator[Hypothesis]:
    """Yield each output with the first mistake that gives it in all cases, where every wrong output has one."""
    every = [*failing, *passing]
    wrong = {q.name: any(_is_wrong(t, q.name) for t in failing) for q in failing[0].judgement.quantities}
    parts: list[tuple[str, Hypothesis | None]] = []
    for name, is_wrong in wrong.items():
        known = itertools.chain(singles(entry), *(hypotheses_of(f, failing, (name,)) for f in FAMILIES.values()))
        part = next((h for h in known if all(h.matches(trial, name) for trial in every)), None) if is_wrong else None
        if is_wrong and part is None:
            return
        parts.append((name, part))
    chosen = [(name, part) for name, part in parts if part is not None]
    computations = tuple((name, None if part is None else part.computation) for name, part in parts)
    yield Hypothesis(
        name=" with ".join(f"{part.name} in {name} alone" for name, part in chosen),
        formula="; ".join(f"{name}: {part.formula}" for name, part in chosen),
        effect=" ".join(dict.fromkeys(part.effect for _, part in chosen)),
        seen=tuple(dict.fromkeys(place for _, part in chosen for place in part.seen)),
        computation=Apart(computations),
    )


def _is_wrong(trial: Trial, name: str) -> bool:
    """Return whether an output of a case has a wrong element."""
    return any(q.wrong.any() for q in trial.judgement.quantities if q.name == name)


def pairs() -> Iterator[Hypothesis]:
    """Yield another loss, computed with a second mistake: another change, a wrong computation, or float32."""
    changes = [d for d in DEVIATIONS.values() if d.change is not None]
    for first, second in itertools.combinations(sorted(changes, key=lambda d: d.name), 2):
        yield _combined(first, second, OtherLoss(_one_after_the_other(first, second)))
    deviations = [d for d in DEVIATIONS.values() if d.change is None and not d.name.startswith(DOWNCAST)]
    for first, change in [*((d, _change_of(d)) for d in changes), (ANNEALING, annealed)]:
        for second in (*deviations, *clamps_in_float32()):
            yield _combined(first, second, WrongComputation(second, change))
    yield from narrowed_changes()


def narrowed_changes() -> Iterator[Hypothesis]:
    """Yield another loss, computed in float32."""
    float32 = DEVIATIONS[f"{DOWNCAST}-float32"]
    for first in DEVIATIONS.values():
        if first.change is not None:
            yield _combined(first, float32, NarrowerFormat("float32", _change_of(first)))


def losing(hypotheses: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """Yield each hypothesis with each of the deviations that lose numbers."""
    for hypothesis in hypotheses:
        if hypothesis.name not in LOSING:
            for overflow in (DEVIATIONS[name] for name in LOSING):
                yield _combined(hypothesis, overflow, LostNumbers(hypothesis.computation, overflow))


def slips(entry: Variant) -> Iterator[Hypothesis]:
    """Yield a variant with parameters that are not those it was given: ignored, rounded, or swapped."""
    for name, default in entry.parameters.items():
        yield _slip(entry, f"{name}-is-its-default", f"{name} := {default:g}", _with({name: default}))
    for name in (name for name, default in entry.parameters.items() if type(default) is float):
        yield _slip(entry, f"{name}-in-float32", f"{name} := float32({name})", _rounded(name))
    yield _slip(entry, "s-is-1", "s := 1", _with({"s": 1.0}))
    if len(entry.parameters) > 1:
        formula = ", ".join(f"{name} := {default:g}" for name, default in entry.parameters.items())
        yield _slip(entry, "all-are-defaults", formula, _with(entry.parameters))
    reals = [name for name, default in entry.parameters.items() if type(default) is float]
    for one, other in itertools.combinations(reals, 2):
        yield _slip(entry, f"{one}-and-{other}-swapped", f"{one} := {other}, {other} := {one}", _swapped(one, other))
    neutral = [name for name in entry.parameters if name in NEUTRAL]
    for names in (*itertools.combinations(neutral, 1), *itertools.combinations(neutral, 2)):
        off = {name: NEUTRAL[name] for name in names}
        formula = ", ".join(f"{name} := {value:g}" for name, value in off.items())
        yield _slip(entry, f"{'-and-'.join(names)}-ignored", formula, _with(off))


def _slip(entry: Variant, name: str, formula: str, slipped: Callable[[Parameters], Parameters]) -> Hypothesis:
    """Return the hypothesis that the variant is computed with other parameters."""

    def change(trial: Trial) -> SVXSoftmax:
        given = dict(trial.parameters)
        if not given or entry.factory(**given) != trial.loss:
            return trial.loss  # plain arrays have no parameters, and a dialect counts them in its own way
        return entry.factory(**slipped(given))

    effect = "A parameter is not what it was given as."
    return Hypothesis(name, formula, effect, ("a common slip",), OtherLoss(change))


def _with(values: Mapping[str, float]) -> Callable[[Parameters], Parameters]:
    return lambda given: {**given, **values}


def _rounded(name: str) -> Callable[[Parameters], Parameters]:
    return lambda given: {**given, name: float(np.float32(given[name]))}


def _swapped(one: str, other: str) -> Callable[[Parameters], Parameters]:
    return lambda given: {**given, one: given[other], other: given[one]}


def _single(deviation: Deviation) -> Hypothesis:
    """Return the hypothesis of one entry of the registry."""
    other_loss = deviation.change is not None
    computation: Computation = OtherLoss(_change_of(deviation)) if other_loss else WrongComputation(deviation)
    return Hypothesis(deviation.name, deviation.formula, deviation.effect, deviation.seen, computation)


def _combined(first: Hypothesis | Deviation, second: Deviation, computation: Computation) -> Hypothesis:
    """Return the hypothesis of two mistakes at once."""
    return Hypothesis(
        name=f"{first.name} with {second.name}",
        formula=f"{first.formula}; {second.formula}",
        effect=f"{first.effect} {second.effect}",
        seen=tuple(dict.fromkeys(first.seen + second.seen)),
        computation=computation,
    )


def _change_of(deviation: Deviation) -> Change:
    """Return the change of a deviation that is another loss."""
    change = deviation.change
    return lambda trial: trial.loss if change is None else change(trial.loss)


def _one_after_the_other(first: Deviation, second: Deviation) -> Change:
    """Return the change of one deviation after that of another."""

    def change(trial: Trial) -> SVXSoftmax:
        loss = _change_of(first)(trial)
        return loss if second.change is None else second.change(loss)

    return change
