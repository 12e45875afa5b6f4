"""The losses that public code computes, by name: what its ArcFace or its SV-AM-Softmax is, as losses of svref.

A dialect is one code base with one choice of its options. It says which loss that code computes when it is asked for
a variant, and how that code counts the parameters. The facts come from running or reading the code; none of the code
is here.

A loss of a dialect is the paper's loss with deviations (`svref.deviations`) applied to it, and is written as their
names. Only a deviation that is another loss (`Deviation.change`) can stand there. What public code does and no
`SVXSoftmax` can express is in no dialect, but may be a deviation:

    s = |x|, in SphereFace heads                       s-is-the-norm
    a constant inside the log                          eps-in-log
    a clamp of the cosines, a cap of the loss          clamp-kills-gradient, loss-capped
    the margin on all classes; logits that are angles  margin-on-all-classes; logits-are-angles
    negatives whose logits become 0                    negatives-zeroed, negatives-filtered
    negatives at or below 0 always hard                nonpositive-always-hard
    h of logits that are scaled already                h-on-scaled-logits, label-in-mask
    f = c - 1 + cos m beyond π; θ + m clipped to π     tail-parallel; tail-clipped
    the sine of all classes, a clamp beside a tail     sine-of-whole-row; tail-linear
    a tail of the combined margin                      none
    λ of SphereFace that falls with each call          none: a loss has no state; a dialect has the last λ

To add a dialect, add one entry to the table at the end of this file and one section to docs/reference/dialects.md.
tests/test_dialects.py then says what is missing: the code's formula in its table `OTHER`, which is written by hand and
compared with the dialect; the section of the page; a row for each loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from svref.deviations import DEVIATIONS
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

Convention = Callable[[str, Mapping[str, float]], dict[str, float]]  # of a variant and the paper's parameters
_CHANGES = {name: entry.change for name, entry in DEVIATIONS.items() if entry.change is not None}


def as_in_the_paper(variant: str, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters as they are: the code counts as the paper does."""
    return dict(parameters)


