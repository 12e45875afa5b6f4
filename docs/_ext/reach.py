"""What a reader without a mouse, or without sight, needs beyond the theme, and without JavaScript.

Tables and code that are wider than a screen scroll, so they can be reached by keyboard. Table headers and landmarks
have names, and the page of the search has a heading.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

WIDE = 38  # characters of code that a phone shows in a line
REACHED = ' tabindex="0" role="group" aria-label="Code"'
PRE = re.compile(r"<pre>(.*?)</pre>", re.DOTALL)
TABLE = re.compile(r'<div class="table-wrapper([^"]*)">')
EMPTY_HEADER = re.compile(r"<th class=\"head\"><p></p></th>")
HEADER = re.compile(r"<th\b.*?</th>", re.DOTALL)
FORMULA = re.compile(r"<math\b([^>]*)>(.*?)</math>", re.DOTALL)
LANDMARKS = {
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer': '<aside aria-label="This page" class="toc-drawer',
    '<div id="search-results"></div>': '<h1>Search</h1>\n<div id="search-results"></div>',
}


def reachable(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give every table, and code with a long line, a place in the order of the tabulator key."""
    body = context.get("body")
    if isinstance(body, str):
        body = TABLE.sub(r'<div class="table-wrapper\1" tabindex="0" role="group" aria-label="Table">', body)
        body = HEADER.sub(header, EMPTY_HEADER.sub("<td></td>", body))
        context["body"] = PRE.sub(code, body)


def code(block: re.Match[str]) -> str:
    """Return a block of code, reachable if a line of it is long."""
    text = block[1].rstrip("\n") + "\n"  # a block of examples ends with an empty line, which nobody needs to see
    wide = max(map(len, re.sub(r"<[^>]*>", "", text).splitlines()), default=0) > WIDE
    return f"<pre{REACHED if wide else ''}>{text}</pre>"


def header(cell: re.Match[str]) -> str:
    """Return a header in which each formula has a name: a header that is a formula would have none."""
    return FORMULA.sub(named, cell[0])


def named(formula: re.Match[str]) -> str:
    """Return a formula with its letters as its name."""
    letters = re.sub(r"<[^>]*>", "", re.sub(r"<annotation.*?</annotation>", "", formula[2], flags=re.DOTALL))
    return f'<math{formula[1]} aria-label="{html.escape(html.unescape(letters))}">{formula[2]}</math>'


def name_landmarks(app: Sphinx, exception: Exception | None) -> None:
    """Write the names of the landmarks, which are in the theme's template, into the pages."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = was = page.read_text(encoding="utf-8")
            for old, new in LANDMARKS.items():
                text = text if new in text else text.replace(old, new)
            if text != was:
                page.with_suffix(".new").write_text(text, encoding="utf-8")
                os.replace(page.with_suffix(".new"), page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("html-page-context", reachable)
    app.connect("build-finished", name_landmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
