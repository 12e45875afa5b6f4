"""What a check found: counts, the worst element of each output, and how to see it again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = "svref-report/0"


@dataclass(frozen=True)
class Failure:
    """One element that is not within its tolerance.

    Parameters
    ----------
    case : str
        The case's id; empty for plain arrays.
    loss : str
        The loss, as one would type it.
    quantity : {"loss", "gradient"}
        Which output.
    index : tuple of int
        The element.
    got, expected : float
        The candidate's value and the reference's.
    error : float
        The distance in units of the tolerance; infinite for NaN, infinity and a wrong dtype.
    gap : float
        Distance of the row's nearest mask decision; far from rounding, so no excuse.
    note : str
        What else is wrong with it, for example its dtype.
    """

    case: str
    loss: str
    quantity: str
    index: tuple[int, ...]
    got: float
    expected: float
    error: float
    gap: float
    note: str = ""

    def __str__(self) -> str:
        place = ", ".join(map(str, self.index))
        distance = f"error {units(self.error)} of tolerance; nearest mask decision {self.gap:.3g} away"
        return (
            f"{self.quantity}[{place}] = {self.got:.9g}, but should be {self.expected:.9g}   [{self.loss}]\n"
            f"  {self.note or distance}"
        )


@dataclass(frozen=True)
class Count:
    """How the elements of one output fared.

    Parameters
    ----------
    quantity : {"loss", "gradient"}
        Which output.
    passed, failed : int
        Elements judged right and wrong; a vacuous pass is not counted as passed.
    vacuous : int
        Elements within a tolerance as large as their value.
    undefined : mapping of str to int
        What the gradient is at poles, a matter of policy: how many entries are infinite (the limit), zero, finite,
        NaN.
    worst : float
        The largest error, in units of the tolerance.
    """

    quantity: str
    passed: int
    failed: int
    vacuous: int
    undefined: Mapping[str, int]
    worst: float


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Parameters
    ----------
    header : mapping
        Versions, candidate, loss, dtype, number of cases.
    counts : tuple of Count
        One an output.
    undecided : int
        Decisions within rounding of their boundary, compared both ways.
    skipped : int
        Rows with too many of those; not judged.
    failures : tuple of Failure
        Every wrong element, worst first.
    reproduce : str
        The command that shows the worst failure alone; "" where there is none.
    """

    header: Mapping[str, Any]
    counts: tuple[Count, ...]
    undecided: int
    skipped: int
    failures: tuple[Failure, ...]
    reproduce: str = ""

    @property
    def verdict(self) -> str:
        """FAIL if an element is wrong, else PASS if one that says something is right, else VACUOUS."""
        if self.failures:
            return "FAIL"
        return "PASS" if any(count.passed > 0 for count in self.counts) else "VACUOUS"

    @property
    def ok(self) -> bool:
        """Whether the verdict is "PASS": something was judged, and nothing was wrong."""
        return self.verdict == "PASS"

    def raise_if_wrong(self) -> None:
        """Raise an AssertionError with the report's text unless it is `ok`, for use in tests."""
        if not self.ok:
            raise AssertionError(f"\n{self}")

    def to_json(self) -> str:
        """Return the report as JSON text; infinities are the strings "Infinity" and "-Infinity", NaN is "NaN"."""
        content = {"schema": SCHEMA, "verdict": self.verdict, "ok": self.ok, **asdict(self)}
        return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the JSON to a temporary file beside `path`, then rename it, so that it is whole or absent."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(self.to_json(), encoding="utf-8")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def __str__(self) -> str:
        return "\n".join([self._headline(), "", *map(_count_line, self.counts), *self._remarks(), "", *self._verdict()])

    def _headline(self) -> str:
        h = self.header
        cases = f"{h['cases']} case{'' if h['cases'] == 1 else 's'}"
        parts = [f"svref {h['svref']}", h["candidate"], h["loss"], h["framework"], h["dtype"], cases]
        return " · ".join(part for part in parts if part)

    def _remarks(self) -> list[str]:
        remarks = []
        for count in self.counts:
            kinds = ", ".join(f"{number} {kind}" for kind, number in count.undefined.items())
            if kinds:
                total = sum(count.undefined.values())
                remarks.append(f"  not judged {total:6d} entries of the {count.quantity} at poles, a policy: {kinds}")
        empty = [count.quantity for count in self.counts if not count.passed and not count.failed]
        remarks += [f"  no element of the {name} says anything: its tolerance reaches its value" for name in empty]
        if self.undecided:
            remarks.append(f"  both ways  {self.undecided:6d} decisions within rounding of their boundary")
        if self.skipped:
            remarks.append(f"  skipped    {self.skipped:6d} rows with too many such decisions")
        return remarks

    def _verdict(self) -> list[str]:
        if self.verdict == "PASS":
            return ["PASS"]
        if self.verdict == "VACUOUS":
            return ["VACUOUS  no element says anything: all are vacuous, at poles or skipped"]
        worst = [next((f for f in self.failures if f.quantity == count.quantity), None) for count in self.counts]
        lines = [f"FAIL  in {len({f.case for f in self.failures})} of {self.header['cases']} cases"]
        lines += [f"\nworst {f.quantity:<9} {f.case} row {f.index[0]}\n  {f}" for f in worst if f is not None]
        return lines + ([f"\nreproduce  {self.reproduce}"] if self.reproduce else [])


def units(error: float) -> str:
    """Return an error in units of the tolerance, for people."""
    if not math.isfinite(error):
        return "infinitely many units"
    return f"{error:,.3g}" if error < 1000 else f"{error:,.0f}" if error < 1e9 else f"{error:.1e}"


def _count_line(count: Count) -> str:
    return (
        f"  {count.quantity:<10} {count.passed:6d} passed {count.failed:6d} failed {count.vacuous:6d} vacuous"
        f"     worst {units(count.worst)} of tolerance"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
