"""What each case says of itself is true: scales of the certified decision, radii, poles, cotangents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from formulations import FORMULATIONS, HEADS, candidate
from pairing import in_turn

import svref
from svref import exact, golden
from svref.conformance import check
from svref.golden.expected import expect_vector
from svref.golden.files.canonical import array as golden_array
from svref.golden.making.recipes import Recipe
from svref.golden.making.records import make_case
from svref.golden.vectors import Vector
from svref.judging import condition
from svref.judging.judge import ExpectedOutput, Outputs, judge
from svref.judging.precision import PRECISIONS
from svref.reference import forward

PACKS_READ = {name: golden.load(pack=name) for name in ("seed", "core", "paper")}
ALL = [v for vectors in PACKS_READ.values() for v in vectors]
NUMERIC = [v for v in ALL if v.result != "error"]
DTYPES = ("float64", "float32")
DOCS = Path(__file__).parent.parent / "docs"


def test_every_cotangent_is_signed_and_holds_a_zero() -> None:
    for v in ALL:
        g = v.inputs["cotangent"]
        assert (g < 0).any(), v.id
        assert (g == 0).any(), v.id
        assert (g > 0).any(), v.id
        assert (g * 8 % 1 == 0).all(), v.id


def test_every_row_of_core_is_judged_in_float64_and_float32() -> None:
    for v in PACKS_READ["core"]:
        if v.result != "error":
            for dtype in set(DTYPES) & set(v.dtypes):
                assert expect_vector(v, dtype).judged.all(), (v.id, dtype)


def test_no_tolerance_is_below_the_last_digits_of_its_value() -> None:
    """A scale of the wrong branch would be: a rounded result errs by u of itself, and K is at least that."""
    u = 2.0**-53
    for v in NUMERIC:
        for way in expect_vector(v, "float64").ways:
            for right in way:
                judged = np.isfinite(right.value) & ~right.policy
                assert (right.tolerance[judged] >= u * np.abs(right.value[judged])).all(), (v.id, right.name)


def test_next_to_a_boundary_every_right_formulation_passes_in_every_pack() -> None:
    for variant in svref.VARIANTS:
        for margin, loss in FORMULATIONS:
            for dtype in DTYPES:
                report = check(candidate(variant, margin, loss), variant, pack="paper", dtype=dtype, variations=0)
                report.raise_if_wrong()


# ---- poles ------------------------------------------------------------------------------------------------------------


def heads(flag: str) -> list[Vector]:
    return [v for v in PACKS_READ["core"] if flag in v.flags and v.loss.angular]


def test_a_head_is_marked_where_its_cosine_may_round_to_a_pole() -> None:
    for v in heads("NearParallelRows"):
        narrow = dict.fromkeys(PRECISIONS, "110")
        assert v.case["rounds_to_pole"] == {**narrow, "float64": "000", "float32": "100", "tf32": "110"}
        assert np.float32(1 / np.sqrt(1 + 2.0**-24)) == 1
    for v in heads("ParallelRows"):
        assert v.case["poles"].startswith("11")
        assert v.case["rounds_to_pole"]["float64"] == "000"


def test_ties_of_heads_are_exact_and_decided_in_every_format() -> None:
    ties = [v for v in PACKS_READ["core"] if v.level == "head" and "ExactTie" in v.flags]
    assert {v.variant for v in ties} == {"sv-am-softmax", "mv-am-softmax"}
    for v in ties:
        lengths = np.linalg.norm([*v.inputs["embeddings"], *v.inputs["weights"]], axis=1)
        assert (np.frexp(lengths)[0] == 0.5).all(), "a power of two, so that dividing by it rounds nothing"
        assert (golden_array(v.case["expected"]["gaps"]).min(axis=1) == 0).all()
        assert set(v.case["decisive"].values()) == {"111"}


def test_what_is_not_finite_there_is_a_policy_and_what_is_finite_is_judged() -> None:
    for v in heads("NearParallelRows"):
        right = expect_vector(v, "float32")
        outputs = {r.name: r.value.astype(np.float32) for r in right.ways[0]}
        lost = {**outputs, "grad_embeddings": outputs["grad_embeddings"].copy()}
        lost["grad_embeddings"][0] = np.nan
        assert not judge(right, lost).wrong
        assert judge(right, lost).quantities[1].policies == {"NaN": 4}
        lost["grad_embeddings"][1] = np.nan
        assert judge(right, lost).wrong
        wrong = {**outputs, "loss": outputs["loss"] * 2}
        assert judge(right, wrong).wrong
        assert judge(
            expect_vector(v, "float64"), {k: np.where(k == "loss", x, np.nan) for k, x in outputs.items()}
        ).wrong


@pytest.mark.parametrize(
    ("name", "head", "dtype"),
    in_turn(["arc-softmax", "sv-a-softmax", "sv-combined-softmax", "mv-arc-softmax"], HEADS),
)
def test_textbook_heads_with_an_angle_pass(name: str, head: str, dtype: str) -> None:
    def on_vectors(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
        inner = candidate(name, "acos", "log_sum_exp")
        return HEADS[head](embeddings, weights, lambda c: inner(np.clip(c, -1, 1), labels, **p))

    check(on_vectors, name, dtype=dtype).raise_if_wrong()


def of_poles() -> Iterator[tuple[Vector, ExpectedOutput, tuple[int, ...], Outputs]]:
    """Yield the entries at poles of core, first of each row, with all that is right beside them."""
    for v in (v for v in PACKS_READ["core"] if v.result == "undefined"):
        way = expect_vector(v, "float64").ways[0]
        for right in way:
            for row in np.flatnonzero(right.policy.any(axis=-1)) if right.name != "loss" else ():
                at = (int(row), int(np.flatnonzero(right.policy[row])[0]))
                yield v, right, at, {r.name: r.value.copy() for r in way}


def test_at_a_pole_the_rule_is_that_of_the_pages() -> None:
    """NaN and 0 pass; if the limit is finite, infinities pass and values are judged; else one infinity is wrong."""
    seen = {"finite": 0, "infinite": 0}
    for v, right, at, outputs in of_poles():
        name, limit = right.name, right.value[at]
        beyond = limit + 2 * right.tolerance[at]
        finite = {np.nan: False, 0.0: False, np.inf: False, -np.inf: False, limit: False, beyond: True}
        infinite = {np.nan: False, 0.0: False, 1.0: False, -1e300: False, limit: False, -limit: True}
        for value, wrong in (finite if np.isfinite(limit) else infinite).items():
            outputs[name][at] = value
            assert judge(expect_vector(v, "float64"), outputs).wrong == wrong, (v.id, name, at, value)
        seen["finite" if np.isfinite(limit) else "infinite"] += 1
        assert v.level == "cosine" or np.isfinite(limit), "the pages say that it is finite in all heads of core"
    assert min(seen.values()) > 5


def test_the_pages_have_one_rule_for_poles() -> None:
    rule = (
        "NaN and 0 pass there. Where the expected value is finite, as in all heads of `core`, an infinity of either sign "
        "passes too, and any other value is judged. Where it is infinite, any value passes but the infinity of the other sign."
    )
    for page in ("how-to/vectors.md", "reference/vectors.md", "reference/report.md"):
        assert rule in " ".join((DOCS / page).read_text(encoding="utf-8").split()), page


# ---- variants without t -----------------------------------------------------------------------------------------------


def test_a_variant_without_t_has_what_the_adaptive_emphasis_at_1_has() -> None:
    without = [v for v in NUMERIC if v.level == "cosine" and "t" not in v.parameters]
    assert {v.variant for v in without} == {n for n, entry in svref.VARIANTS.items() if "t" not in entry.parameters}
    assert sum(v.mask.any() for v in without) > 50
    for v in without:
        loss = svref.SVXSoftmax(v.loss.margin, svref.SupportVectors(1.0), s=v.parameters["s"])
        truth = exact.evaluate(loss, v.inputs["cosines"], v.labels, v.inputs["cotangent"])
        assert np.array_equal(truth.mask, v.mask), v.id
        assert np.array_equal(truth.t.hi, v.expected["t"]), v.id
    for page in ("how-to/vectors.md", "reference/vectors.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert "by t, and the mask, of the adaptive emphasis at t = 1" in text, page


def test_at_a_pole_of_cosines_nothing_is_magnified() -> None:
    for v in PACKS_READ["core"]:
        if "TargetAtPole" in v.flags:
            p = v.parameters
            assert v.scales["loss"].max() < 1 + 4 * p["s"] * (2 * p.get("t", 1) + 4 * p.get("m", 1))


# ---- formats ----------------------------------------------------------------------------------------------------------


def test_a_case_is_for_the_formats_that_hold_its_inputs_digits_and_range() -> None:
    everywhere, wide = ["float64", "float32", "float16", "bfloat16"], ["float64", "float32", "bfloat16"]
    formats = {
        0.0: everywhere, np.nan: everywhere, -np.inf: everywhere, -0.375: everywhere, 1 + 2.0**-7: everywhere,
        1 + 2.0**-8: everywhere[:3], 1 + 2.0**-11: everywhere[:2], 1 + 2.0**-24: everywhere[:1],
        2.0**-14: everywhere, 2.0**-15: wide, 2.0**-127: ["float64"], 2.0**-1023: [],
    }  # fmt: skip
    for number, expected in formats.items():
        inputs = {"cosines": [[0.5, number]], "labels": [0], "cotangent": [1.0]}
        case = make_case(Recipe("am-softmax", "error", {"s": 1.0, "m": 0.25}, (), inputs))
        assert case["dtypes"] == expected, number


# ---- radii ------------------------------------------------------------------------------------------------------------


def test_within_its_radius_a_case_can_be_computed_and_decides_alike() -> None:
    rng = np.random.default_rng(5)
    for v in NUMERIC:
        if v.level == "cosine" and "float64" in v.dtypes:
            radius = np.array(v.case["radius"])[:, None]
            step = v.loss.forward(v.inputs["cosines"], v.labels)
            moved = v.inputs["cosines"] + 0.99 * radius * rng.choice([-1.0, 1.0], step.mask.shape)
            assert (v.loss.forward(moved, v.labels).mask == step.mask)[radius[:, 0] > 0].all(), v.id


def test_a_radius_is_0_at_a_pole_of_an_angle() -> None:
    for v in NUMERIC:
        poles = np.array([bit == "1" for bit in v.case["poles"]])
        assert (np.array(v.case["radius"])[poles] == 0).all(), v.id


# ---- power ------------------------------------------------------------------------------------------------------------


def test_power_is_told_for_the_formats_that_hold_the_inputs() -> None:
    for v in NUMERIC:
        held = {name for name, plan in PRECISIONS.items() if plan.inputs(v.level) in v.dtypes}
        assert set(v.case["power"]) == held, v.id


def test_a_boundary_that_is_off_by_an_epsilon_is_seen_from_1e_4_to_1e_13() -> None:
    gaps = np.array([float(x) for v in ALL if "BesideBoundary" in v.flags for x in v.case["expected"]["gaps"]["data"]])
    for epsilon in (1e-4, 1e-9, 1e-13):
        assert ((np.abs(gaps) > 0) & (np.abs(gaps) < epsilon)).any()


def test_whole_numbers_beyond_2_to_53_are_strings() -> None:
    texts = [number for v in NUMERIC for made in v.case["scales"].values() for number in made["data"]]
    large = [number for number in texts if isinstance(number, str)]
    assert large
    assert all(2**53 < int(number) < 10**21 for number in large)
    assert not any(isinstance(number, int) and abs(number) > 2**53 for number in texts)


def test_the_scales_next_to_a_boundary_are_those_of_the_certified_mask() -> None:
    """Float64 decides some of these rows otherwise; their scale must still be that of what is expected."""
    turned = 0
    for v in PACKS_READ["paper"]:
        if v.group == "either":
            of_float64 = v.loss.forward(v.inputs["cosines"], v.labels).mask
            step = forward(v.loss, v.inputs["cosines"], v.labels, flipped=of_float64 ^ v.mask)
            scales = condition.scales(step, np.float64)
            for name, values in (("loss", scales.loss), ("cosines", scales.cosines)):
                assert (v.scales[name] >= values * (1 - 1e-6)).all(), v.id
                assert (v.scales[name] <= values * 1.01).all(), v.id
            turned += int((of_float64 != v.mask).sum())
    assert turned > 0
