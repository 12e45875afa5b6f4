"""Curves over an angle or a cosine: f, its slopes, the logits, h, and what the emphasis does to the shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from svref.arrays import FloatArray
from svref.emphasis import Form
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, Angle, Combined, EasyMargin, Margin, MultiplicativeAngle
from svref.plots.labels import BOX, label_curves, label_ends, spread
from svref.plots.style import (
    INK,
    LOOKS,
    NEGATIVE,
    PALE,
    SHADE,
    SUPPORT,
    Look,
    degrees,
    jump,
    panels,
    styled,
    zero_line,
)

THETA: FloatArray = np.linspace(0.0, np.pi, 361)  # every half degree
STRENGTHS: FloatArray = np.linspace(1.0, 2.0, 51)  # of t
HIGH = {"f": (-1.6, 1.1), "df/dc": (-4.2, 6.2), "df/dθ": (-1.3, 1.3)}  # what a panel shows at most


class Panel(NamedTuple):
    """What is drawn over the target's angle: its name, the label of its axis, the method of a margin, and a title."""

    name: str
    axis: str
    method: str
    title: str


PANELS = {
    "f": Panel("f", "f (cosine)", "value", "f, the target's cosine after the margin"),
    "df/dc": Panel("df/dc", "df/dc (no unit)", "by_cosine", "df/dc, its slope in the cosine"),
    "df/dθ": Panel("df/dθ", "df/dθ (per radian)", "by_angle", "df/dθ, its slope in the angle"),
}


@styled
def margins(losses: Mapping[str, SVXSoftmax], target: float = 40.0) -> Figure:
    """Draw f and df/dc over the target's angle, and the logit of a negative over the negative's, for each loss.

    Parameters
    ----------
    losses : mapping of str to SVXSoftmax
        The losses by the name that labels their curves; at most seven. The third panel takes s and the emphasis of
        the first one, and the f of each: there its z_k jumps.
    target : float, default 40
        The target's angle in the third panel, in degrees.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels, one above the other. Poles of df/dc are triangles at the edge that f' leaves by.
    """
    figure, axes = panels(3, 1, 9.2, height_ratios=(1, 1, 1.25))
    for name, at in zip(("f", "df/dc"), axes, strict=False):
        _over_target(at, losses, PANELS[name])
    _logits(axes[2], losses, target)
    return figure


@styled
def tails(losses: Mapping[str, SVXSoftmax], start: float = 100.0) -> Figure:
    """Draw f, df/dc and df/dθ over the target's angle, with switches marked: what a margin becomes beyond θ + m = π.

    Parameters
    ----------
    losses : mapping of str to SVXSoftmax
        The losses by the name that labels their curves; at most seven.
    start : float, default 100
        The target's angle in degrees at which the axes begin; they end at 180.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels, one above the other. Poles of df/dc are triangles at the edge that f' leaves by.
    """
    figure, axes = panels(3, 1, 8.6)
    marks = {round(math.degrees(x), 6) for loss in losses.values() for x in switches(loss.margin)}
    for panel, at, limits in zip(PANELS.values(), axes, ((-1.32, -0.1), (-3.2, 4.2), (-1.05, 0.65)), strict=True):
        _over_target(at, losses, panel, limits, start)
        for x in marks:
            at.axvline(x, color=NEGATIVE, linewidth=1.2, linestyle=":", zorder=0, label=f"switch at {x:g}")
            at.text(x - 1, limits[1], "θ + m = π", ha="right", va="top", color=NEGATIVE)
    return figure


@styled
def pieces(loss: SVXSoftmax) -> Figure:
    """Draw ψ of A-Softmax, and its slope, beside cos mθ, which is periodic: why the paper flips and lowers the pieces.

    Parameters
    ----------
    loss : SVXSoftmax
        One whose margin is a `MultiplicativeAngle`.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels, one above the other, with the ends of the pieces marked.

    Raises
    ------
    ValueError
        If the margin is another one.
    """
    if not isinstance(loss.margin, MultiplicativeAngle):
        raise ValueError(f"pieces draws the margin of A-Softmax, MultiplicativeAngle; got {loss.margin!r}.")
    m = loss.margin.m
    curves = {"ψ (A-Softmax)": loss, f"cos {m}θ": replace(loss, margin=Combined(m1=float(m)))}
    figure, axes = panels(2, 1, 6.6)
    for name, at, limits in zip(
        ("f", "df/dc"), axes, ((-2.0 * m + 0.6, 1.4), (-1.15 * m * m, 1.15 * m * m)), strict=True
    ):
        _over_target(at, curves, PANELS[name], limits)
        for end in range(1, m):
            at.axvline(180 * end / m, color=PALE, linewidth=1.2, zorder=0)
    for piece in range(m):
        axes[0].text(180 * (piece + 0.5) / m, 1.25, f"k = {piece}", ha="center", va="top", color=NEGATIVE)
    return figure


