"""The plugin of pytest: ids and mistakes in its reports, the header, and the section at the end.

It collects nothing, and does nothing in a run without tests of `svref.testing.cases`.
"""

from __future__ import annotations

import traceback
import types
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from svref.conformance.checking.report import Report
    from svref.testing.case import Case
    from svref.testing.found import Found

OPTIONS = ("lf", "ignore", "ignore_glob", "stepwise", "keyword", "markexpr", "deselect")  # these leave tests out
PACKAGE = Path(__file__).parents[1]
WORKER, USED, PART = "svref", "svref_expect", "svref_part"  # keys of what a process of pytest-xdist sends
CASES: pytest.StashKey[list[Case]] = pytest.StashKey()
FOUND: pytest.StashKey[list[Found]] = pytest.StashKey()
PLACES: pytest.StashKey[set[str]] = pytest.StashKey()
LEFT_OUT: pytest.StashKey[bool] = pytest.StashKey()  # whether the run could not read tests, or left some out
UNUSED: pytest.StashKey[list[str]] = pytest.StashKey()
REPORTS: pytest.StashKey[list[tuple[Found, Report]]] = pytest.StashKey()


def case_of(item: pytest.Item) -> Case | None:
    """Return the case that a test is about; None for the tests of others."""
    case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
    return case if type(case).__module__ == "svref.testing.case" else None


# ---- one test ----------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the case and the mistake to the report of a test, and leave the frames of svref out."""
    case = case_of(item)
    if case is not None and call.when == "call":
        item.user_properties += properties(case)
        if call.excinfo is not None and case.was_asked and case.result.verdict == "failed":
            call.excinfo = without_frames(call.excinfo)
    return (yield)


def properties(case: Case) -> list[tuple[str, object]]:
    """Return what reports for machines say of a case."""
    suite = case.suite
    named = {
        "svref_case": case.name, "svref_candidate": suite.candidate, "svref_loss": suite.loss,
        "svref_dtype": suite.dtype, "svref_vectors": suite.vectors,
    }  # fmt: skip
    result = case.result if case.was_asked else None
    mistakes = {"svref_mistakes": ", ".join(result.mistakes)} if result is not None and result.mistakes else {}
    return [*named.items(), *mistakes.items()]


def without_frames(excinfo: pytest.ExceptionInfo[BaseException]) -> pytest.ExceptionInfo[BaseException]:
    """Return an exception without the frames of svref, whatever style of traceback is asked for."""
    kept = [
        (frame, line)
        for frame, line in traceback.walk_tb(excinfo.tb)
        if PACKAGE not in Path(frame.f_code.co_filename).parents
    ]
    chain: types.TracebackType | None = None
    for frame, line in reversed(kept):
        chain = types.TracebackType(chain, frame, frame.f_lasti, line)
    if chain is None:
        return excinfo
    return pytest.ExceptionInfo.from_exc_info((excinfo.type, excinfo.value, chain))


