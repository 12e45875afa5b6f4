"""What a matrix found: a cell for each candidate, loss and dtype; all of them as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from svref._version import __version__
from svref.sharing.asked import Asked

SCHEMA = "svref-matrix/1"
NOT_LOADED, NOT_ASKED = "NOT-LOADED", "NOT-ASKED"
MOST_TEXT = 34  # letters of a name on the screen
RIGHT = ("PASS", "PASS-BRANCH")


@dataclass(frozen=True)
class Cell:
    """The verdict on a candidate in one dtype.

    Parameters
    ----------
    dtype : str
        float64 or float32.
    verdict : str
        As `svref check` prints it; NOT-LOADED where the candidate could not be found or read, NOT-ASKED where the run
        was interrupted before.
    mistake, formula : str
        The name of the mistake and its formula; "" if none is known.
    right, wrong : int
        How many elements that say something are right and wrong.
    worst : float or str
        The largest error in tolerances; "Infinity" for an infinite one.
    message : str
        Why there is no verdict; "" if there is one.
    """

    dtype: str
    verdict: str
    mistake: str = ""
    formula: str = ""
    right: int = 0
    wrong: int = 0
    worst: float | str = 0.0
    message: str = ""

    @property
    def kind(self) -> Literal["right", "wrong", "open"]:
        """Whether the candidate is right, wrong, or neither can be said."""
        if self.verdict in RIGHT:
            return "right"
        return "wrong" if self.verdict.startswith("FAIL") else "open"

    @property
    def text(self) -> str:
        """The verdict and the name of the mistake."""
        return f"FAIL {self.mistake}".strip() if self.kind == "wrong" else self.verdict


@dataclass(frozen=True)
class Row:
    """A row of the matrix.

    Parameters
    ----------
    asked : Asked
        What was asked.
    cells : tuple of Cell
        A cell for each dtype.
    versions : mapping of str to str
        The versions of its packages.
    seconds : float
        How long it took.
    digest, vectors, command : str
        The digest and the name of the vectors, and the command that repeats the row.
    code : int
        The exit code of that command; 2 if it was not run.
    """

    asked: Asked
    cells: tuple[Cell, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    digest: str = ""
    vectors: str = ""
    command: str = ""
    code: int = 2


@dataclass(frozen=True)
class Matrix:
    """What a run of a matrix found.

    Parameters
    ----------
    title, date : str
        The title in the TOML file, and the date of the run.
    environment : mapping of str to str
        Versions of Python, NumPy and the system.
    rows : tuple of Row
        In the order of the TOML file.
    interrupted : bool
        Whether the run was interrupted, so that some rows were not asked.
    """

    title: str
    date: str
    environment: Mapping[str, str]
    rows: tuple[Row, ...]
    interrupted: bool = False

    @property
    def cells(self) -> list[Cell]:
        """All cells."""
        return [cell for row in self.rows for cell in row.cells]

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 1 if a cell is wrong, else 2 if `svref check` cannot judge a row, else 0.

        A candidate of one dtype that is right is right, as for `svref check`; its cell of the other dtype stays open.
        """
        if any(cell.kind == "wrong" for cell in self.cells):
            return 1
        return 2 if any(row.code for row in self.rows) else 0

    def to_json(self) -> str:
        """Return the matrix as JSON text, format svref-matrix/1."""
        content = {
            "schema": SCHEMA, "svref": __version__, "title": self.title, "date": self.date,
            "environment": dict(self.environment), "interrupted": self.interrupted,
            "rows": [_of_row(row) for row in self.rows],
        }  # fmt: skip
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def __str__(self) -> str:
        return "\n".join([*lines(self), *_messages(self), "", _sum(self)])


def _of_row(row: Row) -> dict[str, Any]:
    """Return what the JSON says of a row."""
    return {
        "name": row.asked.name, "candidate": row.asked.candidate, "loss": row.asked.loss, "command": row.command,
        "vectors": row.vectors, "digest": row.digest, "versions": dict(row.versions), "seconds": round(row.seconds, 2),
        "cells": [asdict(cell) for cell in row.cells],
    }  # fmt: skip


def lines(matrix: Matrix) -> list[str]:
    """Return the lines of the table on the screen: name, loss, and a column for each dtype."""
    dtypes = list(dict.fromkeys(cell.dtype for cell in matrix.cells))
    table = [["candidate", "loss", *dtypes]]
    for row in matrix.rows:
        by_dtype = {cell.dtype: cell.text for cell in row.cells}
        table.append([_short(row.asked.name), row.asked.loss, *(by_dtype.get(dtype, "") for dtype in dtypes)])
    return aligned(table)


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _short(name: str) -> str:
    return name if len(name) <= MOST_TEXT else f"{name[: MOST_TEXT - 1]}…"


def _messages(matrix: Matrix) -> list[str]:
    """Return why rows have no verdict."""
    said = {(row.asked.name, cell.message): None for row in matrix.rows for cell in row.cells if cell.message}
    return ["", *(f"{name}: {message}" for name, message in said)] if said else []


def _sum(matrix: Matrix) -> str:
    """Return how many cells are right, wrong and open."""
    kinds = [cell.kind for cell in matrix.cells]
    named = sum(bool(cell.mistake) for cell in matrix.cells)
    stopped = "; interrupted" if matrix.interrupted else ""
    return (
        f"{kinds.count('right')} right, {kinds.count('wrong')} wrong ({named} of them named), {kinds.count('open')} "
        f"without a verdict{stopped}"
    )
