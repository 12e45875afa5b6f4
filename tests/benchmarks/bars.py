"""What the measurements are held against. A bar that is missed is reported, never an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.contestants import LEAN

MIB = 2**20
LINEAR = (0.95, 1.05)
SMALL = "128 x 1,000"
PRODUCTS = {"256 x 512 x 93,431": 1.45, "128 x 128 x 10,000": 2.5}


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
    large = {name: ratio for name, ratio in known.items() if not name.startswith(SMALL)}
    small = {name: ratio for name, ratio in known.items() if name.startswith(SMALL)}
    return [
        least("cosine level, 512 x 10,000 and larger", large, 1.0),
        least(f"cosine level, {SMALL}", small, 0.9),
        mean("cosine level, geometric mean with out=", rows, "svref", 2.0),
        mean("the same with a fresh gradient", rows, "svref, fresh", 1.6),
    ]


def least(name: str, ratios: dict[str, float], limit: float) -> dict[str, Any]:
    """Return the bar that every row of some has a ratio of at least `limit`."""
    name = f"{name}: fastest peer / svref"
    if not ratios:
        return bar(name, f"at least {limit:g} in every row", None, None)
    worst = min(ratios, key=ratios.__getitem__)
    ahead = sum(ratio >= limit for ratio in ratios.values())
    measured = f"{ahead} of {len(ratios)} rows; least {ratios[worst]:.2f}, {worst}"
    return bar(name, f"at least {limit:g} in every row", measured, ahead == len(ratios))


def mean(name: str, rows: list[dict[str, Any]], contestant: str, limit: float) -> dict[str, Any]:
    """Return the bar of a geometric mean of ratios."""
    ratios = [row["ratio"].get(contestant) for row in rows]
    if not any(ratios):
        return bar(f"{name}: fastest peer / svref", f"at least {limit:g}", None, None)
    average = geometric(ratios)
    return bar(f"{name}: fastest peer / svref", f"at least {limit:g}", f"{average:.2f}", average >= limit)


def head(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bars of the head level, float32: beside the peers, and beside the three products."""
    ratios = {f"head {described(row)}": row["ratio"].get("svref") for row in rows}
    found = [least("head, float32", {name: ratio for name, ratio in ratios.items() if ratio}, 1.0)]
    for size, limit in PRODUCTS.items():
        shares = [row["floor_share"].get("svref") for row in rows if row["size"] == size]
        worst = max((1 / share for share in shares if share), default=None)
        name, measured = f"head {size} float32: svref / three products", worst and f"{worst:.2f}"
        found.append(bar(name, f"at most {limit:g}", measured, worst is not None and worst <= limit))
    return found


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
    """Return a row's size, dtype and state."""
    return f"{row['size']} {row['dtype']} {row['state']}"
