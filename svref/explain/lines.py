"""The derivation of one row: each formula, its numbers in its place, and what comes out, in the order of derivation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.margins import AdditiveAngle, AdditiveCosine, Combined, Margin, MultiplicativeAngle, NoMargin
from svref.reference import Gradients, Step, sigmoid

MOST = 10  # classes that are shown
MOST_TERMS = 4  # of a sum that is written out


class Line(NamedTuple):
    """One step: a formula, the same with numbers, its result, and the number of its equation; "" where it has none."""

    formula: str
    numbers: str
    result: str
    equation: str


def number(value: float, digits: int = 6) -> str:
    """Return a number with a true minus sign, and with ∞ for an infinity."""
    return f"{value:.{digits}g}".replace("-", "−").replace("inf", "∞")


def _factor(text: str) -> str:
    """Return a number as a factor of a product: in brackets if it has a minus sign."""
    return f"({text})" if text.startswith("−") else text


def shown_classes(step: Step, row: int, most: int = MOST) -> IntArray:
    """Return the classes to show: all, or the target and the negatives with the largest p, in the order of classes."""
    p = step.probabilities[row].astype(np.float64)
    p[step.labels[row]] = 2.0
    return np.sort(np.argsort(-p, kind="stable")[:most])


def kind_of(step: Step, row: int, k: int) -> str:
    """Return what a class is to the row: "target", "support vector" or "negative"."""
    if k == step.labels[row]:
        return "target"
    return "support vector" if step.mask[row, k] else "negative"


def target_lines(step: Step, b: int) -> Iterator[Line]:
    """Yield how f comes about."""
    c, margin = number(step.target_cosine[b]), step.margin
    yield Line("c_y", "", c, "")
    if margin.angular:
        yield Line("θ_y = arccos c_y", f"arccos {c}", f"{number(float(step.angle.theta[b]))} rad", "4")
        yield Line("σ = sin θ_y", f"sin {number(float(step.angle.theta[b]))}", number(step.angle.sine[b]), "4")
    formula, numbers = _margin(margin, c, number(float(step.angle.theta[b])))
    yield Line(f"f = {formula}", numbers, number(step.margin_cosine[b]), "3")
    if step.emphasis.boundary is not None:
        yield Line("β", "of the margin that decides the mask", number(float(step.boundary[b])), "5")


def _margin(margin: Margin, c: str, theta: str) -> tuple[str, str]:
    """Return the formula of f, and the same with numbers."""
    match margin:
        case NoMargin():
            return "c_y", ""
        case AdditiveCosine(m):
            return "c_y - m", f"{c} − {m:g}"
        case AdditiveAngle(m, "raw"):
            return "cos(θ_y + m)", f"cos({theta} + {m:g})"
        case MultiplicativeAngle(m, 0.0):
            return "{(-1)}^j cos(m θ_y) - 2j", f"with j = min(⌊{m} · {theta} / π⌋, {m - 1})"
        case Combined(m1, m2, m3):
            return "cos(m_1 θ_y + m_2) - m_3", f"cos({m1:g} · {theta} + {m2:g}) − {m3:g}"
    return "f(m, θ_y)", f"of {margin!r}"


def negative_lines(step: Step, b: int) -> Iterator[Line]:
    """Yield how one negative's relative logit comes about: that of the negative with the largest p."""
    hard, negatives = int(step.mask[b].sum()), step.mask.shape[1] - 1
    edge = "f" if step.emphasis.boundary is None else "β"
    yield Line(f"I_k = [c_k > {edge}]", "number of support vectors", f"{hard} of {negatives}", "5")
    if not negatives:
        return
    k = largest(step, b)
    c, f, is_hard = number(step.cosines[b, k]), number(step.margin_cosine[b]), int(step.mask[b, k])
    yield Line(f"I_{{{k}}}", f"[{c} > {number(float(step.boundary[b]))}]", str(is_hard), "5")
    fixed, t = step.emphasis.form == "fixed", step.emphasis.t
    grows = "" if fixed else f" · ({c} + 1)"
    formula = f"log h_{{{k}}} = s (t - 1) {'' if fixed else f'(c_{{{k}}} + 1) '}I_{{{k}}}"
    log_h = number(step.log_h[b, k])
    yield Line(formula, f"{step.s:g} · ({t:g} − 1){grows} · {is_hard}", log_h, "6")
    logit = number(step.relative_logits[b, k])
    yield Line(
        f"r_{{{k}}} = s (c_{{{k}}} - f) + log h_{{{k}}}", f"{step.s:g} · ({c} − {_factor(f)}) + {log_h}", logit, "10"
    )


