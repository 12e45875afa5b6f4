"""Which known mistakes given data could not have shown: each is computed on the data, and would pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.checking.outcome import Unshown
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS, Deviation
from svref.golden.making.power import can_be_exposed, outputs_of
from svref.golden.vectors import load
from svref.judging.expected import expect
from svref.judging.judge import Expected, Outputs, judge
from svref.loss import SVXSoftmax
from svref.variants import VARIANTS

MOST = 2**23  # numbers that are computed at most, of all mistakes together: about two seconds
LEAST_ROWS = 2  # one row alone shows no mistake of batches


def unshown(trial: Trial, variant: str | None) -> Unshown:
    """Return which known mistakes the inputs of a trial could not have shown, and which cases of core show them.

    A mistake is shown if an output that was given, as the wrong code would return it, is judged wrong. Large batches
    are tried in parts, as long as `MOST` allows; `Unshown.rows` says how many rows that were.

    Parameters
    ----------
    trial : Trial
        The data, as they were judged.
    variant : str or None
        The name of the loss; None finds out which variant it is one of.
    """
    names = list(_possible(trial))
    left, rows = list(names), 0
    for part, expected in _parts(trial, len(names)):
        left = [name for name in left if not _is_shown(trial, part, expected, DEVIATIONS[name])]
        rows = part.stop
    variant = variant or _variant_of(trial.loss)
    groups = _groups(left, variant, trial) if rows else dict.fromkeys(left, "")
    return Unshown(groups, len(names), variant or "", rows, len(trial.labels))


def _possible(trial: Trial) -> Iterator[str]:
    """Yield the mistakes that can be made in the loss, and that some data at this level and in this format show."""
    for name, deviation in DEVIATIONS.items():
        if can_be_exposed(trial.level, trial.loss, name, trial.precision) and deviation.applies(trial.loss):
            yield name


# ---- the parts of a batch ----------------------------------------------------------------------------------------


def _parts(trial: Trial, mistakes: int) -> Iterator[tuple[slice, Expected]]:
    """Yield the whole batch if it is small enough; else parts of more and more rows, with what is right for each.

    The parts end where all mistakes on the next one would take more than is left of `MOST`. A scalar is one number for
    the whole batch, and has no parts.
    """
    total = len(trial.labels)
    if mistakes * _numbers(trial, total) <= MOST:
        yield slice(0, total), trial.expected
        return
    spent, start, count = 0, 0, LEAST_ROWS
    while trial.factor is None and start < total:
        count = min(count, total - start)
        spent += mistakes * _numbers(trial, count)
        if spent > MOST:
            return
        part = slice(start, start + count)
        arrays = _rows_of(trial.inputs, part)
        yield part, expect(trial.loss, arrays, trial.labels[part], trial.cotangent[part], trial.precision)
        start, count = part.stop, 2 * count


def _numbers(trial: Trial, rows: int) -> int:
    """Return how many numbers one computation on so many rows makes: the cosines, and those of a head's vectors."""
    others = trial.arrays[1].size if trial.level == "head" else 0
    classes = len(trial.arrays[1]) if trial.level == "head" else 0
    return rows * (trial.arrays[0].shape[1] + classes) + others


def _rows_of(arrays: Sequence[FloatArray], part: slice) -> list[FloatArray]:
    """Return the inputs of some rows: the cosines, or the embeddings and all weights."""
    first, *rest = arrays
    return [first[part], *rest]


# ---- one mistake -------------------------------------------------------------------------------------------------


@np.errstate(all="ignore")  # wrong code overflows and divides by zero; that is its result
def _is_shown(trial: Trial, part: slice, expected: Expected, deviation: Deviation) -> bool:
    """Return whether code with a mistake would fail on a part of the data, by the outputs that were given."""
    arrays = _rows_of(trial.arrays, part)
    wrong = outputs_of(deviation, trial.loss, arrays, trial.labels[part], trial.cotangent[part])
    return judge(expected, _as_returned(trial, wrong)).wrong


def _as_returned(trial: Trial, wrong: Outputs) -> Outputs:
    """Return outputs as the code would return them: those that were given, reduced alike, in the dtype of the data."""
    if trial.factor is not None:
        wrong = {**wrong, "loss": np.asarray(trial.factor * wrong["loss"].sum())}
    return {name: wrong[name].astype(trial.expected.dtype) for name in trial.outputs}


# ---- where to find data that show it -----------------------------------------------------------------------------


def _variant_of(loss: SVXSoftmax) -> str | None:
    """Return the variant that a loss is one of, whatever its parameters; None if it is none."""

    def kind(one: SVXSoftmax) -> tuple[object, ...]:
        return type(one.margin), one.emphasis.form, one.emphasis.t > 1, one.emphasis.boundary

    return next((name for name, entry in VARIANTS.items() if kind(entry.factory()) == kind(loss)), None)


def _groups(names: Sequence[str], variant: str | None, trial: Trial) -> dict[str, str]:
    """Return, for each mistake, a group of core whose cases show it; as few groups as are needed. "" if none does."""
    shown: dict[str, set[str]] = {}
    for vector in load():
        if vector.level == trial.level and variant in (None, vector.variant):
            exposed = vector.case.get("power", {}).get(trial.precision, {"firm": ()})
            shown.setdefault(vector.group, set()).update(exposed["firm"])
    found, left = dict.fromkeys(names, ""), set(names)
    while best := max(shown, key=lambda group: len(shown[group] & left), default=""):
        if not shown[best] & left:
            break
        found |= dict.fromkeys((name for name in names if name in shown[best] & left), best)
        left -= shown.pop(best)
    return found
