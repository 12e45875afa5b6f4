"""What people write by mistake for a single stage of a loss: a formula each, tried on the first wrong stage.

A candidate that offers its stages, finished or not, is right up to its first wrong one. So the mistake is told from
that stage alone: a slip explains it if its formula, from the right stages before, gives the candidate's values in all
cases. A name that is also a deviation's means the same there. What the same slip is called in the registry and in the
families, which see the outputs alone, is listed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from svref.arrays import BoolArray, FloatArray
from svref.conformance.mistakes.stages import Compared, beyond
from svref.judging.narrow import finite
from svref.margins import AdditiveAngle, AdditiveCosine, Margin
from svref.reference import Step, shares, sigmoid

ROOM = 2.0**12  # times u: a slip's values may be far larger than the right ones, and their errors are too


@dataclass(frozen=True)
class Right:
    """The right stages of one case, by the symbols of the derivation; rows are columns here, of shape (B, 1)."""

    step: Step

    def __getattr__(self, name: str) -> FloatArray:
        """Return a symbol: c, c_y, f, I, log_h, r, a, q, p, share or slope."""
        step, slope = self.step, self.step.emphasis.slope(self.step.mask)
        symbols: dict[str, FloatArray] = {
            "c": step.cosines, "c_y": step.angle.cosine[:, None], "f": step.f[:, None],
            "I": step.mask.astype(np.float64), "log_h": step.log_h, "r": step.r, "a": step.a[:, None],
            "q": sigmoid(step.a)[:, None], "p_y": sigmoid(-step.a)[:, None], "share": shares(step),
            "p": sigmoid(step.a)[:, None] * shares(step), "slope": slope,
            "df": finite(step.margin.by_cosine(step.angle))[:, None],
        }  # fmt: skip
        return symbols[name]

    @property
    def s(self) -> float:
        """The scale."""
        return self.step.s

    @property
    def grown(self) -> FloatArray:
        """Log h of every negative, in the adaptive form, as if all were support vectors."""
        return np.asarray(self.s * (self.t - 1) * (self.step.cosines + 1))

    @property
    def t(self) -> float:
        """The strength of the emphasis."""
        return self.step.emphasis.t


@dataclass(frozen=True)
class Slip:
    """A formula that is written by mistake for a stage.

    Parameters
    ----------
    stage : str
        One of `STAGES`, or "loss".
    name, formula : str
        What the mistake is called, and what is computed.
    values : callable
        Returns the wrong values from the right stages before; (B, C), or (B, 1) for a stage of one number a row.
    absolute : float
        How far rounding carries these values besides, in units of u: a few, if they are a difference of numbers near 1.
    also : tuple of str
        What explains the outputs, if all other stages are right: mistakes of the registry and the families by name.
    """

    stage: str
    name: str
    formula: str
    values: Callable[[Right], FloatArray | BoolArray]
    absolute: float = 0.0
    also: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names of this mistake, its own first."""
        return self.name, *self.also

    def explains(self, case: Compared) -> bool:
        """Return whether the candidate's stage is what this slip gives, within rounding."""
        with np.errstate(all="ignore"):
            slipped = np.asarray(self.values(Right(case.step)), np.float64).reshape(case.right[self.stage].shape)
        room = self.absolute + (0.0 if self.absolute else ROOM) * np.abs(finite(slipped))
        width = case.width[self.stage] + case.unit_roundoff * room
        return not beyond(case.got[self.stage], slipped, width).any()


def slip_of(stage: str, cases: Sequence[Compared]) -> Slip | None:
    """Return the slip that gives a candidate's values of a wrong stage in all cases; None if there is none."""
    cases = [case for case in cases if stage in case.got]
    return next((slip for slip in SLIPS if slip.stage == stage and all(map(slip.explains, cases))), None)


