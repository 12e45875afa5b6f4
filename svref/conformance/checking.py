"""The check: a candidate, or plain arrays, against what is right."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from svref import inputs
from svref._version import __version__
from svref.conformance import adapters, reference
from svref.conformance.adapters import answers
from svref.conformance.adapters.arrays import plain
from svref.conformance.candidate import Call, Level, level_of, load, names
from svref.conformance.guard import Guard
from svref.conformance.report import Report
from svref.conformance.reporting import report_of
from svref.conformance.running import FACTORS, Plan, Progress, Run, check_outputs, run
from svref.conformance.trial import Trial
from svref.dialects import dialect as dialect_of
from svref.formats import FORMATS
from svref.golden.vectors import Vector, Vectors, shipped
from svref.golden.vectors import load as load_vectors
from svref.judge import judge
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS, Variant


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
    progress: Progress = iter,
) -> Report:
    """Judge an implementation of a variant on the golden vectors of that variant.

    Parameters
    ----------
    candidate : callable or str
        ``f(cosines, labels, *, s, ...)`` or ``f(embeddings, weights, labels, *, s, ...)`` with the variant's
        parameters as keywords; where to find it, "path/file.py:name" or "package.module:name"; or a directory or file
        of answers, format svref-answers/1. Without autograd it returns (losses (B,), gradient (B, C)), or the losses
        and the gradients by embeddings and weights, of Σ cotangent_b L_b if it names ``cotangent=``, else of the sum.
        With autograd (PyTorch, JAX, TensorFlow) it returns per-sample losses, or their sum or mean. Either may return
        a dict with "loss" and the quantities on the way: cosines, margin_cosine, mask, relative_logits.
    loss : str
        The variant's name, a key of `VARIANTS`.
    pack : str, default "core"
        Which vectors: "core", "paper" or "seed", which ship, or a directory with a manifest.json.
    dtype : {"float64", "float32"}
        The dtype of inputs and outputs.
    compute : {"float64", "float32", "float16", "bfloat16"}, optional
        The format the candidate computes in, which the tolerance is for; None is `dtype`.
    framework : str, optional
        "numpy", "torch", "jax", "tensorflow", "tf.function" or "array-api:<module>"; None: found out.
    device : str, default "cpu"
        Where a PyTorch candidate runs, "cuda" for example.
    reduction : {"none", "sum", "mean"}, optional
        What the candidate returns; None: found out.
    dialect : str, optional
        Judge a port of public code instead of the paper: a key of `DIALECTS`.
    case : str, optional
        The id of the only case to judge.
    timeout : float, optional
        Seconds after which a call counts as hung.
    strict : bool, default False
        Whether inputs that must raise are judged too.
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
    vectors = load_vectors(pack=pack) if pack in shipped() else load_vectors(pack)
    guard, level, ignores = guarded(candidate, entry, framework, device, kind, timeout)
    used = _format(compute or kind.name)
    spoken = dialect_of(dialect) if dialect else None
    plan = Plan(guard, level, kind, used, spoken, live=not _is_answers(candidate), ignores=ignores)
    cases, left_out = _cases(vectors, entry, plan, case)
    found = run(plan, cases, reduction, progress)
    header = {
        "svref": __version__, "vectors": f"{vectors.name} {vectors.version}", "digest": vectors.digest,
        "candidate": candidate_name(candidate), "loss": entry.name, "dialect": spoken.name if spoken else "",
        "framework": guard.adapter.description, "dtype": kind.name, "compute": used, "cases": len(cases),
        "left_out": left_out,
    }  # fmt: skip
    options = {"pack": pack, "dtype": kind.name, "compute": compute, "framework": framework, "device": device,
               "reduction": reduction, "dialect": dialect}  # fmt: skip
    return report_of(found, header, _command(candidate, entry.name, options), entry, strict, guard.printed)


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
    g = inputs.row_cotangent(cotangent, len(step.labels))
    outputs = {"loss": _values(losses, step.cosines.dtype)}
    outputs |= {} if gradient is None else {"grad_cosines": _values(gradient, step.cosines.dtype)}
    check_outputs(outputs, Call("", (step.cosines,), step.labels, g, {}), None)
    compute = step.cosines.dtype.name
    right = reference.of(loss, [step.cosines], step.labels, g, compute, step.counted)
    exact = (step.cosines.astype(np.float64),)
    trial = Trial("", "", loss, {}, exact, step.labels, g, compute, outputs, None, judge(right, outputs))
    header = {"svref": __version__, "candidate": "plain arrays", "loss": repr(loss), "dtype": compute,
              "compute": compute, "cases": 1}  # fmt: skip
    return report_of(Run(trials=[trial]), header, "", None)


