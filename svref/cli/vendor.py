"""The command `svref golden vendor`: packs in somebody's own repository, written, updated and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from svref.cli.tools import errors, fail, say


def vendor_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new, empty, or written by this.")],
    packs: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", help="A pack that ships, or a directory; repeat for more. Left out: as before, or core."
        ),
    ] = None,
    packages: Annotated[
        list[str] | None,
        typer.Option(
            "--package", help="npm, cargo or go, or kind=name: metadata to publish the folder; repeat for more."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 unless the folder is whole.")
    ] = False,
    errata: Annotated[Path | None, typer.Option(help="With --check, a list of withdrawn packs in a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put packs into your repository, with licence, checksums and a lock file; a second run updates them.

    Exit code 0: written, or whole; 1: --check found damage, a newer version, or a withdrawal; 2: the folder holds other
    files, or an option is wrong; 3: a pack or the lock file is damaged, and nothing was written.
    """
    if check and (packs or packages):
        fail("--check takes neither --pack nor --package: the lock file in the folder has both. Leave them out.")
    if errata is not None and not check:
        fail("--errata goes with --check.")
    code = _check(directory, errata, as_json) if check else _write(directory, packs, packages, as_json)
    raise typer.Exit(code)


def _check(directory: Path, errata: Path | None, as_json: bool) -> int:
    """Print what a check of a folder found, and return the exit code."""
    from svref.golden.vendoring.checking import check_vendored

    with errors():
        found = check_vendored(directory, errata)
        say(_text(found.json()) if as_json else str(found))
    return 0 if found.ok else 1


def _write(directory: Path, packs: list[str] | None, packages: list[str] | None, as_json: bool) -> int:
    """Write a folder, print what was written, and return the exit code."""
    from svref.golden.vendoring.writing import vendor

    with errors():
        done = vendor(directory, packs, dict(map(_kind_and_name, packages)) if packages else None)
        say(_text(done.json()) if as_json else str(done))
    return 0


def _kind_and_name(word: str) -> tuple[str, str]:
    """Return the kind of a package and its name, "" for the usual one."""
    kind, equals, name = word.partition("=")
    if equals and not name:
        raise ValueError(f"--package takes a kind, or kind=name; got {word!r}.")
    return kind, name


def _text(content: dict[str, object]) -> str:
    """Return JSON for a program to read."""
    return json.dumps(content, indent=1) + "\n"
