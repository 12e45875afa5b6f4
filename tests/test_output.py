"""What the command prints on a narrow screen, in an encoding without θ, and where nothing can be written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from in_process import svref_command
from test_cli import RIGHT, WRONG

from svref.cli.output import spelled, wrapped

SCREENS = {
    "check": ("check", WRONG, "--loss", "sv-am-softmax"),
    "diagnose": ("diagnose", WRONG, "--loss", "sv-am-softmax"),
    "explain": ("explain",),
    "power": ("golden", "power"),
    "list": ("golden", "list", "--variant", "softmax"),
}


def run(*arguments: str, stdout: int = subprocess.PIPE, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with more variables in its environment."""
    command = [sys.executable, "-c", "from svref.cli import main; main()", *arguments]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "200", **variables}, check=False
    )


# ---- encodings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", [*SCREENS, "help"])
def test_an_encoding_that_lacks_letters_changes_no_exit_code(screen: str) -> None:
    arguments = SCREENS.get(screen, ("check", "--help"))
    whole = run(*arguments, PYTHONIOENCODING="utf-8")
    others = {"check": ("latin-1",), "explain": ("cp1252",)}
    for encoding in ("ascii", *others.get(screen, ())):
        plain = run(*arguments, PYTHONIOENCODING=encoding)
        assert (plain.returncode, plain.stderr) == (whole.returncode, b"")
        text = plain.stdout.decode(encoding)
        assert "?" not in text.replace("?", "", whole.stdout.decode().count("?"))
        if screen == "explain":
            assert "theta" in text or "sum" in text


def test_an_error_is_spelled_too() -> None:
    result = run("check", "θé.py:f", "--loss", "softmax", PYTHONIOENCODING="ascii")
    assert result.returncode == 2
    assert result.stderr.startswith(b"svref: thetae.py cannot be imported")


def test_what_has_no_spelling_keeps_its_number() -> None:
    assert spelled("θ ≠ π · Σ é") == "theta != pi * sum e"
    assert spelled("\u4e2d\udcff") == "\\u4e2d\\udcff"


# ---- where nothing can be written ---------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /proc on this platform")
@pytest.mark.parametrize("screen", ["check", "explain", "help"])
def test_a_full_disk_changes_no_exit_code(screen: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = (*SCREENS["check"], "--report", str(report)) if screen == "check" else SCREENS.get(screen, ("--help",))
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        result = run(*arguments, stdout=full)
    finally:
        os.close(full)
    assert result.returncode == (1 if screen == "check" else 0)
    assert result.stderr == b"svref: the output cannot be written: No space left on device\n"
    if screen == "check":
        assert json.loads(report.read_text(encoding="utf-8"))["verdict"].startswith("FAIL")


# ---- narrow screens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", SCREENS)
def test_a_narrow_screen_gets_the_same_words_in_shorter_lines(screen: str) -> None:
    wide, narrow = (run(*SCREENS[screen], COLUMNS=columns).stdout.decode() for columns in ("200", "40"))
    assert [word for word in narrow.split() if word != "\\"] == wide.split()
    too_long = [line for line in narrow.splitlines() if len(line) > 40 and len(line.rstrip(" \\").split()) > 1]
    assert too_long == []


def test_a_wrapped_command_is_the_same_command() -> None:
    command = "svref check a/long/path/to/a/candidate.py:f --loss sv-am-softmax --case sv-am-softmax-basic-63c71e68"
    lines = wrapped(f"reproduce         {command}\n", 40)
    script = lines.removeprefix("reproduce\n").replace("svref", "echo svref", 1)
    read = subprocess.run(["sh", "-c", script], capture_output=True, encoding="utf-8", check=True).stdout  # noqa: S607
    assert read == f"{command}\n"


def test_indices_and_words_are_not_broken() -> None:
    assert (
        wrapped("  grad_cosines[1, 2] = 3.82734187, but\n", 20) == "  grad_cosines[1, 2]\n    = 3.82734187,\n    but\n"
    )
    assert wrapped("a" * 50, 20) == "a" * 50
    assert wrapped("long " * 50, None) == "long " * 50


# ---- empty values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option", ["framework", "dialect", "case", "precision", "pack", "device", "report", "memory", "loss"]
)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_refused(option: str, value: str) -> None:
    for words in ([f"--{option}", value], [f"--{option}={value}"]):
        result = svref_command("check", RIGHT, "--loss", "sv-am-softmax", *words)
        assert result.returncode == 2
        assert result.stderr.startswith(f"svref: --{option} needs a value; got ")
        assert result.stdout == ""


@pytest.mark.parametrize("words", [("list", "--variant", ""), ("list", "--group="), ("verify", ""), ("make", "")])
def test_and_so_it_is_by_the_commands_on_vectors(words: tuple[str, ...]) -> None:
    result = svref_command("golden", *words)
    assert result.returncode == 2
    assert re.search(r"(is empty|needs a value); got (''|an empty one)\.", result.stderr)
