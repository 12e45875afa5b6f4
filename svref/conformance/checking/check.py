"""The check: a candidate, or plain arrays, against what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from svref import checks
from svref._version import __version__
from svref.conformance.candidates.adapters import AnswersAdapter
from svref.conformance.candidates.arrays import plain
from svref.conformance.candidates.call import Call
from svref.conformance.candidates.outputs import check_outputs
from svref.conformance.checking.options import (
    candidate_name,
    cases_of,
    command_of,
    compute_of,
    dtype_of,
    guarded,
    is_answers,
    pack_of,
    variant_of,
)
from svref.conformance.checking.report import Report
from svref.conformance.checking.reporting import report_of
from svref.conformance.checking.run import FACTORS, Plan, Progress, Run, run
from svref.conformance.trial import Trial
from svref.deviations.dialects import dialect as dialect_of
from svref.golden.vectors import Vectors
from svref.judging.expected import expect
from svref.judging.judge import judge
from svref.loss import SVXSoftmax


def check(
    candidate: Callable[..., Any] | str,
    loss: str,
    *,
    pack: str = "core",
    dtype: DTypeLike = "float64",
    compute: str | None = None,
    framework: str | None = None,
    device: str = "cpu",
    reduction: str | None = None,
    dialect: str | None = None,
    case: str | None = None,
    timeout: float | None = None,
    strict: bool = False,
    invalid: bool = True,
    progress: Progress = iter,
) -> Report:
    """Judge an implementation of a variant on the golden vectors of that variant.

    Parameters
    ----------
    candidate : callable or str
        ``f(cosines, labels, *, s, ...)`` or ``f(embeddings, weights, labels, *, s, ...)`` with the variant's
        parameters as keywords; where to find it, "path/file.py:name" or "package.module:name"; or a directory or file
        of answers, format svref-answers/1. Without autograd it returns (losses (B,), gradient (B, C)), or the losses
        and the gradients by embeddings and weights, of Σ cotangent_b L_b if it names ``cotangent=``, else of the sum;
        or a sum or mean of the losses and the gradients of that. With autograd (PyTorch, JAX, TensorFlow) it returns
        per-sample losses, or their sum or mean. Either may return a dict with "loss" and the quantities on the way:
        cosines, margin_cosine, mask, relative_logits.
    loss : str
        The variant's name, a key of `VARIANTS`.
    pack : str, default "core"
        Which vectors: "core", "paper" or "seed", which ship, or a directory with a manifest.json.
    dtype : {"float64", "float32"}
        The dtype of inputs and outputs.
    compute : {"float64", "float32", "float16", "bfloat16"}, optional
        The format the candidate computes in, no wider than `dtype`; the tolerance is for it. None is `dtype`.
    framework : str, optional
        "numpy", "torch", "jax", "tensorflow", "tf.function" or "array-api:<module>"; None: found out.
    device : str, default "cpu"
        Where a PyTorch candidate runs, "cuda" for example.
    reduction : {"none", "sum", "mean"}, optional
        What the candidate returns; None: found out.
    dialect : str, optional
        Judge a port of public code instead of the paper: a key of `DIALECTS`.
    case : str, optional
        The id of the only case to judge; one whose inputs must raise is judged by that.
    timeout : float, optional
        Seconds after which a call counts as hung.
    strict : bool, default False
        Whether inputs that must raise are judged too.
    invalid : bool, default True
        Whether inputs that must raise are asked at all; native code may write out of bounds for a label that is no
        class.
    progress : callable, optional
        Wraps the sequence of cases, for a progress bar.

    Returns
    -------
    Report
        ``report.ok``, ``report.failures``, ``report.diagnosis``; ``report.raise_if_wrong()`` in a test.

    Raises
    ------
    ValueError
        If the variant, the pack, the case, the dialect or a format is unknown.
    CandidateError
        If the candidate cannot be found or called with the variant's parameters.
    VectorsError
        If the vectors are damaged.
    """
    entry, kind = variant_of(loss), dtype_of(dtype)
    if reduction is not None and reduction not in FACTORS:
        raise ValueError(f"reduction must be one of {', '.join(FACTORS)}; got {reduction!r}.")
    if strict and not invalid:
        raise ValueError("strict judges the inputs that must raise, so that they must be asked; got invalid=False.")
    vectors = pack_of(pack)
    guard, level, ignores = guarded(candidate, entry, framework, device, kind, timeout)
    remarks = guard.adapter.remarks(vectors) if isinstance(guard.adapter, AnswersAdapter) else {}
    spoken = dialect_of(dialect) if dialect else None
    plan = Plan(guard, level, kind, compute_of(compute, kind), spoken, live=not is_answers(candidate), ignores=ignores)
    cases, left_out = cases_of(vectors, entry, plan, case, invalid)
    found = run(plan, cases, reduction, progress)
    found.remarks |= remarks
    header = _header(plan, vectors, candidate_name(candidate), entry.name, len(cases), left_out)
    options = {"pack": pack, "dtype": kind.name, "compute": compute, "framework": framework, "device": device,
               "reduction": reduction, "dialect": dialect, "timeout": timeout, "strict": strict,
               "no-invalid": not invalid}  # fmt: skip
    strict |= all(vector.result == "error" for vector in cases)
    return report_of(found, header, command_of(candidate, entry.name, options), entry, strict, guard.printed)


def _header(plan: Plan, vectors: Vectors, candidate: str, loss: str, cases: int, left_out: int) -> dict[str, Any]:
    """Return what is judged, by what, and how much of it."""
    return {
        "svref": __version__, "vectors": f"{vectors.name} {vectors.version}", "digest": vectors.digest,
        "candidate": candidate, "loss": loss, "dialect": plan.dialect.name if plan.dialect else "",
        "framework": plan.guard.adapter.description, "dtype": plan.dtype.name, "compute": plan.compute,
        "cases": cases, "left_out": left_out,
    }  # fmt: skip


def check_values(
    loss: SVXSoftmax | str,
    cosines: ArrayLike,
    labels: ArrayLike,
    losses: ArrayLike,
    gradient: ArrayLike | None = None,
    *,
    cotangent: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Report:
    """Judge plain arrays from anywhere, without a function and without files.

    Parameters
    ----------
    loss : SVXSoftmax or str
        The loss that was computed; a name stands for that variant with its default parameters.
    cosines : array_like of float32 or float64, shape (B, C)
        What it was computed from; their dtype is the one the tolerance is for.
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    losses : array_like, shape (B,)
        The losses to judge.
    gradient : array_like, shape (B, C), optional
        The gradient of Σ cotangent_b L_b by the cosines.
    cotangent : array_like, shape (B,), optional
        None is a vector of ones, the gradient of the sum.
    ignore_index : int, optional
        Rows with this label are left out.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        If the inputs are not valid for the loss.
    CandidateError
        If `losses` or `gradient` has a wrong shape.
    """
    entry = variant_of(loss) if isinstance(loss, str) else None
    loss = entry.factory() if entry is not None else loss
    if not isinstance(loss, SVXSoftmax):
        raise TypeError(f"loss must be an SVXSoftmax, such as svref.sv_arc_softmax(), or a name; got {loss!r}.")
    step = loss.forward(cosines, labels, ignore_index=ignore_index)
    g = checks.row_cotangent(cotangent, len(step.labels))
    outputs = {"loss": _values(losses, step.cosines.dtype)}
    outputs |= {} if gradient is None else {"grad_cosines": _values(gradient, step.cosines.dtype)}
    check_outputs(outputs, Call("", (step.cosines,), step.labels, g, {}), None)
    compute = step.cosines.dtype.name
    right = expect(loss, [step.cosines], step.labels, g, compute, step.counted)
    exact = (step.cosines.astype(np.float64),)
    trial = Trial("", "", loss, {}, exact, step.labels, g, compute, outputs, None, judge(right, outputs))
    header = {"svref": __version__, "candidate": "plain arrays", "loss": repr(loss), "dtype": compute,
              "compute": compute, "cases": 1}  # fmt: skip
    return report_of(Run(trials=[trial]), header, "", None)


def _values(values: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return arrays and tensors in the dtype they came in; numbers in lists in the dtype of the cosines."""
    return plain(values) if hasattr(values, "dtype") else np.asarray(values, dtype=dtype)
