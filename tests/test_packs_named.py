"""One way to name a pack in every command: the name of one that ships, or a directory; some take a folder of packs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785
from in_process import svref_command
from resealed import replaced

from svref import golden
from svref.conformance import check
from svref.golden.files import canonical_json
from svref.golden.files.pack import SHIPPED, pack_root, pack_roots

EXAMPLE = f"{Path(__file__).parent.parent / 'docs' / 'examples' / 'textbook.py'}:sv_am"
SEED = golden.load(pack="seed")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two packs, and a file beside them."""
    folder = tmp_path_factory.mktemp("packs")
    golden.make(folder, ["seed"])
    shutil.copytree(folder / "seed", folder / "again")
    (folder / "notes.txt").write_text("about these packs", encoding="utf-8")
    return folder


def test_verify_takes_the_folder_that_make_wrote(tmp_path: Path) -> None:
    assert svref_command("golden", "make", tmp_path / "packs", "--pack", "seed").returncode == 0
    verified = svref_command("golden", "verify", tmp_path / "packs")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("seed ")


def test_verify_lint_and_list_take_every_pack_of_a_folder(packs: Path) -> None:
    assert pack_roots(packs) == pack_roots(pack=str(packs)) == [packs / "again", packs / "seed"]
    verified = svref_command("golden", "verify", packs)
    assert [line.split()[0] for line in verified.stdout.splitlines()] == ["seed", "seed"]
    linted = svref_command("golden", "lint", packs)
    assert (linted.returncode, linted.stdout) == (0, "nothing is wrong\n")
    listed = svref_command("golden", "list", packs)
    assert len(listed.stdout.splitlines()) == 2 * len(SEED)
    assert golden.find(SEED.cases[0].id, str(packs)).id == SEED.cases[0].id


def test_a_damaged_pack_of_a_folder_is_named(packs: Path, tmp_path: Path) -> None:
    shutil.copytree(packs, tmp_path / "packs")
    replaced("errata.json", lambda data: b"{}\n")(tmp_path / "packs" / "seed")
    result = svref_command("golden", "verify", tmp_path / "packs")
    assert result.returncode == 3
    assert result.stdout.startswith("seed "), "the pack before it is whole"
    assert str(tmp_path / "packs" / "seed" / "errata.json") in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("golden", "power"),
        ("golden", "export", "inputs.json", "--pack"),
        ("golden", "diff", "seed"),
        ("check", EXAMPLE, "--loss", "sv-am-softmax", "--pack"),
    ],
    ids=" ".join,
)
def test_a_command_about_one_pack_names_those_in_a_folder(words: tuple[str, ...], packs: Path) -> None:
    command = [sys.executable, "-c", "from svref.cli import main; main()", *words, str(packs)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=packs)
    assert result.returncode == 3
    assert f"has no manifest.json. Give one of the packs in it: {packs / 'again'}, {packs / 'seed'}.\n" in result.stderr


@pytest.mark.parametrize("command", ["verify", "lint", "list", "power"])
def test_the_argument_and_the_option_mean_the_same(command: str, packs: Path) -> None:
    for word in ("seed", packs / "seed"):
        by_argument, by_option = (svref_command("golden", command, *words) for words in ([word], ["--pack", word]))
        assert by_argument.returncode == by_option.returncode == 0
        assert by_argument.stdout == by_option.stdout != ""


def test_every_command_takes_a_name_or_a_directory(packs: Path, tmp_path: Path) -> None:
    for word in ("seed", str(packs / "seed")):
        assert len(golden.load(pack=word)) == len(SEED)
        assert golden.export(tmp_path / "inputs.json", pack=word) == len(SEED)
        assert check(EXAMPLE, "sv-am-softmax", pack=word).header["vectors"] == f"seed {SEED.version}"
        assert svref_command("golden", "diff", word, packs / "again").stdout == "the packs are the same\n"
        assert svref_command("explain", SEED.cases[0].id, "--pack", word).returncode == 0


def test_a_folder_called_as_a_pack_that_ships_is_told_and_not_taken(
    packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(packs)
    replaced_seed = svref_command("golden", "list", "seed")
    assert replaced_seed.stderr == "svref: seed is the pack that ships; the folder here is ./seed\n"
    assert pack_root(pack="seed") == SHIPPED / "seed"
    assert svref_command("golden", "list", "./seed").stderr == ""


def test_an_export_needs_no_extra(packs: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules |= dict.fromkeys(('rfc8785', 'flint', 'safetensors'));"
        "from svref import golden; golden.export(sys.argv[1], pack=sys.argv[2]); print(golden.verify(pack=sys.argv[2]))"
    )
    for word in ("seed", str(packs / "seed")):
        place = tmp_path / "inputs.json"
        command = [sys.executable, "-c", script, str(place), word]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "5 cases" in done.stdout
        assert place.read_bytes() == rfc8785.dumps(json.loads(place.read_bytes())) + b"\n"


# ---- the JSON that is exported ---------------------------------------------------------------------------------


def test_every_file_that_ships_is_the_canonical_json_that_another_package_writes() -> None:
    for path in sorted(SHIPPED.rglob("groups/**/*.json")):
        content = json.loads(path.read_bytes())
        assert canonical_json.dumps(content) + b"\n" == rfc8785.dumps(content) + b"\n" == path.read_bytes()


def numbers() -> list[float]:
    powers = [m * 10.0**e for e in range(-30, 30) for m in (1, 1.5, 9.999999999999999, 1.2345678901234567, 123)]
    return [
        *powers,
        *(-p for p in powers),
        *(2.0**k for k in range(-1074, 1024)),
        0.0,
        -0.0,
        5e-324,
        1.7976931348623157e308,
    ]


def test_numbers_and_strings_are_as_another_package_writes_them() -> None:
    for value in (*numbers(), 2**53 - 1, -(2**53) + 1, True, False, None, '\x00\x1f\x7f"\\/é€\U0001f600'):
        assert canonical_json.dumps(value) == rfc8785.dumps(value), value
    content = {"\ufb33": 1, "\U0001f600": (2.5, []), "a": {}, "": [None, {"b": "c"}]}
    assert canonical_json.dumps(content) == rfc8785.dumps(content)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {"\ud800": 1}])
def test_what_json_cannot_hold_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|2\^53|surrogates"):
        canonical_json.dumps(value)


@pytest.mark.parametrize("value", [{1: 2}, {1, 2}, b"x", 1j])
def test_what_is_no_content_of_json_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="of JSON must be"):
        canonical_json.dumps(value)
