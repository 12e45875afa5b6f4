"""A training as it went: the embeddings on the circle, and how accurate and how hard it was, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from svref.arrays import FloatArray, IntArray
from svref.plots.labels import label_ends
from svref.plots.style import INK, LOOKS, SUPPORT, TARGET, panels, styled

RING = 0.3  # the width of the ring on which embeddings are drawn: neighbours would cover each other on a line
LEAST = 1e-4  # where a fraction of 0 is drawn, on the logarithmic axis


class History(Protocol):
    """What `training` draws of one training, as docs/examples/digits.py keeps it.

    Parameters
    ----------
    name : str
        The loss.
    accuracy, support : sequence of float
        By epoch, the first of them before training: the part of the test images that are right, and the fraction of
        negatives that are support vectors.
    embeddings : array, shape (B, 2)
        The embeddings of the test images at the end.
    labels : array of int, shape (B,)
        Their classes.
    centres : array, shape (C, 2)
        The weights of the classes at the end.
    """

    name: str
    accuracy: Sequence[float]
    support: Sequence[float]
    embeddings: FloatArray
    labels: ArrayLike
    centres: FloatArray


@styled
def training(histories: Sequence[History]) -> Figure:
    """Draw several trainings side by side: embeddings on the circle, fraction of support vectors, accuracy.

    Parameters
    ----------
    histories : sequence of History
        The trainings, up to three, each with its name; embeddings of two dimensions.

    Returns
    -------
    matplotlib.figure.Figure
        A circle for each training: a dot for each test image in the direction of its embedding, a cross for one whose
        nearest class is not its own, and a line for each class. Below them, over the epochs, the fraction of support
        vectors and the accuracy.

    Raises
    ------
    ValueError
        If there is no training, or more than three, or embeddings have not two dimensions.
    """
    _check(histories)
    figure, axes = panels(1, 1, 7.4)
    axes[0].remove()
    grid = figure.add_gridspec(3, len(histories), height_ratios=(1.05, 1, 1))
    for i, history in enumerate(histories):
        _circle(figure.add_subplot(grid[0, i]), history)
    support, accuracy = (figure.add_subplot(grid[row, :]) for row in (1, 2))
    _over_epochs(support, histories, [np.maximum(h.support, LEAST) for h in histories])
    support.set(yscale="log", ylabel="fraction of negatives", title="support vectors, training images")
    _over_epochs(accuracy, histories, [np.asarray(h.accuracy) for h in histories])
    accuracy.set(ylim=(0, 1), ylabel="fraction right", xlabel="epoch", title="accuracy, test images")
    support.tick_params(labelbottom=False)
    for at in (support, accuracy):
        label_ends(at, at.get_lines())
    return figure


def _check(histories: Sequence[History]) -> None:
    """Raise a ValueError unless there are one to three trainings of embeddings in the plane."""
    if not 1 <= len(histories) <= 3:
        raise ValueError(f"one to three trainings can be drawn side by side; got {len(histories)}.")
    for history in histories:
        if history.embeddings.ndim != 2 or history.embeddings.shape[1] != 2:
            found = f"{history.name} has {history.embeddings.shape}"
            raise ValueError(f"embeddings must have two dimensions to be drawn, shape (B, 2); {found}.")


def _circle(axes: Axes, history: History) -> None:
    """Draw the embeddings of one training on a ring, and the directions of the classes with their numbers."""
    angle = np.arctan2(history.embeddings[:, 1], history.embeddings[:, 0])
    radius = 1 + RING * (np.arange(len(angle)) * 0.6180339887 % 1)  # spread evenly, and the same in every drawing
    right = _nearest(history) == np.asarray(history.labels)
    for which, mark, color, size in ((right, "o", TARGET, 4), (~right, "x", SUPPORT, 16)):
        x, y = radius[which] * np.cos(angle[which]), radius[which] * np.sin(angle[which])
        axes.scatter(x, y, s=size, marker=mark, color=color, linewidths=1.1)
    for k, centre in enumerate(history.centres / np.linalg.norm(history.centres, axis=1, keepdims=True)):
        axes.plot([0, 0.97 * centre[0]], [0, 0.97 * centre[1]], color=INK, linewidth=1)
        axes.text(1.6 * centre[0], 1.6 * centre[1], str(k), ha="center", va="center")
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.75, 1.75), aspect="equal", title=history.name)
    axes.axis("off")


def _nearest(history: History) -> IntArray:
    """Return the class whose direction is nearest to each embedding."""
    centres = history.centres / np.linalg.norm(history.centres, axis=1, keepdims=True)
    return np.asarray((history.embeddings @ centres.T).argmax(axis=1))


def _over_epochs(axes: Axes, histories: Sequence[History], values: Sequence[FloatArray]) -> None:
    """Draw one number of each training over its epochs."""
    for look, history, numbers in zip(LOOKS, histories, values, strict=False):
        axes.plot(np.arange(len(numbers)), numbers, color=look.color, linestyle=look.linestyle, label=history.name)
    axes.set_xlim(0, max(map(len, values)) - 1)
