"""Right implementations of unusual shape, in the dtype they are given: none may be called wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from formulations import Candidate, built, log_sum_exp, margin_by_acos, sum_of_others

Own = tuple[np.ndarray, np.ndarray]


def margin_by_complex(name: str, c: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """F = Re e^{i(m1 θ + m2)} - m3, with e^{iθ} = c + i σ."""
    if "arc" not in name and "combined" not in name:
        return margin_by_acos(name, c, p)
    m1, m2, m3 = p.get("m1", 1.0), p.get("m2", p.get("m", 0.0)), p.get("m3", 0.0)
    sine = np.sqrt((1 - c) * (1 + c))
    turned = (c + 1j * sine) ** m1 * np.exp(1j * m2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (turned.real - m3).astype(c.dtype), (m1 * turned.imag / sine).astype(c.dtype)


def margin_by_recursion(name: str, c: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Cos(m θ) by the recursion of Chebyshev's polynomials, and its piece from the largest k with c <= cos(k π/m)."""
    if not (name.startswith("a-") or "-a-" in name):
        return margin_by_acos(name, c, p)
    m = int(p["m"])
    before, now, slope_before, slope = np.ones_like(c), c.copy(), np.zeros_like(c), np.ones_like(c)
    for _ in range(m - 1):
        before, now, slope_before, slope = now, 2 * c * now - before, slope, 2 * now + 2 * c * slope - slope_before
    k = sum((c <= np.cos(j * np.pi / m)).astype(c.dtype) for j in range(1, m)) + np.zeros_like(c)
    sign = 1 - 2 * (k % 2)
    return sign * now - 2 * k, sign * slope


def margin_in_float64(name: str, c: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """The margin in float64 inside, whatever comes in."""
    return tuple(part.astype(c.dtype) for part in margin_by_acos(name, c.astype(np.float64), p))


def chunked(z: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """A running maximum and a running sum over one column after the other."""
    peak, total = np.full(len(z), -np.inf, z.dtype), np.zeros(len(z), z.dtype)
    for column in z.T:
        higher = np.maximum(peak, column)
        total = total * np.exp(peak - higher) + np.exp(column - higher)
        peak = higher
    lse = peak + np.log(total)
    g = np.exp(z - lse[:, None])
    g[own] -= 1
    return lse - z[own], g


def sorted_first(z: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """Adds the exponentials from the smallest to the largest."""
    ordered = np.sort(z, axis=1)
    lse = ordered[:, -1] + np.log(np.exp(ordered - ordered[:, -1:]).cumsum(axis=1)[:, -1])
    g = np.exp(z - lse[:, None])
    g[own] -= 1
    return lse - z[own], g


def log1p_of_others(z: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """Log1p of the sum of the others, split by the sign of the largest."""
    r = z - z[own][:, None]
    r[own] = -np.inf
    peak = r.max(axis=1)
    a = peak + np.log(np.exp(r - peak[:, None]).sum(axis=1))
    losses = np.where(a > 0, a + np.log1p(np.exp(-np.abs(a))), np.log1p(np.exp(np.minimum(a, 0))))
    g = np.exp(r - losses[:, None])
    g[own] = np.expm1(-losses)
    return losses, g


def pairwise(z: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """Logaddexp of two halves, each made in the same way, down to single columns."""
    parts = list(z.T)
    while len(parts) > 1:
        parts = [*map(np.logaddexp, parts[::2], parts[1::2]), *parts[len(parts) - len(parts) % 2 :]]
    g = np.exp(z - parts[0][:, None])
    g[own] -= 1
    return parts[0] - z[own], g


def by_einsum(z: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """One-hot labels, and every sum by einsum."""
    one_hot = np.zeros_like(z)
    one_hot[own] = 1
    peak = z.max(axis=1)
    e = np.exp(z - peak[:, None])
    total = np.einsum("bk->b", e)
    losses = peak + np.log(total) - np.einsum("bk,bk->b", z, one_hot)
    return losses, np.einsum("bk,b->bk", e, 1 / total) - one_hot


def in_float64(z: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray]:
    """The softmax in float64 inside."""
    losses, g = sum_of_others(z.astype(np.float64), own)
    return losses.astype(z.dtype), g.astype(z.dtype)


MARGINS = (margin_by_complex, margin_by_recursion, margin_in_float64)
LOSSES = (chunked, sorted_first, log1p_of_others, pairwise, by_einsum, in_float64)
SHAPES: dict[str, tuple[Callable[..., tuple], Callable[..., tuple]]] = {
    **{f.__name__: (margin_by_acos, f) for f in LOSSES},
    **{f.__name__: (f, log_sum_exp) for f in MARGINS},
    "complex and chunked": (margin_by_complex, chunked),
    "recursion and log1p": (margin_by_recursion, log1p_of_others),
}


def unusual(name: str, shape: str) -> Candidate:
    """Return a right candidate of the variant `name`, of an unusual shape."""
    return built(name, *SHAPES[shape])
