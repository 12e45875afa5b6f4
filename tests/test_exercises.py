"""The exercises of the tutorial are graded stage by stage; so is any candidate that offers its stages.

python tests/test_exercises.py    writes the screens into the pages of the tutorial
"""

from __future__ import annotations

import ast
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pages import output, screens, without_version

from svref.conformance import Report, check
from svref.conformance.mistakes.slips import SLIPS as SLIP_TABLE
from svref.conformance.mistakes.slips import Right, Slip
from svref.conformance.mistakes.stages import values_of
from svref.golden.files.checks import validate
from svref.reference import Step
from svref.variants import VARIANTS

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial"
EXERCISES, SOLUTIONS = ((TUTORIAL / f"{name}.py").read_text(encoding="utf-8") for name in ("exercises", "solutions"))
STAGES = (
    "margin_cosine", "mask", "log_h", "relative_logits", "log_odds_against", "loss", "q", "probabilities",
    "grad_negatives", "grad_target", "grad_s", "grad_t", "grad_m",
)  # fmt: skip
FUNCTIONS = ["losses" if name == "loss" else name for name in STAGES]  # the candidate itself is called loss
RETURN = r"(def {name}\(.*?\n    return )([^\n]*)"


def answers_of(text: str) -> dict[str, str]:
    """Return what each exercise of a file returns, as text."""
    return {name: re.search(RETURN.format(name=name), text, re.DOTALL)[2] for name in FUNCTIONS}


RIGHT = answers_of(SOLUTIONS)


def filled(**answers: str) -> str:
    """Return the text of the exercises with some answers filled in."""
    text = EXERCISES
    for name, answer in answers.items():
        text, number = re.subn(RETURN.format(name=name), lambda m, a=answer: m[1] + a, text, count=1, flags=re.DOTALL)
        assert number == 1, name
    return text


def graded(folder: Path, **answers: str) -> Report:
    """Return the report on the exercises with some answers filled in, judged as a file by its path."""
    file = folder / "mine.py"
    file.write_text(filled(**answers), encoding="utf-8")
    return check(f"{file}:loss", "sv-am-softmax", dtype="float64", variations=0)


def states(report: Report) -> dict[str, str]:
    return {row.name: row.state for row in report.stages}


def up_to(name: str) -> dict[str, str]:
    """Return the right answers before an exercise, by the name of its function or its stage."""
    name = "losses" if name == "loss" else name
    return {other: RIGHT[other] for other in FUNCTIONS[: FUNCTIONS.index(name)]}


# ---- the exercises as they ship, and solved ---------------------------------------------------------------------


def test_of_the_exercises_as_shipped_none_is_done_and_the_first_is_next() -> None:
    report = check(f"{TUTORIAL / 'exercises.py'}:loss", "sv-am-softmax", dtype="float64")
    assert report.verdict == "UNSUPPORTED"
    assert states(report) == dict.fromkeys(STAGES, "blank")
    assert report.next_blank.title == "Exercise 1: f, the target's cosine after the margin."
    assert "UNSUPPORTED  the candidate is unfinished: margin_cosine is next\n" in str(report)
    assert "Traceback" not in str(report)
    assert "raised" not in str(report)


def test_the_solutions_pass_with_every_stage_right() -> None:
    report = check(f"{TUTORIAL / 'solutions.py'}:loss", "sv-am-softmax")
    for of_dtype in report.of.values():
        of_dtype.raise_if_wrong()
        assert states(of_dtype) == dict.fromkeys(STAGES, "right")
        assert all(row.right > 80 for row in of_dtype.stages)  # float32 holds the inputs of fewer cases


def test_the_solutions_are_the_exercises_with_their_blanks_filled_in() -> None:
    def skeleton(text: str) -> str:
        body = text.split('"""', 2)[2]
        return re.sub(r"(?m)^    return .*(?=\n\n\n(def|# ----))", "    return ...", body)

    assert skeleton(EXERCISES) == skeleton(SOLUTIONS)
    assert list(answers_of(EXERCISES).values()) == ["..."] * 13


def test_every_exercise_has_its_number_and_its_hint() -> None:
    functions = {n.name: ast.get_docstring(n) for n in ast.parse(EXERCISES).body if isinstance(n, ast.FunctionDef)}
    for number, name in enumerate(FUNCTIONS, 1):
        assert functions[name].startswith(f"Exercise {number}: ")
        assert "\n\nHint: " in functions[name]


