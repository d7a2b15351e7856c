"""JSON Schemas made flat: references followed, `allOf` put together, conditions turned into alternatives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from understudy.contract.loader import follow
from understudy.lifecycle import Json

Schema = Mapping[str, Any]

# What one part of an `allOf` says and another says as well; of the rest, the validator looks after what comes second.
_MERGED: Mapping[str, Callable[[Any, Any], Json]] = {
    **dict.fromkeys(("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties"), max),
    **dict.fromkeys(("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties"), min),
    "required": lambda one, other: [*one, *other],
    "type": lambda one, other: _common(_listed(one), _listed(other)),
    "uniqueItems": lambda one, other: one or other,
    **dict.fromkeys(("items", "propertyNames"), lambda one, other: together([one, other])),
}

# Of these, each part of an `allOf` has its own.
_APART = {"properties", "patternProperties", "additionalProperties", "unevaluatedProperties"}

# What is taken apart when a schema is made flat.
_TAKEN_APART = {"$ref", "allOf", "oneOf", "anyOf", "if", "then", "else", "dependentRequired", "dependentSchemas"}

# What a value is drawn by as it says; for any other word of JSON Schema, the validator picks.
_DRAWN_BY = _MERGED.keys() - {"uniqueItems", "propertyNames"} | {"const", "enum", "properties", "additionalProperties"}

# What says nothing about values.
_REMARKS = {
    *("title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment"),
    *("discriminator", "externalDocs", "xml", "contentMediaType", "contentEncoding", "contentSchema", "nullable"),
}

#: The types, the plainest first, and the words that are about each.
ABOUT: Mapping[str, set[str]] = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": set(),
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": set(),
    "object": {*_APART, "required", "propertyNames", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"},
    "null": set(),
}


@dataclass(frozen=True)
class Node:
    """One schema, flat.

    Attributes:
        parts: What was put together, without its alternatives.
        says: All that the parts say.
        alternatives: Of each of these lists, one schema at least holds.
        recursive: How many schemas that contain themselves were gone into.
        vague: Whether a value that is drawn by it may be wrong.
    """

    parts: Sequence[Schema]
    says: Schema
    alternatives: Sequence[Sequence[Json]]
    recursive: int
    vague: bool

    @cached_property
    def options(self) -> Sequence[Json] | None:
        """The values that are listed; None where they are not."""
        found: Sequence[Json] | None = self.says.get("enum")
        return [self.says["const"]] if "const" in self.says else found

    @cached_property
    def types(self) -> Sequence[str]:
        """The types that a value may be of; where none is named, those first that something is said about."""
        if "type" in self.says:
            return _listed(self.says["type"])
        if self.options is not None:
            return list(dict.fromkeys(map(_type_of, self.options)))
        return sorted(ABOUT, key=lambda kind: ABOUT[kind].isdisjoint(self.says))

    @cached_property
    def members(self) -> Mapping[str, Json]:
        """The members that are named, and the schema of each."""
        names = [name for part in self.parts for name in part.get("properties", ())]
        names += self.says.get("required", ())
        return {
            name: together([schema for part in self.parts for schema in _of_member(part, name)])
            for name in dict.fromkeys(names)
        }

    @cached_property
    def patterns(self) -> Mapping[str, Json]:
        """The patterns of names, and the schema of each."""
        return {pattern: schema for part in self.parts for pattern, schema in part.get("patternProperties", {}).items()}

    @cached_property
    def additional(self) -> Json:
        """The schema of members that are not named, nor match a pattern."""
        keys = ("additionalProperties", "unevaluatedProperties")
        return together([part[key] for part in self.parts for key in keys if key in part])

    def matching(self, name: str) -> bool:
        """Say whether a name matches one of the patterns."""
        return any(_matches(pattern, name) for pattern in self.patterns)

    def choices(self) -> list[Json]:
        """Return for each schema of the first list of alternatives all that holds with it."""
        first, *others = self.alternatives
        rest = [*self.parts, *({"anyOf": options} for options in others)]
        return [together([*rest, option]) for option in first]

    def without(self, key: str) -> Json:
        """Return the schema without a keyword."""
        return together([{name: value for name, value in part.items() if name != key} for part in self.parts])


class Nodes:
    """Makes the schemas of one document flat.

    Args:
        document: The OpenAPI document, which schemas may refer into.
    """

    def __init__(self, document: Mapping[str, Json]) -> None:
        self._document = document
        self._recursive: dict[str, bool] = {}

    def of(self, schema: Json) -> Node | None:
        """Return a schema as a node; None where it admits nothing."""
        parts: list[Schema] = []
        alternatives: list[Sequence[Json]] = []
        waiting, followed, exclusive = [schema], set[str](), False
        while waiting:
            part = waiting.pop(0)
            if part is False:
                return None
            if part is True:
                continue
            reference = part.get("$ref")
            if reference is not None and reference not in followed:
                followed.add(reference)
                waiting.append(follow(self._document, reference))
            waiting += part.get("allOf", ())
            alternatives += _alternatives(part)
            exclusive = exclusive or "oneOf" in part
            parts.append({key: value for key, value in part.items() if key not in _TAKEN_APART})
        says, vague = _said(parts)
        return Node(parts, says, alternatives, sum(map(self._is_recursive, followed)), vague or exclusive)

    def _is_recursive(self, reference: str) -> bool:
        """Say whether what a reference leads to contains it."""
        if reference not in self._recursive:
            met, waiting = set[str](), [reference]
            while waiting:
                further = set(_references(follow(self._document, waiting.pop()))) - met
                met |= further
                waiting += further
            self._recursive[reference] = reference in met
        return self._recursive[reference]


def together(schemas: Sequence[Json]) -> Json:
    """Return a schema that admits what all of some do."""
    told = [schema for schema in schemas if schema not in (True, {})]
    return {"allOf": told} if len(told) > 1 else told[0] if told else True


def _said(parts: Sequence[Schema]) -> tuple[Schema, bool]:
    """Return all that some schemas say, and whether the validator has to look after it."""
    says: dict[str, Json] = {}
    vague = False
    for part in parts:
        for key, value in part.items():
            merge = _MERGED.get(key, lambda one, _: one)
            vague = vague or (key in says and key not in _DRAWN_BY)
            vague = vague or not (key in _DRAWN_BY or key in _REMARKS or key.startswith("x-"))
            says[key] = merge(says[key], value) if key in says else value
    return says, vague


def _alternatives(part: Schema) -> Iterator[Sequence[Json]]:
    """Return what a schema leaves open, each as a list of schemas of which one holds."""
    yield from (part[key] for key in ("oneOf", "anyOf") if key in part)
    if "if" in part:
        then, otherwise = part.get("then", True), part.get("else", True)
        yield [together([part["if"], then]), together([{"not": part["if"]}, otherwise])]
    for name, needed in part.get("dependentRequired", {}).items():
        yield [{"properties": {name: False}}, {"required": [name, *needed]}]
    for name, schema in part.get("dependentSchemas", {}).items():
        yield [{"properties": {name: False}}, together([{"required": [name]}, schema])]


def _references(node: Json) -> Iterator[str]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
        elif isinstance(node, list):
            waiting += node


def _of_member(part: Schema, name: str) -> list[Json]:
    """Return what a part of a schema says of a member."""
    found = [part["properties"][name]] if name in part.get("properties", ()) else []
    found += [schema for pattern, schema in part.get("patternProperties", {}).items() if _matches(pattern, name)]
    return found or ([part["additionalProperties"]] if "additionalProperties" in part else [])


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # ECMAScript knows more than Python; the validator looks after it
        return False


def _listed(kinds: str | Sequence[str]) -> Sequence[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _common(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return the types that are in both lists; an integer is a number."""
    found = [kind for kind in one if kind in other or (kind == "integer" and "number" in other)]
    return found + ["integer" for kind in other if kind == "integer" and "number" in one and kind not in found]


def _type_of(value: Json) -> str:
    names = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")
