"""The head itself: how each side is normalised, whether rows are judged alone, and both gradients.

A batch of a few vectors is asked, then the same vectors longer, turned, permuted, one row at a time, and each entry
moved a little. What should not change is compared with itself, so that none of these questions needs the loss to be
right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from svref.arrays import FloatArray, IntArray
from svref.conformance.candidates.call import CandidateError
from svref.conformance.diagnosing.findings import Finding, unanswered
from svref.conformance.diagnosing.heads import HeadAnswer
from svref.conformance.diagnosing.probes import rounded
from svref.deviations import DEVIATIONS
from svref.formats import format_of
from svref.loss import SVXSoftmax

EMBEDDINGS, WEIGHTS = "length of the embeddings", "length of the weights"
DIRECTIONS, ROWS = "axis of the normalisation", "rows of a head"
BY_EMBEDDINGS, BY_WEIGHTS = "gradient by embeddings", "gradient by weights"
X_DIGITS, W_DIGITS = "digits of the embeddings", "digits of the weights"
QUESTIONS_OF_HEADS = (X_DIGITS, W_DIGITS, EMBEDDINGS, WEIGHTS, DIRECTIONS, ROWS, BY_EMBEDDINGS, BY_WEIGHTS)

SHAPE = (6, 4, 7)  # rows, classes, dimensions
CLOSE = {"float64": 1e-9, "float32": 2e-4}  # relative: losses that differ by less are one
STEP = {"float64": 2.0**-18, "float32": 2.0**-8}  # by which an entry is moved for a difference
OF_GRADIENT = {"float64": 1e-5, "float32": 0.05}  # of the largest entry: what differences know
GAP = {"float64": 1e-3, "float32": 0.03}  # no negative is closer to f, so that no difference turns a decision over
SHORT = 2.0**-17  # a length at which an ε of 1e-7 in the norm shows

HALF = ("float16", "bfloat16")

Ask = Callable[[FloatArray, FloatArray, IntArray], HeadAnswer]
Normalisation = Callable[[FloatArray], FloatArray]

WAYS: dict[str, Normalisation] = {
    "x/|x|": lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
    "not normalised": lambda x: x,
    "normalised over the other axis": lambda x: x / np.linalg.norm(x, axis=0, keepdims=True),
    "divided by Σ|x_d|": lambda x: x / np.abs(x).sum(axis=1, keepdims=True),
    "divided by max|x_d|": lambda x: x / np.abs(x).max(axis=1, keepdims=True),
    "divided by |x|²": lambda x: x / (x**2).sum(axis=1, keepdims=True),
    "divided by the length of the whole matrix": lambda x: x / np.linalg.norm(x),
}


@dataclass(frozen=True, eq=False)
class Head:
    """A head under examination: how it is asked, the loss it is meant to be, the dtype, and a batch of vectors."""

    ask: Ask
    loss: SVXSoftmax
    kind: np.dtype[Any]
    x: FloatArray
    w: FloatArray
    y: IntArray

    def losses(self, x: FloatArray, w: FloatArray, y: IntArray | None = None) -> FloatArray:
        """Return the losses of vectors, row by row if the head reduces them."""
        labels, kind = self.y if y is None else y, self.kind
        try:
            found = [self.ask(x.astype(kind), w.astype(kind), labels).losses]
        except CandidateError:
            found = [
                self.ask(x[b : b + 1].astype(kind), w.astype(kind), labels[b : b + 1]).losses for b in range(len(x))
            ]
        return np.concatenate(found).astype(np.float64)

    def is_same(self, some: FloatArray, others: FloatArray) -> bool:
        """Return whether losses are one to rounding."""
        close = CLOSE[self.kind.name] * (1 + np.abs(some)) * max(1.0, self.loss.s / 8)
        return bool((np.abs(some - others) <= close).all())


def head_of(ask: Ask, loss: SVXSoftmax, kind: np.dtype[Any]) -> Head:
    """Return the head with a batch of vectors, no negative of which lies close to f."""
    rows, classes, dimensions = SHAPE
    y = np.arange(rows) % classes
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(rows, dimensions)) * rng.uniform(0.5, 2, (rows, 1))
        w = rng.normal(size=(classes, dimensions)) * rng.uniform(0.5, 2, (classes, 1))
        x, w = x.astype(kind).astype(np.float64), w.astype(kind).astype(np.float64)
        step = loss.forward(WAYS["x/|x|"](x) @ WAYS["x/|x|"](w).T, y)
        apart = np.abs(step.cosines - step.boundary[:, None])
        apart[step.own] = 1
        if apart.min() > GAP[kind.name]:
            break
    return Head(ask, loss, kind, x, w, y)


@np.errstate(all="ignore")  # a wrong head divides by zero and overflows, and so does what is measured of it
def questions(head: Head) -> list[Finding]:
    """Return the findings about the head itself."""
    try:
        at_first = head.losses(head.x, head.w)
    except CandidateError as error:
        raise CandidateError(f"svref diagnose needs losses of a few vectors, and there are none: {error}") from error
    if not np.isfinite(at_first).all():
        return [unanswered(question, "the losses of a few vectors are not finite") for question in QUESTIONS_OF_HEADS]
    of_digits = [_digits(head, X_DIGITS), _digits(head, W_DIGITS)]
    if any(finding.agrees is False for finding in of_digits):
        return _named(head, of_digits)
    found = [*_lengths(head, at_first), _directions(head, at_first), _rows(head, at_first)]
    found = _with_formulas(head, at_first, found)
    return _named(head, [*of_digits, *found, *_gradients(head)])


def is_readable(findings: list[Finding]) -> bool:
    """Return whether the loss inside a head can be asked for by cosines: its losses depend on products alone."""
    asked = (DIRECTIONS, ROWS, X_DIGITS, W_DIGITS)
    return all(finding.agrees is not False for finding in findings if finding.question in asked)


def normalises(findings: list[Finding]) -> bool:
    """Return whether lengths do not matter on both sides."""
    return all(finding.agrees is not False for finding in findings if finding.question in (EMBEDDINGS, WEIGHTS))


def right_gradients(findings: list[Finding]) -> tuple[bool, bool]:
    """Return whether the gradient by the embeddings, and that by the weights, may be read as those of the losses."""
    wrong = {finding.question for finding in findings if finding.agrees is False}
    return BY_EMBEDDINGS not in wrong, BY_WEIGHTS not in wrong


# ---- the way to the cosines ------------------------------------------------------------------------------------


def _lengths(head: Head, at_first: FloatArray) -> Iterator[Finding]:
    """Yield for each side whether its lengths matter, at usual lengths and at very short ones."""
    for question, of_x in ((EMBEDDINGS, True), (WEIGHTS, False)):
        for factor in (2.0, SHORT):
            x, w = (factor * head.x, head.w) if of_x else (head.x, factor * head.w)
            losses = head.losses(x, w)
            evidence = f"L = {at_first[0]:.6g}; {losses[0]:.6g} if they are {factor:g} times as long"
            if not head.is_same(losses, at_first):
                answer = "matters" if factor == 2.0 else "matters where it is short: an ε in the norm"
                yield Finding(question, answer, evidence, False)
                break
        else:
            yield Finding(question, "does not matter", evidence, True)


def _digits(head: Head, question: str) -> Finding:
    """Return whether one side is rounded to a half format: numbers of it are moved by less than it keeps."""
    x, w, of_x = head.x, head.w, question == X_DIGITS
    lost = ""
    for name in HALF:
        held = rounded(x if of_x else w, name)
        signs = np.random.default_rng(4).uniform(-1, 1, held.shape)  # moved alike, a vector would keep its direction
        moved = held * (1 + format_of(name).unit_roundoff / 4 * signs)
        losses = [head.losses(each, w) if of_x else head.losses(x, each) for each in (held, moved)]
        if (losses[0] == losses[1]).all():
            lost = name
    evidence = "losses move if numbers of a half format are moved by less than it keeps"
    if not lost:
        return Finding(question, f"those of {head.kind.name}", evidence, True)
    symbol = "x" if of_x else "w"
    return Finding(question, f"{symbol} := {lost}({symbol})", f"no loss moves by what {lost} does not keep", False)


def _directions(head: Head, at_first: FloatArray) -> Finding:
    """Return whether the losses stay if all vectors are turned by the same rotation."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(SHAPE[2], SHAPE[2])))[0]
    losses = head.losses(head.x @ turn, head.w @ turn)
    evidence = f"L = {at_first[0]:.6g}; {losses[0]:.6g} if all vectors are turned alike"
    same = bool((np.abs(losses - at_first) <= 100 * CLOSE[head.kind.name] * head.loss.s * (1 + np.abs(losses))).all())
    return Finding(DIRECTIONS, "each vector by its length" if same else "not each vector by its length", evidence, same)