@pytest.mark.parametrize("name", ["mask", "log_odds_against", "loss", "grad_target", "grad_m"])
def test_after_each_exercise_the_next_one_is_named(tmp_path: Path, name: str) -> None:
    report = graded(tmp_path, **up_to(name))
    stages = states(report)
    place = STAGES.index(name)
    assert report.verdict == "UNSUPPORTED"
    assert list(stages.values()) == ["right"] * place + ["blank"] * (len(STAGES) - place)
    assert f"next              {name}   {tmp_path / 'mine.py'}:" in str(report)
    assert str(report).endswith(f"\n  {report.next_blank.title}")
    assert f"mine.py:{report.next_blank.place.split(':')[-1]}" in report.next_blank.place


def test_a_stage_that_only_rows_of_a_single_class_have_is_blank(tmp_path: Path) -> None:
    report = graded(tmp_path, **{**RIGHT, "log_odds_against": "..."})
    assert report.verdict == "UNSUPPORTED"
    assert list(states(report).values()) == ["right"] * 4 + ["blank"] * 9
    assert "UNSUPPORTED  the candidate is unfinished: log_odds_against is next\n" in str(report)
    assert "\nnext              log_odds_against   " in str(report)


# ---- typical slips: each is found in its stage, named, and given its hint ---------------------------------------

SLIPS = {
    "mask": ("c >= f", "non-strict-mask"),
    "log_h": ("s * t * (c + 1) * is_hard", "t-offset"),
    "q": ("1 / (1 + np.exp(a))", "p_y-for-q"),
    "grad_negatives": ("s * p", "slope-of-h-lost"),
    "grad_target": ("q", "target-gradient-scaled(-1/s)"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_the_first_wrong_stage_and_has_a_name(tmp_path: Path, name: str) -> None:
    answer, mistake = SLIPS[name]
    report = graded(tmp_path, **up_to(name), **{name: answer})
    assert report.verdict == f"FAIL-AS({mistake})"
    assert states(report) == {
        stage: "right" if i < STAGES.index(name) else "wrong" if stage == name else "blank"
        for i, stage in enumerate(STAGES)
    }
    assert (report.first_wrong.name, report.first_wrong.mistake) == (name, mistake)
    text = " ".join(str(report).split())
    assert f"first departure {name} " in text
    assert f"is {mistake}: {report.first_wrong.formula}" in text
    assert f"hint {report.first_wrong.hint}" in text
    assert len(report.first_wrong.hint) > 40


@pytest.mark.parametrize("answer", ["1 - 1 / (1 + np.exp(a))", "1 - np.exp(-np.logaddexp(0, a))"])
def test_q_by_a_subtraction_is_wrong_where_it_has_no_digits(tmp_path: Path, answer: str) -> None:
    report = graded(tmp_path, **up_to("q"), q=answer)
    assert report.verdict == "FAIL-AS(q-by-subtraction)"
    assert report.first_wrong.name == "q"
    assert report.first_wrong.right > 90  # where p_y is not nearly 1, the difference has its digits


@pytest.mark.parametrize(
    "answer", ["np.exp(a) / (1 + np.exp(a))", "np.exp(a - np.logaddexp(0, a))", "-np.expm1(-np.logaddexp(0, a))"]
)
def test_whatever_form_of_q_is_right_the_probabilities_of_it_are_right_too(tmp_path: Path, answer: str) -> None:
    given = answer if "/" not in answer else f"{answer} if a < 700 else 1.0"
    report = graded(tmp_path, **{**up_to("grad_negatives"), "q": given})
    assert list(states(report).values())[:8] == ["right"] * 8
    assert report.next_blank.name == "grad_negatives"


def test_a_slip_that_the_registry_knows_has_one_name(tmp_path: Path) -> None:
    report = graded(tmp_path, **{**RIGHT, "grad_target": "s * q"})
    text = str(report)
    assert report.verdict == "FAIL-AS(target-gradient-negated)"
    assert "  is    target-gradient-negated: dL/dc_y = s q df/dc\n" in text
    assert [d.name for d in report.diagnosis] == ["target-gradient-negated"]
    assert "      or  " not in text


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_found_too_where_all_exercises_are_filled_in(tmp_path: Path, name: str) -> None:
    answer, mistake = SLIPS[name]
    report = graded(tmp_path, **{**RIGHT, name: answer})
    assert report.verdict.startswith("FAIL")
    assert (report.first_wrong.name, report.first_wrong.mistake) == (name, mistake)
    assert "blank" not in states(report).values()
    assert report.departure.stage == name


def test_a_wrong_stage_that_no_output_shows_fails_the_check(tmp_path: Path) -> None:
    report = graded(tmp_path, **{**RIGHT, "grad_m": "-s * q"})
    assert report.verdict == "FAIL-AS(sign-of-margin-flipped)"
    assert not report.failures
    odd = graded(tmp_path, **{**RIGHT, "grad_m": "2 * s * q"})
    assert odd.verdict == "FAIL-AS(wrong-stage)"
    assert odd.first_wrong.mistake == ""


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("margin_cosine", "None", "margin_cosine in line 21 returns nothing: is there a return?"),
        ("log_h", "0.0", "log_h in line 37 must return an array like c; got 0.0."),
        ("loss", "None", "losses in line 64 returns nothing: is there a return?"),
        ("log_odds_against", "r", "log_odds_against in line 55 must return one number; got array(["),
    ],
)
def test_an_answer_of_another_shape_is_told(tmp_path: Path, name: str, answer: str, message: str) -> None:
    function = "losses" if name == "loss" else name
    report = graded(tmp_path, **up_to(function), **{function: answer})
    assert report.verdict == "ERROR"
    assert message in report.mishaps[0].message


