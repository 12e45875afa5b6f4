"""Families of the negatives: which are support vectors, how much each is emphasised, and which count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.deviations import which
from svref.deviations.families.kind import Family, constant, family
from svref.deviations.families.laws import multiple
from svref.deviations.logits import (
    CosineRun,
    Logits,
    emphasised,
    from_logits,
    is_own,
    margin_logits,
    right_logits,
    without_labels,
)
from svref.margins import Angle
from svref.reference import Step

# ---- I: the mask ------------------------------------------------------------------------------------------------

MASKS: tuple[tuple[str, str, Callable[[Step], BoolArray]], ...] = (
    ("inverted", "I_k = [c_k < f]", lambda step: step.cosines < step.boundary[:, None]),
    ("of-all", "I_k = 1 for all k ≠ y", lambda step: np.ones(step.cosines.shape, dtype=bool)),
    ("above-0", "I_k = [c_k > 0]", lambda step: step.cosines > 0),
    ("above-m", "I_k = [c_k > m]", lambda step: step.cosines > getattr(step.margin, "m", 0.0)),
    ("inverted-plain", "I_k = [c_k < c_y]", lambda step: step.cosines < step.target_cosine[:, None]),
    ("by-magnitude", "I_k = [|c_k| > f]", lambda step: np.abs(step.cosines) > step.boundary[:, None]),
    ("on-margin-of-negatives", "I_k = [f_m(c_k) > c_y]", lambda step: _f_of_all(step) > step.target_cosine[:, None]),
    ("on-both-margins", "I_k = [f_m(c_k) > f]", lambda step: _f_of_all(step) > step.boundary[:, None]),
    ("on-scaled-cosines", "I_k = [s c_k > f]", lambda step: step.s * step.cosines > step.boundary[:, None]),
    ("on-scaled-f", "I_k = [c_k > s f]", lambda step: step.cosines > step.s * step.boundary[:, None]),
    ("of-the-hardest", "I_k = [c_k > f] for the largest c_k alone", lambda step: step.mask & _top(step, 1)),
    ("of-rows-that-fail", "I_k = 1 for all k ≠ y where some c_k > f", lambda step: _in_rows_with_some(step.mask)),
)  # fmt: skip


def _f_of_all(step: Step) -> FloatArray:
    return np.asarray(step.margin.value(Angle.from_cosine(step.cosines)))


def _in_rows_with_some(mask: BoolArray) -> BoolArray:
    """Return True in all entries of the rows in which some entry is True."""
    return np.repeat(mask.any(axis=1, keepdims=True), mask.shape[1], axis=1)


def _has_label(step: Step) -> BoolArray:
    """Return which classes are the label of some row, (B, C)."""
    return np.broadcast_to(np.isin(np.arange(step.cosines.shape[1]), step.labels), step.cosines.shape).copy()


def _top(step: Step, count: int, last_of_equals: bool = False) -> BoolArray:
    """Return which negatives are among the largest of their row."""
    c = step.cosines.astype(np.float64).copy()
    c[step.own] = -np.inf
    order = np.argsort(-c, axis=1, kind="stable")[:, :count]
    if last_of_equals:
        order = c.shape[1] - 1 - np.argsort(-c[:, ::-1], axis=1, kind="stable")[:, :count]
    top = np.zeros(c.shape, dtype=bool)
    np.put_along_axis(top, order, True, axis=1)
    return without_labels(step, top)


def _masked(mask: Callable[[Step], BoolArray]) -> Callable[[float], CosineRun]:
    """Return the computation with another mask."""

    def logits(step: Step) -> Logits:
        return emphasised(margin_logits(step), step, without_labels(step, mask(step)))

    return lambda size: from_logits(logits)


def _mask_families() -> Iterator[Family]:
    """Yield each wrong mask."""
    for name, formula, mask in MASKS:
        about = family(formula, applies=which.emphasises)(_masked(mask))
        yield replace(about, name=f"mask-{name}", effect="Other negatives than the support vectors are emphasised.")


MASK = tuple(_mask_families())


@family(
    "I_k = [c_k > c_y - a], a = {size}", applies=which.emphasises,
    tried=[multiple(1, "1", "m"), multiple(-1, "-1", "m"), multiple(2, "2", "m"), multiple(1, "1", "m3"),
           multiple(1, "1", "m2"), multiple(0.5, "0.5", "m"),
           *(constant(a) for a in (0.1, 0.2, 0.3, 0.35, 0.4, 0.5, -0.1, -0.2))],
)  # fmt: skip
def mask_by_cosine_margin(size: float) -> CosineRun:
    """The mask compares with the target's cosine less a number, whatever the margin is."""
    return _masked(lambda step: step.cosines > (step.target_cosine - size)[:, None])(size)


