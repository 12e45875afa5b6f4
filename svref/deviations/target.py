"""Mistakes in the target: f, its cosine after the margin, and the slope df/dc."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.deviations import which
from svref.deviations.kinds import changed_logits, changed_loss, changed_result
from svref.deviations.logits import (
    Logits,
    emphasised,
    is_own,
    margin_logits,
    right_logits,
    right_result,
    without_labels,
)
from svref.loss import SVXSoftmax
from svref.margins import (
    AdditiveAngle,
    AdditiveCosine,
    Angle,
    Combined,
    EasyMargin,
    Margin,
    MultiplicativeAngle,
    NoMargin,
    StraightThrough,
    Tail,
    chebyshev,
)
from svref.reference import Step
from svref.variants import VARIANTS

_EASY = ("xiaoboCASIA/SV-X-Softmax:fc_layers.py", "cavalleria/cavaface:head/metrics.py")
_EASY_AM = ("tiandunx/SV-X-Softmax:svfc.py", "JDAI-CV/FaceX-Zoo:head/MV_Softmax.py")
_POLES = ("cavalleria/cavaface:head/metrics.py", "JDAI-CV/FaceX-Zoo:head/ArcFace.py")


@changed_loss("f = c_y")
def margin_ignored(loss: SVXSoftmax) -> SVXSoftmax:
    """The margin is accepted and unused: losses are too small, by up to s m."""
    return replace(loss, margin=NoMargin()) if which.has_margin(loss) else loss


@changed_logits("f = c_y + m, or cos(m1 θ - m2) + m3", applies=which.has_additive_part)
def sign_of_margin_flipped(step: Step) -> Logits:
    """The margin raises the target's cosine, but should lower it.

    Losses are too small, and fewer negatives are support vectors.
    """
    return logits_with_another_margin(step, *_with_flipped_sign(step.margin, step.angle))


def logits_with_another_margin(step: Step, f: FloatArray, slope: FloatArray) -> Logits:
    """Return the logits with another f and df/dc. The mask compares with that f, unless it has its own boundary."""
    mask = step.mask if step.emphasis.boundary else without_labels(step, step.cosines > f[:, None])
    return emphasised(margin_logits(step, f, slope), step, mask)


@changed_loss("f = cos(θ + m π/180)", "KevinMusgrave/pytorch-metric-learning, whose margin is in degrees")
def margin_in_degrees(loss: SVXSoftmax) -> SVXSoftmax:
    """Radians are taken for degrees, so that the margin is 57 times too small: 0.5 acts as 0.0087."""
    match loss.margin:
        case AdditiveAngle(m):
            return replace(loss, margin=replace(loss.margin, m=math.radians(m)))
        case Combined(_, m2, _):
            return replace(loss, margin=replace(loss.margin, m2=math.radians(m2)))
    return loss


# ---- a margin of 0 ---------------------------------------------------------------------------------------------


@changed_loss("m := 0.35 where m = 0, and m3 := 0.2 where m3 = 0", "`m = m or 0.35`, a common slip")
def zero_cosine_margin_replaced(loss: SVXSoftmax) -> SVXSoftmax:
    """Code takes 0 for no value, so that a margin in the cosine cannot be switched off."""
    match loss.margin:
        case AdditiveCosine(m=0):
            return replace(loss, margin=AdditiveCosine(_default("am-softmax", "m")))
        case Combined(m3=0):
            return replace(loss, margin=replace(loss.margin, m3=_default("combined-softmax", "m3")))
    return loss


@changed_loss("m := 0.5 where m = 0, and m2 := 0.3 where m2 = 0", "`m = m or 0.5`, a common slip")
def zero_angle_margin_replaced(loss: SVXSoftmax) -> SVXSoftmax:
    """Code takes 0 for no value, so that a margin in the angle cannot be switched off."""
    match loss.margin:
        case AdditiveAngle(m=0):
            return replace(loss, margin=replace(loss.margin, m=_default("arc-softmax", "m")))
        case Combined(m2=0):
            return replace(loss, margin=replace(loss.margin, m2=_default("combined-softmax", "m2")))
    return loss


@changed_loss("m := 4 where m = 1, for A-Softmax")
def one_piece_replaced(loss: SVXSoftmax) -> SVXSoftmax:
    """Code takes m = 1, which is no margin, for no value, so that the margin of A-Softmax cannot be switched off."""
    match loss.margin:
        case MultiplicativeAngle(m=1):
            return replace(loss, margin=replace(loss.margin, m=int(_default("a-softmax", "m"))))
    return loss


def _default(variant: str, name: str) -> float:
    """Return the default of a parameter of a variant."""
    return float(VARIANTS[variant].parameters[name])


# ---- easy margins ----------------------------------------------------------------------------------------------


def with_easy_margin(loss: SVXSoftmax, above: float | None) -> SVXSoftmax:
    """Return the loss with an easy margin, which holds where c_y > `above`; None is the margin's m.

    The loss is returned as it is if it has no margin, an easy one already, or no m where `above` is None.
    """
    by_m = isinstance(loss.margin, AdditiveCosine | AdditiveAngle)
    if not which.has_margin(loss) or isinstance(loss.margin, EasyMargin) or (above is None and not by_m):
        return loss
    return replace(loss, margin=EasyMargin(loss.margin, getattr(loss.margin, "m", 0.0) if above is None else above))


@changed_loss("f = f_m(c_y) where c_y > 0, else c_y", *_EASY)
def easy_margin_above_0(loss: SVXSoftmax) -> SVXSoftmax:
    """Targets with c_y <= 0 have no margin, although they need it most.

    At c_y = 0 the loss jumps by s m (AM) or s sin m (Arc).
    """
    return with_easy_margin(loss, 0.0)


@changed_loss("f = f_m(c_y) where c_y > m, else c_y", *_EASY_AM)
def easy_margin_above_m(loss: SVXSoftmax) -> SVXSoftmax:
    """Targets with c_y <= m have no margin; for Arc, m is then compared with a cosine.

    At c_y = m (AM), f falls from m to 0.
    """
    return with_easy_margin(loss, None)


# ---- tails -----------------------------------------------------------------------------------------------------


def _with_tail(loss: SVXSoftmax, tail: Tail) -> SVXSoftmax:
    """Return the loss with another tail of its additive angle; other losses are returned as they are."""
    m = loss.margin
    return replace(loss, margin=replace(m, tail=tail)) if isinstance(m, AdditiveAngle) and m.m > 0 else loss


@changed_loss("f = cos(θ + m) everywhere, also where θ + m > π", "xiaoboCASIA/SV-X-Softmax:fc_layers.py")
def tail_raw(loss: SVXSoftmax) -> SVXSoftmax:
    """The paper's formula is used where another tail was asked for.

    It rises again beyond θ + m = π, so that far targets are pushed further away.
    """
    return _with_tail(loss, "raw")


@changed_loss(
    "f = c_y - m sin m where θ + m > π",
    "ronghuaiyang/arcface-pytorch:models/metrics.py",
    "xialuxi/arcface-caffe:SV_X_Softmax/sv-x-softmax.cpp",
)
def tail_linear(loss: SVXSoftmax) -> SVXSoftmax:
    """Beyond θ + m = π the slope is 1, where the paper's is negative. There f jumps from -1 to -1.117 (m = 0.5)."""
    return _with_tail(loss, "linear")


