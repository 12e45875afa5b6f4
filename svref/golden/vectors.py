"""The vectors as a user holds them: the loss of each case, and its inputs, right outputs and scales as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.golden.files import canonical
from svref.golden.files.checks import check_cases, check_schemas
from svref.golden.files.pack import (
    SHIPPED,
    Directory,
    PackFiles,
    errors_as_damage,
    pack_root,
    pack_roots,
    read_pack,
    shipped,
)
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

Arrays = Mapping[str, FloatArray]
Notes = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, eq=False)
class Vector:
    """One case: inputs, and what comes out, correctly rounded.

    Parameters
    ----------
    id : str
        "<variant>-<group>-" and eight hex digits of the inputs' digest; it never changes its meaning.
    variant, group, level : str
        The name in `VARIANTS`, the group, and "cosine" or "head".
    parameters : mapping
        Keyword arguments of the variant's factory.
    flags : tuple of str
        Why the case exists; `Vectors.notes` explains each.
    result : {"valid", "accept_set", "undefined", "error"}
        "accept_set": a decision lies within rounding of its boundary, and its other branch is right too.
        "undefined": the gradient of a target at a pole is a matter of policy. "error": the inputs must raise.
    dtypes : tuple of str
        The formats that hold every input exactly.
    inputs : mapping of arrays
        cosines, or embeddings and weights; labels; cotangent.
    expected, rest : mapping of arrays
        Outputs by name. The exact number is expected + rest: `expected` is the float64 next to it, and `rest` the
        float64 next to what that leaves.
    mask : array of bool, shape (B, C)
        I, the support vectors.
    scales : mapping of arrays
        The condition scale K of each element, for a cotangent of one at cosine level.
    case : dict
        The case as it stands in the file.
    purpose : str
        What its flags say that it tests.
    """

    id: str
    variant: str
    group: str
    level: str
    parameters: Mapping[str, float]
    flags: tuple[str, ...]
    result: str
    dtypes: tuple[str, ...]
    inputs: Arrays = field(repr=False)
    expected: Arrays = field(repr=False)
    rest: Arrays = field(repr=False)
    mask: BoolArray = field(repr=False)
    scales: Arrays = field(repr=False)
    case: dict[str, Any] = field(repr=False)
    purpose: str = field(repr=False, default="")

    @property
    def loss(self) -> SVXSoftmax:
        """The loss the case is about; raises for a case that must."""
        return VARIANTS[self.variant].factory(**self.parameters)

    @property
    def file(self) -> str:
        """The path of its file in the pack."""
        return f"groups/{self.variant}/{self.group}.json"

    @property
    def labels(self) -> IntArray:
        """The target classes, shape (B,)."""
        return self.inputs["labels"].astype(np.intp)

    @classmethod
    def from_json(cls, variant: str, group: str, case: dict[str, Any], notes: Notes) -> Vector:
        """Return a case as the file of its group holds it, with the notes on its flags."""
        certified = {name: v for name, v in case["expected"].items() if isinstance(v, dict) and "lo" in v}
        inputs = {name: canonical.array(v) for name, v in case["inputs"].items()}
        return cls(
            case["id"], variant, group, case["level"], case["parameters"], tuple(case["flags"]), case["result"],
            dtypes=tuple(case["dtypes"]),
            inputs={**inputs, "labels": inputs["labels"].astype(np.intp)},
            expected={name: canonical.array(v) for name, v in certified.items()},
            rest={name: canonical.array(v, "lo") for name, v in certified.items()},
            mask=canonical.mask(case["expected"].get("mask", ())),
            scales={name: canonical.array(v) for name, v in case["scales"].items()},
            case=case,
            purpose=_purpose(case["flags"], notes),
        )  # fmt: skip


def _purpose(flags: Iterable[str], notes: Notes) -> str:
    """Return what the notes say that these flags test."""
    for flag in flags:
        if flag not in notes:
            raise ValueError(f"the notes must say what each flag tests; there is none on {flag!r}.")
    return " ".join(notes[flag]["tests"] for flag in flags)


@dataclass(frozen=True, eq=False)
class Vectors:
    """A pack that was read and is whole.

    Parameters
    ----------
    name, version, purpose : str
        As in its manifest.
    digest : str
        SHA-256 of its manifest, and so of every byte.
    cases : tuple of Vector
        All cases, in the order of the files.
    notes : mapping
        What each flag tests, what failing it means, and where to read on.
    root : Path
        Where it was read from.
    """

    name: str
    version: str
    purpose: str
    digest: str
    cases: tuple[Vector, ...] = field(repr=False)
    notes: Notes = field(repr=False)
    root: Path = field(repr=False, default=Path())

    def __iter__(self) -> Iterator[Vector]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, case_id: str) -> Vector:
        for vector in self.cases:
            if vector.id == case_id:
                return vector
        raise KeyError(f"no case {case_id!r} in pack {self.name} {self.version}")

    @classmethod
    def from_files(cls, pack: PackFiles) -> Vectors:
        """Return the cases of a pack's files; raise a VectorsError if they cannot be taken apart."""
        cases: list[Vector] = []
        notes: dict[str, Mapping[str, str]] = {}
        for name, group in pack.groups():
            with errors_as_damage(pack.root / name):
                notes.update(group["notes"])
                for case in group["cases"]:
                    with errors_as_damage(f"{pack.root / name}, case {case['id']}"):
                        cases.append(Vector.from_json(group["variant"], group["group"], case, group["notes"]))
        version, purpose = pack.manifest["version"], pack.manifest["purpose"]
        return cls(pack.name, version, purpose, pack.digest, tuple(cases), notes, pack.root)


