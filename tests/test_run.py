"""The run itself: candidates that end the process, signals, memory, and what the process is like afterwards."""

from __future__ import annotations

import contextlib
import decimal
import json
import locale
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import in_process
import numpy as np
import pytest
from textbook import sv_am

import svref.judging.judge
from svref.conformance import CandidateError, check, diagnose
from svref.formats import FORMATS

NAME = "sv-am-softmax"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc on this platform")
CANDIDATE = """
import ctypes, os, posix, signal, subprocess, time
import numpy as np
from textbook import sv_am
calls = [0]
def f(cosines, labels, *, s, m, t):
    calls[0] += 1
    if calls[0] > 4:
        {}
    return sv_am(cosines, labels, s=s, m=m, t=t)
"""
COMMAND = (sys.executable, "-c", "from svref.cli import main; main()")


def candidate(tmp_path: Path, line: str) -> str:
    path = tmp_path / "ending.py"
    path.write_text(CANDIDATE.format(line), encoding="utf-8")
    return f"{path}:f"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith(("examples", "tests")))}


def svref_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, encoding="utf-8", check=False, env=environment(), timeout=100
    )


# ---- candidates that end the process ------------------------------------------------------------------------------

ENDS = {
    "ctypes.CDLL(None).exit(0)": "with exit code 0",
    "ctypes.CDLL(None)._exit(1)": "with exit code 1",
    "os.kill(os.getpid(), signal.SIGKILL)": "by signal 9 (SIGKILL)",
    "os.abort()": "by signal 6 (SIGABRT)",
    "ctypes.string_at(0)": "by signal 11 (SIGSEGV)",
    "os.execv('/bin/true', ['true'])": "with exit code 0",
}


