"""Mistakes with a size: an annealing, an epsilon, a clamp, a number format; the size is tried, or fitted to a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.mistakes.hypothesis import Change, Hypothesis, of_change, of_loss, of_run
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS, Deviation
from svref.deviations.backward import CLAMP, clamped
from svref.deviations.heads import NORM_EPS, with_norm_eps
from svref.deviations.logits import CosineRun
from svref.deviations.normalisation import head_around
from svref.deviations.results import with_eps
from svref.judging.formats import FORMATS, format_of
from svref.judging.judge import Expected
from svref.loss import SVXSoftmax
from svref.margins import MultiplicativeAngle

ANNEALED = "annealing-left-on(any λ)"
ANY_SHARE = "f = (λ c_y + ψ)/(1 + λ)"
EPSILONS = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-30)
NORM_EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
EDGES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
HALF = 20  # digits; formats with fewer excuse any number, so that the losses must show them
DOWNCAST = "precision-downcast"
TOLD = 8.0  # times the tolerance, since the row that tells a size has an error of its own
ROUNDED = 1 / 64  # of the tolerance: rounding comes as near as that somewhere; what stays below is a smaller error
SHOWN = 0.5  # of the elements that a narrower format does not hold; a few wrong ones are another mistake


def fitted() -> Iterator[Hypothesis]:
    """Yield every mistake of which the size is not known."""
    yield _any_annealing()
    for eps in EPSILONS:
        yield _sized(DEVIATIONS["eps-in-log"], f"{eps:g}", f"L = -log(p_y + {eps:g})", with_eps(eps))
    yield _any_eps()
    yield from _clamps("clamp-kills-gradient", "c")
    yield from _clamps("clamp-of-target-kills-gradient", "c_y")
    yield from _norms()
    yield from (narrow(name) for name in FORMATS if name != "float64")


def clamps_in_float32() -> Iterator[Deviation]:
    """Yield the clamps of the registry at the number of float32 that theirs rounds to."""
    for name, of_target in (("clamp-kills-gradient", False), ("clamp-of-target-kills-gradient", True)):
        run = clamped(float(np.float32(CLAMP)), of_target)
        yield replace(DEVIATIONS[name], name=f"{name}(1e-07 in float32)", on_cosines=run, on_head=head_around(run))


def _clamps(name: str, c: str) -> Iterator[Hypothesis]:
    """Yield clamps at every usual distance from ±1, and at the number of float32 that it rounds to."""
    for edge in EDGES:
        formula = f"{c} := clip({c}, -1 + {edge:g}, 1 - {edge:g}), ∂{c}/∂{c} = 0 beyond"
        for size, end in ((f"{edge:g}", 1 - edge), (f"{edge:g} in float32", float(np.float32(1 - edge)))):
            if end != CLAMP:  # that is the registry's
                yield _sized(DEVIATIONS[name], size, formula, clamped(end, of_target=c == "c_y"))


def _norms() -> Iterator[Hypothesis]:
    """Yield lengths with every usual ε, added to the length or under the root."""
    about = DEVIATIONS["eps-in-norm"]
    for eps in NORM_EPSILONS:
        if eps != NORM_EPS:  # that is the registry's
            formula = f"x̂ = x/(|x| + {eps:g}), ŵ_k = w_k/(|w_k| + {eps:g})"
            yield _named(replace(about, on_head=with_norm_eps(eps)), f"{eps:g}", formula)
        formula = f"x̂ = x/sqrt(|x|² + {eps:g}), ŵ_k = w_k/sqrt(|w_k|² + {eps:g})"
        yield _named(replace(about, on_head=with_norm_eps(eps, under_root=True)), f"{eps:g} under the root", formula)


def _any_annealing() -> Hypothesis:
    """Return the hypothesis of the annealing that one row tells; it is told in as many digits as the row has."""
    known = of_change(ANNEALED, replace(DEVIATIONS["annealing-left-on"], formula=ANY_SHARE), annealed)

    def expects(trial: Trial) -> Expected | None:
        expected = known.expects(trial)
        if expected is None:
            return None
        ways = [tuple(replace(right, tolerance=TOLD * right.tolerance) for right in way) for way in expected.ways]
        return replace(expected, ways=tuple(ways))

    return replace(known, expects=expects, fits=True)


def annealed(trial: Trial) -> SVXSoftmax:
    """Return the loss with the annealing that one row tells; other rows must then agree with it.

    f moves from ψ to c as the share λ/(1 + λ) grows from 0 to 1, and what the row lost with it.
    """
    loss, margin = trial.loss, trial.loss.margin
    if not isinstance(margin, MultiplicativeAngle) or trial.level == "head" or trial.factor is not None:
        return loss
    step = loss.forward(trial.arrays[0], trial.labels)
    apart = np.abs(step.margin_cosine - step.target_cosine) * (trial.cotangent != 0)
    row = _Row(trial, int(np.argmax(apart)))
    low, high, made = 0.0, 1.0, replace(loss, margin=replace(margin, annealing=2.0**52))
    if not row.lost_by(loss) >= row.lost >= row.lost_by(made):
        return loss
    for _ in range(60):
        share = (low + high) / 2
        if share == 1:
            break
        made = replace(loss, margin=replace(margin, annealing=share / (1 - share)))
        low, high = (low, share) if row.lost_by(made) < row.lost else (share, high)
    return made


class _Row:
    """One row of a trial and what it lost: its loss, or where that is small the gradients of its negatives.

    Those keep their digits where the loss has none left.
    """

    def __init__(self, trial: Trial, b: int) -> None:
        rows = slice(b, b + 1)
        self.cosines, self.labels, self.cotangent = trial.arrays[0][rows], trial.labels[rows], trial.cotangent[rows]
        self.by_loss = "grad_cosines" not in trial.outputs or trial.outputs["loss"][b] > 1
        self.lost = self._lost({name: values[rows] for name, values in trial.outputs.items()})

    def lost_by(self, loss: SVXSoftmax) -> float:
        """Return what the row loses by a loss."""
        step = loss.forward(self.cosines, self.labels)
        gradient = {} if self.by_loss else {"grad_cosines": loss.backward(step, self.cotangent).cosines}
        return self._lost({"loss": step.loss} | gradient)

    def _lost(self, outputs: Mapping[str, FloatArray]) -> float:
        if self.by_loss:
            return float(outputs["loss"][0])
        return float(np.abs(np.delete(outputs["grad_cosines"][0], self.labels[0])).sum())


def _sized(about: Deviation, size: str, formula: str, run: CosineRun) -> Hypothesis:
    """Return the hypothesis of a deviation with another size."""
    return _named(replace(about, on_cosines=run, on_head=head_around(run)), size, formula)


def _named(sized: Deviation, size: str, formula: str) -> Hypothesis:
    return replace(of_run(sized, lambda trial: trial.loss), name=f"{sized.name}({size})", formula=formula)


def _any_eps() -> Hypothesis:
    """Return the hypothesis of the ε beside the probability that one row's loss tells."""
    about = DEVIATIONS["eps-in-log"]

    def expects(trial: Trial) -> Expected | None:
        if trial.level == "head" or trial.factor is not None:
            return None
        away = np.abs(trial.outputs["loss"] - trial.right.ways[0][0].value)
        b = int(np.argmax(np.where(np.isfinite(away), away, -1.0)))
        eps = float(np.exp(-trial.outputs["loss"][b]) - np.exp(-trial.right.ways[0][0].value[b]))
        return _sized(about, "", "", with_eps(eps)).expects(trial) if eps > 0 else None

    return Hypothesis(f"{about.name}(any ε)", "L = -log(p_y + ε)", about.effect, about.seen, expects, fits=True)