@styled
def emphasis(loss: SVXSoftmax, t: Sequence[float] = (1.1, 1.2, 1.3), target: float = 40.0) -> Figure:
    """Draw h against a negative's cosine, adaptive beside fixed, for some t: the jump at c_k = f.

    Parameters
    ----------
    loss : SVXSoftmax
        The margin and the scale.
    t : sequence of float, default (1.1, 1.2, 1.3)
        The strengths.
    target : float, default 40
        The target's angle in degrees.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels side by side. At a tie, c_k = f, h is 1: the full circle.
    """
    figure, axes = panels(1, 2, 4.2, sharey=True)
    f = _f(loss, target)
    forms: tuple[Form, ...] = ("adaptive", "fixed")
    for form, at in zip(forms, axes, strict=True):
        at.set(
            xlim=(-1, 1),
            xlabel="$c_k$, the negative's cosine",
            title={"adaptive": "adaptive (SV)"}.get(form, "fixed (MV)"),
        )
        at.axvspan(f, 1, color=SHADE, linewidth=0, zorder=-1)
        at.plot([-1, f], [1, 1], color=NEGATIVE, label="h of other negatives")
        made = [replace(loss, emphasis=replace(loss.emphasis, t=strength, form=form)) for strength in t]
        lines = [_h(at, x, target, look) for x, look in zip(made, (LOOKS[3], LOOKS[2], LOOKS[4]), strict=False)]
        at.set_ylim(
            0, 1.16 * max(float(np.exp(_negatives(made[-1], target, np.ones(1)).log_h.max())), at.get_ylim()[1] / 1.16)
        )
        at.text(-0.97, 0.62, "other negatives", color=NEGATIVE, va="center")
        at.text(f + 0.03, 0.99, "support\nvectors", color=SUPPORT, va="top", transform=at.get_xaxis_transform())
        at.text(f - 0.03, 0.99, f"f = {f:.3f}", ha="right", va="top", transform=at.get_xaxis_transform())
        label_ends(at, lines)
    axes[0].set_ylabel("$h_k$ (factor)")
    return figure


def _h(axes: Axes, loss: SVXSoftmax, target: float, look: Look) -> Line2D:
    """Draw h of the support vectors of one loss, and the jump to it at f."""
    f = _f(loss, target)
    c = np.concatenate([[f], np.linspace(np.nextafter(f, 2), 1.0, 60)])
    h = np.exp(_negatives(loss, target, c).log_h[:, 1])
    (line,) = axes.plot(c[1:], h[1:], color=look.color, linestyle=look.linestyle, label=f"t = {loss.emphasis.t:g}")
    jump(axes, f, float(h[0]), float(h[1]), look.color)
    return line


@styled
def shares(loss: SVXSoftmax, cosines: ArrayLike, label: int, t: Sequence[float] | FloatArray = STRENGTHS) -> Figure:
    """Draw who gets the gradient of the negatives as t grows: each one's part of Σ |dL/dc_k| over k ≠ y.

    Parameters
    ----------
    loss : SVXSoftmax
        The margin, the scale and the form of h.
    cosines : array_like, shape (C,)
        One row.
    label : int
        Its class.
    t : sequence of float, default 51 numbers from 1 to 2
        The strengths.

    Returns
    -------
    matplotlib.figure.Figure
        Bands one above the other, which add up to 100 %: those of the support vectors below, the others above.
    """
    row, strengths = np.asarray(cosines, float), np.asarray(t, float)
    parts = np.array([_parts(loss, row, label, float(x)) for x in strengths])
    mask = loss.forward(row[None], [label]).mask[0]
    others = [k for k in range(len(row)) if k != label]
    order = sorted(others, key=lambda k: (not mask[k], -row[k]))
    figure, (axes,) = panels(1, 1, 4.4)
    edges = np.vstack([np.zeros(len(strengths)), np.cumsum(100 * parts[:, order].T, axis=0)])
    for number, k in enumerate(order):
        _band(axes, strengths, edges[number], edges[number + 1], k, bool(mask[k]), number % 2)
    heights = spread([float(x) for x in (edges[:-1, 0] + edges[1:, 0]) / 2], 6.0)
    for k, y in zip(order, heights, strict=True):
        color = SUPPORT if mask[k] else NEGATIVE
        axes.text(
            -0.015,
            y / 100,
            f"$c_{{{k}}}$ = {row[k]:.2f}".replace("-", "−"),
            color=color,
            ha="right",
            va="center",
            transform=axes.transAxes,
        )
    _total(axes, strengths, 100 * parts[:, mask].sum(axis=1))
    return figure


