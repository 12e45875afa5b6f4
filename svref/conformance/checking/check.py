"""The check: judge a candidate on golden vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svref import checks
from svref.checks import Progress
from svref.conformance.candidates.loading import dtype_of, variant_of
from svref.conformance.candidates.process import untouched
from svref.conformance.checking.asking import FACTORS
from svref.conformance.checking.judged import Check, Options, precision_in
from svref.conformance.checking.report import Report
from svref.conformance.checking.subject import fixed_parameters, subject_of
from svref.golden.vectors import load as load_vectors
from svref.judging.precision import precision_of

MOST_VARIATIONS, MOST_SEEDS = 10_000, 10**9


@untouched()
def check(
    candidate: Callable[..., Any] | str,
    loss: str,
    *,
    pack: str = "core",
    dtype: DTypeLike | None = None,
    precision: str | None = None,
    parameters: Mapping[str, float] | None = None,
    framework: str | None = None,
    device: str = "cpu",
    reduction: str | None = None,
    dialect: str | None = None,
    map: Mapping[str, Any] | Sequence[str] | None = None,
    case: str | Sequence[str] | None = None,
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
        dict with "loss" and stages of the loss, such as "mask", which are then judged one by one; what is not written
        yet is ``...``.
    loss : str
        The variant's name, a key of `VARIANTS`, in any case of letters, with hyphens or underscores.
    pack : str, default "core"
        Which vectors: "core", "paper" or "seed", which ship, or the directory of a pack.
    dtype : {"float64", "float32"}, optional
        The dtype of inputs and outputs. None is both: the report is then that of the dtype with the worse verdict, and
        ``report.of["float32"]`` is that of one of them. A dtype that the candidate refuses is left out.
    precision : str, optional
        Where the candidate rounds: a plan of `PRECISIONS`, such as "autocast-bfloat16" or "float16", with stages
        changed after it where need be: "fused-bfloat16,product=float8_e4m3fn". Inputs are then numbers of the plan's
        format, in the dtype of that format, or in `dtype` if that is given. PyTorch runs under autocast where the plan
        does. None is `dtype` throughout.
    parameters : mapping, optional
        Parameters that are fixed, such as ``{"s": 32, "m": 0.35}``: all cases are judged at these values, as the paper
        counts them. A candidate that does not take one of them is called without it.
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
    case : str or sequence of str, optional
        The ids of the only cases to judge, or of variations, such as "sv-am-softmax-variation-0-7". If the inputs of
        all of them must raise, the check fails unless the candidate raises.
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
    checks.check_progress(progress)
    wanted = (case,) if isinstance(case, str) else tuple(case or ())
    options = Options(
        pack, precision, framework, device, reduction, dialect, map, wanted, timeout, strict, invalid, partial,
        finite, variations, seed,
    )  # fmt: skip
    kinds = None if dtype is None else (dtype_of(dtype),)
    return check_of(candidate, loss, kinds, parameters or {}, options).report(progress or _ignored)


def check_of(
    candidate: Callable[..., Any] | str,
    loss: str,
    kinds: tuple[np.dtype[Any], ...] | None,
    parameters: Mapping[str, float],
    options: Options,
) -> Check:
    """Return the check of a candidate, which is loaded and read; nothing is asked yet.

    `kinds` are the dtypes to judge it in; None is both. The errors are those of `check`.
    """
    entry, plan = variant_of(loss), None if options.precision is None else precision_of(options.precision)
    _check_options(options)
    vectors, fixed = load_vectors(pack=options.pack), fixed_parameters(entry, parameters)
    subject = subject_of(
        candidate, entry, options.framework, options.device, kinds, options.timeout, fixed, options.map, plan
    )
    for kind in subject.kinds:
        precision_in(options.precision, kind, subject.level)  # raises for a plan that is wider than the dtype
    return Check(subject, entry, vectors, options)


def _check_options(options: Options) -> None:
    """Raise a ValueError unless the options of a check fit together and lie in their ranges."""
    checks.integer_parameter("variations", options.variations or 0, 0, MOST_VARIATIONS)
    checks.integer_parameter("seed", options.seed, 0, MOST_SEEDS)
    if options.reduction is not None and options.reduction not in FACTORS:
        raise ValueError(f"reduction must be one of {', '.join(FACTORS)}; got {options.reduction!r}.")
    if options.strict and not options.invalid:
        raise ValueError(
            "strict judges the inputs that must raise, but invalid=False leaves them out; give one of the two."
        )


def _ignored(done: int, total: int) -> None:
    """Do nothing: a check without a progress function."""
