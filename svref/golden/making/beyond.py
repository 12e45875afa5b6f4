"""What no case can expose, and why: mistakes that are none at a precision, or smaller than what rounding may do there.

The keys are the name of a deviation and the name of a precision. `svref golden lint` demands a case for all others: in
float64 and float32 for each variant and level, at the other precisions for each level.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

JUDGED = ("float64", "float32")  # in which a case of each variant must expose every deviation
BEYOND = {  # what no case of numbers can expose
    ("precision-downcast-float32", "float32"): "computing in float32 is right there",
    ("inputs-cast-to-float32", "float32"): "inputs of float32 are not changed by it",
    ("pieces-of-3-1416", "float32"): "between π and 3.1416, rounding to float32 may turn the slope as well",
    ("slope-one-at-poles", "float64"): "a finite slope at a pole is a policy, and judged as one",
    ("slope-one-at-poles", "float32"): "a finite slope at a pole is a policy, and judged as one",
    ("tail-raw", "float64"): "no variant has another tail, only dialects do",
    ("tail-raw", "float32"): "no variant has another tail, only dialects do",
}
HALF = ("autocast-bfloat16", "autocast-float16", "bfloat16", "float16", "fused-bfloat16")
NARROW = ("tf32", *HALF)
STORED_NARROW = ("autocast-bfloat16", "bfloat16", "float16")  # logits of bfloat16, or not much better ones
PURE = ("bfloat16", "float16")
MIXED = tuple(name for name in NARROW if name not in STORED_NARROW)


def _for(names: str, precisions: Sequence[str], reason: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the reason for each of the names, separated by blanks, at each of the precisions."""
    yield from ((pair, reason) for pair in itertools.product(names.split(), precisions))


_SHORT = "inputs of a half format are short, and not changed by it"
_SMALL = "it moves nothing by as much as rounding may"
BEYOND |= {
    **dict(_for("slope-one-at-poles", NARROW, "a finite slope at a pole is a policy, and judged as one")),
    **dict(_for("precision-downcast-float32 inputs-cast-to-float32", NARROW, "float32 is no narrower than the plan")),
    **dict(_for("inputs-cast-to-float16 inputs-cast-to-bfloat16", HALF, _SHORT)),
    **dict(_for("pieces-of-3-1416", NARROW, "between π and 3.1416, rounding may turn the slope as well")),
    **dict(_for("pieces-of-3-14", STORED_NARROW, "between π and 3.14, rounding may turn the slope as well")),
    **dict(_for("logits-stored-narrow scale-before-cast", STORED_NARROW, "logits are stored narrow there, too")),
    **dict(_for("softmax-accumulated-narrow", PURE, "a sum of few terms shows nothing; variations have thousands")),
    **dict(_for("loss-rounded-to-format", PURE, "losses are stored narrow there, too")),
    **dict(_for("target-gradient-rounded-early", PURE, "p_y is stored narrow there, and then 1 subtracted")),
    **dict(_for("last-piece-off-by-one", STORED_NARROW, "at the end of the last piece sin mθ has no digits there")),
}
_TANGENT = "where c = ±1 a head multiplies the gradient by a tangent of length 0"
BEYOND_HEADS = {  # what no head can expose besides
    **dict(_for("clip-halves-at-ends", (*JUDGED, *NARROW), _TANGENT)),
    **dict(_for("last-piece-off-by-one", (*JUDGED, *MIXED), _TANGENT)),
    **dict(_for("inputs-cast-to-float16 inputs-cast-to-bfloat16", ("tf32",), "the product rounds them, too")),
    **dict(_for("tf32-product", NARROW, "operands of the product are no longer there")),
    **dict(_for("pieces-of-3-14", MIXED, "between π and 3.14, a rounded cosine may turn the slope as well")),
    **dict(_for("gradient-filtered", ("autocast-bfloat16", "bfloat16"), _SMALL)),
    **dict(_for("clamp-kills-gradient clamp-of-target-kills-gradient", ("autocast-bfloat16", "bfloat16"), _SMALL)),
    **dict(_for("sine-of-whole-row", ("bfloat16",), "where it is NaN a rounded cosine may be, too")),
}
BEYOND_ANGLES = {  # what no case of a variant with an angle can expose besides
    **{("non-strict-mask", dtype): "no negative equals a rounded f for everybody" for dtype in JUDGED},
    ("clamp-of-target-kills-gradient", "float32"): "float32 does not tell the angles that are clamped from 0",
}