@family(
    "I_k = [c_k > f + a], a = {size}", applies=which.emphasises,
    tried=[multiple(1, "1", "m"), multiple(-1, "-1", "m"),
           *(constant(a) for a in (0.01, 0.05, 0.1, 0.2, 0.5, -0.05, -0.1))],
)  # fmt: skip
def mask_moved(size: float) -> CosineRun:
    """The mask compares with f and a number besides."""
    return _masked(lambda step: step.cosines > (step.boundary + size)[:, None])(size)


@family(
    "I_k = [c_k > cos(θ_y + a)], a = {size}", applies=which.emphasises,
    tried=[multiple(1, "1", "m"), multiple(0.5, "0.5", "m"), multiple(2, "2", "m"), multiple(1, "1", "m2"),
           multiple(1, "1", "m3"), *(constant(a) for a in (0.1, 0.2, 0.3, 0.35, 0.4, 0.5))],
)  # fmt: skip
def mask_by_angle_margin(size: float) -> CosineRun:
    """The mask compares with the cosine of the target's angle and a number, whatever the margin is."""
    return _masked(lambda step: step.cosines > np.cos(step.angle.theta + size)[:, None])(size)


# ---- h: the emphasis --------------------------------------------------------------------------------------------


def _lifted(log_h: Callable[[Step, FloatArray], FloatArray], rise: Callable[[Step], float]) -> CosineRun:
    """Return the computation with another log h of support vectors, and another dlog h/dc."""

    def logits(step: Step) -> Logits:
        z, slope = margin_logits(step)
        return Logits(z + log_h(step, step.cosines) * step.mask, slope + rise(step) * step.mask)

    return from_logits(logits)


@family("t := {size}", between=(-5, 20))
def other_t(size: float) -> CosineRun:
    """The strength of the emphasis is another number than t."""
    return _lifted(
        lambda step, c: step.s * (size - 1) * step.emphasis.growth(c),
        lambda step: step.s * (size - 1) * step.emphasis.growth_slope,
    )


@family("log h_k = s (t-1)(1 - c_k) I_k", applies=which.emphasises)
def h_falls(size: float) -> CosineRun:
    """The emphasis falls with the negative's cosine."""
    return _lifted(
        lambda step, c: step.s * (step.emphasis.t - 1) * (1 - c), lambda step: -step.s * (step.emphasis.t - 1)
    )


@family("h_k = 1 + (t-1)(c_k + 1) I_k", applies=which.emphasises)
def h_without_exponential(size: float) -> CosineRun:
    """The emphasis is not an exponential."""

    def logits(step: Step) -> Logits:
        (z, slope), rise = margin_logits(step), (step.emphasis.t - 1) * step.mask
        h = 1 + rise * (step.cosines + 1)
        return Logits(z + np.log(h), slope + rise / h)

    return from_logits(logits)


@family("log h_k = s (t-1)(c_k + a) I_k, a = {size}", applies=which.emphasises, between=(-5, 5))
def h_with_another_offset(size: float) -> CosineRun:
    """The emphasis of a support vector has another number in place of 1."""
    return _lifted(
        lambda step, c: step.s * (step.emphasis.t - 1) * (c + size), lambda step: step.s * (step.emphasis.t - 1)
    )


@family("log h_k = a (c_k + 1) I_k, a = {size}", applies=which.emphasises, between=(-500, 500))
def h_with_another_factor(size: float) -> CosineRun:
    """The emphasis of a support vector has another factor in place of s (t-1)."""
    return _lifted(lambda step, c: size * (c + 1), lambda step: size)


@family("log h_k = a I_k, a = {size}", applies=which.emphasises, between=(-500, 500))
def h_is_a_constant(size: float) -> CosineRun:
    """Each support vector is emphasised by the same number, which is not s (t-1)."""
    return _lifted(lambda step, c: np.full_like(c, size), lambda step: 0.0)


@family("z_y = s (t f + t - 1)", applies=which.emphasises_adaptively)
def label_emphasised_after_margin(size: float) -> CosineRun:
    """The target is emphasised after its margin, like a support vector."""
    return _target_lifted(lambda step, f: step.s * (step.emphasis.t - 1) * (f + 1), lambda step: step.emphasis.t)


