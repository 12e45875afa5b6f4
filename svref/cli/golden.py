"""The command `svref golden`: make packs of vectors, verify, list, compare and vendor them, and export their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from svref.cli.tools import bar, errors, say
from svref.cli.vendor import vendor_command
from svref.golden.files.pack import pack_root, pack_roots, shipped

app = typer.Typer(
    help="Golden vectors: make, verify, list, compare, export, vendor.", no_args_is_help=True, rich_markup_mode=None
)

NAMED = "A pack: one that ships, core, paper or seed; or a directory. core if left out."
Pack = Annotated[str | None, typer.Argument(metavar="PACK", help=NAMED)]
PackOption = Annotated[str | None, typer.Option("--pack", help="The same, as an option.")]


def _word(argument: str | None, option: str | None) -> str | None:
    """Return the word that names a pack: given as an argument or as an option, but not as both."""
    if argument is not None and option is not None:
        raise ValueError(f"name one pack: got {argument!r} and --pack {option!r}.")
    word = argument if option is None else option
    if word in shipped() and Path(word).is_dir():
        typer.echo(f"svref: {word} is the pack that ships; the folder here is ./{word}", err=True)
    return word


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
def verify_command(pack: Pack = None, option: PackOption = None) -> None:
    """Check every byte of a pack, and compute every number again where python-flint is installed.

    PACK may also be a folder of packs, as `svref golden make` writes it.
    """
    with errors(), bar("verifying") as progress:
        from svref.golden import verify

        for root in pack_roots(pack=_word(pack, option)):
            say(f"{verify(root, progress=progress)}\n")


@app.command("lint")
def lint_command(pack: Pack = None, option: PackOption = None) -> None:
    """Verify a pack, and find cases that expose no mistake and mistakes that no case exposes. Exit with 1 if any.

    PACK may also be a folder of packs.
    """
    with errors(), bar("verifying") as progress:
        from svref.golden import lint

        roots = pack_roots(pack=_word(pack, option))
        wrong = [(root.name, line) for root in roots for line in lint(root, progress=progress)]
    say("".join(f"{name}: {line}\n" if len(roots) > 1 else f"{line}\n" for name, line in wrong) or "nothing is wrong\n")
    raise typer.Exit(1 if wrong else 0)


@app.command("power")
def power_command(pack: Pack = None, option: PackOption = None) -> None:
    """Print how many cases, and how many heads, expose each deviation firmly. Exit with 1 if core lacks one."""
    with errors():
        from svref.golden import load
        from svref.golden.making.power import table, unexposed

        vectors = load(pack=_word(pack, option))
        missing = unexposed(vectors) if vectors.name == "core" else []
        say("".join(f"{line}\n" for line in (*table(vectors), *missing)))
    raise typer.Exit(1 if missing else 0)


@app.command("list")
def list_command(
    pack: Pack = None,
    option: PackOption = None,
    variant: Annotated[str | None, typer.Option(help="Only this variant.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this group.")] = None,
) -> None:
    """List the cases: id, level, result, and why each exists. If none matches, say so apart, and exit with 0.

    PACK may also be a folder of packs.
    """
    with errors():
        from svref.golden.listing import lines

        printed = lines(None, _word(pack, option), variant, group)
    if not printed:
        typer.echo("svref: no case matches", err=True)
    say("".join(f"{line}\n" for line in printed))


@app.command("diff")
def diff_command(
    old: Annotated[str, typer.Argument(help="A pack that ships, or a pack's directory.")],
    new: Annotated[str, typer.Argument(help="The pack to compare it with.")],
) -> None:
    """List the cases, notes and errata that were added, removed or changed. Exit with 1 if there are any."""
    with errors():
        from svref.golden.listing import differences

        changes = differences(pack_root(pack=_word(old, None)), pack_root(pack=_word(new, None)))
    say("".join(f"{line}\n" for line in changes) or "the packs are the same\n")
    raise typer.Exit(1 if changes else 0)


@app.command("export")
def export_command(
    to: Annotated[Path, typer.Argument(help="The file to write, in a folder that exists.")],
    pack: Annotated[str | None, typer.Option(help=NAMED)] = None,
    directory: Annotated[str | None, typer.Option(hidden=True, help="The same as --pack.")] = None,
) -> None:
    """Write the inputs without the outputs as one JSON file, for a program whose answers `svref check` judges.

    Answers may be float64, float32, float16 or bfloat16: "dtype" says it, and "loss_dtype" where losses have another.
    Half numbers are exact, 0.1875 or "0x1.8p-3", and judged by a plan: svref check FOLDER --precision bfloat16.
    """
    with errors():
        from svref.golden import export

        say(f"{export(to, pack=_word(pack, directory)):,} cases written to {to}\n")


app.command("vendor")(vendor_command)
