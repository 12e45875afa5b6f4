"""What a wrong candidate may be computing: known deviations, slips of a parameter, and pairs of them.

A hypothesis is held against the outputs as what is right would be: it says what comes out, and how far rounding may
carry that. Where it is another loss, svref's own conditions say so; elsewhere they are estimated from above.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.condition import SLACK
from svref.conformance import reference
from svref.conformance.trial import Trial
from svref.deviations import DEVIATIONS, Deviation
from svref.deviations.normalisation import through
from svref.deviations.results import with_eps
from svref.formats import FORMATS, format_of
from svref.inputs import FloatArray
from svref.judge import Reference
from svref.loss import SVXSoftmax
from svref.margins import MultiplicativeAngle
from svref.variants import Variant

Change = Callable[[Trial], SVXSoftmax]
HALF = 20  # digits; formats with fewer are those of half precision
EPSILONS = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-30)
Slip = Callable[[dict[str, float]], dict[str, float]]


@dataclass(frozen=True)
class Hypothesis:
    """One guess at what is computed.

    Parameters
    ----------
    name, formula, effect : str
        As those of a `Deviation`.
    seen : tuple of str
        Where it was seen in public.
    expects : callable
        Takes a trial and returns what would be right if the guess were; None where it would change nothing.
    loss : callable or None
        Takes a trial and returns the loss that is computed, where it is one.
    """

    name: str
    formula: str
    effect: str
    seen: tuple[str, ...]
    expects: Callable[[Trial], Reference | None] = field(repr=False)
    loss: Change | None = field(repr=False, default=None)

    def may_explain(self, trial: Trial) -> bool:
        """Return False where the losses alone refute another loss: cheap, before its conditions are computed."""
        if self.loss is None or trial.level == "head" or trial.factor is not None:
            return True
        try:
            losses = self.loss(trial).value(trial.arrays[0], trial.labels, reduction="none")
        except (ValueError, TypeError):
            return False
        u = format_of(trial.compute).unit_roundoff
        reach = SLACK * u * (1 + trial.right.classes / 128) * (1 + _largest_logit(trial.loss, losses))
        return bool(
            (np.abs(trial.outputs["loss"] - losses) <= reach * (1 + losses) + trial.right.ways[0][0].tolerance).all()
        )


def singles(entry: Variant | None) -> Iterator[Hypothesis]:
    """Yield every known deviation, the slips of a variant's parameters, and computing in too narrow a format."""
    yield from (_of_deviation(d) for d in DEVIATIONS.values() if not d.name.startswith("precision-downcast"))
    yield from () if entry is None else _slips(entry)
    yield _changed("annealing-left-on(any λ)", DEVIATIONS["annealing-left-on"], _annealed)
    yield from map(_eps, EPSILONS)
    yield from (_narrow(name) for name in FORMATS)


def pairs() -> Iterator[Hypothesis]:
    """Yield another loss computed with another mistake."""
    changes = [d for d in DEVIATIONS.values() if d.change is not None]
    for first, second in itertools.permutations(changes, 2):
        if first.name < second.name:
            yield _changed(_pair_name(first, second), first, _both(first, second))
    for first in changes:
        for second in DEVIATIONS.values():
            if second.change is None:
                yield replace(_of_run(second, _change_of(first)), name=_pair_name(first, second))


def _pair_name(first: Deviation, second: Deviation) -> str:
    return f"{first.name} with {second.name}"


def _of_deviation(deviation: Deviation) -> Hypothesis:
    if deviation.change is not None:
        return _changed(deviation.name, deviation, _change_of(deviation))
    return _of_run(deviation, lambda trial: trial.loss)


def _change_of(deviation: Deviation) -> Change:
    change = deviation.change
    return lambda trial: trial.loss if change is None else change(trial.loss)


def _both(first: Deviation, second: Deviation) -> Change:
    def change(trial: Trial) -> SVXSoftmax:
        loss = _change_of(first)(trial)
        return loss if second.change is None else second.change(loss)

    return change


def _changed(name: str, about: Deviation, change: Change) -> Hypothesis:
    """Return the hypothesis that another loss is computed, rightly."""
    return Hypothesis(name, about.formula, about.effect, about.seen, lambda trial: _of_loss(trial, change), change)


def _of_loss(trial: Trial, change: Change) -> Reference | None:
    try:
        loss = change(trial)
    except (ValueError, TypeError):
        return None  # parameters that the other loss does not take
    if loss == trial.loss:
        return None
    arrays = [a.astype(trial.right.dtype) for a in trial.arrays]
    return reference.of(loss, arrays, trial.labels, trial.cotangent, trial.compute)


def _of_run(deviation: Deviation, change: Change) -> Hypothesis:
    """Return the hypothesis of a deviation that no loss describes."""

    def expects(trial: Trial) -> Reference | None:
        loss = change(trial)
        if not deviation.applies(loss) or (trial.level == "cosine" and deviation.level == "head"):
            return None
        run: Any = deviation.run if trial.level == "cosine" else deviation.run_head
        values = run(loss, *trial.arrays, trial.labels, trial.cotangent)
        return _around(trial, values)

    return Hypothesis(deviation.name, deviation.formula, deviation.effect, deviation.seen, expects)


