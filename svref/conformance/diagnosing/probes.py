r"""How a candidate is asked, and how its losses are turned back into f and into single logits.

The loss of a row depends on nothing but the odds against its target,

    O = e^L - 1 = Σ_{k≠y} e^{r_k},    r_k = z_k - z_y

Rows of four classes with all three negatives at -1, or two of them, single out one term of this sum:

    O(-1, -1, -1) = 3 e^{r(-1)}                  hence f = -1 - log(O/3)/s
    O(c_k, -1, -1) = e^{r(c_k)} + 2 e^{r(-1)}    hence log h_k/s = r(c_k)/s - (c_k - f)

The first line needs no mask: adaptive h is 1 at c_k = -1 whether or not I_k = 1, and with fixed h the negatives at -1
are no support vectors as long as f > -1 (`target` corrects the others). Neither line presumes a form of f, I or h.

Rounding may move a loss by the tolerance of `svref.judging.condition`. As dO = e^L dL, it moves the odds by e^L times
as much. So every measured value comes with its own error. In float32 the loss of a high target rounds to almost
nothing; the error of its f is then large, and the value is not used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from svref.arrays import BoolArray, FloatArray, IntArray
from svref.deviations import DEVIATIONS
from svref.formats import format_of
from svref.judging import condition
from svref.judging.figures import figures
from svref.loss import SVXSoftmax
from svref.margins import AdditiveCosine, Angle, Combined, MultiplicativeAngle, NoMargin

BoundCandidate = Callable[[FloatArray, IntArray], tuple[NDArray[Any], NDArray[Any] | None]]

CLASSES = 4  # the target, a negative that varies, and two at -1; three equal negatives are possible too
BATCH = 48  # rows of almost every call: some frameworks compile for each shape, and 48 is no usual s, t or C
SAME = 1e-5  # cosine units: formulas that differ by less count as one; check, not diagnose, judges the last digits
ROUNDED_PRODUCT = 4.0  # units of u: what a head's cosine may be off, by the lengths and the product
TOO_NOISY = 0.05  # cosine units: a value with a larger error is not used, as it could not tell usual margins apart


class Rows(NamedTuple):
    """Cosines (B, C), and labels (B,)."""

    cosines: FloatArray
    labels: IntArray


class Response(NamedTuple):
    """What a candidate returned for some rows, in float64.

    Losses (B,) and gradient (B, C) are NaN where it returned none. `error` is the exception it raised first, as
    "Type: message", or "".
    """

    losses: FloatArray
    gradient: FloatArray
    has_gradient: bool
    error: str


class Measurement(NamedTuple):
    """Values, and by how much rounding of the losses may have moved each of them, in the same units."""

    value: FloatArray
    error: FloatArray

    @property
    def usable(self) -> BoolArray:
        """Where a value in cosine units is known well enough to tell formulas apart."""
        return np.asarray(np.isfinite(self.value) & (self.error < TOO_NOISY))

    def equals(self, other: Measurement, where: BoolArray | bool = True) -> bool | None:
        """Return whether two measurements are equal wherever this one is usable; None if it is usable nowhere."""
        compared = self.usable & where
        same = np.abs(self.value - other.value) <= self.error + np.nan_to_num(other.error) + SAME
        return bool(same[compared].all()) if compared.any() else None


@dataclass(frozen=True, eq=False)
class Subject:
    """A candidate under examination, with what is known so far about how its outputs are to be read.

    Parameters
    ----------
    candidate : callable
        Takes cosines (B, C) and labels (B,), and returns losses (B,) and a gradient (B, C) or None.
    loss : SVXSoftmax
        What it is meant to compute. Its s is the one that the candidate is found to have.
    dtype : numpy.dtype
        The dtype of the cosines it is given.
    precision : {"float64", "float32"}
        The format that its losses are rounded to on the way.
    batch_power : int
        The candidate's outputs are divided by the size of the batch to this power: 1 for a mean in place of a sum, -1
        for the reverse. `ask` undoes it.
    eps : float
        What is added to p_y in the logarithm, or replaces a smaller p_y. Losses near -log ε say little of their row.
    lowest : float
        The cosine that a negative at -1 counts as: above -1 if the candidate clamps its cosines.
    grid : str
        The format that the candidate rounds its cosines to, "" for none. It is then asked numbers of that format, for
        which the rounding does nothing.
    of_head : bool
        Whether it is a head, whose vectors are made from the cosines: these then carry the rounding of a product.
    """

    candidate: BoundCandidate
    loss: SVXSoftmax
    dtype: np.dtype[Any]
    precision: str
    batch_power: int = 0
    eps: float = 0.0
    lowest: float = -1.0
    grid: str = ""
    of_head: bool = False

    @property
    def digits(self) -> str:
        """The precision, with "float32" for a narrower one: constants of measurements are known for these two."""
        return "float64" if self.precision == "float64" else "float32"

    @property
    def through_angle(self) -> bool:
        """Whether the candidate may take an angle of its cosines, so that they must lie in [-1, 1]."""
        return self.of_head or not isinstance(self.loss.margin, NoMargin | AdditiveCosine)

    def ask(self, rows: Rows, size: int = BATCH) -> Response:
        """Return the candidate's outputs for some rows, asked in batches of `size`.

        A last batch that is short is filled up with copies of the last row; their outputs are dropped.
        """
        n, short = len(rows.labels), -len(rows.labels) % size
        index = np.minimum(np.arange(n + short), n - 1)
        c, y = self.as_given(rows).cosines[index].astype(self.dtype), rows.labels[index]
        batches = [self._call(c[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]
        losses, gradients, have_gradients, errors = zip(*batches, strict=True)
        by_row, by_entry = np.concatenate(losses)[:n], np.concatenate(gradients)[:n]
        return Response(by_row, by_entry, all(have_gradients), next(filter(None, errors), ""))

    def _call(self, cosines: FloatArray, labels: IntArray) -> Response:
        """Call the candidate once; a response of NaN says what it raised."""
        nothing, factor = np.full(cosines.shape, np.nan), float(len(labels)) ** self.batch_power
        try:
            warnings.simplefilter("ignore")
            losses, gradient = self.candidate(cosines.copy(), labels.copy())
            by_row = np.asarray(losses, dtype=np.float64).reshape(labels.shape) * factor
            by_entry = nothing if gradient is None else np.asarray(gradient, dtype=np.float64) * factor
        except (Exception, SystemExit) as error:
            return Response(nothing[:, 0], nothing, False, f"{type(error).__name__}: {error}")
        return Response(by_row, by_entry.reshape(cosines.shape), gradient is not None, "")

    def as_given(self, rows: Rows) -> Rows:
        """Return rows as the candidate gets them: rounded to its dtype, here in float64."""
        c = rows.cosines.astype(self.dtype).astype(np.float64)
        return Rows(rounded(c, self.grid) if self.grid else c, rows.labels)

    def computing(self, deviation: str) -> Subject:
        """Return a subject that computes the named deviation of the same loss, or for "" the paper's, in float64.

        It is asked the same rows and measured in the same way, so what the two have in common cancels.
        """

        def candidate(cosines: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
            c = cosines.astype(np.float64)
            if deviation:
                return DEVIATIONS[deviation].run(self.loss, c, labels)
            return self.loss.value_and_grad(c, labels, reduction="none")

        return replace(self, candidate=candidate, precision="float64", batch_power=0, eps=0.0, lowest=-1.0)

    def papers_losses(self, rows: Rows) -> FloatArray:
        """Return the losses that the paper has for some rows, (B,): what a question can tell, it can tell of these."""
        return self.computing("").ask(rows).losses

    def applicable(self, names: Iterable[str]) -> list[str]:
        """Return those of the named deviations that change this loss at all, in the same order."""
        return [name for name in names if DEVIATIONS[name].applies(self.loss)]

    def tolerance(self, rows: Rows) -> FloatArray:
        """Return how far rounding may move each loss, (B,)."""
        step = self.loss.forward(*self.as_given(rows))
        scale = condition.scales(step, self.precision).loss
        if self.of_head:
            slopes = np.nan_to_num(self.loss.backward(step).cosines, posinf=0.0, neginf=0.0)
            scale = scale + ROUNDED_PRODUCT * np.abs(slopes).sum(axis=1)
        return condition.tolerance(scale, CLASSES, self.loss.s, self.loss.emphasis.t, self.precision)

    def odds(self, rows: Rows) -> Measurement:
        """Return the odds against each target, (B,).

        Rounding of the loss moves them by e^L dL. An ε added to p_y = e^-L moves them by ε e^2L. An ε added to the sum
        of the exponentials, which is at least e^-s, moves them by ε e^s e^L at most. Which one it is, is not known
        here: both are allowed for, four times over.
        """
        losses = self.ask(rows).losses
        size = np.exp(losses)
        of_eps = 4 * self.eps * (size + np.exp(self.loss.s))
        return Measurement(np.expm1(losses), (self.tolerance(rows) + of_eps) * size)


def rounded(values: FloatArray, name: str) -> FloatArray:
    """Return float64 values rounded to the digits of a format, ties to even; its range is left out of account."""
    mantissa, exponent = np.frexp(values)
    digits = format_of(name).digits
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, digits)), exponent - digits))


def rows_of(targets: ArrayLike, negatives: ArrayLike) -> Rows:
    """Return rows of the given targets (B,) and negatives (B, C - 1); the labels are 0, 1, 2, 3, 0, 1 and so on."""
    c, others = np.asarray(targets, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    labels = np.arange(len(c)) % CLASSES
    cosines = np.empty((len(c), CLASSES))
    own = np.arange(CLASSES) == labels[:, None]
    cosines[own], cosines[~own] = c, np.broadcast_to(others, (len(c), CLASSES - 1)).ravel()
    return Rows(cosines, labels)


def own(rows: Rows) -> BoolArray:
    """Return where the label's column is, (B, C)."""
    return np.asarray(np.arange(CLASSES) == rows.labels[:, None])


