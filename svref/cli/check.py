"""The command `svref check`."""

from __future__ import annotations

import functools
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from svref.cli.ended import report_of_end, say_ended
from svref.cli.memory import Memory, bytes_of, memory_limited
from svref.cli.supervision import Ending, run_in_child
from svref.cli.tools import USAGE, bar, errors, name_and_value, say
from svref.cli.written import Written
from svref.conformance import check
from svref.conformance.candidates.adapters import FRAMEWORKS
from svref.deviations.dialects import DIALECTS
from svref.judging.precision import PRECISIONS
from svref.variants import VARIANTS

BOTH = "float64 and float32"
EXIT_CODES = {"PASS": 0, "PASS-BRANCH": 0, "FAIL": 1}  # all other verdicts: the candidate cannot be judged, USAGE


class Dtype(StrEnum):
    """The dtype of the candidate's inputs and outputs."""

    float64 = "float64"
    float32 = "float32"


class Reduction(StrEnum):
    """What a candidate returns in place of the losses (B,)."""

    none = "none"
    sum = "sum"
    mean = "mean"


def check_command(
    candidate: Annotated[str, typer.Argument(help="path/file.py:name, package.module:name, or a folder of answers.")],
    loss: Annotated[str, typer.Option(help=f"The variant: {', '.join(VARIANTS)}.")],
    dtype: Annotated[Dtype | None, typer.Option(help="The dtype of inputs and outputs; both if left out.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--with", help="name=value that is fixed inside, such as s=32; repeat for more.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help=f"Where it rounds, if that is not the dtype: {', '.join(PRECISIONS)}.")
    ] = None,
    pack: Annotated[str, typer.Option(help="The vectors: core, paper, seed, or a directory.")] = "core",
    framework: Annotated[
        str | None, typer.Option(help=f"What it is written in: {', '.join(FRAMEWORKS)}; found out if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where a PyTorch candidate runs.")] = "cpu",
    reduction: Annotated[Reduction | None, typer.Option(help="What it returns; found out if left out.")] = None,
    dialect: Annotated[
        str | None, typer.Option(help=f"Judge a port of public code instead: {', '.join(DIALECTS)}.")
    ] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="What an argument means, such as margin=m; repeat for more.")
    ] = None,
    case_id: Annotated[list[str] | None, typer.Option("--case", help="Judge this case alone; repeat for more.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a call counts as hung.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Invalid inputs must raise, too.")] = False,
    no_invalid: Annotated[bool, typer.Option("--no-invalid", help="Do not ask invalid inputs.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Pass although little was judged.")] = False,
    finite: Annotated[bool, typer.Option("--finite", help="NaN and infinity in the gradient at ±1 are wrong.")] = False,
    variations: Annotated[
        int | None, typer.Option(help="How many batches unlike the cases are asked; 0 for none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which batches these are.")] = 0,
    memory: Memory = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report into this file: a page to share.")] = None,
    badge: Annotated[Path | None, typer.Option(help="Write the verdict into this file: a badge, .svg.")] = None,
) -> None:
    """Judge an implementation on the golden vectors.

    Exit code 0: right; 1: wrong; 2: it cannot be judged; 3: the vectors are damaged.

    A candidate is f(cosines, labels, *, s, ...) or f(embeddings, weights, labels, *, s, ...) with the variant's
    parameters as keywords. In PyTorch, JAX and TensorFlow it returns the losses; in NumPy, and any namespace of the
    array API, the losses and the gradients of their sum (or of Σ cotangent_b L_b, if it takes cotangent=), or a sum or
    mean with its gradients.
    """
    written = Written(report, html, badge)
    with errors():
        written.check()
    limit, fixed = bytes_of(memory), dict(map(name_and_value, parameter or []))
    ended = functools.partial(_say_ended, candidate=candidate, loss=loss, dtype=dtype or BOTH, written=written)
    code = run_in_child(ended)
    if code is not None:
        raise typer.Exit(code)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow would log every invalid input that is asked
    with errors(), bar("judging") as progress, memory_limited(limit):
        result = check(
            candidate, loss, dtype=dtype, precision=precision, parameters=fixed, pack=pack, framework=framework,
            device=device, reduction=None if reduction is None else reduction.value, dialect=dialect, map=mapping,
            case=case_id, timeout=timeout, strict=strict, invalid=not no_invalid, partial=partial, finite=finite,
            variations=variations, seed=seed, progress=progress,
        )  # fmt: skip
    say(f"{result}\n")
    written.write(result)
    raise typer.Exit(EXIT_CODES.get(result.verdict.split("(")[0].removesuffix("-AS"), USAGE))


def _say_ended(ending: Ending, candidate: str, loss: str, dtype: str, written: Written) -> None:
    """Report that the candidate has ended the process."""
    say_ended(ending, candidate, loss, dtype)
    written.write(report_of_end(ending, candidate, loss, dtype))
