"""Rows of a step, quantity by quantity, as bars: what `svref explain --plot` draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svref.arrays import FloatArray, IntArray
from svref.checks import check_row
from svref.explain.lines import kind_of, number, shown_classes
from svref.plots.style import INK, NEGATIVE, PALE, SHADE, SUPPORT, TARGET, panels, styled
from svref.reference import Step, backward

COLORS = {"target": TARGET, "support vector": SUPPORT, "negative": NEGATIVE}


@styled
def row(step: Step, row: int = 0) -> Figure:
    """Draw one row of a step: its cosines with f, log h, the relative logits, the probabilities and the gradient.

    Parameters
    ----------
    step : Step
        What `SVXSoftmax.forward` returned.
    row : int, default 0
        Which row of the batch.

    Returns
    -------
    matplotlib.figure.Figure
        Five panels of bars, and the loss. Of more than ten classes, the target and the negatives with the largest
        p_k are drawn.

    Raises
    ------
    ValueError
        If the step has no such row.
    """
    check_row(row, len(step.labels))
    shown = shown_classes(step, row)
    gradient = backward(step, np.ones(len(step.labels))).cosines[row]
    figure, axes = panels(3, 2, 3 * (1.0 + 0.3 * len(shown)))
    drawn = (
        ("$c_k$ (cosine)", step.cosines[row]),
        ("log $h_k$ (log-odds)", step.log_h[row]),
        ("$r_k$ (log-odds)", np.where(np.isinf(step.r[row]), np.nan, step.relative_logits[row])),
        ("$p_k$ (probability)", step.probabilities[row]),
        ("∂L/∂$c_k$ (nats per cosine)", gradient),
    )
    for at, (name, values) in zip(axes, drawn, strict=False):
        _bars(at, step, row, shown, values.astype(np.float64))
        at.set_xlabel(name)
    _mark_f(axes[0], float(step.boundary[row]))
    _summary(axes[5], step, row, len(shown))
    return figure


def alt(step: Step, row: int = 0) -> str:
    """Return what one sees in `row`, for people who do not see it.

    Parameters
    ----------
    step : Step
        What `SVXSoftmax.forward` returned.
    row : int, default 0
        Which row of the batch.

    Returns
    -------
    str
        Two sentences, with the target, f, the support vectors and the loss.
    """
    hard = [int(k) for k in np.flatnonzero(step.mask[row])]
    named = ", ".join(map(str, hard[:5])) + (f" and {len(hard) - 5} more" if len(hard) > 5 else "")
    which = f"{'class' if len(hard) == 1 else 'classes'} {named}" if hard else "none"
    return (
        "Bars of the cosines, log h, the relative logits, the probabilities and the gradient of one row, class by "
        f"class. The target is class {step.labels[row]} with cosine {step.target_cosine[row]:.4g}; "
        f"f is {step.boundary[row]:.4g}; support vectors: {which}; the loss is {step.loss[row]:.6g} nats."
    )


@styled
def rows(step: Step) -> Figure:
    """Draw every row of a step: the logits relative to the target's, split into cosine and emphasis, and p.

    Parameters
    ----------
    step : Step
        What `SVXSoftmax.forward` returned; a few rows.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels for each row. The hatched part of a bar is log h, which only support vectors have.
    """
    many, classes = step.cosines.shape
    figure, axes = panels(many, 2, many * (1.15 + 0.24 * classes))
    for b in range(many):
        shown = shown_classes(step, b)
        left, right = axes[2 * b : 2 * b + 2]
        plain = (step.s * (step.cosines[b] - step.f[b])).astype(np.float64)
        _bars(left, step, b, shown, plain + step.log_h[b])
        _hatched(left, shown, plain, step.log_h[b].astype(np.float64))
        _bars(right, step, b, shown, step.probabilities[b].astype(np.float64))
        left.set_title(f"row {b}: L = {step.loss[b]:.4f} nats")
        right.set(xlim=(0, 1.3), xticks=(0, 0.5, 1))
    axes[-2].set_xlabel("$s(c_k - f)$ + log $h_k$ (log-odds)")
    axes[-1].set_xlabel("$p_k$ (probability)")
    return figure


def _bars(axes: Axes, step: Step, row: int, shown: IntArray, values: FloatArray) -> None:
    """Draw a bar for each class with its number beside it; an infinity has no bar, and NaN is written as none."""
    places = np.arange(len(shown))
    kinds = [kind_of(step, row, int(k)) for k in shown]
    finite = np.where(np.isfinite(values[shown]), values[shown], 0.0)
    axes.barh(places, finite, color=[COLORS[kind] for kind in kinds], height=0.62, label="bars")
    axes.axvline(0, color=INK, linewidth=1)
    low, high = min(finite.min(), 0.0), max(finite.max(), 0.0)
    span = high - low or 1.0
    axes.set_xlim(low - 0.62 * span * (low < 0), high + 0.5 * span * (high > 0 or low == 0))
    axes.set(ylim=(len(shown) - 0.45, -0.55), yticks=[])
    axes.locator_params(axis="x", nbins=4)
    axes.spines["left"].set_visible(False)
    for place, k, length, kind in zip(places, shown, finite, kinds, strict=True):
        _write(axes, int(place), float(length), "none" if np.isnan(values[k]) else number(values[k], 4))
        _name(axes, int(place), f"{k} {kind}", COLORS[kind])


def _write(axes: Axes, place: int, length: float, text: str) -> None:
    """Write a number beside the end of its bar."""
    shift, align = (-4, "right") if length < 0 else (4, "left")
    axes.annotate(
        text, (length, place), (shift, 0), textcoords="offset points", ha=align, va="center", fontsize=11
    )  # fmt: skip


def _name(axes: Axes, place: int, text: str, color: str) -> None:
    """Write the name of a class to the left of its bar, in the first column of panels."""
    grid = axes.get_subplotspec()
    if grid is not None and grid.is_first_col():
        left: Any = {
            "textcoords": "offset points",
            "xycoords": ("axes fraction", "data"),
            "ha": "right",
            "va": "center",
        }
        axes.annotate(text, (0, place), (-6, 0), color=color, **left)


def _mark_f(axes: Axes, f: float) -> None:
    """Draw what a negative's cosine must exceed."""
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, f), max(high, f))
    axes.axvline(f, color=SUPPORT, linestyle=(0, (4, 2)), linewidth=1.6, label="f")
    axes.axvspan(f, axes.get_xlim()[1], color=SHADE, linewidth=0, zorder=-1)
    axes.annotate(f"f = {number(f, 4)}", (f, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                  color=SUPPORT, ha="center", va="bottom", fontsize=11)  # fmt: skip


def _summary(axes: Axes, step: Step, row: int, shown: int) -> None:
    """Write the numbers of the row that belong to no class."""
    axes.axis("off")
    classes = step.cosines.shape[1]
    lines = [
        ", ".join(f"{name} = {value:g}" for name, value in _parameters(step)),
        f"a = {number(step.log_odds_against[row])} log-odds",
        f"L = {number(step.loss[row])} nats",
        *([f"{shown} of {classes} classes are shown"] if shown < classes else []),
    ]
    axes.text(0.08, 0.9, "\n".join(lines), transform=axes.transAxes, va="top", linespacing=1.5)


def _parameters(step: Step) -> list[tuple[str, float]]:
    """Return the parameters of the loss by name: s, those of the margin, t."""
    margin = getattr(step.margin, "margin", step.margin)  # an easy or a straight-through margin has one inside
    of_margin = [(name, getattr(margin, name)) for name in ("m", "m1", "m2", "m3") if hasattr(margin, name)]
    return [("s", step.s), *of_margin, ("t", step.emphasis.t)]


def _hatched(axes: Axes, shown: IntArray, plain: FloatArray, log_h: FloatArray) -> None:
    """Hatch the part of each bar that is log h."""
    for place, k in enumerate(shown):
        if log_h[k] > 0:
            axes.barh(
                place,
                log_h[k],
                left=plain[k],
                height=0.62,
                facecolor=PALE,
                edgecolor=SUPPORT,
                hatch="////",
                label="log h",
            )
