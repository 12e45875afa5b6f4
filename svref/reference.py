r"""The loss and its gradients, line by line as on paper: the heart of svref, for a reader.

    forward, read downwards                            backward of Σ_b g_b L_b, read upwards
    f = margin(θ_y)                              (3)   dL/dc_y = -s q df/dc,  dL/dm = -s q df/dm      (18, 21)
    I_k = [c_k > f]                              (5)   held constant
    log h_k = s (t - 1)(c_k + 1) I_k             (6)   slope_k = 1 + (t - 1) I_k                           (7)
                                                       dlog h_k/dt = s (c_k + 1) I_k                       (8)
    r_k = s (c_k - f) + log h_k,  k ≠ y         (10)   dL/dc_k = s p_k slope_k                            (17)
                                                       dL/ds = Σ p_k r_k / s,  dL/dt = Σ p_k dlog h_k/dt  (19, 20)
    e^a = Σ e^{r_k},  k ≠ y                     (11)   p_k = q share_k,  share_k = e^{r_k - a}            (16)
    L = log(1 + e^a)                        (13, 14)   q = e^a / (1 + e^a) = 1 - p_y                      (15)

`forward` is the left column down to a, `Step.loss` its last line, and `backward` the right column; there each row's
derivatives are multiplied by its g. The table shows the adaptive form of h, and f as the boundary of the mask. The
margins and their derivatives stand in `svref.margins`; I, log h, slope and dlog h/dt in `svref.emphasis`. The equations
are those of docs/explanation/derivation.md: sections 1 to 9, and section 11 for the head at the end, which leads from
vectors to cosines and back. Equation 14, and why sums are taken as they are, stand in docs/explanation/rounding.md.

Everything is relative to the target: r_k is a negative's logit s c_k + log h_k less the target's logit s f. So no
leading digits are lost to cancellation, and a loss of 1e-36 is still right to about 14 digits. Arrays are whole and
float64 inside: what follows from float32 cosines is computed in float64 and rounded once, at the end. `svref.engine`
computes the same numbers fast, and the tests hold both against `svref.exact`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.emphasis import SupportVectors
from svref.margins import Angle, Margin


class Loss(Protocol):
    """What a loss is made of: a margin, an emphasis and a scale. `svref.SVXSoftmax` is one."""

    @property
    def margin(self) -> Margin:
        """f, the target's cosine after the margin."""

    @property
    def emphasis(self) -> SupportVectors:
        """h, the emphasis of the negatives above f."""

    @property
    def s(self) -> float:
        """The scale of the logits."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """The quantities of one forward pass, which `SVXSoftmax.backward` needs.

    The fields f, r and a are float64. The properties are the same numbers in the dtype of the cosines. `cosines` is the
    caller's array, not a copy: leave it alone until the backward pass is done.

    Parameters
    ----------
    margin, emphasis, s : Margin, SupportVectors, float
        The parts of the loss that made the step.
    cosines : array, shape (B, C)
        As given.
    labels : array of intp, shape (B,)
        Class indices; 0 in ignored rows.
    counted : array of bool, shape (B,), or None
        The rows that count; None is all of them.
    angle : Angle
        The targets' cosines and sines, float64.
    f : array of float64, shape (B,)
        The target's cosine after the margin.
    boundary : array of float64, shape (B,)
        What a negative must exceed to be a support vector: f, unless the emphasis names another margin.
    mask : array of bool, shape (B, C)
        I, the support vectors; False in the label's column.
    r : array of float64, shape (B, C)
        The relative logits, with -inf in the label's column.
    a : array of float64, shape (B,)
        The log-odds against the target; -inf where C = 1.
    """

    margin: Margin
    emphasis: SupportVectors
    s: float
    cosines: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    counted: BoolArray | None = field(repr=False)
    angle: Angle = field(repr=False)
    f: FloatArray = field(repr=False)
    boundary: FloatArray = field(repr=False)
    mask: BoolArray = field(repr=False)
    r: FloatArray = field(repr=False)
    a: FloatArray = field(repr=False)

    @property
    def own(self) -> tuple[IntArray, IntArray]:
        """The entries (b, y_b) of the label columns, as an index into arrays (B, C)."""
        return np.arange(len(self.labels)), self.labels

    @property
    def target_cosine(self) -> FloatArray:
        """The target's cosine, c_y, shape (B,)."""
        return self.in_dtype(self.angle.cosine)

    @property
    def margin_cosine(self) -> FloatArray:
        """The target's cosine after the margin, f, shape (B,)."""
        return self.in_dtype(self.f)

    @cached_property
    def log_h(self) -> FloatArray:
        """The logarithm of the emphasis, log h, shape (B, C); 0 in the label's column."""
        return self.in_dtype(self.emphasis.log_h(self.cosines.astype(np.float64), self.mask, self.s))

    @cached_property
    def relative_logits(self) -> FloatArray:
        """The logits relative to the target's, r, shape (B, C); -inf in the label's column."""
        return self.in_dtype(self.r)

    @property
    def log_odds_against(self) -> FloatArray:
        """The log-odds against the target, a, shape (B,); -inf where C = 1."""
        return self.in_dtype(self.a)

    @property
    def loss(self) -> FloatArray:
        """The losses, L = log(1 + exp a) (equation 13), shape (B,); 0 in ignored rows."""
        losses = softplus(self.a)
        return self.in_dtype(losses if self.counted is None else np.where(self.counted, losses, 0.0))

    @cached_property
    def probabilities(self) -> FloatArray:
        """The probabilities, p, shape (B, C), with 1/(1 + exp a) in the label's column; ignored rows, label 0."""
        p = sigmoid(self.a)[:, None] * shares(self)
        p[self.own] = sigmoid(-self.a)
        return self.in_dtype(p)

    @np.errstate(under="ignore", over="ignore")
    def in_dtype(self, values: FloatArray) -> FloatArray:
        """Return float64 `values` in the dtype of the cosines, without a negative zero."""
        return np.asarray(values.astype(self.cosines.dtype) + self.cosines.dtype.type(0))