def rounding_of_f(subject: Subject, targets: FloatArray) -> FloatArray:
    """Return how far rounding may move f itself at each of the targets, (T,): far for a large multiple of the angle."""
    u = condition.unit_roundoff(subject.precision)
    return condition.SLACK * u * figures(subject.loss.margin, Angle.from_cosine(targets), u).value


def multiple_of_angle(loss: SVXSoftmax) -> float:
    """Return by what the margin multiplies the angle."""
    match loss.margin:
        case MultiplicativeAngle():
            return float(loss.margin.m)
        case Combined():
            return loss.margin.m1
    return 1.0


def measured_f(subject: Subject, targets: FloatArray) -> Measurement:
    """Return f at each of the targets (T,), from rows with all negatives at -1."""
    odds, error = subject.odds(rows_of(targets, np.full((len(targets), CLASSES - 1), -1.0)))
    f = subject.lowest - np.log(odds / (CLASSES - 1)) / subject.loss.s
    return Measurement(f, error / odds / subject.loss.s)


def measured_lift(subject: Subject, targets: FloatArray, levels: FloatArray, f: FloatArray) -> Measurement:
    """Return by how much the logit of a negative exceeds s c_k, divided by s: z_k/s - c_k, which is log h_k/s.

    Beside target i, where f is f[i], one negative takes each of the levels[i]; the other two are at -1. Each target
    is asked once with all negatives at -1 too, whose odds say what those two add.

    Parameters
    ----------
    subject : Subject
        Whom to ask.
    targets, f : array of float64, shape (T,)
        The target's cosine, and f there.
    levels : array of float64, shape (T, K)
        The cosines of the negative.

    Returns
    -------
    Measurement of shape (T, K)
    """
    count, s = levels.shape[1] + 1, subject.loss.s
    varied = np.concatenate([np.full((len(targets), 1), -1.0), levels], axis=1)
    negatives = np.full((varied.size, CLASSES - 1), -1.0)
    negatives[:, 0] = varied.ravel()
    odds, error = (part.reshape(-1, count) for part in subject.odds(rows_of(np.repeat(targets, count), negatives)))
    share = (CLASSES - 2) / (CLASSES - 1)
    alone, its_error = odds[:, 1:] - share * odds[:, :1], error[:, 1:] + share * error[:, :1]
    c_k = subject.as_given(Rows(levels, np.zeros(len(levels), dtype=np.intp))).cosines
    return Measurement(np.log(alone) / s - (c_k - f[:, None]), its_error / alone / s)
