"""Plain arrays judged without a function and without files: on what svref computes for the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from svref import checks
from svref._version import __version__
from svref.arrays import BoolArray, FloatArray, IntArray
from svref.conformance.candidates.arrays import to_numpy
from svref.conformance.candidates.call import GRADIENTS, Call, check_outputs
from svref.conformance.candidates.loading import variant_of
from svref.conformance.checking.report import Report, report_of
from svref.conformance.checking.run import Run
from svref.conformance.checking.unshown import unshown
from svref.conformance.trial import Trial
from svref.head import HeadGradients
from svref.judging.expected import expect
from svref.judging.judge import Outputs, judge
from svref.loss import SVXSoftmax

Pair = tuple[ArrayLike, ArrayLike]
SCALARS = ("sum", "mean")


def check_values(
    loss: SVXSoftmax | str,
    cosines: ArrayLike | Pair,
    labels: ArrayLike,
    losses: ArrayLike,
    gradient: ArrayLike | tuple[ArrayLike | None, ArrayLike | None] | HeadGradients | None = None,
    *,
    cotangent: ArrayLike | None = None,
    reduction: str = "none",
    ignore_index: int | None = None,
) -> Report:
    """Judge plain arrays, without a function and without files: on what svref computes for the same inputs.

    A right result proves little if the inputs are easy. So the report says which known mistakes these data could not
    have shown, and which cases show them: ``report.unshown``.

    Parameters
    ----------
    loss : SVXSoftmax or str
        The loss that was computed; a name stands for that variant with its default parameters.
    cosines : array_like of float32 or float64, shape (B, C); or a pair of them, (B, D) and (C, D)
        The inputs: cosines, or embeddings and weights. Their dtype is the format that the tolerance is for.
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    losses : array_like, shape (B,), or a number
        The losses to judge, or their sum or mean.
    gradient : array_like, shape (B, C); or a pair, (B, D) and (C, D); or HeadGradients; optional
        The gradient by the cosines, or those by embeddings and weights, one of which may be None. It is that of Σ
        cotangent_b L_b, and of the sum or mean where `losses` is one.
    cotangent : array_like, shape (B,), optional
        None is a vector of ones, the gradient of the sum.
    reduction : {"none", "sum", "mean"}, default "none"
        What `losses` is: the losses (B,), their sum, or their mean over the rows that count.
    ignore_index : int, optional
        Rows with this label do not count, and are not judged.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        If the inputs are not valid for the loss, or a cotangent is given for a sum or a mean.
    CandidateError
        If `losses` or a gradient has a wrong shape.
    """
    entry = variant_of(loss) if isinstance(loss, str) else None
    right = entry.factory() if entry is not None else loss
    if not isinstance(right, SVXSoftmax):
        raise TypeError(f"loss must be an SVXSoftmax, such as svref.sv_arc_softmax(), or a name; got {loss!r}.")
    arrays, y, counted = _inputs(right, cosines, labels, ignore_index)
    g = _cotangent(cotangent, reduction, counted)
    outputs = _outputs(losses, gradient, Call("", arrays, y, g, {}), reduction)
    trial = _trial(right, arrays, y, g, outputs, counted, reduction)
    header = {"svref": __version__, "candidate": "plain arrays", "loss": repr(right), "dtype": trial.precision,
              "precision": trial.precision, "cases": 1}  # fmt: skip
    report = _with_rows(report_of(Run(trials=[trial]), header, "", None), np.flatnonzero(counted))
    if report.failures or not counted.any():
        return report
    return replace(report, unshown=unshown(trial, entry.name if entry is not None else None))


# ---- what was given ----------------------------------------------------------------------------------------------


def _inputs(
    loss: SVXSoftmax, given: Any, labels: ArrayLike, ignore_index: int | None
) -> tuple[tuple[FloatArray, ...], IntArray, BoolArray]:
    """Return valid cosines, or embeddings and weights; the labels as indices; and which rows count."""
    if _is_pair(given):
        x, w = (checks.real_array(name, a, 2) for name, a in zip(("embeddings", "weights"), given, strict=True))
        checks.check_pair(x, w)
        checks.check_rows("embeddings", x)
        checks.check_rows("weights", w)
        y, counted = checks.class_indices(labels, len(x), len(w), ignore_index)
        return (x, w), y, np.ones(len(x), dtype=bool) if counted is None else counted
    c, y, counted = loss.checked(given, labels, ignore_index)
    return (c,), y, np.ones(len(c), dtype=bool) if counted is None else counted


def _is_pair(given: Any) -> bool:
    """Return whether there are two matrices: the rows of one matrix have one axis each."""
    return isinstance(given, (tuple, list)) and len(given) == 2 and all(np.ndim(to_numpy(a)) == 2 for a in given)


def _cotangent(cotangent: ArrayLike | None, reduction: str, counted: BoolArray) -> FloatArray:
    """Return how much each row's loss counts in what the gradient is of; 0 for rows that do not count."""
    if reduction in SCALARS and cotangent is not None:
        raise ValueError(f"cotangent is one number for each of the losses (B,); the {reduction} of them takes none.")
    of_reduction = checks.reduction_cotangent(reduction if counted.any() else "none", counted, len(counted))
    return of_reduction * checks.row_cotangent(cotangent, len(counted))


