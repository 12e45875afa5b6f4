"""What a check found, drawn: where a candidate departs, by how much in each case, and its mistake over the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svref.arrays import BoolArray, FloatArray
from svref.deviations.kinds import Deviation
from svref.loss import SVXSoftmax
from svref.plots.style import INK, NEGATIVE, PALE, SUPPORT, TARGET, degrees, panels, styled, zero_line

ANGLES: FloatArray = np.linspace(0.0, np.pi, 361)  # of the target, every half degree
NEGATIVES = (60.0, 150.0)  # degrees, of the row of all pages
FLOOR, CEILING = 1e-4, 1e17  # tolerances: what lies beyond is drawn at the edge
MOST_POINTS = 12  # of one case and output, the largest
LOOKS_OF_OUTPUTS = (("o", TARGET), ("s", SUPPORT), ("^", "#00724F"), ("D", "#9A3F87"))
SAME = 1e-12  # relative; curves that differ by less are one curve


class Strip(NamedTuple):
    """The errors of one output in one case, in units of the tolerance."""

    case: str
    output: str
    errors: FloatArray


@styled
def where(target: FloatArray, negative: FloatArray, wrong: BoolArray) -> Figure:
    """Draw the negatives that were judged over (c_y, c_k), the target's cosine and the negative's.

    Parameters
    ----------
    target, negative : array, shape (N,)
        c_y of the row, and c_k of the negative.
    wrong : array of bool, shape (N,)
        Whether the row's loss, its derivative by c_y or by this c_k is wrong.

    Returns
    -------
    matplotlib.figure.Figure
        A pale dot where all is right, a cross where something is wrong. The dotted line is c_k = c_y.
    """
    figure, (axes,) = panels(1, 1, 5.4)
    low, high = (float(edge(np.concatenate([target, negative, [-1, 1]]))) for edge in (np.min, np.max))
    room = 0.04 * (high - low)
    axes.plot([low, high], [low, high], ":", color=NEGATIVE, linewidth=1.4, label="c_k = c_y", zorder=0)
    axes.plot(target[~wrong], negative[~wrong], "o", color=PALE, markeredgecolor=NEGATIVE, markersize=5, label="right")
    axes.plot(target[wrong], negative[wrong], "x", color=SUPPORT, markersize=7, markeredgewidth=2, label="wrong")
    axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room), aspect="equal")
    axes.set(xlabel="$c_y$, cosine of the target", ylabel="$c_k$, cosine of the negative")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return figure


@styled
def strips(errors: Sequence[Strip]) -> Figure:
    """Draw the errors of each case and output along a logarithmic axis, in units of the tolerance.

    Parameters
    ----------
    errors : sequence of Strip
        In the order of the cases, the first on top.

    Returns
    -------
    matplotlib.figure.Figure
        A line for each case, with the twelve largest errors of each output. What lies left of 1 is right. Errors below
        1e-4 are drawn at the left edge, and infinite ones at the right edge.
    """
    cases, outputs = (list(dict.fromkeys(names)) for names in ([e.case for e in errors], [e.output for e in errors]))
    figure, (axes,) = panels(1, 1, 1.5 + 0.21 * len(cases))
    axes.set_xscale("log")
    axes.axvline(1, color=INK, linewidth=1.4, label="the tolerance")
    for i, (output, (marker, color)) in enumerate(zip(outputs, LOOKS_OF_OUTPUTS, strict=False)):
        of_output = [e for e in errors if e.output == output]
        values = [_largest(e.errors) for e in of_output]
        places = [np.full(len(v), cases.index(e.case) + 0.16 * (i - 1)) for e, v in zip(of_output, values, strict=True)]
        axes.plot(np.concatenate(values), np.concatenate(places), marker, color=color, markersize=4.5, alpha=0.75,
                  markeredgewidth=0, label=output)  # fmt: skip
    axes.set_yticks(range(len(cases)), cases, fontsize=10.5)
    axes.set(ylim=(len(cases) - 0.4, -0.6), xlim=(FLOOR / 2, _end(errors)), xlabel="error, in tolerances")
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def _largest(errors: FloatArray) -> FloatArray:
    """Return the largest errors of a strip, within the edges of the figure."""
    return np.clip(np.nan_to_num(np.sort(errors)[-MOST_POINTS:], nan=CEILING), FLOOR, CEILING)


def _end(errors: Sequence[Strip]) -> float:
    """Return the right end of the axis."""
    return max(3.0, *(float(_largest(e.errors).max(initial=0.0)) * 3 for e in errors)) if errors else 3.0


def differs(mistake: Deviation, loss: SVXSoftmax) -> bool:
    """Return whether `mistake_curves` has something to show: the curves of the mistake are not those of the loss."""
    return mistake.on_cosines is not None and any(
        not np.allclose(right, wrong, rtol=SAME, atol=0, equal_nan=True)
        for right, wrong in _curves(mistake, loss).values()
    )


@styled
def mistake_curves(mistake: Deviation, loss: SVXSoftmax) -> Figure:
    """Draw what a mistake computes over the paper's curves, for negatives at 60 and 150 degrees.

    Parameters
    ----------
    mistake : Deviation
        One of `svref.deviations.DEVIATIONS` that is made with cosines.
    loss : SVXSoftmax
        The paper's loss.

    Returns
    -------
    matplotlib.figure.Figure
        The loss and its derivative by c_y over the target's angle; and f, if the mistake is another f. The broad pale
        line is the paper's.
    """
    drawn = _curves(mistake, loss)
    figure, axes = panels(len(drawn), 1, 2.6 * len(drawn))
    for at, (name, (right, wrong)) in zip(axes, drawn.items(), strict=True):
        _pair(at, right, wrong, mistake.name)
        at.set(ylabel=name)
    degrees(axes[-1], "θ, angle to the target", step=30)
    axes[0].legend(loc="best", frameon=False, fontsize=11)
    return figure


def _curves(mistake: Deviation, loss: SVXSoftmax) -> Mapping[str, tuple[FloatArray, FloatArray]]:
    """Return the right curve and the wrong one of each panel, by the label of its axis."""
    others = np.broadcast_to(np.cos(np.deg2rad(NEGATIVES)), (len(ANGLES), len(NEGATIVES)))
    cosines, labels = np.column_stack([np.cos(ANGLES), others]), np.zeros(len(ANGLES), int)
    step = loss.forward(cosines, labels)
    right, by = step.loss, loss.backward(step).cosines[:, 0]
    wrong, wrong_by = mistake.run(loss, cosines, labels)
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    if mistake.change is not None and (changed := mistake.change(loss)).margin != loss.margin:
        found["f (cosine)"] = (step.margin_cosine, changed.forward(cosines, labels).margin_cosine)
    return {**found, "L (nats)": (right, wrong), "∂L/∂$c_y$ (nats per cosine)": (by, wrong_by[:, 0])}


def _pair(axes: Axes, right: FloatArray, wrong: FloatArray, name: str) -> None:
    """Draw the paper's curve, broad and pale, and the other one over it."""
    degrees(axes, "", step=30)
    axes.set_xlabel("")
    zero_line(axes)
    looks: tuple[tuple[FloatArray, str, dict[str, Any]], ...] = (
        (right, "the paper", {"color": "#B5B5B5", "linewidth": 7.0}),
        (wrong, name, {"color": SUPPORT, "linewidth": 2.2}),
    )
    for values, label, look in looks:
        finite = np.where(np.isfinite(values), values, np.nan)
        axes.plot(np.degrees(ANGLES), finite, label=label, **look)
    inner = np.concatenate([values[4:-4] for values in (right, wrong)])
    inner = inner[np.isfinite(inner)]
    if len(inner):
        room = 0.06 * float(np.ptp(inner)) or 1.0
        axes.set_ylim(float(inner.min()) - room, float(inner.max()) + room)
