"""Files: written whole or not at all, only ever over regular files; and read only if they are what they should be."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from in_process import svref_command
from resealed import seal

from svref import check_values, golden
from svref.golden import VectorsError
from svref.golden.files import canonical, reading, replacing, temporary
from svref.golden.files.pack import SHIPPED
from svref.golden.files.reading import read_regular, strict_json
from svref.golden.files.writing import write_file

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
CHECK = ("check", f"{EXAMPLES / 'textbook.py'}:sv_am", "--loss", "sv-am-softmax", "--pack", "seed", "--report")
GROUP = "groups/sv-am-softmax/notebook.json"
DATA = b"new " * 1000
WHOLE = {p.relative_to(SHIPPED / "seed"): p.read_bytes() for p in (SHIPPED / "seed").rglob("*") if p.is_file()}


def content(pack: Path) -> dict[Path, bytes]:
    return {p.relative_to(pack): p.read_bytes() for p in pack.rglob("*") if p.is_file()}


def is_device(path: Path) -> bool:
    return stat.S_ISCHR(path.stat().st_mode)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "seed", tmp_path / "packs" / "seed"))


@pytest.fixture
def device(tmp_path: Path) -> Callable[[str, int], Path]:
    """Make a device with the numbers of /dev/null (1, 3) or /dev/full (1, 7) in a folder of the test."""

    def make(name: str, minor: int) -> Path:
        try:
            os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        except PermissionError:
            pytest.skip("only root may make devices")
        return tmp_path / name

    return make


# ---- written ---------------------------------------------------------------------------------------------------


def test_a_file_is_new_or_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        before = path.stat().st_ino
        write_file(path, DATA)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (DATA, mode)
        assert path.stat().st_ino != before, "it was not renamed, and so there in part"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_name_of_any_length_that_a_folder_holds_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "é" * 127):
        write_file(tmp_path / name, DATA)
        assert (tmp_path / name).read_bytes() == DATA
    with pytest.raises(ValueError, match=r"writing needs a file; .* cannot be one: File name too long"):
        write_file(tmp_path / ("a" * 256), DATA)


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_bytes(b"old")
    (tmp_path / "folder").symlink_to("far")
    (tmp_path / "first").symlink_to("folder/file")
    (tmp_path / "second").symlink_to(tmp_path / "first")
    write_file(tmp_path / "second", DATA)
    assert (tmp_path / "far" / "file").read_bytes() == DATA
    assert [p.name for p in (tmp_path / "far").iterdir()] == ["file"]
    assert all((tmp_path / name).is_symlink() for name in ("folder", "first", "second"))


@pytest.mark.parametrize("to", ["gone", "gone/further", "link"])
def test_a_link_to_nothing_is_refused_and_kept(to: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(to)
    for make in (write_file, lambda path, data: golden.export(path, pack="seed")):
        with pytest.raises(ValueError, match=r"is a link to .*, which is not there"):
            make(tmp_path / "link", DATA)
    for place in (tmp_path / "link", tmp_path / "link" / "further"):
        with pytest.raises(ValueError, match=r"link is a link to .*, which is not there"):
            golden.make(place, ["seed"])
    assert [p.name for p in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize("command", [CHECK, ("golden", "export", "--pack", "seed")])
def test_commands_write_into_devices_and_never_over_them(
    command: tuple[str, ...], device: Callable[[str, int], Path], tmp_path: Path
) -> None:
    null, full = device("null", 3), device("full", 7)
    (tmp_path / "link").symlink_to("null")
    for path in (null, tmp_path / "link"):
        assert svref_command(*command, path).returncode == 0
    result = svref_command(*command, full)
    assert result.returncode == 2
    assert f"{full} cannot be written: No space left on device." in result.stderr
    assert is_device(null)
    assert is_device(full)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "link", "null"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there is no fork on this platform")
def test_a_fifo_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "fifo").read_bytes)
        write_file(tmp_path / "fifo", DATA)
        assert read.result(20) == DATA
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="there is no /proc on this platform")
def test_an_open_descriptor_is_written_where_it_stands(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"first ")
        (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
        for path in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}", tmp_path / "link"):
            write_file(path, b"x ")
        file.write(b"last")
    assert (tmp_path / "file").read_bytes() == b"first x x x last"
    line = [sys.executable, "-c", "from svref.cli import main; main()", *CHECK, "/dev/stdout"]
    with (tmp_path / "out").open("wb") as out:
        subprocess.run(line, stdout=out, check=True)
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert text.startswith("svref ")
    assert text.endswith("report            /dev/stdout\n")
    assert json.loads(text[text.index("\n{\n") : text.rindex("\n}\n") + 3])["verdict"] == "PASS"
    with pytest.raises(OSError, match="/dev/fd/999999 cannot be written: Bad file descriptor"):
        write_file("/dev/fd/999999", DATA)


@pytest.mark.parametrize("failing", ["write", "replace", "chmod"])
def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/some/temporary/name")

    if failing == "write":
        monkeypatch.setattr("svref.golden.files.writing._write_into", full)
    else:
        monkeypatch.setattr(Path, failing, full)
    with pytest.raises(OSError, match=r"^.*/file cannot be written: No space left on device\. Mend that, or give"):
        write_file(tmp_path / "file", DATA)
    assert content(tmp_path) == {Path("file"): b"old"}


@pytest.mark.parametrize(
    ("command", "told"), [(CHECK, "--report"), (("golden", "export", "--pack", "seed"), "an export")]
)
def test_a_folder_that_may_not_be_written_to_is_told_before_the_work(
    command: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    result = svref_command(*command, tmp_path / "file")
    expected = f"svref: {told} needs a folder that may be written to, and {tmp_path} may not.\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", expected)


EMPTY = [
    ("golden", "make", ""), ("golden", "list", ""), ("golden", "verify", ""), ("golden", "lint", ""),
    ("golden", "power", ""), ("golden", "diff", "", "x"), ("golden", "diff", "x", ""), ("golden", "export", ""),
    ("golden", "export", "x", "--directory", ""), (*CHECK, ""),
]  # fmt: skip


@pytest.mark.parametrize("arguments", EMPTY)
def test_an_empty_path_is_not_the_current_folder(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = svref_command(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"svref: .*(is empty|needs a value); got ''\..*\n", result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_path_is_refused_in_python_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from svref.golden.large import make_large

    monkeypatch.chdir(tmp_path)
    report = check_values("softmax", [[0.5, 0.75]], [0], [1.0])
    for use in (golden.make, golden.export, golden.load, make_large, report.write):
        with pytest.raises(ValueError, match="''"):
            use("")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".file.000000000007.tmp"
    left.write_bytes(b"in part")
    others = [tmp_path / ".other.000000000007.tmp", tmp_path / ".file.7.tmp"]
    for other in others:
        other.write_bytes(b"of another file, or of the user")
    with temporary.temporary_file(tmp_path / "file") as (name, _):
        write_file(tmp_path / "file", DATA)
        assert sorted(tmp_path.iterdir()) == sorted([name, tmp_path / "file", *others])
    assert not name.exists()


# ---- packs that are made at once, and makes that are killed ------------------------------------------------------


@pytest.fixture(params=["in one step", "in two steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """How two folders change places; systems other than Linux need two steps."""
    if request.param == "in two steps":
        monkeypatch.setattr(replacing, "exchange", lambda new, directory: False)
    return bool(request.param == "in one step")


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("there", [True, False])
def test_threads_that_make_one_pack_at_once_leave_it_whole(there: bool, pack: Path) -> None:
    if not there:
        shutil.rmtree(pack)
    start = threading.Barrier(4)

    def put(_: int) -> None:
        start.wait()
        for _ in range(5):
            replacing.write_pack(pack, {str(name): data for name, data in WHOLE.items()}, "seed")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(4)))
    assert content(pack) == WHOLE
    assert [p.name for p in pack.parent.iterdir()] == ["seed"]


def test_threads_and_processes_that_make_packs_at_once_leave_them_whole(tmp_path: Path) -> None:
    script = "import sys; from svref import golden; golden.make(sys.argv[1], ['seed'])"
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: golden.make(tmp_path, ["seed"]), range(3)))
    assert [process.wait(60) for process in processes] == [0, 0]
    assert content(tmp_path / "seed") == WHOLE
    assert [p.name for p in tmp_path.iterdir()] == ["seed"]


KILLED = (  # kills itself at the n-th event of a kind that concerns a temporary name
    "import os, signal, sys; from svref import golden; from svref.golden.files import replacing\n"
    "place, event, n, one_step = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == 'True'\n"
    "if not one_step: replacing.exchange = lambda new, directory: False\n"
    "seen = 0\n"
    "def hook(name, arguments):\n"
    "    global seen\n"
    "    if name == event and any('.seed.' in str(a) for a in arguments):\n"
    "        seen += 1\n"
    "        if seen == n: os.kill(os.getpid(), signal.SIGKILL)\n"
    "sys.addaudithook(hook)\n"
    "golden.make(place, ['seed'])"
)


@pytest.mark.skipif(os.name == "nt", reason="there is no fork on this platform")
@pytest.mark.parametrize(
    ("event", "n", "one_step", "left"),
    [
        ("os.mkdir", 2, True, {"seed", "new"}),
        ("open", 9, True, {"seed", "new"}),
        ("shutil.rmtree", 1, True, {"seed", "new"}),
        ("os.rename", 1, False, {"seed", "new"}),
        ("os.rename", 2, False, {"old", "new"}),
        ("shutil.rmtree", 1, False, {"seed", "old"}),
    ],
)
def test_a_pack_outlives_a_kill_and_the_next_make_clears_what_is_left(
    event: str, n: int, one_step: bool, left: set[str], pack: Path
) -> None:
    (pack / GROUP).write_bytes(b"of the old pack")
    line = [sys.executable, "-c", KILLED, str(pack.parent), event, str(n), str(one_step)]
    assert subprocess.run(line, check=False).returncode == -signal.SIGKILL
    assert {p.name.rpartition(".")[2] for p in pack.parent.iterdir()} == left
    if "seed" in left:
        is_new = event == "shutil.rmtree"
        assert content(pack) == (WHOLE if is_new else WHOLE | {Path(GROUP): b"of the old pack"})
    else:
        with pytest.raises(VectorsError, match=r"moved it to \.seed\.\d+\.old\. Run make again"):
            golden.load(pack)
    golden.make(pack.parent, ["seed"])
    assert content(pack) == WHOLE
    assert [p.name for p in pack.parent.iterdir()] == ["seed"]


def test_a_folder_keeps_its_permissions_and_a_read_only_one_leaves_nothing(pack: Path) -> None:
    (pack / "groups").chmod(0o500)
    pack.chmod(0o750)
    golden.make(pack.parent, ["seed"])
    assert pack.stat().st_mode & 0o777 == 0o750
    assert content(pack) == WHOLE
    assert [p.name for p in pack.parent.iterdir()] == ["seed"]


def test_a_disk_that_is_full_leaves_the_old_pack(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    (pack / GROUP).write_bytes(b"of the old pack")
    before = content(pack)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="seed cannot be written: No space left on device"):
        golden.make(pack.parent, ["seed"])
    assert content(pack) == before
    assert [p.name for p in pack.parent.iterdir()] == ["seed"]


# ---- read ------------------------------------------------------------------------------------------------------


def test_only_a_regular_file_of_a_stated_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 5, follow_links=True) == b"12345"
    os.truncate(path, 300 * 2**30)  # no block of the disk is used
    cases = {tmp_path: "a folder", tmp_path / "link": "a link", path: "has 322,122,547,200"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        cases[tmp_path / "fifo"] = "a FIFO"
    for wrong, told in cases.items():
        with pytest.raises(ValueError, match=told):
            read_regular(wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "'a' must stand once in an object"),
        ("[NaN]", "JSON has no number NaN"),
        ("[" * 33 + "]" * 33, "32 deep inside each other"),
        ("[" * 100_000, "32 deep inside each other"),
        ('{"a":' * 33 + "1" + "}" * 33, "32 deep inside each other"),
        ("[9007199254740993]", "a whole number beyond 2\\^53 must be a string"),
        (
            "[" + "9" * 100_000 + "]",
            "a whole number beyond 2\\^53 must be a string; got 99999999999999999999 \\.\\.\\. ",
        ),
        ("[1e400]", 'must be the string "Infinity"; got 1e400'),
        ("{", "Expecting"),
    ],
)
def test_json_is_parsed_strictly(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        strict_json(text.encode(), reading.exact_whole, reading.finite)
    assert len(str(caught.value)) < 300


def test_json_as_deep_as_packs_and_deeper_is_read() -> None:
    assert strict_json(b"[" * 32 + b"]" * 32)
    assert strict_json(b'[9007199254740992, -9007199254740992, 1e308, "\\ud800"]', reading.exact_whole, reading.finite)


NAMES = [
    "../x", "/etc/passwd", "groups/../../x", "./x", "groups//x", "groups/", "", ".", "..", "a\\..\\x", "~/x", "C:x",
    "a" * 5000, "a/" * 2500 + "a", "a\0b", "\ud800", "\udc80", "e\u0301", "\u00e9", "a\n", "a b", ".hidden",
    "groups/.hidden",
]  # fmt: skip
READERS: list[tuple[str, ...]] = [
    ("golden", "list"), ("golden", "verify"), ("golden", "lint"), ("golden", "power"), ("golden", "diff", "seed/../seed"),
    ("golden", "export", "out.json", "--directory"), ("explain", "sv-am-softmax-notebook-fa6efdee", "--pack"),
    (*CHECK[:4], "--pack"),
]  # fmt: skip


def outcomes(pack: Path) -> dict[str, int]:
    """The exit code of every command that reads a pack; each must print one sentence and no traceback."""
    codes = {}
    for reader in READERS:
        result = svref_command(*(w.replace("seed/../seed", str(SHIPPED / "seed")) for w in reader), pack)
        codes[" ".join(reader[:2])] = result.returncode
        assert result.stderr.startswith("svref: ") or result.returncode != 3
        assert result.stderr.count("\n") <= 1
        assert len(result.stderr) < 1000
    return codes


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_leads_out_of_a_pack_is_refused_by_every_command(
    name: str, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pack.parent)
    manifest = json.loads((pack / "manifest.json").read_bytes())
    manifest["files"][name] = manifest["files"]["errata.json"]
    (pack / "manifest.json").write_bytes(json.dumps(manifest).encode())
    opened: list[str] = []
    watched(opened)
    assert set(outcomes(pack).values()) == {3}
    for path in opened:
        assert not path.startswith(("/etc/passwd", str(pack.parent / "x"))), path
    assert sorted(p.name for p in pack.parent.iterdir()) == ["seed"]
    with pytest.raises(VectorsError, match=r"manifest\.json lists "):
        golden.load(pack)


_WATCHING: list[list[str]] = []


def watched(opened: list[str]) -> None:
    """Write down which files are opened from now on; an audit hook cannot be removed, so there is one for all tests."""
    if not _WATCHING:
        sys.addaudithook(
            lambda event, arguments: _WATCHING[-1].append(str(arguments[0])) if event == "open" else None
        )  # fmt: skip
    _WATCHING.append(opened)


def a_link_out(pack: Path) -> None:
    (pack / GROUP).rename(pack.parent / "elsewhere.json")
    (pack / GROUP).symlink_to(pack.parent / "elsewhere.json")


def a_folder_that_leaves(pack: Path) -> None:
    (pack / "groups").rename(pack.parent / "elsewhere")
    (pack / "groups").symlink_to(pack.parent / "elsewhere")


def a_manifest_that_leaves(pack: Path) -> None:
    (pack / "manifest.json").rename(pack.parent / "elsewhere.json")
    (pack / "manifest.json").symlink_to(pack.parent / "elsewhere.json")


def a_fifo(name: str) -> Callable[[Path], None]:
    def put(pack: Path) -> None:
        (pack / name).unlink()
        os.mkfifo(pack / name)

    return put


def deep(pack: Path) -> None:
    for i in range(200):
        (pack / "/".join(["d"] * (i + 1))).mkdir()


PLACES: dict[str, Callable[[Path], object]] = {
    "a link": a_link_out,
    "a linked folder": a_folder_that_leaves,
    "a linked manifest": a_manifest_that_leaves,
    "a FIFO": a_fifo(GROUP),
    "a FIFO as manifest": a_fifo("manifest.json"),
    "a FIFO as sums": a_fifo("SHA256SUMS"),
    "a huge file": lambda pack: os.truncate(pack / GROUP, 300 * 2**30),
    "a huge manifest": lambda pack: os.truncate(pack / "manifest.json", 2**30),
    "huge sums": lambda pack: os.truncate(pack / "SHA256SUMS", 300 * 2**30),
    "deep folders": deep,
    "a name of no text": lambda pack: (pack / os.fsdecode(b"\xff\n")).write_bytes(b""),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there is no fork on this platform")
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_of_a_pack_is_refused_by_every_command(
    place: str, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pack.parent)
    PLACES[place](pack)
    opened: list[str] = []
    watched(opened)
    assert set(outcomes(pack).values()) == {3}
    assert not any(str(pack.parent / "elsewhere") in path for path in opened)


def test_many_files_that_are_too_large_together_are_refused_before_they_are_read(pack: Path) -> None:
    names = [f"groups/softmax/x{i}.json" for i in range(9)]
    for name in names:
        (pack / name).touch()
    seal(pack)
    for name in names:
        os.truncate(pack / name, 31 * 2**20)
    with pytest.raises(VectorsError, match=r"seed may have at most 268,435,456 bytes, and has 292,"):
        golden.load(pack)


@pytest.mark.parametrize("name", ["errata.json", GROUP, "manifest.json"])
@pytest.mark.parametrize(
    "value", ["NaN", "9" * 400, "1e999", '{"a":1,"a":1}', "[" * 200 + "]" * 200, '"\\ud800"', '"' + "x" * 10**6 + '"']
)
def test_json_of_other_kinds_is_damage_to_every_command_that_reads_it(
    value: str, name: str, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pack.parent)
    text = (pack / name).read_text(encoding="utf-8").rstrip()
    (pack / name).write_text(f'{text[:-1]},"x":{value}}}\n', encoding="utf-8")
    digests = json.loads((SHIPPED / "seed" / "manifest.json").read_bytes())["files"]
    if name != "manifest.json":
        manifest = (pack / "manifest.json").read_text(encoding="utf-8")
        digest = canonical.file_digest((pack / name).read_bytes())
        (pack / "manifest.json").write_text(manifest.replace(digests[name], digest), encoding="utf-8")
        digests[name] = digest
    digests["manifest.json"] = canonical.file_digest((pack / "manifest.json").read_bytes())
    (pack / "SHA256SUMS").write_bytes(canonical.sums(digests))
    assert set(outcomes(pack).values()) == {3}


def test_mutated_packs_end_every_command_with_a_sentence(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample, the same on every run, of bytes that are changed, inserted, removed or cut off in files of a pack."""
    monkeypatch.chdir(pack.parent)
    draw = random.Random(8)  # noqa: S311
    names = sorted(str(name) for name in WHOLE)
    for _ in range(25):
        name = draw.choice(names)
        data = bytearray(WHOLE[Path(name)])
        at = draw.randrange(len(data))
        kind = draw.choice(["flip", "insert", "remove", "cut"])
        if kind == "flip":
            data[at] ^= 1 << draw.randrange(8)
        elif kind == "insert":
            data[at:at] = draw.randbytes(5)
        else:
            del data[at : at + 9 if kind == "remove" else None]
        (pack / name).write_bytes(data)
        assert set(outcomes(pack).values()) == {3}, (name, kind, at)
        (pack / name).write_bytes(WHOLE[Path(name)])
    assert set(outcomes(pack).values()) == {0}


