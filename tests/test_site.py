"""The site: it builds without a warning, leads nowhere wrong, loads nothing from a network, and everybody can read it.

The tests of this file carry the marker `site`. They need Sphinx and the theme, which the extra `docs` has, Node.js for
the formulas, and some of them Chromium with Playwright, which the extra `site` has.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from browser import Browser, Tab, started

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
AXE = (
    "axe-core",
    "4.14.1",
    "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5")  # fmt: skip
PLAYGROUND = "playground.html"  # a page of its own, with tests of its own: tests/test_playground.py
PHONE, WIDE = 360, 1280  # pixels

pytestmark = pytest.mark.site


# ---- the site, built once --------------------------------------------------------------------------------------------


def sphinx(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run sphinx-build, or skip where it is not installed."""
    if importlib.util.find_spec("sphinx") is None or importlib.util.find_spec("furo") is None:
        if os.environ.get("SVREF_REQUIRE_SITE") == "1":
            raise RuntimeError("Sphinx is not installed: pip install 'svref[docs]'.")
        pytest.skip("Sphinx is not installed")
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", *map(str, arguments)],
        capture_output=True, encoding="utf-8", check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `sphinx-build -W -b html docs OUT` does; side by side, the first process builds for all."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if os.environ.get("PYTEST_XDIST_WORKER") else place) / "site"
    done = place / "done"
    try:
        place.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 300
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
    else:
        built = sphinx("-W", "--keep-going", DOCS, place / "out")
        done.write_text(built.stderr, encoding="utf-8")
    assert done.read_text(encoding="utf-8") == "", "the build warns"
    return place / "out"


@dataclass
class Page(HTMLParser):
    """What the tests look for in a page."""

    path: Path
    language: str = ""
    title: str = ""
    headings: int = 0
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    images: list[dict[str, str | None]] = field(default_factory=list)
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        here = dict(attributes)
        self.inside = tag
        self.anchors |= {value for name in ("id", "name") if (value := here.get(name))}
        self.headings += tag == "h1"
        if tag == "html":
            self.language = here.get("lang") or ""
        if tag == "a" and here.get("href"):
            self.links.append(here["href"] or "")
        if tag == "img":
            self.images.append(here)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and here.get("src"):
            self.loaded.append(here["src"] or "")
        if tag == "link" and here.get("rel") not in ("canonical", "index", "search", "next", "prev", "author"):
            self.loaded.append(here.get("href") or "")

    def handle_data(self, data: str) -> None:
        if self.inside == "title":
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


@cache
def page(path: Path) -> Page:
    return Page(path)


def pages(site: Path) -> list[Page]:
    return [page(path) for path in sorted(site.rglob("*.html")) if path.name != PLAYGROUND]


# ---- what is built ---------------------------------------------------------------------------------------------------


def test_the_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert sources - {path.relative_to(site) for path in site.rglob("*.html")} == set()


def test_every_link_and_every_anchor_inside_the_site_leads_somewhere(site: Path) -> None:
    wrong = [
        f"{one.path.relative_to(site)}: {link}" for one in pages(site) for link in one.links if not leads(one, link)
    ]
    assert wrong == []


