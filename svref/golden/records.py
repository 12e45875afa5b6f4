"""From a recipe to a case: what is right, how far rounding may carry it, and which decisions are how near.

Everything that must be right to the last bit comes from `svref.exact`. Condition scales come from `svref.condition`,
rounded up to three digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from svref import condition, exact
from svref.exact import Certified
from svref.exact.balls import Root, UndecidedError, ball, precision
from svref.exact.cosines import FIRST_BITS
from svref.exact.margins import Point, held
from svref.formats import FORMATS
from svref.golden import canonical
from svref.golden.canonical import Json, tensor
from svref.golden.recipes import Recipe
from svref.loss import SVXSoftmax
from svref.margins import Angle
from svref.shards import Shard
from svref.step import Step, forward
from svref.vectors import directions

POLICIES = ["infinity", "nan", "zero", "slope"]


def record(recipe: Recipe) -> dict[str, Json]:
    """Return the case of a recipe as JSON, without its power, which depends on all others."""
    if recipe.group == "error":
        return _finished(recipe, "error", {}, {})
    made = _cosine_case(recipe) if recipe.level == "cosine" else _head_case(recipe)
    return _finished(recipe, **made)


def _finished(
    recipe: Recipe, result: str, expected: dict[str, Json], scales: dict[str, Json], **more: Json
) -> dict[str, Json]:
    inputs = {name: tensor(values) for name, values in recipe.inputs.items()}
    identity = {"variant": recipe.variant, "parameters": dict(recipe.parameters), "inputs": inputs}
    return {
        "id": canonical.case_id(recipe.variant, recipe.group, identity),
        "level": recipe.level,
        "parameters": dict(recipe.parameters),
        "flags": list(recipe.flags),
        "result": result,
        "inputs": inputs,
        "expected": expected,
        "scales": scales,
        "digest": canonical.content_digest(canonical.tensors(inputs, expected)),
        **more,
    }


def _cosine_case(recipe: Recipe) -> dict[str, Json]:
    c, y = np.array(recipe.inputs["cosines"], dtype=np.float64), np.array(recipe.inputs["labels"], dtype=np.intp)
    g, loss = np.array(recipe.inputs["cotangent"]), recipe.loss
    truth = exact.evaluate(loss, c, y, g)
    step = loss.forward(c, y)
    outputs = {"loss": truth.loss, "cosines": truth.cosines, "s": truth.s, "t": truth.t}
    outputs |= {f"margin.{name}": value for name, value in truth.margin.items()}
    pole = bool(np.isinf(truth.cosines.hi).any())
    expected = {"mask": canonical.bits(truth.mask.tolist()), **{name: _certified(v) for name, v in outputs.items()}}
    expected |= {"gaps": tensor(truth.gaps.hi), "branch_gap": tensor(truth.branch_gap.hi)}
    return {
        "result": "undefined" if pole else "valid",
        "expected": expected,
        "scales": _scales(condition.scales(step, np.float64), step),
        "decisive": _decisive(step),
        "radius": _radius(loss, c, y),
        **({"policies": POLICIES} if pole else {}),
    }


def _head_case(recipe: Recipe) -> dict[str, Json]:
    x, w = (np.array(recipe.inputs[name], dtype=np.float64) for name in ("embeddings", "weights"))
    y, g = np.array(recipe.inputs["labels"], dtype=np.intp), np.array(recipe.inputs["cotangent"])
    truth = exact.evaluate_head(recipe.loss, x, w, y, g)
    step = _head_step(recipe.loss, x, w, y)
    by_loss, by = condition.head_scales(step, directions(x), directions(w), g, np.float64)
    outputs = {"loss": truth.loss, "embeddings": truth.embeddings, "weights": truth.weights}
    scales = {"loss": by_loss, "embeddings": by.embeddings, "weights": by.weights}
    expected = {"mask": canonical.bits(truth.mask.tolist()), **{name: _certified(v) for name, v in outputs.items()}}
    expected |= {"gap": tensor(truth.gap.hi), "branch_gap": tensor(truth.branch_gap.hi)}
    return {
        "result": "valid",
        "expected": expected,
        "scales": {name: tensor(canonical.rounded_up(v)) for name, v in scales.items()},
        "decisive": _decisive(step),
    }


def _head_step(loss: SVXSoftmax, x: Any, w: Any, y: Any) -> Step:
    shard = Shard.of(loss, x, w, y)
    targets = shard.targets()
    return forward(*loss.parts, shard.cosines(targets), y, angle=Angle(*targets))


def _certified(value: Certified) -> dict[str, Json]:
    return tensor(value.hi, value.lo)


def _scales(scales: condition.Scales, step: Step) -> dict[str, Json]:
    """Return the condition scales of each output for a cotangent of one, in the order of the outputs."""
    named = {"loss": scales.loss, "cosines": scales.cosines, "s": scales.s, "t": scales.t}
    named |= {f"margin.{name}": value for name, value in scales.margin.items()}
    return {name: tensor(canonical.rounded_up(value)) for name, value in named.items()}


def _decisive(step: Step) -> dict[str, str]:
    """Return, for each format, the rows all of whose decisions its rounding cannot turn over, as 0 and 1."""
    found = {}
    for name in FORMATS:
        near, reach = condition.undecided(step, name)
        found[name] = "".join("01"[int(row)] for row in ~near.any(axis=1) & (reach < 0))
    return found


def _radius(loss: SVXSoftmax, cosines: Any, labels: Any) -> list[float]:
    """Return, row by row, by how much every cosine may change at once without turning a decision over: proven."""
    return [_row_radius(loss, row, int(y)) for row, y in zip(cosines.tolist(), labels, strict=True)]


def _row_radius(loss: SVXSoftmax, row: list[float], label: int) -> float:
    for exponent in range(-3, -61, -1):
        if _holds(loss, row, label, 2.0**exponent):
            return 2.0**exponent
    return 0.0


def _holds(loss: SVXSoftmax, row: list[float], label: int, radius: float) -> bool:
    """Return whether all decisions are the same for all cosines within `radius`, by one evaluation in wide balls."""
    with precision(FIRST_BITS):
        around = [ball(c) + arb(0, radius) for c in row]
        c = around[label]
        at = Point(c, ((1 - c) * (1 + c)).nonnegative_part().sqrt(), lambda: Root(0, 2))
        try:
            boundary = held(loss.emphasis.boundary or loss.margin, at).value
            held(loss.margin, at)
        except UndecidedError:
            return False
        return all(x > boundary or x < boundary for k, x in enumerate(around) if k != label)
