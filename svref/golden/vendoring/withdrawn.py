"""The list of packs and cases that were found to be wrong after they had been published.

It ships with svref in svref/golden/errata.json, for packs of every version, the old ones too. The file errata.json of a
pack is another list: ids that this version no longer has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svref.golden.files.checks import validate
from svref.golden.files.pack import Directory, VectorsError, parse_json
from svref.golden.files.reading import read_regular

LIST = Path(__file__).parents[1] / "errata.json"


@dataclass(frozen=True)
class Withdrawal:
    """A pack, or some cases of it, that nobody should rely on any more.

    Parameters
    ----------
    pack : str
        The name of the pack.
    versions : tuple of str
        The versions that are wrong.
    ids : tuple of str
        The cases; if there are none, all.
    reason : str
        What is wrong, in one sentence.
    """

    pack: str
    versions: tuple[str, ...]
    ids: tuple[str, ...]
    reason: str


def read_withdrawn(path: Directory | None = None) -> Sequence[Withdrawal]:
    """Return the list that ships with svref, or the one in a file.

    Raises
    ------
    ValueError
        If the file is no such list.
    OSError
        If it cannot be read.
    """
    file = LIST if path is None else Path(path)
    try:
        content = parse_json(read_regular(Path(os.path.realpath(file))), file)
        validate("withdrawn", content, str(file))
    except VectorsError as error:
        why = str(error).replace(" Get the pack again.", "").rstrip(".")
        raise ValueError(f"{why}. Get the list again; svref ships one, which is read without --errata.") from error
    return [Withdrawal(e["pack"], tuple(e["versions"]), tuple(e["ids"]), e["reason"]) for e in content["withdrawn"]]
