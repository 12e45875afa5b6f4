"""A candidate that gets all cases right is asked batches unlike them, and if one is wrong, why it is.

svref's own numbers are right here, whose errors are less than half of what is allowed. Where python-flint is
installed, an answer whose worst error is about one tolerance is judged by certified numbers.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from svref.conformance.candidates.call import Adapter, Call
from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking.asking import FACTORS, Plan, asked
from svref.conformance.checking.controls import NO_EVIDENCE, CallFinding
from svref.conformance.checking.outcome import Variations, but_should_be
from svref.conformance.checking.variations.causes import Cause, cause_of
from svref.conformance.mistakes.explanations import Diagnosis, explanations
from svref.conformance.trial import Trial
from svref.formats import STORED, format_of
from svref.golden.making.batches import PLAIN, SHAPES, Batch, batches
from svref.judging.expected import certify
from svref.judging.precision import WIDE, precision_of
from svref.variants import VARIANTS, Variant

GROUP, _INFIX = "variations", "variation"
NOT_SURE = (0.5, 2.0)  # times the tolerance: between these, svref's own errors could matter
MOST_SEARCHED = 500  # entries (B, C) of a batch
MOST_CERTIFIED = 20_000  # entries (B, C) of a batch; certified numbers take 50 μs each


def usual_number(adapter: Adapter) -> int:
    """Return how many batches a run asks: each shape three times, or once where the framework compiles each shape."""
    return (3 if len(adapter.layouts) > 1 else 1) * len(SHAPES)


def id_of(variant: str, seed: int, i: int) -> str:
    """Return the id of a variation, by which ``--case`` asks for it."""
    return f"{variant}-{_INFIX}-{seed}-{i}"


def numbers_of(case: str | None, variant: str) -> tuple[int, int] | None:
    """Return the seed and the number in the id of a variation; None for other ids."""
    found = re.fullmatch(rf"{re.escape(variant)}-{_INFIX}-(\d{{1,18}})-(\d{{1,4}})", case or "")
    return None if found is None else (int(found[1]), int(found[2]))


Refusal = tuple[str, str]  # the feature that a candidate refuses; the same with its error


@dataclass
class Asker:
    """Asks a candidate batches.

    Parameters
    ----------
    plan : Plan
        How it is asked and judged.
    variant, reduction : str
        The variant; what the candidate returns: "none", "sum" or "mean".
    takes_cotangent : bool
        Whether the gradients are for any cotangent. Otherwise it is 1, or 1/B in a mean: a batch with another one
        would have to be asked row by row.
    """

    plan: Plan
    variant: str
    reduction: str
    takes_cotangent: bool

    @property
    def entry(self) -> Variant | None:
        """The variant, whose slips may explain a failure; None for a dialect, which has none."""
        return VARIANTS[self.variant] if self.plan.dialect is None else None

    def ask(self, batch: Batch, name: str = "") -> Trial | Mishap:
        """Return the judged answer to a batch, or why there is none."""
        factor = FACTORS[self.reduction](batch.rows) or 1.0
        g = batch.cotangent if self.takes_cotangent else np.full(batch.rows, factor)
        g = precision_of(self.plan.precision).loss_scale * g
        arrays = tuple(a.astype(self.plan.dtype) for a in batch.arrays)
        call = Call(name, arrays, batch.target_classes, g, batch.parameters, batch.layout)
        result = asked(self.plan, self.plan.question_of(call, self.variant, GROUP), self.reduction)
        return _certified(result) if isinstance(result, Trial) else result

    def fails(self, batch: Batch) -> bool:
        """Return whether the answer to a batch is wrong, or an exception."""
        return is_wrong(self.ask(batch))

    def fails_again(self, trial: Trial) -> bool:
        """Return whether a case is wrong now."""
        return is_wrong(asked(self.plan, self.plan.question_again(trial), self.reduction))


def is_wrong(result: Trial | Mishap) -> bool:
    """Return whether an answer is wrong, or missing for another reason than that the candidate declines."""
    return result.kind not in NO_EVIDENCE if isinstance(result, Mishap) else result.failed


def try_variations(
    asker: Asker, trials: Sequence[Trial], seed: int, number: int, done: Callable[[int], object]
) -> tuple[Variations, list[CallFinding | Mishap]]:
    """Ask the batches of a seed; return what was found, with the causes of failures.

    `trials` are the cases, all right. `done` is called after each batch with how many are done.
    """
    declined, first_of = Counter[str](), dict[str, str]()
    failing: list[tuple[str, Batch]] = []
    mishaps: list[CallFinding | Mishap] = []
    passed = 0
    for i, batch in enumerate(_batches(asker, seed, number)):
        name = id_of(asker.variant, seed, i)
        batch, result, refused = _asked_or_plainer(asker, batch, name)
        declined.update([first_of.setdefault(*refused)] if refused else [])
        if isinstance(result, Mishap) and result.kind == "hung":
            mishaps.append(result)
        elif isinstance(result, Mishap) and result.kind == "unsupported":
            declined[result.message] += 1
        elif is_wrong(result):
            failing.append((name, batch))
        else:
            passed += 1
        done(i + 1)
    found = Variations(seed, number, passed, len(failing), dict(declined))
    return found, [*mishaps, *findings_on(asker, failing, trials)]


def one_variation(asker: Asker, seed: int, i: int) -> tuple[Batch, Trial | Mishap]:
    """Return a single batch of a seed, or the plainer one that was answered in its place, and the judged answer."""
    batch = next(itertools.islice(_batches(asker, seed, i + 1), i, None))
    return _asked_or_plainer(asker, batch, id_of(asker.variant, seed, i))[:2]


def _batches(asker: Asker, seed: int, number: int) -> Iterator[Batch]:
    """Yield the batches of a seed.

    In a narrow format the inputs and the parameters have few digits. Under any plan but float64 and float32, targets
    lie far from the negatives: else most rows of many classes would have more decisions within rounding than can be
    judged.
    """
    plan = asker.plan
    narrow = plan.precision != plan.dtype.name
    layouts = plan.guard.adapter.layouts
    decided = precision_of(plan.precision).name not in WIDE
    digits = format_of(precision_of(plan.precision).inputs(plan.level or "cosine")).digits
    for batch in batches(asker.variant, seed, number, plan.level == "head", digits, layouts, narrow, decided):
        yield replace(batch, parameters={**batch.parameters, **plan.fixed})


def _asked_or_plainer(asker: Asker, batch: Batch, name: str) -> tuple[Batch, Trial | Mishap, Refusal | None]:
    """Ask a batch; where that raises, ask it with int64 labels, and laid out row by row.

    Returns the batch that was answered, the result, and what the candidate refuses: code may refuse other dtypes and
    layouts, as long as it says so.
    """
    result = asker.ask(batch, name)
    if not isinstance(result, Mishap) or result.kind in NO_EVIDENCE:
        return batch, result, None
    for plainer, what in (
        (replace(batch, labels="int64"), f"{batch.labels} labels"),
        (replace(batch, layout=PLAIN), f"{batch.layout} arrays"),
        (replace(batch, labels="int64", layout=PLAIN), f"{batch.layout} arrays with {batch.labels} labels"),
    ):
        answered = asker.ask(plainer, name) if plainer != batch else result
        if isinstance(answered, Trial):
            return plainer, answered, (what, f"{what}: {result.message.split(' (called')[0]}")
    return batch, result, None


def findings_on(
    asker: Asker, failing: Sequence[tuple[str, Batch]], trials: Sequence[Trial]
) -> Iterator[CallFinding | Mishap]:
    """Yield why the smallest and the largest failing batch fail; a reason that only adds to the other is left out."""
    by_size = sorted(failing, key=lambda pair: pair[1].rows * pair[1].classes)
    seen = set[str]()
    for name, batch in by_size[:1] + by_size[1:][-1:]:  # each takes some fifty calls
        finding = _finding(asker, name, batch, trials)
        said = finding.name if isinstance(finding, CallFinding) else finding.message
        if not any(said.startswith(other) for other in seen):
            seen.add(said)
            yield finding


def _finding(asker: Asker, name: str, batch: Batch, trials: Sequence[Trial]) -> CallFinding | Mishap:
    """Return why a batch fails: hidden state, a feature of the batch, or a known mistake that the cases do not show."""
    if not asker.fails(batch):
        return CallFinding("hidden-state", name, "the answer is wrong at first, and right when asked again")
    cause = cause_of(batch, asker.fails, asker.variant)
    if not cause.features and trials and asker.fails_again(trials[0]):
        return CallFinding("hidden-state", trials[0].id, "the case was right, and is wrong when asked again")
    result = asker.ask(cause.batch, name)
    if isinstance(result, Mishap):
        return replace(result, message=f"no answer {cause.features}: {result.message}")
    right_dtype = not any(q.note for q in result.judgement.quantities)
    known = _known_mistake([*trials, result], asker.entry, bool(cause.features)) if right_dtype else None
    text = f"{_described(cause, result)}: {_worst(result)}"
    if known is None:
        return CallFinding(_name(cause), name, text)
    return CallFinding(known.name if cause.of_values else _name(cause), name, text, known.formula)


def _known_mistake(trials: Sequence[Trial], entry: Variant | None, only_single: bool) -> Diagnosis | None:
    """Return the mistake that explains the wrong trial and contradicts no right one; None if none does.

    Only single ones are tried on a large batch, where all would take minutes, and with `only_single`, where the
    condition under which the candidate is wrong is known.
    """
    is_large = trials[-1].labels.size * trials[-1].expected.classes > MOST_SEARCHED
    found = explanations(trials, entry, only_single=only_single or is_large)
    return next((e.diagnosis for e in found if e.diagnosis.complete), None)


def _name(cause: Cause) -> str:
    """Return the name of the finding."""
    return f"wrong {cause.features}" if cause.features else "wrong for batches unlike the cases"


def _described(cause: Cause, trial: Trial) -> str:
    """Return the batch that shows it in words; numbers of one digit more than a format holds suggest a cast to it."""
    batch = cause.batch
    parameters = ", ".join(f"{name}={value:.6g}" for name, value in trial.parameters.items())
    dimensions = f", D = {batch.dimensions}" if batch.dimensions else ""
    cast = "".join(f", inputs as if cast to {name}" for name in STORED if format_of(name).digits == batch.digits - 1)
    return f"with B = {batch.rows}, C = {batch.classes:,}{dimensions}, {batch.labels} labels, {parameters}{cast}"


def _worst(trial: Trial) -> str:
    """Return the wrong element with the largest error."""
    wrong = [q for q in trial.judgement.quantities if q.wrong.any()]
    q = max(wrong, key=lambda q: float(np.where(q.wrong, q.error, 0).max()))
    at = np.unravel_index(int(np.argmax(np.where(q.wrong, q.error, -1))), q.error.shape)
    place = f"[{', '.join(map(str, at))}]" if at else ""
    return f"{q.name}{place} = {but_should_be(float(q.got[at]), float(q.expected[at]))}{q.note and f' ({q.note})'}"


def _certified(trial: Trial) -> Trial:
    """Return a trial judged by certified numbers, if svref's own errors could matter and the others can be had."""
    worst = max(float(np.where(q.judged, q.error, 0).max(initial=0)) for q in trial.judgement.quantities)
    is_small = trial.labels.size * trial.expected.classes <= MOST_CERTIFIED
    if not NOT_SURE[0] < worst < NOT_SURE[1] or not is_small or not importlib.util.find_spec("flint"):
        return trial
    return trial.judged_by(certify(trial.expected_of_rows, trial.loss, trial.inputs, trial.labels, trial.cotangent))
