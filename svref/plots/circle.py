"""One embedding and the centres of the classes on the unit circle: which negatives are support vectors."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Wedge
from numpy.typing import ArrayLike

from svref.arrays import FloatArray
from svref.head.shards import Shard
from svref.loss import SVXSoftmax
from svref.plots.style import INK, NEGATIVE, PALE, SHADE, SUPPORT, TARGET, panels, styled

MARKS = {TARGET: "o", SUPPORT: "^", NEGATIVE: "s"}


@styled
def circle(loss: SVXSoftmax, embedding: ArrayLike, weights: ArrayLike, label: int) -> Figure:
    """Draw one embedding, the centres of the classes, the angles between them, and where support vectors lie.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    embedding : array_like, shape (2,)
        x, in the plane; its length does not count.
    weights : array_like, shape (C, 2)
        w of each class.
    label : int
        The class of the embedding.

    Returns
    -------
    matplotlib.figure.Figure
        The unit circle. The shaded sector is where a negative's cosine exceeds f: it ends at the angle arccos f from
        the embedding, on both sides.
    """
    x, w = np.asarray(embedding, float)[None], np.asarray(weights, float)
    step = Shard.of(loss, x, w, [label]).step()
    figure, (axes,) = panels(1, 1, 4.7)
    zero = math.degrees(math.atan2(x[0, 1], x[0, 0]))
    f = float(step.boundary[0])
    reach = math.degrees(math.acos(min(1.0, max(-1.0, f))))
    _circle(axes, zero, reach, f)
    own = math.degrees(math.atan2(w[label, 1], w[label, 0])) - zero
    _margin(axes, zero, (own + 180) % 360 - 180, reach)
    for k, vector in enumerate(w):
        color = TARGET if k == label else SUPPORT if step.mask[0, k] else NEGATIVE
        kind = {TARGET: "target", SUPPORT: "support vector", NEGATIVE: "negative"}[color]
        _centre(
            axes,
            vector / np.hypot(*vector),
            color,
            f"class {k}: {kind}\n$c_{{{k}}}$ = {step.cosines[0, k]:.3f}".replace("-", "−"),
        )
        turn = math.degrees(math.atan2(vector[1], vector[0])) - zero
        _angle(axes, zero, (turn + 180) % 360 - 180, 0.3 + 0.15 * k, color)
    axes.set(xlim=(-1.75, 1.95), ylim=(-1.2, 1.42), aspect="equal")
    axes.axis("off")
    return figure


def _circle(axes: Axes, zero: float, reach: float, f: float) -> None:
    """Draw the circle, the sector of the support vectors, and the embedding."""
    axes.add_patch(
        Wedge((0, 0), 1, zero - reach, zero + reach, facecolor=SHADE, edgecolor="none", label="support vectors")
    )
    axes.add_patch(Arc((0, 0), 2, 2, color=INK, linewidth=1.4))
    for side in (-reach, reach):
        end = _point(zero + side)
        axes.plot([0, end[0]], [0, end[1]], color=SUPPORT, linewidth=1.4, linestyle=(0, (4, 2)), label="cosine = f")
    tip = _point(zero)
    axes.annotate(
        "", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 2.4, "shrinkA": 0, "shrinkB": 0}
    )
    axes.text(1.04 * tip[0], 1.04 * tip[1], "embedding $x$", ha="left", va="center")
    at = _point(zero - reach)
    text = f"where the cosine is f = {f:.3f},\n{reach:.1f}° from the embedding"
    axes.text(1.05 * at[0], 1.05 * at[1], text, color=SUPPORT, ha="left", va="top")
    beside = _point(zero - 0.45 * reach)
    text = "a negative on this arc\nis a support vector"
    axes.text(1.09 * beside[0], 1.05 * beside[1], text, ha="left", va="center", color=SUPPORT)


def _margin(axes: Axes, zero: float, own: float, reach: float) -> None:
    """Draw the margin: the arc by which the target counts as farther away than it is."""
    after = math.copysign(reach, own)
    ends = sorted((zero + own, zero + after))
    if abs(reach - abs(own)) < 0.5:
        return
    axes.add_patch(Arc((0, 0), 1.76, 1.76, theta1=ends[0], theta2=ends[1], color=TARGET, linewidth=4, label="margin"))
    at, side = _point(zero + after - math.copysign(3, own)), math.copysign(1, own)
    text = f"margin: the target counts\nas if it were at {reach:.1f}°"
    arrow = {"arrowstyle": "-", "color": TARGET, "linewidth": 1.2, "relpos": (1, 0.5)}
    axes.annotate(
        text, (0.88 * at[0], 0.88 * at[1]), (-0.2, 1.26 * side), color=TARGET, ha="right", va="center", arrowprops=arrow
    )  # fmt: skip


def _centre(axes: Axes, unit: FloatArray, color: str, text: str) -> None:
    """Draw one class's centre, with its name beside it."""
    axes.plot([0, unit[0]], [0, unit[1]], color=color, linewidth=1.6)
    axes.plot([unit[0]], [unit[1]], MARKS[color], color=color, markersize=12, label=text.split("\n")[0])
    align = "right" if unit[0] < -0.2 else "left"
    axes.text(1.13 * unit[0], 1.13 * unit[1], text, color=color, ha=align, va="center" if unit[1] < 0.75 else "bottom")


def _angle(axes: Axes, zero: float, turn: float, radius: float, color: str) -> None:
    """Draw the angle from the embedding to a class, and write how large it is."""
    axes.add_patch(
        Arc(
            (0, 0),
            2 * radius,
            2 * radius,
            theta1=min(zero, zero + turn),
            theta2=max(zero, zero + turn),
            color=color,
            linewidth=1.4,
        )
    )
    middle = _point(zero + turn / 2)
    box = {"boxstyle": "square,pad=0.08", "facecolor": "white", "edgecolor": PALE, "linewidth": 0.5}
    axes.text(
        radius * middle[0],
        radius * middle[1],
        f"{abs(turn):.0f}°",
        color=color,
        ha="center",
        va="center",
        bbox=box,
        fontsize=11,
    )


def _point(angle: float) -> tuple[float, float]:
    return math.cos(math.radians(angle)), math.sin(math.radians(angle))
