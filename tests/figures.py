"""The figures of the documentation: what draws each, and what one sees in it.

python tests/figures.py            prints each figure as a page uses it
python tests/figures.py --write    writes docs/figures/NAME.svg

A figure keeps its numbers in the SVG's description, as JSON, so that a test can compare them with what the code draws
today; the paths of an SVG depend on the version of matplotlib. Everything here comes from public functions.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

import svref
from svref import plots

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "figures"
SAMPLES = 9  # numbers that are kept of a curve
DIGITS = 9

LOSS = svref.sv_am_softmax(s=4.0, m=0.35, t=1.2)  # the running example of all pages
ROW = np.cos(np.deg2rad([40, 60, 150]))
CONVERGED = svref.sv_am_softmax(s=64.0, m=0.35, t=1.2)
HELD_BY_FLOAT8 = (0.875, 0.25, 0.125, -0.5)
HELD_BY_BFLOAT16 = (0.96875, 0.1875, -0.25, -0.5)
MANY = np.cos(np.deg2rad([40, 58, 63, 68, 72, 80, 90, 110]))
NOTEBOOK = ([[2.0, 3.0, 1.0, -1.0], [-1.0, 2.1, 2.0, 6.0], [-2.0, 3.0, 4.0, -2.1]], [1, 2, 0])
MEMBERS = {
    "softmax": svref.sv_softmax(s=4.0, t=1.2),
    "AM": LOSS,
    "Arc": svref.sv_arc_softmax(s=4.0, m=0.5, t=1.2),
    "A": svref.sv_a_softmax(s=4.0, m=4, t=1.2),
    "combined": svref.sv_combined_softmax(s=4.0, m1=1.0, m2=0.3, m3=0.2, t=1.2),
}
TAILS = {
    tail: svref.SVXSoftmax(svref.AdditiveAngle(0.5, tail), svref.SupportVectors(1.2), 4.0)
    for tail in ("raw", "linear", "plain", "reflect")
}
CODE = (("sv-am-softmax", "f"), ("arc-softmax", "f"), ("arc-softmax", "df/dc"), ("a-softmax", "f"))


class Entry(NamedTuple):
    """A figure of the documentation: the call that draws it, and what one sees, in full sentences."""

    draw: Callable[[], Figure]
    alt: str


def entry(draw: Callable[[], Figure], *sentences: str) -> Entry:
    """Return an entry whose text is these sentences."""
    return Entry(draw, " ".join(sentences))


def trained() -> Figure:
    """Return the figure of docs/how-to/train.md; the example trains for four seconds."""
    sys.path.append(str(ROOT / "docs" / "examples"))
    import digits

    return plots.training([digits.train(name, 30) for name in digits.LOSSES])


FIGURES: dict[str, Entry] = {
    "hero": entry(
        lambda: plots.overview({"no margin": MEMBERS["softmax"], "Arc": MEMBERS["Arc"], "AM": LOSS}),
        "Left: f, the target's cosine after the margin, against the target's angle: the AM and Arc margins lower it.",
        "Right: the loss against a negative's cosine, for a target at 40°: where the cosine exceeds f = 0.42 the negative is",
        "a support vector, and the loss jumps up from 0.69 to 1.41 nats and rises faster.",
    ),
    "circle": entry(
        lambda: plots.circle(LOSS, (1.0, 0.0), [(np.cos(a), np.sin(a)) for a in np.deg2rad([40, 60, 150])], 0),
        "An embedding and three class centres on the unit circle: the target at 40°, a support vector at 60°, a negative at",
        "150°. The margin lets the target count as if it were at 65.4°, so a negative nearer than 65.4° to the embedding is a",
        "support vector; that arc is shaded.",
    ),
    "margins": entry(
        lambda: plots.margins(MEMBERS),
        "Three panels over angles from 0° to 180°, for softmax, AM, Arc, A and the combined margin. Top: f; all margins lower",
        "it, and A the most. Middle: the slope df/dc; it is 1 for softmax and AM, has poles at both ends for Arc and the",
        "combined margin, and touches 0 three times for A. Bottom: the logit z_k of a negative, which jumps down where its",
        "angle passes arccos f, at 40° for softmax, near 65° to 70° for AM, Arc and combined, at 160° for A.",
    ),
    "tails": entry(
        lambda: plots.tails(TAILS),
        "f, df/dc and df/dθ of Arc with m = 0.5 for its four tails beyond θ + m = π, which is at 151.4°. Raw turns back up;",
        "linear jumps down and plain jumps up, and both then have the slope 1; reflect keeps falling without a jump. At 180°",
        "df/dc is -∞ for raw and +∞ for reflect.",
    ),
    "pieces": entry(
        lambda: plots.pieces(MEMBERS["A"]),
        "ψ of A-Softmax with m = 4 beside cos 4θ. cos 4θ goes up and down; ψ falls all the way from 1 to -7 in four pieces,",
        "which end at 45°, 90° and 135°. The slope of ψ in the cosine is never negative and is 0 at the ends of the pieces.",
    ),
    "boundaries": entry(
        lambda: plots.boundaries(MEMBERS),
        "Five panels, one a margin, in the plane of the angles θ_1 and θ_2 from an embedding to two classes. Below the line",
        "c_2 = f(θ_1), shaded, class 2 is a support vector of an embedding of class 1. Without a margin the line is the",
        "diagonal; AM, Arc and the combined margin move it up, and A turns it about the origin.",
    ),
    "emphasis": entry(
        lambda: plots.emphasis(LOSS),
        "h against a negative's cosine for t = 1.1, 1.2 and 1.3, adaptive on the left and fixed on the right. h is 1 up to",
        "f = 0.416 and jumps there. The adaptive h then grows with the cosine, to 4.95 at t = 1.2; the fixed h stays at 2.23.",
    ),
    "loss-plane": entry(
        lambda: plots.loss_plane(LOSS),
        "Left: the loss of two classes as a map over the target's cosine and the negative's cosine; it jumps along the line",
        "c_k = f. Right: a cut at the target's cosine 0.77: the loss rises to 0.69 at f, jumps by 0.72 nats, and rises on.",
    ),
    "gradient-plane": entry(
        lambda: plots.gradient_plane(LOSS),
        "Left: the gradient by the negative's cosine as a map over the target's cosine and the negative's cosine, with a jump",
        "along the line c_k = f. Right: a cut at the target's cosine 0.77: up to f the gradients by the negative and, turned",
        "around, by the target are equal and reach 2; at f they jump to 3.6 and 3.0.",
    ),
    "shares": entry(
        lambda: plots.shares(LOSS, MANY, 0),
        "The part of each of seven negatives in the gradient as t grows from 1 to 2. The two support vectors have 56 % at",
        "t = 1, 84 % at t = 1.2 and 95 % at t = 1.4; the other five negatives share the rest.",
    ),
    "converged": entry(
        lambda: plots.converged(CONVERGED),
        "The relative error of the loss, and of the gradient by the target, against the certified loss, from untrained rows on",
        "the left to converged ones on the right. The textbook's form has lost all digits from a loss of about 1e-7 on in",
        "float32 and about 1e-16 in float64; the relative form keeps its error near 1e-6 and 1e-15 down to 1e-30.",
    ),
    "precision": entry(
        lambda: plots.precision(CONVERGED, HELD_BY_BFLOAT16, 0),
        "One converged row in float64, float32 and bfloat16. Its loss is 1.03e-12. The textbook's form gives 0 for the loss and",
        "for the gradient by the target in float32 and bfloat16; the relative form is off by 2e-6 in float32 and by 10 % in",
        "bfloat16. For the gradient by the negative both forms agree.",
    ),
    "grids": entry(
        lambda: plots.grids(svref.am_softmax(s=30.0, m=0.35), HELD_BY_FLOAT8, 0),
        "Six stages of a learnt row in float32, tf32, float16, bfloat16 and float8, each on the numbers that the format has.",
        "f is off by 0.3 % in bfloat16 and by 4.8 % in float8, and so is the target's logit; the largest negative's exponential",
        "by 6.6 % and 100 %. p_y = 0.9997 becomes 1 in all but float32, which is off by 0.03 %. The gradient p_y − 1, which",
        "should be −0.00027, and the loss are then 0.",
    ),
    "dialects": entry(
        lambda: plots.dialects(CODE),
        "What public code computes, as thin lines over the paper's curves, which are broad and grey: f of SV-AM, f and df/dc of",
        "Arc, and f of A. Some code drops the margin where the cosine is below 0 or below m, some changes Arc beyond",
        "θ + m = π, some keeps the slope 1, and some makes A periodic or flatter.",
    ),
    "row": entry(
        lambda: plots.row(LOSS.forward(ROW[None], [0])),
        plots.alt(LOSS.forward(ROW[None], [0])),
    ),
    "notebook": entry(
        lambda: plots.rows(svref.sv_softmax(s=1.0, t=1.2).forward(*NOTEBOOK)),
        "The three rows of the notebook, each with its logits relative to the target's and its probabilities. Row 0 has no",
        "support vector and the loss 0.4197; rows 1 and 2 have two each, whose logits gain the hatched part, and the losses",
        "5.4139 and 7.2646.",
    ),
    "training": entry(
        trained,
        "Three circles with the embeddings of the test images around ten class directions, for softmax, AM and",
        "SV-AM; below, the fraction of support vectors falls over 30 epochs, most for SV-AM, and the accuracy rises",
        "to about 0.9 for all three.",
    ),
}  # fmt: skip


def numbers_of(figure: Figure) -> dict[str, list[float | None]]:
    """Return what a figure shows: of each labelled curve nine points, of bars their lengths; by panel and label."""
    found: dict[str, list[float | None]] = {}
    for place, axes in enumerate(figure.axes):
        for line in axes.get_lines():
            if not str(line.get_label()).startswith("_"):
                at = np.unique(np.linspace(0, len(line.get_xdata()) - 1, SAMPLES).round().astype(int))
                points = np.array(line.get_xydata(), float)[at]
                found[_new(found, f"{place}: {line.get_label()}")] = [_kept(x) for x in points.ravel()]
        for bars in axes.containers:
            if isinstance(bars, BarContainer):
                found[_new(found, f"{place}: {bars.get_label()}")] = [_kept(bar.get_width()) for bar in bars]
    return found


def _new(found: dict[str, Any], name: str) -> str:
    """Return a name that is not taken yet."""
    return name if name not in found else _new(found, f"{name}'")


def _kept(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def description(name: str, figure: Figure) -> str:
    """Return what the SVG says of itself."""
    return json.dumps({"alt": FIGURES[name].alt, "numbers": numbers_of(figure)}, ensure_ascii=False)


def kept(name: str) -> dict[str, Any]:
    """Return what the committed SVG says of itself."""
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    found = re.search(r"<dc:description>(.*?)</dc:description>", text, re.DOTALL)
    assert found, name
    return json.loads(unescape(found[1]))


def main() -> None:
    """Print the figures as pages use them, or write them."""
    for name, (draw, alt) in FIGURES.items():
        print(f"![{alt}](../figures/{name}.svg)\n")
        if "--write" in sys.argv:
            figure = draw()
            plots.save(figure, FOLDER / f"{name}.svg", description(name, figure))


if __name__ == "__main__":
    main()
