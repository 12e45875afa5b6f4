"""The table of the variants, made from the registry: `<!-- variants -->` in docs/reference/variants.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

from svref import VARIANTS
from svref.variants import Variant


def expand(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the comment by the variants."""
    if docname == "reference/variants":
        source[0] = source[0].replace("<!-- variants -->", "\n".join(table()))


def table() -> Iterator[str]:
    """Yield the lines of the table, and the formula of each variant below it."""
    yield from ("| name | parameters and defaults | equals | source |", "|---|---|---|---|")
    for entry in VARIANTS.values():
        yield f"| [{entry.name}](#{entry.name}) | {parameters(entry)} | {equals(entry)} | {cited(entry.reference)} |"
    for entry in VARIANTS.values():
        yield from ("", f"## {entry.name}", "", f"$$\nL = {entry.equation}\n$$", "")


def parameters(entry: Variant) -> str:
    """Return the parameters of a variant, each with its default."""
    return ", ".join(f"`{name}={value:g}`" for name, value in entry.parameters.items())


def equals(entry: Variant) -> str:
    """Return which variants this one equals, and at which parameters."""
    return "; ".join(map(str, entry.limits)) or "nothing simpler"


def cited(reference: str) -> str:
    """Return a source, its number on arXiv as a link."""
    return re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", reference)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("source-read", expand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
