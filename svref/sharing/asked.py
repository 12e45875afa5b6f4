"""The candidates that a TOML file names, checked before any of them is asked."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svref.conformance.candidates.adapters import FRAMEWORKS
from svref.conformance.candidates.loading import variant_of
from svref.conformance.checking.reproduce import with_options
from svref.conformance.checking.subject import fixed_parameters
from svref.deviations.dialects import DIALECTS
from svref.golden.files.pack import DEFAULT, shipped
from svref.variants import VARIANTS

DTYPES = ("float64", "float32")
TIMEOUT = 60  # seconds of a call, where the file says nothing: a candidate that hangs must not stop the others
TOP = {"title": str, "pack": str, "dtype": list, "timeout": (int, float), "candidate": list}
ENTRY = {
    "name": str, "candidate": str, "loss": (str, list), "with": dict, "map": dict, "dialect": str, "framework": str,
    "reduction": str, "packages": list,
}  # fmt: skip
WORDS = {str: "a text", list: "a list", dict: "a table", (str, list): "a text or a list", (int, float): "a number"}


@dataclass(frozen=True)
class Asked:
    """One row of a matrix: a candidate, and the loss it is judged as.

    Parameters
    ----------
    name : str
        What the table calls it.
    candidate : str
        As `svref check` takes it. A file is found from the folder of the TOML file.
    loss : str
        The variant.
    dtypes : tuple of str
        What it is judged in.
    options : tuple of str
        Further words of the command.
    packages : tuple of str
        Installed packages whose versions the table shows.
    """

    name: str
    candidate: str
    loss: str
    dtypes: tuple[str, ...]
    options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words of the command after `svref`."""
        alone = ["--dtype", self.dtypes[0]] if len(self.dtypes) == 1 else []
        return ["check", self.candidate, "--loss", self.loss, *alone, *self.options]


@dataclass(frozen=True)
class Plan:
    """What a TOML file asks for: a title, and the rows in their order."""

    title: str
    rows: tuple[Asked, ...] = field(default=())


def read(path: str | os.PathLike[str]) -> Plan:
    """Return what a TOML file asks for.

    Parameters
    ----------
    path : path
        The file. Each ``[[candidate]]`` has ``candidate`` and ``loss``, one name or a list of them; and may have
        ``name``, ``with``, ``map``, ``dialect``, ``framework``, ``reduction``, ``packages``. At the top may stand
        ``title``, ``pack``, ``timeout`` and ``dtype``. Files and folders are found from the folder of the TOML file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no TOML, or a name in it is unknown; the message says where, and which valid name is nearest.

    Examples
    --------
    >>> from svref.sharing import read
    >>> read("docs/examples/own_matrix.toml").rows[0].name
    'textbook'
    """
    try:
        content = tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{os.fspath(path)} must be TOML: {error}.") from error
    where = os.fspath(path)
    _check_keys(content, TOP, where)
    dtypes = tuple(content.get("dtype", DTYPES))
    for dtype in dtypes:
        _check_name(dtype, DTYPES, f"{where}: dtype")
    if not dtypes:
        raise ValueError(f"{where}: dtype must name float64, float32 or both; got an empty list.")
    folder = Path(path).parent
    common = _options({"timeout": TIMEOUT, **_pack_from(folder, content)}, ("pack", "timeout"))
    entries = content.get("candidate", [])
    if not entries:
        raise ValueError(f"{where} must have a [[candidate]]; it has none.")
    numbered = [(f"{where}: candidate {i}", entry) for i, entry in enumerate(entries, 1)]
    rows = [row for place, entry in numbered for row in _rows(entry, place, dtypes, common)]
    return Plan(content.get("title", ""), tuple(_found_from(folder, row) for row in rows))


def _rows(entry: Any, where: str, dtypes: tuple[str, ...], common: Sequence[str]) -> list[Asked]:
    """Return the rows of one candidate, one for each loss."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be a table, written [[candidate]]; got {entry!r}.")
    _check_keys(entry, ENTRY, where)
    for key in ("candidate", "loss"):
        if not entry.get(key):
            raise ValueError(f"{where} needs {key}.")
    _check_name(entry.get("dialect"), tuple(DIALECTS), f"{where}: dialect")
    _check_name(entry.get("framework"), tuple(FRAMEWORKS), f"{where}: framework", ("array-api:",))
    _check_name(entry.get("reduction"), ("none", "sum", "mean"), f"{where}: reduction")
    losses = [entry["loss"]] if isinstance(entry["loss"], str) else entry["loss"]
    name = str(entry.get("name", entry["candidate"]))
    options = _options(entry, ("dialect", "framework", "reduction"))
    options += [word for key, value in entry.get("map", {}).items() for word in ("--map", f"{key}={value}")]
    packages = tuple(map(str, entry.get("packages", ())))
    return [
        Asked(name, entry["candidate"], _loss(loss, where), dtypes,
              (*common, *options, *_fixed(loss, entry.get("with", {}), where)), packages)
        for loss in losses
    ]  # fmt: skip


def _loss(loss: Any, where: str) -> str:
    """Return the name of a variant."""
    try:
        return variant_of(loss).name
    except ValueError:
        _check_name(loss, tuple(VARIANTS), f"{where}: loss")
        raise


def _fixed(loss: Any, given: Mapping[str, Any], where: str) -> list[str]:
    """Return fixed parameters as words of the command."""
    entry = VARIANTS[_loss(loss, where)]
    for name, value in given.items():
        _check_name(name, tuple(entry.parameters), f"{where}: with")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{where}: with {name} must be a number; got {value!r}.")
    return with_options(fixed_parameters(entry, given))


def _options(content: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return some entries as words of the command."""
    return [word for name in names if name in content for word in (f"--{name}", str(content[name]))]


def _pack_from(folder: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entries at the top; the directory of a pack, which does not ship, is named from the current folder."""
    pack = content.get("pack", DEFAULT)
    return content if pack in shipped() or not pack else {**content, "pack": (folder / pack).as_posix()}


def _found_from(folder: Path, row: Asked) -> Asked:
    """Return a row whose candidate, if it is a file of that folder, is named from the current folder."""
    place, colon, name = row.candidate.rpartition(":")
    file = place if colon and place.endswith(".py") else "" if colon else row.candidate
    if not file or Path(file).is_absolute():
        return row
    found = f"{(folder / file).as_posix()}{colon}{name if colon else ''}"
    return Asked(row.name, found, row.loss, row.dtypes, row.options, row.packages)


def _check_keys(content: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    """Raise a ValueError unless every key is known and its value of the right kind."""
    for key, value in content.items():
        _check_name(key, tuple(known), f"{where}: key")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise ValueError(f"{where}: {key} must be {WORDS[known[key]]}; got {value!r}.")


def _check_name(name: Any, known: Sequence[str], what: str, beginnings: tuple[str, ...] = ()) -> None:
    """Raise a ValueError, with the nearest valid name, unless a name is known; None is left out."""
    if name is None or name in known or (beginnings and str(name).startswith(beginnings)):
        return
    near = difflib.get_close_matches(str(name), known, 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise ValueError(f"{what} must be one of {', '.join(known)}; got {name!r}{hint}")
