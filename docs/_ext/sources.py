"""Links to files of the repository lead to highlighted pages inside the site, at the line.

`[reference.py](../../svref/reference.py#L210)` works on GitHub as it is. Here the address becomes
`source:svref/reference.py#L210` before Markdown is parsed, and a link to the page once the builder knows where pages
are. Only files that are linked get a page. The entries of the API link their source in the same way.
"""

from __future__ import annotations

import importlib
import inspect
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

ROOT = Path(__file__).parents[2]
SCHEME = "source:"
LINK = re.compile(r"\]\((?!\w+:|#|<)([^)\s#]+\.(?!md\b|svg\b|png\b)\w+)(#L\d+(?:-L\d+)?)?\)")
FENCE = re.compile(r"(^```.*?^```[^\S\n]*$)", re.MULTILINE | re.DOTALL)
logger = logging.getLogger(__name__)


def rewrite(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give links to files of the repository a scheme of their own, which Markdown's parser leaves alone."""
    page = Path(app.env.doc2path(docname))

    def renamed(link: re.Match[str]) -> str:
        file = (page.parent / link[1]).resolve()
        inside = file.is_file() and file.is_relative_to(ROOT)
        return f"]({SCHEME}{file.relative_to(ROOT).as_posix()}{link[2] or ''})" if inside else link[0]

    parts = FENCE.split(source[0])  # every second part is a block of code
    source[0] = "".join(part if i % 2 else LINK.sub(renamed, part) for i, part in enumerate(parts))


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Return where a public name is defined, for the link "[source]" of its entry."""
    try:
        thing: Any = importlib.import_module(info["module"])
        for part in info["fullname"].split("."):
            thing = getattr(thing, part)
        thing = inspect.unwrap(getattr(thing, "fget", None) or getattr(thing, "func", None) or thing)
        file = Path(inspect.getsourcefile(thing) or "")
        return f"{SCHEME}{file.relative_to(ROOT).as_posix()}#L{inspect.getsourcelines(thing)[1]}"
    except (AttributeError, TypeError, OSError, ValueError):
        return None  # data, and fields of a class, have no lines that can be found


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead the links to the pages, and remember which files are linked."""
    linked = app.env.svref_sources.setdefault(docname, set())
    for link in doctree.findall(nodes.reference):
        if link.get("refuri", "").startswith(SCHEME):
            file, _, line = link["refuri"].removeprefix(SCHEME).partition("#")
            check_line(file, line, link)
            linked.add(file)
            link["refuri"] = app.builder.get_relative_uri(docname, page_of(file)) + (f"#{first(line)}" if line else "")
            link["internal"] = True


def check_line(file: str, line: str, link: nodes.Element) -> None:
    """Warn of a link to a line that a file does not have."""
    lines = len((ROOT / file).read_text(encoding="utf-8").splitlines())
    if line and not 1 <= int(first(line)[1:]) <= lines:
        logger.warning("%s has %d lines, and a link leads to %s", file, lines, line, location=link)


def first(line: str) -> str:
    """Return the first line of a range: L3 of L3-L7."""
    return line.split("-")[0]


def page_of(file: str) -> str:
    """Return the name of the page of a file."""
    return posixpath.join("source", file)


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the pages of the files that are linked."""
    for file in sorted(set().union(*app.env.svref_sources.values())):
        text = (ROOT / file).read_text(encoding="utf-8")
        yield page_of(file), {"title": file, "body": body(file, text), "svref_source": True}, "page.html"


def body(file: str, text: str) -> str:
    """Return a file as HTML: each line with its anchor; the numbers are drawn by the style sheet."""
    try:
        lexer = get_lexer_for_filename(file)
    except ClassNotFound:
        lexer = TextLexer()
    lexer.stripnl = lexer.ensurenl = False
    lines = highlight(text, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")
    numbered = "".join(f'<span class="line" id="L{n}">{line}\n</span>' for n, line in enumerate(lines, 1))
    label = f'tabindex="0" role="region" aria-label="{file}"'
    return f'<h1>{file}</h1>\n<div class="highlight source"><pre {label}>{numbered}</pre></div>'


def begin(app: Sphinx) -> None:
    """Have a place for what is remembered."""
    app.env.svref_sources = getattr(app.env, "svref_sources", {})


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the links of a page that is read again."""
    getattr(env, "svref_sources", {}).pop(docname, None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.config.linkcode_resolve = linkcode_resolve
    app.connect("builder-inited", begin)
    app.connect("source-read", rewrite)
    app.connect("doctree-resolved", resolve)
    app.connect("env-purge-doc", forget)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
