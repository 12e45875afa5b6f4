r"""The number in "equation 17", on a page or in a docstring, is a link to the formula with `\tag{17}`."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from _ext.katex import TAG

HOME = ("explanation/derivation", "explanation/rounding")  # where the numbered equations stand
CITED = re.compile(r"\b[Ee]quations?\s+\d+(?:(?:,\s+|\s+and\s+|\s+to\s+)\d+)*")
UNTOUCHED = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.math, nodes.math_block)
logger = logging.getLogger(__name__)


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Remember which page of the derivation has which equation."""
    found = app.env.svref_equations = getattr(app.env, "svref_equations", {})
    if app.env.docname in HOME:
        tags = (TAG.search(formula.astext()) for formula in doctree.findall(nodes.math_block))
        found.update({tag[1]: app.env.docname for tag in tags if tag})


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the equations of a page that is read again."""
    found = getattr(env, "svref_equations", {})
    env.svref_equations = {tag: page for tag, page in found.items() if page != docname}


class Linked(SphinxPostTransform):
    """Make links of the numbers in "equation 17", "equations 18, 21" and "equations 28 to 30"."""

    default_priority = 5
    formats = ("html",)

    def run(self, **options: Any) -> None:
        """Look at every piece of text."""
        for text in list(self.document.findall(nodes.Text)):
            if CITED.search(text) and not any(isinstance(up, UNTOUCHED) for up in ancestors(text)):
                text.parent.replace(text, self.pieces(str(text)))

    def pieces(self, text: str) -> list[nodes.Node]:
        """Return the text with its numbers of equations as links."""
        found: list[nodes.Node] = []
        end = 0
        for cited in CITED.finditer(text):
            for number in re.finditer(r"\d+", cited[0]):
                start = cited.start() + number.start()
                found += [nodes.Text(text[end:start]), self.link(number[0])]
                end = start + len(number[0])
        return [*found, nodes.Text(text[end:])]

    def link(self, number: str) -> nodes.Node:
        """Return a link to an equation."""
        page = getattr(self.env, "svref_equations", {}).get(number)
        if page is None:
            logger.warning("equation %s is cited and does not exist", number, location=self.env.docname)
            return nodes.Text(number)
        uri = self.app.builder.get_relative_uri(self.env.docname, page) + f"#equation-{number}"
        return nodes.reference("", number, refuri=uri, internal=True)


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    """Return what a node stands in, the nearest first."""
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", forget)
    app.add_post_transform(Linked)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
