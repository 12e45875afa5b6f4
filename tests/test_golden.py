"""Golden vectors: what they hold is right, whole, the same everywhere; and what is damaged is named."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from certified import of_vector, sharper

import svref
from svref import condition, golden
from svref.cli import main
from svref.formats import FORMATS
from svref.golden import VectorsError, building, canonical, commands, power, tree, vectors
from svref.golden.flags import NOTES
from svref.golden.packs import PACKS
from svref.golden.power import BEYOND
from svref.golden.recipes import Draw

CORE = golden.load()
CASES = [v for v in CORE if v.result != "error"]
COSINE_CASES = [v for v in CASES if v.level == "cosine"]
SHIPPED = vectors.SHIPPED


def svref_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = "from svref.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A small pack on disk."""
    golden.make(tmp_path, ["seed"])
    return tmp_path / "seed"


# ---- what they hold --------------------------------------------------------------------------------------------


def test_every_variant_has_every_group_it_can_have() -> None:
    found = {(v.variant, v.group) for v in CORE}
    for name in svref.VARIANTS:
        for group in PACKS["core"].groups:
            algebraic = svref.VARIANTS[name].factory().emphasis.t > 1 and not {"arc", "combined"} & set(name.split("-"))
            assert ((name, group) in found) == (group != "tie" or algebraic), (name, group)


def test_every_input_of_core_is_exact_in_every_format() -> None:
    for v in CORE:
        for values in (*v.inputs.values(), np.array(list(v.parameters.values()))):
            for number in values[np.isfinite(values)].ravel().tolist():
                numerator, denominator = abs(number).as_integer_ratio()
                assert (numerator >> ((numerator & -numerator).bit_length() - 1 if numerator else 0)).bit_length() <= 8
                assert denominator <= 2**24


def test_expected_values_are_the_oracles_to_the_last_bit() -> None:
    found = np.zeros(2, int)
    for v in COSINE_CASES:
        strong = v.parameters["s"] > 100 or v.parameters.get("t", 1) > 2
        if strong or v.group in ("confident", "pole"):
            continue  # the oracle takes seconds a row there, or has no slope; test_exact goes there
        compared = of_vector(v)
        if compared[1]:
            with sharper():
                compared = of_vector(v)
        found += compared
    assert found[0] > 5000
    assert found[1] == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_numpy_path_passes_the_core_pack(dtype: str) -> None:
    for v in COSINE_CASES:
        c, g = v.inputs["cosines"].astype(dtype), v.inputs["cotangent"]
        step = v.loss.forward(c, v.inputs["labels"])
        gradient = v.loss.backward(step, g).cosines
        assert step.mask.tolist() == v.mask.tolist()
        args = (c.shape[1], v.parameters["s"], v.parameters.get("t", 1.0), dtype)
        for got, name, weight in ((step.loss, "loss", 1.0), (gradient, "cosines", np.abs(g)[:, None])):
            finite = np.isfinite(v.expected[name])
            error = np.abs((got - np.where(finite, v.expected[name], 0)) - np.where(finite, v.rest[name], 0))
            assert (error <= condition.tolerance(v.scales[name], *args) * weight)[finite].all(), v.id


def test_every_error_case_raises() -> None:
    for v in CORE:
        if v.result == "error":
            labels = v.inputs["labels"]
            with pytest.raises((ValueError, TypeError)):
                v.loss.value(v.inputs["cosines"], labels)


def test_cotangents_are_signed_and_hold_a_zero_and_each_case_says_why_it_exists() -> None:
    for v in CORE:
        g = v.inputs["cotangent"]
        assert len(set(g.tolist())) == len(g)
        assert v.flags
        assert all(CORE.notes[flag]["tests"] and CORE.notes[flag]["failing"] for flag in v.flags)
    assert {flag for v in CORE for flag in v.flags} <= set(NOTES)


def test_the_radius_turns_no_decision_over() -> None:
    rng = np.random.default_rng(0)
    for v in COSINE_CASES:
        for b, radius in enumerate(v.case["radius"]):
            c = v.inputs["cosines"][b : b + 1]
            moved = c + radius * rng.choice([-1, 1], c.shape)
            moved = np.clip(moved, -1, 1) if v.loss.angular else moved
            step = v.loss.forward(moved, v.inputs["labels"][b : b + 1])
            assert radius == 0 or step.mask.tolist() == v.mask[b : b + 1].tolist(), v.id
    assert sum(r > 0 for v in COSINE_CASES for r in v.case["radius"]) > 600


