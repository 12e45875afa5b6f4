"""The vectors as a user holds them: arrays by name, the loss they are about, and what rounding may do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from svref.golden import canonical, tree
from svref.golden.canonical import Json
from svref.golden.tree import VectorsError
from svref.inputs import BoolArray, FloatArray, IntArray
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

SHIPPED = Path(__file__).parent / "vectors"
Arrays = Mapping[str, FloatArray]


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
        Why the case exists; `Pack.notes` explains each.
    result : {"valid", "accept_set", "undefined", "error"}
        "accept_set": a decision lies within rounding of its boundary, and its other branch is right too.
        "undefined": the gradient of a target at a pole is a matter of policy. "error": the inputs must raise.
    dtypes : tuple of str
        The formats that hold every input exactly.
    inputs : mapping of arrays
        cosines, or embeddings and weights; labels; cotangent.
    expected, rest : mapping of arrays
        Outputs by name, each the correctly rounded float64; and what that leaves, correctly rounded too.
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
    def labels(self) -> IntArray:
        """The target classes, shape (B,)."""
        return self.inputs["labels"].astype(np.intp)

    @classmethod
    def of(cls, variant: str, group: str, case: dict[str, Any], notes: Mapping[str, Mapping[str, str]]) -> Vector:
        """Return a case of a group file, with what the notes say of its flags."""
        certified = {name: v for name, v in case["expected"].items() if isinstance(v, dict) and "lo" in v}
        inputs = {name: canonical.array(v) for name, v in case["inputs"].items()}
        return cls(
            case["id"], variant, group, case["level"], case["parameters"], tuple(case["flags"]), case["result"],
            dtypes=tuple(case["dtypes"]),
            inputs={**inputs, "labels": inputs["labels"].astype(np.intp)},
            expected={name: canonical.array(v) for name, v in certified.items()},
            rest={name: canonical.array(v, "lo") for name, v in certified.items()},
            mask=np.array([[bit == "1" for bit in row] for row in case["expected"].get("mask", [])], dtype=bool),
            scales={name: canonical.array(v) for name, v in case["scales"].items()},
            case=case,
            purpose=" ".join(notes[flag]["tests"] for flag in case["flags"]),
        )  # fmt: skip


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
    """

    name: str
    version: str
    purpose: str
    digest: str
    cases: tuple[Vector, ...] = field(repr=False)
    notes: Mapping[str, Mapping[str, str]] = field(repr=False)

    def __iter__(self) -> Iterator[Vector]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, case_id: str) -> Vector:
        for vector in self.cases:
            if vector.id == case_id:
                return vector
        raise KeyError(f"no case {case_id!r} in pack {self.name} {self.version}")


@dataclass(frozen=True)
class Verification:
    """What `verify` found out.

    Parameters
    ----------
    name, version, digest : str
        The pack, and SHA-256 of its manifest.
    cases, numbers : int
        How many cases and certified numbers it holds.
    recomputed : bool
        Whether every number was computed again; False where python-flint is not installed, and digests were checked.
    """

    name: str
    version: str
    digest: str
    cases: int
    numbers: int
    recomputed: bool

    def __str__(self) -> str:
        how = "recomputed to the last bit" if self.recomputed else "digests alone: python-flint is not installed"
        return f"{self.name} {self.version}  {self.cases:,} cases, {self.numbers:,} numbers, {how}  {self.digest[:12]}"


def load(directory: str | os.PathLike[str] | None = None, pack: str = "core") -> Vectors:
    """Return a pack of golden vectors.

    Parameters
    ----------
    directory : path, optional
        The pack's directory, the one with its manifest.json; None is the pack that ships with svref.
    pack : str, default "core"
        Which of those that ship: "core", "paper" or "seed".

    Returns
    -------
    Vectors
        Iterable; ``vectors[case_id]`` is one case.

    Raises
    ------
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
    if directory is None:
        if not (SHIPPED / pack).is_dir():
            raise ValueError(f"the packs that ship are {', '.join(shipped())}; got {pack!r}.")
        return _shipped(pack)
    root = Path(directory)
    manifest, files = tree.read(root)
    tree.check_schemas(manifest, files)
    return _vectors(root, manifest, files)


def shipped() -> list[str]:
    """Return the names of the packs that ship."""
    return sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())


@cache
def _shipped(pack: str) -> Vectors:
    """Return a pack that ships; its files were checked against their schemas when it was made."""
    return _vectors(SHIPPED / pack, *tree.read(SHIPPED / pack))


def _vectors(root: Path, manifest: Mapping[str, Json], files: Mapping[str, bytes]) -> Vectors:
    cases, notes, seen = [], {}, set()
    for name, group in tree.groups(files):
        notes.update(group["notes"])
        for case in group["cases"]:
            if case["id"] in seen:
                raise VectorsError(f"{root / name}: the id {case['id']} occurs twice.")
            seen.add(case["id"])
            _check_digest(f"{root / name}, case {case['id']}", case)
            cases.append(Vector.of(group["variant"], group["group"], case, group["notes"]))
    digest = canonical.file_digest((root / "manifest.json").read_bytes())
    return Vectors(manifest["pack"], manifest["version"], manifest["purpose"], digest, tuple(cases), notes)


def find(case_id: str) -> Vector:
    """Return the case of that id from the packs that ship; a ValueError says where ids are listed."""
    for pack in shipped():
        for vector in load(pack=pack):
            if vector.id == case_id:
                return vector
    raise ValueError(f"no pack that ships has a case {case_id!r}; see svref golden list, with --pack paper or seed.")


def _check_digest(where: str, case: Mapping[str, Json]) -> None:
    if canonical.content_digest(canonical.tensors(case["inputs"], case["expected"])) != case["digest"]:
        raise VectorsError(f"{where}: the numbers were changed; their digest is another. Get the pack again.")
