"""What a candidate computes, from its outputs alone: each known mistake is named, and nothing right is called wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from formulations import FORMULATIONS, candidate
from pairing import in_turn

import svref
from svref import AdditiveAngle, AdditiveCosine, MultiplicativeAngle, SupportVectors, SVXSoftmax
from svref.conformance import CandidateError
from svref.conformance.diagnosing.diagnose import Identification
from svref.conformance.diagnosing.findings import Finding
from svref.conformance.diagnosing.identify import identify
from svref.conformance.diagnosing.probes import BoundCandidate
from svref.deviations import DEVIATIONS
from svref.deviations.backward import clamped as clamp
from svref.margins import EasyMargin

S = 8.0
DTYPES = ("float64", "float32")
LOSSES = {
    **{name: entry.factory(s=S) for name, entry in svref.VARIANTS.items()},
    "sv-am-dyadic": svref.sv_am_softmax(s=S, m=0.25, t=1.25),
    "sv-softmax-dyadic": svref.sv_softmax(s=S, t=1.25),
    "sv-arc-linear": SVXSoftmax(AdditiveAngle(0.5, tail="linear"), SupportVectors(1.2), s=S),
    "sv-arc-64": svref.sv_arc_softmax(s=64.0),
    "sv-am-no-margin": svref.sv_am_softmax(s=S, m=0.0),
    "sv-arc-no-margin": svref.sv_arc_softmax(s=S, m=0.0),
    "sv-a-no-margin": svref.sv_a_softmax(s=S, m=1),
}
CANNOT = {
    ("eps-in-loss-alone", "float32"): "its losses are those of eps-in-log, and that is the name given",
    # what a black box cannot tell, and why
    ("ignored-cotangent", "float64"): "a run has no cotangent to ignore",
    ("ignored-cotangent", "float32"): "a run has no cotangent to ignore",
    ("precision-downcast-float32", "float32"): "float32 is what it is asked for",
    ("inputs-cast-to-float32", "float32"): "float32 is what it is asked for",
    ("scale-before-cast", "float64"): "its losses move as those of rounded inputs do, and are off by their digits",
    **{
        (name, dtype): "no label that is asked is above 256"
        for name in ("labels-in-float16", "labels-in-bfloat16")
        for dtype in ("float64", "float32")
    },
    **{
        (name, dtype): "no row that is asked lies so close to the end of a piece, or has an equal negative"
        for name in ("pieces-of-3-14", "pieces-of-3-1416", "margin-on-ties", "ties-left-out")
        for dtype in ("float64", "float32")
        if (name, dtype) != ("pieces-of-3-14", "float64")
    },
    **{
        (
            name,
            dtype,
        ): "where numbers are rounded on the way is told by `check`; here they are off, or right where asked"
        for name in (
            "no-max-subtraction-float16",
            "loss-rounded-to-format",
            "target-gradient-rounded-early",
            "gradient-filtered",
        )
        for dtype in ("float64", "float32")
    },
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
    "zero-cosine-margin-replaced": ["sv-am-no-margin"],
    "zero-angle-margin-replaced": ["sv-arc-no-margin"],
    "one-piece-replaced": ["sv-a-no-margin"],
    "t-of-1-replaced": ["am-softmax"],
    "pieces-of-3-14": ["sv-a-softmax"],
    "pieces-of-3-1416": ["sv-a-softmax"],
    "adaptive-for-fixed": ["mv-am-softmax", "mv-arc-softmax"],
    "logits-stored-narrow": ["sv-arc-softmax"],  # where f is c - m, all margins seem to be off by their digits
    "scale-before-cast": ["sv-arc-softmax"],
}
USUAL = ["sv-am-softmax", "sv-arc-softmax"]
NAMES = [name for name, deviation in DEVIATIONS.items() if deviation.level == "cosine"]


def wrong(name: str, loss: SVXSoftmax) -> BoundCandidate:
    """A candidate that makes the named mistake, in the dtype it is given."""

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = DEVIATIONS[name].run(loss, cosines.astype(np.float64), labels)
        return tuple(result.astype(cosines.dtype) for result in results)

    return run


def right(loss: SVXSoftmax) -> BoundCandidate:
    return lambda cosines, labels: loss.value_and_grad(cosines, labels, reduction="none")


def disagreements(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.agrees is False]


def about(question: str, findings: tuple[Finding, ...]) -> Finding:
    return next(finding for finding in findings if finding.question == question)


def suited(name: str) -> list[str]:
    return SUITED.get(name) or [of for of in USUAL if DEVIATIONS[name].applies(LOSSES[of])]


# ---- wrong candidates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name_of", "dtype"), in_turn([(name, of) for name in NAMES for of in suited(name)]))
def test_a_mistake_is_named_unless_a_black_box_cannot_tell(name_of: tuple[str, str], dtype: str) -> None:
    name, of = name_of
    named = {finding.deviation for finding in disagreements(identify(wrong(name, LOSSES[of]), LOSSES[of], dtype))}
    asked = (name, dtype) not in CANNOT
    assert (name in named) is asked, f"svref diagnose must name {name}, or CANNOT say why it does not"


def test_every_mistake_on_cosines_is_tried_on_a_loss_that_can_show_it() -> None:
    assert all(suited(name) for name in NAMES)
    assert all(DEVIATIONS[name].applies(LOSSES[of]) for name in NAMES for of in suited(name))


@pytest.mark.parametrize(
    "name", ["margin-ignored", "tail-linear", "t-offset", "s-missing-in-h", "slope-of-h-lost", "label-in-mask"]
)
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
        (svref.am_softmax(S, 0.2), svref.am_softmax(S, 0.35), "f", "f = c_y - m', m' = 0.2"),
        (svref.arc_softmax(S, 0.3), svref.arc_softmax(S, 0.5), "f", "f = cos(θ + m'), m' = 0.3"),
        (SVXSoftmax(MultiplicativeAngle(4, annealing=9.0), s=S), svref.a_softmax(S, 4), "f", "f = (λ c_y + ψ)/(1 + λ), λ = 9"),
        (svref.sv_am_softmax(S, 0.35, 1.5), svref.sv_am_softmax(S, 0.35, 1.2), "h", "t := 1.5"),
        (svref.mv_am_softmax(S, 0.35, 1.5), svref.mv_am_softmax(S, 0.35, 1.2), "h", "t := 1.5"),
        (svref.arc_softmax(1.0), svref.arc_softmax(S), "the scale s", "s := 1"),
        (svref.sv_am_softmax(5.0), svref.sv_am_softmax(S), "the scale s", "s := 5"),
        (SVXSoftmax(AdditiveCosine(0.35), SupportVectors(1.2, boundary=AdditiveCosine(0.9)), S), svref.sv_am_softmax(S), "the mask is decided by", "I_k = [c_k > f - 0.55]"),
        (SVXSoftmax(EasyMargin(AdditiveCosine(0.35), above=0.7), s=S), svref.am_softmax(S), "easy margin", "f = f_m(c_y) where c_y > 0.7, else c_y"),
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


# ---- where the mask turns on -----------------------------------------------------------------------------------


def masked_beside(shift: float, bound: AdditiveCosine | AdditiveAngle | None = None) -> BoundCandidate:
    """SV-AM-Softmax (m = 0.25, t = 1.25, s = 8), or another margin, whose mask compares with f + shift."""
    margin = bound or AdditiveCosine(0.25)

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = np.arange(cosines.shape[1]) == labels[:, None]
        angle = svref.margins.Angle.from_cosine(cosines[own].astype(np.float64))
        f = margin.value(angle).astype(cosines.dtype)
        hard = (cosines > (f + cosines.dtype.type(shift))[:, None]) & ~own
        z = S * np.where(hard, 1.25 * cosines.astype(np.float64) + 0.25, cosines)
        z[own] = S * f.astype(np.float64)
        slope = np.where(hard, 1.25, 1.0)
        slope[own] = margin.by_cosine(angle)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        others = np.logaddexp.reduce(np.where(own, -np.inf, z), axis=1)
        losses = np.logaddexp(0.0, others - z[own])
        gradient = S * slope * (e / e.sum(axis=1, keepdims=True) - own)
        return losses.astype(cosines.dtype), gradient.astype(cosines.dtype)

    return run


SHIFTS = {
    3e-3: "f + 0.003",
    -1e-3: "f - 0.001",
    2e-2: "f + 0.02",
    -3e-4: "f - 0.0003",
    2e-5: "f + 2e-05",
    -0.3: "f - 0.3",
}


@pytest.mark.parametrize(("shift", "dtype"), in_turn(SHIFTS))
def test_a_boundary_beside_f_is_told_by_its_distance(shift: float, dtype: str) -> None:
    findings = disagreements(identify(masked_beside(shift), LOSSES["sv-am-dyadic"], dtype))
    assert [(f.question, f.answer, f.deviation) for f in findings] == [
        ("the mask is decided by", f"I_k = [c_k > {SHIFTS[shift]}]", "")
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [3e-3, -1e-3])
def test_a_boundary_beside_an_f_without_exact_values_is_told_too(shift: float, dtype: str) -> None:
    loss = svref.sv_arc_softmax(S, 0.5, 1.25)
    findings = disagreements(identify(masked_beside(shift, AdditiveAngle(0.5)), loss, dtype))
    assert [f.answer for f in findings] == [f"I_k = [c_k > {SHIFTS[shift]}]"]


@pytest.mark.parametrize(
    ("dtype", "shift"), [("float64", 1e-6), ("float64", -1e-8), ("float64", 1e-12), ("float32", -2e-6)]
)
def test_a_boundary_nearer_than_that_is_seen_at_a_tie_and_is_no_non_strict_mask(dtype: str, shift: float) -> None:
    findings = identify(masked_beside(shift), LOSSES["sv-am-dyadic"], dtype)
    found = disagreements(findings)
    assert len(found) == 1
    assert "[c_k > f " in found[0].answer
    assert not found[0].deviation


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_boundary_at_f_is_right(dtype: str) -> None:
    findings = identify(masked_beside(0.0), LOSSES["sv-am-dyadic"], dtype)
    assert not disagreements(findings)
    assert about("a tie c_k = f", findings).agrees is True


def test_a_boundary_beside_the_plain_cosine_is_not_the_plain_cosine() -> None:
    loss = svref.sv_arc_softmax(S)
    for gap, answer in ((0.003, "I_k = [c_k > c_y - 0.003]"), (0.0, DEVIATIONS["mask-on-plain-cosine"].formula)):
        made = replace(loss, emphasis=replace(loss.emphasis, boundary=AdditiveCosine(gap)))
        assert [f.answer for f in disagreements(identify(right(made), loss))] == [answer]


@pytest.mark.parametrize("variant", [svref.sv_am_softmax, svref.sv_arc_softmax])
def test_constants_of_float32_move_f_and_its_mask_together(variant: Callable[..., SVXSoftmax]) -> None:
    findings = identify(right(variant(S, float(np.float32(0.35)), 1.25)), variant(S, 0.35, 1.25))
    assert not disagreements(findings)


# ---- unknown tails and formulas --------------------------------------------------------------------------------


def with_tail(tail: Callable[[np.ndarray], np.ndarray], name: str) -> BoundCandidate:
    """Arc-Softmax (m = 0.5) or a variant of it with another f where θ + m > π; without a gradient."""
    loss = LOSSES[name]

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, None]:
        own = np.arange(cosines.shape[1]) == labels[:, None]
        c = cosines[own].astype(np.float64)
        f = np.where(c < -np.cos(0.5), tail(c), np.cos(np.arccos(c) + 0.5))
        hard = (cosines > f[:, None]) & ~own
        z = S * cosines.astype(np.float64)
        z += S * loss.emphasis.log_h(cosines, hard, 1.0)
        z[own] = S * f
        return np.logaddexp.reduce(z, axis=1).astype(cosines.dtype) - z[own].astype(cosines.dtype), None

    return run


TAILS = {
    "f = c_y - a where θ + m > π, a = 0.2": lambda c: c - 0.2,
    "f = -1.5 where θ + m > π": lambda c: np.full_like(c, -1.5),
    "no known formula": lambda c: -1 - (c + np.cos(0.5)) ** 2,
}


@pytest.mark.parametrize(("of", "answer", "dtype"), in_turn(["arc-softmax", "sv-arc-softmax", "mv-arc-softmax"], TAILS))
def test_an_unknown_tail_is_the_only_departure(of: str, answer: str, dtype: str) -> None:
    findings = identify(with_tail(TAILS[answer], of), LOSSES[of], dtype)
    assert [(f.question, f.answer) for f in disagreements(findings)] == [("f beyond θ + m = π", answer)]
    assert about("f", findings).answer == "cos(θ + m)"
    if answer == "no known formula":
        evidence = r"f\(-0\.9007\) = -1\.\d+, paper: -0\.9987; f\(-0\.9901\) = -1\.\d+, paper: -0\.9362"
        assert re.fullmatch(evidence, about("f beyond θ + m = π", findings).evidence)


@pytest.mark.parametrize(
    ("name", "tail"),
    [("tail-parallel", lambda c: c - 1 + np.cos(0.5)), ("tail-clipped", lambda c: np.full_like(c, -1.0))],
)
def test_the_tails_of_public_code_have_names(name: str, tail: Callable[[np.ndarray], np.ndarray]) -> None:
    findings = disagreements(identify(with_tail(tail, "sv-arc-softmax"), LOSSES["sv-arc-softmax"]))
    assert [finding.deviation for finding in findings] == [name]


def test_a_formula_that_is_not_known_is_shown_beside_the_papers() -> None:
    def bent(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, None]:
        own = np.arange(len(labels)), labels
        z = S * cosines
        z[own] = S * (cosines[own] - 0.35 - 0.3 * np.sin(9 * cosines[own]) ** 2)
        return np.logaddexp.reduce(z, axis=1) - z[own], None

    finding = about("f", identify(bent, svref.am_softmax(S, 0.35)))
    assert finding.answer == "no known formula"
    assert finding.evidence.startswith("f(0.9297) = 0.3520, paper: 0.5797; f(0.5511) = ")


def test_a_parameter_that_is_the_papers_is_no_departure() -> None:
    eased = SVXSoftmax(EasyMargin(AdditiveAngle(0.5, "linear"), above=0.0), s=S)
    finding = about("f", identify(right(eased), svref.arc_softmax(S)))
    assert "m = 0.5" not in finding.answer


@pytest.mark.parametrize("dtype", DTYPES)
def test_beside_an_unknown_f_the_negatives_are_read_no_finer_than_f_is(dtype: str) -> None:
    made, meant = svref.sv_arc_softmax(S, 0.3, 1.25), svref.sv_arc_softmax(S, 0.5, 1.25)
    assert [f.question for f in disagreements(identify(right(made), meant, dtype))] == ["f"]


# ---- right candidates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), in_turn(svref.VARIANTS))
def test_no_right_candidate_is_called_wrong(name: str, dtype: str) -> None:
    parameters = {**svref.VARIANTS[name].parameters, "s": S}
    for margin, entropy in FORMULATIONS:
        function = candidate(name, margin, entropy)
        findings = identify(lambda c, y, f=function: f(c, y, **parameters), LOSSES[name], dtype)
        assert not disagreements(findings), (margin, entropy)


@pytest.mark.parametrize(("s", "name", "dtype"), in_turn([4.0, 64.0], LOSSES))
def test_svref_agrees_with_itself(s: float, name: str, dtype: str) -> None:
    loss = replace(LOSSES[name], s=s)
    assert not disagreements(identify(right(loss), loss, dtype))


def parameter_sets(name: str, count: int) -> list[dict[str, float]]:
    """Parameters over all that the variant accepts: s from 1e-6 to 1e6, t from 1 to 1,000, every margin and its ends."""
    rng, below_pi, found = np.random.default_rng(len(name)), float(np.nextafter(np.pi, 0)), []
    for i in range(count):
        s = [1.0, 16.0, 64.0, 83.0, 100.0, 450.0][i // 3 % 6] if i % 3 == 0 else float(10 ** rng.uniform(-6, 6))
        t = float(rng.choice([1.0, 1.2, 5.0, 1 + 10 ** rng.uniform(-6, 0), 10 ** rng.uniform(0, 3), 1000.0]))
        angle = float(rng.choice([0.0, 0.5, 10 ** rng.uniform(-6, 0), rng.uniform(0, np.pi), below_pi]))
        cosine = float(
            rng.choice([0.0, 0.25, 10 ** rng.uniform(-6, 0), rng.uniform(0, 2), 2.0, 10 ** rng.uniform(0, 3)])
        )
        multiple = int(rng.choice([1, 2, 4, rng.integers(3, 20), rng.integers(20, 100)])) if i else 1000
        m = cosine if "am-" in name else multiple if name in ("a-softmax", "sv-a-softmax") else angle
        m1 = float(rng.choice([1.0, 10 ** rng.uniform(-3, 0), rng.uniform(1, 5), 4.0, 100.0]))
        every = {"s": s, "t": t, "m": m, "m1": m1, "m2": angle, "m3": cosine}
        found.append({key: every[key] for key in svref.VARIANTS[name].parameters})
    return found


@pytest.mark.parametrize(("name", "dtype"), in_turn(list(svref.VARIANTS)[::-1]))
def test_nothing_right_is_called_wrong_at_any_parameters(name: str, dtype: str) -> None:
    for i, parameters in enumerate(parameter_sets(name, 7)):
        loss, textbook = (
            svref.VARIANTS[name].factory(**parameters),
            candidate(name, *FORMULATIONS[i % len(FORMULATIONS)]),
        )
        for each in (right(loss), lambda c, y, f=textbook, p=parameters: f(c, y, **p)):
            with np.errstate(all="ignore"):
                assert not disagreements(identify(each, loss, dtype)), parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sv-am-softmax", {"s": 64.0, "m": 2.0, "t": 5.0}),
        *[("am-softmax", {"s": s, "m": 0.35}) for s in (83.0, 100.0, 200.0, 450.0, 1e-6, 1e-9)],
        ("arc-softmax", {"s": 8.0, "m": float(np.nextafter(np.pi, 0))}),
        ("a-softmax", {"s": 1.0, "m": 1000}),
        ("sv-combined-softmax", {"s": 100.0, "m1": 100.0, "m2": 0.0, "m3": 0.0, "t": 1.2}),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_diagnose_calls_svref_right_at_odd_parameters(name: str, parameters: dict[str, float], dtype: str) -> None:
    def own(cosines: np.ndarray, labels: np.ndarray, **given: float) -> tuple[np.ndarray, np.ndarray]:
        return svref.VARIANTS[name].factory(**given).value_and_grad(cosines, labels, reduction="none")

    found = svref.diagnose(own, name, dtype=dtype, framework="numpy", parameters=parameters)
    assert found.ok, str(found)
    assert "as the paper" in str(found)


ODD = [{"s": 100.0}, {"s": 16.0, "m": 0.1}, {"s": 1e-3}, {"s": 64.0, "t": 3.0}, {"s": 1e4}]


@pytest.mark.parametrize("parameters", ODD)
@pytest.mark.parametrize(
    "name", ["margin-ignored", "t-ignored", "fixed-for-adaptive", "slope-of-h-lost", "mean-for-sum"]
)
def test_a_mistake_departs_at_odd_parameters_too(name: str, parameters: dict[str, float]) -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, **given: float) -> tuple[np.ndarray, np.ndarray]:
        return wrong(name, svref.sv_am_softmax(**given))(cosines, labels)

    found = svref.diagnose(candidate, "sv-am-softmax", framework="numpy", parameters=parameters)
    assert name in [finding.deviation for finding in found.departures], str(found)


def test_who_tells_nothing_is_not_called_right() -> None:
    def constant(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple[np.ndarray, None]:
        return np.zeros(len(labels)), None

    found = svref.diagnose(constant, "am-softmax", framework="numpy")
    assert not found.ok
    assert "as the paper" not in str(found)
    assert "! " in str(found) or "not answered, because" in str(found)


@pytest.mark.parametrize(("name", "dtype"), in_turn(svref.VARIANTS))
def test_the_questions_about_the_formula_are_all_answered_at_s_equal_8(name: str, dtype: str) -> None:
    findings = identify(right(LOSSES[name]), LOSSES[name], dtype)
    beyond = {"a tie c_k = f", "cap of the loss", "overflow", "c_y one ulp above 1"}  # need dyadic m, large s, poles
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
    "a tie c_k = f", "h", "the label's column of the mask", "the loss of the logits", "the gradient", "state between calls", "size of the batch",
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
    assert questions("softmax", "float32") == [q for q in ORDER if q not in emphasis | margin]


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
    for name, dtype in in_turn(LOSSES):
        findings = identify(lambda c, y: (np.full(len(y), value), np.full(c.shape, value)), LOSSES[name], dtype)
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


def test_zero_at_the_poles_alone_may_be_right() -> None:
    findings = identify(lambda c, y: clamped(c, y, np.nextafter(1.0, 0.0), s=S, m=0.5), LOSSES["arc-softmax"])
    finding = about("the gradient at c_y = ±1", findings)
    assert (finding.answer, finding.agrees) == ("not the limit, but right code may do so", None)


def all_clamped(variant: str, edge: float, of_target: bool) -> BoundCandidate:
    """A right loss of cosines, or of the target's alone, that are clamped within an edge of ±1."""
    made = LOSSES[variant]

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        within = float(cosines.dtype.type(1 - edge))
        results = clamp(within, of_target)(made, cosines.astype(np.float64), labels, np.ones(len(labels)))
        return tuple(result.astype(cosines.dtype) for result in results)

    return run


