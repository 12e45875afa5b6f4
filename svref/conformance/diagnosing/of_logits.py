"""Forms that change a logit: the scales, f, the boundary of the mask, h, a bias. What is made of the logits is right.

Each is one line: the question it answers, the formula that a report prints, where a fit of its sizes begins, and the
logits. `forms_of_logits` returns those that have a meaning for a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.diagnosing.behaviour import SCALE
from svref.conformance.diagnosing.forms import Form, Parts, Sizes
from svref.conformance.diagnosing.mask import MASK
from svref.conformance.diagnosing.negatives import LOGITS, H
from svref.conformance.diagnosing.target import EASY, LABEL, TAIL, F
from svref.deviations import which
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Angle, Combined, MultiplicativeAngle, NoMargin

ToF = Callable[[Parts, Sizes], FloatArray]
SCALES = ((1.0,), (8.0,), (30.0,), (64.0,), (200.0,))
MARGINS = ((0.3,), (0.0,), (0.6,), (1.2,))
ENDS = ((1e-2,), (1e-4,), (1e-6,), (1e-8,), (1e-10,))  # the ε of clamps
MULTIPLES = ((1.0,), (1.5,), (2.0,), (3.0,), (4.0,), (5.0,))
SMALL = ((0.05,), (-0.05,))


def forms_of_logits(loss: SVXSoftmax) -> list[Form]:
    """Return the forms that change a logit of a loss, those with fewer sizes first."""
    forms = [*_of_scale(loss), *_of_f(loss), *_of_columns(loss)]
    forms += [*_of_mask(loss), *_of_h(loss)] if which.emphasises(loss) else []
    return sorted([*forms, *_of_fixed_parameters(loss)], key=lambda form: form.count)


# ---- the scale -------------------------------------------------------------------------------------------------


def _of_scale(loss: SVXSoftmax) -> list[Form]:
    """Return the forms whose scale is another: of all logits, of the target's alone, of the others alone, of both."""
    two = ((1.0, 30.0), (30.0, 1.0), (8.0, 30.0), (30.0, 8.0))
    return [
        _common(_scaled("acts as s = {0}", ((30.0,), (2.0,), (200.0,)), lambda p, v: p.logits(s=v[0]))),
        _scaled("s c_k for k ≠ y, but z_y = {0} f", SCALES, lambda p, v: _with_scales(p, v[0], None)),
        _scaled("s f for k = y, but z_k = {0} c_k", SCALES, lambda p, v: _with_scales(p, None, v[0])),
        _scaled("z_y = {0} f, z_k = {1} c_k", two, lambda p, v: _with_scales(p, v[0], v[1])),
    ]


def _scaled(answer: str, starts: tuple[Sizes, ...], logits: Callable[[Parts, Sizes], FloatArray]) -> Form:
    """Return a form of the scale."""
    return Form(((SCALE, answer),), starts, logits, positive=True)


def _with_scales(parts: Parts, of_target: float | None, of_others: float | None) -> FloatArray:
    """Return the logits with a scale for the target and one for the others; None is s."""
    z = parts.logits(s=of_others)
    z[parts.own] = (parts.loss.s if of_target is None else of_target) * parts.f
    return z


# ---- f ---------------------------------------------------------------------------------------------------------


def _with_f(formula: str, f: ToF, starts: tuple[Sizes, ...] = ((),), positive: bool = False, switch: str = "") -> Form:
    """Return the form with another f, which decides the mask as well; `switch` is the question a switch answers."""
    return Form(
        ((switch or F, formula),),
        starts,
        lambda p, v: p.logits(f=f(p, v)),
        positive=positive,
        has_switch=switch != "",
    )


def _of_f(loss: SVXSoftmax) -> list[Form]:
    """Return the forms with another f: another size of the margin, another margin, another sine, another angle."""
    margin, forms = loss.margin, _margins(loss)
    if not isinstance(margin, NoMargin | AdditiveCosine):  # with c - m, it is another m
        forms.append(_with_f("c_y + a (f_m(c_y) - c_y) with a = {0}", _part_of_margin, ((0.1,), (1.0,), (2.0,))))
    if not isinstance(margin, NoMargin):
        forms += (
            [
                Form(((F, "the mask is right, but z_y = s f - {0}"),), SMALL, _target_lowered),
            ]
            if which.emphasises(loss)
            else []
        )
    ends = [replace(form, is_of_ends=True) for form in _ends_of_angle()] if margin.angular else []
    return [*forms, *_switches(loss), *_tails(loss), *ends]


