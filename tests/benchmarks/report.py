"""The results as Markdown: one block for each part, which the page of the documentation carries too."""

from __future__ import annotations

from typing import Any

from benchmarks.bars import MIB, described
from benchmarks.contestants import FLOORS, LEAN, OURS, PEERS

NOTHING = "Not measured in this run.\n"
UNITS = {"B": "sample", "D": "dimension"}


def blocks(results: dict[str, Any]) -> dict[str, str]:
    """Return the Markdown of each part by its name."""
    return {
        "machine": machine(results),
        "bars": bars(results["bars"]),
        "cosine": times("cosine", results["rows"]),
        "head": times("head", results["rows"]),
        "allocator": allocator(results["allocator"], results["rows"]),
        "scaling": scaling(results["scaling"]),
        "memory": memory(results["memory"]),
        "notes": notes(results),
    }


def document(results: dict[str, Any]) -> str:
    """Return all parts, one below the other."""
    titles = {"machine": "Machine", "bars": "Bars", "cosine": "Cosine level", "head": "Head level"}
    titles |= {"allocator": "Allocator", "scaling": "Scaling", "memory": "Peak memory", "notes": "Notes"}
    parts = blocks(results)
    return "# Benchmarks\n\n" + "\n".join(f"## {title}\n\n{parts[name]}" for name, title in titles.items())


def table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """Return a table whose first `left` columns are text."""
    rules = ["---"] * left + ["---:"] * (len(head) - left)
    return "".join("| " + " | ".join(cells) + " |\n" for cells in [head, rules, *rows])


def machine(results: dict[str, Any]) -> str:
    """Return what the run was made on and with."""
    m = results["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in m["versions"].items())
    state = "" if results["complete"] else " The run was not completed."
    kind = "a quick run on tiny sizes, which says nothing about speed" if results["quick"] else "a full run"
    memory = f"{m['memory_gib']} GiB of memory" if m["memory_gib"] else "memory unknown"
    return (
        f"{results['date']}, {kind}, {results['seconds']:.0f} s.{state} {m['cpu']}, {m['processors']} processors, "
        f"last cache {m['last_cache'] or 'unknown'}, {memory}, {m['system']}, load {m['load_before']} before the run. "
        f"svref {m['svref']} on {m['threads']} threads, Python {m['python']}, NumPy {m['numpy']} with {m['blas']}; "
        f"{versions or 'no other package'}. Allocator: {m['allocator']}. Loss: `{results['loss']}`.\n"
    )


def bars(found: list[dict[str, Any]]) -> str:
    """Return the bars and whether they are met."""
    words = {True: "yes", False: "**no**", None: ""}
    rows = [[b["name"], b["bar"], b["measured"], words[b["met"]]] for b in found]
    return table(["what", "bar", "measured", "met"], rows, left=4) if rows else NOTHING


def times(level: str, rows: list[dict[str, Any]]) -> str:
    """Return the table of a level: medians, ratios, and how much of svref's time its floor is."""
    rows = [row for row in rows if row["level"] == level]
    if not rows:
        return NOTHING
    names = [*OURS, *PEERS, FLOORS[level]]
    head = ["size", "dtype", "state", "support vectors", *(f"{n}, ms" for n in names)]
    head += ["fastest peer", "over svref", "over svref, fresh", f"{FLOORS[level]} / svref"]
    return table(head, [time_cells(row, names) for row in rows], left=3)


def time_cells(row: dict[str, Any], names: list[str]) -> list[str]:
    """Return the cells of a row."""
    ratios = [row["ratio"].get(name) for name in OURS]
    share = row["floor_share"].get("svref")
    return [
        *(row[k] for k in ("size", "dtype", "state")),
        f"{row['support_share']:.2%}",
        *(standing(row["contestants"].get(name)) for name in names),
        row["fastest_peer"] or "none",
        *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        "" if share is None else f"{share:.0%}",
    ]


def standing(found: dict[str, Any] | None) -> str:
    """Return a median in milliseconds, or what there is in its place; the notes say more."""
    if found is None:
        return "not asked for"
    if "median_s" in found:
        return milliseconds(found["median_s"])
    return next(k.replace("_", " ") for k in ("not_installed", "failed", "wrong") if k in found)


def milliseconds(seconds: float) -> str:
    """Return three significant digits."""
    ms = seconds * 1e3
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}" if ms >= 1 else f"{ms:.3f}"


