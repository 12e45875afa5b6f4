"""Right implementations in PyTorch: the forward alone, autograd does the rest."""

import torch
from torch.nn import functional


def sv_am(cosines, labels, *, s, m, t):
    """SV-AM-Softmax: per-sample losses."""
    target = cosines.gather(1, labels[:, None]) - m
    return _cross_entropy(cosines, labels, target, s, t)


def sv_arc(cosines, labels, *, s, m, t):
    """SV-Arc-Softmax: per-sample losses."""
    cosine = cosines.gather(1, labels[:, None])
    target = torch.cos(torch.acos(cosine) + m)
    return _cross_entropy(cosines, labels, target, s, t)


def _cross_entropy(cosines, labels, target, s, t):
    logits = torch.where(cosines > target, t * cosines + t - 1, cosines)
    logits = logits.scatter(1, labels[:, None], target)
    return functional.cross_entropy(s * logits, labels, reduction="none")
