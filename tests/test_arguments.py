"""Functions and classes with names of their own are judged: the usual names are known, the rest is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulations import HEADS, candidate

from svref import VARIANTS
from svref.conformance import CandidateError, check
from svref.conformance.candidates.arguments import Constant, given_of, roles_of, words_of
from svref.conformance.candidates.called import constructor_of
from svref.conformance.candidates.reading import fixed_in

SV_AM = candidate("sv-am-softmax", "acos", "log_sum_exp")
OPTIONS: dict[str, Any] = {"variations": 0, "dtype": "float64"}


def scale_and_margin(x, y, scale=64, margin=0.5, t=1.2):
    return SV_AM(x, y, s=scale, m=margin, t=t)


def labels_first(label, logits, *, s, m, t):
    return SV_AM(logits, label, s=s, m=m, t=t)


def parameters_first(s, m, t, cosine, target):
    return SV_AM(cosine, target, s=s, m=m, t=t)


def by_place(a, b, /, s, m, t):
    return SV_AM(a, b, s=s, m=m, t=t)


def labels_first_and_the_rest(gt, cos_theta, **p):
    return SV_AM(cos_theta, gt, **p)


def with_a_default_and_more(
    preds, targets, scale_factor=30.0, arc=None, margin_am=0.1, mv_weight=1.0, easy_margin=False
):
    assert arc is None
    assert not easy_margin
    return SV_AM(preds, targets, s=scale_factor, m=margin_am, t=mv_weight)


class WithParameters:
    def __init__(self, scale, margin, t):
        self.s, self.m, self.t = scale, margin, t

    def __call__(self, logits, labels):
        return SV_AM(logits, labels, s=self.s, m=self.m, t=self.t)


OTHER_NAMES = {
    scale_and_margin: "x = cosines, y = labels, scale = s, margin = m",
    labels_first: "label = labels, logits = cosines",
    parameters_first: "cosine = cosines, target = labels",
    by_place: "",
    labels_first_and_the_rest: "gt = labels, cos_theta = cosines",
    with_a_default_and_more: "preds = cosines, targets = labels, scale_factor = s, margin_am = m, mv_weight = t",
    WithParameters: "scale = s, margin = m, logits = cosines",
}


@pytest.mark.parametrize("function", OTHER_NAMES, ids=lambda f: f.__name__)
def test_other_names_and_another_order_are_read(function: Callable[..., Any]) -> None:
    report = check(function, "sv-am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert report.header.get("taken", "") == OTHER_NAMES[function]
    assert (f"\ntaken  {OTHER_NAMES[function]}\n" in str(report)) is bool(OTHER_NAMES[function])


def test_a_head_has_other_names_too() -> None:
    def head(target, kernel, feats, scale, margin, t):
        return HEADS["head_by_units"](feats, kernel, lambda c: SV_AM(c, target, s=scale, m=margin, t=t))

    report = check(head, "sv-am-softmax", **OPTIONS)
    report.raise_if_wrong()
    assert report.header["taken"].startswith("target = labels, kernel = weights, feats = embeddings")


def test_a_name_that_says_nothing_is_asked_for_and_one_option_answers() -> None:
    def loss(cosines, labels, s, t, delta):
        return SV_AM(cosines, labels, s=s, m=delta, t=t)

    with pytest.raises(CandidateError, match=r"takes no keyword m"):
        check(loss, "sv-am-softmax")
    for given in ({"delta": "m"}, ["delta=m"]):
        report = check(loss, "sv-am-softmax", map=given, **OPTIONS)
        assert report.ok
        assert report.header["taken"] == "delta = m"


def test_an_argument_may_get_a_value() -> None:
    def loss(cosines, labels, s, m, t, kind, *, on=True):
        assert (kind, on) == ("sv", False)
        return SV_AM(cosines, labels, s=s, m=m, t=t)

    with pytest.raises(CandidateError, match=r"what does the function take as kind\? .*--map kind=None"):
        check(loss, "sv-am-softmax")
    assert check(loss, "sv-am-softmax", map={"kind": "sv", "on": False}, **OPTIONS).ok


@pytest.mark.usefixtures("undiagnosed")
def test_what_the_user_says_is_in_the_command_that_repeats_the_check(tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def loss(cosines, labels, s, delta):\n    return cosines[:, 0], cosines\n", encoding="utf-8")
    report = check(f"{file}:loss", "am-softmax", map=["delta=m"], **OPTIONS)
    assert " --map delta=m " in report.reproduce


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["margin"], r"--map takes name=role, such as margin=m, with one of cosines, .*; got 'margin'"),
        (["=m"], "got '=m'"),
        (["m="], "got 'm='"),
    ],
)
def test_an_option_that_is_not_written_so_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(SV_AM, "sv-am-softmax", map=given)


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        CandidateError, match=r"--map scale=\.\.\.: the function has no argument of that name; there are"
    ):
        check(labels_first, "sv-am-softmax", map={"scale": "s"})


def test_a_class_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(CandidateError, match="int is a class whose instances have neither forward nor __call__"):
        check(int, "sv-am-softmax")


def test_values_are_read_as_python_writes_them() -> None:
    assert given_of(["a=None", "b=1.5", "c=cosface", "d=m", "e=cosines", "f=False"]) == {
        "a": Constant(None), "b": Constant(1.5), "c": Constant("cosface"), "d": "m", "e": "inputs",
        "f": Constant(False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "roles"),
    [
        ("arc-softmax", {"s": "s", "m1": Constant(1.0), "m2": "m", "m3": Constant(0.0)}),
        ("sv-am-softmax", {"s": "s", "m1": Constant(1.0), "m2": Constant(0.0), "m3": "m"}),
        ("a-softmax", {"s": "s", "m1": "m", "m2": Constant(0.0), "m3": Constant(0.0)}),
        ("combined-softmax", {"s": "s", "m1": "m1", "m2": "m2", "m3": "m3"}),
        ("softmax", {"s": "s", "m1": Constant(1.0), "m2": Constant(0.0), "m3": Constant(0.0)}),
    ],
)
def test_of_three_margins_the_variant_s_own_is_taken(loss: str, roles: dict[str, Any]) -> None:
    def combined(s, m1, m2, m3):
        pass

    assert roles_of(inspect.signature(combined).parameters, words_of(VARIANTS[loss]), {}).of == roles


def test_a_constructor_that_passes_arguments_on_has_those_of_its_parent() -> None:
    class Parent:
        def __init__(self, classes, size, margin=4, **kwargs):
            pass

    class Child(Parent):
        def __init__(self, *args, margin=0.35, scale=64, **kwargs):
            pass

    assert list(constructor_of(Child)) == ["margin", "scale", "classes", "size"]


def test_a_weight_of_each_class_is_no_weight_vector() -> None:
    def loss(cosines, labels, *, s, m, t, weight=None):
        assert weight is None
        return SV_AM(cosines, labels, s=s, m=m, t=t)

    assert check(loss, "sv-am-softmax", **OPTIONS).ok


def test_a_class_of_many_instances_keeps_their_state() -> None:
    made = []

    class Counting(WithParameters):
        def __init__(self, s, m, t):
            super().__init__(s, m, t)
            self.calls = 0
            made.append(self)

        def __call__(self, logits, labels):
            self.calls += 1
            losses, gradient = super().__call__(logits, labels)
            return losses * (1 + (self.calls > 20)), gradient

    assert check(Counting, "sv-am-softmax", **OPTIONS).verdict.startswith("FAIL")
    assert len({(one.s, one.m, one.t) for one in made}) == len(made)
    assert np.any([one.calls > 1 for one in made])


def test_an_instance_that_has_its_parameters_fixed_is_judged_at_their_values() -> None:
    report = check(WithParameters(16, 0.25, 1.5), "sv-am-softmax", dtype="float64")
    assert report.ok
    assert "fixed           s = 16, m = 0.25, t = 1.5; right values" in str(report)
    assert fixed_in(WithParameters(16, 0.25, 1.5), VARIANTS["sv-am-softmax"], {}) == {"s": 16.0, "m": 0.25, "t": 1.5}
    assert fixed_in(SV_AM, VARIANTS["sv-am-softmax"], {}) == {}
