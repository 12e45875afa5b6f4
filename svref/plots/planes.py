"""Maps over two angles or two cosines: where a negative is a support vector, and the loss and its gradient there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from svref.arrays import FloatArray
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.plots.labels import BOX
from svref.plots.style import INK, NEGATIVE, SHADE, SUPPORT, TARGET, degrees, jump, panels, styled

PAPER = LinearSegmentedColormap.from_list("svref", ["#FFFFFF", "#CFE3F2", "#7DB3D9", "#2F78B0", "#0B3C66"])
ABOVE = 1e-12  # how far above f the side of the support vectors begins
TARGETS: FloatArray = np.linspace(-1.0, 1.0, 61)
TO_EDGE: FloatArray = np.linspace(0.0, 1.0, 41)

Quantity = Callable[[SVXSoftmax, FloatArray], FloatArray]


@styled
def boundaries(losses: Mapping[str, SVXSoftmax]) -> Figure:
    """Draw two classes in the plane of the angles to both: the decision boundary of each, and its support vectors.

    Parameters
    ----------
    losses : mapping of str to SVXSoftmax
        The losses by name; at most six.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each loss. Below the thin diagonal the embedding is nearer to class 2. For an embedding of class 1,
        class 2 is a support vector in the shaded region, below the line c_2 = f(θ_1). The dashed line is that of an
        embedding of class 2. Between the two lines neither class is safe.
    """
    rows = (len(losses) + 1) // 2
    figure, axes = panels(rows, 2, 0.4 + 2.75 * rows)
    for at, (name, loss) in zip(axes, losses.items(), strict=False):
        _two_classes(at, loss)
        at.set_title(name)
    if len(axes) > len(losses):
        _key(axes[-1])
    return figure


def _two_classes(axes: Axes, loss: SVXSoftmax) -> None:
    angle = np.linspace(0, np.pi, 181)
    f, at = loss.margin.value(Angle.from_cosine(np.cos(angle))), np.degrees(angle)
    limit = np.degrees(np.arccos(np.clip(f, -1, 1)))
    axes.fill_between(at, 0, limit, color=SHADE, linewidth=0, label="support vectors")
    limit[f < -1] = np.nan  # every negative is a support vector: there is no boundary
    axes.plot([0, 180], [0, 180], color=NEGATIVE, linewidth=1, label="c_1 = c_2")
    axes.plot(at, limit, color=SUPPORT, label="c_2 = f(θ_1)")
    axes.plot(limit, at, color=TARGET, linestyle=(0, (5, 1.5)), label="c_1 = f(θ_2)")
    degrees(axes, "$θ_1$")
    degrees(axes, "$θ_2$", along="y")
    axes.set_aspect("equal")


def _key(axes: Axes) -> None:
    """Say what the lines are, in the place of a panel."""
    axes.axis("off")
    lines = (
        (SHADE, "-", 12, "class 2 is a support vector\nof an embedding of class 1"),
        (SUPPORT, "-", 2.2, "$c_2 = f(θ_1)$: the boundary\nfor class 1"),
        (TARGET, (0, (3, 1.0)), 2.2, "$c_1 = f(θ_2)$: the boundary\nfor class 2"),
        (NEGATIVE, "-", 1, "$c_1 = c_2$: equally near"),
    )
    for i, (color, style, width, text) in enumerate(lines):
        y = 0.88 - 0.27 * i
        axes.plot([0.0, 0.13], [y, y], color=color, linestyle=style, linewidth=width, solid_capstyle="butt")
        axes.text(0.17, y, text, va="center", fontsize=11)
    axes.set(xlim=(0, 1), ylim=(0, 1))


# ---- the loss and its gradient over both cosines -----------------------------------------------------------------


class Side(NamedTuple):
    """One side of the boundary, as a grid that ends at it: the targets' cosines, the negative's, and the values."""

    target: FloatArray
    negative: FloatArray
    values: FloatArray


@styled
def loss_plane(loss: SVXSoftmax, target: float = 40.0) -> Figure:
    """Draw the loss of two classes over (c_y, c_k), and a cut at one target: it jumps at c_k = f.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    target : float, default 40
        The target's angle in degrees, where the plane is cut.

    Returns
    -------
    matplotlib.figure.Figure
        The plane beside its cut. The plane is drawn on either side of the boundary by itself, so that no colour is
        between the two values at a jump.
    """
    figure, (plane, cut) = panels(1, 2, 3.7)
    _plane(plane, loss, _loss, range(2, 60, 2), target)
    _cut(cut, loss, target, {"L": (_loss, INK, "-")})
    cut.set_ylabel("L (nats)")
    plane.set_title("loss L (nats)")
    return figure


@styled
def gradient_plane(loss: SVXSoftmax, target: float = 40.0) -> Figure:
    """Draw dL/dc_k over (c_y, c_k), and a cut of it and of -dL/dc_y at one target: both jump at c_k = f.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    target : float, default 40
        The target's angle in degrees, where the plane is cut.

    Returns
    -------
    matplotlib.figure.Figure
        The plane beside its cut, as in `loss_plane`.
    """
    figure, (plane, cut) = panels(1, 2, 3.7)
    _plane(plane, loss, _by_negative, (0.2, 0.5, 1, 1.5, 4, 4.5), target)
    by_both = {"∂L/∂$c_k$": (_by_negative, SUPPORT, "-"), "−∂L/∂$c_y$": (_by_target, TARGET, (0, (5, 1.5)))}
    _cut(cut, loss, target, by_both)
    cut.set_ylabel("nats per unit of cosine")
    plane.set_title("∂L/∂$c_k$ (nats)")
    return figure


def sides(loss: SVXSoftmax, quantity: Quantity, targets: FloatArray = TARGETS) -> list[Side]:
    """Return a quantity below the boundary and above it, each on a grid of its own that ends at the boundary."""
    boundary = loss.forward(np.column_stack([targets, targets]), np.zeros(len(targets), np.intp)).boundary
    f = np.clip(boundary, -1, 1 - ABOVE)[:, None]
    found = []
    for low, high in ((-np.ones_like(f), f), (f + ABOVE, np.ones_like(f))):
        negative = low + (high - low) * TO_EDGE
        negative[:, -1:] = high  # no rounding carries the edge across the boundary
        target = np.broadcast_to(targets[:, None], negative.shape)
        rows = np.column_stack([target.ravel(), negative.ravel()])
        found.append(Side(target, negative, quantity(loss, rows).reshape(negative.shape)))
    return found


def _loss(loss: SVXSoftmax, rows: FloatArray) -> FloatArray:
    return np.asarray(loss.value(rows, np.zeros(len(rows), np.intp), reduction="none"))


def _by_negative(loss: SVXSoftmax, rows: FloatArray) -> FloatArray:
    return loss.value_and_grad(rows, np.zeros(len(rows), np.intp), reduction="none")[1][:, 1]


def _by_target(loss: SVXSoftmax, rows: FloatArray) -> FloatArray:
    return -loss.value_and_grad(rows, np.zeros(len(rows), np.intp), reduction="none")[1][:, 0]


def _plane(axes: Axes, loss: SVXSoftmax, quantity: Quantity, levels: Sequence[float], target: float) -> None:
    """Draw a quantity in colours on both sides of the boundary, with labelled lines, and the boundary."""
    both = sides(loss, quantity)
    top = max(float(side.values.max()) for side in both)
    shades: Any = np.linspace(0, top, 13)
    for side in both:
        axes.contourf(side.target, side.negative, side.values, levels=shades, cmap=PAPER, extend="max")
        axes.contour(side.target, side.negative, side.values, levels=list(levels), colors=INK, linewidths=0.8)
        _write_levels(axes, side, levels)
    f = both[0].negative[:, -1]
    axes.plot(TARGETS, np.where(f > -1, f, np.nan), color=SUPPORT, linewidth=2.8, label="c_k = f")
    c_y = math.cos(math.radians(target))
    axes.axvline(c_y, color=INK, linewidth=1.3, linestyle=(0, (5, 3)), label="the cut")
    axes.text(-0.95, 0.9, "support vector", va="center", bbox=BOX, fontsize=11)
    axes.text(0.2, -0.24, "$c_k$ = f", color=SUPPORT, va="center", ha="left", bbox=BOX)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="$c_y$, the target's cosine", ylabel="$c_k$, the negative's cosine")
    axes.set(xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))


def _write_levels(axes: Axes, side: Side, levels: Sequence[float], column: int = 24) -> None:
    """Write each level on its line, where the line crosses one column of the grid."""
    values, negative = side.values[column], side.negative[column]
    box = {**BOX, "boxstyle": "square,pad=0.05"}
    for level in levels:
        at = float(np.interp(level, values, negative))
        if values.min() < level < values.max() and negative[0] + 0.04 < at < negative[-1] - 0.04:
            axes.text(side.target[column, 0], at, f"{level:g}", ha="center", va="center", fontsize=11, bbox=box)


def _cut(axes: Axes, loss: SVXSoftmax, target: float, curves: Mapping[str, tuple[Quantity, str, Any]]) -> None:
    """Draw quantities over the negative's cosine at one target: a curve on either side of f, and the jump."""
    at = np.array([math.cos(math.radians(target))])
    for name, (quantity, color, style) in curves.items():
        below, above = sides(loss, quantity, at)
        for side, end in ((below, "below f"), (above, "above f")):
            axes.plot(side.negative[0], side.values[0], color=color, linestyle=style, label=f"{name} {end}")
        f, low, high = float(below.negative[0, -1]), float(below.values[0, -1]), float(above.values[0, 0])
        jump(axes, f, low, high, color)
        text, y = (name, high) if len(curves) > 1 else (f"jump {high - low:.2f}", (low + high) / 2)
        axes.text(f - 0.07, y, text, ha="right", va="center", color=color)
    axes.axvspan(f, 1, color=SHADE, linewidth=0, zorder=-1)
    axes.text(
        f + 0.02, 0.02, "support\nvector", color=SUPPORT, va="bottom", transform=axes.get_xaxis_transform(), fontsize=11
    )
    axes.set(xlim=(-1, 1), xlabel="$c_k$, the negative's cosine", xticks=(-1, -0.5, 0, 0.5, 1))
    axes.set_title(f"the cut at $c_y$ = {math.cos(math.radians(target)):.2f}")
    axes.set_ylim(bottom=0)
