"""What is drawn from a schema is admitted by it, and what is drawn against it is not, whatever the schema says."""

from __future__ import annotations

import functools
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from understudy.contract.model import Contract
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.strategies.schemas import Schemas

CONTRACTS: dict[str, Contract] = {name: load_provider(find_provider(name))[0] for name in ("kie", "oxen", "shortapi")}

COMPONENTS = {
    "Tree": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        },
        "additionalProperties": False,
    },
    "Value": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/Value"}}]},
    "Even": {"type": "object", "properties": {"odd": {"$ref": "#/components/schemas/Odd"}}, "maxProperties": 1},
    "Odd": {"type": "object", "required": ["even"], "properties": {"even": {"$ref": "#/components/schemas/Even"}}},
    "Name": {"type": "string", "maxLength": 5},
    "Self": {"allOf": [{"$ref": "#/components/schemas/Self"}, {"type": "integer"}]},
}

#: Name → a schema; each word that documents use stands in one of them.
SCHEMAS: dict[str, Any] = {
    "a list": {"enum": ["a", "b", 3, None]},
    "a list and a type": {"type": "string", "enum": ["a", 3]},
    "one value": {"const": {"a": [1]}},
    "two lists": {"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]},
    "text": {"type": "string", "minLength": 2, "maxLength": 4},
    "no text": {"type": "string", "maxLength": 0},
    "long text": {"type": "string", "minLength": 50, "maxLength": 60},
    "much text": {"type": "string", "maxLength": 500},
    "a pattern": {"type": "string", "pattern": "^[a-f]{3}-\\d+$", "maxLength": 9},
    "a pattern of another dialect": {"type": "string", "pattern": "^\\p{L}", "maxLength": 9},
    "an integer": {"type": "integer", "minimum": 3, "maximum": 7},
    "an integer between": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 7.5},
    "a step": {"type": "integer", "multipleOf": 8, "minimum": 60, "maximum": 70},
    "a small step": {"type": "number", "multipleOf": 0.01, "minimum": 0, "exclusiveMaximum": 1},
    "a number": {"type": "number", "minimum": 0.2, "maximum": 0.9},
    "a number between": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "a number from": {"type": "number", "minimum": 1, "exclusiveMinimum": 0},
    "one number": {"type": "number", "minimum": 2, "maximum": 2},
    "null or text": {"type": ["string", "null"], "maxLength": 3},
    "no type": {"minLength": 2, "minimum": 3},
    "an array": {"type": "array", "items": {"type": "integer", "maximum": 5}, "minItems": 1, "maxItems": 3},
    "an array of many": {"type": "array", "items": {"type": "integer"}, "maxItems": 20},
    "a set": {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2},
    "a pair": {"type": "array", "prefixItems": [{"type": "string"}, {"const": 1}], "items": False, "minItems": 2},
    "a pair of which one may lack": {"prefixItems": [{"type": "string"}, {"const": 1}], "maxItems": 1, "type": "array"},
    "a list with a three": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 3}, "maxContains": 1},
    "an empty list": {"type": "array", "items": False},
    "an object": {
        "type": "object",
        "required": ["a", "b"],
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"const": 1}},
    },
    "a closed object": {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": False},
    "a map": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}, "minProperties": 2},
    "a small object": {"type": "object", "minProperties": 1, "maxProperties": 2, "properties": {"a": True, "b": True}},
    "one of these members": {
        "type": "object",
        "minProperties": 1,
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
        "additionalProperties": False,
    },
    "names": {"type": "object", "propertyNames": {"pattern": "^[xy]+$", "maxLength": 3}, "minProperties": 1},
    "names by pattern": {
        "type": "object",
        "patternProperties": {"^x-": {"type": "integer"}, "^\\p{Lu}-": {"type": "string"}},
        "properties": {"x-a": {"minimum": 3}},
        "required": ["x-b"],
        "additionalProperties": False,
    },
    "closed parts": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"properties": {"a": {"minLength": 2}, "b": {"const": 1}}},
        ]
    },
    "nothing unevaluated": {
        "allOf": [{"properties": {"a": {"type": "string"}}}],
        "type": "object",
        "properties": {"b": {"const": 1}},
        "unevaluatedProperties": False,
    },
    "numbers of two kinds": {"allOf": [{"type": ["number", "string"]}, {"type": ["integer", "null"]}]},
    "parts": {"allOf": [{"type": "integer", "minimum": 3}, {"minimum": 5, "multipleOf": 2}, {"multipleOf": 3}, {}]},
    "one of": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 5}]},
    "any of, beside more": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": ["a", "b"]}},
        "anyOf": [{"properties": {"kind": {"const": "a"}}}, {"required": ["size"]}],
        "oneOf": [{"required": ["one"]}, {"required": ["two"]}],
    },
    "not": {"type": "string", "not": {"enum": ["", "a"]}},
    "not that member": {"type": "object", "properties": {"a": True}, "not": {"required": ["a"]}},
    "if": {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "size": {"type": "integer"}},
        "required": ["kind"],
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"required": ["size"]},
    },
    "if, and else": {"if": {"type": "string"}, "then": {"maxLength": 3}, "else": {"type": "integer"}},
    "dependent": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "dependentRequired": {"a": ["b"]},
        "dependentSchemas": {"b": {"properties": {"c": {"const": 1}}, "required": ["c"]}},
    },
    "an unknown word": {"type": "integer", "unheardOf": 3, "x-remark": "none"},
    "a name": {"$ref": "#/components/schemas/Name"},
    "a name, and more": {"$ref": "#/components/schemas/Name", "minLength": 3},
    "a tree": {"$ref": "#/components/schemas/Tree"},
    "a value": {"$ref": "#/components/schemas/Value"},
    "by turns": {"$ref": "#/components/schemas/Even"},
    "itself": {"$ref": "#/components/schemas/Self"},
    **{
        f"format {name}": {"type": "string", "format": name}
        for name in ("uri", "uri-reference", "date", "date-time", "time", "uuid", "email", "hostname", "ipv4", "ipv6")
    },
}