def _target_lowered(parts: Parts, v: Sizes) -> FloatArray:
    """Return the logits with the target's lowered by a size that the mask does not see."""
    z = parts.logits()
    z[parts.own] -= v[0]
    return z


def _part_of_margin(parts: Parts, v: Sizes) -> FloatArray:
    """Return c_y with a multiple of what the margin changes."""
    return parts.angle.cosine + v[0] * (parts.f - parts.angle.cosine)


def _margins(loss: SVXSoftmax) -> list[Form]:
    """Return every kind of margin with sizes of its own."""
    forms = [
        _common(_with_f("c_y - m with m = {0}", lambda parts, v: parts.angle.cosine - v[0], MARGINS)),
        _common(_with_f("cos(θ + m) with m = {0}", lambda parts, v: np.cos(parts.angle.theta + v[0]), MARGINS)),
        _with_f("cos(m θ) with m = {0}", lambda parts, v: np.cos(v[0] * parts.angle.theta), MULTIPLES),
        _with_f("cos(θ + m2) - m3 with m2 = {0}, m3 = {1}", _angle_and_cosine, ((0.3, 0.2), (0.5, 0.0), (0.1, 0.5))),
    ]
    forms += [_with_f(f"ψ(θ) with m = {m}", _psi(m)) for m in (2, 3, 4, 5)]
    match loss.margin:
        case Combined():
            forms += [_with_f(*each) for each in _parts_of_combined(loss.margin)]
        case MultiplicativeAngle():
            forms.append(_with_f("(λ c_y + ψ)/(1 + λ) with λ = {0}", _annealed, ((5.0,), (0.5,), (20.0,))))
        case AdditiveAngle():
            forms.append(_with_f("the tail asked for, but m = {0}", _same_tail, MARGINS))
    return forms


def _common(form: Form) -> Form:
    """Return the form as one that is looked for beside another form too."""
    return replace(form, is_common=True)


def _angle_and_cosine(parts: Parts, v: Sizes) -> FloatArray:
    return np.cos(parts.angle.theta + v[0]) - v[1]


def _psi(m: int) -> ToF:
    """Return ψ of A-Softmax for a whole m."""
    return lambda parts, v: MultiplicativeAngle(m).value(parts.angle)


def _annealed(parts: Parts, v: Sizes) -> FloatArray:
    """Return A-Softmax with another λ."""
    psi = MultiplicativeAngle(getattr(parts.loss.margin, "m", 1)).value(parts.angle)
    return (v[0] * parts.angle.cosine + psi) / (1 + v[0])


def _same_tail(parts: Parts, v: Sizes) -> FloatArray:
    """Return Arc-Softmax with another m and the same tail."""
    return AdditiveAngle(abs(v[0]), getattr(parts.loss.margin, "tail", "raw")).value(parts.angle)


def _parts_of_combined(margin: Combined) -> list[tuple[str, ToF, tuple[Sizes, ...]]]:
    """Return the combined margin with one of its three numbers as a size."""
    m1, m2, m3 = margin.m1, margin.m2, margin.m3
    return [
        ("cos(m1 θ + m2) - m3 with m1 = {0}", lambda p, v: np.cos(v[0] * p.angle.theta + m2) - m3, MULTIPLES),
        ("cos(m1 θ + m2) - m3 with m2 = {0}", lambda p, v: np.cos(m1 * p.angle.theta + v[0]) - m3, MARGINS),
        ("cos(m1 θ + m2) - m3 with m3 = {0}", lambda p, v: np.cos(m1 * p.angle.theta + m2) - v[0], MARGINS),
    ]


def _ends_of_angle() -> list[Form]:
    """Return the forms that keep the sine, the cosine or the angle from its ends."""
    return [
        _with_f("f with sin²θ := max(1 - c_y², {0})", _with_sine(lambda square, e: np.maximum(square, e)), ENDS, True),
        _with_f("f with sin²θ := 1 - c_y² + {0}", _with_sine(lambda square, e: square + e), ENDS, True),
        _with_f("f with c_y := clip(c_y, -1 + ε, 1 - ε), ε = {0}", _clipped_cosine, ENDS, True),
        _with_f(
            "f with c_y := (1 - ε) c_y, ε = {0}", lambda p, v: _margin_at((1 - v[0]) * p.angle.cosine, p), ENDS, True
        ),
        _with_f("f with θ := min(θ, {0})", lambda p, v: _margin_of(np.minimum(p.angle.theta, v[0]), p), _ANGLES),
        _with_f("f with θ := max(θ, {0})", lambda p, v: _margin_of(np.maximum(p.angle.theta, v[0]), p), _ANGLES),
    ]


