"""From recipes to the files of a pack, and from the cases of a pack back to what they should be.

`make_case` takes these steps. `_of_cosines` and `_of_head` take the second, third and fourth together.

inputs        the recipe's numbers, the formats that hold them, and the id, which ends in a digest of them
outputs       mask, losses and gradients, correctly rounded by `svref.exact`
scales        the condition scale of each output, by `svref.judging.condition`, rounded up to three digits
decisions     in which rows each format surely decides as exact numbers do; other branches; poles; radii
digest        of the inputs, the expected outputs and the outputs of the other branches, but of no scales or radii
power         the deviations that the case exposes, found by running each of them

`build` puts the cases of a pack into group files of canonical JSON, their power into a file of its own, and adds the
manifest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from svref import exact
from svref.arrays import BoolArray, FloatArray, IntArray
from svref.checks import Progress
from svref.deviations import DEVIATIONS
from svref.exact import Certified
from svref.exact.cosines import Truth
from svref.exact.head import HeadTruth
from svref.formats import STORED
from svref.golden.files import canonical
from svref.golden.files.canonical import Json, bits, encoded, rounded_up, tensor
from svref.golden.files.exposed import POWER, Power, power_file
from svref.golden.files.pack import common_files, errors_as_damage, heading, with_manifest
from svref.golden.making.packs import Pack
from svref.golden.making.power import power
from svref.golden.making.radius import cosine_radius, head_radius
from svref.golden.making.recipes import Recipe, dtypes_of
from svref.golden.notes import NOTES
from svref.golden.vectors import Vector, Vectors
from svref.head.geometry import directions
from svref.head.shards import Shard
from svref.judging import condition
from svref.judging.precision import PRECISIONS
from svref.loss import SVXSoftmax
from svref.reference import Step, forward

Case = dict[str, Json]
POLICIES = ["infinity", "nan", "zero", "slope"]
ALL = slice(None)


# ---- a pack ----------------------------------------------------------------------------------------------------


def build(pack: Pack, progress: Progress | None = None) -> dict[str, bytes]:
    """Return every file of a pack by its path; the bytes are the same on every machine.

    `progress` is called after each case with the number of cases done and their total.
    """
    recipes, files, done = list(pack.recipes()), common_files(pack.name), itertools.count(1)
    power_of: dict[str, Power] = {}
    for (variant, group), of_group in itertools.groupby(recipes, lambda r: (r.variant, r.group)):
        cases = []
        for recipe in of_group:
            cases.append(_without_power(make_case(recipe), power_of))
            if progress is not None:
                progress(next(done), len(recipes))
        notes = notes_on(sorted({flag for case in cases for flag in case["flags"]}))
        content = {**heading(pack.name), "variant": variant, "group": group, "notes": notes}
        files[f"groups/{variant}/{group}.json"] = encoded({**content, "cases": cases})
    files[POWER] = encoded(power_file(heading(pack.name), list(DEVIATIONS), power_of))
    return with_manifest(pack.name, pack.version, pack.purpose, files, len(recipes))


def _without_power(case: Case, power_of: dict[str, Power]) -> Case:
    """Return a case as it stands in its group's file, and add its power, if it has one, to `power_of`."""
    power_of |= {case["id"]: case["power"]} if "power" in case else {}
    return {key: value for key, value in case.items() if key != "power"}


def notes_on(flags: Iterable[str]) -> dict[str, Json]:
    """Return, for each of the flags, its note as a JSON object, as group files hold it."""
    return {flag: NOTES[flag]._asdict() for flag in flags}


def differences(vectors: Vectors, progress: Progress | None = None) -> Iterator[tuple[Vector, set[str]]]:
    """Yield each case that is not, to the last bit, what this svref makes of its inputs, and the keys that differ.

    `progress` is called after each case with the number of cases done and their total.
    """
    for i, vector in enumerate(vectors):
        with errors_as_damage(f"{vectors.root / vector.file}, case {vector.id}"):
            again = make_case(Recipe(vector.variant, vector.group, vector.parameters, vector.flags, vector.inputs))
        keys = {key for key in again | vector.case if again.get(key) != vector.case.get(key)}
        if keys:
            yield vector, keys
        if progress is not None:
            progress(i + 1, len(vectors))


