"""Independent high-precision truth for the SV-X-Softmax losses.

Naive on purpose: the forward is the published formula written out in mpmath, and every derivative is a
central difference of it, with the mask and the branches (tail, easy, the k of A-Softmax) decided at the base
point and held.  No derivative is worked out by hand, and nothing is shared with the package under test.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from mpmath import mp, mpf  # type: ignore[import-untyped]

Vector: TypeAlias = list[mpf]
Matrix: TypeAlias = list[list[mpf]]
Rows: TypeAlias = Iterable[Iterable[Any]]

_DIGITS = 200  # the step takes 60 of them, which leaves a slope about 140
_MOST_SPAN_DIGITS = 3000  # past this, the slope of a probability below 1e-3000 or so is reported as zero
_PARAMETERS = {"none": (), "a": (), "am": ("m",), "arc": ("m",), "combined": ("m1", "m2", "m3")}


@dataclass(frozen=True)
class Spec:
    """One member of the family; every float stands for its exact binary64 value."""

    margin: str = "none"  # none, am, arc, a, combined
    m: float = 0.0
    m1: float = 1.0
    m2: float = 0.0
    m3: float = 0.0
    tail: str = "raw"  # of arc where theta + m > pi: raw, linear, plain, reflect
    annealing: float = 0.0
    easy_above: float | None = None
    s: float = 1.0
    t: float = 1.0
    form: str = "adaptive"  # or fixed
    boundary: Spec | None = None


@dataclass
class Truth:
    """Values; and gradients of each row's own loss times its cotangent, left empty if not asked for."""

    mask: list[list[bool]]
    margin_cosine: Vector
    loss: Vector
    probabilities: Matrix
    cosines: Matrix = field(default_factory=list)
    s: Vector = field(default_factory=list)
    t: Vector = field(default_factory=list)
    margin: dict[str, Vector] = field(default_factory=dict)


@dataclass
class HeadTruth:
    """Values; and gradients of the cotangent-weighted sum by what was not yet normalised."""

    loss: Vector
    cosines_of: Matrix
    embeddings: Matrix = field(default_factory=list)
    weights: Matrix = field(default_factory=list)


def _exact(value: Any) -> mpf:
    """Convert a binary32 or binary64 without rounding: mpmath never works with fewer than 53 bits here."""
    return value if isinstance(value, mpf) else mpf(float(value))


def _parameters(spec: Spec) -> Vector:
    return [_exact(getattr(spec, name)) for name in _PARAMETERS[spec.margin]]


def _angle(c: mpf) -> mpf:
    """Return arccos(c), and nan outside [-1, 1], so that a slope at exactly +-1 is nan by itself."""
    return mp.acos(c) if abs(c) <= 1 else mp.nan


def _cosine_of_multiple(m: int, c: mpf) -> mpf:
    """Return cos(m arccos(c)) by cos((j + 1)θ) = 2 c cos(jθ) - cos((j - 1)θ): exact for a short c, ties included."""
    before, now = (c, mpf(1)) if abs(c) <= 1 else (mp.nan, mp.nan)
    for _ in range(m):
        before, now = now, 2 * c * now - before
    return now


def _held_margin(spec: Spec, base: mpf) -> Callable[[mpf, Sequence[mpf]], mpf]:
    """Return f(cosine, parameters) with every branch chosen at `base` and held."""
    kind, m, lam = spec.margin, _exact(spec.m), _exact(spec.annealing)
    if spec.easy_above is not None and base <= spec.easy_above:
        kind = "none"
    if kind == "arc" and _angle(base) + m > mp.pi:
        kind = {"raw": "arc", "linear": "linear", "plain": "none", "reflect": "reflect"}[spec.tail]
    # Rounding may pick the other k where m theta is a multiple of pi, but psi and its slope agree there.
    k = min(int(mp.floor(m * _angle(base) / mp.pi)), int(m) - 1) if kind == "a" else 0
    return {
        "none": lambda c, p: c,
        # Exact, for the mask's sake: a tie with the boundary must not be decided by rounding.
        "am": lambda c, p: mp.fsub(c, p[0], exact=True),
        "arc": lambda c, p: mp.cos(_angle(c) + p[0]),
        "linear": lambda c, p: c - p[0] * mp.sin(p[0]),
        "reflect": lambda c, p: -2 - mp.cos(_angle(c) + p[0]),
        "a": lambda c, p: (lam * c + (-1) ** k * _cosine_of_multiple(int(m), c) - 2 * k) / (1 + lam),
        "combined": _combined,
    }[kind]


