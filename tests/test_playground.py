"""The page to play with, docs/playground: opened in Chromium, judged by the golden vectors, and played with.

python tests/test_playground.py --write    measures the verdict and draws the picture that the page shows, in Chromium
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import shlex
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, Tab, started
from in_process import svref_command

import svref
from svref.reference import backward

ROOT = Path(__file__).parent.parent
CORE = ROOT / "svref" / "golden" / "vectors" / "core"
VARIANTS = sorted(folder.name for folder in (CORE / "groups").iterdir())
sys.path.insert(0, str(ROOT / "docs" / "playground"))
import assemble  # noqa: E402

pytestmark = pytest.mark.site
Counts = dict[str, dict[str, float]]

# what is wrong: what the page's script says, and what the mutant says instead
MUTANTS = {
    "a tie is a support vector": ("c_k > f); // (5)", "c_k >= f); // (5)"),
    "the sign of the target's gradient is wrong": ("-s * g * q * df", "s * g * q * df"),
    "t - 1 is taken for t": ("slope = (k) => (form === \"adaptive\" ? 1 + (t - 1)", "slope = (k) => (form === \"adaptive\" ? 1 + (t - 2)"),
    "log h has t where t - 1 belongs": ("s * (t - 1) * growth[k]", "s * t * growth[k]"),
    "the mask compares with the plain cosine": ("c_k > f); // (5)", "c_k > c[y]); // (5)"),
}  # fmt: skip

# states of the page that are one of svref's losses by name, and others that only its parts make
STATES = (
    "",
    "s=64&w=3,90,150,-100",
    "m=0.5&w=0,60,150,-80",
    "margin=arc&w=0,60,150,-80",
    "margin=arc&w=180,60,150,-80&m=0",
    "margin=a&m=3&s=30&w=100,60,150,-80&label=2",
    "margin=combined&m1=1.35&m2=0.25&m3=0.1&t=1&x=17",
    "margin=none&s=1000&t=2.5&w=170,3,-9,55",
    "margin=arc&form=fixed&w=165,60,120,-80",
    "form=fixed&m=0.1015625&w=-60,60,90,-80",
    "margin=arc&tail=linear&w=165,60,120,-80",
    "margin=arc&tail=reflect&form=fixed&w=180,60,120,-80",
    "easy=true&w=100,60,120,-80",
    "margin=a&easy=true&straight=true&m=2",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("playground") / "playground.html"
    assert assemble.main([str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def judge(browser: Browser, file: Path) -> Tab:
    """Return a page that no test plays with."""
    return browser.open(file)


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Tab]:
    tab = browser.open(file, touch=True)
    yield tab
    assert (tab.errors, tab.requests) == ([], [])
    tab.close()


@cache
def page_text() -> str:
    return assemble.assemble()


def groups(variant: str) -> list[str]:
    return [file.read_text(encoding="utf-8") for file in sorted((CORE / "groups" / variant).glob("*.json"))]


def verdict(tab: Tab, variant: str) -> tuple[int, Counts]:
    """Return how many cases of a variant are unsupported, and the counts of each output over its groups."""
    unsupported, total = 0, {}
    for counts in tab.evaluate("texts => texts.map((text) => window.svref.check(JSON.parse(text)))", groups(variant)):
        unsupported += counts.pop("unsupported")
        for output, count in counts.items():
            so_far = total.setdefault(output, dict.fromkeys(count, 0))
            for key, value in count.items():
                so_far[key] = max(so_far[key], value) if key == "worst" else so_far[key] + value
    return unsupported, total


def measured(tab: Tab) -> dict[str, Any]:
    """Return what stands in docs/playground/verdict.json; the worst error is rounded up to two digits."""
    rows = {}
    for variant in VARIANTS:
        counts = verdict(tab, variant)[1].values()
        row = {key: sum(count[key] for count in counts) for key in ("passed", "failed", "vacuous", "policy")}
        rows[variant] = {**row, "worst": math.ceil(100 * max(count["worst"] for count in counts)) / 100}
    return {"version": json.loads((CORE / "manifest.json").read_bytes())["version"], "variants": rows}


# ---- the page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_opens_without_errors_and_asks_the_network_for_nothing(
    browser: Browser, file: Path, width: int, theme: Any
) -> None:
    tab = browser.open(file, width=width, theme=theme)
    assert tab.text("h1") == "Play with SV-X-Softmax"
    assert tab.evaluate("document.querySelectorAll('.handle').length") == 5
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (tab.errors, tab.requests) == ([], [])
    tab.close()


def test_without_javascript_the_page_shows_its_picture_and_the_numbers_of_the_example(
    browser: Browser, file: Path
) -> None:
    tab = browser.open(file, javascript=False)
    assert "needs JavaScript to be played with" in tab.text("noscript")
    assert tab.page.locator("#scene .mark").count() == 5
    assert tab.text("#explained") == assemble.explained()
    assert not tab.page.locator(".controls").is_visible()
    tab.close()


def test_the_static_picture_is_the_one_the_page_draws(page: Tab) -> None:
    assert assemble.PICTURE.read_text(encoding="utf-8") == assemble.drawn(static(page))


def static(tab: Tab) -> str:
    """Return what the page draws of the running example, without what makes it a control."""
    return str(
        tab.evaluate("""() => {
        const copy = document.getElementById("scene").cloneNode(true);
        for (const handle of copy.querySelectorAll(".handle")) {
            const place = handle.getAttribute("transform");
            for (const { name } of [...handle.attributes]) handle.removeAttribute(name);
            handle.setAttribute("transform", place);
            handle.querySelectorAll(".hit, .ring").forEach((circle) => circle.remove());
        }
        const groups = ["#behind", "#handles"].map((id) => copy.querySelector(id).outerHTML);
        return groups.join("").replaceAll("><", ">\\n<");
    }""")
    )


# ---- its loss, judged --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_case_of_cosines_is_right_and_only_heads_are_unsupported(judge: Tab, variant: str) -> None:
    unsupported, counts = verdict(judge, variant)
    cases = [case for text in groups(variant) for case in json.loads(text)["cases"]]
    heads = sum(case["level"] == "head" for case in cases)
    assert unsupported == heads
    assert {output: count["failed"] for output, count in counts.items()} == dict.fromkeys(counts, 0)
    rows = sum(
        len(case["expected"]["mask"]) for case in cases if case["level"] == "cosine" and case["result"] != "error"
    )
    assert sum(counts["loss"][key] for key in ("passed", "failed", "vacuous")) == rows
    assert counts["error"]["passed"] == sum(case["result"] == "error" for case in cases)
    assert counts["grad_cosines"]["passed"] > 400


def test_the_figures_of_its_error_on_the_page_are_those_measured_here(judge: Tab) -> None:
    said, now = json.loads(assemble.VERDICT.read_text(encoding="utf-8")), measured(judge)
    for variant, row in now["variants"].items():
        worst, stated = row.pop("worst"), said["variants"][variant].pop("worst")
        assert stated / 2 <= worst <= stated, variant  # another Chromium may have another exponential
    assert said == now


def test_a_reader_judges_the_page_by_files_of_a_pack_and_learns_of_a_file_that_is_none(page: Tab) -> None:
    files = [CORE / "groups" / "sv-arc-softmax" / "pole.json", CORE / "manifest.json"]
    page.page.set_input_files("#groups", [str(file) for file in files])
    page.page.wait_for_function("document.getElementById('verdict-own').textContent.includes('\\n')")
    first, second = page.text("#verdict-own").splitlines()
    assert first.startswith("sv-arc-softmax pole: ")
    assert " 0 failed, " in first
    assert second.startswith("manifest.json is no group file of a pack: ")


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_the_loss_fails(browser: Browser, tmp_path: Path, mutant: str) -> None:
    said, says = MUTANTS[mutant]
    assert page_text().count(said) == 1
    (tmp_path / "mutant.html").write_text(page_text().replace(said, says), encoding="utf-8")
    tab = browser.open(tmp_path / "mutant.html")
    counts = verdict(tab, "sv-am-softmax")[1]
    assert sum(count["failed"] for count in counts.values()) > 0
    tab.close()


def test_random_rows_of_every_margin_tail_and_form_agree_with_svref(judge: Tab) -> None:
    rng = np.random.default_rng(17)
    for changes, loss in LOSSES:
        for cosines in rng.uniform(-1, 1, (5, 4)):
            answer = judge.evaluate("([p, c]) => window.svref.row(p, c, 1)", [changes, cosines.tolist()])
            step = loss.forward(cosines[None], [1])
            gradients, got = backward(step, np.ones(1)), answer["gradients"]
            expected = {"f": step.f[0], "a": step.a[0], "loss": step.loss[0]}
            for name, value in expected.items():
                assert math.isclose(answer["step"][name], value, rel_tol=1e-13, abs_tol=1e-13), (changes, name)
            assert answer["step"]["mask"] == step.mask[0].tolist()
            np.testing.assert_allclose(got["cosines"], gradients.cosines[0], rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose([got["s"], got["t"]], [gradients.s[0], gradients.t[0]], rtol=1e-12, atol=1e-14)
            assert got["margin"].keys() == gradients.margin.keys()
            for name, d in gradients.margin.items():
                assert math.isclose(got["margin"][name], d[0], rel_tol=1e-12, abs_tol=1e-14), (changes, name)


def _losses() -> Iterator[tuple[dict[str, Any], svref.SVXSoftmax]]:
    margins: list[tuple[dict[str, Any], Any]] = [
        ({"margin": "none"}, svref.NoMargin()),
        ({"margin": "am", "m": 0.35}, svref.AdditiveCosine(0.35)),
        ({"margin": "a", "m": 4}, svref.MultiplicativeAngle(4)),
        ({"margin": "combined", "m1": 1.3, "m2": 0.3, "m3": 0.2}, svref.Combined(1.3, 0.3, 0.2)),
    ]
    margins += [
        ({"margin": "arc", "m": 1.5, "tail": tail}, svref.AdditiveAngle(1.5, tail)) for tail in svref.margins.TAILS
    ]
    for changes, margin in margins:
        yield changes | {"s": 8, "t": 1.3}, svref.SVXSoftmax(margin, svref.SupportVectors(1.3), s=8)
        fixed = svref.SupportVectors(1.3, form="fixed")
        yield changes | {"s": 8, "t": 1.3, "form": "fixed"}, svref.SVXSoftmax(margin, fixed, s=8)
        easy = svref.StraightThrough(svref.EasyMargin(margin))
        yield changes | {"s": 8, "t": 1, "easy": True, "straight": True}, svref.SVXSoftmax(easy, s=8)


LOSSES = tuple(_losses())


# ---- what it prints ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_the_numbers_are_those_that_svref_explain_prints(judge: Tab, state: str) -> None:
    follow(judge, state)
    assert judge.text("#explained") == printed_by(judge.text("#command"))
    assert judge.errors == []


def follow(tab: Tab, fragment: str) -> None:
    """Go to the state of a link, on a page that is open, and wait until it is drawn."""
    tab.evaluate("fragment => { location.hash = fragment; }", fragment)
    tab.evaluate(
        "() => new Promise((drawn) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(drawn))))"
    )


def printed_by(command: str) -> str:
    """Return what a command, or a few lines of Python, prints."""
    if command.startswith("svref "):
        return svref_command(*shlex.split(command.replace("\\\n", " "))[1:]).stdout
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(command, {})  # noqa: S102 the page's own words
    return out.getvalue()


@pytest.mark.parametrize(
    "value", [0.1015625, 0.10156255, 1e-5, 123456.5, 1234567.0, 1e300, -0.0, 99999.95, 0.0001, 2.5e-310]
)
def test_numbers_are_written_as_python_writes_them(judge: Tab, value: float) -> None:
    for digits in (5, 6, 9):
        assert judge.evaluate("([v, n]) => window.svref.general(v, n)", [value, digits]) == f"{value:.{digits}g}"


# ---- played with -------------------------------------------------------------------------------------------------


def angle_of(tab: Tab, which: str) -> float:
    return float(tab.page.get_attribute(f"#handle-{which}", "aria-valuenow"))


def point_at(tab: Tab, degrees: float) -> tuple[float, float]:
    """Return where an angle lies on the circle, in pixels of the window."""
    found = tab.evaluate(
        """degrees => {
        const a = degrees * Math.PI / 180, matrix = document.getElementById("scene").getScreenCTM();
        const { x, y } = new DOMPoint(100 * Math.cos(a), -100 * Math.sin(a)).matrixTransform(matrix);
        return [x, y];
    }""",
        degrees,
    )
    return float(found[0]), float(found[1])


def cell(tab: Tab, row: int, column: int) -> str:
    return tab.text(f"#classes tr:nth-child({row + 1}) > :nth-child({column + 1})")


def settled(tab: Tab, words: str) -> None:
    """Wait until the sentence below the circle, which is read aloud, says these words."""
    tab.page.wait_for_function("words => document.getElementById('summary').textContent.includes(words)", arg=words)


@pytest.mark.parametrize("by", ["mouse", "finger"])
def test_a_class_that_is_dragged_over_the_boundary_becomes_a_support_vector(page: Tab, by: str) -> None:
    assert (cell(page, 3, 2), cell(page, 3, 3)) == ("0.17365", "0")
    page.page.locator("#scene").scroll_into_view_if_needed()
    drag = page.drag if by == "mouse" else page.touch_drag
    drag(point_at(page, -80), point_at(page, -30))
    settled(page, "Class 3 at −30°: cosine 0.866, a support vector. f = 0.416, 2 of 3 negatives above it")
    assert angle_of(page, "3") == -30
    assert (cell(page, 3, 2), cell(page, 3, 3)) == ("0.86603", "1")
    step = svref.sv_am_softmax(s=4.0, m=0.35, t=1.2).forward(np.cos(np.deg2rad([[40, 60, 150, -30]])), [0])
    assert page.text("#number-L") == f"{step.loss[0]:.6g}"


def test_the_embedding_is_dragged_too(page: Tab) -> None:
    page.page.locator("#scene").scroll_into_view_if_needed()
    page.drag(page.centre("#handle-x .mark"), point_at(page, 40))
    settled(page, "Embedding at 40°")
    assert (cell(page, 0, 1), cell(page, 0, 2)) == ("0°", "1")


def test_keys_turn_the_class_that_has_the_focus(page: Tab) -> None:
    page.press("ArrowRight", "ArrowUp", "ArrowLeft", on="#handle-1")
    settled(page, "Class 1 at 61°")
    page.press("Shift+ArrowRight", "PageUp", "PageDown")
    settled(page, "Class 1 at 71°: cosine 0.326, no support vector")
    page.press("End", "ArrowRight")
    settled(page, "Class 1 at −179°")
    assert page.page.get_attribute("#handle-1", "aria-valuetext") == "-179 degrees, cosine -1, negative"


def test_every_control_is_reached_by_tab_and_is_named(page: Tab) -> None:
    names = page.evaluate("""() => [...document.querySelectorAll("button, input, select, .handle")].filter((e) =>
        !(e.labels?.length || e.ariaLabel || e.getAttribute("aria-labelledby") || e.textContent.trim())).map((e) => e.id)""")
    assert names == []
    page.press("Tab", on="#reset")
    assert page.evaluate("document.activeElement.id") == "handle-0"


def test_a_tie_is_no_support_vector_and_one_step_closer_the_loss_jumps(page: Tab) -> None:
    page.page.click("#preset-tie")
    settled(page, "Class 1 at 60°: cosine 0.5, no support vector. f = 0.5")
    page.press("ArrowLeft", on="#handle-1")
    settled(page, "Class 1 at 59°: cosine 0.515, a support vector")
    assert "jump 0.703 at 60°" in page.page.text_content("#plot")


def test_a_converged_row_keeps_its_loss_and_the_textbook_loses_it(page: Tab) -> None:
    page.page.click("#preset-converged")
    settled(page, "Class 1 at 90°")
    assert 0 < float(page.text("#number-L").replace("−", "-")) < 1e-17
    assert page.text("#number-textbook") == "0"


def test_at_a_pole_the_slope_by_the_cosine_is_infinite_and_by_the_angle_finite(page: Tab) -> None:
    for preset, slope in (("pole", "∞"), ("opposite", "−∞")):
        page.page.click(f"#preset-{preset}")
        page.page.wait_for_function("text => document.getElementById('number-slope').textContent === text", arg=slope)
        assert page.text("#number-slope-angle") in ("−0.479426", "0.479426")


def test_a_parameter_out_of_range_is_named_and_the_last_valid_one_holds(page: Tab) -> None:
    page.page.fill("#t", "0.2")
    assert page.text("#fault") == "t must be at least 1 (t = 1 is off); got 0.2. The last valid value holds."
    assert "t = 1.2" in page.text("#explained")
    page.page.fill("#t", "2")
    assert page.page.inner_text("#fault") == ""
    page.page.wait_for_function("document.getElementById('explained').textContent.includes('t = 2;')")


# ---- the link ----------------------------------------------------------------------------------------------------


def test_the_link_restores_the_state_and_reset_forgets_it(browser: Browser, page: Tab) -> None:
    page.page.select_option("#margin", "arc")
    page.page.select_option("#tail", "linear")
    page.page.fill("#s", "12.5")
    page.press("Shift+ArrowUp", on="#handle-2")
    page.page.check("#label-3")
    settled(page, "Class 2 at 160°")
    link = page.page.input_value("#link")
    assert link.endswith("#margin=arc&tail=linear&s=12.5&label=3&w=40,60,160,-80&moved=2")
    again = browser.open(link)
    assert again.text("#explained") == page.text("#explained")
    assert again.page.input_value("#tail") == "linear"
    again.close()
    page.page.click("#reset")
    settled(page, "Class 1 at 60°: cosine 0.5, a support vector")
    assert page.text("#explained") == assemble.explained()
    assert "#" not in page.page.url


@pytest.mark.parametrize(
    "fragment", ["margin=none&t=0.2&s=-1", "w=1,2", "label=7&x=north&tail=x", "%%%&=&s", "m=NaN&w=,,,"]
)
def test_a_broken_link_opens_the_running_example(judge: Tab, fragment: str) -> None:
    follow(judge, fragment)
    assert "s = 4" in judge.text("#explained")
    assert "t = 1.2" in judge.text("#explained")
    assert "cosines  [0.766044, 0.5, -0.866025, 0.173648]" in judge.text("#explained")
    assert judge.errors == []


def write() -> None:
    """Measure the verdict and draw the picture."""
    with tempfile.TemporaryDirectory() as folder, started() as chromium:
        path = Path(folder) / "playground.html"
        assemble.main([str(path)])
        tab = chromium.open(path)
        assemble.VERDICT.write_text(json.dumps(measured(tab), indent=1) + "\n", encoding="utf-8")
        assemble.PICTURE.parent.mkdir(exist_ok=True)
        assemble.PICTURE.write_text(assemble.drawn(static(tab)), encoding="utf-8")


if __name__ == "__main__" and sys.argv[1:2] == ["--write"]:
    write()
