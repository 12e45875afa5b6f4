"""The check: a candidate, or plain arrays, against the reference."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from svref import inputs
from svref._version import __version__
from svref.conformance import adapters
from svref.conformance.adapters import Adapter, CandidateError, Outputs
from svref.conformance.judge import Judgement, Quantity, check_outputs, judge
from svref.conformance.report import Count, Failure, Report
from svref.golden import Case, cases_of
from svref.golden import case as named_case
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS, Variant

Progress = Callable[[Sequence[Case]], Iterable[Case]]


def check(
    candidate: Callable[..., Any] | str,
    loss: str,
    *,
    dtype: DTypeLike = "float64",
    framework: str | None = None,
    case: str | None = None,
    progress: Progress = iter,
) -> Report:
    """Judge an implementation of a variant on all of that variant's cases.

    Parameters
    ----------
    candidate : callable or str
        ``f(cosines, labels, *, s, ...)`` with the variant's parameters as keywords, or where to find it,
        "path/file.py:name" or "package.module:name". A NumPy function returns (losses (B,), gradient (B, C)), the
        gradient of Σ cotangent_b L_b if it takes ``cotangent=``, else of the sum. A PyTorch function returns
        per-sample losses; autograd gives the gradient.
    loss : str
        The variant's name, a key of `VARIANTS`.
    dtype : {"float64", "float32"}
        The dtype of the cosines, and of the tolerance.
    framework : {"numpy", "torch"}, optional
        What the candidate is written in; None: found out.
    case : str, optional
        The id of the only case to judge.
    progress : callable, optional
        Wraps the sequence of cases, for a progress bar.

    Returns
    -------
    Report
        ``report.ok``, ``report.failures``, ``str(report)``; ``report.raise_if_wrong()`` in a test.

    Raises
    ------
    ValueError
        If the variant, the case or the dtype is unknown.
    CandidateError
        If the candidate cannot be found or called, raises, or returns arrays of a wrong shape.
    """
    entry = _variant(loss)
    loss, dtype = entry.name, _dtype(dtype)
    name = candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)
    function = adapters.load(candidate) if isinstance(candidate, str) else candidate
    adapter = adapters.adapter(function, framework, entry.parameters)
    cases = list(cases_of(loss)) if case is None else [_case_of(loss, case)]
    judged = [(c, _judge_case(adapter, c, dtype)) for c in progress(cases)]
    words = ["svref", "check", name, "--loss", loss, "--dtype", str(dtype)]
    words += ["--framework", framework] if framework else []
    command = shlex.join(words) if isinstance(candidate, str) else ""
    return _report(judged, _header(name, loss, adapter.description, dtype, len(cases)), command)


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
    loss = _variant(loss).factory() if isinstance(loss, str) else loss
    if not isinstance(loss, SVXSoftmax):
        raise TypeError(f"loss must be an SVXSoftmax, such as svref.sv_arc_softmax(), or a name; got {loss!r}.")
    step = loss.forward(cosines, labels, ignore_index=ignore_index)
    g = inputs.row_cotangent(cotangent, len(step.labels))
    dtype = step.cosines.dtype
    by_cosines = np.empty(step.cosines.shape, dtype) if gradient is None else _values(gradient, dtype)
    outputs = Outputs(_values(losses, dtype), by_cosines, g)
    check_outputs(outputs, step.cosines)
    judgement = judge(loss, step.cosines, step.labels, outputs, gradient is not None, step.counted)
    named = Case("", "", {}, "", step.cosines, step.labels, g)
    return _report([(named, judgement)], _header("plain arrays", repr(loss), "", dtype, 1), "", repr(loss))


def _judge_case(adapter: Adapter, case: Case, dtype: np.dtype[Any]) -> Judgement:
    cosines = case.cosines.astype(dtype)
    try:
        with np.errstate(under="ignore"):  # the caller's settings are not the candidate's, nor its own the caller's
            outputs = adapter.run(cosines, case.labels, case.cotangent, case.parameters)
    except CandidateError:
        raise
    except (Exception, SystemExit) as error:
        raise CandidateError(
            f"the candidate raised {type(error).__name__} on case {case.id}: {error} "
            f"(called with arrays of {adapter.description})"
        ) from error
    check_outputs(outputs, cosines)
    return judge(case.loss, cosines, case.labels, outputs, has_gradient=True)


def _report(
    judged: list[tuple[Case, Judgement]], header: dict[str, Any], command: str, loss: str | None = None
) -> Report:
    failures = [failure for case, judgement in judged for failure in _failures(case, judgement, loss)]
    failures.sort(key=lambda failure: -float(f"{failure.error:.3g}"))  # equally wrong: in the order of the cases
    names = [quantity.name for quantity in judged[0][1].quantities]
    return Report(
        header=header,
        counts=tuple(_count(i, name, [judgement for _, judgement in judged]) for i, name in enumerate(names)),
        undecided=int(sum(judgement.undecided.sum() for _, judgement in judged)),
        skipped=int(sum(judgement.skipped.sum() for _, judgement in judged)),
        failures=tuple(failures),
        reproduce=f"{command} --case {failures[0].case}" if command and failures else "",
    )


def _failures(case: Case, judgement: Judgement, loss: str | None) -> Iterable[Failure]:
    arguments = ", ".join(f"{name}={value:g}" for name, value in case.parameters.items())
    typed = loss or f"{case.variant.replace('-', '_')}({arguments})"
    for quantity in judgement.quantities:
        for where in np.argwhere(quantity.wrong):
            index = tuple(int(i) for i in where)
            got, expected, error = (float(a[index]) for a in (quantity.got, quantity.expected, quantity.error))
            gap = float(judgement.gap[index[0]])
            yield Failure(case.id, typed, quantity.name, index, got, expected, error, gap, quantity.note)


def _count(index: int, name: str, judgements: list[Judgement]) -> Count:
    quantities: list[Quantity] = [judgement.quantities[index] for judgement in judgements]
    right = [q.judged & ~q.wrong for q in quantities]
    return Count(
        quantity=name,
        passed=int(sum((r & ~q.vacuous).sum() for r, q in zip(right, quantities, strict=True))),
        failed=int(sum(q.wrong.sum() for q in quantities)),
        vacuous=int(sum((r & q.vacuous).sum() for r, q in zip(right, quantities, strict=True))),
        undefined=dict(sum((Counter(q.policies) for q in quantities), Counter())),
        worst=max(float(np.where(q.judged, q.error, 0.0).max(initial=0.0)) for q in quantities),
    )


def _header(name: str, loss: str, framework: str, dtype: np.dtype[Any], cases: int) -> dict[str, Any]:
    return {
        "svref": __version__,
        "candidate": name,
        "loss": loss,
        "framework": framework,
        "dtype": str(dtype),
        "cases": cases,
    }


def _values(values: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return arrays and tensors in the dtype they came in; numbers in lists in the dtype of the cosines."""
    adapters.refuse_masked(values)
    if hasattr(values, "requires_grad"):
        values = values.detach()
    return np.asarray(values) if hasattr(values, "dtype") else np.asarray(values, dtype=dtype)


def _variant(loss: object) -> Variant:
    name = str(loss).replace("_", "-")
    if name not in VARIANTS:
        raise ValueError(f"loss must be one of {', '.join(VARIANTS)}; got {loss!r}.")
    return VARIANTS[name]


def _case_of(loss: str, case_id: str) -> Case:
    found = named_case(case_id if "/" in case_id else f"{loss}/{case_id}")
    if found.variant != loss:
        raise ValueError(f"case must be one of {loss}, such as {loss}/notebook; got {case_id!r}.")
    return found


def _dtype(dtype: DTypeLike) -> np.dtype[Any]:
    known: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name not in known:
        raise ValueError(f"dtype must be float32 or float64; got {name}.")
    return known[name]
