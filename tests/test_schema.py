"""The check against schemas says what the package jsonschema says, and names the place."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import jsonschema
import pytest
from test_large import TINY

from svref import check_values
from svref.golden.files.pack import SHIPPED, common_files
from svref.golden.files.schema import _RULES, _WORDS, IN_PACKS, SCHEMAS, first_fault, schema_of
from svref.golden.large import store
from svref.golden.large.certify import certify

ANSWER = {"loss": [1.0, "NaN", "-Infinity"], "grad_cosines": [0, 1]}


def whole(name: str) -> list[Any]:
    """Contents that follow a schema."""
    seed, core = SHIPPED / "seed", SHIPPED / "core"
    head = {"format": "svref-answers/1", "pack": "seed", "version": "1.0.0", "producer": "p", "dtype": "float64"}
    case = store.json_entry(certify(TINY))
    files: dict[str, list[Any]] = {
        "answers": [{**head, "answers": {"a": ANSWER, "b": {"error": "x"}, "c": {"unsupported": "y"}}}],
        "errata": [{"format": "svref-vectors/1", "pack": "x", "withdrawn": [{"id": "a", "version": "1", "reason": "r"}]}],
        "group": [
            json.loads((core / f"groups/{group}.json").read_bytes())
            for group in ("sv-am-softmax/head", "sv-arc-softmax/pole", "softmax/error", "sv-am-softmax/hard")
        ],
        "large": [{"format": "svref-vectors/1", "pack": "large", "cases": [case]}],
        "manifest": [json.loads((seed / "manifest.json").read_bytes())],
        "power": [json.loads((core / "power.json").read_bytes())],
        "report": [json.loads(check_values("softmax", [[0.5, 0.75]], [0], losses).to_json()) for losses in ([1.0], [0.8])],
    }  # fmt: skip
    return files[name]


def changed(content: Any, draw: random.Random) -> Any:
    """A copy with one part set to something else, removed, or added to."""
    content = copy.deepcopy(content)
    parts: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
        parts += [(node, key) for key in keys]
        waiting += [node[key] for key in keys]
    node, key = draw.choice(parts)
    kind = draw.choice(["set", "set", "set", "remove", "add"])
    value = draw.choice([None, True, 0, -1, 1.0, 0.5, 1e300, "", "NaN", "01", "x-00000000", [], [0], {}, {"s": 1}])
    if kind == "set":
        node[key] = value
    elif kind == "remove":
        del node[key]
    elif isinstance(node, dict):
        node["added"] = value
    else:
        node.append(value)
    return content


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_follows_a_schema_is_what_jsonschema_says(name: str) -> None:
    other, draw = jsonschema.Draft202012Validator(schema_of(name)), random.Random(1)  # noqa: S311
    verdicts = []
    for content in whole(name):
        assert first_fault(content, schema_of(name)) is None
        for _ in range(30 if len(str(content)) < 100_000 else 5):
            different = changed(content, draw)
            verdicts.append(first_fault(different, schema_of(name)) is None)
            assert verdicts[-1] == other.is_valid(different)
    assert 0 < sum(verdicts) < len(verdicts)


def keywords(node: Any) -> set[str]:
    """Every keyword of a schema."""
    if not isinstance(node, dict):
        return set()
    by_name = [inner for key in ("properties", "patternProperties", "$defs") for inner in node.get(key, {}).values()]
    lists = [inner for key in ("anyOf", "oneOf", "allOf") for inner in node.get(key, [])]
    single = [node[key] for key in ("items", "additionalProperties", "if", "then", "else") if key in node]
    return set(node).union(*map(keywords, [*by_name, *lists, *single]))


def test_every_keyword_of_the_schemas_is_known_and_no_other() -> None:
    used = set().union(*(keywords(schema_of(name)) for name in SCHEMAS))
    assert used - _WORDS == set(_RULES)


@pytest.mark.parametrize(
    ("change", "place", "why"),
    [
        ({"more": 1}, "$", "the key 'more' was unexpected"),
        ({"version": 1}, "$.version", "must be of type string; got 1"),
        ({"version": "1.0"}, "$.version", r"must match ^\d+\.\d+\.\d+$; got '1.0'"),
        ({"version": "1.0.0\n"}, "$.version", r"must match ^\d+\.\d+\.\d+$; got '1.0.0\n'"),
        ({"version": "1.0.٣"}, "$.version", r"must match ^\d+\.\d+\.\d+$; got '1.0.٣'"),
        ({"cases": 0}, "$.cases", "must be at least 1; got 0"),
        ({"cases": True}, "$.cases", "must be of type integer; got True"),
        ({"files": {"x": "y"}}, "$.files.x", "must match ^[0-9a-f]{64}$; got 'y'"),
        ({"format": "x"}, "$.format", "must be 'svref-vectors/1'; got 'x'"),
    ],
)
def test_the_first_fault_is_named_with_its_place(change: dict[str, Any], place: str, why: str) -> None:
    manifest = json.loads((SHIPPED / "seed" / "manifest.json").read_bytes())
    fault = first_fault(manifest | change, schema_of("manifest"))
    assert fault is not None
    assert (fault.place, fault.why.replace("\\\\", "\\")) == (place, why)


def test_of_several_alternatives_the_one_that_fits_furthest_is_told() -> None:
    case = json.loads((SHIPPED / "seed" / "groups/softmax/notebook.json").read_bytes())
    case["cases"][0]["inputs"]["labels"]["data"][1] = []
    fault = first_fault(case, schema_of("group"))
    assert fault is not None
    assert fault.place == "$.cases[0].inputs.labels.data[1]"


def test_the_schemas_in_a_pack_are_these() -> None:
    for name in IN_PACKS:
        assert json.loads(common_files("seed")[f"schema/{name}.schema.json"]) == schema_of(name)
