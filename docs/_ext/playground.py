"""The page to play with: put together by docs/playground/assemble.py, and written beside the other pages."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ASSEMBLE = Path(__file__).parents[1] / "playground" / "assemble.py"


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write OUT/playground.html."""
    if exception is not None or app.builder.format != "html":
        return
    spec = importlib.util.spec_from_file_location("assemble", ASSEMBLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    place = Path(app.outdir) / "playground.html"
    place.with_suffix(".new").write_text(module.assemble(), encoding="utf-8")
    os.replace(place.with_suffix(".new"), place)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
