"""What every page of svref has in common: one style sheet, light, dark and printed, and the head and foot of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --soft: #595959; --line: #d9d9d9; --card: #f5f5f5;
  --target: #00588a; --support: #8f3a00; --negative: #595959; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --paper: #161616; --soft: #b4b4b4; --line: #444;
  --card: #222; --target: #7cc4f0; --support: #ffa466; --negative: #b4b4b4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 1.2rem; color: var(--ink); background: var(--paper);
  font: 1.0625rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 .3rem; }
p { margin: .3rem 0; }
.soft, .equation { color: var(--soft); }
ol { list-style: none; margin: .6rem 0; padding: 0; border-top: 1px solid var(--line); }
li { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 7fr) 2.6rem; gap: .2rem 1rem; align-items: center;
  padding: .5rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
li b { white-space: nowrap; }
.equation { text-align: right; }
math { font-size: 1.12em; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th:first-child { text-align: left; }
.target { color: var(--target); } .support { color: var(--support); } .negative { color: var(--negative); }
figure { margin: 1rem 0; padding: .6rem; background: #fff; border-radius: 6px; break-inside: avoid; }
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
pre { overflow-x: auto; padding: .6rem .8rem; background: var(--card); border-radius: 6px; font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1rem; margin: .6rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
h3 { font-size: 1.05rem; margin: 1.2rem 0 .3rem; }
.verdict { font-size: 1.7rem; font-weight: 700; line-height: 1.2; }
.words td, .words th { text-align: left; white-space: normal; min-width: 6rem; vertical-align: top; }
@media (max-width: 36rem) { li { grid-template-columns: minmax(0, 1fr) 2.6rem; }
  li .numbers { grid-area: 2 / 1 / 3 / 3; }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .4rem; } figure { padding: .2rem; } }
@media print { :root { --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --target: #00588a; --support: #8f3a00;
  --negative: #444; } body { max-width: none; padding: 0; font-size: 11pt; } h2 { break-after: avoid; } }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """Return a page that needs no other file: its title, and the elements of its main part."""
    return "\n".join([*_head(title), *parts, "</main></body></html>"]) + "\n"


def _head(title: str) -> Iterator[str]:
    """Yield the lines up to the main part."""
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
    yield "<body><main>"


def scrolled(caption: str, heads: Sequence[str], body: Sequence[str], kind: str = "") -> str:
    """Return a table, which scrolls where the screen is narrow; `heads` and the rows of `body` are HTML."""
    named, name = escape(caption, quote=True), f' class="{kind}"' if kind else ""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{named}"><table{name}><caption>{named}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def lowered(text: str) -> str:
    """Return words with their subscripts lowered."""
    return re.sub(r"\b(\w+)_(\w)\b", r"<var>\1<sub>\2</sub></var>", escape(text))


def inlined(svg: str, alt: str, prefix: str = "") -> str:
    """Return an SVG as an element of a page: without prolog and metadata, and with a name for screen readers.

    `prefix` goes before each id in it. A page with several pictures needs one for each, as an id may stand there once.
    """
    bare = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    if prefix:
        bare = re.sub(r'\b(id=")', rf"\g<1>{prefix}", bare)
        bare = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", bare)
    return bare.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
