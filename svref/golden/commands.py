"""What one does with packs: make them, and prove that they are what they were."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from svref.golden import canonical
from svref.golden.packs import PACKS
from svref.golden.tree import FORMAT, VectorsError, check_free, write
from svref.golden.vectors import SHIPPED, Vector, Vectors, Verification, load
from svref.inputs import Progress

LARGE = "large"


def make(
    directory: str | os.PathLike[str], packs: Sequence[str] = ("seed", "core"), progress: Progress | None = None
) -> None:
    """Write packs of golden vectors, each into its own directory; the bytes do not depend on the machine.

    Parameters
    ----------
    directory : path
        Where ``<pack>/manifest.json`` and the rest are written. A pack that is there is replaced as a whole.
    packs : sequence of str
        Of "seed", "core", "paper", "head", "large".
    progress : callable, optional
        Called with the number of cases done and the total of the pack.

    Raises
    ------
    ValueError
        For an unknown pack.
    VectorsError
        If the directory of a pack holds other files; nothing is overwritten.
    ImportError
        Without python-flint, rfc8785 or jsonschema: pip install 'svref[golden]'.
    """
    for name in packs:
        if name not in (*PACKS, LARGE):
            raise ValueError(f"there is no pack {name!r}; there are {', '.join(PACKS)}, {LARGE}.")
        check_free(Path(directory) / name)
    for name in packs:
        _make(Path(directory) / name, name, progress)


def _make(directory: Path, name: str, progress: Progress | None) -> None:
    """Write one pack; what makes it needs extras that reading does without."""
    if name == LARGE:
        from svref.golden.large import make_large

        make_large(directory, progress)
    else:
        from svref.golden.building import build

        write(directory, build(PACKS[name], progress))


def verify(
    directory: str | os.PathLike[str] | None = None, pack: str = "core", progress: Progress | None = None
) -> Verification:
    """Check that a pack is whole, and compute every number again where python-flint is installed.

    Parameters
    ----------
    directory, pack
        As `load` takes them.
    progress : callable, optional
        Called with the number of cases done and their total.

    Returns
    -------
    Verification

    Raises
    ------
    VectorsError
        If a file is missing or was changed, or a number is not the correctly rounded one.
    """
    if directory is not None and (Path(directory) / "large.json").is_file():
        from svref.golden.large import verify_large

        return verify_large(directory, progress)
    return _verification(_checked(directory, pack), progress)


def _checked(directory: str | os.PathLike[str] | None, pack: str) -> Vectors:
    """Return a pack whose files follow their schemas, also if it ships."""
    return load(SHIPPED / pack if directory is None else directory)


def _verification(vectors: Vectors, progress: Progress | None) -> Verification:
    """Return what there is to say of a pack that was read and is whole; raise as `verify`."""
    recompute = importlib.util.find_spec("flint") is not None
    if recompute:
        from svref.golden.building import wrong_certificates

        wrong = wrong_certificates(vectors, progress)
        if wrong:
            raise VectorsError(f"{len(wrong)} cases are not what svref.exact computes; the first is {wrong[0]}.")
    numbers = sum(v.size for vector in vectors for v in vector.expected.values())
    return Verification(vectors.name, vectors.version, vectors.digest, len(vectors), numbers, recompute)


def lint(
    directory: str | os.PathLike[str] | None = None, pack: str = "core", progress: Progress | None = None
) -> list[str]:
    """Return what is wrong with a pack as a product: nothing, for one that may be published.

    Parameters
    ----------
    directory, pack, progress
        As `verify` takes them, which runs first.

    Returns
    -------
    list of str
        A sentence for each case without power, and for each deviation that no case of the core pack exposes.

    Raises
    ------
    VectorsError
        As `verify`.
    """
    from svref.golden.power import unexposed

    vectors = _checked(directory, pack)
    found = _verification(vectors, progress)
    wrong = [] if found.recomputed else ["no number was computed again: python-flint is not installed"]
    wrong += [f"{v.id} exposes no deviation" for v in vectors if v.result == "valid" and not _exposes(v)]
    return wrong + (unexposed(vectors) if vectors.name == "core" else [])


def _exposes(vector: Vector) -> bool:
    return any(names for found in vector.case["power"].values() for names in found.values())


def export(path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None, pack: str = "core") -> int:
    """Write the inputs of a pack, without what comes out, as one canonical JSON file; return the number of cases.

    Parameters
    ----------
    path : path
        The file; one that is there is replaced as a whole.
    directory, pack
        As `load` takes them.

    Raises
    ------
    VectorsError
        If the pack is damaged.
    """
    vectors = load(directory, pack)
    kept = ("id", "level", "parameters", "inputs")
    cases = [{"variant": v.variant, "group": v.group, **{k: v.case[k] for k in kept}} for v in vectors]
    inputs = {"format": FORMAT, "pack": vectors.name, "version": vectors.version, "cases": cases}
    canonical.write(Path(path), canonical.encoded(inputs))
    return len(vectors)
