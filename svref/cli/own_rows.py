"""Rows of a user's own for `svref explain`: cosines on the command line, or arrays in a .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import FloatArray
from svref.checks import class_indices
from svref.cli.chosen import Chosen
from svref.head.shards import Shard
from svref.reference import Step
from svref.variants import Variant

INPUTS = ("cosines",), ("embeddings", "weights")  # what a file holds besides labels


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Rows to explain.

    Parameters
    ----------
    name : str
        What the title calls them: the file's name, or "--cosines".
    arrays : tuple of arrays
        Cosines (B, C); or embeddings (B, D) and weights (C, D).
    labels : array_like, shape (B,)
        The target classes.
    """

    name: str
    arrays: tuple[FloatArray, ...]
    labels: ArrayLike

    def chosen(self, entry: Variant, given: Mapping[str, float], row: int | None = None) -> Chosen:
        """Return one row to explain; None is the row with the largest loss.

        Raises
        ------
        ValueError
            If the variant has no such parameter, or an input is not valid for it.
        """
        unknown = given.keys() - entry.parameters.keys()
        if unknown:
            known, got = ", ".join(entry.parameters), ", ".join(sorted(unknown))
            raise ValueError(f"parameters of {entry.name} are {known}; got {got}.")
        parameters = {**entry.parameters, **given}
        step = self._step(entry, parameters)
        b = int(np.argmax(step.loss)) if row is None else row
        which = f", row {b} of 0..{len(step.labels) - 1}" if len(step.labels) > 1 else ""
        title = [f"{entry.name}, {self.name}{which}", *_beyond(step, b)]
        return Chosen(step, b, title, parameters)

    def _step(self, entry: Variant, parameters: Mapping[str, float]) -> Step:
        """Return the forward pass of all rows; every fault of an input is a ValueError."""
        loss = entry.factory(**parameters)
        try:
            if len(self.arrays) == 1:
                return loss.forward(self.arrays[0], self.labels)
            embeddings, weights = self.arrays
            labels, _ = class_indices(self.labels, len(embeddings), len(weights), None)  # a shard would take -1 too
            return Shard.of(loss, embeddings, weights, labels).step()
        except TypeError as error:
            raise ValueError(str(error)) from error


def _beyond(step: Step, row: int) -> list[str]:
    """Return a note if a number of the row is no cosine; a margin of the cosine takes it for a logit all the same."""
    cosines = step.cosines[row : row + 1].ravel()  # empty if there is no such row
    beyond = np.flatnonzero(np.abs(cosines) > 1)
    which = f"{cosines[beyond[0]]:.6g} of class {beyond[0]}" if len(beyond) else ""
    return [f"note: {which} is no cosine, which lies in [-1, 1]; the formulas hold for it too"] if which else []


def of_text(cosines: str, label: int) -> OwnRows:
    """Return the row of cosines that are written apart by spaces or commas."""
    words = cosines.replace(",", " ").split()
    try:
        row = np.array([[float(word) for word in words]])
    except ValueError as error:
        raise ValueError(f"--cosines takes numbers, such as '0.5 0.75 -0.25'; got {cosines!r}.") from error
    return OwnRows("--cosines", (row,), np.array([label]))


def of_file(path: Path) -> OwnRows:
    """Return the rows in a .npz file: labels and cosines, or labels, embeddings and weights; one row may be flat."""
    arrays = _arrays(path)
    names = next((names for names in INPUTS if set(names) <= arrays.keys()), None)
    if names is None or "labels" not in arrays:
        needed, held = "cosines and labels, or embeddings, weights and labels", ", ".join(arrays) or "no array"
        raise ValueError(f"{path} must hold {needed}; it holds {held}.")
    numbers = tuple(np.atleast_2d(_numbers(path, name, arrays[name])) for name in names)
    return OwnRows(path.name, numbers, np.atleast_1d(arrays["labels"]))


def _arrays(path: Path) -> dict[str, FloatArray]:
    """Return the arrays of a .npz file by their names; one with objects in it is refused, as reading it runs code."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be a .npz file of numbers, as np.savez writes it: {error}.") from error


def _numbers(path: Path, name: str, array: FloatArray) -> FloatArray:
    """Return an array as float32 or float64; raise a ValueError if it holds no real numbers."""
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} must hold real numbers; got {array.dtype}.")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
