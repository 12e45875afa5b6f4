"""Right implementations as people write them, in the dtype they are given: what the tolerance must accept.

None of them shares a line with svref. They differ in how they reach the loss (log-sum-exp, log-softmax, a sum of the
others), where they get the sine from, and how they go back through a normalisation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Candidate = Callable[..., tuple[np.ndarray, np.ndarray]]


def margin_by_acos(name: str, c: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """F and df/dc through the angle."""
    if name in ("softmax", "sv-softmax") or "am-" in name:
        return c - c.dtype.type(p.get("m", 0.0)), np.ones_like(c)
    one = c.dtype.type(1)
    theta = np.arccos(c)
    if name.startswith("a-") or "-a-" in name:
        m = p["m"]
        k = np.minimum(np.floor(m * theta / np.pi), m - 1).astype(c.dtype)
        sign = (-one) ** k
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = sign * m * np.sin(m * theta) / np.sqrt(one - c * c)
        return sign * np.cos(m * theta) - 2 * k, np.where(np.abs(c) == 1, c.dtype.type(m * m), slope)
    m1, m2, m3 = p.get("m1", 1.0), p.get("m2", p.get("m", 0.0)), p.get("m3", 0.0)
    phi = m1 * theta + m2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.cos(phi) - m3, m1 * np.sin(phi) / np.sqrt(one - c * c)


def margin_by_polynomial(name: str, c: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """F and df/dc from powers of c and the square root of 1 - c²."""
    if "arc" in name:
        cos_m, sin_m = np.cos(p["m"]), np.sin(p["m"])
        sine = np.sqrt(1 - c * c)
        with np.errstate(divide="ignore", invalid="ignore"):
            return c * cos_m - sine * sin_m, cos_m + c * sin_m / sine
    if (name.startswith("a-") or "-a-" in name) and p["m"] == 4:
        k = sum((c <= np.cos(j * np.pi / 4)).astype(c.dtype) for j in (1, 2, 3))
        sign = 1 - 2 * (k % 2)
        return sign * (8 * c**4 - 8 * c**2 + 1) - 2 * k, sign * (32 * c**3 - 16 * c)
    return margin_by_acos(name, c, p)


def log_sum_exp(z: np.ndarray, own: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Loss lse(z) - z_y; gradient by the logits p - onehot."""
    peak = z.max(axis=1, keepdims=True)
    e = np.exp(z - peak)
    total = e.sum(axis=1, keepdims=True)
    g = e / total
    g[own] -= 1
    return (peak + np.log(total))[:, 0] - z[own], g


def log_softmax(z: np.ndarray, own: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Loss -log_softmax(z)_y; gradient exp(log_softmax) - onehot."""
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    g = np.exp(log_p)
    g[own] -= 1
    return -log_p[own], g


def sum_of_others(z: np.ndarray, own: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Loss log(1 + Σ exp(z_k - z_y)), shifted; target gradient minus the sum of the others."""
    r = z - z[own][:, None]
    peak = np.maximum(r.max(axis=1), 0)
    e = np.exp(r - peak[:, None])
    e[own] = 0
    rest, one = e.sum(axis=1), np.exp(-peak)
    g = e / (rest + one)[:, None]
    g[own] = -g.sum(axis=1)
    return peak + np.log(rest + one), g


MARGINS = {"acos": margin_by_acos, "polynomial": margin_by_polynomial}
LOSSES = {f.__name__: f for f in (log_sum_exp, log_softmax, sum_of_others)}
FORMULATIONS = [(margin, loss) for margin in MARGINS for loss in LOSSES]


def candidate(name: str, margin: str, loss: str) -> Candidate:
    """Return the formulation as a NumPy candidate of the variant `name`."""
    return built(name, MARGINS[margin], LOSSES[loss])


def built(name: str, margin: Callable[..., tuple], loss: Callable[..., tuple]) -> Candidate:
    """Return a candidate of the variant `name` from a function for f with df/dc, and one for the loss of the logits."""

    def formulation(cosines: np.ndarray, labels: np.ndarray, *, cotangent: np.ndarray | None = None, **p: float):
        own = (np.arange(len(labels)), labels)
        f, slope_y = margin(name, cosines[own], p)
        t = p.get("t", 1.0)
        mask = cosines > f[:, None]
        mask[own] = False
        lifted = cosines + (t - 1) if name.startswith("mv-") else t * cosines + (t - 1)
        z = np.where(mask, lifted, cosines)
        z[own] = f
        with np.errstate(under="ignore"):
            losses, g = loss(p["s"] * z, own)
            slope = np.where(mask, 1.0 if name.startswith("mv-") else t, 1.0).astype(cosines.dtype)
            slope[own] = slope_y
            with np.errstate(invalid="ignore", over="ignore"):
                gradient = p["s"] * g * slope
            if cotangent is not None:
                gradient = np.where(cotangent[:, None] == 0, 0, gradient * cotangent[:, None])
        return losses, gradient.astype(cosines.dtype)

    return formulation


def head_by_units(x: np.ndarray, w: np.ndarray, on_cosines: Callable[[np.ndarray], tuple]) -> tuple:
    """Normalise, multiply, and go back with the radial part taken from the cosines."""
    x_norm, w_norm = (np.sqrt((v * v).sum(axis=1, keepdims=True)) for v in (x, w))
    x_unit, w_unit = x / x_norm, w / w_norm
    c = x_unit @ w_unit.T
    losses, g = on_cosines(c)
    dx = (g @ w_unit - (g * c).sum(axis=1, keepdims=True) * x_unit) / x_norm
    dw = (g.T @ x_unit - (g * c).sum(axis=0)[:, None] * w_unit) / w_norm
    return losses, dx, dw


def head_by_projection(x: np.ndarray, w: np.ndarray, on_cosines: Callable[[np.ndarray], tuple]) -> tuple:
    """Normalise by the reciprocal, and go back by projecting the gradient."""
    x_inverse, w_inverse = (1 / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, w))
    x_unit, w_unit = x * x_inverse, w * w_inverse
    losses, g = on_cosines(x_unit @ w_unit.T)
    vx, vw = g @ w_unit, g.T @ x_unit
    dx = x_inverse * (vx - x_unit * (vx * x_unit).sum(axis=1, keepdims=True))
    dw = w_inverse * (vw - w_unit * (vw * w_unit).sum(axis=1, keepdims=True))
    return losses, dx, dw


def head_by_quotient(x: np.ndarray, w: np.ndarray, on_cosines: Callable[[np.ndarray], tuple]) -> tuple:
    """Divide the inner products by both norms, and differentiate the quotient."""
    x_norm, w_norm = (np.sqrt(np.einsum("ij,ij->i", v, v)) for v in (x, w))
    norms = x_norm[:, None] * w_norm
    c = (x @ w.T) / norms
    losses, g = on_cosines(c)
    dx = (g / norms) @ w - x * ((g * c).sum(axis=1) / x_norm**2)[:, None]
    dw = (g / norms).T @ x - w * ((g * c).sum(axis=0) / w_norm**2)[:, None]
    return losses, dx, dw


HEADS = {f.__name__: f for f in (head_by_units, head_by_projection, head_by_quotient)}
