"""Packs in somebody's repository: written and updated whole, never over other files; checked; and built as packages.

python tests/test_vendor.py --write    writes what the commands print into the page about them
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from in_process import svref_command
from markdown_it import MarkdownIt
from resealed import edited, seal

from svref import __version__, golden
from svref.golden.files.pack import SHIPPED, shipped
from svref.golden.files.schema import schema_of
from svref.golden.vendoring import writing
from svref.golden.vendoring.checking import check_vendored
from svref.golden.vendoring.lock import LOCK
from svref.golden.vendoring.withdrawn import LIST, read_withdrawn
from svref.golden.vendoring.writing import vendor

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "how-to" / "vendor-vectors.md"
GROUP = "groups/sv-softmax/notebook.json"
OLD, NEW = "1.0.0", "99.10.0"  # of the pack seed
SEED = golden.load(pack="seed")
CASE = SEED.cases[-1].id


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes of every file, and when it was written."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def kinds(folder: Path, errata: Path | None = None) -> list[str]:
    return [finding.kind for finding in check_vendored(folder, errata).findings]


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """A folder with the pack seed."""
    vendor(tmp_path / "vectors", ["seed"])
    return tmp_path / "vectors"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A folder with an older version of the pack seed, which had one group more."""
    pack = tmp_path / "older" / "seed"
    shutil.copytree(SHIPPED / "seed", pack)
    group = json.loads((pack / GROUP).read_bytes())
    (pack / "groups" / "old").mkdir()
    (pack / "groups" / "old" / "notebook.json").write_bytes(json.dumps(group | {"variant": "old"}).encode())
    seal(pack, {"version": OLD})
    vendor(tmp_path / "vectors", [str(pack)])
    return tmp_path / "vectors"


# ---- what is written -----------------------------------------------------------------------------------------------


