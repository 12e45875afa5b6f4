"""Damaged packs are named, file and case; and what is in the way of a pack is left as it was."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import svref_command
from resealed import edited, replaced, seal

from svref import golden
from svref.golden import VectorsError, commands
from svref.golden.files import canonical
from svref.golden.files.schema import IN_PACKS, schema_of
from svref.golden.large import load_large
from svref.golden.listing import differences, lines

Damage = Callable[[Path], object]
GROUP = "groups/sv-am-softmax/notebook.json"
OTHER = "groups/softmax/notebook.json"
WHERE = r"sv-am-softmax.notebook\.json, case sv-am-softmax-notebook-[0-9a-f]{8}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pack on disk, which no test changes."""
    directory = tmp_path_factory.mktemp("packs")
    golden.make(directory, ["seed"])
    return directory / "seed"


@pytest.fixture
def pack(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "seed"))


@pytest.fixture
def without_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests and structure alone are checked."""
    monkeypatch.setattr(commands, "can_recompute", lambda: False)


def written(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Return what changes bytes and seals nothing."""
    return lambda pack: (pack / name).write_bytes(change((pack / name).read_bytes()))


def case(change: Callable[[dict], object]) -> Damage:
    """Return what changes the first case of a group, its digest too, and seals the pack."""
    return edited(GROUP, lambda content: change(content["cases"][0]))


def added(name: str, make: Callable[[Path], object]) -> Damage:
    """Return what puts something into the pack that the manifest does not list."""
    return lambda pack: ((pack / name).parent.mkdir(exist_ok=True), make(pack / name))


def moved(name: str, to: str) -> Damage:
    def damage(pack: Path) -> None:
        (pack / to).parent.mkdir(parents=True, exist_ok=True)
        (pack / name).rename(pack / to)
        if not any((pack / name).parent.iterdir()):
            (pack / name).parent.rmdir()
        seal(pack)

    return damage


def linked(pack: Path) -> None:
    (pack / GROUP).rename(pack.parent / "elsewhere.json")
    (pack / GROUP).symlink_to(pack.parent / "elsewhere.json")


def removed(name: str) -> Damage:
    def damage(pack: Path) -> None:
        shutil.rmtree(pack / name) if (pack / name).is_dir() else (pack / name).unlink()
        seal(pack)

    return damage


def withdrawn(content: dict, *ids: str) -> None:
    content["withdrawn"] = [{"id": name, "version": "1.0.0", "reason": "none"} for name in ids]


NOTE = {"tests": "a", "failing": "b", "link": "c"}
OF_BYTES: dict[str, tuple[Damage, str]] = {
    "a changed digit": (written(GROUP, lambda b: b.replace(b"2.1", b"2.2", 1)), "notebook.json was changed"),
    "a truncated file": (written(GROUP, lambda b: b[:-40]), "notebook.json was changed"),
    "a missing file": (lambda p: (p / GROUP).unlink(), "notebook.json must be there as a regular file, and is missing"),
    "another file": (lambda p: (p / "notes.txt").write_text("x"), "notes.txt is not listed in the manifest"),
    "an empty folder": (lambda p: (p / "more").mkdir(), "more is not listed in the manifest"),
    "a file that is a link": (linked, "notebook.json must be there as a regular file"),
    "a link to nowhere": (added("groups/more", lambda p: p.symlink_to("nowhere")), "more is not listed"),
    "a truncated manifest": (written("manifest.json", lambda b: b[:-9]), "manifest.json is not JSON"),
    "a manifest of deep lists": (written("manifest.json", lambda b: b"[" * 100_000), "manifest.json is not JSON"),
    "a manifest that is a list": (written("manifest.json", lambda b: b"[]"), "manifest.json is of format None"),
    "another format": (edited("manifest.json", lambda c: c.update(format="svref-vectors/2")), "is of format 'svref-vectors/2'; this svref reads 'svref-vectors/1'"),
    "a pretty manifest": (written("manifest.json", lambda b: json.dumps(json.loads(b), indent=1).encode()), "SHA256SUMS does not say what the manifest says"),
    "wrong sums": (written("SHA256SUMS", lambda b: b"x  y\n"), "SHA256SUMS does not say what the manifest says"),
    "no sums": (lambda p: (p / "SHA256SUMS").unlink(), "SHA256SUMS must be there as a regular file"),
}  # fmt: skip
if hasattr(os, "mkfifo"):
    OF_BYTES["a pipe"] = (added("groups/softmax/x.json", os.mkfifo), "x.json is not listed in the manifest")
