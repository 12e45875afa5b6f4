"""A report as a page and a badge, and a matrix of candidates: what they show is what the check found."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from in_process import svref_command

import svref
from svref.conformance import Report
from svref.conformance.candidates import loading
from svref.conformance.candidates.call import CandidateError
from svref.deviations import DEVIATIONS
from svref.plots import judged
from svref.sharing import badge, matrix, page, read, running, table
from svref.sharing.badge import text_of
from svref.sharing.cells import Matrix
from svref.sharing.points import departing, errors_of, negatives_of

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
WRONG, RIGHT = f"{EXAMPLES}/easy_margin.py:sv_am", f"{EXAMPLES}/textbook.py:sv_am"
VOID = {"meta", "br", "mspace"}


class Page(HTMLParser):
    """A page that is held to be well-formed: every element is closed in its place, and an id stands there once."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.targets: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [str(given["id"])] if "id" in given else []
        self.targets += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def wrong() -> Report:
    return svref.check(WRONG, "sv-am-softmax")


@pytest.fixture(scope="module")
def right() -> Report:
    return svref.check(RIGHT, "sv-am-softmax", dtype="float64", variations=0)


@pytest.fixture(scope="module")
def wrong_page(wrong: Report) -> Page:
    return Page(page(wrong, command="svref check <this>", date="2026-01-02"))


@pytest.fixture(scope="module")
def found() -> Matrix:
    return matrix(EXAMPLES / "own_matrix.toml", date="2026-01-02")


# ---- the page -------------------------------------------------------------------------------------------------------


def test_a_page_is_well_formed_and_needs_no_script_and_no_other_file(wrong_page: Page) -> None:
    assert len(set(wrong_page.ids)) == len(wrong_page.ids)
    assert not {"script", "link", "img", "iframe", "object"} & set(wrong_page.tags)
    assert all(target.startswith("#") and target[1:] in wrong_page.ids for target in wrong_page.targets)
    assert wrong_page.tags.count("h1") == 1


def test_a_page_says_what_the_screen_says(wrong: Report, wrong_page: Page) -> None:
    departure = wrong.departure
    assert departure is not None
    for words in (
        wrong.verdict, wrong.diagnosis[0].formula, wrong.diagnosis[0].effect, departure.case, wrong.header["digest"],
        f"{departure.got:.9g}, but should be {departure.expected:.9g}", wrong.reproduce, "svref check <this>",
        "2026-01-02", wrong.header["vectors"], "float32, loss", f"{departure.stage}[",
    ):  # fmt: skip
        assert words in wrong_page.text, words


def test_a_page_of_a_right_candidate_shows_where_it_was_judged_and_no_mistake(right: Report) -> None:
    shown = Page(page(right))
    assert f"All {len(negatives_of(right.trials).wrong)} negatives are judged right." in shown.text
    assert f"0 of {len(right.trials)} cases have an element beyond its tolerance." in shown.text
    assert "The mistake over" not in shown.text
    assert shown.tags.count("figure") == 2


def test_a_report_without_a_case_has_a_page_too() -> None:
    header = {
        "svref": "0",
        "candidate": "<f>",
        "loss": "sv-softmax",
        "dtype": "float64",
        "precision": "float64",
        "cases": 0,
    }
    shown = Page(page(Report(header, (), ())))
    assert "UNSUPPORTED" in shown.text
    assert "<f>" in shown.text


def test_plain_arrays_have_a_page_and_a_wrong_loss_makes_its_row_wrong() -> None:
    loss, cosines = svref.sv_am_softmax(s=4.0), np.cos(np.deg2rad([[40, 60, 150], [75, 60, 20]]))
    step = loss.forward(cosines, [0, 1])
    gradient = loss.backward(step).cosines
    report = svref.check_values(loss, cosines, [0, 1], step.loss * np.array([1.0, 2.0]), gradient)
    assert negatives_of(report.trials).wrong.tolist() == [False, False, True, True]
    assert report.verdict in Page(page(report)).text


def test_where_the_weights_gradient_alone_is_wrong_the_page_says_so() -> None:
    x, w, loss = np.eye(2), np.array([[1.0, 0.25], [0.5, 1.0]]), svref.am_softmax(s=4.0)
    value, gradient = svref.head.value_and_grad(loss, x, w, [0, 1], reduction="none")
    report = svref.check_values(loss, (x, w), [0, 1], value, (gradient.embeddings, 2 * gradient.weights))
    assert report.failed == 4
    shown = Page(page(report)).text
    assert "All 2 negatives are judged right. What is wrong is grad_weights alone, in 4 elements" in shown


