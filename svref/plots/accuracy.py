"""How many digits the textbook's form and the relative form keep, held against certified values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from svref.arrays import FloatArray
from svref.loss import SVXSoftmax
from svref.plots.forms import ROUNDINGS, relative, textbook
from svref.plots.labels import label_curves
from svref.plots.style import INK, PALE, SUPPORT, TARGET, panels, styled

FLOOR = 1e-17  # where an error of 0 is drawn
FORMS = {"textbook": textbook, "relative": relative}
LOOKS: dict[tuple[str, str], tuple[str, Any, str]] = {
    ("textbook", "float32"): (SUPPORT, (0, (2, 1.2)), "x"),
    ("textbook", "float64"): (SUPPORT, "-", "v"),
    ("relative", "float32"): (TARGET, (0, (2, 1.2)), "s"),
    ("relative", "float64"): (TARGET, "-", "o"),
}


class Errors(NamedTuple):
    """Relative errors of the losses and of dL/dc_y, (B,) each, and the certified losses they belong to."""

    true_loss: FloatArray
    loss: FloatArray
    gradient: FloatArray


def training_rows(number: int = 40, classes: int = 8) -> FloatArray:
    """Return cosines (number, classes) from an untrained row to a converged one; the label is 0.

    The target's cosine rises from 0.5 to 0.998, and the negatives fall from about 0.15 to about -0.5.
    """
    done, spots = np.linspace(0, 1, number)[:, None], np.linspace(-0.1, 0.1, classes - 1)
    return np.hstack([0.5 + 0.498 * done, 0.15 - 0.65 * done + 0.5 * spots])


def errors(loss: SVXSoftmax, cosines: FloatArray, form: str, name: str) -> Errors:
    """Return the errors of a form in a format, "float32" or "float64", against svref.exact.

    Both see the cosines rounded to the format, so that nothing but the computation errs.
    """
    from svref import exact  # the other figures do not need python-flint

    seen, labels = ROUNDINGS[name](cosines), np.zeros(len(cosines), np.intp)
    truth = exact.evaluate(loss, seen, labels)
    got = FORMS[form](loss, seen, labels, name)
    by_loss = np.abs(got.loss - truth.loss.hi) / truth.loss.hi
    by_target = np.abs(got.gradient[:, 0] / truth.cosines.hi[:, 0] - 1)
    return Errors(truth.loss.hi, by_loss, by_target)


@styled
def converged(loss: SVXSoftmax, cosines: ArrayLike | None = None) -> Figure:
    """Draw the error of the textbook's form and of the relative form, in float32 and float64, as a row converges.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    cosines : array_like, shape (B, C), optional
        Rows with label 0, from untrained to converged; None is `training_rows`.

    Returns
    -------
    matplotlib.figure.Figure
        The relative error of the loss, and of dL/dc_y, over the certified loss, which falls from left to right. At 1
        no digit is right. Needs python-flint (extra `exact`).
    """
    rows = training_rows() if cosines is None else np.asarray(cosines, float)
    figure, axes = panels(2, 1, 7.2, sharex=True)
    found = {key: errors(loss, rows, *key) for key in LOOKS}
    for at, part, name in zip(axes, ("loss", "gradient"), ("the loss L", "∂L/∂$c_y$"), strict=True):
        _errors(at, {key: (e.true_loss, getattr(e, part)) for key, e in found.items()})
        at.set(ylabel="relative error", title=f"error of {name}")
    axes[1].set_xlabel("L, certified (nats): untrained on the left, converged on the right")
    return figure


def _errors(axes: Axes, found: Mapping[tuple[str, str], tuple[FloatArray, FloatArray]]) -> None:
    """Draw the errors of each form in each format over the certified losses, which fall from left to right."""
    true = np.concatenate([loss for loss, _ in found.values()])
    axes.set(xscale="log", yscale="log", ylim=(FLOOR / 3, 300), yticks=[1e-16, 1e-12, 1e-8, 1e-4, 1])
    axes.set_xlim(2 * true.max(), 0.5 * true.min())
    lines = []
    for (form, name), (loss, error) in found.items():
        color, style, mark = LOOKS[form, name]
        look: Any = {"color": color, "linestyle": style, "marker": mark, "markersize": 4, "linewidth": 1.3}
        lines += axes.plot(loss, np.maximum(error, FLOOR), label=f"{form}, {name}", **look)
    axes.axhline(1, color=INK, linewidth=1)
    axes.text(true.min(), 1.6, "no digit is right", va="bottom", ha="right", fontsize=11)
    label_curves(axes, lines, on_curve=False)


@styled
def precision(loss: SVXSoftmax, cosines: ArrayLike, label: int) -> Figure:
    """Draw what one row becomes in float64, float32 and bfloat16: the textbook's form beside the relative one.

    Parameters
    ----------
    loss : SVXSoftmax
        The loss.
    cosines : array_like, shape (C,)
        The row, in numbers that bfloat16 holds, so that all formats see the same one.
    label : int
        Its class.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels, for L, -dL/dc_y and the largest dL/dc_k. The line is the certified value; a number that became 0
        or that has the wrong sign stands at the left end. Needs python-flint (extra `exact`).

    Raises
    ------
    ValueError
        If bfloat16 does not hold a cosine.
    """
    from svref import exact  # the other figures do not need python-flint

    row = np.asarray(cosines, float)[None]
    is_held = ROUNDINGS["bfloat16"](row) == row
    if not is_held.all():
        raise ValueError(f"cosines must be numbers that bfloat16 holds; got {row[~is_held][0]!r}.")
    truth = exact.evaluate(loss, row, [label])
    k = int(np.argmax(np.where(np.arange(row.shape[1]) == label, -1.0, truth.cosines.hi[0])))
    figure, axes = panels(3, 1, 7.0)
    for at, (name, true, part) in zip(axes, _parts(truth.loss.hi[0], truth.cosines.hi[0], label, k), strict=True):
        _formats(at, loss, row, label, true, part)
        at.set_title(f"{name}, certified: {true:.3g} nats")
    axes[-1].set_xlabel("value (nats, log scale)")
    return figure


def _parts(loss: float, gradient: FloatArray, label: int, k: int) -> list[tuple[str, float, Any]]:
    """Return the name of each quantity, its certified value, and how it is taken from a result."""
    return [
        ("L", float(loss), lambda result: result.loss[0]),
        ("−∂L/∂$c_y$", float(-gradient[label]), lambda result: -result.gradient[0, label]),
        (f"∂L/∂$c_{{{k}}}$", float(gradient[k]), lambda result: result.gradient[0, k]),
    ]


def _formats(axes: Axes, loss: SVXSoftmax, row: FloatArray, label: int, true: float, part: Any) -> None:
    """Draw a quantity in each format, computed by both forms."""
    left = true / 30
    axes.axvline(true, color=INK, linewidth=1.4, label="certified")
    for place, name in enumerate(ROUNDINGS):
        for form, shift, color, mark in (("textbook", 0.2, SUPPORT, "X"), ("relative", -0.2, TARGET, "o")):
            value = float(part(FORMS[form](loss, row, [label], name))) + 0.0
            at, text = (max(value, left), place + shift), f"{form}: {value:.3g}"
            axes.plot(*at, mark, color=color, markersize=9, clip_on=False, label=f"{form}, {name}")
            text += f", off by {_percent(value / true - 1)}" if value > 0 else ""
            beside: Any = {"textcoords": "offset points", "va": "center", "fontsize": 11}
            axes.annotate(text, at, (9, 0), color=color, **beside)
    axes.set(xscale="log", xlim=(left, 40 * true), ylim=(2.6, -0.6), yticks=range(3))
    axes.set_yticklabels(list(ROUNDINGS))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(PALE)


def _percent(error: float) -> str:
    return f"{abs(error):.0e}" if abs(error) < 1e-3 else f"{100 * abs(error):.2g} %"
