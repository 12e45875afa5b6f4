"""Large golden vectors: the recipe is integers, the numbers are certified, and what is wrong is found and named."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy as safetensors
from in_process import svref_command
from resealed import edited, replaced, seal

import svref
from svref import golden
from svref.exact import evaluate
from svref.golden import VectorsError
from svref.golden.files import canonical
from svref.golden.files.pack import SHIPPED
from svref.golden.files.schema import IN_PACKS
from svref.golden.large import RECIPES, LargeVectors, load_large, make_large, verify_large
from svref.golden.large.case import LargeCase, LargeResult
from svref.golden.large.pack import PARAMETERS
from svref.golden.large.recipe import LargeRecipe, Range, Regime, splitmix64
from svref.golden.listing import differences, lines

SMALL = [recipe for recipe in RECIPES if recipe.classes == 300]
WIDE = LargeRecipe("sv-am-softmax", PARAMETERS["sv-am-softmax"], 24, 85_000, seed=5)
ARC = LargeRecipe("sv-arc-softmax", PARAMETERS["sv-arc-softmax"], 24, 85_000, seed=6)
TINY = LargeRecipe("sv-softmax", {"s": 8.0, "t": 1.25}, 4, 40, seed=7, peaks=4, tabled=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of all small cases and two of 85,000 classes."""
    directory = tmp_path_factory.mktemp("vectors") / "large"
    make_large(directory, recipes=[*SMALL, WIDE, ARC])
    return directory


@pytest.fixture(scope="module")
def vectors(made: Path) -> LargeVectors:
    return load_large(made)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    make_large(tmp_path / "tiny", recipes=[TINY])
    return tmp_path / "tiny"


def wide(vectors: LargeVectors, variant: str = "sv-am-softmax") -> LargeCase:
    return next(case for case in vectors if case.recipe.classes == 85_000 and case.recipe.variant == variant)


def outputs(case: LargeCase, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """What svref makes of a case."""
    losses, gradient = case.loss.value_and_grad(case.cosines(dtype), case.labels, reduction="none")
    gradient *= case.cotangent[:, None].astype(dtype)
    return losses, gradient


# ---- the recipe ------------------------------------------------------------------------------------------------


def test_the_hash_is_the_published_splitmix64() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert splitmix64(1234567, np.arange(4, dtype=np.uint64)).tolist() == published


def output(seed: int, i: int) -> int:
    """splitmix64 in Python's integers, written from the page of the documentation."""
    x = (seed + (i + 1) * 0x9E3779B97F4A7C15) % 2**64
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) % 2**64
    return x ^ x >> 31


def test_the_recipe_is_the_one_of_the_documentation_in_plain_integers() -> None:
    for recipe in (WIDE, ARC, SMALL[0]):
        labels, targets, cosines, signs = (output(recipe.seed, stream) for stream in range(4))
        for b in range(0, recipe.rows, 5):
            c = recipe.cosines(rows=slice(b, b + 1))[0]
            regime = recipe.regimes[b % 4]
            label = (output(labels, b) >> 32) * recipe.classes >> 32
            assert recipe.labels[b] == label
            assert recipe.cotangent[b] == recipe.cotangents[b % 7]
            first, last = regime.target
            assert c[label] * 256 == first + ((output(targets, b) >> 32) * (last - first + 1) >> 32)
            for k in {*range(0, recipe.classes, 997), recipe.classes - 1} - {label}:
                word = output(cosines, b * recipe.classes + k)
                stands_out = (word % 2**32) * recipe.classes >> 32 < recipe.peaks
                first, last = regime.peaks if stands_out else regime.crowd
                assert c[k] * 256 == first + ((word >> 32) * (last - first + 1) >> 32)
        for k in range(0, recipe.classes, 997):
            assert recipe.signs[:, k].tolist() == [1 - 2 * (output(signs, k) >> p & 1) for p in range(4)]


def test_cosines_come_in_any_block_and_are_exact_in_every_format() -> None:
    whole = WIDE.cosines()
    assert (WIDE.cosines(rows=slice(5, 9)) == whole[5:9]).all()
    assert (WIDE.cosines(np.float16) == whole).all()
    assert np.abs(whole * 256).max() <= 256  # eight digits, as bfloat16 has
    assert np.all(whole * 256 == np.rint(whole * 256))


