"""Labels that stand on the curves themselves, where they cover nothing else.

Places are in parts of the axes, from 0 to 1. A label stands on its curve, or just above or below it, where no other
curve and no other label is near. Where a curve has no such place, its label stands to the right of the axes, and a thin
line leads to it from the curve's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from svref.arrays import FloatArray

GRID: FloatArray = np.linspace(0.0, 1.0, 181)
LETTER, HEIGHT = 7.4, 17.0  # points: the width of a letter, the height of a line of text
EDGE = 0.015
BOX: dict[str, Any] = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}


class Place(NamedTuple):
    """Where a label stands: its middle, half its width, and how much free height there is around it."""

    x: float
    y: float
    half: float
    room: float


def label_curves(axes: Axes, lines: Sequence[Line2D], on_curve: bool = True) -> None:
    """Write each line's label where it covers nothing; lines that coincide share one label.

    `on_curve` says whether a label may interrupt its own curve.
    """
    width, height = _size(axes)
    curves = [_in_parts(axes, line) for line in lines]
    placed: list[Place] = []
    homeless: list[tuple[str, str, float]] = []
    for group in _coinciding(curves):
        text, color = ", ".join(str(lines[i].get_label()) for i in group), str(lines[group[-1]].get_color())
        curve, others = curves[group[0]], [curve for i, curve in enumerate(curves) if i not in group]
        half = len(text) * LETTER / width / 2
        candidates = _places(curve, others, placed, half, HEIGHT / height, on_curve)
        best = max(candidates, key=lambda place: place.room, default=None)
        if best is not None and (best.room > 0 or not np.isfinite(curve[-1])):
            placed.append(best)
            middle: Any = {"ha": "center", "va": "center", "transform": axes.transAxes, "bbox": BOX, "zorder": 6}
            axes.text(best.x, best.y, text, color=color, **middle)
        else:
            homeless.append((text, color, float(curve[-1])))
    _beside(axes, homeless, HEIGHT / height)


def label_ends(axes: Axes, lines: Sequence[Line2D]) -> None:
    """Write each line's label to the right of the axes, at the height at which the line ends."""
    ends = [(str(line.get_label()), str(line.get_color()), float(_in_parts(axes, line)[-1])) for line in lines]
    _beside(axes, ends, HEIGHT / _size(axes)[1])


def spread(places: Sequence[float], least: float) -> list[float]:
    """Return places in the same order, moved as little as needed so that neighbours are `least` apart."""
    order = np.argsort(places, kind="stable")
    moved = np.array(places, float)[order]
    for _ in range(200):
        gaps = np.diff(moved)
        push = np.where(gaps < least, (least - gaps) / 2, 0.0)
        if not push.any():
            break
        moved[:-1] -= push
        moved[1:] += push
    result = np.empty_like(moved)
    result[order] = moved
    return [float(x) for x in result]


def _beside(axes: Axes, labels: Sequence[tuple[str, str, float]], high: float) -> None:
    """Write labels to the right of the axes, each with a thin line from the end of its curve."""
    heights = spread([end for _, _, end in labels], 0.92 * high)
    for (text, color, end), y in zip(labels, heights, strict=True):
        leader: Any = {"linewidth": 0.9, "transform": axes.transAxes, "clip_on": False, "label": "_leader"}
        axes.plot([1.005, 1.03], [end, y], color=color, **leader)
        axes.text(1.04, y, text, color=color, transform=axes.transAxes, ha="left", va="center")


def _size(axes: Axes) -> tuple[float, float]:
    """Return about how wide and high the axes are, in points; the layout is not known yet."""
    grid = axes.get_subplotspec()
    rows, columns = (1, 1) if grid is None else grid.get_gridspec().get_geometry()
    figure = axes.get_figure(root=True)
    wide, high = (6.4, 4.8) if figure is None else figure.get_size_inches()
    return 72 * wide / columns - 55, 72 * high / rows - 60


def _in_parts(axes: Axes, line: Line2D) -> FloatArray:
    """Return a line's height at each place of the grid, in parts of the axis; NaN where it is not drawn."""
    x, y = (axes.transScale + axes.transLimits).transform(np.array(line.get_xydata(), float)).T
    order = np.argsort(x, kind="stable")
    part = np.interp(GRID, x[order], y[order], left=np.nan, right=np.nan)
    return np.where((part >= 0) & (part <= 1), part, np.nan)


def _coinciding(curves: Sequence[FloatArray]) -> list[list[int]]:
    """Return the curves in groups that are equal all along."""
    groups: list[list[int]] = []
    for i, curve in enumerate(curves):
        same = next((g for g in groups if np.allclose(curves[g[0]], curve, equal_nan=True, atol=1e-9)), None)
        if same is None:
            groups.append([i])
        else:
            same.append(i)
    return groups


def _places(
    curve: FloatArray, others: Sequence[FloatArray], placed: Sequence[Place], half: float, high: float, on_curve: bool
) -> Iterator[Place]:
    """Yield places on a curve, above it and below it, each with the free height around the label."""
    for x, height in zip(GRID, curve, strict=True):
        near = np.abs(x - GRID) <= half
        for away in (0.0, 0.8 * high, -0.8 * high)[not on_curve :]:
            y = height + away
            inside = half + EDGE <= x <= 1 - half - EDGE and high / 2 <= y <= 1 - high / 2
            if inside:
                gaps = [float(np.nanmin(np.abs(other[near] - y), initial=1.0)) for other in others]
                gaps += [abs(p.y - y) - 0.5 * high for p in placed if abs(p.x - x) < half + p.half]
                own = np.abs(curve[near] - y)
                if away:
                    gaps = [*(gap - 0.15 * high for gap in gaps), float(np.nanmin(own, initial=1.0)) + 0.1 * high]
                steep = 0.15 * max(0.0, float(np.nanmax(own, initial=0.0)) - high)
                room = min([*gaps, 1.4 * high]) - 0.7 * high - steep - 0.01 * abs(x - 0.5)
                yield Place(float(x), float(y), half, room - (0.3 * high if away else 0.0))
