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

    Hint: h_k = e^(s (t - 1)(c_k + 1)) for a support vector, and 1 for the others. Take the logarithm of both. A mask
    counts as 0 and 1 in a product.
    """
    return ...


def relative_logits(c, f, log_h, s):
    """Exercise 4: r, the logit of each other class less the logit of the target.

    Hint: The logit of class k is s c_k + log h_k, that of the target is s f. Take the difference of the cosines first,
    and multiply it by s after that: it then keeps its digits.
    """
    return ...


def log_odds_against(r):
    """Exercise 5: a, the logarithm of the sum of e^r.

    Hint: e^r is infinite from r = 710 on. With P the largest r, each e^r is e^P e^(r - P). Take e^P out of the sum, and
    then out of the logarithm.
    """
    return ...


def losses(a):
    """Exercise 6: L, the loss of the row.

    Hint: Divide numerator and denominator of the softmax by the target's exponential, and only e^a is left. It is
    infinite from a = 710 on. NumPy has a function for the logarithm of e^x + e^y; 1 is e^0.
    """
    return ...


def q(a):
    """Exercise 7: q = 1 - p_y, how much probability the target lacks.

    Hint: p_y = 1/(1 + e^a). Write 1 - p_y as one fraction, and divide both of its parts by e^a. A subtraction has no
    digits left if p_y is nearly 1.
    """
    return ...


def probabilities(r, a, q):
    """Exercise 8: p, the probability of each other class.

    Hint: The other classes share q. The share of class k is e^r_k over the sum of all e^r, whose logarithm is a. The
    p_k add up to q.
    """
    return ...


def grad_negatives(p, is_hard, s, t):
    """Exercise 9: dL/dc_k, the gradient by the cosine of each other class.

    Hint: The derivative of L by r_k is p_k. The derivative of r_k by c_k is s, and s t for a support vector, because
    log h_k contains c_k too. np.where chooses between two numbers.
    """
    return ...


def grad_target(q, s):
    """Exercise 10: dL/dc_y, the gradient by the target's cosine.

    Hint: f is in every r_k with the factor -s, and df/dc_y = 1. Multiply by p_k and add up over k. To what do the p_k
    add up?
    """
    return ...


def grad_s(p, r, s):
    """Exercise 11: dL/ds, the derivative by the scale.

    Hint: Every term of r_k has one factor s. Take it off, and the derivative by s is left. Multiply by p_k, add up.
    """
    return ...


def grad_t(p, c, is_hard, s):
    """Exercise 12: dL/dt, the derivative by the strength of the emphasis.

    Hint: t is in log h_k = s (t - 1)(c_k + 1) alone, and only for support vectors. Multiply its derivative by p_k, and
    add up.
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
    function = losses if name == "loss" else globals()[name]
    where = f"{function.__name__} in line {function.__code__.co_firstlineno}"
    if value is None:
        raise ValueError(f"{where} returns nothing: is there a return?")
    if np.shape(value) != shape:
        wanted = "an array like c" if shape else "one number"
        raise ValueError(f"{where} must return {wanted}; got {value!r:.60}.")


def gradient(by_negatives, by_target, labels):
    """The gradient by all cosines: that by the others, with that by the target in the label's column."""
    by_cosines = by_negatives.copy()
    by_cosines[np.arange(len(labels)), labels] = by_target
    return by_cosines