def _around(trial: Trial, values: tuple[FloatArray, ...]) -> Reference:
    """Return a reference of wrong values, with errors as large as logits of this size can have.

    Where a value is not finite the output must not be either.
    """
    u = format_of(trial.compute).unit_roundoff
    relative = SLACK * u * (1 + trial.right.classes / 128) * (1 + _largest_logit(trial.loss, values[0]))
    way = []
    for right, value in zip(trial.unweighted, values, strict=True):
        finite = np.isfinite(value)
        lost = ~finite & ~np.isfinite(trial.outputs.get(right.name, np.zeros_like(value)))
        wider = 4 * right.tolerance + relative * np.where(finite, np.abs(value), 0) + relative * (right.name == "loss")
        made = replace(right, value=value, rest=np.zeros_like(value), tolerance=wider, policy=right.policy | lost)
        way.append(made)
    return replace(trial.right, ways=(tuple(way),))


def _largest_logit(loss: SVXSoftmax, losses: FloatArray) -> float:
    """Return a bound on |z|, or the largest loss, which no softmax has without a logit of its size."""
    m = getattr(loss.margin, "m", 1.0)
    f = 2 * m if isinstance(m, int) else 2.0
    finite = np.abs(losses[np.isfinite(losses)])
    return float(loss.s * (2 * loss.emphasis.t + f) + finite.max(initial=0.0))


def _slips(entry: Variant) -> Iterator[Hypothesis]:
    """Yield parameters that are ignored, lost, or taken for one another."""

    def slip(name: str, formula: str, parameters: Slip) -> Hypothesis:
        def change(trial: Trial) -> SVXSoftmax:
            given = dict(trial.parameters)
            if not given or entry.factory(**given) != trial.loss:
                return trial.loss  # plain arrays, or a dialect
            return entry.factory(**parameters(given))

        effect = "A parameter is not what it was given as."
        return Hypothesis(name, formula, effect, ("a common slip",), lambda trial: _of_loss(trial, change), change)

    for name, default in entry.parameters.items():
        yield slip(f"{name}-is-its-default", f"{name} := {default:g}", _with({name: default}))
    yield slip("s-is-1", "s := 1", _with({"s": 1.0}))
    reals = [name for name, default in entry.parameters.items() if type(default) is float and name != "s"]
    for one, other in itertools.combinations(reals, 2):
        yield slip(f"{one}-and-{other}-swapped", f"{one} := {other}, {other} := {one}", _swapped(one, other))


def _with(values: Mapping[str, float]) -> Slip:
    return lambda parameters: {**parameters, **values}


def _swapped(one: str, other: str) -> Slip:
    return lambda parameters: {**parameters, one: parameters[other], other: parameters[one]}


def _annealed(trial: Trial) -> SVXSoftmax:
    """Return the loss with the annealing that one row's loss tells; other rows must then agree with it.

    f moves from ψ to c as the share λ/(1 + λ) grows from 0 to 1, and the loss with it.
    """
    loss, margin = trial.loss, trial.loss.margin
    if not isinstance(margin, MultiplicativeAngle) or trial.level == "head" or trial.factor is not None:
        return loss
    step = loss.forward(trial.arrays[0], trial.labels)
    b = int(np.argmax(np.abs(step.margin_cosine - step.target_cosine)))
    wanted, low, high = float(trial.outputs["loss"][b]), 0.0, 1.0
    made = loss
    for _ in range(60):
        share = (low + high) / 2
        made = replace(loss, margin=replace(margin, annealing=share / (1 - share)))
        less = made.value(trial.arrays[0][b : b + 1], trial.labels[b : b + 1]) < wanted
        low, high = (low, share) if less else (share, high)
        if high == 1.0 and low > 1 - 1e-9:
            break
    return made


def _eps(eps: float) -> Hypothesis:
    """Return the hypothesis of an ε beside the probability, of one of the usual sizes."""
    about = DEVIATIONS["eps-in-log"]
    run = with_eps(eps)
    written = replace(about, on_cosines=run, on_head=through(run))
    made = _of_run(written, lambda trial: trial.loss)
    return replace(made, name=f"eps-in-log({eps:g})", formula=f"L = -log(p_y + {eps:g})")


def _is_held(values: NDArray[Any], name: str) -> bool:
    """Return whether every number has no more digits than a format."""
    mantissa = np.frexp(np.asarray(values, np.float64))[0] * 2.0 ** format_of(name).digits
    return bool((mantissa == np.rint(mantissa)).all())


def _narrow(name: str) -> Hypothesis:
    """Return the hypothesis that all is right, but for the digits of a format narrower than the check's."""

    def expects(trial: Trial) -> Reference | None:
        if format_of(name).digits >= format_of(trial.compute).digits:
            return None
        if format_of(name).digits < HALF and not _is_held(trial.outputs["loss"], name):
            return trial.right  # so few digits excuse anything; the losses must show them
        arrays = [a.astype(trial.right.dtype) for a in trial.arrays]
        return reference.of(trial.loss, arrays, trial.labels, trial.cotangent, name)

    about = DEVIATIONS["precision-downcast-float32"]
    return Hypothesis(f"precision-downcast-{name}", f"c := {name}(c)", about.effect, about.seen, expects)
