"""Where the stages of one row land on the numbers that a format has."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from svref.arrays import FloatArray
from svref.formats import FORMATS, format_of, rounded_to
from svref.loss import SVXSoftmax
from svref.plots.style import INK, NEGATIVE, PALE, SUPPORT, panels, styled
from svref.reference import Step, sigmoid

FIVE = ("float32", "tf32", "float16", "bfloat16", "float8_e4m3fn")
SHORT = {"float8_e4m3fn": "float8"}
FINE = 2000  # places of a window that are tried: numbers closer than that are drawn as one bar
BAR = "#C4C4C4"
SEEN = 5e-5  # a smaller relative error is not written
MANY = 60  # numbers in a window that are drawn one by one


class Stage(NamedTuple):
    """A stage of the row: its name, its value without rounding, and the window around it that is drawn."""

    name: str
    value: float
    low: float
    high: float


@styled
def grids(loss: SVXSoftmax, cosines: ArrayLike, label: int, formats: Sequence[str] = FIVE) -> Figure:
    """Draw where each stage of a row lands on the grid of each format, when every result is rounded to that format.

    The formulas are the textbook's: softmax, p_y - 1, log Σ e^z - z_y.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    cosines : array_like, shape (C,)
        The row, in numbers that every format holds, so that all formats see the same one.
    label : int
        Its class.
    formats : sequence of str, default float32, tf32, float16, bfloat16, float8_e4m3fn
        Names of `svref.formats.FORMATS`, widest first.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels: f, the target's logit, the largest negative's e^z, p_y, the gradient by the target's logit, and the
        loss. A tick is a number of the format, a bar numbers that are too close to be drawn one by one, the vertical
        line the right value, a cross what the format makes of it, with its relative error from 0.005 % on. What lies
        beyond the left edge is a triangle there.

    Raises
    ------
    ValueError
        If there is no such format, or it does not hold a cosine.
    """
    row = np.asarray(cosines, dtype=np.float64)
    _check(row, formats)
    step = loss.forward(row[None], [label])
    figure, axes = panels(3, 2, 7.6)
    for place, (at, stage) in enumerate(zip(axes, _stages(step), strict=True)):
        _draw(at, stage, [landed(step, name)[place] for name in formats], formats)
        at.set_yticklabels([SHORT.get(name, name) for name in formats] if place % 2 == 0 else [])
    return figure


def landed(step: Step, name: str) -> tuple[float, float, float, float, float, float]:
    """Return f, z_y, the largest negative's e^(z - max), p_y, ∂L/∂z_y and L of row 0, each rounded to a format."""
    rounded = functools.partial(rounded_to, name=name)
    f, own, s = rounded(step.f[0]), (0, int(step.labels[0])), rounded(np.array(step.s))
    z = rounded(rounded(s * step.cosines) + rounded(step.log_h))
    z[own] = rounded(s * f)
    e = rounded(np.exp(rounded(z - z.max())))
    total = rounded(e.sum())
    p_y = rounded(e[own] / total)
    loss = rounded(rounded(rounded(np.log(total)) + z.max()) - z[own])
    negative = np.delete(e[0], own[1]).max()
    return float(f), float(z[own]), float(negative), float(p_y), float(rounded(p_y - 1)), float(loss)


def _check(row: FloatArray, formats: Sequence[str]) -> None:
    """Raise a ValueError for a format that there is not, or that does not hold a cosine."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"a format must be one of {', '.join(FORMATS)}; got {name!r}.")
        is_held = rounded_to(row, name) == row
        if not is_held.all():
            raise ValueError(f"cosines must be numbers that {name} holds; got {row[~is_held][0]!r}.")


def _stages(step: Step) -> Iterator[Stage]:
    """Yield the stages, each with its right value and a window around it that shows the grids."""
    coarse, q = format_of("float8_e4m3fn").unit_roundoff, float(sigmoid(step.a)[0])
    f, z = float(step.f[0]), float(step.s * step.f[0])
    r = np.where(np.isfinite(step.r[0]), step.r[0], -np.inf)
    negative, loss = float(np.exp(r.max() - max(0.0, r.max()))), float(step.loss[0])
    half = format_of("bfloat16").unit_roundoff
    yield Stage("f", f, f - 2.5 * coarse * abs(f), f + 2.5 * coarse * abs(f))
    yield Stage("$\\mathbf{z_y = s\\,f}$", z, z - 2.5 * coarse * abs(z), z + 2.5 * coarse * abs(z))
    name = "$\\mathbf{e^{\\,z_k - z_y}}$, largest"
    yield Stage(name, negative, negative * (1 - 2.5 * coarse), negative * (1 + 2.5 * coarse))
    yield Stage("$\\mathbf{p_y}$", 1 - q, 1 - 2.4 * half, 1 + 1.2 * half)
    yield Stage("∂L/∂$\\mathbf{z_y = p_y - 1}$", -q, -2.4 * q, 0.9 * q)
    yield Stage("L", loss, -0.9 * loss, 2.4 * loss)


def _draw(axes: Axes, stage: Stage, values: Sequence[float], formats: Sequence[str]) -> None:
    """Draw the grid of each format in a window, the right value, and where each format lands."""
    axes.axvline(stage.value, color=INK, linewidth=1.2, zorder=1, label="right")
    for place, (name, value) in enumerate(zip(formats, values, strict=True)):
        _grid(axes, place, name, stage)
        _mark(axes, place, name, value, stage)
    axes.set(xlim=(stage.low, stage.high), ylim=(len(formats) - 0.5, -0.75), yticks=range(len(formats)))
    axes.set_title(stage.name)
    axes.set_xlabel(f"right: {stage.value:.4g}".replace("-", "−"))
    axes.locator_params(axis="x", nbins=2)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _mark(axes: Axes, place: int, name: str, value: float, stage: Stage) -> None:
    """Draw where a format lands, and by how much that is off."""
    at, off = max(value, stage.low), abs(value / stage.value - 1)
    look: Any = {"color": SUPPORT, "markersize": 8, "clip_on": False, "zorder": 4}
    axes.plot([at], [place], "X" if at == value else "<", label=name, **look)
    text = f"{100 * off:.2g} %" if off < 0.995 else "100 %"
    beside: Any = {"textcoords": "offset points", "fontsize": 10.5, "color": SUPPORT, "zorder": 3, "va": "center"}
    box: Any = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    if off >= SEEN:
        axes.annotate(text, (at, place), (8, 9), bbox=box, **beside)


def _grid(axes: Axes, place: int, name: str, stage: Stage) -> None:
    """Draw the numbers of a format in a window: a tick for each, or a bar where they are too close."""
    numbers = np.unique(rounded_to(np.linspace(stage.low, stage.high, FINE), name))
    numbers = numbers[(numbers >= stage.low) & (numbers <= stage.high)]
    axes.plot([stage.low, stage.high], [place, place], color=PALE, linewidth=1, zorder=0)
    for part in _parts(numbers, (stage.high - stage.low) / MANY):
        if len(part) > 1:
            axes.plot([part[0], part[-1]], [place, place], color=BAR, linewidth=6, solid_capstyle="butt", zorder=0)
    if len(numbers) <= 2 * MANY:
        axes.vlines(numbers, place - 0.16, place + 0.16, color=NEGATIVE, linewidth=1.1, zorder=1)


def _parts(numbers: FloatArray, near: float) -> list[FloatArray]:
    """Return the numbers in runs whose members are nearer to each other than a distance."""
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > near) + 1)
