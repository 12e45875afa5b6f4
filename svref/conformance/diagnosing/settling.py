"""What the formula that gives every loss means for the questions about single parts.

If one form gives every loss, the questions that it does not answer have the paper's answer: their parts are in the
formula, and it gives the losses. So they are not asked one by one, where the part that departs would disturb them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from svref.conformance.diagnosing import probes, target
from svref.conformance.diagnosing.behaviour import CAP, SCALE
from svref.conformance.diagnosing.findings import Finding, known_deviation, unanswered
from svref.conformance.diagnosing.mask import MASK, TIES
from svref.conformance.diagnosing.negatives import LOGITS, H
from svref.conformance.diagnosing.of_families import SOFTMAX
from svref.conformance.diagnosing.of_losses import RIGHT
from svref.conformance.diagnosing.probes import Subject
from svref.conformance.diagnosing.whole import Told
from svref.deviations import which
from svref.loss import SVXSoftmax

OF_VALUES = (SCALE, target.F, target.TAIL, target.EASY, LOGITS, MASK, TIES, H, target.LABEL, SOFTMAX, CAP)
ADD_UP = 1e-3  # relative: odds of three negatives and the sum of theirs may differ by less


def as_told(loss: SVXSoftmax, told: Told) -> list[Finding]:
    """Return the findings about all parts of the losses, from the form that gives every loss."""
    name = told.form.deviation if told.form is not None else ""
    papers, findings = _papers_answers(loss), []
    for question in OF_VALUES:
        if question in told.answers:
            findings.append(Finding(question, told.answers[question], told.evidence, False, name))
        elif question in papers:
            findings.append(Finding(question, papers[question], "the formula that gives every loss has it", True))
        elif question == TIES and which.emphasises(loss):
            findings.append(unanswered(TIES, "another part of the loss differs already"))
    return findings


def _papers_answers(loss: SVXSoftmax) -> dict[str, str]:
    """Return what the paper answers to each question that has a meaning for a loss."""
    answers = {SCALE: f"s = {loss.s:g}", LOGITS: "s c_k", SOFTMAX: RIGHT, CAP: "none"}
    answers |= {question: target.papers_formula(loss, question) for question in target.questions(loss)}
    if which.emphasises(loss):
        adaptive = loss.emphasis.form == "adaptive"
        answers |= {MASK: "f: I_k = [c_k > f]", H: f"log h_k = {'s (t-1)(c_k + 1) I_k' if adaptive else 's (t-1) I_k'}"}
    return answers


def settled(subject: Subject, told: Told, findings: Sequence[Finding]) -> list[Finding]:
    """Return findings about single parts, made to agree with what is known of the whole.

    If a known deviation gives every loss, a part that departs without a name is not called wrong. And there is one
    finding more, on the loss of the logits.
    """
    has_own_mask = any(f.question == MASK and f.agrees is False and not f.deviation for f in findings)
    if told.deviation and not has_own_mask:
        findings = [_explained(finding, told) for finding in findings]
        if not told.names & {finding.deviation for finding in findings}:
            is_cap = any(finding.question == CAP and finding.agrees is False for finding in findings)
            question = CAP if is_cap else target.QUESTION_OF.get(told.deviation, SOFTMAX)
            findings = [f for f in findings if f.question != question]
            findings = [*findings, known_deviation(question, told.deviation, told.evidence)]
    if any(finding.question == SOFTMAX for finding in findings):
        return list(findings)
    return [*findings, _of_softmax(subject, told, any(f.agrees is False for f in findings))]


def _explained(finding: Finding, told: Told) -> Finding:
    """Return a finding; one of a departure without a name is open if a known deviation gives every loss."""
    is_open = finding.agrees is False and not finding.deviation and finding.question in OF_VALUES
    return unanswered(finding.question, f"{told.deviation} gives every loss") if is_open else finding


def _of_softmax(subject: Subject, told: Told, departs: bool) -> Finding:
    """Return the finding on the loss of the logits, where no form says another one."""
    if told.is_papers or told.deviation:
        return Finding(SOFTMAX, RIGHT, told.evidence, True)
    if told.is_hidden:
        return unanswered(SOFTMAX, told.evidence)
    odds = _odds_add_up(subject)
    if odds is None or (odds and departs):
        evidence = "the odds against the target add up over the negatives"
        return Finding(SOFTMAX, RIGHT, evidence, True) if odds else unanswered(SOFTMAX, told.evidence)
    why = told.evidence if odds else f"odds do not add up over the negatives; {told.evidence}"
    return Finding(SOFTMAX, "no known formula", why, False)


def _odds_add_up(subject: Subject) -> bool | None:
    """Return whether the odds of two kinds of negatives add up, as those of a softmax do; None if rounding hides it."""
    c_y, a, b = np.full(4, 0.15), 0.1, -0.2
    rows = probes.rows_of(c_y, [[a, a, a], [b, b, b], [a, a, b], [a, b, b]])
    rows = _in_column_0(rows)
    odds, error = subject.odds(rows)
    if not (np.isfinite(odds).all() and (error < ADD_UP * np.abs(odds)).all()):
        return None
    sums = np.array([2 * odds[0] + odds[1], odds[0] + 2 * odds[1]]) / 3
    return bool((np.abs(odds[2:] - sums) <= ADD_UP * np.abs(sums)).all())


def _in_column_0(rows: probes.Rows) -> probes.Rows:
    """Return rows with the target in column 0, so that classes do not differ between rows."""
    own = probes.own(rows)
    c = np.column_stack([rows.cosines[own], rows.cosines[~own].reshape(len(rows.labels), -1)])
    return probes.Rows(c, np.zeros_like(rows.labels))
