"""Slips of a variant's parameters: ignored, lost, or taken for one another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from svref.conformance.mistakes.hypothesis import Hypothesis, of_loss
from svref.conformance.trial import Trial
from svref.loss import SVXSoftmax
from svref.variants import Variant

Slip = Callable[[dict[str, float]], dict[str, float]]
NEUTRAL = {"m1": 1.0, "m2": 0.0, "m3": 0.0}  # where a parameter does nothing; those of other margins are deviations
EFFECT = "A parameter is not what it was given as."


def slips(entry: Variant) -> Iterator[Hypothesis]:
    """Yield what a variant becomes with parameters that are not those it was given."""
    for name, default in entry.parameters.items():
        yield _slip(entry, f"{name}-is-its-default", f"{name} := {default:g}", _with({name: default}))
    for name in (name for name, default in entry.parameters.items() if type(default) is float):
        yield _slip(entry, f"{name}-in-float32", f"{name} := float32({name})", _in_float32(name))
    yield _slip(entry, "s-is-1", "s := 1", _with({"s": 1.0}))
    if len(entry.parameters) > 1:
        told = ", ".join(f"{name} := {default:g}" for name, default in entry.parameters.items())
        yield _slip(entry, "all-are-defaults", told, _with(entry.parameters))
    reals = [name for name, default in entry.parameters.items() if type(default) is float and name != "s"]
    for one, other in itertools.combinations(reals, 2):
        yield _slip(entry, f"{one}-and-{other}-swapped", f"{one} := {other}, {other} := {one}", _swapped(one, other))
    neutral = [name for name in entry.parameters if name in NEUTRAL]
    for names in (*itertools.combinations(neutral, 1), *itertools.combinations(neutral, 2)):
        told = ", ".join(f"{name} := {NEUTRAL[name]:g}" for name in names)
        yield _slip(entry, f"{'-and-'.join(names)}-ignored", told, _with({name: NEUTRAL[name] for name in names}))


def _slip(entry: Variant, name: str, formula: str, parameters: Slip) -> Hypothesis:
    """Return the hypothesis that the variant is computed with other parameters."""

    def change(trial: Trial) -> SVXSoftmax:
        given = dict(trial.parameters)
        if not given or entry.factory(**given) != trial.loss:
            return trial.loss  # plain arrays, or a dialect
        return entry.factory(**parameters(given))

    return Hypothesis(name, formula, EFFECT, ("a common slip",), lambda trial: of_loss(trial, change), change)


def _with(values: Mapping[str, float]) -> Slip:
    return lambda parameters: {**parameters, **values}


def _in_float32(name: str) -> Slip:
    return lambda parameters: {**parameters, name: float(np.float32(parameters[name]))}


def _swapped(one: str, other: str) -> Slip:
    return lambda parameters: {**parameters, one: parameters[other], other: parameters[one]}
