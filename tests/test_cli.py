"""The command: output and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from in_process import svref_command as run
from test_explain import NOTEBOOK

import svref
from svref import golden

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
CONFIDENT = next(v.id for v in golden.load() if v.variant == "sv-am-softmax" and v.group == "confident")
RIGHT, WRONG = f"{EXAMPLES / 'textbook.py'}:sv_am", f"{EXAMPLES / 'easy_margin.py'}:sv_am"


def test_a_right_candidate_exits_0_and_says_pass() -> None:
    command = [sys.executable, "-c", "from svref.cli import main; main()", "check", RIGHT, "--loss", "sv-am-softmax"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "PASS"
    assert result.stderr == ""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_wrong_candidate_exits_1_and_says_how_to_see_it_again(dtype: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = run("check", WRONG, "--loss", "sv-am-softmax", "--dtype", dtype, "--report", str(report))
    assert result.returncode == 1
    content = json.loads(report.read_text(encoding="utf-8"))
    assert content["reproduce"] in result.stdout
    again = run(*content["reproduce"].split()[1:])
    assert again.returncode == 1
    assert str(content["failures"][0]["case"]) in again.stdout


def test_explain_reads_golden_vectors_by_their_ids() -> None:
    tie = next(v for v in golden.load() if v.group == "tie")
    result = run("explain", tie.id)
    assert result.returncode == 0
    assert "A negative equals the boundary exactly" in result.stdout
    head = next(v for v in golden.load() if v.level == "head")
    assert "cosines  [" in run("explain", head.id).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("check", "nowhere.py:f", "--loss", "softmax"),
            "svref: nowhere.py cannot be imported: FileNotFoundError: no file nowhere.py; the .py files of ",
        ),
        (
            ("check", str(EXAMPLES / "textbok.py:sv_am"), "--loss", "softmax"),
            f"svref: {EXAMPLES / 'textbok.py'} cannot be imported: FileNotFoundError: no file {EXAMPLES / 'textbok.py'}; "
            f"the .py files of {EXAMPLES} are: {', '.join(sorted(file.name for file in EXAMPLES.glob('*.py')))}.",
        ),
        (
            ("check", "no/such/f.py:f", "--loss", "softmax"),
            "svref: no/such/f.py cannot be imported: FileNotFoundError: no file no/such/f.py; there is no folder no/such.",
        ),
        (
            ("check", "notes.txt:f", "--loss", "softmax"),
            "svref: notes.txt cannot be imported: ModuleNotFoundError: No module named 'notes'; "
            "a candidate is path/file.py:name, package.module:name, or a folder or file.json of answers.",
        ),
        (
            ("check", "", "--loss", "softmax"),
            "svref: a candidate is path/file.py:name, package.module:name, or a folder or file.json of answers; got ''.",
        ),
        (("check", str(EXAMPLES), "--loss", "softmax"), f"svref: {EXAMPLES} holds no answers: it has no *.json"),
        (
            ("check", RIGHT, "--loss", "sv-am-softmax", "--strict", "--no-invalid"),
            "svref: strict judges the inputs that must raise, but invalid=False leaves them out; give one of the two.",
        ),
        (("check", RIGHT, "--loss", "sv-am"), "svref: loss must be one of softmax, am-softmax"),
        (
            ("check", RIGHT, "--loss", "combined-softmax"),
            "svref: the candidate takes no keyword m1, m2, m3; it is called f(cosines, labels, s=64, m1=1,",
        ),
        (
            ("check", RIGHT, "--loss", "sv-am-softmax", "--case", "x"),
            "svref: pack core has no case 'x' of sv-am-softmax for a candidate on cosines; see svref golden list",
        ),
        (
            ("check", RIGHT, "--loss", "sv-am-softmax", "--report", "no/such/r.json"),
            "svref: --report needs a file in an existing folder; got no/such/r.json",
        ),
        (("explain", "nothing"), "svref: no pack that ships has a case 'nothing'; see svref golden list"),
        (
            ("check", RIGHT, "--loss", "sv-am-softmax", "--pack", "no"),
            "svref: pack must be one of core, paper, seed, or a directory",
        ),
        (("check", RIGHT, "--loss", "sv-am-softmax", "--dialect", "no"), "svref: dialect must be one of"),
        (("check", RIGHT, "--loss", "sv-am-softmax", "--framework", "no"), "svref: framework must be one of numpy"),
        (("check", "nowhere/", "--loss", "sv-am-softmax"), "svref: nowhere/ cannot be imported"),
        *(
            (
                ("diagnose", RIGHT, "--loss", "sv-am-softmax", "--with", word),
                f"svref: --with takes name=value with a decimal number, such as m=0.35; got {word!r}",
            )
            for word in ("m", "=1", "s=", "s=abc", "s=nan", "s=inf", "s=1e999", "s=0x10")
        ),
        (
            ("diagnose", RIGHT, "--loss", "sv-am-softmax", "--with", "m1=3"),
            "svref: parameters of sv-am-softmax are s, m, t; got m1.",
        ),
        (("diagnose", RIGHT, "--loss", "sv-am-softmax", "--with", "s=-1"), "svref: s must be "),
        (("diagnose", str(EXAMPLES), "--loss", "softmax"), "svref: svref diagnose asks a function; answers from files"),
        (("explain", "--row", "7"), "svref: row must be from 0 to 2; got 7."),
    ],
)
def test_usage_errors_exit_2_with_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


def test_a_report_that_is_a_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    result = run("check", RIGHT, "--loss", "sv-am-softmax", "--report", str(tmp_path))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == f"svref: --report needs a file in an existing folder; got {tmp_path}\n"


@pytest.mark.parametrize("command", ["check", "diagnose"])
@pytest.mark.parametrize("leaves", ["raise SystemExit(0)", "os._exit(0)"])
@pytest.mark.parametrize("body", ["{}", "def f(cosines, labels, *, s, m, t): {}"])
def test_a_candidate_that_exits_is_not_called_right(command: str, leaves: str, body: str, tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text(f"import os\n{body.format(leaves)}\n", encoding="utf-8")
    result = run(command, f"{tmp_path / 'leaves.py'}:f", "--loss", "sv-am-softmax")
    assert result.returncode == 2
    assert leaves.split("(")[0].split()[-1] in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_an_invalid_input_that_was_accepted_is_reproduced_by_the_line_that_says_so() -> None:
    options = ("--loss", "sv-am-softmax", "--dtype", "float32", "--strict", "--timeout", "100")
    report = run("check", RIGHT, *options).stdout
    command = report.splitlines()[-1].removeprefix("reproduce ").strip()
    assert command.startswith("svref check ")
    assert "--timeout 100 --strict --case sv-am-softmax-error-" in command
    again = run(*command.split()[1:])
    assert again.returncode == 1
    assert "FAIL  is  invalid-input-accepted" in again.stdout
    assert run(*command.replace("--strict ", "").split()[1:]).returncode == 1


def test_a_fault_inside_is_never_the_verdict_wrong() -> None:
    script = "import svref.cli.check as c; c.check = lambda *a, **k: 1 / 0; from svref.cli import main; main()"
    command = [sys.executable, "-c", script, "check", RIGHT, "--loss", "softmax"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def test_a_reader_that_leaves_does_not_change_the_verdict() -> None:
    script = "import sys; from svref.cli import main; main()"
    command = [sys.executable, "-c", script, "check", RIGHT, "--loss", "sv_am_softmax", "--case", CONFIDENT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.wait() == 0


def test_a_missing_option_exits_2() -> None:
    assert run("check", RIGHT).returncode == 2


def test_explain_without_a_case_is_the_notebooks() -> None:
    result = run("explain")
    assert result.returncode == 0
    assert result.stdout == NOTEBOOK


def test_the_version() -> None:
    assert run("--version").stdout == f"svref {svref.__version__}\n"


def test_diagnose_says_what_a_candidate_computes_and_exits_1_where_that_is_not_the_papers() -> None:
    wrong = run("diagnose", WRONG, "--loss", "sv-am-softmax")
    assert wrong.returncode == 1
    assert "easy-margin-above-0: f(" in wrong.stdout
    assert wrong.stdout.splitlines()[-1].startswith("2 departures from the paper, marked !")
    right = run(
        "diagnose", RIGHT, "--loss", "sv-am-softmax", "--dtype", "float32", "--with", "m=0.375", "--with", "s=4"
    )
    assert right.returncode == 0
    assert "s=4, m=0.375, t=1.25" in right.stdout


def test_help_names_every_variant_and_every_command() -> None:
    assert {"check", "diagnose", "explain", "golden"} <= set(run("--help").stdout.split())
    text = "".join(run("check", "--help").stdout.split())
    assert all(name in text for name in svref.VARIANTS)
