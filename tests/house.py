"""The import rule of the house, and the picture of it on the page for contributors.

python tests/house.py            prints the picture
python tests/house.py --write    writes it into docs/contributing.md

Imports run one way. A room may import the rooms on the lines above its own, and no other; rooms on one line do not
import each other. The same holds inside a folder whose rooms are listed here.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "svref"
PAGE = ROOT / "docs" / "contributing.md"
FILES = sorted(PACKAGE.rglob("*.py"))
OLD_PATHS = ("shards", "distributed", "dialects")  # kept so that imports of users go on working

Layers = tuple[tuple[str, ...], ...]
HOUSE: Layers = (
    ("_version", "arrays"),
    ("checks", "formats"),
    ("margins",),
    ("emphasis",),
    ("reference",),
    ("engine", "explain"),
    ("loss",),
    ("variants", "head", "exact"),
    ("deviations", "judging"),
    ("golden",),
    ("conformance", "plots", "strategies"),
    ("sharing",),
    ("cli", "testing"),
)
FOLDERS: dict[str, Layers] = {
    "engine": (("threads",), ("kernels",), ("tiles",)),
    "head": (("geometry",), ("shards",), ("streaming",), ("distributed",)),
    "judging": (("precision", "figures"), ("condition",), ("narrow",), ("judge",), ("expected",)),
    "golden": (
        ("notes",),
        ("files",),
        ("vectors",),
        ("expected",),
        ("making",),
        ("large",),
        ("listing",),
        ("commands", "vendoring"),
    ),
    "explain": (("text", "formulas", "document"), ("lines",), ("page",)),
    "plots": (
        ("style", "labels", "forms"),
        ("curves", "planes", "circle", "rows", "accuracy", "grids"),
        ("overview", "code", "training", "judged"),
    ),
    "testing": (
        ("naming", "gradcheck"),
        ("expecting",),
        ("configured", "suite"),
        ("failing", "found"),
        ("pieces", "section"),
        ("case",),
        ("decorating", "plugin"),
    ),
    "strategies": (
        ("numbers", "places", "outputs"),
        ("losses",),
        ("rows", "example"),
        ("printed", "kept"),
        ("drawn",),
    ),
    "conformance": (("candidates", "numbers", "solving"), ("trial", "diagnosing"), ("mistakes",), ("checking",)),
}


def parts_of(file: Path) -> tuple[str, ...]:
    """Return the parts of a file's module below svref: ("golden", "vectors"); () for the root."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {parts_of(file): file for file in FILES}


def imports_of(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the modules of svref that a file imports anywhere, also where only a type checker sees it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "svref":
            module = tuple((node.module or "").split(".")[1:])
            for alias in node.names:
                yield (*module, alias.name) if (*module, alias.name) in MODULES else module


def wrong_imports(layers: Layers, folder: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a line for each import that does not run from a later line of `layers` to an earlier one."""
    depth = len(folder)
    level = {room: i for i, line in enumerate(layers) for room in line}
    for parts, file in MODULES.items():
        if parts[:depth] == folder and len(parts) > depth and parts[depth] in level:
            for other in imports_of(file):
                inside = other[:depth] == folder and len(other) > depth and other[depth] != parts[depth]
                if inside and level.get(other[depth], len(layers)) >= level[parts[depth]]:
                    yield f"{file.relative_to(ROOT)} imports {'.'.join(other)}"


def arrows() -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """Return which modules each module imports."""
    return {parts: {other for other in imports_of(file) if other != parts} for parts, file in MODULES.items()}


def summary_of(parts: tuple[str, ...]) -> str:
    """Return the first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(MODULES[parts].read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=[.?]) ", text.split("\n\n")[0].replace("\n", " "))[0].rstrip(".")


def picture() -> Iterator[str]:
    """Yield a line for each room with its level, the lowest level first; under a folder, the rooms in it likewise."""
    for level, line in enumerate(HOUSE):
        for room in (room for room in line if room != "_version"):
            name = f"{room}/" if (PACKAGE / room).is_dir() else room
            yield f"{level:>2}  {name:<14} {summary_of((room,))}"
            for inner_level, inner_line in enumerate(FOLDERS.get(room, ())):
                for inner in inner_line:
                    yield f"     {inner_level}  {inner:<12} {summary_of((room, inner))}"


def page() -> str:
    """Return the page with the picture as the code is now."""
    text, lines = PAGE.read_text(encoding="utf-8"), "\n".join(picture())
    return re.sub(r"(<!-- house -->\n\n```text\n).+?(\n```)", lambda m: m[1] + lines + m[2], text, flags=re.DOTALL)


def main() -> None:
    """Print the picture, or write it into the page."""
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print("\n".join(picture()))


if __name__ == "__main__":
    main()
