"""The check: judge a candidate on golden vectors, or plain arrays on what svref computes."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from svref import checks
from svref._version import __version__
from svref.checks import Progress
from svref.conformance.candidates.adapters import AnswersAdapter
from svref.conformance.candidates.arrays import to_numpy
from svref.conformance.candidates.call import Call, Level, check_outputs
from svref.conformance.candidates.loading import candidate_name, dtype_of, guarded, is_answers, variant_of
from svref.conformance.candidates.process import untouched
from svref.conformance.checking.asking import FACTORS, Plan
from svref.conformance.checking.report import Report, report_of
from svref.conformance.checking.run import Run, run, run_variation
from svref.conformance.checking.variations.trying import numbers_of, usual_number
from svref.conformance.diagnosing.reading import reading_of
from svref.conformance.trial import Trial
from svref.deviations.dialects import dialect as dialect_of
from svref.golden.files.pack import shipped
from svref.golden.vectors import Vector, Vectors
from svref.golden.vectors import load as load_vectors
from svref.judging.expected import expect
from svref.judging.formats import FORMATS, format_of
from svref.judging.judge import judge
from svref.loss import SVXSoftmax
from svref.variants import Variant

MOST_VARIATIONS, MOST_SEEDS = 10_000, 10**9
_TAKES: dict[Level | None, str] = {"cosine": "cosines", "head": "embeddings and weights", None: "anything"}


@untouched()
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
    partial: bool = False,
    variations: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Judge an implementation of a variant on the golden vectors of that variant.

    Parameters
    ----------
    candidate : callable or str
        ``f(cosines, labels, *, s, ...)`` or ``f(embeddings, weights, labels, *, s, ...)`` with the variant's
        parameters as keywords; where to find it, "path/file.py:name" or "package.module:name"; or a directory or file
        of answers, format svref-answers/1. Without autograd it returns (losses (B,), gradient (B, C)), or the losses
        and the gradients by embeddings and weights. They are the gradients of Σ cotangent_b L_b if its signature names
        ``cotangent=``, else of the sum. It may also return a sum or mean of the losses, and the gradients of that.
        With autograd (PyTorch, JAX, TensorFlow) it returns the losses (B,), or their sum or mean. Either may return a
        dict with "loss" and steps of the loss: cosines, margin_cosine, mask, relative_logits.
    loss : str
        The variant's name, a key of `VARIANTS`.
    pack : str, default "core"
        Which vectors: "core", "paper" or "seed", which ship, or a directory with a manifest.json.
    dtype : {"float64", "float32"}
        The dtype of inputs and outputs.
    compute : {"float64", "float32", "float16", "bfloat16"}, optional
        The format the candidate computes in, no wider than `dtype`; the tolerance is for it. None is `dtype`.
    framework : str, optional
        "numpy", "torch", "jax", "tensorflow", "tf.function" or "array-api:<module>"; None finds it out.
    device : str, default "cpu"
        Where a PyTorch candidate runs, "cuda" for example.
    reduction : {"none", "sum", "mean"}, optional
        What the candidate returns; None finds it out.
    dialect : str, optional
        A key of `DIALECTS`: the candidate is then a port of that public code, and judged by what that code computes.
    case : str, optional
        The id of the only case to judge, or of a variation, such as "sv-am-softmax-variation-0-7". If its inputs must
        raise, the check fails unless the candidate raises.
    timeout : float, optional
        Seconds after which a call counts as hung.
    strict : bool, default False
        Whether inputs that must raise are judged too.
    invalid : bool, default True
        Whether inputs that must raise are asked at all; native code may write out of bounds for a label that is no
        class.
    partial : bool, default False
        Whether a candidate may pass of whom less than 90 % of the elements were judged, or that lacks an output.
    variations : int, optional
        How many batches unlike the cases are asked if all cases are right: with up to 300 rows and 4,200 classes,
        numbers of full digits, other parameters, int32 and uint8 labels, and other layouts in memory. None is 24, and
        8 in JAX and TensorFlow, which compile each shape anew.
    seed : int, default 0
        Which batches these are.
    progress : callable, optional
        Called with two integers after each case and variation: how many are done, and how many there are.

    Returns
    -------
    Report
        ``report.ok``, ``report.failures``, ``report.diagnosis``; ``report.raise_if_wrong()`` in a test.

    Raises
    ------
    ValueError
        If the variant, the pack, the case, the dialect or a format is unknown.
    TypeError
        If `progress` is no function.
    CandidateError
        If the candidate cannot be found or called with the variant's parameters.
    VectorsError
        If the vectors are damaged.
    """
    entry, kind = variant_of(loss), dtype_of(dtype)
    checks.check_progress(progress)
    _check_options(reduction, strict, invalid, variations, seed)
    vectors = pack_of(pack)
    guard, level, ignores = guarded(candidate, entry, framework, device, kind, timeout)
    remarks = guard.adapter.remarks(vectors) if isinstance(guard.adapter, AnswersAdapter) else {}
    right = dialect_of(dialect) if dialect else None
    plan = Plan(guard, level, kind, compute_of(compute, kind), right, not is_answers(candidate), ignores)
    number = usual_number(guard.adapter) if variations is None else variations
    variation = numbers_of(case, entry.name) if plan.can_be_asked else None
    cases, left_out = cases_of(vectors, entry, plan, None if variation else case, invalid)
    if variation:
        result, cases, left_out = run_variation(plan, cases, reduction, *variation), cases[:1], 0
    else:
        result = run(plan, cases, reduction, progress or _ignored, seed, 0 if case else number)
    result.remarks |= remarks
    header = _header(plan, vectors, candidate_name(candidate), entry.name, len(cases), left_out)
    options = {"pack": pack, "dtype": kind.name, "compute": compute, "framework": framework, "device": device,
               "reduction": reduction, "dialect": dialect, "timeout": timeout, "strict": strict,
               "no-invalid": not invalid, "partial": partial, "variations": variations, "seed": seed}  # fmt: skip
    strict |= all(vector.result == "error" for vector in cases)
    command = command_of(candidate, entry.name, options)
    report = report_of(result, header, command, entry, strict, guard.printed, partial)
    return _with_reading(report, plan, entry, candidate)


