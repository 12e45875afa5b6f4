"""The loss as a whole: which formula gives every loss that a candidate returned.

The other questions ask about one part of the loss at a time. This one asks about all of it: rows in every region of f,
of the mask and of the loss are asked, and formulas are tried on all of their losses at once. The paper's comes first,
then the known deviations, then forms with sizes to fit, those with fewer sizes first. A formula counts only if it gives
every loss within rounding, and gives them at other parameters too, if the candidate can be asked there. So no part is
called wrong because another one is, and no name is given by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from svref.arrays import FloatArray
from svref.conformance.diagnosing import behaviour, probes
from svref.conformance.diagnosing.fitting import Target, fit
from svref.conformance.diagnosing.forms import Form, Parts, Sizes, cross_entropy
from svref.conformance.diagnosing.laws import Law, law_of
from svref.conformance.diagnosing.of_families import forms_of_families
from svref.conformance.diagnosing.of_logits import forms_of_logits
from svref.conformance.diagnosing.of_losses import FORMS_OF_LOSSES
from svref.conformance.diagnosing.probes import CLASSES, SAME, BoundCandidate, Rows, Subject
from svref.deviations import DEVIATIONS
from svref.loss import SVXSoftmax
from svref.margins import Angle

Elsewhere = Sequence[tuple[BoundCandidate, SVXSoftmax]]  # the candidate, and the paper's loss, at other parameters

SLACK = 4.0  # times the tolerance of a right loss: forms have other logits, whose rounding may be larger
RELATIVE = {"float64": 1e-11, "float32": 2e-6}  # of a loss: the digits that formulas written in another way keep
LEAST = 0.8  # the share of rows whose losses must be finite
FROM_BOUNDARY = 0.02  # of a negative's distance to f and to c_y, in units of the rows' width
ENDS = 2.0 ** -np.arange(2.0, 26.0)  # distances of targets from ±1
PAPER = Form((), lambda parts, sizes: cross_entropy(parts.logits(), parts.own))


@dataclass(frozen=True)
class Told:
    """The formula that gives every loss.

    Parameters
    ----------
    form : Form or None
        None if no formula is known that does.
    answers : mapping of question to answer
        What the form says, with its sizes.
    evidence : str
        How many losses it gives, and on what its sizes depend.
    is_hidden : bool
        Whether nothing can be told, as few losses are finite, or rounding hides them.
    names : frozenset of str
        The known deviations that give every loss.
    """

    form: Form | None
    answers: dict[str, str]
    evidence: str
    is_hidden: bool = False
    names: frozenset[str] = frozenset()

    @property
    def is_papers(self) -> bool:
        """Whether the losses are the paper's."""
        return self.form is PAPER

    @property
    def deviation(self) -> str:
        """The name of the known deviation whose losses they are, "" if there is none."""
        return self.form.deviation if self.form is not None and not self.form.says else ""

    @property
    def is_reading(self) -> bool:
        """Whether they are given by a form that is neither the paper nor a known deviation."""
        return self.form is not None and not self.is_papers and not self.deviation


def ask(subject: Subject, elsewhere: Elsewhere = (), pairs: bool = True) -> Told:
    """Return the formula that gives every loss of rows in all regions, if one is known; pairs take longer."""
    target = _target(subject)
    if target is None:
        return Told(None, {}, "too few losses are finite", is_hidden=True)
    is_one_number = np.ptp(target.losses) <= target.allowed.max()
    if is_one_number and np.ptp(PAPER.losses(target.parts, ())) <= target.allowed.max():
        return Told(None, {}, "rounding hides the losses", is_hidden=True)
    if is_one_number:
        return Told(None, {}, "the losses of all rows are one number")
    if _is_papers(target):
        return Told(PAPER, {}, f"the paper gives all {len(target.losses)} losses of rows in every region")
    asked = _asked(subject, target, elsewhere)
    for group in _groups(subject, pairs):
        found = [each for each in (_found(form, asked) for form in group) if each is not None]
        if found:
            return _told(found, target)
    return Told(None, {}, _farthest(target))


