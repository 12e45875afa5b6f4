"""The command `svref explain`: one row of a golden vector, step by step."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from svref.cli.tools import errors, say
from svref.explain import explain
from svref.golden import Vector
from svref.head.shards import Shard
from svref.reference import Step

NOTEBOOK = "sv-softmax-notebook-c076734e"


def explain_command(
    case_id: Annotated[str, typer.Argument(metavar="[CASE]", help="A case's id, as a report names it.")] = NOTEBOOK,
    row: Annotated[int | None, typer.Option(help="Which row; the one with the largest loss if left out.")] = None,
    pack: Annotated[
        str | None,
        typer.Option(help="Where the case is: core, paper, seed, or a directory; all that ship if left out."),
    ] = None,
) -> None:
    """Print one row of a golden vector step by step, each formula beside its numbers."""
    from svref.golden import find

    with errors():
        say(explain_case(find(case_id, pack), row))


def explain_case(case: Vector, row: int | None = None) -> str:
    """Return `explain` of one row of a golden vector; None is the row with the largest loss.

    Of embeddings and weights, the row of their cosines is explained. A ValueError is raised if the case has no such
    row, or if its inputs must raise.
    """
    if case.result == "error":
        raise ValueError(f"{case.id} must raise: {case.purpose} There is nothing to explain.")
    b = int(np.argmax(case.expected["loss"])) if row is None else row
    title = [f"{case.id}, row {b} of 0..{len(case.labels) - 1}", case.purpose]
    return explain(_step(case), b, title=title, parameters=case.parameters)


def _step(case: Vector) -> Step:
    if case.level == "cosine":
        return case.loss.forward(case.inputs["cosines"], case.labels)
    return Shard.of(case.loss, case.inputs["embeddings"], case.inputs["weights"], case.labels).step()
