"""The page of the command line, made from the commands themselves: `<!-- commands -->` in docs/reference/cli.md.

Read are the signatures of the functions behind the commands, which are the same for every version of typer.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from enum import EnumType
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from sphinx.application import Sphinx
from typer.models import ArgumentInfo

from svref.cli import app as svref_command

WORDS = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "FILE"}


def expand(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the comment by the commands."""
    if docname == "reference/cli":
        source[0] = source[0].replace("<!-- commands -->", "\n".join(group(svref_command, "svref")))


def group(commands: typer.Typer, path: str) -> Iterator[str]:
    """Yield the lines of the commands of a group, and of the groups in it."""
    for one in commands.registered_commands:
        if not one.hidden:
            yield from single(one.callback, f"{path} {one.name}", one.help)
    for inner in commands.registered_groups:
        yield from group(inner.typer_instance, f"{path} {inner.name}")


def single(function: Callable[..., Any], path: str, text: str | None) -> Iterator[str]:
    """Yield the lines of one command."""
    hints = get_type_hints(function, include_extras=True)
    rows = [Row(p, hints[p.name]) for p in inspect.signature(function).parameters.values()]
    rows = [row for row in rows if not row.info.hidden]
    usage = " ".join([path, *(row.usage for row in rows if row.is_argument), "[OPTIONS]"])
    yield from (f"## {path}", "", "```text", usage, "```", "", text or inspect.getdoc(function) or "", "")
    yield from ("| argument or option | what it says | if left out |", "|---|---|---|")
    yield from (f"| `{row.typed}` | {row.says} | {row.left_out} |" for row in rows)
    yield ""


class Row:
    """An argument or an option of a command, as a row of its table shows it."""

    def __init__(self, parameter: inspect.Parameter, hint: Any) -> None:
        self.kind, self.info = get_args(hint)
        self.is_argument = isinstance(self.info, ArgumentInfo)
        self.name, self.default = parameter.name, parameter.default
        self.needed = parameter.default is inspect.Parameter.empty
        self.says = " ".join((self.info.help or "").split()).replace("|", "\\|")

    @property
    def usage(self) -> str:
        """The argument in the line of usage."""
        name = self.info.metavar or self.name.upper()
        return name if self.needed else f"[{name}]"

    @property
    def typed(self) -> str:
        """What one types."""
        if self.is_argument:
            return self.info.metavar or self.name.upper()
        option = next(iter(self.info.param_decls or ()), f"--{self.name.replace('_', '-')}")
        return option if self.kind is bool else f"{option} {word(self.kind)}"

    @property
    def left_out(self) -> str:
        """What holds where it is left out."""
        if self.needed:
            return "must be given"
        return "" if self.default is None or self.default is False else f"`{self.default}`"


def word(kind: Any) -> str:
    """Return what an option's value is: its choices, or a word for its type."""
    inner = [arm for arm in get_args(kind) if arm is not types.NoneType]
    if inner:
        return word(inner[0])
    return " or ".join(choice.value for choice in kind) if isinstance(kind, EnumType) else WORDS[kind]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("source-read", expand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
