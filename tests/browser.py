"""Headless Chromium for tests: a page opened, its size and theme set, its inputs moved, and what went wrong collected.

Playwright drives it: its wheel on PyPI holds all that it needs but the browser, which is Debian's.

    with started() as browser:
        page = browser.open(path, width=390, theme="dark")
        page.evaluate("1 + 1")
        page.drag((100, 100), (200, 150))
        page.screenshot("page.png")
        assert not page.errors and not page.requests

`page.page` is Playwright's own page, for what is not here: https://playwright.dev/python/docs/api/class-page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

CHROMIUM = Path(os.environ.get("SVREF_CHROMIUM", "/usr/bin/chromium"))
MISSING = "Playwright or Chromium is not installed"  # its remedy stands in tests/conftest.py
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--allow-file-access-from-files")

Point = tuple[float, float]
Theme = Literal["light", "dark"]


def required() -> Any:
    """Return Playwright, or a counted skip; SVREF_REQUIRE_SITE=1 makes its absence, or Chromium's, a failure."""
    try:
        from playwright import sync_api
    except ImportError:
        sync_api = None
    if sync_api is not None and CHROMIUM.exists():
        return sync_api
    if os.environ.get("SVREF_REQUIRE_SITE") == "1":
        raise RuntimeError(f"{MISSING}: pip install playwright, apt-get install chromium.")
    pytest.skip(MISSING)


@contextmanager
def started() -> Iterator[Browser]:
    """Start Chromium, and end it with the block: about a second."""
    with required().sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(OPTIONS))
        try:
            yield Browser(chromium)
        finally:
            chromium.close()


@dataclass
class Browser:
    """A running Chromium; each page that it opens has storage and a history of its own."""

    chromium: Any

    def open(
        self,
        address: str | Path,
        *,
        width: int = 1280,
        height: int = 900,
        theme: Theme = "light",
        javascript: bool = True,
        touch: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> Tab:
        """Open a file or an address and wait until it is loaded.

        `settings` are further ones of Playwright's new_context, such as reduced_motion or forced_colors.
        """
        context = self.chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, java_script_enabled=javascript,
            has_touch=touch, **(settings or {}),
        )  # fmt: skip
        context.set_default_timeout(10_000)
        tab = Tab(context.new_page())
        tab.page.goto(address.resolve().as_uri() if isinstance(address, Path) else address)
        return tab


@dataclass
class Tab:
    """One page, and what went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list)  # of the console, warnings too, and exceptions nobody caught
    requests: list[str] = field(default_factory=list)  # all addresses asked for but files and data: the network

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:")):
            self.requests.append(request.url)

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Return what a JavaScript expression, or a function called with `argument`, gives; promises are awaited."""
        return self.page.evaluate(script, argument)

    def text(self, selector: str) -> str:
        """Return the text of the first element that a CSS selector finds, as it is seen."""
        return str(self.page.inner_text(selector))

    def centre(self, selector: str) -> Point:
        """Return the middle of an element in pixels of the window; the element is scrolled into sight first."""
        element = self.page.locator(selector).first
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def press(self, *keys: str, on: str | None = None) -> None:
        """Press keys, such as Tab or ArrowRight, on the element that has the focus, or focus one first."""
        if on is not None:
            self.page.focus(on)
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, start: Point, end: Point, steps: int = 5) -> None:
        """Drag the mouse with its left button from one point of the window to another."""
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=steps)
        mouse.up()

    def touch_drag(self, start: Point, end: Point, steps: int = 5) -> None:
        """Drag a finger from one point of the window to another; the page must be opened with touch=True."""
        session = self.page.context.new_cdp_session(self.page)
        path = [tuple(a + (b - a) * i / steps for a, b in zip(start, end, strict=True)) for i in range(steps + 1)]
        for i, (x, y) in enumerate(path):
            kind = "touchMove" if i else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the window in pixels."""
        self.page.set_viewport_size({"width": width, "height": height})

    def theme(self, theme: Theme) -> None:
        """Set the colour scheme that the reader prefers."""
        self.page.emulate_media(color_scheme=theme)

    def screenshot(self, path: str | Path, *, whole: bool = True) -> None:
        """Write the page, or only what is in sight, as PNG."""
        self.page.screenshot(path=str(path), full_page=whole)

    def close(self) -> None:
        """Close the page with its storage."""
        self.page.context.close()
