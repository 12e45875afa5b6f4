"""Forms that are made from the families of `svref.deviations`: mistakes that have no size, or one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from svref.conformance.diagnosing.behaviour import CAP, SCALE
from svref.conformance.diagnosing.forms import Form, Losses, Sizes
from svref.conformance.diagnosing.mask import MASK
from svref.conformance.diagnosing.negatives import LOGITS, H
from svref.conformance.diagnosing.target import EASY, LABEL, TAIL, F
from svref.deviations.families import FAMILIES, NEAR_POLES, Family
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Combined

SOFTMAX = "the loss of the logits"
STARTS = 18  # sizes among which the right one is looked for

ANSWERS: Mapping[str, tuple[str, ...]] = {  # the families that answer a question, the plainest first
    SCALE: ("other-scale", "target-scaled-alone", "negatives-scaled-alone"),
    F: (
        "cosine-margin", "angle-margin", "angle-margin-with-linear-tail", "angle-margin-with-plain-tail",
        "angle-margin-with-reflect-tail", "angle-multiplied", "other-pieces", "other-m1", "other-m2", "other-m3",
        "target-logit-shifted", "margin-in-column-y-+-1", "margin-in-column-y---1", "margin-in-column-0",
        "margin-in-column-argmax-c", "margin-in-column-argmin-c", "sine-kept-from-0-a", "sine-kept-from-0-b",
        "target-shrunk", "angle-kept-below",
    ),
    TAIL: ("tail-shifted", "tail-constant"),
    EASY: ("margin-above-a-threshold-else-c_y", "margin-below-a-threshold-else-c_y"),
    LOGITS: ("margin-on-1-hardest", "margin-on-2-hardest", "margin-in-column-the-labels-of-the-batch"),
    MASK: tuple(name for name, each in FAMILIES.items() if name.startswith("mask-") and not each.has_size),
    LABEL: ("label-emphasised-after-margin", "label-emphasised-after-margin-fixed", "zeroed-label-in-mask-of-scaled"),
    H: (
        "other-t", "h-is-a-constant", "h-with-another-offset", "h-with-another-factor",
        "zeroed-label-in-mask-of-scaled",
    ),
    SOFTMAX: (
        "softmax-twice", "target-left-out", "minus-probability", "result-scaled", "loss-shifted", "labels-smoothed",
        "labels-smoothed-over-negatives", "focal-weight",
    ),
    CAP: ("probability-kept-above", "probability-kept-between"),
}  # fmt: skip
NAMED = {"probability-kept-above": "loss-capped", "probability-kept-between": "probability-clipped"}  # deviations
AS_TRIED = ("other-pieces", "minus-probability")  # their sizes are not fitted
# Pairs are looked for of one of the first and one of the second.
FIRST: Mapping[str, Callable[[SVXSoftmax, float], SVXSoftmax]] = {
    "other-scale": lambda loss, size: replace(loss, s=size),
    "cosine-margin": lambda loss, size: replace(loss, margin=AdditiveCosine(size)),
    "angle-margin": lambda loss, size: replace(loss, margin=Combined(1.0, size, 0.0)),
}
SECOND = ("softmax-twice", "target-left-out", "result-scaled", "loss-shifted", "labels-smoothed", "focal-weight")


def forms_of_families(loss: SVXSoftmax) -> Iterator[Form]:
    """Yield the forms that have a meaning for a loss."""
    tail = loss.margin.tail if isinstance(loss.margin, AdditiveAngle) else ""
    for name in dict.fromkeys(name for names in ANSWERS.values() for name in names):
        has_tail = not name.endswith("-tail") or name == f"angle-margin-with-{tail}-tail"
        if FAMILIES[name].applies(loss) and has_tail:
            yield from _forms(FAMILIES[name], loss)


def _forms(family: Family, loss: SVXSoftmax) -> Iterator[Form]:
    """Yield the form of a family; where no size is fitted, a form for each that is tried."""
    starts, losses, change = _starts(family, loss), _losses(family), FIRST.get(family.name)
    if family.name in AS_TRIED:
        yield from (Form(_says(family, f"{size[0]:g}"), _at(losses, size)) for size in starts)
        return
    yield Form(
        _says(family, "{0}"),
        losses,
        starts,
        positive=not family.linear and min(starts) > (0,),
        has_switch=family.name in ANSWERS[EASY],
        change=None if change is None else lambda loss, v: change(loss, *v),
        is_second=family.name in SECOND,
        is_of_ends=family.name in NEAR_POLES,
        deviation=NAMED.get(family.name, ""),
    )


def _says(family: Family, size: str) -> tuple[tuple[str, str], ...]:
    """Return the questions that a family answers, each with its formula."""
    return tuple(
        (question, family.formula.format(size=size)) for question, names in ANSWERS.items() if family.name in names
    )


def _starts(family: Family, loss: SVXSoftmax) -> tuple[Sizes, ...]:
    """Return the sizes that a fit begins at."""
    if not family.has_size or family.name in ANSWERS[EASY]:
        return ((),)
    if family.linear:
        return ((1.0,),)
    if family.between is not None:
        return tuple((size,) for size in family.spread(STARTS).tolist())
    return tuple(sorted((law.of(loss, 1, 2),) for law in family.tried if law.is_number))


def _losses(family: Family) -> Losses:
    """Return the losses with a mistake as a function of parts and sizes; a mistake without a size takes any."""
    on_cosines = family.on_cosines
    if on_cosines is None:
        raise TypeError(f"{family.name} is a mistake of the head, and no form.")
    return lambda parts, v: on_cosines(*(v or (1.0,)))(parts.loss, parts.c, parts.rows.labels, parts.ones)[0]


def _at(losses: Losses, size: Sizes) -> Losses:
    """Return losses with one size, as a form without sizes has them."""
    return lambda parts, v: losses(parts, size)
