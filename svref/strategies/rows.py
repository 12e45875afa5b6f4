"""One row of cosines at what matters: at a decision, a pole, a tail, a kink, or where exponentials run out.

Each kind of row is a function below. It draws the target's cosine and the negatives of a loss, and says how far in ulps
the row is from what it is at.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svref.formats import Format
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.strategies.numbers import (
    COARSE,
    beside,
    cosines,
    distances,
    format_named,
    grid,
    ordinal,
    rounded,
    tiny,
)
from svref.strategies.places import boundary, places

ANYWHERE = -1.0  # the lowest cosine


@dataclass(frozen=True)
class Frame:
    """What a row is drawn for.

    Parameters
    ----------
    loss : SVXSoftmax
        Whose decisions the row is at.
    dtype : str
        The format that holds its numbers.
    classes : int
        C, the target included.
    subnormal : bool
        Whether subnormal numbers may occur.
    """

    loss: SVXSoftmax
    dtype: str
    classes: int
    subnormal: bool

    @property
    def format(self) -> Format:
        """The format by its digits and range."""
        return format_named(self.dtype)

    def beside(self, x: float, ulps: int) -> tuple[float, int]:
        """Return the number `ulps` away from the one nearest to x, and `ulps`; at an end of [-1, 1] there are fewer."""
        moved = beside(x, ulps, self.format, self.subnormal)
        if abs(moved) <= 1:
            return moved, ulps
        end = math.copysign(1.0, moved)
        return end, ordinal(end, self.format) - ordinal(x, self.format)

    def boundary(self, target: float) -> float:
        """Return what a negative must exceed to be a support vector, as float64 computes it."""
        decider = self.loss.emphasis.boundary or self.loss.margin
        return boundary(decider, target)


@dataclass(frozen=True)
class Row:
    """A drawn row: what it is at, and its cosines with the target's apart.

    Parameters
    ----------
    kind : str
        What it is at, one of `KINDS`.
    ulps : int or None
        How many numbers of the format it was moved away from there; None if nothing was moved.
    target : float
        The target's cosine.
    negatives : sequence of float
        The others.
    """

    kind: str
    ulps: int | None
    target: float
    negatives: Sequence[float]

    @property
    def at(self) -> str:
        """The kind and the distance as a label: "tie", "tie+1", "pole-4"."""
        return f"{self.kind}{self.ulps:+d}" if self.ulps else self.kind


Maker = Callable[[st.DrawFn, Frame], Row]


def free(draw: st.DrawFn, frame: Frame, less: int = 1) -> list[float]:
    """Draw the negatives that may be anything; `less` is how many columns are taken already, the target's included."""
    return draw(_several(frame.dtype, max(frame.classes - less, 0)))


@functools.cache
def _several(dtype: str, size: int) -> SearchStrategy[list[float]]:
    """Return a strategy for that many cosines of a format, or of eighths if it is named "coarse"."""
    one = grid(COARSE) if dtype == "coarse" else _cosines(dtype)
    return st.lists(one, min_size=size, max_size=size)


# One object each: Hypothesis then prepares it once and not in every draw.
_cosines = functools.cache(cosines)
_distances = functools.cache(distances)
_tiny = functools.cache(tiny)
_poles = st.sampled_from((1.0, -1.0))


# ---- the kinds -----------------------------------------------------------------------------------------------------


def plain(draw: st.DrawFn, frame: Frame) -> Row:
    """Any cosines."""
    return Row("plain", None, draw(_cosines(frame.dtype)), free(draw, frame))


def hard(draw: st.DrawFn, frame: Frame) -> Row:
    """A target at or below 0, and negatives at or above 0: a large loss, whose exponentials may overflow."""
    return Row("hard", None, -abs(draw(_cosines(frame.dtype))) + 0.0, [abs(c) for c in free(draw, frame)])


def tie(draw: st.DrawFn, frame: Frame) -> Row:
    """A negative at the boundary of the mask, or some ulps beside it."""
    target = _with_boundary(draw(_cosines(frame.dtype)), frame)
    at_boundary, ulps = frame.beside(frame.boundary(target), draw(_distances(frame.dtype)))
    return Row("tie", ulps, target, [at_boundary, *free(draw, frame, 2)])


def at_place(kind: str) -> Maker:
    """Return the maker of rows whose target is at a pole, tail, kink or threshold, or some ulps beside it."""

    def make(draw: st.DrawFn, frame: Frame) -> Row:
        place = draw(st.sampled_from(places(frame.loss.margin)[kind]))
        ulps = draw(_distances(frame.dtype))
        ulps = -int(math.copysign(ulps, place)) if kind == "pole" else ulps  # a pole has neighbours on one side only
        target, ulps = frame.beside(place, ulps)
        return Row(kind, ulps, target, free(draw, frame))

    return make


