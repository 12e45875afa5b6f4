"""A formula as MathML, from one line of text.

Text such as ``f = cos(θ_y + m)``: a letter is a variable, a word of several letters a function, ``_`` and ``^`` take
what follows, or a group in braces, and ``frac{...}{...}`` is a fraction. Browsers show MathML without a script, and
screen readers read it.
"""

from __future__ import annotations

import re
from html import escape

TOKEN = re.compile(r"frac(?=\{)|[a-z]{2,}|\d+(?:\.\d+)?|∂?[^\W\d_]'?|\s+|.")
OPERATORS = "=+-−·/<>≤≥≠,()[]⌊⌋|…Σ"


def mathml(text: str) -> str:
    """Return a formula as an HTML element <math>."""
    return f'<math displaystyle="true">{_Parser(text).all()}</math>'


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def all(self, end: str = "") -> str:
        """Return everything up to a closing brace, or to the end."""
        parts = []
        while self.at < len(self.tokens) and self.tokens[self.at] != end:
            if self.tokens[self.at].isspace():
                parts.append(self._space())
            else:
                parts.append(self._with_scripts())
        self.at += 1
        return "".join(parts)

    def _space(self) -> str:
        """Return a thin space between factors; operators have spaces of their own."""
        self.at += 1
        around = self.tokens[self.at - 2], *self.tokens[self.at : self.at + 1]
        return "" if any(piece in OPERATORS for piece in around) else '<mspace width="0.2em"/>'

    def _with_scripts(self) -> str:
        base, low, high = self._atom(), "", ""
        while self.at < len(self.tokens) and self.tokens[self.at] in "_^":
            mark = self.tokens[self.at]
            self.at += 1
            low, high = (self._atom(), high) if mark == "_" else (low, self._atom())
        if low and high:
            return f"<msubsup>{base}{low}{high}</msubsup>"
        if low or high:
            return f"<msub>{base}{low}</msub>" if low else f"<msup>{base}{high}</msup>"
        return base

    def _atom(self) -> str:
        piece = self.tokens[self.at]
        self.at += 1
        if piece == "{":
            return f"<mrow>{self.all('}')}</mrow>"
        if piece == "frac":
            return f"<mfrac>{self._atom()}{self._atom()}</mfrac>"
        if piece[0].isdigit():
            return f"<mn>{piece}</mn>"
        if piece in OPERATORS:
            return f"<mo>{escape(piece.replace('-', '−'))}</mo>"
        if piece[0] == "∂" and len(piece) > 1:
            return f"<mrow><mo>∂</mo><mi>{piece[1:]}</mi></mrow>"
        if piece[-1] == "'":
            return f"<msup><mi>{piece[:-1]}</mi><mo>′</mo></msup>"
        return f"<mi>{escape(piece)}</mi>"
