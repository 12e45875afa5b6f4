"""Which features of a batch make a candidate fail.

The batch is made simpler, one feature after another, as small and plain as the cases of the packs, which the candidate
gets right. What stays wrong does not need the feature. What becomes right shows that the feature is a cause; if it is
a number, halving finds the least value that fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from svref.golden.making.batches import FEW_DIGITS, PLAIN, SMALL, Batch, rounded, usual_parameters

Fails = Callable[[Batch], bool]
NEAR = 1e-4  # of the way from a usual to a failing parameter: values that are nearer are one to a reader
ALL_DIGITS = 53
BEYOND = 3  # values past the least failing one that must fail too, if it is to be called "from there on"
LAYOUTS = {
    "columns-first": "non-contiguous inputs (column by column)",
    "strided": "non-contiguous inputs (every second column of a wider array)",
    "padded": "non-contiguous inputs (rows inside longer rows)",
    "offset": "inputs that begin inside a longer buffer",
    "read-only": "read-only inputs",
}
SIZES = {"rows": "B", "classes": "C", "dimensions": "D"}


@dataclass(frozen=True)
class Cause:
    """Why a candidate fails a batch.

    Parameters
    ----------
    features : str
        The features as one would say them, "for int32 labels"; "" if even the plainest batch fails.
    batch : Batch
        The simplest batch that fails.
    of_values : bool
        Whether a known mistake may lie behind it: a feature is about numbers, or there is none. A wrong formula does
        not depend on dtypes, layouts and sizes.
    """

    features: str
    batch: Batch
    of_values: bool


def cause_of(batch: Batch, fails: Fails, variant: str) -> Cause:
    """Return why a batch fails; `fails` asks the candidate a batch, and is true of this one."""
    words: list[str] = []
    of_values = False
    for simpler in FEATURES:
        batch, found = simpler(batch, fails, variant)
        words += found
        of_values |= bool(found) and simpler in OF_VALUES
    return Cause(" ".join(words), batch, of_values or not words)


# ---- one feature after another: each returns the simpler batch, and what is said if it must stay -----------------


def _layout(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Lay the arrays out row by row."""
    if _kept(batch, fails, layout=PLAIN):
        return replace(batch, layout=PLAIN), []
    return batch, [f"for {LAYOUTS[batch.layout]}"]


