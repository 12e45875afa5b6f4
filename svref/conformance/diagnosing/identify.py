"""What does a candidate compute? Found out from its outputs alone, without expected values.

Each answer is measured on rows chosen so that a loss can be turned back into its parts (`probes`). The files stand by
the stage they ask about: `target` (f), `negatives` (logits, I and h), `backward` (the gradient), `behaviour` (what
holds for any loss: batches, states, digits, caps).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from svref.conformance.diagnosing import behaviour, gradient, negatives, target
from svref.conformance.diagnosing.probes import Finding, Run, Subject
from svref.loss import SVXSoftmax, check_loss

__all__ = ["Finding", "Run", "identify"]


@np.errstate(all="ignore")  # a wrong candidate overflows and divides by zero; so does what is read from it
def identify(run: Run, loss: SVXSoftmax, dtype: DTypeLike = "float64") -> tuple[Finding, ...]:
    """Say what loss a candidate computes.

    Parameters
    ----------
    run : callable
        ``run(cosines (B, C), labels (B,))`` with the hyper-parameters bound: per-sample losses (B,), and the
        gradient of their sum by the cosines (B, C) or None. It may raise; that is an answer too.
    loss : SVXSoftmax
        The paper's loss with the parameters that were bound. Bind s = 8: at larger scales fewer targets have a loss
        with digits. At s = 64 the questions about caps and overflow are answered for angular margins too.
    dtype : {"float64", "float32"}
        The dtype of the cosines that the candidate is given.

    Returns
    -------
    tuple of Finding
        In a fixed order; questions without a meaning for this loss are left out.

    Raises
    ------
    TypeError, ValueError
        If `loss` is no loss or `dtype` none of the two.
    """
    check_loss(loss)
    name = np.dtype(dtype).name
    if name not in ("float64", "float32"):
        raise ValueError(f"dtype must be float32 or float64; got {name}.")
    subject = Subject(run, loss, np.dtype(dtype), name)
    before = behaviour.ordinary(subject)
    digits, subject = behaviour.precision(subject)
    batch, subject = behaviour.batch(subject)
    cap, subject = behaviour.cap(subject)
    scale, subject = behaviour.scale(subject)
    subject = gradient.rest(subject)
    of_target, base = target.ask(subject)
    of_negatives = negatives.ask(subject, base)
    of_gradient = gradient.gradient(subject)
    is_right = base == "" and all(finding.agrees is not False for finding in (*of_target, cap))
    ends = gradient.ends(subject, is_right and of_gradient.agrees is True)
    order, beyond, overflow = behaviour.order(subject), behaviour.beyond_one(subject), behaviour.overflow(subject)
    state = behaviour.state(replace(subject, averaged=0), before)
    label = [finding for finding in of_target if finding.question == target.LABEL]
    of_f = [finding for finding in of_target if finding not in label]
    first = (scale, *of_f, *of_negatives, *label, of_gradient, state, batch)
    return (*first, *order, *ends, beyond, cap, overflow, *digits)