def test_decisive_rows_are_those_no_rounding_can_turn_over() -> None:
    for v in COSINE_CASES:
        gaps = np.array([[float(x) for x in v.case["expected"]["gaps"]["data"]]]).reshape(v.mask.shape)
        for name, rows in v.case["decisive"].items():
            assert len(rows) == len(v.mask)
            u = FORMATS[name].unit_roundoff
            for b, decisive in enumerate(rows):
                if decisive == "0":
                    assert gaps[b].min() <= 4 * u * (1 + 1000) * 2
    assert all("0" not in v.case["decisive"]["float32"] for v in COSINE_CASES if v.group in ("basic", "hard"))


def test_draws_depend_on_the_name_alone() -> None:
    draw = Draw("a name")
    assert [draw.integer(0, 9) for _ in range(5)] == [
        int.from_bytes(hashlib.sha256(f"a name/{i}".encode()).digest()[:8], "big") % 10 for i in range(1, 6)
    ]


# ---- bytes -----------------------------------------------------------------------------------------------------


def test_the_packs_that_ship_are_what_the_recipes_make() -> None:
    for name in ("seed", "core"):
        _, files = tree.read(SHIPPED / name)
        made = building.build(PACKS[name])
        assert {k: v for k, v in made.items() if k not in tree.NOT_LISTED} == files
        assert (SHIPPED / name / "manifest.json").read_bytes() == made["manifest.json"]
        assert (SHIPPED / name / "SHA256SUMS").read_bytes() == made["SHA256SUMS"]
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*") if p.is_file()) < 2_000_000


def test_the_bytes_do_not_depend_on_the_processor_or_the_linear_algebra(tmp_path: Path) -> None:
    enabled = "from numpy._core._multiarray_umath import __cpu_dispatch__ as d, __cpu_features__ as f; print(*(x for x in d if f[x]))"
    features = subprocess.run(
        [sys.executable, "-c", enabled], capture_output=True, text=True, check=True
    ).stdout.strip()
    script = f"from svref import golden; golden.make({str(tmp_path / 'other')!r}, ['seed', 'core', 'paper', 'head'])"
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": features, "OPENBLAS_CORETYPE": "Nehalem"}
    subprocess.run([sys.executable, "-c", script], check=True, env=env)
    golden.make(tmp_path / "here", ["paper", "head"])
    shutil.copytree(SHIPPED, tmp_path / "here", dirs_exist_ok=True)
    trees = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "here", tmp_path / "other")
    ]
    assert trees[0] == trees[1]


def test_ids_depend_on_content_and_are_unique() -> None:
    ids = [v.id for v in CORE]
    assert len(set(ids)) == len(ids)
    assert canonical.case_id("softmax", "basic", {"s": 64}) == canonical.case_id("softmax", "basic", {"s": 64.0})
    assert canonical.case_id("softmax", "basic", {"s": 64}) != canonical.case_id("softmax", "basic", {"s": 32})


def test_canonical_json_has_no_negative_zero_and_non_finite_numbers_as_strings() -> None:
    made = canonical.tensor([[-0.0, np.inf], [np.nan, -np.inf]])
    assert canonical.encoded(made) == b'{"data":[0,"Infinity","NaN","-Infinity"],"shape":[2,2]}\n'
    assert np.array_equal(canonical.array(made), [[0, np.inf], [np.nan, -np.inf]], equal_nan=True)


@pytest.mark.parametrize(
    ("value", "up"),
    [(65.0, 65.0), (65.0000000000001, 65.0), (65.01, 65.1), (0.0, 0.0), (1.0001e-9, 1.01e-9), (99950.0, 100000.0)],
)
def test_scales_are_rounded_up_to_three_digits_that_the_last_bits_do_not_reach(value: float, up: float) -> None:
    assert canonical.rounded_up([value]).tolist() == [up]


def test_sha256sum_accepts_the_sums(pack: Path) -> None:
    result = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=pack, capture_output=True, check=False)  # noqa: S607
    assert result.returncode == 0


