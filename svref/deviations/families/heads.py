"""Families of the head: how vectors are normalised, and how the gradient goes back through that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import normalisation
from svref.deviations.families.backward import shortened
from svref.deviations.families.kind import Family, constant, head_family
from svref.deviations.formats import FORMATS, Rounding
from svref.deviations.logits import is_own, right_result
from svref.deviations.normalisation import Backward, HeadRun, Normaliser, by_length, head_around, lengths
from svref.loss import SVXSoftmax

HeadResult = tuple[FloatArray, FloatArray, FloatArray]
SIZES = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12)

# ---- other lengths ----------------------------------------------------------------------------------------------


def by_sum(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/Σ|v_d| and its way back."""
    length = np.sum(np.abs(rows), axis=1, keepdims=True)
    unit = rows / length
    return unit, lambda g: (g - np.sum(g * unit, axis=1, keepdims=True) * np.sign(rows)) / length


def by_largest(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/max|v_d| and its way back."""
    length = np.max(np.abs(rows), axis=1, keepdims=True)
    unit, at = rows / length, np.abs(rows) == length
    share = at * np.sign(rows) / at.sum(axis=1, keepdims=True)
    return unit, lambda g: (g - np.sum(g * unit, axis=1, keepdims=True) * share) / length


def by_square(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/|v|² and its way back."""
    length = lengths(rows)
    unit = rows / length
    return unit / length, lambda g: (g - 2 * np.sum(g * unit, axis=1, keepdims=True) * unit) / length**2


def by_root(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/sqrt|v| and its way back."""
    length = lengths(rows)
    unit = rows / length
    back = np.sqrt(length)
    return unit * back, lambda g: (g - 0.5 * np.sum(g * unit, axis=1, keepdims=True) * unit) / back


def by_whole(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return V/|V|, the length of the whole array, and its way back."""
    length = np.sqrt(np.sum(rows * rows))
    unit = rows / length
    return unit, lambda g: (g - np.sum(g * unit) * unit) / length


def by_mean_length(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v over the mean length of all rows, and its way back."""
    length = lengths(rows)
    mean, unit = length.mean(), rows / length
    return rows / mean, lambda g: g / mean - np.sum(g * rows) / mean**2 * unit / len(rows)


def by_length_and_root(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v/(|v| √D), as products are scaled in attention, and the way back."""
    unit, back = by_length(rows)
    root = np.sqrt(rows.shape[1])
    return unit / root, lambda g: back(g) / root


def centred(rows: FloatArray) -> tuple[FloatArray, Backward]:
    """Return v less the mean of its entries, over its length, and the way back."""
    less = rows - rows.mean(axis=1, keepdims=True)
    unit, back = by_length(less)

    def through(g: FloatArray) -> FloatArray:
        by_less = back(g)
        return by_less - by_less.mean(axis=1, keepdims=True)

    return unit, through


NORMALISERS: tuple[tuple[str, str, Normaliser], ...] = (
    ("length", "v/|v|", by_length),
    ("nothing", "v", normalisation.unchanged),
    ("axis-0", "v_d/sqrt(Σ_b v_bd²)", normalisation.by_column),
    ("axis-0-alone", "v_d/sqrt(Σ_b v_bd²), 0/0 = NaN", lambda rows: normalisation.by_column(rows, least=0.0)),
    ("sum", "v/Σ_d |v_d|", by_sum),
    ("largest", "v/max_d |v_d|", by_largest),
    ("square", "v/|v|²", by_square),
    ("root", "v/sqrt|v|", by_root),
    ("whole-array", "v/sqrt(Σ_bd v_bd²)", by_whole),
    ("mean-length", "v/mean_b |v_b|", by_mean_length),
    ("length-and-root-of-D", "v/(|v| √D)", by_length_and_root),
    ("centred", "(v - mean v)/|v - mean v|", centred),
)


def _normalised_families() -> Iterator[Family]:
    """Yield each wrong normalisation of embeddings, of weights, and of both."""
    for of_x, text_x, x in NORMALISERS:
        for of_w, text_w, w in NORMALISERS:
            if of_x == of_w == "length":
                continue

            def of_size(size: float, x: Normaliser = x, w: Normaliser = w) -> HeadRun:
                return head_around(right_result, x, w)

            formula = f"x̂ = {text_x.replace('v', 'x')}, ŵ = {text_w.replace('v', 'w')}"
            about = head_family(formula)(of_size)
            effect = "Vectors are not divided by their lengths, so that c_k is no cosine."
            yield replace(about, name=f"embeddings-by-{of_x}-weights-by-{of_w}", effect=effect)


NORMALISED_BY = tuple(_normalised_families())


def _mixed(of_x: Normaliser, of_w: Normaliser) -> HeadRun:
    """Return the head whose targets are cosines, and whose negatives are products of vectors normalised otherwise."""

    def run(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
        (x_unit, back_x), (w_unit, back_w) = by_length(x), by_length(w)
        (x_other, other_back_x), (w_other, other_back_w) = of_x(x), of_w(w)
        cosines = np.clip(x_unit @ w_unit.T, -1, 1)
        c = np.where(is_own(cosines, y), cosines, x_other @ w_other.T)
        losses, by_c = right_result(loss, c, y, g)
        own = np.where(is_own(c, y), by_c, 0.0)
        others = np.where(is_own(c, y), 0.0, by_c)
        by_x = back_x(own @ w_unit) + other_back_x(others @ w_other)
        return losses, by_x, back_w(own.T @ x_unit) + other_back_w(others.T @ x_other)

    return run


def _mixed_families() -> Iterator[Family]:
    """Yield targets that are cosines beside negatives that are not."""
    of_nothing = normalisation.unchanged
    ways = (("embeddings", of_nothing, by_length), ("weights", by_length, of_nothing), ("both", of_nothing, of_nothing))
    for name, x, w in ways:
        formula = f"c_y is a cosine; for k ≠ y c_k is a product without the length of {name}"
        about = head_family(formula)(lambda size, x=x, w=w: _mixed(x, w))  # type: ignore[misc]
        yield replace(about, name=f"negatives-without-length-of-{name}", effect="Negatives are no cosines.")


MIXED = tuple(_mixed_families())


def kept_above(eps: float) -> Normaliser:
    """Return the normalisation v/max(|v|, ε)."""

    def normaliser(rows: FloatArray) -> tuple[FloatArray, Backward]:
        length = lengths(rows)
        longer, (unit, back) = np.maximum(length, eps), by_length(rows)
        return unit * (length / longer), lambda g: np.where(length < eps, g / longer, back(g))

    return normaliser


def _eps_families() -> Iterator[Family]:
    """Yield lengths that are kept above ε, added to ε, or have ε under the root, on each side."""
    ways: tuple[tuple[str, str, Callable[[float], Normaliser]], ...] = (
        ("at-least-ε", "v/max(|v|, ε)", kept_above),
        ("plus-ε", "v/(|v| + ε)", normalisation.by_length_plus),
        ("root-plus-ε", "v/sqrt(|v|² + ε)", lambda eps: normalisation.by_length_plus(eps, under_root=True)),
    )
    for name, text, way in ways:
        for side in ("both", "embeddings", "weights"):

            def of_size(size: float, way: Callable[[float], Normaliser] = way, side: str = side) -> HeadRun:
                x, w = (way(size) if side in ("both", of) else by_length for of in ("embeddings", "weights"))
                return head_around(right_result, x, w)

            about = head_family(
                f"v̂ = {text} for {side}, ε = {{size}}", between=(1e-13, 10), tried=[constant(e) for e in SIZES]
            )(of_size)
            effect = "The length has a smallest value, or a number is added to it: cosines are too small."
            yield replace(about, name=f"length-{name}-of-{side}", effect=effect)


LENGTH_WITH_EPS = tuple(_eps_families())

# ---- vectors that are rounded -----------------------------------------------------------------------------------


def _cast_families() -> Iterator[Family]:
    """Yield vectors of one side, or of both, that are cast to a narrower format, with the gradient cast too or not."""
    for title, rounded in FORMATS:
        for side in ("embeddings", "weights", "both"):
            for gradient_too in (True, False):
                if side == "both" and not gradient_too:
                    continue  # that is inputs-cast-to-*

                def of_size(
                    size: float, rounded: Rounding = rounded, side: str = side, gradient_too: bool = gradient_too
                ) -> HeadRun:
                    back = rounded if gradient_too else _same
                    x, w = ((rounded, back) if side in ("both", of) else (_same, _same) for of in SIDE_NAMES)
                    return _cast(x, w)

                letter = {"embeddings": "x", "weights": "w", "both": "x, w"}[side]
                too = ", and the gradient is rounded on its way back" if gradient_too else ""
                about = head_family(f"{letter} := {title}({letter}){too}")(of_size)
                name = f"{side}-cast-to-{title}{'' if gradient_too else '-straight-through'}"
                yield replace(about, name=name, effect=f"Vectors are rounded to {title} before they are normalised.")


SIDE_NAMES = ("embeddings", "weights")


def _same(values: FloatArray) -> FloatArray:
    return values


def _cast(x_cast: tuple[Rounding, Rounding], w_cast: tuple[Rounding, Rounding]) -> HeadRun:
    """Return the right head of rounded vectors; each side has a rounding of the vectors, and one of the gradient."""

    def run(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
        losses, by_x, by_w = head_around(right_result)(loss, x_cast[0](x), w_cast[0](w), y, g)
        return losses, x_cast[1](by_x), w_cast[1](by_w)

    return run


CAST = tuple(_cast_families())

# ---- the way back -----------------------------------------------------------------------------------------------


def _as_it_came(rows: FloatArray) -> tuple[FloatArray, Backward]:
    return rows / lengths(rows), lambda g: g


def _projected_alone(rows: FloatArray) -> tuple[FloatArray, Backward]:
    unit = rows / lengths(rows)
    return unit, lambda g: g - np.sum(g * unit, axis=1, keepdims=True) * unit


def _times_length(rows: FloatArray) -> tuple[FloatArray, Backward]:
    unit, length = rows / lengths(rows), lengths(rows)
    return unit, lambda g: (g - np.sum(g * unit, axis=1, keepdims=True) * unit) * length


def _half_projected(rows: FloatArray) -> tuple[FloatArray, Backward]:
    unit, length = rows / lengths(rows), lengths(rows)
    return unit, lambda g: (g - np.sum(g * rows, axis=1, keepdims=True) * unit) / length


def _detached(rows: FloatArray) -> tuple[FloatArray, Backward]:
    return rows / lengths(rows), np.zeros_like


WAYS_BACK: tuple[tuple[str, str, Normaliser], ...] = (
    ("length-constant", "d/|v|", normalisation.by_constant_length),
    ("no-way-back", "d", _as_it_came),
    ("projected-alone", "d - <d, v̂> v̂", _projected_alone),
    ("times-length", "|v| (d - <d, v̂> v̂)", _times_length),
    ("projected-by-v", "(d - <d, v> v̂)/|v|", _half_projected),
    ("detached", "0", _detached),
)


def _way_back_families() -> Iterator[Family]:
    """Yield each wrong way back through the normalisation, of embeddings, of weights, and of both."""
    for side in ("embeddings", "weights", "both"):
        for name, text, way in WAYS_BACK:
            if (name, side) in (("length-constant", "both"), ("detached", "both")):
                continue

            def of_size(size: float, way: Normaliser = way, side: str = side) -> HeadRun:
                x, w = (way if side in ("both", of) else by_length for of in ("embeddings", "weights"))
                return head_around(right_result, x, w)

            formula = f"∂L/∂v = {text}, d = ∂L/∂v̂, for {side}"
            about = head_family(formula, shows="gradient")(of_size)
            effect = "The gradient does not go back through the normalisation as it should; losses are right."
            yield replace(about, name=f"gradient-of-{side}-{name}", effect=effect)


WAY_BACK = tuple(_way_back_families())


def _side_families() -> Iterator[Family]:
    """Yield a factor, and a clip, of the gradient by embeddings, by weights, and by both."""
    for side in ("embeddings", "weights"):
        index = 1 if side == "embeddings" else 2

        def scaled(size: float, index: int = index) -> HeadRun:
            return _changed(lambda gradient: size * gradient, index)

        letter = side[0].replace("e", "x")
        about = head_family(
            f"∂L/∂{letter} := a ∂L/∂{letter}, a = {{size}}", between=(-1e6, 1e6), linear=True, shows="gradient"
        )
        yield replace(
            about(scaled), name=f"gradient-by-{side}-scaled", effect="One gradient is multiplied by a factor."
        )
    for name, text, clip in CLIPS:

        def clipped(size: float, clip: Callable[[FloatArray, float], FloatArray] = clip) -> HeadRun:
            return _changed(lambda gradient: clip(gradient, size), 1, 2)

        about = head_family(text, between=(1e-6, 1e4), shows="gradient")
        yield replace(about(clipped), name=name, effect="Gradients by embeddings and weights are clipped.")


@head_family("∂L/∂w := ∂L/∂w + a w, a = {size}", between=(-10, 10), linear=True, shows="gradient")
def weights_decay(size: float) -> HeadRun:
    """A part of the weights is added to their gradient: weight decay belongs into the optimiser."""
    return _with_part_of(0.0, size)


@head_family("∂L/∂x := ∂L/∂x + a x, a = {size}", between=(-10, 10), linear=True, shows="gradient")
def embeddings_decay(size: float) -> HeadRun:
    """A part of the embeddings is added to their gradient."""
    return _with_part_of(size, 0.0)


def _with_part_of(of_x: float, of_w: float) -> HeadRun:
    """Return the right head with parts of the vectors added to their gradients."""

    def run(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
        losses, by_x, by_w = head_around(right_result)(loss, x, w, y, g)
        return losses, by_x + of_x * x, by_w + of_w * w

    return run


CLIPS: tuple[tuple[str, str, Callable[[FloatArray, float], FloatArray]], ...] = (
    ("gradients-clipped", "∂L/∂v := clip(∂L/∂v, -a, a), a = {size}", lambda g, a: np.clip(g, -a, a)),
    (
        "gradients-of-rows-clipped",
        "∂L/∂v := ∂L/∂v min(1, a/|∂L/∂v|) for each row, a = {size}",
        lambda g, a: shortened(g, a, 1),
    ),
    (
        "gradients-of-arrays-clipped",
        "∂L/∂v := ∂L/∂v min(1, a/|∂L/∂v|) for each array, a = {size}",
        lambda g, a: shortened(g, a, None),
    ),
)


def _changed(change: Callable[[FloatArray], FloatArray], *indices: int) -> HeadRun:
    """Return the right head with a change of its outputs at some indices: 1 by embeddings, 2 by weights."""

    def run(loss: SVXSoftmax, x: FloatArray, w: FloatArray, y: IntArray, g: FloatArray) -> HeadResult:
        outputs = head_around(right_result)(loss, x, w, y, g)
        losses, by_x, by_w = (change(part) if i in indices else part for i, part in enumerate(outputs))
        return losses, by_x, by_w

    return run


SIDES = tuple(_side_families())