def _combined(c: mpf, p: Sequence[mpf]) -> mpf:
    # With m1 = 1 and m2 = 0 this is the cosine itself, in [-1, 1] or not; a step in m1 or m2 needs the angle.
    inner = c if p[0] == 1 and p[1] == 0 else mp.cos(p[0] * _angle(c) + p[1])
    return mp.fsub(inner, p[2], exact=True)


class _Row:
    """One sample's loss as a function of its cosines and its knobs [s, t, *margin parameters]."""

    def __init__(self, spec: Spec, cosines: Vector, label: int) -> None:
        self.cosines, self.label = cosines, label
        self.adaptive = {"adaptive": True, "fixed": False}[spec.form]
        self.knobs = [_exact(spec.s), _exact(spec.t), *_parameters(spec)]
        self.margin = _held_margin(spec, cosines[label])
        self.f = self.margin(cosines[label], self.knobs[2:])
        other = spec.boundary or spec
        boundary = _held_margin(other, cosines[label])(cosines[label], _parameters(other))
        if mp.isnan(self.f + boundary):
            raise ValueError("an angular margin needs a target cosine in [-1, 1]")
        self.mask = [k != label and bool(c > boundary) for k, c in enumerate(cosines)]
        self.term = functools.cache(self._term)  # a step in one cosine leaves the other terms as they were

    def _term(self, k: int, c: mpf, s: mpf, t: mpf) -> mpf:
        """Return h_k e^{s c_k}, and 0 for the target, which has its own."""
        if k == self.label:
            return mpf(0)
        h = mp.exp(s * (t - 1) * (c + 1 if self.adaptive else 1)) if self.mask[k] else 1
        return h * mp.exp(s * c)

    def terms(self, cosines: Vector, knobs: Vector) -> tuple[mpf, Vector]:
        """Return e^{s f} and the h_k e^{s c_k}; an mpf's exponent is unbounded, so nothing overflows."""
        s, t, *parameters = knobs
        target = mp.exp(s * self.margin(cosines[self.label], parameters))
        return target, [self.term(k, c, s, t) for k, c in enumerate(cosines)]

    def loss(self, cosines: Vector, knobs: Vector) -> mpf:
        """Return -log(e^{s f} / (e^{s f} + sum)); by log1p, as 1 + 1e-400 would be 1."""
        target, others = self.terms(cosines, knobs)
        return mp.log1p(mp.fsum(others) / target)

    def probabilities(self) -> Vector:
        target, others = self.terms(self.cosines, self.knobs)
        others[self.label] = target
        total = mp.fsum(others)
        return [term / total for term in others]


def _gradient(function: Callable[[Vector], mpf], point: Vector, step: mpf) -> Vector:
    """Return the central differences of `function` along each coordinate of `point`."""
    slopes = []
    for k, value in enumerate(point):
        up, down = (function([*point[:k], value + by, *point[k + 1 :]]) for by in (step, -step))
        # A difference in the last ten digits alone is rounding: a slope of zero, not of 1e-130.
        noise = abs(up - down) <= abs(up) * mpf(10) ** (10 - mp.dps)
        slopes.append(mpf(0) if noise else (up - down) / (2 * step))
    return slopes


def _precision(spec: Spec, largest: mpf) -> tuple[int, mpf]:
    """Return the working digits, and a step small against the scale on which the loss varies."""
    margins = abs(spec.m) + abs(spec.m1 - 1) + abs(spec.m2) + abs(spec.m3)
    # This also bounds how far apart the exponents can lie: a probability of e^-size must keep its slope.
    size = (1 + abs(_exact(spec.s))) * (2 + abs(_exact(spec.t))) * (1 + largest + margins)
    digits = _DIGITS + int(min(size / mp.ln10, _MOST_SPAN_DIGITS)) + 4 * int(mp.log10(size))
    return digits, mpf(10) ** -60 / size