# ---- a case ----------------------------------------------------------------------------------------------------


def make_case(recipe: Recipe) -> Case:
    """Return the case of a recipe, as a dict of what its JSON object holds, and its power by names.

    A case whose inputs must raise has no outputs, no decisions and no power.
    """
    case = _inputs(recipe)
    if recipe.group == "error":
        return _with_digest({**case, "result": "error", "expected": {}, "scales": {}})
    case |= _of_cosines(recipe, case["dtypes"]) if recipe.level == "cosine" else _of_head(recipe)
    case = _with_digest({**case, "result": _result(case)})
    return {**case, "power": power(Vector.from_json(recipe.variant, recipe.group, case, notes_on(recipe.flags)))}


def id_of(recipe: Recipe) -> str:
    """Return the id of the case of a recipe, without computing its outputs."""
    inputs = {name: tensor(values) for name, values in recipe.inputs.items()}
    return canonical.case_id(
        recipe.variant, recipe.group, canonical.identity(recipe.variant, recipe.parameters, inputs)
    )


def _inputs(recipe: Recipe) -> Case:
    """Return what a case is about, without any output."""
    return {
        "id": id_of(recipe),
        "level": recipe.level,
        "parameters": dict(recipe.parameters),
        "flags": list(recipe.flags),
        "dtypes": dtypes_of(recipe),
        "inputs": {name: tensor(values) for name, values in recipe.inputs.items()},
    }


def _of_cosines(recipe: Recipe, dtypes: Sequence[str]) -> Case:
    """Return what was computed for a case of cosines: outputs, scales, decisions, other branches, radii."""
    loss, c, y, g = recipe.loss, recipe.array("cosines"), recipe.labels, recipe.array("cotangent")
    truth = exact.evaluate(loss, c, y, g)
    step = _decided(loss, c, y, truth.mask)
    return {
        "expected": {**_mask_and_gaps(truth), **_output_tensors(_by_name(truth))},
        "scales": _scale_tensors(_by_name(condition.scales(step, np.float64))),
        **_decisions(loss, step),
        "branches": [branch for name in STORED if name in dtypes for branch in _branches(loss, step, g, name)],
        "radius": cosine_radius(loss, c, y),
    }


def _of_head(recipe: Recipe) -> Case:
    """Return what was computed for a case of embeddings and weights: outputs, scales, decisions, radii.

    There are two differences from a case of cosines. `rounds_to_pole` marks the rows whose target's cosine may round
    to ±1. `branches` is always empty: a row of a head with an undecided decision is not judged.
    """
    loss, x, w, y = recipe.loss, recipe.array("embeddings"), recipe.array("weights"), recipe.labels
    g, dimensions = recipe.array("cotangent"), x.shape[1]
    truth, shard = exact.evaluate_head(loss, x, w, y, g), Shard.of(loss, x, w, y)
    step = shard.step(flipped=shard.step().mask ^ truth.mask)  # flip where float64 decides otherwise than exact numbers
    by_loss, by = condition.head_scales(step, directions(x), directions(w), g, np.float64)
    outputs = {"loss": truth.loss, "embeddings": truth.embeddings, "weights": truth.weights}
    return {
        "expected": {**_mask_and_gaps(truth), **_output_tensors(outputs)},
        "scales": _scale_tensors({"loss": by_loss, "embeddings": by.embeddings, "weights": by.weights}),
        **_decisions(loss, step, Shard.of(loss, x, w, y)),
        "rounds_to_pole": {name: bits(condition.rounds_to_pole(step, name, dimensions)) for name in PRECISIONS},
        "branches": [],
        "radius": head_radius(loss, x, w, y),
    }


def _result(case: Case) -> str:
    """Return the `result` of a case.

    "undefined" if a target is at a pole, else "accept_set" if there are other branches in float64 or float32, else
    "valid".
    """
    if "1" in case["poles"]:
        return "undefined"
    return "accept_set" if {"float64", "float32"} & {branch["dtype"] for branch in case["branches"]} else "valid"


def _with_digest(case: Case) -> Case:
    """Return a case with the digest of its numbers added."""
    return {**case, "digest": canonical.content_digest(case)}


