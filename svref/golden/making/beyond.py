"""What no case can expose, and why: mistakes that are none at a precision, or smaller than what rounding may do there.

`svref golden lint` demands a case of each variant, of cosines and of heads, for every other mistake at every precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from svref.judging.precision import WIDE
from svref.loss import SVXSoftmax
from svref.margins import Combined, MultiplicativeAngle

HALF = ("autocast-bfloat16", "autocast-float16", "bfloat16", "float16", "fused-bfloat16")
NARROW = ("tf32", *HALF)
EVERY = (*WIDE, *NARROW)
PURE = ("bfloat16", "float16")
STORED_NARROW = ("autocast-bfloat16", *PURE)  # logits of bfloat16, or not much better ones
MIXED = tuple(name for name in NARROW if name not in STORED_NARROW)
IN_BFLOAT16 = ("autocast-bfloat16", "bfloat16")

Margins = Literal["all", "with an angle", "of pieces", "combined"]


@dataclass(frozen=True)
class Beyond:
    """Mistakes that no case exposes.

    Parameters
    ----------
    mistakes : str
        Their names, separated by blanks.
    precisions : tuple of str
        Where they cannot be told from right code.
    why : str
        The reason.
    level : {"", "cosine", "head"}
        The cases that cannot expose them; "" is both.
    margins : {"all", "with an angle", "of pieces", "combined"}
        The losses of which that is so. Pieces are those of A-Softmax.
    """

    mistakes: str
    precisions: tuple[str, ...]
    why: str
    level: str = ""
    margins: Margins = "all"

    @property
    def names(self) -> list[str]:
        """The names of the mistakes."""
        return self.mistakes.split()

    def covers(self, level: str, loss: SVXSoftmax, name: str, precision: str) -> bool:
        """Return whether a mistake in a loss is among these at a level and a precision."""
        is_named = name in self.names and precision in self.precisions
        return is_named and self.level in ("", level) and _is_of(loss, self.margins)


def _is_of(loss: SVXSoftmax, margins: Margins) -> bool:
    """Return whether the margin of a loss is of a kind."""
    kinds = {"of pieces": MultiplicativeAngle, "combined": Combined}
    return margins == "all" or (loss.angular if margins == "with an angle" else isinstance(loss.margin, kinds[margins]))


_ANGLE: Margins = "with an angle"
_PIECES: Margins = "of pieces"
_COMBINED: Margins = "combined"
_POLICY = "a finite slope at a pole is a policy, and judged as one"
_SHORT = "inputs are short, or right code may round them as far"
_SMALL = "it moves nothing by as much as rounding may"
_TANGENT = "where c = ±1 a head multiplies the gradient by a tangent of length 0"
_CLAMPED = "the angles that are clamped cannot be told from 0 or π"
_TARGET = "f is rounded where it has an angle, which moves losses of the usual size by as much"
_EPS = "right code may keep lengths from falling below 1e-6, and at longer vectors 1e-7 more is within rounding"
_SLOPE = "rounding may change the slope of A-Softmax by up to 4 m² (1 + 1/sin² θ) u"

BEYOND: tuple[Beyond, ...] = (
    # numbers that are no narrower than the plan, or rounded by it, too
    Beyond("precision-downcast-float32", ("float32", *NARROW), "float32 is no narrower than the plan"),
    Beyond("inputs-cast-to-float32", ("float32", *NARROW), "inputs of float32 are not changed by it"),
    Beyond("inputs-cast-to-float16", HALF, _SHORT),
    Beyond("inputs-cast-to-bfloat16", ("autocast-bfloat16", "fused-bfloat16", *PURE), _SHORT),
    Beyond("inputs-cast-to-bfloat16", ("autocast-float16",), _SHORT, "head"),
    Beyond("inputs-cast-to-float16 inputs-cast-to-bfloat16", ("tf32",), "the product rounds them, too", "head"),
    Beyond("tf32-product", NARROW, "operands of the product are no longer there"),
    Beyond("logits-stored-narrow scale-before-cast", STORED_NARROW, "logits are stored narrow there, too"),
    Beyond("logits-stored-narrow scale-before-cast inputs-cast-to-bfloat16", ("autocast-float16",),
           "an f with an angle is rounded, and float16 may move it as far", margins=_ANGLE),
    Beyond("softmax-accumulated-narrow", PURE, "a sum of few terms shows nothing; variations have thousands"),
    Beyond("loss-rounded-to-format", PURE, "losses are stored narrow there, too"),
    Beyond("loss-rounded-to-format", ("autocast-bfloat16",), _TARGET, margins=_ANGLE),
    Beyond("target-gradient-rounded-early", PURE, "p_y is stored narrow there, and then 1 subtracted"),
    Beyond("labels-in-float16 labels-in-bfloat16", EVERY, "core has no label above 8; variations have thousands"),
    # poles and kinks
    Beyond("slope-one-at-poles", EVERY, _POLICY),
    Beyond("clip-halves-at-ends", EVERY, _TANGENT, "head"),
    Beyond("last-piece-off-by-one", STORED_NARROW, "at the end of the last piece sin mθ has no digits there"),
    Beyond("last-piece-off-by-one", (*WIDE, *MIXED), _TANGENT, "head"),
    Beyond("pieces-of-3-1416", ("float32", *NARROW), "between π and 3.1416, rounding may turn the slope as well"),
    Beyond("pieces-of-3-14", STORED_NARROW, "between π and 3.14, rounding may turn the slope as well"),
    Beyond("pieces-of-3-14", MIXED, "between π and 3.14, a rounded cosine may turn the slope as well", "head"),
    Beyond("clamp-of-target-kills-gradient", ("float32", *NARROW), _CLAMPED, margins=_ANGLE),
    Beyond("clamp-kills-gradient", NARROW, _SMALL, "head"),
    Beyond("clamp-of-target-kills-gradient", (*STORED_NARROW, "fused-bfloat16"), _SMALL, "head"),
    # what rounding may do as well
    Beyond("tail-raw", WIDE, "no variant has another tail, only dialects do"),
    Beyond("non-strict-mask", EVERY, "no negative equals a rounded f for everybody", margins=_ANGLE),
    Beyond("eps-in-norm", PURE, _EPS, "head"),
    Beyond("eps-in-norm", ("autocast-bfloat16",), _EPS, "head", _ANGLE),
    Beyond("gradient-filtered", IN_BFLOAT16, _SMALL, "head", _ANGLE),
    Beyond("target-gradient-rounded-early", ("autocast-bfloat16",),
           "f is rounded, which moves q by as much", margins=_PIECES),
    Beyond("target-gradient-rounded-early", ("autocast-bfloat16",),
           "f is rounded, which moves q by as much", "head", _COMBINED),
    Beyond("straight-through-angle weight-gradient-without-margin target-terms-averaged-over-class "
           "last-row-of-a-class-counts radial-gradient-kept", ("bfloat16",), _SLOPE, "head", _PIECES),
)  # fmt: skip


def beyond(level: str, loss: SVXSoftmax, name: str, precision: str) -> str:
    """Return why no case of a level exposes a mistake in a loss at a precision; "" if one should."""
    return next((b.why for b in BEYOND if b.covers(level, loss, name, precision)), "")


def is_beyond_all(name: str, precision: str) -> bool:
    """Return whether no case at all exposes a mistake at a precision."""
    everywhere = [b for b in BEYOND if b.margins == "all" and not b.level]
    return any(name in b.names and precision in b.precisions for b in everywhere)
