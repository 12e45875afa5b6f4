"""On what a size depends: the same size at other parameters says whether it is fixed, 1/s, 2 m, or something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

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
        if f" m = {place}" in answer:
            return answer.replace(f" m = {place}", f" {self.name} = {number} in place of m")
        return answer.replace(place, f"{self.name} = {number}")


def law_of(sizes: Sequence[float], losses: Sequence[SVXSoftmax]) -> Law:
    """Return on what a size depends, from its values for some losses, the first of them at the given parameters."""
    if _is_one(sizes):
        names = _names(losses)
        return Law("", f"whatever {' and '.join(names)} {'is' if len(names) == 1 else 'are'}" if names else "")
    for name, value in _candidates(losses[0]).items():
        ratios = [size / value(loss) for size, loss in zip(sizes, losses, strict=True)]
        if _is_one(ratios):
            found = f"{_times(ratios[0])}{name}"
            return Law(found, f"is {found}")
    values = ", ".join(f"{size:.6g}" for size in sizes[1:])
    return Law("", f"is {values} at other parameters", is_simple=False)


def _is_one(values: Sequence[float]) -> bool:
    """Return whether all numbers are one."""
    return bool(np.ptp(values) <= SAME * np.max(np.abs(values)))


def _times(ratio: float) -> str:
    """Return a factor to write before a name, "" for 1."""
    sign = "-" if ratio < 0 else ""
    return sign if abs(abs(ratio) - 1) < SAME else f"{ratio:.6g} "


def _candidates(loss: SVXSoftmax) -> dict[str, Callable[[SVXSoftmax], float]]:
    """Return the parameters of a loss and simple functions of them."""
    found: dict[str, Callable[[SVXSoftmax], float]] = {
        "s": lambda each: each.s,
        "1/s": lambda each: 1 / each.s,
        "s²": lambda each: each.s**2,
        "√s": lambda each: each.s**0.5,
    }
    if loss.emphasis.t > 1:
        found |= {"t": lambda each: each.emphasis.t, "(t-1)": lambda each: each.emphasis.t - 1}
    if _margin(loss):
        found |= {
            "m": _margin,
            "m/s": lambda each: _margin(each) / each.s,
            "s m": lambda each: _margin(each) * each.s,
            "cos m": lambda each: float(np.cos(_margin(each))),
            "sin m": lambda each: float(np.sin(_margin(each))),
            "m sin m": lambda each: _margin(each) * float(np.sin(_margin(each))),
            "s m sin m": lambda each: each.s * _margin(each) * float(np.sin(_margin(each))),
        }
    return found


def _margin(loss: SVXSoftmax) -> float:
    """Return m of a loss, 0 if it has none."""
    return float(getattr(loss.margin, "m", 0.0))


def _names(losses: Sequence[SVXSoftmax]) -> list[str]:
    """Return the parameters in which the losses differ."""
    first, *rest = losses
    differs = {
        "s": any(each.s != first.s for each in rest),
        "m": any(each.margin != first.margin for each in rest),
        "t": any(each.emphasis.t != first.emphasis.t for each in rest),
    }
    return [name for name, is_so in differs.items() if is_so]
