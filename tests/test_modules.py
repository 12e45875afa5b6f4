"""PyTorch modules as they are: classes and instances that own their weights, whatever they call them and return."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest

from svref.conformance import CandidateError, check

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "check.md"
OPTIONS: dict[str, Any] = {"variations": 2}
AFTER_MARGIN = "returns logits, which are judged through the cross entropy"


def margin_logits(torch: Any, cosines: Any, labels: Any, s: float, m: float) -> Any:
    return s * (cosines - m * torch.nn.functional.one_hot(labels, cosines.shape[1]).to(cosines))


def am_head(torch: Any, returns: Callable[..., Any] | None = None, transposed: bool = False, detach: str = "") -> type:
    """Return a class as public code has it; `returns` makes what it returns of its logits and labels."""
    functional = torch.nn.functional

    class CosFace(torch.nn.Module):
        def __init__(self, in_features, out_features, s=30.0, m=0.40):
            super().__init__()
            self.in_features, self.out_features, self.s, self.m = in_features, out_features, s, m
            shape = (in_features, out_features) if transposed else (out_features, in_features)
            self.weight = torch.nn.Parameter(torch.FloatTensor(*shape).uniform_())

        def forward(self, input, label):
            assert self.weight.shape[0 if not transposed else 1] == self.out_features
            w = functional.normalize(self.weight, dim=0 if transposed else 1)
            x = functional.normalize(input)
            x, w = x.detach() if detach == "x" else x, w.detach() if detach == "w" else w
            z = margin_logits(torch, x @ (w if transposed else w.T), label, self.s, self.m)
            return returns(z, label) if returns else z

    return CosFace


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_class_is_constructed_and_gets_the_weights_of_each_case(torch: Any, transposed: bool, dtype: str) -> None:
    report = check(am_head(torch, transposed=transposed), "am-softmax", dtype=dtype, **OPTIONS)
    report.raise_if_wrong()
    shape = "(D, C)" if transposed else "(C, D)"
    assert report.header["taken"] == (
        f"in_features = D, out_features = C, input = embeddings, label = labels, weight {shape} = weights"
    )
    assert [count.quantity for count in report.counts] == ["loss", "grad_embeddings", "grad_weights"]
    assert report.remarks[AFTER_MARGIN] == len(report.cases)


RETURNS = {
    "losses": lambda loss, z: loss,
    "a sum": lambda loss, z: loss.sum(),
    "a mean": lambda loss, z: loss.mean(),
    "loss and logits": lambda loss, z: (loss.mean(), z),
    "logits and cosines": lambda loss, z: (z, z / 30),
    "loss and accuracy": lambda loss, z: (loss.mean(), z.detach().argmax(1).float().mean(dim=0, keepdim=True)),
    "a dict of a loss": lambda loss, z: {"accuracy": 1.0, "loss": loss},
    "a dict of logits": lambda loss, z: {"cosine": z / 30, "logits": z},
    "a named tuple": lambda loss, z: namedtuple("Output", "hidden loss")(z, loss),
    "a dataclass of logits": lambda loss, z: make_dataclass("Output", ["cosine", "logits"])(z / 30, z),
}


@pytest.mark.parametrize("name", RETURNS)
def test_losses_are_found_in_what_it_returns(torch: Any, name: str) -> None:
    def returns(z: Any, y: Any) -> Any:
        return RETURNS[name](torch.nn.functional.cross_entropy(z, y, reduction="none"), z)

    report = check(am_head(torch, returns), "am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert (AFTER_MARGIN in report.remarks) is ("logits" in name and not name.startswith("loss"))


def test_one_of_several_results_can_be_chosen(torch: Any) -> None:
    head = am_head(torch, lambda z, y: (z / 30, z))
    assert check(head, "am-softmax", **OPTIONS).verdict.startswith("FAIL")
    assert check(head, "am-softmax", map={"return": 1}, **OPTIONS).ok
    assert check(
        am_head(torch, lambda z, y: {"loss": z.sum(), "out": z}), "am-softmax", map=["return=out"], **OPTIONS
    ).ok
    report = check(head, "am-softmax", map={"return": 5}, **OPTIONS)
    assert "--map return=5: the candidate returns no such result; it returns tuple." in str(report)


@pytest.mark.parametrize(("side", "name"), [("w", "weights-detached"), ("x", "embeddings-detached")])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_gradient_that_is_lost_on_one_side_is_named(torch: Any, side: str, name: str, dtype: str) -> None:
    assert check(am_head(torch, detach=side), "am-softmax", dtype=dtype).verdict == f"FAIL-AS({name})"


def test_so_it_is_in_a_function(torch: Any) -> None:
    def head(embeddings, weights, labels, *, s, m):
        unit, own = torch.nn.functional.normalize, torch.nn.Parameter(weights.clone())
        logits = margin_logits(torch, unit(embeddings) @ unit(own).T, labels, s, m)
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    assert check(head, "am-softmax").verdict == "FAIL-AS(weights-detached)"


def test_losses_that_depend_on_nothing_are_an_error(torch: Any) -> None:
    report = check(am_head(torch, lambda z, y: z.detach()), "am-softmax")
    assert report.verdict == "ERROR"
    assert "the losses do not depend on the inputs" in str(report)


def test_a_class_on_cosines_needs_no_weights(torch: Any) -> None:
    class CosFace(torch.nn.Module):
        def __init__(self, s=64.0, margin=0.4):
            super().__init__()
            self.s, self.margin = s, margin

        def forward(self, logits, labels):
            return margin_logits(torch, logits, labels, self.s, self.margin)

    report = check(CosFace, "am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert report.header["taken"] == "margin = m, logits = cosines"


def test_the_weights_of_a_part_are_found(torch: Any) -> None:
    class Loss(torch.nn.Module):
        def __init__(self, num_classes, feat_dim, scale, margin):
            super().__init__()
            self.fc, self.scale, self.margin = torch.nn.Linear(feat_dim, num_classes, bias=False), scale, margin

        def forward(self, feats, targets):
            unit = torch.nn.functional.normalize
            return margin_logits(torch, unit(feats) @ unit(self.fc.weight).T, targets, self.scale, self.margin)

    report = check(Loss, "am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert report.header["taken"].endswith("fc.weight (C, D) = weights")


def test_what_is_ambiguous_is_asked_for(torch: Any) -> None:
    head = am_head(torch)

    class Two(head):
        def __init__(self, in_features, out_features, s, m):
            super().__init__(in_features, out_features, s, m)
            self.spare = torch.nn.Parameter(torch.ones(out_features, in_features))

    class Device(head):
        def __init__(self, in_features, out_features, s, m, rank_of_process):
            super().__init__(in_features, out_features, s, m)

    with pytest.raises(
        CandidateError, match=r"each of weight, spare may be the weights; say which by --map NAME=weights"
    ):
        check(Two, "am-softmax")
    assert check(Two, "am-softmax", map={"weight": "weights"}, **OPTIONS).ok
    with pytest.raises(CandidateError, match=r"what does the constructor of Device take as rank_of_process\?"):
        check(Device, "am-softmax")
    assert check(Device, "am-softmax", map=["rank_of_process=0"], **OPTIONS).ok


def test_a_constructor_that_raises_is_told(torch: Any) -> None:
    class Broken(am_head(torch)):
        def __init__(self, in_features, out_features, s, m):
            raise RuntimeError("no licence")

    with pytest.raises(CandidateError, match=r"Broken cannot be constructed: RuntimeError: no licence\. Say by --map"):
        check(Broken, "am-softmax")


def test_weights_of_another_shape_are_told(torch: Any) -> None:
    class Centres(am_head(torch)):
        def __init__(self, in_features, out_features, s, m):
            super().__init__(in_features, 3 * out_features, s, m)

    with pytest.raises(CandidateError, match=r"no parameter has the shape of weights, .*; there are: weight \(21, 5\)"):
        check(Centres, "am-softmax")


def test_an_instance_is_judged_at_the_values_that_it_has_fixed(torch: Any) -> None:
    report = check(am_head(torch)(4, 10, s=16.0, m=0.25), "am-softmax")
    assert report.ok
    assert "fixed           s = 16, m = 0.25; right values" in str(report)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sizes", [(4, 10), (6, 6)])
def test_an_instance_that_takes_its_parameters_is_copied_for_each_case(
    torch: Any, sizes: tuple[int, int], transposed: bool
) -> None:
    class Head(am_head(torch, transposed=transposed)):
        def forward(self, x, y, s, m):
            self.s, self.m = s, m
            return super().forward(x, y)

    instance = Head(*sizes)
    before = instance.weight.detach().clone()
    report = check(instance, "am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert (instance.weight == before).all()
    assert (instance.in_features, instance.out_features) == sizes


def wrapper(number: int, **names: Any) -> Callable[..., Any]:
    """Return the function of a block of the page, in order."""
    blocks = re.findall(r"```text\n(def head\(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(blocks[number], names)  # noqa: S102
    return names["head"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_three_lines_of_the_page_are_a_candidate(torch: Any, dtype: str) -> None:
    head = wrapper(0, torch=torch, Head=am_head(torch))
    check(head, "am-softmax", dtype=dtype, **OPTIONS).raise_if_wrong()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_and_so_are_those_for_keras(tensorflow: Any, dtype: str) -> None:
    keras, unit = tensorflow.keras, tensorflow.math.l2_normalize

    class Head(keras.layers.Layer):
        def __init__(self, classes, s, m, **kwargs):
            super().__init__(**kwargs)
            self.classes, self.s, self.m = classes, s, m

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], self.classes), name="kernel")

        def call(self, x, labels):
            c = unit(x, 1) @ unit(self.kernel, 0)
            return self.s * (c - self.m * tensorflow.one_hot(labels, self.classes, dtype=c.dtype))

    head = wrapper(1, tf=tensorflow, Head=Head)
    check(head, "am-softmax", dtype=dtype, framework="tensorflow", variations=0).raise_if_wrong()


def test_labels_may_be_rows_of_zeros_and_ones_and_lengths_an_argument(torch: Any) -> None:
    class OneHot(torch.nn.Module):
        def __init__(self, margin=0.0, scale=1.0):
            super().__init__()
            self.margin, self.scale = margin, scale

        def forward(self, outputs, targets):
            return self.scale * (outputs - self.margin * targets)

    class Norms(am_head(torch)):
        def forward(self, embbedings, norms, label):
            assert norms.shape == (len(label), 1)
            return super().forward(embbedings / norms, label)

    check(OneHot, "am-softmax", **OPTIONS).raise_if_wrong()
    check(Norms, "am-softmax", **OPTIONS).raise_if_wrong()


def test_code_that_asks_for_a_gpu_stays_on_the_cpu(torch: Any) -> None:
    class Cuda(am_head(torch)):
        def forward(self, input, label):
            zeros = torch.zeros(len(label), self.out_features, device="cuda").cuda().to("cuda:0")
            return super().forward(input.cuda(), label) + zeros

    report = check(Cuda, "am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert torch.cuda.is_available() or report.header["taken"].endswith("calls of cuda stay on the CPU")


def test_the_default_dtype_is_as_before(torch: Any) -> None:
    class Default(am_head(torch)):
        def forward(self, input, label):
            assert torch.zeros(1).dtype == input.dtype
            return super().forward(input, label)

    before = torch.get_default_dtype()
    for dtype in ("float32", "float64"):
        check(Default, "am-softmax", dtype=dtype, **OPTIONS).raise_if_wrong()
    assert torch.get_default_dtype() == before


def test_state_of_a_class_is_seen(torch: Any) -> None:
    class Counting(am_head(torch)):
        calls = 0

        def forward(self, input, label):
            self.calls += 1
            return super().forward(input, label) * (1 + 0.01 * (self.calls > 2))

    assert "hidden-state" in str(check(Counting, "am-softmax"))


def test_jax_and_tensorflow_logits_are_judged_too(jax: Any, tensorflow: Any) -> None:
    def of_jax(cosines, labels, *, s, m):
        return s * (cosines - m * jax.nn.one_hot(labels, cosines.shape[1]))

    def of_tensorflow(cosines, labels, *, s, m):
        return None, s * (cosines - m * tensorflow.one_hot(labels, cosines.shape[1], dtype=cosines.dtype))

    for function, framework in ((of_jax, "jax"), (of_tensorflow, "tensorflow")):
        report = check(function, "am-softmax", framework=framework, variations=0)
        report.raise_if_wrong()
        assert AFTER_MARGIN in report.remarks


def test_losses_beside_logits_are_not_taken_for_losses_beside_a_gradient(jax: Any) -> None:
    def of_jax(cosines, labels, *, s, m):
        own = jax.nn.one_hot(labels, cosines.shape[1])
        z = s * (cosines - m * own)
        return jax.nn.logsumexp(z, axis=1) - (z * own).sum(axis=1), z

    report = check(of_jax, "am-softmax", variations=0)
    report.raise_if_wrong()
    assert report.header["framework"].startswith("jax")
    assert "returns 2 results, of which number 1 is judged" in report.remarks


def test_a_compiled_function_is_compiled_once_for_each_shape(jax: Any) -> None:
    traced = []

    def of_jax(cosines, labels, *, s, m):
        traced.append((cosines.shape, labels.shape))
        return s * (cosines - m * jax.nn.one_hot(labels, cosines.shape[1]))

    options = {"framework": "jax", "dtype": "float32", "invalid": False, "variations": 0}
    check(jax.jit(of_jax), "am-softmax", **options).raise_if_wrong()
    assert len(traced) == len(set(traced))


def test_a_compiled_function_may_need_numbers_of_python(jax: Any) -> None:
    def of_jax(cosines, labels, *, s, m):
        return s * (cosines - (m if m > 0 else 0) * jax.nn.one_hot(labels, cosines.shape[1]))

    check(jax.jit(of_jax, static_argnames=("s", "m")), "am-softmax", framework="jax", variations=0).raise_if_wrong()
