"""What a candidate computes, from its outputs alone: each known mistake is named, and nothing right is called wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from formulations import FORMULATIONS, candidate

import svref
from svref import AdditiveAngle, AdditiveCosine, MultiplicativeAngle, SupportVectors, SVXSoftmax
from svref.conformance import CandidateError
from svref.conformance.identify import Finding, Run, identify
from svref.deviations import DEVIATIONS
from svref.margins import EasyMargin

S = 8.0
DTYPES = ("float64", "float32")
LOSSES = {
    **{name: entry.factory(s=S) for name, entry in svref.VARIANTS.items()},
    "sv-am-dyadic": svref.sv_am_softmax(s=S, m=0.25, t=1.25),
    "sv-softmax-dyadic": svref.sv_softmax(s=S, t=1.25),
    "sv-arc-linear": SVXSoftmax(AdditiveAngle(0.5, tail="linear"), SupportVectors(1.2), s=S),
    "sv-arc-64": svref.sv_arc_softmax(s=64.0),
}
CANNOT = {
    ("eps-in-loss-alone", "float64"): "its losses are those of eps-in-log, and that is the name given",
    ("eps-in-loss-alone", "float32"): "its losses are those of eps-in-log, and that is the name given",
    # what a black box cannot tell, and why
    ("ignored-cotangent", "float64"): "a run has no cotangent to ignore",
    ("ignored-cotangent", "float32"): "a run has no cotangent to ignore",
    ("precision-downcast-float32", "float32"): "float32 is what it is asked for",
    **{
        (f"no-max-subtraction-quotient{end}", dtype): "it overflows as no-max-subtraction does, whose name is given"
        for end in ("", "-float64")
        for dtype in ("float64", "float32")
    },
}
SUITED = {  # the losses a mistake shows in, where it is not all that it applies to
    "margin-on-all-classes": ["arc-softmax", "sv-am-softmax"],  # in am-softmax, c_k - m and c_y - m is no margin at all
    "non-strict-mask": ["sv-am-dyadic", "sv-softmax-dyadic"],  # a tie needs numbers that nobody rounds
    "tail-raw": ["sv-arc-linear"],
    "loss-capped": ["am-softmax", "sv-arc-64"],  # losses of angles end below 69 at s = 8
    "no-max-subtraction": ["am-softmax", "sv-arc-64"],
    "no-max-subtraction-float64": ["am-softmax", "sv-am-softmax"],
    "cos-m-theta-without-psi": ["sv-a-softmax"],
    "annealing-left-on": ["sv-a-softmax"],
    "last-piece-off-by-one": ["sv-a-softmax"],
    "logits-are-angles": ["arc-softmax"],
    "adaptive-for-fixed": ["mv-am-softmax", "mv-arc-softmax"],
}
USUAL = ["sv-am-softmax", "sv-arc-softmax"]
NAMES = [name for name, deviation in DEVIATIONS.items() if deviation.level == "cosine"]


def wrong(name: str, loss: SVXSoftmax) -> Run:
    """A candidate that makes the named mistake, in the dtype it is given."""

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = DEVIATIONS[name].run(loss, cosines.astype(np.float64), labels)
        return tuple(result.astype(cosines.dtype) for result in results)

    return run


def right(loss: SVXSoftmax) -> Run:
    return lambda cosines, labels: loss.value_and_grad(cosines, labels, reduction="none")


def disagreements(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.agrees is False]


def about(question: str, findings: tuple[Finding, ...]) -> Finding:
    return next(finding for finding in findings if finding.question == question)


def suited(name: str) -> list[str]:
    return SUITED.get(name) or [of for of in USUAL if DEVIATIONS[name].applies(LOSSES[of])]


# ---- wrong candidates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "of"), [(name, of) for name in NAMES for of in suited(name)])
def test_a_mistake_is_named_unless_a_black_box_cannot_tell(name: str, of: str, dtype: str) -> None:
    named = {finding.deviation for finding in disagreements(identify(wrong(name, LOSSES[of]), LOSSES[of], dtype))}
    assert (name in named) is ((name, dtype) not in CANNOT)


def test_every_mistake_on_cosines_is_tried_on_a_loss_that_can_show_it() -> None:
    assert all(suited(name) for name in NAMES)
    assert all(DEVIATIONS[name].applies(LOSSES[of]) for name in NAMES for of in suited(name))


@pytest.mark.parametrize("name", ["margin-ignored", "tail-linear", "t-offset", "s-missing-in-h", "slope-of-h-lost"])
def test_a_single_mistake_is_the_only_disagreement(name: str) -> None:
    findings = disagreements(identify(wrong(name, LOSSES["sv-arc-softmax"]), LOSSES["sv-arc-softmax"]))
    assert [finding.deviation for finding in findings] == [name]


def test_an_eased_f_with_an_uneased_mask_is_both() -> None:
    loss = LOSSES["sv-am-softmax"]
    findings = disagreements(identify(wrong("mask-on-uneased-margin-above-m", loss), loss))
    assert [f.deviation for f in findings] == ["easy-margin-above-m", "mask-on-uneased-margin-above-m"]


def test_a_margin_on_all_classes_is_no_margin_where_it_is_subtracted_from_cosines() -> None:
    loss = LOSSES["am-softmax"]
    findings = disagreements(identify(wrong("margin-on-all-classes", loss), loss))
    assert [finding.deviation for finding in findings] == ["margin-ignored"]


@pytest.mark.parametrize(
    ("made", "meant", "question", "answer"),
    [
        (svref.am_softmax(S, 0.2), svref.am_softmax(S, 0.35), "f", "c_y - m with m = 0.2"),
        (svref.arc_softmax(S, 0.3), svref.arc_softmax(S, 0.5), "f", "cos(θ + m) with m = 0.3"),
        (SVXSoftmax(MultiplicativeAngle(4, annealing=9.0), s=S), svref.a_softmax(S, 4), "f", "(λ c_y + ψ)/(1 + λ) with λ = 9"),
        (svref.sv_am_softmax(S, 0.35, 1.5), svref.sv_am_softmax(S, 0.35, 1.2), "h", "log h_k = s (t-1)(c_k + 1) I_k with t = 1.5"),
        (svref.mv_am_softmax(S, 0.35, 1.5), svref.mv_am_softmax(S, 0.35, 1.2), "h", "log h_k = s (t-1) I_k with t = 1.5"),
        (svref.arc_softmax(1.0), svref.arc_softmax(S), "the scale s", "not applied"),
        (svref.sv_am_softmax(5.0), svref.sv_am_softmax(S), "the scale s", "acts as s = 5"),
        (SVXSoftmax(AdditiveCosine(0.35), SupportVectors(1.2, boundary=AdditiveCosine(0.9)), S), svref.sv_am_softmax(S), "the mask is decided by", "no known boundary"),
        (SVXSoftmax(EasyMargin(AdditiveCosine(0.35), above=0.7), s=S), svref.am_softmax(S), "f", "no known formula"),
    ],
)  # fmt: skip
def test_what_has_no_name_is_told_by_the_parameter_it_acts_as(
    made: SVXSoftmax, meant: SVXSoftmax, question: str, answer: str
) -> None:
    findings = identify(right(made), meant)
    assert about(question, findings).answer == answer
    assert [finding.question for finding in disagreements(findings)] == [question]


def test_the_evidence_is_the_reading_and_what_the_paper_has_there() -> None:
    finding = about("f beyond θ + m = π", identify(wrong("tail-linear", LOSSES["arc-softmax"]), LOSSES["arc-softmax"]))
    assert finding.evidence.startswith("f(-0.9901) = -1.2298; paper: -0.9362")  # c - m sin m; cos(θ + m)


# ---- right candidates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", svref.VARIANTS)
def test_no_right_candidate_is_called_wrong(name: str, dtype: str) -> None:
    parameters = {**svref.VARIANTS[name].parameters, "s": S}
    for margin, entropy in FORMULATIONS:
        function = candidate(name, margin, entropy)
        findings = identify(lambda c, y, f=function: f(c, y, **parameters), LOSSES[name], dtype)
        assert not disagreements(findings), (margin, entropy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("s", [4.0, 64.0])
def test_svref_agrees_with_itself(name: str, s: float, dtype: str) -> None:
    loss = replace(LOSSES[name], s=s)
    assert not disagreements(identify(right(loss), loss, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", svref.VARIANTS)
def test_the_questions_about_the_formula_are_all_answered_at_s_equal_8(name: str, dtype: str) -> None:
    findings = identify(right(LOSSES[name]), LOSSES[name], dtype)
    beyond = {"a tie c_k = f", "cap of the loss", "overflow", "c_y one ulp above 1"}  # need dyadic m, large s, a policy
    assert {finding.question for finding in findings if finding.agrees is None} <= beyond


def test_pytorch_candidates_are_asked_through_autograd(torch: object) -> None:
    from textbook_torch import sv_arc

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        leaf = torch.tensor(cosines, requires_grad=True)
        losses = sv_arc(leaf, torch.tensor(labels), s=S, m=0.5, t=1.2)
        losses.sum().backward()
        return losses.detach().numpy(), leaf.grad.numpy()

    for dtype in DTYPES:
        assert not disagreements(identify(run, LOSSES["sv-arc-softmax"], dtype))


# ---- what is asked ---------------------------------------------------------------------------------------------

ORDER = [
    "the scale s", "f", "f beyond θ + m = π", "easy margin", "logits of the negatives", "the mask is decided by",
    "a tie c_k = f", "h", "the label's column of the mask", "the gradient", "state between calls", "size of the batch",
    "order of the rows", "order of the classes", "the loss at c_y = ±1", "the gradient at c_y = ±1",
    "the gradient at c_k = ±1, k ≠ y", "c_y one ulp above 1", "cap of the loss", "overflow", "digits",
]  # fmt: skip


def questions(of: str, dtype: str = "float64") -> list[str]:
    return [finding.question for finding in identify(right(LOSSES[of]), LOSSES[of], dtype)]


def test_the_questions_come_in_a_fixed_order_and_only_where_they_have_a_meaning() -> None:
    emphasis = {"the mask is decided by", "a tie c_k = f", "h", "the label's column of the mask"}
    margin = {"f beyond θ + m = π", "easy margin"}
    assert questions("sv-arc-softmax") == ORDER
    assert questions("arc-softmax") == [q for q in ORDER if q not in emphasis]
    assert questions("softmax", "float32") == [q for q in ORDER if q not in emphasis | margin | {"digits"}]


def test_a_deviation_is_named_only_where_the_candidate_disagrees() -> None:
    for name in ("easy-margin-above-0", "label-in-mask", "mean-for-sum"):
        for finding in identify(wrong(name, LOSSES["sv-am-softmax"]), LOSSES["sv-am-softmax"]):
            assert finding.question
            assert finding.answer
            assert finding.evidence
            assert not finding.deviation or (finding.agrees is False and finding.deviation in DEVIATIONS)


def test_two_shapes_serve_all_questions() -> None:
    shapes, loss = set(), LOSSES["sv-arc-softmax"]

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shapes.add(cosines.shape)
        return right(loss)(cosines, labels)

    identify(run, loss)
    assert shapes == {(48, 4), (1, 4)}


# ---- candidates that misbehave ---------------------------------------------------------------------------------


def losses_alone(change: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> tuple[Finding, ...]:
    """What is found about sv-am-softmax with its losses changed by a function of (losses, cosines, labels)."""
    loss = LOSSES["sv-am-softmax"]
    return identify(lambda c, y: (change(loss.value(c, y, reduction="none"), c, y), None), loss)


def test_a_candidate_without_a_gradient_is_asked_all_the_rest() -> None:
    findings = losses_alone(lambda losses, c, y: losses)
    assert not disagreements(findings)
    assert about("the gradient", findings).answer == "none"
    assert about("h", findings).agrees is True


def test_a_gradient_of_nan_alone_is_not_that_of_the_losses() -> None:
    loss = LOSSES["sv-arc-softmax"]
    findings = identify(lambda c, y: (loss.value(c, y, reduction="none"), np.full(c.shape, np.nan)), loss)
    assert about("the gradient", findings).agrees is False


def test_a_hidden_state_is_found() -> None:
    calls = []

    def drifting(losses: np.ndarray, c: np.ndarray, y: np.ndarray) -> np.ndarray:
        calls.append(1)
        return losses * (1 + 1e-4 * len(calls))

    assert about("state between calls", losses_alone(drifting)).agrees is False


def test_rows_that_influence_each_other_are_found() -> None:
    findings = losses_alone(lambda losses, c, y: losses + losses.mean())
    assert about("size of the batch", findings).agrees is False
    findings = losses_alone(lambda losses, c, y: losses + np.arange(len(losses)))
    assert about("order of the rows", findings).agrees is False


def test_a_margin_from_another_column_is_found() -> None:
    findings = losses_alone(lambda losses, c, y: losses + 0.1 * c[:, 0])
    assert about("order of the classes", findings).agrees is False


def test_a_candidate_that_raises_is_a_finding_and_no_crash() -> None:
    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise RuntimeError("expected BoolTensor")

    for loss in LOSSES.values():
        findings = identify(run, loss)
        assert {finding.agrees for finding in findings if finding.question != "the loss at c_y = ±1"} == {None}
        assert about("digits", findings).evidence == "RuntimeError: expected BoolTensor"


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_nonsense_is_a_finding_and_no_crash(value: float) -> None:
    for loss in LOSSES.values():
        for dtype in DTYPES:
            findings = identify(lambda c, y: (np.full(len(y), value), np.full(c.shape, value)), loss, dtype)
            assert about("f", findings).agrees is not True


def test_a_wrong_shape_is_what_the_candidate_says() -> None:
    findings = identify(lambda c, y: (np.zeros(3), None), LOSSES["softmax"])
    assert about("digits", findings).evidence.startswith("ValueError: cannot reshape array of size 3")


def test_one_bad_row_costs_only_its_own_question() -> None:
    loss = LOSSES["sv-arc-softmax"]

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if (np.abs(cosines[np.arange(len(labels)), labels]) == 1).any():
            raise ZeroDivisionError("sin θ")
        return right(loss)(cosines, labels)

    findings = identify(run, loss)
    assert [finding.question for finding in disagreements(findings)] == ["the loss at c_y = ±1"]
    assert about("the gradient at c_y = ±1", findings).evidence == "ZeroDivisionError: sin θ"


def clamped(cosines: np.ndarray, labels: np.ndarray, end: float, **parameters: float) -> tuple[np.ndarray, np.ndarray]:
    """Arc-Softmax whose target alone is clamped, so that its gradient is 0 beyond the clamp."""
    own, inside = (np.arange(len(labels)), labels), cosines.copy()
    inside[own] = np.clip(cosines[own], -end, end)
    losses, gradient = candidate("arc-softmax", "acos", "log_sum_exp")(inside, labels, **parameters)
    gradient[own] *= np.abs(cosines[own]) <= end
    return losses, gradient


@pytest.mark.parametrize(("dtype", "end"), [("float64", 1 - 1e-7), ("float64", 1 - 1e-12), ("float32", 1 - 1e-7)])
def test_a_clamp_of_the_target_alone_is_seen_beside_the_poles(dtype: str, end: float) -> None:
    findings = identify(lambda c, y: clamped(c, y, c.dtype.type(end), s=S, m=0.5), LOSSES["arc-softmax"], dtype)
    assert [finding.deviation for finding in disagreements(findings)] == ["clamp-of-target-kills-gradient"]
    finding = about("the gradient at c_y = ±1", findings)
    assert finding.evidence.startswith("df/dc_y = 0 one ulp below 1, 0 above -1; paper: ")


def test_zero_at_the_poles_alone_is_a_policy() -> None:
    findings = identify(lambda c, y: clamped(c, y, np.nextafter(1.0, 0.0), s=S, m=0.5), LOSSES["arc-softmax"])
    assert about("the gradient at c_y = ±1", findings).answer == "a policy"


# ---- what cannot be asked: diagnose says so, where identify would find nothing ------------------------------------


def sv_am(change: Callable[[np.ndarray, np.ndarray], object]) -> Callable[..., object]:
    """A right candidate whose losses and gradient are changed."""

    def function(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> object:
        return change(*candidate("sv-am-softmax", "acos", "log_sum_exp")(cosines, labels, s=s, m=m, t=t))

    return function


def raised(error: BaseException) -> None:
    raise error


UNUSABLE = {
    "raised KeyError: 'x' (called with arrays of numpy": lambda losses, gradient: raised(KeyError("x")),
    "raised SystemExit: 0": lambda losses, gradient: raised(SystemExit(0)),
    "raised GeneratorExit": lambda losses, gradient: raised(GeneratorExit()),
    "a candidate without autograd must return the tuple (losses, grad_cosines); got NoneType": lambda *_: None,
    "all 48 are NaN or infinite": lambda losses, gradient: (losses * np.nan, gradient),
    "loss must have the dtype of the inputs, float64; got float16": lambda losses, gradient: (
        losses.astype(np.float16),
        gradient.astype(np.float16),
    ),
    "grad_cosines must have the dtype of the inputs, float64; got float32": lambda losses, gradient: (
        losses,
        gradient.astype(np.float32),
    ),
    "loss must be real numbers; got dtype complex128": lambda losses, gradient: (losses + 0j, gradient),
    "loss must be real numbers; got dtype <U32": lambda losses, gradient: (losses.astype(str), gradient),
    "loss must be real numbers; got dtype object": lambda losses, gradient: (losses.astype(object), gradient),
    "loss must have shape (48,); got shape (48, 1). Drop the last axis.": lambda losses, gradient: (
        losses[:, None],
        gradient,
    ),
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_what_has_no_losses_to_read_cannot_be_diagnosed(message: str) -> None:
    start = "svref diagnose needs losses of ordinary rows, and there are none: "
    with pytest.raises(CandidateError, match=re.escape(start + message)):
        svref.diagnose(sv_am(UNUSABLE[message]), "sv-am-softmax")


def test_a_candidate_of_single_rows_can_be_diagnosed() -> None:
    def one(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> object:
        if len(labels) > 1:
            raise ValueError("one row")
        return candidate("am-softmax", "acos", "log_sum_exp")(cosines, labels, s=s, m=m)

    found = svref.diagnose(one, "am-softmax")
    assert "raised ValueError: one row" in about("digits", found.findings).evidence


@pytest.mark.parametrize("reduce", [np.sum, np.mean])
def test_a_reduced_loss_is_asked_row_by_row(reduce: Callable[[np.ndarray], np.ndarray]) -> None:
    def reduced(losses: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return reduce(losses), gradient / (len(losses) if reduce is np.mean else 1)

    assert svref.diagnose(sv_am(reduced), "sv-am-softmax").ok


def test_parameters_that_the_variant_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="parameters of sv-am-softmax are s, m, t; got m1"):
        svref.diagnose(sv_am(lambda *right: right), "sv-am-softmax", parameters={"m1": 3})
    with pytest.raises(ValueError, match="t must be at least 1"):
        svref.diagnose(sv_am(lambda *right: right), "sv-am-softmax", parameters={"t": 0.2})


def test_what_a_candidate_does_above_one_is_told_and_not_judged() -> None:
    finding = about("c_y one ulp above 1", identify(right(LOSSES["arc-softmax"]), LOSSES["arc-softmax"]))
    assert finding.agrees is None
    assert finding.evidence.startswith("ValueError: cosines must lie in [-1, 1]")


def test_identify_refuses_what_is_no_loss_and_no_dtype() -> None:
    with pytest.raises(TypeError, match="loss must be an SVXSoftmax"):
        identify(right(LOSSES["softmax"]), "softmax")
    with pytest.raises(ValueError, match="dtype must be float32 or float64; got float16"):
        identify(right(LOSSES["softmax"]), LOSSES["softmax"], "float16")
