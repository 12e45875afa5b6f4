"""The dialects: each is what a textbook formula of that code says, and the page lists them as they are."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import svref
from svref.deviations import DEVIATIONS
from svref.deviations.dialects import DIALECTS, Dialect, dialect

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "dialects.md"
PAIRS = [(name, variant) for name, entry in DIALECTS.items() for variant in entry.losses]
Margin = Callable[[np.ndarray, float], np.ndarray]


# ---- what the research says the code computes, without svref ---------------------------------------------------------


def plain(c: np.ndarray, m: float) -> np.ndarray:
    return c


def am(c: np.ndarray, m: float) -> np.ndarray:
    return c - m


def arc(c: np.ndarray, m: float) -> np.ndarray:
    return np.cos(np.arccos(c) + m)


def psi(c: np.ndarray, m: float) -> np.ndarray:
    theta = np.arccos(c)
    k = np.floor(m * theta / np.pi)
    return (-1) ** k * np.cos(m * theta) - 2 * k


def annealed(c: np.ndarray, m: float) -> np.ndarray:
    return (5 * c + psi(c, m)) / 6


def periodic(c: np.ndarray, m: float) -> np.ndarray:
    return np.cos(m * np.arccos(c))


def easy_above_0(margin: Margin) -> Margin:
    return lambda c, m: np.where(c > 0, margin(c, m), c)


def easy_am_above_m(c: np.ndarray, m: float) -> np.ndarray:
    return np.where(c > m, c - m, c)


def beyond_pi(tail: Margin) -> Margin:
    return lambda c, m: np.where(c > math.cos(math.pi - m), arc(c, m), tail(c, m))


linear = beyond_pi(lambda c, m: c - m * math.sin(m))
none_beyond = beyond_pi(plain)
reflected = beyond_pi(lambda c, m: -2 - arc(c, m))


# by variant: f, what the mask compares with (None: f), and the negative's logit over s where it is one
EASY = {
    "am-softmax": (easy_above_0(am), None, None),
    "arc-softmax": (easy_above_0(arc), None, None),
    "sv-am-softmax": (easy_above_0(am), am, "adaptive"),
    "sv-arc-softmax": (easy_above_0(arc), arc, "adaptive"),
}
PAPER = {
    "softmax": (plain, None, None),
    "am-softmax": (am, None, None),
    "arc-softmax": (arc, None, None),
    "a-softmax": (psi, None, None),
    "sv-softmax": (plain, None, "adaptive"),
    "sv-am-softmax": (am, None, "adaptive"),
    "sv-arc-softmax": (arc, None, "adaptive"),
    "sv-a-softmax": (psi, None, "adaptive"),
}
TIANDUNX = {
    "sv-am-softmax": (easy_am_above_m, am, "adaptive"),
    "sv-arc-softmax": (easy_above_0(arc), arc, "adaptive"),
}
COMBINE = {"arc-softmax": (reflected, None, None), "sv-softmax": (plain, None, None)}
OTHER = {
    "xiaobocasia": {**EASY, "a-softmax": (annealed, None, None)},
    "xiaobocasia-not-easy": {"a-softmax": (annealed, None, None)},
    "tiandunx": TIANDUNX,
    "facex-zoo": {**TIANDUNX, "arc-softmax": (none_beyond, None, None)},
    "cavaface": {"arc-softmax": (none_beyond, None, None)},
    "cavaface-easy": EASY,
    "insightface": {},
    "insightface-before-no-grad": {"arc-softmax": (linear, None, None)},
    "pytorch-metric-learning": {"arc-softmax": (linear, None, None)},
    "openvino": {"arc-softmax": (linear, None, None), "sv-arc-softmax": (linear, None, "adaptive")},
    "arcface-caffe": {"sv-arc-softmax": (linear, None, "adaptive")},
    "combine-margin": {
        **COMBINE,
        "sv-am-softmax": (am, None, "fixed"),
        "sv-arc-softmax": (reflected, None, "fixed"),
        "sv-a-softmax": (psi, None, "fixed"),
        "mv-am-softmax": (am, None, "fixed"),
        "mv-arc-softmax": (reflected, None, "fixed"),
    },
    "combine-margin-adaptive": {**COMBINE, "sv-arc-softmax": (reflected, None, "adaptive")},
    "ronghuaiyang": {"arc-softmax": (linear, None, None)},
    "keras-insightface": {"arc-softmax": (reflected, None, None)},
    "cvqluu": {"a-softmax": (periodic, None, None)},
    "kprokofi": {"sv-am-softmax": (am, None, None)},
}
DEFAULT_M = {"am": 0.35, "arc": 0.5, "a": 4}
REGIONS = {"hi": (0.52, 0.98), "mid": (0.02, 0.34), "neg": (-0.87, -0.02), "far": (-0.99, -0.89)}


def margin_of(variant: str) -> dict[str, float]:
    """The m of a variant, if it has one."""
    kind = variant.removeprefix("sv-").removeprefix("mv-").removesuffix("softmax").removesuffix("-")
    return {"m": DEFAULT_M[kind]} if kind in DEFAULT_M else {}


def parameters_of(variant: str, s: float) -> dict[str, float]:
    return {"s": s, **margin_of(variant)} | ({"t": 1.2} if variant[:3] in ("sv-", "mv-") else {})


def textbook(name: str, variant: str, cosines: np.ndarray, labels: np.ndarray, s: float) -> np.ndarray:
    """The loss as logsumexp - z_y."""
    f, boundary, form = {**PAPER, **OTHER[name]}[variant]
    m, t = margin_of(variant).get("m", 0.0), 1.2
    own = np.arange(cosines.shape[1]) == labels[:, None]
    c = cosines[own]
    hard = (cosines > (boundary or f)(c, m)[:, None]) & (form is not None)
    logits = np.where(hard, t * cosines + t - 1 if form == "adaptive" else cosines + t - 1, cosines)
    logits[own] = f(c, m)
    z = s * logits
    peak = z.max(axis=1)
    return peak + np.log(np.exp(z - peak[:, None]).sum(axis=1)) - z[own]


def random_cosines(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(17)
    cosines, labels = rng.uniform(-0.98, 0.98, (64, 7)), rng.integers(0, 7, 64)
    cosines[np.arange(64), labels] = rng.uniform(low, high, 64)
    return cosines, labels


def test_every_dialect_has_its_formulas_written_out() -> None:
    assert set(OTHER) == set(DIALECTS), "write the formulas of the code in OTHER"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("s", [4.0, 32.0])
@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_a_dialect_computes_what_the_textbook_formula_of_that_code_says(
    name: str, variant: str, s: float, region: str
) -> None:
    cosines, labels = random_cosines(*REGIONS[region])
    loss = DIALECTS[name].loss(variant, **parameters_of(variant, s))
    expected = textbook(name, variant, cosines, labels, s)
    np.testing.assert_allclose(loss.value(cosines, labels, reduction="none"), expected, rtol=0, atol=4e-13)


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_a_dialect_is_the_paper_where_no_other_formula_is_written_and_differs_where_one_is(
    name: str, variant: str
) -> None:
    rows = [random_cosines(*region) for region in REGIONS.values()]
    cosines, labels = (np.concatenate(part) for part in zip(*rows, strict=True))
    parameters = parameters_of(variant, 4.0)
    got = DIALECTS[name].loss(variant, **parameters).value(cosines, labels, reduction="none")
    paper = svref.VARIANTS[variant].factory(**parameters).value(cosines, labels, reduction="none")
    the_same = variant not in OTHER[name] or (name, variant) == ("combine-margin", "mv-am-softmax")
    assert (got == paper).all() == the_same


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_the_gradient_of_a_dialect_is_the_slope_of_its_values_but_for_insightface(name: str, variant: str) -> None:
    cosines, labels = random_cosines(0.05, 0.3)
    loss = DIALECTS[name].loss(variant, **parameters_of(variant, 4.0))
    direction, step = np.random.default_rng(3).uniform(-1, 1, cosines.shape), 1e-6
    own = np.arange(7) == labels[:, None]
    if (name, variant) == ("insightface", "arc-softmax"):
        direction[own] = 0
    clear = clear_rows(loss, cosines, labels)
    ahead, behind = (loss.value(cosines + sign * step * direction, labels, reduction="none")[clear] for sign in (1, -1))
    _, gradient = loss.value_and_grad(cosines, labels, reduction="none")
    assert clear.sum() > 50
    np.testing.assert_allclose((gradient * direction).sum(axis=1)[clear], (ahead - behind) / (2 * step), atol=1e-7)


def clear_rows(loss: svref.SVXSoftmax, cosines: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows with no negative near their mask's boundary."""
    gaps = np.abs(cosines - loss.forward(cosines, labels).boundary[:, None])
    gaps[np.arange(len(labels)), labels] = np.inf
    return gaps.min(axis=1) > 1e-4


