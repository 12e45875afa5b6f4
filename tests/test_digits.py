"""The training on the page is what it says: the example runs, and its table is the page's within what BLAS may change."""

from __future__ import annotations

import re
from pathlib import Path

import digits
import numpy as np
import pytest

import svref

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how-to" / "train.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "docs" / "examples" / "digits.py").read_text(encoding="utf-8")
CLOSE = 0.03  # of an accuracy: sums are added in another order elsewhere, and a training amplifies that


@pytest.fixture(scope="module")
def histories() -> list[digits.History]:
    return [digits.train(name, 30) for name in digits.LOSSES]


def numbers_of(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", line)]


def test_the_table_of_the_page_is_what_the_example_prints(histories: list[digits.History]) -> None:
    shown = next(block for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if block.startswith("epoch"))
    printed = list(digits.table(histories, 5))
    lines = shown.splitlines()
    assert lines[:2] == printed[:2]
    assert len(lines) == len(printed) == 9
    for of_page, here in zip(lines[2:], printed[2:], strict=True):
        np.testing.assert_allclose(numbers_of(of_page)[::2][1:], numbers_of(here)[::2][1:], rtol=0.5, atol=0)  # support
        np.testing.assert_allclose(numbers_of(of_page)[1::2], numbers_of(here)[1::2], rtol=0, atol=100 * CLOSE)


def test_the_margin_leaves_fewer_support_vectors_and_the_emphasis_fewest(histories: list[digits.History]) -> None:
    softmax, am, sv_am = (history.support[-1] for history in histories)
    assert softmax > am > sv_am
    assert all(history.accuracy[-1] > 0.87 for history in histories)
    assert all(history.support[0] == histories[0].support[0] for history in histories)


def test_the_gradient_of_the_example_is_that_of_its_loss() -> None:
    (images, labels), _ = digits.digits()
    images, labels = images[:8], labels[:8]
    parameters = digits.network(np.random.default_rng(1))
    loss = digits.LOSSES["SV-AM"]

    def value() -> float:
        return svref.head.value_and_grad(loss, digits.embed(parameters, images)[1], parameters[3], labels)[0]

    for parameter, by in zip(parameters, digits.gradient(loss, parameters, images, labels), strict=True):
        where = np.unravel_index(np.abs(by).argmax(), by.shape)
        before = parameter[where]
        ends = []
        for step in (1e-6, -1e-6):
            parameter[where] = before + step
            ends.append(value())
        parameter[where] = before
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, by[where], rtol=1e-5, atol=0)


def test_the_test_has_as_many_images_as_the_page_says() -> None:
    assert f"The test has {len(digits.digits()[1][1])} images" in PAGE


def test_the_code_on_the_page_is_that_of_the_example() -> None:
    block = next(b for b in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if "by_hidden" in b)
    assert {line.strip() for line in block.splitlines()} <= {line.strip() for line in EXAMPLE.splitlines()}
