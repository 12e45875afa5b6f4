"""Each mistake that public code makes, written as people write it, is found by its name.

Nothing here calls `svref.deviations`: the wrong code is a textbook with one line replaced. What only calling again
can show, and heads in PyTorch, are in test_controls.py and test_heads_checked.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulations import HEADS, log_sum_exp
from pairing import in_turn

from svref.conformance import check

Pair = tuple[np.ndarray, np.ndarray]
DTYPES = ("float64", "float32")


def textbook(**wrong: Callable[..., Any]) -> Callable[..., Pair]:
    """SV-AM-Softmax line by line; a keyword replaces one line."""
    line = {**LINES, **wrong}

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float = 1.0) -> Pair:
        own = np.arange(len(labels)), labels
        c, passed = line["clamp"](cosines)
        f, slope_y = line["margin"](c[own], m)
        mask = line["mask"](c, line["boundary"](f, c[own], m)[:, None])
        mask[own] = line["label"](c[own], f)
        lift, by_c = line["emphasis"](c, s, t)
        z, slope = line["negatives"](c, m)
        z[own], slope[own] = f, slope_y
        hard = mask.astype(c.dtype)
        z, slope = z + hard * lift, slope + hard * by_c
        losses, g = line["softmax"](line["scale"](z, s), own)
        return line["result"](losses, line["scale"](g * slope, s) * passed, own, mask)

    return candidate


def am(c: np.ndarray, m: float) -> Pair:
    return c - m, np.ones_like(c)


def arc(c: np.ndarray, m: float) -> Pair:
    theta = np.arccos(c)
    return np.cos(theta + m), np.sin(theta + m) / np.sqrt((1 - c) * (1 + c))


def sphere(c: np.ndarray, m: int, pieces: Callable[[np.ndarray, int], np.ndarray] | None = None) -> Pair:
    theta = np.arccos(c)
    k = np.floor(m * theta / np.pi) if pieces is None else pieces(theta, m)
    k = np.minimum(k, m - 1).astype(c.dtype) if pieces is None else k.astype(c.dtype)
    sign = (-1) ** k
    with np.errstate(invalid="ignore"):
        slope = np.where(np.abs(c) == 1, m * m, sign * m * np.sin(m * theta) / np.sqrt((1 - c) * (1 + c)))
    if pieces is not None:  # the sign of the piece too many
        slope = np.where(c == -1, -m * m, slope)
    return sign * np.cos(m * theta) - 2 * k, slope.astype(c.dtype)


def eased(margin: Callable[..., Pair], above: Callable[[float], float]) -> Callable[..., Pair]:
    def f(c: np.ndarray, m: float) -> Pair:
        return tuple(np.where(c > above(m), *pair) for pair in zip(margin(c, m), (c, np.ones_like(c)), strict=True))

    return f


def with_tail(tail: Callable[[np.ndarray, float], Pair]) -> Callable[..., Pair]:
    def f(c: np.ndarray, m: float) -> Pair:
        inside = c > np.cos(np.pi - m)
        return tuple(np.where(inside, *pair) for pair in zip(arc(c, m), tail(c, m), strict=True))

    return f


def cos_m_theta(c: np.ndarray, m: int) -> Pair:
    theta = np.arccos(c)
    with np.errstate(invalid="ignore"):
        slope = m * np.sin(m * theta) / np.sqrt((1 - c) * (1 + c))
    return np.cos(m * theta), np.where(np.abs(c) == 1, np.sign(c) ** (m + 1) * m * m, slope)


def annealed(c: np.ndarray, m: int) -> Pair:
    return tuple((5 * plain + psi) / 6 for plain, psi in zip((c, np.ones_like(c)), sphere(c, m), strict=True))


def unshifted(z: np.ndarray, own: Pair) -> Pair:
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    g = e / total
    g[own] -= 1
    return np.log(total[:, 0]) - z[own], g


def with_eps(z: np.ndarray, own: Pair, eps: float = 1e-9) -> Pair:
    losses, g = log_sum_exp(z, own)
    p = np.exp(-losses)
    return -np.log(p + eps), g * (p / (p + eps))[:, None]


def clamped(c: np.ndarray) -> Pair:
    low, high = c.dtype.type(-1 + 1e-7), c.dtype.type(1 - 1e-7)
    return np.clip(c, low, high), (low <= c) & (c <= high)


def no_negatives(losses: np.ndarray, gradient: np.ndarray, own: Pair, mask: np.ndarray) -> Pair:
    kept = np.zeros_like(gradient)
    kept[own] = gradient[own]
    return losses, kept


def no_target(losses: np.ndarray, gradient: np.ndarray, own: Pair, mask: np.ndarray) -> Pair:
    gradient[own] = 0
    return losses, gradient


def no_one_hot(z: np.ndarray, own: Pair) -> Pair:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return log_sum_exp(z, own)[0], e / e.sum(axis=1, keepdims=True)


LINES: dict[str, Callable[..., Any]] = {
    "clamp": lambda c: (c, 1),
    "margin": am,
    "boundary": lambda f, c_y, m: f,
    "mask": lambda c, boundary: c > boundary,
    "label": lambda c_y, f: False,
    "emphasis": lambda c, s, t: ((t - 1) * (c + 1), t - 1),
    "negatives": lambda c, m: (c.copy(), np.ones_like(c)),
    "scale": lambda z, s: s * z,
    "softmax": log_sum_exp,
    "result": lambda losses, gradient, own, mask: (losses, gradient),
}

MISTAKES: dict[str, tuple[str, dict[str, Callable[..., Any]]]] = {
    "t-offset": ("sv-am-softmax", {"emphasis": lambda c, s, t: (t * (c + 1), t)}),
    "margin-in-degrees": ("sv-arc-softmax", {"margin": lambda c, m: arc(c, np.radians(m))}),
    "s-missing-in-h": ("sv-am-softmax", {"emphasis": lambda c, s, t: ((t - 1) * (c + 1) / s, (t - 1) / s)}),
    "s-twice": ("sv-am-softmax", {"scale": lambda z, s: s * (s * z)}),
    "sum-for-mean": ("sv-am-softmax", {"result": lambda losses, g, *_: (len(losses) * losses, len(losses) * g)}),
    "label-in-mask": ("sv-am-softmax", {"label": lambda c_y, f: c_y > f}),
    "non-strict-mask": ("sv-am-softmax", {"mask": lambda c, boundary: c >= boundary}),
    "eps-in-log": ("sv-am-softmax", {"softmax": with_eps}),
    "no-max-subtraction": ("sv-am-softmax", {"softmax": unshifted}),
    "clamp-kills-gradient": ("sv-arc-softmax", {"margin": arc, "clamp": clamped}),
    "straight-through-angle": ("sv-arc-softmax", {"margin": lambda c, m: (arc(c, m)[0], np.ones_like(c))}),
    "tail-linear": (
        "sv-arc-softmax",
        {"margin": with_tail(lambda c, m: (c - m * np.sin(m), np.ones_like(c)))},
    ),
    "tail-plain": ("sv-arc-softmax", {"margin": with_tail(lambda c, m: (c, np.ones_like(c)))}),
    "tail-reflect": ("sv-arc-softmax", {"margin": with_tail(lambda c, m: (-2 - arc(c, m)[0], -arc(c, m)[1]))}),
    "tail-parallel": (
        "sv-arc-softmax",
        {"margin": with_tail(lambda c, m: (c - (1 - np.cos(m)), np.ones_like(c)))},
    ),
    "tail-clipped": ("sv-arc-softmax", {"margin": with_tail(lambda c, m: (np.full_like(c, -1), np.zeros_like(c)))}),
    "easy-margin-above-0": ("sv-am-softmax", {"margin": eased(am, lambda m: 0.0)}),
    "easy-margin-above-m": ("sv-am-softmax", {"margin": eased(am, lambda m: m)}),
    "fixed-for-adaptive": ("sv-am-softmax", {"emphasis": lambda c, s, t: (np.full_like(c, t - 1), 0.0)}),
    "mask-on-plain-cosine": ("sv-am-softmax", {"boundary": lambda f, c_y, m: c_y}),
    "mask-on-uneased-margin": (
        "sv-am-softmax",
        {"margin": eased(am, lambda m: 0.0), "boundary": lambda f, c_y, m: c_y - m},
    ),
    "mask-on-uneased-margin-above-m": (
        "sv-am-softmax",
        {"margin": eased(am, lambda m: m), "boundary": lambda f, c_y, m: c_y - m},
    ),
    "nonpositive-always-hard": ("sv-am-softmax", {"mask": lambda c, boundary: (c > boundary) | (c <= 0)}),
    "margin-on-all-classes": ("sv-arc-softmax", {"margin": arc, "negatives": arc}),
    "t-ignored": ("sv-am-softmax", {"emphasis": lambda c, s, t: (np.zeros_like(c), 0.0)}),
    "last-piece-off-by-one": (
        "a-softmax",
        {"margin": lambda c, m: sphere(c, m, lambda theta, m: np.floor(m * theta / np.pi))},
    ),
    "cos-m-theta-without-psi": ("sv-a-softmax", {"margin": cos_m_theta}),
    "annealing-left-on": ("sv-a-softmax", {"margin": annealed}),
    "negatives-detached": ("sv-am-softmax", {"result": no_negatives}),
    "target-detached": ("sv-am-softmax", {"result": no_target}),
    "one-hot-not-subtracted": ("sv-arc-softmax", {"softmax": no_one_hot}),
    "gradient-sign-flipped": ("sv-am-softmax", {"result": lambda losses, g, *_: (losses, -g)}),
    "slope-of-h-lost": ("sv-am-softmax", {"emphasis": lambda c, s, t: ((t - 1) * (c + 1), 0.0)}),
    "margin-ignored": ("sv-arc-softmax", {"margin": lambda c, m: (c, np.ones_like(c))}),
    "gradient-of-the-mean": ("sv-am-softmax", {"result": lambda losses, g, *_: (losses, g / len(losses))}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "margin"),
    [("sv-am-softmax", am), ("sv-arc-softmax", arc), ("a-softmax", sphere), ("sv-a-softmax", sphere)],
)
def test_the_textbook_without_a_mistake_is_right(name: str, margin: Callable[..., Pair], dtype: str) -> None:
    check(textbook(margin=margin), name, dtype=dtype).raise_if_wrong()


@pytest.mark.parametrize(("name", "dtype"), in_turn(MISTAKES))
def test_a_mistake_as_people_write_it_is_found_by_its_name(name: str, dtype: str) -> None:
    variant, wrong = MISTAKES[name]
    wrong = wrong if "arc" not in variant else {"margin": arc, **wrong}
    report = check(textbook(**wrong), variant, dtype=dtype)
    sizes = {"no-max-subtraction": "-float64" * (dtype == "float64"), "eps-in-log": "(1e-09)"}
    sizes["clamp-kills-gradient"] = "(1e-07 in float32)" * (dtype == "float32")
    expected = name + sizes.get(name, "")
    assert report.verdict == f"FAIL-AS({expected})", report
    assert f"FAIL  is  {expected} " in str(report)


def test_a_float32_inside_float64_is_named() -> None:
    def narrow(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Pair:
        losses, gradient = textbook()(cosines.astype(np.float32), labels, **p)
        return losses.astype(cosines.dtype), gradient.astype(cosines.dtype)

    assert check(narrow, "sv-am-softmax", dtype="float64").verdict == "FAIL-AS(precision-downcast-float32)"
    check(narrow, "sv-am-softmax", dtype="float32").raise_if_wrong()


def length(vectors: np.ndarray, axis: int) -> np.ndarray:
    return np.maximum(np.sqrt((vectors * vectors).sum(axis=axis, keepdims=True)), 1e-12)


def unit(vectors: np.ndarray, axis: int) -> np.ndarray:
    return vectors / length(vectors, axis)


def bilinear(x: np.ndarray, w: np.ndarray, labels: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, ...]:
    """The loss of <x, w>, and its gradients."""
    losses, g = textbook()(x @ w.T, labels, **p)
    return losses, g @ w, g.T @ x


def through(vectors: np.ndarray, gradient: np.ndarray, axis: int) -> np.ndarray:
    """Pull a gradient back through `unit`."""
    direction = unit(vectors, axis)
    return (gradient - direction * (direction * gradient).sum(axis=axis, keepdims=True)) / length(vectors, axis)


def raw_weights(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
    losses, dx, dw = bilinear(unit(embeddings, 1), weights, labels, p)
    return losses, through(embeddings, dx, 1), dw


def raw_embeddings(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
    losses, dx, dw = bilinear(embeddings, unit(weights, 1), labels, p)
    return losses, dx, through(weights, dw, 1)


def clipped_embeddings(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
    products, w = embeddings @ unit(weights, 1).T, unit(weights, 1)
    losses, g = textbook()(np.clip(products, -1, 1), labels, **p)
    g = g * (np.abs(products) <= 1)
    return losses, g @ w, through(weights, g.T @ embeddings, 1)


def over_classes(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
    losses, dx, dw = bilinear(unit(embeddings, 1), unit(weights, 0), labels, p)
    return losses, through(embeddings, dx, 1), through(weights, dw, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("head", "deviation"),
    [
        (raw_weights, "weights-not-normalised"),
        (raw_embeddings, "embeddings-not-normalised"),
        (clipped_embeddings, "embeddings-not-normalised-clipped"),
        (over_classes, "wrong-axis-normalised"),
    ],
)
def test_a_normalisation_that_is_left_out_or_wrong_is_named(
    head: Callable[..., tuple], deviation: str, dtype: str
) -> None:
    assert check(head, "sv-am-softmax", dtype=dtype).verdict == f"FAIL-AS({deviation})"


@pytest.mark.parametrize(
    ("under_root", "eps", "dtype"), [(True, 1e-5, None), (False, 1e-8, "float64"), (True, 1e-12, "float64")]
)
def test_an_epsilon_beside_a_length_is_named_with_its_size_and_not_as_a_number_format(
    under_root: bool, eps: float, dtype: str | None
) -> None:
    def longer(rows: np.ndarray) -> np.ndarray:
        return np.sqrt(length(rows, 1) ** 2 + eps) if under_root else length(rows, 1) + eps

    def back(rows: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        slope = length(rows, 1) / longer(rows) if under_root else 1.0
        radial = (gradient * rows).sum(axis=1, keepdims=True) / longer(rows) * slope
        return (gradient - radial * unit(rows, 1)) / longer(rows)

    def head(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
        losses, dx, dw = bilinear(embeddings / longer(embeddings), weights / longer(weights), labels, p)
        return losses, back(embeddings, dx), back(weights, dw)

    size = f"{eps:g} under the root" if under_root else f"{eps:g}"
    assert check(head, "sv-am-softmax", dtype=dtype).verdict == f"FAIL-AS(eps-in-norm({size}))"


@pytest.mark.parametrize("name", ["m", "t"])
def test_a_parameter_rounded_to_float32_is_named_where_the_pack_has_one_that_rounds(name: str) -> None:
    def rounded(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Pair:
        return textbook()(cosines, labels, **{**p, name: float(np.float32(p[name]))})

    asked = {"dtype": "float64"}  # in float32 a parameter rounded to float32 shows nothing
    check(rounded, "sv-am-softmax", variations=0, **asked).raise_if_wrong()
    assert check(rounded, "sv-am-softmax", **asked).verdict == f"FAIL-AS({name}-in-float32)"
    assert check(rounded, "sv-am-softmax", pack="paper", **asked).verdict == f"FAIL-AS({name}-in-float32)"


@pytest.mark.parametrize(
    ("tail", "dtype"), in_turn(["tail-parallel", "tail-linear", "tail-plain", "tail-clipped", "tail-reflect"])
)
def test_each_tail_is_told_from_the_others_in_a_head_too(tail: str, dtype: str) -> None:
    wrong = textbook(**MISTAKES[tail][1])

    def on_vectors(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
        def on_cosines(cosines: np.ndarray) -> Pair:
            limit = np.nextafter(cosines.dtype.type(1), cosines.dtype.type(0))
            return wrong(np.clip(cosines, -limit, limit), labels, **p)

        return HEADS["head_by_units"](embeddings, weights, on_cosines)

    assert check(on_vectors, "sv-arc-softmax", dtype=dtype).verdict.startswith(f"FAIL-AS({tail}")


@pytest.mark.parametrize("relative", [1e-9, 1e-12])
def test_an_error_far_below_that_of_float32_is_not_called_float32(relative: float) -> None:
    def off(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Pair:
        return tuple(values * (1 + relative) for values in textbook()(cosines, labels, **p))

    report = check(off, "sv-am-softmax", dtype="float64")
    assert report.diagnosis[0].name.startswith("result-scaled(1.000000")
    assert "float32" not in report.verdict


def test_a_mistake_inside_a_head_is_named_as_outside_of_it() -> None:
    wrong = textbook(**MISTAKES["t-offset"][1])
    head = HEADS["head_by_units"]

    def on_vectors(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
        return head(embeddings, weights, lambda cosines: wrong(cosines, labels, **p))

    assert check(on_vectors, "sv-am-softmax", dtype="float32").verdict == "FAIL-AS(t-offset)"


# ---- two mistakes at once, and sizes nobody lists ---------------------------------------------------------------------


def seeds_softmax(z: np.ndarray, own: Pair) -> Pair:
    """Exponentials as they are, and an epsilon in the sum and in the log."""
    e = np.exp(z)
    p = e / (e.sum(axis=1, keepdims=True) + 1e-9)
    share = p[own] / (p[own] + 1e-9)
    g = share[:, None] * p
    g[own] = -share * (1 - p[own])
    return -np.log(p[own] + 1e-9), g


def quotient(z: np.ndarray, own: Pair) -> Pair:
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    g = p.copy()
    g[own] -= 1
    return -np.log(p[own]), np.where(p[own][:, None] == 0, np.nan, g)


def clamped_to(edge: float) -> Callable[..., Pair]:
    """The target alone is clamped, and its gradient lost beyond."""

    def margin(c: np.ndarray, m: float) -> Pair:
        inner = np.clip(c, c.dtype.type(edge - 1), c.dtype.type(1 - edge))
        f, slope = arc(inner, m)
        return f, np.where(inner == c, slope, 0)

    return margin


def easy_arc_of_whole_row(cosines: np.ndarray, labels: np.ndarray, **p: float) -> Pair:
    losses, gradient = textbook(margin=eased(arc, lambda m: 0.0))(cosines, labels, **p)
    own = np.arange(cosines.shape[1]) == labels[:, None]
    return losses, np.where((np.abs(cosines) == 1) & ~own, np.nan, gradient)


COMBINED: dict[str, tuple[str, Callable[..., Pair], tuple[str, ...]]] = {
    "eps-in-log with no-max-subtraction": ("sv-softmax", textbook(softmax=seeds_softmax), ("float32",)),
    "no-max-subtraction-quotient-float64": ("am-softmax", textbook(softmax=quotient), ("float64",)),
    "no-max-subtraction": ("am-softmax", textbook(softmax=quotient), ("float32",)),
    "easy-margin-above-0 with sine-of-whole-row": ("arc-softmax", easy_arc_of_whole_row, DTYPES),
    "clamp-of-target-kills-gradient(0.001": ("arc-softmax", textbook(margin=clamped_to(1e-3)), DTYPES),
    "eps-in-log(any ε)": ("sv-am-softmax", textbook(softmax=lambda z, own: with_eps(z, own, 3e-6)), DTYPES),
    "annealing-left-on(any λ)": (
        "a-softmax",
        textbook(margin=lambda c, m: mixed(999.8, (c, np.ones_like(c)), sphere(c, m))),
        ("float64",),
    ),
}


def mixed(lam: float, plain: Pair, psi: Pair) -> Pair:
    return tuple((lam * one + other) / (1 + lam) for one, other in zip(plain, psi, strict=True))


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, case in COMBINED.items() for dtype in case[2]])
def test_two_mistakes_at_once_and_mistakes_of_any_size_are_named(name: str, dtype: str) -> None:
    variant, wrong, _ = COMBINED[name]
    variant_args = {"m": 0.0} if variant == "sv-softmax" else {}
    report = check(lambda c, y, **p: wrong(c, y, **variant_args, **p), variant, dtype=dtype, framework="numpy")
    assert report.verdict.startswith(f"FAIL-AS({name}"), report


# ---- what must not be given a name ------------------------------------------------------------------------------------


def test_a_name_that_passing_cases_contradict_is_not_given() -> None:
    def capped(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Pair:
        return textbook()(cosines, labels, s=min(s, 64), m=m, t=t)

    assert check(capped, "sv-am-softmax", dtype="float32").verdict == "FAIL"


@pytest.mark.usefixtures("singles_alone")
def test_a_single_mistake_that_passing_cases_contradict_is_told_as_contradicted() -> None:
    shifted = textbook(mask=lambda c, boundary: c > boundary + 1e-3)
    report = check(shifted, "sv-am-softmax", dtype="float32")
    assert report.verdict == "FAIL"
    assert all(d.contradicted for d in report.diagnosis if d.matched == d.failing)


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize("epsilon", [1e-4, 1e-6, 1e-9, 1e-13])
def test_a_boundary_that_an_epsilon_shifts_is_found_in_float64(epsilon: float) -> None:
    for variant in ("sv-am-softmax", "mv-am-softmax"):
        lift = {} if variant == "sv-am-softmax" else {"emphasis": lambda c, s, t: (np.full_like(c, t - 1), 0.0)}
        for sign in (1, -1):
            wrong = textbook(mask=lambda c, boundary, e=sign * epsilon: c > boundary + e, **lift)
            assert not check(wrong, variant, dtype="float64").ok


@pytest.mark.parametrize(("variant", "dtype"), [("sv-am-softmax", "float64"), ("sv-arc-softmax", "float32")])
def test_a_small_error_in_one_row_is_not_called_a_known_mistake(variant: str, dtype: str) -> None:
    margin = {"margin": arc} if "arc" in variant else {}

    def bent(losses: np.ndarray, gradient: np.ndarray, own: Pair, mask: np.ndarray) -> Pair:
        gradient[1:2] *= gradient.dtype.type(1 + 1e-4)
        return losses, gradient

    assert check(textbook(result=bent, **margin), variant, dtype=dtype).verdict == "FAIL"


@pytest.mark.usefixtures("singles_alone")
@pytest.mark.parametrize("spoil", [lambda losses, g: (losses + 1e-9, g), lambda losses, g: (np.round(losses, 6), g)])
def test_a_small_error_is_not_called_float32_unless_most_digits_say_so(spoil: Callable[..., Pair]) -> None:
    report = check(textbook(result=lambda losses, g, *_: spoil(losses, g)), "sv-am-softmax", dtype="float64")
    assert not report.ok
    assert "precision-downcast-float32" not in [d.name for d in report.diagnosis if d.complete]


def test_float32_that_comes_back_for_float64_is_named_and_told() -> None:
    report = check(lambda c, y, **p: textbook()(c.astype(np.float32), y, **p), "sv-am-softmax", framework="numpy")
    assert report.verdict == "FAIL-AS(precision-downcast-float32)"
    assert "returned in float32 where float64 was given" in str(report)


@pytest.mark.parametrize("name", ["t-offset", "fixed-for-adaptive"])
def test_a_mistake_next_to_a_tie_that_rounding_decides_keeps_its_name(name: str) -> None:
    report = check(textbook(margin=sphere, **MISTAKES[name][1]), "sv-a-softmax", dtype="float64")
    assert report.verdict == f"FAIL-AS({name})"