def test_the_reports_json_has_no_trials(wrong: Report) -> None:
    assert "trials" not in json.loads(wrong.to_json())
    assert wrong.trials


# ---- the numbers of the pictures ---------------------------------------------------------------------------------------


def test_the_negatives_are_wrong_where_a_failure_says_so(wrong: Report) -> None:
    points = negatives_of(wrong.trials)
    rows = {(f.case, f.index[0]) for f in wrong.failures if f.quantity == "loss"}
    counted = sum(
        trial.step().cosines.shape[1] - 1
        for trial in wrong.trials
        for b in range(len(trial.labels))
        if (trial.id, b) in rows
    )
    assert points.wrong.sum() >= counted > 0
    assert (points.target[points.wrong] <= 0).all()  # the margin is given up at c_y <= 0 alone
    assert len(points.wrong) == sum(trial.step().cosines.size - len(trial.labels) for trial in wrong.trials)


def test_the_errors_are_those_of_the_counts(wrong: Report) -> None:
    errors = errors_of(wrong)
    for count in wrong.counts:
        assert max(e.errors.max(initial=0.0) for e in errors if e.output == count.quantity) == count.worst
        beyond = sum(int((~(e.errors <= 1)).sum()) for e in errors if e.output == count.quantity)
        assert beyond == count.failed


def test_the_first_departure_is_its_row(wrong: Report) -> None:
    trial, row = departing(wrong) or (None, -1)
    assert trial is not None
    assert wrong.departure is not None
    assert (trial.id, row) == (wrong.departure.case, wrong.departure.index[0])
    assert float(trial.step().f[row]) == wrong.departure.expected


def test_a_strip_has_an_infinite_error_at_the_right_edge_and_a_small_one_at_the_left() -> None:
    figure = judged.strips(
        [judged.Strip("a", "loss", np.array([0.0, 0.5, np.inf])), judged.Strip("b", "loss", np.zeros(0))]
    )
    (drawn,) = [line for line in figure.axes[0].get_lines() if line.get_label() == "loss"]
    assert np.asarray(drawn.get_xdata()).tolist() == [judged.FLOOR, 0.5, judged.CEILING]


def test_the_mistake_is_drawn_as_it_computes_and_the_paper_as_it_is() -> None:
    loss, entry = svref.arc_softmax(s=4.0, m=0.5), DEVIATIONS["tail-linear"]
    figure = judged.mistake_curves(entry, loss)
    curves = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[1].get_lines()}
    at = 240  # 120 degrees
    row = np.cos(np.deg2rad([[120.0, 60.0, 150.0]]))
    assert curves["the paper"][at] == pytest.approx(loss.forward(row, [0]).loss[0], rel=1e-12)
    row = np.cos(np.deg2rad([[175.0, 60.0, 150.0]]))
    assert curves["tail-linear"][350] == pytest.approx(float(entry.run(loss, row, [0])[0][0]), rel=1e-9)
    assert judged.differs(entry, loss)
    assert not judged.differs(DEVIATIONS["non-strict-mask"], loss)
    assert not judged.differs(DEVIATIONS["embeddings-not-normalised"], loss)


# ---- the badge -----------------------------------------------------------------------------------------------------