_ANGLES = ((0.05,), (0.5,), (1.0,), (1.5,), (2.2,), (3.0,))


def _with_sine(change: Callable[[FloatArray, float], FloatArray]) -> ToF:
    """Return f with another sine of the angle, by a change of its square."""

    def f(parts: Parts, v: Sizes) -> FloatArray:
        c = parts.angle.cosine
        return parts.loss.margin.value(Angle(c, np.sqrt(np.maximum(change((1 - c) * (1 + c), v[0]), 0))))

    return f


def _clipped_cosine(parts: Parts, v: Sizes) -> FloatArray:
    """Return f of a cosine that is kept from ±1."""
    end = max(0.0, 1 - abs(v[0]))
    return _margin_at(np.clip(parts.angle.cosine, -end, end), parts)


def _shrunk_cosine(parts: Parts, v: Sizes) -> FloatArray:
    """Return f of a cosine that is a little too small."""
    return _margin_at((1 - v[0]) * parts.angle.cosine, parts)


def _margin_at(c: FloatArray, parts: Parts) -> FloatArray:
    return parts.loss.margin.value(Angle.from_cosine(np.clip(c, -1, 1)))


def _margin_of(theta: FloatArray, parts: Parts) -> FloatArray:
    return parts.loss.margin.value(Angle(np.cos(theta), np.sin(theta)))


def _switches(loss: SVXSoftmax) -> list[Form]:
    """Return the forms whose f is the margin's on one side of a cosine, and c_y less a number on the other."""
    if isinstance(loss.margin, NoMargin):
        return []
    tail = TAIL if isinstance(loss.margin, AdditiveAngle) else EASY
    return [
        _with_f("f_m(c_y) where c_y > {0}, else c_y", _above_alone, switch=EASY),
        _with_f("f_m(c_y) where c_y < {0}, else c_y", _below_alone, switch=EASY),
        _with_f("f_m(c_y) where c_y > {0}, else c_y - {1}", _above_else_lowered, ((0.2,),), switch=tail),
        _with_f("f_m(c_y) where c_y > {0}, else {1}", _above_else_constant, ((-1.0,),), switch=tail),
    ]


def _tails(loss: SVXSoftmax) -> list[Form]:
    """Return the forms with another tail beyond θ + m = π."""
    if not (isinstance(loss.margin, AdditiveAngle) and loss.margin.m):
        return []
    return [
        Form(((TAIL, "f = c_y - {0} where θ + m > π"),), MARGINS, lambda p, v: _tail(p, p.angle.cosine - v[0])),
        Form(((TAIL, "f = {0} where θ + m > π"),), ((-1.0,),), lambda p, v: _tail(p, v[0])),
    ]


def _tail(parts: Parts, beyond: FloatArray | float) -> FloatArray:
    """Return the logits with other numbers for f where θ + m > π."""
    end = -np.cos(getattr(parts.loss.margin, "m", 0.0))
    return parts.logits(f=np.where(parts.angle.cosine < end, beyond, parts.f))


def _above_alone(parts: Parts, v: Sizes) -> FloatArray:
    return np.where(parts.angle.cosine > v[0], parts.f, parts.angle.cosine)


def _below_alone(parts: Parts, v: Sizes) -> FloatArray:
    return np.where(parts.angle.cosine < v[0], parts.f, parts.angle.cosine)


def _above_else_lowered(parts: Parts, v: Sizes) -> FloatArray:
    return np.where(parts.angle.cosine > v[0], parts.f, parts.angle.cosine - v[1])


def _above_else_constant(parts: Parts, v: Sizes) -> FloatArray:
    return np.where(parts.angle.cosine > v[0], parts.f, v[1])


# ---- the columns that have the margin, and a bias --------------------------------------------------------------