@LINUX
@pytest.mark.parametrize("line", ENDS)
def test_a_candidate_that_ends_the_process_ends_in_a_report(line: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = svref_command("check", candidate(tmp_path, line), "--loss", NAME, "--report", str(report))
    content = json.loads(report.read_text(encoding="utf-8"))
    (mishap,) = content["mishaps"]
    assert (result.returncode, content["verdict"], result.stderr) == (2, "ERROR", "")
    assert f"ERROR  no verdict: the process ended {ENDS[line]} in case {mishap['case']}\n" in result.stdout
    assert mishap["case"].startswith("sv-am-softmax-basic-")
    assert (mishap["kind"], content["ok"]) == ("ended", False)
    assert f"--case {mishap['case']}" in content["reproduce"]


@LINUX
@pytest.mark.parametrize("body", ["ctypes.CDLL(None).exit(0)", "def f(*_, s, m, t): ctypes.CDLL(None).exit(0)"])
@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_one_that_ends_it_before_the_first_case_too(command: str, body: str, tmp_path: Path) -> None:
    (tmp_path / "ending.py").write_text(f"import ctypes\n{body}\n", encoding="utf-8")
    result = svref_command(command, f"{tmp_path / 'ending.py'}:f", "--loss", NAME)
    assert result.returncode == 2
    place = "framework of the candidate is found out" if body.startswith("def") else "candidate is imported"
    assert f"the process ended with exit code 0 while the {place}" in result.stdout


@LINUX
def test_the_exit_code_of_the_posix_module_is_an_error_of_the_case(tmp_path: Path) -> None:
    (tmp_path / "ending.py").write_text(CANDIDATE.format("posix._exit(0)").replace("> 4", "> 60"), encoding="utf-8")
    result = svref_command("check", f"{tmp_path / 'ending.py'}:f", "--loss", NAME)
    assert "ExitedError: os._exit(0)" in result.stdout


@LINUX
def test_a_process_that_the_candidate_forks_does_not_judge_it_again(tmp_path: Path) -> None:
    result = svref_command("check", candidate(tmp_path, "os.fork()"), "--loss", NAME, "--dtype", "float32")
    assert result.returncode == 0
    assert result.stdout.count("PASS\n") == 1


@LINUX
def test_processes_that_the_candidate_starts_end_with_the_run(tmp_path: Path) -> None:
    line = f"calls[0] == 5 and open({str(tmp_path / 'pid')!r}, 'w').write(str(subprocess.Popen(['sleep', '100'], start_new_session=True).pid))"
    result = svref_command("check", candidate(tmp_path, line), "--loss", NAME, "--dtype", "float32")
    assert result.returncode == 0
    assert not Path("/proc", (tmp_path / "pid").read_text(encoding="utf-8"), "stat").exists()


# ---- signals ------------------------------------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize("to_all", [True, False], ids=["as a terminal does", "to the command alone"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_signal_ends_command_and_child(number: int, code: int, to_all: bool, tmp_path: Path) -> None:
    started = tmp_path / "started"
    line = f"open({str(started)!r}, 'w').close() or time.sleep(100)"
    # A shell that starts its jobs in the background makes them ignore SIGINT.
    heeds = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from svref.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", heeds, "check", candidate(tmp_path, line), "--loss", NAME],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment(), start_new_session=True,
    )  # fmt: skip
    while not started.exists():
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (os.killpg if to_all else os.kill)(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (code, "")
    assert "Traceback" not in errors
    assert children
    assert not any(Path("/proc", child).exists() for child in children)


# ---- memory -------------------------------------------------------------------------------------------------------


@LINUX
def test_memory_beyond_the_limit_is_an_error_of_the_case(tmp_path: Path) -> None:
    path = candidate(tmp_path, "np.empty(2**27)")
    asked = ("check", path, "--loss", NAME, "--dtype", "float32", "--variations", "0", "--memory")
    assert svref_command(*asked, "4G").returncode == 0
    result = svref_command(*asked, "512M")
    assert result.returncode != 0
    assert "MemoryError: Unable to allocate 1.00 GiB" in result.stdout


@pytest.mark.parametrize("size", ["0", "-1G", "4X", "much", "0.0001"])
def test_a_memory_that_is_no_size_is_refused(size: str) -> None:
    result = in_process.svref_command("check", "nowhere.py:f", "--loss", NAME, f"--memory={size}")
    assert result.returncode == 2
    assert result.stderr.startswith("svref: --memory takes a size above 0 with a unit, such as 512M or 4G; got ")


# ---- settings -----------------------------------------------------------------------------------------------------


def world() -> dict[str, Any]:
    return {
        "error state": np.geterr(), "NumPy's generator": np.random.get_state()[1].tolist(),  # noqa: NPY002

        "print options": np.get_printoptions(), "Python's generator": random.getstate(),
        "warnings": list(warnings.filters), "locale": locale.setlocale(locale.LC_ALL), "environment": dict(os.environ),
        "folder": os.getcwd(), "path": list(sys.path), "interrupt": signal.getsignal(signal.SIGINT),
        "recursion": sys.getrecursionlimit(), "decimal": decimal.getcontext().prec, "exit": os._exit,
    }  # fmt: skip


def change_the_world() -> None:
    np.seterr(all="raise")
    np.random.seed(1)  # noqa: NPY002
    np.set_printoptions(precision=2)
    random.seed(1)
    warnings.simplefilter("error")
    locale.setlocale(locale.LC_ALL, "C")
    os.environ["SVREF_NEW"] = "1"
    os.environ.pop("PATH", None)
    os.chdir("/")
    sys.path.append("/nowhere")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setrecursionlimit(5000)
    decimal.getcontext().prec = 3


@pytest.mark.parametrize("run", [check, diagnose])
def test_python_and_numpy_are_as_before(run: Callable[..., Any]) -> None:
    def meddles(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        right = sv_am(cosines, labels, s=s, m=m, t=t)
        change_the_world()
        return right

    before = world()
    assert run(meddles, NAME, dtype="float64").ok
    after = world()
    assert {name for name in before if before[name] != after[name]} == set()


@pytest.mark.usefixtures("undiagnosed")
def test_random_numbers_go_on_from_call_to_call() -> None:
    def draws(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        losses, gradient = sv_am(cosines, labels, s=s, m=m, t=t)
        return losses * random.random(), gradient  # noqa: S311

    report = check(draws, NAME, dtype="float64")
    assert "hidden-state" in {finding.name for finding in report.findings}


def torch_world(torch: Any) -> tuple[Any, ...]:
    return (
        torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), torch.get_default_device(),
        torch.get_rng_state().tolist(), torch.get_float32_matmul_precision(), float(np.float64(1e-310) / 2),
    )  # fmt: skip


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize("run", [check, diagnose])
def test_torch_is_as_before(torch: Any, run: Callable[..., Any]) -> None:
    def meddles(cosines: Any, labels: Any, *, s: float, m: float, t: float) -> Any:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.inference_mode().__enter__()
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1 + torch.get_num_threads() % 2)
        torch.set_default_device("meta")
        torch.manual_seed(3)
        torch.set_float32_matmul_precision("medium")
        torch.set_flush_denormal(True)
        return cosines[:, 0].sum()

    before = torch_world(torch)
    with contextlib.suppress(CandidateError):  # raised by diagnose
        assert not run(meddles, NAME, dtype="float64").ok
    assert torch_world(torch) == before


def test_a_library_that_the_candidate_imports_has_the_settings_of_its_import(tmp_path: Path) -> None:
    from svref.conformance.candidates.settings import Setting, kept_with_imports

    (tmp_path / "late_library.py").write_text("level = 1\n", encoding="utf-8")
    of_library = Setting(
        "level",
        lambda: sys.modules["late_library"].level,
        lambda value: setattr(sys.modules["late_library"], "level", value),
        "late_library",
    )
    finders = list(sys.meta_path)
    sys.path.insert(0, str(tmp_path))
    try:
        with kept_with_imports([of_library]):
            import late_library

            late_library.level = 2
        assert late_library.level == 1
        assert sys.meta_path == finders
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["late_library"]


# ---- names that svref computes with -------------------------------------------------------------------------------


def zeros(values: Any, *_: Any, **__: Any) -> Any:
    return np.zeros(np.shape(values))


def zero_candidate(change: Callable[[], object]) -> Callable[..., Any]:
    def f(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        change()
        return np.zeros(len(labels), cosines.dtype), np.zeros_like(cosines)

    return f


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize(("owner", "name"), [("numpy", "abs"), ("numpy", "isnan"), ("numpy.linalg", "norm"),
                                             ("math", "isfinite"), ("builtins", "abs"), ("builtins", "any")])  # fmt: skip
def test_a_changed_library_is_set_back_and_told(owner: str, name: str) -> None:
    module = sys.modules[owner]
    before = getattr(module, name)
    report = check(zero_candidate(lambda: setattr(module, name, zeros)), NAME, dtype="float32")
    assert getattr(module, name) is before
    assert report.verdict.startswith("FAIL")
    assert f"changes {owner}.{name}, which was set back" in report.remarks


@pytest.mark.usefixtures("undiagnosed")
def test_a_name_that_is_deleted_is_set_back_and_one_that_is_added_may_stay() -> None:
    def change() -> None:
        if hasattr(np, "abs"):
            del np.abs
        np.svref_added = 1

    try:
        report = check(zero_candidate(change), NAME, dtype="float32")
        assert list(report.remarks) == ["changes numpy.abs, which was set back"]
        assert np.svref_added == 1
    finally:
        del np.svref_added


def changed_code() -> None:
    svref.judging.judge.judge.__code__ = (lambda *_, **__: None).__code__


OWN_CHANGES: dict[str, Callable[[], object]] = {
    "svref.judging.judge.judge": lambda: setattr(svref.judging.judge, "judge", zeros),
    "svref.judging.judge.Quantity.wrong": lambda: setattr(svref.judging.judge.Quantity, "wrong", property(zeros)),
    "svref.formats.FORMATS['float64']": lambda: FORMATS.update(float64=FORMATS["float16"]),
}


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize("name", [*OWN_CHANGES, "code"])
def test_who_changes_svref_cannot_pass(name: str) -> None:
    judge, table, code = svref.judging.judge.judge, dict(FORMATS), svref.judging.judge.judge.__code__
    wrong = vars(svref.judging.judge.Quantity)["wrong"]
    changed = "svref.judging.judge.judge" if name == "code" else name
    try:
        report = check(zero_candidate(OWN_CHANGES.get(name, changed_code)), NAME, dtype="float64")
        assert report.verdict == "ERROR"
        assert {m.kind for m in report.mishaps} == {"patched"}
        assert report.mishaps[0].message == f"changes {changed}, which judges it"
    except CandidateError as error:
        assert changed in str(error)  # noqa: PT017
    assert svref.judging.judge.judge is judge
    assert (FORMATS, judge.__code__) == (table, code)
    assert vars(svref.judging.judge.Quantity)["wrong"] is wrong


def test_what_the_import_of_a_candidate_changes_is_set_back(tmp_path: Path) -> None:
    before = np.abs
    (tmp_path / "patching.py").write_text(
        "import numpy as np\nnp.abs = lambda x: np.zeros(np.shape(x))\nfrom textbook import sv_am as f\n",
        encoding="utf-8",
    )
    report = check(f"{tmp_path / 'patching.py'}:f", NAME, dtype="float64")
    assert np.abs is before
    assert list(report.remarks) == ["changes numpy.abs, which was set back"]
    assert report.ok


def test_an_exit_that_does_nothing_changes_no_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "no_exit.py"
    path.write_text(
        "import sys\nimport numpy as np\n\ndef f(cosines, labels, *, s, m, t):\n"
        "    sys.exit = lambda *_: None\n    return np.zeros(len(labels)), np.zeros_like(cosines)\n",
        encoding="utf-8",
    )
    result = svref_command("check", f"{path}:f", "--loss", NAME, "--case", "sv-am-softmax-basic-63c71e68")
    assert result.returncode == 1
