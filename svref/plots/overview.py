"""The loss in one look: what the margin does to the target, and what the emphasis does to a negative."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svref.loss import SVXSoftmax
from svref.plots.curves import over_angle
from svref.plots.labels import label_curves, label_ends
from svref.plots.planes import ABOVE
from svref.plots.style import INK, LOOKS, NEGATIVE, SHADE, SUPPORT, degrees, jump, panels, styled, zero_line


@styled
def overview(losses: Mapping[str, SVXSoftmax], target: float = 40.0) -> Figure:
    """Draw f over the target's angle for each loss, beside the loss of the last one over a negative's cosine.

    Parameters
    ----------
    losses : mapping of str to SVXSoftmax
        The losses by the name that labels their curves; at most seven.
    target : float, default 40
        The target's angle in the second panel, in degrees.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels. In the second, the dashed line is what the loss would be with t = 1.
    """
    figure, (left, right) = panels(1, 2, 3.7)
    zero_line(left)
    left.set_ylim(-1.5, 1.1)
    lines = []
    for (name, loss), look in zip(losses.items(), LOOKS, strict=False):
        angles, f = over_angle(loss.margin, "value")
        lines += left.plot(np.degrees(angles), f, color=look.color, linestyle=look.linestyle, label=name)
    degrees(left, "θ, angle to the target")
    left.set(ylabel="f (cosine)", title="The margin lowers\nthe target")
    label_curves(left, lines)
    _over_negative(right, list(losses.values())[-1], target)
    return figure


def _over_negative(axes: Axes, loss: SVXSoftmax, target: float) -> None:
    """Draw the loss over a negative's cosine, with its jump, and as it would be with t = 1."""
    c_y = math.cos(math.radians(target))
    f = float(loss.forward([[c_y, 0.0]], [0]).boundary[0])
    c = np.concatenate([np.linspace(-0.6, f, 60), np.linspace(f + ABOVE, 1, 60)])
    rows, labels = np.column_stack([np.full(len(c), c_y), c]), np.zeros(len(c), np.intp)
    value = np.asarray(loss.value(rows, labels, reduction="none"))
    plain = replace(loss, emphasis=replace(loss.emphasis, t=1.0)).value(rows, labels, reduction="none")
    axes.axvspan(f, 1, color=SHADE, linewidth=0, zorder=-1)
    lines = axes.plot(c[60:], plain[60:], color=NEGATIVE, linestyle=(0, (4, 1.5)), label="t = 1")
    axes.plot(c[:60], value[:60], color=INK, label="L below f")
    lines += axes.plot(c[60:], value[60:], color=SUPPORT, label=f"t = {loss.emphasis.t:g}")
    jump(axes, f, float(value[59]), float(value[60]), SUPPORT)
    axes.text(f - 0.04, float(value[59:61].mean()), f"f = {f:.2f}", ha="right", va="center")
    axes.text(
        f + 0.03,
        0.02,
        "support\nvectors",
        color=SUPPORT,
        va="bottom",
        transform=axes.get_xaxis_transform(),
        fontsize=11,
    )
    axes.set(xlim=(-0.6, 1), xlabel="$c_k$, a negative's cosine", ylabel="L (nats)")
    axes.set(ylim=(0, 1.12 * float(value[-1])), title="A negative above f\ncounts for more")
    label_ends(axes, lines)
