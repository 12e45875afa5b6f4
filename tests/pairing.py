"""Parameters of tests paired with a dtype, in turn: float64, float32, float64, and so on.

Asking every case in both dtypes doubles the time of a suite and finds little more: what a case has of its own and what a
dtype has of its own seldom depend on each other. The tests that do need every pair cross them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, product

DTYPES = ("float64", "float32")


def in_turn(*lists: Iterable[object]) -> list[tuple[object, ...]]:
    """Return every combination of the lists, each with a dtype; the dtypes change from row to row and from block to block.

    The second list is the inner loop. If its length is even, each block of it starts with the other dtype, so that no
    entry meets one dtype only.
    """
    outer, *inner = (list(each) for each in lists)
    found = []
    for i, first in enumerate(outer):
        dtypes = cycle(DTYPES if i % 2 == 0 else DTYPES[::-1])
        found += [(first, *rest, next(dtypes)) for rest in product(*inner)]
    return found