@family("z_y = s f + s (t-1)", applies=lambda loss: which.emphasises(loss) and loss.emphasis.form == "fixed")
def label_emphasised_after_margin_fixed(size: float) -> CosineRun:
    """The target is emphasised after its margin, like a support vector."""
    return _target_lifted(lambda step, f: step.s * (step.emphasis.t - 1) + 0 * f, lambda step: 1.0)


@family("z_y = s f + s (t-1)(c_y + 1) in all rows", applies=which.emphasises_adaptively)
def label_emphasised_always(size: float) -> CosineRun:
    """The target is emphasised like a support vector in every row."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z[step.own] += step.s * (step.emphasis.t - 1) * (step.target_cosine + 1)
        slope[step.own] += step.s * (step.emphasis.t - 1)
        return Logits(z, slope)

    return from_logits(logits)


@family("I_y = [0 > f], log h_k = s (t-1)(c_k + 1) I_k", applies=which.emphasises_adaptively)
def zeroed_label_in_mask(size: float) -> CosineRun:
    """The label's column is multiplied by 0 before the mask is taken, so that the target is emphasised where f < 0."""
    return from_logits(lambda step: emphasised(margin_logits(step), step, _with_zeroed_label(step)))


@family("I_y = [0 > f], log h_k = (t-1)(s c_k + 1) I_k", applies=which.emphasises_adaptively)
def zeroed_label_in_mask_of_scaled(size: float) -> CosineRun:
    """The label's column is multiplied by 0 before the mask is taken, and the emphasis is that of scaled logits."""
    return _of_scaled(_with_zeroed_label)


@family("I_y = [c_y > f], log h_k = (t-1)(s c_k + 1) I_k", applies=which.emphasises_adaptively)
def label_in_mask_of_scaled(size: float) -> CosineRun:
    """The target is emphasised like a support vector, and the emphasis is that of scaled logits."""
    return _of_scaled(lambda step: step.cosines > step.boundary[:, None])


def _with_zeroed_label(step: Step) -> BoolArray:
    """Return the mask with [0 > f] in the label's column."""
    mask = step.mask.copy()
    mask[step.own] = step.boundary < 0
    return mask


def _of_scaled(mask_of: Callable[[Step], BoolArray]) -> CosineRun:
    """Return the computation that emphasises logits which are scaled already, by a mask."""

    def logits(step: Step) -> Logits:
        mask = mask_of(step)
        z, slope = emphasised(margin_logits(step), step, mask)
        return Logits(z - (step.s - 1) * (step.emphasis.t - 1) * mask, slope)

    return from_logits(logits)


@family("z_y = s (t f + t - 1) where c_y > f", applies=which.emphasises_adaptively)
def label_emphasised_after_margin_where_above(size: float) -> CosineRun:
    """The target is emphasised after its margin, where its cosine exceeds f."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        f, t, above = step.margin.value(step.angle), step.emphasis.t, step.target_cosine > step.boundary
        z[step.own] += np.where(above, step.s * (t - 1) * (f + 1), 0.0)
        slope[step.own] *= np.where(above, t, 1.0)
        return Logits(z, slope)

    return from_logits(logits)


def _target_lifted(lift: Callable[[Step, FloatArray], FloatArray], factor: Callable[[Step], float]) -> CosineRun:
    """Return the computation with a lifted target logit, whose slope is multiplied by a factor."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        f = step.margin.value(step.angle)
        z[step.own] += lift(step, f)
        slope[step.own] *= factor(step)
        return Logits(z, slope)

    return from_logits(logits)


# ---- which negatives count --------------------------------------------------------------------------------------


def _margin_on_top(count: int, last_of_equals: bool) -> Callable[[float], CosineRun]:
    """Return the function of a size that is added to the largest negatives' cosines."""

    def of_size(size: float) -> CosineRun:
        def logits(step: Step) -> Logits:
            z, slope = right_logits(step)
            return Logits(z + step.s * size * _top(step, count, last_of_equals), slope)

        return from_logits(logits)

    return of_size


def _top_families() -> Iterator[Family]:
    """Yield a margin on the hardest negatives, for each usual number of them, the first or the last of equal ones."""
    for last in (False, True):
        for count in (1, 2, 3, 5):
            formula = f"c_k := c_k + a for the {count} largest c_k, k ≠ y, a = {{size}}"
            about = family(formula, between=(-2, 2))(_margin_on_top(count, last))
            name = f"margin-on-{count}-hardest{'-last-of-equals' if last else ''}"
            yield replace(about, name=name, effect="The hardest negatives have a margin of their own.")