# ---- outputs and scales ----------------------------------------------------------------------------------------


def _decided(loss: SVXSoftmax, c: FloatArray, y: IntArray, mask: BoolArray) -> Step:
    """Return the float64 step whose mask is the certified one.

    Next to a boundary float64 may decide otherwise. Those decisions, where the two masks differ, are flipped.
    """
    return forward(loss, c, y, flipped=loss.forward(c, y).mask ^ mask)


def _by_name(outputs: Truth | condition.Scales) -> dict[str, Any]:
    """Return certified outputs of cosines, or their condition scales, by their names in the file."""
    named = {"loss": outputs.loss, "cosines": outputs.cosines, "s": outputs.s, "t": outputs.t}
    return {**named, **{f"margin.{name}": value for name, value in outputs.margin.items()}}


def _mask_and_gaps(truth: Truth | HeadTruth) -> dict[str, Json]:
    """Return the support vectors, and the distances of the decisions from their boundaries."""
    gaps = {"gaps": tensor(truth.gaps.hi), "branch_gap": tensor(truth.branch_gap.hi)}
    return {"mask": [bits(row) for row in truth.mask], **gaps}


def _output_tensors(outputs: Mapping[str, Certified], rows: int | slice = ALL) -> dict[str, Json]:
    """Return certified outputs, or one row of them, as tensors of two parts."""
    return {name: tensor(value.hi[rows], value.lo[rows]) for name, value in outputs.items()}


def _scale_tensors(scales: Mapping[str, FloatArray], rows: int | slice = ALL) -> dict[str, Json]:
    """Return condition scales, or one row of them, rounded up to three digits."""
    return {name: tensor(rounded_up(value[rows])) for name, value in scales.items()}


# ---- decisions -------------------------------------------------------------------------------------------------


def _decisions(loss: SVXSoftmax, step: Step, shard: Shard | None = None) -> dict[str, Json]:
    """Return `decisive` and `poles`, strings of one digit per row, and `policies` if there is a pole.

    The digit in `decisive`, which has a string per precision, is 1 if rounding cannot turn over any decision of the
    row. The `shard` is that of a head.
    The digit in `poles` is 1 if the target is at a pole.
    """
    decisive = {}
    for name, plan in PRECISIONS.items():
        near, reach = (
            condition.undecided(step, plan) if shard is None else condition.undecided_at_head(shard, step, plan)
        )
        decisive[name] = bits(~near.any(axis=1) & (reach < 0))
    poles = bits((step.angle.sine == 0) & loss.margin.angular)
    return {"decisive": decisive, "poles": poles, **({"policies": POLICIES} if "1" in poles else {})}


def _branches(loss: SVXSoftmax, step: Step, g: FloatArray, name: str) -> Iterator[dict[str, Json]]:
    """Yield what else is right in a format: each other way to take the mask decisions that its rounding may turn over.

    Decisions that are undecided in float64 are so in float32 too. Each format has its own complete list all the same,
    so float32's list contains float64's in every row with at most three undecided decisions.
    """
    near, _ = condition.undecided(step, name)
    for b in range(len(near)):
        row = slice(b, b + 1)
        c, y = step.cosines[row], step.labels[row]
        for flipped in _other_ways(near[row]):
            truth = exact.evaluate(loss, c, y, g[row], flipped=flipped)
            other = _decided(loss, c, y, truth.mask)
            expected = _output_tensors(_by_name(truth), 0)
            scales = _scale_tensors(_by_name(condition.scales(other, np.float64)), 0)
            yield {"dtype": name, "row": b, "mask": bits(truth.mask[0]), "expected": expected, "scales": scales}


def _other_ways(near: BoolArray) -> Iterator[BoolArray]:
    """Yield, for each non-empty choice among the undecided decisions of one row, which to turn over, shape (1, C).

    Nothing is yielded for a row with more than three undecided decisions, which is not judged.
    """
    columns = np.flatnonzero(near)
    if len(columns) <= condition.MOST_UNDECIDED:
        for turned in itertools.product((False, True), repeat=len(columns)):
            if any(turned):
                flipped = np.zeros(near.shape, dtype=bool)
                flipped[0, columns] = turned
                yield flipped