def _with_reading(report: Report, plan: Plan, entry: Variant, candidate: Callable[..., Any] | str) -> Report:
    """Return the report; one of failures that no known mistake explains says what `diagnose` finds first."""
    is_explained = any(each.complete for each in report.diagnosis)
    hangs = any(mishap.kind in ("hung", "ended", "patched") for mishap in report.mishaps)
    usual = plan.can_be_asked and plan.dialect is None and plan.compute == plan.dtype.name
    if not report.failures or is_explained or hangs or not usual:
        return report
    return replace(report, reading=reading_of(plan.guard, entry, plan.level, plan.dtype, candidate=candidate))


def _check_options(reduction: str | None, strict: bool, invalid: bool, variations: int | None, seed: int) -> None:
    """Raise a ValueError unless the options of a check fit together and lie in their ranges."""
    checks.integer_parameter("variations", variations or 0, 0, MOST_VARIATIONS)
    checks.integer_parameter("seed", seed, 0, MOST_SEEDS)
    if reduction is not None and reduction not in FACTORS:
        raise ValueError(f"reduction must be one of {', '.join(FACTORS)}; got {reduction!r}.")
    if strict and not invalid:
        raise ValueError(
            "strict judges the inputs that must raise, but invalid=False leaves them out; give one of the two."
        )


def _ignored(done: int, total: int) -> None:
    """Do nothing: a check without a progress function."""


def _header(plan: Plan, vectors: Vectors, candidate: str, loss: str, cases: int, left_out: int) -> dict[str, Any]:
    """Return the header of the report: what is judged, by which vectors, and in how many cases."""
    return {
        "svref": __version__, "vectors": f"{vectors.name} {vectors.version}", "digest": vectors.digest,
        "candidate": candidate, "loss": loss, "dialect": plan.dialect.name if plan.dialect else "",
        "framework": plan.guard.adapter.description, "dtype": plan.dtype.name, "compute": plan.compute,
        "cases": cases, "left_out": left_out,
    }  # fmt: skip


