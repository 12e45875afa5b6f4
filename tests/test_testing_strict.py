"""svref.testing hides nothing: no item passes unjudged, no mistake beside a known one, no candidate behind another."""

from __future__ import annotations

import time
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_conformance as planted
import test_pages
import test_testing
from test_testing import declines_everywhere, has_a_wrong_stage, known, wrong_for_many_rows

import svref
import svref.testing
from svref.testing import section
from svref.testing.case import Case
from svref.testing.found import packed, together, unpacked
from svref.testing.naming import check_mistake
from svref.testing.plugin import founds_of
from svref.testing.suite import numbered

pytest_plugins = "pytester"

users = test_testing.users
LOSS = "sv-am-softmax"
BASIC = "sv-am-softmax-basic-63c71e68"


def loaded(candidate: Any, loss: str = LOSS, **options: Any) -> list[Case]:
    """The tests of a candidate in float64."""
    return svref.testing.load_cases(candidate, loss, **{"dtype": "float64", **options})


def verdicts(cases: list[Case]) -> dict[str, list[str]]:
    """The names of the tests by what came of them."""
    found: dict[str, list[str]] = {}
    for case in cases:
        found.setdefault(case.result.verdict, []).append(case.name)
    return found


def told(cases: list[Case]) -> str:
    """What the JUnit file says of a candidate whose tests were asked."""
    [found] = founds_of(cases)
    return section.mistake(found, found.report())


# ---- a variation without the cases --------------------------------------------------------------------------------


def test_a_variation_that_is_asked_before_any_case_is_skipped_where_the_candidate_declines() -> None:
    [first, second] = [case for case in loaded(declines_everywhere, variations=2) if "variation" in case.name]
    assert [first.result.verdict, second.result.verdict] == ["skipped", "skipped"]
    assert first.result.text == second.result.text == "no case was answered"
    assert told([first, second]) == "nothing was judged"


