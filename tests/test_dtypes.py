"""Both dtypes in one run, half precision inside, state beside a mistake, and what a PASS rests on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textbook import sv_am

import svref
from svref import golden
from svref.conformance import check
from svref.conformance.checking.dtypes import WORST_FIRST
from svref.deviations import DEVIATIONS
from svref.formats import format_of
from svref.golden.files.checks import validate
from svref.golden.listing import lines

NAME = "sv-am-softmax"
Candidate = Callable[..., Any]


def in_float64(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
    losses, gradient = sv_am(cosines.astype(np.float64), labels, s=s, m=m, t=t)
    return losses, gradient.astype(cosines.dtype)


def refusing(dtype: str, error: type[Exception] = TypeError) -> Candidate:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        if cosines.dtype == dtype:
            raise error(f"no {dtype}, please")
        return sv_am(cosines, labels, s=s, m=m, t=t)

    return candidate


def am(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> Any:
    return svref.am_softmax(s, m).value_and_grad(cosines, labels, reduction="none")


# ---- both dtypes ----------------------------------------------------------------------------------------------------


def test_a_run_judges_both_dtypes() -> None:
    report = check(sv_am, NAME)
    assert list(report.of) == ["float64", "float32"]
    assert [one.header["dtype"] for one in report.of.values()] == ["float64", "float32"]
    assert (report.ok, report.verdict) == (True, "PASS")
    assert "\n  float32 too       PASS: " in str(report)
    report.raise_if_wrong()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_part_of_it_is_what_that_dtype_alone_gives(dtype: str) -> None:
    alone = check(sv_am, NAME, dtype=dtype)
    part = check(sv_am, NAME).of[dtype]
    assert str(part) == str(alone)
    assert part.to_json() == alone.to_json()
    assert "too " not in str(alone)
    assert "also" not in json.loads(alone.to_json())


def test_the_worse_dtype_is_the_report() -> None:
    report = check(in_float64, NAME)
    assert report.header["dtype"] == "float32"
    assert {f.note for f in report.failures} == {"returned in float64 where float32 was given"}
    assert report.of["float64"].ok
    assert "float64 too       PASS: " in str(report)
    assert "--dtype float32" in check("docs/examples/easy_margin.py:sv_am", NAME, dtype="float32").reproduce
    with pytest.raises(AssertionError, match="where float32 was given"):
        report.raise_if_wrong()


def test_the_json_holds_both_reports() -> None:
    content = json.loads(check(in_float64, NAME).to_json())
    validate("report", content, "the report")
    assert (content["verdict"], content["also"]["float64"]["verdict"]) == ("FAIL", "PASS")


def test_every_verdict_has_its_place_in_the_order() -> None:
    assert set(WORST_FIRST) == {"PASS", "PASS-BRANCH", "FAIL", "VACUOUS", "UNSUPPORTED", "ERROR"}


@pytest.mark.parametrize("error", [TypeError, NotImplementedError])
@pytest.mark.parametrize(("refused", "judged"), [("float32", "float64"), ("float64", "float32")])
def test_a_dtype_that_is_refused_is_left_out_and_the_screen_says_so(
    refused: str, judged: str, error: type[Exception]
) -> None:
    report = check(refusing(refused, error), NAME)
    assert (report.verdict, list(report.of)) == ("PASS", [judged])
    assert f"no {refused}, please" in report.not_judged[refused]
    assert f"  {refused}            not judged: " in str(report)
    validate("report", json.loads(report.to_json()), "the report")


def test_an_exception_of_another_kind_is_no_refusal() -> None:
    report = check(refusing("float32", RuntimeError), NAME)
    assert (report.verdict, report.header["dtype"]) == ("ERROR", "float32")
    assert report.of["float64"].ok


def test_code_that_refuses_both_is_judged_as_before() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> Any:
        raise TypeError("never")

    report = check(candidate, NAME)
    assert (report.verdict, report.header["dtype"]) == ("ERROR", "float64")


def test_a_case_that_float32_does_not_hold_is_judged_in_float64_alone() -> None:
    case = next(v for v in golden.load() if v.variant == NAME and v.level == "cosine" and "float32" not in v.dtypes)
    report = check(sv_am, NAME, case=case.id)
    assert (report.verdict, list(report.of)) == ("PASS", ["float64"])
    assert "in float32" in report.not_judged["float32"]


def test_files_of_answers_are_judged_in_the_dtype_that_they_hold(tmp_path: Path) -> None:
    vector = next(v for v in golden.load() if v.variant == NAME and v.level == "cosine")
    cosines, g = vector.inputs["cosines"].astype(np.float32), vector.inputs["cotangent"].astype(np.float32)
    losses, gradient = vector.loss.value_and_grad(cosines, vector.labels, reduction="none")
    gradient = gradient * g[:, None]
    answer = {"loss": losses.tolist(), "grad_cosines": gradient.ravel().tolist()}
    content = {
        "format": "svref-answers/1", "pack": "core", "version": golden.load().version, "producer": "a test",
        "dtype": "float32", "answers": {vector.id: answer},
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    report = check(str(tmp_path / "a.json"), NAME, case=vector.id)
    assert (report.verdict, list(report.of), report.not_judged) == ("PASS", ["float32"], {})


def test_a_precision_is_judged_in_the_dtype_of_its_inputs() -> None:
    for precision, dtype in (("float64", "float64"), ("tf32", "float32"), ("float16", "float16")):
        assert list(check(sv_am, NAME, precision=precision, variations=0).of) == [dtype]
    assert list(check(sv_am, NAME, precision="float16", dtype="float32", variations=0).of) == ["float32"]


def test_progress_counts_both_dtypes_once() -> None:
    told: list[tuple[int, int]] = []
    check(sv_am, NAME, variations=2, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total in told} == {len(told)}


# ---- several cases, and names in any spelling -----------------------------------------------------------------------


def test_each_case_that_is_named_is_judged() -> None:
    ids = [v.id for v in golden.load() if v.variant == NAME and v.level == "cosine" and v.result != "error"][:3]
    report = check(sv_am, NAME, case=ids, dtype="float64")
    assert list(report.cases) == ids
    mixed = check(sv_am, NAME, case=[ids[0], f"{NAME}-variation-0-2", f"{NAME}-variation-1-3"])
    assert list(mixed.cases) == [ids[0], f"{NAME}-variation-0-2", f"{NAME}-variation-1-3"]
    assert mixed.ok
    invalid = next(v.id for v in golden.load() if v.variant == NAME and v.result == "error")
    assert list(check(sv_am, NAME, case=[invalid, f"{NAME}-variation-0-2"]).cases) == [f"{NAME}-variation-0-2"]
    with pytest.raises(ValueError, match="no case 'nothing' of"):
        check(sv_am, NAME, case=[ids[0], "nothing"])


@pytest.mark.parametrize("spelling", ["SV-AM-Softmax", "sv_am_softmax", " Sv_Am-softmax"])
def test_a_variant_is_known_in_any_spelling(spelling: str) -> None:
    assert check(sv_am, spelling, variations=0, dtype="float64").header["loss"] == NAME
    assert len(lines(variant=spelling)) == len(lines(variant=NAME))


# ---- what a PASS rests on -------------------------------------------------------------------------------------------


def test_a_pass_says_how_many_known_mistakes_would_have_failed() -> None:
    report = check(am, "am-softmax", dtype="float64")
    assert report.evidence.unexposed == ()
    assert f"  known mistakes  {report.evidence.exposed:6d} of {report.evidence.total} would have failed\n" in str(
        report
    )


def test_mistakes_that_no_case_shows_are_named() -> None:
    case = next(v.id for v in golden.load() if v.variant == "am-softmax" and v.group == "basic")
    report = check(am, "am-softmax", case=case, dtype="float64")
    assert "loss-capped" in report.evidence.unexposed
    assert set(report.evidence.unexposed) < set(DEVIATIONS)
    assert f" and {len(report.evidence.unexposed) - 3} more\n" in str(report)


def test_a_failing_check_and_a_dialect_claim_no_evidence() -> None:
    assert "known mistakes" not in str(check(in_float64, NAME, dtype="float32"))
    assert check(sv_am, NAME, dialect="facex-zoo", dtype="float64", variations=0).evidence is None


# ---- half precision -------------------------------------------------------------------------------------------------


def test_losses_that_are_all_numbers_of_a_narrow_format_are_told() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> Any:
        losses, gradient = am(cosines, labels, s=s, m=m)
        with np.errstate(all="ignore"):
            return losses.astype(np.float16).astype(cosines.dtype), gradient

    report = check(candidate, "am-softmax", dtype="float32")
    assert "  half precision  parts of the candidate compute in float16; --precision float16 --dtype float32" in str(
        report
    )
    assert check(am, "am-softmax").half_precision == ""


@pytest.fixture
def autocast_head(torch: Any) -> Candidate:
    def head(embeddings: Any, weights: Any, labels: Any, *, s: float, m: float) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cosines = torch.nn.functional.normalize(embeddings) @ torch.nn.functional.normalize(weights).T
        cosines = cosines.to(embeddings.dtype)
        own = torch.nn.functional.one_hot(labels, cosines.shape[1]).bool()
        logits = s * torch.where(own, cosines - m, cosines)
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    return head


def test_autocast_is_told_in_both_dtypes_and_in_float64_alone(autocast_head: Candidate) -> None:
    report = check(autocast_head, "am-softmax")
    assert (report.ok, report.header["dtype"], report.of["float64"].ok) == (False, "float32", True)
    assert "compute in bfloat16; float64, which autocast leaves alone, says nothing about that" in str(report)
    alone = check(autocast_head, "am-softmax", dtype="float64")
    assert alone.ok
    assert "autocast is on inside, and leaves float64 alone" in str(alone)


def test_code_in_full_precision_has_no_such_line(torch: Any) -> None:
    def candidate(cosines: Any, labels: Any, *, s: float, m: float) -> Any:
        own = torch.nn.functional.one_hot(labels, cosines.shape[1]).bool()
        return torch.nn.functional.cross_entropy(s * torch.where(own, cosines - m, cosines), labels, reduction="none")

    assert "half precision" not in str(check(candidate, "am-softmax", variations=0))


@pytest.mark.parametrize(("name", "largest"), [("float16", 65504.0), ("bfloat16", 3.3895313892515355e38)])
def test_the_largest_number_of_a_format(name: str, largest: float) -> None:
    assert format_of(name).largest == largest
    assert format_of("float64").largest == np.finfo(np.float64).max


def test_rows_whose_logits_a_format_does_not_hold_are_told() -> None:
    large = check(am, "am-softmax", dtype="float32", precision="float16", variations=0, parameters={"s": 70_000.0})
    assert " rows whose logits come near 65504, the largest number of float16\n" in str(large)
    assert "  beyond " not in str(check(am, "am-softmax", dtype="float32", precision="float16", variations=0))
    assert "  beyond " not in str(check(am, "am-softmax", dtype="float32", variations=0))


# ---- state beside a mistake -----------------------------------------------------------------------------------------


class Counting:
    """Adds a little more to the losses at each call; wrong by that alone, or by another mistake besides."""

    def __init__(self, margin: float = 1.0, factor: float = 1.0) -> None:
        self.calls, self.margin, self.factor = 0, margin, factor

    def __call__(self, cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> Any:
        self.calls += 1
        losses, gradient = am(cosines, labels, s=s, m=m * self.margin)
        return losses + losses.dtype.type(1e-4 * self.calls), gradient * gradient.dtype.type(self.factor)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_state_does_not_hide_a_lost_margin(dtype: str) -> None:
    report = check(Counting(margin=0.0), "am-softmax", dtype=dtype)
    assert report.verdict == "FAIL-AS(margin-ignored with hidden-state)"
    assert "FAIL  is  margin-ignored with hidden-state" in str(report)
    assert "hidden-state  " in str(report)


def test_state_alone_is_the_whole_explanation() -> None:
    report = check(Counting(), "am-softmax", dtype="float64")
    assert report.verdict == "FAIL-AS(hidden-state)"
    assert "by more than" not in str(report)


def test_a_mistake_beside_state_that_has_no_name_is_counted() -> None:
    report = check(Counting(factor=1.5), "am-softmax", dtype="float64")
    assert report.verdict == "FAIL-AS(result-scaled(1.5) in grad_cosines alone with hidden-state)"
    assert "cases fail by more than 4 times what the state changes" in str(report)


def test_a_random_loss_is_state_and_no_mistake_besides() -> None:
    draw = np.random.default_rng(1)

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> Any:
        losses, gradient = am(cosines, labels, s=s, m=m)
        return (losses * (1 + 0.01 * draw.standard_normal(losses.shape))).astype(cosines.dtype), gradient

    assert check(candidate, "am-softmax").verdict == "FAIL-AS(hidden-state)"
