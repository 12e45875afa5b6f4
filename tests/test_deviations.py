"""The deviations: each is the computation its formula says, wrong where it applies and right where it does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import svref
from svref import AdditiveAngle, AdditiveCosine, MultiplicativeAngle, SupportVectors, SVXSoftmax
from svref.deviations import DEVIATIONS
from svref.judging import condition
from svref.margins import EasyMargin

COSINE = [name for name, deviation in DEVIATIONS.items() if deviation.level == "cosine"]
HEAD = [name for name, deviation in DEVIATIONS.items() if deviation.level == "head"]
LOSSES = {
    **{name: entry.factory(s=4.0) for name, entry in svref.VARIANTS.items()},
    **{f"{name}-64": entry.factory(s=64.0) for name, entry in svref.VARIANTS.items()},
    "sv-arc-linear": SVXSoftmax(AdditiveAngle(0.5, tail="linear"), SupportVectors(1.2), s=4.0),
    "sv-a-annealed": SVXSoftmax(MultiplicativeAngle(3, annealing=5.0), SupportVectors(1.2), s=4.0),
    "sv-am-eased": SVXSoftmax(EasyMargin(AdditiveCosine(0.35)), SupportVectors(1.2), s=4.0),
    "sv-am-plain-mask": SVXSoftmax(AdditiveCosine(0.35), SupportVectors(1.2, boundary=svref.NoMargin()), s=4.0),
    "sv-am-off": svref.sv_am_softmax(s=4.0, m=0.0, t=1.0),
    "sv-arc-off": svref.sv_arc_softmax(s=4.0, m=0.0, t=1.0),
    "sv-a-off": svref.sv_a_softmax(s=4.0, m=1, t=1.0),
    "sv-combined-off": svref.sv_combined_softmax(s=4.0, m1=1.0, m2=0.0, m3=0.0, t=1.0),
}
SMOOTH = [name for name, loss in LOSSES.items() if loss.s == 4]

# What is wrong in the backward alone: the gradient is not the derivative of the losses.
BACKWARD_ONLY = {
    "straight-through-angle", "slope-of-h-lost", "gradient-of-the-mean", "ignored-cotangent", "negatives-detached",
    "eps-in-loss-alone", "s-lost-in-gradient", "radial-gradient-kept", "weight-gradient-without-margin",
    "gradient-sign-flipped", "one-hot-not-subtracted", "target-detached", "last-row-of-a-class-counts",
    "grad-w-overwritten", "target-terms-averaged-over-class", "grad-w-averaged-over-class", "absent-classes-frozen",
    "weights-detached", "embeddings-detached", "target-gradient-rounded-early",
}  # fmt: skip
# What is wrong about a part that other losses lack, and has no meaning without it.
ABOUT_A_PART = {"logits-are-angles", "sine-of-whole-row", "h-on-scaled-logits", "negatives-zeroed"}
# The losses move in steps of a narrow format, which no difference resolves, or the gradient in no smooth row; how far
# that takes the gradient away.
IN_STEPS = {
    "precision-downcast-float32": 1e-3, "inputs-cast-to-float32": 1e-3, "inputs-cast-to-float16": 1e-1,
    "inputs-cast-to-bfloat16": 2e-1, "logits-stored-narrow": 5e-2, "scale-before-cast": 5e-2,
    "softmax-accumulated-narrow": 5e-1, "loss-rounded-to-format": 1e-12, "gradient-filtered": 1e-2,
    "tf32-product": 1e-2,
}  # fmt: skip

# Targets in every region: above m, between 0 and m, below 0, beyond θ + m = π; no entry next to a switch.
TARGETS = np.array([0.93, 0.62, 0.2, -0.3, -0.7, -0.95, 0.41, -0.11])
LABELS = np.array([0, 3, 5, 1, 2, 4, 0, 3])
COTANGENT = np.array([1.0, -0.5, 2.0, 0.0, -1.25, 0.75, 1.5, -2.0])


def rows_of(targets: np.ndarray, negatives: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([np.insert(row, y, c) for row, y, c in zip(negatives, labels, targets, strict=True)])


COSINES = rows_of(TARGETS, np.random.default_rng(11).uniform(-0.9, 0.9, (8, 5)), LABELS)


def pointed(loss: SVXSoftmax) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines, labels and a cotangent that no deviation survives: poles, ends, ties, lost rows, and COSINES."""
    targets = np.array([1.0, -1.0, -0.9, 0.75, 0.5, 0.99])
    negatives = np.random.default_rng(12).uniform(-0.9, 0.9, (6, 5))
    negatives[2], negatives[5] = 0.99, -0.5
    negatives[3, 1], negatives[4, 0], negatives[4, 1], negatives[4, 2] = 1.0, -1.0, 1.0, 0.5
    labels = np.array([1, 2, 0, 5, 4, 3])
    cosines = np.vstack([rows_of(targets, negatives, labels), COSINES])
    labels, cotangent = np.append(labels, LABELS), np.append([1.0, 2.0, -1.0, 0.5, 1.0, 1.0], COTANGENT)
    if isinstance(loss.margin, MultiplicativeAngle):
        cosines[6, 0] = -3.5e-6  # the label's: between the ends of a piece by π and by 3.1416, at m = 4
    boundary = loss.forward(cosines, labels).boundary
    cosines[5, 0] = boundary[5] if np.abs(boundary[5]) <= 1 else 0.0
    if not loss.angular:
        cosines, labels = np.vstack([cosines, cosines * 128]), np.append(labels, labels)
        cotangent = np.append(cotangent, cotangent)
    return cosines, labels, cotangent


