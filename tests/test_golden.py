"""Golden vectors: what they hold is right, whole, the same everywhere; and what is damaged is named."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from certified import of_vector, sharper
from in_process import svref_command
from resealed import edited, replaced, seal

import svref
from svref import golden
from svref.formats import FORMATS
from svref.golden import VectorsError, commands
from svref.golden.files import canonical
from svref.golden.files.checks import Verification, check_complete
from svref.golden.files.pack import SHIPPED, shipped
from svref.golden.listing import differences
from svref.golden.making import power, records
from svref.golden.making.beyond import BEYOND
from svref.golden.making.packs import PACKS
from svref.golden.making.recipes import Draw
from svref.golden.notes import NOTES
from svref.judging import condition
from svref.judging.precision import precision_of

CORE = golden.load()
CASES = [v for v in CORE if v.result != "error"]
COSINE_CASES = [v for v in CASES if v.level == "cosine"]
GROUP = "groups/softmax/notebook.json"


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


def test_every_input_of_core_is_exact_in_every_format_but_of_many_digits_or_in_float16_where_the_case_says_so() -> None:
    for v in CORE:
        has_many = v.group == "digits" or "NineDigits" in v.flags
        assert not has_many or not {"float16", "bfloat16"} <= set(v.dtypes)
        for values in (*(() if has_many else v.inputs.values()), np.array(list(v.parameters.values()))):
            for number in values[np.isfinite(values)].ravel().tolist():
                numerator, denominator = abs(number).as_integer_ratio()
                assert (numerator >> ((numerator & -numerator).bit_length() - 1 if numerator else 0)).bit_length() <= 8
                assert denominator <= 2**24 or "float16" not in v.dtypes


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
    assert {flag for v in CORE for flag in v.flags} <= set(NOTES), "explain the flag in svref/golden/notes.py"


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
            u = FORMATS[precision_of(name).logits].unit_roundoff
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


def test_the_packs_that_ship_are_small() -> None:
    sizes = {name: sum(p.stat().st_size for p in (SHIPPED / name).rglob("*") if p.is_file()) for name in shipped()}
    assert sizes["seed"] + sizes["core"] < 4_000_000
    assert sum(sizes.values()) < 4_600_000


def test_the_packs_that_ship_are_what_the_recipes_make_on_any_processor_with_any_linear_algebra(tmp_path: Path) -> None:
    enabled = "from numpy._core._multiarray_umath import __cpu_dispatch__ as d, __cpu_features__ as f; print(*(x for x in d if f[x]))"
    features = subprocess.run(
        [sys.executable, "-c", enabled], capture_output=True, text=True, check=True
    ).stdout.strip()
    script = f"from svref import golden; golden.make({str(tmp_path / 'other')!r}, ['seed', 'core', 'paper', 'head'])"
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": features, "OPENBLAS_CORETYPE": "Nehalem"}
    subprocess.run([sys.executable, "-c", script], check=True, env=env)
    golden.make(tmp_path / "here", ["head"])
    shutil.copytree(SHIPPED, tmp_path / "here", dirs_exist_ok=True)  # they were made with all features
    assert digests(tmp_path / "here") == digests(tmp_path / "other")


def digests(root: Path) -> dict[Path, str]:
    return {p.relative_to(root): canonical.file_digest(p.read_bytes()) for p in root.rglob("*") if p.is_file()}


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


# ---- verification ----------------------------------------------------------------------------------------------


def test_without_python_flint_digests_are_checked_and_it_says_so(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "recomputed to the last bit" in str(golden.verify(pack))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "digests alone: python-flint is not installed" in str(golden.verify(pack))


def test_a_registry_that_has_changed_is_no_damage_but_a_finding(pack: Path) -> None:
    first = next(v.id for v in golden.load(pack) if v.variant == "softmax")

    def forget(content: dict) -> None:
        content["cases"][first]["float64"] = content["cases"][first]["float64"].replace("2", "0", 1)

    edited("power.json", forget)(pack)
    sentence = f"power of 1 cases is not what the registry of this svref gives; first {first}"
    found = golden.verify(pack)
    assert found.power == (first,)
    assert str(found).splitlines()[1:] == [sentence]
    assert golden.lint(pack) == [sentence]


def test_lint_misses_a_case_that_was_dropped_and_one_of_no_recipe(pack: Path) -> None:
    ids = {v.variant: v.id for v in golden.load(pack)}
    shutil.rmtree(pack / GROUP.rpartition("/")[0])
    edited("power.json", lambda content: content["cases"].pop(ids["softmax"]))(pack)
    seal(pack, {"cases": 4})
    assert golden.verify(pack).cases == 4
    with pytest.raises(
        VectorsError, match=f"seed: the case {ids['softmax']}, which one of its recipes makes, is missing"
    ):
        golden.lint(pack)
    seal(pack, {"version": "1.1.0"})
    assert golden.lint(pack) == []
    with pytest.raises(VectorsError, match="none of its recipes makes the case x"):
        check_complete(pack, ["x", "y"], ["y"])


def test_an_id_is_known_before_anything_is_computed() -> None:
    for name in ("seed", "core", "paper"):
        assert [records.id_of(recipe) for recipe in PACKS[name].recipes()] == [v.id for v in recipes_order(name)]


def recipes_order(name: str) -> list[golden.Vector]:
    """The cases of a pack in the order of its recipes; files are in the order of their names."""
    order = {
        (variant, group): i for i, (variant, group) in enumerate(itertools.product(svref.VARIANTS, PACKS[name].groups))
    }
    return sorted(golden.load(pack=name), key=lambda v: order[v.variant, v.group])


# ---- commands --------------------------------------------------------------------------------------------------


def test_the_commands_of_the_line(pack: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-c", "from svref.cli import main; main()", "golden", "make", tmp_path, "--pack", "seed"]
    made = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout) == (0, f"written to {pack}\n")
    verified = svref_command("golden", "verify", pack)
    assert verified.returncode == 0
    assert verified.stdout.startswith("seed 1.0.5  5 cases, 114 numbers, recomputed to the last bit")
    listed = svref_command("golden", "list", "--variant", "sv-am-softmax", "--group", "tie")
    assert [line.split()[1:] for line in listed.stdout.splitlines()] == [["cosine", "valid", "ExactTie"]] * 2
    same = svref_command("golden", "diff", pack, SHIPPED / "seed")
    assert (same.returncode, same.stdout) == (0, "the packs are the same\n")
    other = svref_command("golden", "diff", pack, SHIPPED / "core")
    assert other.returncode == 1
    assert "changed  the pack: pack, purpose, version\n" in other.stdout
    assert len(re.findall(r"removed  (?!note)", other.stdout)) == 5
    assert len(re.findall(r"added    (?!note)", other.stdout)) == len(CORE)
    exported = svref_command("golden", "export", tmp_path / "inputs.json", "--pack", "seed")
    assert exported.stdout == f"5 cases written to {tmp_path / 'inputs.json'}\n"
    cases = json.loads((tmp_path / "inputs.json").read_bytes())["cases"]
    assert set(cases[0]) == {"group", "id", "inputs", "level", "parameters", "variant"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("make", "x", "--pack", "nothing"), "there is no pack 'nothing'; there are seed, core, paper, batches, head, large."),
        (("verify", "--pack", "nothing"), "pack must be one of core, paper, seed, or a directory; got 'nothing'."),
        (("lint", "nothing"), "pack must be one of core, paper, seed, or a directory; got 'nothing'."),
        (("diff", "seed", "nothing"), "pack must be one of core, paper, seed, or a directory; got 'nothing'."),
        (("list", "--pack", ""), "--pack needs a value; got ''."),
        (("verify", "x", "--pack", "seed"), "name one pack: got 'x' and --pack 'seed'."),
        (("list", "--variant", "x"), "variant must be one of a-softmax, am-softmax, arc-softmax,"),
        (("list", "--group", "x"), "group must be one of basic, coarse, confident, digits, error, extreme, hard, head,"),
    ],
)  # fmt: skip
def test_what_there_is_not_exits_2_with_what_there_is(arguments: tuple[str, ...], message: str) -> None:
    result = svref_command("golden", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"svref: {message}")


def test_a_list_without_a_case_says_so_apart() -> None:
    result = svref_command("golden", "list", "--variant", "softmax", "--group", "tie")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "svref: no case matches\n")


@pytest.mark.parametrize("module", ["typer", "svref.cli.check", "svref.cli.tools"])
def test_an_interrupt_while_the_command_is_loaded_is_silent(module: str) -> None:
    script = (
        "import sys, importlib.abc\n"
        "class Interrupted(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == sys.argv[1]: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from svref.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", script, module], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


DIFFERENCES = {
    "changed  note Notebook: tests": edited(GROUP, lambda c: c["notes"]["Notebook"].update(tests="x")),
    "changed  the pack: version": lambda p: seal(p, {"version": "1.1.0"}),
    "changed  the pack: purpose": lambda p: seal(p, {"purpose": "x"}),
    "changed  schema/group.schema.json: content": replaced("schema/group.schema.json", lambda b: b"{}\n"),
    "added    errata x": edited(
        "errata.json", lambda c: c.update(withdrawn=[{"id": "x", "version": "1.0.0", "reason": "y"}])
    ),
    "changed  softmax-notebook-9cfaf908: digest, expected": edited(
        GROUP, lambda c: c["cases"][0]["expected"]["loss"]["lo"].__setitem__(0, 0)
    ),
}


@pytest.mark.parametrize("line", DIFFERENCES)
def test_diff_reports_all_that_a_pack_says(line: str, pack: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(pack, tmp_path / "other"))
    assert differences(pack, other) == []
    DIFFERENCES[line](other)
    assert differences(pack, other) == [line]


def test_diff_reports_a_case_that_changed_its_group(pack: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(pack, tmp_path / "other"))
    edited(GROUP, lambda content: content.update(group="rows"))(other)
    (other / GROUP).rename(other / "groups" / "softmax" / "rows.json")
    seal(other)
    assert differences(pack, other) == ["changed  softmax-notebook-9cfaf908: group"]


def test_every_case_of_core_exposes_a_mistake_and_every_mistake_is_exposed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # that core is what its recipes make is asked above
        patch.setattr(commands, "_recompute", lambda *args: [])
        assert golden.lint() == []


def test_every_exception_is_one() -> None:
    applying = power._applying(CORE)
    firm = {(v.level, v.variant, name, precision) for v in CORE for precision, name in power._firm(v)}
    for i, one in enumerate(BEYOND):
        others = (*BEYOND[:i], *BEYOND[i + 1 :])
        for name, precision in itertools.product(one.names, one.precisions):
            places = [
                (level, variant)
                for level, variant in itertools.product(("cosine", "head"), applying.get(name, ()))
                if one.covers(level, loss := svref.VARIANTS[variant].factory(), name, precision)
                and (level == "head" or svref.deviations.DEVIATIONS[name].on_cosines is not None)
                and (level, variant, name, precision) not in firm
                and not any(other.covers(level, loss, name, precision) for other in others)
            ]
            assert places or name not in applying, f"{name} is no exception at {precision}, {one.level}, {one.margins}"


def test_power_lists_cases_and_heads_and_exits_with_1_if_core_lacks_a_head(tmp_path: Path) -> None:
    printed = svref_command("golden", "power")
    assert printed.returncode == 0
    row = next(line.split() for line in printed.stdout.splitlines() if line.startswith("mask-on-plain-cosine"))
    firm = [v for v in CORE if "mask-on-plain-cosine" in v.case.get("power", {}).get("float32", {"firm": ()})["firm"]]
    heads = sum(v.level == "head" for v in firm)
    assert row[2] == f"{len(firm) - heads}+{heads}"
    core = Path(shutil.copytree(SHIPPED / "core", tmp_path / "core"))
    of_variant = [v.id for v in firm if v.level == "head" and v.variant == "sv-am-softmax"]

    def forget(content: dict) -> None:
        place = content["deviations"].index("mask-on-plain-cosine")
        for name in of_variant:
            digits = content["cases"][name]["float32"]
            content["cases"][name]["float32"] = f"{digits[:place]}1{digits[place + 1 :]}"

    edited("power.json", forget)(core)
    lacking = svref_command("golden", "power", core)
    assert lacking.returncode == 1
    assert lacking.stdout.endswith("mask-on-plain-cosine is exposed by no head case of sv-am-softmax in float32\n")


def test_lint_names_a_mistake_that_no_case_exposes_and_a_case_that_exposes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = [v for v in CORE if v.group != "tie" and "EqualCosines" not in v.flags]
    fewer = dataclasses.replace(CORE, cases=tuple(kept))
    assert power.matrix(fewer)["non-strict-mask"]["float32"] < power.matrix(CORE)["non-strict-mask"]["float32"]
    cosines = dataclasses.replace(CORE, cases=tuple(v for v in CORE if v.level == "cosine"))
    assert "mask-on-plain-cosine is exposed by no head case of sv-arc-softmax in float32" in power.unexposed(cosines)
    assert not any(" no cosine case" in line for line in power.unexposed(cosines))
    nothing = dataclasses.replace(CORE, cases=())
    assert "t-offset is exposed by no case in float64" in power.unexposed(nothing)
    blind = {dtype: {"firm": [], "vacuous": []} for dtype in power.WIDE}
    case = dataclasses.replace(CASES[0], case={**CASES[0].case, "power": blind})
    one, found = dataclasses.replace(CORE, name="seed", cases=(case,)), Verification("", "", "", 1, 1, recomputed=False)
    monkeypatch.setattr(commands, "_verified", lambda *args: (one, found))
    assert golden.lint() == [
        "no number was computed again: python-flint is not installed", f"{case.id} exposes no deviation",
    ]  # fmt: skip


def test_the_page_of_the_format_shows_what_the_command_prints() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference" / "vectors.md").read_text(encoding="utf-8")
    printed = svref_command("golden", "power").stdout.splitlines()
    shown = [line for line in page.splitlines() if line in printed]
    assert len(shown) == 10
    for name in ("seed", "core"):
        found = golden.load(pack=name)
        numbers = sum(values.size for v in found for values in v.expected.values())
        assert f"| {name} | {found.version} | {len(found)} | {numbers:,} |" in page


def test_a_case_is_found_by_its_id(pack: Path) -> None:
    first = CORE.cases[0]
    assert CORE[first.id] is first
    with pytest.raises(KeyError, match="no case 'nothing' in pack core"):
        CORE["nothing"]
    assert golden.find(first.id) is golden.find(first.id, "core") is first
    edited(GROUP, lambda content: content["cases"][0].update(id="softmax-notebook-00000000"))(pack)
    assert golden.find("softmax-notebook-00000000", str(pack)).group == "notebook"
    with pytest.raises(ValueError, match=r"no pack that ships has a case 'nothing'; .* --pack DIRECTORY"):
        golden.find("nothing")
    with pytest.raises(ValueError, match="seed has no case 'nothing'; see svref golden list "):
        golden.find("nothing", str(pack))
    with pytest.raises(ValueError, match="pack must be one of core, paper, seed, or a directory; got 'nothing'"):
        golden.find("x", "nothing")


def test_a_case_of_any_pack_can_be_explained(pack: Path) -> None:
    first = golden.load(pack).cases[0].id
    result = svref_command("explain", first, "--pack", pack)
    assert result.returncode == 0
    assert result.stdout.startswith(f"{first}, row ")
