"""What is judged: the candidate, loaded once and read once, whatever dtypes it is judged in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from svref.conformance.candidates.answers import AnswersAdapter
from svref.conformance.candidates.arguments import given_of
from svref.conformance.candidates.call import Adapter, CandidateError, Level
from svref.conformance.candidates.guard import Guard
from svref.conformance.candidates.loading import (
    MissingKeywordsError,
    candidate_name,
    guarded,
    is_answers,
    lacking,
    load,
)
from svref.conformance.candidates.reading import fixed_in
from svref.conformance.checking.notes import Note, notes_of
from svref.formats import numpy_dtype
from svref.judging.precision import precision_of
from svref.variants import Variant

BOTH = (np.dtype(np.float64), np.dtype(np.float32))


@dataclass(frozen=True)
class Subject:
    """A candidate that was loaded and read.

    Parameters
    ----------
    name : str
        What the report calls it.
    first : Guard
        Calls it, in every dtype.
    level : {"cosine", "head"} or None
        What it takes; None for files of answers.
    ignores : bool
        Whether it takes ``ignore_index``.
    fixed : mapping
        Parameters that have one value in all questions.
    lacks : tuple of str
        Parameters of the variant that it does not take.
    kinds : tuple of dtype
        The dtypes it is to be judged in.
    candidate : callable or str
        As it was given: the function, or where to find it.
    notes : mapping of str to Note
        What its file says about the stages of the loss, by their names.
    """

    name: str
    first: Guard
    level: Level | None
    ignores: bool
    fixed: Mapping[str, float]
    lacks: tuple[str, ...]
    kinds: tuple[np.dtype[Any], ...]
    candidate: Callable[..., Any] | str
    notes: Mapping[str, Note] = field(default_factory=dict)

    @property
    def adapter(self) -> Adapter:
        """The adapter of its framework."""
        return self.first.adapter

    @property
    def can_be_asked(self) -> bool:
        """Whether it can be asked more than the cases, as a function can."""
        return not isinstance(self.adapter, AnswersAdapter)

    def guard(self) -> Guard:
        """Return a guard for one run, which counts what is printed in that run."""
        return replace(self.first)


def subject_of(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kinds: tuple[np.dtype[Any], ...],
    timeout: float | None,
    fixed: Mapping[str, float],
    mapping: Mapping[str, Any] | Sequence[str] | None = None,
) -> Subject:
    """Return a candidate, loaded and read; of several dtypes the first in which its framework is found out counts.

    Files of answers hold one dtype: of several dtypes it is the one that they are judged in. `mapping` says what the
    arguments of the candidate mean, where their names do not. An instance is judged at the values of its attributes.
    """
    name, from_files = candidate_name(candidate), is_answers(candidate)
    loaded = load(candidate, timeout) if isinstance(candidate, str) and not from_files else candidate
    if not from_files:
        fixed = fixed_parameters(entry, {**fixed_in(loaded, entry, given_of(mapping)), **fixed})
    try:
        guard, level, ignores = _read(loaded, entry, framework, device, kinds, timeout, fixed, mapping)
    except MissingKeywordsError as error:
        raise CandidateError(f"{error} {_how_to_fix(name, entry, error.missing)}") from error
    if isinstance(guard.adapter, AnswersAdapter) and len(kinds) > 1:
        kinds = tuple(kind for kind in kinds if kind.name == guard.adapter.dtype) or kinds[:1]
    lacks = lacking(getattr(guard.adapter, "function", None), entry.parameters)
    notes = {} if from_files else notes_of(candidate, loaded)
    return Subject(name, guard, level, ignores, fixed, lacks, kinds, candidate, notes)


def _read(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kinds: Sequence[np.dtype[Any]],
    timeout: float | None,
    fixed: Mapping[str, float],
    mapping: Mapping[str, Any] | Sequence[str] | None,
) -> tuple[Guard, Level | None, bool]:
    """Return what `guarded` does in the first dtype in which it does; raise the error of the first one if in none."""
    errors: list[CandidateError] = []
    for kind in kinds:
        try:
            return guarded(candidate, entry, framework, device, kind, timeout, fixed, mapping)
        except MissingKeywordsError:
            raise
        except CandidateError as error:
            errors.append(error)
    raise errors[0]


def _how_to_fix(name: str, entry: Variant, missing: Sequence[str]) -> str:
    """Return what to do for a candidate that takes some parameters not: say which values it has inside."""
    values = {name: entry.parameters[name] for name in missing}
    options = " ".join(f"--with {key}={value:g}" for key, value in values.items())
    return (
        f"If it has fixed values for {'it' if len(missing) == 1 else 'them'}, say which; with the defaults that is: "
        f"svref check {name} --loss {entry.name} {options} (in Python parameters={values!r})."
    )


def kinds_for(precision: str | None, level: Level | None = None) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes that are judged where none is named: float64 and float32, or that of the inputs of a plan.

    At a level that is not known yet, the plan's dtypes at both levels.
    """
    if precision is None:
        return BOTH
    plan = precision_of(precision)
    levels = ("cosine", "head") if level is None else (level,)
    try:
        return tuple(dict.fromkeys(numpy_dtype(plan.inputs(each)) for each in levels))
    except ImportError as error:
        raise CandidateError(str(error)) from error


def fixed_parameters(entry: Variant, given: Mapping[str, float]) -> dict[str, float]:
    """Return given parameters in the order of the variant's; raise a ValueError if the variant cannot have them."""
    for name in given:
        if name not in entry.parameters:
            raise ValueError(f"parameters of {entry.name} are {', '.join(entry.parameters)}; got {name}.")
    fixed = {name: given[name] for name in entry.parameters if name in given}
    entry.factory(**fixed)  # raises for values that they may not have
    return {name: value if isinstance(entry.parameters[name], int) else float(value) for name, value in fixed.items()}
