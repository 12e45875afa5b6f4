"""A candidate with names of its own as a function of the arrays, the labels and the parameters of a variant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from svref.conformance.candidates.arguments import RETURN, Constant, Role, Roles
from svref.conformance.candidates.call import CandidateError, Function, Level
from svref.conformance.candidates.returned import picked
from svref.variants import Variant

ARRAYS: Mapping[Level, tuple[str, ...]] = {
    "cosine": ("inputs", "labels"),
    "head": ("inputs", "weights", "labels"),
}
NAMES: Mapping[Level, tuple[str, ...]] = {
    "cosine": ("cosines", "labels"),
    "head": ("embeddings", "weights", "labels"),
}
PASSED_ON = ("cotangent", "ignore_index")  # not parameters of a variant, but the check may give them
Values = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Called:
    """Calls what a user has, as the check calls a candidate: f(cosines, labels, *, s, ...), or the same on vectors.

    Parameters
    ----------
    level : {"cosine", "head"}
        What is given.
    roles : Roles
        What the arguments of the function mean.
    function_of : callable
        Returns the function for the values of a question: the same each time, or a method of an instance made for it.
    parameters : tuple of str
        The parameters that reach the candidate.
    which : Constant or None
        Which of several results is judged, where the user says so.
    """

    level: Level
    roles: Roles
    function_of: Callable[[Values], Function] = field(repr=False)
    parameters: tuple[str, ...]
    which: Role | None = None

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature by which the check calls it."""
        p = inspect.Parameter
        arrays = [p(name, p.POSITIONAL_OR_KEYWORD) for name in NAMES[self.level]]
        return inspect.Signature([*arrays, *(p(name, p.KEYWORD_ONLY) for name in self.parameters)])

    def __call__(self, *arrays: Any, **parameters: Any) -> Any:
        """Return what the candidate returns."""
        values = self.values(arrays, parameters)
        result = self.roles.call(self.function_of(values), values)
        return picked(result, self.which.value) if isinstance(self.which, Constant) else result

    def values(self, arrays: Iterable[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the arguments may hold."""
        values = dict(zip(ARRAYS[self.level], arrays, strict=True)) | dict(parameters)
        inputs, last = values["inputs"], values.get("weights", values["inputs"])
        values |= {"C": int(last.shape[0 if self.level == "head" else 1]), "D": int(inputs.shape[1])}
        if self.roles.held & {"one_hot", "norms"}:
            values |= _of_torch(inputs, values["labels"], values["C"])
        return values


def _of_torch(inputs: Any, labels: Any, classes: int) -> dict[str, Any]:
    """Return the labels as rows of 0 and 1, and the lengths of the embeddings (B, 1)."""
    if not hasattr(inputs, "new_zeros"):
        raise CandidateError("one_hot and norms are for PyTorch; compute them from the labels and the embeddings.")
    one_hot = inputs.new_zeros(len(labels), classes).scatter(1, labels.long()[:, None], 1.0)
    return {"one_hot": one_hot, "norms": inputs.norm(dim=1, keepdim=True)}


@dataclass(eq=False)
class Made:
    """Makes instances of a class, one for each set of sizes and parameters that its constructor takes.

    An instance is used again, as in training, so that its state is tested too.

    Parameters
    ----------
    make : callable
        The class.
    roles : Roles
        What the arguments of its constructor mean.
    """

    make: Callable[..., Any]
    roles: Roles
    instances: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False)

    def __call__(self, values: Values) -> Any:
        """Return the instance for the values of a question."""
        key = tuple(values[role] for role in sorted(self.roles.held) if role in values)
        if key not in self.instances:
            self.instances[key] = self.roles.call(self.make, values)
        return self.instances[key]


def constructor_of(cls: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class; where they end in ``**``, those of the class it inherits from, too."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            own = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
            found |= {p.name: p for p in own if p.name not in found and p.kind is not p.VAR_POSITIONAL}
            passed_on = [p.name for p in own if p.kind is p.VAR_KEYWORD]
            if not passed_on:
                return _in_order(found)
            for name in passed_on:
                found.pop(name, None)
    return _in_order(found)


def method_of(cls: type, name: str) -> dict[str, inspect.Parameter]:
    """Return the arguments of a method, without the instance."""
    return dict(list(inspect.signature(getattr(cls, name)).parameters.items())[1:])


def held(entry: Variant, *roles: Roles) -> tuple[str, ...]:
    """Return the parameters of a variant that some arguments hold, and what else the check may give."""
    there = {role for some in roles for role in (*some.held, *some.swallowed)}
    return tuple(name for name in (*entry.parameters, *PASSED_ON) if name in there)


def _in_order(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """Return arguments of several constructors as keywords, which is how they are given."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return {name: p if p.kind is p.POSITIONAL_ONLY else p.replace(kind=keyword) for name, p in parameters.items()}


def check_known(roles: Roles, given: Mapping[str, Role], others: Iterable[str], what: str) -> None:
    """Raise a CandidateError if arguments without a meaning are left, or the user names some that do not exist."""
    if roles.unknown:
        first = roles.unknown[0]
        raise CandidateError(
            f"what does {what} take as {', '.join(roles.unknown)}? Say it by --map {first}=ROLE, with a role such as "
            f"s, m, t, labels, C (the number of classes) or D (of features), or by a value, as in --map {first}=None."
        )
    wrong = [name for name in given if name not in {*roles.signature, *others, RETURN}]
    if wrong:
        names = ", ".join(dict.fromkeys([*roles.signature, *others])) or "none"
        raise CandidateError(f"--map {wrong[0]}=...: {what} has no argument of that name; there are {names}.")
