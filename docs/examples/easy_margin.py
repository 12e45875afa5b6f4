"""A wrong implementation that public code ships as its default: the margin is dropped where cos θ_y <= 0.

The mask still compares with the full margin. On such a row the loss jumps down by up to s m, just where the sample
is hardest, and the negatives between cos θ_y - m and cos θ_y are emphasised although the target beats them.
"""

import numpy as np


def sv_am(cosines, labels, *, s, m, t):
    """SV-AM-Softmax with an easy margin: per-sample losses, and the gradient of their sum by the cosines."""
    rows = np.arange(len(labels))
    plain = cosines[rows, labels]
    target = np.where(plain > 0, plain - m, plain)  # the mistake; the paper subtracts m everywhere

    support = cosines > (plain - m)[:, None]
    support[rows, labels] = False
    logits = s * np.where(support, t * cosines + t - 1, cosines)
    logits[rows, labels] = s * target

    peak = logits.max(axis=1, keepdims=True)
    shifted = np.exp(logits - peak)
    total = shifted.sum(axis=1, keepdims=True)
    losses = (peak + np.log(total))[:, 0] - logits[rows, labels]

    gradient = shifted / total
    gradient[rows, labels] -= 1
    gradient *= s * np.where(support, t, 1).astype(cosines.dtype)
    return losses, gradient