LABELS_OF = {"labels-in-float16": 2049, "labels-in-bfloat16": 257}  # the least label that is another class's


def right(loss: SVXSoftmax, cosines: np.ndarray, labels: np.ndarray, cotangent: np.ndarray) -> tuple:
    step = loss.forward(cosines, labels)
    return step.loss, loss.backward(step, cotangent).cosines


def within(got: np.ndarray, truth: np.ndarray, tolerance: np.ndarray) -> bool:
    """Return whether two results agree; equal infinities do, NaN agrees with nothing."""
    with np.errstate(invalid="ignore"):
        return bool(np.all((got == truth) | (np.abs(got - truth) <= tolerance)))


def is_right(loss: SVXSoftmax, got: tuple, batch: tuple) -> bool:
    cosines, labels, cotangent = batch
    scales = condition.scales(loss.forward(cosines, labels), np.float64)
    losses, gradient = right(loss, *batch)
    bound = [condition.tolerance(k, cosines.shape[1], loss.s, loss.emphasis.t, np.float64) for k in (scales.loss, scales.cosines)]  # fmt: skip
    return within(got[0], losses, bound[0]) and within(got[1], gradient, bound[1] * np.abs(cotangent)[:, None])


def pairs(names: list[str], losses: list[str] | dict[str, SVXSoftmax], applies: bool) -> list[tuple[str, str]]:
    return [(n, other) for n in names for other in losses if DEVIATIONS[n].applies(LOSSES[other]) is applies]


# ---- the registry ----------------------------------------------------------------------------------------------


def test_every_entry_says_what_it_computes_what_that_does_and_where_it_was_seen() -> None:
    for name, deviation in DEVIATIONS.items():
        assert deviation.name == name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert deviation.effect.endswith(".")
        assert deviation.formula
        assert deviation.seen
        assert all(deviation.seen)
    assert len({d.formula for d in DEVIATIONS.values()}) == len(DEVIATIONS)


def test_the_registry_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        DEVIATIONS["mine"] = DEVIATIONS["t-ignored"]


def test_every_deviation_applies_to_some_loss_and_every_loss_has_some() -> None:
    assert {name for name, _ in pairs(list(DEVIATIONS), LOSSES, True)} == set(DEVIATIONS)
    assert {loss for _, loss in pairs(COSINE, LOSSES, True)} == set(LOSSES)


@pytest.mark.parametrize(
    ("name", "untouched", "touched"),
    [
        ("t-ignored", svref.sv_am_softmax(t=1.0), svref.sv_am_softmax(t=1.1)),
        ("easy-margin-above-0", svref.sv_softmax(), svref.sv_am_softmax()),
        ("mask-on-plain-cosine", svref.sv_softmax(), svref.sv_am_softmax()),
        ("label-in-mask", svref.sv_am_softmax(m=0.0), svref.sv_am_softmax()),
        ("tail-linear", svref.arc_softmax(m=0.0), svref.arc_softmax()),
        ("tail-raw", svref.arc_softmax(), SVXSoftmax(AdditiveAngle(0.5, tail="plain"))),
        ("cos-m-theta-without-psi", svref.a_softmax(m=1), svref.a_softmax(m=2)),
        ("fixed-for-adaptive", svref.mv_am_softmax(), svref.sv_am_softmax()),
        ("adaptive-for-fixed", svref.sv_am_softmax(), svref.mv_am_softmax()),
        ("sign-of-margin-flipped", svref.a_softmax(), svref.combined_softmax()),
        ("s-twice", svref.am_softmax(s=1.0), svref.am_softmax(s=2.0)),
        ("straight-through-angle", svref.am_softmax(), svref.arc_softmax()),
        ("slope-one-at-poles", svref.a_softmax(), svref.arc_softmax()),
        ("no-max-subtraction", svref.arc_softmax(s=64.0), svref.sv_arc_softmax(s=64.0)),
        ("weight-gradient-without-margin", svref.am_softmax(), svref.a_softmax()),
        ("zero-cosine-margin-replaced", svref.am_softmax(), svref.am_softmax(m=0.0)),
        ("zero-cosine-margin-replaced", svref.arc_softmax(m=0.0), svref.combined_softmax(m3=0.0)),
        ("zero-angle-margin-replaced", svref.am_softmax(m=0.0), svref.combined_softmax(m2=0.0)),
        ("one-piece-replaced", svref.a_softmax(m=2), svref.sv_a_softmax(m=1)),
        ("t-of-1-replaced", svref.sv_softmax(t=1.01), svref.sv_softmax(t=1.0)),
        ("margin-on-ties", svref.sv_softmax(), svref.am_softmax()),
    ],
)
def test_a_deviation_applies_only_where_there_is_something_to_get_wrong(
    name: str, untouched: SVXSoftmax, touched: SVXSoftmax
) -> None:
    assert not DEVIATIONS[name].applies(untouched)
    assert DEVIATIONS[name].applies(touched)


