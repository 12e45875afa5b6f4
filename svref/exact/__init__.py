"""Certified values: the losses and their gradients in ball arithmetic, correct to the last bit.

Every number comes with a proof: python-flint (Arb) computes with balls that contain the true value, and with more
bits until each ball rounds to one float64. No formula is shared with the stages; that is the point.
"""

try:
    import flint as _flint  # noqa: F401
except ImportError as error:
    raise ImportError("svref.exact needs python-flint: pip install 'svref[exact]'") from error

from svref.exact.cosines import Truth, evaluate
from svref.exact.head import HeadTruth, evaluate_head
from svref.exact.rounding import Certified, Unresolved

__all__ = ["Certified", "HeadTruth", "Truth", "Unresolved", "evaluate", "evaluate_head"]
