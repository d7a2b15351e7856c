"""Hypothesis strategies from JSON Schema: values that a schema admits, and values that it does not by one thing.

Only what the contracts use is known; anything else raises, so that a new keyword is not passed over in silence. Whether
a spoiled value is really not admitted is for the caller to ask a validator: what is too much for one branch of a schema
may be right for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Json = Any
Pointer = tuple[str, ...]
#: A value with one thing wrong in it, and where that is.
Spoiled = st.SearchStrategy[tuple[Pointer, Json]]

_KNOWN = {
    *("$ref", "allOf", "oneOf", "anyOf", "discriminator", "type", "enum", "const", "minLength", "maxLength", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items", "minItems", "maxItems"),
    *("properties", "required"),
}
_SILENT = {"title", "description", "default", "examples", "deprecated"}

#: Texts that are longer than this are made of one letter, as no other would find more.
_LONG = 40

_TYPES: dict[str, st.SearchStrategy[Json]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": st.integers(-5, 5),
    "number": st.floats(-5, 5).filter(lambda number: not number.is_integer()),
    "string": st.text(max_size=5),
    "array": st.lists(st.none(), max_size=2),
    "object": st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
}


class Schemas:
    """The strategies of one document.

    Args:
        document: The OpenAPI document, which schemas may refer into.
    """

    def __init__(self, document: Mapping[str, Json]) -> None:
        self._document = document

    # --- what is admitted ---

    def admitted(self, schema: Json) -> st.SearchStrategy[Json]:
        """Return the values that a schema admits."""
        schema = self._whole(schema)
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return st.one_of([self.admitted(option) for option in schema[key]])
        return st.one_of([self._of_type(kind, schema) for kind in self._types(schema)])

    def _of_type(self, kind: str, schema: Json) -> st.SearchStrategy[Json]:
        match kind:
            case "string" if schema.get("format") == "uri":
                return st.from_regex(r"https://[a-z]{1,9}\.example/[a-z]{0,9}\.png", fullmatch=True)
            case "string":
                return _text(schema.get("minLength", 0), schema.get("maxLength"))
            case "integer":
                low, high = _bounds(schema)
                return st.integers(low, high)
            case "number":
                low, high = _bounds(schema)
                return st.floats(low, high, allow_nan=False, allow_infinity=False) | st.integers(low, high)
            case "array":
                fewest, most = schema.get("minItems", 0), schema.get("maxItems")
                items = self.admitted(schema.get("items", {}))
                few = st.lists(items, min_size=fewest, max_size=3 if most is None else min(most, fewest + 3))
                return few if most is None else few | st.lists(items, min_size=most, max_size=most)
            case "object":
                return self._object(schema)
            case _:
                return _TYPES[kind]

    def _object(self, schema: Json, without: str = "") -> st.SearchStrategy[Json]:
        members = {name: self.admitted(inner) for name, inner in schema.get("properties", {}).items()}
        needed = [name for name in schema.get("required", ()) if name != without]
        return st.fixed_dictionaries(
            {name: members.get(name, st.text(max_size=5)) for name in needed},
            optional={
                **{name: member for name, member in members.items() if name not in (*needed, without)},
                "a member that nobody knows": st.integers(),
            },
        )

    # --- what is not ---

    def spoiled(self, schema: Json) -> Spoiled:
        """Return values that a schema does not admit, because of one thing; a caller has to make sure of that."""
        schema = self._whole(schema)
        return st.one_of([self._wrong_type(schema), *self._ways(schema)])

    def _wrong_type(self, schema: Json) -> Spoiled:
        right = set(self._types(schema))
        right |= {"integer"} if "number" in right else set()
        return st.one_of([_at((), values) for kind, values in _TYPES.items() if kind not in right])

    def _ways(self, schema: Json) -> list[Spoiled]:
        ways: list[Spoiled] = []
        if "const" in schema or "enum" in schema:
            options = schema.get("enum", [schema.get("const")])
            near = [option + "x" for option in options if isinstance(option, str)]
            return [_at((), st.sampled_from([*near, "", "another"]))]
        for name, inner in schema.get("properties", {}).items():
            ways.append(self._spoiled_member(schema, name, inner))
        for name in schema.get("required", ()):
            ways.append(_at((name,), self._object(schema, without=name)))
        if schema.get("format") == "uri":
            ways.append(_at((), st.just("no address")))
        if "minLength" in schema:
            ways.append(_at((), st.text(max_size=schema["minLength"] - 1)))
        if "maxLength" in schema:
            ways.append(_at((), _text(schema["maxLength"] + 1, schema["maxLength"] + 1)))
        if "minimum" in schema:
            ways.append(_at((), st.integers(max_value=schema["minimum"] - 1)))
        if "maximum" in schema:
            ways.append(_at((), st.integers(min_value=schema["maximum"] + 1)))
        items = self.admitted(schema.get("items", {})) if {"minItems", "maxItems", "items"} & schema.keys() else None
        if items is not None and schema.get("minItems", 0) > 0:
            ways.append(_at((), st.lists(items, max_size=schema["minItems"] - 1)))
        if items is not None and "maxItems" in schema:
            most = schema["maxItems"] + 1
            ways.append(_at((), st.lists(items, min_size=most, max_size=most)))
        if "items" in schema:
            ways.append(self.spoiled(schema["items"]).map(lambda found: (("0", *found[0]), [found[1]])))
        return ways

    def _spoiled_member(self, schema: Json, name: str, inner: Json) -> Spoiled:
        def put(whole: dict[str, Json], found: tuple[Pointer, Json]) -> tuple[Pointer, Json]:
            return (name, *found[0]), {**whole, name: found[1]}

        return st.builds(put, self._object(schema), self.spoiled(inner))

    # --- schemas ---

    def _types(self, schema: Json) -> list[str]:
        """Return the types that a schema may be of; one that says nothing may be any."""
        kinds = schema.get("type")
        if kinds is None:
            options = [schema["const"]] if "const" in schema else schema.get("enum")
            return list(_TYPES) if options is None else sorted({_type_of(option) for option in options})
        return [kinds] if isinstance(kinds, str) else list(kinds)

    def _whole(self, schema: Json) -> Json:
        """Return a schema with its references followed and the parts of its `allOf` put together."""
        merged: dict[str, Json] = {}
        parts = [schema]
        while parts:
            part = dict(parts.pop())
            if "$ref" in part:
                parts.append(self._target(part.pop("$ref")))
            parts += part.pop("allOf", [])
            unknown = [key for key in part if key not in _KNOWN | _SILENT and not key.startswith("x-")]
            if unknown:
                raise NotImplementedError(f"schemas.py does not know {', '.join(unknown)}")
            merged["properties"] = {**merged.get("properties", {}), **part.pop("properties", {})}
            merged["required"] = [*merged.get("required", []), *part.pop("required", [])]
            merged.update(part)
        return {key: value for key, value in merged.items() if value not in ({}, [])}

    def _target(self, reference: str) -> Json:
        node: Json = self._document
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
        return node


def _at(pointer: Pointer, values: st.SearchStrategy[Json]) -> Spoiled:
    return values.map(lambda value: (pointer, value))


def _bounds(schema: Json) -> tuple[Any, Any]:
    if {"exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
        raise NotImplementedError("schemas.py does not know exclusive bounds")
    return schema.get("minimum"), schema.get("maximum")


def _text(fewest: int, most: int | None) -> st.SearchStrategy[str]:
    if fewest > _LONG:
        return st.just("a" * fewest)
    short = st.text(min_size=fewest, max_size=_LONG if most is None else min(most, _LONG))
    return short if most is None or most <= _LONG else short | st.just("a" * most)


def _type_of(value: Json) -> str:
    names = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")
