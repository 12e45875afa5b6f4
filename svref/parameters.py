"""Every check of a parameter of a loss, and its message: what must hold, what arrived, what to do about it."""

from __future__ import annotations

import math
import numbers


def real_parameter(name: str, value: object, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """Return `value` as a float in [low, high), or in (low, high) with `open_low`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number; got {name}={value!r} ({type(value).__name__}).")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    above = number > low if open_low else number >= low
    if not (above and number < high):
        raise ValueError(f"{name} must be {_interval(low, high, open_low)}; got {name}={value!r}.")
    return number


def _interval(low: float, high: float, open_low: bool) -> str:
    if math.isinf(low):
        return "finite"
    lower = f"{'above' if open_low else 'at least'} {low:g}"
    if math.isinf(high):
        return f"{lower} and finite"
    return f"{lower} and below {'π (radians, not degrees)' if high == math.pi else format(high, 'g')}"


def emphasis_parameter(value: object) -> float:
    """Return the SV paper's t as a float of at least 1."""
    t = real_parameter("t", value, -math.inf, open_low=True)
    if t < 1:
        hint = f" Code after the MV-Softmax paper calls t - 1 its t: you may mean t={1 + t:g}." if t >= 0 else ""
        raise ValueError(f"t must be at least 1 (t = 1 switches the emphasis off); got t={value!r}.{hint}")
    return t


def integer_parameter(name: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int from `low` to `high`; 4.0 counts as 4."""
    number = real_parameter(name, value, -math.inf, open_low=True)
    if not number.is_integer() or not low <= number <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}; got {name}={value!r}.")
    return int(number)


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
