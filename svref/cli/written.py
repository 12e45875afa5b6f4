"""The files that `svref check` writes beside the screen: the report as JSON, a page, a badge."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from svref.cli.chosen import check_files
from svref.cli.tools import fail, say
from svref.conformance import Report
from svref.golden.files.writing import check_place, write_file


@dataclass(frozen=True)
class Written:
    """Where the files go; None for one that is not asked for."""

    report: Path | None
    html: Path | None
    badge: Path | None

    def check(self) -> None:
        """Raise, before any work, a ValueError if a file cannot be written, and an ImportError without matplotlib."""
        if self.report is not None:
            check_place(self.report, "--report")
        check_files(None, self.html)
        if self.badge is not None:
            if self.badge.suffix.lower() != ".svg":
                raise ValueError(f"a badge is a file that ends in .svg; got {self.badge}.")
            check_place(self.badge, "a badge")

    def write(self, result: Report) -> None:
        """Write the files, each whole or not at all, and say so."""
        try:
            lines = list(self._lines(result))
        except (OSError, ValueError) as error:
            fail(f"the report is lost: {error}")
        if lines:
            say("\n" + "".join(lines))

    def _lines(self, result: Report) -> Iterator[str]:
        """Write file after file, and yield a line for each."""
        if self.report is not None:
            result.write(self.report)
            yield f"report            {self.report}\n"
        if self.html is not None:
            from svref.sharing.page import page

            text = page(result, command=shlex.join(["svref", *sys.argv[1:]]))
            write_file(self.html, text.encode("utf-8", "backslashreplace"))
            yield f"page              {self.html}\n"
        if self.badge is not None:
            from svref.sharing.badge import badge

            write_file(self.badge, badge(result).encode("utf-8", "backslashreplace"))
            yield f"badge             {self.badge}\n"