def test_the_folder_has_pack_schemas_licence_sums_and_lock(seed: Path) -> None:
    assert sorted(p.name for p in seed.iterdir()) == sorted(
        [".gitattributes", "LICENSE", "README.md", "SHA256SUMS", "seed", LOCK]
    )
    assert (seed / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    shipped_files = {name: data for name, (data, _) in snapshot(SHIPPED / "seed").items()}
    assert {name: data for name, (data, _) in snapshot(seed / "seed").items()} == shipped_files
    assert len(golden.load(seed / "seed")) == 5


def test_the_lock_says_what_was_written(seed: Path) -> None:
    lock = json.loads((seed / LOCK).read_bytes())
    jsonschema.Draft202012Validator(schema_of("lock")).validate(lock)
    assert (lock["format"], lock["svref"], lock["packages"]) == ("svref-vectors-lock/1", __version__, {})
    assert lock["packs"] == [
        {"name": "seed", "version": SEED.version, "digest": SEED.digest, "cases": 5, "errata": "seed/errata.json"}
    ]
    assert "svref/golden/errata.json" in lock["errata"]
    files = snapshot(seed)
    assert lock["files"] == {
        name: sha256(data) for name, (data, _) in files.items() if name not in ("SHA256SUMS", LOCK)
    }


def test_sha256sum_checks_every_file_but_its_own(seed: Path) -> None:
    lines = (seed / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert sums == {name: sha256(data) for name, (data, _) in snapshot(seed).items() if name != "SHA256SUMS"}
    assert run(tool("sha256sum"), "--quiet", "-c", "SHA256SUMS", cwd=seed) == ""


def test_core_is_what_is_meant_where_no_pack_is_named(tmp_path: Path) -> None:
    done = vendor(tmp_path / "a" / "b")
    assert [pack.name for pack in done.lock.packs] == ["core"]
    assert kinds(tmp_path / "a" / "b") == []
    assert sum(len(data) for data, _ in snapshot(tmp_path / "a" / "b").values()) < 4.2e6


def test_several_packs_stand_side_by_side(tmp_path: Path) -> None:
    done = vendor(tmp_path, ["seed", "paper", "seed"])
    assert [pack.name for pack in done.lock.packs] == ["seed", "paper"]
    assert (tmp_path / "paper" / "manifest.json").is_file()


def test_a_pack_from_a_directory_is_named_again_for_an_update(tmp_path: Path) -> None:
    pack = tmp_path / "made"
    shutil.copytree(SHIPPED / "seed", pack)
    seal(pack, {"pack": "mine"})
    vendor(tmp_path / "vectors", [str(pack)])
    with pytest.raises(ValueError, match="the pack mine does not ship with svref"):
        vendor(tmp_path / "vectors")
    (tmp_path / "vectors" / "LICENSE").unlink()
    assert check_vendored(tmp_path / "vectors").findings[0].todo.endswith("/vectors --pack DIRECTORY/mine")


# ---- a second run --------------------------------------------------------------------------------------------------


def test_a_second_run_writes_nothing_where_nothing_changed(seed: Path) -> None:
    before = snapshot(seed)
    done = vendor(seed)
    assert (done.written, done.removed) == ((), ())
    assert snapshot(seed) == before


def test_a_second_run_brings_an_older_pack_up_to_date_and_removes_what_it_no_longer_has(older: Path) -> None:
    done = vendor(older)
    assert done.removed == ("seed/groups/old/notebook.json",)
    assert not (older / "seed" / "groups" / "old").exists()
    assert done.lock.packs[0].version == SEED.version
    assert kinds(older) == []


def test_a_second_run_mends_damage(seed: Path) -> None:
    (seed / "seed" / GROUP).write_bytes(b"{}")
    (seed / "LICENSE").unlink()
    done = vendor(seed)
    assert done.written == ("LICENSE", f"seed/{GROUP}")
    assert kinds(seed) == []


def test_another_choice_of_packs_replaces_the_first(seed: Path) -> None:
    vendor(seed, ["paper"])
    assert not (seed / "seed").exists()
    assert kinds(seed) == []


def test_packages_are_kept_by_an_update(tmp_path: Path) -> None:
    vendor(tmp_path, ["seed"], {"npm": "@you/vectors"})
    assert vendor(tmp_path).lock.packages == {"npm": "@you/vectors"}
    assert vendor(tmp_path, packages={"go": ""}).removed == ("package.json",)


def test_an_older_svref_takes_nothing_back_unless_packs_are_named(seed: Path, tmp_path: Path) -> None:
    pack = tmp_path / "newer"
    shutil.copytree(SHIPPED / "seed", pack)
    seal(pack, {"version": NEW})
    vendor(seed, [str(pack)])
    assert kinds(seed) == []
    before = snapshot(seed)
    with pytest.raises(ValueError, match=r"the folder has seed 99\.10\.0, and this svref has .*, which is older"):
        vendor(seed)
    assert snapshot(seed) == before
    vendor(seed, ["seed"])
    assert kinds(seed) == []


@pytest.mark.parametrize("first", ["older", "fresh"])
@pytest.mark.parametrize("written", range(4))
def test_a_run_that_is_interrupted_is_continued_by_the_next(
    written: int, first: str, older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = older if first == "older" else tmp_path / "fresh"
    count, write = iter(range(written)), writing.write_file

    def interrupted(path: Path, data: bytes) -> None:
        if next(count, None) is None:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(writing, "write_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        vendor(folder, ["seed"])
    monkeypatch.undo()
    vendor(folder, ["seed"])
    vendor(tmp_path / "at once", ["seed"])
    assert [data for data, _ in snapshot(folder).values()] == [
        data for data, _ in snapshot(tmp_path / "at once").values()
    ]
    assert kinds(folder) == []


def test_what_a_killed_run_left_is_cleared_away(seed: Path) -> None:
    left = seed / "seed" / ".manifest.json.123456789012.tmp"
    left.write_bytes(b"half")
    vendor(seed)
    assert not left.exists()


def test_what_a_killed_run_left_of_a_file_that_is_gone_is_cleared_away(older: Path) -> None:
    left = older / "seed" / "groups" / "old" / ".notebook.json.123456789012.tmp"
    left.write_bytes(b"half")
    vendor(older)
    assert not left.parent.exists()
    assert kinds(older) == []


@pytest.mark.parametrize("first", ["seed", ""])
def test_a_killed_run_with_other_packs_is_continued_without_naming_them(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write, count = tmp_path / "vectors", writing.write_file, iter(range(9))
    if first:
        vendor(folder, [first])

    def killed(path: Path, data: bytes) -> None:
        if next(count, None) is None:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(writing, "write_file", killed)
    with pytest.raises(KeyboardInterrupt):
        vendor(folder, ["paper"])
    monkeypatch.undo()
    assert set(kinds(folder)) == {"damaged"}
    assert [pack.name for pack in vendor(folder).lock.packs] == ["paper"]
    assert not (folder / "seed").exists()
    assert kinds(folder) == []


# ---- other files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("notes.txt", "notes.txt"),
        ("seed/notes.txt", "seed"),
        ("paper/notes.txt", "paper/notes.txt"),
        ("manifest.json", "manifest.json"),
        ("src/main.rs", "src"),
        (".hidden", ".hidden"),
        ("LICENSE", "LICENSE"),
    ],
)
def test_a_folder_with_a_file_of_somebody_else_is_left_as_it_is(name: str, shown: str, tmp_path: Path) -> None:
    put(tmp_path, {name: "mine"})
    assert_left_as_it_is(tmp_path, shown)


@pytest.mark.parametrize("name", ["notes.txt", "seed/notes.txt", "manifest.json", "paper/notes.txt"])
def test_so_it_is_where_svref_has_written_the_rest(name: str, seed: Path) -> None:
    put(seed, {name: "mine"})
    assert_left_as_it_is(seed, name)


def test_the_folder_may_be_a_repository_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, {".git/HEAD": "ref: refs/heads/main"})
    vendor(tmp_path, ["seed"])
    assert kinds(tmp_path) == []
    assert vendor(tmp_path).written == ()


def assert_left_as_it_is(folder: Path, shown: str) -> None:
    before = snapshot(folder)
    result = svref_command("golden", "vendor", folder, "--pack", "paper")
    assert result.returncode == 2
    assert f"and holds {shown}, which svref did not write. Nothing was written. Give another folder" in result.stderr
    assert snapshot(folder) == before


def test_a_link_in_the_folder_is_not_followed(seed: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (seed / "seed").rename(tmp_path / "mine" / "seed")
    (seed / "seed").symlink_to(tmp_path / "mine" / "seed")
    before = snapshot(tmp_path / "mine")
    with pytest.raises(ValueError, match="holds seed, which svref did not write"):
        vendor(seed, ["paper"])
    assert snapshot(tmp_path / "mine") == before
    assert "damaged" in kinds(seed)


@pytest.mark.parametrize("name", ["../mine.txt", "/etc/hostname", "seed/../../mine.txt", "seed//a"])
def test_a_lock_that_names_a_file_outside_the_folder_is_refused(name: str, seed: Path) -> None:
    lock = json.loads((seed / LOCK).read_bytes())
    lock["files"][name] = "0" * 64
    (seed / LOCK).write_text(json.dumps(lock), encoding="utf-8")
    (seed.parent / "mine.txt").write_text("mine", encoding="utf-8")
    result = svref_command("golden", "vendor", seed)
    assert result.returncode == 3
    assert "which is no name that svref writes. Take svref-vectors.lock from the history" in result.stderr
    assert kinds(seed) == ["damaged"]
    assert (seed.parent / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "vectors"):
        with pytest.raises(ValueError, match="file is there, and is none"):
            vendor(path, ["seed"])


# ---- the check -----------------------------------------------------------------------------------------------------


def changed(folder: Path) -> str:
    with (folder / "seed" / GROUP).open("ab") as file:
        file.write(b" ")
    return f"seed/{GROUP}"


def missing(folder: Path) -> str:
    (folder / "seed" / "power.json").unlink()
    return "seed/power.json"


def with_other_line_ends(folder: Path) -> str:
    path = folder / "README.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return "README.md"


def replaced_by_a_link(folder: Path) -> str:
    shutil.move(folder / "LICENSE", folder.parent / "LICENSE")
    (folder / "LICENSE").symlink_to(folder.parent / "LICENSE")
    return "LICENSE"


def with_a_new_file(folder: Path) -> str:
    (folder / "seed" / "groups" / "more.json").write_bytes(b"{}")
    return "seed/groups/more.json"


def with_other_sums(folder: Path) -> str:
    (folder / "SHA256SUMS").write_bytes(b"")
    return "SHA256SUMS"


DAMAGES: dict[Callable[[Path], str], str] = {
    changed: "its bytes were changed",
    missing: "it is missing",
    with_other_line_ends: "only its line ends were changed",
    replaced_by_a_link: "it must be a regular file, and is a link",
    with_a_new_file: "svref-vectors.lock does not list it",
    with_other_sums: "its bytes were changed",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_damage_is_found_with_file_digests_and_what_to_do(damage: Callable[[Path], str], seed: Path) -> None:
    expected = {name: sha256(data) for name, (data, _) in snapshot(seed).items()}
    name = damage(seed)
    result = svref_command("golden", "vendor", "--check", seed)
    assert result.returncode == 1
    assert f"damaged    {name}: {DAMAGES[damage]}" in result.stdout
    found = next(finding for finding in check_vendored(seed).findings if finding.what == name)
    path = seed / name
    assert found.expected == expected.get(name)
    is_other = damage not in (missing, replaced_by_a_link, with_a_new_file)
    assert found.got == (sha256(path.read_bytes()) if is_other else None)
    assert f"expected sha256 {found.expected}" in result.stdout or name not in expected
    assert f"Write it again: svref golden vendor {seed}\n" in result.stdout or damage is with_a_new_file


def test_a_lock_that_cannot_be_read_is_damage(seed: Path) -> None:
    for data, why in {
        b"{": "is not JSON",
        b"{}": "is of format None",
        b'{"format": "svref-vectors-lock/2"}': "lock/2",
    }.items():
        (seed / LOCK).write_bytes(data)
        result = svref_command("golden", "vendor", "--check", seed)
        assert result.returncode == 1
        assert why in result.stdout
        assert result.stdout.endswith(
            "\nTake svref-vectors.lock from the history of your repository, or move its folder away and vendor again.\n"
        )


def rewritten(folder: Path) -> None:
    """Write the lock and the sums again around files that somebody changed."""
    lock = json.loads((folder / LOCK).read_bytes())
    lock["files"] = {name: sha256((folder / name).read_bytes()) for name in lock["files"]}
    lock["packs"][0]["digest"] = lock["files"]["seed/manifest.json"]
    (folder / LOCK).write_text(json.dumps(lock), encoding="utf-8")
    sums = {**lock["files"], LOCK: sha256((folder / LOCK).read_bytes())}
    (folder / "SHA256SUMS").write_text("".join(f"{sums[n]}  {n}\n" for n in sorted(sums)), encoding="utf-8")


def test_a_changed_number_is_found_though_every_digest_was_made_to_fit(seed: Path) -> None:
    def change(group: dict) -> None:
        group["cases"][0]["expected"]["loss"]["data"][0] *= 2

    edited(GROUP, change)(seed / "seed")
    rewritten(seed)
    result = svref_command("golden", "vendor", "--check", seed)
    assert result.returncode == 1
    assert f"damaged    seed/{GROUP}: it is not the file of seed {SEED.version} that ships with svref" in result.stdout


def test_a_pack_that_is_not_what_the_lock_calls_it_is_damage(seed: Path) -> None:
    lock = json.loads((seed / LOCK).read_bytes())
    lock["packs"][0]["version"] = NEW
    (seed / LOCK).write_text(json.dumps(lock), encoding="utf-8")
    rewritten(seed)
    assert f"it is seed {SEED.version} (sha256" in str(check_vendored(seed))


def test_a_manifest_that_counts_no_cases_is_damage(seed: Path) -> None:
    path = seed / "seed" / "manifest.json"
    content = json.loads(path.read_bytes())
    del content["cases"]
    path.write_text(json.dumps(content), encoding="utf-8")
    rewritten(seed)
    assert "does not follow the manifest schema" in str(check_vendored(seed))
    assert svref_command("golden", "vendor", seed, "--pack", seed / "seed").returncode == 3


def test_a_folder_is_quoted_in_the_command_that_writes_it_again(tmp_path: Path) -> None:
    folder = tmp_path / "my vectors"
    with pytest.raises(ValueError, match=f"or write one: svref golden vendor '{folder}'$"):
        check_vendored(folder)
    vendor(folder, ["seed"])
    missing(folder)
    assert check_vendored(folder).findings[0].todo == f"Write it again: svref golden vendor '{folder}'"


def test_an_older_version_is_stale(older: Path) -> None:
    result = svref_command("golden", "vendor", "--check", older)
    assert result.returncode == 1
    assert result.stdout == (
        f"stale      seed {OLD}: svref {__version__} has {SEED.version}\nUpdate: svref golden vendor {older}\n"
    )


def errata(folder: Path, *entries: dict) -> Path:
    path = folder / "errata.json"
    path.write_text(json.dumps({"format": "svref-errata/1", "withdrawn": entries}), encoding="utf-8")
    return path


def test_a_withdrawn_pack_says_what_to_do(older: Path, tmp_path: Path) -> None:
    entry = {"pack": "seed", "versions": [OLD], "ids": [], "reason": "The group old has no loss of its own."}
    result = svref_command("golden", "vendor", "--check", older, "--errata", errata(tmp_path, entry))
    assert result.returncode == 1
    assert f"withdrawn  seed {OLD}: The group old has no loss of its own.\n" in result.stdout
    assert f"Do not rely on it. Update to {SEED.version}: svref golden vendor {older}\n" in result.stdout


def test_a_withdrawn_case_of_the_newest_version_needs_a_newer_svref(seed: Path, tmp_path: Path) -> None:
    entry = {"pack": "seed", "versions": [OLD, SEED.version], "ids": [CASE], "reason": "Its loss is wrong."}
    result = svref_command("golden", "vendor", "--check", seed, "--errata", errata(tmp_path, entry))
    assert result.returncode == 1
    assert f"withdrawn  {CASE} of seed {SEED.version}: Its loss is wrong.\n" in result.stdout
    assert "Get a newer svref, pip install -U svref, and then update" in result.stdout


def test_a_withdrawal_of_another_pack_or_version_is_no_finding(seed: Path, tmp_path: Path) -> None:
    other = {"ids": [], "reason": "Wrong."}
    path = errata(
        tmp_path, {"pack": "seed", "versions": [OLD], **other}, {"pack": "core", "versions": [SEED.version], **other}
    )
    assert kinds(seed, path) == []


@pytest.mark.parametrize("content", ["{", "{}", '{"format": "svref-errata/1", "withdrawn": [{"pack": "seed"}]}'])
def test_a_list_that_is_none_is_a_wrong_option(content: str, seed: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(content, encoding="utf-8")
    result = svref_command("golden", "vendor", "--check", seed, "--errata", tmp_path / "list.json")
    assert result.returncode == 2
    assert str(tmp_path / "list.json") in result.stderr
    assert svref_command("golden", "vendor", "--check", seed, "--errata", tmp_path / "none").returncode == 2


def test_the_list_that_ships_withdraws_no_version_that_ships() -> None:
    jsonschema.Draft202012Validator(schema_of("withdrawn")).validate(json.loads(LIST.read_bytes()))
    versions = {name: golden.load(pack=name).version for name in shipped()}
    assert not [entry for entry in read_withdrawn() if versions.get(entry.pack) in entry.versions]
    assert "it has no entry yet" in " ".join(PAGE.read_text(encoding="utf-8").split()) or read_withdrawn()


def test_json_is_for_programs(seed: Path) -> None:
    whole = json.loads(svref_command("golden", "vendor", "--check", seed, "--json").stdout)
    assert (whole["schema"], whole["ok"], whole["findings"]) == ("svref-vendor-check/1", True, [])
    assert whole["packs"][0]["name"] == "seed"
    name = changed(seed)
    result = svref_command("golden", "vendor", "--check", seed, "--json")
    found = json.loads(result.stdout)["findings"][0]
    assert result.returncode == 1
    assert (found["kind"], found["what"], found["got"]) == ("damaged", name, sha256((seed / name).read_bytes()))
    written = json.loads(svref_command("golden", "vendor", seed, "--json").stdout)
    assert (written["schema"], written["written"], written["removed"]) == ("svref-vendored/1", [name], [])


def test_much_damage_is_counted_on_the_screen_and_whole_in_the_json(seed: Path) -> None:
    shutil.rmtree(seed / "seed")
    text = svref_command("golden", "vendor", "--check", seed).stdout
    assert text.count("damaged") == 12
    assert "\nand 3 more\nWrite it again" in text
    assert len(json.loads(svref_command("golden", "vendor", "--check", seed, "--json").stdout)["findings"]) == 15


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{}/nothing", "--check"), "holds no svref-vectors.lock, so svref golden vendor did not write it"),
        (("{}/new", "--check", "--pack", "seed"), "--check takes neither --pack nor --package"),
        (("{}/new", "--errata", "list.json"), "--errata goes with --check"),
        (("{}/new", "--pack", "sead"), "pack must be one of core, paper, seed, or a directory; got 'sead'"),
        (("{}/new", "--package", "pip"), "package must be one of npm, cargo, go; got 'pip'"),
        (("{}/new", "--package", "npm="), "--package takes a kind, or kind=name; got 'npm='"),
        (("{}/new", "--package", "npm=Mine"), "npm takes no package of the name 'Mine'"),
        (("{}/new", "--package", 'cargo=a"b'), "cargo takes no package of the name"),
        (("{}/new", "--package", "go=a b"), "go takes no package of the name"),
        (("{}/new", "--pack", "seed", "--pack", "paper", "--package", "go"), "a package holds one pack"),
    ],
)
def test_a_wrong_call_exits_with_2_and_writes_nothing(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = svref_command("golden", "vendor", *(word.format(tmp_path) for word in words))
    assert result.returncode == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_pack_is_not_written(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "seed", tmp_path / "pack")
    (tmp_path / "pack" / "power.json").write_bytes(b"{}")
    assert svref_command("golden", "vendor", tmp_path / "new", "--pack", tmp_path / "pack").returncode == 3
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["src", "Seed", "se ed", "a/b", "..", "license", "sha256sums", "nul", "com1"])
def test_a_pack_whose_name_can_be_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "seed", tmp_path / "pack")
    seal(tmp_path / "pack", {"pack": name})
    with pytest.raises(ValueError, match="the name of a pack becomes that of a folder"):
        vendor(tmp_path / "new", [str(tmp_path / "pack")])


# ---- packages ------------------------------------------------------------------------------------------------------


TITLES = {"node": "Node", "npm": "npm", "cargo": "Cargo", "go": "Go", "sha256sum": "sha256sum"}


def tool(name: str) -> str:
    """Return where a tool is; skip, counted, if it is not installed, or fail if SVREF_REQUIRE_TOOLS names it."""
    path = shutil.which(name)
    if path is None:
        if name in os.environ.get("SVREF_REQUIRE_TOOLS", "").split(","):
            pytest.fail(f"{TITLES[name]} is not installed, and SVREF_REQUIRE_TOOLS asks for it")
        pytest.skip(f"{TITLES[name]} is not installed (SVREF_REQUIRE_TOOLS={name} makes this a failure)")
    return path


def run(*command: str, cwd: Path, **variables: str) -> str:
    """Return what a command prints that must end well and warn of nothing."""
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def said() -> str:
    """What a program prints of a pack that it has read through its package: version, case, and the text's length."""
    return f"{SEED.version} {CASE} {len((SHIPPED / 'seed' / GROUP).read_bytes())}\n"


NODE = f"""\
const text = require("node:fs").readFileSync(require.resolve("svref-vectors-seed/{GROUP}"), "utf8");
const read = require("svref-vectors-seed/{GROUP}");
console.log(require("svref-vectors-seed").version, read.cases.at(-1).id, text.length);
"""


def test_npm_packs_the_folder_whole_and_node_reads_a_case(tmp_path: Path) -> None:
    node, npm = tool("node"), tool("npm")
    vendor(tmp_path / "vectors", ["seed"], {"npm": ""})
    run(npm, "pack", "--offline", "--pack-destination", str(tmp_path), cwd=tmp_path / "vectors")
    packed = tmp_path / f"svref-vectors-seed-{SEED.version}.tgz"
    user = put(tmp_path / "user", {"read.cjs": NODE, "node_modules/svref-vectors-seed/.keep": ""})
    installed = user / "node_modules" / "svref-vectors-seed"
    (installed / ".keep").unlink()
    run("tar", "-xzf", str(packed), "--strip-components=1", "-C", str(installed), cwd=user)
    assert run(node, "read.cjs", cwd=user) == said()
    assert kinds(installed) == [], "the package is the vendored folder, file by file"


RUST = f"""\
fn main() {{
    let text = svref_vectors_seed::file("{GROUP}").unwrap();
    let id = text.split("\\"id\\":\\"").last().unwrap().split('"').next().unwrap();
    assert_eq!(svref_vectors_seed::PACK, "seed");
    assert!(svref_vectors_seed::file("nothing").is_none());
    assert!(svref_vectors_seed::FILES.iter().all(|(name, text)| svref_vectors_seed::file(name) == Some(*text)));
    println!("{{}} {{id}} {{}}", svref_vectors_seed::VERSION, text.len());
}}
"""
CARGO = """\
[package]
name = "reads"
version = "0.0.0"
edition = "2021"

[dependencies]
svref-vectors-seed = { path = "../vectors" }
"""


def test_cargo_builds_the_crate_and_rust_reads_a_case(tmp_path: Path) -> None:
    cargo = tool("cargo")
    vendor(tmp_path / "vectors", ["seed"], {"cargo": ""})
    user = put(tmp_path / "user", {"Cargo.toml": CARGO, "src/main.rs": RUST})
    assert run(cargo, "run", "--offline", "--quiet", cwd=user, RUSTFLAGS="-D warnings") == said()
    assert kinds(tmp_path / "vectors") == [], "building leaves the folder as it is"


GO = f"""\
package main

import (
	"io/fs"
	"os"
	"strconv"
	"strings"

	vectors "example.com/svref-vectors-seed"
)

func main() {{
	text, err := fs.ReadFile(vectors.Files(), "{GROUP}")
	if err != nil || vectors.Pack != "seed" {{
		panic(err)
	}}
	parts := strings.Split(string(text), "\\"id\\":\\"")
	id, _, _ := strings.Cut(parts[len(parts)-1], "\\"")
	os.Stdout.WriteString(vectors.Version + " " + id + " " + strconv.Itoa(len(text)) + "\\n")
}}
"""
GO_MOD = """\
module reads

go 1.18

require example.com/svref-vectors-seed v1.0.0

replace example.com/svref-vectors-seed => ../vectors
"""


def test_go_embeds_the_pack_and_reads_a_case(tmp_path: Path) -> None:
    go = tool("go")
    vendor(tmp_path / "vectors", ["seed"], {"go": ""})
    user = put(tmp_path / "user", {"go.mod": GO_MOD, "main.go": GO})
    assert run(go, "run", ".", cwd=user, GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local") == said()
    assert kinds(tmp_path / "vectors") == [], "building leaves the folder as it is"


def test_the_metadata_says_name_version_and_licence(tmp_path: Path) -> None:
    vendor(tmp_path, ["seed"], {"npm": "@you/vectors", "cargo": "your-vectors", "go": "github.com/you/vectors"})
    package = json.loads((tmp_path / "package.json").read_bytes())
    assert {key: package[key] for key in ("name", "version", "license")} == {
        "name": "@you/vectors", "version": SEED.version, "license": "MIT",
    }  # fmt: skip
    assert all((tmp_path / name).exists() for name in package["files"])
    cargo = (tmp_path / "Cargo.toml").read_text(encoding="utf-8")
    assert f'\nname = "your-vectors"\nversion = "{SEED.version}"\nedition = "2021"\nlicense = "MIT"\n' in cargo
    assert (tmp_path / "go.mod").read_text(encoding="utf-8") == "module github.com/you/vectors\n\ngo 1.18\n"
    assert SEED.digest in (tmp_path / "embed.go").read_text(encoding="utf-8")
    included = re.findall(r'include_str!\("\.\./(.*?)"\)', (tmp_path / "src" / "lib.rs").read_text(encoding="utf-8"))
    assert included == sorted(name for name in snapshot(tmp_path) if name.startswith("seed/"))


def test_a_go_module_of_a_later_version_has_it_in_its_path(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "seed", tmp_path / "pack")
    seal(tmp_path / "pack", {"version": "2.0.0"})
    with pytest.raises(ValueError, match=r"must end with /v2; got 'a\.org/b'\. Give --package go=a\.org/b/v2\."):
        vendor(tmp_path / "new", [str(tmp_path / "pack")], {"go": "a.org/b"})
    done = vendor(tmp_path / "new", [str(tmp_path / "pack")], {"go": ""})
    assert done.lock.packages == {"go": "example.com/svref-vectors-seed/v2"}


def test_a_crate_holds_no_binary_files(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "seed", tmp_path / "pack")
    seal(tmp_path / "pack", {"pack": "large"})
    with pytest.raises(ValueError, match=r"the pack 'large' has large\.safetensors"):
        vendor(tmp_path / "new", [str(tmp_path / "pack")], {"cargo": ""})


def test_an_absent_tool_is_a_counted_skip_or_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("SVREF_REQUIRE_TOOLS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Go is not installed"):
        tool("go")
    monkeypatch.setenv("SVREF_REQUIRE_TOOLS", "cargo,go")
    with pytest.raises(pytest.fail.Exception, match="Go is not installed"):
        tool("go")


# ---- the page ------------------------------------------------------------------------------------------------------


def screens() -> list[tuple[str, str]]:
    """Return the commands of the page whose output it shows, each with that output."""
    fences = [t for t in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")) if t.type == "fence"]
    return [(a.content, b.content) for a, b in pairwise(fences) if (a.info, b.info) == ("sh", "text")]


def printed(line: str, folder: Path) -> str:
    """Return what a line of the page prints in a folder."""
    if line.startswith("svref "):
        with chdir(folder):
            return svref_command(*line.split()[1:]).stdout
    command, english = ["/bin/sh", "-c", line], {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, cwd=folder, env=english, capture_output=True, encoding="utf-8", check=False)
    return done.stdout


def page(folder: Path) -> str:
    """Return the page with the screens as its commands print them, one after another in a folder, and the version."""
    text = PAGE.read_text(encoding="utf-8")
    for commands, shown in screens():
        now = "".join(printed(line, folder) for line in commands.splitlines())
        text = text.replace(f"{commands}```\n\n```text\n{shown}", f"{commands}```\n\n```text\n{now}")
    return re.sub(r"the tag `v[\d.]+`", f"the tag `v{SEED.version}`", text)


def test_the_screens_of_the_page_are_what_its_commands_print(tmp_path: Path) -> None:
    assert len(screens()) == 6
    text = PAGE.read_text(encoding="utf-8")
    assert page(tmp_path) == text, "run python tests/test_vendor.py --write"
    megabytes = sum(len(data) for data, _ in snapshot(tmp_path / "tests" / "vectors").values()) / 1e6
    assert f"The folder has {megabytes:.1f} MB." in text


def test_the_reference_names_every_field_of_the_lock_file() -> None:
    text = (ROOT / "docs" / "reference" / "vectors.md").read_text(encoding="utf-8").split("## The lock file")[1]
    schema = schema_of("lock")
    for key in (*schema["properties"], *schema["properties"]["packs"]["items"]["properties"]):
        assert f"`{key}`" in text.split("\n## ")[0], key


if __name__ == "__main__" and "--write" in sys.argv:
    with tempfile.TemporaryDirectory() as made:
        PAGE.write_text(page(Path(made)), encoding="utf-8")
