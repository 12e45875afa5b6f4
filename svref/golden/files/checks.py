"""Every check of a pack beyond the digests of its files, and what a verification found.

check_schemas      each JSON file follows its schema
check_cases        the cases can be computed with: shapes fit, labels are classes, no id occurs twice
check_published    the files are exactly those that `make` would have written around these cases
check_complete     no case of the recipes is missing, and none was added

`load` runs the first two, `verify` the first three, and `lint` all four. So a pack that another version of svref made,
with other notes or schemas, can still be read. None of the four tells whether the numbers are right; for that,
`verify` and `lint` compute them again.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svref.arrays import FloatArray
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, encoded
from svref.golden.files.exposed import POWER
from svref.golden.files.pack import (
    LARGE,
    MANIFEST,
    PackFiles,
    VectorsError,
    common_files,
    errors_as_damage,
)
from svref.golden.files.reading import shortened
from svref.golden.files.schema import SCHEMAS, first_fault, schema_of
from svref.golden.notes import NOTES
from svref.variants import VARIANTS

LARGE_FILES, GROUP_FILE = re.compile(r"large\.json|large\.safetensors"), re.compile(r"groups/[^/]+/[^/]+\.json")
# The axes of the tensors that have more than one: B rows, C classes, D dimensions. All others have one number a row.
AXES = {"cosines": "BC", "gaps": "BC", "embeddings": "BD", "weights": "CD"}
NameAndSizes = tuple[str, Json, Json]  # a part of a case, the size it must have, the size it has


# ---- schemas ---------------------------------------------------------------------------------------------------


def check_schemas(pack: PackFiles) -> None:
    """Raise unless the manifest and every JSON file of a pack follow their schemas."""
    validate("manifest", pack.manifest, str(pack.root / MANIFEST))
    for name in pack.files:
        schema = "group" if name.startswith("groups/") else name.removesuffix(".json")
        if schema in SCHEMAS:
            validate(schema, pack.json(name), str(pack.root / name))


def validate(schema: str, content: Json, name: str) -> None:
    """Raise a VectorsError that names the file `name` unless `content` follows the schema of that name."""
    fault = first_fault(content, schema_of(schema))
    if fault is not None:
        raise VectorsError(f"{name} does not follow the {schema} schema at {shortened(fault.place)}: {fault.why}")


# ---- cases that can be computed with ---------------------------------------------------------------------------


def check_cases(pack: PackFiles) -> None:
    """Raise unless every group is in its place, every case fits together, ids differ, and cases are counted."""
    ids: set[str] = set()
    for name, group in pack.groups():
        file = pack.root / name
        with errors_as_damage(file):
            _check_group(pack, name, group)
            for case in group["cases"]:
                with errors_as_damage(f"{file}, case {case['id']}"):
                    _check_case(group["variant"], case)
                if case["id"] in ids:
                    raise VectorsError(f"{file}: the id {case['id']} occurs twice. Get the pack again.")
                ids.add(case["id"])
    check_count(pack, len(ids))


def check_count(pack: PackFiles, cases: int) -> None:
    """Raise unless a pack has as many cases as its manifest says."""
    counted = pack.manifest.get("cases")
    if counted != cases:
        raise VectorsError(f"{pack.root / MANIFEST} must count {cases} cases, but says {counted}. Get the pack again.")


def _check_group(pack: PackFiles, name: str, group: Json) -> None:
    """Raise unless a group is of this pack, and its file is called after its variant and its name."""
    place, file = f"groups/{group['variant']}/{group['group']}.json", pack.root / name
    if place != name:
        raise VectorsError(f"{file} says that it is {place}. Get the pack again.")
    if group["pack"] != pack.name:
        raise VectorsError(f"{file} is of the pack {group['pack']!r}, not of {pack.name!r}. Get the pack again.")


def _check_case(variant: str, case: Mapping[str, Json]) -> None:
    """Raise a ValueError unless a loss can be made from a case's parameters, and its tensors fit together."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}.")
    known, given = VARIANTS[variant].parameters.keys(), case["parameters"].keys()
    if known != given:
        raise ValueError(f"parameters must be {', '.join(known)}; got {', '.join(given)}.")
    if (case["level"] == "head") != ("weights" in case["inputs"]):
        raise ValueError(f"level {case['level']} must have the inputs of that level; got {', '.join(case['inputs'])}.")
    labels = canonical.array(case["inputs"]["labels"])
    _check_whole("labels", labels)
    canonical.mask(case["expected"].get("mask", ()))  # raises if its rows are not of one length
    if canonical.content_digest(case) != case["digest"]:
        raise ValueError("the numbers were changed: their digest is not the one in the file.")
    if case["result"] != "error":
        VARIANTS[variant].factory(**case["parameters"])  # raises if a parameter is out of range
        _check_sizes(case, _sizes(case, labels))


