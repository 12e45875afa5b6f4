"""The figures of the documentation, as SVG with real text; without matplotlib there are none."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from benchmarks.bars import MIB
from benchmarks.contestants import FLOORS, PEERS

EXTRA = "matplotlib is not installed: no figures (pip install 'svref[plot]')"
STYLE: dict[Any, Any] = {"svg.hashsalt": "svref", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip
MARKS = dict(zip(PEERS, "osDv", strict=True))


def missing() -> str | None:
    """Return what to say without matplotlib."""
    return None if find_spec("matplotlib") else EXTRA


def drawn(results: dict[str, Any]) -> dict[str, str]:
    """Return the SVG of each figure for which there are results, by its name."""
    if missing():
        return {}
    import matplotlib as mpl

    mpl.use("agg")
    parts = {"times": ("rows", times), "scaling": ("scaling", scaling), "memory": ("memory", memory)}
    with mpl.rc_context(STYLE):
        return {name: svg(draw, results[key]) for name, (key, draw) in parts.items() if results[key]}


def svg(draw: Any, found: list[dict[str, Any]]) -> str:
    """Return a figure as text; the same results give the same bytes."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    draw(figure, found)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def times(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Draw each contestant's time over that of svref."""
    figure.set_size_inches(7.5, 1.2 + 0.24 * len(rows))
    axes = figure.subplots()
    for name, mark in {**MARKS, "floor": "|k"}.items():
        points = [(relative(row, FLOORS[row["level"]] if name == "floor" else name), i) for i, row in enumerate(rows)]
        known = [point for point in points if point[0]]
        if known:
            axes.plot(*zip(*known, strict=True), mark, label=name, markersize=11 if name == "floor" else 5)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{r['level']} {r['size']} {r['dtype']} {r['state']}" for r in rows])
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("time over that of svref with out= (line at 1)\nfloor: np.exp, or three products")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)


def relative(row: dict[str, Any], name: str) -> float | None:
    """Return a contestant's time over svref's, if both are known."""
    found = [row["contestants"].get(n, {}).get("median_s") for n in (name, "svref")]
    return found[0] / found[1] if all(found) else None


def scaling(figure: Any, sweeps: list[dict[str, Any]]) -> None:
    """Draw time against C, B, D and threads, both levels, with the floors."""
    figure.set_size_inches(7.5, 6)
    for axes, vary in zip(figure.subplots(2, 2).flat, ("C", "B", "D", "threads"), strict=True):
        for sweep in (s for s in sweeps if s["vary"] == vary):
            colour = {"cosine": "C0", "head": "C1"}[sweep["level"]]
            for name, seconds in sweep["median_s"].items():
                line, label = ("o-", f"{sweep['level']}: svref") if name == "svref" else ("--", f"its floor, {name}")
                axes.plot(sweep["values"], [1e3 * t for t in seconds], line, color=colour, label=label, markersize=4)
        axes.set_xlabel(vary)
        axes.set_ylabel("ms")
        if vary == "C":
            axes.set_xscale("log")
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        if vary == "threads":
            axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.lines:
            axes.legend(frameon=False, fontsize=7)


def memory(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Draw the peaks beyond inputs and outputs, one panel a case."""
    figure.set_size_inches(7.5, 1.6 * len(rows) + 0.4)
    panels = figure.subplots(len(rows), squeeze=False, sharex=True)[:, 0]
    largest = 1.0
    for axes, row in zip(panels, rows, strict=True):
        peaks = {n: found["peak_bytes"] for n, found in row["contestants"].items() if "peak_bytes" in found}
        sizes = [max(peak / MIB, 0.0) for peak in peaks.values()]
        axes.barh(list(peaks), sizes, color=["C0" if n.startswith("svref") else "C7" for n in peaks])
        axes.bar_label(axes.containers[0], [f"{size:,.0f}" for size in sizes], padding=2, fontsize=7)
        axes.invert_yaxis()
        axes.set_xscale("log", nonpositive="clip")
        largest = max(largest, *sizes)
        maps = ", weights and gradient as memory maps" if row["mapped"] else ""
        axes.set_title(f"{row['level']} {row['size']} {row['dtype']}{maps}", fontsize=9, loc="left")
    panels[-1].set_xlim(0.5, 2 * largest)
    panels[-1].set_xlabel("peak MiB of anonymous memory beyond inputs and outputs")
