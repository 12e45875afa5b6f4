"""Parameters that are fixed inside a candidate: judged at their values, and found where they are ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from pairing import in_turn

import svref
from svref import golden
from svref.conformance import CandidateError, check
from svref.conformance.checking.fixed import with_options
from svref.golden.files.checks import validate
from svref.golden.making import fixed
from svref.golden.making.fixed import at_parameters
from svref.golden.making.groups import boundary

Candidate = Callable[..., Any]
PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "check.md"


def at(name: str, **values: float) -> Candidate:
    """Return svref's loss with values inside, which takes no parameters."""
    loss = svref.VARIANTS[name].factory(**values)
    return lambda cosines, labels: loss.value_and_grad(cosines, labels, reduction="none")


def deaf(name: str, **inside: float) -> Candidate:
    """Return svref's loss that takes all parameters and has some values inside."""

    def candidate(cosines: np.ndarray, labels: np.ndarray, **given: float) -> Any:
        return svref.VARIANTS[name].factory(**{**given, **inside}).value_and_grad(cosines, labels, reduction="none")

    return candidate


def vectors_of(name: str, group: str) -> list[golden.Vector]:
    return [v for v in golden.load() if v.variant == name and v.group == group]


# ---- judged at fixed values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("softmax", {"s": 10.0}), ("am-softmax", {"s": 32, "m": 0.35}), ("arc-softmax", {"s": 64, "m": 0.5}),
        ("a-softmax", {"s": 30, "m": 4}), ("sv-am-softmax", {"s": 30, "m": 0.35, "t": 1.2}),
        ("sv-combined-softmax", {"s": 30, "m1": 1.0, "m2": 0.3, "m3": 0.2, "t": 1.1}),
    ],
)  # fmt: skip
def test_code_without_parameters_passes_at_its_own_values_and_fails_at_others(name: str, values: dict) -> None:
    report = check(at(name, **values), name, parameters=values, dtype="float64")
    assert (report.verdict, report.header["fixed"], report.header["certified"]) == ("PASS", values, True)
    assert report.variations.passed == 24
    wrong = check(
        at(name, **values), name, parameters={**values, "s": values["s"] * 1.01}, dtype="float64", variations=0
    )
    assert wrong.verdict.startswith("FAIL")


def test_a_candidate_gets_the_fixed_parameters_that_it_takes_and_no_others() -> None:
    seen: set[tuple] = set()

    def candidate(cosines: np.ndarray, labels: np.ndarray, m: float) -> Any:
        seen.add(("m", m))
        return at("am-softmax", s=32.0, m=m)(cosines, labels)

    assert check(candidate, "am-softmax", parameters={"s": 32, "m": 0.35}, dtype="float64").ok
    assert {value for name, value in seen if name == "m"} == {0.35}
    assert check(candidate, "am-softmax", parameters={"s": 32}, dtype="float64").ok
    assert len(seen) > 3  # without a fixed m, the cases have their own


def test_a_default_fixes_nothing() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, s: float = 64.0, m: float = 0.35) -> Any:
        return at("am-softmax", s=s, m=m)(cosines, labels)

    assert check(candidate, "am-softmax", dtype="float64").ok


def test_missing_parameters_are_named_with_the_command_that_fixes_them() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, m: float) -> None: ...

    with pytest.raises(CandidateError, match=r"takes no keyword s; .* --loss am-softmax --with s=30 \(in Python"):
        check(candidate, "am-softmax")
    with pytest.raises(
        CandidateError, match=r"takes no keyword s, t; .* --loss sv-am-softmax --with s=30 --with t=1.2"
    ):
        check(candidate, "sv-am-softmax")
    with pytest.raises(ValueError, match=r"parameters of am-softmax are s, m; got t"):
        check(candidate, "am-softmax", parameters={"t": 2.0})
    with pytest.raises(ValueError, match=r"m must be"):
        check(candidate, "am-softmax", parameters={"s": 3.0, "m": -1.0})