OTHER_BYTES = r"notebook\.json: a file must be RFC 8785 JSON and a line feed"
OF_FILES: dict[str, tuple[Damage, str]] = {
    "a byte order mark": (replaced(GROUP, lambda b: b"\xef\xbb\xbf" + b), OTHER_BYTES),
    "UTF-16": (replaced(GROUP, lambda b: b.decode().encode("utf-16")), OTHER_BYTES),
    "a pretty group": (replaced(GROUP, lambda b: json.dumps(json.loads(b), indent=2).encode()), OTHER_BYTES),
    "another order of keys": (replaced(GROUP, lambda b: json.dumps(dict(reversed(json.loads(b).items()))).encode()), OTHER_BYTES),
    "a key that occurs twice": (replaced(GROUP, lambda b: b.replace(b'{"cases"', b'{"group":"lie","cases"', 1)), "notebook.json is not JSON: 'group' must stand once"),
    "a negative zero": (replaced(GROUP, lambda b: b.replace(b",0,", b",-0,", 1)), OTHER_BYTES),
    "a literal infinity": (replaced(GROUP, lambda b: b.replace(b'"Infinity"', b"Infinity", 1)), "notebook.json is not JSON: JSON has no number Infinity"),
    "an empty group": (replaced(GROUP, lambda b: b""), "sv-am-softmax.notebook.json is not JSON"),
    "a truncated group": (replaced(GROUP, lambda b: b[:-40]), "sv-am-softmax.notebook.json is not JSON"),
    "a group in latin-1": (replaced(GROUP, lambda b: b.replace(b"Notebook", b"Noteb\xe9ok", 1)), "sv-am-softmax.notebook.json is not JSON"),
    "a deep group": (replaced(GROUP, lambda b: b"[" * 100_000), "sv-am-softmax.notebook.json is not JSON"),
    "a group that is a list": (replaced(GROUP, lambda b: b"[]\n"), "notebook.json does not follow the group schema"),
    "an extra key": (edited(GROUP, lambda c: c.update(extra=1)), r"does not follow the group schema at \$: .*extra"),
    "a group in another place": (moved(GROUP, "groups/x/y.json"), "y.json says that it is groups/sv-am-softmax/notebook.json"),
    "a group of another pack": (edited(GROUP, lambda c: c.update(pack="core")), "sv-am-softmax.notebook.json is of the pack 'core', not of 'seed'"),
    "a pack of another name": (lambda p: seal(p, {"pack": "core"}), "notebook.json is of the pack 'seed', not of 'core'"),
    "a wrong number of cases": (lambda p: seal(p, {"cases": 99}), "manifest.json must count 5 cases, but says 99"),
    "a case that was dropped": (removed(GROUP.rpartition("/")[0]), "manifest.json must count 4 cases, but says 5"),
    "no errata": (removed("errata.json"), "errata.json must be part of every pack, and is not"),
    "no schemas": (removed("schema"), "answers.schema.json must be part of every pack, and is not"),
    "another schema": (replaced("schema/group.schema.json", lambda b: b"{}\n"), "group.schema.json is not the schema of this svref"),
    "another file that is listed": (lambda p: ((p / "x.txt").write_text("x"), seal(p)), "x.txt must not be part of a pack of this kind"),
    "errata of another pack": (edited("errata.json", lambda c: c.update(pack="core")), "errata.json is of the pack 'core'"),
    "a withdrawn id twice": (edited("errata.json", lambda c: withdrawn(c, "a", "a")), "errata.json: the withdrawn case a is listed twice"),
    "a withdrawn id that is there": (edited("errata.json", lambda c: withdrawn(c, "sv-am-softmax-notebook-fa6efdee")), "the withdrawn case sv-am-softmax-notebook-fa6efdee is still in the pack"),
    "no power": (removed("power.json"), "power.json must be part of every pack, and is not"),
    "power of another pack": (edited("power.json", lambda c: c.update(pack="core")), "power.json is of the pack 'core'"),
    "a case without power": (edited("power.json", lambda c: c["cases"].pop("sv-am-softmax-notebook-fa6efdee")), "power.json: the power of sv-am-softmax-notebook-fa6efdee is missing"),
    "power of no case": (edited("power.json", lambda c: c["cases"].update(x=next(iter(c["cases"].values())))), "power.json: the power of x is of no such case"),
    "a deviation without digits": (edited("power.json", lambda c: c["deviations"].append("x")), r"power.json: .*, float64 must have \d+ digits, one for each deviation; got \d+"),
    "another digit": (edited("power.json", lambda c: c["cases"]["sv-am-softmax-notebook-fa6efdee"].update(float64="3")), r"power.json does not follow the power schema .* must match"),
    "another note": (edited(GROUP, lambda c: c["notes"]["Notebook"].update(tests="all")), "notebook.json: the notes must be those of this svref .*'Notebook' is not"),
    "a note on no flag": (edited(GROUP, lambda c: c["notes"].update(X=NOTE)), "notebook.json: the notes must be those of this svref .*'X' is not"),
    "a note on a flag that svref has not": (edited(GROUP, lambda c: (c["notes"].update(X=NOTE), c["cases"][0]["flags"].append("X"))), "the notes must be those of this svref .*'X' is not"),
}  # fmt: skip
OF_CASES: dict[str, tuple[Damage, str]] = {
    "a flag without a note": (case(lambda c: c["flags"].append("Basic")), "there is none on 'Basic'"),
    "a flag twice": (case(lambda c: c["flags"].append("Notebook")), "flags must differ; got Notebook, Notebook"),
    "another id": (case(lambda c: c.update(id="sv-am-softmax-notebook-00000000")), "the id must be that of the content, sv-am-softmax-notebook-fa6efdee"),
    "an unknown parameter": (case(lambda c: c["parameters"].update(zz=1)), "parameters must be s, m, t; got m, s, t, zz"),
    "a parameter out of range": (case(lambda c: c["parameters"].update(s=-1)), "s must be above 0 and finite; got s=-1"),
    "a level without its inputs": (case(lambda c: c.update(level="head")), "level head must have the inputs of that level"),
    "a shape that does not fit": (case(lambda c: c["expected"]["loss"].update(shape=[2, 9])), "data must have 18 numbers, as its shape; got 3"),
    "inputs that are no matrix": (case(lambda c: c["inputs"]["cosines"].update(shape=[12])), r"the inputs must have two axes; got shape \(12,\)"),
    "lo too short": (case(lambda c: c["expected"]["loss"]["lo"].pop()), "lo must have 3 numbers, as its shape; got 2"),
    "scales of another shape": (case(lambda c: c["scales"]["loss"].update(shape=[1, 3])), r"scales\.loss\.data must be of size \[3\]; got \[1, 3\]"),
    "a ragged mask": (case(lambda c: c["expected"]["mask"].__setitem__(1, "01")), "the rows of a mask must be of one length; got "),
    "a mask of other classes": (case(lambda c: c["expected"].update(mask=["01"] * 3)), r"expected\.mask must be of size \[4, 4, 4\]; got \[2, 2, 2\]"),
    "a row too many": (case(lambda c: c.update(poles="0000")), "poles must be of size 3; got 4"),
    "a label out of range": (case(lambda c: c["inputs"]["labels"]["data"].__setitem__(0, 17)), "labels must be class indices below C = 4; got 17"),
    "a label that is no number": (case(lambda c: c["inputs"]["labels"]["data"].__setitem__(0, "NaN")), "labels must be whole numbers; got nan"),
}  # fmt: skip


