"""One row of a case, step by step, as text: the formulas of the derivation beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svref import step as passes
from svref.arrays import FloatArray
from svref.golden import Vector
from svref.head.shards import Shard
from svref.step import Gradients, Step

FORMULAS = {
    "NoMargin": "c_y",
    "AdditiveCosine": "c_y - m",
    "AdditiveAngle": "cos(θ_y + m)",
    "MultiplicativeAngle": "(-1)^j cos(m θ_y) - 2j",
    "Combined": "cos(m1 θ_y + m2) - m3",
}


def explain(case: Vector, row: int | None = None) -> str:
    """Return the derivation of one row's loss and gradient with its numbers in it.

    Parameters
    ----------
    case : Vector
        A golden vector; of embeddings and weights, the row of their cosines is explained.
    row : int, optional
        Which row; None is the one with the largest loss.

    Returns
    -------
    str
        About forty lines of text.

    Raises
    ------
    ValueError
        If the case has no such row, or must raise.
    """
    if case.result == "error":
        raise ValueError(f"{case.id} must raise: {case.purpose} There is nothing to explain.")
    rows = len(case.labels)
    if row is not None and not 0 <= row < rows:
        raise ValueError(f"row must be from 0 to {rows - 1}; got {row}.")
    b = int(np.argmax(case.expected["loss"])) if row is None else row
    alone = _row(case, b)
    gradients = case.loss.backward(alone)
    title = _title(case, b, alone)
    sections = [title, _target(alone), _negatives(alone), _loss(alone), _gradient(case, alone, gradients)]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _row(case: Vector, b: int) -> Step:
    row, labels = slice(b, b + 1), case.labels[b : b + 1]
    if case.level == "cosine":
        return case.loss.forward(case.inputs["cosines"][row], labels)
    return Shard.of(case.loss, case.inputs["embeddings"][row], case.inputs["weights"], labels).step()


def _title(case: Vector, b: int, step: Step) -> list[str]:
    parameters = ", ".join(f"{name} = {value:g}" for name, value in case.parameters.items())
    return [
        f"{case.id}, row {b} of 0..{len(case.labels) - 1}",
        case.purpose,
        f"{parameters}; label y = {step.labels[0]}",
        f"cosines  {_numbers(step.cosines[0])}",
    ]


def _target(step: Step) -> list[str]:
    lines = ["1  target", f"   c_y = {step.target_cosine[0]:.6g}"]
    if step.margin.angular:
        lines[-1] += f",  θ_y = {float(step.angle.theta[0]):.6g} rad,  σ = sin θ_y = {step.angle.sine[0]:.6g}"
    formula = FORMULAS.get(type(step.margin).__name__, repr(step.margin))
    piece = ", with j = min(floor(m θ_y / π), m - 1)" if "2j" in formula else ""
    return [*lines, f"   f = {formula} = {step.margin_cosine[0]:.6g}{piece}   (3)"]


def _negatives(step: Step) -> list[str]:
    s, t = step.s, step.emphasis.t
    amount = f"s (t - 1)(c_k + 1) = {s * (t - 1):.6g} (c_k + 1)"
    if step.emphasis.form == "fixed":
        amount = f"s (t - 1) = {s * (t - 1):.6g}"
    share = "   p_k = q exp(r_k - a), with q and a below   (16)"
    head = f"   {'k':>4} {'c_k':>11} {'c_k - f':>11}  I_k {'h_k':>11} {'r_k':>11} {'p_k':>11}"
    if t == 1:
        amount = "0: t = 1 is no emphasis, for"
    return [
        "2  negatives",
        f"   I_k = [c_k > f]: {int(step.mask[0].sum())} of {step.mask.shape[1] - 1} are support vectors   (5)",
        f"   log h_k = {amount} for each of them, else 0   (6)",
        "   r_k = s (c_k - f) + log h_k, relative to the target's logit   (10)",
        share,
        head,
        *_table(step),
    ]


def _table(step: Step) -> Iterator[str]:
    f, p = step.margin_cosine[0], step.probabilities[0]
    for k, c in enumerate(step.cosines[0]):
        if k == step.labels[0]:
            yield f"   {k:>4} {c:>11.6g} {'':>11}   y  {'':>11} {'':>11} {p[k]:>11.5g}"
        else:
            with np.errstate(over="ignore"):
                h, r = np.exp(step.log_h[0, k]), step.relative_logits[0, k]
            mark = "1" if step.mask[0, k] else "0"
            yield f"   {k:>4} {c:>11.6g} {c - f:>+11.5g}   {mark}  {h:>11.6g} {r:>+11.6g} {p[k]:>11.5g}"


def _loss(step: Step) -> list[str]:
    a, loss = step.log_odds_against[0], step.loss[0]
    q = passes.target_error(step)[0]
    return [
        f"   a = log Σ exp r_k = {a:.9g}, the log-odds against the target   (11)",
        f"   L = log(1 + exp a) = {loss:.9g}   (14)",
        f"   q = 1 - p_y = exp a/(1 + exp a) = {q:.9g}   (15)",
    ]


def _gradient(case: Vector, step: Step, gradients: Gradients) -> list[str]:
    slope = float(step.margin.by_cosine(step.angle)[0])
    growth = ", for a support vector s p_k t" if step.emphasis.form == "adaptive" and step.emphasis.t > 1 else ""
    lines = [
        "3  gradient",
        f"   dL/dc_k = s p_k{growth}   (17)",
        f"   dL/dc_y = -s q f'(c_y), with f'(c_y) = {slope:.6g}   (18)",
        f"   dL/dc = {_numbers(gradients.cosines[0])}",
        f"   dL/ds = Σ p_k r_k / s = {gradients.s[0]:.6g}   (19)",
    ]
    if "t" in case.parameters:
        lines.append(f"   dL/dt = Σ p_k dlog h_k/dt = {gradients.t[0]:.6g}   (20)")
    return lines + [f"   dL/d{name} = -s q df/d{name} = {d[0]:.6g}   (21)" for name, d in gradients.margin.items()]


def _numbers(values: FloatArray) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in values) + "]"
