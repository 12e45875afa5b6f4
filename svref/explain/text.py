"""One row of a step as forty lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from svref.arrays import FloatArray
from svref.checks import check_row
from svref.reference import Gradients, Step, backward, sigmoid

#: How f of each margin is written in a line of text, by the name of its class.
FORMULAS = {
    "NoMargin": "c_y",
    "AdditiveCosine": "c_y - m",
    "AdditiveAngle": "cos(θ_y + m)",
    "MultiplicativeAngle": "(-1)^j cos(m θ_y) - 2j",
    "Combined": "cos(m1 θ_y + m2) - m3",
}


def explain(
    step: Step, row: int = 0, *, title: Sequence[str] = (), parameters: Mapping[str, float] | None = None
) -> str:
    """Return how one row's loss and gradient come about, with its numbers in the formulas.

    Parameters
    ----------
    step : Step
        What `SVXSoftmax.forward` returned.
    row : int
        Which row of the batch.
    title : sequence of str
        Lines to print above, such as the name of a case.
    parameters : mapping, optional
        The parameters of the loss by name, to be printed; None is s and t. The derivative by t is shown if t is one.

    Returns
    -------
    str
        About forty lines of text.

    Raises
    ------
    ValueError
        If the step has no such row.

    Examples
    --------
    >>> import numpy as np, svref
    >>> from svref.explain import explain
    >>> step = svref.sv_softmax(s=1.0, t=1.2).forward(np.array([[-2.0, 3.0, 4.0, -2.1]]), [0])
    >>> print(explain(step).splitlines()[5])
       f = c_y = -2   (3)
    """
    rows = len(step.labels)
    check_row(row, rows)
    gradients = backward(step, np.ones(rows))
    parameters = {"s": step.s, "t": step.emphasis.t} if parameters is None else parameters
    named = ", ".join(f"{name} = {value:g}" for name, value in parameters.items())
    head = [*title, f"{named}; label y = {step.labels[row]}", f"cosines  {_numbers(step.cosines[row])}"]
    last = _gradient(step, row, gradients, by_t="t" in parameters)
    sections = [head, _target(step, row), _negatives(step, row), _loss(step, row), last]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _target(step: Step, b: int) -> list[str]:
    lines = ["1  target", f"   c_y = {step.target_cosine[b]:.6g}"]
    if step.margin.angular:
        lines[-1] += f",  θ_y = {float(step.angle.theta[b]):.6g} rad,  σ = sin θ_y = {step.angle.sine[b]:.6g}"
    formula = FORMULAS.get(type(step.margin).__name__, repr(step.margin))
    piece = ", with j = min(floor(m θ_y / π), m - 1)" if "2j" in formula else ""
    return [*lines, f"   f = {formula} = {step.margin_cosine[b]:.6g}{piece}   (3)"]


def _negatives(step: Step, b: int) -> list[str]:
    s, t = step.s, step.emphasis.t
    amount = f"s (t - 1)(c_k + 1) = {s * (t - 1):.6g} (c_k + 1)"
    if step.emphasis.form == "fixed":
        amount = f"s (t - 1) = {s * (t - 1):.6g}"
    if t == 1:
        amount = "0: t = 1 is no emphasis, for"
    return [
        "2  negatives",
        f"   I_k = [c_k > f]: {int(step.mask[b].sum())} of {step.mask.shape[1] - 1} are support vectors   (5)",
        f"   log h_k = {amount} for each of them, else 0   (6)",
        "   r_k = s (c_k - f) + log h_k, relative to the target's logit   (10)",
        "   p_k = q exp(r_k - a), with q and a below   (16)",
        f"   {'k':>4} {'c_k':>11} {'c_k - f':>11}  I_k {'h_k':>11} {'r_k':>11} {'p_k':>11}",
        *_table(step, b),
    ]


def _table(step: Step, b: int) -> Iterator[str]:
    """Yield a line for each class; the label's has no h and no r."""
    f, p = step.margin_cosine[b], step.probabilities[b]
    for k, c in enumerate(step.cosines[b]):
        if k == step.labels[b]:
            yield f"   {k:>4} {c:>11.6g} {'':>11}   y  {'':>11} {'':>11} {p[k]:>11.5g}"
        else:
            with np.errstate(over="ignore"):
                h, r = np.exp(step.log_h[b, k]), step.relative_logits[b, k]
            mark = "1" if step.mask[b, k] else "0"
            yield f"   {k:>4} {c:>11.6g} {c - f:>+11.5g}   {mark}  {h:>11.6g} {r:>+11.6g} {p[k]:>11.5g}"


def _loss(step: Step, b: int) -> list[str]:
    return [
        f"   a = log Σ exp r_k = {step.log_odds_against[b]:.9g}, the log-odds against the target   (11)",
        f"   L = log(1 + exp a) = {step.loss[b]:.9g}   (14)",
        f"   q = 1 - p_y = exp a/(1 + exp a) = {sigmoid(step.a)[b]:.9g}   (15)",
    ]


def _gradient(step: Step, b: int, gradients: Gradients, by_t: bool) -> list[str]:
    slope = float(step.margin.by_cosine(step.angle)[b])
    growth = ", for a support vector s p_k t" if step.emphasis.form == "adaptive" and step.emphasis.t > 1 else ""
    lines = [
        "3  gradient",
        f"   dL/dc_k = s p_k{growth}   (17)",
        f"   dL/dc_y = -s q f'(c_y), with f'(c_y) = {slope:.6g}   (18)",
        f"   dL/dc = {_numbers(gradients.cosines[b])}",
        f"   dL/ds = Σ p_k r_k / s = {gradients.s[b]:.6g}   (19)",
    ]
    if by_t:
        lines.append(f"   dL/dt = Σ p_k dlog h_k/dt = {gradients.t[b]:.6g}   (20)")
    return lines + [f"   dL/d{name} = -s q df/d{name} = {d[b]:.6g}   (21)" for name, d in gradients.margin.items()]


def _numbers(values: FloatArray) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in values) + "]"
