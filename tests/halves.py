"""Right code that rounds where a plan says, and its errors in units of the tolerance.

python tests/halves.py [rows]    prints the table: presets, then one narrow stage at a time; 10,000 rows each

Six formulations of the loss are written out here, and share no line with svref. Every operation is rounded to the
format that the plan gives its stage. An error of 1 is the tolerance: the worst near 1 would mean that the tolerance is
too tight, and all below 0.01 that it is too loose.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from svref import VARIANTS, SVXSoftmax
from svref.formats import format_of, rounded_to
from svref.judging.expected import expect
from svref.judging.judge import Expected, Quantity, judge
from svref.judging.precision import PRECISIONS, STAGES, Precision, precision_of
from svref.margins import AdditiveAngle, AdditiveCosine, Combined, Margin, MultiplicativeAngle, NoMargin

SCALES = (0.5, 4.0, 16.0, 64.0)
CLASSES, DIMENSIONS = 8, 16
COTANGENTS = (1.0, -0.5, 2.0**-7, 3.0)
ONE_STAGE = tuple(f"float64,{stage}={form}" for stage in STAGES for form in ("bfloat16", "float16"))
HEAD_STAGES = ("vectors", "product", "cosines")

Round = Callable[[np.ndarray], np.ndarray]


# ---- rows --------------------------------------------------------------------------------------------------------


def random(rng: np.random.Generator, margin: Margin, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-1, 1, rows), rng.uniform(-1, 1, (rows, CLASSES - 1))


def converged(rng: np.random.Generator, margin: Margin, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.9, 1, rows), rng.uniform(-0.9, 0.3, (rows, CLASSES - 1))


def hard(rng: np.random.Generator, margin: Margin, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-0.8, 0.3, rows), rng.uniform(-0.3, 0.95, (rows, CLASSES - 1))


def near_poles(rng: np.random.Generator, margin: Margin, rows: int) -> tuple[np.ndarray, np.ndarray]:
    distance = 2.0 ** -rng.uniform(3, 12, rows)
    return rng.choice([-1, 1], rows) * (1 - distance), rng.uniform(-0.9, 0.9, (rows, CLASSES - 1))


def near_switches(rng: np.random.Generator, margin: Margin, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets near θ = π - m or a kink of A-Softmax, negatives near the target and near where f may be."""
    angles = [j * np.pi / 4 for j in (1, 2, 3)] + [np.pi - 0.5, np.pi - 0.3]
    target = np.cos(rng.choice(angles, rows) + rng.normal(0, 0.02, rows))
    return target, np.clip(target[:, None] + rng.choice([0, -0.35], (rows, 1)) + rng.normal(0, 0.05, (rows, 7)), -1, 1)