@dataclass(frozen=True, eq=False)
class Gradients:
    """The backward pass of one step: each row's derivatives times its cotangent g, in the dtype of the cosines.

    Parameters
    ----------
    cosines : array, shape (B, C)
        g dL/dc.
    s, t : array, shape (B,)
        g dL/ds by the scale, and g dL/dt by the strength of the emphasis.
    margin : dict of arrays, shape (B,)
        g dL/dm by each parameter m, m1, m2, m3 of the margin; empty for `NoMargin` and `MultiplicativeAngle`.
    """

    cosines: FloatArray
    s: FloatArray
    t: FloatArray
    margin: dict[str, FloatArray]


@np.errstate(under="ignore")
def forward(
    loss: Loss,
    cosines: FloatArray,
    labels: IntArray,
    counted: BoolArray | None = None,
    *,
    angle: Angle | None = None,
    flipped: BoolArray | None = None,
) -> Step:
    """Return every quantity of the forward pass: the left column of the table.

    Parameters
    ----------
    loss : Loss
        The margin, the emphasis and the scale.
    cosines : array of float32 or float64, shape (B, C)
        Valid cosines; `SVXSoftmax.forward` checks what users pass.
    labels : array of intp, shape (B,)
        Class indices.
    counted : array of bool, shape (B,), optional
        The rows that count; None is all of them.
    angle : Angle, optional
        The targets' angles, where the caller measured them on vectors; None takes them from the cosines.
    flipped : array of bool, shape (B, C), optional
        Entries of the mask to invert. Judges use it: within rounding of the boundary both decisions are right.
    """
    c, own = cosines.astype(np.float64), (np.arange(len(labels)), labels)
    angle = angle or Angle.from_cosine(c[own])
    f = loss.margin.value(angle)  # (3)
    boundary = f if loss.emphasis.boundary is None else loss.emphasis.boundary.value(angle)
    mask = loss.emphasis.mask(c, boundary)  # (5)
    mask ^= False if flipped is None else flipped
    mask[own] = False
    log_h = loss.emphasis.log_h(c, mask, loss.s)  # (6)
    r = loss.s * (c - f[:, None]) + log_h  # (10)
    r[own] = -np.inf
    return Step(
        margin=loss.margin, emphasis=loss.emphasis, s=loss.s, cosines=cosines, labels=labels, counted=counted,
        angle=angle, f=f, boundary=boundary, mask=mask, r=r, a=log_sum_exp(r),
    )  # fmt: skip