def _is_papers(target: Target) -> bool:
    """Return whether the paper gives every loss, up to a difference of f or of a logit that counts as none."""
    nearly = replace(target, allowed=target.allowed + SAME * target.parts.loss.s)
    return nearly.holds(PAPER, ())


# ---- the rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be given: losses of four classes at the given parameters and at others, and losses of five."""

    targets_of_four: tuple[Target, ...]
    of_five: Target | None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of them."""
        return self.targets_of_four if self.of_five is None else (*self.targets_of_four, self.of_five)


def _asked(subject: Subject, target: Target, elsewhere: Elsewhere) -> Asked:
    """Return the losses that a form has to give."""
    others = [_target(replace(subject, candidate=candidate, loss=loss)) for candidate, loss in elsewhere]
    return Asked((target, *(each for each in others if each is not None)), _target(subject, classes=5))


def _target(subject: Subject, classes: int = CLASSES) -> Target | None:
    """Return the losses of the rows that are asked, and what they may differ by; None if too few are finite."""
    rows = subject.as_given(_rows(subject.loss))
    if classes > CLASSES:
        rows = subject.as_given(_with_a_class_more(rows))
    got = subject.ask(rows).losses
    finite = np.isfinite(got)
    if finite.mean() < LEAST:
        return None
    rows, got = Rows(rows.cosines[finite], rows.labels[finite]), got[finite]
    parts = Parts(subject.loss, rows)
    right = np.abs(subject.loss.forward(rows.cosines, rows.labels).loss)
    larger = np.maximum(1, np.abs(got) / (1 + right))
    allowed = SLACK * subject.tolerance(rows) * larger + RELATIVE[subject.digits] * np.abs(got)
    return Target(parts, got, allowed, lambda rows: subject.ask(subject.as_given(rows)).losses)


def _rows(loss: SVXSoftmax) -> Rows:
    """Return rows whose targets and negatives lie everywhere, and rows whose negatives lie about f."""
    ordinary = behaviour.ordinary_rows()
    rng = np.random.default_rng(15)
    targets = np.concatenate([np.cos(np.linspace(0.02, np.pi - 0.02, 144)), 1 - ENDS, ENDS - 1])
    width = min(1.0, 12 / (loss.s * loss.emphasis.t))
    f = np.clip(loss.margin.value(Angle.from_cosine(targets)), -0.99, 0.99)[:, None]
    c = f + width * rng.uniform(-1, 1, (len(targets), CLASSES - 1))
    c = np.where(np.abs(c) > 0.995, np.clip(f, -0.9, 0.9) - np.sign(c) * width * rng.uniform(0.02, 0.9, c.shape), c)
    for boundary in (f, targets[:, None]):
        close = np.abs(c - boundary) < FROM_BOUNDARY * width
        c = np.where(close, boundary - 3 * FROM_BOUNDARY * width * np.sign(boundary + 1e-9), c)
    c = np.clip(c, -0.999, 0.999) * (1 - 0.001 * np.arange(CLASSES - 1))  # no two negatives of a row are equal
    about_f = probes.rows_of(targets, c)
    return Rows(np.concatenate([ordinary.cosines, about_f.cosines]), np.concatenate([ordinary.labels, about_f.labels]))


def _with_a_class_more(rows: Rows) -> Rows:
    """Return rows of one class more, which is no row's label, a little below the smallest of the others."""
    below = np.maximum(rows.cosines.min(axis=1, keepdims=True) - 0.01, -0.98)
    return Rows(np.concatenate([rows.cosines, below], axis=1), rows.labels)


# ---- the forms -------------------------------------------------------------------------------------------------


