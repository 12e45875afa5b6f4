"""SV-AM-Softmax in bfloat16, in NumPy with ml_dtypes: right under autocast, and two mistakes of precision.

Cosines come in bfloat16. Under autocast the margin, the emphasis and the logits are bfloat16, what follows is float32,
and the gradient by the cosines is bfloat16 again.
"""

import ml_dtypes
import numpy as np


def autocast(cosines, labels, *, s, m, t, cotangent):
    """Round where autocast rounds: logits half, cross entropy float32, the gradient half."""
    logits, rise = logits_of(cosines, labels, s, m, t)
    losses, by_logits = cross_entropy(logits.astype(np.float32), labels)
    by_logits = (by_logits * cotangent[:, None]).astype(cosines.dtype)
    return losses, by_logits * rise


def rounded_early(cosines, labels, *, s, m, t, cotangent):
    """As `autocast`, but p_y is rounded before 1 is subtracted: at p_y = 0.999 nothing is left of the gradient."""
    half, rows = cosines.dtype.type, np.arange(len(labels))
    logits, rise = logits_of(cosines, labels, s, m, t)
    losses, by_logits = cross_entropy(logits.astype(np.float32), labels)
    by_logits[rows, labels] += 1
    p = by_logits.astype(half)
    p[rows, labels] -= half(1)
    return losses, p * cotangent[:, None].astype(half) * rise


def stored_narrow(cosines, labels, *, s, m, t, cotangent):
    """Meant as a fused kernel, float32 between the cosines and the gradient; but the logits are stored in between."""
    logits, rise = logits_of(cosines.astype(np.float32), labels, s, m, t)
    stored = logits.astype(cosines.dtype).astype(np.float32)
    losses, by_logits = cross_entropy(stored, labels)
    return losses, (by_logits * cotangent[:, None] * rise).astype(cosines.dtype)


def rounds_inside(cosines, labels, *, s, m, t, cotangent):
    """Take float32 and return float32, and compute as `autocast` in between, as a model under autocast does."""
    half = cosines.astype(ml_dtypes.bfloat16)
    losses, gradient = autocast(half, labels, s=s, m=m, t=t, cotangent=cotangent.astype(np.float32))
    return losses, gradient.astype(cosines.dtype)


def logits_of(cosines, labels, s, m, t):
    """Return the logits and their slopes dz/dc, in the dtype of the cosines."""
    number, rows = cosines.dtype.type, np.arange(len(labels))
    f = cosines[rows, labels] - number(m)
    support = cosines > f[:, None]
    support[rows, labels] = False
    raised = np.where(support, number(t) * cosines + number(t - 1), cosines)
    raised[rows, labels] = f
    return number(s) * raised, number(s) * np.where(support, number(t), number(1))


def cross_entropy(logits, labels):
    """Return the losses and their gradient by the logits, in float32."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    p = exponentials / total
    p[rows, labels] -= 1
    return np.log(total[:, 0]) - shifted[rows, labels], p
