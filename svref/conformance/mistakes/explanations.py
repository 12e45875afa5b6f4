"""Which mistake is it? Every hypothesis is held against every case, the passing ones too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from svref.conformance.mistakes.guesses import losing, narrowed, pairs, singles
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.mistakes.sizes import DOWNCAST
from svref.conformance.trial import Trial
from svref.deviations.dialects import DIALECTS, Dialect
from svref.loss import SVXSoftmax
from svref.variants import Variant


@dataclass(frozen=True)
class Diagnosis:
    """A deviation that explains failures.

    Parameters
    ----------
    name, formula, effect : str
        The deviation, or a pair "one with another".
    seen : tuple of str
        Where it was seen in public.
    matched, failing : int
        How many of the failing cases it explains.
    contradicted : int
        How many passing cases are not what it says.
    dialects : tuple of str
        Public code that computes it on purpose, by the names of `DIALECTS`.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    matched: int
    failing: int
    contradicted: int = 0
    dialects: tuple[str, ...] = ()
    hypothesis: Hypothesis | None = field(repr=False, compare=False, default=None)

    @property
    def complete(self) -> bool:
        """Whether it explains every failing case and contradicts no passing one."""
        return self.matched == self.failing and not self.contradicted


def explanations(trials: Sequence[Trial], entry: Variant | None) -> tuple[Diagnosis, ...]:
    """Return the hypotheses that explain every failing case and contradict no passing one, best first.

    Single ones come before pairs, and those before what also loses numbers: each is tried only if none before
    explains all. If none does, the one that explains most, and more than half, is returned alone, incomplete.
    """
    failing = [t for t in trials if t.failed]
    passing = [t for t in trials if not t.failed]
    if not failing:
        return ()
    known = list(singles(entry))
    for hypotheses in (known, pairs(), losing(known), losing(narrowed())):
        found = [h for h in hypotheses if _complete(h, failing, passing)]
        if found:
            return tuple(_diagnosis(h, len(failing), 0, failing, entry) for h in found)
    return _closest(known, failing, passing, entry)


def _complete(hypothesis: Hypothesis, failing: Sequence[Trial], passing: Sequence[Trial]) -> bool:
    """Return whether a hypothesis explains all; most are refuted by the first case."""
    if not all(hypothesis.explains(t) for t in failing) or any(hypothesis.contradicted(t) for t in passing):
        return False
    if not hypothesis.may_tell(failing):
        return False
    return hypothesis.base is None or hypothesis.base.matters(failing)


def _closest(
    known: Sequence[Hypothesis], failing: Sequence[Trial], passing: Sequence[Trial], entry: Variant | None
) -> tuple[Diagnosis, ...]:
    """Return the hypothesis that explains most failing cases, if those are more than half of them.

    None that contradicts more cases than it explains, and no number format, which excuses any small error.
    """
    known = [h for h in known if not h.name.startswith(DOWNCAST)]
    matched = [sum(h.explains(trial) for trial in failing) if h.may_tell(failing) else 0 for h in known]
    best = int(np.argmax(matched))
    against = sum(known[best].contradicted(trial) for trial in passing)
    if 2 * matched[best] <= len(failing) or against > matched[best]:
        return ()
    return (_diagnosis(known[best], matched[best], against, failing, entry),)


def _diagnosis(
    h: Hypothesis, matched: int, contradicted: int, failing: Sequence[Trial], entry: Variant | None
) -> Diagnosis:
    dialects = _dialects(h, failing, entry)
    return Diagnosis(h.name, h.formula, h.effect, h.seen, matched, len(failing), contradicted, dialects, h)


def _dialects(hypothesis: Hypothesis, failing: Sequence[Trial], entry: Variant | None) -> tuple[str, ...]:
    """Return the dialects whose loss is the hypothesis's in every failing case, or is where they count t."""
    change = hypothesis.loss
    if change is None or entry is None or any(not t.parameters for t in failing):
        return ()
    wanted = [(dict(t.parameters), change(t)) for t in failing]
    names = [d.name for d in DIALECTS.values() if entry.name in d.losses]
    return tuple(n for n in names if all(_speaks(DIALECTS[n], entry.name, p, loss) for p, loss in wanted))


def _speaks(dialect: Dialect, variant: str, given: dict[str, float], loss: SVXSoftmax) -> bool:
    """Return whether public code computes a loss, given the paper's parameters or taking their t for its t - 1."""
    if dialect.loss(variant, **given) == loss:
        return True
    meant = {name: value + (name == "t") for name, value in given.items()}
    took = dialect.parameters(variant, meant)
    counts_so = "t" in given and all(math.isclose(took[name], given[name]) for name in given)
    return counts_so and dialect.loss(variant, **meant) == loss