@changed_loss("f = c_y where θ + m > π", "JDAI-CV/FaceX-Zoo:head/ArcFace.py", "cavalleria/cavaface:head/metrics.py")
def tail_plain(loss: SVXSoftmax) -> SVXSoftmax:
    """Targets beyond θ + m = π have no margin.

    There f jumps up from -1 to -0.878 (m = 0.5), so that the worst targets are easier.
    """
    return _with_tail(loss, "plain")


@changed_loss(
    "f = -2 - cos(θ + m) where θ + m > π",
    "leondgarse/Keras_insightface:losses.py",
    "xiaojieli0903/Lipreading_using_TCN:lipreading/losses/combine_margin_loss.py",
)
def tail_reflect(loss: SVXSoftmax) -> SVXSoftmax:
    """Beyond θ + m = π, f goes on falling smoothly, where the paper's f rises.

    Losses are larger, and slopes have the opposite sign.
    """
    return _with_tail(loss, "reflect")


@changed_logits(
    "f = c_y - 1 + cos m where θ + m > π",
    "wenet-e2e/wespeaker:wespeaker/models/projections.py",
    "modelscope/3D-Speaker:speakerlab/loss/margin_loss.py",
    applies=which.adds_angle,
)
def tail_parallel(step: Step) -> Logits:
    """Beyond θ + m = π the slope is 1, where the paper's is negative. f is continuous there: it is -1 at θ + m = π."""
    return _logits_with_tail(step, lambda c, m: c - 1 + math.cos(m), 1.0)