def test_insightface_has_the_slope_of_no_margin() -> None:
    cosines, labels = random_cosines(-0.9, 0.9)
    _, gradient = (
        dialect("insightface").loss("arc-softmax", s=4.0, m=0.5).value_and_grad(cosines, labels, reduction="none")
    )
    own = np.arange(7) == labels[:, None]
    others = np.where(own, 0.0, gradient).sum(axis=1)
    np.testing.assert_allclose(gradient[own], -others, rtol=1e-13)  # a softmax over c_k: the gradients sum to 0


# ---- parameters ------------------------------------------------------------------------------------------------------


def port_of_the_official_code(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> np.ndarray:
    """SV-AM with an easy margin, whose t is t - 1, as that convention writes it."""
    own = np.arange(cosines.shape[1]) == labels[:, None]
    c = cosines[own]
    z = np.where(cosines > (c - m)[:, None], (t + 1) * cosines + t, cosines)
    z[own] = np.where(c > 0, c - m, c)
    return np.log(np.exp(s * z).sum(axis=1)) - s * z[own]


@pytest.mark.parametrize("t", [1.0, 1.12, 1.2, 3.7])
def test_a_port_called_with_the_parameters_of_its_dialect_computes_the_loss_of_its_dialect(t: float) -> None:
    entry, paper = dialect("xiaobocasia"), {"s": 4.0, "m": 0.35, "t": t}
    cosines, labels = random_cosines(-0.9, 0.9)
    got = port_of_the_official_code(cosines, labels, **entry.parameters("sv-am-softmax", paper))
    expected = entry.loss("sv-am-softmax", **paper).value(cosines, labels, reduction="none")
    np.testing.assert_allclose(got, expected, atol=1e-13)


COUNT_T_LESS_ONE = {
    "xiaobocasia", "xiaobocasia-not-easy", "cavaface", "cavaface-easy", "combine-margin", "combine-margin-adaptive",
}  # fmt: skip


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_t_is_less_one_where_the_code_counts_so_and_m_in_degrees_for_arcface_of_one_library(
    name: str, variant: str
) -> None:
    paper = parameters_of(variant, 32.0)
    expected = dict(paper)
    if "t" in paper and name in COUNT_T_LESS_ONE:
        expected["t"] = 1.2 - 1
    if (name, variant) == ("pytorch-metric-learning", "arc-softmax"):
        expected["m"] = math.degrees(0.5)
    assert DIALECTS[name].parameters(variant, paper) == expected
    assert paper == parameters_of(variant, 32.0)


def test_t_less_one_loses_no_digit() -> None:
    for t in np.random.default_rng(5).uniform(1, 100, 1000):
        assert dialect("cavaface").parameters("sv-softmax", {"s": 1.0, "t": float(t)})["t"] + 1 == t


def test_a_dialect_takes_the_papers_parameters_with_its_defaults_and_limits() -> None:
    assert dialect("ronghuaiyang").loss("arc-softmax") == svref.SVXSoftmax(svref.AdditiveAngle(0.5, "linear"), s=64.0)
    with pytest.raises(ValueError, match=r"you may mean t=1\.2"):
        dialect("xiaobocasia").loss("sv-am-softmax", t=0.2)
    with pytest.raises(TypeError, match="margin"):
        dialect("facex-zoo").loss("sv-am-softmax", margin=0.35)


@pytest.mark.parametrize(("name", "variant"), [pair for pair in PAIRS if pair[1][:3] in ("sv-", "mv-")])
def test_at_t_one_a_dialect_has_no_emphasis_left(name: str, variant: str) -> None:
    cosines, labels = random_cosines(-0.9, 0.9)
    step = DIALECTS[name].loss(variant, **{**parameters_of(variant, 4.0), "t": 1.0}).forward(cosines, labels)
    assert not step.log_h[np.isfinite(step.log_h)].any()


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["facex-zoo", "FaceX-Zoo", "facex_zoo", " FACEX_ZOO "])
def test_a_name_is_the_same_in_capitals_and_with_underscores(name: str) -> None:
    assert dialect(name) is DIALECTS["facex-zoo"]


