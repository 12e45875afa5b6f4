"""Which pack is meant: one that ships, by its name, or one in a directory; and of which kind it is."""

from __future__ import annotations

import os
from pathlib import Path

from svref.golden.files.pack import LARGE, manifest_of
from svref.golden.files.writing import check_not_moved

SHIPPED = Path(__file__).parents[1] / "vectors"
DEFAULT = "core"
Directory = str | os.PathLike[str]


def shipped() -> list[str]:
    """Return the names of the packs that ship."""
    return sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())


def root_of(directory: Directory | None = None, pack: str | None = None) -> Path:
    """Return where a pack is: in a directory, or among those that ship, core if nothing is said."""
    if directory is None:
        name = DEFAULT if pack is None else pack
        if name not in shipped():
            raise ValueError(f"the packs that ship are {', '.join(shipped())}; got {name!r}. Give others by directory.")
        return SHIPPED / name
    if pack is not None:
        raise ValueError(f"give a directory or the name of a pack that ships, not both; got {directory} and {pack!r}.")
    if not os.fspath(directory):
        raise ValueError("the directory of a pack must have a name; got ''.")
    check_not_moved(Path(directory))
    return Path(directory)


def root_named(pack: str) -> Path:
    """Return where a pack is that is given by its name, if it ships, or by its directory."""
    root = root_of(pack=pack) if pack in shipped() else root_of(pack)
    if not root.is_dir():
        raise ValueError(f"the pack must be one of {', '.join(shipped())}, or a directory; got {pack!r}.")
    return root


def is_large(root: Path) -> bool:
    """Return whether the pack in a directory is one of large cases, by what its manifest says."""
    manifest = manifest_of(root)
    return manifest["pack"] == LARGE or "large.json" in manifest["files"]