@changed_logits(
    "f = -1 where θ + m > π",
    "mk-minchul/AdaFace:head.py",
    "ydwen/opensphere:opensphere/module/head/arcface.py",
    applies=which.adds_angle,
)
def tail_clipped(step: Step) -> Logits:
    """θ + m is clipped to π, so that targets beyond have no gradient."""
    return _logits_with_tail(step, lambda c, m: np.full_like(c, -1.0), 0.0)


def _logits_with_tail(step: Step, tail: Callable[[FloatArray, float], FloatArray], slope: float) -> Logits:
    """Return the logits with another f and slope where θ + m > π; the mask compares with that f."""
    c, f, slopes = step.target_cosine, step.margin_cosine, step.margin.by_cosine(step.angle)
    if isinstance(step.margin, AdditiveAngle):
        beyond = c < -math.cos(step.margin.m)
        f, slopes = np.where(beyond, tail(c, step.margin.m), f), np.where(beyond, slope, slopes)
    return logits_with_another_margin(step, f, slopes)


# ---- A-Softmax -------------------------------------------------------------------------------------------------


@changed_loss("f = cos(m θ)", "cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py")
def cos_m_theta_without_psi(loss: SVXSoftmax) -> SVXSoftmax:
    """Without its pieces A-Softmax is periodic. At c_y = -1 and m = 4, f = 1, and the worst target costs nothing."""
    match loss.margin:
        case MultiplicativeAngle(m, annealing) if m > 1 and annealing == 0:
            return replace(loss, margin=Combined(m1=m))
    return loss


@changed_loss("f = (λ c_y + ψ)/(1 + λ), λ = 5", "xiaoboCASIA/SV-X-Softmax:fc_layers.py", "wy1iu/sphereface")
def annealing_left_on(loss: SVXSoftmax) -> SVXSoftmax:
    """The usual schedule of λ ends at 5 and never reaches 0, so that five sixths of f are the plain cosine."""
    if isinstance(loss.margin, MultiplicativeAngle) and loss.margin.m > 1:
        return replace(loss, margin=replace(loss.margin, annealing=5.0))
    return loss


@changed_logits(
    "k = floor(m θ/π) = m at θ = π",
    "xiaoboCASIA/SV-X-Softmax:fc_layers.py",
    "KevinMusgrave/pytorch-metric-learning:src/pytorch_metric_learning/losses/sphereface_loss.py",
    applies=lambda loss: isinstance(loss.margin, MultiplicativeAngle),
)
def last_piece_off_by_one(step: Step) -> Logits:
    """At c_y = -1 the value is right, but the slope of A-Softmax, m², has the wrong sign."""
    slope = step.margin.by_cosine(step.angle)
    if isinstance(step.margin, MultiplicativeAngle):
        lam = step.margin.annealing
        slope = np.where(step.angle.cosine == -1, (lam - step.margin.m**2) / (1 + lam), slope)
    return emphasised(margin_logits(step, slope=slope), step)


@changed_logits("k = floor(m θ/3.14)", applies=lambda loss: isinstance(loss.margin, MultiplicativeAngle))
def pieces_of_3_14(step: Step) -> Logits:
    """The pieces of A-Softmax end at 3.14 j/m in place of π j/m. Just below an end the slope has the wrong sign."""
    return _logits_with_pieces_of(step, 3.14)


@changed_logits("k = floor(m θ/3.1416)", applies=lambda loss: isinstance(loss.margin, MultiplicativeAngle))
def pieces_of_3_1416(step: Step) -> Logits:
    """The pieces of A-Softmax end at 3.1416 j/m in place of π j/m. Just above an end the slope has the wrong sign."""
    return _logits_with_pieces_of(step, 3.1416)


