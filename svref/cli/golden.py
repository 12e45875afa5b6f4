"""The command `svref golden`: make packs of vectors, verify, list and compare them, and export their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from svref.cli.tools import bar, errors, say

app = typer.Typer(
    help="Golden vectors: make, verify, list, compare, export.", no_args_is_help=True, rich_markup_mode=None
)

Directory = Annotated[Path | None, typer.Argument(help="The pack's directory; one that ships if left out.")]
PackName = Annotated[
    str | None, typer.Option("--pack", help="Which of the packs that ship: core, paper, seed; core if left out.")
]


@app.command("make")
def make_command(
    directory: Annotated[Path, typer.Argument(help="Where <pack>/manifest.json and the rest are written.")],
    packs: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", help="seed, core, paper, batches, head or large; may be repeated; seed and core if left out."
        ),
    ] = None,
) -> None:
    """Write packs; the bytes are the same on every machine."""
    with errors(), bar("making") as progress:
        from svref.golden import make

        names = list(dict.fromkeys(packs or ["seed", "core"]))
        make(directory, names, progress)
    say("".join(f"written to {directory / name}\n" for name in names))


@app.command("verify")
def verify_command(directory: Directory = None, pack: PackName = None) -> None:
    """Check every byte of a pack, and compute every number again where python-flint is installed."""
    with errors(), bar("verifying") as progress:
        from svref.golden import verify

        verification = verify(directory, pack, progress)
    say(f"{verification}\n")


@app.command("lint")
def lint_command(directory: Directory = None, pack: PackName = None) -> None:
    """Verify a pack, and find cases that expose no mistake and mistakes that no case exposes. Exit with 1 if any."""
    with errors(), bar("verifying") as progress:
        from svref.golden import lint

        wrong = lint(directory, pack, progress)
    say("".join(f"{line}\n" for line in wrong) or "nothing is wrong\n")
    raise typer.Exit(1 if wrong else 0)


@app.command("power")
def power_command(directory: Directory = None, pack: PackName = None) -> None:
    """Print how many cases, and how many heads, expose each deviation firmly. Exit with 1 if core lacks one."""
    with errors():
        from svref.golden import load
        from svref.golden.making.power import table, unexposed

        vectors = load(directory, pack)
        missing = unexposed(vectors) if vectors.name == "core" else []
        say("".join(f"{line}\n" for line in (*table(vectors), *missing)))
    raise typer.Exit(1 if missing else 0)


@app.command("list")
def list_command(
    directory: Directory = None,
    pack: PackName = None,
    variant: Annotated[str | None, typer.Option(help="Only this variant.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this group.")] = None,
) -> None:
    """List the cases: id, level, result, and why each exists. If none matches, say so apart, and exit with 0."""
    with errors():
        from svref.golden.listing import lines

        printed = lines(directory, pack, variant, group)
    if not printed:
        typer.echo("svref: no case matches", err=True)
    say("".join(f"{line}\n" for line in printed))


@app.command("diff")
def diff_command(
    old: Annotated[Path, typer.Argument(help="A pack's directory.")],
    new: Annotated[Path, typer.Argument(help="The directory of the pack to compare it with.")],
) -> None:
    """List the cases, notes and errata that were added, removed or changed. Exit with 1 if there are any."""
    with errors():
        from svref.golden.listing import differences

        changes = differences(old, new)
    say("".join(f"{line}\n" for line in changes) or "the packs are the same\n")
    raise typer.Exit(1 if changes else 0)


@app.command("export")
def export_command(
    to: Annotated[Path, typer.Argument(help="The file to write, in a folder that exists.")],
    directory: Annotated[Path | None, typer.Option(help="The pack's directory; one that ships if left out.")] = None,
    pack: PackName = None,
) -> None:
    """Write the inputs without the outputs as one JSON file, for a program whose answers `svref check` judges."""
    with errors():
        from svref.golden import export

        say(f"{export(to, directory, pack):,} cases written to {to}\n")