def _of_columns(loss: SVXSoftmax) -> list[Form]:
    """Return the forms whose margin is on other columns, those with a margin on negatives, and a bias of classes."""
    forms = [Form(((LOGITS, f"s c_k, but s (c_k + {{0}}) for the {name}"),), SMALL, _raised(count))
             for count, name in ((1, "largest negative"), (2, "two largest negatives"))]  # fmt: skip
    if isinstance(loss.margin, NoMargin):
        return [*forms, *_biases()]
    for name, columns in _COLUMNS.items():
        forms.append(Form(((F, f"c_y: the margin is on {name}"),), ((),), _moved_margin(columns)))
    forms.append(Form(((LOGITS, "s f(c_k) for the labels of the whole batch"),), ((),), _margin_of_batch))
    return [*forms, *_biases()]


def _raised(count: int) -> Callable[[Parts, Sizes], FloatArray]:
    """Return the logits with the largest negatives raised by a size, in cosine units."""

    def logits(parts: Parts, v: Sizes) -> FloatArray:
        others = np.where(parts.is_own, -np.inf, parts.c)
        largest = others >= np.sort(others, axis=1)[:, [-count]]
        return parts.logits() + parts.loss.s * v[0] * largest

    return logits


_COLUMNS: dict[str, Callable[[Parts], FloatArray]] = {
    "column y + 1": lambda parts: (parts.rows.labels + 1) % parts.c.shape[1],
    "column y - 1": lambda parts: (parts.rows.labels - 1) % parts.c.shape[1],
    "column 0": lambda parts: np.zeros_like(parts.rows.labels),
    "the column of the largest cosine": lambda parts: parts.c.argmax(axis=1),
    "the column of the smallest cosine": lambda parts: parts.c.argmin(axis=1),
}


def _moved_margin(columns: Callable[[Parts], FloatArray]) -> Callable[[Parts, Sizes], FloatArray]:
    """Return the logits with the margin on one other column of each row, and none on the label's."""

    def logits(parts: Parts, v: Sizes) -> FloatArray:
        z = parts.logits(f=parts.angle.cosine)
        there = (parts.own[0], columns(parts))
        z[there] += parts.loss.s * (_margin_at(parts.c[there], parts) - parts.c[there])
        return z

    return logits


def _margin_of_batch(parts: Parts, v: Sizes) -> FloatArray:
    """Return the logits with the margin on the columns of all labels in a batch; every batch has all labels asked."""
    f = parts.loss.margin.value(Angle.from_cosine(np.clip(parts.c, -1, 1).ravel())).reshape(parts.c.shape)
    is_label = np.isin(np.arange(parts.c.shape[1]), parts.rows.labels) & ~parts.is_own
    return parts.logits() + np.where(is_label, parts.loss.s * (f - parts.c), 0.0)


def _biases() -> list[Form]:
    """Return the form in which each class has a bias, in units of logits; that of class 0 is 0."""
    return [
        Form(
            ((LOGITS, "s c_k + b_k with b - b_0 = (0, {0}, {1}, {2})"),),
            ((0.0, 0.0, 0.0),),
            _with_bias,
            any_classes=False,
        )
    ]


def _with_bias(parts: Parts, v: Sizes) -> FloatArray:
    return parts.logits() + np.array([0.0, *v])


# ---- the mask and h --------------------------------------------------------------------------------------------


def _of_mask(loss: SVXSoftmax) -> list[Form]:
    """Return the forms with another mask, and those in which the label's own logit is emphasised."""
    masks: dict[str, Callable[[Parts], BoolArray]] = {
        "I_k = [c_k < f]": lambda p: (p.c < p.f[:, None]) & ~p.is_own,
        "I_k = [c_k < c_y]": lambda p: (p.c < p.angle.cosine[:, None]) & ~p.is_own,
        "I_k = 1 for all k ≠ y": lambda p: ~p.is_own,
        "I_k = [c_k > 0]": lambda p: (p.c > 0) & ~p.is_own,
        "I_k = [c_k > f], of the largest negative alone": _hardest,
        "I_k = [s c_k > f]": lambda p: (p.loss.s * p.c > p.f[:, None]) & ~p.is_own,
        "I_k = [c_k > s f]": lambda p: (p.c > p.loss.s * p.f[:, None]) & ~p.is_own,
    }
    forms = [Form(((MASK, name),), ((),), _with_mask(mask)) for name, mask in masks.items()]
    return [
        *forms,
        Form(((LABEL, "emphasised after its margin: z_y = s (t f + t - 1)"),), ((),), _label_after_margin),
        Form(((LABEL, "a support vector where f < 0"), (H, "log h_k = (t-1)(s c_k + 1) I_k")), ((),), _zeroed_label),
    ]