def _logits_with_pieces_of(step: Step, pi: float) -> Logits:
    """Return the logits with pieces of A-Softmax that end at multiples of `pi`/m; the mask compares with that f."""
    margin, c = step.margin, step.angle.cosine
    if not isinstance(margin, MultiplicativeAngle):
        return right_logits(step)
    k, lam = np.floor(margin.m * step.angle.theta / pi), margin.annealing
    sign, (cos, sin_over_sine) = 1 - 2 * (k % 2), chebyshev(c, margin.m)
    f = (lam * c + sign * cos - 2 * k) / (1 + lam)
    return logits_with_another_margin(step, f, (lam + sign * margin.m * sin_over_sine) / (1 + lam))


# ---- the margin where it does not belong, and its slope --------------------------------------------------------


@changed_logits(
    "z_k = s f(c_k) + log h_k for all k",
    "kprokofi/light-weight-face-anti-spoofing:losses/am_softmax.py",
    applies=which.has_margin,
)
def margin_on_all_classes(step: Step) -> Logits:
    """The margin is applied to the negatives too, so that hardly any of it is left between them and the target."""
    angles = Angle.from_cosine(step.cosines)
    of_all = Logits(step.s * step.margin.value(angles), step.s * step.margin.by_cosine(angles))
    return emphasised(of_all, step)


@changed_logits(
    "z_k = s (θ_k + m [k = y])",
    "chaddy1004/arcface:utils/losses.py",
    applies=lambda loss: which.adds_angle(loss) and not which.emphasises(loss),
)
def logits_are_angles(step: Step) -> Logits:
    """The code adds the margin to the angle and forgets to take the cosine: every gradient has the wrong sign."""
    angles = Angle.from_cosine(step.cosines)
    z = step.s * angles.theta
    z[step.own] += step.s * getattr(step.margin, "m", 0.0)
    return Logits(z, -step.s / angles.sine)


@changed_loss("df/dc := 1, the value of f kept", "deepinsight/insightface:arcface_torch/losses.py")
def straight_through_angle(loss: SVXSoftmax) -> SVXSoftmax:
    """The margin is added in code that autograd does not record.

    Losses are right, but the target's gradient lacks the factor sin(θ+m)/sin θ.
    """
    changes = which.has_margin(loss) and loss.margin.angular and not isinstance(loss.margin, StraightThrough)
    return replace(loss, margin=StraightThrough(loss.margin)) if changes else loss


@changed_logits(
    "df/dc := 1 where sin θ = 0", "xialuxi/arcface-caffe:SV_X_Softmax/sv-x-softmax.cpp", applies=which.has_pole
)
def slope_one_at_poles(step: Step) -> Logits:
    """A hand-written backward guards its division by sin θ.

    Its slope at c_y = ±1 is finite, where df/dc is infinite.
    """
    z, slope = right_logits(step)
    return Logits(z, np.where(np.isinf(slope), step.s, slope))


@changed_result("dσ_k/dc_k = ∞ and ∞ · 0 = NaN where c_k = ±1, k ≠ y", *_POLES, applies=which.needs_sine)
def sine_of_whole_row(loss: SVXSoftmax, c: FloatArray, y: IntArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sine is taken of all classes, and the target's is selected later.

    A negative at ±1 gets the gradient NaN, and with it its embedding.
    """
    losses, gradient = right_result(loss, c, y, g)
    own = is_own(c, y)
    return losses, np.where((np.abs(c) == 1) & ~own, np.nan, gradient)


def _with_flipped_sign(margin: Margin, angle: Angle) -> tuple[FloatArray, FloatArray]:
    """Return f = cos(m1 θ - m2) + m3 and df/dc, for a margin that is cos(m1 θ + m2) - m3."""
    m1, m2, m3 = which.as_combined(margin) or (1.0, 0.0, 0.0)
    if m2 == 0:
        return margin.value(angle) + 2 * m3, margin.by_cosine(angle)
    phi = m1 * angle.theta - m2
    return np.cos(phi) + m3, m1 * np.sin(phi) / angle.sine
