"""The command `svref`, run by its own `main` in this process: a new process would spend a second on imports."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from typer import main as typer_main

from svref.cli import main

made_once = functools.cache(typer_main.get_command)  # typer makes all commands anew in each call, most of its time


def svref_command(*arguments: str | Path) -> CompletedProcess[str]:
    """Return the exit code, the output and the errors of a command; what it raises is raised here."""
    line = ["svref", *map(str, arguments)]
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(typer_main, "get_command", made_once),
        mock.patch.object(sys, "argv", line),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return CompletedProcess(line, code, output.getvalue(), errors.getvalue())
