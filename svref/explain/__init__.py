"""One row of a step, number by number, as text and as a page: the formulas of the derivation beside the numbers.

text         forty lines of text
formulas     a formula as MathML, from one line of text
document     what every page has in common: the style sheet, the head, tables, pictures
lines        the derivation of one row: each formula, its numbers, its result
page         the derivation as one HTML page
"""

from svref.explain.lines import shown_classes
from svref.explain.page import page
from svref.explain.text import FORMULAS, explain

__all__ = ["FORMULAS", "explain", "page", "shown_classes"]