def _check_whole(name: str, values: FloatArray) -> None:
    """Raise unless all numbers are whole."""
    wrong = values[~(np.isfinite(values) & (values == np.rint(values)))]
    if wrong.size:
        raise ValueError(f"{name} must be whole numbers; got {wrong[0]:g}.")


def _sizes(case: Mapping[str, Json], labels: FloatArray) -> dict[str, int]:
    """Return B, C and D, which is 0 at cosine level; raise unless labels are classes."""
    head = case["level"] == "head"
    matrix = canonical.array(case["inputs"]["weights" if head else "cosines"])  # (C, D) or (B, C)
    if matrix.ndim != 2:
        raise ValueError(f"the inputs must have two axes; got shape {matrix.shape}.")
    classes, dimensions = matrix.shape if head else (matrix.shape[1], 0)
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise ValueError(f"labels must be class indices below C = {classes}; got {int(outside[0])}.")
    return {"B": labels.size, "C": classes, "D": dimensions}


def _check_sizes(case: Mapping[str, Json], sizes: Mapping[str, int]) -> None:
    """Raise a ValueError unless every tensor and string of a case has the size that B, C and D require."""
    for name, required, size in _parts_and_sizes(case, sizes):
        if size != required:
            raise ValueError(f"{name} must be of size {required}; got {size}.")


def _parts_and_sizes(case: Mapping[str, Json], sizes: Mapping[str, int]) -> Iterator[NameAndSizes]:
    """Yield every tensor, mask and string of 0 and 1 of a case, the size it must have, and the size it has."""
    rows, classes = sizes["B"], sizes["C"]
    for part in ("inputs", "expected", "scales"):
        yield from _tensor_shapes(part, case[part], sizes)
    yield "expected.mask", [classes] * rows, [len(row) for row in case["expected"]["mask"]]
    by_row = {"poles": case["poles"], "radius": case["radius"]}
    for name in ("decisive", "rounds_to_pole"):
        by_row |= {f"{name}.{dtype}": text for dtype, text in case.get(name, {}).items()}
    yield from ((name, rows, len(content)) for name, content in by_row.items())
    for i, branch in enumerate(case["branches"]):
        if branch["row"] >= rows:
            raise ValueError(f"branches[{i}].row must be below B = {rows}; got {branch['row']}.")
        yield f"branches[{i}].mask", classes, len(branch["mask"])
        for part in ("expected", "scales"):
            yield from _tensor_shapes(f"branches[{i}].{part}", branch[part], sizes, one_row=True)


def _tensor_shapes(
    part: str, tensors: Mapping[str, Json], sizes: Mapping[str, int], one_row: bool = False
) -> Iterator[NameAndSizes]:
    """Yield the shapes of tensors; those of a branch are of one row, and so lack the first axis."""
    for name, tensor in tensors.items():
        if isinstance(tensor, dict):
            axes = AXES.get(name, "B")[1 if one_row else 0 :]
            for numbers in ("data", "lo"):
                if numbers in tensor:
                    shape = list(canonical.array(tensor, numbers).shape)
                    yield f"{part}.{name}.{numbers}", [sizes[axis] for axis in axes], shape


# ---- a pack that may be published ------------------------------------------------------------------------------


def check_published(pack: PackFiles, ids: Collection[str]) -> None:
    """Raise unless a pack, of whichever kind, has exactly the files that `make` writes around cases of these ids."""
    _check_files(pack)
    _check_canonical(pack)
    _check_errata(pack, ids)
    for name, group in pack.groups():
        for case in group["cases"]:
            with errors_as_damage(f"{pack.root / name}, case {case['id']}"):
                _check_id_and_flags(group, case)
    for name, group in pack.groups():
        _check_notes(pack.root / name, group)
    _check_power(pack)


def _check_files(pack: PackFiles) -> None:
    """Raise unless there are the files of every pack, with this svref's schemas, and besides them only cases."""
    required = common_files(pack.name)
    also = set() if pack.name == LARGE else {POWER}
    for name in sorted((required.keys() | also) - pack.files.keys()):
        raise VectorsError(f"{pack.root / name} must be part of every pack, and is not. Make the pack again.")
    for name in sorted(pack.files.keys() - required.keys() - also):
        if not (LARGE_FILES if pack.name == LARGE else GROUP_FILE).fullmatch(name):
            raise VectorsError(f"{pack.root / name} must not be part of a pack of this kind. Make the pack again.")
    for name, data in required.items():
        if name.startswith("schema/") and pack.files[name] != data:
            raise VectorsError(f"{pack.root / name} is not the schema of this svref. Make the pack again.")