def test_a_recipe_reads_back_and_its_id_does_not_change() -> None:
    for recipe in (*RECIPES, TINY):
        again = LargeRecipe.from_json(json.loads(canonical.encoded(recipe.to_json())))
        assert again == recipe
        assert again.id == recipe.id
    assert len({recipe.id for recipe in RECIPES}) == len(RECIPES) == 13
    assert {recipe.variant for recipe in RECIPES if recipe.rows == 512} == set(PARAMETERS)
    assert TINY.id == "sv-softmax-4x40-b53c731a"


def test_rows_are_of_all_kinds() -> None:
    for case in (WIDE, ARC):
        loss = case.loss.value(case.cosines(), case.labels, reduction="none")
        assert loss.min() < 0.01
        assert loss.max() > 60
        assert ((loss > 0.01) & (loss < 20)).any()
    assert (ARC.targets / 256 < -np.cos(0.5)).any(), "no target is on the tail"
    assert 0 in WIDE.cotangent


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"classes": 1}, "classes must be from 2 to 2147483648; got 1."),
        ({"classes": 2**31}, "projections x classes must be at most 134,217,728; got 4 x 2147483648."),
        ({"tabled": 9}, "tabled must be from 0 to 8; got 9."),
        ({"variant": "softmaxx"}, "there is no variant 'softmaxx'"),
        ({"regimes": (Regime("all", Range(3, 2), Range(0, 1), Range(0, 1)),)}, "target of all must ascend within ±255"),
    ],
)
def test_a_recipe_that_cannot_be_says_why(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LargeRecipe(**{"variant": "softmax", "parameters": {}, "rows": 8, "classes": 20, "seed": 1} | changed)


# ---- the numbers -----------------------------------------------------------------------------------------------


def test_every_number_of_the_small_cases_is_that_of_exact_evaluate(vectors: LargeVectors) -> None:
    for case in vectors:
        if case.recipe.classes != 300:
            continue
        c, y = case.cosines(), case.labels
        truth = evaluate(case.loss, c, y, case.cotangent)
        own = np.arange(len(y)), y
        at = np.rint(c * 256).astype(int) - case.recipe.span.first
        at[own] = 0
        for part, found in (("hi", case.expected), ("lo", case.rest)):
            assert (found["loss"] == getattr(truth.loss, part)).all()
            right = getattr(truth.cosines, part)
            assert (found["target"] == right[own]).all()
            by_value = np.take_along_axis(found["values"], at, axis=1)
            by_value[own] = right[own]
            assert (by_value == right).all()
        for b, row in enumerate(truth.cosines.hi.tolist()):
            terms = [Fraction(x) + Fraction(z) for x, z in zip(row, truth.cosines.lo[b].tolist(), strict=True)]
            for p, signs in enumerate(case.recipe.signs.astype(int).tolist()):
                total = sum(r * x for r, x in zip(signs, terms, strict=True))
                hi, lo = case.expected["projections"][b, p], case.rest["projections"][b, p]
                assert float(total) == hi
                assert abs(total - Fraction(hi) - Fraction(lo)) <= Fraction(2.0**-104) * sum(map(abs, terms))


def test_scales_are_those_of_the_condition_rounded_up(vectors: LargeVectors) -> None:
    case = wide(vectors)
    step = case.loss.forward(case.cosines(), case.labels)
    scales = svref.judging.condition.scales(step, np.float64)
    for name, values in (("loss", scales.loss), ("projections", scales.cosines.sum(axis=1))):
        assert (case.scales[name] >= values * (1 - 1e-8)).all()
        assert (case.scales[name] <= values * 1.0101).all()


def test_svref_passes_in_float64_and_float32(vectors: LargeVectors) -> None:
    for case in vectors:
        for dtype in ("float64", "float32"):
            result = case.judge(*outputs(case, dtype))
            assert result.ok, str(result)
            assert result.skipped == ()
            assert result.worst < 0.1
        assert sum(r.numbers for r in result.readings if r.what == "elements") == 8 * (case.recipe.classes - 1)


def test_nothing_is_vacuous_in_float64(vectors: LargeVectors) -> None:
    for case in vectors:
        assert sum(r.vacuous for r in case.judge(*outputs(case)).readings) == 0


# ---- what is wrong is found ------------------------------------------------------------------------------------


def result_of(case: LargeCase, row: int, column: int, factor: float) -> LargeResult:
    """The judgement on a gradient one element of which is multiplied."""
    losses, gradient = outputs(case)
    gradient[row, column] *= factor
    return case.judge(losses, gradient)


def test_one_element_that_is_off_by_a_thousandth_is_found_in_its_row(vectors: LargeVectors) -> None:
    case = wide(vectors)
    largest = int(np.argmax(np.abs(outputs(case)[1][21])))
    result = result_of(case, 21, largest, 1.001)
    assert result.wrong_rows == (21,)
    assert [r.wrong for r in result.failures if r.what == "projections"] == [4]


def test_the_smallest_element_of_a_tabled_row_is_found_by_its_column(vectors: LargeVectors) -> None:
    case = wide(vectors)
    smallest = int(np.argmin(np.abs(outputs(case)[1][6])))
    result = result_of(case, 6, smallest, 1.001)
    assert [(r.what, r.row, r.column, r.wrong) for r in result.failures] == [("elements", 6, smallest, 1)]
    assert str(result.failures[0]).startswith(f"gradient[6, {smallest}] = ")
    assert "FAIL" in str(result)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "name", ["t-offset", "non-strict-mask", "margin-ignored", "ignored-cotangent", "mask-on-plain-cosine", "s-twice"]
)
def test_known_mistakes_are_found(vectors: LargeVectors, name: str, dtype: str) -> None:
    case = wide(vectors)
    wrong = svref.deviations.DEVIATIONS[name].run(case.loss, case.cosines(), case.labels, case.cotangent)
    assert not case.judge(*wrong, dtype=dtype).ok