@pytest.mark.usefixtures("without_flint")
@pytest.mark.parametrize("name", [*OF_BYTES, *OF_FILES])
def test_damage_is_named_with_its_file_without_computing_anything(name: str, pack: Path) -> None:
    damage, message = (OF_BYTES | OF_FILES)[name]
    damage(pack)
    with pytest.raises(VectorsError, match=message) as caught:
        golden.verify(pack)
    assert str(pack) in str(caught.value)
    with pytest.raises(VectorsError, match=message):
        golden.lint(pack)


@pytest.mark.usefixtures("without_flint")
@pytest.mark.parametrize("name", OF_CASES)
def test_damage_in_a_case_is_named_with_file_and_case(name: str, pack: Path) -> None:
    damage, message = OF_CASES[name]
    damage(pack)
    with pytest.raises(VectorsError, match=f"{WHERE}: .*{message}"):
        golden.verify(pack)


@pytest.mark.parametrize("name", [n for n in OF_BYTES if n != "a pipe"])
def test_nothing_is_loaded_of_a_pack_with_other_bytes(name: str, pack: Path) -> None:
    damage, message = OF_BYTES[name]
    damage(pack)
    with pytest.raises(VectorsError, match=message):
        golden.load(pack)


@pytest.mark.parametrize("name", ["a changed digit", "a label that is no number", "no errata"])
def test_the_command_exits_3_with_one_line(name: str, pack: Path) -> None:
    damage, message = (OF_BYTES | OF_FILES | OF_CASES)[name]
    damage(pack)
    result = svref_command("golden", "verify", pack)
    assert result.returncode == 3
    assert result.stderr.startswith("svref: ")
    assert result.stderr.count("\n") == 1
    assert message.split(";")[0] in result.stderr


