"""The pack `large` as a whole: its recipes, and how it is made, loaded and verified.

<pack>/large.json            recipes of the inputs, their digests, which rows are decisive
<pack>/large.safetensors     certified losses, targets, projections and values, and their condition scales
<pack>/manifest.json, SHA256SUMS, errata.json, schema/    as in every pack
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

try:
    import safetensors.numpy as safetensors
except ImportError as error:
    raise ImportError("svref.golden.large needs safetensors: pip install 'svref[large]'") from error

import numpy as np

from svref.checks import Progress, check_progress
from svref.golden.files.canonical import encoded
from svref.golden.files.checks import Verification, can_recompute, check_count, check_published, check_schemas
from svref.golden.files.pack import (
    FORMAT,
    LARGE,
    MANIFEST,
    PackFiles,
    VectorsError,
    common_files,
    errors_as_damage,
    pack_root,
    read_pack,
    with_manifest,
)
from svref.golden.files.replacing import check_replaceable, write_pack
from svref.golden.large import store
from svref.golden.large.case import LargeCase
from svref.golden.large.recipe import LargeRecipe

VERSION = "1.0.1"
PURPOSE = "Gradients of many classes, by certified projections; inputs are integer recipes."

PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "sv-softmax": {"s": 32.0, "t": 1.25},
    "am-softmax": {"s": 32.0, "m": 0.375},
    "arc-softmax": {"s": 64.0, "m": 0.5},
    "sv-am-softmax": {"s": 64.0, "m": 0.375, "t": 1.25},
    "sv-arc-softmax": {"s": 64.0, "m": 0.5, "t": 1.25},
    "mv-am-softmax": {"s": 32.0, "m": 0.375, "t": 1.25},
}
SHAPES = ((8, 300, 8), (512, 85_000, 16))  # rows, classes, and rows given element by element
RECIPES = (
    *(
        LargeRecipe(name, parameters, rows, classes, seed=rows + i, tabled=tabled)
        for rows, classes, tabled in SHAPES
        for i, (name, parameters) in enumerate(PARAMETERS.items())
    ),
    LargeRecipe("sv-am-softmax", PARAMETERS["sv-am-softmax"], 24, 1_000_003, seed=24, tabled=4),
)


@dataclass(frozen=True, eq=False)
class LargeVectors:
    """A pack of large cases that was read and is whole.

    Parameters
    ----------
    name, version, purpose : str
        As in its manifest.
    digest : str
        SHA-256 of its manifest, and so of every byte.
    cases : tuple of LargeCase
        All cases.
    """

    name: str
    version: str
    purpose: str
    digest: str
    cases: tuple[LargeCase, ...] = field(repr=False)

    def __iter__(self) -> Iterator[LargeCase]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, case_id: str) -> LargeCase:
        for case in self.cases:
            if case.id == case_id:
                return case
        raise KeyError(f"no case {case_id!r} in pack {self.name} {self.version}")


def make_large(
    directory: str | os.PathLike[str], progress: Progress | None = None, recipes: Sequence[LargeRecipe] = RECIPES
) -> None:
    """Write the pack `large`, or one of other recipes; the bytes do not depend on the machine.

    Parameters
    ----------
    directory : path
        The pack's own directory. A pack that is there is replaced as a whole; an interrupt leaves it as it was.
    progress : callable, optional
        Called with the number of rows done and their total.
    recipes : sequence of LargeRecipe
        The cases; the default are those of the pack.

    Raises
    ------
    VectorsError
        If the directory holds other files, or a number cannot be settled; nothing is written.
    ImportError
        Without python-flint: pip install 'svref[exact]'.
    """
    check_progress(progress)
    if not os.fspath(directory):
        raise ValueError("the directory of a pack must have a name; got ''.")
    check_replaceable(Path(directory), LARGE)
    from svref.golden.large.certify import certify  # needs python-flint, which reading can do without

    of_recipes = _progress_of_each(recipes, progress)
    cases = [certify(recipe, of_recipe) for recipe, of_recipe in zip(recipes, of_recipes, strict=True)]
    tensors = {name: np.ascontiguousarray(x, "<f8") for case in cases for name, x in store.tensors(case).items()}
    files = common_files(LARGE)
    files["large.json"] = encoded(
        {"format": FORMAT, "pack": LARGE, "cases": [store.json_entry(case) for case in cases]}
    )
    files["large.safetensors"] = safetensors.save(tensors)
    write_pack(Path(directory), with_manifest(LARGE, VERSION, PURPOSE, files, len(cases)), LARGE)


def load_large(directory: str | os.PathLike[str]) -> LargeVectors:
    """Return a pack of large cases.

    Parameters
    ----------
    directory : path
        The pack's directory, the one with its manifest.json.

    Raises
    ------
    VectorsError
        If a file is missing, was changed, follows no schema or is of another format; the message names it.
    """
    return _load(pack_root(directory))[1]


def _load(root: Path) -> tuple[PackFiles, LargeVectors]:
    """Return the files and the cases of a pack of large cases."""
    pack = read_pack(root)
    _check_kind(pack)
    check_schemas(pack)
    tensors, content = store.read_tensors(root, pack.files[store.TENSORS]), pack.json(store.CASES)
    with errors_as_damage(root / store.CASES):
        cases = tuple(store.read_case(root, entry, tensors) for entry in content["cases"])
    check_count(pack, len(cases))
    store.check_names(root, cases, tensors)
    return pack, LargeVectors(pack.name, pack.manifest["version"], pack.manifest["purpose"], pack.digest, cases)


def _check_kind(pack: PackFiles) -> None:
    """Raise unless a pack is called large, and has the two files of its cases."""
    missing = [name for name in store.FILES if name not in pack.files]
    if pack.name != LARGE and len(missing) == len(store.FILES):
        raise VectorsError(f"{pack.root} is the pack {pack.name!r}, without large cases. Read it with golden.load.")
    if pack.name != LARGE:
        raise VectorsError(f"{pack.root / MANIFEST} must call a pack of large cases {LARGE!r}, not {pack.name!r}.")
    if missing:
        raise VectorsError(f"{pack.root / missing[0]} must be part of the pack, and is not. Get the pack again.")


def verify_large(directory: str | os.PathLike[str], progress: Progress | None = None) -> Verification:
    """Check that a pack of large cases is whole, and compute every number again where python-flint is installed.

    Parameters
    ----------
    directory : path
        As `load_large` takes it.
    progress : callable, optional
        Called with the number of rows done and their total.

    Returns
    -------
    Verification

    Raises
    ------
    VectorsError
        If the pack is damaged, an input is not what its digest says, or a number is not the correctly rounded one.
    """
    check_progress(progress)
    pack, vectors = _load(pack_root(directory))
    check_published(pack, [case.id for case in vectors])
    of_cases = _progress_of_each([case.recipe for case in vectors], progress)
    for case, of_case in zip(vectors, of_cases, strict=True):
        wrong = _not_certified(case, of_case) if can_recompute() else _not_regenerated(case)
        if wrong:
            raise VectorsError(f"{pack.root}, case {case.id}: {', '.join(wrong)} is not what comes out of its recipe.")
    numbers = sum(x.size for case in vectors for x in case.expected.values())
    return Verification(vectors.name, vectors.version, vectors.digest, len(vectors), numbers, can_recompute())


def _progress_of_each(recipes: Sequence[LargeRecipe], progress: Progress | None) -> Iterator[Progress]:
    """Yield the progress of each recipe; it reports the rows done of all recipes, and their total."""
    total, before = sum(recipe.rows for recipe in recipes), 0
    for recipe in recipes:

        def of_recipe(done: int, rows: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        yield of_recipe
        before += recipe.rows


def _not_regenerated(case: LargeCase) -> list[str]:
    """Return the inputs that are not what their digests say."""
    return [name for name, digest in case.recipe.digests().items() if case.digests[name] != digest]


def _not_certified(case: LargeCase, progress: Progress) -> list[str]:
    """Return the keys and tensors of a case that are not, to the last bit, what comes out of its recipe."""
    from svref.golden.large.certify import certify  # needs python-flint, which reading can do without

    with errors_as_damage(case.id):
        again = certify(case.recipe, progress)
    entry, tensors = store.json_entry(case), store.tensors(case)
    wrong = [key for key, content in store.json_entry(again).items() if content != entry[key]]
    return wrong + [name for name, x in store.tensors(again).items() if not np.array_equal(x, tensors[name])]