def few_digits(rng: np.random.Generator, margin: Margin, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines that are multiples of 1/64, so that some logits need no rounding."""
    return rng.integers(-64, 65, rows) / 64, rng.integers(-64, 65, (rows, CLASSES - 1)) / 64


KINDS = (random, converged, hard, near_poles, near_switches, few_digits)


class Batch(NamedTuple):
    """Rows of cosines of one loss, before they are rounded to the format of the inputs."""

    name: str
    loss: SVXSoftmax
    cosines: np.ndarray
    labels: np.ndarray
    cotangent: np.ndarray


def batches(rows: int, seed: int = 0) -> Iterator[Batch]:
    """Yield about so many rows, over all variants, scales and kinds; t and m are of many digits or of few.

    If there are few rows, each variant comes with two of the scales only.
    """
    rng = np.random.default_rng(seed)
    some = 2 if rows < 2 * len(VARIANTS) * len(SCALES) * len(KINDS) else 1
    each = max(1, round(some * rows / (len(VARIANTS) * len(SCALES) * len(KINDS))))
    for j, (name, variant) in enumerate(VARIANTS.items()):
        for i, s in list(enumerate(SCALES))[j % some :: some]:
            few = {"t": 1.25, "m": 0.25} if i % 2 and not isinstance(variant.parameters.get("m"), int) else {}
            loss = variant.factory(
                **{**variant.parameters, **{k: v for k, v in few.items() if k in variant.parameters}, "s": s}
            )
            parts = [kind(rng, loss.margin, each) for kind in KINDS]
            targets, negatives = (np.concatenate(part) for part in zip(*parts, strict=True))
            labels = rng.integers(0, CLASSES, len(targets))
            cosines = np.array([np.insert(n, y, c) for n, y, c in zip(negatives, labels, targets, strict=True)])
            yield Batch(name, loss, cosines, labels, rng.choice(COTANGENTS, len(labels)))


# ---- the margin: f and df/dc, every operation rounded -----------------------------------------------------------


def by_sine(margin: Margin, c: np.ndarray, r: Round) -> tuple[np.ndarray, np.ndarray]:
    """Take f from sin θ = √(1 - c²), or from powers of c."""
    match margin:
        case NoMargin():
            return c, np.ones_like(c)
        case AdditiveCosine(m):
            return r(c - r(np.float64(m))), np.ones_like(c)
        case MultiplicativeAngle(4):
            k = sum((c <= r(np.cos(j * np.pi / 4))).astype(float) for j in (1, 2, 3))
            square, sign = r(c * c), 1 - 2 * (k % 2)
            f = r(r(r(8 * r(square * square)) - r(8 * square)) + 1)
            return r(sign * f - 2 * k), sign * r(r(32 * r(square * c)) - 16 * c)
        case AdditiveAngle(m):
            return _added_angle(c, m, r)
        case Combined(1.0, m2, m3):
            f, slope = _added_angle(c, m2, r)
            return r(f - r(np.float64(m3))), slope
    raise AssertionError(margin)


def _added_angle(c: np.ndarray, m: float, r: Round) -> tuple[np.ndarray, np.ndarray]:
    cos_m, sin_m, sine = r(np.cos(m)), r(np.sin(m)), _sine(c, r)
    with np.errstate(divide="ignore"):
        return r(r(c * cos_m) - r(sine * sin_m)), r(cos_m + r(r(c * sin_m) / sine))


def by_angle(margin: Margin, c: np.ndarray, r: Round) -> tuple[np.ndarray, np.ndarray]:
    """Take f from θ = arccos c; margins without an angle as in `by_sine`."""
    if not margin.angular:
        return by_sine(margin, c, r)
    theta, sine = r(np.arccos(c)), _sine(c, r)
    m1, m2, m3 = {
        AdditiveAngle: lambda: (1.0, margin.m, 0.0),
        MultiplicativeAngle: lambda: (float(margin.m), 0.0, 0.0),
        Combined: lambda: (margin.m1, margin.m2, margin.m3),
    }[type(margin)]()
    phi = r(r(m1 * theta) + r(np.float64(m2)))
    pieces = isinstance(margin, MultiplicativeAngle)
    k = np.clip(np.floor(r(phi / np.pi)), 0, m1 - 1) if pieces else np.zeros_like(c)
    sign = (-1.0) ** k
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = sign * r(r(m1 * r(np.sin(phi))) / sine)
    return r(sign * r(np.cos(phi)) - 2 * k - r(np.float64(m3))), slope


def _sine(c: np.ndarray, r: Round) -> np.ndarray:
    return r(np.sqrt(r(1 - r(c * c))))


# ---- the six formulations ----------------------------------------------------------------------------------------


@dataclass
class Code:
    """Code for one loss and plan: what each stage has made, rounded to the format of the stage."""

    loss: SVXSoftmax
    plan: Precision
    cosines: np.ndarray
    labels: np.ndarray
    margin: Callable[..., tuple[np.ndarray, np.ndarray]] = by_sine
    out_of_range: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.z_, self.p_, self.sum_, self.loss_, self.g_ = (
            partial(rounded_to, name=getattr(self.plan, stage))
            for stage in ("logits", "softmax", "accumulator", "loss", "gradient")
        )
        self.cosines = self.z_(self.cosines)
        self.own = (np.arange(len(self.labels)), self.labels)
        self.f, self.df = self.margin(self.loss.margin, self.cosines[self.own], self.z_)
        self.t, self.s = float(self.z_(np.float64(self.loss.emphasis.t))), self.loss.s
        self.mask = (self.cosines > self.f[:, None]) & (self.t > 1)
        self.mask[self.own] = False
        self.out_of_range = np.zeros(len(self.labels), bool)

    @property
    def is_fixed(self) -> bool:
        return self.loss.emphasis.form == "fixed"

    def lifted(self) -> np.ndarray:
        """The negatives with the emphasis, c or t c + t - 1 or c + t - 1."""
        more = self.z_(self.t - 1)
        scaled = self.cosines if self.is_fixed else self.z_(self.t * self.cosines)
        return np.where(self.mask, self.z_(scaled + more), self.cosines)

    def logits(self) -> np.ndarray:
        """What the negatives are lifted to times s, and s f."""
        z = self.z_(self.s * self.lifted())
        z[self.own] = self.z_(self.s * self.f)
        return z

    def total(self, e: np.ndarray) -> np.ndarray:
        """Σ_k e_k, one after the other in the accumulator, kept as the softmax is."""
        total = e[:, 0]
        for k in range(1, e.shape[1]):
            total = self.sum_(total + e[:, k])
        return self.p_(total)[:, None]


def log_softmax(code: Code, z: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """-log p_y, with log p = z - max - log Σ; gradient e^{log p} - onehot."""
    z, p_ = code.logits() if z is None else z, code.p_
    shifted = p_(z - z.max(axis=1, keepdims=True))
    log_p = p_(shifted - p_(np.log(code.total(p_(np.exp(shifted))))))
    g = p_(np.exp(log_p))
    g[code.own] = p_(g[code.own] - 1)
    return -log_p[code.own], g


def log_sum_exp(code: Code) -> tuple[np.ndarray, np.ndarray]:
    """Take log Σ e^z - z_y; gradient e/Σ - onehot."""
    z, p_ = code.logits(), code.p_
    peak = z.max(axis=1, keepdims=True)
    e = p_(np.exp(p_(z - peak)))
    total = code.total(e)
    g = p_(e / total)
    g[code.own] = p_(g[code.own] - 1)
    return p_(p_(p_(np.log(total)) + peak)[:, 0] - z[code.own]), g


def relative(code: Code, r: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + e^a), with e^a the sum over the negatives of e^{z_k - z_y}; gradient q times the shares."""
    z, p_ = code.logits(), code.p_
    r = p_(z - z[code.own][:, None]) if r is None else r
    r[code.own] = -np.inf
    peak = r.max(axis=1, keepdims=True)
    e = p_(np.exp(p_(r - peak)))
    total = code.total(e)
    a = p_(peak + p_(np.log(total)))[:, 0]
    small = p_(np.exp(-np.abs(a)))
    q = p_(np.where(a > 0, 1.0, small) / p_(1 + small))
    g = p_(q[:, None] * p_(e / total))
    g[code.own] = -q
    return p_(np.maximum(a, 0) + p_(np.log1p(small))), g


def one_hot(code: Code) -> tuple[np.ndarray, np.ndarray]:
    """Add s (f - c_y) times the one-hot rows to the scaled cosines."""
    z_, one = code.z_, np.eye(CLASSES)[code.labels]
    moved = z_(code.s * z_(code.f - code.cosines[code.own]))
    return log_softmax(code, z_(z_(code.s * code.lifted()) + one * moved[:, None]))


def times_h(code: Code) -> tuple[np.ndarray, np.ndarray]:
    """Multiply the exponentials by h. Rows where h or an exponential leaves its format are not its own."""
    z_, p_ = code.z_, code.p_
    z = z_(code.s * code.cosines)
    z[code.own] = z_(code.s * code.f)
    growth = np.ones_like(z) if code.is_fixed else z_(code.cosines + 1)
    log_h = np.where(code.mask, z_(z_(code.s * z_(code.t - 1)) * growth), 0.0)
    h, peak = z_(np.exp(log_h)), z.max(axis=1, keepdims=True)
    e = p_(np.exp(p_(z - peak)))
    used = (code.plan.softmax, code.plan.logits, code.plan.accumulator)
    narrow = min(used, key=lambda name: format_of(name).top)
    lost = (h > format_of(narrow).largest / CLASSES) | (code.mask & (e < format_of(code.plan.softmax).tiny))
    code.out_of_range = lost.any(axis=1)
    e = p_(e * np.where(np.isinf(h), 1.0, h))
    total = code.total(e)
    g = p_(e / total)
    g[code.own] = p_(g[code.own] - 1)
    return p_(p_(p_(np.log(total)) + peak)[:, 0] - z[code.own]), g


def stored_relative(code: Code) -> tuple[np.ndarray, np.ndarray]:
    """Store s (c_k - f) + log h_k as the logits. Not one of the six."""
    z_ = code.z_
    z_relative = z_(code.s * z_(code.lifted() - code.f[:, None]))
    return relative(code, z_relative)


FORMULATIONS: dict[str, tuple[Callable[..., tuple], Callable[..., tuple]]] = {
    "log_softmax": (log_softmax, by_sine),
    "log_sum_exp": (log_sum_exp, by_sine),
    "relative": (relative, by_sine),
    "one_hot": (one_hot, by_sine),
    "times_h": (times_h, by_sine),
    "by_angle": (log_sum_exp, by_angle),
}


class Outputs(NamedTuple):
    """What a formulation returns, and the rows for which it is right code."""

    loss: np.ndarray
    gradient: np.ndarray
    in_range: np.ndarray


@np.errstate(all="ignore")
def run(name: str, plan: Precision, batch: Batch) -> Outputs:
    """Return the losses, and the gradient that autograd makes of them, one rounded product after the other."""
    form, margin = FORMULATIONS[name]
    code = Code(batch.loss, plan, batch.cosines, batch.labels, margin)
    losses, by_logits = form(code)
    slope = np.where(code.mask & (not code.is_fixed), code.t, 1.0)
    slope[code.own] = code.df
    gradient = code.g_(code.g_(by_logits * batch.cotangent[:, None]) * code.s)
    gradient = np.where(by_logits == 0, 0.0, code.g_(gradient * slope))
    return Outputs(code.loss_(losses), gradient, ~code.out_of_range)


# ---- a head ------------------------------------------------------------------------------------------------------


def vectors(batch: Batch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and weights: a few embeddings are pulled to their class or away from it; lengths differ."""
    x, w = rng.normal(size=(len(batch.labels), DIMENSIONS)), rng.normal(size=(CLASSES, DIMENSIONS))
    x += rng.choice([0, 2, 8, -2], (len(x), 1)) * w[batch.labels]
    return x * 2.0 ** rng.integers(-3, 6, (len(x), 1)), w * 2.0 ** rng.integers(-3, 3, (len(w), 1))


@np.errstate(all="ignore")
def run_head(name: str, plan: Precision, batch: Batch, x: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
    """Return losses and both gradients by way of unit vectors, a rounded product, and back through both norms."""
    operand, sum_, cosine_, g_, v_ = (
        partial(rounded_to, name=getattr(plan, stage))
        for stage in ("product", "accumulator", "cosines", "gradient", "vectors")
    )
    wide = partial(rounded_to, name=max((plan.vectors, plan.softmax), key=lambda n: format_of(n).digits))
    (x_unit, x_norm), (w_unit, w_norm) = (_units(v, wide) for v in (x, w))
    left, right = operand(x_unit), operand(w_unit)
    c = np.clip(cosine_(sum_(left @ right.T)), -1, 1)
    losses, g, _ = run(name, plan, batch._replace(cosines=c))
    by_x, by_w = g_(sum_(g @ right)), g_(sum_(g.T @ left))
    return [losses, *(v_(_back(*args, wide)) for args in ((by_x, x_unit, x_norm), (by_w, w_unit, w_norm)))]


def _units(v: np.ndarray, r: Round) -> tuple[np.ndarray, np.ndarray]:
    norm = r(np.sqrt(np.sum(v * v, axis=1, keepdims=True)))
    return r(v / norm), norm


def _back(by_unit: np.ndarray, unit: np.ndarray, norm: np.ndarray, r: Round) -> np.ndarray:
    along = r(np.sum(by_unit * unit, axis=1, keepdims=True))
    return r(r(by_unit - r(along * unit)) / norm)


# ---- errors in units of the tolerance ----------------------------------------------------------------------------


class Worst(NamedTuple):
    """The largest error of a formulation, and where it is."""

    error: float
    where: str


@dataclass
class Found:
    """Errors in units of the tolerance, of one output under one plan."""

    errors: list[np.ndarray] = field(default_factory=list)
    vacuous: list[np.ndarray] = field(default_factory=list)
    worst: Worst = field(default_factory=lambda: Worst(0.0, ""))

    def add(self, quantity: Quantity, rows: np.ndarray, where: Callable[[tuple[int, ...]], str]) -> None:
        """Add the judged elements of some rows."""
        judged = quantity.judged & (rows if quantity.error.ndim == 1 else rows[:, None])
        error = np.where(judged, quantity.error, 0)
        self.errors.append(error[judged])
        self.vacuous.append(quantity.vacuous[judged])
        at = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
        if error[at] > self.worst.error:
            self.worst = Worst(
                float(error[at]), f"{where(at)}: got {quantity.got[at]!r}, right {quantity.expected[at]!r}"
            )

    def line(self) -> str:
        """Return median, 99 %, the worst, the share that is vacuous, and where the worst is."""
        errors, vacuous = np.concatenate(self.errors), np.concatenate(self.vacuous)
        middle, most = np.quantile(errors, (0.5, 0.99)) if len(errors) else (0.0, 0.0)
        return f"{middle:8.4f} {most:8.4f} {self.worst.error:8.4f} {vacuous.mean():7.1%}  {self.worst.where}"


def expected(batch: Batch, arrays: tuple[np.ndarray, ...], plan: Precision) -> Expected:
    """Return what is right, with all outputs in float64."""
    return replace(expect(batch.loss, arrays, batch.labels, batch.cotangent, plan), loss_dtype=None)


def measure(plan: Precision | str, rows: int, seed: int = 0) -> dict[str, Found]:
    """Return the errors of the six formulations on cosines, by output."""
    plan, found = precision_of(plan), defaultdict(Found)
    for batch in batches(rows, seed):
        batch = batch._replace(cosines=rounded_to(batch.cosines, _inputs(plan, "cosine")))
        right = expected(batch, (batch.cosines,), plan)
        for name in FORMULATIONS:
            got = run(name, plan, batch)
            for quantity in judge(right, {"loss": got.loss, "grad_cosines": got.gradient}).quantities:
                found[quantity.name].add(quantity, got.in_range, partial(_where, name, batch, quantity.name))
    return found


def measure_head(plan: Precision | str, rows: int, seed: int = 0) -> dict[str, Found]:
    """Return the errors of three formulations behind a head, by output."""
    plan, found, rng = precision_of(plan), defaultdict(Found), np.random.default_rng(seed)
    for batch in batches(rows, seed):
        x, w = (rounded_to(v, _inputs(plan, "head")) for v in vectors(batch, rng))
        right = expected(batch, (x, w), plan)
        usable = right.judged.all()  # a row that is not judged is in the gradient of every weight
        for name in ("log_softmax", "relative", "by_angle"):
            outputs = dict(
                zip(("loss", "grad_embeddings", "grad_weights"), run_head(name, plan, batch, x, w), strict=True)
            )
            for quantity in judge(right, outputs).quantities:
                if usable or quantity.name != "grad_weights":
                    rows_of = np.ones(len(quantity.got), bool)
                    found[quantity.name].add(quantity, rows_of, partial(_where, name, batch, quantity.name))
    return found


def _inputs(plan: Precision, level: str) -> str:
    """Return the format that inputs are drawn in: that of the plan, or bfloat16 where all but one stage is float64."""
    return "bfloat16" if plan.name.startswith("float64,") else plan.inputs(level)


def _where(name: str, batch: Batch, output: str, at: tuple[int, ...]) -> str:
    """Return what failed where: the formulation, the loss, and the row; a gradient by weights has no row."""
    text = f"{name} {at} of {batch.name} s={batch.loss.s}"
    if output == "grad_weights":
        return text
    row = ", ".join(f"{c:.17g}" for c in batch.cosines[at[0]])
    return f"{text} y={batch.labels[at[0]]} g={batch.cotangent[at[0]]} [{row}]"


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{'plan':<34} {'output':<16} {'median':>8} {'99 %':>8} {'worst':>8} {'vacuous':>7}")
    for plan in (*PRECISIONS, *ONE_STAGE):
        narrow = plan.partition(",")[2].partition("=")[0]
        if narrow not in HEAD_STAGES:
            for output, found in measure(plan, rows).items():
                print(f"{plan:<34} {output:<16} {found.line()}", flush=True)
        for output, found in measure_head(plan, rows).items():
            print(f"{plan:<34} {'head ' + output:<16} {found.line()}", flush=True)


if __name__ == "__main__":
    main()
