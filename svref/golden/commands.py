"""What one does with packs: make them, verify them, find what they lack, and export their inputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from svref.checks import Progress
from svref.golden.files.canonical import encoded
from svref.golden.files.checks import Verification, can_recompute, check_complete, check_published
from svref.golden.files.pack import (
    FAMILY,
    FORMAT,
    LARGE,
    Directory,
    VectorsError,
    is_large,
    pack_root,
    parse_json,
    read_limited,
)
from svref.golden.files.replacing import check_replaceable, write_pack
from svref.golden.files.writing import check_place, write_file
from svref.golden.making.packs import PACKS
from svref.golden.vectors import Vector, Vectors, load, read_vectors

EXPORT_KEYS = {"format", "pack", "version", "cases"}


def make(
    directory: str | os.PathLike[str], packs: Sequence[str] = ("seed", "core"), progress: Progress | None = None
) -> None:
    """Write packs of golden vectors, each into its own directory; the bytes do not depend on the machine.

    Parameters
    ----------
    directory : path
        Where ``<pack>/manifest.json`` and the rest are written. A pack of that name, also a damaged one, is replaced
        as a whole.
    packs : sequence of str
        Of "seed", "core", "paper", "batches", "head", "large". One that is named twice is made once.
    progress : callable, optional
        Called with the number of cases done and the total of the pack.

    Raises
    ------
    ValueError
        For an unknown pack, and where nothing can be written.
    VectorsError
        If the directory of a pack holds anything else, or is a file; nothing is overwritten.
    ImportError
        Without python-flint: pip install 'svref[golden]'.
    """
    if not os.fspath(directory):
        raise ValueError("the directory of packs must have a name; got ''.")
    names = tuple(dict.fromkeys(packs))
    for name in names:
        if name not in (*PACKS, LARGE):
            raise ValueError(f"there is no pack {name!r}; there are {', '.join(PACKS)}, {LARGE}.")
        check_replaceable(Path(directory) / name, name)
    for name in names:
        _make(Path(directory) / name, name, progress)


def _make(directory: Path, name: str, progress: Progress | None) -> None:
    """Write one pack; the modules that make packs are imported here, since they need extras that reading does not."""
    if name == LARGE:
        from svref.golden.large import make_large

        make_large(directory, progress)
    else:
        from svref.golden.making.records import build

        write_pack(directory, build(PACKS[name], progress), name)


def verify(
    directory: Directory | None = None, pack: str | None = None, progress: Progress | None = None
) -> Verification:
    """Check that a pack is whole, and compute every number again where python-flint is installed.

    Parameters
    ----------
    directory, pack
        As `load` takes them; the pack may be one of large cases.
    progress : callable, optional
        Called with the number of cases done, or of rows of large cases, and their total.

    Returns
    -------
    Verification

    Raises
    ------
    ValueError
        As `load`.
    VectorsError
        If a file is missing or was changed, or a number is not the correctly rounded one.
    """
    root = pack_root(directory, pack)
    if is_large(root):
        from svref.golden.large import verify_large

        return verify_large(root, progress)
    return _verified(root, progress)[1]


def _verified(root: Path, progress: Progress | None) -> tuple[Vectors, Verification]:
    """Return a pack and what verifying it found; raise as `verify`."""
    pack, vectors = read_vectors(root)
    check_published(pack, [vector.id for vector in vectors])
    recomputed = can_recompute()
    other_power = tuple(_recompute(vectors, progress)) if recomputed else ()
    numbers = sum(v.size for vector in vectors for v in vector.expected.values())
    return vectors, Verification(
        vectors.name, vectors.version, vectors.digest, len(vectors), numbers, recomputed, other_power
    )


def _recompute(vectors: Vectors, progress: Progress | None) -> list[str]:
    """Compute all cases again; return the ids of those whose power differs, and raise if anything else does."""
    from svref.golden.making.records import differences

    differing = list(differences(vectors, progress))
    wrong = [(vector, keys - {"power"}) for vector, keys in differing if keys != {"power"}]
    if wrong:
        first, keys = wrong[0]
        raise VectorsError(
            f"{len(wrong)} cases are not what svref.exact computes; the first is {vectors.root / first.file}, "
            f"case {first.id}, in {', '.join(sorted(keys))}. Get the pack again."
        )
    return [vector.id for vector, _ in differing]


def lint(directory: Directory | None = None, pack: str | None = None, progress: Progress | None = None) -> list[str]:
    """Return what keeps a pack from being published, one sentence each; an empty list if nothing does.

    Parameters
    ----------
    directory, pack, progress
        As `verify` takes them, which runs first.

    Returns
    -------
    list of str
        A sentence if numbers were not computed again, and one if power is not what this svref gives; one for each
        valid case that exposes no deviation; and in the core pack one for each deviation that no case exposes.

    Raises
    ------
    VectorsError
        As `verify`, and if a pack of a version that this svref makes lacks one of its cases, or has another.
    ValueError
        As `verify`.
    """
    from svref.golden.making.power import unexposed

    root = pack_root(directory, pack)
    if is_large(root):
        return _lint_large(root, progress)
    vectors, verification = _verified(root, progress)
    wrong = [*_not_recomputed(verification), *verification.remarks]
    if verification.recomputed and vectors.name in PACKS and PACKS[vectors.name].version == vectors.version:
        from svref.golden.making.records import id_of

        check_complete(root, [v.id for v in vectors], map(id_of, PACKS[vectors.name].recipes()))
    wrong += [f"{v.id} exposes no deviation" for v in vectors if v.result == "valid" and not _exposes(v)]
    return wrong + (unexposed(vectors) if vectors.name == "core" else [])


def _lint_large(root: Path, progress: Progress | None) -> list[str]:
    """Return what keeps a pack of large cases from being published."""
    from svref.golden.large import RECIPES, load_large, verify_large
    from svref.golden.large.pack import VERSION

    verification = verify_large(root, progress)
    if verification.version == VERSION:
        check_complete(root, [case.id for case in load_large(root)], [recipe.id for recipe in RECIPES])
    return _not_recomputed(verification)


def _not_recomputed(verification: Verification) -> list[str]:
    return [] if verification.recomputed else ["no number was computed again: python-flint is not installed"]


def _exposes(vector: Vector) -> bool:
    """Return whether a case exposes a deviation in some format, firmly or not."""
    return any(names for exposed in vector.case["power"].values() for names in exposed.values())


def export(path: str | os.PathLike[str], directory: Directory | None = None, pack: str | None = None) -> int:
    """Write the inputs of a pack, without what comes out, as one canonical JSON file; return the number of cases.

    Parameters
    ----------
    path : path
        The file, in a folder that is there; an older export is replaced as a whole.
    directory, pack
        As `load` takes them.

    Raises
    ------
    ValueError
        As `load`, and if there is something else than an export at that path, or no folder for it.
    VectorsError
        If the pack is damaged.
    """
    check_place(path, "an export")
    vectors = load(directory, pack)
    if os.path.isfile(path) and not _is_export(Path(path)):
        raise ValueError(f"{path} must be a new file or an older export, and is something else; nothing was written.")
    keys = ("id", "level", "parameters", "inputs")
    cases = [{"variant": v.variant, "group": v.group, **{key: v.case[key] for key in keys}} for v in vectors]
    inputs = {"format": FORMAT, "pack": vectors.name, "version": vectors.version, "cases": cases}
    write_file(path, encoded(inputs))
    return len(vectors)


def _is_export(path: Path) -> bool:
    """Return whether a file is what `export` writes, for any pack."""
    try:
        content = parse_json(read_limited(Path(os.path.realpath(path))), path)
    except VectorsError:
        return False
    return isinstance(content, dict) and content.keys() == EXPORT_KEYS and str(content["format"]).startswith(FAMILY)