def test_fixed_parameters_are_as_the_paper_counts_them_also_in_a_dialect() -> None:
    calls = []

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, t: float) -> Any:
        calls.append(t)
        return at("sv-am-softmax", s=32.0, m=0.25, t=1 + t)(cosines, labels)

    report = check(
        candidate, "sv-am-softmax", parameters={"s": 32, "m": 0.25, "t": 1.5}, dialect="cavaface", dtype="float64"
    )
    assert set(calls[2:]) == {0.5}  # the first calls find out the framework
    assert report.header["certified"] is False
    assert "right values svref's own" in str(report)


def test_without_python_flint_svrefs_own_numbers_are_right_and_the_screen_says_so() -> None:
    with mock.patch("svref.conformance.checking.judged.can_certify", return_value=False):
        report = check(at("am-softmax", s=32.0, m=0.35), "am-softmax", parameters={"s": 32, "m": 0.35}, dtype="float64")
    assert report.ok
    assert report.evidence is None
    assert "right values svref's own: pip install 'svref[exact]' certifies them" in str(report)


def test_whether_python_flint_is_installed_is_asked_of_python() -> None:
    with mock.patch.object(fixed.importlib.util, "find_spec", return_value=None):
        assert not fixed.can_certify()


# ---- the cases at other parameters ----------------------------------------------------------------------------------


def test_a_tie_moves_with_the_margin_and_stays_exact_where_it_can() -> None:
    moved, left_out = at_parameters(vectors_of("sv-am-softmax", "tie"), {"m": 0.25})
    assert left_out == 0
    for vector in moved:
        c, own = vector.inputs["cosines"], vector.labels
        ties = [(row == boundary(vector.loss, row[y])).any() for row, y in zip(c, own, strict=True)]
        assert all(ties)
        assert not vector.mask[np.arange(len(c)), own].any()
        assert not vector.mask[(c == (c[np.arange(len(c)), own] - 0.25)[:, None])].any()


def test_rows_beside_a_boundary_stay_as_far_from_it() -> None:
    before = vectors_of("sv-arc-softmax", "near")[0]
    after = at_parameters([before], {"m": 0.5})[0][0]
    gaps = [
        np.abs(
            v.inputs["cosines"] - [[boundary(v.loss, c[y])] for c, y in zip(v.inputs["cosines"], v.labels, strict=True)]
        )
        for v in (before, after)
    ]
    near = gaps[0] < 1 / 128
    np.testing.assert_allclose(gaps[1][near], gaps[0][near], atol=1e-7)
    assert near.any()


def test_another_scale_moves_no_input() -> None:
    for vector, moved in zip(
        vectors_of("sv-am-softmax", "near"),
        at_parameters(vectors_of("sv-am-softmax", "near"), {"s": 5.0})[0],
        strict=True,
    ):
        np.testing.assert_array_equal(vector.inputs["cosines"], moved.inputs["cosines"])
        assert moved.parameters == {**vector.parameters, "s": 5.0}
        assert moved.id == vector.id


def test_cases_that_repeat_others_and_invalid_values_of_fixed_parameters_are_set_aside() -> None:
    errors = vectors_of("sv-am-softmax", "error")
    kept, left_out = at_parameters(errors, {"s": 32.0, "m": 0.35, "t": 1.2})
    assert left_out == 3
    flags = {flag for v in kept for flag in v.flags}
    assert not flags & {"ScaleNotPositive", "StrengthBelowOne", "MarginNegative"}
    labels = vectors_of("am-softmax", "label")
    assert at_parameters([*labels, *labels], {"s": 2.0})[1] == len(labels)


def test_the_values_of_a_case_at_its_own_parameters_are_those_of_the_pack() -> None:
    vector = vectors_of("sv-arc-softmax", "hard")[0]
    again = at_parameters([vector], {"m": vector.parameters["m"]})[0][0]
    for name, values in vector.expected.items():
        np.testing.assert_array_equal(again.expected[name], values)
        np.testing.assert_array_equal(again.rest[name], vector.rest[name])
    assert again.case["digest"] == vector.case["digest"]


