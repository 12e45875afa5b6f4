"""The check finds named mistakes, accepts right code, and says what it saw."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from formulations import candidate
from pairing import in_turn

import svref
from svref import golden
from svref.conformance import CandidateError, Report, check, check_values
from svref.conformance.candidates.adapters import detect
from svref.golden.files.checks import validate
from svref.margins import AdditiveAngle, AdditiveCosine, Combined, EasyMargin, MultiplicativeAngle
from svref.reference import forward

HARD = next(v.id for v in golden.load() if v.variant == "sv-am-softmax" and v.group == "hard")
EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
RNG = np.random.default_rng(12)


def sv_am(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float, mutant: str = "") -> tuple:
    """SV-AM-Softmax as a textbook has it, with one mistake by name."""
    own = np.arange(len(labels)), labels
    target = cosines[own] - (np.radians(m) if mutant == "margin in degrees" else m)
    boundary = target[:, None] if mutant != "mask on the plain cosine" else cosines[own][:, None]
    mask = cosines >= boundary if mutant == "a tie is a support vector" else cosines > boundary
    mask[own] = mutant == "label column in the mask"
    t = {"t offset by one": t + 1, "t ignored": 1.0}.get(mutant, t)
    lift = (t - 1) * (cosines + 1) / (s if mutant == "missing s in h" else 1)
    if mutant == "fixed for adaptive":
        lift = np.full_like(cosines, t - 1)
    z = cosines.copy()
    z[own] = target
    z = s * (z + np.where(mask, lift, 0))
    if mutant == "margin on all classes":
        z = np.where(np.arange(z.shape[1]) == labels[:, None], z, z - s * m)
    z = z - (0 if mutant == "no max subtraction" else z.max(axis=1, keepdims=True))
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    losses = -np.log(p[own] + 1e-9) if mutant == "eps in the log" else np.log(total)[:, 0] - z[own]
    g = p.copy()
    g[own] -= 1
    slope = np.where(mask, 1 if mutant in ("slope of h lost", "fixed for adaptive") else t, 1).astype(cosines.dtype)
    gradient = s * g * slope
    return losses, damaged(gradient, mutant, own, p)


def damaged(gradient: np.ndarray, mutant: str, own: tuple, p: np.ndarray) -> np.ndarray:
    """Mistakes of the backward pass alone."""
    if mutant == "sign flipped":
        return -gradient
    if mutant == "s missing in the gradient":
        return gradient / 4
    if mutant == "target gradient dropped":
        gradient[own] = 0
    if mutant == "negatives detached":
        gradient[p < p[own][:, None]] = 0
    if mutant == "half as much again":
        return gradient * gradient.dtype.type(1.5)
    if mutant == "one NaN":
        gradient[1, 2] = np.nan
    if mutant == "mean for sum":
        return gradient / len(gradient)
    return gradient


MUTANTS = [
    "sign flipped",
    "half as much again",
    "s missing in the gradient",
    "missing s in h",
    "a tie is a support vector",
    "slope of h lost",
    "label column in the mask",
    "eps in the log",
    "one NaN",
    "t offset by one",
    "t ignored",
    "margin in degrees",
    "mask on the plain cosine",
    "fixed for adaptive",
    "margin on all classes",
    "target gradient dropped",
    "negatives detached",
    "mean for sum",
]


def named(mutant: str) -> Callable[..., tuple]:
    def mutated(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
        return sv_am(cosines, labels, s=s, m=m, t=t, mutant=mutant)

    return mutated


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_unmutated_candidate_is_right(dtype: str) -> None:
    check(named(""), "sv-am-softmax", dtype=dtype).raise_if_wrong()


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_named_mutant_is_rejected(mutant: str, dtype: str) -> None:
    report = check(named(mutant), "sv-am-softmax", dtype=dtype)
    assert not report.ok
    assert report.failures[0].error > 2


@pytest.mark.parametrize(
    ("of", "dtype"), in_turn([(name, each) for name, entry in svref.VARIANTS.items() for each in entry.parameters])
)
def test_a_candidate_that_ignores_a_parameter_is_rejected(of: tuple[str, str], dtype: str) -> None:
    name, parameter = of
    entry = svref.VARIANTS[name]

    def deaf(cosines: np.ndarray, labels: np.ndarray, **p: float) -> tuple:
        loss = entry.factory(**{**p, parameter: entry.parameters[parameter]})
        return loss.value_and_grad(cosines, labels, reduction="none")

    report = check(deaf, name, dtype=dtype)
    assert report.verdict.startswith("FAIL-AS(")
    assert f"{parameter}-is-its-default" in [d.name for d in report.diagnosis]


def masked_otherwise(name: str, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., tuple]:
    """The variant with another mask: `change` gets the cosines and f and returns it."""

    def mutated(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        loss = svref.VARIANTS[name].factory(**p)
        right = loss.forward(cosines, labels)
        wanted = change(cosines, right.margin_cosine[:, None])
        wanted[right.own] = False
        step = forward(loss, cosines, labels, flipped=wanted ^ right.mask)
        return step.loss, loss.backward(step, cotangent).cosines

    return mutated


MASKS = {
    "in half precision": lambda c, f: c.astype(np.float16) > f.astype(np.float16),
    "0.001 too high": lambda c, f: c > f + 0.001,
    "0.0001 too low": lambda c, f: c > f - 0.0001,
    "all negatives": lambda c, f: np.ones_like(c, dtype=bool),
    "positive cosines only": lambda c, f: (c > f) & (c > 0),
    "absolute values": lambda c, f: np.abs(c) > f,
}


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize(
    ("name", "mask", "dtype"), in_turn([n for n in svref.VARIANTS if n.startswith(("sv-", "mv-"))], MASKS)
)
def test_a_wrong_mask_is_rejected(name: str, mask: str, dtype: str) -> None:
    pack = "paper" if mask == "in half precision" else "core"  # numbers of eight bits are exact in half precision
    assert check(masked_otherwise(name, MASKS[mask]), name, dtype=dtype, pack=pack).verdict.startswith("FAIL")


def other_margin(name: str, margin: Callable[[object], object]) -> Callable[..., tuple]:
    def mutated(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **p: float) -> tuple:
        loss = svref.VARIANTS[name].factory(**p)
        loss = svref.SVXSoftmax(margin(loss.margin), loss.emphasis, loss.s)
        step = loss.forward(cosines, labels)
        return step.loss, loss.backward(step, cotangent).cosines

    return mutated


MARGIN_MUTANTS = [
    *[
        (f"sv-arc-softmax, {tail} tail", "sv-arc-softmax", lambda a, t=tail: AdditiveAngle(a.m, t))
        for tail in ("linear", "plain", "reflect")
    ],
    *[
        (f"{n}, easy at 0", n, EasyMargin)
        for n in ("sv-am-softmax", "sv-arc-softmax", "sv-a-softmax", "sv-combined-softmax", "mv-arc-softmax")
    ],
    *[(f"{n}, easy at m", n, lambda a: EasyMargin(a, above=a.m)) for n in ("sv-am-softmax", "sv-arc-softmax")],
    *[(f"{n}, straight through", n, svref.StraightThrough) for n in ("sv-arc-softmax", "sv-a-softmax", "arc-softmax")],
    ("sv-a-softmax, annealed", "sv-a-softmax", lambda a: MultiplicativeAngle(a.m, annealing=5.0)),
    ("sv-a-softmax, no pieces", "sv-a-softmax", lambda a: Combined(float(a.m))),
    ("sv-combined-softmax, m1 (θ + m2)", "sv-combined-softmax", lambda a: Combined(a.m1, a.m1 * a.m2, a.m3)),
]


@pytest.mark.usefixtures("undiagnosed")
@pytest.mark.parametrize(("mutant", "dtype"), in_turn(MARGIN_MUTANTS))
def test_a_wrong_margin_is_rejected(mutant: tuple, dtype: str) -> None:
    assert check(other_margin(*mutant[1:]), mutant[1], dtype=dtype).verdict.startswith("FAIL")


def test_a_missing_max_subtraction_overflows_in_float32() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        report = check(named("no max subtraction"), "sv-am-softmax", dtype="float32")
    assert not report.ok
    assert np.isinf(report.failures[0].error)


@pytest.mark.parametrize(("name", "dtype"), in_turn(svref.VARIANTS))
def test_svref_passes_its_own_check(name: str, dtype: str) -> None:
    def itself(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray, **parameters: float) -> tuple:
        loss = svref.VARIANTS[name].factory(**parameters)
        step = loss.forward(cosines, labels)
        return step.loss, loss.backward(step, cotangent).cosines

    check(itself, name, dtype=dtype).raise_if_wrong()


def near_tie_loss() -> tuple[svref.SVXSoftmax, np.ndarray]:
    loss = svref.sv_arc_softmax(s=16.0, m=0.5, t=1.25)
    f = loss.forward([[0.9, 0.0]], [0]).margin_cosine[0]
    return loss, np.array([[0.9, f + np.spacing(f), -0.5]])


@pytest.mark.parametrize("decision", [True, False])
def test_a_decision_within_rounding_is_right_either_way(decision: bool) -> None:
    loss, cosines = near_tie_loss()
    f = loss.margin.value(svref.margins.Angle.from_cosine(0.9))
    r = 16 * (cosines[0, 1:] - f + np.array([0.25 * (cosines[0, 1] + 1) * decision, 0]))
    p = np.exp(r) / (1 + np.exp(r).sum())
    slope = loss.margin.by_cosine(svref.margins.Angle.from_cosine(0.9))
    gradient = 16 * np.array([[-p.sum() * slope, p[0] * (1.25 if decision else 1), p[1]]])
    report = check_values(loss, cosines, [0], [np.log1p(np.exp(r).sum())], gradient)
    report.raise_if_wrong()
    assert report.undecided == 1


def test_loss_and_gradient_must_take_the_same_way() -> None:
    loss, cosines = near_tie_loss()
    one = loss.forward(cosines, [0])
    other = loss.forward(cosines - [[0, 1e-9, 0]], [0])
    assert one.mask.any()
    assert not other.mask.any()
    assert not check_values(loss, cosines, [0], one.loss, loss.backward(other).cosines).ok


@pytest.mark.parametrize("side", [-1, 1])
def test_a_branch_within_rounding_is_right_either_way(side: int) -> None:
    loss = svref.SVXSoftmax(EasyMargin(AdditiveCosine(0.25), above=0.1), s=8.0)
    cosines, shifted = np.array([[0.1, 0.3, -0.2]]), np.array([[0.1 + side * 1e-16, 0.3, -0.2]])
    step = loss.forward(shifted, [0])
    report = check_values(loss, cosines, [0], step.loss, loss.backward(step).cosines)
    report.raise_if_wrong()
    assert report.undecided >= 1


def test_rows_with_too_many_undecided_decisions_are_counted_and_not_passed() -> None:
    loss, cosines = near_tie_loss()
    many = np.concatenate([cosines[:, :1], np.repeat(cosines[:, 1:2], 5, axis=1)], axis=1)
    report = check_values(loss, many, [0], [1.0])
    assert report.skipped == 1
    assert not report.ok
    assert report.verdict == "VACUOUS"
    assert "VACUOUS  no element says anything" in str(report)


def test_the_pole_is_a_policy_but_the_other_infinity_is_wrong() -> None:
    loss = svref.arc_softmax(s=4.0)
    cosines = np.array([[1.0, 0.5, -0.5]])
    value, gradient = loss.value_and_grad(cosines, [0], reduction="none")
    for entry, ok in ((-np.inf, True), (0.0, True), (-3.0, True), (np.nan, True), (np.inf, False)):
        gradient[0, 0] = entry
        assert check_values(loss, cosines, [0], value, gradient).ok is ok
    assert "policy: 1 NaN" not in str(check_values(loss, cosines, [0], value, gradient))


def test_a_nan_beside_the_pole_is_wrong() -> None:
    loss = svref.arc_softmax(s=4.0)
    cosines = np.array([[1.0, 0.5, -0.5]])
    value, gradient = loss.value_and_grad(cosines, [0], reduction="none")
    gradient[0, 1] = np.nan
    assert not check_values(loss, cosines, [0], value, gradient).ok


def test_a_vacuous_pass_is_counted_and_is_not_a_pass() -> None:
    loss = svref.am_softmax(s=64.0)
    cosines = np.array([[0.99, -0.9, -0.9]])
    report = check_values(loss, cosines, [0], [0.0])
    assert (report.counts[0].passed, report.counts[0].vacuous, report.counts[0].failed) == (0, 1, 0)
    assert not report.ok
    assert not check_values(loss, cosines, [0], [1e-9]).ok


def test_a_zero_cotangent_asks_for_exact_zeros() -> None:
    loss = svref.sv_am_softmax(s=4.0)
    cosines = np.array([[0.5, 0.4], [0.5, 0.4]])
    value, gradient = loss.value_and_grad(cosines, [0, 1], reduction="none")
    gradient[0] = 0
    check_values(loss, cosines, [0, 1], value, gradient, cotangent=[0.0, 1.0]).raise_if_wrong()
    gradient[0, 1] = 1e-300
    assert not check_values(loss, cosines, [0, 1], value, gradient, cotangent=[0.0, 1.0]).ok


def test_a_wrong_dtype_is_wrong_everywhere_and_says_so() -> None:
    cosines = np.array([[0.5, 0.4]], dtype=np.float32)
    report = check_values("sv-am-softmax", cosines, [0], np.array([3.0]))
    assert report.failures[0].note == "returned in float64 where float32 was given"
    assert "returned in float64 where float32 was given" in str(report)


def test_plain_lists_and_a_name_will_do() -> None:
    value = svref.sv_softmax().value([[0.5, 0.75]], [0])
    assert check_values("sv-softmax", [[0.5, 0.75]], [0], [float(value)]).ok


def test_a_failure_names_element_values_tolerance_gap_and_reproduction() -> None:
    report = check(f"{EXAMPLES / 'easy_margin.py'}:sv_am", "sv-am-softmax", dtype="float32")
    failure = report.failures[0]
    found = golden.find(failure.case)
    assert failure.expected == found.expected[failure.quantity.removeprefix("grad_")][failure.index]
    assert failure.loss == f"sv_am_softmax({', '.join(f'{k}={v:g}' for k, v in found.parameters.items())})"
    assert str(failure).startswith(f"{failure.quantity}[{', '.join(map(str, failure.index))}] = ")
    assert "but should be" in str(failure)
    assert "times the tolerance; nearest mask decision" in str(failure)
    assert report.reproduce.endswith(f"--loss sv-am-softmax --dtype float32 --case {failure.case}")


def test_the_reproduction_judges_the_one_case() -> None:
    report = check(f"{EXAMPLES / 'easy_margin.py'}:sv_am", "sv-am-softmax", case=HARD)
    assert report.header["cases"] == 1
    assert {failure.case for failure in report.failures} == {HARD}
    assert report.cases == {HARD: "FAIL"}


def test_the_json_holds_everything_and_is_valid(tmp_path: Path) -> None:
    report = check(named("one NaN"), "sv-am-softmax", dtype="float64")
    report.write(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["schema"] == "svref-report/1"
    assert content["ok"] is False
    assert content["failures"][0]["error"] == "Infinity"
    assert content["failures"][0]["got"] == "NaN"
    assert {count["quantity"] for count in content["counts"]} == {"loss", "grad_cosines"}
    validate("report", content, "report.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]


def test_an_interrupted_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Report) -> str:
        raise KeyboardInterrupt

    report = check_values("softmax", [[0.5, 0.75]], [0], [1.0])
    monkeypatch.setattr(Report, "to_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report.write(tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []


def test_raise_if_wrong_raises_with_the_report() -> None:
    with pytest.raises(AssertionError, match="FAIL  is  eps-in-loss-alone"):
        check(named("eps in the log"), "sv-am-softmax", dtype="float32").raise_if_wrong()


def test_a_candidate_without_a_parameter_is_told_how_it_is_called() -> None:
    message = r"takes no keyword t; it is called f\(cosines, labels, s=30, m=0.35, t=1.2\)"
    with pytest.raises(CandidateError, match=message):
        check(lambda cosines, labels, *, s, m: None, "sv-am-softmax")


def test_a_cotangent_and_parameters_may_stand_among_the_positional_arguments() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, cotangent: np.ndarray, s: float, m: float) -> tuple:
        loss = svref.am_softmax(s=s, m=m)
        step = loss.forward(cosines, labels)
        return step.loss, loss.backward(step, cotangent).cosines

    check(candidate, "am-softmax", dtype="float32", variations=0).raise_if_wrong()


def test_names_that_say_nothing_and_an_instance_with_fixed_parameters_are_told_what_to_do() -> None:
    with pytest.raises(CandidateError, match=r"what does the function take as b\? Say it by --map b=ROLE"):
        check(lambda labels, a, b, *, s, m, t: None, "sv-am-softmax")

    class Head:
        def forward(self, x: object, labels: object) -> None:
            pass

        __call__ = forward

    with pytest.raises(
        CandidateError, match=r"takes no keyword s, m, t; .* An instance has them fixed: give its class"
    ):
        check(Head(), "sv-am-softmax")


BROKEN = {
    "must return the tuple (losses, grad_cosines); got ndarray": lambda cosines, labels, **p: np.zeros(3),
    "grad_cosines must have shape (4, 6); got shape (6,)": lambda cosines, labels, **p: (cosines[:, 0], cosines[0]),
    "loss must have shape (4,); got shape (1,). Return them before any mean or sum": lambda c, y, **p: (c[:1, 0], c),
    "raised ZeroDivisionError: division by zero (called with arrays of numpy": lambda cosines, labels, **p: 1 / 0,
    "loss must be real numbers; got dtype complex128": lambda cosines, labels, **p: (cosines[:, 0] * 1j, cosines),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_candidate_is_told_what_is_wrong_and_the_run_goes_on(message: str) -> None:
    report = check(BROKEN[message], "sv-am-softmax", framework="numpy")
    assert report.verdict == "ERROR"
    assert message in report.mishaps[0].message
    assert {report.cases[m.case] for m in report.mishaps} == {"ERROR"}
    assert len(report.mishaps) == sum(
        v.result != "error" for v in golden.load() if v.variant == "sv-am-softmax" and v.level == "cosine"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.py:f", "nowhere.py cannot be imported: FileNotFoundError: no file nowhere.py"),
        ("textbook_nowhere", "textbook_nowhere cannot be imported: ModuleNotFoundError"),
        ("no_such_package_here:f", "no_such_package_here cannot be imported: ModuleNotFoundError"),
        (
            f"{EXAMPLES / 'textbook.py'}:f",
            f"{EXAMPLES / 'textbook.py'} has no function 'f'; the functions of {EXAMPLES / 'textbook.py'} are: sv_am.",
        ),
    ],
)
def test_a_candidate_that_is_not_there_is_told_so(path: str, message: str) -> None:
    with pytest.raises(CandidateError) as error:
        check(path, "sv-am-softmax")
    assert str(error.value).startswith(message)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="loss must be one of softmax, am-softmax"):
        check(named(""), "sv-am")
    with pytest.raises(
        ValueError,
        match="pack core has no case 'x' of sv-am-softmax for a candidate on cosines; see svref golden list",
    ):
        check(named(""), "sv-am-softmax", case="x")
    with pytest.raises(ValueError, match="pack seed has no cases of sv-arc-softmax"):
        check(lambda cosines, labels, **p: 0, "sv-arc-softmax", pack="seed")
    with pytest.raises(ValueError, match="pack must be one of core, paper, seed, or a directory; got 'nowhere'"):
        check(named(""), "sv-am-softmax", pack="nowhere")
    with pytest.raises(golden.VectorsError, match=r"tests is no pack of vectors: it has no manifest\.json\.$"):
        check(named(""), "sv-am-softmax", pack=str(Path(__file__).parent))
    with pytest.raises(ValueError, match="a precision must be one of float64, float32, tf32, "):
        check(named(""), "sv-am-softmax", precision="int8")
    with pytest.raises(ValueError, match="the inputs of --precision float64 are float64, which float32 does not"):
        check(named(""), "sv-am-softmax", dtype="float32", precision="float64")
    for timeout in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="timeout must be a positive number of seconds; got"):
            check(named(""), "sv-am-softmax", timeout=timeout)
    with pytest.raises(ValueError, match="reduction must be one of none, sum, mean; got 'median'"):
        check(named(""), "sv-am-softmax", reduction="median")
    with pytest.raises(ValueError, match="dialect"):
        check(named(""), "sv-am-softmax", dialect="nobody")
    with pytest.raises(ValueError, match="dtype must be float32 or float64; got float16"):
        check(named(""), "sv-am-softmax", dtype="float16")
    with pytest.raises(
        CandidateError, match=r"framework must be one of numpy, torch, jax, tensorflow, .*; got 'caffe'"
    ):
        check(named(""), "sv-am-softmax", framework="caffe")


def test_a_candidate_cannot_change_what_it_is_judged_by() -> None:
    def vandal(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> tuple:
        result = candidate("sv-am-softmax", "acos", "log_sum_exp")(cosines, labels, **parameters)
        cosines[:], labels[:] = 0, 0
        return result

    check(vandal, "sv-am-softmax", dtype="float64").raise_if_wrong()


def test_progress_sees_every_case() -> None:
    seen: list[tuple[int, int]] = []
    check(named(""), "sv-am-softmax", progress=lambda done, total: seen.append((done, total)))
    cases = sum(v.variant == "sv-am-softmax" and v.level == "cosine" for v in golden.load())
    held = sum(v.variant == "sv-am-softmax" and v.level == "cosine" and "float32" in v.dtypes for v in golden.load())
    total = cases + held + 2 * 24  # float64, then float32
    assert seen == [(done, total) for done in range(1, total + 1)]
    with pytest.raises(TypeError, match="progress must be a function of two integers, done and total; got 7"):
        check(named(""), "sv-am-softmax", progress=7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("function", "name"), [("sv_am", "sv-am-softmax"), ("sv_arc", "sv-arc-softmax")])
def test_the_torch_examples_are_right(torch, function: str, name: str, dtype: str) -> None:
    report = check(f"{EXAMPLES / 'textbook_torch.py'}:{function}", name, dtype=dtype)
    report.raise_if_wrong()
    assert report.header["framework"].startswith("torch ")


PARAMETERS = {"s": 30.0, "m": 0.35, "t": 1.2}


def test_what_a_candidate_is_written_in_is_found_out_by_asking_it(torch) -> None:
    from textbook_torch import sv_am as torch_sv_am

    class Head(torch.nn.Module):
        def forward(self, cosines, labels, *, s, m, t):
            return torch_sv_am(cosines, labels, s=s, m=m, t=t)

    class Callable:
        def __call__(self, cosines, labels, *, s, m, t):
            return torch_sv_am(cosines, labels, s=s, m=m, t=t)

    for function in (Head(), Callable(), functools.partial(torch_sv_am), lambda c, y, **p: torch_sv_am(c, y, **p)):
        assert detect(function, "cosine", PARAMETERS) == "torch"
        check(function, "sv-am-softmax", dtype="float32", variations=0).raise_if_wrong()
    assert detect(named(""), "cosine", PARAMETERS) == "numpy"
    with pytest.raises(
        CandidateError, match=r"fails .*with torch arrays ZeroDivisionError: .*; with numpy arrays ZeroDiv"
    ):
        detect(lambda c, y, **p: 1 / 0, "cosine", PARAMETERS)


def test_a_torch_candidate_may_write_into_its_cosines(torch) -> None:
    def in_place(cosines, labels, *, s, m):
        cosines[torch.arange(len(labels)), labels] -= m
        return torch.nn.functional.cross_entropy(s * cosines, labels, reduction="none")

    check(in_place, "am-softmax", dtype="float64", variations=0).raise_if_wrong()


TORCH_LOSSES = ["cross_entropy", "log_softmax", "logsumexp", "logaddexp"]


@pytest.mark.parametrize(
    ("name", "form", "dtype"),
    in_turn(["softmax", "sv-am-softmax", "sv-arc-softmax", "sv-a-softmax", "mv-am-softmax"], TORCH_LOSSES),
)
def test_no_right_torch_formulation_is_rejected(torch, name: str, form: str, dtype: str) -> None:
    def loss(cosines, labels, **p):
        t, own = p.get("t", 1.0), labels[:, None]
        f = torch_margin(torch, name, cosines.gather(1, own), p.get("m", 0.0))
        lifted = cosines + (t - 1) if name.startswith("mv-") else t * cosines + (t - 1)
        z = p["s"] * torch.where(cosines > f, lifted, cosines).scatter(1, own, f)
        return torch_losses(torch, z, own, form)

    check(loss, name, dtype=dtype, framework="torch").raise_if_wrong()


def torch_margin(torch, name: str, c, m: float):
    if "arc" in name:
        return torch.cos(torch.acos(c) + m)
    if "-a-" in name:
        theta = torch.acos(c)
        k = torch.floor(m * theta / np.pi).clamp(max=m - 1).detach()
        return (-1.0) ** k * torch.cos(m * theta) - 2 * k
    return c - m


def torch_losses(torch, z, own, form: str):
    target = z.gather(1, own)
    if form == "cross_entropy":
        return torch.nn.functional.cross_entropy(z, own[:, 0], reduction="none")
    if form == "log_softmax":
        return -torch.log_softmax(z, dim=1).gather(1, own)[:, 0]
    if form == "logsumexp":
        return torch.logsumexp(z, dim=1) - target[:, 0]
    a = torch.logsumexp((z - target).scatter(1, own, -torch.inf), dim=1)
    return torch.logaddexp(a, torch.zeros_like(a))


def test_torch_candidates_are_told_what_to_return(torch) -> None:
    for function, message in (
        (lambda c, y, **p: c.detach().sum(dim=1).requires_grad_(), "do not depend on the inputs"),
        (lambda c, y, **p: c.detach().sum(dim=1), "the losses are detached"),
        (lambda c, y, **p: 3.0, "must return a tensor of losses; got float"),
    ):
        report = check(function, "sv-am-softmax", framework="torch")
        assert report.verdict == "ERROR"
        assert message in report.mishaps[0].message


def test_a_candidate_file_may_define_dataclasses_and_import_its_neighbours_late(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_candidate.py").write_text("OFFSET = 0.0\n", encoding="utf-8")
    text = (EXAMPLES / "textbook.py").read_text(encoding="utf-8")
    (tmp_path / "candidate_file.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        + text
        + "\n\n@dataclass\nclass Part:\n    x: float = 0.0\n\n\n"
        "def late(cosines, labels, *, s, m, t):\n    import neighbour_of_candidate as n\n"
        "    return sv_am(cosines, labels, s=s, m=m + n.OFFSET, t=t)\n",
        encoding="utf-8",
    )
    check(f"{tmp_path / 'candidate_file.py'}:late", "sv-am-softmax", dtype="float64", variations=0).raise_if_wrong()


def test_a_module_of_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_candidate"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "loss.py").write_text((EXAMPLES / "textbook.py").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    check("package_of_candidate.loss:sv_am", "sv-am-softmax", dtype="float64", variations=0).raise_if_wrong()


def test_a_class_without_a_method_to_call_is_refused() -> None:
    class Loss:
        pass

    with pytest.raises(CandidateError, match=r"Loss is a class whose instances have neither forward nor __call__"):
        check(Loss, "sv-am-softmax")


def test_ignored_rows_of_plain_arrays_are_left_out() -> None:
    loss, cosines = svref.sv_am_softmax(s=4.0), np.array([[0.5, 0.25], [0.75, 0.5]])
    value, gradient = loss.value_and_grad(cosines, [0, -1], reduction="none", ignore_index=-1)
    check_values(loss, cosines, [0, -1], value, gradient, ignore_index=-1).raise_if_wrong()


def test_a_failure_beside_ignored_rows_keeps_its_row_number() -> None:
    loss, cosines, labels = svref.sv_am_softmax(s=4.0), np.array([[0.5, 0.25], [0.75, 0.5], [0.1, 0.5]]), [-1, 1, 0]
    value = loss.value(cosines, labels, reduction="none", ignore_index=-1)
    value[2] += 1
    assert check_values(loss, cosines, labels, value, ignore_index=-1).failures[0].index == (2,)
    assert check_values(loss, cosines, [-1] * 3, value, ignore_index=-1).verdict == "VACUOUS"


def test_a_converged_batch_passes_by_its_gradient() -> None:
    loss, cosines = svref.sv_am_softmax(s=64.0), np.array([[0.97, -0.6, -0.7], [0.98, -0.55, -0.9]])
    report = check_values(loss, cosines, [0, 0], *loss.value_and_grad(cosines, [0, 0], reduction="none"))
    report.raise_if_wrong()
    assert "no element of loss says anything" in str(report)


@pytest.mark.parametrize("values", [np.array([1j]), np.array(["a"]), np.ma.masked_array([1.0], mask=True)])
def test_outputs_that_are_no_plain_numbers_are_refused(values: np.ndarray) -> None:
    with pytest.raises(CandidateError, match="must be"):
        check_values("sv-am-softmax", [[0.5, 0.25]], [0], values)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_callers_who_raise_on_everything_are_not_disturbed(dtype: str) -> None:
    loss = svref.sv_arc_softmax(s=500.0)
    cosines = np.array([[0.99, -0.9, -0.8, 1e-30], [-0.9, 0.9, 0.5, 1e-38]], dtype=dtype)
    with np.errstate(all="raise"):
        value, gradient = loss.value_and_grad(cosines, [0, 0], reduction="none")
        loss.value(cosines, [3, 3])
        loss.backward(loss.forward(cosines, [0, 3]))
        check_values(loss, cosines, [0, 0], value, gradient).raise_if_wrong()
        check(named(""), "sv-am-softmax", dtype=dtype).raise_if_wrong()
        svref.head.value_and_grad(loss, np.eye(2, 4, dtype=dtype), cosines, [0, 1])


def test_a_dtype_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="dtype must be float32 or float64; got flot"):
        check(named(""), "sv-am-softmax", dtype="flot")


def test_the_slope_of_a_softmax_at_a_pole_is_judged_where_it_is_given() -> None:
    loss = svref.a_softmax(s=4.0, m=4)
    cosines = np.array([[-1.0, 0.5, -0.5]])
    value, gradient = loss.value_and_grad(cosines, [0], reduction="none")
    right = gradient[0, 0]
    for entry, ok in ((right, True), (np.nan, True), (0.0, True), (np.inf, True), (-right, False)):
        gradient[0, 0] = entry
        assert check_values(loss, cosines, [0], value, gradient).ok is ok


def test_the_reproduction_carries_the_framework_and_quotes_the_path(tmp_path: Path) -> None:
    copy = tmp_path / "my loss.py"
    copy.write_text((EXAMPLES / "easy_margin.py").read_text(encoding="utf-8"), encoding="utf-8")
    report = check(f"{copy}:sv_am", "sv-am-softmax", framework="numpy")
    assert f"'{copy}:sv_am' --loss" in report.reproduce
    assert "--framework numpy --case" in report.reproduce


def test_a_custom_loss_is_judged_by_its_own_formula() -> None:
    loss = svref.SVXSoftmax(AdditiveAngle(0.5, tail="reflect"), svref.SupportVectors(1.5), s=8.0)
    cosines, labels = RNG.uniform(-0.99, 0.99, (20, 6)), RNG.integers(0, 6, 20)
    value, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    check_values(loss, cosines, labels, value, gradient).raise_if_wrong()
    raw = svref.sv_arc_softmax(s=8.0, m=0.5, t=1.5)
    assert not check_values(raw, cosines, labels, value, gradient).ok


@pytest.mark.usefixtures("undiagnosed")
def test_code_that_clamps_to_cosines_is_not_wrong_for_it() -> None:
    def clamped(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> tuple:
        return sv_am(np.clip(cosines, -1, 1), labels, **parameters)

    check(clamped, "sv-am-softmax", dtype="float64").raise_if_wrong()
    assert not check(clamped, "sv-am-softmax", pack="seed", variations=0).ok, "the notebook's rows are logits up to 6"
    check(named(""), "sv-am-softmax", pack="seed", variations=0).raise_if_wrong()