@pytest.mark.parametrize("change", ["data", "lo"])
def test_a_number_that_is_not_certified_is_found_even_if_all_digests_are_right(change: str, pack: Path) -> None:
    case(lambda c: c["expected"]["loss"][change].__setitem__(0, c["expected"]["loss"][change][0] * (1 + 2**-52)))(pack)
    assert len(golden.load(pack)) == 5
    with pytest.raises(
        VectorsError,
        match=rf"^1 cases are not what svref\.exact computes; the first is .*{WHERE}, in digest, expected\.",
    ):
        golden.verify(pack)


def test_digests_alone_find_a_mask_and_a_branch_that_were_changed() -> None:
    made = {"inputs": {}, "expected": {"mask": ["01"]}}
    branch = {"dtype": "float32", "row": 0, "mask": "00", "expected": {"loss": {"shape": [], "data": [1.5]}}}
    assert canonical.content_digest(made) != canonical.content_digest({**made, "expected": {"mask": ["00"]}})
    assert canonical.content_digest(made) != canonical.content_digest({**made, "branches": [branch]})
    others = {"row": 1, "mask": "10", "dtype": "float64", "expected": {"loss": {"shape": [], "data": [2]}}}
    digests = [canonical.content_digest({**made, "branches": [{**branch, key: x}]}) for key, x in others.items()]
    assert len({*digests, canonical.content_digest({**made, "branches": [branch]})}) == 5