# ---- every deviation on cosines --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "of"), pairs(COSINE, SMOOTH, True))
def test_a_deviation_is_finite_away_from_poles_and_float64(name: str, of: str) -> None:
    losses, gradient = DEVIATIONS[name].run(LOSSES[of], COSINES, LABELS, COTANGENT)
    assert (losses.shape, gradient.shape) == ((8,), (8, 6))
    assert losses.dtype == gradient.dtype == np.float64
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("name", "of"), pairs([n for n in COSINE if n not in LABELS_OF], [f"{name}-64" for name in svref.VARIANTS], True)
)
def test_a_deviation_that_applies_differs_from_the_right_values(name: str, of: str) -> None:
    losses = [replace(LOSSES[of], s=s) for s in (4.0, 64.0)]
    batches = [pointed(loss) for loss in losses]
    runs = [DEVIATIONS[name].run(loss, *batch) for loss, batch in zip(losses, batches, strict=True)]
    assert not all(map(is_right, losses, runs, batches))


@pytest.mark.parametrize(("name", "label"), LABELS_OF.items())
def test_a_label_that_a_format_does_not_hold_is_that_of_its_neighbour(name: str, label: int) -> None:
    cosines, one = np.random.default_rng(5).uniform(-0.9, 0.9, (2, label + 1)), np.ones(2)
    for loss in (LOSSES["arc-softmax"], LOSSES["sv-am-softmax"]):
        got = DEVIATIONS[name].run(loss, cosines, np.array([label, label - 1]), one)
        for values, others in zip(got, right(loss, cosines, np.array([label - 1, label - 1]), one), strict=True):
            np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize(("name", "of"), pairs(COSINE, SMOOTH, False))
def test_a_deviation_that_does_not_apply_gives_the_right_values(name: str, of: str) -> None:
    loss, batch = LOSSES[of], pointed(LOSSES[of])
    for got, truth in zip(DEVIATIONS[name].run(loss, *batch), right(loss, *batch), strict=True):
        np.testing.assert_array_equal(got, truth)
    if name not in ABOUT_A_PART:  # not for being told so: its own computation changes nothing
        with np.errstate(all="ignore"):
            assert is_right(loss, DEVIATIONS[name].on_cosines(loss, *batch), batch)


@pytest.mark.parametrize(("name", "of"), pairs(COSINE, SMOOTH, True))
def test_the_gradient_is_the_derivative_of_the_wrong_loss_unless_the_backward_is_wrong(name: str, of: str) -> None:
    if name in IN_STEPS:
        loss = LOSSES[of]
        got = DEVIATIONS[name].run(loss, COSINES, LABELS, COTANGENT)
        np.testing.assert_allclose(
            got[1], right(loss, COSINES, LABELS, COTANGENT)[1], rtol=IN_STEPS[name], atol=IN_STEPS[name] / 10
        )
        return
    _, gradient = DEVIATIONS[name].run(LOSSES[of], COSINES, LABELS, COTANGENT)
    step = 1e-6
    differences = np.empty_like(COSINES)
    for k in range(COSINES.shape[1]):  # rows do not influence each other, so a column moves at once
        at = np.arange(COSINES.shape[1]) == k
        high, low = (DEVIATIONS[name].run(LOSSES[of], COSINES + d * at, LABELS)[0] for d in (step, -step))
        differences[:, k] = COTANGENT * (high - low) / (2 * step)
    assert np.allclose(gradient, differences, rtol=1e-6, atol=1e-7) is (name not in BACKWARD_ONLY)


def test_inputs_are_read_as_everywhere_and_left_alone() -> None:
    loss, frozen = svref.sv_arc_softmax(s=4.0), COSINES.copy()
    frozen.setflags(write=False)
    for name in COSINE:
        by_index = DEVIATIONS[name].run(loss, frozen, LABELS)
        by_row = DEVIATIONS[name].run(loss, frozen.tolist(), np.eye(6)[LABELS], np.ones(8))
        np.testing.assert_array_equal(by_index[0], by_row[0])
        np.testing.assert_array_equal(by_index[1], by_row[1])
    with pytest.raises(ValueError, match=r"cosines must lie in \[-1, 1\]"):
        DEVIATIONS["t-ignored"].run(loss, COSINES * 2, LABELS)
    with pytest.raises(ValueError, match="cotangent must be real numbers"):
        DEVIATIONS["t-ignored"].run(loss, COSINES, LABELS, [1.0])


# ---- formulas written out --------------------------------------------------------------------------------------

S, T, M, ARC, PIECES = 4.0, 1.2, 0.35, 0.5, 4
TH = np.cos(np.pi - ARC)
theta = np.arccos(COSINES)
own = np.arange(6) == LABELS[:, None]
c_y = TARGETS[:, None]
arc = np.cos(np.arccos(c_y) + ARC)
cosface = c_y - M
Z = S * COSINES
H = S * (T - 1) * (COSINES + 1)
AM, SV_ARC, SV_A = svref.sv_am_softmax(S, M, T), svref.sv_arc_softmax(S, ARC, T), svref.sv_a_softmax(S, PIECES, T)