def _groups(subject: Subject, pairs: bool) -> Iterator[list[Form]]:
    """Yield groups of forms, in the order in which they are tried: a group that has one ends the search."""
    yield [_of_deviation(name) for name in subject.applicable(_cosine_deviations())]
    forms = [*forms_of_families(subject.loss), *forms_of_logits(subject.loss), *FORMS_OF_LOSSES]
    for count in range(max(form.count for form in forms) + 1):
        yield [form for form in forms if form.count == count and not form.has_switch]
    for count in (1, 2):
        yield [form for form in forms if form.count == count and form.has_switch]
    if pairs:
        yield from _pairs(forms)


def _pairs(forms: Sequence[Form]) -> Iterator[list[Form]]:
    """Yield changes of the loss followed by what is made of its logits, those with fewer sizes first."""
    pairs = [a.followed_by(b) for a in forms if a.change is not None for b in forms if b.is_second]
    for count in (1, 2):
        yield [pair for pair in pairs if pair.count == count]


def _cosine_deviations() -> list[str]:
    """Return the names of the known deviations that cosines show."""
    return [name for name, deviation in DEVIATIONS.items() if deviation.level == "cosine"]


def _of_deviation(name: str) -> Form:
    """Return a known deviation as a form."""

    def losses(parts: Parts, sizes: Sizes) -> FloatArray:
        return DEVIATIONS[name].run(parts.loss, parts.c, parts.rows.labels)[0]

    return Form((), losses, deviation=name)


# ---- what is found ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A form that gives every loss, its sizes, and on what each size depends."""

    form: Form
    sizes: Sizes
    laws: tuple[Law, ...]

    @property
    def answers(self) -> dict[str, str]:
        """The answer to each of the form's questions, with its sizes."""
        answers = dict(self.form.says)
        for i, (size, law) in enumerate(zip(self.sizes, self.laws, strict=True)):
            answers = {question: law.put_into(text, f"{{{i}}}", size) for question, text in answers.items()}
        return answers

    @property
    def words(self) -> str:
        """The form in a few words."""
        return " and ".join(self.answers.values()) or self.form.deviation


def _found(form: Form, asked: Asked) -> _Found | None:
    """Return the form if it gives every loss, at the other parameters and with another number of classes too."""
    target, *others = asked.targets if form.any_classes else asked.targets_of_four
    sizes = fit(form, target)
    if sizes is None:
        return None
    there = [fit(form, other, sizes) for other in others]
    known = [each for each in there if each is not None]
    if len(known) < len(there):
        return None
    losses = [each.parts.loss for each in (target, *others)]
    laws = tuple(law_of([values[i] for values in (sizes, *known)], losses) for i in range(form.count))
    return _Found(form, sizes, laws)


def _told(found: Sequence[_Found], target: Target) -> Told:
    """Return the first of the forms that give every loss; others that do as well are named in the evidence."""
    simple = [each for each in found if all(law.is_simple for law in each.laws)] or list(found)
    first, *rest = simple
    evidence = f"it gives all {len(target.losses)} losses of rows in every region"
    for size, law in zip(first.sizes, first.laws, strict=True):
        evidence += f"; {size:.6g} {law.text}" if law.text else ""
    if rest:
        evidence += f"; so does {' and '.join(each.words for each in rest[:2])}: no row that is asked tells them apart"
    names = frozenset(each.form.deviation for each in simple if not each.form.says)
    return Told(first.form, first.answers, evidence, names=names)


def _farthest(target: Target) -> str:
    """Return, as a sentence, the loss that is farthest from the paper's."""
    right = PAPER.losses(target.parts, ())
    off = np.abs(target.losses - right) / target.allowed
    worst, count = int(np.argmax(off)), int((off > 1).sum())
    c_y = target.parts.angle.cosine[worst]
    return (
        f"{count} of {len(off)} losses differ from the paper's: L = {target.losses[worst]:.6g} "
        f"at c_y = {c_y:.4g}; paper: {right[worst]:.6g}"
    )
