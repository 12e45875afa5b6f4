"""A package of the npm registry, checked against its digest, kept in a cache: nothing of it is in the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sphinx.errors import ExtensionError

NEEDS_NODE = (
    "{what} needs Node.js, and {command} is not on the PATH: apt-get install nodejs npm, or https://nodejs.org."
)


def program(command: str, what: str) -> str:
    """Return the path of `node` or `npm`; end the build with one sentence if it is missing.

    Sphinx prints a traceback of every other exception, and asks for a report of a fault.
    """
    path = shutil.which(command)
    if path is None:
        raise SystemExit(NEEDS_NODE.format(what=what, command=command))
    return path


def package(name: str, version: str, sha512: str) -> Path:
    """Return the folder of a package's files, which are fetched where they are not in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "svref-docs"
    folder = cache / f"{name}-{version}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as place:
            unpacked = _fetch(f"{name}@{version}", sha512, Path(place))
            try:
                unpacked.rename(folder)
            except OSError:  # another build was faster
                if not folder.is_dir():
                    raise
    return folder


def _fetch(what: str, sha512: str, place: Path) -> Path:
    """Fetch a package into a folder, check its digest and unpack it."""
    npm = program("npm", f"Fetching {what}")
    run = subprocess.run(  # noqa: S603
        [npm, "pack", what, "--silent", "--pack-destination", str(place)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise ExtensionError(f"npm could not fetch {what}, exit code {run.returncode}: {run.stderr.strip()}")
    archive = next(place.glob("*.tgz"))
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    if digest != sha512:
        raise ExtensionError(f"{what} must have the sha512 {sha512}; got {digest}. Nothing of it was used.")
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    return place / "package"