def narrow(name: str, change: Change = lambda trial: trial.loss) -> Hypothesis:
    """Return the hypothesis that a loss is computed rightly, but for the digits of a format narrower than asked."""

    def expects(trial: Trial) -> Expected | None:
        if format_of(name).digits >= format_of(trial.compute).digits:
            return None
        if format_of(name).digits < HALF:
            return of_loss(trial, change, name) if _held(trial.outputs["loss"], name).all() else trial.plain
        whole = of_loss(trial, change, trial.compute)
        return of_loss(trial, change, name) if whole is not None and _shows(trial, whole, name) else None

    def shows(trials: Sequence[Trial]) -> bool:
        wrong = [q.got[q.wrong] for trial in trials for q in trial.judgement.quantities]
        if all(_held(values, name).all() for values in wrong):
            return True
        expected = [(trial, of_loss(trial, change, name)) for trial in trials]
        return any(_rounded(trial, reference) for trial, reference in expected if reference is not None)

    about = DEVIATIONS["precision-downcast-float32"]
    return Hypothesis(f"{DOWNCAST}-{name}", f"c := {name}(c)", about.effect, about.seen, expects, shows=shows)


def _rounded(trial: Trial, reference: Expected) -> bool:
    """Return whether an error is as large as rounding makes one somewhere."""
    return any(float(q.error[q.judged].max(initial=0.0)) > ROUNDED for q in trial.against(reference).quantities)


def _shows(trial: Trial, whole: Expected, name: str) -> bool:
    """Return whether the digits of a format show: in what is wrong, or in most numbers that it does not hold."""
    quantities = trial.against(whole).quantities
    if all(_held(q.got, name).all() for q in quantities if q.wrong.any()):
        return True
    unheld = [(q, q.judged & ~q.vacuous & ~_held(q.expected, name)) for q in quantities]
    return sum(int((q.wrong & where).sum()) for q, where in unheld) >= SHOWN * sum(int(w.sum()) for _, w in unheld)


def _held(values: np.ndarray, name: str) -> np.ndarray:
    """Return where numbers have no more digits than a format."""
    mantissa = np.frexp(values)[0] * 2.0 ** format_of(name).digits
    return np.asarray(mantissa == np.rint(mantissa))
