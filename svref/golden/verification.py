"""What a verification found."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


def recomputes() -> bool:
    """Return whether numbers can be computed again: python-flint is installed."""
    return importlib.util.find_spec("flint") is not None


@dataclass(frozen=True)
class Verification:
    """What `verify` found out.

    Parameters
    ----------
    name, version, digest : str
        The pack, and SHA-256 of its manifest.
    cases, numbers : int
        How many cases and certified numbers it holds.
    recomputed : bool
        Whether every number was computed again; False where python-flint is not installed, and digests were checked.
    power : tuple of str
        The ids of the cases whose power is not what the registry of deviations of this svref gives.
    """

    name: str
    version: str
    digest: str
    cases: int
    numbers: int
    recomputed: bool
    power: tuple[str, ...] = ()

    def __str__(self) -> str:
        how = "recomputed to the last bit" if self.recomputed else "digests alone: python-flint is not installed"
        line = f"{self.name} {self.version}  {self.cases:,} cases, {self.numbers:,} numbers, {how}  {self.digest[:12]}"
        return "\n".join([line, *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """What is no damage, but not as this svref would write it."""
        if not self.power:
            return []
        return [f"power of {len(self.power)} cases is not what the registry of this svref gives; first {self.power[0]}"]
