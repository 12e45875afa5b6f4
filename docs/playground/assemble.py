"""The playground as one self-contained page, from the sources beside this file.

python docs/playground/assemble.py FILE        writes the page

The sources are modules, small and separate by idea. They become one script: each is taken in the order of its imports,
and the words import and export are dropped. Nothing is loaded from anywhere. Without JavaScript the page shows a static
picture, docs/figures/playground.svg, and the numbers of the running example, which svref prints at assembly.
"""

from __future__ import annotations

import json
import re
import sys
from html import escape
from pathlib import Path

import numpy as np

import svref
from svref.explain import explain

SOURCES = Path(__file__).parent
PICTURE = SOURCES.parent / "figures" / "playground.svg"
VERDICT = SOURCES / "verdict.json"
SCRIPTS = ("loss", "checks", "vectors", "model", "numbers", "link", "scene", "plot", "main")
STYLES = ("scene", "style")
COUNTS = ("passed", "failed", "vacuous", "policy")  # of results, by variant, in verdict.json

EMPTY = (
    '<svg id="scene" viewBox="-178 -146 356 292" role="img" aria-label="{0}">'
    '<g id="behind"></g><g id="handles"></g></svg>'
)
CAPTION = (
    "An embedding and four class centres on the unit circle. The target is at 40 degrees, and the class at 60 degrees "
    "lies inside the region where a negative is a support vector."
)


def assemble() -> str:
    """Return the page as HTML."""
    parts = {
        "/* style */": "".join(read(f"{name}.css") for name in STYLES),
        "/* script */": script(),
        "<!-- scene -->": picture(),
        "<!-- explained -->": escape(explained(), quote=False),
        "<!-- verdict -->": verdict(),
    }
    page = read("index.html")
    for mark, text in parts.items():
        if page.count(mark) != 1:
            raise ValueError(f"index.html must contain {mark} once; it does so {page.count(mark)} times.")
        page = page.replace(mark, text)
    return page


def read(name: str) -> str:
    """Return the text of a source."""
    return (SOURCES / name).read_text(encoding="utf-8")


def script() -> str:
    """Return all modules as one script with a scope of its own."""
    texts = [without_imports(read(f"{name}.js")) for name in SCRIPTS]
    return '(() => {\n"use strict";\n' + "\n".join(texts) + "})();\n"


def without_imports(text: str) -> str:
    """Return a module's text without its imports, and its exports as plain declarations."""
    return re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)


def picture() -> str:
    """Return the static picture, to be drawn over by the script; an empty one before it is made."""
    if not PICTURE.exists():
        return EMPTY.format(CAPTION)
    return re.sub(r"<style>.*?</style>\s*", "", PICTURE.read_text(encoding="utf-8"), flags=re.DOTALL).strip()


def drawn(inside: str) -> str:
    """Return the static picture as a file of its own, from what the page draws inside its SVG."""
    opening = EMPTY.format(CAPTION).split("<g", 1)[0].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    style = "#scene { background: #ffffff; }\n" + read("scene.css")
    return f"{opening}\n<style>\n{style}</style>\n{inside}\n</svg>\n"


def explained() -> str:
    """Return what `svref explain` prints of the running example, with the fourth class of the page."""
    cosines = np.cos(np.deg2rad([[40, 60, 150, -80]]))
    parameters = {"s": 4.0, "m": 0.35, "t": 1.2}
    step = svref.sv_am_softmax(**parameters).forward(cosines, [0])
    return explain(step, title=["sv-am-softmax, --cosines"], parameters=parameters)


def verdict() -> str:
    """Return how the page's loss was judged, from what tests/test_playground.py measured in a browser."""
    if not VERDICT.exists():
        return "<p>Not judged yet.</p>"
    measured = json.loads(VERDICT.read_text(encoding="utf-8"))
    rows = measured["variants"]
    total = {key: sum(row[key] for row in rows.values()) for key in COUNTS}
    worst = max(row["worst"] for row in rows.values())
    return (
        f"<p>Its JavaScript was judged in Chromium by svref's golden vectors, the pack core {measured['version']}: "
        f"<strong>{total['passed']:,} results passed, {total['failed']} failed</strong>: losses, gradients, "
        f"mask decisions, and inputs that must be refused. The worst error is {worst} of "
        f"the tolerance, which is the one for any right program in float64. Of {total['vacuous']:,} more the tolerance "
        f"reaches the value, so that a pass says nothing. {total['policy']} stand at poles, where several answers are "
        f"right.</p>\n<details><summary>By variant</summary>{table_of(rows)}</details>"
    )


def table_of(rows: dict[str, dict[str, float]]) -> str:
    """Return the verdict of each variant as a table that scrolls by itself on a phone."""
    names = ("variant", "passed", "failed", "vacuous", "at poles", "worst error / tolerance")
    header = "".join(f'<th scope="col">{name}</th>' for name in names)
    lines = (
        f'<tr><th scope="row">{variant}</th>'
        + "".join(f"<td>{row[key]:,}</td>" for key in (*COUNTS, "worst"))
        + "</tr>"
        for variant, row in rows.items()
    )
    return (
        '<div class="scroll" role="region" aria-label="Verdict by variant" tabindex="0">'
        f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def main(words: list[str]) -> int:
    """Write the page to the file that is named."""
    if len(words) != 1:
        print("usage: python docs/playground/assemble.py FILE", file=sys.stderr)
        return 2
    target = Path(words[0])
    beside = target.with_name(f".{target.name}.part")
    beside.write_text(assemble(), encoding="utf-8")
    beside.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
