"""The documentation runs: every Python block, every docstring example, every command and claim of the README."""

from __future__ import annotations

import doctest
import importlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import svref

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for f in sorted((ROOT / "svref").rglob("*.py"))
]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def fences(page: Path, language: str) -> list[str]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [token.content for token in tokens if token.type == "fence" and token.info.strip() == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_python_block_of_a_page_runs_and_prints_what_it_says(page: Path) -> None:
    blocks = fences(page, "python")
    assert all(">>>" in block for block in blocks), "a Python block must show its output"
    parser, runner, names = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False), {}
    for number, block in enumerate(blocks):
        test = parser.get_doctest(block, names, f"{page.name}, block {number}", str(page), 0)
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_every_docstring_example_runs_and_prints_what_it_says(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_the_pages_use_no_other_kind_of_block() -> None:
    for page in PAGES:
        tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
        assert {t.info.strip() for t in tokens if t.type == "fence"} <= {"sh", "text", "python"}, page


def commands() -> list[str]:
    return [line for block in fences(ROOT / "README.md", "sh") for line in block.splitlines()]


def test_the_readme_has_exactly_two_commands_that_set_up_a_virtual_environment() -> None:
    first, second = (line for line in commands() if "-m venv" in line)
    assert commands()[0] == first
    assert second.endswith(".venv/bin/python -m pytest")


def svref_command(line: str) -> subprocess.CompletedProcess[str]:
    """Run what a line of the README runs last, a command of svref."""
    arguments = shlex.split(line.split("&&")[-1].strip().removeprefix(".venv/bin/svref "))
    script = "from svref.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, encoding="utf-8", check=False, cwd=ROOT
    )


def test_the_readmes_first_command_ends_well_and_the_next_shows_a_wrong_example() -> None:
    right, wrong = map(svref_command, commands()[:2])
    assert (right.returncode, wrong.returncode) == (0, 1)
    assert right.stdout.endswith("PASS\n")
    printed = fences(ROOT / "README.md", "text")[0]
    assert without_versions(printed) == without_versions(wrong.stdout)


def without_versions(text: str) -> list[str]:
    """Return the lines of a report but for its first, which names versions."""
    return [line for line in text.strip().splitlines() if not line.startswith("svref ")]


def test_the_readme_names_every_variant() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in svref.VARIANTS:
        assert f"`{name}`" in text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_examples_say_what_they_are(example: Path) -> None:
    assert example.read_text(encoding="utf-8").startswith('"""')


def test_no_page_carries_a_path_of_a_machine() -> None:
    for page in [*PAGES, *ROOT.glob("svref/**/*.py"), *EXAMPLES]:
        assert str(ROOT.parent) + "/" not in page.read_text(encoding="utf-8")
