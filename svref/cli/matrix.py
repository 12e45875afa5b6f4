"""The command `svref matrix`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from svref.checks import Progress
from svref.cli.chosen import PAGES
from svref.cli.supervision import INTERRUPTED
from svref.cli.tools import bar, errors, say


def matrix_command(
    file: Annotated[Path, typer.Argument(help="A TOML file that names the candidates.")],
    html: Annotated[Path | None, typer.Option(help="Write the table into this file: a page.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Write the table as JSON to this file.")] = None,
) -> None:
    """Judge many candidates, and print one table.

    Each candidate is judged as by `svref check`, in a process of its own. One that cannot be loaded is a cell of the
    table. After Ctrl-C the table holds what was judged until then, and the exit code is 130. Exit code 0: all right; 1:
    one is wrong; 2: none is wrong, and `svref check` cannot judge one.
    """
    from svref.golden.files.writing import check_place, write_file
    from svref.sharing.running import matrix
    from svref.sharing.table import table

    with errors():
        check_page(html)
        if report is not None:
            check_place(report, "--json")
        with bar("judging") as shown:
            found = matrix(file, lambda done, total, name: _tell(shown, done, total, name))
    say(f"{found}\n")
    with errors():
        if html is not None:
            write_file(html, table(found).encode("utf-8", "backslashreplace"))
        if report is not None:
            write_file(report, found.to_json().encode("utf-8", "backslashreplace"))
    say("".join(f"written to {path}\n" for path in (html, report) if path is not None))
    raise typer.Exit(INTERRUPTED if found.interrupted else found.exit_code)


def _tell(shown: Progress | None, done: int, total: int, name: str) -> None:
    """Show how far the run is: a bar on a terminal, a line for each row elsewhere."""
    if shown is not None:
        shown(done, total)
    elif name:
        sys.stderr.write(f"{done + 1} of {total}: {name}\n")
        sys.stderr.flush()


def check_page(html: Path | None) -> None:
    """Raise a ValueError unless a page can be written at a path; None is no page."""
    from svref.golden.files.writing import check_place

    if html is not None:
        if html.suffix.lower() not in PAGES:
            raise ValueError(f"a page is a file that ends in {' or '.join(PAGES)}; got {html}.")
        check_place(html, "a page")