def _rows(head: Head, at_first: FloatArray) -> Finding:
    """Return whether a row has the same loss alone."""
    alone = np.concatenate([head.losses(head.x[b : b + 1], head.w, head.y[b : b + 1]) for b in range(len(head.x))])
    evidence = f"L = {at_first[0]:.6g} in a batch, {alone[0]:.6g} alone"
    same = head.is_same(alone, at_first)
    return Finding(ROWS, "judged alone" if same else "influence each other", evidence, same)


def _with_formulas(head: Head, at_first: FloatArray, findings: list[Finding]) -> list[Finding]:
    """Return the findings with the ways of normalising that give every loss in place of what was seen of them."""
    if all(finding.agrees for finding in findings):
        return findings
    for of_x, of_w in product(WAYS, WAYS):
        if head.is_same(_papers_losses(head, WAYS[of_x](head.x) @ WAYS[of_w](head.w).T), at_first):
            return [_with_way(finding, of_x, of_w) for finding in findings]
    return findings


def _papers_losses(head: Head, cosines: FloatArray) -> FloatArray:
    """Return the paper's losses of what a head takes for cosines; NaN where they are none."""
    try:
        return head.loss.forward(cosines, head.y).loss
    except ValueError:
        return np.full(len(head.y), np.nan)


def _with_way(finding: Finding, of_x: str, of_w: str) -> Finding:
    """Return a finding about lengths that says how the side is normalised."""
    way = {EMBEDDINGS: of_x, WEIGHTS: of_w.replace("x", "w") if "max" not in of_w else of_w}.get(finding.question)
    right = {EMBEDDINGS: "x/|x|", WEIGHTS: "w/|w|"}.get(finding.question)
    return finding if way is None else replace(finding, answer=way, agrees=way == right)