def cases_of(
    vectors: Vectors, entry: Variant, plan: Plan, case: str | None, invalid: bool = True
) -> tuple[list[Vector], int]:
    """Return the cases to judge, and how many are left out because the dtype cannot hold their inputs.

    Cases whose inputs must raise are among them if `invalid`. Alone they are judged only if asked for by their id.
    """
    known = [v for v in vectors if v.variant == entry.name and plan.level in (None, v.level)]
    if plan.dialect is not None or not invalid:
        known = [v for v in known if v.result != "error"]
    if case is not None:
        known = [v for v in known if v.id == case]
    cases = [v for v in known if plan.dtype.name in v.dtypes]
    if not any(v.result != "error" or case for v in cases):
        what = f"no case {case!r} of" if case else "no cases of"
        raise ValueError(
            f"pack {vectors.name} has {what} {entry.name} for a candidate on {_TAKES[plan.level]} in {plan.dtype}; "
            f"see svref golden list --variant {entry.name}."
        )
    return cases, len(known) - len(cases)


def command_of(candidate: Callable[..., Any] | str, loss: str, options: dict[str, str | float | bool | None]) -> str:
    """Return the command that repeats the check; "" for a function that has no path.

    Of the options, True is one without a value; False, None and defaults are left out.
    """
    if not isinstance(candidate, str):
        return ""
    defaults = {"pack": "core", "device": "cpu", "seed": 0}
    words = ["svref", "check", candidate, "--loss", loss]
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name}"] * value
        elif value not in (None, defaults.get(name)):
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def compute_of(name: str | None, kind: np.dtype[Any]) -> str:
    """Return the format that the candidate computes in; raise a ValueError if it is unknown or wider than the dtype."""
    if name is None:
        return kind.name
    if name not in FORMATS:
        raise ValueError(f"compute must be one of {', '.join(FORMATS)}; got {name!r}.")
    if format_of(name).digits > format_of(kind.name).digits:
        raise ValueError(f"compute must be no wider than dtype, {kind.name}: outputs do not hold it; got {name}.")
    return name


def pack_of(pack: str) -> Vectors:
    """Return a pack that ships, by its name, or the one in a directory."""
    if pack in shipped():
        return load_vectors(pack=pack)
    if not Path(pack).is_dir():
        known = ", ".join(shipped())
        raise ValueError(f"pack must be one of {known}, or a directory with a manifest.json; got {pack!r}.")
    return load_vectors(pack)


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
    """Judge plain arrays, without a function and without files: on what svref computes for the same inputs.

    Parameters
    ----------
    loss : SVXSoftmax or str
        The loss that was computed; a name stands for that variant with its default parameters.
    cosines : array_like of float32 or float64, shape (B, C)
        The inputs. Their dtype is the format that the tolerance is for.
    labels : array_like, shape (B,) of integers, or one-hot (B, C)
        The target classes.
    losses : array_like, shape (B,)
        The losses to judge.
    gradient : array_like, shape (B, C), optional
        The gradient of Σ cotangent_b L_b by the cosines.
    cotangent : array_like, shape (B,), optional
        None is a vector of ones, the gradient of the sum.
    ignore_index : int, optional
        Rows with this label are not judged.

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
    expected = expect(loss, [step.cosines], step.labels, g, compute, step.counted)
    in_float64 = (step.cosines.astype(np.float64),)
    judgement = judge(expected, outputs)
    trial = Trial("", "", "", loss, {}, in_float64, step.labels, g, compute, outputs, None, judgement)
    header = {"svref": __version__, "candidate": "plain arrays", "loss": repr(loss), "dtype": compute,
              "compute": compute, "cases": 1}  # fmt: skip
    return report_of(Run(trials=[trial]), header, "", None)


def _values(values: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return arrays and tensors in their own dtype, and numbers in lists in the dtype of the cosines."""
    return to_numpy(values) if hasattr(values, "dtype") else np.asarray(values, dtype=dtype)