# ---- parameters that are ignored ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "dtype"),
    in_turn([
        ("softmax", {"s": 20.0}), ("am-softmax", {"s": 32.0}), ("am-softmax", {"s": 32.0, "m": 0.35}),
        ("arc-softmax", {"s": 63.5, "m": 0.45}), ("a-softmax", {"s": 25.0, "m": 2}),
        ("sv-am-softmax", {"s": 28.0, "m": 0.3, "t": 1.15}), ("sv-arc-softmax", {"t": 1.3}),
        ("mv-am-softmax", {"m": 0.28, "t": 1.4}),
    ]),
)  # fmt: skip
def test_values_inside_are_found(of: tuple[str, dict[str, float]], dtype: str) -> None:
    name, inside = of
    report = check(deaf(name, **inside), name, dtype=dtype, variations=0)
    found = next(f for f in report.findings if f.values)
    assert found.values == inside
    assert found.explains
    assert report.explanation in (f"{'-and-'.join(inside)}-fixed", *(d.name for d in report.diagnosis))
    assert f"use {' '.join(with_options(inside))}" in re.sub(r"\s+", " ", str(report))
    assert check(deaf(name, **inside), name, dtype=dtype, variations=0, parameters=inside).ok


def test_the_page_shows_what_the_screen_says(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import svref\ndef am(cosines, labels, *, s, m):\n"
        "    return svref.am_softmax(32.0, 0.35).value_and_grad(cosines, labels, reduction='none')\n",
        encoding="utf-8",
    )
    report = check(f"{path}:am", "am-softmax", dtype="float64")
    screen = str(report).split("\n\n")[2]
    assert screen in PAGE.read_text(encoding="utf-8")
    assert report.reproduce == f"svref check {path}:am --loss am-softmax --dtype float64 --with s=32 --with m=0.35"
    assert not report.ok
    validate("report", json.loads(report.to_json()), "the report")


def test_a_candidate_that_is_right_at_no_value_is_told_that_it_ignores_and_no_more() -> None:
    right = deaf("am-softmax", s=32.0)

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> Any:
        losses, gradient = right(cosines, labels, s=s, m=m)
        return losses * 1.25 + 0.125, gradient

    report = check(candidate, "am-softmax", dtype="float64")
    finding = next(f for f in report.findings if f.name == "s-ignored")
    assert not finding.explains
    assert not finding.values
    assert report.verdict == "FAIL"
    assert "does not depend on s, and is right at no value that was tried" in str(report)


def test_values_inside_a_port_are_those_of_the_paper() -> None:
    def port(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        loss = svref.deviations.dialects.dialect("cavaface").loss("sv-am-softmax", s=s, m=m, t=1.375)
        return loss.value_and_grad(cosines, labels, reduction="none")

    report = check(port, "sv-am-softmax", dialect="cavaface", dtype="float64")
    assert report.findings[0].values == {"t": 1.375}


def test_a_mistake_with_a_name_is_not_asked_for_values() -> None:
    report = check(deaf("am-softmax", m=0.0), "am-softmax", dtype="float64")
    assert report.diagnosis[0].name == "margin-ignored"
    assert not any(f.values for f in report.findings)


def test_a_candidate_that_heeds_its_parameters_has_no_such_finding() -> None:
    report = check(lambda c, y, *, s, m: deaf("am-softmax")(c, y, s=s * 1.03, m=m), "am-softmax", dtype="float64")
    assert report.verdict == "FAIL"
    assert report.findings == ()


def test_a_mean_is_read_too() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> Any:
        return svref.am_softmax(32.0, m).value_and_grad(cosines, labels, reduction="mean")

    report = check(candidate, "am-softmax", dtype="float64")
    assert report.findings[0].name in ("s-fixed", "s-ignored")


def test_options_are_written_as_one_would_type_them() -> None:
    assert with_options({"s": 32.0, "m": 0.35, "t": 1.15}) == ["--with", "s=32", "--with", "m=0.35", "--with", "t=1.15"]
