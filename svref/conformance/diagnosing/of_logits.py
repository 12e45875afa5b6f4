"""Forms that no family has, and that change a logit: several sizes at once, f by parts, a bias of each class.

Each is one line: the question it answers, the formula that a report prints, where a fit of its sizes begins, and the
logits. `forms_of_logits` returns those that have a meaning for a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing.behaviour import SCALE
from svref.conformance.diagnosing.forms import Form, Parts, Sizes, cross_entropy, of_logits
from svref.conformance.diagnosing.negatives import LOGITS, H
from svref.conformance.diagnosing.target import EASY, TAIL, F
from svref.deviations import which
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, MultiplicativeAngle, NoMargin

Fixed = tuple[str, str, tuple[float, ...]]  # a question, its answer with {} for the size, and where a fit begins
ENDS = ((1e-2,), (1e-4,), (1e-6,), (1e-8,), (1e-10,))  # the ε of clamps
ANGLES = ((0.05,), (0.5,), (1.0,), (1.5,), (2.2,), (3.0,))


def forms_of_logits(loss: SVXSoftmax) -> list[Form]:
    """Return the forms that change a logit of a loss."""
    scales, two = ((1.0, 30.0), (30.0, 1.0), (8.0, 30.0), (30.0, 8.0)), ((0.1, 0.1), (0.0, 0.5), (0.5, 0.0))
    forms = [
        *_of_f(loss),
        replace(of_logits(SCALE, "z_y = {0} f, z_k = {1} c_k", scales, _with_scales), positive=True),
        replace(
            of_logits(LOGITS, "s c_k + b_k with b - b_0 = (0, {0}, {1}, {2})", ((0.0, 0.0, 0.0),), _with_bias),
            any_classes=False,
        ),
    ]
    if which.emphasises(loss):
        h = "log h_k = s (a c_k + b) I_k, a = {0}, b = {1}"
        forms.append(of_logits(H, h, two, lambda parts, v: parts.logits(h=(v[0], v[1]))))
    return [*forms, *_of_fixed_parameters(loss)]


def _with_scales(parts: Parts, v: Sizes) -> FloatArray:
    """Return the logits with one scale for the target and one for the others."""
    z = parts.logits(s=v[1])
    z[parts.own] = v[0] * parts.f
    return z


def _with_bias(parts: Parts, v: Sizes) -> FloatArray:
    """Return the logits with a bias of each class, in units of logits; that of class 0 is 0."""
    return parts.logits() + np.array([0.0, *v])


# ---- f ---------------------------------------------------------------------------------------------------------


def _with_f(
    formula: str, f: Callable[[Parts, Sizes], FloatArray], starts: tuple[Sizes, ...], question: str = F
) -> Form:
    """Return the form with another f, which decides the mask as well."""
    return of_logits(question, f"f = {formula}", starts, lambda parts, v: parts.logits(f=f(parts, v)))


def _of_f(loss: SVXSoftmax) -> list[Form]:
    """Return the forms with another f."""
    margin = loss.margin
    forms = [_with_f("cos(θ + m2) - m3, m2 = {0}, m3 = {1}", _angle_and_cosine, ((0.3, 0.2), (0.5, 0.0), (0.1, 0.5)))]
    if isinstance(margin, MultiplicativeAngle):
        forms.append(_with_f("(λ c_y + ψ)/(1 + λ), λ = {0}", _annealed, ((5.0,), (0.5,), (20.0,))))
    if not isinstance(margin, NoMargin | AdditiveCosine):  # with c - m, it is another m
        forms.append(_with_f("c_y + a (f_m(c_y) - c_y), a = {0}", _part_of_margin, ((0.1,), (1.0,), (2.0,))))
    if margin.angular:
        ends = _with_f("f_m(c_y), c_y := clip(c_y, -1 + ε, 1 - ε), ε = {0}", _clipped_cosine, ENDS)
        forms.append(replace(ends, positive=True, is_of_ends=True))
        forms.append(replace(_with_f("f_m(c_y), θ := max(θ, {0})", _angle_kept_above, ANGLES), is_of_ends=True))
    if not isinstance(margin, NoMargin):
        question = TAIL if isinstance(margin, AdditiveAngle) else EASY
        lowered = _with_f("f_m(c_y) where c_y > {0}, else c_y - {1}", _else_lowered, ((0.2,),), question)
        constant = _with_f("f_m(c_y) where c_y > {0}, else {1}", _else_constant, ((-1.0,),), question)
        forms += [replace(each, has_switch=True) for each in (lowered, constant)]
    return forms


def _angle_and_cosine(parts: Parts, v: Sizes) -> FloatArray:
    return np.cos(parts.angle.theta + v[0]) - v[1]


def _part_of_margin(parts: Parts, v: Sizes) -> FloatArray:
    """Return c_y with a multiple of what the margin changes."""
    return parts.angle.cosine + v[0] * (parts.f - parts.angle.cosine)


def _annealed(parts: Parts, v: Sizes) -> FloatArray:
    """Return A-Softmax with another λ."""
    psi = MultiplicativeAngle(getattr(parts.loss.margin, "m", 1)).value(parts.angle)
    return (v[0] * parts.angle.cosine + psi) / (1 + v[0])


def _clipped_cosine(parts: Parts, v: Sizes) -> FloatArray:
    """Return f of a cosine that is kept from ±1."""
    end = max(0.0, 1 - abs(v[0]))
    return parts.loss.margin.value(Angle.from_cosine(np.clip(parts.angle.cosine, -end, end)))


def _angle_kept_above(parts: Parts, v: Sizes) -> FloatArray:
    """Return f of an angle that is kept from 0."""
    theta = np.maximum(parts.angle.theta, v[0])
    return parts.loss.margin.value(Angle(np.cos(theta), np.sin(theta)))


def _else_lowered(parts: Parts, v: Sizes) -> FloatArray:
    return np.where(parts.angle.cosine > v[0], parts.f, parts.angle.cosine - v[1])


def _else_constant(parts: Parts, v: Sizes) -> FloatArray:
    return np.where(parts.angle.cosine > v[0], parts.f, v[1])


# ---- parameters that are fixed inside --------------------------------------------------------------------------


def _of_fixed_parameters(loss: SVXSoftmax) -> list[Form]:
    """Return the paper's loss with several parameters as sizes: those of code that swallows its keywords."""
    names: list[Fixed] = [(SCALE, "s := {}", (8.0, 32.0, 64.0))]
    match loss.margin:
        case AdditiveCosine():
            names.append((F, "f = c_y - m', m' = {}", (0.1, 0.4)))
        case AdditiveAngle():
            names.append((F, "f = cos(θ + m'), m' = {}", (0.2, 0.5)))
    if which.emphasises(loss):
        names.append((H, "t := {}", (1.2,)))
    return [_fixed(some) for count in range(2, len(names) + 1) for some in combinations(names, count)]


def _fixed(names: tuple[Fixed, ...]) -> Form:
    """Return the paper's loss with these questions' parameters as sizes, in their order."""
    at = {question: i for i, (question, _, _) in enumerate(names)}

    def losses(parts: Parts, v: Sizes) -> FloatArray:
        f, h = None, None
        if F in at:
            m, is_angle = v[at[F]], isinstance(parts.loss.margin, AdditiveAngle)
            f = np.cos(parts.angle.theta + m) if is_angle else parts.angle.cosine - m
        if H in at:
            rise = v[at[H]] - 1
            h = (rise * parts.loss.emphasis.growth_slope, rise)
        return cross_entropy(parts.logits(f=f, h=h, s=v[at[SCALE]] if SCALE in at else None), parts.own)

    says = tuple((question, text.replace("{}", f"{{{i}}}")) for i, (question, text, _) in enumerate(names))
    return Form(says, losses, tuple(product(*(starts for _, _, starts in names))))
