"""The strategies for whole examples: rows of cosines, or embeddings and weights."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svref.arrays import FloatArray
from svref.loss import SVXSoftmax
from svref.strategies.example import Example, HeadExample
from svref.strategies.losses import losses, of_variant, variant_named
from svref.strategies.numbers import beside, cotangents, distances, format_named, labels
from svref.strategies.printed import show
from svref.strategies.rows import KINDS, Frame, Row, kinds_for

Sizes = tuple[int, int]
Range = int | Sizes
Losses = SVXSoftmax | str | SearchStrategy[SVXSoftmax] | None


def examples(
    loss: Losses = None,
    *,
    dtype: str = "float64",
    rows: Range = (1, 3),
    classes: Range = (1, 5),
    kinds: tuple[str, ...] | None = None,
    cotangent: bool = False,
    subnormal: bool = False,
    decided: bool = False,
) -> SearchStrategy[Example]:
    """Return a strategy for rows of cosines at what matters, with labels and a loss.

    Parameters
    ----------
    loss : SVXSoftmax, str or SearchStrategy, optional
        The loss; the name of a variant, whose parameters are then drawn; or a strategy for losses. All losses of
        `losses` if left out.
    dtype : {"float64", "float32", "float16", "bfloat16"}, default "float64"
        The format that holds every number, and in which the code under test computes.
    rows, classes : int or (int, int)
        B and C, or the least and the most of them.
    kinds : tuple of str, optional
        What the rows may be at, of `KINDS`; all if left out. A loss has only some of them, and where it has none of
        those that are asked for, another loss is drawn.
    cotangent : bool, default False
        Whether a cotangent is drawn. It is ones otherwise.
    subnormal : bool, default False
        Whether subnormal numbers may occur. Hardware that flushes them to zero takes them for 0.
    decided : bool, default False
        Whether rows are left out in which rounding decides, as by `Example.decided`.

    Returns
    -------
    SearchStrategy of Example

    Raises
    ------
    ValueError, TypeError
        For an unknown variant, dtype or kind, and a range that is none.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from svref.strategies import examples
    >>> @settings(max_examples=10, database=None)
    ... @given(examples("sv-am-softmax", dtype="float32"))
    ... def test_losses_are_right(example):
    ...     loss = example.loss.value(example.cosines, example.labels, reduction="none")
    ...     example.check(loss)
    >>> test_losses_are_right()
    """
    format_named(dtype)
    sizes, wanted = (_sizes("rows", rows), _sizes("classes", classes)), _wanted(kinds)
    return _examples(_losses(loss), dtype, sizes, wanted, cotangent, subnormal, decided)


@st.composite
def _examples(
    draw: st.DrawFn,
    of: SearchStrategy[tuple[SVXSoftmax, str | None]],
    dtype: str,
    sizes: tuple[Sizes, Sizes],
    wanted: tuple[str, ...],
    cotangent: bool,
    subnormal: bool,
    decided: bool,
) -> Example:
    (low, high), classes = sizes
    loss, variant = draw(of)
    number = draw(st.integers(*classes))
    again = draw(_twice(number))
    frame = Frame(loss, dtype, number if again is None else number - 1, subnormal)
    kinds = [kind for kind in kinds_for(frame) if kind in wanted]
    assume(kinds)
    drawn = draw(st.lists(_row(frame, kinds, cotangent, again), min_size=low, max_size=high))
    rows, y, g = zip(*drawn, strict=True)
    matrix = np.array([[*r.negatives[:k], r.target, *r.negatives[k:]] for r, k in zip(rows, y, strict=True)])
    if again is not None:
        matrix = np.column_stack([matrix, matrix[:, again]])
    return finished(Example(loss, matrix, y, g, dtype=dtype, at=[r.at for r in rows], variant=variant), decided)


@st.composite
def _row(draw: st.DrawFn, frame: Frame, kinds: list[str], cotangent: bool, again: int | None) -> tuple[Row, int, float]:
    """Draw one row, its label, which is not `again`, and its cotangent: as a whole, so that shrinking can omit it."""
    row = KINDS[draw(st.sampled_from(kinds))](draw, frame)
    y = draw(_labels(frame.classes - (again is not None)))
    y += again is not None and y >= again
    return row, y, draw(_cotangents(frame.dtype)) if cotangent else 1.0


@functools.cache
def _twice(number: int) -> SearchStrategy[int | None]:
    """Return a strategy for the class that is there twice, and nobody's target; None, mostly, for no such class."""
    return st.one_of(st.none(), st.none(), labels(number - 1)) if number > 2 else st.none()


