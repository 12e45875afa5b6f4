"""Bytes that depend on the content alone: canonical JSON, tensors as JSON, ids and digests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import BoolArray, FloatArray
from svref.golden.files import canonical_json

Json = Any
NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
# RFC 8785 writes whole numbers in this range without a point. Parsers of integers may not hold them.
LARGE_WHOLE = (2.0**53, 1e21)
DIGITS = 3  # significant ones of a condition scale; processors differ in the last bits of a float64, far below these


def encoded(value: Json) -> bytes:
    """Return RFC 8785 JSON with a line feed at the end."""
    return canonical_json.dumps(value) + b"\n"


def number(value: float) -> float | str:
    """Return a number as the files hold it.

    NaN, infinities and numbers between 2^53 and 1e21 in magnitude, which are all whole, become strings; -0.0 becomes
    0.0.
    """
    if math.isnan(value):
        return "NaN"
    if LARGE_WHOLE[0] < abs(value) < LARGE_WHOLE[1]:
        return f"{value:.0f}"
    return NON_FINITE.get(value, value + 0.0)


def tensor(values: ArrayLike, lo: ArrayLike | None = None) -> dict[str, Json]:
    """Return an array as JSON: its shape, and its numbers in row-major order.

    Parameters
    ----------
    values : array_like
        The numbers, each rounded to float64.
    lo : array_like of the same shape, optional
        What that rounding leaves of the exact numbers.
    """
    array = np.asarray(values, dtype=np.float64)
    content: dict[str, Json] = {"shape": list(array.shape), "data": [number(v) for v in array.ravel().tolist()]}
    if lo is not None:
        content["lo"] = [number(v) for v in np.asarray(lo, dtype=np.float64).ravel().tolist()]
    return content


def array(tensor: Mapping[str, Json], part: str = "data") -> FloatArray:
    """Return the numbers of a JSON tensor, its "data" or its "lo", as a read-only array.

    Raises
    ------
    ValueError
        If there are more or fewer numbers than its shape says, or one of them is no number.
    """
    count = math.prod(tensor["shape"])
    if len(tensor[part]) != count:
        raise ValueError(f"{part} must have {count} numbers, as its shape; got {len(tensor[part])}.")
    numbers = np.array([float(v) for v in tensor[part]], dtype=np.float64).reshape(tensor["shape"])
    numbers.flags.writeable = False
    return numbers


def bits(row: Sequence[bool] | BoolArray) -> str:
    """Return one bool a sample, or one row of a mask, as a string of 0 and 1: "0100"."""
    return "".join("01"[bool(bit)] for bit in row)


def bools(text: str) -> BoolArray:
    """Return a string of 0 and 1 as an array of bools."""
    return np.array([bit == "1" for bit in text], dtype=bool)


def mask(rows: Sequence[str]) -> BoolArray:
    """Return strings of 0 and 1, one a row, as an array (B, C); raise a ValueError if their lengths differ."""
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"the rows of a mask must be of one length; got {', '.join(rows)}.")
    return np.array([bools(row) for row in rows], dtype=bool)


def rounded_up(values: ArrayLike) -> FloatArray:
    """Return numbers, none negative, rounded up to three significant digits; infinities, NaN and 0 stay as they are.

    The last bits of the numbers differ from one processor to another. The rounded numbers do not.
    """
    array = np.asarray(values, dtype=np.float64)
    return np.array([_rounded_up(v) for v in array.ravel().tolist()]).reshape(array.shape)


def _rounded_up(value: float) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    shrunk = value * (1 - 1e-9)  # so that 65.0000000000001, which is 65 but for its last bits, does not become 65.1
    power = math.floor(math.log10(shrunk)) - DIGITS + 1
    return float(f"{math.ceil(shrunk / 10.0**power)}e{power}")


def identity(variant: str, parameters: Mapping[str, float], inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return what makes a case what it is; the digits of its id are a digest of this."""
    return {"variant": variant, "parameters": dict(parameters), "inputs": dict(inputs)}


def case_id(variant: str, group: str, identity: Json) -> str:
    """Return "<variant>-<group>-" and the first 8 hex digits of SHA-256 of the identity's canonical JSON."""
    return f"{variant}-{group}-{hashlib.sha256(canonical_json.dumps(identity)).hexdigest()[:8]}"


def content_digest(case: Mapping[str, Json]) -> str:
    """Return SHA-256 over the inputs, the expected outputs and the outputs of the other branches of a case.

    Scales, radii, and the strings `decisive`, `poles` and `rounds_to_pole` are not in it. It is the same whichever file
    format holds the case.

    The tensors and masks are taken in the order of their names. A tensor is a line with its name and shape, then its
    numbers as big-endian binary64. A mask is a line with its name and its number of rows, then a line of 0 and 1 for
    each row.
    """
    digest, named = hashlib.sha256(), _tensors_and_masks(case)
    for name in sorted(named):
        content = named[name]
        if isinstance(content, list):
            digest.update("".join(f"{line}\n" for line in (f"{name} {len(content)}", *content)).encode())
            continue
        for part in ("data", "lo"):
            if part in content:
                digest.update(f"{name}.{part} {'x'.join(map(str, content['shape']))}\n".encode())
                digest.update(np.array([float(v) for v in content[part]], dtype=">f8").tobytes())
    return digest.hexdigest()


def _tensors_and_masks(case: Mapping[str, Json]) -> dict[str, Json]:
    """Return what the digest covers, the tensors and masks of a case, by name.

    The names of a branch hold its format, row and mask.
    """
    named = {f"{part}.{name}": content for part in ("inputs", "expected") for name, content in case[part].items()}
    for branch in case.get("branches", ()):
        prefix = f"branches.{branch['dtype']}.{branch['row']}.{branch['mask']}"
        named |= {f"{prefix}.{name}": content for name, content in branch["expected"].items()}
    return named


def file_digest(data: bytes) -> str:
    """Return SHA-256 of a file's bytes, in hex digits."""
    return hashlib.sha256(data).hexdigest()


def sums(digests: Mapping[str, str]) -> bytes:
    """Return the lines that ``sha256sum -c`` reads, from the digests of files by their paths."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()