def test_an_unknown_dialect_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(
        ValueError, match=rf"dialect must be one of xiaobocasia, .*, {list(DIALECTS)[-1]}; got 'facex'\."
    ) as raised:
        dialect("facex")
    assert all(name in str(raised.value) for name in DIALECTS)


@pytest.mark.parametrize("variant", ["sv-a-softmax", "sv_am_softmax", "nothing"])
def test_a_loss_that_the_code_has_not_is_an_error_that_lists_those_it_has(variant: str) -> None:
    message = re.escape(f"loss must be one that tiandunx has: sv-am-softmax, sv-arc-softmax; got {variant!r}.")
    with pytest.raises(ValueError, match=f"^{message}$"):
        dialect("tiandunx").loss(variant)
    with pytest.raises(ValueError, match=f"^{message}$"):
        dialect("tiandunx").parameters(variant, {"s": 1.0})


@pytest.mark.parametrize("entry", DIALECTS.values(), ids=str)
def test_a_dialect_says_what_differs_and_where_it_was_seen(entry: Dialect) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
    assert entry.summary.endswith(".")
    assert entry.seen
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+:[\w./-]+", place) for place in entry.seen)
    assert entry.losses
    assert set(entry.losses) <= set(svref.VARIANTS)
    assert all(DEVIATIONS[name].change is not None for names in entry.losses.values() for name in names)
    assert set(entry.besides) <= set(DEVIATIONS)


