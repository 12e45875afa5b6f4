"""The run of a check: every case is asked and judged; then the candidate is called again, with more questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from svref.checks import Progress
from svref.conformance.candidates.call import Call
from svref.conformance.candidates.guard import Mishap
from svref.conformance.checking.asking import Plan, Question, asked, reduction_of
from svref.conformance.checking.controls import STATE, CallFinding, ask_again, ask_with_ignored_row, unnoticed_controls
from svref.conformance.checking.fixed import finding_on_fixed
from svref.conformance.checking.outcome import Variations
from svref.conformance.checking.probing import probed
from svref.conformance.checking.stages import stages_in
from svref.conformance.checking.state import lenient
from svref.conformance.checking.variations.trying import Asker, one_variation, try_variations
from svref.conformance.mistakes.stages import Compared
from svref.conformance.trial import Trial
from svref.golden.vectors import Vector


@dataclass
class Run:
    """What a run found.

    Parameters
    ----------
    trials : list of Trial
        The cases that were answered.
    mishaps : list of Mishap
        The calls without an answer.
    findings : list of CallFinding
        What was wrong when the candidate was called again, after all cases.
    blind : list of str
        The negative controls that passed.
    refused, invalid : int
        How many of the inputs that must raise did raise, and how many there are.
    accepted : list of str
        The ids of those that did not raise.
    remarks : dict of str to int
        What else the candidate does, and in how many cases.
    unjudged : int
        How many elements would have said something, but came with no answer.
    variations : Variations or None
        What the candidate did with batches unlike the cases; None if that was not asked for.
    probes : list of Trial
        What a wrong candidate answered besides the cases, so that its mistake can be told.
    fixed : CallFinding or None
        That the candidate ignores parameters, with the values it has inside; None if it does not.
    lenient : list of Trial
        The trials judged with room for what hidden state does; empty if there is none, or no case fails.
    reduction : {"none", "sum", "mean"}
        What the candidate returns.
    stages : list of Compared
        The stages that it offers, case by case.
    """

    trials: list[Trial] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    findings: list[CallFinding] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    refused: int = 0
    invalid: int = 0
    accepted: list[str] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)
    unjudged: int = 0
    variations: Variations | None = None
    probes: list[Trial] = field(default_factory=list)
    fixed: CallFinding | None = None
    lenient: list[Trial] = field(default_factory=list)
    reduction: str = "none"
    stages: list[Compared] = field(default_factory=list)

    @property
    def has_fixed_values(self) -> bool:
        """Whether the candidate ignores parameters, and is right at the values it has inside."""
        return self.fixed is not None and bool(self.fixed.values)


def run(
    plan: Plan, vectors: Sequence[Vector], reduction: str | None, progress: Progress, seed: int = 0, variations: int = 0
) -> Run:
    """Ask and judge every case, then call the candidate again, then test the judgement with spoiled outputs.

    A candidate that is right so far is asked as many `variations`, of that seed, besides.
    """
    result, total = Run(), len(vectors) + variations
    numeric = [v for v in vectors if v.result != "error"]
    reduction = result.reduction = reduction or reduction_of(plan, numeric)
    for i, vector in enumerate(vectors):
        if vector.result == "error":
            try_invalid(plan, vector, result)
        else:
            _try(plan, vector, reduction, result)
        progress(i + 1, total)
    if plan.can_be_asked and result.trials:
        _call_again(plan, {v.id: plan.question(v).call for v in numeric}, result)
    result.blind += unnoticed_controls(result.trials)
    result.unjudged = unjudged_in(plan, numeric, result.trials)
    asker = Asker(plan, vectors[0].variant, reduction, take_any_cotangent(result.trials))
    if is_worth_probing(plan, result):
        result.probes = probed(asker)
        result.fixed = finding_on_fixed(plan, result.trials, reduction)
    if variations:
        _vary(asker, result, seed, variations, lambda done: progress(len(vectors) + done, total))
    return result


def is_worth_probing(plan: Plan, result: Run) -> bool:
    """Return whether the candidate is wrong, can be asked more, and answers the same question in the same way."""
    can_be_asked = plan.can_be_asked and not any(m.kind == "hung" for m in result.mishaps)
    has_state = any(finding.name == "hidden-state" for finding in result.findings)
    return can_be_asked and not has_state and any(trial.failed for trial in result.trials)


def _vary(asker: Asker, result: Run, seed: int, number: int, done: Callable[[int], object]) -> None:
    """Ask variations, or say why not, and add what was found to the result."""
    if reason := reason_against_variations(asker.plan, result):
        result.variations = Variations(seed, 0, reason=reason)
        done(number)
        return
    result.variations, surprises = try_variations(asker, result.trials, seed, number, done)
    add(surprises, result)


def run_variations(
    plan: Plan, vectors: Sequence[Vector], reduction: str | None, wanted: Sequence[tuple[int, int]], result: Run
) -> Run:
    """Ask single variations, by seed and number; the cases only say how the candidate has to be read."""
    numeric = [v for v in vectors if v.result != "error"]
    reduction = reduction or reduction_of(plan, numeric)
    first = asked(plan, plan.question(numeric[0]), reduction) if numeric else None
    asker = Asker(plan, vectors[0].variant, reduction, isinstance(first, Trial) and take_any_cotangent([first]))
    for seed, i in wanted:
        enter(one_variation(asker, seed, i)[1], result)
    result.blind = unnoticed_controls(result.trials)
    return result


def take_any_cotangent(trials: Sequence[Trial]) -> bool:
    """Return whether the gradients of all answers are those for the cotangent that was asked for."""
    applied = [trial.answer.applied if trial.answer else None for trial in trials]
    return all(a is not None and np.array_equal(a, t.cotangent) for a, t in zip(applied, trials, strict=True))


def reason_against_variations(plan: Plan, result: Run) -> str:
    """Return why variations would say nothing; "" if they say something."""
    if not plan.can_be_asked:
        return "answers in files cannot be asked more"
    if result.mishaps and all(m.kind == "hung" for m in result.mishaps):
        return "the candidate hangs"
    if not result.trials:
        return "no case was answered"
    if result.findings or any(trial.failed for trial in result.trials):
        return "the candidate must pass the cases first"
    return ""


def _call_again(plan: Plan, calls: dict[str, Call], result: Run) -> None:
    """Call the candidate again, and add the findings and mishaps to the result."""
    surprises = ask_again(plan.guard, calls, result.trials)
    if any(t.failed for t in result.trials) and any(getattr(one, "name", "") == STATE for one in surprises):
        result.lenient = lenient(plan.guard, calls, result.trials)
    if plan.ignores:
        several_rows = (trial for trial in result.trials if len(trial.labels) > 1)
        trial = next(several_rows, result.trials[0])  # an ignored row should have others beside it
        surprises += ask_with_ignored_row(plan.guard, calls[trial.id], trial)
    add(surprises, result)


def add(surprises: Sequence[CallFinding | Mishap], result: Run) -> None:
    """Add findings and mishaps to a result."""
    result.findings += [one for one in surprises if isinstance(one, CallFinding)]
    result.mishaps += [one for one in surprises if isinstance(one, Mishap)]


def _try(plan: Plan, vector: Vector, reduction: str, result: Run) -> None:
    """Ask and judge one case, and add the trial or the mishap to the result."""
    question = plan.question(vector)
    enter_case(plan, question, asked(plan, question, reduction), result)


def enter_case(plan: Plan, question: Question, found: Trial | Mishap, result: Run) -> None:
    """Add the answer to a case, or why there is none, and the stages that it offers."""
    result.stages += stages_in(plan, question, found)
    enter(found, result)


def unjudged_in(plan: Plan, vectors: Sequence[Vector], trials: Sequence[Trial]) -> int:
    """Return how many elements would have said something, but came with no answer.

    They are those of unanswered cases, and of outputs that an answer lacks. A level of which no case was answered does
    not count: a program may be about cosines alone.
    """
    answered = {trial.id: trial for trial in trials}
    levels = {trial.level for trial in trials}
    total = 0
    for vector in (v for v in vectors if v.level in levels):
        trial = answered.get(vector.id)
        expected = trial.expected if trial else plan.question(vector).right()
        missing = [output for output in expected.ways[0] if trial is None or output.name not in trial.outputs]
        total += sum(int((~output.policy & (output.tolerance < np.abs(output.value))).sum()) for output in missing)
    return total


def enter(trial: Trial | Mishap, result: Run) -> None:
    """Add a trial with its remarks, or a mishap, to a result."""
    if isinstance(trial, Mishap):
        result.mishaps.append(trial)
        return
    for remark in trial.answer.remarks if trial.answer else ():
        result.remarks[remark] = result.remarks.get(remark, 0) + 1
    result.trials.append(trial)


def try_invalid(plan: Plan, vector: Vector, result: Run) -> None:
    """Ask a case that must raise an exception, and count whether it did.

    Any other outcome counts as accepted: numbers, other objects, no answer in time. Only "unsupported" does not count.
    """
    result.invalid += 1
    answer = plan.guard(plan.question(vector).call)
    kind = answer.kind if isinstance(answer, Mishap) else ""
    if kind == "raised":
        result.refused += 1
    elif kind != "unsupported":
        result.accepted.append(vector.id)
