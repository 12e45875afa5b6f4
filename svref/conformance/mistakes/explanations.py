"""Which known mistake explains the failures? Every hypothesis is tried on every case, also on those that pass."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from svref.conformance.mistakes.computations import forget_results
from svref.conformance.mistakes.guesses import (
    apart,
    families,
    families_of_other_losses,
    losing,
    narrowed_changes,
    near_poles,
    pairs,
    roughly,
    singles,
)
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.mistakes.sizes import DOWNCAST
from svref.conformance.trial import Trial
from svref.deviations.dialects import DIALECTS, Dialect
from svref.formats import holds
from svref.loss import SVXSoftmax
from svref.variants import Variant

ENOUGH = 4  # wrong elements; a size that is fitted to one of them must be proven by others
FAR = 0.5  # of the distance to the right values: a hypothesis beyond it explains nothing
NEAR = 0.125  # of that distance: all hypotheses within it are named
AS_WELL = 2.0  # a size fits as well as another if its worst error is no more than so many times that of the other


@dataclass(frozen=True)
class Diagnosis:
    """A known mistake that explains failures.

    Parameters
    ----------
    name, formula, effect : str
        The mistake, or a pair of them as "one with another".
    seen : tuple of str
        Where it was seen in public.
    matched, failing : int
        How many of the failing cases it explains, and how many there are.
    contradicted : int
        How many passing cases would fail if the candidate made this mistake.
    dialects : tuple of str
        Public code that computes the same on purpose, by the names of `DIALECTS`.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    matched: int
    failing: int
    contradicted: int = 0
    dialects: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it explains every failing case and contradicts no passing one."""
        return self.matched == self.failing and not self.contradicted


class Explanation(NamedTuple):
    """A hypothesis that explains failures, and what a report says of it."""

    hypothesis: Hypothesis
    diagnosis: Diagnosis


def explanations(
    trials: Sequence[Trial], entry: Variant | None, probes: Sequence[Trial] = (), only_single: bool = False
) -> tuple[Explanation, ...]:
    """Return the hypotheses that explain every failing case and contradict no passing one, best first.

    Single mistakes are tried first, then families of them, pairs, mistakes of each output, and any with lost numbers;
    each group only if nothing before it explains all. If nothing does, the single mistake that explains most cases is
    returned, if that is more than half.

    Parameters
    ----------
    trials : sequence of Trial
        The cases.
    entry : Variant or None
        The variant, for the mistakes that are made with its parameters.
    probes : sequence of Trial
        Further answers of the candidate. An explanation must agree with them too.
    only_single : bool
        Whether only single mistakes are tried, because something else is known to explain the failures.
    """
    if not any(trial.failed for trial in trials):
        return ()
    failing = [t for t in (*trials, *probes) if t.failed]  # cases first: they are smaller, and refute nearly everything
    passing = [t for t in (*trials, *probes) if not t.failed]
    cases = [t for t in trials if t.failed]
    only_single |= any(q.note for t in failing for q in t.judgement.quantities)  # a wrong dtype makes all wrong
    try:
        groups = _groups(entry, failing, passing)
        for hypotheses in itertools.islice(groups, 1 if only_single else None):
            complete = _distinct([h for h in hypotheses if _explains_all(h, failing, passing)], failing)
            if complete := _nearest(complete, failing):
                return tuple(_explanation(h, len(cases), 0, cases, entry) for h in complete)
        in_float32 = () if only_single else _in_float32(trials, entry, probes)
        return in_float32 or _closest(list(singles(entry)), cases, [t for t in trials if not t.failed], entry)
    finally:
        forget_results()


def _in_float32(trials: Sequence[Trial], entry: Variant | None, probes: Sequence[Trial]) -> tuple[Explanation, ...]:
    """Return the mistakes that explain outputs which are all numbers of float32, judged with the tolerances of float32.

    Empty where some output has more digits, or float32 alone explains them all.
    """
    if not all(trial.precision == "float64" and _is_held(trial) for trial in (*trials, *probes)):
        return ()
    narrow, also = ([trial.computed_in("float32") for trial in some] for some in (trials, probes))
    failing = sum(trial.failed for trial in trials)
    return tuple(
        Explanation(
            replace(hypothesis, name=f"{hypothesis.name} in float32"),
            replace(about, name=f"{about.name} in float32", formula=f"{about.formula}; in float32",
                    matched=failing, failing=failing),
        )
        for hypothesis, about in explanations(narrow, entry, also)
        if about.complete
    )  # fmt: skip


def _is_held(trial: Trial) -> bool:
    """Return whether every output of a case is a number of float32."""
    return all(bool(holds(values, "float32").all()) for values in trial.outputs.values())


def _groups(
    entry: Variant | None, failing: Sequence[Trial], passing: Sequence[Trial]
) -> Iterator[Iterable[Hypothesis]]:
    """Yield the hypotheses in groups, from the simple to the combined.

    A size that is fitted to one wrong element must be proven by others: where there are few, no family is tried.
    """
    are_many = _wrong_elements(failing) >= ENOUGH
    yield singles(entry)
    yield roughly()
    if are_many:
        yield families(failing)
        yield near_poles(failing)
    yield pairs()
    if are_many:
        yield apart(entry, failing, passing)
        yield families_of_other_losses(entry, failing)
    yield losing(singles(entry))
    yield losing(narrowed_changes())


def _distinct(hypotheses: Sequence[Hypothesis], failing: Sequence[Trial]) -> list[Hypothesis]:
    """Return the hypotheses with the plainest sizes of each family: one number, every quantity, else one multiple."""
    distinct: list[Hypothesis] = []
    for h in hypotheses:
        of_family = [other for other in distinct if h.family and other.family == h.family]
        if h.family and h.rank == 0 and not of_family:
            distinct.append(_best_number([o for o in hypotheses if (o.family, o.rank) == (h.family, 0)], failing))
        elif not of_family or (h.rank == 1 and all(other.rank < 2 for other in of_family)):
            distinct.append(h)
    return distinct


def _best_number(numbers: Sequence[Hypothesis], failing: Sequence[Trial]) -> Hypothesis:
    """Return the plainest of several sizes of a family, which come plainest first, that fits as well as any.

    Sizes that hardly show, such as an epsilon next to a pole, may all lie within the tolerance.
    """
    if len(numbers) == 1:
        return numbers[0]
    worst = [max(h.error(trial) for trial in failing) for h in numbers]
    return next(h for h, error in zip(numbers, worst, strict=True) if error <= AS_WELL * min(worst))


def _explains_all(hypothesis: Hypothesis, failing: Sequence[Trial], passing: Sequence[Trial]) -> bool:
    """Return whether a hypothesis explains all failing cases and contradicts no passing one.

    The first failing case refutes nearly every hypothesis.
    """
    return (
        all(hypothesis.explains(trial) for trial in failing)
        and not any(hypothesis.contradicted(trial) for trial in passing)
        and hypothesis.computation.supported(failing)
        and not hypothesis.distance(failing) > FAR
    )


def _nearest(hypotheses: Sequence[Hypothesis], failing: Sequence[Trial]) -> list[Hypothesis]:
    """Return the hypotheses without those that lie much farther from the wrong elements than the nearest one.

    Those without a distance are kept.
    """
    distances = [h.distance(failing) for h in hypotheses]
    most = max(NEAR, AS_WELL * min((d for d in distances if not math.isnan(d)), default=0.0))
    return [h for h, distance in zip(hypotheses, distances, strict=True) if not distance > most]


def _wrong_elements(failing: Sequence[Trial]) -> int:
    """Return how many elements are wrong."""
    return sum(int(q.wrong.sum()) for trial in failing for q in trial.judgement.quantities)


def _closest(
    known: Sequence[Hypothesis], failing: Sequence[Trial], passing: Sequence[Trial], entry: Variant | None
) -> tuple[Explanation, ...]:
    """Return the single mistake that explains most failing cases, if it explains more than half of them.

    Number formats are left out, as they excuse any small error. A mistake that contradicts more cases than it
    explains is not returned.
    """
    counts = [(_explained_if_most(h, failing), h) for h in known if not h.name.startswith(DOWNCAST)]
    matched, best = max(counts, key=lambda pair: pair[0])
    contradicted = sum(best.contradicted(trial) for trial in passing) if matched else 0
    if not matched or contradicted > matched:
        return ()
    return (_explanation(best, matched, contradicted, failing, entry),)


def _explained_if_most(hypothesis: Hypothesis, failing: Sequence[Trial]) -> int:
    """Return how many failing cases a hypothesis explains; 0 if not more than half, or if it lies too far from them."""
    if not hypothesis.computation.supported(failing):
        return 0
    explained: list[Trial] = []
    for i, trial in enumerate(failing, 1):
        if hypothesis.explains(trial):
            explained.append(trial)
        if 2 * (i - len(explained)) >= len(failing):
            return 0
    return 0 if hypothesis.distance(explained) > FAR else len(explained)


def _explanation(
    hypothesis: Hypothesis, matched: int, contradicted: int, failing: Sequence[Trial], entry: Variant | None
) -> Explanation:
    h, dialects = hypothesis, _dialects(hypothesis, failing, entry)
    diagnosis = Diagnosis(h.name, h.formula, h.effect, h.seen, matched, len(failing), contradicted, dialects)
    return Explanation(h, diagnosis)


def _dialects(hypothesis: Hypothesis, failing: Sequence[Trial], entry: Variant | None) -> tuple[str, ...]:
    """Return the dialects that compute the loss of a hypothesis in every failing case."""
    losses = [hypothesis.computation.loss(trial) for trial in failing]
    if entry is None or None in losses or any(not trial.parameters for trial in failing):
        return ()
    cases = [(dict(trial.parameters), loss) for trial, loss in zip(failing, losses, strict=True)]
    names = [d.name for d in DIALECTS.values() if entry.name in d.losses]
    return tuple(n for n in names if all(_computes(DIALECTS[n], entry.name, p, loss) for p, loss in cases))


def _computes(dialect: Dialect, variant: str, given: dict[str, float], loss: SVXSoftmax | None) -> bool:
    """Return whether public code computes a loss: from the paper's parameters or taking t for its own t - 1."""
    if dialect.loss(variant, **given) == loss:
        return True
    meant = {name: value + (name == "t") for name, value in given.items()}
    taken = dialect.parameters(variant, meant)
    counts_from_0 = "t" in given and all(math.isclose(taken[name], given[name]) for name in given)
    return counts_from_0 and dialect.loss(variant, **meant) == loss