def _check_canonical(pack: PackFiles) -> None:
    """Raise unless every JSON file has the bytes of the canonical JSON of its content."""
    contents = {name: (pack.json(name), data) for name, data in pack.files.items() if name.endswith(".json")}
    for name, (content, data) in {MANIFEST: (pack.manifest, pack.manifest_bytes), **contents}.items():
        with errors_as_damage(pack.root / name):
            if encoded(content) != data:
                raise ValueError(
                    "a file must be RFC 8785 JSON and a line feed; this one has that content in other bytes."
                )


def _check_errata(pack: PackFiles, ids: Collection[str]) -> None:
    """Raise unless errata.json names this pack, lists no withdrawn id twice, and none of a case still in the pack."""
    errata, file = pack.json("errata.json"), pack.root / "errata.json"
    withdrawn = [entry["id"] for entry in errata["withdrawn"]]
    if errata["pack"] != pack.name:
        raise VectorsError(f"{file} is of the pack {errata['pack']!r}. Get the pack again.")
    for i, name in enumerate(withdrawn):
        if name in ids or name in withdrawn[:i]:
            what = "is still in the pack" if name in ids else "is listed twice"
            raise VectorsError(f"{file}: the withdrawn case {name} {what}. Get the pack again.")


def _check_power(pack: PackFiles) -> None:
    """Raise unless power.json names this pack, and has exactly its cases but for those whose inputs must raise."""
    if pack.name == LARGE:
        return
    content, file = pack.json(POWER), pack.root / POWER
    if content["pack"] != pack.name:
        raise VectorsError(f"{file} is of the pack {content['pack']!r}. Get the pack again.")
    cases = [case for _, group in pack.groups() for case in group["cases"]]
    for name in sorted({case["id"] for case in cases if case["result"] != "error"} ^ content["cases"].keys()):
        what = "is of no such case" if name in content["cases"] else "is missing"
        raise VectorsError(f"{file}: the power of {name} {what}. Make the pack again.")


def _check_id_and_flags(group: Json, case: Mapping[str, Json]) -> None:
    """Raise unless a case has the id that its content leads to, and no flag twice."""
    own = canonical.identity(group["variant"], case["parameters"], case["inputs"])
    required = canonical.case_id(group["variant"], group["group"], own)
    if case["id"] != required:
        raise ValueError(f"the id must be that of the content, {required}.")
    if len(set(case["flags"])) < len(case["flags"]):
        raise ValueError(f"flags must differ; got {', '.join(case['flags'])}.")


def _check_notes(file: Path, group: Json) -> None:
    """Raise unless a group has this svref's notes on the flags of its cases, and no others."""
    flags = {flag for case in group["cases"] for flag in case["flags"]}
    own = {flag: NOTES[flag]._asdict() for flag in flags & NOTES.keys()}
    wrong = sorted(flag for flag in own | group["notes"] if own.get(flag) != group["notes"].get(flag))
    if wrong:
        raise VectorsError(
            f"{file}: the notes must be those of this svref on the flags of the cases, but the one on "
            f"{wrong[0]!r} is not. Make the pack again."
        )


def check_complete(root: Path, ids: Collection[str], recipe_ids: Iterable[str]) -> None:
    """Raise unless the cases of a pack, by their ids, are those of its recipes."""
    required = set(recipe_ids)
    for name in sorted(required.difference(ids)):
        raise VectorsError(f"{root}: the case {name}, which one of its recipes makes, is missing. Get the pack again.")
    for name in sorted(set(ids) - required):
        raise VectorsError(
            f"{root}: none of its recipes makes the case {name}. Give a pack of your own another version."
        )


# ---- what a verification found ---------------------------------------------------------------------------------


def can_recompute() -> bool:
    """Return whether numbers can be computed again: python-flint is installed."""
    return importlib.util.find_spec("flint") is not None


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Parameters
    ----------
    name, version, digest : str
        The pack, and SHA-256 of its manifest.
    cases, numbers : int
        How many cases and certified numbers it holds.
    recomputed : bool
        Whether every number was computed again. False where python-flint is not installed; then digests were checked.
    power : tuple of str
        Ids of cases, not their power: those whose list of exposed deviations, the key `power` in the file, is not what
        this svref's deviations lead to.
    """

    name: str
    version: str
    digest: str
    cases: int
    numbers: int
    recomputed: bool
    power: tuple[str, ...] = ()

    def __str__(self) -> str:
        how = "recomputed to the last bit" if self.recomputed else "digests alone: python-flint is not installed"
        line = f"{self.name} {self.version}  {self.cases:,} cases, {self.numbers:,} numbers, {how}  {self.digest[:12]}"
        return "\n".join([line, *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """Sentences about what is no damage, but not as this svref would write it."""
        if not self.power:
            return []
        return [f"power of {len(self.power)} cases is not what the registry of this svref gives; first {self.power[0]}"]
