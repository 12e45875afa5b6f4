"""The lists of links of the index pages are the tables of contents: what is linked there stands in the side bar.

So a page is entered once, in Markdown that GitHub shows too, and in the order in which a reader meets it.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from sphinx.application import Sphinx

LINK = re.compile(r"\]\(((?:[\w-]+/index|[\w-]+)\.md)\)")


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add a hidden toctree of the pages that an index page links: those beside it, and the index one folder below."""
    if PurePosixPath(docname).name != "index":
        return
    folder = Path(app.srcdir, docname).parent
    pages = [page for page in dict.fromkeys(LINK.findall(source[0])) if (folder / page).is_file()]
    source[0] += "\n\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