# ---- both gradients --------------------------------------------------------------------------------------------


def _gradients(head: Head) -> Iterator[Finding]:
    """Yield for each side what its gradient is, against differences of the losses."""
    try:
        answer = head.ask(head.x.astype(head.kind), head.w.astype(head.kind), head.y)
    except CandidateError as error:
        yield from (unanswered(question, str(error)) for question in (BY_EMBEDDINGS, BY_WEIGHTS))
        return
    for question, got, of_x in ((BY_EMBEDDINGS, answer.by_embeddings, True), (BY_WEIGHTS, answer.by_weights, False)):
        if got is None:
            lost = (answer.by_weights if of_x else answer.by_embeddings) is not None
            text = "none: this side is detached" if lost else "none"
            yield Finding(question, text, "the candidate returns none", False if lost else None)
        else:
            yield _of_side(head, question, got.astype(np.float64), _differences(head, of_x), head.x if of_x else head.w)


def _differences(head: Head, of_x: bool) -> FloatArray:
    """Return the central differences of the sum of the losses by each entry of one side."""
    side, step = (head.x if of_x else head.w), STEP[head.kind.name]
    result = np.empty_like(side)
    for index in np.ndindex(side.shape):
        moved = [side.copy(), side.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        width = float(moved[0].astype(head.kind)[index]) - float(moved[1].astype(head.kind)[index])
        high, low = (head.losses(each, head.w) if of_x else head.losses(head.x, each) for each in moved)
        result[index] = (high - low).sum() / width
    return result


def _of_side(head: Head, question: str, got: FloatArray, difference: FloatArray, vectors: FloatArray) -> Finding:
    """Return what the gradient by one side is: its own losses', or with a known mistake."""
    worst = np.unravel_index(int(np.argmax(np.abs(got - difference))), got.shape)
    evidence = f"entry {tuple(map(int, worst))} is {got[worst]:.6g}, by differences {difference[worst]:.6g}"
    limit = OF_GRADIENT[head.kind.name] * np.abs(difference).max()

    def is_close(some: FloatArray) -> bool:
        return bool((np.abs(some - difference) <= limit).all())

    if is_close(got):
        return Finding(question, "that of the candidate's own losses", evidence, True)
    if not got.any():
        return Finding(question, "0: this side is detached", evidence, False)
    for answer, right in _undone(got, difference, vectors):
        if is_close(right):
            return Finding(question, answer, evidence, False)
    return Finding(question, "not that of the candidate's own losses", evidence, False)


def _undone(got: FloatArray, difference: FloatArray, vectors: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield known mistakes, each with the gradient that is left once the mistake is undone."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / lengths
    projected = got - (got * unit).sum(axis=1, keepdims=True) * unit
    clear = np.abs(difference) > 0.05 * np.abs(difference).max()
    factor = float(f"{np.median(got[clear] / difference[clear]):.3g}") if clear.any() else 1.0
    yield f"{factor:g} times the derivative", got / (factor or 1.0)
    yield "not projected: a part along the vector is kept", projected
    yield "not divided by the length", got / lengths
    yield "neither projected nor divided by the length", projected / lengths
    yield "divided by the length twice", got * lengths
    yield "that of a sum where a mean is returned, or the reverse", got * len(vectors)


def _named(head: Head, findings: list[Finding]) -> list[Finding]:
    """Return the findings; the first departure is named as the known deviation that gives all outputs, if one does."""
    departs = [i for i, finding in enumerate(findings) if finding.agrees is False]
    if not departs:
        return findings
    answer = head.ask(head.x.astype(head.kind), head.w.astype(head.kind), head.y)
    for name, deviation in DEVIATIONS.items():
        if deviation.level == "head" and deviation.applies(head.loss) and _gives(head, name, answer):
            first = findings[departs[0]]
            findings[departs[0]] = replace(first, deviation=name)
            return findings
    return findings


def _gives(head: Head, name: str, answer: HeadAnswer) -> bool:
    """Return whether a known deviation gives all outputs of the batch of vectors."""
    try:
        losses, by_x, by_w = DEVIATIONS[name].run_head(head.loss, head.x, head.w, head.y)
    except ValueError:
        return False
    pairs = ((answer.by_embeddings, by_x), (answer.by_weights, by_w))
    close = OF_GRADIENT[head.kind.name]
    return head.is_same(answer.losses.astype(np.float64), losses) and all(
        got is not None and bool((np.abs(got - wrong) <= close * (1e-12 + np.abs(wrong).max())).all())
        for got, wrong in pairs
    )
