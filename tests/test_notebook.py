"""Every number the founding notebook printed, within 8 float32 units (its arithmetic is float32, with eps 1e-9)."""

from __future__ import annotations

import numpy as np
import pytest

import svref

LOGITS = np.array([[2.0, 3.0, 1.0, -1.0], [-1.0, 2.1, 2.0, 6.0], [-2.0, 3.0, 4.0, -2.1]])
ONE_HOT = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])
MASK = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0]])
H = [[1.0, 1, 1, 1], [1, 1.8589282, 1, 4.055201], [1, 2.2255414, 2.7182825, 1]]
SOFTMAX_12 = [
    [2.4178252e-01, 6.5723300e-01, 8.8946812e-02, 1.2037643e-02],
    [2.2175812e-04, 4.9225753e-03, 4.4541308e-03, 2.4318731e-01],
    [6.9986947e-04, 1.0386984e-01, 2.8234750e-01, 6.3326815e-04],
]
SOFTMAX_10 = [
    [2.4178252e-01, 6.5723300e-01, 8.8946812e-02, 1.2037643e-02],
    [8.7725709e-04, 1.9473307e-02, 1.7620180e-02, 9.6202922e-01],
    [1.8058796e-03, 2.6801631e-01, 7.2854382e-01, 1.6340276e-03],
]
PURE_SOFTMAX = [
    [2.4178253e-01, 6.5723306e-01, 8.8946819e-02, 1.2037644e-02],
    [8.7725703e-04, 1.9473307e-02, 1.7620180e-02, 9.6202922e-01],
    [1.8058793e-03, 2.6801628e-01, 7.2854376e-01, 1.6340273e-03],
]
EIGHT_UNITS = 8 * 2.0**-23


def assert_printed(got: object, printed: object) -> None:
    np.testing.assert_allclose(got, printed, rtol=EIGHT_UNITS, atol=0)


def test_the_binary_mask() -> None:
    assert (svref.sv_softmax(s=1, t=1.2).forward(LOGITS, ONE_HOT).mask == MASK).all()


@pytest.mark.parametrize(("t", "h"), [(1.2, H), (1.0, np.ones((3, 4)))])
def test_h(t: float, h: object) -> None:
    assert_printed(np.exp(svref.sv_softmax(s=1, t=t).forward(LOGITS, ONE_HOT).log_h), h)


@pytest.mark.parametrize(("t", "printed"), [(1.2, SOFTMAX_12), (1.0, SOFTMAX_10), (1.0, PURE_SOFTMAX)])
def test_its_softmax_is_our_probability_over_h(t: float, printed: object) -> None:
    step = svref.sv_softmax(s=1, t=t).forward(LOGITS, ONE_HOT)
    assert_printed(step.probabilities / np.exp(step.log_h), printed)


@pytest.mark.parametrize(
    ("loss", "printed"),
    [
        (svref.sv_softmax(s=1, t=1.2), 4.366085),
        (svref.sv_softmax(s=1, t=1.2), 4.3660855),
        (svref.sv_softmax(s=1, t=1.0), 3.5917118),
        (svref.softmax(), 3.5917118),
        (svref.sv_am_softmax(s=1, m=0.35, t=1.2), 4.6436086),
        (svref.sv_am_softmax(s=1, m=0.35, t=1.0), 3.8678675),
        (svref.am_softmax(s=1, m=0.35), 3.8678675),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_losses(loss: svref.SVXSoftmax, printed: float, dtype: type) -> None:
    assert_printed(loss.value(LOGITS.astype(dtype), ONE_HOT), printed)


def test_its_softmax_rows_sum_to_a_quarter_and_two_fifths_at_t_of_1_2() -> None:
    step = svref.sv_softmax(s=1, t=1.2).forward(LOGITS, ONE_HOT)
    sums = (step.probabilities / np.exp(step.log_h)).sum(axis=1)
    np.testing.assert_allclose(sums[1:], [0.2528, 0.3876], rtol=1e-3)
    np.testing.assert_allclose(step.probabilities.sum(axis=1), 1, rtol=4e-16)