AT_POLES = {"clamp-kills-gradient", "clamp-of-target-kills-gradient", "clip-halves-at-ends", "sine-of-whole-row", "slope-one-at-poles"}  # fmt: skip
FEW_DIGITS = {
    "inputs-cast-to-bfloat16",
    "inputs-cast-to-float16",
    "inputs-cast-to-float32",
    "scale-before-cast",
}  # cosines are on a grid
OVERFLOWS = {"no-max-subtraction-float64", "no-max-subtraction-quotient-float64"}


def test_what_large_cases_miss_needs_a_pole_a_larger_exponent_or_another_margin(vectors: LargeVectors) -> None:
    known = {n: d for n, d in svref.deviations.DEVIATIONS.items() if d.level == "cosine"}
    missed = {
        dtype: {n for n, d in known.items() if any(d.applies(c.loss) for c in vectors)}
        for dtype in ("float64", "float32")
    }
    for case in vectors:
        for name in set.union(*missed.values()):
            if known[name].applies(case.loss):
                with np.errstate(all="ignore"):
                    wrong = known[name].run(case.loss, case.cosines(), case.labels, case.cotangent)
                for dtype, names in missed.items():
                    names -= set() if case.judge(*wrong, dtype=dtype).ok else {name}
    assert missed["float64"] == AT_POLES | OVERFLOWS | FEW_DIGITS
    assert missed["float32"] == AT_POLES | OVERFLOWS | FEW_DIGITS | {"precision-downcast-float32"}


def test_a_flipped_sign_is_found_in_every_row_that_has_a_gradient(vectors: LargeVectors) -> None:
    case = wide(vectors)
    losses, gradient = outputs(case)
    result = case.judge(losses, -gradient)
    assert result.wrong_rows == tuple(np.flatnonzero(case.cotangent).tolist())


def test_classes_left_out_at_the_end_are_found(vectors: LargeVectors) -> None:
    case = wide(vectors)
    losses, gradient = outputs(case)
    gradient[:, -8:] = 0
    assert not case.judge(losses, gradient).ok


def test_a_nan_never_passes(vectors: LargeVectors) -> None:
    case = wide(vectors)
    losses, gradient = outputs(case)
    gradient[23, 4] = np.nan
    losses[2] = np.inf
    result = case.judge(losses, gradient)
    assert result.wrong_rows == (2, 23)
    assert result.worst == np.inf


def test_rows_are_judged_in_any_block(vectors: LargeVectors) -> None:
    case = wide(vectors)
    losses, gradient = outputs(case)
    losses[20] *= 1.1
    whole = case.judge(losses, gradient)
    blocks = [case.judge(losses[rows], gradient[rows], rows) for rows in (slice(0, 13), slice(13, 24))]
    assert whole.readings == blocks[0].readings + blocks[1].readings
    assert blocks[1].wrong_rows == (20,)