def _outputs(losses: Any, gradient: Any, call: Call, reduction: str) -> Outputs:
    """Return what was given by the names of the outputs; raise a CandidateError if a shape is wrong."""
    if isinstance(gradient, HeadGradients):
        gradient = (gradient.embeddings, gradient.weights)
    of_head = call.level == "head"
    if of_head and gradient is not None and not (isinstance(gradient, (tuple, list)) and len(gradient) == 2):
        raise TypeError(f"gradient must be a pair, by embeddings and by weights; got {type(gradient).__name__}.")
    gradients: Sequence[Any] = (gradient or (None, None)) if of_head else (gradient,)
    given = {"loss": losses, **dict(zip(GRADIENTS[call.level], gradients, strict=True))}
    outputs = {name: _values(values, call.dtype) for name, values in given.items() if values is not None}
    check_outputs(outputs, call, 1.0 if reduction in SCALARS else None)
    return outputs


def _values(values: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return arrays and tensors in their own dtype, and numbers and lists in the dtype of the inputs."""
    return to_numpy(values) if hasattr(values, "dtype") else np.asarray(values, dtype=dtype)


# ---- judged -------------------------------------------------------------------------------------------------------


def _trial(
    loss: SVXSoftmax,
    arrays: tuple[FloatArray, ...],
    labels: IntArray,
    g: FloatArray,
    outputs: Outputs,
    counted: BoolArray,
    reduction: str,
) -> Trial:
    """Return the judged rows that count, as one case; the others are left out of inputs and outputs.

    If no row counts, all stay, and none is judged.
    """
    rows = counted if counted.any() else ~counted
    kept = (arrays[0][rows], *arrays[1:])
    y, g, precision = labels[rows], g[rows], arrays[0].dtype.name
    outputs = {
        name: values[rows] if values.ndim and name != "grad_weights" else values for name, values in outputs.items()
    }
    factor = None if reduction not in SCALARS else 1.0 if reduction == "sum" else 1 / len(y)
    expected = expect(loss, kept, y, g, precision)
    expected = replace(expected, judged=expected.judged & counted[rows])
    expected = expected if factor is None else expected.reduced(factor)
    in_float64 = tuple(a.astype(np.float64) for a in kept)
    judgement = judge(expected, outputs)
    return Trial("", "", "", loss, {}, in_float64, y, g, precision, outputs, None, judgement, factor)


def _with_rows(report: Report, rows: IntArray) -> Report:
    """Return a report whose failures and departure count rows as they were given, with those that do not count."""

    def index(quantity: str, index: tuple[int, ...]) -> tuple[int, ...]:
        return (int(rows[index[0]]), *index[1:]) if index and quantity != "grad_weights" else index

    failures = tuple(replace(f, index=index(f.quantity, f.index)) for f in report.failures)
    departure = report.departure
    if departure is not None:
        departure = replace(departure, index=index(departure.stage, departure.index))
    return replace(report, failures=failures, departure=departure)
