"""The figure of a training shows the numbers of its histories, on axes with names."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from svref.plots.training import LEAST, training


@dataclass
class Trained:
    """A training of four images and three classes, the last image nearest to a class that is not its own."""

    name: str
    accuracy: list[float] = field(default_factory=lambda: [0.25, 0.5, 0.75])
    support: list[float] = field(default_factory=lambda: [0.5, 0.125, 0.0])
    embeddings: np.ndarray = field(default_factory=lambda: np.array([[2.0, 0], [-1, 2], [-1, -2], [3, 0.5]]))
    labels: np.ndarray = field(default_factory=lambda: np.array([0, 1, 2, 1]))
    centres: np.ndarray = field(default_factory=lambda: np.array([[1.0, 0], [-1, 1.5], [-1, -1.5]]))


def test_the_curves_are_the_histories() -> None:
    figure = training([Trained("softmax"), Trained("AM", accuracy=[0.25, 0.5, 1.0])])
    support, accuracy = figure.axes[-2:]
    drawn = {line.get_label(): line.get_ydata() for line in accuracy.get_lines() if line.get_label()[0] != "_"}
    assert {name: list(values) for name, values in drawn.items()} == {
        "softmax": [0.25, 0.5, 0.75],
        "AM": [0.25, 0.5, 1],
    }
    assert list(support.get_lines()[0].get_ydata()) == [0.5, 0.125, LEAST]  # a logarithmic axis has no 0
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "fraction right")
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["softmax", "AM"]


def test_an_image_nearest_to_another_class_is_a_cross() -> None:
    circle = training([Trained("AM")]).axes[0]
    right, wrong = (collection.get_offsets() for collection in circle.collections)
    assert (len(right), len(wrong)) == (3, 1)
    np.testing.assert_allclose(np.arctan2(wrong[0, 1], wrong[0, 0]), np.arctan2(0.5, 3), rtol=1e-12)
    assert [text.get_text() for text in circle.texts] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ([], "one to three trainings can be drawn side by side; got 0"),
        ([Trained("AM")] * 4, "one to three trainings can be drawn side by side; got 4"),
        ([Trained("AM", embeddings=np.ones((4, 3)))], r"must have two dimensions .*; AM has \(4, 3\)"),
    ],
)
def test_what_cannot_be_drawn_is_told(histories: list[Trained], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training(histories)
