"""In a test of a user's: pytest shows the report, the verdict in its last line, and how to see the failure again."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import svref
from svref.conformance.checking.reproduce import command_of, path_of, with_case

TESTS = """
import svref

def am(cosines, labels, *, s, m):
    return svref.softmax(s=s).value_and_grad(cosines, labels, reduction="none")

def test_a_function_of_the_module():
    svref.check(am, "am-softmax").raise_if_wrong()

def test_a_function_inside_another():
    def inner(cosines, labels, *, s, m):
        return am(cosines, labels, s=s, m=m)
    svref.check(inner, "am-softmax", dtype="float32", invalid=False).raise_if_wrong()

def test_a_right_one():
    svref.check(svref_am, "am-softmax").raise_if_wrong()

def svref_am(cosines, labels, *, s, m):
    return svref.am_softmax(s=s, m=m).value_and_grad(cosines, labels, reduction="none")
"""
COMMAND = [sys.executable, "-c", "from svref.cli import main; main()"]


def in_folder(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # on a machine for CI, which pytest knows by CI and BUILD_NUMBER, it prints each message a second time, in full
    environment = {name: text for name, text in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    environment |= {"COLUMNS": "200", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [*command], capture_output=True, encoding="utf-8", check=False, cwd=folder, env=environment
    )  # fmt: skip


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What pytest prints about three tests, and the folder they are in."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "test_mine.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    result = in_folder(folder, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert result.returncode == 1
    return folder, result.stdout


def test_pytest_shows_the_report_and_no_frame_of_svref(shown: tuple[Path, str]) -> None:
    assert "2 failed, 1 passed" in shown[1]
    assert shown[1].count("FAIL  is  margin-ignored") == 2
    assert shown[1].count("test_mine.py:8: AssertionError") == 1
    for inner in ("report.py", "def raise_if_wrong", "self = "):
        assert inner not in shown[1]


def test_the_last_lines_of_pytest_name_the_verdict(shown: tuple[Path, str]) -> None:
    last = "FAILED test_mine.py::test_a_function_of_the_module - AssertionError: FAIL-AS(margin-ignored)"
    assert last in shown[1].splitlines()


def reproduce_lines(text: str) -> list[str]:
    return [line.partition("reproduce ")[2].strip() for line in text.splitlines() if "  reproduce   " in line]


def test_the_line_reproduce_shows_the_failure_again(shown: tuple[Path, str]) -> None:
    folder, text = shown
    command, call = reproduce_lines(text)
    assert command.startswith("svref check test_mine.py:am --loss am-softmax --dtype float64 --case am-softmax-")
    again = in_folder(folder, *COMMAND, *command.split()[1:])
    assert again.returncode == 1
    assert "FAIL  is  margin-ignored" in again.stdout
    assert call.startswith("svref.check(inner, 'am-softmax', dtype='float32', invalid=False, case='am-softmax-")
    inner = "import svref; from test_mine import am as inner"
    assert in_folder(folder, sys.executable, "-c", f"{inner}; print({call}.verdict)").stdout.startswith("FAIL")


def here(cosines: object, labels: object, *, s: float) -> None:
    """A function with a path."""


class Head:
    def method(self) -> None:
        """A function without one."""

    def __call__(self) -> None:
        """An instance has none either."""


@pytest.mark.parametrize(
    "candidate", [lambda: 0, Head(), Head().method, Head.method, functools.partial(here, s=1.0), functools.wraps(here)(lambda: 0)]
)  # fmt: skip
def test_what_no_path_leads_to_has_none(candidate: object) -> None:
    assert path_of(candidate) == ""
    assert command_of(candidate, "softmax", {"dtype": "float64"}).startswith("svref.check(")


def test_paths_are_seen_from_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    assert path_of(here) == "tests/test_in_pytest.py:here"
    assert path_of(Head) == "tests/test_in_pytest.py:Head"
    monkeypatch.chdir(tmp_path)
    assert path_of(here) == f"{Path(__file__).resolve()}:here"
    assert path_of(svref.check) == "svref.conformance.checking.check:check"


def test_options_are_written_as_one_gives_them() -> None:
    options = {"pack": "core", "dtype": "float32", "timeout": 0.5, "no-invalid": True, "strict": False, "seed": 3}
    command = command_of("a b.py:f", "softmax", options)
    assert command == "svref check 'a b.py:f' --loss softmax --dtype float32 --timeout 0.5 --no-invalid --seed 3"
    assert with_case(command, "x-1") == f"{command} --case x-1"
    call = command_of(Head(), "softmax", options)
    assert call == "svref.check(Head, 'softmax', dtype='float32', timeout=0.5, seed=3, invalid=False)"
    assert with_case(call, "x-1") == f"{call[:-1]}, case='x-1')"