def test_reading_needs_neither_schemas_nor_canonical_files(pack: Path) -> None:
    edited(GROUP, lambda c: c["notes"]["Notebook"].update(tests="An older text."))(pack)
    assert golden.load(pack).notes["Notebook"]["tests"] in (
        "An older text.",
        golden.load(pack="seed").notes["Notebook"]["tests"],
    )
    script = (
        "import sys; sys.modules |= dict.fromkeys(('jsonschema', 'rfc8785', 'flint'));"
        "from svref import golden; print(len(golden.load(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(pack)], capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"


def test_a_pack_that_has_power_in_its_cases_can_be_read_and_must_be_made_again(pack: Path) -> None:
    names = {v.id: v.case["power"] for v in golden.load(pack)}
    edited(GROUP, lambda c: [one.update(power=names[one["id"]]) for one in c["cases"]])(pack)
    removed("power.json")(pack)
    by_id = {v.id: v for v in golden.load(pack)}
    assert {name for name, v in by_id.items() if "power" in v.case} == {"sv-am-softmax-notebook-fa6efdee"}
    assert by_id["sv-am-softmax-notebook-fa6efdee"].case["power"] == names["sv-am-softmax-notebook-fa6efdee"]
    with pytest.raises(VectorsError, match=r"power.json must be part of every pack, and is not. Make the pack again"):
        golden.verify(pack)


# ---- what is in the way ----------------------------------------------------------------------------------------


def state(directory: Path) -> dict[str, bytes | str]:
    """Return everything that is in a directory, links and empty folders too."""
    found = {p.relative_to(directory).as_posix(): p for p in directory.rglob("*")}
    return {
        name: str(p.readlink()) if p.is_symlink() else p.read_bytes() if p.is_file() else ""
        for name, p in found.items()
    }


def foreign(directory: Path) -> None:
    directory.mkdir()
    (directory / "manifest.json").write_text('{"name": "my application", "files": {}}')


A_FILE = r"seed must be a directory, or not exist yet, but is a file; nothing was written\."
IN_THE_WAY: dict[str, tuple[Damage, str]] = {
    "a file": (lambda p: p.write_text("mine"), ""),
    "files": (lambda p: (p.mkdir(), (p / "precious.txt").write_text("mine")), r"precious\.txt"),
    "a manifest of something else": (foreign, r"manifest\.json"),
    "another pack": (lambda p: (golden.make(p.parent, ["seed"]), seal(p, {"pack": "core"})), "SHA256SUMS"),
    "a pack with a file": (lambda p: (golden.make(p.parent, ["seed"]), (p / "groups" / "mine.txt").write_text("x")), r"groups/mine\.txt"),
    "a pack with an empty folder": (lambda p: (golden.make(p.parent, ["seed"]), (p / "mine").mkdir()), "mine"),
    "a pack with a link": (lambda p: (golden.make(p.parent, ["seed"]), (p / "mine").symlink_to("/")), "mine"),
    "a pack whose file is a link": (lambda p: (golden.make(p.parent, ["seed"]), linked(p)), r"groups/sv-am-softmax/notebook\.json"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_make_overwrites_nothing_but_the_pack_of_that_name(name: str, tmp_path: Path) -> None:
    put, first = IN_THE_WAY[name]
    told = f"or a pack 'seed' to be replaced, but holds other files, first {first}; " if first else A_FILE
    put(tmp_path / "seed")
    before = state(tmp_path)
    with pytest.raises(VectorsError, match=told):
        golden.make(tmp_path, ["seed"])
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    "damage", [lambda p: (p / GROUP).unlink(), written(OTHER, lambda b: b[:-40]), lambda p: shutil.rmtree(p / "schema")]
)
def test_make_replaces_a_damaged_pack(damage: Damage, whole: Path, pack: Path) -> None:
    damage(pack)
    golden.make(pack.parent, ["seed"])
    assert state(pack) == state(whole)
    assert [p.name for p in pack.parent.iterdir()] == ["seed"]


def test_make_writes_through_a_link(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "seed").symlink_to("elsewhere")
    golden.make(tmp_path, ["seed"])
    assert (tmp_path / "seed").is_symlink()
    assert state(tmp_path / "elsewhere") == state(whole)


def test_an_unknown_pack_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"there is no pack 'nothing'; there are seed, core, paper, batches, head, large\."
    ):
        golden.make(tmp_path, ["seed", "nothing"])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_making_leaves_what_was_there(pack: Path) -> None:
    before = state(pack.parent)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        golden.make(pack.parent, ["seed"], interrupt)
    assert state(pack.parent) == before


READERS = [golden.load, golden.verify, golden.lint, lines, load_large, lambda p: differences(p, p), lambda p: golden.find("x", str(p))]  # fmt: skip


@pytest.mark.usefixtures("without_flint")
@pytest.mark.parametrize("reader", READERS)
def test_reading_changes_nothing_beside_a_pack(reader: Callable[[Path], object], pack: Path) -> None:
    """Another machine may be writing to the same drive, and its locks need not be seen here."""
    for name in (".seed.000000000007.new", ".seed.000000000007.old"):
        shutil.copytree(pack, pack.with_name(name))
    before = state(pack.parent)
    with contextlib.suppress(VectorsError, ValueError):
        reader(pack)
    assert state(pack.parent) == before


@pytest.mark.parametrize("reader", READERS)
def test_a_pack_that_a_make_had_moved_away_is_told_and_not_moved_back(
    reader: Callable[[Path], object], pack: Path
) -> None:
    pack.rename(pack.with_name(".seed.000000000007.old"))
    before = state(pack.parent)
    told = r"seed is not there: an interrupted or unfinished make moved it to \.seed\.0+7\.old\. Run make again\."
    with pytest.raises(VectorsError, match=told):
        reader(pack)
    assert state(pack.parent) == before


def test_where_there_was_never_a_pack_no_make_was_interrupted(tmp_path: Path) -> None:
    (tmp_path / ".seed.000000000007.new").mkdir()
    for nowhere in (tmp_path / "seed", tmp_path / "gone" / "seed"):
        with pytest.raises(VectorsError, match=r"seed is no pack of vectors: it has no manifest\.json"):
            golden.load(nowhere)


def never(*arguments: object) -> None:
    raise AssertionError("something was computed")


@pytest.mark.parametrize("packs", [["seed"], ["large"], ["seed", "core"]])
def test_where_nothing_can_be_written_it_is_told_before_anything_is_made(
    packs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_make", never)
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below", "file/far/below"):
        with pytest.raises(ValueError, match=rf"{packs[0]} cannot be made: .*/file must be a folder, and is a file\."):
            golden.make(tmp_path / place, packs)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    for place in ("", "new", "new/er"):
        with pytest.raises(ValueError, match=rf"{packs[0]} cannot be made: {tmp_path} must be a folder that may be"):
            golden.make(tmp_path / place, packs)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_is_one_sentence_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text("mine")
    for place, code, told in ((tmp_path / "seed", 2, "must be a folder, and is a file."), (tmp_path, 3, "is a file;")):
        result = svref_command("golden", "make", place, "--pack", "seed")
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (code, "", 1)
        assert told in result.stderr
        assert "Errno" not in result.stderr


def test_a_pack_that_is_named_twice_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(commands, "_make", lambda directory, name, progress: made.append(name))
        golden.make(tmp_path, ["seed", "core", "seed"])
    assert made == ["seed", "core"]
    result = svref_command("golden", "make", tmp_path, "--pack", "seed", "--pack", "seed")
    assert result.stdout == f"written to {tmp_path / 'seed'}\n"


def test_an_export_replaces_nothing_but_an_export(whole: Path, tmp_path: Path) -> None:
    to = tmp_path / "inputs.json"
    for content in (b"mine", b"[]", b'{"format": "svref-vectors/1"}', (whole / GROUP).read_bytes()):
        to.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"inputs\.json must be a new file or an older export, and is something else"
        ):
            golden.export(to, whole)
        assert to.read_bytes() == content
    with pytest.raises(ValueError, match="an export needs a file in an existing folder; got"):
        golden.export(tmp_path, whole)
    to.unlink()
    assert golden.export(to, whole) == golden.export(to, whole) == 5


@pytest.mark.parametrize("place", ["typo/inputs.json", "typo/dir/inputs.json", "file/inputs.json"])
def test_an_export_makes_no_folder(place: str, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = svref_command("golden", "export", tmp_path / place, "--directory", whole)
    told = f"svref: an export needs a file in an existing folder; got {tmp_path / place}\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", told)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_every_schema_but_that_of_a_map_is_closed() -> None:
    for name in IN_PACKS:
        for place, node in objects(schema_of(name), ""):
            assert "additionalProperties" in node, f"{name}{place}"


def objects(node: object, place: str) -> list[tuple[str, dict]]:
    """Return every description of an object in a schema."""
    if isinstance(node, list):
        return [found for i, v in enumerate(node) for found in objects(v, f"{place}/{i}")]
    if not isinstance(node, dict):
        return []
    here = [(place, node)] if node.get("type") == "object" else []
    return here + [found for key, v in node.items() for found in objects(v, f"{place}/{key}")]
