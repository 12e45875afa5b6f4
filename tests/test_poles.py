"""A gradient that is NaN or infinite where cos θ_y = ±1 passes, and the verdict says so; with `finite` it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from in_process import svref_command as run

import svref
from svref import golden
from svref.conformance import check
from svref.conformance.checking import poles

ROOT = Path(__file__).parent.parent
BREAKS = ": training breaks there"


def arc(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple:
    """The paper's gradient, which is infinite at a pole."""
    return svref.arc_softmax(s=s, m=m).value_and_grad(cosines, labels, reduction="none")


def finite_arc(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple:
    losses, gradient = arc(cosines, labels, s=s, m=m)
    return losses, np.where(np.isinf(gradient), 0, gradient).astype(cosines.dtype)


def head(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple:
    loss = svref.arc_softmax(s=s, m=m)
    losses, gradients = svref.head.value_and_grad(loss, embeddings, weights, labels, reduction="none")
    return losses, gradients.embeddings, gradients.weights


def head_with(value: float) -> object:
    """A head whose gradients are some value where x and its weight are parallel."""

    def candidate(embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple:
        losses, by_x, by_w = head(embeddings, weights, labels, s=s, m=m)
        x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (embeddings, weights[labels]))
        at_pole = np.abs((x * w).sum(axis=1)) == 1
        by_x[at_pole], by_w[labels[at_pole]] = value, value
        return losses, by_x, by_w

    return candidate


def lines(report: object) -> list[str]:
    return str(report).splitlines()


def verdict_line(report: object) -> str:
    return next(line for line in lines(report) if line.startswith(("PASS", "FAIL")))


def test_a_pass_counts_infinite_gradients_where_the_cosine_is_one_and_names_the_page() -> None:
    report = check(arc, "arc-softmax", variations=0)
    assert (report.verdict, report.ok) == ("PASS", True)
    assert verdict_line(report) == f"PASS, but 3 gradients are infinite where cos θ_y = ±1{BREAKS}"
    page = lines(report)[-1].partition("instead: ")[2].partition(";")[0]
    assert (ROOT / page).is_file()


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_a_pass_counts_what_is_not_finite_in_a_head(value: float, kind: str) -> None:
    report = check(head_with(value), "arc-softmax", variations=0)
    number = sum(count.undefined[kind] for count in report.counts if count.undefined)
    assert number >= 16
    assert verdict_line(report) == f"PASS, but {number} gradients are {kind} {poles.VECTORS}{BREAKS}"


@pytest.mark.parametrize("candidate", [finite_arc, head], ids=["cosines", "head"])
@pytest.mark.parametrize("finite", [False, True])
def test_a_gradient_that_is_finite_everywhere_passes_without_a_remark(candidate: object, finite: bool) -> None:
    assert lines(check(candidate, "arc-softmax", finite=finite, variations=0))[-1] == "PASS"


@pytest.mark.parametrize("candidate", [arc, head_with(np.nan), head_with(-np.inf)], ids=["cosines", "NaN", "infinite"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_with_finite_it_fails_under_a_name_in_the_cases_that_show_it(candidate: object, dtype: str) -> None:
    report = check(candidate, "arc-softmax", finite=True, dtype=dtype, variations=0)
    assert (report.verdict, report.failures) == (f"FAIL-AS({poles.NAME})", ())
    cases = [finding.case for finding in report.findings]
    # in float32 the cosine of a case that is no pole may round to one
    assert dtype == "float32" or all(golden.load()[case].result == "undefined" for case in cases)
    assert verdict_line(report).endswith(f"shown in {len(cases)} of {report.header['cases']} cases")
    assert all(finding.name == poles.NAME for finding in report.findings)


def test_a_wrong_element_is_told_before_what_is_not_finite() -> None:
    def doubled(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple:
        losses, gradient = arc(cosines, labels, s=s, m=m)
        return losses, 2 * gradient

    report = check(doubled, "arc-softmax", finite=True)
    assert report.failures
    assert poles.NAME not in report.verdict
    assert poles.NAME in str(report)


def test_plain_arrays_are_told_as_well_but_have_no_option() -> None:
    loss, cosines = svref.arc_softmax(), np.array([[1.0, 0.5], [0.25, 0.5]])
    report = svref.check_values(loss, cosines, [0, 1], *loss.value_and_grad(cosines, [0, 1], reduction="none"))
    assert verdict_line(report) == f"PASS, but 1 gradient is infinite where cos θ_y = ±1{BREAKS}"
    assert lines(report)[-1].endswith(poles.PAGE)


@pytest.mark.parametrize(
    ("undefined", "text"),
    [
        ({"grad_cosines": {"NaN": 1, "finite": 3}}, "1 gradient is NaN where cos θ_y = ±1"),
        (
            {"grad_embeddings": {"NaN": 2000, "infinite": 1}, "grad_weights": {"infinite": 1, "zero": 7}},
            "2,002 gradients are NaN or infinite where embedding and weight are parallel",
        ),
        (
            {"grad_cosines": {"NaN": 2}, "grad_weights": {"infinite": 4}},
            "2 gradients are NaN where cos θ_y = ±1 and 4 gradients are infinite where embedding and weight are parallel",
        ),
        ({"loss": {}, "grad_cosines": {"zero": 1}}, ""),
    ],
)
def test_the_sentence(undefined: dict[str, dict[str, int]], text: str) -> None:
    assert poles.not_finite(undefined.items()) == text


def test_the_option_of_the_command_exits_with_1_and_its_reproduce_line_shows_it_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import svref\ndef arc(cosines, labels, *, s, m):\n"
        "    return svref.arc_softmax(s=s, m=m).value_and_grad(cosines, labels, reduction='none')\n",
        encoding="utf-8",
    )
    words = ["check", f"{tmp_path}/mine.py:arc", "--loss", "arc-softmax", "--variations", "0"]
    assert run(*words).returncode == 0
    wrong = run(*words, "--finite")
    assert wrong.returncode == 1
    again = wrong.stdout.splitlines()[-1].split()[2:]
    assert "--finite" in again
    assert run(*again).returncode == 1
