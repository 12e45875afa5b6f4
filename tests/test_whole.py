"""One formula for every loss: what has no name is read with its size, and no part is called wrong for another one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from formulations import head_by_units
from pairing import in_turn
from unusual import SHAPES, unusual

import svref
from svref.conformance import check
from svref.conformance.diagnosing.diagnose import Identification
from svref.conformance.diagnosing.findings import Finding
from svref.reference import sigmoid

Losses = Callable[..., np.ndarray]


def own(cosines: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(labels)), labels


def entropy(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    r = z - z[own(z, labels)][:, None]
    return np.logaddexp.reduce(r, axis=1)


def am(c: np.ndarray, y: np.ndarray, s: float, m: float) -> np.ndarray:
    z = s * c
    z[own(c, y)] -= s * m
    return z


def with_f(f: Callable[..., np.ndarray]) -> Losses:
    """The losses of another f of (c_y, m, s)."""

    def losses(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
        z = s * c
        z[own(c, y)] = s * f(c[own(c, y)], m, s)
        return entropy(z, y)

    return losses


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])


def smoothed(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
    z = am(c, y, s, m)
    return 0.8 * entropy(z, y) + 0.2 * (np.logaddexp.reduce(z, axis=1) - z.mean(axis=1))


def focal(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
    losses = entropy(am(c, y, s, m), y)
    return (1 - np.exp(-losses)) ** 1.5 * losses


def left_out(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
    z = am(c, y, s, m)
    others = z.copy()
    others[own(c, y)] = -np.inf
    return np.logaddexp.reduce(others, axis=1) - z[own(c, y)]


def scaled_target(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
    z = am(c, y, 1.0, m)
    z[own(c, y)] *= s
    return entropy(z, y)


def raised_hardest(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
    others = c.copy()
    others[own(c, y)] = -np.inf
    z = am(c, y, s, m)
    z[np.arange(len(y)), others.argmax(axis=1)] += s * 0.1
    return entropy(z, y)


READ: dict[str, tuple[str, Losses, str, str]] = {
    "softmax twice": (
        "am-softmax", lambda c, y, *, s, m: entropy(softmax(am(c, y, s, m)), y),
        "the loss of the logits", "z := softmax(z) before the cross entropy",
    ),
    "smoothing": (
        "am-softmax", smoothed, "the loss of the logits", "L = -Σ_k y_k log p_k, y = (1 - ε) onehot + ε/C, ε = 0.2",
    ),
    "focal": ("am-softmax", focal, "the loss of the logits", "L := (1 - p_y)^γ L, γ = 1.5"),
    "factor": (
        "am-softmax", lambda c, y, *, s, m: entropy(am(c, y, s, m), y) / s,
        "the loss of the logits", "L := a L, a = 1/s = 0.125",
    ),
    "offset": (
        "am-softmax", lambda c, y, *, s, m: entropy(am(c, y, s, m), y) + 0.75,
        "the loss of the logits", "L := L + a, a = 0.75",
    ),
    "left out": (
        "am-softmax", left_out,
        "the loss of the logits", "L = log Σ_k≠y e^z_k - z_y",
    ),
    "fixed scale": (
        "am-softmax", lambda c, y, *, s, m: entropy(am(c, y, 64.0, m), y), "the scale s", "s := 64",
    ),
    "scale of the target": ("am-softmax", scaled_target, "the scale s", "z_k = a (c_k + log h_k / s), z_y = s f, a = 1"),
    "margin after scale": ("am-softmax", with_f(lambda c, m, s: c - m / s), "f", "f = c_y - m', m' = m/s = 0.03125"),
    "another variant's": ("arc-softmax", with_f(lambda c, m, s: c - m), "f", "f = c_y - m', m' = m = 0.5"),
    "eased": (
        "am-softmax", with_f(lambda c, m, s: np.where(c > -m, c - m, c)),
        "easy margin", "f = f_m(c_y) where c_y > -m = -0.25, else c_y",
    ),
    "eased upside down": (
        "am-softmax", with_f(lambda c, m, s: np.where(c < 0.3, c - m, c)),
        "easy margin", "f = f_m(c_y) where c_y < 0.3, else c_y",
    ),
    "tail": (
        "arc-softmax",
        with_f(lambda c, m, s: np.where(c > -np.cos(m), np.cos(np.arccos(c) + m), c - s * m * np.sin(m))),
        "f beyond θ + m = π", "f = c_y - a where θ + m > π, a = s m sin m = 1.91770215",
    ),
    "sine kept above": (
        "arc-softmax",
        with_f(lambda c, m, s: c * np.cos(m) - np.sqrt(np.maximum(1 - c * c, 1e-4)) * np.sin(m)),
        "f", "f = c_y cos m - σ sin m, σ = sqrt(max(1 - c_y², ε)), ε = 0.0001",
    ),
    "angle clamped": (
        "arc-softmax", with_f(lambda c, m, s: np.cos(np.minimum(np.arccos(c), 1.2) + m)), "f", "θ := min(θ, 1.2)",
    ),
    "bias": (
        "am-softmax", lambda c, y, *, s, m: entropy(am(c, y, s, m) + 0.5 * np.arange(c.shape[1]), y),
        "logits of the negatives", "s c_k + b_k with b - b_0 = (0, 0.5, 1, 1.5)",
    ),
    "hardest raised": (
        "am-softmax", raised_hardest, "logits of the negatives", "c_k := c_k + a for the 1 largest c_k, k ≠ y, a = 0.1",
    ),
}  # fmt: skip


def asked(losses: Losses, variant: str, **options: object) -> Identification:
    """What is found about losses, whose gradient is none."""

    def candidate(cosines: np.ndarray, labels: np.ndarray, **parameters: float) -> tuple[np.ndarray, np.ndarray]:
        found = losses(cosines.astype(np.float64), labels, **parameters).astype(cosines.dtype)
        return found, np.full(cosines.shape, np.nan, cosines.dtype)

    return svref.diagnose(candidate, variant, framework="numpy", **options)


def departures(found: Identification) -> list[Finding]:
    return [finding for finding in found.departures if finding.question != "the gradient"]


@pytest.mark.parametrize("name", READ)
def test_what_has_no_name_is_read_with_its_size_and_is_the_only_departure(name: str) -> None:
    variant, losses, question, answer = READ[name]
    found = [(f.question, f.answer) for f in departures(asked(losses, variant)) if f.question != "order of the classes"]
    assert found == [(question, answer)]


def test_sizes_are_read_in_float32_too() -> None:
    for name in ("smoothing", "focal", "fixed scale", "another variant's"):
        variant, losses, question, answer = READ[name]
        assert [(f.question, f.answer) for f in departures(asked(losses, variant, dtype="float32"))] == [
            (question, answer)
        ]


def test_two_mistakes_are_read_together() -> None:
    def both(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
        return entropy(am(c, y, s, 0.1), y) + 2.0

    answers = {f.question: f.answer for f in departures(asked(both, "am-softmax"))}
    assert answers == {"f": "f = c_y - m', m' = 0.1", "the loss of the logits": "L := L + a, a = 2"}


def test_a_size_says_on_what_it_depends() -> None:
    fixed = departures(asked(READ["fixed scale"][1], "am-softmax"))[0]
    assert fixed.evidence.endswith("64 whatever s and m are")
    squared = departures(asked(lambda c, y, *, s, m: entropy(am(c, y, s * s, m), y), "am-softmax"))
    assert [f.deviation for f in squared] == ["s-twice"]


def test_losses_without_a_formula_say_that_there_is_none() -> None:
    def odd(c: np.ndarray, y: np.ndarray, *, s: float, m: float) -> np.ndarray:
        losses = entropy(am(c, y, s, m), y)
        return losses + 0.1 * np.sin(5 * losses)

    found = asked(odd, "am-softmax")
    of_loss = next(f for f in found.departures if f.question == "the loss of the logits")
    assert of_loss.answer == "no known formula"
    assert of_loss.evidence.startswith("odds do not add up over the negatives; ")


@pytest.mark.parametrize("margin", ["hardest raised", "smoothing"])
def test_no_cap_is_named_by_chance(margin: str) -> None:
    variant, losses, *_ = READ[margin]
    assert not {"eps-in-log", "probability-clipped", "loss-capped"} & {
        f.deviation for f in asked(losses, variant).departures
    }


# ---- half formats and the backward pass ----------------------------------------------------------------------------


def right(c: np.ndarray, y: np.ndarray, s: float, m: float) -> tuple[np.ndarray, np.ndarray]:
    return svref.am_softmax(s=s, m=m).value_and_grad(c, y, reduction="none")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cosines_that_are_cast_to_half_are_told_from_float32(dtype: str) -> None:
    def half(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple[np.ndarray, np.ndarray]:
        return right(cosines.astype(np.float16).astype(cosines.dtype), labels, s, m)

    found = svref.diagnose(half, "am-softmax", dtype=dtype, framework="numpy").departures
    assert [(f.question, f.deviation) for f in found] == [("digits", "inputs-cast-to-float16")]


def slipped(change: Callable[..., np.ndarray]) -> Callable[..., tuple]:
    """AM-Softmax with a changed gradient: a function of (gradient, cosines, losses, labels, cotangent)."""

    def candidate(
        cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, cotangent: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        losses, gradient = right(cosines, labels, s, m)
        return losses, change(gradient.copy(), cosines, losses, labels, cotangent[:, None]).astype(cosines.dtype)

    return candidate


def one_hot_after(g: np.ndarray, c: np.ndarray, losses: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    at = own(c, y)
    share = w * g / 8
    share[at] = w[:, 0] * np.exp(-losses) - 1
    return 8 * share


def clipped(g: np.ndarray, c: np.ndarray, losses: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    return w * np.clip(g, -3.0, 3.0)


def by_angle(g: np.ndarray, c: np.ndarray, losses: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    at = own(c, y)
    g[at] *= -np.sqrt(1 - c[at] ** 2)
    return w * g


BACKWARD = {
    "factor": (lambda g, c, losses, y, w: 4 * w * g, "the gradient", "the gradient is 4 times the derivative"),
    "clipped": (clipped, "the gradient", "each entry is clipped to ±3"),
    "by the angle": (by_angle, "the gradient", "dL/dθ_y in place of dL/dc_y: times -sin θ_y"),
    "ignored": (lambda g, c, losses, y, w: g, "the cotangent", "∂ Σ_b L_b/∂c in place of ∂ Σ_b g_b L_b/∂c"),
    "one-hot": (one_hot_after, "the cotangent", "the one-hot is subtracted after it: g_b p_k - [k = y]"),
    "mean": (lambda g, c, losses, y, w: w.mean() * g, "the cotangent", "its mean multiplies every row"),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_a_wrong_gradient_is_read(name: str) -> None:
    change, question, answer = BACKWARD[name]
    found = svref.diagnose(slipped(change), "am-softmax", framework="numpy").departures
    assert (question, answer) in [(f.question, f.answer) for f in found]
    assert {f.question for f in found} <= {question, "the cotangent", "the gradient at c_k = ±1, k ≠ y"}


# ---- heads -------------------------------------------------------------------------------------------------------


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def head(name: str) -> Callable[..., tuple]:
    """The head of svref."""

    def candidate(
        embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, **parameters: float
    ) -> tuple[np.ndarray, ...]:
        loss = svref.VARIANTS[name].factory(**parameters)
        losses, by = svref.head.value_and_grad(loss, embeddings, weights, labels, reduction="none")
        return losses, by.embeddings, by.weights

    return candidate


def changed_head(change: Callable[..., tuple]) -> Callable[..., tuple]:
    """A head of AM-Softmax whose (losses, by embeddings, by weights) a function of them and the vectors changes."""

    def candidate(
        embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, s: float, m: float
    ) -> tuple[np.ndarray, ...]:
        def on_cosines(cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            z = am(cosines, labels, s, m)
            return entropy(z, labels), s * (softmax(z) - (np.arange(z.shape[1]) == labels[:, None]))

        return change(*head_by_units(embeddings, weights, on_cosines), embeddings, weights)

    return candidate


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("arc-softmax", "float32"),
        ("sv-arc-softmax", "float64"),
        ("mv-am-softmax", "float64"),
        ("sv-a-softmax", "float32"),
    ],
)
def test_a_right_head_is_the_paper_s(name: str, dtype: str) -> None:
    found = svref.diagnose(head(name), name, dtype=dtype, framework="numpy")
    assert found.ok, str(found)


HEADS = {
    "factor": (lambda losses, x, w, *_: (losses, 4 * x, w), "gradient by embeddings", "4 times the derivative"),
    "detached": (lambda losses, x, w, *_: (losses, x, 0 * w), "gradient by weights", "0: this side is detached"),
    "unit length": (
        lambda losses, x, w, e, v: (losses, x, w * np.linalg.norm(v, axis=1, keepdims=True)),
        "gradient by weights",
        "not divided by the length",
    ),
    "radial": (
        lambda losses, x, w, e, v: (losses, x + 0.5 * unit(e), w),
        "gradient by embeddings",
        "not projected: a part along the vector is kept",
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_wrong_gradient_of_one_side_is_read_and_nothing_else_departs(name: str) -> None:
    change, question, answer = HEADS[name]
    found = svref.diagnose(changed_head(change), "am-softmax", framework="numpy").departures
    assert [(f.question, f.answer) for f in found] == [(question, answer)]


def through(of_x: Callable[[np.ndarray], np.ndarray], of_w: Callable[[np.ndarray], np.ndarray]) -> Callable[..., tuple]:
    """AM-Softmax of other cosines; its gradients are zeros, which is not what is asked about."""

    def candidate(
        embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, s: float, m: float
    ) -> tuple[np.ndarray, ...]:
        losses = entropy(am(of_x(embeddings) @ of_w(weights).T, labels, s, m), labels)
        return losses.astype(embeddings.dtype), np.zeros_like(embeddings), np.zeros_like(weights)

    return candidate


@pytest.mark.parametrize(
    ("of_x", "question", "answer"),
    [
        (lambda x: x, "length of the embeddings", "not normalised"),
        (lambda x: x / np.linalg.norm(x, axis=0), "length of the embeddings", "normalised over the other axis"),
        (lambda x: x / np.abs(x).sum(axis=1, keepdims=True), "length of the embeddings", "divided by Σ|x_d|"),
        (lambda x: unit(x.astype(np.float16).astype(x.dtype)), "digits of the embeddings", "x := float16(x)"),
    ],
)
def test_another_way_to_the_cosines_is_read(
    of_x: Callable[[np.ndarray], np.ndarray], question: str, answer: str
) -> None:
    found = svref.diagnose(through(of_x, unit), "am-softmax", framework="numpy").departures
    assert (question, answer) in [(f.question, f.answer) for f in found]


def test_a_bias_is_read_through_a_head() -> None:
    def biased(
        embeddings: np.ndarray, weights: np.ndarray, labels: np.ndarray, *, s: float, m: float
    ) -> tuple[np.ndarray, ...]:
        z = am(unit(embeddings) @ unit(weights).T, labels, s, m) + 0.25 * np.arange(len(weights))
        return entropy(z, labels), np.zeros_like(embeddings), np.zeros_like(weights)

    found = svref.diagnose(biased, "am-softmax", framework="numpy").departures
    assert "s c_k + b_k with b - b_0 = (0, 0.25, 0.5, 0.75)" in [f.answer for f in found]


# ---- what is right, and the screen of a check ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "shape", "dtype"),
    in_turn([("sv-arc-softmax", 100.0), ("sv-a-softmax", 4.0), ("mv-am-softmax", 64.0)], SHAPES),
)
def test_right_code_of_unusual_shape_is_the_paper_s(of: tuple[str, float], shape: str, dtype: str) -> None:
    name, s = of
    found = svref.diagnose(unusual(name, shape), name, dtype=dtype, framework="numpy", parameters={"s": s})
    assert found.ok, str(found)


@pytest.mark.parametrize(("s", "dtype"), [(8.0, "float64"), (64.0, "float32")])
def test_code_that_leaves_the_square_root_out_at_a_pole_is_the_paper_s(s: float, dtype: str) -> None:
    def without_root(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple[np.ndarray, np.ndarray]:
        loss, own = svref.arc_softmax(s=s, m=m), (np.arange(len(labels)), labels)
        step = loss.forward(cosines, labels)
        with np.errstate(invalid="ignore"):
            gradient = loss.backward(step).cosines
        c, q = cosines[own], sigmoid(step.a)
        gradient[own] = np.where(np.abs(c) == 1, -s * q * np.cos(m), gradient[own])
        return step.loss, gradient

    found = svref.diagnose(without_root, "arc-softmax", dtype=dtype, framework="numpy", parameters={"s": s})
    assert found.ok, str(found)
    assert "finite, where the limit is not; right code may do so" in [f.answer for f in found.findings]


def test_rounding_of_a_confident_row_is_no_wrong_cotangent() -> None:
    """1 - p_y has an absolute error of u, which another cotangent rounds otherwise."""

    def textbook(
        cosines: np.ndarray, labels: np.ndarray, *, s: float, t: float, cotangent: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        loss, own = svref.sv_softmax(s=s, t=t), (np.arange(len(labels)), labels)
        step = loss.forward(cosines, labels)
        gradient = loss.backward(step, cotangent).cosines
        noise = 2.0**-52 * s * np.where(cotangent == 1, 0, cotangent)
        gradient[own] += noise
        return step.loss, gradient

    found = svref.diagnose(textbook, "sv-softmax", framework="numpy", parameters={"s": 200.0})
    assert found.ok, str(found)


def test_a_failure_without_a_name_shows_what_diagnose_reads_first() -> None:
    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple[np.ndarray, np.ndarray]:
        losses, gradient = right(cosines, labels, s, m)
        return losses / 3, np.cbrt(gradient)

    report = check(candidate, "am-softmax", framework="numpy", dtype="float64")
    assert not report.explained
    assert report.reading is not None
    assert report.reading.answer == "L := a L, a = 0.333333333"
    assert "      diagnose reads: the loss of the logits: L := a L, a = 0.333333333" in str(report)


def test_a_failure_with_a_name_and_a_pass_are_not_read() -> None:
    def named(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float) -> tuple[np.ndarray, np.ndarray]:
        return right(cosines, labels, s, 0.0)

    asked = {"framework": "numpy", "dtype": "float32", "variations": 0}
    assert check(named, "am-softmax", **asked).reading is None
    assert check(lambda c, y, *, s, m: right(c, y, s, m), "am-softmax", **asked).reading is None
