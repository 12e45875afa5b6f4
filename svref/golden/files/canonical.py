"""Bytes that depend on the content alone: canonical JSON, ids, digests, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import BoolArray

Json = Any
NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
WHOLE = (2.0**53, 1e21)  # RFC 8785 writes such numbers without a point, and parsers of integers may not hold them


def encoded(value: Json) -> bytes:
    """Return RFC 8785 JSON with a line feed at the end."""
    return _canonical(value) + b"\n"


def _canonical(value: Json) -> bytes:
    try:
        import rfc8785  # reading needs no extra
    except ImportError as error:
        raise ImportError("vectors are written and verified with rfc8785: pip install 'svref[golden]'") from error
    return bytes(rfc8785.dumps(value))


def number(value: float) -> float | str:
    """Return a number as JSON has it: non-finite ones and large whole ones as strings, no negative zero."""
    if math.isnan(value):
        return "NaN"
    if WHOLE[0] < abs(value) < WHOLE[1]:
        return f"{value:.0f}"
    return NON_FINITE.get(value, value + 0.0)


def tensor(values: ArrayLike, lo: ArrayLike | None = None) -> dict[str, Json]:
    """Return a tensor as JSON: its shape, its numbers in row-major order, and what correct rounding leaves."""
    array = np.asarray(values, dtype=np.float64)
    made: dict[str, Json] = {"shape": list(array.shape), "data": [number(v) for v in array.ravel().tolist()]}
    if lo is not None:
        made["lo"] = [number(v) for v in np.asarray(lo, dtype=np.float64).ravel().tolist()]
    return made


def array(made: Mapping[str, Json], part: str = "data") -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a tensor's numbers, or its second parts, as an array that nobody can write into."""
    if len(made[part]) != math.prod(made["shape"]):
        raise ValueError(f"{part} must have {math.prod(made['shape'])} numbers, as its shape; got {len(made[part])}.")
    numbers = np.array([float(v) for v in made[part]], dtype=np.float64).reshape(made["shape"])
    numbers.flags.writeable = False
    return numbers


def case_id(variant: str, group: str, identity: Json) -> str:
    """Return "<variant>-<group>-" and the first 8 hex digits of SHA-256 of what makes the case what it is."""
    return f"{variant}-{group}-{hashlib.sha256(_canonical(identity)).hexdigest()[:8]}"


def identity(variant: str, parameters: Mapping[str, float], inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return what makes a case what it is: its id is made of it."""
    return {"variant": variant, "parameters": dict(parameters), "inputs": dict(inputs)}


def content_digest(case: Mapping[str, Json]) -> str:
    """Return SHA-256 over the names, shapes and numbers of a case, in the order of the names, however they are stored.

    A tensor is a line of name and shape, and its numbers as big-endian binary64; a mask is a line of its name and
    number of rows, and a line of 0 and 1 for each.
    """
    digest, named = hashlib.sha256(), _named(case)
    for name in sorted(named):
        made = named[name]
        if isinstance(made, list):
            digest.update("".join(f"{line}\n" for line in (f"{name} {len(made)}", *made)).encode())
            continue
        for part in ("data", "lo"):
            if part in made:
                digest.update(f"{name}.{part} {'x'.join(map(str, made['shape']))}\n".encode())
                digest.update(b"".join(struct.pack(">d", float(v)) for v in made[part]))
    return digest.hexdigest()


def _named(case: Mapping[str, Json]) -> dict[str, Json]:
    """Return the tensors and the mask of a case by name; those of another branch by its format, row and mask."""
    found = {f"{part}.{name}": made for part in ("inputs", "expected") for name, made in case[part].items()}
    for branch in case.get("branches", ()):
        way = f"branches.{branch['dtype']}.{branch['row']}.{branch['mask']}"
        found |= {f"{way}.{name}": made for name, made in branch["expected"].items()}
    return found


def file_digest(data: bytes) -> str:
    """Return SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def sums(digests: Mapping[str, str]) -> bytes:
    """Return what ``sha256sum -c`` reads."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def write(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def rounded_up(values: ArrayLike, digits: int = 3) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return positive numbers rounded up to a few digits, which the last bits of a processor do not reach."""
    array = np.asarray(values, dtype=np.float64)
    return np.array([_up(v, digits) for v in array.ravel().tolist()]).reshape(array.shape)


def _up(value: float, digits: int) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    shrunk = value * (1 - 1e-9)  # a number that is one of few digits, but for its last bits, stays it
    power = math.floor(math.log10(shrunk)) - digits + 1
    return float(f"{math.ceil(shrunk / 10.0**power)}e{power}")


def bits(rows: Iterable[Sequence[bool]]) -> list[str]:
    """Return each row of a mask as a string of 0 and 1."""
    return ["".join("01"[bool(x)] for x in row) for row in rows]


def flags(rows: Sequence[str]) -> BoolArray:
    """Return strings of 0 and 1 as a mask."""
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"the rows of a mask must be of one length; got {', '.join(rows)}.")
    return np.array([[bit == "1" for bit in row] for row in rows], dtype=bool)
