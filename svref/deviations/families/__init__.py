"""Families of mistakes: computations with a size, where `svref.deviations` has single ones.

kind        what a family is, and the laws that its size may follow
laws        multiples of s, m, t, B, C that code confuses with each other
target      f: other margins, thresholds, sines kept from 0, scales of one side, other columns
negatives   other masks, other h, other negatives that count, biases
softmax     smoothing, focal weights, softmax twice, factors and offsets
backward    gradients: factors, clips, other variables, the cotangent
rounding    numbers rounded on the way
heads       normalisations, and ways back through them
"""

from __future__ import annotations

from collections.abc import Iterator

from svref.deviations.families import (
    backward,
    columns,
    ends,
    heads,
    margins,
    negatives,
    rounding,
    softmax,
    thresholds,
)
from svref.deviations.families.kind import Family, Law, constant

__all__ = ["FAMILIES", "Family", "Law", "constant"]


def _families() -> Iterator[Family]:
    """Yield every family of the files, in their order."""
    for stage in (margins, thresholds, ends, columns, negatives, softmax, backward, rounding, heads):
        for entry in vars(stage).values():
            if isinstance(entry, Family):
                yield entry
            elif isinstance(entry, tuple) and entry and all(isinstance(member, Family) for member in entry):
                yield from entry


FAMILIES: dict[str, Family] = {entry.name: entry for entry in _families()}
