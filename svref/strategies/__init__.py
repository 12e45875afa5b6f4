"""Hypothesis strategies for property tests of a loss: rows at ties, poles, tails, kinks, and where numbers run out.

numbers   numbers that a format holds exactly: few digits first, and neighbours counted in ulps
places    where on the axis of the target's cosine something changes
losses    margins, emphases, scales, and the parameters of a variant
rows      one row at what matters, one function a kind
outputs   what code under test returns, as arrays
example   what is drawn: inputs, the distance of each row from a decision, and what is right there
printed   what is printed of a failing example: what each row is at, and a line for `svref explain`
kept      examples kept as a pack of golden vectors
drawn     the strategies for whole examples: rows of cosines, or embeddings and weights

Nothing here is loaded by ``import svref``; it needs Hypothesis, which the extra `test` brings.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError("svref.strategies needs Hypothesis: pip install 'svref[test]'") from error

from svref.strategies.drawn import examples, heads
from svref.strategies.example import Example, HeadExample
from svref.strategies.kept import save
from svref.strategies.losses import losses, margins, parameters, scales, strengths
from svref.strategies.numbers import cosines, cotangents, distances, labels, tiny
from svref.strategies.printed import explain_lines
from svref.strategies.rows import KINDS

__all__ = [
    "KINDS",
    "Example",
    "HeadExample",
    "cosines",
    "cotangents",
    "distances",
    "examples",
    "explain_lines",
    "heads",
    "labels",
    "losses",
    "margins",
    "parameters",
    "save",
    "scales",
    "strengths",
    "tiny",
]