# ---- the run ------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Note the cases that are run, and the known failures that are about one of them."""
    cases = [case for item in session.items if (case := case_of(item)) is not None]
    session.config.stash[CASES] = cases
    session.config.stash[PLACES] = {place for case in cases for place in case.suite.expected_in}
    if cases:
        from svref.testing.suite import numbered

        numbered(case.suite for case in cases)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that tests were left out, by whichever option or plugin."""
    if items:
        items[0].config.stash[LEFT_OUT] = True


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Note that tests could not be collected: their file has an error, or is skipped."""
    report = yield
    if not report.passed:
        collector.config.stash[LEFT_OUT] = True
    return report


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is judged and by which vectors."""
    cases = config.stash.get(CASES, [])
    if not cases:
        return []
    from svref.testing import section

    return [section.header([case.suite for case in cases])]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a process of pytest-xdist found."""
    output = getattr(node, "workeroutput", {PART: True})  # a process that crashed sends nothing
    if output.get(PART):
        node.config.stash[LEFT_OUT] = True
    node.config.stash.setdefault(PLACES, set()).update(output.get(USED, ()))
    data = output.get(WORKER)
    if data:
        from svref.testing.found import unpacked

        node.config.stash.setdefault(FOUND, []).extend(unpacked(data))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Find out which mistake each candidate makes, over all its failing cases."""
    config = session.config
    asked = [case for case in config.stash.get(CASES, []) if case.was_asked]
    if asked:
        config.stash[FOUND] = founds_of(asked)
    founds = config.stash.get(FOUND, [])
    if hasattr(config, "workeroutput"):
        config.workeroutput[PART] = config.stash.get(LEFT_OUT, False)
        _send(config.workeroutput, founds, config.stash.get(PLACES, set()))
        return
    if founds:
        _report(config, founds)
    config.stash[UNUSED] = unused(config)
    if config.stash[UNUSED] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _send(output: dict[str, Any], founds: list[Found], places: set[str]) -> None:
    """Send what a process of pytest-xdist found to the one that reports."""
    output[USED] = sorted(places)
    if founds:
        from svref.testing.found import packed

        output[WORKER] = packed(founds)


def _report(config: pytest.Config, founds: list[Found]) -> None:
    """Make the reports, and write each verdict into the JUnit file."""
    from svref.testing import found, section

    config.stash[REPORTS] = [(one, one.report()) for one in found.together(founds)]
    for one, report in config.stash[REPORTS]:
        _record(config, f"svref {one.key}", section.mistake(one, report))


def unused(config: pytest.Config) -> list[str]:
    """Return a sentence for each known failure in pyproject.toml that is about no candidate of a run of all tests."""
    if is_of_a_part(config):
        return []  # the candidate may be in a test that was not asked for
    file = config.rootpath / "pyproject.toml"
    if not file.is_file() or "svref" not in file.read_text(encoding="utf-8", errors="replace"):
        return []
    from svref.testing.configured import unused_entries

    places: set[str] = config.stash.get(PLACES, set())
    return unused_entries(config.rootpath, places)


def is_of_a_part(config: pytest.Config) -> bool:
    """Return whether a run may have left out tests: by its arguments, options or folder, or by errors on the way."""
    source, from_below = config.args_source, config.invocation_params.dir != config.rootpath
    in_a_folder = source == pytest.Config.ArgsSource.INVOCATION_DIR and from_below
    chosen = any(getattr(config.option, name, None) for name in OPTIONS)
    left_out = config.stash.get(LEFT_OUT, False)
    return chosen or left_out or in_a_folder or source == pytest.Config.ArgsSource.ARGS


def founds_of(cases: Sequence[Case]) -> list[Found]:
    """Return what was found of each candidate and dtype whose cases were asked."""
    from svref.testing.found import found_of

    suites = {id(case.suite): case.suite for case in cases}
    counted = {key: dict.fromkeys(("passed", "failed", "known", "skipped"), 0) for key in suites}
    for case in cases:
        counted[id(case.suite)][case.result.verdict] += 1
    return [found_of(suite, counted[key]) for key, suite in suites.items()]


def _record(config: pytest.Config, name: str, value: str) -> None:
    """Write a property of the whole run into the JUnit file, if there is one."""
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is not None:
        xml.add_global_property(name, value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which mistake each candidate makes."""
    reports, complaints = config.stash.get(REPORTS, []), config.stash.get(UNUSED, [])
    if not reports and not complaints:
        return
    from svref.testing import section

    terminalreporter.section("svref")
    for line in complaints:
        terminalreporter.write_line(line, red=True)
    if reports and not config.stash.get(CASES, []):  # with pytest-xdist nobody has said it yet
        terminalreporter.write_line(section.header([found for found, _ in reports]))
    for line in section.lines(reports):
        terminalreporter.write_line(line)
