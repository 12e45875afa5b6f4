"""Known mistakes in implementations of the losses, each kept as a computation that can be run.

Nothing here is the paper's loss; the right formulas are in svref/reference.py. The mistakes serve two purposes. A
golden case is worth as much as the mistakes it exposes, which `svref golden power` counts. And a candidate that fails
`svref check` is named by the deviation that computes the same wrong numbers. So every deviation runs in float64: from
cosines to the losses and the gradient that the wrong code returns, and from embeddings and weights to its losses and
gradients by both.

A deviation is one short function. Its decorator (see `kinds`) says how it differs from the right computation:

    changed_loss      the code computes another loss that svref has, and svref computes that one
    changed_logits    z_k or dz_k/dc_k is wrong; the softmax cross entropy over the logits is right
    changed_result    the right computation gets wrong inputs, or its results are changed
    changed_inputs    the cosines, or the vectors, are changed before they are read
    changed_head      the way from vectors to cosines, or back, is wrong

The files say what is wrong: `target` (f), `negatives` (I and h), `results` (softmax, reduction), `rounding` (number
formats), `backward` (the gradient alone), `heads` (normalisation), `batches` (rows of one class, equal cosines).
`logits`, `normalisation`, `formats` and `which` are their tools, and `dialects` says which deviations public code
consists of. Mistakes in any size, such as a factor of the loss, are in the folder `families`.

To add a deviation, write one function in the file of what is wrong. Use the first decorator of the list that can
express it. Then run two tests:

    tests/test_deviations.py    its entry is complete, it changes results where it applies and nothing elsewhere, its
                                gradient is the derivative of its losses. If its gradient is the mistake, add its name
                                to BACKWARD_ONLY there. Write its formula out in LITERAL: that is a check by hand.
    tests/test_pages.py         docs/reference/deviations.md lists it, which `python tests/test_pages.py --write` does

The packs list the deviations that each case exposes, so `svref golden verify` then reports packs that were made before.
Once they are made again, `svref golden power` must count a case that exposes the new deviation.

To add a dialect, see `dialects`. Mistakes that no run of (cosines, labels, cotangent) or of (embeddings, weights,
labels, cotangent) can show are not here; docs/reference/deviations.md lists them, each with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from svref.deviations import backward, batches, heads, negatives, results, rounding, target
from svref.deviations.kinds import Deviation

__all__ = ["DEVIATIONS", "Deviation"]

#: The deviations by name.
DEVIATIONS: Mapping[str, Deviation] = MappingProxyType(
    {
        entry.name: entry
        for stage in (target, negatives, results, rounding, backward, heads, batches)
        for entry in vars(stage).values()
        if isinstance(entry, Deviation)
    }
)
