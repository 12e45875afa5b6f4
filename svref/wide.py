"""Products that may leave the range of float64 on the way, though the result lies within it.

A cotangent of 1e307 times s = 64 is infinite, and times a probability of 1e-10 it is an ordinary number again. So a
number is kept as mantissa · 2^exponent: the mantissas are multiplied, the exponents are added, and only the finished
product is put together. The roundings are those of a plain product, bit for bit, unless that leaves the range.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from svref.arrays import BoolArray, FloatArray, IntArray

ORDINARY = (-960, 64)  # exponents of a number whose product with a probability and a slope needs no care
PLAIN = -700.0  # exp(x) above it has all its digits


class Wide(NamedTuple):
    """Numbers mantissa · 2^exponent, with float64 mantissas of magnitude 0.5 to 1, or 0."""

    mantissa: FloatArray
    exponent: IntArray

    @classmethod
    def of(cls, values: ArrayLike | Wide) -> Wide:
        """Return finite `values` as wide numbers; wide ones as they are."""
        return values if isinstance(values, Wide) else cls(*np.frexp(np.asarray(values, dtype=np.float64)))

    def times(self, factor: ArrayLike | Wide) -> Wide:
        """Return the product, element by element."""
        other = Wide.of(factor)
        product = Wide.of(self.mantissa * other.mantissa)
        return Wide(product.mantissa, product.exponent + self.exponent + other.exponent)

    def narrow(self) -> FloatArray:
        """Return the numbers in float64: signed infinities and zeros where they lie beyond its range."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(self.mantissa, self.exponent)

    def column(self, rows: BoolArray) -> Wide:
        """Return the numbers of some rows as a column, to be multiplied with arrays (B, C)."""
        return Wide(self.mantissa[rows, None], self.exponent[rows, None])

    @property
    def extraordinary(self) -> BoolArray:
        """Where a product with a probability, or with a slope, may have fewer digits in float64 than it should."""
        return (self.exponent < ORDINARY[0]) | (self.exponent > ORDINARY[1])


@np.errstate(under="ignore")
def exponential(x: FloatArray) -> Wide:
    """Return e^x for x <= 0, also where float64 has no number so small: there as (e^(x/4))^4."""
    plain, quarter = Wide.of(np.exp(x)), Wide.of(np.exp(x / 4))
    far = x < PLAIN
    if not far.any():
        return plain
    mantissa, exponent = np.frexp(quarter.mantissa**4)
    return Wide(np.where(far, mantissa, plain.mantissa), np.where(far, exponent + 4 * quarter.exponent, plain.exponent))