def test_an_error_in_an_exercise_is_told_once_with_its_own_line(tmp_path: Path) -> None:
    text = str(graded(tmp_path, **up_to("log_h"), log_h="s * T"))
    assert text.count("raised NameError: name 'T' is not defined") == 1
    assert text.count("in log_h: return s * T") == 1
    assert re.search(r"\n +and \d+ more like it", text)


# ---- any candidate may offer its stages -------------------------------------------------------------------------


def offering(variant: str, **changes: object) -> object:
    """Return a right candidate that offers every stage it has, with some replaced."""

    def candidate(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> dict[str, object]:
        loss = VARIANTS[variant].factory(**parameters)
        step = loss.forward(cosines, labels)
        by = loss.backward(step)
        stages = {name: values.astype(cosines.dtype) for name, values in values_of(step).items()}
        offered = {**stages, "loss": step.loss, "grad_cosines": by.cosines}
        return {**offered, **{name: change(step) if callable(change) else change for name, change in changes.items()}}

    return candidate


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_stages_of_svref_are_right(variant: str) -> None:
    report = check(offering(variant), variant, variations=0)
    for of_dtype in report.of.values():
        of_dtype.raise_if_wrong()
        assert set(states(of_dtype).values()) == {"right"}
        assert len(of_dtype.stages) >= 14


def test_a_wrong_stage_is_found_whatever_the_loss() -> None:
    report = check(offering("mv-arc-softmax", margin_slope=lambda step: 0 * step.f), "mv-arc-softmax", variations=0)
    assert report.verdict == "FAIL-AS(wrong-stage)"
    assert report.departure.stage == "margin_slope"
    assert report.first_wrong.place == ""  # this file has no function of that name


def test_a_blank_beside_right_outputs_leaves_the_candidate_unfinished() -> None:
    report = check(offering("sv-am-softmax", grad_t=...), "sv-am-softmax", dtype="float64", variations=0)
    assert report.verdict == "UNSUPPORTED"
    assert [name for name, state in states(report).items() if state == "blank"] == ["grad_t"]
    assert str(report).endswith("next              grad_t")


def test_a_candidate_without_stages_has_no_table_of_them() -> None:
    def plain(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> tuple:
        return VARIANTS["sv-am-softmax"].factory(**parameters).value_and_grad(cosines, labels, reduction="none")

    report = check(plain, "sv-am-softmax", dtype="float64", variations=0)
    assert report.stages == ()
    assert "stages of the loss" not in str(report)


def test_the_stages_are_in_the_json(tmp_path: Path) -> None:
    report = graded(tmp_path, **up_to("q"), q=SLIPS["q"][0])
    content = json.loads(report.to_json())
    validate("report", content, "the report")
    wrong = next(row for row in content["stages"] if row["state"] == "wrong")
    assert (wrong["name"], wrong["mistake"], wrong["title"][:11]) == ("q", "p_y-for-q", "Exercise 7:")


def test_a_stage_of_autograd_that_is_blank_is_told(torch: Any) -> None:
    report = check(lambda c, y, **p: {"margin_cosine": ...}, "sv-am-softmax", framework="torch", dtype="float64")
    assert report.verdict == "UNSUPPORTED"
    assert report.next_blank.name == "margin_cosine"


SLIPPED = {f"{slip.stage}: {slip.name}": slip for slip in SLIP_TABLE}


@pytest.mark.parametrize("slip", SLIPPED.values(), ids=SLIPPED)
def test_every_slip_is_named(slip: Slip) -> None:
    def wrong(step: Step) -> np.ndarray:
        with np.errstate(all="ignore"):
            values = np.asarray(slip.values(Right(step)), step.cosines.dtype)
        return values.reshape(np.asarray(values_of(step)[slip.stage]).shape)

    variant = {"straight-through": "sv-arc-softmax", "adaptive-for-fixed": "mv-am-softmax"}.get(
        slip.name, "sv-am-softmax"
    )
    candidate = offering(variant, grad_cosines=..., **{slip.stage: wrong})
    report = check(candidate, variant, dtype="float64", variations=0, invalid=False)
    assert (report.first_wrong.name, report.first_wrong.mistake) == (slip.stage, slip.name)


# ---- the screens on the pages -----------------------------------------------------------------------------------

BACKPROP, SOLUTIONS_PAGE = TUTORIAL / "backprop.md", TUTORIAL / "solutions.md"
COMMAND = "svref check docs/tutorial/exercises.py:loss --loss sv-am-softmax"
OF_ANSWERS = re.compile(rf"<!-- answers: ?(.*?) ?-->\n\n```sh\n{COMMAND}\n```\n\n```text\n(.*?)```", re.DOTALL)


def printed_for(folder: Path, answers: str) -> str:
    """Return what the command prints for "mask; log_h = 0": a name is filled in rightly, or with what stands there."""
    given = [answer.partition(" = ") for answer in answers.split("; ") if answer]
    text = filled(**{name: answer or RIGHT[name] for name, _, answer in given})
    (folder / "docs" / "tutorial").mkdir(parents=True, exist_ok=True)
    (folder / "docs" / "tutorial" / "exercises.py").write_text(text, encoding="utf-8")
    return output(COMMAND, folder)


@pytest.mark.parametrize(("answers", "shown"), OF_ANSWERS.findall(BACKPROP.read_text(encoding="utf-8")))
def test_a_screen_of_the_exercises_is_what_the_command_prints(tmp_path: Path, answers: str, shown: str) -> None:
    assert without_version(shown) == without_version(printed_for(tmp_path, answers))


def test_every_screen_of_the_exercises_says_what_is_filled_in() -> None:
    assert len(screens(BACKPROP)) == len(OF_ANSWERS.findall(BACKPROP.read_text(encoding="utf-8"))) == 3


def test_the_screen_of_the_solutions_is_what_the_command_prints() -> None:
    ((command, shown),) = screens(SOLUTIONS_PAGE)
    assert without_version(shown) == without_version(output(command))


def test_the_page_of_solutions_has_the_solutions() -> None:
    blocks = re.findall(r"```text\n(.*?)\n```", SOLUTIONS_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks[:-1] == list(RIGHT.values())


def main() -> None:
    """Write the screens into the pages."""
    for page in (BACKPROP, SOLUTIONS_PAGE):
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            for answers, shown in OF_ANSWERS.findall(text):
                new = printed_for(Path(folder), answers)
                text = text.replace(
                    f"<!-- answers: {answers} -->\n\n```sh\n{COMMAND}\n```\n\n```text\n{shown}",
                    f"<!-- answers: {answers} -->\n\n```sh\n{COMMAND}\n```\n\n```text\n{new}",
                )
        page.write_text(text, encoding="utf-8")
    for command, shown in screens(SOLUTIONS_PAGE):
        text = SOLUTIONS_PAGE.read_text(encoding="utf-8")
        SOLUTIONS_PAGE.write_text(text.replace(shown, output(command)), encoding="utf-8")


if __name__ == "__main__":
    main()