def _margin_backwards(right: Right) -> FloatArray:
    """Return f with the margin's sign flipped; of other margins than one cosine or one angle, f."""
    margin, angle = right.step.margin, right.step.angle
    flipped: dict[type[Margin], Callable[[float], FloatArray]] = {
        AdditiveCosine: lambda m: angle.cosine + m,
        AdditiveAngle: lambda m: np.cos(angle.theta - m),
    }
    change = flipped.get(type(margin))
    return change(margin.m)[:, None] if change and isinstance(margin, (AdditiveCosine, AdditiveAngle)) else right.f


def _sum(values: FloatArray) -> FloatArray:
    """Return the sum over the classes."""
    return values.sum(axis=1, keepdims=True)


SLIPS = (
    Slip("margin_cosine", "margin-ignored", "f = c_y", lambda x: x.c_y),
    Slip("margin_cosine", "sign-of-margin-flipped", "f = c_y + m, or cos(θ - m)", _margin_backwards),
    Slip("mask", "non-strict-mask", "I_k = [c_k >= f]", lambda x: x.c >= x.f),
    Slip("mask", "mask-on-plain-cosine", "I_k = [c_k > c_y]", lambda x: x.c > x.c_y),
    Slip("mask", "mask-inverted", "I_k = [c_k < f]", lambda x: x.c < x.f),
    Slip("mask", "mask-on-scaled-cosines", "I_k = [s c_k > f]", lambda x: x.s * x.c > x.f),
    Slip("log_h", "t-offset", "log h_k = s t (c_k + 1) I_k", lambda x: x.s * x.t * (x.c + 1) * x.I),
    Slip("log_h", "s-missing-in-h", "log h_k = (t - 1)(c_k + 1) I_k", lambda x: x.log_h / x.s),
    Slip("log_h", "fixed-for-adaptive", "log h_k = s (t - 1) I_k", lambda x: x.s * (x.t - 1) * x.I),
    Slip("log_h", "adaptive-for-fixed", "log h_k = s (t - 1)(c_k + 1) I_k", lambda x: x.grown * x.I),
    Slip("log_h", "h-of-every-negative", "log h_k = s (t - 1)(c_k + 1) for all k", lambda x: x.grown),
    Slip("log_h", "h-with-another-offset(0)", "log h_k = s (t - 1) c_k I_k", lambda x: x.s * (x.t - 1) * x.c * x.I,
         also=("margin-on-negatives-above-f(-(t - 1))",)),
    Slip("log_h", "h-without-logarithm", "h_k in place of log h_k", lambda x: np.exp(x.log_h)),
    Slip("relative_logits", "emphasis-left-out", "r_k = s (c_k - f)", lambda x: x.s * (x.c - x.f)),
    Slip("relative_logits", "margin-left-out", "r_k = s (c_k - c_y) + log h", lambda x: x.log_h + x.s * (x.c - x.c_y),
         also=("margin-on-all-classes",)),
    Slip("relative_logits", "s-left-out", "r_k = c_k - f + log h_k", lambda x: x.c - x.f + x.log_h),
    Slip("relative_logits", "s-twice", "r_k = s (c_k - f + log h_k)", lambda x: x.s * (x.c - x.f + x.log_h)),
    Slip("relative_logits", "target-not-subtracted", "r_k = s c_k + log h_k", lambda x: x.s * x.c + x.log_h),
    Slip("log_odds_against", "logarithm-left-out", "a = Σ e^{r_k}", lambda x: np.exp(x.a)),
    Slip("log_odds_against", "largest-for-sum", "a = max r_k", lambda x: x.r.max(axis=1, keepdims=True)),
    Slip("log_odds_against", "target-in-the-sum", "a = log(1 + Σ e^{r_k})", lambda x: np.logaddexp(0, x.a)),
    Slip("loss", "a-for-loss", "L = a", lambda x: x.a, also=("target-left-out in loss alone",)),
    Slip("loss", "loss-of-the-negatives", "L = log(1 + e^{-a})", lambda x: np.logaddexp(0, -x.a)),
    Slip("q", "p_y-for-q", "q = p_y = 1/(1 + e^a)", lambda x: x.p_y),
    Slip("q", "q-by-subtraction", "q = 1 - p_y, with the rounding error of p_y", lambda x: 1 - x.p_y, absolute=8),
    Slip("q", "loss-for-q", "q = L", lambda x: np.logaddexp(0, x.a)),
    Slip("q", "odds-for-q", "q = e^a", lambda x: np.exp(x.a)),
    Slip("probabilities", "shares-for-probabilities", "p_k = e^{r_k - a}, without q", lambda x: x.share),
    Slip("probabilities", "odds-for-probabilities", "p_k = e^{r_k}", lambda x: np.exp(x.r)),
    Slip("grad_negatives", "slope-of-h-lost", "dL/dc_k = s p_k, the t of support vectors lost", lambda x: x.s * x.p),
    Slip("grad_negatives", "s-lost-in-gradient", "dL/dc_k = p_k slope_k", lambda x: x.p * x.slope,
         also=("negatives-gradient-scaled(1/s)",)),
    Slip("grad_negatives", "slope-of-emphasis-for-all", "dL/dc_k = s p_k t", lambda x: x.s * x.t * x.p),
    Slip("grad_negatives", "gradient-sign-flipped", "dL/dc_k = -s p_k slope_k", lambda x: -x.s * x.p * x.slope,
         also=("negatives-gradient-scaled(-1)",)),
    Slip("grad_negatives", "shares-for-probabilities", "dL/dc_k = s share slope", lambda x: x.s * x.share * x.slope),
    Slip("grad_target", "target-gradient-scaled(-1/s)", "dL/dc_y = q df/dc", lambda x: x.q * x.df),
    Slip("grad_target", "target-gradient-scaled(1/s)", "dL/dc_y = -q df/dc", lambda x: -x.q * x.df),
    Slip("grad_target", "target-gradient-negated", "dL/dc_y = s q df/dc", lambda x: x.s * x.q * x.df,
         also=("target-gradient-scaled(-1)",)),
    Slip("grad_target", "p_y-for-q", "dL/dc_y = -s p_y df/dc", lambda x: -x.s * x.p_y * x.df),
    Slip("grad_target", "one-hot-not-subtracted", "dL/dc_y = s p_y df/dc", lambda x: x.s * x.p_y * x.df),
    Slip("grad_target", "straight-through", "dL/dc_y = -s q, df/dc lost", lambda x: -x.s * x.q),
    Slip("grad_s", "division-by-s-lost", "dL/ds = Σ p_k r_k", lambda x: x.s * _sum(x.p * finite(x.r) / x.s)),
    Slip("grad_s", "emphasis-held-constant", "dL/ds = Σ p_k (c_k - f)", lambda x: _sum(x.p * (x.c - x.f))),
    Slip("grad_s", "shares-for-probabilities", "dL/ds = Σ share r_k / s", lambda x: _sum(x.share * finite(x.r) / x.s)),
    Slip("grad_t", "mask-lost", "dL/dt = Σ p_k s (c_k + 1), without I_k", lambda x: _sum(x.p * x.s * (x.c + 1))),
    Slip("grad_t", "s-lost-in-gradient", "dL/dt = Σ p_k (c_k + 1) I_k", lambda x: _sum(x.p * (x.c + 1) * x.I)),
    Slip("grad_t", "fixed-for-adaptive", "dL/dt = Σ p_k s I_k", lambda x: _sum(x.p * x.s * x.I)),
    Slip("grad_m", "sign-of-margin-flipped", "dL/dm = s q df/dm", lambda x: x.s * x.q * _df_dm(x)),
    Slip("grad_m", "s-lost-in-gradient", "dL/dm = -q df/dm", lambda x: -x.q * _df_dm(x)),
    Slip("grad_m", "minus-s-lost", "dL/dm = q df/dm", lambda x: x.q * _df_dm(x)),
)  # fmt: skip


def _df_dm(right: Right) -> FloatArray:
    """Return df/dm of a margin of one parameter m."""
    return finite(right.step.margin.by_parameter(right.step.angle)["m"])[:, None]
