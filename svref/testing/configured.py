"""The known failures in the file pyproject.toml: the entries of [[tool.svref.expect]].

[[tool.svref.expect]]
candidate = "my_package.heads:SVAMHead"
mistake = "easy-margin-above-0"
dtype = "float32"
reason = "issue 12"
until = 2027-01-31
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svref.testing.expecting import Expectation, expectation
from svref.testing.naming import DTYPES, check_name, nearest
from svref.variants import VARIANTS, spelt

KEYS = ("candidate", "mistake", "dtype", "loss", "reason", "until")


@dataclass(frozen=True)
class Entry:
    """One known failure of the file.

    Parameters
    ----------
    candidate : str
        The name of the function or class, alone, or after the file or module it is in, as in "package.module:name".
    dtype, loss : str
        Where it applies; "" is everywhere.
    expectation : Expectation
        What is expected.
    """

    candidate: str
    dtype: str
    loss: str
    expectation: Expectation

    def applies(self, names: Sequence[str], loss: str, dtype: str) -> bool:
        """Return whether the entry is about a candidate, which has these names."""
        return self.candidate in names and self.dtype in ("", dtype) and self.loss in ("", loss)


def entries(start: Path) -> tuple[Entry, ...]:
    """Return the known failures of the file pyproject.toml that is nearest, in a folder or above it.

    Raises
    ------
    ValueError
        If the file is no TOML, or an entry lacks something, has an unknown key, or names nothing that is known.
    """
    file = next((f / "pyproject.toml" for f in (start, *start.parents) if (f / "pyproject.toml").is_file()), None)
    if file is None:
        return ()
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no TOML: {error}.") from None
    own = content.get("tool", {}).get("svref", {})
    if not isinstance(own, Mapping) or set(own) - {"expect"}:
        raise ValueError(f"{file}: [tool.svref] may hold expect alone; got {', '.join(own)}.")
    listed = own.get("expect", [])
    if not isinstance(listed, list):
        raise ValueError(f"{file}: write known failures as [[tool.svref.expect]], in two brackets.")
    return tuple(_entry(given, f"[[tool.svref.expect]] number {i} of {file}") for i, given in enumerate(listed, 1))


def unused_entries(start: Path, used: Set[str]) -> list[str]:
    """Return a sentence for each known failure of the file that is about no candidate; `used` are the other places."""
    try:
        known = entries(start)
    except ValueError as error:
        return [str(error)]
    return [
        f"{entry.expectation.place}: no test is about the candidate {entry.candidate!r}: remove the entry, or mend its "
        "candidate, dtype or loss"
        for entry in known
        if not used >= set(entry.expectation.places)
    ]


def _entry(given: Any, place: str) -> Entry:
    """Return one entry; raise a ValueError that says what is wrong with it."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{place}: it must be a table; got {given!r}.")
    for key in given:
        if key not in KEYS:
            raise ValueError(f"{place}: there is no key {key!r}{nearest(key, KEYS)}.")
    for key in ("candidate", "mistake"):
        if not isinstance(given.get(key), str):
            raise ValueError(f"{place}: it must have a {key}, as text.")
    if "dtype" in given:
        check_name(f"dtype in {place},", str(given["dtype"]), DTYPES)
    if "loss" in given:
        check_name(f"loss in {place},", spelt(given["loss"]), VARIANTS)
    expected = expectation(given["mistake"], given.get("reason", ""), given.get("until"), place)
    return Entry(given["candidate"], str(given.get("dtype", "")), spelt(given.get("loss", "")), expected)