def test_a_badge_says_the_verdict_in_text_that_fits(wrong: Report, right: Report) -> None:
    assert text_of(right) == "PASS float64 core 1.4.0"
    assert text_of(wrong) == "FAIL mask-on-uneased-margin"
    alone = svref.check(
        RIGHT, "sv-am-softmax", case=next(iter(right.cases)), partial=True, precision="float16", dtype="float32"
    )
    assert re.fullmatch(r"PASS(-BRANCH)? float32 at float16 core [\d.]+ only 1 case partial", text_of(alone))
    for report in (wrong, right):
        tree = ElementTree.fromstring(badge(report))  # noqa: S314
        width = float(tree.get("width", "0"))
        texts = [part for part in tree if part.tag.endswith("text")]
        assert [part.text for part in texts] == ["svref", text_of(report)]
        assert all(float(part.get("x", "0")) + float(part.get("textLength", "0")) < width for part in texts)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_check_writes_the_page_and_the_badge_beside_the_screen(tmp_path: Path) -> None:
    options = (
        "--loss",
        "sv-am-softmax",
        "--dtype",
        "float64",
        "--html",
        tmp_path / "a.html",
        "--badge",
        tmp_path / "a.svg",
    )
    result = svref_command("check", WRONG, *options)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.endswith(f"\npage              {tmp_path}/a.html\nbadge             {tmp_path}/a.svg\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "a.svg"]
    assert "--dtype float64 --html" in Page((tmp_path / "a.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "no.py:f", "--loss", "softmax", "--html", "a.txt"), "a page is a file that ends in .html or .htm; got a.txt."),
        (("check", "no.py:f", "--loss", "softmax", "--html", "no/a.html"), "a page needs a file in an existing folder; got no/a.html"),
        (("check", "no.py:f", "--loss", "softmax", "--badge", "a.png"), "a badge is a file that ends in .svg; got a.png."),
        (("matrix", "no.toml", "--html", "a.txt"), "a page is a file that ends in .html or .htm; got a.txt."),
        (("matrix", "no.toml", "--json", "no/a.json"), "--json needs a file in an existing folder; got no/a.json"),
        (("matrix", "no.toml"), "[Errno 2] No such file or directory: 'no.toml'"),
    ],
)  # fmt: skip
def test_what_is_no_place_for_a_file_is_refused_before_any_work(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = svref_command(*words)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"svref: {message}\n")
    assert list(tmp_path.iterdir()) == []


# ---- the matrix -----------------------------------------------------------------------------------------------------


def test_a_matrix_has_the_verdicts_of_check(found: Matrix, wrong: Report) -> None:
    textbook, easy, absent = found.rows
    assert [cell.verdict for cell in textbook.cells] == ["PASS", "PASS"]
    assert {cell.dtype: cell.verdict for cell in easy.cells} == {d: one.verdict for d, one in wrong.of.items()}
    assert {cell.dtype: (cell.right + cell.wrong, cell.wrong) for cell in easy.cells} == {
        d: (one.judged, one.failed) for d, one in wrong.of.items()
    }
    assert [cell.verdict for cell in absent.cells] == ["NOT-LOADED", "NOT-LOADED"]
    assert "not_there.py" in absent.cells[0].message
    assert found.exit_code == 1
    assert easy.digest == wrong.header["digest"]
    assert textbook.versions == {"numpy": np.__version__}


def test_a_matrix_is_a_page_and_json_that_follows_its_schema(found: Matrix) -> None:
    schema = json.loads(files("svref.sharing").joinpath("matrix.schema.json").read_text(encoding="utf-8"))
    content = json.loads(found.to_json())
    jsonschema.Draft202012Validator(schema).validate(content)
    assert [row["cells"][0]["mistake"] for row in content["rows"]] == ["", "mask-on-uneased-margin", ""]
    shown = Page(table(found))
    for words in (
        "The examples of svref",
        "✓ PASS",
        "✗ FAIL mask-on-uneased-margin",
        "? NOT-LOADED",
        found.rows[0].command,
    ):
        assert words in shown.text
    assert not {"script", "link", "img"} & set(shown.tags)


def test_a_matrix_is_a_table_on_the_screen(found: Matrix) -> None:
    lines = str(found).splitlines()
    assert lines[0].split() == ["candidate", "loss", "float64", "float32"]
    assert re.fullmatch(r"textbook +sv-am-softmax +PASS +PASS", lines[1])
    assert lines[-1] == "2 right, 2 wrong (2 of them named), 2 without a verdict"


def test_an_interrupted_matrix_keeps_what_it_has_and_exits_with_130(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    (tmp_path / "m.toml").write_text("[[candidate]]\ncandidate = 'slow.py:f'\nloss = 'softmax'\n" * 2, encoding="utf-8")
    interruptible = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # not so under nohup
    started = f"{interruptible}; from svref.cli import main; main()"
    command = [sys.executable, "-c", started, "matrix", "m.toml", "--json", "m.json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == b"1 of 2: slow.py:f\n"
        time.sleep(0.1)
        os.kill(child.pid, signal.SIGINT)
        output = child.communicate(timeout=30)[0].decode()
    assert child.returncode == 130
    assert "4 without a verdict; interrupted" in output
    verdicts = [
        cell["verdict"] for row in json.loads((tmp_path / "m.json").read_text())["rows"] for cell in row["cells"]
    ]
    assert verdicts == ["NOT-ASKED"] * 4


ONE = "[[candidate]]\ncandidate = 'a.py:f'\nloss = 'softmax'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[candidate", "must be TOML: "),
        ("", r"must have a \[\[candidate\]\]; it has none\."),
        ("dtype = ['float16']\n" + ONE, r"dtype must be one of float64, float32; got 'float16'; did you mean float64\?"),
        ("dtype = []\n" + ONE, "got an empty list"),
        ("titel = 'x'\n" + ONE, r"key must be one of title, .*; got 'titel'; did you mean title\?"),
        ("candidate = [1]", r"candidate 1 must be a table"),
        ("[[candidate]]\nloss = 'softmax'\n", r"candidate 1 needs candidate\."),
        (ONE.replace("softmax", "arc-sofmax"), r"candidate 1: loss must be .*got 'arc-sofmax'; did you mean arc-softmax\?"),
        (ONE + "dialect = 'insigthface'", r"did you mean insightface\?"),
        (ONE + "framework = 'troch'", r"did you mean torch\?"),
        (ONE + "with = {ss = 3}", r"with must be one of s; got 'ss'"),
        (ONE + "with = {s = '3'}", r"with s must be a number; got '3'\."),
        (ONE + "map = 3", r"map must be a table; got 3\."),
        (ONE + ONE.replace("softmax", "x"), r"candidate 2: loss"),
    ],
)  # fmt: skip
def test_a_file_that_says_nothing_sensible_is_refused_with_the_place_and_the_nearest_name(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "m.toml")


