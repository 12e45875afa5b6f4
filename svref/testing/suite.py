"""The pieces of a candidate in one dtype, which share what was asked and found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from svref.conformance.checking.controls import CallFinding
from svref.conformance.checking.report import Report
from svref.conformance.checking.reproduce import with_case
from svref.conformance.checking.stepwise import Stepwise
from svref.testing.expecting import Expectation


@dataclass(eq=False)
class Suite:
    """A candidate in one dtype, asked piece by piece.

    Parameters
    ----------
    test : str
        The test that it belongs to, as "module:function"; "" outside of pytest.
    origin : str
        Where the candidate comes from, as "module:function" or "path:function".
    steps : Stepwise
        The check.
    expectation : Expectation or None
        The failure that is known, if one is.
    siblings : list of Suite
        The suites of the same candidate in other dtypes, where none of them was asked for by name; a dtype that the
        candidate refuses is then left out.
    number : int
        Which one it is, from 1, of suites that have all else in common, such as two instances of one class.
    """

    test: str
    origin: str
    steps: Stepwise
    expectation: Expectation | None = None
    siblings: list[Suite] = field(default_factory=list)
    number: int = 1

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return self.steps.kind.name

    @property
    def loss(self) -> str:
        """The name of the variant."""
        return self.steps.check.entry.name

    @property
    def candidate(self) -> str:
        """The name of the candidate."""
        return self.steps.check.subject.name

    @property
    def framework(self) -> str:
        """The framework of the candidate with its version."""
        return self.steps.check.subject.adapter.description

    @property
    def key(self) -> str:
        """What tells the suite from all others of a run, in every process."""
        again = f" number {self.number}" if self.number > 1 else ""
        return f"{self.test or self.origin} {self.loss} {self.dtype}{again}"

    @property
    def expected_in(self) -> tuple[str, ...]:
        """Where known failures of the candidate are written."""
        return self.expectation.places if self.expectation is not None else ()

    @property
    def vectors(self) -> str:
        """The pack, its version and the first digits of its digest."""
        vectors = self.steps.check.vectors
        return f"{vectors.name} {vectors.version} (sha256 {vectors.digest[:8]})"

    def command(self, case: str = "") -> str:
        """Return the command, or the call in Python, that shows a case alone, or all of them."""
        check = self.steps.check
        whole = check.options.command(check.subject, self.loss, self.dtype, {})
        return with_case(whole, case) if case else whole

    @cached_property
    def refusal(self) -> str:
        """How the candidate refuses the dtype, where it takes another one and none was asked for by name; else ""."""
        reason = self.steps.refusal() if self.siblings else ""
        return reason if reason and not all(other.steps.refusal() for other in self.siblings) else ""

    @cached_property
    def diagnosed(self) -> Report:
        """The report of all pieces, which names the mistake; it asks what was not asked yet."""
        return self.steps.everything()

    def is_known(self) -> bool:
        """Return whether the mistake that explains every wrong element is the expected one."""
        return self.expectation is not None and self.expectation.explains(self.diagnosed)

    def expects(self, finding: str) -> bool:
        """Return whether a finding is expected, by its name."""
        return self.expectation is not None and self.expectation.expects(finding, self.diagnosed)

    def is_known_in_variations(self) -> bool:
        """Return whether all that is wrong with batches unlike the cases is expected."""
        if self.expectation is None:
            return False
        if self.steps.wanted:  # they are judged as cases are
            return self.is_known()
        found = self.diagnosed.findings and self.steps.why_variations_fail()
        return bool(found) and all(isinstance(f, CallFinding) and self.expectation.names(f.name) for f in found)


def numbered(suites: Iterable[Suite]) -> None:
    """Number suites that have all else in common, in their order, so that each has a key of its own."""
    seen = Counter[str]()
    for suite in dict.fromkeys(suites):
        suite.number = 1
        seen[suite.key] += 1
        suite.number = seen[suite.key]


def related(suites: Sequence[Suite]) -> None:
    """Tell suites of one candidate of each other: none of their dtypes was asked for by name."""
    for suite in suites:
        suite.siblings = [other for other in suites if other is not suite]
