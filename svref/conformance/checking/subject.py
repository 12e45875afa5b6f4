"""What is judged: the candidate, loaded once and read once, whatever dtypes it is judged in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from svref.conformance.candidates.answers import AnswersAdapter
from svref.conformance.candidates.arguments import given_of
from svref.conformance.candidates.call import GRADIENTS, Adapter, CandidateError, Level
from svref.conformance.candidates.guard import Guard
from svref.conformance.candidates.loading import (
    MissingKeywordsError,
    candidate_name,
    guarded,
    input_dtype,
    is_answers,
    lacking,
    load,
)
from svref.conformance.candidates.reading import fixed_in
from svref.conformance.checking.notes import Note, notes_of
from svref.formats import format_of, numpy_dtype
from svref.judging.precision import PRECISIONS, Precision
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

    def is_usual(self, dtype: str, plan: Precision) -> bool:
        """Return whether a dtype is what it is judged in under a plan where none is named."""
        return self.level is None or dtype == plan.inputs(self.level)

    def guard(self) -> Guard:
        """Return a guard for one run, which counts what is printed in that run."""
        return replace(self.first)


def subject_of(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kinds: tuple[np.dtype[Any], ...] | None,
    timeout: float | None,
    fixed: Mapping[str, float],
    mapping: Mapping[str, Any] | Sequence[str] | None = None,
    plan: Precision | None = None,
) -> Subject:
    """Return a candidate, loaded and read; of several dtypes the first in which its framework is found out counts.

    Without `kinds`, the dtypes are float64 and float32, or that of the inputs of a plan. Files of answers hold one
    dtype, which they are judged in then. `mapping` says what the arguments of the candidate mean, where their names do
    not. An instance is judged at the values of its attributes.
    """
    name, from_files = candidate_name(candidate), is_answers(candidate)
    loaded = load(candidate, timeout) if isinstance(candidate, str) and not from_files else candidate
    if not from_files:
        fixed = fixed_parameters(entry, {**fixed_in(loaded, entry, given_of(mapping)), **fixed})
    try:
        tried = kinds or (BOTH if plan is None else (None,))
        guard, level, ignores = _read(loaded, entry, framework, device, tried, timeout, fixed, mapping, plan)
    except MissingKeywordsError as error:
        raise CandidateError(f"{error} {_how_to_fix(name, entry, error.missing)}") from error
    kinds = kinds or _kinds(guard.adapter, level, plan)
    lacks = lacking(getattr(guard.adapter, "function", None), entry.parameters)
    notes = {} if from_files else notes_of(candidate, loaded)
    return Subject(name, guard, level, ignores, fixed, lacks, kinds, candidate, notes)


def _read(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kinds: Sequence[np.dtype[Any] | None],
    timeout: float | None,
    fixed: Mapping[str, float],
    mapping: Mapping[str, Any] | Sequence[str] | None,
    plan: Precision | None,
) -> tuple[Guard, Level | None, bool]:
    """Return what `guarded` does in the first dtype in which it does; raise the error of the first one if in none."""
    errors: list[CandidateError] = []
    for kind in kinds:
        try:
            return guarded(candidate, entry, framework, device, kind, timeout, fixed, mapping, plan)
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


def _kinds(adapter: Adapter, level: Level | None, plan: Precision | None) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes that are judged where none is named: float64 and float32, or that of the inputs of a plan.

    Files of answers are judged in their own dtype; raise a CandidateError if that is narrower than the inputs.
    """
    if isinstance(adapter, AnswersAdapter):
        return (_kind_of_answers(adapter.dtype, plan),)
    return BOTH if plan is None or level is None else (input_dtype(plan, level),)


def _kind_of_answers(dtype: str, plan: Precision | None) -> np.dtype[Any]:
    """Return the dtype of answers; raise a CandidateError if no plan of theirs is named."""
    plans = ", ".join(name for name, one in PRECISIONS.items() if dtype in map(one.inputs, GRADIENTS))
    if plan is None and dtype not in {kind.name for kind in BOTH}:
        raise CandidateError(f"the answers are {dtype}: say where the program rounds by --precision, one of {plans}.")
    if plan is not None and not any(holds_format(dtype, plan.inputs(level)) for level in GRADIENTS):
        needed = " or ".join(dict.fromkeys(map(plan.inputs, GRADIENTS)))
        raise CandidateError(
            f"the answers are {dtype}, and the inputs of --precision {plan.name} are {needed}; use one of {plans}."
        )
    return numpy_dtype(dtype)


def holds_format(dtype: str, form: str) -> bool:
    """Return whether a dtype has the digits of a format."""
    return format_of(form).digits <= format_of(dtype).digits


def fixed_parameters(entry: Variant, given: Mapping[str, float]) -> dict[str, float]:
    """Return given parameters in the order of the variant's; raise a ValueError if the variant cannot have them."""
    for name in given:
        if name not in entry.parameters:
            raise ValueError(f"parameters of {entry.name} are {', '.join(entry.parameters)}; got {name}.")
    fixed = {name: given[name] for name in entry.parameters if name in given}
    entry.factory(**fixed)  # raises for values that they may not have
    return {name: value if isinstance(entry.parameters[name], int) else float(value) for name, value in fixed.items()}