#: What no value can be.
IMPOSSIBLE: dict[str, Any] = {
    "false": False,
    "an empty list": {"enum": []},
    "no such text": {"type": "string", "minLength": 3, "maxLength": 2},
    "no such integer": {"type": "integer", "minimum": 3, "maximum": 2},
    "no such number": {"type": "number", "exclusiveMinimum": 3, "exclusiveMaximum": 3},
    "no such array": {"type": "array", "items": False, "minItems": 1},
    "no such pair": {"type": "array", "prefixItems": [False], "minItems": 3, "maxItems": 2},
    "no such object": {"type": "object", "required": ["a"], "properties": {"a": False}},
    "no such size": {"type": "object", "minProperties": 1, "additionalProperties": False},
    "no end": {
        "type": "object",
        "required": ["next"],
        "properties": {"next": {"$ref": "#/components/schemas/Endless"}},
    },
}
ENDLESS = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#/components/schemas/Endless"}}}

seek = settings(database=None, derandomize=True, max_examples=500, suppress_health_check=list(HealthCheck))
patient = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@functools.cache
def drawn(name: str) -> tuple[Any, Any, Any]:
    """Return a validator of our own for a schema, what it admits, and what it does not."""
    validator = jsonschema_rs.Draft202012Validator(
        {"allOf": [SCHEMAS[name]], "components": {"schemas": COMPONENTS}}, validate_formats=True
    )
    schemas = Schemas({"components": {"schemas": COMPONENTS}})
    return validator, schemas.admitted(SCHEMAS[name]), schemas.spoiled(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
@given(data=st.data())
@patient
def test_what_is_admitted_is_valid(name: str, data: st.DataObject) -> None:
    """Each value that is drawn as admitted is valid."""
    validator, admitted, _ = drawn(name)
    assert validator.is_valid(data.draw(admitted))


@pytest.mark.parametrize("name", SCHEMAS)
@given(data=st.data())
@patient
def test_what_is_spoiled_is_not(name: str, data: st.DataObject) -> None:
    """Each value that is drawn as spoiled is not valid, and there is something where its pointer leads, or was."""
    validator, _, spoiled = drawn(name)
    pointer, value = data.draw(spoiled)
    assert not validator.is_valid(value)
    for part in pointer[:-1]:
        value = value[int(part)] if isinstance(value, list) else value[part]


@pytest.mark.parametrize("name", CONTRACTS)
@given(data=st.data())
@patient
def test_it_holds_for_the_contracts(name: str, data: st.DataObject) -> None:
    """What is drawn from each schema of each contract is valid, and what is drawn against it is not."""
    document = CONTRACTS[name].document.data
    schema = data.draw(st.sampled_from(list(document["components"]["schemas"].values())))
    validator = jsonschema_rs.Draft202012Validator(
        {"allOf": [schema], "components": document["components"]}, validate_formats=True
    )
    assert validator.is_valid(data.draw(Schemas(document).admitted(schema)))
    assert not validator.is_valid(data.draw(Schemas(document).spoiled(schema))[1])


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_nothing_is_drawn_from_nothing(name: str) -> None:
    """From a schema that admits nothing, nothing is drawn, and that is known at once; against it, something is."""
    schemas = Schemas({"components": {"schemas": {"Endless": ENDLESS}}})
    assert schemas.admitted(IMPOSSIBLE[name]).is_empty
    find(schemas.spoiled(IMPOSSIBLE[name]), lambda found: True)


def test_what_admits_all_cannot_be_spoiled() -> None:
    """Against a schema that admits everything, nothing is drawn."""
    assert Schemas({}).spoiled(True).is_empty


def test_a_thing_is_spoiled_where_it_is_asked_for() -> None:
    """With a place given, what is wrong is there or below, and the rest is right."""
    schema = {
        "type": "object",
        "required": ["a", "b"],
        "properties": {"a": {"const": 1}, "b": {"type": "object", "properties": {"c": {"const": 2}}}},
    }
    spoiled = Schemas({}).spoiled(schema, ("b", "c"))

    @given(spoiled)
    def check(found: tuple[Any, Any]) -> None:
        pointer, value = found
        assert pointer[:2] == ("b", "c")
        assert (value["a"], value["b"]["c"] == 2) == (1, False)

    check()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("text", "aa"),
        ("an integer", 3),
        ("a number", 0.5),
        ("one of", 6),
        ("null or text", None),
        ("an object", {"a": "a", "b": "a"}),
        ("a tree", {"name": "a"}),
        ("a value", "a"),
        ("format uri", "https://a.example/a.png"),
        ("format date-time", "2000-01-01T00:00:00Z"),
        ("format date", "2000-01-01"),
        ("format email", "a@a.example"),
    ],
)
def test_the_plainest_is_what_a_person_would_write(name: str, plain: Any) -> None:
    """What shrinking ends at is short and can be read."""
    assert find(drawn(name)[1], lambda value: True, settings=seek) == plain


def test_what_a_value_needs_is_counted() -> None:
    """The members that are needed at a place are counted; where nothing is admitted, none is."""
    inner = {"required": ["a", "b"]}
    assert Schemas({}).needs({"properties": {"in": inner}}, ("in",)) == 2
    assert Schemas({}).needs(False, ()) == 0


def test_what_is_no_schema_is_refused() -> None:
    """A schema that is none, or refers to nothing, is an error at once."""
    with pytest.raises(ValueError, match="unheard of"):
        Schemas({}).admitted({"type": "unheard of"})
    with pytest.raises((ValueError, LookupError)):
        Schemas({}).admitted({"$ref": "#/components/schemas/Nowhere"})
