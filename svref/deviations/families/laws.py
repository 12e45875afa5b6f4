"""The laws that sizes of mistakes follow: multiples of what a code has at hand, s, m, t, B, C."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from svref.deviations.families.kind import Law, constant
from svref.deviations.which import as_combined
from svref.loss import SVXSoftmax
from svref.margins import EasyMargin, MultiplicativeAngle

Quantity = Callable[[SVXSoftmax, int, int], float]


def margin_of(loss: SVXSoftmax) -> float:
    """Return m of a loss: the one parameter of its margin that is not neutral.

    Raises a ValueError if there is none, or more than one.
    """
    margin = loss.margin.margin if isinstance(loss.margin, EasyMargin) else loss.margin
    if isinstance(margin, MultiplicativeAngle):
        return float(margin.m)
    m = getattr(margin, "m", None)
    if m is None:
        raise ValueError("this loss has no single margin m.")
    return float(m)


def part_of(index: int) -> Quantity:
    """Return m1, m2 or m3 of a combined margin."""

    def quantity(loss: SVXSoftmax, rows: int, classes: int) -> float:
        parts = as_combined(loss.margin)
        if parts is None or hasattr(loss.margin, "m"):
            raise ValueError("this loss has no combined margin.")
        return parts[index]

    return quantity


def _of_parts(function: Callable[[float, float, float], float]) -> Quantity:
    """Return a function of m1, m2 and m3 of a combined margin."""
    return lambda loss, rows, classes: function(*(part_of(i)(loss, rows, classes) for i in range(3)))


def _of_m(function: Callable[[float], float]) -> Quantity:
    return lambda loss, rows, classes: function(margin_of(loss))


def _of_s_and_m(function: Callable[[float, float], float]) -> Quantity:
    return lambda loss, rows, classes: function(loss.s, margin_of(loss))


def _of_t(function: Callable[[float], float]) -> Quantity:
    """Return a function of t."""
    return lambda loss, rows, classes: function(loss.emphasis.t)


# What a size may be a multiple of, the simplest first.
OF_T = ("t", "(t - 1)", "1/t", "t²", "√t", "(1 + t)", "(2 t - 1)", "log t")  # they say nothing where t is 1
QUANTITIES: Mapping[str, Quantity] = {
    "1": lambda loss, rows, classes: 1.0,
    "m": _of_m(lambda m: m),
    "s": lambda loss, rows, classes: loss.s,
    "1/s": lambda loss, rows, classes: 1 / loss.s,
    "m/s": _of_s_and_m(lambda s, m: m / s),
    "s m": _of_s_and_m(lambda s, m: s * m),
    "t": _of_t(lambda t: t),
    "(t - 1)": _of_t(lambda t: t - 1),
    "B": lambda loss, rows, classes: float(rows),
    "1/B": lambda loss, rows, classes: 1 / rows,
    "C": lambda loss, rows, classes: float(classes),
    "1/C": lambda loss, rows, classes: 1 / classes,
    "(C - 1)": lambda loss, rows, classes: float(classes - 1),
    "1/(C - 1)": lambda loss, rows, classes: 1 / (classes - 1) if classes > 1 else math.inf,
    "1/(B C)": lambda loss, rows, classes: 1 / (rows * classes),
    "m1": part_of(0),
    "m2": part_of(1),
    "m3": part_of(2),
    "1/m1": lambda loss, rows, classes: 1 / part_of(0)(loss, rows, classes),
    "m2/s": lambda loss, rows, classes: part_of(1)(loss, rows, classes) / loss.s,
    "m3/s": lambda loss, rows, classes: part_of(2)(loss, rows, classes) / loss.s,
    "(m2 + m3)": _of_parts(lambda m1, m2, m3: m2 + m3),
    "m1 m2": _of_parts(lambda m1, m2, m3: m1 * m2),
    "m2/m1": _of_parts(lambda m1, m2, m3: m2 / m1),
    "m1 m3": _of_parts(lambda m1, m2, m3: m1 * m3),
    "sin m2": _of_parts(lambda m1, m2, m3: math.sin(m2)),
    "m2 sin m2": _of_parts(lambda m1, m2, m3: m2 * math.sin(m2)),
    "(m3 + m2 sin m2)": _of_parts(lambda m1, m2, m3: m3 + m2 * math.sin(m2)),
    "s²": lambda loss, rows, classes: loss.s**2,
    "√s": lambda loss, rows, classes: math.sqrt(loss.s),
    "1/√s": lambda loss, rows, classes: 1 / math.sqrt(loss.s),
    "1/s²": lambda loss, rows, classes: loss.s**-2,
    "m²": _of_m(lambda m: m * m),
    "1/m": _of_m(lambda m: 1 / m if m else math.nan),
    "1/t": _of_t(lambda t: 1 / t),
    "t²": _of_t(lambda t: t * t),
    "√t": _of_t(math.sqrt),
    "(1 + t)": _of_t(lambda t: 1 + t),
    "(2 t - 1)": _of_t(lambda t: 2 * t - 1),
    "(1 - m)": _of_m(lambda m: 1 - m),
    "(1 + m)": _of_m(lambda m: 1 + m),
    "sin m": _of_m(math.sin),
    "cos m": _of_m(math.cos),
    "m sin m": _of_m(lambda m: m * math.sin(m)),
    "s m sin m": _of_s_and_m(lambda s, m: s * m * math.sin(m)),
    "m cos m": _of_m(lambda m: m * math.cos(m)),
    "(π - m)": _of_m(lambda m: math.pi - m),
    "m π/180": _of_m(math.radians),
    "m 180/π": _of_m(math.degrees),
    "log C": lambda loss, rows, classes: math.log(classes),
    "1/log C": lambda loss, rows, classes: 1 / math.log(classes) if classes > 1 else math.inf,
    "√2 log(C - 1)": lambda loss, rows, classes: math.sqrt(2) * math.log(classes - 1) if classes > 2 else math.nan,
    "log B": lambda loss, rows, classes: math.log(rows),
    "log s": lambda loss, rows, classes: math.log(loss.s),
    "log t": _of_t(math.log),
}

THRESHOLDS = (  # cosines at which code lets another formula of f begin
    constant(0.0),
    Law("m", QUANTITIES["m"]),
    Law("-m", lambda loss, rows, classes: -margin_of(loss)),
    Law("cos m", QUANTITIES["cos m"]),
    Law("-cos m", lambda loss, rows, classes: -math.cos(margin_of(loss))),
    Law("sin m", QUANTITIES["sin m"]),
    Law("-sin m", lambda loss, rows, classes: -math.sin(margin_of(loss))),
    Law("1 - m", QUANTITIES["(1 - m)"]),
    Law("m - 1", lambda loss, rows, classes: margin_of(loss) - 1),
    *(constant(edge) for edge in (0.5, -0.5, 0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.7, -0.7, 0.8, -0.8, 0.9, -0.9)),
)


def multiple(factor: float, text: str, name: str) -> Law:
    """Return the law that a size is `factor`, printed as `text`, times a quantity."""
    quantity = QUANTITIES[name]
    if name == "1":
        return constant(factor, text)
    shown = {"1": name, "-1": f"-{name}"}.get(text, f"{text} {name}")
    return Law(
        shown,
        lambda loss, rows, classes: factor * quantity(loss, rows, classes),
        of_shape="B" in name or "C" in name,
        is_multiple=factor != 1,
    )
