"""The page of a row: the derivation with its numbers, one file, readable without network, script or sight; and a picture."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from in_process import svref_command

import svref
from svref import golden, plots
from svref.explain import page
from svref.explain.formulas import mathml

LOSS = svref.sv_am_softmax(s=4.0, m=0.35, t=1.2)
ROW = np.cos(np.deg2rad([[40, 60, 150]]))
OWN = ("--cosines", "0.5 0.75 -0.25", "--label", "0", "--loss", "sv-am-softmax")
VOID = {"meta", "br", "img", "mspace", "path", "use", "rect"}


class Tree(HTMLParser):
    """The elements of a page, their attributes, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def of(loss: svref.SVXSoftmax, cosines: object, label: int = 0, **options: object) -> tuple[str, Tree]:
    text = page(loss.forward(cosines, [label]), **options)
    return text, Tree(text)


def shown(tree: Tree) -> str:
    return " ".join("".join(tree.words).split())


def test_the_page_is_one_whole_file_with_a_language_a_title_and_headings_in_order() -> None:
    text, tree = of(LOSS, ROW, title=["sv-am-softmax, <row> 0"])
    assert text.startswith("<!DOCTYPE html>")
    assert tree.open == []
    assert tree.all("html") == [{"lang": "en"}]
    assert [name for name, _ in tree.elements if re.fullmatch(r"h\d", name)] == ["h1", "h2", "h2", "h2", "h2"]
    assert "&lt;row&gt;" in text
    assert len(tree.all("title")) == len(tree.all("main")) == 1


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_nothing() -> None:
    step = LOSS.forward(ROW, [0])
    text = page(step, picture=plots.svg(plots.row(step)), alt=plots.alt(step))
    tree = Tree(text)
    assert {"script", "link", "iframe", "object", "img"} & {name for name, _ in tree.elements} == set()
    for _, attributes in tree.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "url(http" not in text
    assert "@import" not in text
    assert [s["aria-label"] for s in tree.all("svg")] == [plots.alt(step)]
    assert [s["role"] for s in tree.all("svg")] == ["img"]


def test_the_numbers_of_the_page_are_those_of_the_step() -> None:
    step = LOSS.forward(ROW, [0])
    gradients = LOSS.backward(step)
    _, tree = of(LOSS, ROW)
    words = shown(tree).replace("−", "-")
    for number in (
        f"= 0.766044 - 0.35 = {step.f[0]:.6g}", f"4 · (1.2 - 1) · (0.5 + 1) · 1 = {step.log_h[0, 1]:.6g}",
        f"4 · (0.5 - 0.416044) + 1.2 = {step.r[0, 1]:.6g}", f"{step.a[0]:.9g}", f"{step.loss[0]:.9g} nats",
        *(f"{x:.6g}" for x in gradients.cosines[0]), f"{gradients.s[0]:.6g}", f"{gradients.t[0]:.6g}",
        f"1 + (1.2 - 1) · 1 = {step.emphasis.slope(step.mask)[0, 1]:.6g}",
        f"({step.probabilities[0, 1]:.6g} · {step.r[0, 1]:.6g} + {step.probabilities[0, 2]:.6g} · ({step.r[0, 2]:.6g})) / 4 = {gradients.s[0]:.6g}",
        f"{step.probabilities[0, 1]:.6g} · 6 + {step.probabilities[0, 2]:.6g} · 0 = {gradients.t[0]:.6g}",
        f"{gradients.margin['m'][0]:.6g}", "number of support vectors: 1 of 2",
    ):  # fmt: skip
        assert number in words, number


def test_the_equations_come_in_the_order_of_the_derivation() -> None:
    text, _ = of(svref.sv_arc_softmax(s=4.0), ROW)
    found = re.findall(r'class="equation">\((\d+)\)', text)
    assert found == ["4", "4", "3", "5", "5", "6", "10", "11", "14", "15", "16", "7", "17", "18", "19", "20", "21"]


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_every_variant_has_a_page_that_is_whole(name: str) -> None:
    case = next(v for v in golden.load() if v.variant == name and v.result != "error" and v.level == "cosine")
    step = case.loss.forward(case.inputs["cosines"], case.labels)
    text = page(step, 0, title=[case.id, case.purpose], parameters=case.parameters)
    tree = Tree(text)
    assert tree.open == []
    assert f"{step.loss[0]:.9g}".replace("-", "−") in shown(tree)
    assert ("20" in re.findall(r"\((\d+)\)", text)) == ("t" in case.parameters)


@pytest.mark.parametrize(
    ("loss", "cosines", "expected"),
    [
        (svref.arc_softmax(s=4.0), [[1.0, 0.5]], "−∞"),
        (LOSS, [[0.5]], "L = 0 nats"),
        (svref.SVXSoftmax(svref.EasyMargin(svref.AdditiveCosine(0.35))), [[-0.5, 0.1]], "of EasyMargin("),
        (svref.SVXSoftmax(svref.AdditiveAngle(0.5, "linear")), [[-0.95, 0.1]], "of AdditiveAngle("),
        (svref.SVXSoftmax(emphasis=svref.SupportVectors(1.2, boundary=svref.AdditiveCosine(0.5))), [[0.5, 0.1]], "β"),
        (svref.mv_am_softmax(s=4.0), ROW, "4 · (1.2 − 1) · 1 = 0.8"),
        (LOSS, [[-0.9, 0.5, 0.25]], "4 · (0.5 − (−1.25)) + 1.2"),
    ],
)
def test_unusual_rows_have_their_page(loss: svref.SVXSoftmax, cosines: object, expected: str) -> None:
    _, tree = of(loss, cosines)
    assert tree.open == []
    assert expected in shown(tree)


