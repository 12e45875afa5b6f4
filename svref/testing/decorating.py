"""`cases`, the decorator for pytest, and `load_cases` for unittest and all else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from svref.conformance.candidates.call import CandidateError
from svref.conformance.candidates.loading import dtype_of, variant_of
from svref.conformance.candidates.process import untouched
from svref.conformance.checking.check import check_of
from svref.conformance.checking.judged import Options
from svref.conformance.checking.reproduce import path_of
from svref.conformance.checking.stepwise import Stepwise, stepwise
from svref.golden.files.pack import VectorsError
from svref.testing.case import Case, cases_of
from svref.testing.configured import Entry, entries
from svref.testing.expecting import Expectation, expectation, joined
from svref.testing.naming import DTYPES, check_name, nearest
from svref.testing.suite import Suite, related
from svref.variants import VARIANTS, spelt

Candidate = Callable[..., Any] | str


class Asked(TypedDict, total=False):
    """The keywords of `cases` and `load_cases` that are those of `svref.check`."""

    dtype: str | Sequence[str] | None
    parameters: Mapping[str, float] | None
    pack: str
    precision: str | None
    framework: str | None
    device: str
    reduction: str | None
    dialect: str | None
    map: Mapping[str, Any] | Sequence[str] | None
    case: str | Sequence[str] | None
    timeout: float | None
    strict: bool
    invalid: bool
    partial: bool
    finite: bool
    variations: int | None
    seed: int


def cases(
    candidate: Candidate,
    loss: str,
    *,
    expect: str | Mapping[str, str] | None = None,
    reason: str = "",
    until: Any = None,
    **asked: Unpack[Asked],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make one test of a test function for each case and dtype, for pytest.

    Parameters
    ----------
    candidate : class, instance, function or str
        What `svref.check` takes.
    loss : str
        The variant's name.
    expect : str or mapping of str to str, optional
        The name of a mistake that is known; the names of several are joined by "with". The cases that fail by it are
        xfailed. That it is gone, or another one, is an error. A mapping has the names by dtype. Known failures in
        pyproject.toml that are about the candidate are added.
    reason : str, default ""
        Why the mistake is not mended yet.
    until : date or str, optional
        The last day on which the mistake is accepted, such as "2027-01-31".
    **asked
        The options of `svref.check`: dtype (one or a list; None is both), parameters, pack, dialect, map, case,
        compute, framework, device, reduction, timeout, strict, invalid, partial, finite, variations and seed.

    Returns
    -------
    callable
        The decorator. The function gets each `Case` as its argument ``case``.

    Raises
    ------
    pytest.Collector.CollectError
        If the candidate cannot be loaded, or a name is unknown. pytest shows the message alone.
    """
    import pytest

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            with untouched():
                test = f"{function.__module__}:{function.__qualname__}"
                start = Path(inspect.getfile(inspect.unwrap(function))).resolve().parent
                found = _cases(candidate, loss, asked, (expect, reason, until), test, start)
        except (CandidateError, VectorsError, ValueError, TypeError) as error:
            raise pytest.Collector.CollectError(f"svref.testing.cases of {function.__name__}: {error}") from None
        return pytest.mark.parametrize("case", found, ids=[case.id for case in found])(function)

    return decorate


def load_cases(
    candidate: Candidate,
    loss: str,
    *,
    expect: str | Mapping[str, str] | None = None,
    reason: str = "",
    until: Any = None,
    **asked: Unpack[Asked],
) -> list[Case]:
    """Return the cases of a candidate, for unittest and for loops of your own; each has an `id` and a `check`.

    The parameters are those of `cases`.

    Raises
    ------
    CandidateError, ValueError, TypeError, VectorsError
        As `svref.check`; and if a known failure names nothing that is known.
    """
    with untouched():
        return _cases(candidate, loss, asked, (expect, reason, until), "", Path.cwd())


def _cases(
    candidate: Candidate, loss: str, asked: Asked, known: tuple[Any, str, Any], test: str, start: Path
) -> list[Case]:
    """Return the cases of a candidate in the dtypes that were asked for."""
    named = _dtypes(asked.get("dtype"))
    steps = _steps(candidate, loss, asked, named)
    configured = entries(start)
    names = names_of_candidate(candidate)
    suites = [Suite(test, names[1], step, _expectation(step, names, known, configured)) for step in steps]
    if not named:
        related(suites)
    return [case for suite in suites for case in cases_of(suite, in_pytest=bool(test))]


def _dtypes(dtype: str | Sequence[str] | None) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes that were asked for by name; none if none was."""
    if dtype is None:
        return ()
    several: Sequence[Any] = dtype if isinstance(dtype, (list, tuple)) else [dtype]
    for one in several:
        if isinstance(one, str):
            check_name("dtype", one, DTYPES)
    return tuple(dict.fromkeys(dtype_of(one) for one in several))


def _steps(candidate: Candidate, loss: str, asked: Asked, kinds: tuple[np.dtype[Any], ...]) -> list[Stepwise]:
    """Return the check piece by piece, one for each dtype; an error on an unknown name has the nearest one."""
    for key in asked:
        if key not in Asked.__annotations__:
            raise TypeError(f"there is no option {key!r}{nearest(key, Asked.__annotations__)}.")
    if spelt(loss) not in VARIANTS:
        check_name("loss", str(loss), VARIANTS)
    wanted = asked.get("case")
    ids = (wanted,) if isinstance(wanted, str) else tuple(wanted or ())
    others: dict[str, Any] = {k: v for k, v in asked.items() if k not in ("dtype", "parameters", "case")}
    check = check_of(candidate, loss, kinds or None, asked.get("parameters") or {}, Options(cases=ids, **others))
    try:
        return stepwise(check)
    except ValueError as error:
        known = [v.id for v in check.vectors if v.variant == variant_of(loss).name]
        near = next((nearest(one, known) for one in ids if one not in known), "")
        raise ValueError(f"{str(error).rstrip('.')}{near}.") from None


def _expectation(
    step: Stepwise, names: Sequence[str], known: tuple[Any, str, Any], configured: Sequence[Entry]
) -> Expectation | None:
    """Return the known failures of a candidate in one dtype, from the decorator and the file; None if there is none."""
    (expect, reason, until), dtype = known, step.kind.name
    mistake = expect.get(dtype) if isinstance(expect, Mapping) else expect
    if isinstance(expect, Mapping):
        for name in expect:
            check_name("dtype", name, DTYPES)
    own = [expectation(mistake, reason, until, "expect=")] if mistake else []
    return joined([*own, *(e.expectation for e in configured if e.applies(names, step.check.entry.name, dtype))])


def names_of_candidate(candidate: Candidate) -> tuple[str, ...]:
    """Return the names by which the file pyproject.toml may call a candidate; the second says where it is."""
    if isinstance(candidate, str):
        return (candidate.rpartition(":")[2], candidate)
    thing = candidate if inspect.isroutine(candidate) or inspect.isclass(candidate) else type(candidate)
    name = getattr(thing, "__qualname__", thing.__name__)
    return (thing.__name__, f"{thing.__module__}:{name}", path_of(thing))
