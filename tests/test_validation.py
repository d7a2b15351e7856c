"""Tests of the checks of requests: what is wrong with one is said as data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.documents import json_values, texts
from understudy.contract.loader import pointer_parts
from understudy.contract.validation import BodyCheck, Parameter, SchemaCheck, Violation, compile_schema

SCHEMA = {
    "type": "object",
    "required": ["prompt"],
    "additionalProperties": False,
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^a?$|^abc"},
        "size": {"enum": ["1K", "2K"]},
        "list": {"type": "array", "items": {"type": ["integer", "null"]}},
        "a/b~c": {"$ref": "#/components/schemas/Small"},
        "one": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    },
}
COMPONENTS = {"schemas": {"Small": {"maximum": 3}}}


def violations(value: Any, schema: Any = SCHEMA) -> list[Violation]:
    return list(SchemaCheck(schema, COMPONENTS).violations(value))


@pytest.mark.parametrize(
    ("body", "field", "pointer", "keyword", "limit", "value"),
    [
        ({}, "prompt", "/prompt", "required", None, None),
        ({"prompt": 5}, "prompt", "/prompt", "type", ["string"], 5),
        ({"prompt": ""}, "prompt", "/prompt", "minLength", 1, ""),
        ({"prompt": "abcdef"}, "prompt", "/prompt", "maxLength", 5, "abcdef"),
        ({"prompt": "b"}, "prompt", "/prompt", "pattern", "^a?$|^abc", "b"),
        ({"prompt": "a", "size": "4K"}, "size", "/size", "enum", ["1K", "2K"], "4K"),
        ({"prompt": "a", "list": [1, "x"]}, "list", "/list/1", "type", ["integer", "null"], "x"),
        ({"prompt": "a", "more": 1}, "more", "/more", "additionalProperties", None, {"prompt": "a", "more": 1}),
        ({"prompt": "a", "a/b~c": 5}, "a/b~c", "/a~1b~0c", "maximum", 3, 5),
        ({"prompt": "a", "one": []}, "one", "/one", "oneOf", None, []),
        ("text", "body", "", "type", ["object"], "text"),
    ],
)
def test_a_violation_says_what_is_wrong(body: Any, field: str, pointer: str, keyword: str, limit: Any, value: Any):
    """A violation names the member, the place, the keyword, what it allows and what came."""
    found = violations(body)
    assert [(v.place, v.field, v.pointer, v.keyword) for v in found] == [("body", field, pointer, keyword)]
    (only,) = found
    assert only.value == value
    assert (sorted(only.limit) if isinstance(only.limit, list) else only.limit) == limit
    assert only.message


@given(json_values)
def test_a_violation_leads_to_what_is_wrong(body: Any):
    """Any body is checked, and each violation points to the part that came."""
    for violation in violations(body, {"not": {}} if body is None else {"type": "object", "maxProperties": 0}):
        assert violation.value == body
        assert pointer_parts(violation.pointer) == []


@given(json_values)
def test_what_a_schema_allows_is_no_violation(value: Any):
    """A schema of a single value takes that value; `true` takes any."""
    assert violations(value, {"const": value}) == []
    assert violations(value, True) == []


def test_a_long_message_is_cut():
    """The message does not repeat a whole body."""
    (found,) = violations("x" * 1000, {"type": "integer"})
    assert len(found.message) == 300
    assert found.message.endswith("…")


@pytest.mark.parametrize("schema", [{"type": "sting"}, {"pattern": "("}, {"$ref": "#/components/schemas/None"}, 5])
def test_what_is_no_schema_is_a_value_error(schema: Any):
    """A schema that is none, or refers to nothing, is refused when it is compiled, not when a request comes."""
    with pytest.raises(ValueError):  # noqa: PT011  (the library's own kind of it)
        SchemaCheck(schema, COMPONENTS)


def test_a_format_is_checked():
    """What a schema says of the format of a text holds; a format that nobody knows is none."""
    check = SchemaCheck({"format": "uri"}, {})
    assert list(check.violations("https://example.com/a.png")) == []
    assert [violation.keyword for violation in check.violations("a picture")] == ["format"]
    assert list(SchemaCheck({"format": "picture"}, {}).violations("a")) == []


def test_a_schema_alone_is_compiled():
    """The format's own schemas are compiled as they are."""
    assert compile_schema({"type": "string"}).is_valid("a")


