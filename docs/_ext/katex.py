r"""Formulas, typeset at build time by KaTeX, so that they need no JavaScript; with MathML inside for screen readers.

A formula with `\tag{17}` gets the anchor `equation-17`. One that KaTeX cannot typeset is a warning.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from _ext.npm import package, program

VERSION = "0.19.1"
SHA512 = (
    "8c6f2e2a7b63484726d84a503a1d17b6eae93eeb82f6bdd2ab91cb1ddb057566"
    "53dbb13aef6485d7d4048bea1fd3f61e3b2d7994381184abebe7ad78b91ac47c"
)
TAG = re.compile(r"\\tag\{(\w+)\}")
logger = logging.getLogger(__name__)


class Typesetter:
    """A process of Node that runs KaTeX, started once a build, and the formulas it has typeset."""

    def __init__(self, folder: Path) -> None:
        node = program("node", "Typesetting the formulas")
        self.process = subprocess.Popen(  # noqa: S603
            [node, str(Path(__file__).with_suffix(".js")), str(folder / "dist" / "katex.js")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        self.done: dict[tuple[str, bool], dict[str, str]] = {}

    def __call__(self, tex: str, display: bool) -> dict[str, str]:
        """Return {"html": ...} or {"error": ...}."""
        if (tex, display) not in self.done:
            self.process.stdin.write(json.dumps({"tex": tex, "display": display}) + "\n")
            self.process.stdin.flush()
            self.done[tex, display] = json.loads(self.process.stdout.readline())
        return self.done[tex, display]

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def start(app: Sphinx) -> None:
    """Start KaTeX, and copy its style sheet and fonts into the site."""
    if app.builder.format != "html":
        return
    folder = package("katex", VERSION, SHA512)
    app.katex = Typesetter(folder)
    there = Path(app.outdir) / "_static" / "katex"
    (there / "fonts").mkdir(parents=True, exist_ok=True)
    for font in (folder / "dist" / "fonts").glob("*.woff2"):
        shutil.copy(font, there / "fonts")
    style = (folder / "dist" / "katex.min.css").read_text(encoding="utf-8")
    style = re.sub(r',\s*url\([^)]*\.(woff|ttf)\)\s*format\("[^"]*"\)', "", style)  # every browser of today reads woff2
    (there / "katex.min.css").write_text(style, encoding="utf-8")
    app.add_css_file("katex/katex.min.css")


def finish(app: Sphinx, exception: Exception | None) -> None:
    """End KaTeX."""
    if hasattr(app, "katex"):
        app.katex.close()


def typeset(translator: Any, node: nodes.Element, display: bool) -> str:
    """Return the HTML of a formula; of one that is wrong its source, with a warning."""
    tex = node.astext().strip()
    answer = translator.builder.app.katex(tex, display)
    if "error" in answer:
        logger.warning("a formula is wrong: %s in %s", answer["error"], tex, location=node, type="katex")
    return answer.get("html") or f"<code>{translator.encode(tex)}</code>"


def inline(translator: Any, node: nodes.Element) -> None:
    """Write a formula in a line."""
    translator.body.append(f'<span class="math">{typeset(translator, node, display=False)}</span>')
    raise nodes.SkipNode


def displayed(translator: Any, node: nodes.Element) -> None:
    """Write a formula on a line of its own. It can be reached by keyboard, since it scrolls where it is too wide."""
    tag = TAG.search(node.astext())
    anchor = f' id="equation-{tag[1]}"' if tag else ""
    label = f'aria-label="Equation {tag[1]}"' if tag else 'aria-label="Formula"'
    html = typeset(translator, node, display=True)
    translator.body.append(f'<div class="math" role="group" {label} tabindex="0"{anchor}>{html}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Enter the renderer."""
    app.add_html_math_renderer("katex", inline_renderers=(inline, None), block_renderers=(displayed, None))
    app.config.html_math_renderer = "katex"
    app.connect("builder-inited", start)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
