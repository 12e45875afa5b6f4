"""What does a candidate compute? All questions in their order, answered from its outputs without expected values.

Each file asks about one part of the loss, with rows chosen so that a loss can be turned back into that part
(`probes`): `target` about f, `negatives` and `mask` about logits, I and h, `gradient` about the backward pass, and
`behaviour` about what holds for any loss: batches, state, caps. `whole` asks about all of the loss at once, and
`settling` says what its answer means for the parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from svref.conformance.diagnosing import (
    behaviour,
    cotangent,
    digits,
    ends,
    gradient,
    mask,
    negatives,
    of_families,
    settling,
    target,
    whole,
)
from svref.conformance.diagnosing.cotangent import Weighted
from svref.conformance.diagnosing.findings import Finding
from svref.conformance.diagnosing.probes import BoundCandidate, Subject
from svref.conformance.diagnosing.whole import Elsewhere, Told
from svref.loss import SVXSoftmax, check_loss

QUESTIONS = (  # in the order of a report; those without a meaning for a loss are left out
    behaviour.SCALE,
    target.F,
    target.TAIL,
    target.EASY,
    negatives.LOGITS,
    mask.MASK,
    mask.TIES,
    negatives.H,
    target.LABEL,
    of_families.SOFTMAX,
    gradient.GRADIENT,
    cotangent.COTANGENT,
    behaviour.STATE,
    behaviour.BATCHES,
    behaviour.ROW_ORDER,
    behaviour.CLASS_ORDER,
    ends.LOSS_AT_POLES,
    ends.POLES,
    ends.NEGATIVE_ENDS,
    behaviour.BEYOND,
    behaviour.CAP,
    behaviour.OVERFLOW,
    digits.DIGITS,
)


NOT_OF_A_ROW = (behaviour.BATCHES, behaviour.ROW_ORDER, behaviour.BEYOND, ends.POLES, ends.NEGATIVE_ENDS)


@dataclass(frozen=True)
class Others:
    """Other ways to ask a candidate than by cosines and labels.

    Parameters
    ----------
    elsewhere : sequence of (candidate, loss)
        The candidate with other parameters bound, and the paper's loss with these.
    weighted : callable or None
        Takes cosines, labels and a cotangent (B,), and returns the gradient, or None if no cotangent is taken.
    pairs : bool
        Whether pairs of mistakes are looked for in the losses, which takes seconds.
    of_head : bool
        Whether the candidate is a head, asked one row at a time: what a row alone cannot tell is left out.
    """

    elsewhere: Elsewhere = ()
    weighted: Weighted | None = None
    pairs: bool = True
    of_head: bool = False


ALONE = Others()


@np.errstate(all="ignore")  # a wrong candidate overflows and divides by zero, and so does what is measured of it
def identify(
    candidate: BoundCandidate, loss: SVXSoftmax, dtype: DTypeLike = "float64", others: Others = ALONE
) -> tuple[Finding, ...]:
    """Say what loss a candidate computes.

    Parameters
    ----------
    candidate : callable
        Takes cosines (B, C) and labels (B,), with the hyper-parameters bound, and returns per-sample losses (B,) and
        the gradient (B, C) of their sum by the cosines, or None in its place. What it raises is a finding.
    loss : SVXSoftmax
        The paper's loss with the parameters that were bound. Bind s = 8: at larger scales rounding hides f at more
        targets. Bind s = 64 to have the questions about caps and overflow answered for angular margins too.
    dtype : {"float64", "float32"}
        The dtype of the cosines that the candidate is given.
    others : Others, optional
        Other ways to ask the same candidate: with other parameters, which tell s = 64 from s² where s = 8, and with a
        cotangent.

    Returns
    -------
    tuple of Finding
        In the order of `QUESTIONS`; questions without a meaning for this loss are left out.

    Raises
    ------
    TypeError, ValueError
        If `loss` is no SVXSoftmax or `dtype` none of the two.
    """
    check_loss(loss)
    name = np.dtype(dtype).name
    if name not in ("float64", "float32"):
        raise ValueError(f"dtype must be float32 or float64; got {name}.")
    as_it_came = Subject(candidate, loss, np.dtype(dtype), name, of_head=others.of_head)
    at_first = behaviour.ordinary_losses(as_it_came)
    of_digits, subject = digits.precision(as_it_came)
    of_batch, subject = behaviour.batch(subject)
    told = whole.ask(subject, others.elsewhere, others.pairs)
    of_values, subject = _of_values(subject, told)
    of_order = (*behaviour.order(subject), behaviour.beyond_one(subject), behaviour.overflow(subject))
    of_state = behaviour.state(replace(subject, batch_power=0, grid=""), at_first)
    of_cotangent = cotangent.ask(subject, others.weighted) if others.weighted is not None else []
    findings = (*of_digits, of_batch, *of_values, *of_cotangent, *of_order, of_state)
    told_of_rows = [f for f in findings if not (others.of_head and f.question in NOT_OF_A_ROW)]
    return tuple(sorted(told_of_rows, key=lambda finding: QUESTIONS.index(finding.question)))


def _of_values(subject: Subject, told: Told) -> tuple[list[Finding], Subject]:
    """Return the findings about the losses and the gradient, and the subject that later questions are read with.

    A clamp is told from its gradient, if it kills it; so parts are asked first where the losses are those of a clamp.
    """
    if not told.is_reading:
        return _part_by_part(subject, told)
    if told.form is not None and told.form.is_of_ends:
        found = _part_by_part(subject, told)
        if any(finding.deviation.startswith("clamp") for finding in found[0]):
            return found
    return _as_told(subject, told)


def _as_told(subject: Subject, told: Told) -> tuple[list[Finding], Subject]:
    """Return the findings about a candidate of which one form gives every loss; its gradient and ends are asked."""
    of_gradient = gradient.gradient(subject, is_papers=False)
    of_ends = [ends.of_another_loss(finding) for finding in ends.ask(subject, is_right=False)]
    return [*settling.as_told(subject.loss, told), of_gradient, *of_ends], subject


def _part_by_part(subject: Subject, told: Told) -> tuple[list[Finding], Subject]:
    """Return the findings about a candidate's parts, and the subject whose outputs later questions are read with.

    Every question measures with what was found before, so no departure hides another one.
    """
    of_cap, subject = behaviour.cap(subject)
    of_scale, subject = behaviour.scale(subject)
    subject = ends.clamp_of_negatives(subject)
    of_formula = _formula(subject, is_capped=of_cap.agrees is False)
    return settling.settled(subject, told, [of_cap, of_scale, *of_formula]), subject


def _formula(subject: Subject, is_capped: bool) -> list[Finding]:
    """Return the findings about f, the negatives and the gradient.

    What f is decides how the negatives are measured. The target's gradient at ±1 is judged only if everything before
    it is right.
    """
    of_f, base = target.ask(subject)
    of_negatives = negatives.ask(subject, base)
    of_gradient = gradient.gradient(subject)
    f_is_right = base == "" and not is_capped and all(finding.agrees is not False for finding in of_f)
    of_ends = ends.ask(subject, f_is_right and of_gradient.agrees is True)
    return [*of_f, *of_negatives, of_gradient, *of_ends]