def negative_at_pole(draw: st.DrawFn, frame: Frame) -> Row:
    """A negative at c = ±1, or some ulps inside."""
    place, (inside, ulps) = draw(_poles), frame.beside(1.0, -abs(draw(_distances(frame.dtype))))
    negative, ulps = place * inside, int(place * ulps)
    return Row("negative-at-pole", ulps, draw(_cosines(frame.dtype)), [negative, *free(draw, frame, 2)])


def twice(draw: st.DrawFn, frame: Frame) -> Row:
    """A negative with the target's cosine, as of a class that is there twice."""
    target = draw(_cosines(frame.dtype))
    return Row("twice", None, target, [target, *free(draw, frame, 2)])


def converged(draw: st.DrawFn, frame: Frame) -> Row:
    """A loss below the unit roundoff, so that 1 + loss is 1."""
    return _below(draw, frame, "converged", frame.format.digits * math.log(2))


def underflowing(draw: st.DrawFn, frame: Frame) -> Row:
    """A loss below the smallest normal number."""
    return _below(draw, frame, "underflowing", -frame.format.lowest * math.log(2))


def tiny_cosine(draw: st.DrawFn, frame: Frame) -> Row:
    """The target's cosine or a negative is a power of two far below 1; or a subnormal number, if these may occur."""
    small = draw(_tiny(frame.dtype, frame.subnormal))
    if frame.classes > 1 and draw(st.booleans()):
        return Row("tiny", None, draw(_cosines(frame.dtype)), [small, *free(draw, frame, 2)])
    return Row("tiny", None, small, free(draw, frame))


#: The kinds of rows by name, each with the function that draws one.
KINDS: dict[str, Maker] = {
    "plain": plain,
    "hard": hard,
    "tie": tie,
    "pole": at_place("pole"),
    "tail": at_place("tail"),
    "kink": at_place("kink"),
    "threshold": at_place("threshold"),
    "negative-at-pole": negative_at_pole,
    "twice": twice,
    "converged": converged,
    "underflowing": underflowing,
    "tiny": tiny_cosine,
}
OFTEN = {"tie": 4, "tail": 4, "threshold": 4, "pole": 2}  # how many times as often as other kinds


def kinds_for(frame: Frame) -> list[str]:
    """Return the kinds of rows that a loss has: no tie without an emphasis, no tail without a margin of an angle.

    Rows at a decision and at a pole stand in it several times, to be drawn more often.
    """
    has = {"plain", "hard", "tiny", *places(frame.loss.margin)}
    if frame.classes > 1:
        has |= {"negative-at-pole", "twice"}
        if frame.loss.emphasis.t > 1 and abs(frame.boundary(1.0)) <= 1:
            has.add("tie")
        smallest = _highest_negative(frame, 1.0, 0.0) - ANYWHERE  # how far a negative can fall below the target
        for kind, drop in (("converged", frame.format.digits), ("underflowing", -frame.format.lowest)):
            if frame.loss.s * smallest >= drop * math.log(2):
                has.add(kind)
    return [kind for kind in KINDS if kind in has for _ in range(OFTEN.get(kind, 1))]


# ---- what the kinds share ------------------------------------------------------------------------------------------


def _with_boundary(target: float, frame: Frame) -> float:
    """Return a target whose boundary is a cosine: the one given, or one on the way from it to 1."""
    while abs(frame.boundary(target)) > 1 and target < 1:
        target = rounded((1 + target) / 2, frame.format) if target < 0.96875 else 1.0
    return target


def _highest_negative(frame: Frame, target: float, drop: float) -> float:
    """Return the highest cosine that all negatives may have for a loss of at most e^-drop."""
    room = (drop + math.log(frame.classes)) / frame.loss.s  # log C leaves room for a class that is there twice
    return min(float(frame.loss.margin.value(Angle.from_cosine([target]))[0]) - room, frame.boundary(target))


def _below(draw: st.DrawFn, frame: Frame, kind: str, drop: float) -> Row:
    """Draw a row with a loss of at most e^-drop: its negatives are lowered to where they must be."""
    target = abs(draw(_cosines(frame.dtype)))
    target = target if _highest_negative(frame, target, drop) >= ANYWHERE else 1.0
    highest = math.floor(_highest_negative(frame, target, drop) * COARSE) / COARSE
    drawn = draw(_several("coarse", frame.classes - 1))
    return Row(kind, None, target, [min(c, max(highest, ANYWHERE)) for c in drawn])
