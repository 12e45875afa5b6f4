"""What public code computes under the papers' names, drawn over the papers' curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svref.deviations.dialects import DIALECTS
from svref.margins import Margin
from svref.plots.curves import PANELS, over_angle
from svref.plots.style import LOOKS, Look, degrees, panels, styled, zero_line
from svref.variants import VARIANTS

LIMITS = {("sv-am-softmax", "f"): (-1.9, 1.1), ("arc-softmax", "f"): (-3.0, 1.1), ("a-softmax", "f"): (-7.4, 1.6)}


@styled
def dialects(curves: Sequence[tuple[str, str]], parameters: Mapping[str, Mapping[str, float]] | None = None) -> Figure:
    """Draw what public code computes over the paper's curves.

    Parameters
    ----------
    curves : sequence of (str, str)
        The panels: a variant and "f", "df/dc" or "df/dθ", such as ("arc-softmax", "f").
    parameters : mapping of str to mapping, optional
        The parameters of a variant; left out, its defaults.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each curve. The broad pale line is the paper's. Dialects with the same margin share a line, which
        has the shortest of their names; + 2 means two more.
    """
    figure, axes = panels(len(curves), 1, 2.75 * len(curves))
    for at, (variant, name) in zip(axes, curves, strict=True):
        _over_paper(at, variant, name, (parameters or {}).get(variant, {}))
    return figure


def margins_of_code(variant: str, parameters: Mapping[str, float]) -> dict[Margin, list[str]]:
    """Return the margins that dialects compute under a variant's name, and the dialects of each; not the paper's."""
    paper, found = VARIANTS[variant].factory(**parameters).margin, dict[Margin, list[str]]()
    for name, dialect in DIALECTS.items():
        if variant in dialect.losses:
            margin = dialect.loss(variant, **parameters).margin
            if margin != paper:
                found.setdefault(margin, []).append(name)
    return found


def _over_paper(axes: Axes, variant: str, name: str, parameters: Mapping[str, float]) -> None:
    """Draw one panel."""
    paper, panel = VARIANTS[variant].factory(**parameters).margin, PANELS[name]
    axes.set_ylim(*LIMITS.get((variant, name), (-5.2, 4.2)))
    degrees(axes, "θ, angle to the target", step=30)
    zero_line(axes)
    margins = {"the paper": paper}
    for margin, names in margins_of_code(variant, parameters).items():
        margins[min(names, key=len) + (f" + {len(names) - 1}" if len(names) > 1 else "")] = margin
    for (label, margin), look in zip(margins.items(), (Look("#B5B5B5", "-"), *LOOKS[1:], LOOKS[0]), strict=False):
        angles, values = over_angle(margin, panel.method)
        values[np.isinf(values)] = np.nan
        wide, order = (7.0, 1.0) if margin == paper else (2.2, look.zorder)
        axes.plot(np.degrees(angles), values, linewidth=wide, label=label, zorder=order, **look._asdict())
    axes.set(ylabel=panel.axis, title=f"{name} of {variant}")
    axes.legend(loc="lower left", frameon=False, fontsize=11, handlelength=2.4, labelspacing=0.25, borderaxespad=0.1)
