"""The digits that a candidate keeps: whether it rounds to a narrower format than it is given, and whether everything.

Cosines that a format holds are moved by less than half of its spacing. Code that rounds to that format returns the very
same losses. If the losses themselves have no more digits than the format, all of it is computed in the format; if they
are those of rounded cosines to the last digits, the cosines alone are rounded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray
from svref.conformance.diagnosing import probes, whole
from svref.conformance.diagnosing.behaviour import ordinary_losses, ordinary_rows, why_no_losses
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.probes import BATCH, CLASSES, Rows, Subject
from svref.deviations import DEVIATIONS
from svref.formats import format_of, holds

DIGITS = "digits"
NARROWER = {"float64": ("float32", "float16", "bfloat16"), "float32": ("float16", "bfloat16")}
SMALLER_MOVES = {"float32": (2.0**-38, 2.0**-32)}  # tried before the largest one lost


def precision(subject: Subject) -> tuple[tuple[Finding, ...], Subject]:
    """Return the finding on digits, and the subject with the precision that was found."""
    losses = ordinary_losses(subject)
    if not np.isfinite(losses).any():
        return (unanswered(DIGITS, why_no_losses(subject)),), subject
    if np.nanmin(losses) == np.nanmax(losses):
        return (unanswered(DIGITS, "the losses of all rows are one number"),), subject
    evidence, lost = "", ""
    for name in NARROWER[subject.dtype.name]:
        moved, finite, move = _moved(subject, name)
        if not finite:
            return (unanswered(DIGITS, "rounding hides whether losses move"),), subject
        evidence = f"{moved} of {finite} losses move if cosines move by {move:.0e}"
        if moved:
            break
        lost, evidence_of_lost = name, evidence
    if not lost:
        return (Finding(DIGITS, f"{subject.dtype.name} throughout", evidence, True),), subject
    return _rounded_to(subject, lost, evidence_of_lost)


def _moved(subject: Subject, name: str) -> tuple[int, int, float]:
    """Return how many losses move though rounding to a format would lose it, how many are asked, and the move."""
    move, asked = _smallest_move(subject, name)
    one, other = (subject.ask(_grid_rows(each)).losses[asked] for each in (0.0, move))
    finite = np.isfinite(one) & np.isfinite(other)
    return int((one != other)[finite].sum()), int(finite.sum()), move


def _rounded_to(subject: Subject, name: str, evidence: str) -> tuple[tuple[Finding, ...], Subject]:
    """Return the finding that a candidate rounds to a format: everything, or its cosines alone."""
    losses = subject.ask(ordinary_rows()).losses
    losses = losses[np.isfinite(losses)]
    rest = "float32" if holds(losses, "float32").all() else subject.precision
    on_grid = replace(subject, grid=name, precision=rest)
    if not holds(losses, name).all() and whole.ask(on_grid, pairs=False).form is not None:
        return (known_deviation(DIGITS, f"inputs-cast-to-{name}", evidence),), on_grid
    known = f"precision-downcast-{name}"
    finding = Finding(DIGITS, f"everything is computed in {name}", evidence, False)
    return (known_deviation(DIGITS, known, evidence) if known in DEVIATIONS else finding,), replace(
        subject, precision=name
    )


def _grid_rows(move: float) -> Rows:
    """Return a batch of bfloat16 numbers between 0.25 and 0.9, or their negatives, moved by less than a format keeps.

    The targets are lowered by `move`, the negatives raised by half of it. Were it the same, then with m = π, where
    f = -c_y, no loss would move at all.
    """
    rng = np.random.default_rng(48)
    sizes, signs = rng.uniform(0.25, 0.9, (BATCH, CLASSES)), rng.choice([-1.0, 1.0], (BATCH, CLASSES))
    c = probes.rounded(sizes * signs, "bfloat16")
    return probes.rows_of(c[:, 0] - move, c[:, 1:] + move / 2)


def _smallest_move(subject: Subject, name: str) -> tuple[float, BoolArray]:
    """Return the smallest of the moves that half of the paper's losses show, and which rows (B,) show it.

    The largest move is an eighth of the format's spacing below 1. If none is shown, return it and the rows that show
    that one.
    """
    largest = format_of(name).unit_roundoff / 8
    before, noise = subject.papers_losses(_grid_rows(0.0)), 2 * subject.tolerance(_grid_rows(0.0))
    for move in (*SMALLER_MOVES.get(name, ()), largest):
        shown = np.abs(subject.papers_losses(_grid_rows(move)) - before) > noise
        if 2 * shown.sum() >= BATCH:
            break
    return move, shown
