"""A right implementation, as a textbook would write it: logits, log-sum-exp, softmax minus one-hot."""

import numpy as np


def sv_am(cosines, labels, *, s, m, t):
    """SV-AM-Softmax: per-sample losses, and the gradient of their sum by the cosines."""
    rows = np.arange(len(labels))
    target = cosines[rows, labels] - m

    support = cosines > target[:, None]
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
