"""The readers of other languages: docs/examples/sv_am.cpp and sv_am.mjs pass, and their mutants do not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import svref

PACK = Path(svref.__file__).parent / "golden" / "vectors" / "core"
EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
KINDS = ("cpp", "mjs")
NO_COMPILER = "no g++ with nlohmann/json is installed"
NO_NODE = "Node is not installed"

# what is wrong: what the text says in each language, and what the mutant says instead
MUTANTS = {
    "a tie is a support vector": {"cpp": ("c[k] > f", "c[k] >= f"), "mjs": ("c_k > f", "c_k >= f")},
    "the slope lacks t": {"cpp": ("? p.t : 1", "? 1 : 1"), "mjs": ("? t : 1", "? 1 : 1")},
    "the target's sign is wrong": {"cpp": ("? -p.s * q", "? p.s * q"), "mjs": ("? -s * q", "? s * q")},
    "one class gives NaN": {"cpp": ("if (peak == -INFINITY)", "if (false)"), "mjs": ("if (peak === -Infinity)", "if (false)")},
}  # fmt: skip

Command = list[str]
Build = Callable[[Path], Command]


def absent(reason: str) -> None:
    """Skip, counted; SVREF_REQUIRE_READERS=1 makes the absence a failure."""
    if os.environ.get("SVREF_REQUIRE_READERS") == "1":
        pytest.fail(f"{reason}, and SVREF_REQUIRE_READERS=1 asks for it")
    pytest.skip(f"{reason} (SVREF_REQUIRE_READERS=1 makes this a failure)")


def compiler() -> str:
    path = shutil.which("g++")
    probe = "#if !__has_include(<nlohmann/json.hpp>)\n#error\n#endif\n"
    if path is None or run([path, "-std=c++17", "-E", "-x", "c++", "-"], stdin=probe).returncode:
        absent(NO_COMPILER)
    return str(path)


def compiled(source: Path) -> Command:
    program = source.with_suffix(".bin")
    warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
    made = run([compiler(), "-std=c++17", *warnings, "-o", str(program), str(source)])
    assert made.returncode == 0, made.stderr
    return [str(program)]


def interpreted(source: Path) -> Command:
    node = shutil.which("node")
    if node is None:
        absent(NO_NODE)
    return [str(node), str(source)]


def run(command: Command, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8", check=False, timeout=300)


@cache
def built(kind: str, text: str, folder: Path) -> Command:
    """Return the command that runs a source text."""
    build: dict[str, Build] = {"cpp": compiled, "mjs": interpreted}
    source = folder / f"reader.{kind}"
    source.write_text(text, encoding="utf-8")
    return build[kind](source)


def source_of(kind: str) -> str:
    return (EXAMPLES / f"sv_am.{kind}").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readers")


@pytest.fixture(params=KINDS)
def reader(request: pytest.FixtureRequest, folder: Path) -> Command:
    return built(request.param, source_of(request.param), folder)


def groups(pack: Path) -> list[Path]:
    return sorted((pack / "groups" / "sv-am-softmax").glob("*.json"))


def counts() -> str:
    """What the verdict must say, counted here: one element for each decision, each loss, each entry of the gradient."""
    cases = [case for file in groups(PACK) for case in json.loads(file.read_bytes())["cases"]]
    errors = [case for case in cases if case["result"] == "error"]
    judged = [case for case in cases if case["level"] == "cosine" and case not in errors]
    elements = sum(len(case["expected"]["loss"]["data"]) for case in judged)
    elements += sum(2 * len(case["expected"]["cosines"]["data"]) for case in judged)
    heads = len(cases) - len(judged) - len(errors)
    return (
        rf"PASS  sv-am-softmax  {len(judged)} cases, {elements} elements, 0 wrong, worst 0\.\d\d times the tolerance, "
        rf"\d+ vacuous, {len(errors)} error cases skipped, {heads} head cases skipped"
    )


def test_a_reader_passes_and_counts_every_element_of_its_variant(reader: Command) -> None:
    result = run([*reader, str(PACK)])
    *lines, verdict = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(counts(), verdict)
    assert [line.split()[0] for line in lines] == [file.stem for file in groups(PACK)]


def test_both_readers_print_the_same(folder: Path) -> None:
    cpp, mjs = (run([*built(kind, source_of(kind), folder), str(PACK)]).stdout for kind in KINDS)
    assert without_worst(cpp) == without_worst(mjs) != ""


def test_the_page_shows_what_a_reader_prints(reader: Command) -> None:
    page = (EXAMPLES.parent / "how-to" / "vectors.md").read_text(encoding="utf-8")
    assert f"```text\n{without_worst(run([*reader, str(PACK)]).stdout)}```" in without_worst(page)


def without_worst(text: str) -> str:
    """Return a text without the figure that depends on the exponential of a library."""
    return re.sub(r"worst 0\.\d\d", "worst", text)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_reader_does_not_read_it_does_not_need_and_it_says_so(kind: str) -> None:
    cases = [case for file in groups(PACK) for case in json.loads(file.read_bytes())["cases"]]
    for case in (c for c in cases if c["level"] == "cosine" and c["result"] != "error"):
        assert set(case["decisive"]["float64"]) == {"1"}, case["id"]
        assert all(branch["dtype"] != "float64" for branch in case["branches"]), case["id"]
    head, page = source_of(kind).splitlines()[:5], (EXAMPLES.parent / "how-to" / "vectors.md").read_text("utf-8")
    assert any("neither `decisive` nor `branches`" in line for line in head)
    assert "reads neither `decisive` nor `branches`" in page
    assert len(source_of(kind).splitlines()) < 150


def all_mutants(kind: str) -> str:
    """Return one program with all mutants, of which the environment chooses one: each build would take five seconds."""
    text = source_of(kind)
    for mutant, by_kind in MUTANTS.items():
        said, says = by_kind[kind]
        assert text.count(said) == 1
        text = text.replace(said, chosen(kind, mutant, said, says))
    return text.replace("#include <cstdio>\n", "#include <cstdio>\n#include <cstdlib>\n")


@pytest.fixture(scope="module")
def of_mutants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


def chosen(kind: str, mutant: str, said: str, says: str) -> str:
    """Return code that is what the mutant says where the environment names it, else what the text said.

    The code is an expression, with what stands around it in both texts left outside.
    """
    before = next(start for start in ("if (", "? ", "") if said.startswith(start) and says.startswith(start))
    after = next(end for end in (" : 1", " * q", ")", "") if said.endswith(end) and says.endswith(end))
    right, wrong = (text.removeprefix(before).removesuffix(after) for text in (said, says))
    asked = {
        "cpp": f'std::getenv("MUTANT") && string(std::getenv("MUTANT")) == "{mutant}"',
        "mjs": f'process.env.MUTANT === "{mutant}"',
    }[kind]
    return f"{before}(({asked}) ? {wrong} : {right}){after}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_a_reader_fails(mutant: str, kind: str, of_mutants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = built(kind, all_mutants(kind), of_mutants)
    assert run([*program, str(PACK)]).returncode == 0, "no mutant is chosen"
    monkeypatch.setenv("MUTANT", mutant)
    result = run([*program, str(PACK)])
    assert result.returncode == 1
    assert "first departure  sv-am-softmax-" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("FAIL  sv-am-softmax")


def copied(folder: Path, change: Callable[[dict], None]) -> Path:
    """Return a copy of the pack whose first group was changed."""
    shutil.copytree(PACK, folder / "pack")
    file = groups(folder / "pack")[0]
    content = json.loads(file.read_bytes())
    change(content["cases"][0])
    file.write_text(json.dumps(content), encoding="utf-8")
    return folder / "pack"


def test_a_value_off_by_twice_its_tolerance_fails(reader: Command, tmp_path: Path) -> None:
    def change(case: dict) -> None:
        case["expected"]["loss"]["data"][1] += 16 * 2.0**-53 * 1.1 * case["scales"]["loss"]["data"][1]

    result = run([*reader, str(copied(tmp_path, change))])
    assert result.returncode == 1
    assert " 1 wrong" in result.stdout.splitlines()[-1]
    assert "row 1 loss[0]" in result.stdout.splitlines()[0]


def test_a_tensor_with_too_few_numbers_is_damage(reader: Command, tmp_path: Path) -> None:
    def change(case: dict) -> None:
        case["expected"]["cosines"]["lo"].pop()

    result = run([*reader, str(copied(tmp_path, change))])
    assert result.returncode == 3
    assert result.stderr.startswith("the vectors cannot be read: ")


def test_a_file_that_is_no_json_is_named(reader: Command, tmp_path: Path) -> None:
    pack = copied(tmp_path, lambda case: None)
    file = groups(pack)[0]
    file.write_bytes(file.read_bytes()[:-40])
    result = run([*reader, str(pack)])
    assert result.returncode == 3
    assert str(file) in result.stderr


def test_a_pack_of_another_format_is_not_read(reader: Command, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "svref-vectors/2", "files": {}}', encoding="utf-8")
    result = run([*reader, str(tmp_path)])
    assert result.returncode == 3
    assert "the format is not svref-vectors/1" in result.stderr


def test_a_pack_without_the_variant_is_no_pass(reader: Command, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "svref-vectors/1", "files": {}}', encoding="utf-8")
    result = run([*reader, str(tmp_path)])
    assert result.returncode == 3
    assert "holds no case of sv-am-softmax" in result.stderr


def test_a_missing_directory_is_named(reader: Command, tmp_path: Path) -> None:
    result = run([*reader, str(tmp_path / "nowhere")])
    assert result.returncode == 3
    assert str(tmp_path / "nowhere") in result.stderr


@pytest.mark.parametrize(("tool", "reason"), [(compiler, NO_COMPILER), (lambda: interpreted(EXAMPLES), NO_NODE)])
def test_an_absent_tool_is_a_counted_skip_or_a_failure(
    tool: Callable[[], object], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("SVREF_REQUIRE_READERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=re.escape(reason)):
        tool()
    monkeypatch.setenv("SVREF_REQUIRE_READERS", "1")
    with pytest.raises(pytest.fail.Exception, match=re.escape(reason)):
        tool()


def test_a_call_without_a_pack_shows_the_usage(reader: Command) -> None:
    result = run(reader)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: sv_am")