def _labels(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Make the labels int64."""
    if _kept(batch, fails, labels="int64"):
        return replace(batch, labels="int64"), []
    return batch, [f"for {batch.labels} labels"]


def _cotangents(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Let every cotangent be 1, or have few digits."""
    if batch.cotangents == "ones":
        few = replace(batch, cotangents="few")
        return (batch, []) if fails(few) else (batch, ["for cotangents that are all 1"])
    if _kept(batch, fails, cotangents="ones"):
        return replace(batch, cotangents="ones"), []
    few = replace(batch, cotangents="few")
    return (few, ["for cotangents other than 1"]) if fails(few) else (batch, ["for cotangents of many digits"])


def _digits(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Round the inputs to few digits."""
    if _kept(batch, fails, digits=FEW_DIGITS):
        return replace(batch, digits=FEW_DIGITS), []
    least = _least(FEW_DIGITS, batch.digits, lambda n: fails(replace(batch, digits=n)))
    return replace(batch, digits=least), [f"for inputs of more than {least - 1} significant bits"]


def _parameters(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Give every parameter its usual value, one after another."""
    words: list[str] = []
    plain_values = usual_parameters(variant)
    if batch.decided:  # at the usual s half precision judges hardly anything
        plain_values["s"] = batch.parameters["s"]
    for name, usual in plain_values.items():
        value = batch.parameters[name]
        plain = replace(batch, parameters={**batch.parameters, name: usual})
        if value == usual or fails(plain):
            batch = plain
        else:
            bound, text = _parameter(batch, name, usual, fails)
            batch, words = bound, [*words, text]
    return batch, words


def _parameter(batch: Batch, name: str, usual: float, fails: Fails) -> tuple[Batch, str]:
    """Return the batch with the value of a parameter that is nearest to the usual one and fails, and how to say it."""

    def at(value: float) -> Batch:
        return replace(batch, parameters={**batch.parameters, name: value})

    value = batch.parameters[name]
    if isinstance(usual, int):
        return batch, f"for {name} = {value:g}"
    if not fails(at(rounded(value, FEW_DIGITS))):
        least = _least(FEW_DIGITS, ALL_DIGITS, lambda n: fails(at(rounded(value, n))))
        return at(rounded(value, least)), f"for {name} of more than {least - 1} significant bits"
    good, bad = usual, value
    near = NEAR * abs(value - usual)
    while abs(bad - good) > near:
        middle = (good + bad) / 2
        good, bad = (good, middle) if fails(at(middle)) else (middle, bad)
    if abs(bad - value) <= near:
        return at(value), f"for {name} = {value:.3g}"
    return at(bad), f"for {name} {'above' if bad > good else 'below'} {good:.3g}"


def _pattern(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Make the labels differ; where they must not, as equal as possible, so that fewer rows show it."""
    room = max(batch.rows, batch.classes)
    distinct = replace(batch, pattern="distinct", classes=room, highest=max(batch.highest, min(room, batch.rows)))
    if fails(distinct):
        return distinct, []
    if not fails(replace(batch, classes=room)):  # the number of classes was what mattered
        return batch, []
    equal = replace(batch, pattern="equal")
    return (equal if fails(equal) else batch), ["for repeated labels"]


def _highest(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Let the labels be low."""
    low = min(batch.highest, max(SMALL["highest"], batch.rows if batch.pattern == "distinct" else 0))
    if _kept(batch, fails, highest=low):
        return replace(batch, highest=low), []
    least = _least(low, batch.highest, lambda n: fails(replace(batch, highest=n)))
    return replace(batch, highest=least), [f"for labels above {least - 2:,}"]


def _rows(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Make B small."""
    return _small(batch, fails, "rows")


def _classes_and_dimensions(batch: Batch, fails: Fails, variant: str) -> tuple[Batch, list[str]]:
    """Make C and D small; D stays where it is large so that decisions are not open."""
    return _small(batch, fails, "classes", *(() if batch.decided else ("dimensions",)))


def _small(batch: Batch, fails: Fails, *sizes: str) -> tuple[Batch, list[str]]:
    """Make some sizes small."""
    words: list[str] = []
    for name in sizes:
        small = max(SMALL[name], batch.highest) if name == "classes" else SMALL[name]
        size = getattr(batch, name)
        if size == 0 or _kept(batch, fails, **_named(name, small)):
            batch = replace(batch, **_named(name, small if size else 0))
            continue
        batch, text = _size(batch, name, small, fails)
        words.append(f"{text.format(letter=SIZES[name])}")
    return batch, words


def _size(batch: Batch, name: str, small: int, fails: Fails) -> tuple[Batch, str]:
    """Return the batch with the size nearest to a small one that fails, and how to say it."""

    def at(size: int) -> bool:
        return fails(replace(batch, **_named(name, size)))

    size: int = getattr(batch, name)
    if size < small:
        return batch, f"for {{letter}} = {size:,}"
    least = _least(small, size, at)
    onwards = all(at(n) for n in range(least + 1, least + 1 + BEYOND))
    return replace(
        batch, **_named(name, least)
    ), f"from {{letter}} = {least:,} on" if onwards else f"for {{letter}} = {least:,}"


# ---- tools -------------------------------------------------------------------------------------------------------


def _kept(batch: Batch, fails: Fails, **simpler: Any) -> bool:
    """Return whether a batch with some features made simpler still fails; true at once if they are so already."""
    plain = replace(batch, **simpler)
    return plain == batch or fails(plain)


def _named(name: str, value: Any) -> dict[str, Any]:
    """Return one feature by its name, for `replace`."""
    return {name: value}


def _least(good: int, bad: int, at: Callable[[int], bool]) -> int:
    """Return, between a value that is right and one that fails, one that fails whose neighbour is right."""
    step = 1 if bad > good else -1
    while abs(bad - good) > 1:
        middle = good + step * (abs(bad - good) // 2)
        good, bad = (good, middle) if at(middle) else (middle, bad)
    return bad


FEATURES = (
    _layout, _labels, _cotangents, _digits, _parameters, _pattern, _rows, _highest, _classes_and_dimensions,
)  # fmt: skip
OF_VALUES = (_digits, _parameters, _pattern, _highest)  # features that a wrong formula may show by
