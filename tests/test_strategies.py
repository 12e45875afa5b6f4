"""The strategies: every kind of row, right labels, planted mistakes found soon and small, and no false alarm."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.internal.conjecture import providers
from planted import additive, angular, asked, pieces, wrong
from typer.testing import CliRunner

import svref
from svref import AdditiveAngle, EasyMargin, MultiplicativeAngle, NoMargin, SupportVectors, SVXSoftmax, exact
from svref.cli import app
from svref.conformance import check
from svref.formats import FORMATS, STORED, format_of, holds
from svref.strategies import (
    KINDS,
    Example,
    HeadExample,
    cosines,
    distances,
    examples,
    explain_lines,
    heads,
    losses,
    margins,
    parameters,
    save,
    scales,
    strengths,
    tiny,
)
from svref.strategies.numbers import beside, number, ordinal
from svref.strategies.places import kinks, tails, thresholds

FEW = settings(max_examples=12)
PLAIN_TAIL = st.builds(
    SVXSoftmax,
    st.integers(0, 25).map(lambda n: AdditiveAngle(n / 8, tail="plain")),
    strengths().map(SupportVectors),
    scales(),
)


def at_ulps(at: str) -> int:
    return int(re.search(r"[+-]\d+$", at)[0]) if re.search(r"[+-]\d+$", at) else 0


# ---- numbers of a format -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@settings(max_examples=40)
@given(data=st.data())
def test_one_ulp_above_is_the_next_number_of_numpy(dtype: str, data: st.DataObject) -> None:
    x = np.dtype(dtype).type(data.draw(st.one_of(cosines(dtype), tiny(dtype, subnormal=True))))
    assert beside(float(x), 1, format_of(dtype)) == np.nextafter(x, np.dtype(dtype).type(2))
    assert beside(float(x), -1, format_of(dtype)) == np.nextafter(x, np.dtype(dtype).type(-2))


@given(st.integers(-(2**14), 2**14))
def test_numbers_of_bfloat16_are_the_upper_halves_of_float32(count: int) -> None:
    bits = np.array([abs(count) << 16], dtype=np.uint32).view(np.float32)[0]
    assert number(count, FORMATS["bfloat16"]) == math.copysign(bits, count)
    assert ordinal(math.copysign(bits, count), FORMATS["bfloat16"]) == count


def test_without_subnormals_the_neighbours_of_zero_are_the_smallest_normal_numbers() -> None:
    single = FORMATS["float32"]
    assert [beside(0.0, n, single, subnormal=False) for n in (-1, 0, 1)] == [-(2.0**-126), 0, 2.0**-126]
    assert beside(2.0**-126, -2, single, subnormal=False) == -(2.0**-126)
    assert beside(0.0, 1, single) == 2.0**-149


@pytest.mark.parametrize("dtype", STORED)
@FEW
@given(data=st.data())
def test_every_number_of_an_example_is_one_of_its_format(dtype: str, data: st.DataObject) -> None:
    example, head = data.draw(examples(dtype=dtype, cotangent=True)), data.draw(heads(dtype=dtype, cotangent=True))
    for array in (*example.inputs, example.cotangent, *head.inputs, head.cotangent):
        assert (holds(array, dtype) | (array == 0)).all()
        assert ((array == 0) | (np.abs(array) >= format_of(dtype).tiny)).all()


def test_subnormal_numbers_come_when_they_are_asked_for() -> None:
    small = examples("softmax", dtype="float32", kinds=("tiny",), rows=1, classes=1, subnormal=True)
    found = find(small, lambda example: (np.abs(example.cosines) == 2.0**-149).any())
    assert found.cosines.size <= 2


# ---- each kind of row ----------------------------------------------------------------------------------------------


def lies_at(kind: str, example: Example, b: int) -> bool:
    """Return whether row b is what its label says."""
    row, y, f = example.cosines[b].astype(np.float64), example.labels[b], example.step.boundary[b]
    margin, ulps, u = example.loss.margin, abs(at_ulps(example.at[b])) + 1, format_of(example.dtype).unit_roundoff
    negatives = np.delete(row, y)

    def near(places: list[float], x: float = row[y]) -> bool:
        return min(abs(x - place) for place in places) <= 2 * u * ulps

    match kind:
        case "tie":
            return near([f, *([-1, 1] if abs(f) > 1 else [])], negatives[np.argmin(np.abs(negatives - f))])
        case "negative-at-pole":
            return near([1, -1], negatives[np.argmax(np.abs(negatives))])
        case "pole" | "tail" | "kink" | "threshold":
            return near({"pole": (1, -1), "tail": tails(margin), "kink": kinks(margin)}.get(kind, thresholds(margin)))
        case "converged":
            return example.step.loss[b] <= u * (1 + 1e-9)
        case "underflowing":
            return example.step.loss[b] <= format_of(example.dtype).tiny * (1 + 1e-9)
        case "hard":
            return row[y] <= 0 and (negatives >= 0).all()
        case "twice":
            return bool((negatives == row[y]).any())
        case "tiny":
            return bool((np.abs(row) <= 0.5).any())
    return kind == "plain"


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4)
@given(data=st.data())
def test_a_row_lies_at_what_its_label_says(kind: str, dtype: str, data: st.DataObject) -> None:
    kinds = {
        "kink": st.builds(MultiplicativeAngle, st.integers(2, 12)),
        "threshold": st.builds(EasyMargin, st.just(AdditiveAngle(0.5)), st.integers(-7, 7).map(lambda n: n / 8)),
    }
    kinds["tail"] = st.one_of(st.just(AdditiveAngle(0.5)), st.just(svref.Combined(1.5, 0.25)))
    of = losses(kinds.get(kind, margins()))
    loss = of if kind != "underflowing" else st.just(svref.sv_am_softmax(s=1024.0, m=0.25, t=1.25))
    example = data.draw(examples(loss, dtype=dtype, kinds=(kind,), classes=(2, 4)))
    for b, at in enumerate(example.at):
        assert re.sub(r"[+-]\d+$", "", at) == kind
        assert lies_at(kind, example, b)


def test_embeddings_come_at_all_angles() -> None:
    expected, seen = {"parallel": 1, "near-parallel": 1, "opposite": -1, "orthogonal": 0}, set()

    @settings(max_examples=60, phases=[Phase.generate])
    @given(heads("sv-am-softmax", dimensions=(2, 4)))
    def look(example: HeadExample) -> None:
        seen.update(example.at)
        for kind, cosine in zip(example.at, example.step.target_cosine, strict=True):
            if kind in expected and kind != "near-parallel":
                assert abs(cosine - expected[kind]) <= 2.0**-52

    look()
    assert seen == {"exact", "plain", *expected}


def test_what_a_loss_lacks_is_not_drawn() -> None:
    with pytest.raises(Unsatisfiable):
        find(examples("softmax", kinds=("tie",)), lambda example: True)


@pytest.mark.parametrize("classes", [1, 2, 3, (2, 4)])
def test_the_number_of_classes_is_one_that_was_asked_for(classes: int | tuple[int, int]) -> None:
    seen = set()

    @settings(max_examples=60, phases=[Phase.generate])
    @given(examples("sv-am-softmax", classes=classes))
    def look(example: Example) -> None:
        columns = [tuple(column) for column in example.cosines.T]
        seen.add((len(columns), len(set(columns)) < len(columns)))

    look()
    low, high = (classes, classes) if isinstance(classes, int) else classes
    assert {number for number, _ in seen} == set(range(low, high + 1))
    assert high < 3 or (high, True) in seen


# ---- labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=20)
@given(data=st.data())
def test_the_distance_of_a_row_is_the_certified_one(dtype: str, data: st.DataObject) -> None:
    example = data.draw(examples(dtype=dtype))
    truth = exact.evaluate(example.loss, example.cosines, example.labels)
    gap = truth.gap.hi if example.loss.emphasis.t > 1 else np.full(len(example.labels), np.inf)
    certified = np.minimum(gap, truth.branch_gap.hi)
    finite = np.isfinite(certified)
    np.testing.assert_array_equal(np.isfinite(example.distance), finite)
    few = 16 * 2.0**-53 * (1 + np.abs(example.step.boundary)) * (1 + vars(example.loss.margin).get("m1", 1))
    assert (np.abs(example.distance[finite] - certified[finite]) <= few[finite]).all()


def test_an_exact_tie_is_decided_and_one_that_is_rounded_is_not() -> None:
    dyadic = Example(svref.sv_am_softmax(m=0.25), [[0.5, 0.25]], [0], dtype="float32")
    rounded = Example(svref.sv_am_softmax(m=0.35), [[0.5, np.float32(0.15)]], [0], dtype="float32")
    assert (dyadic.distance[0], dyadic.undecided[0], rounded.undecided[0]) == (0, False, True)
    assert 0 < rounded.distance[0] < 2.0**-24


def test_without_an_emphasis_no_mask_is_undecided_and_a_tail_still_is() -> None:
    tail = SVXSoftmax(AdditiveAngle(0.5, tail="linear"), s=4.0)
    assert np.isinf(Example(svref.am_softmax(m=0.25), [[0.5, 0.25]], [0]).distance[0])
    at_switch = Example(tail, [[-math.cos(0.5), 0.25], [0.5, 0.25]], [0, 0])
    assert at_switch.undecided.tolist() == [True, False]
    assert at_switch.distance[1] == pytest.approx(0.5 + math.cos(0.5), rel=1e-15)


@FEW
@given(examples(dtype="float32", kinds=("tie", "tail", "threshold", "plain"), decided=True))
def test_decided_rows_alone_are_drawn_when_so_asked(example: Example) -> None:
    assert not example.undecided.any()
    assert example.decided() is example


@FEW
@given(heads(dtype="float32", decided=True))
def test_decided_rows_alone_are_drawn_of_heads_too(example: HeadExample) -> None:
    assert not example.undecided.any()


# ---- mistakes are found, and right code is not blamed --------------------------------------------------------------


def an_ulp_above(x: float) -> float:
    return float(np.nextafter(np.float32(x), np.float32(2)))


MISTAKES = {
    "mask >=": ("float32", "sv-am-softmax", asked(additive, above=np.greater_equal)),
    "the largest logit not subtracted": ("float32", "sv-am-softmax", asked(additive, shift=False)),
    "the tail's threshold off by an ulp of float32": ("float64", PLAIN_TAIL, asked(angular, threshold=an_ulp_above)),
    "slope 1 at c = 1": ("float32", "sv-a-softmax", asked(pieces, at_pole=1.0)),
    "mask c > f + 1e-6": ("float64", "sv-am-softmax", asked(additive, above=lambda c, f: c > f + 1e-6)),
}
RIGHT = {
    "additive": ("sv-am-softmax", asked(additive)),
    "angular": ("sv-arc-softmax", asked(angular)),
    "pieces": ("sv-a-softmax", asked(pieces)),
    "tail": (PLAIN_TAIL, asked(angular, threshold=float)),
}


def digits(example: Example) -> int:
    """Return the most decimal digits that a cosine or a parameter has, signs and zeros in front not counted."""
    numbers = [*example.cosines.ravel(), example.loss.s, example.loss.emphasis.t, example.loss.margin.m]
    return max(len(re.sub(r"e.*", "", repr(abs(float(n)))).replace(".", "").strip("0")) for n in numbers)


def found_within(
    most: int, strategy: st.SearchStrategy[Example], predicate: Callable[[Example], bool], phases: tuple[Phase, ...]
) -> Example:
    """Return the example of the first of three runs that finds one: another Hypothesis draws others.

    Hypothesis also draws constants of the modules that are imported; without them the draws do not depend on those.
    """
    until = settings(max_examples=most, database=None, phases=phases)
    empty = type(providers._local_constants)()
    with mock.patch.object(providers, "_get_local_constants", return_value=empty):
        return _found_in_three_runs(most, strategy, predicate, until)


def _found_in_three_runs(
    most: int, strategy: st.SearchStrategy[Example], predicate: Callable[[Example], bool], until: settings
) -> Example:
    for seed in range(1, 4):
        with contextlib.suppress(NoSuchExample):
            return find(strategy, predicate, settings=until, random=Random(seed))  # noqa: S311
    raise NoSuchExample(f"none in three runs of {most} examples")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_found_within_200_examples(name: str) -> None:
    dtype, loss, ask = MISTAKES[name]
    assert wrong(ask)(found_within(200, examples(loss, dtype=dtype), wrong(ask), (Phase.generate,)))


@pytest.mark.parametrize("name", ["mask >=", "slope 1 at c = 1"])
def test_a_planted_mistake_shrinks_to_one_small_row_of_few_digits(name: str) -> None:
    """In one of three runs: Hypothesis does not try every row that could be left out."""
    dtype, loss, ask = MISTAKES[name]
    until = settings(max_examples=200, database=None, phases=(Phase.generate, Phase.shrink))
    for seed in range(1, 4):
        found = find(examples(loss, dtype=dtype), wrong(ask), settings=until, random=Random(seed))  # noqa: S311
        assert digits(found) <= 4
        if found.cosines.shape[0] == 1:
            break
    assert found.cosines.shape[0] == 1
    assert found.cosines.size <= 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RIGHT)
@settings(max_examples=20)
@given(data=st.data())
def test_right_code_passes_wherever_the_strategies_look(name: str, dtype: str, data: st.DataObject) -> None:
    loss, ask = RIGHT[name]
    example = data.draw(examples(loss, dtype=dtype))
    example.check(*ask(example))


def mask_in_float32(example: Example) -> np.ndarray:
    target = example.cosines[example.step.own]
    mask = example.cosines > (target - np.float32(example.loss.margin.m))[:, None]
    mask[example.step.own] = False
    return mask


@FEW
@given(examples("sv-am-softmax", dtype="float32", kinds=("tie", "plain"), decided=True))
def test_float32_code_decides_decided_rows_as_float64_does(example: Example) -> None:
    np.testing.assert_array_equal(
        mask_in_float32(example) & (example.loss.emphasis.t > 1), example.step.mask & (example.loss.emphasis.t > 1)
    )


def test_and_other_rows_it_may_decide_otherwise() -> None:
    ties = examples("sv-am-softmax", dtype="float32", kinds=("tie",), rows=1, classes=2)
    unshrunk = settings(max_examples=200, phases=[Phase.generate], database=None)
    found = find(ties, lambda example: (mask_in_float32(example) != example.step.mask).any(), settings=unshrunk)
    assert found.undecided.all()


def test_a_wrong_element_is_named_and_a_wrong_shape_refused() -> None:
    example = Example(svref.sv_am_softmax(s=4.0, m=0.25, t=2.0), [[0.5, 0.25]], [0])
    value, gradient = example.loss.value_and_grad(example.cosines, example.labels, reduction="none")
    with pytest.raises(AssertionError, match=r"^loss\[0\] = 1, but should be 0\.693147181   \(error [\d.e+]+ times"):
        example.check(np.ones(1))
    with pytest.raises(AssertionError, match=r"grad_cosines\[0, 1\] = nan, .* \(it is not finite\)"):
        example.check(value, np.array([[gradient[0, 0], np.nan]]))
    with pytest.raises(ValueError, match=r"grad_cosines must have shape \(1, 2\); got \(2,\)"):
        example.check(value, gradient[0])


ROW = Example(svref.sv_am_softmax(s=4.0, m=0.25, t=2.0), [[0.5, 0.25]], [0])
LOSS, GRADIENT = ROW.loss.value_and_grad(ROW.cosines, ROW.labels, reduction="none")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((LOSS, GRADIENT, GRADIENT), r"check takes at most loss, grad_cosines; got 3 arrays"),
        (((LOSS, GRADIENT),), r"one by one; got a tuple of 2\. Unpack it: check\(\*answer\)"),
        (
            ({"loss": LOSS, "grad_cosines": 2 * GRADIENT},),
            r"got a dict of 2\. Unpack it: check\(\*answer\.values\(\)\)",
        ),
    ],
)
def test_nothing_that_is_given_to_check_is_left_out(parts: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ROW.check(*parts)


class Tensor:
    """A tensor of PyTorch in bfloat16, as far as it is looked at: NumPy cannot read it before it is widened."""

    dtype = "torch.bfloat16"

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def float(self) -> np.ndarray:
        return np.array(self.values, dtype=np.float32)


def test_a_tensor_in_bfloat16_is_judged_where_the_example_is_of_a_narrow_format() -> None:
    narrow = Example(ROW.loss, ROW.cosines, [0], dtype="bfloat16")
    narrow.check(Tensor([0.6953125]))
    with pytest.raises(AssertionError, match=r"loss\[0\] = 2, but should be 0\.693147181"):
        narrow.check(Tensor([2.0]))
    with pytest.raises(AssertionError, match="loss is returned in bfloat16 where float64 was given"):
        ROW.check(Tensor([0.6953125]))


DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_shows_the_test_of_a_loss_in_pytorch_as_it_is() -> None:
    test = (DOCS / "examples" / "hypothesis_torch.py").read_text(encoding="utf-8").split("\n\n\n")[1]
    assert f"```text\n{test.rstrip()}\n```" in (DOCS / "how-to" / "hypothesis.md").read_text(encoding="utf-8")


def test_the_loss_in_pytorch_of_the_page_is_right(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "examples")
    from hypothesis_torch import test_sv_am

    test_sv_am()
    narrow = Example(ROW.loss, ROW.cosines, [0], dtype="bfloat16")
    narrow.check(torch.tensor(LOSS, dtype=torch.bfloat16), torch.tensor(GRADIENT, dtype=torch.bfloat16))


# ---- what is printed and kept --------------------------------------------------------------------------------------


@FEW
@given(examples(cotangent=True), heads(cotangent=True))
def test_what_is_printed_is_python_that_makes_the_example_again(example: Example, head: HeadExample) -> None:
    for printed in (example, head):
        again = eval(repr(printed), {"svref": svref})  # noqa: S307
        assert repr(again) == repr(printed)
        assert again.loss == printed.loss
        for mine, theirs in zip(printed.inputs, again.inputs, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_failing_test_prints_the_example_and_a_line_for_explain() -> None:
    @settings(max_examples=50, database=None, phases=[Phase.generate, Phase.shrink])
    @given(examples("sv-am-softmax", dtype="float32"))
    def never(example: Example) -> None:
        assert example.loss.emphasis.t == 1

    with pytest.raises(AssertionError) as caught:
        never()
    printed = "\n".join(caught.value.__notes__)
    assert "svref.strategies.Example(\n    svref.sv_am_softmax(s=1.0, m=0.0, t=1.125)," in printed.replace(
        "\n        ", "\n    "
    )
    assert "row 0: plain; nearest decision inf away" in printed
    line = re.search(r"svref (explain --cosines .+)", printed)[1]
    result = CliRunner().invoke(app, shlex.split(line))
    assert (result.exit_code, "sv-am-softmax, --cosines" in result.output) == (0, True)


def test_no_line_for_explain_where_the_loss_has_no_name() -> None:
    easy = SVXSoftmax(EasyMargin(NoMargin()), SupportVectors(1.5), s=4.0)
    assert explain_lines(Example(easy, [[0.5]], [0])) == []
    assert "svref.EasyMargin(margin=svref.NoMargin(), above=0.0)" in repr(Example(easy, [[0.5]], [0]))


def test_an_example_keeps_the_variant_it_was_drawn_for() -> None:
    off = Example(svref.sv_am_softmax(s=4.0, m=0.25, t=1.0), [[0.5, 0.25]], [0], variant="sv_am_softmax")
    assert dict(off.parameters) == {"s": 4.0, "m": 0.25, "t": 1.0}
    assert off.variant == off.named == "sv-am-softmax"
    assert "svref.sv_am_softmax(s=4.0, m=0.25, t=1.0)" in repr(off)
    assert Example(off.loss, off.cosines, off.labels).variant == "am-softmax"
    with pytest.raises(ValueError, match="variant must be the one that made the loss"):
        Example(off.loss, [[0.5]], [0], variant="arc-softmax")


def test_examples_are_kept_as_a_pack_that_the_check_judges_by(tmp_path) -> None:
    tie = Example(svref.sv_am_softmax(s=1.0, m=0.0, t=1.125), [[0, 0]], [0], dtype="float32", at=["tie"])
    head = HeadExample(svref.sv_am_softmax(), [[0.5, 1.0]], [[1.0, 0.25], [0.5, 1.0]], [0])
    save(tmp_path / "found", tie, head)
    pack = svref.golden.load(tmp_path / "found")
    assert [(case.flags, case.level) for case in pack] == [(("NextToBoundary",), "cosine"), (("Basic",), "head")]
    manifest = json.loads((tmp_path / "found" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["pack"], manifest["cases"]) == ("found", 2)
    verdicts = [
        check(f, "sv-am-softmax", pack=str(tmp_path / "found"), dtype="float32", variations=0, partial=True).verdict
        for f in (lambda cosines, labels, s, m, t: additive(cosines, labels, s, t, m), _not_strict)
    ]
    assert verdicts == ["PASS", "FAIL-AS(non-strict-mask)"]


def test_an_example_that_is_kept_twice_is_one_case(tmp_path) -> None:
    save(tmp_path / "found", ROW, ROW, Example(ROW.loss, ROW.cosines, ROW.labels, at=["plain"]))
    assert len(svref.golden.load(tmp_path / "found")) == 1


@pytest.mark.parametrize("name", ["large", "core"])
def test_the_name_of_a_pack_of_svref_is_not_taken(name: str, tmp_path) -> None:
    with pytest.raises(ValueError, match=rf"core, paper, seed, large are packs of svref; got '{name}'"):
        save(tmp_path / name, ROW)
    assert not (tmp_path / name).exists()


def test_a_kept_example_is_for_the_formats_whose_range_suffices(tmp_path) -> None:
    head = HeadExample(svref.sv_am_softmax(), [[0.5, 1.0]], [[2.0**200, 0.25], [0.5, 1.0]], [0])
    save(tmp_path / "found", head)
    assert svref.golden.load(tmp_path / "found").cases[0].case["dtypes"] == ["float64"]


def _not_strict(cosines, labels, s, m, t):
    return additive(cosines, labels, s, t, m, above=np.greater_equal)


def test_a_loss_without_a_name_cannot_be_kept(tmp_path) -> None:
    easy = Example(SVXSoftmax(EasyMargin(NoMargin()), s=4.0), [[0.5]], [0])
    with pytest.raises(ValueError, match=r"a pack is made of examples of the variants .* got SVXSoftmax\(margin=Easy"):
        save(tmp_path / "found", easy)
    with pytest.raises(ValueError, match="got no example"):
        save(tmp_path / "found")
    assert not (tmp_path / "found").exists()


# ---- shrinking and bad input ---------------------------------------------------------------------------------------


def test_examples_shrink_to_small_ones_of_few_digits() -> None:
    assert find(examples("sv-am-softmax"), lambda example: True).cosines.tolist() == [[0.0]]
    head = find(heads("softmax"), lambda example: example.loss.s > 3)
    assert (head.loss.s, head.embeddings.shape, head.weights.shape) == (4.0, (1, 1), (1, 1))
    assert find(cosines(), lambda c: c > 0.3) == 0.5
    assert find(strengths(), lambda t: t > 1.2) == 1.25
    assert find(distances("float32"), lambda n: n > 100) == 128
    assert find(parameters("a-softmax"), lambda p: p["m"] > 1) == {"s": 1.0, "m": 2}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: examples(dtype="float8"), "dtype must be one of float64, float32, float16, bfloat16; got 'float8'"),
        (lambda: examples("sv-am"), "the loss must be an SVXSoftmax or one of softmax, .*; got 'sv-am'"),
        (lambda: examples(kinds=("ties",)), "kinds are plain, hard, tie, .*; got 'ties'"),
        (lambda: examples(rows=0), "rows must be a number from 1 up, or the least and the most of them; got 0"),
        (lambda: heads(classes=(3, 2)), r"classes must be a number from 1 up, .*; got \(3, 2\)"),
        (
            lambda: Example(svref.softmax(), [[0.1]], [0], dtype="float32"),
            r"cosines must be numbers of float32; got .*0\.1",
        ),
        (
            lambda: HeadExample(svref.softmax(), [[2.0**16]], [[1.0]], [0], dtype="float16"),
            r"embeddings must be numbers of float16; got .*65536",
        ),
        (
            lambda: HeadExample(svref.softmax(), [[2.0**200]], [[1.0]], [0], dtype="float32"),
            "embeddings must be numbers of float32",
        ),
        (
            lambda: Example(svref.softmax(), [[3 * 2.0**-25]], [0], dtype="float16"),
            "cosines must be numbers of float16",
        ),
        (
            lambda: Example(svref.softmax(), [[0.5]], [0], [0.1], dtype="float32"),
            r"cotangent must be numbers of float32; got .*0\.1",
        ),
        (
            lambda: Example(svref.softmax(), [[0.5]], [0], [1, 1]),
            r"cotangent must have .* shape \(1,\); got shape \(2,\)",
        ),
        (lambda: Example(svref.softmax(), [[0.5]], [1]), "labels must be class indices below C = 1"),
        (lambda: Example(svref.arc_softmax(), [[1.5]], [0]), r"cosines must lie in \[-1, 1\]"),
        (lambda: HeadExample(svref.softmax(), [[0.0]], [[1.0]], [0]), "embeddings"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_without_hypothesis_the_error_names_the_extra() -> None:
    script = "import sys; sys.modules['hypothesis'] = None; import svref; svref.strategies"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ImportError: svref.strategies needs Hypothesis: pip install 'svref[test]'" in result.stderr
