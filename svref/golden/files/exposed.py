"""The file power.json of a pack: which known deviations each case exposes, in one digit for each.

The names of the deviations stand in it once, under "deviations". Under "cases" each id has, for each format that its
inputs are exact in, a string with a digit for each of those names: 2 if an element says so that is not vacuous, 1 if
only vacuous ones do, 0 if none does. The cases themselves stay as they are when the registry of deviations grows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from svref.golden.files.canonical import Json

POWER = "power.json"
KINDS = {"firm": "2", "vacuous": "1"}  # by the name that `Vector.case` has for it: the digit in the file
Power = Mapping[str, Mapping[str, Sequence[str]]]  # by format: the names under "firm" and under "vacuous"


def power_file(head: Mapping[str, Json], deviations: Sequence[str], power: Mapping[str, Power]) -> dict[str, Json]:
    """Return the content of power.json.

    Parameters
    ----------
    head : mapping
        What every file of a pack begins with: format and pack.
    deviations : sequence of str
        The names of the registry.
    power : mapping
        By the id of a case, the names that it exposes, as `by_names` returns them.
    """
    cases = {
        case: {dtype: _digits(exposed, deviations) for dtype, exposed in of_case.items()}
        for case, of_case in power.items()
    }
    return {**head, "deviations": list(deviations), "cases": cases}


def by_names(content: Mapping[str, Json]) -> dict[str, Power]:
    """Return, by the id of a case and by format, the names of the deviations that it exposes, "firm" or "vacuous".

    Raises
    ------
    ValueError
        If a string has more or fewer digits than there are deviations.
    """
    names = content["deviations"]
    return {
        case: {dtype: _named(f"{case}, {dtype}", digits, names) for dtype, digits in of_case.items()}
        for case, of_case in content["cases"].items()
    }


def _digits(exposed: Mapping[str, Sequence[str]], deviations: Sequence[str]) -> str:
    digits = {name: digit for kind, digit in KINDS.items() for name in exposed[kind]}
    return "".join(digits.get(name, "0") for name in deviations)


def _named(where: str, digits: str, names: Sequence[str]) -> dict[str, list[str]]:
    if len(digits) != len(names):
        raise ValueError(f"{where} must have {len(names)} digits, one for each deviation; got {len(digits)}.")
    return {
        kind: [name for name, found in zip(names, digits, strict=True) if found == digit]
        for kind, digit in KINDS.items()
    }
