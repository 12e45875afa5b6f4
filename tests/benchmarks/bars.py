"""What the measurements are held against. A bar that is missed is reported, never an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.contestants import LEAN

MIB = 2**20
LINEAR = (0.95, 1.05)


def judged(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each bar with what was measured; `met` is None where nothing was."""
    return [
        *cosine([row for row in results["rows"] if row["level"] == "cosine"]),
        *head([row for row in results["rows"] if row["level"] == "head" and row["dtype"] == "float32"]),
        *linear([sweep for sweep in results["scaling"] if sweep["vary"] == "C"]),
        *streaming(results["memory"]),
    ]


def bar(name: str, limit: str, measured: str | None, met: bool | None) -> dict[str, Any]:
    """Return one bar."""
    return {"name": name, "bar": limit, "measured": measured or "not measured", "met": met if measured else None}


def cosine(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bars of the cosine level: every row, and the geometric mean."""
    ratios = {described(row): row["ratio"].get("svref") for row in rows}
    known = {name: ratio for name, ratio in ratios.items() if ratio}
    every, mean = "cosine level, every row: fastest peer / svref", "cosine level, geometric mean of the same"
    if not known:
        return [bar(every, "at least 1", None, None), bar(mean, "at least 2", None, None)]
    worst = min(known, key=known.__getitem__)
    ahead = sum(ratio >= 1 for ratio in known.values())
    average = geometric([row["ratio"].get("svref") for row in rows])
    fresh = geometric([row["ratio"].get("svref, fresh") for row in rows])
    return [
        bar(
            every, "at least 1", f"{ahead} of {len(known)} rows; least {known[worst]:.2f}, {worst}", ahead == len(known)
        ),
        bar(mean, "at least 2", f"{average:.2f}; without out= {fresh:.2f}", average >= 2),
    ]


def head(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bars of the head level, on its largest float32 row."""
    row = max(rows, key=lambda r: r["B"] * r["C"] * r["D"], default=None)
    size = f"head {row['size']} float32" if row else "head, largest size, float32"
    peer = row["fastest_peer"] if row else None
    share = row["floor_share"].get("svref") if row else None
    ratio = row["ratio"].get("svref") if row else None
    return [
        bar(f"{size}: svref / three products", "at most 1.5 (goal 1.35)", share and f"{1 / share:.2f}", bool(share and 1 / share <= 1.5)),
        bar(f"{size}: fastest peer / svref", "at least 1", ratio and f"{ratio:.2f} ({peer})", bool(ratio and ratio >= 1)),
    ]  # fmt: skip


def linear(sweeps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bars of the growth with C."""
    found = {sweep["level"]: sweep["fit"]["exponent"] for sweep in sweeps}
    low, high = LINEAR
    return [
        bar(
            f"{level} level, time against C: exponent",
            f"{low} to {high}",
            f"{found[level]:.3f}" if level in found else None,
            low <= found.get(level, 0) <= high,
        )
        for level in ("cosine", "head")
    ]


def streaming(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bar of the head whose weights and gradient are memory maps."""
    row = next((r for r in rows if r["mapped"]), None)
    peak = row["contestants"].get(LEAN, {}).get("peak_bytes") if row else None
    name = f"head {row['size']} float32 from memory maps, memory=0" if row else "head from memory maps, memory=0"
    return [bar(name, "at most 128 MiB", None if peak is None else f"{peak / MIB:.0f} MiB", (peak or 0) <= 128 * MIB)]


def geometric(ratios: list[float | None]) -> float:
    """Return the geometric mean of the ratios that are known."""
    return float(np.exp(np.mean(np.log([ratio for ratio in ratios if ratio]))))


def described(row: dict[str, Any]) -> str:
    """Return a row's size, dtype and mask."""
    return f"{row['size']} {row['dtype']} {row['mask']}"
