"""Answers that a program wrote to files: read whole, judged as calls are, refused where they are no answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formulations import HEADS

import svref
from svref import golden
from svref.conformance import CandidateError, Report, check
from svref.conformance.candidates.call import GRADIENTS
from svref.golden import VectorsError
from svref.golden.files.checks import validate

NAME = "sv-am-softmax"
Edit = Callable[[dict[str, Any]], None]


def numbers(values: np.ndarray) -> list[Any]:
    """As a program writes them: 17 digits, strings for what JSON has no number for."""
    return [
        float(v) if np.isfinite(v) else ("NaN" if np.isnan(v) else "Infinity" if v > 0 else "-Infinity")
        for v in values.ravel()
    ]


def program(inputs: Path, variant: str = NAME, dtype: str = "float64") -> dict[str, Any]:
    """Answer the exported inputs of a variant, as a program in any language would."""
    exported, answers = json.loads(inputs.read_text()), {}
    for case in (c for c in exported["cases"] if c["variant"] == variant):
        arrays = {
            n: np.array([float(v) for v in made["data"]]).reshape(made["shape"]) for n, made in case["inputs"].items()
        }
        answers[case["id"]] = answered(svref.VARIANTS[variant].factory, case, arrays, dtype)
    return {
        "format": "svref-answers/1", "pack": exported["pack"], "version": exported["version"], "producer": "a test 1.0",
        "dtype": dtype, "answers": answers,
    }  # fmt: skip


def answered(factory: Callable[..., Any], case: dict[str, Any], arrays: dict[str, np.ndarray], dtype: str) -> Any:
    try:
        loss, labels = factory(**case["parameters"]), arrays.pop("labels")
        labels, cotangent = labels if (labels % 1).any() else labels.astype(int), arrays.pop("cotangent")

        def on_cosines(cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            step = loss.forward(cosines, labels)
            return step.loss, loss.backward(step, cotangent).cosines

        given = [a.astype(dtype) for a in arrays.values()]
        head = HEADS["head_by_units"]
        results = on_cosines(*given) if case["level"] == "cosine" else head(*given, on_cosines)
    except ValueError as error:
        return {"error": str(error)}
    names = ("loss", *GRADIENTS[case["level"]])
    return {name: numbers(values) for name, values in zip(names, results, strict=True)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "inputs.json"
    assert golden.export(path) == len(golden.load())
    return path


def judged(folder: Path, content: Any, **options: Any) -> Report:
    (folder / "answers.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return check(str(folder), NAME, **options)


def test_what_is_exported_holds_no_answer(inputs: Path) -> None:
    text = inputs.read_text()
    assert all(f'"{word}"' not in text for word in ("expected", "scales", "loss", "mask", "power", "gaps"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_round_trip_of_a_right_program_passes_on_cosines_and_heads(
    inputs: Path, tmp_path: Path, dtype: str
) -> None:
    report = judged(tmp_path, program(inputs, dtype=dtype), dtype=dtype)
    report.raise_if_wrong()
    assert {c.quantity for c in report.counts} == {"loss", "grad_cosines", "grad_embeddings", "grad_weights"}
    assert report.header["framework"] == "answers of a test 1.0"
    assert (report.invalid, report.refused) == (7, 7)


def test_answers_in_several_files_are_one(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    half = len(content["answers"]) // 2
    for i, part in enumerate((list(content["answers"].items())[:half], list(content["answers"].items())[half:])):
        (tmp_path / f"{i}.json").write_text(json.dumps({**content, "answers": dict(part)}))
    assert check(str(tmp_path), NAME).ok
    (tmp_path / "2.json").write_text(json.dumps(content))
    with pytest.raises(CandidateError, match=r"answers sv-am-softmax-.* twice"):
        check(str(tmp_path), NAME)


def test_a_mistake_in_answers_is_named(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    for answer in content["answers"].values():
        if "grad_cosines" in answer:
            answer["loss"] = [min(v, 20.723265836946414) for v in answer["loss"]]
    report = judged(tmp_path, content)
    assert report.verdict.startswith("FAIL")
    assert report.failures
    assert "reproduce" in str(report)


def test_cases_that_a_program_leaves_out_or_declines_are_unsupported_and_counted(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    kept = [case for case, answer in content["answers"].items() if "grad_cosines" in answer]
    content["answers"] = {case: content["answers"][case] for case in kept[:-1]} | {kept[-1]: {"unsupported": "later"}}
    report = judged(tmp_path, content)
    assert report.verdict == "PASS"
    assert 0.9 < report.share < 1
    assert {m.message for m in report.mishaps} == {"there is no answer", "later"}
    assert [report.cases[m.case] for m in report.mishaps].count("UNSUPPORTED") == len(report.mishaps)


def test_no_answer_at_all_is_unsupported(inputs: Path, tmp_path: Path) -> None:
    report = judged(tmp_path, {**program(inputs), "answers": {}})
    assert report.verdict == "UNSUPPORTED"


def test_an_error_where_there_is_a_right_answer_is_an_error(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    first = next(case for case, answer in content["answers"].items() if "loss" in answer)
    content["answers"][first] = {"error": "segmentation fault"}
    report = judged(tmp_path, content)
    assert report.verdict == "ERROR"
    assert report.mishaps[0].message == "the answer is an error: segmentation fault"


def one_number_less(content: dict[str, Any]) -> None:
    next(a for a in content["answers"].values() if "grad_cosines" in a)["grad_cosines"].pop()


def test_a_wrong_number_of_numbers_is_told(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    one_number_less(content)
    report = judged(tmp_path, content)
    assert report.verdict == "ERROR"
    assert "grad_cosines must have 24 numbers, row by row; got 23." in report.mishaps[0].message


def test_a_nan_and_an_infinity_are_strings_and_judged(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    case = next(c for c, a in content["answers"].items() if "grad_cosines" in a)
    content["answers"][case]["loss"][0] = "NaN"
    content["answers"][case]["loss"][1] = "-Infinity"
    report = judged(tmp_path, content)
    assert [(f.case, f.index) for f in report.failures] == [(case, (0,)), (case, (1,))]


REFUSED: dict[str, Edit] = {
    r"does not follow the answers schema at \$: .*'extra' was unexpected": lambda c: c.update(extra=1),
    r"does not follow the answers schema at \$\.format": lambda c: c.update(format="svref-answers/2"),
    r"does not follow the answers schema at \$\.dtype": lambda c: c.update(dtype="int8"),
    r"'producer' is a required property": lambda c: c.pop("producer"),
    r"does not follow the answers schema at \$\.answers: must be of type object; got \[\[0\.0, 0\.0, .{,80}$": lambda c: (
        c.update(answers=[[0] * 999] * 9)
    ),
}
KEYS = "keys are loss and grad_cosines, or loss, grad_embeddings and grad_weights; or error or unsupported alone."
NUMBERS = 'also "0x1.8p-3", or "NaN", "Infinity", "-Infinity"; got'
LONG = [[0.125] * 999] * 999
WRONG: dict[str, Any] = {  # what is told of an answer, and the answer
    f"has unknown key 'losses'; {KEYS}": {"losses": [1.0]},
    f"has unknown key 'grad_cosine'; {KEYS}": {"loss": [1.0], "grad_cosine": LONG},
    f"has unknown key 'time'; {KEYS}": {"loss": [1.0], "grad_cosines": [1.0], "time": 3},
    f"has beside 'error' the key 'loss'; {KEYS}": {"loss": [1.0], "error": "why"},
    f"has beside 'error' the key 'unsupported'; {KEYS}": {"unsupported": "why", "error": "why"},
    f"has no key 'loss'; {KEYS}": {"grad_cosines": [1.0]},
    "must be an object; got [[0.125, 0.125, ": LONG,
    "must have a list of numbers in 'loss'; got 1.0.": {"loss": 1},
    "must have a list of numbers in 'grad_weights'; got {'data': [[": {"loss": [], "grad_weights": {"data": LONG}},
    f"must have numbers in 'grad_cosines', row by row in one list, {NUMBERS} [0.125, ": {"loss": [1.0], "grad_cosines": LONG},
    f"must have numbers in 'loss', row by row in one list, {NUMBERS} 'nan' at 1.": {"loss": [1.0, "nan"]},
    f"must have numbers in 'loss', row by row in one list, {NUMBERS} True at 0.": {"loss": [True]},
    "must say why in 'unsupported', as a text; got [[0.125, ": {"unsupported": LONG},
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_follow_the_schema_is_refused_with_its_file(inputs: Path, tmp_path: Path, message: str) -> None:
    content = program(inputs)
    REFUSED[message](content)
    with pytest.raises(CandidateError, match=r"answers\.json holds no answers: .*" + message):
        judged(tmp_path, content)


@pytest.mark.parametrize("told", WRONG)
def test_what_is_wrong_in_an_answer_is_told_with_case_and_key_in_one_line(
    inputs: Path, tmp_path: Path, told: str
) -> None:
    content = program(inputs)
    case = next(iter(content["answers"]))
    content["answers"][case] = WRONG[told]
    with pytest.raises(CandidateError, match=re.escape(f"answers.json holds no answers: answer of {case} {told}")) as e:
        judged(tmp_path, content)
    assert len(str(e.value)) < 300 + len(str(tmp_path))


def test_names_of_any_length_are_told_shortened(inputs: Path, tmp_path: Path) -> None:
    for answers in ({"x" * 9999: {}}, {"x": {"loss": [1.0], "y" * 9999: []}}, {"x": {"loss": ["z" * 9999]}}):
        with pytest.raises(CandidateError, match=r"answer of x.* has no key|unknown key 'yy|got 'zz") as e:
            judged(tmp_path, {**program(inputs), "answers": answers})
        assert len(str(e.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("told", WRONG)
def test_the_schema_refuses_what_is_told_in_words(inputs: Path, told: str) -> None:
    with pytest.raises(VectorsError, match=r"does not follow the answers schema at \$\.answers"):
        validate("answers", {**program(inputs), "answers": {"x": WRONG[told]}}, "x")


def test_answers_to_another_pack_or_major_version_are_refused_with_both(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    version = content["version"]
    for other in ({"pack": "paper"}, {"version": "9.0.0"}):
        named = rf"they are judged by, core {version}; .*answers\.json answers {other.get('pack', 'core')} "
        with pytest.raises(CandidateError, match=named + other.get("version", version)):
            judged(tmp_path, {**content, **other})
    assert judged(tmp_path, {**content, "version": f"{version.split('.')[0]}.99.0"}).ok


def test_answers_to_no_case_are_counted_as_a_remark(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    content["answers"] |= {"sv-am-softmax-typo-00000000": {"loss": [1.0]}, "nonsense": {"loss": [1.0]}}
    report = judged(tmp_path, content)
    assert report.ok
    assert report.remarks == {"answers cases that the pack does not have, first sv-am-softmax-typo-00000000": 2}
    assert "2 cases: the candidate answers cases that the pack does not have, first sv-am-softmax-typo-" in str(report)
    assert judged(tmp_path, program(inputs)).remarks == {}


def test_a_case_that_stands_twice_in_one_file_is_refused(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    case = next(iter(content["answers"]))
    text = json.dumps(content).replace('"answers": {', f'"answers": {{"{case}": {{"unsupported": "x"}}, ', 1)
    with pytest.raises(CandidateError, match=rf"holds no answers: '{case}' must stand once in an object"):
        judged(tmp_path, text)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_a_bare_nan_or_infinity_is_refused(inputs: Path, tmp_path: Path, literal: str) -> None:
    content = program(inputs)
    next(a for a in content["answers"].values() if "loss" in a)["loss"][0] = float(literal)
    with pytest.raises(
        CandidateError, match=f'holds no answers: JSON has no number {literal}; write the string "{literal}"'
    ):
        judged(tmp_path, content)


def test_a_number_beyond_all_floats_is_wrong_and_no_crash(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    case = next(c for c, a in content["answers"].items() if "loss" in a)
    content["answers"][case]["loss"][0] = 10**400
    assert [(f.case, f.index) for f in judged(tmp_path, content).failures] == [(case, (0,))]


def test_an_answer_to_an_invalid_input_is_no_refusal_whatever_it_holds(inputs: Path, tmp_path: Path) -> None:
    content = program(inputs)
    refused = [case for case, answer in content["answers"].items() if "error" in answer]
    content["answers"] |= {refused[0]: {"loss": [1.0] * 99}, refused[1]: {"unsupported": "later"}}
    report = judged(tmp_path, content, strict=True)
    assert report.verdict == "FAIL-AS(invalid-input-accepted)"
    assert (report.invalid, report.refused) == (7, 5)
    assert [finding.case for finding in report.findings] == [refused[0]]


def test_what_is_no_json_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CandidateError, match=r" holds no answers: it has no \*\.json of format svref-answers/1"):
        check(str(tmp_path), NAME)
    with pytest.raises(CandidateError, match=r"answers\.json holds no answers: "):
        judged(tmp_path, '{"format": "svref-ans')
    with pytest.raises(CandidateError, match=r"gone\.json holds no answers: .*No such file"):
        check(str(tmp_path / "gone.json"), NAME)


def test_answers_of_another_dtype_are_told_which(inputs: Path, tmp_path: Path) -> None:
    report = judged(tmp_path, program(inputs), dtype="float32")
    assert report.verdict == "ERROR"
    assert "the answers are float64, the check is for float32; use --dtype." in report.mishaps[0].message