def leads(one: Page, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme in ("http", "https", "mailto")  # other sites are not asked
    target = (one.path.parent / unquote(parts.path)).resolve() if parts.path else one.path
    anchor = unquote(parts.fragment)
    if target.suffix != ".html" or target.name == PLAYGROUND:
        return target.is_file()
    return target.is_file() and (anchor in ("", *page(target).anchors))


def test_no_page_loads_anything_from_a_network(site: Path) -> None:
    for one in pages(site):
        for address in one.loaded:
            assert not urlsplit(address).netloc, f"{one.path}: {address}"
            assert (one.path.parent / unquote(urlsplit(address).path)).is_file(), f"{one.path}: {address}"
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        for address in re.findall(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""", text):
            assert urlsplit(address).scheme in ("", "data"), f"{style}: {address}"
            assert urlsplit(address).scheme or (style.parent / urlsplit(address).path).is_file(), f"{style}: {address}"


def test_formulas_are_typeset_without_javascript_and_each_equation_has_its_anchor(site: Path) -> None:
    for source in DOCS.rglob("*.md"):
        tags = re.findall(r"\\tag\{(\w+)\}", source.read_text(encoding="utf-8"))
        shown = site / source.relative_to(DOCS).with_suffix(".html")
        assert {f"equation-{tag}" for tag in tags} <= page(shown).anchors, source
    for one in pages(site):
        text = re.sub(r"<pre.*?</pre>|<code.*?</code>", "", one.path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "$$" not in text, one.path
        assert "katex-error" not in text, one.path
    assert (site / "explanation" / "derivation.html").read_text(encoding="utf-8").count("<math") > 300


def test_every_page_has_a_language_a_title_one_heading_and_texts_for_its_pictures(site: Path) -> None:
    for one in pages(site):
        assert one.language == "en", one.path
        assert len(one.title.strip()) > 3, one.path
        assert one.headings == 1, one.path
        for image in one.images:
            assert len(image.get("alt") or "") > 20, f"{one.path}: {image}"


def test_the_search_knows_every_page(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for source in DOCS.rglob("*.md"):
        assert f'"{source.relative_to(DOCS).with_suffix("").as_posix()}"' in index, source


def test_a_link_to_a_line_of_the_repository_leads_to_that_line_inside_the_site(site: Path) -> None:
    entry = (site / "reference" / "api-reference.html").read_text(encoding="utf-8")
    file, line = re.findall(r'href="\.\./source/(svref/reference\.py)\.html#(L\d+)"', entry)[0]
    assert line in page(site / "source" / f"{file}.html").anchors
    number = int(line[1:])
    assert (ROOT / file).read_text(encoding="utf-8").splitlines()[number - 1].startswith(("class ", "def ", "@"))


# ---- what does not pass ----------------------------------------------------------------------------------------------

BROKEN = {
    "# A page\n\n[nowhere](nowhere.md)": "nowhere.md",
    "# A page\n\n$\\nosuchcommand$": "a formula is wrong",
    "# A page\n\nSee equation 4711.": "equation 4711 is cited and does not exist",
    "# A page\n\n[here](ROOT/svref/_version.py#L99)": "lines, and a link leads to L99",
    "# A page": "the public name svref.sv_am_softmax is on no page",
}


@pytest.fixture(scope="session")
def warnings_of_a_broken_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what a site says that is wrong in every way."""
    place = tmp_path_factory.mktemp("broken")
    links = "\n".join(f"- [page](page{n}.md)" for n in range(len(BROKEN)))
    (place / "index.md").write_text(f"# Index\n\n{links}\n", encoding="utf-8")
    for n, text in enumerate(BROKEN):
        (place / f"page{n}.md").write_text(text.replace("ROOT", os.path.relpath(ROOT, place)), encoding="utf-8")
    return sphinx("-c", DOCS, place, place / "out").stderr


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_on_a_page_is_a_warning(warnings_of_a_broken_page: str, text: str) -> None:
    assert BROKEN[text] in warnings_of_a_broken_page


def test_without_node_the_build_says_what_to_install(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    npm = importlib.import_module("_ext.npm")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        SystemExit, match=r"Typesetting the formulas needs Node\.js, and node is not on the PATH: apt-get"
    ):
        npm.program("node", "Typesetting the formulas")


def test_a_public_name_without_documentation_is_a_warning(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    api = importlib.import_module("_ext.api")

    def bare() -> None:
        pass

    monkeypatch.setattr(api, "public_names", lambda: iter([("svref.bare", bare)]))
    assert list(api.wrong({"svref.bare"})) == ["the public name svref.bare has no documentation"]


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as one:
        yield one


@pytest.fixture(scope="module")
def axe(site: Path) -> str:
    """Return the program axe-core, from the same cache as the formulas' typesetter."""
    sys.path.insert(0, str(DOCS))
    try:
        return (importlib.import_module("_ext.npm").package(*AXE) / "axe.min.js").read_text(encoding="utf-8")
    finally:
        sys.path.remove(str(DOCS))


WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What is drawn of a formula is hidden from screen readers, which read its MathML. Of a kind of words, links, lines or
# rows the first six are as good as all: axe takes a second for two thousand elements.
PRUNE = """() => {
  document.querySelectorAll('.katex-html, tbody tr:nth-child(n + 7), .line:nth-child(n + 41), nav li:nth-child(n + 7), aside li:nth-child(n + 7)')
    .forEach(e => e.remove());
  document.querySelectorAll('math').forEach(e => { e.textContent = e.textContent; });
  const seen = {};
  document.querySelectorAll('article :is(p, li, a, code, span, em, strong, math):not([id], :is(th, h1, h2, h3, h4, dt, a, button) *)').forEach(e => {
    const kind = [e, e.parentElement].map(one => one && `${one.tagName}.${one.className}`).join();
    seen[kind] = (seen[kind] ?? 0) + 1;
    if (seen[kind] > 6) e.remove(); });
}"""
ASK = """rules => axe.run({resultTypes: ['violations'], preload: false, ...(rules && {runOnly: rules})}).then(r => r.violations.map(
             v => `${v.id}: ${v.nodes.length} x ${v.nodes[0].html.slice(0, 200)}`))"""
OF_COLOUR_AND_WIDTH = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]


def test_axe_finds_nothing_in_light_and_dark_and_nothing_is_wider_than_a_phone(
    site: Path, browser: Browser, axe: str
) -> None:
    tab = browser.open(site / "index.html")
    pages = different(site)
    found = [
        (path.relative_to(site), line)
        for i, path in enumerate(pages)
        for line in problems(tab, path, axe, in_dark=i % 3 == 0 or path.stem in ("index", "playground"))
    ]
    assert found == []
    assert tab.requests == []
    assert tab.errors == []


def different(site: Path) -> list[Path]:
    """Return all pages but those of sources, which are all made alike; and one source of each language."""
    paths = sorted(site.rglob("*.html"))
    sources = {path.suffixes[-2]: path for path in paths if site / "source" in path.parents}
    return [path for path in paths if site / "source" not in path.parents] + list(sources.values())


def problems(tab: Tab, path: Path, axe: str, in_dark: bool) -> Iterator[str]:
    """Yield what is wrong with a page: narrow, then wide in light; of every third page also the colours in dark.

    The colours of all pages are the same variables; a page in dark costs a second.
    """
    tab.theme("dark")
    tab.resize(PHONE)
    tab.page.goto(path.as_uri())
    if tab.evaluate(WIDER) > 0:
        yield f"wider than {PHONE} pixels by {tab.evaluate(WIDER)}"
    tab.evaluate(PRUNE)
    tab.evaluate(f"{axe}; 0")
    if in_dark:
        yield from (f"dark: {line}" for line in tab.evaluate(ASK, OF_COLOUR_AND_WIDTH))
    tab.theme("light")
    tab.resize(WIDE)
    if tab.evaluate(WIDER) > 0:
        yield f"wider than {WIDE} pixels by {tab.evaluate(WIDER)}"
    yield from (f"light: {line}" for line in tab.evaluate(ASK))


def test_the_search_finds_a_page(site: Path, browser: Browser) -> None:
    tab = browser.open(f"{(site / 'search.html').as_uri()}?q=tolerance")
    tab.page.wait_for_selector("#search-results li a")
    assert "reference/tolerance.html" in "".join(
        tab.page.eval_on_selector_all("#search-results a", "all => all.map(a => a.href)")
    )


def test_without_javascript_a_page_shows_its_formulas_and_its_pages(site: Path, browser: Browser) -> None:
    tab = browser.open(site / "explanation" / "derivation.html", javascript=False)
    formula: Any = tab.page.locator("#equation-9 .katex-html").bounding_box()
    assert formula["width"] > 100
    assert tab.page.get_by_role("link", name="The derivation").first.is_visible()


def test_the_first_stop_of_the_keyboard_leads_to_the_text(site: Path, browser: Browser) -> None:
    tab = browser.open(site / "reference" / "cli.html")
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('href')") == "#furo-main-content"