def _band(axes: Axes, t: FloatArray, low: FloatArray, high: FloatArray, k: int, hard: bool, odd: int) -> None:
    """Fill the band of class k."""
    color, hatch, alpha = (SUPPORT, None, (0.45, 0.28)) if hard else (NEGATIVE, "///", (0.3, 0.15))
    axes.fill_between(
        t, low, high, facecolor=color, alpha=alpha[odd], hatch=hatch, edgecolor="white", linewidth=1, label=f"class {k}"
    )  # fmt: skip


def _total(axes: Axes, t: FloatArray, total: FloatArray) -> None:
    """Draw the line below which the support vectors are, and what the axes mean."""
    axes.plot(t, total, color=INK, label="share of the support vectors", clip_on=False)
    for x in (t[0], t[len(t) // 5], t[2 * len(t) // 5]):
        y = float(np.interp(x, t, total))
        axes.plot([x], [y], "o", color=INK, markersize=6, clip_on=False, label="_mark")
        axes.annotate(f"{y:.0f} %", (x, y), xytext=(7, -7), textcoords="offset points", ha="left", va="top")
    axes.text(0.6, 0.3, "support vectors", transform=axes.transAxes, color=SUPPORT, ha="center", fontweight="bold")
    axes.text(0.05, 0.9, "other negatives", transform=axes.transAxes, ha="left", va="center", bbox=BOX)
    axes.set(xlim=(t[0], t[-1]), ylim=(0, 100), xlabel="t, strength of the emphasis (1 is off, no unit)")
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines[["left", "right"]].set_visible(False)
    axes.set_ylabel("part of Σ |∂L/∂$c_k$| over the negatives (%)")


def _parts(loss: SVXSoftmax, row: FloatArray, label: int, t: float) -> FloatArray:
    """Return each negative's part of Σ |dL/dc_k|, 0 at the label."""
    gradient = replace(loss, emphasis=replace(loss.emphasis, t=t)).value_and_grad(row[None], [label])[1][0]
    gradient[label] = 0.0
    return np.asarray(gradient / gradient.sum())


# ---- what the figures share -------------------------------------------------------------------------------------


def switches(margin: Margin) -> list[float]:
    """Return the angles in radians at which f changes its formula: at a tail or an easy margin, not at a kink of ψ."""
    if isinstance(margin, AdditiveAngle) and margin.tail != "raw":
        return [math.pi - margin.m]
    if isinstance(margin, EasyMargin):
        inside = [math.acos(margin.above)] if -1 < margin.above < 1 else []
        return sorted({*inside, *switches(margin.margin)})
    return []


def over_angle(margin: Margin, method: str) -> tuple[FloatArray, FloatArray]:
    """Return angles in radians and a method of a margin there, with a NaN between the two sides of each switch."""
    angles, gaps = THETA, switches(margin)
    for switch in gaps:
        angles = np.concatenate(
            [angles[angles < switch - 1e-9], [switch - 1e-9, switch, switch + 1e-9], angles[angles > switch + 1e-9]]
        )
    values = np.array(getattr(margin, method)(Angle.from_cosine(np.cos(angles))))
    values[np.isin(angles, gaps)] = np.nan
    return angles, values


def _over_target(
    axes: Axes,
    losses: Mapping[str, SVXSoftmax],
    panel: Panel,
    limits: tuple[float, float] | None = None,
    start: float = 0.0,
) -> None:
    """Draw one panel: a curve for each loss over the target's angle, and a triangle at each pole."""
    lines = []
    axes.set_ylim(limits or HIGH[panel.name])
    degrees(axes, "θ, angle to the target", step=30 if start == 0 else 10)
    axes.set_xlim(start, 180)
    zero_line(axes)
    for (name, loss), look in zip(losses.items(), LOOKS, strict=False):
        angles, values = over_angle(loss.margin, panel.method)
        is_pole = np.isinf(values)
        shown = np.where(is_pole, np.nan, values)
        lines += axes.plot(np.degrees(angles), shown, label=name, zorder=look.zorder, **look._asdict())
        for angle, value in zip(angles[is_pole], values[is_pole], strict=True):
            _pole(axes, math.degrees(angle), float(value), look.color)
    axes.set_ylabel(panel.axis)
    axes.set_title(panel.title)
    label_curves(axes, lines)


def _pole(axes: Axes, at: float, infinity: float, color: str) -> None:
    """Mark a pole: a triangle at the edge of the axes by which the curve leaves."""
    low, high = axes.get_ylim()
    up = infinity > 0
    if not axes.get_xlim()[0] <= at <= axes.get_xlim()[1]:
        return
    axes.plot(
        [at], [high if up else low], "^" if up else "v", color=color, markersize=9, clip_on=False, zorder=6,
        label=f"pole at {at:g}",
    )  # fmt: skip


def _logits(axes: Axes, losses: Mapping[str, SVXSoftmax], target: float) -> None:
    """Draw z_k = s c_k + log h_k over the negative's angle: one curve where it is emphasised, one where it is not."""
    first = next(iter(losses.values()))
    step = _negatives(first, target, np.cos(THETA))
    plain = first.s * step.cosines[:, 1]
    lifted = plain + first.emphasis.log_h(step.cosines, np.ones_like(step.mask), first.s)[:, 1]
    at = np.degrees(THETA)
    axes.plot(at, lifted, color=SUPPORT, label="z_k of a support vector")
    axes.plot(at, plain, color=NEGATIVE, linestyle=(0, (4, 1.5)), label="z_k of another negative")
    _jumps(axes, losses, target, plain, lifted)
    degrees(axes, "$θ_k$, angle to a negative", step=30)
    axes.set_ylabel("$z_k$ (log-odds)")
    axes.set(ylim=(-2.6 * first.s, 1.15 * float(lifted.max())), yticks=[first.s * x for x in (-1, -0.5, 0, 0.5, 1)])
    axes.set_title(f"$z_k$, for a target at {target:g}°")
    axes.text(90, lifted[180] + 0.5, "support vectors", color=SUPPORT, ha="left", va="bottom")
    axes.text(86, -1.05 * first.s, "other negatives", color=NEGATIVE, ha="left", va="center")


def _jumps(axes: Axes, losses: Mapping[str, SVXSoftmax], target: float, plain: FloatArray, lifted: FloatArray) -> None:
    """Draw where the logit of a negative jumps for each loss, between the two curves over `THETA`."""
    found = {}
    for (name, loss), look in zip(losses.items(), LOOKS, strict=False):
        f = _f(loss, target)
        if -1 <= f <= 1:
            found[name] = (math.degrees(math.acos(f)), look.color)
    names_at, bottom = spread([angle for angle, _ in found.values()], 9.5), float(1.15 * plain.min())
    for (name, (angle, color)), x in zip(found.items(), names_at, strict=True):
        low, high = (float(np.interp(math.radians(angle), THETA, curve)) for curve in (plain, lifted))
        jump(axes, angle, low, high, color)
        axes.plot([angle, x], [low, bottom], color=color, linewidth=0.9, label="_leader", zorder=0)
        axes.text(x, 1.04 * bottom, name, color=color, rotation=90, ha="center", va="top")


def _negatives(loss: SVXSoftmax, target: float, c: FloatArray) -> Any:
    """Return the forward pass of rows of a target, at an angle in degrees, and a negative of each cosine."""
    rows = np.column_stack([np.full(len(c), math.cos(math.radians(target))), c])
    return loss.forward(rows, np.zeros(len(c), np.intp))


def _f(loss: SVXSoftmax, target: float) -> float:
    """Return what a negative must exceed to be a support vector, for a target at an angle in degrees."""
    return float(_negatives(loss, target, np.zeros(1)).boundary[0])