@pytest.mark.parametrize(
    ("edge", "of_target", "variant", "dtype"),
    in_turn(["0.001", "0.0001", "1e-06"], [True, False], ["arc-softmax", "sv-am-dyadic"]),
)
def test_a_clamp_is_told_by_the_size_it_has(edge: str, of_target: bool, variant: str, dtype: str) -> None:
    found = disagreements(identify(all_clamped(variant, float(edge), of_target), LOSSES[variant], dtype))
    c = "c_y" if of_target else "c"
    assert {f.deviation for f in found} == {f"clamp-{'of-target-' * of_target}kills-gradient"}
    assert {f.answer for f in found} == {f"{c} := clip({c}, -1 + ε, 1 - ε), ∂{c}/∂{c} = 0 beyond, ε = {edge}"}


def test_negatives_that_carry_nothing_have_no_scale() -> None:
    loss = LOSSES["am-softmax"]

    def run(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, None]:
        own = np.arange(cosines.shape[1]) == labels[:, None]
        return loss.value(np.where(own, cosines, 0.0), labels, reduction="none"), None

    findings = identify(run, loss)
    scale = about("the scale s", findings)
    assert (scale.agrees, scale.answer, scale.evidence) == (None, "not answered", "z_k does not grow with c_k")
    assert about("cap of the loss", findings).answer == "none"


def test_nan_where_nothing_overflows_is_no_overflow() -> None:
    findings = losses_alone(lambda losses, c, y: np.where(np.arange(len(losses)) == 0, np.nan, losses))
    finding = about("overflow", findings)
    assert (finding.answer, finding.deviation) == ("not finite where nothing overflows", "")
    assert finding.evidence == "L = nan at z_k = 11.2"
    assert about("order of the rows", findings).agrees is False


@pytest.mark.parametrize(("open_", "said"), [(0, "as the paper"), (1, "1 question that"), (2, "2 questions that")])
def test_open_questions_are_counted(open_: int, said: str) -> None:
    findings = [Finding("f", "c_y - m", "", True), *[Finding("overflow", "not answered", "", None)] * open_]
    last = str(Identification({"svref": "svref"}, tuple(findings))).splitlines()[-1]
    assert said in last
    assert ("question" in last) is (open_ > 0)


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
        svref.diagnose(sv_am(UNUSABLE[message]), "sv-am-softmax", framework="numpy")


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

    assert svref.diagnose(sv_am(reduced), "sv-am-softmax", dtype="float32").ok


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
