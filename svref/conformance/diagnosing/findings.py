"""What is concluded about a candidate: one finding for each question."""

from __future__ import annotations

from dataclasses import dataclass

from svref.deviations import DEVIATIONS

NOT_ANSWERED = "not answered"


@dataclass(frozen=True)
class Finding:
    """The answer to one question about a candidate.

    Parameters
    ----------
    question : str
        What was asked.
    answer : str
        What the candidate does, in a few words or a formula.
    evidence : str
        The numbers that the answer rests on.
    agrees : bool or None
        Whether the paper's loss does the same; None where the outputs do not decide it.
    deviation : str
        The name of what the candidate does in `svref.deviations.DEVIATIONS`; "" if it is none of them.
    """

    question: str
    answer: str
    evidence: str
    agrees: bool | None
    deviation: str = ""


def known_deviation(question: str, name: str, evidence: str) -> Finding:
    """Return the finding that the candidate departs from the paper as the deviation `name` does."""
    return Finding(question, DEVIATIONS[name].formula, evidence, False, name)


def unanswered(question: str, why: str) -> Finding:
    """Return the finding that the candidate's outputs do not answer a question, and why they do not."""
    return Finding(question, NOT_ANSWERED, why, None)