# ---- answers ---------------------------------------------------------------------------------------------------

ANSWERS = {"format": "svref-answers/1", "pack": "seed", "version": "1.0.0", "producer": "p", "dtype": "float64"}


def answered(text: str, path: Path) -> tuple[int, str]:
    path.write_text(text, encoding="utf-8")
    return judged(path)


def judged(path: Path) -> tuple[int, str]:
    result = svref_command("check", path, "--loss", "sv-am-softmax", "--pack", "seed")
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout + result.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there is no fork on this platform")
def test_answers_that_are_no_file_of_a_stated_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    os.mkfifo(path)
    for place in (path, tmp_path):
        code, told = judged(place)
        assert code == 2
        assert "it must be a regular file, and is a FIFO" in told
    path.unlink()
    path.touch()
    os.truncate(path, 300 * 2**30)
    code, told = judged(path)
    assert code == 2
    assert "it may have at most 268,435,456 bytes, and has 322,122,547,200" in told


@pytest.mark.parametrize(
    "answers",
    [
        "[" * 200 + "]" * 200, '{"a":' * 5000, '{"x": {"error": "1"}, "x": {"error": "1"}}', "[NaN]",
        json.dumps({"x" * 5000: {"loss": "no"}}), '{"\\ud800": {"loss": 1}}', '{"a\\u0000b": {"loss": {}}}',
        json.dumps({"x" * 5000: {"loss": [1]}}), '{"\\ud800": {"loss": [1]}}', '{"a\\u0000b": {"loss": [1]}}',
    ],
)  # fmt: skip
def test_answers_of_other_kinds_end_with_a_message(answers: str, tmp_path: Path) -> None:
    whole = json.dumps(ANSWERS)[:-1] + f', "answers": {answers}}}'
    code, told = answered(whole, tmp_path / "answers.json")
    assert code == 2
    assert len(told) < 3000


def test_names_that_are_no_text_are_printed_and_written_as_escapes(tmp_path: Path) -> None:
    no_text = json.dumps({**ANSWERS, "answers": {"\ud800": {"loss": [1]}}})
    (tmp_path / "answers.json").write_text(no_text, encoding="utf-8")
    line = [sys.executable, "-c", "from svref.cli import main; main()", "check", str(tmp_path / "answers.json")]
    options = ["--loss", "sv-am-softmax", "--pack", "seed", "--report", str(tmp_path / "report.json")]
    result = subprocess.run([*line, *options], capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 2
    assert "first \\ud800" in result.stdout
    assert "Traceback" not in result.stderr
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert any("first \\ud800" in remark for remark in report["remarks"])


def test_a_place_with_a_name_that_no_folder_can_have_is_told_shortened() -> None:
    for arguments in (("golden", "list"), ("explain", "x", "--pack")):
        result = svref_command(*arguments, "a" * 5000)
        assert result.returncode == 2
        assert result.stderr.startswith("svref: ")
        assert len(result.stderr) < 500
