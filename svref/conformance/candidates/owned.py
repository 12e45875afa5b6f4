"""The weights that a PyTorch module owns: which parameter holds them, which way round, and how they get other sizes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from svref.conformance.candidates.arguments import Role, plain
from svref.conformance.candidates.call import CandidateError
from svref.conformance.candidates.called import Values

PROBE = {"C": 7, "D": 5}  # two numbers that differ, so that a shape tells which is which


@dataclass(frozen=True)
class Weight:
    """The parameter of a module that holds the weights: its name, and whether it is (D, C) in place of (C, D)."""

    name: str
    transposed: bool

    def __str__(self) -> str:
        return f"{self.name} {'(D, C)' if self.transposed else '(C, D)'} = weights"


def weights_of(module: Any, given: Mapping[str, Role], sizes: Mapping[str, int]) -> list[Weight]:
    """Return where a module may have its weights; an empty list if it has no parameter of two axes.

    `sizes` are its numbers of classes and of features, as far as they are known.
    """
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters() if p.ndim == 2}
    shapes = {name: shape for name, shape in shapes.items() if given.get(name) == "weights"} or shapes
    ways = [(Weight(n, t), shape[::-1] if t else shape) for n, shape in shapes.items() for t in (False, True)]
    c, d = sizes.get("C"), sizes.get("D")
    found = [weight for weight, shape in ways if shape == (c, d)]
    if not found and (d is None or len(shapes) == 1):  # the other length is fixed in the module, or unknown
        found = [weight for weight, shape in ways if c in (shape[0], None)]
    if shapes and not found:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise CandidateError(
            f"no parameter has the shape of weights, (C, D) or (D, C), for C = {c} classes and D = {d} features; "
            f"there are: {listed}. Give a function around the module, as docs/how-to/check.md shows."
        )
    return found


def sizes_of(module: Any, words: Mapping[str, Role]) -> dict[str, int]:
    """Return the numbers of classes and of features that an instance and its parts have as attributes."""
    pairs = [(words.get(plain(n)), v) for part in module.modules() for n, v in vars(part).items() if _is_size(v)]
    return {str(role): value for role, value in reversed(pairs) if role in ("C", "D")}


def _is_size(value: Any) -> bool:
    """Return whether an attribute may be a number of classes or of features."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(eq=False)
class Resized:
    """Makes copies of an instance for other numbers of classes and features.

    Parameters
    ----------
    instance : module
        The user's; it stays as it is.
    words : mapping of str to Role
        The names of attributes that hold the numbers.
    weight : Weight or None
        Where its weights are.
    """

    instance: Any
    words: Mapping[str, Role] = field(repr=False)
    weight: Weight | None
    copies: dict[tuple[int, int], Any] = field(default_factory=dict, repr=False)

    def __call__(self, values: Values) -> Any:
        """Return the copy for the sizes of a question; its weights are put in when it is called."""
        key = (values["C"], values["D"])
        if key not in self.copies:
            self.copies[key] = copy.deepcopy(self.instance)
            if self.weight is not None:
                self._resize(self.copies[key], self.weight, values)
        return self.copies[key]

    def _resize(self, other: Any, weight: Weight, values: Values) -> None:
        """Set the attributes of a copy that hold a length of the weights."""
        shape = tuple(other.get_parameter(weight.name).shape)
        old = dict(zip(("D", "C") if weight.transposed else ("C", "D"), shape, strict=True))
        for part in other.modules():
            for name, value in vars(part).items():
                role = self.words.get(plain(name))
                if role in ("C", "D") and _is_size(value) and value == old[str(role)]:
                    setattr(part, name, values[str(role)])
