"""How a candidate is read: a function or a class, with the names and the order of arguments that it happens to have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from svref.conformance.candidates import modules
from svref.conformance.candidates.arguments import RETURN, Role, Signature, roles_of, words_of
from svref.conformance.candidates.call import CandidateError, Function, Level, signature_of
from svref.conformance.candidates.called import ARRAYS, Called, Made, check_known, constructor_of, held, method_of
from svref.variants import Variant


@dataclass(frozen=True)
class Reading:
    """A candidate as a function that the check can call, and what was taken for what.

    Parameters
    ----------
    function : callable
        Takes the arrays, the labels and the parameters as the check gives them.
    framework : str or None
        Its framework, where its type says it.
    taken : str
        What was taken for what, for the report; "" for a candidate that follows the conventions.
    fixed : mapping of str to float
        Parameters that it does not take, but has as attributes.
    hint : str
        What to do if it lacks a parameter.
    """

    function: Function
    framework: str | None = None
    taken: str = ""
    fixed: Mapping[str, float] = field(default_factory=dict)
    hint: str = ""


def read(found: Any, entry: Variant, given: Mapping[str, Role]) -> Reading:
    """Return a candidate as a function.

    Parameters
    ----------
    found : object
        A function, a class, or an instance.
    entry : Variant
        The variant that it is meant to be.
    given : mapping of str to Role
        What the user says about its arguments.

    Raises
    ------
    CandidateError
        If arguments are left of which nobody knows what they are.
    """
    if not inspect.isclass(found) and not modules.owns_weights(found) and not given and _is_conventional(found, entry):
        return Reading(found, hint=_hint(found, {}))
    if modules.is_module(found):
        function, taken, fixed = modules.function_of(found, entry, given)
        return Reading(function, "torch", taken, fixed, _hint(found, fixed))
    reading = (_of_class if inspect.isclass(found) else _of_function)(found, entry, given)
    return replace(reading, hint=_hint(found, {}))


def _hint(found: Any, fixed: Mapping[str, float]) -> str:
    """Return what to do about a candidate that lacks a parameter; it begins with a blank."""
    if inspect.isroutine(found):
        return ""
    if inspect.isclass(found):
        return (
            " Neither its constructor nor its forward takes it under a usual name: say by --map NAME=ROLE which does."
        )
    values = ", ".join(f"{name} = {value:g}" for name, value in fixed.items())
    attributes = f" Its attributes say {values}." if values else ""
    return f"{attributes} An instance has them fixed: give its class, which is constructed with those of each case."


def _of_function(function: Function, entry: Variant, given: Mapping[str, Role]) -> Reading:
    """Return a function whose arguments have other names, or another order."""
    signature, words = signature_of(function), words_of(entry)
    level = _level(signature, words, given)
    roles = roles_of(signature, words, given, ARRAYS[level])
    if roles.unknown and not given and set(entry.parameters) - roles.held:
        return Reading(function)  # it is about another loss, which is said by the parameters that it lacks
    check_known(roles, given, (), "the function")
    if any(p.kind is p.VAR_KEYWORD for p in signature.values()):
        roles = replace(roles, swallowed=tuple(name for name in entry.parameters if name not in roles.held))
    called = Called(level, roles, lambda values: function, held(entry, roles), given.get(RETURN))
    return Reading(called, None, ", ".join(roles.renamed(level)))


def _of_class(cls: type, entry: Variant, given: Mapping[str, Role]) -> Reading:
    """Return a class of plain Python, whose instances are functions."""
    words, name = words_of(entry), "forward" if hasattr(cls, "forward") else "__call__"
    if not any(name in vars(base) for base in cls.__mro__):
        raise CandidateError(f"{cls.__name__} is a class whose instances have neither forward nor __call__.")
    constructor, signature = roles_of(constructor_of(cls), words, given), method_of(cls, name)
    level = _level(signature, words, given)
    roles = roles_of(signature, words, given, ARRAYS[level])
    check_known(constructor, given, roles.signature, f"the constructor of {cls.__name__}")
    check_known(roles, given, constructor.signature, f"{cls.__name__}.{name}")
    made = Made(cls, constructor)
    called = Called(
        level, roles, lambda values: getattr(made(values), name), held(entry, constructor, roles), given.get(RETURN)
    )
    return Reading(called, None, ", ".join([*constructor.renamed(level), *roles.renamed(level)]))


def _level(signature: Signature, words: Mapping[str, Role], given: Mapping[str, Role]) -> Level:
    """Return "head" if an argument without a default holds weights, else "cosine"."""
    return "head" if "weights" in roles_of(signature, words, given, ARRAYS["cosine"]).held else "cosine"


def _is_conventional(function: Function, entry: Variant) -> bool:
    """Return whether a function is written as the check calls candidates: no argument needs another name or place."""
    signature, words = signature_of(function), words_of(entry)
    if any(p.kind is p.VAR_POSITIONAL for p in signature.values()):
        return True
    by_place = [name for name, p in signature.items() if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    level = _level(signature, words, {})
    roles = roles_of(signature, words, {}, ARRAYS[level])
    in_place = [roles.of.get(name) for name in by_place[: len(ARRAYS[level])]]
    if in_place != list(ARRAYS[level]) or (level == "head" and by_place[:2] != ["embeddings", "weights"]):
        return False
    renamed = [name for name, role in roles.of.items() if role in entry.parameters and name != role]
    return not renamed and not roles.unknown