# One object each: Hypothesis then prepares it once and not in every draw.
_labels, _cotangents = functools.cache(labels), functools.cache(cotangents)
_of_four = st.integers(0, 3)

Drawn = TypeVar("Drawn", Example, HeadExample)


def finished(example: Drawn, decided: bool) -> Drawn:
    """Return an example, without its undecided rows if so asked, and let Hypothesis print more if it fails."""
    example = example.decided() if decided else example
    show(example)
    return example


# ---- heads -----------------------------------------------------------------------------------------------------------

# Whole numbers whose squares add up to 64: over 8 they are vectors of length 1, whose cosines nobody rounds.
UNIT = [(8, 0, 0, 0, 0), (5, 5, 3, 2, 1), (7, 3, 2, 1, 1), (4, 4, 4, 4, 0), (6, 4, 2, 2, 2)]
FARTHEST = {"float16": 3}  # powers of two that lengths differ by; 12 in the formats of a wider range


def heads(
    loss: Losses = None,
    *,
    dtype: str = "float64",
    rows: Range = (1, 3),
    classes: Range = (1, 5),
    dimensions: Range = (1, 4),
    cotangent: bool = False,
    decided: bool = False,
) -> SearchStrategy[HeadExample]:
    """Return a strategy for embeddings and weights: at all angles, of unlike lengths, with classes twice.

    An embedding is drawn freely; or parallel, opposite, almost parallel or orthogonal to its class's weights. Some
    examples have axes as weights and embeddings of exact cosines, so that ties are ties for everybody.

    Parameters
    ----------
    loss, dtype, rows, classes, cotangent, decided
        As of `examples`.
    dimensions : int or (int, int)
        D, or the least and the most of it. Examples of exact cosines have D = 5 whatever is asked for.

    Returns
    -------
    SearchStrategy of HeadExample

    Raises
    ------
    ValueError, TypeError
        For an unknown variant or dtype, and a range that is none.
    """
    format_named(dtype)
    sizes = _sizes("rows", rows), _sizes("classes", classes), _sizes("dimensions", dimensions)
    return _heads(_losses(loss), dtype, sizes, cotangent, decided)


@st.composite
def _heads(
    draw: st.DrawFn,
    of: SearchStrategy[tuple[SVXSoftmax, str | None]],
    dtype: str,
    sizes: tuple[Sizes, Sizes, Sizes],
    cotangent: bool,
    decided: bool,
) -> HeadExample:
    (low, high), classes, dimensions = sizes
    loss, variant = draw(of)
    c, d = draw(st.integers(*classes)), draw(st.integers(*dimensions))
    exact = draw(_of_four) == 3
    weights = np.eye(5)[np.arange(c) % 5] if exact else np.array(draw(st.lists(_vector(d), min_size=c, max_size=c)))
    drawn = draw(st.lists(_embedding(weights, dtype, exact, cotangent), min_size=low, max_size=high))
    kinds, x, y, g = zip(*drawn, strict=True)
    w = np.array([draw(_lengths(dtype)) * row for row in weights])
    return finished(HeadExample(loss, x, w, y, g, dtype=dtype, at=kinds, variant=variant), decided)


