"""JSON checked against the schemas that ship with svref: the keywords that these use, and no others.

No package is needed for it, so packs and answers are checked wherever they are read. The first fault ends the check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from svref.golden.files.canonical import Json
from svref.golden.files.reading import shortened

IN_PACKS = ("answers", "errata", "group", "large", "manifest", "power")  # what a pack holds, and answers to it
SCHEMAS = (*IN_PACKS, "report")
_WORDS = {"$schema", "$id", "$defs", "title", "description", "then", "else"}  # they demand nothing by themselves
_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "integer": lambda v: _TYPES["number"](v) and v == v // 1,
}


class Fault(NamedTuple):
    """Where JSON does not follow a schema, as the keys and indices that lead there, and why."""

    path: tuple[str | int, ...]
    why: str

    @property
    def place(self) -> str:
        """The path as text: $.cases[0].id."""
        return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


class _At(NamedTuple):
    """A value in the content, the schema it must follow, the whole schema, and the path of the value."""

    value: Json
    node: Json
    root: Json
    path: tuple[str | int, ...]

    def inside(self, key: str | int, node: Json) -> Iterator[Fault]:
        """Yield the faults of a part of the value against a schema of its own."""
        return _faults(_At(self.value[key], node, self.root, (*self.path, key)))

    def under(self, node: Json) -> Iterator[Fault]:
        """Yield the faults of the value against another schema."""
        return _faults(self._replace(node=node))

    def fault(self, why: str) -> Fault:
        """Return a fault of the value itself."""
        return Fault(self.path, f"{why}; got {shortened(repr(self.value), 80)}")


@cache
def schema_of(name: str) -> Json:
    """Return a JSON Schema that ships with svref, by its name in `SCHEMAS`; do not change it."""
    return json.loads(resources.files("svref.golden").joinpath("schemas", f"{name}.schema.json").read_bytes())


def first_fault(content: Json, schema: Json) -> Fault | None:
    """Return the first fault of JSON against a schema; None if it follows the schema."""
    return next(_faults(_At(content, schema, schema, ())), None)


def _faults(at: _At) -> Iterator[Fault]:
    """Yield the faults of a value, keyword by keyword; a schema that is False allows nothing, True everything."""
    if at.node is False:
        yield at.fault("must not be there")
    for keyword, rule in at.node.items() if isinstance(at.node, dict) else ():
        if keyword not in _WORDS:
            yield from _RULES[keyword](at, rule)


def _type(at: _At, rule: Json) -> Iterator[Fault]:
    names = [rule] if isinstance(rule, str) else rule
    if not any(_TYPES[name](at.value) for name in names):
        yield at.fault(f"must be of type {' or '.join(names)}")


def _properties(at: _At, rule: Json) -> Iterator[Fault]:
    for key in rule.keys() & at.value.keys() if isinstance(at.value, dict) else ():
        yield from at.inside(key, rule[key])


def _pattern_properties(at: _At, rule: Json) -> Iterator[Fault]:
    for key in at.value if isinstance(at.value, dict) else ():
        for pattern, node in rule.items():
            if _matches(pattern, key):
                yield from at.inside(key, node)


def _additional_properties(at: _At, rule: Json) -> Iterator[Fault]:
    known, patterns = at.node.get("properties", {}), at.node.get("patternProperties", {})
    for key in at.value if isinstance(at.value, dict) else ():
        if key not in known and not any(_matches(pattern, key) for pattern in patterns):
            if rule is False:
                yield Fault(at.path, f"the key {shortened(key, 80)!r} was unexpected")
            yield from () if rule is False else at.inside(key, rule)


def _required(at: _At, rule: Json) -> Iterator[Fault]:
    for key in rule if isinstance(at.value, dict) else ():
        if key not in at.value:
            yield Fault(at.path, f"{key!r} is a required property")


def _items(at: _At, rule: Json) -> Iterator[Fault]:
    for i in range(len(at.value)) if isinstance(at.value, list) else ():
        yield from at.inside(i, rule)


def _enum(at: _At, rule: Json) -> Iterator[Fault]:
    if not any(at.value == allowed and type(at.value) is type(allowed) for allowed in rule):
        yield at.fault(f"must be {' or '.join(map(repr, rule))}")


def _pattern(at: _At, rule: Json) -> Iterator[Fault]:
    if isinstance(at.value, str) and not _matches(rule, at.value):
        yield at.fault(f"must match {rule}")


def _matches(pattern: str, text: str) -> bool:
    r"""Return whether a pattern is found; as in JavaScript, $ is the very end, and \d are the digits 0 to 9."""
    return re.search(re.sub(r"\$$", r"\\Z", pattern), text, re.ASCII) is not None


def _one_of(at: _At, rule: Json, most: int = 1) -> Iterator[Fault]:
    first = [next(at.under(node), None) for node in rule]
    found = [fault for fault in first if fault is not None]
    if len(found) == len(rule):
        yield max(found, key=lambda fault: len(fault.path))  # of the alternative that fits furthest
    elif len(rule) - len(found) > most:
        yield at.fault("must follow one schema alone of several")


def _any_of(at: _At, rule: Json) -> Iterator[Fault]:
    return _one_of(at, rule, most=len(rule))


def _all_of(at: _At, rule: Json) -> Iterator[Fault]:
    for node in rule:
        yield from at.under(node)


def _if(at: _At, rule: Json) -> Iterator[Fault]:
    holds = next(at.under(rule), None) is None
    yield from at.under(at.node.get("then" if holds else "else", True))


def _ref(at: _At, rule: Json) -> Iterator[Fault]:
    return at.under(at.root if rule == "#" else at.root["$defs"][rule.removeprefix("#/$defs/")])


def _limit(
    kinds: tuple[type, ...], size: Callable[[Json], float], is_right: Callable[[float, float], bool], what: str
) -> Callable[[_At, Json], Iterator[Fault]]:
    """Return the rule that the size of a value of these kinds has a limit."""

    def rule_of(at: _At, rule: Json) -> Iterator[Fault]:
        if isinstance(at.value, kinds) and not isinstance(at.value, bool) and not is_right(size(at.value), rule):
            yield at.fault(f"{what} {rule}")

    return rule_of


_RULES: Mapping[str, Callable[[_At, Json], Iterator[Fault]]] = {
    "type": _type,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "required": _required,
    "items": _items,
    "enum": _enum,
    "const": lambda at, rule: _enum(at, [rule]),
    "pattern": _pattern,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": _all_of,
    "if": _if,
    "$ref": _ref,
    "minimum": _limit((int, float), lambda v: v, lambda size, limit: size >= limit, "must be at least"),
    "maximum": _limit((int, float), lambda v: v, lambda size, limit: size <= limit, "must be at most"),
    "minLength": _limit((str,), len, lambda size, limit: size >= limit, "must have a length of at least"),
    "minItems": _limit((list,), len, lambda size, limit: size >= limit, "must have a length of at least"),
    "maxItems": _limit((list,), len, lambda size, limit: size <= limit, "must have a length of at most"),
    "minProperties": _limit((dict,), len, lambda size, limit: size >= limit, "must have a number of keys of at least"),
}