def guarded(
    candidate: Callable[..., Any] | str,
    entry: Variant,
    framework: str | None,
    device: str,
    kind: Any,
    timeout: float | None,
) -> tuple[Guard, Level | None, bool]:
    """Return what calls the candidate, its level, and whether it takes ``ignore_index``."""
    if _is_answers(candidate):
        return Guard(answers.read(Path(str(candidate)))), None, False
    function = load(candidate) if isinstance(candidate, str) else candidate
    level = level_of(function, entry.parameters)
    made = adapters.adapter(function, framework, level, entry.parameters, device, kind)
    return Guard(made, timeout), level, names(function, "ignore_index")


def _is_answers(candidate: Callable[..., Any] | str) -> bool:
    """Return whether a candidate is a directory or a file of answers."""
    return isinstance(candidate, str) and (Path(candidate).is_dir() or candidate.endswith(".json"))


def _cases(vectors: Vectors, entry: Variant, plan: Plan, case: str | None) -> tuple[list[Vector], int]:
    """Return the cases to judge, and how many are left out because the dtype does not hold their inputs."""
    known = [v for v in vectors if v.variant == entry.name and plan.level in (None, v.level)]
    if plan.dialect is not None:
        known = [v for v in known if v.result != "error"]
    if case is not None:
        known = [v for v in known if v.id == case]
    cases = [v for v in known if plan.dtype.name in v.dtypes]
    if not any(v.result != "error" for v in cases):
        what = f"no case {case!r} of" if case else "no cases of"
        raise ValueError(
            f"pack {vectors.name} has {what} {entry.name} for a candidate on {_TAKES[plan.level]} in {plan.dtype}; "
            f"see svref golden list --variant {entry.name}."
        )
    return cases, len(known) - len(cases)


_TAKES: dict[Level | None, str] = {"cosine": "cosines", "head": "embeddings and weights", None: "anything"}


def _command(candidate: Callable[..., Any] | str, loss: str, options: dict[str, str | None]) -> str:
    """Return the command that does the same; "" for a function that has no path."""
    if not isinstance(candidate, str):
        return ""
    defaults = {"pack": "core", "device": "cpu"}
    words = ["svref", "check", candidate, "--loss", loss]
    for name, value in options.items():
        if value is not None and value != defaults.get(name):
            words += [f"--{name}", value]
    return shlex.join(words)


def candidate_name(candidate: Callable[..., Any] | str) -> str:
    """Return what a candidate is called."""
    return candidate if isinstance(candidate, str) else getattr(candidate, "__name__", type(candidate).__name__)


def _values(values: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return arrays and tensors in the dtype they came in; numbers in lists in the dtype of the cosines."""
    return plain(values) if hasattr(values, "dtype") else np.asarray(values, dtype=dtype)


def variant_of(loss: object) -> Variant:
    """Return the entry of a variant's name; a ValueError lists them."""
    name = str(loss).replace("_", "-")
    if name not in VARIANTS:
        raise ValueError(f"loss must be one of {', '.join(VARIANTS)}; got {loss!r}.")
    return VARIANTS[name]


def dtype_of(dtype: DTypeLike) -> np.dtype[Any]:
    """Return one of the two dtypes; a ValueError names them."""
    known: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if name not in known:
        raise ValueError(f"dtype must be float32 or float64; got {name}.")
    return known[name]


def _format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"compute must be one of {', '.join(FORMATS)}; got {name!r}.")
    return name