def allocator(settings: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """Return one row under each setting of the allocator, the default first."""
    found = [row for row in settings if "failed" not in row]
    if not found:
        return NOTHING
    default = [{**row, "setting": "default"} for row in rows if described(row) == described(found[0])]
    names = [*OURS, *PEERS]
    cells = [
        [row["setting"], described(row), *(standing(row["contestants"].get(name)) for name in names)]
        for row in default + found
    ]
    return table(["allocator", "row", *(f"{n}, ms" for n in names)], cells, left=2)


def scaling(sweeps: list[dict[str, Any]]) -> str:
    """Return the fits: the exponent of C, the lines in B and D, and the gain by threads."""
    rows = [[s["level"], s["vary"], f"{s['values'][0]:,} to {s['values'][-1]:,}", fixed(s), fitted(s)] for s in sweeps]
    return table(["level", "varied", "from, to", "fixed", "time of svref"], rows, left=5) if rows else NOTHING


def fixed(sweep: dict[str, Any]) -> str:
    """Return the sizes that are not varied."""
    return ", ".join(f"{name} = {sweep[name]:,}" for name in ("B", "C", "D") if name in sweep)


def fitted(sweep: dict[str, Any]) -> str:
    """Return the curve through svref's times, in words."""
    fit, times = sweep["fit"], sweep["median_s"]["svref"]
    if sweep["vary"] == "C":
        return f"C to the power {fit['exponent']:.3f}"
    if sweep["vary"] == "threads":
        return "; ".join(f"{n}: {milliseconds(t)} ms" for n, t in zip(sweep["values"], times, strict=True))
    sign = "-" if fit["b"] < 0 else "+"
    line = f"{1e3 * fit['a']:.3g} ms {sign} {1e6 * abs(fit['b']):.3g} µs a {UNITS[sweep['vary']]}"
    return f"{line}; largest residual {fit['residual']:.0%}"


def memory(rows: list[dict[str, Any]]) -> str:
    """Return the peaks in MiB beyond inputs and outputs."""
    if not rows:
        return NOTHING
    names = [*OURS, LEAN, *PEERS]
    cells = [
        [f"{row['level']} {row['size']} {row['dtype']}{', memory maps' if row['mapped'] else ''}"]
        + [peak(row["contestants"].get(name)) for name in names]
        for row in rows
    ]
    return table(["row", *(f"{name}, MiB" for name in names)], cells)


def peak(found: dict[str, Any] | None) -> str:
    """Return a peak in MiB, or what there is in its place."""
    if found is None:
        return ""
    if "peak_bytes" in found:
        return f"{max(0, found['peak_bytes']) / MIB:,.1f}"
    return standing(found)


def notes(results: dict[str, Any]) -> str:
    """Return what did not happen, and why, each once."""
    said = [*results["notes"]]
    for row in [*results["rows"], *results["memory"], *results["allocator"]]:
        if "failed" in row:
            said.append(f"{row['setting']}: {row['failed']}")
        for name, found in row.get("contestants", {}).items():
            said += [f"{name}: {found['not_installed']}"] if "not_installed" in found else []
            said += [f"{name}, {row['level']} {row['size']}: {found[k]}" for k in ("failed", "wrong") if k in found]
    return "".join(f"- {line}\n" for line in dict.fromkeys(said)) or "Everybody ran, and agreed with svref.\n"
