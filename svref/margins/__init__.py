"""f(m, θ_y), the target's cosine after the margin, and its derivatives: one final class a margin.

None, additive cosine (AM), additive angle (Arc), multiplicative angle (A) and combined; around them the easy
margin and the straight-through gradient of public code. Equations 22 to 35 of the derivation.
"""

from svref.margins.additive import AdditiveCosine, NoMargin
from svref.margins.angle import Angle
from svref.margins.angular import AdditiveAngle
from svref.margins.base import Figures, Margin
from svref.margins.combined import Combined
from svref.margins.multiplicative import MultiplicativeAngle
from svref.margins.wrappers import EasyMargin, StraightThrough

__all__ = [
    "AdditiveAngle",
    "AdditiveCosine",
    "Angle",
    "Combined",
    "EasyMargin",
    "Figures",
    "Margin",
    "MultiplicativeAngle",
    "NoMargin",
    "StraightThrough",
]