def _inputs(rows: Rows, cotangent: Iterable[Any] | None) -> tuple[Matrix, Vector]:
    values = [[_exact(value) for value in row] for row in rows]
    return values, [_exact(value) for value in ([1] * len(values) if cotangent is None else cotangent)]


def evaluate(
    spec: Spec,
    cosines: Rows,
    labels: Iterable[int],
    *,
    cotangent: Iterable[Any] | None = None,
    gradients: bool = True,
) -> Truth:
    """Evaluate the loss of each row of cosines, and its slopes.

    Parameters
    ----------
    spec : Spec
        The loss.
    cosines, labels : arrays or lists, [B][C] and [B]
        Taken exactly as given, never clamped.
    cotangent : array or list, [B], optional
        What each row's slopes are multiplied by; 1 if left out.
    gradients : bool
        Whether to take slopes at all.

    Returns
    -------
    Truth
        All mpf.  A slope that does not exist (through an angle, at a cosine of exactly +-1) is nan.
    """
    values, shares = _inputs(cosines, cotangent)
    digits, step = _precision(spec, max(abs(c) for row in values for c in row))
    with mp.workdps(digits):
        rows = [_Row(spec, row, int(label)) for row, label in zip(values, labels, strict=True)]
        truth = Truth(
            mask=[row.mask for row in rows],
            margin_cosine=[row.f for row in rows],
            loss=[row.loss(row.cosines, row.knobs) for row in rows],
            probabilities=[row.probabilities() for row in rows],
        )
        if gradients:
            slopes = [_row_slopes(row, share, step) for row, share in zip(rows, shares, strict=True)]
            truth.cosines = [by_cosine for by_cosine, _ in slopes]
            by_knob = zip(*(knobs for _, knobs in slopes), strict=True)
            truth.s, truth.t, *margin = (list(column) for column in by_knob)
            truth.margin = dict(zip(_PARAMETERS[spec.margin], margin, strict=True))
    return truth


def _row_slopes(row: _Row, share: mpf, step: mpf) -> tuple[Vector, Vector]:
    by_cosine = _gradient(lambda cosines: row.loss(cosines, row.knobs), row.cosines, step)
    by_knob = _gradient(lambda knobs: row.loss(row.cosines, knobs), row.knobs, step)
    return [share * slope for slope in by_cosine], [share * slope for slope in by_knob]


def _cosine(x: Vector, w: Vector) -> mpf:
    # Twenty guard digits and then one rounding: parallel is exactly +-1, nothing exceeds it, ties stay ties.
    with mp.workdps(mp.dps + 20):
        value = mp.fdot(x, w) / mp.sqrt(mp.fdot(x, x) * mp.fdot(w, w))
    return +value


def _sine_squared(x: Vector, w: Vector) -> Fraction:
    """Return sin^2 of the angle between two vectors exactly: zero if and only if they are parallel."""
    a, b = ([Fraction(float(value)) for value in vector] for vector in (x, w))
    norms = sum((p * p for p in a), Fraction(0)) * sum((q * q for q in b), Fraction(0))
    # Lagrange: the squared cross products add up to |a|^2 |b|^2 - (a.b)^2.
    return 1 - sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0)) ** 2 / norms


