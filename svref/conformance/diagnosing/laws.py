"""On what a size depends: the same size at other parameters says whether it is fixed, 1/s, 2 m, or something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from svref.conformance.numbers import ERRORS, plain_numbers
from svref.deviations.families.laws import QUANTITIES, Quantity, multiple
from svref.loss import SVXSoftmax

SAME = 1e-4  # relative: sizes that differ by less are one


@dataclass(frozen=True)
class Law:
    """On what a size depends.

    Parameters
    ----------
    name : str
        What it is in the parameters, such as "1/s"; "" if it is one number, or no simple function of them.
    text : str
        The same as the end of a sentence that begins with the size.
    is_simple : bool
        Whether it is one number or a simple function.
    """

    name: str
    text: str
    is_simple: bool = True

    def put_into(self, answer: str, place: str, size: float) -> str:
        """Return an answer with the size in its place, and what it is in the parameters where that is a surprise."""
        number = f"{size:.9g}"
        if not self.name or f"{self.name} = {place}" in answer:
            return answer.replace(place, number)
        return answer.replace(place, f"{self.name} = {number}")


def law_of(sizes: Sequence[float], losses: Sequence[SVXSoftmax]) -> Law:
    """Return on what a size depends, from its values for some losses, the first of them at the given parameters."""
    if _is_one(sizes):
        names = _names(losses)
        return Law("", f"whatever {' and '.join(names)} {'is' if len(names) == 1 else 'are'}" if names else "")
    for name, quantity in QUANTITIES.items():
        ratio = _ratio(sizes, losses, quantity)
        if ratio is not None:
            plain = plain_numbers(ratio, SAME / ERRORS * abs(ratio))
            found = multiple(ratio, plain[0].text if plain else f"{ratio:.6g}", name).text
            return Law(found, f"is {found}")
    values = ", ".join(f"{size:.6g}" for size in sizes[1:])
    return Law("", f"is {values} at other parameters", is_simple=False)


def _is_one(values: ArrayLike) -> bool:
    """Return whether all numbers are one."""
    return bool(np.ptp(values) <= SAME * np.max(np.abs(values)))


def _ratio(sizes: Sequence[float], losses: Sequence[SVXSoftmax], quantity: Quantity) -> float | None:
    """Return the number that times a quantity is each size; None if there is none."""
    try:
        units = [quantity(loss, 1, 2) for loss in losses]  # B and C stay as they are, and so they are no law
    except ValueError:
        return None
    with np.errstate(all="ignore"):
        ratios = np.array(sizes) / units
    return float(ratios[0]) if np.isfinite(ratios).all() and _is_one(ratios) else None


def _names(losses: Sequence[SVXSoftmax]) -> list[str]:
    """Return the parameters in which the losses differ."""
    first, *rest = losses
    differs = {
        "s": any(each.s != first.s for each in rest),
        "m": any(each.margin != first.margin for each in rest),
        "t": any(each.emphasis.t != first.emphasis.t for each in rest),
    }
    return [name for name, is_so in differs.items() if is_so]
