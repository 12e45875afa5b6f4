"""Mistakes in the negatives: which are support vectors (I), their emphasis (h), their logits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from svref.arrays import BoolArray
from svref.deviations import which
from svref.deviations.kinds import changed_logits, changed_loss
from svref.deviations.logits import Logits, emphasised, margin_logits, right_logits, without_labels
from svref.deviations.target import with_easy_margin
from svref.emphasis import SupportVectors
from svref.loss import SVXSoftmax
from svref.margins import NoMargin
from svref.reference import Step
from svref.variants import VARIANTS

FILTERED_ABOVE = (
    0.4  # a cosine, as an example: in the code the threshold is an option, and by default nothing is filtered
)


def _with_emphasis(loss: SVXSoftmax, emphasis: SupportVectors) -> SVXSoftmax:
    """Return the loss with another emphasis; a loss without emphasis is returned as it is."""
    return replace(loss, emphasis=emphasis) if which.emphasises(loss) else loss


# ---- I: the mask -----------------------------------------------------------------------------------------------


@changed_logits("I_k = [c_k >= f]", applies=which.emphasises)
def non_strict_mask(step: Step) -> Logits:
    """A tie counts as a support vector: its logit is s (t-1)(1 + c_k) too large."""
    beaten = step.cosines >= step.boundary[:, None]
    return emphasised(margin_logits(step), step, without_labels(step, beaten))


@changed_logits(
    "I_y = [c_y > f], z_y = s f + s (t-1)(c_y + 1) I_y", "xiaoboCASIA/SV-X-Softmax#3", applies=which.masks_by_margin
)
def label_in_mask(step: Step) -> Logits:
    """The target is emphasised like a support vector, since c_y > f. This more than makes up for the margin."""
    return emphasised(margin_logits(step), step, step.cosines > step.boundary[:, None])


@changed_loss("I_k = [c_k > c_y]", "a public SVSoftmax layer, whose margin is off in the mask")
def mask_on_plain_cosine(loss: SVXSoftmax) -> SVXSoftmax:
    """Negatives between f and c_y are not emphasised, although the target does not beat them by the margin."""
    return _with_emphasis(loss, replace(loss.emphasis, boundary=NoMargin())) if which.masks_by_margin(loss) else loss


def _with_easy_margin_but_full_mask(loss: SVXSoftmax, above: float | None) -> SVXSoftmax:
    """Return the loss with an easy margin whose mask compares with the margin as it was before.

    The loss is returned as it is if its mask has a boundary of its own, or if its margin cannot be made easy. Without
    an emphasis the mask does not matter, and the margin is easy all the same.
    """
    eased, emphasis = with_easy_margin(loss, above), loss.emphasis
    if emphasis.boundary is not None or eased == loss:
        return loss
    return replace(eased, emphasis=replace(emphasis, boundary=loss.margin))


@changed_loss(
    "I_k = [c_k > f_m(c_y)] while f = c_y where c_y <= 0",
    "xiaoboCASIA/SV-X-Softmax:fc_layers.py (its default)",
    "cavalleria/cavaface:head/metrics.py",
)
def mask_on_uneased_margin(loss: SVXSoftmax) -> SVXSoftmax:
    """Where c_y <= 0 the target has no margin, but the mask still assumes one.

    Negatives between f_m and c_y are emphasised, although they lie below f.
    """
    return _with_easy_margin_but_full_mask(loss, 0.0)


@changed_loss(
    "I_k = [c_k > f_m(c_y)] while f = c_y where c_y <= m",
    "tiandunx/SV-X-Softmax:svfc.py",
    "JDAI-CV/FaceX-Zoo:head/MV_Softmax.py",
)
def mask_on_uneased_margin_above_m(loss: SVXSoftmax) -> SVXSoftmax:
    """Where c_y <= m the target has no margin, but the mask still assumes one.

    Negatives between f_m and c_y are emphasised, although they lie below f.
    """
    return _with_easy_margin_but_full_mask(loss, None)


@changed_logits(
    "I_k = [c_k > f or c_k <= 0]", "a public SVSoftmax layer, by a product of conditions", applies=which.emphasises
)
def nonpositive_always_hard(step: Step) -> Logits:
    """Negatives with c_k <= 0 are emphasised, even if the target lies far above them."""
    return emphasised(margin_logits(step), step, without_labels(step, step.mask | (step.cosines <= 0)))


# ---- h: the emphasis -------------------------------------------------------------------------------------------


@changed_loss(
    "h_k = 1",
    "kprokofi/light-weight-face-anti-spoofing:losses/am_softmax.py",
    "xiaojieli0903/Lipreading_using_TCN:lipreading/losses/combine_margin_loss.py, without a margin",
)
def t_ignored(loss: SVXSoftmax) -> SVXSoftmax:
    """The parameter t is accepted and unused: the result is the margin loss without emphasis."""
    return _with_emphasis(loss, replace(loss.emphasis, t=1.0))


@changed_loss("t := 1.2 where t = 1", "`t = t if t > 1 else 1.2`, a common slip")
def t_of_1_replaced(loss: SVXSoftmax) -> SVXSoftmax:
    """Code takes t = 1, which is off, for no value, so that the emphasis cannot be switched off.

    A loss without t is computed as its SV loss at the default.
    """
    if loss.emphasis.t > 1:
        return loss
    return replace(loss, emphasis=replace(loss.emphasis, t=float(VARIANTS["sv-softmax"].parameters["t"])))


@changed_loss(
    "log h_k = s t (c_k + 1) I_k",
    "cavalleria/cavaface:head/metrics.py and others after the MV-Softmax paper, if given the SV paper's t",
)
def t_offset(loss: SVXSoftmax) -> SVXSoftmax:
    """The code expects t - 1 and is given t, so that the logit of each support vector is s (1 + c_k) too large."""
    return replace(loss, emphasis=replace(loss.emphasis, t=loss.emphasis.t + 1))  # at t = 1 too, which is 2 there


@changed_loss(
    "log h_k = s (t-1) I_k, where adaptive is meant",
    "xiaojieli0903/Lipreading_using_TCN:lipreading/losses/combine_margin_loss.py (its default)",
)
def fixed_for_adaptive(loss: SVXSoftmax) -> SVXSoftmax:
    """The emphasis does not grow with c_k.

    Loss and gradients of hard rows are too small, or too large where c_k < 0.
    """
    return _with_emphasis(loss, replace(loss.emphasis, form="fixed"))


@changed_loss("log h_k = s (t-1)(c_k + 1) I_k, where fixed is meant")
def adaptive_for_fixed(loss: SVXSoftmax) -> SVXSoftmax:
    """The emphasis grows with c_k. Loss and gradients of hard rows are too large, or too small where c_k < 0."""
    return _with_emphasis(loss, replace(loss.emphasis, form="adaptive"))


@changed_logits("log h_k = (t-1)(c_k + 1) I_k", applies=lambda loss: which.emphasises(loss) and loss.s != 1)
def s_missing_in_h(step: Step) -> Logits:
    """The emphasis is s times too weak, so that it has almost no effect."""
    return emphasised(margin_logits(step), step, scale=1.0)


@changed_logits(
    "log h_k = (t-1)(s c_k + 1) I_k",
    "xiaoboCASIA/SV-X-Softmax#3",
    applies=lambda loss: which.emphasises_adaptively(loss) and loss.s != 1,
)
def h_on_scaled_logits(step: Step) -> Logits:
    """The emphasis t z + t - 1 is applied to logits that are scaled already.

    The slope is right, the logit (s-1)(t-1) too small.
    """
    z, slope = right_logits(step)
    excess = (step.s - 1) * (step.emphasis.t - 1) * step.mask
    return Logits(z - excess, slope)


@changed_logits("∂L/∂c_k = s p_k, the t of support vectors lost", applies=which.emphasises_adaptively)
def slope_of_h_lost(step: Step) -> Logits:
    """The emphasis is a constant in the backward pass.

    Losses are right, gradients of support vectors are t times too small.
    """
    return Logits(right_logits(step).z, margin_logits(step).slope)


# ---- z: the logits of the negatives ----------------------------------------------------------------------------


def _with_zero_logits(step: Step, gone: BoolArray) -> Logits:
    """Return the right logits, but 0 for the negatives that are `gone`."""
    gone = without_labels(step, gone)
    z, slope = right_logits(step)
    return Logits(np.where(gone, 0.0, z), np.where(gone, 0.0, slope))


@changed_logits(
    "z_k = 0 where c_k > cos(π - m), k ≠ y",
    "tosfaq/deep-object-reid:torchreid/losses/am_softmax.py",
    applies=which.adds_angle,
)
def negatives_zeroed(step: Step) -> Logits:
    """The code makes the margin's cos m and sin m 0 for the other classes.

    Their logits and gradients are 0 where θ_k + m < π.
    """
    return _with_zero_logits(step, step.cosines > -math.cos(getattr(step.margin, "m", 0.0)))


@changed_logits(
    f"z_k = 0 where c_k > {FILTERED_ABOVE}, k ≠ y",
    "deepinsight/insightface:arcface_torch/losses.py (interclass_filtering)",
    applies=which.always,
)
def negatives_filtered(step: Step) -> Logits:
    """Negatives above a threshold are taken for wrong labels. Their logits become 0, but should leave the sum."""
    return _with_zero_logits(step, step.cosines > FILTERED_ABOVE)
