"""svref.testing: the verdict of a run of tests is that of `svref check`, and what pytest shows is short and complete."""

from __future__ import annotations

import datetime
import re
import shutil
import tomllib
import unittest
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_conformance as planted
import test_pages
from formulations import FORMULATIONS
from formulations import candidate as formulation
from markdown_it import MarkdownIt
from test_in_pytest import COMMAND, in_folder

import svref
import svref.testing
from svref.golden.vectors import load
from svref.head.shards import Shard
from svref.judging.figures import branch_gap
from svref.margins import AdditiveAngle, AdditiveCosine, EasyMargin
from svref.testing import gradcheck_point, section
from svref.testing.configured import KEYS
from svref.testing.found import packed, together, unpacked
from svref.testing.naming import check_mistake, mistakes
from svref.testing.plugin import founds_of

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
FEW = ["sv-am-softmax-basic-63c71e68", "sv-am-softmax-pole-fd5bac69", "sv-am-softmax-tie-da6288c9"]
VARIATION = "sv-am-softmax-variation-0-"


# ---- the same verdict as svref check ----------------------------------------------------------------------------


def raises_everywhere(cosines: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
    raise RuntimeError("not today")


def declines_everywhere(cosines: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
    raise NotImplementedError("not this loss")


def declines_support_vectors(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    if t > 1:
        raise NotImplementedError("no emphasis")
    return test_pages.right(cosines, labels, s=s, m=m, t=t)


def takes_float64_alone(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    if cosines.dtype != np.float64:
        raise TypeError("float64 alone")
    return test_pages.right(cosines, labels, s=s, m=m, t=t)


def has_no_gradient(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> np.ndarray:
    return test_pages.right(cosines, labels, s=s, m=m, t=t)[0]


def has_a_wrong_stage(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> dict:
    losses, gradient = test_pages.right(cosines, labels, s=s, m=m, t=t)
    return {"loss": losses, "grad_cosines": gradient, "margin_cosine": cosines[np.arange(len(labels)), labels]}


def wrong_for_many_rows(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    losses, gradient = test_pages.right(cosines, labels, s=s, m=m, t=t)
    return losses * (1.5 if len(labels) > 10 else 1), gradient


def raises_for_few_rows(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    if len(labels) <= 10:
        raise RuntimeError("too few rows")
    return test_pages.right(cosines, labels, s=s, m=m, t=t)


CANDIDATES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    **{mutant: (lambda m=mutant: planted.named(m), {}) for mutant in ["", *planted.MUTANTS[::3]]},
    **{
        f"{margin} {loss}": (lambda m=margin, k=loss: formulation("sv-arc-softmax", m, k), {"loss": "sv-arc-softmax"})
        for margin, loss in FORMULATIONS[::2]
    },
    "hidden state": (test_pages.forgetful, {}),
    "rows influence each other": (lambda: test_pages.shifted_by_the_batch, {}),
    "ignored rows count": (lambda: test_pages.counting_ignored, {}),
    "invalid inputs accepted": (lambda: test_pages.tolerant, {}),
    "invalid inputs accepted, strict": (lambda: test_pages.tolerant, {"strict": True}),
    "invalid inputs refused, strict": (lambda: test_pages.right, {"strict": True}),
    "not finite": (lambda: test_pages.not_finite, {"loss": "sv-arc-softmax", "finite": True}),
    "raises": (lambda: raises_everywhere, {}),
    "declines": (lambda: declines_everywhere, {"dtype": None}),
    "declines some": (lambda: declines_support_vectors, {}),
    "declines some, partial": (lambda: declines_support_vectors, {"partial": True}),
    "float64 alone": (lambda: takes_float64_alone, {"dtype": None}),
    "float64 alone, asked for float32": (lambda: takes_float64_alone, {}),
    "no gradient": (lambda: has_no_gradient, {}),
    "no gradient, partial": (lambda: has_no_gradient, {"partial": True}),
    "a wrong stage": (lambda: has_a_wrong_stage, {}),
    "wrong for many rows": (lambda: wrong_for_many_rows, {"variations": 4, "dtype": "float64"}),
    "a dialect": (lambda: str(EXAMPLES / "easy_margin.py") + ":sv_am", {"dialect": "xiaobocasia"}),
    "a variation, declined": (lambda: declines_everywhere, {"case": f"{VARIATION}0"}),
    "a variation, no gradient": (lambda: has_no_gradient, {"case": f"{VARIATION}0"}),
    "a variation, right": (lambda: test_pages.right, {"case": [f"{VARIATION}0", f"{VARIATION}1"]}),
    "a variation, wrong": (lambda: wrong_for_many_rows, {"case": f"{VARIATION}2"}),
    "a variation, the cases raise": (lambda: raises_for_few_rows, {"case": f"{VARIATION}2"}),
    "a variation and a case, declined": (lambda: declines_everywhere, {"case": [FEW[0], f"{VARIATION}0"]}),
    "some cases": (lambda: str(EXAMPLES / "easy_margin.py") + ":sv_am", {"case": FEW}),
    "a right case": (lambda: str(EXAMPLES / "easy_margin.py") + ":sv_am", {"case": FEW[0]}),
}


@pytest.fixture
def unnamed(undiagnosed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for no name: it is most of the time."""
    monkeypatch.setattr("svref.testing.failing.explanations", lambda *arguments, **options: ())


@pytest.mark.usefixtures("unnamed")
@pytest.mark.parametrize("name", CANDIDATES)
def test_a_run_passes_if_svref_check_says_pass_and_only_then(name: str) -> None:
    make, options = CANDIDATES[name]
    options = {"loss": "sv-am-softmax", "variations": 1, "dtype": "float32", **options}
    report = svref.check(make(), **options)
    verdicts = Counter(case.result.verdict for case in svref.testing.load_cases(make(), **options))
    assert (verdicts["failed"] == 0) == report.ok, (report.verdict, verdicts)


@pytest.mark.parametrize("mutant", ["t offset by one", "a tie is a support vector"])
def test_the_mistake_is_that_of_svref_check_also_put_together_from_two_processes(mutant: str) -> None:
    candidate, options = planted.named(mutant), {"dtype": "float64", "variations": 0}
    cases = svref.testing.load_cases(candidate, "sv-am-softmax", **options)
    others = svref.testing.load_cases(candidate, "sv-am-softmax", **options)
    for case, other in zip(cases[::2], others[1::2], strict=False):
        asked = {case.result.verdict, other.result.verdict}
        assert asked <= {"passed", "failed", "skipped"}
    one, two = founds_of(cases[::2]), founds_of(others[1::2])
    [found] = together(unpacked(packed([*one, *two])))
    report = svref.check(candidate, "sv-am-softmax", **options)
    assert found.report().verdict == report.verdict
    assert {f.case for f in found.report().failures} == {f.case for f in report.failures}


# ---- what pytest shows ------------------------------------------------------------------------------------------

TESTS = f"""
import svref.testing

@svref.testing.cases({str(EXAMPLES / "textbook.py:sv_am")!r}, "sv-am-softmax", dtype="float64", case={FEW!r})
def test_right(case):
    case.check()

@svref.testing.cases({str(EXAMPLES / "easy_margin.py:sv_am")!r}, "sv-am-softmax", dtype="float32", variations=2)
def test_wrong(case):
    case.check()
"""


@pytest.fixture
def users(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """A user's project, and how to run its tests in this process."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)

    def run(text: str, *options: str, config: str = "") -> pytest.RunResult:
        pytester.path.joinpath("test_mine.py").write_text(text, encoding="utf-8")
        pytester.path.joinpath("pyproject.toml").write_text(config, encoding="utf-8")
        return pytester.runpytest_inprocess("-p", "svref.testing.plugin", "-p", "no:cacheprovider", *options)

    return run


def known(mistake: str, **more: object) -> str:
    """A test of the easy margin on a few cases, with a known failure."""
    options = "".join(f", {name}={value!r}" for name, value in more.items())
    candidate = str(EXAMPLES / "easy_margin.py:sv_am")
    return (
        f"import datetime\nimport svref.testing\n"
        f"@svref.testing.cases({candidate!r}, 'sv-am-softmax', dtype='float64', variations=0{options}"
        f"{f', expect={mistake!r}' if mistake else ''})\ndef test_it(case):\n    case.check()\n"
    )


def test_one_item_a_case_and_dtype_with_a_header_a_short_failure_and_the_mistake_at_the_end(users: Any) -> None:
    result = users(TESTS, "--junitxml=junit.xml")
    text, lines = result.stdout.str(), result.stdout.lines
    assert "FAILED test_mine.py::test_wrong[sv-am-softmax-digits-0077a05e-float32]" in text
    header = next(line for line in lines if line.startswith("svref "))
    assert f"vectors core {load().version} (sha256 {load().digest[:8]})" in header
    assert "textbook.py:sv_am (sv-am-softmax)" in header
    assert text.count("FAIL  is  mask-on-uneased-margin        explains 25 of 25 failing cases") == 1
    assert not [line for line in lines if "svref/testing" in line or "__tracebackhide__" in line]
    of_suite, of_cases = properties(ElementTree.parse("junit.xml"))  # noqa: S314  (pytest wrote it)
    assert "FAIL-AS(mask-on-uneased-margin)" in of_suite.values()
    assert list(of_suite.values()).count("right") == 1
    wrong = [found for found in of_cases if "svref_mistakes" in found]
    assert {found["svref_dtype"] for found in wrong} == {"float32"}
    assert "sv-am-softmax-pole-fd5bac69" in {found["svref_case"] for found in wrong}


def properties(file: ElementTree.ElementTree) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the properties of the suite, and those of each test, in a JUnit file."""
    named = lambda node: {p.get("name"): p.get("value") for p in node.findall("properties/property")}  # noqa: E731
    return named(file.find("testsuite")), [named(case) for case in file.iter("testcase")]


@pytest.mark.parametrize("style", ["long", "native"])
def test_a_failure_has_the_element_the_reason_and_the_command_and_no_frame_of_svref(users: Any, style: str) -> None:
    result = users(TESTS, "-k", "pole-fd5bac69-float32", f"--tb={style}", "--full-trace")
    text = result.stdout.str()
    assert result.parseoutcomes()["failed"] == 1
    assert "loss[1] = 14.9693069, but should be 17.9693067   [sv_am_softmax(m=0.375, s=8, t=1.25)]" in text
    assert "times the tolerance, which is " in text
    assert "tests: The target's cosine is 1/256 away from a pole." in text
    assert "svref check " in text
    assert "svref/testing/" not in text


def test_the_command_of_a_failure_shows_it_again(tmp_path: Path) -> None:
    [case] = [
        case
        for case in svref.testing.load_cases("docs/examples/easy_margin.py:sv_am", "sv-am-softmax", case=FEW[1])
        if case.id == f"{FEW[1]}-float32"
    ]
    with pytest.raises(AssertionError) as raised:
        case.check()
    command = str(raised.value).splitlines()[-1]
    again = in_folder(ROOT, *COMMAND, *command.split()[1:])
    assert again.returncode == 1
    assert FEW[1] in again.stdout


def test_with_xdist_the_end_of_the_run_says_the_same(users: Any, pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("test_mine.py").write_text(TESTS, encoding="utf-8")
    options = ("-p", "svref.testing.plugin", "-p", "no:cacheprovider")
    several = pytester.runpytest_subprocess(*options, "-p", "xdist.plugin", "-n", "2").stdout.lines
    alone = users(TESTS).stdout.lines
    of_one, of_two = (
        lines[next(i for i, line in enumerate(lines) if "= svref =" in line) :] for lines in (alone, several)
    )
    said = [line for line in of_one if "FAIL  is" in line or "reproduce" in line or "first departure" in line]
    assert len(said) == 3
    assert set(said) <= set(of_two)
    assert any(line.startswith("svref ") and "vectors core" in line for line in of_two)


def test_a_run_without_such_tests_has_no_word_of_svref(users: Any) -> None:
    result = users("def test_other():\n    pass\n")
    result.assert_outcomes(passed=1)
    assert not [line for line in result.stdout.lines if line.startswith("svref ") or "= svref =" in line]


def test_the_package_names_the_plugin_and_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"svref": "svref.testing.plugin"}
    assert any(need.startswith("pytest>=") for need in project["optional-dependencies"]["pytest"])


PAGE = ROOT / "docs" / "how-to" / "pytest.md"


def texts() -> list[str]:
    """The blocks of text on the page."""
    return [token.content for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")) if token.info == "text"]


def test_the_first_test_of_the_page_prints_what_the_page_shows(users: Any, pytester: pytest.Pytester) -> None:
    test, failure, end, *_ = texts()
    shutil.copy(EXAMPLES / "easy_margin.py", pytester.path)
    pytester.syspathinsert()
    result = users(test.replace("test_heads.py", "test_mine.py"))
    lines = [line.replace("test_mine", "test_heads").rstrip() for line in result.stdout.lines]
    for shown in (failure.splitlines(), end.splitlines()):
        start = lines.index(shown[0])
        assert lines[start : start + len(shown)] == shown


def test_the_code_for_pytorch_on_the_page_is_that_of_the_example() -> None:
    shown = next(text for text in texts() if "torch.tensor" in text)
    code = [line.strip() for line in (EXAMPLES / "gradcheck_torch.py").read_text(encoding="utf-8").splitlines()]
    assert {line.strip() for line in shown.splitlines()} <= set(code)


def test_the_tests_of_pytorch_on_the_page_say_what_the_page_shows(torch: Any) -> None:
    test, end = [text for text in texts() if "test_torch" in text]
    names: dict[str, Any] = {"__name__": "test_torch"}
    exec(compile(test, str(EXAMPLES / "test_torch.py"), "exec"), names)  # noqa: S102  (it is ours)
    of_head, of_function = (names[name].pytestmark[0].args[1] for name in ("test_head", "test_function"))
    assert {case.result.verdict for case in of_head} == {"passed", "failed", "skipped"}
    assert {case.result.verdict for case in of_function[:3]} == {"passed"}
    [found] = founds_of(of_head)
    assert list(section.lines([(found, found.report())]))[: len(end.splitlines())] == end.splitlines()


def test_the_page_names_every_kind_of_test_and_every_key_of_an_entry() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = {
        case.name for case in svref.testing.load_cases(test_pages.counting_ignored, "sv-am-softmax", expect="t-offset")
    }
    for name in (name for name in named if not name.startswith("sv-am-softmax-")):
        assert f"| `{name}` | " in page
    for key in KEYS:
        assert re.search(rf"^{key} = ", page, re.MULTILINE)


# ---- known failures ---------------------------------------------------------------------------------------------


def test_a_known_failure_is_xfailed_and_the_run_passes(users: Any) -> None:
    result = users(known("mask-on-uneased-margin", reason="issue 12", until="9999-12-31"), "-rx")
    outcomes = result.parseoutcomes()
    assert outcomes["xfailed"] == 26
    assert "failed" not in outcomes
    assert "mask-on-uneased-margin: issue 12" in result.stdout.str()


ENTRY = """
[[tool.svref.expect]]
candidate = "sv_am"
mistake = "mask-on-uneased-margin"
dtype = "float64"
"""


def test_a_known_failure_may_stand_in_pyproject(users: Any) -> None:
    outcomes = users(known(""), config=ENTRY).parseoutcomes()
    assert outcomes["xfailed"] == 26
    assert "failed" not in outcomes


@pytest.mark.parametrize(
    ("mistake", "more", "said"),
    [
        ("easy-margin-above-0", {}, "but the mistake is mask-on-uneased-margin: mend it, or name that one"),
        ("mask-on-uneased-margin", {"until": "2020-01-01"}, "expected until 2020-01-01"),
        ("mask-on-uneased-margin", {"until": datetime.date(2020, 1, 1)}, "or set a later day in expect="),
        (
            "mask-on-uneased-margin",
            {"case": FEW[0]},
            "no test fails any more, though mask-on-uneased-margin is expected",
        ),
    ],
)
def test_a_known_failure_that_is_gone_expired_or_another_is_an_error(
    mistake: str, more: dict[str, Any], said: str
) -> None:
    candidate = str(EXAMPLES / "easy_margin.py:sv_am")
    more = {"dtype": "float64", "variations": 0, **more}
    last = svref.testing.load_cases(candidate, "sv-am-softmax", expect=mistake, **more)[-1]
    assert last.name == "known-failure"
    with pytest.raises(AssertionError, match=said):
        last.check()


def test_an_entry_that_is_about_no_candidate_fails_a_run_of_all_tests(users: Any) -> None:
    config = ENTRY.replace('"sv_am"', '"sv_arc"')
    text = "def test_other():\n    pass\n"
    result = users(text, config=config)
    assert result.ret == 1
    assert "no test is about the candidate 'sv_arc': remove the entry, or mend its" in result.stdout.str()
    assert users(text, "test_mine.py", config=config).ret == 0


# ---- what cannot be collected -----------------------------------------------------------------------------------

BAD = {
    "nowhere.py:f": ("'nowhere.py:f', 'softmax'", "", "nowhere.py cannot be imported"),
    "a loss": ("lambda: 0, 'sv-am-softmx'", "", "there is no loss 'sv-am-softmx'; the nearest one is 'sv-am-softmax'."),
    "a dtype": ("lambda: 0, 'softmax', dtype='float23'", "", "there is no dtype 'float23'; the nearest one is 'float32'."),
    "a mistake": ("SV_AM, 'sv-am-softmax', expect='easy-margin-above'", "", "the nearest one is 'easy-margin-above-"),
    "a case": (f"SV_AM, 'sv-am-softmax', case='{FEW[0][:-1]}'", "", f"the nearest one is '{FEW[0]}'."),
    "an option": ("SV_AM, 'sv-am-softmax', dialct='x'", "", "there is no option 'dialct'; the nearest one is 'dialect'."),
    "a day": ("SV_AM, 'sv-am-softmax', expect='t-offset', until='soon'", "", "until must be a day such as 2027-01-31"),
    "no TOML": ("SV_AM, 'sv-am-softmax'", "[tool.svref", "is no TOML"),
    "a key": ("SV_AM, 'sv-am-softmax'", f"{ENTRY}untill = 1", "there is no key 'untill'; the nearest one is 'until'."),
    "no mistake": ("SV_AM, 'sv-am-softmax'", "[[tool.svref.expect]]\ncandidate = 'f'", "it must have a mistake, as text."),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_decorator_that_cannot_be_used_is_one_clear_collection_error(users: Any, name: str) -> None:
    arguments, config, said = BAD[name]
    candidate = str(EXAMPLES / "textbook.py:sv_am")
    text = f"import svref.testing\nSV_AM = {candidate!r}\n@svref.testing.cases({arguments})\ndef test_it(case):\n    pass\n"
    if (
        "[tool.svref" in config and "[[" not in config
    ):  # pytest itself refuses such a file, so that it reads another one
        result = users(text, "-c", "/dev/null", "--rootdir", ".", config=config)
    else:
        result = users(text, config=config)
    result.assert_outcomes(errors=1)
    errors = [line for line in result.stdout.lines if line.startswith("svref.testing.cases of test_it: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    "name",
    ["t-offset", "t-offset with eps-in-log", "cosine-margin(m π/180)", "hidden-state", "s-and-m-fixed", "s-is-1"],
)
def test_every_name_that_a_report_gives_may_be_expected(name: str) -> None:
    check_mistake(name)


def test_all_known_mistakes_may_be_expected() -> None:
    assert set(svref.deviations.DEVIATIONS) <= set(mistakes())


# ---- without pytest ---------------------------------------------------------------------------------------------


def test_unittest_runs_the_same_cases() -> None:
    class Users(unittest.TestCase):
        def test_sv_am(self) -> None:
            for case in svref.testing.load_cases(
                str(EXAMPLES / "easy_margin.py:sv_am"), "sv-am-softmax", dtype="float64", variations=1
            ):
                with self.subTest(case=case.id):
                    case.check()

    result = unittest.TestResult()
    Users("test_sv_am").run(result)
    assert (len(result.failures), len(result.errors)) == (26, 0)
    assert "svref check " in result.failures[0][1]


# ---- points for gradcheck ---------------------------------------------------------------------------------------

TIED = "sv-am-softmax-tie-da6288c9"


def cases_of(variant: str) -> list[Any]:
    """The first two cases of every group of a variant."""
    groups: dict[str, list[Any]] = {}
    for vector in load():
        if vector.variant == variant and vector.result != "error" and vector.mask.size <= 100:
            groups.setdefault(vector.group, []).append(vector)
    return [vector for group in groups.values() for vector in group[:2]]


@pytest.mark.parametrize("variant", svref.VARIANTS)
def test_within_the_distance_of_a_point_no_decision_flips(variant: str) -> None:
    rng = np.random.default_rng(0)
    for vector in cases_of(variant):
        point = gradcheck_point(variant, vector)
        assert point.distance >= 8 * point.step
        mask, pieces = decisions(point.loss, point.arrays, point.labels)
        for _ in range(2):
            corner = tuple(a + point.distance * rng.choice([-1.0, 1.0], a.shape) for a in point.arrays)
            there, others = decisions(point.loss, corner, point.labels)
            assert point.loss.emphasis.t == 1 or np.array_equal(mask, there)
            assert np.array_equal(pieces, others)


def decisions(loss: Any, arrays: tuple[np.ndarray, ...], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask, and the piece of A-Softmax that each target is in."""
    step = loss.forward(arrays[0], labels) if len(arrays) == 1 else Shard.of(loss, *arrays, labels).step()
    is_in_pieces = isinstance(loss.margin, svref.MultiplicativeAngle)
    return step.mask, np.floor(loss.margin.m * step.angle.theta / np.pi) if is_in_pieces else np.zeros(len(labels))


@pytest.mark.parametrize("variant", svref.VARIANTS)
def test_at_a_point_central_differences_are_the_gradient(variant: str) -> None:
    rng = np.random.default_rng(1)
    for vector in (v for v in cases_of(variant) if v.level == "cosine"):
        point = gradcheck_point(variant, vector)
        [c], direction = point.arrays, rng.standard_normal(point.arrays[0].shape)
        _, gradient = point.loss.value_and_grad(c, point.labels, reduction="sum")
        up, down = (
            point.loss.value(c + side * point.step * direction, point.labels, reduction="sum") for side in (1, -1)
        )
        size = np.abs(gradient * direction).sum()
        assert abs((up - down) / (2 * point.step) - (gradient * direction).sum()) <= 1e-5 + 1e-3 * size, vector.id


def test_a_tie_is_moved_and_a_case_far_from_decisions_stays() -> None:
    tied, basic = gradcheck_point("sv-am-softmax", TIED), gradcheck_point("sv-am-softmax")
    assert tied.moved > 0
    assert basic.moved == 0
    np.testing.assert_array_equal(basic.arrays[0], load()["sv-am-softmax-basic-63c71e68"].inputs["cosines"])


@pytest.mark.parametrize("margin", [EasyMargin(AdditiveCosine(0.25), above=0.0), AdditiveAngle(0.5, "linear")])
def test_switches_of_the_margin_are_kept_away_from(margin: Any) -> None:
    loss = svref.SVXSoftmax(margin, svref.SupportVectors(1.25), s=8.0)
    for vector in (v for v in cases_of("sv-am-softmax") if v.level == "cosine"):
        point = gradcheck_point(loss, vector)
        assert branch_gap(margin, point.loss.forward(point.arrays[0], point.labels).angle).min() > point.distance


def test_a_straight_through_margin_and_inputs_that_must_raise_have_no_point() -> None:
    loss = svref.SVXSoftmax(svref.StraightThrough(AdditiveAngle(0.5)))
    with pytest.raises(ValueError, match="is no derivative"):
        gradcheck_point(loss, TIED)
    invalid = next(v for v in load() if v.result == "error")
    with pytest.raises(ValueError, match="must raise"):
        gradcheck_point(invalid.variant, invalid)
    with pytest.raises(ValueError, match="is a case of sv-am-softmax, not of softmax"):
        gradcheck_point("softmax", TIED)


def test_gradcheck_of_pytorch_fails_at_a_tie_and_passes_at_the_point(torch: Any) -> None:
    from gradcheck_torch import at_the_case, at_the_point

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        at_the_case()
    assert at_the_point()


def test_check_grads_of_jax_fails_at_a_tie_and_passes_at_the_point(jax: Any) -> None:
    from jax import numpy as jnp
    from jax.test_util import check_grads

    def sv_am(cosines: Any) -> Any:
        own = jnp.arange(len(labels)), labels
        f = cosines[own] - loss.margin.m
        logits = jnp.where(cosines > f[:, None], loss.emphasis.t * cosines + loss.emphasis.t - 1, cosines)
        return -jax.nn.log_softmax(loss.s * logits.at[own].set(f))[own].sum()

    point = gradcheck_point("sv-am-softmax", TIED)
    loss, labels = point.loss, point.labels
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        check_grads(sv_am, (point.arrays[0],), order=1, modes=["rev"], eps=point.step)
        with pytest.raises(AssertionError):
            check_grads(sv_am, (load()[TIED].inputs["cosines"],), order=1, modes=["rev"], eps=point.step)