def target(f: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The target's logit is s f, the others' z."""
    return np.where(own, S * f, z)


def psi(angle: np.ndarray, pi: float = np.pi) -> np.ndarray:
    k = np.floor(PIECES * angle / pi)
    return (-1) ** k * np.cos(PIECES * angle) - 2 * k


def mined(f: np.ndarray, boundary: np.ndarray | None = None) -> np.ndarray:
    """The logits of SV-Softmax for any f and any boundary of the mask."""
    return target(f, Z + H * ((f if boundary is None else boundary) < COSINES))


EASY_0, EASY_M = np.where(c_y > 0, cosface, c_y), np.where(c_y > M, cosface, c_y)
ANNEALED = (5 * c_y + psi(np.arccos(c_y))) / 6
LITERAL: dict[str, tuple[SVXSoftmax, np.ndarray]] = {
    "margin-ignored": (AM, mined(c_y)),
    "sign-of-margin-flipped": (SV_ARC, mined(np.cos(np.arccos(c_y) - ARC))),
    "margin-in-degrees": (SV_ARC, mined(np.cos(np.arccos(c_y) + ARC * np.pi / 180))),
    "easy-margin-above-0": (AM, mined(EASY_0)),
    "easy-margin-above-m": (AM, mined(EASY_M)),
    "tail-linear": (SV_ARC, mined(np.where(c_y > TH, arc, c_y - ARC * np.sin(ARC)))),
    "tail-plain": (SV_ARC, mined(np.where(c_y > TH, arc, c_y))),
    "tail-reflect": (SV_ARC, mined(np.where(c_y > TH, arc, -2 - arc))),
    "tail-raw": (SVXSoftmax(AdditiveAngle(ARC, tail="plain"), SupportVectors(T), s=S), mined(arc)),
    "cos-m-theta-without-psi": (SV_A, mined(np.cos(PIECES * np.arccos(c_y)))),
    "annealing-left-on": (SV_A, mined(ANNEALED)),
    "margin-on-all-classes": (AM, Z - S * M + H * (cosface < COSINES) * ~own),
    "logits-are-angles": (svref.arc_softmax(S, ARC), S * (theta + ARC * own)),
    "label-in-mask": (AM, np.where(own, S * cosface, Z) + H * (cosface < COSINES)),
    "mask-on-plain-cosine": (AM, mined(cosface, c_y)),
    "mask-on-uneased-margin": (AM, mined(EASY_0, cosface)),
    "mask-on-uneased-margin-above-m": (AM, mined(EASY_M, cosface)),
    "nonpositive-always-hard": (AM, target(cosface, Z + H * ((cosface < COSINES) | (COSINES <= 0)))),
    "t-ignored": (AM, target(cosface, Z)),
    "t-offset": (AM, target(cosface, Z + S * T * (COSINES + 1) * (cosface < COSINES))),
    "fixed-for-adaptive": (AM, target(cosface, Z + S * (T - 1) * (cosface < COSINES))),
    "adaptive-for-fixed": (svref.mv_am_softmax(S, M, T), mined(cosface)),
    "s-missing-in-h": (AM, target(cosface, Z + (T - 1) * (COSINES + 1) * (cosface < COSINES))),
    "h-on-scaled-logits": (AM, target(cosface, np.where(cosface < COSINES, T * Z + T - 1, Z))),
    "negatives-zeroed": (svref.arc_softmax(S, ARC), target(arc, np.where(COSINES > TH, 0, Z))),
    "negatives-filtered": (svref.am_softmax(S, M), target(cosface, np.where(COSINES > 0.4, 0, Z))),
    "s-twice": (AM, S * mined(cosface)),
    "zero-cosine-margin-replaced": (svref.sv_am_softmax(S, 0.0, T), mined(cosface)),
    "zero-angle-margin-replaced": (svref.sv_arc_softmax(S, 0.0, T), mined(arc)),
    "one-piece-replaced": (svref.sv_a_softmax(S, 1, T), mined(psi(np.arccos(c_y)))),
    "t-of-1-replaced": (svref.sv_am_softmax(S, M, 1.0), mined(cosface)),
}


@pytest.mark.parametrize(("name", "pi", "c"), [("pieces-of-3-14", 3.14, 7e-4), ("pieces-of-3-1416", 3.1416, -3e-6)])
def test_pieces_of_another_pi_are_those_of_the_formula_where_the_two_disagree(name: str, pi: float, c: float) -> None:
    f = [psi(np.arccos(c), by) for by in (pi, np.pi)]
    slope = [
        (-1) ** np.floor(PIECES * np.arccos(c) / by) * PIECES * np.sin(PIECES * np.arccos(c)) for by in (pi, np.pi)
    ]
    loss = svref.a_softmax(S, PIECES)
    losses, gradient = DEVIATIONS[name].run(loss, [[c, 0.5]], [0])
    assert losses[0] == pytest.approx(np.log1p(np.exp(S * (0.5 - f[0]))), rel=1e-14)
    assert gradient[0, 0] == pytest.approx(-S * slope[0] * -np.expm1(-losses[0]), rel=1e-6)
    truth = loss.value_and_grad([[c, 0.5]], [0], reduction="none")
    assert truth[0][0] == pytest.approx(np.log1p(np.exp(S * (0.5 - f[1]))), rel=1e-14)
    assert gradient[0, 0] == pytest.approx(-truth[1][0, 0], rel=1e-4)  # the slope has the other sign
    assert slope[0] == pytest.approx(-slope[1])


def test_negatives_that_equal_the_target_are_taken_for_it() -> None:
    loss, cosines = svref.am_softmax(S, M), [[0.5, 0.5, 0.25]]
    two = {"margin-on-ties": np.exp(0) + np.exp(S * (0.25 - 0.5 + M)), "ties-left-out": np.exp(S * (0.25 - 0.5 + M))}
    for name, others in two.items():
        assert DEVIATIONS[name].run(loss, cosines, [0])[0][0] == pytest.approx(np.log1p(others), rel=1e-14)
    assert DEVIATIONS["ties-left-out"].run(loss, cosines, [0])[1][0, 1] == 0


@pytest.mark.parametrize(("name", "unit"), [("float32", 2.0**-24), ("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_cast_inputs_are_the_nearest_numbers_of_the_format(name: str, unit: float) -> None:
    """Between 1/2 and 1 the numbers of a format are the multiples of its unit, and a tie goes to the even one."""
    c = np.array([[0.7, 0.5 + 1.5 * unit, 0.5 + 2.5 * unit, 0.9]])
    nearest = np.round(c / unit) * unit
    got = DEVIATIONS[f"inputs-cast-to-{name}"].run(AM, c, [0], [2.0])
    for a, b in zip(got, right(AM, nearest, np.array([0]), np.array([2.0])), strict=True):
        np.testing.assert_array_equal(a, b)
    x, w = np.array([[0.7, 0.9]]), np.array([[0.6, 0.8], [0.51, -0.77]])
    x_near, w_near = (np.round(v / unit) * unit for v in (x, w))
    value, truth = svref.head.value_and_grad(AM, x_near, w_near, [1], reduction="none")
    got = DEVIATIONS[f"inputs-cast-to-{name}"].run_head(AM, x, w, [1])
    for a, b in zip(got, (value, truth.embeddings, truth.weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_filter_of_negatives_begins_at_its_threshold() -> None:
    losses, gradient = DEVIATIONS["negatives-filtered"].run(svref.softmax(s=4.0), [[0.5, 0.45, 0.375]], [0])
    assert losses[0] == pytest.approx(np.log1p(np.exp(-2.0) + np.exp(1.5 - 2.0)), rel=1e-14)
    assert gradient[0, 1] == 0


def test_each_part_of_a_combined_margin_is_turned_or_taken_for_degrees() -> None:
    angle, m1, m2, m3 = np.arccos(c_y), 1.35, 0.3, 0.2
    loss = svref.sv_combined_softmax(S, m1, m2, m3, T)
    expected = {
        "sign-of-margin-flipped": (loss, mined(np.cos(m1 * angle - m2) + m3)),
        "margin-in-degrees": (loss, mined(np.cos(m1 * angle + m2 * np.pi / 180) - m3)),
    }
    for name, (combined, z) in expected.items():
        losses = np.logaddexp.reduce(z, axis=1) - z[own]
        np.testing.assert_allclose(DEVIATIONS[name].run(combined, COSINES, LABELS)[0], losses, rtol=1e-12)
    z = mined(c_y + M)
    turned, _ = DEVIATIONS["sign-of-margin-flipped"].run(AM, COSINES, LABELS)
    np.testing.assert_allclose(turned, np.logaddexp.reduce(z, axis=1) - z[own], rtol=1e-12)


def test_a_pole_gives_no_gradient_where_the_cotangent_is_0_or_there_is_no_negative() -> None:
    run, loss = DEVIATIONS["margin-on-all-classes"].run, svref.arc_softmax(s=4.0, m=0.5)
    np.testing.assert_array_equal(run(loss, [[1.0, 0.5], [1.0, 0.5]], [0, 0], [0.0, 1.0])[1][:, 0], [0, -np.inf])
    losses, gradient = run(loss, [[1.0]], [0])
    assert losses[0] == gradient[0, 0] == 0


@pytest.mark.parametrize("name", LITERAL)
def test_the_losses_are_those_of_the_formula_written_out(name: str) -> None:
    loss, z = LITERAL[name]
    expected = np.logaddexp.reduce(z, axis=1) - z[own]
    np.testing.assert_allclose(DEVIATIONS[name].run(loss, COSINES, LABELS)[0], expected, rtol=1e-12, atol=1e-13)


def test_a_tie_is_a_support_vector_for_a_mask_that_is_not_strict() -> None:
    loss = svref.sv_am_softmax(s=32.0, m=0.25, t=1.25)
    cosines, labels = [[0.75, 0.5]], [0]  # c_k = f, dyadic: s (t - 1)(1 + c_k) = 12
    assert loss.value(cosines, labels) == pytest.approx(np.log(2), rel=1e-14)
    losses, _ = DEVIATIONS["non-strict-mask"].run(loss, cosines, labels)
    assert losses[0] == pytest.approx(np.log1p(np.exp(12.0)), rel=1e-14)


def test_an_eps_in_the_log_caps_the_loss_and_takes_the_gradient_of_hard_rows() -> None:
    losses, gradient = DEVIATIONS["eps-in-log"].run(svref.sv_softmax(s=32.0, t=1.2), [[0.3, 0.9]], [0])
    p = np.exp(9.6) / (np.exp(9.6) + np.exp(32 * (1.2 * 0.9 + 0.2)))
    assert losses[0] == pytest.approx(-np.log(p + 1e-9), rel=1e-12)
    assert losses[0] < 20.7233
    assert gradient[0, 0] == pytest.approx(-7.7e-4, rel=1e-2)  # as measured on the code, in place of -32


def test_without_a_maximum_taken_out_the_loss_is_infinite_and_the_gradient_nan_in_the_rows_that_overflow() -> None:
    loss = svref.sv_softmax(s=64.0, t=1.2)  # z = 64 (1.2 c + 0.2): 89.6 at 1, 88.06 at 0.98
    losses, gradient = DEVIATIONS["no-max-subtraction"].run(loss, [[0.5, 1.0], [0.5, 0.98]], [0, 0])
    assert losses[0] == np.inf
    assert np.isnan(gradient[0, 1])
    assert losses[1] == pytest.approx(64 * (1.2 * 0.98 + 0.2) - 32, rel=1e-14)
    np.testing.assert_allclose(gradient[1], [-64, 64 * 1.2], rtol=1e-12)


def test_a_floor_of_the_probability_caps_the_loss_alone() -> None:
    loss = svref.softmax(s=64.0)
    losses, gradient = DEVIATIONS["loss-capped"].run(loss, [[-1.0, 1.0], [0.5, 0.4]], [0, 0])
    np.testing.assert_allclose(losses, [69.0776, np.log1p(np.exp(-6.4))], rtol=1e-6)
    np.testing.assert_allclose(gradient[0], [-64, 64], rtol=1e-12)


def test_the_wrong_last_piece_turns_the_sign_of_the_slope_at_pi() -> None:
    loss = svref.a_softmax(s=8.0, m=4)
    losses, gradient = DEVIATIONS["last-piece-off-by-one"].run(loss, [[-1.0, 0.5], [-0.9999, 0.5]], [0, 0])
    np.testing.assert_array_equal(losses, loss.value([[-1.0, 0.5], [-0.9999, 0.5]], [0, 0], reduction="none"))
    assert gradient[0, 0] == pytest.approx(128.0, rel=1e-14)  # s m², as measured on the code; -128 is right
    assert gradient[1, 0] == pytest.approx(-128.0, rel=1e-2)


def test_a_missing_scale_in_h_leaves_the_hard_logit_of_the_code() -> None:
    loss = svref.sv_arc_softmax(s=32.0, m=0.5, t=1.2)
    sf = 32 * np.cos(np.arccos(0.2) + 0.5)  # -9.415
    for name, z in (("h-on-scaled-logits", 27.08), ("t-offset", 32 * (2.2 * 0.7 + 1.2))):
        losses, _ = DEVIATIONS[name].run(loss, [[0.2, 0.7]], [0])
        assert losses[0] == pytest.approx(z - sf, rel=1e-12)


def test_the_backward_mistakes_keep_the_losses_and_change_the_entries_they_say() -> None:
    truth = right(SV_ARC, COSINES, LABELS, COTANGENT)
    mask = SV_ARC.forward(COSINES, LABELS).mask
    slope = np.sin(np.arccos(c_y) + ARC) / np.sin(np.arccos(c_y))
    factors = {
        "straight-through-angle": np.where(own, 1 / slope, 1),
        "slope-of-h-lost": np.where(mask, 1 / T, 1),
        "negatives-detached": own * 1.0,
        "target-detached": ~own * 1.0,
        "gradient-sign-flipped": np.full(own.shape, -1.0),
        "one-hot-not-subtracted": np.where(own, 1 + 1 / np.expm1(-truth[0])[:, None], 1),
        "s-lost-in-gradient": np.full(own.shape, 1 / S),
        "gradient-of-the-mean": np.full(own.shape, 1 / 8),
        "ignored-cotangent": np.divide(1, COTANGENT, where=COTANGENT != 0, out=np.full(8, np.nan))[:, None],
    }
    for name, factor in factors.items():
        losses, gradient = DEVIATIONS[name].run(SV_ARC, COSINES, LABELS, COTANGENT)
        np.testing.assert_allclose(losses, truth[0], rtol=1e-13, err_msg=name)
        counted = np.broadcast_to(~np.isnan(factor), own.shape)
        np.testing.assert_allclose(gradient[counted], (factor * truth[1])[counted], rtol=1e-12, err_msg=name)
    assert DEVIATIONS["ignored-cotangent"].run(SV_ARC, COSINES, LABELS, COTANGENT)[1][3].any()  # g = 0 there
    losses, gradient = DEVIATIONS["mean-for-sum"].run(SV_ARC, COSINES, LABELS, COTANGENT)
    np.testing.assert_array_equal(losses, truth[0] / 8)
    np.testing.assert_array_equal(gradient, truth[1] / 8)


def test_at_the_ends_of_the_range_each_mistake_is_itself() -> None:
    loss, cosines, labels = svref.arc_softmax(s=4.0, m=0.5), [[1.0, 0.5, 0.1], [0.5, 1.0, -1.0]], [0, 0]
    truth = loss.value_and_grad(cosines, labels, reduction="none")[1]
    assert truth[0, 0] == -np.inf
    got = {name: DEVIATIONS[name].run(loss, cosines, labels)[1] for name in COSINE}
    q = 1 - np.exp(-DEVIATIONS["slope-one-at-poles"].run(loss, cosines, labels)[0][0])
    assert got["slope-one-at-poles"][0, 0] == pytest.approx(-4 * q, rel=1e-12)
    assert np.isnan(got["sine-of-whole-row"][1, 1:]).all()
    assert got["sine-of-whole-row"][0, 0] == -np.inf
    np.testing.assert_allclose(got["clip-halves-at-ends"][1], truth[1] * [1, 0.5, 0.5], rtol=4 * 2.0**-53, atol=0)
    assert got["clamp-kills-gradient"][0, 0] == 0
    np.testing.assert_array_equal(got["clamp-kills-gradient"][1] != 0, [True, False, False])


def test_a_downcast_has_the_digits_of_float32_and_no_more() -> None:
    losses, gradient = DEVIATIONS["precision-downcast-float32"].run(SV_ARC, COSINES, LABELS)
    exact = right(SV_ARC, COSINES, LABELS, np.ones(8))
    np.testing.assert_allclose(losses, exact[0], rtol=1e-5)
    assert not np.allclose(losses, exact[0], rtol=1e-10, atol=0)
    np.testing.assert_array_equal(gradient, gradient.astype(np.float32))


# ---- the head --------------------------------------------------------------------------------------------------

X = np.random.default_rng(13).normal(size=(5, 3))
W = np.random.default_rng(14).normal(size=(6, 3)) * [[0.5], [1.0], [2.0], [3.0], [0.7], [1.5]]
CLASSES, UP = np.array([0, 5, 2, 2, 4]), np.array([1.0, -0.5, 2.0, 0.25, 1.5])
HEAD_LOSSES = {"sv-am": AM, "sv-arc": SV_ARC, "sv-a": SV_A, "mv-am": svref.mv_am_softmax(S, M, T)}


def head_pairs(names: list[str]) -> list[tuple[str, str]]:
    return [(name, of) for name in names for of, loss in HEAD_LOSSES.items() if DEVIATIONS[name].applies(loss)]


def differences(run: Callable[[np.ndarray], np.ndarray], at: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The derivative of Σ UP_b L_b by every entry, by central differences."""
    out = np.empty_like(at)
    for i in np.ndindex(at.shape):
        e = np.zeros_like(at)
        e[i] = step
        out[i] = UP @ (run(at + e) - run(at - e)) / (2 * step)
    return out


@pytest.mark.parametrize(("name", "of"), [*dict(head_pairs(COSINE)).items(), *head_pairs(HEAD)])
def test_head_gradients_are_the_derivatives_of_the_wrong_loss_unless_the_backward_is_wrong(name: str, of: str) -> None:
    if name in IN_STEPS:
        got = DEVIATIONS[name].run_head(HEAD_LOSSES[of], X, W, CLASSES)
        truth = svref.head.value_and_grad(HEAD_LOSSES[of], X, W, CLASSES, reduction="none")[1]
        np.testing.assert_allclose(got[1], truth.embeddings, rtol=IN_STEPS[name], atol=IN_STEPS[name])
        np.testing.assert_allclose(got[2], truth.weights, rtol=IN_STEPS[name], atol=IN_STEPS[name])
        return
    run, loss = DEVIATIONS[name].run_head, HEAD_LOSSES[of]
    losses, by_x, by_w = run(loss, X, W, CLASSES, UP)
    assert losses.shape == (5,)
    assert losses.dtype == by_x.dtype == by_w.dtype == np.float64
    by_x_right = np.allclose(by_x, differences(lambda x: run(loss, x, W, CLASSES)[0], X), rtol=1e-6, atol=1e-6)
    by_w_right = np.allclose(by_w, differences(lambda w: run(loss, X, w, CLASSES)[0], W), rtol=1e-6, atol=1e-6)
    assert (by_x_right and by_w_right) is (name not in BACKWARD_ONLY)


@pytest.mark.parametrize(("name", "of"), head_pairs(HEAD))
def test_a_deviation_of_the_head_differs_from_the_right_values(name: str, of: str) -> None:
    value, truth = svref.head.value_and_grad(HEAD_LOSSES[of], X, W, CLASSES, reduction="none")
    got = DEVIATIONS[name].run_head(HEAD_LOSSES[of], X, W, CLASSES)
    expected = (value, truth.embeddings, truth.weights)
    assert not all(np.allclose(a, b, rtol=1e-9, atol=1e-10) for a, b in zip(got, expected, strict=True))


def test_a_deviation_that_does_not_apply_gives_the_right_head() -> None:
    loss = svref.am_softmax(s=4.0, m=0.35)
    value, truth = svref.head.value_and_grad(loss, X, W, CLASSES, reduction="none")
    for name in ("t-ignored", "slope-of-h-lost", "tail-linear", "negatives-zeroed", "weight-gradient-without-margin"):
        got = DEVIATIONS[name].run_head(loss, X, W, CLASSES)
        for a, b in zip(got, (value, truth.embeddings, truth.weights), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def head_losses(name: str, loss: SVXSoftmax) -> np.ndarray:
    return DEVIATIONS[name].run_head(loss, X, W, CLASSES)[0]


def test_the_heads_losses_are_those_of_their_cosines_written_out() -> None:
    unit_x, unit_w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (X, W))
    products = {
        "weights-not-normalised": unit_x @ W.T,
        "embeddings-not-normalised": X @ unit_w.T,
        "wrong-axis-normalised": unit_x @ (W / np.linalg.norm(W, axis=0)).T,
        "eps-in-norm": X
        / (np.linalg.norm(X, axis=1, keepdims=True) + 1e-7)
        @ (W / (np.linalg.norm(W, axis=1, keepdims=True) + 1e-7)).T,
        "radial-gradient-kept": unit_x @ unit_w.T,
    }
    for name, c in products.items():
        np.testing.assert_allclose(head_losses(name, AM), AM.value(c, CLASSES, reduction="none"), rtol=1e-12)
        clipped = SV_ARC.value(np.clip(c, -1, 1), CLASSES, reduction="none")
        np.testing.assert_allclose(head_losses(name, SV_ARC), clipped, rtol=1e-9)
    by_length = [
        replace(SV_A, s=float(np.linalg.norm(x))).value(np.clip(u @ unit_w.T, -1, 1)[None], [y])
        for x, u, y in zip(X, unit_x, CLASSES, strict=True)
    ]
    np.testing.assert_allclose(head_losses("s-is-the-norm", SV_A), by_length, rtol=1e-12)


def test_an_eps_in_the_norm_is_in_the_gradient_of_short_weights_too() -> None:
    run, short = DEVIATIONS["eps-in-norm"].run_head, W * 1e-7
    by_w = run(AM, X, short, CLASSES, UP)[2]
    expected = differences(lambda w: run(AM, X, w, CLASSES)[0], short, step=1e-13)
    np.testing.assert_allclose(by_w, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert np.abs((short * by_w).sum(axis=1)).max() > 1e-3  # not orthogonal: a longer weight has a larger cosine


def test_only_a_wrong_normalisation_leaves_a_radial_gradient() -> None:
    def radial(name: str) -> tuple[bool, bool]:
        _, by_x, by_w = DEVIATIONS[name].run_head(AM, X, W, CLASSES)
        return tuple(bool(np.abs((v * g).sum(axis=1)).max() > 1e-12) for v, g in ((X, by_x), (W, by_w)))

    assert radial("t-ignored") == (False, False)
    assert radial("weights-not-normalised") == (False, True)
    assert radial("embeddings-not-normalised") == (True, False)
    assert radial("radial-gradient-kept") == (True, True)
    assert radial("s-is-the-norm") == (True, False)


def test_a_weight_gradient_without_margin_is_wrong_in_the_weights_alone() -> None:
    _, truth = svref.head.value_and_grad(SV_A, X, W, CLASSES, reduction="none")
    _, by_x, by_w = DEVIATIONS["weight-gradient-without-margin"].run_head(SV_A, X, W, CLASSES)
    np.testing.assert_allclose(by_x, truth.embeddings, rtol=1e-11, atol=1e-12)
    wrong = ~np.isclose(by_w, truth.weights, rtol=1e-9, atol=0).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(wrong), np.unique(CLASSES))


def test_gradients_of_a_class_with_several_rows_are_those_that_the_formula_says() -> None:
    """Rows 2 and 3 have class 2, and no row has class 1 or 3. NumPy itself makes the first two mistakes here."""
    unit_x, unit_w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (X, W))
    step = AM.forward(unit_x @ unit_w.T, CLASSES)
    of_negatives = AM.backward(step, UP).cosines
    by_unit_x = of_negatives @ unit_w
    along = (by_unit_x * unit_x).sum(1, keepdims=True)
    by_x_right = (by_unit_x - along * unit_x) / np.linalg.norm(X, axis=1, keepdims=True)
    of_targets = of_negatives[step.own][:, None] * unit_x
    of_negatives[step.own] = 0
    rest = of_negatives.T @ unit_x
    added, assigned, summed, mean = rest.copy(), rest.copy(), rest.copy(), rest.copy()
    added[CLASSES] += of_targets
    assigned[CLASSES] = of_targets
    np.add.at(summed, CLASSES, of_targets)
    count = np.array([1, 0, 2, 0, 1, 1])[:, None]
    np.add.at(mean, CLASSES, of_targets / count[CLASSES])
    expected = {
        "last-row-of-a-class-counts": added, "grad-w-overwritten": assigned, "target-terms-averaged-over-class": mean,
        "grad-w-averaged-over-class": summed / np.maximum(count, 1), "absent-classes-frozen": summed * (count > 0),
    }  # fmt: skip
    for name, by_unit in expected.items():
        through = (by_unit - (by_unit * unit_w).sum(1, keepdims=True) * unit_w) / np.linalg.norm(W, axis=1)[:, None]
        _, by_x, by_w = DEVIATIONS[name].run_head(AM, X, W, CLASSES, UP)
        np.testing.assert_allclose(by_w, through, rtol=1e-11, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(by_x, by_x_right, rtol=1e-11, atol=1e-13, err_msg=name)


def test_a_negative_at_an_end_poisons_its_embedding_where_the_sine_of_the_whole_row_is_taken() -> None:
    x, w = np.eye(3), np.array([[1.0, 2.0, 0.5], [1.0, 0.0, 0.0], [0.3, -1.0, 2.0]])
    _, by_x, by_w = DEVIATIONS["sine-of-whole-row"].run_head(svref.arc_softmax(s=4.0), x, w, [0, 0, 2])
    np.testing.assert_array_equal(np.isnan(by_x).all(axis=1), [True, False, False])
    np.testing.assert_array_equal(np.isnan(by_w).any(axis=1), [False, True, False])


def test_a_parallel_target_has_no_infinite_term_in_the_head() -> None:
    got = DEVIATIONS["t-ignored"].run_head(SV_ARC, np.eye(2), 3 * np.eye(2), [0, 1])
    assert all(np.isfinite(part).all() for part in got)


def test_a_mistake_of_the_head_cannot_be_run_on_cosines() -> None:
    with pytest.raises(TypeError, match="acts on embeddings and weights, not on cosines; call run_head"):
        DEVIATIONS["weights-not-normalised"].run(AM, COSINES, LABELS)


def test_heads_are_checked_as_everywhere() -> None:
    with pytest.raises(ValueError, match="weights must have no zero row"):
        DEVIATIONS["t-ignored"].run_head(AM, X, W * 0, CLASSES)
    with pytest.raises(ValueError, match="must share D"):
        DEVIATIONS["t-ignored"].run_head(AM, X, W[:, :2], CLASSES)
    with pytest.raises(TypeError, match="loss must be an SVXSoftmax"):
        DEVIATIONS["t-ignored"].run_head("sv-am", X, W, CLASSES)
