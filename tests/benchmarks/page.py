"""The page of the documentation: the command rewrites the blocks between its comments, and nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmarks import results

BLOCK = re.compile(r"(<!-- benchmark:(\w+) -->\n)(.*?)(<!-- /benchmark:\2 -->)", re.DOTALL)


def rewrite(page: Path, blocks: dict[str, str], figures: dict[str, str]) -> None:
    """Write the blocks into the page, and the figures into the folder of its name beside it."""
    text = page.read_text(encoding="utf-8")
    strangers = {name for _, name, _, _ in BLOCK.findall(text)} ^ blocks.keys()
    if strangers:
        sys.exit(f"benchmarks: {page.name} must have exactly the blocks {sorted(blocks)}; see to {sorted(strangers)}.")
    for name, svg in figures.items():
        results.write(page.with_suffix("") / f"{name}.svg", svg)
    results.write(page, BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found[2]]}\n{found[4]}", text))
