"""Certified values: the losses and their gradients, proven to be correct to the last bit.

python-flint (Arb) computes with balls: intervals that contain the true value, whatever is rounded on the way. Each
output is computed with more and more bits, until its whole ball rounds to one float64. No formula is shared with the
reference or the engine, so that a mistake in one of the two computations shows as a difference.
"""

try:
    import flint as _flint  # noqa: F401
except ImportError as error:
    raise ImportError("svref.exact needs python-flint: pip install 'svref[exact]'") from error

from svref.exact.cosines import Truth, evaluate
from svref.exact.head import HeadTruth, evaluate_head
from svref.exact.rounding import Certified, Unresolved

__all__ = ["Certified", "HeadTruth", "Truth", "Unresolved", "evaluate", "evaluate_head"]
