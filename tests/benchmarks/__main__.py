"""Measure svref beside PyTorch, JAX and TensorFlow, and write what was found.

python tests/benchmarks [--quick] [--only cosine head allocator scaling memory] [--out DIR] [--docs [PAGE]]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import bars, contestants, figures, page, report, results
from benchmarks.sections import RUNNERS, Choice, kept, say

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "benchmarks.md"


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="tiny sizes and few calls: does everything run?")
    add("--only", nargs="+", choices=[*RUNNERS, "kept"], default=list(RUNNERS), metavar="SECTION",
        help=f"of {', '.join(RUNNERS)}; kept is the row that the section allocator repeats")  # fmt: skip
    add("--peers", nargs="*", choices=list(contestants.PEERS), default=list(contestants.PEERS), metavar="PEER",
        help=f"of {', '.join(contestants.PEERS)}; all by default")  # fmt: skip
    add("--out", type=Path, default=Path("build/benchmarks"), metavar="DIR",
        help="where the JSON, the tables and the figures go; build/benchmarks by default")  # fmt: skip
    add("--docs", type=Path, nargs="?", const=PAGE, metavar="PAGE",
        help="also rewrite the tables and figures of the documentation's page")  # fmt: skip
    add("--read", type=Path, metavar="JSON", help="measure nothing, report what an earlier run has found")
    return parser.parse_args()


def main() -> int:
    """Measure, report, and return the exit status: 130 after an interrupt."""
    options = arguments()
    if options.read:
        report_to(options, results.load(options.read))
        return 0
    found = results.started(options.quick, options.peers)
    measure(options, found)
    report_to(options, found)
    return 0 if found["complete"] else 130


def measure(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Measure what was asked for; save after every row, and stop at an interrupt."""
    choice, start = Choice(options.quick, options.peers), time.perf_counter()
    for name in options.peers:
        say(f"{name}: {contestants.missing(name) or 'installed'}")
    try:
        for section in options.only:
            for _ in ({**RUNNERS, "kept": kept})[section](found, choice):
                found["seconds"] = time.perf_counter() - start
                results.save(found, options.out)
            found["sections"].append(section)
        found["complete"] = True
    except KeyboardInterrupt:
        say("interrupted: what has been measured so far is written")
    found["seconds"] = time.perf_counter() - start


def report_to(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Write the JSON, the tables, the figures and the page."""
    found["bars"] = bars.judged(found)
    if hint := figures.missing():
        say(hint)
    drawings = figures.drawn(found)
    for name, svg in drawings.items():
        results.write(options.out / f"{name}.svg", svg)
    results.write(options.out / "table.md", report.document(found))
    results.save(found, options.out)
    if options.docs:
        page.rewrite(options.docs, report.blocks(found), drawings)
    say(report.bars(found["bars"]).strip())
    say(f"written to {options.out}: results.json, table.md{''.join(f', {name}.svg' for name in drawings)}")


if __name__ == "__main__":
    sys.exit(main())