@pytest.mark.parametrize("entry", DIALECTS.values(), ids=str)
def test_the_repr_of_a_dialect_and_of_its_losses_reads_back(entry: Dialect) -> None:
    assert eval(repr(entry), {"dialect": dialect}) is entry  # noqa: S307
    for variant in entry.losses:
        loss = entry.loss(variant)
        assert eval(repr(loss), vars(svref)) == loss  # noqa: S307


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_each_name_of_a_loss_changes_something_at_the_defaults_or_at_t_one(name: str, variant: str) -> None:
    entry, t = DIALECTS[name], {"t": 1.0} if "t" in svref.VARIANTS[variant].parameters else {}
    for left_out in entry.losses[variant]:
        shorter = replace(entry, losses={variant: tuple(n for n in entry.losses[variant] if n != left_out)})
        assert any(shorter.loss(variant, **p) != entry.loss(variant, **p) for p in ({}, t)), left_out


def test_the_registry_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        DIALECTS["mine"] = DIALECTS["facex-zoo"]  # type: ignore[index]


# ---- the page --------------------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """The text under each second-level heading of the page."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def rows(text: str) -> list[list[str]]:
    """The cells of the table rows of a text, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_page_has_a_section_for_each_dialect_in_order() -> None:
    assert list(sections()) == [*DIALECTS, "The paper's loss", "What no loss of svref is"]


@pytest.mark.parametrize("name", DIALECTS)
def test_the_table_of_a_dialect_lists_its_losses_as_they_are(name: str) -> None:
    entry, listed = DIALECTS[name], {}
    for _, variant, expression, deviations in rows(sections()[name]):
        listed[variant.strip("`")] = expression.strip("`")
        assert tuple(re.findall(r"`([^`]+)`", deviations)) == entry.losses[variant.strip("`")]
        assert deviations.startswith("`") or deviations == "none"
    assert set(listed) == set(entry.losses)
    for variant, expression in listed.items():
        parameters = parameters_of(variant, 16.0)
        assert eval(expression, {**vars(svref), **parameters}) == entry.loss(variant, **parameters)  # noqa: S307


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_where_parameters_switch_a_mistake_off_values_and_gradients_are_those_of_the_table(
    name: str, variant: str
) -> None:
    table = {row[1].strip("`"): row[2].strip("`") for row in rows(sections()[name])}
    cosines, labels = random_cosines(-0.99, 0.99)
    cosines[:2] = [1.0, -0.5, 0.25, -1.0, 0.75, 0.0, 0.5], [-1.0, 0.5, 1.0, 0.25, -0.75, 0.0, -0.25]
    labels[:2] = 0
    for parameters in switched_off(parameters_of(variant, 4.0)):
        written = eval(table[variant], {**vars(svref), **parameters})  # noqa: S307
        got = DIALECTS[name].loss(variant, **parameters).value_and_grad(cosines, labels, reduction="none")
        expected = written.value_and_grad(cosines, labels, reduction="none")
        rounding = 2e-15 if DIALECTS[name].losses[variant] == ("annealing-left-on",) else 0.0  # of (5c + c)/6
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding)


def switched_off(parameters: dict[str, float]) -> list[dict[str, float]]:
    """The parameters with t = 1, without a margin, and with neither, as far as there are such parameters."""
    no_emphasis = {"t": 1.0} if "t" in parameters else {}
    no_margin = {"m": 1 if parameters["m"] == DEFAULT_M["a"] else 0.0} if "m" in parameters else {}
    return [parameters | no_emphasis, parameters | no_margin, parameters | no_emphasis | no_margin]


@pytest.mark.parametrize("name", DIALECTS)
def test_the_section_of_a_dialect_says_what_the_registry_says(name: str) -> None:
    entry, text = DIALECTS[name], sections()[name]
    assert text.strip().startswith(entry.summary)
    seen, _, besides = " ".join(text[text.index("Seen in ") :].split()).partition(" Besides: ")
    assert tuple(re.findall(r"`([^`]+)`", seen)) == entry.seen
    assert tuple(re.findall(r"`([^`]+)`", besides)) == entry.besides
    command = re.search(r"svref check my\.py:f --loss (\S+) --dialect (\S+)\n", text)
    assert command is not None
    assert command[1] in entry.losses
    assert command[2] == name


def test_what_is_the_papers_and_what_is_not_expressible_exist_by_name() -> None:
    for _, variant in rows(sections()["The paper's loss"]):
        assert variant.strip("`") in svref.VARIANTS
    named = [deviation.strip("`") for *_, deviation in rows(sections()["What no loss of svref is"])]
    assert len(named) > 8
    assert set(named) <= set(DEVIATIONS)
    assert set(named) - {"weight-gradient-without-margin"} <= set(named_in_the_docstring()) <= set(DEVIATIONS)


def named_in_the_docstring() -> list[str]:
    """The right column of the list in the module's docstring, but for what has no deviation."""
    lines = [
        line.strip() for line in str(sys.modules[Dialect.__module__].__doc__).splitlines() if line.startswith("    ")
    ]
    right = [re.split(r"\s{2,}", line)[-1] for line in lines]
    return [name for cell in right if not cell.startswith("none") for name in re.split(r"[,;] ", cell)]
