"""Which precision the errors of a wrong candidate look like: the tightest plan that excuses all its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from svref.conformance.trial import Trial
from svref.formats import format_of, holds
from svref.judging.precision import PRECISIONS, Precision, precision_of

TIGHTEST_FIRST = ("tf32", "fused-bfloat16", "autocast-float16", "autocast-bfloat16", "float16", "bfloat16")
SHOWN = 1 / 64  # of a plan's tolerance: rounding causes a larger error than this somewhere
USUAL = 0.5  # right code stays below: where errors are larger, a plan of fewer digits explains them better
SAYS = 0.25  # of the elements that are judged: where fewer say something, anything would be right
OF_HEADS, OF_ALL = ("product", "cosines"), ("logits", "softmax", "loss", "gradient")


def sentence_on_plan(trials: Sequence[Trial]) -> str:
    """Return a sentence that names the plan whose rounding explains all answers, some of which are wrong; "" if none.

    Only cases count whose inputs lie in the plan's format, as they do where it is declared.
    """
    for name in TIGHTEST_FIRST:
        plan = PRECISIONS[name]
        held = [trial for trial in trials if _are_held(trial, plan)]
        stage = next(_narrower_stages(plan, held[0]), "") if held else ""
        if stage and any(trial.failed for trial in held) and _explains(plan, held):
            where = f"in the {stage}" if stage in ("loss", "gradient") else f"from the {stage} on"
            return f"errors are of {plan.stages[stage]}'s size {where}: --precision {name}"
    return ""


def _narrower_stages(plan: Precision, trial: Trial) -> Iterator[str]:
    """Yield the stages in which a plan has fewer digits than that of the check, if it has more in none."""
    stages = (*OF_HEADS, *OF_ALL) if trial.level == "head" else OF_ALL
    declared = precision_of(trial.precision).stages
    digits = {stage: (format_of(plan.stages[stage]).digits, format_of(declared[stage]).digits) for stage in stages}
    if all(here <= there for here, there in digits.values()):
        yield from (stage for stage, (here, there) in digits.items() if here < there)


def _are_held(trial: Trial, plan: Precision) -> bool:
    """Return whether the inputs of a case are numbers of the plan's format."""
    return all(bool(holds(array, plan.inputs(trial.level)).all()) for array in trial.arrays)


def _explains(plan: Precision, trials: Sequence[Trial]) -> bool:
    """Return whether all answers are right under a plan, and errors of its size are among them."""
    judged = [q for trial in trials for q in trial.computed_in(plan.name).judgement.quantities]
    if any(q.wrong.any() for q in judged):
        return False
    elements, says = sum(int(q.judged.sum()) for q in judged), sum(int(q.passed.sum()) for q in judged)
    largest = max(float(np.where(q.judged, q.error, 0.0).max(initial=0.0)) for q in judged)
    return says >= SAYS * elements and SHOWN < largest <= USUAL
