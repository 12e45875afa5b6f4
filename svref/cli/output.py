"""The output of the command, wherever it goes: a narrow terminal, an encoding without θ, a closed pipe, a full disk.

The verdict is in the exit code. Output that cannot be written must not change it.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

SPELLED = "svref-spelled"  # the name of our rule for characters that an encoding lacks
SPELLINGS = {
    "θ": "theta", "σ": "sigma", "ψ": "psi", "π": "pi", "ε": "eps", "κ": "kappa", "λ": "lambda", "μ": "mu", "φ": "phi",
    "Σ": "sum", "Δ": "delta", "∂": "d", "∇": "grad ", "√": "sqrt", "∞": "inf", "·": "*", "×": "x", "÷": "/", "±": "+-",
    "−": "-", "–": "-", "—": "-", "≠": "!=", "≤": "<=", "≥": ">=", "≈": "~", "≡": "==", "→": "->", "←": "<-", "↦": "->",
    "∈": "in", "∧": "and", "∨": "or", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'", "°": " deg", "•": "*",
    "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip
INDEX = re.compile(r"\[\d+(?:, \d+)+\]")  # such as [1, 2], which is not broken
LEAST_WIDTH = 20  # columns; text is not wrapped to less
USUAL_WIDTH = 80  # columns that the readline library sets COLUMNS to without a terminal, so that they say nothing
WIDE = 120  # columns, for which the screens are made
COMMAND = "svref check "  # a line that has this is a command to copy, also in parts


def spelled(text: str) -> str:
    """Return a text in ASCII: θ as theta, é as e, and what has no such spelling by its number, as Python writes it."""
    plain = "".join(SPELLINGS.get(character, character) for character in text)
    bare = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return bare.encode("ascii", "backslashreplace").decode("ascii")


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return the spelling of the characters that could not be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return spelled(error.object[error.start : error.end]), error.end


codecs.register_error(SPELLED, _spell)


class Output(io.TextIOWrapper):
    """A stream of text that never raises: it spells what its encoding lacks, and drops what it cannot write."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream  # as long as it is there, the file stays open
        super().__init__(
            stream.buffer, stream.encoding, SPELLED, line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )  # fmt: skip

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding; of ASCII under a name that Click does not know, for it would write UTF-8 in its place."""
        name = super().encoding
        return f"{name}-spelled" if codecs.lookup(name).name == "ascii" else name

    def write(self, text: str, /) -> int:
        """Write a text."""
        try:
            return super().write(text)
        except OSError as error:
            return self._drop(error, len(text))

    def flush(self) -> None:
        """Write what is held back."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error, 0)

    def _drop(self, error: OSError, number: int) -> int:
        """Drop the output from now on; say why on the error stream, unless the reader has left, as `head` does."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if not isinstance(error, BrokenPipeError) and self is not sys.stderr:
            sys.stderr.write(f"svref: the output cannot be written: {error.strerror}\n")
        return number


@contextmanager
def outputs() -> Iterator[None]:
    """Make the streams of the process such outputs; streams that somebody has put in their place stay as they are."""
    before = sys.stdout, sys.stderr
    for name, stream in zip(("stdout", "stderr"), before, strict=True):
        if stream is None:  # a shell closes a stream by >&-
            setattr(sys, name, Output(open(os.devnull, "w", encoding="utf-8")))  # noqa: SIM115
        elif type(stream) is io.TextIOWrapper:
            stream.flush()
            setattr(sys, name, Output(stream))
    try:
        yield
    finally:
        for name, stream in zip(("stdout", "stderr"), before, strict=True):
            changed = getattr(sys, name)
            if isinstance(changed, Output):
                changed.flush()
                changed.detach()  # else the file would be closed with this object
                setattr(sys, name, stream)


# ---- the width --------------------------------------------------------------------------------------------------


def width_of_screen() -> int | None:
    """Return how many columns to wrap to: those of COLUMNS or of the terminal; None for a pipe, a file, or wide ones.

    For a pipe or a file COLUMNS counts only below `USUAL_WIDTH`. A terminal of `WIDE` columns breaks the few lines
    that are longer by itself.
    """
    columns = os.environ.get("COLUMNS", "")
    asked_for = columns.isdecimal() and 0 < int(columns) < USUAL_WIDTH
    if not asked_for and not sys.stdout.isatty():
        return None
    width = shutil.get_terminal_size().columns
    return max(LEAST_WIDTH, width) if width < WIDE else None


def wrapped(text: str, width: int | None) -> str:
    """Return a text with its lines broken at spaces to a width; None breaks none, and words longer than it are kept."""
    if width is None:
        return text
    return "".join(_wrapped_line(line, width) for line in text.splitlines(keepends=True))


def _wrapped_line(line: str, width: int) -> str:
    """Return a line in lines of at most some width, the second one and all others indented by two more columns.

    A command gets a backslash at the end of its lines, so that it can still be copied into a shell.
    """
    body, end = line.rstrip("\n"), "\n" if line.endswith("\n") else ""
    if len(body) <= width:
        return line
    start, command, words = body.partition(COMMAND)
    if command:
        return (
            _wrapped_line(f"{start.rstrip()}\n", width) * bool(start) + _wrapped_command(command + words, width) + end
        )
    indent = " " * min(len(body) - len(body.lstrip()), width // 2)
    whole = INDEX.sub(lambda index: index.group().replace(" ", "\0"), body.lstrip())
    lines = textwrap.wrap(
        whole, width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False,
        break_on_hyphens=False, replace_whitespace=False, expand_tabs=False,
    )  # fmt: skip
    return "\n".join(lines).replace("\0", " ") + end


def _wrapped_command(command: str, width: int) -> str:
    """Return a command in lines that a shell reads as one."""
    parts = textwrap.wrap(command, width - 4, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)
    return " \\\n".join(f"  {part}" if i else part for i, part in enumerate(parts))
