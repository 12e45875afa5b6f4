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
        raise ImportError("vectors are written with rfc8785: pip install 'svref[golden]'") from error
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
    numbers = np.array([float(v) for v in made[part]], dtype=np.float64).reshape(made["shape"])
    numbers.flags.writeable = False
    return numbers


def case_id(variant: str, group: str, identity: Json) -> str:
    """Return "<variant>-<group>-" and the first 8 hex digits of SHA-256 of what makes the case what it is."""
    return f"{variant}-{group}-{hashlib.sha256(_canonical(identity)).hexdigest()[:8]}"


def tensors(inputs: Mapping[str, Json], expected: Mapping[str, Json]) -> dict[str, Json]:
    """Return all tensors of a case by "inputs.<name>" and "expected.<name>"."""
    numbers = {name: made for name, made in expected.items() if isinstance(made, dict)}
    return {**{f"inputs.{k}": v for k, v in inputs.items()}, **{f"expected.{k}": v for k, v in numbers.items()}}


def content_digest(tensors: Mapping[str, Mapping[str, Json]]) -> str:
    """Return SHA-256 over name, shape and big-endian binary64 payload of each tensor, in the order of the names.

    It does not depend on how the tensors are stored.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        made = tensors[name]
        for part in ("data", "lo"):
            if part in made:
                digest.update(f"{name}.{part} {'x'.join(map(str, made['shape']))}\n".encode())
                digest.update(b"".join(struct.pack(">d", float(v)) for v in made[part]))
    return digest.hexdigest()


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
