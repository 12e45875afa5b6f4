"""One test: a piece of a check in one dtype."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from svref.conformance.candidates.process import untouched
from svref.testing.pieces import Piece, Result, pieces_of
from svref.testing.suite import Suite


@dataclass(eq=False, repr=False)
class Case:
    """One test of a candidate: a case of the vectors in one dtype, or one of the things that a check does besides.

    Parameters
    ----------
    name : str
        The id of a case of the vectors, of inputs that must raise, or of a variation; or "second-calls", "rows-alone",
        "ignored-rows", "controls", "enough-judged", "known-failure".
    suite : Suite
        The candidate in the dtype.
    piece : callable
        Asks it.
    in_pytest : bool
        Whether `check` speaks to pytest where it skips a case or fails as expected, or to unittest.
    """

    name: str
    suite: Suite
    piece: Piece
    in_pytest: bool = False

    @property
    def id(self) -> str:
        """The name with the dtype, by which a test suite calls the case."""
        return f"{self.name}-{self.suite.dtype}"

    def __repr__(self) -> str:
        return f"<Case {self.id}>"

    @property
    def was_asked(self) -> bool:
        """Whether the case was asked in this process."""
        return "result" in vars(self)

    @cached_property
    def result(self) -> Result:
        """What came of the case; the candidate is asked on first use."""
        with untouched():
            return self.piece(self.suite, self.name)

    def check(self) -> None:
        """Ask the candidate, and raise unless it is right.

        Raises
        ------
        AssertionError
            If it is wrong. The message has the worst element with its tolerance, what the case tests, and the command
            that shows the failure again.
        unittest.SkipTest
            If the case says nothing, or fails by a mistake that is expected. In pytest, the case is skipped or xfailed.
        """
        __tracebackhide__ = True  # pytest leaves this frame out
        result = self.result
        if result.verdict == "failed":
            raise AssertionError(result.text)
        if result.verdict != "passed":
            self._tell(result)

    def _tell(self, result: Result) -> NoReturn:
        """Raise what says that a case is skipped, or fails as it is expected to."""
        __tracebackhide__ = True
        if not self.in_pytest:
            raise unittest.SkipTest(f"expected: {result.text}" if result.verdict == "known" else result.text)
        import pytest

        if result.verdict == "known":
            pytest.xfail(result.text)
        pytest.skip(result.text)


def cases_of(suite: Suite, in_pytest: bool) -> Iterator[Case]:
    """Yield the cases of a suite, in the order of a check."""
    for name, piece in pieces_of(suite):
        yield Case(name, suite, piece, in_pytest)
