"""The command `svref`: check, explain, golden. Exit codes: 0 right, 1 wrong, 2 usage, 3 damaged vectors."""

from __future__ import annotations

import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated

try:
    import rich  # noqa: F401
    import typer
except ImportError:
    print("svref: the command line needs typer and rich: pip install 'svref[cli]'", file=sys.stderr)
    sys.exit(2)

from svref._version import __version__
from svref.cli.golden import app as golden_app
from svref.cli.tools import USAGE, fail, progress, say
from svref.conformance import CandidateError, check
from svref.explain import explain
from svref.golden import case
from svref.variants import VARIANTS

EXIT_CODES = {"PASS": 0, "FAIL": 1, "VACUOUS": USAGE}
NOTEBOOK = "sv-softmax/notebook-logits"

app = typer.Typer(
    help="The reference of the SV-X-Softmax losses: judge an implementation, or read one loss number by number.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(golden_app, name="golden")


class Dtype(StrEnum):
    """What a candidate computes in."""

    float64 = "float64"
    float32 = "float32"


class Framework(StrEnum):
    """What a candidate is written in."""

    numpy = "numpy"
    torch = "torch"


def main() -> None:
    """Run the command; what goes wrong inside is a usage error to a caller, never the verdict "wrong"."""
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.exit(USAGE)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"svref {__version__}")
        raise typer.Exit


@app.command("check", short_help="Judge an implementation.")
def check_command(
    candidate: Annotated[str, typer.Argument(help="path/file.py:name or package.module:name")],
    loss: Annotated[str, typer.Option(help=f"The variant: {', '.join(VARIANTS)}.")],
    dtype: Annotated[Dtype, typer.Option(help="What the candidate computes in.")] = Dtype.float64,
    framework: Annotated[Framework | None, typer.Option(help="What it is written in; found out if left out.")] = None,
    case_id: Annotated[str | None, typer.Option("--case", help="Judge this case alone.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
) -> None:
    """Judge an implementation. Exit code 0: right; 1: wrong; 2: it cannot be judged.

    A candidate is f(cosines, labels, *, s, ...) with the variant's parameters as keywords. In NumPy it returns the
    per-sample losses and the gradient of their sum (or of Σ cotangent_b L_b, if it takes cotangent=); in PyTorch
    the per-sample losses.
    """
    if report is not None and (report.is_dir() or not report.parent.is_dir()):
        fail(f"--report needs a file in an existing folder; got {report}")
    try:
        result = check(candidate, loss, dtype=dtype.value, framework=framework, case=case_id, progress=progress)
    except (CandidateError, ValueError) as error:
        fail(str(error))
    say(f"{result}\n")
    if report is not None:
        try:
            result.write(report)
        except OSError as error:
            fail(f"the report cannot be written: {error}")
        say(f"\nreport     {report}\n")
    raise typer.Exit(EXIT_CODES[result.verdict])


@app.command("explain", short_help="Print one row step by step.")
def explain_command(
    case_id: Annotated[str, typer.Argument(metavar="[CASE]", help="A case's id, as a report names it.")] = NOTEBOOK,
    row: Annotated[int | None, typer.Option(help="Which row; the one with the largest loss if left out.")] = None,
) -> None:
    """Print one row of a case step by step, each formula beside its numbers."""
    try:
        say(explain(case(case_id), row))
    except (ValueError, ImportError) as error:
        fail(str(error))