def test_rows_whose_decisions_rounding_may_turn_over_are_skipped(vectors: LargeVectors) -> None:
    case = wide(vectors, "sv-arc-softmax")
    losses, gradient = outputs(case, "float32")
    result = case.judge(losses, gradient, dtype="bfloat16")
    assert len(result.skipped) == np.count_nonzero(~case.decisive["bfloat16"]) > 0
    assert not {r.row for r in result.readings} & set(result.skipped)


def test_what_is_only_vacuous_does_not_pass(vectors: LargeVectors) -> None:
    case = wide(vectors)
    losses, gradient = outputs(case, "float32")
    result = case.judge(losses[:1], gradient[:1], slice(1), dtype="bfloat16")
    assert (result.ok, result.failures, result.skipped) == (False, (), ())


def test_what_is_no_gradient_is_refused(vectors: LargeVectors) -> None:
    case = wide(vectors)
    with pytest.raises(ValueError, match=r"losses must have shape \(24,\); got \(\)"):
        case.judge(1.0, np.zeros((24, 85_000)))
    with pytest.raises(ValueError, match=r"gradient must have shape \(2, 85000\); got \(24, 2\)"):
        case.judge([1.0, 2.0], np.zeros((24, 2)), slice(2))
    with pytest.raises(TypeError, match="must be of one of float64, float32, float16, bfloat16; got int64"):
        case.judge([1.0], np.zeros((1, 85_000), np.int64), slice(1))


# ---- the files -------------------------------------------------------------------------------------------------


