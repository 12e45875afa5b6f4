"""Strategies for losses: margins, emphases, scales, and the parameters of a variant by its name.

Parameters are drawn as people write them: multiples of 1/8, which every format holds, then decimals such as 0.35.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svref.emphasis import SupportVectors
from svref.loss import SVXSoftmax
from svref.margins import (
    TAILS,
    AdditiveAngle,
    AdditiveCosine,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)
from svref.strategies.numbers import one_of_numbers
from svref.variants import VARIANTS, Variant, spelt

LARGEST_ANGLE = 25  # of a margin, in eighths of a radian: 3.125 is below π


def eighths(low: int, high: int) -> SearchStrategy[float]:
    """Return a strategy for multiples of 1/8 from low/8 to high/8, then for decimals of two digits in that range.

    Two of three are multiples of 1/8: only among these are ties that nobody rounds.
    """
    exact = [n / 8 for n in range(low, high + 1)]
    decimals = [n / 100 for n in range(math.ceil(low * 12.5), math.floor(high * 12.5) + 1)]
    return one_of_numbers(exact * (2 * len(decimals) // len(exact)) + decimals)


def scales() -> SearchStrategy[float]:
    """Return a strategy for the scale s: powers of two from 1 to 1024, whole numbers from 1 to 100, and 512 and 1024.

    Returns
    -------
    SearchStrategy of float
        With s = 512 or more, the exponentials of a hard row overflow in every format unless the largest logit is
        subtracted first.
    """
    powers, whole = [2.0**k for k in range(11)], [float(n) for n in range(1, 101)]
    return one_of_numbers(powers * 9 + whole + [512.0, 1024.0] * 50)


def strengths() -> SearchStrategy[float]:
    """Return a strategy for the strength t of the emphasis, from 1, which is off, to 3.

    Returns
    -------
    SearchStrategy of float
        t is the SV paper's: code after the MV-Softmax paper calls t - 1 its t.
    """
    return eighths(8, 24)


_BY_NAME: dict[str, SearchStrategy[float]] = {
    "s": scales(),
    "t": strengths(),
    "m1": eighths(4, 24),
    "m2": eighths(0, LARGEST_ANGLE),
    "m3": eighths(0, 8),
}


def parameters(variant: str) -> SearchStrategy[dict[str, float]]:
    """Return a strategy for the parameters of a variant.

    Parameters
    ----------
    variant : str
        A name of `svref.VARIANTS`, in any spelling that `svref check --loss` takes.

    Returns
    -------
    SearchStrategy of dict
        Keyword arguments of the variant's factory: s, and its margins and t, if it has them.

    Raises
    ------
    ValueError
        For a name that is no variant's.

    Examples
    --------
    >>> import hypothesis
    >>> from svref import strategies
    >>> hypothesis.find(strategies.parameters("sv-am-softmax"), lambda p: p["s"] > 3 and p["m"] > 0.3)
    {'s': 4.0, 'm': 0.375, 't': 1.0}
    """
    entry = variant_named(variant)
    return st.fixed_dictionaries({name: _parameter(entry, name) for name in entry.parameters})


def _parameter(entry: Variant, name: str) -> SearchStrategy[float]:
    if name != "m":
        return _BY_NAME[name]
    if isinstance(entry.parameters["m"], int):
        return st.integers(1, 6)
    return eighths(0, LARGEST_ANGLE if entry.factory().angular else 8)


def margins() -> SearchStrategy[Margin]:
    """Return a strategy for margins: all of svref's, with every tail, and easy and straight-through ones around them.

    Returns
    -------
    SearchStrategy of Margin
        It shrinks towards `NoMargin`.
    """
    inner = st.one_of(
        st.just(NoMargin()),
        st.builds(AdditiveCosine, eighths(0, 8)),
        st.builds(AdditiveAngle, eighths(0, LARGEST_ANGLE), st.sampled_from(TAILS)),
        st.builds(MultiplicativeAngle, st.integers(1, 6), st.sampled_from((0.0, 5.0))),
        st.builds(Combined, eighths(4, 24), eighths(0, LARGEST_ANGLE), eighths(0, 8)),
    )
    easy = st.builds(EasyMargin, inner, st.one_of(st.just(0.0), eighths(-7, 7)))
    return st.one_of(inner, inner, easy, st.builds(StraightThrough, inner))


def losses(margin: SearchStrategy[Margin] | None = None) -> SearchStrategy[SVXSoftmax]:
    """Return a strategy for losses: a margin, an emphasis of either form, and a scale.

    Parameters
    ----------
    margin : SearchStrategy of Margin, optional
        The margins; `margins` if left out.

    Returns
    -------
    SearchStrategy of SVXSoftmax
    """
    emphases = st.builds(SupportVectors, strengths(), st.sampled_from(("adaptive", "fixed")))
    return st.builds(SVXSoftmax, margins() if margin is None else margin, emphases, scales())


def of_variant(variant: str) -> SearchStrategy[SVXSoftmax]:
    """Return a strategy for the losses of one variant."""
    factory = variant_named(variant).factory
    return parameters(variant).map(lambda p: factory(**p))


def variant_named(variant: str) -> Variant:
    """Return a variant by its name; raise a ValueError that lists the names there are."""
    if spelt(variant) not in VARIANTS:
        raise ValueError(f"the loss must be an SVXSoftmax or one of {', '.join(VARIANTS)}; got {variant!r}.")
    return VARIANTS[spelt(variant)]


def name_of(loss: SVXSoftmax, variant: str | None = None) -> tuple[str, dict[str, Any]] | None:
    """Return the variant that a loss is, and its parameters; None if it is none, as with an easy margin.

    At the ends of parameters a loss is several variants, SV-AM-Softmax with t = 1 is AM-Softmax: `variant` says which
    is meant, and the first in the registry is taken without it.
    """
    held = {**vars(loss.margin), "s": loss.s, "t": loss.emphasis.t}
    for entry in VARIANTS.values() if variant is None else [variant_named(variant)]:
        parameters = {key: held[key] for key in entry.parameters if key in held}
        if parameters.keys() == entry.parameters.keys() and _makes(entry, parameters, loss):
            return entry.name, parameters
    return None


def _makes(entry: Variant, parameters: dict[str, Any], loss: SVXSoftmax) -> bool:
    """Return whether the factory makes that loss; it refuses parameters that belong to another margin."""
    try:
        return bool(entry.factory(**parameters) == loss)
    except (ValueError, TypeError):
        return False