def load(directory: Directory | None = None, pack: str | None = None) -> Vectors:
    """Return a pack of golden vectors.

    Parameters
    ----------
    directory : path, optional
        The pack's directory, the one with its manifest.json; None is a pack that ships with svref.
    pack : str, optional
        One that ships, by its name: "core", the default, "paper" or "seed"; or else a directory.

    Returns
    -------
    Vectors
        Iterable; ``vectors[case_id]`` is one case.

    Raises
    ------
    ValueError
        If there is no such pack, both are given, or the pack is one of large cases.
    VectorsError
        If a file is missing, was changed, follows no schema or is of another format.

    Examples
    --------
    >>> import svref.golden
    >>> vectors = svref.golden.load()
    >>> tie = next(v for v in vectors if v.group == "tie" and v.variant == "sv-am-softmax")
    >>> print(tie.mask[0], tie.inputs["cosines"][0])
    [False False False False] [-0.75      0.984375  0.609375 -0.5     ]
    """
    root = pack_root(directory, pack)
    return _load_shipped(root) if root.parent == SHIPPED else read_vectors(root)[1]


@cache
def _load_shipped(root: Path) -> Vectors:
    """Return a pack that ships; its bytes are checked, all else was checked when it was made."""
    return Vectors.from_files(read_pack(root))


def read_vectors(root: Path) -> tuple[PackFiles, Vectors]:
    """Return the files and the cases of a pack that anybody may have made.

    Parameters
    ----------
    root : Path
        The pack's folder.

    Raises
    ------
    ValueError
        If the pack is one of large cases.
    VectorsError
        If a file is missing, was changed, follows no schema, or holds what cannot be computed with.
    """
    pack = read_pack(root)
    if pack.has_large_cases:
        raise ValueError(f"{root} holds large cases, which only list, diff, verify, lint and svref.golden.large read.")
    check_schemas(pack)
    check_cases(pack)
    return pack, Vectors.from_files(pack)


def find(case_id: str, pack: str | None = None) -> Vector:
    """Return the case of that id.

    Parameters
    ----------
    case_id : str
        As a report or ``svref golden list`` names it.
    pack : str, optional
        Where: a pack that ships, by its name; the directory of a pack, or of several; None is all that ship.

    Raises
    ------
    ValueError
        If there is no such case; the message says where ids are listed.
    """
    for root in [SHIPPED / name for name in shipped()] if pack is None else pack_roots(pack=pack):
        for vector in _load_shipped(root) if root.parent == SHIPPED else read_vectors(root)[1]:
            if vector.id == case_id:
                return vector
    if pack is not None:
        raise ValueError(f"the pack {pack} has no case {case_id!r}; see svref golden list {pack}.")
    raise ValueError(
        f"no pack that ships has a case {case_id!r}; see svref golden list, with --pack paper or seed. "
        "A pack of your own is named by --pack DIRECTORY."
    )
