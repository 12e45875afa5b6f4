"""Balls, and the exact numbers inside them: floats, cosines of both levels, and whether two of them are equal.

A ball (`flint.arb`) is an interval that contains a number. Its comparisons are proofs: x > y is True only if every
point of x exceeds every point of y. So where two balls overlap, x > y, x < y and x == y are all False. Then exact
rational arithmetic decides whether the numbers are equal, or more bits are asked for.
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
    """A decision that the current precision leaves open.

    `mask` are the decisions of a mask, None for those that are open; it is empty if another decision is open.
    """

    def __init__(self, mask: Sequence[bool | None] = ()) -> None:
        super().__init__()
        self.mask = mask


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute with `bits` of precision inside the block; other threads wait, as flint has one precision for all."""
    with _PRECISION, ctx.workprec(bits):
        yield


def ball(value: float) -> Ball:
    """Return a float as a ball of radius 0."""
    return arb(float(value))


def fraction(value: float) -> Rational:
    """Return a float as the fraction that it is."""
    return fmpq(*float(value).as_integer_ratio())


@dataclass(frozen=True)
class Root:
    """A real number whose square is rational, such as -√(2/3), held exactly: its sign (-1, 0, 1) and its square.

    Every cosine is such a number: a float is rational, and <x, w>/(|x||w|) has the square <x, w>²/(|x|²|w|²).
    """

    sign: int
    square: Rational

    @classmethod
    def of(cls, number: Rational) -> Root:
        """Return a rational number as a `Root`."""
        return cls(int(number > 0) - int(number < 0), number * number)

    def is_on(self, line: tuple[Rational, Rational], other: Root) -> bool:
        """Return whether self = p + q other, for a line (p, q) of rationals.

        For p q other ≠ 0, squaring both sides gives self² = p² + 2 p q other + q² other². So `other` can only be the
        rational number that solves this; it is compared with that number, and then self with p + q times it.
        """
        p, q = line
        if p == 0:
            return self == Root(Root.of(q).sign * other.sign, q * q * other.square)
        if q == 0 or other.sign == 0:
            return self == Root.of(p)
        solution = (self.square - p * p - q * q * other.square) / (2 * p * q)
        return other == Root.of(solution) and self == Root.of(p + q * solution)


class Cosine(Protocol):
    """An exact cosine: given as a float, or as that between two vectors of floats."""

    @property
    def ball(self) -> Ball:
        """The cosine as a ball of the current precision."""

    @property
    def sine(self) -> Ball:
        """The sine of its angle as a ball of the current precision: exactly 0 at ±1, NaN outside [-1, 1]."""

    def root(self) -> Root:
        """Return the cosine exactly, by its sign and square."""


@dataclass(frozen=True)
class FloatCosine:
    """A cosine given as a float, which is a ball of radius 0."""

    ball: Ball

    @property
    def sine(self) -> Ball:
        """√((1 - c)(1 + c)), where 1 - c and 1 + c lose nothing next to ±1, as 1 - c² would."""
        return ((1 - self.ball) * (1 + self.ball)).sqrt()

    def root(self) -> Root:
        """Return the float exactly."""
        mantissa, exponent = self.ball.man_exp()
        power = fmpq(2) ** abs(int(exponent))
        return Root.of(mantissa * power if exponent > 0 else mantissa / power)


@dataclass(frozen=True)
class VectorCosine:
    """The cosine between two vectors x, w of integers: dot/√squares, with dot = <x, w> and squares = |x|²|w|²."""

    dot: Integer
    squares: Integer

    @property
    def product_of_lengths(self) -> Ball:
        """|x||w| = √squares; a ball of radius 0 if it is an integer."""
        whole, rest = self.squares.sqrtrem()
        return arb(whole) if rest == 0 else arb(self.squares).sqrt()

    @property
    def ball(self) -> Ball:
        """The cosine, exactly ±1 for parallel vectors."""
        return arb(self.dot) / self.product_of_lengths

    @property
    def sine(self) -> Ball:
        """√(squares - dot²)/√squares: integers are subtracted exactly, so near-parallel vectors lose no digits."""
        return arb(self.squares - self.dot * self.dot).sqrt() / self.product_of_lengths

    @property
    def is_parallel(self) -> bool:
        """Whether the vectors are parallel or opposite."""
        return bool(self.dot * self.dot == self.squares)

    def root(self) -> Root:
        """Return the cosine exactly."""
        return Root(int(self.dot > 0) - int(self.dot < 0), fmpq(self.dot * self.dot, self.squares))


def integers(row: list[float]) -> tuple[list[Integer], int]:
    """Return a row of floats as integers and an exponent e with row = integers · 2^-e."""
    ratios = [float(value).as_integer_ratio() for value in row]  # n/d, with a power of two for d
    e = max(d.bit_length() - 1 for _, d in ratios)
    return [fmpz(n) << (e - d.bit_length() + 1) for n, d in ratios], e
