"""The check: judge a candidate on golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref import checks
from svref._version import __version__
from svref.checks import Progress
from svref.conformance.candidates.adapters import AnswersAdapter
from svref.conformance.candidates.arguments import words_of_map
from svref.conformance.candidates.call import Level
from svref.conformance.candidates.loading import candidate_name, dtype_of, guarded, is_answers, variant_of
from svref.conformance.candidates.process import untouched
from svref.conformance.checking.asking import FACTORS, Plan
from svref.conformance.checking.report import Report, report_of
from svref.conformance.checking.reproduce import command_of
from svref.conformance.checking.run import run, run_variation
from svref.conformance.checking.variations.trying import numbers_of, usual_number
from svref.deviations.dialects import dialect as dialect_of
from svref.golden.vectors import Vector, Vectors
from svref.golden.vectors import load as load_vectors
from svref.judging.formats import FORMATS, format_of
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
    map: Mapping[str, Any] | Sequence[str] | None = None,
    case: str | None = None,
    timeout: float | None = None,
    strict: bool = False,
    invalid: bool = True,
    partial: bool = False,
    finite: bool = False,
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
        Which vectors: "core", "paper" or "seed", which ship, or the directory of a pack.
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
    map : mapping or sequence of str, optional
        What the arguments of the candidate mean, where their names do not say it: {"margin": "m", "W": "weights"}, or
        texts such as "margin=m". On the right stands cosines, embeddings, weights, labels, one_hot, norms, C, D or a
        parameter; or a value that the argument gets in every call. "return" chooses one of several results.
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
    finite : bool, default False
        Whether a gradient that is NaN or infinite at a pole, where cos θ_y = ±1, makes the verdict FAIL.
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
    vectors = load_vectors(pack=pack)
    guard, level, ignores = guarded(candidate, entry, framework, device, kind, timeout, map)
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
               "reduction": reduction, "dialect": dialect, "map": words_of_map(map), "timeout": timeout,
               "strict": strict, "no-invalid": not invalid, "partial": partial, "finite": finite,
               "variations": variations,
               "seed": seed}  # fmt: skip
    strict |= all(vector.result == "error" for vector in cases)
    command = command_of(candidate, entry.name, options)
    return report_of(result, header, command, entry, strict, guard.printed, partial, finite)


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
        **({"taken": plan.guard.taken} if plan.guard.taken else {}),
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


def compute_of(name: str | None, kind: np.dtype[Any]) -> str:
    """Return the format that the candidate computes in; raise a ValueError if it is unknown or wider than the dtype."""
    if name is None:
        return kind.name
    if name not in FORMATS:
        raise ValueError(f"compute must be one of {', '.join(FORMATS)}; got {name!r}.")
    if format_of(name).digits > format_of(kind.name).digits:
        raise ValueError(f"compute must be no wider than dtype, {kind.name}: outputs do not hold it; got {name}.")
    return name
