"""What the command says of a candidate that ended the process: the screen, and the JSON of the report."""

from __future__ import annotations

import shlex
import signal
import sys

from rich.console import Console

from svref._version import __version__
from svref.cli.supervision import Ending
from svref.cli.tools import say
from svref.conformance import Report
from svref.conformance.candidates.guard import Mishap

HINTS = {
    "SIGKILL": "SIGKILL also comes from a system that is out of memory; with --memory 4G that is an error of the case.",
    "SIGABRT": "Native code aborts where it gets no memory, or where it finds its own data damaged.",
    "SIGSEGV": "Native code read or wrote where it must not; invalid inputs are left out by --no-invalid.",
}


def say_ended(ending: Ending, candidate: str, loss: str, dtype: str) -> None:
    """Print that there is no verdict, where the run was, and the command that asks that case alone."""
    console = Console(stderr=True)
    if console.is_terminal:
        console.show_cursor()  # the progress bar of the child has hidden it
    say(f"svref {__version__} · {candidate} · {loss} · {dtype}\n\nERROR  no verdict: the process {ending}\n")
    say("      The candidate, or a library that it uses, has ended it.\n")
    if ending.status < 0 and (hint := HINTS.get(_signal_name(-ending.status))):
        say(f"      {hint}\n")
    if "framework" in ending.place:
        say("      No case was asked yet. With --framework the cases are asked at once.\n")
    if ending.case:
        say(f"reproduce         {_command(ending.case)}\n")


def report_of_end(ending: Ending, candidate: str, loss: str, dtype: str) -> Report:
    """Return the report of a run that ended so: its verdict is ERROR, and its only mishap is the end."""
    header = {
        "svref": __version__,
        "candidate": candidate,
        "loss": loss,
        "dtype": dtype,
        "precision": dtype,
        "cases": 0,
    }
    return Report(
        header,
        counts=(),
        failures=(),
        mishaps=(Mishap(ending.case, "ended", f"the process {ending}"),),
        cases={ending.case: "ERROR"} if ending.case else {},
        reproduce=_command(ending.case) if ending.case else "",
    )


def _signal_name(number: int) -> str:
    """Return the name of a signal."""
    return next((one.name for one in signal.Signals if one.value == number), "")


def _command(case: str) -> str:
    """Return the command with that case alone."""
    words = ["svref", *sys.argv[1:]]
    return shlex.join(words if "--case" in words else [*words, "--case", case])
