"""Certified values: every last bit, every decision, every way to fail."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import oracle
import pytest
from certified import cosine_level, differences, head_level
from flint import ctx
from mpmath import mp, mpf
from rows import MARGINS, MORE_MARGINS, batch

import svref
from svref import SupportVectors, SVXSoftmax, exact
from svref.exact import balls, margins, rounding
from svref.exact import rows as rows_in_balls
from svref.exact.rounding import Certified, LimitAndRest
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
)

ALL = {**MARGINS, **MORE_MARGINS}
COTANGENT = [1.0, -0.5, 0.25, 0.0]


# ---- every last bit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("regime", "dtype"), [("hard", "float64"), ("near-pole", "float32"), ("converged", "float64")])
@pytest.mark.parametrize("margin", ALL)
def test_every_output_of_cosines_is_the_oracles_correctly_rounded(margin: str, regime: str, dtype: str) -> None:
    loss = SVXSoftmax(ALL[margin], SupportVectors(1.2), s=16.0)
    compared, wrong = cosine_level(loss, *batch(regime, loss.margin, dtype), COTANGENT)
    assert compared > 70
    assert wrong == 0


@pytest.mark.parametrize("margin", ALL)
def test_every_output_of_a_head_is_the_oracles_correctly_rounded(margin: str) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    x[1] = w[3] + 1e-9 * x[1]  # near-parallel to its class
    loss = SVXSoftmax(ALL[margin], SupportVectors(1.2), s=8.0)
    assert head_level(loss, x, w, [0, 3, 2, 2], COTANGENT).tolist() == [44, 0]


@pytest.mark.parametrize("form", ["adaptive", "fixed"])
@pytest.mark.parametrize("boundary", [None, NoMargin(), AdditiveCosine(0.25), AdditiveAngle(0.75)])
def test_forms_and_boundaries_of_the_emphasis_are_the_oracles(form: str, boundary: Margin | None) -> None:
    loss = SVXSoftmax(AdditiveAngle(0.5), SupportVectors(1.2, form, boundary), s=8.0)
    assert cosine_level(loss, *batch("near-boundary", loss.margin, "float64")).tolist() == [80, 0]


def test_a_straight_through_margin_keeps_the_value_and_has_the_slope_of_the_cosine() -> None:
    loss = SVXSoftmax(StraightThrough(AdditiveAngle(0.5)), SupportVectors(1.2), s=8.0)
    c, y = batch("hard", loss.margin, "float64")
    truth, plain = (
        exact.evaluate(loss, c, y),
        exact.evaluate(SVXSoftmax(AdditiveAngle(0.5), SupportVectors(1.2), s=8.0), c, y),
    )
    assert truth.loss.hi.tolist() == plain.loss.hi.tolist()
    own = (np.arange(len(y)), y)
    assert np.allclose(truth.cosines.hi[own], -8 * (1 - truth.probabilities.hi[own]), rtol=1e-14, atol=0)


def test_parallel_opposite_scaled_and_duplicated_vectors_are_the_oracles() -> None:
    x = np.array([[3.0, 4.0, 0.0], [-6.0, -8.0, 0.0], [1.0, 2.0, 2.0], [0.5, 0.0, -1.0]])
    w = np.array([[0.75, 1.0, 0.0], [1.5, 2.0, 0.0], [0.75, 1.0, 0.0], [-1.0, -2.0, -2.0], [2.0, 1.0, 1.0]])
    for margin in (NoMargin(), AdditiveCosine(0.25), AdditiveAngle(0.5), MultiplicativeAngle(3)):
        loss = SVXSoftmax(margin, SupportVectors(1.25), s=4.0)
        assert head_level(loss, x, w, [0, 1, 3, 4], COTANGENT)[1] == 0


def test_gradients_that_cancel_exactly_are_zero() -> None:
    truth = exact.evaluate_head(svref.softmax(s=4.0), [[1.0, 0.0]], [[1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], [0])
    assert truth.embeddings.hi.tolist() == [[0.0, 0.0]]  # mirrored classes pull with equal force
    assert not np.signbit(truth.embeddings.hi).any()
    assert not truth.unresolved


def test_rows_of_extreme_lengths_are_like_any_other() -> None:
    loss = svref.sv_arc_softmax(s=8.0, m=0.5, t=1.2)
    x, w = np.array([[1.0, 2.0, -1.0]]), np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    plain = exact.evaluate_head(loss, x, w, [0])
    far = exact.evaluate_head(loss, x * 2.0**900, w * 2.0**-900, [0])
    assert far.loss.hi.tolist() == plain.loss.hi.tolist()
    assert far.embeddings.hi.tolist() == (plain.embeddings.hi * 2.0**-900).tolist()
    assert far.weights.lo.tolist() == (plain.weights.lo * 2.0**900).tolist()


# ---- decisions -------------------------------------------------------------------------------------------------

TIES = {
    "none": (NoMargin(), 0.3, 0.3),
    "am": (AdditiveCosine(0.25), 0.5, 0.25),
    "arc without a margin": (AdditiveAngle(0.0), 0.3, 0.3),
    "a": (MultiplicativeAngle(2), 0.75, 0.125),
    "a, beyond a kink, annealed": (MultiplicativeAngle(3, annealing=3.0), 0.25, -0.140625),
    "a on a kink": (MultiplicativeAngle(3), 0.5, -1.0),
    "a, annealed": (MultiplicativeAngle(2, annealing=3.0), 0.5, 0.25),
    "combined": (Combined(2.0, 0.0, 0.25), 0.75, -0.125),
    "easy": (EasyMargin(AdditiveAngle(0.5), above=0.3), 0.3, 0.3),
    "subnormal": (NoMargin(), 5e-324, 5e-324),
}


@pytest.mark.parametrize("name", TIES)
def test_a_tie_is_not_a_support_vector_and_its_neighbour_is(name: str) -> None:
    margin, target, tie = TIES[name]
    loss = SVXSoftmax(margin, SupportVectors(1.5), s=2.0)
    truth = exact.evaluate(loss, [[target, tie], [target, np.nextafter(tie, 9.0)]], [0, 0])
    assert truth.mask.tolist() == [[False, False], [False, True]]
    assert truth.gap.hi[0] == 0 < truth.gap.hi[1]
    assert truth.loss.hi[0] < truth.loss.hi[1], "the emphasis is a jump"


def test_a_cosine_that_equals_that_of_the_target_is_no_tie_with_its_margin() -> None:
    with mp.workdps(900):
        m = mpf(1e-170)
        truth = exact.evaluate(svref.arc_softmax(s=64.0, m=1e-170), [[-1.0, -1.0]], [0])
        gap = 64 * (-1 - mp.cos(mp.pi + m))
        assert truth.mask.tolist() == [[False, False]]
        assert truth.probabilities.hi.tolist() == [[0.5, 0.5]]
        assert truth.probabilities.remainder.tolist() == [[1, -1]]
        assert gap < 0, "the target's logit is the larger one"


def test_a_tie_is_proven_on_every_piece_that_may_hold() -> None:
    d = 1 << 90
    n, square = d * d, 2 * d * d + 1  # c_y² = 1/2 - 2^-182, next to a kink of m = 4; c_k = T_4(c_y) of the other piece
    other = balls.fmpz(8 * n * n - 8 * n * square + square * square)
    cosines = [
        balls.VectorCosine(balls.fmpz(d), balls.fmpz(square)),
        balls.VectorCosine(other, balls.fmpz(square) ** 4),
    ]
    loss = SVXSoftmax(MultiplicativeAngle(4), SupportVectors(1.2), s=4.0)
    with ctx.workprec(160), pytest.raises(balls.UndecidedError):
        rows_in_balls.evaluate(loss, cosines, 0, balls.ONE)
    with ctx.workprec(640):
        assert rows_in_balls.evaluate(loss, cosines, 0, balls.ONE).mask == [False, True]


@pytest.mark.parametrize("margin", [Combined(1e9, 0.0, 0.125), Combined(4000.0, 0.0, 0.25), MultiplicativeAngle(1000)])
def test_a_large_multiple_of_the_angle_takes_no_longer(margin: Margin) -> None:
    c = [[0.75, 0.25, 0.125]]
    truth = exact.evaluate(SVXSoftmax(margin, SupportVectors(1.25), s=4.0), c, [0])
    assert not truth.unresolved
    exact.evaluate_head(SVXSoftmax(margin, SupportVectors(1.25), s=4.0), [[1.0, 2.0]], [[3.0, 1.0], [0.5, -7.0]], [0])


def test_threads_do_not_disturb_each_others_precision() -> None:
    before, found = ctx.prec, []
    loss = svref.sv_arc_softmax()

    def work() -> None:
        found.extend(exact.evaluate(loss, [[0.5, 0.25, 0.1]], [0]).loss.hi.tolist() for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ctx.prec == before
    assert len(found) == 40
    assert found.count(found[0]) == 40


def test_a_tie_of_irrational_cosines_in_a_head_is_proven() -> None:
    x = [[1.0, 0.0, 0.0]]
    cases = [
        (NoMargin(), [1.0, 1.0, 0.0], [1.0, 0.0, -1.0]),  # both sqrt(1/2)
        (MultiplicativeAngle(2), [1.0, 1.0, 1.0], [-1.0, 2.0, 2.0]),  # cos 2θ = 2/3 - 1
        (AdditiveCosine(0.5), [3.0, 4.0, 0.0], [1.0, 3.0, 0.0]),  # 0.6 - 0.5 is not 1/sqrt(10)
        (MultiplicativeAngle(4), [1.0, 1.0, 0.0], [-1.0, 0.0, 0.0]),  # on a kink, sqrt(1/2), where ψ = -1
        (Combined(2.0, 0.0, 0.0), [1.0, 1.0, 1.0], [-1.0, 2.0, 2.0]),
    ]
    for margin, target, other in cases:
        truth = exact.evaluate_head(SVXSoftmax(margin, SupportVectors(1.5), s=2.0), x, [target, other], [0])
        tie = truth.gap.hi[0] == 0
        assert tie == (not isinstance(margin, AdditiveCosine))
        assert truth.mask.tolist() == [[False, not tie and truth.mask[0, 1]]]
        assert not truth.unresolved


def test_a_root_is_on_a_line_if_and_only_if_it_is() -> None:
    def root(sign: int, square: Fraction) -> balls.Root:
        return balls.Root(sign, balls.fmpq(square.numerator, square.denominator))

    def line(p: float, q: float) -> tuple[object, object]:
        return balls.fraction(p), balls.fraction(q)

    half, two = root(1, Fraction(1, 4)), root(1, Fraction(2))
    assert half.is_on(line(0.0, 1.0), half)
    assert half.is_on(line(0.75, -0.5), half)
    assert half.is_on(line(0.5, 0.0), two)
    assert two.is_on(line(0.0, 1.0), two)
    assert root(1, Fraction(8)).is_on(line(0.0, 2.0), two)
    assert root(-1, Fraction(8)).is_on(line(0.0, -2.0), two)
    assert not root(1, Fraction(8)).is_on(line(0.0, -2.0), two)
    assert not two.is_on(line(1.0, 1.0), two)
    assert not root(-1, Fraction(1, 4)).is_on(line(0.0, 1.0), half)
    assert root(0, Fraction(0)).is_on(line(-0.5, 1.0), half)
    assert not root(1, Fraction(9, 4)).is_on(line(1.0, 1.0), root(-1, Fraction(1, 4)))


@pytest.mark.parametrize("tail", ["linear", "plain", "reflect"])
def test_a_tail_and_an_easy_margin_begin_where_they_say(tail: str) -> None:
    m, below = 0.5, -math.cos(0.5)
    edges = [float(np.nextafter(below, 1.0)), below]
    truth = exact.evaluate(SVXSoftmax(AdditiveAngle(m, tail), s=2.0), [[edge, 0.0] for edge in edges], [0, 0])
    with mp.workdps(60):
        distances = [mpf(c) + mp.cos(mpf(m)) for c in edges]
        assert [d > 0 for d in distances] == [True, False]
        assert differences(truth.branch_gap, [abs(d) for d in distances]) == (2, 0)
    easy = exact.evaluate(
        SVXSoftmax(EasyMargin(AdditiveAngle(0.5), above=0.25), s=2.0), [[0.25, 0.0], [0.5, 0.0]], [0, 0]
    )
    assert easy.branch_gap.hi.tolist() == [0.0, 0.25]
    assert easy.loss.hi[0] == exact.evaluate(svref.softmax(s=2.0), [[0.25, 0.0]], [0]).loss.hi[0]


def test_every_margin_has_a_form_in_balls_and_one_without_is_named() -> None:
    default = margins.margin_in_balls.dispatch(object)
    for cls in Margin.__subclasses__():
        if cls.__module__.startswith("svref."):
            assert margins.margin_in_balls.dispatch(cls) is not default, f"{cls.__name__} has no form in balls"
    with pytest.raises(TypeError, match=r"str has no form in balls; register one in svref/exact/margins\.py\."):
        margins.margin_in_balls("arc", None)


# ---- degenerate points -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", ALL)
def test_a_single_class_has_loss_0_and_gradients_0(margin: str) -> None:
    truth = exact.evaluate(SVXSoftmax(ALL[margin], SupportVectors(1.2), s=64.0), [[0.5], [1.0], [-1.0]], [0, 0, 0])
    for output in (truth.loss, truth.cosines, truth.s, truth.t, *truth.margin.values()):
        assert not output.hi.any()
        assert not np.signbit(output.hi).any()
    assert truth.probabilities.hi.tolist() == [[1.0], [1.0], [1.0]]
    assert np.isinf(truth.gap.hi).all()


def test_equal_cosines_share_the_probability_exactly() -> None:
    truth = exact.evaluate(svref.sv_softmax(s=16.0, t=1.2), np.full((1, 4), 0.3), [2])
    assert truth.probabilities.hi.tolist() == [[0.25] * 4]
    assert not truth.probabilities.lo.any()
    assert truth.cosines.hi.tolist() == [[4.0, 4.0, -12.0, 4.0]]
    assert (truth.s.hi[0], truth.t.hi[0]) == (0.0, 0.0)
    with mp.workdps(60):
        assert differences(truth.loss, [mp.log(4)]) == (1, 0)


def test_at_a_pole_the_gradient_is_its_infinity_also_where_everything_underflows() -> None:
    loss = svref.sv_arc_softmax(s=1e4, m=0.5, t=1.2)
    truth = exact.evaluate(loss, [[1.0, -1.0], [-1.0, 0.5], [1.0, 0.5]], [0, 0, 0], cotangent=[2.0, -1.0, 0.0])
    assert truth.loss.hi[0] == 0.0
    assert truth.cosines.hi[:, 0].tolist() == [-math.inf, -math.inf, 0.0]
    assert exact.evaluate(svref.sv_a_softmax(s=4.0, m=3), [[-1.0, 0.5]], [0]).cosines.hi[0, 0] == pytest.approx(-36.0)


# ---- midpoints -------------------------------------------------------------------------------------------------


def test_numbers_a_hair_off_a_midpoint_are_decided_by_the_sign_of_the_hair() -> None:
    loss = svref.sv_am_softmax(s=64.0, m=0.35, t=100.0)
    c = np.array([[-0.5, 0.9, 0.1]])
    truth = exact.evaluate(loss, c, [0])
    assert truth.bits[0] < 1000, "it is 1e-5000 to the limit"
    with mp.workdps(12_000):
        s, m, t = (mpf(v) for v in (64.0, 0.35, 100.0))
        f = mpf(-0.5) - m
        d = [mpf(0), *(mpf(v) - f + (t - 1) * (mpf(v) + 1) for v in (0.9, 0.1))]
        total = mp.fsum(mp.exp(s * x) for x in d)
        p = [mp.exp(s * x) / total for x in d]
        q = 1 - p[0]
        assert differences(truth.loss, [mp.log(total)]) == (1, 0)
        assert differences(truth.probabilities, [p]) == (3, 0)
        assert differences(truth.cosines, [[-s * q, s * t * p[1], s * t * p[2]]]) == (3, 0)
        assert differences(truth.s, [mp.fdot(p, d)]) == (1, 0)
        assert differences(truth.t, [s * (p[1] * mpf(1.9) + p[2] * (mpf(0.1) + 1))])[0] == 1
        assert differences(truth.margin["m"], [s * q]) == (1, 0)


@pytest.mark.parametrize("hair", [1e-300, -1e-300, 0.0])
def test_a_split_is_rounded_by_the_sign_of_its_rest(hair: float) -> None:
    middle = 1.0 + 2.0**-53
    with ctx.workprec(160):
        settled = rounding.settle(LimitAndRest(balls.arb(1) + balls.arb(2) ** -53, balls.arb(hair)))
    assert settled is not None
    hi, lo, sign = settled
    assert hi == (1.0 + 2.0**-52 if hair > 0 else 1.0)
    assert lo == (-(2.0**-53) if hair > 0 else 2.0**-53)
    assert sign == (-1 if hair > 0 else 1)
    assert middle == 1.0, "no float lies between"


def test_rounding_to_float32_uses_what_the_double_lost() -> None:
    middle = 1.0 + 2.0**-24  # between two float32 numbers
    certified = Certified(
        np.array([middle] * 3 + [0.1]), np.array([1e-20, -1e-20, 0.0, 0.0]), np.array([1, -1, 0, 0], np.int8)
    )
    up = float(np.nextafter(np.float32(1), np.float32(2)))
    assert certified.rounded("float32").tolist() == [up, 1.0, 1.0, float(np.float32(0.1))]
    assert certified.rounded(np.float64).tolist() == certified.hi.tolist()
    assert certified.rounded("float16").tolist() == [1.0, 1.0, 1.0, float(np.float16(0.1))]
    unproven = Certified(np.array([middle]), np.array([0.0]), np.array([rounding.UNPROVEN], np.int8))
    with pytest.raises(ArithmeticError, match=r"entry \[0\] may lie on a midpoint of float32"):
        unproven.rounded("float32")


def test_rounding_at_the_end_of_a_range_and_near_zero() -> None:
    truth = exact.evaluate(svref.softmax(s=65520.0), [[0.0, 1.0]], [0])  # a hair below the midpoint to infinity
    assert truth.cosines.hi.tolist() == [[-65520.0, 65520.0]]
    assert truth.cosines.rounded("float16").tolist() == [[-65504.0, 65504.0]]
    above = Certified(np.array([65520.0, -1e-300]), np.zeros(2), np.array([0, 0], np.int8)).rounded("float16")
    assert above.tolist() == [math.inf, 0.0]
    assert not np.signbit(above).any()
    with pytest.raises(TypeError, match=r"rounded to float64, float32, tf32, .*; got int32"):
        truth.loss.rounded("int32")


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("power", [1.0, 0.5, 512.0])
def test_a_ball_across_a_midpoint_next_to_a_power_of_two_is_not_settled(power: float, sign: float) -> None:
    sheet = rounding.PendingOutput("x", 1, None)
    with ctx.workprec(400):
        middle = sign * (balls.arb(power) - balls.arb(power) * balls.arb(2) ** -54)
        assert not sheet.fill(0, [middle + balls.arb(0, 2.0**-140)])
        assert sheet.fill(0, [middle + sign * balls.arb(2) ** -130 + balls.arb(0, 2.0**-190)])
    assert sheet.hi[0, 0] == sign * power
    assert np.sign(sheet.lo[0, 0]) == -sign


def test_a_limit_of_many_digits_is_settled() -> None:
    with ctx.workprec(12_000):
        long = balls.arb(1) + balls.arb(2) ** -53 + balls.arb(2) ** -11_000
        assert rounding.settle(LimitAndRest(long, balls.arb(2) ** -11_500)) == (1.0 + 2.0**-52, -(2.0**-53), -1)


def test_float32_values_are_those_of_the_oracle_rounded_once() -> None:
    loss = svref.sv_am_softmax(s=32.0, m=0.35, t=1.2)
    c, y = batch("hard", loss.margin, "float32")
    got = exact.evaluate(loss, c, y)
    truth = oracle.evaluate(oracle.Spec("am", m=0.35, s=32.0, t=1.2), c, y)
    for name in ("loss", "cosines", "t"):
        exactly = np.asarray(getattr(truth, name), dtype=object)
        with mp.workprec(24):
            expected = [float(+value) for value in exactly.flat]
        assert getattr(got, name).rounded("float32").ravel().tolist() == expected


# ---- what cannot be settled ------------------------------------------------------------------------------------


def test_what_the_precision_does_not_settle_is_listed_with_both_candidates_and_nan() -> None:
    loss = svref.sv_softmax(s=64.0, t=1.2)
    c = [[0.9, 0.1, 0.1 - 2.0**-56], [0.9, -0.1, 0.3]]
    truth = exact.evaluate_head(loss, [[1.0, 0.0]], [[1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], [0], most_bits=160)
    (lost,) = truth.unresolved[:1]
    assert lost.output == "embeddings"
    assert lost.bits == 160
    assert lost.candidates[0] < 0 < lost.candidates[1]
    assert np.isnan(truth.embeddings.hi[lost.index])
    assert not exact.evaluate(loss, c, [0, 0]).unresolved


def test_a_decision_that_stays_open_leaves_its_row_open_and_no_other() -> None:
    loss = SVXSoftmax(Combined(0.5, 0.0, 0.0), SupportVectors(1.2), s=2.0)  # cos 60° is 1/2, but nobody proves it
    truth = exact.evaluate(loss, [[-0.5, 0.5, 0.1], [-0.4, 0.25, 0.1]], [0, 0], most_bits=640)
    assert {u.index[0] for u in truth.unresolved} == {0}
    assert np.isnan(truth.loss.hi).tolist() == [True, False]
    assert (truth.unresolved[0].output, truth.unresolved[0].index) == ("mask", (0, 1))
    assert truth.unresolved[1].candidates == (-math.inf, math.inf)
    certain = exact.evaluate(loss, [[-0.5, 0.5, 0.9]], [0], most_bits=160)
    assert certain.mask.tolist() == [[False, False, True]], "what is decided is said"


# ---- inputs, progress, interrupts ------------------------------------------------------------------------------


def test_bad_input_is_refused_as_by_the_numpy_path() -> None:
    loss = svref.sv_arc_softmax()
    for cosines, labels in (([[1.5, 0.0]], [0]), ([[0.5, math.nan]], [0]), ([[0.5, 0.1]], [2]), ([0.5], [0])):
        with pytest.raises((ValueError, TypeError)) as by_numpy:
            loss.value(cosines, labels)
        with pytest.raises(type(by_numpy.value)) as by_exact:
            exact.evaluate(loss, cosines, labels)
        assert str(by_exact.value) == str(by_numpy.value)
    with pytest.raises(ValueError, match=r"8 s t max\(1, \|c\|, \|f\|\) must stay below"):
        exact.evaluate_head(svref.softmax(s=1e308), [[1.0, 0.0]], [[1.0, 0.5]], [0])
    for x, w in (([[0.0, 0.0]], [[1.0, 0.0]]), ([[1.0, 0.0]], [[1.0]]), ([[1.0, math.inf]], [[1.0, 0.0]])):
        with pytest.raises(ValueError, match="must") as by_numpy:
            svref.head.value_and_grad(loss, x, w, [0])
        with pytest.raises(ValueError, match="must") as by_exact:
            exact.evaluate_head(loss, x, w, [0])
        assert str(by_exact.value) == str(by_numpy.value)
    with pytest.raises(TypeError, match=r"loss must be an SVXSoftmax"):
        exact.evaluate("arc", [[0.5]], [0])
    with pytest.raises(ValueError, match="most_bits must be an integer from 160"):
        exact.evaluate(loss, [[0.5, 0.1]], [0], most_bits=53)
    with pytest.raises(TypeError, match="progress must be a function of two integers"):
        exact.evaluate(loss, [[0.5, 0.1]], [0], progress=7)


def test_without_python_flint_it_says_which_extra_to_install() -> None:
    script = "import sys; sys.modules['flint'] = None; import svref; svref.exact"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr.strip().endswith("ImportError: svref.exact needs python-flint: pip install 'svref[exact]'")


def test_progress_counts_rows_and_an_interrupt_leaves_the_precision_as_it_was() -> None:
    loss, before, seen = svref.sv_am_softmax(), ctx.prec, []
    exact.evaluate(loss, np.full((3, 2), 0.25), [0, 1, 0], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    seen.clear()
    exact.evaluate_head(
        loss, np.eye(2, 3), np.ones((4, 3)), [0, 1], progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (6, 6)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for call in (
        lambda: exact.evaluate(loss, [[0.5, 0.1]], [0], progress=interrupt),
        lambda: exact.evaluate_head(loss, [[0.5, 0.1]], [[0.5, 0.2]], [0], progress=interrupt),
    ):
        with pytest.raises(KeyboardInterrupt):
            call()
        assert ctx.prec == before


def test_the_bits_do_not_depend_on_what_the_processor_can() -> None:
    enabled = "from numpy._core._multiarray_umath import __cpu_dispatch__ as d, __cpu_features__ as f; print(*(x for x in d if f[x]))"
    features = subprocess.run(
        [sys.executable, "-c", enabled], capture_output=True, text=True, check=True
    ).stdout.strip()
    here = str(Path(__file__).parent)
    script = f"import sys; sys.path[:0] = [{here!r}]\nfrom test_exact import fingerprint; print(fingerprint())"
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": features}
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert other.stdout.strip() == fingerprint()


def fingerprint() -> str:
    """Return a digest of certified values of every margin, at both levels."""
    digest = hashlib.sha256()
    rng = np.random.Generator(np.random.PCG64(0))
    c = rng.integers(-999, 999, (3, 6)) / 1024
    x, w = rng.integers(-9, 9, (2, 3)) + 0.5, rng.integers(-9, 9, (4, 3)) + 0.25
    for margin in ALL.values():
        loss = SVXSoftmax(margin, SupportVectors(1.2), s=30.0)
        truth, head = exact.evaluate(loss, c, [0, 1, 2]), exact.evaluate_head(loss, x, w, [0, 3])
        for v in (
            truth.loss,
            truth.probabilities,
            truth.cosines,
            truth.s,
            truth.t,
            head.loss,
            head.embeddings,
            head.weights,
        ):
            digest.update(v.hi.tobytes() + v.lo.tobytes() + v.remainder.tobytes())
    return digest.hexdigest()


def test_a_flipped_decision_is_evaluated_on_its_other_side() -> None:
    loss = svref.sv_am_softmax(s=4.0, m=0.25, t=1.25)
    c = [[0.5, 0.25, -0.5], [0.5, 0.375, -0.5]]
    truth = exact.evaluate(loss, c, [0, 0], flipped=[[False, True, False], [False, True, True]])
    assert truth.mask.tolist() == [[False, True, False], [False, False, True]]
    with mp.workdps(60):
        z = [mpf(1), mpf(4) * mpf(1.25) * mpf(0.25) + 1, mpf(-2)]  # s (c_y - m), s (t c + t - 1), s c
        assert truth.loss.hi[0] == oracle.to_float([mp.log(mp.fsum(map(mp.exp, z))) - z[0]])[0]
    assert truth.gaps.hi.tolist() == [[math.inf, 0.0, 0.75], [math.inf, 0.125, 0.75]]
    with pytest.raises(
        ValueError, match=r"flipped must be bool, of shape \(B, C\) = \(2, 3\); got bool, shape \(2, 2\)\."
    ):
        exact.evaluate(loss, c, [0, 0], flipped=np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="flipped must be False in the label's column"):
        exact.evaluate(loss, c, [0, 0], flipped=np.ones((2, 3), bool))
