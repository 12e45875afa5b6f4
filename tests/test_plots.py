"""The figures show what svref computes: their numbers, a jump as a jump, and nothing that cannot be read.

Each committed figure is drawn once and held against the numbers in its SVG, against svref.exact, and against what a
reader needs: labels that are inside the figure, large enough, and not on top of each other.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import figures
import numpy as np
import pytest
from figures import CODE, CONVERGED, FIGURES, FOLDER, LOSS, MANY, MEMBERS, ROW, TAILS, kept, numbers_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

import svref
from svref import exact, plots
from svref.deviations.dialects import DIALECTS
from svref.formats import rounded_to
from svref.margins import Angle
from svref.plots.forms import ROUNDINGS, relative, textbook
from svref.plots.grids import FIVE
from svref.plots.planes import ABOVE, _by_negative, _loss, sides
from svref.plots.style import saved

ROOT = FOLDER.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
USE = re.compile(r"!\[([^\]]*)\]\((?:[./\w]*/)?figures/([\w-]+)\.svg\)")
NAMES = list(FIGURES)
LARGEST = 250_000  # bytes; the training shows 1,350 embeddings
SMALLEST_TEXT = 10.5  # points, at a width of 460.8: 8 pixels on a phone 360 wide


class Drawn(dict[str, Figure]):
    """The figures, laid out; each is drawn when it is first asked for, and once in a process."""

    def __missing__(self, name: str) -> Figure:
        self[name] = FIGURES[name].draw()
        self[name].draw_without_rendering()
        return self[name]


@pytest.fixture(scope="session")
def drawn() -> Mapping[str, Figure]:
    return Drawn()


def curve(axes: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


# ---- the committed files ------------------------------------------------------------------------------------------


def differences(now: dict[str, list[float | None]], then: dict[str, list[float | None]]) -> list[str]:
    """Return what differs in two records of numbers: a name, or a number by more than 1e-6 of itself."""
    if now.keys() != then.keys():
        return sorted(now.keys() ^ then.keys())
    wrong = []
    for name, values in now.items():
        a, b = (np.array([np.nan if x is None else x for x in v]) for v in (values, then[name]))
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True):
            wrong.append(name)
    return wrong


PLAYGROUND = "playground"  # tests/test_playground.py draws it, in a browser
ROUNDING = ("float64", "float32")  # errors of a few units depend on NumPy's exponential


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_figure_shows_the_numbers_that_the_code_computes_today(
    name: str, drawn: Mapping[str, Figure]
) -> None:
    now, then = numbers_of(drawn[name]), kept(name)["numbers"]
    if name in ("converged", "precision", "training"):  # rounding decides: see below, and tests/test_digits.py
        assert now.keys() == then.keys()
        return
    assert differences(now, then) == [], "run python tests/figures.py --write"


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_figure_is_small_and_says_what_one_sees(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert kept(name)["alt"] == FIGURES[name].alt, "run python tests/figures.py --write"
    assert len(FIGURES[name].alt) > 100
    assert FIGURES[name].alt.endswith(".")
    assert "dc:date" not in text


def test_a_wrong_number_a_lost_curve_and_a_new_one_are_differences() -> None:
    then = kept("margins")["numbers"]
    name = next(iter(then))
    changed = [None if x is None else x * (1 + 1e-5) for x in then[name]]
    assert differences({**then, name: changed}, then) == [name]
    assert differences({key: v for key, v in then.items() if key != name}, then) == [name]
    assert differences({**then, "new": [1.0]}, then) == ["new"]


def test_another_margin_another_strength_and_another_row_change_the_numbers() -> None:
    wrong = {**MEMBERS, "AM": svref.sv_am_softmax(s=4.0, m=0.36, t=1.2)}
    assert differences(numbers_of(plots.margins(wrong)), kept("margins")["numbers"])
    softer = plots.loss_plane(replace(LOSS, emphasis=svref.SupportVectors(1.21)))
    assert differences(numbers_of(softer), kept("loss-plane")["numbers"])
    other = plots.row(LOSS.forward(ROW[None], [1]))
    assert differences(numbers_of(other), kept("row")["numbers"])


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert saved(FIGURES["circle"].draw(), ".svg") == saved(FIGURES["circle"].draw(), ".svg")


def test_the_folder_holds_the_figures_of_the_registry_and_no_other() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {*FIGURES, PLAYGROUND}


# ---- the pages ----------------------------------------------------------------------------------------------------


def uses() -> list[tuple[Path, str, str]]:
    """Return each use of a figure on a page: the page, the text, the name."""
    return [
        (page, " ".join(alt.split()), name)
        for page in PAGES
        for alt, name in USE.findall(page.read_text(encoding="utf-8"))
    ]


def test_pages_describe_a_figure_by_the_text_of_the_registry_or_a_longer_one() -> None:
    for page, alt, name in uses():
        if name == PLAYGROUND:
            continue
        assert name in FIGURES, f"{page.name} shows {name}"
        assert alt == FIGURES[name].alt or len(alt) > len(FIGURES[name].alt), f"{page.name} describes {name} in brief"


def test_every_figure_is_on_a_page() -> None:
    assert set(FIGURES) - {name for _, _, name in uses()} == set()


# ---- what a reader needs --------------------------------------------------------------------------------------------


def texts(figure: Figure) -> list[Text]:
    """Return the texts that are drawn: those of ticks beyond the limits of an axis are not."""
    beyond = {id(text) for axes in figure.axes for text in ticks_beyond(axes)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in beyond]


def ticks_beyond(axes: Axes) -> Iterator[Text]:
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.majorTicks, *axis.minorTicks):
            if not axes.axison or not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


@pytest.mark.parametrize("name", NAMES)
def test_no_label_is_cut_off_or_too_small(name: str, drawn: Mapping[str, Figure]) -> None:
    figure = drawn[name]
    for text in texts(figure):
        box = text.get_window_extent()
        left, low, right, high = figure.bbox.extents
        assert left - 1 <= box.x0 <= box.x1 <= right + 1, text.get_text()
        assert low - 1 <= box.y0 <= box.y1 <= high + 1, text.get_text()
        assert text.get_fontsize() >= SMALLEST_TEXT, text.get_text()


@pytest.mark.parametrize("name", NAMES)
def test_no_label_lies_on_another(name: str, drawn: Mapping[str, Figure]) -> None:
    boxes = [(text.get_text(), text.get_window_extent().shrunk(0.9, 0.75)) for text in texts(drawn[name])]
    overlaps = [(a, b) for i, (a, x) in enumerate(boxes) for b, y in boxes[:i] if x.overlaps(y)]
    assert overlaps == []


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_its_axes_are(name: str, drawn: Mapping[str, Figure]) -> None:
    for axes in drawn[name].axes:
        if axes.axison:
            bars = bool(axes.containers)
            assert axes.get_xlabel() or axes.get_subplotspec().rowspan.stop < axes.get_gridspec().nrows
            assert (
                axes.get_ylabel() or bars or name in ("precision", "grids") or axes.get_subplotspec().colspan.start > 0
            )


def test_a_figure_leaves_matplotlibs_settings_alone_and_takes_no_pyplot() -> None:
    script = (
        "import sys, matplotlib as m; now = lambda: {k: m.rcParams[k] for k in m.rcParams if k != 'backend'};"
        "before = now(); from svref import plots, sv_am_softmax; plots.svg(plots.emphasis(sv_am_softmax(s=4.0)));"
        "assert 'matplotlib.pyplot' not in sys.modules; assert now() == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_svref_loads_no_matplotlib_and_names_the_extra_where_there_is_none() -> None:
    script = "import sys, svref; assert 'matplotlib' not in sys.modules; sys.modules['matplotlib'] = None; svref.plots"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr.strip().endswith("ImportError: svref.plots needs matplotlib: pip install 'svref[plot]'")


# ---- curves ---------------------------------------------------------------------------------------------------------


def softmax_of(loss: svref.SVXSoftmax) -> svref.SVXSoftmax:
    return svref.SVXSoftmax(loss.margin, s=loss.s)


@pytest.mark.parametrize("name", MEMBERS)
def test_f_and_its_slope_are_those_that_certified_losses_imply(name: str, drawn: Mapping[str, Figure]) -> None:
    f_panel, slope_panel, _ = drawn["margins"].axes
    (theta, f), (_, slope) = curve(f_panel, name), curve(slope_panel, name)
    at = [20, 90, 170, 260, 340]
    cosines = np.column_stack([np.cos(np.deg2rad(theta[at])), np.zeros(len(at))])
    truth = exact.evaluate(softmax_of(MEMBERS[name]), cosines, np.zeros(len(at), int))
    np.testing.assert_allclose(f[at], -np.log(np.expm1(truth.loss.hi)) / 4, rtol=1e-11, atol=1e-13)
    q = truth.probabilities.hi[:, 1]
    np.testing.assert_allclose(slope[at], -truth.cosines.hi[:, 0] / (4 * q), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("tail", TAILS)
def test_a_tail_is_drawn_on_both_sides_of_its_switch_and_not_across_it(tail: str, drawn: Mapping[str, Figure]) -> None:
    switch = 180 - np.rad2deg(0.5)
    theta, f = curve(drawn["tails"].axes[0], tail)
    assert np.isnan(f).any() == (tail != "raw")
    for k in np.flatnonzero((theta[:-1] < switch) & (theta[1:] > switch)):
        assert tail == "raw" or np.isnan(f[k : k + 2]).any()
    expected = TAILS[tail].margin.value(Angle.from_cosine(np.cos(np.deg2rad(theta))))
    np.testing.assert_allclose(f[~np.isnan(f)], expected[~np.isnan(f)], rtol=1e-12)


def test_poles_are_marked_where_df_dc_is_infinite(drawn: Mapping[str, Figure]) -> None:
    poles = [
        (line.get_label(), line.get_marker())
        for line in drawn["tails"].axes[1].get_lines()
        if "pole" in line.get_label()
    ]
    assert sorted(poles) == [("pole at 180", "^"), ("pole at 180", "v")]  # reflect and raw; linear and plain have none
    assert sum("pole at 0" in line.get_label() for line in drawn["margins"].axes[1].get_lines()) == 2  # Arc, combined


def test_h_is_one_below_f_and_what_the_formula_says_above(drawn: Mapping[str, Figure]) -> None:
    f = ROW[0] - 0.35
    for axes, amount in zip(drawn["emphasis"].axes, (lambda c: c + 1, np.ones_like), strict=True):
        for t in (1.1, 1.2, 1.3):
            c, h = curve(axes, f"t = {t:g}")
            assert c.min() > f
            np.testing.assert_allclose(h, np.exp(4 * (t - 1) * amount(c)), rtol=1e-12)
            x, y = curve_of_jump(axes, h[0])
            np.testing.assert_allclose([*x, *y], [f, f, 1.0, h[0]], rtol=1e-12)


def curve_of_jump(axes: Axes, upper: float) -> tuple[np.ndarray, np.ndarray]:
    jumps = [line for line in axes.get_lines() if line.get_label().startswith("jump")]
    (found,) = [line for line in jumps if np.isclose(line.get_ydata()[1], upper, rtol=1e-9)]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def test_shares_are_those_of_the_certified_gradient(drawn: Mapping[str, Figure]) -> None:
    t, total = curve(drawn["shares"].axes[0], "share of the support vectors")
    for k in (0, 10, 20, 50):
        loss = replace(LOSS, emphasis=svref.SupportVectors(float(t[k])))
        gradient = exact.evaluate(loss, MANY[None], [0]).cosines.hi[0, 1:]
        np.testing.assert_allclose(total[k], 100 * gradient[:2].sum() / gradient.sum(), rtol=1e-11)
    assert (np.diff(total) > 0).all()


@pytest.mark.parametrize("place", range(len(CODE)))
def test_each_line_over_the_paper_is_what_a_dialect_computes(place: int, drawn: Mapping[str, Figure]) -> None:
    variant, quantity = CODE[place]
    method = {"f": "value", "df/dc": "by_cosine"}[quantity]
    axes = drawn["dialects"].axes[place]
    lines = {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    paper = svref.VARIANTS[variant].factory().margin
    shown = set()
    for label in lines:
        name = label.split(" + ")[0]
        margin = paper if name == "the paper" else DIALECTS[name].loss(variant).margin
        x, y = curve(axes, label)
        expected = getattr(margin, method)(Angle.from_cosine(np.cos(np.deg2rad(x))))
        np.testing.assert_allclose(y[np.isfinite(y)], expected[np.isfinite(y)], rtol=1e-12, atol=1e-15)
        shown.add(margin)
    assert shown == {paper} | {d.loss(variant).margin for d in DIALECTS.values() if variant in d.losses}


# ---- the jump -------------------------------------------------------------------------------------------------------


def test_the_loss_jumps_at_f_from_log_2_to_log_1_plus_h_in_the_cut_and_all_along_the_plane(
    drawn: Mapping[str, Figure],
) -> None:
    cut = drawn["loss-plane"].axes[1]
    (x, below), (z, above) = curve(cut, "L below f"), curve(cut, "L above f")
    f = ROW[0] - 0.35
    np.testing.assert_allclose([x[-1], z[0]], f, rtol=1e-11)
    np.testing.assert_allclose(below[-1], np.log(2), rtol=1e-11)
    np.testing.assert_allclose(above[0], np.log1p(np.exp(4 * 0.2 * (f + 1))), rtol=1e-9)
    low, high = sides(LOSS, _loss)
    np.testing.assert_allclose(high.negative[:, 0] - low.negative[:, -1], ABOVE, rtol=1e-3)
    has_edge = low.negative[:, -1] > -1
    h = np.exp(4 * 0.2 * (low.negative[has_edge, -1] + 1))
    np.testing.assert_allclose(low.values[has_edge, -1], np.log(2), rtol=1e-12)
    np.testing.assert_allclose(high.values[has_edge, 0], np.log1p(h), rtol=1e-9)


def test_no_line_of_a_cut_leads_across_the_jump_but_the_dotted_one(drawn: Mapping[str, Figure]) -> None:
    for name in ("loss-plane", "gradient-plane", "hero"):
        for line in drawn[name].axes[1].get_lines():
            x, f = np.asarray(line.get_xdata(), float), ROW[0] - 0.35
            is_jump = line.get_label().startswith("jump")
            assert is_jump or not (x.min() < f - 1e-9 and x.max() > f + 1e-9), (name, line.get_label())


def test_a_full_circle_stands_at_the_value_that_holds_at_a_tie_and_an_empty_one_at_the_other(
    drawn: Mapping[str, Figure],
) -> None:
    at_tie = LOSS.value([[ROW[0], ROW[0] - 0.35]], [0])
    for name in ("hero", "loss-plane"):
        circles = [line for line in drawn[name].axes[1].get_lines() if line.get_marker() == "o"]
        found = {line.get_markerfacecolor() == "white": line.get_ydata()[0] for line in circles}
        np.testing.assert_allclose(found[False], at_tie, rtol=1e-12)
        assert found[True] > at_tie + 0.7


def test_without_emphasis_there_is_no_jump() -> None:
    low, high = sides(replace(LOSS, emphasis=svref.SupportVectors(1.0)), _loss)
    np.testing.assert_allclose(high.values[:, 0], low.values[:, -1], rtol=1e-9)


def test_the_gradient_in_the_plane_is_certified_on_both_sides() -> None:
    for side in sides(LOSS, _by_negative):
        at = (slice(5, None, 18), slice(3, None, 15))
        rows = np.column_stack([side.target[at].ravel(), side.negative[at].ravel()])
        truth = exact.evaluate(LOSS, rows, np.zeros(len(rows), int))
        np.testing.assert_allclose(side.values[at].ravel(), truth.cosines.hi[:, 1], rtol=1e-13)


def test_support_vectors_are_shaded_where_the_mask_is_one(drawn: Mapping[str, Figure]) -> None:
    degrees = np.arange(1.0, 180.0, 7.3)
    grid = np.array([(a, b) for a in degrees for b in degrees])
    for axes, loss in zip(drawn["boundaries"].axes, MEMBERS.values(), strict=False):
        theta, limit = curve(axes, "c_2 = f(θ_1)")
        mask = loss.forward(np.cos(np.deg2rad(grid)), np.zeros(len(grid), int)).mask[:, 1]
        edge = np.interp(grid[:, 0], theta, np.where(np.isnan(limit), 181.0, limit))
        clear = np.abs(grid[:, 1] - edge) > 1.0
        assert (mask == (grid[:, 1] < edge))[clear].all()


# ---- precision ------------------------------------------------------------------------------------------------------


def test_the_relative_form_keeps_its_digits_where_the_textbook_has_none(drawn: Mapping[str, Figure]) -> None:
    for axes in drawn["converged"].axes:
        for name, unit in (("float64", 2.0**-53), ("float32", 2.0**-24)):
            true, good = curve(axes, f"relative, {name}")
            _, bad = curve(axes, f"textbook, {name}")
            assert good.max() < 64 * unit  # s = 64: an error of u in c_k - f is one of up to 64 u in a logit
            np.testing.assert_allclose(bad[true < unit / 16], 1.0, rtol=1e-3)
            assert bad[true > 0.1].max() < 200 * unit


def test_both_forms_in_float64_are_the_loss_of_svref() -> None:
    value, gradient = LOSS.value_and_grad(ROW[None], [0], reduction="none")
    for form in (textbook, relative):
        result = form(LOSS, ROW[None], [0], "float64")
        np.testing.assert_allclose(result.loss, value, rtol=1e-13)
        np.testing.assert_allclose(result.gradient, gradient, rtol=1e-12)


@pytest.mark.parametrize("name", ROUNDINGS)
def test_every_number_of_a_form_is_one_of_its_format(name: str) -> None:
    for form in (textbook, relative):
        result = form(CONVERGED, ROUNDINGS[name](np.array([figures.HELD_BY_BFLOAT16])), [0], name)
        for part in result:
            assert (ROUNDINGS[name](part) == part).all()


def test_the_converged_row_is_zero_to_the_textbook_and_a_tenth_off_to_the_relative_form(
    drawn: Mapping[str, Figure],
) -> None:
    truth = exact.evaluate(CONVERGED, [figures.HELD_BY_BFLOAT16], [0]).loss.hi[0]
    axes = drawn["precision"].axes[0]
    value = {line.get_label(): float(line.get_xdata()[0]) for line in axes.get_lines()}
    assert value["certified"] == truth
    assert value["textbook, float32"] == value["textbook, bfloat16"] == truth / 30  # the left end stands for 0
    np.testing.assert_allclose(value["relative, float32"], truth, rtol=64 * 2.0**-24)
    np.testing.assert_allclose(value["relative, bfloat16"], truth, rtol=64 * 2.0**-8)


def test_each_stage_of_a_row_lands_on_a_number_of_the_format_next_to_the_right_one(drawn: Mapping[str, Figure]) -> None:
    loss = svref.am_softmax(s=30.0, m=0.35)
    truth = exact.evaluate(loss, [figures.HELD_BY_FLOAT8], [0])
    f, z, _, p_y, gradient, losses = drawn["grids"].axes
    q = 1 - truth.probabilities.hi[0, 0]
    for axes, right in zip((f, z, p_y, gradient, losses), (0.525, 15.75, 1 - q, -q, truth.loss.hi[0]), strict=True):
        np.testing.assert_allclose(curve(axes, "right")[0], right, rtol=1e-12)
        for name in FIVE:
            (at,) = curve(axes, name)[0]
            assert rounded_to(np.array(at), name) == at
    for name in FIVE:
        assert curve(f, name)[0] == rounded_to(np.array(0.525), name)
        assert (curve(p_y, name)[0] == 1) == (name != "float32")
        assert (curve(gradient, name)[0] == 0) == (name != "float32")


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (("float32", "half"), r"^a format must be one of float64, .*; got 'half'\.$"),
        (("float8_e5m2",), r"^cosines must be numbers that float8_e5m2 holds; got .*0\.9375"),
    ],
)
def test_a_format_that_is_not_there_or_too_narrow_for_the_row_is_refused(
    formats: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plots.grids(LOSS, [0.9375, 0.25], 0, formats)


def test_a_row_that_bfloat16_does_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cosines must be numbers that bfloat16 holds; got .*0\.9"):
        plots.precision(CONVERGED, [0.9, 0.1875], 0)


# ---- rows and files ---------------------------------------------------------------------------------------------------


def test_the_bars_of_a_row_are_its_numbers(drawn: Mapping[str, Figure]) -> None:
    step = LOSS.forward(ROW[None], [0])
    truth = exact.evaluate(LOSS, ROW[None], [0])
    relative_logits = np.where(np.isfinite(step.relative_logits), step.relative_logits, 0)
    expected = (ROW, step.log_h[0], relative_logits[0], truth.probabilities.hi[0], truth.cosines.hi[0])
    for axes, values in zip(drawn["row"].axes, expected, strict=False):
        np.testing.assert_allclose([bar.get_width() for bar in axes.containers[0]], values, rtol=1e-13)


def test_of_many_classes_the_target_and_the_most_probable_are_drawn() -> None:
    cosines = np.linspace(-0.9, 0.9, 40)[None]
    axes = plots.row(LOSS.forward(cosines, [3])).axes[0]
    names = [text.get_text() for text in axes.texts if text.get_text().endswith(("target", "vector", "negative"))]
    assert names == ["3 target", *(f"{k} support vector" for k in range(31, 40))]


def test_a_pole_and_a_row_of_one_class_are_drawn() -> None:
    at_pole = svref.sv_arc_softmax(s=4.0).forward([[1.0, 0.5]], [0])
    assert "−∞" in {text.get_text() for text in plots.row(at_pole).axes[4].texts}
    plots.row(LOSS.forward([[0.5]], [0])).draw_without_rendering()


def test_a_row_that_is_not_there_and_another_margin_than_that_of_a_softmax_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^row must be from 0 to 0; got 1\.$"):
        plots.row(LOSS.forward(ROW[None], [0]), 1)
    with pytest.raises(ValueError, match=r"^pieces draws the margin of A-Softmax, MultiplicativeAngle; got Additive"):
        plots.pieces(LOSS)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".SVG"])
def test_a_figure_is_written_in_the_format_of_its_suffix(suffix: str, tmp_path: Path) -> None:
    plots.save(FIGURES["circle"].draw(), tmp_path / f"circle{suffix}")
    (file,) = tmp_path.iterdir()
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix.lower()]
    assert file.read_bytes().startswith(begins)
    if suffix == ".png":
        assert imread(io.BytesIO(file.read_bytes())).shape[1] == 1280


@pytest.mark.parametrize("name", ["a.jpeg", "a", "no/folder/a.png", ""])
def test_what_is_no_place_for_a_figure_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^a figure "):
        plots.save(Figure(), name)
    assert list(tmp_path.iterdir()) == []


def test_a_description_is_read_back_from_its_file(tmp_path: Path) -> None:
    text = 'θ < π & "1"'
    plots.save(FIGURES["circle"].draw(), tmp_path / "circle.svg", json.dumps({"alt": text}, ensure_ascii=False))
    assert "θ &lt; π &amp;" in (tmp_path / "circle.svg").read_text(encoding="utf-8")