# ---- damage ----------------------------------------------------------------------------------------------------


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(pack: Path) -> None:
        (pack / name).write_bytes(change((pack / name).read_bytes()))

    return damage


def reseal(pack: Path, name: str, change: Callable[[dict], object]) -> None:
    """Change a file and its digest, as somebody who edits on purpose."""
    content = json.loads((pack / name).read_bytes())
    change(content)
    (pack / name).write_bytes(canonical.encoded(content))
    manifest = json.loads((pack / "manifest.json").read_bytes())
    manifest["files"][name] = canonical.file_digest((pack / name).read_bytes())
    (pack / "manifest.json").write_bytes(canonical.encoded(manifest))


GROUP = "groups/softmax/notebook.json"
DAMAGE = {
    "a changed digit": (edit(GROUP, lambda b: b.replace(b"2.1", b"2.2", 1)), "notebook.json was changed"),
    "a truncated file": (edit(GROUP, lambda b: b[:-40]), "notebook.json was changed"),
    "a missing file": (lambda p: (p / GROUP).unlink(), "notebook.json is listed in the manifest and missing"),
    "another file": (lambda p: (p / "notes.txt").write_text("x"), "notes.txt is not listed in the manifest"),
    "a truncated manifest": (edit("manifest.json", lambda b: b[:-9]), "manifest.json is not JSON"),
    "an unknown format": (edit("manifest.json", lambda b: b.replace(b"vectors/1", b"vectors/2")), "is of format 'svref-vectors/2'; this svref reads 'svref-vectors/1'"),
    "an extra key": (lambda p: reseal(p, GROUP, lambda c: c.update(extra=1)), r"does not follow the group schema at \$: .*extra"),
    "a number changed with its digests": (
        lambda p: reseal(p, GROUP, lambda c: c["cases"][0]["expected"]["loss"]["data"].__setitem__(0, 1.5)),
        "case softmax-notebook-[0-9a-f]{8}: the numbers were changed; their digest is another",
    ),
    "an id that occurs twice": (lambda p: reseal(p, GROUP, lambda c: c["cases"].append(c["cases"][0])), "the id softmax-notebook-[0-9a-f]{8} occurs twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_and_nothing_is_loaded(name: str, pack: Path) -> None:
    damage, message = DAMAGE[name]
    damage(pack)
    with pytest.raises(VectorsError, match=message):
        golden.load(pack)
    result = svref_command("golden", "verify", pack)
    assert result.returncode == 3
    assert "svref: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_number_that_is_not_certified_is_found_even_if_all_digests_are_right(pack: Path) -> None:
    def change(content: dict) -> None:
        case = content["cases"][0]
        case["expected"]["loss"]["lo"][0] *= 1.5
        case["digest"] = canonical.content_digest(canonical.tensors(case["inputs"], case["expected"]))

    reseal(pack, GROUP, change)
    assert len(golden.load(pack)) == 5
    with pytest.raises(
        VectorsError, match=r"1 cases are not what svref\.exact computes; the first is softmax-notebook-"
    ):
        golden.verify(pack)


def test_without_python_flint_digests_are_checked_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "recomputed to the last bit" in str(golden.verify(pack="seed"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "digests alone: python-flint is not installed" in str(golden.verify(pack="seed"))


def test_make_replaces_a_pack_as_a_whole_and_nothing_else(tmp_path: Path) -> None:
    golden.make(tmp_path, ["seed"])
    before = (tmp_path / "seed" / "manifest.json").read_bytes()
    golden.make(tmp_path, ["seed"])
    assert (tmp_path / "seed" / "manifest.json").read_bytes() == before
    other = tmp_path / "other" / "seed"
    other.mkdir(parents=True)
    (other / "precious.txt").write_text("mine")
    with pytest.raises(VectorsError, match=r"seed holds other files; nothing was written"):
        golden.make(tmp_path / "other", ["seed"])
    assert [p.name for p in other.iterdir()] == ["precious.txt"]
    with pytest.raises(ValueError, match=r"there is no pack 'nothing'; there are seed, core, paper, head, large\."):
        golden.make(tmp_path, ["nothing"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "seed"]


def test_an_interrupt_while_making_leaves_what_was_there(pack: Path) -> None:
    before = {p: p.read_bytes() for p in pack.rglob("*") if p.is_file()}

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        golden.make(pack.parent, ["seed"], interrupt)
    assert {p: p.read_bytes() for p in pack.parent.rglob("*") if p.is_file()} == before


# ---- commands --------------------------------------------------------------------------------------------------


def test_the_commands_of_the_line(tmp_path: Path) -> None:
    assert main is not None
    made = svref_command("golden", "make", tmp_path, "--pack", "seed")
    assert (made.returncode, made.stdout) == (0, f"written to {tmp_path / 'seed'}\n")
    verified = svref_command("golden", "verify", "--pack", "seed")
    assert verified.returncode == 0
    assert verified.stdout.startswith("seed 1.0.0  5 cases, 114 numbers, recomputed to the last bit")
    listed = svref_command("golden", "list", "--variant", "sv-am-softmax", "--group", "tie")
    assert [line.split()[1:] for line in listed.stdout.splitlines()] == [["cosine", "valid", "ExactTie"]] * 2
    same = svref_command("golden", "diff", tmp_path / "seed", SHIPPED / "seed")
    assert (same.returncode, same.stdout) == (0, "the cases are the same\n")
    other = svref_command("golden", "diff", tmp_path / "seed", SHIPPED / "core")
    assert other.returncode == 1
    assert other.stdout.count("removed") == 5
    assert other.stdout.count("added") == 450
    exported = svref_command("golden", "export", tmp_path / "inputs.json", "--pack", "seed")
    assert exported.stdout == f"5 cases written to {tmp_path / 'inputs.json'}\n"
    cases = json.loads((tmp_path / "inputs.json").read_bytes())["cases"]
    assert set(cases[0]) == {"group", "id", "inputs", "level", "parameters", "variant"}
    unknown = svref_command("golden", "make", tmp_path, "--pack", "nothing")
    assert (unknown.returncode, unknown.stderr.strip()) == (
        2,
        "svref: there is no pack 'nothing'; there are seed, core, paper, head, large.",
    )


def test_every_case_of_core_exposes_a_mistake_and_every_mistake_is_exposed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert golden.lint() == []
    monkeypatch.setattr(power, "BEYOND", {})
    assert len(power.unexposed(CORE)) == len(BEYOND) == 5, "each exception is one"


def test_lint_names_a_mistake_that_no_case_exposes_and_a_case_that_exposes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = [v for v in CORE if v.group != "tie" and "EqualCosines" not in v.flags]
    fewer = dataclasses.replace(CORE, cases=tuple(kept))
    assert power.matrix(fewer)["non-strict-mask"]["float32"] < power.matrix(CORE)["non-strict-mask"]["float32"]
    nothing = dataclasses.replace(CORE, cases=())
    assert "t-offset is exposed by no case in float64" in power.unexposed(nothing)
    blind = {dtype: {"firm": [], "vacuous": []} for dtype in power.JUDGED}
    case = dataclasses.replace(CASES[0], case={**CASES[0].case, "power": blind})
    monkeypatch.setattr(commands, "load", lambda *args: dataclasses.replace(CORE, name="seed", cases=(case,)))
    monkeypatch.setattr(
        commands, "_verification", lambda *args: commands.Verification("", "", "", 1, 1, recomputed=False)
    )
    assert golden.lint() == [
        "no number was computed again: python-flint is not installed", f"{case.id} exposes no deviation",
    ]  # fmt: skip


def test_the_page_of_the_format_shows_what_the_command_prints() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference" / "vectors.md").read_text(encoding="utf-8")
    printed = svref_command("golden", "power").stdout.splitlines()
    shown = [line for line in page.splitlines() if line in printed]
    assert len(shown) == 9
    for name in ("seed", "core"):
        found = golden.load(pack=name)
        numbers = sum(values.size for v in found for values in v.expected.values())
        assert f"| {name} | {found.version} | {len(found)} | {numbers:,} |" in page


def test_a_case_is_found_by_its_id() -> None:
    first = CORE.cases[0]
    assert CORE[first.id] is first
    with pytest.raises(KeyError, match="no case 'nothing' in pack core"):
        CORE["nothing"]
