"""Pictures of the losses: functions that take a loss, or several, and return a matplotlib figure.

style      the one style of all figures, and how a figure becomes a file
labels     labels that stand on the curves themselves
curves     curves over an angle or a cosine: f, its slopes, the logits, h, the shares of the gradient
planes     maps over two angles or two cosines: where support vectors are, the loss and its gradient
circle     one embedding and the centres of the classes on the unit circle
overview   the loss in one look
rows       rows of a step as bars
forms      the textbook's form and the relative form in a narrower format
accuracy   how many digits both forms keep
grids      where the stages of a row land on the numbers of a format
code       what public code computes, over the papers' curves
training   a training as it went
judged     what a check found: where, by how much, and the mistake over the paper's curves
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("svref.plots needs matplotlib: pip install 'svref[plot]'") from error

from svref.plots.accuracy import converged, precision
from svref.plots.circle import circle
from svref.plots.code import dialects
from svref.plots.curves import emphasis, margins, pieces, shares, tails
from svref.plots.grids import grids
from svref.plots.overview import overview
from svref.plots.planes import boundaries, gradient_plane, loss_plane
from svref.plots.rows import alt, row, rows
from svref.plots.style import save, svg
from svref.plots.training import training

__all__ = [
    "alt",
    "boundaries",
    "circle",
    "converged",
    "dialects",
    "emphasis",
    "gradient_plane",
    "grids",
    "loss_plane",
    "margins",
    "overview",
    "pieces",
    "precision",
    "row",
    "rows",
    "save",
    "shares",
    "svg",
    "tails",
    "training",
]
