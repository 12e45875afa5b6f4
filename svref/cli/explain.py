"""The command `svref explain`: one row, step by step, of a golden vector or of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from svref.cli import own_rows
from svref.cli.chosen import Chosen, check_files
from svref.cli.tools import errors, name_and_value, say
from svref.golden import Vector
from svref.head.shards import Shard
from svref.reference import Step
from svref.variants import VARIANTS

NOTEBOOK = "sv-softmax-notebook-c076734e"


def explain_command(
    case: Annotated[
        str | None,
        typer.Argument(help=f"A case's id, as a report names it, or a .npz file of rows; {NOTEBOOK} if left out."),
    ] = None,
    row: Annotated[int | None, typer.Option(help="Which row; the one with the largest loss if left out.")] = None,
    pack: Annotated[
        str | None,
        typer.Option(help="Where the case is: core, paper, seed, or a directory; all that ship if left out."),
    ] = None,
    cosines: Annotated[str | None, typer.Option(help="A row of your own, such as '0.5 0.75 -0.25'.")] = None,
    label: Annotated[int | None, typer.Option(help="The label of that row, from 0.")] = None,
    loss: Annotated[str | None, typer.Option(help=f"The variant of your own rows: {', '.join(VARIANTS)}.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--with", help="name=value, in place of the usual parameters; repeat for more.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the row into this file: .png, .svg or .pdf.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the derivation of the row into this file: a page.")] = None,
) -> None:
    """Print one row step by step, each formula beside its numbers.

    The row is one of a golden vector; or your own, by --cosines and --label, or in a .npz file with the arrays cosines
    and labels, or embeddings, weights and labels. Your own rows need --loss.
    """
    with errors():
        given = dict(map(name_and_value, parameter or []))
        check_files(plot, html)
        rows = _own_rows(case, cosines, label)
        if rows is None:
            _refuse({"--loss": loss, "--with": parameter}, "belongs to rows of your own: give --cosines or a .npz file")
            from svref.golden import find

            chosen = chosen_row(find(case or NOTEBOOK, pack), row)
        else:
            _refuse({"--pack": pack}, "names a pack of golden vectors, and these rows are your own")
            from svref.conformance.candidates.loading import variant_of

            if loss is None:
                raise ValueError(f"rows of your own need --loss, one of {', '.join(VARIANTS)}.")
            chosen = rows.chosen(variant_of(loss), given, row)
        chosen.write(plot, html)
        written = [f"written to {file}\n" for file in (plot, html) if file is not None]
        say("".join([chosen.text(), "\n" * bool(written), *written]))


def _own_rows(case: str | None, cosines: str | None, label: int | None) -> own_rows.OwnRows | None:
    """Return the rows of the user's own; None if a golden vector is meant."""
    if cosines is None:
        _refuse({"--label": label}, "belongs to --cosines")
        return own_rows.of_file(Path(case)) if case is not None and case.endswith(".npz") else None
    if case is not None:
        raise ValueError(f"give a case, a file or --cosines, one of the three; got {case} and --cosines.")
    if label is None:
        raise ValueError("--cosines needs --label, the class of the row, from 0.")
    return own_rows.of_text(cosines, label)


def _refuse(options: dict[str, object], why: str) -> None:
    """Raise a ValueError if an option is given that says nothing here."""
    for option, value in options.items():
        if value is not None:
            raise ValueError(f"{option} {why}.")


def explain_case(case: Vector, row: int | None = None) -> str:
    """Return one row of a golden vector step by step; parameters, errors: as `chosen_row`."""
    return chosen_row(case, row).text()


def chosen_row(case: Vector, row: int | None = None) -> Chosen:
    """Return one row of a golden vector to explain; None is the row with the largest loss.

    Of embeddings and weights, the row of their cosines is explained. A ValueError is raised if the case has no such
    row, or if its inputs must raise.
    """
    if case.result == "error":
        raise ValueError(f"{case.id} must raise: {case.purpose} There is nothing to explain.")
    b = int(np.argmax(case.expected["loss"])) if row is None else row
    which = f", row {b} of 0..{len(case.labels) - 1}" if len(case.labels) > 1 else ""
    title = [f"{case.id}{which}", case.purpose]
    return Chosen(_step(case), b, title, case.parameters)


def _step(case: Vector) -> Step:
    if case.level == "cosine":
        return case.loss.forward(case.inputs["cosines"], case.labels)
    return Shard.of(case.loss, case.inputs["embeddings"], case.inputs["weights"], case.labels).step()
