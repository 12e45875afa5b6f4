"""The explanation holds the numbers of the derivation, and only right ones."""

from __future__ import annotations

import re

import numpy as np
import pytest

import svref
from svref import golden
from svref.cli.explain import explain_case

ROWS = next(v for v in golden.load(pack="seed") if v.variant == "sv-softmax")
CORE = golden.load()
NOTEBOOK = f"""\
{ROWS.id}, row 2 of 0..2
The rows of the notebook that started the project.
s = 1, t = 1.2; label y = 0
cosines  [-2, 3, 4, -2.1]

1  target
   c_y = -2
   f = c_y = -2   (3)

2  negatives
   I_k = [c_k > f]: 2 of 3 are support vectors   (5)
   log h_k = s (t - 1)(c_k + 1) = 0.2 (c_k + 1) for each of them, else 0   (6)
   r_k = s (c_k - f) + log h_k, relative to the target's logit   (10)
   p_k = q exp(r_k - a), with q and a below   (16)
      k         c_k     c_k - f  I_k         h_k         r_k         p_k
      0          -2               y                           0.00069987
      1           3          +5   1      2.22554        +5.8     0.23117
      2           4          +6   1      2.71828          +7      0.7675
      3        -2.1        -0.1   0            1        -0.1  0.00063327

   a = log Σ exp r_k = 7.26391638, the log-odds against the target   (11)
   L = log(1 + exp a) = 7.26461649   (14)
   q = 1 - p_y = exp a/(1 + exp a) = 0.99930013   (15)

3  gradient
   dL/dc_k = s p_k, for a support vector s p_k t   (17)
   dL/dc_y = -s q f'(c_y), with f'(c_y) = 1   (18)
   dL/dc = [-0.9993, 0.2774, 0.921, 0.000633268]
   dL/ds = Σ p_k r_k / s = 6.7132   (19)
   dL/dt = Σ p_k dlog h_k/dt = 4.76217   (20)
"""


def test_the_notebooks_hardest_row_reads_as_follows() -> None:
    assert explain_case(ROWS) == NOTEBOOK


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_every_case_can_be_explained_and_shows_its_loss(name: str) -> None:
    for case in CORE:
        if case.variant == name and case.result != "error":
            text = explain_case(case, 0)
            shown = float(re.search(r"L = log\(1 \+ exp a\) = (\S+)", text)[1])
            np.testing.assert_allclose(shown, case.expected["loss"][0], rtol=1e-8)
            assert f"{int(case.mask[0].sum())} of {case.mask.shape[1] - 1} are support vectors" in text
            assert case.purpose in text


def first(variant: str, group: str) -> golden.Vector:
    return next(v for v in CORE if (v.variant, v.group) == (variant, group))


def test_every_margin_parameter_has_its_derivative() -> None:
    text = explain_case(first("sv-combined-softmax", "hard"), 0)
    assert all(f"dL/d{name} = " in text for name in ("m1", "m2", "m3", "s", "t"))


def test_a_loss_without_emphasis_says_so() -> None:
    text = explain_case(first("am-softmax", "hard"), 0)
    assert "log h_k = 0: t = 1 is no emphasis" in text
    assert "dL/dt" not in text


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^row must be from 0 to 2; got 3\.$"):
        explain_case(ROWS, 3)
    with pytest.raises(ValueError, match=r"must raise: A label is C\. There is nothing to explain"):
        explain_case(first("softmax", "error"))
