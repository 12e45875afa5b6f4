"""From a recipe to a case: what is right, how far rounding may carry it, and which decisions are how near.

Everything that must be right to the last bit comes from `svref.exact`. Condition scales come from
`svref.judging.condition`,
rounded up to three digits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from svref import exact
from svref.arrays import BoolArray
from svref.exact import Certified
from svref.exact.cosines import Truth
from svref.exact.head import HeadTruth
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, tensor
from svref.golden.making.radius import cosine_radius, head_radius
from svref.golden.making.recipes import Recipe
from svref.head.geometry import directions
from svref.head.shards import Shard
from svref.judging import condition
from svref.judging.formats import FORMATS, format_of
from svref.loss import SVXSoftmax
from svref.reference import Step, forward

POLICIES = ["infinity", "nan", "zero", "slope"]
JUDGED = ("float64", "float32")  # the formats whose undecided decisions have their other branch in the file


def record(recipe: Recipe) -> dict[str, Json]:
    """Return the case of a recipe as JSON, without its power, which depends on the registry of deviations."""
    if recipe.group == "error":
        return _finished(recipe, "error", {}, {})
    made = _cosine_case(recipe) if recipe.level == "cosine" else _head_case(recipe)
    return _finished(recipe, _result(made), **made)


def _finished(
    recipe: Recipe, result: str, expected: dict[str, Json], scales: dict[str, Json], **more: Json
) -> dict[str, Json]:
    inputs = {name: tensor(values) for name, values in recipe.inputs.items()}
    identity = canonical.identity(recipe.variant, recipe.parameters, inputs)
    made = {
        "id": canonical.case_id(recipe.variant, recipe.group, identity),
        "level": recipe.level,
        "parameters": dict(recipe.parameters),
        "flags": list(recipe.flags),
        "result": result,
        "dtypes": _dtypes(recipe),
        "inputs": inputs,
        "expected": expected,
        "scales": scales,
        **more,
    }
    return {**made, "digest": canonical.content_digest(made)}


def _result(made: dict[str, Json]) -> str:
    if "1" in made["poles"]:
        return "undefined"
    return "accept_set" if made["branches"] else "valid"


def _dtypes(recipe: Recipe) -> list[str]:
    """Return the formats that hold every input exactly."""
    numbers = np.concatenate([np.ravel(np.array(values, np.float64)) for values in recipe.inputs.values()])
    return [name for name in FORMATS if _holds(numbers, name)]


def _holds(numbers: Any, name: str) -> bool:
    mantissa, exponent = np.frexp(numbers[np.isfinite(numbers) & (numbers != 0)])
    scaled = mantissa * 2.0 ** format_of(name).digits
    return bool((scaled == np.rint(scaled)).all() and (2.0 ** (exponent - 1) >= format_of(name).tiny).all())


def _cosine_case(recipe: Recipe) -> dict[str, Json]:
    c, y = np.array(recipe.inputs["cosines"], dtype=np.float64), np.array(recipe.inputs["labels"], dtype=np.intp)
    g, loss = np.array(recipe.inputs["cotangent"]), recipe.loss
    truth = exact.evaluate(loss, c, y, g)
    step = _decided(loss, c, y, truth.mask)
    branches = [branch for name in JUDGED for branch in _branches(recipe, step, name)]
    return {**_told(truth, _outputs(truth), _scales(condition.scales(step, np.float64))),
            "decisive": _decisive(step), "poles": _poles(loss, step), "branches": branches,
            "radius": cosine_radius(loss, c, y), **_policies(_poles(loss, step))}  # fmt: skip


def _head_case(recipe: Recipe) -> dict[str, Json]:
    x, w = (np.array(recipe.inputs[name], dtype=np.float64) for name in ("embeddings", "weights"))
    y, g = np.array(recipe.inputs["labels"], dtype=np.intp), np.array(recipe.inputs["cotangent"])
    loss, dimensions = recipe.loss, x.shape[1]
    truth, shard = exact.evaluate_head(loss, x, w, y, g), Shard.of(loss, x, w, y)
    step = shard.step(shard.step().mask ^ truth.mask)
    by_loss, by = condition.head_scales(step, directions(x), directions(w), g, np.float64)
    outputs = {"loss": truth.loss, "embeddings": truth.embeddings, "weights": truth.weights}
    scales = {"loss": by_loss, "embeddings": by.embeddings, "weights": by.weights}
    fragile = {name: _rows(condition.rounds_to_pole(step, name, dimensions)) for name in FORMATS}
    return {**_told(truth, {name: _certified(v) for name, v in outputs.items()},
                    {name: tensor(canonical.rounded_up(v)) for name, v in scales.items()}),
            "decisive": _decisive(step, dimensions), "poles": _poles(loss, step), "rounds_to_pole": fragile,
            "branches": [], "radius": head_radius(loss, x, w, y), **_policies(_poles(loss, step))}  # fmt: skip


def _told(truth: Truth | HeadTruth, outputs: dict[str, Json], scales: dict[str, Json]) -> dict[str, Json]:
    """Return what is expected: mask, certified outputs, distances of the decisions; and the scales."""
    gaps = {"gaps": tensor(truth.gaps.hi), "branch_gap": tensor(truth.branch_gap.hi)}
    return {"expected": {"mask": canonical.bits(truth.mask.tolist()), **outputs, **gaps}, "scales": scales}


def _decided(loss: SVXSoftmax, c: Any, y: Any, mask: BoolArray) -> Step:
    """Return the step of a certified mask, which float64 may decide otherwise next to a boundary."""
    return forward(loss, c, y, flipped=loss.forward(c, y).mask ^ mask)


def _outputs(truth: Truth, rows: Any = slice(None)) -> dict[str, Json]:
    """Return the certified outputs of a case of cosines, or of one of its rows."""
    outputs = {"loss": truth.loss, "cosines": truth.cosines, "s": truth.s, "t": truth.t}
    outputs |= {f"margin.{name}": value for name, value in truth.margin.items()}
    return {name: _certified(value, rows) for name, value in outputs.items()}


def _certified(value: Certified, rows: Any = slice(None)) -> dict[str, Json]:
    return tensor(value.hi[rows], value.lo[rows])


def _scales(scales: condition.Scales, rows: Any = slice(None)) -> dict[str, Json]:
    """Return the condition scales of each output for a cotangent of one, in the order of the outputs."""
    named = {"loss": scales.loss, "cosines": scales.cosines, "s": scales.s, "t": scales.t}
    named |= {f"margin.{name}": value for name, value in scales.margin.items()}
    return {name: tensor(canonical.rounded_up(value[rows])) for name, value in named.items()}


def _decisive(step: Step, dimensions: int = 0) -> dict[str, str]:
    """Return, for each format, the rows all of whose decisions its rounding cannot turn over, as 0 and 1."""
    found = {}
    for name in FORMATS:
        near, reach = condition.undecided(step, name, dimensions)
        found[name] = _rows(~near.any(axis=1) & (reach < 0))
    return found


def _poles(loss: SVXSoftmax, step: Step) -> str:
    """Return the rows whose target is at a pole of an angular margin, as 0 and 1."""
    return _rows((step.angle.sine == 0) & loss.margin.angular)


def _policies(poles: str) -> dict[str, Json]:
    return {"policies": POLICIES} if "1" in poles else {}


def _rows(flags: BoolArray) -> str:
    return "".join("01"[int(flag)] for flag in flags)


def _branches(recipe: Recipe, step: Step, name: str) -> list[dict[str, Json]]:
    """Return what else is right in a format: every other way to take the mask decisions that its rounding may turn.

    Those of float64 are among those of float32, so each format lists its own.
    """
    if name not in _dtypes(recipe):
        return []
    near, _ = condition.undecided(step, name)
    return [_branch(recipe, step, name, *way) for b in range(len(near)) for way in _other_ways(near, b)]


def _other_ways(near: BoolArray, b: int) -> Iterator[tuple[int, BoolArray]]:
    """Yield row b with a mask of what to turn over, for each choice among its undecided decisions but none."""
    columns = np.flatnonzero(near[b])
    if len(columns) <= condition.MOST_UNDECIDED:
        for turned in itertools.product((False, True), repeat=len(columns)):
            if any(turned):
                flipped = np.zeros(near.shape, dtype=bool)
                flipped[b, columns] = turned
                yield b, flipped


def _branch(recipe: Recipe, step: Step, name: str, b: int, flipped: BoolArray) -> dict[str, Json]:
    loss, g = recipe.loss, np.array(recipe.inputs["cotangent"])
    truth = exact.evaluate(loss, step.cosines, step.labels, g, flipped=flipped)
    other = _decided(loss, step.cosines, step.labels, truth.mask)
    return {
        "dtype": name,
        "row": b,
        "mask": canonical.bits(truth.mask[b : b + 1].tolist())[0],
        "expected": _outputs(truth, b),
        "scales": _scales(condition.scales(other, np.float64), b),
    }