def largest(step: Step, b: int) -> int:
    """Return the negative with the largest p."""
    return int(np.argmax(step.r[b]))


def loss_lines(step: Step, b: int) -> Iterator[Line]:
    """Yield how the loss comes about."""
    order = np.argsort(-step.r[b], kind="stable")[: step.r.shape[1] - 1]
    terms = [f"e^{{{number(step.relative_logits[b, k], 5)}}}" for k in order[:MOST_TERMS]]
    more = " + …" if len(order) > MOST_TERMS else ""
    a, q = step.log_odds_against[b], sigmoid(step.a)[b]
    yield Line("a = log Σ_{k≠y} e^{r_k}", f"log({' + '.join(terms) or '0'}{more})", number(a, 9), "11")
    yield Line("L = log(1 + e^a)", f"log(1 + e^{{{number(a)}}})", f"{number(step.loss[b], 9)} nats", "14")
    yield Line("q = 1 - p_y = frac{e^a}{1 + e^a}", "", number(q, 9), "15")


def _slope(step: Step, is_hard: int) -> str:
    """Return the slope of a negative's logit with its numbers."""
    return f"1 + ({step.emphasis.t:g} − 1) · {is_hard}"


def _sum(step: Step, b: int, factors: FloatArray) -> str:
    """Return the sum of p_k times a factor over the negatives, with the numbers of those with the largest p."""
    order = np.argsort(-step.r[b], kind="stable")[: step.r.shape[1] - 1]
    terms = [f"{number(step.probabilities[b, k])} · {_factor(number(factors[k]))}" for k in order[:MOST_TERMS]]
    return (" + ".join(terms) or "0") + (" + …" if len(order) > MOST_TERMS else "")


def _negative_gradient(step: Step, b: int, gradients: Gradients) -> Iterator[Line]:
    """Yield how the derivative by the cosine of the negative with the largest p comes about."""
    k, q = largest(step, b), number(sigmoid(step.a)[b])
    p, slope = number(step.probabilities[b, k]), number(float(step.emphasis.slope(step.mask)[b, k]))
    yield Line(f"p_{{{k}}} = q e^{{r_{{{k}}} - a}}", f"{q} · e^{{{number(step.r[b, k] - step.a[b])}}}", p, "16")
    fixed = step.emphasis.form == "fixed"
    formula, with_numbers = ("1", "") if fixed else (f"1 + (t - 1) I_{{{k}}}", _slope(step, int(step.mask[b, k])))
    yield Line(f"slope_{{{k}}} = {formula}", with_numbers, slope, "7")
    numbers, by = f"{step.s:g} · {p} · {slope}", number(gradients.cosines[b, k])
    yield Line(f"frac{{∂L}}{{∂c_{{{k}}}}} = s p_{{{k}}} slope_{{{k}}}", numbers, by, "17")


def gradient_lines(step: Step, b: int, gradients: Gradients, by_t: bool) -> Iterator[Line]:
    """Yield the derivatives: of the negative with the largest p, of the target, and of the parameters."""
    s, q = f"{step.s:g}", number(sigmoid(step.a)[b])
    if step.mask.shape[1] > 1:
        yield from _negative_gradient(step, b, gradients)
    steep, own = number(float(step.margin.by_cosine(step.angle)[b])), step.labels[b]
    yield Line(
        "frac{∂L}{∂c_y} = -s q f'(c_y)", f"−{s} · {q} · {_factor(steep)}", number(gradients.cosines[b, own]), "18"
    )
    by_s = _sum(step, b, step.relative_logits[b])
    yield Line("frac{∂L}{∂s} = frac{1}{s} Σ_{k≠y} p_k r_k", f"({by_s}) / {s}", number(gradients.s[b]), "19")
    if by_t:
        by_t_of_h = _sum(step, b, step.emphasis.log_h_by_t(step.cosines, step.mask, step.s)[b])
        yield Line("frac{∂L}{∂t} = Σ_{k≠y} p_k frac{∂ log h_k}{∂t}", by_t_of_h, number(gradients.t[b]), "20")
    for name, value in gradients.margin.items():
        df = number(float(step.margin.by_parameter(step.angle)[name][b]))
        letter = name if len(name) == 1 else f"{name[0]}_{name[1:]}"
        yield Line(
            f"frac{{∂L}}{{∂{letter}}} = -s q frac{{∂f}}{{∂{letter}}}",
            f"−{s} · {q} · {_factor(df)}",
            number(value[b]),
            "21",
        )
