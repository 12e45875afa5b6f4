"""The one style of all figures, and how a figure becomes a file.

Colours are dark variants of Okabe and Ito's set, which people with any kind of colour blindness tell apart; each has a
contrast of at least 4.5 to white, so that a label may have the colour of its curve. Line styles vary with the colours,
so that a figure can be read in grey. A figure is 6.4 inches wide and its text 12 points high: on a phone that is 360
pixels wide, a letter is as high as 9 pixels.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svref.golden.files.writing import check_place, write_file

P = ParamSpec("P")

WIDTH = 6.4  # inches
TARGET, SUPPORT, NEGATIVE = "#0072B2", "#B84A00", "#666666"
INK, PALE = "#1A1A1A", "#D9D9D9"
SHADE = "#F6D9C4"  # where a negative is a support vector
SUFFIXES = (".png", ".svg", ".pdf")
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 12.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 12,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "lines.linewidth": 2.2,
    "hatch.linewidth": 0.8,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "svref",
    "path.simplify_threshold": 0.3,
}


class Look(NamedTuple):
    """The colour and the line style of one curve."""

    color: str
    linestyle: Any

    @property
    def zorder(self) -> float:
        """A broken line lies above an unbroken one, so that both are seen where they coincide."""
        return 2.2 if self.linestyle == "-" else 2.6


LOOKS = (
    Look(INK, "-"),
    Look(TARGET, (0, (6, 1.5))),
    Look(SUPPORT, "-"),
    Look("#00724F", (0, (3, 1.5, 1, 1.5))),
    Look("#9A3F87", (0, (1.5, 1.2))),
    Look("#7A5B00", (0, (8, 2, 1, 2, 1, 2))),
    Look(NEGATIVE, (0, (2, 2))),
)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Return the function with its figure drawn in the style of svref."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


def panels(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of some height in inches, and its axes, row by row. It has nothing to do with pyplot."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def degrees(axes: Axes, name: str, along: str = "x", step: int = 60, end: int = 180) -> None:
    """Let an axis be an angle in degrees, with ticks every `step` degrees."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_ticks(list(range(0, end + 1, step)))
    (axes.set_xlim if along == "x" else axes.set_ylim)(0, end)
    (axes.set_xlabel if along == "x" else axes.set_ylabel)(f"{name} (degrees)")


def zero_line(axes: Axes) -> None:
    """Draw a thin line at 0."""
    axes.axhline(0, color=PALE, linewidth=1, zorder=0)


def jump(axes: Axes, x: float, below: float, above: float, color: str, closed: str = "below") -> None:
    """Draw a jump at x: a dotted line, a full circle at the value that holds at x, an empty one at the other."""
    axes.plot([x, x], [below, above], color=color, linestyle=":", linewidth=1.6, label=f"jump at {x:.6g}")
    for end, value in (("below", below), ("above", above)):
        face = color if end == closed else "white"
        axes.plot([x], [value], "o", color=color, markerfacecolor=face, markersize=6.5, clip_on=False, zorder=5)


def saved(figure: Figure, suffix: str, description: str | None = None) -> bytes:
    """Return a figure as the bytes of a file; an SVG has no date in it, so that the same figure has the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    suffix : {".png", ".svg", ".pdf"}
        The format.
    description : str, optional
        What an SVG says of itself in its metadata.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    if suffix not in SUFFIXES:
        raise ValueError(f"a figure is a file that ends in {', '.join(SUFFIXES)}; got {suffix!r}.")
    stream = io.BytesIO()
    about: dict[str, Any] = {"Date": None, "Creator": "svref"} if suffix == ".svg" else {}
    if description is not None and suffix == ".svg":
        about["Description"] = description
    with rc_context(STYLE):
        figure.savefig(stream, format=suffix.removeprefix("."), metadata=about)
    return stream.getvalue()


def svg(figure: Figure) -> str:
    """Return a figure as the text of an SVG, for a page that shows it without another file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What a function of `svref.plots` returned.

    Examples
    --------
    >>> import svref.plots
    >>> svref.plots.svg(svref.plots.emphasis(svref.sv_am_softmax(s=4.0))).splitlines()[-1]
    '</svg>'
    """
    return saved(figure, ".svg").decode("utf-8")


def save(figure: Figure, path: str | os.PathLike[str], description: str | None = None) -> None:
    """Write a figure to a file, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What a function of `svref.plots` returned.
    path : path
        Ends in .png, .svg or .pdf, which is the format; its folder must exist. It is written under a temporary name,
        which is then renamed.
    description : str, optional
        What an SVG says of itself in its metadata; other formats ignore it.

    Raises
    ------
    ValueError
        If the suffix is another one, or the folder is not there.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import svref.plots
    >>> svref.plots.save(svref.plots.emphasis(svref.sv_am_softmax(s=4.0)), "h.jpeg")
    Traceback (most recent call last):
    ValueError: a figure is a file that ends in .png, .svg, .pdf; got h.jpeg.
    """
    check_path(path)
    write_file(path, saved(figure, Path(path).suffix.lower(), description))


def check_path(path: str | os.PathLike[str]) -> None:
    """Raise a ValueError unless a figure can be written at a path: a known suffix, and a folder that is there."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"a figure is a file that ends in {', '.join(SUFFIXES)}; got {os.fspath(path)}.")
    check_place(path, "a figure")