@st.composite
def _embedding(
    draw: st.DrawFn, weights: FloatArray, dtype: str, exact: bool, cotangent: bool
) -> tuple[str, FloatArray, int, float]:
    """Draw one embedding with its kind, its label and its cotangent."""
    y = draw(_labels(len(weights)))
    if exact:
        kind, vector = "exact", draw(_exact_unit())
    else:
        kind = draw(st.sampled_from(tuple(ANGLES)))
        vector = ANGLES[kind](draw, [float(v) for v in weights[y]], dtype)
    return kind, draw(_lengths(dtype)) * np.array(vector), y, draw(_cotangents(dtype)) if cotangent else 1.0


@functools.cache
def _lengths(dtype: str) -> SearchStrategy[float]:
    """Return a strategy for powers of two, 1 first."""
    most = FARTHEST.get(dtype, 12)
    return st.one_of(st.just(0), st.integers(-most, most)).map(lambda k: 2.0**k)


@functools.cache
def _vector(d: int) -> SearchStrategy[list[float]]:
    """Return a strategy for vectors of whole fourths that are not 0."""
    fourths = st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=d, max_size=d)
    return fourths.map(lambda v: v if any(v) else [1.0, *v[1:]])


@functools.cache
def _exact_unit() -> SearchStrategy[list[float]]:
    """Return a strategy for vectors of length 1 whose entries are whole eighths, in any order, of any sign."""
    signs = st.lists(st.sampled_from((1, -1)), min_size=5, max_size=5)
    whole = st.tuples(st.sampled_from(UNIT).flatmap(st.permutations), signs)
    return whole.map(lambda drawn: [n * sign / 8 for n, sign in zip(*drawn, strict=True)])


def _near_parallel(draw: st.DrawFn, weight: list[float], dtype: str) -> list[float]:
    """Move one entry of the weights by some ulps."""
    k, ulps = draw(st.integers(0, len(weight) - 1)), draw(distances(dtype))
    moved = beside(weight[k] or 2.0**-6, ulps, format_named(dtype))
    return [moved if i == k else v for i, v in enumerate(weight)]


def _orthogonal(draw: st.DrawFn, weight: list[float], dtype: str) -> list[float]:
    """Turn the plane of two axes by π/2 and leave out the others; in one dimension there is no such vector."""
    pairs = [(i, j) for i, j in itertools.combinations(range(len(weight)), 2) if weight[i] or weight[j]]
    if not pairs:
        return weight
    i, j = draw(st.sampled_from(pairs))
    return [-weight[j] if k == i else weight[i] if k == j else 0.0 for k in range(len(weight))]


ANGLES: dict[str, Callable[[st.DrawFn, list[float], str], list[float]]] = {
    "plain": lambda draw, weight, dtype: draw(_vector(len(weight))),
    "parallel": lambda draw, weight, dtype: weight,
    "opposite": lambda draw, weight, dtype: [-v for v in weight],
    "near-parallel": _near_parallel,
    "orthogonal": _orthogonal,
}


# ---- arguments -------------------------------------------------------------------------------------------------------


def _losses(loss: Losses) -> SearchStrategy[tuple[SVXSoftmax, str | None]]:
    """Return a strategy for losses from what a user gave, each with the name of its variant if that was given."""
    if isinstance(loss, SearchStrategy):
        return st.tuples(loss, st.none())
    if isinstance(loss, SVXSoftmax) or loss is None:
        return st.tuples(losses() if loss is None else st.just(loss), st.none())
    return st.tuples(of_variant(loss), st.just(variant_named(loss).name))


def _sizes(name: str, given: Range) -> Sizes:
    """Return the least and the most of a size; raise a ValueError unless they are a range, from 1 up."""
    low, high = (given, given) if isinstance(given, int) else given
    if not 1 <= low <= high < math.inf:
        raise ValueError(f"{name} must be a number from 1 up, or the least and the most of them; got {given!r}.")
    return low, high


def _wanted(kinds: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the kinds that are asked for; raise a ValueError for one that there is not."""
    unknown = set(kinds or ()) - KINDS.keys()
    if unknown:
        raise ValueError(f"kinds are {', '.join(KINDS)}; got {', '.join(sorted(map(repr, unknown)))}.")
    return tuple(KINDS) if kinds is None else tuple(kinds)
