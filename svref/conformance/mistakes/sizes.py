"""Mistakes that have a size: an annealing, an ε, a clamp, a number format.

The sizes that public code uses are tried one by one. A size that nobody uses is fitted to one row of each case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.mistakes.computations import (
    Change,
    FittedSize,
    NarrowerFormat,
    OtherLoss,
    WrongComputation,
    remembered,
    unchanged,
)
from svref.conformance.mistakes.hypothesis import Hypothesis
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS, Deviation
from svref.deviations.backward import CLAMP, clamped
from svref.deviations.heads import NORM_EPS, with_norm_eps
from svref.deviations.logits import CosineRun
from svref.deviations.normalisation import head_around
from svref.deviations.results import with_eps
from svref.formats import STORED
from svref.loss import SVXSoftmax
from svref.margins import MultiplicativeAngle

EPSILONS = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-30)  # in a logarithm
NORM_EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)  # in a length
EDGES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # the distance of a clamp from ±1
DOWNCAST = "precision-downcast"  # the names of all hypotheses of a number format begin with this
WIDER = 8.0  # times the tolerance: the row that an annealing is fitted to has an error of its own
BISECTIONS = 60  # of a share between 0 and 1: more than a float64 has digits
MOST_ANNEALED = 2.0**52  # a λ so large that f = c in float64, without any margin


def sized() -> Iterator[Hypothesis]:
    """Yield every mistake that has a size, in the usual sizes and in a fitted one."""
    yield _described(ANNEALING, ANNEALING.name, FittedSize(_fitted_annealing, WIDER))
    for eps in EPSILONS:
        yield _with_size_on_cosines(DEVIATIONS["eps-in-log"], f"{eps:g}", f"L = -log(p_y + {eps:g})", with_eps(eps))
    yield _described(_ANY_EPS, _ANY_EPS.name, FittedSize(_fitted_eps))
    yield from _clamps("clamp-kills-gradient", "c")
    yield from _clamps("clamp-of-target-kills-gradient", "c_y")
    yield from _norms()
    # The narrowest first: every number of bfloat16 that is no too small one is a number of float16 too.
    for name in reversed(STORED):
        if name != "float64":
            yield narrowed(name)


def narrowed(name: str, change: Change = unchanged) -> Hypothesis:
    """Return the hypothesis that a loss is computed in a narrower format."""
    about = replace(DEVIATIONS[f"{DOWNCAST}-float32"], formula=f"c := {name}(c)")
    return _described(about, f"{DOWNCAST}-{name}", NarrowerFormat(name, change))


def clamps_in_float32() -> Iterator[Deviation]:
    """Yield the clamps of the registry, with the edge rounded to float32."""
    for name, of_target in (("clamp-kills-gradient", False), ("clamp-of-target-kills-gradient", True)):
        run = clamped(float(np.float32(CLAMP)), of_target)
        yield replace(DEVIATIONS[name], name=f"{name}(1e-07 in float32)", on_cosines=run, on_head=head_around(run))


def _clamps(name: str, c: str) -> Iterator[Hypothesis]:
    """Yield clamps at every usual edge, and at the same edge rounded to float32."""
    for edge in EDGES:
        formula = f"{c} := clip({c}, -1 + {edge:g}, 1 - {edge:g}), ∂{c}/∂{c} = 0 beyond"
        for size, end in ((f"{edge:g}", 1 - edge), (f"{edge:g} in float32", float(np.float32(1 - edge)))):
            if end != CLAMP:  # the registry has that one
                yield _with_size_on_cosines(DEVIATIONS[name], size, formula, clamped(end, of_target=c == "c_y"))


def _norms() -> Iterator[Hypothesis]:
    """Yield lengths with every usual ε, added to the length or under the root."""
    about = DEVIATIONS["eps-in-norm"]
    for eps in NORM_EPSILONS:
        if eps != NORM_EPS:  # the registry has that one
            formula = f"x̂ = x/(|x| + {eps:g}), ŵ_k = w_k/(|w_k| + {eps:g})"
            yield _with_size(replace(about, formula=formula, on_head=with_norm_eps(eps)), f"{eps:g}")
        formula = f"x̂ = x/sqrt(|x|² + {eps:g}), ŵ_k = w_k/sqrt(|w_k|² + {eps:g})"
        run = with_norm_eps(eps, under_root=True)
        yield _with_size(replace(about, formula=formula, on_head=run), f"{eps:g} under the root")


def _with_size_on_cosines(about: Deviation, size: str, formula: str, run: CosineRun) -> Hypothesis:
    """Return the hypothesis of a deviation on cosines with another size."""
    return _with_size(replace(about, formula=formula, on_cosines=run, on_head=head_around(run)), size)


def _with_size(deviation: Deviation, size: str) -> Hypothesis:
    """Return the hypothesis of a wrong computation, with its size in the name."""
    return _described(deviation, f"{deviation.name}({size})", WrongComputation(deviation))


def _described(about: Deviation, name: str, computation: FittedSize | NarrowerFormat | WrongComputation) -> Hypothesis:
    """Return a hypothesis with the formula, the effect and the places of a deviation."""
    return Hypothesis(name, about.formula, about.effect, about.seen, computation)


# ---- the two sizes that are fitted ------------------------------------------------------------------------------

ANNEALING = replace(DEVIATIONS["annealing-left-on"], name="annealing-left-on(any λ)", formula="f = (λ c_y + ψ)/(1 + λ)")
_ANY_EPS = replace(DEVIATIONS["eps-in-log"], name="eps-in-log(any ε)", formula="L = -log(p_y + ε)")


def _fitted_eps(trial: Trial) -> WrongComputation | None:
    """Return the loss -log(p_y + ε) with the ε that fits the row whose loss is most wrong; None where no ε > 0 does."""
    if trial.level == "head" or trial.factor is not None:
        return None
    right = trial.expected.ways[0][0].value
    away = np.abs(trial.outputs["loss"] - right)
    b = int(np.argmax(np.where(np.isfinite(away), away, -1.0)))
    eps = float(np.exp(-trial.outputs["loss"][b]) - np.exp(-right[b]))
    run = with_eps(eps)
    return WrongComputation(replace(_ANY_EPS, on_cosines=run, on_head=head_around(run))) if eps > 0 else None


def _fitted_annealing(trial: Trial) -> OtherLoss | None:
    """Return the annealed loss that fits one row; None where no annealing does."""
    loss = annealed(trial)
    return None if loss == trial.loss else OtherLoss(lambda _: loss)


@remembered
def annealed(trial: Trial) -> SVXSoftmax:
    """Return the loss with the annealing λ that fits one row; the right loss where no λ does.

    f moves from ψ to c as the share λ/(1 + λ) grows from 0 to 1, and the row's loss falls with it. The share is found
    by bisection. The row is the one whose ψ is farthest from c.
    """
    loss, margin = trial.loss, trial.loss.margin
    if not isinstance(margin, MultiplicativeAngle) or trial.level == "head" or trial.factor is not None:
        return loss
    step = loss.forward(trial.arrays[0], trial.labels)
    apart = np.abs(step.margin_cosine - step.target_cosine) * (trial.cotangent != 0)
    row = _Row(trial, int(np.argmax(apart)))
    low, high, fitted = 0.0, 1.0, replace(loss, margin=replace(margin, annealing=MOST_ANNEALED))
    if not row.size_under(loss) >= row.size >= row.size_under(fitted):
        return loss
    for _ in range(BISECTIONS):
        share = (low + high) / 2
        if share == 1:
            break
        fitted = replace(loss, margin=replace(margin, annealing=share / (1 - share)))
        low, high = (low, share) if row.size_under(fitted) < row.size else (share, high)
    return fitted


class _Row:
    """One row of a case, and one number of it that shrinks as the annealing grows.

    The number is the row's loss if that is above 1, else the sum of its gradients by negatives: they keep their
    digits where a small loss has lost its own.
    """

    def __init__(self, trial: Trial, b: int) -> None:
        rows = slice(b, b + 1)
        self.cosines, self.labels, self.cotangent = trial.arrays[0][rows], trial.labels[rows], trial.cotangent[rows]
        self.is_loss = "grad_cosines" not in trial.outputs or trial.outputs["loss"][b] > 1
        self.size = self._size({name: values[rows] for name, values in trial.outputs.items()})

    def size_under(self, loss: SVXSoftmax) -> float:
        """Return the number that another loss gives."""
        step = loss.forward(self.cosines, self.labels)
        gradient = {} if self.is_loss else {"grad_cosines": loss.backward(step, self.cotangent).cosines}
        return self._size({"loss": step.loss} | gradient)

    def _size(self, outputs: Mapping[str, FloatArray]) -> float:
        if self.is_loss:
            return float(outputs["loss"][0])
        return float(np.abs(np.delete(outputs["grad_cosines"][0], self.labels[0])).sum())
