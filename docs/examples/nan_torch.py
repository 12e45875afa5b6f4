"""Arc-Softmax in PyTorch with NaN for six reasons, one reason each; and two functions that are right and finite."""

import math

import torch
from torch.nn import functional


def cosines_of(embeddings, weights, labels):
    """All cosines (B, C), and those of the labels (B,)."""
    cosines = functional.normalize(embeddings) @ functional.normalize(weights).T
    return cosines, own_of(cosines, labels)


def own_of(values, labels):
    """The label's column."""
    return values.gather(1, labels.long()[:, None]).squeeze(1)


def logits_of(cosines, labels, f, s):
    """The scaled cosines, with f in the label's column."""
    return s * cosines.scatter(1, labels.long()[:, None], f[:, None])


def losses_of(cosines, labels, f, s):
    """The cross entropy of each row."""
    return functional.cross_entropy(logits_of(cosines, labels, f, s), labels.long(), reduction="none")


# ---- NaN, and why ----------------------------------------------------------------------------------------------


def acos(embeddings, weights, labels, *, s, m):
    """The slope of acos is infinite at 1."""
    cosines, own = cosines_of(embeddings, weights, labels)
    f = torch.cos(torch.acos(own.clamp(-1, 1)) + m)
    return losses_of(cosines, labels, f, s)


def where(embeddings, weights, labels, *, s, m):
    """The branch that is not taken is differentiated all the same."""
    cosines, own = cosines_of(embeddings, weights, labels)
    sine = torch.where(own.abs() < 1, torch.sqrt(1 - own * own), 0)
    return losses_of(cosines, labels, own * math.cos(m) - sine * math.sin(m), s)


def clamped(embeddings, weights, labels, *, s, m):
    """No NaN, but a wrong loss, and no gradient where the clamp cuts."""
    cosines, own = cosines_of(embeddings, weights, labels)
    f = torch.cos(torch.acos(own.clamp(-1 + 1e-7, 1 - 1e-7)) + m)
    return losses_of(cosines, labels, f, s)


def half(embeddings, weights, labels, *, s, m):
    """In float16 the number 1 - 1e-7 is 1: the clamp does nothing."""
    cosines, own = cosines_of(embeddings, weights, labels)
    f = torch.cos(torch.acos(own.half().clamp(-1 + 1e-7, 1 - 1e-7)) + m)
    return losses_of(cosines, labels, f.to(cosines.dtype), s)


def exponentials(cosines, labels, *, s, m):
    """The exponential of a large logit is infinite."""
    z = logits_of(cosines, labels, safe_sine(own_of(cosines, labels), m), s)
    return torch.log(torch.exp(z).sum(dim=1)) - own_of(z, labels)


def log_of_softmax(cosines, labels, *, s, m):
    """The probability of a hard row is 0, and its logarithm infinite."""
    z = logits_of(cosines, labels, safe_sine(own_of(cosines, labels), m), s)
    return -torch.log(own_of(torch.softmax(z, dim=1), labels))


# ---- right, and finite -----------------------------------------------------------------------------------------


def two_lengths(embeddings, weights, labels, *, s, m):
    """The angle from the lengths of x - w and x + w: right at every angle, and its slope is finite."""
    x, w = functional.normalize(embeddings), functional.normalize(weights)
    own = w[labels.long()]
    theta = 2 * torch.atan2((x - own).norm(dim=1), (x + own).norm(dim=1))
    return losses_of(x @ w.T, labels, torch.cos(theta + m), s)


def safe_root(cosines, labels, *, s, m):
    """From the cosine alone: the root never sees a number below or at 0."""
    return losses_of(cosines, labels, safe_sine(own_of(cosines, labels), m), s)


def safe_sine(c, m):
    """cos(θ + m) = c cos m - sin θ sin m, where a cosine of ±1 or beyond has the sine 0 and no slope of it."""
    c = c.clamp(-1, 1)
    inside = c.abs() < 1
    sine = torch.where(inside, torch.sqrt(torch.where(inside, 1 - c * c, 1)), 0)
    return c * math.cos(m) - sine * math.sin(m)
