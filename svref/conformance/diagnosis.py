"""Which mistake is it? Every hypothesis is held against every case, the passing ones too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from svref.conformance.hypotheses import Hypothesis, pairs, singles
from svref.conformance.trial import Trial
from svref.dialects import DIALECTS
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
    dialects : tuple of str
        Public code that computes it on purpose, by the names of `DIALECTS`.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    matched: int
    failing: int
    dialects: tuple[str, ...] = ()
    hypothesis: Hypothesis | None = field(repr=False, compare=False, default=None)

    @property
    def complete(self) -> bool:
        """Whether it explains every failing case."""
        return self.matched == self.failing


def explanations(trials: Sequence[Trial], entry: Variant | None) -> tuple[Diagnosis, ...]:
    """Return the hypotheses that explain every failing case and contradict no passing one, best first.

    Single ones come before pairs, which are tried only if no single one explains all. If none does, the one that
    explains most of the failing cases is returned alone, incomplete.
    """
    failing = [t for t in trials if t.failed]
    passing = [t for t in trials if not t.failed]
    if not failing:
        return ()
    known = list(singles(entry))
    found = [h for h in known if _complete(h, failing, passing)]
    found = found or [h for h in pairs() if _complete(h, failing, passing)]
    if found:
        return tuple(_diagnosis(h, len(failing), failing, entry) for h in found)
    matched = [sum(_explains(h, trial) for trial in failing) for h in known]
    best = int(np.argmax(matched))
    return (_diagnosis(known[best], matched[best], failing, entry),) if matched[best] else ()


def _complete(hypothesis: Hypothesis, failing: Sequence[Trial], passing: Sequence[Trial]) -> bool:
    """Return whether a hypothesis explains all; most are refuted by the first case."""
    return all(_explains(hypothesis, t) for t in failing) and not any(_contradicted(hypothesis, t) for t in passing)


def _explains(hypothesis: Hypothesis, trial: Trial) -> bool:
    """Return whether a failing case is what the hypothesis says."""
    if not hypothesis.may_explain(trial):
        return False
    expected = hypothesis.expects(trial)
    return expected is not None and not trial.against(expected).wrong


def _contradicted(hypothesis: Hypothesis, trial: Trial) -> bool:
    """Return whether a passing case is not what the hypothesis says."""
    expected = hypothesis.expects(trial)
    return expected is not None and trial.against(expected).wrong


def _diagnosis(hypothesis: Hypothesis, matched: int, failing: Sequence[Trial], entry: Variant | None) -> Diagnosis:
    h = hypothesis
    return Diagnosis(h.name, h.formula, h.effect, h.seen, matched, len(failing), _dialects(h, failing, entry), h)


def _dialects(hypothesis: Hypothesis, failing: Sequence[Trial], entry: Variant | None) -> tuple[str, ...]:
    """Return the dialects whose loss is the hypothesis's in every failing case."""
    change = hypothesis.loss
    if change is None or entry is None or any(not t.parameters for t in failing):
        return ()
    wanted = [(dict(t.parameters), change(t)) for t in failing]
    names = [d.name for d in DIALECTS.values() if entry.name in d.losses]
    return tuple(n for n in names if all(DIALECTS[n].loss(entry.name, **p) == loss for p, loss in wanted))
