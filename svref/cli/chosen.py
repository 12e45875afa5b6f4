"""The row that `svref explain` was asked for, and what it becomes: text, a picture, a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from svref.explain import explain, page
from svref.reference import Step

PAGES = (".html", ".htm")


@dataclass(frozen=True, eq=False)
class Chosen:
    """One row of a step, with what to write above it.

    Parameters
    ----------
    step, row : Step, int
        The forward pass, and which row of it.
    title : sequence of str
        Lines to print above.
    parameters : mapping of str to float
        The parameters of the loss by name.
    """

    step: Step
    row: int
    title: Sequence[str]
    parameters: Mapping[str, float]

    def text(self) -> str:
        """Return the row step by step."""
        return explain(self.step, self.row, title=self.title, parameters=self.parameters)

    def write(self, picture: Path | None, html: Path | None) -> None:
        """Write the picture and the page, each whole or not at all."""
        if picture is None and html is None:
            return
        from svref import plots
        from svref.golden.files.writing import write_file

        figure = plots.row(self.step, self.row)
        if picture is not None:
            plots.save(figure, picture, plots.alt(self.step, self.row))
        if html is not None:
            inlined, alt = plots.svg(figure), plots.alt(self.step, self.row)
            written = page(
                self.step, self.row, title=self.title, parameters=self.parameters, picture=inlined, alt=alt
            )  # fmt: skip
            write_file(html, written.encode("utf-8", "backslashreplace"))


def check_files(picture: Path | None, html: Path | None) -> None:
    """Raise, before any work, an ImportError without matplotlib, and a ValueError if a file cannot be written."""
    if picture is None and html is None:
        return
    from svref.golden.files.writing import check_place
    from svref.plots.style import check_path

    if picture is not None:
        check_path(picture)
    if html is not None:
        if html.suffix.lower() not in PAGES:
            raise ValueError(f"a page is a file that ends in {' or '.join(PAGES)}; got {html}.")
        check_place(html, "a page")