def t_less_one(variant: str, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters with t - 1 for t. Nothing is rounded, since t - 1 has no more digits than t."""
    return {name: value - 1 if name == "t" else value for name, value in parameters.items()}


def angle_in_degrees(variant: str, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters with m of arc-softmax in degrees; the code has no other variant whose m is an angle."""
    return {k: math.degrees(v) if (variant, k) == ("arc-softmax", "m") else v for k, v in parameters.items()}


@dataclass(frozen=True, eq=False, repr=False)
class Dialect:
    """One code base with one choice of its options: its losses, and how it counts their parameters.

    Parameters
    ----------
    name : str
        In lower case, with hyphens.
    summary : str
        What differs from the paper, in one sentence that users read.
    seen : tuple of str
        Where: "owner/repository:path".
    losses : mapping of str to tuple of str
        By variant: the names of the deviations that make the loss this code computes when it is asked for that
        variant. They are applied to the paper's loss in this order; an empty tuple is the paper's loss.
    to_code : function
        Takes a variant and its parameters as the paper counts them; returns them as this code counts them.
    besides : tuple of str
        Names of further deviations of this code that no SVXSoftmax describes, so that `losses` cannot have them: at
        c = ±1, in its number format, in its head.

    Examples
    --------
    >>> dialect("facex-zoo").loss("arc-softmax", s=64.0, m=0.5).margin
    AdditiveAngle(m=0.5, tail='plain')
    >>> dialect("cavaface").parameters("sv-am-softmax", {"s": 32.0, "m": 0.375, "t": 1.25})
    {'s': 32.0, 'm': 0.375, 't': 0.25}
    """

    name: str
    summary: str
    seen: tuple[str, ...]
    losses: Mapping[str, tuple[str, ...]]
    to_code: Convention = as_in_the_paper
    besides: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"dialect({self.name!r})"

    def loss(self, variant: str, **parameters: Any) -> SVXSoftmax:
        """Return the loss this code computes when asked for a variant.

        The parameters are the variant's, as the paper counts them (t = 1 is off, angles are in radians), with its
        defaults. t = 1 switches the emphasis off, and m = 0 the margin. A deviation in what is switched off changes
        nothing. The losses and the gradient by the cosines are then still those of the code, but the derivatives by
        that t or m are those of the paper's loss.

        Raises
        ------
        ValueError, TypeError
            If this code has no such loss, or a parameter is unknown or lies outside its range.
        """
        self._check_variant(variant)
        loss = VARIANTS[variant].factory(**parameters)
        for name in self.losses[variant]:
            loss = _CHANGES[name](loss)
        return loss

    def parameters(self, variant: str, parameters: Mapping[str, float]) -> dict[str, float]:
        """Return what a port of this code is called with, for a variant's parameters as the paper counts them.

        The ports are called by the variant's names, m for a margin, s for a scale. Raises as `loss` does.
        """
        self._check_variant(variant)
        return self.to_code(variant, parameters)

    def _check_variant(self, variant: str) -> None:
        if variant not in self.losses:
            has = ", ".join(name for name in VARIANTS if name in self.losses)
            raise ValueError(f"loss must be one that {self.name} has: {has}; got {variant!r}.")


# ---- the deviations of the code, in the order in which they are applied to the paper's loss --------------------------

_PAPER: tuple[str, ...] = ()
_EASY = ("easy-margin-above-0",)
# The mask ignores that the margin is eased. At t = 1 there is no mask, and the margin is eased all the same.
_EASY_FULL_MASK = ("mask-on-uneased-margin",)
_EASY_ABOVE_M_FULL_MASK = ("mask-on-uneased-margin-above-m",)

# ---- the table of dialects, and above it what several of them share ------------------------------------------------

_XIAOBO = "xiaoboCASIA/SV-X-Softmax:fc_layers.py"
_CAVAFACE = "cavalleria/cavaface:head/metrics.py"
_INSIGHTFACE = "deepinsight/insightface:recognition/arcface_torch/losses.py"
_COMBINE = "xiaojieli0903/Lipreading_using_Temporal_Convolutional_Networks:lipreading/losses/combine_margin_loss.py"

# fmt: off
_FC = {"softmax": _PAPER, "a-softmax": ("annealing-left-on",), "sv-softmax": _PAPER}
_SV = {"sv-am-softmax": _PAPER, "sv-arc-softmax": _PAPER}
_SV_EASY = {"sv-am-softmax": _EASY_FULL_MASK, "sv-arc-softmax": _EASY_FULL_MASK}
_SV_EASY_ABOVE_M = {"sv-am-softmax": _EASY_ABOVE_M_FULL_MASK, "sv-arc-softmax": _EASY_FULL_MASK}
_SV_FIXED = {"sv-am-softmax": ("fixed-for-adaptive",), "sv-arc-softmax": ("fixed-for-adaptive", "tail-reflect"),
             "sv-a-softmax": ("fixed-for-adaptive",)}
_COMBINED = {"softmax": _PAPER, "am-softmax": _PAPER, "arc-softmax": ("tail-reflect",), "a-softmax": _PAPER,
             "sv-softmax": ("t-ignored",)}

_ALL = (
    Dialect("xiaobocasia", "The official code as shipped: an easy margin, which its mask ignores, and t - 1 for t.",
            (_XIAOBO,), {**_FC, "am-softmax": _EASY, "arc-softmax": _EASY, **_SV_EASY}, t_less_one,
            ("embeddings-not-normalised", "last-piece-off-by-one")),
    Dialect("xiaobocasia-not-easy", "The official code with easy_margin=False: t - 1 for t, and SphereFace annealed.",
            (_XIAOBO,), {**_FC, "am-softmax": _PAPER, "arc-softmax": _PAPER, **_SV}, t_less_one,
            ("embeddings-not-normalised", "last-piece-off-by-one")),
    Dialect("tiandunx", "An easy margin, above m for AM and above 0 for Arc, which its mask ignores.",
            ("tiandunx/SV-X-Softmax:svfc.py",), _SV_EASY_ABOVE_M, besides=("embeddings-not-normalised",)),
    Dialect("facex-zoo", "MV_Softmax has an easy margin, which its mask ignores; ArcFace has no margin beyond π.",
            tuple(f"JDAI-CV/FaceX-Zoo:head/{name}.py" for name in ("MV_Softmax", "ArcFace", "AM_Softmax")),
            {"am-softmax": _PAPER, "arc-softmax": ("tail-plain",), **_SV_EASY_ABOVE_M}, besides=("sine-of-whole-row",)),
    Dialect("cavaface", "SVXSoftmax takes t - 1 for t; ArcFace has no margin beyond π.",
            (_CAVAFACE, "JegernOUTT/reid_template:person_reid/loss/softmax_losses/svx_softmax.py"),
            {"am-softmax": _PAPER, "arc-softmax": ("tail-plain",), "sv-softmax": _PAPER, **_SV}, t_less_one,
            ("sine-of-whole-row", "precision-downcast-float32")),
    Dialect("cavaface-easy", "SVXSoftmax(easy_margin=True): an easy margin, which its mask ignores, and t - 1 for t.",
            (_CAVAFACE,), {"sv-softmax": _PAPER, **_SV_EASY}, t_less_one),
    Dialect("insightface", "ArcFace adds its margin under no_grad: the paper's value, but the slope of no margin.",
            (_INSIGHTFACE,), {"am-softmax": _PAPER, "arc-softmax": ("straight-through-angle",)},
            besides=("loss-capped", "negatives-filtered")),
    Dialect("insightface-before-no-grad", "Before commit 657ae30e: beyond π the margin of ArcFace is m sin m.",
            (_INSIGHTFACE,), {"arc-softmax": ("tail-linear",)}),
    Dialect("pytorch-metric-learning", "ArcFaceLoss takes degrees, and beyond π its margin is m sin m.",
            ("KevinMusgrave/pytorch-metric-learning:src/pytorch_metric_learning/losses/arcface_loss.py",),
            {"am-softmax": _PAPER, "arc-softmax": ("tail-linear",)}, angle_in_degrees),
    Dialect("openvino", "AMSoftmaxLoss: beyond π the margin of 'arc' is m sin m, in its mask too.",
            ("sovrasov/deep-person-reid:torchreid/losses/am_softmax.py",),
            {"am-softmax": _PAPER, "arc-softmax": ("tail-linear",), **_SV, "sv-arc-softmax": ("tail-linear",)},
            besides=("sine-of-whole-row",)),
    Dialect("arcface-caffe", "SV-Arc-Softmax: beyond π the margin is m sin m, in its mask too.",
            ("xialuxi/arcface-caffe:SV_X_Softmax/sv-x-softmax.cpp",), {"sv-arc-softmax": ("tail-linear",)},
            besides=("slope-one-at-poles",)),
    Dialect("combine-margin", "CombineMarginLinear as shipped: fixed emphasis, t - 1 for t, Arc reflected beyond π.",
            (_COMBINE,), {**_COMBINED, **_SV_FIXED, "mv-am-softmax": _PAPER, "mv-arc-softmax": ("tail-reflect",)},
            t_less_one, ("eps-in-norm",)),
    Dialect("combine-margin-adaptive", "CombineMarginLinear(adaptive=True): t - 1 for t, Arc reflected beyond π.",
            (_COMBINE,), {**_COMBINED, "sv-am-softmax": _PAPER, "sv-arc-softmax": ("tail-reflect",),
                          "sv-a-softmax": _PAPER}, t_less_one, ("eps-in-norm",)),
    Dialect("ronghuaiyang", "ArcMarginProduct and its many relatives (th, mm): beyond π the margin is m sin m.",
            ("ronghuaiyang/arcface-pytorch:models/metrics.py", "wujiyang/Face_Pytorch:margin/ArcMarginProduct.py",
             "TreB1eN/InsightFace_Pytorch:model.py", "HuangYG123/CurricularFace:head/metrics.py"),
            {"am-softmax": _PAPER, "arc-softmax": ("tail-linear",)},
            besides=("sine-of-whole-row", "embeddings-not-normalised")),
    Dialect("keras-insightface", "ArcfaceLoss is reflected beyond π, which keeps it smooth and monotone.",
            ("leondgarse/Keras_insightface:losses.py",), {"am-softmax": _PAPER, "arc-softmax": ("tail-reflect",)},
            besides=("precision-downcast-float32",)),
    Dialect("cvqluu", "AngularPenaltySMLoss: SphereFace is cos(m θ), which is periodic.",
            ("cvqluu/Angular-Penalty-Softmax-Losses-Pytorch:loss_functions.py",),
            {"am-softmax": _PAPER, "arc-softmax": _PAPER, "a-softmax": ("cos-m-theta-without-psi",)},
            besides=("clamp-kills-gradient", "no-max-subtraction", "weights-not-normalised")),
    Dialect("kprokofi", "AMSoftmaxLoss takes t and does not use it.",
            ("kprokofi/light-weight-face-anti-spoofing:losses/am_softmax.py",),
            {"am-softmax": _PAPER, "sv-am-softmax": ("t-ignored",)}, besides=("clamp-kills-gradient",)),
)
# fmt: on
#: The dialects by name.
DIALECTS: Mapping[str, Dialect] = MappingProxyType({entry.name: entry for entry in _ALL})


def dialect(name: str) -> Dialect:
    """Return a dialect by its name; capitals and underscores count as small letters and hyphens.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> dialect("FaceX_Zoo").loss("sv-am-softmax", m=0.35).emphasis.boundary
    AdditiveCosine(m=0.35)
    """
    found = DIALECTS.get(str(name).strip().lower().replace("_", "-"))
    if found is None:
        raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}; got {name!r}.")
    return found