# --- parameters -----------------------------------------------------------------------------------------------------


def parameter(schema: Any, **more: Any) -> Parameter:
    check = None if schema is None else SchemaCheck(schema, {})
    return Parameter(**{"name": "Size", "place": "query", "required": False, "numeric": False, **more}, check=check)


def keywords(found: Parameter, **values: str) -> list[str]:
    return [violation.keyword for violation in found.violations(values)]


def test_a_required_parameter_must_be_there():
    """A required parameter that is missing is a violation, another is not looked at."""
    needed = parameter({"type": "string"}, required=True)
    (found,) = needed.violations({})
    assert found == Violation("query", "Size", "/Size", "required", None, None, '"Size" is a required parameter')
    assert keywords(needed, Size="a") == []
    assert keywords(parameter({"type": "string"})) == []
    assert keywords(parameter(None), Size="a") == []


def test_the_schema_decides_whether_a_required_parameter_may_be_empty():
    """An empty value is one where a value is needed; where none is, it stands for none."""
    assert keywords(parameter({"type": "string"}, required=True), Size="") == []
    assert keywords(parameter({"type": "string", "minLength": 1}, required=True), Size="") == ["minLength"]
    assert keywords(parameter({"type": "integer"}, required=True, numeric=True), Size="") == ["type"]
    assert keywords(parameter({"type": "string", "minLength": 1}), Size="") == []


def test_a_parameter_is_named_by_its_place():
    """A header is found in any case, a query parameter in its own."""
    assert keywords(parameter({"const": "a"}, place="header"), size="b") == ["const"]
    assert keywords(parameter({"const": "a"}), size="b") == []


@pytest.mark.parametrize(
    ("schema", "text", "keyword"),
    [
        ({"type": "integer"}, "5", None),
        ({"type": "integer"}, "five", "type"),
        ({"type": "integer"}, "1e999", "type"),
        ({"type": "integer", "maximum": 4}, "5", "maximum"),
        ({"type": "boolean"}, "true", None),
        ({"type": "boolean"}, "yes", "type"),
    ],
)
def test_a_number_in_a_parameter_is_read_from_its_text(schema: Any, text: str, keyword: str | None):
    """Where the schema asks for a number or a boolean, the text is read as one; the violation has the text."""
    found = list(parameter(schema, numeric=True).violations({"Size": text}))
    assert [(v.keyword, v.value, v.pointer) for v in found] == ([(keyword, text, "/Size")] if keyword else [])


@given(texts)
def test_any_text_of_a_parameter_is_checked(text: str):
    """Whatever a client sends as a parameter, it is taken or is a violation."""
    for numeric in (True, False):
        assert set(keywords(parameter({"type": "integer"}, numeric=numeric), Size=text)) <= {"type"}


# --- bodies ---------------------------------------------------------------------------------------------------------

MODELS = {
    "small": SchemaCheck({"required": ["prompt"]}, {}),
    "large": SchemaCheck({"required": ["size"]}, {}),
}


@pytest.mark.parametrize(
    ("body", "keyword", "field", "limit"),
    [
        ({"model": "small"}, "required", "prompt", None),
        ({"model": "large"}, "required", "size", None),
        ({"model": "tiny"}, "discriminator", "model", ["large", "small"]),
        ({"model": 5}, "type", "model", "string"),
        ({"model": None}, "required", "model", None),
        ({}, "required", "model", None),
        (None, "type", "body", "object"),
        ([], "type", "body", "object"),
    ],
)
def test_a_body_is_checked_by_the_schema_of_its_model(body: Any, keyword: str, field: str, limit: Any):
    """The model chooses the schema; a body without a known model is a violation of its own."""
    check = BodyCheck((), True, None, "model", MODELS, {}, {})
    assert [(v.keyword, v.field, v.limit) for v in check.violations(body)] == [(keyword, field, limit)]
    assert list(check.violations({"model": "small", "prompt": ""})) == []


def test_a_body_without_models_is_checked_by_its_schema():
    """Without a model there is one schema, or none."""
    assert [v.keyword for v in BodyCheck((), True, MODELS["small"], None, {}, {}, {}).violations({})] == ["required"]
    assert list(BodyCheck((), True, None, None, {}, {}, {}).violations(5)) == []