def test_a_row_is_the_command_that_one_would_type(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        "pack = 'seed'\ndtype = ['float32']\n[[candidate]]\ncandidate = 'a.py:f'\nloss = ['softmax', 'am_softmax']\n"
        "framework = 'numpy'\nmap = {scale = 's'}\nwith = {s = 32}\n", encoding="utf-8",
    )  # fmt: skip
    first, second = read(tmp_path / "m.toml").rows
    assert " ".join(first.words) == (
        f"check {tmp_path}/a.py:f --loss softmax --dtype float32 --pack seed --timeout 60 --framework numpy "
        "--map scale=s --with s=32"
    )
    assert second.loss == "am-softmax"


def test_a_pack_that_does_not_ship_is_found_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("pack = 'mine/found'\ntimeout = 5\n" + ONE, encoding="utf-8")
    assert f"--pack {tmp_path}/mine/found --timeout 5" in " ".join(read(tmp_path / "m.toml").rows[0].words)


SINGLE = """
import sys
sys.path.insert(0, {examples!r})
import textbook
def sv_am(cosines, labels, **parameters):
    if cosines.dtype == "float64":
        raise NotImplementedError("float32 alone \\ud800")
    return textbook.sv_am(cosines, labels, **parameters)
"""


def test_a_candidate_of_one_dtype_exits_with_0_as_for_check_and_a_lone_surrogate_loses_no_file(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(SINGLE.format(examples=str(EXAMPLES)), encoding="utf-8")
    (tmp_path / "m.toml").write_text("[[candidate]]\ncandidate = 'one.py:sv_am'\nloss = 'sv-am-softmax'\n", "utf-8")
    result = svref_command("matrix", tmp_path / "m.toml", "--html", tmp_path / "m.html", "--json", tmp_path / "m.json")
    assert result.returncode == 0, result.stdout + result.stderr
    cells = json.loads((tmp_path / "m.json").read_bytes())["rows"][0]["cells"]
    assert [(cell["verdict"], cell["message"]) for cell in cells] == [
        ("UNSUPPORTED", "float32 alone \ud800"), ("PASS", ""),
    ]  # fmt: skip
    assert "float32 alone \\ud800" in Page((tmp_path / "m.html").read_text(encoding="utf-8")).text


def test_a_row_that_gives_no_verdict_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    (tmp_path / "m.toml").write_text("[[candidate]]\ncandidate = 'slow.py:f'\nloss = 'softmax'\n", encoding="utf-8")
    monkeypatch.setattr(running, "LIMIT", 0.5)
    cells = matrix(tmp_path / "m.toml").cells
    assert [(cell.verdict, cell.message) for cell in cells] == [("ERROR", "no verdict within 0.5 s")] * 2


def test_an_import_that_hangs_is_no_verdict_where_calls_have_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hangs.py").write_text("import threading\nthreading.Event().wait(20)\n", encoding="utf-8")
    monkeypatch.setattr(loading, "IMPORT_LIMIT", 0.05)
    with pytest.raises(
        CandidateError, match=r"hangs\.py cannot be imported: HungError: it has not ended within 0\.1 s"
    ):
        svref.check(f"{tmp_path}/hangs.py:f", "softmax", timeout=0.1)


@pytest.mark.parametrize("name", ["matrix.toml", "own_matrix.toml"])
def test_every_line_of_an_example_that_installs_is_a_whole_command(name: str) -> None:
    lines = [
        line[2:] for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines() if line.startswith("# pip")
    ]
    assert lines
    for line in lines:
        words = [word for word in shlex.split(line)[2:] if not word.startswith("-")]
        assert all(re.fullmatch(r"\.\[[a-z,]+\]|[\w-]+(==[\d.]+)?", word) for word in words), line
