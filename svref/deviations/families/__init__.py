"""Families of mistakes: computations with a size, where `svref.deviations` has single ones.

kind        what a family is, and the laws that its size may follow
laws        multiples of s, m, t, B, C that code confuses with each other
pairs       tools: f and df/dc of each row, and the angles that they are made of
margins     f by another formula, of another size, or of another variant
thresholds  where one formula of f gives way to another: easy margins and tails
ends        sines and angles that are kept from their ends
columns     the scale on one side alone, the margin in another column, other labels
masks       other negatives that are emphasised
emphasis    other h, and a target that is emphasised
negatives   other negatives that count, margins on negatives, biases
softmax     smoothing, focal weights, softmax twice, factors and offsets
backward    gradients: factors, clips, other variables, the cotangent
rounding    numbers rounded on the way
heads       normalisations, and ways back through them
"""

from __future__ import annotations

from types import ModuleType

from svref.deviations.families import (
    backward,
    columns,
    emphasis,
    ends,
    heads,
    margins,
    masks,
    negatives,
    rounding,
    softmax,
    thresholds,
)
from svref.deviations.families.kind import Family, Law, constant

__all__ = ["AROUND_LOGITS", "FAMILIES", "OF_LOGITS", "Family", "Law", "constant"]


def _families_of(*stages: ModuleType) -> dict[str, Family]:
    """Return every family of some files, in their order, by name."""
    found: list[Family] = []
    for stage in stages:
        for entry in vars(stage).values():
            if isinstance(entry, Family):
                found.append(entry)
            elif isinstance(entry, tuple) and entry and all(isinstance(member, Family) for member in entry):
                found += entry
    return {entry.name: entry for entry in found}


OF_LOGITS: dict[str, Family] = _families_of(margins, thresholds, ends, columns, masks, emphasis, negatives)
AROUND_LOGITS: dict[str, Family] = _families_of(softmax, backward, rounding, heads)  # before the logits, or after them
NEAR_POLES: dict[str, Family] = _families_of(ends)
FAMILIES: dict[str, Family] = {**OF_LOGITS, **AROUND_LOGITS}