def test_tables_have_headers_of_columns_and_rows_and_can_be_scrolled_by_keyboard() -> None:
    text, tree = of(LOSS, ROW)
    assert "<math" not in "".join(re.findall(r"<th .*?</th>", text))  # checkers of pages take such a header for empty
    assert {th.get("scope") for th in tree.all("th")} == {"col", "row"}
    assert len(tree.all("caption")) == len(tree.all("table")) == 2
    assert all(div["tabindex"] == "0" and div["aria-label"] for div in tree.all("div"))


def test_of_many_classes_the_most_probable_are_shown_and_the_rest_counted() -> None:
    _, tree = of(LOSS, np.linspace(-0.9, 0.9, 40)[None], 3)
    assert "30 with a smaller probability are left out" in shown(tree)
    assert "log(e3.12" not in shown(tree)
    assert " + …)" in shown(tree)


def contrast(a: str, b: str) -> float:
    """Return the contrast of two colours such as #1a1a1a by WCAG 2."""

    def luminance(color: str) -> float:
        digits = color.lstrip("#")
        wide = digits if len(digits) == 6 else "".join(2 * d for d in digits)
        parts = np.array([int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_a_contrast_of_seven_to_its_ground_in_light_and_dark_and_print() -> None:
    text, _ = of(LOSS, ROW)
    grounds = re.findall(r":root \{([^}]*)\}", text.split("</style>")[0])
    assert len(grounds) == 3
    for rules in grounds:
        color = dict(re.findall(r"--(\w+): (#\w+)", rules))
        for name in ("ink", "soft", "target", "support", "negative"):
            assert contrast(color[name], color["paper"]) > 7, (name, rules)


def test_a_formula_becomes_mathml() -> None:
    assert mathml("f = c_y - m") == (
        '<math displaystyle="true"><mi>f</mi><mo>=</mo><msub><mi>c</mi><mi>y</mi></msub><mo>−</mo><mi>m</mi></math>'
    )
    assert "<mfrac><mrow><msup><mi>e</mi><mi>a</mi></msup></mrow><mrow><mn>1</mn><mo>+</mo>" in mathml(
        "frac{e^a}{1 + e^a}"
    )
    assert "<mi>log</mi><mspace" in mathml("log h_k")
    assert "<mo>&lt;</mo>" in mathml("a < b")
    assert "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>" in mathml("x_1^2")


def test_a_row_that_is_not_there_has_no_page() -> None:
    with pytest.raises(ValueError, match=r"^row must be from 0 to 0; got 1\.$"):
        page(LOSS.forward(ROW, [0]), 1)


# ---- the command ------------------------------------------------------------------------------------------------


def test_the_command_writes_both_files_and_prints_the_row_too(tmp_path: Path) -> None:
    usual = svref_command("explain", *OWN).stdout
    result = svref_command("explain", *OWN, "--plot", tmp_path / "row.svg", "--html", tmp_path / "row.html")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{usual}\nwritten to {tmp_path / 'row.svg'}\nwritten to {tmp_path / 'row.html'}\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["row.html", "row.svg"]
    tree = Tree((tmp_path / "row.html").read_text(encoding="utf-8"))
    assert "support vectors: class 1; the loss is" in tree.all("svg")[0]["aria-label"]
    assert "sv-am-softmax, --cosines" in shown(tree)
    assert (tmp_path / "row.svg").read_bytes().startswith(b"<?xml")


def test_a_case_that_ships_is_drawn_too(tmp_path: Path) -> None:
    assert svref_command("explain", "--row", "1", "--plot", tmp_path / "a.png").returncode == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("option", "file", "message"),
    [
        ("--plot", "a.jpeg", "a figure is a file that ends in .png, .svg, .pdf; got a.jpeg."),
        ("--plot", "no/a.png", "a figure needs a file in an existing folder; got no/a.png"),
        ("--html", "a.txt", "a page is a file that ends in .html or .htm; got a.txt."),
        ("--html", "no/a.html", "a page needs a file in an existing folder; got no/a.html"),
    ],
)
def test_what_is_no_place_for_a_file_is_refused_before_any_work(
    option: str, file: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = svref_command("explain", "no-such-case", option, file)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"svref: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept_if_the_row_cannot_be_explained(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("old", encoding="utf-8")
    assert svref_command("explain", *OWN, "--row", "3", "--html", tmp_path / "a.html").returncode == 2
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "old"


def test_without_matplotlib_the_command_says_which_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("svref.plots")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for option, file in (("--plot", "a.svg"), ("--html", "a.html")):
        result = svref_command("explain", *OWN, option, tmp_path / file)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == "svref: svref.plots needs matplotlib: pip install 'svref[plot]'\n"
    assert svref_command("explain", *OWN).returncode == 0


def test_the_files_that_the_page_names_are_written_by_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parent.parent / "docs" / "how-to" / "explain.md").read_text(encoding="utf-8")
    commands = re.findall(r"```text\nsvref (explain [^\n]*--(?:plot|html)[^\n]*)\n", text)
    assert commands
    monkeypatch.chdir(tmp_path)
    for command in commands:
        result = svref_command(*shlex.split(command))
        assert (result.returncode, result.stderr) == (0, "")
    assert {file.suffix for file in tmp_path.iterdir()} == {".svg", ".html"}