MARGIN_ON_TOP = tuple(_top_families())


@family("c_k := c_k + a where c_k > f, k ≠ y, a = {size}", between=(-2, 2))
def margin_on_negatives_above_f(size: float) -> CosineRun:
    """Negatives above f have a margin of their own."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        return Logits(z + step.s * size * step.mask, slope)

    return from_logits(logits)


KEPT: tuple[tuple[str, str, Callable[[Step], BoolArray]], ...] = (
    ("hardest", "the largest c_k alone", lambda step: _top(step, 1)),
    ("2-hardest", "the 2 largest c_k alone", lambda step: _top(step, 2)),
    ("3-hardest", "the 3 largest c_k alone", lambda step: _top(step, 3)),
    ("support-vectors", "support vectors alone, c_k > f", lambda step: step.cosines > step.boundary[:, None]),
    ("easy", "no support vectors, c_k <= f", lambda step: step.cosines <= step.boundary[:, None]),
    ("positive", "c_k > 0", lambda step: step.cosines > 0),
    ("classes-of-the-batch", "labels of the batch", lambda step: _has_label(step)),
    ("classes-not-in-the-batch", "no labels of the batch", lambda step: ~_has_label(step)),
)  # fmt: skip


def _kept_families() -> Iterator[Family]:
    """Yield the loss over some of the negatives; the others are left out, or have the logit 0."""
    for name, formula, kept in KEPT:
        for out, words in ((-np.inf, "left out of the sum"), (0.0, "z_k = 0")):

            def logits(step: Step, kept: Callable[[Step], BoolArray] = kept, out: float = out) -> Logits:
                z, slope = right_logits(step)
                gone = without_labels(step, ~kept(step))
                return Logits(np.where(gone, out, z), np.where(gone, 0.0, slope))

            about = family(f"only negatives with {formula} count; {words} for the others")(
                lambda size, logits=logits: from_logits(logits)  # type: ignore[misc]
            )
            suffix = "" if out else "-others-0"
            yield replace(about, name=f"negatives-only-{name}{suffix}", effect="Some negatives do not count.")


NEGATIVES_KEPT = tuple(_kept_families())


@family("z_k := z_k + a k for class k, a = {size}", between=(-10, 10))
def bias_of_classes(size: float) -> CosineRun:
    """Each class has a bias besides its cosine."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        return Logits(z + size * np.arange(z.shape[1]), slope)

    return from_logits(logits)


@family("z_0 := z_0 + a, a = {size}", between=(-100, 100))
def bias_of_first_class(size: float) -> CosineRun:
    """The first class has a bias."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        z[:, 0] += size
        return Logits(z, slope)

    return from_logits(logits)


@family("z := a tanh(z/a), a = {size}", between=(0.5, 1e3))
def logits_bent(size: float) -> CosineRun:
    """Logits are bent so that none exceeds a number."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        bent = np.tanh(z / size)
        return Logits(size * bent, slope * (1 - bent**2))

    return from_logits(logits)


@family("z := clip(z, -a, a), ∂z/∂z = 0 beyond, a = {size}", between=(0.5, 1e3), tried=[multiple(1, "1", "s")])
def logits_clipped(size: float) -> CosineRun:
    """Logits are clipped, and those beyond have no gradient."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        return Logits(np.clip(z, -size, size), np.where(np.abs(z) > size, 0.0, slope))

    return from_logits(logits)


@family("c_k := -c_k, k ≠ y")
def negatives_negated(size: float) -> CosineRun:
    """The negatives' cosines have the wrong sign."""

    def logits(step: Step) -> Logits:
        z, slope = right_logits(step)
        sign = np.where(is_own(z, step.labels), 1.0, -1.0)
        return Logits(sign * z, sign * slope)

    return from_logits(logits)


@family("c_k := |c_k|, k ≠ y")
def negatives_by_magnitude(size: float) -> CosineRun:
    """The negatives' cosines lose their sign."""

    def logits(step: Step) -> Logits:
        z, slope = margin_logits(step)
        sign = np.where(is_own(z, step.labels), 1.0, np.where(step.cosines < 0, -1.0, 1.0))
        return Logits(sign * z, sign * slope)

    return from_logits(logits)