def test_a_variation_that_is_asked_before_any_case_says_the_same_as_after_all() -> None:
    def wrong(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
        return svref.am_softmax(s=s, m=m).value_and_grad(cosines, labels, reduction="none")

    [*_, alone] = loaded(wrong, variations=1)
    assert alone.result.text == "the candidate must pass the cases first"


# ---- a variation that hangs ---------------------------------------------------------------------------------------


def hangs_for_many_rows(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    if len(labels) > 30:
        time.sleep(0.3)
    return test_pages.right(cosines, labels, s=s, m=m, t=t)


def test_a_variation_that_hangs_is_not_called_right_in_the_reports() -> None:
    cases = loaded(hangs_for_many_rows, variations=8, timeout=0.1)
    assert told([case for case in cases if case.name == BASIC and case.result.verdict == "passed"]) == "right"
    hung = [case for case in cases if "variation" in case.name and case.result.verdict == "failed"]
    assert hung
    assert told(cases[:1] + hung) == "ERROR"


def test_a_candidate_of_which_too_little_was_judged_is_not_called_right_in_the_reports() -> None:
    cases = loaded(declines_everywhere, variations=0)
    assert verdicts(cases)["failed"] == ["enough-judged"]
    assert told(cases) == "UNSUPPORTED"


# ---- known failures -----------------------------------------------------------------------------------------------


def wrong_and_tolerant(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    try:
        return planted.named("t offset by one")(cosines, labels, s=s, m=m, t=t)
    except (ValueError, TypeError, IndexError):
        return np.zeros(len(cosines)), np.zeros_like(cosines)


KNOWN: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "wrong from B = 11 on": (lambda: wrong_for_many_rows, {"variations": 4}),
    "hidden-state": (test_pages.forgetful, {}),
    "rows-influence-each-other": (lambda: test_pages.shifted_by_the_batch, {}),
    "ignored-rows-counted": (lambda: test_pages.counting_ignored, {}),
    "invalid-input-accepted": (lambda: test_pages.tolerant, {"strict": True}),
    "gradient-not-finite": (lambda: test_pages.not_finite, {"loss": "sv-arc-softmax", "finite": True}),
    "margin-ignored": (lambda: has_a_wrong_stage, {}),
    "t-offset with invalid-input-accepted": (lambda: wrong_and_tolerant, {"strict": True}),
}
RIGHT = lambda loss: svref.VARIANTS[loss].factory  # noqa: E731


@pytest.mark.parametrize("mistake", KNOWN)
def test_a_known_mistake_is_xfailed_wherever_it_shows(mistake: str) -> None:
    make, options = KNOWN[mistake]
    found = verdicts(loaded(make(), expect=mistake, **{"variations": 0, **options}))
    assert "failed" not in found
    assert found["known"]


@pytest.mark.parametrize("mistake", ["wrong from B = 11 on", "invalid-input-accepted", "gradient-not-finite"])
def test_known_failure_says_the_same_where_it_is_asked_alone(mistake: str) -> None:
    make, options = KNOWN[mistake]
    [*_, last] = loaded(make(), expect=mistake, **{"variations": 0, **options})
    assert (last.name, last.result.verdict) == ("known-failure", "passed")


@pytest.mark.parametrize("mistake", ["wrong from B = 11 on", "hidden-state", "gradient-not-finite", "margin-ignored"])
def test_a_mistake_that_is_not_the_known_one_fails_wherever_it_shows(mistake: str) -> None:
    make, options = KNOWN[mistake]
    cases = loaded(make(), expect="mask-inverted", **{"variations": 0, **options})
    found = verdicts(cases)
    assert "known" not in found
    assert len(found["failed"]) > 1
    assert f"but the mistake is {mistake}: " in cases[-1].result.text


@pytest.mark.parametrize("mistake", ["t-offset", "invalid-input-accepted"])
def test_one_of_two_mistakes_does_not_hide_the_other(mistake: str) -> None:
    found = verdicts(loaded(wrong_and_tolerant, expect=mistake, strict=True, variations=0))
    assert found["known"]
    assert len(found["failed"]) > 1


def test_an_exception_is_not_hidden_by_a_known_mistake() -> None:
    def wrong_or_raises(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
        if len(labels) == 1:
            raise RuntimeError("not one row")
        return planted.named("t offset by one")(cosines, labels, s=s, m=m, t=t)

    cases = loaded(wrong_or_raises, expect="t-offset", variations=0, invalid=False)
    assert all(case.result.verdict == "failed" for case in cases if "not one row" in case.result.text)
    assert verdicts(cases)["known"]


def test_a_finding_that_is_gone_is_an_error() -> None:
    [*_, last] = loaded(test_pages.right, expect="hidden-state", variations=0)
    with pytest.raises(AssertionError, match="no test fails any more, though hidden-state is expected"):
        last.check()


@pytest.mark.parametrize("name", ["gradient-not-finite", "wrong-stage", "mask-on-scaled-cosines", "wrong for B = 1"])
def test_a_finding_may_be_expected(name: str) -> None:
    check_mistake(name)


# ---- entries of pyproject.toml ------------------------------------------------------------------------------------

ENTRIES = """
[[tool.svref.expect]]
candidate = "sv_am"
mistake = "mask-on-uneased-margin"
reason = "issue 12"

[[tool.svref.expect]]
candidate = "{}"
mistake = "mask-on-uneased-margin"
"""


def test_two_entries_about_one_candidate_are_both_used(users: Any) -> None:
    text = known("", case=BASIC)
    candidate = text.split("cases('")[1].split("'")[0]
    result = users(text, config=ENTRIES.format(candidate))
    assert "no test is about the candidate" not in result.stdout.str()
    assert "number 1 of " in result.stdout.str()  # the case passes, so that both entries are out of date
    assert "and [[tool.svref.expect]] number 2 of " in result.stdout.str()


@pytest.mark.parametrize(
    "options",
    [("--ignore-glob=*mine.py",), ("--deselect=test_mine.py",), ("-k", "other"), ("below",)],
    ids=str,
)
def test_an_entry_may_be_about_a_test_that_a_run_leaves_out(
    users: Any, pytester: Any, options: tuple[str, ...]
) -> None:
    pytester.mkdir("below").joinpath("test_below.py").write_text("def test_other():\n    pass\n")
    result = users("def test_other():\n    pass\n", *options, config=ENTRIES.format("sv_arc"))
    assert "no test is about" not in result.stdout.str()


def test_an_entry_may_be_about_a_test_that_came_before_the_one_where_a_run_goes_on(users: Any, pytester: Any) -> None:
    users("def test_one():\n    pass\n\ndef test_two():\n    raise OSError\n", "--co", config=ENTRIES.format("sv_arc"))
    pytester.runpytest_inprocess("-p", "svref.testing.plugin", "--sw")
    again = pytester.runpytest_inprocess("-p", "svref.testing.plugin", "--sw").stdout.str()
    assert "1 failed, 1 deselected" in again
    assert "no test is about" not in again


@pytest.mark.parametrize("text", ["import nothing_of_this_name", "import pytest\npytest.importorskip('nothing_here')"])
def test_an_entry_may_be_about_a_test_in_a_file_that_could_not_be_read(users: Any, text: str) -> None:
    assert "no test is about" not in users(text, config=ENTRIES.format("sv_arc")).stdout.str()


def test_an_entry_may_be_about_a_test_above_the_folder_of_the_run(
    users: Any,
    pytester: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users("", "--co", config=ENTRIES.format("sv_arc"))
    monkeypatch.chdir(pytester.mkdir("below"))
    result = pytester.runpytest_inprocess("-p", "svref.testing.plugin", "-p", "no:cacheprovider")
    assert "no test is about" not in result.stdout.str()


# ---- two candidates of one name -----------------------------------------------------------------------------------


def of_module(name: str, candidate: Callable[..., Any]) -> Callable[..., Any]:
    """The function sv_am of a module."""
    copied = types.FunctionType(candidate.__code__, candidate.__globals__, "sv_am", None, candidate.__closure__)
    copied.__kwdefaults__, copied.__module__, copied.__qualname__ = candidate.__kwdefaults__, name, "sv_am"
    return copied


@pytest.mark.parametrize("modules", [("one", "two"), ("one", "one")], ids=["two modules", "two of one place"])
def test_two_candidates_of_one_name_are_not_made_one(modules: tuple[str, str]) -> None:
    candidates = (test_pages.right, has_a_wrong_stage)
    cases = [
        case
        for module, candidate in zip(modules, candidates, strict=True)
        for case in loaded(of_module(module, candidate), variations=0, case=BASIC)
    ]
    numbered(case.suite for case in cases)
    assert Counter(case.result.verdict for case in cases)["failed"] == 1
    founds = together(unpacked(packed([*founds_of(cases)])))
    assert len(founds) == 2
    assert [section.mistake(found, found.report()) for found in founds] == ["right", "FAIL-AS(margin-ignored)"]


# ---- state --------------------------------------------------------------------------------------------------------


def test_a_failure_of_a_candidate_with_state_says_that_earlier_tests_change_it() -> None:
    calls: list[int] = []

    def running(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
        calls.append(len(labels))
        losses, gradient = test_pages.right(cosines, labels, s=s, m=m, t=t)
        return losses * (1 + len(calls) / 1000), gradient

    [case] = [case for case in loaded(running, variations=0, case=BASIC) if case.name == BASIC]
    assert "the second call gives loss[0] = " in case.result.text
    assert "the tests that ran before, in the same process, change this one" in case.result.text


def test_a_case_that_is_right_in_one_process_and_wrong_in_another_is_hidden_state() -> None:
    found = [founds_of([c for c in loaded(make, variations=0) if c.name == BASIC and c.result]) for make in
             (of_module("one", test_pages.right), of_module("one", planted.named("t offset by one")))]  # fmt: skip
    [one] = together([*found[0], *found[1]])
    assert [finding.name for finding in one.report().findings] == ["hidden-state"]
