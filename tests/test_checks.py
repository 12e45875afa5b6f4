"""Bad input gets its full message before any work; unusual but valid input works."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import svref
from svref import AdditiveAngle, AdditiveCosine, Combined, EasyMargin, MultiplicativeAngle, SupportVectors, SVXSoftmax

C = np.array([[0.5, 0.25, -0.5], [0.1, 0.2, 0.3]])
Y = np.array([0, 2])
PLAIN, ARC = svref.sv_softmax(), svref.sv_arc_softmax()

WRONG_INPUTS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: PLAIN.value(C.astype(int), Y), TypeError,
     "cosines must be float32 or float64; got int64. Convert them first, for example np.asarray(cosines, dtype=np.float64)."),
    (lambda: PLAIN.value(C.astype(np.float16), Y), TypeError,
     "cosines must be float32 or float64; got float16. Convert them first, for example np.asarray(cosines, dtype=np.float64)."),
    (lambda: PLAIN.value(C.astype(complex), Y), TypeError,
     "cosines must be float32 or float64; got complex128. Convert them first, for example np.asarray(cosines, dtype=np.float64)."),
    (lambda: PLAIN.value(C.astype(object), Y), TypeError,
     "cosines must be float32 or float64; got object. Convert them first, for example np.asarray(cosines, dtype=np.float64)."),
    (lambda: PLAIN.value(np.ma.masked_array(C, C < 0), Y), TypeError,
     "cosines must be a plain array; got a masked array, whose mask would be lost. Fill it, or mark rows with ignore_index."),
    (lambda: PLAIN.value(C[0], Y), ValueError, "cosines must have 2 axes, (B, C); got shape (3,)."),
    (lambda: PLAIN.value(C[:0], Y[:0]), ValueError,
     "cosines must not be empty: at least one of each, (B, C); got shape (0, 3)."),
    (lambda: PLAIN.value(C[:, :0], Y), ValueError,
     "cosines must not be empty: at least one of each, (B, C); got shape (2, 0)."),
    (lambda: PLAIN.value([[0.5, np.nan, np.nan]], [0]), ValueError,
     "cosines must be finite; got cosines[0, 1] = nan (2 of 3 entries). Mend the computation that made them."),
    (lambda: PLAIN.value([[0.5, -np.inf]], [0]), ValueError,
     "cosines must be finite; got cosines[0, 1] = -inf (1 of 2 entries). Mend the computation that made them."),
    (lambda: ARC.value(np.array([[0.5, 1.0000001]], dtype=np.float32), [0]), ValueError,
     "cosines must lie in [-1, 1] for an angular margin; got cosines[0, 1] = 1.0000001 (1 of 2 entries). Rounding of normalised products does this: pass np.clip(cosines, -1, 1)."),
    (lambda: PLAIN.value([[1e307, 0.0]], [0]), ValueError,
     "8 s t max(1, |c|, |f|) must stay below 1.8e+308, so that the logits are finite in float64; got s=30, t=1.2 and cosines or margins up to 1e+307. Use a smaller s or t."),
    (lambda: svref.arc_softmax(s=1e39).value(C.astype(np.float32), Y), ValueError,
     "8 s t max(1, |c|, |f|) must stay below 3.4e+38, so that the logits are finite in float32; got s=1e+39, t=1 and cosines or margins up to 1. Use a smaller s or t."),
    (lambda: svref.am_softmax(m=1e308).value(C, Y), ValueError,
     "8 s t max(1, |c|, |f|) must stay below 1.8e+308, so that the logits are finite in float64; got s=30, t=1 and cosines or margins up to 1e+308. Use a smaller s or t."),
    (lambda: svref.head.value_and_grad(svref.softmax(s=1e308), [[1.0, 0.0]], [[1.0, 0.0]], [0]), ValueError,
     "8 s t max(1, |c|, |f|) must stay below 1.8e+308, so that the logits are finite in float64; got s=1e+308, t=1 and cosines or margins up to 1. Use a smaller s or t."),
    (lambda: SVXSoftmax(s=1e-46).value(C.astype(np.float32), Y), ValueError,
     "s must be at least 1.18e-38 in float32, and t at most 2^32; got s=1e-46, t=1."),
    (lambda: SVXSoftmax(emphasis=SupportVectors(1e12), s=1e-10).value(C, Y), ValueError,
     "s must be at least 2.23e-308 in float64, and t at most 2^32; got s=1e-10, t=1e+12."),
    (lambda: PLAIN.backward(C, Y), TypeError, "step must be what forward returned; got ndarray."),
    (lambda: PLAIN.backward(PLAIN.forward(C, Y), np.ma.masked_array([1.0, 1.0])), TypeError,
     "cotangent must be a plain array; got a masked array, whose mask would be lost. Fill it, or mark rows with ignore_index."),
    (lambda: svref.head.value_and_grad("sv-softmax", [[1.0]], [[1.0]], [0]), TypeError,
     "loss must be an SVXSoftmax, such as svref.sv_arc_softmax(); got 'sv-softmax'."),
    (lambda: svref.check_values(0.5, C, Y, [0.0, 0.0]), TypeError,
     "loss must be an SVXSoftmax, such as svref.sv_arc_softmax(), or a name; got 0.5."),
    (lambda: PLAIN.value(C, [0, 3]), ValueError,
     "labels must be class indices below C = 3; got labels[1] = 3 (1 of 2 entries). Labels count from 0; pass ignore_index to leave rows out."),
    (lambda: PLAIN.value(C, [0, -1]), ValueError,
     "labels must be class indices below C = 3; got labels[1] = -1 (1 of 2 entries). Labels count from 0; pass ignore_index to leave rows out."),
    (lambda: PLAIN.value(C, [0]), ValueError, "labels must have one entry per row, B = 2; got 1."),
    (lambda: PLAIN.value(C, [0.0, 1.0]), TypeError,
     "labels must be integer class indices (B,), or one-hot (B, C); got dtype float64 and shape (2,)."),
    (lambda: PLAIN.value(C, [True, False]), TypeError,
     "labels must be integer class indices (B,), or one-hot (B, C); got dtype bool and shape (2,)."),
    (lambda: PLAIN.value(C, 1), TypeError,
     "labels must be integer class indices (B,), or one-hot (B, C); got dtype int64 and shape ()."),
    (lambda: PLAIN.value(C, [[0], [1]]), ValueError,
     "one-hot labels must have the shape of the cosines, (2, 3); got (2, 1). Class indices need one axis: labels.ravel()."),
    (lambda: PLAIN.value(C, [[0.9, 0.1, 0.0], [0, 1, 0]]), ValueError,
     "labels must be one-hot, only 0 and 1; got labels[0, 0] = 0.9 (2 of 6 entries). Soft labels have no single target, and the margin needs one."),
    (lambda: PLAIN.value(C, [[0, 0, 0], [0, 1, 0]]), ValueError,
     "the number of ones in a row of labels must be exactly 1; got the number of ones in a row of labels[0] = 0 (1 of 2 entries). Mend that row."),
    (lambda: PLAIN.value(C, np.eye(3, dtype=complex)[:2]), TypeError,
     "one-hot labels must be real or bool; got dtype complex128."),
    (lambda: PLAIN.value(C, np.eye(3)[:2], ignore_index=0), ValueError,
     "ignore_index needs integer labels; got one-hot labels. Pass labels.argmax(axis=1)."),
    (lambda: PLAIN.value(C, Y, ignore_index=0.5), TypeError, "ignore_index must be an integer or None; got 0.5."),
    (lambda: PLAIN.value(C, [-1, -1], ignore_index=-1), ValueError,
     'a mean needs at least one row that counts; all 2 rows carry ignore_index. Skip this batch, or use reduction="sum".'),
    (lambda: PLAIN.value(C, Y, reduction="avg"), ValueError,
     "reduction must be one of 'mean', 'sum', 'none'; got 'avg'."),
    (lambda: PLAIN.backward(PLAIN.forward(C, Y), [1.0]), ValueError,
     "cotangent must be real numbers of shape (B,) = (2,); got dtype float64 and shape (1,)."),
    (lambda: PLAIN.backward(PLAIN.forward(C, Y), [1.0, np.nan]), ValueError,
     "cotangent must be finite; got cotangent[1] = nan (1 of 2 entries). It is dL/d(loss) of each row."),
    (lambda: ARC.backward(svref.arc_softmax().forward(C, Y)), ValueError,
     "step must come from forward of this loss, SVXSoftmax(margin=AdditiveAngle(m=0.5, tail='raw'), emphasis=SupportVectors(t=1.2, form='adaptive', boundary=None), s=64.0); it was made by SVXSoftmax(margin=AdditiveAngle(m=0.5, tail='raw'), emphasis=SupportVectors(t=1.0, form='adaptive', boundary=None), s=64.0)."),
    (lambda: svref.head.value_and_grad(PLAIN, [[1.0, 0.0]], [[1.0, 0.0, 0.0]], [0]), ValueError,
     "embeddings (B, D) and weights (C, D) must share D; got shapes (1, 2) and (1, 3)."),
    (lambda: svref.head.value_and_grad(PLAIN, np.ones((1, 2), np.float32), np.ones((1, 2)), [0]), TypeError,
     "embeddings and weights must share one dtype, so that none is converted silently; got float32 and float64."),
    (lambda: svref.head.value_and_grad(PLAIN, [[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0]], [0, 0]), ValueError,
     "embeddings must have no zero row: it has no direction; got embeddings[1] = 0 (1 of 2 rows)."),
    (lambda: svref.head.value_and_grad(PLAIN, [[1.0, 0.0]], [[0.0, 0.0]], [0]), ValueError,
     "weights must have no zero row: it has no direction; got weights[0] = 0 (1 of 1 rows)."),
]  # fmt: skip

WRONG_PARAMETERS: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: svref.softmax(s=0.0), ValueError, "s must be above 0 and finite; got s=0.0."),
    (lambda: svref.softmax(s=-2), ValueError, "s must be above 0 and finite; got s=-2."),
    (lambda: svref.softmax(s=np.inf), ValueError, "s must be above 0 and finite; got s=inf."),
    (lambda: svref.softmax(s=10**400), ValueError, f"s must be above 0 and finite; got s={10**400}."),
    (lambda: MultiplicativeAngle(10**6), ValueError, "m must be an integer from 1 to 1000; got m=1000000."),
    (lambda: svref.softmax(s="64"), TypeError, "s must be a real number; got s='64' (str)."),
    (lambda: SupportVectors(0.2), ValueError,
     "t must be at least 1 (t = 1 switches the emphasis off); got t=0.2. Code after the MV-Softmax paper calls t - 1 its t: you may mean t=1.2."),
    (lambda: SupportVectors(-1.0), ValueError, "t must be at least 1 (t = 1 switches the emphasis off); got t=-1.0."),
    (lambda: SupportVectors(np.nan), ValueError, "t must be finite; got t=nan."),
    (lambda: SupportVectors(1.2, "adapt"), ValueError, "form must be one of 'adaptive', 'fixed'; got 'adapt'."),
    (lambda: SupportVectors(1.2, boundary=0.5), TypeError, "boundary must be a margin object or None; got 0.5."),
    (lambda: AdditiveCosine(-0.1), ValueError, "m must be at least 0 and finite; got m=-0.1."),
    (lambda: AdditiveAngle(28.6), ValueError,
     "m must be at least 0 and below π (radians, not degrees); got m=28.6."),
    (lambda: AdditiveAngle(True), TypeError, "m must be a real number; got m=True (bool)."),
    (lambda: AdditiveAngle(0.5, "mm"), ValueError,
     "tail must be one of 'raw', 'linear', 'plain', 'reflect'; got 'mm'."),
    (lambda: MultiplicativeAngle(1.35), ValueError, "m must be an integer from 1 to 1000; got m=1.35."),
    (lambda: MultiplicativeAngle(0), ValueError, "m must be an integer from 1 to 1000; got m=0."),
    (lambda: MultiplicativeAngle(4, -1.0), ValueError, "annealing must be at least 0 and finite; got annealing=-1.0."),
    (lambda: Combined(m1=0.0), ValueError, "m1 must be above 0 and finite; got m1=0.0."),
    (lambda: Combined(m2=4.0), ValueError, "m2 must be at least 0 and below π (radians, not degrees); got m2=4.0."),
    (lambda: Combined(m3=-1.0), ValueError, "m3 must be at least 0 and finite; got m3=-1.0."),
    (lambda: EasyMargin(0.5), TypeError, "margin must be a margin object such as AdditiveAngle(0.5); got 0.5."),
    (lambda: EasyMargin(AdditiveAngle(0.5), above=np.nan), ValueError, "above must be finite; got above=nan."),
    (lambda: SVXSoftmax(0.5), TypeError, "margin must be a margin object such as AdditiveAngle(0.5); got 0.5."),
    (lambda: SVXSoftmax(emphasis=1.2), TypeError, "emphasis must be a SupportVectors object; got 1.2."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "message"), WRONG_INPUTS + WRONG_PARAMETERS, ids=lambda v: v[:60] if isinstance(v, str) else ""
)
def test_bad_input_gets_its_message(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == message


def test_ragged_lists_are_told_so() -> None:
    with pytest.raises(TypeError, match=r"^cosines must be readable as an array, or nested lists of equal length; "):
        PLAIN.value([[0.5, 0.2], [0.1]], [0, 0])


UNUSUAL: dict[str, np.ndarray] = {
    "fortran order": np.asfortranarray(C),
    "strided": np.repeat(C, 2, axis=1)[:, ::2],
    "reversed": C[:, ::-1][:, ::-1],
    "big-endian": C.astype(">f8"),
    "read-only": np.frombuffer(C.tobytes()).reshape(C.shape),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_arrays_give_the_same_bits(kind: str) -> None:
    expected = ARC.value_and_grad(C, Y)
    value, gradient = ARC.value_and_grad(UNUSUAL[kind], Y)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    assert gradient.dtype == np.float64


def test_nested_lists_of_floats_work() -> None:
    assert ARC.value(C.tolist(), Y.tolist()) == ARC.value(C, Y)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, ">i4"])
def test_any_integer_labels_work(dtype: object) -> None:
    assert ARC.value(C, Y.astype(dtype)) == ARC.value(C, Y)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, np.float64])
def test_one_hot_labels_of_any_real_dtype_work(dtype: object) -> None:
    assert ARC.value(C, np.eye(3, dtype=dtype)[Y]) == ARC.value(C, Y)


def test_inputs_are_never_modified() -> None:
    cosines, labels = C.copy(), Y.copy()
    ARC.backward(ARC.forward(cosines, labels))
    np.testing.assert_array_equal(cosines, C)
    np.testing.assert_array_equal(labels, Y)


def test_a_whole_float_will_do_for_an_integer() -> None:
    assert MultiplicativeAngle(4.0) == MultiplicativeAngle(4)


def test_numpy_scalars_will_do_for_parameters() -> None:
    assert AdditiveAngle(np.float64(0.5)) == AdditiveAngle(0.5)
    assert repr(SVXSoftmax(AdditiveAngle(np.float32(0.5)), s=np.int64(8))) == repr(
        SVXSoftmax(AdditiveAngle(0.5), s=8.0)
    )
