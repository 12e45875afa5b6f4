"""A check to show to others: a page and a badge of one candidate, and a table of many.

points     the judged numbers of a report as arrays, to be drawn
sections   the sections of a report's page
page       a report as one HTML page
badge      a report as a small SVG
asked      the candidates that a TOML file names
cells      what a matrix found: rows of verdicts, as text and as JSON
running    every candidate of a matrix asked, each in a process of its own
table      a matrix as one HTML page
"""

from svref.sharing.asked import read
from svref.sharing.badge import badge
from svref.sharing.cells import Cell, Matrix
from svref.sharing.page import page
from svref.sharing.running import matrix
from svref.sharing.table import table

__all__ = ["Cell", "Matrix", "badge", "matrix", "page", "read", "table"]
