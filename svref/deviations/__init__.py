"""Known departures from the paper, each a complete computation: the only place where wrong mathematics may live.

A golden vector is worth the deviations that it exposes, and a wrong implementation is named by the deviation that
computes the same. So each runs in float64, from cosines to the losses and the gradient that the wrong code returns,
and from embeddings and weights likewise. Every entry is one small function, written in the least wrong words:

    a changed loss      the mistake is another, well-defined loss, and svref's own passes run it
    changed logits      z_k and dz_k/dc_k are wrong; the softmax cross entropy over them is right
    a changed result    what the right computation is fed, or what it returns
    a changed head      the way between the vectors and the cosines is wrong

The entries stand by what they spoil: `target` (f), `negatives` (I and h), `results` (softmax, reduction, digits),
`backward` (the gradient alone), `heads` (normalisation). A new one is one function in one of these files.

Catalogued but not here, because no run of (cosines, labels, cotangent) or (embeddings, weights, ...) can show them:

    D17 no clamp, NaN for c > 1       the input lies outside the domain, and svref refuses it
    D20, D21, hidden state            the result depends on calls before; D12 too, but for its state after many steps
    D27 scatter of a column           its backward raises, so that there is no gradient to compare
    D29 the first half                the gradient by x of unit coefficients belongs to one layer's own parametrisation;
                                      the second half is `weight-gradient-without-margin`
    D31 soft labels                   there is no single target; svref refuses them
    D33 uint8 masks                   the code raises
    D35 mean over nonzero losses      which losses are 0 is a matter of underflow; the mean is `mean-for-sum`
    D36 the label -1                  a run has no ignored rows
    D39 the mask is a constant        nobody departs from it
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from svref.deviations import backward, heads, negatives, results, target
from svref.deviations.kinds import Deviation

__all__ = ["DEVIATIONS", "Deviation"]

DEVIATIONS: Mapping[str, Deviation] = MappingProxyType(
    {
        entry.name: entry
        for stage in (target, negatives, results, backward, heads)
        for entry in vars(stage).values()
        if isinstance(entry, Deviation)
    }
)