def _with_mask(mask: Callable[[Parts], BoolArray]) -> Callable[[Parts, Sizes], FloatArray]:
    return lambda parts, v: parts.logits(mask=mask(parts))


def _hardest(parts: Parts) -> BoolArray:
    """Return the mask of the largest negative, where it exceeds f."""
    others = np.where(parts.is_own, -np.inf, parts.c)
    return np.asarray(parts.mask(parts.f) & (others == others.max(axis=1, keepdims=True)))


def _label_after_margin(parts: Parts, v: Sizes) -> FloatArray:
    z = parts.logits()
    a, b = parts.h
    z[parts.own] += parts.loss.s * (a * parts.f + b)
    return z


def _zeroed_label(parts: Parts, v: Sizes) -> FloatArray:
    """Return the logits of code that takes 0 for the label's z_k in the mask, and emphasises scaled logits."""
    a, b = parts.h
    h = a * parts.loss.s * parts.c + b
    z = parts.logits(h=(0.0, 0.0)) + h * parts.mask(parts.f)
    z[parts.own] += np.where(parts.f < 0, h[parts.own], 0.0)
    return z


def _of_h(loss: SVXSoftmax) -> list[Form]:
    """Return the forms with another t, or another dependence of h on the cosine."""
    t = ((1.1,), (1.5,), (3.0,))
    two = ((0.1, 0.1), (0.0, 0.5), (0.5, 0.0))
    return [
        Form(((H, "log h_k = s (t-1)(c_k + 1) I_k with t = {0}"),), t, lambda p, v: p.logits(h=(v[0] - 1, v[0] - 1))),
        Form(((H, "log h_k = s (t-1) I_k with t = {0}"),), t, lambda p, v: p.logits(h=(0.0, v[0] - 1))),
        Form(((H, "log h_k = s (t-1) c_k I_k with t = {0}"),), t, lambda p, v: p.logits(h=(v[0] - 1, 0.0))),
        Form(((H, "log h_k = s (a c_k + b) I_k with a = {0}, b = {1}"),), two, lambda p, v: p.logits(h=(v[0], v[1]))),
    ]


# ---- parameters that are fixed inside --------------------------------------------------------------------------


def _of_fixed_parameters(loss: SVXSoftmax) -> list[Form]:
    """Return the paper's loss with several parameters as sizes: those of code that swallows its keywords."""
    names: list[tuple[str, str, tuple[float, ...]]] = [(SCALE, "acts as s = {}", (8.0, 32.0, 64.0))]
    match loss.margin:
        case AdditiveCosine():
            names.append((F, "c_y - m with m = {}", (0.1, 0.4)))
        case AdditiveAngle():
            names.append((F, "cos(θ + m) with m = {}", (0.2, 0.5)))
    if which.emphasises(loss):
        names.append((H, f"log h_k = {_h_text(loss)} with t = {{}}", (1.2,)))
    if len(names) < 2:
        return []
    kinds = [name[0] for name in names]
    subsets = [kinds] if len(kinds) == 2 else _subsets(kinds)
    return [_fixed([name for name in names if name[0] in subset]) for subset in subsets]


def _subsets(kinds: list[str]) -> list[list[str]]:
    """Return all pairs of questions, then all of them."""
    pairs = [[a, b] for i, a in enumerate(kinds) for b in kinds[i + 1 :]]
    return [*pairs, kinds]


def _h_text(loss: SVXSoftmax) -> str:
    return "s (t-1)(c_k + 1) I_k" if loss.emphasis.form == "adaptive" else "s (t-1) I_k"


def _fixed(names: list[tuple[str, str, tuple[float, ...]]]) -> Form:
    """Return the paper's loss with these questions' parameters as sizes, in their order."""
    at = {question: i for i, (question, _, _) in enumerate(names)}

    def logits(parts: Parts, v: Sizes) -> FloatArray:
        f, h = None, None
        if F in at:
            m, is_angle = v[at[F]], isinstance(parts.loss.margin, AdditiveAngle)
            f = np.cos(parts.angle.theta + m) if is_angle else parts.angle.cosine - m
        if H in at:
            rise = v[at[H]] - 1
            h = (rise * parts.loss.emphasis.growth_slope, rise)
        return parts.logits(f=f, h=h, s=v[at[SCALE]] if SCALE in at else None)

    says = tuple((question, text.replace("{}", f"{{{i}}}")) for i, (question, text, _) in enumerate(names))
    return Form(says, tuple(product(*(starts for _, _, starts in names))), logits)
