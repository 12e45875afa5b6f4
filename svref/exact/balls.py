"""Exact numbers and the balls around them: floats, cosines of both levels, and when two of them are equal.

A ball (`flint.arb`) is compared for certain or not at all: x > y is True only if every point of x exceeds every point
of y. Where balls overlap, equality is decided by exact rational arithmetic, or more bits are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from flint import arb, ctx, fmpq, fmpz

Ball: TypeAlias = Any  # flint's types are not known to type checkers
Rational: TypeAlias = Any
Integer: TypeAlias = Any

ZERO, ONE = arb(0), arb(1)


_PRECISION = threading.RLock()  # flint has one precision for the whole process


class UndecidedError(Exception):
    """A decision that this many bits do not settle; of a mask, the decisions with None where it is open."""

    def __init__(self, mask: Sequence[bool | None] = ()) -> None:
        super().__init__()
        self.mask = mask


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute with `bits`, while no other thread does."""
    with _PRECISION, ctx.workprec(bits):
        yield


def ball(value: float) -> Ball:
    """Return the exact ball of a float."""
    return arb(float(value))


def fraction(value: float) -> Rational:
    """Return the exact fraction of a float."""
    return fmpq(*float(value).as_integer_ratio())


@dataclass(frozen=True)
class Root:
    """A real number by its sign and its square, which is rational: every cosine of either level is one."""

    sign: int
    square: Rational

    @classmethod
    def of(cls, number: Rational) -> Root:
        """Return a rational number as a root."""
        return cls(int(number > 0) - int(number < 0), number * number)

    def is_on(self, line: tuple[Rational, Rational], other: Root) -> bool:
        """Return whether self = p + q other, for a line (p, q) of rationals.

        If it is and p q is not 0, then squaring both sides makes `other` rational, and says which number it is.
        """
        p, q = line
        if p == 0:
            return self == Root(Root.of(q).sign * other.sign, q * q * other.square)
        if q == 0 or other.sign == 0:
            return self == Root.of(p)
        suspect = (self.square - p * p - q * q * other.square) / (2 * p * q)
        return other == Root.of(suspect) and self == Root.of(p + q * suspect)


class Cosine(Protocol):
    """A cosine, exact: given as a float, or as the angle between two vectors of floats."""

    @property
    def ball(self) -> Ball:
        """The cosine at the current precision."""

    @property
    def sine(self) -> Ball:
        """The sine at the current precision, an exact 0 at both poles; NaN outside [-1, 1]."""

    def root(self) -> Root:
        """Return the exact number."""


@dataclass(frozen=True)
class Given:
    """A cosine that was given as a float."""

    ball: Ball

    @property
    def sine(self) -> Ball:
        """√((1 - c)(1 + c))."""
        return ((1 - self.ball) * (1 + self.ball)).sqrt()

    def root(self) -> Root:
        """Return the float as a fraction."""
        mantissa, exponent = self.ball.man_exp()
        power = fmpq(2) ** abs(int(exponent))
        return Root.of(mantissa * power if exponent > 0 else mantissa / power)


@dataclass(frozen=True)
class Between:
    """The cosine dot/√norms between two integer vectors, by their dot product and the product of squared lengths."""

    dot: Integer
    norms: Integer

    @property
    def lengths(self) -> Ball:
        """The product of both lengths, √norms: exact if it is an integer."""
        whole, rest = self.norms.sqrtrem()
        return arb(whole) if rest == 0 else arb(self.norms).sqrt()

    @property
    def ball(self) -> Ball:
        """The cosine; a fraction is as exact as its digits allow, and parallel vectors have exactly ±1."""
        return arb(self.dot) / self.lengths

    @property
    def sine(self) -> Ball:
        """√(norms - dot²)/√norms, where Lagrange's identity leaves nothing to cancel."""
        return arb(self.norms - self.dot * self.dot).sqrt() / self.lengths

    @property
    def is_parallel(self) -> bool:
        """Whether the vectors are parallel or opposite."""
        return bool(self.dot * self.dot == self.norms)

    def root(self) -> Root:
        """Return the sign and the square."""
        return Root(int(self.dot > 0) - int(self.dot < 0), fmpq(self.dot * self.dot, self.norms))


def integers(row: list[float]) -> tuple[list[Integer], int]:
    """Return a row of floats as integers and the exponent e: row = integers · 2^-e."""
    ratios = [float(value).as_integer_ratio() for value in row]
    e = max(d.bit_length() - 1 for _, d in ratios)
    return [fmpz(n) << (e - d.bit_length() + 1) for n, d in ratios], e
