"""Tables and code that are wider than a screen scroll, and can be reached by keyboard, without JavaScript."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

WIDE = 38  # characters of code that a phone shows in a line
PRE = re.compile(r"<pre>(.*?)</pre>", re.DOTALL)
TABLE = re.compile(r'<div class="table-wrapper([^"]*)">')


def reachable(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give every table, and code with a long line, a place in the order of the tabulator key."""
    body = context.get("body")
    if isinstance(body, str):
        body = TABLE.sub(r'<div class="table-wrapper\1" tabindex="0" role="group" aria-label="Table">', body)
        context["body"] = PRE.sub(code, body)


def code(block: re.Match[str]) -> str:
    """Return a block of code, reachable if a line of it is long."""
    lines = re.sub(r"<[^>]*>", "", block[1]).splitlines()
    wide = max(map(len, lines), default=0) > WIDE
    return f'<pre tabindex="0" role="group" aria-label="Code">{block[1]}</pre>' if wide else block[0]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("html-page-context", reachable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