@np.errstate(under="ignore", over="ignore")
def backward(step: Step, g: FloatArray) -> Gradients:
    """Return the gradients of Σ_b g_b L_b: the right column of the table, upwards.

    The sums are over shares and are multiplied by g q last: a share is an ordinary number where p_k = q share_k
    underflows. g is divided by a power of two, and the results are multiplied by it: that rounds nothing, and products
    with a huge or a tiny g stay in range. A q or a share below 2^-1022 has lost digits, which no g brings back. Results
    beyond the range of the dtype are signed infinities.

    Parameters
    ----------
    step : Step
        What `forward` returned.
    g : array of float64, shape (B,)
        The cotangent: the derivative of the final number by each row's loss; 0 in ignored rows.
    """
    s, c = step.s, step.cosines.astype(np.float64)
    g, power = np.frexp(g)  # g · 2^power is what it was, with |g| between 1/2 and 1
    g_q, share = g * sigmoid(step.a), shares(step)  # (15, 16)
    by_s = g_q * np.sum(share * finite_or_zero(step.r) / s, axis=1)  # (19)
    by_t = g_q * np.sum(share * step.emphasis.log_h_by_t(c, step.mask, s), axis=1)  # (20)
    by_cosines = s * g_q[:, None] * (share * step.emphasis.slope(step.mask))  # (17)
    dead = (g == 0) | (step.a == -np.inf)  # a cotangent of 0, or no negatives
    by_cosines[step.own] = times_df(-s * g_q, step.margin.by_cosine(step.angle), dead)  # (18)
    by_margin = {n: times_df(-s * g_q, df, dead) for n, df in step.margin.by_parameter(step.angle).items()}  # (21)
    return Gradients(
        cosines=step.in_dtype(np.ldexp(by_cosines, power[:, None])),
        s=step.in_dtype(np.ldexp(by_s, power)),
        t=step.in_dtype(np.ldexp(by_t, power)),
        margin={name: step.in_dtype(np.ldexp(d, power)) for name, d in by_margin.items()},
    )


def times_df(factor: FloatArray, df: FloatArray, dead: BoolArray) -> FloatArray:
    """Return factor · df, with factor = -s q g; where df is infinite, the infinity with the sign of the product.

    The true factor is not 0, however small its q is; where it underflows, the zero keeps its sign. In `dead` rows the
    result is 0, even where df is infinite.
    """
    infinite = np.isinf(df)
    finite = factor * np.where(infinite, 0.0, df)
    return np.where(dead, 0.0, np.where(infinite, np.copysign(1.0, factor) * df, finite))


@np.errstate(under="ignore")
def shares(step: Step) -> FloatArray:
    """Return e^{r_k - a} = p_k / q, (B, C) (equation 16): each negative's share of the error; 0 at the label."""
    return np.exp(step.r - finite_or_zero(step.a)[:, None])


# ---- sums of exponentials without overflow -----------------------------------------------------------------------


def log_sum_exp(r: FloatArray) -> FloatArray:
    """Return a = log Σ_k e^{r_k} of each row (equation 11); the largest r_k is subtracted first. -inf if all are."""
    peak = finite_or_zero(r.max(axis=1))
    with np.errstate(divide="ignore"):
        return peak + np.log(np.exp(r - peak[:, None]).sum(axis=1))


@np.errstate(under="ignore")
def softplus(a: FloatArray) -> FloatArray:
    """Return L = log(1 + e^a) = max(a, 0) + log1p(e^-|a|) (equation 14); neither term is negative."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


@np.errstate(under="ignore")
def sigmoid(a: FloatArray) -> FloatArray:
    """Return q = e^a / (1 + e^a) (equation 15), for a > 0 as 1/(1 + e^-a); p_y is the same function of -a."""
    e = np.exp(-np.abs(a))
    return np.where(a > 0, 1.0, e) / (1 + e)


def finite_or_zero(values: FloatArray) -> FloatArray:
    """Return `values` with 0 in place of -inf, for where -inf would be subtracted from -inf or multiplied by 0."""
    return np.where(values == -np.inf, values.dtype.type(0), values)


# ---- the plain head: from vectors to cosines, and back -----------------------------------------------------------


def unit_rows(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return v/|v| of each row, and the lengths |v|, (rows, 1)."""
    length = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
    return rows / length, length


def through_unit_rows(by_unit: FloatArray, unit: FloatArray, length: FloatArray) -> FloatArray:
    """Return dL/dv = (d - <d, v̂> v̂)/|v| from d = dL/dv̂, by the quotient rule (equation 36): orthogonal to v."""
    return (by_unit - np.sum(by_unit * unit, axis=1, keepdims=True) * unit) / length


def cosines_of(embeddings: FloatArray, weights: FloatArray) -> FloatArray:
    """Return c_bk = <x̂_b, ŵ_k>, (B, C) (equation 2), clipped to [-1, 1], which rounding may exceed."""
    return np.clip(unit_rows(embeddings)[0] @ unit_rows(weights)[0].T, -1, 1)


def through_cosines(
    by_cosines: FloatArray, embeddings: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return dL/dx (B, D) and dL/dw (C, D) from dL/dc (B, C) (equation 37, over all columns).

    The textbook's way, for angles well inside (0, π). The cosine of two almost parallel vectors no longer knows their
    angle, and df/dc of an angular margin may be infinite there. `svref.head` measures the angle on the vectors.
    """
    (x, x_length), (w, w_length) = unit_rows(embeddings), unit_rows(weights)
    by_x = through_unit_rows(by_cosines @ w, x, x_length)
    by_w = through_unit_rows(by_cosines.T @ x, w, w_length)
    return by_x, by_w
