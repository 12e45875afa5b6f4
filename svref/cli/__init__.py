"""The command `svref`: check, matrix, diagnose, explain, golden.

Exit codes: 0 right; 1 wrong; 2 wrong options, or a candidate that cannot be judged; 3 damaged vectors.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

try:
    import rich  # noqa: F401
    import typer
except ImportError:
    print("svref: the command line needs typer and rich: pip install 'svref[cli]'", file=sys.stderr)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)  # the exit code that typer gives to an interrupt once it runs

try:
    from svref._version import __version__
    from svref.cli.check import check_command
    from svref.cli.diagnose import diagnose_command
    from svref.cli.explain import explain_command
    from svref.cli.golden import app as golden_app
    from svref.cli.matrix import matrix_command
    from svref.cli.output import outputs
    from svref.cli.supervision import INTERRUPTED, leave
    from svref.cli.tools import USAGE, refuse_empty, say
except KeyboardInterrupt:
    sys.exit(130)

app = typer.Typer(
    help="The reference of the SV-X-Softmax losses: judge an implementation, or read one loss number by number.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(golden_app, name="golden")
app.command("check", short_help="Judge an implementation.")(check_command)
app.command("matrix", short_help="Judge many implementations.")(matrix_command)
app.command("diagnose", short_help="Say what an implementation computes.")(diagnose_command)
app.command("explain", short_help="Print one row step by step.")(explain_command)


def main() -> None:
    """Run the command. An error inside svref exits with 2, so that no caller takes it for the verdict "wrong"."""
    with outputs():
        code = _exit_code()
        leave(code)  # a child that judges a candidate ends here
    sys.exit(code)


def _exit_code() -> int:
    """Run the command, and return its exit code."""
    try:
        refuse_empty(sys.argv[1:])
        app()
    except (SystemExit, typer.Exit) as exit_:
        code = exit_.code if isinstance(exit_, SystemExit) else exit_.exit_code
        return code if isinstance(code, int) else USAGE * (code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return USAGE
    return 0


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        say(f"svref {__version__}\n")
        raise typer.Exit
