"""Files that anybody may have written: read within limits, and parsed strictly.

Nothing is opened that is no regular file: a FIFO would wait for a writer, and reading a device may change it. The size
is asked before anything is read. A file of 300 GB may take no space on the disk, but it would fill the memory.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from svref.golden.files.canonical import LARGE_WHOLE, Json

MOST_BYTES = 32 * 2**20  # of one file; the largest of the packs, large.safetensors, has 1.2 MB
MOST_DEPTH = 32  # objects and lists inside each other; the files of svref have at most 10
_DIGITS = 17  # a whole number of more digits is beyond 2^53, and need not be converted to find that out


def shortened(text: str, most: int = 200) -> str:
    """Return a text for one line of a message: a long one loses its middle, and what cannot be printed is escaped."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: most + 1] + text[most + 1 :][-most:])
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2 - 5) :]}"


def read_regular(path: Path, most: int = MOST_BYTES, follow_links: bool = False) -> bytes:
    """Return the bytes of a regular file.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        The number of bytes it may have.
    follow_links : bool, default False
        Whether `path` may be a link to a file. The folders above it may be links either way.

    Raises
    ------
    ValueError
        If it is no regular file, has too many bytes, or changes while it is read.
    OSError
        If it cannot be read.
    """
    _check_regular(os.stat(path, follow_symlinks=follow_links), most)
    # The checks are repeated on what was opened: another process may have put something else there in between.
    flags = os.O_RDONLY | flag("O_NONBLOCK") | flag("O_BINARY") | (0 if follow_links else flag("O_NOFOLLOW"))
    with os.fdopen(os.open(path, flags), "rb") as file:
        size = _check_regular(os.fstat(file.fileno()), most)
        data = file.read(size + 1)
    if len(data) != size:
        raise ValueError("it must not change while it is read, and did")
    return data


def _check_regular(found: os.stat_result, most: int) -> int:
    """Return the size of a file; raise a ValueError if it is no regular file, or is too large."""
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"it must be a regular file, and is {_KINDS.get(stat.S_IFMT(found.st_mode), 'another thing')}")
    if found.st_size > most:
        raise ValueError(f"it may have at most {most:,} bytes, and has {found.st_size:,}")
    return found.st_size


_KINDS = {
    stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def flag(name: str) -> int:
    """Return a flag for opening files; 0 on a system that does not have it."""
    return int(getattr(os, name, 0))


# ---- JSON ------------------------------------------------------------------------------------------------------


def strict_json(data: bytes, whole: Callable[[str], float] | None = None, real: Callable[[str], float] = float) -> Json:
    """Return the content of JSON.

    Parameters
    ----------
    data : bytes
        The JSON.
    whole, real : callable
        Make a number of the text of one without, or with, a point or an exponent. By default whole numbers are int.

    Raises
    ------
    ValueError
        If it is no JSON, a key stands twice in an object, or objects and lists are more than `MOST_DEPTH` deep.
    """
    try:
        content = json.loads(
            data, object_pairs_hook=_unique_keys, parse_constant=_no_such_number, parse_int=whole, parse_float=real
        )
        _check_depth(content, MOST_DEPTH)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    return content


_TOO_DEEP = f"objects and lists may be {MOST_DEPTH} deep inside each other, and are deeper"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise if a key stands in it twice, of which Python would keep the last one silently."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"{shortened(twice, 80)!r} must stand once in an object; it stands there twice.")
    return content


def _no_such_number(literal: str) -> NoReturn:
    """Raise for NaN and Infinity without quotes, which Python reads but JSON does not have."""
    raise ValueError(f'JSON has no number {literal}; write the string "{literal}".')


def _check_depth(value: Json, left: int) -> None:
    """Raise if there are more than `left` objects and lists inside each other: printing or comparing would fail."""
    if isinstance(value, (dict, list)):
        if left == 0:
            raise ValueError(_TOO_DEEP)
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, (dict, list)):
                _check_depth(inner, left - 1)


def exact_whole(digits: str) -> int:
    """Return a whole number of a pack; one beyond 2^53 must be a string there, since parsers may not hold it."""
    if len(digits) > _DIGITS or abs(int(digits)) > LARGE_WHOLE[0]:
        raise ValueError(f"a whole number beyond 2^53 must be a string; got {shortened(digits, 40)} without quotes.")
    return int(digits)


def finite(text: str) -> float:
    """Return a number of a pack; one beyond float64 must be the string "Infinity" there."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f'a number beyond float64 must be the string "Infinity"; got {shortened(text, 40)}.')
    return number
