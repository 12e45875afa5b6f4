"""The command `svref diagnose`."""

from __future__ import annotations

from typing import Annotated

import typer

from svref.cli.check import Dtype
from svref.cli.ended import say_ended
from svref.cli.memory import Memory, bytes_of, memory_limited
from svref.cli.supervision import run_in_child
from svref.cli.tools import errors, name_and_value, say
from svref.variants import VARIANTS


def diagnose_command(
    candidate: Annotated[str, typer.Argument(help="path/file.py:name or package.module:name")],
    loss: Annotated[str, typer.Option(help=f"The variant it is meant to be: {', '.join(VARIANTS)}.")],
    dtype: Annotated[Dtype, typer.Option(help="The dtype of inputs and outputs.")] = Dtype.float64,
    framework: Annotated[str | None, typer.Option(help="What it is written in; found out if left out.")] = None,
    device: Annotated[str, typer.Option(help="Where a PyTorch candidate runs.")] = "cpu",
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a call counts as hung.")] = None,
    memory: Memory = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--with", help="name=value, in place of the usual parameters; repeat for more.")
    ] = None,
) -> None:
    """Say what an implementation computes, from its outputs alone: it needs no vectors, and gives no verdict on cases.

    Exit code 0: it computes what the paper's loss does; 1: it departs from it; 2: it cannot be asked, or its outputs
    tell nothing about the loss.
    """
    from svref.conformance import diagnose

    given = dict(map(name_and_value, parameter or []))
    limit = bytes_of(memory)
    code = run_in_child(lambda ending: say_ended(ending, candidate, loss, dtype.value))
    if code is not None:
        raise typer.Exit(code)
    with errors(), memory_limited(limit):
        found = diagnose(
            candidate, loss, dtype=dtype.value, framework=framework, device=device, timeout=timeout, parameters=given
        )
    say(f"{found}\n")
    raise typer.Exit(0 if found.ok else 1 if found.departures else 2)