def test_the_bytes_are_the_same_again_also_without_vector_instructions(tiny: Path) -> None:
    script = (
        "import sys; from svref.golden.large import *; from svref.golden.large.recipe import LargeRecipe;"
        "make_large(sys.argv[1], recipes=[LargeRecipe('sv-softmax', {'s': 8.0, 't': 1.25}, 4, 40, seed=7, peaks=4, tabled=2)])"
    )
    other = tiny.with_name("other")
    environment = {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", script, str(other)], check=True, env=environment)
    names = sorted(p.relative_to(tiny) for p in tiny.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    for name in names:
        assert (tiny / name).read_bytes() == (other / name).read_bytes(), name


def test_the_tensors_are_little_endian_float64_without_metadata(tiny: Path) -> None:
    data = (tiny / "large.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert {entry["dtype"] for entry in header.values()} == {"F64"}
    assert set(header) == {
        f"{TINY.id}/{name}"
        for name in ("loss", "loss.lo", "loss.scale", "target", "target.lo", "target.scale", "projections",
                     "projections.lo", "projections.scale", "values", "values.lo")
    }  # fmt: skip


def test_verify_proves_every_number_again(tiny: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = verify_large(tiny, lambda done, total: seen.append((done, total)))
    assert (found.name, found.cases, found.recomputed) == ("large", 1, True)
    assert found.numbers == 4 + 4 + 4 * 4 + 2 * len(TINY.grid)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def remade(tiny: Path, name: str, data: bytes) -> None:
    """Change a file, and all digests of it."""
    (tiny / name).write_bytes(data)
    seal(tiny)


def test_a_number_that_is_not_certified_is_found_even_if_all_digests_fit(tiny: Path) -> None:
    data = bytearray((tiny / "large.safetensors").read_bytes())
    data[-1 - 8 * 3] ^= 1
    remade(tiny, "large.safetensors", bytes(data))
    with pytest.raises(VectorsError, match=f"case {TINY.id}: {TINY.id}/values.lo is not what comes out of its recipe"):
        verify_large(tiny)


def test_a_damaged_file_is_named(tiny: Path) -> None:
    data = bytearray((tiny / "large.safetensors").read_bytes())
    data[-1] ^= 1
    (tiny / "large.safetensors").write_bytes(data)
    with pytest.raises(VectorsError, match=r"large.safetensors was changed: its SHA-256 is not the manifest's"):
        load_large(tiny)
    (tiny / "large.safetensors").unlink()
    with pytest.raises(VectorsError, match=r"large.safetensors must be there as a regular file, and is missing"):
        load_large(tiny)


def test_what_does_not_fit_together_is_named(tiny: Path) -> None:
    content = json.loads((tiny / "large.json").read_bytes())
    whole = (tiny / "large.safetensors").read_bytes()
    recipe = content["cases"][0]["recipe"]
    changes = {
        "large.json does not follow the large schema .*'more' was unexpected": {"more": 1},
        "the recipe was changed; its id is": {"seed": 8},
        "there is no variant 'x'": {"variant": "x"},
    }
    for message, change in changes.items():
        case = {**content["cases"][0], "recipe": {**recipe, **change}}
        remade(tiny, "large.json", canonical.encoded({**content, "cases": [case]}))
        with pytest.raises(VectorsError, match=message):
            load_large(tiny)
    remade(tiny, "large.json", canonical.encoded(content))
    remade(tiny, "large.safetensors", whole[:40])
    with pytest.raises(VectorsError, match="is no safetensors file"):
        load_large(tiny)
    remade(tiny, "large.safetensors", safetensors.save({"x": np.zeros(1)}))
    with pytest.raises(VectorsError, match=r"loss must be float64, of shape \(4,\); found nothing"):
        load_large(tiny)


def test_another_pack_and_another_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorsError, match="is the pack 'seed', without large cases"):
        load_large(SHIPPED / "seed")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(VectorsError, match=r"holds other files, first mine\.txt; nothing was written"):
        make_large(tmp_path, recipes=[TINY])


def tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """Return what changes the tensors and seals the pack."""

    def damage(pack: Path) -> None:
        found = {name: x.copy() for name, x in safetensors.load((pack / "large.safetensors").read_bytes()).items()}
        change(found)
        remade(pack, "large.safetensors", safetensors.save(found))

    return damage


def renamed(pack: Path, parameters: dict[str, float]) -> None:
    """Give a case other parameters, and all that is called after it its new name."""
    content = json.loads((pack / "large.json").read_bytes())
    case = content["cases"][0]
    case["recipe"]["parameters"] |= parameters
    old, case["id"] = case["id"], LargeRecipe.from_json(case["recipe"]).id
    (pack / "large.json").write_bytes(canonical.encoded(content))
    tensors(lambda found: found.update({n.replace(old, case["id"]): found.pop(n) for n in list(found)}))(pack)


def with_metadata(data: bytes) -> bytes:
    return safetensors.save(safetensors.load(data), metadata={"a": "b"})


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing tensor": (tensors(lambda t: t.pop(f"{TINY.id}/loss")), "loss must be float64, of shape .* found nothing"),
    "another tensor": (tensors(lambda t: t.update(x=np.zeros(1))), r"large\.safetensors: x is of no case"),
    "a narrower tensor": (tensors(lambda t: t.update({f"{TINY.id}/loss": np.zeros(4, np.float32)})), "loss must be float64, .* found float32"),
    "a negative zero": (tensors(lambda t: t[f"{TINY.id}/loss.lo"].__setitem__(0, -0.0)), r"loss\.lo must have no negative zero"),
    "metadata": (replaced("large.safetensors", with_metadata), r"large\.safetensors must hold tensors alone, but has metadata"),
    "a case twice": (edited("large.json", lambda c: c["cases"].append(c["cases"][0])), r"large\.json: the id .* occurs twice|must count 2 cases"),
    "another number of cases": (lambda p: seal(p, {"cases": 2}), r"manifest\.json must count 1 cases, but says 2"),
    "another name": (lambda p: seal(p, {"pack": "core"}), r"manifest\.json must call a pack of large cases 'large', not 'core'"),
    "a folder of groups": (lambda p: ((p / "groups" / "x").mkdir(parents=True), (p / "groups" / "x" / "y.json").write_text("{}"), seal(p)), r"y\.json (must not be part of a pack|does not follow)"),
    "no errata": (lambda p: ((p / "errata.json").unlink(), seal(p)), r"errata\.json must be part of every pack"),
    "no large.json": (lambda p: ((p / "large.json").unlink(), seal(p)), r"large\.json must be part of the pack, and is not"),
    "a broken large.json": (replaced("large.json", lambda b: b[:-9]), r"large\.json is not JSON"),
    "a pretty large.json": (replaced("large.json", lambda b: json.dumps(json.loads(b), indent=1).encode()), r"large\.json: a file must be RFC 8785 JSON"),
    "a parameter out of range": (lambda p: renamed(p, {"s": -1}), r"large\.json, case sv-softmax-4x40-[0-9a-f]{8}: s must be above 0"),
    "an unknown parameter": (lambda p: renamed(p, {"zz": 1}), r"large\.json, case .*unexpected keyword argument 'zz'"),
    "another digest of inputs": (edited("large.json", lambda c: c["cases"][0]["digests"].update(cosines="0" * 64)), f"case {TINY.id}: cosines is not what comes out of its recipe"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_without_computing_anything(name: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage, message = DAMAGE[name]
    damage(tiny)
    monkeypatch.setattr("svref.golden.large.pack.can_recompute", lambda: False)
    for look in (verify_large, golden.verify, golden.lint):
        with pytest.raises(VectorsError, match=message) as caught:
            look(tiny)
        assert str(tiny) in str(caught.value)


def test_the_pack_has_every_file_that_a_pack_must_have(tiny: Path) -> None:
    names = {p.relative_to(tiny).as_posix() for p in tiny.rglob("*") if p.is_file()}
    schemas = {f"schema/{name}.schema.json" for name in IN_PACKS}
    assert names == {"large.json", "large.safetensors", "errata.json", "manifest.json", "SHA256SUMS"} | schemas


def test_commands_that_read_large_cases_do_and_the_others_say_so(tiny: Path) -> None:
    assert [line.split() for line in lines(tiny)] == [[TINY.id, "cosine", "valid", "s=8,", "t=1.25"]]
    assert lines(tiny, group="4x40", variant="sv-softmax") == lines(tiny)
    with pytest.raises(ValueError, match="group must be one of 4x40; got 'x'"):
        lines(tiny, group="x")
    assert str(golden.verify(tiny)).startswith("large 1.0.1  1 cases, 634 numbers, recomputed to the last bit")
    for read in (golden.load, lambda p: golden.export(p / "x", p), lambda p: golden.find(TINY.id, str(p))):
        with pytest.raises(ValueError, match="holds large cases, which only list, diff, verify, lint and "):
            read(tiny)
    with pytest.raises(VectorsError, match="which one of its recipes makes, is missing"):
        golden.lint(tiny)


def test_diff_names_the_tensors_and_keys_that_differ(tiny: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    assert differences(tiny, other) == []
    tensors(lambda t: t[f"{TINY.id}/loss"].__setitem__(0, 1.5))(other)
    edited("large.json", lambda c: c["cases"][0]["digests"].update(signs="0" * 64))(other)
    assert differences(tiny, other) == [f"changed  {TINY.id}: digests, loss"]


@pytest.mark.parametrize("command", [("golden", "power"), ("golden", "export", "x.json", "--directory"), ("explain", "x", "--pack"), ("check", "x.py:f", "--loss", "softmax", "--pack")])  # fmt: skip
def test_a_command_that_cannot_read_large_cases_exits_2(command: tuple[str, ...], tiny: Path) -> None:
    done = svref_command(*command, tiny)
    assert done.returncode == 2
    assert done.stderr.startswith(f"svref: {tiny} holds large cases, which only list, diff, verify, lint and ")


def test_a_pack_is_replaced_as_a_whole(tiny: Path) -> None:
    make_large(tiny, recipes=SMALL[:1])
    assert [case.id for case in load_large(tiny)] == [SMALL[0].id]


def test_an_interrupt_leaves_nothing_half_written(tiny: Path) -> None:
    before = {p: p.read_bytes() for p in tiny.parent.rglob("*") if p.is_file()}

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    for directory in (tiny, tiny.with_name("new")):
        with pytest.raises(KeyboardInterrupt):
            make_large(directory, stop, recipes=[TINY])
    assert {p: p.read_bytes() for p in tiny.parent.rglob("*") if p.is_file()} == before


def test_without_safetensors_the_message_says_what_to_install() -> None:
    script = "import sys; sys.modules['safetensors'] = None; import svref.golden.large"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ImportError: svref.golden.large needs safetensors: pip install 'svref[large]'" in done.stderr


def test_reading_and_judging_need_no_python_flint(tiny: Path) -> None:
    script = (
        "import sys; sys.modules['flint'] = None; from svref.golden.large import *; case = load_large(sys.argv[1]).cases[0];"
        "out = case.loss.value_and_grad(case.cosines(), case.labels, reduction='none');"
        "print(case.judge(out[0], out[1] * case.cotangent[:, None]).ok)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tiny)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
