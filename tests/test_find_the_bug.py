"""The tutorial's PyTorch head: its author's tests pass, svref finds the mistake, and the mended head passes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_pages import OF_THE_MACHINE, output, screens, without_version

import svref

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tutorial" / "find-the-bug.md"
SCREENS = dict(screens(PAGE))
AUTHORS = """
import pytest
import torch
from buggy_head import SVAMHead
from torch.nn import functional

@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(64, 16, generator=generator), torch.randint(10, (64,), generator=generator)

@pytest.fixture
def head():
    torch.manual_seed(0)
    return SVAMHead(16, 10)

def step(optimizer, head, embeddings, labels):
    loss = head(embeddings, labels).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
"""


def code_of(page: Path) -> list[str]:
    """Return the blocks of code on the page: those of text that are no screens."""
    blocks = re.findall(r"```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if not block.startswith("svref ")]


@pytest.mark.parametrize("command", SCREENS)
def test_a_screen_is_what_its_command_prints(torch: object, command: str) -> None:
    shown, printed = (
        [OF_THE_MACHINE.sub("# times", line) for line in without_version(text)]
        for text in (SCREENS[command], output(command))
    )
    assert shown == printed


def test_the_authors_tests_pass_though_the_head_is_wrong(torch: Any, tmp_path: Path) -> None:
    tests = next(block for block in code_of(PAGE) if "def test_it_trains" in block)
    file = tmp_path / "test_the_head_of_the_author.py"
    file.write_text(AUTHORS + "\n\n" + tests, encoding="utf-8")
    assert tests.count("\ndef test_") == 4
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={tmp_path}"]
    assert pytest.main([*options, str(file)]) == 0


def test_the_code_on_the_page_is_that_of_the_files() -> None:
    files = ["buggy_head.py", "mended_head.py"]
    code = {
        line.strip() for name in files for line in (ROOT / "docs" / "examples" / name).read_text("utf-8").splitlines()
    }
    shown = [block for block in code_of(PAGE) if "def test_" not in block]
    assert len(shown) == 3
    assert {line.strip() for block in shown for line in block.splitlines()} <= code


def test_the_line_that_keeps_it_mended_passes(torch: Any) -> None:
    from mended_head import MendedHead

    svref.check(MendedHead, "sv-am-softmax", variations=0).raise_if_wrong()


def main() -> None:
    """Write the screens into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for command, shown in screens(PAGE):
        text = text.replace(f"{command}\n```\n\n```text\n{shown}", f"{command}\n```\n\n```text\n{output(command)}")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