def evaluate_head(
    spec: Spec,
    embeddings: Rows,
    weights: Rows,
    labels: Iterable[int],
    *,
    cotangent: Iterable[Any] | None = None,
    gradients: bool = True,
) -> HeadTruth:
    """Evaluate the loss of the cosines between embeddings and class weights, and its slopes by both.

    Parameters
    ----------
    spec, labels, cotangent, gradients
        As `evaluate` takes them.
    embeddings, weights : arrays or lists, [B][D] and [C][D]
        Not normalised; no row may be zero.

    Returns
    -------
    HeadTruth
        All mpf.  Where a row and its target are exactly parallel, the target's cosine contributes slope 0.
    """
    (xs, shares), (classes, _) = _inputs(embeddings, cotangent), _inputs(weights, None)
    targets = [int(label) for label in labels]
    apart = [_sine_squared(x, classes[y]) for x, y in zip(xs, targets, strict=True)]
    # The angle has a kink at 0 and at pi, a sine away: step well inside it, with digits for its cosine.
    sine = mp.sqrt(min((mpf(a.numerator) / a.denominator for a in apart if a), default=mpf(1)))
    digits, step = _precision(spec, mpf(1))
    with mp.workdps(digits + int(-4 * mp.log10(sine))):
        rows = [_Row(spec, [_cosine(x, w) for w in classes], y) for x, y in zip(xs, targets, strict=True)]
        truth = HeadTruth([row.loss(row.cosines, row.knobs) for row in rows], [row.cosines for row in rows])
        if gradients:
            triples = zip(rows, xs, apart, strict=True)
            slopes = [_head_slopes(row, x, classes, a == 0, step * sine) for row, x, a in triples]
            truth.embeddings = [[share * g for g in x] for share, (x, _) in zip(shares, slopes, strict=True)]
            by_class = zip(*(w for _, w in slopes), strict=True)
            truth.weights = [[mp.fdot(shares, g) for g in zip(*rows_of, strict=True)] for rows_of in by_class]
    return truth


def _head_slopes(row: _Row, x: Vector, classes: Matrix, parallel: bool, step: mpf) -> tuple[Vector, Matrix]:
    """Return one row's slopes by its embedding and by every class weight."""

    def cosine(k: int, x: Vector, w: Vector) -> mpf:
        # The kink of the angle at an exactly parallel pair has 0 as its least-norm subgradient.
        return row.cosines[k] if parallel and k == row.label else _cosine(x, w)

    def by_embedding(x: Vector) -> mpf:
        return row.loss([cosine(k, x, w) for k, w in enumerate(classes)], row.knobs)

    def by_weight(k: int, w: Vector) -> mpf:
        return row.loss([*row.cosines[:k], cosine(k, x, w), *row.cosines[k + 1 :]], row.knobs)

    def gradient(function: Callable[[Vector], mpf], point: Vector) -> Vector:
        return _gradient(function, point, step * mp.norm(point))

    of_weights = [gradient(functools.partial(by_weight, k), w) for k, w in enumerate(classes)]
    return gradient(by_embedding, x), of_weights


def _nearest(value: mpf) -> float:
    """Round once: float(mpf) rounds twice below the normal range, where Python's int / int does not."""
    if not mp.isfinite(value):
        return float(value)
    if abs(value) >= 2**1024 - 2**970:  # half a unit past the largest binary64
        return math.copysign(math.inf, value)
    return int(mp.ldexp(value, 1200)) / 2**1200


def to_float(values: Any) -> npt.NDArray[np.float64]:
    """Round nested lists of mpf to the nearest binary64."""
    exact = np.asarray(values, dtype=object)
    return np.array([_nearest(_exact(value)) for value in exact.flat], dtype=np.float64).reshape(exact.shape)


def _elementwise(error: Callable[[mpf, mpf], mpf], got: Any, truth: Any) -> npt.NDArray[np.float64]:
    left, right = np.asarray(got), np.asarray(truth, dtype=object)
    if left.shape != right.shape:
        raise ValueError(f"got has shape {left.shape} and truth {right.shape}")
    errors = [error(_exact(a), _exact(b)) for a, b in zip(left.flat, right.flat, strict=True)]
    return to_float(errors).reshape(right.shape)


def absolute_error(got: Any, truth: Any) -> npt.NDArray[np.float64]:
    """Return abs(got - truth) element by element, worked out in mpf."""
    return _elementwise(lambda a, b: abs(a - b), got, truth)


def relative_error(got: Any, truth: Any) -> npt.NDArray[np.float64]:
    """Return abs(got - truth) / abs(truth) likewise; where truth is 0, 0 if got is 0 too and else inf."""

    def error(a: mpf, b: mpf) -> mpf:
        if b == 0:
            return mpf(0) if a == 0 else mp.inf
        return abs(a - b) / abs(b)

    return _elementwise(error, got, truth)
