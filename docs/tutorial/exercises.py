"""Backprop by hand: the loss SV-AM-Softmax and all its gradients, as thirteen exercises.

Every function below is one exercise about one row: one embedding with its class. Replace `return ...` by the formula,
from exercise 1 to exercise 13, and ask after each of them:

    svref check docs/tutorial/exercises.py:loss --loss sv-am-softmax

The command says which exercises are right, which is the first wrong one, and which is next. The page is backprop.md.

The letters are those of the derivation:

    c_y    the cosine of the label's class, a number          s    the scale
    c      the cosines of the other classes, an array         m    the margin
    f, a, q, L                        numbers                 t    the strength of the emphasis
    is_hard (the mask I), log_h, r, p    arrays like c
"""

import numpy as np


def margin_cosine(c_y, m):
    """Exercise 1: f, the target's cosine after the margin.

    Hint: The margin of AM-Softmax is subtracted from the cosine.
    """
    return ...


def mask(c, f):
    """Exercise 2: the mask, which of the other classes are support vectors.

    Hint: A class is a support vector if its cosine is greater than f. A tie is none: use >, not >=.
    """
    return ...


def log_h(c, is_hard, s, t):
    """Exercise 3: log h, by how much the logit of each support vector is raised.

    Hint: log h_k = s (t - 1)(c_k + 1) for a support vector and 0 for the others. At t = 1 nothing is raised. A mask
    counts as 0 and 1 in a product.
    """
    return ...


def relative_logits(c, f, log_h, s):
    """Exercise 4: r, the logit of each other class less the logit of the target.

    Hint: The logit of class k is s c_k + log h_k, that of the target is s f. Subtract the cosines first, and multiply
    by s after that: s (c_k - f) + log h_k.
    """
    return ...


def log_odds_against(r):
    """Exercise 5: a, the logarithm of the sum of e^r.

    Hint: e^r is infinite from r = 710 on. Take the largest r out of the sum first: with P = max r it is
    P + log of the sum of e^(r - P).
    """
    return ...


def losses(a):
    """Exercise 6: L, the loss of the row.

    Hint: Divide numerator and denominator of the softmax by the target's exponential: L = log(1 + e^a).
    np.logaddexp(0, a) is that number without overflow.
    """
    return ...


def q(a):
    """Exercise 7: q = 1 - p_y, how much probability the target lacks.

    Hint: p_y = 1/(1 + e^a), so q = e^a/(1 + e^a) = 1/(1 + e^(-a)). Not 1 - p_y: it has no digits if p_y is nearly 1.
    """
    return ...


def probabilities(r, a, q):
    """Exercise 8: p, the probability of each other class.

    Hint: p_k = e^r_k/(1 + e^a). The other classes share q: p_k = q e^(r_k - a), and the p_k add up to q.
    """
    return ...


def grad_negatives(p, is_hard, s, t):
    """Exercise 9: dL/dc_k, the gradient by the cosine of each other class.

    Hint: The derivative of L by r_k is p_k. The derivative of r_k by c_k is s, and s t for a support vector, because
    log h_k contains c_k too. np.where(is_hard, t, 1) is the factor.
    """
    return ...


def grad_target(q, s):
    """Exercise 10: dL/dc_y, the gradient by the target's cosine.

    Hint: f is in every r_k with the factor -s, and df/dc_y = 1. So the sum over k of p_k (-s) is left, and the p_k add
    up to q.
    """
    return ...


def grad_s(p, r, s):
    """Exercise 11: dL/ds, the derivative by the scale.

    Hint: Every term of r_k has one factor s, so the derivative of r_k by s is r_k/s. Multiply by p_k and add up.
    """
    return ...


def grad_t(p, c, is_hard, s):
    """Exercise 12: dL/dt, the derivative by the strength of the emphasis.

    Hint: t is in log h_k alone, and its derivative by t is s (c_k + 1) for a support vector. Multiply by p_k, add up.
    """
    return ...


def grad_m(q, s):
    """Exercise 13: dL/dm, the derivative by the margin.

    Hint: m is in f alone, as c_y is, and df/dm = -1. So it is the gradient by the target's cosine, turned round.
    """
    return ...


# ---- from here on there is nothing to fill in --------------------------------------------------------------------


def one_row(c, c_y, s, m, t):
    """Yield the stages of one row by their names. `loss` stops at a blank, so that nothing is computed from one."""
    yield "margin_cosine", (f := margin_cosine(c_y, m))
    yield "mask", (is_hard := mask(c, f))
    yield "log_h", (h := log_h(c, is_hard, s, t))
    yield "relative_logits", (r := relative_logits(c, f, h, s))
    yield "log_odds_against", (a := log_odds_against(r) if r.size else -np.inf)  # a single class has no others
    yield "loss", losses(a)
    yield "q", (error := q(a))
    yield "probabilities", (p := probabilities(r, a, error))
    yield "grad_negatives", grad_negatives(p, is_hard, s, t)
    yield "grad_target", grad_target(error, s)
    yield "grad_s", grad_s(p, r, s)
    yield "grad_t", grad_t(p, c, is_hard, s)
    yield "grad_m", grad_m(error, s)


STAGES = (
    "margin_cosine", "mask", "log_h", "relative_logits", "log_odds_against", "loss", "q", "probabilities",
    "grad_negatives", "grad_target", "grad_s", "grad_t", "grad_m",
)  # fmt: skip
OF_CLASSES = ("mask", "log_h", "relative_logits", "probabilities", "grad_negatives")  # one number a class


def loss(cosines, labels, *, s, m, t):
    """All stages of all rows, as a dict: what `svref check` calls. A stage that is not written yet is `...`."""
    stages = {}
    for b, y in enumerate(labels):
        others = np.arange(cosines.shape[1]) != y
        for name, value in one_row(cosines[b, others], cosines[b, y], s, m, t):
            if value is ...:
                break
            many = name in OF_CLASSES
            check(name, value, (others.sum(),) if many else ())
            stage = stages.setdefault(name, np.zeros(cosines.shape if many else labels.shape, cosines.dtype))
            stage[(b, others) if many else b] = value
    if "grad_target" in stages:
        stages["grad_cosines"] = gradient(stages["grad_negatives"], stages["grad_target"], labels)
    return dict.fromkeys(STAGES, ...) | stages


def check(name, value, shape):
    """Raise a ValueError unless a function has returned one number, or one for each of the other classes."""
    if value is None:
        raise ValueError(f"the function of {name} returns nothing: is there a return?")
    if np.shape(value) != shape:
        wanted = "an array like c" if shape else "one number"
        raise ValueError(f"the function of {name} must return {wanted}; got {value!r:.60}.")


def gradient(by_negatives, by_target, labels):
    """The gradient by all cosines: that by the others, with that by the target in the label's column."""
    by_cosines = by_negatives.copy()
    by_cosines[np.arange(len(labels)), labels] = by_target
    return by_cosines
